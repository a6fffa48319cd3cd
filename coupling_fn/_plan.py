"""How a delayed network is computed: how many steps at a time, and which edges apart from the rest.

Where every lag is m steps or more, what arrives in the next m steps is known now: it is computed as
one block, an index loaded once for m steps. Edges of smaller lag go step by step. Measured on
two CPU cores in float32 (`python -m benchmarks delayed`; the block is in `_past.py`).
"""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jax import Array

from ._check import constant

# Longer blocks gain nothing: the windows of a target leave the fast cache.
LONGEST_BLOCK = 32
# Steps for which the past is given room at once: to move it for each block, 250 kB on 84 regions,
# would be a fifth of a step's cost (2.4 against 3.1 us); for so many steps it is not seen.
STRETCH = 2048
# ns: a weight in a block of m steps costs WEIGHT + INDEX / m a step, an edge on its own NEAR.
WEIGHT, INDEX, NEAR = 0.25, 1.2, 1.5


class Split(eqx.Module):
    """The edges of one coupling that are too near for blocks: their sources, -1 for none."""

    now: Array | None  # (target, slot): lag 0
    near: Array | None  # (target, slot): lag 1 … block - 1
    block: int = eqx.field(static=True)


class Blocks(NamedTuple):
    """Sizes of a run of `steps` steps in blocks.

    A block has `size` steps, which is the same however a run is cut, so that its parts round as the
    whole; `count` blocks are a stretch, for which the past is given room at once; there are so many
    `stretches`. What the last block has beyond the last step stands still. The past that is kept
    reaches `depth` steps back.
    """

    steps: int
    size: int
    count: int
    stretches: int
    depth: int

    @property
    def stretch(self) -> int:
        """Steps of a stretch."""
        return self.size * self.count

    @property
    def beyond(self) -> int:
        """Steps that stand still."""
        return self.stretch * self.stretches - self.steps


def choose_block(lags: list[np.ndarray]) -> int:
    """The number of steps in a block that costs least, for the lags of all couplings."""

    def cost(block: int) -> float:
        total = 0.0
        for each in lags:
            near = (each < block).sum(1).max(initial=0) if each.ndim == 2 else 0
            total += each.size * (WEIGHT + INDEX / block) + len(each) * near * NEAR
        return total

    smallest = min(int(each.min()) for each in lags)
    largest = max(int(each.max()) for each in lags)  # no window is longer than the past
    uniform = [int(each) for each in lags if each.ndim == 0]
    sizes = {1, 2, 4, 8, 16, 24, LONGEST_BLOCK, max(1, min(smallest, LONGEST_BLOCK))}
    lags = [np.atleast_2d(each) for each in lags]
    longest = max(1, min([largest, *uniform]))
    return min((m for m in sizes if m <= longest), key=cost)


def split(lags: np.ndarray, block: int) -> Split:
    """Set the edges apart whose lags are below a block."""
    if lags.ndim == 0:
        return Split(None, None, block)
    return Split(_padded(lags == 0), _padded((lags > 0) & (lags < block)), block)


def fit_blocks(size: int, steps: int, lag: int) -> Blocks:
    """Sizes for `steps` steps in blocks of `size`, with lags up to `lag`."""
    total = -(-steps // size)
    most = max(1, STRETCH // size)
    counts = range(most // 2 + 1, most + 1) if total > most else [total]
    count = min(counts, key=lambda c: -total % c)  # blocks in the last stretch for nothing
    stretches = -(-total // count)
    beyond = size * count * stretches - steps
    return Blocks(steps, size, count, stretches, -(-(lag + 1 + beyond) // size) * size)


def _padded(mask: np.ndarray) -> Array | None:
    slots = int(mask.sum(1).max(initial=0))
    if not slots:
        return None
    order = np.argsort(~mask, axis=1, kind="stable")[:, :slots]
    source = np.where(np.take_along_axis(mask, order, 1), order, -1)
    return constant(source.astype(np.int32))
