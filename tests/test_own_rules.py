"""Rules of one's own: `send` and `receive` are called in one shape, whatever road a run takes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.experimental.sparse import BCOO
from strategies import directed

import coupling_fn as cf

N, STEPS, DT, LEAK = 5, 21, 0.1, -0.6
RNG = np.random.default_rng(18)
CONN = directed(N, N, seed=4)
CONN[1, 1] = -0.6
X0, PAST = RNG.normal(size=N), RNG.normal(size=(20, N))
THETA = RNG.normal(size=N)  # one per source
GAIN = RNG.uniform(0.5, 2.0, N)  # one per target


# --- rules, and the same in NumPy --------------------------------------------------------------------


class PerSource(cf.Coupling):
    """The rule of the report: a threshold of its own for each source, a strength for each target."""

    conn: jax.Array
    k: jax.Array
    theta: jax.Array

    def send(self, source):
        return jnp.tanh(source - self.theta)

    def receive(self, sums, target, in_strength):
        return self.k * (sums + 0.3 * in_strength * target)


class FromMean(PerSource):
    """What a source sends depends on all sources at the time of sending."""

    def send(self, source):
        return jnp.tanh(source - source.mean()) * self.theta


class TwoMessages(PerSource):
    """A rule that is shift-invariant, with two messages, one of which is the same at all times."""

    shift_invariant = True

    def send(self, source):
        return {"state": self.theta * source, "one": self.theta + 0 * source}

    def receive(self, sums, target, in_strength):
        return self.k * (sums["state"] - sums["one"] * target)


class OnOff(PerSource):
    """A message that is a truth value."""

    def send(self, source):
        return source > self.theta


class Scalars(PerSource):
    """A rule that may act after the delay, since its parameters are scalars."""

    elementwise = True


def report(sums, x, k, strength):
    return k * (sums + 0.3 * strength * x)


RULES = {
    "per source": (PerSource, lambda x, theta: [np.tanh(x - theta)], report),
    "from the mean": (FromMean, lambda x, theta: [np.tanh(x - x.mean()) * theta], report),
    "two messages": (
        TwoMessages,
        lambda x, theta: [theta * x, theta + 0 * x],
        lambda a, b, x, k, strength: k * (a - b * x),
    ),
    "on and off": (OnOff, lambda x, theta: [(x > theta) * 1.0], report),
    "elementwise": (Scalars, lambda x, theta: [np.tanh(x - theta)], report),
}


def by_loops(rule, conn, lags, k, theta, x0=X0, past=PAST, steps=STEPS, scheme="heun"):
    """Return the states of a network of linear nodes, by loops over edges; lags may be fractions."""
    _, send, receive = RULES[rule]
    sent = {n - len(past): send(x, theta) for n, x in enumerate(past)}
    lags = np.broadcast_to(0 if lags is None else lags, conn.shape)

    def rate(x, n):
        now = sent | {n: send(x, theta)}
        sums = [np.zeros(len(x)) for _ in now[n]]
        for i, j in zip(*np.nonzero(conn), strict=True):
            whole = int(np.floor(lags[i, j]))
            late = lags[i, j] - whole
            for channel, total in enumerate(sums):
                total[i] += conn[i, j] * (1 - late) * now[n - whole][channel][j]
                if late:
                    total[i] += conn[i, j] * late * now[n - whole - 1][channel][j]
        return LEAK * x + receive(*sums, x, k, conn.sum(1))

    x, states = np.asarray(x0, float), []
    for n in range(steps):
        sent[n] = send(x, theta)
        first = rate(x, n)
        second = first if scheme == "euler" else rate(x + DT * first, n + 1)
        x = x + DT / 2 * (first + second)
        states.append(x)
    return np.array(states)


# --- roads: how far back edges read, and over what ---------------------------------------------------


def lags_from(smallest, largest):
    lags = np.random.default_rng(smallest + largest).integers(smallest, largest + 1, (N, N))
    lags[0, 0], lags[1, 1] = smallest, largest
    lags[CONN == 0] = smallest
    return lags


LAGS = {
    "none": None,
    "from 0": lags_from(0, 7),  # all edges stepwise, some instantaneous
    "of the report": lags_from(5, 14),
    "from 11": lags_from(11, 20),  # all edges blocked
    "mixed": lags_from(9, 20),  # blocked, but for three edges
    "one for all": 4,
    "a later one for all": 9,
}
LAGS["mixed"][0, 0], LAGS["mixed"][2, 1], LAGS["mixed"][4, 3] = 0, 2, 5
CONN[4, 3] = 0.7
BETWEEN = {"near": lags_from(0, 5) + 0.3, "far": lags_from(11, 18) + 0.4}
FORMS = {
    "dense": jnp.asarray,
    "BCOO": BCOO.fromdense,
    "sparse": cf.to_sparse,
    "by edge": cf.to_sparse,
}
K = 0.5 * GAIN


def network(rule, form, lags, scheme="heun", stated=None, conn=CONN, past=PAST):
    """Return a network of linear nodes, its parameters, and its start."""
    over = FORMS[form](conn)
    if form == "by edge" and np.ndim(lags):
        lags = cf.edge_values(over, lags + 1).astype(int) - 1
    net = cf.Network(cf.nodes.linear, DT, lags=lags, lag_bounds=stated, scheme=scheme)
    theta = THETA.mean() if rule == "elementwise" else np.resize(THETA, len(conn))
    coupling = RULES[rule][0](over, jnp.asarray(np.resize(K, len(conn))), jnp.asarray(theta))
    params = cf.Params(cf.nodes.LinearParams(a=LEAK), coupling)
    x0 = cf.nodes.LinearState(jnp.asarray(np.resize(X0, len(conn))))
    depth = 0 if lags is None else int(np.max(lags))
    depth = stated[1] if stated else depth
    history = past[len(past) - depth :] if depth else None
    return net, params, net.init(x0, params, history=history), theta


@eqx.filter_jit
def step_by_step(net, state, params, steps=STEPS):
    def step(state, _):
        state = net(state, params)
        return state, state.node.x

    return lax.scan(step, state, None, length=steps)[1]


@eqx.filter_jit
def simulated(net, state, params, steps=STEPS):
    return cf.simulate(net, state, params, steps, record="x")[1]


GRID = [
    (list(RULES)[n % len(RULES)], form, lags)
    for n, (lags, form) in enumerate((lags, form) for lags in LAGS for form in FORMS)
]


@pytest.mark.every(7)
@pytest.mark.parametrize(("rule", "form", "lags"), GRID)
def test_a_rule_of_ones_own_is_the_loops_on_every_road(rule, form, lags):
    scheme = "euler" if form == "BCOO" else "heun"
    net, params, state, theta = network(rule, form, LAGS[lags], scheme)
    wanted = by_loops(rule, CONN, LAGS[lags], K, theta, scheme=scheme)
    assert_close(simulated(net, state, params), wanted, ulps=2**12)
    assert_close(step_by_step(net, state, params), wanted, ulps=2**12)
    if rule != "elementwise":  # so that it could fail
        for wrong in (theta[::-1], np.full(N, theta.mean())):
            other = by_loops(rule, CONN, LAGS[lags], K, wrong, scheme=scheme)
            assert np.abs(other - wanted).max() > 1e-3


@pytest.mark.every(3)
@pytest.mark.parametrize("bounds", ["near", "far", "around a block"])
@pytest.mark.parametrize("rule", ["per source", "from the mean"])
def test_lags_that_may_vary_within_bounds_are_the_loops(rule, bounds):
    lags = {"near": LAGS["from 0"], "far": LAGS["from 11"], "around a block": LAGS["mixed"]}[bounds]
    stated = (11, 20) if bounds == "far" else (0, 20)
    net, params, state, theta = network(rule, "dense", lags, stated=stated)
    assert_close(simulated(net, state, params), by_loops(rule, CONN, lags, K, theta), ulps=2**12)


@pytest.mark.every(7)
@pytest.mark.parametrize("form", ["dense", "by edge"])
@pytest.mark.parametrize("reach", BETWEEN)
@pytest.mark.parametrize("rule", ["per source", "from the mean", "two messages"])
def test_messages_between_two_steps_are_the_loops(rule, reach, form):
    lags = BETWEEN[reach]
    lengths = lags * DT * 2.0
    bounds = cf.lag_bounds(lengths, 2.0, DT)
    net = cf.Network(cf.nodes.linear, DT, lag_bounds=bounds, interpolate="linear")
    over = FORMS[form](CONN)
    coupling = RULES[rule][0](over, jnp.asarray(K), jnp.asarray(THETA))
    lengths = cf.edge_values(over, lengths) if form == "by edge" else lengths
    params = cf.Params(cf.nodes.LinearParams(a=LEAK), coupling, lengths=lengths, speed=2.0)
    past = PAST[20 - int(bounds.largest.max()) :]
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, history=past)
    wanted = by_loops(rule, CONN, lags, K, THETA)
    assert_close(simulated(net, state, params), wanted, ulps=2**14)
    assert_close(step_by_step(net, state, params), wanted, ulps=2**14)


def test_84_regions_with_a_threshold_each():
    rng = np.random.default_rng(84)
    conn = directed(84, 84, seed=84) / 20
    lags = rng.integers(5, 15, conn.shape)
    past = rng.normal(size=(14, 84))
    net, params, state, theta = network("per source", "dense", lags, conn=conn, past=past)
    start = np.asarray(state.node.x)
    k = np.asarray(params.coupling.k)
    wanted = by_loops("per source", conn, lags, k, theta, x0=start, past=past, steps=9)
    assert_close(simulated(net, state, params, 9), wanted, ulps=2**12)
    assert_close(step_by_step(net, state, params, 9), wanted, ulps=2**12)


GRADIENTS = [
    ("per source", "dense", "of the report"),
    ("per source", "by edge", "from 11"),
    ("from the mean", "sparse", "from 0"),
    ("from the mean", "dense", "mixed"),
    ("two messages", "by edge", "mixed"),
    ("two messages", "dense", "one for all"),
]


@pytest.mark.every(3)
@pytest.mark.parametrize(("rule", "form", "lags"), GRADIENTS)
def test_gradients_and_batches_are_those_of_the_loops(rule, form, lags):
    net, params, state, theta = network(rule, form, LAGS[lags])
    weights = jnp.linspace(0.5, 1.5, N)
    changed = lambda p: (p.coupling.theta, p.coupling.k)

    def loss(theta, k):
        x = cf.simulate(net, state, eqx.tree_at(changed, params, (theta, k)), STEPS, record="x")[1]
        return (x**2 @ weights).sum()

    def wanted(theta, k):
        return (by_loops(rule, CONN, LAGS[lags], k, theta) ** 2 @ np.asarray(weights)).sum()

    thetas = np.stack([theta, theta[::-1]])
    both = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1)), (0, None)))
    values, bars = both(jnp.asarray(thetas), jnp.asarray(K))
    h = 1e-5
    for theta, value, theta_bar, k_bar in zip(thetas, values, *bars, strict=True):
        assert_close(value, wanted(theta, K), ulps=2**12)
        for i, e in enumerate(h * np.eye(N)):  # central differences, of error h² and 1e-16 / h
            by_theta = (wanted(theta + e, K) - wanted(theta - e, K)) / (2 * h)
            by_k = (wanted(theta, K + e) - wanted(theta, K - e)) / (2 * h)
            size = max(abs(value), 1.0)
            assert abs(theta_bar[i] - by_theta) < 1e-7 * size
            assert abs(k_bar[i] - by_k) < 1e-7 * size


@settings(max_examples=2)
@given(
    rule=st.sampled_from(["per source", "from the mean", "two messages", "on and off"]),
    form=st.sampled_from(list(FORMS)),
    smallest=st.integers(0, 12),
    spread=st.integers(0, 9),
    seed=st.integers(0, 2**16),
)
def test_any_setting_is_the_loops(rule, form, smallest, spread, seed):
    rng = np.random.default_rng(seed)
    conn = directed(N, N, seed=seed)
    lags = rng.integers(smallest, smallest + spread + 1, conn.shape)
    past = rng.normal(size=(21, N))
    net, params, state, theta = network(rule, form, lags, conn=conn, past=past)
    depth = len(state.history.get("x", ()))
    wanted = by_loops(rule, conn, lags, K, theta, past=past[21 - depth :] if depth else past)
    assert_close(simulated(net, state, params), wanted, ulps=2**14)


def test_two_rules_and_a_nested_sum_share_a_source():
    net, params, state, theta = network("per source", "dense", LAGS["from 0"])
    rules = [
        RULES[name][0](jnp.asarray(CONN), jnp.asarray(K), jnp.asarray(theta))
        for name in ("per source", "from the mean")
    ]
    scalar = Scalars(jnp.asarray(CONN), jnp.asarray(K), jnp.asarray(0.2))
    custom = cf.CustomCoupling(
        lambda s, t, conn, k: k * cf.weighted_sum(conn, s * t[:, None]), CONN, 0.3
    )
    nested = cf.SumCoupling((cf.SumCoupling((rules[0], scalar)), rules[1], custom))
    together = eqx.tree_at(lambda p: p.coupling, params, nested)
    assert_close(simulated(net, state, together), step_by_step(net, state, together), ulps=2**12)


def test_some_of_the_regions_send_with_a_parameter_each():
    conn, lags = directed(N, 3, seed=2), np.random.default_rng(0).integers(0, 14, (N, 3))
    wire = cf.Wire(lambda state: state.x[1:4], into="x", target="x")
    net = cf.Network(cf.nodes.linear, DT, couplings={"some": wire}, lags=lags)
    coupling = PerSource(jnp.asarray(conn), jnp.asarray(K), jnp.asarray(THETA[:3]))
    params = cf.Params(cf.nodes.LinearParams(a=LEAK), {"some": coupling})
    past = PAST[:, 1:4][20 - lags.max() :]
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, history=past)
    whole = np.zeros((N, N))
    whole[:, 1:4] = conn
    delays = np.zeros((N, N), int)
    delays[:, 1:4] = lags
    theta = np.array([0, *THETA[:3], 0])
    wanted = by_loops("per source", whole, delays, K, theta)
    assert_close(simulated(net, state, params), wanted, ulps=2**12)
    assert_close(step_by_step(net, state, params), wanted, ulps=2**12)


def test_a_surface_sends_with_a_parameter_per_region():
    parcellation = cf.Parcellation([0, 1, 2, 0, 3, 4, 4])
    rule = PerSource(jnp.asarray(CONN), jnp.asarray(K), jnp.asarray(THETA))
    wire = cf.Wire(lambda state: parcellation.mean(state.x), into="x")
    net = cf.Network(cf.nodes.linear, DT, couplings={"long": wire}, lags={"long": LAGS["mixed"]})
    params = cf.Params(
        cf.nodes.LinearParams(a=LEAK), {"long": cf.RegionalCoupling(rule, parcellation)}
    )
    vertices = np.asarray(
        parcellation.spread(jnp.asarray(X0))
    )  # equal within a region, and stay so
    state = net.init(cf.nodes.LinearState(jnp.asarray(vertices)), params, history=PAST)
    wanted = by_loops("per source", CONN, LAGS["mixed"], K, THETA)
    got = simulated(net, state, params)
    assert_close(got[:, [0, 1, 2, 4, 5]], wanted, ulps=2**12)
    assert_close(got[:, [3, 6]], wanted[:, [0, 4]], ulps=2**12)


# --- the shapes that are called, and what is refused ------------------------------------------------


def test_send_and_receive_see_one_shape_on_every_road():
    seen = set()

    class Spy(PerSource):
        def send(self, source):
            seen.add(("send", source.shape))
            return source

        def receive(self, sums, target, in_strength):
            seen.update({("receive", x.shape) for x in (sums, target, in_strength)})
            return self.k * sums

    for form in ("dense", "by edge"):
        for lags in ("none", "from 0", "mixed", "one for all"):
            net, params, state, theta = network("per source", form, LAGS[lags])
            rule = Spy(params.coupling.conn, params.coupling.k, jnp.asarray(theta))
            params = eqx.tree_at(lambda p: p.coupling, params, rule)

            def run(theta, net=net, state=state, params=params):
                params = eqx.tree_at(lambda p: p.coupling.theta, params, theta)
                return cf.simulate(net, state, params, STEPS)[0], net(state, params)

            jax.eval_shape(jax.vmap(run), jnp.ones((2, N)))
    rule(state.node.x, state.node.x)
    rule(jnp.ones((N, N)), state.node.x)
    assert seen == {("send", (N,)), ("receive", (N,))}


def test_a_source_that_each_target_sees_by_itself_is_sent_row_by_row():
    rows = RNG.normal(size=(N, N))
    rule = FromMean(jnp.asarray(CONN), jnp.asarray(1.0), jnp.asarray(THETA))
    sums = [CONN[i] @ (np.tanh(rows[i] - rows[i].mean()) * THETA) for i in range(N)]
    wanted = np.array(sums) + 0.3 * CONN.sum(1) * X0
    assert_close(rule(jnp.asarray(rows), jnp.asarray(X0)), wanted, ulps=64)


def started(rule, lags=3):
    net = cf.Network(cf.nodes.linear, DT, lags=lags)
    params = cf.Params(cf.nodes.LinearParams(a=LEAK), rule)
    return net.init(cf.nodes.LinearState(jnp.asarray(X0)), params), net, params


def run(rule, lags=3):
    state, net, params = started(rule, lags)
    return cf.simulate(net, state, params, 2)


@pytest.mark.parametrize("lags", [None, 3, LAGS["from 11"]], ids=["none", "near", "far"])
def test_a_value_per_edge_in_send_is_refused_in_words(lags):
    per_edge = PerSource(jnp.asarray(CONN), jnp.asarray(1.0), jnp.ones((N, N)))
    words = (
        r"`send` of PerSource must return messages of the shape of its source, \(5,\), not \(5, 5\)"
    )
    with refuses(words), jax.numpy_rank_promotion("allow"):
        run(per_edge, lags)
    with refuses(words), jax.numpy_rank_promotion("allow"):
        per_edge(jnp.asarray(X0), jnp.asarray(X0))


def test_a_value_per_target_in_send_is_named_where_it_shows():
    wide = PerSource(jnp.ones((3, N)), jnp.asarray(1.0), jnp.ones(3))
    with pytest.raises((TypeError, ValueError)) as caught:
        wide(jnp.asarray(X0), jnp.ones(3))
    notes = "".join(caught.value.__notes__)
    assert "`send` of PerSource was called with the states of all sources" in notes


def test_a_result_of_receive_per_pair_is_refused():
    class Pairs(PerSource):
        def receive(self, sums, target, in_strength):
            return self.k * sums[:, None] * target[None, :]

    rule = Pairs(jnp.asarray(CONN), jnp.asarray(1.0), jnp.asarray(THETA))
    with refuses(r"`the result of Pairs` must have shape \(5,\), not \(5, 5\)"):
        rule(jnp.asarray(X0), jnp.asarray(X0))


def test_a_rule_that_is_not_elementwise_but_says_so_is_refused():
    rule = Scalars(jnp.asarray(CONN), jnp.asarray(1.0), jnp.asarray(THETA))
    with refuses("Scalars says that it is `elementwise`, but its `send`"):
        started(rule)


@pytest.mark.parametrize("rule", ["per source", "two messages", "from the mean"])
def test_an_analysis_of_a_rule_that_mixes_sources_is_refused_where_lags_differ(rule):
    """The derivatives are those of messages, each of which has the delay of its edge."""
    net, params, state, theta = network(rule, "dense", LAGS["from 11"])
    if rule == "from the mean":
        with refuses("`send` of FromMean, in the coupling 'coupling', makes each message of"):
            cf.jacobians(net, params, state.node)
        net, params, state, theta = network(rule, "dense", 9)
    jac = cf.jacobians(net, params, state.node)
    _, send, receive = RULES[rule]
    x, h = np.asarray(state.node.x), 1e-5

    def received(seen):
        return receive(*(CONN @ m for m in send(seen, theta)), x, K, CONN.sum(1))

    for j, e in enumerate(h * np.eye(N)):
        wanted = (received(x + e) - received(x - e)) / (2 * h)
        np.testing.assert_allclose(jac.gains[0][0, :, 0, j], wanted, rtol=0, atol=1e-8)


def test_elementwise_is_not_inherited_with_another_send():
    class Bent(cf.HyperbolicTangentCoupling):
        def send(self, source):
            return super().send(source - source.mean())

    class Renamed(cf.HyperbolicTangentCoupling):
        pass

    assert cf.HyperbolicTangentCoupling.elementwise and Renamed.elementwise
    assert not Bent.elementwise


def test_a_rule_without_k_is_refused_where_it_is_written():
    with refuses(
        "The rule NoK needs a field `k` for the coupling strength: `k: jax.Array`", TypeError
    ):

        class NoK(cf.Coupling):
            conn: jax.Array

            def send(self, source):
                return source

            def receive(self, sums, target, in_strength):
                return sums

    with refuses("The rule NoConn needs a field `conn` for the weights", TypeError):

        class NoConn(cf.Coupling):
            k: jax.Array

            def send(self, source):
                return source

            def receive(self, sums, target, in_strength):
                return sums


def test_weights_in_a_list_are_refused():
    with refuses("`conn` must be an array, a `SparseConnection` or a BCOO, not list", TypeError):
        PerSource(CONN.tolist(), jnp.asarray(1.0), jnp.asarray(THETA))


def test_numpy_and_python_on_traced_arrays_are_told_in_words():
    class ByNumPy(PerSource):
        def send(self, source):
            return np.tanh(source)

    class InPython(PerSource):
        def receive(self, sums, target, in_strength):
            return self.k * sums if target[0] > 0 else sums

    args = jnp.asarray(CONN), jnp.asarray(1.0), jnp.asarray(THETA)
    for lags in (None, 3, LAGS["from 11"]):
        with refuses("`send` of ByNumPy hands an array that JAX traces to NumPy", TypeError):
            run(ByNumPy(*args), lags)
        with refuses("`receive` of InPython asks in Python", TypeError):
            run(InPython(*args), lags)


# --- functions of whole arrays, and of the ends of an edge -------------------------------------------


def by_edges(fn, conn, lags, k, x0=X0, past=PAST, steps=STEPS):
    """Return the states of linear nodes, by Euler's method, where edge ij carries fn(i, j, s, t)."""
    states = {n - len(past): x for n, x in enumerate(past)} | {0: np.asarray(x0, float)}
    lags = np.broadcast_to(0 if lags is None else lags, conn.shape)
    for n in range(steps):
        x, received = states[n], np.zeros(len(x0))
        for i, j in zip(*np.nonzero(conn), strict=True):
            received[i] += conn[i, j] * fn(i, j, states[n - lags[i, j]][j], x[i])
        states[n + 1] = x + DT * (LEAK * x + k * received)
    return np.array([states[n + 1] for n in range(steps)])


EDGES = RNG.normal(size=(N, N))
SHAPES = {  # of a parameter of an edge rule, and its value for edge ij
    "a number": (np.float64(0.7), lambda i, j: 0.7),
    "per source": (THETA[None, :], lambda i, j: THETA[j]),
    "per target": (THETA[:, None], lambda i, j: THETA[i]),
    "per pair": (EDGES, lambda i, j: EDGES[i, j]),
    "per edge": (None, lambda i, j: EDGES[i, j]),
}
EDGE_GRID = [
    (shape, form, list(LAGS)[n % len(LAGS)])
    for n, (form, shape) in enumerate(
        (form, shape)
        for form in FORMS
        for shape in SHAPES
        if shape != "per edge" or form in ("sparse", "by edge")
    )
]


def started_with(coupling, form, lags):
    if form == "by edge" and np.ndim(lags):
        lags = cf.edge_values(coupling.conn, lags + 1).astype(int) - 1
    net = cf.Network(cf.nodes.linear, DT, lags=lags, scheme="euler")
    params = cf.Params(cf.nodes.LinearParams(a=LEAK), coupling)
    depth = 0 if lags is None else int(np.max(lags))
    past = PAST[20 - depth :] if depth else None
    return net, params, net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, history=past)


@pytest.mark.every(9)
@pytest.mark.parametrize(("shape", "form", "lags"), EDGE_GRID)
def test_parameters_of_an_edge_rule_belong_to_what_their_shape_says(shape, form, lags):
    value, of_edge = SHAPES[shape]
    over = FORMS[form](CONN)
    value = cf.edge_values(over, EDGES) if value is None else value
    rule = cf.EdgeCoupling(lambda s, t, a: jnp.tanh(s - a) * t + a, over, K, a=value)
    net, params, state = started_with(rule, form, LAGS[lags])
    wanted = by_edges(
        lambda i, j, s, t: np.tanh(s - of_edge(i, j)) * t + of_edge(i, j), CONN, LAGS[lags], K
    )
    assert_close(simulated(net, state, params), wanted, ulps=2**12)
    assert_close(step_by_step(net, state, params), wanted, ulps=2**12)


@pytest.mark.every(5)
@pytest.mark.parametrize("lags", ["none", "from 0", "mixed", "one for all"])
@pytest.mark.parametrize("form", FORMS)
def test_a_function_of_whole_arrays_has_parameters_of_both_ends(form, lags):
    def fn(source, target, conn, k, theta, gain):
        sent = jnp.tanh(source - theta[None, :]) - gain[:, None] * target[:, None]
        return k * cf.weighted_sum(conn, sent)

    rule = cf.CustomCoupling(fn, FORMS[form](CONN), K, theta=THETA, gain=GAIN)
    net, params, state = started_with(rule, form, LAGS[lags])
    wanted = by_edges(lambda i, j, s, t: np.tanh(s - THETA[j]) - GAIN[i] * t, CONN, LAGS[lags], K)
    assert_close(simulated(net, state, params), wanted, ulps=2**12)
    assert_close(step_by_step(net, state, params), wanted, ulps=2**12)


@pytest.mark.parametrize("form", ["dense", "by edge"])
def test_lags_between_steps_reach_functions_of_whole_arrays_and_of_edges(form):
    lags = BETWEEN["near"]
    over = FORMS[form](CONN)
    lengths = cf.edge_values(over, lags * DT * 2) if form == "by edge" else lags * DT * 2
    bounds = cf.lag_bounds(lags * DT * 2, 2.0, DT)
    net = cf.Network(cf.nodes.linear, DT, lag_bounds=bounds, interpolate="linear")
    rules = (
        cf.EdgeCoupling(lambda s, t: s * 1.5 - t, over, K),
        cf.CustomCoupling(
            lambda s, t, conn, k: k * cf.weighted_sum(conn, 1.5 * s - t[:, None]), over, K
        ),
    )
    runs = []
    for rule in rules:
        params = cf.Params(cf.nodes.LinearParams(a=LEAK), rule, lengths=lengths, speed=2.0)
        start = cf.nodes.LinearState(jnp.asarray(X0))
        state = net.init(start, params, history=PAST[20 - int(bounds.largest.max()) :])
        runs.append(simulated(net, state, params))
    assert_close(*runs, ulps=2**10)


@pytest.mark.parametrize("lags", [None, 3, LAGS["from 0"]], ids=["none", "one", "per edge"])
def test_source_less_target_is_refused_and_not_aligned(lags):
    """With as many targets as sources no shape shows it: region j is compared with its own past."""
    rule = cf.CustomCoupling(lambda s, t, conn, k: k * cf.weighted_sum(conn, s - t), CONN)
    per_source = cf.CustomCoupling(
        lambda s, t, conn, k, theta: k * cf.weighted_sum(conn, s - theta), CONN, theta=THETA
    )
    for wrong in (rule, per_source):
        words = r"<lambda> puts arrays of different ranks together.*`target\[:, None\]`"
        with jax.numpy_rank_promotion("allow"), refuses(words):  # as for a user
            run(wrong, lags)


def test_source_less_target_in_a_plain_function_is_refused_with_lags():
    def tug(source, target):
        return (jnp.asarray(CONN) * (source - target)).sum(1)

    words = "The coupling tug puts arrays of different ranks together"
    with jax.numpy_rank_promotion("allow"), refuses(words):
        run(tug, LAGS["from 0"])


def test_a_matrix_product_with_a_source_is_told_what_to_write():
    rule = cf.CustomCoupling(lambda s, t, conn, k: k * (conn @ s), CONN)
    with pytest.raises(TypeError) as caught:
        rule(jnp.asarray(X0), jnp.asarray(X0))
    assert "sum over sources with `cf.weighted_sum(conn, ...)`" in "".join(caught.value.__notes__)


def test_a_function_of_an_edge_gets_and_returns_numbers():
    shapes = set()

    def fn(source, target, a):
        shapes.update({source.shape, target.shape, a.shape})
        return source * a - target

    for form in FORMS:
        for lags in (None, 3, LAGS["from 0"]):
            rule = cf.EdgeCoupling(fn, FORMS[form](CONN), a=THETA[None, :])
            net, params, state = started_with(rule, form, lags)
            jax.eval_shape(lambda s, net=net, p=params: net(s, p), state)
    assert shapes == {()}
    with refuses(r"`the result of <lambda>` must have shape \(\), not \(5,\)"):
        cf.EdgeCoupling(lambda s, t: s * THETA, CONN)(jnp.asarray(X0), jnp.asarray(X0))
    with refuses(
        r"`a` must have shape \(\) or \(1, 5\) or .* Write \[None, :\] behind one value per"
    ):
        cf.EdgeCoupling(fn, CONN, a=THETA)


@pytest.mark.every(3)
@pytest.mark.parametrize("form", FORMS)
def test_a_parameter_has_no_gradient_from_absent_edges(form):
    """There a / (s - t) is infinite: each region compared with itself."""
    conn = np.array([[0.0, 2.0], [4.0, 0.0]])
    x = jnp.array([1.0, 3.0])

    def total(a):
        return cf.EdgeCoupling(lambda s, t, a: a / (s - t), FORMS[form](conn), a=a)(x, x).sum()

    assert jax.grad(total)(1.5) == -1.0


def test_numpy_in_functions_of_ones_own_is_told_in_words():
    edge = cf.EdgeCoupling(lambda s, t: np.tanh(s), CONN)
    custom = cf.CustomCoupling(lambda s, t, conn, k: k * cf.weighted_sum(conn, np.tanh(s)), CONN)
    for rule in (edge, custom):
        with refuses("<lambda> hands an array that JAX traces to NumPy", TypeError):
            run(rule, 3)


def test_a_connectome_in_place_of_its_weights_is_told_in_words():
    whole = cf.Connectome(np.abs(CONN), np.ones((N, N)))
    with refuses(
        "`conn` must be an array of numbers, not Connectome. Pass .*`.weights`", TypeError
    ):
        cf.AdditiveCoupling(whole)
    with refuses(
        "not Connectome of dtype object. Pass the array that it holds, `.weights`", TypeError
    ):
        cf.weighted_sum(whole, jnp.asarray(X0))
    with refuses("`lengths` must be an array of numbers, .* it holds, `.lengths`", TypeError):
        cf.lags(whole, speed=1.0, dt=0.1)


def test_a_surface_takes_separable_rules_alone():
    rule = cf.EdgeCoupling(lambda s, t: s - t, CONN)
    with refuses("`coupling` must be a separable rule, a `Coupling`, not EdgeCoupling", TypeError):
        cf.RegionalCoupling(rule, cf.Parcellation([0, 1, 2, 3, 4, 0]))
