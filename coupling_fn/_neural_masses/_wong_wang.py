"""Wong–Wang nodes: the synaptic gating of one population, or of an excitatory and an inhibitory one."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array, lax

from .._core import PerTarget, Scalar, parameter
from .._node import node

# The coefficients of the even part of x / (1 - exp(-x)) in powers of x^2, B_2n / (2n)!, with the
# Bernoulli numbers B_2n.
_EVEN = (1, 1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)


def _fraction(x):
    """Return numerator and denominator of the soft ramp x / (1 - exp(-x)), exact also at 0."""
    # Near 0 the series is used, with as many terms as the precision has digits. It reaches far enough
    # that beyond it 1 - exp(-x) keeps its digits.
    near, coefficients = jnp.abs(x) < 0.15, _EVEN if x.dtype == jnp.float64 else _EVEN[:3]
    square, even = jnp.minimum(x * x, 0.0225), coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        even = coefficient + square * even
    fall = jnp.exp(jnp.minimum(-x, 80.0))  # above 80 the ramp is 0 and exp overflows
    return jnp.where(near, x / 2 + even, x), jnp.where(near, 1.0, 1 - fall)


def _ramp(x):
    """Return the soft ramp."""
    numerator, denominator = _fraction(x)
    return numerator / denominator


def _fired(current, a, b, d):
    """Return the firing rate [kHz] at an input current [nA]."""
    numerator, denominator = _fraction(d * (a * current - b))
    return numerator / (d * denominator)  # a second division would cost as much as the exponential


def _reduced_current(state, inputs, p):
    """Return the input current [nA]."""
    return p.w * p.J_N * state.S + p.I_0 + p.J_N * inputs.S


def _reduced_rate(state, inputs, p):
    """Return the firing rate [kHz]."""
    return _fired(_reduced_current(state, inputs, p), p.a, p.b, p.d)


class ReducedWongWangState(NamedTuple):
    """State of `reduced_wong_wang`, one value per region: `(region,)`.

    Attributes:
        S: gating, the share of synaptic channels that are open. [1]

    Example:
        >>> cf.nodes.ReducedWongWangState(S=jnp.zeros(2)).S.shape
        (2,)
    """

    S: Array


class ReducedWongWangParams(eqx.Module):
    """Parameters of `reduced_wong_wang`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: gain of the response. [kHz/nA]
        b: threshold of the response. [kHz]
        d: curvature of the response. [ms]
        gamma: gating added per spike. [1]
        tau: time constant of the gating. [ms]
        w: strength of the recurrence. [1]
        J_N: synaptic coupling. [nA]
        I_0: constant input. [nA]

    Example:
        >>> cf.nodes.ReducedWongWangParams(w=0.9).w.item()
        0.9...
    """

    a: Scalar | PerTarget = parameter("a", 0.270, "kHz/nA")
    b: Scalar | PerTarget = parameter("b", 0.108, "kHz")
    d: Scalar | PerTarget = parameter("d", 154.0, "ms")
    gamma: Scalar | PerTarget = parameter("gamma", 0.641, "1")
    tau: Scalar | PerTarget = parameter("tau", 100.0, "ms")
    w: Scalar | PerTarget = parameter("w", 0.6, "1")
    J_N: Scalar | PerTarget = parameter("J_N", 0.2609, "nA")
    I_0: Scalar | PerTarget = parameter("I_0", 0.33, "nA")


@node(
    state=ReducedWongWangState,
    params=ReducedWongWangParams,
    states={"S": "1"},
    inputs={"S": "1"},
    ranges={"S": (0.0, 1.0)},
    bounds={"S": (0.0, 1.0)},
    auxiliary={"current": _reduced_current, "rate": _reduced_rate},
)
def reduced_wong_wang(
    state: ReducedWongWangState, inputs, params: ReducedWongWangParams
) -> ReducedWongWangState:
    r"""Compute the rate of change of the gating of one population that excites itself.

    This is the dynamic mean field of one population with slow synapses:
    $\dot S = -S/\tau + (1 - S)\, \gamma H(w J_N S + I_0 + J_N I_S)$, with
    $H(x) = (a x - b) / (1 - e^{-d (a x - b)})$.

    The input enters inside the response, times $J_N$. By default S is coupled into S: couple with
    `AdditiveCoupling`.

    Args:
        state: S. [1]
        inputs: S, the gating that a region receives. [1]
        params: `ReducedWongWangParams`.

    Auxiliary:
        current: what H is taken of. [nA]
        rate: H, the firing rate. [kHz]

    Source:
        G. Deco et al., J. Neurosci. 33 (2013) 11239-11252, in kHz and ms here. The defaults of
        w = 0.6 and I_0 = 0.33 nA are The Virtual Brain's (0.9 and 0.3 nA in the paper).

    Example:
        >>> S, no_input = (cf.nodes.ReducedWongWangState(jnp.array([x])) for x in (0.5, 0.0))
        >>> params = cf.nodes.ReducedWongWangParams(gamma=0.0, tau=64.0)
        >>> cf.nodes.reduced_wong_wang(S, no_input, params).S.tolist()
        [-0.0078125]
    """
    p, S = params, state.S
    return ReducedWongWangState(
        -S / p.tau + (1 - S) * p.gamma * _reduced_rate(state, inputs, params)
    )


class WongWangExcInhState(NamedTuple):
    """State of `wong_wang_exc_inh`, one value per region each: `(region,)`.

    Attributes:
        S_e: excitatory gating, the share of channels that are open. [1]
        S_i: inhibitory gating, likewise. [1]

    Example:
        >>> cf.nodes.WongWangExcInhState(S_e=jnp.zeros(2), S_i=jnp.zeros(2)).S_e.shape
        (2,)
    """

    S_e: Array
    S_i: Array


class WongWangExcInhParams(eqx.Module):
    """Parameters of `wong_wang_exc_inh`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a_e: gain of the excitatory response. [kHz/nA]
        b_e: threshold of the excitatory response. [kHz]
        d_e: curvature of the excitatory response. [ms]
        gamma_e: excitatory gating added per spike. [1]
        tau_e: time constant of the excitatory gating. [ms]
        w_p: strength of the excitatory recurrence. [1]
        W_e: share of the constant input that reaches the excitatory population. [1]
        a_i: gain of the inhibitory response. [kHz/nA]
        b_i: threshold of the inhibitory response. [kHz]
        d_i: curvature of the inhibitory response. [ms]
        gamma_i: inhibitory gating added per spike. [1]
        tau_i: time constant of the inhibitory gating. [ms]
        W_i: share of the constant input that reaches the inhibitory population. [1]
        J_N: excitatory synaptic coupling. [nA]
        J_i: strength of the feedback inhibition; `cf.balance_inhibition` computes it. [nA]
        I_0: constant input. [nA]
        I_ext: further input to the excitatory population. [nA]

    Example:
        >>> cf.nodes.WongWangExcInhParams(J_i=jnp.array([1.0, 1.2])).J_i.shape
        (2,)
    """

    a_e: Scalar | PerTarget = parameter("a_e", 0.310, "kHz/nA")
    b_e: Scalar | PerTarget = parameter("b_e", 0.125, "kHz")
    d_e: Scalar | PerTarget = parameter("d_e", 160.0, "ms")
    gamma_e: Scalar | PerTarget = parameter("gamma_e", 0.641, "1")
    tau_e: Scalar | PerTarget = parameter("tau_e", 100.0, "ms")
    w_p: Scalar | PerTarget = parameter("w_p", 1.4, "1")
    W_e: Scalar | PerTarget = parameter("W_e", 1.0, "1")
    a_i: Scalar | PerTarget = parameter("a_i", 0.615, "kHz/nA")
    b_i: Scalar | PerTarget = parameter("b_i", 0.177, "kHz")
    d_i: Scalar | PerTarget = parameter("d_i", 87.0, "ms")
    gamma_i: Scalar | PerTarget = parameter("gamma_i", 1.0, "1")
    tau_i: Scalar | PerTarget = parameter("tau_i", 10.0, "ms")
    W_i: Scalar | PerTarget = parameter("W_i", 0.7, "1")
    J_N: Scalar | PerTarget = parameter("J_N", 0.15, "nA")
    J_i: Scalar | PerTarget = parameter("J_i", 1.0, "nA")
    I_0: Scalar | PerTarget = parameter("I_0", 0.382, "nA")
    I_ext: Scalar | PerTarget = parameter("I_ext", 0.0, "nA")


def _current_e(state, inputs, p):
    """Return the current into the excitatory population [nA]."""
    S_e, S_i = state.S_e, state.S_i
    return p.w_p * p.J_N * S_e - p.J_i * S_i + p.W_e * p.I_0 + p.I_ext + p.J_N * inputs.S_e


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
    state=WongWangExcInhState,
    params=WongWangExcInhParams,
    states={"S_e": "1", "S_i": "1"},
    inputs={"S_e": "1", "S_i": "1"},
    coupled=[("S_e", "S_e")],
    ranges={"S_e": (0.0, 1.0), "S_i": (0.0, 1.0)},
    bounds={"S_e": (0.0, 1.0), "S_i": (0.0, 1.0)},
    implied=["nA"],
    auxiliary={
        "current_e": _current_e,
        "current_i": _current_i,
        "rate_e": _rate_e,
        "rate_i": _rate_i,
    },
)
def wong_wang_exc_inh(
    state: WongWangExcInhState, inputs, params: WongWangExcInhParams
) -> WongWangExcInhState:
    r"""Compute the rates of change of the gating of an excitatory and an inhibitory population.

    This is the dynamic mean field of both:
    $\dot S_e = -S_e/\tau_e
    + (1 - S_e)\, \gamma_e H_e(w_p J_N S_e - J_i S_i + W_e I_0 + I_{ext} + J_N I_{S_e})$,
    $\dot S_i = -S_i/\tau_i + \gamma_i H_i(J_N S_e - S_i + W_i I_0 + J_N I_{S_i})$, with
    $H(x) = (a x - b) / (1 - e^{-d (a x - b)})$.

    The inputs enter inside the responses, times $J_N$. By default S_e is coupled into S_e; feedforward
    inhibition is a second coupling, `Wire("S_e", into="S_i")`. `cf.balance_inhibition` computes the J_i
    at which every region fires at one low rate, whatever it receives.

    Args:
        state: S_e, S_i. [1]
        inputs: S_e, S_i, the gating that a region receives. [1]
        params: `WongWangExcInhParams`.

    Auxiliary:
        current_e: what H_e is taken of. [nA]
        current_i: what H_i is taken of. [nA]
        rate_e: H_e, the firing rate of the excitatory population. [kHz]
        rate_i: H_i, that of the inhibitory population. [kHz]

    Source:
        G. Deco et al., J. Neurosci. 34 (2014) 7886-7898, in kHz and ms here.
        The Virtual Brain's DecoBalancedExcInh is this node, with its gain M_i as a factor of a_e, b_e,
        a_i and b_i.

    Example:
        >>> state = cf.nodes.WongWangExcInhState(jnp.ones(1), jnp.ones(1))
        >>> no_input = cf.nodes.WongWangExcInhState(0.0, 0.0)
        >>> params = cf.nodes.WongWangExcInhParams(gamma_i=0.0, tau_e=64.0, tau_i=8.0)
        >>> rate = cf.nodes.wong_wang_exc_inh(state, no_input, params)
        >>> rate.S_e.tolist(), rate.S_i.tolist()
        ([-0.015625], [-0.125])
    """
    p, (S_e, S_i) = params, state
    return WongWangExcInhState(
        -S_e / p.tau_e + (1 - S_e) * p.gamma_e * _rate_e(state, inputs, p),
        -S_i / p.tau_i + p.gamma_i * _rate_i(state, inputs, p),
    )


class ExcitatoryRest(NamedTuple):
    """What the excitatory population of `wong_wang_exc_inh` is like where it fires at a steady rate.

    Attributes:
        S_e: its gating. [1]
        current: the current that it receives. [nA]
    """

    S_e: Array
    current: Array


def excitatory_rest(p: WongWangExcInhParams, rate: Any) -> ExcitatoryRest:
    """Return the gating and the current at which the excitatory population fires at a rate [kHz]."""
    driven = p.tau_e * p.gamma_e * rate
    # The ramp is convex and lies above x, so that Newton's method descends to the root from here. Far
    # below 0 it falls like exp(x), where each step is one of 1.
    wanted = p.d_e * rate

    def step(_, x):
        return x - (_ramp(x) - wanted) / _slope(x)

    x = lax.fori_loop(0, 24, step, wanted)
    return ExcitatoryRest(driven / (1 + driven), (x / p.d_e + p.b_e) / p.a_e)


def inhibitory_rest(p: WongWangExcInhParams, S_e: Array, received: Any) -> Array:
    """Return the inhibitory gating that belongs to an excitatory one and the input S_i [1]."""
    gain = p.tau_i * p.gamma_i
    drive = p.J_N * S_e + p.W_i * p.I_0 + p.J_N * received

    def step(_, S_i):
        excess = S_i - gain * _fired(drive - S_i, p.a_i, p.b_i, p.d_i)
        slope = 1 + gain * p.a_i * _slope(p.d_i * (p.a_i * (drive - S_i) - p.b_i))
        return S_i - excess / slope

    # From 0 Newton's method ascends to the root.
    return lax.fori_loop(0, 12, step, jnp.zeros_like(drive))


def _slope(x):
    """Return the derivative of the ramp r, r' = r (1 + 1/x - r/x), by its series where that is 0 / 0."""
    near = jnp.abs(x) < 0.01
    safe = jnp.where(near, 1.0, x)
    ramp = _ramp(safe)
    return jnp.where(near, 0.5 + x / 6 - x**3 / 180, ramp * (1 + (1 - ramp) / safe))
