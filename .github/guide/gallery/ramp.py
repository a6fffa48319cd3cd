"""Ramps of k through a Hopf bifurcation and back: without hysteresis, and with it.

The coupling k grows slowly and falls again, as a function of time. Past a supercritical bifurcation (the
Hopf node) the oscillation begins and ends at the same k, up to a delay that slower ramps make shorter.
Past a subcritical one (the generic 2-D oscillator with a negative current) it jumps up after the
bifurcation, and down only where its cycles end: in between, the past decides.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

conn = jnp.array(
    [[0.0, 0.7, 0.3], [0.4, 0.0, 0.6], [0.9, 0.1, 0.0]]
)  # each region receives 1 in all


def amplitudes(net, params, x0, name, low, high, duration, window=400):
    """Return k and the amplitude of a state while k goes from `low` to `high` and back."""
    up = cf.stimuli.Constant(low) + cf.stimuli.Ramp(high - low, duration=duration)
    k = up + cf.stimuli.Ramp(low - high, onset=duration, duration=duration)
    params = cf.Params(params.node, params.coupling, {name: 1e-4}, time_varying={"coupling.k": k})
    state = net.init(x0, params, key=jax.random.key(0))
    steps = round(2 * duration / net.dt / window) * window
    x = cf.simulate(net, state, params, steps, record=name)[1].mean(axis=1).reshape(-1, window)
    times = (jnp.arange(len(x)) + 0.5) * window * net.dt
    return jax.vmap(k)(times), jnp.ptp(x, axis=1) / 2


hopf, generic = cf.nodes.hopf, cf.nodes.generic_2d_oscillator
still, ends = jnp.zeros(3), (5.2, 7.0)
of_hopf = cf.Params(cf.nodes.HopfParams(a=-0.05, omega=0.3), cf.AdditiveCoupling(conn))
of_generic = cf.Params(cf.nodes.Generic2dOscillatorParams(current=-2.0), cf.AdditiveCoupling(conn))
CASES = {
    "Hopf node: supercritical": (hopf, of_hopf, cf.nodes.HopfState(still, still), "x", (0.0, 0.2)),
    "generic 2-D oscillator: subcritical": (
        generic, of_generic, cf.nodes.Generic2dOscillatorState(still - 0.5, still + 3.0), "V", ends
    ),
}  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, (title, (node, params, x0, name, (low, high))) in zip(axes, CASES.items(), strict=True):
    net = cf.Network(node, dt=0.5)
    rest = cf.fixed_point(net, eqx.tree_at(lambda p: p.coupling.k, params, jnp.array(low)), x0)
    for duration, colours in ((10_000.0, ("0.7", "0.7")), (40_000.0, ("C0", "C1"))):
        k, size = amplitudes(net, params, rest, name, low, high, duration)
        half, label = len(k) // 2, f"in {duration / 1000:g} s"
        ax.plot(k[:half], size[:half], color=colours[0], label=f"up, {label}")
        ax.plot(k[half:], size[half:], "--", color=colours[1], label=f"down, {label}")
    critical = cf.critical_k(net, params, rest, low, high)
    ax.axvline(critical, color="0.4", lw=1, ls=":", label="Hopf bifurcation")
    ax.set(title=title, xlabel="k [1]", ylabel=f"amplitude of {name} [1]")
    ax.legend(frameon=False, fontsize=8)
figure.savefig("ramp.png", dpi=120)
