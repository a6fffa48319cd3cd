"""What a run records by name: states, what regions receive, and auxiliary quantities of the node.

States are read off; the other quantities are computed from what drives the nodes in a state, and only
where a record asks for them.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
from jax import Array

from .._core import PyTree, beside, get, in_short, read, require_names, require_shape
from .._network import (
    Network,
    Params,
    State,
    inputs_in,
    links_of,
    params_in,
    without_stages,
)
from .._node import HybridNode, Joined, Node

INPUT = "input."  # What a region receives is named by this and the name of the node's input.


class StatesByName(eqx.Module):
    """Record state variables by name; equal names compare equal, so that nothing compiles twice."""

    names: str | tuple[str, ...] = eqx.field(static=True)
    joined: tuple[Joined, ...] = eqx.field(static=True, default=())

    def __call__(self, state: Any) -> PyTree:
        joined = {signal.name: signal for signal in self.joined}
        return _by_name(self.names, lambda name: read(state.node, joined.get(name, name)))


class OwnStates(eqx.Module):
    """Record the states of the nodes without stages of gamma-distributed delays."""

    node: Node = eqx.field(static=True)

    def __call__(self, state: Any) -> PyTree:
        return without_stages(self.node, state.node)


class Quantities(eqx.Module):
    """Record what depends on what drives the nodes."""

    @abstractmethod
    def of(self, net: Network, params: Params, state: State, inputs: Any) -> PyTree:
        """Return the record of a state, given what drives the nodes in it."""

    def at(self, net: Network, params: Params, state: State) -> PyTree:
        """Return the record of a state, whose history tells what drives the nodes in it."""
        inputs = inputs_in(net, links_of(net, params), state, params)
        return self.of(net, params, state, inputs)


class QuantitiesByName(Quantities):
    """Record by name quantities of which some depend on what drives the nodes."""

    names: str | tuple[str, ...] = eqx.field(static=True)

    def of(self, net: Network, params: Params, state: State, inputs: Any) -> PyTree:
        params = params_in(net, params, state)
        return _by_name(self.names, partial(_quantity, net, params, state, inputs))


Record = Callable[[State], PyTree] | Quantities


class Together(eqx.Module):
    """Record what several recorders do, in a tuple."""

    recorders: tuple[Callable[[Any], PyTree], ...]

    def __call__(self, state: Any) -> tuple[PyTree, ...]:
        return tuple(record(state) for record in self.recorders)


class QuantitiesTogether(Quantities):
    """Record what several recorders do, of which some depend on what drives the nodes."""

    recorders: tuple[Record, ...]

    def of(self, net: Network, params: Params, state: State, inputs: Any) -> tuple[PyTree, ...]:
        return tuple(
            record.of(net, params, state, inputs)
            if isinstance(record, Quantities)
            else record(state)
            for record in self.recorders
        )


def together(recorders: tuple[Any, ...]) -> Together | QuantitiesTogether:
    """Return one recorder of what several record."""
    quantities = any(isinstance(record, Quantities) for record in recorders)
    return (QuantitiesTogether if quantities else Together)(recorders)


def recorder_by_name(
    step: Any, state: Any, record: Any, what: str
) -> StatesByName | QuantitiesByName:
    """Return the recorder of these names; refuse a name of nothing, with a list of what there is.

    Errors call the argument `what`, which is in backticks.
    """
    if not isinstance(record, str | tuple | list):
        raise TypeError(
            f"{what} must be a name, a tuple of names or a function of the state, not "
            f"{in_short(record)}."
        )
    names = record if isinstance(record, str) else tuple(record)
    each = (names,) if isinstance(names, str) else names
    if isinstance(step, Network):
        node = step.node
        received = [INPUT + name for name in node.inputs]
        joined = node.joined_states if isinstance(node, HybridNode) else {}
        if isinstance(node, HybridNode):
            received += [INPUT + name for name in node.joined_inputs]
        known = [*node.states, *joined, *received, *_auxiliary(node)]
        require_names(f"state, input or auxiliary (in {what})", each, known)
        if set(each) - set(node.states) - set(joined):
            return QuantitiesByName(names)
        return StatesByName(names, tuple(joined[name] for name in each if name in joined))
    else:
        _require_states(each, state, what)
    return StatesByName(names)


def _require_states(names: tuple[str, ...], state: Any, what: str) -> None:
    """Refuse names that the state of a step of one's own does not hold."""
    held = getattr(state, "node", None)
    if held is None:
        raise TypeError(
            f"{what} by name reads `state.node`, which a {type(state).__name__} does not have: give "
            "a function of the state."
        )
    fields = held if isinstance(held, Mapping) else getattr(held, "_fields", None)
    if fields is not None:
        require_names(f"state (in {what})", names, fields)


def _by_name(names: str | tuple[str, ...], value: Callable[[str], Any]) -> PyTree:
    return value(names) if isinstance(names, str) else {name: value(name) for name in names}


def _auxiliary(node: Any) -> Mapping[str, Any]:
    return getattr(node, "auxiliary", {})  # a function made a node by hand may not have it


def _quantity(net: Network, params: Params, state: State, inputs: Any, name: str) -> Any:
    node = net.node
    if name in node.states:
        return get(state.node, name)
    if isinstance(node, HybridNode):
        if name in node.joined_states:
            return node.joined_states[name](state.node)
        if name.removeprefix(INPUT) in node.joined_inputs:
            return node.joined_inputs[name.removeprefix(INPUT)](inputs)
    if name.startswith(INPUT):
        return get(inputs, name.removeprefix(INPUT))
    value = _auxiliary(node)[name](state.node, inputs, params.node)
    like = beside(state.node, name)
    require_shape(f"auxiliary {name}", value, like.shape, meaning="It has one value per region.")
    return value


# --- histories in records ---------------------------------------------------------------------------


class _HistoryRead(Exception):
    """A record reads the history."""


class Unread(Mapping):
    """Stands for the history in a state; it raises `_HistoryRead` when it is looked at."""

    def _raise(self, *_: Any) -> Any:
        raise _HistoryRead

    __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __eq__ = _raise
    get = keys = values = items = _raise


# Also where it is a part of what a record returns, or maps over.
jax.tree_util.register_pytree_node(Unread, Unread._raise, Unread._raise)


def reads_history(record: Record, state: State) -> bool:
    """Return whether a record looks at the history, which blocks then hand to it, or returns it."""
    if isinstance(record, Together | QuantitiesTogether):
        return any(reads_history(each, state) for each in record.recorders)
    if isinstance(record, Quantities):  # it takes the delayed sums, which the block has
        return False
    look: Callable[[State], PyTree] = record

    def probe(node: PyTree, noise: PyTree, step: Array) -> PyTree:
        return look(state._replace(node=node, noise=noise, step=step, history=Unread()))

    try:
        jax.eval_shape(probe, state.node, state.noise, state.step)
    except _HistoryRead:
        return True
    return False
