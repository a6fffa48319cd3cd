"""Transforms: ranges hold, there and back again is the same, gradients are finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import coupling_fn as cf

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
BOUNDS = [(0.0, 1.0), (-1.0, 0.0), (-0.1, 0.3), (2.0, 1e6), (-65.0, -64.0), (1e-6, 1e-3)]


@DTYPES
@given(exponent=st.floats(-6, 6))
def test_positive_goes_there_and_back(dtype, exponent):
    x = jnp.asarray(10.0**exponent, dtype)
    u = cf.transforms.positive().inverse(x)
    assert u.dtype == x.dtype
    # near 0, u = log x, so a rounding of u, |u| <= 14, is a relative error of x
    assert_close(cf.transforms.positive().forward(u), x, ulps=16)


def test_positive_is_the_softplus():
    u = np.asarray([-700.0, -20.0, -1.0, 0.0, 1.0, 30.0])
    assert_close(cf.transforms.positive().forward(jnp.asarray(u)), np.log1p(np.exp(u)), ulps=8)
    assert_close(
        cf.transforms.positive().inverse(jnp.asarray(1e-6)), np.log(np.expm1(1e-6)), ulps=8
    )


@DTYPES
@given(bounds=st.sampled_from(BOUNDS), share=st.floats(1e-3, 1 - 1e-3))
def test_bounded_goes_there_and_back(dtype, bounds, share):
    lower, upper = bounds
    x = jnp.asarray(lower + (upper - lower) * share, dtype)
    k = cf.transforms.bounded(lower, upper)
    # x is known to a rounding of its bounds, and |u| <= 7
    assert_close(k.forward(k.inverse(x)), x, ulps=16, scale=max(abs(lower), abs(upper)))
    assert k.inverse(x).dtype == k.forward(x).dtype == x.dtype


@DTYPES
@pytest.mark.parametrize("bounds", BOUNDS)
def test_ranges_hold_everywhere(dtype, bounds):
    far = np.concatenate([np.linspace(-1e4, 1e4, 1001), np.linspace(-120, 120, 10_001)])
    u = jnp.asarray(far, dtype)
    lower, upper = (np.asarray(b, dtype) for b in bounds)
    x = np.asarray(cf.transforms.bounded(lower, upper).forward(u))
    assert ((lower < x) & (x < upper)).all()
    assert (cf.transforms.positive().forward(u) > 0).all()


def test_a_range_at_its_ends_starts_again():
    for transform in (
        cf.transforms.positive(),
        cf.transforms.bounded(0.0, 1.0),
        cf.transforms.bounded(-0.1, 0.3),
    ):
        for u in (-1e3, 1e3):
            end = transform.forward(jnp.asarray(u, "float32"))
            assert np.isfinite(transform.inverse(end))


@pytest.mark.parametrize(
    "transform",
    [cf.transforms.positive(), cf.transforms.bounded(-1.0, 3.0), cf.transforms.identity()],
)
def test_increasing_with_finite_gradients(transform):
    u = jnp.linspace(-200.0, 200.0, 4001)
    assert (jnp.diff(transform.forward(u)) >= 0).all()
    slope = jax.jit(jax.vmap(jax.grad(transform.forward)))(u)
    assert jnp.isfinite(slope).all()
    assert (slope[jnp.abs(u) < 5] > 0).all()
    check_grads(jax.jit(transform.forward), (jnp.asarray([-2.0, 0.5, 3.0]),), order=1)


def test_bounds_may_be_one_per_element():
    k = cf.transforms.bounded(jnp.asarray([0.0, -1.0]), jnp.asarray([1.0, 5.0]))
    assert_close(k.forward(jnp.zeros(2)), np.asarray([0.5, 2.0]))
    with refuses(match=r"must have shape \(\) or \(3,\), not \(2,\)"):
        k.inverse(jnp.full(3, 0.5))


@DTYPES
def test_bounded_is_the_logistic_sigmoid(dtype):
    u = np.asarray([-3.0, 0.0, 0.5, 4.0], dtype)
    got = cf.transforms.bounded(-1.0, 3.0).forward(jnp.asarray(u))
    assert_close(got, (-1 + 4 / (1 + np.exp(-u))).astype(dtype), ulps=8)


def test_identity_changes_nothing():
    x = jnp.asarray([-1.0, 2.0])
    assert cf.transforms.identity().forward(x) is cf.transforms.identity().inverse(x) is x


@pytest.mark.parametrize("x", [0.0, -1.0, np.inf, np.nan])
def test_positive_refuses(x):
    with refuses(match=f"above 0 and finite; it is {x}"):
        cf.transforms.positive().inverse(jnp.asarray([1.0, x]))


@pytest.mark.parametrize("x", [0.5, 2.0, 2.5, -1.0, np.nan])
def test_bounded_refuses(x):
    with refuses(match=rf"bounded to \(0.5, 2.0\) must lie strictly between; it is {x}"):
        cf.transforms.bounded(0.5, 2).inverse(jnp.asarray(x))


@pytest.mark.parametrize(
    ("bounds", "match"),
    [
        ((1.0, 1.0), "`lower` must be below `upper`; got 1.0 and 1.0"),
        ((2.0, 1.0), "`lower` must be below"),
        ((0.0, np.inf), r"`upper` must be finite.*positive\(\)"),
        ((np.nan, 1.0), "`lower` must be finite"),
        ((np.zeros(2), 1.0), r"`upper` must have shape \(2,\)"),
    ],
)
def test_bounds_that_are_none(bounds, match):
    with refuses(match=match):
        cf.transforms.bounded(*bounds)


W = np.asarray([[0.0, 1.5, 0.0], [0.2, 0.0, 0.7], [0.0, 3.0, 0.0]])
EDGES = W > 0
BOTH = np.asarray([[0.0, 1.5, 0.0], [1.5, 0.5, 0.7], [0.0, 0.7, 0.0]])
MAPS = np.asarray([[-1.0, 0.2, 0.8], [0.5, -1.0, 0.5]])
SHAPED = {  # a transform, a value in its range, the number of unconstrained values
    "masked": (cf.transforms.masked(EDGES, cf.transforms.positive()), W, 4),
    "masked both ways": (
        cf.transforms.masked(BOTH > 0, cf.transforms.positive(), symmetric=True),
        BOTH,
        3,
    ),
    "symmetric": (cf.transforms.symmetric(3), BOTH, 6),
    "low rank": (cf.transforms.low_rank(W, 1), W + np.outer([1.0, -2.0, 0.5], [0.3, 0.1, 2.0]), 6),
    "regional": (
        cf.transforms.regional(MAPS, cf.transforms.positive()),
        np.log1p(np.exp(0.3 - 0.4 * MAPS[0])),
        3,
    ),
}
SHAPES = pytest.mark.parametrize(("transform", "x", "count"), SHAPED.values(), ids=SHAPED)


@pytest.mark.every(2)
@SHAPES
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_shaped_one_goes_there_and_back(transform, x, count, dtype):
    u = transform.inverse(jnp.asarray(x, dtype))
    assert u.size == count and u.dtype == dtype
    assert_close(transform.forward(u), x.astype(dtype), ulps=64)
    again = jax.jit(transform.inverse)(jnp.asarray(x, dtype))
    assert_close(again, u, ulps=256)
    moved = jax.jit(transform.forward)(u + 0.1)  # a fit can start from any value
    assert_close(transform.forward(transform.inverse(moved)), moved, ulps=256)
    check_grads(jax.jit(transform.forward), (u.astype("float64"),), order=1)
    rows = jax.vmap(transform.forward)(jnp.stack([u, u + 0.1]))
    assert_close(rows, jnp.stack([transform.forward(u), moved]), ulps=16)


@pytest.mark.thorough
def test_what_shaped_ones_keep():
    u = jnp.asarray([0.1, -2.0, 0.5, 3.0])
    assert_close(SHAPED["masked"][0].forward(u)[EDGES], np.log1p(np.exp(u)), ulps=8)
    both = SHAPED["masked both ways"][0].forward(u[:3])
    assert (both == both.T).all() and ((both > 0) == (BOTH > 0)).all()
    change = SHAPED["low rank"][0].forward(jnp.arange(6.0)[:, None]) - W
    assert_close(change, np.outer([0, 1, 2], [3, 4, 5.0]), ulps=8)
    raw = cf.transforms.regional(MAPS).forward(jnp.asarray([1.0, 2.0, 0.5]))
    assert_close(raw, 1.0 + 2.0 * MAPS[0] + 0.5 * MAPS[1], ulps=8)
    # The base itself is a start with a slope, though both factors could be 0 there.
    low = cf.transforms.low_rank(W, 2)
    slope = jax.grad(lambda u: jnp.sum((low.forward(u) - W - 1.0) ** 2))(
        low.inverse(jnp.asarray(W))
    )
    assert jnp.abs(slope).max() > 1.0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cf.transforms.masked(np.zeros((2, 2), bool)), "`mask` must have an entry"),
        (
            lambda: cf.transforms.masked(EDGES, symmetric=True).inverse(W),
            r"at \(0, 1\) it is 1.5, not 0.2",
        ),
        (lambda: cf.transforms.masked(np.triu(EDGES), symmetric=True), "`mask` must be symmetric"),
        (lambda: cf.transforms.masked(EDGES).inverse(W + 1.0), r"at \(0, 0\) it is 1.0, not 0.0"),
        (lambda: cf.transforms.masked(EDGES, cf.transforms.positive()).inverse(-W), "above 0"),
        (lambda: cf.transforms.masked(EDGES).inverse(np.ones(3)), r"must have shape \(3, 3\)"),
        (lambda: cf.transforms.symmetric(3).inverse(W), r"at \(0, 1\) it is 1.5, not 0.2"),
        (lambda: cf.transforms.low_rank(W, 0), "`rank` must be from 1"),
        (
            lambda: cf.transforms.low_rank(W, 1).inverse(W + np.eye(3)),
            "a matrix of rank 1; the difference has a higher rank",
        ),
        (lambda: cf.transforms.regional([0.0, np.nan]), "`maps` must be finite"),
        (
            lambda: cf.transforms.regional(MAPS[0]).inverse(np.asarray([1.0, 0.0, 0.0])),
            "it is off by|is off by",
        ),
    ],
)
def test_shaped_ones_refuse(make, match):
    with refuses(match=match):
        make()


def test_a_masked_fit_moves_only_edges():
    target = jnp.asarray(np.where(EDGES, 0.5, 0.0))
    result = cf.fit(
        lambda p: jnp.sum((p["conn"] - target - 0.1) ** 2),
        {"conn": jnp.asarray(W)},
        where=lambda p: p["conn"],
        transform=cf.transforms.masked(EDGES),
        optimizer=optax.sgd(0.4),
        steps=40,
        progress=False,
    )
    assert_close(result.last_params["conn"], np.where(EDGES, 0.6, 0.0), ulps=64)
    assert result.path.shape == (41, 3, 3)
