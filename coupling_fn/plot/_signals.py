"""Pictures of what regions do in time: signals, spectra, phases and their order."""

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import require_shape
from ._canvas import ACCENT, COLOURS, Axes, legend_above, on_axes, tidy


def signals(
    times: Num[ArrayLike, " time"], signals: Num[ArrayLike, "time region"], ax: Axes = None
) -> Axes:
    """Draw the signals of several regions above each other, region 0 on top.

    All are on one scale, given by the bar on the right; the level of each is not shown. Of more
    than a hundred regions, each is a row of colours and not a line.

    Args:
        times: when each sample was taken; drawn in s. [ms]
        signals: one column a region. [any unit]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `signals` is not (time, region) with a time each.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(1, 501.0)
        >>> ax = cf.plot.signals(times, jnp.sin(times[:, None] / jnp.array([[5.0, 10.0]])))
        >>> ax.get_xlabel()
        'time [s]'
    """
    times, signals = np.asarray(times), np.asarray(signals)
    if signals.ndim != 2 or not signals.size:
        raise ValueError(f"`signals` must be (time, region); its shape is {signals.shape}.")
    require_shape("times", times, (len(signals),), meaning="One time a sample, in ms.")
    signals = np.where(np.isfinite(signals), signals, np.nan)  # a run that blew up leaves a gap
    low, high = (np.nan_to_num(f.reduce(signals)) for f in (np.fmin, np.fmax))
    seconds, rows = times / 1000, signals.shape[1]
    # Many lines may reach into each other: flat ones would show nothing.
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
    if rows <= 100:
        _draw_scale_bar(ax, step)
    return ax


def spectrum(
    frequencies: Num[ArrayLike, " frequency"],
    power: Num[ArrayLike, "frequency region"],
    ax: Axes = None,
) -> Axes:
    """Draw the power of regions over frequency, both logarithmic.

    Up to six regions are a line each; of more, the median is drawn, with the middle half and the
    whole range of regions behind it. Frequency 0 and powers of 0 have no place on these axes.

    Args:
        frequencies: from `power_spectrum`. [Hz]
        power: from it too, one column a region. [unit²/Hz]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `power` is not (frequency, region), with a frequency each, or has nothing to
            show beyond frequency 0.
        ImportError: if matplotlib is missing.

    Example:
        >>> times = jnp.arange(4000.0)[:, None]
        >>> spectrum = cf.observe.power_spectrum(jnp.sin(times / jnp.array([[9.0, 16.0]])), 1.0, 1000.0)
        >>> cf.plot.spectrum(*spectrum).get_xscale()
        'log'
    """
    frequencies, power = np.asarray(frequencies), np.asarray(power)
    if power.ndim != 2 or not power.size:
        raise ValueError(f"`power` must be (frequency, region); its shape is {power.shape}.")
    require_shape("frequencies", frequencies, (len(power),), meaning="One a row of `power`, in Hz.")
    shown = frequencies > 0
    if not shown.any():
        raise ValueError("`frequencies` must have one above 0: the axis is logarithmic.")
    frequencies, power = frequencies[shown], np.where(power > 0, power, np.nan)[shown]

    ax = on_axes(ax, 6.4, 4.2)
    regions = power.shape[1]
    if regions <= len(COLOURS):
        for region in range(regions):
            ax.plot(frequencies, power[:, region], color=COLOURS[region], label=f"region {region}")
    else:
        measured = np.isfinite(power).any(axis=1)
        levels = np.full((5, len(power)), np.nan)
        levels[:, measured] = np.nanquantile(power[measured], [0, 0.25, 0.5, 0.75, 1], axis=1)
        for low, high, alpha, name in ((0, 4, 0.18, "all"), (1, 3, 0.4, "the middle half of all")):
            label = f"{name} {regions} regions" if low == 0 else name
            between = levels[low], levels[high]
            ax.fill_between(frequencies, *between, color=COLOURS[0], alpha=alpha, lw=0, label=label)
        ax.plot(frequencies, levels[2], color=COLOURS[0], lw=1.8, label="median")
    ax.set(xscale="log", yscale="log", xlabel="frequency [Hz]", ylabel="power density [unit²/Hz]")
    ax.margins(x=0)
    tidy(ax)
    return ax


def phase_portrait(
    x: Num[ArrayLike, "time region"],
    y: Num[ArrayLike, "time region"],
    ax: Axes = None,
    names: tuple[str, str] = ("x", "y"),
) -> Axes:
    """Draw one state variable of every region against another, as paths in their plane.

    A dot is where a path ends. Up to six regions have a colour each; of more, paths would hide each
    other: the ground shows how often any region is where, and only region 0 is a path on it.

    Args:
        x: the variable to the right, one column a region. [any unit]
        y: the variable upwards. [any unit]
        ax: where to draw; None makes a new figure.
        names: what to call the two, with their units.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if the two are not (time, region), of one shape.
        ImportError: if matplotlib is missing.

    Example:
        >>> t = jnp.linspace(0, 6, 100)[:, None]
        >>> ax = cf.plot.phase_portrait(jnp.exp(-t) * jnp.cos(9 * t), jnp.exp(-t) * jnp.sin(9 * t))
        >>> ax.get_ylabel()
        'y'
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"`x` must be (time, region); its shape is {x.shape}.")
    require_shape("y", y, x.shape, meaning="It goes with `x`.")
    x, y = (np.where(np.isfinite(v), v, np.nan) for v in (x, y))

    ax = on_axes(ax, 5.8, 5.0)
    regions = x.shape[1]
    if regions > len(COLOURS):
        _draw_density(ax, x, y)
    for region in range(regions if regions <= len(COLOURS) else 1):
        path = x[:, region], y[:, region]
        ax.plot(*path, color=COLOURS[region], lw=1.0, alpha=0.9, label=f"region {region}")
        last = x[-1, region], y[-1, region]
        ax.plot(*last, color=COLOURS[region], marker="o", ms=7, mec="white", ls="", zorder=3)
    ax.set(xlabel=names[0], ylabel=names[1])
    tidy(ax)
    return ax


def order_parameter(
    times: Num[ArrayLike, " time"], order: Num[ArrayLike, " time"], ax: Axes = None
) -> Axes:
    """Draw how synchronous the regions are in time, with synchrony and metastability.

    Synchrony is the mean of the order parameter, a dashed line; metastability its standard
    deviation, the band around it.

    Args:
        times: when each was taken; drawn in s. [ms]
        order: from `kuramoto_order_parameter`. [1]
        ax: where to draw; None makes a new figure.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: if `order` is not one or more values in a row, with a time each.
        ImportError: if matplotlib is missing.

    Example:
        >>> phases = jax.random.normal(jax.random.key(0), (100, 4)).cumsum(axis=0)
        >>> times = jnp.arange(1, 101.0)
        >>> cf.plot.order_parameter(times, cf.observe.kuramoto_order_parameter(phases)).get_xlabel()
        'time [s]'
    """
    times, order = np.asarray(times), np.asarray(order)
    if order.ndim != 1 or not order.size:
        raise ValueError(f"`order` must be values in a row; its shape is {order.shape}.")
    require_shape("times", times, order.shape, meaning="One time a value, in ms.")
    mean, deviation = order.mean(), order.std()

    ax = on_axes(ax, 7.2, 3.2)
    # Dense as it may be, the line must leave the band and the mean to be seen.
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


def _draw_density(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw how often regions are where: the share of samples in each of many small fields."""
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
    """Draw one row of colour a region, all on one scale: what lines cannot show of so many."""
    # A few outliers would leave all else white.
    size = np.nanquantile(np.abs(values), 0.995) if np.isfinite(values).any() else 0
    size = float(size) or 1.0
    rows = np.arange(values.shape[1])
    shown = np.ma.masked_invalid(values.T)
    scale = {"cmap": "RdBu_r", "vmin": -size, "vmax": size}
    carpet = ax.pcolormesh(seconds, rows, shown, shading="nearest", rasterized=True, **scale)
    ax.figure.colorbar(carpet, ax=ax, label="from the middle", shrink=0.85, extend="both")


def _draw_scale_bar(ax: Axes, step: float) -> None:
    """Draw on the right a bar of 1, 2 or 5 times a power of ten of the signal's unit."""
    top = max(step, step * ax.get_ylim()[0] / 12)  # about a twelfth of the axis, or one region
    size = 10.0 ** np.floor(np.log10(top))
    size *= max(m for m in (1, 2, 5) if m == 1 or m * size <= top)
    place = ax.get_yaxis_transform()
    ax.plot([1.015, 1.015], [0, size / step], transform=place, color="k", lw=2, clip_on=False)
    ax.text(1.025, size / step / 2, f"{size:g}", transform=place, va="center")
