"""Compare a network on several devices with the same network on one; `test_shard.py` runs this.

`python spread.py CASE [PROCESS PORT]`: four devices, all in this process, or two in each of two.
"""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from traffic import traffic

case, *process = sys.argv[1:]
if process:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{process[1]}", 2, int(process[0]))

import coupling_fn as cf  # noqa: E402

N, STEPS, BLOCK = 12, 96, 32
RNG = np.random.default_rng(0)
W = RNG.normal(size=(N, N)) * (RNG.random((N, N)) < 0.4)
W[3], W[:, 5], W[7] = 0.0, 0.0, RNG.normal(size=N)  # no input, no output, input from all
BLOCKED = RNG.integers(BLOCK, 50, (N, N))
MIXED = RNG.integers(0, 50, (N, N))
SPARSE = cf.to_sparse(W.astype("float32"))
DENSE = jnp.asarray(W, "float32")
edge = lambda lags: cf.edge_values(SPARSE, lags).astype(int)
CONN, LAGS = {
    "dense": (DENSE, BLOCKED),
    "sparse": (SPARSE, edge(BLOCKED)),
    "dense, one lag": (DENSE, 40),
    "dense, some stepwise": (DENSE, MIXED),
    "sparse, some stepwise": (SPARSE, edge(MIXED)),
    "dense, no delay": (DENSE, None),
    "sparse, no delay": (SPARSE, None),
    "measured": (DENSE, MIXED),
    "gamma": (DENSE, MIXED),
}[case]


def weights_of(conn):
    return conn.weights if isinstance(conn, cf.SparseConnection) else conn


def run(net, state, params):
    return cf.simulate(net, state, params, STEPS, record=lambda s: s.node.x.sum())


def slopes(net, state, params):
    where = lambda p: (p.coupling.k, weights_of(p.coupling.conn))

    def loss(values):
        last, seen = run(net, state, eqx.tree_at(where, params, values))
        return (last.node.x**2).sum(), (last, seen)

    slope, (last, seen) = jax.grad(loss, has_aux=True)(where(params))
    return last, (seen, slope)


def several(net, state, params):
    each = lambda k: run(net, state, eqx.tree_at(lambda p: p.coupling.k, params, k))[1]
    return jax.vmap(each)(jnp.array([0.2, 0.9], "float32"))


net = cf.Network(cf.nodes.linear, 0.1, lags=LAGS)
noise = cf.noise.OrnsteinUhlenbeck(sigma=np.linspace(0.1, 0.5, N).astype("float32"))
node = cf.nodes.LinearParams(a=-np.linspace(0.5, 1.5, N).astype("float32"))
rule = cf.DiffusiveCoupling(CONN, np.float32(0.6))
if case == "gamma":  # its stages are spread like the other states
    rule = cf.GammaDelayedCoupling(rule, np.linspace(1.0, 3.0, N).astype("float32"), order=2)
params = cf.Params(node, rule, noise={"x": noise})
x0 = cf.nodes.LinearState(jnp.asarray(RNG.normal(size=N), "float32"))
state = net.init(x0, params, key=jax.random.key(3))
assert len(jax.devices()) == 4
spread = cf.shard(net, state, params, jax.devices())


def same(got, wanted):
    for a, b in zip(jax.tree.leaves(got), map(np.asarray, jax.tree.leaves(wanted)), strict=True):
        size = np.abs(b).max()
        assert size > 1e-2
        for part in a.addressable_shards:
            np.testing.assert_allclose(part.data, b[part.index], rtol=0, atol=1e-5 * size)


if case == "measured":
    measure = {
        "bold": cf.observe.BalloonBold(lambda s: s.node.x**2, 60.0, scale=100.0),
        "kernel": cf.observe.KernelBold("x", 60.0, kernel=cf.observe.gamma_kernel, length=300.0),
        "eeg": cf.observe.Sensors(
            "x", 1.5, lead_field=jnp.asarray(RNG.normal(size=(4, N)), "float32")
        ),
        "mean": cf.observe.Averaged("x"),
        "fc": cf.observe.RunningMoments("x"),
    }

    def measured(net, state, params):
        params = eqx.tree_at(lambda p: p.coupling.k, params, jnp.float32(0.05))  # else it explodes
        _, seen = cf.simulate(net, state, params, 1800, measure=measure, warm_up=600)
        return seen | {"fc": cf.observe.fc_from_moments(seen["fc"])}

    alone, several_ = jax.jit(measured)(net, state, params), jax.jit(measured)(*spread)
    for name, wanted in alone.items():
        got, size = np.asarray(several_[name]), np.abs(wanted).max()
        assert size > 1e-9, name
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * size, err_msg=name)
    sys.exit()

_, wanted = jax.jit(slopes)(net, state, params)
compiled = jax.jit(slopes).lower(*spread).compile()
last, got = compiled(*spread)
same(got, wanted)
own = last.node.x.sharding.shard_shape((N,))
assert own == (N // 4,), f"each device has its own nodes, not {own}"
if case == "gamma":
    assert last.node.coupling_x_2.sharding.shard_shape((N,)) == own
if LAGS is not None:
    (history,) = last.history.values()
    assert history.sharding.shard_shape(history.shape)[1] == N // 4
if isinstance(CONN, cf.SparseConnection):
    rows = spread[2].coupling.conn.by_target.rows.source
    assert rows.sharding.shard_shape(rows.shape)[0] == len(rows) // 4

# Devices exchange the messages of each block and, in the backward pass, the cotangents of its delayed
# sums; besides, once per run, the history before the run, the reference of shift-invariant rules, and
# what the run returns. The partitioner of JAX 0.6 also exchanges what a device has already: three times
# the bytes, and with one lag for all edges one exchange more per block.
count, moved = traffic(compiled)["all-gather"]
if "stepwise" not in case and case != "gamma" and LAGS is not None:
    blocks, past = STEPS // BLOCK, 128
    old = not jax.config.jax_use_shardy_partitioner
    times, often = 3 if old else 1, 5 if old and "one lag" in case else 4
    assert 2 * blocks <= count <= often * blocks, f"{count} exchanges in {blocks} blocks"
    most = 4 * N * (2 * STEPS + past) * times
    assert moved <= most, f"{moved} bytes in {STEPS} steps, not {most}"
if case != "dense":  # which the default run tests, and which should be quick
    same(jax.jit(several)(*spread), jax.jit(several)(net, state, params))
