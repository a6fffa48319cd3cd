"""How far an event in one region spreads over the others."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._core import Scalar, as_steps, scan
from .._signals import as_series, instantaneous_phase, root
from ._avalanches import threshold_events

STEEPNESS = 3.0  # of the similarity exp(-3 d) of two phases d apart, as published [1/rad]


class Ignition(NamedTuple):
    """What follows the events of each region, from `ignition`.

    Attributes:
        mean: the integration that an event leads to; 0 for a region without events. [1]
        spread: the standard deviation over the events; 0 without events. [1]
        events: how many there are. [1]

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (200, 5))
        >>> found = cf.observe.ignition(signals, dt=2000.0, window=8000.0)
        >>> found.mean.shape, bool((found.mean <= 1).all()), bool((found.events > 10).all())
        ((5,), True, True)
    """

    mean: Float[Array, " region"]
    spread: Float[Array, " region"]
    events: Int[Array, " region"]


def integration(phases: Num[ArrayLike, "time region"]) -> Float[Array, " time"]:
    r"""Measure how much of the network is joined by similar phases, at each time.

    $\int_0^1 L(\theta)\, d\theta / N$, with $L(\theta)$ the size of the largest component of the graph
    that joins two of the $N$ regions where $e^{-3 |\phi_i - \phi_j|} \ge \theta$, of the shorter way
    round the circle: 1 where all phases are equal. On a circle, a component is a run of neighbours, so
    phases are sorted and no graph is made.

    Times are computed in parts, so memory is about that of `phases` once more, also with the gradient
    (84 regions, 60 000 samples: 1 and 3 s on one core).

    Args:
        phases: one column per region, as from `instantaneous_phase`. [rad]

    Returns:
        The integration, above 0 and up to 1. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.
        TypeError: if `phases` is complex.

    Source:
        G. Deco, M. Kringelbach, Neuron 94, 961 (2017).

    Example:
        >>> phases = jnp.array([[0.3, 0.3, 0.3, 0.3], [0.0, 0.0, 2.0, 4.0]])
        >>> cf.observe.integration(phases).round(3).tolist()  # 1, and 2 of 4 in phase
        [1.0, 0.501]
    """
    return _integration(as_series("phases", phases, samples=1))


@eqx.filter_jit
def _integration(phases: Array) -> Array:
    regions = phases.shape[1]

    @jax.checkpoint
    def at_once(phases: Array) -> Array:
        x = jnp.sort(phases % (2 * np.pi))
        # From each phase to the next, and from the last on to the first.
        gaps = jnp.concatenate([x[1:], x[:1] + 2 * np.pi]) - x
        order = jnp.argsort(lax.stop_gradient(gaps))
        similar = jnp.exp(-STEEPNESS * gaps[order])
        # Between the thresholds of two gaps, what the smaller gaps join has its size.
        largest = _largest(order).astype(similar.dtype)
        above = jnp.concatenate([jnp.ones_like(similar[:1]), similar[:-1]])
        below = jnp.concatenate([jnp.ones_like(largest[:1]), largest[:-1]])
        # With the last gap, which no one needs, all are joined.
        return ((above - similar) * below).sum() / regions + similar[-1]

    return lax.map(at_once, phases, batch_size=1024)


def _largest(order: Array) -> Array:
    """Return the size of the largest component after each of the gaps on the circle is closed in turn.

    Closed gaps form runs. The length of a run is kept at both of its ends, which are all that the next
    gap has to know of its neighbours.
    """
    regions = len(order)

    def close(carry: tuple[Array, Array], gap: Array) -> tuple[tuple[Array, Array], Array]:
        lengths, longest = carry
        before, after = lengths[(gap - 1) % regions], lengths[(gap + 1) % regions]
        length = before + after + 1
        ends = jnp.stack([gap, gap - before, gap + after]) % regions
        longest = jnp.maximum(longest, length)
        return (lengths.at[ends].set(length), longest), jnp.minimum(longest + 1, regions)

    start = jnp.zeros_like(order), jnp.zeros_like(order[0])
    return scan(close, start, order)[1]


def ignition(
    signals: Num[ArrayLike, "time region"], dt: float, window: float, *, threshold: Scalar = 1.0
) -> Ignition:
    r"""Measure how much of the network joins in after an event in each region (intrinsic ignition).

    A region has an event where its `zscore` rises above the threshold. With $I(t)$ the `integration` of
    the instantaneous phases, an event at $t$ leads to the largest $I$ from $t$ up to, but not at,
    $t$ + window. Mean and standard deviation are taken over the region's events. Events whose window is
    not over at the end of the record are left out. The phases have a gradient, the events have none.

    Memory is about six times that of `signals`, also with the gradient; time is that of `integration`.

    Args:
        signals: one column per region, after `bandpass`. [any unit, its own per region]
        dt: time from one sample to the next (TR). [ms]
        window: how long an event may take to spread, a multiple of dt; customary are 4 TR. [ms]
        threshold: in standard deviations above the mean. [1]

    Returns:
        The mean, the spread and the number of events of each region.

    Raises:
        ValueError: if `signals` is not (time, region) or not longer than the window, `window` is not a
            multiple of dt, or `threshold` is not positive.
        TypeError: if `signals` is complex.

    Source:
        G. Deco, M. Kringelbach, Neuron 94, 961 (2017); G. Deco et al., eNeuro 4, e0106-17 (2017). There,
        integration is averaged over events before its largest value is taken, and an event within the
        window of another one of the region does not count.

    Example:
        >>> t = jnp.arange(400.0)[:, None]
        >>> apart, near = jnp.sin(0.3 * t + 2 * jnp.arange(3.0)[None]), jnp.sin(0.3 * t + 0.1)
        >>> near = jnp.hstack([near, near, apart[:, 1:2]])
        >>> [round(float(cf.observe.ignition(x, 1.0, 4.0).mean[0]), 1) for x in (apart, near)]
        [0.3, 0.7]
    """
    signals = as_series("signals", signals, samples=2)
    size = as_steps("window", window, dt)
    if len(signals) <= size:
        raise ValueError(
            f"`signals` must be longer than the window, {size} samples of {dt} ms; got {len(signals)} "
            "samples."
        )
    events = threshold_events(signals, threshold, "positive")
    reached = _integration(instantaneous_phase(signals))
    kept = len(signals) - size + 1
    largest = lax.reduce_window(
        reached, -jnp.inf, lax.max, window_dimensions=(size,), window_strides=(1,), padding="valid"
    )
    weights = events[:kept].astype(signals.dtype)
    count = jnp.maximum(weights.sum(axis=0), 1)
    mean = (weights * largest[:, None]).sum(axis=0) / count
    apart = weights * (largest[:, None] - mean[None])
    spread = root(jnp.square(apart).sum(axis=0) / count)
    return Ignition(mean, spread, events[:kept].sum(axis=0))
