"""Regions in the order of the groups they belong to, and the marks of these groups on a matrix."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ._canvas import Axes
from ._labels import POINTS, line_height, spread

Groups: TypeAlias = Mapping[str, Sequence[Any]] | None


class Block(NamedTuple):
    """Neighbouring rows of one group: from `first` up to `end`, which is not in it."""

    name: str
    first: int
    end: int


class Arrangement(NamedTuple):
    """The order in which regions are drawn, and per grouping, the outer first, its name and blocks."""

    order: np.ndarray
    names: tuple[str, ...]
    blocks: tuple[tuple[Block, ...], ...]


def arrange(groups: Groups, regions: int) -> Arrangement:
    """Return the order of the regions by groups; those of a group stay in their order."""
    if groups is None:
        return Arrangement(np.arange(regions), (), ())
    if not isinstance(groups, Mapping) or len(groups) not in (1, 2):
        raise TypeError(
            "`groups` must map the names of one or two groupings, the outer one first, to the group of "
            f'each region, as in {{"hemisphere": ["L", "R"]}}; got {groups!r}.'
        )
    ranks = []
    for name, of in groups.items():
        words = [of] if isinstance(of, str) else [str(group) for group in of]
        if len(words) != regions:
            raise ValueError(
                f"`groups[{name!r}]` must be one group per region, {regions}, not {len(words)}."
            )
        ranks.append((words, {word: rank for rank, word in enumerate(dict.fromkeys(words))}))
    keys = [tuple(rank[words[i]] for words, rank in ranks) for i in range(regions)]
    order = sorted(range(regions), key=keys.__getitem__)  # which is stable
    blocks = []
    for level, (words, _) in enumerate(ranks):
        found, first = [], 0
        for _, members in groupby(order, lambda i, upto=level + 1: keys[i][:upto]):
            members = list(members)
            found.append(Block(words[members[0]], first, first + len(members)))
            first += len(members)
        blocks.append(tuple(found))
    return Arrangement(np.array(order), tuple(groups), tuple(blocks))


def mark_groups(ax: Axes, arrangement: Arrangement, colour: str) -> None:
    """Draw lines between blocks, and name these: the inner ones on top, the outer ones on the right."""
    regions, names, all_blocks = len(arrangement.order), arrangement.names, arrangement.blocks
    widths = (1.8, 0.7) if len(names) > 1 else (1.2,)
    for blocks, width in zip(all_blocks, widths, strict=True):
        for block in blocks[1:]:
            ax.axhline(block.first - 0.5, color=colour, lw=width)
            ax.axvline(block.first - 0.5, color=colour, lw=width)
    sides = {"x": (all_blocks[-1:], names[-1:]), "y": (all_blocks[:1], names[:1])}
    for side, shown in sides.items():
        for blocks, name in zip(*shown, strict=True):
            _name_blocks(ax, side, blocks, regions, name)
    # The lines must not make the picture larger.
    ax.set(xlim=(-0.5, regions - 0.5), ylim=(regions - 0.5, -0.5))


def _name_blocks(ax: Axes, side: str, blocks: Sequence[Block], regions: int, name: str) -> None:
    """Write the names of blocks beside the matrix, each with a bracket as long as the block."""
    points = float(POINTS)
    if (taken := line_height(ax, regions, points) * len(blocks)) > regions:
        points *= regions / taken
    centres = [(block.first + block.end - 1) / 2 for block in blocks]
    gap = line_height(ax, regions, points)
    places = spread(centres, gap)
    places = places + min(regions - 0.5 - gap / 2 - places[-1], 0)  # within the matrix
    places = places + max(-0.5 + gap / 2 - places[0], 0)
    make = ax.secondary_xaxis if side == "x" else ax.secondary_yaxis
    second = make("top" if side == "x" else "right")
    axis = second.xaxis if side == "x" else second.yaxis
    axis.set_ticks(places, labels=[block.name for block in blocks], fontsize=points)
    axis.set_tick_params(length=0, pad=11, rotation=90 if side == "x" else 0)
    axis.set_label_text(name)
    second.spines[:].set_visible(False)
    transform = ax.get_xaxis_transform() if side == "x" else ax.get_yaxis_transform()
    how = {"color": "k", "clip_on": False, "transform": transform, "solid_capstyle": "butt"}
    for block, centre, place in zip(blocks, centres, places, strict=True):
        # Brackets do not touch: each is shorter than its block by a fifth of a line, or of the block.
        short = min(gap / 5, (block.end - block.first) / 5)
        along = [block.first - 0.5 + short, block.end - 0.5 - short]
        lead = [centre, place]
        for run, away, width in ((along, [1.012, 1.012], 1.6), (lead, [1.012, 1.026], 0.6)):
            ax.plot(*((run, away) if side == "x" else (away, run)), lw=width, **how)
