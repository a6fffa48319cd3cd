"""A measurement that runs along with a run: where it begins, a step of it, and what it hands out.

It is given the readings of a part of a run, all of which it may add up at once, and keeps a state in
place of them. Periods and parts are whole numbers of steps, counted from the start of a run.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np

from .._core import PyTree, in_short

Reading = str | tuple[str, ...] | Callable[[Any], PyTree]


def _as_reading(of: Any) -> Any:
    if isinstance(of, list):
        of = tuple(of)
    named = isinstance(of, str) or (
        isinstance(of, tuple) and of and all(isinstance(name, str) for name in of)
    )
    if not named and (not callable(of) or isinstance(of, type)):
        raise TypeError(
            "`of` must say what is measured: the name of a state, a tuple of names, or a function of "
            f"the state, not {in_short(of)}."
        )
    return of


def as_milliseconds(name: str, x: Any) -> float:
    """Return a time that fixes a program as a float above 0, or refuse it. [ms]."""
    if isinstance(x, bool) or not isinstance(x, int | float | np.number):
        raise TypeError(f"`{name}` must be a number [ms], known beforehand, not {in_short(x)}.")
    if not x > 0:
        raise ValueError(f"`{name}` must be above 0 [ms], not {x}.")
    return float(x)


def _as_period(x: Any) -> float | None:
    if x is not None and as_milliseconds("period", x) == math.inf:
        raise ValueError("`period` must be finite [ms]; None is that of the whole run.")
    return None if x is None else float(x)


class Measurement(eqx.Module):
    """What is measured of a run while it goes on, in place of a record: for `simulate(measure=...)`.

    A subclass says in three pure functions how a measurement begins, how readings are added to it, and
    what is read of it at the end of each period. Memory is that of its state and samples, however short
    the steps and however long the run. A subclass may have fields of its own, such as parameters, which
    come after these and have defaults, or are `eqx.field(kw_only=True)`.

    Args:
        of: what is read of each state, as `simulate(record=...)` has it: the name of a state, of an
            auxiliary quantity or of an input, a tuple of names, or a function of the state.
        period: time from one sample to the next, a multiple of dt. None hands out one sample, at the
            end of the run, of all that was measured since the start; a run that continues goes on
            with it. [ms]
        resolution: how long a part of the run is that `step` takes at once: as many steps as divide
            the period, and are not longer than that; one step at least. Infinity, the default, leaves
            it to `simulate`. [ms]

    Raises:
        TypeError: if `of` is neither a name, a tuple of names, nor a function; or a time is traced.
        ValueError: if a time is not positive, or `period` is infinite.

    Example:
        The largest value of each region, in every 10 ms:

        >>> class Peak(cf.observe.Measurement):
        ...     def init(self, reading):  # `reading` is 0, in shape and dtype of one reading
        ...         return jnp.full_like(reading, -jnp.inf)
        ...
        ...     def step(self, state, readings, dt):  # readings: (time, region), dt apart
        ...         return jnp.maximum(state, readings.max(axis=0))
        ...
        ...     def sample(self, state):  # where the next period begins, and the sample
        ...         return jnp.full_like(state, -jnp.inf), state
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, scheme="euler")
        >>> params = cf.Params(cf.nodes.LinearParams(a=0.1), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> _, peaks = cf.simulate(net, state, params, steps=40, measure=Peak("x", period=10.0))
        >>> _, x = cf.simulate(net, state, params, steps=40, record="x")
        >>> bool((peaks == x[9::10]).all())  # it only grows
        True
    """

    of: Reading = eqx.field(converter=_as_reading)
    period: float | None = eqx.field(default=None, static=True, converter=_as_period)
    resolution: float = eqx.field(
        default=math.inf,
        static=True,
        kw_only=True,
        converter=partial(as_milliseconds, "resolution"),
    )

    @abstractmethod
    def init(self, reading: PyTree) -> PyTree:
        """Return the state before anything was measured.

        Args:
            reading: what is read of one state, with 0 in place of its values.
        """

    @abstractmethod
    def step(self, state: PyTree, readings: PyTree, dt: float) -> PyTree:
        """Return the state after a part of the run.

        Args:
            state: that before, from `init`, `step` or `sample`.
            readings: what was read in each step of the part, with time in front.
            dt: time from one reading to the next. [ms]
        """

    @abstractmethod
    def sample(self, state: PyTree) -> tuple[PyTree, PyTree]:
        """Return the state that the next period begins with, and the sample of the one that ends.

        It is also called at the end of a `warm_up`, where the sample is thrown away.
        """

    def prepared(self, dt: float, part: int) -> "Measurement":
        """Return this with what all steps need and only depends on dt; by default it is as it is.

        Args:
            dt: time from one reading to the next. [ms]
            part: how many readings `step` is given at once. [1]
        """
        return self

    def trouble(self, state: PyTree) -> tuple[np.ndarray, str] | None:
        """Return which regions' samples have no value, and why; None where a NaN would be no fault.

        Args:
            state: the last one, with values that are known.
        """
        return None


class Measured(eqx.Module):
    """Where a run stands of which something is measured: what `simulate(measure=...)` returns first.

    Given to `simulate` in place of a state, with the same `measure`, the measurements go on with the
    run. The state of the run alone is `.state`: with that, they begin anew.

    Attributes:
        state: the state of the run.
        measures: the state of each measurement, in the structure of `measure`.
        dt: the time step of the run. [ms]
        periods: the period of each measurement, or None. [ms]

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=1.0)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> mean = cf.observe.Averaged("x")
        >>> half, _ = cf.simulate(net, state, params, steps=30, measure=mean)
        >>> last, x = cf.simulate(net, half, params, steps=30, measure=mean)  # the mean of all 60
        >>> int(last.state.step), x.shape
        (60, (2,))
    """

    state: PyTree
    measures: PyTree
    dt: float = eqx.field(static=True)
    periods: tuple[float | None, ...] = eqx.field(static=True)
