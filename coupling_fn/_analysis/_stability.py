"""Up to which coupling strength a network's fixed point is stable."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import PyTree, Scalar, Where, as_float, known, require_finite, require_shape
from .._network import Network, Params
from ._covariance import CHUNK, HIGHEST, checked_points, doubled, frequency_grid
from ._linear import (
    Jacobians,
    as_complex,
    characteristic,
    fixed_point,
    jacobians,
    size_of,
    stacked,
    without_delays,
)

BISECTIONS = 14
NEWTON_STEPS = 12
PUSHES = 4


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

    Bisection between `low` and `high`, then Newton's method on $\det K(\omega; k) = 0$ in both
    $\omega$ and k, with or without delays. Differentiable in `params`, in both modes.

    Args:
        net: the network.
        params: its parameters; what is in the place of k does not matter.
        x0: where to search the fixed point, as for `Network.init`.
        low: a strength at which the fixed point is stable.
        high: a strength at which it is not.
        where: the leaf of `params` that k is put into, whatever its shape: all of it.
        points: as in `stationary_covariance`, and how finely k can be told before Newton's method.

    Returns:
        The strength; NaN if it is not between `low` and `high`.

    Raises:
        ValueError: if `low` is not below `high`.

    Source:
        The stability of linear delay equations: J. Hale and S. Verduyn Lunel, Introduction to
        Functional Differential Equations (1993), ch. 7.

    Example:
        >>> net = cf.Network(cf.nodes.hopf, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])  # a row sums to 1: k = -a
        >>> params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W))
        >>> rest = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))
        >>> round(float(cf.critical_k(net, params, rest, 0.0, 0.1)), 4)
        0.02
    """
    low, high = as_float("low", low), as_float("high", high)
    for name, end in (("low", low), ("high", high)):
        require_shape(name, end, (), meaning="It is one number.")
        require_finite(name, end)
    if known(low, high) and not low < high:
        raise ValueError(f"`low` must be below `high`; they are {low} and {high}.")
    return _critical_k(net, params, x0, low, high, where, checked_points(points))


@eqx.filter_jit
def _critical_k(net, params, x0, low, high, where, points):
    dtype = stacked(net, x0)[0].dtype
    eps = jnp.finfo(dtype).eps
    low, high = low.astype(dtype), high.astype(dtype)

    def jac_at(k):
        leaf = where(params)
        there = eqx.tree_at(where, params, jnp.full(jnp.shape(leaf), k))
        return jacobians(net, there, fixed_point(net, there, x0))

    def halve(bracket, _):
        low, high = bracket
        middle = (low + high) / 2
        stable = _stable(jac_at(middle), points)
        return (jnp.where(stable, middle, low), jnp.where(stable, high, middle)), None

    def guess(low, high):
        ends = _stable(jac_at(low), points) & ~_stable(jac_at(high), points)
        (near, _), _ = lax.scan(halve, (low, high), None, length=BISECTIONS)
        return ends, near, *_resonance(jac_at(near), points)

    ends, near, omega, left, right = lax.stop_gradient(guess(low, high))
    slow = jnp.maximum(jnp.abs(high), jnp.abs(low))

    def singular(at):  # 0 where K is singular: one over left K^-1 right, by a bordered system
        matrix = characteristic(jac_at(at[0]), at[1])
        top = jnp.concatenate([matrix, right[:, None]], axis=1)
        corner = jnp.zeros((1, 1), matrix.dtype)
        bottom = jnp.concatenate([left.conj()[None], corner], axis=1)
        size = len(matrix)
        border = jnp.zeros(size + 1, matrix.dtype).at[size].set(1)
        one = jnp.linalg.solve(jnp.concatenate([top, bottom]), border)[-1]
        return jnp.stack([one.real, one.imag])

    def newton(f, at):
        def step(carry):
            at, _, steps = carry
            change = _solve2(jax.jacfwd(f)(at), f(at))
            return at - change, jnp.abs(change) <= 4 * eps * jnp.abs(at), steps + 1

        go_on = lambda carry: ~carry[1].all() & (carry[2] < NEWTON_STEPS)  # noqa: E731
        start = (at, jnp.zeros(2, bool), jnp.asarray(0))
        return lax.while_loop(go_on, step, start)[0]

    def tangent(linear, y):
        return _solve2(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    start = jnp.stack([near, omega])
    k, omega = lax.custom_root(singular, start, newton, tangent)
    # Newton's method may have gone to another root: then it is not where bisection saw the change.
    there = jnp.abs(k - near) <= 0.05 * (slow + jnp.abs(near))
    return jnp.where(ends & there, k, jnp.nan)


def _stable(jac: Jacobians, points: int) -> Array:
    r"""Whether all roots are stable.

    With delays they are if and only if the response comes after its cause: $\frac{1}{\pi}
    \int_0^\infty \text{Re} K^{-1} d\omega$ is one half less what unstable roots contribute, a
    projector onto them, whose size is 1 or more, or 0 if there are none. Here it is that of a few
    random pushes, so that each frequency costs one factorisation and no inverse.
    """
    total = without_delays(jac)
    if not jac.gains:
        eye = jnp.eye(len(total), dtype=total.dtype)
        return jnp.isfinite(doubled(total, eye)).all()
    drawn = np.random.default_rng(0).normal(size=(len(total), PUSHES)) / np.sqrt(PUSHES)
    pushes = as_complex(jnp.asarray(drawn, total.dtype))
    s, omegas, weights = frequency_grid(jac, points)

    def acausal_at(omega):  # less the two leading orders in h, as in `_covariance.integrals`
        matrix, h = characteristic(jac, omega), 1 / lax.complex(s, omega)
        leading = 2 * h * pushes - h * h * jnp.matmul(matrix, pushes, precision=HIGHEST)
        return (jnp.linalg.solve(matrix, pushes) - leading).real

    def add(total, at):
        omega, weight = at
        return total + jnp.einsum("w,wij->ij", weight, jax.vmap(acausal_at)(omega)), None

    few = omegas.reshape(-1, CHUNK), weights.reshape(-1, CHUNK)
    acausal, _ = lax.scan(add, jnp.zeros(drawn.shape, total.dtype), few)
    return jnp.sqrt(jnp.square(acausal).sum()) < 0.1


def _resonance(jac: Jacobians, points: int):
    """The frequency of the largest response, and which directions it goes between."""
    _, omegas, _ = frequency_grid(jac, points)
    identity = as_complex(jnp.eye(size_of(jac), dtype=jac.now.dtype))

    def response_at(omega):
        return jnp.linalg.solve(characteristic(jac, omega), identity)

    heights = lax.map(
        lambda omega: jnp.square(jnp.abs(response_at(omega))).sum(), omegas, batch_size=CHUNK
    )
    omega = omegas[heights.argmax()]
    response = response_at(omega)
    row, column = jnp.unravel_index(jnp.abs(response).argmax(), response.shape)
    left, right = response[:, column], response[row].conj()
    left, right = (x / as_complex(jnp.linalg.norm(x)) for x in (left, right))
    return omega, left, right


def _solve2(a: Array, y: Array) -> Array:
    determinant = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    return (
        jnp.stack([a[1, 1] * y[0] - a[0, 1] * y[1], a[0, 0] * y[1] - a[1, 0] * y[0]]) / determinant
    )
