"""Two nodes of neurolib that are no network over one wire: the thalamus, and ALN with its own delays.

What was run, in numbers. This module needs neither neurolib nor JAX, so that the script that records and
the test that compares can both read it.
"""

import numpy as np

from .cases import REGIONS

STEPS, EVERY = 2000, 50
THALAMUS_DT, ALN_DT = 0.05, 0.1
STATES = ("V_t", "V_r", "Ca", "h_T_t", "h_T_r", "m_h1", "m_h2")
STATES += tuple(f"{d}s_{kind}" for d in ("", "d") for kind in ("et", "gt", "er", "gr"))
# By neurolib's names; all differ from its defaults.
THALAMUS = {"g_LK": 0.032, "g_h": 0.05, "g_T_t": 2.8, "g_T_r": 2.4, "N_rt": 3.2, "N_tr": 4.6}
THALAMUS |= {"N_rr": 21.0, "tau": 18.0, "k4": 0.002, "alpha_Ca": -5e-5, "Ca_0": 2.2e-4}
THALAMUS |= {"ext_current_t": -2.5, "ext_current_r": 1.5, "C1": 1.8137993642342178}
ALN = {"a": 6.0, "b": 12.0, "Ke_gl": 300.0, "c_gl": 0.35, "mue_ext_mean": 1.1, "cee": 0.32}
ALN |= {"mui_ext_mean": 0.6, "sigmae_ext": 1.7, "sigmai_ext": 1.4, "Jei_max": -3.0, "cii": 0.45}
# Means at t = 0, in neurolib's units (Hz and pA), where they are not in 0 to 1.
ALN_STARTS = {"rates_exc": 30.0, "rates_inh": 40.0, "IA": 60.0, "mufe": 2.0, "mufi": 2.0}
ALN_STARTS |= {f"s{kind}m": 0.4 for kind in ("ee", "ei", "ie", "ii")}
ALN_STARTS |= {f"s{kind}v": 0.003 for kind in ("ee", "ei", "ie", "ii")}


def thalamus_start() -> np.ndarray:
    """Return the state of each region at t = 0, `(state, region)`, in the order of `STATES`.

    s_et and its derivative are 0: without a cortex neurolib leaves their equation out.
    """
    rng = np.random.default_rng(22)
    low = [-72, -72, 2e-4, 0, 0, 0.02, 0.02, 0, 0, 0, 0, 0, *[-0.01] * 3]
    high = [-55, -55, 8e-4, 0.05, 0.1, 0.15, 0.2, 0, 0.5, 0.5, 2, 0, *[0.01] * 3]
    return rng.uniform(low, high, (REGIONS, len(low))).T


def aln_start() -> dict[str, np.ndarray]:
    """Return the state of each region at t = 0, by neurolib's names."""
    rng = np.random.default_rng(23)
    return {name: x * rng.uniform(0.5, 1.5, REGIONS) for name, x in ALN_STARTS.items()}


def aln_tables() -> dict[str, np.ndarray]:
    """Return smooth tables of our own making, whose ends the run comes to; neurolib's are not copied."""
    mu, sigma = np.linspace(-0.2, 2.2, 25), np.linspace(0.6, 3.0, 13)
    x, y = np.meshgrid(mu, sigma, indexing="ij")
    rate = 0.09 / (1 + np.exp(-3 * (x - 1.4) - 0.4 * y))
    return {
        "mu": mu,
        "sigma": sigma,
        "rate": rate,
        "V": -66 + 5 * np.tanh(x) + 0.4 * y,
        "tau": 3 + 9 * np.exp(-x) + 0.5 * y,
    }
