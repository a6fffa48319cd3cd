r"""A network linearised at a fixed point: its rates of change, and their derivatives there.

Near a fixed point $x^*$ a network driven by weak noise is linear in the deviations $u = x - x^*$,

$$\dot u_i(t) = \sum_j A^0_{ij} u_j(t) + \sum_d \sum_j A^d_{ij}\, u_j(t - \tau^d_{ij})
+ \sigma_i \xi_i(t).$$

The indices i and j run over the states of all regions, m = states x regions of them; d runs over the
delayed couplings, each with a matrix $A^d$ of shape (m, m) and one delay per edge, $\tau^d$ of shape
(region, region). In code the matrices are arrays (state, region, state, region).

Subnetworks of a hybrid network differ in their states and numbers of regions. There all states of all
regions stand in one row, (1, m), as if they were the regions of one state; delays are (m, m).

All of this is in continuous time: a run in steps of dt approaches it as dt goes to 0.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import (
    PyTree,
    Signal,
    as_float,
    beside,
    compiled,
    container,
    get,
    in_short,
    read,
    refill,
    require_shape,
)
from .._coupling import Coupling, mixes_sources
from .._network import (
    Network,
    Params,
    derivative,
    driven_inputs,
    expanded,
    links_of,
    require_constant,
    require_states,
    taps_of,
    with_stages,
)
from .._node import HybridNode, receivers, targets_of
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
        x: the states to differentiate at, usually a `fixed_point`. The stages of a
            `GammaDelayedCoupling` that it does not hold are taken at rest.

    Returns:
        The derivatives, indexed [state, region, state, region] in the order of `net.node.states`, with
        the stages of gamma-distributed delays behind. In a hybrid network they are indexed [0, m, 0, m],
        where m runs over the regions of the first of `net.node.states`, then over those of the second,
        and so on; stages follow the states of their subnetwork.

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
    net, params, x = with_all_states(net, params, x)
    z, unstack = stacked(net, x)
    rate, seen = _rate(net, params, unstack), _seen_at(net, unstack(z))
    instantaneous = jax.jacfwd(lambda z: rate(z, seen))(z)
    gains, delays = [], []
    for place, path in _delayed(net):
        lag = _delay(net, params, path.name).astype(z.dtype)
        _require_own_messages(net, params, path.name)
        if isinstance(net.node, HybridNode):
            gain, delay = _between_parts(net, path, rate, z, unstack, (seen, place), lag)
            gains.append(gain)
            delays.append(delay)
            continue
        by_source = _by_source(rate, z, seen, place)
        gains.append(_by_states(by_source, z, unstack, path.source))
        delays.append(jnp.broadcast_to(lag, (z.shape[1],) * 2))
    return Jacobians(instantaneous, tuple(gains), tuple(delays))


def _between_parts(
    net: Network,
    path: "_Path",
    rate: Callable[..., Array],
    z: Array,
    unstack: Callable[[Array], PyTree],
    seen: tuple[tuple[Array | None, ...], int],
    lag: Array,
) -> tuple[Array, Array]:
    """Return the derivatives by what a projection read in the past, and their delays: (1, m, 1, m)."""
    node, x, (copies, place) = net.node, unstack(z), seen
    assert isinstance(node, HybridNode)
    states = places(net, x)

    def of_states(copy: Array) -> Array:
        rates = rate(z, (*copies[:place], copy, *copies[place + 1 :]))
        # Each target sees its own row alone, so the sum over the regions of a state mixes nothing.
        return jnp.stack([rates[at].sum() for at in states.values()])

    copy = jnp.asarray(copies[place])
    if copy.ndim == 1:
        by_source = jax.jacfwd(lambda copy: rate(z, (*copies[:place], copy, *copies[place + 1 :])))(
            copy
        )[0]
        rows = jnp.zeros(z.size, jnp.int32)
    else:
        each = jax.jacrev(of_states)(copy)
        of_row = [targets_of(node, x, path.into, name.rpartition(".")[0]) for name in states]
        by_source = jnp.concatenate(
            [
                jnp.zeros((z[at].size, copy.shape[1]), z.dtype) if own is None else by[own]
                for own, by, at in zip(of_row, each, states.values(), strict=True)
            ]
        )
        rows = jnp.concatenate(
            [
                jnp.zeros(z[at].size, jnp.int32) if own is None else jnp.asarray(own, jnp.int32)
                for own, at in zip(of_row, states.values(), strict=True)
            ]
        )
    sent = jax.jacfwd(lambda z: read(unstack(z), path.source))(z)[:, 0]
    # A source reads its own region, so each state belongs to one source at most.
    sources = jnp.abs(sent).argmax(0)
    gain = jnp.matmul(by_source, sent, precision=lax.Precision.HIGHEST)
    each = lag.shape[-1] if lag.ndim else 1  # a source may send several messages, side by side
    delay = jnp.broadcast_to(lag, (z.size,) * 2) if lag.ndim == 0 else lag[rows][:, sources % each]
    return gain[None, :, None, :], delay


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


def _by_states(
    by_source: Array, z: Array, unstack: Callable[[Array], PyTree], source: Signal
) -> Array:
    """Return the derivatives by the past states, from those by what a path reads of these.

    Of a region it reads one number, or one for each message that the region sends.
    """
    regions = z.shape[1]

    def sums(z):
        return read(unstack(z), source).reshape(-1, regions).sum(axis=1)

    sent = jax.jacrev(sums)(z)
    by_message = by_source.reshape(*by_source.shape[:2], len(sent), regions)
    return (by_message[:, :, :, None, :] * sent[None, None]).sum(axis=2)


def with_all_states(net: Any, params: Any, x: PyTree) -> tuple[Any, Any, PyTree]:
    """Return a network, parameters and a state in which stages of distributed delays are states."""
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a cf.Network, not {in_short(net)}.")
    wide, inner = expanded(net, params)
    return (net, params, x) if wide is net else (wide, inner, with_stages(wide, inner, x))


def of_own_states(net: Network, wide: Network, x: PyTree, matrix: Array) -> Array:
    """Return what of a matrix (state, region, state, region) is of the nodes' own states.

    `wide` and its state `x` are those with stages.
    """
    if wide is net:
        return matrix
    if not isinstance(net.node, HybridNode):
        own = len(net.node.states)
        return matrix[:own, :, :own]
    at = places(wide, x)
    own = np.concatenate([np.arange(matrix.shape[1])[at[name][1]] for name in net.node.states])
    return matrix[:, own][..., own]


def stacked(net: Network, x: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """Stack the states into one array `(state, region)`; also return the way back to `x`'s container.

    Those of subnetworks stand in one row, `(1, m)`.
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a cf.Network, not {in_short(net)}.")
    names = net.node.states
    require_states(net.node, x)
    states = {name: as_float("x0", get(x, name)) for name in names}
    like = refill(x, states)
    for name, value in states.items():
        shape = beside(like, name).shape[:1]
        require_shape(f"x0.{name}", value, shape, meaning="Each state is (region,).")
    at = places(net, like)

    def unstack(z: Array) -> PyTree:
        return refill(x, {name: z[place] for name, place in at.items()})

    return _rows(net, like), unstack


def places(net: Network, x: PyTree) -> dict[str, Any]:
    """Return where each state stands in what `stacked` makes of a state."""
    if not isinstance(net.node, HybridNode):
        return {name: n for n, name in enumerate(net.node.states)}
    ends = (0, *accumulate(len(get(x, name)) for name in net.node.states))
    return {
        name: (0, slice(*end)) for name, end in zip(net.node.states, pairwise(ends), strict=True)
    }


def _rows(net: Network, container: PyTree) -> Array:
    """Return states or rates as `stacked` has them."""
    values = [get(container, name) for name in net.node.states]
    return jnp.concatenate(values)[None] if isinstance(net.node, HybridNode) else jnp.stack(values)


class _Path(NamedTuple):
    """One way through a coupling: its name, the source signal, the input it goes into, the target."""

    name: str
    source: Signal
    into: str
    target: Signal | None


def _paths(net: Network) -> Iterator[_Path]:
    """List the ways through all couplings of a network; a `Wire` with several sources has several."""
    for name, wire in net.wires:
        for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
            yield _Path(name, source, into, target)


def _delayed(net: Network) -> Iterator[tuple[int, _Path]]:
    """List the delayed paths, each with its place among all."""
    bounds = dict(net.lag_bounds)
    for place, path in enumerate(_paths(net)):
        if bounds[path.name][1] > 0:
            yield place, path


def _delay(net: Network, params: Params, name: str) -> Array:
    """Return each edge's delay in ms: the mean over the reads that interpolation combines."""
    taps = taps_of(net, name, params)
    whole = [tap.lags.astype(float) for tap in taps]
    shares = [1.0 if tap.share is None else tap.share.astype(float) for tap in taps]
    first, *more = (lags * share for lags, share in zip(whole, shares, strict=True))
    delay = net.dt * sum(more, first)
    if delay.ndim != 1:
        return delay
    # Of stored edges: pairs without an edge have no derivative, so that their delay does not matter.
    couplings = params.coupling
    conn = (couplings[name] if isinstance(couplings, Mapping) else couplings).conn
    return jnp.zeros(conn.shape, delay.dtype).at[conn.target, conn.source].set(delay)


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
            targets = receivers(net.node, x, path.into)
            seen.append(jnp.broadcast_to(sent[None], (targets, len(sent))))
    return tuple(seen)


def _rate(net: Network, params: Params, unstack: Callable[[Array], PyTree]):
    """Return a function of the states and of what each path sees: the rates, `(state, region)`."""
    require_constant(params)
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
            received = couplings[name](sent, read(x, target))
            for each, value in driven_inputs(net.node, x, into, received).items():
                driven[each] = driven.get(each, 0.0) + value
        change = derivative(net, x, container(x, net.node.inputs, driven), params)
        return _rows(net, change)

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
