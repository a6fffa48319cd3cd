"""Plots of matrices: connectomes, functional connectivity and its dynamics."""

from typing import Any

import numpy as np
from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_finite, require_nonnegative, require_positive, require_square
from ._canvas import NOTHING, Axes, on_axes


def connectome(connectome: Any, ax: Axes = None) -> Axes:
    """Draw the weights of a connectome as a matrix, on a logarithmic colour scale.

    Row i is what region i receives, and column j is what region j sends. Absent edges are grey.
    Only as many labels are written as can be read; without labels, regions are numbered.

    Args:
        connectome: a `Connectome`, or its weights alone, which must be 0 or more. [any unit]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if the weights are not square, or one is negative, infinite or NaN.
        ImportError: if matplotlib is missing.

    Example:
        >>> ax = cf.plot.connectome(jnp.array([[0.0, 1.0], [0.01, 0.0]]))
        >>> ax.figure.savefig("connectome.png")
    """
    weights = getattr(connectome, "weights", connectome)
    weights = np.asarray(weights.todense() if isinstance(weights, BCOO) else weights)
    require_square("weights", weights)
    require_finite("weights", weights)
    require_nonnegative("weights", weights, hint="Draw a matrix with signs by `cf.plot.fc`.")
    labels = getattr(connectome, "labels", None)

    ax = on_axes(ax, 6.8, 6.0)
    from matplotlib.colors import LogNorm

    present = weights[weights > 0]
    low, high = (present.min(), present.max()) if present.size else (0.1, 1.0)
    # A single value makes no range, so the scale reaches half a decade to both sides of it.
    norm = LogNorm(low, high) if low < high else LogNorm(low / 3, high * 3)
    _matrix(ax, np.ma.masked_equal(weights, 0), "weight (grey: no edge)", cmap="viridis", norm=norm)
    ax.set(xlabel="source region (sends)", ylabel="target region (receives)")
    if labels is not None and len(labels):
        _write_labels(ax, list(labels))
    return ax


def fc(fc: Num[ArrayLike, "region region"], ax: Axes = None, title: str = "") -> Axes:
    """Draw correlations as a matrix: blue at -1, white at 0, red at 1, and NaN grey.

    Args:
        fc: functional connectivity, from `observe.functional_connectivity` or recorded. [1]
        ax: where to draw; None makes a new figure.
        title: text above the matrix.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `fc` is not square.
        ImportError: if matplotlib is missing.

    Example:
        >>> ax = cf.plot.fc(jnp.array([[1.0, -0.4], [-0.4, 1.0]]), title="simulated")
        >>> ax.figure.savefig("fc.png")
    """
    fc = np.asarray(fc)
    require_square("fc", fc)
    ax = on_axes(ax, 5.8, 5.0)
    _matrix(ax, np.ma.masked_invalid(fc), "correlation", cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set(xlabel="region", ylabel="region", title=title)
    return ax


def fcd(
    fcd: Num[ArrayLike, "window window"],
    stride: float | None = None,
    ax: Axes = None,
    title: str = "",
) -> Axes:
    """Draw correlations between windows as a matrix, on a scale from 0 (or the lowest) to 1.

    Squares along the diagonal are times in which the connectivity does not change.

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


def _matrix(ax: Axes, matrix: np.ma.MaskedArray, meaning: str, **colours: Any) -> None:
    """Draw one square per entry, with row 0 on top and a colour bar."""
    # Where squares are smaller than a pixel, their colours are averaged and not their values.
    image = ax.imshow(matrix, interpolation_stage="rgba", aspect="equal", **colours)
    image.cmap = image.cmap.with_extremes(bad=NOTHING)
    ax.figure.colorbar(image, ax=ax, label=meaning, shrink=0.85)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)


def _write_labels(ax: Axes, labels: list[str]) -> None:
    """Write as many labels as fit without touching each other, at equal distances."""
    points = 7
    box = ax.get_window_extent()
    fit = min(box.width, box.height) / ax.figure.dpi * 72 / (1.4 * points)
    every = int(np.ceil(len(labels) / max(fit, 1)))
    places, labels = np.arange(len(labels))[::every], labels[::every]
    ax.set_xticks(places, labels=labels, fontsize=points, rotation=90)
    ax.set_yticks(places, labels=labels, fontsize=points)
