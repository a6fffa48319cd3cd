"""Plots of what regions do in time: signals, spectra, phase portraits and the order parameter."""

from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_shape
from ._canvas import ACCENT, COLOURS, Axes, legend_above, on_axes, tidy
from ._labels import Labels, as_labels, name_of, write_labels


def signals(
    times: Num[ArrayLike, " time"],
    signals: Num[ArrayLike, "time region"],
    ax: Axes = None,
    labels: Labels = None,
) -> Axes:
    """Draw the signals of several regions above each other, with region 0 on top.

    All are on one scale, given by the bar on the right; their levels are not shown. With more than a
    hundred regions, each is a row of colours rather than a line. Only as many labels are written as can
    be read; without labels, regions are numbered.

    Args:
        times: time of each sample; drawn in s. [ms]
        signals: one column per region. [any unit]
        ax: where to draw; None makes a new figure.
        labels: one name per region, such as `connectome.labels`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `signals` is not (time, region), with one time per sample, or there is not one
            label per region.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(1, 501.0)
        >>> ax = cf.plot.signals(times, jnp.sin(times[:, None] / jnp.array([[5.0, 10.0]])))
        >>> ax.get_xlabel()
        'time [s]'
    """
    times, signals = np.asarray(times), np.asarray(signals)
    if signals.ndim != 2 or not signals.size:
        raise ValueError(f"`signals` must be (time, region); got shape {signals.shape}.")
    require_shape("times", times, (len(signals),), meaning="It must be one time per sample, in ms.")
    labels = as_labels(labels, signals.shape[1])
    # Values that are not finite leave a gap.
    signals = np.where(np.isfinite(signals), signals, np.nan)
    low, high = (np.nan_to_num(f.reduce(signals)) for f in (np.fmin, np.fmax))
    seconds, rows = times / 1000, signals.shape[1]
    # Many lines may overlap: kept apart, they would be too flat to be read.
    step = float((1.1 if rows <= 20 else 0.5) * (high - low).max()) or 1.0

    ax = on_axes(ax, 8.0, min(2.0 + 0.35 * rows, 9.0))
    values = signals - (low + high) / 2
    if rows > 100:
        _draw_carpet(ax, seconds, values)
    for row in range(rows if rows <= 100 else 0):
        line = row - values[:, row] / step  # the axis points down
        ax.plot(seconds, line, color=COLOURS[row % 3], lw=0.9)
    ax.set(xlabel="time [s]", ylabel="region", ylim=(rows - 0.4, -0.6))
    ax.margins(x=0)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    if labels:
        write_labels(ax, labels, "y")
        ax.set_ylabel("")  # the labels say what they are
    if rows <= 100:
        _draw_scale_bar(ax, step)
    return ax


def spectrum(
    frequencies: Num[ArrayLike, " frequency"],
    power: Num[ArrayLike, "frequency region"],
    ax: Axes = None,
    labels: Labels = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
) -> Axes:
    """Draw the power of regions over frequency, on two logarithmic axes.

    Up to six regions are drawn as one line per region. Of more, the median is drawn, with the middle
    half and the whole range of the regions behind it. Frequency 0 and powers of 0 are left out,
    because logarithmic axes have no place for them.

    Args:
        frequencies: from `observe.power_spectrum`. [Hz]
        power: from `observe.power_spectrum`, one column per region. [unit²/Hz]
        ax: where to draw; None makes a new figure.
        labels: one name per region, such as `connectome.labels`; read where each region has a line,
            and checked anyway.
        bands: the lower and upper edge of each band to be marked, by name, such as `observe.BANDS`.
            Bands beyond the frequencies are not drawn. [Hz]

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `power` is not (frequency, region), with one frequency per row, or no
            frequency is above 0, there is not one label per region, or a band has no width above 0 Hz.
        TypeError: if `bands` does not map names to pairs of edges.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(4000.0)[:, None]
        >>> signals = jnp.sin(times / jnp.array([[9.0, 16.0]]))
        >>> frequencies, power = cf.observe.power_spectrum(signals, dt=1.0, window=1000.0)
        >>> ax = cf.plot.spectrum(frequencies, power, labels=["V1", "M1"], bands=cf.observe.BANDS)
        >>> ax.get_xscale(), [text.get_text() for text in ax.get_legend().get_texts()]
        ('log', ['V1', 'M1'])
    """
    frequencies, power = np.asarray(frequencies), np.asarray(power)
    if power.ndim != 2 or not power.size:
        raise ValueError(f"`power` must be (frequency, region); got shape {power.shape}.")
    require_shape(
        "frequencies",
        frequencies,
        (len(power),),
        meaning="It must be one per row of `power`, in Hz.",
    )
    shown = frequencies > 0
    if not shown.any():
        raise ValueError(
            "`frequencies` must have one above 0, because the axis is logarithmic; got none."
        )
    frequencies, power = frequencies[shown], np.where(power > 0, power, np.nan)[shown]
    regions = power.shape[1]
    labels, bands = as_labels(labels, regions), _checked_bands(bands)

    ax = on_axes(ax, 6.4, 4.2)
    if regions <= len(COLOURS):
        for region in range(regions):
            name = name_of(region, labels)
            ax.plot(frequencies, power[:, region], color=COLOURS[region], label=name)
    else:
        measured = np.isfinite(power).any(axis=1)
        levels = np.full((5, len(power)), np.nan)
        levels[:, measured] = np.nanquantile(power[measured], [0, 0.25, 0.5, 0.75, 1], axis=1)
        for low, high, alpha, name in ((0, 4, 0.18, "all"), (1, 3, 0.4, "the middle half of all")):
            label = f"{name} {regions} signals" if low == 0 else name
            between = levels[low], levels[high]
            ax.fill_between(frequencies, *between, color=COLOURS[0], alpha=alpha, lw=0, label=label)
        ax.plot(frequencies, levels[2], color=COLOURS[0], lw=1.8, label="median")
    ax.set(xscale="log", yscale="log", xlabel="frequency [Hz]", ylabel="power density [unit²/Hz]")
    ax.margins(x=0)
    _mark_bands(ax, bands, frequencies)
    tidy(ax)
    return ax


def phase_portrait(
    x: Num[ArrayLike, "time region"],
    y: Num[ArrayLike, "time region"],
    ax: Axes = None,
    names: tuple[str, str] = ("x", "y"),
    labels: Labels = None,
) -> Axes:
    """Draw one state variable of every region against another, as paths in their plane.

    A dot marks the end of a path. Up to six regions have one colour per region. The paths of more
    would hide each other: then shades of grey show how often the regions are at each place, and only
    region 0 is drawn as a path.

    Args:
        x: the variable on the horizontal axis, one column per region. [any unit]
        y: the variable on the vertical axis, one column per region. [any unit]
        ax: where to draw; None makes a new figure.
        names: the names of the two variables, with their units.
        labels: one name per region, such as `connectome.labels`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if the two are not (time, region) with the same shape, or there is not one label per
            region.
        ImportError: if matplotlib is missing.

    Example:
        >>> t = jnp.linspace(0, 6, 100)[:, None]
        >>> ax = cf.plot.phase_portrait(jnp.exp(-t) * jnp.cos(9 * t), jnp.exp(-t) * jnp.sin(9 * t))
        >>> ax.get_ylabel()
        'y'
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"`x` must be (time, region); got shape {x.shape}.")
    require_shape("y", y, x.shape, meaning="It must have the shape of `x`.")
    labels = as_labels(labels, x.shape[1])
    x, y = (np.where(np.isfinite(v), v, np.nan) for v in (x, y))

    ax = on_axes(ax, 5.8, 5.0)
    regions = x.shape[1]
    if regions > len(COLOURS):
        _draw_density(ax, x, y)
    for region in range(regions if regions <= len(COLOURS) else 1):
        path = x[:, region], y[:, region]
        name = name_of(region, labels)
        ax.plot(*path, color=COLOURS[region], lw=1.0, alpha=0.9, label=name)
        last = x[-1, region], y[-1, region]
        ax.plot(*last, color=COLOURS[region], marker="o", ms=7, mec="white", ls="", zorder=3)
    ax.set(xlabel=names[0], ylabel=names[1])
    tidy(ax)
    return ax


def order_parameter(
    times: Num[ArrayLike, " time"], order: Num[ArrayLike, " time"], ax: Axes = None
) -> Axes:
    """Draw the order parameter over time, with synchrony and metastability.

    A dashed line shows the synchrony, which is the mean of the order parameter, and a band around it
    the metastability, which is its standard deviation.

    Args:
        times: time of each value; drawn in s. [ms]
        order: from `observe.kuramoto_order_parameter`. [1]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `order` is not one row of one or more values, with one time per value.
        ImportError: if matplotlib is missing.

    Example:
        >>> phases = jax.random.normal(jax.random.key(0), (100, 4)).cumsum(axis=0)
        >>> order = cf.observe.kuramoto_order_parameter(phases)
        >>> cf.plot.order_parameter(jnp.arange(1, 101.0), order).get_xlabel()
        'time [s]'
    """
    times, order = np.asarray(times), np.asarray(order)
    if order.ndim != 1 or not order.size:
        raise ValueError(f"`order` must be one row of values; got shape {order.shape}.")
    require_shape("times", times, order.shape, meaning="It must be one time per value, in ms.")
    mean, deviation = order.mean(), order.std()

    ax = on_axes(ax, 7.2, 3.2)
    # A long record is drawn thinner, so that the band and the mean can still be seen.
    ax.plot(times / 1000, order, color=COLOURS[0], lw=0.6 if len(order) > 2000 else 1.0)
    low, high = mean - deviation, mean + deviation
    band = f"metastability {deviation:.2f}"
    ax.axhspan(low, high, color=COLOURS[1], alpha=0.35, lw=0, label=band, zorder=3)
    ax.axhline(mean, color=ACCENT, lw=1.8, ls="--", label=f"synchrony {mean:.2f}", zorder=4)
    ax.set(xlabel="time [s]", ylabel="order parameter", ylim=(0, 1))
    ax.margins(x=0)
    tidy(ax)
    legend_above(ax, ax.get_legend_handles_labels()[0])
    return ax


def _checked_bands(
    bands: Mapping[str, tuple[float, float]] | None,
) -> dict[str, tuple[float, float]]:
    """Return the edges of the bands as numbers, or refuse them."""
    example = 'bands={"alpha": (8.0, 13.0)}'
    if bands is not None and not isinstance(bands, Mapping):
        raise TypeError(f"`bands` must be a mapping, as in {example}; got {bands!r}.")
    for name, band in (bands or {}).items():
        if np.shape(band) != (2,):
            raise TypeError(f"`bands[{name!r}]` must be two edges, as in {example}; got {band!r}.")
        if not (0 <= band[0] < band[1] and band[1] > 0):
            raise ValueError(
                f"`bands[{name!r}]` must be a lower and a higher frequency in Hz; got {tuple(band)}."
            )
    return {name: (float(low), float(high)) for name, (low, high) in (bands or {}).items()}


def _mark_bands(
    ax: Axes, bands: Mapping[str, tuple[float, float]], frequencies: np.ndarray
) -> None:
    """Shade every other band, and name all within the frequencies above the axes."""
    lowest, highest = frequencies[0], frequencies[-1]
    inside = {name: band for name, band in bands.items() if band[0] < highest and band[1] > lowest}
    for i, (name, (low, high)) in enumerate(sorted(inside.items(), key=lambda item: item[1])):
        low, high = max(low, lowest), min(high, highest)
        ax.axvspan(low, high, color="k", alpha=0.09 * (i % 2 == 0), lw=0, zorder=0)
        place = {"ha": "center", "va": "bottom", "fontsize": 8}
        # Bands share a logarithmic axis, so their middle is the geometric mean.
        middle = np.sqrt(low * high)
        ax.text(middle, 1.01, name, transform=ax.get_xaxis_transform(), **place)


def _draw_density(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw how often the regions are at each place: the share of samples in each small square."""
    from matplotlib.colors import LogNorm

    seen = np.isfinite(x) & np.isfinite(y)
    counts, right, up = np.histogram2d(x[seen], y[seen], bins=80)
    shares = np.ma.masked_equal(counts.T / max(counts.sum(), 1), 0)
    low, high = (shares.min(), shares.max()) if shares.count() else (0.1, 1)
    norm = LogNorm(low, high) if low < high else LogNorm(low / 3, high * 3)
    ground = ax.pcolormesh(right, up, shares, cmap="Greys", norm=norm, rasterized=True)
    label = f"share of samples of {x.shape[1]} regions"
    ax.figure.colorbar(ground, ax=ax, label=label, shrink=0.85)


def _draw_carpet(ax: Axes, seconds: np.ndarray, values: np.ndarray) -> None:
    """Draw one row of colours per region, all on one scale."""
    # Scaled by the largest value of all, a few outliers would leave everything else white.
    size = np.nanquantile(np.abs(values), 0.995) if np.isfinite(values).any() else 0
    size = float(size) or 1.0
    rows = np.arange(values.shape[1])
    shown = np.ma.masked_invalid(values.T)
    scale = {"cmap": "RdBu_r", "vmin": -size, "vmax": size}
    carpet = ax.pcolormesh(seconds, rows, shown, shading="nearest", rasterized=True, **scale)
    ax.figure.colorbar(carpet, ax=ax, label="deviation from mid-range", shrink=0.85, extend="both")


def _draw_scale_bar(ax: Axes, step: float) -> None:
    """Draw a bar on the right whose size is 1, 2 or 5 times a power of ten of the signals' unit."""
    top = max(step, step * ax.get_ylim()[0] / 12)  # a twelfth of the axis, or one region if more
    size = 10.0 ** np.floor(np.log10(top))
    size *= max(m for m in (1, 2, 5) if m == 1 or m * size <= top)
    place = ax.get_yaxis_transform()
    ax.plot([1.015, 1.015], [0, size / step], transform=place, color="k", lw=2, clip_on=False)
    ax.text(1.025, size / step / 2, f"{size:g}", transform=place, va="center")
