"""Scale the weights of a connectome, so that one strength k means about the same for every one."""

from typing import Literal, TypeAlias, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import known, require_choice
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
FEW = 64  # regions: ARPACK wants more than it finds, and LAPACK is exact


@overload
def normalize(conn: Connectome, by: _By = "max") -> Connectome: ...
@overload
def normalize(conn: Dense, by: _By = "max") -> Matrix: ...
@overload
def normalize(conn: Sparse, by: _By = "max") -> SparseConnection: ...
def normalize(
    conn: Connectome | Dense | Sparse, by: _By = "max"
) -> Connectome | Matrix | SparseConnection:
    """Scale the weights, so that one strength k means about the same for every connectome.

    Weights that are all zero stay so, with finite gradients.

    Args:
        conn: weights, or a connectome; its lengths stay.
        by: what becomes 1. `"max"`: the largest |weight|. `"row"`: the sum of |weights| onto
            each target; a region without input keeps its row of 0. `"column"`: likewise the sum
            from each source. `"symmetric"`: divides each weight by the roots of both sums, so that
            no hub dominates; the spectral radius of symmetric weights >= 0, unless all are 0, is
            then 1. `"spectral"`: the spectral radius, the largest |eigenvalue|, also of asymmetric
            weights; inside `jit`, `vmap` and `grad` it needs `jnp.linalg.eig`, which many versions
            of JAX have on the CPU alone, and does not take sparse connections.

    Returns:
        The same, scaled. [1]

    Raises:
        ValueError: if `by` is unknown, or the spectral radius of weights that are not all zero
            is 0, as it is without any loop (inside `jit` the weights then stay as they are).

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

    return reweigh(conn, scale)


def _over(weights: Array, size: Array) -> Array:
    return weights / jnp.where(size > 0, size, 1)


def _sizes(weights: Array, by: str) -> Array:
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
    """What each weight is divided by, for one of the ways to normalise."""
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
            "The spectral radius of a sparse connection is found on the host: normalise it outside "
            "of `jit`, `vmap` and `grad`, or use another `by` inside."
        )
    radius = _edge_radius(conn)
    _require_loop(radius, conn.weights)
    return jnp.asarray(radius, conn.dtype)


def _positive_root(size: Array) -> Array:
    """The root, or 1 where a sum is 0, whose root has no gradient."""
    return jnp.sqrt(jnp.where(size > 0, size, 1))


def _radius(weights: Array) -> Array:
    """Find the spectral radius, on the host where the weights are known."""
    if not known(weights):
        return _traced_radius(weights)
    radius = np.abs(np.linalg.eigvals(np.asarray(weights, float))).max()
    _require_loop(radius, weights)
    return jnp.asarray(radius, weights.dtype)


@jax.custom_jvp
def _traced_radius(weights: Array) -> Array:
    return jnp.abs(jnp.linalg.eigvals(weights)).max()


@_traced_radius.defjvp
def _radius_jvp(primals, tangents):
    # dλ = y·dW x / y·x, with x and y the right and left eigenvectors of the leading eigenvalue
    # alone. JAX's own rule inverts the matrix of all eigenvectors, and that is singular for an
    # ordinary directed network: two regions downstream of the loops are enough.
    (weights,), (change,) = primals, tangents
    values, right = jnp.linalg.eig(weights)
    leading = jnp.argmax(jnp.abs(values))
    value, x = values[leading], right[:, leading]
    left_values, left = jnp.linalg.eig(weights.T)
    overlap = jnp.abs(x @ left)
    distance = jnp.abs(left_values - value)
    same = distance <= distance.min() + 1e3 * jnp.finfo(weights.dtype).eps * jnp.abs(value)
    y = left[:, jnp.argmax(jnp.where(same, overlap, -1))]
    radius = jnp.abs(value)
    there = radius > 0  # else nothing is scaled, and nothing depends on the radius
    rate = (y @ (change.astype(y.dtype) @ x) * value.conj() / jnp.where(there, y @ x, 1)).real
    rate = rate / jnp.where(there, radius, 1)
    return radius, jnp.where(there, rate, 0)


def _edge_radius(conn: SparseConnection) -> float:
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


def _require_loop(radius: float, weights: Array) -> None:
    """Refuse to scale to 1 a spectral radius of 0."""
    if radius == 0 and np.any(weights):
        raise ValueError(
            "The spectral radius of the weights is 0: no connection is part of a loop, so none "
            'can scale it to 1. Use by="max" or by="row".'
        )
