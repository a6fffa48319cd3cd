"""Stack a pytree of arrays of one shape into one array: a loop that carries fewer arrays is faster.

XLA on the CPU runs a loop body of up to eight operations one after the other, but a longer one as a
graph of tasks, which costs half a microsecond more (JAX 0.10.2; an undelayed step of 84 regions
takes 0.67 us instead of 1.16). Each array that a loop carries costs an operation or two.

Two cases are better left alone: a single array (a step of 84 uncoupled regions takes 0.017 us as it
is, and 0.056 stacked), and more than eight arrays, which XLA no longer stacks within the operation
that computes them (the ten of the Wendling node: 0.96 us as they are, 1.57 stacked).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ._types import PyTree

MOST_LEAVES = 8


def pack(tree: PyTree) -> tuple[PyTree, Callable[[PyTree], PyTree]]:
    """Stack the leaves where that pays and their shapes and dtypes agree.

    Returns:
        The stacked array, or the tree as it is; and the function that restores the tree.
    """
    leaves, structure = jax.tree.flatten(tree)
    if not 1 < len(leaves) <= MOST_LEAVES or len({(x.shape, x.dtype) for x in leaves}) != 1:
        return tree, _unchanged
    return jnp.stack(leaves), partial(_unpack, structure)


def _unchanged(tree: PyTree) -> PyTree:
    return tree


def _unpack(structure: PyTree, packed: Array) -> PyTree:
    return structure.unflatten(list(packed))


def repack(tree: PyTree, like: PyTree) -> PyTree:
    """Stack the leaves if `like`, which `pack` made of such a tree, is stacked."""
    return jnp.stack(jax.tree.leaves(tree)) if isinstance(like, Array) else tree


def recomputing(body: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Return a loop's body whose derivative keeps costly results alone, and computes others once more.

    By default it keeps all that it needs, and writes each in an operation of its own, which the
    subnetworks of a hybrid multiply: 32 of 76 in the loop of two halves of 42 regions, whose gradient
    takes 0.7 of the time without them (JAX 0.10.2 on a CPU; one network of 84 takes as long either way).
    """
    return jax.checkpoint(body, prevent_cse=False, policy=_is_costly)


# What takes less time to compute once more than to write and read, as one operation in a short loop.
_CHEAP = {
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "max",
    "min",
    "integer_pow",
    "select_n",
    "clamp",
    "copy",
}
_CHEAP |= {"broadcast_in_dim", "reshape", "squeeze", "slice", "split", "concatenate", "pad"}
_CHEAP |= {"convert_element_type", "gt", "ge", "lt", "le", "eq", "ne", "and", "or", "not"}


def _is_costly(primitive: Any, *_: Any, **__: Any) -> bool:
    return str(primitive) not in _CHEAP
