"""Plots of the search for parameters: sweeps and fits."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_shape
from .._fit import FitResult
from ._canvas import ACCENT, COLOURS, Axes, legend_above, number_log, on_axes, tidy
from ._labels import Labels

LINES = 6  # the most numbers of a fitted array that are drawn as a line each


def sweep(
    ks: Num[ArrayLike, " k"],
    curves: Mapping[str, Num[ArrayLike, " k"]],
    ax: Axes = None,
    best: float | None = None,
    fits: Mapping[str, tuple[Num[ArrayLike, " row"], Num[ArrayLike, " row"]]] | None = None,
    working_range: tuple[float, float] | None = None,
) -> Axes:
    """Draw what a sweep over k measured, as one curve per measure, and the paths of fits.

    The axis of k is logarithmic where all of `ks` are positive and span more than a decade.

    Args:
        ks: the coupling strengths, in order. [1]
        curves: for the name of each measure, its values, one per k. [any unit]
        ax: where to draw; None makes a new figure.
        best: the k to mark with a vertical line. [1]
        fits: for the name of each fit, its path: each k that it tried and the value there, as
            `(result.path, result.losses)` of a `FitResult`. A star marks the last k.
        working_range: the lowest and the highest k between uncoupled and over-synchronised, to be
            shaded. [1]

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `ks` is empty or not one-dimensional, if a curve does not have one value per
            k, if a path is not two rows of one length, or if the working range is not in order.
        ImportError: if matplotlib is missing.

    Example:
        >>> ks = jnp.linspace(0.1, 2.0, 20)
        >>> path = jnp.array([0.2, 0.7, 0.99]), jnp.array([0.64, 0.09, 0.0])
        >>> curves = {"loss": (ks - 1) ** 2}
        >>> ax = cf.plot.sweep(ks, curves, best=1.0, fits={"fit": path}, working_range=(0.4, 1.5))
        >>> ax.get_xscale()
        'log'
    """
    ks = np.asarray(ks)
    if ks.ndim != 1 or not ks.size:
        raise ValueError(f"`ks` must be one row of one or more values; got shape {ks.shape}.")
    curves = {name: np.asarray(curve) for name, curve in curves.items()}
    for name, curve in curves.items():
        require_shape(f"curves[{name!r}]", curve, ks.shape, meaning="It must be one value per k.")
    paths = {name: _as_path(name, path) for name, path in (fits or {}).items()}
    if working_range is not None and not working_range[0] <= working_range[1]:
        raise ValueError(
            f"`working_range` must be a lower and a higher k; got {tuple(working_range)}."
        )

    ax = on_axes(ax, 6.4, 4.2)
    if working_range is not None:
        # A range of a single k is drawn as a line, so that it can be seen.
        colours = {"facecolor": COLOURS[2], "edgecolor": COLOURS[2], "alpha": 0.15}
        low, high = map(float, working_range)
        ax.axvspan(low, high, **colours, lw=1.5 * (low == high), label="working range")
    if best is not None:
        ax.axvline(float(best), color=ACCENT, lw=1.5, ls="--", label=f"best k = {best:.3g}")
    for i, (name, curve) in enumerate(curves.items()):
        colour, dots = COLOURS[i % len(COLOURS)], "osD^v"[i % 5]
        ax.plot(ks, curve, color=colour, marker=dots, ms=3.5, lw=1.6, label=name)
    for i, (name, path) in enumerate(paths.items()):
        colour = (ACCENT, *COLOURS[::-1])[i % (1 + len(COLOURS))]
        ax.plot(*path, color=colour, marker="o", ms=5, mfc="none", lw=0.7, ls=":", label=name)
        ax.plot(path[0][-1:], path[1][-1:], color=colour, marker="*", ms=14, mec="white", zorder=4)
    if ks.min() > 0 and ks.max() > 10 * ks.min():
        ax.set_xscale("log")
        number_log(ax.xaxis)
    ax.set_xlabel("coupling strength k")
    tidy(ax)
    return ax


def fit(
    result: FitResult,
    ax: Axes = None,
    names: Sequence[str] | None = None,
    labels: Labels = None,
) -> Axes:
    """Draw the course of a fit: the loss at each step, and the fitted numbers on a second axis.

    A star marks the best step. The axis of the loss is logarithmic where the loss is positive and
    spans more than a decade; likewise that of the numbers, on the right. A fitted array of up to six
    numbers is drawn as one line per number. Of a larger one, the median is drawn, with the middle
    half and the whole range of its numbers behind it.

    Args:
        result: from `fit`.
        ax: where to draw; None makes a new figure.
        names: the names of the fitted leaves, in the order of `where`.
        labels: one name per region, for the lines of fitted arrays with one number per region; others
            are numbered.

    Returns:
        The axes of the loss; those of the numbers are in the same figure.

    Raises:
        ValueError: if there are more or fewer names than leaves, or no fitted array has one number per
            label.
        TypeError: if `labels` is not a sequence of strings.
        ImportError: if matplotlib is missing.

    Example:
        >>> start = {"k": jnp.asarray(1.0), "a": jnp.zeros(2)}
        >>> def loss(p):
        ...     return (p["k"] - 0.3) ** 2 + jnp.sum((p["a"] - 0.1) ** 2)
        >>> result = cf.fit(loss, start, where=lambda p: (p["k"], p["a"]), steps=20, progress=False)
        >>> cf.plot.fit(result, names=["k", "a"], labels=["V1", "M1"]).get_xlabel()
        'step'
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result.path)]
    if names is None:
        names = [f"fitted {i}" for i in range(len(leaves))] if len(leaves) > 1 else ["fitted"]
    if isinstance(names, str) or len(names) != len(leaves):
        raise ValueError(
            f"`names` must have one name per fitted leaf, {len(leaves)} in all; got {names!r}."
        )
    labels = _labels_of(leaves, labels)
    numbers = {name: x for name, x in zip(names, leaves, strict=True) if x.size}

    ax = on_axes(ax, 6.4, 4.2)
    losses, steps = np.asarray(result.losses), np.arange(len(result.losses))
    lines = ax.plot(steps, losses, color=COLOURS[0], marker="o", ms=2.5, lw=1.6, label="loss")
    best = result.best_step
    lines += ax.plot(
        best,
        losses[best],
        color=COLOURS[0],
        marker="*",
        ms=15,
        mec="white",
        ls="",
        label=f"best loss {losses[best]:.3g}, step {best}",
        zorder=4,
    )
    _set_scale(ax, [losses])
    ax.set(xlabel="step", ylabel="loss")
    ax.xaxis.get_major_locator().set_params(integer=True)
    tidy(ax)
    if numbers:
        right = ax.twinx()
        for name, path in numbers.items():
            lines += _draw_numbers(right, name, path, best, labels)
        _set_scale(right, [x.reshape(len(x), -1) for x in numbers.values()])
        right.set_ylabel(", ".join(numbers))
        right.spines[["top", "left"]].set_visible(False)
    legend_above(ax, lines)
    return ax


def _labels_of(leaves: Sequence[np.ndarray], labels: Any) -> tuple[str, ...]:
    """Return the labels of the numbers of fitted arrays, or none."""
    if labels is None:
        return ()
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"`labels` must be a sequence of strings, one per region, not {labels!r}.")
    if not any(leaf.shape[1:] == (len(labels),) for leaf in leaves):
        shapes = ", ".join(str(leaf.shape[1:]) for leaf in leaves)
        raise ValueError(
            f"`labels` must be one per number of a fitted array; there are {len(labels)} for shapes "
            f"{shapes}."
        )
    return tuple(map(str, labels))


def _draw_numbers(
    ax: Axes, name: str, path: np.ndarray, best: int, labels: tuple[str, ...]
) -> list[Any]:
    """Draw the path of a fitted leaf, and return what belongs in a legend."""
    drawn = len(ax.lines)
    steps, each = np.arange(len(path)), path.reshape(len(path), -1)
    colours = (ACCENT, *COLOURS[1:])
    if each.shape[1] > LINES:
        colour = colours[drawn % len(colours)]
        levels = np.full((5, len(path)), np.nan)
        there = np.isfinite(each).any(axis=1)
        finite = np.where(np.isfinite(each), each, np.nan)[there]
        levels[:, there] = np.nanquantile(finite, [0, 0.25, 0.5, 0.75, 1], axis=1)
        for low, high, alpha in ((0, 4, 0.15), (1, 3, 0.3)):
            ax.fill_between(steps, levels[low], levels[high], color=colour, alpha=alpha, lw=0)
        label = f"{name}: median of {each.shape[1]} {levels[2][best]:.3g} (right)"
        return ax.plot(steps, levels[2], color=colour, lw=1.4, ls="--", label=label)
    lines = []
    for i, place in enumerate(np.ndindex(path.shape[1:])):
        within = f"[{', '.join(map(str, place))}]" if place else ""
        if labels and path.shape[1:] == (len(labels),):
            within = f" {labels[i]}"
        line, colour = each[:, i], colours[(drawn + i) % len(colours)]
        label = f"{name}{within} {line[best]:.3g} (right)"
        lines += ax.plot(steps, line, color=colour, lw=1.4, ls="--", label=label)
    return lines


def _as_path(name: str, path: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the path of a fit as two rows of one length, or refuse it."""
    rows = tuple(np.asarray(row) for row in path)
    shapes = [row.shape for row in rows]
    if len(rows) != 2 or rows[0].ndim != 1 or shapes[0] != shapes[1]:
        raise ValueError(
            f"`fits[{name!r}]` must be two rows of one length, k and value; got shapes {shapes}."
        )
    return rows


def _set_scale(ax: Axes, rows: list[np.ndarray]) -> None:
    """Make the axis logarithmic where all values are positive and a row spans more than a decade."""
    if min(x.min() for x in rows) > 0 and any(x.max() > 10 * x.min() for x in rows):
        ax.set_yscale("log")
