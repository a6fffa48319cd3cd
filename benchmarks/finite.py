"""What does `simulate(check="finite")` cost a run that is finite?

`python -m benchmarks finite`: the same run without and with the check, in turns. Every step is recorded,
so that there is as much to check as possible. What counts is the median ratio of neighbouring runs,
which does not depend on how busy the machine is.
"""

import json
import time

import jax
import numpy as np

ROUNDS = 60
CASES = (("at once", 84, 5000), ("delayed", 84, 5000), ("delayed", 370, 1000))


def problem(kind, regions):
    """Return a network of Hopf nodes, its state and parameters: diffusive coupling, Euler, float32."""
    import jax.numpy as jnp

    import coupling_fn as cf

    connectome = cf.synthetic_connectome(regions, jax.random.key(0))
    conn = cf.normalize(connectome.weights, by="row").astype(jnp.float32)
    lags = cf.lags(connectome.lengths, 3.0, 0.1, conn) if kind == "delayed" else None
    net = cf.Network(cf.nodes.hopf, 0.1, lags=lags, scheme="euler")
    params = cf.Params(cf.nodes.HopfParams(a=0.02), cf.DiffusiveCoupling(conn, k=0.1))
    x0 = jnp.linspace(0.0, 0.1, regions, dtype=jnp.float32)
    return net, net.init(cf.nodes.HopfState(x0, x0), params), params


def main():
    """Print a table, and return its rows."""
    import coupling_fn as cf

    print(f"# {__doc__.splitlines()[0]}\n")
    print("| | regions | steps | off, us per step | on | cost |", "|---" * 6 + "|", sep="\n")
    rows = []
    for kind, regions, steps in CASES:
        net, state, params = problem(kind, regions)

        def run(check, net=net, state=state, params=params, steps=steps):
            begun = time.perf_counter()
            out = cf.simulate(net, state, params, steps, record="x", check=check)
            jax.block_until_ready(out)
            return time.perf_counter() - begun

        for check in (None, "finite"):
            run(check)
        took = np.array([(run(None), run("finite")) for _ in range(ROUNDS)])
        off, on = np.median(took, axis=0) / steps * 1e6
        cost = float(np.median(took[:, 1] / took[:, 0]) - 1)
        rows.append({"kind": kind, "regions": regions, "off": off, "on": on, "cost": cost})
        print(f"| {kind} | {regions} | {steps} | {off:.2f} | {on:.2f} | {cost:+.1%} |", flush=True)
    print()
    return {"title": "finite", "rows": rows}


if __name__ == "__main__":
    print(json.dumps(main()))
