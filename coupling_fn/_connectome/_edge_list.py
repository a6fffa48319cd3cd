"""The edges of a connection as arrays on the host, whatever it is kept in; and what a graph is.

For looking at a connectome, not for running one. Nothing here is of size (region, region) but what
came in so: 10^4 regions are no trouble as long as their edges are few.
"""

import dataclasses
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
from jax.experimental.sparse import BCOO

from .._core import require_real, require_square
from ._connectome import Connectome
from ._sparse import SparseConnection

EIGENVALUES_UP_TO = 400  # regions; beyond, the spectral radius comes from the growth of W^n x
POWERS = 80


@dataclasses.dataclass(frozen=True)
class EdgeList:
    """Edges in the order of (target, source), each once; weights may be NaN, and are not 0."""

    target: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    regions: int
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def _keys(self) -> np.ndarray:
        return self.target * self.regions + self.source

    def chosen(self, which: np.ndarray) -> "EdgeList":
        """Some of the edges."""
        target, source, weight = (x[which] for x in (self.target, self.source, self.weight))
        return EdgeList(target, source, weight, self.regions, self.labels)

    def look_up(self, values: np.ndarray, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Of one value an edge, those of the edges asked for; 0 where there is no such edge."""
        return self._at(values, *self._find(target, source))

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Of one value an edge, that of the other direction of each; 0 where there is none."""
        return self._at(values, *self._other_way)

    @cached_property
    def _other_way(self) -> tuple[np.ndarray, np.ndarray]:
        return self._find(self.source, self.target)

    def _find(self, target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of edges, and whether they are there."""
        wanted = target * self.regions + source
        # In order: a search that jumps about misses the cache, and takes 5 times as long.
        order = np.argsort(wanted)
        place = np.empty_like(order)
        place[order] = np.searchsorted(self._keys, wanted[order])
        place = np.minimum(place, max(len(self) - 1, 0))
        found = self._keys[place] == wanted if len(self) else np.zeros(len(wanted), bool)
        return place, found

    def _at(self, values: np.ndarray, place: np.ndarray, found: np.ndarray) -> np.ndarray:
        return np.where(found, values[place], 0) if len(self) else np.zeros(len(place))

    @cached_property
    def back(self) -> np.ndarray:
        """The weight in the other direction of each edge."""
        return self.turned(self.weight)

    @property
    def apart(self) -> np.ndarray:
        """Which edges connect two regions rather than one with itself."""
        return self.target != self.source

    def onto_each(self, values: np.ndarray) -> np.ndarray:
        """The sum over the edges onto each region."""
        return np.bincount(self.target, values, self.regions)

    def from_each(self, values: np.ndarray) -> np.ndarray:
        """The sum over the edges from each region."""
        return np.bincount(self.source, values, self.regions)


def edge_list(conn: Any) -> EdgeList:
    """The edges of a connectome, of dense weights or of sparse ones."""
    labels = conn.labels if isinstance(conn, Connectome) else None
    weights = conn.weights if isinstance(conn, Connectome) else conn
    weights = np.asarray(weights) if isinstance(weights, (list, tuple)) else weights
    require_real("conn", weights)
    require_square("conn", weights)
    target, source, weight = stored_edges(weights)
    return EdgeList(
        target.astype(np.int64), source.astype(np.int64), weight, weights.shape[0], labels
    )


@singledispatch
def stored_edges(conn: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, source and weight of all edges, in that order, in float64."""
    dense = np.asarray(conn)
    target, source = np.nonzero(dense)
    return target, source, dense[target, source].astype(np.float64)


@stored_edges.register
def _(conn: BCOO):
    target, source = np.asarray(conn.indices, np.int64).T
    inside = (target < conn.shape[0]) & (source < conn.shape[1])  # beyond is a BCOO's padding
    keys, place = np.unique((target * conn.shape[1] + source)[inside], return_inverse=True)
    weight = np.bincount(place.ravel(), np.asarray(conn.data, np.float64)[inside], len(keys))
    keys, weight = keys[weight != 0], weight[weight != 0]
    return keys // conn.shape[1], keys % conn.shape[1], weight


@stored_edges.register
def _(conn: SparseConnection):
    kept = np.flatnonzero(np.asarray(conn.weights) != 0)
    parts = (conn.target, conn.source, np.asarray(conn.weights, np.float64))
    target, source, weight = (np.asarray(x)[kept] for x in parts)
    return target, source, weight


def connected_parts(edges: EdgeList) -> np.ndarray:
    """A number for each region, one for all that are connected, in whatever direction and way."""
    part = np.arange(edges.regions)
    while True:
        lower = np.minimum(part[edges.target], part[edges.source])
        new = part.copy()
        np.minimum.at(new, edges.target, lower)
        np.minimum.at(new, edges.source, lower)
        new = new[new]  # the number is that of a region of the part, which may know a lower one
        if (new == part).all():
            return part
        part = new


def spectral_radius(edges: EdgeList) -> float:
    """The largest |eigenvalue|; of many regions as what W^n x grows by, to some per cent."""
    n = edges.regions
    if n <= EIGENVALUES_UP_TO:
        dense = np.zeros((n, n))
        dense[edges.target, edges.source] = edges.weight
        return float(np.abs(np.linalg.eigvals(dense)).max())
    x, growth = np.random.default_rng(0).random(n) + 0.5, []
    for _ in range(POWERS):
        x = edges.onto_each(edges.weight * x[edges.source])
        size = float(np.linalg.norm(x))
        if size == 0:
            return 0.0
        x, growth = x / size, [*growth, np.log(size)]
    return float(np.exp(np.mean(growth[POWERS // 2 :])))


def orientation_agreement(a: EdgeList, b: EdgeList) -> tuple[float, int]:
    """How the directions of two networks agree, from -1 to 1, and over how many edges.

    The correlation of how much each weight's rank is above that of the other direction, where both
    have one: what is symmetric says nothing about orientation, and ranks bear a scale or a logarithm
    between the two.
    """
    lean_a, lean_b = _lean(a), _lean(b)
    here = b.look_up(lean_b, a.target, a.source)
    there = np.where(here != 0, here, -b.look_up(lean_b, a.source, a.target))
    size = np.sqrt((lean_a[there != 0] ** 2).sum() * (there**2).sum())
    both = int((lean_a * there != 0).sum())
    return float((lean_a * there).sum() / size) if size > 0 else 0.0, both


def _lean(edges: EdgeList) -> np.ndarray:
    sizes, place = np.unique(np.abs(edges.weight), return_inverse=True)
    ranks = (place.ravel() + 1) / max(len(sizes), 1)
    lean = ranks - edges.turned(ranks)
    return np.where(edges.apart, lean, 0)
