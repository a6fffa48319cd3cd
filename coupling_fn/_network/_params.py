"""The values of a network: how it is wired, what of it may vary, and where a run of it stands."""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import Array

from .._core import (
    PARAMETER,
    PyTree,
    Signal,
    as_float,
    in_short,
    keeps_known,
    known,
    require_finite,
    require_lengths,
    require_nonnegative,
    require_positive,
)
from .._coupling import SumCoupling
from .._lazy import BCOO
from .._measure import Measured
from ..noise._draw import is_noise

Hold = Literal["stage", "coupling", "step"]
Clip = Literal["step", "stages"]
Angles = Literal["wrap", "grow"]


def _in_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


class Wire(eqx.Module):
    """Name the signal that a coupling reads, and the input of the node that it drives.

    Args:
        source: the state variable that regions send, or a function of the node's state that gives it
            (`lambda s: s.y1 - s.y2`), or a tuple of these: the same coupling is used for each. A
            function is called with the state at one time, each variable `(region,)`.
        into: the input that the coupling drives; a tuple of as many inputs as there are sources.
        target: the signal that the rule takes as the target's own state; by default the source, and
            between subnetworks (`cf.hybrid`) the state of the receiving one that has its name.

    Raises:
        ValueError: if there are not as many inputs and targets as sources.

    Example:
        >>> wire = cf.Wire("E", into="I")
        >>> wire.target
        ('E',)

        Regions that feed themselves back late have a coupling of their own for that, whose weights and
        lags are on the diagonal:

        >>> wires = {"others": cf.Wire("x", into="x"), "self": cf.Wire("x", into="x")}
        >>> late = {"others": None, "self": jnp.diag(jnp.array([12, 5]))}
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, couplings=wires, lags=late)
        >>> back = cf.AdditiveCoupling(jnp.eye(2), k=jnp.array([-0.5, -2.0]))
        >>> others = cf.DiffusiveCoupling(jnp.array([[0.0, 1.0], [3.0, 0.0]]))
        >>> params = cf.Params(cf.nodes.LinearParams(), {"others": others, "self": back})
        >>> net.init(cf.nodes.LinearState(jnp.ones(2)), params).history["x"].shape
        (12, 2)
    """

    source: tuple[Signal, ...] = eqx.field(static=True)
    into: tuple[str, ...] = eqx.field(static=True)
    target: tuple[Signal | None, ...] = eqx.field(static=True)

    def __init__(
        self,
        source: Signal | Sequence[Signal],
        into: str | Sequence[str],
        target: Signal | Sequence[Signal | None] | None = None,
    ):
        self.source = _in_tuple(source)
        self.into = _in_tuple(into)
        self.target = _in_tuple(source if target is None else target)
        if not len(self.source) == len(self.into) == len(self.target):
            raise ValueError(
                f"A wire pairs sources, inputs and targets one to one; it got {len(self.source)}, "
                f"{len(self.into)} and {len(self.target)} of them."
            )


def _numbers(name: str) -> Any:
    """Return a field of numbers, alone or in a dict, which become float arrays."""
    return eqx.field(default=None, converter=lambda x: _floats(name, x), metadata={PARAMETER: True})


class Params(eqx.Module):
    """Hold all that may be fitted, swept or sharded in a network: one pytree.

    Attributes:
        node: the parameters of the node, such as `nodes.HopfParams(a=-0.02)`, or what your own node
            takes.
        coupling: the coupling; a dict by the names that the network gives, if there are several.
        noise: standard deviation of additive white noise, one for all states or a dict by state, in
            which a state that is left out has none; each is a scalar or one value per region.
            [state/ms^0.5] Another noise may stand in its place: `noise.Multiplicative`, or
            `noise.OrnsteinUhlenbeck`, which adds to the rate.
        external: a dict from the name of an input (one that is left out gets none) to a constant, one
            value per region, or a function of time (a stimulus, or any callable pytree
            `t [ms] -> ()` or `(region,)`), or a coloured noise, alone or in `stimulus + noise`. Time
            is counted from `Network.init`, or from `Network.restart_clock`. [unit of the input]
        time_varying: a dict from the path of a parameter of the node or of a coupling ("coupling.k",
            "node.a"; "coupling.feedback.k" of several couplings, "node.cortex.a" of several
            subnetworks) to a function of time, as in `external`. Its value takes the place of that leaf,
            whose own number is then not read: at each stage's own time, with `hold="coupling"` what
            belongs to a coupling once per step, and with `hold="step"` all of it. [unit of the leaf]
        lengths: tract lengths, for a network built with `lag_bounds`; a dict if couplings differ, with
            all that have `lag_bounds` and no lags. Where the weight of the coupling is 0 any length
            will do, NaN and -1 too. [mm]
        speed: the conduction speed that goes with them. [mm/ms]

    A rule may read what varies in time when what was sent has arrived: k of every rule of the library,
    and a function of an edge all of its parameters. What it reads where regions send, before a delay,
    and weights are fixed within a run: `adapt` changes them between stretches. A lesion at time t is
    therefore a k with one value per target that drops to 0 for the edges onto the lesioned regions; for
    the edges that leave them it is a second run, from the last state, with weights by `cf.surgery`.

    Raises:
        ValueError: if lengths come without speed or speed without lengths; if lengths, speed or the
            noise are out of their range.
        TypeError: if `coupling` is no coupling.

    Example:
        >>> params = cf.Params(
        ...     node=cf.nodes.HopfParams(a=-0.02), coupling=cf.DiffusiveCoupling(jnp.ones((2, 2)), k=0.5)
        ... )
        >>> eqx.tree_at(lambda p: p.coupling.k, params, jnp.array(0.7)).coupling.k.item()
        0.7...

        k grows for a second, and the second region receives nothing from 500 ms on:

        >>> lesion = cf.stimuli.Step(-0.5, onset=500.0, pattern=jnp.array([0.0, 1.0]))
        >>> k = cf.stimuli.Constant(0.5) + lesion
        >>> a = cf.stimuli.Constant(-0.02) + cf.stimuli.Ramp(0.05, duration=1000.0)
        >>> params = cf.Params(
        ...     node=cf.nodes.HopfParams(), coupling=cf.DiffusiveCoupling(jnp.ones((2, 2))),
        ...     time_varying={"coupling.k": k, "node.a": a},
        ... )
        >>> cf.at_time(params, 500.0).coupling.k.tolist()
        [0.5, 0.0]
    """

    node: PyTree = None
    coupling: PyTree = None
    noise: PyTree = _numbers("noise")
    external: dict[str, Any] | None = _numbers("external")
    lengths: PyTree = _numbers("lengths")
    speed: Any = _numbers("speed")
    time_varying: dict[str, Any] | None = None

    def __check_init__(self):
        one = {"": self.coupling} if not isinstance(self.coupling, Mapping) else self.coupling
        for name, coupling in one.items():
            matrix = len(getattr(coupling, "shape", ())) == 2
            called = callable(coupling) and not isinstance(coupling, type)
            value = isinstance(coupling, str | type) or dataclasses.is_dataclass(coupling)
            if matrix or (value and not called):  # a prefix tree, as of in_axes, passes
                raise TypeError(
                    f"`coupling`{f' {name!r}' * bool(name)} must be a coupling, such as "
                    f"AdditiveCoupling(conn, k), not {in_short(coupling)}."
                )
        if isinstance(self.node, type):
            raise TypeError(
                f"`node` must be parameters of a node, not {in_short(self.node)}: call it."
            )
        given = self.external.values() if isinstance(self.external, Mapping) else ()
        varying = self.time_varying.values() if isinstance(self.time_varying, Mapping) else ()
        for argument, values in (("external", given), ("time_varying", varying)):
            for value in values:
                if isinstance(value, type):
                    raise TypeError(f"`{argument}` must not hold {in_short(value)}: call it.")
        if callable(self.time_varying) or is_noise(self.time_varying):
            raise TypeError(
                "`time_varying` must be a dict by the names of parameters, such as {'coupling.k': "
                f"cf.stimuli.Ramp()}}, not {in_short(self.time_varying)}."
            )
        if isinstance(self.external, Array) or callable(self.external) or is_noise(self.external):
            raise TypeError(
                "`external` must be a dict by the names of inputs, such as {'x': 1.0}, not "
                f"{in_short(self.external)}."
            )
        if (self.lengths is None) != (self.speed is None):
            given, missing = ("lengths", "speed") if self.speed is None else ("speed", "lengths")
            raise ValueError(f"`{given}` came without `{missing}`; a delay needs both.")
        each = (
            self.lengths if isinstance(self.lengths, Mapping) else dict.fromkeys(one, self.lengths)
        )
        for name, lengths in each.items():
            if lengths is not None:
                present = present_edges(one.get(name), lengths)
                if known(present):  # else a run finds the edges whose lag leaves its bounds
                    hint = "Where the weight is 0 any length will do."
                    require_lengths(lengths, present, hint)
        for noise in jax.tree.leaves(self.noise, is_leaf=is_noise):
            if not is_noise(noise):
                require_finite("noise", noise)
                require_nonnegative("noise", noise, "It is a standard deviation.")
        if self.speed is not None:
            require_positive("speed", self.speed, "mm/ms")


def present_edges(coupling: Any, lengths: Any) -> Any:
    """Mark the edges whose weight is not 0, in the shape of `lengths`; None where that is not known.

    Of a sum of couplings an edge is present if it has a weight in one of them.
    """
    parts = coupling.parts if isinstance(coupling, SumCoupling) else (coupling,)
    conns = [getattr(part, "conn", ()) for part in parts]
    weights = [getattr(conn, "weights", conn) for conn in conns]
    if not np.ndim(lengths) or any(np.shape(w) != np.shape(lengths) for w in weights):
        return None
    return _in_one_of(weights)


@keeps_known
def _in_one_of(weights: list[Any]) -> Any:
    """Mark the edges that have a weight in one of these matrices; of known ones it stays known."""
    dense = (w.todense() if isinstance(w, BCOO) else w for w in weights)
    return functools.reduce(operator.or_, (w != 0 for w in dense))


def _floats(name: str, x: Any) -> Any:
    """Return numbers as float arrays, also inside pytrees; functions and noises stay what they are."""

    def is_leaf(x):
        return callable(x) or is_noise(x) or x is None

    return jax.tree.map(lambda x: x if is_leaf(x) else as_float(name, x), x, is_leaf=is_leaf)


class TimeStep(eqx.Module):
    """The dt of a network, as a part of a state's structure: it has no leaves.

    Attributes:
        ms: the time step. [ms]
    """

    ms: float = eqx.field(static=True)


class State(NamedTuple):
    """Hold where a run stands: all that its next step depends on.

    Attributes:
        node: the state variables, each `(region,)`, in the container that `init` was given.
        history: for each delayed source what it sent before now, `(lag, source)`, oldest first.
        step: the number of steps done so far, or since `Network.restart_clock`, which tells external
            input and noise the time.
        key: the random key of the whole run, or None.
        reference: for each delayed source the state that shift-invariant rules subtract from it: its
            first value, kept so that a run in two parts rounds as one.
        noise: the state of each coloured noise, by its place ("noise.x", "external.E"): of unit
            variance, `(component, region)`.
        dt: the time step that steps and histories are counted in, which is fixed: `state.dt.ms`. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=4)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> int(state.step), int(net(state, params).step), state.history["x"].shape
        (0, 1, (4, 2))
    """

    node: PyTree
    history: dict[str, Array]
    step: Array
    key: Array | None
    reference: dict[str, Array]
    noise: dict[str, Array]
    dt: TimeStep


def require_state(state: Any) -> None:
    """Refuse a state that no `init` made."""
    if not isinstance(state, State):
        hint = " Of a run with `measure`, it is `.state`." if isinstance(state, Measured) else ""
        raise TypeError(
            "`state` must be what net.init(x0, params) or an earlier run gave, not "
            f"{type(state).__name__}.{hint}"
        )
