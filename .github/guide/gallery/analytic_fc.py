"""FC without a simulation.

Under weak noise a network below its critical k is linear, and its FC follows from an equation, as
in [Ponce-Alvarez and Deco, Sci. Rep. 14 (2024) 2615](https://doi.org/10.1038/s41598-024-53105-0).
Simulations come nearer to it the longer they are: their error falls by one over the square root of
the length. Strong noise reaches beyond the linear range, and there a longer run does not help.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import coupling_fn as cf

REGIONS = 20
connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
W = cf.normalize(connectome.weights, by="symmetric")
net = cf.Network(cf.nodes.hopf, dt=0.5)
params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W), noise=1.0)
rest = cf.nodes.HopfState(*jnp.zeros((2, REGIONS)))
critical = cf.critical_k(net, params, rest, 0.0, 0.1)
params = eqx.tree_at(lambda p: p.coupling.k, params, 0.8 * critical)
exact = cf.analytic_fc(net, params, rest)
pairs = jnp.triu_indices(REGIONS, 1)
seconds = [1, 3, 10, 30, 100, 300]


def simulated(noise):
    """Return the FC of ever longer parts of a run at a strength of noise, one row per length."""
    p = eqx.tree_at(lambda p: p.noise, params, noise)
    state = net.init(rest, p, key=jax.random.key(1))
    x = cf.simulate(net, state, p, steps=602_000, record="x", every=10)[1][400:]
    fcs = [cf.observe.functional_connectivity(x[: 200 * s])[pairs] for s in seconds]
    return jnp.stack(fcs)


figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
errors = {}
for name, noise, colour in (("weak", 0.0005, "C0"), ("strong", 0.01, "C1")):
    fcs = simulated(noise)
    errors[name] = jnp.sqrt(jnp.mean((fcs - exact[pairs]) ** 2, axis=1))
    axes[0].plot(
        exact[pairs], fcs[-1], ".", ms=4, color=colour, label=f"{name} noise, {noise:g}/√ms"
    )
    axes[1].loglog(seconds, errors[name], "o-", color=colour, label=f"{name} noise, {noise:g}/√ms")
axes[0].axline((0, 0), slope=1, color="0.3", lw=1, label="equal")
axes[1].loglog(
    seconds,
    errors["weak"][2] * jnp.sqrt(10 / jnp.array(seconds)),
    ":",
    color="0.3",
    label="∝ 1/√length",
)
axes[0].set(xlabel="analytic FC [1]", ylabel=f"FC simulated for {seconds[-1]} s [1]")
axes[1].set(xlabel="length of the run [s]", ylabel="rmse of FC [1]")
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
figure.savefig("analytic_fc.png", dpi=120)
print(
    f"At 0.8 of the critical k, {critical:.4f}, the rmse under weak noise is {errors['weak'][0]:.3f} "
    f"after {seconds[0]} s and {errors['weak'][-1]:.3f} after {seconds[-1]} s; "
    f"under strong noise it is {errors['strong'][-1]:.3f}."
)
