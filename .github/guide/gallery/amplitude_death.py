r"""Delays that silence oscillators.

Two equal Stuart–Landau oscillators, coupled with a delay, fall silent in islands of coupling and
delay, though each alone oscillates ([Reddy, Sen and Johnston, Phys. Rev. Lett. 80 (1998)
5109](https://doi.org/10.1103/PhysRevLett.80.5109)). The shores of the islands are where the state
of rest of the linear equations gains or loses its stability, at
$\tau = (n\pi + \beta)/(\omega - q)$ and $\tau = ((n + 1)\pi - \beta)/(\omega + q)$, with
$\beta = \arccos(1 - a/k)$ and $q = \sqrt{2ka - a^2}$. The simulation agrees.
"""

import equinox as eqx
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

DT, A, OMEGA, LENGTH = 0.25, 0.01, 0.3, 10.0  # ms, 1/ms, rad/ms (48 Hz), mm
ks, delays = jnp.linspace(0.005, 0.15, 30), 0.5 * jnp.arange(1, 73)  # 1/ms, ms
W = jnp.array([[0.0, 1.0], [1.0, 0.0]])
lengths = LENGTH * W
bounds = cf.lag_bounds(lengths, speed=LENGTH / delays, dt=DT, weights=W)
net = cf.Network(cf.nodes.stuart_landau, dt=DT, lag_bounds=bounds)
node = cf.nodes.StuartLandauParams(a=A, omega=OMEGA, b=A)  # alone, an amplitude of 1
params = cf.Params(node, cf.DiffusiveCoupling(W), lengths=lengths, speed=1.0)
x0 = cf.nodes.StuartLandauState(jnp.array([0.5, -0.2]), jnp.array([0.1, 0.3]))


def amplitude(v):
    """Return the mean amplitude after 3 s at a k and a speed."""
    p = eqx.tree_at(lambda p: (p.coupling.k, p.speed), params, (v["k"], v["speed"]))
    end = cf.simulate(net, net.init(x0, p), p, steps=12_000, record=None)[0].node
    return jnp.hypot(end.x, end.y).mean()


def shores(k, n):
    """Return the shortest and the longest delay of island n at a k, by the linear equations."""
    beta, q = jnp.arccos(1 - A / k), jnp.sqrt(2 * k * A - A**2)
    return (n * jnp.pi + beta) / (OMEGA - q), ((n + 1) * jnp.pi - beta) / (OMEGA + q)


values = cf.sweep(amplitude, cf.grid(k=ks, speed=LENGTH / delays), progress=False)
values = values.reshape(len(ks), len(delays))
linear = jnp.zeros(values.shape, bool)
names = ("coupling strength k [1/ms]", "delay [ms]")
_, ax = plt.subplots(figsize=(7, 5), layout="constrained")
cf.plot.heat_map(ks, delays, values, "amplitude after 3 s [1]", ax=ax, names=names)
fine = jnp.linspace(0.006, 0.16, 400)
for n in range(4):
    low, high = shores(ks[:, None], n)
    linear |= (low < delays) & (delays < high)
    low, high = shores(fine, n)
    where = low < high
    ax.fill_between(fine, low, high, where=where, fc="none", ec="white", lw=1.5)
ax.plot([], [], color="white", lw=1.5, label="rest is stable, by the linear equations")
ax.set(xscale="linear", yscale="linear")
ax.legend(fontsize=8, facecolor="0.4", labelcolor="white", loc="upper right")
ax.figure.savefig("amplitude_death.png", dpi=120)
silent = values < 0.05
print(
    f"The oscillators are silent at {int(silent.sum())} of {silent.size} points; the linear equations "
    f"agree at {100 * float((silent == linear).mean()):.1f} % of all points."
)
