"""Plots of what a stimulus evokes, ordered by when it arrives."""

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_shape
from ._canvas import NOTHING, Axes, on_axes
from ._labels import Labels, as_labels, write_labels


def evoked(
    times: Num[ArrayLike, " time"],
    signals: Num[ArrayLike, "time region"],
    arrivals: Num[ArrayLike, " region"],
    onset: float,
    ax: Axes = None,
    labels: Labels = None,
) -> Axes:
    """Draw evoked responses as rows of colours, with the region where they arrive first on top.

    A colour is the deviation from the mean of the samples up to the onset, as a share of the region's
    largest deviation after it: how strong responses are is not shown, so that late and weak ones can be
    seen. A line joins the arrivals. Regions that no response reaches are at the bottom, and rows
    without a deviation are white. Only as many labels are written as can be read; without labels,
    regions are numbered.

    Args:
        times: time of each sample. [ms]
        signals: one column per region, averaged over trials. [any unit]
        arrivals: from `observe.arrival_times`: when the response reaches each region, from the onset
            on; NaN where it does not. [ms]
        onset: when the stimulus begins, on the axis of `times`; it is 0 in the picture. [ms]
        ax: where to draw; None makes a new figure.
        labels: one name per region, such as `connectome.labels`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `signals` is not (time, region), with one time per sample in rising order and one
            arrival per region, there is not one label per region, or no time lies at or before the
            onset, or none after it.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(1.0, 101.0)
        >>> ramps = jnp.clip((times[:, None] - jnp.array([[60.0, 40.0]])) / 10.0, 0.0, 1.0)
        >>> arrivals = cf.observe.arrival_times(ramps, dt=1.0, onset=30.0)
        >>> ax = cf.plot.evoked(times, ramps, arrivals, onset=30.0, labels=["M1", "V1"])
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['V1', 'M1']
    """
    times, signals, arrivals = np.asarray(times), np.asarray(signals), np.asarray(arrivals)
    if signals.ndim != 2 or not signals.size:
        raise ValueError(f"`signals` must be (time, region); got shape {signals.shape}.")
    samples, regions = signals.shape
    require_shape("times", times, (samples,), meaning="It must be one time per sample, in ms.")
    require_shape("arrivals", arrivals, (regions,), meaning="It must be one per region, in ms.")
    if not (np.diff(times) > 0).all():
        raise ValueError("`times` must rise from one sample to the next.")
    before = times <= onset
    if before.all() or not before.any():
        raise ValueError(
            f"`onset` must leave a time before and one after it, of {times[0]:g} to {times[-1]:g} ms; "
            f"got {onset:g}."
        )
    labels = as_labels(labels, regions)
    signals = np.where(np.isfinite(signals), signals, np.nan)
    apart = signals - signals[before].mean(axis=0)
    largest = np.nan_to_num(np.fmax.reduce(np.abs(apart[~before])))
    shares = apart / np.where(largest > 0, largest, 1)
    order = np.argsort(np.where(np.isfinite(arrivals), arrivals, np.inf), kind="stable")

    ax = on_axes(ax, 7.2, min(2.2 + 0.12 * regions, 7.5))
    since, rows = times - onset, np.arange(regions)
    shown = np.ma.masked_invalid(shares[:, order].T)
    how = {"shading": "nearest", "cmap": "RdBu_r", "vmin": -1, "vmax": 1, "rasterized": True}
    carpet = ax.pcolormesh(since, rows, shown, **how)
    carpet.cmap = carpet.cmap.with_extremes(bad=NOTHING)
    bar = {"label": "share of the largest deviation", "shrink": 0.85, "extend": "both"}
    ax.figure.colorbar(carpet, ax=ax, **bar)
    ax.plot(arrivals[order], rows, color="k", lw=1.2, marker=".", ms=min(6, 300 / regions))
    ax.axvline(0, color="k", lw=1, ls="--")
    ax.set(xlabel="time since the onset [ms]", ylabel="region, by arrival")
    ax.set(ylim=(regions - 0.5, -0.5), xlim=(since[0], since[-1]))
    write_labels(ax, [labels[i] if labels else str(i) for i in order], "y")
    return ax
