"""Cascades of events over regions, between times of silence."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int, Num

from .._core import Scalar, as_float, as_steps, require_choice, require_positive, require_shape
from .._signals import as_series, zscore

Polarity = Literal["both", "positive", "negative"]


class Avalanches(NamedTuple):
    """The avalanches of a record, in the order of time, from `avalanches`.

    Attributes:
        sizes: the number of events in each; 0 beyond the last. [1]
        durations: how long each is; 0 beyond the last. [ms]
        number: how many there are: `sizes[:number]` are all. [1]

    Example:
        >>> signals = jnp.zeros((30, 2)).at[jnp.array([9, 10]), jnp.array([0, 1])].set(1.0)
        >>> found = cf.observe.avalanches(signals, dt=1.0, bin=1.0)
        >>> int(found.number), float(found.sizes[0]), float(found.durations[0])
        (1, 2.0, 2.0)
    """

    sizes: Float[Array, " avalanche"]
    durations: Float[Array, " avalanche"]
    number: Int[Array, ""]


def avalanches(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    bin: float,
    *,
    threshold: Scalar = 3.0,
    polarity: Polarity = "both",
) -> Avalanches:
    """Find the avalanches of a record: runs of time bins with events, between bins without any.

    A region has an event where its `zscore` rises above the threshold. The size of an avalanche is the
    number of its events in all regions, and its duration that of its bins. A run that the beginning
    or the end of the record cuts is left out. A remainder at the end that is shorter than a bin is
    not read. There is no gradient. Memory is about twice that of `signals`.

    The results have room for as many avalanches as there can be, so that they have a known shape also
    inside `jit`: leave out what is beyond `number`. Sizes depend on the bin; customary is the mean time
    from one event to the next.

    Args:
        signals: one column per region. [any unit, its own per region]
        dt: time from one sample to the next. [ms]
        bin: length of a time bin, a multiple of dt. [ms]
        threshold: in standard deviations; customary are 3 for MEG and 1 for BOLD. [1]
        polarity: whether an event is a departure to "both" sides, or a "positive" one, as in BOLD, or a
            "negative" one, as in local field potentials.

    Returns:
        Sizes, durations and their number.

    Raises:
        ValueError: if `signals` is not (time, region) or is shorter than three bins, `bin` is no
            multiple of dt, or `threshold` is not positive.
        TypeError: if `signals` is complex.

    Source:
        J. Beggs, D. Plenz, J. Neurosci. 23, 11167 (2003), for avalanches; O. Shriki et al., J. Neurosci.
        33, 7079 (2013), for signals, there with events at the extremes of the departures.

    Example:
        >>> noise = jax.random.normal(jax.random.key(0), (2000, 10))
        >>> found = cf.observe.avalanches(noise, dt=2.0, bin=4.0)
        >>> sizes = found.sizes[: found.number]
        >>> bool(sizes.min() == 1), round(float(sizes.mean()), 1)
        (True, 1.2)
    """
    signals = as_series("signals", signals, samples=2)
    every = as_steps("bin", bin, dt)
    bins = len(signals) // every
    if bins < 3:
        raise ValueError(
            f"`signals` must be at least three bins long, of {every} samples each; got {len(signals)} "
            "samples."
        )
    events = threshold_events(signals, threshold, polarity)
    sizes, lengths, count = _found(events, every, bins)
    # A comparison with NaN is False, which would pass for a region without events.
    bad = ~jnp.isfinite(signals).all()
    sizes, lengths = (jnp.where(bad, jnp.nan, x.astype(signals.dtype)) for x in (sizes, lengths))
    return Avalanches(sizes, lengths * (every * float(dt)), count)


def threshold_events(
    signals: Num[ArrayLike, "time region"], threshold: Scalar, polarity: Polarity
) -> Bool[Array, "time region"]:
    """Return where the standardised signals rise above the threshold; never at the first sample."""
    signals = as_series("signals", signals, samples=2)
    require_choice("polarity", polarity, ("both", "positive", "negative"))
    threshold = as_float("threshold", threshold).astype(signals.dtype)
    require_shape("threshold", threshold, (), meaning="Give a single number.")
    require_positive("threshold", threshold)
    z = zscore(signals)
    z = {"both": jnp.abs(z), "positive": z, "negative": -z}[polarity]
    above = z > threshold
    rises = above[1:] & ~above[:-1]
    return jnp.concatenate([jnp.zeros_like(above[:1]), rises])


@eqx.filter_jit
def _found(events: Array, every: int, bins: int) -> tuple[Array, Array, Array]:
    """Return the sizes of all avalanches, their lengths in bins, and how many there are."""
    counts = events[: bins * every].reshape(bins, -1).sum(axis=1)
    active = counts > 0
    # No run begins at the first bin: it may have begun before.
    begins = active & ~jnp.concatenate([jnp.ones_like(active[:1]), active[:-1]])
    number = jnp.cumsum(begins) - 1
    total = begins.sum()
    count = jnp.where(active[-1], jnp.maximum(total - 1, 0), total)
    room = (bins - 1) // 2
    place = jnp.where(active & (number >= 0) & (number < count), number, room)
    none = jnp.zeros(room, counts.dtype)
    return none.at[place].add(counts, mode="drop"), none.at[place].add(1, mode="drop"), count
