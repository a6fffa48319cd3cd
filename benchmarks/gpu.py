"""What does an accelerator make of it: forward, gradient, sweeps, large and sparse networks?

On whatever device JAX finds; on a CPU it runs a small version of itself. Each answer is first compared
with NumPy. It keeps to a budget of time, and names what it leaves out. Networks of regions are Hopf
nodes, as in the other benchmarks. Sweeps are over k of the excitatory-inhibitory Wong-Wang model (Euler,
dt 0.1 ms), with and without delays, and with BOLD by the Balloon-Windkessel model at steps of 1 ms. What
is not said to have noise has none; noise is the same in all runs. `steps per second` are those of one
network: a sweep of 32 makes 32 per step. To compare, undelayed: cuBNM states 6.0e7 on an A100 (100
regions, the same model with BOLD, dt 0.1 ms, 32,768 runs). For delays nobody has published one.
"""

import time
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

from . import _ours, _sparse_problem, sparse
from ._kernels import kernels
from ._machine import spread_of
from ._problem import TOLERANCE, Case, K, error, make_problem, reference
from ._worker import quantity

DT, WEAK, STRONG = 0.1, 0.5, 2.0  # [ms], and the ends of a sweep of k [1]
SIGMA = 0.001  # of the noise [1/ms^0.5]
EVERY, PERIOD = 10, 1000  # steps between what BOLD reads, and between its samples
# Where a run is so long that it would take the rest of the time, fewer calls of it are timed.
CALLS, LONG = 5, 5.0


def main(options, budget):
    """Print a table, and return it."""
    device = jax.devices()[0]
    small = device.platform == "cpu" and not options.n
    print(f"# {__doc__}\n\nDevice: {device.device_kind} ({device.platform}), JAX {jax.__version__}")
    if small:
        print("There is no accelerator: a small version of everything, to see that it works.")
    print(f"\n{HEAD}", flush=True)
    clock, rows = Clock(budget), []
    for case in cases(options, small):
        row = clock.measured(*case)
        rows.append(row)
        print(line(row), flush=True)
    print("\nOperations per step, by kind:\n")
    for row in rows:
        if row.get("kernels"):
            kinds = ", ".join(f"{n:.3g} {kind}" for kind, n in row["kernels"].items() if n >= 0.01)
            print(f"- {row['name']}: {kinds}")
    print()
    title = f"{device.device_kind}, JAX {jax.__version__}" + ", small" * small
    return [{"title": title, "device": device.device_kind, "small": small, "rows": rows}]


HEAD = (
    "| | steps per second of one network | µs per step of all | spread | operations per step "
    "| compile, s | temp, MB | error |\n" + "|---" * 8 + "|"
)


def line(row):
    if "us_per_step" not in row:
        return f"| {row['name']} | {row.get('skipped') or row['failed']} " + "| " * 6 + "|"
    count = sum(row["kernels"].values())
    shown = f"{count:.3g}" if row["loops_known"] else f"at least {count:.3g}"
    return (
        f"| {row['name']} | {row['steps_per_s']:.3g} | {row['us_per_step']:.4g} "
        f"| {row['spread']:.0%} | {shown} | {row['compile_s']:.1f} "
        f"| {row['temp_mb']:.1f} | {row['error']:.0e} |"
    )


class Clock:
    """Measures one case after another as long as there is time."""

    def __init__(self, budget):
        self.begun, self.budget = time.perf_counter(), budget
        self.before_s = 5.0  # the longest so far of what comes before the first call
        self.calls = {}  # by family, the runs of the last case and the seconds of its calls

    def left(self):
        return self.budget - (time.perf_counter() - self.begun)

    def measured(self, name, runs, family, prepare):
        """Measure a case, unless its time is gone: it takes at most in proportion to its runs."""
        last, took = self.calls.get(family, (1, 0.0))
        needed = self.before_s + took * runs / last
        if needed > self.left():
            told = f"skipped: may take {needed:.0f} s, and {max(self.left(), 0):.0f} are left"
            return {"name": name, "skipped": told}
        begun = time.perf_counter()
        try:
            row = self.timed(name, runs, *prepare())
        except Exception as why:  # out of memory, say: what comes after may still fit
            told = f"{type(why).__name__}: {' '.join(str(why).split())[:200]}"
            return {"name": name, "failed": told}
        self.before_s = max(self.before_s, time.perf_counter() - begun - row["calls_s"])
        self.calls[family] = runs, row["calls_s"]
        return row

    def timed(self, name, runs, function, args, steps, judge):
        begin = time.perf_counter()
        compiled = jax.jit(function).lower(*args).compile()
        row = {"name": name, "compile_s": time.perf_counter() - begin}
        begin = time.perf_counter()
        answer = jax.block_until_ready(compiled(*args))
        first = time.perf_counter() - begin
        row |= {"calls_s": first}
        row["error"], tolerance = judge(jax.tree.map(np.asarray, answer))
        if not row["error"] < tolerance:
            return row | {"failed": f"wrong answer: off by {row['error']:.1e}"}
        times = []
        for _ in range(CALLS if first < LONG else 2):
            begin = time.perf_counter()
            jax.block_until_ready(compiled(*args))
            times.append(time.perf_counter() - begin)
        row["calls_s"] += sum(times)
        step = float(np.median(times)) / steps
        memory = compiled.memory_analysis()
        kinds, known = kernels(compiled, steps)
        row |= {"times_s": times, "spread": spread_of(times), "us_per_step": step * 1e6}
        row |= {"runs": runs, "steps_per_s": runs / step, "kernels": kinds, "loops_known": known}
        return row | {"temp_mb": memory.temp_size_in_bytes / 1e6 if memory else float("nan")}


def cases(options, small):
    """Yield a name, a number of runs, a family and what prepares them; the most telling first."""
    steps = options.steps or (200 if small else 2000)
    at = "synthetic" if small else options.connectome or "synthetic"
    n = 12 if small else len(make_problem(Case(at, 84)).weights)
    for asked in ("forward", "grad_k"):
        for delayed in (True, False):
            yield regions(Case(at, n, asked, delayed, steps=steps))
    length = PERIOD * (1 if small else 2)
    for count in (4, 8) if small else (32, 256, 1024, 4096):
        for delayed in (True, False):
            for bold in (False, True):
                yield wong_wang(at, n, count, length, delayed, bold)
    for asked in ("forward", "grad_k"):
        yield regions(Case("synthetic", 20 if small else 370, asked, True, steps=min(steps, 1000)))
    size, degree = (100, 10) if small else (5000, 20)
    for asked in ("forward", "grad_k"):
        yield edges(_sparse_problem.Case(size, degree, asked, delayed=True, steps=min(steps, 400)))
    yield wong_wang(at, n, 8 if small else 4096, length, False, True, noise=True)
    if not small:
        yield wong_wang(at, n, 32_768, length, False, True)


def regions(case):
    """Return one run of Hopf nodes, or its loss with the gradient of k."""
    delays = "delays" if case.delayed else "no delays"
    asked = {"forward": "forward", "grad_k": "value and gradient of k"}[case.quantity]

    def prepare():
        problem = make_problem(replace(case, dtype="float64"))
        expected = reference(problem)
        problem = replace(problem, case=case)
        args = jnp.asarray(K, case.dtype), jnp.asarray(problem.weights, case.dtype)

        def judge(answer):
            answer = answer if isinstance(answer, tuple) else (answer,)
            return error(problem, list(answer), expected), TOLERANCE[case.dtype]

        return quantity(_ours.build(problem), case.quantity), args, case.steps, judge

    name = f"one run, {asked}, {delays}, N = {case.n}"
    return name, 1, name, prepare


def edges(case):
    """Return one run over a sparse connection, or its loss with the gradient of k."""
    asked = {"forward": "forward", "grad_k": "value and gradient of k"}[case.quantity]

    def prepare():
        problem = _sparse_problem.make_problem(case)
        wanted = _sparse_problem.reference(case, problem)
        run, given = sparse.ours(case, problem)
        function = sparse.asked(run, case.quantity)
        args = jnp.float32(_sparse_problem.K), given

        def judge(answer):
            answer = answer if isinstance(answer, tuple) else (answer,)
            off = [
                np.abs(a - b).max() / np.abs(b).max() for a, b in zip(answer, wanted, strict=True)
            ]
            return float(max(off)), _sparse_problem.TOLERANCE

        return function, args, case.steps, judge

    name = f"sparse, {asked}, delays, N = {case.n}, {case.n * case.degree:.0e} edges"
    return name, 1, name, prepare


# --- sweeps of the Wong-Wang model, with BOLD ------------------------------------------------------


def wong_wang(at, n, count, steps, delayed, bold, noise=False):
    """Return a sweep over k, whose answer is the last S_e of each run, and its BOLD."""
    parts = ["delays" if delayed else "no delays", *["BOLD"] * bold, *["noise"] * noise, f"N = {n}"]

    def prepare():
        problem = make_problem(Case(at, n, delayed=delayed))
        weights = jnp.asarray(problem.weights, jnp.float32)
        ks = jnp.linspace(WEAK, STRONG, count, dtype="float32")
        net = cf.Network(
            cf.nodes.wong_wang_exc_inh,
            DT,
            couplings=cf.Wire("S_e", into="S_e"),
            lags=problem.lags if delayed else None,
            scheme="euler",
        )
        online = {"record": None}
        if bold:
            rest = cf.observe.balloon_init(jnp.zeros(n, "float32"))
            online = {"record": "S_e", "every": EVERY, "checkpoint": PERIOD, "reduce": (rest, add)}
        x0 = cf.nodes.WongWangExcInhState(*jnp.asarray(start_of(problem), jnp.float32))

        def run(k, weights):
            node = jax.tree.map(jnp.float32, cf.nodes.WongWangExcInhParams())
            sigma = {"S_e": jnp.float32(SIGMA)} if noise else None
            params = cf.Params(node, cf.AdditiveCoupling(weights, k), noise=sigma)
            state = net.init(x0, params, key=jax.random.key(0) if noise else None)
            last, blood = cf.simulate(net, state, params, steps, **online)
            if not bold:
                return (last.node.S_e,)
            return last.node.S_e, cf.observe.balloon_bold(blood, cf.observe.BalloonParams())

        wanted = by_numpy(at, n, steps, delayed)

        def judge(answer):
            off = []
            for got, want in zip(answer, wanted, strict=False):  # without BOLD only the first
                ends = got[[0, -1]]
                if noise:  # which leaves the mean over regions where it was
                    ends, want = ends.mean(1), want.mean(1)
                off.append(np.abs(ends - want).max() / np.abs(want).max())
            return float(max(off)), 0.05 if noise else 1e-4

        return jax.vmap(run, (0, None)), (ks, weights), steps, judge

    return f"sweep of {count}, {', '.join(parts)}", count, ", ".join(parts), prepare


def add(state, activity):
    """Take a part of a record of S_e into the balloon."""
    return cf.observe.bold_from_balloon(activity, DT * EVERY, DT * PERIOD, state=state)[0]


def start_of(problem):
    """Return S_e and S_i at the start, unlike from region to region."""
    return 0.1 + 0.05 * np.stack([problem.x0, problem.y0])


@cache
def by_numpy(at, n, steps, delayed):
    """Return the last S_e at the smallest and the largest k, and their BOLD, in float64."""
    problem, ks = make_problem(Case(at, n, delayed=delayed)), np.array([WEAK, STRONG])
    start = start_of(problem)
    p = {name: float(x) for name, x in vars(cf.nodes.WongWangExcInhParams()).items()}
    longest = int(problem.lags.max())
    e, i = (np.repeat(x[None], len(ks), 0) for x in start)
    history = np.repeat(e[None], longest + steps + 1, 0)
    blood = np.stack([np.zeros_like(e), *[np.ones_like(e)] * 3])
    at = np.arange(n)

    def fired(current, a, b, d):
        u = a * current - b
        return u / (1 - np.exp(-d * u))

    for t in range(longest, longest + steps):
        source = (
            history[t - problem.lags, :, at] if delayed else np.broadcast_to(e.T, (n, *e.T.shape))
        )
        c = ks[:, None] * np.einsum("ij,ijk->ki", problem.weights, source)
        to_e = p["w_p"] * p["J_N"] * e - p["J_i"] * i + p["W_e"] * p["I_0"] + p["J_N"] * c
        to_i = p["J_N"] * e - i + p["W_i"] * p["I_0"]
        rate_e = fired(to_e + p["I_ext"], p["a_e"], p["b_e"], p["d_e"])
        rate_i = fired(to_i, p["a_i"], p["b_i"], p["d_i"])
        e, i = (
            e + DT * (-e / p["tau_e"] + (1 - e) * p["gamma_e"] * rate_e),
            i + DT * (-i / p["tau_i"] + p["gamma_i"] * rate_i),
        )
        history[t + 1] = e
        if (t + 1 - longest) % EVERY == 0:
            first = balloon(blood, e)
            second = balloon(blood + DT * EVERY * first, e)
            blood = blood + DT * EVERY * (first + second) / 2
    _, _, v, q = blood
    k1, k2, k3 = 7 * 0.34, 2.0, 2 * 0.34 - 0.2
    return e, 0.02 * (k1 * (1 - q) + k2 * (1 - q / v) + k3 * (1 - v))


def balloon(blood, x):
    """Return the rates of signal, flow, volume and deoxyhaemoglobin per ms (Friston et al. 2003)."""
    s, f, v, q = blood
    kappa, gamma, tau, alpha, rho = 0.65, 0.41, 0.98, 0.32, 0.34
    out = v ** (1 / alpha)
    extracted = f * (1 - (1 - rho) ** (1 / f)) / rho
    rates = [x - kappa * s - gamma * (f - 1), s, (f - out) / tau, (extracted - q * out / v) / tau]
    return np.stack(rates) / 1000
