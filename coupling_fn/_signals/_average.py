"""A record at a coarser time, or over the regions: samples and averages."""

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from ._series import as_series, into_periods


def subsample(
    signals: Num[ArrayLike, "time region"], dt: float, period: float
) -> Float[Array, "sample region"]:
    """Keep one sample per period, the last one of each.

    Sample m is at time (m + 1) · period, as `simulate` with `every` would have kept it.

    Args:
        signals: sample n at time (n + 1) · dt, as `simulate` records. [any unit]
        dt: time from one sample to the next. [ms]
        period: time from one kept sample to the next, a multiple of dt. [ms]

    Returns:
        The kept samples. [unit of `signals`]

    Raises:
        ValueError: if `period` is not a multiple of dt, or `signals` is not (time, region) or not
            a whole number of periods long.

    Example:
        >>> signals = jnp.arange(1, 7.0)[:, None]
        >>> cf.observe.subsample(signals, dt=0.5, period=1.5)[:, 0].tolist()
        [3.0, 6.0]
    """
    return into_periods("signals", signals, dt, period)[:, -1]


def temporal_average(
    signals: Num[ArrayLike, "time region"], dt: float, period: float
) -> Float[Array, "sample region"]:
    """Average over each period.

    Sample m is the mean of the samples at times above m · period and up to (m + 1) · period. The
    mean of these times is (m + 1/2) · period + dt / 2. Every sample is counted in exactly one
    average, and nothing is assumed about the time before the record.

    Args:
        signals: sample n at time (n + 1) · dt, as `simulate` records. [any unit]
        dt: time from one sample to the next. [ms]
        period: length of what is averaged, a multiple of dt. [ms]

    Returns:
        The averages. [unit of `signals`]

    Raises:
        ValueError: if `period` is not a multiple of dt, or `signals` is not (time, region) or not
            a whole number of periods long.

    Example:
        >>> signals = jnp.arange(1, 7.0)[:, None]
        >>> cf.observe.temporal_average(signals, dt=0.5, period=1.5)[:, 0].tolist()
        [2.0, 5.0]
    """
    return into_periods("signals", signals, dt, period).mean(axis=1)


def global_average(signals: Num[ArrayLike, "time region"]) -> Float[Array, " time"]:
    """Average over the regions at every time, with the same weight for each region.

    Args:
        signals: one column per region. [any unit]

    Returns:
        The global signal. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or is empty.

    Example:
        >>> cf.observe.global_average(jnp.array([[1.0, 3.0], [0.0, 5.0]])).tolist()
        [2.0, 2.5]
    """
    return as_series("signals", signals, samples=1).mean(axis=1)
