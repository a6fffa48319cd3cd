"""The connectome as a value, and the only way in for data of the other orientation.

Functions that change connectomes are in `cf.surgery`, `_normalize.py` and `_laplacian.py`: each takes a
`Connectome` or bare weights, dense or sparse, with the help of `weights_of` and `reweigh`.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, overload

import equinox as eqx
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    as_float,
    keeps_known,
    known,
    nonzero,
    require_finite,
    require_lengths,
    require_shape,
    require_square,
)
from .._lazy import JAXSparse
from ._regions import Origin, RegionData, as_region_data, region_indices
from ._sparse import SparseConnection, sparse_from_edges, to_sparse

Dense: TypeAlias = Num[ArrayLike, "target source"]
Matrix: TypeAlias = Float[Array, "target source"]
Sparse: TypeAlias = SparseConnection | JAXSparse

_MISSING_TRACT = "A tract that is missing from the data is a weight of 0, not NaN."
_NO_LENGTH = "Where the weight is 0 any length will do; here it is not 0."


def _as_square(name: str, x: Any) -> Array:
    """Convert `x` to a square matrix of floats."""
    if isinstance(x, JAXSparse):
        raise TypeError(
            f"`{name}` must be a dense array here, not {type(x).__name__}: pass `{name}.todense()`."
        )
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        raise TypeError(
            f"`{name}` must be an array, not {type(x).__name__}: cf.load_connectome takes a table with "
            "its labels, and table.to_numpy() is the array alone."
        )
    x = as_float(name, x)
    require_square(name, x)
    return x


def _as_matrix(name: str, x: Any) -> Array:
    """Convert weights to a square matrix of finite floats."""
    x = _as_square(name, x)
    require_finite(name, x, _MISSING_TRACT)
    return x


def _as_weights(x: Any) -> Array:
    return _as_matrix("weights", x)


def _as_lengths(x: Any) -> Array | None:
    return None if x is None else _as_square("lengths", x)


def _as_labels(labels: Iterable[str] | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    listed = [] if isinstance(labels, str) else list(labels)
    if isinstance(labels, str) or not all(isinstance(label, str) for label in listed):
        raise TypeError(f"`labels` must be a sequence of strings, one per region, not {labels!r}.")
    return tuple(str(label) for label in listed)  # NumPy strings become Python strings.


def _as_centres(x: Any) -> Array | None:
    return None if x is None else as_float("centres", x)


class Connectome(eqx.Module):
    """Hold who is connected to whom, how strongly, and over what distance, as a pytree.

    `weights`, `lengths`, `centres` and numbers with a fraction in `region_data` are leaves; `labels`
    and other data are static. `len(connectome)` is the number of regions, and `print(connectome)` says
    what it holds and where each part was read.

    Args:
        weights: `weights[i, j]` is the weight from source `j` onto target `i`. Integers and booleans
            are converted to floats; negative weights and self-connections are kept as given. [1]
        lengths: `lengths[i, j]` is the length of the tract from `j` to `i`; None if unknown. Where
            the weight is 0 there is no tract, and anything will do, NaN and -1 too; it is kept as
            given. [mm]
        labels: one name per region, or None.
        centres: the centre of each region, (region, 3), or None. [mm]
        region_data: further data by name, each with a row per region: areas, hemispheres, networks.
        origin: where it was read, and what surgery did to it; `load_connectome` and `cf.surgery` set it.

    Raises:
        ValueError: if a matrix is empty or not square, the sizes differ, a weight is not finite, or
            the length of a tract with a weight is negative or not finite.
        TypeError: if a matrix is sparse, complex, a table with labels or not made of numbers, or a
            label is not a string.

    Example:
        >>> conn = cf.Connectome([[0, 1], [2, 0]], labels=["V1", "V2"])
        >>> float(conn.weights[1, 0])  # from V1 onto V2
        2.0
        >>> len(conn), conn.lengths, conn.labels
        (2, None, ('V1', 'V2'))
        >>> conn.subset(["V2"]).labels
        ('V2',)
    """

    weights: Matrix = eqx.field(converter=_as_weights)
    lengths: Matrix | None = eqx.field(default=None, converter=_as_lengths)
    labels: tuple[str, ...] | None = eqx.field(
        default=None, converter=_as_labels, static=True, repr=False
    )
    centres: Float[Array, "region 3"] | None = eqx.field(
        default=None, converter=_as_centres, repr=False
    )
    region_data: RegionData = eqx.field(default=None, converter=as_region_data, repr=False)
    origin: Origin = eqx.field(default_factory=Origin, repr=False)

    def __check_init__(self):
        n = len(self)
        if n == 0:
            raise ValueError("`weights` must have at least one region; its shape is (0, 0).")
        if self.lengths is not None:
            require_shape(
                "lengths", self.lengths, (n, n), meaning="That is the shape of `weights`."
            )
            require_lengths(self.lengths, nonzero(self.weights), _NO_LENGTH)
        if self.labels is not None and len(self.labels) != n:
            raise ValueError(f"`labels` must be one per region, {n}, not {len(self.labels)}.")
        if self.centres is not None:
            require_shape("centres", self.centres, (n, 3), meaning="That is x, y, z per region.")
        for name, values in self.region_data.items():
            if len(values) != n:
                raise ValueError(
                    f"`region_data[{name!r}]` must have a row per region, {n}, not {len(values)}."
                )

    def __len__(self) -> int:
        return self.weights.shape[0]

    def index(self, label: str) -> int:
        """Return the index of the region with a label; a label that is not unique is an error."""
        return int(region_indices("label", [label], self.labels, len(self))[0])

    def subset(self, regions: Any) -> "Connectome":
        """Return the connectome of some regions, in the order given, with all that belongs to them.

        Args:
            regions: indices or labels, or a mask as an array of booleans, such as
                `~cf.graph.isolated_nodes(connectome)`.

        Raises:
            ValueError: if there is no such region, a region is asked for twice, none is left, or a
                label is that of several regions.
        """
        chosen = region_indices("regions", regions, self.labels, len(self))
        if len({*chosen.tolist()}) < len(chosen):
            raise ValueError("`regions` must be different ones; one of them is there twice.")
        if not len(chosen):
            raise ValueError("`regions` must be at least one region.")
        pairs = np.ix_(chosen, chosen)
        return Connectome(
            self.weights[pairs],
            None if self.lengths is None else self.lengths[pairs],
            None if self.labels is None else [self.labels[n] for n in chosen],
            None if self.centres is None else self.centres[chosen],
            {name: values[chosen] for name, values in self.region_data.items()},
            self.origin,
        )

    def __str__(self) -> str:
        return described(self) if self.weights.ndim == 2 else repr(self)  # a batch is in short


def described(conn: Connectome) -> str:
    """Say what a connectome holds, and where each part was read."""
    n, origin = len(conn), conn.origin
    first = f"{n} regions" if n > 1 else "1 region"
    if conn.labels is not None:
        first += f": {', '.join(conn.labels[:3])}{', ...' if n > 3 else ''}"
    said = {"weights": _weights_in_words(conn.weights)}
    if conn.lengths is not None:
        said["lengths"] = f"{_range(conn.lengths, conn.weights)} mm".strip()
    said |= {"labels": "one per region"} if conn.labels is not None else {}
    said |= {"centres": "x, y, z [mm]"} if conn.centres is not None else {}
    said |= {f"region_data[{name!r}]": _kind(x) for name, x in conn.region_data.items()}
    places = dict(origin.parts)
    lines = [
        f"{name}: {what}" + (f", from {places[name]}" if name in places else "")
        for name, what in said.items()
    ]
    if conn.lengths is None:
        lines.append("lengths: not known")
    if origin.file:
        left = f"; not taken: {', '.join(origin.unread)}" if origin.unread else ""
        lines.append(f"read from {origin.file}{left}")
    if origin.surgery:
        lines.append(f"surgery: {'; '.join(origin.surgery)}")
    return "\n  ".join([first, *lines])


def _weights_in_words(weights: Array) -> str:
    if not known(weights):
        return "traced"
    x = np.asarray(weights)
    there = x[~np.eye(len(x), dtype=bool)] != 0
    kind = "symmetric" if np.allclose(x, x.T) else "directed"
    return f"{_range(weights, weights)}, {there.sum()} of {there.size} pairs connected, {kind}"


def _range(values: Array | np.ndarray, weights: Array | np.ndarray) -> str:
    """Write the smallest and the largest value where there is a weight."""
    if not known(values, weights):
        return "traced"
    chosen = np.asarray(values)[np.asarray(weights) != 0]
    return f"{chosen.min():.4g} to {chosen.max():.4g}" if chosen.size else "none"


def _kind(x: Any) -> str:
    names = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "b": "booleans"}
    return names.get(np.dtype(x.dtype).kind, "words")


def weights_of(conn: Any) -> Any:
    """Return the weights of a connectome, or check and return bare weights, dense or sparse."""
    if isinstance(conn, Connectome):
        return conn.weights
    if isinstance(conn, JAXSparse):
        conn = to_sparse(conn)
    if not isinstance(conn, SparseConnection):
        return _as_matrix("conn", conn)
    require_square("conn", conn)
    require_finite("conn", conn.weights, _MISSING_TRACT)
    return conn


def reweigh(conn: Any, change: Callable[[Any], Any], done: str = "") -> Any:
    """Return `change(weights)`, in a connectome that is otherwise the same if one was given.

    What is `done` to it, in words, is kept in its origin.
    """
    weights = change(weights_of(conn))
    if not isinstance(conn, Connectome):
        return weights
    origin = conn.origin.after(done) if done else conn.origin
    return dataclasses.replace(conn, weights=weights, origin=origin)


@overload
def from_source_target(conn: Connectome) -> Connectome: ...
@overload
def from_source_target(conn: Dense) -> Matrix: ...
@overload
def from_source_target(conn: Sparse) -> SparseConnection: ...
@keeps_known
def from_source_target(conn: Connectome | Dense | Sparse) -> Connectome | Matrix | SparseConnection:
    """Transpose `[source, target]` data into this library's orientation, `[target, source]`.

    This is the only way in for the other orientation: no other function guesses it. The lengths of a
    connectome are transposed together with its weights.

    Args:
        conn: weights or a connectome, where `weights[i, j]` is from `i` onto `j`.

    Returns:
        The same, where `weights[i, j]` is from `j` onto `i`.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> drives = jnp.array([[0.0, 3.0], [0.0, 0.0]])  # the row, region 0, drives region 1
        >>> cf.from_source_target(drives).tolist()
        [[0.0, 0.0], [3.0, 0.0]]
    """
    weights = weights_of(conn)
    if isinstance(weights, SparseConnection):
        return _turned(weights)
    if not isinstance(conn, Connectome):
        return weights.T
    lengths = None if conn.lengths is None else conn.lengths.T
    return dataclasses.replace(conn, weights=conn.weights.T, lengths=lengths)


def _turned(conn: SparseConnection) -> SparseConnection:
    """Return each edge in the other direction."""
    targets, sources = conn.shape
    return sparse_from_edges(conn.source, conn.target, conn.weights, (sources, targets))
