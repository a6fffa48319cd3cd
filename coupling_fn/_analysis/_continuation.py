r"""A fixed point followed along a parameter, up to where it ends or a root reaches the imaginary axis.

The parameter is counted by t from 0 to 1. On each stretch of t the fixed point is found at five places
by Newton's method, each from what the last ones foretell, and the ingredients of the matrix of
`_stretch` are made parabolas. How much they differ from these at the two places between is known. A
stretch is halved as long as they differ too much, the fixed point is lost, or the roots cannot be told
apart; it is doubled after each success. Near a fold, where the fixed point ends, stretches shrink
geometrically.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from .._core import scan, solve, while_loop
from ._crossing import first_crossing, no_crossing
from ._fixed_point import corrected
from ._linear import Jacobians, eigenvalue_scale
from ._response import without_delays
from ._stretch import differing, norm, size_on, stretch_between
from ._unstable_roots import count_unstable

# What became of a fixed point. If doubtful, several roots or a fold are too near to be told apart.
STABLE, CROSSED, DOUBTFUL, ENDED, UNSTABLE, MISSING, UNSURE = range(7)

STRETCHES = 1000
# Changes of the matrix on a stretch, as multiples of its own size at the beginning: the longest stretch.
WIDEST = 2.0
# Differences from parabolas, as shares of the change: the most, and the most where there is a crossing.
ROUGH, SMOOTH = 0.05, 1e-3
# The next value foretold by the last ones: of the first place from the tangent, then by polynomials.
FORETOLD = ((1, 0, 0, 0), (2, -1, 0, 0), (3, -3, 1, 0), (4, -6, 4, -1))


class Followed(NamedTuple):
    """Where a fixed point was followed to.

    Attributes:
        what: what became of it, one of the names above.
        t: where; just before its end, if it ended.
        x: the fixed point there, or the last one before.
        omega: the frequency of the root on the imaginary axis. [rad/ms]
        scale: the typical size of an eigenvalue at the beginning. [1/ms]
        width: the length of the last stretch, in t.
    """

    what: Array
    t: Float[Array, ""]
    x: Float[Array, " m"]
    omega: Float[Array, ""]
    scale: Float[Array, ""]
    width: Float[Array, ""]


class _Path(NamedTuple):
    """A path on its way: how far it has come, the derivatives there, and the next stretch."""

    what: Array
    t: Array
    x: Array
    jac: Jacobians
    width: Array
    omega: Array
    ended: Array
    steps: Array


def follow(
    still: Callable[[Array, Array], Array],
    jacobian: Callable[[Array, Array], Jacobians],
    start: Float[Array, " m"],
) -> Followed:
    """Follow a fixed point from t = 0 to 1, or to where it is no longer there or no longer stable.

    Args:
        still: function of t and the states: their rates of change.
        jacobian: function of t and the states: the derivatives.
        start: the fixed point at t = 0.
    """
    dtype = start.dtype
    eps = jnp.finfo(dtype).eps
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)

    def shortest(t: Array) -> Array:
        return jnp.maximum(1e-7, 1e3 * eps) * jnp.maximum(t, 1e-3)

    def ahead(path: _Path):
        """Return the fixed points and derivatives at four places of the next stretch."""
        by_t = jax.jvp(lambda t: still(t, path.x), (path.t,), (one,))[1]
        tangent = -solve(jax.jacfwd(lambda x: still(path.t, x))(path.x), by_t)
        tangent = jnp.where(jnp.isfinite(tangent) & by_t.any(), tangent, 0)
        first = path.x + tangent * path.width / 4

        def next_place(last, at):
            share, weights = at
            guess = jnp.tensordot(weights, last, axes=1, precision=lax.Precision.HIGHEST)
            guess = jnp.where(share <= 0.25, first, guess)
            t = path.t + path.width * share
            x, ok = corrected(lambda x: still(t, x), guess)
            return jnp.concatenate([x[None], last[:-1]]), (x, ok, jacobian(t, x))

        last = jnp.stack([path.x, *[jnp.zeros_like(path.x)] * 3])
        shares = jnp.asarray([0.25, 0.5, 0.75, 1.0], dtype)
        return scan(next_place, last, (shares, jnp.asarray(FORETOLD, dtype)))[1]

    def step(path: _Path) -> _Path:
        xs, found, jacs = ahead(path)
        quarter, middle, late, last = (jax.tree.map(lambda x, n=n: x[n], jacs) for n in range(4))
        stretch = stretch_between(path.jac, middle, last)
        error = tuple(
            2 * jnp.maximum(a, b)
            for a, b in zip(
                differing(stretch, quarter, -0.5), differing(stretch, late, 0.5), strict=True
            )
        )
        own, change, turning = size_on(stretch)
        # Differences by rounding alone are none.
        most, turned = (
            jnp.where(norm(e) <= 256 * eps * size, 0, norm(e))
            for e, size in zip(error, (own + change, turning[1]), strict=True)
        )
        error = (jnp.where(most > 0, error[0], 0), jnp.where(turned > 0, error[1], 0))
        stretch = stretch._replace(error=error)
        even = (most <= ROUGH * change) & (turned <= ROUGH * turning[0])
        smooth = (most <= SMOOTH * change) & (turned <= SMOOTH * turning[0])
        short = path.width <= 2 * shortest(path.t)
        good = found.all() & even & (change <= WIDEST * own)
        crossing = lax.cond(good, lambda: first_crossing(stretch), lambda: no_crossing(zero))
        apart = (crossing.simple | (most + turned == 0)) & ~crossing.coarse
        told = ~crossing.found | short | (smooth & apart)
        good = good & crossing.sure & told
        crossed = good & crossing.found
        s = (crossing.s + 1) / 2
        lost = ~good & short
        sort = jnp.where(apart, CROSSED, DOUBTFUL)
        what = jnp.where(crossed, sort, jnp.where(lost, ENDED, path.what))
        t = jnp.where(good, path.t + path.width * jnp.where(crossed, s, 1), path.t)
        # Up to rounding, the last stretch ends at 1.
        complete = good & ~crossed & (t >= 1 - 4 * eps)
        width = jnp.where(good, 2 * path.width, path.width / 2)
        keep = good & ~crossed
        return _Path(
            what,
            t,
            jnp.where(
                good, jnp.where(crossed, xs[jnp.clip((4 * s).astype(int) - 1, 0, 3)], xs[3]), path.x
            ),
            jax.tree.map(lambda new, old: jnp.where(keep, new, old), last, path.jac),
            jnp.where(crossed | lost, path.width, jnp.minimum(width, jnp.maximum(1 - t, eps))),
            jnp.where(crossed, jnp.abs(crossing.omega), path.omega),
            crossed | lost | complete,
            path.steps + 1,
        )

    def unfinished(path: _Path) -> Array:
        return ~path.ended & (path.steps < STRETCHES)

    jac = jacobian(zero, start)
    there = jnp.isfinite(start).all()
    # Of a matrix of zeros the count is unsure, at once.
    count = count_unstable(jax.tree.map(lambda x: jnp.where(there, x, 0), jac))
    what = jnp.where(count.sure, jnp.where(count.unstable == 0, STABLE, UNSTABLE), UNSURE)
    what = jnp.where(there, what, MISSING)
    path = _Path(what, zero, start, jac, one, zero, what != STABLE, jnp.asarray(0))
    path = while_loop(unfinished, step, path)
    what = jnp.where(path.ended, path.what, UNSURE)
    scale = eigenvalue_scale(without_delays(jac))
    return Followed(what, path.t, path.x, path.omega, scale, path.width)
