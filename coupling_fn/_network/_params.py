"""What a network is wired by, what of it may vary, and where a run of it is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax import Array

from .._core import PyTree, Signal, as_float, require_finite, require_nonnegative, require_positive
from ..noise._draw import is_noise


class Wire(eqx.Module):
    """Where a coupling reads and what it drives.

    Args:
        source: the state variable that regions send, a function of the node's state that gives it
            (`lambda s: s.y1 - s.y2`), or a tuple of either: the same coupling for each.
        into: the input that it drives, or as many.
        target: the state that the rule takes for the own one, by default the source.

    Example:
        >>> wire = cf.Wire("E", into="I")
        >>> wire.target
        ('E',)
    """

    source: tuple[Signal, ...] = eqx.field(static=True)
    into: tuple[str, ...] = eqx.field(static=True)
    target: tuple[Signal, ...] = eqx.field(static=True)

    def __init__(
        self,
        source: Signal | tuple[Signal, ...],
        into: str | tuple[str, ...],
        target: Signal | tuple[Signal, ...] | None = None,
    ):
        self.source = source if isinstance(source, tuple) else (source,)
        self.into = into if isinstance(into, tuple) else (into,)
        target = source if target is None else target
        self.target = target if isinstance(target, tuple) else (target,)
        if not len(self.source) == len(self.into) == len(self.target):
            raise ValueError(
                f"A wire pairs sources, inputs and targets one to one; it got {len(self.source)}, "
                f"{len(self.into)} and {len(self.target)}."
            )


class Params(eqx.Module):
    """Everything of a network that one may fit, sweep or shard: one pytree.

    Attributes:
        node: the node's parameters, `HopfParams(a=-0.02)` say, or what your own node takes.
        coupling: a coupling; for several, a dict by the names that the network gives them.
        noise: standard deviation of additive white noise, one for all states or a dict by state;
            each a scalar or one a region. [state/ms^0.5] In its place may stand another noise:
            `noise.Multiplicative`, say, or `noise.OrnsteinUhlenbeck`, which adds to the rate.
        external: a dict from input names to a constant, a value a region, or a function of time
            (a `Stimulus`, or any callable pytree `t [ms] -> ()` or `(region,)`), or a noise with a
            memory, alone or in `stimulus + noise`. [unit of the input]
        lengths: tract lengths, for a network built with `lag_bounds`; a dict if couplings differ. [mm]
        speed: conduction speed, which goes with them. [mm/ms]

    Raises:
        ValueError: if lengths come without speed or speed without lengths, or either, or the noise,
            is out of range.

    Example:
        >>> params = cf.Params(
        ...     node=cf.nodes.HopfParams(a=-0.02), coupling=cf.DiffusiveCoupling(jnp.ones((2, 2)), k=0.5)
        ... )
        >>> eqx.tree_at(lambda p: p.coupling.k, params, jnp.array(0.7)).coupling.k.item()
        0.7...
    """

    node: PyTree = None
    coupling: PyTree = None
    noise: PyTree = eqx.field(default=None, converter=lambda x: _floats("noise", x))
    external: dict[str, Any] | None = eqx.field(
        default=None, converter=lambda x: _floats("external", x)
    )
    lengths: PyTree = eqx.field(default=None, converter=lambda x: _floats("lengths", x))
    speed: Any = eqx.field(default=None, converter=lambda x: _floats("speed", x))

    def __check_init__(self):
        one = {"": self.coupling} if not isinstance(self.coupling, Mapping) else self.coupling
        for name, coupling in one.items():
            if len(getattr(coupling, "shape", ())) == 2:  # a prefix tree, as of in_axes, passes
                raise TypeError(
                    f"`coupling`{f' {name!r}' * bool(name)} must be a coupling, such as "
                    f"AdditiveCoupling(conn, k), not {type(coupling).__name__}."
                )
        if (self.lengths is None) != (self.speed is None):
            given, missing = ("lengths", "speed") if self.speed is None else ("speed", "lengths")
            raise ValueError(f"`{given}` came without `{missing}`: a delay needs both.")
        for lengths in jax.tree.leaves(self.lengths):
            require_finite("lengths", lengths)
            require_nonnegative("lengths", lengths, "Lengths are in mm.")
        for noise in jax.tree.leaves(self.noise, is_leaf=is_noise):
            if not is_noise(noise):
                require_finite("noise", noise)
                require_nonnegative("noise", noise, "It is a standard deviation.")
        if self.speed is not None:
            require_positive("speed", self.speed, "mm/ms")


def _floats(name: str, x: Any) -> Any:
    """Numbers as arrays, inside dicts and pytrees too; functions and noises stay what they are."""
    is_leaf = lambda x: callable(x) or is_noise(x) or x is None  # noqa: E731
    return jax.tree.map(lambda x: x if is_leaf(x) else as_float(name, x), x, is_leaf=is_leaf)


class State(NamedTuple):
    """Where a network is: all that its next step depends on.

    Attributes:
        node: the state variables, each `(region,)`, in the container that `init` got.
        history: for each delayed source its past, `(lag, source)`, oldest first.
        step: steps done so far, which tells the time to external input and noise.
        key: the random key of the whole run, or None.
        origin: what rules that only differences matter to measure each delayed source from: its
            first value, kept so that a run in two parts rounds as one.
        noise: the memory of each noise that has one, by where it is ("noise.x", "external.E"): of
            unit variance, `(component, region)`.
    """

    node: PyTree
    history: dict[str, Array]
    step: Array
    key: Array | None
    origin: dict[str, Array]
    noise: dict[str, Array]


def require_state(state: Any) -> None:
    """Refuse what no `init` made."""
    if not isinstance(state, State):
        raise TypeError(
            "`state` must be what net.init(x0, params) or an earlier run gave, not "
            f"{type(state).__name__}."
        )
