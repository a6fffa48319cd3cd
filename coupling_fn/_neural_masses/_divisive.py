"""Wilson–Cowan with divisive normalisation: inhibition divides the drive."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._wilson_cowan import _response


class WilsonCowanDivisiveState(NamedTuple):
    """State of `wilson_cowan_divisive`, one value per region each: `(region,)`.

    Attributes:
        E: active fraction of the excitatory population. [1]
        I: active fraction of the inhibitory population. [1]

    Example:
        >>> cf.nodes.WilsonCowanDivisiveState(E=jnp.zeros(2), I=jnp.zeros(2)).E.shape
        (2,)
    """

    E: Array
    I: Array  # noqa: E741  (the model's name for it)


class WilsonCowanDivisiveParams(eqx.Module):
    """Parameters of `wilson_cowan_divisive`, each a scalar or one value per region, `(region,)`.

    Attributes:
        c_ee: weight from E onto E. [1]
        c_ei: weight with which I divides the drive of E. [1]
        c_ie: weight from E onto I. [1]
        c_ii: weight with which I divides the drive of I. [1]
        sigma_e: what divides the drive of E where I is silent, the semi-saturation. [1]
        sigma_i: what divides the drive of I where I is silent. [1]
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
        shift: how much of the response without drive is subtracted: all of it (1) as by Wilson and
            Cowan, or none (0), which leaves a plain logistic function. [1]

    Example:
        >>> cf.nodes.WilsonCowanDivisiveParams(sigma_e=2.0).sigma_e.item()
        2.0
    """

    c_ee: Scalar | PerTarget = parameter("c_ee", 16.0, "1")
    c_ei: Scalar | PerTarget = parameter("c_ei", 12.0, "1")
    c_ie: Scalar | PerTarget = parameter("c_ie", 15.0, "1")
    c_ii: Scalar | PerTarget = parameter("c_ii", 3.0, "1")
    sigma_e: Scalar | PerTarget = parameter("sigma_e", 1.0, "1")
    sigma_i: Scalar | PerTarget = parameter("sigma_i", 1.0, "1")
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


def _drive_e(state, inputs, p):
    """Return the normalised drive of the excitatory population [1]."""
    return (p.c_ee * state.E + p.P + inputs.E) / (p.sigma_e + p.c_ei * state.I)


def _drive_i(state, inputs, p):
    """Return the normalised drive of the inhibitory population [1]."""
    return (p.c_ie * state.E + p.Q + inputs.I) / (p.sigma_i + p.c_ii * state.I)


@node(
    state=WilsonCowanDivisiveState,
    params=WilsonCowanDivisiveParams,
    states={"E": "1", "I": "1"},
    inputs={"E": "1", "I": "1"},
    ranges={"E": (0.0, 1.0), "I": (0.0, 1.0)},
    auxiliary={"drive_e": _drive_e, "drive_i": _drive_i},
)
def wilson_cowan_divisive(
    state: WilsonCowanDivisiveState, inputs, params: WilsonCowanDivisiveParams
) -> WilsonCowanDivisiveState:
    r"""Compute the rates of change of an excitatory population and of an inhibitory one that divides.

    $\tau_e\dot E = -E + (k_e - r_e E)\, S_e\!\left(\frac{c_{ee}E + P + I_E}{\sigma_e + c_{ei}I}\right)$,
    $\tau_i\dot I = -I + (k_i - r_i I)\, S_i\!\left(\frac{c_{ie}E + Q + I_I}{\sigma_i +
    c_{ii}I}\right)$, with $S(x) = 1/(1 + e^{-a(x - b)}) - \mathrm{shift}/(1 + e^{ab})$: the responses
    of `wilson_cowan`, to a drive that inhibition divides where there it subtracts. By default E is
    coupled into E.

    The inputs enter the numerators, as drives: they are numbers, where an input to a rate of change is
    in 1/ms. At an I of $-\sigma/c$ a denominator is 0; no state within the ranges comes near.

    The first source has the division, for responses in a steady state; that it stands inside the
    responses of Wilson and Cowan, for both populations, is one of several ways to put them together,
    and with sigma of 1 and their other parameters as they are, it is this library's choice.

    Args:
        state: E, I, the fractions that are active. [1]
        inputs: E, I, drives. [1]
        params: `WilsonCowanDivisiveParams`.

    Auxiliary:
        drive_e: what S_e is taken of. [1]
        drive_i: what S_i is taken of. [1]

    Source:
        M. Carandini and D. J. Heeger, Nat. Rev. Neurosci. 13 (2012) 51-62, for the normalisation;
        H. R. Wilson and J. D. Cowan, Biophys. J. 12 (1972) 1-24, for the populations.

    Example:
        >>> state = cf.nodes.WilsonCowanDivisiveState(jnp.array([0.0]), jnp.array([0.25]))
        >>> no_input = cf.nodes.WilsonCowanDivisiveState(0.0, 0.0)
        >>> params = cf.nodes.WilsonCowanDivisiveParams(P=8.0)
        >>> cf.nodes.wilson_cowan_divisive.auxiliary["drive_e"](state, no_input, params).tolist()
        [2.0]
    """
    p, E, I = params, state.E, state.I  # noqa: E741
    response_e = _response(_drive_e(state, inputs, p), p.a_e, p.b_e, p.shift)
    response_i = _response(_drive_i(state, inputs, p), p.a_i, p.b_i, p.shift)
    return WilsonCowanDivisiveState(
        (-E + (p.k_e - p.r_e * E) * response_e) / p.tau_e,
        (-I + (p.k_i - p.r_i * I) * response_i) / p.tau_i,
    )
