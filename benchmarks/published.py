"""Does the library compute what the literature reports?

`python -m benchmarks published`: a row per number, in float64, with the paper (or the value computed
independently of this library, by continuation, spectral methods or in closed form), ours, and the
criterion. The command exits with 1 if a row fails.
"""

import json
import os
import subprocess
import sys
import time

from . import _published_runs, _published_stability
from ._harness import TESTS

CASES = {case.__name__: case for case in (*_published_stability.CASES, *_published_runs.CASES)}
HEADER = "| paper | result | published | ours | difference | criterion | |"
MARK = "row: "


def main():
    """Print the table, computed by a process of its own in float64, and return its rows."""
    print(f"# {__doc__.splitlines()[0]}\n", flush=True)
    rows = []
    command = [sys.executable, "-m", "benchmarks.published"]
    env = os.environ | {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        command, cwd=TESTS.parent, env=env, stdout=subprocess.PIPE, text=True
    ) as table:
        for line in table.stdout:
            if line.startswith(MARK):
                rows.append(json.loads(line.removeprefix(MARK)))
            else:
                print(line, end="", flush=True)
    if table.returncode:
        raise SystemExit(f"the comparison stopped: exit {table.returncode}")
    failing = [row["name"] for row in rows if not row["passed"]]
    print(f"\n{len(rows) - len(failing)} of {len(rows)} pass.", *failing, sep="\nfails: ")
    print()
    return {"title": "published", "rows": rows}


def show(names=tuple(CASES)):
    """Print the rows of these cases, and each once more as JSON for `main`."""
    print(HEADER, "|---" * (HEADER.count("|") - 1) + "|", sep="\n", flush=True)
    for name in names:
        begun = time.process_time()
        for row in CASES[name]():
            print("|", " | ".join(row.cells()), "|", flush=True)
            record = row.record() | {"case": name, "s": time.process_time() - begun}
            print(f"{MARK}{json.dumps(record)}", flush=True)


if __name__ == "__main__":
    show(sys.argv[1:] or tuple(CASES))
