"""How long are the first minutes: importing, `--help`, and a first fit with all its compiling?

Each row is a process of its own, and the processes take turns, since a machine is slow for seconds. A
fit is that of `python -m benchmarks fit` by Adam: 84 regions, 200 ms, from the start of the process to
k. With a full cache, JAX finds in a folder what an earlier process compiled. The processor's time counts
all threads, and depends less than the wall's on what else a machine does.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ._harness import TESTS, spread_of
from ._problem import Case, K, load_problem, make_problem, solve

BASE = "`import jax, equinox, optax`"
FIT = "first fit"
USED = (
    "import coupling_fn as cf; cf.lags, cf.normalize, cf.Network, cf.Params, cf.nodes.hopf, "
    "cf.DiffusiveCoupling, cf.simulate, cf.fit, cf.observe.functional_connectivity"
)
NEAR = 0.01


def main(repeats, steps=2000, n=84):
    """Print a table of times, and of their ratios to importing JAX."""
    print(f"# {__doc__}\n", flush=True)
    case = Case("synthetic", n, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        problem = make_problem(replace(case, dtype="float64"))
        replace(problem, case=case).save(Path(folder) / "problem.npz")
        np.save(Path(folder) / "data.npy", solve(problem))
        fit = ["-m", "benchmarks.first", folder]
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        # Python's own cache of what it parsed, so that no process pays for it.
        parsed = {
            "PYTHONPYCACHEPREFIX": str(Path(folder) / "parsed"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        asked = {
            BASE: (["-c", "import jax, equinox, optax"], {}),
            "`import coupling_fn`": (["-c", "import coupling_fn"], {}),
            "`import coupling_fn`, and what a fit uses of it": (["-c", USED], {}),
            "`python -m coupling_fn --help`": (["-m", "coupling_fn", "--help"], {}),
            FIT: (fit, {}),
            f"{FIT}, with a full cache": (fit, cache),
        }
        taken = {name: [] for name in asked}
        for turn in range(repeats + 1):
            for name, (command, settings) in asked.items():
                measured = timed(command, settings | parsed)
                if turn:  # The first fills the caches.
                    taken[name].append(measured)
    rows = [summed_up(name, each) for name, each in taken.items()]
    base = {row["name"]: row for row in rows}[BASE]
    for row in rows:
        for time_of in ("wall_s", "cpu_s"):
            row[f"times_base_{time_of[:-2]}"] = row[time_of] / base[time_of]
    print(table(rows), flush=True)
    return {"title": f"first, {case}", "rows": rows}


def timed(command, settings):
    """Run Python apart; return the seconds on the wall and of the processor, and what it printed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=TESTS.parent,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = json.loads(done.stdout.splitlines()[-1]) if "benchmarks.first" in command else {}
    if told and not abs(told["k"] / K - 1) < NEAR:
        raise RuntimeError(f"The fit ended at k = {told['k']}, not at {K}: it has no time.")
    return {"wall_s": wall, "cpu_s": used, **told}


def summed_up(name, each):
    walls = [one["wall_s"] for one in each]
    row = {"name": name, "times_s": walls, "spread": spread_of(walls)}
    return row | {key: float(np.median([one[key] for one in each])) for key in each[0]}


def table(rows):
    lines = ["| | wall, s | processor, s | wall, import = 1 | processor, import = 1 | programs |"]
    lines.append("|---" * 6 + "|")
    for row in rows:
        cells = [
            f"{row[key]:.2f}" for key in ("wall_s", "cpu_s", "times_base_wall", "times_base_cpu")
        ]
        programs = f"{row['programs']:.0f}" if "programs" in row else ""
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {programs} |")
    return "\n".join([*lines, ""])


def first_fit(folder):
    """Fit k once in this process; print it, and how many programs that compiled or read."""
    problem = load_problem(folder / "problem.npz")
    data = np.load(folder / "data.npy").astype(problem.case.dtype)
    import jax

    made = []
    event = "/jax/core/compile/backend_compile_duration"
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: made.append(name) if name == event else None
    )
    from .fit import FITTERS

    fit, _ = FITTERS["adam"](problem, data)
    print(json.dumps({"k": float(fit()), "programs": len(made)}))


if __name__ == "__main__":
    first_fit(Path(sys.argv[1]))
