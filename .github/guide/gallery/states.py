"""Recurring states of phase alignment.

The leading eigenvectors of phase coherence of a network near its critical k are clustered into
states (LEiDA, [Cabral et al., Sci. Rep. 7 (2017)
5135](https://doi.org/10.1038/s41598-017-05425-7)). In the most frequent one nearly all regions are
in phase; in the others a group of regions is opposed to the rest, and such groups are of strongly
connected regions. States last longer than in a random order, if only because what is in a narrow
band changes slowly.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, STATES, EVERY, PERIOD = 20, 4, 5, 50.0  # numbers, steps of 1 ms, ms
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="symmetric")
lags = cf.lags(connectome.lengths, speed=20.0, dt=1.0, weights=W)
net = cf.Network(cf.nodes.hopf, dt=1.0, lags=lags)
params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W, k=0.018), noise=0.001)
state = net.init(cf.nodes.HopfState(*jnp.zeros((2, REGIONS))), params, key=jax.random.key(1))
x = cf.simulate(net, state, params, steps=121_000, record="x", every=EVERY)[1]
alpha = cf.observe.bandpass(x[100:], dt=EVERY, low=8.0, high=12.0)
phases = cf.observe.instantaneous_phase(alpha)[50:-50]
patterns = cf.observe.leading_eigenvectors(phases)[:: round(PERIOD / EVERY)]
found = cf.observe.kmeans(patterns, STATES, key=jax.random.key(2), distance="cosine", restarts=10)
often = cf.observe.fractional_occupancy(found.labels, STATES)
moves = cf.observe.transition_matrix(found.labels, STATES)
lasting = cf.observe.dwell_times(found.labels, STATES, dt=PERIOD)
shuffled = jax.random.permutation(jax.random.key(3), found.labels)
by_chance = cf.observe.dwell_times(shuffled, STATES, dt=PERIOD)

# How strongly are regions connected that are on the same side against the rest?
opposed = found.centroids > 0
pairs = (opposed[:, :, None] & opposed[:, None, :]).any(axis=0) & ~jnp.eye(REGIONS, dtype=bool)
stronger = W[pairs].mean() / W[~jnp.eye(REGIONS, dtype=bool)].mean()

figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), layout="constrained")
limit = float(jnp.abs(found.centroids).max())
shown = axes[0].imshow(found.centroids.T, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
axes[0].set(xlabel="state", ylabel="region", title="leading eigenvectors", xticks=range(STATES))
axes[0].set_yticks(range(REGIONS), labels=connectome.labels, fontsize=7)
figure.colorbar(shown, ax=axes[0], label="element of the eigenvector [1]")
numbers = jnp.arange(STATES)
axes[1].bar(numbers - 0.2, lasting, 0.4, label="in the order that they come in")
axes[1].bar(numbers + 0.2, by_chance, 0.4, color="0.7", label="in a random order")
axes[1].set(xlabel="state", ylabel="mean time that it lasts [ms]", xticks=range(STATES))
axes[1].set_title(f"share of time: {', '.join(f'{100 * share:.0f} %' for share in often)}")
axes[1].legend(frameon=False)
image = axes[2].imshow(moves, vmin=0, vmax=1)
axes[2].set(xlabel="from state", ylabel="to state", title=f"transitions within {PERIOD:g} ms")
axes[2].set(xticks=range(STATES), yticks=range(STATES))
figure.colorbar(image, ax=axes[2], label="probability [1]")
figure.savefig("states.png", dpi=120)
top = int(often.argmax())
print(
    f"The most frequent state, {top}, fills {100 * often[top]:.0f} % of the time and lasts "
    f"{lasting[top]:.0f} ms, by chance {by_chance[top]:.0f} ms; regions opposed to the rest are "
    f"{stronger:.1f} times as strongly connected as any two."
)
