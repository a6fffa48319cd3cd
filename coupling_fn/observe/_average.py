"""A record at a coarser time, or over the regions: samples and averages."""

from typing import Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_steps
from ._connectivity import as_series


def subsample(
    signals: Num[ArrayLike, "time region"], dt: float, period: float
) -> Float[Array, "sample region"]:
    """Keep one sample a period, the last one of each.

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
        >>> cf.observe.subsample(jnp.arange(1, 7.0)[:, None], dt=0.5, period=1.5)[:, 0].tolist()
        [3.0, 6.0]
    """
    return into_periods("signals", signals, dt, period)[:, -1]


def temporal_average(
    signals: Num[ArrayLike, "time region"], dt: float, period: float
) -> Float[Array, "sample region"]:
    """Average over each period.

    Sample m is the mean over times above m · period, up to and with (m + 1) · period; it stands
    best for their middle, (m + 1/2) · period + dt / 2. No sample is counted twice, and nothing
    from before the record is made up.

    Args:
        signals: sample n at time (n + 1) · dt, as `simulate` records. [any unit]
        dt: time from one sample to the next. [ms]
        period: what is averaged over, a multiple of dt. [ms]

    Returns:
        The averages. [unit of `signals`]

    Raises:
        ValueError: if `period` is not a multiple of dt, or `signals` is not (time, region) or not
            a whole number of periods long.

    Example:
        >>> cf.observe.temporal_average(jnp.arange(1, 7.0)[:, None], dt=0.5, period=1.5)[:, 0].tolist()
        [2.0, 5.0]
    """
    return into_periods("signals", signals, dt, period).mean(axis=1)


def global_average(signals: Num[ArrayLike, "time region"]) -> Float[Array, " time"]:
    """Average over the regions, each counted once, at every time.

    Args:
        signals: one column a region. [any unit]

    Returns:
        The global signal. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or is empty.

    Example:
        >>> cf.observe.global_average(jnp.array([[1.0, 3.0], [0.0, 5.0]])).tolist()
        [2.0, 2.5]
    """
    return as_series("signals", signals, samples=1).mean(axis=1)


def into_periods(
    name: str, signals: Any, dt: float, period: float
) -> Float[Array, "period step region"]:
    """Cut a record into whole periods; nothing is left over, as nothing is dropped quietly."""
    every = as_steps("period", period, dt)
    signals = as_series(name, signals, samples=1)
    samples, regions = signals.shape
    if samples % every:
        whole = samples - samples % every
        way_out = f"`{name}[:{whole}]` is one." if whole else "Record for longer."
        raise ValueError(
            f"`{name}` must be a whole number of periods long, each of {every} samples; it has "
            f"{samples}. {way_out}"
        )
    return signals.reshape(samples // every, every, regions)
