"""Does a batch of linear algebra ever stop for good?

`python -m benchmarks hang`: a process per case calls a compiled `vmap` of the library a thousand times,
at batches of 2 to 32 in turn. If no call returns for minutes, the process is killed and the row says so.
The first row is plain JAX, which stops on a CPU of few cores (`_core/_linalg.py` says why): a machine on
which it does not stop proves nothing. `--calls` says how many; `--n` how many regions.
"""

import multiprocessing
import time
from multiprocessing.connection import Connection

import numpy as np

BATCHES = (2, 4, 8, 16, 32)
PATIENCE, FIRST = 60, 600  # of the parent with one call, and with one that compiles [s]
POINTS = 16


def plain(n):
    """Solve several independent systems in one program."""
    import jax.numpy as jnp

    def solve(k):
        matrices = jnp.eye(2 * n) + k * jnp.cos(jnp.arange(4.0 * n * n).reshape(2 * n, 2 * n))
        return sum(jnp.linalg.solve(matrices + i * jnp.eye(2 * n), matrices) for i in range(4))

    return solve


def network(n, delays):
    """Return a Hopf network, its parameters as a function of k, and its state of rest."""
    import jax
    import jax.numpy as jnp

    import coupling_fn as cf

    made = cf.synthetic_connectome(n, jax.random.key(0))
    W = cf.normalize(made.weights, by="spectral")
    lags = cf.lags(made.lengths, speed=5.0, dt=0.1, weights=W) if delays else None
    net = cf.Network(cf.nodes.hopf, 0.1, lags=lags)

    def params(k):
        return cf.Params(cf.nodes.HopfParams(a=-0.5), cf.AdditiveCoupling(W, k=k), noise=0.1)

    return net, params, cf.nodes.HopfState(jnp.zeros(n), jnp.zeros(n))


def covariance(n, delays=False):
    """Differentiate a loss on the covariance."""
    import jax
    import jax.numpy as jnp

    import coupling_fn as cf

    net, params, rest = network(n, delays)

    def loss(k):
        return jnp.square(cf.stationary_covariance(net, params(k), rest, points=POINTS)).sum()

    return jax.grad(loss)


def delayed(n):
    """Differentiate a loss on the covariance with delays, of a few regions: it takes more."""
    return covariance(max(n // 8, 2), delays=True)


def connectivity(n):
    """Differentiate a loss on the FC from a search for the fixed point."""
    import jax

    import coupling_fn as cf

    net, params, rest = network(n, delays=False)
    return jax.grad(lambda k: cf.analytic_fc(net, params(k), rest).mean())


def critical(n):
    """Find the critical k of networks of a few regions."""
    import coupling_fn as cf

    net, params, rest = network(max(n // 4, 2), delays=False)
    return lambda k: cf.critical_k(net, params(k), rest, 0.0, 2.0 + k)


def spectral(n):
    """Normalise weights by their spectral radius."""
    import jax
    import jax.numpy as jnp

    import coupling_fn as cf

    weights = cf.synthetic_connectome(n, jax.random.key(0)).weights
    return jax.grad(lambda k: cf.normalize(jnp.exp(k * weights), by="spectral").mean())


CASES = {
    "plain JAX: four `jnp.linalg.solve`": plain,
    "gradient of `stationary_covariance`": covariance,
    "the same with delays, an eighth of the regions": delayed,
    "gradient of `analytic_fc`": connectivity,
    "`critical_k`, a quarter of the regions": critical,
    'gradient of `normalize(by="spectral")`': spectral,
}


def child(name: str, n: int, calls: int, pipe: Connection):
    """Call a case, and send the batch and the time of each call [s]."""
    import jax
    import jax.numpy as jnp

    mapped = jax.jit(jax.vmap(CASES[name](n)))
    ks = {batch: jnp.linspace(0.05, 0.2, batch) for batch in BATCHES}
    for call in range(-len(BATCHES), calls):
        batch = BATCHES[call % len(BATCHES)]
        began = time.perf_counter()
        result = np.asarray(mapped(ks[batch]))
        if not np.isfinite(result).all():
            raise ValueError(f"The result of call {call} is not finite.")
        pipe.send((batch, time.perf_counter() - began))


def watched(name: str, n: int, calls: int):
    """Run a case, and return whether it ended, and the times of its calls by batch."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=child, args=(name, n, calls, theirs), daemon=True)
    process.start()
    theirs.close()
    times = {batch: [] for batch in BATCHES}
    for call in range(-len(BATCHES), calls):
        if not ours.poll(FIRST if call < 0 else PATIENCE):
            process.kill()
            return False, times
        try:
            batch, seconds = ours.recv()
        except EOFError:
            raise RuntimeError(f"{name} failed at call {call}; its own error is above.") from None
        if call >= 0:  # The calls before compile.
            times[batch].append(seconds)
    process.join()
    return True, times


def main(calls, n):
    """Print the table, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    heads = [f"batch {batch}, ms" for batch in BATCHES]
    print("| | calls | ended |", " | ".join(heads), "|", sep=" ")
    print("|---" * (3 + len(heads)) + "|", flush=True)
    rows = []
    for name in CASES:
        ended, times = watched(name, n, calls)
        done = sum(map(len, times.values()))
        medians = {b: 1000 * float(np.median(t)) if t else None for b, t in times.items()}
        rows.append({"name": name, "calls": done, "ended": ended, "median_ms": medians})
        cells = [f"{ms:.1f}" if ms is not None else "" for ms in medians.values()]
        print("|", name, "|", done, "|", ended, "|", " | ".join(cells), "|", flush=True)
    print()
    return {"title": "hang", "rows": rows}
