"""The links of a network: its couplings, prepared once per run, and what they read from histories."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._core import by_node, known, names_of, read, require_names, require_shape
from .._coupling import Coupling, GammaDelayedCoupling, SumCoupling, require_elementwise
from .._delays import fractional_lags, nearest_lags, within_bounds
from .._node import Joined
from ._checks import require_fitting_lags, require_params
from ._edge_forms import of_stored_edges
from ._edge_groups import Tap
from ._fields import NetworkFields
from ._link import Link, Signals, pairwise_link, separable_link, sharing
from ._params import Params, State, Wire, present_edges


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
    links = tuple(
        link
        for name, wire in net.wires
        for link in _links_of_wire(net, name, wire, couplings[name], params)
    )
    return links if net.mesh is not None else sharing(links)  # a device has rows of each matrix


def _links_of_wire(
    net: NetworkFields, name: str, wire: Wire, coupling: Any, params: Params
) -> Iterator[Link]:
    """Yield one link per input of the wire, and per part of a sum of couplings."""
    taps = taps_of(net, name, params)
    bounds = dict(net.lag_bounds)[name]
    parts = tuple(_parts(coupling))
    for part in parts:
        # Whoever prepares a run turns stages into states first: unfiltered, numbers would be wrong.
        assert not isinstance(part, GammaDelayedCoupling), "`expanded` was not called"
        if isinstance(part, Coupling):
            require_elementwise(part)
    for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
        history = _history_name(net, name, wire, source)
        angle = isinstance(source, str | Joined) and set(net.angles).issuperset(names_in(source))
        signals = Signals(source, target, into, coupling=name, history=history, angle=angle)
        for part in parts:
            for tap in taps:
                require_fitting_lags(name, tap.lags, part)
            if isinstance(part, Coupling):
                part = _with_k_by_node(net.mesh, part)
                split = net.splits[name]
                yield separable_link(signals, part, taps, split, bounds, net.block_sizes)
            else:
                yield pairwise_link(signals, part, taps, bounds)


def _parts(coupling: Any) -> Iterator[Any]:
    """Yield what a sum of couplings, or of such sums, consists of."""
    return (part for _, part in _parts_at("", coupling))


def _parts_at(path: str, coupling: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a sum of couplings, or of such sums, consists of, each with its path."""
    if not isinstance(coupling, SumCoupling):
        yield path, coupling
        return
    for number, part in enumerate(coupling.parts):
        yield from _parts_at(f"{path}.parts.{number}", part)


def rules_of(net: NetworkFields, params: Params) -> Iterator[tuple[str, Any]]:
    """Yield the rule of each link, in the order of `links_of`, with its path in `params`."""
    for name, wire in net.wires:
        coupling, path = params.coupling, "coupling"
        if isinstance(coupling, Mapping):
            coupling, path = coupling[name], f"coupling.{name}"
        for _ in wire.source:
            for at, part in _parts_at(path, coupling):
                yield at, _with_k_by_node(net.mesh, part) if isinstance(part, Coupling) else part


def names_in(source: str | Joined) -> tuple[str, ...]:
    """Return the names of the states that a source consists of."""
    return source.names if isinstance(source, Joined) else (source,)


def _history_name(net: NetworkFields, name: str, wire: Wire, source: Any) -> str:
    """Return the name of a source's history: the state's, or for a function the coupling's."""
    if isinstance(source, str | Joined):
        return source if isinstance(source, str) else source.name
    alone = len(wire.source) == 1 and name not in net.node.states
    return name if alone else f"{name}.{wire.source.index(source)}"


def check_lags(net: NetworkFields) -> None:
    """Refuse lags that `eqx.tree_at` put in past the bounds by which edges are told apart.

    Within a jitted run they are traced, and such edges would read other times in silence.
    """
    for name, lags in net.lags.items():
        if lags is not None and known(lags):
            smallest, largest = dict(net.lag_bounds)[name]
            within_bounds(lags, smallest, largest, net.edge_bounds[name])


def taps_of(net: NetworkFields, name: str, params: Params) -> tuple[Tap, ...]:
    """Return the reads of a coupling's past: none, one at whole lags, or two around fractional ones."""
    span = dict(net.lag_bounds)[name]
    smallest, largest = net.edge_bounds[name] or span
    lags = net.lags[name]
    if span[1] == 0:
        return ()
    if lags is not None and known(lags):  # `eqx.tree_at` puts in others without a check
        lags = within_bounds(lags, *span, (smallest, largest))
    if lags is None:
        if params.lengths is None:
            raise ValueError(
                f"The network was built with `lag_bounds` for {name!r}, so `params` must have lengths "
                "and speed."
            )
        hint = "It is one number: where tracts differ in speed, divide `lengths` by it."
        require_shape("speed", params.speed, (), meaning=hint)
        lengths = _lengths_of(net, name, params.lengths)
        couplings = params.coupling
        coupling = couplings[name] if isinstance(couplings, Mapping) else couplings
        smallest, largest = _bounds_of_edges(name, (smallest, largest), lengths, coupling)
        fractional = _lags_that_matter(lengths, params.speed, net.dt, coupling, (smallest, largest))
        lags = fractional if net.interpolate else nearest_lags(fractional)
        lags = within_bounds(lags, *span, (smallest, largest))
    if net.interpolate is None:
        return (Tap(lags),)
    # The largest lag is read as the later end of the last step, and a lag that is too small by a
    # rounding as the earlier end of the first.
    first, last = (jnp.asarray(bound, lags.dtype) for bound in (smallest, largest))
    last = jnp.maximum(last - 1, 0)  # an edge that is never delayed is read at the present
    whole = lax.stop_gradient(jnp.clip(jnp.floor(lags), first, last))
    late = jnp.where(jnp.asarray(largest) > 0, lags - whole, 0)
    whole = whole.astype(jnp.int32)
    return (Tap(whole, 1 - late), Tap(whole + 1, late))


def _lengths_of(net: NetworkFields, name: str, lengths: Any) -> Any:
    """Return the lengths of a coupling."""
    if not isinstance(lengths, Mapping):
        return lengths
    require_names("coupling (in `lengths`)", lengths, [name for name, _ in net.wires])
    if name not in lengths:
        raise ValueError(
            f"`lengths` has none for the coupling {name!r}, which the network has `lag_bounds` for; it "
            f"has those of {', '.join(map(repr, lengths)) or 'none'}."
        )
    return lengths[name]


def _bounds_of_edges(
    name: str, bounds: tuple[Any, Any], lengths: Any, coupling: Any
) -> tuple[Any, Any]:
    """Return the bounds in the shape of the lengths; those of stored edges from those of all pairs."""
    shape, wanted = jnp.shape(bounds[0]), jnp.shape(lengths)
    if shape in ((), wanted):
        return bounds
    conn: Any = getattr(coupling, "conn", None)
    smallest, largest = bounds
    if conn is not None and shape == jnp.shape(conn):
        smallest, largest = (of_stored_edges(conn, x) for x in bounds)
    if smallest.shape != wanted:
        raise ValueError(
            f"`lengths` of {name!r} have the shape {wanted}, and `lag_bounds` of the network has one "
            f"pair per edge, of shape {shape}; they must be alike."
        )
    return smallest, largest


def _lags_that_matter(
    lengths: Any, speed: Any, dt: float, coupling: Any, bounds: tuple[Any, Any]
) -> Array:
    """Return the lags before rounding; of an edge without weight, the nearest one within the bounds."""
    lags = fractional_lags(lengths, speed, dt)
    present = present_edges(coupling, lengths)
    if jnp.ndim(bounds[0]):
        bounds = jnp.asarray(bounds[0], lags.dtype), jnp.asarray(bounds[1], lags.dtype)
    inside = (lags >= bounds[0]) & (lags <= bounds[1])
    if present is None or (known(inside) and inside.all()):
        return lags
    # NaN and infinity must not be divided: 0 times the derivative is NaN, in the gradient of speed.
    usable = present | ((lengths >= 0) & (lengths < jnp.inf))
    lags = fractional_lags(jnp.where(usable, lengths, 0), speed, dt)
    return jnp.where(present, lags, jnp.clip(lags, *bounds))


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


def require_same_dt(net: NetworkFields, state: State) -> None:
    """Refuse a state that counts in steps of another dt."""
    if not math.isclose(state.dt.ms, net.dt, rel_tol=1e-9):
        raise ValueError(
            f"`state` counts time and history in steps of {state.dt.ms} ms; this network has dt = "
            f"{net.dt} ms. Start with its own net.init(state.node, params), where time is 0 and the "
            "history is in steps of its dt."
        )


def require_fitting_state(net: NetworkFields, state: State, links: tuple[Link, ...]) -> None:
    """Refuse a state of another dt, or whose histories are too short or of other sources.

    Longer histories do no harm.
    """
    require_same_dt(net, state)
    states, held = set(net.node.states), set(names_of(state.node))
    if states != held:
        raise ValueError(
            f"`state.node` has {', '.join(sorted(held - states)) or 'nothing'} too much, and lacks "
            f"{', '.join(sorted(states - held)) or 'nothing'}, of the node and of the stages of "
            "gamma-distributed delays: start with `net.init(x0, params)` of these `params`."
        )
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


def carried_of(
    links: tuple[Link, ...], buffers: dict[str, Array], references: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return what each delayed link carries at the times of its buffer; None without delay."""

    def of_link(link: Link, reference: Array | None) -> Any:
        buffer = buffers.get(link.signals.history)
        return None if buffer is None else link.carried(buffer, reference)

    return tuple(of_link(*each) for each in zip(links, references, strict=True))


def delayed_of(
    links: tuple[Link, ...], carried: tuple[Any, ...], references: tuple[Any, ...], after: int
) -> tuple[Any, ...]:
    """Return the delayed sums of each link, `after` steps from the present; None without delay."""

    def of_link(link: Link, carried: Any, reference: Array | None) -> Any:
        if carried is None:
            return None
        present = len(jax.tree.leaves(carried)[0]) - 1
        return link.read_delayed(carried, present + after, reference)

    return tuple(of_link(*each) for each in zip(links, carried, references, strict=True))


def references_of(links: tuple[Link, ...], state: State) -> tuple[Array | None, ...]:
    """Return the reference that each delayed link of a shift-invariant rule subtracts from states."""
    references = lax.stop_gradient(state.reference)
    return tuple(
        references.get(link.signals.history) if link.shift_invariant else None for link in links
    )
