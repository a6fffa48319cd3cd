r"""A time in two parts, whose differences keep their digits after hours of float32.

A float32 of ten minutes in ms has a spacing of 0.06 ms, and one of five hours a spacing of 1 ms: more
than a step. A `Time` holds beside it what it rounds off. All products below are of factors with half the
digits each. They are exact, so that it does not matter whether a compiler fuses them with a sum.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

STEP_BITS = 31  # of a counter of steps


class Time(NamedTuple):
    """A time in two parts, `ms + rest`, as stimuli with `exact_time` are given it.

    Attributes:
        ms: the time, rounded to its dtype. [ms]
        rest: what was rounded off. [ms]
        slack: how far after this time an edge may lie that counts as reached. [ms]

    Example:
        >>> time = cf.stimuli.Time.of(12.5)
        >>> time.since(10.0).ms.item(), time.reached(12.5).item()
        (2.5, True)
    """

    ms: Array
    rest: Array
    slack: Array

    @classmethod
    def of(cls, t: Any) -> "Time":
        """Return a plain number of ms as a `Time`, and a `Time` as it is."""
        if isinstance(t, Time):
            return t
        t = jnp.asarray(t)
        t = t if jnp.issubdtype(t.dtype, jnp.floating) else t.astype(float)
        return cls(t, jnp.zeros_like(t), _rounding(t))

    def since(self, moment: Any) -> "Time":
        """Return the time that has passed since a moment [ms], without its rounding."""
        ms = self.ms - moment
        part = ms - self.ms
        rounded_off = (self.ms - (ms - part)) - (moment + part)
        return Time(*_sum(ms, self.rest + rounded_off), self.slack)

    def reached(self, moment: Any) -> Array:
        """Return whether a moment [ms] is reached.

        An edge at the time of a step begins at that step, also where rounding puts it just after.
        """
        return self.since(moment).ms >= -self.slack

    def cycles(self, frequency: Any) -> Array:
        """Return how far the cycles of a frequency [Hz] are, less whole cycles. [1]."""
        f, t = _halves(frequency), _halves(self.ms)
        whole = (jnp.fmod(a * b, 1000) for a in f for b in t)
        return (sum(whole, frequency * self.rest)) / 1000  # Hz times ms to cycles

    def split(self, period: Any, last: Any = None) -> tuple[Array, "Time"]:
        """Return how many whole periods [ms] have passed, from 0 to `last`, and the time since then."""

        def within(number):
            return lax.stop_gradient(jnp.clip(number, 0, last))

        slack = self.slack
        number = within(jnp.floor((self.ms + slack) / period))
        ms = self.ms
        for n in _halves(number):
            for p in _halves(period):
                ms = ms - n * p
        left = ms + self.rest + slack  # The quotient may have been rounded to the next period.
        there = within(
            jnp.where(left < 0, number - 1, jnp.where(left < period, number, number + 1))
        )
        return there, Time(*_sum(ms - (there - number) * period, self.rest), slack)


def time_of_step(step: Array, dt: float, at: float, dtype: Any) -> Time:
    """Return the time of a stage: `at` of a step after `step` steps of dt [ms]."""
    bits = (jnp.finfo(dtype).nmant + 1) // 2
    shifts = range(STEP_BITS - 1 - (STEP_BITS - 1) % bits, -1, -bits)
    mask = jnp.asarray((1 << bits) - 1, step.dtype)
    units = [min(1 << shift, int(jnp.finfo(dtype).max)) for shift in shifts]
    counts = [
        ((step >> shift) & mask).astype(dtype) * float(unit)
        for shift, unit in zip(shifts, units, strict=True)
    ]
    first, second = _leading(dt, bits), _leading(dt - _leading(dt, bits), bits)
    ms, rest = counts[0] * first, step.astype(dtype) * (dt - first - second)
    terms = [count * first for count in counts[1:]] + [count * second for count in counts]
    for term in terms + ([at * first, at * (dt - first)] if at else []):
        ms, rounded_off = _sum(ms, term)
        rest = rest + rounded_off
    ms, rest = _sum(ms, rest)
    return Time(ms, rest, jnp.minimum(_rounding(ms), dt / 2))


def at_time(value: Any, time: Time) -> Any:
    """Return a function of time at a time: of the `Time` if it takes one, else of plain ms."""
    return value(time if getattr(value, "exact_time", False) else time.ms)


def _sum(a: Any, b: Any) -> tuple[Array, Array]:
    """Return a sum, and what it rounds off."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _rounding(t: Array) -> Array:
    """Return by how much an edge that should lie at t may lie off it. [ms]."""
    return 4 * jnp.finfo(t.dtype).eps * jnp.abs(t)


def _halves(x: Any) -> tuple[Array, Array]:
    """Return a number as two with half its digits each; the derivative is that of the second."""
    x = jnp.asarray(x)
    info = jnp.finfo(x.dtype)
    first = lax.stop_gradient(lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2))
    return first, x - first


def _leading(x: float, bits: int) -> float:
    """Return the leading bits of a number."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(math.ldexp(mantissa, bits)), exponent - bits)
