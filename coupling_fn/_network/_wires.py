"""The wires of a network, with names that its node has; between subnetworks, what they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._core import Signal, in_short, require_names
from .._node import HybridNode, Within
from ..nodes import Node
from ._params import Wire


def checked_wires(node: Node, couplings: Wire | Mapping[str, Wire] | None) -> dict[str, Wire]:
    """Return the wires by the names of their couplings, with names that the node has."""
    if couplings is None and node.coupled:
        couplings = Wire(*map(tuple, zip(*node.coupled, strict=True)))
    if couplings is None or isinstance(couplings, Wire):
        couplings = {} if couplings is None else {"coupling": couplings}
    wires = list(couplings.values()) if isinstance(couplings, Mapping) else [couplings]
    for wire in wires:
        if not isinstance(wire, Wire) or not isinstance(couplings, Mapping):
            raise TypeError(
                '`couplings` must be a cf.Wire("x", into="x"), or a dict of wires by name, not '
                f"{in_short(wire)}. The coupling itself goes into cf.Params(coupling=...)."
            )
    if isinstance(node, HybridNode):
        return {name: _wire_of_parts(node, name, wire) for name, wire in couplings.items()}
    for wire in couplings.values():
        signals = [s for s in wire.source + wire.target if isinstance(s, str)]
        require_names("state", signals, node.states)
        require_names("input", wire.into, node.inputs)
    return dict(couplings)


def _wire_of_parts(node: HybridNode, name: str, wire: Wire) -> Wire:
    """Return the wire of a projection, with names that the subnetworks have.

    Names without a subnetwork become the signals that join it, and a target that the wire does not state
    becomes the state of the receiving subnetwork with the name of the source, or None.
    """
    sources, targets = [], []
    for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
        place = f"the projection {name!r}"
        _require_name_of_part(node, "input", into, node.inputs, node.joined_inputs, place)
        part = into.rpartition(".")[0]
        sources.append(_signal_of_parts(node, source, place))
        if target is source or target == source:  # not stated
            targets.append(_own_state(node, source, part))
            continue
        if target is None:
            targets.append(None)
            continue
        targets.append(_signal_of_parts(node, target, place))
        of_target = target.rpartition(".")[0] if isinstance(target, str) else part
        of_target = target.part if isinstance(target, Within) else of_target
        if of_target != part:
            raise ValueError(
                f"In {place} the target {target!r} is of another subnetwork than the input {into!r}: "
                "it is what the rule takes as the receiving regions' own state."
            )
    return Wire(sources, wire.into, targets)


def _signal_of_parts(node: HybridNode, signal: Signal, place: str) -> Signal:
    """Return a signal that reads one subnetwork or joins all, from the name of a state."""
    if isinstance(signal, Within):
        require_names(f"subnetwork, in {place},", [signal.part], node.names)
    if not isinstance(signal, str):
        return signal
    _require_name_of_part(node, "state", signal, node.states, node.joined_states, place)
    return node.joined_states.get(signal, signal)


def _own_state(node: HybridNode, source: Signal, part: str) -> Signal | None:
    """Return the state of a subnetwork, or of all (""), that has the name of the source, if any has."""
    if isinstance(source, Within) and source.part == part:
        return source
    variable = source.rpartition(".")[2] if isinstance(source, str) else ""
    own = f"{part}.{variable}" if part else variable
    return own if own in node.states else node.joined_states.get(own)


def _require_name_of_part(
    node: HybridNode,
    what: str,
    name: str,
    names: Sequence[str],
    joined: Mapping[str, Any],
    place: str,
) -> None:
    """Refuse a name that no subnetwork has, and say what it is that does not exist."""
    part, dot, own = name.rpartition(".")
    if name in names or name in joined:
        return
    if dot:
        require_names(f"subnetwork, in {place},", [part], node.names)
        of_part = [n.removeprefix(f"{part}.") for n in names if n.startswith(f"{part}.")]
        require_names(f"{what} of {part!r}, in {place},", [own], of_part)
    has = [n for n in node.names if f"{n}.{name}" in names]
    if has:
        lacks = [n for n in node.names if n not in has]
        raise ValueError(
            f"In {place}, the {what} {name!r} is one of {', '.join(has)} but not of "
            f"{', '.join(lacks)}. Name the subnetwork, too: {has[0] + '.' + name!r}."
        )
    require_names(f"{what}, in {place},", [name], [*names, *joined])
