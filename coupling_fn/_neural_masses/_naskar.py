"""Multiscale dynamic mean field: gating by glutamate and GABA, with plastic inhibition."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._wong_wang import _fired


class NaskarState(NamedTuple):
    """State of `naskar`, one value per region each: `(region,)`.

    Attributes:
        S_e: excitatory gating, the share of NMDA receptors that are open. [1]
        S_i: inhibitory gating, the share of GABA receptors that are open. [1]
        J: strength of the feedback inhibition, which is plastic. [nA]

    Example:
        >>> cf.nodes.NaskarState(S_e=jnp.zeros(2), S_i=jnp.zeros(2), J=jnp.ones(2)).J.shape
        (2,)
    """

    S_e: Array
    S_i: Array
    J: Array


class NaskarParams(eqx.Module):
    """Parameters of `naskar`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a_e: gain of the excitatory response. [kHz/nA]
        b_e: threshold of the excitatory response. [kHz]
        d_e: curvature of the excitatory response. [ms]
        alpha_e: gating that a pulse of 1 ms of glutamate opens, per mM. [m^3/mol]
        beta_e: rate at which NMDA receptors close. [1/ms]
        T_glu: concentration of glutamate, in mM. [mol/m^3]
        w_p: strength of the excitatory recurrence. [1]
        W_e: share of the constant input that reaches the excitatory population. [1]
        a_i: gain of the inhibitory response. [kHz/nA]
        b_i: threshold of the inhibitory response. [kHz]
        d_i: curvature of the inhibitory response. [ms]
        alpha_i: gating that a pulse of 1 ms of GABA opens, per mM. [m^3/mol]
        beta_i: rate at which GABA receptors close. [1/ms]
        T_gaba: concentration of GABA, in mM. [mol/m^3]
        W_i: share of the constant input that reaches the inhibitory population. [1]
        J_N: excitatory synaptic coupling. [nA]
        I_0: constant input. [nA]
        I_ext: further input to the excitatory population. [nA]
        gamma: speed of the plasticity; 0 leaves J as it is. [nA ms]
        rho: rate of the excitatory population that the plasticity keeps. [kHz]

    Example:
        >>> cf.nodes.NaskarParams(T_gaba=2.5).T_gaba.item()
        2.5
    """

    a_e: Scalar | PerTarget = parameter("a_e", 0.310, "kHz/nA")
    b_e: Scalar | PerTarget = parameter("b_e", 0.125, "kHz")
    d_e: Scalar | PerTarget = parameter("d_e", 160.0, "ms")
    alpha_e: Scalar | PerTarget = parameter("alpha_e", 0.072, "m^3/mol")
    beta_e: Scalar | PerTarget = parameter("beta_e", 0.0066, "1/ms")
    T_glu: Scalar | PerTarget = parameter("T_glu", 7.46, "mol/m^3")
    w_p: Scalar | PerTarget = parameter("w_p", 1.4, "1")
    W_e: Scalar | PerTarget = parameter("W_e", 1.0, "1")
    a_i: Scalar | PerTarget = parameter("a_i", 0.615, "kHz/nA")
    b_i: Scalar | PerTarget = parameter("b_i", 0.177, "kHz")
    d_i: Scalar | PerTarget = parameter("d_i", 87.0, "ms")
    alpha_i: Scalar | PerTarget = parameter("alpha_i", 0.53, "m^3/mol")
    beta_i: Scalar | PerTarget = parameter("beta_i", 0.18, "1/ms")
    T_gaba: Scalar | PerTarget = parameter("T_gaba", 1.82, "mol/m^3")
    W_i: Scalar | PerTarget = parameter("W_i", 0.7, "1")
    J_N: Scalar | PerTarget = parameter("J_N", 0.15, "nA")
    I_0: Scalar | PerTarget = parameter("I_0", 0.382, "nA")
    I_ext: Scalar | PerTarget = parameter("I_ext", 0.0, "nA")
    gamma: Scalar | PerTarget = parameter("gamma", 1.0, "nA ms")
    rho: Scalar | PerTarget = parameter("rho", 0.003, "kHz")


def _current_e(state, inputs, p):
    """Return the current into the excitatory population [nA]."""
    own = p.w_p * p.J_N * state.S_e - state.J * state.S_i
    return own + p.W_e * p.I_0 + p.I_ext + p.J_N * inputs.S_e


def _current_i(state, inputs, p):
    """Return the current into the inhibitory population [nA]."""
    return p.J_N * state.S_e - state.S_i + p.W_i * p.I_0 + p.J_N * inputs.S_i


def _rate_e(state, inputs, p):
    """Return the firing rate of the excitatory population [kHz]."""
    return _fired(_current_e(state, inputs, p), p.a_e, p.b_e, p.d_e)


def _rate_i(state, inputs, p):
    """Return the firing rate of the inhibitory population [kHz]."""
    return _fired(_current_i(state, inputs, p), p.a_i, p.b_i, p.d_i)


@node(
    state=NaskarState,
    params=NaskarParams,
    states={"S_e": "1", "S_i": "1", "J": "nA"},
    inputs={"S_e": "1", "S_i": "1"},
    coupled=[("S_e", "S_e")],
    ranges={"S_e": (0.0, 1.0), "S_i": (0.0, 0.3), "J": (0.5, 2.5)},
    bounds={"S_e": (0.0, 1.0), "S_i": (0.0, 1.0)},
    implied=["nA"],
    auxiliary={
        "current_e": _current_e,
        "current_i": _current_i,
        "rate_e": _rate_e,
        "rate_i": _rate_i,
    },
)
def naskar(state: NaskarState, inputs, params: NaskarParams) -> NaskarState:
    r"""Compute the rates of change of gating by glutamate and GABA, and of the inhibition.

    This is the multiscale dynamic mean field (MDMF):
    $\dot S_e = -\beta_e S_e + \alpha_e T_{glu}(1 - S_e)\, r_e$,
    $\dot S_i = -\beta_i S_i + \alpha_i T_{gaba}(1 - S_i)\, r_i$, $\dot J = \gamma r_i (r_e - \rho)$,
    with $r_e = H_e(w_p J_N S_e - J S_i + W_e I_0 + I_{ext} + J_N I_{S_e})$,
    $r_i = H_i(J_N S_e - S_i + W_i I_0 + J_N I_{S_i})$ and $H(x) = (a x - b)/(1 - e^{-d(a x - b)})$.

    The inputs enter inside the responses, times $J_N$. By default S_e is coupled into S_e. The
    plasticity of J keeps every region at the rate rho, whatever it receives; at the default gamma it
    takes minutes to settle, so raise gamma or start from a J that a run ended with. The source states
    rates of binding, alpha, per ms and rates of firing per second, and leaves out how long a spike's
    pulse of transmitter lasts; it is 1 ms here, which is what its simulations have. Its learning rate
    is 1 without a unit, 1 nA ms here.

    Args:
        state: S_e, S_i [1], J [nA].
        inputs: S_e, S_i, the gating that a region receives. [1]
        params: `NaskarParams`.

    Auxiliary:
        current_e: what H_e is taken of. [nA]
        current_i: what H_i is taken of. [nA]
        rate_e: r_e, the firing rate of the excitatory population. [kHz]
        rate_i: r_i, that of the inhibitory population. [kHz]

    Source:
        A. Naskar et al., Netw. Neurosci. 5 (2021) 757-782, in kHz and ms here.

    Example:
        >>> state = cf.nodes.NaskarState(jnp.ones(1), jnp.ones(1), jnp.ones(1))
        >>> no_input = cf.nodes.NaskarState(0.0, 0.0, 0.0)
        >>> params = cf.nodes.NaskarParams(gamma=0.0, beta_e=0.015625)
        >>> cf.nodes.naskar(state, no_input, params).S_e.tolist()
        [-0.015625]
    """
    p, (S_e, S_i, _) = params, state
    rate_e, rate_i = _rate_e(state, inputs, p), _rate_i(state, inputs, p)
    return NaskarState(
        -p.beta_e * S_e + p.alpha_e * p.T_glu * (1 - S_e) * rate_e,
        -p.beta_i * S_i + p.alpha_i * p.T_gaba * (1 - S_i) * rate_i,
        p.gamma * rate_i * (rate_e - p.rho),
    )
