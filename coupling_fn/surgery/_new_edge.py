"""A connection between two regions that had none."""

import dataclasses
from typing import Any, overload

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import (
    Connectome,
    Dense,
    Matrix,
    Sparse,
    SparseConnection,
    sparse_from_edges,
    weights_of,
)
from .._core import (
    Scalar,
    as_float,
    constant,
    keeps_known,
    known,
    require_choice,
    require_finite,
    require_nonnegative,
    require_shape,
)
from ._chosen import array_of, exists, name_of, numbered, one_region, require_known_edges


@overload
def add_edge(
    conn: Connectome,
    *,
    source: Any,
    target: Any,
    weight: Scalar,
    length: Scalar | None = None,
    both_ways: bool = False,
) -> Connectome: ...
@overload
def add_edge(
    conn: Dense,
    *,
    source: Any,
    target: Any,
    weight: Scalar,
    length: Scalar | None = None,
    both_ways: bool = False,
) -> Matrix: ...
@overload
def add_edge(
    conn: Sparse,
    *,
    source: Any,
    target: Any,
    weight: Scalar,
    length: Scalar | None = None,
    both_ways: bool = False,
) -> SparseConnection: ...
@keeps_known
def add_edge(
    conn: Connectome | Dense | Sparse,
    *,
    source: Any,
    target: Any,
    weight: Scalar,
    length: Scalar | None = None,
    both_ways: bool = False,
) -> Connectome | Matrix | SparseConnection:
    """Add an edge between two regions that have none in that direction.

    Args:
        conn: weights, or a connectome. [any unit]
        source: the region that the edge comes from, by label or index.
        target: the region that it goes to; it may be the same.
        weight: its weight, which may be traced. [as the weights]
        length: its length, where the connectome has lengths; it may be traced. [mm]
        both_ways: whether to add the edge in the other direction, too.

    Returns:
        The same, with one edge more, or two. Those of a sparse connection are still ordered by target,
        then by source: look up its lengths and lags per edge again, by `edge_values`.

    Raises:
        ValueError: if there is no such region, its label is that of several, the edge is there already
            (with traced weights that cannot be seen, and its weight is replaced), or `length` is
            missing, negative or not finite.
        TypeError: if a length is given where no lengths are known.

    Example:
        >>> conn = cf.Connectome([[0, 3], [0, 0]], [[0, 40], [0, 0]], ["V1", "V2"])
        >>> both = cf.surgery.add_edge(conn, source="V1", target="V2", weight=0.5, length=42.0)
        >>> both.weights.tolist(), both.lengths.tolist()
        ([[0.0, 3.0], [0.5, 0.0]], [[0.0, 40.0], [42.0, 0.0]])
    """
    weights = weights_of(conn)
    require_known_edges(weights)
    ends = tuple(one_region(*each, conn) for each in (("target", target), ("source", source)))
    require_choice("both_ways", both_ways, (False, True))
    require_shape("weight", weight, (), meaning="An edge has one weight.")
    require_finite("weight", weight, "To remove an edge, use `weaken`.")
    lengths = conn.lengths if isinstance(conn, Connectome) else None
    _require_length(length, lengths)
    pairs = sorted({ends, ends[::-1]} if both_ways else {ends})
    for pair in pairs:
        if known(array_of(weights)) and exists(weights, *pair):
            a, b = (name_of(n, conn) for n in pair)
            raise ValueError(
                f"`target` {a} has an edge from `source` {b} already: `weaken` changes it, and an edge "
                "that is to be replaced is first removed."
            )
    at = tuple(map(constant, np.array(pairs).T))
    value = as_float("weight", weight)
    new = _with_edges(weights, at, value.astype(array_of(weights).dtype))
    if not isinstance(conn, Connectome):
        return new
    if lengths is not None:
        lengths = lengths.at[at].set(as_float("length", length).astype(lengths.dtype))
    between = "between {1} and {0}" if both_ways else "from {1} onto {0}"
    done = f"edge added {between.format(*(name_of(n, conn) for n in ends))}"
    return dataclasses.replace(conn, weights=new, lengths=lengths, origin=conn.origin.after(done))


def _require_length(length: Any, lengths: Array | None) -> None:
    """Require a length where the connectome has lengths, and none elsewhere."""
    if lengths is None and length is not None:
        raise TypeError("`length` is for connectomes with lengths; this one has none.")
    if lengths is not None and length is None:
        raise ValueError("`length` must be given, in mm: this connectome has lengths.")
    if length is not None:
        require_shape("length", length, (), meaning="An edge has one length.")
        require_finite("length", length)
        require_nonnegative("length", length, "Lengths are in mm.")


def _with_edges(weights: Any, at: tuple[Array, ...], value: Array) -> Any:
    """Return weights with further edges at `(targets, sources)`."""
    if not isinstance(weights, SparseConnection):
        return weights.at[at].set(value)
    target, source = (np.asarray(x) for x in at)
    # An edge that is stored with a weight of 0, as after a lesion, is filled again.
    here = numbered(weights, target, source)
    filled = weights.weights.at[constant(here[here >= 0])].set(value)
    target, source = target[here < 0], source[here < 0]
    return sparse_from_edges(
        np.concatenate([weights.target, target]),
        np.concatenate([weights.source, source]),
        jnp.concatenate([filled, jnp.full(len(target), value)]),
        weights.shape,
    )
