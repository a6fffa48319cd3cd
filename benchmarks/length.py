"""How long are 60,000 steps, next to 30 times 2000?

A delayed run, recorded at every step. The beginning of the long run is compared with the short run, and
that with the answer in NumPy, before there is a time.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from . import _ours
from ._harness import on_cores, prepared
from ._machine import spread_of
from ._problem import TOLERANCE, Case, K, error, make_problem

TIMES = 30


def main(options, repeats):
    """Return a table per connectome and dt."""
    return [
        measure(Case(connectome, n, dt=dt, steps=options.steps or 2000), repeats)
        for connectome, n in options.connectomes(84)
        for dt in options.dts(0.1, 1.0)
    ]


def measure(case, repeats):
    """Time the short and the long run in turns."""
    short, long = (make_problem(Case(**vars(case) | {"steps": case.steps * t})) for t in (1, TIMES))
    args = jnp.asarray(K, case.dtype), jnp.asarray(short.weights, case.dtype)
    runs, compile_s = [], []
    for problem in (short, long):
        begin = time.perf_counter()
        runs.append(jax.jit(_ours.build(problem)).lower(*args).compile())
        compile_s.append(time.perf_counter() - begin)
    few, many = (np.asarray(run(*args)) for run in runs)
    _, expected = prepared(Case(**vars(case) | {"dtype": "float64"}))
    off = error(short, [few], expected)
    row = {"name": "coupling_fn", "error": off, "compile_s": compile_s}
    if not off < TOLERANCE[case.dtype] or not np.array_equal(many[: case.steps], few):
        row["failed"] = f"wrong answer: off by {off:.1e}"
    else:
        times = [[], []]
        for _ in range(repeats):
            for run, taken in zip(runs, times, strict=True):
                begin = time.perf_counter()
                jax.block_until_ready(run(*args))
                taken.append(time.perf_counter() - begin)
        row |= {"times_s": times[0], "long_times_s": times[1]}
        row["spread"] = max(map(spread_of, times))
        row["ratio"] = float(np.median(times[1]) / np.median(times[0]) / TIMES)
    title = f"{case}, and {TIMES} times as many, {on_cores()}"
    return {"title": title, "rows": [row]}


def table(answered):
    (row,) = answered["rows"]
    lines = [f"## {answered['title']}", ""]
    if "failed" in row:
        return "\n".join([*lines, row["failed"], ""])
    few, many = (np.median(row[key]) * 1e3 for key in ("times_s", "long_times_s"))
    lines += ["| short, ms | long, ms | long over times short | spread | compile, s | error |"]
    lines += ["|---" * 6 + "|"]
    lines += [
        f"| {few:.3g} | {many:.4g} | {row['ratio']:.3f} | {row['spread']:.0%} "
        f"| {row['compile_s'][0]:.2f}, {row['compile_s'][1]:.2f} | {row['error']:.0e} |"
    ]
    return "\n".join([*lines, ""])
