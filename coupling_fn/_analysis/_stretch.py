r"""The characteristic matrix of a delayed network along a parameter, with bounds on how it changes.

It is K of `_response`, here along a stretch of a parameter on which its ingredients are quadratic in s
from -1 to 1:

$$K(\omega, s) = i \omega I - A^0(s) - \sum_d A^d(s)\, e^{-i \omega \tau^d(s)}.$$

Nothing is sampled blindly. A rectangle around a centre holds no root of det K if $\|R\, \delta K\| < 1$
in all of it, with $R = K^{-1}$ at the centre, and the change $\delta K$ is bounded by its derivatives.
So steps are as long as the matrix itself allows.
"""

from typing import NamedTuple

import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax import Array, lax
from jaxtyping import Complex, Float

from .._core import one_by_one
from ._linear import Jacobians
from ._response import HIGHEST, as_complex, size_of

SOLID = 0.6  # Bound on the relative change of a matrix within a rectangle; below 1 it has no root.


class Stretch(NamedTuple):
    """The ingredients of the matrix along a stretch of a parameter; index 0 is the power of s.

    Attributes:
        instantaneous: the derivatives by the present. [1/ms]
        gains: those by the past, per delayed coupling. [1/ms]
        delays: the delays of these. [ms]
        error: bounds on what the entries of the matrix differ from this by, a part that is constant in
            the frequency, and one that grows with it. [1/ms], [1]
    """

    instantaneous: Float[Array, "power m m"]
    gains: tuple[Float[Array, "power m m"], ...]
    delays: tuple[Float[Array, "power region region"], ...]
    error: tuple[Float[Array, "m m"], Float[Array, "m m"]]


class Bounds(NamedTuple):
    """Bounds on norms over a whole stretch, for the second derivatives of the matrix.

    Attributes:
        largest: norm of the matrix without i omega, on the stretch; beyond it no root is possible.
        omega: half the second derivative by the frequency.
        mixed: the mixed derivative; a constant, and what grows with the frequency.
        s: half the second derivative by s; a constant, and what grows with omega and its square.
        third: Frobenius norm of the third derivative by the frequency.
        unknown: of `Stretch.error`.
    """

    largest: Array
    omega: Array
    mixed: tuple[Array, Array]
    s: tuple[Array, Array, Array]
    third: Array
    unknown: tuple[Array, Array]


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

    zero = jnp.zeros((size, size), middle.instantaneous.dtype)
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
    """Return how much the entries of a network's matrix differ from a stretch at s: `Stretch.error`."""
    size = stretch.instantaneous.shape[1]
    still = jnp.abs(at_place(stretch.instantaneous, s) - jac.instantaneous.reshape(size, size))
    turning = jnp.zeros_like(still)
    for gain, delay, own, lag in zip(
        stretch.gains, stretch.delays, jac.gains, jac.delays, strict=True
    ):
        own = own.reshape(size, size)
        still = still + jnp.abs(at_place(gain, s) - own)
        turning = turning + jnp.abs(own) * _tiled(jnp.abs(at_place(delay, s) - lag), size)
    return still, turning


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
    return norm(own), norm(change), (norm(turned), norm(turns))


def _first(powers: Array) -> Array:
    return jnp.abs(at_place(powers, -1.0))


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
    return Stretch(
        stretch.instantaneous * factor,
        tuple(gain * factor for gain in stretch.gains),
        stretch.delays,
        (stretch.error[0] * factor[0], stretch.error[1] * factor[0]),
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
    unknown = norm(stretch.error[0]), norm(stretch.error[1])
    return Bounds(
        norm(largest) + unknown[0],
        norm(omega),
        (norm(mixed), norm(mixed_omega)),
        (norm(by_s2), norm(s_omega), norm(s_omega2)),
        jnp.sqrt(jnp.square(third).sum()),
        unknown,
    )


def matrix_at(stretch: Stretch, omega: Array, s: Array) -> Matrix:
    """Compute the matrix and its derivatives at a frequency and a place of the stretch."""
    size = stretch.instantaneous.shape[1]
    real, imaginary = jnp.zeros((2, 4, size, size), stretch.instantaneous.dtype)
    real = real.at[0].set(-at_place(stretch.instantaneous, s))
    real = real.at[3].set(-slope_at(stretch.instantaneous, s))
    for gain, delay in zip(stretch.gains, stretch.delays, strict=True):
        lag, lag_slope = at_place(delay, s), slope_at(delay, s)
        c, si = jnp.cos(omega * lag), jnp.sin(omega * lag)
        c, si, lag, lag_slope = (_tiled(x, size) for x in (c, si, lag, lag_slope))
        a, slope = at_place(gain, s), slope_at(gain, s)
        turned = omega * lag_slope * a
        # exp(-i omega lag) = c - i si, times -a, i lag a, lag² a, and -(slope - i turned).
        real = real + jnp.stack([-a * c, lag * a * si, lag**2 * a * c, -slope * c + turned * si])
        imaginary = imaginary + jnp.stack(
            [a * si, lag * a * c, -(lag**2) * a * si, slope * si + turned * c]
        )
    eye = jnp.eye(size, dtype=real.dtype)
    imaginary = imaginary.at[0].add(omega * eye).at[1].add(eye)
    return Matrix(*lax.complex(real, imaginary))


def at_place(powers: Array, s: Array | float) -> Array:
    return powers[0] + s * (powers[1] + s * powers[2])


def slope_at(powers: Array, s: Array | float) -> Array:
    return powers[1] + 2 * s * powers[2]


def _tiled(x: Array, size: int) -> Array:
    """Repeat a matrix over regions for all pairs of states."""
    return jnp.tile(x, (size // len(x),) * 2)


@one_by_one
def inverted(matrix: Array) -> tuple[Array, Array]:
    """Invert a matrix; also return the phase of its determinant, up to whole turns."""
    factors, pivots = jsp.linalg.lu_factor(matrix)
    swaps = (pivots != jnp.arange(len(matrix), dtype=pivots.dtype)).sum() % 2
    phase = jnp.angle(jnp.diag(factors)).sum() + np.pi * swaps.astype(matrix.real.dtype)
    identity = as_complex(jnp.eye(len(matrix), dtype=matrix.real.dtype))
    return jsp.linalg.lu_solve((factors, pivots), identity), phase


def product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=HIGHEST)


def trace(a: Array) -> Array:
    return jnp.diag(a).sum()


def length_of(v: Array) -> Array:
    norm = jnp.linalg.norm(v)
    return as_complex(jnp.where(norm == 0, 1, norm))


def norm(a: Float[Array, "rows m"]) -> Array:
    """Bound the largest singular value of a matrix without negative entries."""
    mixed = jnp.sqrt(a.sum(0).max() * a.sum(1).max())
    return jnp.minimum(mixed, jnp.sqrt(jnp.square(a).sum()))


def spectral(a: Complex[Array, "rows m"]) -> Array:
    """Bound the largest singular value of a matrix."""
    square = product(a.conj().T, a)
    return jnp.minimum(jnp.sqrt(jnp.linalg.norm(square)), norm(jnp.abs(a)))
