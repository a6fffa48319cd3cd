r"""Where along a parameter a root of a delayed linear network first lies on the imaginary axis.

The plane of frequencies and s is searched in rectangles. In each, K is bordered by the directions l and
r of its smallest singular value at the centre. Where the bordered matrix has no root, those of K are
those of one number, $\gamma = 1 / (l^H K^{-1} r)$. Its linear part, and the bound on the rest of it,
tell whether there is none, or just one, which Newton's method then finds; else the rectangle is halved.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Complex, Float

from .._core import while_loop
from ._linear import eigenvalue_scale
from ._response import as_complex
from ._stretch import (
    SOLID,
    Matrix,
    Stretch,
    at_place,
    balanced,
    bounds_of,
    inverted,
    length_of,
    matrix_at,
    product,
    spectral,
)

COARSE = 0.2  # Bound on the relative change by what is not known of a stretch.
STEPS = 20_000
POWER_STEPS = 6
NEWTON_STEPS = 12


class Crossing(NamedTuple):
    """The first place of a stretch at which a root lies on the imaginary axis.

    Attributes:
        s: that place, from -1 to 1; 1 where there is none.
        omega: the frequency of the root. [rad/ms]
        found: whether there is one.
        simple: whether it was told apart from all others.
        coarse: whether the search was given up there, because the stretch is not known well enough.
        sure: whether all of the stretch before it is known to be free of others.
    """

    s: Array
    omega: Array
    found: Array
    simple: Array
    coarse: Array
    sure: Array


def no_crossing(zero: Float[Array, ""]) -> Crossing:
    """Return a crossing that is none, in the dtype of `zero`."""
    no = jnp.asarray(False)
    return Crossing(zero + 1, zero, no, no, no, ~no)


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
    scale = eigenvalue_scale(
        at_place(stretch.instantaneous, 1.0)
        + sum(
            (at_place(gain, 1.0) for gain in stretch.gains),
            jnp.zeros_like(stretch.instantaneous[0]),
        )
    )
    end = bounds.largest * (1 + 1e-3)

    def step(search: _Search) -> _Search:
        half, tall, crossing = search.half, search.tall, search.crossing
        omega, s = search.left + half, search.bottom + tall
        at = matrix_at(stretch, omega, s)
        border = _bordered(at)
        most = jnp.abs(omega) + half
        unknown = bounds.unknown[0] + most * bounds.unknown[1]
        error = unknown + 8 * eps * (bounds.largest + most)
        mixed = bounds.mixed[0] + most * bounds.mixed[1]
        curved = bounds.s[0] + most * (bounds.s[1] + most * bounds.s[2])
        second = bounds.omega * half**2 + mixed * half * tall + curved * tall**2 + error
        by_omega, by_s = (product(border.inverse, x) for x in (at.by_omega, at.by_s))
        size = spectral(border.inverse)
        share_omega = spectral(by_omega) * half + size * bounds.omega * half**2
        share_s = spectral(by_s) * tall + size * (curved * tall + mixed * half) * tall
        change = share_omega + share_s + size * error
        solid = change <= SOLID
        # The linear part of gamma, in units of the rectangle, and a bound on the rest.
        w, z, length = border.left, border.right, jnp.linalg.norm
        lean = (
            length(product(w, at.by_omega)) * half
            + length(product(w, at.by_s)) * tall
            + length(w) * second
        )
        moved = (
            length(product(by_omega, z)) * half
            + length(product(by_s, z)) * tall
            + size * second * length(z)
        )
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
        flat = tall <= finest
        # What is not known of the stretch hides whether there is a root, however small the rectangle.
        hidden = (size * unknown > COARSE) | (solid & (2 * length(w) * length(z) * unknown > rest))
        coarse = ~free & ~(single & met) & (unknown > 0) & hidden
        stuck = (~free & ~(single & met) & flat & narrow) | coarse
        hit = single & met & inside & (root[1] < crossing.s)
        clear = free | (single & met)
        crossing = Crossing(
            jnp.where(hit, root[1], jnp.where(stuck, jnp.minimum(s, crossing.s), crossing.s)),
            jnp.where(hit, root[0], jnp.where(stuck, omega, crossing.omega)),
            crossing.found | hit | stuck,
            jnp.where(hit, True, jnp.where(stuck, False, crossing.simple)),
            coarse,
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
            (left > end) | coarse,
            search.steps + 1,
        )

    def unfinished(search: _Search) -> Array:
        return ~search.ended & (search.steps < STEPS)

    width = scale / 8
    ended = jnp.asarray(False)
    start = _Search(-width / 7, width, -one, one, no_crossing(zero), ended, jnp.asarray(0))
    search = while_loop(unfinished, step, start)
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
    inverse, _ = inverted(at.value)
    rows = jnp.square(jnp.abs(inverse)).sum(1)
    v = inverse[rows.argmax()].conj()

    def power(_, v):
        return product(product(inverse, v / length_of(v)).conj(), inverse).conj()

    source = lax.fori_loop(0, POWER_STEPS, power, v)
    source = source / length_of(source)
    image = product(inverse, source)
    image = image / length_of(image)
    left, right, gamma = _response(inverse, image, source)
    deflated = inverse - right[:, None] * left[None] / gamma
    inverse = jnp.concatenate([deflated, left[None]])
    return _Border(inverse, left, right, gamma, (image, source))


def _response(inverse: Array, image: Array, source: Array) -> tuple[Array, Array, Array]:
    """Return the row and column of the bordered inverse, and gamma, given the two directions."""
    row, column = product(image.conj(), inverse), product(inverse, source)
    gamma = 1 / product(row, source)
    return row * gamma, column * gamma, gamma


def _slopes(at: Matrix, left: Array, right: Array) -> Array:
    """Return the derivatives of gamma by the frequency and by s."""
    return jnp.stack([product(product(left, x), right) for x in (at.by_omega, at.by_s)])


def _polished(stretch: Stretch, border: _Border, start: Array, box: Array) -> tuple[Array, Array]:
    """Find the root of gamma near a place by Newton's method; also return whether there is one."""
    eps = jnp.finfo(start.dtype).eps

    def improve(carry):
        place, _, steps = carry
        at = matrix_at(stretch, *place)
        w, z, gamma = _response(inverted(at.value)[0], *border.directions)
        change, _, _ = _linear_root(gamma, _slopes(at, w, z))
        # At the root itself nothing can be inverted, and there is nothing to improve.
        change = jnp.where(jnp.isfinite(change).all(), change, 0)
        small = (jnp.abs(change) <= 1e4 * eps * box + 16 * eps * jnp.abs(place)).all()
        return place + change, small, steps + 1

    def unfinished(carry):
        return ~carry[1] & (carry[2] < NEWTON_STEPS)

    place, met, _ = while_loop(unfinished, improve, (start, jnp.asarray(False), jnp.asarray(0)))
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
