"""How a delayed run is cut: how many steps make a block, and which edges are too short for one.

Where every lag is m steps or more, all messages that arrive in the next m steps have been sent
already. Their weighted sums are therefore computed for m steps at once, a block, and an index is
loaded once per m steps. Edges that are too short for the largest block have a smaller block inside
it, and those too short for any are read step by step. Lags need not be known for that: each edge
has a smallest lag that it may have. The costs were measured on a CPU in float32 (`python -m
benchmarks delayed`).
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jax import Array
from jax.sharding import Mesh

from .._connectome import SparseConnection, sparse_from_edges
from .._core import constant

# From block size to cost [ns per weight and step], the sizes that a vector register divides. Per window
# it is 1 to 2 ns for all of them, so that larger blocks than 32 gain little.
COST_BLOCKED = {4: 0.27, 8: 0.12, 16: 0.08, 32: 0.06}
# What edges that go step by step cost, and each of them [ns per step]. Every target pays for as
# many as the target with the most has. A gradient pays twice that.
COST_OF_STEPS, COST_STEPWISE = 1200.0, 0.7
# The same for each edge of a `SparseConnection` [ns per step].
COST_STEPWISE_SPARSE = 10.0
# What a block costs, whatever happens in it, and the sums of one more size of block. [ns]
COST_OF_BLOCK, COST_OF_SUMS = 1500.0, 2500.0
# The sums over one of a few edges of a `SparseConnection` in a smaller block. [ns per block]
COST_OF_NEAR_SPARSE = 3.0
# Where the edges of a coupling cannot be told apart, they count as those of so many pairs.
NOMINAL = 84**2
# The block size where edges are stepwise, since a block then keeps what each edge carried for its
# derivative.
STEPWISE_BLOCK = 8
# Up to how many of the newest times are copied for the sums over near edges.
FEW_TIMES = 64
# How many steps a buffer has room for, beside the history: a stretch. Moving the history back to
# the front for every block (250 kB with 84 regions) would be a fifth of the cost of a step (2.4
# against 3.1 us); once per stretch it cannot be measured. From 2048 sources on, a stretch is as
# long as the history: those sources have more edges to make up for the move.
STRETCH, ROOM = 2048, 2**22


class NearEdges(eqx.Module):
    """The edges whose sums have a smaller block: a pattern, or their numbers in a `SparseConnection`."""

    edges: SparseConnection | Array
    block_size: int = eqx.field(static=True)
    reach: int | None = eqx.field(static=True)  # the largest lag that they may have, if it is small


class EdgeSplit(eqx.Module):
    """The edges of one coupling, by the smallest lag that each may have.

    `instantaneous` and `stepwise` hold sources `(target, slot)`, with -1 in the slots that stay empty;
    for a `SparseConnection` they hold the numbers of edges instead, `(edge,)`. None stands for no edge.
    An edge whose lag may be 0 or more is in both.
    """

    instantaneous: Array | None  # lag 0 is possible
    stepwise: Array | None  # lags shorter than the smallest block are possible
    near: tuple[NearEdges, ...]
    far: Array | None  # a mask of the edges that have the largest block; None if all or none have
    any_far: bool = eqx.field(static=True)
    stepwise_lag: int = eqx.field(static=True)  # no stepwise edge may have a larger lag
    ndim: int = eqx.field(static=True)  # axes of the lags that it was made for


class RunPlan(NamedTuple):
    """How `steps` steps are cut into stretches of blocks.

    Attributes:
        steps: steps of the run.
        sizes: steps of a block, the largest first, each a multiple of the next. The nodes take their
            steps in blocks of the last size; sums over edges that are long enough are computed for a
            larger block at once. They are the same however a run is cut, so that the parts of a run
            round as the whole does.
        blocks_per_stretch: how many of the largest blocks a buffer has room for at once.
        stretches: how many stretches there are.
        depth: how many steps back the buffers reach.
        levels: for each blocked coupling, and each group of its edges, which of the sizes its sums have.
        mesh: the devices that share the nodes, or None.
    """

    steps: int
    sizes: tuple[int, ...]
    blocks_per_stretch: int
    stretches: int
    depth: int
    levels: tuple[tuple[int, ...], ...] = ()
    mesh: Mesh | None = None

    @property
    def block_size(self) -> int:
        """Steps that the nodes take at once."""
        return self.sizes[-1]

    @property
    def stretch(self) -> int:
        """Steps of a stretch."""
        return self.sizes[0] * self.blocks_per_stretch

    @property
    def excess(self) -> int:
        """Steps of the last stretch that lie past the end of the run, and are masked."""
        return self.stretch * self.stretches - self.steps

    def at_level(self, level: int) -> tuple[tuple[bool, ...], ...]:
        """Return, for each blocked coupling, which groups of its edges have that of the sizes."""
        return tuple(tuple(each == level for each in groups) for groups in self.levels)


def choose_block_sizes(
    smallest_lags: Sequence[np.ndarray], together: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the sizes of blocks, the largest first, that cost least.

    Args:
        smallest_lags: for each coupling whose edges can be told apart the smallest lag that each edge
            may have, `(target, source)` or `(edge,)`.
        together: the same for each other coupling, one number for all its edges.
    """
    sizes = sorted(COST_BLOCKED, reverse=True)
    counts = [_edges_by_size(lags, sizes) for lags in smallest_lags]
    choices = [c for n in range(1, len(sizes) + 1) for c in combinations(sizes, n)]

    def cost(choice: tuple[int, ...]) -> float:
        places = [-1, *map(sizes.index, choice), len(sizes)]
        each = [
            _cost(choice, places, edges, lags)
            for edges, lags in zip(counts, smallest_lags, strict=True)
        ]
        for smallest in together:
            fitting = [COST_BLOCKED[size] for size in choice if size <= smallest]
            each.append(NOMINAL * (fitting[0] if fitting else COST_STEPWISE) if smallest else 0.0)
        return sum(each, COST_OF_BLOCK / choice[-1])

    best = min(choices, key=cost)
    fitting = [_largest_fitting(best, lags) for lags in (*smallest_lags, *map(np.array, together))]
    used = {size for sizes in fitting for size in np.unique(sizes) if size}
    return tuple(sorted(map(int, used), reverse=True)) or (STEPWISE_BLOCK,)


def _largest_fitting(sizes: Sequence[int], lags: np.ndarray) -> np.ndarray:
    """Return the largest of the sizes that is no larger than each lag; 0 if none is."""
    return np.asarray(np.max([np.where(lags >= size, size, 0) for size in sizes], axis=0))


def _edges_by_size(lags: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Count the edges of each target by the largest size that fits, `(target, size)`.

    The last column is for lags from 1 on that are too short for any.
    """
    fitting = np.where(lags > 0, _largest_fitting(sizes, lags), -1)
    rows = fitting if lags.ndim == 2 else fitting[None]
    return np.stack([(rows == size).sum(1) for size in (*sizes, 0)], 1)


def _cost(choice: tuple[int, ...], places: list[int], edges: np.ndarray, lags: np.ndarray) -> float:
    """Return what the edges of a coupling cost per step, in ns, in blocks of the sizes of `choice`."""
    far, *near, short = (
        edges[:, before + 1 : place + 1].sum(1) for before, place in pairwise(places)
    )
    dense = lags.ndim == 2
    total = lags.size * COST_BLOCKED[choice[0]] * bool(far.any())
    for size, each in zip(choice[1:], near, strict=True):
        if each.any():
            places_read = len(each) * each.max() if dense else each.sum()
            cost = COST_BLOCKED[size] if dense else COST_OF_NEAR_SPARSE / size
            total += places_read * cost + COST_OF_SUMS / size
    total += COST_OF_STEPS * bool(short.any())
    if dense:
        return total + len(short) * short.max(initial=0) * COST_STEPWISE
    return total + short.sum() * COST_STEPWISE_SPARSE


def split_edges(smallest: np.ndarray, largest: np.ndarray, sizes: tuple[int, ...]) -> EdgeSplit:
    """Tell edges apart by the smallest and the largest lag that each may have."""
    fitting = _largest_fitting(sizes, smallest)
    pick = _padded if smallest.ndim == 2 else _numbers
    far, short = fitting == sizes[0], (fitting == 0) & (largest > 0)
    near = [(size, fitting == size) for size in sizes[1:] if (fitting == size).any()]
    return EdgeSplit(
        instantaneous=pick(smallest == 0),
        stepwise=pick(short),
        near=tuple(NearEdges(_pattern(mask), size, _reach(largest[mask])) for size, mask in near),
        far=constant(far) if far.any() and not far.all() else None,
        any_far=bool(far.any()),
        stepwise_lag=int(largest[short].max(initial=0)),
        ndim=smallest.ndim,
    )


def _reach(largest: np.ndarray) -> int | None:
    return int(largest.max()) if largest.max() <= FEW_TIMES else None


def _pattern(mask: np.ndarray) -> Any:
    """Return the edges of a mask as a connection, or by number where there is one per stored edge."""
    if mask.ndim == 1:
        return _numbers(mask)
    target, source = np.nonzero(mask)
    return sparse_from_edges(target, source, np.ones(len(target), np.float32), mask.shape)


def plan_run(sizes: tuple[int, ...], steps: int, lag: int, sources: int = 1) -> RunPlan:
    """Plan a run of `steps` steps, with lags up to `lag` from `sources` sources."""
    size = sizes[0]
    blocks = -(-steps // size)
    most = max(1, min(STRETCH, max(ROOM // sources, lag)) // size)
    counts = range(most // 2 + 1, most + 1) if blocks > most else [blocks]
    per_stretch = min(counts, key=lambda count: -blocks % count)  # the fewest masked blocks
    stretches = -(-blocks // per_stretch)
    excess = size * per_stretch * stretches - steps
    depth = -(-(lag + 1 + excess) // size) * size
    return RunPlan(steps, sizes, per_stretch, stretches, depth)


def _numbers(mask: np.ndarray) -> Array | None:
    return constant(np.flatnonzero(mask).astype(np.int32)) if mask.any() else None


def _padded(mask: np.ndarray) -> Array | None:
    slots = int(mask.sum(1).max(initial=0))
    if not slots:
        return None
    order = np.argsort(~mask, axis=1, kind="stable")[:, :slots]
    source = np.where(np.take_along_axis(mask, order, 1), order, -1)
    return constant(source.astype(np.int32))
