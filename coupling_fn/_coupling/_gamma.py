r"""Delays that are spread out: messages that a chain of first-order stages filters on their way.

A gamma distribution of order n and mean T is that of the sum of n exponential times of mean T / n. A
message that passes n low-pass filters of time constant T / n is therefore weighted by it (the linear
chain trick). This room says what such a coupling is, and which rule reads what leaves the chain; the
chain's stages are states of a network's nodes, which `_network` adds.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .._connectome import in_strength, weighted_sum
from .._core import (
    PARAMETER,
    Scalar,
    as_count,
    as_float,
    require_finite,
    require_positive,
    require_shape,
)
from ._rule import Coupling, Source, Target, input_of, messages_at_times, messages_of


def _to_mean(x: Any) -> Any:
    return as_float("mean", x)


def _to_order(x: Any) -> int:
    return as_count("order", x)


class GammaDelayedCoupling(eqx.Module):
    r"""Couple by any separable rule whose messages arrive with gamma-distributed delays.

    $c_i = \text{receive}\big(\sum_j W_{ij} \int_0^\infty g_j(s)\, \text{send}(x_j(t - \tau_{ij} - s))\,
    ds,\; x_i(t)\big)$, with $g_j(s) = (n / T_j)^n\, s^{n-1} e^{-n s / T_j} / (n - 1)!$

    The delays of what one source sends are distributed by a gamma density of order n, with the mean T
    and the variance T²/n, on top of the fixed lag of each edge, $\tau_{ij}$. Order 1 is a low-pass
    filter with the time constant T; for ever higher orders the delay becomes T exactly. What is averaged
    over the delays is the message, `send` of the state, not the state: where `send` is not linear the
    two differ.

    In a network the messages of each source pass n first-order stages, $\dot z_1 = (n /
    T)(\text{send}(x) - z_1)$ and $\dot z_m = (n / T)(z_{m-1} - z_m)$, and what travels along the edges
    is $z_n$. The stages are states of the nodes, and are integrated by the network's scheme:
    `state.node` has them after the node's own states, and `record` takes their names, such as
    "coupling_x_3" for the third stage of the states x that `coupling` sends. `Network.init` starts
    them at rest with the message of the initial state, as if that had always been so; or where `x0`
    has them, too, which an earlier `state.node` does. A history before t = 0 is that of what leaves the
    chain. Noise and bounds are for the node's own states alone. Analyses take the chain into account:
    `jacobians` has its states after all others.

    Args:
        coupling: the rule, with its weights and k: any `Coupling`. To delay parts of a sum, give each a
            name of its own in the network.
        mean: T, for all sources or one per source. A stage, T / n, must not be shorter than the
            time step of the network. [ms]
        order: n, the number of stages. It fixes the program; mean is a leaf, which can be fitted and
            swept. [1]

    Raises:
        ValueError: if `order` is not at least 1, or `mean` is not positive and finite, or has another
            shape.
        TypeError: if `coupling` is not separable, or `order` is no whole number.

    Source:
        N. MacDonald, Time Lags in Biological Models (1978), for the linear chain trick; F. M. Atay and
        A. Hutt, SIAM J. Appl. Dyn. Syst. 5, 670 (2006), for distributed delays between neural
        populations.

    Example:
        >>> conn = jnp.array([[0.0, 0.0], [1.0, 0.0]])  # region 0 drives region 1
        >>> coupling = cf.GammaDelayedCoupling(cf.AdditiveCoupling(conn, k=0.5), mean=10.0, order=3)
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=20)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling)
        >>> state = net.init(cf.nodes.LinearState(jnp.array([1.0, 0.0])), params)
        >>> state.node._fields
        ('x', 'coupling_x_1', 'coupling_x_2', 'coupling_x_3')
        >>> cf.simulate(net, state, params, steps=10)[1].x.shape
        (10, 2)
        >>> eqx.tree_at(lambda p: p.coupling.mean, params, jnp.array(20.0)).coupling.mean.item()
        20.0
    """

    coupling: Coupling
    mean: Scalar | Float[Array, " source"] = eqx.field(
        converter=_to_mean, metadata={"unit": "ms", PARAMETER: True}
    )
    order: int = eqx.field(converter=_to_order, static=True)

    def __check_init__(self):
        if not isinstance(self.coupling, Coupling):
            raise TypeError(
                "`coupling` must be one separable rule, a `Coupling`, whose messages can be "
                "filtered, not "
                f"{type(self.coupling).__name__}. The parts of a sum need names of their own in the "
                "network: `couplings={'a': cf.Wire(...), 'b': cf.Wire(...)}`."
            )
        if self.order < 1:
            raise ValueError(f"`order` must be at least 1, the number of stages; got {self.order}.")
        sources = self.conn.shape[1]
        require_shape(
            "mean", self.mean, (), (sources,), meaning="It is one number, or one per source."
        )
        require_finite("mean", self.mean)
        require_positive("mean", self.mean, "ms")

    @property
    def conn(self) -> Any:
        """Weights of the rule."""
        return self.coupling.conn

    @property
    def k(self) -> Any:
        """Coupling strength of the rule."""
        return self.coupling.k

    def __call__(self, source: Source, target: Target | None = None) -> Float[Array, " target"]:
        """Compute the input of each region from sources that have always been as they are.

        The delays do not matter then: this is what the rule makes of them.
        """
        return self.coupling(source, target)

    def __add__(self, other: Any) -> Any:
        raise TypeError(
            "A `GammaDelayedCoupling` cannot be part of a sum: give each part a name of its own in the "
            "network, `couplings={'a': cf.Wire(...), 'b': cf.Wire(...)}`."
        )


class ArrivingCoupling(Coupling):
    """A rule that is given messages that its `send` has made already, in place of states.

    Where `send` makes several of each state, such as its sine and cosine, the source holds them side by
    side, `(channel * source,)`.

    Attributes:
        coupling: the rule.
        structure: the messages of a source, as a tree.
    """

    coupling: Coupling
    structure: Any = eqx.field(static=True)

    @property
    def conn(self) -> Any:
        """Weights of the rule."""
        return self.coupling.conn

    @property
    def k(self) -> Any:
        """Coupling strength of the rule."""
        return self.coupling.k

    @property
    def reads_target(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the rule reads the state of the target; it is given it as it is."""
        return self.coupling.reads_target or self.coupling.shift_invariant

    @property
    def elementwise(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether one message stands for one source."""
        return self._channels == 1

    @property
    def _channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how many messages there are of a source."""
        return self.structure.num_leaves

    @property
    def receivers(self) -> int:
        """Number of regions that the rule returns an input for."""
        return self.coupling.receivers

    def send(self, source: Array) -> Any:
        """Return the messages, as the rule has them."""
        if self._channels == 1:
            return jax.tree.unflatten(self.structure, [source])
        return jax.tree.unflatten(self.structure, jnp.split(source, self._channels))

    def receive(self, sums: Any, target: Any, in_strength: Array) -> Array:
        """Return what the rule makes of the sums."""
        return self.coupling.receive(sums, target, in_strength)

    def __call__(self, source: Source, target: Target | None = None) -> Float[Array, " target"]:
        """Compute the input from messages, `(channel * source,)`, or one row of them per target."""
        source = jnp.asarray(source)
        messages = (
            messages_at_times(self, source) if source.ndim == 2 else messages_of(self, source)
        )
        sums = jax.tree.map(lambda m: weighted_sum(self.conn, m), messages)
        return input_of(self, sums, target, in_strength(self.conn))
