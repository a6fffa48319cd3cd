"""Record what TVB and neurolib measure in a given signal: `python record.py` writes record.npz.

Needs `pip install -e ".[reference]"`, in an environment of its own. The signal is a formula, so only
what the two make of it is kept. The versions that made the file are in it.
"""

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np

FILE = Path(__file__).with_name("record.npz")
KERNELS = ("FirstOrderVolterra", "Gamma", "DoubleExponential", "MixtureOfGammas")
DT = 1.0  # [ms]
STEPS = 50_000
PERIOD = 500.0  # [ms]


def activity(steps=STEPS, dt=DT):
    """Return activity (time, region): slow and fast, different in each region, and not at rest."""
    t = dt * np.arange(1, steps + 1)[:, None] / 1000
    slow = np.sin(2 * np.pi * t * np.array([0.05, 0.031, 0.083]) + np.array([0.0, 1.0, 2.0]))
    fast = np.sin(2 * np.pi * t * np.array([9.7, 11.3, 6.1]))
    return 0.1 + 0.08 * slow + 0.05 * fast * slow


def signals():
    """Return samples (time, region) of three noisy regions whose correlations change."""
    rng = np.random.default_rng(3)
    common, own = rng.normal(size=(240, 1)), rng.normal(size=(240, 3))
    return own + common * np.sin(np.arange(240)[:, None] / np.array([30, 40, 50]))


def with_monitor(monitor, x):
    """Hand a TVB monitor the signal, a state variable with one mode, step by step."""
    model = SimpleNamespace(
        variables_of_interest=["x"], nvar=1, number_of_modes=1, cvar=np.array([0])
    )
    regions = x.shape[1]
    connectivity = SimpleNamespace(
        number_of_regions=regions,
        number_of_nodes=regions,
        cortical=np.ones(regions, bool),
        centres=np.zeros((regions, 3)),
        orientations=np.zeros((regions, 3)),
    )
    monitor.config_for_sim(
        SimpleNamespace(
            model=model,
            integrator=SimpleNamespace(dt=DT),
            connectivity=connectivity,
            number_of_nodes=regions,
            surface=None,
            is_surface_simulation=False,
        )
    )
    samples = []
    for step, row in enumerate(x, start=1):
        sample = monitor.sample(step, row[None, :, None])
        if sample is not None:
            samples.append((sample[0], sample[1].ravel()))
    times, values = zip(*samples, strict=True)
    return np.array(times), np.array(values)


def from_tvb(kept):
    from tvb.datatypes import equations
    from tvb.simulator import monitors

    voi = np.array([0])
    x = activity()
    for name in KERNELS:
        kernel = getattr(equations, name)()
        monitor = monitors.Bold(period=PERIOD, hrf_kernel=kernel, variables_of_interest=voi)
        kept[f"tvb {name} times"], kept[f"tvb {name}"] = with_monitor(monitor, x)
    for name in ("SubSample", "TemporalAverage", "GlobalAverage"):
        monitor = getattr(monitors, name)(period=20.0, variables_of_interest=voi)
        kept[f"tvb {name} times"], kept[f"tvb {name}"] = with_monitor(monitor, x[:2000])


def lead_field():
    """Return the lead field of four electrodes over three regions."""
    return np.random.default_rng(5).normal(size=(4, 3))


def sensors_of_tvb(kept):
    from tvb.datatypes import projections, sensors
    from tvb.datatypes.region_mapping import RegionMapping
    from tvb.simulator import monitors

    electrodes = sensors.SensorsEEG(labels=np.array(list("ABCD")), locations=np.eye(4, 3))
    electrodes.configure()
    for reference in (None, "average", "B"):
        monitor = monitors.EEG(
            period=20.0,
            sensors=electrodes,
            projection=projections.ProjectionSurfaceEEG(
                projection_data=lead_field(), sensors=electrodes
            ),
            reference=reference,
            region_mapping=RegionMapping(array_data=np.arange(3)),
            variables_of_interest=np.array([0]),
            obsnoise=None,
        )
        _, kept[f"tvb EEG {reference}"] = with_monitor(monitor, activity()[:2000])


def balloon_of_tvb(kept):
    from tvb.analyzers.fmri_balloon import BalloonModel
    from tvb.datatypes.time_series import TimeSeries
    from tvb.simulator.integrators import HeunDeterministic

    x = activity()
    series = TimeSeries(
        data=x[:, None, :, None],
        time=DT * np.arange(STEPS),
        sample_period=DT,
        sample_period_unit="ms",
    )
    for revised in (False, True):
        for form in ("linear", "nonlinear"):
            model = BalloonModel(
                time_series=series, integrator=HeunDeterministic(dt=DT / 1000), RBM=revised
            )
            model.bold_model = type(model.bold_model)(form)
            bold = model.evaluate().data[:, 0, :, 0]
            kept[f"tvb balloon {'revised' if revised else 'classical'} {form}"] = bold[99::100]


def from_neurolib(kept):
    from neurolib.models.bold import simulateBOLD
    from neurolib.utils import functions

    x = activity().T
    rest = {"X": np.zeros(3), "F": np.ones(3), "Q": np.ones(3), "V": np.ones(3)}
    kept["neurolib bold"] = simulateBOLD(x, DT / 1000, np.ones(3), **rest)[0].T[99::100]
    ts = signals()
    kept["neurolib fc"] = functions.fc(ts.T)
    kept["neurolib fcd"] = functions.fcd(ts.T, windowsize=30, stepsize=5)
    halves = [functions.fcd(half.T) for half in (ts[:120], ts[120:])]
    kept["neurolib kolmogorov"] = functions.matrix_kolmogorov(*halves)


if __name__ == "__main__":
    kept = {f"version of {name}": version(name) for name in ("tvb-library", "neurolib")}
    from_tvb(kept)
    sensors_of_tvb(kept)
    balloon_of_tvb(kept)
    from_neurolib(kept)
    np.savez_compressed(FILE, **kept)
    for name, value in kept.items():
        print(name, getattr(value, "shape", value))
