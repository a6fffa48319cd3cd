"""How long does it take from data to the k that made them?

A delayed network of Hopf nodes, x recorded at every step; the loss is the mean squared difference
from data made at the k to be found. Each library's own fitter starts at half of it; one that ends
more than 1 % away gets no time. Compiling counts: the first column begins with the data. There are two
lengths: one where compiling takes most of the time, and 2 s of signals, about the least for a fit of FC.
"""

import importlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from ._harness import apart, ask
from ._problem import Case, K, load_problem, make_problem, solve

NAMES = ("scan", "least_squares", "lbfgs", "adam", "adam by hand", "tvboptim", "brainmass")
START, RATE, STEPS, NEAR = K / 2, 2e-3, 60, 0.01
SCANNED = START / 8, START * 8, 32  # k is known no better than that


def main(options, timeout):
    """Print a table for each connectome and length, and what a step costs beside its loss."""
    print(f"# {__doc__}\n", flush=True)
    done = apart([sys.executable, "-m", "benchmarks.fit", "overhead"], timeout, x64=False)
    print(done.stdout or done.stderr if done else "The overhead took too long.\n", flush=True)
    tables = []
    lengths = [options.steps] if options.steps else [2000, 20_000]
    for (connectome, n), steps in product(options.connectomes(84), lengths):
        case = Case(connectome, n, steps=steps)
        print(f"{case}\n")
        print("| | first fit, s | again, s | k is off by | its own |", "|---" * 5 + "|", sep="\n")
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            problem = make_problem(replace(case, dtype="float64"))
            replace(problem, case=case).save(Path(folder) / "problem.npz")
            np.save(Path(folder) / "data.npy", solve(problem))
            for name in NAMES:
                command = [sys.executable, "-m", "benchmarks.fit", name, folder]
                rows.append(ask(name, command, timeout))
                if "k" in rows[-1]:
                    rows[-1]["off"] = abs(rows[-1]["k"] / K - 1)
                print(line(rows[-1]), flush=True)
        print()
        tables.append({"title": f"fit, {case}", "rows": rows})
    return tables


def line(row):
    if "failed" in row:
        return f"| {row['name']} | {row['failed']} | | | |"
    first, again = row["times_s"] if row["off"] < NEAR else ("", "")
    shown = [f"{t:.2f}" if t else "" for t in (first, again)]
    return f"| {row['name']} | {shown[0]} | {shown[1]} | {row['off']:.0e} | {row['how']} |"


def measure(name, folder):
    """Fit twice in this process, and print how long it took and what came out."""
    problem = load_problem(folder / "problem.npz")
    data = np.load(folder / "data.npy").astype(problem.case.dtype)
    times = []
    begin, (fit, how) = time.perf_counter(), FITTERS[name](problem, data)
    for _ in range(2):
        k = float(fit())
        times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    print(json.dumps({"k": k, "times_s": times, "how": how}))


def overhead():
    """Print what a step of `fit` costs where the loss costs nothing, against a loop by hand."""
    import jax
    import jax.numpy as jnp
    import optax

    import coupling_fn as cf

    steps, optimizer, start = 2000, optax.adam(1e-2), {"k": jnp.ones(10), "a": jnp.asarray(0.5)}

    def loss(p):
        return jnp.sum((p["k"] - 0.3) ** 2) + p["a"] ** 2

    @jax.jit
    def step(p, state):
        value, slope = jax.value_and_grad(loss)(p)
        updates, state = optimizer.update(slope, state)
        return value, optax.apply_updates(p, updates), state

    def hand():
        p, state, seen = start, optimizer.init(start), []
        for _ in range(steps + 1):
            value, after, state = step(p, state)
            seen.append((float(value), p))
            p = after
        return min(seen, key=lambda pair: pair[0])

    def fit():
        return cf.fit(
            loss,
            start,
            where=lambda p: (p["k"], p["a"]),
            optimizer=optimizer,
            steps=steps,
            progress=False,
        )

    times = {hand: [], fit: []}
    for _ in range(6):
        for run, taken in times.items():
            began = time.perf_counter()
            run()
            taken.append((time.perf_counter() - began) / (steps + 1) * 1e6)
    by_hand, by_fit = (float(np.median(taken[1:])) for taken in times.values())
    print(
        f"A step where the loss costs nothing: {by_fit:.0f} µs by `fit`, {by_hand:.0f} by hand, "
        f"{by_fit / by_hand:.2f} times.\n"
    )


def ours(problem, derivative):
    """Return the run and the parameters where a fit of it begins, all of them arrays."""
    import jax.numpy as jnp

    import coupling_fn as cf

    from ._problem import OMEGA, A

    case, dtype = problem.case, problem.case.dtype
    lags = jnp.asarray(problem.lags, jnp.int32)
    net = cf.Network(
        cf.nodes.hopf, case.dt, couplings=cf.Wire("x", into="x"), lags=lags, scheme=case.scheme
    )
    node = cf.nodes.HopfParams(a=jnp.asarray(A, dtype), omega=jnp.asarray(OMEGA, dtype))
    x0 = cf.nodes.HopfState(*(jnp.asarray(v, dtype) for v in (problem.x0, problem.y0)))
    coupling = cf.DiffusiveCoupling(
        jnp.asarray(problem.weights, dtype), k=jnp.asarray(START, dtype)
    )

    def run(params):
        state = net.init(x0, params)
        return cf.simulate(net, state, params, steps=case.steps, record="x", derivative=derivative)[
            1
        ]

    return run, cf.Params(node, coupling)


def strength(both):
    """Return k, of the parameters and the data that a loss takes."""
    return both[0].coupling.k


def with_least_squares(problem, data):
    import jax.numpy as jnp

    import coupling_fn as cf

    run, params = ours(problem, "forward")
    data = jnp.asarray(data)

    def residuals(both):
        return run(both[0]) - both[1]

    def fit():
        found = cf.least_squares(
            residuals,
            (params, data),
            where=strength,
            transform=cf.transforms.positive(),
        )
        return found.params[0].coupling.k

    return fit, "`least_squares`"


def with_scan(problem, data):
    """Fit as one does without a good start: scan many k first, then descend from the best."""
    import equinox as eqx
    import jax.numpy as jnp

    import coupling_fn as cf

    run, params = ours(problem, "forward")
    data, ks = jnp.asarray(data), jnp.asarray(np.geomspace(*SCANNED), data.dtype)

    def residuals(both):
        return run(both[0]) - both[1]

    def at(k):
        return eqx.tree_at(lambda p: p.coupling.k, params, k), data

    def misfit(k):
        return jnp.mean(residuals(at(k)) ** 2)

    def fit():
        best = ks[cf.sweep(misfit, ks, chunk=8, progress=False).argmin()]
        found = cf.least_squares(
            residuals, at(best), where=strength, transform=cf.transforms.positive()
        )
        return found.params[0].coupling.k

    return fit, "`sweep` of {2} k from {0:g} to {1:g}, then `least_squares`".format(*SCANNED)


def with_optax(optimizer, steps, how, problem, data):
    import jax.numpy as jnp

    import coupling_fn as cf

    run, params = ours(problem, "reverse")
    data = jnp.asarray(data)
    made = optimizer()

    def loss(both):
        return jnp.mean((run(both[0]) - both[1]) ** 2)

    def fit():
        found = cf.fit(
            loss, (params, data), where=strength, optimizer=made, steps=steps, progress=False
        )
        return found.params[0].coupling.k

    return fit, how


def by_hand(problem, data):
    """Fit by the loop that one would write; `fit` may take at most 1.2 times as long."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    run, params = ours(problem, "reverse")
    optimizer, data = optax.adam(RATE), jnp.asarray(data)

    def loss(k, params, data):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return jnp.mean((run(there) - data) ** 2)

    @jax.jit
    def step(k, state, params, data):
        value, slope = jax.value_and_grad(loss)(k, params, data)
        updates, state = optimizer.update(slope, state)
        return value, optax.apply_updates(k, updates), state

    def fit():
        k = params.coupling.k
        state, seen = optimizer.init(k), []
        for _ in range(STEPS + 1):
            value, after, state = step(k, state, params, data)
            seen.append((float(value), k))
            k = after
        return min(seen, key=lambda pair: pair[0])[1]

    return fit, "a jitted optax step"


def with_tvboptim(problem, data):
    import jax.numpy as jnp
    import optax
    from tvboptim.optim import OptaxOptimizer
    from tvboptim.types import Parameter

    run = importlib.import_module("benchmarks._peers.tvboptim").build(
        replace(problem, case=replace(problem.case, quantity="grad_k"))
    )
    weights, data = (jnp.asarray(x, problem.case.dtype) for x in (problem.weights, data))

    def loss(state):
        k = getattr(state["k"], "value", state["k"])
        return jnp.mean((run(k, weights) - data) ** 2)

    def fit():
        fitter = OptaxOptimizer(loss=loss, optimizer=optax.adam(RATE))
        start = {"k": Parameter(jnp.asarray(START, problem.case.dtype))}
        state, _ = fitter.run(start, max_steps=STEPS, chunk_size=STEPS)
        return jnp.asarray(getattr(state["k"], "value", state["k"]))

    return fit, f"`OptaxOptimizer`, adam, {STEPS} steps in one scan"


def with_brainmass(problem, data):
    import brainmass
    import brainstate
    import braintools
    import jax.numpy as jnp

    run = importlib.import_module("benchmarks._peers.brainmass").build(problem)
    weights, data = (jnp.asarray(x, problem.case.dtype) for x in (problem.weights, data))

    class Strength(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            self.k = brainstate.nn.Param(jnp.asarray(START, problem.case.dtype), fit=True)

    def loss(model):
        return jnp.mean((run(model.k.value(), weights) - data) ** 2), None

    def fit():
        model = Strength()
        fitter = brainmass.Fitter(model, braintools.optim.Adam(lr=RATE), loss_fn=loss)
        fitter.fit(n_steps=STEPS)
        return jnp.asarray(model.k.value())

    return fit, f"`Fitter`, adam, {STEPS} steps"


def _adam():
    import optax

    return optax.adam(RATE)


def _lbfgs():
    import optax

    return optax.lbfgs()


FITTERS = {
    "scan": with_scan,
    "least_squares": with_least_squares,
    "lbfgs": partial(with_optax, _lbfgs, 10, "`fit`, optax.lbfgs, 10 steps"),
    "adam": partial(with_optax, _adam, STEPS, f"`fit`, adam, {STEPS} steps"),
    "adam by hand": by_hand,
    "tvboptim": with_tvboptim,
    "brainmass": with_brainmass,
}


if __name__ == "__main__":
    overhead() if sys.argv[1] == "overhead" else measure(sys.argv[1], Path(sys.argv[2]))
