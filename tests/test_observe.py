"""Correlations and phases against NumPy, SciPy and analytic results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from helpers import TRANSFORMS, assert_close, few, refuses
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.test_util import check_grads

import coupling_fn as cf

RNG = np.random.default_rng(0)
SIGNALS = RNG.normal(size=(20, 4)).cumsum(axis=0)
TIME = np.linspace(0, 2 * np.pi, 60, endpoint=False)
MEASURES = {
    "fc": cf.observe.functional_connectivity,
    "fc_correlation": lambda x: cf.observe.fc_correlation(x[:4], x[4:8]),
    "fc_rmse": lambda x: cf.observe.fc_rmse(x[:4], x[4:8]),
    "analytic": cf.observe.analytic_signal,
    "phase": cf.observe.instantaneous_phase,
    "order": cf.observe.kuramoto_order_parameter,
    "synchrony": cf.observe.synchrony,
    "chance": cf.observe.chance_synchrony,
    "metastability": cf.observe.metastability,
}


def by_hand(name, x):
    above = np.triu_indices(4, 1)
    order = [abs(sum(np.exp(1j * phase) for phase in row)) / len(row) for row in x]
    return {
        "fc": lambda: np.corrcoef(x.T),
        "fc_correlation": lambda: np.corrcoef(x[:4][above], x[4:8][above])[0, 1],
        "fc_rmse": lambda: np.sqrt(np.mean((x[:4] - x[4:8])[above] ** 2)),
        "analytic": lambda: scipy.signal.hilbert(x, axis=0),
        "phase": lambda: np.angle(scipy.signal.hilbert(x - x.mean(axis=0), axis=0)),
        "order": lambda: np.array(order),
        "synchrony": lambda: np.mean(order),
        "chance": lambda: chance_by_pairs(x),
        "metastability": lambda: np.std(order),
    }[name]()


def chance_by_pairs(phases):
    """The mean of cos(phi_i(s) - phi_j(t)) over pairs of regions and all times s, t of either."""
    regions = phases.shape[1]
    pairs = [[np.cos(a[:, None] - b[None, :]).mean() for b in phases.T] for a in phases.T]
    of_others = np.sum(pairs) - np.trace(pairs)
    own = np.trace(pairs) / regions
    by_themselves = np.pi / 4 * (1 if own > 0.5 else 1 - own) / regions
    return np.sqrt(by_themselves + (0 if own > 0.5 else of_others / regions**2 + own / regions))


def test_chance_is_what_regions_without_coupling_have():
    """Also of a waveform that is no sine; and locked ones are not taken for that."""
    rng = np.random.default_rng(3)
    turned = np.arange(20_000.0)[:, None] * rng.uniform(0.05, 0.3, 40) + rng.uniform(0, 6, 40)
    for phases in (turned, turned + 0.9 * np.cos(turned)):
        level = cf.observe.chance_synchrony(phases)
        assert abs(level / cf.observe.synchrony(phases) - 1) < 0.05
        assert cf.name_regime(cf.observe.synchrony(phases), 40, level) == "uncoupled"
    assert (
        cf.name_regime(cf.observe.synchrony(phases), 40) == "working range"
    )  # of even phases it would be
    locked = np.tile(rng.normal(0, 1, 40), (50, 1))
    even = np.sqrt(np.pi / 40) / 2
    np.testing.assert_allclose(cf.observe.chance_synchrony(locked), even, rtol=1e-12)


@pytest.mark.parametrize("transform", few(TRANSFORMS))
@pytest.mark.parametrize("name", MEASURES)
def test_measure_is_its_formula(name, transform):
    got = TRANSFORMS[transform](MEASURES[name])(jnp.asarray(SIGNALS))
    np.testing.assert_allclose(got, by_hand(name, SIGNALS), rtol=0, atol=1e-13)


@pytest.mark.parametrize("samples", [1, 2, 3, 8, 9])
def test_analytic_signal_of_any_length(samples):
    x = SIGNALS[:samples]
    np.testing.assert_allclose(
        cf.observe.analytic_signal(x), by_hand("analytic", x), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("name", MEASURES)
def test_float32_stays_and_is_near_float64(name):
    got = MEASURES[name](jnp.asarray(SIGNALS, "float32"))
    assert got.dtype == ("complex64" if name == "analytic" else "float32")
    # Phases up to 10 rad are themselves rounded to 1e-6, and the measures hardly amplify that.
    np.testing.assert_allclose(got, by_hand(name, SIGNALS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_numpy_integers_are_welcome(name):
    x = (SIGNALS * 4).astype(int)
    np.testing.assert_allclose(MEASURES[name](x), by_hand(name, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("phase", [0.0, 0.4, np.pi / 2, 2.0, np.pi])
def test_fc_of_two_sines_is_the_cosine_of_their_phase_difference(phase):
    signals = np.stack([3 * np.sin(TIME), 7 + np.sin(TIME + phase)], axis=1)
    assert_close(cf.observe.functional_connectivity(signals)[0, 1], np.cos(phase), scale=1)


varied = arrays(
    "float64", (12, 3), elements=st.floats(-100, 100, allow_subnormal=False).map(lambda v: v + 0.5)
)


@given(signals=varied, order=st.permutations(range(3)))
@example(signals=np.ones((12, 3)), order=[0, 1, 2])
@example(signals=np.outer(np.arange(12.0), [1, -2, 1e-3]), order=[2, 0, 1])
def test_fc_is_symmetric_bounded_and_blind_to_order(signals, order):
    fc = cf.observe.functional_connectivity(signals)
    assert (jnp.abs(fc) <= 1).all()
    assert (jnp.diag(fc) == 1).all()
    assert_close(fc.T, fc)
    reordered = cf.observe.functional_connectivity(signals[:, order])
    assert_close(reordered, np.asarray(fc)[np.ix_(order, order)], ulps=64)


@given(
    scale=arrays("float64", 4, elements=st.floats(1e-200, 1e150, allow_subnormal=False)),
    sign=arrays("float64", 4, elements=st.sampled_from([-1.0, 1.0])),
)
def test_fc_is_blind_to_scale_and_turns_with_sign(scale, sign):
    fc = cf.observe.functional_connectivity(SIGNALS)
    got = cf.observe.functional_connectivity(SIGNALS * scale * sign)
    assert_close(got, np.asarray(fc) * np.outer(sign, sign))


def test_fc_far_from_zero_keeps_its_digits_in_float32():
    x = np.asarray(-65 + 1e-3 * SIGNALS, "float32")
    assert_close(
        cf.observe.functional_connectivity(x), np.corrcoef(x.T.astype(float)).astype("float32")
    )


slope_of_fc = jax.jit(jax.jacrev(cf.observe.functional_connectivity))


@pytest.mark.parametrize("level", [0.0, 0.1, -65.3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_region_that_does_not_vary_correlates_with_none(level, dtype):
    signals = SIGNALS.copy()
    signals[:, 1] = level
    x = jnp.asarray(signals, dtype)
    fc = cf.observe.functional_connectivity(x)
    np.testing.assert_array_equal(fc[1], [0, 1, 0, 0])
    np.testing.assert_array_equal(fc[:, 1], [0, 1, 0, 0])
    gradient = slope_of_fc(x)
    assert jnp.isfinite(gradient).all()
    assert (gradient[..., 1] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_takes_no_correlation_beyond_1(dtype):
    signals = np.outer(SIGNALS[:, 0], RNG.normal(size=30))  # all in line: ±1, give or take an ulp
    fc = cf.observe.functional_connectivity(jnp.asarray(signals, dtype))
    assert (jnp.abs(fc) <= 1).all()
    assert_close(jnp.abs(fc), np.ones((30, 30), dtype))


def test_nan_in_one_region_is_seen_and_stays_there():
    signals = SIGNALS.copy()
    signals[3, 1] = np.nan
    bad = np.isnan(cf.observe.functional_connectivity(signals))
    assert bad[1].all()
    assert bad[:, 1].all()
    assert bad.sum() == 7


def test_fc_distances_read_only_above_the_diagonal():
    a, b = RNG.normal(size=(2, 5, 5))
    below = np.tril(RNG.normal(size=(5, 5)))
    for distance in (cf.observe.fc_rmse, cf.observe.fc_correlation):
        assert distance(a + below, b) == distance(a, b)
        assert distance(a + below.T, b) != distance(a, b)


def test_fc_distances_at_an_exact_match():
    fc = cf.observe.functional_connectivity(SIGNALS)
    assert cf.observe.fc_rmse(fc, fc) == 0
    assert_close(cf.observe.fc_correlation(fc, fc), 1.0)
    slopes = jax.jit(
        lambda x, y: [jax.grad(f)(x, y) for f in (cf.observe.fc_rmse, cf.observe.fc_correlation)]
    )
    of_rmse, of_correlation = slopes(fc, fc)
    assert (of_rmse == 0).all()
    assert_close(of_correlation, np.zeros((4, 4)), scale=1)


def test_equal_pairs_correlate_with_nothing():
    fc, flat = cf.observe.functional_connectivity(SIGNALS), jnp.full((4, 4), 0.3)
    value, gradient = jax.value_and_grad(cf.observe.fc_correlation, argnums=(0, 1))(flat, fc)
    assert value == 0
    assert all((g == 0).all() for g in gradient)


def test_phase_of_a_cosine_grows_at_its_frequency():
    phases = cf.observe.instantaneous_phase(5 + 2 * np.cos(3 * TIME + 0.2)[:, None])
    turned = (phases[:, 0] - (3 * TIME + 0.2) + np.pi) % (2 * np.pi) - np.pi
    assert_close(turned, np.zeros(60), scale=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_phase_without_oscillation_is_0(dtype):
    signals = jnp.asarray(SIGNALS.copy(), dtype).at[:, 2].set(0.1)
    assert (cf.observe.instantaneous_phase(signals)[:, 2] == 0).all()
    gradient = jax.jit(jax.jacrev(cf.observe.instantaneous_phase))(signals)
    assert jnp.isfinite(gradient).all()
    assert (gradient[..., 2] == 0).all()


def test_order_parameter_of_evenly_spread_and_of_equal_phases():
    spread = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    r = cf.observe.kuramoto_order_parameter(np.stack([spread, np.full(7, 2.3), spread + 1]))
    assert_close(r, np.array([0.0, 1.0, 0.0]), scale=1)


@given(
    phases=arrays("float64", (6, 4), elements=st.floats(-7, 7, allow_subnormal=False)),
    shift=st.floats(-3, 3, allow_subnormal=False),
    order=st.permutations(range(4)),
)
def test_order_parameter_is_bounded_and_blind_to_rotation_and_order(phases, shift, order):
    r = cf.observe.kuramoto_order_parameter(phases)
    assert ((r >= 0) & (r <= 1)).all()
    assert_close(
        cf.observe.kuramoto_order_parameter(phases[:, order] + shift), np.asarray(r), scale=1
    )
    assert 0 <= cf.observe.metastability(phases) <= 0.5 + 1e-15


@pytest.mark.parametrize(
    "phases", [np.zeros((5, 4)), np.tile([0.0, np.pi], (5, 2)), np.tile([0.1, 0.2, 0.3], (5, 1))]
)
def test_metastability_of_constant_order_is_0_with_a_finite_gradient(phases):
    value, gradient = jax.value_and_grad(cf.observe.metastability)(jnp.asarray(phases))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.thorough
def test_gradient_at_full_incoherence_is_0():
    phases = jnp.array([[0.0, 0.0, np.pi, -np.pi], [0.1, 0.4, 0.2, 0.3]])  # sums to an exact 0
    assert cf.observe.kuramoto_order_parameter(phases)[0] == 0
    for measure in (cf.observe.synchrony, cf.observe.metastability):
        both = jax.jit(lambda x, m=measure: (jax.jacrev(m)(x), jax.jacfwd(m)(x)))
        for gradient in both(phases):
            assert (gradient[0] == 0).all()
            assert (gradient[1] != 0).any()
            assert jnp.isfinite(gradient).all()


def turn(signals):
    """The phase as a point on the circle, since the angle jumps by a whole turn."""
    phase = cf.observe.instantaneous_phase(signals)
    return jnp.cos(phase), jnp.sin(phase)


@pytest.mark.parametrize("name", MEASURES)
def test_gradients_are_those_of_differences(name):
    measure = turn if name == "phase" else MEASURES[name]
    order = 2 if name in {"fc", "fc_rmse", "order"} else 1  # all their pieces; each order compiles
    x = jnp.asarray(SIGNALS[:9])
    check_grads(jax.jit(measure), (x,), order=order, modes=("fwd", "rev"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "measure",
    [
        cf.observe.functional_connectivity,
        cf.observe.analytic_signal,
        cf.observe.instantaneous_phase,
        cf.observe.kuramoto_order_parameter,
        cf.observe.synchrony,
        cf.observe.chance_synchrony,
        cf.observe.metastability,
    ],
)
def test_series_of_another_shape_are_refused(measure):
    with refuses(r"\(time, region\).*\(5,\).*\[:, None\]"):
        measure(jnp.ones(5))
    with refuses(r"\(time, region\).*\(2, 3, 4\)"):
        measure(jnp.ones((2, 3, 4)))
    with refuses(r"\(time, region\).*\(4, 0\)"):
        measure(jnp.ones((4, 0)))
    with refuses("must be real", TypeError):
        measure(jnp.ones((5, 2), complex))


@pytest.mark.parametrize(
    "measure",
    [cf.observe.functional_connectivity, cf.observe.instantaneous_phase, cf.observe.metastability],
)
def test_one_sample_is_refused_where_it_says_nothing(measure):
    with refuses(r"2 samples or more; got shape \(1, 3\)"):
        measure(jnp.ones((1, 3)))


@pytest.mark.parametrize(
    ("distance", "fewest"), [(cf.observe.fc_rmse, 2), (cf.observe.fc_correlation, 3)]
)
def test_matrices_that_cannot_be_compared_are_refused(distance, fewest):
    with refuses("`fc` must be square"):
        distance(jnp.ones((4, 3)), jnp.ones((4, 3)))
    with refuses(r"`target` must have shape \(4, 4\), not \(3, 3\)"):
        distance(jnp.ones((4, 4)), jnp.ones((3, 3)))
    with refuses(f"{fewest} regions or more"):
        distance(jnp.ones((fewest - 1, fewest - 1)), jnp.ones((fewest - 1, fewest - 1)))
    with refuses("`target` must be real", TypeError):
        distance(jnp.ones((4, 4)), jnp.ones((4, 4), complex))
