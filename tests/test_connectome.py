"""Weights as values: every function against plain loops, dense and sparse."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.experimental.sparse import BCOO
from jax.test_util import check_grads

import coupling_fn as cf

# Region 3 has no input, region 4 sends nothing, region 5 has neither; 0 drives itself.
DIRECTED = np.zeros((6, 6))
DIRECTED[0, :4] = 0.7, 2.0, 0.0, 1.5
DIRECTED[1, :4] = 0.5, 0.0, 3.0, 0.0
DIRECTED[2, :4] = 0.0, 0.25, 0.0, 0.0
DIRECTED[4, :4] = 1.0, 0.0, 0.0, 4.0
LENGTHS = np.arange(36.0).reshape(6, 6) * (1 - np.eye(6))
DISTINCT = np.array([[0.7, 2.0, 0.4], [0.1, 0.9, 3.0], [1.6, 0.2, 1.3]])  # no ties, no zeros
NAMES = ("a", "b", "c", "d", "e", "f")
SIGNED = DIRECTED * np.where(np.arange(36).reshape(6, 6) % 3 == 1, -1, 1)
EVERY = {
    "max": lambda w: cf.normalize(w),
    "row": lambda w: cf.normalize(w, by="row"),
    "column": lambda w: cf.normalize(w, by="column"),
    "symmetric": lambda w: cf.normalize(w, by="symmetric"),
    "spectral": lambda w: cf.normalize(w, by="spectral"),
    "minimum": lambda w: cf.surgery.threshold(w, 0.6),
    "keep": lambda w: cf.surgery.threshold(w, keep=0.4),
    "symmetrize": cf.surgery.symmetrize,
    "without_self_connections": cf.surgery.without_self_connections,
    "from_source_target": cf.from_source_target,
    "laplacian": cf.laplacian_connectivity,
    "laplacian sym": lambda w: cf.laplacian_connectivity(w, True),
    "laplacian rw": lambda w: cf.laplacian_connectivity(w, "rw"),
}
ON_CONNECTOMES = [name for name in EVERY if not name.startswith("laplacian")]


def weights(signed=False):
    size = st.sampled_from([1, 2, 5])
    numbers = st.floats(-4 if signed else 0, 4, allow_subnormal=False, width=32)
    numbers = st.one_of(st.just(0.0), numbers.filter(lambda x: x == 0 or abs(x) > 1e-3))
    return size.flatmap(lambda n: hnp.arrays(np.float64, (n, n), elements=numbers))


def by_hand(name, w):
    """Compute each formula in plain loops."""
    n = len(w)
    out = np.zeros((n, n))
    rows = [sum(abs(w[i, j]) for j in range(n)) for i in range(n)]
    columns = [sum(abs(w[i, j]) for i in range(n)) for j in range(n)]
    degree = [sum(w[i, j] for j in range(n)) for i in range(n)]
    sizes = sorted((abs(w[i, j]) for i in range(n) for j in range(n) if w[i, j]), reverse=True)
    kept = max(1, round(np.float64(0.4) * len(sizes)))
    weakest = sizes[kept - 1] if sizes else 0.0
    for i in range(n):
        for j in range(n):
            laplacian = (degree[i] if i == j else 0) - w[i, j]
            size = {
                "max": sizes[0] if sizes else 1,
                "row": rows[i],
                "column": columns[j],
                "symmetric": math.sqrt(rows[i]) * math.sqrt(columns[j]),
                "laplacian sym": math.sqrt(max(degree[i] * degree[j], 0)),
                "laplacian rw": degree[i],
            }
            out[i, j] = {
                "minimum": w[i, j] if abs(w[i, j]) >= 0.6 else 0,
                "keep": w[i, j] if abs(w[i, j]) >= weakest else 0,
                "symmetrize": (w[i, j] + w[j, i]) / 2,
                "without_self_connections": 0 if i == j else w[i, j],
                "from_source_target": w[j, i],
                "laplacian": laplacian,
            }.get(name, 0)
            if name in size:
                above = laplacian if name.startswith("laplacian") else w[i, j]
                out[i, j] = above / size[name] if size[name] else 0
    return out


@pytest.mark.every(5)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", [name for name in EVERY if name != "spectral"])
def test_each_function_is_its_formula(name, transform, dtype):
    w = (DIRECTED if "laplacian" in name else SIGNED).astype(dtype)
    got = TRANSFORMS[transform](EVERY[name])(jnp.asarray(w))
    assert got.dtype == dtype
    assert_close(got, by_hand(name, w).astype(dtype), ulps=8)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", [name for name in EVERY if name != "spectral"])
@given(data=st.data())
def test_each_function_is_its_formula_on_any_weights(name, data):
    w = data.draw(weights(signed="laplacian" not in name))
    assert_close(EVERY[name](w), by_hand(name, w), ulps=16)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
def test_the_names_of_regions_do_not_matter(name, data):
    w = data.draw(weights())
    if name == "spectral" and not np.abs(np.linalg.eigvals(w)).max() > 1e-2:
        return  # no loop to scale by
    order = np.array(data.draw(st.permutations(range(len(w)))))
    again = EVERY[name](w[np.ix_(order, order)])
    # A rounding moves an eigenvalue that is nearly double by the root of the rounding.
    ulps = 1e9 if name == "spectral" else 16
    assert_close(again, np.asarray(EVERY[name](w))[np.ix_(order, order)], ulps=ulps)


CENTRES = np.arange(18.0).reshape(6, 3)
DATA = {
    "areas": np.arange(6) + 0.5,
    "cortical": np.arange(6) % 2 == 0,
    "network": np.array([*"aabbcc"]),
    "orientations": CENTRES[::-1] / 20,
    "atlas": np.arange(6) * 1001,
}


def whole():
    return cf.Connectome(SIGNED, LENGTHS, NAMES, CENTRES, DATA)


def assert_belongs(got, order=slice(None)):
    """Require what is known of the regions, in an order."""
    assert np.array_equal(got.centres, CENTRES[order])
    assert got.labels == tuple(np.array(NAMES)[order].tolist())
    assert set(got.region_data) == set(DATA)
    for name, values in DATA.items():
        assert np.array_equal(got.region_data[name], values[order])
        assert np.asarray(got.region_data[name]).dtype == values.dtype


@pytest.mark.parametrize("name", ON_CONNECTOMES)
@pytest.mark.parametrize("wrap", [lambda f: f, eqx.filter_jit], ids=["eager", "jit"])
def test_on_a_connectome_the_weights_change_and_nothing_else(name, wrap):
    got = wrap(EVERY[name])(whole())
    assert isinstance(got, cf.Connectome)
    assert_close(got.weights, EVERY[name](SIGNED), ulps=16)
    assert_belongs(got)
    if name not in ("symmetrize", "from_source_target"):
        assert (got.lengths == LENGTHS).all()
    assert EVERY[name](cf.Connectome(SIGNED)).lengths is None


def test_the_other_orientation_turns_lengths_too():
    got = cf.from_source_target(cf.Connectome(DIRECTED, LENGTHS))
    assert got.weights[3, 0] == 1.5
    assert (got.lengths == LENGTHS.T).all()


def test_symmetrize_takes_the_length_of_the_direction_that_has_a_tract():
    lengths = np.array([[0.0, 80.0, 10.0], [0.0, 0.0, 5.0], [30.0, 7.0, 0.0]])
    tracts = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    got = cf.surgery.symmetrize(cf.Connectome(tracts, lengths))
    assert got.lengths.tolist() == [[0.0, 80.0, 20.0], [80.0, 0.0, 6.0], [20.0, 6.0, 0.0]]


@given(w=weights(signed=True))
@example(w=SIGNED)
def test_spectral_brings_the_radius_to_one(w):
    if not np.abs(np.linalg.eigvals(w)).max() > 1e-2:
        return
    eager = cf.normalize(w, by="spectral")
    assert np.abs(np.linalg.eigvals(np.asarray(eager))).max() == pytest.approx(1, abs=1e-6)
    # A double eigenvalue that is not diagonalisable is known only to the root of a rounding.
    assert_close(jax.jit(EVERY["spectral"])(w), np.asarray(eager), ulps=1e9)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spectral_under_transforms(transform, dtype):
    # A ring of two is the eigenvalue √(2 · 8) = 4; the chain to region 2 adds nothing.
    w = jnp.array([[0.0, 2.0, 0.0], [8.0, 0.0, 0.0], [5.0, 1.0, 0.0]], dtype)
    got = TRANSFORMS[transform](EVERY["spectral"])(w)
    assert got.dtype == dtype
    assert_close(got, np.asarray(w / 4), ulps=16)


# Downstream of the loop two regions hang in a chain: the eigenvectors of all do not span, and the
# derivative of the leading eigenvalue exists all the same. The third has complex eigenvalues.
CHAIN = np.array([[0, 2, 0, 0], [8, 0.5, 0, 0], [5, 0, 0, 0], [0, 0, 3, 0.0]])
TURNING = np.array([[0, 2, 0], [0, 0, 3], [4, 0.0, 0.5]]) * np.array([[1], [1], [-1]])


@pytest.mark.parametrize("w", [CHAIN, CHAIN - CHAIN.T, TURNING, DIRECTED], ids=range(4))
def test_spectral_has_its_gradient(w):
    if np.array_equal(w, CHAIN - CHAIN.T):
        w = w + np.diag([0.3, 0.2, 0.1, 0.4])
    check_grads(jax.jit(EVERY["spectral"]), (w,), order=1, modes=("fwd", "rev"), rtol=1e-5)


def test_spectral_without_a_loop():
    feedforward = np.triu(np.ones((4, 4)), 1)
    with refuses("spectral radius .* is 0: no connection is part of a loop"):
        cf.normalize(feedforward, by="spectral")
    assert (jax.jit(EVERY["spectral"])(feedforward) == feedforward).all()
    slope = jax.jacobian(EVERY["spectral"])(feedforward)
    assert_close(slope.reshape(16, 16), np.eye(16))


def test_spectral_gradient_where_two_parts_lead_alike():
    pairs = np.kron(np.eye(2), np.array([[0.0, 2.0], [2.0, 0.0]]))
    assert np.isfinite(jax.jacobian(EVERY["spectral"])(pairs)).all()


@pytest.mark.every(5)
@pytest.mark.parametrize("name", EVERY)
def test_gradients_and_zeros(name):
    if name != "spectral":  # which has its own test
        check_grads(jax.jit(EVERY[name]), (DISTINCT,), order=1, modes=("fwd", "rev"))
    both = jax.jit(lambda w: (EVERY[name](w), jax.jacobian(EVERY[name])(w)))
    nothing = jnp.zeros(DIRECTED.shape)
    value, slope = both(nothing)
    assert (EVERY[name](nothing) == 0).all()
    assert (value == 0).all()
    assert np.isfinite(slope).all()
    assert np.isfinite(both(jnp.asarray(DIRECTED))[1]).all()


def test_normalised_sums_are_one():
    rows = np.abs(cf.normalize(SIGNED, by="row")).sum(axis=1)
    columns = np.abs(cf.normalize(SIGNED, by="column")).sum(axis=0)
    assert_close(rows, np.array([1.0, 1, 1, 0, 1, 0]), ulps=4)
    assert_close(columns, np.array([1.0, 1, 1, 1, 0, 0]), ulps=4)
    assert np.abs(cf.normalize(SIGNED)).max() == 1


def test_symmetric_weights_have_radius_1_and_isolated_regions_stay_at_0():
    alone = cf.synthetic_connectome(7, jax.random.key(0)).weights.at[3].set(0).at[:, 3].set(0)
    balanced = cf.normalize(alone, by="symmetric")
    assert np.abs(np.linalg.eigvals(balanced)).max() == pytest.approx(1)
    assert_close(balanced, np.asarray(balanced).T, ulps=4)
    assert not balanced[3].any() and jnp.isfinite(balanced).all()


def test_keep_counts_the_weights_that_stay():
    w = np.arange(25.0).reshape(5, 5)  # 24 weights other than 0
    assert np.count_nonzero(cf.surgery.threshold(w, keep=0.25)) == 6
    assert np.count_nonzero(cf.surgery.threshold(w, keep=1)) == 24
    assert np.count_nonzero(cf.surgery.threshold(w, keep=1e-9)) == 1
    fractions = jax.vmap(lambda keep: cf.surgery.threshold(w, keep=keep))(jnp.array([0.25, 0.5]))
    assert np.count_nonzero(fractions, axis=(1, 2)).tolist() == [6, 12]


@given(w=weights())
def test_keep_leaves_a_symmetric_matrix_symmetric(w):
    kept = np.asarray(cf.surgery.threshold(w + w.T, keep=0.3))
    assert (kept == kept.T).all()


def test_isolated_regions():
    w = DIRECTED.copy()
    w[5, 5] = 3.0  # connected to itself alone
    wanted = [False, False, False, False, False, True]
    assert cf.graph.isolated_nodes(w).tolist() == wanted
    assert cf.graph.isolated_nodes(cf.Connectome(w)).tolist() == wanted
    assert jax.jit(cf.graph.isolated_nodes)(w).tolist() == wanted
    assert cf.graph.isolated_nodes(np.array([[0, -1, 0], [0, 0, 0], [0, 0, 0]])).tolist() == [
        False,
        False,
        True,
    ]


@given(w=weights(signed=True))
@example(w=DIRECTED)
def test_the_laplacian_couples_diffusively(w):
    x = np.linspace(-1.0, 2.0, len(w))
    wanted = [0.3 * sum(w[i, j] * (x[j] - x[i]) for j in range(len(w))) for i in range(len(w))]
    got = -0.3 * (cf.laplacian_connectivity(w) @ x)
    assert_close(got, np.array(wanted), ulps=64, scale=1 + np.abs(w).sum())


@given(w=weights())
def test_eigenvalues_of_the_normalised_laplacian_are_between_0_and_2(w):
    w = w + w.T
    for kind in ("sym", "rw"):
        values = np.linalg.eigvals(np.asarray(cf.laplacian_connectivity(w, kind)))
        assert np.abs(values.imag).max() < 1e-6
        assert values.real.min() > -1e-6
        assert values.real.max() < 2 + 1e-6


def test_true_is_sym_and_a_connectome_gives_an_array():
    sym = cf.laplacian_connectivity(DIRECTED, "sym")
    assert (cf.laplacian_connectivity(DIRECTED, normalize=True) == sym).all()
    assert (cf.laplacian_connectivity(cf.Connectome(DIRECTED), "sym") == sym).all()
    assert (sym[3] == 0).all()  # no input, and a finite row


@pytest.mark.parametrize("kind", ["sym", "rw", True])
def test_normalised_laplacian_refuses_a_strength_that_is_not_positive(kind):
    for row in ([0.0, -2.0], [-1.0, 1.0]):
        w = np.array([[0.0, 1.0], row])
        with refuses("of region 1 it is .* normalize=False"):
            cf.laplacian_connectivity(w, kind)
    assert np.isfinite(cf.laplacian_connectivity(w)).all()


@pytest.mark.parametrize(
    "chosen",
    [
        [4, 1, 2],
        ["e", "b", "c"],
        np.array([4, 1, 2]),
        ["e", 1, np.int64(2)],
    ],
)
def test_a_subset_takes_along_what_belongs_to_its_regions(chosen):
    got, order = whole().subset(chosen), [4, 1, 2]
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            assert got.weights[i, j] == SIGNED[a, b] and got.lengths[i, j] == LENGTHS[a, b]
    assert_belongs(got, order)
    bare = cf.Connectome(SIGNED).subset([4, 1, 2])
    assert bare.lengths is None and bare.labels is None and bare.centres is None


def test_a_subset_by_a_mask_keeps_the_order():
    connected = ~cf.graph.isolated_nodes(whole())
    for mask in (connected, np.asarray(connected)):
        assert_belongs(whole().subset(mask), [0, 1, 2, 3, 4])


def test_a_subset_inside_jit_is_that_outside():
    got = jax.jit(lambda c: cf.normalize(c.subset(["e", "b"]), by="max"))(whole())
    wanted = cf.normalize(whole().subset(["e", "b"]), by="max")
    assert_close(got, wanted, ulps=2)
    assert got.origin.file == ""


@pytest.mark.parametrize(
    ("chosen", "match", "error"),
    [
        (["a", "zz"], "'zz' is neither", ValueError),
        ([6], "indices from 0 to 5; got 6", ValueError),
        ([-1], "indices from 0 to 5; got -1", ValueError),
        ([0.5], "indices from 0 to 5; got 0.5", ValueError),
        ([1, 1], "different ones", ValueError),
        ([], "at least one region", ValueError),
        ([True, False], "a mask is a NumPy array", TypeError),
        (np.ones(5, bool), r"a mask of shape \(6,\), one per region, not \(5,\)", ValueError),
        ("abc", "in a list, not 'abc'", TypeError),
        (3, "in a list, not 3", TypeError),
    ],
)
def test_a_subset_refuses(chosen, match, error):
    with refuses(f"`regions` .*{match}", error):
        whole().subset(chosen)


def test_a_label_of_two_regions_names_none():
    twice = cf.Connectome(SIGNED, labels=["a", "b", "a", "c", "d", "e"])
    assert twice.index("b") == 1
    said = "'a', which is the label of 2 regions, 0, 2: give the index"
    with refuses(f"`label` has {said}"):
        twice.index("a")
    with refuses(f"`regions` has {said}"):
        twice.subset(["b", "a"])
    with refuses(f"`drivers` has {said}"):
        cf.diagnose(twice, drivers=["a"])
    assert np.array_equal(twice.subset([2, 0]).weights, SIGNED[np.ix_([2, 0], [2, 0])])


def test_print_says_what_a_connectome_holds():
    said = str(whole())
    assert said.startswith("6 regions: a, b, c, ...\n  weights: -2 to 4, 7 of 30 pairs connected")
    assert "region_data['network']: words" in said and "read from" not in said
    assert "lengths: not known" in str(cf.Connectome(DIRECTED))
    traced = []
    jax.jit(lambda c: traced.append(str(c)) or c.weights)(whole())
    assert "weights: traced" in traced[0]
    batch = jax.tree.map(lambda *x: jnp.stack(x), whole(), whole())
    assert "f64[2,6,6]" in str(batch)


def test_a_connectome_with_data_of_regions_is_a_pytree():
    conn = whole()
    assert len(jax.tree.leaves(conn)) == 5  # booleans, whole numbers and words are static
    slope = jax.grad(lambda c: (c.weights * c.lengths).sum() + c.region_data["areas"].sum())(conn)
    assert (slope.weights == LENGTHS).all() and (slope.region_data["areas"] == 1).all()
    assert_belongs(jax.jit(lambda c: c)(conn))
    traces = []
    run = jax.jit(lambda c: traces.append(1) or c.weights.sum())
    run(conn), run(dataclasses.replace(conn, centres=2 * CENTRES))
    assert len(traces) == 1
    run(dataclasses.replace(conn, region_data=DATA | {"cortical": ~DATA["cortical"]}))
    assert len(traces) == 2


def test_a_connectome_is_a_pytree():
    conn = cf.Connectome(DIRECTED, LENGTHS, NAMES)
    assert len(conn) == 6
    assert len(jax.tree.leaves(conn)) == 2
    grown = jax.jit(lambda c: jax.tree.map(lambda x: 2 * x, c))(conn)
    assert grown.labels == NAMES
    assert (grown.weights == 2 * DIRECTED).all()
    slope = jax.grad(lambda c: (c.weights * c.lengths).sum())(conn)
    assert (slope.weights == LENGTHS).all()
    batch = jax.vmap(lambda s: cf.normalize(cf.Connectome(s * DIRECTED, LENGTHS), by="row"))(
        jnp.array([1.0, 2.0])
    )
    assert_close(batch.weights[1], by_hand("row", DIRECTED), ulps=8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        conn.weights = DIRECTED


def test_what_a_connectome_converts():
    conn = cf.Connectome(np.array([[0, -1], [2, 0]]), labels=np.array(["a", "b"]))
    assert conn.weights.dtype == jnp.float64
    assert conn.weights[0, 1] == -1  # kept as given
    assert conn.labels == ("a", "b")
    assert type(conn.labels[0]) is str
    assert cf.Connectome(np.eye(2, dtype="float32")).weights.dtype == "float32"


SQUARE = np.ones((2, 2))


@pytest.mark.parametrize(
    ("arguments", "match", "error"),
    [
        ([np.ones((2, 3))], r"`weights` must be square.* \(2, 3\)", ValueError),
        ([np.ones(4)], r"`weights` must be square.* \(4,\)", ValueError),
        ([np.ones((0, 0))], "at least one region", ValueError),
        (
            [[[0, np.nan], [1, 0]]],
            r"`weights` must be finite; at \(0, 1\).* weight of 0",
            ValueError,
        ),
        ([[[0, 1j], [1, 0]]], "`weights` must be real", TypeError),
        ([np.array([["a", "b"], ["c", "d"]])], "`weights` must be an array of numbers", TypeError),
        ([BCOO.fromdense(jnp.eye(2))], r"`weights.todense\(\)`", TypeError),
        (
            [SQUARE, np.ones((3, 3))],
            r"`lengths` must have shape \(2, 2\), not \(3, 3\)",
            ValueError,
        ),
        ([SQUARE, -SQUARE], r"`lengths` must be ≥ 0; at \(0, 0\) it is -1.0", ValueError),
        ([SQUARE, np.inf * SQUARE], "`lengths` must be finite", ValueError),
        ([SQUARE, None, ["a"]], "`labels` must be one per region, 2, not 1", ValueError),
        ([SQUARE, None, "ab"], "`labels` must be a sequence of strings", TypeError),
        ([SQUARE, None, [1, 2]], "`labels` must be a sequence of strings", TypeError),
        ([SQUARE, None, None, np.ones((2, 2))], r"`centres` must have shape \(2, 3\)", ValueError),
        (
            [SQUARE, None, None, None, {"area": [1.0]}],
            r"`region_data\['area'\]` must have a row per region, 2, not 1",
            ValueError,
        ),
        ([SQUARE, None, None, None, {"area": 1.0}], "numbers, booleans or words", TypeError),
        ([SQUARE, None, None, None, {"a": [1j, 2j]}], "numbers, booleans or words", TypeError),
        ([SQUARE, None, None, None, {3: [1.0, 2.0]}], "strings for names, not 3", TypeError),
        ([SQUARE, None, None, None, [1.0, 2.0]], "must map names to arrays", TypeError),
    ],
)
def test_a_connectome_refuses(arguments, match, error):
    with refuses(match, error):
        cf.Connectome(*arguments)


@pytest.mark.every(2)
@pytest.mark.parametrize("slopes", [False, True])
def test_over_edges_each_function_does_the_same(slopes):
    """Over a sparse connection of more regions than are made dense; derivatives agree, too."""
    conn = cf.to_sparse(SIGNED)
    places = conn.target, conn.source
    inside = {
        name: f
        for name, f in EVERY.items()
        if name != "spectral" and name not in ("laplacian sym", "laplacian rw")
    }

    def each(make):
        def run(weights):
            return {name: make(f, weights) for name, f in inside.items()}

        return jax.jit(lambda w: jax.jvp(run, (w,), (w**2,)) if slopes else run(w))

    over_edges = lambda f, w: f(eqx.tree_at(lambda c: c.weights, conn, w)).todense()
    over_pairs = lambda f, w: f(jnp.zeros((6, 6)).at[places].set(w))
    got, wanted = each(over_edges)(conn.weights), each(over_pairs)(conn.weights)
    assert_close(got, wanted, ulps=16)
    positive = BCOO.fromdense(DIRECTED)
    for name in ("laplacian sym", "laplacian rw", "spectral"):
        assert_close(EVERY[name](positive).todense(), np.asarray(EVERY[name](DIRECTED)), ulps=64)
    assert cf.graph.isolated_nodes(positive).tolist() == cf.graph.isolated_nodes(DIRECTED).tolist()
    kept = cf.surgery.threshold(conn, 0.6)
    assert kept.edges == conn.edges  # so that lengths still fit
    assert not kept.weights.all()


def test_the_spectral_radius_of_many_regions_is_that_of_the_matrix():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(90, 90)) * (rng.random((90, 90)) < 0.1)
    got = cf.normalize(cf.to_sparse(many), by="spectral").todense()
    assert_close(got, np.asarray(cf.normalize(many, by="spectral")), ulps=2**20)
    with refuses("no connection is part of a loop"):
        cf.normalize(cf.to_sparse(np.triu(many, 1)), by="spectral")
    with refuses("on the host", TypeError):
        jax.jit(lambda c: cf.normalize(c, by="spectral"))(cf.to_sparse(many))


@pytest.mark.parametrize("name", [*EVERY, "isolated_nodes"])
def test_each_function_refuses(name):
    f = {**EVERY, "isolated_nodes": cf.graph.isolated_nodes}[name]
    with refuses("`conn` must be square"):
        f(cf.to_sparse(np.ones((2, 3))))
    with refuses(r"`conn` must be square"):
        f(np.ones((2, 3)))
    with refuses(r"`conn` must be finite; at \(1, 0\) it is inf"):
        f(np.array([[0.0, 1.0], [np.inf, 0.0]]))
    with refuses("`conn` must be square"):
        jax.jit(f)(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("call", "match", "error"),
    [
        (lambda: cf.surgery.threshold(SQUARE), "exactly one of", TypeError),
        (lambda: cf.surgery.threshold(SQUARE, 1.0, keep=0.5), "exactly one of", TypeError),
        (
            lambda: cf.surgery.threshold(SQUARE, -1.0),
            "`minimum` must be ≥ 0; it is -1.0",
            ValueError,
        ),
        (lambda: cf.surgery.threshold(SQUARE, np.nan), "`minimum` must be finite", ValueError),
        (
            lambda: cf.surgery.threshold(SQUARE, SQUARE),
            r"`minimum` must have shape \(\)",
            ValueError,
        ),
        (
            lambda: cf.surgery.threshold(SQUARE, keep=0),
            "`keep` must be a fraction above 0",
            ValueError,
        ),
        (lambda: cf.surgery.threshold(SQUARE, keep=1.5), "`keep` .* not 1.5", ValueError),
        (lambda: cf.surgery.threshold(SQUARE, keep=np.nan), "`keep` .* not nan", ValueError),
        (lambda: cf.normalize(SQUARE, by="rows"), "`by` must be one of 'max', 'row'", ValueError),
        (lambda: cf.laplacian_connectivity(SQUARE, "l1"), "`normalize` must be one", ValueError),
        (lambda: cf.laplacian_connectivity(SQUARE, 1), "`normalize` must be one", ValueError),
    ],
)
def test_options_are_refused(call, match, error):
    with refuses(match, error):
        call()
