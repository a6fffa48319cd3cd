"""When a response reaches each region."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import Scalar, as_float, known, require_positive_number, require_shape
from ._series import as_series


def arrival_times(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    onset: float,
    fraction: Scalar = 0.5,
) -> Float[Array, " region"]:
    r"""Compute when the response to a stimulus reaches each region.

    It is the time from the onset to where $|x(t) - \bar x|$ first reaches a fraction of its largest
    value after the onset, with $\bar x$ the mean of the samples up to the onset. Between two samples
    the distance is taken as a straight line, so the result is not bound to multiples of dt, and has a
    gradient. Average over trials first: in a noisy record of one trial, noise may reach the fraction
    before the response does.

    Args:
        signals: one column per region; sample n is at (n + 1) · dt. [any unit]
        dt: time from one sample to the next. [ms]
        onset: when the stimulus begins, from the beginning of the record: at least one sample must
            lie at or before it, and one after it. [ms]
        fraction: above 0 and up to 1; 1 is the time of the peak. [1]

    Returns:
        The arrival in each region, from the onset on; NaN where a region does not change. [ms]

    Raises:
        ValueError: if `signals` is not (time, region), no sample lies before or none after the onset,
            or `fraction` is not above 0 and up to 1.
        TypeError: if `signals` is complex.

    Source:
        A. Kiesel et al., Psychophysiology 45, 250 (2008), for fractions of the peak as a latency.

    Example:
        >>> t = jnp.arange(1.0, 101.0)[:, None]
        >>> ramps = jnp.clip((t - jnp.array([[40.0, 60.0]])) / 10.0, 0.0, 1.0)  # from 40 and 60 ms on
        >>> cf.observe.arrival_times(ramps, dt=1.0, onset=30.0).tolist()
        [15.0, 35.0]
    """
    x = as_series("signals", signals, samples=2)
    require_positive_number("dt", dt, "ms")
    fraction = as_float("fraction", fraction).astype(x.dtype)
    require_shape("fraction", fraction, (), meaning="Give a single number.")
    if known(fraction) and not 0 < fraction <= 1:
        raise ValueError(f"`fraction` must be above 0 and up to 1; got {fraction}.")
    before = _samples_before(onset, dt, len(x))
    x = x - lax.stop_gradient(x[:1])  # so that small signals on a high level keep their digits
    apart = jnp.abs(x - x[:before].mean(axis=0, keepdims=True))
    after = apart[before:]
    peak = after.max(axis=0)
    wanted = fraction * peak
    at = before + jnp.argmax(after >= wanted[None, :], axis=0)
    low, high = (jnp.take_along_axis(apart, n[None, :], axis=0)[0] for n in (at - 1, at))
    # Where the last sample before the onset is farther away than is wanted, the arrival is the onset.
    rise = high - low
    share = jnp.where(rise > 0, (wanted - low) / jnp.where(rise > 0, rise, 1), 0)
    steps = (at - before).astype(x.dtype) + jnp.clip(share, 0, 1)
    times = steps * float(dt) + (before * float(dt) - float(onset))
    times = jnp.where(jnp.isfinite(apart).all(axis=0) & (peak > 0), times, jnp.nan)
    return jnp.maximum(times, 0)


def _samples_before(onset: float, dt: float, samples: int) -> int:
    """Return how many samples lie at or before the onset."""
    if not known(onset) or np.ndim(onset):
        raise TypeError(f"`onset` must be a single number with a known value; got {onset}.")
    require_positive_number("onset", onset, "ms")
    before = int(float(onset) / float(dt) * (1 + 1e-9))
    if not 1 <= before < samples:
        raise ValueError(
            f"`onset` must leave a sample before and one after it: from {dt:g} to below "
            f"{samples * dt:g} ms; got {onset:g} ms."
        )
    return before
