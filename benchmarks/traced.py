"""What does a run cost whose lags are traced, next to the same run with fixed lags?

A map of k x speed of a Kuramoto network (Heun, float32), as a user writes it: `lengths` and `speed` in
`Params` and `lag_bounds` in the network, so that nothing is compiled again. All runs of the map go
through one `vmap`, as do those over the lengths of a cohort. Every answer is first compared: with fixed
lags against NumPy, with traced lags against NumPy or, where it is rounded, against fixed lags.
"""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

from ._harness import on_cores
from ._machine import spread_of
from ._problem import Case, make_problem
from ._problem import connectome as connectome_of

DT, OMEGA, K = 0.2, 0.06, 0.05  # [ms], [1/ms], [1/ms]
SPEEDS = 2.0, 10.0  # from and to [mm/ms]
TOLERANCE = 2e-3  # [rad]; where a lag of one edge slips by a step, some phase moves by more
MAP = 20, 10  # values of k, and of the speed
SUBJECTS = 8


def main(options, repeats):
    """Return a table per connectome; with fewer steps than 500, of a small map."""
    steps = options.steps or 2000
    shape = (4, 3) if steps < 500 else MAP
    return [measure(*which, steps, shape, repeats) for which in options.connectomes(84)]


def arrays(connectome, n):
    """Return directed weights without a diagonal, lengths [mm] with a diagonal of 0, and the start."""
    weights = make_problem(Case(connectome, n)).weights
    _, lengths = connectome_of(connectome, n, np.random.default_rng(0))
    lengths = np.maximum(
        lengths, 2 * DT * SPEEDS[1]
    )  # a lag below a step reads what is not there yet
    np.fill_diagonal(lengths, 0)
    theta = np.random.default_rng(1).uniform(-np.pi, np.pi, len(weights))
    return weights.astype("float32"), lengths.astype("float32"), theta.astype("float32")


def runner(weights, lengths, theta, steps, **options):
    """Return the run to its last phases of a k, and of a speed and lengths where lags are traced."""
    net = cf.Network(cf.nodes.kuramoto, DT, **options)
    node = cf.nodes.KuramotoParams(omega=jnp.float32(OMEGA))
    bare = cf.Params(node, cf.KuramotoCoupling(jnp.asarray(weights), jnp.float32(K)))

    def run(k, speed, lengths):
        params = eqx.tree_at(lambda p: p.coupling.k, bare, k)
        if "lag_bounds" in options:
            params = cf.Params(node, params.coupling, lengths=lengths, speed=speed)
        state = net.init(cf.nodes.KuramotoState(jnp.asarray(theta)), params)
        return cf.simulate(net, state, params, steps, record="theta")[1][-1]

    return run


def by_numpy(weights, lags, theta, steps, k):
    """Take the steps in float64, with lags that need not be whole: messages are read between steps."""
    n, longest = len(weights), int(np.ceil(lags.max())) + 1
    sines, cosines = (np.empty((longest + steps + 1, n)) for _ in range(2))
    x = theta.astype(float)
    sines[: longest + 1], cosines[: longest + 1] = np.sin(x), np.cos(x)
    whole = np.floor(lags).astype(int)
    part, at = lags - whole, np.arange(n)

    def rate(x, t):
        new, old = np.minimum(t - whole, len(sines) - 1), t - whole - (part > 0)
        sine = (1 - part) * sines[new, at] + part * sines[old, at]
        cosine = (1 - part) * cosines[new, at] + part * cosines[old, at]
        sums = (weights * sine).sum(1), (weights * cosine).sum(1)
        return OMEGA + k * (np.cos(x) * sums[0] - np.sin(x) * sums[1])

    for t in range(longest, longest + steps):
        first = rate(x, t)
        second = rate(x + DT * first, t + 1)
        x = x + DT * (first + second) / 2
        sines[t + 1], cosines[t + 1] = np.sin(x), np.cos(x)
    return x


def measure(connectome, n, steps, shape, repeats):
    weights, lengths, theta = arrays(connectome, n)
    edges, speeds = weights != 0, np.linspace(*SPEEDS, shape[1], dtype="float32")
    ks = np.linspace(0.5 * K, 1.5 * K, shape[0], dtype="float32")
    cohort = np.random.default_rng(2).uniform(0.95, 1.0, (SUBJECTS, n, n)).astype("float32")
    cohort = np.maximum(cohort * lengths, 2 * DT * SPEEDS[1]) * (1 - np.eye(n, dtype="float32"))
    every = np.concatenate([lengths[None], cohort])
    present = np.broadcast_to(weights, every.shape)
    bounds = cf.lag_bounds(every, SPEEDS, DT, weights=present)

    def rounded(speed, lengths=lengths):
        return np.where(edges, np.asarray(cf.lags(lengths, speed, DT)), bounds[0])

    one_speed = float(speeds[shape[1] // 2])
    fixed = runner(weights, lengths, theta, steps, lags=rounded(one_speed))
    wanted = by_numpy(weights, rounded(one_speed), theta, steps, K)
    between = by_numpy(
        weights, np.where(edges, lengths / one_speed / DT, bounds[0]), theta, steps, K
    )
    point = jnp.float32(K), jnp.float32(one_speed), jnp.asarray(lengths)
    grid = cf.grid(k=ks, speed=speeds)
    axes = grid["k"], grid["speed"], jnp.asarray(lengths)
    subjects = point[0], point[1], jnp.asarray(cohort)
    by_grid, by_subject = jax.vmap(fixed, (0, None, None)), (None, None, 0)
    traced = {
        kind: runner(weights, lengths, theta, steps, lag_bounds=bounds, interpolate=kind)
        for kind in (None, "linear")
    }
    each_fixed = [
        (runner(weights, lengths, theta, steps, lags=rounded(float(v))), i)
        for i, v in list(enumerate(speeds))[:: max(1, shape[1] // 2)]
    ]

    def largest_k(ends):
        last = by_numpy(weights, rounded(one_speed), theta, steps, float(ks[-1]))
        return off(ends.reshape(*shape, n)[-1, 0], last)

    def like_fixed(ends):
        """Compare some speeds of the map with networks of fixed lags, at the largest k."""
        ends = ends.reshape(*shape, n)
        return max(
            off(ends[-1, i], jax.jit(run)(jnp.float32(ks[-1]), *point[1:])) for run, i in each_fixed
        )

    def like_subject(ends):
        lags = rounded(one_speed, cohort[-1])
        return off(ends[-1], by_numpy(weights, lags, theta, steps, K))

    def like_numpy_between(ends):
        lags = np.where(edges, lengths / float(speeds[0]) / DT, bounds[0])
        wanted = by_numpy(weights, lags, theta, steps, float(ks[-1]))
        return off(ends.reshape(*shape, n)[-1, 0], wanted)

    def subject_between(ends):
        lags = np.where(edges, cohort[-1] / one_speed / DT, bounds[0])
        return off(ends[-1], by_numpy(weights, lags, theta, steps, K))

    near, linear = traced[None], traced["linear"]
    size, grid_of = shape[0] * shape[1], jax.vmap(near, (0, 0, None))
    # A name, the run, its arguments, how many runs it has, how far off it is, and what it stands beside.
    asked = [
        ("fixed lags, one run", fixed, point, 1, lambda x: off(x, wanted), None),
        ("traced, one run", near, point, 1, lambda x: off(x, wanted), 0),
        ("traced, interpolated, one run", linear, point, 1, lambda x: off(x, between), 0),
        ("fixed lags, vmap over k", by_grid, axes, size, largest_k, None),
        ("traced, vmap over k and speed", grid_of, axes, size, like_fixed, 3),
        (
            "traced, interpolated, vmap over k and speed",
            jax.vmap(linear, (0, 0, None)),
            axes,
            size,
            like_numpy_between,
            3,
        ),
        (
            "traced, vmap over lengths",
            jax.vmap(near, by_subject),
            subjects,
            SUBJECTS,
            like_subject,
            3,
        ),
        (
            "traced, interpolated, vmap over lengths",
            jax.vmap(linear, by_subject),
            subjects,
            SUBJECTS,
            subject_between,
            3,
        ),
    ]
    rows = []
    for name, run, args, runs, judge, beside in asked:
        rows.append(timed(name, run, args, runs, judge, steps, repeats))
        if beside is not None and "us_per_step" in rows[beside] and "us_per_step" in rows[-1]:
            rows[-1]["times_fixed"] = rows[-1]["us_per_step"] / rows[beside]["us_per_step"]
    name = "synthetic" if connectome == "synthetic" else "given"
    title = (
        f"{name} N = {n}, dt {DT} ms, lags {bounds[0].min()} to {bounds[1].max()}, {steps} steps, "
    )
    return {"title": title + f"{shape[0]} k x {shape[1]} speeds, {on_cores()}", "rows": rows}


def off(got, wanted):
    """Return the largest difference of phases [rad], turns apart; inf where not finite."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    most = np.abs(np.angle(np.exp(1j * (got - wanted)))).max()
    return float(most) if np.isfinite(most) else np.inf


def timed(name, run, args, runs, judge, steps, repeats):
    begin = time.perf_counter()
    compiled = jax.jit(run).lower(*args).compile()
    row = {"name": name, "compile_s": time.perf_counter() - begin}
    row["error"] = judge(np.asarray(compiled(*args)))
    if not row["error"] < TOLERANCE:
        return row | {"failed": f"wrong answer: off by {row['error']:.1e} rad"}
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        times.append(time.perf_counter() - begin)
    step = float(np.median(times)) / steps / runs * 1e6
    return row | {"times_s": times, "us_per_step": step, "spread": spread_of(times)}


def table(answered):
    lines = [f"## {answered['title']}", ""]
    lines += ["| | µs per step of one run | fixed lags = 1 | spread | compile, s | error, rad |"]
    lines += ["|---" * 6 + "|"]
    for r in answered["rows"]:
        if "failed" in r:
            lines.append(f"| {r['name']} | {r['failed']} | | | | |")
            continue
        ratio = f"{r['times_fixed']:.2f}" if "times_fixed" in r else ""
        lines.append(
            f"| {r['name']} | {r['us_per_step']:.3g} | {ratio} | {r['spread']:.0%} "
            f"| {r['compile_s']:.2f} | {r['error']:.0e} |"
        )
    return "\n".join([*lines, ""])
