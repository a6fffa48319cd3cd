"""`check_units`: whether couplings, inputs, noise and rates have the units of the places they go to.

Each place at which units meet runs its own function, a coupling or a node, through the walk of
`_dimensions`. One `Solver` holds what all of them have told of the units that nobody states.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._core import (
    PyTree,
    Quantity,
    Solver,
    Unit,
    checked_unit,
    container,
    dotted,
    get,
    read,
    read_unit,
    refill,
    require_names,
    times,
    write_unit,
)
from .._coupling import SumCoupling
from .._network import Network, Params
from .._node import driven_by, parts_of
from ..noise._draw import is_noise
from ._dimensions import Misfit, units_of
from ._report import Finding, Report, report
from ._stability import states_of

MS = read_unit("ms")
_WHY = (
    "Numbers carry no units: nothing converts one unit to the other, and results are off by the factor "
    "between the two."
)


def check_units(
    net: Network, params: Params, x0: Any, *, units: Mapping[str, str] | None = None
) -> Report:
    r"""Report where the units of a network do not fit.

    Units are inferred along the network's own program, without computing a number. Those of states and
    inputs are stated by the node (`cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"})`), those of
    the library's parameters where these are defined; those that nobody states, such as the weights', are
    solved for. A misfit is a sum or a comparison of different units, a function such as exp of something
    with a unit, or a result whose unit is not that of the place it goes to: an input that a coupling or
    an external input drives, or the rate of change of a state. ms and s do not fit each other either.

    Args:
        net: the network. A node of your own must state its units.
        params: its parameters.
        x0: the state variables, as for `Network.init`, or a `State`. Their values do not matter.
        units: the units of leaves of `params`, by path: `{"coupling.k": "1/ms", "node.tau": "s"}`.
            They replace what the library assumes: k is a pure number ("1"), lengths are in mm, and
            speed is in mm/ms. Weights have the unit that fits, unless you state theirs.

    Returns:
        A finding for each place that does not fit, in the order delays, couplings, external input,
        parameters that are functions of time, noise, node; and as facts the units that were inferred,
        "?" where several would fit.

    Raises:
        ValueError: if the node does not state its units, `params` has no leaf at a path, or a unit
            cannot be read.

    Source:
        A. Kennedy, Types for Units-of-Measure: Theory and Practice, CEFP (2009), for the inference.

    Example:
        >>> @cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"})
        ... def membrane(state, inputs, params):
        ...     return {"v": -state["v"] / params["tau"] + inputs["v"]}
        >>> net = cf.Network(membrane, dt=0.1)
        >>> params = cf.Params({"tau": 10.0}, cf.DiffusiveCoupling(jnp.ones((2, 2))))
        >>> print(cf.check_units(net, params, {"v": jnp.zeros(2)}))
        node.tau: ms, coupling.conn: 1/ms
        Nothing is wrong.
        >>> report = cf.check_units(net, params, {"v": jnp.zeros(2)}, units={"coupling.conn": "1"})
        >>> report.findings[0].what
        'The coupling from v gives mV; the input v of membrane wants mV/ms.'
    """
    node, x = net.node, states_of(net, x0)
    name = getattr(node, "__name__", "node")
    if set(node.state_units) != set(node.states) or set(node.input_units) != set(node.inputs):
        raise ValueError(
            f"`net.node` must state the units of its states and inputs; {name} does not: "
            '@cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"}).'
        )
    solver = Solver()
    leaves = _leaves(solver, params, units or {})
    check = _Check(solver, net, params, x, leaves)
    findings = [
        *check.delays(),
        *check.couplings(),
        *check.external(),
        *check.time_varying(),
        *check.noise(),
        *check.rates(name),
    ]
    told = {
        leaf.path: _written(solver, leaf.quantity.unit)
        for leaf in leaves
        if leaf.unit is None and leaf.looked_at
    }
    return report(findings, told)


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A leaf of params.

    Attributes:
        path: its path, as `coupling.k`.
        unit: the unit that it is stated to have, or None.
        quantity: that unit, or an unknown one, and the path as its expression.
        looked_at: whether it holds floating-point numbers, which alone have units.
    """

    path: str
    unit: str | None
    quantity: Quantity
    looked_at: bool


def _leaves(solver: Solver, params: Params, given: Mapping[str, str]) -> list[_Leaf]:
    """List the leaves of params with their units, those that are given before those stated elsewhere."""
    paths = [dotted(path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    for path in given:
        if not any(_is_below(leaf, path) for leaf in paths):
            require_names("leaf of params", [path], paths)
    given = {path: checked_unit(f"`{path}`", unit) for path, unit in given.items()}
    stated = {"lengths": "mm", "speed": "mm/ms", **dict(_stated("", params)), **given}
    leaves = []
    for path, value in zip(paths, jax.tree.leaves(params), strict=True):
        unit = next((stated[above] for above in _above(path) if above in stated), None)
        quantity = Quantity(solver.unknown() if unit is None else read_unit(unit), path)
        leaves.append(_Leaf(path, unit, quantity, eqx.is_inexact_array_like(value)))
    return leaves


def _above(path: str) -> Iterator[str]:
    """List a path and all paths above it, the nearest first."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _is_below(leaf: str, path: str) -> bool:
    """Return whether a leaf is at a path or below it."""
    return leaf == path or leaf.startswith(f"{path}.")


def _stated(path: str, tree: Any) -> Iterator[tuple[str, str]]:
    """List the units that the fields of modules state, by path."""
    if dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            if "unit" in field.metadata:
                yield _joined(path, field.name), field.metadata["unit"]
            yield from _stated(_joined(path, field.name), getattr(tree, field.name, None))
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _stated(_joined(path, name), value)
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from _stated(_joined(path, i), value)


def _joined(path: str, name: Any) -> str:
    """Append a name to a path."""
    return f"{path}.{name}" if path else str(name)


class _Check:
    """The places of one network where units meet."""

    def __init__(
        self, solver: Solver, net: Network, params: Params, x: PyTree, leaves: list[_Leaf]
    ):
        self.solver, self.net, self.params, self.x = solver, net, params, x
        self.of_leaf = {leaf.path: leaf.quantity for leaf in leaves}
        tree = jax.tree.structure(params)
        self.units: Any = tree.unflatten(leaf.quantity for leaf in leaves)
        node = net.node
        self.states = {n: Quantity(read_unit(node.state_units[n]), n) for n in node.states}
        self.inputs = {n: Quantity(read_unit(node.input_units[n]), n) for n in node.inputs}

    def delays(self) -> Iterator[Finding]:
        """Find lengths over speed that are not times."""
        lengths, speed = (
            jax.tree.leaves(x, is_leaf=_is_quantity) for x in (self.units.lengths, self.units.speed)
        )
        for length in lengths:
            delay = times(length.unit, speed[0].unit, -1)
            if not self.solver.agree(delay, MS):
                yield _misfit(f"lengths / speed is in {self._told(delay)}; dt is in ms.")

    def couplings(self) -> Iterator[Finding]:
        """Find couplings that return another unit than that of the input they go into."""
        given, units = self.params.coupling, self.units.coupling
        for name, wire in self.net.wires:
            one, quantities = (x[name] if isinstance(x, Mapping) else x for x in (given, units))
            parts, each = [one], [quantities]
            if isinstance(one, SumCoupling):
                parts, each = one.parts, quantities.parts
            named = f" {name!r}" if len(self.net.wires) > 1 else ""
            for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
                for part, of_part in zip(parts, each, strict=True):
                    yield from self._coupling(named, part, of_part, source, into, target)

    def _coupling(self, named, part, of_part, source, into, target) -> Iterator[Finding]:
        """Check one part of a coupling between one source and one target."""
        words = (
            source
            if isinstance(source, str)
            else getattr(source, "name", "a function of the state")
        )
        signals = {"source": source, "target": target}
        if target is None:
            del signals["target"]
        result = self._of(
            lambda coupling, *signals: coupling(*signals),
            (part, *(read(self.x, signal) for signal in signals.values())),
            (of_part, *(self._signal(s)._replace(words=n) for n, s in signals.items())),
            f"In the coupling{named} from {words}",
        )
        if isinstance(result, Finding):
            yield result
            return
        node = getattr(self.net.node, "__name__", "node")
        for each in driven_by(self.net.node, into):
            wanted = self.inputs[each]
            if self.solver.agree(result[0].unit, wanted.unit):
                continue
            yield _misfit(
                f"The coupling{named} from {words} gives {self._told(result[0].unit)}; the input {each} "
                f"of {node} wants {self._told(wanted.unit)}.",
                "If the weights or k have another unit, state it: units={'coupling.k': '1/ms'}.",
                "Or use the rule that the node's docstring names.",
            )

    def external(self) -> Iterator[Finding]:
        """Find external input in another unit than the input it goes into; time is in ms."""
        for into, value in (self.params.external or {}).items():
            quantities, wanted = self.units.external[into], self.inputs[into]
            if is_noise(value):
                continue  # Its amplitude has whatever unit fits.
            result = [quantities]
            if callable(value):
                time = jnp.zeros((), jnp.result_type(float))
                result = self._of(
                    lambda value, time: value(time),
                    (value, time),
                    (quantities, Quantity(MS, "time")),
                    f"In the external input to {into}",
                )
            if isinstance(result, Finding):
                yield result
            elif not self.solver.agree(result[0].unit, wanted.unit):
                yield _misfit(
                    f"The external input to {into} is in {self._told(result[0].unit)}; the node wants "
                    f"{self._told(wanted.unit)}."
                )

    def time_varying(self) -> Iterator[Finding]:
        """Find functions of time in another unit than the parameter whose place they take."""
        for name, function in (self.params.time_varying or {}).items():
            require_names("parameter (in `time_varying`)", [name], self.of_leaf)
            result = self._of(
                lambda function, time: function(time),
                (function, jnp.zeros((), jnp.result_type(float))),
                (self.units.time_varying[name], Quantity(MS, "time")),
                f"In the function of time for {name}",
            )
            if isinstance(result, Finding):
                yield result
            elif not self.solver.agree(result[0].unit, self.of_leaf[name].unit):
                yield _misfit(
                    f"The function of time for {name} is in {self._told(result[0].unit)}; {name} is in "
                    f"{self._told(self.of_leaf[name].unit)}."
                )

    def noise(self) -> Iterator[Finding]:
        """Find white noise that is not in the unit of its state over the root of a time."""
        noise, units = self.params.noise, self.units.noise
        named = noise if isinstance(noise, Mapping) else dict.fromkeys(self.states, noise)
        several = len({self._told(self.states[name].unit) for name in named}) > 1
        for name, value in named.items():
            quantity = units[name] if isinstance(noise, Mapping) else units
            if value is None or is_noise(value):
                continue
            if several and noise is value and self._told(quantity.unit) == "?":
                continue  # One number stands for all states, and so for several units.
            wanted = times(self.states[name].unit, read_unit("ms^-0.5"))
            if not self.solver.agree(quantity.unit, wanted):
                yield _misfit(
                    f"The noise of {name} is in {self._told(quantity.unit)}; the standard deviation of "
                    f"white noise on it is in {self._told(wanted)}."
                )

    def rates(self, name: str) -> Iterator[Finding]:
        """Find rates of change that are not in the unit of their state per ms."""
        for part, node in parts_of(self.net.node).items():
            if not part:
                yield from self._rates(node, name, "", (self.x, self.params.node, self.units.node))
                continue
            own = tuple(get(each, part) for each in (self.x, self.params.node, self.units.node))
            yield from self._rates(node, f"{node.__name__} of {part}", f"{part}.", own)

    def _rates(self, node: Any, name: str, prefix: str, own: tuple[Any, ...]) -> Iterator[Finding]:
        """Check the rates of one node, given its state, its parameters and their units."""
        x, params, of_params = own
        inputs = container(x, node.inputs, {})
        of_inputs = {n: self.inputs[prefix + n]._replace(words=f"inputs.{n}") for n in node.inputs}
        self.solver.implied = [read_unit(unit) for unit in node.implied]
        result = self._of(
            lambda *args: refill(x, _by_name(node(*args), node.states)),
            (x, inputs, params),
            (
                refill(x, {n: self.states[prefix + n] for n in node.states}),
                refill(inputs, of_inputs),
                of_params,
            ),
            f"In the node {name}",
        )
        if isinstance(result, Finding):
            yield result
        else:
            places = refill(x, {n: n for n in node.states})
            for state, got in zip(jax.tree.leaves(places), result, strict=True):
                stated = self.states[prefix + state].unit
                wanted = times(stated, MS, -1)
                if not self.solver.agree(got.unit, wanted):
                    yield _misfit(
                        f"The node {name} gives a rate of change of {state} in {self._told(got.unit)}; "
                        f"{state} is in {self._told(stated)}, so it should be in {self._told(wanted)}."
                    )
        self.solver.implied = ()

    def _signal(self, signal: Any) -> Quantity:
        """Return the quantity of a state, or of a function of the state."""
        if isinstance(signal, str):
            return self.states[signal]
        try:
            states = refill(self.x, self.states)
            return units_of(self.solver, signal, self.x, units=states)[0]
        except Misfit:
            return Quantity(self.solver.unknown(), "source")

    def _of(self, fn: Callable[..., Any], args: PyTree, units: PyTree, where: str) -> Any:
        """Infer the quantities of what a function returns, or return the finding on a misfit in it."""
        try:
            return units_of(self.solver, fn, *args, units=units)
        except Misfit as misfit:
            return _misfit(f"{where}, {misfit}.")

    def _told(self, unit: Unit) -> str:
        """Write a unit as far as it is known."""
        return _written(self.solver, unit)


def _by_name(rates: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return rates as a dict, whatever container a node returns them in."""
    return {name: get(rates, name) for name in names}


def _is_quantity(x: Any) -> bool:
    return isinstance(x, Quantity)


def _written(solver: Solver, unit: Unit) -> str:
    return write_unit(solver.value(unit))


def _misfit(what: str, *remedy: str) -> Finding:
    """Make the finding of units that do not fit."""
    remedy = remedy or ("Convert the number, or state the unit it is in: units={path: unit}.",)
    return Finding("units", "error", what, why=_WHY, remedy=remedy)
