"""A run on the default cortex of The Virtual Brain: what is run, and the same in ours.

Oscillators on all vertices, coupled instantaneously to their neighbours, and their regions over tracts
with delays. The scheme is Euler's: in others TVB holds what comes over tracts for a step and evaluates
local coupling at each stage, which is none of our ways to `hold`.
"""

import warnings
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

DT, SPEED = 0.1, 4.0  # [ms], [mm/ms]
LOCAL, LONG = 0.5, 0.01  # strengths of the coupling between vertices, and between regions
MODEL = {"a": 2.0}
STEPS, PERIOD = 1000, 10  # of a run; from one sample to the next
KEPT = slice(-1, None, -20)  # of the samples: those that are recorded


def start(vertices: int) -> np.ndarray:
    """Return V and W of all vertices, where they start and have always been, exact in float32."""
    low, high = np.array([[-1.0], [-4.0]]), np.array([[3.0], [4.0]])
    draws = np.random.default_rng(22).integers(0, 2**10, (2, vertices)) / 2**10
    return low + (high - low) * draws


@cache
def recorded() -> dict[str, np.ndarray]:
    """Return what TVB computed."""
    with np.load(Path(__file__).with_name("surface.npz")) as file:
        return dict(file)


def loaded():
    """Return the cortex and the connectome of tvb-data."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*IO1, IO2")
        return cf.surface.load_cortex("tvb:76"), cf.load_connectome("tvb:76")


def ours(cortex, connectome, *, local=LOCAL, long=LONG):
    """Return the network, its first state, its parameters, and what to record of a state."""
    weights = connectome.weights
    means = cortex.parcellation.mean
    wires = {"local": cf.Wire("V", "V"), "long": cf.Wire(lambda state: means(state.V), "V")}
    lags = {"local": None, "long": cf.lags(connectome.lengths, SPEED, DT, weights=weights)}
    net = cf.Network(cf.nodes.generic_2d_oscillator, DT, couplings=wires, lags=lags, scheme="euler")
    tracts = cf.AdditiveCoupling(weights, long)
    couplings = {
        "local": cf.AdditiveCoupling(cortex.local_connectivity, local),
        "long": cf.RegionalCoupling(tracts, cortex.parcellation),
    }
    params = cf.Params(cf.nodes.Generic2dOscillatorParams(**MODEL), couplings)
    x0 = jnp.asarray(start(len(cortex)), weights.dtype)
    state = net.init(cf.nodes.Generic2dOscillatorState(*x0), params)

    def measured(state):
        V = state.node.V
        return means(V), cf.observe.sensor_signals(V[None], cortex.gain)[0]

    return net, state, params, measured


def sampled(means, eeg, first: int) -> dict[str, np.ndarray]:
    """Sample as TVB does: averages each `PERIOD` steps, and EEG averaged over the steps in between.

    TVB counts steps from the begin of its history, `first` steps before a run, and samples where the
    count is a multiple. So its first average of EEG lacks steps; the first sample is left out.
    """
    skip = -first % PERIOD
    means, eeg = np.asarray(means), np.asarray(eeg)[skip:]
    whole = len(eeg) // PERIOD
    windows = eeg[: whole * PERIOD].reshape(whole, PERIOD, -1)
    return {"means": means[skip + PERIOD - 1 :: PERIOD], "eeg": windows.mean(axis=1)}


def largest_error(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the largest difference, relative to the largest value."""
    return {
        name: float(np.abs(got[name] - wanted[name]).max() / np.abs(wanted[name]).max())
        for name in ("means", "eeg")
    }
