"""Nodes whose state is an angle alone: Kuramoto and XY."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node

TURN = (0.0, 2 * 3.141592653589793)


class KuramotoState(NamedTuple):
    """State of `kuramoto`, one value per region: `(region,)`.

    Attributes:
        theta: phase; a network keeps it in [-pi, pi). [rad]

    Example:
        >>> cf.nodes.KuramotoState(theta=jnp.zeros(2)).theta.shape
        (2,)
    """

    theta: Array


class KuramotoParams(eqx.Module):
    """Parameters of `kuramoto`, each a scalar or one value per region, `(region,)`.

    Attributes:
        omega: angular frequency; the default is 40 Hz. [rad/ms]

    Example:
        >>> cf.nodes.KuramotoParams(omega=jnp.array([0.1, 0.2])).omega.shape
        (2,)
    """

    omega: Scalar | PerTarget = parameter("omega", 0.08 * 3.141592653589793, "rad/ms")


@node(
    state=KuramotoState,
    params=KuramotoParams,
    states={"theta": "rad"},
    inputs={"theta": "rad/ms"},
    ranges={"theta": TURN},
    angles=["theta"],
)
def kuramoto(state: KuramotoState, inputs, params: KuramotoParams) -> KuramotoState:
    r"""Compute the rate of change of a phase: $\dot\theta = \omega + I_\theta$.

    Couple with `KuramotoCoupling`. A network takes whole turns off the phase after each step, so that it
    keeps its frequency for hours of float32; `np.unwrap(record, axis=0)` puts them on again where less
    than half a turn lies between samples, and `Network(angles="grow")` leaves them on.

    Args:
        state: theta. [rad]
        inputs: theta, which is added to the angular frequency. [rad/ms]
        params: `KuramotoParams`.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 5.

    Example:
        >>> theta, none = cf.nodes.KuramotoState(jnp.zeros(2)), cf.nodes.KuramotoState(jnp.zeros(2))
        >>> cf.nodes.kuramoto(theta, none, cf.nodes.KuramotoParams(omega=0.25)).theta.tolist()
        [0.25, 0.25]
    """
    return KuramotoState(params.omega + inputs.theta + 0 * state.theta)


class XYState(NamedTuple):
    """State of `xy`, one value per region: `(region,)`.

    Attributes:
        theta: angle of the spin; a network keeps it in [-pi, pi). [rad]

    Example:
        >>> cf.nodes.XYState(theta=jnp.zeros(2)).theta.shape
        (2,)
    """

    theta: Array


class XYParams(eqx.Module):
    """Parameters of `xy`, each a scalar or one value per region, `(region,)`.

    Attributes:
        field: rate at which the external field turns the spin towards angle 0. [1/ms]

    Example:
        >>> cf.nodes.XYParams(field=0.1).field.item()
        0.1...
    """

    field: Scalar | PerTarget = parameter("field", 0.0, "1/ms")


@node(
    state=XYState,
    params=XYParams,
    states={"theta": "rad"},
    inputs={"theta": "rad/ms"},
    ranges={"theta": TURN},
    angles=["theta"],
)
def xy(state: XYState, inputs, params: XYParams) -> XYState:
    r"""Compute the rate of change of a planar spin: $\dot\theta = -h \sin\theta + I_\theta$.

    Here $h$ is `field`. Couple with `KuramotoCoupling`. With symmetric weights the network descends
    the energy of the XY model,
    $-\frac{k}{2} \sum_{ij} W_{ij} \cos(\theta_i - \theta_j) - h \sum_i \cos\theta_i$; with white
    noise of standard deviation $\sqrt{2T}$ it samples that model at temperature $T$.

    Args:
        state: theta. [rad]
        inputs: theta, which is added to the rate of change. [rad/ms]
        params: `XYParams`.

    Source:
        P. M. Chaikin and T. C. Lubensky, Principles of Condensed Matter Physics (1995), sections 3.6
        (the model) and 8.6 (its relaxation).

    Example:
        >>> up, none = cf.nodes.XYState(jnp.array([jnp.pi / 2])), cf.nodes.XYState(jnp.zeros(1))
        >>> cf.nodes.xy(up, none, cf.nodes.XYParams(field=0.5)).theta.tolist()
        [-0.5]
    """
    return XYState(-params.field * jnp.sin(state.theta) + inputs.theta)
