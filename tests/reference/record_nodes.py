"""Record neurolib's thalamus and ALN: `python tests/reference/record_nodes.py`.

Needs the extra "reference".
"""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reference.cases import REGIONS, connectome
from reference.nodes import (
    ALN,
    ALN_DT,
    EVERY,
    STATES,
    STEPS,
    THALAMUS,
    THALAMUS_DT,
    aln_start,
    aln_tables,
    thalamus_start,
)


def thalamus() -> dict[str, np.ndarray]:
    """Return both potentials, `(time, state, region)`, and the other states at the end."""
    from neurolib.models.thalamus import ThalamicMassModel

    potentials, ends = [], []
    for start in thalamus_start().T:
        model = ThalamicMassModel(seed=0)
        model.params.update(THALAMUS, dt=THALAMUS_DT, duration=STEPS * THALAMUS_DT)
        for name, x in zip(STATES, start, strict=True):
            model.params[f"{name}_init"] = np.array([x]) if name.startswith("V") else np.array(x)
        model.run()
        potentials.append([model.outputs[name].ravel() for name in ("V_t", "V_r")])
        ends.append([float(np.ravel(model.state[name])[-1]) for name in STATES[2:]])
    x = np.moveaxis(np.array(potentials), -1, 0)[EVERY - 1 :: EVERY]
    return {"thalamus": np.swapaxes(x, 1, 2), "thalamus-end": np.array(ends).T}


def aln(k: float = 1.0) -> dict[str, np.ndarray]:
    """Return both rates and the adaptation over time, and the other states at the end."""
    from neurolib.models.aln import ALNModel

    weights, lengths = connectome()
    model = ALNModel(Cmat=weights, Dmat=lengths, seed=0)
    model.params.update(ALN, dt=ALN_DT, duration=STEPS * ALN_DT, signalV=0.3 / ALN_DT)
    model.params["Ke_gl"] *= k
    for name, x in aln_start().items():
        column = name.startswith(("rates", "IA"))
        model.params[f"{name}_init"] = x[:, None] if column else x.copy()
    for cell, name in (("e", "mue"), ("i", "mui")):
        model.params[f"mu{cell}_ou"] = np.full(REGIONS, model.params[f"{name}_ext_mean"])
    tables = aln_tables()
    model.params.update(Irange=tables["mu"], sigmarange=tables["sigma"])
    model.params.update(
        dI=tables["mu"][1] - tables["mu"][0], ds=tables["sigma"][1] - tables["sigma"][0]
    )
    model.params.update(
        precalc_r=tables["rate"], precalc_V=tables["V"], precalc_tau_mu=tables["tau"]
    )
    model.run()
    names = ("rates_exc", "rates_inh", "IA")
    series = np.array([model.outputs[name] for name in names])
    ends = [np.ravel(model.state[name]) for name in aln_start() if name not in names]
    return {"aln": np.moveaxis(series, 2, 0)[EVERY - 1 :: EVERY], "aln-end": np.array(ends)}


def main():
    coupled, alone = aln(), aln(k=0.0)["aln"]
    size = np.abs(coupled["aln"]).max(axis=(0, 2), keepdims=True)
    deviation = (np.abs(alone - coupled["aln"]) / size).max()
    record = thalamus() | coupled | {"aln-uncoupled": np.array(deviation)}
    for name, x in record.items():
        spans = ", ".join(
            f"{y.min():.3g}..{y.max():.3g}"
            for y in (np.moveaxis(x, 1, 0) if x.ndim == 3 else np.atleast_1d(x))
        )
        print(name, spans)
        if not np.isfinite(x).all():
            raise SystemExit("it must stay finite")
    record |= {p: np.array(version(p)) for p in ("neurolib", "numpy")}
    np.savez_compressed(Path(__file__).with_name("nodes.npz"), **record)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
