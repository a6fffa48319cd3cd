"""Mean field of excitatory and inhibitory quadratic integrate-and-fire neurons: Dumont–Gutkin."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._quadratic import PI, synchrony


class DumontGutkinState(NamedTuple):
    """State of `dumont_gutkin`, one value per region each: `(region,)`.

    Attributes:
        r_e: firing rate of the excitatory population. [kHz]
        V_e: mean membrane potential of the excitatory population. [1]
        s_ee: synaptic activation of the excitatory population by excitatory spikes. [kHz]
        s_ei: synaptic activation of the excitatory population by inhibitory spikes. [kHz]
        r_i: firing rate of the inhibitory population. [kHz]
        V_i: mean membrane potential of the inhibitory population. [1]
        s_ie: synaptic activation of the inhibitory population by excitatory spikes. [kHz]
        s_ii: synaptic activation of the inhibitory population by inhibitory spikes. [kHz]

    Example:
        >>> cf.nodes.DumontGutkinState(*jnp.zeros((8, 2))).r_e.shape
        (2,)
    """

    r_e: Array
    V_e: Array
    s_ee: Array
    s_ei: Array
    r_i: Array
    V_i: Array
    s_ie: Array
    s_ii: Array


class DumontGutkinParams(eqx.Module):
    """Parameters of `dumont_gutkin`, each a scalar or one value per region, `(region,)`.

    Attributes:
        I_e: constant current of the excitatory population. [1]
        Delta_e: half width of the distribution of its excitabilities, a Lorentzian. [1]
        eta_e: centre of that distribution. [1]
        tau_e: membrane time constant of the excitatory population. [ms]
        I_i: constant current of the inhibitory population. [1]
        Delta_i: half width of the distribution of its excitabilities, a Lorentzian. [1]
        eta_i: centre of that distribution. [1]
        tau_i: membrane time constant of the inhibitory population. [ms]
        tau_s: time constant of all synapses. [ms]
        J_ee: strength of synapses from the excitatory population onto itself. [1]
        J_ei: strength of synapses from the inhibitory population onto the excitatory one. [1]
        J_ie: strength of synapses from the excitatory population onto the inhibitory one. [1]
        J_ii: strength of synapses from the inhibitory population onto itself. [1]
        Gamma: weight of the input of the inhibitory population. [1]

    Example:
        >>> cf.nodes.DumontGutkinParams(eta_e=10.0).eta_e.item()
        10.0
    """

    I_e: Scalar | PerTarget = parameter("I_e", 0.0, "1")
    Delta_e: Scalar | PerTarget = parameter("Delta_e", 1.0, "1")
    eta_e: Scalar | PerTarget = parameter("eta_e", -5.0, "1")
    tau_e: Scalar | PerTarget = parameter("tau_e", 10.0, "ms")
    I_i: Scalar | PerTarget = parameter("I_i", 0.0, "1")
    Delta_i: Scalar | PerTarget = parameter("Delta_i", 1.0, "1")
    eta_i: Scalar | PerTarget = parameter("eta_i", -5.0, "1")
    tau_i: Scalar | PerTarget = parameter("tau_i", 10.0, "ms")
    tau_s: Scalar | PerTarget = parameter("tau_s", 1.0, "ms")
    J_ee: Scalar | PerTarget = parameter("J_ee", 0.0, "1")
    J_ei: Scalar | PerTarget = parameter("J_ei", 10.0, "1")
    J_ie: Scalar | PerTarget = parameter("J_ie", 0.0, "1")
    J_ii: Scalar | PerTarget = parameter("J_ii", 15.0, "1")
    Gamma: Scalar | PerTarget = parameter("Gamma", 5.0, "1")


def _potential(r, V, tau, current):
    return (V * V - (PI * tau * r) ** 2 + current) / tau


@node(
    state=DumontGutkinState,
    params=DumontGutkinParams,
    states={
        "r_e": "kHz",
        "V_e": "1",
        "s_ee": "kHz",
        "s_ei": "kHz",
        "r_i": "kHz",
        "V_i": "1",
        "s_ie": "kHz",
        "s_ii": "kHz",
    },
    inputs={"V_e": "1", "s_ee": "kHz", "V_i": "1", "s_ie": "kHz"},
    coupled=[("r_e", "s_ee"), ("r_e", "s_ie")],
    ranges={
        "r_e": (0.0, 0.2),
        "V_e": (-2.0, 1.5),
        "s_ee": (0.0, 1.0),
        "s_ei": (0.0, 1.0),
        "r_i": (0.0, 0.2),
        "V_i": (-2.0, 1.5),
        "s_ie": (0.0, 1.0),
        "s_ii": (0.0, 1.0),
    },
    bounds={"r_e": (0.0, None), "r_i": (0.0, None)},
    auxiliary={
        "synchrony_e": lambda s, inputs, p: synchrony(PI * p.tau_e * s.r_e, s.V_e),
        "synchrony_i": lambda s, inputs, p: synchrony(PI * p.tau_i * s.r_i, s.V_i),
    },
)
def dumont_gutkin(
    state: DumontGutkinState, inputs, params: DumontGutkinParams
) -> DumontGutkinState:
    r"""Compute the rates of change of excitatory and inhibitory quadratic integrate-and-fire neurons.

    For both populations, $x$ one and $y$ the other: $\tau_x\dot r_x = \Delta_x/(\pi\tau_x) + 2r_xV_x$,
    $\tau_x\dot V_x = V_x^2 + \eta_x + I_x + \tau_x(s_{xe} - s_{xi}) - (\pi\tau_xr_x)^2 + I_{V_x}$ and
    $\tau_s\dot s_{xy} = -s_{xy} + J_{xy}r_y$, to which $I_{s_{ee}}$ is added for $s_{ee}$ and
    $\Gamma I_{s_{ie}}$ for $s_{ie}$.

    By default r_e is coupled into s_ee and s_ie, since long-range fibres are excitatory: couple with
    `AdditiveCoupling`. The inputs V_e and V_i are for stimuli.

    Args:
        state: r_e, r_i, s_ee, s_ei, s_ie, s_ii [kHz], V_e, V_i [1].
        inputs: s_ee, s_ie, excitatory firing onto either population [kHz], V_e, V_i, currents [1].
        params: `DumontGutkinParams`.

    Auxiliary:
        synchrony_e: the Kuramoto order parameter of the excitatory neurons. [1]
        synchrony_i: that of the inhibitory neurons. [1]

    Source:
        G. Dumont and B. Gutkin, PLoS Comput. Biol. 15 (2019) e1007019. The defaults, and the factor
        $\Gamma$ of input to the inhibitory population alone, are The Virtual Brain's.

    Example:
        >>> state = cf.nodes.DumontGutkinState(*jnp.zeros((8, 1)))._replace(V_e=jnp.array([3.0]))
        >>> no_input = cf.nodes.DumontGutkinState(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        >>> rate = cf.nodes.dumont_gutkin(state, no_input, cf.nodes.DumontGutkinParams(tau_e=2.0))
        >>> rate.V_e.tolist(), rate.V_i.tolist()
        ([2.0], [-0.5])
    """
    p, s = params, state
    current_e = p.eta_e + p.I_e + p.tau_e * (s.s_ee - s.s_ei) + inputs.V_e
    current_i = p.eta_i + p.I_i + p.tau_i * (s.s_ie - s.s_ii) + inputs.V_i
    return DumontGutkinState(
        r_e=(p.Delta_e / (PI * p.tau_e) + 2 * s.r_e * s.V_e) / p.tau_e,
        V_e=_potential(s.r_e, s.V_e, p.tau_e, current_e),
        s_ee=(p.J_ee * s.r_e + inputs.s_ee - s.s_ee) / p.tau_s,
        s_ei=(p.J_ei * s.r_i - s.s_ei) / p.tau_s,
        r_i=(p.Delta_i / (PI * p.tau_i) + 2 * s.r_i * s.V_i) / p.tau_i,
        V_i=_potential(s.r_i, s.V_i, p.tau_i, current_i),
        s_ie=(p.J_ie * s.r_e + p.Gamma * inputs.s_ie - s.s_ie) / p.tau_s,
        s_ii=(p.J_ii * s.r_i - s.s_ii) / p.tau_s,
    )
