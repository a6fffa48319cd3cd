"""What is done to signals one region at a time: filters, envelopes, bands, trends, global signal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import coupling_fn as cf

RNG = np.random.default_rng(4)
# Around different levels, with a drift, and no two regions alike.
X = RNG.normal(size=(60, 4)).cumsum(axis=0) + np.array([0.0, 3.0, -65.0, 1.0])
BANDS = {"low": (20.0, 80.0), "high": (80.0, 250.0)}  # of a record with dt 2 ms
MEASURES = {
    "bandpass": lambda x: cf.observe.bandpass(x, 2.0, 20.0, 80.0),
    "narrow": lambda x: cf.observe.bandpass(x, 2.0, 20.0, 30.0, order=3, padding=40.0),
    "envelope": cf.observe.amplitude_envelope,
    "detrend": cf.observe.detrend,
    "cubic": lambda x: cf.observe.detrend(x, order=3),
    "zscore": cf.observe.zscore,
    "global": cf.observe.global_signal_regression,
    "bands": lambda x: jnp.stack([*cf.observe.band_power(x, 2.0, 40.0, BANDS).values()]),
    "relative": lambda x: jnp.stack(
        [*cf.observe.band_power(x, 2.0, 40.0, BANDS, relative=True).values()]
    ),
}


def filtered(x, low, high, order, rate=500.0, padlen=None):
    sections = scipy.signal.butter(order, [low, high], "bandpass", fs=rate, output="sos")
    return scipy.signal.sosfiltfilt(sections, x, axis=0, padlen=padlen)


def bands_by_hand(x, relative):
    frequencies, power = scipy.signal.welch(x, fs=500.0, nperseg=20, axis=0)
    spacing = frequencies[1]
    rows = []
    for low, high in BANDS.values():
        rows.append(
            sum(p * spacing for f, p in zip(frequencies, power, strict=True) if low <= f < high)
        )
    return np.array(rows) / (power[1:].sum(axis=0) * spacing if relative else 1)


def residuals(x, columns):
    """Return what least squares leaves of each region."""
    return x - columns @ np.linalg.lstsq(columns, x, rcond=None)[0]


def by_hand(name, x):
    x = np.asarray(x, float)
    time = np.arange(len(x), dtype=float)[:, None]
    return {
        "bandpass": lambda: filtered(x, 20.0, 80.0, 2),
        "narrow": lambda: filtered(x, 20.0, 30.0, 3, padlen=20),
        "envelope": lambda: np.abs(scipy.signal.hilbert(x - x.mean(axis=0), axis=0)),
        "detrend": lambda: scipy.signal.detrend(x, axis=0),
        "cubic": lambda: residuals(x, (time / len(x)) ** np.arange(4)),
        "zscore": lambda: scipy.stats.zscore(x, axis=0),
        "global": lambda: residuals(
            x, np.concatenate([np.ones_like(time), x.mean(axis=1, keepdims=True)], axis=1)
        ),
        "bands": lambda: bands_by_hand(x, relative=False),
        "relative": lambda: bands_by_hand(x, relative=True),
    }[name]()


def near(got, wanted, tolerance):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max()))


@pytest.mark.every(4)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_its_formula(name, transform):
    near(TRANSFORMS[transform](MEASURES[name])(jnp.asarray(X)), by_hand(name, X), 1e-12)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_float32_stays_and_is_near_float64(name):
    x = jnp.asarray(X, "float32")
    got = MEASURES[name](x)
    assert got.dtype == "float32"
    near(got, by_hand(name, x), 2e-5)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_numpy_integers_are_welcome(name):
    x = (X * 4).astype(int)
    near(MEASURES[name](x), by_hand(name, x), 1e-12)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_gradients_are_those_of_differences(name):
    x = jnp.asarray(X)
    check_grads(jax.jit(MEASURES[name]), (x,), order=1, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_a_region_that_does_not_vary_is_0_with_finite_gradients(name):
    x = jnp.asarray(X).at[:, 1].set(-65.3)
    if name != "global":  # which subtracts from it what the others share
        assert (MEASURES[name](x)[..., 1] == 0).all()
    both = jax.jit(lambda x: (jax.jacrev(MEASURES[name])(x), jax.jacfwd(MEASURES[name])(x)))
    assert all(jnp.isfinite(slope).all() for slope in both(x))


# --- band-pass


DESIGNS = [(2, 8.0, 13.0), (1, 0.5, 4.0), (3, 1.0, 200.0), (5, 30.0, 80.0), (4, 100.0, 450.0)]


@pytest.mark.every(3)
@pytest.mark.parametrize(("order", "low", "high"), DESIGNS)
def test_bandpass_is_scipys_for_any_order_and_band(order, low, high):
    """Also where the band is so wide that two poles of a section are real."""
    x = RNG.normal(size=(400, 2)).cumsum(axis=0)
    got = cf.observe.bandpass(x, 1.0, low, high, order=order)
    near(got, filtered(x, low, high, order, rate=1000.0), 1e-10)


@pytest.mark.parametrize("padlen", [0, 1, 59])
def test_bandpass_reflects_as_far_as_asked(padlen):
    got = cf.observe.bandpass(X, 2.0, 20.0, 80.0, padding=2.0 * padlen)
    near(got, filtered(X, 20.0, 80.0, 2, padlen=padlen), 1e-12)


def test_bandpass_of_rhythms_has_half_the_amplitude_at_its_edges_and_no_shift():
    t = np.arange(8000.0)[:, None]  # 8 s, in ms
    frequencies = np.array([[4.0, 8.0, 10.2, 13.0, 26.0]])
    x = 5 + np.cos(2 * np.pi * frequencies * t / 1000)
    got = cf.observe.bandpass(x, 1.0, 8.0, 13.0, order=4)[3000:5000]
    gain = np.array([[0.0, 0.5, 1.0, 0.5, 0.0]])
    np.testing.assert_allclose(got, gain * (x - 5)[3000:5000], rtol=0, atol=2e-3)


@pytest.mark.thorough
def test_bandpass_keeps_its_digits_in_float32_far_below_the_sampling_rate():
    """Delta waves at a dt of 0.1 ms, around -65: coefficients near -2 and 1 in float32 leave none."""
    x = -65 + np.random.default_rng(0).normal(size=(20_000, 2)).cumsum(axis=0) / 100
    x = x.astype("float32")
    wanted = filtered(x.astype(float), 1.0, 4.0, 2, rate=10_000.0)
    got = cf.observe.bandpass(x, 0.1, 1.0, 4.0)
    assert got.dtype == "float32"
    assert np.abs(np.asarray(got) - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_bandpass_is_linear_and_symmetric_in_time():
    """Zero phase: of a record turned round, the result is turned round, away from its ends."""
    t = np.arange(3000)
    x = np.exp(-((t - 1200) ** 2) / 50.0) * np.sin(t / 15)
    both = np.stack([x, x[::-1]], axis=1)
    y = cf.observe.bandpass(both, 1.0, 5.0, 20.0)
    near(y[:, 0], y[::-1, 1], 1e-7)
    assert np.abs(y).max() > 0.1
    twice = cf.observe.bandpass(2 * both + 7.0, 1.0, 5.0, 20.0)
    near(twice, 2 * np.asarray(y), 1e-11)


# --- envelope, trends, scale, global signal, bands


def test_envelope_of_a_carrier_is_what_modulates_it():
    t = 2 * np.pi * np.arange(600) / 600
    modulation = 1 + 0.5 * np.cos(3 * t + 0.4)
    x = -65 + modulation[:, None] * np.cos(50 * t)[:, None]
    assert_close(cf.observe.amplitude_envelope(x)[:, 0], modulation, ulps=2**16)  # of -65 + x


@given(
    order=st.sampled_from([0, 1, 4]),
    coefficients=st.lists(st.floats(-9, 9, allow_subnormal=False), min_size=5, max_size=5),
)
def test_detrend_takes_out_a_polynomial_and_nothing_else(order, coefficients):
    time = np.linspace(-1, 1, len(X))[:, None]
    trend = sum(c * time**n for n, c in enumerate(coefficients[: order + 1]))
    got = cf.observe.detrend(X + trend, order=order)
    near(got, cf.observe.detrend(X, order=order), 1e-12)
    near(cf.observe.detrend(got, order=order), got, 1e-12)


def test_what_global_signal_regression_leaves_has_no_global_signal():
    left = cf.observe.global_signal_regression(X)
    near(cf.observe.global_average(left), np.zeros(len(X)), 1e-12)
    near(jnp.mean(left, axis=0), np.zeros(4), 1e-12)
    opposed = np.stack([X[:, 0], -X[:, 0]], axis=1)  # whose global signal is 0
    near(cf.observe.global_signal_regression(opposed), opposed - opposed.mean(axis=0), 1e-13)


def test_canonical_bands_add_up_to_the_power_between_their_edges():
    x = np.random.default_rng(1).normal(size=(4000, 3))
    power = cf.observe.band_power(x, 2.0, 1000.0)
    assert list(power) == ["delta", "theta", "alpha", "beta", "gamma"]
    frequencies, density = scipy.signal.welch(x, fs=500.0, nperseg=500, axis=0)
    inside = (frequencies >= 1) & (frequencies < 80)
    near(sum(power.values()), density[inside].sum(axis=0), 1e-13)
    # White noise has the same power at each frequency: bands are as strong as they are wide.
    shares = cf.observe.band_power(x, 2.0, 1000.0, relative=True)
    np.testing.assert_allclose(shares["gamma"], 50 / 250, rtol=0.1)


def test_a_rhythm_on_an_edge_belongs_to_the_band_above():
    x = np.sin(2 * np.pi * 8.0 * np.arange(2000) / 1000)[:, None]
    edges = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0)}
    options = dict(dt=1.0, window=1000.0, taper="boxcar", bands=edges)
    power = cf.observe.band_power(x, **options)
    assert float(power["theta"][0]) < 1e-20
    assert float(power["alpha"][0]) == pytest.approx(0.5)


def test_an_edge_that_is_a_frequency_to_rounding_belongs_to_the_band_above():
    x = np.sin(2 * np.pi * 0.030 * 1.1 * np.arange(2000))[:, None]
    assert 33 * (1000 / 1.1) / 1000 < 30  # the frequency of this rhythm, in float64
    power = cf.observe.band_power(x, dt=1.1, window=1100.0, taper="boxcar")
    assert float(power["beta"][0]) < 1e-20
    assert float(power["gamma"][0]) == pytest.approx(0.5)


# --- what is refused

PROBLEMS = {
    "a band beyond half the rate": (
        lambda: cf.observe.bandpass(X, 2.0, 20.0, 250.0),
        r"`high` below half the sampling rate, 250 Hz; got 20\.0 and 250\.0 Hz",
    ),
    "a band the wrong way round": (
        lambda: cf.observe.bandpass(X, 2.0, 80.0, 20.0),
        r"`low` must be below `high`.*got 80\.0 and 20\.0",
    ),
    "a band from 0": (lambda: cf.observe.bandpass(X, 2.0, 0.0, 20.0), "`low` must be positive"),
    "no order": (
        lambda: cf.observe.bandpass(X, 2.0, 20.0, 80.0, order=0),
        "`order` must be 1 or more; got 0",
    ),
    "a record shorter than its reflection": (
        lambda: cf.observe.bandpass(X[:15], 2.0, 20.0, 80.0),
        r"more samples than are reflected at each end, 15; got 15.*`padding`",
    ),
    "a padding between samples": (
        lambda: cf.observe.bandpass(X, 2.0, 20.0, 80.0, padding=3.0),
        r"`padding` must be a multiple of dt, 2\.0 ms",
    ),
    "too few samples for a line": (
        lambda: cf.observe.detrend(X[:2]),
        "more than 2 samples, which a polynomial of order 1 fits exactly; got 2",
    ),
    "one sample": (lambda: cf.observe.zscore(X[:1]), r"2 samples or more; got shape \(1, 4\)"),
    "a band without frequency": (
        lambda: cf.observe.band_power(X, 2.0, 40.0, {"alpha": (8.0, 13.0)}),
        r"`bands\['alpha'\]` must hold a frequency.*multiple of 25 Hz up to 250 Hz; got 8 to 13 Hz",
    ),
    "a band of one edge": (
        lambda: cf.observe.band_power(X, 2.0, 40.0, {"alpha": (8.0,)}),
        r"`bands\['alpha'\]` must be two known numbers",
    ),
    "a band of 0 width": (
        lambda: cf.observe.band_power(X, 2.0, 40.0, {"alpha": (8.0, 8.0)}),
        "lower edge below its upper edge",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message = PROBLEMS[problem]
    with refuses(message):
        wrong()


def test_what_fixes_the_filter_must_be_known():
    with refuses("`low` must be a single number with a known value", TypeError):
        jax.jit(lambda low: cf.observe.bandpass(X, 2.0, low, 80.0))(20.0)
    with refuses("`bands` must be a mapping", TypeError):
        cf.observe.band_power(X, 2.0, 40.0, (8.0, 13.0))


# --- arrival of a response


def arrivals_by_hand(x, dt, onset, fraction):
    found = []
    for column in np.asarray(x, float).T:
        times = dt * np.arange(1, len(column) + 1)
        level = column[times <= onset + 1e-9].mean()
        apart = np.abs(column - level)
        wanted = fraction * apart[times > onset + 1e-9].max()
        for n in range(len(column)):
            if times[n] > onset + 1e-9 and apart[n] >= wanted:
                a, b = apart[n - 1], apart[n]
                share = (wanted - a) / (b - a) if b > a else 0.0
                found.append(max(times[n - 1] + dt * max(share, 0) - onset, 0))
                break
    return np.array(found)


def waves(noise=0.0):
    """Responses of both signs that begin at different times, on a high level, after 10 ms."""
    t = 0.5 * np.arange(1, 201)[:, None] - 10 - np.array([[0.0, 3.3, 20.0]])
    x = np.array([[1.0, -2.0, 0.3]]) * np.clip(t, 0, None) * np.exp(-t / 9)
    return -65 + x + noise * RNG.normal(size=x.shape)


@pytest.mark.parametrize(("onset", "fraction"), [(10.0, 0.5), (9.8, 1.0), (0.5, 0.1), (30.2, 0.2)])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_arrival_is_where_the_response_first_reaches_its_share(onset, fraction, noise):
    x = waves(noise)
    got = cf.observe.arrival_times(x, 0.5, onset, fraction)
    near(got, arrivals_by_hand(x, 0.5, onset, fraction), 1e-10)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_arrivals_are_transformed_stay_in_float32_and_have_gradients(transform):
    def call(x):
        return cf.observe.arrival_times(x, 0.5, 10.0)

    x = jnp.asarray(waves())
    near(TRANSFORMS[transform](call)(x), arrivals_by_hand(x, 0.5, 10.0, 0.5), 1e-10)
    single = call(x.astype("float32"))
    assert single.dtype == "float32"
    near(single, call(x), 1e-4)  # -65 in float32 leaves 4e-6 of a response of 0.3
    check_grads(jax.jit(call), (x,), order=1, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4)


def test_a_region_without_a_response_has_no_arrival_and_no_gradient_of_nan():
    x = jnp.asarray(waves()).at[:, 1].set(-65.0)
    assert np.isnan(cf.observe.arrival_times(x, 0.5, 10.0)).tolist() == [False, True, False]
    slope = jax.grad(lambda x: jnp.nansum(cf.observe.arrival_times(x, 0.5, 10.0)))(x)
    assert jnp.isfinite(slope).all()
    late = cf.observe.arrival_times(jnp.arange(8.0)[:, None] ** 9, 1.0, 2.0, fraction=1.0)
    assert late.tolist() == [6.0]
    # The level before varies by more than the response: the share is there from the onset on.
    early = cf.observe.arrival_times(np.array([[0, 0, 9, 9, 8, 1, 1.0]]).T, 1.0, 4.0, fraction=0.1)
    assert early.tolist() == [0.0]
    blown = cf.observe.arrival_times(x.at[3, 0].set(jnp.nan), 0.5, 10.0)
    assert np.isnan(blown[0]) and blown[2] > 0


def test_an_onset_without_a_level_before_it_or_a_sample_after_it_is_refused():
    for onset in (0.9, 3.0, 99.0):
        with refuses(r"`onset` must leave a sample before and one after it: from 1 to below 3 ms"):
            cf.observe.arrival_times(np.ones((3, 1)), 1.0, onset)
    with refuses("`fraction` must be above 0 and up to 1; got 1.5"):
        cf.observe.arrival_times(np.ones((3, 1)), 1.0, 1.0, 1.5)
