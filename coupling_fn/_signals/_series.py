"""What all measurements of a record share: checks of its shape, windows, and safe arithmetic.

A record is (time, region). Row n is the state after step n + 1, at time (n + 1) · dt; row 0 is
therefore at dt and not at 0.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import gammaln
from jaxtyping import Float

from .._core import as_float, as_steps, known

# The shortest period of BOLD that is taken for one in ms. [ms]
SHORTEST_TR = 50.0


def as_series(name: str, x: Any, samples: int) -> Float[Array, "time region"]:
    """Return `x` as floats (time, region), with at least `samples` samples and one region."""
    if names := getattr(x, "_fields", None) or (tuple(x) if isinstance(x, Mapping) else None):
        raise TypeError(
            f"`{name}` must be one array (time, region); got a {type(x).__name__} of {len(names)}. "
            f"Pass one of its parts: {', '.join(map(str, names))}."
        )
    x = as_float(name, x)
    if x.ndim != 2 or x.shape[0] < samples or x.shape[1] < 1:
        way_out = f" One region's series is `{name}[:, None]`." if x.ndim == 1 else ""
        wanted = f"{samples} sample{'s' if samples > 1 else ''} or more"
        raise ValueError(
            f"`{name}` must have shape (time, region), with {wanted}; got shape {x.shape}.{way_out}"
        )
    return x


def as_windows(
    name: str, signals: Array, dt: float, window: float, least: int, size: int | None = None
) -> int:
    """Return the number of samples in a window, after checking that one window fits the record.

    `size` is that number, where it is not simply `window` in steps of `dt`.
    """
    size = as_steps("window", window, dt) if size is None else size
    if size < least:
        raise ValueError(
            f"`window` must span {least} samples or more, of {dt} ms each; got {size}."
        )
    if len(signals) < size:
        raise ValueError(
            f"`{name}` must be at least one window long, {size} samples of {dt} ms; got "
            f"{len(signals)} samples."
        )
    return size


def into_periods(
    name: str, signals: Any, dt: float, period: float
) -> Float[Array, "period step region"]:
    """Cut a record into whole periods; a remainder is an error, because it would be lost."""
    every = as_steps("period", period, dt)
    signals = as_series(name, signals, samples=1)
    samples, regions = signals.shape
    if samples % every:
        whole = samples - samples % every
        way_out = f"`{name}[:{whole}]` would fit." if whole else "Record for longer."
        raise ValueError(
            f"`{name}` must be a whole number of periods long, each of {every} samples; got "
            f"{samples} samples. {way_out}"
        )
    return signals.reshape(samples // every, every, regions)


def warn_of_seconds(
    name: str, time: Any, longest: float, what: str = "what it stands for", stacklevel: int = 3
) -> None:
    """Warn of a time of up to `longest` ms that would be plausible in s; 0 is no time in s."""
    if known(time) and ((np.asarray(time) > 0) & (np.asarray(time) <= longest)).any():
        warnings.warn(
            f"`{name}` is in ms, and {time} ms is too short for {what}. If it is in s, multiply it by "
            "1000.",
            stacklevel=stacklevel,
        )


def warn_of_short_tr(period: Any, stacklevel: int = 3) -> None:
    """Warn of a period of BOLD that is shorter than that of any scanner, and would be one in s."""
    if known(period) and period < SHORTEST_TR:
        warn_of_seconds("period", period, SHORTEST_TR, "a TR", stacklevel=stacklevel + 1)


def as_time(name: str, x: Any) -> Array:
    """Return a time constant of a haemodynamic response as floats; warn if it would be one in s."""
    x = as_float(name, x)
    warn_of_seconds(name, x, 10.0, "a haemodynamic response", stacklevel=4)
    return x


def deviations(x: Float[Array, "time *rest"]) -> Float[Array, "time *rest"]:
    """Return how far each column is from its mean, in units of its largest deviation."""
    # After the first sample is subtracted, a column that does not vary is exactly 0, and a signal
    # of 1e-3 around -65 keeps its digits in float32. What is computed from the result depends
    # neither on the first sample nor on the unit, so neither has a derivative.
    x = x - lax.stop_gradient(x[:1])
    x = x - x.mean(axis=0, keepdims=True)
    largest = lax.stop_gradient(jnp.abs(x).max(axis=0, keepdims=True))
    return x / jnp.where(largest == 0, 1, largest)


def unit(x: Float[Array, "time *rest"]) -> Float[Array, "time *rest"]:
    """Return each column centred and of length 1, or 0 where it does not vary."""
    x = deviations(x)
    square = jnp.square(x).sum(axis=0, keepdims=True)
    # Both `where`s are needed: the inner one keeps 0 / 0 out of the gradient.
    return jnp.where(square == 0, 0, x / jnp.sqrt(jnp.where(square == 0, 1, square)))


def root(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the square root; at 0 its gradient is 0, not infinite."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def norm(x: Float[Array, "*shape"]) -> Float[Array, ""]:
    """Return the root of the sum of squares; at 0 its gradient is 0, and no square underflows."""
    largest = lax.stop_gradient(jnp.abs(x).max())
    largest = jnp.where(largest == 0, 1, largest)
    return largest * root(jnp.square(x / largest).sum())


def within(x: Float[Array, "*shape"], low: int, high: int) -> Float[Array, "*shape"]:
    """Cut off what rounding adds beyond a range, and leave gradients as they are."""
    return x + lax.stop_gradient(jnp.clip(x, low, high) - x)


def gamma_density(u: Array, a: Array) -> Array:
    """Compute u^(a - 1) e^(-u) / Γ(a), and 0 for u < 0."""
    positive = jnp.where(u > 0, u, 1)  # with the outer `where` alone, gradients would be NaN
    density = jnp.exp((a - 1) * jnp.log(positive) - positive - gammaln(a))
    return jnp.where(u > 0, density, jnp.where((u == 0) & (a == 1), 1, 0))
