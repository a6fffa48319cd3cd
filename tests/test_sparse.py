"""Sparse connections: what they are made from, and every coupling and network over one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import scipy.sparse
from helpers import assert_close, few, refuses
from jax.experimental.sparse import BCOO, BCSR
from strategies import directed, shuffled_edges

import coupling_fn as cf

TARGETS, SOURCES = 6, 5
RNG = np.random.default_rng(2)
DENSE = directed(TARGETS, SOURCES, seed=3)
TARGET, SOURCE = np.nonzero(DENSE)


def from_shuffled_edges(conn):
    """One edge in two halves, one of weight 0."""
    return cf.sparse_from_edges(*shuffled_edges(conn, RNG), conn.shape)


FORMS = {
    "dense": cf.to_sparse,
    "scipy": lambda conn: cf.to_sparse(scipy.sparse.coo_array(conn)),
    "BCOO": lambda conn: cf.to_sparse(BCOO.fromdense(conn, nse=conn.size)),  # filled up
    "BCSR": lambda conn: cf.to_sparse(BCSR.fromdense(conn)),
    "edges": from_shuffled_edges,
    "back from scipy": lambda conn: cf.to_sparse(cf.to_sparse(conn).to_scipy()),
    "back from BCOO": lambda conn: cf.to_sparse(cf.to_sparse(conn).to_bcoo()),
    "back from BCSR": lambda conn: cf.to_sparse(cf.to_sparse(conn).to_bcsr()),
    "itself": lambda conn: cf.to_sparse(cf.to_sparse(conn)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", few(FORMS))
def test_every_form_becomes_the_same_connection(form, dtype):
    dense = DENSE.astype(dtype)
    conn = FORMS[form](dense)
    assert conn.shape == dense.shape
    assert conn.dtype == dtype
    np.testing.assert_array_equal(conn.target, TARGET)
    np.testing.assert_array_equal(conn.source, SOURCE)
    np.testing.assert_array_equal(conn.weights, dense[TARGET, SOURCE])
    np.testing.assert_array_equal(conn.todense(), dense)
    assert len(repr(conn)) < 80


def test_what_is_weaker_than_a_threshold_is_left_out():
    kept = np.where(np.abs(DENSE) >= 0.5, DENSE, 0.0)
    assert 0 < (kept != 0).sum() < (DENSE != 0).sum()
    for form in (DENSE, scipy.sparse.csr_array(DENSE), cf.to_sparse(DENSE)):
        np.testing.assert_array_equal(cf.to_sparse(form, threshold=0.5).todense(), kept)


def test_stored_zeros_stay_and_weights_may_be_traced():
    places = np.array([0, 1]), np.array([1, 1])
    assert cf.sparse_from_edges(*places, np.array([0.0, 2.0]), shape=(2, 2)).edges == 2

    def end(weight):  # the first and the last are one edge
        ends = np.array([1, 0, 1]), np.array([0, 1, 0])
        conn = cf.sparse_from_edges(*ends, weight, shape=(2, 2))
        return cf.additive_coupling(jnp.array([2.0, 3.0]), conn) @ jnp.array([10.0, 1.0])

    assert jax.jit(jax.grad(end))(jnp.ones(3)).tolist() == [2.0, 30.0, 2.0]


def test_values_find_their_edges_from_every_form():
    lengths = np.where(DENSE != 0, RNG.random(DENSE.shape) + 1, 0)
    conn, wanted = cf.to_sparse(DENSE), lengths[TARGET, SOURCE]
    order = RNG.permutation(len(TARGET))
    edges = tuple(x[order] for x in (TARGET, SOURCE, wanted))
    twice = tuple(np.append(x, x[:2]) for x in edges)
    more = scipy.sparse.coo_array(lengths + (DENSE == 0))
    for form in (lengths, edges, twice, scipy.sparse.csr_array(lengths), more):
        np.testing.assert_array_equal(cf.edge_values(conn, form), wanted)


@pytest.mark.parametrize(
    ("error", "match", "make"),
    [
        (ValueError, r"`target` must lie in 0 … 1; it spans 0 … 2", lambda: edges([0, 2], [0, 1])),
        (ValueError, r"`source` must lie in 0 … 1; it spans -1", lambda: edges([0, 1], [0, -1])),
        (
            ValueError,
            r"`target` must have shape \(2,\), not \(3,\)",
            lambda: edges([0] * 3, [0] * 3),
        ),
        (
            TypeError,
            r"`source` must be whole numbers, not float",
            lambda: edges([0, 1], [0.0, 1.0]),
        ),
        (
            ValueError,
            "`weight` must be finite; at 1 it is nan",
            lambda: edges([0, 1], [0, 1], np.nan),
        ),
        (
            ValueError,
            "`conn` must be finite",
            lambda: cf.to_sparse(np.array([[0, np.inf], [0, 0]])),
        ),
        (
            ValueError,
            r"`conn` must have shape \(target, source\)",
            lambda: cf.to_sparse(np.ones(3)),
        ),
        (
            TypeError,
            "`conn` must be known, since its zeros",
            lambda: jax.jit(cf.to_sparse)(jnp.ones((2, 2))),
        ),
        (
            ValueError,
            "2 have none, the first from source 0",
            lambda: cf.edge_values(FULL, ([], [], [])),
        ),
        (ValueError, "has 1.0 and 2.0 for one edge", lambda: cf.edge_values(FULL, TWO_LENGTHS)),
        (ValueError, r"`values` must have shape \(2, 2\)", lambda: cf.edge_values(FULL, np.eye(3))),
        (ValueError, r"`lags` must have shape \(2, 2\) or \(2,\)", lambda: lagged(np.ones(3, int))),
        (ValueError, r"are per stored edge, but", lambda: lagged(np.ones(2, int), lambda s, t: s)),
    ],
)
def test_what_does_not_fit_is_refused(error, match, make):
    with refuses(match, error):
        make()


FULL = cf.to_sparse(np.eye(2))
TWO_LENGTHS = ([0, 1, 1], [0, 1, 1], [3.0, 1.0, 2.0])


def edges(target, source, last=1.0):
    return cf.sparse_from_edges(target, source, [1.0, last], shape=(2, 2))


def lagged(lags, coupling=None):
    net = cf.Network(cf.nodes.linear, 0.1, lags=lags)
    params = cf.Params(cf.nodes.LinearParams(), coupling or cf.AdditiveCoupling(FULL))
    return net.init(cf.nodes.LinearState(jnp.ones(2)), params)


# --- couplings -------------------------------------------------------------------------------------

K = np.linspace(0.5, 1.5, TARGETS)
RULES = {
    "diffusive": lambda conn: cf.DiffusiveCoupling(conn, K),
    "additive": lambda conn: cf.AdditiveCoupling(conn, K, b=0.2),
    "sigmoidal": lambda conn: cf.SigmoidalCoupling(conn, 2.0, sigma=0.8),
    "hyperbolic tangent": lambda conn: cf.HyperbolicTangentCoupling(conn, 0.7, midpoint=0.1),
    "Jansen-Rit": lambda conn: cf.SigmoidalJansenRitCoupling(conn, K, cmax=2.0, midpoint=0.2),
    "pre-sigmoidal": lambda conn: cf.PreSigmoidalCoupling(conn, 0.9, G=2.0),
    "Kuramoto": lambda conn: cf.KuramotoCoupling(conn, K),
    "custom": lambda conn: cf.CustomCoupling(
        lambda s, t, conn, k: k * cf.weighted_sum(conn, jnp.where(s > 0.2, s**2, 0.0)), conn, K
    ),
    "edge": lambda conn: cf.EdgeCoupling(lambda s, t: jnp.tanh(s * t) / s, conn, K),
}
SPARSE = cf.to_sparse(DENSE)
OWN = jnp.asarray(RNG.normal(size=TARGETS))
SENT = RNG.normal(size=SOURCES)


@pytest.mark.parametrize("rule", few(RULES, 3))
def test_every_rule_and_its_derivatives_are_those_over_a_matrix(rule):
    def of(make):
        def run(weights, source):
            return RULES[rule](make(weights))(source, OWN)

        def all_ways(weights, source, seen):
            value, back = jax.vjp(run, weights, source)
            forward = jax.jvp(run, (weights, source), (weights**2, source**3))[1]
            each = jax.vmap(run, (None, 0))(weights, jnp.stack([source, 2 * source]))
            return value, back(jnp.cos(OWN)), forward, each, run(weights, seen)

        return jax.jit(all_ways)

    seen = jnp.asarray(RNG.normal(size=DENSE.shape))
    dense = of(lambda w: jnp.zeros(DENSE.shape).at[TARGET, SOURCE].set(w))
    sparse = of(lambda w: eqx.tree_at(lambda c: c.weights, SPARSE, w))
    args = SPARSE.weights, jnp.asarray(SENT), seen
    assert_close(sparse(*args), dense(*args), ulps=64)


# --- networks --------------------------------------------------------------------------------------

N, STEPS, DT = 6, 21, 0.1
SQUARE = directed(N, N, seed=5)
NETWORK = cf.to_sparse(SQUARE)
LAGS = {
    "none": None,
    "from 0": np.random.default_rng(1).integers(0, 8, SQUARE.shape),
    "from 11": np.random.default_rng(2).integers(11, 20, SQUARE.shape),
    "mixed": np.random.default_rng(3).integers(9, 20, SQUARE.shape),
    "one for all": 9,
}
LAGS["mixed"][0, 0], LAGS["mixed"][2, 1], LAGS["mixed"][4, 3] = 0, 2, 5
assert all(SQUARE[i, j] != 0 for i, j in ((0, 0), (2, 1), (4, 3)))
for lags in LAGS.values():
    if np.ndim(lags):
        lags[SQUARE == 0] = lags[SQUARE != 0].min()
PAST = RNG.normal(size=(20, N))
X0 = RNG.normal(size=N)
SEEN_RULES = {
    "diffusive": (lambda conn: cf.DiffusiveCoupling(conn, 0.8), oracle.diffusive(0.8)),
    "Kuramoto": (lambda conn: cf.KuramotoCoupling(conn, 1.2), oracle.kuramoto(1.2)),
    "custom": (
        lambda conn: cf.CustomCoupling(
            lambda s, t, conn, k: k * cf.weighted_sum(conn, jnp.where(s > 0.5, s, 0.0)), conn, 0.8
        ),
        oracle.above_threshold(0.8),
    ),
    "edge": (
        lambda conn: cf.EdgeCoupling(lambda s, t: 1.3 * jnp.tanh(s * t), conn, 0.9),
        oracle.product(0.9, 1.3),
    ),
}


def on_edges(lags):
    return lags if np.ndim(lags) == 0 else cf.edge_values(NETWORK, lags).astype(int)


def network(rule, lags, scheme, **options):
    """A network, params over the sparse connection, where to start, and its judge."""
    couple, judged = SEEN_RULES[rule]
    net = cf.Network(cf.nodes.linear, DT, lags=on_edges(lags), scheme=scheme, **options)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), couple(NETWORK))
    depth = 0 if lags is None else int(np.max(on_edges(lags)))
    reads = "states" if rule in ("custom", "edge") else "messages"
    full = None if lags is None else np.broadcast_to(lags, SQUARE.shape)
    wire = oracle.Wire(judged, SQUARE, "x", "x", full, reads=reads)
    history = {"x": PAST[20 - depth :]} if depth else {}
    judge = oracle.Net(oracle.linear(-1.0), [wire], DT, scheme, history=history)
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, history=history.get("x"))
    return net, params, state, judge


@pytest.mark.parametrize(
    ("rule", "lags", "scheme"),
    few(
        [
            ("diffusive", "mixed", "euler"),
            ("diffusive", "from 0", "heun"),
            ("edge", "from 0", "rk4"),
            ("Kuramoto", "one for all", "heun"),
            ("Kuramoto", "from 11", "rk4"),
            ("custom", "from 0", "heun"),
            ("diffusive", "none", "heun"),
            ("edge", "one for all", "euler"),
            ("edge", "none", "euler"),
        ]
    ),
)
def test_a_network_is_the_oracle(rule, lags, scheme):
    net, params, state, judge = network(rule, LAGS[lags], scheme)
    last, x = cf.simulate(net, state, params, STEPS, record="x")
    wanted = judge.run({"x": X0}, STEPS)["x"]
    assert_close(x, wanted, ulps=2**12)
    assert_close(last.node.x, wanted[-1], ulps=2**12)
    judge.wires[0].conn = judge.wires[0].conn.T  # so that it could fail
    assert np.abs(judge.run({"x": X0}, STEPS)["x"] - wanted).max() > 1e-3


def loss_over(make, net, state, couple):
    def loss(weights, k):
        coupling = eqx.tree_at(lambda c: c.k, couple(make(weights)), k)
        params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling)
        x = cf.simulate(net, state, params, STEPS, record="x")[1]
        return (x**2 @ jnp.linspace(0.5, 1.5, N)).sum()

    return loss


@pytest.mark.parametrize(
    ("rule", "lags", "batch"),
    few(
        [
            ("Kuramoto", "from 11", True),
            ("diffusive", "mixed", True),
            ("edge", "from 0", False),
            ("diffusive", "from 11", False),
        ]
    ),
)
def test_a_run_over_edges_has_the_gradients_of_one_over_a_matrix(rule, lags, batch):
    net, _, state, _ = network(rule, LAGS[lags], "heun")
    dense_net = cf.Network(cf.nodes.linear, DT, lags=LAGS[lags], lag_bounds=net.lag_bounds[0][1])
    couple = SEEN_RULES[rule][0]
    places = NETWORK.target, NETWORK.source
    dense = loss_over(lambda w: jnp.zeros((N, N)).at[places].set(w), dense_net, state, couple)
    sparse = loss_over(lambda w: eqx.tree_at(lambda c: c.weights, NETWORK, w), net, state, couple)
    k = jnp.array([0.3, 0.8]) if batch else jnp.array(0.8)

    def of(loss):
        both = jax.value_and_grad(loss, (0, 1))
        return jax.jit(jax.vmap(both, (None, 0)) if batch else both)(NETWORK.weights, k)

    assert_close(of(sparse), of(dense), ulps=2**12)


@pytest.mark.thorough
def test_forward_mode_of_a_delayed_run_is_its_reverse_mode():
    net, params, state, _ = network("diffusive", LAGS["mixed"], "heun")

    def end(k, derivative):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, STEPS, derivative=derivative)[0].node.x.sum()

    forward = jax.jvp(lambda k: end(k, "forward"), (0.8,), (1.0,))[1]
    assert_close(forward, jax.grad(end)(0.8, "reverse"), ulps=2**10)


@pytest.mark.parametrize("interpolate", few(["linear", None]))
def test_lengths_and_speed_in_params_go_with_the_edges(interpolate):
    lengths = np.where(SQUARE != 0, np.random.default_rng(4).uniform(3, 9, SQUARE.shape), 3.0)
    bounds = cf.lag_bounds(lengths, (4.0, 6.0), DT)
    net = cf.Network(cf.nodes.linear, DT, lag_bounds=bounds, interpolate=interpolate)
    couple = SEEN_RULES["diffusive"][0]
    start = cf.nodes.LinearState(jnp.asarray(X0))

    def end(conn, lengths, speed):
        params = cf.Params(
            cf.nodes.LinearParams(a=-1.0), couple(conn), lengths=lengths, speed=speed
        )
        state = net.init(start, params, history=0.3)
        return cf.simulate(net, state, params, STEPS, record="x")[1][::5].sum()

    modes = jax.value_and_grad(end, 2) if interpolate else end
    sparse = jax.jit(modes)(NETWORK, cf.edge_values(NETWORK, lengths), 5.0)
    assert_close(sparse, jax.jit(modes)(jnp.asarray(SQUARE), lengths, 5.0), ulps=2**10)


def test_lags_as_a_matrix_go_with_a_sparse_connection_too():
    net, params, state, _ = network("diffusive", LAGS["mixed"], "heun")
    other = cf.Network(cf.nodes.linear, DT, lags=LAGS["mixed"], lag_bounds=net.lag_bounds[0][1])
    got = cf.simulate(other, state, params, STEPS, record="x")[1]
    assert_close(got, cf.simulate(net, state, params, STEPS, record="x")[1], ulps=2**10)


LARGE = 1009  # no other size in a program is this one


def test_no_array_of_targets_by_sources_is_ever_made():
    rng = np.random.default_rng(0)
    target, source = rng.integers(0, LARGE, (2, 3 * LARGE))
    conn = cf.sparse_from_edges(target, source, rng.random(len(target)), (LARGE, LARGE))
    lags = rng.integers(0, 40, conn.edges)
    net = cf.Network(cf.nodes.linear, 0.1, lags=lags)

    def loss(weights, k):
        conn_here = eqx.tree_at(lambda c: c.weights, conn, weights)
        params = cf.Params(cf.nodes.LinearParams(), cf.DiffusiveCoupling(conn_here, k), noise=0.1)
        start = cf.nodes.LinearState(jnp.ones(LARGE))
        state = net.init(start, params, key=jax.random.key(0))
        return cf.simulate(net, state, params, 40)[0].node.x.sum()

    both = jax.vmap(jax.value_and_grad(loss, (0, 1)), (None, 0))
    program = jax.jit(both).lower(conn.weights, jnp.ones(3)).as_text()
    assert f"{LARGE}x" in program
    assert f"{LARGE}x{LARGE}" not in program
    assert f"{LARGE**2}" not in program
