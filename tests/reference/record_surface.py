"""Record the run that test_cortex.py compares with: `python tests/reference/record_surface.py`.

Needs The Virtual Brain's simulation library and `tvb-data`. TVB is only run here, never read.
"""

import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reference.surface import (
    DT,
    KEPT,
    LOCAL,
    LONG,
    MODEL,
    PERIOD,
    SPEED,
    STEPS,
    largest_error,
    loaded,
    start,
)


def prepared(steps: int, *, local: float = LOCAL, long: float = LONG):
    """Return TVB's simulator, configured and ready to run."""
    from tvb.datatypes.cortex import Cortex
    from tvb.datatypes.local_connectivity import LocalConnectivity
    from tvb.datatypes.projections import ProjectionSurfaceEEG
    from tvb.datatypes.sensors import SensorsEEG
    from tvb.simulator.lab import connectivity, coupling, integrators, models, monitors, simulator

    structure = connectivity.Connectivity.from_file("connectivity_76.zip")
    structure.speed = np.array([SPEED])
    structure.configure()
    cortex = Cortex.from_file()
    cortex.region_mapping_data.connectivity = structure
    cortex.local_connectivity = LocalConnectivity.from_file()
    cortex.coupling_strength = np.array([local])
    cortex.configure()
    eeg = monitors.EEG(
        projection=ProjectionSurfaceEEG.from_file(),
        sensors=SensorsEEG.from_file(),
        region_mapping=cortex.region_mapping_data,
        period=PERIOD * DT,
        obsnoise=None,
    )
    horizon = int(np.rint(structure.tract_lengths / SPEED / DT).max()) + 1
    x0 = start(len(cortex.vertices))
    run = simulator.Simulator(
        model=models.Generic2dOscillator(**{name: np.array([x]) for name, x in MODEL.items()}),
        connectivity=structure,
        surface=cortex,
        coupling=coupling.Linear(a=np.array([long]), b=np.array([0.0])),
        integrator=integrators.EulerDeterministic(dt=DT),
        monitors=(monitors.SpatialAverage(period=PERIOD * DT), eeg),
        initial_conditions=np.broadcast_to(x0[:, :, None], (horizon, *x0.shape, 1)).copy(),
        simulation_length=steps * DT,
    )
    run.configure()
    return run


def outputs(run, result, known: np.ndarray) -> dict[str, np.ndarray]:
    """Return averages `(sample, region)` and EEG `(sample, sensor)`, without the first, as `sampled`."""
    (_, means), (_, eeg) = result
    return {"means": means[1:, 0, :, 0], "eeg": eeg[1:, 0, known, 0]}


def known_sensors(sensors) -> np.ndarray:
    """Return which of TVB's sensors are ours."""
    from tvb.datatypes.sensors import SensorsEEG

    return np.isin(SensorsEEG.from_file().labels, sensors)


def main():
    logging.disable(logging.CRITICAL)
    known = known_sensors(loaded()[0].sensors)
    assert known.sum() == 63

    def run(**changes):
        simulator = prepared(STEPS, **changes)
        first = simulator.current_step
        assert first % PERIOD  # else the first window would be full
        return outputs(simulator, simulator.run(), known), first

    whole, first = run()
    record = {"tvb-library": np.array(version("tvb-library")), "first": np.array(first)}
    record |= {name: x[KEPT] for name, x in whole.items()}
    for name in ("local", "long"):
        for of, deviation in largest_error(run(**{name: 0.0})[0], whole).items():
            record[f"{of} without {name}"] = np.array(deviation)
            print(f"{of} without {name}: {deviation:.1%}", flush=True)
            assert np.isfinite(whole[of]).all()
            assert deviation > 0.1, "uncoupling must change it by over 10 %"
    np.savez_compressed(Path(__file__).with_name("surface.npz"), **record)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
