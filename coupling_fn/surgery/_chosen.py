"""Which regions and edges are meant: by label, by index, by mask, in pairs; and their names in words."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import Connectome, SparseConnection, region_indices
from .._core import constant, known, require_shape

_NAMED = 3  # How many regions or edges are named in what is said of an operation.


class Ends(NamedTuple):
    """Index arrays that broadcast to the shape of the weights: the target and the source of each."""

    target: Any
    source: Any


def ends_of(weights: Any) -> Ends:
    if isinstance(weights, SparseConnection):
        return Ends(weights.target, weights.source)
    n = np.arange(len(weights))
    return Ends(n[:, None], n[None])


def array_of(weights: Any) -> Array:
    """Return the array of weights: (target, source), or one per edge."""
    return weights.weights if isinstance(weights, SparseConnection) else weights


def is_mask(x: Any) -> bool:
    """Return whether `x` is an array of booleans."""
    return hasattr(x, "dtype") and np.ndim(x) > 0 and jnp.issubdtype(x.dtype, jnp.bool_)


def by_regions(
    conn: Any, weights: Any, target: Any, source: Any, both_ways: bool
) -> tuple[Any, str]:
    """Mark the edges from some regions onto some regions; also say which."""
    everywhere = np.ones(weights.shape[0], bool)
    onto, sends = (
        everywhere if chosen is None else mask_of(name, chosen, conn)
        for name, chosen in (("target", target), ("source", source))
    )
    ends = ends_of(weights)
    which = onto[ends.target] & sends[ends.source]
    back = onto[ends.source] & sends[ends.target]
    there = array_of(weights) != 0
    if known(which, there) and not np.asarray((which | back if both_ways else which) & there).any():
        other = " There is one in the other direction." if np.asarray(back & there).any() else ""
        raise ValueError(f"There is no edge from `source` onto `target`.{other}")
    a, b = ("all" if mask is everywhere else names(mask, conn) for mask in (onto, sends))
    said = f"edges between {b} and {a}" if both_ways else f"edges from {b} onto {a}"
    return (which | back if both_ways else which), said


def by_edges(conn: Any, weights: Any, edges: Any, both_ways: bool) -> tuple[Any, str]:
    """Mark the edges that are given by a mask or in pairs; also say how many."""
    if is_mask(edges):
        if both_ways:
            raise TypeError("`both_ways` is for regions and pairs: of a mask, pass mask | mask.T.")
        shapes = {array_of(weights).shape, weights.shape}
        require_shape("edges", edges, *shapes, meaning="A mask has the shape of the weights.")
        if isinstance(weights, SparseConnection) and edges.ndim == 2:
            edges = edges[weights.target, weights.source]
        return edges, f"{np.sum(np.asarray(edges))} edges" if known(edges) else "a mask of edges"
    pairs = _pairs(conn, weights, edges, both_ways)
    listed = [f"from {name_of(b, conn)} onto {name_of(a, conn)}" for a, b in pairs]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    said = ", ".join(listed[:_NAMED]) + more
    pairs = {*pairs, *((b, a) for a, b in pairs if both_ways)}
    keys = [a * weights.shape[1] + b for a, b in pairs]
    ends = ends_of(weights)
    which = np.isin(np.asarray(ends.target) * weights.shape[1] + np.asarray(ends.source), keys)
    return which, f"edges {said}{', and back' if both_ways else ''}"


def _pairs(conn: Any, weights: Any, edges: Any, both_ways: bool) -> list[tuple[int, int]]:
    """Return pairs of region numbers, each of which must have an edge."""
    require_known_edges(weights)
    wanted = "`edges` must be a mask, or a list of pairs (target, source) of labels or indices"
    if isinstance(edges, str) or not isinstance(edges, Iterable) or not known(edges):
        raise TypeError(f"{wanted}, not {edges!r}.")
    pairs = []
    for pair in edges:
        if isinstance(pair, str) or np.shape(pair) != (2,):
            raise TypeError(f"{wanted}; {pair!r} is no pair.")
        a, b = (one_region("edges", x, conn) for x in pair)
        there, back = exists(weights, a, b), exists(weights, b, a)
        if not (there or (both_ways and back)):
            hint = (
                " There is one in the other direction: pairs are (target, source)." if back else ""
            )
            raise ValueError(
                f"`edges` must be edges, and there is none from {name_of(b, conn)} onto "
                f"{name_of(a, conn)}.{hint}"
            )
        pairs.append((a, b))
    if not pairs:
        raise ValueError("`edges` must be at least one edge.")
    return pairs


def require_known_edges(weights: Any) -> None:
    """Refuse a sparse connection that is an argument of a function under `jit`."""
    if isinstance(weights, SparseConnection) and not known(weights.target, weights.source):
        raise TypeError(
            "The edges of the sparse connection `conn` must be known to find some by name: inside of "
            "`jit` pass its weights alone, or choose edges by a mask."
        )


def numbered(conn: SparseConnection, target: Any, source: Any) -> np.ndarray:
    """Return the numbers of edges, -1 where an edge is not stored."""
    keys = np.asarray(conn.target, np.int64) * conn.shape[1] + np.asarray(conn.source)
    wanted = np.asarray(target, np.int64) * conn.shape[1] + source
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where(keys[place] == wanted, place, -1) if len(keys) else np.full(wanted.shape, -1)


def exists(weights: Any, target: int, source: int) -> bool:
    """Return whether there is an edge; of traced weights, whether there may be one."""
    if isinstance(weights, SparseConnection):
        number = int(numbered(weights, target, source))
        if number < 0 or not known(weights.weights):
            return number >= 0
        return bool(np.asarray(weights.weights)[number] != 0)
    return not known(weights) or bool(np.asarray(weights)[target, source] != 0)


def _labels(conn: Any) -> tuple[str, ...] | None:
    return conn.labels if isinstance(conn, Connectome) else None


def _regions(conn: Any) -> int:
    return len(conn) if isinstance(conn, Connectome) else np.shape(conn)[0]


def mask_of(name: str, chosen: Any, conn: Any) -> Any:
    """Return a mask of regions, (region,), of a label, an index, a list of them, or a mask."""
    n = _regions(conn)
    if is_mask(chosen) and not known(chosen):
        meaning = "A mask has one value per region."
        require_shape(name, chosen, (n,), meaning=meaning)
        return chosen
    if not known(chosen):
        raise TypeError(f"`{name}` must be known, or a mask: an array of booleans per region.")
    if isinstance(chosen, str | int | np.integer):
        chosen = [chosen]
    found = region_indices(name, chosen, _labels(conn), n)
    if not len(found):
        raise ValueError(f"`{name}` must be at least one region.")
    if len({*found.tolist()}) < len(found):
        raise ValueError(f"`{name}` must be different ones; one of them is there twice.")
    mask = np.zeros(n, bool)
    mask[found] = True
    return constant(mask)


def one_region(name: str, region: Any, conn: Any) -> int:
    """Return the number of a region."""
    if not known(region) or np.ndim(region):
        raise TypeError(f"`{name}` must be a region, by label or index, not {region!r}.")
    # An array of labels and numbers has turned its numbers into text.
    region = str(region) if isinstance(region, str) else region
    return int(region_indices(name, [region], _labels(conn), _regions(conn))[0])


def name_of(region: int, conn: Any) -> str:
    labels = _labels(conn)
    return labels[region] if labels else str(region)


def names(mask: Any, conn: Any) -> str:
    """Name regions by their labels, or by their indices."""
    if not known(mask):
        return "regions by a traced mask"
    chosen = np.flatnonzero(np.asarray(mask)).tolist()
    listed = ", ".join(name_of(n, conn) for n in chosen[:_NAMED])
    more = len(chosen) - _NAMED
    return f"{listed} and {more} more" if more > 0 else listed
