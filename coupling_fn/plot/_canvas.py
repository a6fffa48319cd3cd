"""What all plots share: axes, colours, and the import of matplotlib."""

from typing import Any, TypeAlias

Axes: TypeAlias = Any  # `matplotlib.axes.Axes`: matplotlib is imported only where a plot is drawn

# The colours of Okabe and Ito, which colour-blind people can tell apart, too
# (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
ACCENT = "#D55E00"
NOTHING = "#E4E4E4"


def on_axes(ax: Axes, width: float, height: float) -> Axes:
    """Return `ax`, or the axes of a new figure of this size in inches where it is None."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib: pip install 'coupling_fn[plot]'", name="matplotlib"
        ) from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def number_log(axis: Any) -> None:
    """Write numbers at 1, 2 and 5 of each decade on a logarithmic axis of less than three decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high < 1000 * low:  # matplotlib would write powers of ten there, which run into each other
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def tidy(ax: Axes) -> None:
    """Draw a light grid, remove the frame, and add a legend where something has a label."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[1]:
        # matplotlib warns that "best" may be slow only where it was not asked for by name.
        ax.legend(loc="best", framealpha=0.9, edgecolor="none")


def legend_above(ax: Axes, handles: list[Any]) -> None:
    """Draw the legend above the axes, where it covers nothing."""
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": min(len(handles), 2)}
    ax.legend(handles=handles, edgecolor="none", borderaxespad=0.2, **place)
