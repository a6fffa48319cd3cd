"""What all pictures share: axes, colours, and the way to matplotlib."""

from typing import Any, TypeAlias

Axes: TypeAlias = Any  # matplotlib's own, which is not imported here

# Okabe and Ito's colours, told apart by everyone (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
ACCENT = "#D55E00"
NOTHING = "#E4E4E4"


def on_axes(ax: Axes, width: float, height: float) -> Axes:
    """Take the axes given, or make a figure of so many inches."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib: pip install 'coupling_fn[plot]'", name="matplotlib"
        ) from error
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def tidy(ax: Axes) -> None:
    """Leave only what is read from: a light grid, no frame, and a legend where there is one."""
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best", framealpha=0.9, edgecolor="none")  # said, or it warns where slow


def legend_above(ax: Axes, handles: list[Any]) -> None:
    """Write the legend above the axes, where it covers nothing."""
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": min(len(handles), 2)}
    ax.legend(handles=handles, edgecolor="none", borderaxespad=0.2, **place)
