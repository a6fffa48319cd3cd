"""Does any file break a loader? Atheris fuzzes them, guided by what the code does with the bytes.

`python -m benchmarks.fuzz [SECONDS]`, per kind of file. Anything but a finite connectome or a
`ValueError` that names the file is a failure; its bytes are kept in the folder that is printed. This is
not a benchmark, so `python -m benchmarks` does not run it. It needs `pip install atheris`, for Linux and
macOS.
"""

import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

SUFFIXES = (".zip", ".npz", ".csv", ".tsv", ".txt", ".npy", ".graphml")
MARKS = {".csv": ",", ".tsv": "\t", ".txt": " "}
LIMITS = ["-rss_limit_mb=4096", "-timeout=20", "-print_final_stats=1"]


def main(seconds):
    """Fuzz each kind of file in a process of its own, and print how much was tried."""
    print("| file | tried | broke |", "|---" * 3 + "|", sep="\n")
    broken = 0
    for suffix in SUFFIXES:
        corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
        command = [sys.executable, "-m", "benchmarks.fuzz", suffix, str(corpus), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True)
        tried = re.search(r"number_of_executed_units: *(\d+)", done.stderr)
        if not tried:
            raise RuntimeError(f"atheris did not run:\n{done.stderr[-2000:]}")
        broken += done.returncode != 0
        verdict = f"{done.stderr[-2000:]} {corpus}" if done.returncode else "no"
        print(f"| {suffix} | {tried[1]} | {verdict} |", flush=True)
    return broken


def begin(suffix, corpus):
    """Write two sound files to begin with."""
    import coupling_fn as cf

    weights, nodes = np.array([[0.0, 0.5], [0.25, 0.0]]), ["a", "b"]
    named = cf.Connectome(weights, 10 * weights, nodes)
    for name, conn in (("plain", cf.Connectome(weights)), ("named", named)):
        path = corpus / f"{name}{suffix}"
        if suffix in (".zip", ".npz"):
            cf.save_connectome(path, conn)
        elif suffix == ".npy":
            np.save(path, np.asarray(conn.weights))
        elif suffix == ".graphml":
            path.write_text(_graphml(nodes, {"weight": conn.weights, "length": conn.lengths}))
        elif conn.labels is None:
            np.savetxt(path, np.asarray(conn.weights), delimiter=MARKS[suffix])
        else:
            header = MARKS[suffix].join(nodes)
            np.savetxt(
                path, np.asarray(conn.weights), delimiter=MARKS[suffix], header=header, comments=""
            )


def _graphml(nodes, matrices):
    """Write the edges between two nodes with what is known of them."""
    known = {name: x for name, x in matrices.items() if x is not None}
    lines = ["<graphml>"]
    lines += [f'<key id="{k}" for="edge" attr.name="{k}" attr.type="double"/>' for k in known]
    lines += ['<graph edgedefault="directed">', *(f'<node id="{node}"/>' for node in nodes)]
    for i, j in ((0, 1), (1, 0)):
        values = "".join(f'<data key="{k}">{float(x[i, j])}</data>' for k, x in known.items())
        lines.append(f'<edge source="{nodes[j]}" target="{nodes[i]}">{values}</edge>')
    return "\n".join([*lines, "</graph>", "</graphml>"])


def fuzz(suffix, corpus, seconds):
    """Feed a loader with bytes for so many seconds; this ends the process."""
    import atheris

    with atheris.instrument_imports(include=["coupling_fn", "numpy.lib", "zipfile"]):
        import coupling_fn as cf
    begin(suffix, corpus)
    path = Path(tempfile.mkdtemp(prefix="fuzzed-")) / f"c{suffix}"

    def one(data):
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                conn = cf.load_connectome(path)
        except ValueError as error:
            if path.name not in str(error):
                raise AssertionError(f"the file is not named: {error}") from error
        else:
            weights = np.asarray(conn.weights)
            assert np.isfinite(weights).all()
            assert conn.lengths is None or np.isfinite(np.asarray(conn.lengths)[weights != 0]).all()

    where = [f"-artifact_prefix={corpus}/", f"-max_total_time={seconds}", str(corpus)]
    atheris.Setup([sys.argv[0], *LIMITS, *where], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
