"""How many analytic FCs does a simulation of the same network cost?

Hopf nodes near rest, 84 regions, float32. A scan of k by `analytic_fc`, one k after the other, against
one run that is long enough to estimate FC: 10 minutes at dt 0.1 ms, of which half a minute is run and
counted twenty times.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

MINUTES, DT, SCANNED, WITH_DELAYS = 10, 0.1, 256, 8


def main(connectome):
    """Print the table, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    if connectome:
        with np.load(connectome) as file:
            weights, lengths = (jnp.asarray(file[key], float) for key in ("weights", "lengths"))
    else:
        made = cf.synthetic_connectome(84, jax.random.key(0))
        weights, lengths = made.weights, made.lengths
    W = cf.normalize(weights, by="spectral")
    rest = cf.nodes.HopfState(jnp.zeros(len(W)), jnp.zeros(len(W)))
    lags = cf.lags(lengths, speed=5.0, dt=DT, weights=W)
    delayed, instant = cf.Network(cf.nodes.hopf, DT, lags=lags), cf.Network(cf.nodes.hopf, DT)
    ks = jnp.linspace(0.0, 0.018, SCANNED)

    def params(k):
        return cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W, k=k), noise=0.01)

    def simulated(net, k):
        steps = round(MINUTES * 60_000 / DT / 20)  # a twentieth: every step costs the same
        state = net.init(rest, params(k), key=jax.random.key(0))
        return cf.simulate(net, state, params(k), steps, record=None)[0].node.x

    def scanned(net, ks):
        return jax.lax.map(lambda k: cf.analytic_fc(net, params(k), rest), ks)

    rows = []
    print("| | a simulation, s | an analytic FC, s | as many as |", "|---" * 4 + "|", sep="\n")
    for name, net, few in (("no delays", instant, SCANNED), ("delays", delayed, WITH_DELAYS)):
        few_ks = ks[:: SCANNED // few]
        run = 20 * timed(jax.jit(partial(simulated, net)), ks[1])
        one = timed(jax.jit(partial(scanned, net)), few_ks) / len(few_ks)
        rows.append({"name": name, "simulation_s": run, "analytic_s": one})
        print(f"| {name} | {run:.1f} | {one:.4f} | {run / one:.0f} |", flush=True)
    print()
    return {"title": "analytic", "rows": rows}


def timed(function, *args):
    """Return the better of two times [s], after a call that compiles."""
    jax.block_until_ready(function(*args))
    times = []
    for _ in range(2):
        began = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main(None)
