"""The presets of mean fields of spiking neurons."""

import coupling_fn as cf

from ._preset import Preset

MEAN_FIELDS = {
    "montbrio_pazo_roxin": Preset(
        cf.nodes.montbrio_pazo_roxin,
        cf.nodes.MontbrioPazoRoxinParams(tau=10.0),
        {"V": 0.01},
        (4.0, 24.0),
        16.0,
        {"r": 0.103, "V": -0.15},  # the upper of its two stable states, which rings at 50 Hz
        signal="r",
        pace=0.5,
    ),
    "coombes_byrne": Preset(
        cf.nodes.coombes_byrne,
        cf.nodes.CoombesByrneParams(),
        {"V": 0.2},
        (0.02, 2.0),
        0.3,
        {"r": 1.0, "V": -1.0, "g": 1.5, "q": 0.0},
        signal="r",
        pace=0.05,
    ),
    "izhikevich": Preset(
        cf.nodes.izhikevich,
        cf.nodes.IzhikevichParams(),
        {"V": 0.01},
        (0.01, 0.5),
        0.1,
        {"r": 0.01, "V": 0.1, "w": 0.1, "s": 0.05},
        signal="r",
        pace=0.25,
    ),
    "tsodyks_markram": Preset(
        cf.nodes.tsodyks_markram,
        cf.nodes.TsodyksMarkramParams(current=1.2, Delta=0.1),
        {"V": 0.02},
        (5.0, 150.0),
        60.0,
        {"r": 0.03, "V": 0.0, "x": 0.15, "u": 0.92},
        signal="r",
        pace=0.5,
    ),
    "gast_schmidt_knosche_sd": Preset(
        cf.nodes.gast_schmidt_knosche_sd,
        cf.nodes.GastSchmidtKnoscheSDParams(),
        {"V": 0.2},
        (0.01, 2.0),
        0.15,
        {"r": 0.1, "V": -1.5, "A": 0.05, "B": 0.0},
        signal="r",
        pace=0.05,
    ),
    "gast_schmidt_knosche_sf": Preset(
        cf.nodes.gast_schmidt_knosche_sf,
        cf.nodes.GastSchmidtKnoscheSFParams(eta=-4.0),  # it bursts
        {"V": 1.5},
        (0.05, 3.0),
        1.5,
        {"r": 0.1, "V": -1.0, "A": 1.0, "B": 0.0},
        signal="r",
        pace=0.02,
    ),
    "dumont_gutkin": Preset(
        cf.nodes.dumont_gutkin,
        cf.nodes.DumontGutkinParams(eta_e=2.0, J_ie=10.0),  # below its gamma rhythm
        {"V_e": 0.05},
        (0.1, 3.5),
        1.5,
        {"r_e": 0.036, "V_e": -0.4, "s_ee": 0.0, "s_ei": 0.2, "r_i": 0.02, "V_i": -0.8}
        | {"s_ie": 0.36, "s_ii": 0.3},
        signal="r_e",
        pace=0.05,
    ),
    "coombes_byrne_2d": Preset(
        cf.nodes.coombes_byrne_2d,
        cf.nodes.CoombesByrne2dParams(eta=-4.0, v_syn=4.0),  # below the onset of high rates
        {"V": 0.1},
        (0.1, 1.5),
        1.0,
        {"r": 0.08, "V": -2.0},
        signal="r",
        pace=0.05,
    ),
    "zerlaut_first_order": Preset(
        cf.nodes.zerlaut_first_order,
        cf.nodes.ZerlautFirstOrderParams(),
        {"ou": 3e-5},
        (0.02, 0.2),
        0.15,
        {"E": 0.001, "I": 0.002, "W_e": 5.0, "W_i": 0.0, "ou": 0.0},
        signal="E",
    ),
    "zerlaut_second_order": Preset(
        cf.nodes.zerlaut_second_order,
        # As The Virtual Brain scales its derivatives: with consistent units strong coupling blows up.
        cf.nodes.ZerlautSecondOrderParams(derivative_scale=0.001),
        {"ou": 3e-5},
        (0.02, 0.2),
        0.15,
        {"E": 0.001, "I": 0.002, "C_ee": 0.0, "C_ei": 0.0, "C_ii": 0.0}
        | {"W_e": 5.0, "W_i": 0.0, "ou": 0.0},
        signal="E",
    ),
    "reduced_set_fitzhugh_nagumo": Preset(
        cf.nodes.reduced_set_fitzhugh_nagumo,
        cf.nodes.ReducedSetFitzHughNagumoParams(),
        0.1,
        (0.003, 0.3),
        0.05,
        dict.fromkeys(cf.nodes.reduced_set_fitzhugh_nagumo.states, 0.0),
        cf.DiffusiveCoupling,
        lambda state: state.xi0 + state.xi1 + state.xi2,
        pace=0.1,
    ),
    "reduced_set_hindmarsh_rose": Preset(
        cf.nodes.reduced_set_hindmarsh_rose,
        cf.nodes.ReducedSetHindmarshRoseParams(),
        0.1,
        (0.01, 1.5),
        0.4,
        {
            s: 3.0 if s[:-1] in ("tau", "gamma") else 0.0
            for s in cf.nodes.reduced_set_hindmarsh_rose.states
        },
        cf.DiffusiveCoupling,
        lambda state: state.xi0 + state.xi1 + state.xi2,
        pace=0.05,
    ),
    "k_ion_ex": Preset(
        cf.nodes.k_ion_ex,
        cf.nodes.KIonExParams(K_bath=12.0, epsilon=0.01),  # it bursts
        {"V": 3.0},
        (0.1, 6.0),
        3.0,
        {"x": 0.1, "V": -75.0, "n": 0.05, "DKi": -0.5, "Kg": 5.0},
        signal="V",
        pace=0.05,
    ),
}
