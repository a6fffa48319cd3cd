"""The linear part of a coupling: messages through a connection, dense or sparse."""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import as_float, require_finite, require_real, require_shape
from ._padded_rows import Product
from ._sparse import (
    SparseConnection,
    Weights,
    at_sources,
    at_targets,
    edge_sums,
    product_of,
    with_weights,
)


def weighted_sum(
    conn: Weights, messages: Num[ArrayLike, " source"] | Num[ArrayLike, "target source"]
) -> Num[Array, " target"]:
    r"""Sum what each target receives: $\sum_j W_{ij} m_j$, or $\sum_j W_{ij} m_{ij}$.

    The second form is for messages of which every target sees its own, delayed copy. A rule of
    your own that sums with this works with delays and with sparse connections.

    Args:
        conn: $W$; `conn[i, j]` is from source `j` onto target `i`; dense or sparse.
        messages: what each source sends, or what each target sees of it.

    Raises:
        ValueError: if `messages` fits neither form.

    Example:
        >>> conn = jnp.array([[0.0, 2.0], [1.0, 0.0]])
        >>> cf.weighted_sum(conn, jnp.array([10.0, 1.0])).tolist()
        [2.0, 10.0]
        >>> cf.weighted_sum(conn, jnp.array([[0.0, 3.0], [4.0, 0.0]])).tolist()
        [6.0, 4.0]
    """
    targets, sources = matrix_shape(conn)
    require_real("messages", messages)
    require_shape("messages", messages, (sources,), (targets, sources))
    return weighted(conn, jnp.asarray(messages))


def matrix_shape(conn: Any) -> tuple[int, int]:
    """How many targets and sources there are; refused where it is no connection."""
    require_real("conn", conn)
    if len(np.shape(conn)) != 2:
        raise ValueError(f"`conn` must have shape (target, source), not {np.shape(conn)}.")
    return np.shape(conn)


def stored(conn: Weights) -> Array:
    """Which pairs `(target, source)` have an edge: a weight that is not 0, or a stored entry."""
    if isinstance(conn, BCOO):
        return BCOO((jnp.ones_like(conn.data), conn.indices), shape=conn.shape).todense() != 0
    return conn != 0


class Padded(eqx.Module):
    """A few edges a target, as rows of equal length: what is missing has weight 0."""

    values: Array  # (target, slot)
    source: Array  # (target, slot)


def padded(conn: Array, source: Array) -> Padded:
    """The entries of a dense `conn` at the sources of each row of `source`; -1 is no edge."""
    values = jnp.take_along_axis(conn, jnp.maximum(source, 0), axis=1)
    return Padded(jnp.where(source >= 0, values, 0), jnp.maximum(source, 0))


def as_conn(name: str, conn: object) -> Array | BCOO | SparseConnection:
    """`conn` as a float connection, checked: two axes, real, and finite where values are known."""
    if isinstance(conn, SparseConnection):
        return with_weights(conn, as_conn_values(name, conn.weights))
    if isinstance(conn, BCOO):
        if conn.ndim != 2 or conn.n_batch or conn.n_dense:
            raise ValueError(
                f"`{name}` must have shape (target, source) without batch or dense axes; this "
                f"BCOO has shape {conn.shape}, n_batch {conn.n_batch}, n_dense {conn.n_dense}."
            )
        values = as_conn_values(name, conn.data)
        return BCOO((values, conn.indices.astype(jnp.int32)), shape=conn.shape)
    conn = as_conn_values(name, conn)
    if conn.ndim != 2:
        raise ValueError(f"`{name}` must have shape (target, source), not {conn.shape}.")
    return conn


def as_conn_values(name: str, values: object) -> Array:
    """Weights as finite floats."""
    values = as_float(name, values)
    hint = "A tract that is missing from the data is a weight of 0, not NaN."
    require_finite(name, values, hint)
    return values


def row_sums(x: Array) -> Array:
    """The sum of each row, as a matrix product.

    A reduction of some thousand numbers goes to a library that waits for its threads where XLA runs
    a loop body as a task graph: 82 us a step against 10 for 84 x 84 (JAX 0.10.2, CPU).
    """
    return jnp.matmul(x, jnp.ones(x.shape[1], x.dtype), precision=lax.Precision.HIGHEST)


@singledispatch
def weighted(conn, messages: Array) -> Array:
    """What `weighted_sum` does, for every kind of connection, those within the package too."""
    if messages.ndim == 1:
        # On a GPU the default would round float32 weights to TF32: 2e-4 instead of 1e-7.
        return jnp.matmul(conn, messages, precision=lax.Precision.HIGHEST)
    return row_sums(conn * messages)


@weighted.register
def _(conn: BCOO, messages: Array) -> Array:
    target, source = conn.indices.T
    sent = messages[source] if messages.ndim == 1 else messages[target, source]
    return jax.ops.segment_sum(conn.data * sent, target, num_segments=conn.shape[0])


@weighted.register
def _(conn: Padded, messages: Array) -> Array:
    return row_sums(conn.values * messages[conn.source])


@weighted.register
def _(conn: SparseConnection, messages: Array) -> Array:
    if messages.ndim == 2:
        return edge_sums(conn, conn.weights * messages[conn.target, conn.source])
    return weighted(product_of(conn), messages)


@weighted.register
def _(conn: Product, messages: Array) -> Array:
    return conn(messages)


@singledispatch
def prepared(conn) -> Any:
    """A connection as `weighted` is fastest with it, for a loop."""
    return conn


@prepared.register
def _(conn: SparseConnection) -> Product:
    return product_of(conn)


@singledispatch
def edgewise(conn, fn: Callable[[Array, Array], Array], source: Array, target: Array) -> Array:
    """The weighted sums of `fn(source, target)`, worked out for every edge."""
    source = jnp.broadcast_to(source[None, :] if source.ndim == 1 else source, conn.shape)
    target = jnp.broadcast_to(target[:, None], conn.shape)
    # An absent edge adds nothing, also where `fn` or its slope is not finite there.
    absent = ~stored(conn)
    source, target = (jnp.where(absent, lax.stop_gradient(x), x) for x in (source, target))
    carried = fn(source, target)
    return weighted(conn, jnp.where(absent & ~jnp.isfinite(carried), 0, carried))


@edgewise.register
def _(conn: SparseConnection, fn, source: Array, target: Array) -> Array:
    source = source[conn.target, conn.source] if source.ndim == 2 else at_sources(conn, source)
    return edge_sums(conn, conn.weights * fn(source, at_targets(conn, target)))


@singledispatch
def in_strength(conn) -> Array:
    """What each target could receive: the row sums, of every kind of connection."""
    return jnp.sum(conn, axis=1)


@in_strength.register
def _(conn: BCOO) -> Array:
    return jax.ops.segment_sum(conn.data, conn.indices[:, 0], num_segments=conn.shape[0])


@in_strength.register
def _(conn: SparseConnection) -> Array:
    return edge_sums(conn, conn.weights)
