"""Record the trajectories that test_reference.py compares with: `python tests/reference/record.py`.

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

from reference.cases import CASES, EVERY, REGIONS, STEPS, Case, connectome, start


def by_tvb(case: Case, scheme: str, weights: np.ndarray, lengths: np.ndarray, *, off=False):
    """Run TVB: the states `(time, state, region)` after every 50 steps; `off` uncouples the regions."""
    from tvb.simulator.lab import connectivity, coupling, integrators, models, monitors, simulator

    arrays = lambda values: {name: np.array([float(x)]) for name, x in values.items()}
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
    model.variables_of_interest = tuple(model.state_variables)
    horizon = int(np.rint(lengths / case.speed / case.dt).max()) + 1
    past = np.broadcast_to(start(case)[:, :, None], (horizon, len(case.start), REGIONS, 1)).copy()
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
    states = [run.current_state[:, :, 0].copy() for _ in run()]
    assert len(states) == STEPS
    return np.array(states)[EVERY - 1 :: EVERY]


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
    return np.moveaxis(out, 2, 0)[EVERY - 1 :: EVERY]


def main():
    logging.disable(logging.CRITICAL)
    weights, lengths = connectome()
    record = {"weights": weights, "lengths": lengths}
    record |= {p: np.array(version(p)) for p in ("tvb-library", "neurolib", "numpy")}
    for case in CASES.values():
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
    np.savez_compressed(Path(__file__).with_name("trajectories.npz"), **record)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
