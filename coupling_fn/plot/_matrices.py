"""Plots of matrices: connectomes, functional connectivity and its dynamics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_finite, require_nonnegative, require_positive, require_square
from .._lazy import BCOO
from ._canvas import COLOURS, NOTHING, Axes, on_axes, tidy
from ._groups import Arrangement, Groups, arrange, mark_groups
from ._labels import Labels, as_labels, write_labels


def connectome(
    connectome: Any, ax: Axes = None, labels: Labels = None, groups: Groups = None
) -> Axes:
    """Draw the weights of a connectome as a matrix, on a logarithmic colour scale.

    Row i is what region i receives, and column j is what region j sends. Absent edges are grey.
    Only as many labels are written as can be read; without labels, regions are numbered.

    Args:
        connectome: a `Connectome`, or its weights alone, which must be 0 or more. [any unit]
        ax: where to draw; None makes a new figure.
        labels: one name per region; None takes those of the `Connectome`, and () writes none.
        groups: as in `plot.fc`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if the weights are not square, or one is negative, infinite or NaN, or labels or
            groups are not one per region.
        TypeError: if `labels` or `groups` are of another kind.
        ImportError: if matplotlib is missing.

    Example:
        >>> ax = cf.plot.connectome(jnp.array([[0.0, 1.0], [0.01, 0.0]]), labels=["V1", "M1"])
        >>> ax.figure.savefig("connectome.png")
    """
    weights = getattr(connectome, "weights", connectome)
    weights = np.asarray(weights.todense() if isinstance(weights, BCOO) else weights)
    require_square("weights", weights)
    require_finite("weights", weights)
    require_nonnegative("weights", weights, hint="Draw a matrix with signs by `cf.plot.fc`.")
    labels = as_labels(labels, len(weights), getattr(connectome, "labels", None))
    arrangement = arrange(groups, len(weights))

    ax = on_axes(ax, *((7.6, 6.6) if groups else (6.8, 6.0)))
    from matplotlib.colors import LogNorm

    present = weights[weights > 0]
    low, high = (present.min(), present.max()) if present.size else (0.1, 1.0)
    # A single value makes no range, so the scale reaches half a decade to both sides of it.
    norm = LogNorm(low, high) if low < high else LogNorm(low / 3, high * 3)
    shown, meaning = np.ma.masked_equal(weights, 0), "weight (grey: no edge)"
    _regions(ax, shown, meaning, labels, arrangement, "white", cmap="viridis", norm=norm)
    ax.set(xlabel="source region (sends)", ylabel="target region (receives)")
    return ax


def fc(
    fc: Num[ArrayLike, "region region"],
    ax: Axes = None,
    title: str = "",
    labels: Labels = None,
    groups: Groups = None,
) -> Axes:
    """Draw correlations as a matrix: blue at -1, white at 0, red at 1, and NaN grey.

    Only as many labels are written as can be read; without labels, regions are numbered. With
    `groups`, regions are drawn in the order of their groups, which are named on top and on the right.

    Args:
        fc: functional connectivity, from `observe.functional_connectivity` or recorded. [1]
        ax: where to draw; None makes a new figure.
        title: text above the matrix.
        labels: one name per region, such as `connectome.labels`.
        groups: one or two groupings by name, the outer one first, as `{"hemisphere": sides, "network":
            networks}`, each with the group of every region; groups come in the order in which they
            first appear.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `fc` is not square, or labels or groups are not one per region.
        TypeError: if `labels` or `groups` are of another kind.
        ImportError: if matplotlib is missing.

    Example:
        >>> fc = jnp.array([[1.0, -0.4, 0.3], [-0.4, 1.0, 0.1], [0.3, 0.1, 1.0]])
        >>> ax = cf.plot.fc(fc, labels=["V1", "M1", "V2"], groups={"network": ["vis", "mot", "vis"]})
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['V1', 'V2', 'M1']
        >>> ax.figure.savefig("fc.png")
    """
    fc = np.asarray(fc)
    require_square("fc", fc)
    labels = as_labels(labels, len(fc))
    arrangement = arrange(groups, len(fc))
    ax = on_axes(ax, *((7.6, 6.6) if groups else (5.8, 5.0)))
    shown = np.ma.masked_invalid(fc)
    how = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    _regions(ax, shown, "correlation", labels, arrangement, "k", **how)
    ax.set(xlabel="region", ylabel="region", title=title)
    return ax


def fcd(
    fcd: Num[ArrayLike, "window window"],
    stride: float | None = None,
    ax: Axes = None,
    title: str = "",
) -> Axes:
    """Draw correlations between windows as a matrix, on a scale from 0 (or the lowest) to 1.

    Squares along the diagonal are times in which the connectivity does not change. How often each
    value occurs is drawn by `plot.fcd_histogram`.

    Args:
        fcd: from `observe.functional_connectivity_dynamics`. [1]
        stride: time from the start of one window to that of the next; the axes then show when each
            window begins, in s. Without it, windows are numbered. [ms]
        ax: where to draw; None makes a new figure.
        title: text above the matrix.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `fcd` is not square, or `stride` is not positive.
        ImportError: if matplotlib is missing.

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (200, 5))
        >>> fcd = cf.observe.functional_connectivity_dynamics(signals, 2000.0, 60e3, 10e3)
        >>> cf.plot.fcd(fcd, stride=10e3).get_xlabel()
        'window begins at [s]'
    """
    fcd = np.asarray(fcd)
    require_square("fcd", fcd)
    extent = None
    if stride is not None:
        require_positive("stride", stride, "ms")
        # Each entry is centred at the time at which its window begins.
        low, high = -stride / 2000, (len(fcd) - 0.5) * stride / 1000
        extent = low, high, high, low
    ax = on_axes(ax, 5.8, 5.0)
    lowest = np.min(fcd, where=np.isfinite(fcd), initial=0)
    shown = np.ma.masked_invalid(fcd)
    meaning = "correlation of connectivity"
    _matrix(ax, shown, meaning, cmap="viridis", vmin=lowest, vmax=1, extent=extent)
    name = "window" if stride is None else "window begins at [s]"
    ax.set(xlabel=name, ylabel=name, title=title)
    return ax


def fcd_histogram(fcds: Mapping[str, Any], ax: Axes = None, bins: int = 50) -> Axes:
    """Draw how the values of FCDs are distributed, each as the outline of a histogram.

    Args:
        fcds: by name, FCDs (window, window), of which the entries above the diagonal are taken; or
            values (value,); or an `observe.Histogram`, drawn in its own bins. [1]
        ax: where to draw; None makes a new figure.
        bins: number of bins, from the lowest value of all FCDs to 1. [1]

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if there is no FCD, one is neither square nor a row of values, or `bins` is below 1.
        TypeError: if `fcds` is not a mapping.
        ImportError: if matplotlib is missing.

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (200, 5))
        >>> fcd = cf.observe.functional_connectivity_dynamics(signals, 2000.0, 60e3, 10e3)
        >>> published = cf.observe.Histogram(jnp.array([1.0, 3.0]), jnp.array([0.0, 0.5, 1.0]))
        >>> cf.plot.fcd_histogram({"simulated": fcd, "recorded": published}).get_ylabel()
        'density'
    """
    if not isinstance(fcds, Mapping) or not fcds:
        raise TypeError(f'`fcds` must map names to FCDs, as in {{"simulated": fcd}}; got {fcds!r}.')
    if bins < 1:
        raise ValueError(f"`bins` must be 1 or more; got {bins}.")
    values = {name: _values_of(name, fcd) for name, fcd in fcds.items() if not _is_counted(fcd)}
    finite = [x[np.isfinite(x)] for x in values.values()]
    lowest = min((x.min() for x in finite if x.size), default=0.0)
    edges = np.linspace(lowest, max(1.0, lowest + 1e-6), bins + 1)

    ax = on_axes(ax, 5.8, 3.6)
    for i, (name, fcd) in enumerate(fcds.items()):
        if _is_counted(fcd):
            counts, between = np.asarray(fcd.counts, float), np.asarray(fcd.edges, float)
        else:
            seen = values[name][np.isfinite(values[name])]
            lost = values[name].size - seen.size
            name += f" ({lost} not finite)" if lost else ""
            counts, between = np.histogram(np.minimum(seen, edges[-1]), edges)
        density = counts / (max(counts.sum(), 1e-300) * np.diff(between))
        colour = COLOURS[i % len(COLOURS)]
        ax.stairs(density, between, color=colour, lw=1.6, label=name, zorder=3)
        ax.stairs(density, between, color=colour, fill=True, alpha=0.15)
    ax.set(xlabel="correlation of connectivity", ylabel="density")
    ax.set_ylim(bottom=0)
    tidy(ax)
    return ax


def _is_counted(x: Any) -> bool:
    """Return whether this is a histogram."""
    return hasattr(x, "counts") and hasattr(x, "edges")


def _values_of(name: str, fcd: Any) -> np.ndarray:
    """Return the entries above the diagonal of an FCD; values are returned as they are."""
    x = np.asarray(fcd, float)
    if x.ndim == 1 and x.size:
        return x
    if x.ndim != 2 or x.shape[0] != x.shape[1] or len(x) < 2:
        raise ValueError(
            f"`fcds[{name!r}]` must be an FCD (window, window) of two windows or more, values (value,), "
            f"or a `Histogram`; got shape {x.shape}."
        )
    return x[np.triu_indices(len(x), 1)]


def _regions(
    ax: Axes,
    matrix: np.ma.MaskedArray,
    meaning: str,
    labels: tuple[str, ...],
    arrangement: Arrangement,
    line: str,
    **colours: Any,
) -> None:
    """Draw a matrix of regions, with their labels and in the order of their groups."""
    order, names, _ = arrangement
    _matrix(ax, matrix[np.ix_(order, order)], meaning, **colours)
    if names and not labels:
        labels = tuple(str(i) for i in range(len(matrix)))  # a place is no longer a number
    if labels:
        write_labels(ax, [labels[i] for i in order])
    if names:
        mark_groups(ax, arrangement, line)


def _matrix(ax: Axes, matrix: np.ma.MaskedArray, meaning: str, **colours: Any) -> None:
    """Draw one square per entry, with row 0 on top and a colour bar."""
    # Where squares are smaller than a pixel, their colours are averaged and not their values.
    image = ax.imshow(matrix, interpolation_stage="rgba", aspect="equal", **colours)
    image.cmap = image.cmap.with_extremes(bad=NOTHING)
    ax.figure.colorbar(image, ax=ax, label=meaning, shrink=0.85)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)
