"""A killed fit goes on, to the bit; another fit does not."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import refuses

import coupling_fn as cf

TARGET = jnp.asarray([0.3, -2.0])


def loss(p, noise):
    return jnp.sum((p["x"] - TARGET) ** 2 * (1 + 0.5 * noise)) + p["y"].astype(float) ** 4


def noise(step):
    return jax.random.uniform(jax.random.fold_in(jax.random.key(3), step), (2,))


# Noise on the gradient keeps a random key in the optimiser's state.
OPTIMIZER = optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.1))
START = {"x": jnp.zeros(2), "y": jnp.asarray(1.0, "float32")}


def run(folder, **options):
    given = {"where": lambda p: (p["x"], p["y"]), "batch": noise, "optimizer": OPTIMIZER}
    options = given | {"steps": 25, "progress": False, "save": folder, "save_every": 4} | options
    return cf.fit(options.pop("loss", loss), options.pop("params", START), **options)


def same(a, b):
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(a) == len(b)
    assert all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("many", [{}, {"starts": 3, "key": jax.random.key(0)}], ids=["one", "many"])
def test_a_killed_fit_goes_on_to_the_bit(tmp_path, many):
    class Killed(BaseException):
        pass

    def kill(step, loss, params):
        if step == 14:
            raise Killed

    whole = run(None, **many)
    with pytest.raises(Killed):
        run(tmp_path, callback=kill, **many)
    steps = []
    result = run(tmp_path, callback=lambda step, *_: steps.append(step), **many)
    assert steps == list(range(12, 26))  # three times four rows were saved
    same(result, whole)
    same(run(tmp_path, loss=loss, **many), whole)  # a finished one is only read
    same(run(tmp_path, steps=40, **many), run(None, steps=40, **many))  # and goes on if asked
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]


def test_a_process_that_dies_leaves_a_fit_to_go_on_from(tmp_path):
    program = f"""
import os, jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_disable_most_optimizations", True)
import test_checkpoint as t
t.run({str(tmp_path)!r}, callback=lambda step, *_: os._exit(9) if step == 10 else None)
"""
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True)
    assert done.returncode == 9, done.stderr
    same(run(tmp_path), run(None))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"params": {**START, "y": jnp.asarray(2.0, "float32")}}, "its params, transforms"),
        ({"optimizer": optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.2))}, "its loss"),
        ({"loss": lambda p, n: loss(p, n) + 1.0}, "its loss, batch or optimizer"),
        ({"loss": lambda p, n: loss({**p, "x": p["x"] + TARGET[::-1]}, n)}, "its loss"),
        ({"transform": cf.bounded(-5.0, 5.0)}, "its loss.* and its params"),
        ({"starts": 2, "key": jax.random.key(0)}, "its loss"),
    ],
)
def test_another_fit_is_refused(tmp_path, change, what):
    run(tmp_path, steps=3)
    with refuses(match=f"holds another fit: {what}"):
        run(tmp_path, **change)


def test_data_that_the_loss_closes_over_are_part_of_the_fit(tmp_path):
    def to(target):
        target = jnp.asarray(target)
        return lambda p, n: jnp.sum((p["x"] - target) ** 2)

    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    with refuses(match="holds another fit: its loss"):
        run(tmp_path, loss=to([1.0, 2.5]), steps=3)


def test_a_file_that_is_no_fit(tmp_path):
    (tmp_path / "fit.npz").write_bytes(b"none")
    with refuses(match="is not a fit that can be gone on with"):
        run(tmp_path)
