"""What do devices exchange, and what does each hold, where they share a sparse network?

Linear nodes in Euler steps, float32, 20 edges per node. Programs for host devices are timed, too; they
share this machine's cores, so that more of them are no faster. What devices send each other and the
memory of each are read off the compiled program, which for 10^6 nodes is compiled but not run.
"""

import json
import sys
import time

import numpy as np

from ._harness import TESTS, ask

DEGREE, DT, K = 20, 0.1, 0.9
LAGS = {"no delay": None, "lags 10 to 200": (10, 200), "lags 32 to 200": (32, 200)}
STEPS = 128
SMALL, LARGE = 20_000, 1_000_000
# Bytes per second that an accelerator moves by its maker's data sheet (NVIDIA H100 SXM): in memory, and
# over its links to the others of its machine in one direction.
MEMORY, LINK = 3.35e12, 450e9


def main(options, timeout, repeats):
    """Print the tables, with `--n` only those of these sizes, and return their rows."""
    print(f"# {__doc__}\n", flush=True)
    tables = []
    for n, counts, runs in ((SMALL, (1, 2, 4, 8), repeats), (LARGE, (8, 16, 32, 64), 0)):
        for lags in LAGS if n in options.sizes(SMALL, LARGE) else ():
            rows = []
            print(f"## N = {n}, {lags}\n\n{HEAD}", flush=True)
            for devices in counts:
                command = [sys.executable, "-m", "benchmarks.scaling"]
                command += map(str, (devices, n, lags, runs))
                rows.append(ask(str(devices), command, timeout))
                print(line(rows[-1]), flush=True)
            print()
            tables.append({"title": f"N = {n}, {lags}", "rows": rows})
    return tables


HEAD = (
    "| devices | µs per step | exchanges per step | received per step, kB | edges read per step, MB "
    "| held, MB | exchange, µs | edges, µs |\n" + "|---" * 8 + "|"
)


def line(row):
    if "failed" in row:
        return f"| {row['name']} | {row['failed']} " + "| " * 6 + "|"
    shown = f"{row['us_per_step']:.0f}" if "us_per_step" in row else "not run"
    return (
        f"| {row['name']} | {shown} | {row['exchanges']:.3g} | {row['received'] / 1e3:.4g} "
        f"| {row['read'] / 1e6:.3g} | {row['held'] / 1e6:.4g} "
        f"| {row['received'] / LINK * 1e6:.3g} | {row['read'] / MEMORY * 1e6:.3g} |"
    )


def network(n, lags):
    import jax.numpy as jnp

    import coupling_fn as cf

    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(n, dtype=np.int64), DEGREE)
    source = rng.integers(0, n, len(target))
    weight = np.full(len(target), 1 / DEGREE, np.float32)
    conn = cf.sparse_from_edges(target, source, weight, (n, n))
    steps = None if lags is None else rng.integers(*lags, conn.edges, np.int32, endpoint=True)
    net = cf.Network(cf.nodes.linear, DT, lags=steps, scheme="euler")
    params = cf.Params(
        cf.nodes.LinearParams(jnp.float32(-1.0)), cf.AdditiveCoupling(conn, jnp.float32(K))
    )
    x0 = cf.nodes.LinearState(jnp.asarray(rng.uniform(-1, 1, n), jnp.float32))
    return net, net.init(x0, params), params


def measure(devices, n, lags, repeats):
    """Compile, and perhaps run, in this process; print what it costs."""
    import jax

    sys.path.append(str(TESTS))
    from traffic import traffic

    import coupling_fn as cf
    from coupling_fn._core._devices import mesh_of
    from coupling_fn._simulate._shard import place_on

    jax.config.update("jax_num_cpu_devices", devices)
    net, state, params = network(n, LAGS[lags])
    if repeats:
        three = cf.shard(net, state, params, jax.devices())
    else:  # shapes alone

        def shape(x, where):
            return jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=where)

        three = place_on(net, state, params, mesh_of(jax.devices()), shape)

    def run(net, state, params):
        return cf.simulate(net, state, params, STEPS, record=None)[0].node.x

    conn = three[2].coupling.conn
    compiled = jax.jit(run).lower(*three).compile()
    found = traffic(compiled)
    # The history before the run is exchanged once, so two lengths give the exchanges per step.
    longer = traffic(
        jax.jit(lambda *three: cf.simulate(*three, 2 * STEPS, record=None)[0].node.x)
        .lower(*three)
        .compile()
    )
    count, moved = (
        (longer["all-gather"][i] - found["all-gather"][i]) / STEPS if found else 0 for i in (0, 1)
    )
    size = compiled.memory_analysis()
    places = conn.by_target.rows.source.shape[0] / devices
    window = net.block_size if LAGS[lags] else 1
    costs = {
        "exchanges": count,
        "received": moved * (devices - 1) / devices,
        # Per edge one number per step, and once per block its place and its weight.
        "read": places * 4 * (1 + 2 / window),
        "held": size.argument_size_in_bytes + size.output_size_in_bytes + size.temp_size_in_bytes,
        "kinds": found,
        "block": window,
    }
    if repeats:
        times = []
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            jax.block_until_ready(compiled(*three))
            times.append(time.perf_counter() - begin)
        costs["us_per_step"] = float(np.median(times[1:])) / STEPS * 1e6
    print(json.dumps(costs))


if __name__ == "__main__":
    measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
