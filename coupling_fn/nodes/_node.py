"""What makes a function a node: the names of its states and of the inputs that may drive it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from .._core import checked_unit, require_names

Signal = str | Callable[[Any], Any]


@runtime_checkable
class Node(Protocol):
    """A function `(state, inputs, params) -> derivative` that knows its names.

    Attributes:
        states: names of the state variables, the first being the one a coupling reads by default.
        inputs: names of the inputs that couplings and stimuli may drive.
        coupled: the pairs (state, input) that a coupling connects unless told otherwise; where what
            regions send is no state variable, a function of the state stands in its place.
        ranges: the smallest and largest value that each state is expected to take, by its name:
            where to start a run or to draw a phase plane. No bound: nothing is clipped.
        bounds: the values that a state must not leave, by its name, for states that have a meaning
            only there; a network clips to them where it is asked to, by `bounds="node"`.
        state_units: the unit of each state, by its name; empty if the node does not say.
        input_units: that of each input.
        implied: units of coefficients that the equation leaves out because they are 1.
        State: the class of its state; None if the node does not say.
        Params: the class of its parameters, likewise.
    """

    __name__: str
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    coupled: tuple[tuple[Signal, str], ...]
    ranges: Mapping[str, tuple[float, float]]
    bounds: Mapping[str, tuple[float | None, float | None]]
    state_units: Mapping[str, str]
    input_units: Mapping[str, str]
    implied: tuple[str, ...]
    State: Any
    Params: Any

    def __call__(self, state: Any, inputs: Any, params: Any, /) -> Any:
        """Give the rate of change of each state variable, in state/ms."""
        ...


def node(
    *,
    states: Sequence[str] | Mapping[str, str],
    inputs: Sequence[str] | Mapping[str, str],
    coupled: Sequence[tuple[Signal, str]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    implied: Sequence[str] = (),
    state: type | None = None,
    params: type | None = None,
) -> Callable[[Callable[..., Any]], Node]:
    """Name the states and inputs of your own node function, so that a `Network` can check them.

    The function stays the function it was: `(state, inputs, params) -> derivative`, where state and
    derivative are dicts or NamedTuples of `(region,)` arrays. Inputs come in the container that the
    state is in; one that nothing drives is 0.

    Args:
        states: names of the state variables; or a dict from the name to the unit, "mV" say, for
            `check_units`.
        inputs: names of the inputs, or a dict likewise.
        coupled: pairs (state, input) that a coupling connects unless the network says otherwise;
            by default the first state drives the first input. A function of the state may stand
            for a state.
        ranges: the smallest and largest value expected of each state, by name; may be left out.
        bounds: what a state must not leave, `(lowest, highest)` by name, None being no bound; a
            network clips to it with `bounds="node"` alone. May be left out.
        implied: units whose powers count as 1 in the equation, since it leaves out coefficients that
            would have them: `["ms"]` where rates are only numbers.
        state: the class of the state, a NamedTuple; afterwards `NAME.State`.
        params: the class of the parameters; afterwards `NAME.Params`.

    Raises:
        ValueError: if a name in `coupled`, `ranges` or `bounds` is not among the others, or a unit
            cannot be read.

    Example:
        >>> @cf.nodes.node(states=["x"], inputs=["drive"])
        ... def leak(state, inputs, params):
        ...     return {"x": -params["rate"] * state["x"] + inputs["drive"]}
        >>> leak.coupled
        (('x', 'drive'),)
        >>> leak({"x": 2.0}, {"drive": 1.0}, {"rate": 0.5})
        {'x': 0.0}
    """
    state_units, input_units = (
        {name: checked_unit(f"`{name}`", unit) for name, unit in names.items()}
        if isinstance(names, Mapping)
        else {}
        for names in (states, inputs)
    )
    implied = tuple(checked_unit("`implied`", unit) for unit in implied)
    states, inputs, ranges = tuple(states), tuple(inputs), dict(ranges or {})
    if coupled is None:
        coupled = [(states[0], inputs[0])] if inputs else []
    require_names("state", (source for source, _ in coupled if isinstance(source, str)), states)
    require_names("input", (into for _, into in coupled), inputs)
    require_names("state (in `ranges`)", ranges, states)
    require_names("state (in `bounds`)", bounds or {}, states)

    def name(dynamics: Callable[..., Any]) -> Node:
        named = cast(Node, dynamics)
        named.states, named.inputs, named.coupled = states, inputs, tuple(coupled)
        named.ranges, named.bounds = ranges, dict(bounds or {})
        named.state_units, named.input_units, named.implied = state_units, input_units, implied
        named.State, named.Params = state, params
        return named

    return name
