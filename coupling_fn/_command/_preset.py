"""What a preset is: a node in a setting where the strength of its coupling decides."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

import coupling_fn as cf


class Preset(NamedTuple):
    """A node in a setting where the strength of its coupling decides what the network does.

    The weights that it is made for have a spectral radius of about 1.

    Attributes:
        node: the node model.
        params: its parameters.
        noise: the noise, as `Params` takes it.
        ks: the smallest and the largest k of the scan.
        true_k: the k of a target that is simulated.
        rest: the state in which every region starts.
        coupling: the class of the coupling.
        signal: what regions are compared by: a state, or a function of the node's state.
        phase: function of the node's state; None to take the phase of the signal.
        pace: the default time step, in proportion to which samples and runs are timed. [ms]
    """

    node: cf.nodes.Node
    params: Any
    noise: Any
    ks: tuple[float, float]
    true_k: float
    rest: dict[str, float]
    coupling: Any = cf.AdditiveCoupling
    signal: Callable[[Any], Array] | str = "x"
    phase: Callable[[Any], Array] | None = None
    pace: float = 1.0

    def state(self, **values: Array) -> Any:
        """Return a state of the node."""
        return self.node.State(**values)

    def observe(self, state: Any) -> dict[str, Array]:
        """Return the signal of a state of the node, and its phase if the preset has one."""
        signal = self.signal(state) if callable(self.signal) else getattr(state, self.signal)
        return {"signal": signal} | ({"phase": self.phase(state)} if self.phase else {})
