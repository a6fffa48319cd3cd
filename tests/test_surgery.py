"""Lesions and added edges against plain loops, dense and sparse, by label, index and mask."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from jax.test_util import check_grads

import coupling_fn as cf

# Directed and signed, with zeros and self-connections; region 3 gets nothing.
W = np.array(
    [
        [0.5, 2.0, 0.0, 1.5],
        [0.25, 0.0, -3.0, 0.75],
        [0.0, 1.25, 4.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
NAMES = ("L.V1", "L.V2", "R.V1", "R.V2")
LENGTHS = 10.0 + np.arange(16.0).reshape(4, 4)
CENTRES = np.arange(12.0).reshape(4, 3)
RIGHT = np.array([False, False, True, True])
DATA = {"areas": np.array([1.5, 2.0, 0.5, 3.0]), "hemispheres": RIGHT, "lobe": np.array([*"abab"])}
CONN = cf.Connectome(W, LENGTHS, NAMES, CENTRES, DATA)
EXTENT = 0.375


def chosen_by_hand(name, i, j):
    """Whether each operation touches the edge from j onto i."""
    return {
        "lesion": 1 in (i, j),
        "two": i in (0, 3) or j in (0, 3),
        "isolate": (i in (0, 1)) != (j in (0, 1)),
        "from": j == 1,
        "onto": i in (1, 2),
        "block": j in (0, 1) and i == 1,
        "block, both ways": (j == 2 and i == 1) or (j == 1 and i == 2),
        "pairs": (i, j) in ((1, 2), (0, 3)),
        "pairs, both ways": (i, j) in ((1, 2), (2, 1), (0, 3), (3, 0)),
        "mask": abs(W[i, j]) > 1,
    }[name]


OPERATIONS = {
    "lesion": lambda w, e: cf.surgery.lesion(w, 1, extent=e),
    "two": lambda w, e: cf.surgery.lesion(w, np.array([3, 0]), extent=e),
    "isolate": lambda w, e: cf.surgery.isolate(w, RIGHT, extent=e),
    "from": lambda w, e: cf.surgery.weaken(w, source=1, extent=e),
    "onto": lambda w, e: cf.surgery.weaken(w, target=[1, 2], extent=e),
    "block": lambda w, e: cf.surgery.weaken(w, source=[0, 1], target=1, extent=e),
    "block, both ways": lambda w, e: cf.surgery.weaken(
        w, source=2, target=1, both_ways=True, extent=e
    ),
    "pairs": lambda w, e: cf.surgery.weaken(w, [(1, 2), (0, 3)], extent=e),
    "pairs, both ways": lambda w, e: cf.surgery.weaken(
        w, [(1, 2), (0, 3)], both_ways=True, extent=e
    ),
    "mask": lambda w, e: cf.surgery.weaken(w, np.abs(W) > 1, extent=e),
}
LABELLED = {
    "lesion": lambda c: cf.surgery.lesion(c, "L.V2", extent=EXTENT),
    "two": lambda c: cf.surgery.lesion(c, ["L.V1", "R.V2"], extent=EXTENT),
    "isolate": lambda c: cf.surgery.isolate(c, ["L.V1", "L.V2"], extent=EXTENT),
    "from": lambda c: cf.surgery.weaken(c, source="L.V2", extent=EXTENT),
    "onto": lambda c: cf.surgery.weaken(c, target=["L.V2", 2], extent=EXTENT),
    "block": lambda c: cf.surgery.weaken(c, source=["L.V1", "L.V2"], target="L.V2", extent=EXTENT),
    "pairs": lambda c: cf.surgery.weaken(c, [("L.V2", "R.V1"), ("L.V1", "R.V2")], extent=EXTENT),
}


def by_hand(name, extent, w=W):
    out = np.array(w, copy=True)
    for i in range(4):
        for j in range(4):
            if chosen_by_hand(name, i, j):
                out[i, j] = (1 - extent) * w[i, j]
    return out


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_chosen_edges_and_no_others_are_weakened(name, transform, dtype):
    w = W.astype(dtype)
    got = TRANSFORMS[transform](lambda w: OPERATIONS[name](w, EXTENT))(jnp.asarray(w))
    assert got.dtype == dtype
    assert_close(got, by_hand(name, EXTENT, w), ulps=4)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_extent_of_1_removes_and_of_0_leaves(name):
    assert np.array_equal(OPERATIONS[name](W, 1.0), by_hand(name, 1.0))
    assert np.array_equal(OPERATIONS[name](W, 0), W)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_sparse_connection_keeps_its_edges(name):
    sparse = cf.to_sparse(W)
    for extent in (EXTENT, 1.0):
        for conn in (sparse, BCOO.fromdense(jnp.asarray(W))):
            got = OPERATIONS[name](conn, extent)
            assert isinstance(got, cf.SparseConnection)
            assert np.array_equal(got.target, sparse.target)
            assert np.array_equal(got.source, sparse.source)
            assert np.array_equal(got.todense(), by_hand(name, extent))
    inside = jax.jit(lambda w: OPERATIONS[name](eqx.tree_at(lambda c: c.weights, sparse, w), 0.5))
    assert np.array_equal(inside(sparse.weights).todense(), by_hand(name, 0.5))


def test_a_mask_of_a_sparse_connection_may_have_one_value_per_edge():
    sparse = cf.to_sparse(W)
    got = cf.surgery.weaken(sparse, np.abs(sparse.weights) > 1, extent=0.5)
    assert np.array_equal(got.todense(), by_hand("mask", 0.5))
    got = cf.surgery.weaken(sparse, extent=jnp.linspace(0, 1, sparse.edges))
    assert_close(got.weights, sparse.weights * (1 - np.linspace(0, 1, sparse.edges)), ulps=4)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("wrap", [lambda f: f, eqx.filter_jit], ids=["eager", "jit"])
def test_on_a_connectome_regions_have_names_and_all_else_stays(name, wrap):
    got = wrap(LABELLED[name])(CONN)
    assert np.array_equal(got.weights, by_hand(name, EXTENT))
    assert got.labels == NAMES
    assert np.array_equal(got.lengths, LENGTHS) and np.array_equal(got.centres, CENTRES)
    for key, values in DATA.items():
        assert np.array_equal(got.region_data[key], values)


def test_a_mask_of_the_regions_own_data_isolates_a_hemisphere():
    got = cf.surgery.isolate(CONN, CONN.region_data["hemispheres"])
    assert np.array_equal(got.weights, by_hand("isolate", 1.0))
    assert not got.weights[:2, 2:].any() and got.weights[0, 1] == 2.0


def test_each_edge_may_have_its_own_extent():
    """Such as the share of each tract that a patient's lesion covers."""
    extent = np.linspace(0, 1, 16).reshape(4, 4)
    got = cf.surgery.weaken(CONN, extent=extent)
    assert_close(got.weights, W * (1 - extent), ulps=4)
    got = cf.surgery.weaken(CONN, source="L.V2", extent=extent)
    wanted = np.where(np.arange(4) == 1, W * (1 - extent), W)
    assert_close(got.weights, wanted, ulps=4)


@pytest.mark.parametrize("name", ["lesion", "isolate", "pairs"])
def test_weights_and_extents_have_gradients(name):
    operate = jax.jit(lambda w, e: OPERATIONS[name](w, e))
    check_grads(operate, (jnp.asarray(W), 0.3), order=2, modes=("fwd", "rev"))
    slope = jax.jacfwd(operate, argnums=1)(jnp.asarray(W), 0.3)
    assert_close(slope, by_hand(name, 1.0) - W, ulps=8)


def test_an_extent_is_swept_and_a_mask_lesions_every_region_in_turn():
    extents = jnp.linspace(0, 1, 3)
    swept = jax.vmap(lambda e: cf.surgery.lesion(CONN, "L.V2", extent=e).weights)(extents)
    for extent, got in zip(extents, swept, strict=True):
        assert_close(got, by_hand("lesion", float(extent)), ulps=4)
    masks = jnp.eye(4, dtype=bool)
    for conn in (W, cf.to_sparse(W)):
        each = jax.vmap(lambda mask, conn=conn: cf.surgery.lesion(conn, mask))(masks)
        sums = each.weights if isinstance(conn, cf.SparseConnection) else each.reshape(4, -1)
        wanted = [cf.surgery.lesion(W, n).sum() for n in range(4)]
        assert_close(sums.sum(axis=1), np.array(wanted), ulps=16)
    one = jax.jit(lambda mask: cf.surgery.isolate(W, mask))(RIGHT)
    assert np.array_equal(one, by_hand("isolate", 1.0))
    one = jax.jit(lambda mask: cf.surgery.weaken(W, mask))(np.abs(W) > 1)
    assert np.array_equal(one, by_hand("mask", 1.0))


def test_a_lesion_is_fitted_to_what_the_network_does():
    """The extent comes back from the stationary state of linear regions under constant drive."""
    drive = jnp.array([1.0, 0.3, -0.5, 0.2])

    def rest(extent):
        conn = cf.surgery.lesion(cf.surgery.without_self_connections(CONN), "L.V2", extent=extent)
        return jnp.linalg.solve(jnp.eye(4) - 0.1 * conn.weights, drive)

    loss = lambda p: jnp.sum((rest(p["extent"]) - rest(0.7)) ** 2)
    start, where = {"extent": jnp.asarray(0.2)}, lambda p: p["extent"]
    fitted = cf.fit(loss, start, where=where, steps=200, progress=False)
    assert float(fitted.params["extent"]) == pytest.approx(0.7, abs=1e-2)


@given(first=st.floats(0, 1), second=st.floats(0, 1), region=st.integers(0, 3))
def test_lesions_multiply_and_come_in_any_order(first, second, region):
    once = cf.surgery.lesion(W, region, extent=1 - (1 - first) * (1 - second))
    twice = cf.surgery.lesion(cf.surgery.lesion(W, region, extent=first), region, extent=second)
    assert_close(twice, np.asarray(once), ulps=8)
    turned = cf.surgery.lesion(W.T, region, extent=first)
    assert np.array_equal(turned.T, cf.surgery.lesion(W, region, extent=first))


# --- an edge more ----------------------------------------------------------------------------------


@pytest.mark.parametrize("both_ways", [False, True])
def test_an_edge_is_added_with_its_length(both_ways):
    # From R.V2 onto R.V1: neither direction has an edge.
    got = cf.surgery.add_edge(
        CONN, source="R.V2", target="R.V1", weight=0.5, length=77.0, both_ways=both_ways
    )
    weights, lengths = W.copy(), LENGTHS.copy()
    weights[2, 3], lengths[2, 3] = 0.5, 77.0
    if both_ways:
        weights[3, 2], lengths[3, 2] = 0.5, 77.0
    assert np.array_equal(got.weights, weights) and np.array_equal(got.lengths, lengths)
    assert got.labels == NAMES and np.array_equal(got.centres, CENTRES)
    edge = {"source": 3, "target": 2, "weight": 0.5, "both_ways": both_ways}
    assert np.array_equal(cf.surgery.add_edge(W, **edge), weights)
    sparse = cf.surgery.add_edge(cf.to_sparse(W), **edge)
    assert np.array_equal(sparse.todense(), weights)
    assert sparse.edges == np.count_nonzero(weights)
    keys = np.asarray(sparse.target) * 4 + np.asarray(sparse.source)
    assert (np.diff(keys) > 0).all()


def test_an_edge_that_a_lesion_left_without_weight_is_filled_again():
    sparse = cf.to_sparse(W)
    cut = cf.surgery.weaken(sparse, [(1, 2)])
    again = cf.surgery.add_edge(cut, source=2, target=1, weight=-3.0)
    assert again.edges == sparse.edges
    assert np.array_equal(again.todense(), W)


def test_a_region_may_be_connected_to_itself():
    assert cf.surgery.add_edge(W, source=1, target=1, weight=0.5, both_ways=True)[1, 1] == 0.5


@pytest.mark.parametrize("conn", [W, cf.to_sparse(W)], ids=["dense", "sparse"])
def test_the_weight_of_an_added_edge_has_a_gradient(conn):
    x = jnp.arange(1.0, 5.0)
    edge = {"source": 3, "target": 2}
    driven = lambda v: cf.weighted_sum(cf.surgery.add_edge(conn, weight=v, **edge), x)
    slope = jax.jit(jax.jacfwd(driven))(0.5)
    assert np.array_equal(slope, [0, 0, 4.0, 0])
    longer = lambda v: cf.surgery.add_edge(CONN, weight=1.0, length=v, **edge).lengths.sum()
    assert jax.grad(longer)(50.0) == 1.0


def test_a_sparse_connection_under_jit_has_no_names_for_its_edges():
    sparse = cf.to_sparse(W)
    with refuses("inside of `jit` pass its weights alone", TypeError):
        jax.jit(lambda c: cf.surgery.weaken(c, [(1, 2)]))(sparse)
    with refuses("inside of `jit` pass its weights alone", TypeError):
        jax.jit(lambda c: cf.surgery.add_edge(c, source=3, target=2, weight=1.0))(sparse)
    got = jax.jit(lambda c: cf.surgery.weaken(c, source=2, target=1))(sparse)
    assert np.array_equal(got.todense(), cf.surgery.weaken(W, [(1, 2)]))


# --- what is known of it ---------------------------------------------------------------------------


def test_a_connectome_says_what_was_done_to_it():
    many = cf.synthetic_connectome(8, jax.random.key(0))
    many = cf.surgery.lesion(many, [0, 1, 2, 3, 4])
    assert "surgery: lesion of L.R01, L.R02, L.R03 and 2 more" in str(many)
    conn = cf.surgery.isolate(CONN, ["L.V1", "L.V2"], extent=0.5)
    conn = cf.surgery.weaken(conn, [("L.V1", "L.V2")])
    conn = cf.surgery.weaken(conn, source="L.V2", both_ways=True, extent=0.25)
    conn = cf.surgery.add_edge(conn, source="R.V2", target="R.V1", weight=1.0, length=20.0)
    conn = cf.surgery.threshold(cf.surgery.symmetrize(conn), keep=0.5)
    wanted = (
        "L.V1, L.V2 isolated from all others by 50%",
        "weakened by 100%: edges from L.V2 onto L.V1",
        "weakened by 25%: edges between L.V2 and all",
        "edge added from R.V2 onto R.V1",
        "both directions of each edge replaced by their mean",
        "the strongest 50% of the edges kept",
    )
    assert conn.origin.surgery == wanted
    assert str(conn).endswith(f"surgery: {'; '.join(wanted)}")
    assert conn.subset([0, 1]).origin.surgery == wanted
    assert CONN.origin.surgery == ()
    assert eqx.filter_jit(lambda c: c)(conn).origin.surgery == ()  # as with the file


def test_diagnose_knows_what_is_isolated_and_that_surgery_did_it():
    whole = cf.synthetic_connectome(8, jax.random.key(0))
    split = cf.surgery.isolate(whole, [name for name in whole.labels if name.startswith("L.")])
    report = cf.diagnose(split)
    (finding,) = [f for f in report.findings if f.code == "disconnected"]
    assert "falls into 2 parts with no connection between them, of 4, 4 regions" in finding.what
    assert set(finding.labels) in ({*whole.labels[:4]}, {*whole.labels[4:]})
    assert finding.remedy[0].startswith("If the surgery was meant to do this (L.R01, L.R02, L.R03")
    assert report.facts["surgery"].endswith("isolated from all others")
    report = cf.diagnose(cf.surgery.lesion(whole, "R.R02"))
    (finding,) = [f for f in report.findings if f.code == "isolated"]
    assert finding.labels == ("R.R02",)
    assert (
        finding.remedy[0]
        == "If the surgery was meant to do this (lesion of R.R02), it is no fault."
    )
    silenced = cf.diagnose(cf.surgery.weaken(whole, source="R.R02"))
    (finding,) = [f for f in silenced.findings if f.code == "no_output"]
    assert finding.labels == ("R.R02",) and "surgery was meant" in finding.remedy[0]
    assert "surgery" not in cf.diagnose(whole).facts


TWINS = dataclasses.replace(CONN, labels=("A", "B", "A", "C"))


@pytest.mark.parametrize(
    ("call", "match", "error"),
    [
        (lambda: cf.surgery.lesion(TWINS, "A"), "'A', which is the label of 2 regions", ValueError),
        (lambda: cf.surgery.weaken(TWINS, source="A"), "`source` has 'A', which is", ValueError),
        (lambda: cf.surgery.weaken(TWINS, [("A", "B")]), "`edges` has 'A', which is", ValueError),
        (
            lambda: cf.surgery.add_edge(TWINS, source="B", target="A", weight=1.0, length=1.0),
            "`target` has 'A', which is",
            ValueError,
        ),
        (lambda: cf.surgery.lesion(CONN, "V9"), "'V9' is neither", ValueError),
        (lambda: cf.surgery.lesion(W, "L.V1"), "'L.V1' is neither", ValueError),
        (lambda: cf.surgery.lesion(W, 4), "indices from 0 to 3; got 4", ValueError),
        (lambda: cf.surgery.lesion(W, []), "at least one region", ValueError),
        (lambda: cf.surgery.lesion(W, np.zeros(4, bool)), "at least one region", ValueError),
        (lambda: cf.surgery.lesion(W, np.ones(3, bool)), r"a mask of shape \(4,\)", ValueError),
        (lambda: cf.surgery.lesion(W, [1, 1]), "one of them is there twice", ValueError),
        (lambda: cf.surgery.lesion(W, [1j]), "1j is neither", TypeError),
        (lambda: cf.surgery.lesion(W, 1.5), "not 1.5", TypeError),
        (lambda: cf.surgery.lesion(W, 1, extent=1.5), "`extent` must be from 0 to 1", ValueError),
        (lambda: cf.surgery.lesion(W, 1, extent=-0.1), "`extent` must be from 0 to 1", ValueError),
        (
            lambda: cf.surgery.lesion(W, 1, extent=[0.5]),
            r"`extent` must have shape \(\)",
            ValueError,
        ),
        (
            lambda: cf.surgery.isolate(W, [0, 1, 2, 3]),
            "`regions` must leave some region out",
            ValueError,
        ),
        (lambda: cf.surgery.weaken(W), "Say which edges", TypeError),
        (lambda: cf.surgery.weaken(W, [(1, 2)], source=1), "not both", TypeError),
        (lambda: cf.surgery.weaken(W, [(1, 3), (2, 0)]), "none from 0 onto 2", ValueError),
        (
            lambda: cf.surgery.weaken(CONN, [("R.V2", "L.V1")]),
            "none from L.V1 onto R.V2. There is one in the other direction: pairs are",
            ValueError,
        ),
        (
            lambda: cf.surgery.weaken(W, source=0, target=3),
            "no edge from `source` onto `target`. There is one in the other direction",
            ValueError,
        ),
        (lambda: cf.surgery.weaken(cf.to_sparse(W), [(3, 0)]), "none from 0 onto 3", ValueError),
        (lambda: cf.surgery.weaken(W, []), "at least one edge", ValueError),
        (lambda: cf.surgery.weaken(W, [1, 2]), "1 is no pair", TypeError),
        (lambda: cf.surgery.weaken(W, ["ab"]), "'ab' is no pair", TypeError),
        (lambda: cf.surgery.weaken(W, W > 1, both_ways=True), "mask | mask.T", TypeError),
        (lambda: cf.surgery.weaken(W, RIGHT), r"`edges` must have shape \(4, 4\)", ValueError),
        (
            lambda: cf.surgery.weaken(W, source=1, extent=np.ones(4)),
            r"`extent` must have shape \(\) or \(4, 4\)",
            ValueError,
        ),
        (
            lambda: cf.surgery.add_edge(W, source=2, target=1, weight=1.0),
            "`target` 1 has an edge from `source` 2 already",
            ValueError,
        ),
        (
            lambda: cf.surgery.add_edge(W, source=[2], target=1, weight=1.0),
            "`source` must be a region",
            TypeError,
        ),
        (
            lambda: cf.surgery.add_edge(W, source=3, target=2, weight=1.0, length=3.0),
            "`length` is for connectomes with lengths",
            TypeError,
        ),
        (
            lambda: cf.surgery.add_edge(CONN, source=3, target=2, weight=1.0),
            "`length` must be given",
            ValueError,
        ),
        (
            lambda: cf.surgery.add_edge(CONN, source=3, target=2, weight=1.0, length=-1.0),
            "`length` must be ≥ 0",
            ValueError,
        ),
        (
            lambda: cf.surgery.add_edge(CONN, source=3, target=2, weight=np.nan, length=1.0),
            "`weight` must be finite",
            ValueError,
        ),
        (
            lambda: jax.jit(lambda n: cf.surgery.lesion(W, n))(jnp.array([1])),
            "`regions` must be known, or a mask",
            TypeError,
        ),
    ],
)
def test_wrong_surgery_is_refused(call, match, error):
    with refuses(match, error):
        call()


def test_what_was_done_is_in_the_origin_and_in_the_file(tmp_path):
    lesioned = cf.normalize(cf.surgery.lesion(CONN, "L.V2"), by="max")
    assert len(lesioned.origin.surgery) == 2
    assert lesioned.origin.surgery[1] == "weights normalized by max"
    cf.save_connectome(tmp_path / "conn.npz", lesioned)
    read = cf.load_connectome(tmp_path / "conn.npz")
    assert read.origin.surgery == lesioned.origin.surgery
    assert not read.origin.unread
