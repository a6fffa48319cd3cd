"""A pulse travels through the connectome.

One region is stimulated for 10 ms, as in [Spiegler et al., eNeuro 3
(2016)](https://doi.org/10.1523/ENEURO.0068-16.2016), and the others answer one after the other.
Where the direct tract is strong, the answer comes a few milliseconds after the delay of that tract.
Where it is weak, most of the answer comes later, by way of other regions. On the left each row is
scaled by itself, so that weak answers can be seen.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm

import coupling_fn as cf

REGIONS, DT, EVERY, SPEED, ONSET = 30, 0.2, 5, 4.0, 20.0  # ms, steps, mm/ms, ms
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="row")
lags = cf.lags(connectome.lengths, speed=SPEED, dt=DT, weights=W)
net = cf.Network(cf.nodes.hopf, dt=DT, lags=lags)
pulse = cf.stimuli.Step(0.5, onset=ONSET, duration=10.0, rise=2.0, pattern=jnp.eye(REGIONS)[0])
node, coupling = cf.nodes.HopfParams(a=-0.05), cf.AdditiveCoupling(W, k=0.03)
params = cf.Params(node, coupling, external={"x": pulse})
state = net.init(cf.nodes.HopfState(*jnp.zeros((2, REGIONS))), params)
_, x = cf.simulate(net, state, params, steps=1000, record="x", every=EVERY)
times = EVERY * DT * jnp.arange(1, len(x) + 1)
arrivals = cf.observe.arrival_times(x, dt=EVERY * DT, onset=ONSET)
delays, weights = connectome.lengths[1:, 0] / SPEED, W[1:, 0]  # of the tracts from region 0

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
cf.plot.evoked(times, x, arrivals, onset=ONSET, ax=left)
dots = right.scatter(delays, arrivals[1:], c=weights, norm=LogNorm(), cmap="viridis_r", ec="0.3")
right.axline((0, 0), slope=1, color="0.4", ls=":", label="as soon as the tract allows")
right.set(xlabel="delay of the tract from region 0 [ms]", ylabel="arrival after the onset [ms]")
right.set(xlim=(0, None), ylim=(0, None))
right.legend(frameon=False, loc="upper left")
figure.colorbar(dots, ax=right, label="weight of that tract [1]")
figure.savefig("evoked.png", dpi=120)
order = 1 + jnp.argsort(arrivals[1:])  # without the stimulated region
first, last = int(order[0]), int(order[-1])
print(
    f"Of the regions that are not stimulated, region {first} answers first, after "
    f"{arrivals[first]:.0f} ms, of which its tract takes {delays[first - 1]:.0f} ms; region {last} "
    f"answers last, after {arrivals[last]:.0f} ms, where its tract takes {delays[last - 1]:.0f} ms."
)
