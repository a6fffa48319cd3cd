"""Moments of signals that arrive in parts, and of runs that keep no record."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf

SIGNALS = np.random.default_rng(0).normal(size=(23, 4)) @ np.diag([1.0, 30.0, 1e-3, 2.0])
SIGNALS = SIGNALS @ np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [2e-3, 0, 1, 0], [0, 0, 0, 1.0]])
CUTS = [0, 1, 9, 10, 23]


def in_parts(signals):
    moments = cf.observe.moments_init(signals[0])
    for begin, end in pairwise(CUTS):
        moments = cf.observe.moments_step(moments, signals[begin:end])
    return moments


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_give_what_the_whole_does(dtype):
    near = SIGNALS - np.array([65.0, 0.0, 65.0, 0.0])
    signals = jnp.asarray(near.astype(dtype))
    moments = jax.jit(in_parts)(signals)
    exact = np.asarray(signals, float)
    assert moments.count == 23
    assert moments.comoment.dtype == dtype
    assert_close(moments.mean, exact.mean(0).astype(dtype), ulps=8)
    # Relative to each entry's own size: the third region moves by 1e-3 around -65.
    spread = exact.std(0)
    wanted = np.cov(exact.T, bias=True) / np.outer(spread, spread)
    got = np.asarray(moments.covariance) / np.outer(spread, spread)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=64 * np.finfo(dtype).eps)
    assert_close(cf.observe.fc_from_moments(moments), np.corrcoef(exact.T).astype(dtype), ulps=64)


def test_a_still_region_has_correlation_and_slope_0():
    still = jnp.asarray(SIGNALS).at[:, 1].set(-65.3)
    score = lambda signals: (cf.observe.fc_from_moments(in_parts(signals)) ** 2).sum()
    value, slope = jax.jit(jax.value_and_grad(score))(still)
    assert_close(cf.observe.fc_from_moments(in_parts(still))[1], np.eye(4)[1], ulps=0)
    np.testing.assert_array_equal(slope[:, 1], 0)
    kept = lambda signals: (cf.observe.functional_connectivity(signals) ** 2).sum()
    wanted = jax.jit(jax.value_and_grad(kept))(still)
    assert_close((value, slope), jax.tree.map(np.asarray, wanted), ulps=2**10)
    assert np.abs(wanted[1]).max() > 1e-3


N, STEPS, PART = 4, 96, 24
NET = cf.Network(cf.nodes.hopf, 1.0, lags=np.random.default_rng(1).integers(8, 14, (N, N)))
CONN = jnp.asarray(directed(N, N, seed=2))


def run(k, steps=STEPS, **options):
    params = cf.Params(cf.nodes.HopfParams(a=-0.1), cf.DiffusiveCoupling(CONN, 0.3 * k), noise=0.1)
    start = cf.nodes.HopfState(jnp.linspace(0.1, 0.4, N), jnp.zeros(N))
    state = NET.init(start, params, key=jax.random.key(0))
    return cf.simulate(NET, state, params, steps, **options)


@pytest.mark.thorough
def test_moments_along_with_a_run_have_the_values_and_slopes_of_its_record():
    measure = {"fc": cf.observe.RunningMoments("x"), "bold": cf.observe.BalloonBold("x", 96.0)}

    def online(k):
        last, seen = run(k, checkpoint=PART, measure=measure)
        return cf.observe.fc_from_moments(seen["fc"])[0].sum() + seen["bold"].sum(), last.state

    def kept(k):
        last, x = run(k, record="x")
        _, bold = cf.observe.bold_from_balloon(x, dt=1.0, period=96.0)
        return cf.observe.functional_connectivity(x)[0].sum() + bold.sum(), last

    ks = jnp.array([0.7, 1.0])
    both = lambda f: jax.jit(jax.vmap(jax.value_and_grad(f, has_aux=True)))(ks)
    (value, last), slope = both(online)
    (wanted, wanted_last), wanted_slope = both(kept)
    assert_close(value, np.asarray(wanted), ulps=2**14)
    assert_close(slope, np.asarray(wanted_slope), ulps=2**16)
    assert_close(last.node, wanted_last.node, ulps=2**6)
    assert abs(wanted_slope).min() > 1e-3


def test_memory_does_not_grow_with_a_run_whose_moments_are_taken():
    def measured(k, parts):
        return run(k, parts * PART, checkpoint=PART, measure=cf.observe.RunningMoments("x"))

    used = [
        jax.jit(measured, static_argnums=1).lower(1.0, parts).compile().memory_analysis()
        for parts in (3, 300)
    ]
    few, many = (m.temp_size_in_bytes + m.output_size_in_bytes for m in used)
    assert many <= few + 8 * 300


def test_regions_must_be_those_so_far():
    with refuses(r"`signals` must have shape \(3, 4\), not \(3, 2\)"):
        cf.observe.moments_step(cf.observe.moments_init(jnp.zeros(4)), jnp.zeros((3, 2)))
    with refuses(r"`like` must have shape \(4,\), not \(2, 2\)"):
        cf.observe.moments_init(jnp.zeros((2, 2)))
