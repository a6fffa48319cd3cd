"""Mean field of adaptive exponential integrate-and-fire neurons, to first order: rates alone.

What both orders share is here, too: the transfer function, its parameters, and the adaptation.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erfc

from .._core import PerTarget, Scalar, parameter
from .._node import node

# Without any spikes the potential does not fluctuate, and the formula is 0 / 0; so the source's authors
# add this to the rates within a region. [kHz]
FLOOR = 1e-6


class Responses(NamedTuple):
    """What neurons of one population do, given their mean conductances."""

    rate: Array
    potential: Array


def transfer(p, kind: str, nu_e, nu_i, ext_e, ext_i, adaptation) -> Responses:
    """Return the rate [kHz] and the mean potential [mV] of a population, "e" or "i".

    `nu_e` and `nu_i` are the rates within the region, `ext_e` and `ext_i` those from outside [kHz].
    """
    E_L = getattr(p, f"E_L_{kind}")
    spikes_e = (nu_e + FLOOR) * p.K_e + ext_e * p.K_ext_e
    spikes_i = (nu_i + FLOOR) * p.K_i + ext_i * p.K_ext_i
    g_e, g_i = p.Q_e * p.tau_e * spikes_e, p.Q_i * p.tau_i * spikes_i
    total = g_e + g_i + p.g_L
    mean = (g_e * p.E_e + g_i * p.E_i + p.g_L * E_L - adaptation) / total
    tau_m = p.C_m / total
    # The square of the integral of a postsynaptic potential, times its rate.
    power_e = spikes_e * (p.Q_e * p.tau_e * (p.E_e - mean) / total) ** 2
    power_i = spikes_i * (p.Q_i * p.tau_i * (p.E_i - mean) / total) ** 2
    spread = power_e / (tau_m + p.tau_e) + power_i / (tau_m + p.tau_i)
    deviation = jnp.sqrt(spread / 2)
    autocorrelation = (power_e + power_i) / spread
    threshold = _threshold(
        p,
        kind,
        (mean + 60) / 10,
        (deviation - 4) / 6,
        autocorrelation * p.g_L / p.C_m - 0.5,
    )
    escape = (threshold - mean) / (2**0.5 * deviation)
    return Responses(erfc(escape) / (2 * autocorrelation), mean)


def _threshold(p, kind, mu, sigma, tau):
    """Return the phenomenological threshold [mV], a polynomial in the normalised moments."""
    P = {name: getattr(p, f"P_{kind}_{name}") for name in _TERMS}
    return (
        P["0"]
        + mu * (P["mu"] + P["mu_mu"] * mu + P["mu_sigma"] * sigma + P["mu_tau"] * tau)
        + sigma * (P["sigma"] + P["sigma_sigma"] * sigma + P["sigma_tau"] * tau)
        + tau * (P["tau"] + P["tau_tau"] * tau)
    )


_TERMS = (
    *("0", "mu", "sigma", "tau", "mu_mu", "sigma_sigma", "tau_tau"),
    *("mu_sigma", "mu_tau", "sigma_tau"),
)


class AdexParams(eqx.Module):
    """The parameters that both orders have, each a scalar or one value per region, `(region,)`."""

    g_L: Scalar | PerTarget = parameter("g_L", 10.0, "nS")
    E_L_e: Scalar | PerTarget = parameter("E_L_e", -65.0, "mV")
    E_L_i: Scalar | PerTarget = parameter("E_L_i", -65.0, "mV")
    C_m: Scalar | PerTarget = parameter("C_m", 200.0, "pF")
    a_e: Scalar | PerTarget = parameter("a_e", 4.0, "nS")
    b_e: Scalar | PerTarget = parameter("b_e", 60.0, "pA")
    tau_w_e: Scalar | PerTarget = parameter("tau_w_e", 500.0, "ms")
    a_i: Scalar | PerTarget = parameter("a_i", 0.0, "nS")
    b_i: Scalar | PerTarget = parameter("b_i", 0.0, "pA")
    tau_w_i: Scalar | PerTarget = parameter("tau_w_i", 1.0, "ms")
    E_e: Scalar | PerTarget = parameter("E_e", 0.0, "mV")
    E_i: Scalar | PerTarget = parameter("E_i", -80.0, "mV")
    Q_e: Scalar | PerTarget = parameter("Q_e", 1.5, "nS")
    Q_i: Scalar | PerTarget = parameter("Q_i", 5.0, "nS")
    tau_e: Scalar | PerTarget = parameter("tau_e", 5.0, "ms")
    tau_i: Scalar | PerTarget = parameter("tau_i", 5.0, "ms")
    K_e: Scalar | PerTarget = parameter("K_e", 400.0, "1")
    K_i: Scalar | PerTarget = parameter("K_i", 100.0, "1")
    K_ext_e: Scalar | PerTarget = parameter("K_ext_e", 400.0, "1")
    K_ext_i: Scalar | PerTarget = parameter("K_ext_i", 0.0, "1")
    T: Scalar | PerTarget = parameter("T", 20.0, "ms")
    nu_ee: Scalar | PerTarget = parameter("nu_ee", 0.0, "kHz")
    nu_ei: Scalar | PerTarget = parameter("nu_ei", 0.0, "kHz")
    nu_ie: Scalar | PerTarget = parameter("nu_ie", 0.0, "kHz")
    nu_ii: Scalar | PerTarget = parameter("nu_ii", 0.0, "kHz")
    tau_ou: Scalar | PerTarget = parameter("tau_ou", 5.0, "ms")
    weight_ou: Scalar | PerTarget = parameter("weight_ou", 10.5, "1")
    P_e_0: Scalar | PerTarget = parameter("P_e_0", -49.83106, "mV")
    P_e_mu: Scalar | PerTarget = parameter("P_e_mu", 5.063550882777035, "mV")
    P_e_sigma: Scalar | PerTarget = parameter("P_e_sigma", -23.470121807314552, "mV")
    P_e_tau: Scalar | PerTarget = parameter("P_e_tau", 2.2951513725067503, "mV")
    P_e_mu_mu: Scalar | PerTarget = parameter("P_e_mu_mu", -0.4105302652029825, "mV")
    P_e_sigma_sigma: Scalar | PerTarget = parameter("P_e_sigma_sigma", 10.547051343547399, "mV")
    P_e_tau_tau: Scalar | PerTarget = parameter("P_e_tau_tau", -36.59252821136933, "mV")
    P_e_mu_sigma: Scalar | PerTarget = parameter("P_e_mu_sigma", 7.437487505797858, "mV")
    P_e_mu_tau: Scalar | PerTarget = parameter("P_e_mu_tau", 1.265064721846073, "mV")
    P_e_sigma_tau: Scalar | PerTarget = parameter("P_e_sigma_tau", -40.72161294490446, "mV")
    P_i_0: Scalar | PerTarget = parameter("P_i_0", -51.49122024209484, "mV")
    P_i_mu: Scalar | PerTarget = parameter("P_i_mu", 4.003689190271077, "mV")
    P_i_sigma: Scalar | PerTarget = parameter("P_i_sigma", -8.352013668528155, "mV")
    P_i_tau: Scalar | PerTarget = parameter("P_i_tau", 0.2414237992765705, "mV")
    P_i_mu_mu: Scalar | PerTarget = parameter("P_i_mu_mu", -0.5070645080016026, "mV")
    P_i_sigma_sigma: Scalar | PerTarget = parameter("P_i_sigma_sigma", 1.4345394104282397, "mV")
    P_i_tau_tau: Scalar | PerTarget = parameter("P_i_tau_tau", -14.686689498949967, "mV")
    P_i_mu_sigma: Scalar | PerTarget = parameter("P_i_mu_sigma", 4.502706285435741, "mV")
    P_i_mu_tau: Scalar | PerTarget = parameter("P_i_mu_tau", 2.8472190352532454, "mV")
    P_i_sigma_tau: Scalar | PerTarget = parameter("P_i_sigma_tau", -15.357804594594548, "mV")


class ZerlautFirstOrderState(NamedTuple):
    """State of `zerlaut_first_order`, one value per region each: `(region,)`.

    Attributes:
        E: firing rate of the excitatory population. [kHz]
        I: firing rate of the inhibitory population. [kHz]
        W_e: adaptation current of the excitatory population. [pA]
        W_i: adaptation current of the inhibitory population. [pA]
        ou: drive that decays by itself; noise on it makes it an Ornstein–Uhlenbeck process. [kHz]

    Example:
        >>> cf.nodes.ZerlautFirstOrderState(*jnp.zeros((5, 2))).E.shape
        (2,)
    """

    E: Array
    I: Array  # noqa: E741
    W_e: Array
    W_i: Array
    ou: Array


class ZerlautFirstOrderParams(AdexParams):
    """Parameters of `zerlaut_first_order`, each a scalar or one value per region, `(region,)`.

    Attributes:
        g_L: leak conductance of a neuron. [nS]
        E_L_e: leak reversal potential of excitatory neurons. [mV]
        E_L_i: leak reversal potential of inhibitory neurons. [mV]
        C_m: capacitance of a neuron. [pF]
        a_e: adaptation of excitatory neurons to their potential. [nS]
        b_e: adaptation of excitatory neurons per spike. [pA]
        tau_w_e: time constant of the adaptation of excitatory neurons. [ms]
        a_i: adaptation of inhibitory neurons to their potential. [nS]
        b_i: adaptation of inhibitory neurons per spike. [pA]
        tau_w_i: time constant of the adaptation of inhibitory neurons. [ms]
        E_e: reversal potential of excitatory synapses. [mV]
        E_i: reversal potential of inhibitory synapses. [mV]
        Q_e: conductance that an excitatory spike opens. [nS]
        Q_i: conductance that an inhibitory spike opens. [nS]
        tau_e: time constant of excitatory synapses. [ms]
        tau_i: time constant of inhibitory synapses. [ms]
        K_e: excitatory synapses of a neuron from within the region. [1]
        K_i: inhibitory synapses of a neuron from within the region. [1]
        K_ext_e: excitatory synapses of a neuron from outside. [1]
        K_ext_i: inhibitory synapses of a neuron from outside. [1]
        T: time within which the rates follow their stationary values. [ms]
        nu_ee: constant rate of outside excitatory neurons onto the excitatory population. [kHz]
        nu_ei: constant rate of outside inhibitory neurons onto the excitatory population. [kHz]
        nu_ie: constant rate of outside excitatory neurons onto the inhibitory population. [kHz]
        nu_ii: constant rate of outside inhibitory neurons onto the inhibitory population. [kHz]
        tau_ou: time constant of `ou`. [ms]
        weight_ou: weight of `ou` in the drive of both populations. [1]
        P_e_0: threshold of excitatory neurons where the moments below are 0. [mV]
        P_e_mu: its slope in the mean potential, (mean + 60 mV) / 10 mV. [mV]
        P_e_sigma: its slope in the deviation of the potential, (deviation - 4 mV) / 6 mV. [mV]
        P_e_tau: its slope in the autocorrelation time, less 0.5, in units of C_m / g_L. [mV]
        P_e_mu_mu: its coefficient of the square of the mean. [mV]
        P_e_sigma_sigma: its coefficient of the square of the deviation. [mV]
        P_e_tau_tau: its coefficient of the square of the time. [mV]
        P_e_mu_sigma: its coefficient of mean times deviation. [mV]
        P_e_mu_tau: its coefficient of mean times time. [mV]
        P_e_sigma_tau: its coefficient of deviation times time. [mV]
        P_i_0: threshold of inhibitory neurons, and its ten coefficients likewise. [mV]
        P_i_mu: slope in the mean. [mV]
        P_i_sigma: slope in the deviation. [mV]
        P_i_tau: slope in the time. [mV]
        P_i_mu_mu: coefficient of the square of the mean. [mV]
        P_i_sigma_sigma: coefficient of the square of the deviation. [mV]
        P_i_tau_tau: coefficient of the square of the time. [mV]
        P_i_mu_sigma: coefficient of mean times deviation. [mV]
        P_i_mu_tau: coefficient of mean times time. [mV]
        P_i_sigma_tau: coefficient of deviation times time. [mV]

    Example:
        >>> cf.nodes.ZerlautFirstOrderParams(b_e=5.0).b_e.item()  # little adaptation: awake
        5.0
    """


def adapted(state, p, e: Responses, i: Responses):
    """Return the rates of change of W_e, W_i [pA/ms] and ou [kHz/ms]."""
    return (
        (p.a_e * (e.potential - p.E_L_e) - state.W_e) / p.tau_w_e + p.b_e * state.E,
        (p.a_i * (i.potential - p.E_L_i) - state.W_i) / p.tau_w_i + p.b_i * state.I,
        -state.ou / p.tau_ou,
    )


def responses(state, p, onto_e, onto_i) -> tuple[Responses, Responses]:
    """Return the responses of both populations to these excitatory rates from outside [kHz]."""
    return (
        transfer(p, "e", state.E, state.I, onto_e, p.nu_ei, state.W_e),
        transfer(p, "i", state.E, state.I, onto_i, p.nu_ii, state.W_i),
    )


def _responses(state, inputs, p):
    ou = p.weight_ou * state.ou
    onto_e = jax.nn.relu(inputs.E + ou) + p.nu_ee
    onto_i = jax.nn.relu(inputs.I + ou) + p.nu_ie
    return responses(state, p, onto_e, onto_i)


RANGES = {"W_e": (0.0, 200.0), "W_i": (0.0, 20.0), "ou": (0.0, 0.0005)}


@node(
    state=ZerlautFirstOrderState,
    params=ZerlautFirstOrderParams,
    states={"E": "kHz", "I": "kHz", "W_e": "pA", "W_i": "pA", "ou": "kHz"},
    inputs={"E": "kHz", "I": "kHz"},
    coupled=[("E", "E"), ("E", "I")],
    ranges={"E": (0.001, 0.25), "I": (0.001, 0.25), **RANGES},
    bounds={"E": (0.0, None), "I": (0.0, None)},
    implied=["mV", "ms"],
    auxiliary={
        "potential_e": lambda state, inputs, p: _responses(state, inputs, p)[0].potential,
        "potential_i": lambda state, inputs, p: _responses(state, inputs, p)[1].potential,
    },
)
def zerlaut_first_order(
    state: ZerlautFirstOrderState, inputs, params: ZerlautFirstOrderParams
) -> ZerlautFirstOrderState:
    r"""Compute the rates of change of the rates of adaptive exponential integrate-and-fire neurons.

    $T\dot E = F_e - E$, $T\dot I = F_i - I$,
    $\dot W_x = (a_x(\mu_x - E_{L,x}) - W_x)/\tau_{w,x} + b_x\nu_x$, $\dot o = -o/\tau_o$, with
    $F = \mathrm{erfc}\bigl((V_{thr} - \mu)/(\sqrt 2\sigma)\bigr)/(2\tau)$.

    A neuron receives $n_e = K_e(E + \epsilon) + K_{ext,e}f$ excitatory spikes per ms and likewise $n_i$
    inhibitory ones, so $g_s = Q_s\tau_s n_s$ and $g = g_e + g_i + g_L$. Its potential has the mean
    $\mu = (g_eE_e + g_iE_i + g_LE_L - W)/g$, with $U_s = Q_s(E_s - \mu)/g$ and $\tau_m = C_m/g$ the
    variance $\sigma^2 = \sum_s n_s(U_s\tau_s)^2/(2(\tau_m + \tau_s))$, and the autocorrelation time
    $\tau = \sum_s n_s(U_s\tau_s)^2/\sum_s\bigl(n_s(U_s\tau_s)^2/(\tau_m + \tau_s)\bigr)$. $V_{thr}$ is
    the polynomial of second degree with the coefficients `P_e_...` or `P_i_...` in
    $(\mu + 60)/10$, $(\sigma - 4)/6$ (mV) and $\tau g_L/C_m - 0.5$.

    The inputs are excitatory rates from outside, by default E of other regions onto both populations:
    couple with `AdditiveCoupling`. The drive is $f = [I + w_oo]_+ + \nu$: what other regions and `ou`
    send together is no less than 0, and the constant rate comes after. The Virtual Brain's noise goes
    onto `ou`: `noise={"ou": ...}`.

    Args:
        state: E, I [kHz], W_e, W_i [pA], ou [kHz].
        inputs: E, I, excitatory rates from outside onto both populations. [kHz]
        params: `ZerlautFirstOrderParams`.

    Auxiliary:
        potential_e: $\mu_e$, the mean potential of excitatory neurons. [mV]
        potential_i: $\mu_i$, that of inhibitory neurons. [mV]

    Source:
        M. di Volo, A. Romagnoni, C. Capone and A. Destexhe, Neural Comput. 31 (2019) 653-680, after Y.
        Zerlaut, S. Chemla, F. Chavane and A. Destexhe, J. Comput. Neurosci. 44 (2018) 45-61. The
        papers do not say what happens without any spikes, where $\tau$ is 0/0: as in The Virtual Brain
        $\epsilon$ = 1e-6 kHz is added to E and I, but not to what comes from outside. The
        defaults are The Virtual Brain's, too.

    Example:
        >>> state = cf.nodes.ZerlautFirstOrderState(*jnp.array([[0.0], [0.0], [10.0], [0.0], [0.0]]))
        >>> no_input = cf.nodes.ZerlautFirstOrderState(0.0, 0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.ZerlautFirstOrderParams(a_e=0.0, tau_w_e=4.0)
        >>> rate = cf.nodes.zerlaut_first_order(state, no_input, params)
        >>> rate.W_e.tolist(), rate.E.tolist()
        ([-2.5], [0.0])
    """
    e, i = _responses(state, inputs, params)
    return ZerlautFirstOrderState(
        (e.rate - state.E) / params.T,
        (i.rate - state.I) / params.T,
        *adapted(state, params, e, i),
    )
