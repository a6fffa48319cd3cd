"""Compare a hybrid network on four devices with the same on one; `test_hybrid.py` runs this.

`python spread_hybrid.py CASE`: the four devices are those of XLA_FLAGS. One subnetwork has 8 regions,
which they share, and the other has 3, which each of them holds.
"""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

case = sys.argv[1]
RNG = np.random.default_rng(0)
W = RNG.normal(size=(11, 11)) / 3
DENSE = jnp.asarray(W, "float32")
division = cf.hybrid.divide(
    cf.to_sparse(DENSE) if case == "sparse" else DENSE,
    {"a": (cf.nodes.hopf, list(range(8))), "b": (cf.nodes.linear, ...)},
)
lags = None if case == "none" else division.cut(RNG.integers(0, 50, (11, 11)))
net = cf.Network(division.node, 0.1, couplings=division.wires, lags=lags)
node = {
    "a": cf.nodes.HopfParams(a=np.linspace(-0.5, 0.2, 8, dtype="float32"), omega=0.3),
    "b": cf.nodes.LinearParams(),
}
couplings = {
    n: cf.DiffusiveCoupling(w, np.float32(0.4))
    for n, w in division.weights.items()
    if n[0] == n[-1]
}
couplings |= {
    n: cf.AdditiveCoupling(w, np.float32(0.4)) for n, w in division.weights.items() if n[0] != n[-1]
}
params = cf.Params(node, couplings, noise={"a.x": 0.1})
x0 = {
    "a": cf.nodes.HopfState(*jnp.asarray(RNG.normal(size=(2, 8)), "float32")),
    "b": cf.nodes.LinearState(jnp.asarray(RNG.normal(size=3), "float32")),
}
state = net.init(x0, params, key=jax.random.key(0))
assert len(jax.devices()) == 4
spread = cf.shard(net, state, params, jax.devices())


def slopes(net, state, params):
    where = lambda p: [c.k for c in p.coupling.values()]

    def loss(ks):
        last, seen = cf.simulate(net, state, eqx.tree_at(where, params, ks), 70, record="a.x")
        return (seen**2).mean() + (last.node["b"].x ** 2).sum(), (last.node, seen)

    return jax.grad(loss, has_aux=True)(where(params))


wanted, got = jax.jit(slopes)(net, state, params), jax.jit(slopes)(*spread)
for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())
placed = spread[1].node
assert placed["a"].x.sharding.shard_shape((8,)) == (2,)
assert placed["b"].x.sharding.shard_shape((3,)) == (3,)
