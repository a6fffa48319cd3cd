r"""A network linearised at a fixed point: its rates of change, and their derivatives there.

Near a fixed point $x^*$ a network driven by weak noise is linear in the deviations $u = x - x^*$,

$$\dot u_i(t) = \sum_j A^0_{ij} u_j(t) + \sum_d \sum_j A^d_{ij}\, u_j(t - \tau^d_{ij})
+ \sigma_i \xi_i(t).$$

The indices i and j run over the states of all regions, m = states x regions of them; d runs over the
delayed couplings, each with a matrix $A^d$ of shape (m, m) and one delay per edge, $\tau^d$ of shape
(region, region). In code the matrices are arrays (state, region, state, region).

All of this is in continuous time: a run in steps of dt approaches it as dt goes to 0.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from .._core import (
    PyTree,
    Signal,
    as_float,
    compiled,
    container,
    get,
    in_short,
    read,
    require_shape,
)
from .._coupling import Coupling, mixes_sources
from .._network import Network, Params, derivative, links_of, require_states, taps_of
from ..noise._draw import is_noise


class Jacobians(NamedTuple):
    """The derivatives of a network's rates of change by its states, instantaneous and delayed.

    Attributes:
        instantaneous: derivative of each rate by each state at the same time. [1/ms]
        gains: for each delayed coupling, the derivative by the past states of its sources. [1/ms]
        delays: for each delayed coupling, how long ago those states were, one per edge. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> conn = jnp.array([[0.0, 0.0], [0.5, 0.0]])  # region 0 drives region 1
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn))
        >>> jac = cf.jacobians(net, params, cf.nodes.LinearState(jnp.zeros(2)))
        >>> jac.instantaneous[0, :, 0, :].tolist(), jac.delays
        ([[-1.0, 0.0], [0.5, -1.0]], ())
    """

    instantaneous: Float[Array, "state region state region"]
    gains: tuple[Float[Array, "state region state region"], ...]
    delays: tuple[Float[Array, "region region"], ...]


@compiled
def jacobians(net: Network, params: Params, x: PyTree) -> Jacobians:
    """Differentiate a network's rates of change by its instantaneous and its delayed states.

    JAX differentiates the functions of the node and of the couplings themselves, so this works for any
    of them. Of a rule of your own it asks one thing: that each target reads only its own row of the
    delayed sources.

    Args:
        net: the network.
        params: its parameters.
        x: the states to differentiate at, usually a `fixed_point`.

    Returns:
        The derivatives, indexed [state, region, state, region] in the order of `net.node.states`.

    Raises:
        ValueError: if the names or shapes in `x` do not fit the node, if an external input varies in
            time, or if lags differ and the `send` of a rule of your own mixes sources: their states then
            arrive with more delays than one per pair of regions.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=jnp.array([[0, 30], [10, 0]]))
        >>> W = jnp.array([[0.0, 0.5], [0.25, 0.0]])
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(W, k=2.0))
        >>> jac = cf.jacobians(net, params, cf.nodes.LinearState(jnp.zeros(2)))
        >>> jac.instantaneous[0, :, 0].tolist()
        [[-1.0, 0.0], [0.0, -1.0]]
        >>> jac.gains[0][0, :, 0].tolist(), jac.delays[0].tolist()
        ([[0.0, 1.0], [0.5, 0.0]], [[0.0, 3.0], [1.0, 0.0]])
    """
    z, unstack = stacked(net, x)
    rate, seen = _rate(net, params, unstack), _seen_at(net, unstack(z))
    instantaneous = jax.jacfwd(lambda z: rate(z, seen))(z)
    gains, delays = [], []
    for place, source, name in _delayed(net):
        lag = _delay(net, params, name)
        _require_own_messages(net, params, name)
        by_source = _by_source(rate, z, seen, place)
        sent = jax.grad(lambda z, s=source: read(unstack(z), s).sum())(z)
        gains.append(by_source[:, :, None, :] * sent[None, None, :, :])
        delays.append(jnp.broadcast_to(lag.astype(z.dtype), (z.shape[1],) * 2))
    return Jacobians(instantaneous, tuple(gains), tuple(delays))


def _require_own_messages(net: Network, params: Params, name: str) -> None:
    """Refuse a rule whose messages mix sources, where their lags differ."""
    lags = net.lags[name]
    if lags is not None and lags.ndim == 0:
        return
    couplings = params.coupling
    coupling = couplings[name] if isinstance(couplings, Mapping) else couplings
    for rule in jax.tree.leaves(coupling, is_leaf=lambda x: isinstance(x, Coupling)):
        if isinstance(rule, Coupling) and mixes_sources(rule):
            raise ValueError(
                f"`send` of {type(rule).__name__}, in the coupling {name!r}, makes each message of the "
                "states of several sources. Where lags differ, a source then reaches a target with "
                "several delays, and there is one per pair of regions here. Give the network one lag "
                "for all edges, or analyse the rule's messages as states of the node."
            )


def _by_source(rate: Callable, z: Array, seen: tuple[Array | None, ...], place: int) -> Array:
    """Return the derivative `(state, target, source)` of the rates by one delayed signal."""

    def rate_of(copy):
        return rate(z, (*seen[:place], copy, *seen[place + 1 :]))

    copy = jnp.asarray(seen[place])
    if copy.ndim == 1:
        return jax.jacfwd(rate_of)(copy)
    # Each target sees its own row alone, so the sum over targets mixes nothing.
    return jax.jacrev(lambda copy: rate_of(copy).sum(axis=1))(copy)


def stacked(net: Network, x: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """Stack the states into one array `(state, region)`; also return the way back to `x`'s container."""
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a cf.Network, not {in_short(net)}.")
    names = net.node.states
    require_states(net.node, x)
    states = [as_float("x0", get(x, name)) for name in names]
    for name, value in zip(names, states, strict=True):
        require_shape(f"x0.{name}", value, states[0].shape[:1], meaning="Each state is (region,).")

    def unstack(z: Array) -> PyTree:
        return type(x)(**dict(zip(names, z, strict=True)))

    return jnp.stack(states), unstack


class _Path(NamedTuple):
    """One way through a coupling: its name, the source signal, the input it goes into, the target."""

    name: str
    source: Signal
    into: str
    target: Signal


def _paths(net: Network) -> Iterator[_Path]:
    """List the ways through all couplings of a network; a `Wire` with several sources has several."""
    for name, wire in net.wires:
        for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
            yield _Path(name, source, into, target)


def _delayed(net: Network) -> Iterator[tuple[int, Signal, str]]:
    """List the delayed paths: the place of each among all, its source, and its coupling's name."""
    bounds = dict(net.lag_bounds)
    for place, path in enumerate(_paths(net)):
        if bounds[path.name][1] > 0:
            yield place, path.source, path.name


def _delay(net: Network, params: Params, name: str) -> Array:
    """Return each edge's delay in ms: the mean over the reads that interpolation combines."""
    taps = taps_of(net, name, params)
    whole = [tap.lags.astype(float) for tap in taps]
    shares = [1.0 if tap.share is None else tap.share.astype(float) for tap in taps]
    first, *more = (lags * share for lags, share in zip(whole, shares, strict=True))
    return net.dt * sum(more, first)


def _seen_at(net: Network, x: PyTree) -> tuple[Array | None, ...]:
    """Return what each path sees of a constant state; None where it has no delay and reads z itself.

    That is one value per source where one lag holds for all edges, and else a row per target.
    """
    bounds = dict(net.lag_bounds)
    seen = []
    for path in _paths(net):
        sent = read(x, path.source)
        lags = net.lags[path.name]
        if bounds[path.name][1] == 0:
            seen.append(None)
        elif lags is not None and lags.ndim == 0:
            seen.append(sent)
        else:
            seen.append(jnp.broadcast_to(sent[None], (len(sent), len(sent))))
    return tuple(seen)


def _rate(net: Network, params: Params, unstack: Callable[[Array], PyTree]):
    """Return a function of the states and of what each path sees: the rates, `(state, region)`."""
    # Only its checks are needed here, and rounded lags, which they look at, have no derivative.
    links_of(net, jax.tree.map(lambda x: lax.stop_gradient(x) if eqx.is_array(x) else x, params))
    external = params.external or {}
    varying = [name for name, value in external.items() if callable(value) or is_noise(value)]
    if varying:
        raise ValueError(
            f"`params.external` must be constant: its input on {varying[0]!r} varies in time, and a "
            "network has a fixed point only under constant input. Give a number or an array."
        )
    couplings = params.coupling
    if not isinstance(couplings, Mapping):
        couplings = {"coupling": couplings}

    def rate(z: Array, seen: tuple[Array | None, ...]) -> Array:
        x = unstack(z)
        driven = dict(external)
        for (name, source, into, target), copy in zip(_paths(net), seen, strict=True):
            sent = read(x, source) if copy is None else copy
            driven[into] = driven.get(into, 0.0) + couplings[name](sent, read(x, target))
        change = derivative(net, x, container(x, net.node.inputs, driven, z[0]), params)
        return jnp.stack([get(change, name) for name in net.node.states])

    return rate


def standing(
    net: Network, params: Params, unstack: Callable[[Array], PyTree], regions: int
) -> Callable[[Array], Array]:
    """Return the rates of change of all states, one vector, where the past is as the present."""
    rate = _rate(net, params, unstack)

    def still(flat: Array) -> Array:
        z = flat.reshape(-1, regions)
        return rate(z, _seen_at(net, unstack(z))).ravel()

    return still


def eigenvalue_scale(a: Array) -> Array:
    """Return the typical size of a matrix's eigenvalues, by its Frobenius norm; 1 if it is zero."""
    square = jnp.square(a).sum() / len(a)
    return jnp.where(square == 0, 1, jnp.sqrt(jnp.where(square == 0, 1, square)))
