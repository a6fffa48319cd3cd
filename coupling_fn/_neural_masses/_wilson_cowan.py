"""The Wilson–Cowan node: an excitatory and an inhibitory population."""

from typing import NamedTuple

import equinox as eqx
import jax
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class WilsonCowanState(NamedTuple):
    """State of `wilson_cowan`, one value per region each: `(region,)`.

    Attributes:
        E: active fraction of the excitatory population. [1]
        I: active fraction of the inhibitory population. [1]

    Example:
        >>> cf.nodes.WilsonCowanState(E=jnp.zeros(2), I=jnp.zeros(2)).E.shape
        (2,)
    """

    E: Array
    I: Array  # noqa: E741  (the model's name for it)


class WilsonCowanParams(eqx.Module):
    """Parameters of `wilson_cowan`, each a scalar or one value per region, `(region,)`.

    Attributes:
        c_ee: weight from E onto E. [1]
        c_ei: weight from I onto E. [1]
        c_ie: weight from E onto I. [1]
        c_ii: weight from I onto I. [1]
        tau_e: time constant of E. [ms]
        tau_i: time constant of I. [ms]
        a_e: steepness of the response of E. [1]
        b_e: threshold of the response of E. [1]
        a_i: steepness of the response of I. [1]
        b_i: threshold of the response of I. [1]
        P: constant drive of E. [1]
        Q: constant drive of I. [1]
        k_e: largest fraction of E that can respond. [1]
        k_i: largest fraction of I that can respond. [1]
        r_e: how much of the active fraction of E is refractory. [1]
        r_i: how much of the active fraction of I is refractory. [1]
        shift: how much of the response without drive is subtracted: all of it (1) as in the paper,
            or none (0), which leaves a plain logistic function. [1]

    Example:
        >>> cf.nodes.WilsonCowanParams(P=1.25).P.item()
        1.25
    """

    c_ee: Scalar | PerTarget = parameter("c_ee", 16.0, "1")
    c_ei: Scalar | PerTarget = parameter("c_ei", 12.0, "1")
    c_ie: Scalar | PerTarget = parameter("c_ie", 15.0, "1")
    c_ii: Scalar | PerTarget = parameter("c_ii", 3.0, "1")
    tau_e: Scalar | PerTarget = parameter("tau_e", 8.0, "ms")
    tau_i: Scalar | PerTarget = parameter("tau_i", 8.0, "ms")
    a_e: Scalar | PerTarget = parameter("a_e", 1.3, "1")
    b_e: Scalar | PerTarget = parameter("b_e", 4.0, "1")
    a_i: Scalar | PerTarget = parameter("a_i", 2.0, "1")
    b_i: Scalar | PerTarget = parameter("b_i", 3.7, "1")
    P: Scalar | PerTarget = parameter("P", 1.25, "1")
    Q: Scalar | PerTarget = parameter("Q", 0.0, "1")
    k_e: Scalar | PerTarget = parameter("k_e", 1.0, "1")
    k_i: Scalar | PerTarget = parameter("k_i", 1.0, "1")
    r_e: Scalar | PerTarget = parameter("r_e", 1.0, "1")
    r_i: Scalar | PerTarget = parameter("r_i", 1.0, "1")
    shift: Scalar | PerTarget = parameter("shift", 1.0, "1")


def _response(x, steepness, threshold, shift):
    """Return the fraction that responds to the drive `x`; with a shift of 1 it is 0 without drive."""
    idle = shift * jax.nn.sigmoid(-steepness * threshold)
    return jax.nn.sigmoid(steepness * (x - threshold)) - idle


def _response_e(state, inputs, p):
    """Return the response of the excitatory population [1]."""
    drive = p.c_ee * state.E - p.c_ei * state.I + p.P + inputs.E
    return _response(drive, p.a_e, p.b_e, p.shift)


def _response_i(state, inputs, p):
    """Return the response of the inhibitory population [1]."""
    drive = p.c_ie * state.E - p.c_ii * state.I + p.Q + inputs.I
    return _response(drive, p.a_i, p.b_i, p.shift)


@node(
    state=WilsonCowanState,
    params=WilsonCowanParams,
    states={"E": "1", "I": "1"},
    inputs={"E": "1", "I": "1"},
    ranges={"E": (0.0, 1.0), "I": (0.0, 1.0)},
    auxiliary={"response_e": _response_e, "response_i": _response_i},
)
def wilson_cowan(state: WilsonCowanState, inputs, params: WilsonCowanParams) -> WilsonCowanState:
    r"""Compute the rates of change of an excitatory and an inhibitory population.

    $\tau_e\dot E = -E + (k_e - r_e E)\, S_e(c_{ee}E - c_{ei}I + P + I_E)$, and
    $\tau_i\dot I = -I + (k_i - r_i I)\, S_i(c_{ie}E - c_{ii}I + Q + I_I)$, with
    $S(x) = 1/(1 + e^{-a(x - b)}) - \mathrm{shift}/(1 + e^{ab})$. By default E is coupled into E.

    The inputs enter inside the responses, as drives: they are numbers, where an input to a rate of
    change is in 1/ms.

    Args:
        state: E, I, the fractions that are active. [1]
        inputs: E, I, drives. [1]
        params: `WilsonCowanParams`.

    Auxiliary:
        response_e: S_e, the response of the excitatory population to its drive. [1]
        response_i: S_i, that of the inhibitory population. [1]

    Source:
        H. R. Wilson and J. D. Cowan, Biophys. J. 12 (1972) 1-24, eqs. 11-12, with the parameters
        of its fig. 11 (a limit cycle), k and r of 1, and tau of 8 ms.

    Example:
        >>> rest = cf.nodes.WilsonCowanState(jnp.array([0.0]), jnp.array([0.0]))
        >>> no_input = cf.nodes.WilsonCowanState(0.0, 0.0)
        >>> rate = cf.nodes.wilson_cowan(rest, no_input, cf.nodes.WilsonCowanParams(P=0.0))
        >>> rate.E.tolist()
        [0.0]
    """
    p, E, I = params, state.E, state.I  # noqa: E741
    return WilsonCowanState(
        (-E + (p.k_e - p.r_e * E) * _response_e(state, inputs, p)) / p.tau_e,
        (-I + (p.k_i - p.r_i * I) * _response_i(state, inputs, p)) / p.tau_i,
    )
