"""A pytree of arrays of one shape as one array: a loop over few arrays is faster.

XLA on the CPU runs a loop body of up to eight operations one after the other, and a longer one as a
graph of tasks, at half a microsecond more (JAX 0.10.2; an undelayed step of 84 regions 0.67 us
against 1.16). Each array that a loop carries is an operation or two. But one array alone is better
left as it is (a step of 84 uncoupled regions 0.017 us against 0.056), and so are more than eight, which
are no longer put together in the same operation (of the ten of Wendling, 0.96 us against 1.57).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from ._types import PyTree

MOST = 8


def pack(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """The leaves as one array where it pays and their shapes and types agree, and the way back."""
    leaves, structure = jax.tree.flatten(tree)
    if not 1 < len(leaves) <= MOST or len({(x.shape, x.dtype) for x in leaves}) != 1:
        return tree, lambda same: same
    return jnp.stack(leaves), lambda packed: structure.unflatten(list(packed))


def repack(tree: PyTree, like: PyTree) -> PyTree:
    """The leaves in the form of `like`, which `pack` made of such a tree."""
    return jnp.stack(jax.tree.leaves(tree)) if isinstance(like, Array) else tree
