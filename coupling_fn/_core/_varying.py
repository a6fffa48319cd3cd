"""Loops and cotangents inside `jax.shard_map`, where a value may vary from device to device.

JAX notes in the type of each value over which axes of the mesh it varies. What a loop carries must have
one type from turn to turn, but it begins with what is the same on all devices (zeros, or a state that
they share) and takes up what varies (weights, k) on the way. `scan` gives what it carries the
axes of all that flows into it. Outside of `shard_map`, and inside with `check_vma=False`, nothing
varies: it is then `jax.lax.scan`, and adds no operation.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.core import Tracer

from ._types import PyTree

Axes = frozenset[Any]


def varying_axes(*trees: PyTree) -> Axes:
    """Return the axes of the mesh over which any of the leaves varies."""
    return frozenset().union(*map(_axes, jax.tree.leaves(trees)))


def vary(tree: PyTree, axes: Axes) -> PyTree:
    """Return the same numbers as values that vary over `axes` at least."""
    return jax.tree.map(lambda x: _vary(x, axes), tree) if axes else tree


def vary_floats(tree: PyTree, axes: Axes) -> PyTree:
    """Do what `vary` does for the arrays of floats alone.

    Done before a loop, each device adds up its own cotangents in the loop, and they are summed over the
    devices once, not at each turn.
    """
    if not axes:
        return tree
    return jax.tree.map(lambda x: _vary(x, axes) if eqx.is_inexact_array(x) else x, tree)


def vary_alike(tree: PyTree, like: PyTree) -> PyTree:
    """Return `tree` with each leaf varying over the axes of the same leaf of `like`."""
    return jax.tree.map(lambda x, y: _vary(x, _axes(y)), tree, like)


def as_cotangent(bar: PyTree, of: PyTree) -> PyTree:
    """Return cotangents as those of `of`, which must vary as it does: sum them over the other axes."""

    def one(bar: Any, of: Any) -> Any:
        bar = _vary(bar, _axes(of))
        others = tuple(_axes(bar) - _axes(of))
        return lax.psum(bar, others) if others else bar

    return jax.tree.map(one, bar, of)


def scan(
    body: Callable[..., Any],
    carry: PyTree,
    xs: PyTree = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[PyTree, PyTree]:
    """Do what `jax.lax.scan` does, also where `carry` begins to vary from device to device."""
    if _may_vary(carry, xs):
        carry = _settled(lambda carry: body(carry, jax.tree.map(_first, xs))[0], carry)

    def alike(before: PyTree, x: Any) -> tuple[PyTree, PyTree]:
        after, out = body(before, x)
        return vary_alike(after, before), out

    turn = alike if varying_axes(carry) else body
    return lax.scan(turn, carry, xs, length, reverse=reverse, unroll=unroll)


def while_loop(
    unfinished: Callable[[PyTree], Any], body: Callable[[PyTree], PyTree], carry: PyTree
) -> PyTree:
    """Do what `jax.lax.while_loop` does, also where `carry` begins to vary from device to device."""
    if not _may_vary(carry):
        return lax.while_loop(unfinished, body, carry)
    carry = _settled(body, carry)
    return lax.while_loop(unfinished, lambda before: vary_alike(body(before), before), carry)


def error_if(x: Array, wrong: Any, message: str) -> Array:
    """Return `x`; raise an error at run time if `wrong`.

    Where `wrong` varies, what is wrong on one device stops all of them.
    """
    axes = varying_axes(x, wrong)
    if not axes:
        return eqx.error_if(x, wrong, message)
    # The call back to the host gives no type to what varies, so it gets what is the same everywhere.
    wrong = lax.psum(_vary(wrong.astype(jnp.int32), axes), tuple(axes)) > 0
    return x + eqx.error_if(jnp.zeros((), x.dtype), wrong, message)


def _axes(x: Any) -> Axes:
    return _axes_of_type(jax.typeof(x)) if isinstance(x, Tracer) else frozenset()


def _axes_of_type(kind: Any) -> Axes:
    if hasattr(kind, "manual_axis_type"):  # from JAX 0.10 on
        return kind.manual_axis_type.varying
    return getattr(kind, "vma", frozenset())


def _vary(x: Any, axes: Axes) -> Any:
    missing = tuple(axes - _axes(x))
    if not missing:
        return x
    x = jnp.asarray(x)
    if hasattr(lax, "pcast"):
        return lax.pcast(x, missing, to="varying")
    return lax.pvary(x, missing)  # pyright: ignore[reportAttributeAccessIssue]  # of older JAX


def _may_vary(*trees: PyTree) -> bool:
    """Return whether a loop that begins with these may carry what varies."""
    # What a function closes over is not among its arguments, so here any mesh counts.
    mesh = jax.sharding.get_abstract_mesh()
    return bool(getattr(mesh, "manual_axes", ())) or bool(varying_axes(trees))


def _settled(body: Callable[[PyTree], PyTree], carry: PyTree) -> PyTree:
    """Let `carry` vary over as many axes as `body` makes it, turn after turn."""
    while True:
        before, structure = jax.tree.flatten(carry)
        after = jax.make_jaxpr(body)(carry).out_avals
        if len(after) != len(before):
            return carry  # The loop itself says what is wrong with it.
        axes = [_axes_of_type(kind) for kind in after]
        if all(new <= _axes(x) for new, x in zip(axes, before, strict=True)):
            return carry
        carry = structure.unflatten([_vary(x, new) for x, new in zip(before, axes, strict=True)])


def _first(x: Any) -> Any:
    return x[0] if len(x) else _vary(jnp.zeros(x.shape[1:], x.dtype), _axes(x))
