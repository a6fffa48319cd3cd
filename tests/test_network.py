"""How a network is put together, started and stepped."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, refuses
from jax.experimental.sparse import BCOO
from strategies import directed

import coupling_fn as cf

N = 5
CONN = directed(N, N)
X = cf.nodes.HopfState(jnp.linspace(-1.0, 1.0, N), jnp.linspace(0.0, 1.0, N) ** 2)


def test_a_step_is_the_node_driven_by_the_coupling():
    """Compute one Euler step, written out, on the wires that the node itself names."""
    net = cf.Network(cf.nodes.hopf, dt=0.1, scheme="euler")
    params = cf.Params(cf.nodes.HopfParams(a=-0.3, omega=0.7), cf.DiffusiveCoupling(CONN, k=0.8))
    x, y = map(np.asarray, X)
    row_sums = CONN.sum(axis=1)
    growth = -0.3 - x**2 - y**2
    got = net(net.init(X, params), params).node
    assert_close(
        got,
        cf.nodes.HopfState(
            x + 0.1 * (growth * x - 0.7 * y + 0.8 * (CONN @ x - row_sums * x)),
            y + 0.1 * (growth * y + 0.7 * x + 0.8 * (CONN @ y - row_sums * y)),
        ),
    )


def test_a_step_is_pure_and_counts():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lags=3)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN), noise=0.1)
    state = net.init(X, params, key=jax.random.key(0))
    before = jax.tree.map(lambda x: x.copy(), state)
    first, second = net(state, params), net(state, params)
    assert (first.node.x == second.node.x).all()
    assert (state.node.x == before.node.x).all()
    assert (first.step, state.step) == (1, 0)
    assert first.key is state.key


def test_history_moves_on_by_what_was_sent():
    net = cf.Network(cf.nodes.hopf, dt=0.1, couplings=cf.Wire("x", "x"), lags=3)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN))
    past = jnp.arange(3.0 * N).reshape(3, N)
    state = net.init(X, params, history=past)
    after = net(state, params)
    assert list(after.history) == ["x"]
    assert (after.history["x"] == jnp.concatenate([past[1:], X.x[None]])).all()


@pytest.mark.parametrize(
    ("lags", "depths"),
    [
        (None, {}),
        (0, {}),
        ({"slow": 4, "fast": None, "other": None}, {"x": 4}),
        ({"slow": 4, "fast": 2, "other": 0}, {"x": 4}),
        ({"slow": None, "other": 3, "fast": 2}, {"x": 2, "y": 3}),
    ],
)
def test_the_history_is_as_long_as_its_longest_lag(lags, depths):
    wires = {"slow": cf.Wire("x", "x"), "fast": cf.Wire("x", "y"), "other": cf.Wire("y", "x")}
    net = cf.Network(cf.nodes.hopf, dt=0.1, couplings=wires, lags=lags)
    params = cf.Params(cf.nodes.HopfParams(), dict.fromkeys(wires, cf.DiffusiveCoupling(CONN)))
    state = net.init(X, params)
    assert {name: rows.shape for name, rows in state.history.items()} == {
        name: (depth, N) for name, depth in depths.items()
    }


def test_the_history_does_not_depend_on_the_speed():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lag_bounds=(0, 30))
    rows = []
    for speed in (1.0, 5.0):
        lengths = jnp.full((N, N), 2.0)
        params = cf.Params(
            cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN), lengths=lengths, speed=speed
        )
        rows.append(net.init(X, params).history["x"])
    assert (rows[0] == rows[1]).all()


def test_two_states_coupled_at_once_is_two_wires():
    """The Hopf node couples (x, x) and (y, y); two wires with names of their own do the same."""
    coupling = cf.DiffusiveCoupling(CONN, k=0.8)
    default = cf.Network(cf.nodes.hopf, dt=0.1, lags=2)
    wires = {"on x": cf.Wire("x", "x"), "on y": cf.Wire("y", "y")}
    by_hand = cf.Network(cf.nodes.hopf, dt=0.1, couplings=wires, lags=2)
    first = cf.Params(cf.nodes.HopfParams(), coupling)
    second = cf.Params(cf.nodes.HopfParams(), {"on x": coupling, "on y": coupling})
    a = default(default.init(X, first), first)
    b = by_hand(by_hand.init(X, second), second)
    assert_close(a.node, b.node, ulps=4)


def test_inputs_on_one_name_add_up():
    coupling = cf.AdditiveCoupling(CONN, k=0.8)
    wires = {"a": cf.Wire("x", "x"), "b": cf.Wire("y", "x")}
    net = cf.Network(cf.nodes.hopf, dt=0.1, couplings=wires, scheme="euler")
    params = cf.Params(cf.nodes.HopfParams(), {"a": coupling, "b": coupling}, external={"x": 0.5})
    alone = cf.Params(cf.nodes.HopfParams(), dict.fromkeys("ab", cf.AdditiveCoupling(0 * CONN)))
    gain = net(net.init(X, params), params).node.x - net(net.init(X, alone), alone).node.x
    assert_close(gain, 0.1 * (0.8 * CONN @ (X.x + X.y) + 0.5), ulps=256)


def test_a_network_without_couplings_runs():
    @cf.nodes.node(states=["x"], inputs=[])
    def grow(state, inputs, params):
        return {"x": params * state["x"]}

    net = cf.Network(grow, dt=1.0, scheme="euler")
    state = net.init({"x": jnp.ones(3)}, cf.Params(jnp.array(1.0)))
    assert net(state, cf.Params(jnp.array(1.0))).node["x"].tolist() == [2.0] * 3


def test_the_start_may_be_numpy_lists_or_integers():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lags=2)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(np.eye(2)))
    for x in (np.array([1, 2]), np.array([1.0, 2.0]), jnp.array([1, 2]), [1.0, 2.0]):
        state = net.init(cf.nodes.HopfState(x, x), params)
        assert state.node.x.dtype == "float64"
        assert net(state, params).node.x.shape == (2,)


@pytest.mark.thorough
def test_sparse_and_dense_step_alike():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lags=jnp.asarray(np.arange(N * N).reshape(N, N) % 4))
    dense = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN, k=0.8))
    sparse = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(BCOO.fromdense(CONN), k=0.8))
    states = [net.init(X, p, history={"x": 0.3, "y": -0.4}) for p in (dense, sparse)]
    assert_close(*(net(s, p).node for s, p in zip(states, (dense, sparse), strict=True)), ulps=16)


def test_everything_to_fit_is_a_leaf_and_nothing_else():
    params = cf.Params(
        node=cf.nodes.HopfParams(a=-0.02),
        coupling={"a": cf.DiffusiveCoupling(CONN, k=0.5) + cf.AdditiveCoupling(CONN)},
        noise={"x": 0.1},
        external={"x": 1, "y": jnp.sin},
        lengths=np.ones((N, N)),
        speed=3,
    )
    arrays, rest = eqx.partition(params, eqx.is_inexact_array)
    assert len(jax.tree.leaves(arrays)) == 2 + 2 + 3 + 1 + 1 + 2
    assert jax.tree.leaves(rest) == [jnp.sin]
    changed = eqx.tree_at(lambda p: p.coupling["a"].parts[0].k, params, jnp.array(0.7))
    assert changed.coupling["a"].parts[0].k == 0.7


def test_a_network_has_no_leaves_but_its_lags_and_which_edges_are_stepwise():
    for lag, leaves in ((1, 2), (9, 1)):
        net = cf.Network(cf.nodes.hopf, dt=0.1, lags=jnp.full((N, N), lag))
        assert [leaf.shape for leaf in jax.tree.leaves(net)] == [(N, N)] * leaves
        assert all(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(net))
    assert hash(jax.tree.structure(net)) == hash(jax.tree.structure(net))


@pytest.mark.parametrize("wire", [cf.Wire("x", "y"), cf.Wire(("x", "y"), into=("y", "x"))])
def test_a_wire_reads_its_own_source_as_target_unless_told(wire):
    assert wire.target == wire.source
    assert len(wire.source) == len(wire.into)


def test_a_wire_with_a_target_of_its_own():
    """The rule compares the x of the sources with the y of the target."""
    net = cf.Network(cf.nodes.hopf, dt=0.1, couplings=cf.Wire("x", "x", target="y"), scheme="euler")
    coupled = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN))
    alone = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(0 * CONN))
    gain = net(net.init(X, coupled), coupled).node.x - net(net.init(X, alone), alone).node.x
    assert_close(gain, 0.1 * (CONN @ X.x - CONN.sum(axis=1) * X.y), ulps=256)


def test_lags_of_a_traced_network_need_bounds():
    def run(lags, **bounds):
        net = cf.Network(cf.nodes.hopf, dt=0.1, lags=lags, **bounds)
        params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN))
        return net(net.init(X, params, history=0.2), params).node

    lags = jnp.asarray(np.arange(N * N).reshape(N, N) % 4)
    assert_close(jax.jit(lambda lags: run(lags, lag_bounds=(0, 3)))(lags), run(lags), ulps=64)
    with refuses(r"`lags` are traced.* pass `lag_bounds=\(smallest, largest\)`"):
        jax.jit(run)(lags)


@pytest.mark.optimised
def test_one_step_takes_the_same_under_jit_and_vmap():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lags=jnp.asarray(np.arange(N * N).reshape(N, N) % 4))
    params = cf.Params(cf.nodes.HopfParams(), cf.KuramotoCoupling(CONN), noise=0.1)
    state = net.init(X, params, key=jax.random.key(0), history={"x": 0.3, "y": 0.4})
    wanted = net(state, params).node
    assert_close(jax.jit(lambda s, p: net(s, p))(state, params).node, wanted, ulps=64)
    three = jax.tree.map(lambda x: jnp.stack([x] * 3), state)
    for node in jax.tree.leaves(jax.vmap(lambda s: net(s, params))(three).node):
        assert node.shape == (3, N)
    got = jax.tree.map(lambda x: x[1], jax.vmap(lambda s: net(s, params))(three).node)
    assert_close(got, wanted, ulps=64)


def test_lags_of_which_jit_knows_nothing_are_looked_at_when_it_runs():
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN))

    @jax.jit
    def step(lags):
        net = cf.Network(cf.nodes.hopf, dt=0.1, lags=lags, lag_bounds=(1, 9))
        return net(net.init(X, params), params).node.x

    lags = jnp.arange(N * N).reshape(N, N) % 9 + 1
    known = cf.Network(cf.nodes.hopf, dt=0.1, lags=lags)
    assert_close(step(lags), known(known.init(X, params), params).node.x)
    with pytest.raises(Exception, match="leaves the network's bounds of 1 to 9 steps"):
        step(lags + 1).block_until_ready()


# --- what is held over a step


@pytest.mark.parametrize(("hold", "end"), [("stage", 8.0), ("coupling", 8.0), ("step", 6.0)])
def test_a_ramp_is_held_only_where_all_inputs_are(hold, end):
    """x' = t to 4 ms in steps of 1 ms: Heun is exact, and a rectangle rule where input is held."""
    net = cf.Network(cf.nodes.linear, 1.0, hold=hold)
    coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
    params = cf.Params(cf.nodes.LinearParams(a=0.0), coupling, external={"x": lambda t: t})
    state = net.init(cf.nodes.LinearState(jnp.zeros(1)), params)
    assert cf.simulate(net, state, params, 4)[0].node.x[0] == end


@pytest.mark.every(5)
@pytest.mark.parametrize("lags", [np.arange(25).reshape(N, N) % 7, None, 12])
@pytest.mark.parametrize("scheme", ["heun", "rk4"])
@pytest.mark.parametrize("hold", ["coupling", "step", "stage"])
def test_what_is_held_is_the_oracle(hold, scheme, lags):
    """With a coupling and an input that both vary within a step."""
    sine = cf.stimuli.Sine(0.8, 90.0)
    wires = {"x": cf.Wire("x", "x")}
    net = cf.Network(cf.nodes.hopf, 0.3, couplings=wires, lags=lags, scheme=scheme, hold=hold)
    params = cf.Params(
        cf.nodes.HopfParams(a=-0.2, omega=0.7),
        {"x": cf.DiffusiveCoupling(CONN, k=0.2)},
        external={"x": sine, "y": 0.3},
    )
    external = {"x": lambda t, i: 0.8 * np.sin(2 * np.pi * 0.09 * t), "y": lambda t, i: 0.3}
    x0 = {"x": np.asarray(X.x), "y": np.asarray(X.y)}
    depth = 0 if lags is None else np.max(lags)
    matrix = None if lags is None else np.broadcast_to(lags, (N, N))
    wire = oracle.Wire(oracle.diffusive(0.2), np.asarray(CONN), "x", "x", matrix)
    history = {"x": np.tile(x0["x"], (depth, 1))} if depth else {}
    rate = oracle.hopf(-0.2, 0.7)
    judge = oracle.Net(rate, [wire], 0.3, scheme, hold, external=external, history=history)
    got = cf.simulate(net, net.init(X, params), params, 30)[1]
    wanted = judge.run(x0, 30)
    assert_close({"x": got.x, "y": got.y}, wanted, ulps=2**12)
    others = {"stage", "coupling", "step"} - {hold}
    for judge.hold in others:
        assert np.abs(judge.run(x0, 30)["x"] - wanted["x"]).max() > 1e-4


# --- histories and delays that are given in part


def test_a_history_is_not_truncated():
    net = cf.Network(cf.nodes.linear, dt=0.1, lags=3)
    x0 = cf.nodes.LinearState(jnp.ones(2, "float32"))
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2, dtype="float32")))
    with refuses("`history` of 'x' is float64, and its states are float32", TypeError):
        net.init(x0, params, history=np.ones((3, 2)))
    assert net.init(x0, params, history=0.5).history["x"].dtype == "float32"


def test_a_history_names_all_delayed_sources():
    net = cf.Network(cf.nodes.hopf, dt=0.1, lags=3)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN))
    past = jnp.arange(3.0 * N).reshape(3, N)
    for given in (past, past[0]):
        with refuses(r"one array, .* 2 sources are delayed: 'x', 'y'.*`history=\{'x': \.\.\., 'y'"):
            net.init(X, params, history=given)
    with refuses("`history` has no past of 'y', which is delayed, too.*with None if each region"):
        net.init(X, params, history={"x": past})
    with refuses("`history` has no past of 'x', 'y'"):
        net.init(X, params, history={})
    state = net.init(X, params, history={"x": past, "y": 0.5})
    assert (state.history["x"] == past).all() and (state.history["y"] == 0.5).all()
    state = net.init(X, params, history={"x": past, "y": None})
    assert (np.asarray(state.history["y"]) == np.asarray(X.y)).all()
    state = net.init(X, params, history=0.25)  # one number says the same of both
    assert all((rows == 0.25).all() for rows in state.history.values())
    one = cf.Network(cf.nodes.hopf, dt=0.1, couplings=cf.Wire("x", "x"), lags=3)
    assert (one.init(X, params, history=past).history["x"] == past).all()
    none = cf.Network(cf.nodes.hopf, dt=0.1)
    assert none.init(X, params, history={}).history == {}


def test_lags_bounds_and_lengths_leave_no_coupling_out():
    wires = {"slow": cf.Wire("x", "x"), "fast": cf.Wire("x", "y")}

    def build(**delays):
        return cf.Network(cf.nodes.hopf, dt=0.1, couplings=wires, **delays)

    words = "say nothing of the coupling 'fast'.*`'fast': None` for a coupling without delay"
    for delays in (
        {"lags": {"slow": 3}},
        {"lag_bounds": {"slow": (0, 3)}},
        {"lags": {"slow": 3}, "lag_bounds": {"slow": (0, 3)}},
    ):
        with refuses(words):
            build(**delays)
    build(lags={"slow": 3}, lag_bounds={"fast": (0, 3)})
    build(lags=3, lag_bounds={"slow": (0, 3)})
    net = build(lag_bounds={"slow": (0, 30), "fast": (0, 30)})
    rules = dict.fromkeys(wires, cf.DiffusiveCoupling(CONN))
    lengths = jnp.ones((N, N))
    for given, message in (
        ({"slow": lengths}, "`lengths` has none for the coupling 'fast'.*it has those of 'slow'"),
        ({"slow": lengths, "fst": lengths}, r"no coupling \(in `lengths`\) 'fst'"),
    ):
        params = cf.Params(cf.nodes.HopfParams(), rules, lengths=given, speed=1.0)
        with refuses(message):
            net.init(X, params)


LENGTHS = np.random.default_rng(3).uniform(4.0, 40.0, (N, N))
SPARSE = cf.to_sparse(CONN)
MIXED = np.random.default_rng(4).integers(0, 40, (N, N))
# What a network may be built of that is known: (lags, weights), each made within `jit`.
KNOWN = {
    "one lag": lambda: (3, CONN),
    "of NumPy, mixed": lambda: (MIXED, CONN),
    "of JAX, from outside": (lambda lags: lambda: (lags, CONN))(jnp.asarray(MIXED)),
    "lists": lambda: (MIXED.tolist(), CONN.tolist()),
    "by `lags`": lambda: (cf.lags(LENGTHS, 5.0, 0.1, weights=CONN), CONN),
    "normalized": lambda: (cf.lags(LENGTHS, 5.0, 0.1), cf.normalize(CONN, "spectral")),
    "a BCOO": lambda: (cf.lags(LENGTHS, 5.0, 0.1), SPARSE.to_bcoo()),
    "sparse in the end": lambda: (
        cf.lags(cf.edge_values(SPARSE, LENGTHS), 5.0, 0.1),
        cf.to_sparse(cf.to_sparse(cf.from_source_target(CONN.T)).to_bcoo()),
    ),
    "of a connectome": lambda: (
        cf.lags(cf.Connectome(CONN, LENGTHS).lengths, 5.0, 0.1),
        cf.to_sparse(cf.surgery.threshold(cf.surgery.symmetrize(CONN), keep=0.5)).todense(),
    ),
    "with bounds": lambda: (
        cf.lags(LENGTHS, 5.0, 0.1),
        CONN,
        cf.lag_bounds(LENGTHS, (0.5, 50.0), 0.1),
    ),
}


def run_of_known(build, k):
    lags, conn, *bounds = build()
    net = cf.Network(cf.nodes.linear, 0.1, lags=lags, lag_bounds=bounds[0] if bounds else None)
    params = cf.Params(cf.nodes.LinearParams(), cf.DiffusiveCoupling(conn, k))
    state = net.init(cf.nodes.LinearState(X.x), params)
    return cf.simulate(net, state, params, 40)[1].x


@pytest.mark.every(4)
@pytest.mark.parametrize("build", KNOWN.values(), ids=KNOWN)
def test_a_network_of_known_numbers_may_be_built_inside_jit(build):
    wanted = run_of_known(build, jnp.asarray(0.4))
    assert_close(jax.jit(lambda k: run_of_known(build, k))(0.4), wanted, ulps=4096)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:No step was better than the start")  # a minimum to rounding
def test_it_may_be_built_wherever_it_is_written():
    """In sweeps and fits, of networks with lags of all sorts: instantaneous, stepwise and blocked."""

    def run(k):
        return run_of_known(lambda: (MIXED, CONN), k)

    true = jnp.asarray(0.4)
    data = run(true)
    ks = jnp.asarray([0.2, 0.4])
    swept = cf.sweep(run, ks, progress=False)
    assert_close(swept, jnp.stack([run(k) for k in ks]), ulps=4096)
    one_by_one = cf.sweep(run, ks, chunk=1, progress=False)
    assert_close(one_by_one, swept, ulps=4096)
    found = cf.least_squares(lambda k: (run(k) - data).ravel(), jnp.asarray(0.3), where=lambda k: k)
    assert_close(found.params, true, ulps=2**22)
    fitted = cf.fit(
        lambda k: jnp.mean((run(k) - data) ** 2), true, where=lambda k: k, steps=2, progress=False
    )
    assert fitted.losses[0] < 1e-20
    fc = cf.observe.functional_connectivity(data)
    search = cf.find_k(run, fc, ks=ks, progress=False, fit_steps=0)
    assert search.k == true
