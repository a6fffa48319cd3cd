"""The linear part of a coupling: weighted sums of messages over every kind of connection.

Each kind of connection registers its own methods of `weighted` (the sums), `edgewise` (sums of a
function of both ends of each edge), `in_strength` (the row sums), and, where a loop can compute
something once, `prepared`.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import as_float, require_finite, require_real, require_shape
from .._lazy import BCOO
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
    conn: Weights,
    messages: Num[ArrayLike, " source"]
    | Num[ArrayLike, "1 source"]
    | Num[ArrayLike, "target source"],
) -> Num[Array, " target"]:
    r"""Sum what each target receives: $\sum_j W_{ij} m_j$, or $\sum_j W_{ij} m_{ij}$.

    The second form is for delayed messages, of which each target sees its own copy. A coupling rule
    of your own that sums with this function works with delays and with sparse connections.

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`; dense or sparse.
            [any unit]
        messages: what each source sends, `(source,)`, or what each target sees of it,
            `(target, source)`; a single row, `(1, source)`, is what every target sees. [any unit]

    Returns:
        One sum per target. [unit of `conn` times unit of `messages`]

    Raises:
        ValueError: if `messages` has none of these shapes.

    Example:
        >>> conn = jnp.array([[0.0, 2.0], [1.0, 0.0]])
        >>> cf.weighted_sum(conn, jnp.array([10.0, 1.0])).tolist()
        [2.0, 10.0]
        >>> cf.weighted_sum(conn, jnp.array([[0.0, 3.0], [4.0, 0.0]])).tolist()
        [6.0, 4.0]
    """
    targets, sources = matrix_shape(conn)
    require_real("messages", messages)
    require_shape("messages", messages, (sources,), (targets, sources), (1, sources))
    messages = jnp.asarray(messages)
    return weighted(conn, messages[0] if len(messages) == 1 < messages.ndim else messages)


def matrix_shape(conn: Any) -> tuple[int, int]:
    """Return the numbers of targets and sources; refuse what is not a matrix of numbers."""
    require_real("conn", conn)
    if len(np.shape(conn)) != 2:
        raise ValueError(f"`conn` must have shape (target, source), not {np.shape(conn)}.")
    return np.shape(conn)


def stored(conn: Weights) -> Array:
    """Mark the pairs `(target, source)` with an edge: a weight other than 0, or a stored entry."""
    if isinstance(conn, BCOO):
        return BCOO((jnp.ones_like(conn.data), conn.indices), shape=conn.shape).todense() != 0
    return conn != 0


class Padded(eqx.Module):
    """A few edges per target as padded rows of one width, in a dense network; padding has weight 0.

    For the stepwise edges of a delayed network, which are few. `_padded_rows.py` has the padded rows of
    a whole sparse matrix.
    """

    values: Array  # (target, slot)
    source: Array  # (target, slot)


def padded(conn: Array, source: Array) -> Padded:
    """Pick the entries of a dense `conn` at `source`, (target, slot); -1 there is padding."""
    values = jnp.take_along_axis(conn, jnp.maximum(source, 0), axis=1)
    return Padded(jnp.where(source >= 0, values, 0), jnp.maximum(source, 0))


def as_conn(name: str, conn: object) -> Array | BCOO | SparseConnection:
    """Convert `conn` to a connection of floats: two axes, real, and finite where values are known."""
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
    """Convert weights to floats, and refuse those that are not finite."""
    values = as_float(name, values)
    hint = "A tract that is missing from the data is a weight of 0, not NaN."
    require_finite(name, values, hint)
    return values


def row_sums(x: Array) -> Array:
    """Sum each row, as a product with a vector of ones.

    A plain reduction of some thousand numbers uses a thread pool, and waits for it wherever XLA runs a
    loop body as a graph of tasks: 82 us per step instead of 10 for 84 x 84 (JAX 0.10.2, CPU).
    """
    return jnp.matmul(x, jnp.ones(x.shape[1], x.dtype), precision=lax.Precision.HIGHEST)


@singledispatch
def weighted(conn, messages: Array) -> Array:
    """Do what `weighted_sum` does, without checks, for every kind of connection, internal ones too."""
    if messages.ndim == 1:
        # By default a GPU rounds float32 to TF32, with errors of 2e-4 instead of 1e-7.
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
    """Convert a connection to what `weighted` sums fastest; call it once, before a loop."""
    return conn


@prepared.register
def _(conn: SparseConnection) -> Product:
    return product_of(conn)


@singledispatch
def at_edges(conn, values: Array) -> Array:
    """Return the value of each edge, as `edgewise` takes it, from values by pair, source or target.

    `values` is `(target, source)`, `(1, source)`, `(target, 1)` or a scalar; over a `SparseConnection`,
    which has `(edge,)`, also that. Of a matrix, every pair counts as an edge here.
    """
    return jnp.broadcast_to(values, conn.shape)


@at_edges.register
def _(conn: SparseConnection, values: Array) -> Array:
    if values.ndim < 2:
        return jnp.broadcast_to(values, (conn.edges,))
    if len(values) == 1:
        return at_sources(conn, values[0])
    if values.shape[1] == 1:
        return at_targets(conn, values[:, 0])
    return values[conn.target, conn.source]


@singledispatch
def edgewise(conn, fn: Callable[..., Array], *values: Array) -> Array:
    """Return the weighted sums of `fn` of some values per edge, as `at_edges` returns them."""
    # An absent edge adds nothing, even where `fn` or its derivative is not finite there.
    absent = ~stored(conn)
    carried = fn(*(jnp.where(absent, lax.stop_gradient(x), x) for x in values))
    return weighted(conn, jnp.where(absent & ~jnp.isfinite(carried), 0, carried))


@edgewise.register
def _(conn: SparseConnection, fn, *values: Array) -> Array:
    return edge_sums(conn, conn.weights * fn(*values))


@singledispatch
def in_strength(conn) -> Array:
    """Return the row sums of every kind of connection: the sum of the weights onto each target."""
    return jnp.sum(conn, axis=1)


@in_strength.register
def _(conn: BCOO) -> Array:
    return jax.ops.segment_sum(conn.data, conn.indices[:, 0], num_segments=conn.shape[0])


@in_strength.register
def _(conn: SparseConnection) -> Array:
    return edge_sums(conn, conn.weights)
