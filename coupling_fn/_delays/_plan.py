"""How a delayed run is cut: how many steps make a block, and which edges are too short for one.

Where every lag is m steps or more, all messages that arrive in the next m steps have been sent
already. Their weighted sums are therefore computed for m steps at once, a block, and an index is
loaded once per m steps. Edges whose lag is shorter than a block are read step by step. The costs
were measured on two CPU cores in float32 (`python -m benchmarks delayed`).
"""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jax import Array
from jax.sharding import Mesh

from .._core import constant

# From block size to cost [ns per weight and step]. The sizes are those that a vector register
# divides. Longer blocks gain nothing, because the windows of one target leave the fast cache.
# Blocks of 2, 3, 4, 6 or 12 steps are not vectorised, and cost as much as going step by step.
COST_BLOCKED = {8: 0.45, 16: 0.29, 32: 0.19}
# The cost of a stepwise edge [ns per step]. Every target pays for as many as the target with the
# most has.
COST_STEPWISE = 2.5
# The same for a sparse connection of 1000 nodes and degree 10 [ns per step]. Most of it goes into the
# buffer of all sources, which is then carried from step to step.
COST_STEPWISE_SPARSE = 70.0
# The block size where all edges are stepwise, since a block then keeps what each edge carried for its
# derivative.
SHORTEST_BLOCK = min(COST_BLOCKED)
# How many steps a buffer has room for, beside the history: a stretch. Moving the history back to
# the front for every block (250 kB with 84 regions) would be a fifth of the cost of a step (2.4
# against 3.1 us); once per stretch it cannot be measured. From 2048 sources on, a stretch is as
# long as the history: those sources have more edges to make up for the move.
STRETCH, ROOM = 2048, 2**22


class EdgeSplit(eqx.Module):
    """Which edges of one coupling are too short for blocks.

    Both arrays hold sources `(target, slot)`, with -1 in the slots that stay empty; for a
    `SparseConnection` they hold the numbers of edges instead, `(edge,)`. None stands for no edge.
    """

    instantaneous: Array | None  # lag 0
    stepwise: Array | None  # lag 1 to block_size - 1
    any_blocked: bool = eqx.field(static=True)


class RunPlan(NamedTuple):
    """How `steps` steps are cut into stretches of blocks.

    Attributes:
        steps: steps of the run.
        block_size: steps of a block. It is the same however a run is cut, so that the parts of a run
            round as the whole does.
        blocks_per_stretch: blocks for which a buffer has room at once.
        stretches: how many stretches there are.
        depth: how many steps back the buffers reach.
        mesh: the devices that share the nodes, or None.
    """

    steps: int
    block_size: int
    blocks_per_stretch: int
    stretches: int
    depth: int
    mesh: Mesh | None = None

    @property
    def stretch(self) -> int:
        """Steps of a stretch."""
        return self.block_size * self.blocks_per_stretch

    @property
    def excess(self) -> int:
        """Steps of the last stretch that lie past the end of the run, and are masked."""
        return self.stretch * self.stretches - self.steps


def choose_block_size(lags: list[np.ndarray], smallest_lags: list[int]) -> int:
    """Return the block size that costs least.

    `lags` holds those of each coupling whose lags are known, and `smallest_lags` the smallest lag
    of each
    coupling whose lags are not: their edges cannot be split, so that a block must fit all.
    """

    def cost(block_size: int) -> float:
        total = 0.0
        for each in lags:
            blocked = each >= block_size
            total += each.size * COST_BLOCKED[block_size] * blocked.any()
            if each.ndim == 2:
                total += len(each) * (~blocked).sum(1).max(initial=0) * COST_STEPWISE
            elif each.ndim == 1:
                total += (~blocked).sum() * COST_STEPWISE_SPARSE
        return total

    sizes = [
        size
        for size in COST_BLOCKED
        if all(smallest >= size or smallest == 0 for smallest in smallest_lags)
    ]
    return min(sizes, key=cost) if sizes and lags else max(sizes, default=SHORTEST_BLOCK)


def split_edges(lags: np.ndarray, block_size: int) -> EdgeSplit:
    """Find the edges whose lag is shorter than a block."""
    pick = _padded if lags.ndim == 2 else _numbers
    stepwise = (lags > 0) & (lags < block_size)
    return EdgeSplit(pick(lags == 0), pick(stepwise), bool((lags >= block_size).any()))


def plan_run(block_size: int, steps: int, lag: int, sources: int = 1) -> RunPlan:
    """Plan a run of `steps` steps, with lags up to `lag` from `sources` sources."""
    blocks = -(-steps // block_size)
    most = max(1, min(STRETCH, max(ROOM // sources, lag)) // block_size)
    counts = range(most // 2 + 1, most + 1) if blocks > most else [blocks]
    per_stretch = min(counts, key=lambda count: -blocks % count)  # the fewest masked blocks
    stretches = -(-blocks // per_stretch)
    excess = block_size * per_stretch * stretches - steps
    depth = -(-(lag + 1 + excess) // block_size) * block_size
    return RunPlan(steps, block_size, per_stretch, stretches, depth)


def _numbers(mask: np.ndarray) -> Array | None:
    return constant(np.flatnonzero(mask).astype(np.int32)) if mask.any() else None


def _padded(mask: np.ndarray) -> Array | None:
    slots = int(mask.sum(1).max(initial=0))
    if not slots:
        return None
    order = np.argsort(~mask, axis=1, kind="stable")[:, :slots]
    source = np.where(np.take_along_axis(mask, order, 1), order, -1)
    return constant(source.astype(np.int32))
