"""BOLD that is measured while a run goes on, by the Balloon model or by a kernel."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import (
    Scalar,
    as_float,
    require_finite,
    require_one_or_each,
    require_positive,
)
from .._measure import Measurement, as_milliseconds
from .._signals import warn_of_short_tr
from ..schemes import Scheme
from ..schemes._shorthands import as_scheme
from ._balloon_params import BalloonParams
from ._bold import BalloonState, balloon_bold, balloon_init, balloon_step
from ._kernels import KernelState, kernel_init, kernel_step, kernel_weights
from ._running import require_regions


class _Bold(Measurement):
    """What both have: activity is read relative to rest, and averaged over parts of a run."""

    rest: Scalar = eqx.field(default=0.0, kw_only=True, converter=partial(as_float, "rest"))
    scale: Scalar = eqx.field(default=1.0, kw_only=True, converter=partial(as_float, "scale"))
    resolution: float = eqx.field(
        default=1.0, static=True, kw_only=True, converter=partial(as_milliseconds, "resolution")
    )

    def __check_init__(self):
        kind = type(self).__name__
        if self.period is None:
            raise ValueError(
                f"`period` of {kind} must be the time from one sample to the next, TR."
            )
        for name in ("rest", "scale"):
            value = getattr(self, name)
            require_finite(name, value)
            if value.ndim > 1:
                raise ValueError(
                    f"`{name}` must be one number or one per region; its shape is {value.shape}."
                )
        warn_of_short_tr(self.period, stacklevel=4)

    def require_activity(self, reading: Any) -> Array:
        """Return a reading that is one activity per region, or refuse it, or what is subtracted."""
        reading = require_regions(self, reading)
        for name in ("rest", "scale"):
            require_one_or_each(name, getattr(self, name), len(reading))
        return reading

    def activity(self, readings: Float[Array, "time region"]) -> Float[Array, " region"]:
        """Return the activity of a part: the mean of its readings, relative to rest."""
        return self.scale * (readings.mean(axis=0) - self.rest)


class BalloonBold(_Bold):
    r"""BOLD by the Balloon–Windkessel model, measured while a run goes on.

    The activity $z$ = `scale` · (reading − `rest`) is averaged over parts of `resolution`, and held
    during each: sample for sample it is `bold_from_balloon(temporal_average(z, dt, part), dt=part,
    period=period)`, to rounding. So the model takes a step per 5 ms, not per dt: its times are near
    1000 ms. Of 10 Hz and slow noise, BOLD by steps of 1, 5 and 10 ms was 6e-7, 6e-6 and 3e-5 of its
    size from BOLD by steps of 0.2 ms.

    Outside of `jit`, `vmap` and `grad`, `simulate` refuses activity that is so strong that the flow
    falls to 0, and says where; inside, the samples of that region are NaN from then on.

    Args:
        of: the activity, `(region,)`, such as "S_e", or a function of the state. [any unit]
        period: time from one sample to the next (TR), a multiple of dt. [ms]
        rest: the level of the reading at rest, one for all regions or one for each, which is
            subtracted. [unit of the reading]
        scale: what the rest is multiplied by; activity of 0.1 to 1 is usual. [1/s² per unit]
        params: from `BalloonParams` or `balloon_params`; None means those of Friston et al. (2003).
            [as its fields say]
        scheme: scheme of integration, by name or from `cf.schemes`.
        resolution: the longest step of the model: as many steps of the run as divide the period and
            are not longer; one at least. [ms]

    Raises:
        ValueError: if a period is missing or not positive, or there is no such scheme.

    Warns:
        UserWarning: if `period` is below 50 ms, which would be a TR in s.

    Source:
        K. Friston, L. Harrison, W. Penny, NeuroImage 19, 1273 (2003).

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.5)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(0.1 * jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> bold = cf.observe.BalloonBold("x", period=720.0)
        >>> _, seen = cf.simulate(net, state, params, steps=10 * 1440, measure=bold)
        >>> _, x = cf.simulate(net, state, params, steps=10 * 1440, record="x")
        >>> _, kept = cf.observe.bold_from_balloon(x, dt=0.5, period=720.0)
        >>> seen.shape, bool(jnp.allclose(seen, kept, atol=1e-6))
        ((10, 2), True)
    """

    params: BalloonParams = eqx.field(
        default=None, kw_only=True, converter=lambda x: BalloonParams() if x is None else x
    )
    scheme: Scheme = eqx.field(default="heun", kw_only=True, converter=as_scheme)
    resolution: float = eqx.field(
        default=5.0, static=True, kw_only=True, converter=partial(as_milliseconds, "resolution")
    )

    def __check_init__(self):
        if not isinstance(self.params, BalloonParams):
            raise TypeError(f"`params` must be BalloonParams, not {type(self.params).__name__}.")

    def init(self, reading) -> BalloonState:
        """Return the state at rest."""
        return balloon_init(self.require_activity(reading))

    def step(self, state, readings, dt) -> BalloonState:
        """Return the state after one step of the model, as long as the part."""
        activity = self.activity(readings)
        return balloon_step(state, activity, self.params, len(readings) * dt, self.scheme)

    def sample(self, state) -> tuple[BalloonState, Float[Array, " region"]]:
        """Return the state as it is, and BOLD, as a fraction of the signal at rest. [1]."""
        return state, balloon_bold(state, self.params)

    def trouble(self, state: BalloonState) -> tuple[np.ndarray, str]:
        """Return in which regions the state is not finite, and why."""
        lost = ~np.isfinite(np.asarray(sum(state)))
        if not np.isfinite(np.asarray(state.f)[lost]).all():
            return lost, "what `of` reads is not finite, or overflows."
        return lost, (
            "the input is too strong. The flow falls to 0 there, and the balloon model has no meaning "
            "beyond. Its change is proportional to what `of` reads: subtract the level at rest by "
            "`rest=`, and make `scale=` smaller; activity of 0.1 to 1 is usual."
        )


class KernelBold(_Bold):
    r"""BOLD by a haemodynamic kernel, measured while a run goes on.

    The activity, `scale` · (reading − `rest`), is averaged over parts of `resolution`: sample for sample
    it is `bold_from_kernel(temporal_average(z, dt, part), kernel, dt=part, period=period)`, to rounding.
    Next to a sum over every step, the response comes later by half of what a part is longer than dt.

    Args:
        of: the activity, `(region,)`, such as "S_e", or a function of the state. [any unit]
        period: time from one sample to the next (TR), a multiple of dt. [ms]
        kernel: a function of the time since the activity [ms], such as `gamma_kernel` or one of your
            own, which may hold parameters to fit. [1/ms]
        length: time at which the kernel is cut off. [ms]
        rest: the level of the reading at rest, one for all regions or one for each, which is
            subtracted. [unit of the reading]
        scale: what the rest is multiplied by. [any unit]
        resolution: the longest part that is averaged: as many steps of the run as divide the period
            and are not longer; one at least. [ms]
        weights: the kernel as a table, which `prepared` fills in; leave it out. [1]

    Raises:
        TypeError: if `kernel` is no function.
        ValueError: if a period is missing or not positive, or the kernel does not return one value
            per time.

    Warns:
        UserWarning: if `period` is below 50 ms, or `length` is 100 ms or less, as times in s would be.

    Source:
        G. Boynton et al., J. Neurosci. 16, 4207 (1996), for BOLD as a linear response.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=1.0)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(0.1 * jnp.eye(2)))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> bold = cf.observe.KernelBold("x", period=720.0, kernel=cf.observe.gamma_kernel)
        >>> _, seen = cf.simulate(net, state, params, steps=10 * 720, measure=bold)
        >>> _, x = cf.simulate(net, state, params, steps=10 * 720, record="x")
        >>> _, kept = cf.observe.bold_from_kernel(x, cf.observe.gamma_kernel, dt=1.0, period=720.0)
        >>> seen.shape, bool(jnp.allclose(seen, kept, atol=1e-6))
        ((10, 2), True)
    """

    kernel: Callable[[Any], Any] = eqx.field(kw_only=True)
    length: float = eqx.field(
        default=32_000.0, static=True, kw_only=True, converter=partial(as_milliseconds, "length")
    )
    weights: Float[Array, "part sample"] | None = eqx.field(default=None, kw_only=True, repr=False)

    def __check_init__(self):
        if not callable(self.kernel):
            raise TypeError(
                "`kernel` must be a function of the time since the activity, not "
                f"{type(self.kernel).__name__}: give the values of an array to `bold_from_kernel`."
            )
        require_positive("length", self.length, "ms")

    def prepared(self, dt, part):
        """Return this with the kernel tabulated for parts of so many readings."""
        weights = kernel_weights(self.kernel, part * dt, self.period or 0.0, self.length)
        return dataclasses.replace(self, weights=weights)

    def init(self, reading) -> KernelState:
        """Return the state without a past."""
        reading = self.require_activity(reading)
        return kernel_init(reading, self._table())

    def step(self, state, readings, dt) -> KernelState:
        """Return the state with what the part adds to the coming samples."""
        return kernel_step(state, self.activity(readings), self._table())

    def sample(self, state) -> tuple[KernelState, Float[Array, " region"]]:
        """Return the state as it is, and the sum that is done. [unit of the activity]."""
        return state, state.pending[0]

    def _table(self) -> Float[Array, "part sample"]:
        if self.weights is None:
            raise ValueError(
                "`kernel` is tabulated first: `prepared(dt, part)` returns what steps."
            )
        return self.weights
