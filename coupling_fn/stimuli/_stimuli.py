"""What drives a region from outside: functions of time whose parameters are leaves."""

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
    r"""An input in time, $u_i(t) = A\, p_i\, f(t)$: subclass it to write your own $f$, in `course`.

    Called with a time, it gives the input: a scalar for all regions, or one a region where the
    pattern or a parameter is. It goes into `Params.external`, to any input of the node; every
    number in it may be fitted or swept; and `a + b` is both at once.

    Attributes:
        amplitude: $A$, a scalar or one a region. [unit of the input]
        pattern: $p_i$, how much of it each region receives; None is 1 everywhere. [1]

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
        by_region = (
            "amplitude",
            "pattern",
            "duration",
            "rise",
        )  # as all parameters with a unit may be
        sizes = {
            field.name: np.shape(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name in by_region or "unit" in field.metadata
        }
        regions = max(sizes.values(), key=len, default=())
        for name, shape in sizes.items():
            if shape not in ((), regions) or len(shape) > 1:
                raise ValueError(
                    f"`{name}` must be one for all or one a region, as many as in the others; its "
                    f"shape is {shape}, and theirs are {sizes}."
                )

    @abc.abstractmethod
    def course(self, t: Any) -> Any:
        """Give $f(t)$, the course in time, of order 1."""

    def __call__(self, t: Any) -> Array:
        u = self.amplitude * self.course(t)
        return u if self.pattern is None else u * self.pattern

    def __add__(self, other: Any) -> "Sum":
        return Sum((self,)) + other


class Sum(eqx.Module):
    """Several inputs at once, made by `a + b`; its `parts` are leaves like any other.

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
    convert = lambda x: None if x is None else as_float(name, x)  # noqa: E731
    return eqx.field(default=None, converter=convert)


class Constant(Stimulus):
    """The same at all times.

    Args:
        amplitude: its size, a scalar or one a region. [unit of the input]
        pattern: how much each region receives; None is 1 everywhere. [1]

    Example:
        >>> cf.stimuli.Constant(2.0, pattern=jnp.array([1.0, 0.5]))(3.0).tolist()
        [2.0, 1.0]
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    pattern: PerTarget | None = _optional("pattern")

    def course(self, t):
        """Give 1."""
        return jnp.ones_like(t)


class Step(Stimulus):
    r"""On from a time, for good or for a while.

    $f(t)$ is 1 in `onset` $\le t <$ `onset + duration`, and 0 elsewhere. With `rise` each edge takes
    that long, along $u^2 (3 - 2u)$: it begins to rise at `onset`, and to fall at `onset + duration`.

    A hard edge has no gradient: onset and duration then have a gradient of exactly 0, which tells
    an optimiser nothing. Give `rise`, of several dt, to fit them.

    Args:
        amplitude: its size, a scalar or one a region. [unit of the input]
        onset: when it begins, a scalar or one a region. [ms]
        duration: how long it lasts; None is for good. [ms]
        rise: how long an edge takes; None is a hard edge. [ms]
        pattern: how much each region receives; None is 1 everywhere. [1]

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
        """Give 1 while it is on."""
        on = _edge(t, self.onset, self.rise)
        if self.duration is None:
            return on
        return on - _edge(t, self.onset + self.duration, self.rise)


class PulseTrain(Stimulus):
    r"""The same pulse again and again.

    From `onset` on, $f(t)$ is 1 for the first `width` of each `period`, and 0 elsewhere; `rise`
    rounds the edges as in `Step`, and is what gives onset, period and width a gradient.

    Args:
        amplitude: size of a pulse, a scalar or one a region. [unit of the input]
        onset: when the first begins, a scalar or one a region. [ms]
        period: from one to the next. [ms]
        width: how long each lasts. [ms]
        count: how many there are; None is no end. [1]
        rise: how long an edge takes; None is a hard edge. [ms]
        pattern: how much each region receives; None is 1 everywhere. [1]

    Raises:
        ValueError: if period, width or rise is not positive, rise is longer than width, or width
            and rise together than the period.

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
                f"`width` and `rise` together must fit into `period`; {self.width} + {rise} is "
                f"longer than {self.period} ms."
            )

    def course(self, t):
        """Give 1 while a pulse is on."""
        since = t - self.onset
        number = jnp.maximum(jnp.floor(since / self.period + _slack(t) / self.period), 0)
        begin = self.onset + number * self.period
        on = _edge(t, begin, self.rise) - _edge(t, begin + self.width, self.rise)
        return on if self.count is None else jnp.where(number < self.count, on, 0)


class Sine(Stimulus):
    r"""A sine wave: $f(t) = \sin(2\pi \nu t + \varphi)$.

    Args:
        amplitude: its size, a scalar or one a region. [unit of the input]
        frequency: $\nu$, a scalar or one a region. [Hz]
        phase: $\varphi$ at t = 0, a scalar or one a region. [rad]
        pattern: how much each region receives; None is 1 everywhere. [1]

    Example:
        >>> cf.stimuli.Sine(3.0, frequency=10.0)(25.0).item()  # a quarter of 100 ms
        3.0
    """

    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    frequency: Scalar | PerTarget = parameter("frequency", 10.0, "Hz")
    phase: Scalar | PerTarget = parameter("phase", 0.0, "rad")
    pattern: PerTarget | None = _optional("pattern")

    def course(self, t):
        """Give the sine."""
        return jnp.sin(2 * jnp.pi * (self.frequency / 1000) * t + self.phase)  # Hz to 1/ms


class Ramp(Stimulus):
    r"""From 0 in a straight line to the amplitude, and then there.

    Args:
        amplitude: where it ends, a scalar or one a region. [unit of the input]
        onset: when it leaves 0, a scalar or one a region. [ms]
        duration: how long it takes. [ms]
        pattern: how much each region receives; None is 1 everywhere. [1]

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
        """Give the part of the way that is done."""
        return jnp.clip((t - self.onset) / self.duration, 0, 1)


class Sampled(Stimulus):
    r"""Data: `values[n]` at the time `onset + n * period`, and between samples a straight line.

    Args:
        values: `(time,)` for all regions, or `(time, region)`. [1]
        period: from one sample to the next. [ms]
        amplitude: what the values are multiplied by, a scalar or one a region. [unit of the input]
        onset: when the first sample is. [ms]
        pattern: how much each region receives; None is 1 everywhere. [1]
        interpolate: "linear", or "previous" for the last sample at or before a time, with
            which period and onset have a gradient of 0.
        outside: before the first sample and after the last: "zero", or "hold" for the nearest.

    Raises:
        ValueError: if there are fewer than two samples, one is not finite, or period is not
            positive.

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
                "`values` must be (time,) or (time, region), with two samples or more, not "
                f"{jnp.shape(self.values)}."
            )
        require_finite("values", self.values)
        require_positive_number("period", self.period, "ms")
        require_choice("interpolate", self.interpolate, ("linear", "previous"))
        require_choice("outside", self.outside, ("zero", "hold"))

    def course(self, t):
        """Read the data."""
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
    """By how much a time that was counted in steps may miss what it stands for, by rounding."""
    t = jnp.asarray(t)
    return 4 * jnp.finfo(jnp.result_type(t, float)).eps * jnp.abs(t)


def _edge(t: Any, at: Any, rise: Any) -> Array:
    """0 before a time and 1 after: at once, or in a smooth rise that begins at that time."""
    if rise is None:
        # An edge on a step is at that step, also where dt * step rounds to just before it.
        return jnp.where(t - at >= -_slack(t), 1.0, 0.0).astype(jnp.result_type(t, at))
    part = jnp.clip((t - at) / rise, 0, 1)
    return part * part * (3 - 2 * part)


def _require_edges(length: Any, rise: Any, name: str) -> None:
    """Refuse a pulse without length, and one whose rise is longer than itself."""
    if length is not None:
        require_positive(name, length, "ms")
    if rise is None:
        return
    require_positive("rise", rise, "ms; None is a hard edge")
    if length is not None and known(rise, length) and (np.asarray(rise) > np.asarray(length)).any():
        raise ValueError(f"`rise` must not be longer than `{name}`: {rise} against {length} ms.")
