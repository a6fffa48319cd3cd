r"""What weak noise makes of a network around its fixed point, without a simulation.

The spectrum is $S(\omega) = K^{-1} \sigma^2 K^{-H}$, with K of `_linear`, and the covariance its
integral; without delays it solves a Lyapunov equation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Complex, Float, Num

from .._core import PyTree, as_count, as_float, read, require_names
from .._network import Network, Params
from ..noise._draw import is_noise
from ..noise._increments import noises_of
from ._linear import (
    Jacobians,
    as_complex,
    characteristic,
    eigenvalue_scale,
    fixed_point,
    jacobians,
    stacked,
    without_delays,
)

HIGHEST = lax.Precision.HIGHEST
Signal = str | Callable[[Any], Any] | None
DOUBLINGS = 60
CHUNK = 4  # frequencies at once: more would take memory


@eqx.filter_jit
def stationary_covariance(
    net: Network, params: Params, x: PyTree, *, points: int = 128
) -> Float[Array, "state region state region"]:
    r"""Work out how the states vary together around a fixed point, under weak noise.

    Without delays it solves $A C + C A^T + \sigma^2 = 0$, by doubling; with delays it is $\frac{1}{2
    \pi} \int S(\omega) d\omega$, by the trapezoid rule in $\theta$, $\omega = s \tan(\theta / 2)$,
    after its slow tail is taken off. Where the fixed point is not stable, where frequencies are too few
    to resolve a resonance, or where `x` is NaN, the result is NaN. Differentiable in `params`, in
    both modes.

    Args:
        net: the network.
        params: its parameters, with noise.
        x: a fixed point, from `fixed_point`.
        points: with delays, number of frequencies from 0 to infinity, a multiple of 4. A resonance
            that decays at rate d around a frequency w is resolved by about 5 w / d of them.

    Returns:
        The covariances, indexed [state, region, state, region] in the order of `net.node.states`.
        [state²]

    Raises:
        ValueError: if `params` has no noise, or `points` is no multiple of 4.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016), for the equation; R. A. Smith, SIAM
        J. Appl. Math. 16, 198 (1968), for doubling; G. Deco et al., J. Neurosci. 34, 7886 (2014).

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-2.0), cf.AdditiveCoupling(jnp.zeros((1, 1))), 1.0)
        >>> c = cf.stationary_covariance(net, params, cf.nodes.LinearState(jnp.zeros(1)))
        >>> round(float(c[0, 0, 0, 0]), 4)  # sigma² / 2 |a|
        0.25
    """
    z, _ = stacked(net, x)
    q = _noise(net, params, z)
    jac, points = jacobians(net, params, x), checked_points(points)
    if not jac.gains:
        a = jac.now.reshape(z.size, z.size)
        return lyapunov(a, jnp.diag(q)).reshape(jac.now.shape)
    both = integrals(jac, q, points)
    return jnp.where(_resolved(both) & causal(both), both.covariance, jnp.nan).reshape(
        jac.now.shape
    )


@eqx.filter_jit
def cross_spectrum(
    net: Network,
    params: Params,
    x: PyTree,
    frequencies: Num[ArrayLike, " frequency"],
    *,
    signal: Signal = None,
) -> Complex[Array, "frequency region region"]:
    r"""Work out the cross-spectral density of a signal around a stable fixed point.

    $S(\omega) = K^{-1} \sigma^2 K^{-H}$, one-sided: its diagonal is what `power_spectrum` estimates,
    and its integral over all frequencies the variance. `S[f, i, j]` is that of i times the conjugate
    of j. Stability is not looked at.

    Args:
        net: the network.
        params: its parameters, with noise.
        x: a fixed point, from `fixed_point`.
        frequencies: where. [Hz]
        signal: a state variable by name or a function of the state; the node's first state if None.

    Returns:
        The densities. [signal²/Hz]

    Raises:
        ValueError: if `params` has no noise, or there is no such state.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-0.1), cf.AdditiveCoupling(jnp.zeros((1, 1))), 1.0)
        >>> x = cf.nodes.LinearState(jnp.zeros(1))
        >>> s = cf.cross_spectrum(net, params, x, jnp.array([0.0]))
        >>> round(float(s[0, 0, 0].real), 4)  # 2 sigma² / a², per kHz
        0.2
    """
    z, _ = stacked(net, x)
    q, out = _noise(net, params, z), _output(net, x, signal)
    jac, eye = jacobians(net, params, x), as_complex(jnp.eye(z.size, dtype=z.dtype))

    def at(frequency):
        response = jnp.linalg.solve(characteristic(jac, 2 * np.pi * frequency / 1000), eye)
        response = jnp.einsum("si,sim->im", as_complex(out), response.reshape(*z.shape, z.size))
        return jnp.matmul(response * as_complex(q)[None], response.conj().T, precision=HIGHEST)

    frequencies = as_float("frequencies", frequencies)
    if frequencies.ndim != 1:
        raise ValueError(f"`frequencies` must have one axis, not the shape {frequencies.shape}.")
    densities = lax.map(at, frequencies.astype(z.dtype), batch_size=8)
    return 2 / 1000 * densities


def analytic_fc(
    net: Network, params: Params, x0: PyTree, *, signal: Signal = None, points: int = 128
) -> Float[Array, "region region"]:
    """Work out the functional connectivity of a network under weak noise, without simulating it.

    That of the network linearised at its fixed point: what the correlations of ever longer
    simulations come to as noise and dt go to 0. Under `jax.vmap` over k it is the quickest scan, and
    its gradient the quickest fit; it is no model beyond `critical_k`, where it is NaN.

    Args:
        net: the network; with or without lags.
        params: its parameters, with noise. Correlations do not depend on one amplitude for all.
        x0: where to search the fixed point, as for `Network.init`.
        signal: a state variable by name or a function of the state; the node's first state if None.
        points: as in `stationary_covariance`.

    Returns:
        The correlations, symmetric, with a diagonal of 1; NaN where there is no stable fixed point. [1]

    Raises:
        ValueError: if `params` has no noise, or names or shapes do not fit.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016); A. Ponce-Alvarez and G. Deco, Sci.
        Rep. 14, 2615 (2024), for the Hopf network.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(W, k=0.5), noise=0.1)
        >>> fc = cf.analytic_fc(net, params, cf.nodes.LinearState(jnp.zeros(2)))
        >>> round(float(fc[0, 1]), 4)  # k / |a|
        0.5
    """
    x = fixed_point(net, params, x0)
    out = _output(net, x, signal)
    whole = stationary_covariance(net, params, x, points=points)
    covariance = jnp.einsum("si,sitj,tj->ij", out, whole, out, precision=HIGHEST)
    # A region that noise does not reach varies with none.
    variance = jnp.diag(covariance)
    scale = jnp.where(variance == 0, 0, 1 / jnp.sqrt(jnp.where(variance == 0, 1, variance)))
    fc = covariance * scale[:, None] * scale[None, :]
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)


def lyapunov(a: Float[Array, "m m"], q: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Solve `a c + c a' + q = 0` for symmetric q; NaN where a is not stable.

    Smith's doubling: products and one inverse, so it runs on any device and under vmap, where an
    eigendecomposition does not. Its derivatives are those of the equation.
    """

    def residual(a, c):
        product = jnp.matmul(a, c, precision=HIGHEST)
        return -(product + jnp.matmul(c, a.T, precision=HIGHEST))

    def solved(a):
        return lambda _, q: doubled(lax.stop_gradient(a), q)

    return lax.custom_linear_solve(
        lambda c: residual(a, c), q, solved(a), transpose_solve=solved(a.T)
    )


def doubled(a, q):
    shift = eigenvalue_scale(a)
    eye = jnp.eye(len(a), dtype=a.dtype)
    inverse = jnp.linalg.inv(shift * eye - a)
    power = 2 * shift * inverse - eye  # Cayley: stable where all its eigenvalues are within 1

    def product(x, y):
        return jnp.matmul(x, y, precision=HIGHEST)

    def double(carry):
        power, c, n = carry
        return product(power, power), c + product(product(power, c), power.T), n + 1

    def go_on(carry):
        size = jnp.abs(carry[0]).max()
        return (size > jnp.finfo(a.dtype).eps) & (size < 1e8) & (carry[2] < DOUBLINGS)

    start = (power, 2 * shift * product(product(inverse, q), inverse.T), jnp.asarray(0))
    power, c, _ = lax.while_loop(go_on, double, start)
    return jnp.where(jnp.abs(power).max() < 1e-2, c, jnp.nan)


class Integrals(NamedTuple):
    """Over all frequencies: of S, of S with every other point, and of the acausal part of K^-1."""

    covariance: Array
    coarse: Array
    acausal: Array


def integrals(jac: Jacobians, q: Array, points: int) -> Integrals:
    r"""Integrate what is left of S and K^-1 less their two leading orders in $h = 1 / (i \omega + s)$.

    At high frequencies delays make S oscillate faster than any rule follows; to first order in the
    couplings these oscillations have an integral in closed form, and the rest is small.
    """
    size = q.size
    identity = as_complex(jnp.eye(size, dtype=q.dtype))
    s, omegas, weights = frequency_grid(jac, points)
    twice = jnp.asarray(np.tile([2.0, 0.0], points // 2), q.dtype)  # every other point, twice

    def rest_at(omega):
        matrix = characteristic(jac, omega)
        response = jnp.linalg.solve(matrix, identity)
        density = jnp.matmul(response * as_complex(q)[None], response.conj().T, precision=HIGHEST)
        h = 1 / lax.complex(s, omega)
        first = h * h * (identity / h - matrix)
        lead = (first * h.conj() * as_complex(q)[None]).real
        rest = density.real - jnp.square(jnp.abs(h)) * jnp.diag(q) - lead - lead.T
        return rest, (response - h * identity - first).real

    # Worked out again on the way back: a run of frequencies would keep a matrix each.
    @jax.checkpoint
    def body(sums, at):
        omega, weight, share = at
        rest, acausal = jax.vmap(rest_at)(omega)
        return Integrals(
            sums.covariance + jnp.einsum("w,wij->ij", weight, rest),
            sums.coarse + jnp.einsum("w,wij->ij", weight * share, rest),
            sums.acausal + jnp.einsum("w,wij->ij", weight, acausal),
        ), None

    faded = jac.now.reshape(size, size) + s * identity.real
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        faded = faded + (gain * jnp.exp(-s * delay)[None, :, None, :]).reshape(size, size)
    lead = faded * q[None] / (4 * s * s)
    start = jnp.diag(q) / (2 * s) + lead + lead.T
    sums = Integrals(start, start, jnp.zeros_like(start))
    few = [x.reshape(-1, CHUNK) for x in (omegas, weights, twice)]
    return lax.scan(body, sums, tuple(few))[0]


def frequency_grid(jac, points):
    """Frequencies from 0, and what each weighs; the last, at infinity, is not among them."""
    s = lax.stop_gradient(eigenvalue_scale(without_delays(jac)))
    theta = np.pi * np.arange(points) / points
    tangents = jnp.asarray(np.tan(theta / 2), s.dtype)
    ends = jnp.asarray(np.where(theta == 0, 0.5, 1.0), s.dtype)
    return s, s * tangents, ends * s * (1 + tangents**2) / (2 * points)


def _resolved(both: Integrals) -> Array:
    """Whether halving the points changes little: the error of all is about the square of that."""
    variance = jnp.diag(both.covariance)
    scale = jnp.sqrt(jnp.abs(variance[:, None] * variance[None, :]))
    return (jnp.abs(both.covariance - both.coarse) <= 0.03 * scale.max()).all()


def causal(both: Integrals) -> Array:
    r"""Whether the response comes after its cause: it does if and only if all roots are stable.

    $\frac{1}{\pi} \int_0^\infty \text{Re} K^{-1} d\omega$ is one half less what unstable roots
    contribute, a projector onto them that is 0 where there are none.
    """
    return jnp.sqrt(jnp.square(both.acausal).sum()) < 0.1


def _noise(net: Network, params: Params, z: Array) -> Array:
    """The variance that noise adds to each state in a ms, one after the other."""
    if params.noise is None:
        raise ValueError(
            "`params.noise` is None: without noise nothing varies around a fixed point."
        )
    names = net.node.states
    if any(map(is_noise, jax.tree.leaves(params.noise, is_leaf=is_noise))):
        raise TypeError(
            "`params.noise` must be numbers here, the standard deviation of additive white noise; a "
            "noise of another kind can only be simulated."
        )
    noises = noises_of(names, params.noise, params.external)
    noises.check(z.shape[1])
    given = noises.of_state
    rows = [
        jnp.broadcast_to(jnp.asarray(given.get(name, 0.0)), z.shape[1:]).astype(z.dtype)
        for name in names
    ]
    return jnp.square(jnp.concatenate(rows))


def _output(net: Network, x: PyTree, signal: Signal) -> Array:
    """The derivative of a signal by each state of its region."""
    signal = net.node.states[0] if signal is None else signal
    if isinstance(signal, str):
        require_names("state", [signal], net.node.states)
    z, unstack = stacked(net, x)
    return jax.grad(lambda z: read(unstack(z), signal).sum())(z)


def checked_points(points: int) -> int:
    points = as_count("points", points)
    if points == 0 or points % CHUNK:
        raise ValueError(f"`points` must be a multiple of {CHUNK}, not {points}.")
    return points
