"""What does a hybrid network cost, compared with the same network as one?

`python -m benchmarks hybrid`: a Wilson–Cowan network of 84 and of 370 regions, its two halves as two
subnetworks with four projections, and the two halves with one projection that joins them. Value and
gradient of one k, with and without delays, dense and sparse; `--n` and `--steps` ask for others. The
three run in turns; what counts is the median ratio of neighbouring runs, in processor time, which
depends less on how busy the machine is.
"""

import json
import time

import jax
import numpy as np

ROUNDS, DT = 25, 0.1
CASES = (
    ("delayed", "dense", 84, 2048),
    ("delayed", "dense", 370, 512),
    ("delayed", "sparse", 370, 512),
    ("at once", "dense", 84, 4096),
    ("at once", "sparse", 370, 2048),
)


def problems(kind, connection, regions):
    """Return the whole, its halves and the joined halves, each as a network, its x0 and params of k."""
    import jax.numpy as jnp

    import coupling_fn as cf

    connectome = cf.synthetic_connectome(regions, jax.random.key(0))
    conn = np.array(cf.normalize(connectome.weights, by="row"), np.float32)
    if connection == "sparse":  # a fifth of the edges
        conn[conn < np.quantile(conn, 0.8)] = 0
    dense, node = conn, cf.nodes.wilson_cowan
    conn = cf.to_sparse(conn) if connection == "sparse" else jnp.asarray(conn)
    division = cf.hybrid.divide(conn, {"a": (node, np.arange(regions // 2)), "b": (node, ...)})
    lags = cut = None
    if kind == "delayed":
        lags = np.maximum(np.asarray(cf.lags(connectome.lengths, 3.0, DT, dense)), 1)
        lags = cf.edge_values(conn, lags).astype(int) if connection == "sparse" else lags
        cut = division.cut(lags)
    x = jnp.linspace(0.0, 0.4, regions, dtype=jnp.float32)
    parts = {name: node.State(e, e / 2) for name, e in division.split(x).items()}
    own = {"a": node.Params(), "b": node.Params()}

    def of_parts(k):
        return cf.Params(own, {n: cf.AdditiveCoupling(w, k) for n, w in division.weights.items()})

    return {
        "whole": (
            cf.Network(node, DT, lags=lags),
            node.State(x, x / 2),
            lambda k: cf.Params(node.Params(), cf.AdditiveCoupling(conn, k)),
        ),
        "halves": (
            cf.Network(division.node, DT, couplings=division.wires, lags=cut),
            parts,
            of_parts,
        ),
        "joined": (
            cf.Network(division.node, DT, couplings=cf.Wire("E", into="E"), lags=lags),
            parts,
            lambda k: cf.Params(own, cf.AdditiveCoupling(conn, k)),
        ),
    }


def programs(net, x0, params_of, steps):
    """Return the compiled run and its value with the gradient of k."""
    import coupling_fn as cf

    state = net.init(x0, params_of(1.5))

    def run(k):
        return cf.simulate(net, state, params_of(k), steps, record="E")[1]

    return jax.jit(run), jax.jit(jax.value_and_grad(lambda k: (run(k) ** 2).mean()))


def took(program, k):
    """Return the processor time of a call."""
    begun = time.process_time()
    jax.block_until_ready(program(k))
    return time.process_time() - begun


def main(regions=None, steps=None):
    """Print a table, of one size and number of steps if they are given, and return its rows."""
    import jax.numpy as jnp

    cases = dict.fromkeys((*case[:2], regions or case[2], steps or case[3]) for case in CASES)

    print(f"# {__doc__.splitlines()[0]}\n")
    print("| | | regions | mode | whole, us per step | halves | joined |")
    print("|---" * 7 + "|")
    rows, k = [], jnp.float32(1.5)
    for kind, connection, regions, steps in cases:
        each = {
            name: programs(*problem, steps)
            for name, problem in problems(kind, connection, regions).items()
        }
        for n, mode in enumerate(("forward", "value and gradient")):
            results = [np.asarray(jax.tree.leaves(pair[n](k))[0]) for pair in each.values()]
            for other in results[1:]:  # a wrong answer has no speed; roundings grow in long runs
                np.testing.assert_allclose(other, results[0], rtol=0, atol=1e-3)
            times = np.array([[took(p[n], k) for p in each.values()] for _ in range(ROUNDS)])
            halves, joined = np.median(times[:, 1:] / times[:, :1], axis=0)
            whole = float(np.median(times[:, 0])) / steps * 1e6
            row = {"kind": kind, "connection": connection, "regions": regions, "mode": mode}
            rows.append({**row, "whole": whole, "halves": float(halves), "joined": float(joined)})
            cells = (
                kind,
                connection,
                regions,
                mode,
                *(f"{x:.2f}" for x in (whole, halves, joined)),
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print()
    return {"title": "hybrid", "rows": rows}


if __name__ == "__main__":
    print(json.dumps(main()))
