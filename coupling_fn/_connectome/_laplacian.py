"""The graph Laplacian of a connectome, dense or sparse."""

from typing import Literal, overload

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import keeps_known, known, require_choice
from ._connectome import Connectome, Dense, Matrix, Sparse, weights_of
from ._sparse import SparseConnection, at_sources, at_targets, edge_sums, sparse_from_edges


@overload
def laplacian_connectivity(
    conn: Connectome | Dense, normalize: bool | Literal["sym", "rw"] = False
) -> Matrix: ...
@overload
def laplacian_connectivity(
    conn: Sparse, normalize: bool | Literal["sym", "rw"] = False
) -> SparseConnection: ...
@keeps_known
def laplacian_connectivity(
    conn: Connectome | Dense | Sparse, normalize: bool | Literal["sym", "rw"] = False
) -> Matrix | SparseConnection:
    r"""Build the graph Laplacian, the matrix that couples diffusively.

    $L = D - W$ with $D = \mathrm{diag}(\sum_j W_{ij})$, the in-strength of each target, for
    symmetric and asymmetric $W$. So $-k L x$ is the diffusive coupling. The normalised forms are
    $D^{-1/2} L D^{-1/2}$ (`"sym"`) and $D^{-1} L$ (`"rw"`, random walk), where $1 / D_{ii}$ counts
    as 0 for a region without input. The row of such a region is 0, and its gradient is finite; under
    `"sym"` its column is 0 too, so prefer `"rw"` for a directed network. A self-connection cancels in
    $L$ but is part of $D$.

    Args:
        conn: $W$: weights, or a connectome. [1]
        normalize: False, `"sym"` (or True, the same) or `"rw"`.

    Returns:
        $L$: an array even for a connectome, since its entries are not weights; for a sparse
        connection a sparse one, with an edge of each region onto itself. [as the weights; 1 if
        normalised]

    Raises:
        ValueError: if `normalize` is unknown; or if $L$ is normalised, and negative weights bring the
            in-strength of a region with input to 0 or below (inside `jit`, where that cannot be
            seen, `"sym"` gives NaN for in-strengths below 0).

    Source:
        F. Chung, Spectral Graph Theory (1997), ch. 1.

    Example:
        >>> conn = jnp.array([[0.0, 2.0], [0.0, 0.0]])  # region 1 drives region 0
        >>> cf.laplacian_connectivity(conn).tolist()
        [[2.0, -2.0], [0.0, 0.0]]
        >>> cf.laplacian_connectivity(conn, normalize="rw").tolist()
        [[1.0, -1.0], [0.0, 0.0]]
    """
    require_choice("normalize", normalize, [False, True, "sym", "rw"])
    weights = weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _edge_laplacian(weights, normalize)
    strength = weights.sum(axis=1)
    laplacian = jnp.diag(strength) - weights
    if normalize is False:
        return laplacian
    _require_positive_strength(strength, (weights != 0).any(axis=1))
    scale = _inverse(strength, normalize)
    if normalize == "rw":
        return scale[:, None] * laplacian
    return scale[:, None] * laplacian * scale[None, :]


def _edge_laplacian(conn: SparseConnection, normalize: bool | str) -> SparseConnection:
    """Build the Laplacian of a sparse connection, with an edge of each region onto itself."""
    strength, weights = edge_sums(conn, conn.weights), -conn.weights
    own = strength
    if normalize is not False:
        there = edge_sums(conn, (conn.weights != 0).astype(conn.dtype)) > 0
        _require_positive_strength(strength, there)
        rows = _inverse(strength, normalize)
        columns = jnp.ones_like(rows) if normalize == "rw" else rows
        weights = at_targets(conn, rows) * weights * at_sources(conn, columns)
        own = rows * strength * columns
    number = np.arange(len(strength))
    target, source = (np.concatenate([np.asarray(x), number]) for x in (conn.target, conn.source))
    return sparse_from_edges(target, source, jnp.concatenate([weights, own]), conn.shape)


def _inverse(strength: Array, normalize: bool | str) -> Array:
    """Return $D^{-1}$ for "rw", otherwise $D^{-1/2}$, as a vector; 0 where the strength is 0."""
    has_input = strength != 0
    safe = jnp.where(has_input, strength, 1)  # 1 / 0 would make the gradient NaN even if not used.
    return jnp.where(has_input, 1 / (safe if normalize == "rw" else jnp.sqrt(safe)), 0)


def _require_positive_strength(strength: Array, has_input: Array) -> None:
    """Refuse to divide by the in-strength of a region with input where it is 0 or negative."""
    if not known(strength):
        return
    bad = np.asarray((strength <= 0) & has_input)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"A normalised Laplacian divides by the in-strength of each region, which must be > 0; "
            f"of region {i} it is {strength[i]}, since some of its weights are negative. Use "
            "normalize=False."
        )
