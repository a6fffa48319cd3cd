"""Plots of a sweep over two parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Num

from .._core import require_shape
from ._canvas import ACCENT, NOTHING, Axes, legend_above, number_log, on_axes

Contours = Mapping[str, tuple[Num[ArrayLike, "k speed"], Sequence[int | float]]]


def heat_map(
    ks: Num[ArrayLike, " k"],
    speeds: Num[ArrayLike, " speed"],
    values: Num[ArrayLike, "k speed"],
    measure: str,
    ax: Axes = None,
    best: tuple[float, float] | None = None,
    working_range: Bool[ArrayLike, "k speed"] | None = None,
    contours: Contours | None = None,
    names: tuple[str, str] = ("coupling strength k", "speed [mm/ms]"),
) -> Axes:
    """Draw what a sweep over k and speed measured, as one rectangle of colour per run.

    An axis is logarithmic where its values are positive and span more than a decade. Values that are
    not finite are grey.

    Args:
        ks: the coupling strengths, rising. [1]
        speeds: the conduction speeds, rising. [mm/ms]
        values: what was measured, as `cf.sweep` of `cf.grid(k=ks, speed=speeds)` gives it after
            `.reshape(len(ks), len(speeds))`. [any unit]
        measure: what was measured, with its unit: the name of the colour bar.
        ax: where to draw; None makes a new figure.
        best: the k [1] and the speed [mm/ms] to mark with a star.
        working_range: which runs are in the working range, such as where `cf.name_regime` says so. Its
            outline is drawn between runs, and is open where the range goes on beyond the map. [1]
        contours: by name, another measure of the same runs, and the levels at which it is drawn as
            lines, such as `{"synchrony": (synchrony, [0.3, 0.8])}`. Lines are drawn through the
            middles of rectangles, linear in between. [any unit]
        names: the names of the two axes with their units, for a sweep over other parameters.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `ks` or `speeds` is not one row of rising values, what was measured, the
            working range or a contour is not one value per k and speed, or contours are asked for of
            a single row.
        TypeError: if `working_range` is not an array of booleans.
        ImportError: if matplotlib is missing.

    Example:
        >>> ks, speeds = jnp.array([0.1, 0.4, 1.6]), jnp.array([2.0, 4.0, 6.0])
        >>> rmse = jnp.abs(ks[:, None] - 0.4) + jnp.abs(speeds - 4.0)[None, :]
        >>> ax = cf.plot.heat_map(ks, speeds, rmse, "FC rmse", best=(0.4, 4.0), working_range=rmse < 2)
        >>> ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()
        ('log', 'linear', 'speed [mm/ms]')
    """
    ks, speeds = _rising("ks", ks), _rising("speeds", speeds)
    shape, meaning = (len(ks), len(speeds)), "It must be one value per k and speed."
    values = np.asarray(values)
    require_shape("values", values, shape, meaning=meaning)
    inside = None if working_range is None else np.asarray(working_range)
    if inside is not None:
        require_shape("working_range", inside, shape, meaning=meaning)
        if inside.dtype != bool:
            raise TypeError(f"`working_range` must be booleans, not {inside.dtype}.")
    lines = {name: (np.asarray(x), np.sort(at)) for name, (x, at) in (contours or {}).items()}
    for name, (x, _) in lines.items():
        require_shape(f"contours[{name!r}]", x, shape, meaning=meaning)
        if min(shape) < 2:
            raise ValueError(f"`contours` need two or more values on each axis; got {shape}.")

    ax = on_axes(ax, 6.6, 4.8)
    logs = [_is_log(x) for x in (ks, speeds)]
    for log, set_scale in zip(logs, (ax.set_xscale, ax.set_yscale), strict=True):
        set_scale("log" if log else "linear")
    right, up = (_edges(x, log) for x, log in zip((ks, speeds), logs, strict=True))
    shown = np.ma.masked_invalid(values.T)
    low, high = (shown.min(), shown.max()) if shown.count() else (0.0, 1.0)
    scale = {"vmin": low, "vmax": high} if low < high else {"vmin": low - 0.5, "vmax": low + 0.5}
    image = ax.pcolormesh(right, up, shown, cmap="viridis", rasterized=True, **scale)
    image.cmap = image.cmap.with_extremes(bad=NOTHING)
    ax.set_facecolor(NOTHING)
    ax.figure.colorbar(image, ax=ax, label=measure, shrink=0.85)
    handles = []
    if inside is not None:
        handles += [_outline(ax, inside, right, up)]
    for i, (name, (x, levels)) in enumerate(lines.items()):
        handles += [_draw_contours(ax, (ks, speeds), x, levels, name, ("--", ":", "-.")[i % 3])]
    if best is not None:
        label = f"best: {best[0]:.3g}, {best[1]:.3g}"
        star = {"marker": "*", "ms": 16, "mec": "white", "ls": "", "color": ACCENT}
        handles += ax.plot(*best, label=label, zorder=5, **star)
    ax.set(xlabel=names[0], ylabel=names[1], xlim=right[[0, -1]], ylim=up[[0, -1]])
    for log, axis in zip(logs, (ax.xaxis, ax.yaxis), strict=True):
        if log:
            number_log(axis)
    if handles:
        legend_above(ax, handles)
    return ax


def _rising(name: str, x: Any) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 1 or not x.size or not (np.diff(x) > 0).all() or not np.isfinite(x).all():
        raise ValueError(f"`{name}` must be one row of finite, rising values; got {x}.")
    return x.astype(float)


def _is_log(x: np.ndarray) -> bool:
    return bool(x[0] > 0 and x[-1] > 10 * x[0])


def _edges(x: np.ndarray, log: bool) -> np.ndarray:
    """Return the edges of rectangles around values: half-way between them on the axis."""
    x = np.log(x) if log else x
    if len(x) == 1:
        width = 0.2 * abs(x[0]) or 1.0
        return x[0] + np.array([-width, width]) / 2
    middle = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
    return np.exp(edges) if log else edges


def _outline(ax: Axes, inside: np.ndarray, right: np.ndarray, up: np.ndarray) -> Any:
    """Draw the edges between rectangles of which one is in the working range."""
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    segments: list[Any] = [
        [(right[i + 1], up[j]), (right[i + 1], up[j + 1])]
        for i, j in np.argwhere(inside[1:] != inside[:-1])
    ] + [
        [(right[i], up[j + 1]), (right[i + 1], up[j + 1])]
        for i, j in np.argwhere(inside[:, 1:] != inside[:, :-1])
    ]
    # A white line with a dark rim can be seen on every colour.
    how: dict[str, Any] = {"capstyle": "projecting", "path_effects": _rim(2.0)}
    ax.add_collection(LineCollection(segments, colors="white", linewidths=2.0, **how))
    where = " (everywhere)" if inside.all() else " (nowhere)" if not inside.any() else ""
    label = f"working range{where}"
    return Line2D([], [], color="white", lw=2.0, path_effects=_rim(2.0), label=label)


def _draw_contours(
    ax: Axes,
    at: tuple[np.ndarray, np.ndarray],
    x: np.ndarray,
    levels: np.ndarray,
    name: str,
    style: str,
) -> Any:
    """Draw the lines of a measure, with their levels written on them."""
    from matplotlib.lines import Line2D

    x = np.ma.masked_invalid(x.T)
    # matplotlib warns of levels that the measure does not reach; they have no line.
    reached = [level for level in levels if x.count() and x.min() < level < x.max()]
    if reached:
        drawn = ax.contour(*at, x, reached, colors="white", linewidths=1.4, linestyles=style)
        drawn.set(path_effects=_rim(1.4))
        for text in ax.clabel(drawn, fmt="%g", fontsize=8):
            text.set_path_effects(_rim(1.4))
    label = f"{name} = {', '.join(f'{level:g}' for level in levels)}"
    return Line2D([], [], color="white", lw=1.4, ls=style, path_effects=_rim(1.4), label=label)


def _rim(width: float) -> list[Any]:
    """Return the path effects of a line of this width with a dark rim."""
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width + 1.8, foreground="0.15"), Normal()]
