"""The past of each source in a row, and the delayed sums of a whole block of steps read from it.

Rows are time-minor, the runs of a batch behind each time: `(source, time * batch)`, with room at
their end for the times to come. When they are filled up to time t, the sums of the times
t + 1 … t + m read, for an edge of lag d >= m, the m times from t + 1 - d on: one contiguous window
an edge, contracted with the weights.

The adjoint of such a delayed sum is a delayed sum, in reversed time, with weights and lags
transposed: the same `pull` from rows of cotangents.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.sparse import BCOO
from jax.sharding import Mesh

from .._connectome import Layout, SparseConnection, Weights, take
from .._core import by_node, on_each

# Numbers in the windows that are gathered at once: all of 84 regions, 33 targets of 370. On a CPU half
# and twice as many cost up to a sixth more. An accelerator wants few large operations.
AT_ONCE = {"cpu": 3 * 2**17}
AT_ONCE_ELSEWHERE = 2**26
# Short windows are copied by pieces: 16 numbers are straight vector code on a CPU, 32 a loop that costs
# 2.5 times as much (JAX 0.10.2, float32: the sums of 84 regions 1.1 against 1.7 us a step).
PIECE, SHORT = 16, 64


def in_parts(fn: Callable[..., Array], size: int, *args: Array) -> Array:
    """`jax.vmap(fn)(*args)`, a few rows at a time where each needs `size` numbers for itself."""
    fn = jax.checkpoint(fn, prevent_cse=False)  # where JAX differentiates this, keep no windows
    total = len(args[0])
    fewest = max(1, -(-total * size // AT_ONCE.get(jax.default_backend(), AT_ONCE_ELSEWHERE)))
    # An even split if there is one near; else the last part is filled up, with rows of zeros.
    parts = next((n for n in range(fewest, 2 * fewest) if total % n == 0), fewest)
    rows = -(-total // parts)
    parts = -(-total // rows)
    if parts == 1:
        return jax.vmap(fn)(*args)

    def split(x: Array) -> Array:
        filled = jnp.pad(x, [(0, parts * rows - total)] + [(0, 0)] * (x.ndim - 1))
        return filled.reshape(parts, rows, *x.shape[1:])

    done = lax.map(lambda part: jax.vmap(fn)(*part), tuple(split(x) for x in args))
    return done.reshape(parts * rows, *done.shape[2:])[:total]


def pull_rows(weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
    """The sums of a block for targets of as many edges each: weights and starts `(target, edge)`."""
    flat = rows.reshape(-1)

    def one(start, weights):
        seen = _windows(flat, start, width)
        if weights.ndim == 1:
            return jnp.matmul(weights, seen, precision=lax.Precision.HIGHEST)
        seen = seen.reshape(len(seen), width // batch, batch)
        return (weights[:, None] * seen).sum(0).reshape(-1)

    return in_parts(one, start.shape[1] * width, start, weights)


def correlate_rows(sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
    """The cotangents `(target, edge)` of the weights of such targets."""
    flat = past.reshape(-1)

    def one(start, sums):
        seen = _windows(flat, start, len(sums))
        if not per_run:
            return jnp.matmul(seen, sums, precision=lax.Precision.HIGHEST)
        return (seen * sums[None]).reshape(len(seen), len(sums) // batch, batch).sum(1)

    return in_parts(one, start.shape[1] * sums.shape[1], start, sums)


class DenseEdges(eqx.Module):
    """All pairs, each with its lag."""

    lags: Array  # (target, source)
    mesh: Mesh | None = eqx.field(default=None, static=True)
    ndim = 2

    @property
    def shape(self) -> tuple[int, ...]:
        return self.lags.shape

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "DenseEdges":
        return DenseEdges(by_node(self.mesh, self.lags.T, 0), self.mesh)

    def starts(self, row: int, at: int, batch: int) -> Array:
        """Where each edge's window begins in flat rows of `row` times, the first `at` of them filled."""
        sources = jnp.arange(self.lags.shape[1], dtype=self.lags.dtype)
        return (sources[None] * row + at - self.lags) * batch

    def pull(self, weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
        """The sums `(target, steps * batch)` of the block whose windows begin at `start`."""
        pull = lambda start, weights, rows: pull_rows(weights, rows, start, width, batch)  # noqa: E731
        return on_each(self.mesh, pull, (start, weights), (rows,))

    def correlate(self, sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
        """The cotangent of the weights: of each target's sums with what its edges carried."""
        both = lambda start, sums, past: correlate_rows(sums, past, start, per_run, batch)  # noqa: E731
        return on_each(self.mesh, both, (start, sums), (past,))


class UniformEdges(eqx.Module):
    """All pairs with one lag: a block of sums is one matrix product."""

    lag: Array
    shape: tuple[int, ...] = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(default=None, static=True)
    ndim = 2

    @property
    def targets(self) -> int:
        return self.shape[0]

    def transposed(self) -> "UniformEdges":
        return UniformEdges(self.lag, self.shape[::-1], self.mesh)

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


class RowEdges(eqx.Module):
    """The edges of a sparse connection, each target's as a row; weights are at the rows' places."""

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

    def transposed(self) -> "RowEdges":
        return RowEdges(self.lags, self.by_source, self.by_target)

    def starts(self, row: int, at: int, batch: int) -> Array:
        lags = take(self.lags, self.by_target.edges) if self.lags.ndim else self.lags
        return (self.by_target.rows.source * row + at - lags) * batch

    def pull(self, weights: Array, rows: Array, start: Array, width: int, batch: int) -> Array:
        def pull(bucket, start, weights, rows):
            each = zip(bucket.split(start), bucket.split(weights), strict=True)
            sums = [pull_rows(jnp.swapaxes(w, 0, 1), rows, s.T, width, batch) for s, w in each]
            return bucket.join(sums)

        return self.by_target.rows.on_each(pull, (start, weights), (rows,))

    def correlate(self, sums: Array, past: Array, start: Array, per_run: bool, batch: int) -> Array:
        def correlate(bucket, start, sums, past):
            each = zip(bucket.split(start), bucket.split_rows(sums), strict=True)
            parts = [correlate_rows(sums, past, s.T, per_run, batch) for s, sums in each]
            return jnp.concatenate([jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:]) for x in parts])

        return self.by_target.rows.on_each(correlate, (start, sums), (past,))


class SparseEdges(eqx.Module):
    """The stored edges of a BCOO."""

    lags: Array  # (edge,) or ()
    target: Array
    source: Array
    shape: tuple[int, ...] = eqx.field(static=True)
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
        # A BCOO may be padded, with indices out of range.
        sums = sums.at[self.target].get(mode="fill", fill_value=0)
        product = _windows(past.reshape(-1), start, sums.shape[1]) * sums
        if not per_run:
            return product.sum(1)
        return product.reshape(len(product), -1, batch).sum(1)


Edges = DenseEdges | UniformEdges | RowEdges | SparseEdges


def edges_of(conn: Weights, lags: Array, mesh: Mesh | None = None) -> tuple[Array, Edges]:
    """The stored weights of a connection, and the edges that they sit on."""
    if mesh is not None and conn.shape[0] % mesh.size:
        mesh = None  # no node's: of the regions of a surface, say
    if isinstance(conn, SparseConnection):
        edges = RowEdges(lags, conn.by_target, conn.by_source)
        return conn.by_target.filled(conn.weights), edges
    if isinstance(conn, BCOO):
        target, source = conn.indices.T
        return conn.data, SparseEdges(lags, target, source, conn.shape)
    if lags.ndim == 0:
        return conn, UniformEdges(lags, conn.shape, mesh)
    return conn, DenseEdges(lags, mesh)


def transpose_weights(edges: Edges, weights: Array) -> Array:
    """Weights in the order of `edges.transposed()`."""
    if isinstance(edges, RowEdges):
        return edges.by_source.filled(take(weights, edges.by_target.place))
    if isinstance(edges, SparseEdges):
        return weights
    return by_node(edges.mesh, jnp.swapaxes(weights, 0, 1), 0)


def _windows(flat: Array, start: Array, width: int) -> Array:
    """`flat[s : s + width]` for every `s` in `start`: contiguous copies."""
    piece = PIECE if width <= SHORT and width % PIECE == 0 else width
    pieces = (*start.shape, width // piece)
    start = start[..., None] + piece * lax.broadcasted_iota(start.dtype, pieces, start.ndim)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(start.ndim,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    seen = lax.gather(
        flat, start[..., None], numbers, slice_sizes=(piece,), mode="promise_in_bounds"
    )
    return seen.reshape(*pieces[:-1], width)
