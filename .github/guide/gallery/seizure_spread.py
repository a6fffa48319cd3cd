"""A seizure spreads, and a virtual lesion stops it.

Epileptors in their reduced form ([Proix et al., J. Neurosci. 34 (2014)
15009](https://doi.org/10.1523/JNEUROSCI.1364-14.2014)) are coupled over a connectome, as in [Jirsa
et al., NeuroImage 145 (2017) 377](https://doi.org/10.1016/j.neuroimage.2016.04.049). One region is
epileptogenic; the others have no seizures by themselves. The seizure of the one recruits regions
that its tracts lead to, and these recruit others. Where its strongest tract is cut, fewer are
recruited; where all are cut, it seizes alone.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, FOCUS, DT, EVERY = 12, 3, 0.1, 100
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
whole = cf.normalize(connectome.weights, by="max")
strongest = int(whole[:, FOCUS].argmax())
operations = {
    "whole": whole,
    f"tract of regions {FOCUS} and {strongest} cut": cf.surgery.weaken(
        whole, [(strongest, FOCUS), (FOCUS, strongest)]
    ),
    f"region {FOCUS} cut off": cf.surgery.lesion(whole, FOCUS),
}
excitability = jnp.full(REGIONS, -2.2).at[FOCUS].set(-1.6)  # seizures begin at about -2.06
node = cf.nodes.Epileptor2dParams(x0=excitability)
net = cf.Network(cf.nodes.epileptor_2d, dt=DT)
rest = cf.nodes.Epileptor2dState(jnp.full(REGIONS, -1.6), jnp.full(REGIONS, 3.4))


def run(weights):
    """Return x1 of all regions over 6 s."""
    params = cf.Params(node, cf.DiffusiveCoupling(weights, k=1.0))
    state = net.init(rest, params)
    return cf.simulate(net, state, params, 60_000, record="x1", every=EVERY)[1]


figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), sharey=True, layout="constrained")
seized = {}
for ax, (name, weights) in zip(axes, operations.items(), strict=True):
    x1 = run(weights)
    cf.plot.signals(EVERY * DT * jnp.arange(1, len(x1) + 1), x1, ax=ax)
    seized[name] = int((x1.max(axis=0) > 0).sum())
    ax.set_title(f"seizing, {name}: {seized[name]} of {REGIONS}")
    ax.set_ylabel("region" if ax is axes[0] else "")
figure.savefig("seizure_spread.png", dpi=120)
counts = ", ".join(f"{count} ({name})" for name, count in seized.items())
print(f"Regions that seize, of {REGIONS}: {counts}.")
