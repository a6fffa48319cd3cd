"""BOLD of balanced regions over the strength of coupling.

In the dynamic mean field model of [Deco et al., J. Neurosci. 34 (2014)
7886](https://doi.org/10.1523/JNEUROSCI.5068-13.2014), regions that all have the same inhibition
fire more and more as the global coupling G grows. Inhibition that is balanced anew at each G holds
them near 3 Hz over a wide range. A little below the G at which balance becomes unstable, noise
carries the network out of it, and there the functional connectivity (FC) of BOLD is largest. BOLD
and rates are measured along with the run, so that no activity is kept.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, TR, VOLUMES, WARM_UP = 16, 1000.0, 600, 40  # regions, ms, and numbers of volumes
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="symmetric")
net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, scheme="euler", bounds="node")
params = cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(W), noise=0.005)


def balanced(G):
    """Return the inhibition at which every region fires at 3 Hz without noise."""
    at_G = eqx.tree_at(lambda p: p.coupling.k, params, G)
    return cf.balance_inhibition(net, at_G, regions=REGIONS)


def run(v):
    """Return the mean rate of each region and the FC of BOLD, with inhibition of two kinds."""
    rest = balanced(v["G"])
    inhibition = jnp.where(v["own"], rest.params.node.J_i, 1.0)
    p = eqx.tree_at(lambda p: p.node.J_i, rest.params, inhibition)
    state = net.init(rest.x, p, key=jax.random.key(1))
    measure = {
        "rate": cf.observe.Averaged("rate_e"),
        "bold": cf.observe.BalloonBold("S_e", TR, rest=rest.x.S_e),
    }
    steps, warm_up = round(VOLUMES * TR), round(WARM_UP * TR)
    seen = cf.simulate(net, state, p, steps + warm_up, measure=measure, warm_up=warm_up)[1]
    fc = cf.observe.functional_connectivity(seen["bold"])
    return 1000 * seen["rate"], fc[pairs]


pairs = jnp.triu_indices(REGIONS, 1)
fine = jnp.linspace(0.0, 2.0, 201)
critical = float(fine[(jax.vmap(balanced)(fine).growth > 0).argmax()])  # where balance ends
strengths = jnp.linspace(0.1, 1.0, 10) * critical
rates, fcs = cf.sweep(run, cf.grid(G=strengths, own=jnp.array([False, True])), progress=False)
rates = rates.reshape(len(strengths), 2, REGIONS)
fcs = fcs.reshape(len(strengths), 2, -1)

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for n, name in ((0, "the same inhibition"), (1, "balanced inhibition")):
    for ax, x in zip(axes, (rates[:, n], fcs[:, n]), strict=True):
        low, middle, high = jnp.quantile(x, jnp.array([0.1, 0.5, 0.9]), axis=1)
        ax.fill_between(strengths, low, high, color=f"C{n}", alpha=0.2, lw=0)
        ax.plot(strengths, middle, f"C{n}o-", ms=4, label=name)
for ax in axes:
    ax.axvline(critical, color="0.4", ls=":", lw=1, label="balance becomes unstable")
    ax.set(xlabel="global coupling G [1]")
axes[0].set(ylabel="firing rate of regions [Hz]", yscale="log")
axes[0].set_yticks([3, 5, 10, 20, 50], labels=["3", "5", "10", "20", "50"])
axes[0].yaxis.set_minor_formatter("")
axes[1].set(ylabel="FC of BOLD of pairs [1]")
axes[0].legend(frameon=False, fontsize=8)
axes[0].set_title("median and the middle 80 % of regions", fontsize=10)
axes[1].set_title("median and the middle 80 % of pairs", fontsize=10)
figure.savefig("bold_balance.png", dpi=120)
same, own = rates.mean(axis=2).T
fc = fcs.mean(axis=2)[:, 1]
print(
    f"The mean rate stays below 4 Hz up to G = {strengths[own < 4].max():.2f} with balanced inhibition, "
    f"and up to {strengths[same < 4].max():.2f} with the same inhibition for all; with balance the mean "
    f"FC of BOLD is largest, {fc.max():.2f}, at G = {strengths[fc.argmax()]:.2f}."
)
