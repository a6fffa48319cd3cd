"""Parameters as functions of time: as plain loops in float64, on every road; what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

DT, STEPS = 0.1, 40
W = np.array([[0.0, 0.9, 0.2], [1.3, 0.0, 0.4], [0.1, 0.7, 0.3]])
SHORT = np.array([[1, 19, 3], [12, 0, 6], [5, 17, 2]])  # instantaneous, stepwise and blocked edges
LONG = np.array([[9, 19, 11], [12, 8, 16], [15, 17, 10]])  # blocked edges alone
LAGS = {"none": None, "short": SHORT, "long": LONG}
X0, Y0 = np.array([1.0, -0.5, 0.25]), np.array([0.3, 0.1, -0.6])
OMEGA = 0.8
FROM, TO = (
    np.array([0.8, 0.4, 1.2]),
    np.array([0.5, -0.9, 2.0]),
)  # k per target: what it is, and grows by


# --- the oracle: nothing of the package ------------------------------------------------------------


def k_at(t, slope=1.0):
    """Return a k per target that grows from 0.55 ms to 2.55 ms, in a straight line."""
    return FROM + slope * TO * min(max((t - 0.55) / 2.0, 0.0), 1.0)


def a_at(t):
    """Return the parameter a of all regions: a sine wave of 300 Hz."""
    return 0.1 + 0.6 * np.sin(2 * np.pi * 0.3 * t + 0.4)


STAGES = {
    "euler": ([0.0], [[]], [1.0]),
    "heun": ([0.0, 1.0], [[], [1.0]], [0.5, 0.5]),
    "rk4": ([0.0, 0.5, 0.5, 1.0], [[], [0.5], [0, 0.5], [0, 0, 1.0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}


def by_hand(scheme, hold, lags, k=k_at, a=a_at, steps=STEPS):
    """Return x and y of Hopf nodes after each step, with diffusive coupling of x: scalar loops."""
    lags = np.zeros((3, 3), int) if lags is None else lags
    times, below, weights = STAGES[scheme]
    xs, ys = [X0], [Y0]

    def input_at(n, c, x):
        """Return the input at a part c of step n, where the state is x."""
        total = np.zeros(3)
        for i in range(3):
            for j in range(3):
                ends = [xs[max(n + m - lags[i, j], 0)] for m in (0, 1) if n + m - lags[i, j] <= n]
                sent = (
                    x if lags[i, j] == 0 else ends[0] if c == 0 else (1 - c) * ends[0] + c * ends[1]
                )
                total[i] += W[i, j] * (sent[j] - x[i])
        return k((n + c) * DT) * total

    for n in range(steps):
        held = input_at(n, 0.0, xs[-1])
        rates = []
        for c, row in zip(times, below, strict=True):
            x = xs[-1] + DT * sum((b * r[0] for b, r in zip(row, rates, strict=False)), np.zeros(3))
            y = ys[-1] + DT * sum((b * r[1] for b, r in zip(row, rates, strict=False)), np.zeros(3))
            arrived = input_at(n, c, x) if hold == "stage" else held
            growth = a((n + (0.0 if hold == "step" else c)) * DT) - x**2 - y**2
            rates.append((growth * x - OMEGA * y + arrived, growth * y + OMEGA * x))
        xs.append(xs[-1] + DT * sum(b * r[0] for b, r in zip(weights, rates, strict=True)))
        ys.append(ys[-1] + DT * sum(b * r[1] for b, r in zip(weights, rates, strict=True)))
    return np.array(xs[1:]), np.array(ys[1:])


# --- the same with the package ---------------------------------------------------------------------


def in_time(slope=1.0):
    k = cf.stimuli.Constant(FROM) + cf.stimuli.Ramp(
        slope * jnp.asarray(TO), onset=0.55, duration=2.0
    )
    a = cf.stimuli.Constant(0.1) + cf.stimuli.Sine(0.6, frequency=300.0, phase=0.4)
    return {"coupling.k": k, "node.a": a}


def problem(scheme="heun", hold="stage", lags=SHORT, form=jnp.asarray, slope=1.0, **others):
    wire = cf.Wire("x", into="x")
    net = cf.Network(
        cf.nodes.hopf, DT, couplings=wire, lags=lags, scheme=scheme, hold=hold, **others
    )
    coupling = cf.DiffusiveCoupling(form(W), k=77.0)  # both numbers are not read
    node = cf.nodes.HopfParams(a=55.0, omega=OMEGA)
    params = cf.Params(node, coupling, time_varying=in_time(slope))
    return net, net.init(cf.nodes.HopfState(jnp.asarray(X0), jnp.asarray(Y0)), params), params


@pytest.mark.every(5)
@pytest.mark.parametrize("form", [jnp.asarray, cf.to_sparse], ids=["dense", "sparse"])
@pytest.mark.parametrize("hold", ["stage", "coupling", "step"])
@pytest.mark.parametrize("scheme", ["rk4", "heun", "euler"])
@pytest.mark.parametrize("lags", ["short", "none", "long"])
def test_a_run_is_the_plain_loop(lags, scheme, hold, form):
    net, state, params = problem(scheme, hold, LAGS[lags], form)
    _, seen = cf.simulate(net, state, params, STEPS)
    x, y = by_hand(scheme, hold, LAGS[lags])
    assert_close((seen.x, seen.y), (x, y), ulps=1000)


@pytest.mark.parametrize("lags", ["short", "none"])
def test_single_steps_inputs_and_measurements_are_those_of_the_loop(lags):
    net, state, params = problem(lags=LAGS[lags])
    x, _ = by_hand("heun", "stage", LAGS[lags], steps=12)
    one, step = state, eqx.filter_jit(net)
    for n in range(4):
        one = step(one, params)
        assert_close(one.node.x, x[n], ulps=1000)
    record = ("x", "input.x")
    measure = {"mean": cf.observe.Averaged("input.x")}
    last, seen = cf.simulate(net, state, params, 12, record=record, check="finite")
    k = np.array([k_at((n + 1) * DT) for n in range(12)])
    lag = np.zeros((3, 3), int) if LAGS[lags] is None else LAGS[lags]
    past = np.concatenate([np.repeat(X0[None], 40, 0), x])
    sums = np.array(
        [
            [
                sum(W[i, j] * (past[40 + n - lag[i, j], j] - x[n, i]) for j in range(3))
                for i in range(3)
            ]
            for n in range(12)
        ]
    )
    assert_close(seen["input.x"], k * sums, ulps=1000)
    _, measured = cf.simulate(net, state, params, 12, measure=measure)
    assert_close(measured["mean"], (k * sums).mean(0), ulps=1000)
    assert int(last.step) == 12


def test_auxiliary_quantities_read_the_parameter_of_their_own_time():
    node = cf.nodes.wong_wang_exc_inh
    net = cf.Network(node, dt=1.0, scheme="euler", lags=3)
    drive = cf.stimuli.Constant(0.2) + cf.stimuli.Ramp(0.4, duration=20.0)
    coupling = cf.AdditiveCoupling(jnp.asarray(W), k=0.1)
    params = cf.Params(
        cf.nodes.WongWangExcInhParams(), coupling, time_varying={"node.I_ext": drive}
    )
    x0 = cf.nodes.WongWangExcInhState(jnp.full(3, 0.2), jnp.full(3, 0.1))
    state = net.init(x0, params)
    _, seen = cf.simulate(net, state, params, 20, record=("S_e", "S_i", "input.S_e", "rate_e"))
    for n in (0, 9, 19):
        x = type(x0)(seen["S_e"][n], seen["S_i"][n])
        inputs = type(x0)(seen["input.S_e"][n], jnp.zeros(3))
        own = cf.nodes.WongWangExcInhParams(I_ext=0.2 + 0.4 * (n + 1) / 20)
        assert_close(seen["rate_e"][n], node.auxiliary["rate_e"](x, inputs, own), ulps=1000)
    assert (jnp.diff(seen["rate_e"], axis=0) > 0).all()


@pytest.mark.every(3)
@pytest.mark.parametrize("derivative", ["reverse", "forward"])
@pytest.mark.parametrize("lags", ["short", "long", "none"])
def test_gradients_by_the_numbers_of_a_function_are_those_of_the_loop(lags, derivative):
    net, state, params = problem(lags=LAGS[lags])
    weights = np.linspace(0.5, 1.5, 3 * STEPS).reshape(STEPS, 3)

    def loss(slope, onset):
        ramp = cf.stimuli.Ramp(slope * jnp.asarray(TO), onset=onset, duration=2.0)
        ramped = eqx.tree_at(lambda p: p.time_varying["coupling.k"].parts[1], params, ramp)
        seen = cf.simulate(net, state, ramped, STEPS, record="x", derivative=derivative)[1]
        return (weights * seen).sum()

    def wanted(slope, onset):
        return (
            weights * by_hand("heun", "stage", LAGS[lags], lambda t: moved(t, slope, onset))[0]
        ).sum()

    def moved(t, slope, onset):
        return FROM + slope * TO * min(max((t - onset) / 2.0, 0.0), 1.0)

    at, h = (0.7, 0.52), 1e-6
    of = jax.jacfwd if derivative == "forward" else jax.grad
    got = jax.jit(of(loss, argnums=(0, 1)))(*at)
    by_slope = (wanted(at[0] + h, at[1]) - wanted(at[0] - h, at[1])) / (2 * h)
    by_onset = (wanted(at[0], at[1] + h) - wanted(at[0], at[1] - h)) / (2 * h)
    np.testing.assert_allclose(got, (by_slope, by_onset), rtol=2e-6)
    assert abs(by_slope) > 0.01 and abs(by_onset) > 0.01  # far above what differences lose


def test_many_slopes_are_one_program_and_a_vmap_is_each_alone():
    net, state, params = problem()

    def final(slope):
        moved = eqx.tree_at(lambda p: p.time_varying, params, in_time(slope))
        return cf.simulate(net, state, moved, STEPS, record=None)[0].node.x

    slopes = np.array([0.0, 0.5, -1.0])
    wanted = [by_hand("heun", "stage", SHORT, lambda t, s=s: k_at(t, s))[0][-1] for s in slopes]
    alone = eqx.filter_jit(eqx.debug.assert_max_traces(final, max_traces=1))
    for slope, x in zip(slopes, wanted, strict=True):
        assert_close(alone(jnp.asarray(slope)), x, ulps=1000)
    assert_close(jax.jit(jax.vmap(final))(slopes), np.array(wanted), ulps=1000)
    assert_close(cf.sweep(final, jnp.asarray(slopes)), np.array(wanted), ulps=1000)


def test_a_run_goes_on_from_files_with_the_same_bits(tmp_path):
    net, state, params = problem(lags=LONG)
    whole, x = cf.simulate(net, state, params, STEPS, record="x")
    saved, y = cf.simulate(
        net, state, params, STEPS, record="x", save=tmp_path / "run", save_every=16
    )
    assert_close(y, np.asarray(x), ulps=0)
    cf.save_params(tmp_path / "params.npz", params)
    empty = eqx.tree_at(lambda p: p.time_varying["coupling.k"].parts[1].amplitude, params, 0 * TO)
    read = cf.load_params(tmp_path / "params.npz", like=empty)
    half, _ = cf.simulate(net, state, read, 16, record="x")
    last, z = cf.simulate(net, half, read, STEPS - 16, record="x")
    assert_close(z, np.asarray(x[16:]), ulps=0)
    assert_close(
        (last.node, saved.node), jax.tree.map(np.asarray, (whole.node, whole.node)), ulps=0
    )


def test_several_couplings_sums_and_edges_are_named_by_their_paths():
    """Two wires: a sum of two rules, and a function of each edge, which reads all on arrival."""
    t = np.arange(12) * 0.1
    grow, fall, gain = 0.3 + 0.5 * t, 1.0 - 0.4 * t, 2.0 + t
    wires = {"near": cf.Wire("x", into="x"), "far": cf.Wire("x", into="x")}
    net = cf.Network(
        cf.nodes.linear, 0.1, couplings=wires, lags={"near": SHORT, "far": LONG}, scheme="euler"
    )
    both = cf.AdditiveCoupling(jnp.asarray(W), b=0.2) + cf.DiffusiveCoupling(jnp.asarray(W.T))
    edge = cf.EdgeCoupling(
        lambda source, target, gain: jnp.tanh(gain * source - target),
        jnp.asarray(W),
        gain=jnp.ones(()),
    )
    params = cf.Params(
        cf.nodes.LinearParams(a=-0.7),
        {"near": both, "far": edge},
        time_varying={
            "coupling.near.parts.0.b": lambda t: 0.3 + 0.5 * t,
            "coupling.near.parts.1.k": lambda t: 1.0 - 0.4 * t,
            "coupling.far.parameters.gain": lambda t: 2.0 + t,
        },
    )
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params)
    _, got = cf.simulate(net, state, params, 12, record="x")
    xs = [X0]
    for n in range(12):
        x, rate = xs[-1], -0.7 * xs[-1]
        for i in range(3):
            rate[i] += grow[n]
            for j in range(3):
                near, far = (xs[max(n - lags[i, j], 0)][j] for lags in (SHORT, LONG))
                rate[i] += W[i, j] * near + fall[n] * W.T[i, j] * (near - x[i])
                rate[i] += W[i, j] * np.tanh(gain[n] * far - x[i])
        xs.append(x + 0.1 * rate)
    assert_close(got, np.array(xs[1:]), ulps=1000)


@pytest.mark.parametrize("lags", ["short", "none"])
def test_a_hybrid_of_parts_of_one_network_has_its_numbers(lags):
    """Regions 2 and 0 are one subnetwork, region 1 the other, cut out of one connectome."""
    wires = {
        f"{a}->{b}": cf.Wire(f"{a}.x", into=f"{b}.x", target=f"{b}.x")
        for a in ("deep", "rest")
        for b in ("deep", "rest")
        if (a, b) != ("deep", "deep")
    }
    parts = {"rest": (cf.nodes.hopf, [2, 0]), "deep": (cf.nodes.hopf, [1])}
    division = cf.hybrid.divide(W, parts, wires=wires)
    delays = {} if LAGS[lags] is None else {"lags": division.cut(jnp.asarray(LAGS[lags]))}
    net = cf.Network(division.node, DT, couplings=division.wires, **delays)
    node = {name: cf.nodes.HopfParams(omega=OMEGA) for name in parts}
    of_all, given = in_time(), {}
    for name in division.weights:
        own = jnp.asarray([2, 0]) if name.endswith("rest") else jnp.asarray([1])
        given[f"coupling.{name}.k"] = lambda t, own=own: of_all["coupling.k"](t)[own]
    for name in parts:
        given[f"node.{name}.a"] = of_all["node.a"]
    couplings = {n: cf.DiffusiveCoupling(w, k=9.0) for n, w in division.weights.items()}
    params = cf.Params(node, couplings, time_varying=given)
    whole = cf.nodes.HopfState(jnp.asarray(X0), jnp.asarray(Y0))
    x0 = {
        name: jax.tree.map(lambda x, at=at: x[jnp.asarray(at)], whole)
        for name, (_, at) in parts.items()
    }
    state = net.init(x0, params)
    _, x = cf.simulate(net, state, params, STEPS, record="x")
    assert_close(x, by_hand("heun", "stage", LAGS[lags])[0], ulps=1000)
    wrong = eqx.tree_at(lambda p: p.time_varying["node.rest.a"], params, cf.stimuli.Constant(W[0]))
    with refuses(r"time_varying\['node.rest.a'\]` must have shape \(\) or \(2,\), not \(3,\)"):
        net.init(x0, wrong)


def test_nodes_over_devices_have_the_same_numbers():
    net, state, params = problem(form=cf.to_sparse)
    one = {"coupling.k": in_time()["coupling.k"].parts[1]}  # the global k then has a mesh to go to
    params = cf.Params(cf.nodes.HopfParams(0.1, OMEGA), params.coupling, time_varying=one)
    wanted, _ = by_hand("heun", "stage", SHORT, lambda t: k_at(t) - FROM, lambda t: 0.1)
    net, state, params = cf.shard(net, state, params, jax.devices()[:1])
    _, x = cf.simulate(net, state, params, STEPS, record="x")
    assert_close(x, wanted, ulps=4000)


def test_a_rate_of_change_is_that_of_its_time():
    net, _, params = problem(lags=None)
    field = cf.vector_field(net, params)
    y = cf.nodes.HopfState(jnp.asarray(X0), jnp.asarray(Y0))
    for t in (0.0, 1.3, 9.0):
        arrived = [k_at(t)[i] * sum(W[i, j] * (X0[j] - X0[i]) for j in range(3)) for i in range(3)]
        growth = a_at(t) - X0**2 - Y0**2
        got = field(t, y)
        assert_close(got.x, growth * X0 - OMEGA * Y0 + np.array(arrived), ulps=1000)
        assert_close(got.y, growth * Y0 + OMEGA * X0, ulps=1000)


def test_the_parameters_of_one_time_are_numbers_that_analyses_take():
    net, _, params = problem(lags=None)
    driven = {"x": cf.stimuli.Ramp(2.0, duration=4.0) + cf.noise.OrnsteinUhlenbeck(0.1, tau=5.0)}
    params = cf.Params(params.node, params.coupling, external=driven, time_varying=in_time())
    now = cf.at_time(params, 1.3)
    assert now.time_varying is None
    assert_close(now.coupling.k, k_at(1.3))
    assert_close(now.node.a, np.array(a_at(1.3)))
    assert_close(now.external["x"].parts[0](99.0), np.array(0.65))
    assert isinstance(now.external["x"].parts[1], cf.noise.OrnsteinUhlenbeck)
    alone = cf.Params(params.node, params.coupling, time_varying=in_time())
    x0 = cf.nodes.HopfState(jnp.asarray(X0), jnp.asarray(Y0))
    rest = cf.fixed_point(net, cf.at_time(alone, 1.3), x0)
    change = cf.vector_field(net, alone)(1.3, rest)
    assert max(abs(x).max() for x in jax.tree.leaves(change)) < 1e-9
    several = jax.vmap(lambda t: cf.at_time(alone, t).coupling.k)(jnp.array([0.0, 1.3]))
    assert_close(several, np.array([k_at(0.0), k_at(1.3)]))


REFUSED = {
    "a name": ({"coupling.kk": cf.stimuli.Ramp()}, "coupling.k, .*Did you mean 'coupling.k'"),
    "weights": ({"coupling.conn": cf.stimuli.Ramp()}, "weights are fixed within a run.*cf.adapt"),
    "speed": ({"speed": cf.stimuli.Ramp()}, "delays are fixed"),
    "noise's size": ({"noise.x": cf.stimuli.Ramp()}, "size of noise is fixed"),
    "external": ({"external.x": cf.stimuli.Ramp()}, "`external` takes a function of time itself"),
    "other regions": (
        {"coupling.k": cf.stimuli.Constant(np.ones(4))},
        r"time_varying\['coupling.k'\]` must have shape \(\) or \(3,\), not \(4,\)",
    ),
    "a matrix": ({"node.a": lambda t: jnp.ones((3, 3))}, r"\(\) or \(3,\), not \(3, 3\)"),
    "None": ({"node.a": lambda t: None}, "returned None"),
    "a number": ({"node.a": 0.5}, "must be a function of time.*`params.node.a` itself"),
    "a class": ({"node.a": cf.stimuli.Ramp}, "must not hold .*: call it"),
    "noise": (
        {"node.a": cf.stimuli.Ramp() + cf.noise.OrnsteinUhlenbeck(0.1, tau=5.0)},
        "noise, which has no value at a time",
    ),
    "no dict": (cf.stimuli.Ramp(), "must be a dict by the names of parameters"),
    "NumPy": ({"node.a": lambda t: np.tanh(float(t))}, "Leave it an array"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_is_refused_before_a_run(why):
    given, words = REFUSED[why]
    net, state, params = problem()
    with refuses(words, (TypeError, ValueError)):
        wrong = cf.Params(params.node, params.coupling, time_varying=given)
        net.init(state.node, wrong)
    with refuses(words, (TypeError, ValueError)):
        wrong = cf.Params(params.node, params.coupling, time_varying=given)
        cf.simulate(net, state, wrong, 5)


def test_what_is_read_before_a_delay_is_refused_and_taken_without_one():
    coupling = cf.PreSigmoidalCoupling(jnp.asarray(W), k=0.7)
    given = {"coupling.theta": lambda t: 0.5 + t, "coupling.k": lambda t: 0.7 - t}
    params = cf.Params(cf.nodes.LinearParams(a=-0.7), coupling, time_varying=given)
    x0 = cf.nodes.LinearState(jnp.asarray(X0))
    with refuses("'coupling.theta': PreSigmoidalCoupling reads it where regions send.*cf.adapt"):
        cf.Network(cf.nodes.linear, DT, lags=LONG).init(x0, params)
    only = cf.Params(params.node, coupling, time_varying={"coupling.k": given["coupling.k"]})
    assert cf.Network(cf.nodes.linear, DT, lags=LONG).init(x0, only)
    net = cf.Network(cf.nodes.linear, DT, scheme="euler")
    state = net.init(x0, params)
    for n in range(3):
        now = jnp.array([0.5 + n * DT, 0.7 - n * DT])
        then = cf.PreSigmoidalCoupling(jnp.asarray(W), theta=now[0], k=now[1])
        wanted = state.node.x + DT * (-0.7 * state.node.x + then(state.node.x))
        state = net(state, params)
        assert_close(state.node.x, np.asarray(wanted), ulps=1000)


def test_dtypes_follow_the_states():
    net, state, params = problem()
    single = jax.tree.map(lambda x: x.astype("float32"), params.time_varying)
    with jax.numpy_dtype_promotion("standard"):
        run = cf.simulate(net, state, eqx.tree_at(lambda p: p.time_varying, params, single), STEPS)
    wanted, _ = by_hand("heun", "stage", SHORT)
    np.testing.assert_allclose(run[1].x, wanted, rtol=0, atol=1e-6)  # k and a have 7 digits
    assert run[1].x.dtype == "float64"
    narrow = jax.tree.map(lambda x: x.astype("float32"), (state.node, params.node, params.coupling))
    both = cf.Params(*narrow[1:], time_varying=single)
    start = net.init(narrow[0], both)
    assert cf.simulate(net, start, both, 3)[1].x.dtype == "float32"
    standard = jax.numpy_dtype_promotion("standard")
    with standard, refuses("'coupling.k' gives float64, and the states are float32", TypeError):
        net.init(narrow[0], cf.Params(*narrow[1:], time_varying=params.time_varying))


ANALYSES = {
    "fixed_point": lambda net, p, x: cf.fixed_point(net, p, x),
    "jacobians": lambda net, p, x: cf.jacobians(net, p, x),
    "critical_k": lambda net, p, x: cf.critical_k(net, p, x, 0.0, 1.0),
    "bifurcation": lambda net, p, x: cf.bifurcation(net, p, x, 0.0, 1.0),
    "analytic_fc": lambda net, p, x: cf.analytic_fc(net, p, x),
    "diagnose": lambda net, p, x: cf.diagnose(net=net, params=p, x0=x),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_without_time_refuses_and_says_what_to_do(name):
    net, state, params = problem(lags=None)
    with refuses(r"'coupling.k', 'node.a' a function of time.*cf.at_time\(params, t\)"):
        ANALYSES[name](net, params, state.node)


def test_units_and_times_are_looked_at():
    net, state, params = problem()
    units = {"time_varying.coupling.k.parts.1.amplitude": "mV"}
    report = cf.check_units(net, params, state.node, units=units)
    assert any("coupling.k" in finding.what and "mV" in finding.what for finding in report.findings)
    assert not cf.check_units(net, params, state.node).findings
    pulse = cf.stimuli.Step(1.0, onset=0.0, duration=1.0)
    over = cf.Params(params.node, params.coupling, time_varying={"coupling.k": pulse})
    later, _ = cf.simulate(net, state, params, STEPS)
    with pytest.warns(
        UserWarning, match=r"The function of time for `coupling.k`: its Step is over"
    ):
        cf.simulate(net, later, over, 3)
