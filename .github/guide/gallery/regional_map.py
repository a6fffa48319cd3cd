"""A parameter along the cortical hierarchy.

The natural frequency of each region follows a map from the back of the brain to its front, as
parameters do in [Demirtaş et al., Neuron 101 (2019)
1181](https://doi.org/10.1016/j.neuron.2019.01.017). From noisy signals, two coefficients of that
map are fitted, and, for comparison, one free number per region. Both find the map; with two
coefficients it comes back with smaller errors, because all regions tell about them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS, NOISE = 24, 0.2
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="row")
net = cf.Network(cf.nodes.hopf, dt=0.5)
front = cf.observe.zscore(jnp.asarray(connectome.centres)[:, 1:2])[:, 0]
limits = cf.transforms.bounded(0.02, 0.12)  # rad/ms, 3 to 19 Hz
along = cf.transforms.regional(front, within=limits)
truth = along.forward(jnp.array([0.1, -0.5]))
node = cf.nodes.HopfParams(a=0.02, omega=truth)
params = cf.Params(node, cf.DiffusiveCoupling(W, k=0.02))
x0 = cf.nodes.HopfState(*0.2 * jax.random.normal(jax.random.key(1), (2, REGIONS)))


def signals(omega):
    """Return 300 ms of x of all regions, at one angular frequency per region."""
    p = eqx.tree_at(lambda p: p.node.omega, params, omega)
    return cf.simulate(net, net.init(x0, p), p, steps=600, record="x")[1]


seen = signals(truth) + NOISE * jax.random.normal(jax.random.key(2), (600, REGIONS))


def residuals(omega):
    """Return what is left of the data."""
    return signals(omega) - seen


def hertz(omega):
    """Return frequencies in Hz."""
    return 1000 * omega / (2 * jnp.pi)


start = jnp.full(REGIONS, 0.07)
cases = {"two coefficients of the map": along, f"{REGIONS} free numbers": limits}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(14, 4.2), width_ratios=(2, 1), layout="constrained"
)
errors = {}
for (name, transform), look in zip(cases.items(), ("C0o", "C1x"), strict=True):
    found = cf.least_squares(residuals, start, where=lambda omega: omega, transform=transform)
    errors[name] = jnp.sqrt(jnp.mean((hertz(found.params) - hertz(truth)) ** 2))
    right.plot(hertz(truth), hertz(found.params), look, mfc="none", label=name)
    if transform is along:
        cf.plot.brain_map(hertz(found.params), connectome, "fitted frequency [Hz]", left, ())
right.axline((8, 8), slope=1, color="0.4", lw=1, ls=":")
right.set(xlabel="true frequency [Hz]", ylabel="fitted frequency [Hz]")
right.legend(frameon=False, fontsize=8)
figure.savefig("regional_map.png", dpi=120)
report = ", and ".join(f"{error:.2f} Hz with {name}" for name, error in errors.items())
print(f"The error of the frequencies is {report}.")
