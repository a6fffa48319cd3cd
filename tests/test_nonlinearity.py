"""The estimate of how far noise takes a network from linearity, against exact stationary variances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

REST = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))


def hopf(noise, a=-0.02, k=0.0, lags=None):
    weights = jnp.asarray([[0.0, 1.0], [1.0, 0.0]])
    net = cf.Network(cf.nodes.hopf, 0.1, lags=lags)
    return net, cf.Params(cf.nodes.HopfParams(a=a), cf.AdditiveCoupling(weights, k=k), noise=noise)


def exact_variance(noise, a=-0.02):
    """Integrate the stationary density of r, r exp((a r² - r⁴ / 2) / noise²), of an uncoupled node."""
    r = np.linspace(0, 20 * noise / np.sqrt(-2 * a), 200_001)
    density = r * np.exp((a * r**2 - r**4 / 2) / noise**2)
    return (density * r**2).sum() / density.sum() / 2


@pytest.mark.parametrize("noise", [0.001, 0.003, 0.02, 0.1])
def test_it_is_what_the_cubic_term_does_to_the_variance(noise):
    net, params = hopf(noise)
    linear = float(cf.stationary_covariance(net, params, REST)[0, 0, 0, 0])
    assert_close(linear, noise**2 / 0.04, ulps=64)
    estimate = float(cf.nonlinearity(net, params, REST))
    assert_close(estimate, np.log(1 + 4 * linear / 0.02), ulps=1e5)
    off = linear / exact_variance(noise) - 1
    if noise < 0.01:  # To leading order it is the error of the linear variance itself.
        assert abs(estimate / off - 1) < 0.05
    else:
        assert estimate > 0.5
        assert off > 0.5


@pytest.mark.parametrize("lags", [None, 20])
def test_it_grows_near_the_critical_k_and_with_the_square_of_noise(lags):
    def of(noise, k):
        return float(cf.nonlinearity(*hopf(noise, a=-0.2, k=k, lags=lags), REST))

    assert of(0.01, 0.0) < 0.3 * of(0.01, 0.15)
    assert abs(of(0.01, 0.1) / of(0.005, 0.1) - 4) < 0.05


def test_a_shift_of_the_mean_counts_and_a_linear_network_has_none():
    """x' = -x + x² moves the mean by the variance, by the root of it in standard deviations."""

    @cf.nodes.node(states=["x"], inputs=["x"])
    def quadratic(state, inputs, params):
        return cf.nodes.LinearState(params.a * state.x + state.x**2 + inputs.x)

    x, coupling = cf.nodes.LinearState(jnp.zeros(1)), cf.AdditiveCoupling(jnp.zeros((1, 1)))
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling, noise=0.2)
    found = cf.nonlinearity(cf.Network(quadratic, 0.1), params, x)
    assert_close(found, np.sqrt(0.2**2 / 2), ulps=1e5)
    assert cf.nonlinearity(cf.Network(cf.nodes.linear, 0.1), params, x) < 1e-12


def test_it_maps_and_says_where_there_is_nothing_to_estimate():
    def of(a):
        return cf.nonlinearity(*hopf(0.01, a=a), REST)

    found = jax.vmap(of)(jnp.asarray([-0.1, 0.1]))
    assert_close(found[0], of(-0.1), ulps=1e4)
    assert jnp.isnan(found[1])  # unstable
    net, params = hopf(None)
    with refuses(match="params.noise"):
        cf.nonlinearity(net, params, REST)
