"""What makes a function a node: the names of its states and inputs, and the classes that hold them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from .._core import Signal, checked_unit, require_names


@runtime_checkable
class Node(Protocol):
    """A function `(state, inputs, params) -> rates of change` that knows its names and classes.

    Every node of `cf.nodes` is one, and `cf.nodes.node` makes one of your own function.

    Attributes:
        states: names of the state variables. Couplings read the first one by default.
        inputs: names of the inputs that couplings and stimuli may drive.
        coupled: pairs (state, input) that a coupling connects by default. Where regions send no state
            variable, a function of the state stands in place of its name.
        ranges: from the name of a state to the smallest and largest value that it is expected to take,
            for starting values and phase planes. Nothing is clipped to them.
        bounds: from the name of a state to the values that it must not leave, for states that have a
            meaning only within them. A network clips to them only with `bounds="node"`.
        angles: names of the states that are angles [rad], of which only sine and cosine have a meaning.
            A network takes whole turns off them after each step.
        state_units: from the name of a state to its unit; empty if the node does not say.
        input_units: from the name of an input to its unit; empty if the node does not say.
        implied: units of coefficients that are 1, and so do not appear in the equation.
        auxiliary: from the name of a quantity that a run can record beside the states (a firing rate)
            to the function `(state, inputs, params) -> (region,)` that computes it.
        State: class of the state, `cf.nodes.hopf.State`; None if the node does not say.
        Params: class of the parameters, `cf.nodes.hopf.Params`; None if the node does not say.

    Example:
        >>> isinstance(cf.nodes.hopf, cf.nodes.Node), isinstance(abs, cf.nodes.Node)
        (True, False)
        >>> cf.nodes.montbrio_pazo_roxin.coupled, cf.nodes.montbrio_pazo_roxin.state_units["r"]
        ((('r', 'V'),), 'kHz')
        >>> cf.nodes.hopf.State(x=0.0, y=1.0)
        HopfState(x=0.0, y=1.0)
    """

    __name__: str
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    coupled: tuple[tuple[Signal, str], ...]
    ranges: Mapping[str, tuple[float, float]]
    bounds: Mapping[str, tuple[float | None, float | None]]
    angles: tuple[str, ...]
    state_units: Mapping[str, str]
    input_units: Mapping[str, str]
    implied: tuple[str, ...]
    auxiliary: Mapping[str, Callable[[Any, Any, Any], Any]]
    State: Any
    Params: Any

    def __call__(self, state: Any, inputs: Any, params: Any, /) -> Any:
        """Return the rate of change of each state, in the container of the state. [state/ms].

        A network calls it with the states and the inputs at one time, each `(region,)`, and with
        `Params.node` as it is, whatever road a run takes; so must each rate be `(region,)`.
        """
        ...


def node(
    *,
    states: Sequence[str] | Mapping[str, str],
    inputs: Sequence[str] | Mapping[str, str],
    coupled: Sequence[tuple[Signal, str]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    angles: Sequence[str] = (),
    implied: Sequence[str] = (),
    auxiliary: Mapping[str, Callable[[Any, Any, Any], Any]] | None = None,
    state: type | None = None,
    params: type | None = None,
) -> Callable[[Callable[..., Any]], Node]:
    """Name the states and inputs of your own node function, so that a `Network` can check them.

    The function stays the function it was: `(state, inputs, params) -> rates of change`. State and
    rates are dicts or NamedTuples of `(region,)` arrays, the rates in state/ms. The inputs are a dict
    where the state is one, else a NamedTuple; an input that nothing drives is 0.

    Args:
        states: names of the state variables, or a dict from each name to its unit ("mV", say), which
            `check_units` needs.
        inputs: names of the inputs, or a dict from each name to its unit.
        coupled: pairs (state, input) that a coupling connects unless the network says otherwise; by
            default the first state drives the first input. A function of the state may stand in place
            of a state's name.
        ranges: from the name of a state to the smallest and largest value expected of it.
        bounds: from the name of a state to the `(lowest, highest)` value that it may take, where None
            means no bound. A network clips to them only with `bounds="node"`.
        angles: names of the states that are angles [rad]: the rates must be the same after a whole turn.
            A network takes whole turns off them after each step (`Network(angles=...)`), because in
            float32 an angle that grows loses its rate after some minutes.
        implied: units whose powers count as 1 in the equation, because it leaves out coefficients of 1
            that would have them: `["ms"]` for an equation whose rates are plain numbers.
        auxiliary: from a name to a function `(state, inputs, params) -> (region,)`, for quantities of
            the equation that are no states: firing rates, currents. `simulate(record=name)` computes
            them where they are recorded, and nowhere else.
        state: class of the state, a NamedTuple of the states' names; the node has it as `State`.
        params: class of the parameters; the node has it as `Params`.

    Returns:
        A decorator that sets these as attributes of the function (`Node` lists them), and returns it.

    Raises:
        ValueError: if a name in `coupled`, `ranges`, `bounds` or `angles` is not among the states or
            inputs, if one in `auxiliary` is a state's or has a dot, or if a unit cannot be read.
        TypeError: if a value of `auxiliary` is no function.

    Example:
        >>> @cf.nodes.node(states=["x"], inputs=["drive"])
        ... def leak(state, inputs, params):
        ...     return {"x": -params["rate"] * state["x"] + inputs["drive"]}
        >>> leak.coupled
        (('x', 'drive'),)
        >>> leak({"x": 2.0}, {"drive": 1.0}, {"rate": 0.5})
        {'x': 0.0}

        With classes of your own, which code that meets the node can then build:

        >>> from typing import NamedTuple
        >>> class LeakState(NamedTuple):
        ...     x: jax.Array
        >>> @cf.nodes.node(states=["x"], inputs=["drive"], state=LeakState)
        ... def classy_leak(state, inputs, params):
        ...     return LeakState(-params["rate"] * state.x + inputs.drive)
        >>> classy_leak.State(x=jnp.zeros(3)).x.shape, classy_leak.Params
        ((3,), None)
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
    if isinstance(angles, str):
        raise TypeError(f"`angles` must be a list of names: [{angles!r}], not {angles!r}.")
    require_names("state (in `angles`)", angles, states)
    auxiliary = _checked_auxiliary(auxiliary or {}, states)

    def name(dynamics: Callable[..., Any]) -> Node:
        named = cast(Node, dynamics)
        named.states, named.inputs, named.coupled = states, inputs, tuple(coupled)
        named.ranges, named.bounds = ranges, dict(bounds or {})
        named.angles = tuple(angles)
        named.state_units, named.input_units, named.implied = state_units, input_units, implied
        named.auxiliary = auxiliary
        named.State, named.Params = state, params
        return named

    return name


def _checked_auxiliary(
    auxiliary: Mapping[str, Any], states: Sequence[str]
) -> dict[str, Callable[[Any, Any, Any], Any]]:
    for name, function in auxiliary.items():
        if name in states or "." in name:
            raise ValueError(
                f"`auxiliary` must name quantities that are no states, without a dot; got {name!r}, "
                f"and the states are {tuple(states)}."
            )
        if not callable(function):
            raise TypeError(
                f"`auxiliary` must hold functions (state, inputs, params) -> (region,); at {name!r} it "
                f"holds {function!r}."
            )
    return dict(auxiliary)
