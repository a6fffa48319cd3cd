"""Runs on four devices by JAX's own means, against plain ones; `test_devices.py` runs this.

`python devices.py CONNECTION LAGS MEANS`, each one or several of the names below, with commas between.
"""

import os
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import coupling_fn as cf

N, STEPS = 4, 48
RNG = np.random.default_rng(0)
W = (RNG.random((N, N)) * (RNG.random((N, N)) < 0.7)).astype("float32") / 2
SPARSE = cf.to_sparse(W)
DEVICES = jax.devices()
MESH = Mesh(np.array(DEVICES), ("d",))
PART, WHOLE = PartitionSpec("d"), PartitionSpec()
KS, GAIN = jnp.linspace(0.1, 0.7, 4, dtype="float32"), jnp.float32(0.8)
RULES = {
    "dense": lambda k: cf.DiffusiveCoupling(W, k),
    "sparse": lambda k: cf.DiffusiveCoupling(SPARSE, k),
    "BCOO": lambda k: cf.KuramotoCoupling(SPARSE.to_bcoo(), k),
    "edges": lambda k: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), W, k),
    "sparse edges": lambda k: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), SPARSE, k),
    "custom": lambda k: cf.CustomCoupling(lambda s, t, conn, k: k * cf.weighted_sum(conn, s), W, k),
}
LENGTHS = {
    "no": None,
    "near": RNG.uniform(1.0, 6.0, (N, N)),
    "far": RNG.uniform(34.0, 45.0, (N, N)),
    "mixed": RNG.uniform(0.0, 45.0, (N, N)),
    "traced": RNG.uniform(1.0, 45.0, (N, N)),
    "interpolated": RNG.uniform(1.0, 45.0, (N, N)),
}


def network(connection, lags):
    """Return the run of a k: its record, and what is minimised."""
    lengths, options = LENGTHS[lags], {}
    if lengths is not None and connection in ("sparse", "sparse edges"):
        lengths = np.asarray(cf.edge_values(SPARSE, lengths))
    in_params = lags in ("traced", "interpolated")
    if in_params:
        options["lag_bounds"] = cf.lag_bounds(lengths, (0.9, 1.1), 1.0)
        options["interpolate"] = "linear" if lags == "interpolated" else None
    elif lengths is not None:
        options["lags"] = np.rint(lengths).astype(int)
    net = cf.Network(cf.nodes.linear, 1.0, **options)
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), RULES[connection](GAIN), noise={"x": 0.5})
    where = lambda p: (p.coupling.k,)
    if in_params:
        params = eqx.tree_at(
            lambda p: (p.lengths, p.speed),
            params,
            (jnp.asarray(lengths, "float32"), jnp.float32(1.0)),
            is_leaf=lambda x: x is None,
        )
        where = lambda p: (p.coupling.k, p.speed)
    x0 = cf.nodes.LinearState(jnp.linspace(-1.0, 1.0, N, dtype="float32"))
    state = net.init(x0, params, key=jax.random.key(1), history=1.0)

    def run(k):
        # Traced lags have no gradient; interpolated ones have.
        speed = 1.0 + 0.1 * (k if lags == "interpolated" else jax.lax.stop_gradient(k))
        return cf.simulate(
            net, state, eqx.tree_at(where, params, (k, speed)[: 1 + in_params]), STEPS
        )

    return run


def local(run):
    """Return the loss and the record of a k times a gain, and the slope of the loss with the gain."""

    def both(k, gain):
        def loss(gain):
            last, record = run(k * gain)
            return jnp.mean(record.x[-8:] ** 2), (record.x, last)

        (value, (record, last)), slope = jax.value_and_grad(loss, has_aux=True)(gain)
        return value, slope, record, last.node.x

    return both


def summed(run):
    """Do so on each device, with sums over all of them."""

    def both(k, gain):
        value, slope, *each = local(run)(k, gain)
        return jax.lax.psum(value, "d"), jax.lax.psum(slope, "d"), *each

    return both


def plain(run):
    one = jax.jit(local(run))
    value, slope, *each = zip(*(one(k, GAIN) for k in KS), strict=True)
    return sum(value), sum(slope), *map(jnp.stack, each)


def together(results):
    value, slope, *each = results
    return value.sum(), slope.sum(), *each


def by_shard_map(run):
    """With the gradient of a sum over devices, in a number that all of them share."""

    def one(k, gain):
        def total(gain):
            last, record = run(k[0] * gain)
            loss = jax.lax.psum(jnp.mean(record.x[-8:] ** 2), "d")
            return loss, (record.x[None], last.node.x[None])

        (value, each), slope = jax.value_and_grad(total, has_aux=True)(gain)
        return value, slope, *each

    return jax.jit(mapped(one))(KS, GAIN)


def from_outside(run):
    """With the gradient taken of the mapped function."""

    def total(gain):
        def one(k, gain):
            last, record = run(k[0] * gain)
            loss = jax.lax.psum(jnp.mean(record.x[-8:] ** 2), "d")
            return loss, loss, record.x[None], last.node.x[None]

        value, _, *each = mapped(one)(KS, gain)
        return value, each

    (value, each), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(GAIN)
    return value, slope, *each


def mapped(one, **options):
    specs = {"in_specs": (PART, WHOLE), "out_specs": (WHOLE, WHOLE, PART, PART)}
    if hasattr(jax, "shard_map"):
        return jax.shard_map(one, mesh=MESH, **specs, **options)
    from jax.experimental.shard_map import shard_map  # before JAX 0.7

    return shard_map(one, MESH, **specs, check_rep=options.get("check_vma", True))


def unchecked(run):
    def one(k, gain):
        value, slope, *each = summed(run)(k[0], gain)
        return value, slope, *(x[None] for x in each)

    return jax.jit(mapped(one, check_vma=False))(KS, GAIN)


def by_pmap(run):
    value, slope, *each = jax.pmap(summed(run), axis_name="d", in_axes=(0, None))(KS, GAIN)
    return value[0], slope[0], *each


def by_sharding(run):
    ks = jax.device_put(KS, NamedSharding(MESH, PART))
    gain = jax.device_put(GAIN, NamedSharding(MESH, WHOLE))
    results = jax.jit(jax.vmap(local(run), (0, None)))(ks, gain)
    assert len(results[2].sharding.device_set) == 4
    return together(results)


def by_sweep(run):
    return together(cf.sweep(lambda k: local(run)(k, GAIN), KS, devices=DEVICES, progress=False))


MEANS = {
    "shard_map": by_shard_map,
    "outside": from_outside,
    "unchecked": unchecked,
    "pmap": by_pmap,
    "sharding": by_sharding,
    "sweep": by_sweep,
}

if __name__ == "__main__":
    assert len(DEVICES) == 4
    connections, lags, means = (x.split(",") for x in sys.argv[1:])
    wrong = []
    for connection in connections:
        for lag in lags:
            run = network(connection, lag)
            wanted = list(map(np.asarray, plain(run)))
            for name in means:
                try:
                    for got, right in zip(MEANS[name](run), wanted, strict=True):
                        size = np.abs(right).max()
                        assert 1e-2 < size < 1e3, size
                        np.testing.assert_allclose(got, right, rtol=0, atol=2e-5 * size)
                except Exception as error:
                    if os.environ.get("RAISE"):
                        raise
                    text = " ".join(str(error).split())[:500]
                    wrong.append(f"{connection}, {lag} lags, {name}: {type(error).__name__} {text}")
    sys.exit("\n".join(wrong) or None)
