"""What was run: a model in its simulator's names, and the same in ours.

This module needs neither simulator nor JAX, so that the script that records and the test that
compares can both read it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

REGIONS, STEPS, EVERY = 8, 1000, 50


@dataclass(frozen=True)
class Case:
    """A model with a coupling.

    `theirs` and `ours` are parameters by name. `start` has the range of each state at t = 0, in the
    order of our states. `links` has (source, input, factor on k) of each of our couplings; `rule` is
    our coupling and `args` its parameters; `their_args` are those of the simulator's coupling.
    `extra` gives states that only the simulator has, from ours. States named in `apart` are not
    compared. The states after every `every` steps are recorded in the file named `file`.
    """

    simulator: str
    model: str
    node: str
    start: tuple[tuple[float, float], ...]
    links: tuple[tuple[str | Callable[[Any], Any], str, float], ...]
    coupling: str
    rule: str
    args: dict[str, float]
    their_args: dict[str, Any]
    dt: float
    theirs: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, float] = field(default_factory=dict)
    schemes: tuple[str, ...] = ("euler", "heun")
    note: str = ""
    extra: Callable[[Any], Any] | None = None
    every: int = EVERY
    apart: tuple[str, ...] = ()
    file: str = "trajectories"

    @property
    def name(self) -> str:
        # Two models may be one node of ours. The first record has names by node.
        model = self.node if self.file == "trajectories" else self.model
        return f"{self.simulator}-{model}-{self.coupling}"

    @property
    def speed(self) -> float:
        """Conduction speed at which lags are the same for all dt [mm/ms]."""
        return 0.3 / self.dt


def connectome() -> tuple[np.ndarray, np.ndarray]:
    """Return weights that sum to about 1 per row, asymmetric and exact in float32; lags are 0 to 39."""
    rng = np.random.default_rng(20)
    weights = rng.integers(1, 64, (REGIONS, REGIONS)) / 256
    weights[rng.uniform(size=weights.shape) < 0.2] = 0
    lengths = rng.uniform(0, 11.8, weights.shape)
    lengths[0, 1], weights[0, 1] = 0.1, 0.25  # less than half a step away: no delay
    np.fill_diagonal(weights, 0)
    np.fill_diagonal(lengths, 0)
    return weights, lengths


def start(case: Case) -> np.ndarray:
    """Return the state in which each region starts and has always been, `(state, region)`."""
    rng = np.random.default_rng(21)
    low, high = np.transpose(case.start)
    return rng.uniform(low, high, (REGIONS, len(low))).T


def tvb(model, node, start, links, couplings, dt, theirs=None, ours=None, note="", extra=None):
    """Yield a model of The Virtual Brain under several couplings, each `(name, k, parameters)`."""
    for name, k, args in couplings:
        rule, their_args = {
            "Difference": ("DiffusiveCoupling", {"a": k}),
            "Linear": ("AdditiveCoupling", {"a": k, **args}),
            "Kuramoto": ("KuramotoCoupling", {"a": k}),
            "Sigmoidal": ("SigmoidalCoupling", _scaled(k, args)),
            "HyperbolicTangent": ("HyperbolicTangentCoupling", {**args, "a": k * args.get("a", 1)}),
            "SigmoidalJansenRit": ("SigmoidalJansenRitCoupling", {"a": k, **args}),
        }[name]
        yield Case(
            simulator="tvb",
            model=model,
            node=node,
            start=start,
            links=links,
            coupling=name,
            rule=rule,
            args={"k": k, **args},
            their_args=their_args,
            dt=dt,
            theirs=theirs or {},
            ours=(theirs if ours is None else ours) or {},
            note=note,
            extra=extra,
        )


def _scaled(k, args):
    """Scale both ends of TVB's sigmoid by k, of which it has none of its own."""
    return {name: k * x if name in ("cmin", "cmax") else x for name, x in args.items()}


SIGMOID = {"cmin": -0.5, "cmax": 1.0, "midpoint": 0.2, "a": 1.5, "sigma": 0.7}
TANH = {"a": 0.5, "b": 1.3, "midpoint": 0.1, "sigma": 0.8}


def usual(k, **more):
    """Return the couplings that suit most models, at comparable strengths."""
    return [
        ("Difference", k, {}),
        ("Linear", k, {"b": 0.05 * k}),
        ("Sigmoidal", k, SIGMOID),
        ("HyperbolicTangent", k, TANH),
    ]


def _tvb_cases():
    yield from tvb(
        "Linear", "linear", ((-1, 1),), (("x", "x", 1.0),), usual(0.15), 0.05,
        {"gamma": -0.3}, {"a": -0.3},
    )  # fmt: skip
    yield from tvb(
        "SupHopf", "hopf", ((-0.5, 0.5), (-0.5, 0.5)), (("x", "x", 1.0), ("y", "y", 1.0)),
        usual(0.1), 0.1, {"a": 0.1, "omega": 0.35},
    )  # fmt: skip
    yield from tvb(
        "SupHopf", "stuart_landau", ((-0.5, 0.5), (-0.5, 0.5)),
        (("x", "x", 1.0), ("y", "y", 1.0)), usual(0.1), 0.1,
        {"a": -0.05, "omega": 0.25}, note="with b = 1 and no shear",
    )  # fmt: skip
    yield from tvb(
        "Kuramoto", "kuramoto", ((0, 6),), (("theta", "theta", 1.0),),
        [("Kuramoto", 0.4, {}), *usual(0.1)], 0.1, {"omega": 0.3},
    )  # fmt: skip
    plane = {"tau": 1.2, "I": 0.2, "a": 1.8, "b": -9.0, "c": 0.3, "d": 0.03, "e": 2.8, "f": 0.9}
    plane |= {"g": 0.1, "alpha": 1.1, "beta": 0.9, "gamma": 1.2}
    yield from tvb(
        "Generic2dOscillator", "generic_2d_oscillator", ((-1, 2), (-4, 4)), (("V", "V", 1.0),),
        usual(2.0), 0.1, plane, {k.replace("I", "current"): v for k, v in plane.items()},
    )  # fmt: skip
    root = 0.08**0.5
    cubic = {"tau": 1 / root, "d": root, "a": 0.7, "b": 1.0, "e": 0.0, "f": 1 / 3, "g": 1.0}
    cubic |= {"alpha": -1.0, "beta": 0.8, "I": 0.5}
    yield from tvb(
        "Generic2dOscillator", "fitzhugh_nagumo", ((-1, 1), (-0.5, 1)), (("v", "v", 1.0),),
        usual(0.2), 0.1, cubic, {"epsilon": 0.08, "current": 0.5},
        note="its generic oscillator, with FitzHugh's coefficients",
    )  # fmt: skip
    yield from tvb(
        "WilsonCowan", "wilson_cowan", ((0.05, 0.4), (0.05, 0.4)), (("E", "E", 1.0),),
        usual(3.0), 0.1,
        {"c_ee": 16.0, "c_ei": 12.0, "c_ie": 15.0, "c_ii": 3.0, "a_e": 1.3, "b_e": 4.0, "a_i": 2.0,
         "b_i": 3.7, "tau_e": 8.0, "tau_i": 7.0, "P": 1.1, "Q": 0.1, "k_e": 0.9, "r_e": 0.8,
         "k_i": 0.95, "r_i": 0.85},
    )  # fmt: skip
    sent = lambda s: s.y1 - s.y2
    column = {"v0": 6.0, "mu": 0.2, "J": 130.0, "a_1": 1.0, "a_2": 0.8, "a_3": 0.25, "a_4": 0.26}
    sigmoid = {"cmin": 0.001, "cmax": 0.006, "midpoint": 5.5, "r": 0.5}
    for source, couplings in [
        (sent, [("SigmoidalJansenRit", 20.0, sigmoid)]),
        ("y1", [("Difference", 0.02, {}), ("Linear", 0.02, {"b": 0.01})]),
    ]:
        yield from tvb(
            "JansenRit", "jansen_rit",
            ((0, 0.1), (5, 15), (5, 12), (-0.01, 0.01), (-0.5, 0.5), (-0.5, 0.5)),
            ((source, "y4", 1.0),), couplings, 0.1, column, {"p": 0.2, "C": 130.0, "c4": 0.26},
            note="its other couplings send y1 alone" if source == "y1" else "",
        )  # fmt: skip
    yield from tvb(
        "ReducedWongWang", "reduced_wong_wang", ((0.05, 0.6),), (("S", "S", 1.0),),
        usual(0.8), 0.5, {"w": 0.7, "I_o": 0.32, "J_N": 0.25}, {"w": 0.7, "I_0": 0.32, "J_N": 0.25},
    )  # fmt: skip
    yield from tvb(
        "ReducedWongWangExcInh", "wong_wang_exc_inh", ((0.05, 0.6), (0.02, 0.3)),
        (("S_e", "S_e", 2.0), ("S_e", "S_i", 1.0)), usual(0.8), 0.2,
        {"G": 2.0, "lamda": 0.5, "J_i": 1.1, "I_ext": 0.01, "w_p": 1.3},
        {"J_i": 1.1, "I_ext": 0.01, "w_p": 1.3},
        note="G = 2 and lambda = 0.5 as couplings into S_e and S_i",
    )  # fmt: skip
    yield from tvb(
        "MontbrioPazoRoxin", "montbrio_pazo_roxin", ((0.1, 1), (-1.5, 0.5)),
        (("r", "V", 1.2), ("V", "V", 0.4)), usual(1.0), 0.01,
        {"tau": 1.3, "Delta": 0.8, "eta": -4.6, "J": 14.5, "I": 0.3, "cr": 1.2, "cv": 0.4},
        {"tau": 1.3, "Delta": 0.8, "eta": -4.6, "J": 14.5, "current": 0.3},
        note="cr and cv as couplings of r and V into V",
    )  # fmt: skip
    yield from tvb(
        "CoombesByrne", "coombes_byrne", ((0.3, 1.5), (-2, 2), (1, 2), (-0.3, 0.3)),
        (("r", "V", 1.0),), usual(8.0), 0.005,
        {"Delta": 0.6, "alpha": 0.9, "v_syn": -9.0, "k": 1.1, "eta": 18.0},
        {"Delta": 0.6, "alpha": 0.9, "v_syn": -9.0, "kappa": 1.1, "eta": 18.0},
        note="its coupling of r into V",
    )  # fmt: skip
    seizure = {"r": 0.005, "x0": -1.7, "slope": 0.1, "tt": 0.8, "a": 1.1, "b": 2.9, "c": 0.9}
    epileptor = seizure | {"d": 4.9, "tau": 9.0, "aa": 5.8, "bb": 2.1}
    yield from tvb(
        "Epileptor", "epileptor",
        ((-1.8, 0.8), (-6, 0), (2.4, 3.2), (-1, 0), (0, 1), (-0.2, 0.2)),
        (("x1", "x1", 0.3), ("x1", "z", -1.5), ("x2", "x2", 0.4)), usual(1.5), 0.05,
        {**epileptor, "Iext": 3.0, "Iext2": 0.5, "Kvf": 0.3, "Ks": 1.5, "Kf": 0.4},
        {**epileptor, "I_1": 3.0, "I_2": 0.5},
        note="Kvf, Ks and Kf as couplings into x1, z and x2; its s stays 4 whatever is asked",
    )  # fmt: skip
    yield from tvb(
        "Epileptor2D", "epileptor_2d", ((-1.8, 0.5), (2.8, 3.6)),
        (("x1", "x1", 0.3), ("x1", "z", -1.5)), usual(1.5), 0.05,
        {**seizure, "d": 4.9, "Iext": 3.0, "Kvf": 0.3, "Ks": 1.5},
        {**seizure, "d": 4.9, "I_1": 3.0}, note="Kvf and Ks as couplings into x1 and z",
    )  # fmt: skip
    names = ["Ca", "K", "Na", "L"]
    ours = {"g_Ca": 1.05, "g_K": 2.1, "g_Na": 6.6, "g_L": 0.55, "V_Ca": 0.98, "V_K": -0.68}
    ours |= {"V_Na": 0.52, "V_L": -0.49, "T_Ca": -0.02, "T_K": 0.01, "T_Na": 0.29, "d_Ca": 0.16}
    ours |= {"d_K": 0.31, "d_Na": 0.16, "V_T": 0.01, "d_V": 0.62, "Z_T": 0.02, "d_Z": 0.66}
    ours |= {"Q_V_max": 0.97, "Q_Z_max": 1.03, "a_ee": 0.5, "a_ei": 1.9, "a_ie": 1.8, "a_ne": 1.05}
    ours |= {"a_ni": 0.42, "current": 0.28, "r_NMDA": 0.22, "C": 0.4, "phi": 0.65, "tau_K": 1.1}
    ours |= {"b": 0.12, "t_scale": 0.9}
    renamed = {"current": "Iext", "V_T": "VT", "Z_T": "ZT", "Q_V_max": "QV_max"}
    renamed |= {"Q_Z_max": "QZ_max", "r_NMDA": "rNMDA"}
    renamed |= {f"{letter}_{ion}": letter + ion for letter in "gVT" for ion in names}
    renamed |= {f"a_{ends}": f"a{ends}" for ends in ("ee", "ei", "ie", "ne", "ni")}
    yield from tvb(
        "LarterBreakspear", "larter_breakspear", ((-0.4, 0.4), (0, 0.6), (-0.2, 0.3)),
        (("V", "V", 1.0),),
        [
            ("HyperbolicTangent", 1.5, {"a": 0.5, "sigma": 0.62, "midpoint": 0.01}),
            ("Sigmoidal", 1.0, SIGMOID),
        ],
        0.1, {renamed.get(name, name): value for name, value in ours.items()}, ours,
    )  # fmt: skip


def neurolib(model, node, start, links, couplings, theirs, ours, note=""):
    """Yield a model of neurolib, which has Euler alone, at its dt of 0.1 ms."""
    for kind, k in couplings:
        yield Case(
            simulator="neurolib",
            model=model,
            node=node,
            start=start,
            links=links,
            coupling=kind,
            rule={"diffusive": "DiffusiveCoupling", "additive": "AdditiveCoupling"}[kind],
            args={"k": k},
            their_args={"coupling": kind, "K_gl": k},
            dt=0.1,
            theirs=theirs,
            ours=ours,
            schemes=("euler",),
            note=note,
        )


def _neurolib_cases():
    both = lambda k: list(product(["diffusive", "additive"], [k]))
    yield from neurolib(
        "HopfModel", "hopf", ((-0.5, 0.5), (-0.5, 0.5)), (("x", "x", 1.0),), both(0.15),
        {"a": 0.1, "w": 0.3}, {"a": 0.1, "omega": 0.3}, note="it couples x alone",
    )  # fmt: skip
    yield from neurolib(
        "FHNModel", "fitzhugh_nagumo", ((-1, 1), (-0.5, 1)), (("v", "v", 1.0),), both(0.2),
        {"alpha": 1 / 3, "beta": 0.0, "gamma": 1.0, "delta": -0.7, "epsilon": 0.8, "tau": 12.5,
         "x_ext": 0.5},
        {"a": 0.7, "b": 0.8, "epsilon": 1 / 12.5, "current": 0.5},
        note="its general cubic, with the coefficients of FitzHugh's",
    )  # fmt: skip
    yield from neurolib(
        "WCModel", "wilson_cowan", ((0.05, 0.4), (0.05, 0.4)), (("E", "E", 1.0),),
        [("additive", 2.0)], {"exc_ext": 0.8, "inh_ext": 0.1},
        {"tau_e": 2.5, "tau_i": 3.75, "a_e": 1.5, "b_e": 3.0, "a_i": 1.5, "b_i": 3.0, "P": 0.8,
         "Q": 0.1, "shift": 0.0},
        note="a logistic function that is not shifted",
    )  # fmt: skip
    yield from neurolib(
        "WWModel", "wong_wang_exc_inh", ((0.05, 0.6), (0.02, 0.3)), (("S_e", "S_e", 1.0),),
        [("additive", 1.5)], {"J_I": 1.1}, {"J_i": 1.1, "tau_i": 100.0},
        note="there S_i decays with the excitatory time constant, 100 ms, not with its own",
    )  # fmt: skip


def _further_tvb_cases():
    """Yield the models that were recorded later, under fewer couplings and at fewer times."""
    few = lambda k, b=0.05: [("Linear", k, {"b": b * k}), ("Difference", k, {})]
    quadratic = {"tau": 1.2, "tau_A": 9.0, "Delta": 1.8}
    depressed = quadratic | {"alpha": 0.6, "J": 20.0, "eta": -5.5}
    adapted = quadratic | {"alpha": 9.0, "J": 19.0, "eta": 1.1}
    for kind, given, start in (
        ("SD", depressed, ((0.1, 0.8), (-1.5, 0.2), (0, 0.3), (-0.1, 0.1))),
        ("SF", adapted, ((0.1, 0.8), (-1.5, 0.2), (0, 2), (-0.5, 0.5))),
    ):
        yield from tvb(
            f"GastSchmidtKnosche_{kind}", f"gast_schmidt_knosche_{kind.lower()}", start,
            (("r", "V", 1.2), ("V", "V", 0.4)), few(2.0), 0.01,
            {**given, "I": 0.3, "cr": 1.2, "cv": 0.4}, {**given, "current": 0.3},
            note="cr and cv as couplings of r and V into V",
        )  # fmt: skip
    both = {"I_e": 0.2, "Delta_e": 0.9, "eta_e": 8.0, "tau_e": 9.0, "I_i": 0.1, "Delta_i": 1.1}
    both |= {"eta_i": -4.0, "tau_i": 8.0, "tau_s": 1.2, "J_ee": 3.0, "J_ei": 9.0, "J_ie": 8.0}
    both |= {"J_ii": 12.0, "Gamma": 4.0}
    yield from tvb(
        "DumontGutkin", "dumont_gutkin",
        ((0.01, 0.1), (-1.5, 0.5), (0, 0.3), (0, 0.3), (0.01, 0.1), (-1.5, 0.5), (0, 0.3), (0, 0.3)),
        (("r_e", "s_ee", 1.0), ("r_e", "s_ie", 1.0)), few(4.0), 0.02, both,
    )  # fmt: skip
    fast = {"Delta": 1.1, "v_syn": -3.8, "eta": 2.2}
    yield from tvb(
        "CoombesByrne2D", "coombes_byrne_2d", ((0.1, 1.0), (-1, 1)), (("r", "V", 1.0),), few(6.0)[:1],
        0.01, {**fast, "k": 1.1}, {**fast, "kappa": 1.1}, note="its coupling of r into V",
    )  # fmt: skip
    balanced = {"J_i": 1.1, "I_ext": 0.01, "w_p": 1.3}
    gain = {"a_e": 0.310, "b_e": 0.125, "a_i": 0.615, "b_i": 0.177}
    yield from tvb(
        "DecoBalancedExcInh", "wong_wang_exc_inh", ((0.05, 0.6), (0.02, 0.3)),
        (("S_e", "S_e", 2.0), ("S_e", "S_i", 1.0)), few(0.8), 0.2,
        {**balanced, "G": 2.0, "lamda": 0.5, "M_i": 1.2},
        {**balanced, **{name: 1.2 * value for name, value in gain.items()}},
        note="its gain M_i as a factor of a_e, b_e, a_i and b_i; G and lambda as couplings",
    )  # fmt: skip
    adex = {"g_L": 11.0, "E_L_e": -64.0, "E_L_i": -66.0, "C_m": 190.0, "b_e": 20.0, "a_e": 3.0}
    adex |= {"b_i": 1.0, "a_i": 0.5, "tau_w_e": 400.0, "tau_w_i": 50.0, "E_e": 1.0, "E_i": -79.0}
    adex |= {"Q_e": 1.6, "Q_i": 4.8, "tau_e": 4.8, "tau_i": 5.2, "T": 15.0}
    outside = {"nu_ee": 0.0012, "nu_ei": 0.0003, "nu_ie": 0.001, "nu_ii": 0.0002}
    renamed = {"nu_ee": "ex_ex", "nu_ei": "ex_in", "nu_ie": "in_ex", "nu_ii": "in_in"}
    yield from tvb(
        "ZerlautAdaptationFirstOrder", "zerlaut_first_order",
        ((0.005, 0.03), (0.005, 0.03), (0, 20), (0, 5), (-1e-4, 1e-4)),
        (("E", "E", 1.0), ("E", "I", 1.0)), few(0.3, 0.001), 0.1,
        {**adex, **{f"external_input_{renamed[x]}": nu for x, nu in outside.items()},
         "tau_OU": 30.0, "weight_noise": 9.0, "K_ext_i": 50, "K_ext_e": 350, "p_connect_i": 0.045},
        {**adex, **outside, "tau_ou": 30.0, "weight_ou": 9.0, "K_ext_i": 50.0, "K_ext_e": 350.0,
         "K_i": 90.0},
        note="K_e and K_i are its N_tot, g and p_connect; its S_i scales local coupling alone",
    )  # fmt: skip


def _second_order_cases():
    """The derivatives of The Virtual Brain are per Hz, its rates in kHz; C_ei is left apart."""
    few = [("Difference", 0.3, {}), ("Linear", 0.3, {"b": 0.0003})]
    adex = {"g_L": 11.0, "E_L_e": -64.0, "C_m": 190.0, "b_e": 20.0, "a_e": 3.0, "T": 15.0}
    outside = {"external_input_ex_ex": 0.0012, "external_input_in_ex": 0.001}
    yield from tvb(
        "ZerlautAdaptationSecondOrder", "zerlaut_second_order",
        ((0.005, 0.03), (0.005, 0.03), (0, 5e-4), (-5e-4, 5e-4), (0, 5e-4), (0, 20), (0, 5),
         (-1e-4, 1e-4)),
        (("E", "E", 1.0), ("E", "I", 1.0)), few, 0.1,
        {**adex, **outside, "N_tot": 9000, "g": 0.25, "tau_OU": 30.0},
        {**adex, "nu_ee": 0.0012, "nu_ie": 0.001, "tau_ou": 30.0, "derivative_scale": 0.001,
         "K_e": 0.05 * 6750, "K_i": 0.05 * 2250, "N_e": 6750.0, "N_i": 2250.0},
        note="its derivatives per Hz, as derivative_scale; C_ei left apart: it pairs them otherwise",
    )  # fmt: skip


def _later_tvb_cases():
    few = lambda k, b=0.05: [("Linear", k, {"b": b * k}), ("Difference", k, {})]
    path = {"mu1_start": -0.03, "mu2_start": 0.34, "nu_start": 0.21, "mu1_stop": -0.08}
    path |= {"mu2_stop": 0.33, "nu_stop": 0.2, "b": 1.1, "R": 0.41, "c": 0.01, "dstar": 0.28}
    yield from tvb(
        "EpileptorCodim3", "epileptor_codim3", ((-0.5, 0.8), (-0.3, 0.3), (0, 0.1)),
        (("x", "z", 1.0),), few(2.0), 0.05, {**path, "Ks": 1.0}, path, note="Ks as a coupling into z",
    )  # fmt: skip
    ends = {f"{x}_{y}": 0.0 for x in ("mu1", "mu2", "nu") for y in ("Ain", "Bin", "Aend", "Bend")}
    ends |= {"mu1_Ain": 0.05, "mu2_Ain": 0.28, "nu_Ain": 0.29, "mu1_Bin": -0.05, "mu2_Bin": 0.25}
    ends |= {"nu_Bin": 0.31, "mu1_Aend": 0.06, "mu2_Aend": 0.07, "nu_Aend": -0.4}
    ends |= {"mu1_Bend": 0.04, "mu2_Bend": -0.03, "nu_Bend": -0.39, "b": 1.1, "R": 0.41}
    ends |= {"c": 0.01, "cA": 0.003, "cB": 0.002, "dstar": 0.28}
    yield from tvb(
        "EpileptorCodim3SlowMod", "epileptor_codim3_slow_mod",
        ((-0.5, 0.8), (-0.3, 0.3), (0, 0.1), (0, 0.2), (0, 0.2)),
        (("x", "z", 1.0),), few(2.0)[:1], 0.05, {**ends, "Ks": 1.0}, ends,
        note="Ks as a coupling into z",
    )  # fmt: skip
    seizure = {"r": 0.005, "x0": -1.7, "slope": 0.1, "tt": 0.8, "a": 1.1, "b": 2.9, "c": 0.9}
    seizure |= {"d": 4.9, "tau": 9.0, "aa": 5.8, "bb": 2.1}
    resting = {"tau_rs": 1.2, "a_rs": -1.8, "b_rs": -9.0, "d_rs": 0.1, "e_rs": 2.8, "f_rs": 0.9}
    resting |= {"alpha_rs": 1.1, "beta_rs": 0.9, "gamma_rs": 1.2}
    yield from tvb(
        "EpileptorRestingState", "epileptor_resting_state",
        ((-1.8, 0.8), (-6, 0), (2.4, 3.2), (-1, 0), (0, 1), (-0.2, 0.2), (-1, 2), (-4, 4)),
        (("x1", "x1", 0.3), ("x1", "z", -1.5), ("x2", "x2", 0.4), ("x_rs", "x_rs", 0.8)),
        few(1.5), 0.05,
        {**seizure, **resting, "Iext": 3.0, "Iext2": 0.5, "I_rs": 0.3, "Kvf": 0.3, "Ks": 1.5,
         "Kf": 0.4, "K_rs": 0.8},
        {**seizure, **resting, "I_1": 3.0, "I_2": 0.5, "current_rs": 0.3},
        note="Kvf, Ks, Kf and K_rs as couplings into x1, z, x2 and x_rs; its s stays 4",
    )  # fmt: skip
    neuron = {"E": 1.0, "K_bath": 9.0, "J": 0.12, "eta": 0.1, "Delta": 1.1, "c_minus": -41.0}
    neuron |= {"R_minus": 0.48, "c_plus": -21.0, "R_plus": -0.52, "tau_n": 3.8}
    neuron |= {"gamma": 0.05, "epsilon": 0.01}
    yield from tvb(
        "KIonEx", "k_ion_ex", ((0.2, 2.0), (-75, -35), (0.05, 0.4), (-1, 0), (0, 3)),
        (("x", "V", 1.0),), few(15.0), 0.01, {**neuron, "Vstar": -31.5, "Cm": 1.1},
        {**neuron, "V_star": -31.5, "C_m": 1.1},
    )  # fmt: skip
    column = {"He": 3.3, "Hi": 21.0, "ke": 0.11, "ki": 0.052, "e0": 0.0026, "rho_1": 0.55}
    column |= {"rho_2": 5.8, "gamma_1": 130.0, "gamma_2": 105.0, "gamma_3": 34.0, "gamma_4": 33.0}
    column |= {"gamma_5": 14.0, "gamma_1T": 40.0, "gamma_2T": 30.0, "gamma_3T": 10.0, "P": 0.003}
    column |= {"U": 0.004, "Q": 0.002}
    potentials, slopes = (0, 8), (-0.3, 0.3)
    yield from tvb(
        "ZetterbergJansen", "zetterberg_jansen", (potentials, slopes) * 5,
        ((lambda s: s.v2 - s.v3, "v", 1.0),), few(3.0), 0.1, column, {**column, "ki_5": 0.11},
        note="its states v6 and v7 are v2 - v3 and v4 - v5; it has ke for ki_5",
        extra=lambda x: np.stack([x[2] - x[4], x[6] - x[8]]),
    )  # fmt: skip
    yield from tvb(
        "Hopfield", "hopfield", ((-1, 2), (0, 1)), (("x", "x", 1.0), ("theta", "theta", 1.0)),
        few(0.9, 0.2), 0.02, {"taux": 1.1, "tauT": 4.5, "dynamic": 1},
        {"tau_x": 1.1, "tau_theta": 4.5}, note="with `dynamic` = 1",
    )  # fmt: skip


def _mode_cases():
    few = lambda k, b=0.05: [("Linear", k, {"b": b * k}), ("Difference", k, {})]
    sent = ((lambda s: s.xi0 + s.xi1 + s.xi2, "xi", 1.0),)
    fitzhugh = {"tau": 2.8, "a": 0.5, "b": 0.85, "K11": 0.6, "K12": 0.25, "K21": 0.3}
    fitzhugh |= {"sigma": 0.4, "mu": 0.1}
    yield from tvb(
        "ReducedSetFitzHughNagumo", "reduced_set_fitzhugh_nagumo", ((-2, 2),) * 12, sent,
        few(0.2, 0.0)[1:], 0.01, fitzhugh, note="its coupling of each mode, summed over the modes",
    )  # fmt: skip
    hindmarsh = {"r": 0.05, "a": 1.1, "b": 2.9, "c": 0.9, "d": 4.8, "s": 3.9, "xo": -1.5}
    hindmarsh |= {"K11": 0.6, "K12": 0.2, "K21": 0.3, "sigma": 0.35, "mu": 3.0}
    starts = ((-1, 1), (-5, 1), (2, 4), (-1, 1), (-5, 1), (2, 4))
    yield from tvb(
        "ReducedSetHindmarshRose", "reduced_set_hindmarsh_rose",
        tuple(x for x in starts for _ in range(3)), sent, few(0.5)[1:], 0.01, hindmarsh,
        note="its coupling of each mode, summed over the modes",
    )  # fmt: skip


def _sparsely(cases):
    return [replace(case, every=200, file="further") for case in cases]


CASES = {
    case.name: case
    for case in [
        *_tvb_cases(),
        *_neurolib_cases(),
        *_sparsely(_further_tvb_cases()),
        *_sparsely(_later_tvb_cases()),
        *_sparsely(_mode_cases()),
        *(
            replace(c, every=200, file="second_order", apart=("C_ei",))
            for c in _second_order_cases()
        ),
    ]
}
RUNS = [(case.name, scheme) for case in CASES.values() for scheme in case.schemes]
