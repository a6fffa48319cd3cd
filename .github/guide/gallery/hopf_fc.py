"""Structure, function, and the k between them.

Hopf oscillators below their bifurcation, driven by noise and coupled with delays, turn structural
connectivity into functional connectivity (FC), as in [Deco et al., Sci. Rep. 7 (2017)
3095](https://doi.org/10.1038/s41598-017-03073-5). Regions that are weakly coupled are nearly
independent; from the critical k on they oscillate together. From a target FC, simulated at a known
k with noise of its own, `find_k` finds that k by a scan and a gradient. The rmse of FC is smallest
near it; the correlation of both FCs, which does not see how strong they are, hardly changes around
it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS = 24
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="symmetric")
lags = cf.lags(connectome.lengths, speed=20.0, dt=1.0, weights=W)
net = cf.Network(cf.nodes.hopf, dt=1.0, lags=lags)
params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W), noise=0.001)
rest = cf.nodes.HopfState(*jnp.zeros((2, REGIONS)))
critical = cf.critical_k(net, params, rest, 0.0, 0.1)
truth = 0.85 * critical


def signals(k, seed=0):
    """Return 30 s of x, after half a second that is left out."""
    p = eqx.tree_at(lambda p: p.coupling.k, params, k)
    state = net.init(rest, p, key=jax.random.key(seed))
    return cf.simulate(net, state, p, steps=30_500, record="x", every=5)[1][100:]


target = cf.observe.functional_connectivity(signals(truth, seed=1))
ks = critical * jnp.linspace(0.2, 1.1, 10)
search = cf.find_k(signals, target, ks=ks, fit_steps=5, progress=False)
fc = cf.observe.functional_connectivity(signals(search.k))
agreement = cf.observe.fc_correlation(fc, target)

figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), layout="constrained")
cf.plot.connectome(connectome, ax=axes[0])
both = jnp.triu(target) + jnp.tril(fc, -1)
cf.plot.fc(
    both, ax=axes[1], title="FC: target above the diagonal, fit below", labels=connectome.labels
)
curves = {"correlation with the target FC": search.fc_correlation, "rmse": search.fc_rmse}
cf.plot.sweep(ks, curves, ax=axes[2], best=search.k)
axes[2].axvline(truth, color="0.4", lw=1, ls=":", label="truth")
axes[2].axvline(critical, color="0.4", lw=1, label="critical k")
axes[2].legend(frameon=False, fontsize=8, loc=(0.02, 0.16))
axes[2].set(xlabel="coupling strength k [1/ms]", ylabel="correlation, or rmse [1]", ylim=(0, 1))
figure.savefig("hopf_fc.png", dpi=120)
print(
    f"k is found at {search.k:.4f}; the truth is {truth:.4f}, and the critical k {critical:.4f}. "
    f"The FC found correlates with the target by {agreement:.2f}."
)
