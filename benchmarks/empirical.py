"""How much of empirical FC do models explain: by simulation, without one, and structure alone?"""

import os
import time
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

DT, SPEED, EVERY = 1.0, 10.0, 10  # [ms], [mm/ms], steps from one sample to the next
RUNS, START, SAMPLES = 4, 50, 150
SCANNED, FIT_STEPS = 8, 8
HEADER = "| node | k | critical k | simulated | rmse | analytic, same k | analytic, best k | s |"


def models(weights, lags):
    """Yield three nodes near rest, each with the range of k in which its coupling matters."""
    additive = cf.AdditiveCoupling(weights)
    regions = len(weights)
    rest = jnp.zeros(regions)
    yield (
        "Hopf, 10 Hz",
        cf.Network(cf.nodes.hopf, DT, lags=lags),
        cf.Params(cf.nodes.HopfParams(a=-0.02), additive, noise=0.02),
        cf.nodes.HopfState(rest, rest),
        (0.002, 0.06),
    )
    yield (
        "linear, 10 ms",
        cf.Network(cf.nodes.linear, DT, lags=lags),
        cf.Params(cf.nodes.LinearParams(a=-0.1), additive, noise=0.02),
        cf.nodes.LinearState(rest),
        (0.01, 0.099),
    )
    yield (
        "Wilson-Cowan",
        cf.Network(cf.nodes.wilson_cowan, DT, couplings=cf.Wire("E", into="E"), lags=lags),
        cf.Params(cf.nodes.WilsonCowanParams(P=0.5), additive, noise={"E": 0.002}),
        cf.nodes.WilsonCowanState(rest, rest),
        (4.0, 100.0),
    )


def at(params, k):
    return eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))


def simulated(net, params, x0, k):
    """Return the signals of several runs, one after the other; every k gets the same noise."""

    def one(key):
        state = net.init(x0, params, key=key)
        name = net.node.states[0]
        steps = (START + SAMPLES) * EVERY
        return cf.simulate(net, state, at(params, k), steps, record=name, every=EVERY)[1]

    signals = jax.vmap(one)(jax.random.split(jax.random.key(0), RUNS))
    return signals[:, START:].reshape(RUNS * SAMPLES, -1)


def answer(name, net, params, x0, bounds, fc):
    began = time.perf_counter()
    ks = jnp.geomspace(*bounds, SCANNED)
    # The analytic columns are of the network without delays, of which a scan takes seconds.
    instant = cf.Network(net.node, net.dt, couplings=dict(net.wires))
    analytic = jax.jit(
        jax.vmap(
            lambda k: cf.observe.fc_correlation(cf.analytic_fc(instant, at(params, k), x0), fc)
        )
    )
    curve = np.asarray(analytic(jnp.geomspace(*bounds, 30)))
    critical = float(cf.critical_k(instant, params, x0, 0.0, 4 * bounds[1]))
    run = partial(simulated, net, params, x0)
    search = cf.find_k(run, fc, ks=ks, fit_steps=FIT_STEPS, chunk=4, progress=False)
    found = cf.observe.functional_connectivity(jax.jit(run)(search.k))
    return {
        "node": name,
        "k": search.k,
        "critical_k": critical,
        "simulated": float(cf.observe.fc_correlation(found, fc)),
        "rmse": float(cf.observe.fc_rmse(found, fc)),
        "analytic": float(analytic(jnp.asarray([search.k]))[0]),
        "analytic_best": float(np.nanmax(curve)) if np.isfinite(curve).any() else np.nan,
        "seconds": time.perf_counter() - began,
    }


def main(connectome):
    """Print the table, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    if not connectome:
        print("Skipped, for want of --connectome or COUPLING_FN_CONNECTOME.\n")
        return {"title": "empirical", "rows": []}
    with np.load(connectome) as file:
        weights, lengths, fc = (
            jnp.asarray(file[key], float) for key in ("weights", "lengths", "fc")
        )
    balanced = cf.normalize(weights, by="symmetric")
    lags = cf.lags(lengths, speed=SPEED, dt=DT, weights=balanced)
    for name, structure in (("weights", weights), ("log(1 + weights)", jnp.log1p(weights))):
        print(
            f"FC correlation of {name} alone: {float(cf.observe.fc_correlation(structure, fc)):.3f}"
        )
    print("", HEADER, "|---" * (HEADER.count("|") - 1) + "|", sep="\n", flush=True)
    rows = []
    for model in models(balanced, lags):
        row = answer(*model, fc)
        rows.append(row)
        # There is an analytic FC only below the critical k.
        shown = [x if isinstance(x, str) else f"{x:.3g}" for x in row.values()]
        cells = ["none" if x == "nan" else x for x in shown]
        print("|", " | ".join(cells), "|", flush=True)
    print()
    return {"title": "empirical", "rows": rows}


if __name__ == "__main__":
    main(os.environ.get("COUPLING_FN_CONNECTOME"))
