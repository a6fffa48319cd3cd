"""A continuous Hopfield node, whose threshold may follow what it receives."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class HopfieldState(NamedTuple):
    """State of `hopfield`, one value per region each: `(region,)`.

    Attributes:
        x: potential. [1]
        theta: threshold. [1]

    Example:
        >>> cf.nodes.HopfieldState(x=jnp.zeros(2), theta=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    theta: Array


class HopfieldParams(eqx.Module):
    """Parameters of `hopfield`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau_x: time constant of the potential. [ms]
        tau_theta: time constant of the threshold. [ms]

    Example:
        >>> cf.nodes.HopfieldParams(tau_theta=10.0).tau_theta.item()
        10.0
    """

    tau_x: Scalar | PerTarget = parameter("tau_x", 1.0, "ms")
    tau_theta: Scalar | PerTarget = parameter("tau_theta", 5.0, "ms")


@node(
    state=HopfieldState,
    params=HopfieldParams,
    states={"x": "1", "theta": "1"},
    inputs={"x": "1", "theta": "1"},
    coupled=[("x", "x")],
    ranges={"x": (-1.0, 2.0), "theta": (0.0, 1.0)},
)
def hopfield(state: HopfieldState, inputs, params: HopfieldParams) -> HopfieldState:
    r"""Compute the rates of change of a potential and a threshold that both follow their inputs.

    $\tau_x\dot x = -x + I_x$, $\tau_\theta\dot\theta = -\theta + I_\theta$.

    What makes the network is its coupling. By default x is coupled into x: couple with
    `PreSigmoidalCoupling`, whose `theta` is a constant threshold. For the dynamic threshold a wire
    sends a function of both, `Wire(lambda s: jnp.tanh(60 * (s.x - s.theta)), into="x")` with
    `AdditiveCoupling`, and a second one drives theta, as `Wire("theta", into="theta")`.

    Args:
        state: x, theta. [1]
        inputs: x, theta, what they follow. [1]
        params: `HopfieldParams`.

    Source:
        J. J. Hopfield, PNAS 81 (1984) 3088-3092; with a dynamic threshold M. Golos, V. Jirsa and E.
        Daucé, PLoS Comput. Biol. 11 (2015) e1004644. The equations are those that The Virtual Brain
        solves with `dynamic` = 1. With `dynamic` = 0 its theta has the rate of x, and nothing reads
        it. Its pre-sigmoidal coupling sends the target's own state in place of the source's; the
        agreement with it is therefore shown for its linear couplings.

    Example:
        >>> state = cf.nodes.HopfieldState(jnp.array([1.0]), jnp.array([0.5]))
        >>> driven = cf.nodes.HopfieldState(x=3.0, theta=0.0)
        >>> rate = cf.nodes.hopfield(state, driven, cf.nodes.HopfieldParams(tau_x=4.0, tau_theta=2.0))
        >>> rate.x.tolist(), rate.theta.tolist()
        ([0.5], [-0.25])
    """
    p, (x, theta) = params, state
    return HopfieldState((inputs.x - x) / p.tau_x, (inputs.theta - theta) / p.tau_theta)
