"""How a delayed network is computed: how many steps at a time, and which edges apart from the rest.

Where every lag is m steps or more, what arrives in the next m steps is known now: it is computed as
one block, an index loaded once for m steps. Edges of smaller lag go step by step. Measured on
two CPU cores in float32 (`python -m benchmarks delayed`).
"""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jax import Array
from jax.sharding import Mesh

from .._core import constant

# Blocks that a vector register divides, and what a weight in them costs a step [ns]. Longer blocks
# gain nothing: the windows of a target leave the fast cache. Shorter ones (2, 3, 4, 6, 12 steps) are
# not vectorised, and cost as much as going step by step.
WEIGHT = {8: 0.45, 16: 0.29, 32: 0.19}
# An edge that goes step by step; a target has as many places for such as the one with the most [ns].
NEAR = 2.5
# The same of a sparse connection of 1000 nodes and degree 10, most of it the rows of all sources, which
# are then carried from step to step.
NEAR_SPARSE = 70.0
# Where all goes step by step, a block keeps what each edge carried for its own derivative.
SHORTEST_BLOCK = min(WEIGHT)
# Steps for which the past is given room at once: to move it for each block, 250 kB on 84 regions,
# would be a fifth of a step's cost (2.4 against 3.1 us); for so many steps it is not seen. Of more than
# 2048 sources as many steps as they remember will do: they have more edges to make up for the move.
STRETCH, ROOM = 2048, 2**22


class Split(eqx.Module):
    """The edges of one coupling that are too near for blocks.

    Their sources `(target, slot)`, -1 for none; of a sparse connection the numbers of the edges.
    """

    now: Array | None  # lag 0
    near: Array | None  # lag 1 … block - 1
    far: bool = eqx.field(static=True)  # whether any edge is left for blocks


class Blocks(NamedTuple):
    """Sizes of a run of `steps` steps in blocks.

    A block has `size` steps, which is the same however a run is cut, so that its parts round as the
    whole; `together` blocks are a stretch, for which the past is given room at once; there are so many
    `stretches`. What the last blocks have beyond the last step stands still. The past that is kept
    reaches `depth` steps back. The devices of a `mesh` share the nodes.
    """

    steps: int
    size: int
    together: int
    stretches: int
    depth: int
    mesh: Mesh | None = None

    @property
    def stretch(self) -> int:
        """Steps of a stretch."""
        return self.size * self.together

    @property
    def beyond(self) -> int:
        """Steps that stand still."""
        return self.stretch * self.stretches - self.steps


def choose_block(lags: list[np.ndarray], least: list[int]) -> int:
    """The number of steps in a block that costs least.

    For the lags of all couplings, and the least lag of those whose lags are not known yet.
    """

    def cost(block: int) -> float:
        total = 0.0
        for each in lags:
            far = each >= block
            total += each.size * WEIGHT[block] * far.any()
            if each.ndim == 2:
                total += len(each) * (~far).sum(1).max(initial=0) * NEAR
            elif each.ndim == 1:
                total += (~far).sum() * NEAR_SPARSE
        return total

    sizes = [block for block in WEIGHT if all(each >= block or each == 0 for each in least)]
    return min(sizes, key=cost) if sizes and lags else max(sizes, default=SHORTEST_BLOCK)


def split(lags: np.ndarray, block: int) -> Split:
    """Set the edges apart whose lags are below a block."""
    near, far = (lags > 0) & (lags < block), bool((lags >= block).any())
    chosen = _padded if lags.ndim == 2 else _numbers
    return Split(chosen(lags == 0), chosen(near), far)


def fit_blocks(size: int, steps: int, lag: int, sources: int = 1) -> Blocks:
    """Sizes for `steps` steps in blocks of `size`, with lags up to `lag` from so many sources."""
    total = -(-steps // size)
    most = max(1, min(STRETCH, max(ROOM // sources, lag)) // size)
    counts = range(most // 2 + 1, most + 1) if total > most else [total]
    together = min(counts, key=lambda c: -total % c)  # blocks in the last stretch for nothing
    stretches = -(-total // together)
    beyond = size * together * stretches - steps
    return Blocks(steps, size, together, stretches, -(-(lag + 1 + beyond) // size) * size)


def _numbers(mask: np.ndarray) -> Array | None:
    return constant(np.flatnonzero(mask).astype(np.int32)) if mask.any() else None


def _padded(mask: np.ndarray) -> Array | None:
    slots = int(mask.sum(1).max(initial=0))
    if not slots:
        return None
    order = np.argsort(~mask, axis=1, kind="stable")[:, :slots]
    source = np.where(np.take_along_axis(mask, order, 1), order, -1)
    return constant(source.astype(np.int32))
