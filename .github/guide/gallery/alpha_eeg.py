"""Alpha rhythm from columns to electrodes.

Jansen–Rit columns ([Jansen and Rit, Biol. Cybern. 73 (1995)
357](https://doi.org/10.1007/BF00199471)) turn a noisy input into a rhythm near 10 Hz. Electrodes
see the potentials of all regions through a lead field, and each is measured against the mean of
all. Their spectrum has the peak of the regions. Their correlations are not those of the regions:
near electrodes see the same regions and go together, although the regions themselves hardly do. Far
ones are opposed, since the mean of all is taken off.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, SENSORS, DT, PERIOD = 16, 12, 0.5, 4.0  # ms
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="row")
lags = cf.lags(connectome.lengths, speed=5.0, dt=DT, weights=W)
net = cf.Network(cf.nodes.jansen_rit, dt=DT, lags=lags)
noise = cf.noise.OrnsteinUhlenbeck(sigma=0.04, tau=10.0)  # of the input [kHz], and its memory [ms]
coupling = cf.SigmoidalJansenRitCoupling(W, k=8.0)
params = cf.Params(cf.nodes.JansenRitParams(p=0.15), coupling, external={"y4": noise})
state = net.init(cf.nodes.JansenRitState(*jnp.zeros((6, REGIONS))), params, key=jax.random.key(1))

# A stand-in for a forward model: electrodes on a sphere see near regions better than far ones.
turns = jnp.pi * (1 + jnp.sqrt(5.0)) * jnp.arange(SENSORS)
height = jnp.linspace(0.95, 0.0, SENSORS)
ring = jnp.sqrt(1 - height**2)
electrodes = 110.0 * jnp.stack([ring * jnp.cos(turns), ring * jnp.sin(turns), height], axis=1)
centres = jnp.asarray(connectome.centres)


def apart(a, b):
    """Return the distances between two sets of places, in mm."""
    return jnp.linalg.norm(a[:, None] - b[None], axis=-1)


lead_field = (60.0 / apart(electrodes, centres)) ** 2
measure = {
    "electrodes": cf.observe.Sensors("psp", PERIOD, lead_field=lead_field, reference="average"),
    "regions": cf.observe.Averaged("psp", PERIOD),
}
seen = cf.simulate(net, state, params, 124_000, measure=measure, warm_up=4000)[1]

figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
names = [f"E{n + 1}" for n in range(SENSORS)]
cf.plot.signals(PERIOD * jnp.arange(1, 501), seen["electrodes"][:500], ax=axes[0], labels=names)
axes[0].set_title("electrodes [mV]", fontsize=10)
peaks, together = {}, {}
places = {"electrodes": electrodes, "regions": centres}
for (name, x), look in zip(seen.items(), ("C0o", "C1^"), strict=True):
    hertz, power = cf.observe.power_spectrum(x, dt=PERIOD, window=2000.0)
    power = jnp.median(power, axis=1)[1:100]  # up to 50 Hz, without 0 Hz
    peaks[name] = hertz[1 + power.argmax()]
    axes[1].loglog(hertz[1:100], power, look[:2], label=f"median of {name}")
    pairs = jnp.triu_indices(x.shape[1], 1)
    r = cf.observe.functional_connectivity(x)[pairs]
    together[name] = jnp.abs(r).mean()
    axes[2].plot(apart(places[name], places[name])[pairs], r, look, ms=4, label=f"pairs of {name}")
axes[1].axvspan(*cf.observe.BANDS["alpha"], color="0.9", label="alpha band")
axes[1].set(xlabel="frequency [Hz]", ylabel="power density [mV²/Hz]")
axes[2].set(xlabel="distance [mm]", ylabel="correlation [1]")
for ax in axes[1:]:
    ax.legend(frameon=False, fontsize=8)
figure.savefig("alpha_eeg.png", dpi=120)
print(
    f"The spectrum peaks at {peaks['electrodes']:.1f} Hz at the electrodes and at "
    f"{peaks['regions']:.1f} Hz in the regions; the size of correlations is on average "
    f"{together['electrodes']:.2f} between electrodes, and {together['regions']:.2f} between regions."
)
