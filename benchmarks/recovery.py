"""Does a fit find the parameters that made the data, and do its errors say how far off it is?"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

REGIONS, STEPS, DT, NOISE = 8, 200, 1.0, 0.02
STARTS, DATASETS = 20, 100
HEADER = "| fitted | truth | largest error of 20 starts | within its 95 % interval, of 100 |"


def main():
    """Print the tables in a process of its own, in float64, and return their rows."""
    print(f"# {__doc__}\n", flush=True)
    rows = []
    command = [sys.executable, "-m", "benchmarks.recovery"]
    env = os.environ | {"JAX_ENABLE_X64": "1"}
    here = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=here, env=env, stdout=subprocess.PIPE, text=True) as table:
        for text in table.stdout:
            print(text, end="", flush=True)
            cells = [cell.strip() for cell in text.split("|")[1:-1]]
            if len(cells) == 4 and "---" not in text:
                rows.append(cells)
    if table.returncode:
        raise SystemExit(f"the recovery failed: exit {table.returncode}")
    print()
    names, *rows = rows
    return {"title": "recovery", "rows": [dict(zip(names, row, strict=True)) for row in rows]}


def show(titles):
    """Print a table per case, in this process."""
    rng = np.random.default_rng(0)
    run, make = problem(rng)
    known = cases(make, rng)
    for title in titles or known:
        case = known[title]
        truths = [np.asarray(x) for x in case.pick(case.truth)]
        began = time.perf_counter()
        clean = run(case.truth)
        off = errors_of_starts(run, case, truths, clean, rng)
        covered = coverage(run, case, truths, clean)
        took = time.perf_counter() - began
        print(f"{REGIONS} delayed regions, {STEPS} steps, noise {NOISE}; {took:.0f} s\n")
        print(HEADER, "|---" * 4 + "|", sep="\n")
        for name, *cells in zip(title.split(","), truths, off, covered, strict=True):
            print(line(name.strip(), *cells), flush=True)
        print(flush=True)


def line(name, truth, off, count):
    if truth.shape:
        shown, hits = f"{truth.min():.3f} to {truth.max():.3f}", ", ".join(f"{c:g}" for c in count)
    else:
        shown, hits = f"{truth:g}", f"{count:g}"
    return f"| {name} | {shown} | {off:.1e} | {hits} |"


def problem(rng):
    """Return the run of a delayed network, and what makes its parameters from k."""
    connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
    W = cf.normalize(connectome.weights, by="row") * rng.uniform(0.5, 1.5, (REGIONS, REGIONS))
    lengths = jnp.clip(connectome.lengths, 5.0, None)
    bounds = cf.lag_bounds(lengths, speed=(2.0, 12.0), dt=DT)
    wire = cf.Wire("x", into="x")
    net = cf.Network(cf.nodes.hopf, DT, couplings=wire, lag_bounds=bounds, interpolate="linear")
    x0 = cf.nodes.HopfState(*jnp.asarray(rng.uniform(-1, 1, (2, REGIONS))))

    def make(k):
        node = cf.nodes.HopfParams(a=-0.01, omega=0.06)
        coupling = cf.DiffusiveCoupling(W, k=k)
        return cf.Params(node, coupling, lengths=lengths, speed=5.0)

    def run(params):
        state = net.init(x0, params)
        how = {"record": ("x", "y"), "every": 2, "derivative": "forward"}
        return jnp.stack(list(cf.simulate(net, state, params, STEPS, **how)[1].values()))

    return run, make


class Case(NamedTuple):
    """What made the data, and what a fit of it is told.

    Attributes:
        truth: the parameters that made the data.
        pick: a function of parameters that returns the fitted ones.
        ranges: the bounds of each fitted parameter.
        around: the range that the starts of each are drawn from.
    """

    truth: cf.Params
    pick: Callable[[cf.Params], tuple]
    ranges: list[tuple[float, float]]
    around: list[tuple[float, float]]

    def options(self):
        """Return what `least_squares` is told."""
        return {
            "where": lambda both: self.pick(both[0]),
            "transform": tuple(cf.transforms.bounded(*ends) for ends in self.ranges),
            "derivative": "forward",
        }


def cases(make, rng):
    """Return the cases by title, which names the fitted parameters."""
    return {
        "k, speed, a, omega": Case(
            make(jnp.asarray(0.06)),
            lambda p: (p.coupling.k, p.speed, p.node.a, p.node.omega),
            [(0.0, 0.3), (2.0, 12.0), (-0.2, 0.2), (0.02, 0.15)],
            [(0.02, 0.15), (3.0, 9.0), (-0.04, 0.02), (0.05, 0.07)],
        ),
        "k of each target, a, omega": Case(
            make(jnp.asarray(rng.uniform(0.03, 0.09, REGIONS))),
            lambda p: (p.coupling.k, p.node.a, p.node.omega),
            [(0.0, 0.3), (-0.2, 0.2), (0.02, 0.15)],
            [(0.02, 0.15), (-0.04, 0.02), (0.05, 0.07)],
        ),
    }


def residuals(run, both):
    params, data = both
    return (run(params) - data) / NOISE


def errors_of_starts(run, case, truths, clean, rng):
    """Return the largest relative error of each fitted parameter, over starts, from clean data."""
    starts = tuple(
        jnp.asarray(rng.uniform(*ends, (STARTS, *truth.shape)))
        for ends, truth in zip(case.around, truths, strict=True)
    )
    found = cf.least_squares(
        partial(residuals, run), (case.truth, clean), starts=starts, **case.options()
    )
    return [
        np.abs(x / truth - 1).reshape(STARTS, -1).max()
        for x, truth in zip(found.starts.best, truths, strict=True)
    ]


def coverage(run, case, truths, clean):
    """Count the noisy data sets in which the 95 % interval of a parameter holds its truth."""
    misfit, options = partial(residuals, run), case.options()
    inside = [np.zeros(truth.shape) for truth in truths]
    for key in jax.random.split(jax.random.key(1), DATASETS):
        data = clean + NOISE * jax.random.normal(key, clean.shape)
        fitted = cf.least_squares(misfit, (case.truth, data), **options)
        sure = cf.uncertainty(
            misfit, fitted.params, where=options["where"], noise=1.0, derivative="forward"
        )
        for count, low, high, truth in zip(inside, sure.lower, sure.upper, truths, strict=True):
            count += (low < truth) & (truth < high)
    return inside


if __name__ == "__main__":
    show(sys.argv[1:])
