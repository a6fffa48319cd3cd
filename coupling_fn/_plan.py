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
# ns: a weight in a block of m steps costs WEIGHT + INDEX / m a step, an edge on its own NEAR.
WEIGHT, INDEX, NEAR = 0.25, 1.2, 1.5


class Split(eqx.Module):
    """The edges of one coupling that are too near for blocks: their sources, -1 for none."""

    now: Array | None  # (target, slot): lag 0
    near: Array | None  # (target, slot): lag 1 … block - 1
    block: int = eqx.field(static=True)


class Blocks(NamedTuple):
    """Sizes of a run in blocks: steps in one, their number, and the ring that keeps the history."""

    size: int
    count: int
    ring: int


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


def fit_blocks(largest: int, steps: int, every: int, lag: int) -> Blocks:
    """Sizes for `steps` steps, recorded every so many, with lags up to `lag`.

    A block records at its end, or several times within: `every` is a multiple of it or it of
    `every`. A remainder of steps is left for another call.
    """
    largest = min(largest, steps)
    fitting = [m for m in range(1, largest + 1) if m % every == 0 or every % m == 0]
    size = fitting[-1]
    return Blocks(size, steps // size, -(-(lag + 1) // size) * size)


def _padded(mask: np.ndarray) -> Array | None:
    slots = int(mask.sum(1).max(initial=0))
    if not slots:
        return None
    order = np.argsort(~mask, axis=1, kind="stable")[:, :slots]
    source = np.where(np.take_along_axis(mask, order, 1), order, -1)
    return constant(source.astype(np.int32))
