"""The recipes on the page of `_evolution` run as they stand, where pymoo and sbi are installed."""

import re
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coupling_fn as cf

PAGE = Path(cf.__file__).parent / "_evolution" / "README.md"


def run_recipe(package, **names):
    """Run the block of the page that imports a package, with what the page says it is given."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if f"from {package}." in block]
    given = {"cf": cf, "jax": jax, "jnp": jnp, "np": np} | names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        exec(block, given)
    return given


def test_trade_offs_between_two_losses():
    """Schaffer's pair: with y = 0, x from 0 to 1 trades x^2 for (x - 1)^2, and all else is worse."""
    pytest.importorskip("pymoo")

    def two_losses(row):
        x, y = row
        return jnp.stack([x**2 + y**2, (x - 1.0) ** 2 + y**2])

    low, high = jnp.asarray([-3.0, -3.0]), jnp.asarray([3.0, 3.0])
    front = run_recipe("pymoo", two_losses=two_losses, low=low, high=high)["front"]
    assert len(front.F) > 20
    assert np.abs(np.sqrt(front.F).sum(1) - 1.0).max() < 0.05
    assert front.X[:, 0].min() < 0.1 and front.X[:, 0].max() > 0.9
    assert np.abs(front.X[:, 1]).max() < 0.3  # they are drawn from -3 to 3


def test_simulation_based_inference(tmp_path, monkeypatch):
    """Features are the parameters with noise of 0.3: the posterior is normal around `observed`."""
    pytest.importorskip("sbi")
    import torch

    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)

    def features(row, key):
        return row + 0.3 * jax.random.normal(key, row.shape)

    low, high, observed = (
        jnp.asarray([-3.0, -3.0]),
        jnp.asarray([3.0, 3.0]),
        jnp.asarray([0.5, -1.0]),
    )
    made = run_recipe("sbi", features=features, low=low, high=high, observed=observed)
    samples = made["samples"].numpy()
    assert samples.shape == (1000, 2)
    assert np.abs(samples.mean(0) - np.asarray(observed)).max() < 0.15
    assert np.abs(samples.std(0) - 0.3).max() < 0.12
    assert len(list(tmp_path.glob("draws/*.npz"))) == 4
