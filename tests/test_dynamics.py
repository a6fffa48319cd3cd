"""Spectra, connectivity in time and across subjects: against loops, SciPy, neurolib, closed forms."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.stats
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.test_util import check_grads
from reference_observe.record import signals

import coupling_fn as cf

RECORD = np.load(Path(__file__).parent / "reference_observe" / "record.npz")
RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 4)).cumsum(axis=0)
SUBJECTS = RNG.normal(size=(3, 20, 4)) + np.sin(np.arange(20))[None, :, None]
MEASURES = {
    "spectrum": lambda x: cf.observe.power_spectrum(x, 2.0, 24.0)[1],
    "fcd": lambda x: cf.observe.functional_connectivity_dynamics(x, 2.0, 20.0, 6.0),
    "whole fcd": lambda x: cf.observe.functional_connectivity_dynamics(
        x, 2.0, 20.0, 6.0, entries="whole"
    ),
    "lagged": lambda x: cf.observe.lagged_covariance(x, 2.0, 6.0),
    "coherence": cf.observe.phase_locking_value,
    "isc": lambda x: cf.observe.intersubject_correlation(x.reshape(4, 10, 4)),
    "isfc": lambda x: cf.observe.intersubject_connectivity(x.reshape(4, 10, 4)),
}


def by_hand(name, x):
    x = np.asarray(x, float)
    if name == "spectrum":
        return scipy.signal.welch(x, fs=500.0, nperseg=12, axis=0)[1]
    if name.endswith("fcd"):
        rows = []
        for start in range(0, len(x) - 10 + 1, 3):
            fc = np.corrcoef(x[start : start + 10].T)
            rows.append(fc.ravel() if name == "whole fcd" else fc[np.triu_indices(len(fc), 1)])
        return np.corrcoef(rows)
    regions = range(x.shape[1])
    if name == "lagged":
        mean = x.mean(axis=0)
        times = range(len(x) - 3)
        return np.array(
            [
                [
                    np.mean([(x[t + 3, i] - mean[i]) * (x[t, j] - mean[j]) for t in times])
                    for j in regions
                ]
                for i in regions
            ]
        )
    if name == "coherence":
        return np.array(
            [[abs(np.mean(np.exp(1j * (x[:, i] - x[:, j])))) for j in regions] for i in regions]
        )
    x = x.reshape(4, 10, 4)
    isfc = np.zeros((4, 4, 4))
    for subject in range(4):
        others = np.mean([x[s] for s in range(4) if s != subject], axis=0)
        for i in range(4):
            for j in range(4):
                isfc[subject, i, j] = np.corrcoef(x[subject, :, i], others[:, j])[0, 1]
    return isfc if name == "isfc" else np.diagonal(isfc, axis1=1, axis2=2)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_its_formula(name, transform):
    got, wanted = TRANSFORMS[transform](MEASURES[name])(jnp.asarray(X)), by_hand(name, X)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-13 * max(1, np.abs(wanted).max()))


@pytest.mark.every(2)
@pytest.mark.parametrize("name", MEASURES)
def test_float32_stays_and_is_near_float64(name):
    x = jnp.asarray(X, "float32")
    got, wanted = MEASURES[name](x), by_hand(name, x)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.every(2)
@pytest.mark.parametrize("name", MEASURES)
def test_numpy_integers_are_welcome(name):
    x = (X * 4).astype(int)
    wanted = by_hand(name, x)
    np.testing.assert_allclose(
        MEASURES[name](x), wanted, rtol=0, atol=1e-12 * max(1, np.abs(wanted).max())
    )


@pytest.mark.every(2)
@pytest.mark.parametrize("name", MEASURES)
def test_gradients_are_those_of_differences(name):
    x = jnp.asarray(X)
    check_grads(jax.jit(MEASURES[name]), (x,), order=1, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["fcd", "whole fcd", "lagged", "isc", "isfc"])
def test_a_region_that_does_not_vary_is_0_with_finite_gradients(name):
    x = jnp.asarray(X).at[:, 1].set(0.1)
    assert jnp.isfinite(MEASURES[name](x)).all()
    assert jnp.isfinite(jax.jit(jax.jacrev(MEASURES[name]))(x)).all()
    if name in {"isc", "isfc", "lagged"}:
        assert (MEASURES[name](x)[..., 1] == 0).all()


# --- spectra


SEGMENTS = list(itertools.product([16, 2, 7, 40], [0.5, 0.0, 0.75], ["hann", "boxcar"]))


@pytest.mark.every(5)
@pytest.mark.parametrize(("size", "overlap", "taper"), SEGMENTS)
def test_spectrum_is_scipys(size, overlap, taper):
    got = cf.observe.power_spectrum(X, 0.5, 0.5 * size, overlap=overlap, taper=taper)
    wanted = scipy.signal.welch(
        X, 2000.0, window=taper, nperseg=size, noverlap=int(overlap * size), axis=0
    )
    assert_close(got[0], wanted[0], ulps=4)
    np.testing.assert_allclose(got[1], wanted[1], rtol=0, atol=1e-14)


def test_windows_overlap_by_the_share_and_not_by_what_rounding_makes_of_it():
    x = np.random.default_rng(0).normal(size=(400, 2))
    assert int(0.29 * 100) == 28
    got = cf.observe.power_spectrum(x, 1.0, 100.0, overlap=0.29)[1]
    wanted = scipy.signal.welch(x, 1000.0, nperseg=100, noverlap=29, axis=0)[1]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [20, 21])
def test_power_adds_up_to_the_variance(size):
    x = X[:size]
    frequencies, power = cf.observe.power_spectrum(x, 2.0, 2.0 * size, taper="boxcar")
    assert_close(power.sum(axis=0) * frequencies[1], x.var(axis=0), ulps=64)


@pytest.mark.thorough
def test_a_10_hz_rhythm_peaks_at_10_hz():
    t = np.arange(0, 5000.0, 0.5)  # [ms]
    x = -65 + 1e-3 * np.sin(2 * np.pi * 10 * t / 1000)[:, None]
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-2)):
        frequencies, power = cf.observe.power_spectrum(jnp.asarray(x, dtype), 0.5, 1000.0)
        assert frequencies[power[:, 0].argmax()] == 10
        # In float32 the signal itself is rounded to 4e-6 at -65.
        assert power.sum() == pytest.approx(0.5e-6, rel=tolerance)


def test_a_rhythm_that_leaves_the_window_is_seen_in_the_last_ones():
    """The last window is read, too."""
    x = np.zeros((100, 1))
    x[-1] = 1
    assert cf.observe.power_spectrum(x, 1.0, 20.0, taper="boxcar")[1].sum() > 0


# --- FCD


def test_fcd_and_fc_are_neurolibs():
    """By the option that compares whole matrices, on what neurolib reads: it omits the last window."""
    x = signals()
    assert_close(cf.observe.functional_connectivity(x), RECORD["neurolib fc"], ulps=64)
    fcd = cf.observe.functional_connectivity_dynamics(x, 1.0, 30.0, 5.0, entries="whole")
    wanted = RECORD["neurolib fcd"]
    assert len(fcd) == len(wanted) + 1 == (240 - 30) // 5 + 1
    np.testing.assert_allclose(fcd[:-1, :-1], wanted, rtol=0, atol=1e-12)


def test_fcd_distance_is_neurolibs_and_scipys():
    halves = [
        cf.observe.functional_connectivity_dynamics(half, 1.0, 30.0, 5.0, entries="whole")[:-1, :-1]
        for half in np.split(signals(), 2)
    ]
    got = cf.observe.fcd_ks(*halves)
    assert got == pytest.approx(float(RECORD["neurolib kolmogorov"]), abs=1e-15)
    assert 0 < got < 1


@given(
    a=arrays("float64", (4, 4), elements=st.sampled_from([-0.5, 0.0, 0.1, 0.7])),
    b=arrays("float64", (5, 5), elements=st.sampled_from([-0.5, 0.0, 0.1, 0.9])),
)
def test_fcd_distance_with_ties(a, b):
    above = [x[np.triu_indices(len(x), 1)] for x in (a, b)]
    assert cf.observe.fcd_ks(a, b) == pytest.approx(
        scipy.stats.ks_2samp(*above).statistic, abs=1e-15
    )
    assert cf.observe.fcd_ks(a, b) == cf.observe.fcd_ks(b, a)
    assert cf.observe.fcd_ks(a, a) == 0


def test_fcd_distance_has_gradient_0():
    a, b = RNG.normal(size=(2, 5, 5))
    assert not jax.grad(cf.observe.fcd_ks)(jnp.asarray(a), b).any()


def ks_of_bins(values, counts, edges):
    """The largest distance of the shares in bins up to each edge."""
    own = [np.mean(values < edge) for edge in edges[:-1]] + [np.mean(values <= edges[-1])]
    target = [sum(counts[:n]) / sum(counts) for n in range(len(edges))]
    return max(abs(a - b) for a, b in zip(own, target, strict=True))


VALUES = st.floats(-1, 1, allow_subnormal=False).map(lambda v: round(v, 2))  # some on an edge


@given(
    a=arrays("float64", (4, 4), elements=VALUES),
    published=arrays("float64", 30, elements=VALUES),
    low=st.sampled_from([-1.0, 0.0]),
)
def test_fcd_distance_from_published_values_and_from_their_histogram(a, published, low):
    values = a[np.triu_indices(4, 1)]
    statistic = scipy.stats.ks_2samp(values, published).statistic
    assert cf.observe.fcd_ks(a, published) == pytest.approx(statistic, abs=1e-15)
    counts, edges = np.histogram(np.maximum(published, low), bins=5, range=(low, 1))
    target = cf.observe.Histogram(counts, edges)
    binned = float(cf.observe.fcd_ks(a, target))
    assert binned == pytest.approx(ks_of_bins(values, counts, edges), abs=1e-12)
    density = cf.observe.Histogram(counts / 7, edges)
    assert cf.observe.fcd_ks(a, density) == pytest.approx(binned, abs=1e-12)
    if low == -1:
        assert binned <= statistic + 1e-12
    fine = cf.observe.Histogram(*np.histogram(values, bins=40, range=(-1, 1)))
    assert cf.observe.fcd_ks(a, fine) < 1e-12  # its own


def test_fcd_of_two_states_shows_them():
    together = RNG.normal(size=(100, 1)) * np.array([1, 1, -1, -1.0])
    apart = RNG.normal(size=(100, 1)) * np.array([1, -1, 1, -1.0])
    x = np.concatenate([together, apart, together]) + 0.1 * RNG.normal(size=(300, 4))
    fcd = cf.observe.functional_connectivity_dynamics(x, 1.0, 50.0, 50.0)
    assert (fcd[0, [1, 4, 5]] > 0.9).all()
    assert (fcd[0, [2, 3]] < 0).all()


@pytest.mark.parametrize(("window", "samples"), [(60e3, 83), (61.2e3, 85), (60.12e3, 84)])
def test_a_window_between_samples_is_taken_to_the_nearest_by_name(window, samples):
    """At a TR of 720 ms; halves to even."""
    x, fcd = (
        np.random.default_rng(0).normal(size=(120, 4)),
        cf.observe.functional_connectivity_dynamics,
    )
    got = fcd(x, 720.0, window, 10e3, rounding="nearest")
    exact = fcd(x, 720.0, 720.0 * samples, 720.0 * 14)
    np.testing.assert_array_equal(got, exact)
    with refuses(r'`window` must be a multiple of dt, 720\.0 ms.*Or pass rounding="nearest"'):
        fcd(x, 720.0, window + 1.0, 7200.0)
    with refuses(r'`stride` must be a multiple of dt.*The nearest is 10080\..*rounding="nearest"'):
        fcd(x, 720.0, 720.0 * samples, 10e3)


# --- lagged covariance


def test_lagged_covariance_of_linear_noise_is_its_propagator_times_covariance():
    """C(s) = A^s C for x(n + 1) = A x(n) + noise, and A is not symmetric."""
    a = np.array([[0.6, 0.3, 0.0], [0.0, 0.5, -0.4], [0.2, 0.0, 0.7]])
    noise = np.random.default_rng(5).normal(size=(200_000, 3))
    _, x = jax.lax.scan(lambda x, n: (a @ x + n,) * 2, jnp.zeros(3), jnp.asarray(noise))
    covariance = scipy.linalg.solve_discrete_lyapunov(a, np.eye(3))
    for steps in (0, 1, 3):
        got = cf.observe.lagged_covariance(x, 0.5, 0.5 * steps)
        wanted = np.linalg.matrix_power(a, steps) @ covariance
        np.testing.assert_allclose(got, wanted, rtol=0, atol=0.05)  # of 200 000 samples
        assert steps == 0 or np.abs(got.T - wanted).max() > 0.3


def test_lagged_covariance_at_0_is_the_covariance():
    assert_close(cf.observe.lagged_covariance(X, 1.0, 0.0), np.cov(X.T, bias=True))


# --- phases


def test_coherence_is_blind_to_constant_differences_and_bounded():
    phases = RNG.uniform(-np.pi, np.pi, size=(30, 1)) + np.array([[0.0, 1.0, -2.5]])
    coherence = cf.observe.phase_locking_value(phases)
    assert (coherence <= 1).all()
    assert (jnp.diag(coherence) == 1).all()
    assert_close(coherence, np.ones((3, 3)))


def test_coherence_at_0_has_gradient_0():
    phases = jnp.array([[0.0, 0.0], [0.0, np.pi]])
    slope = jax.jit(jax.jacrev(cf.observe.phase_locking_value))(phases)
    assert jnp.isfinite(slope).all()


# --- across subjects


@pytest.mark.thorough
def test_what_is_shared_is_all_that_is_left():
    shared = np.sin(np.arange(400) / 7)[None, :, None] * np.array([1.0, -1.0, 0.0])
    x = shared + 0.1 * np.random.default_rng(0).normal(size=(5, 400, 3))
    isc = cf.observe.intersubject_correlation(x)
    assert (isc[:, :2] > 0.95).all()
    assert (jnp.abs(isc[:, 2]) < 0.2).all()
    isfc = cf.observe.intersubject_connectivity(x)
    assert (isfc[:, 0, 1] < -0.95).all()
    assert_close(jnp.diagonal(isfc, axis1=1, axis2=2), np.asarray(isc), ulps=64)


# --- what is refused

PROBLEMS = {
    "a window below dt": (
        lambda: cf.observe.power_spectrum(X, 2.0, 1.0),
        r"`window` must be a multiple of dt, 2\.0 ms; 1\.0 is not one\. The nearest is 2\.",
    ),
    "a window of one sample": (
        lambda: cf.observe.power_spectrum(X, 2.0, 2.0),
        r"`window` must span 2 samples or more, of 2\.0 ms each; got 1",
    ),
    "a record shorter than a window": (
        lambda: cf.observe.power_spectrum(X, 2.0, 82.0),
        r"`signals` must be at least one window long, 41 samples of 2\.0 ms; got 40",
    ),
    "windows that do not move": (
        lambda: cf.observe.power_spectrum(X, 2.0, 20.0, overlap=1.0),
        "`overlap` must be 0 or more and below 1; got 1.0",
    ),
    "no such taper": (
        lambda: cf.observe.power_spectrum(X, 2.0, 20.0, taper="hanning"),
        "`taper` must be one of 'hann', 'boxcar', not 'hanning'",
    ),
    "FCD of a record shorter than a window": (
        lambda: cf.observe.functional_connectivity_dynamics(X, 2000.0, 100e3, 2000.0),
        r"`signals` must be at least one window long, 50 samples of 2000\.0 ms; got 40",
    ),
    "a stride that is not a multiple": (
        lambda: cf.observe.functional_connectivity_dynamics(X, 2000.0, 20e3, 3100.0),
        r"`stride` must be a multiple of dt.* The nearest is 4000",
    ),
    "FCD of two regions": (
        lambda: cf.observe.functional_connectivity_dynamics(X[:, :2], 1.0, 10.0, 1.0),
        "`signals` must have 3 regions or more.* got 2",
    ),
    "no such entries": (
        lambda: cf.observe.functional_connectivity_dynamics(X, 1.0, 10.0, 1.0, entries="lower"),
        "`entries` must be one of 'upper', 'whole', not 'lower'",
    ),
    "no such rounding": (
        lambda: cf.observe.functional_connectivity_dynamics(X, 1.0, 10.0, 1.0, rounding="down"),
        "`rounding` must be one of 'exact', 'nearest', not 'down'",
    ),
    "counts and edges as they come": (
        lambda: cf.observe.fcd_ks(np.ones((3, 3)), np.histogram(X[:, 0])),
        r"`target` must be an array or a `Histogram`; got a tuple of 2",
    ),
    "as many edges as bins": (
        lambda: cf.observe.fcd_ks(np.ones((3, 3)), cf.observe.Histogram([1.0, 2.0], [0.0, 1.0])),
        r"one edge more than bins; got shapes \(2,\) and \(2,\)",
    ),
    "edges that go back": (
        lambda: cf.observe.fcd_ks(
            np.ones((3, 3)), cf.observe.Histogram([1.0, 2.0], [0.0, 1.0, 0.5])
        ),
        r"`target\.edges` must increase",
    ),
    "an empty histogram": (
        lambda: cf.observe.fcd_ks(np.ones((3, 3)), cf.observe.Histogram([0.0], [0.0, 1.0])),
        r"`target\.counts` must have a sum above 0",
    ),
    "a negative count": (
        lambda: cf.observe.fcd_ks(
            np.ones((3, 3)), cf.observe.Histogram([2.0, -1.0], [0.0, 0.5, 1.0])
        ),
        r"`target\.counts` must be ≥ 0; at 1 it is -1",
    ),
    "no values": (
        lambda: cf.observe.fcd_ks(np.ones((3, 3)), np.ones(0)),
        "`target` must have values; got none",
    ),
    "an FCD that is not square": (
        lambda: cf.observe.fcd_ks(np.ones((3, 3)), np.ones((3, 2))),
        "`target` must be square",
    ),
    "an FCD of one window": (
        lambda: cf.observe.fcd_ks(np.ones((1, 1)), np.ones((3, 3))),
        "`fcd` must have 2 windows or more; got 1",
    ),
    "a lag as long as the record": (
        lambda: cf.observe.lagged_covariance(X, 2.0, 80.0),
        r"`lag` must be shorter than the record, 40 samples of 2\.0 ms; got 80\.0",
    ),
    "a negative lag": (
        lambda: cf.observe.lagged_covariance(X, 2.0, -2.0),
        "`lag` must be positive",
    ),
    "a lag that is not a multiple": (
        lambda: cf.observe.lagged_covariance(X, 2.0, 3.5),
        r"`lag` must be a multiple of dt.* The nearest is 4",
    ),
    "one series": (lambda: cf.observe.phase_locking_value(np.ones(5)), r"\(time, region\).*\(5,\)"),
    "one subject": (
        lambda: cf.observe.intersubject_correlation(SUBJECTS[:1]),
        r"\(subject, time, region\), with 2 subjects.*\(1, 20, 4\)",
    ),
    "no subjects": (
        lambda: cf.observe.intersubject_connectivity(X),
        r"\(subject, time, region\), with 2 subjects.*\(40, 4\)",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message = PROBLEMS[problem]
    with refuses(message, (ValueError, TypeError)):
        wrong()
