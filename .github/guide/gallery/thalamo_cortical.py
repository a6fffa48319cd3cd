"""A thalamus below the cortex, and a projection's strength read off a spectrum.

84 Wilson–Cowan regions and one thalamus, each with its own model, are coupled both ways with delays.
Under weak noise the spectrum of the relay cells follows from the equations; a simulation agrees, and the
strength of the cortico-thalamic projection is found by gradient from that spectrum.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import coupling_fn as cf

REGIONS, DT, TRUTH = 84, 0.1, 1.0
cortex, thalamus = cf.nodes.wilson_cowan, cf.nodes.thalamus
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
tracts = jnp.linspace(40.0, 90.0, REGIONS)  # from each region to the thalamus [mm]
relay = cf.SigmoidalJansenRitCoupling(  # sends the firing rate of relay cells, from their potential
    jnp.ones((REGIONS, 1)), 60.0, cmin=0.0, cmax=0.4, midpoint=-58.5, r=0.3023
)
couplings = {
    "within": cf.AdditiveCoupling(cf.normalize(connectome.weights, by="row"), k=0.5),
    "up": relay,
    "down": cf.AdditiveCoupling(jnp.full((1, REGIONS), 1 / REGIONS), k=TRUTH),
}
wires = {
    "within": cf.Wire("cortex.E", into="cortex.E"),
    "up": cf.Wire("thalamus.V_t", into="cortex.E"),
    "down": cf.Wire("cortex.E", into="thalamus.ds_er"),
}
lengths = {"within": connectome.lengths, "up": tracts[:, None], "down": tracts[None]}
lags = {name: cf.lags(each, speed=10.0, dt=DT) for name, each in lengths.items()}
net = cf.Network(cf.hybrid.node(cortex=cortex, thalamus=thalamus), DT, couplings=wires, lags=lags)
node = {"cortex": cortex.Params(P=0.7), "thalamus": thalamus.Params()}
params = cf.Params(node, couplings, noise={"cortex.E": 0.002})
below = thalamus.State(*jnp.zeros((15, 1)))._replace(V_t=jnp.full(1, -64.0), V_r=jnp.full(1, -62.0))
x0 = {"cortex": cortex.State(*jnp.full((2, REGIONS), 0.3)), "thalamus": below}
hertz = jnp.array([2.0, 4.0, 7.0, 10.0, 14.0, 20.0, 30.0, 45.0])


@jax.jit
def spectrum(k):
    """Return the logarithm of the power of the relay cells at each frequency, for a strength k."""
    p = eqx.tree_at(lambda p: p.coupling["down"].k, params, k)
    density = cf.cross_spectrum(net, p, cf.fixed_point(net, p, x0), hertz, signal="thalamus.V_t")
    return jnp.log10(density[:, 0, 0].real)


ks = jnp.array([0.1, 0.3, 1.0, 3.0])
swept, target = [spectrum(k) for k in ks], spectrum(TRUTH)
found = cf.fit(
    lambda k: jnp.mean((spectrum(k) - target) ** 2),
    0.2,
    where=lambda k: k,
    optimizer=optax.adam(0.2),
    steps=40,
    transform=cf.transforms.positive(),
    progress=False,
)
state = net.init(cf.fixed_point(net, params, x0), params, key=jax.random.key(1))
_, V = cf.simulate(net, state, params, steps=200_000, record="thalamus.V_t", every=50)
seen = cf.observe.power_spectrum(V[1000:], dt=5.0, window=1000.0)

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for k, power in zip(ks, swept, strict=True):
    ax.plot(hertz, power, "o-", label=f"k = {k:g}")
ax.plot(seen[0][1:60], jnp.log10(seen[1][1:60, 0]), color="0.3", lw=1, label="simulated, k = 1")
ax.set(xlabel="frequency, Hz", ylabel="log10 power of relay cells, mV²/Hz", xscale="log")
ax.legend(frameon=False)
figure.savefig("thalamo_cortical.png", dpi=120)
print(f"The cortico-thalamic k is found at {found.params:.2f}; the truth is {TRUTH:.2f}.")
