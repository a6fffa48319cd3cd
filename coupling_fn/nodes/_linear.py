"""Nodes whose own dynamics are linear: a leak, a threshold-linear rate, a damped oscillator."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from ._node import node


class LinearState(NamedTuple):
    """State of `linear`: x, each `(region,)`."""

    x: Array


class LinearParams(eqx.Module):
    """Parameters of `linear`.

    Attributes:
        a: rate of change of x, negative for a leak; a scalar or one a region. [1/ms]

    Example:
        >>> cf.nodes.LinearParams(a=-0.1).a.item()
        -0.1...
    """

    a: Scalar | PerTarget = parameter("a", -1.0, "1/ms")


@node(
    state=LinearState,
    params=LinearParams,
    states={"x": "1"},
    inputs={"x": "1/ms"},
    ranges={"x": (-1.0, 1.0)},
)
def linear(state: LinearState, inputs, params: LinearParams) -> LinearState:
    r"""Decay: $\dot x = a x + I_x$; with noise, the Ornstein–Uhlenbeck process.

    Args:
        state: x. [1]
        inputs: x, added to the rate. [1/ms]
        params: `LinearParams`.

    Example:
        >>> x, none = cf.nodes.LinearState(jnp.array([2.0])), cf.nodes.LinearState(jnp.array([0.0]))
        >>> cf.nodes.linear(x, none, cf.nodes.LinearParams(a=-0.5)).x.tolist()
        [-1.0]
    """
    return LinearState(params.a * state.x + inputs.x)


class ThresholdLinearState(NamedTuple):
    """State of `threshold_linear`: the rate x, `(region,)`."""

    x: Array


class ThresholdLinearParams(eqx.Module):
    """Parameters of `threshold_linear`; each a scalar or one a region.

    Attributes:
        tau: time constant. [ms]
        b: constant drive. [1]

    Example:
        >>> cf.nodes.ThresholdLinearParams(tau=10.0).tau.item()
        10.0
    """

    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")
    b: Scalar | PerTarget = parameter("b", 1.0, "1")


@node(
    state=ThresholdLinearState,
    params=ThresholdLinearParams,
    states={"x": "1"},
    inputs={"x": "1"},
    ranges={"x": (0.0, 1.0)},
)
def threshold_linear(
    state: ThresholdLinearState, inputs, params: ThresholdLinearParams
) -> ThresholdLinearState:
    r"""Fire in proportion to the drive above threshold: $\tau\dot x = -x + [b + I_x]_+$.

    The input enters inside the threshold, as a drive: unlike a rate it has no 1/ms. Couple with
    `AdditiveCoupling`; with its weights the network is a threshold-linear one.

    Args:
        state: x: firing rate. [1]
        inputs: x: drive. [1]
        params: `ThresholdLinearParams`.

    Source:
        K. Morrison and C. Curto, in: Algebraic and Combinatorial Computational Biology (2019),
        ch. 8, with its leak of 1 written as a time constant, and its drive of 1.

    Example:
        >>> x = cf.nodes.ThresholdLinearState(jnp.ones(2))
        >>> drive = cf.nodes.ThresholdLinearState(jnp.array([1.0, -3.0]))
        >>> cf.nodes.threshold_linear(x, drive, cf.nodes.ThresholdLinearParams(tau=2.0)).x.tolist()
        [0.5, -0.5]
    """
    return ThresholdLinearState((-state.x + jax.nn.relu(params.b + inputs.x)) / params.tau)


class HornState(NamedTuple):
    """State of `horn`: displacement x and velocity y, each `(region,)`."""

    x: Array
    y: Array


class HornParams(eqx.Module):
    """Parameters of `horn`; each a scalar or one a region.

    Attributes:
        alpha: excitability, the largest acceleration that input gives. [1/ms^2]
        omega: natural angular frequency; the default has a period of 28 ms. [rad/ms]
        gamma: damping. [1/ms]

    Example:
        >>> cf.nodes.HornParams(gamma=0.02).gamma.item()
        0.02...
    """

    alpha: Scalar | PerTarget = parameter("alpha", 0.04, "1/ms^2")
    omega: Scalar | PerTarget = parameter("omega", 2 * 3.141592653589793 / 28, "rad/ms")
    gamma: Scalar | PerTarget = parameter("gamma", 0.01, "1/ms")


@node(
    state=HornState,
    params=HornParams,
    states={"x": "1", "y": "1/ms"},
    inputs={"y": "1"},
    coupled=[("y", "y")],
    ranges={"x": (-1.0, 1.0), "y": (-0.5, 0.5)},
)
def horn(state: HornState, inputs, params: HornParams) -> HornState:
    r"""Ring when driven: the damped harmonic oscillator of a HORN.

    $\dot x = y$, $\dot y = \alpha \tanh(I_y) - 2\gamma y - \omega^2 x$.

    Units send their velocity y, and the input enters inside the hyperbolic tangent: couple with
    `AdditiveCoupling`. The source's weights come divided by the square root of the network's size.

    Args:
        state: x [1], y [1/ms].
        inputs: y: drive. [1]
        params: `HornParams`.

    Source:
        F. Effenberger et al., Proc. Natl. Acad. Sci. 122 (2025) e2412830122, with a time step of 1
        in its units as 1 ms, and the parameters of its homogeneous network.

    Example:
        >>> state, none = cf.nodes.HornState(jnp.ones(1), jnp.ones(1)), cf.nodes.HornState(0.0, 0.0)
        >>> rate = cf.nodes.horn(state, none, cf.nodes.HornParams(omega=0.5, gamma=0.25))
        >>> rate.x.tolist(), rate.y.tolist()
        ([1.0], [-0.75])
    """
    push = params.alpha * jnp.tanh(inputs.y)
    return HornState(state.y, push - 2 * params.gamma * state.y - params.omega**2 * state.x)
