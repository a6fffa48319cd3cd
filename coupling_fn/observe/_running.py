"""Measurements that run along with a run: samples, averages, sensors, and moments."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, Num

from .._core import as_float, in_short
from .._measure import Measurement
from ._moments import Moments, moments_init, moments_step
from ._sensors import Reference, projection


def require_regions(measurement: Measurement, reading: Any) -> Array:
    """Return a reading that must be one float per region, or refuse it."""
    if getattr(reading, "ndim", None) != 1:
        got = f"shape {reading.shape}" if hasattr(reading, "shape") else in_short(reading)
        kind = type(measurement).__name__
        raise ValueError(f"`of` of {kind} must read one value per region, (region,); got {got}.")
    require_floats(measurement, reading)
    return reading


def require_floats(measurement: Measurement, reading: Any) -> None:
    """Refuse a reading that is not made of floats."""
    for x in jax.tree.leaves(reading):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            kind = type(measurement).__name__
            raise TypeError(f"`of` of {kind} must read floats, not {x.dtype}.")


class Sampled(Measurement):
    """The last reading of each period: `subsample` while a run goes on, and what a record is.

    Unlike a record it can stand beside other measurements, each with a period of its own.

    Args:
        of: what is read of each state, as `simulate(record=...)` has it; of any shape.
        period: time from one sample to the next, a multiple of dt; None keeps the last one alone. [ms]
        resolution: it only says how many readings are looked at together. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.5)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> seen = {"x": cf.observe.Sampled("x", period=2.0)}
        >>> _, seen = cf.simulate(net, state, params, steps=40, measure=seen)
        >>> _, x = cf.simulate(net, state, params, steps=40, record="x", every=4)
        >>> bool((seen["x"] == x).all())
        True
    """

    def init(self, reading):
        """Return the state before anything was read: 0."""
        return reading

    def step(self, state, readings, dt):
        """Return the last reading."""
        return jax.tree.map(lambda x: x[-1], readings)

    def sample(self, state):
        """Return the last reading twice."""
        return state, state


class AverageState(NamedTuple):
    """The mean of the readings so far, and their number.

    Attributes:
        readings: their number. [1]
        mean: their mean, in the structure of a reading. [unit of the reading]

    Example:
        >>> mean = cf.observe.Averaged("x")
        >>> state = mean.step(mean.init(jnp.zeros(2)), jnp.array([[1.0, 2.0], [3.0, 2.0]]), dt=0.1)
        >>> int(state.readings), state.mean.tolist()
        (2, [2.0, 2.0])
    """

    readings: Int[Array, ""]
    mean: Any


class Averaged(Measurement):
    """The mean over each period: `temporal_average` while a run goes on.

    With `period=None` it is that of the whole run, or of all since `warm_up`.

    Args:
        of: what is read of each state, as `simulate(record=...)` has it; floats of any shape.
        period: length of what is averaged, a multiple of dt; None averages the whole run. [ms]
        resolution: it only says how many readings are added up together. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.5)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> mean = cf.observe.Averaged("x", period=2.0)
        >>> _, seen = cf.simulate(net, state, params, steps=40, measure=mean)
        >>> _, x = cf.simulate(net, state, params, steps=40, record="x")
        >>> bool(jnp.allclose(seen, cf.observe.temporal_average(x, dt=0.5, period=2.0)))
        True
    """

    def init(self, reading):
        """Return the state of no readings."""
        require_floats(self, reading)
        return AverageState(jnp.zeros((), jnp.int32), reading)

    def step(self, state, readings, dt):
        """Return the state with these readings added."""
        more = len(jax.tree.leaves(readings)[0])
        count = state.readings + more

        # The distance from the mean so far is averaged: sums of -65 would lose the digits of 1e-3.
        def moved(mean, x):
            return mean + (x - mean[None]).mean(axis=0) * (more / count.astype(mean.dtype))

        return AverageState(count, jax.tree.map(moved, state.mean, readings))

    def sample(self, state):
        """Return the state of no readings, and the mean; that of no readings is NaN."""
        mean = jax.tree.map(lambda x: jnp.where(state.readings == 0, jnp.nan, x), state.mean)
        return jax.tree.map(jnp.zeros_like, state), mean


class Sensors(Averaged):
    r"""What EEG, MEG or sEEG sensors measure, averaged over each period: `sensor_signals` of a run.

    $y_s = \sum_j G_{sj} \bar x_j$, less the reference, with $\bar x_j$ the mean over the period, as an
    amplifier's filter before its converter has it. Without the mean: `of` a function of the state that
    multiplies by the lead field, in `Sampled`.

    Args:
        of: what stands for the current of each region, `(region,)`. [source unit]
        period: time from one sample to the next, a multiple of dt. [ms]
        lead_field: $G$, what each sensor measures per unit of each region. [sensor unit/source unit]
        reference: as in `sensor_signals`. [any unit]
        resolution: it only says how many readings are added up together. [ms]

    Raises:
        ValueError: if `lead_field` is not (sensor, region) with the regions that `of` reads, or
            `reference` names a sensor that does not exist.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.5)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> lead_field = jnp.array([[1.0, 0.5], [0.0, 2.0], [0.5, 0.5]])
        >>> eeg = cf.observe.Sensors("x", 1.0, lead_field=lead_field, reference="average")
        >>> cf.simulate(net, state, params, steps=40, measure=eeg)[1].shape
        (20, 3)
    """

    lead_field: Num[Array, "sensor region"] = eqx.field(
        kw_only=True, converter=partial(as_float, "lead_field")
    )
    reference: Reference = eqx.field(default=None, kw_only=True, static=True)

    def __check_init__(self):
        projection(self.lead_field, self.reference, None)

    def prepared(self, dt, part):
        """Return this with the reference subtracted from the lead field."""
        channels = projection(self.lead_field, self.reference, None)
        return dataclasses.replace(self, lead_field=channels, reference=None)

    def init(self, reading):
        """Return the state of no readings."""
        regions = len(require_regions(self, reading))
        projection(self.lead_field, self.reference, regions)
        return super().init(reading)

    def sample(self, state):
        """Return the state of no readings, and what the sensors measure."""
        state, mean = super().sample(state)
        channels = projection(self.lead_field, self.reference, len(mean))
        return state, jnp.matmul(channels, mean, precision=lax.Precision.HIGHEST)


class RunningMoments(Measurement):
    """Mean and covariance of all readings, as `Moments`: FC of a run of which no record is kept.

    `fc_from_moments` of a sample is the functional connectivity. With a period there is one sample per
    window of that length, windows beginning where the one before ends.

    Args:
        of: what is read of each state, `(region,)`. [any unit]
        period: length of a window, a multiple of dt; None is the whole run, or all since `warm_up`.
            [ms]
        resolution: it only says how many readings are added together. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> coupling = cf.AdditiveCoupling(jnp.array([[0.0, 0.5], [0.0, 0.0]]))
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling, noise=0.1)
        >>> start = net.init(cf.nodes.LinearState(jnp.zeros(2)), params, key=jax.random.key(0))
        >>> moments = cf.observe.RunningMoments("x")
        >>> _, moments = cf.simulate(net, start, params, 6000, measure=moments, warm_up=1000)
        >>> _, x = cf.simulate(net, start, params, 6000, record="x")
        >>> kept = cf.observe.functional_connectivity(x[1000:])
        >>> bool(jnp.allclose(cf.observe.fc_from_moments(moments), kept, atol=1e-5))
        True
    """

    def init(self, reading) -> Moments:
        """Return the moments of no readings."""
        return moments_init(require_regions(self, reading))

    def step(self, state, readings: Float[Array, "time region"], dt) -> Moments:
        """Return the moments with these readings added."""
        return moments_step(state, readings)

    def sample(self, state) -> tuple[Moments, Moments]:
        """Return the moments of no readings, and those of the period."""
        return moments_init(state.reference), state
