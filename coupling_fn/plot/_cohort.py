"""Plots of what a fit of a cohort found."""

import numpy as np

from .._core import require_names
from ..cohort import CohortFit
from ._canvas import ACCENT, COLOURS, Axes, legend_above, on_axes
from ._labels import write_labels


def cohort(
    result: CohortFit, ax: Axes = None, name: str | None = None, ordered: bool = True
) -> Axes:
    """Draw one fitted number of each subject with its 95 % interval, and the mean of the subjects.

    An interval that is infinite, since the data do not determine the value, runs across the axes, thin
    and grey. Only as many ids are written as can be read.

    Args:
        result: from `cohort.fit`, or from `cohort.fit_loss`, which gives no intervals.
        ax: where to draw; None makes a new figure.
        name: which number, of `result.names`; it may be left out where there is one.
        ordered: the smallest value on top, rather than the order of `result.ids`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if there is no such number, or several and none is named.
        ImportError: if matplotlib is missing.

    Example:
        >>> subjects = cf.cohort.stack({"a": jnp.asarray([5.0, 6.0]), "b": jnp.asarray([1.0, 3.0])})
        >>> def residuals(mean, data):
        ...     return mean - data
        >>> found = cf.cohort.fit(residuals, jnp.asarray(0.0), subjects, where=lambda m: m, noise=1.0)
        >>> ax = cf.plot.cohort(found)
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['b', 'a']
    """
    if name is None:
        if len(result.names) > 1:
            raise ValueError(f"`name` must be one of {', '.join(result.names)}; got None.")
        name = "".join(result.names)
    require_names("fitted number", [name], result.names)
    table, count = result.to_dict(), len(result.ids)
    value = np.asarray(table[name], float)
    order = np.argsort(value, kind="stable") if ordered else np.arange(count)
    value = value[order]
    rows, mean = np.arange(count), value.mean()

    ax = on_axes(ax, 5.6, min(1.6 + 0.16 * count, 8.0))
    size = float(np.clip(220 / count, 2.0, 6.0))
    parts = []
    if result.error is not None:  # a loss tells no errors
        low, high = (np.asarray(table[name + end], float)[order] for end in ("_lower", "_upper"))
        known = np.isfinite(low) & np.isfinite(high)
        how = {"color": COLOURS[0], "lw": size / 3.5, "label": "95 % interval"}
        parts += [ax.hlines(rows[known], low[known], high[known], **how)]
        if not known.all():
            across = {"transform": ax.get_yaxis_transform(), "color": "0.7", "lw": 0.8}
            parts += [ax.hlines(rows[~known], 0, 1, label="not determined", **across)]
    dots = {"color": COLOURS[0], "marker": "o", "ms": size, "ls": "", "label": "subject"}
    parts += ax.plot(value, rows, **dots)
    parts += [ax.axvline(mean, color=ACCENT, ls="--", lw=1.5, label=f"mean {mean:.3g}")]
    ax.set(xlabel=name, ylim=(count - 0.4, -0.6))
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    write_labels(ax, [result.ids[i] for i in order], "y")
    legend_above(ax, parts)
    return ax
