"""Sparse connections: a weight per stored edge, and the source and target of each edge."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    as_count,
    as_float,
    constant,
    keeps_known,
    known,
    require_finite,
    require_nonnegative,
    require_shape,
)
from .._lazy import BCOO, BCSR
from ._layout import make_layout
from ._padded_rows import Layout, Product, take

_MISSING_TRACT = "A tract that is missing from the data is an edge left out, not NaN."


class SparseConnection(eqx.Module):
    """The edges of a large network, in place of a matrix; made by `to_sparse` or `sparse_from_edges`.

    Every coupling accepts it as its `conn`, and never makes an array (target, source) of it. The
    weights are a leaf that one may fit or sweep; the other arrays only say where they belong.

    Attributes:
        weights: one per stored edge, ordered by target, then by source. Lengths and lags per edge,
            from `edge_values`, are in the same order.
        target: the target of each edge.
        source: the source of each edge.
        shape: (targets, sources).

    Example:
        >>> conn = cf.to_sparse(jnp.array([[0.0, 2.0], [1.0, 0.0]]))
        >>> conn
        SparseConnection((2, 2), float..., edges=(2,))
        >>> cf.additive_coupling(jnp.array([10.0, 1.0]), conn, k=0.5).tolist()
        [1.0, 5.0]
    """

    weights: Array
    target: Array
    source: Array
    by_target: Layout
    by_source: Layout
    shape: tuple[int, int] = eqx.field(static=True)

    ndim = 2

    @property
    def dtype(self) -> Any:
        """The dtype of the weights."""
        return self.weights.dtype

    @property
    def edges(self) -> int:
        """How many edges are stored."""
        return len(self.target)

    def __repr__(self) -> str:
        kind = getattr(self.weights, "dtype", type(self.weights).__name__)
        return f"SparseConnection({self.shape}, {kind}, edges={np.shape(self.target)})"

    @keeps_known
    def todense(self) -> Array:
        """Return the matrix (target, source)."""
        return jnp.zeros(self.shape, self.dtype).at[self.target, self.source].set(self.weights)

    @keeps_known
    def to_bcoo(self) -> BCOO:
        """Convert to a `jax.experimental.sparse.BCOO`."""
        indices = jnp.stack([self.target, self.source], axis=1)
        ordered = {"indices_sorted": True, "unique_indices": True}
        return BCOO((self.weights, indices), shape=self.shape, **ordered)

    @keeps_known
    def to_bcsr(self) -> BCSR:
        """Convert to a `jax.experimental.sparse.BCSR`."""
        parts = (self.weights, self.source, self._row_starts())
        return BCSR(parts, shape=self.shape, indices_sorted=True, unique_indices=True)

    def to_scipy(self) -> Any:
        """Convert to a `scipy.sparse.csr_array`."""
        from scipy.sparse import csr_array

        parts = (self.weights, self.source, self._row_starts())
        return csr_array(tuple(map(np.asarray, parts)), shape=self.shape)

    @keeps_known
    def _row_starts(self) -> Array:
        ends = jnp.cumsum(jnp.bincount(self.target, length=self.shape[0]))
        return jnp.concatenate([jnp.zeros(1, jnp.int32), ends.astype(jnp.int32)])


if TYPE_CHECKING:  # A static checker does not know shapes.
    Weights: TypeAlias = Any
else:
    # `weights[i, j]` is from source j onto target i.
    Weights: TypeAlias = Num[ArrayLike, "target source"] | BCOO | SparseConnection


@keeps_known
def sparse_from_edges(
    target: Num[ArrayLike, " edge"] | Sequence[int],
    source: Num[ArrayLike, " edge"] | Sequence[int],
    weight: Num[ArrayLike, " edge"] | Sequence[float],
    shape: tuple[int, int],
) -> SparseConnection:
    """Make a sparse connection from a list of edges, in any order.

    Edges between the same source and target become one edge with the sum of their weights, as in scipy.
    NumPy does the work, in a second or two for 10^7 edges; weights may be traced, targets and sources
    may not.

    Args:
        target: the number of each edge's target. [1]
        source: the number of each edge's source. [1]
        weight: the weight of each edge; an edge of weight 0 is stored too. [any unit]
        shape: (targets, sources).

    Returns:
        The connection, its edges ordered by target, then by source.

    Raises:
        ValueError: if the lists differ in length, a number exceeds `shape`, or a weight is not finite.
        TypeError: if targets or sources are not whole numbers, or are traced.

    Example:
        >>> conn = cf.sparse_from_edges([1, 0, 1], [0, 1, 0], [0.5, 2.0, 0.25], shape=(2, 2))
        >>> conn.todense().tolist()
        [[0.0, 2.0], [0.75, 0.0]]
    """
    weight = as_float("weight", weight)
    if len(shape) != 2:
        raise ValueError(f"`shape` must be (targets, sources), not {shape}.")
    targets, sources = (as_count("shape", n) for n in shape)
    ends = _numbers("target", target, targets), _numbers("source", source, sources)
    for name, end in zip(("target", "source"), ends, strict=True):
        require_shape(name, end, weight.shape, meaning="Give one per entry of `weight`.")
    require_finite("weight", weight, _MISSING_TRACT)
    key = ends[0].astype(np.int64) * sources + ends[1]
    if not (key[1:] > key[:-1]).all():
        order = np.argsort(key, kind="stable")
        key, weight = key[order], weight[constant(order)]
        first = np.diff(key, prepend=-1) > 0
        if not first.all():
            pair = constant(np.cumsum(first) - 1)
            key = key[first]
            weight = jax.ops.segment_sum(weight, pair, len(key), indices_are_sorted=True)
    target, source = np.divmod(key, max(sources, 1))
    return _laid_out(weight, target, source, (targets, sources))


def _laid_out(weight: Array, target, source, shape, mesh: Mesh | None = None) -> SparseConnection:
    by_source = np.argsort(source, kind="stable")
    return SparseConnection(
        weight,
        constant(target.astype(np.int32)),
        constant(source.astype(np.int32)),
        make_layout(target, source, None, shape[0], mesh),
        make_layout(source[by_source], target[by_source], by_source, shape[1], mesh),
        shape,
    )


@keeps_known
def to_sparse(conn: Any, threshold: float | None = None) -> SparseConnection:
    """Convert a connection to a sparse one.

    Args:
        conn: a matrix (target, source), whose zeros are left out; or a matrix of scipy.sparse, a BCOO
            or a BCSR, of which every stored entry is kept. Entries of the same pair are summed.
        threshold: if given, edges with a smaller |weight| are left out. [as the weights]

    Returns:
        The connection, its edges ordered by target, then by source.

    Raises:
        ValueError: if `conn` does not have two axes, or a weight is not finite.
        TypeError: if it is none of these, or is traced.

    Example:
        >>> cf.to_sparse(jnp.array([[0.0, -3.0], [1.0, 0.0]]), threshold=2.0).todense().tolist()
        [[0.0, -3.0], [0.0, 0.0]]
    """
    if threshold is not None:
        require_shape("threshold", threshold, ())
        require_nonnegative("threshold", threshold, "It is compared with |weight|.")
    target, source, weight, shape = _entries("conn", conn)
    if threshold is not None:
        strong = np.abs(np.asarray(weight)) >= threshold
        target, source, weight = target[strong], source[strong], weight[strong]
    return sparse_from_edges(target, source, weight, shape)


@keeps_known
def edge_values(conn: SparseConnection, values: Any) -> Float[Array, " edge"]:
    """Look up one value per edge of a sparse connection, such as its length, in the order of weights.

    Args:
        conn: the connection.
        values: the values to choose from: a matrix (target, source), dense or sparse in any form that
            `to_sparse` accepts, or a list of edges `(target, source, value)`. Values of pairs that
            have no edge are ignored.

    Returns:
        The value of each edge. [unit of `values`]

    Raises:
        ValueError: if an edge has no value, or has two that differ, or the shapes do not fit.

    Example:
        >>> conn = cf.to_sparse(jnp.array([[0.0, 2.0], [1.0, 0.0]]))
        >>> lengths = cf.edge_values(conn, ([0, 1, 1], [1, 0, 1], [30.0, 20.0, 0.0]))
        >>> cf.lags(lengths, speed=10.0, dt=0.1).tolist()
        [30, 20]
    """
    if isinstance(values, tuple):
        target, source, value = values
        target = _numbers("target", target, conn.shape[0])
        source = _numbers("source", source, conn.shape[1])
        value = as_float("values", value)
        for name, end in (("target", target), ("source", source)):
            require_shape(name, end, value.shape, meaning="Give one per value.")
    elif _is_dense(values):
        value = as_float("values", values)
        require_shape("values", value, conn.shape, meaning="That is the shape of `conn`.")
        return value[conn.target, conn.source]
    else:
        target, source, value, shape = _entries("values", values)
        if shape != conn.shape:
            raise ValueError(f"`values` must have shape {conn.shape}, like `conn`, not {shape}.")
    wanted = _key(conn.target, conn.source, conn.shape)
    given = _key(target, source, conn.shape)
    order = np.argsort(given, kind="stable")
    begin, end = (np.searchsorted(given, wanted, side, sorter=order) for side in ("left", "right"))
    missing = np.flatnonzero(begin == end)
    if len(missing):
        where = int(conn.target[missing[0]]), int(conn.source[missing[0]])
        raise ValueError(
            f"`values` must have a value for every edge; {len(missing)} have none, the first from "
            f"source {where[1]} onto target {where[0]}."
        )
    if known(value):
        _refuse_other_values(np.asarray(value)[order], given[order], wanted)
    return value[constant(order[begin])]


def _refuse_other_values(value: np.ndarray, given: np.ndarray, wanted: np.ndarray) -> None:
    """Refuse two values for one edge; `given` are the sorted keys of values, `wanted` those of edges."""
    again = (given[1:] == given[:-1]) & (value[1:] != value[:-1])
    again[again] = np.isin(given[1:][again], wanted)
    if again.any():
        at = np.flatnonzero(again)[0]
        raise ValueError(
            f"`values` has {value[at]} and {value[at + 1]} for one edge: give one value per edge. "
            "Edges between the same source and target were summed to a single edge."
        )


# --- for the rest of the package -------------------------------------------------------------------


def product_of(conn: SparseConnection) -> Product:
    """Return the matrix in a form ready to be multiplied by what each source sends."""
    weights, rows, columns = conn.weights, conn.by_target, conn.by_source
    return Product(rows.filled(weights), columns.filled(weights), rows.rows, columns.rows)


def over_devices(conn: SparseConnection, mesh: Mesh) -> SparseConnection:
    """Lay out the same edges so that each device holds the rows of its own targets and sources."""
    ends = np.asarray(conn.target), np.asarray(conn.source)
    return _laid_out(conn.weights, *ends, conn.shape, mesh)


def edge_sums(conn: SparseConnection, messages: Array) -> Array:
    """Sum one value per edge over the edges onto each target: `(edge,)` to `(target,)`."""
    return conn.by_target.summed(messages, conn.target)


def source_sums(conn: SparseConnection, messages: Array) -> Array:
    """Sum one value per edge over the edges from each source: `(edge,)` to `(source,)`."""
    return conn.by_source.summed(messages, conn.source)


def at_targets(conn: SparseConnection, values: Array) -> Array:
    """Return for each edge the value of its target: `(target,)` to `(edge,)`."""
    return conn.by_target.at_edges(values, conn.target)


def at_sources(conn: SparseConnection, values: Array) -> Array:
    """Return for each edge the value of its source: `(source,)` to `(edge,)`."""
    return conn.by_source.at_edges(values, conn.source)


def with_weights(conn: SparseConnection, weights: Array) -> SparseConnection:
    """Return the same edges with other weights."""
    return eqx.tree_at(lambda c: c.weights, conn, weights)


def pick_edges(conn: SparseConnection, edges: Array) -> BCOO:
    """Pick a few edges by their numbers."""
    indices = jnp.stack([take(conn.target, edges), take(conn.source, edges)], axis=1)
    return BCOO((take(conn.weights, edges), indices), shape=conn.shape)


# --- reading arguments -----------------------------------------------------------------------------


def _is_dense(x: Any) -> bool:
    return isinstance(x, Array | np.ndarray | list)


def _entries(name: str, x: Any) -> tuple[np.ndarray, np.ndarray, Any, tuple[int, int]]:
    """Return targets, sources, values and shape of a matrix in any form that `to_sparse` accepts."""
    if isinstance(x, SparseConnection):
        return np.asarray(x.target), np.asarray(x.source), x.weights, x.shape
    if isinstance(x, BCOO | BCSR):
        if x.n_batch or x.n_dense or x.ndim != 2:
            raise ValueError(
                f"`{name}` must have shape (target, source), without batch or dense axes; this one has "
                f"shape {x.shape}, n_batch {x.n_batch}, n_dense {x.n_dense}."
            )
        x = x if isinstance(x, BCOO) else x.to_bcoo()
        if not known(x.indices):
            raise TypeError(
                f"The indices of `{name}` must be known: they fix the program. Make it outside of "
                "`jit`, and pass its weights."
            )
        target, source = np.asarray(x.indices).T
        # The padding of a BCOO has indices outside of the matrix.
        there = (target < x.shape[0]) & (source < x.shape[1])
        values = x.data if there.all() else x.data[constant(np.flatnonzero(there))]
        return target[there], source[there], values, x.shape
    if hasattr(x, "tocoo"):
        x = x.tocoo()
        return x.row, x.col, as_float(name, x.data), x.shape
    matrix = as_float(name, x)
    if matrix.ndim != 2:
        raise ValueError(f"`{name}` must have shape (target, source), not {matrix.shape}.")
    if not known(matrix):
        raise TypeError(
            f"`{name}` must be known, since its zeros fix the program: make it sparse outside of "
            "`jit`, and pass its weights."
        )
    require_finite(name, matrix, _MISSING_TRACT)
    values = np.asarray(matrix)
    target, source = np.nonzero(values)
    return target, source, values[target, source], values.shape


def _numbers(name: str, x: Any, most: int) -> np.ndarray:
    """Return region numbers, known and within 0 … most - 1."""
    if not known(x):
        raise TypeError(
            f"`{name}` must be known, since it fixes the program; it is traced. Make the connection "
            "outside of `jit`, and pass its weights."
        )
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.integer) and x.size:
        raise TypeError(f"`{name}` must be whole numbers, not {x.dtype}.")
    if x.size and (x.min() < 0 or x.max() >= most):
        raise ValueError(f"`{name}` must lie in 0 … {most - 1}; it spans {x.min()} … {x.max()}.")
    return x.astype(np.int64)


def _key(target: Any, source: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return a number for each pair that orders pairs by target, then by source."""
    return np.asarray(target, np.int64) * shape[1] + np.asarray(source, np.int64)
