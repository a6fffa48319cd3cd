"""The connectome as a value, and pure functions that turn one into another.

Each function takes a `Connectome` and returns one, or bare weights and returns an array. Of a sparse
connection it returns a sparse one, over the same edges where only weights change; a BCOO becomes one.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental.sparse import JAXSparse
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num

from .._core import (
    Scalar,
    as_float,
    known,
    require_choice,
    require_finite,
    require_nonnegative,
    require_shape,
    require_square,
)
from . import _sparse_surgery as _sparse_graph
from ._sparse import SparseConnection, to_sparse, with_weights

Dense: TypeAlias = Num[ArrayLike, "target source"]
Matrix: TypeAlias = Float[Array, "target source"]
Sparse: TypeAlias = SparseConnection | JAXSparse
_By: TypeAlias = Literal["max", "row", "column", "symmetric", "spectral"]

_MISSING_TRACT = "A tract that is missing from the data is a weight of 0, not NaN."


def _as_matrix(name: str, x: Any, hint: str = "") -> Array:
    """Turn `x` into a square matrix of finite floats, or say why it is none."""
    if isinstance(x, JAXSparse):
        raise TypeError(
            f"`{name}` must be a dense array here, not {type(x).__name__}: pass `{name}.todense()`."
        )
    x = as_float(name, x)
    require_square(name, x)
    require_finite(name, x, hint)
    return x


def _as_weights(x: Any) -> Array:
    return _as_matrix("weights", x, _MISSING_TRACT)


def _as_lengths(x: Any) -> Array | None:
    return None if x is None else _as_matrix("lengths", x)


def _as_labels(labels: Iterable[str] | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    listed = [] if isinstance(labels, str) else list(labels)
    if isinstance(labels, str) or not all(isinstance(label, str) for label in listed):
        raise TypeError(f"`labels` must be a sequence of strings, one a region, not {labels!r}.")
    return tuple(str(label) for label in listed)  # NumPy's strings become Python's


class Connectome(eqx.Module):
    """Hold who is connected to whom, how strongly, and over what distance: a pytree.

    `weights` and `lengths` are leaves, `labels` are static. `len(connectome)` is the number of
    regions.

    Args:
        weights: `weights[i, j]` is from source `j` onto target `i`. Integers and booleans are
            converted to floats; negative weights and self-connections are kept as given. [1]
        lengths: of the tract from `j` to `i`, or None where they are not known. [mm]
        labels: one name a region, or None.

    Raises:
        ValueError: if a matrix is empty, not square, or not finite, a length is negative, or
            the sizes differ.
        TypeError: if a matrix is sparse, complex or not made of numbers, or a label is no string.

    Example:
        >>> conn = cf.Connectome([[0, 1], [2, 0]], labels=["V1", "V2"])
        >>> float(conn.weights[1, 0])  # from V1 onto V2
        2.0
        >>> len(conn), conn.lengths, conn.labels
        (2, None, ('V1', 'V2'))
    """

    weights: Matrix = eqx.field(converter=_as_weights)
    lengths: Matrix | None = eqx.field(default=None, converter=_as_lengths)
    labels: tuple[str, ...] | None = eqx.field(
        default=None, converter=_as_labels, static=True, repr=False
    )

    def __check_init__(self):
        n = len(self)
        if n == 0:
            raise ValueError("`weights` must have at least one region; its shape is (0, 0).")
        if self.lengths is not None:
            require_shape("lengths", self.lengths, (n, n), meaning="As `weights` has.")
            require_nonnegative("lengths", self.lengths, "Lengths are in mm.")
        if self.labels is not None and len(self.labels) != n:
            raise ValueError(f"`labels` must be one a region, {n}, not {len(self.labels)}.")

    def __len__(self) -> int:
        return self.weights.shape[0]


def _weights_of(conn: Any) -> Any:
    """Take the weights out of a connectome, or check bare ones, which may be sparse."""
    if isinstance(conn, Connectome):
        return conn.weights
    if isinstance(conn, JAXSparse):
        conn = to_sparse(conn)
    if not isinstance(conn, SparseConnection):
        return _as_matrix("conn", conn, _MISSING_TRACT)
    require_square("conn", conn)
    require_finite("conn", conn.weights, _MISSING_TRACT)
    return conn


def _reweigh(conn: Any, change: Callable[[Any], Any]) -> Any:
    """Change the weights, and leave lengths and labels as they are."""
    weights = change(_weights_of(conn))
    return dataclasses.replace(conn, weights=weights) if isinstance(conn, Connectome) else weights


@overload
def from_source_target(conn: Connectome) -> Connectome: ...
@overload
def from_source_target(conn: Dense) -> Matrix: ...
@overload
def from_source_target(conn: Sparse) -> SparseConnection: ...
def from_source_target(conn: Connectome | Dense | Sparse) -> Connectome | Matrix | SparseConnection:
    """Turn `[source, target]` data into this library's `[target, source]`.

    The one door for the other orientation. Lengths of a connectome are turned with its weights.

    Args:
        conn: weights, or a connectome, where `weights[i, j]` is from `i` onto `j`.

    Returns:
        The same, where `weights[i, j]` is from `j` onto `i`.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> drives = jnp.array([[0.0, 3.0], [0.0, 0.0]])  # the row, region 0, drives region 1
        >>> cf.from_source_target(drives).tolist()
        [[0.0, 0.0], [3.0, 0.0]]
    """
    weights = _weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _sparse_graph.turned(weights)
    if not isinstance(conn, Connectome):
        return weights.T
    lengths = None if conn.lengths is None else conn.lengths.T
    return dataclasses.replace(conn, weights=conn.weights.T, lengths=lengths)


@overload
def symmetrize(conn: Connectome) -> Connectome: ...
@overload
def symmetrize(conn: Dense) -> Matrix: ...
@overload
def symmetrize(conn: Sparse) -> SparseConnection: ...
def symmetrize(conn: Connectome | Dense | Sparse) -> Connectome | Matrix | SparseConnection:
    """Give both directions of a connection the mean of their weights, (W + Wᵀ) / 2.

    The lengths of a connectome become the mean of both directions too; but where one direction
    alone has a weight, both get the length of that one, since the other has no tract to measure.

    Args:
        conn: weights, or a connectome.

    Returns:
        The same, symmetric.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> cf.symmetrize(jnp.array([[0.0, 3.0], [1.0, 0.0]])).tolist()
        [[0.0, 2.0], [2.0, 0.0]]
    """
    weights = _weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _sparse_graph.both_ways(weights)
    mean = (weights + weights.T) / 2
    if not isinstance(conn, Connectome):
        return mean
    lengths = conn.lengths
    if lengths is not None:
        here, back = weights != 0, weights.T != 0
        one_way = jnp.where(here, lengths, lengths.T)
        lengths = jnp.where(here == back, (lengths + lengths.T) / 2, one_way)
    return dataclasses.replace(conn, weights=mean, lengths=lengths)


@overload
def without_self_connections(conn: Connectome) -> Connectome: ...
@overload
def without_self_connections(conn: Dense) -> Matrix: ...
@overload
def without_self_connections(conn: Sparse) -> SparseConnection: ...
def without_self_connections(
    conn: Connectome | Dense | Sparse,
) -> Connectome | Matrix | SparseConnection:
    """Set the weight of every region onto itself to 0.

    Args:
        conn: weights, or a connectome; its lengths stay.

    Returns:
        The same, with a diagonal of zeros.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> cf.without_self_connections(jnp.array([[5.0, 3.0], [1.0, 7.0]])).tolist()
        [[0.0, 3.0], [1.0, 0.0]]
    """
    return _reweigh(conn, _off_diagonal)


def _off_diagonal(weights: Any) -> Any:
    if isinstance(weights, SparseConnection):
        return _sparse_graph.off_diagonal(weights)
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
def threshold(
    conn: Connectome | Dense | Sparse, minimum: Scalar | None = None, *, keep: Scalar | None = None
) -> Connectome | Matrix | SparseConnection:
    """Set weak connections to 0: those below a minimum, or all but a fraction of the strongest.

    Strength is |weight|. The gradient passes through the weights that stay, as they are, and is
    0 with respect to `minimum` and `keep`. A sparse connection keeps its edges, with weights of 0,
    so that lengths and lags still fit; `to_sparse(conn, threshold=minimum)` leaves them out.

    Args:
        conn: weights, or a connectome; its lengths stay.
        minimum: what is below becomes 0; a weight equal to it stays. [as the weights]
        keep: fraction of the weights other than 0 that stay, above 0 and up to 1, rounded to a
            whole number of them, at least one. Weights as strong as the weakest that stays
            stay too, so a symmetric matrix remains so. [1]

    Returns:
        The same, sparser.

    Raises:
        TypeError: unless exactly one of `minimum` and `keep` is given.
        ValueError: if `minimum` is negative or not finite, or `keep` is not in (0, 1].

    Example:
        >>> conn = jnp.array([[0.0, 3.0], [-4.0, 1.0]])
        >>> cf.threshold(conn, 3.0).tolist()
        [[0.0, 3.0], [-4.0, 0.0]]
        >>> cf.threshold(conn, keep=1 / 3).tolist()
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
            return with_weights(weights, cut(weights.weights))
        strength = jnp.abs(weights)
        if minimum is not None:
            lowest = jnp.asarray(minimum).astype(weights.dtype)
        else:
            stored = jnp.count_nonzero(weights).astype(weights.dtype)
            count = jnp.round(jnp.asarray(keep).astype(weights.dtype) * stored).astype(int)
            descending = -jnp.sort(-jax.lax.stop_gradient(strength), axis=None)
            lowest = descending[jnp.maximum(count, 1) - 1]
        return jnp.where(strength >= lowest, weights, 0)

    return _reweigh(conn, cut)


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
    root = _sparse_graph.positive_root
    sizes = {
        "max": lambda weights: jnp.abs(weights).max(),
        "row": lambda weights: jnp.abs(weights).sum(axis=1, keepdims=True),
        "column": lambda weights: jnp.abs(weights).sum(axis=0, keepdims=True),
        "symmetric": lambda weights: root(sizes["row"](weights)) * root(sizes["column"](weights)),
        "spectral": _radius,
    }

    def scale(weights):
        if isinstance(weights, SparseConnection):
            size = _sparse_graph.sizes(weights, by)
            return with_weights(weights, _over(weights.weights, size))
        return _over(weights, sizes[by](weights))

    return _reweigh(conn, scale)


def _over(weights: Array, size: Array) -> Array:
    return weights / jnp.where(size > 0, size, 1)


def _radius(weights: Array) -> Array:
    """Find the spectral radius, on the host where the weights are known."""
    if not known(weights):
        return _traced_radius(weights)
    radius = np.abs(np.linalg.eigvals(np.asarray(weights, float))).max()
    _sparse_graph.require_loop(radius, weights)
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


def isolated_nodes(conn: Connectome | Dense | Sparse) -> Bool[Array, " region"]:
    """Mark the regions that have no connection, neither in nor out.

    Self-connections do not count: a region that is connected to itself alone is isolated.

    Args:
        conn: weights, or a connectome.

    Returns:
        True for each isolated region.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> conn = jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
        >>> cf.isolated_nodes(conn).tolist()
        [False, False, True]
    """
    linked = _off_diagonal(_weights_of(conn))
    if isinstance(linked, SparseConnection):
        return ~_sparse_graph.linked(linked)
    linked = linked != 0
    return ~(linked.any(axis=0) | linked.any(axis=1))


@overload
def laplacian_connectivity(
    conn: Connectome | Dense, normalize: bool | Literal["sym", "rw"] = False
) -> Matrix: ...
@overload
def laplacian_connectivity(
    conn: Sparse, normalize: bool | Literal["sym", "rw"] = False
) -> SparseConnection: ...
def laplacian_connectivity(
    conn: Connectome | Dense | Sparse, normalize: bool | Literal["sym", "rw"] = False
) -> Matrix | SparseConnection:
    r"""Build the graph Laplacian, the matrix that couples diffusively.

    $L = D - W$ with $D = \mathrm{diag}(\sum_j W_{ij})$, the strength of the input of each
    target, for symmetric and asymmetric $W$. So $-k L x$ is the diffusive coupling. Normalised,
    it is $D^{-1/2} L D^{-1/2}$ (`"sym"`) or $D^{-1} L$ (`"rw"`, random walk), where $1 / D_{ii}$
    counts as 0 for a region without input. That region's row is 0 and finite, and so is its
    gradient; under `"sym"` its column is 0 too, so for a directed network prefer `"rw"`. A
    self-connection cancels in $L$ but is part of $D$.

    Args:
        conn: $W$, weights, or a connectome. [1]
        normalize: False, `"sym"` (or True, the same) or `"rw"`.

    Returns:
        $L$: an array, since it holds no weights; of a sparse connection a sparse one, with an edge
        of each region onto itself. [as the weights; 1 if normalised]

    Raises:
        ValueError: if `normalize` is unknown; or, normalised, if negative weights bring the
            input strength of a region that has input to 0 or below (inside `jit`, where that
            cannot be seen, `"sym"` gives NaN for strengths below 0).
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
    weights = _weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _sparse_graph.laplacian(weights, normalize)
    strength = weights.sum(axis=1)
    laplacian = jnp.diag(strength) - weights
    if normalize is False:
        return laplacian
    _sparse_graph.require_positive_strength(strength, (weights != 0).any(axis=1))
    has_input = strength != 0
    safe = jnp.where(has_input, strength, 1)  # 1 / 0 in a branch not taken is a NaN gradient
    if normalize == "rw":
        return jnp.where(has_input, 1 / safe, 0)[:, None] * laplacian
    root = jnp.where(has_input, 1 / jnp.sqrt(safe), 0)
    return root[:, None] * laplacian * root[None, :]
