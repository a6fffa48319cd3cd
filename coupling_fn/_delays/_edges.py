r"""Sets of delayed edges, one kind per kind of connection, each with the same methods and properties.

    starts(length, present, batch)        where the window of each edge begins in a flat buffer
    sums(weights, buffer, starts, ...)    the delayed sums of a block
    weights_bar(sums_bar, buffer, ...)    the cotangent of the weights, from that of the sums
    transposed()                          the same edges from targets to sources
    shape, targets, ndim                  (targets, sources); the number of targets; axes of the weights

The cotangent of a message is $\bar\psi_j(t) = \sum_i W_{ij}\, \bar S_i(t + d_{ij})$, which is a
delayed sum again: over the transposed edges, in reversed time. So `transposed().sums(...)` over a
buffer of cotangents, the latest first, is the adjoint, and nothing else has to be written.

A buffer is `(source, time * batch)`, and `starts(length, present, batch)` is for one of `length`
times of which `present` are filled.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.sparse import BCOO
from jax.sharding import Mesh

from .._connectome import Layout, SparseConnection, Weights, take
from .._core import by_node, on_each
from ._windows import correlate_windows, gather_windows, sum_windows


class DenseEdges(eqx.Module):
    """All pairs, each with its own lag."""

    lags: Array  # (target, source)
    mesh: Mesh | None = eqx.field(default=None, static=True)
    ndim = 2  # axes of the weights of one run

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lags.shape

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "DenseEdges":
        return DenseEdges(by_node(self.mesh, self.lags.T, 0), self.mesh)

    def starts(self, length: int, present: int, batch: int) -> Array:
        sources = jnp.arange(self.lags.shape[1], dtype=self.lags.dtype)
        return (sources[None] * length + present - self.lags) * batch

    def sums(self, weights: Array, buffer: Array, starts: Array, width: int, batch: int) -> Array:
        def of_targets(starts, weights, buffer):
            return sum_windows(weights, buffer, starts, width, batch)

        return on_each(self.mesh, of_targets, (starts, weights), (buffer,))

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, per_run: bool, batch: int
    ) -> Array:
        def of_targets(starts, sums_bar, buffer):
            return correlate_windows(sums_bar, buffer, starts, per_run, batch)

        return on_each(self.mesh, of_targets, (starts, sums_bar), (buffer,))


class UniformEdges(eqx.Module):
    """All pairs with one common lag: all windows are one slice, and a block is one matrix product."""

    lag: Array
    shape: tuple[int, ...] = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(default=None, static=True)
    ndim = 2

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "UniformEdges":
        return UniformEdges(self.lag, self.shape[::-1], self.mesh)

    def starts(self, length: int, present: int, batch: int) -> Array:
        return (present - self.lag) * batch

    def sums(self, weights: Array, buffer: Array, starts: Array, width: int, batch: int) -> Array:
        window = lax.dynamic_slice_in_dim(buffer, starts, width, 1)
        if weights.ndim == 2:
            return jnp.matmul(weights, window, precision=lax.Precision.HIGHEST)
        window = window.reshape(window.shape[0], -1, batch)
        summed = jnp.einsum("ijb,jmb->imb", weights, window, precision=lax.Precision.HIGHEST)
        return summed.reshape(weights.shape[0], -1)

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, per_run: bool, batch: int
    ) -> Array:
        window = lax.dynamic_slice_in_dim(buffer, starts, sums_bar.shape[1], 1)
        if not per_run:
            return jnp.matmul(sums_bar, window.T, precision=lax.Precision.HIGHEST)
        sums_bar, window = (x.reshape(x.shape[0], -1, batch) for x in (sums_bar, window))
        return jnp.einsum("imb,jmb->ijb", sums_bar, window, precision=lax.Precision.HIGHEST)


class PaddedEdges(eqx.Module):
    """The edges of a `SparseConnection`; weights stand at their places in the padded rows."""

    lags: Array  # (edge,) or ()
    by_target: Layout
    by_source: Layout
    ndim = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.by_target.rows.count, self.by_source.rows.count

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "PaddedEdges":
        return PaddedEdges(self.lags, self.by_source, self.by_target)

    def starts(self, length: int, present: int, batch: int) -> Array:
        lags = take(self.lags, self.by_target.edges) if self.lags.ndim else self.lags
        return (self.by_target.rows.source * length + present - lags) * batch

    def sums(self, weights: Array, buffer: Array, starts: Array, width: int, batch: int) -> Array:
        def of_bucket(bucket, starts, weights, buffer):
            each = zip(bucket.split(starts), bucket.split(weights), strict=True)
            sums = [
                sum_windows(jnp.swapaxes(weights, 0, 1), buffer, starts.T, width, batch)
                for starts, weights in each
            ]
            return bucket.join(sums)

        return self.by_target.rows.on_each(of_bucket, (starts, weights), (buffer,))

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, per_run: bool, batch: int
    ) -> Array:
        def of_bucket(bucket, starts, sums_bar, buffer):
            each = zip(bucket.split(starts), bucket.split_rows(sums_bar), strict=True)
            parts = [
                correlate_windows(sums_bar, buffer, starts.T, per_run, batch)
                for starts, sums_bar in each
            ]
            return jnp.concatenate([jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]) for x in parts])

        return self.by_target.rows.on_each(of_bucket, (starts, sums_bar), (buffer,))


class StoredEdges(eqx.Module):
    """The stored entries of a BCOO."""

    lags: Array  # (edge,) or ()
    target: Array
    source: Array
    shape: tuple[int, ...] = eqx.field(static=True)
    ndim = 1

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "StoredEdges":
        return StoredEdges(self.lags, self.source, self.target, self.shape[::-1])

    def starts(self, length: int, present: int, batch: int) -> Array:
        return (self.source * length + present - self.lags) * batch

    def sums(self, weights: Array, buffer: Array, starts: Array, width: int, batch: int) -> Array:
        windows = gather_windows(buffer.reshape(-1), starts, width)
        if weights.ndim == 1:
            products = weights[:, None] * windows
        else:
            windows = windows.reshape(len(windows), -1, batch)
            products = (weights[:, None] * windows).reshape(len(windows), width)
        return jax.ops.segment_sum(products, self.target, num_segments=self.shape[0])

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, per_run: bool, batch: int
    ) -> Array:
        # A BCOO may be padded with entries whose indices are out of range: they get 0.
        sums_bar = sums_bar.at[self.target].get(mode="fill", fill_value=0)
        products = gather_windows(buffer.reshape(-1), starts, sums_bar.shape[1]) * sums_bar
        if not per_run:
            return products.sum(1)
        return products.reshape(len(products), -1, batch).sum(1)


DelayedEdges: TypeAlias = DenseEdges | UniformEdges | PaddedEdges | StoredEdges


def delayed_edges(
    conn: Weights, lags: Array, mesh: Mesh | None = None
) -> tuple[Array, DelayedEdges]:
    """Return the stored weights of a connection, and the edges that they stand on."""
    if mesh is not None and conn.shape[0] % mesh.size:
        mesh = (
            None  # its targets are not the nodes of the network, but the regions of a surface, say
        )
    if isinstance(conn, SparseConnection):
        edges = PaddedEdges(lags, conn.by_target, conn.by_source)
        return conn.by_target.filled(conn.weights), edges
    if isinstance(conn, BCOO):
        target, source = conn.indices.T
        return conn.data, StoredEdges(lags, target, source, conn.shape)
    if lags.ndim == 0:
        return conn, UniformEdges(lags, conn.shape, mesh)
    return conn, DenseEdges(lags, mesh)


def transpose_weights(edges: DelayedEdges, weights: Array) -> Array:
    """Return the weights in the order of `edges.transposed()`."""
    if isinstance(edges, PaddedEdges):
        return edges.by_source.filled(take(weights, edges.by_target.place))
    if isinstance(edges, StoredEdges):
        return weights
    return by_node(edges.mesh, jnp.swapaxes(weights, 0, 1), 0)


def is_edges(x: object) -> bool:
    """Return whether `x` is a set of delayed edges; for `jax.tree.map(..., is_leaf=is_edges)`."""
    return isinstance(x, DelayedEdges)
