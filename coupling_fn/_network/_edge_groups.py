"""The edges of one coupling, grouped by when their messages become known.

Instantaneous edges (lag 0) carry the state that an integration stage is in. Delayed edges carry the
past: of these, blocked ones have lags of at least a block of steps, so that a whole block of their
sums is computed at once; stepwise ones may have shorter lags and are read at every step.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._connectome import Padded, Weights
from .._delays import EdgeSplit
from ._edge_forms import (
    can_split,
    near_edges,
    near_lags,
    of_stored_edges,
    picked,
    picked_lags,
    scaled,
)


class Tap(NamedTuple):
    """A read of the past: whole lags, and the share of each edge's message that this read carries.

    A rounded lag is one tap with a share of 1 (None); a read between two steps is two taps.
    """

    lags: Array
    share: Array | None = None


class DelayedWeights(NamedTuple):
    """Weights of some edges that are read step by step, and their lags in steps."""

    conn: Weights | Padded
    lags: Array


class BlockedWeights(eqx.Module):
    """Weights of some edges whose lags are never shorter than a block, and their lags in steps.

    There is one connection per tap, all alike but for their weights. The lags are those of the first
    tap; the second reads one step earlier.
    """

    conns: tuple[Weights, ...]
    lags: Array
    block_size: int = eqx.field(static=True)
    reach: int | None = eqx.field(default=None, static=True)  # the largest lag, if it is small


class EdgeGroups(NamedTuple):
    """The edges of a coupling, grouped by lag.

    Attributes:
        instantaneous: the weights of the edges of lag 0, or None.
        stepwise: the edges with lags that may be shorter than any block.
        blocked: the edges with lags of at least a block, by its size.
        stepwise_lag: no stepwise edge has a larger lag than this.
    """

    instantaneous: Any
    stepwise: tuple[DelayedWeights, ...]
    blocked: tuple[BlockedWeights, ...]
    stepwise_lag: int


def grouped(
    conn: Any,
    taps: tuple[Tap, ...],
    split: EdgeSplit | None,
    bounds: tuple[int, int],
    block_sizes: tuple[int, ...],
) -> EdgeGroups:
    """Group the edges of a connection by lag.

    Where the smallest lag of each edge is known beforehand, `split` tells edges apart. Otherwise lags
    are known only to lie within `bounds`, and the edges are one group.
    """
    if not taps:
        return EdgeGroups(conn, (), (), bounds[1])
    if split is not None and can_split(conn, split):
        return _split_by_index(conn, taps, split, block_sizes)
    return _grouped_by_bounds(conn, taps, bounds, block_sizes)


def _weights_of_taps(conn: Any, taps: tuple[Tap, ...]) -> tuple[Any, ...]:
    """Return the connection of each tap: every weight times the share that this tap reads of it."""
    shares = [tap.share for tap in taps]
    return tuple(conn if x is None else scaled(conn, of_stored_edges(conn, x)) for x in shares)


def _split_by_index(
    conn: Any,
    taps: tuple[Tap, ...],
    split: EdgeSplit,
    block_sizes: tuple[int, ...],
) -> EdgeGroups:
    """Take the edges that `split` names out of the far ones, whose weights there become 0."""
    conns = _weights_of_taps(conn, taps)
    lags = of_stored_edges(conn, taps[0].lags)  # of the first tap
    each = list(enumerate(conns))
    instantaneous, stepwise, blocked = None, (), []
    if split.instantaneous is not None:  # the second tap never reads the present
        here = scaled(conns[0], (lags == 0).astype(conn.dtype))
        instantaneous = picked(here, split.instantaneous)
    if split.stepwise is not None:
        stepwise = tuple(
            DelayedWeights(
                picked(
                    weights if split.instantaneous is None or tap else _later(weights, lags),
                    split.stepwise,
                ),
                picked_lags(lags + tap, split.stepwise),
            )
            for tap, weights in each
        )
    if split.any_far:
        far, size = split.far, block_sizes[0]
        if far is not None:
            conns = tuple(scaled(weights, far.astype(conn.dtype)) for weights in conns)
        far_lags = lags if far is None else jnp.maximum(lags, size)
        blocked.append(BlockedWeights(conns, far_lags, size))
    for near in split.near:
        picks = tuple(near_edges(weights, near.edges) for _, weights in each)
        near_by = near_lags(lags, near.edges)
        blocked.append(BlockedWeights(picks, near_by, near.block_size, near.reach))
    return EdgeGroups(instantaneous, stepwise, tuple(blocked), split.stepwise_lag)


def _later(conn: Any, lags: Array) -> Any:
    """Return the connection without the edges that carry the present."""
    return scaled(conn, (lags > 0).astype(conn.dtype))


def _grouped_by_bounds(
    conn: Any, taps: tuple[Tap, ...], bounds: tuple[int, int], block_sizes: tuple[int, ...]
) -> EdgeGroups:
    """Put all edges into the group that the smallest possible lag allows, apart from those of lag 0.

    With two taps around a fractional lag, lag 0 may be the earlier read of an edge: it then contributes
    to the instantaneous weights, with its share.
    """
    smallest, largest = bounds
    lags = of_stored_edges(conn, taps[0].lags)
    conns = _weights_of_taps(conn, taps)
    instantaneous = None
    fitting = [size for size in block_sizes if size <= smallest]
    if fitting:
        return EdgeGroups(None, (), (BlockedWeights(conns, lags, fitting[0]),), largest)
    if smallest == 0:
        instantaneous = scaled(conns[0], (lags == 0).astype(conn.dtype))
    stepwise = tuple(
        DelayedWeights(
            weights if smallest + tap > 0 else _later(weights, lags), jnp.maximum(lags + tap, 1)
        )
        for tap, weights in enumerate(conns)
    )
    return EdgeGroups(instantaneous, stepwise, (), largest)
