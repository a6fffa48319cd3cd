"""A thalamus below the cortex, and a projection's strength read off a spectrum.

Wilson–Cowan regions and one thalamus, each with its own model, coupled both ways with delays. The study
sweeps the strength of the cortico-thalamic projection, and finds it by gradient from a spectrum.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import coupling_fn as cf

REGIONS, DT, STEPS, EVERY = 8, 0.1, 12_000, 20
cortex, thalamus = cf.nodes.wilson_cowan, cf.nodes.thalamus
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
tracts = jnp.linspace(40.0, 90.0, REGIONS)  # from each region to the thalamus [mm]
relay = cf.SigmoidalJansenRitCoupling  # sends the firing rate of relay cells, from their potential
relay = relay(jnp.ones((REGIONS, 1)), 20.0, cmin=0.0, cmax=0.4, midpoint=-58.5, r=0.3023)
couplings = {
    "within": cf.AdditiveCoupling(cf.normalize(connectome.weights, by="row"), k=0.5),
    "up": relay,
    "down": cf.AdditiveCoupling(jnp.full((1, REGIONS), 1 / REGIONS), k=0.2),
}
wires = {
    "within": cf.Wire("cortex.E", into="cortex.E"),
    "up": cf.Wire("thalamus.V_t", into="cortex.E"),
    "down": cf.Wire("cortex.E", into="thalamus.ds_er"),
}
lengths = {"within": connectome.lengths, "up": tracts[:, None], "down": tracts[None]}
lags = {name: cf.lags(each, speed=10.0, dt=DT) for name, each in lengths.items()}
net = cf.Network(cf.hybrid.node(cortex=cortex, thalamus=thalamus), DT, couplings=wires, lags=lags)
node = {"cortex": cortex.Params(P=1.2), "thalamus": thalamus.Params(g_LK=0.03)}
params = cf.Params(node, couplings)
start = thalamus.State(*jnp.zeros((15, 1)))._replace(V_t=jnp.array([-68.0]), V_r=jnp.array([-68.0]))
E = jnp.linspace(0.05, 0.25, REGIONS)
state = net.init({"cortex": cortex.State(E, E / 2), "thalamus": start}, params)
hertz, t = (
    jnp.linspace(2.0, 60.0, 59),
    jnp.arange(STEPS // EVERY // 2) * EVERY * DT / 1000,
)  # [Hz], [s]
waves = jnp.exp(-2j * jnp.pi * hertz[:, None] * t) * jnp.hanning(len(t))


def mean_activity(k):
    """Return the mean of the cortex in the second half of a run, for a cortico-thalamic k."""
    changed = eqx.tree_at(lambda p: p.coupling["down"].k, params, k)
    seen = cf.simulate(net, state, changed, STEPS, record="cortex.E", every=EVERY)[1]
    return seen[-len(t) :].mean(1)


def spectrum(k):
    """Return the logarithm of its power at each frequency."""
    mean = mean_activity(k)
    return jnp.log10(jnp.abs(waves @ (mean - mean.mean())) ** 2 + 1e-3)


ks, true = jnp.linspace(0.0, 1.0, 5), jnp.array(0.6)
swept, target = cf.sweep(spectrum, ks), spectrum(true)
misfit = jax.jit(lambda k: jnp.mean((spectrum(k) - target) ** 2))
found = cf.fit(misfit, jnp.array(0.5), where=lambda k: k, optimizer=optax.adam(0.01), steps=25)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
left.plot(t, mean_activity(true), lw=0.8)
left.set(xlabel="time [s]", ylabel="mean E", title=f"cortex, k = {true:.1f}")
middle.plot(hertz, swept.T, label=[f"k = {k:.2f}" for k in ks])
middle.set(xlabel="frequency [Hz]", ylabel="log10 power", title="sweep of k")
middle.legend(fontsize=7)
right.plot(found.losses)
right.set(xlabel="step", ylabel="misfit", title=f"fitted k = {found.params:.2f}")
figure.savefig("thalamo_cortical.png", dpi=120)
