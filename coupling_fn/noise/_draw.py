"""How a network finds the noises in its parameters, and draws the random numbers of each."""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._core import PyTree, require_one_or_each
from ._coloured import Coloured, Pink
from ._white import White

# The number of the draw from which a noise state starts. It is beyond the number of any step, which
# are 32-bit, so that no step draws the same numbers again.
START = 2**31


def restarted_key(key: Any, step: Any) -> Any:
    """Return the key of a run whose clock restarts after so many steps, with numbers of its own."""
    # A step draws from `fold_in(key, step)`, so the step is folded into another key.
    return jax.random.fold_in(jax.random.fold_in(key, START), step)


def is_noise(x: Any) -> bool:
    """Return whether `x` is white or coloured noise, rather than a number or a function of time."""
    return isinstance(x, White | Coloured)


def named(tree: PyTree, kind: type) -> dict[str, Any]:
    """Return the noises of a kind in a pytree, by their paths: "noise.x", "external.E.parts.1"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_noise)
    return {_name(path): leaf for path, leaf in leaves if isinstance(leaf, kind)}


def with_values(tree: PyTree, values: dict[str, Any]) -> PyTree:
    """Replace each coloured noise in a pytree by a function of time that returns its value.

    `values` holds the present value of each noise by its path.
    """

    def replace(path, leaf):
        return (lambda t: values[_name(path)]) if isinstance(leaf, Coloured) else leaf

    return jax.tree_util.tree_map_with_path(replace, tree, is_leaf=is_noise)


def draw(name: str, noise: Any, key: Any, number: Any, regions: int, dtype: Any) -> Array:
    """Draw the standard normal numbers of a noise, with its independent sources mixed by its factor.

    Each noise has a random stream of its own, which depends on its name alone: another noise beside
    it changes nothing.

    Args:
        name: the path of the noise in the parameters, as in `named`.
        noise: a `White` or `Coloured` noise.
        key: the random key of the run.
        number: the number of the step, or `START`.
        regions: the number of regions.
        dtype: the dtype of the states.

    Returns:
        For white noise `(region,)`, for coloured noise `(component, region)`.
    """
    stream = jax.random.fold_in(key, START | zlib.crc32(name.encode()))
    sources = regions if noise.factor is None else noise.factor.shape[1]
    shape = (noise.components, sources) if isinstance(noise, Coloured) else (sources,)
    xi = jax.random.normal(jax.random.fold_in(stream, number), shape, dtype)
    return xi if noise.factor is None else jnp.matmul(xi, noise.factor.T, precision="highest")


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def require_regions(name: str, noise: Any, regions: int) -> None:
    """Refuse a noise whose sigma, tau or factor is for another number of regions."""
    for what in ("sigma", "tau"):
        value = getattr(noise, what, None)
        if value is not None and not (what == "tau" and isinstance(noise, Pink)):
            require_one_or_each(f"{what}` of the noise `{name}", value, regions)
    factor = noise.factor
    if factor is not None and (jnp.ndim(factor) != 2 or len(factor) != regions):
        raise ValueError(
            f"`factor` of the noise `{name}` must be (region, source), ({regions}, any); got "
            f"{jnp.shape(factor)}."
        )
