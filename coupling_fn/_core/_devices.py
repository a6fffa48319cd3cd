"""Nodes spread over devices: where an array lies, and what is worked out where.

A mesh has one axis, and its devices have consecutive nodes, as many each. Nothing here but where
things lie: all programs are written for the whole of every array, and give the same without a mesh.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

WHOLE, PART = PartitionSpec(), PartitionSpec("devices")


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """The devices in a row."""
    return Mesh(np.array(devices), ("devices",))


def shard_map(fn: Callable[..., Any], mesh: Mesh, given: Any, back: Any) -> Callable[..., Any]:
    """Unchecked, since no result is the same on all devices."""
    if hasattr(jax, "shard_map"):
        return jax.shard_map(fn, mesh=mesh, in_specs=given, out_specs=back, check_vma=False)
    from jax.experimental.shard_map import shard_map  # before JAX 0.7

    return shard_map(fn, mesh, given, back, check_rep=False)


def on_each(mesh: Mesh | None, fn: Callable[..., Any], own: tuple, shared: tuple) -> Any:
    """`fn(*own, *shared)`, each device with its part of the first axes of `own`, and of the result."""
    if mesh is None:
        return fn(*own, *shared)
    both = shard_map(lambda own, shared: fn(*own, *shared), mesh, (PART, WHOLE), PART)
    return both(own, shared)


def everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """The same arrays, all of them on each device."""
    return tree if mesh is None else lax.with_sharding_constraint(tree, NamedSharding(mesh, WHOLE))


def by_node(mesh: Mesh | None, tree: Any, axis: int = -1) -> Any:
    """The same arrays, each device with the nodes that are its own along an axis.

    Of what is not nodes, the regions of a surface say, all may have all.
    """
    if mesh is None:
        return tree

    def place(x: Any) -> Any:
        shared = x.shape[axis] % mesh.size == 0
        along = ["devices" if shared and n == axis % x.ndim else None for n in range(x.ndim)]
        return lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(*along)))

    return jax.tree.map(place, tree)
