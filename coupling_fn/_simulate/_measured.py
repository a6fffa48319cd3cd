"""Measurements that run along: a run in segments, whose readings are measured and dropped.

Each segment takes the road that the run takes anyway, with a record of what the measurements read. So
memory is that of one segment's readings, of the states of the measurements, and of their samples.

When a sample is due is counted in `_timing`.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._core import PyTree, as_steps, in_short, scan
from .._measure import Measured, Measurement
from .._network import Network
from ._records import QuantitiesTogether, Together, together
from ._timing import Timing, part_of, segment_of, stretch_of

# The longest dt that is taken for one in s. [ms]
SHORTEST_DT = 0.001

Run = Callable[[PyTree, int], tuple[PyTree, PyTree]]


class Measuring(eqx.Module):
    """What is measured of a run.

    Attributes:
        measures: the measurements.
        names: what errors call each.
        structure: that in which they were given.
        of: what they read, each once.
        readings: for each measurement the number of what it reads.
        dt: time of a step. [ms]
    """

    measures: tuple[Measurement, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)
    of: tuple[Any, ...]
    readings: tuple[int, ...] = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def recorder(self, recorder: Callable[..., Any]) -> Together | QuantitiesTogether:
        """Return what records all readings; `recorder(of, name)` returns what records one of them."""
        names = [self.names[self.readings.index(number)] for number in range(len(self.of))]
        each = zip(self.of, names, strict=True)
        return together(tuple(recorder(of, f"`{name}.of`") for of, name in each))

    def periods(self, steps: int = 0, warm_up: int = 0) -> tuple[int | None, ...]:
        """Return the periods in steps; refuse those that the run or its warm-up is no multiple of."""
        periods = []
        for name, each in zip(self.names, self.measures, strict=True):
            if each.period is None:
                periods.append(None)
                continue
            period = as_steps(f"{name}.period", each.period, self.dt)
            for what, count in (("steps", steps), ("warm_up", warm_up)):
                if count % period:
                    below = count - count % period
                    raise ValueError(
                        f"`{what}` must be a whole number of periods of `{name}`, each of "
                        f"{each.period:g} ms or {period} steps, so that no part is lost; got {count}. "
                        f"The nearest are {below} and {below + period}."
                    )
            periods.append(period)
        return tuple(periods)

    def whole_periods(self) -> int:
        """Return the fewest steps that are whole periods of all measurements."""
        return math.lcm(*(period for period in self.periods() if period))

    def timing(self, options: Any) -> Timing:
        """Return when what is measured in a run, or refuse it."""
        steps, warm_up, checkpoint = options.steps, options.warm_up, options.checkpoint
        if warm_up > steps:
            raise ValueError(f"`warm_up` must be at most `steps`, {steps}, not {warm_up}.")
        periods = self.periods(steps, warm_up)
        parts = tuple(
            part_of(period or math.gcd(steps, warm_up), each.resolution, self.dt, checkpoint or 0)
            for period, each in zip(periods, self.measures, strict=True)
        )
        unit = math.lcm(*parts)
        if checkpoint is not None and checkpoint % unit:
            raise ValueError(
                f"`checkpoint` must be a multiple of the {unit} steps that are measured at once, not "
                f"{checkpoint}. `resolution` of a measurement makes these fewer."
            )
        segment = checkpoint or segment_of(steps, periods, unit)
        return Timing(
            steps, warm_up, self.dt, periods, parts, self.readings, segment, checkpoint is not None
        )

    def require_timing(self, options: Any) -> Timing:
        """Return the timing of a whole run, or refuse one whose warm-up leaves nothing to measure."""
        timing = self.timing(options)
        if timing.steps and timing.warm_up == timing.steps and None in timing.periods:
            name = self.names[timing.periods.index(None)]
            raise ValueError(
                f"`warm_up` must be below `steps`, {timing.steps}: `{name}` has no period, and is of "
                "what comes after the warm-up, which is nothing."
            )
        return timing

    def begun(
        self, start: Any, readings: tuple[PyTree, ...], measures: list[Measurement]
    ) -> Measured:
        """Return where a run and its measurements stand: as an earlier run left them, or at the start.

        Args:
            start: a state of the run, or an earlier `Measured`.
            readings: shapes and dtypes of what is read of a state.
            measures: the measurements, prepared.
        """
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), readings)
        states = [
            measure.init(zeros[number])
            for measure, number in zip(measures, self.readings, strict=True)
        ]
        now = self.measured(start, states)
        if not isinstance(start, Measured):
            return now
        _require_same(start, eqx.tree_at(lambda m: m.state, now, start.state))
        return start

    def prepared(self, timing: Timing) -> list[Measurement]:
        """Return the measurements for this dt."""
        each = zip(self.measures, timing.parts, strict=True)
        return [measure.prepared(self.dt, part) for measure, part in each]

    def measured(self, state: PyTree, states: list[PyTree]) -> Measured:
        """Return where a run and its measurements stand."""
        periods = tuple(measure.period for measure in self.measures)
        return Measured(state, self.structure.unflatten(states), self.dt, periods)

    def run(
        self, run: Run, start: Measured, measures: list[Measurement], timing: Timing
    ) -> tuple[Measured, PyTree]:
        """Run and measure: the last state, and the samples.

        `run(state, steps)` returns the state after so many steps, and what was read in them.
        """
        states = self.structure.flatten_up_to(start.measures)
        state, states, samples = _run_measured(run, start.state, states, measures, timing)
        return self.measured(state, states), self.structure.unflatten(samples)

    def joined(self, parts: list[PyTree]) -> PyTree:
        """Return the samples of consecutive parts of a run as those of the whole."""
        each = zip(*map(self.structure.flatten_up_to, parts), strict=True)
        joined = [
            found[-1]
            if measure.period is None
            else jax.tree.map(lambda *rows: np.concatenate(rows), *found)
            for measure, found in zip(self.measures, each, strict=True)
        ]
        return self.structure.unflatten(joined)

    def require_no_trouble(self, last: Measured, samples: PyTree, options: Any) -> None:
        """Raise an error if a measurement has no value, and say in which region and since when."""
        states, found = map(self.structure.flatten_up_to, (last.measures, samples))
        for name, each, state, sample in zip(self.names, self.measures, states, found, strict=True):
            lost, why = each.trouble(state) or (np.zeros(1, bool), "")
            if not lost.any():
                continue
            rows = np.isnan(np.asarray(sample)[:, lost])
            first = int(rows.any(axis=1).argmax()) if rows.any() else len(rows)
            region = int(np.flatnonzero(lost)[rows[first].argmax() if rows.any() else 0])
            start, period = options.warm_up * self.dt, each.period or 0.0
            since = start + first * period
            begin = 0.0 if first == 0 else since
            raise FloatingPointError(
                f"`{name}` of region {region} has no value from its sample {first} on: it was lost "
                f"between {begin:g} and {since + period:g} ms of this run. In all {lost.sum()} regions "
                f"are without: {why}"
            )


def require_no_record(default: bool, every: int) -> None:
    """Refuse a record beside measurements."""
    if not default or every != 1:
        raise ValueError(
            "`measure` stands in place of `record` and `every`: put observe.Sampled(record, period) "
            "into `measure`, or leave them out."
        )


def time_step(step: Any, dt: Any) -> float:
    """Return the time step that periods are counted in."""
    own = step.dt if isinstance(step, Network) else None
    if own is not None and dt is not None and float(dt) != own:
        raise ValueError(f"`dt` is that of the network, {own:g} ms; leave it out. Got {dt}.")
    if own is None and dt is None:
        raise ValueError(
            "`dt` must say how long a step of your own `step` is [ms], since periods are times."
        )
    dt = dt if own is None else own
    as_steps("dt", dt, dt)
    return float(dt)


def as_measuring(measure: Any, dt: float) -> Measuring:
    """Return what is measured of a run, or refuse what is no measurement."""
    found, structure = jax.tree_util.tree_flatten_with_path(
        measure, is_leaf=lambda x: not isinstance(x, dict | list | tuple)
    )
    names = [f"measure{jax.tree_util.keystr(path)}" for path, _ in found]
    for name, (_, each) in zip(names, found, strict=True):
        if not isinstance(each, Measurement):
            raise TypeError(
                f"`{name}` must be a measurement, such as observe.Sampled, not {in_short(each)}."
            )
    if not found:
        raise ValueError("`measure` is empty: leave it out, or give it a measurement.")
    if dt <= SHORTEST_DT:
        warnings.warn(
            f"`dt` is in ms, and {dt:g} ms is shorter than any step of a network. If it is in s, "
            "multiply it by 1000; periods of `measure` are in ms, too.",
            stacklevel=3,
        )
    of, readings = [], []
    for _, each in found:
        known = next((i for i, x in enumerate(of) if _same(x, each.of)), len(of))
        of += [each.of] if known == len(of) else []
        readings.append(known)
    measures = tuple(each for _, each in found)
    return Measuring(measures, tuple(names), structure, tuple(of), tuple(readings), dt)


def _same(one: Any, other: Any) -> bool:
    """Return whether two measurements read the same, so that it is read once."""
    named = isinstance(one, str | tuple) and isinstance(other, str | tuple)
    return one is other or (named and one == other)


def _require_same(before: Measured, now: Measured) -> None:
    """Refuse a state of measurements other than those that go on with it."""
    begin_anew = "Give the same `measure`, or begin anew with `state.state`."
    if before.dt != now.dt:
        raise ValueError(
            f"`state` was measured at a dt of {before.dt:g} ms, and this run has {now.dt:g} ms. "
            f"{begin_anew}"
        )
    if before.periods != now.periods:
        raise ValueError(
            f"`state` was measured with periods of {before.periods} ms, and `measure` has "
            f"{now.periods} ms. {begin_anew}"
        )

    def kinds(measured: Measured) -> Any:
        leaves, structure = jax.tree.flatten(measured.measures)
        return structure, [(jnp.shape(x), jnp.result_type(x)) for x in leaves]

    if kinds(before) != kinds(now):
        raise ValueError(
            "`state` holds measurements of other names, kinds, regions or dtypes than `measure`: "
            f"{jax.tree.structure(before.measures)} and {jax.tree.structure(now.measures)}. "
            f"{begin_anew}"
        )


def _run_measured(
    run: Run, state: PyTree, states: list[PyTree], measures: list[Measurement], timing: Timing
) -> tuple[PyTree, list[PyTree], list[PyTree]]:
    """Run, and measure.

    Args:
        run: `run(state, steps)` returns the state after so many steps, and what was read in them.
        state: where the run starts.
        states: where the measurements start.
        measures: the measurements, prepared.
        timing: when what is measured.

    Returns:
        The last state, those of the measurements, and the samples.
    """

    def segment(length: int, carry: PyTree, first: Any) -> tuple[PyTree, list[PyTree]]:
        state, states = carry
        state, readings = run(state, length)
        along = [
            _along(each, state_of, readings[timing.readings[i]], first, timing, i)
            for i, (each, state_of) in enumerate(zip(measures, states, strict=True))
        ]
        return (state, [after for after, _ in along]), [samples for _, samples in along]

    def several(length: int) -> Callable[..., Any]:
        once = partial(segment, length)
        return jax.checkpoint(once, prevent_cse=False) if timing.checkpoint else once

    count, rest = divmod(timing.steps, timing.segment)
    starts = timing.segment * jnp.arange(count, dtype=jnp.int32)
    carry, samples = scan(several(timing.segment), (state, states), starts)
    samples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), samples)
    if rest:
        carry, more = several(rest)(carry, jnp.asarray(timing.segment * count, jnp.int32))
        samples = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), samples, more)
    state, states = carry
    taken = [
        each.sample(state_of)[1] if period is None else _kept(found, period, timing)
        for each, state_of, found, period in zip(
            measures, states, samples, timing.periods, strict=True
        )
    ]
    return state, states, taken


def _along(
    measure: Measurement, state: PyTree, readings: PyTree, first: Any, timing: Timing, number: int
) -> tuple[PyTree, PyTree]:
    """Measure the readings of a segment: the state after it, and a sample per stretch."""
    period, part = timing.periods[number], timing.parts[number]
    length = len(jax.tree.leaves(readings)[0])
    stretch = stretch_of(period, timing, length)

    # The readings are kept for a gradient anyway; what the measurement makes of them is not.
    @partial(jax.checkpoint, prevent_cse=False)
    def through_stretch(state, inputs):
        end, readings = inputs
        state, _ = scan(lambda s, x: (measure.step(s, x, timing.dt), None), state, readings)
        if period is None and not timing.warm_up:
            return state, None
        after, sample = measure.sample(state)
        if period == stretch:
            return after, sample
        over = end == timing.warm_up if period is None else end % period == 0
        state = jax.tree.map(lambda new, old: jnp.where(over, new, old), after, state)
        return state, None if period is None else sample

    stretches = length // stretch
    readings = jax.tree.map(
        lambda x: x.reshape(stretches, stretch // part, part, *x.shape[1:]), readings
    )
    ends = first + stretch * jnp.arange(1, stretches + 1, dtype=jnp.int32)
    return scan(through_stretch, state, (ends, readings))


def _kept(samples: PyTree, period: int, timing: Timing) -> PyTree:
    """Return the samples that end a period after the warm-up, of those of all stretches."""
    stretch = stretch_of(period, timing, timing.segment)
    first, every = (timing.warm_up + period) // stretch - 1, period // stretch
    return jax.tree.map(lambda x: x[first::every], samples)
