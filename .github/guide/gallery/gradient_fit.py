"""Fit k by gradient, and say how sure it is.

A delayed network of Hopf oscillators is fitted to noisy signals of itself, from four starts at
once; the standard error of k then follows from the derivatives of the signals. If these errors are
right, about 95 of 100 intervals hold the truth: the fit is repeated for other draws of the noise.
How sure a fit is belongs beside its result, as in [Raue et al., Bioinformatics 25 (2009)
1923](https://doi.org/10.1093/bioinformatics/btp358).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import coupling_fn as cf

REGIONS, NOISE, TRUTH, SETS = 12, 0.1, 0.05, 40
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="row")
lags = cf.lags(connectome.lengths, speed=5.0, dt=0.5, weights=W)
net = cf.Network(cf.nodes.hopf, dt=0.5, lags=lags)
omega = 2 * jnp.pi * jnp.linspace(0.008, 0.012, REGIONS)  # 8 to 12 Hz
params = cf.Params(cf.nodes.HopfParams(a=0.01, omega=omega), cf.DiffusiveCoupling(W, k=TRUTH))
x0 = cf.nodes.HopfState(*0.3 * jax.random.normal(jax.random.key(1), (2, REGIONS)))
state = net.init(x0, params, history=0.0)


def signals(p):
    """Return 150 ms of x of all regions."""
    return cf.simulate(net, state, p, steps=300, record="x", derivative="forward")[1]


def residuals(both):
    """Return what is left of the data; they are a leaf, so that all data share one program."""
    return signals(both["params"]) - both["data"]


def loss(both):
    """Return the mean square of the residuals."""
    return jnp.mean(residuals(both) ** 2)


def strength(both):
    """Return what is fitted."""
    return both["params"].coupling.k


def fitted(draw, **how):
    """Fit k to signals with one draw of the noise; return the fit and how sure it is."""
    data = signals(params) + NOISE * jax.random.normal(draw, (300, REGIONS))
    start = eqx.tree_at(strength, {"params": params, "data": data}, jnp.asarray(0.02))
    how |= {"optimizer": adam, "transform": cf.transforms.positive(), "progress": False}
    found = cf.fit(loss, start, where=strength, steps=60, **how)
    return found, cf.uncertainty(residuals, found.params, where=strength, noise=NOISE)


adam = optax.adam(0.1)
draws = jax.random.split(jax.random.key(2), SETS)
found, first = fitted(draws[0], starts=4, key=jax.random.key(3), spread=1.0)
every = [first] + [fitted(draw)[1] for draw in draws[1:]]
k, low, high = (
    jnp.array([getattr(x, end) for x in every]) for end in ("estimate", "lower", "upper")
)
holds = (low < TRUTH) & (high > TRUTH)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for n, (losses, end) in enumerate(zip(found.starts.losses, found.starts.best, strict=True)):
    left.plot(jnp.sqrt(losses), label=f"start {n + 1}, to k = {end:.4f}")
left.axhline(NOISE, color="0.4", ls=":", lw=1, label="noise of the data")
left.set(xlabel="step of the fit", ylabel="rmse of the signals [1]")
left.legend(frameon=False, fontsize=8)
for inside, colour, name in ((True, "C0", "hold"), (False, "C1", "miss")):
    which = jnp.flatnonzero(holds == inside)
    bars = jnp.stack([k - low, high - k])[:, which]
    right.errorbar(which + 1, k[which], bars, fmt="o", ms=3, color=colour, label=f"{name} it")
right.axhline(TRUTH, color="0.4", ls=":", lw=1, label="truth")
right.set(xlabel="draw of the noise", ylabel="k with its 95 % interval [1/ms]")
right.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
figure.savefig("gradient_fit.png", dpi=120)
print(
    f"k is {k[0]:.4f}, within {low[0]:.4f} to {high[0]:.4f}; the truth is {TRUTH}. "
    f"{int(holds.sum())} of {SETS} intervals hold it, where {0.95 * SETS:g} are expected."
)
