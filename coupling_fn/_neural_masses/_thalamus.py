"""The thalamus: relay cells and the reticular nucleus, with currents for bursts and spindles."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node

# A logistic function whose slope is pi / sqrt(3) / sigma has the standard deviation sigma.
SLOPE = 1.8137993642342178
# The source's factor from the temperature of the measured inactivation to that of the body, 3^1.2.
WARM = 3.7371928


class ThalamusState(NamedTuple):
    """State of `thalamus`, one value per region each: `(region,)`.

    Attributes:
        V_t: potential of the relay cells. [mV]
        V_r: potential of the reticular nucleus. [mV]
        Ca: calcium in the relay cells, in mM. [mol/m^3]
        h_t: share of T channels of the relay cells that are not inactivated. [1]
        h_r: share of T channels of the reticular nucleus that are not inactivated. [1]
        m_1: share of h channels that are open and not bound to calcium's messenger. [1]
        m_2: share of h channels that are open and bound to it. [1]
        s_et: excitatory synaptic rate at the relay cells. [kHz]
        s_gt: inhibitory synaptic rate at the relay cells. [kHz]
        s_er: excitatory synaptic rate at the reticular nucleus. [kHz]
        s_gr: inhibitory synaptic rate at the reticular nucleus. [kHz]
        ds_et: derivative of s_et. [kHz/ms]
        ds_gt: derivative of s_gt. [kHz/ms]
        ds_er: derivative of s_er. [kHz/ms]
        ds_gr: derivative of s_gr. [kHz/ms]

    Example:
        >>> cf.nodes.ThalamusState(*jnp.zeros((15, 2))).V_t.shape
        (2,)
    """

    V_t: Array
    V_r: Array
    Ca: Array
    h_t: Array
    h_r: Array
    m_1: Array
    m_2: Array
    s_et: Array
    s_gt: Array
    s_er: Array
    s_gr: Array
    ds_et: Array
    ds_gt: Array
    ds_er: Array
    ds_gr: Array


class ThalamusParams(eqx.Module):
    """Parameters of `thalamus`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: membrane time constant. [ms]
        Q_max: largest firing rate. [kHz]
        theta: potential at which a population fires half as much as it can. [mV]
        sigma: standard deviation of the threshold. [mV]
        C_m: membrane capacitance. [uF/cm^2]
        gamma_e: rate of the excitatory synapses. [1/ms]
        gamma_r: rate of the inhibitory synapses. [1/ms]
        g_L: weight of the leak. [1]
        g_AMPA: weight of the excitatory synapses. [ms]
        g_GABA: weight of the inhibitory synapses. [ms]
        g_LK: conductance of the potassium leak. [mS/cm^2]
        g_T_t: largest conductance of the T channels of the relay cells. [mS/cm^2]
        g_T_r: largest conductance of the T channels of the reticular nucleus. [mS/cm^2]
        g_h: largest conductance of the h channels. [mS/cm^2]
        g_inc: how much more a bound h channel conducts than an unbound one. [1]
        E_L: reversal potential of the leak. [mV]
        E_AMPA: reversal potential of the excitatory synapses. [mV]
        E_GABA: reversal potential of the inhibitory synapses. [mV]
        E_K: reversal potential of potassium. [mV]
        E_Ca: reversal potential of calcium. [mV]
        E_h: reversal potential of the h channels. [mV]
        alpha_Ca: calcium that enters per charge, negative because the current is inward.
            [mol cm^2/(m^3 uA ms)]
        tau_Ca: time constant of calcium. [ms]
        Ca_0: calcium at rest, in mM. [mol/m^3]
        k1: rate at which calcium, to the fourth power, activates its messenger. [m^12/(mol^4 ms)]
        k2: rate at which the messenger is inactivated. [1/ms]
        k3: rate at which the messenger binds to an open h channel. [1/ms]
        k4: rate at which it leaves. [1/ms]
        N_rt: synapses from relay cells onto the reticular nucleus. [1]
        N_tr: synapses from the reticular nucleus onto relay cells. [1]
        N_rr: synapses within the reticular nucleus. [1]
        current_t: constant current into the relay cells, in units of the leak. [mV]
        current_r: constant current into the reticular nucleus, likewise. [mV]

    Example:
        >>> cf.nodes.ThalamusParams(g_LK=0.032).g_LK.item()
        0.032
    """

    tau: Scalar | PerTarget = parameter("tau", 20.0, "ms")
    Q_max: Scalar | PerTarget = parameter("Q_max", 0.4, "kHz")
    theta: Scalar | PerTarget = parameter("theta", -58.5, "mV")
    sigma: Scalar | PerTarget = parameter("sigma", 6.0, "mV")
    C_m: Scalar | PerTarget = parameter("C_m", 1.0, "uF/cm^2")
    gamma_e: Scalar | PerTarget = parameter("gamma_e", 0.07, "1/ms")
    gamma_r: Scalar | PerTarget = parameter("gamma_r", 0.1, "1/ms")
    g_L: Scalar | PerTarget = parameter("g_L", 1.0, "1")
    g_AMPA: Scalar | PerTarget = parameter("g_AMPA", 1.0, "ms")
    g_GABA: Scalar | PerTarget = parameter("g_GABA", 1.0, "ms")
    g_LK: Scalar | PerTarget = parameter("g_LK", 0.018, "mS/cm^2")
    g_T_t: Scalar | PerTarget = parameter("g_T_t", 3.0, "mS/cm^2")
    g_T_r: Scalar | PerTarget = parameter("g_T_r", 2.3, "mS/cm^2")
    g_h: Scalar | PerTarget = parameter("g_h", 0.062, "mS/cm^2")
    g_inc: Scalar | PerTarget = parameter("g_inc", 2.0, "1")
    E_L: Scalar | PerTarget = parameter("E_L", -70.0, "mV")
    E_AMPA: Scalar | PerTarget = parameter("E_AMPA", 0.0, "mV")
    E_GABA: Scalar | PerTarget = parameter("E_GABA", -70.0, "mV")
    E_K: Scalar | PerTarget = parameter("E_K", -100.0, "mV")
    E_Ca: Scalar | PerTarget = parameter("E_Ca", 120.0, "mV")
    E_h: Scalar | PerTarget = parameter("E_h", -40.0, "mV")
    alpha_Ca: Scalar | PerTarget = parameter("alpha_Ca", -51.8e-6, "mol cm^2/(m^3 uA ms)")
    tau_Ca: Scalar | PerTarget = parameter("tau_Ca", 10.0, "ms")
    Ca_0: Scalar | PerTarget = parameter("Ca_0", 2.4e-4, "mol/m^3")
    k1: Scalar | PerTarget = parameter("k1", 2.5e7, "m^12/(mol^4 ms)")
    k2: Scalar | PerTarget = parameter("k2", 4e-4, "1/ms")
    k3: Scalar | PerTarget = parameter("k3", 0.1, "1/ms")
    k4: Scalar | PerTarget = parameter("k4", 0.001, "1/ms")
    N_rt: Scalar | PerTarget = parameter("N_rt", 3.0, "1")
    N_tr: Scalar | PerTarget = parameter("N_tr", 5.0, "1")
    N_rr: Scalar | PerTarget = parameter("N_rr", 25.0, "1")
    current_t: Scalar | PerTarget = parameter("current_t", 0.0, "mV")
    current_r: Scalar | PerTarget = parameter("current_r", 0.0, "mV")


def _fired(p, V):
    """Return the firing rate of a population [kHz] at its potential [mV]."""
    return p.Q_max * jax.nn.sigmoid(SLOPE * (V - p.theta) / p.sigma)


def _relay_rate(state, inputs, p):
    """Return the firing rate of the relay cells [kHz]."""
    del inputs
    return _fired(p, state.V_t)


def _reticular_rate(state, inputs, p):
    """Return the firing rate of the reticular nucleus [kHz]."""
    del inputs
    return _fired(p, state.V_r)


def _calcium_current(g, V, m_inf, h, E_Ca):
    """Return the current through T channels, which activate at once [uA/cm^2]."""
    return g * m_inf**2 * h * (V - E_Ca)


@node(
    state=ThalamusState,
    params=ThalamusParams,
    states={
        "V_t": "mV",
        "V_r": "mV",
        "Ca": "mol/m^3",
        **dict.fromkeys(("h_t", "h_r", "m_1", "m_2"), "1"),
        **dict.fromkeys(("s_et", "s_gt", "s_er", "s_gr"), "kHz"),
        **dict.fromkeys(("ds_et", "ds_gt", "ds_er", "ds_gr"), "kHz/ms"),
    },
    inputs={"ds_et": "kHz", "ds_er": "kHz", "V_t": "mV", "V_r": "mV"},
    coupled=[("V_t", "ds_er")],
    ranges={
        "V_t": (-75.0, -50.0),
        "V_r": (-75.0, -50.0),
        "Ca": (2e-4, 1.5e-3),
        **dict.fromkeys(("h_t", "h_r"), (0.0, 0.3)),
        **dict.fromkeys(("m_1", "m_2"), (0.0, 0.4)),
        **dict.fromkeys(("s_et", "s_gt", "s_er"), (0.0, 1.0)),
        "s_gr": (0.0, 5.0),
        **dict.fromkeys(("ds_et", "ds_gt", "ds_er"), (-0.03, 0.03)),
        "ds_gr": (-0.1, 0.1),
    },
    bounds=dict.fromkeys(("h_t", "h_r", "m_1", "m_2"), (0.0, 1.0)),
    implied=["mV", "ms"],
    auxiliary={"rate_t": _relay_rate, "rate_r": _reticular_rate},
)
def thalamus(state: ThalamusState, inputs, params: ThalamusParams) -> ThalamusState:
    r"""Compute the rates of change of relay cells (t) and of the reticular nucleus (r).

    $\tau\dot V_t = -g_L(V_t - E_L) - g_A s_{et}(V_t - E_A) - g_G s_{gt}(V_t - E_G) + c_t + I_{V_t}
    - \tau(I_{LK} + I_T + I_h)/C_m$, likewise V_r without $I_h$;
    $\ddot s = \gamma^2(N Q - s) - 2\gamma\dot s$ with the firing rate
    $Q(V) = Q_{max}/(1 + e^{-\pi(V - \theta)/(\sqrt 3\,\sigma)})$ of the population that sends: relay
    cells excite the reticular nucleus, which inhibits them and itself. $I_{LK} = g_{LK}(V - E_K)$,
    $I_T = g_T m_\infty^2(V)\, h\,(V - E_{Ca})$, $I_h = g_h(m_1 + g_{inc} m_2)(V_t - E_h)$,
    $\dot{Ca} = \alpha_{Ca} I_T - (Ca - Ca_0)/\tau_{Ca}$, $\tau_h\dot h = h_\infty - h$,
    $\dot m_1 = (m_{h\infty}(1 - m_2) - m_1)/\tau_m - k_3 P m_1 + k_4 m_2$,
    $\dot m_2 = k_3 P m_1 - k_4 m_2$, $P = k_1 Ca^4/(k_1 Ca^4 + k_2)$.

    The inputs ds_et and ds_er are firing rates that arrive at excitatory synapses, from the cortex, say;
    V_t and V_r are currents in units of the leak, positive ones excite. No state is a firing rate:
    `SigmoidalJansenRitCoupling(conn, k, cmin=0.0, cmax=0.4, midpoint=-58.5, r=0.3023)` sends that of
    V_t. Between regions of this node, V_t is coupled into ds_er by default, since relay cells excite the
    reticular nucleus and hardly each other. The equations are stiff: dt should not exceed about 0.1 ms.

    The source leaves the unit of its calcium open; that of k1 fits mM, in which the source's own source,
    A. Destexhe et al., Biophys. J. 65 (1993) 1538-1552, has it.

    Args:
        state: V_t, V_r [mV], Ca [mol/m^3], the gating h_t, h_r, m_1 and m_2 [1], the synaptic rates
            s_et, s_gt, s_er and s_gr [kHz], and their derivatives, ds_et and so on [kHz/ms].
        inputs: ds_et, ds_er, firing rates [kHz]; V_t, V_r, currents [mV].
        params: `ThalamusParams`.

    Auxiliary:
        rate_t: Q(V_t), the firing rate of the relay cells. [kHz]
        rate_r: Q(V_r), that of the reticular nucleus. [kHz]

    Source:
        M. Schellenberger Costa et al., PLoS Comput. Biol. 12 (2016) e1005022, with the parameters and
        the gating functions of neurolib 0.6.

    Example:
        >>> rest = cf.nodes.ThalamusState(*jnp.zeros((15, 1)))._replace(V_t=jnp.array([-70.0]))
        >>> no_input = cf.nodes.ThalamusState(*[0.0] * 15)
        >>> params = cf.nodes.ThalamusParams(g_LK=0.02)
        >>> round(cf.nodes.thalamus(rest, no_input, params).V_t.item(), 6)  # towards E_K
        -0.6
    """
    p, x = params, state
    # T channels of both populations: activation, inactivation and its time constant.
    m_t = jax.nn.sigmoid((x.V_t + 59.0) / 6.2)
    m_r = jax.nn.sigmoid((x.V_r + 52.0) / 7.4)
    open_t = jax.nn.sigmoid(-(x.V_t + 81.0) / 4.0)
    open_r = jax.nn.sigmoid(-(x.V_r + 80.0) / 5.0)
    rise = 211.4 + jnp.exp((x.V_t + 115.2) / 5.0)
    tau_t = (30.8 + rise * jax.nn.sigmoid(-(x.V_t + 86.0) / 3.2)) / WARM
    fall = jnp.exp((x.V_r + 48.0) / 4.0) + jnp.exp(-(x.V_r + 407.0) / 50.0)
    tau_r = (85.0 + 1.0 / fall) / WARM
    # The h channels of the relay cells, and the messenger that calcium activates.
    open_h = jax.nn.sigmoid(-(x.V_t + 75.0) / 5.5)
    tau_h = 20.0 + 1000.0 / (jnp.exp((x.V_t + 71.5) / 14.2) + jnp.exp(-(x.V_t + 89.0) / 11.6))
    active = p.k1 * x.Ca**4
    bound = p.k3 * active / (active + p.k2) * x.m_1 - p.k4 * x.m_2

    calcium = _calcium_current(p.g_T_t, x.V_t, m_t, x.h_t, p.E_Ca)
    anomalous = p.g_h * (x.m_1 + p.g_inc * x.m_2) * (x.V_t - p.E_h)
    slow_t = p.g_LK * (x.V_t - p.E_K) + calcium + anomalous
    slow_r = p.g_LK * (x.V_r - p.E_K)
    slow_r += _calcium_current(p.g_T_r, x.V_r, m_r, x.h_r, p.E_Ca)

    def driven(V, s_e, s_g, current, slow):
        synaptic = p.g_AMPA * s_e * (V - p.E_AMPA) + p.g_GABA * s_g * (V - p.E_GABA)
        return (current - p.g_L * (V - p.E_L) - synaptic) / p.tau - slow / p.C_m

    def synapse(gamma, received, s, ds):
        return gamma**2 * (received - s) - 2 * gamma * ds

    relayed, inhibited = _fired(p, x.V_t), _fired(p, x.V_r)
    return ThalamusState(
        driven(x.V_t, x.s_et, x.s_gt, p.current_t + inputs.V_t, slow_t),
        driven(x.V_r, x.s_er, x.s_gr, p.current_r + inputs.V_r, slow_r),
        p.alpha_Ca * calcium - (x.Ca - p.Ca_0) / p.tau_Ca,
        (open_t - x.h_t) / tau_t,
        (open_r - x.h_r) / tau_r,
        (open_h * (1 - x.m_2) - x.m_1) / tau_h - bound,
        bound,
        x.ds_et,
        x.ds_gt,
        x.ds_er,
        x.ds_gr,
        synapse(p.gamma_e, inputs.ds_et, x.s_et, x.ds_et),
        synapse(p.gamma_r, p.N_tr * inhibited, x.s_gt, x.ds_gt),
        synapse(p.gamma_e, p.N_rt * relayed + inputs.ds_er, x.s_er, x.ds_er),
        synapse(p.gamma_r, p.N_rr * inhibited, x.s_gr, x.ds_gr),
    )
