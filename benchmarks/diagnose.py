"""How long does `diagnose` take on 10^4 regions?

`python -m benchmarks diagnose`: sparse weights and lengths of so many regions, and a second matrix for
the check of orientation. The time is that of the first call, in seconds of the processor.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO

import coupling_fn as cf

SIZES = ((1000, 30), (10_000, 30), (10_000, 300))
LIMIT = 5.0  # [s]


def sparse_connectome(regions, degree):
    """Return log-normal weights from random sources, and lengths in the order of the edges."""
    rng = np.random.default_rng(0)
    drawn = np.repeat(np.arange(regions), degree) * regions
    keys = np.unique(drawn + rng.integers(0, regions, regions * degree))
    index = np.stack([keys // regions, keys % regions], axis=1)
    weights = rng.lognormal(size=len(keys)) / degree
    conn = BCOO((jnp.asarray(weights), jnp.asarray(index)), shape=(regions, regions))
    return conn, rng.uniform(10, 200, len(keys))


def main():
    """Print a table, and return its rows."""
    print(f"# {__doc__.splitlines()[0]}\n")
    print("| regions | edges | s | findings |", "|---" * 4 + "|", sep="\n")
    rows = []
    for regions, degree in SIZES:
        conn, lengths = sparse_connectome(regions, degree)
        jax.block_until_ready(conn.data)
        begun = time.process_time()
        report = cf.diagnose(conn, lengths=lengths, speed=3.0, dt=0.1, compare_with=conn)
        took = time.process_time() - begun
        codes = ", ".join(report.codes) or "none"
        rows.append({"regions": regions, "edges": conn.nse, "s": took, "codes": codes})
        over = "" if took < LIMIT else f" (above {LIMIT:g})"
        print(f"| {regions} | {conn.nse} | {took:.2f}{over} | {codes} |", flush=True)
    print()
    return {"title": "diagnose", "rows": rows}
