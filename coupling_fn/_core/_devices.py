"""Nodes spread over devices: which device holds which part of an array, and computes what.

A mesh has a single axis, and each of its devices holds the same number of consecutive nodes. A mesh
only says where arrays are: every program is written for whole arrays and gives the same numbers
without one, so all functions here take None for a single device.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

WHOLE, PART = PartitionSpec(), PartitionSpec("devices")


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Make a mesh with a single axis, "devices"."""
    return Mesh(np.array(devices), ("devices",))


def shard_map(fn: Callable[..., Any], mesh: Mesh, given: Any, back: Any) -> Callable[..., Any]:
    """Return `jax.shard_map(fn)` with input specs `given` and output specs `back`.

    JAX's check for results that are the same on all devices is off, since none is.
    """
    if hasattr(jax, "shard_map"):
        return jax.shard_map(fn, mesh=mesh, in_specs=given, out_specs=back, check_vma=False)
    from jax.experimental.shard_map import shard_map  # before JAX 0.7

    return shard_map(fn, mesh, given, back, check_rep=False)


def on_each(
    mesh: Mesh | None,
    fn: Callable[..., Any],
    own: tuple,
    shared: tuple,
    axes: tuple[int, ...] | None = None,
    out: int = 0,
) -> Any:
    """Call `fn(*own, *shared)` on each device, with its part of every array in `own`.

    An array is parted along its first axis, or along that which `axes` has for it; the results lie one
    after the other along the axis `out`. All devices see all of `shared`.
    """
    if mesh is None:
        return fn(*own, *shared)

    def along(axis: int) -> PartitionSpec:
        return PartitionSpec(*[None] * axis, *PART)

    parts = tuple(map(along, axes or (0,) * len(own)))
    both = shard_map(lambda own, shared: fn(*own, *shared), mesh, (parts, WHOLE), along(out))
    return both(own, shared)


def everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """Put all of every array on each device."""
    return tree if mesh is None else lax.with_sharding_constraint(tree, NamedSharding(mesh, WHOLE))


def by_node(mesh: Mesh | None, tree: Any, axis: int = -1) -> Any:
    """Put on each device its own nodes, along an axis of every array.

    An axis that the devices cannot share evenly does not count nodes (but the regions of a surface,
    say): each device then holds all of it.
    """
    if mesh is None:
        return tree

    def place(x: Any) -> Any:
        shared = x.shape[axis] % mesh.size == 0
        along = ["devices" if shared and n == axis % x.ndim else None for n in range(x.ndim)]
        return lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*along)))

    return jax.tree.map(place, tree)
