r"""A network linearised at its fixed point: what noise makes of it, without a simulation.

Near a stable fixed point $x^*$ a network driven by weak noise is a linear one,

$$\dot u = A_0 u + \sum_d A_d\, u(t - \tau_d) + \sigma \xi,\qquad
S(\omega) = K^{-1} \sigma^2 K^{-H},\quad
K(\omega) = i \omega - A_0 - \sum_d A_d e^{-i \omega \tau_d},$$

and its covariance is the integral of $S$; without delays it solves a Lyapunov equation. All of it is
that of continuous time: a run in steps of dt comes to it as dt goes to 0.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Complex, Float, Num

from ._check import as_count, as_float, known, require_names, require_shape
from ._network import Network, Params, get, names_of, read
from ._noise import is_noise
from ._types import PyTree, Scalar, Where

HIGHEST = lax.Precision.HIGHEST
Signal = str | Callable[[Any], Any] | None
NEWTON_STEPS = 100
DOUBLINGS = 60
BISECTIONS = 14
CHUNK = 4  # frequencies at once: more would take memory


class Jacobians(NamedTuple):
    """How a network's rates of change follow its states, now and some time ago.

    Attributes:
        now: derivative of each rate by each state at the same time. [1/ms]
        gains: for each delayed coupling, the derivative by what its sources were. [1/ms]
        delays: how long ago that was, one an edge. [ms]
    """

    now: Float[Array, "state region state region"]
    gains: tuple[Float[Array, "state region state region"], ...]
    delays: tuple[Float[Array, "region region"], ...]


# --- the fixed point and the derivatives there -----------------------------------------------------


@eqx.filter_jit
def fixed_point(net: Network, params: Params, x0: PyTree) -> PyTree:
    """Find where a network without noise stands still, by Newton's method from `x0`.

    The first steps are damped, so that they follow the dynamics (pseudo-transient continuation).
    Differentiable in `params`, in both modes, by the implicit function theorem: the way there is
    not differentiated. Where the search does not end (no fixed point near, or one that is not
    isolated, as that of phases), the result is NaN. It may be unstable: `critical_k` tells from when
    on.

    Args:
        net: the network; its scheme and dt do not matter, its lags do not move a fixed point.
        params: its parameters; noise is left out.
        x0: where to search, as for `Network.init`.

    Returns:
        The states, in the container of `x0`.

    Raises:
        ValueError: if names or shapes do not fit, or an external input varies in time.

    Source:
        C. T. Kelley and D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998), for the damping.

    Example:
        >>> net = cf.Network(cf.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 0.5], [0.0, 0.0]])
        >>> params = cf.Params(cf.LinearParams(a=-1.0), cf.AdditiveCoupling(W, b=1.0))
        >>> cf.fixed_point(net, params, cf.LinearState(jnp.zeros(2))).x.round(6).tolist()
        [1.5, 1.0]
    """
    start, unstack = _stacked(net, x0)
    rate = _rate(net, params, unstack)
    eps = jnp.finfo(start.dtype).eps

    def still(flat):
        z = flat.reshape(start.shape)
        return rate(z, _seen_at(net, unstack(z))).ravel()

    def search(_, z):
        eye = jnp.eye(z.size, dtype=z.dtype)
        root_eps = jnp.sqrt(jnp.finfo(z.dtype).eps)

        def move(carry):
            z, value, damping, size, _, steps = carry
            slope = jax.jacfwd(still)(z)
            size = jnp.where(steps == 0, _scale(slope), size)
            damping = jnp.where(steps == 0, size, damping)
            step = jnp.linalg.solve(damping * eye - slope, value)
            after = still(z + step)
            ratio = jnp.abs(after).max() / jnp.where(value.any(), jnp.abs(value).max(), 1)
            largest = jnp.abs(z).max()
            # Once it is Newton's, what follows a relative step of sqrt(eps) would be one of eps.
            small = (jnp.abs(step).max() <= root_eps * largest + eps) & (damping <= root_eps * size)
            least = jnp.abs(step).max() <= 16 * eps * largest
            damping = damping * jnp.where(ratio <= 1, jnp.minimum(ratio, 0.5), 1)
            return z + step, after, damping, size, small | least, steps + 1

        def go_on(carry):
            return ~carry[-2] & (carry[-1] < NEWTON_STEPS)

        one = jnp.ones((), z.dtype)
        start = (z, still(z), one, one, jnp.asarray(False), jnp.asarray(0))
        z, *_, close, _ = lax.while_loop(go_on, move, start)
        return jnp.where(close, z, jnp.nan)

    def tangent(linear, y):
        return jnp.linalg.solve(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    found = lax.custom_root(still, start.ravel(), search, tangent)
    return unstack(found.reshape(start.shape))


@eqx.filter_jit
def jacobians(net: Network, params: Params, x: PyTree) -> Jacobians:
    """Differentiate a network's rates of change by its states, now and delayed.

    Taken from the node's and the couplings' own functions, so that any of them will do; a rule of
    your own must read for each target only what that target sees, row by row.

    Args:
        net: the network.
        params: its parameters.
        x: where, usually a `fixed_point`.

    Returns:
        The derivatives, indexed [state, region, state, region] in the order of `net.node.states`.

    Raises:
        ValueError: if names or shapes do not fit, or an external input varies in time.

    Example:
        >>> net = cf.Network(cf.linear, dt=0.1, lags=jnp.array([[0, 30], [10, 0]]))
        >>> W = jnp.array([[0.0, 0.5], [0.25, 0.0]])
        >>> params = cf.Params(cf.LinearParams(a=-1.0), cf.AdditiveCoupling(W, k=2.0))
        >>> now, (gain,), (delay,) = cf.jacobians(net, params, cf.LinearState(jnp.zeros(2)))
        >>> now[0, :, 0].tolist(), gain[0, :, 0].tolist(), delay.tolist()
        ([[-1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [0.5, 0.0]], [[0.0, 3.0], [1.0, 0.0]])
    """
    z, unstack = _stacked(net, x)
    rate, seen = _rate(net, params, unstack), _seen_at(net, unstack(z))
    now = jax.jacfwd(lambda z: rate(z, seen))(z)
    gains, delays = [], []
    for place, source, name in _delayed(net):
        lag = _delay(net, params, name)

        def rate_of(copy, place=place):
            return rate(z, (*seen[:place], copy, *seen[place + 1 :]))

        copy = jnp.asarray(seen[place])
        if copy.ndim == 1:
            by_source = jax.jacfwd(rate_of)(copy)
        else:  # a target sees its own row alone, so the sum over targets mixes nothing
            by_source = jax.jacrev(lambda copy, f=rate_of: f(copy).sum(axis=1))(copy)
        sent = jax.grad(lambda z, s=source: read(unstack(z), s).sum())(z)
        gains.append(by_source[:, :, None, :] * sent[None, None, :, :])
        delays.append(jnp.broadcast_to(lag.astype(z.dtype), (z.shape[1],) * 2))
    return Jacobians(now, tuple(gains), tuple(delays))


# --- covariance and spectrum ----------------------------------------------------------------------


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
        >>> net = cf.Network(cf.linear, dt=0.1)
        >>> params = cf.Params(cf.LinearParams(a=-2.0), cf.AdditiveCoupling(jnp.zeros((1, 1))), 1.0)
        >>> c = cf.stationary_covariance(net, params, cf.LinearState(jnp.zeros(1)))
        >>> round(float(c[0, 0, 0, 0]), 4)  # sigma² / 2 |a|
        0.25
    """
    z, _ = _stacked(net, x)
    q = _noise(net, params, z)
    jac = jacobians(net, params, x)
    if not jac.gains:
        a = jac.now.reshape(z.size, z.size)
        return lyapunov(a, jnp.diag(q)).reshape(jac.now.shape)
    both = _integrals(jac, q, _points(points))
    return jnp.where(_resolved(both) & _causal(both), both.covariance, jnp.nan).reshape(
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
        >>> net = cf.Network(cf.linear, dt=0.1)
        >>> params = cf.Params(cf.LinearParams(a=-0.1), cf.AdditiveCoupling(jnp.zeros((1, 1))), 1.0)
        >>> x = cf.LinearState(jnp.zeros(1))
        >>> s = cf.cross_spectrum(net, params, x, jnp.array([0.0]))
        >>> round(float(s[0, 0, 0].real), 4)  # 2 sigma² / a², per kHz
        0.2
    """
    z, _ = _stacked(net, x)
    q, out = _noise(net, params, z), _output(net, x, signal)
    jac, eye = jacobians(net, params, x), as_complex(jnp.eye(z.size, dtype=z.dtype))

    def at(frequency):
        response = jnp.linalg.solve(_characteristic(jac, 2 * np.pi * frequency / 1000), eye)
        response = jnp.einsum("si,sim->im", as_complex(out), response.reshape(*z.shape, z.size))
        return jnp.matmul(response * as_complex(q)[None], response.conj().T, precision=HIGHEST)

    densities = lax.map(at, as_float("frequencies", frequencies).astype(z.dtype), batch_size=8)
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
        >>> net = cf.Network(cf.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> params = cf.Params(cf.LinearParams(a=-1.0), cf.AdditiveCoupling(W, k=0.5), noise=0.1)
        >>> fc = cf.analytic_fc(net, params, cf.LinearState(jnp.zeros(2)))
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
        >>> net = cf.Network(cf.hopf, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])  # a row sums to 1: k = -a
        >>> params = cf.Params(cf.HopfParams(a=-0.02), cf.AdditiveCoupling(W))
        >>> rest = cf.HopfState(jnp.zeros(2), jnp.zeros(2))
        >>> round(float(cf.critical_k(net, params, rest, 0.0, 0.1)), 4)
        0.02
    """
    low, high = as_float("low", low), as_float("high", high)
    if known(low, high) and not low < high:
        raise ValueError(f"`low` must be below `high`; they are {low} and {high}.")
    return _critical_k(net, params, x0, low, high, where, _points(points))


@eqx.filter_jit
def _critical_k(net, params, x0, low, high, where, points):
    dtype = _stacked(net, x0)[0].dtype
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
        matrix = _characteristic(jac_at(at[0]), at[1])
        top = jnp.concatenate([matrix, right[:, None]], axis=1)
        corner = jnp.zeros((1, 1), matrix.dtype)
        bottom = jnp.concatenate([left.conj()[None], corner], axis=1)
        size = len(matrix)
        border = jnp.zeros(size + 1, matrix.dtype).at[size].set(1)
        one = jnp.linalg.solve(jnp.concatenate([top, bottom]), border)[-1]
        return jnp.stack([one.real, one.imag])

    def newton(f, at):
        def step(at, _):
            return at - _solve2(jax.jacfwd(f)(at), f(at)), None

        return lax.scan(step, at, None, length=12)[0]

    def tangent(linear, y):
        return _solve2(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    start = jnp.stack([near, omega])
    k, omega = lax.custom_root(singular, start, newton, tangent)
    # Newton's method may have gone to another root: then it is not where bisection saw the change.
    there = jnp.abs(k - near) <= 0.05 * (slow + jnp.abs(near))
    return jnp.where(ends & there, k, jnp.nan)


# --- inside ---------------------------------------------------------------------------------------


def lyapunov(a: Float[Array, "m m"], q: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Solve `a c + c a' + q = 0` for symmetric q; NaN where a is not stable.

    Smith's doubling: products and one inverse, so it runs on any device and under vmap, where an
    eigendecomposition does not. Its derivatives are those of the equation.
    """

    def residual(a, c):
        product = jnp.matmul(a, c, precision=HIGHEST)
        return -(product + jnp.matmul(c, a.T, precision=HIGHEST))

    def solved(a):
        return lambda _, q: _doubling(lax.stop_gradient(a), q)

    return lax.custom_linear_solve(
        lambda c: residual(a, c), q, solved(a), transpose_solve=solved(a.T)
    )


def _doubling(a, q):
    shift = _scale(a)
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


class _Integrals(NamedTuple):
    """Over all frequencies: of S, of S with every other point, and of the acausal part of K^-1."""

    covariance: Array
    coarse: Array
    acausal: Array


def _integrals(jac: Jacobians, q: Array, points: int) -> _Integrals:
    r"""Integrate what is left of S and K^-1 less their two leading orders in $h = 1 / (i \omega + s)$.

    At high frequencies delays make S oscillate faster than any rule follows; to first order in the
    couplings these oscillations have an integral in closed form, and the rest is small.
    """
    size = q.size
    identity = as_complex(jnp.eye(size, dtype=q.dtype))
    s, omegas, weights = _nodes(jac, points)
    twice = jnp.asarray(np.tile([2.0, 0.0], points // 2), q.dtype)  # every other point, twice

    def rest_at(omega):
        matrix = _characteristic(jac, omega)
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
        return _Integrals(
            sums.covariance + jnp.einsum("w,wij->ij", weight, rest),
            sums.coarse + jnp.einsum("w,wij->ij", weight * share, rest),
            sums.acausal + jnp.einsum("w,wij->ij", weight, acausal),
        ), None

    faded = jac.now.reshape(size, size) + s * identity.real
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        faded = faded + (gain * jnp.exp(-s * delay)[None, :, None, :]).reshape(size, size)
    lead = faded * q[None] / (4 * s * s)
    start = jnp.diag(q) / (2 * s) + lead + lead.T
    sums = _Integrals(start, start, jnp.zeros_like(start))
    few = [x.reshape(-1, CHUNK) for x in (omegas, weights, twice)]
    return lax.scan(body, sums, tuple(few))[0]


def _nodes(jac, points):
    """Frequencies from 0, and what each weighs; the last, at infinity, is not among them."""
    s = lax.stop_gradient(_scale(_total(jac)))
    theta = np.pi * np.arange(points) / points
    tangents = jnp.asarray(np.tan(theta / 2), s.dtype)
    ends = jnp.asarray(np.where(theta == 0, 0.5, 1.0), s.dtype)
    return s, s * tangents, ends * s * (1 + tangents**2) / (2 * points)


def _resolved(both: _Integrals) -> Array:
    """Whether halving the points changes little: the error of all is about the square of that."""
    variance = jnp.diag(both.covariance)
    scale = jnp.sqrt(jnp.abs(variance[:, None] * variance[None, :]))
    return (jnp.abs(both.covariance - both.coarse) <= 0.03 * scale.max()).all()


def _causal(both: _Integrals) -> Array:
    r"""Whether the response comes after its cause: it does if and only if all roots are stable.

    $\frac{1}{\pi} \int_0^\infty \text{Re} K^{-1} d\omega$ is one half less what unstable roots
    contribute, a projector onto them that is 0 where there are none.
    """
    return jnp.sqrt(jnp.square(both.acausal).sum()) < 0.1


def _stable(jac: Jacobians, points: int) -> Array:
    total = _total(jac)
    if not jac.gains:
        eye = jnp.eye(len(total), dtype=total.dtype)
        return jnp.isfinite(_doubling(total, eye)).all()
    return _causal(_integrals(jac, jnp.ones(len(total), total.dtype), points))


def _resonance(jac: Jacobians, points: int):
    """The frequency of the largest response, and which directions it goes between."""
    _, omegas, _ = _nodes(jac, points)
    identity = as_complex(jnp.eye(_size(jac), dtype=jac.now.dtype))

    def response_at(omega):
        return jnp.linalg.solve(_characteristic(jac, omega), identity)

    heights = lax.map(
        lambda omega: jnp.square(jnp.abs(response_at(omega))).sum(), omegas, batch_size=CHUNK
    )
    omega = omegas[heights.argmax()]
    response = response_at(omega)
    row, column = jnp.unravel_index(jnp.abs(response).argmax(), response.shape)
    left, right = response[:, column], response[row].conj()
    left, right = (x / as_complex(jnp.linalg.norm(x)) for x in (left, right))
    return omega, left, right


def _characteristic(jac: Jacobians, omega: Array) -> Array:
    """K at a frequency [rad/ms], as a matrix."""
    size = _size(jac)
    matrix = -as_complex(jac.now)
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        phase = lax.complex(jnp.cos(omega * delay), -jnp.sin(omega * delay))
        matrix = matrix - as_complex(gain) * phase[None, :, None, :]
    matrix = matrix.reshape(size, size)
    return matrix + lax.complex(jnp.zeros_like(omega), omega) * jnp.eye(size, dtype=matrix.dtype)


def as_complex(x: Array) -> Array:
    """`x` as complex numbers of its own precision."""
    return lax.complex(x, jnp.zeros_like(x))


def _size(jac: Jacobians) -> int:
    return jac.now.shape[0] * jac.now.shape[1]


def _total(jac: Jacobians) -> Array:
    return sum(jac.gains, jac.now).reshape(_size(jac), _size(jac))


def _scale(a: Array) -> Array:
    """The size of a matrix's eigenvalues, about; 1 if they are 0."""
    square = jnp.square(a).sum() / len(a)
    return jnp.where(square == 0, 1, jnp.sqrt(jnp.where(square == 0, 1, square)))


def _solve2(a: Array, y: Array) -> Array:
    determinant = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    return (
        jnp.stack([a[1, 1] * y[0] - a[0, 1] * y[1], a[0, 0] * y[1] - a[1, 0] * y[0]]) / determinant
    )


def _stacked(net: Network, x: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """The states as one array `(state, region)`, and the way back into their container."""
    names = net.node.states
    require_names("state", names_of(x), names)
    require_names("state in `x0`", names, names_of(x))
    states = [as_float("x0", get(x, name)) for name in names]
    for name, value in zip(names, states, strict=True):
        require_shape(f"x0.{name}", value, states[0].shape[:1], meaning="Each state is (region,).")

    def unstack(z: Array) -> PyTree:
        return type(x)(**dict(zip(names, z, strict=True)))

    return jnp.stack(states), unstack


def _ends(net: Network):
    """Each coupling's name, source, target and input, one at a time."""
    for name, wire in net.wires:
        for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
            yield name, source, into, target


def _delayed(net: Network):
    """The place of each delayed end, its source and its coupling's name."""
    bounds = dict(net.lag_bounds)
    for place, (name, source, _, _) in enumerate(_ends(net)):
        if bounds[name][1] > 0:
            yield place, source, name


def _delay(net: Network, params: Params, name: str) -> Array:
    """How long ago what arrives was sent: the mean of the reads of the past, in ms."""
    taps = net._taps(name, params)
    whole = [tap.lags.astype(float) for tap in taps]
    shares = [1.0 if tap.share is None else tap.share.astype(float) for tap in taps]
    first, *more = (lags * share for lags, share in zip(whole, shares, strict=True))
    return net.dt * sum(more, first)


def _seen_at(net: Network, x: PyTree) -> tuple[Array | None, ...]:
    """What each end sees of a state that lasts; None where it reads the present itself."""
    bounds = dict(net.lag_bounds)
    seen = []
    for name, source, _, _ in _ends(net):
        sent = read(x, source)
        lags = net.lags[name]
        if bounds[name][1] == 0:
            seen.append(None)
        elif lags is not None and lags.ndim == 0:
            seen.append(sent)
        else:
            seen.append(jnp.broadcast_to(sent[None], (len(sent), len(sent))))
    return tuple(seen)


def _rate(net: Network, params: Params, unstack: Callable[[Array], PyTree]):
    """The rates of change, `(state, region)`, of the states now and of what each target sees."""
    net.links(params)  # for its checks
    external = params.external or {}
    varying = [name for name, value in external.items() if callable(value) or is_noise(value)]
    if varying:
        raise ValueError(
            f"The external input on {varying[0]!r} varies in time: a network has a fixed "
            "point only where its input is constant."
        )
    couplings = params.coupling
    if not isinstance(couplings, Mapping):
        couplings = {"coupling": couplings}

    def rate(z: Array, seen: tuple[Array | None, ...]) -> Array:
        x = unstack(z)
        inputs = {name: jnp.zeros(z.shape[1], z.dtype) for name in net.node.inputs}
        for name, value in external.items():
            inputs[name] = inputs[name] + value
        for (name, source, into, target), copy in zip(_ends(net), seen, strict=True):
            sent = read(x, source) if copy is None else copy
            inputs[into] = inputs[into] + couplings[name](sent, read(x, target))
        container = inputs if isinstance(x, Mapping) else _Inputs(inputs)
        change = net.node(x, container, params.node)
        return jnp.stack([get(change, name) for name in net.node.states])

    return rate


class _Inputs:
    """Inputs as fields, for nodes whose state has fields."""

    def __init__(self, values: dict[str, Array]):
        self.__dict__.update(values)


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
    given = params.noise if isinstance(params.noise, dict) else dict.fromkeys(names, params.noise)
    require_names("state", given, names)
    for value in given.values():
        meaning = "One for all, or one a region."
        require_shape("noise", value, (), z.shape[1:], meaning=meaning)
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
    z, unstack = _stacked(net, x)
    return jax.grad(lambda z: read(unstack(z), signal).sum())(z)


def _points(points: int) -> int:
    points = as_count("points", points)
    if points == 0 or points % CHUNK:
        raise ValueError(f"`points` must be a multiple of {CHUNK}, not {points}.")
    return points
