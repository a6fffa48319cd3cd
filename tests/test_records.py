"""What a run records by name: inputs and auxiliary quantities, against plain loops over its states."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf

N, STEPS, DT = 5, 42, 0.1  # not a whole number of blocks
CONN = directed(N, N, seed=4)
RNG = np.random.default_rng(5)
LAGS = {
    "none": None,
    "one for all": 4,
    "stepwise": RNG.integers(1, 8, (N, N)),
    "mixed": np.where(RNG.random((N, N)) < 0.3, RNG.integers(0, 6, (N, N)), 20),
    "blocked": RNG.integers(11, 21, (N, N)),
}
# coupling over a connection, oracle
RULES = {
    "diffusive": (lambda conn: cf.DiffusiveCoupling(conn, 0.8), oracle.diffusive(0.8)),
    "edge": (
        lambda conn: cf.EdgeCoupling(
            lambda s, t, gain: gain * jnp.tanh(s * t), conn, 0.7, gain=1.3
        ),
        oracle.product(0.7, 1.3),
    ),
}
X0 = cf.nodes.WilsonCowanState(jnp.linspace(0.1, 0.5, N), jnp.linspace(0.3, 0.05, N))
NODE = cf.nodes.WilsonCowanParams(P=np.linspace(0.5, 1.5, N))
DRIVE = cf.stimuli.Sine(0.3, frequency=40.0)
ALL = ("E", "I", "input.E", "input.I", "response_e", "response_i")


def started(lags, rule="diffusive", conn=CONN, scheme="heun", **options):
    net = cf.Network(cf.nodes.wilson_cowan, dt=DT, lags=lags, scheme=scheme, **options)
    params = cf.Params(NODE, RULES[rule][0](conn), external={"I": DRIVE})
    return net, net.init(X0, params), params


def inputs_by_loops(E, lags, rule):
    """Return the input of E at each record, from the recorded E and the constant past before it."""
    past = np.concatenate([np.tile(np.asarray(X0.E), (30, 1)), np.asarray(E)])
    lags = np.broadcast_to(np.zeros((N, N), int) if lags is None else lags, (N, N))
    rows = []
    for n in range(len(E)):
        seen = [[past[30 + n - lags[i, j], j] for j in range(N)] for i in range(N)]
        rows.append(oracle.couple(RULES[rule][1], CONN, seen, past[30 + n]))
    return np.array(rows)


def response(x, a, b):
    return 1 / (1 + np.exp(-a * (x - b))) - 1 / (1 + np.exp(a * b))


@pytest.mark.every(3)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lags", LAGS)
def test_inputs_and_responses_are_those_of_the_recorded_states(lags, rule):
    net, state, params = started(LAGS[lags], rule)
    _, seen = cf.simulate(net, state, params, STEPS, record=ALL)
    assert tuple(seen) == ALL
    E, I = np.asarray(seen["E"]), np.asarray(seen["I"])  # noqa: E741
    wanted = inputs_by_loops(E, LAGS[lags], rule)
    assert np.abs(wanted).max() > 0.1
    assert_close(seen["input.E"], wanted, ulps=2**12)
    time = DT * np.arange(1, STEPS + 1)
    drive = np.tile(np.asarray(jax.vmap(DRIVE)(jnp.asarray(time)))[:, None], N)
    assert_close(seen["input.I"], drive, ulps=2**8)
    P = np.linspace(0.5, 1.5, N)
    assert_close(seen["response_e"], response(16 * E - 12 * I + P + wanted, 1.3, 4.0), ulps=2**14)
    assert_close(seen["response_i"], response(15 * E - 3 * I + drive, 2.0, 3.7), ulps=2**14)


@pytest.mark.every(3)
@pytest.mark.parametrize("lags", ["mixed", "none", "blocked"])
def test_quantities_do_not_depend_on_how_a_run_is_cut(lags):
    net, state, params = started(LAGS[lags])
    last, seen = cf.simulate(net, state, params, STEPS, record=ALL)
    _, states = cf.simulate(net, state, params, STEPS, record=("E", "I"))
    assert_close({n: seen[n] for n in states}, states, ulps=16)
    _, rare = cf.simulate(net, state, params, STEPS, record="input.E", every=7)
    assert_close(rare, seen["input.E"][6::7], ulps=16)
    half, first = cf.simulate(net, state, params, STEPS // 2, record=ALL)
    end, second = cf.simulate(net, half, params, STEPS // 2, record=ALL)
    both = jax.tree.map(lambda *x: jnp.concatenate(x), first, second)
    assert_close(both, seen, ulps=16)
    assert_close(end.node, last.node, ulps=16)
    _, parts = cf.simulate(net, state, params, STEPS, record=ALL, checkpoint=14)
    assert_close(parts, seen, ulps=16)
    mean = cf.observe.Averaged("response_e")
    _, mean = cf.simulate(net, state, params, STEPS, measure=mean)
    assert_close(mean, seen["response_e"].mean(0), ulps=64)
    _, none = cf.simulate(net, state, params, 0, record=ALL)
    assert none["response_e"].shape == (0, N)


def test_interpolated_reads_are_recorded_as_they_arrive():
    lengths = RNG.uniform(5.0, 30.0, (N, N))
    bounds = cf.lag_bounds(lengths, 10.0, DT)
    net = cf.Network(cf.nodes.wilson_cowan, dt=DT, lag_bounds=bounds, interpolate="linear")
    params = cf.Params(NODE, cf.AdditiveCoupling(CONN), lengths=lengths, speed=10.0)
    state = net.init(X0, params)
    _, seen = cf.simulate(net, state, params, STEPS, record=("E", "input.E"))
    past = np.concatenate([np.tile(np.asarray(X0.E), (40, 1)), np.asarray(seen["E"])])
    lag = lengths / 10.0 / DT
    low, share = np.floor(lag).astype(int), lag - np.floor(lag)
    for n in (0, 20, STEPS - 1):
        at, j = 40 + n - low, np.arange(N)[None]
        read = (1 - share) * past[at, j] + share * past[at - 1, j]
        assert_close(seen["input.E"][n], (CONN * read).sum(1), ulps=2**12)


@pytest.mark.every(3)
@pytest.mark.parametrize("lags", ["mixed", "none", "blocked"])
def test_recorded_rates_have_batches_and_gradients(lags):
    net, state, params = started(LAGS[lags])

    def rate(k, **options):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, STEPS, record="response_e", **options)[1].mean()

    ks = jnp.array([0.3, 0.8])
    assert_close(jax.vmap(rate)(ks)[1], rate(ks[1]), ulps=64)
    slope = jax.jit(jax.grad(rate))(ks[1])
    step = 1e-6
    above, below = jax.vmap(rate)(ks[1] + step * jnp.array([1.0, -1.0]))
    assert slope == pytest.approx(float(above - below) / (2 * step), rel=1e-6)
    _, forward = jax.jvp(lambda k: rate(k, derivative="forward"), (ks[1],), (jnp.ones(()),))
    assert slope == pytest.approx(float(forward), rel=1e-9)


@pytest.mark.parametrize("lags", ["none", "blocked"])
def test_an_auxiliary_quantity_is_computed_only_where_it_is_recorded(lags):
    calls = []

    def double(state, inputs, params):
        calls.append(1)
        return 2 * state["x"] + inputs["drive"]

    @cf.nodes.node(states=["x"], inputs=["drive"], auxiliary={"double": double})
    def leak(state, inputs, params):
        return {"x": -state["x"] + inputs["drive"]}

    net = cf.Network(leak, dt=DT, lags=LAGS[lags])
    params = cf.Params(None, cf.AdditiveCoupling(CONN))
    state = net.init({"x": jnp.ones(N)}, params)
    _, x = cf.simulate(net, state, params, STEPS)
    assert not calls
    _, seen = cf.simulate(net, state, params, STEPS, record=("x", "double", "input.drive"))
    assert calls
    assert_close(seen["x"], x["x"], ulps=16)
    assert_close(seen["double"], 2 * seen["x"] + seen["input.drive"], ulps=16)


def test_a_name_of_nothing_is_refused_with_what_there_is():
    net, state, params = started(None)
    with refuses(
        match=r"auxiliary \(in `record`\) 'rate_e'; there are: E, I, input.E, input.I, resp"
    ):
        cf.simulate(net, state, params, 5, record="rate_e")
    with refuses(match="Did you mean 'response_e'"):
        cf.simulate(net, state, params, 5, record=("E", "responses_e"))
    with refuses(match=r"no state \(in `record`\) 'input.E'; there are: E, I"):
        cf.simulate(lambda s, p: net(s, p), state, params, 5, record="input.E")
    with refuses(match="`record` must be a name, a tuple .*, not 3", error=TypeError):
        cf.simulate(net, state, params, 5, record=3)
    with refuses(match="`record` by name reads `state.node`", error=TypeError):
        cf.simulate(lambda s, p: s, jnp.ones(2), None, 5, record="E")


def test_a_node_declares_functions_by_names_of_their_own():
    for auxiliary, error in (
        ({"x": abs}, ValueError),
        ({"a.b": abs}, ValueError),
        ({"a": 1}, TypeError),
    ):
        with refuses(match="`auxiliary` must", error=error):
            cf.nodes.node(states=["x"], inputs=[], auxiliary=auxiliary)

    @cf.nodes.node(states=["x"], inputs=[], auxiliary={"sum": lambda s, i, p: s["x"].sum()})
    def still(state, inputs, params):
        return {"x": 0 * state["x"]}

    net = cf.Network(still, dt=DT)
    state = net.init({"x": jnp.ones(N)}, cf.Params())
    with refuses(match=r"auxiliary sum` must have shape \(5,\), not \(\)"):
        cf.simulate(net, state, cf.Params(), 5, record="sum")


def test_check_and_save_know_recorded_quantities(tmp_path):
    @cf.nodes.node(
        states=["x"], inputs=["x"], auxiliary={"log": lambda s, i, p: jnp.log(s["x"] - 0.5)}
    )
    def leak(state, inputs, params):
        return {"x": -state["x"]}

    net, params = cf.Network(leak, dt=DT), cf.Params(None, cf.AdditiveCoupling(CONN))
    state = net.init({"x": jnp.ones(N)}, params)
    with pytest.raises(FloatingPointError, match="record"):
        cf.simulate(net, state, params, STEPS, record=("x", "log"), check="finite")
    net, state, params = started(LAGS["mixed"])
    _, seen = cf.simulate(net, state, params, STEPS, record=ALL)
    for _ in range(2):
        _, saved = cf.simulate(
            net, state, params, STEPS, record=ALL, save=tmp_path / "run", save_every=14
        )
        assert_close(saved, jax.tree.map(np.asarray, seen), ulps=16)
