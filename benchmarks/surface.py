"""How far is a run on a cortical surface from The Virtual Brain's own, and how long is it next to it?

16,384 vertices with local coupling, 76 regions coupled over tracts with delays; averages over regions
and EEG of 63 sensors come out. Both take turns in one process, once for each precision of ours. Answers
are compared before there is a time. It needs tvb-data and tvb-library (the extras `data`, `reference`).
"""

import importlib.util
import json
import logging
import sys
import time
import tracemalloc

import jax
import numpy as np

import coupling_fn as cf

from ._harness import TESTS, ask, on_cores
from ._machine import spread_of

NEEDED = ("tvb_data", "tvb")
# TVB keeps its history in float32, which alone makes a difference of 1e-8 to 1e-7.
TOLERANCE = {"float32": 2e-5, "float64": 1e-6}
LEAST = 500  # steps: before, nothing has arrived over most tracts


def main(options, repeats, timeout):
    """Return the table, or one that says what is missing."""
    steps = max(options.steps or 1000, LEAST)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    rows = []
    for dtype in options.dtype or ["float32", "float64"]:
        if missing:
            rows.append({"name": dtype, "skipped": f"not installed: {', '.join(missing)}"})
            continue
        command = [sys.executable, "-m", "benchmarks.surface", str(steps), str(repeats)]
        rows.append(ask(dtype, command, timeout, x64=dtype == "float64"))
    title = f"cortical surface, dt 0.1 ms, Euler, {steps} steps, {on_cores()}"
    return [{"title": title, "rows": rows}]


def compare(steps, repeats):
    """Run both, and print as JSON how far apart they are and how long they take."""
    sys.path.append(str(TESTS))
    from reference import record_surface as theirs
    from reference.surface import largest_error, loaded, ours, sampled

    logging.disable(logging.CRITICAL)
    cortex, connectome = loaded()
    net, state, params, measured = ours(cortex, connectome)

    def run(state, params):
        return cf.simulate(net, state, params, steps, record=measured)[1]

    begin = time.perf_counter()
    compiled = jax.jit(run).lower(state, params).compile()
    row = {"compile_s": time.perf_counter() - begin}
    memory = compiled.memory_analysis()
    parts = ("temp", "argument", "output")
    row["mb"] = {part: getattr(memory, f"{part}_size_in_bytes") / 1e6 for part in parts}
    simulator = theirs.prepared(steps)
    first = simulator.current_step
    tracemalloc.start()
    result = simulator.run()
    row["tvb_mb"] = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    wanted = theirs.outputs(simulator, result, theirs.known_sensors(cortex.sensors))
    row["errors"] = largest_error(sampled(*compiled(state, params), first), wanted)
    off = max(row["errors"].values())
    if not off < TOLERANCE[str(connectome.weights.dtype)]:
        row["failed"] = f"wrong answer: off by {off:.1e}"
    else:
        row["times_s"], row["tvb_times_s"] = [], []
        for _ in range(repeats):
            begin = time.perf_counter()
            jax.block_until_ready(compiled(state, params))
            row["times_s"].append(time.perf_counter() - begin)
            simulator = theirs.prepared(steps)
            begin = time.perf_counter()
            simulator.run()
            row["tvb_times_s"].append(time.perf_counter() - begin)
        both = row["times_s"], row["tvb_times_s"]
        row["us_per_step"], row["tvb_us_per_step"] = (np.median(x) / steps * 1e6 for x in both)
        row["ratio"] = row["tvb_us_per_step"] / row["us_per_step"]
        row["spread"] = max(map(spread_of, both))
    print(json.dumps(row))


def table(answered):
    lines = [f"## {answered['title']}", ""]
    lines += [
        "| | coupling_fn, µs per step | TVB, µs per step | ratio | spread | error of averages, of EEG "
        "| compile, s | temporary memory, MB | TVB's, MB |"
    ]
    lines += ["|---" * 9 + "|"]
    for r in answered["rows"]:
        if "failed" in r or "skipped" in r:
            lines.append(f"| {r['name']} | {r.get('skipped') or r['failed']}" + " |" * 8)
            continue
        lines.append(
            f"| {r['name']} | {r['us_per_step']:.3g} | {r['tvb_us_per_step']:.3g} | {r['ratio']:.1f} "
            f"| {r['spread']:.0%} | {r['errors']['means']:.0e}, {r['errors']['eeg']:.0e} "
            f"| {r['compile_s']:.1f} | {r['mb']['temp']:.1f} | {r['tvb_mb']:.1f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    compare(*map(int, sys.argv[1:]))
