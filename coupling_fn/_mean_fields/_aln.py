"""The adaptive linear–nonlinear cascade (ALN): populations of adaptive exponential neurons by tables."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import Node, node
from ._aln_tables import AlnTables


class AlnState(NamedTuple):
    """State of `aln`, one value per region each: `(region,)`.

    Attributes:
        r_e: firing rate of the excitatory population, filtered. [kHz]
        r_i: firing rate of the inhibitory population, filtered. [kHz]
        mu_e: mean input of the excitatory population, filtered. [mV/ms]
        mu_i: mean input of the inhibitory population, filtered. [mV/ms]
        I_A: adaptation current of the excitatory population. [pA]
        s_ee: mean share of active synapses from the excitatory onto the excitatory population. [1]
        s_ei: likewise, from the inhibitory onto the excitatory population. [1]
        s_ie: likewise, from the excitatory onto the inhibitory population. [1]
        s_ii: likewise, from the inhibitory onto the inhibitory population. [1]
        v_ee: variance of s_ee over neurons. [1]
        v_ei: variance of s_ei. [1]
        v_ie: variance of s_ie. [1]
        v_ii: variance of s_ii. [1]

    Example:
        >>> cf.nodes.AlnState(*jnp.zeros((13, 2))).r_e.shape
        (2,)
    """

    r_e: Array
    r_i: Array
    mu_e: Array
    mu_i: Array
    I_A: Array
    s_ee: Array
    s_ei: Array
    s_ie: Array
    s_ii: Array
    v_ee: Array
    v_ei: Array
    v_ie: Array
    v_ii: Array


class AlnParams(eqx.Module):
    """Parameters of `aln`, each a scalar or one value per region, `(region,)`.

    The parameters of one neuron but those of its adaptation are in the tables. A name has its target
    first: c_ei is from the inhibitory onto the excitatory population.

    Attributes:
        c_ee: rise of the current per spike, where no synapse is active. [mV/ms]
        c_ei: likewise. [mV/ms]
        c_ie: likewise. [mV/ms]
        c_ii: likewise. [mV/ms]
        c_gl: likewise, of spikes from other regions. [mV/ms]
        J_ee: current where all synapses are active. [mV/ms]
        J_ei: likewise, negative. [mV/ms]
        J_ie: likewise. [mV/ms]
        J_ii: likewise, negative. [mV/ms]
        K_e: excitatory synapses per neuron, from its region. [1]
        K_i: inhibitory synapses per neuron. [1]
        K_gl: excitatory synapses per neuron from each other region. [1]
        tau_se: time constant of excitatory synapses. [ms]
        tau_si: time constant of inhibitory synapses. [ms]
        tau_de: mean delay of excitatory spikes, of which the delays are distributed exponentially. [ms]
        tau_di: mean delay of inhibitory spikes, likewise. [ms]
        local: how much of its own rates a region receives after these delays alone: 1, or 0 where
            self-connections with lags bring them. [1]
        mu_e_ext: mean external current of the excitatory population. [mV/ms]
        mu_i_ext: mean external current of the inhibitory population. [mV/ms]
        sigma_e_ext: its fluctuation from neuron to neuron. [mV/ms^0.5]
        sigma_i_ext: that of mu_i_ext. [mV/ms^0.5]
        C: membrane capacitance. [pF]
        g_L: leak conductance. [nS]
        a: adaptation by potential. [nS]
        b: adaptation added per spike. [pA]
        E_A: reversal potential of the adaptation. [mV]
        tau_A: time constant of the adaptation. [ms]

    Example:
        >>> cf.nodes.AlnParams(b=20.0).b.item()
        20.0
    """

    c_ee: Scalar | PerTarget = parameter("c_ee", 0.3, "mV/ms")
    c_ei: Scalar | PerTarget = parameter("c_ei", 0.5, "mV/ms")
    c_ie: Scalar | PerTarget = parameter("c_ie", 0.3, "mV/ms")
    c_ii: Scalar | PerTarget = parameter("c_ii", 0.5, "mV/ms")
    c_gl: Scalar | PerTarget = parameter("c_gl", 0.3, "mV/ms")
    J_ee: Scalar | PerTarget = parameter("J_ee", 2.43, "mV/ms")
    J_ei: Scalar | PerTarget = parameter("J_ei", -3.3, "mV/ms")
    J_ie: Scalar | PerTarget = parameter("J_ie", 2.6, "mV/ms")
    J_ii: Scalar | PerTarget = parameter("J_ii", -1.64, "mV/ms")
    K_e: Scalar | PerTarget = parameter("K_e", 800.0, "1")
    K_i: Scalar | PerTarget = parameter("K_i", 200.0, "1")
    K_gl: Scalar | PerTarget = parameter("K_gl", 250.0, "1")
    tau_se: Scalar | PerTarget = parameter("tau_se", 2.0, "ms")
    tau_si: Scalar | PerTarget = parameter("tau_si", 5.0, "ms")
    tau_de: Scalar | PerTarget = parameter("tau_de", 4.0, "ms")
    tau_di: Scalar | PerTarget = parameter("tau_di", 2.0, "ms")
    local: Scalar | PerTarget = parameter("local", 1.0, "1")
    mu_e_ext: Scalar | PerTarget = parameter("mu_e_ext", 0.4, "mV/ms")
    mu_i_ext: Scalar | PerTarget = parameter("mu_i_ext", 0.3, "mV/ms")
    sigma_e_ext: Scalar | PerTarget = parameter("sigma_e_ext", 1.5, "mV/ms^0.5")
    sigma_i_ext: Scalar | PerTarget = parameter("sigma_i_ext", 1.5, "mV/ms^0.5")
    C: Scalar | PerTarget = parameter("C", 200.0, "pF")
    g_L: Scalar | PerTarget = parameter("g_L", 10.0, "nS")
    a: Scalar | PerTarget = parameter("a", 0.0, "nS")
    b: Scalar | PerTarget = parameter("b", 0.0, "pA")
    E_A: Scalar | PerTarget = parameter("E_A", -80.0, "mV")
    tau_A: Scalar | PerTarget = parameter("tau_A", 200.0, "ms")


class _Arrived(NamedTuple):
    """Spikes at the synapses of one kind: times their strength z1 [1], and its square z2 [ms]."""

    z1: Array
    z2: Array


def _arrived(state, inputs, p):
    """Return what arrives at each kind of synapse: ee, ei, ie, ii."""

    def at(c, tau, J, K, rate, c_far=0.0, far=0.0, far_square=0.0):
        step, step_far = c * tau / jnp.abs(J), c_far * tau / jnp.abs(J)
        z1 = step * K * rate + step_far * p.K_gl * far
        return _Arrived(z1, step**2 * K * rate + step_far**2 * p.K_gl * far_square)

    rate_e, rate_i = p.local * state.r_e + inputs.r_e, p.local * state.r_i + inputs.r_i
    return (
        at(p.c_ee, p.tau_se, p.J_ee, p.K_e, rate_e, p.c_gl, inputs.far, inputs.far_square),
        at(p.c_ei, p.tau_si, p.J_ei, p.K_i, rate_i),
        at(p.c_ie, p.tau_se, p.J_ie, p.K_e, rate_e),
        at(p.c_ii, p.tau_si, p.J_ii, p.K_i, rate_i),
    )


def _sigma(p, external, excited, inhibited):
    """Return the fluctuation of the input from neuron to neuron [mV/ms^0.5]."""
    tau_m = p.C / p.g_L

    def part(J, v, tau, arrived):
        return 2 * J**2 * v * tau * tau_m / ((1 + arrived.z1) * tau_m + tau)

    return jnp.sqrt(part(*excited) + part(*inhibited) + external**2)


def _synapse(s, v, tau, arrived):
    """Return the rates of change of the mean and the variance of the share of active synapses [1/ms]."""
    z1, z2 = arrived
    return (
        ((1 - s) * z1 - s) / tau,
        ((1 - s) ** 2 * z2 + (z2 - 2 * tau * (z1 + 1)) * v) / tau**2,
    )


def aln(tables: AlnTables) -> Node:
    r"""Make the node of adaptive exponential integrate-and-fire neurons, excitatory and inhibitory.

    $\tau(\mu_e - I_A/C, \sigma_e)\,\dot\mu_e = J_{ee}s_{ee} + J_{ei}s_{ei} + \mu_{e,ext} + I - \mu_e$,
    likewise $\mu_i$ without $I_A$; $\tau_A\dot I_A = a(\bar V - E_A) - I_A + \tau_A b R_e$;
    $\tau_s\dot s = (1 - s) z_1 - s$, $\tau_s^2\dot v = (1 - s)^2 z_2 + (z_2 - 2\tau_s(z_1 + 1))v$, with
    $z_n = \hat c^n K r\ (+\ \hat c_{gl}^n K_{gl}\sum_j C_{ij}^n r_j$ for ee), $\hat c = c\tau_s/|J|$;
    $\sigma_e^2 = \sum 2J^2 v\tau_s\tau_m/((1 + z_1)\tau_m + \tau_s) + \sigma_{ext}^2$ over ee and ei,
    with $\tau_m = C/g_L$; $\tau_d\dot r = R - r$. R, $\bar V$ and $\tau$ are read from the tables by
    bilinear interpolation; beyond their ends they keep the values there.

    Four inputs are spikes: r_e and r_i of the region itself, where self-connections with lags bring them
    (then `local=0`); far, of other regions, into which r_e is coupled by default; and far_square, the
    same with squared weights, of which the variance is made: `Wire("r_e", into="far_square")` with the
    weights `conn**2`. Where nothing is wired into far_square, other regions add to the mean alone.
    Currents are mu_e and mu_i; the source's coloured noise is `cf.noise.Coloured`'s work, as a stimulus
    of the mean.

    The source, like neurolib, has local delays of 4 and 2 ms; neurolib offers exponentially distributed
    ones as an option, which are the default here because a rate that is a function of the tables and of
    the present input is no state that could be delayed. With tau_de and tau_di equal to dt, the scheme
    "euler", `local=0` and self-connections with lags of 4 and 2 ms it is neurolib's model to rounding.
    The variances must not be negative: `Network(bounds="node")` clips them, as neurolib does.

    Args:
        tables: rate, mean potential and time constant of the neurons: `load_aln_tables` reads those of
            neurolib, `AlnTables` holds your own.

    Returns:
        The node, with `AlnState` and `AlnParams`. Make it once: each call makes another node, for which
        programs are compiled anew. It is in no catalog, since it has no tables of its own.

    Raises:
        TypeError: if `tables` is no `AlnTables`.

    Source:
        C. Cakan and K. Obermayer, PLoS Comput. Biol. 16 (2020) e1007822; M. Augustin et al., PLoS
        Comput. Biol. 13 (2017) e1005545; with the parameters of neurolib 0.6.

    Example:
        >>> mu, sigma = jnp.linspace(0.0, 4.0, 5), jnp.linspace(1.0, 3.0, 3)
        >>> rate = 0.01 * jnp.outer(mu, jnp.ones(3))  # a line, for the example
        >>> tables = cf.nodes.AlnTables(mu, sigma, rate, -60.0 + 0 * rate, 10.0 + 0 * rate)
        >>> node = cf.nodes.aln(tables)
        >>> node.inputs, node.coupled
        (('far', 'far_square', 'r_e', 'r_i', 'mu_e', 'mu_i'), (('r_e', 'far'),))
        >>> state = cf.nodes.AlnState(*jnp.zeros((13, 1)))._replace(mu_i=jnp.array([1.5]))
        >>> no_input = type("Inputs", (), dict.fromkeys(node.inputs, 0.0))
        >>> round(node.auxiliary["rate_i"](state, no_input, cf.nodes.AlnParams()).item(), 6)
        0.015
    """
    if not isinstance(tables, AlnTables):
        raise TypeError(
            f"`tables` must be an AlnTables, as load_aln_tables returns it; got {type(tables).__name__}."
        )

    def excitatory(state, inputs, p):
        ee, ei, _, _ = _arrived(state, inputs, p)
        sources = (p.J_ee, state.v_ee, p.tau_se, ee), (p.J_ei, state.v_ei, p.tau_si, ei)
        return tables.read(state.mu_e - state.I_A / p.C, _sigma(p, p.sigma_e_ext, *sources))

    def inhibitory(state, inputs, p):
        _, _, ie, ii = _arrived(state, inputs, p)
        sources = (p.J_ie, state.v_ie, p.tau_se, ie), (p.J_ii, state.v_ii, p.tau_si, ii)
        return tables.read(state.mu_i, _sigma(p, p.sigma_i_ext, *sources))

    @node(
        state=AlnState,
        params=AlnParams,
        states={
            **dict.fromkeys(("r_e", "r_i"), "kHz"),
            **dict.fromkeys(("mu_e", "mu_i"), "mV/ms"),
            "I_A": "pA",
            **dict.fromkeys(AlnState._fields[5:], "1"),
        },
        inputs={
            "far": "kHz",
            "far_square": "kHz",
            "r_e": "kHz",
            "r_i": "kHz",
            "mu_e": "mV/ms",
            "mu_i": "mV/ms",
        },
        coupled=[("r_e", "far")],
        ranges={
            **dict.fromkeys(("r_e", "r_i"), (0.0, 0.05)),
            **dict.fromkeys(("mu_e", "mu_i"), (0.0, 2.0)),
            "I_A": (0.0, 100.0),
            **dict.fromkeys(AlnState._fields[5:9], (0.0, 0.5)),
            **dict.fromkeys(AlnState._fields[9:], (0.0, 0.005)),
        },
        bounds=dict.fromkeys(AlnState._fields[9:], (0.0, None)),
        implied=["mV", "ms"],  # of the tables, whose numbers stand in the program
        auxiliary={
            "rate_e": lambda state, inputs, p: excitatory(state, inputs, p).rate,
            "rate_i": lambda state, inputs, p: inhibitory(state, inputs, p).rate,
        },
    )
    def aln(state: AlnState, inputs, params: AlnParams) -> AlnState:
        p, x = params, state
        ee, ei, ie, ii = _arrived(x, inputs, p)
        e, i = excitatory(x, inputs, p), inhibitory(x, inputs, p)
        drive_e = p.J_ee * x.s_ee + p.J_ei * x.s_ei + p.mu_e_ext + inputs.mu_e
        drive_i = p.J_ie * x.s_ie + p.J_ii * x.s_ii + p.mu_i_ext + inputs.mu_i
        s_ee, v_ee = _synapse(x.s_ee, x.v_ee, p.tau_se, ee)
        s_ei, v_ei = _synapse(x.s_ei, x.v_ei, p.tau_si, ei)
        s_ie, v_ie = _synapse(x.s_ie, x.v_ie, p.tau_se, ie)
        s_ii, v_ii = _synapse(x.s_ii, x.v_ii, p.tau_si, ii)
        return AlnState(
            (e.rate - x.r_e) / p.tau_de,
            (i.rate - x.r_i) / p.tau_di,
            (drive_e - x.mu_e) / e.tau,
            (drive_i - x.mu_i) / i.tau,
            (p.a * (e.V - p.E_A) - x.I_A) / p.tau_A + p.b * e.rate,
            s_ee,
            s_ei,
            s_ie,
            s_ii,
            v_ee,
            v_ei,
            v_ie,
            v_ii,
        )

    return aln
