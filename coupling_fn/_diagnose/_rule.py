"""Check whether a coupling does what its weights say: whether it pulls, and from source to target.

Rules are the user's own functions, so they are judged by what they return on a few probing states.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from .._connectome import EdgeList, edge_list
from .._coupling import SumCoupling
from .._network import Network, Params
from .._node import HybridNode, Joined, Within
from ._report import Finding

PROBES = 3  # How many sources are moved, one after the other.
SIZES = (1.0, 100.0)  # By how much they are moved: where the first changes nothing, the second may.


def parts(params: Params | None) -> list[tuple[str, Any]]:
    """List the couplings that have weights, each with its name."""
    if params is None or params.coupling is None:
        return []
    named = params.coupling
    named = named if isinstance(named, Mapping) else {"coupling": named}
    return [
        (name, part)
        for name, whole in named.items()
        for part in (whole.parts if isinstance(whole, SumCoupling) else (whole,))
        if getattr(part, "conn", None) is not None
    ]


class Ends(NamedTuple):
    """Which regions of all a projection between subnetworks connects.

    Attributes:
        target: the numbers of its targets.
        source: the numbers of its sources.
        regions: how many regions there are.
    """

    target: np.ndarray
    source: np.ndarray
    regions: int

    @property
    def across(self) -> bool:
        """Whether it leads from one subnetwork to another."""
        return not np.intersect1d(self.target, self.source).size

    def embedded(self, edges: EdgeList) -> tuple[EdgeList, np.ndarray]:
        """Return edges with the numbers among all regions, in order, and the way to that order."""
        target, source = self.target[edges.target], self.source[edges.source]
        order = np.lexsort((source, target))
        return EdgeList(target[order], source[order], edges.weight[order], self.regions), order

    def of_all(self, values: Any, order: np.ndarray) -> Any:
        """Return values of the projection, one per edge or as its matrix, for the embedded edges."""
        if np.shape(values) == (len(self.target), len(self.source)):
            whole = np.full((self.regions,) * 2, np.nan)
            whole[np.ix_(self.target, self.source)] = values
            return whole
        return np.asarray(values)[order] if np.shape(values) == order.shape else values


def numbers_of(net: Network | None, params: Params | None) -> dict[str, np.ndarray]:
    """Return the numbers of each subnetwork's regions among all; none of a network without subnetworks.

    Where no connectome was divided, they are counted one subnetwork after the other, and as many as
    the weights between them say.
    """
    node = None if net is None else net.node
    if net is None or not isinstance(node, HybridNode):
        return {}
    if node.places is not None:
        return dict(zip(node.names, map(np.asarray, node.places), strict=True))
    sizes = dict.fromkeys(node.names, 0)
    shapes = {name: part.conn.shape for name, part in parts(params)}
    for name, wire in net.wires:
        ends = (_part_of(wire.into[0]), _part_of(wire.source[0]))
        for part, size in zip(ends, shapes.get(name, (0, 0)), strict=True):
            sizes |= {part: size} if part in sizes else {}
    ends = (0, *accumulate(sizes.values()))
    return {name: np.arange(*end) for name, end in zip(sizes, pairwise(ends), strict=True)}


def ends_of(net: Network | None, params: Params | None) -> dict[str, Ends]:
    """Return what each projection of a hybrid network connects, where its wire says it."""
    numbers = numbers_of(net, params)
    if net is None or not numbers:
        return {}
    joined = np.sort(np.concatenate(list(numbers.values())))
    of_part: dict[str | None, np.ndarray] = {**numbers, "": joined}
    ends = {
        name: [of_part.get(_part_of(signal)) for signal in (wire.into[0], wire.source[0])]
        for name, wire in net.wires
    }
    shapes = {name: part.conn.shape for name, part in parts(params)}
    return {
        name: Ends(target, source, len(joined))
        for name, (target, source) in ends.items()
        if target is not None
        and source is not None
        and shapes.get(name) == (len(target), len(source))
    }


def _part_of(signal: Any) -> str | None:
    """Return the subnetwork of a signal or input; "" where it joins all, None where it does not say."""
    if isinstance(signal, str):
        return signal.rpartition(".")[0]
    if isinstance(signal, Within):
        return signal.part
    return "" if isinstance(signal, Joined) else None


def edges_of_whole(couplings: list[tuple[str, Any, EdgeList]], ends: dict[str, Ends]) -> EdgeList:
    """Return the edges of all projections as one connectome; weights between the same regions add up."""
    each = [ends[name].embedded(edges)[0] for name, _, edges in couplings if name in ends]
    regions = next(iter(ends.values())).regions
    keys = np.concatenate([edges.target * regions + edges.source for edges in each])
    weights = np.concatenate([edges.weight for edges in each])
    keys, place = np.unique(keys, return_inverse=True)
    weight = np.bincount(place.ravel(), weights, len(keys))
    kept = weight != 0
    return EdgeList(keys[kept] // regions, keys[kept] % regions, weight[kept], regions)


def look_at_rule(
    name: str, coupling: Any, edges: EdgeList, across: bool = False
) -> Iterator[Finding]:
    """List the findings on a coupling's sign, on k, and on how it reads its weights.

    `across` says that its targets are other regions than its sources.
    """
    if not (len(edges) if across else edges.apart.any()):
        return
    k = np.asarray(getattr(coupling, "k", 1.0), float)
    pull = _pull(coupling, edges, across)
    if pull is not None and pull > 0:
        cause = "k is negative" if (k < 0).any() else "the rule has the opposite sign"
        yield Finding(
            "drives_apart",
            "error",
            f"The coupling {name!r} drives regions apart: one above its neighbours is pushed up "
            f"further, because {cause}.",
            why="Diffusive coupling draws each region towards the average: k Σ W_ij (x_j - x_i). With "
            "the opposite sign, differences grow until something stops them.",
            remedy=(
                "Take k > 0." if (k < 0).any() else "Use source - target, not target - source.",
            ),
        )
    elif (k < 0).any():
        yield Finding(
            "negative_k",
            "warning",
            f"The coupling {name!r} has a negative k, {k.min():.3g}.",
            why="It inhibits: regions go into opposite phases rather than synchronise.",
            remedy=("Take k > 0, unless inhibition is meant.",),
        )
    if (k == 0).all():
        yield Finding(
            "no_coupling",
            "warning",
            f"The coupling {name!r} has k = 0.",
            why="Every region then runs by itself.",
            remedy=("Scan k upwards from small values.",),
        )
        return
    if across:  # transposed weights would not fit
        return
    forth, back = _reads(coupling, edges)
    if back > forth + 0.3:
        yield Finding(
            "rule_transposed",
            "error",
            f"The coupling {name!r} reads its weights transposed: what a region sends arrives along its "
            f"row of the weights (correlation {back:.2f}), not along its column ({forth:.2f}).",
            why="conn[i, j] is from source j onto target i, so the sum over sources is conn @ source.",
            remedy=("Write cf.weighted_sum(conn, source) instead of conn.T @ source.",),
        )


def _pull(coupling: Any, edges: EdgeList, across: bool) -> float | None:
    """Return what a region above all others receives; None where the rule is not shift-invariant."""
    apart = np.ones(len(edges), bool) if across else edges.apart
    size = edges.onto_each(np.abs(edges.weight) * apart)
    size = size * (edges.onto_each(edges.weight * apart) > 0)
    place = int(size.argmax())
    if not size[place]:
        return None
    targets, sources = coupling.conn.shape
    raised = jnp.zeros(targets, coupling.conn.dtype).at[place].set(0.1)
    others = jnp.zeros(sources, coupling.conn.dtype) if across else raised
    level = jnp.full_like(others, 0.5), jnp.full_like(raised, 0.5)
    level, raised = np.asarray(coupling(*level)), np.asarray(coupling(others, raised))
    scale = np.abs(raised).max()
    if not scale or np.abs(level).max() > 1e-3 * scale or raised[place] == 0:
        return None
    return float(raised[place])


def _reads(coupling: Any, edges: EdgeList) -> tuple[float, float]:
    """Correlate what arrives from single sources with their columns, and with their rows, of weights."""
    lean = edges.chosen(edges.apart)
    uneven = lean.from_each(np.abs(lean.weight - lean.back))
    still = jnp.zeros(edges.regions, coupling.conn.dtype)
    got, columns, rows = [], [], []
    for j in np.argsort(-uneven, kind="stable")[:PROBES]:
        if not uneven[j]:
            break
        tried = [
            np.asarray(coupling(still.at[j].set(size), still) - coupling(still, still))
            for size in SIZES
        ]
        change = next((change for change in tried if change.any()), tried[0])
        column, row = np.zeros(edges.regions), np.zeros(edges.regions)
        column[lean.target[lean.source == j]] = lean.weight[lean.source == j]
        row[lean.source[lean.target == j]] = lean.weight[lean.target == j]
        apart = np.arange(edges.regions) != j
        got.append(change[apart])
        columns.append(column[apart])
        rows.append(row[apart])
    if not got:
        return 0.0, 0.0
    return _correlation(got, columns), _correlation(got, rows)


def _correlation(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    x, y = np.concatenate(a), np.concatenate(b)
    size = np.linalg.norm(x) * np.linalg.norm(y)
    return float(abs(x @ y) / size) if size else 0.0


def strengths_of(params: Params | None) -> list[Any]:
    """List the k of each coupling that has one."""
    return [part.k for _, part in parts(params) if hasattr(part, "k")]


def one_strength(params: Params | None) -> float | None:
    """Return k, if there is one number for all couplings; else None."""
    strengths = [np.asarray(k, float) for k in strengths_of(params)]
    return strengths[0].item() if [k.ndim for k in strengths] == [0] else None


def edges_of_part(part: Any, labels: tuple[str, ...] | None) -> EdgeList:
    """Return the edges of a coupling, with labels."""
    edges = edge_list(part.conn, square=False)
    return EdgeList(edges.target, edges.source, edges.weight, edges.regions, labels)
