"""Nodes whose own dynamics are linear: a leak, a threshold-linear rate, a damped oscillator."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class LinearState(NamedTuple):
    """State of `linear`, one value per region: `(region,)`.

    Attributes:
        x: activity. [1]

    Example:
        >>> cf.nodes.LinearState(x=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array


class LinearParams(eqx.Module):
    """Parameters of `linear`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: rate at which x grows, negative for a leak. [1/ms]

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
    r"""Compute the rate of change of a linear leak: $\dot x = a x + I_x$.

    With white noise this is the Ornstein–Uhlenbeck process.

    Args:
        state: x. [1]
        inputs: x, which is added to the rate of change. [1/ms]
        params: `LinearParams`.

    Source:
        G. E. Uhlenbeck and L. S. Ornstein, Phys. Rev. 36 (1930) 823-841, for its law under noise.

    Example:
        >>> x, none = cf.nodes.LinearState(jnp.array([2.0])), cf.nodes.LinearState(jnp.array([0.0]))
        >>> cf.nodes.linear(x, none, cf.nodes.LinearParams(a=-0.5)).x.tolist()
        [-1.0]
    """
    return LinearState(params.a * state.x + inputs.x)


class ThresholdLinearState(NamedTuple):
    """State of `threshold_linear`, one value per region: `(region,)`.

    Attributes:
        x: firing rate. [1]

    Example:
        >>> cf.nodes.ThresholdLinearState(x=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array


class ThresholdLinearParams(eqx.Module):
    """Parameters of `threshold_linear`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: time constant of the firing rate. [ms]
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
    r"""Compute the rate of change of a threshold-linear unit: $\tau\dot x = -x + [b + I_x]_+$.

    The unit fires in proportion to its drive above threshold. The input enters inside the threshold,
    as a drive: it is a number, where an input to a rate of change is in 1/ms. Couple with
    `AdditiveCoupling`: its weights are those of a threshold-linear network.

    Args:
        state: x, the firing rate. [1]
        inputs: x, a drive. [1]
        params: `ThresholdLinearParams`.

    Source:
        K. Morrison and C. Curto, in: Algebraic and Combinatorial Computational Biology (2019),
        ch. 8. Its leak of 1 is a time constant here; the default drive of 1 is its own.

    Example:
        >>> x = cf.nodes.ThresholdLinearState(jnp.ones(2))
        >>> drive = cf.nodes.ThresholdLinearState(jnp.array([1.0, -3.0]))
        >>> cf.nodes.threshold_linear(x, drive, cf.nodes.ThresholdLinearParams(tau=2.0)).x.tolist()
        [0.5, -0.5]
    """
    return ThresholdLinearState((-state.x + jax.nn.relu(params.b + inputs.x)) / params.tau)


class HornState(NamedTuple):
    """State of `horn`, one value per region each: `(region,)`.

    Attributes:
        x: displacement. [1]
        y: velocity. [1/ms]

    Example:
        >>> cf.nodes.HornState(x=jnp.zeros(2), y=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    y: Array


class HornParams(eqx.Module):
    """Parameters of `horn`, each a scalar or one value per region, `(region,)`.

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
    r"""Compute the rates of change of a damped harmonic oscillator, the unit of a HORN.

    $\dot x = y$, $\dot y = \alpha \tanh(I_y) - 2\gamma y - \omega^2 x$.

    By default y is coupled into y: units send their velocity, and the input enters inside the
    hyperbolic tangent, as a drive. Couple with `AdditiveCoupling`. The paper divides its weights by
    the square root of the number of units.

    Args:
        state: x [1], y [1/ms].
        inputs: y, a drive. [1]
        params: `HornParams`.

    Source:
        F. Effenberger et al., Proc. Natl. Acad. Sci. 122 (2025) e2412830122, with the parameters of
        its homogeneous network. One time step of the paper is 1 ms here.

    Example:
        >>> state, none = cf.nodes.HornState(jnp.ones(1), jnp.ones(1)), cf.nodes.HornState(0.0, 0.0)
        >>> rate = cf.nodes.horn(state, none, cf.nodes.HornParams(omega=0.5, gamma=0.25))
        >>> rate.x.tolist(), rate.y.tolist()
        ([1.0], [-0.75])
    """
    push = params.alpha * jnp.tanh(inputs.y)
    return HornState(state.y, push - 2 * params.gamma * state.y - params.omega**2 * state.x)
