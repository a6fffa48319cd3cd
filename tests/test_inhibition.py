"""Feedback inhibition that holds every region at a rate: its state, its stability, and under noise."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

W = np.array([[0.0, 0.9, 0.2], [0.1, 0.0, 0.7], [0.6, 0.3, 0.0]])
NODE = cf.nodes.WongWangExcInhParams()
ALONE = np.zeros((1, 1))


def network(conn=W, k=0.5, lags=None, noise=None, external=None, **options):
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, lags=lags, **options)
    return net, cf.Params(NODE, cf.AdditiveCoupling(conn, k=k), noise=noise, external=external)


def fired(x, a, b, d):
    """Return the paper's response, kHz of nA."""
    return (a * x - b) / (1 - np.exp(-d * (a * x - b)))


def rates_of_change(S_e, S_i, J_i, into_e, into_i):
    """Return the paper's right-hand side and the excitatory rates, in plain NumPy."""
    I_e = 1.4 * 0.15 * S_e - J_i * S_i + 0.382 + 0.15 * into_e
    I_i = 0.15 * S_e - S_i + 0.7 * 0.382 + 0.15 * into_i
    rate_e, rate_i = fired(I_e, 0.310, 0.125, 160.0), fired(I_i, 0.615, 0.177, 87.0)
    return -S_e / 100 + (1 - S_e) * 0.641 * rate_e, -S_i / 10 + rate_i, rate_e


def test_the_default_inhibition_balances_a_region_at_its_own_rate():
    net, params = network(ALONE)
    rest = cf.fixed_point(
        net, params, cf.nodes.WongWangExcInhState(jnp.ones(1) / 10, jnp.ones(1) / 10)
    )
    rate = rest.S_e / (NODE.tau_e * NODE.gamma_e * (1 - rest.S_e))
    assert 1000 * rate[0] == pytest.approx(3.06, abs=0.02)  # Hz
    balanced = cf.balance_inhibition(net, params, 1, rate)
    assert balanced.params.node.J_i[0] == pytest.approx(1.0, abs=1e-9)
    assert_close(balanced.x, rest, ulps=2**12)


@pytest.mark.every(2)
@pytest.mark.parametrize("inhibited", [True, False])
def test_the_balanced_state_is_a_fixed_point_at_the_rates_asked_for(inhibited):
    """Also with feedforward inhibition, delays and constant input."""
    wanted, drive = np.array([0.003, 0.002, 0.004]), np.array([0.1, 0.0, 0.2])
    wires = {"excite": cf.Wire("S_e", into="S_e")}
    couplings = {"excite": cf.AdditiveCoupling(W, k=0.5)}
    if inhibited:
        wires["inhibit"] = cf.Wire("S_e", into="S_i")
        couplings["inhibit"] = cf.AdditiveCoupling(W.T, k=0.3)
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, couplings=wires, lags=4)
    params = cf.Params(NODE, couplings, external={"S_e": drive, "S_i": 0.05})
    balanced = cf.balance_inhibition(net, params, 3, wanted)
    S_e, S_i = map(np.asarray, balanced.x)
    into_i = 0.05 + (0.3 * W.T @ S_e if inhibited else 0.0)
    J_i = np.asarray(balanced.params.node.J_i)
    de, di, rate = rates_of_change(S_e, S_i, J_i, drive + 0.5 * W @ S_e, into_i)
    np.testing.assert_allclose(rate, wanted, rtol=1e-12)
    assert max(abs(de).max(), abs(di).max()) < 1e-15
    np.testing.assert_array_equal(balanced.rates, wanted)
    # It is stable, so that a run returns to it, and without the balance it goes elsewhere.
    assert balanced.growth < 0
    near = jax.tree.map(lambda x: 0.9 * x, balanced.x)
    for p, there in ((balanced.params, True), (params, False)):
        _, late = cf.simulate(net, net.init(near, p), p, 8000, record="rate_e", every=8000)
        assert (np.abs(late[-1] - wanted).max() < 1e-8) == there


def strongest(k):
    """Return an unstable network of regions that drive each other, balanced at 3 Hz."""
    net, params = network(W, k)
    return net, cf.balance_inhibition(net, params, 3)


@pytest.mark.parametrize("k", [0.2, 3.0])
def test_growth_is_the_largest_real_part_of_the_eigenvalues(k):
    net, balanced = strongest(k)
    jac = np.asarray(cf.jacobians(net, balanced.params, balanced.x).instantaneous).reshape(6, 6)
    wanted = np.linalg.eigvals(jac).real.max()
    assert balanced.growth == pytest.approx(wanted, abs=1e-9)
    assert (wanted > 0) == (k == 3.0)


def test_an_unstable_balance_is_kept_by_analyses_that_start_from_it():
    net, balanced = strongest(3.0)
    assert_close(cf.fixed_point(net, balanced.params, balanced.x), balanced.x, ulps=2**10)
    elsewhere = cf.nodes.WongWangExcInhState(jnp.full(3, 0.1), jnp.full(3, 0.1))
    other = cf.fixed_point(net, balanced.params, elsewhere)
    assert np.abs(other.S_e - balanced.x.S_e).max() > 0.02


def test_stability_is_followed_along_k_with_the_inhibition_balanced():
    """Rows sum to 1, so that all regions move alike at the critical k: a 2 x 2 determinant gives it."""
    conn = W / W.sum(1, keepdims=True)

    def balanced_at(k):
        net, params = network(conn, k)
        return cf.balance_inhibition(net, params, 3)

    growth = jax.jit(lambda k: balanced_at(k).growth)
    low, high = jnp.array(0.5), jnp.array(4.0)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if growth(middle) < 0 else (low, middle)
    S_e, S_i = 0.16128491151555818, 0.03891886820064789
    step = 1e-6
    J = float(balanced_at(low).params.node.J_i[0])

    def determinant(k):
        J_i = J + (k - float(low)) * 0.15 * S_e / S_i
        columns = [
            [
                np.subtract(
                    rates_of_change(S_e + e, S_i + i, J_i, k * (S_e + e), 0.0)[:2],
                    rates_of_change(S_e - e, S_i - i, J_i, k * (S_e - e), 0.0)[:2],
                )
                / (2 * step)
            ]
            for e, i in ((step, 0.0), (0.0, step))
        ]
        return np.linalg.det(np.concatenate(columns))

    at = np.array([determinant(float(low) + d) for d in (-1e-3, 1e-3)])
    assert abs(at.sum() / 2) < 1e-4 * abs(at).max()  # it crosses 0 midway between the two
    slope = jax.grad(growth)(low)
    assert slope == pytest.approx(float(growth(low + 1e-4) - growth(low - 1e-4)) / 2e-4, rel=1e-5)


def test_a_balance_has_gradients_and_batches():
    def strength(k, rate):
        net, params = network(W[:2, :2], k)
        return cf.balance_inhibition(net, params, 2, rate).params.node.J_i[0]

    slopes = jax.jit(jax.vmap(jax.grad(strength), in_axes=(None, 0)))
    at = slopes(jnp.array(1.0), jnp.array([1e-5, 0.0005, 0.003, 0.02]))
    assert np.isfinite(at).all()
    assert at.min() > 0  # more drive needs more inhibition
    step = 1e-6
    up, down = (strength(jnp.array(1.0 + sign * step), 0.003) for sign in (1, -1))
    assert at[2] == pytest.approx(float(up - down) / (2 * step), rel=1e-6)


def test_a_balance_in_float32_is_that_in_float64():
    def cast(tree, dtype):
        return jax.tree.map(lambda x: x.astype(dtype), tree)

    net, params = network(W, 2.0)
    wide = cf.balance_inhibition(net, params, 3)
    narrow = cf.balance_inhibition(net, cast(params, "float32"), 3)
    assert {x.dtype for x in jax.tree.leaves(narrow)} == {jnp.dtype("float32")}
    assert_close(narrow, cast(wide, "float32"), ulps=2**8)
    assert narrow.growth == pytest.approx(float(wide.growth), abs=1e-7)


def test_the_search_holds_mean_rates_that_noise_would_raise():
    net, params = network(W, 1.5, noise=0.01, scheme="euler", bounds="node")
    closed = cf.balance_inhibition(net, params, 3)
    found = cf.search_inhibition(net, params, 3, jax.random.key(1), rounds=30, steps=4000)
    assert 1000 * found.rates == pytest.approx(np.full(3, 3.0), abs=0.15)

    def mean_rates(params):
        state = net.init(closed.x, params, key=jax.random.key(2))
        _, rates = cf.simulate(net, state, params, 100_000, record="rate_e", every=10)
        return 1000 * np.asarray(rates).mean(0)

    assert mean_rates(closed.params).mean() > 3.6
    assert mean_rates(found.params) == pytest.approx(np.full(3, 3.0), abs=0.25)
    # Without noise the same inhibition rests at a lower rate, and is stable.
    assert found.growth < 0
    assert (found.x.S_e < closed.x.S_e).all()


def test_what_cannot_be_balanced_is_refused_in_words():
    net, params = network()
    with refuses(match="must be of the node cf.nodes.wong_wang_exc_inh"):
        cf.balance_inhibition(cf.Network(cf.nodes.hopf, dt=1.0), params, 3)
    with refuses(match="`rate` cannot be held: region 1 of 3 is too weakly excited"):
        cf.balance_inhibition(net, params, 3, np.array([0.003, 0.2, 0.003]))
    with refuses(match="its input on 'S_e' varies in time"):
        cf.balance_inhibition(*network(external={"S_e": cf.stimuli.Sine(0.1)}), 3)
    wires = {"a": cf.Wire("S_e", into="S_e"), "b": cf.Wire("S_i", into="S_i")}
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, couplings=wires)
    with refuses(match="coupling 'b' drives S_i by 'S_i'"):
        cf.balance_inhibition(net, params, 3)
    net, params = network(noise=0.01)
    with refuses(match="`rounds` must be 2 or more"):
        cf.search_inhibition(net, params, 3, jax.random.key(0), rounds=1)


@pytest.mark.thorough
@pytest.mark.optimised
@pytest.mark.skipif(
    "COUPLING_FN_CONNECTOME" not in os.environ, reason="it names no real connectome"
)
def test_a_real_connectome_is_held_at_3_hz_near_the_point_where_its_balance_ends():
    conn = np.asarray(cf.load_connectome(os.environ["COUPLING_FN_CONNECTOME"]).weights)
    conn = conn / np.abs(np.linalg.eigvals(conn)).max()
    regions = len(conn)
    net, params = network(conn, 1.2, noise=0.01, scheme="euler", bounds="node")
    closed = cf.balance_inhibition(net, params, regions)
    found = cf.search_inhibition(net, params, regions, jax.random.key(0))
    assert 1000 * found.rates == pytest.approx(np.full(regions, 3.0), abs=0.1)
    assert (found.params.node.J_i > closed.params.node.J_i).all()
