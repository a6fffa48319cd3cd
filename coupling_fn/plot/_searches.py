"""Pictures of the search for parameters: sweeps and fits."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_shape
from .._fit import FitResult
from ._canvas import ACCENT, COLOURS, Axes, legend_above, on_axes, tidy


def sweep(
    ks: Num[ArrayLike, " k"],
    curves: Mapping[str, Num[ArrayLike, " k"]],
    ax: Axes = None,
    best: float | None = None,
    fits: Mapping[str, tuple[Num[ArrayLike, " row"], Num[ArrayLike, " row"]]] | None = None,
    working_range: tuple[float, float] | None = None,
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
        working_range: the lowest and the highest k between uncoupled and over-synchronised, to be
            shaded. [1]

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `ks` is empty or not one-dimensional, if a curve has not one value a k, or
            if a path is not two rows of one length, or the working range is not in order.
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
    if working_range is not None and not working_range[0] <= working_range[1]:
        raise ValueError(f"`working_range` must be a lower and a higher k, not {working_range}.")

    ax = on_axes(ax, 6.4, 4.2)
    if working_range is not None:
        # A range of one k is a line, so that it is seen.
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
    ax.set_xlabel("coupling strength k")
    tidy(ax)
    return ax


def fit(result: FitResult, ax: Axes = None, names: Sequence[str] | None = None) -> Axes:
    """Draw a fit's history: the loss at each step, and the fitted numbers on an axis on the right.

    The best step is a star. The loss is logarithmic where it is positive and spans more than a
    decade; so are the numbers. Fitted arrays are not drawn.

    Args:
        result: from `fit`.
        ax: where to draw; None makes a new figure.
        names: what to call the fitted leaves, in the order of `where`.

    Returns:
        The axes of the loss; those of the numbers share its figure.

    Raises:
        ValueError: if there are more or fewer names than leaves.
        ImportError: if matplotlib is missing.

    Example:
        >>> start = {"k": jnp.asarray(1.0)}
        >>> loss = lambda p: (p["k"] - 0.3) ** 2
        >>> result = cf.fit(loss, start, where=lambda p: p["k"], steps=20, progress=False)
        >>> cf.plot.fit(result, names=["k"]).get_xlabel()
        'step'
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result.path)]
    if names is None:
        names = [f"fitted {i}" for i in range(len(leaves))] if len(leaves) > 1 else ["fitted"]
    if isinstance(names, str) or len(names) != len(leaves):
        raise ValueError(f"`names` must have one name for each of {len(leaves)} leaves: {names!r}.")
    numbers = {name: leaf for name, leaf in zip(names, leaves, strict=True) if leaf.ndim == 1}

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
        for i, (name, path) in enumerate(numbers.items()):
            colour = (ACCENT, *COLOURS[1:])[i % len(COLOURS)]
            label = f"{name} {path[best]:.3g} (right)"
            lines += right.plot(steps, path, color=colour, lw=1.4, ls="--", label=label)
        _set_scale(right, list(numbers.values()))
        right.set_ylabel(", ".join(numbers))
        right.spines[["top", "left"]].set_visible(False)
    legend_above(ax, lines)
    return ax


def _set_scale(ax: Axes, rows: list[np.ndarray]) -> None:
    """Make the axis logarithmic where all is positive and spans more than a decade."""
    if min(x.min() for x in rows) > 0 and any(x.max() > 10 * x.min() for x in rows):
        ax.set_yscale("log")
