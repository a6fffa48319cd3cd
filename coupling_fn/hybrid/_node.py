"""The node of a hybrid network, and signals of one of its subnetworks."""

import keyword
from collections.abc import Callable
from typing import Any

from jax import Array

from .._core import in_short, require_callable
from .._network import require_node
from .._node import HybridNode, Within
from ..nodes import Node


def node(**subnetworks: Node) -> HybridNode:
    """Put several node models side by side, as the one node of a network of several subnetworks.

    The network is an ordinary `Network`. Its states, `Params.node` and `x0` are containers by
    subnetwork, whose arrays may differ in length. Everywhere else names have the subnetwork in front:
    `record="cortex.E"`, `noise={"thalamus.E": 0.01}`, `external={"cortex.E": stimulus}`. Projections
    are its couplings, within and across subnetworks: `Wire("cortex.E", into="thalamus.E")`, each with
    its own rule, k, lags and matrix `(target, source)`. A variable that all subnetworks have may be
    named without one, to record it or for a projection from all regions onto all: `"E"` is then that of
    every region, one subnetwork after the other, or in the order of the connectome that `divide` was
    given. A rule that reads the state of its targets reads the state with the name of the source; where
    the receiving subnetwork has none, `Wire(..., target=...)` says which.

    Args:
        subnetworks: the node of each subnetwork, by its name.

    Returns:
        The node. `Network` takes it as it takes any other; without `couplings` nothing is coupled.

    Raises:
        ValueError: if there is no subnetwork, or one has a name that is no word or is "input".
        TypeError: if one is no node, or itself a hybrid.

    Example:
        >>> both = cf.hybrid.node(cortex=cf.nodes.wilson_cowan, thalamus=cf.nodes.threshold_linear)
        >>> wires = {
        ...     "up": cf.Wire("thalamus.x", into="cortex.E"),
        ...     "down": cf.Wire("cortex.E", into="thalamus.x"),
        ... }
        >>> net = cf.Network(both, dt=0.1, couplings=wires, lags={"up": 30, "down": 20})
        >>> params = cf.Params(
        ...     {"cortex": cf.nodes.WilsonCowanParams(), "thalamus": cf.nodes.ThresholdLinearParams()},
        ...     {
        ...         "up": cf.AdditiveCoupling(jnp.ones((3, 1)), k=0.5),
        ...         "down": cf.AdditiveCoupling(jnp.ones((1, 3)), k=0.2),
        ...     },
        ... )
        >>> cortex = cf.nodes.WilsonCowanState(E=jnp.zeros(3), I=jnp.zeros(3))
        >>> x0 = {"cortex": cortex, "thalamus": cf.nodes.ThresholdLinearState(jnp.ones(1))}
        >>> state, record = cf.simulate(net, net.init(x0, params), params, steps=50)
        >>> record["cortex"].E.shape, record["thalamus"].x.shape
        ((50, 3), (50, 1))
    """
    if not subnetworks:
        raise ValueError("`subnetworks` must name at least one: cf.hybrid.node(cortex=..., ...).")
    return HybridNode(checked(subnetworks))


def checked(subnetworks: dict[str, Any]) -> tuple[tuple[str, Node], ...]:
    """Return the nodes with their names, each a word."""
    for name, each in subnetworks.items():
        if not str(name).isidentifier() or keyword.iskeyword(name) or name == "input":
            raise ValueError(
                f"A subnetwork's name must be a word, as of a variable, and not 'input'; got {name!r}."
            )
        require_node(each, f"the subnetwork {name!r}")
        if isinstance(each, HybridNode):
            raise TypeError(
                f"The subnetwork {name!r} is a hybrid itself: name its subnetworks beside the others."
            )
    return tuple(subnetworks.items())


def of(subnetwork: str, signal: Callable[[Any], Array]) -> Within:
    """Read a function of one subnetwork's state, for wires, in place of the name of a state.

    Equal calls give equal signals, as long as the function is the same one: what is compiled for one
    serves the other.

    Args:
        subnetwork: its name.
        signal: a function of its state, each variable `(region,)`, that returns `(region,)`.

    Returns:
        A function of the state of the whole network.

    Raises:
        TypeError: if `signal` is no function, or `subnetwork` no name.

    Example:
        >>> def pyramidal(state):
        ...     return state.y1 - state.y2
        >>> wire = cf.Wire(cf.hybrid.of("cortex", pyramidal), into="thalamus.x")
    """
    if not isinstance(subnetwork, str):
        raise TypeError(f"`subnetwork` must be its name, not {in_short(subnetwork)}.")
    require_callable("signal", signal, 'of("cortex", lambda s: s.y1 - s.y2)')
    return Within(subnetwork, signal)
