r"""Integrals over all frequencies of a delayed network's spectrum.

With K of `_response`, the spectrum under white noise of the variances $Q$ per ms is
$S(\omega) = K^{-1} Q K^{-H}$, and at the lag l the covariance is

$$C(l) = \frac{1}{2 \pi} \int_{-\infty}^\infty S(\omega) e^{i \omega l}\, d\omega.$$
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import scan, solve
from ._linear import Jacobians
from ._response import (
    CHUNK,
    HIGHEST,
    as_complex,
    characteristic,
    frequency_grid,
    second_order,
)


class Integrals(NamedTuple):
    """Integrals over all frequencies, of shape (m, m).

    Attributes:
        covariance: that of S exp(i omega lag).
        coarse: the same from every other frequency alone.
        variance: the diagonal of that of S.
    """

    covariance: Float[Array, "m m"]
    coarse: Float[Array, "m m"]
    variance: Float[Array, " m"]


def integrals(
    jac: Jacobians, q: Float[Array, " m"], points: int, lag: Float[Array, ""] | None = None
) -> Integrals:
    r"""Integrate S over all frequencies, given the variances of the noise, $Q = $ diag(`q`).

    To first order in F, with $h$ and F as in `_response`,

    $$S \approx |h|^2 Q + \bar h h^2 F Q + (\bar h h^2 F Q)^H.$$

    The integral of these terms is known in closed form, and what S differs from them by is small and
    smooth, so the quadrature rule is applied to that.
    """
    lag = jnp.zeros((), q.dtype) if lag is None else lag
    identity = as_complex(jnp.eye(q.size, dtype=q.dtype))
    s, omegas, weights = frequency_grid(jac, points)
    every_other = jnp.asarray(np.tile([2.0, 0.0], points // 2), q.dtype)

    def rest_at(omega):
        matrix = characteristic(jac, omega)
        response = solve(matrix, identity)
        density = jnp.matmul(response * as_complex(q)[None], response.conj().T, precision=HIGHEST)
        h = 1 / lax.complex(s, omega)
        lead = second_order(h, identity, matrix) * h.conj() * as_complex(q)[None]
        rest = density - as_complex(jnp.square(jnp.abs(h)) * jnp.diag(q)) - lead - lead.conj().T
        turned = rest * lax.complex(jnp.cos(omega * lag), jnp.sin(omega * lag))
        return turned.real, jnp.diag(rest).real

    # Computed again on the way back: keeping what each chunk needs would take a matrix per frequency.
    @jax.checkpoint
    def body(sums, at):
        omega, weight, share = at
        rest, variance = jax.vmap(rest_at)(omega)
        return Integrals(
            sums.covariance + jnp.einsum("w,wij->ij", weight, rest),
            sums.coarse + jnp.einsum("w,wij->ij", weight * share, rest),
            sums.variance + jnp.einsum("w,wi->i", weight, variance),
        ), None

    start = _lead(jac, q, s, lag)
    at_once = jnp.diag(_lead(jac, q, s, jnp.zeros_like(lag)))
    sums = Integrals(start, start, at_once)
    chunks = [x.reshape(-1, CHUNK) for x in (omegas, weights, every_other)]
    return scan(body, sums, tuple(chunks))[0]


def _lead(jac: Jacobians, q: Array, s: Array, lag: Array) -> Float[Array, "m m"]:
    r"""Integrate the leading orders of S over all frequencies, in closed form.

    With $e^{i \omega l}$ and the delays in F, each term is a multiple of $e^{- s |l|} / 2 s$ or of

    $$g(u) = \frac{1}{2 \pi} \int \bar h h^2 e^{i \omega u} d\omega
    = \frac{e^{- s |u|}}{4 s^2} (1 + 2 s \max(u, 0)).$$
    """
    size = q.size

    def g(u):
        return jnp.exp(-s * jnp.abs(u)) * (1 + 2 * s * jnp.maximum(u, 0)) / (4 * s * s)

    def weighed(lag):
        """Return the terms of F, each times its g."""
        own = jac.instantaneous.reshape(size, size) + s * jnp.eye(size, dtype=s.dtype)
        total = own * g(lag)
        for gain, delay in zip(jac.gains, jac.delays, strict=True):
            total = total + (gain * g(lag - delay)[None, :, None, :]).reshape(size, size)
        return total

    zeroth = jnp.diag(q) * jnp.exp(-s * jnp.abs(lag)) / (2 * s)
    return zeroth + weighed(lag) * q[None] + (weighed(-lag) * q[None]).T


def is_resolved(found: Integrals) -> Array:
    """Return whether half the points give nearly the same: the error with all is about its square."""
    largest = jnp.abs(found.variance).max()
    return (jnp.abs(found.covariance - found.coarse) <= 0.03 * largest).all()
