r"""Stimuli: external input $u_i(t) = A\, p_i\, f(t)$, functions of time whose numbers are leaves.

Every number in a stimulus may be fitted or swept. A network calls a stimulus with the time t = step * dt
[ms], counted from `net.init`: at each stage of its scheme, or once per step with `hold="step"`.
"""

import abc
import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import (
    PerTarget,
    Scalar,
    as_float,
    known,
    parameter,
    require_choice,
    require_finite,
    require_positive,
    require_positive_number,
)


class Stimulus(eqx.Module):
    r"""An input in time, $u_i(t) = A\, p_i\, f(t)$: subclass it, and define $f$ in `course`.

    Called with a time [ms], it returns the input: a scalar for all regions, or `(region,)` where the
    pattern or a parameter has one value per region. It goes into `Params.external`, to any input of
    the node. `a + b` is the sum of two stimuli, of a stimulus and coloured noise, or of a stimulus
    and any other function of time.

    Attributes:
        amplitude: $A$, a scalar or one value per region. [unit of the input]
        pattern: $p_i$, how much of it each region receives; None means 1 for every region. [1]

    Example:
        >>> class Decay(cf.stimuli.Stimulus):
        ...     tau: jax.Array
        ...     amplitude: jax.Array
        ...     pattern: jax.Array | None = None
        ...
        ...     def course(self, t):
        ...         return jnp.exp(-t / self.tau)
        >>> Decay(jnp.array(10.0), jnp.array(2.0), jnp.array([1.0, 0.0]))(0.0).tolist()
        [2.0, 0.0]
    """

    amplitude: eqx.AbstractVar[Any]
    pattern: eqx.AbstractVar[Any]

    def __check_init__(self):
        # Parameters that have a unit of their own may have one value per region, and so may these.
        per_region = ("amplitude", "pattern", "duration", "rise")
        shapes = {
            field.name: np.shape(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name in per_region or "unit" in field.metadata
        }
        regions = max(shapes.values(), key=len, default=())
        for name, shape in shapes.items():
            if shape not in ((), regions) or len(shape) > 1:
                raise ValueError(
                    f"`{name}` must be a scalar or have one value per region, for as many regions as "
                    f"the other parameters; got the shape {shape}, where the shapes are {shapes}."
                )

    @abc.abstractmethod
    def course(self, t: Any) -> Any:
        """Return $f(t)$, the course in time, of order 1. [1]."""

    def __call__(self, t: Any) -> Array:
        u = self.amplitude * self.course(t)
        return u if self.pattern is None else u * self.pattern

    def __add__(self, other: Any) -> "Sum":
        return Sum((self,)) + other


class Sum(eqx.Module):
    """Several inputs added up, as made by `a + b`.

    Attributes:
        parts: the inputs: stimuli, coloured noise, or other functions of time.

    Example:
        >>> pulse = cf.stimuli.Step(1.0, onset=5.0, duration=2.0)
        >>> both = pulse + cf.stimuli.Constant(0.25)
        >>> [both(t).item() for t in (0.0, 5.0, 7.0)]
        [0.25, 1.25, 0.25]
    """

    parts: tuple[Any, ...]

    def __call__(self, t: Any) -> Array:
        first, *rest = self.parts
        total = first(t)
        for part in rest:
            total = total + part(t)
        return total

    def __add__(self, other: Any) -> "Sum":
        if eqx.is_array_like(other):
            return NotImplemented
        parts = other.parts if isinstance(other, Sum) else (other,)
        return Sum(self.parts + parts)


def _optional(name: str) -> Any:
    """Return the field of a parameter that may be None, and is by default."""

    def convert(x: Any) -> Array | None:
        return None if x is None else as_float(name, x)

    return eqx.field(default=None, converter=convert)


class Constant(Stimulus):
    r"""The same input at all times: $f(t) = 1$.

    Args:
        amplitude: $A$, its size, a scalar or one value per region. [unit of the input]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]

    Example:
        >>> cf.stimuli.Constant(2.0, pattern=jnp.array([1.0, 0.5]))(3.0).tolist()
        [2.0, 1.0]
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    pattern: PerTarget | None = _optional("pattern")

    def course(self, t):
        """Return 1."""
        return jnp.ones_like(t)


class Step(Stimulus):
    r"""An input that is on from a time, for good or for a while.

    $f(t)$ is 1 in `onset` $\le t <$ `onset + duration`, and 0 elsewhere. With `rise` each edge takes
    that long, along $u^2 (3 - 2u)$: $f$ begins to rise at `onset`, and to fall at `onset + duration`.

    A hard edge has no gradient: onset and duration then have a gradient of exactly 0, which tells
    an optimiser nothing. To fit them, give a `rise` of several dt.

    Args:
        amplitude: $A$, its size, a scalar or one value per region. [unit of the input]
        onset: when it begins, a scalar or one value per region. [ms]
        duration: how long it lasts, a scalar or one value per region; None means for good. [ms]
        rise: how long an edge takes, a scalar or one value per region; None means a hard edge. [ms]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]

    Raises:
        ValueError: if duration or rise is not positive, or rise is longer than duration.

    Example:
        >>> step = cf.stimuli.Step(2.0, onset=10.0, rise=4.0)
        >>> [step(t).item() for t in (9.0, 12.0, 14.0)]
        [0.0, 1.0, 2.0]
        >>> jax.grad(lambda onset: cf.stimuli.Step(2.0, onset, rise=4.0)(12.0))(10.0).item()
        -0.75
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    onset: Scalar | PerTarget = parameter("onset", 0.0, "ms")
    duration: Scalar | PerTarget | None = _optional("duration")
    rise: Scalar | PerTarget | None = _optional("rise")
    pattern: PerTarget | None = _optional("pattern")

    def __check_init__(self):
        _require_edges(self.duration, self.rise, "duration")

    def course(self, t):
        """Return 1 while the input is on, and 0 elsewhere."""
        on = _edge(t, self.onset, self.rise)
        if self.duration is None:
            return on
        return on - _edge(t, self.onset + self.duration, self.rise)


class PulseTrain(Stimulus):
    r"""A train of equal pulses.

    From `onset` on, $f(t)$ is 1 for the first `width` of each `period`, and 0 elsewhere. `rise`
    smooths the edges as in `Step`; only with it have onset, period and width a gradient.

    Args:
        amplitude: $A$, the size of a pulse, a scalar or one value per region. [unit of the input]
        onset: when the first pulse begins, a scalar or one value per region. [ms]
        period: time from one pulse to the next, a scalar or one value per region. [ms]
        width: how long each pulse lasts, a scalar or one value per region. [ms]
        count: how many pulses there are; None means without end. [1]
        rise: how long an edge takes, a scalar or one value per region; None means a hard edge. [ms]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]

    Raises:
        ValueError: if period, width or rise is not positive, if rise is longer than width, or if
            width and rise together are longer than period.

    Example:
        >>> train = cf.stimuli.PulseTrain(1.0, onset=5.0, period=10.0, width=2.0, count=2)
        >>> [train(t).item() for t in (4.0, 5.0, 7.0, 15.0, 25.0)]
        [0.0, 1.0, 0.0, 1.0, 0.0]
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    onset: Scalar | PerTarget = parameter("onset", 0.0, "ms")
    period: Scalar | PerTarget = parameter("period", 1000.0, "ms")
    width: Scalar | PerTarget = parameter("width", 100.0, "ms")
    count: Scalar | None = _optional("count")
    rise: Scalar | PerTarget | None = _optional("rise")
    pattern: PerTarget | None = _optional("pattern")

    def __check_init__(self):
        require_positive("period", self.period, "ms")
        _require_edges(self.width, self.rise, "width")
        rise = 0.0 if self.rise is None else self.rise
        numbers = (self.width, rise, self.period)
        if known(numbers) and (np.add(*numbers[:2]) > np.asarray(self.period)).any():
            raise ValueError(
                f"`width` and `rise` together must fit into `period`; got {self.width} + {rise} ms "
                f"for a period of {self.period} ms."
            )

    def course(self, t):
        """Return 1 while a pulse is on, and 0 elsewhere."""
        since = t - self.onset
        number = jnp.maximum(jnp.floor(since / self.period + _slack(t) / self.period), 0)
        begin = self.onset + number * self.period
        on = _edge(t, begin, self.rise) - _edge(t, begin + self.width, self.rise)
        return on if self.count is None else jnp.where(number < self.count, on, 0)


class Sine(Stimulus):
    r"""A sine wave: $f(t) = \sin(2\pi \nu t + \varphi)$.

    Args:
        amplitude: $A$, its size, a scalar or one value per region. [unit of the input]
        frequency: $\nu$, its frequency, a scalar or one value per region. [Hz]
        phase: $\varphi$, its phase at t = 0, a scalar or one value per region. [rad]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]

    Example:
        >>> cf.stimuli.Sine(3.0, frequency=10.0)(25.0).item()  # a quarter of 100 ms
        3.0
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    frequency: Scalar | PerTarget = parameter("frequency", 10.0, "Hz")
    phase: Scalar | PerTarget = parameter("phase", 0.0, "rad")
    pattern: PerTarget | None = _optional("pattern")

    def course(self, t):
        """Return the sine."""
        return jnp.sin(2 * jnp.pi * (self.frequency / 1000) * t + self.phase)  # Hz to 1/ms


class Ramp(Stimulus):
    r"""An input that grows from 0 in a straight line, and then stays where it is.

    $f(t)$ is $(t - \mathrm{onset}) / \mathrm{duration}$, clipped to between 0 and 1.

    Args:
        amplitude: $A$, where it ends, a scalar or one value per region. [unit of the input]
        onset: when it leaves 0, a scalar or one value per region. [ms]
        duration: how long it grows, a scalar or one value per region. [ms]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]

    Raises:
        ValueError: if duration is not positive.

    Example:
        >>> ramp = cf.stimuli.Ramp(2.0, onset=10.0, duration=100.0)
        >>> [ramp(t).item() for t in (0.0, 60.0, 200.0)]
        [0.0, 1.0, 2.0]
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    onset: Scalar | PerTarget = parameter("onset", 0.0, "ms")
    duration: Scalar | PerTarget = parameter("duration", 1000.0, "ms")
    pattern: PerTarget | None = _optional("pattern")

    def __check_init__(self):
        require_positive("duration", self.duration, "ms")

    def course(self, t):
        """Return how much of the way from 0 to the amplitude is done."""
        return jnp.clip((t - self.onset) / self.duration, 0, 1)


class Sampled(Stimulus):
    r"""Sampled data: $f(t)$ is `values[n]` at `onset + n * period`, and a straight line between samples.

    Args:
        values: the samples, `(time,)` for all regions, or `(time, region)`. [1]
        period: time from one sample to the next. [ms]
        amplitude: $A$, which multiplies the values, a scalar or one value per region.
            [unit of the input]
        onset: the time of the first sample. [ms]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]
        interpolate: "linear", or "previous" for the last sample at or before a time, with
            which period and onset have a gradient of 0.
        outside: what $f$ is before the first sample and after the last: "zero", or "hold" for the
            nearest sample.

    Raises:
        ValueError: if there are fewer than two samples, if one of them is not finite, or if period
            is not positive.

    Example:
        >>> data = cf.stimuli.Sampled(jnp.array([1.0, 3.0, 2.0]), period=10.0)
        >>> [data(t).item() for t in (0.0, 5.0, 20.0, 21.0)]
        [1.0, 2.0, 2.0, 0.0]
    """

    values: Any = eqx.field(converter=lambda x: as_float("values", x))
    period: Scalar = parameter("period", 1.0, "ms")
    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    onset: Scalar = parameter("onset", 0.0, "ms")
    pattern: PerTarget | None = _optional("pattern")
    interpolate: Literal["linear", "previous"] = eqx.field(default="linear", static=True)
    outside: Literal["zero", "hold"] = eqx.field(default="zero", static=True)

    def __check_init__(self):
        if jnp.ndim(self.values) not in (1, 2) or len(self.values) < 2:
            raise ValueError(
                "`values` must be (time,) or (time, region), with two samples or more; got the "
                f"shape {jnp.shape(self.values)}."
            )
        require_finite("values", self.values)
        require_positive_number("period", self.period, "ms")
        require_choice("interpolate", self.interpolate, ("linear", "previous"))
        require_choice("outside", self.outside, ("zero", "hold"))

    def course(self, t):
        """Return the data at a time."""
        last = len(self.values) - 1
        slack = _slack(t) / self.period
        place = (t - self.onset) / self.period
        whole = jnp.clip(jnp.floor(place + slack), 0, last).astype(jnp.int32)
        value = self.values[whole]
        if self.interpolate == "linear":
            part = jnp.clip(place - whole.astype(place.dtype), 0, 1)
            value = value + part * (self.values[jnp.minimum(whole + 1, last)] - value)
        if self.outside == "hold":
            return value
        return jnp.where((place >= -slack) & (place <= last + slack), value, 0)


def _slack(t: Any) -> Array:
    """Return by how much `dt * step`, rounded, may lie off the time that it stands for. [ms]."""
    t = jnp.asarray(t)
    return 4 * jnp.finfo(jnp.result_type(t, float)).eps * jnp.abs(t)


def _edge(t: Any, at: Any, rise: Any) -> Array:
    """Return 0 before the time `at` and 1 after it: at once, or in a smooth rise from `at` on."""
    if rise is None:
        # An edge at the time of a step must begin at that step, also where the product dt * step is
        # rounded to just before the edge.
        return jnp.where(t - at >= -_slack(t), 1.0, 0.0).astype(jnp.result_type(t, at))
    part = jnp.clip((t - at) / rise, 0, 1)
    return part * part * (3 - 2 * part)


def _require_edges(length: Any, rise: Any, name: str) -> None:
    """Refuse a pulse whose length is not positive, and a rise that is longer than the pulse."""
    if length is not None:
        require_positive(name, length, "ms")
    if rise is None:
        return
    require_positive("rise", rise, "ms; None means a hard edge")
    if length is not None and known(rise, length) and (np.asarray(rise) > np.asarray(length)).any():
        raise ValueError(
            f"`rise` must not be longer than `{name}`; got {rise} ms for a `{name}` of {length} ms."
        )
