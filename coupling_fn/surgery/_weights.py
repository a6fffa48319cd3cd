"""Surgery on connectomes: pure functions that symmetrize weights or set some of them to 0.

Each function takes and returns either a `Connectome`, bare dense weights, or a sparse connection (a BCOO
becomes a `SparseConnection`). Where weights of a sparse connection become 0, their edges stay, so that
lengths and lags still fit; `to_sparse(conn, threshold=...)` leaves edges out.
"""

import dataclasses
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import (
    Connectome,
    Dense,
    Matrix,
    Sparse,
    SparseConnection,
    reweigh,
    sparse_from_edges,
    weights_of,
    with_weights,
)
from .._core import (
    Scalar,
    keeps_known,
    known,
    require_finite,
    require_nonnegative,
    require_shape,
)


@overload
def symmetrize(conn: Connectome) -> Connectome: ...
@overload
def symmetrize(conn: Dense) -> Matrix: ...
@overload
def symmetrize(conn: Sparse) -> SparseConnection: ...
@keeps_known
def symmetrize(conn: Connectome | Dense | Sparse) -> Connectome | Matrix | SparseConnection:
    """Replace the weights of both directions of each connection by their mean, (W + Wᵀ) / 2.

    The lengths of a connectome become the mean of both directions, too; but where only one direction
    has a weight, both get the length of that one, since the other has no tract to measure.

    Args:
        conn: weights, or a connectome. [any unit]

    Returns:
        The same, with symmetric weights.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> cf.surgery.symmetrize(jnp.array([[0.0, 3.0], [1.0, 0.0]])).tolist()
        [[0.0, 2.0], [2.0, 0.0]]
    """
    weights = weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _both_ways(weights)
    mean = (weights + weights.T) / 2
    if not isinstance(conn, Connectome):
        return mean
    lengths = conn.lengths
    if lengths is not None:
        here, back = weights != 0, weights.T != 0
        one_way = jnp.where(here, lengths, lengths.T)
        lengths = jnp.where(here == back, (lengths + lengths.T) / 2, one_way)
    origin = conn.origin.after("both directions of each edge replaced by their mean")
    return dataclasses.replace(conn, weights=mean, lengths=lengths, origin=origin)


def _both_ways(conn: SparseConnection) -> SparseConnection:
    """Return edges in both directions of each edge, with the mean of their weights."""
    ends = np.asarray(conn.target), np.asarray(conn.source)
    target, source = np.concatenate(ends), np.concatenate(ends[::-1])
    half = conn.weights / 2
    return sparse_from_edges(target, source, jnp.concatenate([half, half]), conn.shape)


@overload
def without_self_connections(conn: Connectome) -> Connectome: ...
@overload
def without_self_connections(conn: Dense) -> Matrix: ...
@overload
def without_self_connections(conn: Sparse) -> SparseConnection: ...
@keeps_known
def without_self_connections(
    conn: Connectome | Dense | Sparse,
) -> Connectome | Matrix | SparseConnection:
    """Set the weight of each region onto itself to 0.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]

    Returns:
        The same, with a diagonal of zeros.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> cf.surgery.without_self_connections(jnp.array([[5.0, 3.0], [1.0, 7.0]])).tolist()
        [[0.0, 3.0], [1.0, 0.0]]
    """
    return reweigh(conn, off_diagonal, "self-connections removed")


def off_diagonal(weights: Any) -> Any:
    if isinstance(weights, SparseConnection):
        return with_weights(
            weights, jnp.where(weights.target == weights.source, 0, weights.weights)
        )
    return jnp.where(jnp.eye(len(weights), dtype=bool), 0, weights)


@overload
def threshold(
    conn: Connectome, minimum: Scalar | None = None, *, keep: Scalar | None = None
) -> Connectome: ...
@overload
def threshold(
    conn: Dense, minimum: Scalar | None = None, *, keep: Scalar | None = None
) -> Matrix: ...
@overload
def threshold(
    conn: Sparse, minimum: Scalar | None = None, *, keep: Scalar | None = None
) -> SparseConnection: ...
@keeps_known
def threshold(
    conn: Connectome | Dense | Sparse, minimum: Scalar | None = None, *, keep: Scalar | None = None
) -> Connectome | Matrix | SparseConnection:
    """Set weak connections to 0: those below a minimum, or all but a fraction of the strongest.

    Strength means |weight|. The gradient passes unchanged through the weights that stay, and is 0 with
    respect to `minimum` and `keep`. A sparse connection keeps its edges, with weights of 0, so that
    lengths and lags still fit; `to_sparse(conn, threshold=minimum)` leaves them out.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]
        minimum: weaker weights become 0; a weight of this strength stays. [as the weights]
        keep: fraction of the weights other than 0 that stay, above 0 and up to 1, rounded to a
            whole number of weights, at least one. Ties with the weakest weight that stays are
            kept too, so a symmetric matrix remains symmetric. [1]

    Returns:
        The same, with fewer weights other than 0.

    Raises:
        TypeError: unless exactly one of `minimum` and `keep` is given.
        ValueError: if `minimum` is negative or not finite, or `keep` is not in (0, 1].

    Example:
        >>> conn = jnp.array([[0.0, 3.0], [-4.0, 1.0]])
        >>> cf.surgery.threshold(conn, 3.0).tolist()
        [[0.0, 3.0], [-4.0, 0.0]]
        >>> cf.surgery.threshold(conn, keep=1 / 3).tolist()
        [[0.0, 0.0], [-4.0, 0.0]]
    """
    if (minimum is None) == (keep is None):
        raise TypeError("`threshold` takes exactly one of `minimum` and `keep`.")
    if minimum is not None:
        require_shape("minimum", minimum, ())
        require_finite("minimum", minimum)
        require_nonnegative("minimum", minimum, "It is compared with |weight|.")
    else:
        require_shape("keep", keep, ())
    if keep is not None and known(keep) and not 0 < np.asarray(keep) <= 1:
        raise ValueError(f"`keep` must be a fraction above 0 and up to 1, not {keep}.")

    def cut(weights):
        if isinstance(weights, SparseConnection):
            return with_weights(weights, _strong(weights.weights, minimum, keep))
        return _strong(weights, minimum, keep)

    return reweigh(conn, cut, _said(minimum, keep))


def _said(minimum: Any, keep: Any) -> str:
    """Say which weights stayed."""
    if not known(minimum, keep):
        return "weak edges removed"
    if minimum is None:
        return f"the strongest {100 * float(keep):.3g}% of the edges kept"
    return f"edges below {float(minimum):.4g} removed"


def _strong(weights: Array, minimum: Any, keep: Any) -> Array:
    """Set to 0 what is weaker than `minimum`, or than the weakest of the fraction `keep`."""
    strength = jnp.abs(weights)
    if minimum is not None:
        lowest = jnp.asarray(minimum).astype(weights.dtype)
    else:
        stored = jnp.count_nonzero(weights).astype(weights.dtype)
        count = jnp.round(jnp.asarray(keep).astype(weights.dtype) * stored).astype(int)
        descending = -jnp.sort(-jax.lax.stop_gradient(strength), axis=None)
        lowest = descending[jnp.maximum(count, 1) - 1]
    return jnp.where(strength >= lowest, weights, 0)
