"""How many steps: of a run and its checkpoints, and when what is measured: parts, segments, stretches.

A period ends where the number of steps is a multiple of it. Within a segment of S steps that can only
be after whole multiples of g = gcd(S, period). So the readings are measured in stretches of g steps, and
a sample is taken after each; those within a period are dropped when the run has ended. S is chosen
so that few are.
"""

import math
from typing import Any, NamedTuple

from .._core import as_count

# About how many steps of readings are kept at once, and the least and the most. With 84 regions in
# float32 that is 0.7 MB per run. A tenth as many would make a delayed run 20 % slower.
SEGMENT, LEAST, MOST = 2048, 1024, 4096
# How many readings are measured at once where a measurement does not care.
PART = 32


class Timing(NamedTuple):
    """When what is measured, counted in steps.

    Attributes:
        steps: steps of the run.
        warm_up: steps whose samples are left out.
        dt: time of a step. [ms]
        periods: for each measurement the steps from one sample to the next, or None.
        parts: for each how many readings it is given at once.
        readings: for each the number of what it reads, among what the run records.
        segment: steps between two measurements.
        checkpoint: whether a gradient computes the steps of a segment again.
    """

    steps: int
    warm_up: int
    dt: float
    periods: tuple[int | None, ...]
    parts: tuple[int, ...]
    readings: tuple[int, ...]
    segment: int
    checkpoint: bool


def part_of(length: int, resolution: float, dt: float, checkpoint: int) -> int:
    """Return the largest number of steps that divides `length` and is within the resolution."""
    if math.isinf(resolution):  # the numbers do not depend on it
        most, length = PART, math.gcd(length, checkpoint)
    else:
        most = max(math.floor(resolution / dt + 1e-6), 1)
    return next(n for n in range(min(most, length) or 1, 0, -1) if length % n == 0)


def segment_of(steps: int, periods: tuple[int | None, ...], unit: int) -> int:
    """Return how many steps a segment has: whole units, and few samples that are dropped."""
    if steps <= max(MOST, unit):
        return max(steps, unit)

    def cost(segment: int) -> tuple[Any, ...]:
        dropped = sum(period / math.gcd(segment, period) for period in periods if period)
        # A rest of a run is a program of its own, and a block of steps that is not whole is masked.
        return steps % segment != 0, dropped, segment % PART != 0, abs(segment - SEGMENT)

    first = -(-LEAST // unit)
    return min((unit * n for n in range(first, max(MOST // unit, first) + 1)), key=cost)


def stretch_of(period: int | None, timing: Timing, length: int) -> int:
    """Return after how many steps a sample may be due, in a segment of `length` steps."""
    if period is None and not timing.warm_up:
        return length
    whole = period or math.gcd(timing.warm_up, timing.steps)
    return math.gcd(timing.segment, whole)


def checked_steps(steps: Any, every: Any) -> tuple[int, int]:
    """Return both as whole numbers, the first a multiple of the second."""
    steps, every = as_count("steps", steps), as_count("every", every)
    if every == 0 or steps % every:
        below = steps - steps % max(every, 1)
        raise ValueError(
            "`steps` must be a multiple of `every`, so that the record ends with the run; "
            f"{steps} is not one of {every}. The nearest are {below} and {below + max(every, 1)}."
        )
    return steps, every


def checked_checkpoint(checkpoint: Any, steps: int, every: int) -> int | None:
    """Return the steps of a segment, of which there is a whole number."""
    if checkpoint is None:
        return None
    segment = as_count("checkpoint", checkpoint)
    if segment == 0 or steps % segment or segment % every:
        raise ValueError(
            f"`checkpoint` must be a multiple of `every` that `steps` is a multiple of; {segment} "
            f"is not, with every {every} and {steps} steps."
        )
    return segment if steps else None
