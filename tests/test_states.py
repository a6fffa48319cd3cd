"""Recurring states, their sequences, avalanches, complexity, ignition: against plain loops."""

import itertools

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.test_util import check_grads

import coupling_fn as cf

RNG = np.random.default_rng(6)
X = RNG.normal(size=(70, 5)).cumsum(axis=0) / 3 + RNG.normal(size=(70, 5))
PHASES = RNG.uniform(-7, 7, size=(40, 5))
LABELS = np.array([0, 0, 2, 2, 2, 0, 1, 1, 0, 0, 0, 2])
KEY = jax.random.key(0)


def leading_by_hand(phases):
    rows = []
    for row in phases:
        _, vectors = np.linalg.eigh(np.cos(row[:, None] - row[None, :]))
        v = vectors[:, -1]
        rows.append(-v if (v > 0).sum() > len(v) / 2 else v)
    return np.array(rows)


def component_of_threshold(row, threshold):
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(row)))
    for i, j in itertools.combinations(range(len(row)), 2):
        apart = abs(np.angle(np.exp(1j * (row[i] - row[j]))))
        if np.exp(-3 * apart) >= threshold:
            graph.add_edge(i, j)
    return max(map(len, networkx.connected_components(graph)))


def integration_by_hand(phases):
    """The exact integral: the graph changes only at the similarity of a pair."""
    found = []
    for row in phases:
        pairs = itertools.combinations(row, 2)
        levels = sorted(
            {0.0, 1.0, *(np.exp(-3 * abs(np.angle(np.exp(1j * (a - b))))) for a, b in pairs)}
        )
        found.append(
            sum(
                (high - low) * component_of_threshold(row, (low + high) / 2)
                for low, high in itertools.pairwise(levels)
            )
            / len(row)
        )
    return np.array(found)


def ignition_by_hand(x, steps, threshold=1.0):
    z = scipy.stats.zscore(x, axis=0)
    integration = integration_by_hand(np.angle(scipy.signal.hilbert(x - x.mean(axis=0), axis=0)))
    rows = []
    for region in range(x.shape[1]):
        reached = [
            integration[t : t + steps].max()
            for t in range(1, len(x) - steps + 1)
            if z[t, region] > threshold >= z[t - 1, region]
        ]
        rows.append((np.mean(reached), np.std(reached), len(reached)) if reached else (0, 0, 0))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def words(bits):
    """LZ76 by its definition: the shortest word that is not in what comes before its last sample."""
    text, at, count = "".join(map(str, bits)), 0, 0
    while at < len(text):
        length = 1
        while at + length <= len(text) and text[at : at + length] in text[: at + length - 1]:
            length += 1
        at, count = at + length, count + 1
    return count


def complexity_by_hand(x, level):
    n = len(x)
    return np.array([words((c > level(c)).astype(int)) * np.log2(n) / n for c in x.T])


def avalanches_by_hand(x, every, threshold, polarity):
    z = scipy.stats.zscore(x, axis=0)
    z = {"both": abs(z), "positive": z, "negative": -z}[polarity]
    bins = []
    for start in range(0, len(x) - every + 1, every):
        times = range(max(start, 1), start + every)
        bins.append(
            sum(z[t, i] > threshold >= z[t - 1, i] for t in times for i in range(x.shape[1]))
        )
    found, current = [], None
    for count in bins:
        if count == 0:
            if current:
                found.append(current)
            current = []
        elif current is not None:
            current.append(count)
    return [sum(run) for run in found], [len(run) for run in found]


MEASURES = {
    "leading": cf.observe.leading_eigenvectors,
    "integration": cf.observe.integration,
    "ignition": lambda x: cf.observe.ignition(x, 2.0, 8.0)[:2],
    "complexity": cf.observe.lempel_ziv_complexity,
    "complexity of the mean": lambda x: cf.observe.lempel_ziv_complexity(x, threshold="mean"),
}


def by_hand(name, x):
    x = np.asarray(x, float)
    return {
        "leading": lambda: leading_by_hand(x),
        "integration": lambda: integration_by_hand(x),
        "ignition": lambda: ignition_by_hand(x, 4)[:2],
        "complexity": lambda: complexity_by_hand(x, np.median),
        "complexity of the mean": lambda: complexity_by_hand(x, np.mean),
    }[name]()


def near(got, wanted, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.every(4)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_its_formula(name, transform):
    near(TRANSFORMS[transform](MEASURES[name])(jnp.asarray(X)), by_hand(name, X), 1e-11)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_float32_stays_and_is_near_float64(name):
    x = jnp.asarray(X, "float32")
    got = MEASURES[name](x)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(got)} == {"float32"}
    near(got, by_hand(name, x), 2e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MEASURES)
def test_numpy_integers_are_welcome(name):
    x = (X * 40).astype(int)
    near(MEASURES[name](x), by_hand(name, x), 1e-11)


@pytest.mark.parametrize("name", ["leading", "integration", "ignition"])
def test_gradients_are_those_of_differences(name):
    """Events have none, so they must not change within the step."""
    x, options = jnp.asarray(X[:30]), dict(order=1, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4)
    check_grads(jax.jit(MEASURES[name]), (x,), eps=1e-7, **options)


# --- LEiDA


def test_leading_eigenvectors_are_of_length_1_and_mostly_negative():
    v = cf.observe.leading_eigenvectors(PHASES)
    assert_close(jnp.linalg.norm(v, axis=1), np.ones(40))
    assert ((v > 0).sum(axis=1) <= 2).all()
    even = cf.observe.leading_eigenvectors(PHASES[:, :4])  # of equally many, the sum is negative
    ties = (even > 0).sum(axis=1) == 2
    assert ties.any()
    assert (even.sum(axis=1)[ties] < 0).all()


def test_equal_eigenvalues_have_an_eigenvector_with_gradient_0_of_its_direction():
    phases = jnp.array([[0.0, np.pi / 2]])
    v = cf.observe.leading_eigenvectors(phases)
    assert_close(jnp.linalg.norm(v), np.asarray(1.0))
    assert jnp.isfinite(jax.jacrev(cf.observe.leading_eigenvectors)(phases)).all()


# --- k-means


def three_clouds(rng, size=0.1):
    centres = np.array([[4.0, 0.0, 1.0], [0.0, 4.0, 0.0], [-4.0, -4.0, 2.0]])
    truth = np.repeat([1, 0, 2], [50, 30, 20])
    order = rng.permutation(100)
    return (centres[truth] + size * rng.normal(size=(100, 3)))[order], truth[order], centres


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_kmeans_finds_clouds_and_names_the_most_frequent_0(distance):
    patterns, truth, _ = three_clouds(np.random.default_rng(1))
    found = cf.observe.kmeans(patterns, 3, key=KEY, distance=distance, restarts=5)
    ranks = np.array([1, 0, 2])  # cloud 1 is the largest, then 0, then 2
    np.testing.assert_array_equal(found.labels, ranks[truth])
    for state, cloud in enumerate((1, 0, 2)):
        members = patterns[truth == cloud]
        if distance == "cosine":
            mean = (members / np.linalg.norm(members, axis=1, keepdims=True)).sum(axis=0)
            assert_close(found.centroids[state], mean / np.linalg.norm(mean))
        else:
            assert_close(found.centroids[state], members.mean(axis=0))
    apart = [
        1 - p @ c / np.linalg.norm(p) if distance == "cosine" else ((p - c) ** 2).sum()
        for p, c in zip(patterns, np.asarray(found.centroids)[found.labels], strict=True)
    ]
    assert_close(found.inertia, np.sum(apart), ulps=2**14)


def test_kmeans_is_a_fixed_point_and_at_the_best_of_all_partitions():
    """Of 9 patterns in 2 states all 255 partitions are tried."""
    patterns = np.random.default_rng(5).normal(size=(9, 2))

    def inertia(members):
        parts = [patterns[members], patterns[~members]]
        return sum(((p - p.mean(axis=0)) ** 2).sum() for p in parts if len(p))

    best = min(
        inertia(np.array([(n >> bit) & 1 for bit in range(9)], bool)) for n in range(1, 2**8)
    )
    found = cf.observe.kmeans(patterns, 2, key=KEY, restarts=30)
    assert float(found.inertia) == pytest.approx(best)
    distances = ((patterns[:, None] - np.asarray(found.centroids)[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), found.labels)
    again = jax.jit(lambda x: cf.observe.kmeans(x, 2, key=KEY, restarts=30))(patterns)
    np.testing.assert_array_equal(again.labels, found.labels)


def test_more_starts_are_never_worse_and_states_without_patterns_do_no_harm():
    patterns = np.random.default_rng(7).normal(size=(60, 3))
    keys = jax.random.split(KEY, 4)
    one = [float(cf.observe.kmeans(patterns, 6, key=k, restarts=1).inertia) for k in keys]
    assert float(cf.observe.kmeans(patterns, 6, key=KEY, restarts=40).inertia) <= min(one) + 1e-9
    same = cf.observe.kmeans(np.ones((5, 2)), 3, key=KEY, restarts=2)
    assert jnp.isfinite(same.centroids).all()
    assert same.inertia == 0
    assert (same.labels == 0).all()


def test_kmeans_far_from_0_keeps_its_digits_in_float32():
    patterns, truth, _ = three_clouds(np.random.default_rng(1))
    far = jnp.asarray(1e-2 * patterns - 65, "float32")
    found = cf.observe.kmeans(far, 3, key=KEY, restarts=5)
    np.testing.assert_array_equal(found.labels, np.array([1, 0, 2])[truth])


def test_kmeans_shows_nan():
    found = cf.observe.kmeans(np.where(np.arange(70)[:, None] == 3, np.nan, X), 2, key=KEY)
    assert jnp.isnan(found.inertia)


# --- sequences


@given(
    labels=arrays("int64", 12, elements=st.integers(0, 2)), transform=st.sampled_from([*TRANSFORMS])
)
def test_sequences_are_counted_as_in_a_loop(labels, transform):
    runs = [(state, len([*run])) for state, run in itertools.groupby(labels)]
    shares, dwell, after = np.zeros(4), np.zeros(4), np.zeros((4, 4))
    for state in range(4):
        shares[state] = np.mean(labels == state)
        own = [720.0 * length for s, length in runs if s == state]
        dwell[state] = np.mean(own) if own else 0
        following = [b for a, b in itertools.pairwise(labels) if a == state]
        for b in following:
            after[b, state] += 1 / len(following)
    call = TRANSFORMS[transform]
    got = call(
        lambda s: (
            cf.observe.fractional_occupancy(s, 4),
            cf.observe.dwell_times(s, 4, 720.0),
            cf.observe.transition_matrix(s, 4),
        )
    )(jnp.asarray(labels))
    assert_close(got, (shares, dwell, after))


def test_a_transition_matrix_predicts_the_occupancy_of_a_chain():
    chain = np.array([[0.9, 0.3, 0.0], [0.1, 0.6, 0.5], [0.0, 0.1, 0.5]])  # columns have sum 1
    rng = np.random.default_rng(0)
    states, drawn = [0], rng.random(40_000)
    for u in drawn:
        states.append(int(np.searchsorted(chain[:, states[-1]].cumsum(), u)))
    got = cf.observe.transition_matrix(np.array(states), 3)
    np.testing.assert_allclose(got, chain, rtol=0, atol=0.02)
    shares = cf.observe.fractional_occupancy(np.array(states), 3)
    np.testing.assert_allclose(got @ shares, shares, rtol=0, atol=1e-3)
    dwell = cf.observe.dwell_times(np.array(states), 3, 2.0)
    np.testing.assert_allclose(dwell, 2.0 / (1 - np.diag(chain)), rtol=0.05)


# --- avalanches


@pytest.mark.every(2)
@pytest.mark.parametrize("polarity", ["both", "positive", "negative"])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_avalanches_are_those_of_a_loop(every, polarity):
    x = np.random.default_rng(every).normal(size=(100, 3))
    x[:2] = x[-2:] = 5.0  # events that the ends of the record cut
    sizes, lengths = avalanches_by_hand(x, every, 1.2, polarity)
    got = cf.observe.avalanches(x, 2.0, 2.0 * every, threshold=1.2, polarity=polarity)
    assert got.number == len(sizes) > 2
    np.testing.assert_array_equal(got.sizes[: got.number], sizes)
    np.testing.assert_array_equal(got.durations[: got.number], 2.0 * every * np.array(lengths))
    assert not got.sizes[got.number :].any()
    assert not got.durations[got.number :].any()


def test_avalanches_inside_jit_and_vmap_and_of_silence():
    find = lambda x: cf.observe.avalanches(x, 2.0, 4.0, threshold=1.0)
    x = jnp.asarray(X, "float32")
    alone = find(x)
    assert alone.sizes.dtype == "float32"
    for transform in ("jit", "jit of vmap"):
        assert_close(TRANSFORMS[transform](find)(x), alone, ulps=0)
    assert find(jnp.ones((30, 3))).number == 0
    assert jnp.isnan(find(x.at[3, 1].set(jnp.nan)).sizes).all()


# --- complexity


@given(bits=st.lists(st.integers(0, 1), min_size=2, max_size=5 * 32))
def test_complexity_counts_words_as_the_definition_does(bits):
    """Of any length, at and beyond the ends of whole words of 32 bits."""
    x = np.array(bits, float)[:, None]
    if x.min() == x.max():
        return
    got = cf.observe.lempel_ziv_complexity(x, threshold="mean")
    assert_close(got, complexity_by_hand(x, np.mean))


def test_complexity_of_the_example_of_its_authors():
    """S. Kaspar, H. Schuster, Phys. Rev. A 36, 842 (1987): 0.001.10.100.1000.101 is 6 words."""
    bits = np.array([int(b) for b in "0001101001000101"])
    assert words(bits) == 6
    got = cf.observe.lempel_ziv_complexity(bits[:, None], threshold="mean")
    assert_close(got[0], np.asarray(6 * np.log2(16) / 16))


def test_complexity_of_noise_is_near_1_and_nan_is_seen():
    noise = np.random.default_rng(0).normal(size=(4000, 2))
    np.testing.assert_allclose(cf.observe.lempel_ziv_complexity(noise), 1, rtol=0.1)
    noise[5, 1] = np.nan
    np.testing.assert_array_equal(
        np.isnan(cf.observe.lempel_ziv_complexity(noise[:50])), [False, True]
    )


# --- integration and ignition


@given(phases=arrays("float64", (3, 4), elements=st.integers(-8, 8).map(lambda n: n * np.pi / 4)))
def test_integration_with_equal_and_opposed_phases(phases):
    got = cf.observe.integration(phases)
    np.testing.assert_allclose(got, integration_by_hand(phases), rtol=0, atol=1e-12)
    assert ((got >= 1 / 4) & (got <= 1 + 1e-12)).all()


def test_integration_is_blind_to_a_turn_of_all_and_to_order():
    got = np.asarray(cf.observe.integration(PHASES))
    turned = cf.observe.integration(PHASES[:, [3, 0, 4, 1, 2]] + 1.3)
    np.testing.assert_allclose(turned, got, rtol=0, atol=1e-12)
    assert_close(cf.observe.integration(PHASES[:, :1]), np.ones(40))


def test_events_are_counted_and_a_region_without_is_0():
    x = X.copy()
    x[:, 2] = 3.0
    got = cf.observe.ignition(x, 2.0, 8.0)
    np.testing.assert_array_equal(got.events, ignition_by_hand(X, 4)[2] * (np.arange(5) != 2))
    assert got.mean[2] == got.spread[2] == 0
    assert (got.mean[jnp.array([0, 1, 3, 4])] > 0).all()
    slopes = jax.jit(jax.grad(lambda x: sum(v.sum() for v in cf.observe.ignition(x, 2.0, 8.0)[:2])))
    assert jnp.isfinite(slopes(jnp.asarray(x))).all()
    assert jnp.isnan(cf.observe.ignition(np.where(x == x[5, 1], np.nan, x), 2.0, 8.0).mean).any()


# --- what is refused

PROBLEMS = {
    "more states than times": (
        lambda: cf.observe.kmeans(X[:3], 4, key=KEY),
        "`states` must be at most the number of times, 3; got 4",
    ),
    "no states": (lambda: cf.observe.kmeans(X, 0, key=KEY), "`states` must be 1 or more; got 0"),
    "no start": (
        lambda: cf.observe.kmeans(X, 2, key=KEY, restarts=0),
        "`restarts` must be 1 or more; got 0",
    ),
    "a pattern of 0 without direction": (
        lambda: cf.observe.kmeans(
            np.where(np.arange(70)[:, None] == 7, 0, X), 2, key=KEY, distance="cosine"
        ),
        "no row of 0 where distance is 'cosine'; row 7 is one",
    ),
    "a label that is no state": (
        lambda: cf.observe.transition_matrix(LABELS, 2),
        "`labels` must be states from 0 to 1; they are from 0 to 2",
    ),
    "labels in a matrix": (
        lambda: cf.observe.fractional_occupancy(LABELS[None], 3),
        r"`labels` must have shape \(time,\)",
    ),
    "labels that are no whole numbers": (
        lambda: cf.observe.fractional_occupancy(LABELS / 2, 3),
        "`labels` must be whole numbers; they are float",
    ),
    "one label": (
        lambda: cf.observe.transition_matrix(LABELS[:1], 3),
        r"with 2 or more; got shape \(1,\)",
    ),
    "a dt of 0": (lambda: cf.observe.dwell_times(LABELS, 3, 0.0), "`dt` must be positive"),
    "a bin between samples": (
        lambda: cf.observe.avalanches(X, 2.0, 3.0),
        r"`bin` must be a multiple of dt, 2\.0 ms; 3\.0 is not one",
    ),
    "two bins": (
        lambda: cf.observe.avalanches(X, 2.0, 50.0),
        "at least three bins long, of 25 samples each; got 70 samples",
    ),
    "a threshold of 0": (
        lambda: cf.observe.avalanches(X, 2.0, 2.0, threshold=0.0),
        "`threshold` must be positive",
    ),
    "no such side": (
        lambda: cf.observe.avalanches(X, 2.0, 2.0, polarity="up"),
        "`polarity` must be one of 'both', 'positive', 'negative', not 'up'",
    ),
    "a window as long as the record": (
        lambda: cf.observe.ignition(X, 2.0, 140.0),
        r"longer than the window, 70 samples of 2\.0 ms; got 70 samples",
    ),
    "no such level": (
        lambda: cf.observe.lempel_ziv_complexity(X, threshold="mode"),
        "`threshold` must be one of 'median', 'mean', not 'mode'",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message = PROBLEMS[problem]
    with refuses(message, (ValueError, TypeError)):
        wrong()
