r"""Up to which coupling strength a network's fixed point is stable.

The fixed point is stable if and only if every root $\lambda$ of

$$\det\Big(\lambda I - A^0(k) - \sum_d A^d(k)\, e^{-\lambda \tau^d}\Big) = 0$$

has a negative real part; the matrices are (m, m) as in `_linear`. At the critical k a root lies on the
imaginary axis, $\lambda = i \omega$: the matrix is then $K(\omega; k)$ of `_response`, and is singular.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Complex, Float

from .._core import (
    PyTree,
    Scalar,
    Where,
    as_float,
    compiled,
    known,
    require_finite,
    require_shape,
    solve,
)
from .._network import Network, Params
from ._covariance import doubled
from ._linear import Jacobians, fixed_point, jacobians, stacked
from ._response import (
    CHUNK,
    HIGHEST,
    as_complex,
    characteristic,
    checked_points,
    frequency_grid,
    is_causal,
    leading_orders,
    size_of,
    without_delays,
)

BISECTIONS = 14
NEWTON_STEPS = 12
PUSHES = 4  # Random vectors that stability is judged by.


def critical_k(
    net: Network,
    params: Params,
    x0: PyTree,
    low: Scalar,
    high: Scalar,
    *,
    where: Where = lambda params: params.coupling.k,
    points: int = 128,
) -> Float[Array, ""]:
    r"""Find the coupling strength at which the fixed point loses its stability.

    Bisection between `low` and `high` is followed by Newton's method on $\det K(\omega; k) = 0$ in both
    $\omega$ and k, with or without delays. The result is differentiable in `params`, in both modes.
    Where delays are long against the network's own time scales, stability may be misjudged, and the
    result be a later crossing or NaN: compare it with a run.

    Args:
        net: the network.
        params: its parameters. The value that k has in them does not matter.
        x0: where to start the search for the fixed point, as for `Network.init`.
        low: a coupling strength at which the fixed point is stable. [unit of k]
        high: a coupling strength at which it is not. [unit of k]
        where: selects the leaf of `params` that k stands for; all its elements are set to k.
        points: as in `stationary_covariance`. With delays it also limits how near bisection comes
            to the critical k before Newton's method starts. [1]

    Returns:
        The coupling strength; NaN if it is not between `low` and `high`. [unit of k]

    Raises:
        ValueError: if `low` or `high` is not one finite number, `low` is not below `high`, or `points`
            is not a multiple of 4.

    Source:
        J. Hale and S. Verduyn Lunel, Introduction to Functional Differential Equations (1993), ch. 7,
        for the stability of linear delay equations.

    Example:
        >>> net = cf.Network(cf.nodes.hopf, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])  # each row sums to 1, so k = -a
        >>> params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W))
        >>> rest = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))
        >>> round(float(cf.critical_k(net, params, rest, 0.0, 0.1)), 4)
        0.02
    """
    low, high = as_float("low", low), as_float("high", high)
    for name, end in (("low", low), ("high", high)):
        require_shape(name, end, (), meaning="It is one number.")
        require_finite(name, end)
    if known(low, high) and not float(low) < float(high):
        raise ValueError(f"`low` must be below `high`; got {low} and {high}.")
    return _critical_k(net, params, x0, low, high, where, checked_points(points))


@compiled
def _critical_k(net, params, x0, low, high, where, points):
    dtype = stacked(net, x0)[0].dtype
    low, high = low.astype(dtype), high.astype(dtype)

    def jac_at(k):
        leaf = where(params)
        there = eqx.tree_at(where, params, jnp.full(jnp.shape(leaf), k))
        return jacobians(net, there, fixed_point(net, there, x0))

    def halve(bracket, _):
        low, high = bracket
        middle = (low + high) / 2
        stable = _is_stable(jac_at(middle), points)
        return (jnp.where(stable, middle, low), jnp.where(stable, high, middle)), None

    def guess(low, high):
        changes = _is_stable(jac_at(low), points) & ~_is_stable(jac_at(high), points)
        (near, _), _ = lax.scan(halve, (low, high), None, length=BISECTIONS)
        return changes, near, _resonance(jac_at(near), points)

    changes, near, resonance = lax.stop_gradient(guess(low, high))
    left, right = resonance.left, resonance.right

    # 0 where K is singular: one over left' K^-1 right, from the system bordered by the two.
    def singular(at):
        matrix = characteristic(jac_at(at[0]), at[1])
        top = jnp.concatenate([matrix, right[:, None]], axis=1)
        corner = jnp.zeros((1, 1), matrix.dtype)
        bottom = jnp.concatenate([left.conj()[None], corner], axis=1)
        size = len(matrix)
        border = jnp.zeros(size + 1, matrix.dtype).at[size].set(1)
        one = solve(jnp.concatenate([top, bottom]), border)[-1]
        return jnp.stack([one.real, one.imag])

    def tangent(linear, y):
        return _solve_2x2(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    start = jnp.stack([near, resonance.omega])
    k, _ = lax.custom_root(singular, start, _newton, tangent)
    # Newton's method may have gone to another root, away from where bisection saw the change.
    largest = jnp.maximum(jnp.abs(high), jnp.abs(low))
    there = jnp.abs(k - near) <= 0.05 * (largest + jnp.abs(near))
    return jnp.where(changes & there, k, jnp.nan)


class _Newton(NamedTuple):
    """Newton's method on its way: k and omega, which of them stand still, and the steps taken."""

    at: Float[Array, "2"]
    settled: Array
    steps: Array


def _newton(f, at: Float[Array, "2"]) -> Float[Array, "2"]:
    """Find a root of f, two equations in two unknowns, near `at`."""
    eps = jnp.finfo(at.dtype).eps

    def step(newton: _Newton) -> _Newton:
        at = newton.at
        change = _solve_2x2(jax.jacfwd(f)(at), f(at))
        return _Newton(at - change, jnp.abs(change) <= 4 * eps * jnp.abs(at), newton.steps + 1)

    def unfinished(newton: _Newton) -> Array:
        return ~newton.settled.all() & (newton.steps < NEWTON_STEPS)

    return lax.while_loop(unfinished, step, _Newton(at, jnp.zeros(2, bool), jnp.asarray(0))).at


def _is_stable(jac: Jacobians, points: int) -> Array:
    """Return whether all roots are stable; with delays, by whether the response follows its cause.

    The response is that to a few random pushes, so that each frequency costs one factorisation and
    no inverse.
    """
    total = without_delays(jac)
    if not jac.gains:
        eye = jnp.eye(len(total), dtype=total.dtype)
        return jnp.isfinite(doubled(total, eye)).all()
    drawn = np.random.default_rng(0).normal(size=(len(total), PUSHES)) / np.sqrt(PUSHES)
    pushes = as_complex(jnp.asarray(drawn, total.dtype))
    s, omegas, weights = frequency_grid(jac, points)

    def acausal_at(omega):
        matrix, h = characteristic(jac, omega), 1 / lax.complex(s, omega)
        image = jnp.matmul(matrix, pushes, precision=HIGHEST)
        zeroth, first = leading_orders(h, pushes, image)
        return (solve(matrix, pushes) - zeroth - first).real

    def add(total, at):
        omega, weight = at
        return total + jnp.einsum("w,wij->ij", weight, jax.vmap(acausal_at)(omega)), None

    chunks = omegas.reshape(-1, CHUNK), weights.reshape(-1, CHUNK)
    acausal, _ = lax.scan(add, jnp.zeros(drawn.shape, total.dtype), chunks)
    return is_causal(acausal)


class Resonance(NamedTuple):
    """The frequency of the largest response [rad/ms], and the directions it leads to and from."""

    omega: Float[Array, ""]
    left: Complex[Array, " m"]
    right: Complex[Array, " m"]


def _resonance(jac: Jacobians, points: int) -> Resonance:
    """Find the frequency at which the network responds most, among those of the grid."""
    omegas = frequency_grid(jac, points).omegas
    identity = as_complex(jnp.eye(size_of(jac), dtype=jac.instantaneous.dtype))

    def response_at(omega):
        return solve(characteristic(jac, omega), identity)

    heights = lax.map(
        lambda omega: jnp.square(jnp.abs(response_at(omega))).sum(), omegas, batch_size=CHUNK
    )
    omega = omegas[heights.argmax()]
    response = response_at(omega)
    row, column = jnp.unravel_index(jnp.abs(response).argmax(), response.shape)
    left, right = response[:, column], response[row].conj()
    left, right = (x / as_complex(jnp.linalg.norm(x)) for x in (left, right))
    return Resonance(omega, left, right)


def _solve_2x2(a: Float[Array, "2 2"], y: Float[Array, "2"]) -> Float[Array, "2"]:
    """Solve a x = y by Cramer's rule: a library solve costs more than this under `vmap`."""
    determinant = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    return (
        jnp.stack([a[1, 1] * y[0] - a[0, 1] * y[1], a[0, 0] * y[1] - a[1, 0] * y[0]]) / determinant
    )
