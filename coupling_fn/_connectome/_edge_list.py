"""The edges of any connection as NumPy arrays, for inspecting a connectome rather than running it.

No array here has the size (region, region) unless the connection itself is dense, so 10^4 regions are
no problem as long as they have few edges.
"""

import dataclasses
from functools import cached_property, singledispatch
from typing import Any

import numpy as np

from .._core import require_real, require_square
from .._lazy import BCOO
from ._connectome import Connectome
from ._sparse import SparseConnection

# Up to this many regions the spectral radius comes from all eigenvalues, beyond from the growth of
# W^n x, for n up to POWERS.
EIGENVALUES_UP_TO = 400
POWERS = 80


@dataclasses.dataclass(frozen=True)
class EdgeList:
    """Edges ordered by (target, source), each once; weights are not 0, but may be NaN."""

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
        """Return the edges that `which` marks or numbers."""
        target, source, weight = (x[which] for x in (self.target, self.source, self.weight))
        return EdgeList(target, source, weight, self.regions, self.labels)

    def look_up(self, values: np.ndarray, target: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Pick from one value per edge those of the edges asked for; 0 where there is no such edge."""
        return self._at(values, *self._find(target, source))

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Return for each edge the value of the edge in the other direction; 0 where there is none."""
        return self._at(values, *self._other_way)

    @cached_property
    def _other_way(self) -> tuple[np.ndarray, np.ndarray]:
        return self._find(self.source, self.target)

    def _find(self, target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the edges asked for, and whether there are such edges."""
        wanted = target * self.regions + source
        # Search in sorted order: in random order it misses the cache and takes 5 times as long.
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
        """Weight in the other direction of each edge; 0 where there is no such edge."""
        return self.turned(self.weight)

    @property
    def apart(self) -> np.ndarray:
        """Mask of the edges that connect two different regions."""
        return self.target != self.source

    def onto_each(self, values: np.ndarray) -> np.ndarray:
        """Sum one value per edge over the edges onto each region."""
        return np.bincount(self.target, values, self.regions)

    def from_each(self, values: np.ndarray) -> np.ndarray:
        """Sum one value per edge over the edges from each region."""
        return np.bincount(self.source, values, self.regions)


def edge_list(conn: Any, *, square: bool = True) -> EdgeList:
    """Return the edges of a connectome, of dense weights or of a sparse connection.

    Those of a matrix that need not be `square` have the numbers of its rows and columns, and `regions`
    is the larger count.
    """
    labels = conn.labels if isinstance(conn, Connectome) else None
    weights = conn.weights if isinstance(conn, Connectome) else conn
    weights = np.asarray(weights) if isinstance(weights, (list, tuple)) else weights
    require_real("conn", weights)
    if square:
        require_square("conn", weights)
    target, source, weight = stored_edges(weights)
    return EdgeList(
        target.astype(np.int64), source.astype(np.int64), weight, max(weights.shape), labels
    )


@singledispatch
def stored_edges(conn: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return target, source and weight (in float64) of all edges whose weight is not 0, in order."""
    dense = np.asarray(conn)
    target, source = np.nonzero(dense)
    return target, source, dense[target, source].astype(np.float64)


@stored_edges.register
def _(conn: BCOO):
    target, source = np.asarray(conn.indices, np.int64).T
    inside = (target < conn.shape[0]) & (source < conn.shape[1])  # BCOO pads with indices beyond.
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


def in_one_triangle(edges: EdgeList) -> bool:
    """Return whether all weights are on one side of the diagonal, and too many for a chain or a tree."""
    apart = edges.chosen(edges.apart)
    above = apart.source > apart.target
    return len(apart) >= max(3, edges.regions) and bool(above.all() or not above.any())


def connected_parts(edges: EdgeList) -> np.ndarray:
    """Return a number per region, the same for all regions that paths in any direction connect."""
    part = np.arange(edges.regions)
    while True:
        lower = np.minimum(part[edges.target], part[edges.source])
        new = part.copy()
        np.minimum.at(new, edges.target, lower)
        np.minimum.at(new, edges.source, lower)
        # The number is that of a region in the same part, which may have a lower one.
        new = new[new]
        if (new == part).all():
            return part
        part = new


def spectral_radius(edges: EdgeList) -> float:
    """Return the largest |eigenvalue|; for many regions from the growth of W^n x, to a few per cent."""
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
    """Return how well the directions of two networks agree, from -1 to 1, and over how many edges.

    The lean of an edge is the rank of its weight minus the rank of the weight in the other direction;
    the agreement is the correlation of leans over the edges where both networks have one. Symmetric
    weights lean nowhere and so do not count, and ranks do not change with a scale or a logarithm.
    """
    lean_a, lean_b = _lean(a), _lean(b)
    here = b.look_up(lean_b, a.target, a.source)
    there = np.where(here != 0, here, -b.look_up(lean_b, a.source, a.target))
    size = np.sqrt((lean_a[there != 0] ** 2).sum() * (there**2).sum())
    both = int((lean_a * there != 0).sum())
    return float((lean_a * there).sum() / size) if size > 0 else 0.0, both


def _lean(edges: EdgeList) -> np.ndarray:
    """Return the rank of each |weight|, in (0, 1], minus that of the other direction."""
    sizes, place = np.unique(np.abs(edges.weight), return_inverse=True)
    ranks = (place.ravel() + 1) / max(len(sizes), 1)
    lean = ranks - edges.turned(ranks)
    return np.where(edges.apart, lean, 0)
