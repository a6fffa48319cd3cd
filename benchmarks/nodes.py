"""How long is a step of each node, next to the same equations written by hand in a bare scan?

Both take Euler steps of uncoupled regions, and their answers are compared first. The difference is what
the library adds to the arithmetic. They take turns, and the fastest round counts.
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


def ours(node, params, x0, dt, steps):
    net = cf.Network(node, dt, couplings={}, scheme="euler")
    state = net.init(x0, cf.Params(params))

    def run(params, x0):
        start = state._replace(node=x0)
        return cf.simulate(net, start, cf.Params(params), steps, record=None)[0].node

    return jax.jit(run)


def bare(name, dt, steps):
    equations, none = getattr(_hand_written, name), (0.0,) * len(cf.nodes.catalog()[name].inputs)

    def step(p, s, _):
        return tuple(x + dt * rate for x, rate in zip(s, equations(s, none, p), strict=True)), None

    def run(params, x0):
        p = {field: getattr(params, field) for field in params.__dataclass_fields__}
        return lax.scan(partial(step, p), tuple(x0), None, length=steps)[0]

    return jax.jit(run)


def measure(name, regions=84, steps=2000, rounds=15, dt=1e-3):
    """Return the microseconds per step, ours and by hand, and the largest relative difference."""
    node, params, x0 = problem(name, regions)
    runs = ours(node, params, x0, dt, steps), bare(name, dt, steps)
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
    print(
        f"# {__doc__}\n\n| model | µs per step | by hand | ratio | difference |\n|---|---|---|---|---|"
    )
    rows = []
    for name in cf.nodes.catalog():
        mine, theirs, off = measure(name, rounds=rounds)
        failed = "" if off < 1e-4 else " wrong answer"
        print(
            f"| {name} | {mine:.2f} | {theirs:.2f} | {mine / theirs:.2f} | {off:.0e}{failed} |",
            flush=True,
        )
        rows.append({"name": name, "us_per_step": mine, "by_hand": theirs, "error": float(off)})
    over = [r["name"] for r in rows if r["us_per_step"] > LIMIT * r["by_hand"]]
    print(f"\nAbove {LIMIT}: {', '.join(over) or 'none'}.\n")
    return {"title": "nodes", "rows": rows}
