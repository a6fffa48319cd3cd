"""The links of a network: its couplings, prepared once per run, and what they read from histories."""

from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._core import by_node, read, require_names
from .._coupling import Coupling, SumCoupling
from .._delays import fractional_lags, nearest_lags, within_bounds
from ._checks import require_fitting_lags, require_params
from ._fields import NetworkFields
from ._link import Link, PairwiseLink, Signals, Tap, separable_link
from ._params import Params, State, Wire


def links_of(net: NetworkFields, params: Params) -> tuple[Link, ...]:
    """Prepare the couplings of `params` for a run: this is done once, not at each step."""
    require_params(params)
    couplings = params.coupling
    if not isinstance(couplings, Mapping):
        couplings = {} if couplings is None else {"coupling": couplings}
    names = [name for name, _ in net.wires]
    require_names("coupling of the network", couplings, names)
    require_names("coupling in `params`", names, couplings)
    if params.lengths is not None and not _takes_lengths(net):
        raise ValueError(
            "`params` has lengths and speed, but the network was built without `lag_bounds`, so it "
            "would not read them: build it with `lag_bounds=cf.lag_bounds(...)`."
        )
    return tuple(
        link
        for name, wire in net.wires
        for link in _links_of_wire(net, name, wire, couplings[name], params)
    )


def _links_of_wire(
    net: NetworkFields, name: str, wire: Wire, coupling: Any, params: Params
) -> Iterator[Link]:
    """Yield one link per input of the wire, and per part of a sum of couplings."""
    taps = taps_of(net, name, params)
    bounds = dict(net.lag_bounds)[name]
    parts = coupling.parts if isinstance(coupling, SumCoupling) else (coupling,)
    for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
        history = _history_name(net, name, wire, source)
        signals = Signals(source, target, into, coupling=name, history=history)
        for part in parts:
            for tap in taps:
                require_fitting_lags(name, tap.lags, part)
            if isinstance(part, Coupling):
                part = _with_k_by_node(net.mesh, part)
                split = net.splits[name]
                yield separable_link(signals, part, taps, split, bounds, net.block_size)
            else:
                smallest, largest = bounds
                yield PairwiseLink(
                    part, taps, signals, some_instantaneous=smallest == 0, stepwise_lag=largest
                )


def _history_name(net: NetworkFields, name: str, wire: Wire, source: Any) -> str:
    """Return the name of a source's history: the state's, or for a function the coupling's."""
    if isinstance(source, str):
        return source
    alone = len(wire.source) == 1 and name not in net.node.states
    return name if alone else f"{name}.{wire.source.index(source)}"


def taps_of(net: NetworkFields, name: str, params: Params) -> tuple[Tap, ...]:
    """Return the reads of a coupling's past: none, one at whole lags, or two around fractional ones."""
    smallest, largest = dict(net.lag_bounds)[name]
    lags = net.lags[name]
    if largest == 0:
        return ()
    if lags is None:
        if params.lengths is None:
            raise ValueError(
                f"The network was built with `lag_bounds` for {name!r}, so `params` must have lengths "
                "and speed."
            )
        lengths = params.lengths
        lengths = lengths[name] if isinstance(lengths, Mapping) else lengths
        fractional = fractional_lags(lengths, params.speed, net.dt)
        lags = fractional if net.interpolate else nearest_lags(fractional)
        lags = within_bounds(lags, smallest, largest)
    if net.interpolate is None:
        return (Tap(lags),)
    # The largest lag is read as the later end of the last step, and a lag that is too small by a
    # rounding as the earlier end of the first.
    whole = lax.stop_gradient(jnp.clip(jnp.floor(lags), smallest, largest - 1))
    late = lags - whole
    whole = whole.astype(jnp.int32)
    return (Tap(whole, 1 - late), Tap(whole + 1, late))


def _takes_lengths(net: NetworkFields) -> bool:
    return any(net.lags[name] is None and largest > 0 for name, (_, largest) in net.lag_bounds)


def _with_k_by_node(mesh: Mesh | None, coupling: Coupling) -> Coupling:
    """Spread one global k over the nodes, so that its cotangent stays on each device during a run.

    For a single number, devices would exchange their shares of the cotangent at every step.
    """
    if mesh is None or "k" not in coupling.__dataclass_fields__ or jnp.ndim(coupling.k):
        return coupling
    k = jnp.broadcast_to(coupling.k, coupling.conn.shape[:1])
    return eqx.tree_at(lambda c: c.k, coupling, by_node(mesh, k))


# --- what links read from histories ---------------------------------------------------------------


def history_depths(net: NetworkFields, links: tuple[Link, ...]) -> dict[str, int]:
    """Return how many steps back the history of each delayed source reaches."""
    depths: dict[str, int] = {}
    for link in links:
        _, largest = dict(net.lag_bounds)[link.signals.coupling]
        name = link.signals.history
        depths[name] = max(depths.get(name, 0), largest)
    return {name: depth for name, depth in depths.items() if depth}


def require_history(net: NetworkFields, state: State, links: tuple[Link, ...]) -> None:
    """Refuse a state whose histories are too short, or of other sources; longer ones do no harm."""
    wanted = history_depths(net, links)
    got = {name: len(history) for name, history in state.history.items()}
    if got.keys() != wanted.keys() or any(got[name] < wanted[name] for name in wanted):
        raise ValueError(
            f"`state.history` holds {_depths(got)}; this network needs {_depths(wanted)}: start "
            "with its own net.init(x0, params)."
        )


def _depths(depths: dict[str, int]) -> str:
    return f"{depths} [steps]" if depths else "nothing"


def buffers_of(links: tuple[Link, ...], state: State) -> dict[str, Array]:
    """Return the history of each delayed source with its present behind, `(lag + 1, source)`."""
    return {
        link.signals.history: jnp.concatenate(
            [state.history[link.signals.history], read(state.node, link.signals.source)[None]]
        )
        for link in links
        if link.signals.history in state.history
    }


def delayed_of(
    links: tuple[Link, ...], buffers: dict[str, Array], references: tuple[Any, ...], after: int
) -> tuple[Any, ...]:
    """Return the delayed sums of each link, `after` steps from the present; None without delay."""

    def of_link(link: Link, reference: Array | None) -> Any:
        buffer = buffers.get(link.signals.history)
        if buffer is None:
            return None
        return link.read_delayed(buffer, len(buffer) - 1 + after, reference)

    return tuple(of_link(*each) for each in zip(links, references, strict=True))


def references_of(links: tuple[Link, ...], state: State) -> tuple[Array | None, ...]:
    """Return the reference that each delayed link of a shift-invariant rule subtracts from states."""
    references = lax.stop_gradient(state.reference)
    return tuple(
        references.get(link.signals.history) if link.shift_invariant else None for link in links
    )
