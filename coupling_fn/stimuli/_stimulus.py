r"""Stimuli: external input $u_i(t) = A\, p_i\, f(t)$, functions of time whose numbers are leaves.

Every number in a stimulus may be fitted or swept. A network calls a stimulus with the time t = step * dt
[ms], counted from `net.init` or from the last `net.restart_clock`: at each stage of its scheme, or once
per step with `hold="step"`.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from jax import Array

from .._core import PARAMETER, as_float
from ._time import Time, at_time


class Stimulus(eqx.Module):
    r"""An input in time, $u_i(t) = A\, p_i\, f(t)$: subclass it, and define $f$ in `course`.

    Called with a time [ms], it returns the input: a scalar for all regions, or `(region,)` where the
    pattern or a parameter has one value per region. It goes into `Params.external`, to any input of
    the node. `a + b` is the sum of two stimuli, of a stimulus and coloured noise, or of a stimulus
    and any other function of time.

    In float32 a time in ms is rounded: to 0.06 ms after ten minutes, to 0.25 ms after an hour. The kinds
    of `cf.stimuli` keep their edges and phases nevertheless, because they set `exact_time`. A kind of
    your own that is to run for so long does so, too; its `course` is then given a `Time`.

    Attributes:
        amplitude: $A$, a scalar or one value per region. [unit of the input]
        pattern: $p_i$, how much of it each region receives; None means 1 for every region. [1]
        exact_time: whether `course` takes a `Time` in place of plain ms. By default it does not.

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
        >>> class Chirp(cf.stimuli.Stimulus):
        ...     amplitude: jax.Array
        ...     onset: jax.Array
        ...     pattern: jax.Array | None = None
        ...     exact_time = True
        ...
        ...     def course(self, t):
        ...         passed = cf.stimuli.Time.of(t).since(self.onset).ms
        ...         return jnp.sin(1e-4 * passed**2)
        >>> Chirp(jnp.array(2.0), jnp.array(3.6e6))(3.6e6).item()
        0.0
    """

    amplitude: eqx.AbstractVar[Any]
    pattern: eqx.AbstractVar[Any]
    exact_time: ClassVar[bool] = False

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
        """Return $f(t)$, the course in time, of order 1 [1]; a network calls it with one time, `()`."""

    def ends(self) -> Any:
        """Return from when on the stimulus is 0 for good; by default never. [ms]."""
        return np.inf

    def __call__(self, t: Any) -> Array:
        """Return the input at time `t` [ms], `()` or `(region,)`. [unit of the input]."""
        t = t.ms if isinstance(t, Time) and not self.exact_time else t
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
    exact_time: ClassVar[bool] = True

    def __call__(self, t: Any) -> Array:
        first, *rest = self.parts
        t = Time.of(t)
        total = at_time(first, t)
        for part in rest:
            total = total + at_time(part, t)
        return total

    def __add__(self, other: Any) -> "Sum":
        if eqx.is_array_like(other):
            return NotImplemented
        parts = other.parts if isinstance(other, Sum) else (other,)
        return Sum(self.parts + parts)


def optional_parameter(name: str) -> Any:
    """Return the field of a parameter that may be None, and is by default."""

    def convert(x: Any) -> Array | None:
        return None if x is None else as_float(name, x)

    return eqx.field(default=None, converter=convert, metadata={PARAMETER: True})
