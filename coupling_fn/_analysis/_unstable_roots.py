r"""How many roots of a delayed linear network are unstable, by the argument principle.

Of m states, $m / 2 - \frac{1}{\pi} [\arg\det K(\omega)]_0^\infty$ roots have a positive real part. The
turn between two frequencies is known from the phases of the two determinants up to whole turns, and
from derivatives at the two within less than half a turn, which is bounded.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import while_loop
from ._linear import Jacobians, eigenvalue_scale
from ._response import as_complex, size_of, without_delays
from ._stretch import (
    SOLID,
    balanced,
    bounds_of,
    inverted,
    matrix_at,
    product,
    spectral,
    stretch_between,
    trace,
)

PHASE = 0.7  # Bound on the error of an estimated phase, to either side of a frequency. [rad]
STEPS = 20_000


class Count(NamedTuple):
    """The number of unstable roots, and whether it is sure."""

    unstable: Float[Array, ""]
    sure: Array


class _Walk(NamedTuple):
    """A walk along the imaginary axis, which adds up how the phase of the determinant turns.

    Attributes:
        left: where the next interval begins. [rad/ms]
        half: half its length. [rad/ms]
        phase: the phase at the last centre, up to whole turns. [rad]
        ahead: the estimated turn from there to `left`. [rad]
        turned: the turn from 0 to the last centre. [rad]
        begun: whether there is a last centre.
        ended: whether the last centre was beyond all roots.
        sure: whether every turn is known beyond doubt.
        steps: how many matrices were factorised.
    """

    left: Array
    half: Array
    phase: Array
    ahead: Array
    turned: Array
    begun: Array
    ended: Array
    sure: Array
    steps: Array


def is_stable(jac: Jacobians) -> Array:
    """Return whether no root is unstable, beyond doubt; it is not differentiated."""
    count = count_unstable(jax.tree.map(lax.stop_gradient, jac))
    return count.sure & (count.unstable == 0)


def count_unstable(jac: Jacobians) -> Count:
    r"""Count the roots with a positive real part, by the argument principle.

    Of the m states, $m / 2 - \frac{1}{\pi} [\arg\det\Delta(\omega)]_0^\infty$ roots are unstable. The
    turn between two frequencies is known from the phases of two determinants up to whole turns, and
    from derivatives within less than half a turn, which is bounded. It is unsure where a root lies on
    the axis up to rounding.
    """
    stretch = balanced(stretch_between(jac, jac, jac))
    bounds, size = bounds_of(stretch), size_of(jac)
    dtype = stretch.instantaneous.dtype
    zero = jnp.zeros((), dtype)
    scale = eigenvalue_scale(without_delays(jac))
    smallest = 64 * jnp.finfo(dtype).eps * scale
    identity = as_complex(jnp.eye(size, dtype=dtype))

    def step(walk: _Walk) -> _Walk:
        centre = walk.left + walk.half
        at = matrix_at(stretch, centre, zero)
        inverse, phase = inverted(at.value)
        turn = product(inverse, at.by_omega)
        slope = trace(turn).imag
        bend = ((inverse * at.curvature.T).sum() - (turn * turn.T).sum()).imag
        behind, ahead = (walk.half * (slope + sign * walk.half * bend / 2) for sign in (-1, 1))
        size_of_turn, square = spectral(turn), jnp.square(jnp.abs(turn)).sum()
        size_of_inverse = spectral(inverse)
        change = walk.half * (size_of_turn + size_of_inverse * bounds.omega * walk.half)
        frobenius = [jnp.sqrt(jnp.square(jnp.abs(x)).sum()) for x in (inverse, at.curvature)]
        cubed = walk.half**3 * (
            square * size_of_turn / 3
            + size_of_inverse * frobenius[1] * jnp.sqrt(square) / 2
            + frobenius[0] * bounds.third / 6
        )
        fits = (change <= SOLID) & (cubed <= PHASE)
        # The determinant is real at 0, so its phase there is 0 up to half turns.
        estimate = walk.ahead + behind
        difference = phase - walk.phase - estimate
        off = jnp.where(walk.begun, _wrapped(difference, 2 * np.pi), _wrapped(difference, np.pi))
        limit = jnp.where(walk.begun, 2 * PHASE, PHASE) + 0.1
        turned = walk.turned + estimate + off
        # Beyond `largest`, det = (i omega)^m det(I - Y) with a small Y, whose phase is a series.
        rest = identity - at.value / lax.complex(zero, jnp.where(centre == 0, 1, centre))
        share = bounds.largest / centre
        tail = (trace(rest) + (rest * rest.T).sum() / 2).imag
        tail_error = jnp.square(jnp.abs(rest)).sum() * share / 3
        ended = fits & (share <= SOLID) & (tail_error <= PHASE * (1 - SOLID))
        last = _wrapped(size * np.pi / 2 - phase - tail, 2 * np.pi)
        turned = jnp.where(ended, turned + tail + last, turned)
        sure = (jnp.abs(off) <= limit) & (~ended | (jnp.abs(last) <= PHASE + 0.1))
        factor = 0.8 * jnp.minimum(SOLID / change, jnp.cbrt(PHASE / cubed))
        factor = jnp.where(jnp.isfinite(factor), jnp.clip(factor, 0.1, 2.0), 0.1)
        half = walk.half * factor
        return _Walk(
            jnp.where(fits, centre + walk.half, walk.left),
            half,
            jnp.where(fits, phase, walk.phase),
            jnp.where(fits, ahead, walk.ahead),
            jnp.where(fits, turned, walk.turned),
            walk.begun | fits,
            ended,
            (walk.sure & (sure | ~fits)) & (half > smallest),
            walk.steps + 1,
        )

    def unfinished(walk: _Walk) -> Array:
        return ~walk.ended & walk.sure & (walk.steps < STEPS)

    no = jnp.asarray(False)
    start = _Walk(zero, scale / 8, zero, zero, zero, no, no, ~no, jnp.asarray(0))
    walk = while_loop(unfinished, step, start)
    number = size / 2 - walk.turned / np.pi
    whole = jnp.round(number)
    return Count(whole, walk.ended & walk.sure & (jnp.abs(number - whole) < 0.05))


def _wrapped(phase: Array, turn: float) -> Array:
    return phase - turn * jnp.round(phase / turn)
