"""Does a fit find the parameters that made the data, and do its errors say how far off it is?"""

import os
import subprocess
import sys
import time
from pathlib import Path

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
        for line in table.stdout:
            print(line, end="", flush=True)
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if len(cells) == 4 and "---" not in line:
                rows.append(cells)
    if table.returncode:
        raise SystemExit(f"the recovery failed: exit {table.returncode}")
    print()
    names, *rows = rows
    return {"title": "recovery", "rows": [dict(zip(names, row, strict=True)) for row in rows]}


def show(titles):
    import jax
    import jax.numpy as jnp
    import numpy as np

    import coupling_fn as cf

    rng = np.random.default_rng(0)
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

    def residuals(both):
        params, data = both
        return (run(params) - data) / NOISE

    per_target = jnp.asarray(rng.uniform(0.03, 0.09, REGIONS))
    cases = {
        "k, speed, a, omega": (
            make(jnp.asarray(0.06)),
            lambda p: (p.coupling.k, p.speed, p.node.a, p.node.omega),
            [(0.0, 0.3), (2.0, 12.0), (-0.2, 0.2), (0.02, 0.15)],
            [(0.02, 0.15), (3.0, 9.0), (-0.04, 0.02), (0.05, 0.07)],
        ),
        "k of each target, a, omega": (
            make(per_target),
            lambda p: (p.coupling.k, p.node.a, p.node.omega),
            [(0.0, 0.3), (-0.2, 0.2), (0.02, 0.15)],
            [(0.02, 0.15), (-0.04, 0.02), (0.05, 0.07)],
        ),
    }
    for title in titles or cases:
        truth, pick, ranges, around = cases[title]
        where = lambda both, pick=pick: pick(both[0])
        transform = tuple(cf.transforms.bounded(low, high) for low, high in ranges)
        true = [np.asarray(x) for x in pick(truth)]
        began = time.perf_counter()
        clean = run(truth)

        starts = tuple(
            jnp.asarray(rng.uniform(*ends, (STARTS, *x.shape)))
            for ends, x in zip(around, true, strict=True)
        )
        options = {"where": where, "transform": transform, "derivative": "forward"}
        found = cf.least_squares(residuals, (truth, clean), starts=starts, **options)
        far = [
            np.abs(x / t - 1).reshape(STARTS, -1).max()
            for x, t in zip(found.starts.best, true, strict=True)
        ]

        inside = [np.zeros(x.shape) for x in true]
        for key in jax.random.split(jax.random.key(1), DATASETS):
            data = clean + NOISE * jax.random.normal(key, clean.shape)
            fitted = cf.least_squares(residuals, (truth, data), **options)
            sure = cf.uncertainty(
                residuals, fitted.params, where=where, noise=1.0, derivative="forward"
            )
            for count, low, high, t in zip(inside, sure.lower, sure.upper, true, strict=True):
                count += (low < t) & (t < high)

        names = [name.strip() for name in title.split(",")]
        took = time.perf_counter() - began
        print(f"{REGIONS} delayed regions, {STEPS} steps, noise {NOISE}; {took:.0f} s\n")
        print(HEADER, "|---" * 4 + "|", sep="\n")
        for name, t, off, count in zip(names, true, far, inside, strict=True):
            shown = f"{t:g}" if not t.shape else f"{t.min():.3f} to {t.max():.3f}"
            hits = f"{count:g}" if not t.shape else ", ".join(f"{c:g}" for c in count)
            print(f"| {name} | {shown} | {off:.1e} | {hits} |", flush=True)
        print(flush=True)


if __name__ == "__main__":
    show(sys.argv[1:])
