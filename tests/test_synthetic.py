"""Synthetic connectomes: they look like measured ones and repeat by their key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

KEY = jax.random.key(7)


def above(x):
    x = np.asarray(x)
    return x[np.triu_indices(len(x), 1)]


@pytest.mark.every(2)
@pytest.mark.parametrize("n", [2, 3, 5, 84, 400])
@pytest.mark.parametrize("symmetric", [True, False])
def test_it_looks_like_a_connectome(n, symmetric):
    conn = cf.synthetic_connectome(n, KEY, symmetric=symmetric)
    weights, lengths = np.asarray(conn.weights), np.asarray(conn.lengths)
    assert weights.shape == lengths.shape == (n, n)
    assert weights.dtype == lengths.dtype == "float64"
    assert weights.max() == 1
    assert (above(weights) > 0).all()
    assert (weights.diagonal() == 0).all()
    assert (lengths.diagonal() == 0).all()
    assert_close(lengths, lengths.T, ulps=8)
    assert np.allclose(weights, weights.T, rtol=1e-14, atol=0) == symmetric
    assert above(lengths).min() > 10
    assert above(lengths).max() < 230


def test_lengths_stay_in_range_for_many_keys():
    keys = jax.random.split(KEY, 30)
    lengths = jax.vmap(lambda key: cf.synthetic_connectome(60, key).lengths)(keys)
    off = ~np.eye(60, dtype=bool)
    assert np.asarray(lengths)[:, off].min() > 10
    assert 180 < lengths.max(axis=(1, 2)).min() < lengths.max() < 230


def test_weights_follow_the_statistics_of_real_ones():
    conn = cf.synthetic_connectome(200, KEY)
    lengths, log = above(conn.lengths), np.log(above(conn.weights))
    slope, offset = np.polyfit(lengths, log, 1)
    rest = log - slope * lengths - offset
    assert -1 / slope == pytest.approx(30, rel=0.1)  # exponential decay with length [mm]
    assert rest.std() == pytest.approx(2, rel=0.05)  # log-normal around it: no skew, no tails
    assert abs((rest**3).mean() / rest.std() ** 3) < 0.15
    assert abs((rest**4).mean() / rest.std() ** 4 - 3) < 0.3
    assert (log.max() - log.min()) / np.log(10) > 5  # orders of magnitude
    weights = np.sort(np.exp(log))[::-1]
    assert weights[: len(weights) // 10].sum() > 0.75 * weights.sum()  # heavy-tailed


def test_mirror_regions_are_linked_more_strongly_than_their_distance_says():
    conn = cf.synthetic_connectome(200, KEY)
    lengths, log = above(conn.lengths), np.log(above(conn.weights))
    slope, offset = np.polyfit(lengths, log, 1)
    pairs = np.arange(100), np.arange(100) + 100
    more = np.log(conn.weights[pairs]) - slope * np.asarray(conn.lengths[pairs]) - offset
    assert more.mean() == pytest.approx(2, abs=0.6)


def test_hemispheres_lie_apart_and_mirror_each_other():
    lengths = np.asarray(cf.synthetic_connectome(100, KEY).lengths)
    left, right, across = lengths[:50, :50], lengths[50:, 50:], lengths[:50, 50:]
    assert across.mean() > 1.2 * above(left).mean()  # on one side it would be 1.0
    assert np.corrcoef(above(left), above(right))[0, 1] > 0.9


def test_directions_differ_on_request_by_a_factor_not_more():
    weights = np.asarray(cf.synthetic_connectome(100, KEY, symmetric=False).weights)
    ratio = above(np.log(weights + np.eye(100)) - np.log(weights.T + np.eye(100)))
    assert ratio.std() == pytest.approx(0.5 * np.sqrt(2), rel=0.1)


def test_labels():
    assert cf.synthetic_connectome(2, KEY).labels == ("L.R01", "R.R01")
    labels = cf.synthetic_connectome(201, KEY).labels
    assert labels[0] == "L.R001"
    assert labels[100] == "R.R001"
    assert labels[200] == "M.R001"
    assert len(set(labels)) == 201


def test_the_key_decides():
    conn, again = cf.synthetic_connectome(5, KEY), cf.synthetic_connectome(5, KEY)
    other = cf.synthetic_connectome(5, jax.random.key(8))
    assert (conn.weights == again.weights).all()
    assert (conn.weights != other.weights).any()
    assert (conn.lengths != other.lengths).any()


def test_keys_make_an_ensemble_under_vmap():
    keys = jax.random.split(KEY, 3)
    many = jax.vmap(lambda key: cf.synthetic_connectome(5, key))(keys)
    one = cf.synthetic_connectome(5, keys[1])
    assert many.weights.shape == (3, 5, 5)
    np.testing.assert_allclose(many.weights[1], one.weights, rtol=1e-12)


@pytest.fixture
def without_x64():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("without_x64")
def test_floats_are_of_the_precision_jax_is_set_to():
    conn = cf.synthetic_connectome(5, jax.random.key(7))
    assert conn.weights.dtype == conn.lengths.dtype == jnp.float32
    assert (conn.weights == conn.weights.T).all()


@pytest.mark.parametrize("n", [0, 1, -3])
def test_too_few_regions(n):
    with refuses("`regions` must be"):
        cf.synthetic_connectome(n, KEY)


def test_a_number_of_regions_is_whole():
    with refuses("`regions` must be a whole number, not 5.0", TypeError):
        cf.synthetic_connectome(5.0, KEY)


def test_lengths_are_distances_between_the_centres_with_a_bend():
    conn = cf.synthetic_connectome(9, KEY)
    places = np.asarray(conn.centres)
    for i in range(9):
        for j in range(i):
            distance = np.sqrt(((places[i] - places[j]) ** 2).sum())
            assert 1.05 * distance <= conn.lengths[i, j] - 10 <= 1.25 * distance
    assert (places[:4, 0] < 0).all() and (places[4:8, 0] > 0).all() and places[8, 0] == 0
