"""Nodes that can be chaotic without any coupling: Lorenz and Larter–Breakspear."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class LorenzState(NamedTuple):
    """State of `lorenz`, one value per region each: `(region,)`.

    Attributes:
        x: rate of convection. [1]
        y: difference in temperature between rising and sinking fluid. [1]
        z: departure of the vertical temperature profile from a straight line. [1]

    Example:
        >>> cf.nodes.LorenzState(x=jnp.zeros(2), y=jnp.zeros(2), z=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    y: Array
    z: Array


class LorenzParams(eqx.Module):
    """Parameters of `lorenz`, each a scalar or one value per region, `(region,)`.

    Attributes:
        sigma: Prandtl number. [1]
        rho: ratio of the Rayleigh number to its critical value. [1]
        beta: geometry of the convection cell. [1]
        tau: how long one unit of the paper's time lasts. [ms]

    Example:
        >>> cf.nodes.LorenzParams(rho=14.0).rho.item()  # not chaotic
        14.0
    """

    sigma: Scalar | PerTarget = parameter("sigma", 10.0, "1")
    rho: Scalar | PerTarget = parameter("rho", 28.0, "1")
    beta: Scalar | PerTarget = parameter("beta", 8 / 3, "1")
    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")


@node(
    state=LorenzState,
    params=LorenzParams,
    states={"x": "1", "y": "1", "z": "1"},
    inputs={"x": "1/ms", "y": "1/ms", "z": "1/ms"},
    ranges={"x": (-20.0, 20.0), "y": (-30.0, 30.0), "z": (0.0, 50.0)},
)
def lorenz(state: LorenzState, inputs, params: LorenzParams) -> LorenzState:
    r"""Compute the rates of change of the Lorenz system, which turns chaotically about two points.

    $\tau\dot x = \sigma (y - x) + \tau I_x$, $\tau\dot y = x (\rho - z) - y + \tau I_y$,
    $\tau\dot z = x y - \beta z + \tau I_z$. By default x is coupled into x.

    Args:
        state: x, y, z. [1]
        inputs: x, y, z, which are added to the rates of change. [1/ms]
        params: `LorenzParams`.

    Source:
        E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130-141, eqs. 25-27.

    Example:
        >>> state = cf.nodes.LorenzState(*jnp.array([[1.0], [2.0], [1.0]]))
        >>> no_input = cf.nodes.LorenzState(0.0, 0.0, 0.0)
        >>> rate = cf.nodes.lorenz(state, no_input, cf.nodes.LorenzParams(beta=2.0))
        >>> rate.x.tolist(), rate.y.tolist(), rate.z.tolist()
        ([10.0], [25.0], [0.0])
    """
    p, (x, y, z) = params, state
    return LorenzState(
        p.sigma * (y - x) / p.tau + inputs.x,
        (x * (p.rho - z) - y) / p.tau + inputs.y,
        (x * y - p.beta * z) / p.tau + inputs.z,
    )


class LarterBreakspearState(NamedTuple):
    """State of `larter_breakspear`, one value per region each: `(region,)`.

    Attributes:
        V: potential of the pyramidal cells. [1]
        W: share of the potassium channels that are open. [1]
        Z: potential of the interneurons. [1]

    Example:
        >>> cf.nodes.LarterBreakspearState(V=jnp.zeros(2), W=jnp.zeros(2), Z=jnp.zeros(2)).V.shape
        (2,)
    """

    V: Array
    W: Array
    Z: Array


class LarterBreakspearParams(eqx.Module):
    """Parameters of `larter_breakspear`, each a scalar or one value per region, `(region,)`.

    Potentials and conductances are scaled as in the paper, and have no dimension.

    Attributes:
        g_Ca: conductance of the calcium channels. [1]
        g_K: conductance of the potassium channels. [1]
        g_Na: conductance of the sodium channels. [1]
        g_L: conductance of the leak. [1]
        V_Ca: Nernst potential of calcium. [1]
        V_K: Nernst potential of potassium. [1]
        V_Na: Nernst potential of sodium. [1]
        V_L: Nernst potential of the leak. [1]
        T_Ca: potential at which half of the calcium channels are open. [1]
        T_K: potential at which half of the potassium channels are open. [1]
        T_Na: potential at which half of the sodium channels are open. [1]
        d_Ca: spread of T_Ca among the calcium channels. [1]
        d_K: spread of T_K among the potassium channels. [1]
        d_Na: spread of T_Na among the sodium channels. [1]
        V_T: firing threshold of the pyramidal cells. [1]
        d_V: spread of V_T. At the parameters of `chaotic` the node rests at a fixed point below 0.563,
            has a limit cycle from there to 0.605, and is chaotic above, but for narrow windows. At the
            defaults it rests below 0.515 and has a limit cycle above. [1]
        Z_T: firing threshold of the interneurons. [1]
        d_Z: spread of Z_T. [1]
        Q_V_max: largest firing rate of the pyramidal cells. [1]
        Q_Z_max: largest firing rate of the interneurons. [1]
        a_ee: weight from pyramidal cells onto pyramidal cells. [1]
        a_ei: weight from pyramidal cells onto interneurons. [1]
        a_ie: weight from interneurons onto pyramidal cells. [1]
        a_ne: weight from the drive onto pyramidal cells. [1]
        a_ni: weight from the drive onto interneurons. [1]
        current: constant drive from outside the region. [1]
        r_NMDA: number of NMDA receptors per AMPA receptor. [1]
        C: share of the excitation that comes from other regions. [1]
        phi: factor on the rate of the potassium channels, for the temperature. [1]
        tau_K: time constant of the potassium channels. [ms]
        b: rate of the interneurons. [1/ms]
        t_scale: factor on all rates of change. [1]

    Example:
        >>> cf.nodes.LarterBreakspearParams(d_V=0.5).d_V.item()  # a fixed point
        0.5
        >>> cf.nodes.LarterBreakspearParams.chaotic(C=0.0).a_ee.item()
        0.36
    """

    g_Ca: Scalar | PerTarget = parameter("g_Ca", 1.1, "1")
    g_K: Scalar | PerTarget = parameter("g_K", 2.0, "1")
    g_Na: Scalar | PerTarget = parameter("g_Na", 6.7, "1")
    g_L: Scalar | PerTarget = parameter("g_L", 0.5, "1")
    V_Ca: Scalar | PerTarget = parameter("V_Ca", 1.0, "1")
    V_K: Scalar | PerTarget = parameter("V_K", -0.7, "1")
    V_Na: Scalar | PerTarget = parameter("V_Na", 0.53, "1")
    V_L: Scalar | PerTarget = parameter("V_L", -0.5, "1")
    T_Ca: Scalar | PerTarget = parameter("T_Ca", -0.01, "1")
    T_K: Scalar | PerTarget = parameter("T_K", 0.0, "1")
    T_Na: Scalar | PerTarget = parameter("T_Na", 0.3, "1")
    d_Ca: Scalar | PerTarget = parameter("d_Ca", 0.15, "1")
    d_K: Scalar | PerTarget = parameter("d_K", 0.3, "1")
    d_Na: Scalar | PerTarget = parameter("d_Na", 0.15, "1")
    V_T: Scalar | PerTarget = parameter("V_T", 0.0, "1")
    d_V: Scalar | PerTarget = parameter("d_V", 0.65, "1")
    Z_T: Scalar | PerTarget = parameter("Z_T", 0.0, "1")
    d_Z: Scalar | PerTarget = parameter("d_Z", 0.7, "1")
    Q_V_max: Scalar | PerTarget = parameter("Q_V_max", 1.0, "1")
    Q_Z_max: Scalar | PerTarget = parameter("Q_Z_max", 1.0, "1")
    a_ee: Scalar | PerTarget = parameter("a_ee", 0.4, "1")
    a_ei: Scalar | PerTarget = parameter("a_ei", 2.0, "1")
    a_ie: Scalar | PerTarget = parameter("a_ie", 2.0, "1")
    a_ne: Scalar | PerTarget = parameter("a_ne", 1.0, "1")
    a_ni: Scalar | PerTarget = parameter("a_ni", 0.4, "1")
    current: Scalar | PerTarget = parameter("current", 0.3, "1")
    r_NMDA: Scalar | PerTarget = parameter("r_NMDA", 0.25, "1")
    C: Scalar | PerTarget = parameter("C", 0.1, "1")
    phi: Scalar | PerTarget = parameter("phi", 0.7, "1")
    tau_K: Scalar | PerTarget = parameter("tau_K", 1.0, "ms")
    b: Scalar | PerTarget = parameter("b", 0.1, "1/ms")
    t_scale: Scalar | PerTarget = parameter("t_scale", 1.0, "1")

    @classmethod
    def chaotic(cls, **changes: Scalar | PerTarget) -> "LarterBreakspearParams":
        """Return the published parameters, at which a region is chaotic without coupling.

        They differ from the defaults in g_Ca = 1, a_ee = 0.36 and d_Z = 0.65. The largest Lyapunov
        exponent is 0.010 per ms, with C = 0 as with C = 0.1; at the defaults it is 0.

        Args:
            changes: further parameters by name.

        Source:
            J. Alstott et al., PLoS Comput. Biol. 5 (2009) e1000408.
        """
        return cls(**({"g_Ca": 1.0, "a_ee": 0.36, "d_Z": 0.65} | changes))


def _open(potential, threshold, spread):
    """Return the share of channels whose threshold, spread around its mean, the potential exceeds."""
    return (1 + jnp.tanh((potential - threshold) / spread)) / 2


def _rate_V(state, inputs, p):
    """Return the firing rate of the pyramidal cells [1]."""
    del inputs
    return p.Q_V_max * _open(state.V, p.V_T, p.d_V)


def _rate_Z(state, inputs, p):
    """Return the firing rate of the interneurons [1]."""
    del inputs
    return p.Q_Z_max * _open(state.Z, p.Z_T, p.d_Z)


@node(
    state=LarterBreakspearState,
    params=LarterBreakspearParams,
    states={"V": "1", "W": "1", "Z": "1"},
    inputs={"V": "1"},
    ranges={"V": (-0.7, 0.5), "W": (0.0, 0.9), "Z": (-0.2, 0.25)},
    implied=["ms"],
    auxiliary={"rate_V": _rate_V, "rate_Z": _rate_Z},
)
def larter_breakspear(
    state: LarterBreakspearState, inputs, params: LarterBreakspearParams
) -> LarterBreakspearState:
    r"""Compute the rates of change of ion channels within a loop of excitation and inhibition.

    With the excitation $Q = (1 - C)\, a_{ee} Q_V + C a_{ee} I_V$ from the own and the other regions,

    $\dot V = -(g_{Ca} + r_{NMDA} Q)\, m_{Ca} (V - V_{Ca}) - (g_{Na} m_{Na} + Q) (V - V_{Na})
    - g_K W (V - V_K) - g_L (V - V_L) - a_{ie} Z Q_Z + a_{ne} c$,
    $\dot W = \varphi\, (m_K - W) / \tau_K$, $\dot Z = b\, (a_{ni} c + a_{ei} V Q_V)$,

    where $m_{ion} = (1 + \tanh((V - T_{ion})/d_{ion}))/2$ and
    $Q_V = Q_{Vmax} (1 + \tanh((V - V_T)/d_V))/2$; $Q_Z$ is the same function of Z, with its own
    parameters. All three rates are multiplied by `t_scale`.

    At the default parameters a region has a limit cycle; at those of `LarterBreakspearParams.chaotic` it
    is chaotic. From a Z above about 0.25 the model may run away: Z grows, and V falls without end.

    By default V is coupled into V. The input is the mean of the firing rates $Q_V$ of other regions:
    couple with `HyperbolicTangentCoupling(conn, a=0.5, sigma=0.65)`, where sigma is d_V and the rows
    of `conn` sum to 1.

    Args:
        state: V, potential of pyramidal cells; W, share of open potassium channels; Z, potential of
            interneurons. [1]
        inputs: V, a firing rate. [1]
        params: `LarterBreakspearParams`.

    Auxiliary:
        rate_V: Q_V, the firing rate of the pyramidal cells. [1]
        rate_Z: Q_Z, that of the interneurons. [1]

    Source:
        M. Breakspear, J. R. Terry and K. J. Friston, Network 14 (2003) 703-732. The defaults are The
        Virtual Brain's, which differ slightly from the parameters of J. Alstott et al., PLoS Comput.
        Biol. 5 (2009) e1000408 (`chaotic`).

    Example:
        >>> state = cf.nodes.LarterBreakspearState(*jnp.array([[-0.5], [0.5], [0.0]]))
        >>> no_input = cf.nodes.LarterBreakspearState(0.0, 0.0, 0.0)
        >>> params = cf.nodes.LarterBreakspearParams()
        >>> rate = cf.nodes.larter_breakspear(state, no_input, params)
        >>> print(rate.V.round(2), rate.W.round(2))
        [0.17] [-0.33]
    """
    p, (V, W, Z) = params, state
    Q_V, Q_Z = _rate_V(state, inputs, p), _rate_Z(state, inputs, p)
    excitation = p.a_ee * ((1 - p.C) * Q_V + p.C * inputs.V)
    calcium = (p.g_Ca + p.r_NMDA * excitation) * _open(V, p.T_Ca, p.d_Ca) * (V - p.V_Ca)
    sodium = (p.g_Na * _open(V, p.T_Na, p.d_Na) + excitation) * (V - p.V_Na)
    others = p.g_K * W * (V - p.V_K) + p.g_L * (V - p.V_L)
    dV = -calcium - sodium - others - p.a_ie * Z * Q_Z + p.a_ne * p.current
    dW = p.phi * (_open(V, p.T_K, p.d_K) - W) / p.tau_K
    dZ = p.b * (p.a_ni * p.current + p.a_ei * V * Q_V)
    return LarterBreakspearState(p.t_scale * dV, p.t_scale * dW, p.t_scale * dZ)
