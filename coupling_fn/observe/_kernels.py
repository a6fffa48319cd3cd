"""BOLD by a haemodynamic kernel: the response to a moment of activity, summed over the past.

The state between samples is not the past itself, but what the past adds to each coming sample: one
row per period within the kernel's length, however short the steps are.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._core import (
    Scalar,
    as_float,
    as_steps,
    known,
    require_no_nan,
    require_positive,
    require_shape,
    scan,
)
from .._signals import as_time, gamma_density, into_periods, warn_of_seconds, warn_of_short_tr
from ._balloon_params import require_fraction

Kernel = Callable[[Any], Any] | Num[ArrayLike, " lag"]


def first_order_volterra_kernel(
    t: Num[ArrayLike, "*shape"],
    *,
    tau_s: Scalar = 800.0,
    tau_f: Scalar = 400.0,
    k1: Scalar = 5.6,
    V0: Scalar = 0.02,
) -> Float[Array, "*shape"]:
    r"""Compute the response of the Balloon model to first order.

    $h(t) = \frac{k_1 V_0}{3 \omega} e^{-t / 2 \tau_s} \sin \omega t$, with $\omega =
    \sqrt{1 / \tau_f - 1 / 4 \tau_s^2}$, 0 for $t < 0$, and all times in s ($\tau_f$ is in s² and
    was published in s).

    Args:
        t: time since the activity. [ms]
        tau_s: decay time of the vasodilatory signal. [ms]
        tau_f: time constant of the feedback of the flow. [ms]
        k1: first coefficient of the BOLD equation. [1]
        V0: share of venous blood at rest, a fraction: 0.02, not 2 for percent. [1]

    Returns:
        The response to one unit of activity for one ms. [1/ms]

    Raises:
        ValueError: if 4 τ_s² is not above τ_f (in s), so that nothing oscillates; or V0 is 1 or more.

    Source:
        K. Friston et al., NeuroImage 12, 466 (2000).

    Example:
        >>> t = jnp.arange(0.0, 20_000.0)
        >>> h = cf.observe.first_order_volterra_kernel(t)
        >>> float(t[h.argmax()]) / 1000  # time of its peak, in s
        0.802
    """
    require_fraction("V0", V0)
    tau_s, tau_f = (as_time(name, x) / 1000 for name, x in (("tau_s", tau_s), ("tau_f", tau_f)))
    squared = 1 / tau_f - 1 / (4 * tau_s**2)
    if known(squared) and not (np.asarray(squared) > 0).all():
        raise ValueError(
            f"`tau_f` must be below 4 tau_s² (both in s), so that the kernel oscillates; got {tau_f}."
        )
    w, t = jnp.sqrt(squared), as_float("t", t)
    s = t / 1000
    return jnp.where(t < 0, 0, k1 * V0 / 3 * jnp.exp(-s / (2 * tau_s)) * jnp.sin(w * s) / w / 1000)


def gamma_kernel(
    t: Num[ArrayLike, "*shape"],
    *,
    tau: Scalar = 1080.0,
    n: Scalar = 3.0,
    delay: Scalar = 0.0,
) -> Float[Array, "*shape"]:
    r"""Compute the response of a chain of n equal stages; its area is 1.

    $h(t) = (u / \tau)^{n - 1} e^{-u / \tau} / (\tau\, \Gamma(n))$, with $u = t - \delta$.

    Args:
        t: time since the activity. [ms]
        tau: time constant of a stage. [ms]
        n: number of stages, which need not be whole. [1]
        delay: $\delta$, time before the response begins. [ms]

    Returns:
        The response to one unit of activity for one ms. [1/ms]

    Source:
        G. Boynton et al., J. Neurosci. 16, 4207 (1996).

    Example:
        >>> t = jnp.arange(0.0, 30_000.0)
        >>> h = cf.observe.gamma_kernel(t)
        >>> float(t[h.argmax()]), round(float(h.sum()), 3)  # the peak is at (n - 1) tau
        (2160.0, 1.0)
    """
    t, n, tau, delay = (
        as_float("t", t),
        as_float("n", n),
        as_time("tau", tau),
        as_time("delay", delay),
    )
    require_no_nan("t", t)
    require_positive("tau", tau, "ms")
    return gamma_density((t - delay) / tau, n) / tau


def double_exponential_kernel(
    t: Num[ArrayLike, "*shape"],
    *,
    tau1: Scalar = 7220.0,
    frequency1: Scalar = 0.03,
    amplitude1: Scalar = 0.1,
    tau2: Scalar = 7400.0,
    frequency2: Scalar = 0.12,
    amplitude2: Scalar = 0.1,
) -> Float[Array, "*shape"]:
    r"""Compute a response that is the difference of two damped oscillations.

    $h(t) = a_1 e^{-t / \tau_1} \sin 2 \pi f_1 t - a_2 e^{-t / \tau_2} \sin 2 \pi f_2 t$, and 0 for
    $t < 0$.

    Args:
        t: time since the activity. [ms]
        tau1: $\tau_1$, decay time of the first oscillation. [ms]
        frequency1: $f_1$, frequency of the first. [Hz]
        amplitude1: $a_1$, amplitude of the first. [1/s]
        tau2: $\tau_2$, decay time of the second oscillation. [ms]
        frequency2: $f_2$, frequency of the second. [Hz]
        amplitude2: $a_2$, amplitude of the second. [1/s]

    Returns:
        The response to one unit of activity for one ms. [1/ms]

    Source:
        A. Polonsky et al., Nat. Neurosci. 3, 1153 (2000).

    Example:
        >>> t = jnp.arange(0.0, 30_000.0)
        >>> h = cf.observe.double_exponential_kernel(t)
        >>> round(float(t[h.argmax()]) / 1000, 1)  # time of its peak, in s
        5.9
    """
    t, tau1, tau2 = as_float("t", t), as_time("tau1", tau1), as_time("tau2", tau2)

    def damped(tau, frequency, amplitude):
        turns = jnp.sin(2 * np.pi * frequency * t / 1000)
        return amplitude * jnp.exp(-t / tau) * turns / 1000

    first = damped(tau1, frequency1, amplitude1)
    return jnp.where(t < 0, 0, first - damped(tau2, frequency2, amplitude2))


def mixture_of_gammas_kernel(
    t: Num[ArrayLike, "*shape"],
    *,
    shape1: Scalar = 6.0,
    shape2: Scalar = 13.0,
    scale: Scalar = 1000.0,
    undershoot: Scalar = 0.4,
) -> Float[Array, "*shape"]:
    r"""Compute a response with a peak and a later undershoot; its area is 1 − `undershoot`.

    $h(t) = g_{a_1}(t / b) / b - c\, g_{a_2}(t / b) / b$, with $g_a(u) = u^{a - 1} e^{-u} /
    \Gamma(a)$.

    Args:
        t: time since the activity. [ms]
        shape1: $a_1$, shape of the peak. [1]
        shape2: $a_2$, shape of the undershoot. [1]
        scale: $b$, time scale of both. [ms]
        undershoot: $c$, area of the undershoot. [1]

    Returns:
        The response to one unit of activity for one ms. [1/ms]

    Source:
        G. Glover, NeuroImage 9, 416 (1999). Shapes 6 and 16 with an undershoot of 1/6 are the
        canonical response of statistical parametric mapping.

    Example:
        >>> t = jnp.arange(0.0, 60_000.0)
        >>> h = cf.observe.mixture_of_gammas_kernel(t)
        >>> round(float(h.sum()), 3), bool(h[15_000] < 0)
        (0.6, True)
    """
    t, scale = as_float("t", t), as_time("scale", scale)
    a1, a2 = as_float("shape1", shape1), as_float("shape2", shape2)
    u = t / scale
    return (gamma_density(u, a1) - undershoot * gamma_density(u, a2)) / scale


class KernelState(NamedTuple):
    """What the past adds to each coming BOLD sample.

    Attributes:
        pending: the sums so far, with the current sample first. [unit of BOLD]
        step: number of steps done within the current period. [1]

    Example:
        >>> weights = cf.observe.kernel_weights(jnp.array([3.0, 2.0, 1.0]), dt=0.5, period=1.0)
        >>> state = cf.observe.kernel_init(jnp.ones(1), weights)
        >>> state = cf.observe.kernel_step(state, jnp.ones(1), weights)
        >>> state.pending[:, 0].tolist(), int(state.step)
        ([1.0, 0.0], 1)
    """

    pending: Float[Array, "sample region"]
    step: Int[Array, ""]


def kernel_weights(
    kernel: Kernel, dt: float, period: float, length: float = 32_000.0
) -> Float[Array, "step sample"]:
    r"""Tabulate a kernel: what each step of a period adds to this and each later BOLD sample.

    $w_{sm} = h((S - 1 - s + m S)\, \Delta t)\, \Delta t$ for step $s$ of the $S$ steps of a period
    and the $m$-th sample from now.

    Args:
        kernel: a function of the time since the activity [ms], or its values at 0, dt, 2 dt, ...
            [1/ms]
        dt: time step. [ms]
        period: time from one BOLD sample to the next (TR), a multiple of dt. [ms]
        length: time at which a function is cut off; of an array, all values are used. [ms]

    Returns:
        The weights, kernel times dt. [1]

    Raises:
        ValueError: if `period` is not a multiple of dt, the kernel does not return one value per
            time, or `length` is below dt.

    Warns:
        UserWarning: if a function comes with a `period` below 50 ms, or a `length` of 100 ms or less,
            as times in s would be.

    Example:
        >>> cf.observe.kernel_weights(jnp.array([3.0, 2.0, 1.0]), dt=0.5, period=1.0).tolist()
        [[1.0, 0.0], [1.5, 0.5]]
    """
    every, dt = as_steps("period", period, dt), float(dt)
    if callable(kernel):
        require_positive("length", length, "ms")
        if length < dt:
            raise ValueError(f"`length` must be dt, {dt} ms, or more; got {length}.")
        warn_of_short_tr(period)
        warn_of_seconds("length", length, 100.0, "a haemodynamic kernel")
        lags = math.ceil(length / dt - 1e-6)
        values = as_float("kernel(t)", kernel(dt * jnp.arange(lags, dtype=float)))
        require_shape("kernel(t)", values, (lags,), meaning="Give one value per time.")
    else:
        values = as_float("kernel", kernel)
        if values.ndim != 1 or not values.size:
            raise ValueError(f"`kernel` must be one row of values; got shape {values.shape}.")
    padded = jnp.pad(values * dt, (0, -len(values) % every))
    # The last step of a period is at the time of the sample itself, so it gets the kernel at 0.
    return padded.reshape(-1, every).T[::-1]


def kernel_init(
    activity: Num[ArrayLike, " region"], weights: Float[Array, "step sample"]
) -> KernelState:
    """Return the state without a past, with the regions and the dtype of `activity`.

    Args:
        activity: one value per region; only its shape and its dtype are read. [any unit]
        weights: from `kernel_weights`.

    Returns:
        The state, 0 everywhere.

    Example:
        >>> weights = cf.observe.kernel_weights(cf.observe.gamma_kernel, dt=1.0, period=1000.0)
        >>> cf.observe.kernel_init(jnp.ones(3), weights).pending.shape
        (32, 3)
    """
    activity = jnp.asarray(activity)
    pending = jnp.zeros((weights.shape[1], *activity.shape), activity.dtype)
    return KernelState(pending, jnp.asarray(0))


def kernel_step(
    state: KernelState, activity: Num[ArrayLike, " region"], weights: Float[Array, "step sample"]
) -> KernelState:
    """Add the activity of one step to the coming samples: for a scan of your own.

    After the last step of a period, `state.pending[0]` is the BOLD sample.

    Args:
        state: from `kernel_init`, or from the step before.
        activity: how far activity is from its level at rest, at the end of the step. [any unit]
        weights: from `kernel_weights`.

    Returns:
        The state after the step.

    Example:
        >>> weights = cf.observe.kernel_weights(cf.observe.gamma_kernel, dt=1.0, period=1000.0)
        >>> def step(state, activity):
        ...     state = cf.observe.kernel_step(state, activity, weights)
        ...     return state, state.pending[0]
        >>> start = cf.observe.kernel_init(jnp.ones(1), weights)
        >>> _, sums = jax.lax.scan(step, start, jnp.ones((30_000, 1)))
        >>> bold = sums[999::1000]  # the sums at the end of each period
        >>> round(float(bold[-1, 0]), 3)  # constant activity times the area of the kernel
        1.0
    """
    every = len(weights)
    weights = weights.astype(state.pending.dtype)
    pending = jnp.where(state.step == 0, _next(state.pending), state.pending)
    pending = pending + weights[state.step][:, None] * jnp.asarray(activity)[None, :]
    return KernelState(pending, (state.step + 1) % every)


def bold_from_kernel(
    activity: Num[ArrayLike, "time region"],
    kernel: Kernel,
    dt: float,
    period: float,
    *,
    length: float = 32_000.0,
    state: KernelState | None = None,
) -> tuple[KernelState, Float[Array, "sample region"]]:
    r"""Turn a record of activity into BOLD by a haemodynamic kernel.

    $y(t) = \Delta t \sum_{l \ge 0} h(l \Delta t)\, x(t - l \Delta t)$, at $t$ = period, 2 · period,
    and so on. Constant activity gives $x \cdot \Delta t \sum h$, no activity gives 0, and nothing
    depends on when the record began. The last state is all that a further record needs: a record in
    two halves gives the same BOLD as the whole.

    The cost is proportional to time · length / period: a sample at every step costs as much as a
    direct convolution.

    Args:
        activity: how far activity is from its level at rest, as `simulate` records. [any unit]
        kernel: a function of the time since the activity [ms], such as `gamma_kernel` or one of your
            own, which may hold parameters to fit; or its values at 0, dt, 2 dt, ... [1/ms]
        dt: time from one sample of the activity to the next. [ms]
        period: time from one BOLD sample to the next (TR), a multiple of dt. [ms]
        length: time at which a function is cut off; of an array, all values are used. [ms]
        state: what the past adds to the samples of this record; None means no past.

    Returns:
        The last state, and BOLD. [unit of `activity` times that of the kernel's area]

    Raises:
        ValueError: if `period` is not a multiple of dt, `activity` is not (time, region) or not a
            whole number of periods long, or `state` has another shape or stands within a period.

    Source:
        G. Boynton et al., J. Neurosci. 16, 4207 (1996), for BOLD as a linear response.

    Example:
        >>> activity = jnp.full((60_000, 1), 2.0)  # a minute of constant activity
        >>> kernel = cf.observe.gamma_kernel
        >>> _, bold = cf.observe.bold_from_kernel(activity, kernel, dt=1.0, period=2000.0)
        >>> bold.shape, round(float(bold[-1, 0]), 3)
        ((30, 1), 2.0)
    """
    blocks = into_periods("activity", activity, dt, period)
    weights = kernel_weights(kernel, dt, period, length).astype(blocks.dtype)
    state = kernel_init(blocks[0, 0], weights) if state is None else state
    wanted = weights.shape[1], blocks.shape[2]
    require_shape("state.pending", state.pending, wanted, meaning="One row per coming sample.")
    if known(state.step) and np.asarray(state.step) != 0:
        raise ValueError(
            f"`state` must stand at the end of a period; got one {state.step} steps into a period."
        )
    return _run(state, blocks, weights)


@eqx.filter_jit
def _run(state, blocks, weights):
    def through_period(pending, block):
        pending = _next(pending) + jnp.matmul(weights.T, block, precision=lax.Precision.HIGHEST)
        return pending, pending[0]

    pending, bold = scan(through_period, state.pending, blocks)
    return KernelState(pending, state.step), bold


def _next(pending: Float[Array, "sample region"]) -> Float[Array, "sample region"]:
    """Drop the sample that is done, and begin one at the far end."""
    return jnp.concatenate([pending[1:], jnp.zeros_like(pending[:1])])
