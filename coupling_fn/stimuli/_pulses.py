"""Stimuli that are switched on and off: a step, and a train of pulses."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PerTarget, Scalar, known, parameter, require_positive
from ._stimulus import Stimulus, optional_parameter
from ._time import Time


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
    duration: Scalar | PerTarget | None = optional_parameter("duration")
    rise: Scalar | PerTarget | None = optional_parameter("rise")
    pattern: PerTarget | None = optional_parameter("pattern")
    exact_time: ClassVar[bool] = True

    def __check_init__(self):
        _require_edges(self.duration, self.rise, "duration")

    def course(self, t):
        """Return 1 while the input is on, and 0 elsewhere."""
        passed = Time.of(t).since(self.onset)
        on = _edge(passed, self.rise)
        return on if self.duration is None else on - _edge(passed.since(self.duration), self.rise)

    def ends(self):
        """Return when the last edge is over. [ms]."""
        return np.inf if self.duration is None else self.onset + self.duration + _length(self.rise)


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
    count: Scalar | None = optional_parameter("count")
    rise: Scalar | PerTarget | None = optional_parameter("rise")
    pattern: PerTarget | None = optional_parameter("pattern")
    exact_time: ClassVar[bool] = True

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
        number, passed = Time.of(t).since(self.onset).split(self.period)
        on = _edge(passed, self.rise) - _edge(passed.since(self.width), self.rise)
        return on if self.count is None else jnp.where(number < self.count, on, 0)

    def ends(self):
        """Return when the last pulse is over. [ms]."""
        if self.count is None:
            return np.inf
        return self.onset + (self.count - 1) * self.period + self.width + _length(self.rise)


def _edge(passed: Time, rise: Any) -> Array:
    """Return 0 before an edge and 1 after it, from the time since it: at once, or in a smooth rise."""
    if rise is None:
        return jnp.where(passed.reached(0.0), 1.0, 0.0).astype(passed.ms.dtype)
    part = jnp.clip(passed.ms / rise, 0, 1)
    return part * part * (3 - 2 * part)


def _length(rise: Any) -> Any:
    """Return how long an edge takes. [ms]."""
    return 0.0 if rise is None else rise


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
