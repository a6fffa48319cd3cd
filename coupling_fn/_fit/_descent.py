"""One step of a descent: a loss, its gradient, the optimiser's update, and the retreat after a break."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from .._core import PyTree, as_arguments
from ._derivatives import value_and_gradient
from ._leaves import Fitted, Unconstrained, one_float, strong, widest

LBFGS = optax.lbfgs()  # one object, so that the next call finds the compiled descent


class Problem(eqx.Module):
    """What a step consists of; its arrays may change without compiling again.

    Attributes:
        loss: function of params, and of a batch where there is one.
        optimizer: moves the unconstrained values.
        fitted: the leaves that are fitted.
        batch: from the number of the step to its batch; None if the loss takes none.
        derivative: the mode of the gradient, as in `fit`.
    """

    loss: Callable[..., Array]
    optimizer: optax.GradientTransformation
    fitted: Fitted
    batch: Callable[[Array], PyTree] | None = None
    derivative: str = eqx.field(static=True, default="auto")


class Carry(NamedTuple):
    """Where a descent is.

    Attributes:
        unconstrained: the point to measure next.
        state: that of the optimiser.
        good: the last point where the loss and its gradient were finite.
        scale: what updates are multiplied by: 1, halved each time the loss was not finite.
        step: the number of steps made.
    """

    unconstrained: Unconstrained
    state: PyTree
    good: Unconstrained
    scale: Array
    step: Array


class Best(NamedTuple):
    """The smallest loss of a descent so far, and where it was."""

    loss: Array
    unconstrained: Unconstrained


def begin(optimizer: optax.GradientTransformation, unconstrained: Unconstrained) -> Carry:
    """Return the carry of a descent that starts at `unconstrained`."""
    state = jax.tree.map(
        lambda x: strong(x) if eqx.is_array_like(x) else x, optimizer.init(unconstrained)
    )
    scale = jnp.ones((), widest(unconstrained))
    return Carry(unconstrained, state, unconstrained, scale, jnp.zeros((), jnp.int32))


def descend_once(problem: Problem, carry: Carry) -> tuple[Array, tuple[Array, ...], Carry]:
    """Measure the loss at a point, and move on from it.

    Where the loss or its gradient is not finite, the next point lies half the way back to the last
    good one, the optimiser's state stays as it was, and all later updates are half as large.

    Returns:
        The loss and whether it and its gradient are finite, in one array; the fitted leaves where
        they were measured; and the carry of the next step.
    """
    batch = () if problem.batch is None else (problem.batch(carry.step),)

    def loss_at(unconstrained: Unconstrained) -> Array:
        return one_float(problem.loss(problem.fitted.at(unconstrained), *batch))

    here, state = carry.unconstrained, carry.state
    value, gradient = value_and_gradient(loss_at, here, problem.derivative)
    good = jnp.stack([jnp.isfinite(value), *(jnp.isfinite(g).all() for g in gradient)]).all()
    # One array, so that the host waits once per step.
    measured = jnp.stack([value, good.astype(value.dtype)])
    with jax.numpy_dtype_promotion("standard"):  # adam takes a float to an integer power
        updates, moved = optax.with_extra_args_support(problem.optimizer).update(
            gradient, state, here, value=value, grad=gradient, value_fn=loss_at
        )
    stepped = optax.apply_updates(here, updates)
    shorter = jax.tree.map(lambda u, to: u + carry.scale.astype(u.dtype) * (to - u), here, stepped)
    # A product with a scale of 1 would round a fit that never broke differently from optax alone.
    stepped = jax.tree.map(lambda s, to: jnp.where(carry.scale < 1, s, to), shorter, stepped)
    either = partial(jax.tree.map, lambda new, old: jnp.where(good, new, old.astype(new.dtype)))
    back = jax.tree.map(lambda now, last: last + (now - last) / 2, here, carry.good)
    after = Carry(
        unconstrained=either(stepped, back),
        state=jax.tree.map(lambda new, old: jnp.where(good, new, old), moved, state),
        good=either(here, carry.good),
        scale=jnp.where(good, carry.scale, carry.scale / 2),
        step=carry.step + 1,
    )
    return measured, problem.fitted.values(here), jax.tree.map(strong, after)


def descend(problem: Problem, unconstrained: Unconstrained, steps: int) -> Best:
    """Make `steps` steps, inside `jit` or `vmap`, and return the best point."""

    def one(carry: tuple[Carry, Best], x: None) -> tuple[tuple[Carry, Best], None]:
        now, best = carry
        measured, _, after = descend_once(problem, now)
        better = measured[0] < best.loss  # never where it is NaN
        point = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), now.unconstrained, best.unconstrained
        )
        least = jnp.where(better, measured[0].astype(best.loss.dtype), best.loss)
        return (after, Best(least, point)), None

    inf = jnp.full((), jnp.inf, widest(unconstrained))
    start = (begin(problem.optimizer, unconstrained), Best(inf, unconstrained))
    (_, best), _ = lax.scan(one, start, None, length=steps + 1)
    return best


def split(problem: Problem) -> tuple[list[Any], Any]:
    """Separate the arrays that a step takes in from the rest, for which it is compiled.

    `eqx.filter_jit` does this at every call; doing it once per fit saves about 0.2 ms per step.
    """
    leaves, tree = jax.tree.flatten(as_arguments(problem))
    arrays = [x if eqx.is_array(x) else None for x in leaves]
    return arrays, (tree, tuple(None if eqx.is_array(x) else x for x in leaves))


@partial(jax.jit, static_argnums=(0, 1, 2))
def compiled_steps(
    program: Any, many: bool, room: int, arrays: list[Any], carry: Carry, count: Array | int
) -> tuple[Array, tuple[Array, ...], Carry]:
    """Make `count` steps of `descend_once`, for one start or for many at once.

    All counts up to `room` are one program, so the way in which a fit is cut into calls changes
    no bit of it.

    Args:
        program: what `split` returns beside the arrays: the step is compiled for it.
        many: whether the leading axis of the carry counts starts.
        room: the number of rows returned; those from `count` on are 0.
        arrays: the arrays of the problem.
        carry: where the descent is.
        count: the number of steps.
    """
    tree, rest = program

    @jax.jit  # traced once, for the shapes of its rows and for the loop
    def once(arrays: list[Any], carry: Carry) -> tuple[Array, tuple[Array, ...], Carry]:
        leaves = [x if a is None else a for a, x in zip(arrays, rest, strict=True)]
        one = partial(descend_once, jax.tree.unflatten(tree, leaves))
        return jax.vmap(one)(carry) if many else one(carry)

    def body(i: Any, so_far: Any) -> Any:
        rows, now = so_far
        *row, after = once(arrays, now)
        return jax.tree.map(lambda all_, one: all_.at[i].set(one), rows, tuple(row)), after

    *row, _ = jax.eval_shape(once, arrays, carry)
    rows = jax.tree.map(lambda x: jnp.zeros((room, *x.shape), x.dtype), tuple(row))
    (measured, leaves), carry = lax.fori_loop(0, count, body, (rows, carry))
    return measured, leaves, carry
