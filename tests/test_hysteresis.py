"""Ramps of k through Hopf bifurcations and back: where theory lets oscillations begin and end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coupling_fn as cf

# Each region receives 1 in all: the mode in which all regions do the same loses its stability first.
CONN = np.array([[0.0, 0.7, 0.3], [0.4, 0.0, 0.6], [0.9, 0.1, 0.0]])
DT, WINDOW = 0.5, 400
FAST, SLOW = 10_000.0, 40_000.0  # [ms]


def ramps(node, params, x0, name, low, high, noise=1e-4):
    """Return k and amplitudes in windows of 200 ms, of the slow ramp and of the fast: up, then down."""
    net = cf.Network(node, dt=DT)
    state = net.init(
        x0, cf.Params(params, cf.AdditiveCoupling(CONN), noise={name: noise}), key=jax.random.key(0)
    )

    def run(duration):
        up = cf.stimuli.Constant(low) + cf.stimuli.Ramp(high - low, duration=duration)
        k = up + cf.stimuli.Ramp(low - high, onset=duration, duration=duration)
        ramped = cf.Params(
            params, cf.AdditiveCoupling(CONN), {name: noise}, time_varying={"coupling.k": k}
        )
        x = cf.simulate(net, state, ramped, int(2 * SLOW / DT), record=name)[1]
        x = x.mean(axis=1).reshape(-1, WINDOW)
        times = (np.arange(len(x)) + 0.5) * WINDOW * DT
        return jax.vmap(k)(times), jnp.ptp(x, axis=1) / 2

    k, size = jax.jit(jax.vmap(run))(jnp.array([SLOW, FAST]))
    ends = [round(duration / (WINDOW * DT)) for duration in (SLOW, FAST)]
    return [
        ((k[n, :end], size[n, :end]), (k[n, end : 2 * end], size[n, end : 2 * end]))
        for n, end in enumerate(ends)
    ]


def crossed(branch, level):
    """Return the first k of a branch at which its amplitude is on the other side of a level."""
    k, size = map(np.asarray, branch)
    return k[np.argmax((size > level) != (size[0] > level))]


def test_a_supercritical_bifurcation_has_no_hysteresis_but_for_the_delay_of_the_ramp():
    a, low, high = -0.05, 0.0, 0.2
    x0 = cf.nodes.HopfState(jnp.full(3, 1e-4), jnp.zeros(3))
    slow, fast = ramps(cf.nodes.hopf, cf.nodes.HopfParams(a=a, omega=0.3), x0, "x", low, high)
    begins, ends = crossed(slow[0], 0.05), crossed(slow[1], 0.05)
    # Both signals are coupled, and the amplitude of the mode in step is sqrt(a + k), for k above -a.
    for k, size in slow:
        far = np.asarray(k) > begins + 0.01
        np.testing.assert_allclose(size[far], np.sqrt(np.asarray(k)[far] + a), rtol=0.02)
    # On its way up the rate a + k has to gain what noise is below the oscillation: the integral of
    # (k + a) over time is ln(0.05 / noise), so the delay in k goes with the root of the ramp's speed.
    level = np.log(0.05 / 2e-3)
    for (up, _), duration in ((slow, SLOW), (fast, FAST)):
        delay = crossed(up, 0.05) + a
        wanted = np.sqrt(2 * level * (high - low) / duration)
        assert 0.6 * wanted < delay < 1.5 * wanted
    widths = [crossed(up, 0.05) - crossed(down, 0.05) for up, down in (slow, fast)]
    assert 0 < begins - ends < 0.02 and widths[0] < 0.65 * widths[1]


@pytest.fixture(scope="module")
def subcritical():
    params = cf.nodes.Generic2dOscillatorParams(current=-2.0)
    x0 = cf.nodes.Generic2dOscillatorState(jnp.full(3, -0.5), jnp.full(3, 3.0))
    net = cf.Network(cf.nodes.generic_2d_oscillator, dt=DT)
    hopf = cf.bifurcation(net, cf.Params(params, cf.AdditiveCoupling(CONN)), x0, 5.2, 7.0)
    return params, hopf, x0


def end_of_cycles(current, gains, d=0.02, h=1.0, turns=12_000):
    """Return the smallest gain of V onto itself at which a large cycle of one node is still there."""
    V, W = np.full_like(gains, 3.0), np.zeros_like(gains)

    def rate(V, W):
        return d * (-(V**3) + 3 * V**2 + gains * V + W + current), d * (-2 - 10 * V - W)

    largest = np.zeros_like(gains)
    for n in range(turns):
        k1 = rate(V, W)
        k2 = rate(V + h / 2 * k1[0], W + h / 2 * k1[1])
        k3 = rate(V + h / 2 * k2[0], W + h / 2 * k2[1])
        k4 = rate(V + h * k3[0], W + h * k3[1])
        V = V + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        W = W + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
        largest = np.maximum(largest, V) if n > turns - 400 else largest
    return gains[largest > 1.0].min()


def test_a_subcritical_bifurcation_has_hysteresis_down_to_where_cycles_end(
    subcritical,
):
    params, hopf, x0 = subcritical
    # The trace of the linear part is 0: k = 1 + 3 V^2 - 6 V, in the rest V of that k.
    (V,) = (r.real for r in np.roots([2.0, -3.0, -9.0, -4.0]) if abs(r + 0.6) < 0.1)
    critical = 1 + 3 * V**2 - 6 * V
    assert hopf.kind == "hopf"
    np.testing.assert_allclose(float(hopf.value), critical, rtol=1e-6)
    assert (3 - 3 * V) ** 2 > 1.5 * 9  # the first Lyapunov coefficient is positive: subcritical
    fold = end_of_cycles(-2.0, np.linspace(5.2, 6.0, 161))
    slow, fast = ramps(cf.nodes.generic_2d_oscillator, params, x0, "V", 5.2, 7.0)
    ups, downs = ([crossed(ramp[n], 1.5) for ramp in (slow, fast)] for n in (0, 1))
    # Up: past the Hopf point, by a delay that goes with the root of the ramp's speed.
    assert critical < ups[0] < ups[1]
    assert 0.35 < (ups[0] - critical) / (ups[1] - critical) < 0.75
    # Down: at the fold of cycles, far below the Hopf point.
    assert abs(downs[0] - fold) < 0.05
    assert abs(downs[0] - fold) <= abs(downs[1] - fold) + 0.01
    assert critical - downs[0] > 0.5
    # In between the past decides: rest on the way up, a cycle on the way down.
    for (k, size), at_rest in zip(slow, (True, False), strict=True):
        k, size = np.asarray(k), np.asarray(size)
        between = (k > fold + 0.1) & (k < critical)
        assert (size[between] < 0.05).all() if at_rest else (size[between] > 2.5).all()
