"""Objectives: their formulas in plain loops, and finite gradients where formulas have none."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses

import coupling_fn as cf
from coupling_fn.observe._fc_objectives import require_fc

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(2, 60, 4)).cumsum(1)
FC_X, FC_Y = np.corrcoef(X.T), np.corrcoef(Y.T)
SPECTRUM = np.abs(rng.normal(size=(11, 4)))
FCD = np.corrcoef(rng.normal(size=(6, 9)))  # with more windows than the other
FCD_VALUES = FCD[np.triu_indices(6, 1)]
# Some values lie beyond its edges, and a bin in the middle is empty.
HISTOGRAM = cf.observe.Histogram(np.array([2, 5, 0, 1.0]), np.array([-0.4, -0.1, 0.1, 0.2, 0.6]))

OBJECTIVES = {
    "fc_correlation_distance": lambda x: cf.observe.fc_correlation_distance(_fc(x), FC_Y),
    "fc_frobenius": lambda x: cf.observe.fc_frobenius(_fc(x), FC_Y),
    "fcd_wasserstein": lambda x: cf.observe.fcd_wasserstein(_fc(x), FCD),
    "wasserstein to values": lambda x: cf.observe.fcd_wasserstein(_fc(x), FCD_VALUES),
    "wasserstein to a histogram": lambda x: cf.observe.fcd_wasserstein(_fc(x), HISTOGRAM),
    "lagged_covariance_distance": lambda x: cf.observe.lagged_covariance_distance(
        x, FC_Y, dt=2.0, lag=6.0
    ),
    "power_spectrum_distance": lambda x: cf.observe.power_spectrum_distance(
        x, SPECTRUM, dt=2.0, window=40.0
    ),
    "phase_locking_distance": lambda x: cf.observe.phase_locking_distance(x, np.abs(FC_Y)),
}


def _fc(x):
    return cf.observe.functional_connectivity(x)


def wasserstein(a, b):
    """Integrate over a fine grid of quantiles that steps where both distributions do."""
    a, b = (np.sort(m[np.triu_indices(len(m), 1)]) for m in (a, b))
    n = len(a) * len(b)
    return np.mean([abs(a[q // len(b)] - b[q // len(a)]) for q in range(n)])


def wasserstein_to_histogram():
    """Integrate the distance of the two distribution functions over a fine grid of values."""
    values = np.sort(FC_X[ABOVE])
    x = np.linspace(-1.2, 1.2, 2_000_001)
    own = np.searchsorted(values, x, side="right") / len(values)
    target = np.interp(x, HISTOGRAM.edges, np.cumsum([0, *HISTOGRAM.counts]) / 8)
    return np.abs(own - target)[:-1].sum() * (x[1] - x[0])


def lagged():
    x, steps = X - X.mean(0), 3
    c = np.zeros((4, 4))
    for i, j in np.ndindex(4, 4):
        c[i, j] = np.mean([x[t + steps, i] * x[t, j] for t in range(len(x) - steps)])
    return np.sqrt(((c - FC_Y) ** 2).sum() / (FC_Y**2).sum())


def spread():
    power = np.asarray(cf.observe.power_spectrum(X, 2.0, 40.0)[1])
    return np.mean(
        [
            0.5 * np.abs(p / p.sum() - s / s.sum()).sum()
            for p, s in zip(power.T, SPECTRUM.T, strict=True)
        ]
    )


def locking():
    off = [
        abs(np.exp(1j * (X[:, i] - X[:, j])).mean()) - abs(FC_Y[i, j])
        for i in range(4)
        for j in range(i)
    ]
    return np.sqrt(np.mean(np.square(off)))


ABOVE = np.triu_indices(4, 1)
FORMULAS = {
    "fc_correlation_distance": lambda: 1 - np.corrcoef(FC_X[ABOVE], FC_Y[ABOVE])[0, 1],
    "fc_frobenius": lambda: np.sqrt(((FC_X - FC_Y) ** 2).sum()),
    "fcd_wasserstein": lambda: wasserstein(FC_X, FCD),
    "wasserstein to values": lambda: wasserstein(FC_X, FCD),
    "wasserstein to a histogram": wasserstein_to_histogram,
    "lagged_covariance_distance": lagged,
    "power_spectrum_distance": spread,
    "phase_locking_distance": locking,
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("transform", ["eager", "jit of vmap"])
def test_objective_is_its_formula(name, transform):
    got = TRANSFORMS[transform](OBJECTIVES[name])(jnp.asarray(X))
    # The formula of a histogram is an integral over a grid of 1e-6.
    ulps = 1e10 if name == "wasserstein to a histogram" else 1e4
    assert_close(got, np.asarray(FORMULAS[name]()), ulps=ulps)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_and_right_in_both_modes(name):
    f = jax.jit(OBJECTIVES[name])
    x, along = jnp.asarray(X), jnp.asarray(rng.normal(size=X.shape))
    slope = jax.jit(jax.grad(f))
    numerically = (f(x + 1e-6 * along) - f(x - 1e-6 * along)) / 2e-6
    assert float((slope(x) * along).sum()) == pytest.approx(float(numerically), rel=1e-4)
    forward = jax.jvp(f, (x,), (along,))[1]
    assert float(forward) == pytest.approx(float(numerically), rel=1e-4)
    still = x.at[:, 1].set(0.3)  # a region that does not vary
    tied = x.at[:, 2].set(x[:, 3])
    for special in (still, tied, jnp.zeros_like(x)):
        assert jnp.isfinite(slope(special)).all() and jnp.isfinite(f(special))
    single = OBJECTIVES[name](x.astype("float32")) if "fc" not in name else None
    assert single is None or single.dtype == jnp.float32


MATCHES = {
    "fc_correlation_distance": (cf.observe.fc_correlation_distance, FC_X, FC_X),
    "fc_frobenius": (cf.observe.fc_frobenius, FC_X, FC_X),
    "fcd_wasserstein": (cf.observe.fcd_wasserstein, FC_X, FC_X),
    "lagged_covariance_distance": (
        partial(cf.observe.lagged_covariance_distance, dt=2.0, lag=6.0),
        X,
        cf.observe.lagged_covariance(X, 2.0, 6.0),
    ),
    "power_spectrum_distance": (
        partial(cf.observe.power_spectrum_distance, dt=2.0, window=40.0),
        X,
        cf.observe.power_spectrum(X, 2.0, 40.0)[1],
    ),
    "phase_locking_distance": (
        cf.observe.phase_locking_distance,
        X,
        cf.observe.phase_locking_value(X),
    ),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", MATCHES)
def test_an_exact_match_is_at_0_with_a_finite_gradient(name):
    f, x, target = MATCHES[name]
    value, slope = jax.value_and_grad(f)(jnp.asarray(x), jnp.asarray(target))
    assert abs(float(value)) < 1e-12
    assert jnp.isfinite(slope).all()
    assert float(f(jnp.asarray(x), jnp.asarray(target) + 0.1 * np.eye(*target.shape))) >= 0


def test_wasserstein_moves_with_a_shift_and_counts_ties():
    fcd = jnp.asarray(FCD)
    assert float(cf.observe.fcd_wasserstein(fcd, fcd - 0.25)) == pytest.approx(0.25)
    flat = jnp.full((4, 4), 0.5)
    slope = jax.grad(cf.observe.fcd_wasserstein)(flat, flat - 0.1)
    assert float(slope.sum()) == pytest.approx(1.0)  # all six values, one sixth each


def test_wasserstein_from_fine_bins_is_that_from_values():
    fine = cf.observe.Histogram(*np.histogram(FCD_VALUES, bins=4000, range=(-1, 1)))
    exact = cf.observe.fcd_wasserstein(FC_X, FCD_VALUES)
    assert float(cf.observe.fcd_wasserstein(FC_X, fine)) == pytest.approx(float(exact), abs=5e-4)
    assert float(cf.observe.fcd_wasserstein(FC_X, FCD)) == float(exact)
    single = cf.observe.fcd_wasserstein(jnp.asarray(FC_X, "float32"), fine)
    assert single.dtype == "float32"
    assert float(single) == pytest.approx(float(exact), abs=5e-4)


def test_a_weighted_sum_is_the_sum():
    parts = {"a": cf.observe.fc_rmse, "b": cf.observe.fc_frobenius}
    total = cf.observe.weighted_objective(parts, {"a": 2.0, "b": 0.5})
    assert_close(
        total(FC_X, FC_Y),
        2 * cf.observe.fc_rmse(FC_X, FC_Y) + cf.observe.fc_frobenius(FC_X, FC_Y) / 2,
    )
    with refuses("no objective 'c'"):
        cf.observe.weighted_objective(parts, {"a": 1.0, "b": 1.0, "c": 1.0})
    with refuses("no weight 'b'"):
        cf.observe.weighted_objective(parts, {"a": 1.0})


def weighted_fc_and_spectrum():
    """Two objectives that read different things of a run, and their targets."""
    total = cf.observe.weighted_objective(
        {
            "fc": cf.observe.fc_rmse,
            "spectrum": partial(cf.observe.power_spectrum_distance, dt=2.0, window=40.0),
        },
        {"fc": 1.0, "spectrum": 0.5},
    )
    return total, {"fc": FC_Y, "spectrum": SPECTRUM}


def test_a_weighted_sum_mixes_objectives_of_different_measurements():
    total, target = weighted_fc_and_spectrum()
    alone = (
        lambda x: cf.observe.fc_rmse(_fc(x), FC_Y),
        lambda x: cf.observe.power_spectrum_distance(x, SPECTRUM, dt=2.0, window=40.0),
    )
    mixed = jax.jit(jax.value_and_grad(lambda x: total({"spectrum": x, "fc": _fc(x)}, target)))
    x = jnp.asarray(X)
    values, slopes = zip(*(jax.value_and_grad(f)(x) for f in alone), strict=True)
    value, slope = mixed(x)
    assert_close(value, np.asarray(values[0] + values[1] / 2))
    assert_close(slope, np.asarray(slopes[0] + slopes[1] / 2), ulps=2**12)
    assert all(np.abs(s).max() > 1e-4 for s in slopes)


def test_what_is_no_mapping_goes_to_every_objective():
    lag = partial(cf.observe.lagged_covariance_distance, dt=2.0, lag=6.0)
    spectrum = partial(cf.observe.power_spectrum_distance, dt=2.0, window=40.0)
    total = cf.observe.weighted_objective(
        {"lag": lag, "spectrum": spectrum}, {"lag": 3.0, "spectrum": 1.0}
    )
    got = total(X, {"lag": FC_Y, "spectrum": SPECTRUM})
    assert_close(got, 3 * lag(X, FC_Y) + spectrum(X, SPECTRUM))
    # The sum is an objective itself, so it can be a part of another one.
    twice = cf.observe.weighted_objective({"all": total}, {"all": 2.0})
    nested = twice(X, {"all": {"lag": FC_Y, "spectrum": SPECTRUM}})
    assert_close(nested, np.asarray(2 * got))


def test_a_mapping_must_have_the_names_of_the_objectives():
    total, target = weighted_fc_and_spectrum()
    with refuses(r"`simulated`, as a mapping, must have one entry .*'spectrum'\]; got \['fc'\]"):
        total({"fc": FC_X}, target)
    with refuses(r"`target`, as a mapping, must .*; got \['fc', 'spectrum', 'fcd'\]"):
        total({"fc": FC_X, "spectrum": X}, target | {"fcd": FCD})


MEASURED = ("fc", "fcd", "signals", "phases")


@pytest.mark.parametrize("name", [*OBJECTIVES, "fc_correlation", "fc_rmse", "fcd_ks"])
def test_objectives_take_what_is_simulated_then_the_target_then_options_by_keyword(name):
    name = "fcd_wasserstein" if name.startswith("wasserstein") else name
    first, target, *options = inspect.signature(getattr(cf.observe, name)).parameters.values()
    assert first.name in MEASURED
    assert target.name == "target"
    assert all(option.kind is option.KEYWORD_ONLY for option in options)


def test_a_target_that_cannot_be_fitted_is_refused():
    assert require_fc("target_fc", FC_X, 4) is not None
    for fc, match in [
        (FC_X[:3], "must be square"),
        (FC_X[:3, :3], r"must be \(4, 4\)"),
        (np.triu(FC_X), "must be symmetric; at"),
        (np.where(np.eye(4) > 0, np.nan, FC_X), "must be finite; at"),
        (np.ones((4, 4)), "the same for all pairs"),
        (np.array([list("abcd")] * 4), "array of numbers"),
    ]:
        with refuses(match, (ValueError, TypeError)):
            require_fc("target_fc", fc, 4)
    with refuses("`target` must have entries other than 0.*got 0 everywhere"):
        cf.observe.lagged_covariance_distance(X, np.zeros((4, 4)), dt=2.0, lag=6.0)
    with refuses("3 regions or more"):
        require_fc("target_fc", np.eye(2))
