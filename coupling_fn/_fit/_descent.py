"""One step down: a loss, its gradient, the optimiser's update, and the way back where it breaks."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from .._core import PyTree
from ._derivatives import value_and_gradient
from ._leaves import Fitted, Unconstrained, one_float, strong, widest

LBFGS = optax.lbfgs()  # one object, so that the next call finds the compiled descent


class Problem(eqx.Module):
    """All that a step is made of; its arrays may change without compiling again."""

    loss: Callable[..., Array]
    optimizer: optax.GradientTransformation
    fitted: Fitted
    batch: Callable[[Array], PyTree] | None = None
    derivative: str = eqx.field(static=True, default="auto")


class Carry(NamedTuple):
    """Where a descent is.

    Attributes:
        unconstrained: the point to measure next.
        state: the optimiser's.
        good: the last point where loss and gradient were finite.
        scale: what updates are multiplied by: 1, halved each time the loss broke.
        step: how many steps were made.
    """

    unconstrained: Unconstrained
    state: PyTree
    good: Unconstrained
    scale: Array
    step: Array


def begin(optimizer: optax.GradientTransformation, unconstrained: Unconstrained) -> Carry:
    """Stand at `unconstrained`."""
    state = jax.tree.map(
        lambda x: strong(x) if eqx.is_array_like(x) else x, optimizer.init(unconstrained)
    )
    scale = jnp.ones((), widest(unconstrained))
    return Carry(unconstrained, state, unconstrained, scale, jnp.zeros((), jnp.int32))


def descend_once(problem: Problem, carry: Carry) -> tuple[Array, tuple[Array, ...], Carry]:
    """Measure, and move.

    Gives the loss and whether it and its gradient are finite, as one array; the fitted leaves
    where they were measured; and where to measure next. Where something is not finite that is
    half the way back to the last good point, with the optimiser's state as it was there, and
    all later updates are half as large.
    """
    batch = () if problem.batch is None else (problem.batch(carry.step),)

    def loss_at(unconstrained: Unconstrained) -> Array:
        return one_float(problem.loss(problem.fitted.at(unconstrained), *batch))

    unconstrained, state = carry.unconstrained, carry.state
    value, gradient = value_and_gradient(loss_at, unconstrained, problem.derivative)
    good = jnp.stack([jnp.isfinite(value), *(jnp.isfinite(g).all() for g in gradient)]).all()
    measured = jnp.stack([value, good.astype(value.dtype)])  # one array: one wait a step
    with jax.numpy_dtype_promotion("standard"):  # adam takes a float to an integer power
        updates, moved = optax.with_extra_args_support(problem.optimizer).update(
            gradient, state, unconstrained, value=value, grad=gradient, value_fn=loss_at
        )
    stepped = optax.apply_updates(unconstrained, updates)
    shorter = jax.tree.map(
        lambda u, to: u + carry.scale.astype(u.dtype) * (to - u), unconstrained, stepped
    )
    # A product with a scale of 1 would round a fit that nothing breaks unlike optax alone.
    stepped = jax.tree.map(lambda s, to: jnp.where(carry.scale < 1, s, to), shorter, stepped)
    either = partial(jax.tree.map, lambda new, old: jnp.where(good, new, old.astype(new.dtype)))
    back = jax.tree.map(lambda here, there: there + (here - there) / 2, unconstrained, carry.good)
    after = Carry(
        unconstrained=either(stepped, back),
        state=jax.tree.map(lambda new, old: jnp.where(good, new, old), moved, state),
        good=either(unconstrained, carry.good),
        scale=jnp.where(good, carry.scale, carry.scale / 2),
        step=carry.step + 1,
    )
    return measured, problem.fitted.values(unconstrained), jax.tree.map(strong, after)


def descend(
    problem: Problem, unconstrained: Unconstrained, steps: int
) -> tuple[Array, Unconstrained]:
    """Make `steps` steps, inside of `jit` or `vmap`: the smallest loss and where it was."""
    inf = jnp.full((), jnp.inf, widest(unconstrained))

    def one(carry: Any, x: None) -> tuple[Any, None]:
        now, least, best = carry
        measured, *_, after = descend_once(problem, now)
        better = measured[0] < least  # never where it is NaN
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now.unconstrained, best)
        return (after, jnp.where(better, measured[0].astype(least.dtype), least), best), None

    start = (begin(problem.optimizer, unconstrained), inf, unconstrained)
    end, _ = lax.scan(one, start, None, length=steps + 1)
    return end[1:]


def split(problem: Problem) -> tuple[list[Any], Any]:
    """Part the arrays that a step takes in from the rest, for which it is compiled.

    `eqx.filter_jit` does this at every call; doing it once a fit saves about 0.2 ms a step.
    """
    leaves, tree = jax.tree.flatten(problem)
    arrays = [x if eqx.is_array(x) else None for x in leaves]
    return arrays, (tree, tuple(None if eqx.is_array(x) else x for x in leaves))


@partial(jax.jit, static_argnums=(0, 1, 2))
def compiled_steps(
    program: Any, many: bool, room: int, arrays: list[Any], carry: Carry, count: Array | int
) -> tuple[Array, tuple[Array, ...], Carry]:
    """`count` times `descend_once`, for one start or for many at once: of each what it gives.

    Whatever the count, up to `room`, it is one program, so that how a fit is cut into calls changes
    no bit of it. Rows from `count` on are 0.
    """
    tree, rest = program

    @jax.jit  # traced once, for the shapes of its rows and for the loop
    def once(arrays: list[Any], carry: Carry) -> tuple[Array, tuple[Array, ...], Carry]:
        leaves = [x if a is None else a for a, x in zip(arrays, rest, strict=True)]
        one = partial(descend_once, jax.tree.unflatten(tree, leaves))
        return jax.vmap(one)(carry) if many else one(carry)

    def body(i: Array, so_far: Any) -> Any:
        rows, now = so_far
        *row, after = once(arrays, now)
        return jax.tree.map(lambda all_, one: all_.at[i].set(one), rows, tuple(row)), after

    *row, _ = jax.eval_shape(once, arrays, carry)
    rows = jax.tree.map(lambda x: jnp.zeros((room, *x.shape), x.dtype), tuple(row))
    (measured, places), carry = lax.fori_loop(0, count, body, (rows, carry))
    return measured, places, carry
