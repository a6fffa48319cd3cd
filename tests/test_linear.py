"""The network linearised at its fixed point, against the network's own steps and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers import assert_close, refuses
from jax.experimental.sparse import BCOO

import coupling_fn as cf

W = np.array([[0.0, 0.9, 0.1], [0.4, 0.0, 0.8], [0.7, 0.2, 0.0]])
LAGS = np.array([[0, 7, 3], [2, 0, 5], [0, 4, 1]])


def wilson_cowan(lags=LAGS):
    """Return a network with two couplings of their own weights and lags: one sparse, one sigmoidal."""
    wires = {"E": cf.Wire("E", into="E"), "I": cf.Wire("I", into="E")}
    net = cf.Network(
        cf.nodes.wilson_cowan, 0.1, couplings=wires, lags={"E": lags, "I": 6}, scheme="euler"
    )
    couplings = {
        "E": cf.DiffusiveCoupling(BCOO.fromdense(jnp.asarray(W)), k=0.7),
        "I": cf.SigmoidalCoupling(jnp.asarray(W.T), k=0.3, sigma=0.5),
    }
    return net, cf.Params(cf.nodes.WilsonCowanParams(P=jnp.asarray([0.4, 0.7, 0.6])), couplings)


def hopf(lags=None, k=0.08, noise=0.3, **options):
    omega = jnp.asarray([0.05, 0.06, 0.075])
    net = cf.Network(cf.nodes.hopf, 0.1, lags=lags, **options)
    coupling = cf.AdditiveCoupling(jnp.asarray(W), k=k)
    return net, cf.Params(cf.nodes.HopfParams(a=-0.15, omega=omega), coupling, noise=noise)


def at(params, k):
    return eqx.tree_at(lambda p: p.coupling.k, params, k)


REST = cf.nodes.HopfState(jnp.zeros(3), jnp.zeros(3))


# --- fixed point and derivatives -------------------------------------------------------------------


@pytest.mark.thorough
def test_a_step_from_the_fixed_point_stays_there():
    net, params = wilson_cowan()
    x = cf.fixed_point(net, params, cf.nodes.WilsonCowanState(jnp.full(3, 0.1), jnp.full(3, 0.2)))
    assert np.ptp(x.E) > 1e-3  # no trivial one
    assert_close(net(net.init(x, params), params).node, x, ulps=16)


def test_the_fixed_point_follows_its_parameters():
    net, params = wilson_cowan()
    start = cf.nodes.WilsonCowanState(jnp.full(3, 0.1), jnp.full(3, 0.2))

    def place(k):
        there = eqx.tree_at(lambda p: p.coupling["E"].k, params, k)
        return cf.fixed_point(net, there, start).E

    k, step = jnp.asarray(0.7), 1e-5
    numerically = (place(k + step) - place(k - step)) / (2 * step)
    for mode in (jax.jacfwd, jax.jacrev):
        assert_close(mode(place)(k), numerically, ulps=1e8)
    assert_close(jax.vmap(place)(jnp.stack([k, 2 * k]))[0], place(k))


def test_a_fixed_point_inside_a_limit_cycle_is_found():
    """The fixed point is unstable: a run leaves it from wherever it starts."""
    net = cf.Network(cf.nodes.wilson_cowan, 0.1, couplings=cf.Wire("E", into="E"))

    def search(P):
        params = cf.Params(
            cf.nodes.WilsonCowanParams(P=P), cf.AdditiveCoupling(jnp.asarray(W), k=0.5)
        )
        x = cf.fixed_point(net, params, cf.nodes.WilsonCowanState(jnp.zeros(3), jnp.zeros(3)))
        now = cf.jacobians(net, params, x).instantaneous.reshape(6, 6)
        inputs = cf.nodes.WilsonCowanState(cf.additive_coupling(x.E, W, 0.5), jnp.zeros(3))
        return jnp.stack(cf.nodes.wilson_cowan(x, inputs, params.node)), now

    rates, now = jax.vmap(search)(jnp.asarray([1.25, 1.5, 2.0, 3.0]))
    assert jnp.abs(rates).max() < 1e-14
    growth = np.linalg.eigvals(now).real.max(axis=1)
    assert (growth[:2] > 0.01).all() and (growth[:3] > 0.001).all()


def test_phases_have_no_isolated_fixed_point():
    net = cf.Network(cf.nodes.kuramoto, 0.1)
    params = cf.Params(cf.nodes.KuramotoParams(), cf.KuramotoCoupling(jnp.asarray(W)))
    with pytest.warns(RuntimeWarning, match="found no state"):
        found = cf.fixed_point(net, params, cf.nodes.KuramotoState(jnp.zeros(3)))
    assert jnp.isnan(found[0]).all()


def test_derivatives_are_those_of_the_networks_own_steps():
    net, params = wilson_cowan()
    x = cf.nodes.WilsonCowanState(jnp.asarray([0.1, 0.3, 0.2]), jnp.asarray([0.2, 0.25, 0.4]))
    now, gains, delays = cf.jacobians(net, params, x)
    past = {"E": x.E, "I": x.I}

    def rate(z, history):
        state = cf.nodes.WilsonCowanState(*z)
        after = net(net.init(state, params, history=history), params).node
        return np.stack([after.E - state.E, after.I - state.I]) / net.dt

    z, step = np.stack([x.E, x.I]), 1e-5
    lasting, moment = np.zeros((2, 2, 3, 2, 3))
    for s, j in np.ndindex(2, 3):
        for sign in (1, -1):
            moved = z.copy()
            moved[s, j] += sign * step
            lasting[:, :, s, j] += sign * rate(moved, None) / (2 * step)
            moment[:, :, s, j] += sign * rate(moved, past) / (2 * step)
    assert_close(now + gains[0] + gains[1], lasting, ulps=1e8)
    # An edge of lag 0 reads the present, which `moment` moves.
    assert_close(now + gains[0] * (LAGS == 0.0).astype(float)[None, :, None, :], moment, ulps=1e8)
    assert_close(delays[0], LAGS * 0.1)
    assert_close(delays[1], np.full((3, 3), 0.6))


def test_delays_between_steps_are_lengths_over_speed():
    lengths = 10 * W + 1
    net, params = hopf(lag_bounds=(1, 80), interpolate="linear")
    params = eqx.tree_at(
        lambda p: (p.lengths, p.speed),
        params,
        (jnp.asarray(lengths), jnp.asarray(3.0)),
        is_leaf=lambda x: x is None,
    )

    def longest(speed):
        there = eqx.tree_at(lambda p: p.speed, params, speed)
        return cf.jacobians(net, there, REST).delays[0].max()

    value, slope = jax.value_and_grad(longest)(jnp.asarray(3.0))
    assert_close((value, slope), (10 / 3.0, -10 / 9.0))


# --- covariance, spectrum, FC ----------------------------------------------------------------------


def kronecker(a, q):
    """Solve a c + c a' + q = 0 as one large linear system."""
    eye = np.eye(len(a))
    return np.linalg.solve(np.kron(a, eye) + np.kron(eye, a), -q.ravel()).reshape(a.shape)


def test_covariance_without_delays_solves_its_equation():
    sigma = np.array([0.2, 0.5, 1.0])
    net, params = hopf(noise={"y": sigma})
    omega = np.diag([0.05, 0.06, 0.075])
    a = np.block([[0.08 * W - 0.15 * np.eye(3), -omega], [omega, 0.08 * W - 0.15 * np.eye(3)]])
    wanted = kronecker(a, np.diag(np.concatenate([np.zeros(3), sigma**2])))
    got = cf.stationary_covariance(net, params, REST).reshape(6, 6)
    assert_close(got, wanted, ulps=1e3)
    # Summed over frequencies, as it is with lags, it is the same.
    long_way, _ = hopf(lags=jnp.zeros((3, 3), int), lag_bounds=(0, 1))
    assert_close(cf.stationary_covariance(long_way, params, REST).reshape(6, 6), got, ulps=1e7)


@pytest.mark.parametrize(("a", "k", "tau"), [(1.0, -2.0, 0.5), (1.0, 0.5, 3.0), (1.0, -1.5, 1.5)])
def test_variance_with_a_delay_is_that_of_kuechler_and_mensch(a, k, tau):
    net = cf.Network(cf.nodes.linear, 0.5, lags=round(tau / 0.5))
    params = cf.Params(
        cf.nodes.LinearParams(a=-a), cf.AdditiveCoupling(jnp.ones((1, 1)), k=k), noise=2.0
    )
    w = np.sqrt(complex(k * k - a * a))  # also where it is imaginary
    wanted = (2.0**2 / 2 * (1 - k / w * np.sin(w * tau)) / (a - k * np.cos(w * tau))).real
    got = cf.stationary_covariance(net, params, cf.nodes.LinearState(jnp.zeros(1)), points=512)
    assert got.item() == pytest.approx(wanted, rel=2e-4)


def test_lagged_covariance_without_delays_is_an_exponential():
    net, params = hopf()
    a = np.asarray(cf.jacobians(net, params, REST).instantaneous).reshape(6, 6)
    now = np.asarray(cf.stationary_covariance(net, params, REST)).reshape(6, 6)

    def later(lag):
        return cf.stationary_covariance(net, params, REST, lag=lag).reshape(6, 6)

    for lag in (0.3, 8.0, 400.0):
        wanted = scipy.linalg.expm(a * lag) @ now
        assert_close(later(lag), wanted, ulps=1e4)
        assert_close(later(-lag), wanted.T, ulps=1e4)
    wanted = a @ scipy.linalg.expm(a * 8.0) @ now
    for mode in (jax.jacfwd, jax.jacrev):
        assert_close(mode(later)(8.0), wanted, ulps=1e4)
    assert_close(jax.vmap(later)(jnp.asarray([0.0, 8.0]))[0], now, ulps=1e3)


def test_lagged_covariance_with_a_delay_obeys_its_equation():
    """x' = -a x + k x(t - tau) + noise: for l > 0, R'(l) = -a R(l) + k R(l - tau), and R(-l) = R(l)."""
    a, k, tau = 1.0, -1.5, 1.5
    net = cf.Network(cf.nodes.linear, 0.1, lags=15)
    params = cf.Params(
        cf.nodes.LinearParams(a=-a), cf.AdditiveCoupling(jnp.ones((1, 1)), k=k), noise=1.0
    )

    @jax.jit
    def at(lag):
        x = cf.nodes.LinearState(jnp.zeros(1))
        return cf.stationary_covariance(net, params, x, lag=lag, points=512)[0, 0, 0, 0]

    for lag in (0.5, 4.0):
        slope = jax.grad(at)(lag)
        wanted = float(-a * at(lag) + k * at(lag - tau))
        assert float(slope) == pytest.approx(wanted, abs=2e-4)
        assert_close(at(-lag), at(lag), ulps=1e5)
    zero = cf.stationary_covariance(net, params, cf.nodes.LinearState(jnp.zeros(1)), points=512)
    assert_close(at(0.0), zero[0, 0, 0, 0], ulps=1e3)


@pytest.mark.thorough
def test_lagged_covariance_of_several_delays_is_its_integral():
    net, params = hopf(jnp.asarray(LAGS) * 10)
    jac, shape = cf.jacobians(net, params, REST), (6, 6)
    lag, step = 7.0, 0.02
    omega = step * (np.arange(50_000) + 0.5)
    k = 1j * omega[:, None, None] * np.eye(6) - np.asarray(jac.instantaneous).reshape(shape)
    for gain, delay in zip(jac.gains, jac.delays, strict=True):
        phase = np.exp(-1j * omega[:, None, None] * np.asarray(delay))
        k = k - (np.asarray(gain)[None] * phase[:, None, :, None, :]).reshape(-1, *shape)
    response = np.linalg.inv(k)
    spectrum = 0.09 * response @ response.conj().transpose(0, 2, 1)
    wanted = (spectrum * np.exp(1j * omega * lag)[:, None, None]).real.sum(0) * step / np.pi
    got = cf.stationary_covariance(net, params, REST, lag=lag, points=256).reshape(shape)
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_an_unstable_or_unresolved_network_has_no_covariance():
    for lags in (None, LAGS + 1):
        net, params = hopf(lags=lags)
        assert jnp.isfinite(cf.analytic_fc(net, params, REST)).all()
        assert jnp.isnan(cf.analytic_fc(net, at(params, jnp.asarray(0.3)), REST)).any()
    sharp = eqx.tree_at(lambda p: p.node.a, at(params, jnp.asarray(0.0)), jnp.asarray(-1e-4))
    assert jnp.isnan(cf.analytic_fc(net, sharp, REST, points=16)).any()


def test_the_spectrum_sums_to_the_covariance():
    net, params = hopf(lags=LAGS + 1, noise={"x": 0.4})
    frequencies = jnp.linspace(0, 4000, 40_001)  # Hz
    spectrum = cf.cross_spectrum(net, params, REST, frequencies[::10], signal=lambda s: 2 * s.y)
    total = (spectrum.sum(0) - spectrum[0] / 2).real * 1.0
    covariance = 4 * cf.stationary_covariance(net, params, REST)[1, :, 1]
    assert_close(total, covariance, scale=0.003 * np.abs(covariance).max() / 2.2e-16, ulps=1)
    np.testing.assert_allclose(spectrum, spectrum.conj().swapaxes(1, 2), atol=1e-12)
    assert np.abs(spectrum.imag).max() > 0.02 * np.abs(spectrum.real).max()


@pytest.mark.thorough
@pytest.mark.optimised
def test_a_long_simulation_comes_to_the_analytic_fc():
    lags = 10 * LAGS + 5
    net = cf.Network(cf.nodes.linear, 0.05, lags=lags)
    coupling = cf.AdditiveCoupling(jnp.asarray(W), k=-0.85)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling, noise=jnp.asarray([1.0, 2.0, 0.5]))
    x0 = cf.nodes.LinearState(jnp.zeros(3))
    analytic = cf.analytic_fc(net, params, x0)

    def one(key):
        state = net.init(x0, params, key=key)
        return cf.simulate(net, state, params, 20_000, record="x", every=20)[1][20:]

    x = jax.vmap(one)(jax.random.split(jax.random.key(0), 32)).reshape(-1, 3)
    assert np.abs(cf.observe.functional_connectivity(x) - analytic).max() < 0.02
    undelayed = cf.analytic_fc(cf.Network(cf.nodes.linear, 0.05), params, x0)
    transposed = eqx.tree_at(lambda p: p.coupling.conn, params, jnp.asarray(W.T))
    for other in (undelayed, cf.analytic_fc(net, transposed, x0)):
        assert np.abs(other - analytic).max() > 0.05  # so the test sees delays and orientation


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", [LAGS + 1, None])
def test_fc_is_differentiable_and_maps(lags):
    net, params = hopf(lags=lags)

    @jax.jit
    def fc(k):
        return cf.analytic_fc(net, at(params, k), REST, points=64)[0, 1:]

    k, step = jnp.asarray(0.08), 1e-5
    numerically = (fc(k + step) - fc(k - step)) / (2 * step)
    forward, backward = jax.jacfwd(fc)(k), jax.jacrev(fc)(k)
    assert_close(forward, backward, ulps=1e5)
    # The derivative holds the frequencies fixed; a numerical difference does not.
    assert np.abs(forward - numerically).max() < 1e-3 * np.abs(numerically).max()
    assert_close(jax.vmap(fc)(jnp.stack([k / 2, k]))[1], fc(k), ulps=1e4)


def test_float32_stays():
    single = lambda tree: jax.tree.map(
        lambda x: x.astype("float32") if eqx.is_inexact_array(x) else x, tree
    )
    for lags in (None, LAGS + 1):
        net, params = hopf(lags=lags)
        fc = cf.analytic_fc(net, single(params), single(REST))
        assert fc.dtype == jnp.float32
        exact = cf.analytic_fc(net, params, REST)
        assert np.abs(np.asarray(fc) - np.asarray(exact)).max() < 1e-4


# --- the critical strength ------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_hopf_network_turns_at_the_spectral_abscissa():
    net, params = hopf()
    balanced = jnp.asarray(W / W.sum(1, keepdims=True))

    def critical(a):
        node = cf.nodes.HopfParams(a=a, omega=0.06)
        return cf.critical_k(net, cf.Params(node, cf.AdditiveCoupling(balanced)), REST, 0.0, 1.0)

    a = jnp.asarray(-0.15)
    assert_close(jax.value_and_grad(critical)(a), (0.15, -1.0), ulps=1e5)
    assert jnp.isnan(cf.critical_k(net, params, REST, 0.0, 0.01))  # k is not between these


def test_the_delayed_loop_turns_where_hayes_has_it():
    a, tau = 1.0, 1.5
    net = cf.Network(cf.nodes.linear, 0.5, lags=3)
    loop = cf.Params(cf.nodes.LinearParams(a=-a), cf.AdditiveCoupling(-jnp.ones((1, 1))))
    k = cf.critical_k(net, loop, cf.nodes.LinearState(jnp.zeros(1)), 0.0, 6.0).item()
    assert np.arccos(-a / k) / np.sqrt(k * k - a * a) == pytest.approx(tau, rel=1e-8)


# --- bad input ------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused():
    net, params = hopf(noise=None)
    with refuses("without noise nothing varies"):
        cf.analytic_fc(net, params, REST)
    with refuses("no state 'z'"):
        cf.analytic_fc(net, hopf()[1], REST, signal="z")
    with refuses("`points` must be a multiple of 4"):
        cf.stationary_covariance(hopf(lags=LAGS)[0], hopf()[1], REST, points=33)
    with refuses("`low` must be below `high`"):
        cf.critical_k(net, params, REST, 1.0, 1.0)
    driven = eqx.tree_at(lambda p: p.external, params, {"x": jnp.sin}, is_leaf=lambda x: x is None)
    with refuses("varies in time"):
        cf.fixed_point(net, driven, REST)
