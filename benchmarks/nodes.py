"""How long is a step of each node, next to the same equations written by hand in a bare scan?

Both take Euler steps, of regions without coupling and of regions that receive the weighted sum of all
others, and their answers are compared first. The difference is what the library adds to the
arithmetic. They take turns, and the fastest round counts.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import coupling_fn as cf

from . import _hand_written

LIMIT = 1.3


def problem(name, regions):
    """Return a node, its default parameters, and a start a third of the way through each range."""
    node = cf.nodes.catalog()[name]
    spread = np.linspace(0.3, 0.4, regions)
    x0 = {s: low + (high - low) * spread for s, (low, high) in node.ranges.items()}
    return (
        node,
        node.Params(),
        node.State(**{s: jnp.asarray(x0[s], jnp.float32) for s in node.states}),
    )


def weights(regions):
    """Return weights of no symmetry: what the regions receive from each other is small."""
    random = np.random.default_rng(0).random((regions, regions))
    return jnp.asarray(random / random.sum(), jnp.float32)


def ours(node, params, x0, dt, steps, coupled=False):
    # A weighted sum of phases jumps where a whole turn is taken off one, so they grow, as by hand.
    kind = {} if coupled else {"couplings": {}}
    if coupled and node.angles:
        kind["angles"] = "grow"
    net = cf.Network(node, dt, scheme="euler", **kind)
    rule = cf.AdditiveCoupling(weights(len(x0[0]))) if coupled else None

    def full(params):
        return cf.Params(params, rule) if coupled else cf.Params(params)

    state = net.init(x0, full(params))

    def run(params, x0):
        start = state._replace(node=x0)
        return cf.simulate(net, start, full(params), steps, record=None)[0].node

    return jax.jit(run)


def bare(name, dt, steps, coupled=False):
    node = cf.nodes.catalog()[name]
    equations = getattr(_hand_written, name)

    def step(p, matrix, s, _):
        received = dict.fromkeys(node.inputs, 0.0)
        for sent, into in node.coupled if coupled else ():
            sent = sent(node.State(*s)) if callable(sent) else s[node.states.index(sent)]
            received[into] = matrix @ sent
        rates = equations(s, tuple(received.values()), p)
        return tuple(x + dt * rate for x, rate in zip(s, rates, strict=True)), None

    def run(params, x0):
        p = {field: getattr(params, field) for field in params.__dataclass_fields__}
        matrix = weights(len(x0[0]))
        return lax.scan(partial(step, p, matrix), tuple(x0), None, length=steps)[0]

    return jax.jit(run)


def measure(name, regions=84, steps=2000, rounds=15, dt=1e-3, coupled=False):
    """Return the microseconds per step, ours and by hand, and the largest relative difference."""
    node, params, x0 = problem(name, regions)
    runs = ours(node, params, x0, dt, steps, coupled), bare(name, dt, steps, coupled)
    answers = [np.stack(jax.block_until_ready(tuple(run(params, x0)))) for run in runs]
    off = np.abs(answers[0] - answers[1]).max() / np.abs(answers[1]).max()
    times = [[], []]
    for _ in range(rounds):
        for run, taken in zip(runs, times, strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(run(params, x0))
            taken.append((time.perf_counter() - begin) / steps * 1e6)
    return min(times[0]), min(times[1]), off


def main(rounds=15):
    """Print a line per node, and return the rows."""
    head = "| model | µs per step | by hand | ratio | coupled, µs | by hand | ratio | difference |"
    print(f"# {__doc__}\n\n{head}\n|---|---|---|---|---|---|---|---|")
    rows, over = [], {"uncoupled": [], "coupled": []}
    for name in cf.nodes.catalog():
        row, cells, off = {"name": name}, [], 0.0
        for kind, names in over.items():
            mine, theirs, error = measure(name, rounds=rounds, coupled=kind == "coupled")
            off = max(off, float(error))
            row[kind] = {"us_per_step": mine, "by_hand": theirs, "error": float(error)}
            cells += [f"{mine:.2f}", f"{theirs:.2f}", f"{mine / theirs:.2f}"]
            if mine > LIMIT * theirs:
                names.append(name)
        failed = "" if off < 1e-4 else " wrong answer"
        print(f"| {name} | {' | '.join(cells)} | {off:.0e}{failed} |", flush=True)
        rows.append(row)
    for kind, names in over.items():
        print(f"\n{kind.capitalize()}, above {LIMIT}: {', '.join(names) or 'none'}.")
    return {"title": "nodes", "rows": rows}
