"""Lengths to lags, and the history that lags read from."""

import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

import coupling_fn as cf

# --- lengths to lags --------------------------------------------------------------------------------


def test_a_tract_of_100_mm_at_10_metres_a_second_takes_10_ms():
    assert cf.lags(jnp.array([[100.0]]), speed=10.0, dt=0.1) == 100
    assert cf.lags(jnp.array([[100.0]]), speed=10.0, dt=1.0) == 10
    assert cf.lags(100.0, 10.0, 0.1).shape == ()


def test_lags_keep_their_orientation_and_are_whole():
    lengths = jnp.array([[0.0, 20.0, 40.0], [10.0, 5.0, 0.0]])
    lags = cf.lags(lengths, speed=5.0, dt=1.0)
    assert lags.dtype == jnp.int32
    assert lags.tolist() == [[0, 4, 8], [2, 1, 0]]


def test_halves_go_to_the_even_step():
    lengths = jnp.array([[1.5, 2.5, 3.5, 4.5]])
    assert cf.lags(lengths, speed=1.0, dt=1.0).tolist() == [[2, 2, 4, 4]]


def test_lags_are_worked_out_in_float64_whatever_the_dtype():
    """Seven digits are too few for a half: 29.65 / 0.1 is 296.49999…, in float32 296.5 and so 296."""
    rng = np.random.default_rng(0)
    lengths = (rng.integers(1, 5000, (40, 40)) / 20 * 0.9).astype(np.float32)
    exact = np.rint(lengths.astype(float) / 3.0 / 0.05)
    assert (np.asarray(cf.lags(lengths, 3.0, 0.05)) == exact).all()
    assert (np.asarray(cf.lags(jnp.asarray(lengths), 3.0, 0.05)) == exact).all()
    rough = np.rint(lengths / np.float32(3.0) / np.float32(0.05))
    assert (rough != exact).any()  # so the lengths above can tell the difference
    fine = np.array([[np.nextafter(0.25, 1), np.nextafter(0.25, 0)]])
    assert cf.lags(fine, 1.0, 0.1).tolist() == np.rint(fine / 0.1).astype(int).tolist()


def test_a_longer_tract_or_a_smaller_step_never_shortens_a_lag():
    lengths = jnp.linspace(2.0, 200.0, 300)[None]
    for speed, dt in [(1.0, 0.1), (7.0, 0.05), (20.0, 0.1)]:
        lags = np.asarray(cf.lags(lengths, speed, dt))
        assert (np.diff(lags) >= 0).all()
        assert (np.asarray(cf.lags(lengths, speed, dt / 2)) >= lags).all()


def test_edges_without_weight_take_the_smallest_lag_of_the_others():
    lengths, weights = jnp.array([[0.0, 50.0], [30.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])
    assert cf.lags(lengths, 1.0, 1.0, weights=weights).tolist() == [[30, 50], [30, 30]]
    jitted = jax.jit(lambda lengths: cf.lags(lengths, 1.0, 1.0, weights=weights))
    assert jitted(lengths).tolist() == [[30, 50], [30, 30]]
    none = jnp.zeros((2, 2))
    assert cf.lags(lengths, 1.0, 1.0, weights=none).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_traced_lags_are_the_known_ones(dtype):
    lengths = jnp.asarray([[3.0, 14.0], [15.0, 92.0]], dtype)
    got = jax.jit(cf.lags)(lengths, jnp.asarray(3.0, dtype), 0.5)
    assert got.dtype == jnp.int32
    assert (got == cf.lags(lengths, 3.0, 0.5)).all()


def test_a_delay_that_rounds_to_none_warns_and_says_how_many():
    lengths = jnp.array([[0.0, 0.4], [0.3, 100.0]])
    with pytest.warns(UserWarning, match=r"2 tracts .* 0: the delay of the longest is 0\.4 ms"):
        cf.lags(lengths, speed=1.0, dt=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cf.lags(jnp.array([[0.0, 0.6]]), speed=1.0, dt=1.0)  # a length of 0 was meant


def test_edges_without_weight_do_not_warn_of_their_delay():
    lengths, weights = jnp.array([[9.0, 0.4], [30.0, 9.0]]), jnp.array([[0.0, 0.0], [1.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cf.lags(lengths, speed=1.0, dt=1.0, weights=weights)


MATTER = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])  # weights
TRACTS = np.array([[-1.0, 20.0, 30.0], [40.0, np.nan, np.inf], [1e9, 80.0, -np.inf]])


def test_lengths_where_the_weight_is_0_do_not_matter():
    """NaN, -1, infinity and lengths beyond every lag: what files have where there is no tract."""
    filled = [[20, 20, 30], [40, 20, 20], [20, 80, 20]]
    edges = np.nonzero(MATTER)
    for form in (np.asarray, jnp.asarray):
        lengths = form(TRACTS)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as NumPy's of a NaN that becomes a whole number
            assert cf.lags(lengths, 1.0, 1.0, weights=MATTER).tolist() == filled
        smallest, largest = cf.lag_bounds(lengths, 1.0, 1.0, weights=MATTER)
        assert smallest.tolist() == [[80, 20, 30], [40, 80, 80], [80, 80, 80]]
        assert largest.tolist() == [[81, 21, 31], [41, 81, 81], [81, 81, 81]]
        assert cf.lag_bounds(lengths, (1.0, 2.0), 1.0, weights=0 * MATTER) == (0, 0)
        conn = cf.Connectome(MATTER, lengths)
        np.testing.assert_array_equal(conn.lengths, TRACTS)  # kept as given
        both = cf.surgery.symmetrize(conn)
        assert np.asarray(both.lengths)[edges].tolist() == [30.0, 30.0, 30.0, 80.0]
        assert cf.surgery.threshold(conn, 1.0).weights.tolist()[0] == [0.0, 1.0, 0.0]
        assert (
            cf.diagnose(conn, speed=3.0, dt=0.1).codes
            == cf.diagnose(cf.Connectome(MATTER, filled), speed=3.0, dt=0.1).codes
        )
    traced = jax.jit(lambda x: cf.lags(x, 1.0, 1.0, weights=MATTER))
    assert traced(jnp.where(TRACTS > 1e6, 5.0, TRACTS)).tolist() == filled
    sparse = cf.to_sparse(MATTER)
    lost = eqx.tree_at(lambda c: c.weights, sparse, sparse.weights.at[0].set(0.0))
    of_edges = cf.edge_values(sparse, TRACTS).at[0].set(jnp.nan)
    assert cf.lags(of_edges, 1.0, 1.0, weights=lost.weights).tolist() == [30, 30, 40, 80]


def test_lengths_where_there_is_a_weight_are_refused_in_words():
    with refuses(r"`lengths` must be finite; at \(1, 1\) it is nan\. .* here it is not 0"):
        cf.lags(TRACTS, 1.0, 1.0, weights=MATTER + np.diag([0, 1, 0]))
    with refuses(r"`lengths` must be ≥ 0; at \(0, 0\) it is -1\.0\. .* here it is not 0"):
        cf.Connectome(MATTER + np.diag([1, 0, 0]), TRACTS)
    with refuses(r"`lengths` must be finite; .* pass `weights`, which are 0 there"):
        cf.lag_bounds(TRACTS, 1.0, 1.0)
    with refuses(r"these weights are traced"):
        jax.jit(lambda w: cf.lags(TRACTS, 1.0, 1.0, weights=w))(MATTER)
    with refuses(r"`lengths` must be ≥ 0; .* Where the weight is 0 any length will do"):
        cf.Params(coupling=cf.AdditiveCoupling(MATTER + np.eye(3)), lengths=-np.eye(3), speed=1.0)


@pytest.mark.every(2)
@pytest.mark.parametrize("form", ["separable", "per pair"])
def test_an_edge_of_length_0_is_read_at_the_present_alone_and_has_no_gradient_of_its_length(form):
    """Its share of the present would else have one, without that of the step before."""
    weights, lengths = jnp.array([[0.5, 0.3], [0.7, -0.2]]), jnp.array([[0.0, 20.0], [31.0, 0.0]])
    coupling = cf.AdditiveCoupling(weights)
    if form == "per pair":
        coupling = cf.EdgeCoupling(lambda s, t: s, weights)

    def total(lengths, bounds):
        net = cf.Network(cf.nodes.linear, 1.0, lag_bounds=bounds, interpolate="linear")
        params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling, lengths=lengths, speed=2.0)
        past = jnp.linspace(0.0, 1.0, 32).reshape(16, 2)
        state = net.init(cf.nodes.LinearState(jnp.array([1.0, 2.0])), params, history=past)
        return cf.simulate(net, state, params, 6, record="x")[1].sum()

    each = jax.value_and_grad(total)(lengths, cf.lag_bounds(lengths, 2.0, 1.0))
    alike = jax.value_and_grad(total)(lengths, (0, 16))  # any edge may be delayed
    assert_close(each[0], np.asarray(alike[0]), ulps=64)
    assert_close(each[1], np.where(lengths > 0, alike[1], 0), ulps=256)
    assert (np.abs(alike[1]) > 0.01).all()


def test_a_lag_outside_the_bounds_of_its_edge_is_named():
    bounds = cf.lag_bounds(jnp.array([[0.0, 100.0], [40.0, 0.0]]), 1.0, 1.0, weights=1 - jnp.eye(2))
    lags = jnp.array([[100, 100], [99, 100]])
    with refuses(r"The lag at \(1, 0\) is 99 steps, and its bounds are 40 and 41"):
        cf.Network(cf.nodes.linear, 1.0, lags=lags, lag_bounds=bounds)


@pytest.mark.every(5)
@pytest.mark.parametrize("form", ["dense", "sparse", "sum"])
@pytest.mark.parametrize("interpolate", ["linear", None])
def test_a_run_with_lengths_in_params_reads_none_that_do_not_matter(interpolate, form):
    weights, lengths = MATTER, TRACTS
    bounds = cf.lag_bounds(TRACTS, (4.0, 6.0), 1.0, weights=MATTER)
    coupling = cf.AdditiveCoupling(MATTER, k=0.1)
    if form == "sum":  # whose parts have each a part of the edges
        coupling = cf.AdditiveCoupling(np.tril(MATTER), 0.1) + cf.AdditiveCoupling(
            np.triu(MATTER), 0.1
        )
    if form == "sparse":
        stored = cf.sparse_from_edges(
            [0, 0, 0, 1, 2], [0, 1, 2, 0, 1], [0.0, 1.0, 0.5, 2.0, 3.0], (3, 3)
        )
        coupling, lengths = cf.AdditiveCoupling(stored, k=0.1), cf.edge_values(stored, TRACTS)
        weights = stored.weights
    net = cf.Network(cf.nodes.linear, 1.0, lag_bounds=bounds, interpolate=interpolate)
    node = cf.nodes.LinearParams(a=-0.5)

    def total(speed, lengths):
        params = cf.Params(node, coupling, lengths=lengths, speed=speed)
        state = net.init(cf.nodes.LinearState(jnp.array([1.0, -0.5, 2.0])), params)
        return cf.simulate(net, state, params, 40, record="x")[1].sum()

    usable = np.where(np.asarray(weights) != 0, lengths, 20.0)
    wanted, got = total(5.3, usable), jax.jit(total)(5.3, jnp.asarray(lengths))
    assert_close(got, np.asarray(wanted), ulps=16)
    assert_close(total(5.3, lengths), np.asarray(wanted), ulps=16)  # known, and outside of `jit`
    if interpolate:
        slopes, lost = jax.grad(total, argnums=(0, 1))(5.3, jnp.asarray(lengths))
        assert_close(slopes, np.asarray(jax.grad(total)(5.3, usable)), ulps=256)
        assert np.isfinite(lost).all() and slopes != 0
    params = cf.Params(node, coupling, lengths=usable, speed=5.3)
    lost = eqx.tree_at(lambda p: p.speed, params, jnp.asarray(jnp.nan))
    with refuses("leaves the network's bounds"):
        net.init(cf.nodes.LinearState(jnp.ones(3)), lost)


@pytest.mark.parametrize("what", ["lengths", "speed"])
def test_the_gradient_of_a_rounded_lag_is_an_error_that_names_the_way_out(what):
    lengths = jnp.array([[10.0, 20.0]])
    f = {
        "lengths": (lambda x: cf.lags(x, 3.0, 0.1).astype(float).sum(), lengths),
        "speed": (lambda x: cf.lags(lengths, x, 0.1).astype(float).sum(), jnp.array(3.0)),
    }[what]
    for transform in (jax.grad, jax.jacfwd):
        with refuses(r"no gradient .*interpolate=\"linear\"", TypeError):
            transform(f[0])(f[1])


def test_bounds_hold_every_lag_between_them():
    lengths = jnp.array([[12.0, 100.0]])
    smallest, largest = cf.lag_bounds(lengths, speed=(2.0, 10.0), dt=1.0)
    assert (smallest.tolist(), largest.tolist()) == ([[1, 10]], [[7, 51]])
    for speed in np.linspace(2.0, 10.0, 9):
        lags = cf.lags(lengths, speed, 1.0)
        assert ((smallest <= lags) & (lags <= largest)).all()
    assert cf.lag_bounds(50.0, 5.0, 0.1) == (100, 101)
    several = jnp.stack([lengths, 2 * lengths])
    there = jnp.array([[[1.0, 1.0]], [[0.0, 1.0]]])  # the second subject lacks the first tract
    smallest, largest = cf.lag_bounds(several, 2.0, 1.0, weights=there)
    assert (smallest.tolist(), largest.tolist()) == ([[6, 50]], [[7, 101]])


@settings(max_examples=200)
@given(
    st.integers(1, 250), st.integers(1, 20), st.sampled_from([0.01, 0.05, 0.1, 0.25, 1.0]),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_bounds_hold_the_lags_of_the_same_numbers_in_any_precision(length, speed, dt, dtype):
    """A network computes the lags from lengths and speed in `Params`, in the precision of the run."""
    lengths = jnp.asarray([[length]], dtype)
    smallest, largest = cf.lag_bounds(lengths, float(speed), dt)
    lag = (lengths / jnp.asarray(speed, dtype) / dt).item()
    assert smallest <= lag < largest


# --- the history ------------------------------------------------------------------------------------


def test_history_is_a_constant_a_row_or_all_its_rows():
    rows = jnp.arange(6.0).reshape(3, 2)
    assert cf.make_history(0.5, 3, 2).tolist() == [[0.5, 0.5]] * 3
    assert cf.make_history(jnp.array([1.0, 2.0]), 3, 2).tolist() == [[1.0, 2.0]] * 3
    assert (cf.make_history(rows, 3, 2) == rows).all()
    assert cf.make_history(1, 0, 2).shape == (0, 2)
    assert cf.make_history(np.ones(2, np.float32), 3, 2).dtype == jnp.float32


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2), (4, 2), (3, 1), (1, 2), (2, 3), (3, 2, 1)])
def test_a_history_of_another_length_is_refused_and_not_padded(shape):
    with refuses(r"`past` must have shape \(\) or \(2,\) or \(3, 2\), not"):
        cf.make_history(jnp.ones(shape), 3, 2)


def test_what_is_pushed_is_read_back_as_many_steps_later():
    rng = np.random.default_rng(0)
    sent = jnp.asarray(rng.normal(size=(12, 3)))
    lags = jnp.array([[0, 1, 2], [4, 3, 0], [1, 4, 2], [2, 2, 4]])  # four targets
    history = cf.make_history(sent[0], 4, 3)
    for n in range(12):
        for lag in range(5):
            read = cf.read_history(history, sent[n], lag)
            assert (read == sent[max(n - lag, 0)]).all()
        seen = np.asarray(cf.read_history(history, sent[n], lags))
        for (i, j), lag in np.ndenumerate(lags):
            assert seen[i, j] == sent[max(n - lag, 0), j]
        history = cf.push_history(history, sent[n])
        assert history.shape == (4, 3)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("interpolate", [None, "linear"])
def test_reading_is_its_loop_under_every_transform(interpolate, transform):
    rng = np.random.default_rng(1)
    history, current = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=3))
    lags = rng.uniform(0, 5, (2, 3))
    lags[0, :2], lags[1, 0] = (0, 5), 4  # both ends, and one exactly on a step
    lags = lags if interpolate else np.rint(lags).astype(np.int32)
    rows = np.concatenate([history, current[None]])
    wanted = np.zeros((2, 3))
    for (i, j), lag in np.ndenumerate(lags):
        whole, late = int(lag // 1), lag % 1
        wanted[i, j] = (1 - late) * rows[5 - whole, j]
        wanted[i, j] += late * rows[5 - whole - 1, j] if late else 0.0

    def read(history, current, lags):
        return cf.read_history(history, current, lags, interpolate)

    got = TRANSFORMS[transform](read)(history, current, jnp.asarray(lags))
    assert_close(got, wanted, ulps=4)


def test_an_interpolated_read_has_a_gradient_in_its_lag():
    rng = np.random.default_rng(2)
    history, current = jnp.asarray(rng.normal(size=(4, 3))), jnp.asarray(rng.normal(size=3))
    lags = jnp.array([[0.4, 1.3, 3.7], [2.5, 0.1, 3.2]])
    read = jax.jit(lambda *args: cf.read_history(*args, interpolate="linear"))
    check_grads(read, (history, current, lags), order=1, modes=("fwd", "rev"), eps=1e-4)
    slope = jax.grad(lambda lags: read(history, current, lags)[0, 1])(lags)
    assert_close(slope[0, 1], history[2, 1] - history[3, 1])  # two steps ago, less one step ago


def test_a_read_without_history_is_the_present():
    history, current = jnp.zeros((0, 2)), jnp.array([1.0, 2.0])
    assert cf.read_history(history, current, 0).tolist() == [1.0, 2.0]
    assert cf.read_history(history, current, jnp.zeros((3, 2), int)).tolist() == [[1.0, 2.0]] * 3


@pytest.mark.parametrize("lags", [-1, 4, [[0, 4], [1, 1]], [[0, 1], [-2, 1]]])
def test_a_lag_outside_the_history_is_an_error_and_not_a_clamp(lags):
    with refuses(r"`lags` must lie in 0 … 3, the length of this history in steps; they span"):
        cf.read_history(jnp.zeros((3, 2)), jnp.zeros(2), jnp.asarray(lags))


def test_reads_of_wrong_inputs_are_refused():
    history, current = jnp.zeros((3, 2)), jnp.zeros(2)
    with refuses("`lags` must be whole numbers, not float64", TypeError):
        cf.read_history(history, current, jnp.array([[0.5, 1.0]]))
    with refuses(r"`lags` must be one number or have shape \(target, 2\), not \(2,\)"):
        cf.read_history(history, current, jnp.array([0, 1]))
    with refuses(r"`current` must have shape \(2,\), not \(3,\)"):
        cf.read_history(history, jnp.zeros(3), 1)
    with refuses("`interpolate` must be one of None, 'linear', not 'cubic'"):
        cf.read_history(history, current, 1, interpolate="cubic")
    with refuses(r"`current` must have shape \(2,\), not \(1,\)"):
        cf.push_history(history, jnp.zeros(1))


def test_reads_and_writes_keep_float32():
    history, current = jnp.ones((3, 2), jnp.float32), jnp.zeros(2, jnp.float32)
    assert cf.push_history(history, current).dtype == jnp.float32
    assert cf.read_history(history, current, 1).dtype == jnp.float32
    lags = jnp.full((2, 2), 0.25, jnp.float32)
    assert cf.read_history(history, current, lags, "linear").dtype == jnp.float32


WRONG_BOUNDS = {
    "no speed": (lambda: cf.lag_bounds([[9.0]], [], 1.0), "`speed` is empty"),
    "four axes": (
        lambda: cf.lag_bounds(np.ones((1, 1, 2, 2)), 1.0, 1.0),
        "`lengths` must have shape",
    ),
    "a speed in another unit": (
        lambda: cf.lag_bounds([[1e5]], 1e-6, 0.1),
        "`speed` of 1e-06 mm/ms makes lags of 1e\\+12 steps",
    ),
    "beyond 32 bits": (lambda: between((0, 2**40)), "at most 2147483647 steps, not 1099511627776"),
    "swapped": (
        lambda: between((np.array([[1, 5]]), np.array([[2, 4]]))),
        r"0 ≤ smallest ≤ largest, not \(5, 4\) at \(0, 1\)",
    ),
    "without room for one edge": (
        lambda: between((np.array([[1, 5]]), np.array([[2, 5]])), interpolate="linear"),
        "leave no room to read between steps: 5 to 5",
    ),
}


def between(bounds, **options):
    return cf.Network(cf.nodes.linear, 1.0, lag_bounds=bounds, **options)


@pytest.mark.parametrize("wrong", WRONG_BOUNDS)
def test_bounds_that_cannot_be_are_refused_in_words(wrong):
    build, words = WRONG_BOUNDS[wrong]
    with refuses(words):
        build()


def test_what_is_no_bounds_is_shown_by_its_shape():
    floats = np.ones((90, 90))
    for wrong in ((floats, floats), (floats.tolist(), floats.tolist()), np.stack([floats, floats])):
        with pytest.raises(TypeError, match="`lag_bounds` must be whole numbers") as error:
            between(wrong)
        assert len(str(error.value)) < 300


def started(net, lengths=None, speed=None, conn: Any = MATTER):
    coupling = cf.AdditiveCoupling(conn, k=0.1)
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), coupling, lengths=lengths, speed=speed)
    return net.init(cf.nodes.LinearState(jnp.array([1.0, -0.5, 2.0])), params), params


def test_a_lag_outside_the_bounds_of_its_edge_is_named_with_them():
    lengths = np.where(MATTER != 0, TRACTS, 20.0)
    net = between(cf.lag_bounds(TRACTS, (4.0, 6.0), 1.0, weights=MATTER))
    with refuses(r"The lag at \(0, 1\) is 10 steps, and its bounds are 3 and 6"):
        started(net, lengths, 2.0)
    with refuses(r"or its `weights` were 0 .* The lag at \(0, 0\) is 4 steps, .* are 20 and 21"):
        started(net, lengths, 5.0, conn=MATTER + np.eye(3))
    with refuses(r"`speed` must have shape \(\), not \(3,\).* divide `lengths`"):
        started(net, lengths, np.array([4.0, 5.0, 6.0]))  # forgot the vmap over speeds


def test_lags_put_in_by_tree_at_are_held_to_the_bounds():
    lengths = np.array([[9.0, 20.0, 30.0], [40.0, 9.0, 9.0], [9.0, 80.0, 9.0]])
    bounds = cf.lag_bounds(lengths, (2.0, 4.0), 1.0)
    net = cf.Network(cf.nodes.linear, 1.0, lags=cf.lags(lengths, 3.0, 1.0), lag_bounds=bounds)
    fixed = cf.Network(cf.nodes.linear, 1.0, lags=cf.lags(lengths, 3.0, 1.0))

    def put_in(net, speed):
        return eqx.tree_at(lambda n: n.lags["coupling"], net, cf.lags(lengths, speed, 1.0))

    state, params = started(put_in(net, 2.5))
    wanted = cf.simulate(put_in(fixed, 3.0), *started(fixed), 30, record="x")[1]
    assert jnp.array_equal(cf.simulate(put_in(net, 3.0), state, params, 30, record="x")[1], wanted)
    for slow in (put_in(net, 1.0), put_in(fixed, 1.0)):
        with refuses("leaves the network's bounds"):
            started(slow)
    with refuses("leaves the network's bounds"):  # the state is that of the network before
        cf.simulate(put_in(fixed, 1.0), *started(fixed), 30)


def test_bounds_per_subject_do_not_pass_for_those_of_stored_edges():
    sparse = cf.to_sparse(MATTER)
    of_edges = cf.edge_values(sparse, np.where(MATTER != 0, TRACTS, 0))
    net = between(cf.lag_bounds(np.stack([of_edges, of_edges]), (4.0, 6.0), 1.0))
    with refuses(r"`lengths` .* shape \(4,\), and `lag_bounds` .* of shape \(2, 4\)"):
        started(net, of_edges, 5.0, conn=sparse)


@pytest.mark.parametrize("conn", [MATTER, jnp.asarray(MATTER)], ids=["NumPy", "JAX"])
def test_lengths_that_do_not_matter_are_known_inside_jit(conn):
    """Where a map of k x speed builds `Params` in its function, weights and lengths are constants."""
    net = between(cf.lag_bounds(TRACTS, (4.0, 6.0), 1.0, weights=MATTER))
    known = started(net, np.where(MATTER != 0, TRACTS, 20.0), 5.0)[0]

    def start(speed):
        cf.Connectome(conn, TRACTS)
        lags = cf.lags(TRACTS, 5.0, 1.0, weights=conn)
        return lags, started(net, TRACTS, speed, conn=conn)[0]

    lags, state = jax.jit(start)(5.0)
    assert lags.tolist() == cf.lags(TRACTS, 5.0, 1.0, weights=MATTER).tolist()
    jax.tree.map(np.testing.assert_array_equal, state, known)
    loops = conn + np.diag([1.0, 0, 0])
    with refuses(r"`lengths` must be ≥ 0; at \(0, 0\) it is -1"):
        jax.jit(lambda speed: started(net, TRACTS, speed, conn=loops)[0])(5.0)


def test_lengths_that_do_not_matter_may_come_with_traced_weights():
    """Such as a fit of weights, or a cohort of weights: a run finds lengths of edges that are there."""
    net = between(cf.lag_bounds(TRACTS, (4.0, 6.0), 1.0, weights=MATTER))

    @eqx.filter_jit
    def run(conn):
        state, params = started(net, TRACTS, 5.0, conn=conn)
        return cf.simulate(net, state, params, 30, record="x")[1]

    state, params = started(net, np.where(MATTER != 0, TRACTS, 20.0), 5.0)
    wanted = cf.simulate(net, state, params, 30, record="x")[1]
    assert_close(run(jnp.asarray(MATTER)), np.asarray(wanted), ulps=16)
    with pytest.raises(Exception, match="leaves the network's bounds"):
        run(jnp.asarray(MATTER + np.eye(3)))
