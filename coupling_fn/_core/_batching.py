"""A rule for `jax.vmap` that hands the whole batch to the function, which lays it out itself."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap

from ._types import PyTree

# `run(batch, batched, leaves)`: `leaves[i]` has the batch in front if `batched[i]`; `batch` is None
# for a single run. The result has the batch in front.
Run = Callable[[int | None, tuple[bool, ...], Sequence[Array]], PyTree]


def with_batches(run: Run, leaves: Sequence[Array], alone: Sequence[bool]) -> PyTree:
    """Call `run` so that every `vmap` around it, nested or not, arrives as one batch.

    Where a leaf that `alone` marks is batched, the runs share too little: they go one by one.
    """
    return _call(run, tuple(alone), None, (False,) * len(leaves), leaves)


def _call(run: Run, alone, batch: int | None, batched: tuple[bool, ...], leaves) -> PyTree:
    @custom_vmap
    def whole_batch(*leaves):
        return run(batch, batched, leaves)

    call = jax.custom_jvp(whole_batch)

    @call.defjvp
    def forward_mode(leaves, tangents):
        # custom_vmap's own rule fails on integer arguments (JAX 0.10.2), so forward mode, Hessians
        # included, is that of `run` itself, and batches of tangents are laid out by JAX.
        varying = [jnp.issubdtype(x.dtype, jnp.inexact) for x in leaves]

        def of_floats(floats):
            rest = iter(floats)
            both = zip(leaves, varying, strict=True)
            return run(batch, batched, [next(rest) if v else x for x, v in both])

        pick = lambda xs: [x for x, v in zip(xs, varying, strict=True) if v]  # noqa: E731
        return jax.jvp(of_floats, (pick(leaves),), (pick(tangents),))

    @whole_batch.def_vmap
    def rule(size, now_batched, *leaves):
        if size == 0:  # lax.map of JAX 0.6 asks for what is left over, also where nothing is
            both = zip(leaves, now_batched, strict=True)
            one = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) if new else x for x, new in both]
            shapes = jax.eval_shape(lambda *xs: _call(run, alone, batch, batched, xs), *one)
            out = jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), shapes)
        elif any(new and only for new, only in zip(now_batched, alone, strict=True)):
            out = _one_by_one(run, alone, batch, batched, now_batched, leaves)
        else:
            whole = size * (batch or 1)
            merged = [
                _merge(leaf, size, batch, new, old)
                for leaf, new, old in zip(leaves, now_batched, batched, strict=True)
            ]
            either = tuple(new or old for new, old in zip(now_batched, batched, strict=True))
            out = _call(run, alone, whole, either, merged)
            if batch is not None:
                out = jax.tree.map(lambda x: x.reshape(size, batch, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return call(*leaves)


def _merge(leaf: Array, size: int, batch: int | None, new: bool, old: bool) -> Array:
    """Both batch axes as one in front, for a leaf that has either."""
    if batch is None or not (new or old):
        return leaf
    if not new:
        leaf = jnp.broadcast_to(leaf[None], (size, *leaf.shape))
    if not old:
        leaf = jnp.broadcast_to(leaf[:, None], (size, batch, *leaf.shape[1:]))
    return leaf.reshape(size * batch, *leaf.shape[2:])


def _one_by_one(run: Run, alone, batch, batched, now_batched, leaves) -> Any:
    moving = [leaf for leaf, new in zip(leaves, now_batched, strict=True) if new]

    def one(moving):
        rest = iter(moving)
        whole = [next(rest) if new else leaf for leaf, new in zip(leaves, now_batched, strict=True)]
        return _call(run, alone, batch, batched, whole)

    return lax.map(one, moving)
