"""Padded rows: the sparse product against loops, under JAX's transformations, and its program."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from jax.test_util import check_grads

import coupling_fn as cf
from coupling_fn._connectome._layout import BUCKET, SHARE, bucket_widths
from coupling_fn._connectome._sparse import product_of, with_weights

TARGETS, SOURCES, RUNS = 9, 7, 3
RNG = np.random.default_rng(1)


def uneven():
    """Return weights: a target has no input, another has all, and a source has no output."""
    dense = RNG.normal(size=(TARGETS, SOURCES)) * (RNG.random((TARGETS, SOURCES)) < 0.3)
    dense[2], dense[5] = 0.0, RNG.normal(size=SOURCES)
    dense[:, 4] = 0.0
    return dense


DENSE = uneven()
CONN = cf.to_sparse(DENSE)
WEIGHTS = RNG.normal(size=(RUNS, CONN.edges))
X = RNG.normal(size=(RUNS, SOURCES))


@pytest.fixture(params=[1, BUCKET])
def conn(request, monkeypatch):
    """Return the same network with its rows in one bucket, or in one per degree."""
    monkeypatch.setattr("coupling_fn._connectome._layout.BUCKET", request.param)
    made = cf.to_sparse(DENSE)
    widths = {width for _, width in made.by_target.rows.buckets if width}
    assert (len(widths) > 1) == (request.param == 1)
    return made


def product(conn):
    return lambda weights, x: product_of(with_weights(conn, weights))(x)


def by_loop(weights, x):
    out = np.zeros(TARGETS)
    for weight, target, source in zip(weights, CONN.target, CONN.source, strict=True):
        out[target] += weight * x[source]
    return out


@pytest.mark.every(2)
def test_every_batch_is_its_loop(conn):
    one, w, x = product(conn), jnp.asarray(WEIGHTS), jnp.asarray(X)
    each = [[by_loop(a, b) for b in X] for a in WEIGHTS]
    assert_close(one(w[0], x[0]), each[0][0], ulps=8)
    assert_close(jax.vmap(one, (None, 0))(w[0], x), np.array(each[0]), ulps=8)
    assert_close(jax.vmap(one, (0, None))(w, x[0]), np.array([e[0] for e in each]), ulps=8)
    assert_close(jax.vmap(one)(w, x), np.array([each[i][i] for i in range(RUNS)]), ulps=8)
    for inner, outer in (((None, 0), (0, None)), ((0, None), (None, 0))):
        got = jax.vmap(jax.vmap(one, inner), outer)(w, x)
        wanted = np.array(each) if inner == (None, 0) else np.array(each).swapaxes(0, 1)
        assert_close(got, wanted, ulps=8)


@pytest.mark.thorough
def test_runs_may_differ_in_their_edges():
    others = [cf.to_sparse(np.roll(DENSE, n, axis=(0, 1))) for n in range(RUNS)]
    same = [c for c in others if c.by_target.rows.buckets == others[0].by_target.rows.buckets]
    assert len(same) == RUNS
    several = jax.tree.map(lambda *xs: jnp.stack(xs), *[product_of(c) for c in others])
    got = jax.vmap(lambda p, x: p(x), (0, None))(several, jnp.asarray(X[0]))
    assert_close(got, np.array([c.todense() @ X[0] for c in others]), ulps=8)


@jax.jit
def _through_all(weights, x):
    one = product(CONN)
    shared = jax.vmap(one, (None, 0))(weights[0], x)
    return jnp.tanh(shared) + jax.vmap(one)(weights, x) + jax.vmap(one, (0, None))(weights, x[0])


def test_gradients_of_every_order_and_mode_are_exact():
    check_grads(_through_all, (jnp.asarray(WEIGHTS), jnp.asarray(X)), order=2, modes=("fwd", "rev"))


def test_neither_way_scatters():
    def loss(weights, x):
        return (product(CONN)(weights, x) ** 2).sum()

    args = jnp.asarray(WEIGHTS[0]), jnp.asarray(X[0])
    program = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(*args).as_text()
    assert "scatter" not in program
    assert "gather" in program  # the text would tell


@pytest.mark.every(2)
def test_a_number_that_is_not_finite_stays_with_those_who_read_it(conn):
    x = jnp.asarray(X[0]).at[SOURCES - 1].set(jnp.nan)
    heard = DENSE[:, SOURCES - 1] != 0
    assert 0 < heard.sum() < TARGETS
    np.testing.assert_array_equal(np.isnan(product(conn)(conn.weights, x)), heard)
    # In the derivative, too: only the sources that such a target reads.
    bar = jnp.ones(TARGETS).at[0].set(jnp.nan)
    (slope,) = jax.vjp(lambda x: product(conn)(conn.weights, x), jnp.asarray(X[0]))[1](bar)
    np.testing.assert_array_equal(np.isnan(slope), DENSE[0] != 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_is_kept(dtype):
    conn = cf.to_sparse(DENSE.astype(dtype))
    x = jnp.asarray(X[0], dtype)
    value, slope = jax.value_and_grad(lambda x: cf.weighted_sum(conn, x).sum())(x)
    assert value.dtype == slope.dtype == conn.dtype == dtype


def test_rows_of_any_degree_are_filled_up_by_little():
    rng = np.random.default_rng(0)
    rows = 50_000
    heavy = np.minimum(6 * (rng.pareto(1.5, rows) + 1), 2000).astype(int)
    for degree in (rng.poisson(20, rows), heavy, np.full(rows, 20)):
        widths = bucket_widths(degree)
        assert widths.max() == degree.max()
        places = widths[np.searchsorted(widths, degree)].sum()
        assert places < 1.25 * degree.sum()
        assert len(widths) < 20


def test_buckets_are_the_best_there_are():
    """The widths are the best of all partitions of a few degrees."""
    degree = np.repeat([0, 1, 3, 4, 9, 30], [2, 5000, 3000, 90, 700, 40])

    def cost(widths):
        widths = np.array(widths)
        another = BUCKET + SHARE * degree.sum()
        return len(widths) * another + widths[np.searchsorted(widths, degree[degree > 0])].sum()

    choices = [[w for n, w in enumerate([1, 3, 4, 9]) if 1 << n & m] + [30] for m in range(16)]
    widths = bucket_widths(degree).tolist()
    assert widths[0] == 0
    assert cost(widths[1:]) == min(map(cost, choices))


@pytest.mark.optimised
def test_what_is_read_at_each_edge_is_computed_once_per_region():
    """XLA would compute a message at each place that reads it: 0.2 of the speed of a network's step."""
    net = cf.Network(cf.nodes.kuramoto, dt=0.1, scheme="heun")
    conn = cf.to_sparse(RNG.random((20, 20)) * (RNG.random((20, 20)) < 0.5))

    def loss(k, weights):
        params = cf.Params(
            cf.nodes.KuramotoParams(omega=0.1), cf.KuramotoCoupling(with_weights(conn, weights), k)
        )
        state = net.init(cf.nodes.KuramotoState(jnp.linspace(0.0, 1.0, 20)), params)
        return (cf.simulate(net, state, params, 5, record=None)[0].node.theta ** 2).sum()

    program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(jnp.array(0.1), conn.weights).compile()
    parts = re.split(r"\n(?=%)", program.as_text())
    reading = [part for part in parts if " gather(" in part]
    assert len(reading) > 4
    for part in reading:  # what they add up is read from memory
        assert not re.search(r" (subtract|divide|sine|cosine)\(", part), part
