"""Several node models side by side, as the one node of a network.

The state of such a node holds the state of each subnetwork, whose arrays may differ in length. A name
with a dot is of one subnetwork ("cortex.E"); one without ("E") is of all of them, in the order of the
connectome.
"""

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import PyTree, asking, beside, entries, get, require_names
from ._node import Node

Places = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Within:
    """A function of the state of one subnetwork, as a signal that couplings read; `of` makes it.

    Attributes:
        part: the name of the subnetwork.
        signal: the function of its state.
    """

    part: str
    signal: Callable[[Any], Array]

    def __call__(self, state: PyTree) -> Array:
        """Return the signal, `(region of the subnetwork,)`."""
        return self.signal(get(state, self.part))


@dataclasses.dataclass(frozen=True)
class Joined:
    """A variable that all subnetworks have, in the order of the connectome.

    Attributes:
        name: its name in each of them.
        parts: the names of the subnetworks.
        places: where the regions of each stand among all; None for one subnetwork after the other.
    """

    name: str
    parts: tuple[str, ...]
    places: Places | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variable with those of its subnetworks."""
        return tuple(f"{part}.{self.name}" for part in self.parts)

    def __call__(self, container: PyTree) -> Array:
        """Return the variable from a state, or from inputs: `(region,)`."""
        return in_order([get(container, name) for name in self.names], self.places)

    def parted(self, values: Array, sizes: tuple[int, ...]) -> dict[str, Array]:
        """Return what of `(region,)` belongs to each subnetwork, by the name of its variable."""
        return dict(zip(self.names, apart(values, sizes, self.places), strict=True))


def in_order(values: list[Array], places: Places | None) -> Array:
    """Return values `(..., region)` of all subnetworks as one array, in the order of the connectome."""
    joined = jnp.concatenate(values, axis=-1)
    if places is None or _consecutive(places):
        return joined
    order = np.argsort(np.concatenate([np.asarray(place) for place in places]))
    return joined.at[..., order].get(unique_indices=True, mode="promise_in_bounds")


def apart(values: Array, sizes: tuple[int, ...], places: Places | None) -> list[Array]:
    """Return the values of each subnetwork, from those of all regions `(..., region)`."""
    if places is None or _consecutive(places):
        # In the derivative, parts of a split are put side by side; slices are padded and added up.
        return list(lax.split(values, sizes, axis=values.ndim - 1))
    at = (np.asarray(place) for place in places)
    return [values.at[..., p].get(unique_indices=True, mode="promise_in_bounds") for p in at]


def _consecutive(places: Places) -> bool:
    return [n for place in places for n in place] == list(range(sum(map(len, places))))


@dataclasses.dataclass(frozen=True)
class HybridNode:
    """Several subnetworks, each with its own node model, as the node of one network.

    `node` and `divide` make it. It is a `nodes.Node`: called with the states, the inputs and the
    parameters of all subnetworks, each a container by their names, it returns their rates of change.

    Attributes:
        parts: the name and the node of each subnetwork.
        places: where the regions of each stand in the connectome; None for one after the other.
        states: the state variables, each with the name of its subnetwork: "cortex.E".
        inputs: the inputs, in the same form.
        coupled: empty: a hybrid network says by its wires how it is coupled.
        State: a NamedTuple class of the states of the subnetworks; a dict will do as well.
        Params: a NamedTuple class of their parameters; a dict will do as well.

    Example:
        >>> node = cf.hybrid.node(cortex=cf.nodes.wilson_cowan, thalamus=cf.nodes.linear)
        >>> node.states, node.inputs
        (('cortex.E', 'cortex.I', 'thalamus.x'), ('cortex.E', 'cortex.I', 'thalamus.x'))
        >>> isinstance(node, cf.hybrid.HybridNode), isinstance(node, cf.nodes.Node)
        (True, True)
    """

    parts: tuple[tuple[str, Node], ...]
    places: Places | None = None

    def __call__(self, state: Any, inputs: Any, params: Any) -> Any:
        """Return the rates of change of all subnetworks, in the container of the state."""
        rates = {}
        for part, node in self.parts:
            own = get(state, part), get(inputs, part), get(params, part)
            name = getattr(node, "__name__", "node")
            given = dict(
                zip(("its state", "its inputs", f"`params.node[{part!r}]`"), own, strict=True)
            )
            hint = "A node is called as node(state, inputs, params)."
            with asking(f"The node {name} of the subnetwork {part!r}", given, hint):
                rates[part] = node(*own)
        return type(state)(**rates)

    @cached_property
    def __name__(self) -> str:
        named = (f"{part}={getattr(node, '__name__', 'node')}" for part, node in self.parts)
        return f"hybrid({', '.join(named)})"

    @cached_property
    def _hash(self) -> int:
        return hash((self.parts, self.places))

    def __hash__(self) -> int:
        return self._hash  # once: a network is looked up by it at each call of a compiled function

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the subnetworks."""
        return tuple(part for part, _ in self.parts)

    @cached_property
    def states(self) -> tuple[str, ...]:
        return self._all("states")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return self._all("inputs")

    @property
    def coupled(self) -> tuple[()]:
        return ()

    @cached_property
    def angles(self) -> tuple[str, ...]:
        return self._all("angles")

    @cached_property
    def implied(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(u for _, node in self.parts for u in getattr(node, "implied", ()))
        )

    @cached_property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return dict(self._each("ranges"))

    @cached_property
    def bounds(self) -> Mapping[str, tuple[float | None, float | None]]:
        return dict(self._each("bounds"))

    @cached_property
    def state_units(self) -> Mapping[str, str]:
        return dict(self._each("state_units"))

    @cached_property
    def input_units(self) -> Mapping[str, str]:
        return dict(self._each("input_units"))

    @cached_property
    def auxiliary(self) -> Mapping[str, Callable[[Any, Any, Any], Any]]:
        return {
            name: _of_part(name.rpartition(".")[0], function)
            for name, function in self._each("auxiliary")
        }

    @cached_property
    def State(self) -> Any:
        return _class("HybridState", self.names)

    @cached_property
    def Params(self) -> Any:
        return _class("HybridParams", self.names)

    @cached_property
    def joined_states(self) -> Mapping[str, Joined]:
        """The state variables that all subnetworks have, by their names there."""
        return self._joined(self.states)

    @cached_property
    def joined_inputs(self) -> Mapping[str, Joined]:
        """The inputs that all subnetworks have, by their names there."""
        return self._joined(self.inputs)

    def sizes(self, x: PyTree) -> tuple[int, ...]:
        """Return how many regions each subnetwork has, from a state."""
        return tuple(beside(x, f"{part}.").shape[-1] for part in self.names)

    def _all(self, what: str) -> tuple[str, ...]:
        return tuple(f"{part}.{n}" for part, node in self.parts for n in getattr(node, what, ()))

    def _each(self, what: str) -> Iterator[tuple[str, Any]]:
        for part, node in self.parts:
            for name, value in dict(getattr(node, what, {})).items():
                yield f"{part}.{name}", value

    def _joined(self, names: tuple[str, ...]) -> Mapping[str, Joined]:
        own = dict.fromkeys(name.partition(".")[2] for name in names)
        return {
            name: Joined(name, self.names, self.places)
            for name in own
            if all(f"{part}.{name}" in names for part in self.names)
        }


@cache
def _class(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)


def _of_part(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def of_all(state: Any, inputs: Any, params: Any) -> Any:
        return function(get(state, part), get(inputs, part), get(params, part))

    return of_all


def parts_of(node: Node) -> dict[str, Node]:
    """Return the nodes of a hybrid by subnetwork; a node of any other kind stands alone, at ""."""
    return dict(node.parts) if isinstance(node, HybridNode) else {"": node}


def driven_by(node: Node, into: str) -> tuple[str, ...]:
    """Return the inputs that the input of a wire stands for: itself, or that of each subnetwork."""
    if isinstance(node, HybridNode) and into in node.joined_inputs:
        return node.joined_inputs[into].names
    return (into,)


def receivers(node: Node, x: PyTree, into: str) -> int:
    """Return how many regions have an input."""
    if isinstance(node, HybridNode) and into in node.joined_inputs:
        return sum(node.sizes(x))
    return len(beside(x, into))


def targets_of(node: HybridNode, x: PyTree, into: str, part: str) -> np.ndarray | None:
    """Return the numbers of a subnetwork's regions among those with an input; None if it has none."""
    names, sizes = node.names, node.sizes(x)
    place = names.index(part)
    if into not in node.joined_inputs:
        return np.arange(sizes[place]) if into.rpartition(".")[0] == part else None
    if node.places is not None:
        return np.asarray(node.places[place])
    return sum(sizes[:place]) + np.arange(sizes[place])


def require_parts(what: str, given: Any, node: HybridNode) -> None:
    """Refuse what does not have something for each subnetwork, and for no other."""
    names = list(entries(given))
    if not set(names).intersection(node.names):
        raise TypeError(
            f"{what} must hold those of each subnetwork: a dict by {', '.join(node.names)}; got a "
            f"{type(given).__name__}{' of ' * bool(names)}{', '.join(names[:3])}."
        )
    require_names(f"subnetwork (in {what})", names, node.names)
    missing = [name for name in node.names if name not in names]
    if missing:
        raise ValueError(
            f"{what} must hold those of each subnetwork; it lacks {', '.join(missing)}."
        )
