"""Metastability over coupling and delay.

Kuramoto oscillators near 40 Hz are coupled with delays, as in [Cabral et al., NeuroImage 90 (2014)
423](https://doi.org/10.1016/j.neuroimage.2013.11.047). Where k is small, regions are independent,
and the order parameter is low. It is high where k is large and delays suit. In between, groups form
and dissolve, and it varies most. Longer delays put that off to larger k, and at the shortest one
synchrony stays partial. Each number is the mean of runs with other frequencies and other starts.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, DT, EVERY = 24, 1.0, 5
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="row")
length = connectome.lengths[jnp.triu_indices(REGIONS, 1)].mean()  # of a tract [mm]
ks, delays = jnp.geomspace(0.005, 0.5, 8), jnp.array([1.0, 2.0, 4.0, 8.0])  # 1, ms
bounds = cf.lag_bounds(connectome.lengths, speed=length / delays, dt=DT, weights=W)
net = cf.Network(cf.nodes.kuramoto, dt=DT, lag_bounds=bounds, scheme="euler")
node, coupling = cf.nodes.KuramotoParams(), cf.KuramotoCoupling(W)
params = cf.Params(node, coupling, lengths=connectome.lengths, speed=1.0)
draws = jax.random.split(jax.random.key(1), 8)


def phases(k, delay, key):
    """Return 5 s of phases, after 1 s that is left out, at random frequencies from a random start."""
    ours, start = jax.random.split(key)
    omega = 2 * jnp.pi * (0.040 + 0.003 * jax.random.normal(ours, (REGIONS,)))
    p = eqx.tree_at(
        lambda p: (p.node.omega, p.coupling.k, p.speed), params, (omega, k, length / delay)
    )
    theta = jax.random.uniform(start, (REGIONS,), minval=-jnp.pi, maxval=jnp.pi)
    state = net.init(cf.nodes.KuramotoState(theta), p)
    return cf.simulate(net, state, p, steps=6000, record="theta", every=EVERY)[1][200:]


def measure(v):
    """Return synchrony and metastability, each the mean of all draws."""
    runs = jax.vmap(lambda key: phases(v["k"], v["delay"], key))(draws)
    both = jax.vmap(lambda x: (cf.observe.synchrony(x), cf.observe.metastability(x)))(runs)
    return jax.tree.map(jnp.mean, both)


found = cf.sweep(measure, cf.grid(k=ks, delay=delays), progress=False)
synchrony, values = (x.reshape(len(ks), len(delays)) for x in found)
best, at = (int(i) for i in jnp.unravel_index(values.argmax(), values.shape))

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
names = ("coupling strength k [1]", "mean delay [ms]")
cf.plot.heat_map(ks, delays, synchrony, "synchrony [1]", left, names=names)
mark = (float(ks[best]), float(delays[at]))
cf.plot.heat_map(ks, delays, values, "metastability [1]", middle, mark, names=names)
for ax in (left, middle):
    ax.set_yscale("log")
    ax.set_yticks(delays, labels=[f"{delay:g}" for delay in delays], minor=False)
    ax.set_yticks([], minor=True)
times = EVERY * DT * jnp.arange(1000) / 1000
for place, colour in ((0, "C0"), (best, "C1"), (-1, "C2")):
    order = cf.observe.kuramoto_order_parameter(phases(ks[place], delays[at], draws[0]))
    right.plot(times, order, color=colour, label=f"k = {ks[place]:.3g}")
right.set(xlabel="time [s]", ylabel=f"order parameter at {delays[at]:g} ms [1]", ylim=(0, 1))
right.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
figure.savefig("metastability.png", dpi=120)
print(
    f"Metastability is largest, {values[best, at]:.2f}, at k = {ks[best]:.3f} and a mean delay of "
    f"{delays[at]:g} ms, where synchrony is {synchrony[best, at]:.2f}; at that delay it is "
    f"{values[0, at]:.2f} at the smallest k and {values[-1, at]:.2f} at the largest."
)
