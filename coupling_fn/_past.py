"""The past of each source in a row, and the delayed sums of a whole block of steps read from it.

Rows are time-minor, the runs of a batch behind each time: `(source, time * batch)`. When they reach
up to time t, the sums of the times t + 1 … t + m read, for an edge of lag d >= m, the m times from
t + 1 - d on: one contiguous window an edge, contracted with the weights.

The adjoint of such a delayed sum is a delayed sum, in reversed time, with weights and lags
transposed: the same `pull` from rows of cotangents.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.sparse import BCOO

from ._types import Weights

# Targets whose windows are gathered at once: they fit the fast cache from 84 to 1000 regions.
TARGETS_AT_ONCE = 8


def push(rows: Array, block: Array) -> Array:
    """Shift a block `(source, steps, batch)` in, and its like in age out.

    A copy of all rows; but a ring that is written in place measures slower (5.1 against 2.9 us a
    step, 84 regions): XLA copies what a loop both gathers from and updates.
    """
    block = block.reshape(len(block), -1)
    return jnp.concatenate([rows[:, block.shape[1] :], block], 1)


class DenseEdges(eqx.Module):
    """All pairs, each with its lag."""

    lags: Array  # (target, source)
    ndim = 2

    @property
    def targets(self) -> int:
        return self.lags.shape[0]

    def transposed(self) -> "DenseEdges":
        return DenseEdges(self.lags.T)

    def starts(self, row: int, at: int, batch: int) -> Array:
        """Where each edge's window begins in flat rows of that length, which reach up to `at`."""
        sources = jnp.arange(self.lags.shape[1], dtype=self.lags.dtype)
        return (sources[None] * row + at - self.lags) * batch

    def pull(self, weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
        """The sums `(target, steps * batch)` of the block whose windows begin at `start`."""
        flat = rows.reshape(-1)
        if weights.ndim == 2:

            def one(row):
                seen = _windows(flat, row[0], width)
                return jnp.matmul(row[1], seen, precision=lax.Precision.HIGHEST)

        else:

            def one(row):
                seen = _windows(flat, row[0], width).reshape(row[0].shape[0], -1, batch)
                return (row[1][:, None] * seen).sum(0).reshape(-1)

        return lax.map(one, (start, weights), batch_size=TARGETS_AT_ONCE)

    def correlate(self, sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
        """The cotangent of the weights: of each target's sums with what its edges carried."""
        flat = past.reshape(-1)

        def one(row):
            seen = _windows(flat, row[0], sums.shape[1])
            if not per_run:
                return jnp.matmul(seen, row[1], precision=lax.Precision.HIGHEST)
            return (seen * row[1][None]).reshape(seen.shape[0], -1, batch).sum(1)

        return lax.map(one, (start, sums), batch_size=TARGETS_AT_ONCE)


class UniformEdges(eqx.Module):
    """All pairs with one lag: a block of sums is one matrix product."""

    lag: Array
    shape: tuple[int, int] = eqx.field(static=True)
    ndim = 2

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "UniformEdges":
        return UniformEdges(self.lag, self.shape[::-1])

    def starts(self, row: int, at: int, batch: int) -> Array:
        return (at - self.lag) * batch

    def pull(self, weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
        seen = lax.dynamic_slice_in_dim(rows, start, width, 1)
        if weights.ndim == 2:
            return jnp.matmul(weights, seen, precision=lax.Precision.HIGHEST)
        seen = seen.reshape(seen.shape[0], -1, batch)
        summed = jnp.einsum("ijb,jmb->imb", weights, seen, precision=lax.Precision.HIGHEST)
        return summed.reshape(weights.shape[0], -1)

    def correlate(self, sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
        seen = lax.dynamic_slice_in_dim(past, start, sums.shape[1], 1)
        if not per_run:
            return jnp.matmul(sums, seen.T, precision=lax.Precision.HIGHEST)
        sums, seen = (x.reshape(x.shape[0], -1, batch) for x in (sums, seen))
        return jnp.einsum("imb,jmb->ijb", sums, seen, precision=lax.Precision.HIGHEST)


class SparseEdges(eqx.Module):
    """The stored edges of a sparse connection."""

    lags: Array  # (edge,) or ()
    target: Array
    source: Array
    shape: tuple[int, int] = eqx.field(static=True)
    ndim = 1

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "SparseEdges":
        return SparseEdges(self.lags, self.source, self.target, self.shape[::-1])

    def starts(self, row: int, at: int, batch: int) -> Array:
        return (self.source * row + at - self.lags) * batch

    def pull(self, weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
        seen = _windows(rows.reshape(-1), start, width)
        if weights.ndim == 1:
            sent = weights[:, None] * seen
        else:
            sent = (weights[:, None] * seen.reshape(len(seen), -1, batch)).reshape(seen.shape)
        return jax.ops.segment_sum(sent, self.target, num_segments=self.shape[0])

    def correlate(self, sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
        product = _windows(past.reshape(-1), start, sums.shape[1]) * sums[self.target]
        if not per_run:
            return product.sum(1)
        return product.reshape(len(product), -1, batch).sum(1)


Edges = DenseEdges | UniformEdges | SparseEdges


def edges_of(conn: Weights, lags: Array) -> tuple[Array, Edges]:
    """The stored weights of a connection, and the edges that they sit on."""
    if isinstance(conn, BCOO):
        target, source = conn.indices.T
        return conn.data, SparseEdges(lags, target, source, conn.shape)
    if lags.ndim == 0:
        return conn, UniformEdges(lags, conn.shape)
    return conn, DenseEdges(lags)


def transpose_weights(edges: Edges, weights: Array) -> Array:
    """Weights in the order of `edges.transposed()`."""
    return weights if isinstance(edges, SparseEdges) else jnp.swapaxes(weights, 0, 1)


def _windows(flat: Array, start: Array, width: int) -> Array:
    """`flat[s : s + width]` for every `s` in `start`: one contiguous copy each."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(start.ndim,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    return lax.gather(
        flat, start[..., None], numbers, slice_sizes=(width,), mode="promise_in_bounds"
    )
