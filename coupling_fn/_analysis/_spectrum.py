r"""Where the roots of a delayed linear network lie: how many are unstable, and when the first one is.

The matrix $\Delta = K$ of `_response` is looked at along a stretch of a parameter, on which its
ingredients are quadratic in s from -1 to 1:

$$\Delta(\omega, s) = i \omega I - A^0(s) - \sum_d A^d(s)\, e^{-i \omega \tau^d(s)}.$$

Nothing is sampled blindly. A rectangle around a centre holds no root if $\|R\, \delta\Delta\| < 1$ in
all of it, with $R = \Delta^{-1}$ at the centre, and the change $\delta\Delta$ is bounded by its
derivatives. So steps are as long as the matrix itself allows.
"""

from typing import NamedTuple

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax import Array, lax
from jaxtyping import Complex, Float

from ._linear import Jacobians, eigenvalue_scale
from ._response import HIGHEST, as_complex, size_of, without_delays

SOLID = 0.6  # Bound on the relative change of a matrix within a rectangle; below 1 it has no root.
PHASE = 0.7  # Bound on the error of an estimated phase, to either side of a frequency. [rad]
COUNT_STEPS = 20_000
SEARCH_STEPS = 20_000
POWER_STEPS = 6
NEWTON_STEPS = 12


class Stretch(NamedTuple):
    """The ingredients of the matrix along a stretch of a parameter; index 0 is the power of s.

    Attributes:
        instantaneous: the derivatives by the present. [1/ms]
        gains: those by the past, per delayed coupling. [1/ms]
        delays: the delays of these. [ms]
        error: bound on what the matrix differs from this by, a part that is constant in the frequency,
            and one that grows with it. [1/ms], [1]
    """

    instantaneous: Float[Array, "power m m"]
    gains: tuple[Float[Array, "power m m"], ...]
    delays: tuple[Float[Array, "power region region"], ...]
    error: tuple[Float[Array, ""], Float[Array, ""]]


class Bounds(NamedTuple):
    """Bounds on norms over a whole stretch, for the second derivatives of the matrix.

    Attributes:
        largest: norm of the matrix without i omega, on the stretch; beyond it no root is possible.
        omega: half the second derivative by the frequency.
        mixed: the mixed derivative; a constant, and what grows with the frequency.
        s: half the second derivative by s; a constant, and what grows with omega and its square.
        third: Frobenius norm of the third derivative by the frequency.
    """

    largest: Array
    omega: Array
    mixed: tuple[Array, Array]
    s: tuple[Array, Array, Array]
    third: Array


class Matrix(NamedTuple):
    """The matrix at one point: its value, and its derivatives by omega, omega twice, and s."""

    value: Complex[Array, "m m"]
    by_omega: Complex[Array, "m m"]
    curvature: Complex[Array, "m m"]
    by_s: Complex[Array, "m m"]


def stretch_between(first: Jacobians, middle: Jacobians, last: Jacobians) -> Stretch:
    """Interpolate the ingredients between three values of the parameter, by parabolas."""
    size = size_of(middle)

    def parabola(a, b, c, shape):
        a, b, c = (x.reshape(shape) for x in (a, b, c))
        return jnp.stack([b, (c - a) / 2, (a + c) / 2 - b])

    zero = jnp.zeros((), middle.instantaneous.dtype)
    return Stretch(
        parabola(first.instantaneous, middle.instantaneous, last.instantaneous, (size, size)),
        tuple(
            parabola(*g, (size, size))
            for g in zip(first.gains, middle.gains, last.gains, strict=True)
        ),
        tuple(
            parabola(*d, d[0].shape)
            for d in zip(first.delays, middle.delays, last.delays, strict=True)
        ),
        (zero, zero),
    )


def differing(stretch: Stretch, jac: Jacobians, s: float) -> tuple[Array, Array]:
    """Bound how much a network's matrix differs from a stretch at s, as in `Stretch.error`."""
    size = stretch.instantaneous.shape[1]
    still = jnp.abs(_at(stretch.instantaneous, s) - jac.instantaneous.reshape(size, size))
    turning = jnp.zeros_like(still)
    for gain, delay, own, lag in zip(
        stretch.gains, stretch.delays, jac.gains, jac.delays, strict=True
    ):
        own = own.reshape(size, size)
        still = still + jnp.abs(_at(gain, s) - own)
        turning = turning + jnp.abs(own) * _tiled(jnp.abs(_at(delay, s) - lag), size)
    return _norm(still), _norm(turning)


def size_on(stretch: Stretch) -> tuple[Array, Array, tuple[Array, Array]]:
    """Bound the matrix at the beginning of a stretch, its change, and the change and size of delays."""
    size = stretch.instantaneous.shape[1]
    own, change = (part(stretch.instantaneous) for part in (_first, _moved))
    turned, turns = jnp.zeros_like(own), jnp.zeros_like(own)
    for gain, delay in zip(stretch.gains, stretch.delays, strict=True):
        own, change = own + _first(gain), change + _moved(gain)
        most = jnp.abs(gain).sum(0)
        turned = turned + most * _tiled(_moved(delay), size)
        turns = turns + most * _tiled(jnp.abs(delay).sum(0), size)
    return _norm(own), _norm(change), (_norm(turned), _norm(turns))


def _first(powers: Array) -> Array:
    return jnp.abs(_at(powers, -1.0))


def _moved(powers: Array) -> Array:
    return jnp.abs(powers[1]) + jnp.abs(powers[2])


def balanced(stretch: Stretch) -> Stretch:
    """Scale the states so that rows and columns of the matrices are about equally large.

    Roots do not depend on the units of states, and norms do: bounds are then much tighter. The
    factors are those of E. E. Osborne, J. ACM 7, 338 (1960), for all states at once.
    """
    size = stretch.instantaneous.shape[1]
    whole = jnp.abs(stretch.instantaneous).sum(0)
    whole = whole + sum((jnp.abs(gain).sum(0) for gain in stretch.gains), jnp.zeros_like(whole))
    whole = whole * (1 - jnp.eye(size, dtype=whole.dtype))

    def turn(_, log_scale):
        scale = jnp.exp(log_scale)
        scaled = whole * scale[None] / scale[:, None]
        rows, columns = scaled.sum(1), scaled.sum(0)
        coupled = (rows > 0) & (columns > 0)
        ratio = jnp.where(coupled, rows, 1) / jnp.where(coupled, columns, 1)
        return jnp.clip(log_scale + jnp.log(ratio) / 4, -15, 15)

    scale = jnp.exp(lax.fori_loop(0, 20, turn, jnp.zeros(size, whole.dtype)))
    factor = (scale[None] / scale[:, None])[None]
    spread = factor.max()
    return Stretch(
        stretch.instantaneous * factor,
        tuple(gain * factor for gain in stretch.gains),
        stretch.delays,
        (stretch.error[0] * spread, stretch.error[1] * spread),
    )


def bounds_of(stretch: Stretch) -> Bounds:
    """Bound the norms of the matrix and of its second derivatives over a stretch."""
    size = stretch.instantaneous.shape[1]
    now = jnp.abs(stretch.instantaneous)
    zero = jnp.zeros_like(now[0])
    largest, by_s2 = now.sum(0), now[2]
    omega, mixed, mixed_omega, s_omega, s_omega2, third = (zero,) * 6
    for gain, delay in zip(stretch.gains, stretch.delays, strict=True):
        a, t = jnp.abs(gain), jnp.stack([_tiled(x, size) for x in jnp.abs(delay)])
        whole, slope, lag, lag_slope = a.sum(0), a[1] + 2 * a[2], t.sum(0), t[1] + 2 * t[2]
        largest, by_s2 = largest + whole, by_s2 + a[2]
        omega, third = omega + whole * lag**2 / 2, third + whole * lag**3
        mixed = mixed + lag * slope + lag_slope * whole
        mixed_omega = mixed_omega + lag * lag_slope * whole
        s_omega = s_omega + lag_slope * slope + t[2] * whole
        s_omega2 = s_omega2 + lag_slope**2 * whole / 2
    return Bounds(
        _norm(largest) + stretch.error[0],
        _norm(omega),
        (_norm(mixed), _norm(mixed_omega)),
        (_norm(by_s2), _norm(s_omega), _norm(s_omega2)),
        jnp.sqrt(jnp.square(third).sum()),
    )


def matrix_at(stretch: Stretch, omega: Array, s: Array) -> Matrix:
    """Compute the matrix and its derivatives at a frequency and a place of the stretch."""
    size = stretch.instantaneous.shape[1]
    real, imaginary = jnp.zeros((2, 4, size, size), stretch.instantaneous.dtype)
    real = real.at[0].set(-_at(stretch.instantaneous, s))
    real = real.at[3].set(-_slope(stretch.instantaneous, s))
    for gain, delay in zip(stretch.gains, stretch.delays, strict=True):
        lag, lag_slope = _at(delay, s), _slope(delay, s)
        c, si = jnp.cos(omega * lag), jnp.sin(omega * lag)
        c, si, lag, lag_slope = (_tiled(x, size) for x in (c, si, lag, lag_slope))
        a, slope = _at(gain, s), _slope(gain, s)
        turned = omega * lag_slope * a
        # exp(-i omega lag) = c - i si, times -a, i lag a, lag² a, and -(slope - i turned).
        real = real + jnp.stack(
            [-a * c, lag * a * si, lag**2 * a * c, -slope * c + turned * si]
        )
        imaginary = imaginary + jnp.stack(
            [a * si, lag * a * c, -(lag**2) * a * si, slope * si + turned * c]
        )
    eye = jnp.eye(size, dtype=real.dtype)
    imaginary = imaginary.at[0].add(omega * eye).at[1].add(eye)
    return Matrix(*lax.complex(real, imaginary))


# --- how many roots are unstable -------------------------------------------------------------------


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
        inverse, phase = _inverted(at.value)
        turn = _product(inverse, at.by_omega)
        slope = _trace(turn).imag
        bend = ((inverse * at.curvature.T).sum() - (turn * turn.T).sum()).imag
        behind, ahead = (walk.half * (slope + sign * walk.half * bend / 2) for sign in (-1, 1))
        size_of_turn, square = _spectral(turn), jnp.square(jnp.abs(turn)).sum()
        size_of_inverse = _spectral(inverse)
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
        tail = (_trace(rest) + (rest * rest.T).sum() / 2).imag
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
        return ~walk.ended & walk.sure & (walk.steps < COUNT_STEPS)

    no = jnp.asarray(False)
    start = _Walk(zero, scale / 8, zero, zero, zero, no, no, ~no, jnp.asarray(0))
    walk = lax.while_loop(unfinished, step, start)
    number = size / 2 - walk.turned / np.pi
    whole = jnp.round(number)
    return Count(whole, walk.ended & walk.sure & (jnp.abs(number - whole) < 0.05))


# --- the first root on the axis --------------------------------------------------------------------


class Crossing(NamedTuple):
    """The first place of a stretch at which a root lies on the imaginary axis.

    Attributes:
        s: that place, from -1 to 1; 1 where there is none.
        omega: the frequency of the root. [rad/ms]
        found: whether there is one.
        simple: whether it was told apart from all others.
        sure: whether all of the stretch before it is known to be free of others.
    """

    s: Array
    omega: Array
    found: Array
    simple: Array
    sure: Array


def no_crossing(zero: Float[Array, ""]) -> Crossing:
    """Return a crossing that is none, in the dtype of `zero`."""
    no = jnp.asarray(False)
    return Crossing(zero + 1, zero, no, no, ~no)


class _Search(NamedTuple):
    """A search on its way, by columns from frequency 0 on, each in rectangles from s = -1 on.

    Attributes:
        left: where the column begins. [rad/ms]
        half: half its width. [rad/ms]
        bottom: where the next rectangle in it begins.
        tall: half of the height of that.
        crossing: the first root so far; above it nothing needs to be known.
        ended: whether all frequencies were looked at.
        steps: how many rectangles were looked at.
    """

    left: Array
    half: Array
    bottom: Array
    tall: Array
    crossing: Crossing
    ended: Array
    steps: Array


def first_crossing(stretch: Stretch) -> Crossing:
    """Find the first s of a stretch at which a root lies on the imaginary axis.

    In a rectangle of frequencies and s, the matrix is bordered by the directions of its smallest
    singular value. Where the bordered matrix has no root, those of the matrix are those of one number,
    gamma, whose linear part and the bound on the rest of it tell whether there is one.
    """
    stretch = balanced(stretch)
    bounds = bounds_of(stretch)
    dtype = stretch.instantaneous.dtype
    eps = jnp.finfo(dtype).eps
    finest = eps**0.5 / 2
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    scale = eigenvalue_scale(_at(stretch.instantaneous, 1.0) + sum(
        (_at(gain, 1.0) for gain in stretch.gains), jnp.zeros_like(stretch.instantaneous[0])
    ))
    end = bounds.largest * (1 + 1e-3)

    def step(search: _Search) -> _Search:
        half, tall, crossing = search.half, search.tall, search.crossing
        omega, s = search.left + half, search.bottom + tall
        at = matrix_at(stretch, omega, s)
        border = _bordered(at)
        most = jnp.abs(omega) + half
        error = stretch.error[0] + most * stretch.error[1] + 8 * eps * (bounds.largest + most)
        mixed = bounds.mixed[0] + most * bounds.mixed[1]
        curved = bounds.s[0] + most * (bounds.s[1] + most * bounds.s[2])
        second = bounds.omega * half**2 + mixed * half * tall + curved * tall**2 + error
        by_omega, by_s = (_product(border.inverse, x) for x in (at.by_omega, at.by_s))
        size = _spectral(border.inverse)
        share_omega = _spectral(by_omega) * half + size * bounds.omega * half**2
        share_s = _spectral(by_s) * tall + size * (curved * tall + mixed * half) * tall
        change = share_omega + share_s + size * error
        solid = change <= SOLID
        # The linear part of gamma, in units of the rectangle, and a bound on the rest.
        w, z, length = border.left, border.right, jnp.linalg.norm
        lean = length(_product(w, at.by_omega)) * half + length(_product(w, at.by_s)) * tall + length(w) * second
        moved = length(_product(by_omega, z)) * half + length(_product(by_s, z)) * tall + size * second * length(z)
        rest = lean * moved / (1 - jnp.minimum(change, SOLID)) + length(w) * length(z) * second
        slopes = _slopes(at, w, z) * as_complex(jnp.stack([half, tall]))
        near, spread, singular = _linear_root(border.gamma, slopes)
        outside = (jnp.abs(near) - spread * rest > 1.001).any()
        away = jnp.abs(border.gamma) > jnp.abs(slopes).sum() + rest
        free = solid & (outside | away)
        single = solid & (singular >= 4 * rest) & ~free
        start = jnp.stack([omega, s]) + near * jnp.stack([half, tall])
        root, met = lax.cond(
            single,
            lambda: _polished(stretch, border, start, jnp.stack([half, tall])),
            lambda: (start, jnp.asarray(False)),
        )
        inside = (jnp.abs(root - jnp.stack([omega, s])) <= 1.01 * jnp.stack([half, tall])).all()
        # A rectangle that cannot be smaller holds several roots at one place, up to rounding.
        narrow = half <= finest * (jnp.abs(omega) + scale)
        flat = (tall <= finest) | ((size * error > 0.2) & (tall < 1 / 64))
        stuck = ~free & ~(single & met) & flat & (narrow | (size * error > 0.2))
        hit = single & met & inside & (root[1] < crossing.s)
        clear = free | (single & met)
        crossing = Crossing(
            jnp.where(hit, root[1], jnp.where(stuck, jnp.minimum(s, crossing.s), crossing.s)),
            jnp.where(hit, root[0], jnp.where(stuck, omega, crossing.omega)),
            crossing.found | hit | stuck,
            jnp.where(hit, True, jnp.where(stuck, False, crossing.simple)),
            crossing.sure,
        )
        top = jnp.where(clear, search.bottom + 2 * tall, search.bottom)
        done = stuck | (crossing.s - top <= finest / 4)
        # Of the two sides of a rectangle that is too large, the one that changes the matrix more.
        flatter = ~clear & ~stuck & ~flat & ((share_s >= share_omega) | narrow)
        thinner = ~clear & ~stuck & ~flatter
        bottom = jnp.where(done, -one, top)
        room = (crossing.s - bottom) / 2
        tall = jnp.where(clear, 2 * tall, jnp.where(flatter, tall / 2, tall))
        left = jnp.where(done, search.left + 2 * half, search.left)
        half = jnp.where(done, 2 * half, jnp.where(thinner, half / 2, half))
        return _Search(
            left,
            half,
            bottom,
            jnp.where(done, room, jnp.minimum(tall, room)),
            crossing,
            left > end,
            search.steps + 1,
        )

    def unfinished(search: _Search) -> Array:
        return ~search.ended & (search.steps < SEARCH_STEPS)

    width = scale / 8
    ended = jnp.asarray(False)
    start = _Search(-width / 7, width, -one, one, no_crossing(zero), ended, jnp.asarray(0))
    search = lax.while_loop(unfinished, step, start)
    return search.crossing._replace(sure=search.ended)


class _Border(NamedTuple):
    """The inverse of the matrix bordered by the directions of its smallest singular value.

    Attributes:
        inverse: its first columns, (m + 1, m): the inverse without the largest part, and `left`.
        left: the last row of these.
        right: the last column of the bordered inverse.
        gamma: one over what the inverse takes from one direction to the other: 0 at a root.
        directions: the two directions.
    """

    inverse: Complex[Array, "rows m"]
    left: Complex[Array, " m"]
    right: Complex[Array, " m"]
    gamma: Complex[Array, ""]
    directions: tuple[Complex[Array, " m"], Complex[Array, " m"]]


def _bordered(at: Matrix) -> _Border:
    inverse, _ = _inverted(at.value)
    rows = jnp.square(jnp.abs(inverse)).sum(1)
    v = inverse[rows.argmax()].conj()

    def power(_, v):
        return _product(_product(inverse, v / _length(v)).conj(), inverse).conj()

    r = lax.fori_loop(0, POWER_STEPS, power, v)
    r = r / _length(r)
    l = _product(inverse, r)
    l = l / _length(l)
    left, right, gamma = _response(inverse, l, r)
    deflated = inverse - right[:, None] * left[None] / gamma
    return _Border(jnp.concatenate([deflated, left[None]]), left, right, gamma, (l, r))


def _response(inverse: Array, l: Array, r: Array) -> tuple[Array, Array, Array]:
    """Return the row and column of the bordered inverse, and gamma, given the two directions."""
    row, column = _product(l.conj(), inverse), _product(inverse, r)
    gamma = 1 / _product(row, r)
    return row * gamma, column * gamma, gamma


def _slopes(at: Matrix, left: Array, right: Array) -> Array:
    """Return the derivatives of gamma by the frequency and by s."""
    return jnp.stack([_product(_product(left, x), right) for x in (at.by_omega, at.by_s)])


def _polished(stretch: Stretch, border: _Border, start: Array, box: Array) -> tuple[Array, Array]:
    """Find the root of gamma near a place by Newton's method; also return whether there is one."""
    l, r = border.directions
    eps = jnp.finfo(start.dtype).eps

    def improve(carry):
        place, _, steps = carry
        at = matrix_at(stretch, *place)
        w, z, gamma = _response(_inverted(at.value)[0], l, r)
        change, _, _ = _linear_root(gamma, _slopes(at, w, z))
        # At the root itself nothing can be inverted, and there is nothing to improve.
        change = jnp.where(jnp.isfinite(change).all(), change, 0)
        small = (jnp.abs(change) <= 1e4 * eps * box + 16 * eps * jnp.abs(place)).all()
        return place + change, small, steps + 1

    def unfinished(carry):
        return ~carry[1] & (carry[2] < NEWTON_STEPS)

    place, met, _ = lax.while_loop(unfinished, improve, (start, jnp.asarray(False), jnp.asarray(0)))
    return place, met & (jnp.abs(place - start) <= 2 * box).all()


def _linear_root(value: Array, slopes: Array) -> tuple[Array, Array, Array]:
    """Solve value + slopes . change = 0 for two real numbers.

    Also returned are how far each moves per unit of an error in `value`, and a lower bound on the
    smallest singular value of the slopes.
    """
    (a, b), (c, d) = slopes.real, slopes.imag
    determinant = a * d - b * c
    safe = jnp.where(determinant == 0, 1, determinant)
    change = -jnp.stack([d * value.real - b * value.imag, a * value.imag - c * value.real]) / safe
    spread = jnp.stack([jnp.hypot(d, b), jnp.hypot(a, c)]) / jnp.abs(safe)
    whole = jnp.sqrt(a * a + b * b + c * c + d * d)
    singular = jnp.abs(determinant) / jnp.where(whole == 0, 1, whole)
    flat = determinant == 0
    return jnp.where(flat, 0, change), jnp.where(flat, jnp.inf, spread), singular


# --- small parts -----------------------------------------------------------------------------------


def _at(powers: Array, s: Array | float) -> Array:
    return powers[0] + s * (powers[1] + s * powers[2])


def _slope(powers: Array, s: Array | float) -> Array:
    return powers[1] + 2 * s * powers[2]


def _tiled(x: Array, size: int) -> Array:
    """Repeat a matrix over regions for all pairs of states."""
    return jnp.tile(x, (size // len(x),) * 2)


def _inverted(matrix: Array) -> tuple[Array, Array]:
    """Invert a matrix; also return the phase of its determinant, up to whole turns."""
    factors, pivots = jsp.linalg.lu_factor(matrix)
    swaps = (pivots != jnp.arange(len(matrix), dtype=pivots.dtype)).sum() % 2
    phase = jnp.angle(jnp.diag(factors)).sum() + np.pi * swaps.astype(matrix.real.dtype)
    identity = as_complex(jnp.eye(len(matrix), dtype=matrix.real.dtype))
    return jsp.linalg.lu_solve((factors, pivots), identity), phase


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=HIGHEST)


def _trace(a: Array) -> Array:
    return jnp.diag(a).sum()


def _length(v: Array) -> Array:
    norm = jnp.linalg.norm(v)
    return as_complex(jnp.where(norm == 0, 1, norm))


def _wrapped(phase: Array, turn: float) -> Array:
    return phase - turn * jnp.round(phase / turn)


def _norm(a: Float[Array, "m m"]) -> Array:
    """Bound the largest singular value of a matrix without negative entries."""
    mixed = jnp.sqrt(a.sum(0).max() * a.sum(1).max())
    return jnp.minimum(mixed, jnp.sqrt(jnp.square(a).sum()))


def _spectral(a: Complex[Array, "rows m"]) -> Array:
    """Bound the largest singular value of a matrix."""
    square = _product(a.conj().T, a)
    return jnp.minimum(jnp.sqrt(jnp.linalg.norm(square)), _norm(jnp.abs(a)))
