"""Normalising a connectome: what becomes 1, for dense and sparse weights, and the spectral radius."""

from typing import Literal, TypeAlias, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import eigenvalues, eigenvectors, keeps_known, known, require_choice
from ._connectome import Connectome, Dense, Matrix, Sparse, reweigh
from ._sparse import (
    SparseConnection,
    at_sources,
    at_targets,
    edge_sums,
    source_sums,
    with_weights,
)

_By: TypeAlias = Literal["max", "row", "column", "symmetric", "spectral"]
# Up to this many regions a sparse matrix is made dense for its spectral radius: ARPACK needs more
# regions than it finds eigenvalues, and LAPACK is exact.
DENSE_UP_TO = 64


@overload
def normalize(conn: Connectome, by: _By = "max") -> Connectome: ...
@overload
def normalize(conn: Dense, by: _By = "max") -> Matrix: ...
@overload
def normalize(conn: Sparse, by: _By = "max") -> SparseConnection: ...
@keeps_known
def normalize(
    conn: Connectome | Dense | Sparse, by: _By = "max"
) -> Connectome | Matrix | SparseConnection:
    r"""Scale the weights so that one coupling strength k means about the same for every connectome.

    Weights that are all zero stay zero, with finite gradients.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]
        by: what becomes 1.

            - `"max"`: the largest |weight|.
            - `"row"`: the sum of |weights| onto each target; a region without input keeps its 0.
            - `"column"`: the sum of |weights| from each source, likewise.
            - `"symmetric"`: divides each weight by the square roots of both sums,
              $W_{ij} / \sqrt{r_i c_j}$, so that no hub dominates. If the weights are symmetric and
              not negative, and not all are 0, their spectral radius is then 1.
            - `"spectral"`: the spectral radius, the largest |eigenvalue|, of asymmetric weights, too.
              Inside `jit`, `vmap` and `grad` it needs `jnp.linalg.eig`, which many versions of JAX
              have only on the CPU, and does not accept sparse connections.

    Returns:
        The same, scaled. [1]

    Raises:
        ValueError: if `by` is unknown, or the spectral radius of weights that are not all zero
            is 0, which happens where no connection is part of a loop (inside `jit` the weights then
            stay as they are).
        TypeError: if `by` is `"spectral"`, and `conn` is sparse and traced.

    Example:
        >>> conn = jnp.array([[0.0, 3.0], [1.0, 0.0]])
        >>> cf.normalize(conn).round(3).tolist()
        [[0.0, 1.0], [0.333, 0.0]]
        >>> cf.normalize(conn, by="row").tolist()
        [[0.0, 1.0], [1.0, 0.0]]
        >>> cf.normalize(conn, by="spectral").round(3).tolist()
        [[0.0, 1.732], [0.577, 0.0]]
    """
    require_choice("by", by, ["max", "row", "column", "symmetric", "spectral"])

    def scale(weights):
        if isinstance(weights, SparseConnection):
            return with_weights(weights, _over(weights.weights, _edge_sizes(weights, by)))
        return _over(weights, _sizes(weights, by))

    return reweigh(conn, scale, f"weights normalized by {by}")


def _over(weights: Array, size: Array) -> Array:
    return weights / jnp.where(size > 0, size, 1)


def _sizes(weights: Array, by: str) -> Array:
    """Return what dense weights are divided by."""
    size = jnp.abs(weights)
    if by == "max":
        return size.max()
    if by == "row":
        return size.sum(axis=1, keepdims=True)
    if by == "column":
        return size.sum(axis=0, keepdims=True)
    if by == "symmetric":
        received, sent = _sizes(weights, "row"), _sizes(weights, "column")
        return _positive_root(received) * _positive_root(sent)
    return _radius(weights)


def _edge_sizes(conn: SparseConnection, by: str) -> Array:
    """Return what the weight of each edge is divided by."""
    size = jnp.abs(conn.weights)
    if by == "max":
        return size.max(initial=0)
    if by == "row":
        return at_targets(conn, edge_sums(conn, size))
    if by == "column":
        return at_sources(conn, source_sums(conn, size))
    if by == "symmetric":
        received, sent = _edge_sizes(conn, "row"), _edge_sizes(conn, "column")
        return _positive_root(received) * _positive_root(sent)
    if not known(conn):
        raise TypeError(
            "The spectral radius of a sparse connection is computed on the host: normalise it outside "
            "of `jit`, `vmap` and `grad`, or use another `by` there."
        )
    radius = _edge_radius(conn)
    _require_loop(radius, conn.weights)
    return jnp.asarray(radius, conn.dtype)


def _positive_root(size: Array) -> Array:
    """Return the square root, or 1 where a sum is 0, since the root has no gradient there."""
    return jnp.sqrt(jnp.where(size > 0, size, 1))


def _radius(weights: Array) -> Array:
    """Compute the spectral radius of dense weights, on the host where they are known."""
    if not known(weights):
        return _traced_radius(weights)
    radius = np.abs(np.linalg.eigvals(np.asarray(weights, float))).max()
    _require_loop(radius, weights)
    return jnp.asarray(radius, weights.dtype)


@jax.custom_jvp
def _traced_radius(weights: Array) -> Array:
    return jnp.abs(eigenvalues(weights)).max()


@_traced_radius.defjvp
def _radius_jvp(primals, tangents):
    # dλ = y·dW x / y·x, with x and y the right and left eigenvectors of the leading eigenvalue
    # only. JAX's own rule inverts the matrix of all eigenvectors, which is singular for an ordinary
    # directed network: two regions in a chain downstream of the loops are enough.
    (weights,), (change,) = primals, tangents
    values, right = eigenvectors(weights)
    leading = jnp.argmax(jnp.abs(values))
    value, x = values[leading], right[:, leading]
    left_values, left = eigenvectors(weights.T)
    overlap = jnp.abs(x @ left)
    distance = jnp.abs(left_values - value)
    same = distance <= distance.min() + 1e3 * jnp.finfo(weights.dtype).eps * jnp.abs(value)
    y = left[:, jnp.argmax(jnp.where(same, overlap, -1))]
    radius = jnp.abs(value)
    there = radius > 0  # Otherwise nothing is scaled, and nothing depends on the radius.
    rate = (y @ (change.astype(y.dtype) @ x) * value.conj() / jnp.where(there, y @ x, 1)).real
    rate = rate / jnp.where(there, radius, 1)
    return radius, jnp.where(there, rate, 0)


def _edge_radius(conn: SparseConnection) -> float:
    """Compute the spectral radius of a sparse connection on the host."""
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import eigs

    matrix = conn.to_scipy().astype(float, copy=True)
    matrix.eliminate_zeros()
    parts, _ = connected_components(matrix, connection="strong")
    if parts == conn.shape[0] and not matrix.diagonal().any():
        return 0.0  # No region reaches itself, and an iteration would converge to anything.
    if conn.shape[0] <= DENSE_UP_TO:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    start = np.ones(conn.shape[0])  # A fixed start gives the same answer each time.
    return float(np.abs(eigs(matrix, k=1, v0=start, return_eigenvectors=False)).max())


def _require_loop(radius: float, weights: Array) -> None:
    """Refuse to scale a spectral radius of 0 to 1, unless all weights are 0."""
    if radius == 0 and np.asarray(weights).any():
        raise ValueError(
            "The spectral radius of the weights is 0: no connection is part of a loop, so none "
            'can scale it to 1. Use by="max" or by="row".'
        )
