"""The loss along one parameter, with the others fitted again at each of its values."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from .._core import PyTree, Where, as_count, as_float, compiled, require_finite, require_positive
from ..transforms import Transform
from ._descent import LBFGS, Problem, descend
from ._fit import require_optimizer
from ._leaves import fitted_leaves, one_float, told


class ProfileLikelihood(eqx.Module):
    """The loss along one parameter, with the others fitted again at each of its values.

    Attributes:
        values: those of the parameter. [unit of the parameter]
        losses: the smallest loss at each value; infinite where it is not finite. [unit of the loss]
        leaves: the others there, as `where` returns them, with a leading axis of values; None if
            there are none. [unit of each leaf]
        interval: the two places where the loss has risen by `rise` above its smallest value, found
            by a straight line between values; infinite on a side where it does not rise so far
            within the values. [unit of the parameter]
        warned: what is wrong, in words; empty if nothing is.

    Example:
        >>> def loss(k):
        ...     return (k - 2.0) ** 2 / 0.02
        >>> at, ks = jnp.asarray(2.0), jnp.linspace(1.5, 2.5, 41)
        >>> found = cf.profile_likelihood(loss, at, along=lambda k: k, values=ks)
        >>> found.values.shape, found.losses.shape, found.leaves
        ((41,), (41,), None)
        >>> round(found.interval[1] - 2.0, 1), found.warned  # a standard deviation of 0.1
        (0.2, '')
    """

    values: Float[np.ndarray, " value"]
    losses: Float[np.ndarray, " value"]
    leaves: PyTree
    interval: tuple[float, float]
    warned: str


def profile_likelihood(
    loss: Callable[[Any], Float[Array, ""]],
    params: PyTree,
    *,
    along: Where,
    values: Float[ArrayLike, " value"],
    where: Where | None = None,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 50,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    rise: float = 1.92,
) -> ProfileLikelihood:
    """Hold one parameter at many values, and fit the others again at each, all at once by vmap.

    Where the loss is a parabola, its interval is that of `uncertainty`. Where the parameter is not
    identified the profile is flat, and where changes of the others can make up for it nearly flat.

    Args:
        loss: negative log-likelihood, a pure function of `params` that returns one float.
        params: where the fit ended; the others start from there.
        along: returns the leaf that is held, one number.
        values: where to hold it, in increasing order, on both sides of its best value. [unit of the
            parameter]
        where: the other fitted leaves; None if there are none.
        optimizer: optimiser of the others; `optax.lbfgs()` if None.
        steps: number of updates at each value. [1]
        transform: ranges of the others, as in `fit`.
        rise: how much the loss rises at the ends of the interval: 1.92, half the 95 % quantile of
            chi-squared with one degree of freedom. [unit of the loss]

    Returns:
        The losses, the other leaves at each value, and the interval.

    Raises:
        TypeError: if `along` returns something other than a leaf; otherwise as `fit`.
        ValueError: if `along` does not return one number, `values` do not increase, or the loss is
            finite at none of them.

    Warns:
        UserWarning: if the loss does not rise by `rise` on each side.

    Source:
        A. Raue et al., Bioinformatics 25 (2009) 1923-1929.

    Example:
        >>> loss = lambda p: (p["k"] - 2.0) ** 2 / 0.02 + (p["a"] - p["k"]) ** 2
        >>> at = {"k": jnp.asarray(2.0), "a": jnp.asarray(2.0)}
        >>> ks = jnp.linspace(1.5, 2.5, 41)
        >>> found = cf.profile_likelihood(
        ...     loss, at, along=lambda p: p["k"], values=ks, where=lambda p: p["a"]
        ... )
        >>> [round(end, 2) for end in found.interval]
        [1.8, 2.2]
    """
    loss = told("profile_likelihood", "loss", loss)
    held = fitted_leaves("profile_likelihood", params, along)
    values = as_float("values", values)
    require_finite("values", values)
    require_positive("rise", rise)
    if len(held.places) != 1 or np.shape(jax.tree.leaves(params)[held.places[0]]) != ():
        raise ValueError(f"`along` must return one number, not {', '.join(held.names)}.")
    if values.ndim != 1 or len(values) < 3 or not (np.diff(np.asarray(values)) > 0).all():
        raise ValueError(f"`values` must be three or more, in increasing order; got {values}.")
    optimizer = LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    others = (
        None if where is None else fitted_leaves("profile_likelihood", params, where, transform)
    )
    if others is not None and set(others.places) & set(held.places):
        raise ValueError(f"`where` must not return {held.names[0]}, which `along` holds.")
    start = () if others is None else others.start()
    losses, leaves = _profile(
        loss, held, others, start, optimizer, as_count("steps", steps), values
    )
    values, losses = np.asarray(values), np.asarray(losses)
    if not np.isfinite(losses).any():
        raise ValueError("The loss must be finite at one of `values` at least; it is at none.")
    losses = np.where(np.isfinite(losses), losses, np.inf)
    low, high = _crossings(values, losses, rise)
    sides = [side for side, end in (("below", low), ("above", high)) if np.isinf(end)]
    warned = ""
    if sides:
        warned = (
            f"The loss does not rise by {rise:g} {' and '.join(sides)} the best {held.names[0]}: "
            "it is not identified within `values`."
        )
        warnings.warn(warned, UserWarning, stacklevel=2)
    leaves = None if others is None else others.as_where([np.asarray(x) for x in leaves])
    return ProfileLikelihood(values, losses, leaves, (low, high), warned)


@compiled
def _profile(loss, held, others, start, optimizer, steps, values):
    def one(value: Array) -> Any:
        there = held.put([value])
        if others is None:
            return one_float(loss(there)), ()
        fitted = eqx.tree_at(lambda f: f.params, others, there)
        best = descend(Problem(loss, optimizer, fitted), start, steps)
        return best.loss, fitted.values(best.unconstrained)

    return jax.vmap(one)(values)


def _crossings(values: np.ndarray, losses: np.ndarray, rise: float) -> tuple[float, float]:
    """Return where the loss crosses `rise` above its smallest value, below and above the best."""
    best, level = int(losses.argmin()), losses.min() + rise

    def end(order: range, beyond: float) -> float:
        for inner, outer in pairwise(order):
            if losses[outer] > level:
                share = (level - losses[inner]) / (losses[outer] - losses[inner])
                return float(values[inner] + share * (values[outer] - values[inner]))
        return beyond

    return end(range(best, -1, -1), -np.inf), end(range(best, len(values)), np.inf)
