"""What `_connectome.py` does with weights, over the stored edges of a sparse connection.

Where weights become 0 their edges stay, so that lengths and lags still fit; `to_sparse` leaves them
out.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import known
from ._sparse import (
    SparseConnection,
    at_sources,
    at_targets,
    edge_sums,
    source_sums,
    sparse_from_edges,
    with_weights,
)

FEW = 64  # regions: ARPACK wants more than it finds, and LAPACK is exact


def turned(conn: SparseConnection) -> SparseConnection:
    """Each edge in the other direction."""
    targets, sources = conn.shape
    return sparse_from_edges(conn.source, conn.target, conn.weights, (sources, targets))


def both_ways(conn: SparseConnection) -> SparseConnection:
    """The mean of both directions of each edge, and an edge for each."""
    ends = np.asarray(conn.target), np.asarray(conn.source)
    target, source = np.concatenate(ends), np.concatenate(ends[::-1])
    half = conn.weights / 2
    return sparse_from_edges(target, source, jnp.concatenate([half, half]), conn.shape)


def off_diagonal(conn: SparseConnection) -> SparseConnection:
    """With 0 for the weight of each region onto itself."""
    return with_weights(conn, jnp.where(conn.target == conn.source, 0, conn.weights))


def linked(conn: SparseConnection) -> Array:
    """Which regions have a connection that is not 0, in or out."""
    there = (conn.weights != 0).astype(conn.dtype)
    return (edge_sums(conn, there) + source_sums(conn, there)) > 0


def laplacian(conn: SparseConnection, normalize: bool | str) -> SparseConnection:
    """$D - W$, perhaps normalised, with an edge of each region onto itself."""
    strength, weights = edge_sums(conn, conn.weights), -conn.weights
    own = strength
    if normalize is not False:
        there = edge_sums(conn, (conn.weights != 0).astype(conn.dtype)) > 0
        require_positive_strength(strength, there)
        has_input = strength != 0
        safe = jnp.where(has_input, strength, 1)  # 1 / 0 in a branch not taken is a NaN gradient
        rows = jnp.where(has_input, 1 / (safe if normalize == "rw" else jnp.sqrt(safe)), 0)
        columns = jnp.ones_like(rows) if normalize == "rw" else rows
        weights = at_targets(conn, rows) * weights * at_sources(conn, columns)
        own = rows * strength * columns
    number = np.arange(len(strength))
    target, source = (np.concatenate([np.asarray(x), number]) for x in (conn.target, conn.source))
    return sparse_from_edges(target, source, jnp.concatenate([weights, own]), conn.shape)


def sizes(conn: SparseConnection, by: str) -> Array:
    """What each weight is divided by, for one of the ways to normalise."""
    size = jnp.abs(conn.weights)
    if by == "max":
        return size.max(initial=0)
    if by == "row":
        return at_targets(conn, edge_sums(conn, size))
    if by == "column":
        return at_sources(conn, source_sums(conn, size))
    if by == "symmetric":
        received, sent = sizes(conn, "row"), sizes(conn, "column")
        return positive_root(received) * positive_root(sent)
    if not known(conn):
        raise TypeError(
            "The spectral radius of a sparse connection is found on the host: normalise it outside "
            "of `jit`, `vmap` and `grad`, or use another `by` inside."
        )
    radius = _radius(conn)
    require_loop(radius, conn.weights)
    return jnp.asarray(radius, conn.dtype)


def positive_root(size: Array) -> Array:
    """The root, or 1 where a sum is 0, whose root has no gradient."""
    return jnp.sqrt(jnp.where(size > 0, size, 1))


def require_loop(radius: float, weights: Array) -> None:
    """Refuse to scale to 1 a spectral radius of 0."""
    if radius == 0 and np.any(weights):
        raise ValueError(
            "The spectral radius of the weights is 0: no connection is part of a loop, so none "
            'can scale it to 1. Use by="max" or by="row".'
        )


def require_positive_strength(strength: Array, has_input: Array) -> None:
    """Refuse to divide by the strength of a region whose weights cancel."""
    if not known(strength):
        return
    bad = np.asarray((strength <= 0) & has_input)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"A normalised Laplacian divides by the input strength of each region; of region {i} "
            f"it is {strength[i]}, since some of its weights are negative. Use normalize=False."
        )


def _radius(conn: SparseConnection) -> float:
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import eigs

    matrix = conn.to_scipy().astype(float, copy=True)
    matrix.eliminate_zeros()
    parts, _ = connected_components(matrix, connection="strong")
    if parts == conn.shape[0] and not matrix.diagonal().any():
        return 0.0  # no region reaches itself, and an iteration would end anywhere
    if conn.shape[0] <= FEW:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    start = np.ones(conn.shape[0])  # for the same answer each time
    return float(np.abs(eigs(matrix, k=1, v0=start, return_eigenvectors=False)).max())
