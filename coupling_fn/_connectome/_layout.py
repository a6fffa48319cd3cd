"""Where each edge of a sparse matrix goes among padded rows: computed once, with NumPy.

`_padded_rows.py` says what padded rows, buckets and places are.
"""

from typing import NamedTuple

import numpy as np
from jax import Array
from jax.sharding import Mesh

from .._core import constant
from ._padded_rows import Layout, PaddedRows

# What one more bucket costs, counted in places of padding: an operation or two of XLA's, and a share of
# all places for the time it takes to compile (a delayed network with 20 buckets: 14 s).
BUCKET, SHARE = 2048, 1 / 64


def make_layout(
    row: np.ndarray,
    source: np.ndarray,
    edge: np.ndarray | None,
    rows: int,
    mesh: Mesh | None = None,
) -> Layout:
    """Lay out edges in padded rows.

    Args:
        row: the row of each edge, in ascending order.
        source: the column of each edge, in the same order.
        edge: the number of each edge, in the same order; None if they are numbered in this order.
        rows: how many rows there are.
        mesh: devices that share the rows: as many consecutive ones on each.

    Raises:
        ValueError: if there are more places than an index of 32 bits can tell apart.
    """
    degree = np.bincount(row, minlength=rows)
    widths = bucket_widths(degree)
    bucket = np.searchsorted(widths, degree).reshape(1 if mesh is None else mesh.size, -1)
    counts = np.stack([np.bincount(part, minlength=len(widths)) for part in bucket])
    sizes = counts.max(axis=0)
    if len(bucket) * (sizes @ widths) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(row)} edges in rows are too many for indices of 32 bits.")
    spare = int(row[0]) if len(row) else 0
    parts = [_lay_out(n, part, sizes, widths, degree, spare) for n, part in enumerate(bucket)]
    whole = _Part(*(np.concatenate(x) for x in zip(*parts, strict=True)))
    number = whole.entry if edge is None else edge[whole.entry]
    place = np.empty(len(row), np.int32)
    place[number[whole.is_edge]] = np.flatnonzero(whole.is_edge)
    in_order = mesh is None and bool((whole.row[1:] > whole.row[:-1]).all())
    return Layout(
        PaddedRows(
            _indices(source[whole.entry]),
            None if in_order else _indices(whole.row),
            None if in_order else _indices(whole.position),
            tuple(zip(sizes.tolist(), widths.tolist(), strict=True)),
            mesh,
        ),
        _indices(number),
        constant(whole.is_edge),
        _indices(place),
    )


class _Part(NamedTuple):
    """The rows of one device, bucket by bucket; entries are counted in the order of rows."""

    entry: np.ndarray  # (place,) the entry at each place
    is_edge: np.ndarray  # (place,) False at padding
    row: np.ndarray  # (position,) the row at each position, numbered within the part
    position: np.ndarray  # (row,) the position of each row


def _lay_out(
    number: int,
    bucket: np.ndarray,
    sizes: np.ndarray,
    widths: np.ndarray,
    degree: np.ndarray,
    spare: int,
) -> _Part:
    """Lay out the rows of one device, where `bucket` is that of each of its rows.

    Buckets have `sizes` rows on every device; where this one has fewer, the row `spare`, which has an
    edge if any has, stands in.
    """
    order = np.argsort(bucket, kind="stable")
    count = np.bincount(bucket, minlength=len(widths))
    first = np.cumsum(degree) - degree
    begins = np.cumsum(sizes) - sizes
    row = np.zeros(sizes.sum(), int)
    entries, is_edge = [], []
    for members, begin, width, size in zip(
        np.split(order, np.cumsum(count)[:-1]), begins, widths, sizes, strict=True
    ):
        row[begin : begin + len(members)] = members
        filled = np.full(size, spare)
        filled[: len(members)] = members + number * len(bucket)
        slot = np.arange(width)[:, None]
        entries.append((first[filled] + np.minimum(slot, degree[filled] - 1)).ravel())
        is_edge.append(((slot < degree[filled]) & (np.arange(size) < len(members))).ravel())
    shift = np.repeat(begins - (np.cumsum(count) - count), count)
    position = (np.arange(len(bucket)) + shift)[np.argsort(order)]
    return _Part(np.concatenate(entries), np.concatenate(is_edge), row, position)


def bucket_widths(degree: np.ndarray) -> np.ndarray:
    """Choose the widths of buckets for which a product costs least, in ascending order.

    A width of 0 is among them where some row has no edge.
    """
    rows = np.bincount(degree)
    present = np.flatnonzero(rows[1:]) + 1
    # The choice compares all pairs of degrees, so at most 32 per octave are told apart.
    _, group = np.unique(np.rint(32 * np.log2(present)), return_inverse=True)
    ends = np.flatnonzero(np.diff(group, append=group.max(initial=0) + 1))
    widest = present[ends]
    below = np.concatenate([[0], np.cumsum(rows[1:])[widest - 1]])
    another = BUCKET + SHARE * degree.sum()
    cost, begin = np.zeros(len(widest) + 1), np.zeros(len(widest) + 1, int)
    for last, width in enumerate(widest):
        each = cost[: last + 1] + another + width * (below[last + 1] - below[: last + 1])
        begin[last + 1], cost[last + 1] = each.argmin(), each.min()
    widths, last = [], len(widest)
    while last:
        widths.append(widest[last - 1])
        last = begin[last]
    return np.array([0] * bool(rows[:1].any() or not widths) + widths[::-1], int)


def _indices(x: np.ndarray) -> Array:
    return constant(x.astype(np.int32))
