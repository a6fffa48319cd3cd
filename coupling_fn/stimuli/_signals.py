"""Stimuli that go on in time: a constant, a sine wave, a ramp, and sampled data."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._core import (
    PerTarget,
    Scalar,
    as_float,
    parameter,
    require_choice,
    require_finite,
    require_positive,
    require_positive_number,
)
from ._stimulus import Stimulus, optional_parameter
from ._time import Time


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
    pattern: PerTarget | None = optional_parameter("pattern")

    def course(self, t):
        """Return 1."""
        return jnp.ones_like(t)


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
    pattern: PerTarget | None = optional_parameter("pattern")
    exact_time: ClassVar[bool] = True

    def course(self, t):
        """Return the sine."""
        return jnp.sin(2 * jnp.pi * Time.of(t).cycles(self.frequency) + self.phase)


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
    pattern: PerTarget | None = optional_parameter("pattern")
    exact_time: ClassVar[bool] = True

    def __check_init__(self):
        require_positive("duration", self.duration, "ms")

    def course(self, t):
        """Return how much of the way from 0 to the amplitude is done."""
        passed = Time.of(t).since(self.onset)
        return jnp.clip(passed.ms / self.duration, 0, 1)


class Sampled(Stimulus):
    r"""Sampled data: $f(t)$ is `values[n]` at `onset + n * dt`, and a straight line between samples.

    Args:
        values: the samples, `(time,)` for all regions, or `(time, region)`. [1]
        dt: time from one sample to the next. [ms]
        amplitude: $A$, which multiplies the values, a scalar or one value per region.
            [unit of the input]
        onset: the time of the first sample. [ms]
        pattern: $p_i$, how much each region receives; None means 1 for every region. [1]
        interpolate: "linear", or "previous" for the last sample at or before a time, with
            which dt and onset have a gradient of 0.
        outside: what $f$ is before the first sample and after the last: "zero", or "hold" for the
            nearest sample.

    Raises:
        ValueError: if there are fewer than two samples, if one of them is not finite, or if dt is
            not positive.

    Example:
        >>> data = cf.stimuli.Sampled(jnp.array([1.0, 3.0, 2.0]), dt=10.0)
        >>> [data(t).item() for t in (0.0, 5.0, 20.0, 21.0)]
        [1.0, 2.0, 2.0, 0.0]
    """

    values: Any = eqx.field(converter=lambda x: as_float("values", x))
    dt: Scalar = parameter("dt", 1.0, "ms")
    amplitude: Scalar | PerTarget = parameter("amplitude", 1.0)
    onset: Scalar = parameter("onset", 0.0, "ms")
    pattern: PerTarget | None = optional_parameter("pattern")
    interpolate: Literal["linear", "previous"] = eqx.field(default="linear", static=True)
    outside: Literal["zero", "hold"] = eqx.field(default="zero", static=True)
    exact_time: ClassVar[bool] = True

    def __check_init__(self):
        if jnp.ndim(self.values) not in (1, 2) or len(self.values) < 2:
            raise ValueError(
                "`values` must be (time,) or (time, region), with two samples or more; got the "
                f"shape {jnp.shape(self.values)}."
            )
        require_finite("values", self.values)
        require_positive_number("dt", self.dt, "ms")
        require_choice("interpolate", self.interpolate, ("linear", "previous"))
        require_choice("outside", self.outside, ("zero", "hold"))

    def course(self, t):
        """Return the data at a time."""
        last = len(self.values) - 1
        passed = Time.of(t).since(self.onset)
        number, beyond = passed.split(self.dt, last)
        whole = number.astype(jnp.int32)
        value = self.values[whole]
        if self.interpolate == "linear":
            part = jnp.clip(beyond.ms / self.dt, 0, 1)
            value = value + part * (self.values[jnp.minimum(whole + 1, last)] - value)
        if self.outside == "hold":
            return value
        # After the last sample, what is beyond it is the time since that sample.
        over = (whole == last) & (beyond.ms > beyond.slack)
        return jnp.where(passed.reached(0.0) & ~over, value, 0)

    def ends(self):
        """Return the time of the last sample, or never if it is held. [ms]."""
        last = len(self.values) - 1
        return np.inf if self.outside == "hold" else self.onset + last * self.dt
