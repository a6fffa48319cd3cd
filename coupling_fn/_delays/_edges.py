r"""Sets of delayed edges, one kind per kind of connection, each with the same methods and properties.

    starts(length, present, batch)        where the window of each edge begins in a flat buffer
    arranged(weights)                     the weights in the order in which sums read them
    sums(weights, buffer, starts, ...)    the delayed sums of a block
    weights_bar(sums_bar, buffer, ...)    the cotangents of the weights, from those of all sums of a run
    transposed()                          the same edges from targets to sources
    shape, targets, ndim                  (targets, sources); the number of targets; axes of the weights

The cotangent of a message is $\bar\psi_j(t) = \sum_i W_{ij}\, \bar S_i(t + d_{ij})$, which is a
delayed sum again: over the transposed edges, in reversed time. So `transposed().sums(...)` over a
buffer of cotangents, the latest first, is the adjoint, and nothing else has to be written.

A buffer is `(source, time * batch)`, and `starts(length, present, batch)` is for one of `length`
times of which `present` are filled. Weights come one array per tap: a rounded lag is one tap, a read
between two steps is two, of which the second reads one step earlier.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._connectome import Layout, SparseConnection, Weights, take
from .._core import by_node, on_each
from .._lazy import BCOO
from ._windows import correlate_windows, gather_windows, sum_windows, weighted_windows


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
        """Return starts `(source, target)`: a slot per source."""
        sources = jnp.arange(self.lags.shape[1], dtype=self.lags.dtype)
        return by_node(self.mesh, ((sources[None] * length + present - self.lags) * batch).T, 1)

    def arranged(self, weights: Array) -> Array:
        return by_node(self.mesh, weights.swapaxes(0, 1), 1)

    def sums(
        self,
        weights: Sequence[Array],
        buffer: Array,
        starts: Array,
        offset: Any,
        width: int,
        batch: int,
        present: int | None = None,
    ) -> Array:
        def of_targets(starts, weights, buffer, offset):
            return sum_windows(weights, buffer, starts, offset, width, batch, of_source=True)

        return on_each(
            self.mesh, of_targets, (starts, weights), (buffer, offset), axes=(1, 1), out=0
        )

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, taps: int, per_run: bool, batch: int
    ) -> list[Array]:
        def of_targets(starts, sums_bar, buffer):
            return correlate_windows(
                sums_bar, buffer, starts, taps=taps, batch=batch, per_run=per_run
            )

        bars = on_each(self.mesh, of_targets, (starts, sums_bar), (buffer,), axes=(1, 0), out=1)
        return [by_node(self.mesh, bar.swapaxes(0, 1), 0) for bar in bars]


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

    def arranged(self, weights: Array) -> Array:
        return weights

    def sums(
        self,
        weights: Sequence[Array],
        buffer: Array,
        starts: Array,
        offset: Any,
        width: int,
        batch: int,
        present: int | None = None,
    ) -> Array:
        def of_tap(tap, weights):
            window = lax.dynamic_slice_in_dim(buffer, starts + (offset - tap * batch), width, 1)
            if weights.ndim == 2:
                return jnp.matmul(weights, window, precision=lax.Precision.HIGHEST)
            window = window.reshape(window.shape[0], -1, batch)
            summed = jnp.einsum("ijb,jmb->imb", weights, window, precision=lax.Precision.HIGHEST)
            return summed.reshape(weights.shape[0], -1)

        first, *rest = (of_tap(*each) for each in enumerate(weights))
        return sum(rest, first)

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, taps: int, per_run: bool, batch: int
    ) -> list[Array]:
        def of_tap(tap):
            window = lax.dynamic_slice_in_dim(buffer, starts - tap * batch, sums_bar.shape[1], 1)
            if not per_run:
                return jnp.matmul(sums_bar, window.T, precision=lax.Precision.HIGHEST)
            both = (x.reshape(x.shape[0], -1, batch) for x in (sums_bar, window))
            return jnp.einsum("imb,jmb->ijb", *both, precision=lax.Precision.HIGHEST)

        return [of_tap(tap) for tap in range(taps)]


class PaddedEdges(eqx.Module):
    """The edges of a `SparseConnection`; weights stand at their places in the padded rows."""

    lags: Array  # (edge,) or ()
    by_target: Layout
    by_source: Layout
    reach: int | None = eqx.field(
        default=None, static=True
    )  # how far back they read, if it is near
    ndim = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.by_target.rows.count, self.by_source.rows.count

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "PaddedEdges":
        return PaddedEdges(self.lags, self.by_source, self.by_target, self.reach)

    def starts(self, length: int, present: int, batch: int) -> Array:
        lags = take(self.lags, self.by_target.edges) if self.lags.ndim else self.lags
        return (self.by_target.rows.source * length + present - lags) * batch

    def arranged(self, weights: Array) -> Array:
        return weights

    def sums(
        self,
        weights: Sequence[Array],
        buffer: Array,
        starts: Array,
        offset: Any,
        width: int,
        batch: int,
        present: int | None = None,
    ) -> Array:
        if self.reach is not None and present is not None:
            # From a copy of the newest times: see `of_source` in `sum_windows`.
            first = (present - self.reach) * batch + offset
            buffer = lax.dynamic_slice_in_dim(buffer, first, self.reach * batch, 1)
            starts, offset = self.starts(self.reach, self.reach, batch), jnp.zeros_like(offset)

        def of_buckets(rows, starts, weights, buffer, offset):
            each = zip(rows.split(starts), zip(*map(rows.split, weights), strict=True), strict=True)
            return rows.join([sum_windows(w, buffer, s, offset, width, batch) for s, w in each])

        return self.by_target.rows.on_each(of_buckets, (starts, weights), (buffer, offset))

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, taps: int, per_run: bool, batch: int
    ) -> list[Array]:
        def of_buckets(rows, starts, sums_bar, buffer):
            each = zip(rows.split(starts), rows.split_rows(sums_bar), strict=True)
            parts = [
                correlate_windows(bar, buffer, s, taps=taps, batch=batch, per_run=per_run)
                for s, bar in each
            ]
            return [
                jnp.concatenate([part.reshape(-1, *part.shape[2:]) for part in of_tap])
                for of_tap in zip(*parts, strict=True)
            ]

        return self.by_target.rows.on_each(of_buckets, (starts, sums_bar), (buffer,))


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

    def arranged(self, weights: Array) -> Array:
        return weights

    def sums(
        self,
        weights: Sequence[Array],
        buffer: Array,
        starts: Array,
        offset: Any,
        width: int,
        batch: int,
        present: int | None = None,
    ) -> Array:
        def products(tap, weights):
            windows = gather_windows(buffer.reshape(-1), starts + (offset - tap * batch), width)
            return weighted_windows(weights, windows, batch)

        first, *rest = (products(*each) for each in enumerate(weights))
        return jax.ops.segment_sum(sum(rest, first), self.target, num_segments=self.shape[0])

    def weights_bar(
        self, sums_bar: Array, buffer: Array, starts: Array, taps: int, per_run: bool, batch: int
    ) -> list[Array]:
        # A BCOO may be padded with entries whose indices are out of range: they get 0.
        target = jnp.minimum(self.target, self.shape[0] - 1)
        there = self.target < self.shape[0]
        bars = correlate_windows(
            sums_bar, buffer, starts[None], target, taps=taps, batch=batch, per_run=per_run
        )
        return [jnp.where(there[:, None] if per_run else there, bar[0], 0) for bar in bars]


DelayedEdges: TypeAlias = DenseEdges | UniformEdges | PaddedEdges | StoredEdges


def delayed_edges(
    conns: Sequence[Weights], lags: Array, mesh: Mesh | None = None, reach: int | None = None
) -> tuple[tuple[Array, ...], DelayedEdges]:
    """Return the stored weights of each tap, and the edges that they stand on, of connections alike.

    `reach` is the largest lag that is read, if it is known to be small.
    """
    conn = conns[0]
    if mesh is not None and any(count % mesh.size for count in conn.shape):
        mesh = None  # these are no nodes, but the regions of a surface, or of a small subnetwork
    if isinstance(conn, SparseConnection):
        weights = tuple(conn.by_target.filled(each.weights) for each in conns)
        return weights, PaddedEdges(lags, conn.by_target, conn.by_source, reach)
    if isinstance(conn, BCOO):
        target, source = conn.indices.T
        return tuple(each.data for each in conns), StoredEdges(lags, target, source, conn.shape)
    edges = UniformEdges(lags, conn.shape, mesh) if lags.ndim == 0 else DenseEdges(lags, mesh)
    return tuple(conns), edges


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
