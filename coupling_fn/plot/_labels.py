"""Labels of regions in pictures: their check, and as many of them as can be read."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ._canvas import Axes

Labels: TypeAlias = Sequence[str] | None

POINTS = 7  # the size of labels
_LINE = 1.4  # from one line of text to the next, in sizes


def as_labels(labels: Any, regions: int, known: Any = None) -> tuple[str, ...]:
    """Return one label per region: those given, else those that are known, else none.

    An empty sequence writes none, also where some are known.
    """
    if labels is None:
        labels = () if known is None else known
    is_text = isinstance(labels, str) or not isinstance(labels, Iterable)
    labels = labels if is_text else list(labels)
    if is_text or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"`labels` must be a sequence of strings, one per region, not {labels!r}.")
    if labels and len(labels) != regions:
        raise ValueError(f"`labels` must be one per region, {regions}, not {len(labels)}.")
    return tuple(str(label) for label in labels)


def name_of(region: int, labels: Sequence[str]) -> str:
    """Return what to call a region in a legend."""
    return labels[region] if labels else f"region {region}"


def write_labels(ax: Axes, labels: Sequence[str], sides: str = "xy") -> None:
    """Write as many labels as fit without touching each other, at equal distances, at whole numbers."""
    box = ax.get_window_extent()
    for side in sides:
        # A square picture leaves a part of its place free.
        room = min(box.width, box.height) if len(sides) > 1 else box.height
        fit = room / ax.figure.dpi * 72 / (_LINE * POINTS)
        every = int(np.ceil(len(labels) / max(fit, 1)))
        places, shown = np.arange(len(labels))[::every], labels[::every]
        if side == "x":
            ax.set_xticks(places, labels=shown, fontsize=POINTS, rotation=90)
        else:
            ax.set_yticks(places, labels=shown, fontsize=POINTS)


def spread(places: Sequence[float], gap: float) -> np.ndarray:
    """Move increasing places as little as possible, so that neighbours are `gap` or more apart.

    Less the gaps before them, the places must not fall: this is a monotone regression, by pooling
    neighbours that are in the wrong order.
    """
    steps = gap * np.arange(len(places))
    pools: list[tuple[float, int]] = []  # the mean of each, and how many are in it
    for place in np.asarray(places, float) - steps:
        pools.append((float(place), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return np.repeat([mean for mean, _ in pools], [n for _, n in pools]) + steps


def line_height(ax: Axes, rows: int, points: float = POINTS) -> float:
    """Return how many of the rows of a square picture a line of text takes."""
    box = ax.get_window_extent()
    return _LINE * points / (min(box.width, box.height) / ax.figure.dpi * 72) * rows
