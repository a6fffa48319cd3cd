r"""How a linearised network responds at each frequency, and where to sample frequencies.

With the derivatives $A^0$ and $A^d$ and the delays $\tau^d$ of `_linear`, as matrices (m, m) over the m
= states x regions states of all regions, the characteristic matrix at the angular frequency $\omega$ is

$$K(\omega)_{ij} = i \omega \delta_{ij} - A^0_{ij} - \sum_d A^d_{ij} e^{-i \omega \tau^d_{ij}},$$

and the response of the states to an input on them is $K^{-1}$. Both are complex, of shape (m, m).

At high frequencies, in $h = 1 / (i \omega + s)$ for any scale $s > 0$,

$$K^{-1} = h I + h^2 F + O(h^3), \qquad F = I / h - K = s I + A^0 + \sum_d A^d e^{-i \omega \tau^d}.$$

Integrals over all frequencies are computed of what remains without these two orders, whose own integrals
are known: delays make the second order oscillate faster than any quadrature rule can follow.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Complex, Float

from .._core import as_count
from ._linear import Jacobians, eigenvalue_scale

HIGHEST = lax.Precision.HIGHEST
CHUNK = 4  # Frequencies that are computed together: more would only take more memory.


class Grid(NamedTuple):
    r"""Frequencies from 0 to infinity for the trapezoid rule; the infinite one is left out.

    Attributes:
        scale: the typical size of an eigenvalue, s. [1/ms]
        omegas: the angular frequencies $s \tan(\theta / 2)$, at even steps of theta. [rad/ms]
        weights: what each counts in $\frac{1}{\pi} \int_0^\infty d\omega$. [1/ms]
    """

    scale: Float[Array, ""]
    omegas: Float[Array, " frequency"]
    weights: Float[Array, " frequency"]


def frequency_grid(jac: Jacobians, points: int) -> Grid:
    """Choose the frequencies to integrate over, spread by the scale of the network's eigenvalues."""
    s = lax.stop_gradient(eigenvalue_scale(without_delays(jac)))
    theta = np.pi * np.arange(points) / points
    tangents = jnp.asarray(np.tan(theta / 2), s.dtype)
    halved = jnp.asarray(np.where(theta == 0, 0.5, 1.0), s.dtype)  # The end at 0 counts half.
    return Grid(s, s * tangents, halved * s * (1 + tangents**2) / (2 * points))


def checked_points(points: int) -> int:
    """Check the number of frequencies, and return it as an int."""
    points = as_count("points", points)
    if points == 0 or points % CHUNK:
        raise ValueError(f"`points` must be a multiple of {CHUNK} above 0; got {points}.")
    return points


def characteristic(jac: Jacobians, omega: Float[Array, ""]) -> Complex[Array, "m m"]:
    """Compute K at an angular frequency [rad/ms]."""
    size = size_of(jac)
    matrix = -as_complex(jac.instantaneous)
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        phase = lax.complex(jnp.cos(omega * delay), -jnp.sin(omega * delay))
        matrix = matrix - as_complex(gain) * phase[None, :, None, :]
    matrix = matrix.reshape(size, size)
    return matrix + lax.complex(jnp.zeros_like(omega), omega) * jnp.eye(size, dtype=matrix.dtype)


def second_order(h: Array, rhs: Array, image: Array) -> Array:
    """Return the order h² of $K^{-1}$ `rhs`, h² F `rhs`, given `image` = K `rhs`.

    `image` is an argument because for the identity it is K itself, and costs no product.
    """
    return h * h * (rhs / h - image)


def as_complex(x: Array) -> Array:
    """Return `x` as complex numbers of its own precision."""
    return lax.complex(x, jnp.zeros_like(x))


def size_of(jac: Jacobians) -> int:
    """Count the states of all regions, m."""
    return jac.instantaneous.shape[0] * jac.instantaneous.shape[1]


def without_delays(jac: Jacobians) -> Float[Array, "m m"]:
    """Return the Jacobian matrix of the network as if every delay were 0."""
    return sum(jac.gains, jac.instantaneous).reshape(size_of(jac), size_of(jac))
