"""Degrees, clustering and communities, by hand."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from jax.experimental.sparse import BCOO
from strategies import directed

import coupling_fn as cf

W = directed(5, 5)
POSITIVE = np.abs(W)
TWO = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))  # two triangles ...
TWO[2, 3] = TWO[3, 2] = 1  # ... and a bridge


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_degree_and_strength_are_sums_over_rows_and_columns(transform):
    through = lambda f: TRANSFORMS[transform](f)(jnp.asarray(W))
    ends = [(0, 1), (1, 0)]
    for direction, (mine, other) in zip(("in", "out"), ends, strict=True):
        count, total = np.zeros(5, int), np.zeros(5)
        for edge in np.argwhere(W):
            count[edge[mine]] += 1
            total[edge[mine]] += W[tuple(edge)]
        assert mine != other
        np.testing.assert_array_equal(through(lambda w, d=direction: cf.graph.degree(w, d)), count)
        assert_close(through(lambda w, d=direction: cf.graph.strength(w, d)), total, ulps=16)
    assert (cf.graph.degree(W) != cf.graph.degree(W, "out")).any()


def test_sparse_connections_are_those_stored():
    for make in (BCOO.fromdense, cf.to_sparse):
        sparse = make(W)
        for direction in ("in", "out"):
            degree = cf.graph.degree(W, direction)
            np.testing.assert_array_equal(cf.graph.degree(sparse, direction), degree)
            wanted = np.asarray(cf.graph.strength(W, direction))
            assert_close(cf.graph.strength(sparse, direction), wanted, ulps=4)
        np.testing.assert_array_equal(
            cf.graph.clustering(make(POSITIVE)), cf.graph.clustering(POSITIVE)
        )
        assert cf.graph.modularity(make(TWO))[0] == cf.graph.modularity(TWO)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clustering_of_symmetric_weights_is_onnelas(dtype):
    w = np.random.default_rng(0).uniform(size=(6, 6)) * (
        np.random.default_rng(1).random((6, 6)) < 0.8
    )
    w = np.triu(w, 1) + np.triu(w, 1).T
    wanted = np.zeros(6)
    for i in range(6):
        triangles = 0.0
        for j in range(6):
            for k in range(6):
                triangles += np.cbrt(w[i, j] * w[j, k] * w[k, i] / w.max() ** 3)
        neighbours = (w[i] > 0).sum()
        wanted[i] = triangles / (neighbours * (neighbours - 1))
    got = cf.graph.clustering(jnp.asarray(w, dtype))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 if dtype == "float32" else 1e-14)


def test_clustering_of_directed_weights_is_fagiolos():
    w = np.where(np.eye(5) > 0, 0, POSITIVE)
    root, there = np.cbrt(w / w.max()), (w > 0).astype(float)
    both = np.linalg.matrix_power(root + root.T, 3)
    total, mutual = there.sum(0) + there.sum(1), np.diag(there @ there)
    wanted = np.diag(both) / (2 * (total * (total - 1) - 2 * mutual))
    np.testing.assert_allclose(cf.graph.clustering(w), wanted, rtol=0, atol=1e-14)


def test_two_triangles_are_two_communities():
    value, community = cf.graph.modularity(TWO)
    assert community.tolist() == [0, 0, 0, 1, 1, 1]
    assert value == pytest.approx(2 * (3 / 7 - (7 / 14) ** 2))
    order = np.array([3, 0, 4, 1, 5, 2])
    value_again, again = cf.graph.modularity(TWO[np.ix_(order, order)])
    assert again.tolist() == [0, 1, 0, 1, 0, 1]
    assert value_again == pytest.approx(float(value))


def test_modularity_is_its_formula_of_directed_weights():
    value, community = cf.graph.modularity(POSITIVE, resolution=1.3, seed=3)
    m, received, sent = POSITIVE.sum(), POSITIVE.sum(1), POSITIVE.sum(0)
    wanted = 0.0
    for i in range(5):
        for j in range(5):
            if community[i] == community[j]:
                wanted += POSITIVE[i, j] / m - 1.3 * received[i] * sent[j] / m**2
    assert value == pytest.approx(wanted, abs=1e-14)
    again = cf.graph.modularity(POSITIVE, resolution=1.3, seed=3)
    np.testing.assert_array_equal(again[1], community)


def test_degree_of_a_threshold_of_fc():
    fc = cf.observe.functional_connectivity(np.random.default_rng(0).normal(size=(9, 4)))
    kept = cf.surgery.without_self_connections(cf.surgery.threshold(jnp.abs(fc), 0.3))
    wanted = ((np.abs(fc) >= 0.3) & ~np.eye(4, dtype=bool)).sum(axis=1)
    np.testing.assert_array_equal(cf.graph.degree(kept), wanted)


def test_without_networkx_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    for measure in (cf.graph.clustering, cf.graph.modularity):
        with refuses(r"pip install 'coupling_fn\[graph\]'", ImportError):
            measure(TWO)


@pytest.mark.parametrize("measure", [cf.graph.clustering, cf.graph.modularity])
def test_graphs_that_cannot_be_measured_are_refused(measure):
    with refuses("`conn` must be square"):
        measure(np.ones((2, 3)))
    with refuses(r"`conn` must be ≥ 0; at \(0, 1\) it is -1\.0\. Of a functional connectivity"):
        measure(np.array([[0, -1.0], [1, 0]]))
    with refuses(r"`conn` must be finite; at \(0, 0\) it is nan"):
        measure(np.full((2, 2), np.nan))
    with refuses("networkx runs on the host", TypeError):
        jax.jit(measure)(jnp.asarray(TWO))


def test_other_problems_are_refused():
    with refuses("`conn` must have a connection"):
        cf.graph.modularity(np.zeros((3, 3)))
    for measure in (cf.graph.degree, cf.graph.strength):
        with refuses("`direction` must be one of 'in', 'out', not 'both'"):
            measure(W, "both")
    with refuses("`conn` must be square"):
        cf.graph.degree(np.ones((2, 3)))
    with refuses(r"`conn` must have shape \(target, source\), not \(3,\)"):
        cf.graph.strength(np.ones(3))
