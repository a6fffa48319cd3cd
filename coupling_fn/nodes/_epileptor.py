"""The Epileptor, whose slow variable starts and ends seizures, and its reduction to two variables."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class EpileptorState(NamedTuple):
    """State of `epileptor`, one value per region each: `(region,)`.

    Attributes:
        x1: fast discharges, the first variable of the first population. [1]
        y1: fast discharges, its second variable. [1]
        z: slow permittivity, which starts and ends seizures. [1]
        x2: spike waves, the first variable of the second population. [1]
        y2: spike waves, its second variable. [1]
        g: x1 after a low-pass filter. [1]

    Example:
        >>> cf.nodes.EpileptorState(*jnp.zeros((6, 2))).x1.shape
        (2,)
    """

    x1: Array
    y1: Array
    z: Array
    x2: Array
    y2: Array
    g: Array


class EpileptorParams(eqx.Module):
    """Parameters of `epileptor`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: coefficient of the cube in the first population. [1]
        b: coefficient of the square in the first population. [1]
        c: constant term of y1. [1]
        d: coefficient of the square in y1. [1]
        r: ratio of the rate of z to the rate of the other variables. [1]
        s: weight of x1 in z. [1]
        x0: excitability: above about -2.06 the region has seizures by itself. [1]
        I_1: constant input to the first population. [1]
        I_2: constant input to the second population. [1]
        slope: linear term of the first population in a seizure. [1]
        tau: ratio of the time constant of y2 to that of the other variables. [1]
        aa: weight of x2 in y2. [1]
        bb: weight of g, the filtered x1, in x2. [1]
        tt: rate of all variables. [1/ms]

    Example:
        >>> cf.nodes.EpileptorParams(x0=jnp.array([-1.6, -2.4])).x0.shape
        (2,)
    """

    a: Scalar | PerTarget = parameter("a", 1.0, "1")
    b: Scalar | PerTarget = parameter("b", 3.0, "1")
    c: Scalar | PerTarget = parameter("c", 1.0, "1")
    d: Scalar | PerTarget = parameter("d", 5.0, "1")
    r: Scalar | PerTarget = parameter("r", 0.00035, "1")
    s: Scalar | PerTarget = parameter("s", 4.0, "1")
    x0: Scalar | PerTarget = parameter("x0", -1.6, "1")
    I_1: Scalar | PerTarget = parameter("I_1", 3.1, "1")
    I_2: Scalar | PerTarget = parameter("I_2", 0.45, "1")
    slope: Scalar | PerTarget = parameter("slope", 0.0, "1")
    tau: Scalar | PerTarget = parameter("tau", 10.0, "1")
    aa: Scalar | PerTarget = parameter("aa", 6.0, "1")
    bb: Scalar | PerTarget = parameter("bb", 2.0, "1")
    tt: Scalar | PerTarget = parameter("tt", 1.0, "1/ms")


@node(
    state=EpileptorState,
    params=EpileptorParams,
    states={"x1": "1", "y1": "1", "z": "1", "x2": "1", "y2": "1", "g": "1"},
    inputs={"x1": "1", "z": "1", "x2": "1"},
    coupled=[("x1", "z")],
    ranges={
        "x1": (-2.0, 1.0),
        "y1": (-20.0, 2.0),
        "z": (2.0, 5.0),
        "x2": (-2.0, 0.0),
        "y2": (0.0, 2.0),
        "g": (-1.0, 1.0),
    },
    auxiliary={"lfp": lambda state, inputs, params: state.x2 - state.x1},
)
def epileptor(state: EpileptorState, inputs, params: EpileptorParams) -> EpileptorState:
    r"""Compute the rates of change of the Epileptor, which goes in and out of seizures.

    In units of `tt`: $\dot x_1 = y_1 - f_1 - z + I_1 + I_{x1}$, $\dot y_1 = c - d x_1^2 - y_1$,
    $\dot z = r\,(s (x_1 - x_0) - z - 0.1 z^7 [z < 0] - I_z)$,
    $\dot x_2 = -y_2 + x_2 - x_2^3 + I_2 + b_b g - 0.3 (z - 3.5) + I_{x2}$,
    $\dot y_2 = (-y_2 + a_a [x_2 + 0.25]_+)/\tau$, $\dot g = -0.01\,(g - 0.1 x_1)$, where
    $f_1 = a x_1^3 - b x_1^2$ for $x_1 < 0$, else $(x_2 - s_l - 0.6 (z - 4)^2)\, x_1$, $s_l$ the slope.

    By default x1 is coupled into z (permittivity coupling): with `DiffusiveCoupling` and k > 0, a
    neighbour in seizure lowers z and so recruits the region. The Virtual Brain adds this input where
    it is subtracted here: its Ks is -k. Couplings into x1 and x2 are fast.

    Args:
        state: x1, y1, z, x2, y2, g. [1]
        inputs: x1, x2, which are added to their rates of change in units of `tt`, and z, which is
            subtracted within r (...). [1]
        params: `EpileptorParams`.

    Auxiliary:
        lfp: x2 - x1, which looks like a local field potential. [1]

    Source:
        V. K. Jirsa et al., Brain 137 (2014) 2210-2230, with -0.1 z^7 as in its supplement; g here is
        0.001 times the paper's. The coupling is from T. Proix et al., J. Neurosci. 34 (2014)
        15009-15021.

    Example:
        >>> state = cf.nodes.EpileptorState(*jnp.array([[-1.0], [-4.0], [0.0], [0.0], [1.5], [-0.1]]))
        >>> no_input = cf.nodes.EpileptorState(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        >>> rate = cf.nodes.epileptor(state, no_input, cf.nodes.EpileptorParams(I_1=0.0))
        >>> rate.x1.tolist(), rate.y1.tolist(), rate.y2.tolist()
        ([0.0], [0.0], [0.0])
    """
    p, (x1, y1, z, x2, y2, g) = params, state
    between = p.a * x1**3 - p.b * x1**2
    within = (x2 - p.slope - 0.6 * (z - 4) ** 2) * x1
    f1 = jnp.where(x1 < 0, between, within)
    floor = jnp.where(z < 0, 0.1 * z**7, 0.0)
    return EpileptorState(
        p.tt * (y1 - f1 - z + p.I_1 + inputs.x1),
        p.tt * (p.c - p.d * x1**2 - y1),
        p.tt * p.r * (p.s * (x1 - p.x0) - z - floor - inputs.z),
        p.tt * (-y2 + x2 - x2**3 + p.I_2 + p.bb * g - 0.3 * (z - 3.5) + inputs.x2),
        p.tt * (-y2 + p.aa * jax.nn.relu(x2 + 0.25)) / p.tau,
        p.tt * -0.01 * (g - 0.1 * x1),
    )


class Epileptor2dState(NamedTuple):
    """State of `epileptor_2d`, one value per region each: `(region,)`.

    Attributes:
        x1: fast variable, high in a seizure. [1]
        z: slow permittivity, which starts and ends seizures. [1]

    Example:
        >>> cf.nodes.Epileptor2dState(x1=jnp.zeros(2), z=jnp.zeros(2)).x1.shape
        (2,)
    """

    x1: Array
    z: Array


class Epileptor2dParams(eqx.Module):
    """Parameters of `epileptor_2d`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: coefficient of the cube in x1. [1]
        b: coefficient of the square in x1. [1]
        c: constant term of y1, which is eliminated. [1]
        d: coefficient of the square in y1. [1]
        r: ratio of the rate of z to the rate of x1. [1]
        s: weight of x1 in z. [1]
        x0: excitability: above about -2.06 the region has seizures by itself. [1]
        I_1: constant input to x1. [1]
        slope: linear term of x1 in a seizure. [1]
        tt: rate of both variables. [1/ms]

    Example:
        >>> cf.nodes.Epileptor2dParams(x0=-2.4).x0.item()  # a healthy region
        -2.4...
    """

    a: Scalar | PerTarget = parameter("a", 1.0, "1")
    b: Scalar | PerTarget = parameter("b", 3.0, "1")
    c: Scalar | PerTarget = parameter("c", 1.0, "1")
    d: Scalar | PerTarget = parameter("d", 5.0, "1")
    r: Scalar | PerTarget = parameter("r", 0.00035, "1")
    s: Scalar | PerTarget = parameter("s", 4.0, "1")
    x0: Scalar | PerTarget = parameter("x0", -1.6, "1")
    I_1: Scalar | PerTarget = parameter("I_1", 3.1, "1")
    slope: Scalar | PerTarget = parameter("slope", 0.0, "1")
    tt: Scalar | PerTarget = parameter("tt", 1.0, "1/ms")


@node(
    state=Epileptor2dState,
    params=Epileptor2dParams,
    states={"x1": "1", "z": "1"},
    inputs={"x1": "1", "z": "1"},
    coupled=[("x1", "z")],
    ranges={"x1": (-2.0, 1.0), "z": (2.0, 5.0)},
)
def epileptor_2d(state: Epileptor2dState, inputs, params: Epileptor2dParams) -> Epileptor2dState:
    r"""Compute the rates of change of the Epileptor, reduced to its slow time scale.

    This is `epileptor` with $y_1$ where it settles, $c - d x_1^2$, and $x_2 = 0$. In units of `tt`:
    $\dot x_1 = c - d x_1^2 - f_1 - z + I_1 + I_{x1}$, $\dot z = r\,(s (x_1 - x_0) - z - I_z)$, where
    $f_1 = a x_1^3 - b x_1^2$ for $x_1 < 0$, else $-(s_l + 0.6 (z - 4)^2)\, x_1$ with the slope $s_l$.

    For $x_1 < 0$ the rate of $x_1$ is the paper's, $1 - x_1^3 - 2 x_1^2 - z + I_1$; above 0 the
    branch of the full model is kept, as in The Virtual Brain. By default x1 is coupled into z, where
    a positive input raises the excitability, as in `epileptor`.

    Args:
        state: x1, z. [1]
        inputs: x1, which is added to its rate of change in units of `tt`, and z, which is subtracted
            within r (...). [1]
        params: `Epileptor2dParams`.

    Source:
        T. Proix et al., J. Neurosci. 34 (2014) 15009-15021.

    Example:
        >>> state = cf.nodes.Epileptor2dState(jnp.array([-1.0]), jnp.array([3.0]))
        >>> no_input = cf.nodes.Epileptor2dState(0.0, 0.0)
        >>> rate = cf.nodes.epileptor_2d(state, no_input, cf.nodes.Epileptor2dParams(I_1=3.5))
        >>> rate.x1.tolist()
        [0.5]
    """
    p, (x1, z) = params, state
    between = p.a * x1**3 - p.b * x1**2
    within = -(p.slope + 0.6 * (z - 4) ** 2) * x1
    f1 = jnp.where(x1 < 0, between, within)
    return Epileptor2dState(
        p.tt * (p.c - p.d * x1**2 - f1 - z + p.I_1 + inputs.x1),
        p.tt * p.r * (p.s * (x1 - p.x0) - z - inputs.z),
    )
