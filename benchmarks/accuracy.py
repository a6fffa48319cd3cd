"""How far is each model from what the field's simulators computed for the same network?"""

import os
import subprocess
import sys

from ._harness import TESTS

# What has a recording in a form of its own, and so no row.
APART = """
These are all models of both simulators, but for two of neurolib with networks of their own form, which
`pytest tests/test_reference.py -k "aln or thalamus"` compares: ALN and the thalamus, to 1e-10 each."""
HEADER = "| simulator | model | node | coupling | scheme | largest error | uncoupled | remark |"


def main():
    """Print the table in a process of its own, in float64, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    rows = []
    env = os.environ | {"JAX_ENABLE_X64": "1"}
    command = [sys.executable, "-m", "benchmarks.accuracy"]
    with subprocess.Popen(
        command, cwd=TESTS.parent, env=env, stdout=subprocess.PIPE, text=True
    ) as table:
        for line in table.stdout:
            print(line, end="", flush=True)
            if line.startswith("|"):
                rows.append([cell.strip() for cell in line.split("|")[1:-1]])
    if table.returncode:
        raise SystemExit(f"the comparison failed: exit {table.returncode}")
    print()
    names, _, *rows = rows
    return {"title": "accuracy", "rows": [dict(zip(names, row, strict=True)) for row in rows]}


def show():
    sys.path.append(str(TESTS))
    from reference.cases import CASES, RUNS
    from reference.compare import error, recorded, uncoupled

    versions = {"tvb": recorded()["tvb-library"], "neurolib": recorded()["neurolib"]}
    print(HEADER, "|---" * (HEADER.count("|") - 1) + "|", sep="\n")
    for name, scheme in RUNS:
        case = CASES[name]
        simulator = f"{case.simulator} {versions[case.simulator]}"
        cells = [simulator, case.model, case.node, case.coupling, scheme]
        cells += [f"{error(name, scheme):.1e}", f"{uncoupled(name, scheme):.0%}", case.note]
        print("|", " | ".join(cells), "|", flush=True)
    print(APART)


if __name__ == "__main__":
    show()
