"""How the power of signals is spread over frequencies."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float, Num

from .._core import (
    as_steps,
    known,
    require_choice,
    require_nonnegative,
    require_real,
    require_shape,
)
from ._series import as_series, as_windows

# The bands of EEG, each from its lower edge to below its upper edge. [Hz]
BANDS = MappingProxyType(
    {
        "delta": (1.0, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 13.0),
        "beta": (13.0, 30.0),
        "gamma": (30.0, 80.0),
    }
)


def power_spectrum(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    *,
    overlap: float = 0.5,
    taper: Literal["hann", "boxcar"] = "hann",
) -> tuple[Float[Array, " frequency"], Float[Array, "frequency region"]]:
    """Estimate the power spectral density of each region, by Welch's method.

    Each window is centred, tapered and transformed, and the powers are averaged over windows. The
    density is one-sided: its sum over frequencies, times their spacing, is the variance within a
    window. A remainder at the end that is shorter than the step from one window to the next is not
    read.

    Args:
        signals: one column per region. [any unit]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt, 2 dt or more; the spacing of frequencies is
            1 / window. [ms]
        overlap: share of a window that the next one reads too, from 0 to below 1. [1]
        taper: the function that each window is multiplied by; "boxcar" leaves it as it is.

    Returns:
        The frequencies, from 0 to half the sampling rate [Hz], and the density at each. [unit²/Hz]

    Raises:
        ValueError: if `signals` is not (time, region) or shorter than one window, `window` is not a
            multiple of dt, or `overlap` is out of range.

    Source:
        P. Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967).

    Example:
        >>> times = jnp.arange(4000.0)  # 4 s, in ms
        >>> alpha = 3 * jnp.sin(2 * jnp.pi * 0.010 * times)[:, None]
        >>> frequencies, power = cf.observe.power_spectrum(alpha, dt=1.0, window=1000.0)
        >>> float(frequencies[power[:, 0].argmax()]), round(float(power.sum()), 3)  # 3² / 2
        (10.0, 4.5)
    """
    spectra = windowed_spectra(signals, dt, window, overlap, taper)
    power = jnp.square(spectra.values.real) + jnp.square(spectra.values.imag)
    gain = jnp.asarray(spectra.gain[:, None], power.dtype)
    return jnp.asarray(spectra.frequencies, power.dtype), power.mean(axis=0) * gain


def band_power(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    bands: Mapping[str, tuple[float, float]] = BANDS,
    *,
    relative: bool = False,
    overlap: float = 0.5,
    taper: Literal["hann", "boxcar"] = "hann",
) -> dict[str, Float[Array, " region"]]:
    r"""Add up the power of each region in each band of frequencies.

    $\sum_{l \le f < h} S(f) \Delta f$, with $S$ the density of `power_spectrum` and $\Delta f$ the
    spacing of its frequencies, 1 / window: the variance of what oscillates in the band. Bands that
    join, as those of `BANDS` do, share no frequency, and of a band that goes on beyond half the
    sampling rate the part below is added up. Memory is about four times that of `signals`, and
    six times with the gradient.

    Args:
        signals: one column per region. [any unit]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt; at least one frequency, a multiple of
            1 / window, must lie in each band. [ms]
        bands: the lower edge, which belongs to the band, and the upper edge, which does not, by name.
            [Hz]
        relative: divide by the sum over all frequencies above 0.
        overlap: share of a window that the next one reads too, from 0 to below 1. [1]
        taper: the function that each window is multiplied by, as in `power_spectrum`.

    Returns:
        The power of each region, by the name of the band. [unit²], or [1] if relative

    Raises:
        ValueError: if a band is not two numbers that increase, lies above half the sampling rate, or
            has no frequency; or where `power_spectrum` raises one.

    Source:
        N. Kane et al., Clin. Neurophysiol. Pract. 2, 170 (2017), for the names and edges of `BANDS`.

    Example:
        >>> t = jnp.arange(4000.0)  # 4 s, in ms
        >>> alpha = 3 * jnp.sin(2 * jnp.pi * 0.010 * t)[:, None]
        >>> power = cf.observe.band_power(alpha, dt=1.0, window=1000.0)
        >>> {name: round(float(p[0]), 3) for name, p in power.items()}  # 3² / 2
        {'delta': 0.0, 'theta': 0.0, 'alpha': 4.5, 'beta': 0.0, 'gamma': 0.0}
    """
    if not isinstance(bands, Mapping) or not bands:
        raise TypeError(
            f'`bands` must be a mapping such as {{"alpha": (8.0, 13.0)}}; got {bands!r}.'
        )
    require_choice("relative", relative, (True, False))
    frequencies = spectrum_frequencies(dt, window)
    spacing = float(frequencies[1])
    chosen = {name: in_band(f"bands[{name!r}]", band, frequencies) for name, band in bands.items()}
    _, power = power_spectrum(signals, dt, window, overlap=overlap, taper=taper)
    found = {name: power[places].sum(axis=0) * spacing for name, places in chosen.items()}
    if not relative:
        return found
    total = power[1:].sum(axis=0) * spacing
    total = jnp.where(total == 0, 1, total)
    return {name: own / total for name, own in found.items()}


class Spectra(NamedTuple):
    """The Fourier transforms of the windows of a record, and what makes densities of them.

    Attributes:
        frequencies: from 0 to half the sampling rate, known numbers. [Hz]
        values: the transform of each window. [unit]
        gain: what the product of two transforms at a frequency is multiplied by, for a one-sided
            density, known numbers. [1/Hz]
    """

    frequencies: np.ndarray
    values: Complex[Array, "window frequency region"]
    gain: np.ndarray


def windowed_spectra(signals: Any, dt: float, window: float, overlap: float, taper: str) -> Spectra:
    """Centre, taper and transform each window of a record."""
    signals = as_series("signals", signals, samples=2)
    require_choice("taper", taper, ("hann", "boxcar"))
    require_real("overlap", overlap)
    require_shape("overlap", overlap, (), meaning="Give a single number.")
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be 0 or more and below 1; got {overlap}.")
    size = as_windows("signals", signals, dt, window, least=2)
    # 0.29 of 100 samples are 29, though the product is 28.999999999999996.
    shared = min(int(overlap * size + 1e-9), size - 1)
    starts = np.arange(0, len(signals) - size + 1, size - shared)
    windows = signals[starts[:, None] + np.arange(size)]

    phase = 2 * np.pi * np.arange(size) / size
    weights = np.ones(size) if taper == "boxcar" else (1 - np.cos(phase)) / 2
    sampling_rate = 1000 / float(dt)  # [Hz]
    twice = np.full(size // 2 + 1, 2.0)
    # Each frequency counts for its negative too; 0 and, of an even size, the highest have none.
    twice[0] = 1
    twice[-1] = 1 if size % 2 == 0 else 2
    gain = twice / (sampling_rate * np.square(weights).sum())

    # Subtracting the first sample first keeps the digits of a small signal that is far from 0.
    windows = windows - lax.stop_gradient(windows[:, :1])
    windows = windows - windows.mean(axis=1, keepdims=True)
    weights = jnp.asarray(weights[None, :, None], signals.dtype)
    values = jnp.fft.rfft(windows * weights, axis=1)
    return Spectra(spectrum_frequencies(dt, window), values, gain)


def spectrum_frequencies(dt: float, window: float) -> np.ndarray:
    """Return the frequencies of a window's transform, from 0 to half the sampling rate. [Hz]."""
    size = as_steps("window", window, dt)
    return np.arange(size // 2 + 1) * (1000 / float(dt)) / size


def in_band(name: str, band: Any, frequencies: np.ndarray) -> np.ndarray:
    """Return the places of the frequencies within a band [low, high), or refuse the band."""
    edges = np.asarray(band, dtype=object)
    if edges.shape != (2,) or not known(*edges):
        raise ValueError(f"`{name}` must be two known numbers, its edges in Hz; got {band!r}.")
    require_nonnegative(name, np.asarray(band, float))
    low, high = (float(x) for x in edges)
    if not low < high:
        raise ValueError(f"`{name}` must have a lower edge below its upper edge; got {band!r} Hz.")
    # An edge that is one of the frequencies, such as 9 of 1 / 90 s, may differ from it by a rounding.
    rounded = 1e-9 * frequencies[1]
    (chosen,) = np.nonzero((frequencies >= low - rounded) & (frequencies < high - rounded))
    if low > frequencies[-1] + rounded or not chosen.size:
        raise ValueError(
            f"`{name}` must hold a frequency of the spectrum, a multiple of {frequencies[1]:g} Hz up to "
            f"{frequencies[-1]:g} Hz; got {low:g} to {high:g} Hz. A longer `window` has more."
        )
    return chosen
