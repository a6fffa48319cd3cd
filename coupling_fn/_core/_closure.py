"""A function with what it closes over made an argument, to be batched and to have a gradient."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax import Array
from jax.core import eval_jaxpr

from ._types import PyTree
from ._varying import Axes, vary, varying_axes


class ClosedFunction(eqx.Module):
    """A function of one pytree, as the program that JAX traced, and the arrays it closes over.

    Inside `jax.shard_map`, its arguments are made to vary as those did that it was traced with.
    """

    consts: list[Array]
    program: Any = eqx.field(static=True)
    result: Any = eqx.field(static=True)
    axes: tuple[Axes, ...] = eqx.field(static=True)

    def __call__(self, inputs: PyTree) -> PyTree:
        """Evaluate the program."""
        leaves = map(vary, jax.tree.leaves(inputs), self.axes)
        out = eval_jaxpr(self.program, self.consts, *leaves)
        return jax.tree.unflatten(self.result, out)


def closed_function(fn: Callable[[Any], PyTree], example: PyTree) -> ClosedFunction:
    """Trace `fn` with arguments like `example`."""
    traced, like = jax.make_jaxpr(fn, return_shape=True)(example)
    axes = tuple(map(varying_axes, jax.tree.leaves(example)))
    return ClosedFunction(traced.consts, traced.jaxpr, jax.tree.structure(like), axes)
