"""Mean field of adaptive exponential integrate-and-fire neurons, to second order: with covariances."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._zerlaut import RANGES, AdexParams, Responses, adapted, responses


class ZerlautSecondOrderState(NamedTuple):
    """State of `zerlaut_second_order`, one value per region each: `(region,)`.

    Attributes:
        E: firing rate of the excitatory population. [kHz]
        I: firing rate of the inhibitory population. [kHz]
        C_ee: variance of the excitatory rate. [kHz^2]
        C_ei: covariance of both rates. [kHz^2]
        C_ii: variance of the inhibitory rate. [kHz^2]
        W_e: adaptation current of the excitatory population. [pA]
        W_i: adaptation current of the inhibitory population. [pA]
        ou: drive that decays by itself; noise on it makes it an Ornstein–Uhlenbeck process. [kHz]

    Example:
        >>> cf.nodes.ZerlautSecondOrderState(*jnp.zeros((8, 2))).C_ee.shape
        (2,)
    """

    E: Array
    I: Array  # noqa: E741
    C_ee: Array
    C_ei: Array
    C_ii: Array
    W_e: Array
    W_i: Array
    ou: Array


class ZerlautSecondOrderParams(AdexParams):
    """Parameters of `zerlaut_second_order`, each a scalar or one value per region, `(region,)`.

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
        N_e: number of excitatory neurons of a region. [1]
        N_i: number of inhibitory neurons of a region. [1]
        derivative_scale: factor on each derivative of the transfer function, squared on second ones.
            1 is the equation of the source; at 0 E and I are those of `zerlaut_first_order`. [1]

    Example:
        >>> cf.nodes.ZerlautSecondOrderParams(N_e=800.0, N_i=200.0).N_i.item()  # a small population
        200.0
    """

    N_e: Scalar | PerTarget = parameter("N_e", 8000.0, "1")
    N_i: Scalar | PerTarget = parameter("N_i", 2000.0, "1")
    derivative_scale: Scalar | PerTarget = parameter("derivative_scale", 1.0, "1")


class _Expansion(NamedTuple):
    """A rate, and its first and second derivatives by the rates E and I within the region."""

    rate: Array
    by_e: Array
    by_i: Array
    by_ee: Array
    by_ei: Array
    by_ii: Array


def _expanded(rate: Callable[[Array, Array], Array], E: Array, I: Array, scale) -> _Expansion:  # noqa: E741
    """Return `rate(E, I)` and its exact derivatives, each times `scale` to the power of its order."""
    one, zero = jnp.ones_like(E), jnp.zeros_like(E)
    towards_e, towards_i = (one, zero), (zero, one)

    def slope(along):
        return lambda E, I: jax.jvp(rate, (E, I), along)[1]  # noqa: E741

    value = rate(E, I)
    by_e, by_ee = jax.jvp(slope(towards_e), (E, I), towards_e)
    by_i, by_ii = jax.jvp(slope(towards_i), (E, I), towards_i)
    by_ei = jax.jvp(slope(towards_e), (E, I), towards_i)[1]
    square = scale * scale
    return _Expansion(
        value, scale * by_e, scale * by_i, square * by_ee, square * by_ei, square * by_ii
    )


def _responses(state, inputs, p) -> tuple[Responses, Responses]:
    """Return the responses of both populations; the constant rates are within what is at least 0."""
    ou = p.weight_ou * state.ou
    onto_e = jax.nn.relu(inputs.E + ou + p.nu_ee)
    onto_i = jax.nn.relu(inputs.I + ou + p.nu_ie)
    return responses(state, p, onto_e, onto_i)


@node(
    state=ZerlautSecondOrderState,
    params=ZerlautSecondOrderParams,
    states={
        **{"E": "kHz", "I": "kHz"},
        **dict.fromkeys(["C_ee", "C_ei", "C_ii"], "kHz^2"),
        **{"W_e": "pA", "W_i": "pA", "ou": "kHz"},
    },
    inputs={"E": "kHz", "I": "kHz"},
    coupled=[("E", "E"), ("E", "I")],
    ranges={
        **{"E": (0.001, 0.25), "I": (0.001, 0.25)},
        **{"C_ee": (0.0, 5e-4), "C_ei": (-5e-4, 5e-4), "C_ii": (0.0, 5e-4)},
        **RANGES,
    },
    bounds={"E": (0.0, None), "I": (0.0, None)},
    implied=["mV", "ms"],
    auxiliary={
        "potential_e": lambda state, inputs, p: _responses(state, inputs, p)[0].potential,
        "potential_i": lambda state, inputs, p: _responses(state, inputs, p)[1].potential,
    },
)
def zerlaut_second_order(
    state: ZerlautSecondOrderState, inputs, params: ZerlautSecondOrderParams
) -> ZerlautSecondOrderState:
    r"""Compute the rates of change of the rates of a finite number of neurons, and of their covariances.

    $T\dot\nu_x = F_x - \nu_x + \frac12\sum_{yz} C_{yz}\,\partial_y\partial_z F_x$,
    $T\dot C_{xy} = A_{xy} + (F_x - \nu_x)(F_y - \nu_y) - 2C_{xy}
    + \sum_z (C_{yz}\,\partial_z F_x + C_{xz}\,\partial_z F_y)$,
    for $x, y, z$ among e and i, where $\nu_e = E$ and $\nu_i = I$. $A_{xx} = F_x(1/T - F_x)/N_x$ and
    $A_{ei} = 0$ are the chance that a finite population adds. The transfer functions F, the adaptation,
    `ou` and the inputs are those of `zerlaut_first_order`, whose rates these are for $C = 0$;
    $\partial_z$ is by $\nu_z$, and exact. Only the drive is $f = [I + w_oo + \nu]_+$ here: the constant
    rate counts before it is kept at 0 or above, as in The Virtual Brain's second order and not in
    its first. Couple with `AdditiveCoupling`, as there.

    The expansion holds for small fluctuations about a stable state. Far from one, as where a silent
    region gets a sudden drive, slopes of F above 1 make C grow without bound: start near a rest, and
    see `simulate(check="finite")`. With the defaults and `nu_ee = nu_ie = 0.002` E comes to rest at
    1.136e-3 kHz, 1 % above the first order.

    Args:
        state: E, I [kHz], C_ee, C_ei, C_ii [kHz^2], W_e, W_i [pA], ou [kHz].
        inputs: E, I, excitatory rates from outside onto both populations. [kHz]
        params: `ZerlautSecondOrderParams`.

    Auxiliary:
        potential_e: $\mu_e$, the mean potential of excitatory neurons. [mV]
        potential_i: $\mu_i$, that of inhibitory neurons. [mV]

    Source:
        S. El Boustani and A. Destexhe, Neural Comput. 21 (2009) 46-100, for the equations of $\nu$ and
        C, with the transfer functions and adaptation of M. di Volo, A. Romagnoni, C. Capone and A.
        Destexhe, Neural Comput. 31 (2019) 653-680. The Virtual Brain 2.10 differs in two places, as its
        answers to chosen states show. Its derivatives are per Hz while its rates and covariances are in
        kHz: a thousandth of these, or a millionth for second ones, so that its rates come to rest where
        those of the first order do, to 1e-7. `derivative_scale=0.001` is that, to 2e-10 of the largest
        rate of change. And in the equation of C_ei its sum is $C_{ee}\partial_e F_e
        + C_{ei}(\partial_i F_e + \partial_e F_i) + C_{ii}\partial_i F_i$, where the covariance of a
        linear process has the sum above: at that scale the rate of change of C_ei differs by up to 6e-4.

    Example:
        >>> silent = cf.nodes.ZerlautSecondOrderState(*jnp.array([[0.0]] * 3 + [[2e-9]] + [[0.0]] * 4))
        >>> no_input = cf.nodes.ZerlautSecondOrderState(*jnp.zeros((8, 1)))
        >>> params = cf.nodes.ZerlautSecondOrderParams(derivative_scale=0.0)
        >>> rate = cf.nodes.zerlaut_second_order(silent, no_input, params)
        >>> round(float(rate.C_ei[0]) * 1e10, 6)  # -2 C_ei / T
        -2.0
    """
    p, scale = params, params.derivative_scale
    E, I, ee, ei, ii = state[:5]  # noqa: E741
    both = _responses(state, inputs, p)

    def of(x):
        def rate(E, I):  # noqa: E741
            return _responses(state._replace(E=E, I=I), inputs, p)[x].rate

        return _expanded(rate, E, I, scale)

    e, i = of(0), of(1)
    off_e, off_i = e.rate - E, i.rate - I
    return ZerlautSecondOrderState(
        (off_e + (ee * e.by_ee + 2 * ei * e.by_ei + ii * e.by_ii) / 2) / p.T,
        (off_i + (ee * i.by_ee + 2 * ei * i.by_ei + ii * i.by_ii) / 2) / p.T,
        (_finite(p, e.rate, p.N_e) + off_e**2 + 2 * (ee * e.by_e + ei * e.by_i - ee)) / p.T,
        (off_e * off_i + ei * (e.by_e + i.by_i - 2) + ii * e.by_i + ee * i.by_e) / p.T,
        (_finite(p, i.rate, p.N_i) + off_i**2 + 2 * (ei * i.by_e + ii * i.by_i - ii)) / p.T,
        *adapted(state, p, *both),
    )


def _finite(p, rate, neurons):
    """Return the variance that chance adds, of so many neurons that fire or do not within T [kHz^2]."""
    return rate * (1 / p.T - rate) / neurons
