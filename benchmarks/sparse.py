"""How long is a step over a sparse connection, per stored weight?

Linear nodes, `dx_i = -x_i + k sum_j W_ij x_j(t - d_ij)`, in Euler steps and float32. Degrees are those
of a random graph, or heavy-tailed: a few nodes have up to 100 times the median. scipy's CSR product,
on one core, is the limit for what is not delayed. Each runs in a process of its own, and one that does
not compute the same x gets no time.
"""

import importlib
import json
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from ._harness import ask
from ._sparse_problem import DT, RUNS, TOLERANCE, Case, K, make_problem, reference

PRODUCTS = ("scipy", "BCOO", "BCSR")  # products of matrices, beside the libraries


def answering(case):
    """Name who answers a case; peers are not asked about the largest networks."""
    if case.delayed:
        return ("coupling_fn",) if case.n > 500_000 else ("coupling_fn", "tvboptim")
    peers = () if case.quantity == "forward" and case.n > 500_000 else ("tvboptim",)
    if case.quantity == "forward":
        return ("coupling_fn", "scipy", "BCOO", "BCSR", *peers)
    return ("coupling_fn", "BCOO", *peers)


def cases(options):
    """Yield the cases; with `--n` only those of these sizes."""
    known = [
        *[
            Case(n, degree, heavy=heavy)
            for n in (1000, 10_000, 100_000, 1_000_000)
            for degree in (20, 100)
            for heavy in (False, True)
            if n * degree <= 2e7
        ],
        *[Case(n, 20, "sweep") for n in (1000, 10_000, 100_000)],
        *[Case(n, 20, "grad_k") for n in (10_000, 100_000)],
        *[
            Case(n, degree, quantity, delayed=True)
            for n, degree in ((1000, 10), (100_000, 20))
            for quantity in ("forward", "grad_k")
        ],
        Case(1000, 10, "sweep", delayed=True),
        Case(1_000_000, 20, delayed=True),
    ]
    for case in known:
        if not options.n or case.n in options.n:
            runs = len(RUNS) if case.quantity == "sweep" else 1
            steps = int(np.clip(2e8 / (case.n * case.degree * runs), 32, 2000))
            yield Case(**asdict(case) | {"steps": options.steps or steps})


def main(options, timeout, only, repeats):
    """Print a table per case, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    tables = [construction()] if not options.n else []
    for case in cases(options):
        problem = make_problem(case)
        edges = len(problem["weight"])
        print(f"## {case}: {edges} edges, {case.steps} steps\n")
        print(
            "| | ns per weight | µs per step | compile, s | memory, MB | error |",
            "|---" * 6 + "|",
            sep="\n",
        )
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            np.savez(folder / "problem.npz", **problem, case=json.dumps(asdict(case)))
            wanted = reference(case, problem)
            for name in answering(case):
                if not only or name in only:
                    rows.append(judged(name, case, folder, wanted, edges, timeout, repeats))
                    print(line(rows[-1]), flush=True)
        print()
        tables.append({"title": str(case), "case": asdict(case), "edges": edges, "rows": rows})
    return tables


def judged(name, case, folder, wanted, edges, timeout, repeats):
    command = [sys.executable, "-m", "benchmarks.sparse", name, str(folder), str(repeats)]
    costs = ask(name, command, timeout)
    if "failed" in costs:
        return costs
    with np.load(folder / f"{name}.npz") as file:
        off = max(
            float(np.abs(got - want).max() / np.abs(want).max())
            for got, want in zip(file.values(), wanted, strict=True)
        )
    if not off < TOLERANCE:
        return {"name": name, "failed": f"wrong answer: off by {off:.0e}"}
    runs = len(RUNS) if case.quantity == "sweep" else 1
    step = costs["time_s"] / case.steps / runs
    return {
        "name": name,
        "error": off,
        "us_per_step": step * 1e6,
        "ns_per_weight": step / edges * 1e9,
    } | costs


def line(row):
    if "failed" in row:
        return f"| {row['name']} | {row['failed']} | | | | |"
    name = row["name"] + (f" ({row['variant']})" if "variant" in row else "")
    return (
        f"| {name} | {row['ns_per_weight']:.2f} | {row['us_per_step']:.4g} "
        f"| {row['compile_s']:.1f} | {row['peak_mb']:.0f} | {row['error']:.0e} |"
    )


# --- who answers -----------------------------------------------------------------------------------


def ours(case, problem):
    import jax.numpy as jnp

    import coupling_fn as cf

    ends = problem["target"], problem["source"]
    conn = cf.sparse_from_edges(*ends, problem["weight"], (case.n, case.n))
    net = cf.Network(cf.nodes.linear, DT, lags=problem.get("lags"), scheme="euler")
    x0 = cf.nodes.LinearState(jnp.asarray(problem["x0"]))
    a = jnp.asarray(-1.0, jnp.float32)

    def run(k, given):  # large arrays are arguments: XLA would fold constants, for seconds
        net, conn, x0 = given
        params = cf.Params(cf.nodes.LinearParams(a), cf.AdditiveCoupling(conn, k))
        state = net.init(x0, params)
        return cf.simulate(net, state, params, case.steps, record=None)[0].node.x

    return run, (net, conn, x0)


def product(kind, case, problem):
    """Return a bare scan over a product of `jax.experimental.sparse`."""
    import jax
    import jax.numpy as jnp
    from jax.experimental import sparse

    where = jnp.stack([problem["target"], problem["source"]], 1).astype(jnp.int32)
    conn = sparse.BCOO((jnp.asarray(problem["weight"]), where), shape=(case.n, case.n))
    conn = conn if kind == "BCOO" else sparse.BCSR.from_bcoo(conn)
    x0 = jnp.asarray(problem["x0"])

    def step(k, conn, x, _):
        return x + DT * (k * (conn @ x) - x), None

    def run(k, conn):
        return jax.lax.scan(partial(step, k, conn), x0, None, length=case.steps)[0]

    return run, conn


def peer(case, problem, *variant):
    module = importlib.import_module("benchmarks._peers.tvboptim_sparse")
    return module.build(case, problem, *variant)


def variants(name, case):
    """Return the ways in which a peer may answer, as a tuple of arguments each."""
    if name != "tvboptim":
        return [()]
    module = importlib.import_module("benchmarks._peers.tvboptim_sparse")
    return [(variant,) for variant in module.variants(case)] or [()]


BUILD = {
    "coupling_fn": ours,
    "BCOO": partial(product, "BCOO"),
    "BCSR": partial(product, "BCSR"),
    "tvboptim": peer,
}


def asked(run, quantity):
    import jax

    if quantity == "forward":
        return run
    if quantity == "sweep":
        return jax.vmap(run, (0, None))
    return jax.value_and_grad(lambda k, conn: (run(k, conn) ** 2).mean())


def measure(name, folder, repeats):
    """Answer in this process, and print what it cost."""
    with np.load(folder / "problem.npz") as file:
        problem = dict(file)
    case = Case(**json.loads(str(problem.pop("case"))))
    k = RUNS if case.quantity == "sweep" else np.float32(K)
    costs = {}
    if name == "scipy":
        run, ready = with_scipy(case, problem), np.asarray
        costs["compile_s"] = 0.0
    else:
        import jax

        ready, k, tried = jax.block_until_ready, jax.numpy.asarray(k), {}
        for variant in (several := variants(name, case)):
            one, conn = BUILD[name](case, problem, *variant)
            begin = time.perf_counter()
            compiled = jax.jit(asked(one, case.quantity)).lower(k, conn).compile()
            took = time.perf_counter() - begin
            call = partial(compiled, k, conn)
            ready(call())
            begin = time.perf_counter()
            ready(call())
            tried[variant] = time.perf_counter() - begin
            if tried[variant] == min(tried.values()):
                run, costs = call, {"compile_s": took}
        if len(several) > 1:
            costs["variant"] = min(tried, key=tried.get)[0]
            costs["tried_s"] = {variant[0]: took for variant, took in tried.items()}
    answer, times = ready(run()), []
    for _ in range(repeats):
        begin = time.perf_counter()
        ready(run())
        times.append(time.perf_counter() - begin)
    if case.quantity == "sweep":
        answer = answer[0], answer[-1]
    answer = answer if isinstance(answer, tuple) else (answer,)
    np.savez(folder / f"{name}.npz", *map(np.asarray, answer))
    peak = peak_mb()
    print(
        json.dumps(costs | {"time_s": float(np.median(times)), "times_s": times, "peak_mb": peak})
    )


def peak_mb():
    """Return the peak memory of this process; `ru_maxrss` would start from that of its parent."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if "VmHWM" in line), float("nan"))


def with_scipy(case, problem):
    from scipy.sparse import csr_array

    where = problem["target"], problem["source"]
    conn = csr_array((problem["weight"], where), shape=(case.n, case.n))
    dt, k = np.float32(DT), np.float32(K)

    def run():
        x = problem["x0"]
        for _ in range(case.steps):
            x = x + dt * (k * (conn @ x) - x)
        return x

    return run


def construction(edges=10**7, n=10**6):
    """Time the way from a list of edges, in no order, to a connection."""
    import coupling_fn as cf

    rng = np.random.default_rng(0)
    target, source = rng.integers(0, n, (2, edges))
    weight = rng.random(edges, np.float32)
    begin = time.perf_counter()
    conn = cf.sparse_from_edges(target, source, weight, (n, n))
    taken = time.perf_counter() - begin
    print(f"{conn} from a list of {edges} edges: {taken:.1f} s\n", flush=True)
    return {"title": "construction", "edges": edges, "time_s": taken}


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
