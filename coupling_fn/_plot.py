"""Pictures of connectomes, signals and sweeps: matplotlib axes in, axes out.

matplotlib comes with `coupling_fn[plot]` and is imported when the first picture is drawn.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike
from jaxtyping import Num

from ._check import require_finite, require_nonnegative, require_shape, require_square

Axes: TypeAlias = Any  # matplotlib's own, which is not imported here

# Okabe and Ito's colours, told apart by everyone (https://jfly.uni-koeln.de/color/).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
_ACCENT = "#D55E00"
_NOTHING = "#E4E4E4"


def plot_connectome(connectome: Any, ax: Axes = None) -> Axes:
    """Draw the weights as a matrix, on a logarithmic colour scale.

    Row i is what region i receives, column j what region j sends. Absent edges are grey. Of the
    labels only as many are written as can be read; without labels, regions are numbered.

    Args:
        connectome: a `Connectome`, or its weights alone, 0 or more. [any unit]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if the weights are not square, or one is negative, infinite or NaN.
        ImportError: if matplotlib is missing.

    Example:
        >>> ax = cf.plot_connectome(jnp.array([[0.0, 1.0], [0.01, 0.0]]))
        >>> ax.figure.savefig("connectome.png")
    """
    weights = getattr(connectome, "weights", connectome)
    weights = np.asarray(weights.todense() if isinstance(weights, BCOO) else weights)
    require_square("weights", weights)
    require_finite("weights", weights)
    require_nonnegative("weights", weights, hint="A matrix with signs is for `plot_fc`.")
    labels = getattr(connectome, "labels", None)

    ax = _axes(ax, 6.8, 6.0)
    from matplotlib.colors import LogNorm

    present = weights[weights > 0]
    low, high = (present.min(), present.max()) if present.size else (0.1, 1.0)
    # One value alone is no range: half a decade around it.
    norm = LogNorm(low, high) if low < high else LogNorm(low / 3, high * 3)
    _matrix(ax, np.ma.masked_equal(weights, 0), "weight (grey: no edge)", cmap="viridis", norm=norm)
    ax.set(xlabel="source region (sends)", ylabel="target region (receives)")
    if labels is not None and len(labels):
        _write_labels(ax, list(labels))
    return ax


def plot_fc(fc: Num[ArrayLike, "region region"], ax: Axes = None, title: str = "") -> Axes:
    """Draw correlations as a matrix: blue at -1, white at 0, red at 1, NaN grey.

    Args:
        fc: functional connectivity, from `functional_connectivity` or recorded. [1]
        ax: where to draw; None makes a new figure.
        title: what to write above it.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `fc` is not square.
        ImportError: if matplotlib is missing.

    Example:
        >>> ax = cf.plot_fc(jnp.array([[1.0, -0.4], [-0.4, 1.0]]), title="simulated")
        >>> ax.figure.savefig("fc.png")
    """
    fc = np.asarray(fc)
    require_square("fc", fc)
    ax = _axes(ax, 5.8, 5.0)
    _matrix(ax, np.ma.masked_invalid(fc), "correlation", cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set(xlabel="region", ylabel="region", title=title)
    return ax


def plot_signals(
    times: Num[ArrayLike, " time"], signals: Num[ArrayLike, "time region"], ax: Axes = None
) -> Axes:
    """Draw the signals of several regions above each other, region 0 on top.

    All are on one scale, given by the bar on the right; the level of each is not shown.

    Args:
        times: when each sample was taken; drawn in s. [ms]
        signals: one column a region; some tens of regions can be told apart. [any unit]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `signals` is not (time, region) with a time each.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(1, 501.0)
        >>> ax = cf.plot_signals(times, jnp.sin(times[:, None] / jnp.array([[5.0, 10.0]])))
        >>> ax.get_xlabel()
        'time [s]'
    """
    times, signals = np.asarray(times), np.asarray(signals)
    if signals.ndim != 2 or not signals.size:
        raise ValueError(f"`signals` must be (time, region); its shape is {signals.shape}.")
    require_shape("times", times, (len(signals),), meaning="One time a sample, in ms.")
    signals = np.where(np.isfinite(signals), signals, np.nan)  # a run that blew up leaves a gap
    low, high = (np.nan_to_num(f.reduce(signals)) for f in (np.fmin, np.fmax))
    step = 1.1 * (high - low).max() or 1.0
    seconds, rows = times / 1000, signals.shape[1]

    ax = _axes(ax, 8.0, min(2.0 + 0.35 * rows, 9.0))
    for row in range(rows):
        middle = (low[row] + high[row]) / 2
        line = row - (signals[:, row] - middle) / step  # the axis points down
        ax.plot(seconds, line, color=_COLOURS[row % 3], lw=0.9 if rows < 100 else 0.4)
    ax.set(xlabel="time [s]", ylabel="region", ylim=(rows - 0.4, -0.6))
    ax.margins(x=0)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    _draw_scale_bar(ax, step)
    return ax


def plot_sweep(
    ks: Num[ArrayLike, " k"],
    curves: Mapping[str, Num[ArrayLike, " k"]],
    ax: Axes = None,
    best: float | None = None,
    fits: Mapping[str, tuple[Num[ArrayLike, " row"], Num[ArrayLike, " row"]]] | None = None,
) -> Axes:
    """Draw what a sweep over k measured, one curve a measure, and where fits went.

    The axis of k is logarithmic where `ks` are positive and span more than a decade.

    Args:
        ks: the coupling strengths, in order. [1]
        curves: the name of each measure, with its value at every k. [any unit]
        ax: where to draw; None makes a new figure.
        best: the k to mark with a vertical line. [1]
        fits: the name of each fit, with its path: every k it tried and the value there, as
            `(result.path, result.losses)` of a `FitResult`. The last one is a star.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `ks` is empty or not one-dimensional, if a curve has not one value a k, or
            if a path is not two rows of one length.
        ImportError: if matplotlib is missing.

    Example:
        >>> ks = jnp.linspace(0.1, 2.0, 20)
        >>> path = jnp.array([0.2, 0.7, 0.99]), jnp.array([0.64, 0.09, 0.0])
        >>> ax = cf.plot_sweep(ks, {"loss": (ks - 1) ** 2}, best=1.0, fits={"fit": path})
        >>> ax.get_xscale()
        'log'
    """
    ks = np.asarray(ks)
    if ks.ndim != 1 or not ks.size:
        raise ValueError(f"`ks` must be one or more values in a row; its shape is {ks.shape}.")
    curves = {name: np.asarray(curve) for name, curve in curves.items()}
    paths = {name: tuple(map(np.asarray, path)) for name, path in (fits or {}).items()}
    for name, curve in curves.items():
        require_shape(f"curves[{name!r}]", curve, ks.shape, meaning="One value a k.")
    for name, path in paths.items():
        shapes = [row.shape for row in path]
        if len(path) != 2 or path[0].ndim != 1 or shapes[0] != shapes[1]:
            raise ValueError(
                f"`fits[{name!r}]` must be two rows of one length, k and value; not {shapes}."
            )

    ax = _axes(ax, 6.4, 4.2)
    if best is not None:
        ax.axvline(float(best), color=_ACCENT, lw=1.5, ls="--", label=f"best k = {best:.3g}")
    for i, (name, curve) in enumerate(curves.items()):
        colour, dots = _COLOURS[i % len(_COLOURS)], "osD^v"[i % 5]
        ax.plot(ks, curve, color=colour, marker=dots, ms=3.5, lw=1.6, label=name)
    for i, (name, path) in enumerate(paths.items()):
        colour = (_ACCENT, *_COLOURS[::-1])[i % (1 + len(_COLOURS))]
        ax.plot(*path, color=colour, marker="o", ms=5, mfc="none", lw=0.7, ls=":", label=name)
        ax.plot(path[0][-1:], path[1][-1:], color=colour, marker="*", ms=14, mec="white", zorder=4)
    if ks.min() > 0 and ks.max() > 10 * ks.min():
        ax.set_xscale("log")
    ax.set_xlabel("coupling strength k")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(framealpha=0.9, edgecolor="none")
    return ax


def _axes(ax: Axes, width: float, height: float) -> Axes:
    """Take the axes given, or make a figure of so many inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib: pip install 'coupling_fn[plot]'", name="matplotlib"
        ) from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def _matrix(ax: Axes, matrix: np.ma.MaskedArray, meaning: str, **colours: Any) -> None:
    """Draw one square an entry, row 0 on top, with a colour bar."""
    # Of squares smaller than a pixel the colours are averaged, never the weights.
    image = ax.imshow(matrix, interpolation_stage="rgba", aspect="equal", **colours)
    image.cmap = image.cmap.with_extremes(bad=_NOTHING)
    ax.figure.colorbar(image, ax=ax, label=meaning, shrink=0.85)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)


def _write_labels(ax: Axes, labels: list[str]) -> None:
    """Write as many labels as fit without touching, evenly thinned."""
    points = 7
    box = ax.get_window_extent()
    fit = min(box.width, box.height) / ax.figure.dpi * 72 / (1.4 * points)
    every = int(np.ceil(len(labels) / max(fit, 1)))
    places, labels = np.arange(len(labels))[::every], labels[::every]
    ax.set_xticks(places, labels=labels, fontsize=points, rotation=90)
    ax.set_yticks(places, labels=labels, fontsize=points)


def _draw_scale_bar(ax: Axes, step: float) -> None:
    """Draw on the right a bar of 1, 2 or 5 times a power of ten of the signal's unit."""
    top = max(step, step * ax.get_ylim()[0] / 12)  # about a twelfth of the axis, or one region
    size = 10.0 ** np.floor(np.log10(top))
    size *= max(m for m in (1, 2, 5) if m == 1 or m * size <= top)
    place = ax.get_yaxis_transform()
    ax.plot([1.015, 1.015], [0, size / step], transform=place, color="k", lw=2, clip_on=False)
    ax.text(1.025, size / step / 2, f"{size:g}", transform=place, va="center")
