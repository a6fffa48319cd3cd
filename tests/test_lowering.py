"""Every public feature lowers for GPUs and TPUs, on a machine that has none; nothing is compiled or run.

Lowering fails where an operation has no rule for a platform, such as a call of LAPACK. What the compiler
of a device makes of it is not seen here: `python -m benchmarks gpu` runs on one.
"""

import inspect
import re
from functools import partial
from operator import attrgetter
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Compass
from test_fuzz import CALLS, USED, used
from test_layout import handed_out

import coupling_fn as cf
from coupling_fn._fit import _least_squares, _loop, _profile_likelihood, _sweep, _uncertainty
from coupling_fn.cohort import _squares

PLATFORMS = ("cuda", "tpu")
N, STEPS = 4, 48


@pytest.fixture(autouse=True, scope="module")
def _roads_of_an_accelerator():
    """Let what is chosen by backend while tracing be chosen as on an accelerator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")
        patch.setattr(eqx, "error_if", partial(eqx.error_if, on_error="nan"))
        jax.clear_caches()  # what other tests traced was chosen for a CPU
        yield
    jax.clear_caches()


def is_numbers(x):
    """Whether `x` is an array of floats, or of random keys."""
    if not isinstance(x, np.ndarray | jax.Array):
        return False
    return jnp.issubdtype(x.dtype, jnp.inexact) or jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def lower(function, *args, platforms=PLATFORMS, **given):
    """Trace a call once, with its arrays as arguments, and lower it."""
    arrays, rest = eqx.partition((args, given), is_numbers)

    def program(arrays):
        args, given = eqx.combine(arrays, rest)
        return eqx.filter(function(*args, **given), eqx.is_array)

    return jax.jit(program).trace(arrays).lower(lowering_platforms=platforms)


# --- public functions, by the calls that `test_fuzz.py` has -----------------------------------------

# What looks at values has no program: it refuses arrays that are traced, and runs on the host.
HOST = {
    "graph.clustering",
    "graph.modularity",
    "diagnose",
    "diagnose_run",
    "lag_bounds",
    "to_sparse",
    "fit",
    "evolve",
    "observe.to_frame",
}


@pytest.mark.every(19)
@pytest.mark.parametrize("name", sorted(CALLS))
def test_public_functions_lower(name):
    call = used(name) if name in USED else attrgetter(name)(cf)
    if name not in HOST:
        lower(call, **CALLS[name])
        return
    with pytest.raises((TypeError, ValueError)):
        lower(call, **CALLS[name])


# --- networks: rule x connection x delay x transformation --------------------------------------------

RNG = np.random.default_rng(0)
W = (RNG.random((N, N)) * (RNG.random((N, N)) < 0.7) + np.eye(N, k=1)).astype("float32") / 2
SPARSE = cf.to_sparse(W)
PARCELLATION = cf.Parcellation([0, 1, 1, 0])
RULES = {
    "dense": lambda k: cf.DiffusiveCoupling(W, k),
    "sparse": lambda k: cf.AdditiveCoupling(SPARSE, k),
    "BCOO": lambda k: cf.KuramotoCoupling(SPARSE.to_bcoo(), k),
    "edges": lambda k: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), W, k),
    "sparse edges": lambda k: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), SPARSE, k),
    "custom": lambda k: cf.CustomCoupling(lambda s, t, conn, k: k * cf.weighted_sum(conn, s), W, k),
    "gamma": lambda k: cf.GammaDelayedCoupling(cf.HyperbolicTangentCoupling(W, k), 5.0, 2),
    "sum": lambda k: cf.SumCoupling((cf.AdditiveCoupling(W, k), cf.DiffusiveCoupling(SPARSE, k))),
}
LAGS = {
    "mixed": {"lags": RNG.integers(0, 45, (N, N))},
    "no": {},
    "uniform": {"lags": 20},
    "near": {"lags": RNG.integers(1, 7, (N, N))},
    "far": {"lags": RNG.integers(34, 45, (N, N))},
    "traced": {"lag_bounds": (1, 50)},
    "traced, far": {"lag_bounds": (33, 80)},
    "interpolated": {"lag_bounds": (1, 50), "interpolate": "linear"},
}


def network(rule, lags, derivative="reverse"):
    """Return the run of a k, a speed and a start: the last x, and its record."""
    options = dict(LAGS[lags])
    lengths = RNG.uniform(35.0, 45.0, (N, N)).astype("float32") if "lag_bounds" in options else None
    if rule in ("sparse", "sparse edges"):  # whose lags go by edge
        if np.ndim(options.get("lags")) == 2:
            options["lags"] = cf.edge_values(SPARSE, options["lags"]).astype(int)
        lengths = None if lengths is None else cf.edge_values(SPARSE, lengths)
    net = cf.Network(cf.nodes.linear, 1.0, **options)

    def run(k, speed, x0):
        if "interpolate" not in options:  # then lags have no gradient, and say so
            speed = jax.lax.stop_gradient(speed)
        traced = {} if lengths is None else {"lengths": lengths, "speed": speed}
        node = cf.nodes.LinearParams(a=jnp.float32(-0.5))
        params = cf.Params(node, RULES[rule](k), noise=0.1, **traced)
        state = net.init(cf.nodes.LinearState(x0), params, key=jax.random.key(1), history=x0)
        last, seen = cf.simulate(net, state, params, STEPS, record="x", derivative=derivative)
        return last.node.x, seen

    return run


GIVEN = jnp.float32(0.5), jnp.float32(1.0), jnp.linspace(-1.0, 1.0, N, dtype="float32")
MANY = jnp.linspace(0.5, 1.0, 3, dtype="float32")


def loss(run):
    return lambda *args: jnp.mean(run(*args)[1] ** 2)


def slopes(run):
    return jax.value_and_grad(loss(run), (0, 1))


def several(run):
    return lambda k, speed, x0: jax.vmap(run, (0, 0, None))(k * MANY, speed * MANY, x0)


def forward(run):
    return lambda k, speed, x0: jax.jvp(lambda k: loss(run)(k, speed, x0), (k,), (k,))


TRANSFORMATIONS = {
    "run": lambda run: run,
    "gradient": slopes,
    "vmap": several,
    "vmap of gradient": lambda run: several(slopes(run)),
    "jvp": forward,
}


@pytest.mark.every(29)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lags", LAGS)
def test_networks_lower(lags, rule, transformation):
    mode = "forward" if transformation == "jvp" else "reverse"
    lower(TRANSFORMATIONS[transformation](network(rule, lags, mode)), *GIVEN)


class OwnScheme(cf.schemes.Scheme):
    """Half of an exponential step, by what such schemes are made of."""

    order = 1
    stages = (0.0,)

    def step(self, rate, x, dt):
        rates, slopes = cf.schemes.with_slopes(rate, x, 0.0)
        return jax.tree.map(lambda x, r, s: x + dt * r / (1 - dt * s / 2), x, rates, slopes)


SCHEMES = {
    "own": OwnScheme(),
    "Euler": cf.schemes.Euler(),
    "Heun": cf.schemes.Heun(),
    "RK4": cf.schemes.RK4(),
    "exponential": cf.schemes.ExponentialEuler(),
    "Ralston": cf.schemes.RungeKutta([[1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9]),
}


@pytest.mark.every(5)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("lags", ["mixed", "no"])
def test_schemes_lower(lags, scheme, monkeypatch):
    monkeypatch.setitem(LAGS, lags, {**LAGS[lags], "scheme": SCHEMES[scheme]})
    lower(slopes(network("dense", lags)), *GIVEN)


def test_the_check_of_traced_lags_needs_the_device(monkeypatch):
    """It calls the host, which lowers only with the client of a device; elsewhere here it gives NaN."""
    monkeypatch.setattr(eqx, "error_if", partial(eqx.error_if, on_error="raise"))
    monkeypatch.setitem(
        LAGS, "traced", {"lag_bounds": (2, 51)}
    )  # a network that no other test traces
    with pytest.raises(
        ValueError, match="backend cpu is different from the lowering platform cuda"
    ):
        lower(network("dense", "traced"), *GIVEN, platforms=("cuda",))


# --- what else a network and a run may have ---------------------------------------------------------


def simulated(net, params, x0, steps=STEPS, key=None, history=None, **options):
    state = net.init(x0, params, key=key, history=history)
    last, seen = cf.simulate(net, state, params, steps, **options)
    return getattr(last, "state", last).node, seen


def hopf(k=0.1, lags=None, noise=None, external=None, options=None, **run):
    """Run a network of Hopf nodes, whose two states are coupled."""
    options = {"lags": LAGS["mixed"]["lags"] if lags is None else lags} | (options or {})
    net = cf.Network(cf.nodes.hopf, 0.5, **options)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(W, k), noise, external)
    x0 = cf.nodes.HopfState(*jnp.linspace(-1.0, 1.0, 2 * N, dtype="float32").reshape(2, N))
    return simulated(net, params, x0, key=jax.random.key(0), **run)


def surface(k):
    wires = {"local": cf.Wire("x", "x"), "long": cf.Wire(lambda s: PARCELLATION.mean(s.x), "x")}
    net = cf.Network(cf.nodes.linear, 1.0, couplings=wires, lags={"local": None, "long": 33})
    long = cf.RegionalCoupling(cf.AdditiveCoupling(W[:2, :2], k), PARCELLATION)
    params = cf.Params(
        cf.nodes.LinearParams(), {"local": cf.DiffusiveCoupling(SPARSE), "long": long}
    )
    return simulated(net, params, cf.nodes.LinearState(GIVEN[2]), record="x")


def several_couplings(k):
    wires = {"E": cf.Wire("E", into="E"), "I": cf.Wire("I", into="E")}
    lags = {"E": LAGS["mixed"]["lags"], "I": 6}
    net = cf.Network(cf.nodes.wilson_cowan, 0.5, couplings=wires, lags=lags)
    sparse = cf.SigmoidalJansenRitCoupling(SPARSE, k)
    couplings = {"E": cf.PreSigmoidalCoupling(W, k), "I": sparse + cf.SigmoidalCoupling(W, k)}
    params = cf.Params(cf.nodes.WilsonCowanParams(), couplings)
    return simulated(net, params, cf.nodes.WilsonCowanState(0.1 * GIVEN[2], 0.1 * GIVEN[2]))


def in_time(k):
    net = cf.Network(cf.nodes.hopf, 0.5, lags=LAGS["mixed"]["lags"])
    ramp = cf.stimuli.Ramp(k, duration=10.0)
    params = cf.Params(
        cf.nodes.HopfParams(),
        cf.DiffusiveCoupling(W),
        time_varying={"coupling.k": ramp, "node.a": DRIVES},
    )
    return simulated(net, params, cf.nodes.HopfState(GIVEN[2], GIVEN[2]), record="x")


def phases(k, **options):
    net = cf.Network(cf.nodes.kuramoto, 0.5, lags=LAGS["mixed"]["lags"], **options)
    params = cf.Params(cf.nodes.KuramotoParams(), cf.KuramotoCoupling(W, k))
    _, seen = simulated(net, params, cf.nodes.KuramotoState(GIVEN[2]), record="theta")
    return cf.observe.kuramoto_order_parameter(seen)


def tabulated(k):
    mu, sigma = jnp.linspace(0.0, 2.0, 5, dtype="float32"), jnp.linspace(1.0, 2.0, 3)
    flat = jnp.ones((5, 3), "float32")
    tables = cf.nodes.AlnTables(mu, sigma, 0.01 * flat, -60.0 * flat, 9.0 * flat)
    net = cf.Network(cf.nodes.aln(tables), 0.5, lags=LAGS["mixed"]["lags"])
    params = cf.Params(cf.nodes.AlnParams(), cf.AdditiveCoupling(W, k))
    x0 = cf.nodes.AlnState(*[0.1 + 0 * GIVEN[2]] * 13)
    return simulated(net, params, x0, record="r_e")


def wong_wang(k, record=("S_e", "input.S_e", "rate_e"), **options):
    net = cf.Network(cf.nodes.wong_wang_exc_inh, 1.0, lags=LAGS["far"]["lags"])
    coupling = cf.HyperbolicTangentCoupling(W, k)
    params = cf.Params(cf.nodes.WongWangExcInhParams(), coupling, noise=0.01)
    x0 = cf.nodes.WongWangExcInhState(0.1 + 0 * GIVEN[2], 0.1 + 0 * GIVEN[2])
    return simulated(net, params, x0, key=jax.random.key(0), record=record, **options)


def online_bold(k):
    """Measure a run of which nothing is kept."""
    measure = {
        "bold": cf.observe.BalloonBold("S_e", 64.0, resolution=4.0),
        "eeg": cf.observe.Sensors("S_e", 2.0, lead_field=W, reference="average"),
        "last": cf.observe.Sampled("rate_e", 8.0),
        "mean": cf.observe.Averaged("input.S_e"),
    }
    return wong_wang(k, None, steps=128, checkpoint=32, measure=measure, warm_up=64)


def kernel_bold(k):
    bold = cf.observe.KernelBold("S_e", 64.0, kernel=cf.observe.gamma_kernel, length=640.0)
    return wong_wang(k, None, steps=64, measure=bold)


def online_kernel(k):
    kernel = cf.observe.mixture_of_gammas_kernel
    weights = cf.observe.kernel_weights(kernel, dt=1000.0, period=2000.0)
    start = cf.observe.kernel_init(jnp.zeros(N, "float32"), weights)

    def add(state, activity):
        return cf.observe.kernel_step(state, activity, weights), None

    return jax.lax.scan(add, start, wong_wang(k, "S_e")[1])[0].pending[0]


def online_fc(k):
    measure = cf.observe.RunningMoments("x")
    _, moments = hopf(k, record=None, checkpoint=16, measure=measure)
    start = cf.observe.moments_init(moments.reference)
    moments = cf.observe.moments_step(start, moments.comoment)
    return cf.observe.fc_from_moments(moments)


def of_kernels(k):
    kernels = cf.observe.double_exponential_kernel, cf.observe.first_order_volterra_kernel
    activity = wong_wang(k, "S_e")[1]
    return [cf.observe.bold_from_kernel(activity, kernel, 1000.0, 2000.0) for kernel in kernels]


def balloon(k):
    state = cf.observe.balloon_init(k * GIVEN[2])
    rate = cf.observe.balloon_windkessel(state, k * GIVEN[2], cf.observe.BalloonParams())
    return rate, cf.observe.balloon_bold(state, cf.observe.BalloonParams())


def mixed_objective(k):
    fc = cf.observe.functional_connectivity(hopf(k, record="x")[1])
    objectives = {"level": cf.observe.fc_rmse, "pattern": cf.observe.fc_correlation_distance}
    both = cf.observe.weighted_objective(objectives, {"level": 1.0, "pattern": k})
    return both(fc, jnp.eye(N, dtype="float32"))


def solver(k):
    """Hand the vector field to another solver."""
    net = cf.Network(cf.nodes.linear, 1.0)
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(W, k))
    return cf.vector_field(net, params)(0.0, cf.nodes.LinearState(GIVEN[2]), None)


def plastic(k):
    """Let k grow with what the regions do."""
    net = cf.Network(cf.nodes.linear, 1.0)
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), cf.AdditiveCoupling(W, k))
    state = net.init(cf.nodes.LinearState(GIVEN[2]), params)

    def rule(p, x):
        return eqx.tree_at(lambda p: p.coupling.k, p, p.coupling.k + x.mean())

    return cf.adapt(net, state, params, 8, rule=rule, stretch=4, record="x").params.coupling.k


def transformed(k):
    positive, same = cf.transforms.positive(), cf.transforms.identity()
    return positive.inverse(positive.forward(k)), same.forward(k)


DRIVES = cf.stimuli.Step(0.1, onset=1.0, duration=3.0) + cf.stimuli.Sine(0.1, 10.0)
STATE_NOISE = cf.noise.Multiplicative(lambda s: s.x, sigma=0.1)
PINK = jnp.array([0.1, 0.1, 100.0], "float32")  # sigma, and the ends of its band [Hz]
COLOURED = {"x": cf.noise.OrnsteinUhlenbeck(0.1, tau=5.0), "y": cf.noise.Pink(*PINK)}
FEATURES = {
    "Euler": lambda k: hopf(k, options={"scheme": "euler"}),
    "RK4": lambda k: hopf(k, options={"scheme": "rk4", "hold": "coupling"}),
    "input held": lambda k: hopf(k, external={"x": DRIVES}, options={"hold": "step"}),
    "stimulus": lambda k: hopf(k, external={"x": DRIVES, "y": lambda t: jnp.sin(t)}),
    "noise by state": lambda k: hopf(k, noise={"x": STATE_NOISE}),
    "coloured noise": lambda k: hopf(k, noise=COLOURED, options={"noise_step": 0.25}),
    "coloured input": lambda k: hopf(k, external={"x": COLOURED["x"]}),
    "reliability": lambda k: cf.cohort.icc(k + jnp.asarray(W)),
    "clipping": lambda k: hopf(k, options={"bounds": {"x": (-1.0, 1.0)}, "clip": "stages"}),
    "every": lambda k: hopf(k, record="x", every=4),
    "a record of histories": lambda k: hopf(k, record=lambda s: s.history["x"][0]),
    "checkpoint": lambda k: hopf(k, checkpoint=16),
    "surface": surface,
    "several couplings": several_couplings,
    "parameters in time": in_time,
    "tables": tabulated,
    "angles": phases,
    "angles that grow": partial(phases, angles="grow"),
    "inputs and rates": wong_wang,
    "what runs along with a run": online_bold,
    "BOLD by kernel, step by step": online_kernel,
    "BOLD by kernel, along with a run": kernel_bold,
    "BOLD by kernels": of_kernels,
    "balloon": balloon,
    "FC of a run in parts": online_fc,
    "weighted objective": mixed_objective,
    "vector field": solver,
    "plasticity": plastic,
    "transforms": transformed,
    "sweep": lambda k: cf.sweep(lambda k: hopf(k)[1].x, k * MANY, chunk=2, progress=False),
    "minibatches": lambda k: cf.minibatches(k * MANY, size=2, key=jax.random.key(0))(1),
}


@pytest.mark.every(13)
@pytest.mark.parametrize("name", FEATURES)
def test_features_lower(name):
    """With a gradient, for several k at once."""

    def total(k):
        leaves = jax.tree.leaves(eqx.filter(FEATURES[name](k), eqx.is_inexact_array))
        return sum(jnp.sum(jnp.abs(x) ** 2) for x in leaves)

    lower(lambda k: jax.vmap(jax.value_and_grad(total))(k * MANY), GIVEN[0])


@pytest.mark.every(13)
@pytest.mark.parametrize("lags", ["mixed", "no", "far"])
@pytest.mark.parametrize("rule", ["dense", "sparse"])
def test_nodes_over_devices_lower(rule, lags):
    """Over the one device of this process; `test_shard.py` has four."""
    given = LAGS[lags].get("lags")
    given = (
        cf.edge_values(SPARSE, given).astype(int) if rule == "sparse" and lags != "no" else given
    )
    net = cf.Network(cf.nodes.linear, 1.0, lags=given)
    params = cf.Params(cf.nodes.LinearParams(), RULES[rule](GIVEN[0]), noise=0.1)
    state = net.init(cf.nodes.LinearState(GIVEN[2]), params, key=jax.random.key(0))
    net, state, params = cf.shard(net, state, params, jax.devices()[:1])

    def run(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return jnp.mean(cf.simulate(net, state, there, STEPS, record="x")[1] ** 2)

    lower(lambda k: (run(k), jax.vmap(jax.grad(run))(k * MANY)), GIVEN[0])


# --- without a simulation --------------------------------------------------------------------------

REST = cf.nodes.HopfState(jnp.zeros(N), jnp.zeros(N))


def linearised(lags):
    net = cf.Network(cf.nodes.hopf, 0.5, lags=LAGS[lags].get("lags"))
    coupling = cf.AdditiveCoupling(W.astype(float))
    params = cf.Params(cf.nodes.HopfParams(a=-2.0), coupling, noise=0.1)
    return net, lambda k: eqx.tree_at(lambda p: p.coupling.k, params, k)


ANALYSES = {
    "fixed_point": lambda net, p: cf.fixed_point(net, p, REST),
    "jacobians": lambda net, p: cf.jacobians(net, p, REST),
    "stationary_covariance": lambda net, p: cf.stationary_covariance(net, p, REST),
    "lagged covariance": lambda net, p: cf.stationary_covariance(net, p, REST, lag=2.0),
    "cross_spectrum": lambda net, p: cf.cross_spectrum(net, p, REST, jnp.array([1.0, 8.0])),
    "analytic_fc": lambda net, p: cf.analytic_fc(net, p, REST),
    "nonlinearity": lambda net, p: cf.nonlinearity(net, p, REST),
    "critical_k": lambda net, p: cf.critical_k(net, p, REST, 0.001, 9.0),
    "bifurcation": lambda net, p: cf.bifurcation(net, p, REST, 0.001, 9.0).value,
}


@pytest.mark.every(9)
@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("lags", ["mixed", "no"])
def test_analyses_lower(name, lags):
    """With derivatives in both modes, for several k at once."""
    net, params = linearised(lags)

    def total(k):
        leaves = jax.tree.leaves(ANALYSES[name](net, params(k)))
        return sum(jnp.sum(jnp.abs(x)) for x in leaves)

    def both(k):
        return jax.value_and_grad(total)(k), jax.jvp(total, (k,), (k,))

    lower(lambda k: jax.vmap(both)(k * jnp.arange(1.0, 3.0)), jnp.asarray(0.5))


# --- fits: the programs that the host calls ---------------------------------------------------------


FC = np.corrcoef(RNG.normal(size=(N, 9))).astype("float32")


def misfit(p, target=FC):
    return jnp.mean((hopf(p["k"], record="x")[1] - p["b"] - jnp.mean(target)) ** 2)


def residuals(p):
    return (hopf(p["k"], record="x")[1] - p["b"]).ravel()


def misfits(p, level):
    return residuals(p) - level


def squared(p, level):
    return jnp.sum(misfits(p, level) ** 2)


def decay(p):
    return p["b"] * jnp.exp(-p["k"] * T) - jnp.exp(-T)


def run_of_k(k):
    return hopf(k, record="x")[1]


AT = {"k": jnp.float32(0.1), "b": jnp.float32(0.0)}
T = jnp.arange(4.0)
LONG = {"k": jnp.asarray(0.1), "b": jnp.asarray(0.0)}  # with x64, its solver takes no float32
COHORT = cf.cohort.stack({"a": jnp.float32(0.1), "b": jnp.float32(0.2)})
BOTH, K, B = (lambda p: (p["k"], p["b"])), (lambda p: p["k"]), (lambda p: p["b"])
KEY, POSITIVE = jax.random.key(0), cf.transforms.positive()
QUIET = {"steps": 1, "progress": False}
# Each with the place of the program that it calls.
FITS = {
    "fit": ((_loop, "compiled_steps"), lambda: cf.fit(misfit, AT, where=BOTH, **QUIET)),
    "starts": (
        (_loop, "compiled_steps"),
        lambda: cf.fit(misfit, AT, where=K, transform=POSITIVE, starts=2, key=KEY, **QUIET),
    ),
    "least_squares": (
        (_least_squares, "_solve"),
        lambda: cf.least_squares(decay, LONG, where=BOTH, steps=2),
    ),
    "find_k": (
        (_sweep, "_batch"),
        lambda: cf.find_k(run_of_k, FC, ks=MANY, progress=False),
    ),
    "evolve": (
        (_sweep, "_batch"),
        lambda: cf.evolve(
            misfit, AT, where=BOTH, key=KEY, method=Compass, generations=1, progress=False
        ),
    ),
    "sweep over devices": (
        (_sweep, "_batch"),
        lambda: cf.sweep(run_of_k, MANY, devices=jax.devices()[:1], progress=False),
    ),
    "bootstrap": (
        (_sweep, "_batch"),
        lambda: cf.bootstrap(misfit, AT, MANY, KEY, where=B, samples=2, steps=1),
    ),
    "profile_likelihood": (
        (_profile_likelihood, "_profile"),
        lambda: cf.profile_likelihood(misfit, AT, along=K, values=MANY, where=B, steps=1),
    ),
    "uncertainty": (
        (_uncertainty, "_jacobian"),
        lambda: cf.uncertainty(residuals, AT, where=BOTH),
    ),
    "cohort": (
        (_squares, "_factors"),
        lambda: cf.cohort.fit(misfits, AT, COHORT, where=BOTH, chunk=2),
    ),
    "losses of a cohort": (
        (_squares, "_losses"),
        lambda: cf.cohort.fit_loss(squared, AT, COHORT, where=BOTH, chunk=2, steps=50),
    ),
    "uncertainty of a loss": (
        (_uncertainty, "_hessian"),
        lambda: cf.uncertainty(lambda p: jnp.sum((p["k"] - p["b"]) ** 2), AT, where=BOTH),
    ),
}


class Lowered(Exception):
    """The program of a fit was lowered, and is not to be run."""


@pytest.mark.every(7)
@pytest.mark.parametrize("name", FITS)
def test_fits_lower(monkeypatch, name):
    (module, place), call = FITS[name]
    program = getattr(module, place)

    def only_lowered(*args, **given):
        lower(program, *args, **given)
        raise Lowered

    monkeypatch.setattr(module, place, only_lowered)
    with pytest.raises(Lowered):
        call()


def test_log_densities_lower():
    density = cf.log_density(misfit, AT, where=BOTH, transform=(POSITIVE, cf.transforms.identity()))
    start = jax.tree.map(lambda x: jnp.stack([x, x]), density.start)
    lower(jax.vmap(jax.value_and_grad(density)), start)


# --- what does not lower ---------------------------------------------------------------------------


def test_the_spectral_radius_of_traced_weights_does_not_lower_for_a_tpu():
    """JAX has no program for the eigenvalues of a matrix that is not symmetric on a TPU."""
    call = partial(cf.normalize, by="spectral")
    lower(call, W, platforms=("cuda",))
    with pytest.raises(NotImplementedError, match="'eig' not found for platform tpu"):
        lower(call, W, platforms=("tpu",))


# --- all of it -------------------------------------------------------------------------------------

# Public names without a program: types that hold something, and what reads or writes files, or words.
NO_PROGRAM = {
    *(
        "Adapted",
        "Interrupted",
        "Coupling",
        "Finding",
        "Report",
        "State",
        "VectorField",
        "SparseConnection",
    ),
    *("BalancedInhibition", "Bifurcation", "Jacobians", "Bootstrap", "FitResult", "KSearch"),
    *("LogDensity", "Minibatches", "ProfileLikelihood", "Starts", "Uncertainty"),
    *("noise.Coloured", "noise.White", "observe.BalloonState", "observe.KernelState"),
    *("observe.AverageState", "observe.Measured", "observe.Measurement"),
    *("observe.Moments", "observe.load_lead_field", "stimuli.Stimulus", "stimuli.Sum"),
    *("observe.Avalanches", "observe.Histogram", "observe.Ignition", "observe.KMeans"),
    "observe.BANDS",
    *("stimuli.Time", "transforms.Transform", "nodes.Node", "nodes.node", "nodes.catalog"),
    "nodes.load_aln_tables",
    *("load_connectome", "save_connectome", "load_params", "save_params", "load_state"),
    *("save_state", "check_units", "name_regime", "surface.Cortex", "surface.load_cortex"),
    *("cohort.Cohort", "cohort.CohortFit", "cohort.reliability"),
    *("hybrid.Division", "hybrid.HybridNode", "hybrid.divide", "hybrid.node", "hybrid.of"),
}


def test_no_public_name_is_left_out():
    source = Path(__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"\bcf\.([\w.]+)", source)) | {*CALLS} | NO_PROGRAM
    for name, node in cf.nodes.catalog().items():  # parameters of each are in CALLS
        named |= {f"nodes.{name}", f"nodes.{node.State.__name__}"}
    public = set()
    for name in cf.__all__:
        x = getattr(cf, name)
        if not inspect.ismodule(x):
            public.add(name)
        elif (
            x.__name__.startswith("coupling_fn.") and x is not cf.plot
        ):  # whose pictures are the host's
            public |= {f"{name}.{part}" for part in handed_out(name)}
    assert len(public) > 200
    assert sorted(public - named) == []
