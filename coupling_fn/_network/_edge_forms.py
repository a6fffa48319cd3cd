"""The edges of a connection, dense or sparse, as one link reads, scales and sums them.

Each function has one implementation per kind of connection; a new kind registers its own.
"""

from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .._connectome import (
    Padded,
    SparseConnection,
    at_sources,
    edge_sums,
    padded,
    pick_edges,
    row_sums,
    take,
    weighted_sum,
    with_weights,
)
from .._delays import EdgeSplit, gather
from .._lazy import BCOO


@singledispatch
def of_stored_edges(conn, values: Array) -> Array:
    """Return values, such as lags, of the stored edges, from those of all pairs; a scalar stays one."""
    return values


@of_stored_edges.register
def _(conn: BCOO, values: Array) -> Array:
    return values if values.ndim == 0 else values[conn.indices[:, 0], conn.indices[:, 1]]


@of_stored_edges.register
def _(conn: SparseConnection, values: Array) -> Array:
    return values[conn.target, conn.source] if values.ndim == 2 else values


def can_split(conn: Any, split: EdgeSplit) -> bool:
    """Return whether an `EdgeSplit` can name edges of the connection; of a BCOO it cannot."""
    return not isinstance(conn, BCOO) and split.ndim == (
        1 if isinstance(conn, SparseConnection) else 2
    )


def picked(conn: Any, edges: Array) -> Padded | BCOO:
    """Return the few edges that an `EdgeSplit` names."""
    return pick_edges(conn, edges) if isinstance(conn, SparseConnection) else padded(conn, edges)


def picked_lags(lags: Array, edges: Array) -> Array:
    """Return the lags of those edges; at least 1, also in slots without an edge."""
    return jnp.maximum(take(lags, edges) if lags.ndim == 1 else padded(lags, edges).values, 1)


def near_edges(conn: Any, edges: SparseConnection | Array) -> SparseConnection | BCOO:
    """Return those edges whose sums have a smaller block than the others, from an `EdgeSplit`."""
    if isinstance(edges, SparseConnection):
        return with_weights(edges, conn[edges.target, edges.source])
    return pick_edges(conn, edges)


def near_lags(lags: Array, edges: SparseConnection | Array) -> Array:
    """Return the lags of those edges."""
    if isinstance(edges, SparseConnection):
        return lags[edges.target, edges.source]
    return take(lags, edges)


@singledispatch
def gather_edges(conn, buffer: Array, index: Array) -> Array:
    """Return `buffer[index, source]` for every stored edge; the buffer is `(time, source)`."""
    return gather(buffer, index)


@gather_edges.register
def _(conn: BCOO, buffer: Array, index: Array) -> Array:
    source = conn.indices[:, 1]
    if index.ndim == 0:
        return gather(buffer, index)[source]
    flat = index * buffer.shape[1] + source
    return buffer.reshape(-1).at[flat].get(mode="promise_in_bounds")


@gather_edges.register
def _(conn: SparseConnection, buffer: Array, index: Array) -> Array:
    if index.ndim == 0:
        return at_sources(conn, gather(buffer, index))
    return take(buffer.reshape(-1), index * buffer.shape[1] + conn.source)


@gather_edges.register
def _(conn: Padded, buffer: Array, index: Array) -> Array:
    flat = index * buffer.shape[1] + conn.source
    return buffer.reshape(-1).at[flat].get(mode="promise_in_bounds")


@singledispatch
def sum_edges(conn, messages: Array) -> Array:
    """Return the weighted sum per target of what its edges carry."""
    return weighted_sum(conn, messages)


@sum_edges.register
def _(conn: BCOO, messages: Array) -> Array:
    return jax.ops.segment_sum(conn.data * messages, conn.indices[:, 0], num_segments=conn.shape[0])


@sum_edges.register
def _(conn: SparseConnection, messages: Array) -> Array:
    return edge_sums(conn, conn.weights * messages)


@sum_edges.register
def _(conn: Padded, messages: Array) -> Array:
    return row_sums(conn.values * messages)


@singledispatch
def scaled(conn, factor: Array) -> Any:
    """Return the connection with every weight times the factor of its edge."""
    return conn * factor


@scaled.register
def _(conn: BCOO, factor: Array) -> BCOO:
    return BCOO((conn.data * factor, conn.indices), shape=conn.shape)


@scaled.register
def _(conn: SparseConnection, factor: Array) -> SparseConnection:
    return with_weights(conn, conn.weights * factor)
