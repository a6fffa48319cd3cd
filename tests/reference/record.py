"""Record the trajectories that test_reference.py compares with: `python tests/reference/record.py`.

With names of files, `trajectories`, `further` or `second_order`, it records these alone.

Needs the extra "reference": The Virtual Brain's simulation library and neurolib. Both are only run
here, never read: what their models compute is told by their documentation, the papers, and the
numbers that they return.
"""

import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reference.cases import CASES, REGIONS, STEPS, Case, connectome, start


def by_tvb(case: Case, scheme: str, weights: np.ndarray, lengths: np.ndarray, *, off=False):
    """Run TVB: the states `(time, state, region)` of some steps; `off` uncouples the regions."""
    from tvb.simulator.lab import connectivity, coupling, integrators, models, monitors, simulator

    number = lambda x: x if isinstance(x, int) else float(x)  # counts must stay integers
    arrays = lambda values: {name: np.array([number(x)]) for name, x in values.items()}
    their_args = case.their_args
    if off:  # TVB's sigmoid after the sum sends something at weights of 0, too
        weights = np.zeros_like(weights)
        their_args = {n: 0 if n in ("cmin", "cmax", "b") else x for n, x in their_args.items()}
    structure = connectivity.Connectivity(
        weights=weights,
        tract_lengths=lengths,
        speed=np.array([case.speed]),
        region_labels=np.array([str(i) for i in range(REGIONS)]),
        centres=np.zeros((REGIONS, 3)),
    )
    structure.configure()
    model = getattr(models, case.model)(**arrays(case.theirs))
    horizon = int(np.rint(lengths / case.speed / case.dt).max()) + 1
    x0 = start(case)
    if case.extra:
        x0 = np.concatenate([x0, case.extra(x0)])
    modes = model.number_of_modes  # each of which is a state of ours
    x0 = np.moveaxis(x0.reshape(-1, modes, REGIONS), 1, 2)
    past = np.repeat(x0[None], horizon, axis=0)
    schemes = {"euler": integrators.EulerDeterministic, "heun": integrators.HeunDeterministic}
    run = simulator.Simulator(
        model=model,
        connectivity=structure,
        coupling=getattr(coupling, case.coupling)(**arrays(their_args)),
        integrator=schemes[scheme](dt=case.dt),
        monitors=(monitors.Raw(),),
        initial_conditions=past,
        simulation_length=STEPS * case.dt,
    )
    run.configure()
    states = [np.moveaxis(run.current_state.copy(), 2, 1).reshape(-1, REGIONS) for _ in run()]
    assert len(states) == STEPS
    return np.array(states)[case.every - 1 :: case.every, : len(case.start)]


THEIR_NAMES = {
    "HopfModel": (("xs_init", "ys_init"), ("x", "y")),
    "FHNModel": (("xs_init", "ys_init"), ("x", "y")),
    "WCModel": (("exc_init", "inh_init"), ("exc", "inh")),
    "WWModel": (("ses_init", "sis_init"), ("se", "si")),
}


def by_neurolib(case: Case, scheme: str, weights: np.ndarray, lengths: np.ndarray, *, off=False):
    """Run neurolib: the same states. It has Euler alone."""
    from neurolib.models import fhn, hopf, wc, ww

    assert scheme == "euler"
    modules = {"HopfModel": hopf, "FHNModel": fhn, "WCModel": wc, "WWModel": ww}
    model = getattr(modules[case.model], case.model)(Cmat=weights, Dmat=lengths, seed=0)
    given = {"dt": case.dt, "duration": STEPS * case.dt, "signalV": case.speed, "sigma_ou": 0.0}
    given |= case.theirs | case.their_args | ({"K_gl": 0.0} if off else {})
    for name, value in given.items():
        if name in model.params:  # not every model offers a choice of coupling
            external = name.endswith("_ext")
            model.params[name] = np.full(REGIONS, value) if external else value
    initial, states = THEIR_NAMES[case.model]
    for name, x in zip(initial, start(case), strict=True):
        model.params[name] = x[:, None]
    model.run()
    out = np.stack([model.outputs[name] for name in states])
    assert out.shape == (len(states), REGIONS, STEPS)
    return np.moveaxis(out, 2, 0)[case.every - 1 :: case.every]


PACKAGES = {"tvb": "tvb-library", "neurolib": "neurolib"}


def main(files):
    logging.disable(logging.CRITICAL)
    for file in files or sorted({case.file for case in CASES.values()}):
        record_file(file)


def record_file(file):
    weights, lengths = connectome()
    record = {"weights": weights, "lengths": lengths}
    cases = [case for case in CASES.values() if case.file == file]
    packages = {"numpy", *(PACKAGES[case.simulator] for case in cases)}
    record |= {package: np.array(version(package)) for package in packages}
    for case in cases:
        run = {"tvb": by_tvb, "neurolib": by_neurolib}[case.simulator]
        for scheme in case.schemes:
            x = run(case, scheme, weights, lengths)
            alone = run(case, scheme, weights, lengths, off=True)
            size = np.abs(x).max(axis=(0, 2), keepdims=True)
            deviation = (np.abs(alone - x) / size).max()
            record[f"{case.name}-{scheme}"] = x
            record[f"{case.name}-{scheme}-uncoupled"] = np.array(deviation)
            spans = ", ".join(f"{y.min():.3g}..{y.max():.3g}" for y in np.moveaxis(x, 1, 0))
            print(f"{case.name:45} {scheme:6} uncoupled {deviation:8.2%}  {spans}", flush=True)
            if not np.isfinite(x).all() or not deviation > 0.1:
                raise SystemExit("it must stay finite, and uncoupling change it by over 10 %")
    np.savez_compressed(Path(__file__).with_name(f"{file}.npz"), **record)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(sys.argv[1:])
