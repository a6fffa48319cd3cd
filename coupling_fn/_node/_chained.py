"""A node with further states: chains of first-order stages that filter what it sends.

What leaves a chain of n stages has gamma-distributed delays of order n. The chains' states stand after
the node's own, in a container like the user's: a dict, or a NamedTuple of all names.
"""

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple

import jax
from jax import Array

from .._core import Signal, as_float, asking, get, names_of, read, require_names
from .._coupling import Coupling, messages_of
from ._node import Node


class Chain(NamedTuple):
    """Stages that filter the messages of one signal.

    Attributes:
        source: the signal, of the node's own state.
        coupling: the name of the coupling that sends it.
        stages: the names of the stages, first to last, of each message that the rule makes of a state.
    """

    source: Signal
    coupling: str
    stages: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all stages."""
        return tuple(name for stages in self.stages for name in stages)


class Filter(NamedTuple):
    """The numbers of a chain.

    Attributes:
        rule: the rule that makes messages of states; None where the states are the messages.
        mean: the mean delay, a scalar or one per source. [ms]
    """

    rule: Coupling | None
    mean: Array

    def messages(self, source: Array) -> list[Array]:
        """Return what enters the chain, one array per message of a source."""
        return [source] if self.rule is None else jax.tree.leaves(messages_of(self.rule, source))


class ChainedParams(NamedTuple):
    """The parameters of a node with chains.

    Attributes:
        own: those of the node.
        filters: those of its chains.
    """

    own: Any
    filters: tuple[Filter, ...]


@dataclasses.dataclass(frozen=True)
class ChainedNode:
    """A node whose signals pass chains of stages before they are sent.

    Attributes:
        own: the node.
        chains: the chains.
    """

    own: Node
    chains: tuple[Chain, ...]

    def __call__(self, state: Any, inputs: Any, params: ChainedParams) -> Any:
        """Return the rates of change of the node's own states and of all stages."""
        own = self.own_state(state)
        given = {"its state": own, "its inputs": inputs, "`params.node`": params.own}
        with asking(
            f"The node {self.__name__}", given, "A node is called as node(state, inputs, params)."
        ):
            own_rates = self.own(own, inputs, params.own)
            rates = {name: get(own_rates, name) for name in self.own.states}
        for chain, filtered in zip(self.chains, params.filters, strict=True):
            messages = filtered.messages(read(own, chain.source))
            for message, stages in zip(messages, chain.stages, strict=True):
                before = message
                for name in stages:
                    value = get(state, name)
                    rates[name] = (before - value) * (len(stages) / filtered.mean)
                    before = value
        return type(state)(**rates)

    def own_state(self, state: Any) -> Any:
        """Return the states of the node itself, in the container that the user gave them in."""
        values = {name: get(state, name) for name in self.own.states}
        return (
            values
            if isinstance(state, Mapping)
            else getattr(type(state), "own", type(state))(**values)
        )

    def at_rest(self, state: Any, params: ChainedParams) -> Any:
        """Return a state with stages at rest with the messages of the node, where it has none."""
        values = {name: as_float("x0", get(state, name)) for name in self.own.states}
        held = {name: get(state, name) for name in names_of(state) if name not in values}
        require_names("state", held, self.states)
        own = self.own_state(state)
        own = values if isinstance(own, Mapping) else type(own)(**values)
        for chain, filtered in zip(self.chains, params.filters, strict=True):
            messages = filtered.messages(read(own, chain.source))
            for message, stages in zip(messages, chain.stages, strict=True):
                for name in stages:
                    values[name] = held.get(name, message)
        if isinstance(state, Mapping):
            return values
        names = (*names_of(own), *(n for chain in self.chains for n in chain.names))
        return _with_stages(type(own), names)(**values)

    @cached_property
    def __name__(self) -> str:
        return getattr(self.own, "__name__", "node")

    @cached_property
    def states(self) -> tuple[str, ...]:
        return (*self.own.states, *(name for chain in self.chains for name in chain.names))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.own.inputs

    @property
    def coupled(self) -> tuple[tuple[Signal, str], ...]:
        return self.own.coupled

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return getattr(self.own, "ranges", {})

    @property
    def bounds(self) -> Mapping[str, tuple[float | None, float | None]]:
        return getattr(self.own, "bounds", {})

    @property
    def angles(self) -> tuple[str, ...]:
        return getattr(self.own, "angles", ())

    @property
    def state_units(self) -> Mapping[str, str]:
        return getattr(self.own, "state_units", {})

    @property
    def input_units(self) -> Mapping[str, str]:
        return getattr(self.own, "input_units", {})

    @property
    def implied(self) -> tuple[str, ...]:
        return getattr(self.own, "implied", ())

    @cached_property
    def auxiliary(self) -> Mapping[str, Callable[[Any, Any, Any], Any]]:
        of_own = getattr(self.own, "auxiliary", {})
        return {name: self._of_own(function) for name, function in of_own.items()}

    @property
    def State(self) -> Any:
        return getattr(self.own, "State", None)

    @property
    def Params(self) -> Any:
        return getattr(self.own, "Params", None)

    def _of_own(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def of_chained(state: Any, inputs: Any, params: ChainedParams) -> Any:
            return function(self.own_state(state), inputs, params.own)

        return of_chained


@cache
def _with_stages(own: type, names: tuple[str, ...]) -> Any:
    """Return a NamedTuple class of a node's own states and of stages, which knows that of the former."""
    both = namedtuple(own.__name__, names)
    both.own = own  # pyright: ignore[reportAttributeAccessIssue]
    return both
