r"""A network linearised at its fixed point: where it stands still, and how it responds there.

Near a fixed point $x^*$ a network driven by weak noise is a linear one,

$$\dot u = A_0 u + \sum_d A_d\, u(t - \tau_d) + \sigma \xi,\qquad
K(\omega) = i \omega - A_0 - \sum_d A_d e^{-i \omega \tau_d}.$$

All of it is that of continuous time: a run in steps of dt comes to it as dt goes to 0.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from .._core import PyTree, as_float, container, get, names_of, read, require_names, require_shape
from .._network import Network, Params, derivative, links_of, taps_of
from ..noise._draw import is_noise

NEWTON_STEPS = 200
CALM, SLOW = 1.0, 0.1  # how states are drawn to their past, in terms of the eigenvalues


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


@eqx.filter_jit
def fixed_point(net: Network, params: Params, x0: PyTree) -> PyTree:
    """Find where a network without noise stands still, by Newton's method from `x0`.

    The first steps are damped, so that they follow the dynamics (pseudo-transient continuation);
    where these lead to no rest, oscillations are damped, too (selective frequency damping).
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
        C. T. Kelley and D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998), for the damping of steps;
        E. Åkervik et al., Phys. Fluids 18, 068102 (2006), for that of oscillations.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 0.5], [0.0, 0.0]])
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(W, b=1.0))
        >>> cf.fixed_point(net, params, cf.nodes.LinearState(jnp.zeros(2))).x.round(6).tolist()
        [1.5, 1.0]
    """
    start, unstack = stacked(net, x0)
    rate = _rate(net, params, unstack)

    def still(flat):
        z = flat.reshape(start.shape)
        return rate(z, _seen_at(net, unstack(z))).ravel()

    def search(_, z):
        def attempt(carry, calm):
            root, found = carry
            other, also = _followed(still, z, calm, found)
            return (jnp.where(found, root, other), found | also), None

        tries = jnp.asarray([0.0, CALM], z.dtype)
        (root, found), _ = lax.scan(attempt, (z, jnp.asarray(False)), tries)
        return jnp.where(found, root, jnp.nan)

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
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=jnp.array([[0, 30], [10, 0]]))
        >>> W = jnp.array([[0.0, 0.5], [0.25, 0.0]])
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(W, k=2.0))
        >>> now, (gain,), (delay,) = cf.jacobians(net, params, cf.nodes.LinearState(jnp.zeros(2)))
        >>> now[0, :, 0].tolist(), gain[0, :, 0].tolist(), delay.tolist()
        ([[-1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [0.5, 0.0]], [[0.0, 3.0], [1.0, 0.0]])
    """
    z, unstack = stacked(net, x)
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


def _followed(
    still: Callable[[Array], Array], z: Array, calm: Array, done: Array
) -> tuple[Array, Array]:
    """Newton's method after damped steps that follow the dynamics, and whether it got there.

    Where `calm` is not 0 the states are drawn to their own low-pass filtered past while steps are
    damped, so that oscillations die out around a fixed point that they have left unstable.
    """
    eye = jnp.eye(z.size, dtype=z.dtype)
    eps = jnp.finfo(z.dtype).eps
    root_eps = jnp.sqrt(eps)

    def move(carry):
        z, value, past, damping, size, _, steps = carry
        slope = jax.jacfwd(still)(z)
        size = jnp.where(steps == 0, eigenvalue_scale(slope), size)
        damping = jnp.where(steps == 0, size, damping)
        # An implicit step of z' = f(z) - pull (z - past), past' = slow (z - past).
        pull, slow = calm * size, SLOW * size
        held = pull * damping / (damping + slow)
        step = jnp.linalg.solve((damping + held) * eye - slope, value - held * (z - past))
        past = past + slow / (damping + slow) * (z + step - past)
        after = still(z + step)
        ratio = jnp.abs(after).max() / jnp.where(value.any(), jnp.abs(value).max(), 1)
        largest = jnp.abs(z).max()
        # Once it is Newton's, what follows a relative step of sqrt(eps) would be one of eps.
        small = (jnp.abs(step).max() <= root_eps * largest + eps) & (damping <= root_eps * size)
        least = jnp.abs(step).max() <= 16 * eps * largest
        damping = damping * jnp.where(ratio <= 1, jnp.minimum(ratio, 0.5), 1)
        return z + step, after, past, damping, size, small | least, steps + 1

    one = jnp.ones((), z.dtype)
    start = (z, still(z), z, one, one, done, jnp.asarray(0))
    z, *_, close, _ = lax.while_loop(lambda c: ~c[-2] & (c[-1] < NEWTON_STEPS), move, start)
    return z, close


def stacked(net: Network, x: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
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
    taps = taps_of(net, name, params)
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
    links_of(net, params)  # for its checks
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
        driven = dict(external)
        for (name, source, into, target), copy in zip(_ends(net), seen, strict=True):
            sent = read(x, source) if copy is None else copy
            driven[into] = driven.get(into, 0.0) + couplings[name](sent, read(x, target))
        change = derivative(net, x, container(x, net.node.inputs, driven, z[0]), params)
        return jnp.stack([get(change, name) for name in net.node.states])

    return rate


def as_complex(x: Array) -> Array:
    """`x` as complex numbers of its own precision."""
    return lax.complex(x, jnp.zeros_like(x))


def size_of(jac: Jacobians) -> int:
    """How many states all regions have."""
    return jac.now.shape[0] * jac.now.shape[1]


def without_delays(jac: Jacobians) -> Array:
    """The Jacobian matrix of a network whose delays are 0."""
    return sum(jac.gains, jac.now).reshape(size_of(jac), size_of(jac))


def eigenvalue_scale(a: Array) -> Array:
    """The size of a matrix's eigenvalues, about; 1 if they are 0."""
    square = jnp.square(a).sum() / len(a)
    return jnp.where(square == 0, 1, jnp.sqrt(jnp.where(square == 0, 1, square)))


def characteristic(jac: Jacobians, omega: Array) -> Array:
    """K at a frequency [rad/ms], as a matrix."""
    size = size_of(jac)
    matrix = -as_complex(jac.now)
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        phase = lax.complex(jnp.cos(omega * delay), -jnp.sin(omega * delay))
        matrix = matrix - as_complex(gain) * phase[None, :, None, :]
    matrix = matrix.reshape(size, size)
    return matrix + lax.complex(jnp.zeros_like(omega), omega) * jnp.eye(size, dtype=matrix.dtype)
