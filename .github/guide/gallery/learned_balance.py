"""Inhibition that learns.

In the dynamic mean field model of [Deco et al., J. Neurosci. 34 (2014)
7886](https://doi.org/10.1523/JNEUROSCI.5068-13.2014) every region is to fire at 3 Hz. The
plasticity of [Vogels et al., Science 334 (2011) 1569](https://doi.org/10.1126/science.1211095)
strengthens the inhibition of regions that fire more, and weakens that of regions that fire less.
From an arbitrary start rates go to 3 Hz, and inhibition to what `balance_inhibition` computes by a
formula: the stronger a region is excited, the more of it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, STEPS, STRETCH = 16, 8000, 100  # regions, and steps of 1 ms
W = cf.normalize(cf.synthetic_connectome(REGIONS, jax.random.key(0)).weights, by="max")
net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
params = cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(W, k=0.4))
computed = cf.balance_inhibition(net, params, regions=REGIONS)


def rule(p, seen):
    """Return parameters with more inhibition where both populations fire more than they should."""
    change = (seen["rate_i"] * (seen["rate_e"] - 0.003)).mean(axis=0)  # 3 Hz are 0.003 kHz
    return eqx.tree_at(lambda p: p.node.J_i, p, p.node.J_i + 4e3 * change)


start = eqx.tree_at(lambda p: p.node.J_i, params, jnp.linspace(0.95, 1.1, REGIONS))
learned = cf.adapt(
    net,
    net.init(computed.x, start),
    start,
    STEPS,
    rule=rule,
    stretch=STRETCH,
    record=("rate_e", "rate_i"),
    watch=lambda p, seen: (p.node.J_i, 1000 * seen["rate_e"].mean(axis=0)),
)
inhibition, rates = learned.watched
wanted = computed.params.node.J_i
seconds = STRETCH / 1000 * jnp.arange(1, len(rates) + 1)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
order = jnp.argsort(wanted)
colours = plt.colormaps["viridis"](jnp.linspace(0, 0.95, REGIONS))
for region, colour in zip(order, colours, strict=True):
    left.plot(seconds, rates[:, region], color=colour, lw=1)
    right.plot(seconds, inhibition[:, region], color=colour, lw=1)
    right.plot(1.03 * seconds[-1], wanted[region], "<", color=colour, ms=5)
left.axhline(3.0, color="0.4", ls=":", lw=1, label="wanted")
right.plot([], [], "k<", ms=5, label="by the formula")
left.set(xlabel="time [s]", ylabel="firing rate of each region [Hz]")
right.set(xlabel="time [s]", ylabel="inhibition $J_i$ of each region [nA]")
left.legend(frameon=False)
right.legend(frameon=False, loc="upper right")
figure.savefig("learned_balance.png", dpi=120)
error = 100 * jnp.abs(inhibition[-1] / wanted - 1).max()
print(
    f"In the first {seconds[0]:.1f} s rates are {rates[0].min():.1f} to {rates[0].max():.1f} Hz, at the "
    f"end {rates[-1].min():.2f} to {rates[-1].max():.2f} Hz; the inhibition learned is then within "
    f"{error:.2f} % of the formula."
)
