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


def ask(name, command, timeout):
    """Return what a process printed last, as JSON, or why there is no answer."""
    done = apart(command, timeout, x64=False)
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
    low, median, high = np.percentile(costs["times_s"], [25, 50, 75])
    runs = len(SWEEP) if case.quantity == "sweep" else 1
    cost = {"us_per_step": median / case.steps / runs * 1e6, "spread": (high - low) / median}
    return {"name": name, "error": off, **cost, **costs}


def table(answered):
    each = f" (of one of {len(SWEEP)})" if answered["case"]["quantity"] == "sweep" else ""
    lines = [f"## {answered['title']}", ""]
    if "uncoupled" in answered:
        lines += [f"Without the coupling, x differs by {answered['uncoupled']:.0%}.", ""]
    lines += [
        f"| | µs per step{each} | spread | speed, fastest peer = 1 | compile, s | temp, MB | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in answered["rows"]:
        if "us_per_step" not in r:
            lines.append(f"| {r['name']} | {r.get('skipped') or r['failed']} | | | | | |")
            continue
        ratio, temp = r.get("times_fastest_peer"), r.get("temp_mb")
        lines.append(
            f"| {r['name']} | {r['us_per_step']:.3g} | {r['spread']:.0%} "
            f"| {'' if ratio is None else f'{ratio:.2f}'} | {r['compile_s']:.2f} "
            f"| {'' if temp is None else f'{temp:.2f}'} | {r['error']:.0e} |"
        )
    return "\n".join([*lines, ""])


def machine():
    cpu = Path("/proc/cpuinfo")
    models = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((x.split(":", 1)[1].strip() for x in models if x.startswith("model name")), "")
    return {"cpu": model or platform.processor(), "cores": os.cpu_count(), "os": platform.system()}
