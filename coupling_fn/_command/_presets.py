"""A setting of each node model in which k decides the dynamics, for `python -m coupling_fn --node`."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array

import coupling_fn as cf

from ._mean_field_presets import MEAN_FIELDS
from ._preset import Preset


def _angle(state: Any) -> Array:
    return jnp.atan2(state.y, state.x)


_OSCILLATOR: dict[str, Any] = {"rest": {"x": 0.0, "y": 0.0}, "phase": _angle}
_ROTOR: dict[str, Any] = {
    "rest": {"theta": 0.0},
    "coupling": cf.KuramotoCoupling,
    "signal": lambda state: jnp.sin(state.theta),
    "phase": lambda state: state.theta,
}
_PYRAMIDAL: dict[str, Any] = {
    "coupling": cf.SigmoidalJansenRitCoupling,
    "signal": lambda state: state.y1 - state.y2,
}
_SEIZING: dict[str, Any] = {"coupling": cf.DiffusiveCoupling, "signal": "x1", "pace": 0.1}

PRESETS = {
    "hopf": Preset(
        cf.nodes.hopf, cf.nodes.HopfParams(a=-0.02), 0.02, (0.005, 0.1), 0.048, **_OSCILLATOR
    ),
    "stuart_landau": Preset(
        cf.nodes.stuart_landau,
        cf.nodes.StuartLandauParams(a=-0.02, omega=0.0628, shear=0.2),
        0.02,
        (0.005, 0.1),
        0.048,
        **_OSCILLATOR,
    ),
    "linear": Preset(
        cf.nodes.linear, cf.nodes.LinearParams(a=-0.02), 0.02, (0.002, 0.0195), 0.012, {"x": 0.0}
    ),
    "threshold_linear": Preset(
        cf.nodes.threshold_linear,
        cf.nodes.ThresholdLinearParams(b=0.1, tau=20.0),
        0.02,
        (0.05, 0.95),
        0.6,
        {"x": 0.1},
    ),
    "horn": Preset(
        cf.nodes.horn,
        cf.nodes.HornParams(alpha=0.4, omega=0.0628, gamma=0.02),
        {"y": 0.01},
        (0.01, 0.09),
        0.07,
        **{**_OSCILLATOR, "phase": None},
    ),
    "kuramoto": Preset(
        cf.nodes.kuramoto, cf.nodes.KuramotoParams(omega=0.0628), 0.1, (0.002, 0.1), 0.02, **_ROTOR
    ),
    "xy": Preset(cf.nodes.xy, cf.nodes.XYParams(), 0.1, (0.002, 0.1), 0.02, **_ROTOR),
    "fitzhugh_nagumo": Preset(
        cf.nodes.fitzhugh_nagumo,
        cf.nodes.FitzHughNagumoParams(tau=4.0, current=0.3),
        {"v": 0.15},
        (0.005, 0.15),  # beyond 0.2 oscillations die, and FC is again that of weaker coupling
        0.05,
        {"v": -1.2, "w": -0.6},
        cf.DiffusiveCoupling,
        "v",
    ),
    "van_der_pol": Preset(
        cf.nodes.van_der_pol,
        cf.nodes.VanDerPolParams(tau=15.0),
        {"y": 0.3},
        (0.003, 0.3),
        0.05,
        {"x": 1.0, "y": 0.0},
        cf.DiffusiveCoupling,
    ),
    "generic_2d_oscillator": Preset(
        cf.nodes.generic_2d_oscillator,
        # It rests at 0, below its Hopf bifurcation.
        cf.nodes.Generic2dOscillatorParams(a=0.0, e=0.0, g=-0.5),
        {"V": 0.01},
        (0.4, 7.5),
        2.8,
        {"V": 0.0, "W": 0.0},
        signal="V",
    ),
    "wilson_cowan": Preset(
        cf.nodes.wilson_cowan,
        cf.nodes.WilsonCowanParams(P=1.0),
        0.003,
        (0.1, 4.0),
        1.0,
        {"E": 0.1, "I": 0.1},
        signal="E",
    ),
    "jansen_rit": Preset(
        cf.nodes.jansen_rit,
        cf.nodes.JansenRitParams(),
        {"y4": 0.1},
        (1.0, 100.0),
        20.0,
        dict.fromkeys(cf.nodes.jansen_rit.states, 0.0),
        **_PYRAMIDAL,
    ),
    "wendling": Preset(
        cf.nodes.wendling,
        cf.nodes.WendlingParams(),
        {"y6": 0.02},
        (5.0, 90.0),
        60.0,
        dict.fromkeys(cf.nodes.wendling.states, 0.0),
        **_PYRAMIDAL,
    ),
    "reduced_wong_wang": Preset(
        cf.nodes.reduced_wong_wang,
        cf.nodes.ReducedWongWangParams(),
        0.005,
        (0.05, 0.6),
        0.4,
        {"S": 0.1},
        signal="S",
    ),
    "wong_wang_exc_inh": Preset(
        cf.nodes.wong_wang_exc_inh,
        cf.nodes.WongWangExcInhParams(),
        0.005,
        (0.03, 0.5),
        0.25,
        {"S_e": 0.1, "S_i": 0.1},
        signal="S_e",
    ),
    "thalamus": Preset(
        cf.nodes.thalamus,
        cf.nodes.ThalamusParams(),
        {"ds_et": 2e-4},
        (0.05, 3.0),
        1.0,
        dict.fromkeys(cf.nodes.thalamus.states, 0.0)
        | {"V_t": -62.0, "V_r": -62.0, "Ca": 2.4e-4, "m_1": 0.08, "m_2": 0.1},
        partial(cf.SigmoidalJansenRitCoupling, cmin=0.0, cmax=0.4, midpoint=-58.5, r=0.3023),
        "V_t",
        pace=0.1,
    ),
    "canonical_microcircuit": Preset(
        cf.nodes.canonical_microcircuit,
        cf.nodes.CanonicalMicrocircuitParams(),
        {"i_ss": 0.2},
        (0.5, 10.0),
        5.0,
        dict.fromkeys(cf.nodes.canonical_microcircuit.states, 0.0) | {"v_sp": 0.5},
        partial(cf.SigmoidalJansenRitCoupling, cmin=-0.5, cmax=0.5, midpoint=0.0, r=2 / 3),
        "v_sp",
        pace=0.5,
    ),
    "naskar": Preset(
        cf.nodes.naskar,
        cf.nodes.NaskarParams(),
        {"S_e": 0.005, "S_i": 0.005},
        (0.03, 0.5),
        0.25,
        {"S_e": 0.2, "S_i": 0.03, "J": 1.5},
        signal="S_e",
    ),
    "wilson_cowan_divisive": Preset(
        cf.nodes.wilson_cowan_divisive,
        cf.nodes.WilsonCowanDivisiveParams(),
        0.01,
        (0.2, 10.0),
        4.0,
        {"E": 0.12, "I": 0.02},
        signal="E",
    ),
    "epileptor": Preset(
        cf.nodes.epileptor,
        cf.nodes.EpileptorParams(r=0.01),
        {"x1": 0.2, "x2": 0.05, "y2": 0.05},
        (0.1, 5.0),
        2.0,
        {"x1": -1.6, "y1": -10.0, "z": 3.0, "x2": -1.0, "y2": 0.0, "g": -0.1},
        **_SEIZING,
    ),
    "zetterberg_jansen": Preset(
        cf.nodes.zetterberg_jansen,
        # Differences of potentials are small, and so is S there: hence the many synapses.
        cf.nodes.ZetterbergJansenParams(
            gamma_1T=100.0, gamma_2T=400.0, gamma_3T=50.0, P=0.0, U=0.0, Q=0.0
        ),
        {"y2": 0.1},
        (0.1, 8.0),
        4.0,
        dict.fromkeys(cf.nodes.zetterberg_jansen.states, 0.0),
        cf.DiffusiveCoupling,
        lambda state: state.v2 - state.v3,
    ),
    "epileptor_codim3": Preset(
        cf.nodes.epileptor_codim3,
        cf.nodes.EpileptorCodim3Params(c=0.01),
        {"x": 0.005},
        (0.03, 1.5),
        0.4,
        {"x": 0.5, "y": 0.0, "z": 0.0},
        cf.DiffusiveCoupling,
        pace=0.5,
    ),
    "epileptor_codim3_slow_mod": Preset(
        cf.nodes.epileptor_codim3_slow_mod,
        # It starts as `epileptor_codim3`.
        cf.nodes.EpileptorCodim3SlowModParams(
            mu1_Ain=-0.02285,
            mu2_Ain=0.3448,
            nu_Ain=0.2014,
            mu1_Bin=-0.07465,
            mu2_Bin=0.3351,
            nu_Bin=0.2053,
            c=0.01,
            cA=1e-5,
            cB=1e-5,
        ),
        {"x": 0.005},
        (0.03, 1.5),
        0.4,
        {"x": 0.5, "y": 0.0, "z": 0.0, "uA": 0.0, "uB": 0.0},
        cf.DiffusiveCoupling,
        pace=0.5,
    ),
    "epileptor_resting_state": Preset(
        cf.nodes.epileptor_resting_state,
        cf.nodes.EpileptorRestingStateParams(r=0.01),
        {"x1": 0.2, "x2": 0.05, "y2": 0.05, "x_rs": 0.01},
        (0.1, 5.0),
        2.0,
        {"x1": -1.6, "y1": -10.0, "z": 3.0, "x2": -1.0, "y2": 0.0, "g": -0.1}
        | {"x_rs": 0.0, "y_rs": 0.0},
        **_SEIZING,
    ),
    "hopfield": Preset(
        cf.nodes.hopfield,
        cf.nodes.HopfieldParams(tau_x=20.0, tau_theta=100.0),
        {"x": 0.02},
        (0.05, 0.95),
        0.6,
        {"x": 0.1, "theta": 0.0},
    ),
    "epileptor_2d": Preset(
        cf.nodes.epileptor_2d,
        cf.nodes.Epileptor2dParams(r=0.01),
        {"x1": 0.1},
        (0.1, 10.0),
        3.0,
        {"x1": -1.6, "z": 3.0},
        **_SEIZING,
    ),
    "larter_breakspear": Preset(
        cf.nodes.larter_breakspear,
        cf.nodes.LarterBreakspearParams(),
        {"V": 0.01},
        (0.5, 25.0),
        10.0,
        {"V": -0.2, "W": 0.1, "Z": 0.0},
        cf.HyperbolicTangentCoupling,
        "V",
        pace=0.5,
    ),
    "lorenz": Preset(
        cf.nodes.lorenz,
        cf.nodes.LorenzParams(tau=100.0),
        0.05,
        (0.01, 0.5),
        0.2,
        {"x": 1.0, "y": 1.0, "z": 20.0},
        cf.DiffusiveCoupling,
    ),
} | MEAN_FIELDS
