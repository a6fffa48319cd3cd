"""Spreading the nodes of a network over devices."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._connectome import Layout, SparseConnection, over_devices, to_sparse
from .._core import PART, WHOLE, is_key, known, mesh_of
from .._lazy import BCOO
from .._network import Network, Params, State
from .._node import parts_of, receivers


def shard(
    net: Network, state: State, params: Params, devices: Sequence[Any]
) -> tuple[Network, State, Params]:
    """Spread the nodes of a network over devices; simulate, differentiate and fit it as before.

    Each device holds equally many consecutive nodes: their states, and the weights and lags of the
    edges onto them, dense or sparse. It computes those nodes, and keeps the history of all nodes.
    Devices exchange what was sent once per block of steps (4 to 32, as the smallest lag allows),
    and once per step where edges are shorter than a block. Results equal those of one device to
    rounding, with the same random numbers.

    A gradient takes as many exchanges again. A parameter of the node that is one number for all nodes
    (other than k) adds a small exchange per step to a gradient; one value per node does not.

    Of a hybrid network (`cf.hybrid`) each subnetwork is spread whose nodes the devices divide; the
    others, and the edges onto or from them, are held and computed by every device.

    Only where arrays lie differs: a `record`, an input or a coupling of your own is written for all
    nodes as ever, and JAX moves what it reads.

    Args:
        net: the network.
        state: where to start, from `Network.init` or from an earlier run.
        params: the parameters. Other values of them, also in other runs of a `vmap`, need not be
            spread again; only a `SparseConnection` with other edges must be.
        devices: the devices, such as `jax.devices()`; also those of several processes
            (`jax.distributed`), each of which then calls this function with the same values.

    Returns:
        The same three, which belong together.

    Raises:
        ValueError: if there are no devices, or they do not divide the number of nodes.
        TypeError: if something is traced: call this function outside of `jit`, `vmap` and `grad`.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=20)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(4)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(4)), params)
        >>> net, state, params = cf.shard(net, state, params, jax.devices()[:1])
        >>> cf.simulate(net, state, params, steps=100)[1].x.shape
        (100, 4)
    """
    if not isinstance(devices, Sequence | np.ndarray):
        raise TypeError(f"`devices` must be a list, such as jax.devices()[:2], not {devices!r}.")
    if not len(devices):
        raise ValueError("`devices` is empty; `jax.devices()` lists all that there are.")
    if not known(net, state, params):
        raise TypeError(
            "`net`, `state` or `params` is traced; call `shard` outside of `jit`, `vmap` and `grad`."
        )
    counts = _counts(net, state)
    if not any(nodes % len(devices) == 0 for nodes in counts.values()):
        told = " and ".join(
            f"{n} nodes{f' of {part!r}' * bool(part)}" for part, n in counts.items()
        )
        raise ValueError(
            f"`devices` must divide the number of nodes; {len(devices)} devices do not divide {told}. "
            "Take fewer devices, or add nodes without a connection."
        )
    return place_on(net, state, params, mesh_of(devices), _put)


Put = Callable[[Any, NamedSharding], Any]


def place_on(
    net: Network, state: State, params: Params, mesh: Mesh, put: Put
) -> tuple[Network, State, Params]:
    """Spread a network as `shard` does, where `put` says how each array gets to its place."""
    counts = tuple(_counts(net, state).values())
    nodes = {n for n in (*counts, sum(counts)) if n % mesh.size == 0}

    def along(spec: PartitionSpec) -> Callable[[Any], Any]:
        return lambda x: put(x, NamedSharding(mesh, spec)) if eqx.is_array_like(x) else x

    whole, part = along(WHOLE), along(PART)
    of_past = along(PartitionSpec(None, *PART))

    def place(x: Any) -> Any:
        if isinstance(x, BCOO):
            x = to_sparse(x)
        if not isinstance(x, SparseConnection):
            return part(x) if {*np.shape(x)[:1]} & nodes else whole(x)
        if nodes.issuperset(x.shape):
            x = over_devices(x, mesh)
        return jax.tree.map(place_rows, x, is_leaf=lambda y: isinstance(y, Layout))

    def place_rows(x: Any) -> Any:
        if not isinstance(x, Layout) or x.rows.mesh is None:
            return jax.tree.map(whole, x)
        rows = jax.tree.map(part, x.rows)
        return Layout(rows, part(x.edges), part(x.is_edge), whole(x.place))

    def place_past(x: Any) -> Any:
        return of_past(x) if x.shape[1] in nodes else whole(x)

    def place_state(x: Any) -> Any:
        return part(x) if len(x) in nodes else whole(x)

    def sparse(x: Any) -> bool:
        return isinstance(x, BCOO | SparseConnection)

    net, params = jax.tree.map(place, (net, params), is_leaf=sparse)
    object.__setattr__(net, "mesh", mesh)  # on the copy that `map` made
    placed = State(
        node=jax.tree.map(place_state, state.node),
        history=jax.tree.map(place_past, state.history),
        step=whole(state.step),
        key=whole(state.key),
        reference=jax.tree.map(whole, state.reference),
        noise=jax.tree.map(place_past, state.noise),
        dt=state.dt,
    )
    return net, placed, params


def _counts(net: Network, state: State) -> dict[str, int]:
    """Return the number of nodes of each subnetwork; that of the network, if it is one."""
    return {
        part: receivers(net.node, state.node, f"{part}." * bool(part))
        for part in parts_of(net.node)
    }


def _put(x: Any, where: NamedSharding) -> Any:
    if isinstance(x, jax.Array) and is_key(x):  # `device_put` moves no keys to other processes
        data = jax.device_put(jax.random.key_data(x), where)  # (JAX 0.10.2)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    return jax.device_put(x, where)
