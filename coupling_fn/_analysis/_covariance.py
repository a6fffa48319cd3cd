r"""How the states of a network vary under weak noise around its fixed point, without a simulation.

With K of `_response`, the derivatives A of `_linear`, and the noise $Q = \text{diag}(\sigma_i^2)$, all
of shape (m, m) over the m states of all regions, the spectrum and the covariance are

$$S(\omega) = K^{-1} Q K^{-H}, \qquad C = \frac{1}{2 \pi} \int_{-\infty}^\infty S(\omega)\, d\omega.$$

Without delays C solves the Lyapunov equation

$$A C + C A^T + Q = 0.$$
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Complex, Float, Num

from .._core import (
    PyTree,
    Scalar,
    Signal,
    as_float,
    compiled,
    inverse,
    read,
    require_finite,
    require_names,
    require_shape,
    scan,
    solve,
    while_loop,
)
from .._network import Network, Params
from .._node import HybridNode
from ..noise._draw import is_noise
from ..noise._increments import noises_of
from ._fixed_point import fixed_point_or_nan, say_if_missing
from ._integrals import integrals, is_resolved
from ._linear import (
    Jacobians,
    eigenvalue_scale,
    jacobians,
    of_own_states,
    places,
    stacked,
    with_all_states,
)
from ._response import HIGHEST, as_complex, characteristic, checked_points
from ._unstable_roots import is_stable

DOUBLINGS = 60
# Terms of a Taylor series at a norm below 1/2, the first left out below 1e-16; and squarings of its sum.
TERMS, SQUARINGS = 14, 32


def stationary_covariance(
    net: Network, params: Params, x: PyTree, *, lag: Scalar = 0.0, points: int = 128
) -> Float[Array, "state region state region"]:
    r"""Compute the covariances of all states around a fixed point, under weak noise.

    These are $C(l) = \langle u(t + l)\, u(t)^T \rangle$ for the deviations u and the lag l. Without
    delays, C(0) solves $A C + C A^T + \sigma^2 = 0$, by doubling, and $C(l) = e^{A l} C(0)$ for l > 0.
    With delays C(l) is $\frac{1}{2 \pi} \int S(\omega) e^{i \omega l} d\omega$, by the trapezoid rule
    in $\theta$ with $\omega = s \tan(\theta / 2)$, of what remains after the slow tail is subtracted.
    The result is NaN where the fixed point is found unstable, where the frequencies are too few to
    resolve a resonance or the lag, and where `x` is NaN. It is differentiable in `params` and `lag`, in
    both modes.

    Args:
        net: the network.
        params: its parameters, with noise.
        x: a fixed point, from `fixed_point`.
        lag: how much later the first state is than the second; at -l the result is that at l with both
            swapped. [ms]
        points: with delays, the number of frequencies from 0 to infinity, a multiple of 4. A resonance
            at the frequency w that decays at the rate d needs about 5 w / d of them, and a lag l about
            s l, with s the typical rate of the network. [1]

    Returns:
        The covariances, indexed [state, region, state, region] in the order of `net.node.states`.
        [state²]

    Raises:
        ValueError: if `params` has no noise, `lag` is not one finite number, or `points` is not a
            multiple of 4.
        TypeError: if the noise is not white and additive.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016), for the equations; R. A. Smith, SIAM
        J. Appl. Math. 16, 198 (1968), for doubling; G. Deco et al., J. Neurosci. 34, 7886 (2014).

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
        >>> params = cf.Params(cf.nodes.LinearParams(a=-2.0), coupling, noise=1.0)
        >>> x = cf.nodes.LinearState(jnp.zeros(1))
        >>> round(float(cf.stationary_covariance(net, params, x)[0, 0, 0, 0]), 4)  # sigma² / (2 |a|)
        0.25
        >>> later = cf.stationary_covariance(net, params, x, lag=0.5)
        >>> round(float(later[0, 0, 0, 0]), 4)  # exp(a lag) as much
        0.092
    """
    none = isinstance(lag, int | float) and lag == 0  # Then the program has no matrix exponential.
    lag = as_float("lag", lag)
    require_shape("lag", lag, (), meaning="It is one number.")
    require_finite("lag", lag)
    return _covariance_at(net, params, x, None if none else lag, checked_points(points))


@compiled
def _covariance_at(net, params, x, lag, points):
    wide, params, x = with_all_states(net, params, x)
    z, _ = stacked(wide, x)
    lag = None if lag is None else lag.astype(z.dtype)
    whole = covariance_of(jacobians(wide, params, x), noise_power(wide, params, x), points, lag)
    return of_own_states(net, wide, x, whole)


def covariance_of(
    jac: Jacobians, q: Float[Array, " m"], points: int, lag: Float[Array, ""] | None = None
) -> Float[Array, "state region state region"]:
    """Compute the covariances at a lag (None for 0), given the variances `q` that noise adds per ms."""
    shape = jac.instantaneous.shape
    if not jac.gains:
        a = jac.instantaneous.reshape(q.size, q.size)
        covariance = lyapunov(a, jnp.diag(q))
        if lag is not None:
            later = jnp.matmul(exponential(a * jnp.abs(lag)), covariance, precision=HIGHEST)
            covariance = jnp.where(lag < 0, later.T, later)
        return covariance.reshape(shape)
    found = integrals(jac, q, points, lag)
    trusted = is_resolved(found) & is_stable(jac)
    return jnp.where(trusted, found.covariance, jnp.nan).reshape(shape)


@compiled
def cross_spectrum(
    net: Network,
    params: Params,
    x: PyTree,
    frequencies: Num[ArrayLike, " frequency"],
    *,
    signal: Signal | None = None,
) -> Complex[Array, "frequency region region"]:
    r"""Compute the cross-spectral density of a signal around a stable fixed point.

    $S(\omega) = K^{-1} \sigma^2 K^{-H}$, one-sided: its diagonal is what `cf.observe.power_spectrum`
    estimates, and the integral of the diagonal over all frequencies is the variance. `S[f, i, j]` is the
    density of region i times the conjugate of region j. Stability is not checked.

    Args:
        net: the network.
        params: its parameters, with noise.
        x: a fixed point, from `fixed_point`.
        frequencies: the frequencies to compute it at. [Hz]
        signal: a state variable by name, or a function of the state; None for the node's first state.

    Returns:
        The densities. [signal²/Hz]

    Raises:
        ValueError: if `params` has no noise, `frequencies` has not one axis, or there is no such state.
        TypeError: if the noise is not white and additive.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
        >>> params = cf.Params(cf.nodes.LinearParams(a=-0.1), coupling, noise=1.0)
        >>> x = cf.nodes.LinearState(jnp.zeros(1))
        >>> s = cf.cross_spectrum(net, params, x, jnp.array([0.0]))
        >>> round(float(s[0, 0, 0].real), 4)  # 2 sigma² / a², per kHz
        0.2
    """
    net, params, x = with_all_states(net, params, x)
    z, _ = stacked(net, x)
    q, out = noise_power(net, params, x), _output(net, x, signal).reshape(-1, z.size)
    jac, eye = jacobians(net, params, x), as_complex(jnp.eye(z.size, dtype=z.dtype))

    def at(frequency):
        response = solve(characteristic(jac, 2 * np.pi * frequency / 1000), eye)
        response = jnp.matmul(as_complex(out), response, precision=HIGHEST)
        return jnp.matmul(response * as_complex(q)[None], response.conj().T, precision=HIGHEST)

    frequencies = as_float("frequencies", frequencies)
    if frequencies.ndim != 1:
        raise ValueError(f"`frequencies` must have one axis; got the shape {frequencies.shape}.")
    densities = lax.map(at, frequencies.astype(z.dtype), batch_size=8)
    return 2 / 1000 * densities


def analytic_fc(
    net: Network,
    params: Params,
    x0: PyTree,
    *,
    signal: Signal | None = None,
    points: int = 128,
) -> Float[Array, "region region"]:
    """Compute the functional connectivity of a network under weak noise, without simulating it.

    This is the FC of the network linearised at its fixed point: the limit of the correlations of ever
    longer simulations as the noise and dt go to 0. Mapping it over k with `jax.vmap` is the quickest
    scan, and its gradient gives the quickest fit. It does not hold beyond `critical_k`, where it is NaN.

    Args:
        net: the network, with or without lags.
        params: its parameters, with noise. Scaling all noise by one factor changes nothing.
        x0: where to start the search for the fixed point, as for `Network.init`.
        signal: a state variable by name, or a function of the state; None for the node's first state, in
            a hybrid network that of its first subnetwork.
        points: as in `stationary_covariance`. [1]

    Returns:
        The correlations, symmetric, with a diagonal of 1; NaN where there is no stable fixed point. [1]

    Raises:
        ValueError: if `params` has no noise, or the names or shapes in `x0` do not fit the node.
        TypeError: if the noise is not white and additive.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016); A. Ponce-Alvarez and G. Deco, Sci.
        Rep. 14, 2615 (2024), for the Hopf network.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> coupling = cf.AdditiveCoupling(W, k=0.5)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling, noise=0.1)
        >>> fc = cf.analytic_fc(net, params, cf.nodes.LinearState(jnp.zeros(2)))
        >>> round(float(fc[0, 1]), 4)  # k / |a|
        0.5
    """
    x = fixed_point_or_nan(net, params, x0)
    say_if_missing(x, stacklevel=3)
    out = _output(net, x, signal)
    out = out.reshape(len(out), -1)
    whole = stationary_covariance(net, params, x, points=points).reshape((out.shape[1],) * 2)
    covariance = jnp.matmul(out, jnp.matmul(whole, out.T, precision=HIGHEST), precision=HIGHEST)
    # A region that no noise reaches does not vary: its correlations with all others are 0.
    variance = jnp.diag(covariance)
    scale = jnp.where(variance == 0, 0, 1 / jnp.sqrt(jnp.where(variance == 0, 1, variance)))
    fc = covariance * scale[:, None] * scale[None, :]
    fc = (fc + fc.T) / 2  # to the bit, whatever the solver rounds
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)


def lyapunov(a: Float[Array, "m m"], q: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Solve `a c + c a' + q = 0` for c, given a symmetric q; NaN where a is not stable.

    Smith's doubling takes products and one inverse, so it runs on any device and under `vmap`, where
    an eigendecomposition does not. Its derivatives are those of the equation.
    """

    def residual(a, c):
        product = jnp.matmul(a, c, precision=HIGHEST)
        return -(product + jnp.matmul(c, a.T, precision=HIGHEST))

    def found(_, q):
        return doubled(lax.stop_gradient(a), q)

    def found_transposed(_, q):
        return doubled(lax.stop_gradient(a.T), q)

    return lax.custom_linear_solve(partial(residual, a), q, found, transpose_solve=found_transposed)


class _Doubling(NamedTuple):
    """The solution after n steps: the sum of `p q p'` over the first 2^n powers p of one matrix.

    Attributes:
        power: the power 2^n of that matrix.
        total: the sum.
        steps: n.
    """

    power: Float[Array, "m m"]
    total: Float[Array, "m m"]
    steps: Array


def doubled(a: Float[Array, "m m"], q: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Solve `a c + c a' + q = 0` by doubling, without derivatives of its own; NaN if a is unstable."""
    shift = eigenvalue_scale(a)
    eye = jnp.eye(len(a), dtype=a.dtype)
    inverted = inverse(shift * eye - a)
    # Cayley's transform of a: a is stable if and only if all eigenvalues of this are within 1.
    power = 2 * shift * inverted - eye

    def product(x, y):
        return jnp.matmul(x, y, precision=HIGHEST)

    def double(c: _Doubling) -> _Doubling:
        further = product(product(c.power, c.total), c.power.T)
        return _Doubling(product(c.power, c.power), c.total + further, c.steps + 1)

    def unfinished(c: _Doubling) -> Array:
        size = jnp.abs(c.power).max()
        return (size > jnp.finfo(a.dtype).eps) & (size < 1e8) & (c.steps < DOUBLINGS)

    start = _Doubling(power, 2 * shift * product(product(inverted, q), inverted.T), jnp.asarray(0))
    end = while_loop(unfinished, double, start)
    return jnp.where(jnp.abs(end.power).max() < 1e-2, end.total, jnp.nan)


def exponential(a: Float[Array, "m m"]) -> Float[Array, "m m"]:
    r"""Compute $e^a$ by products alone: the Taylor series of $a / 2^n$, squared n times.

    It is NaN where the norm of `a` is above $2^{31}$.
    """
    norm = jnp.sqrt(jnp.square(lax.stop_gradient(a)).sum())
    exponent = jnp.frexp(norm)[1]  # norm < 2^exponent
    squarings = jnp.maximum(exponent + 1, 0)
    small = a * jnp.exp2(-squarings.astype(a.dtype))  # of norm below 1/2
    eye = jnp.eye(len(a), dtype=a.dtype)
    total = eye
    for order in range(TERMS, 0, -1):  # Horner's scheme
        total = eye + jnp.matmul(small, total, precision=HIGHEST) / order

    def square(x, step):
        return jnp.where(step < squarings, jnp.matmul(x, x, precision=HIGHEST), x), None

    result, _ = scan(square, total, jnp.arange(SQUARINGS, dtype=squarings.dtype))
    return jnp.where(squarings <= SQUARINGS, result, jnp.nan)


def noise_power(net: Network, params: Params, x: PyTree) -> Array:
    """Return the variance that noise adds to each state per ms, as one vector of all states."""
    if params.noise is None:
        raise ValueError(
            "`params.noise` must be a standard deviation; got None, and without noise nothing varies "
            "around a fixed point. Give cf.Params(noise=...)."
        )
    names = net.node.states
    if any(map(is_noise, jax.tree.leaves(params.noise, is_leaf=is_noise))):
        raise TypeError(
            "`params.noise` must be numbers here, the standard deviations of additive white noise; got "
            "noise of another kind, which can only be simulated."
        )
    z, unstack = stacked(net, x)
    noises = noises_of(names, params.noise, params.external)
    noises.check(unstack(z))
    given = noises.of_state
    rows = [
        jnp.broadcast_to(jnp.asarray(given.get(name, 0.0)), z[place].shape).astype(z.dtype)
        for name, place in places(net, unstack(z)).items()
    ]
    return jnp.square(jnp.concatenate(rows))


def _output(net: Network, x: PyTree, signal: Signal | None) -> Float[Array, "signal state region"]:
    """Return the derivative of a signal, in each region that has it, by all states."""
    node = net.node
    signal = node.states[0] if signal is None else signal
    z, unstack = stacked(net, x)
    if isinstance(node, HybridNode):
        joined = node.joined_states
        if isinstance(signal, str):
            require_names("state", [signal], [*node.states, *joined])
        named = joined.get(signal, signal) if isinstance(signal, str) else signal
        return jax.jacfwd(lambda z: read(unstack(z), named))(z)
    if isinstance(signal, str):
        require_names("state", [signal], node.states)
    own = jax.grad(lambda z: read(unstack(z), signal).sum())(z)
    return jnp.eye(z.shape[1], dtype=z.dtype)[:, None, :] * own[None]
