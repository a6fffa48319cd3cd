"""How the power of signals is spread over frequencies."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from .._core import require_choice
from ._series import as_series, as_windows


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
    signals = as_series("signals", signals, samples=2)
    require_choice("taper", taper, ("hann", "boxcar"))
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be 0 or more and below 1; got {overlap}.")
    size = as_windows("signals", signals, dt, window, least=2)
    starts = np.arange(0, len(signals) - size + 1, size - int(overlap * size))
    windows = signals[starts[:, None] + np.arange(size)]

    phase = 2 * np.pi * np.arange(size) / size
    weights = np.ones(size) if taper == "boxcar" else (1 - np.cos(phase)) / 2
    sampling_rate = 1000 / float(dt)  # [Hz]
    twice = np.full(size // 2 + 1, 2.0)
    # Each frequency counts for its negative too; 0 and, of an even size, the highest have none.
    twice[0] = 1
    twice[-1] = 1 if size % 2 == 0 else 2
    gain = twice / (sampling_rate * np.square(weights).sum())

    like = signals.dtype
    # Subtracting the first sample first keeps the digits of a small signal that is far from 0.
    windows = windows - lax.stop_gradient(windows[:, :1])
    windows = windows - windows.mean(axis=1, keepdims=True)
    spectrum = jnp.fft.rfft(windows * jnp.asarray(weights[None, :, None], like), axis=1)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    frequencies = np.arange(size // 2 + 1) * sampling_rate / size
    return jnp.asarray(frequencies, like), power.mean(axis=0) * jnp.asarray(gain[:, None], like)
