"""Maps between parameters in their range and the unconstrained values that an optimiser moves."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core import (
    as_float,
    known,
    require_finite,
    require_shape,
)


class Transform(eqx.Module):
    """A one-to-one map from all real numbers onto the range of a parameter.

    `fit` starts at `inverse(parameter)`, lets the optimiser move that value anywhere, and runs the
    loss at `forward(value)`. Define the functions at the top of a file: a `lambda` that is made
    again at each fit is compiled again at each fit.

    Args:
        forward: function from unconstrained values to the parameter.
        inverse: function from the parameter to unconstrained values.
        log_slope: function from unconstrained values to log |d forward / du|, summed over them; by
            default that of a `forward` which acts on each value alone. Only `log_density` asks for
            it.

    Example:
        >>> log = cf.transforms.Transform(forward=jnp.exp, inverse=jnp.log)
        >>> float(log.forward(log.inverse(jnp.asarray(1.0))))
        1.0
    """

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    log_slope: Callable[[Array], Array] | None = None


def log_slope(transform: Transform, u: Array) -> Array:
    """Return the log of how much a transform stretches the volume around `u`, |d forward / du|."""
    if transform.log_slope is not None:
        return transform.log_slope(u)
    _, slope = jax.jvp(transform.forward, (u,), (jnp.ones_like(u),))
    return jnp.sum(jnp.log(jnp.abs(slope)))


def identity() -> Transform:
    """Leave a parameter as it is: it may take any value.

    Returns:
        The transform that returns what it is given.

    Example:
        >>> float(cf.transforms.identity().forward(jnp.asarray(-2.0)))
        -2.0
    """
    return Transform(_same, _same)


def positive() -> Transform:
    """Keep a parameter above 0, by the softplus log(1 + exp(u)).

    Far above 0 it changes nothing, so a step of the optimiser moves the parameter as far there as
    it would without it; near 0 a step multiplies the parameter by a factor. What would round to 0
    becomes the smallest normal number of the dtype.

    Returns:
        The transform onto all positive numbers.

    Raises:
        ValueError: from `inverse`, if a value is 0, negative, infinite or NaN.

    Example:
        >>> speed = cf.transforms.positive()
        >>> bool(speed.forward(jnp.asarray(-30.0)) > 0)
        True
        >>> float(speed.forward(speed.inverse(jnp.asarray(0.5))))
        0.5
    """
    return Transform(_softplus, _softplus_inverse)


def bounded(lower: ArrayLike, upper: ArrayLike) -> Transform:
    """Keep a parameter strictly between two bounds, by a scaled logistic sigmoid.

    Args:
        lower: lower bound, one number or one per element. [unit of the parameter]
        upper: upper bound, likewise. [unit of the parameter]

    Returns:
        The transform onto the numbers between the bounds.

    Raises:
        ValueError: if a bound is infinite or NaN, or `lower` is not below `upper`; from
            `inverse`, if a value is not strictly between them, or the shape of the bounds is
            neither () nor that of the value.

    Example:
        >>> k = cf.transforms.bounded(0.0, 2.0)
        >>> float(k.forward(jnp.asarray(0.0))), float(k.inverse(jnp.asarray(1.0)))
        (1.0, 0.0)
        >>> k.inverse(jnp.asarray(2.5))
        Traceback (most recent call last):
        ValueError: A parameter bounded to (0.0, 2.0) must lie strictly between; it is 2.5.
    """
    lower, upper = as_float("lower", lower), as_float("upper", upper)
    require_finite(
        "lower", lower, "For one bound alone, shift the parameter and use cf.transforms.positive()."
    )
    require_finite(
        "upper", upper, "For one bound alone, shift the parameter and use cf.transforms.positive()."
    )
    require_shape("upper", upper, lower.shape, meaning="That is the shape of `lower`.")
    if known(lower, upper) and not (np.asarray(lower) < np.asarray(upper)).all():
        raise ValueError(f"`lower` must be below `upper`; got {lower} and {upper}.")
    return Transform(
        jax.tree_util.Partial(_between, lower, upper),
        jax.tree_util.Partial(_between_inverse, lower, upper),
    )


def _same(x: Array) -> Array:
    return x


def _softplus(u: Array) -> Array:
    return jnp.maximum(jax.nn.softplus(u), jnp.finfo(u.dtype).tiny)


def _softplus_inverse(x: Array) -> Array:
    x = as_float("x", x)
    _require_inside(x, 0.0, np.inf, "A positive parameter must be above 0 and finite")
    return x + jnp.log(-jnp.expm1(-x))  # log(exp(x) - 1), which would overflow or cancel


def _between(lower: Array, upper: Array, u: Array) -> Array:
    lower, upper = lower.astype(u.dtype), upper.astype(u.dtype)
    # Measured from the nearer bound, a value keeps its digits at both ends. The clip below keeps
    # rounding from reaching a bound.
    width = upper - lower
    x = jnp.where(
        u < 0, lower + width * jax.nn.sigmoid(u), upper - width * jax.nn.sigmoid(-jnp.abs(u))
    )
    tiny = jnp.finfo(u.dtype).tiny
    lowest = jnp.maximum(jnp.nextafter(lower, upper), lower + tiny)
    highest = jnp.minimum(jnp.nextafter(upper, lower), upper - tiny)
    return jnp.clip(x, jax.lax.stop_gradient(lowest), jax.lax.stop_gradient(highest))


def _between_inverse(lower: Array, upper: Array, x: Array) -> Array:
    x = as_float("x", x)
    require_shape(
        "the bounds", lower, (), x.shape, meaning="They are one number, or one per element."
    )
    lower, upper = lower.astype(x.dtype), upper.astype(x.dtype)
    bounds = f"({lower}, {upper})" if known(lower, upper) else "its bounds"
    _require_inside(x, lower, upper, f"A parameter bounded to {bounds} must lie strictly between")
    return jnp.log(x - lower) - jnp.log(upper - x)


def _require_inside(x: Array, lower: ArrayLike, upper: ArrayLike, rule: str) -> None:
    if known(x, lower, upper):
        inside = (np.asarray(x) > np.asarray(lower)) & (np.asarray(x) < np.asarray(upper))
        if not inside.all():
            raise ValueError(f"{rule}; it is {np.asarray(x)[~inside].flat[0]}.")
