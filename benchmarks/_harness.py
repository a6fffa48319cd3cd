"""Ask everyone the same, each in a process of its own; judge the answers; then show times."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ._machine import LOOP, spread_of
from ._problem import SWEEP, TOLERANCE, error, make_problem, reference

PEERS = ("brainmass", "tvboptim", "vbjax")
# Benchmarks may take from the tests; the tests take nothing from here.
TESTS = Path(__file__).resolve().parent.parent / "tests"
EVERYONE = ("coupling_fn", *PEERS, "plain", "numba", "bare")


def compare(case, names, repeats, timeout, rounds=1):
    """Have everyone answer a case: a row per implementation, of its cost or why it has none.

    With several rounds everyone takes turns, and the round with the smallest median counts: a
    machine that others use too is slow for seconds at a time, and never too fast.
    """
    problem, expected = prepared(replace(case, dtype="float64"))
    problem = replace(problem, case=case)
    with tempfile.TemporaryDirectory() as folder:
        problem.save(Path(folder) / "problem.npz")
        rows = [
            [row(name, problem, expected, Path(folder), repeats, timeout) for name in names]
            for _ in range(rounds)
        ]
        rows = [
            min(turns, key=lambda r: r.get("us_per_step", np.inf))
            for turns in zip(*rows, strict=True)
        ]
    peers = [r["us_per_step"] for r in rows if r["name"] in PEERS and "us_per_step" in r]
    for r in rows:
        if peers and "us_per_step" in r:
            r["times_fastest_peer"] = min(peers) / r["us_per_step"]
    bare = [r["us_per_step"] for r in rows if r["name"] == "bare" and "us_per_step" in r]
    for r in rows:
        if bare and "us_per_step" in r:
            r["times_bare"] = r["us_per_step"] / bare[0]
    name = Path(case.connectome).name  # without the folders of this machine
    answered = {"title": str(case), "case": asdict(replace(case, connectome=name)), "rows": rows}
    if "uncoupled" in expected:
        answered["uncoupled"] = float(expected["uncoupled"])
    return answered


@lru_cache(maxsize=1)
def prepared(case):
    """Make a problem and its reference once for both dtypes: with 1000 regions it is slow."""
    problem = make_problem(case)
    return problem, reference(problem)


def apart(command, timeout, *, x64):
    """Run a command in a process of its own; return None if it took too long."""
    env = os.environ | {"JAX_ENABLE_X64": str(int(x64))}
    try:
        return subprocess.run(
            command, cwd=TESTS.parent, env=env, timeout=timeout, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None


def ask(name, command, timeout, *, x64=False):
    """Return what a process printed last, as JSON, or why there is no answer."""
    done = apart(command, timeout, x64=x64)
    if done is None:
        return {"name": name, "failed": f"took more than {timeout} s"}
    if done.returncode:
        return {"name": name, "failed": done.stderr.strip().splitlines()[-1][:100]}
    return {"name": name, **json.loads(done.stdout.splitlines()[-1])}


def row(name, problem, expected, folder, repeats, timeout):
    case = problem.case
    command = [sys.executable, "-m", "benchmarks._worker", name, str(folder), str(repeats)]
    done = apart(command, timeout, x64=case.dtype == "float64")
    if done is None:
        return {"name": name, "failed": f"took more than {timeout} s"}
    report = folder / f"{name}.json"
    if not report.exists():
        return {"name": name, "failed": f"exit {done.returncode}: {done.stderr.strip()[-200:]}"}
    costs = json.loads(report.read_text())
    if "times_s" not in costs:
        return {"name": name, **costs}
    with np.load(folder / f"{name}.npz") as answer:
        try:
            off = error(problem, list(answer.values()), expected)
        except ValueError as why:
            return {"name": name, "failed": f"wrong answer: {why}"}
    if not off < TOLERANCE[case.dtype]:
        return {"name": name, "error": off, "failed": f"wrong answer: off by {off:.1e}"}
    median = np.median(costs["times_s"])
    runs = len(SWEEP) if case.quantity == "sweep" else 1
    cost = {"us_per_step": median / case.steps / runs * 1e6, "spread": spread_of(costs["times_s"])}
    if "forward_times_s" in costs:
        cost["times_own_forward"] = median / runs / np.median(costs["forward_times_s"])
    if "uncoupled_times_s" in costs:
        alone = np.median(costs["uncoupled_times_s"])
        cost["coupling_us"] = (median - alone) / case.steps / runs * 1e6
    return {"name": name, "error": off, **cost, **costs}


# What the rows of some tables have besides, with its format.
BESIDES = {
    "times_bare": ("time, bare scan = 1", ".2f"),
    "coupling_us": ("coupling alone, µs per step", ".3g"),
    "times_own_forward": ("time, own single forward run = 1", ".2f"),
}


def table(answered):
    each = f" (of one of {len(SWEEP)})" if answered["case"]["quantity"] == "sweep" else ""
    besides = [key for key in BESIDES if any(key in r for r in answered["rows"])]
    columns = [f"µs per step{each}", "spread", "speed, fastest peer = 1"]
    columns += [BESIDES[key][0] for key in besides] + ["compile, s", "temp, MB", "error"]
    lines = [f"## {answered['title']}, {on_cores()}", ""]
    if "uncoupled" in answered:
        lines += [f"Without the coupling, x differs by {answered['uncoupled']:.0%}.", ""]
    lines += [" | ".join(["| ", *columns]) + " |", "|---" * (len(columns) + 1) + "|"]

    def number(row, key, form):
        return "" if row.get(key) is None else format(row[key], form)

    for r in answered["rows"]:
        name = r["name"] + (f" ({r['variant']})" if "variant" in r else "")
        if "us_per_step" in r:
            cells = [number(r, "us_per_step", ".3g"), number(r, "spread", ".0%")]
            cells += [number(r, "times_fastest_peer", ".2f")]
            cells += [number(r, key, BESIDES[key][1]) for key in besides]
            cells += [number(r, "compile_s", ".2f"), number(r, "temp_mb", ".2f")]
            cells += [number(r, "error", ".0e")]
        else:
            cells = [r.get("skipped") or r["failed"], *[""] * (len(columns) - 1)]
        lines.append(" | ".join([f"| {name}", *cells]) + " |")
    return "\n".join([*lines, ""])


def cores():
    """Return the processor cores that this process and its children may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(count):
    """Keep this process, and all that it starts, to so many cores: the last, as the first serve more.

    It begins anew on those cores, because JAX may have started a thread for each of the others already.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise SystemExit("--cores: this system cannot pin processes to cores.")
    if count > len(cores()):
        raise SystemExit(f"--cores {count}: there are {len(cores())}.")
    if count < len(cores()):
        os.sched_setaffinity(0, cores()[-count:])
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])


def on_cores():
    count = len(cores())
    return f"on {count} core{'s' * (count > 1)}"


def machine():
    cpu = Path("/proc/cpuinfo")
    models = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((x.split(":", 1)[1].strip() for x in models if x.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "cores_used": len(cores()),
        "os": platform.system(),
        "reference_loop": LOOP,
    }
