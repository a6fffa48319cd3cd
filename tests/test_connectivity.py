"""Which regions go together, by envelopes, spectra, phases and partial correlations: against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from helpers import TRANSFORMS, assert_close, refuses
from jax.test_util import check_grads

import coupling_fn as cf

RNG = np.random.default_rng(8)
SHARED = RNG.normal(size=(64, 1))
X = RNG.normal(size=(64, 4)) + SHARED * np.array([[1.0, 0.5, 0.0, -0.7]]) + [0.0, -65.0, 3.0, 1.0]
REGIONS = range(4)


def envelopes(envelope, leakage="pairwise"):
    return lambda x: cf.observe.envelope_correlation(x, envelope=envelope, leakage=leakage)


MEASURES = {
    "log power": envelopes("log power"),
    "power": envelopes("power"),
    "amplitude": envelopes("amplitude"),
    "kept": envelopes("log power", "keep"),
    "kept amplitude": envelopes("amplitude", "keep"),
    "coherence": lambda x: cf.observe.coherence(x, 2.0, 32.0)[1],
    "band": lambda x: cf.observe.coherence(x, 2.0, 32.0, band=(50.0, 130.0))[1],
    "imaginary": lambda x: cf.observe.imaginary_coherence(x, 2.0, 32.0)[1],
    "wpli": cf.observe.weighted_phase_lag_index,
    "plv": lambda x: cf.observe.phase_locking_value(cf.observe.instantaneous_phase(x)),
    "partial": cf.observe.partial_correlation,
    "partial 0": lambda x: cf.observe.partial_correlation(x, shrinkage=0.0),
    "partial 0.3": lambda x: cf.observe.partial_correlation(x, shrinkage=0.3),
    "ledoit_wolf": cf.observe.ledoit_wolf_shrinkage,
}


def analytic(x):
    return scipy.signal.hilbert(x - x.mean(axis=0), axis=0)


def scaled(square, name):
    return {
        "log power": lambda: np.log(square),
        "power": lambda: square,
        "amplitude": lambda: np.sqrt(square),
    }[name]()


def orthogonalised(x, name):
    """The definition of Hipp et al., pair by pair and in both directions."""
    z, fc = analytic(x), np.eye(4)
    for i in REGIONS:
        for j in REGIONS:
            if i == j:
                continue
            both = []
            for a, b in ((i, j), (j, i)):
                apart = np.array(
                    [
                        (v * u.conjugate() / abs(u)).imag
                        for u, v in zip(z[:, a], z[:, b], strict=True)
                    ]
                )
                own = scaled(np.abs(z[:, a]) ** 2, name)
                both.append(np.corrcoef(own, scaled(apart**2, name))[0, 1])
            fc[i, j] = np.mean(both)
    return fc


def cross_spectra(x):
    """Mean over windows of 16 samples that half overlap, with SciPy's Hann window."""
    taper = scipy.signal.get_window("hann", 16)
    total = np.zeros((9, 4, 4), complex)
    for start in range(0, len(x) - 16 + 1, 8):
        part = x[start : start + 16]
        f = np.fft.rfft((part - part.mean(axis=0)) * taper[:, None], axis=0)
        for i in REGIONS:
            for j in REGIONS:
                total[:, i, j] += f[:, i] * f[:, j].conjugate()
    power = np.stack([total[:, i, i].real for i in REGIONS], axis=1)
    return total / np.sqrt(power[:, :, None] * power[:, None, :])


def wpli(x):
    z, found = analytic(x), np.zeros((4, 4))
    for i in REGIONS:
        for j in REGIONS:
            lagged = (z[:, i] * z[:, j].conj()).imag
            found[i, j] = 0 if i == j else abs(lagged.mean()) / np.abs(lagged).mean()
    return found


def ledoit_wolf(x):
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    c = z.T @ z / len(z)
    spread = np.mean([((np.outer(row, row) - c) ** 2).sum() for row in z]) / len(z)
    return min(1, spread / ((c - np.eye(4)) ** 2).sum())


def partial(x, share):
    """From residuals where nothing is shrunk, and from cofactors where something is."""
    found = np.eye(4)
    c = (1 - share) * np.corrcoef(x.T) + share * np.eye(4)
    for i in REGIONS:
        for j in REGIONS:
            if i == j:
                continue
            if share == 0:
                rest = np.stack(
                    [np.ones(len(x)), *(x[:, k] for k in REGIONS if k not in (i, j))], 1
                )
                left = [
                    x[:, k] - rest @ np.linalg.lstsq(rest, x[:, k], rcond=None)[0] for k in (i, j)
                ]
                found[i, j] = np.corrcoef(*left)[0, 1]
            else:
                minor = lambda a, b: (
                    np.linalg.det(np.delete(np.delete(c, a, 0), b, 1)) * (-1) ** (a + b)
                )
                found[i, j] = -minor(i, j) / np.sqrt(minor(i, i) * minor(j, j))
    return found


def by_hand(name, x):
    x = np.asarray(x, float)
    phases = np.angle(analytic(x))
    kept = {"kept": "log power", "kept amplitude": "amplitude"}
    if name in kept:
        return np.corrcoef(scaled(np.abs(analytic(x)) ** 2, kept[name]).T)
    if name in ("log power", "power", "amplitude"):
        return orthogonalised(x, name)
    return {
        "coherence": lambda: np.abs(cross_spectra(x)) ** 2,
        "band": lambda: np.abs(cross_spectra(x)[2:5]) ** 2,  # 62.5, 93.75 and 125 Hz
        "imaginary": lambda: cross_spectra(x).imag,
        "wpli": lambda: wpli(x),
        "plv": lambda: np.abs(np.exp(1j * (phases[:, :, None] - phases[:, None, :])).mean(axis=0)),
        "partial": lambda: partial(x, ledoit_wolf(x)),
        "partial 0": lambda: partial(x, 0),
        "partial 0.3": lambda: partial(x, 0.3),
        "ledoit_wolf": lambda: ledoit_wolf(x),
    }[name]()


@pytest.mark.every(4)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_its_formula(name, transform):
    got = TRANSFORMS[transform](MEASURES[name])(jnp.asarray(X))
    np.testing.assert_allclose(got, by_hand(name, X), rtol=0, atol=1e-11)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_float32_stays_and_is_near_float64(name):
    x = jnp.asarray(X, "float32")
    got = MEASURES[name](x)
    assert got.dtype == "float32"
    # A logarithm of what is near 0 has a large error, as have phases.
    tolerance = 1e-3 if name == "log power" else 1e-4
    np.testing.assert_allclose(got, by_hand(name, x), rtol=0, atol=tolerance)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_numpy_integers_are_welcome(name):
    x = (X * 4).astype(int)
    np.testing.assert_allclose(MEASURES[name](x), by_hand(name, x), rtol=0, atol=1e-11)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", MEASURES)
def test_gradients_are_those_of_differences(name):
    # A logarithm of what is near 0 bends within the usual step.
    options = dict(order=1, modes=("fwd", "rev"), rtol=1e-3, atol=1e-3, eps=1e-7)
    check_grads(jax.jit(MEASURES[name]), (jnp.asarray(X[:40]),), **options)


SYMMETRIC = [name for name in MEASURES if name != "ledoit_wolf"]


@pytest.mark.every(3)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_a_region_that_does_not_vary_goes_with_none_and_has_finite_gradients(name):
    x = jnp.asarray(X).at[:, 1].set(-65.3)
    apart = np.asarray(MEASURES[name](x))[..., 1, [0, 2, 3]]
    if name == "plv":  # its phase is 0 always
        assert np.isfinite(apart).all()
    else:
        assert (apart == 0).all()
    both = jax.jit(lambda x: (jax.jacrev(MEASURES[name])(x), jax.jacfwd(MEASURES[name])(x)))
    assert all(jnp.isfinite(slope).all() for slope in both(x))


@pytest.mark.every(2)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_diagonals_symmetry_and_range(name):
    got = np.asarray(MEASURES[name](X))
    assert (np.abs(got) <= 1).all()
    turned = -got if name == "imaginary" else got
    np.testing.assert_allclose(np.swapaxes(turned, -1, -2), got, rtol=0, atol=1e-15)
    own = np.diagonal(got, axis1=-2, axis2=-1)
    np.testing.assert_allclose(own, 0 if name in ("imaginary", "wpli") else 1, rtol=0, atol=1e-14)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_nan_in_one_region_is_seen(name):
    bad = np.isnan(MEASURES[name](np.where(np.arange(64 * 4).reshape(64, 4) == 5, np.nan, X)))
    assert bad[..., 0, 1].any()


# --- leakage


@pytest.mark.every(2)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["log power", "power", "amplitude", "wpli", "imaginary"])
def test_what_two_regions_only_share_without_lag_is_not_counted(name, dtype):
    """Not even what rounding makes of it."""
    x = jnp.asarray(np.stack([X[:, 0], -2.5 * X[:, 0], X[:, 1], 0.1 * X[:, 0]], axis=1), dtype)
    got = np.asarray(MEASURES[name](x))
    leaked = got[..., [0, 0, 1], [1, 3, 3]]
    if name == "imaginary":
        np.testing.assert_allclose(leaked, 0, rtol=0, atol=64 * np.finfo(dtype).eps)
    else:
        assert (leaked == 0).all()
    assert (got[..., 0, 2] != 0).any()


def test_envelopes_of_independent_carriers_correlate_as_what_modulates_them():
    """Orthogonalised envelopes are noisier than envelopes, so the estimate falls short of 1."""
    rng = np.random.default_rng(2)
    t = np.arange(20_000)
    slow = 1 + 0.9 * np.sin(2 * np.pi * t / 900)
    phases = 2 * np.pi * t[:, None] / 25 + rng.normal(size=(len(t), 3)).cumsum(axis=0) / 20
    x = np.stack([slow, slow, 2 - slow], axis=1) * np.cos(phases)
    fc = cf.observe.envelope_correlation(x, envelope="amplitude")
    assert fc[0, 1] > 0.5
    assert fc[0, 2] < -0.3
    independent = cf.observe.envelope_correlation(np.cos(phases), envelope="amplitude")
    assert np.abs(independent[0, 1:]).max() < 0.2


# --- spectra


@pytest.mark.every(2)
@pytest.mark.parametrize("taper", ["hann", "boxcar"])
@pytest.mark.parametrize("size", [12, 15])
def test_coherence_is_scipys(size, taper):
    """Their overlap is half a window, rounded down."""
    f, c = cf.observe.coherence(X, 2.0, 2.0 * size, taper=taper)
    for i, j in ((0, 1), (2, 3)):
        options = dict(fs=500.0, window=taper, nperseg=size, noverlap=size // 2)
        wanted_f, wanted = scipy.signal.coherence(X[:, i], X[:, j], **options)
        assert_close(f, wanted_f, ulps=8)
        keep = slice(1, None)  # SciPy divides rounding by rounding at 0 Hz, which has no power
        np.testing.assert_allclose(c[keep, i, j], wanted[keep], rtol=0, atol=1e-12)


def test_coherence_is_1_of_one_window_and_of_a_filtered_copy():
    _, c = cf.observe.coherence(X, 1.0, 64.0)
    np.testing.assert_allclose(c[1:], 1, rtol=0, atol=1e-12)
    noise = np.random.default_rng(0).normal(size=(20_000, 2))
    follows = np.stack([noise[:, 0], np.roll(noise[:, 0], 2), noise[:, 1]], axis=1)
    f, c = cf.observe.coherence(follows, 1.0, 500.0)
    assert (c[1:, 0, 1] > 0.98).all()
    assert c[1:, 0, 2].mean() < 0.05  # about one over the number of independent windows
    f, imaginary = cf.observe.imaginary_coherence(follows, 1.0, 500.0)
    # Region 0 leads by 2 ms: by 0.02 of a cycle at 10 Hz.
    at = int(np.argmin(np.abs(np.asarray(f) - 10)))
    assert imaginary[at, 0, 1] == pytest.approx(np.sin(2 * np.pi * 0.02), abs=0.02)


def test_coherence_and_partial_correlation_are_blind_to_units():
    scale = np.array([1e-150, 1.0, 1e150, -3.0])
    sign = np.outer(np.sign(scale), np.sign(scale))
    assert_close(
        cf.observe.coherence(X * scale, 2.0, 32.0)[1], MEASURES["coherence"](X), ulps=2**12
    )
    got = cf.observe.partial_correlation(X * scale)
    assert_close(got, np.asarray(MEASURES["partial"](X)) * sign, ulps=2**12)


# --- partial correlation


def test_shrinkage_goes_to_0_with_samples_and_to_1_without_relations():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(5000, 4))
    related = noise + noise[:, :1]
    shares = [float(cf.observe.ledoit_wolf_shrinkage(related[:n])) for n in (10, 100, 5000)]
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.01
    assert cf.observe.ledoit_wolf_shrinkage(noise) > 0.5
    assert (cf.observe.partial_correlation(noise, shrinkage=1.0) == np.eye(4)).all()


@pytest.mark.thorough
def test_partial_correlation_of_fewer_samples_than_regions_is_finite_with_shrinkage():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(10, 30)))
    value, slope = jax.value_and_grad(lambda x: cf.observe.partial_correlation(x).sum())(x)
    assert jnp.isfinite(value)
    assert jnp.isfinite(slope).all()


# --- what is refused

PROBLEMS = {
    "no such leakage": (
        lambda: cf.observe.envelope_correlation(X, leakage="symmetric"),
        "`leakage` must be one of 'pairwise', 'keep', not 'symmetric'",
    ),
    "no such envelope": (
        lambda: cf.observe.envelope_correlation(X, envelope="log"),
        "`envelope` must be one of 'log power', 'power', 'amplitude', not 'log'",
    ),
    "one sample": (
        lambda: cf.observe.weighted_phase_lag_index(X[:1]),
        r"2 samples or more; got shape \(1, 4\)",
    ),
    "a band without frequency": (
        lambda: cf.observe.coherence(X, 2.0, 32.0, band=(8.0, 13.0)),
        r"`band` must hold a frequency.*multiple of 31\.25 Hz up to 250 Hz; got 8 to 13 Hz",
    ),
    "no such estimate": (
        lambda: cf.observe.partial_correlation(X, shrinkage="oas"),
        "`shrinkage` must be \"ledoit_wolf\" or a number from 0 to 1; got 'oas'",
    ),
    "too much shrinkage": (
        lambda: cf.observe.partial_correlation(X, shrinkage=1.5),
        r"`shrinkage` must be from 0 to 1; got 1\.5",
    ),
    "too few samples": (
        lambda: cf.observe.partial_correlation(X[:4], shrinkage=0.0),
        "more samples than regions.*got 4 samples of 4 regions",
    ),
    "a region twice": (
        lambda: cf.observe.partial_correlation(X[:, [2, 0, 1, 0]], shrinkage=0.0),
        "`signals` of region 1 are determined by those of other regions",
    ),
    "no global signal": (
        lambda: cf.observe.partial_correlation(cf.observe.global_signal_regression(X), shrinkage=0),
        "`signals` of region 0 are determined .*do not subtract a global signal",
    ),
    "a removed name": (
        lambda: cf.observe.phase_coherence,
        "`phase_coherence` is called `phase_locking_value`",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message = PROBLEMS[problem]
    with refuses(message, (ValueError, AttributeError)):
        wrong()
