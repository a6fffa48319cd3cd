r"""Whether noise is weak enough for a network to be taken as linear around its fixed point.

The deviations u of a linear network are Gaussian, of the covariance C. If they are nearly Gaussian in
the network itself, Stein's lemma gives its second moments, too: they are those of a linear network with
the mean Jacobian $\langle J(x^* + u) \rangle$ in place of $J(x^*)$ (statistical linearisation). So the
difference that this makes is that which noise makes, to leading order in its variance.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import (
    PyTree,
    cholesky,
    compiled,
    scan,
    solve,
)
from .._network import Network, Params
from ._covariance import covariance_of, noise_power
from ._linear import Jacobians, jacobians, stacked, with_all_states
from ._response import HIGHEST, checked_points, without_delays

DIRECTIONS = 32  # At least this many directions are tried, each to both sides.


def nonlinearity(net: Network, params: Params, x: PyTree, *, points: int = 128) -> Float[Array, ""]:
    r"""Estimate how far noise takes a network from linearity around a fixed point.

    `analytic_fc`, `stationary_covariance` and `cross_spectrum` hold for weak noise. Where this is
    0.1, the variances that they give are off by about 10 %; from about 0.5 on they mean little. With C
    the covariance of the linear network and u drawn from it, it is the largest over all states of

    $$\left| \ln \frac{C'_{ii}}{C_{ii}} \right| \quad \text{and} \quad
    \frac{|\delta_i|}{\sqrt{C_{ii}}},$$

    where C' is the covariance with the mean Jacobian $\langle J(x + u) \rangle$ and
    $\delta = -J^{-1} \langle J(x + u)\, u \rangle / 2$ is how far the mean moves. It grows with the
    square of the noise, and is 0 for a linear network.

    Args:
        net: the network.
        params: its parameters, with noise.
        x: a fixed point, from `fixed_point`.
        points: as in `stationary_covariance`. [1]

    Returns:
        The estimate; infinity where the mean Jacobian is unstable, NaN where the covariance is. [1]

    Raises:
        ValueError: if `params` has no noise, or `points` is not a multiple of 4.
        TypeError: if the noise is not white and additive.

    Source:
        J. B. Roberts and P. D. Spanos, Random Vibration and Statistical Linearization (1990), ch. 5.

    Example:
        >>> net = cf.Network(cf.nodes.hopf, dt=0.1)
        >>> coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
        >>> rest = cf.nodes.HopfState(jnp.zeros(1), jnp.zeros(1))
        >>> def of_noise(sigma):
        ...     params = cf.Params(cf.nodes.HopfParams(a=-0.02), coupling, noise=sigma)
        ...     return round(float(cf.nonlinearity(net, params, rest)), 3)
        >>> of_noise(0.001), of_noise(0.02)  # ln(1 + 4 C / |a|) with C = sigma² / (2 |a|)
        (0.005, 1.099)
    """
    return _nonlinearity(net, params, x, checked_points(points))


@compiled
def _nonlinearity(net, params, x, points):
    net, params, x = with_all_states(net, params, x)
    z, unstack = stacked(net, x)
    q, at_rest = noise_power(net, params, x), jacobians(net, params, x)
    covariance = covariance_of(at_rest, q, points).reshape(z.size, z.size)
    variance = jnp.diag(covariance)
    reached = variance > 0  # Elsewhere no noise arrives, and nothing changes.
    deviations = _deviations(covariance, jnp.where(reached, variance, 1))

    def add(sums, u):
        jac = jacobians(net, params, unstack(z + u.reshape(z.shape)))
        push = jnp.matmul(without_delays(jac), u, precision=HIGHEST) / 2
        return jax.tree.map(jnp.add, sums, (jac, push)), None

    nothing = jax.tree.map(jnp.zeros_like, (at_rest, z.ravel()))
    sums, _ = scan(add, nothing, jnp.concatenate([deviations, -deviations]))
    mean, push = jax.tree.map(lambda total: total / (2 * len(deviations)), sums)
    mean = Jacobians(mean.instantaneous, mean.gains, at_rest.delays)
    other = jnp.diag(covariance_of(mean, q, points).reshape(z.size, z.size))
    # A variance of NaN is that of a network made unstable.
    change = jnp.where(jnp.isnan(other), jnp.inf, jnp.abs(jnp.log(other / variance)))
    shift = jnp.abs(solve(without_delays(at_rest), push)) / jnp.sqrt(variance)
    largest = jnp.where(reached, jnp.maximum(change, shift), 0).max()
    return jnp.where(jnp.isnan(variance).any(), jnp.nan, largest)


def _deviations(covariance: Array, variance: Array) -> Float[Array, "direction m"]:
    """Choose deviations whose mean product is the covariance itself, rather than only near it.

    They are turned at random, so that each state deviates as if drawn from a Gaussian, and not, as along
    the axes, by the root of m standard deviations at once.
    """
    size = len(covariance)
    rng = np.random.default_rng(0)
    turns = [np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(-(-DIRECTIONS // size))]
    directions = jnp.asarray(np.sqrt(size) * np.concatenate(turns), covariance.dtype)
    scale = jnp.sqrt(variance)
    # Rounding must not make it indefinite: some of the correlations may be 1.
    rounding = 4 * size * jnp.finfo(covariance.dtype).eps
    correlation = covariance / scale[:, None] / scale[None]
    factor = cholesky(correlation + rounding * jnp.eye(size, dtype=covariance.dtype))
    return jnp.matmul(directions, factor.T, precision=HIGHEST) * scale[None]
