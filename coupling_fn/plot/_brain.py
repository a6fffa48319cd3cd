"""Plots of the brain seen from three sides: connectomes and numbers of regions at their centres."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import as_count, require_finite, require_nonnegative, require_shape, require_square
from .._lazy import BCOO
from ._canvas import COLOURS, NOTHING, Axes, on_axes
from ._labels import Labels, as_labels

# The two axes that a view shows, to the right and up, and the one along which it looks.
VIEWS = {"axial": (0, 1, 2), "sagittal": (1, 2, 0), "coronal": (0, 2, 1)}
ENDS = ("LR", "PA", "IS")  # the names of both ends of each axis
_NAMES = 12  # the most labels in one view


class _View(NamedTuple):
    """One projection in its place in the picture [mm]: centres, their depth, and outlines."""

    name: str
    places: np.ndarray
    depth: np.ndarray
    outlines: list[np.ndarray]


def brain_connectome(
    connectome: Any,
    ax: Axes = None,
    edges: int = 200,
    labels: Labels = None,
    orientation: str = "RAS",
) -> Axes:
    """Draw a connectome on the outline of its brain, from above, from the right and from behind.

    The strongest connections are lines between the centres of regions, coloured by weight on a
    logarithmic scale: of each pair of regions, the sum of both directions, without self-connections. Of
    equally strong pairs all are drawn or none.
    Dots are regions, and their area grows with the strength of the region: all that it sends and
    receives. Labels are written where they do not touch each other, those of the strongest regions
    first. The outline is drawn around the centres, since nothing else of the brain is known.

    Args:
        connectome: a `Connectome` with centres, and weights of 0 or more.
        ax: where to draw; None makes a new figure.
        edges: how many pairs of regions to connect. [1]
        labels: one name per region; None takes those of the connectome, and () writes none.
        orientation: where x, y and z of the centres grow to: right or left, anterior or posterior,
            superior or inferior, by first letters. "RAS" is that of MNI space; connectomes of The
            Virtual Brain differ: "ALS" for its 76 regions.

    Returns:
        The axes drawn on, in mm.

    Raises:
        ValueError: if the connectome has no centres, or they are not finite, a weight is negative,
            there is not one label per region, or `orientation` does not name each axis once.
        TypeError: if it is not a connectome, or `edges` is not a whole number.
        ImportError: if matplotlib is missing.

    Example:
        >>> centres = [[-30.0, 20.0, 5.0], [30.0, 20.0, 5.0], [0.0, -60.0, 10.0]]
        >>> conn = cf.Connectome([[0, 1, 2], [1, 0, 0], [2, 0, 0]], centres=centres)
        >>> ax = cf.plot.brain_connectome(conn)
        >>> ax.figure.savefig("brain.png")
    """
    if not hasattr(connectome, "weights"):
        raise TypeError(
            f"`connectome` must be a `Connectome` with centres, not {type(connectome).__name__}."
        )
    weights = connectome.weights
    weights = np.asarray(weights.todense() if isinstance(weights, BCOO) else weights)
    require_square("weights", weights)
    require_finite("weights", weights)
    require_nonnegative("weights", weights)
    edges, (centres, known) = as_count("edges", edges), _placed(connectome, len(weights))
    labels = as_labels(labels, len(weights), known)
    axes = _axes_of(orientation)

    views = _views(centres[:, axes[0]] * axes[1])
    ax = _on_brain(ax, views)
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm

    pairs = np.triu(weights + weights.T, 1)
    strength = (pairs + pairs.T).sum(axis=1)
    ends = _strongest(pairs, edges)
    drawn = pairs[ends[:, 0], ends[:, 1]]
    if len(drawn):
        low, high = drawn.min(), drawn.max()
        norm = LogNorm(low, high) if low < high else LogNorm(low / 3, high * 3)
        widths = 0.3 + 1.5 * np.asarray(norm(drawn))
        lines = [view.places[ends] for view in views]
        how: dict[str, Any] = {"cmap": "viridis_r", "norm": norm, "alpha": 0.75}
        shown = LineCollection(
            [*np.concatenate(lines)], linewidths=np.tile(widths, len(views)), **how
        )
        shown.set_array(np.tile(drawn, len(views)))
        ax.add_collection(shown)
        count = f"{len(drawn)} of {(pairs > 0).sum()} pairs"
        ax.figure.colorbar(shown, ax=ax, label=f"weight of a pair ({count})", shrink=0.8)
    areas = (4 + 46 * strength / (strength.max() or 1)) * min(1, np.sqrt(84 / len(weights)))
    for view in views:
        dots = {"color": COLOURS[5], "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
        ax.scatter(*view.places.T, s=areas, **dots)
    _write_names(ax, views, labels, strength)
    return ax


def brain_map(
    values: Num[ArrayLike, " region"],
    centres: Any,
    measure: str,
    ax: Axes = None,
    labels: Labels = None,
    orientation: str = "RAS",
) -> Axes:
    """Draw one number per region as the colour of a dot at its centre, from three sides.

    The brain is seen from above, from the right and from behind, with the nearer regions in front.
    Numbers of both signs have a scale from blue to red with 0 in its middle. Values that are not finite
    are grey. Labels are written where they do not touch each other, those of the values farthest from
    the median first. The outline is drawn around the centres, since nothing else of the brain is known.

    Args:
        values: such as a fitted parameter, or the strength of each region. [any unit]
        centres: a `Connectome` with centres, or the centres (region, 3). [mm]
        measure: what the numbers are, with their unit: the name of the colour bar.
        ax: where to draw; None makes a new figure.
        labels: one name per region; None takes those of the `Connectome`, and () writes none.
        orientation: as in `plot.brain_connectome`.

    Returns:
        The axes drawn on, in mm.

    Raises:
        ValueError: if there is not one value, centre or label per region, the connectome has no
            centres, or they are not finite, or `orientation` does not name each axis once.
        ImportError: if matplotlib is missing.

    Example:
        >>> centres = jnp.array([[-30.0, 20.0, 5.0], [30.0, 20.0, 5.0], [0.0, -60.0, 10.0]])
        >>> ax = cf.plot.brain_map(jnp.array([0.1, 0.2, 0.4]), centres, "k", labels=["A", "B", "C"])
        >>> ax.figure.savefig("map.png")
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"`values` must be one per region; got shape {values.shape}.")
    centres, known = _placed(centres, len(values))
    labels = as_labels(labels, len(values), known)
    axes = _axes_of(orientation)

    views = _views(centres[:, axes[0]] * axes[1])
    ax = _on_brain(ax, views)
    from matplotlib import colormaps

    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 1.0)
    if low < 0 < high:
        low, high, cmap = -max(-low, high), max(-low, high), "RdBu_r"
    else:
        low, high, cmap = (
            (low, high, "viridis") if low < high else (low - 0.5, low + 0.5, "viridis")
        )
    how: dict[str, Any] = {"edgecolors": "0.3", "linewidths": 0.4, "zorder": 3}
    how["s"] = float(np.clip(6000 / len(values), 14, 90))
    how |= {"vmin": low, "vmax": high, "cmap": colormaps[cmap].with_extremes(bad=NOTHING)}
    shown, dots = np.where(finite, values, np.nan), None
    for view in views:
        nearest_last = np.argsort(view.depth, kind="stable")
        colours = {"c": shown[nearest_last], "plotnonfinite": True}
        dots = ax.scatter(*view.places[nearest_last].T, **colours, **how)
    ax.figure.colorbar(dots, ax=ax, label=measure, shrink=0.8)
    middle = np.median(values[finite]) if finite.any() else 0
    _write_names(ax, views, labels, np.where(finite, np.abs(values - middle), -1))
    return ax


def _strongest(pairs: np.ndarray, edges: int) -> np.ndarray:
    """Return the two regions of each of the strongest pairs, the strongest last.

    Which of equally strong pairs are drawn must not depend on the order of regions. So where only a
    part of them has room, none is drawn; or all, if there is no stronger pair.
    """
    weights = np.sort(pairs[pairs > 0])[::-1]
    if edges and len(weights) > edges:
        below = weights[edges]
        kept = pairs > below if weights[0] > below else pairs == below
    else:
        kept = (pairs > 0) & (edges > 0)
    ends = np.argwhere(kept)
    return ends[np.argsort(pairs[kept], kind="stable")]


def _placed(held: Any, regions: int) -> tuple[np.ndarray, Any]:
    """Return the centres that a connectome holds, or that are given, and the labels that are known."""
    centres = getattr(held, "centres", held)
    if centres is None:
        raise ValueError(
            "`centres` must be known, (region, 3) in mm; this connectome has none: "
            "Connectome(..., centres=...) takes them."
        )
    centres = np.asarray(centres, float)
    require_shape("centres", centres, (regions, 3), meaning="That is x, y, z per region.")
    require_finite("centres", centres)
    return centres, getattr(held, "labels", None)


def _axes_of(orientation: str) -> tuple[list[int], np.ndarray]:
    """Return which axes of the centres are x, y and z, and their signs, as in MNI space."""
    places = [
        [
            (i, sign)
            for i, letter in enumerate(str(orientation))
            for sign in (1, -1)
            if letter == ends[sign]
        ]
        for ends in ("_RL", "_AP", "_SI")
    ]
    if len(str(orientation)) != 3 or any(len(found) != 1 for found in places):
        raise ValueError(
            "`orientation` must be three letters, one of R and L, one of A and P, one of S and I, such "
            f"as 'RAS'; got {orientation!r}."
        )
    return [found[0][0] for found in places], np.array([found[0][1] for found in places], float)


def _views(centres: np.ndarray) -> list[_View]:
    """Return the three projections beside each other."""
    extent = float(np.ptp(centres, axis=0).max()) or 20.0
    views, right = [], 0.0
    for name, (across, up, along) in VIEWS.items():
        places = centres[:, [across, up]]
        outlines = _outlines(places, extent)
        whole = np.concatenate(outlines)
        low, high = whole.min(axis=0), whole.max(axis=0)
        shift = np.array([right - low[0], -(low[1] + high[1]) / 2])
        right += high[0] - low[0] + 0.22 * extent
        # From above, from the right, and from behind: there the nearer regions have a smaller y.
        depth = centres[:, along] * (-1 if name == "coronal" else 1)
        views.append(_View(name, places + shift, depth, [line + shift for line in outlines]))
    return views


def _outlines(places: np.ndarray, extent: float) -> list[np.ndarray]:
    """Return closed lines around places: a closing of them with a disc, a little outside of them.

    The discs around the places are joined, and what is left after a smaller disc was rolled along
    their inside is the brain: hollows wider than the disc remain, gaps between regions are filled.
    """
    from contourpy import contour_generator

    margin = 0.06 * extent
    radius = max(0.5 * extent, 0.6 * _widest_gap(places))
    low, high = places.min(axis=0) - radius, places.max(axis=0) + radius
    step = (high - low).max() / 110
    x, y = (np.arange(a - 2 * step, b + 3 * step, step) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    apart = np.sqrt(_nearest(grid.reshape(-1, 2), places)).reshape(grid.shape[:2])
    lines: list[Any] = list(contour_generator(x, y, apart).lines(radius))
    # How far inside the joined discs each point is.
    depth = np.sqrt(_nearest(grid.reshape(-1, 2), np.concatenate(lines))).reshape(apart.shape)
    depth = np.where(apart < radius, depth, -depth)
    found = contour_generator(x, y, depth).lines(radius - margin)
    # A hole is a line whose other side is the brain: contourpy turns these the other way round.
    return [line for line in map(np.asarray, found) if _area(line) > 0]


def _area(line: np.ndarray) -> float:
    """Return the area within a closed line, above 0 if it runs anticlockwise."""
    x, y = line[:-1].T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distance from each point to the nearest of others."""
    parts = [
        ((some[:, None] - others[None]) ** 2).sum(axis=2).min(axis=1)
        for some in np.array_split(points, max(1, len(points) * len(others) // 10**6))
    ]
    return np.concatenate(parts)


def _widest_gap(places: np.ndarray) -> float:
    """Return the longest edge of the shortest tree that joins all places (Prim's algorithm)."""
    apart = np.full(len(places), np.inf)
    joined, at, widest = np.zeros(len(places), bool), 0, 0.0
    for _ in range(len(places) - 1):
        joined[at] = True
        apart = np.minimum(apart, ((places - places[at]) ** 2).sum(axis=1))
        at = int(np.argmin(np.where(joined, np.inf, apart)))
        widest = max(widest, float(np.sqrt(apart[at])))
    return widest


def _on_brain(ax: Axes, views: Sequence[_View]) -> Axes:
    """Draw the outlines, the names of the views and of their sides, and a bar of 50 mm."""
    whole = np.concatenate([line for view in views for line in view.outlines])
    (left, bottom), (right, top) = whole.min(axis=0), whole.max(axis=0)
    pad = 0.04 * (right - left)
    ax = on_axes(ax, 9.0, min(1.4 + 7.2 * (top - bottom) / (right - left), 7.0))
    for view in views:
        for line in view.outlines:
            ax.fill(*line.T, facecolor="0.96", edgecolor="0.55", lw=1.2, zorder=0)
        own = np.concatenate(view.outlines)
        low, high = own.min(axis=0), own.max(axis=0)
        ends = ENDS[VIEWS[view.name][0]]
        for x, letter, side in ((low[0], ends[0], "right"), (high[0], ends[1], "left")):
            how: dict[str, Any] = {"ha": side, "va": "center", "color": "0.45", "fontsize": 9}
            ax.annotate(
                letter, (x, 0), (-3 if side == "right" else 3, 0), textcoords="offset points", **how
            )
        ax.text((low[0] + high[0]) / 2, top + pad / 2, view.name, ha="center", va="bottom")
    ax.plot([left, left + 50], [bottom - pad, bottom - pad], color="k", lw=2)
    ax.text(left + 25, bottom - 1.3 * pad, "50 mm", ha="center", va="top", fontsize=8)
    ax.set(xlim=(left - pad, right + pad), ylim=(bottom - 2.6 * pad, top + 2 * pad), aspect="equal")
    ax.set_axis_off()
    return ax


def _write_names(
    ax: Axes, views: Sequence[_View], labels: Sequence[str], importance: np.ndarray
) -> None:
    """Write labels beside their dots, the most important first, where they touch no other label."""
    if not labels:
        return
    from matplotlib.patheffects import withStroke

    ax.figure.draw_without_rendering()  # so that all have their places
    for view in views:
        taken: list[Any] = []
        middle = np.concatenate(view.outlines)[:, 0].mean()
        for region in np.argsort(-importance, kind="stable"):
            if len(taken) == _NAMES:
                break
            # Towards the middle, so that it does not reach into the next view.
            to_left = view.places[region, 0] > middle
            text = ax.annotate(
                labels[region],
                view.places[region],
                (-4 if to_left else 4, 3),
                textcoords="offset points",
                ha="right" if to_left else "left",
                fontsize=7,
                zorder=4,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
            box = text.get_window_extent().padded(1)
            if any(box.overlaps(other) for other in taken):
                text.remove()
            else:
                taken.append(box)
