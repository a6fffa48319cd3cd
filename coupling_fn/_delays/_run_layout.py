"""How the arrays of one run, or of a batch of runs, are laid out in a blocked run.

Outside of buffers arrays are `(time, source)`, with the batch in front if there is one. In a
buffer times
lie next to each other and the batch behind each: `(source, time * batch)`. With the batch behind,
one index
moves a contiguous row of all runs: a sweep of 32 runs of 90 regions is 2.4 times as fast as with the
batch in front, where XLA gathers single numbers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._core import PyTree, by_node, everywhere, with_batches
from ._edges import is_edges


class RunLayout(NamedTuple):
    """The layout of one run, where `batch` is None, or of a batch; a mesh shares the nodes."""

    batch: int | None
    mesh: Mesh | None

    @property
    def size(self) -> int:
        """How many runs there are."""
        return self.batch or 1

    # --- the batch axis in front ---

    def over_runs(self, fn: Callable[[Any], Any], batched: Any) -> Callable[[Any], Any]:
        """Return `fn` for all runs; `batched` marks the leaves that have the batch in front."""
        if self.batch is None:
            return fn
        return jax.vmap(fn, in_axes=(jax.tree.map(lambda b: 0 if b else None, batched),))

    def with_batch(self, tree: PyTree, batched: PyTree) -> PyTree:
        """Add the batch axis to every leaf that does not have it."""
        if self.batch is None:
            return tree

        def spread(x, has_batch):
            return x if has_batch else jnp.broadcast_to(x, (self.batch, *x.shape))

        return jax.tree.map(spread, tree, batched)

    def zeros(self, tree: PyTree, batched: PyTree) -> PyTree:
        """Return zeros for a cotangent per run of every leaf."""
        front = () if self.batch is None else (self.batch,)

        def zeros(x, has_batch):
            return jnp.zeros(x.shape if has_batch else (*front, *x.shape), x.dtype)

        return jax.tree.map(zeros, tree, batched)

    def scan_axis_second(self, tree: PyTree) -> PyTree:
        """Swap the axis that a scan stacked and the batch; it is its own inverse."""
        return tree if self.batch is None else jax.tree.map(lambda x: x.swapaxes(0, 1), tree)

    # --- the batch axis behind ---

    def weights_behind(self, weights: PyTree, batched: PyTree) -> PyTree:
        """Move the batch of weights that differ between runs to the back; shared ones stay shared."""
        return jax.tree.map(lambda w, b: jnp.moveaxis(w, 0, -1) if b else w, weights, batched)

    def weights_in_front(self, weights: PyTree) -> PyTree:
        """Move the batch of the cotangents of weights from the back to the front."""
        if self.batch is None:
            return weights
        return jax.tree.map(lambda w: jnp.moveaxis(w, -1, 0), weights)

    # --- buffers ---

    def time_minor(self, x: Array) -> Array:
        """Turn `([batch,] time, source)` into `(source, time, batch)`."""
        return x.T[:, :, None] if self.batch is None else x.transpose(2, 1, 0)

    def time_major(self, x: Array) -> Array:
        """Turn `(source, time, batch)` into `([batch,] time, source)`."""
        return x[:, :, 0].T if self.batch is None else x.transpose(2, 1, 0)

    def as_buffer(self, x: Array) -> Array:
        """Turn `([batch,] time, source)` into a buffer `(source, time * batch)`."""
        return self.time_minor(x).reshape(x.shape[-1], -1)

    def read(self, buffer: Array, first: Array | int, times: int) -> Array:
        """Return some times of a buffer, as `([batch,] time, source)`."""
        part = lax.dynamic_slice_in_dim(buffer, first * self.size, times * self.size, 1)
        return self.time_major(part.reshape(len(buffer), times, self.size))

    def write(self, buffers: PyTree, block: PyTree, first: Array | int) -> PyTree:
        """Write `([batch,] time, source)` into buffers, in place, from time `first` on."""

        def write(buffer, x):
            return lax.dynamic_update_slice_in_dim(buffer, self.as_buffer(x), first * self.size, 1)

        return jax.tree.map(write, buffers, block)

    def add(self, buffer: Array, x: Array, first: Array | int) -> Array:
        """Add `([batch,] time, source)` to some times of a buffer."""
        part = lax.dynamic_slice_in_dim(buffer, first * self.size, x.shape[-2] * self.size, 1)
        part = part + self.as_buffer(x)
        return lax.dynamic_update_slice_in_dim(buffer, part, first * self.size, 1)

    def buffers_out(self, tree: PyTree) -> PyTree:
        """Return buffers with the batch in front, as what leaves a batched function must have it."""
        if self.batch is None:
            return tree

        def out(x):
            return x.reshape(len(x), -1, self.batch).transpose(2, 0, 1)

        return jax.tree.map(out, tree)

    def buffers_in(self, tree: PyTree) -> PyTree:
        """Return the inverse of `buffers_out`."""
        if self.batch is None:
            return tree
        return jax.tree.map(lambda x: x.transpose(1, 2, 0).reshape(x.shape[1], -1), tree)

    # --- devices ---

    def on_own_device(self, tree: PyTree) -> PyTree:
        """Place `([batch,] time, source)` so that each device has its own nodes."""
        return by_node(self.mesh, tree)

    def on_all_devices(self, tree: PyTree) -> PyTree:
        """Place it so that each device has all of it: what devices exchange once per block."""
        return everywhere(self.mesh, self.on_own_device(tree))


def run_with_layout(run: Callable[..., Any], args: PyTree, mesh: Mesh | None) -> Any:
    """Call `run(layout, batched, args)` once for all runs of the `vmap`s around it.

    `batched` has the structure of `args`, and says which leaves have the batch in front. Where edges
    differ between runs, the runs go one by one, because they share no windows.
    """
    leaves, structure = jax.tree.flatten(args)
    alone = jax.tree.map(lambda x: jax.tree.map(lambda _: is_edges(x), x), args, is_leaf=is_edges)

    def call(batch, batched, leaves):
        batched = jax.tree.unflatten(structure, batched)
        return run(RunLayout(batch, mesh), batched, jax.tree.unflatten(structure, leaves))

    return with_batches(call, leaves, jax.tree.leaves(alone))
