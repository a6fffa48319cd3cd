"""Two states of rest between two saddle-nodes.

The mean field of quadratic integrate-and-fire neurons ([Montbrió, Pazó and Roxin, Phys. Rev. X 5
(2015) 021028](https://doi.org/10.1103/PhysRevX.5.021028)) has a state of low and one of high rate
at the same drive η, between two saddle-nodes. These ends are the roots of a polynomial;
`bifurcation` finds the same ones by following a fixed point; and a simulation, in which η rises and
falls by small steps, jumps there from one state to the other.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import coupling_fn as cf

J, DELTA, TAU = 15.0, 1.0, 10.0  # τ in ms, so that rates of the order 1/τ are tens of Hz
node, State = cf.nodes.montbrio_pazo_roxin, cf.nodes.MontbrioPazoRoxinState
net = cf.Network(node, dt=0.05, couplings={})
params = cf.Params(cf.nodes.MontbrioPazoRoxinParams(tau=TAU, J=J, Delta=DELTA))


def drive(r):
    """Return the η at which τr is a state of rest: V = -Δ / (2πτr), put into the equation of V."""
    return np.pi**2 * r**2 - J * r - (DELTA / (2 * np.pi * r)) ** 2


# There dη/dr = 0, which is this polynomial in τr.
roots = np.roots([2 * np.pi**2, -J, 0.0, 0.0, DELTA**2 / (2 * np.pi**2)])
folds = sorted(drive(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0)


def at(eta):
    """Return the parameters at a drive η."""
    return eqx.tree_at(lambda p: p.node.eta, params, eta)


def rest(eta, r):
    """Return the state of rest at a drive, near a given τr."""
    x0 = State(jnp.array([r / TAU]), jnp.array([-DELTA / (2 * jnp.pi * r)]))
    return cf.fixed_point(net, at(eta), x0)


def step(x, eta):
    """Go on from a state for half a second at another drive; return the state and its rate."""
    end = cf.simulate(net, net.init(x, at(eta)), at(eta), steps=10_000, record=None)[0].node
    return end, 1000 * end.r[0]


LOW, HIGH = -7.0, -2.0
etas = jnp.linspace(LOW, HIGH, 81)
up = jax.lax.scan(step, rest(LOW, 0.07), etas)[1]
down = jax.lax.scan(step, rest(HIGH, 1.3), etas[::-1])[1][::-1]
found = [
    float(cf.bifurcation(net, at, x0, start, end).value)
    for x0, start, end in ((rest(HIGH, 1.3), HIGH, LOW), (rest(LOW, 0.07), LOW, HIGH))
]
jumps = [float(etas[jnp.abs(jnp.diff(rate)).argmax() + i]) for rate, i in ((down, 0), (up, 1))]

figure, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
r = np.geomspace(0.06, 1.4, 400)
ax.plot(drive(r), 1000 * r / TAU, color="0.7", lw=4, label="states of rest, by the formula")
ax.plot(etas, up, "C0>", ms=4, label="η rises")
ax.plot(etas, down, "C1<", ms=4, mfc="none", label="η falls")
for fold in folds:
    ax.axvline(fold, color="0.4", lw=1, ls=":")
ax.plot([], [], color="0.4", lw=1, ls=":", label="saddle-nodes")
ax.set(xlabel="mean drive η [1]", ylabel="firing rate r [Hz]", xlim=(LOW, HIGH))
ax.legend(frameon=False, fontsize=8, loc="upper left")
figure.savefig("bistability.png", dpi=120)
for name, fold, followed, jump in zip(("lower", "upper"), folds, found, jumps, strict=True):
    print(
        f"The {name} saddle-node is at η = {fold:.4f}, by `bifurcation` at {followed:.4f}; "
        f"the run jumps at {jump:.2f}."
    )
