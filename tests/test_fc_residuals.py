"""Errors of FC: the covariance of its entries, and what the intervals of fits hold."""

import itertools
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses

import coupling_fn as cf
from coupling_fn._fit._derivatives import reads_pairs

RNG = np.random.default_rng(0)
REGIONS = 5
PAIRS = np.triu_indices(REGIONS, 1)


def correlations(regions=REGIONS, seed=1):
    mixed = 0.6 * np.random.default_rng(seed).normal(size=(regions, regions)) + np.eye(regions)
    return np.asarray(_correlated(mixed @ mixed.T))


def _correlated(covariance):
    size = jnp.sqrt(jnp.diagonal(covariance))
    return covariance / size[:, None] / size[None, :]


def by_hand(rho, samples):
    """Pearson and Filon's formula in the form of Steiger's equation 3, by loops over four regions."""
    pairs = list(itertools.combinations(range(len(rho)), 2))
    found = np.zeros((len(pairs), len(pairs)))
    for p, (j, k) in enumerate(pairs):
        for q, (h, m) in enumerate(pairs):
            found[p, q] = 0.5 * (
                (rho[j, h] - rho[j, k] * rho[k, h]) * (rho[k, m] - rho[k, h] * rho[h, m])
                + (rho[j, m] - rho[j, h] * rho[h, m]) * (rho[k, h] - rho[k, j] * rho[j, h])
                + (rho[j, h] - rho[j, m] * rho[m, h]) * (rho[k, m] - rho[k, j] * rho[j, m])
                + (rho[j, m] - rho[j, k] * rho[k, m]) * (rho[k, h] - rho[k, m] * rho[m, h])
            )
    return found / samples


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_covariance_of_correlations_is_its_formula(transform):
    rho = correlations()
    got = TRANSFORMS[transform](lambda fc: cf.observe.correlation_covariance(fc, 30.0))(
        jnp.asarray(rho)
    )
    wanted = by_hand(rho, 30.0)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.diagonal(got), (1 - rho[PAIRS] ** 2) ** 2 / 30, rtol=1e-12)


def drawn(rho, samples, repeats, seed=0, slow=0.0):
    """Draw recordings of these correlations, (repeat, sample, region), each region of an AR(1)."""
    noise = np.random.default_rng(seed).normal(size=(samples, repeats, len(rho)))
    noise = noise @ np.linalg.cholesky(rho).T
    x = np.zeros_like(noise)
    x[0] = noise[0] / np.sqrt(1 - slow**2)
    for t in range(1, samples):
        x[t] = slow * x[t - 1] + noise[t]
    return x.swapaxes(0, 1)


def fcs(recordings):
    return np.stack([np.corrcoef(x.T) for x in recordings])


@pytest.mark.every(2)
@pytest.mark.parametrize("slow", [0.7, 0.0])
def test_it_is_what_repeated_recordings_have(slow):
    """Also of signals that are correlated in time, with Bartlett's number of samples."""
    rho = correlations()
    of_pairs = fcs(drawn(rho, 300, 3000, slow=slow))[:, *PAIRS]
    samples = 300 * (1 - slow**2) / (1 + slow**2)  # 1 / the sum of the squares of slow^|lag|
    wanted = np.asarray(cf.observe.correlation_covariance(rho, samples))
    # An entry of the covariance of 3000 draws has a relative error of 2.6 %; 5 of those.
    size = np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))
    assert np.abs(np.cov(of_pairs.T) / size - wanted / size).max() < 0.13
    assert np.abs(wanted / size - np.eye(10)).max() > 0.4  # far from independent


@pytest.mark.every(3)
@pytest.mark.parametrize("slow", [0.8, 0.0, 0.5, 0.95])
def test_effective_samples_are_bartletts(slow):
    each = [cf.observe.effective_samples(x) for x in drawn(np.eye(6), 2000, 4, slow=slow)]
    np.testing.assert_allclose(np.mean(each), 2000 * (1 - slow**2) / (1 + slow**2), rtol=0.1)
    assert max(each) <= 2000
    turns = np.cos(0.5 * np.arange(2000)[:, None])  # an autocorrelation that comes back
    assert cf.observe.effective_samples(turns + 0.1 * RNG.normal(size=(2000, 4))) < 20


def test_residuals_are_whitened():
    rho = correlations()
    data = fcs(drawn(rho, 400, 2000))
    whitened = jax.vmap(lambda c: cf.observe.fc_residuals(rho, c, 400.0, at=rho))(jnp.asarray(data))
    # 2000 draws: 2.2 % for each entry of the covariance; the formula neglects orders of 1 / 400.
    assert np.abs(np.cov(np.asarray(whitened).T) - np.eye(10)).max() < 0.15
    one = data[0]
    covariance = by_hand(rho, 400.0)
    r = cf.observe.fc_residuals(rho, one, 400.0)
    apart = (rho - one)[PAIRS]
    assert_close((r**2).sum(), apart @ np.linalg.solve(covariance, apart), ulps=2**14)
    # The covariance at `fc` is held constant.
    slope = jax.jacfwd(lambda c: cf.observe.fc_residuals(c, one, 400.0))(jnp.asarray(rho))
    fixed = jax.jacfwd(lambda c: cf.observe.fc_residuals(c, one, 400.0, at=rho))(jnp.asarray(rho))
    assert_close(slope, np.asarray(fixed), ulps=2**12)


def model(params):
    """FC of regions that share one signal, each to its own degree: $C_ij = s_i s_j$ off the diagonal."""
    share = params["share"]
    return jnp.where(np.eye(REGIONS, dtype=bool), 1.0, jnp.outer(share, share))


TRUE = {"share": jnp.asarray([0.9, 0.8, 0.7, 0.85, 0.6])}
SAMPLES = 600
PLAIN = lambda p: (model(p) - p["data"])[PAIRS]
WHITE = lambda p: cf.observe.fc_residuals(model(p), p["data"], p["samples"])
SHARES = lambda p: p["share"]


@eqx.filter_jit
def fitted(residuals, data, samples=SAMPLES * 1.0):
    """Fit the shares by ten steps of Gauss and Newton from the truth."""
    of_share = lambda share: residuals({"share": share, "data": data, "samples": samples})

    def step(share, _):
        slopes = jax.jacfwd(of_share)(share)
        return share - jnp.linalg.lstsq(slopes, of_share(share))[0], None

    return jax.lax.scan(step, TRUE["share"], None, length=10)[0]


def held(residuals, repeats, slow=0.0, **options):
    """Count, per share, how often its 95 % interval holds the true one."""
    count = np.zeros(REGIONS, int)
    for signals in drawn(np.asarray(model(TRUE)), SAMPLES, repeats, seed=5, slow=slow):
        data, samples = fcs([signals])[0], cf.observe.effective_samples(signals)
        params = {"data": jnp.asarray(data), "samples": samples}
        params["share"] = fitted(residuals, data, samples)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "These residuals are entries")
            sure = cf.uncertainty(residuals, params, where=SHARES, **options)
        assert sure.identified.all() and sure.distance < 1e-3
        count += np.asarray((sure.lower <= TRUE["share"]) & (TRUE["share"] <= sure.upper))
    return count


def test_intervals_of_whitened_residuals_hold_what_they_say():
    """Of 100 intervals they hold 95 (below: of 2500; those of plain differences hold 70 of 100)."""
    count = held(WHITE, 20, noise=1.0)
    assert 87 <= count.sum() <= 100  # 3.5 binomial errors
    data = fcs(drawn(np.asarray(model(TRUE)), SAMPLES, 1, seed=5))[0]
    share = fitted(WHITE, data)
    sure = cf.uncertainty(
        WHITE, {"data": data, "samples": 600.0, "share": share}, where=SHARES, noise=1.0
    )
    covariance = by_hand(np.asarray(model({"share": share})), 600.0)
    slopes = np.zeros((10, REGIONS))  # of s_i s_j
    for pair, (i, j) in enumerate(zip(*PAIRS, strict=True)):
        slopes[pair, [i, j]] = share[j], share[i]
    wanted = np.linalg.inv(slopes.T @ np.linalg.solve(covariance, slopes))
    assert_close(sure.covariance, wanted, ulps=2**16)


@pytest.mark.thorough
@pytest.mark.parametrize("slow", [0.0, 0.7])
def test_intervals_hold_95_of_100_of_whitened_residuals_alone(slow):
    repeats = 250
    count = held(WHITE, repeats, slow, noise=1.0)
    plain = held(PLAIN, repeats, slow)
    error = np.sqrt(0.95 * 0.05 / repeats)
    assert np.abs(count / repeats - 0.95).max() < 3.5 * error, count / repeats
    assert (plain / repeats).mean() < 0.8, plain / repeats


@pytest.mark.thorough
def test_a_bootstrap_over_blocks_of_the_recording_has_the_right_errors_too():
    """The spread of fits of plain differences, from one recording and from 300."""
    signals = drawn(np.asarray(model(TRUE)), SAMPLES, 300, seed=6, slow=0.5)
    spread = np.std([fitted(PLAIN, data) for data in fcs(signals)], axis=0)

    def loss(params, signals):
        fc = cf.observe.functional_connectivity(signals)
        return cf.observe.fc_rmse(model(params), fc) ** 2

    at = {"share": fitted(PLAIN, fcs(signals[:1])[0])}
    key = jax.random.key(0)
    found = cf.bootstrap(loss, at, jnp.asarray(signals[0]), key, where=SHARES, block=20)
    # One recording does not know its own spread better; 200 draws add 5 %.
    np.testing.assert_allclose(found.error, spread, rtol=0.35)


def warned(residuals, **options):
    params = {**TRUE, "samples": 600.0, "data": jnp.asarray(model({"share": 0.95 * TRUE["share"]}))}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        sure = cf.uncertainty(residuals, params, where=SHARES, **options)
    of_pairs = any("entries of a matrix such as FC" in message for message in sure.warned)
    assert of_pairs == any("fc_residuals(fc, target, samples)" in str(w.message) for w in seen)
    return of_pairs


DEPENDENT = {
    "entries": PLAIN,
    "of arctanh, in units of their errors": lambda p: (
        (jnp.arctanh(model(p)[PAIRS]) - jnp.arctanh(p["data"][PAIRS])) * jnp.sqrt(600.0)
    ),
    "the whole matrix": lambda p: model(p) - p["data"],
    "the whole matrix in a row": lambda p: (model(p) - p["data"]).ravel(),
    "picked by a mask": lambda p: (model(p) - p["data"])[np.triu(np.ones((5, 5), bool), 1)],
    "below the diagonal": lambda p: (
        jax.jit(lambda c: c[np.tril_indices(5, -1)])(model(p)) - p["data"][PAIRS]
    ),
    "a sum of squares": lambda p: 300.0 * (PLAIN(p) ** 2).sum(),
    "a product with itself": lambda p: 300.0 * PLAIN(p) @ PLAIN(p),
    "the library's rmse": lambda p: 3000.0 * cf.observe.fc_rmse(model(p), p["data"]) ** 2,
}
INDEPENDENT = {
    "whitened": WHITE,
    "whitened at a given FC": lambda p: cf.observe.fc_residuals(
        model(p), p["data"], 600.0, at=p["data"]
    ),
    "of time series": lambda p: jnp.outer(jnp.arange(10.0), p["share"]).ravel() - 1.0,
    "ten residuals": lambda p: jnp.linspace(0.1, 1.0, 50).reshape(10, 5) @ p["share"] - 1.0,
    "some of the entries": lambda p: model(p)[:3].ravel() - p["data"][:3].ravel(),
    "a square that is not symmetric": lambda p: jnp.outer(jnp.arange(5.0), p["share"]) - p["data"],
}


@pytest.mark.every(3)
@pytest.mark.parametrize("name", DEPENDENT)
def test_residuals_that_are_entries_of_fc_warn(name):
    assert warned(DEPENDENT[name])


@pytest.mark.every(4)
@pytest.mark.parametrize("name", INDEPENDENT)
def test_other_residuals_do_not(name):
    assert not warned(INDEPENDENT[name])


def test_a_long_program_is_walked_once():
    """Each step uses the last one twice: without a memory there would be 2^600 ways back."""

    def residuals(params):
        x = params["share"]
        for _ in range(600):
            x = x - 0.001 * x * x
        return jnp.concatenate([x - 0.1, 2 * x - 0.1])

    program = lambda unconstrained: residuals({"share": unconstrained[0]})
    assert not reads_pairs(program, (TRUE["share"],))


SINGULAR = np.corrcoef(RNG.normal(size=(REGIONS, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.observe.correlation_covariance(np.ones((2, 3)), 9.0), "`fc` must be square"),
        (lambda: cf.observe.correlation_covariance(np.ones((1, 1)), 9.0), "2 regions or more"),
        (lambda: cf.observe.correlation_covariance(np.eye(3), 0.0), "`samples` must be positive"),
        (lambda: cf.observe.fc_residuals(np.eye(3), np.eye(4), 9.0), "`target` must have shape"),
        (
            lambda: cf.observe.fc_residuals(np.eye(3), np.eye(3), 9.0, at=np.eye(2)),
            "`at` must have",
        ),
        (
            lambda: cf.observe.fc_residuals(SINGULAR, np.eye(REGIONS), 9.0),
            "must be positive definite; its smallest eigenvalue is .*fewer samples than regions",
        ),
        (lambda: cf.observe.effective_samples(np.ones((50, 1))), "2 regions or more; got 1"),
        (lambda: cf.observe.effective_samples(np.ones((5, 2))), "16 samples or more"),
    ],
)
def test_refused(make, message):
    with refuses(message):
        make()
