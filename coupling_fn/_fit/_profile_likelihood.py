"""The loss along one number, with the others fitted anew."""

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

from .._core import PyTree, Where, as_count, as_float, require_finite, require_positive
from ..transforms import Transform
from ._descent import LBFGS, Problem, descend
from ._fit import require_optimizer
from ._leaves import fitted_leaves, one_float


class ProfileLikelihood(eqx.Module):
    """The loss along one number, the others fitted anew at each value.

    Args:
        values: of the number.
        losses: the smallest loss at each.
        leaves: the others there, as `where` gives them, with a leading axis of values.
        interval: where the loss has risen by `rise`, between values by a straight line; infinite
            on a side where it does not, within the values.
        warned: what is wrong, in words; empty if nothing is.
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
    """Hold one number at many values, and fit the others again at each, all at once by vmap.

    A parabola has the interval that `uncertainty` gives. Where a number is not identified the
    profile is flat, and where the other numbers make up for it nearly so.

    Args:
        loss: negative log-likelihood, a pure function of `params` that returns one float.
        params: where the fit ended; the others start from there.
        along: gives the leaf that is held, one number.
        values: where to hold it, in increasing order, about its best one.
        where: the other fitted leaves; None if there are none.
        optimizer: for the others; `optax.lbfgs()` if None.
        steps: how many updates each time.
        transform: ranges of the others, as in `fit`.
        rise: how much the loss rises at the ends of the interval: 1.92, half the 95 % point of
            chi-squared with one degree of freedom.

    Raises:
        TypeError: if `along` gives several leaves; otherwise as `fit`.
        ValueError: if it is not one number, or `values` do not increase.

    Warns:
        UserWarning: if the loss does not rise so much on a side.

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
    held = fitted_leaves("profile_likelihood", params, along)
    values = as_float("values", values)
    require_finite("values", values)
    require_positive("rise", rise)
    if len(held.places) != 1 or np.shape(jax.tree.leaves(params)[held.places[0]]) != ():
        raise ValueError(f"`along` must give one number, not {', '.join(held.names)}.")
    if values.ndim != 1 or len(values) < 3 or not (np.diff(np.asarray(values)) > 0).all():
        raise ValueError("`values` must be three or more, in increasing order.")
    optimizer = LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    others = (
        None if where is None else fitted_leaves("profile_likelihood", params, where, transform)
    )
    if others is not None and set(others.places) & set(held.places):
        raise ValueError(f"`where` gives {held.names[0]}, which `along` holds.")
    unconstrained = () if others is None else others.start()
    losses, leaves = _profile(
        loss, held, others, unconstrained, optimizer, as_count("steps", steps), values
    )
    values, losses = np.asarray(values), np.asarray(losses)
    if not np.isfinite(losses).any():
        raise ValueError("The loss is not finite at any of `values`.")
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


@eqx.filter_jit
def _profile(loss, held, others, unconstrained, optimizer, steps, values):
    def one(value: Array) -> Any:
        there = held.put([value])
        if others is None:
            return one_float(loss(there)), ()
        fitted = eqx.tree_at(lambda f: f.params, others, there)
        least, best = descend(Problem(loss, optimizer, fitted), unconstrained, steps)
        return least, fitted.values(best)

    return jax.vmap(one)(values)


def _crossings(values: np.ndarray, losses: np.ndarray, rise: float) -> tuple[float, float]:
    best, level = int(losses.argmin()), losses.min() + rise

    def end(order: range, beyond: float) -> float:
        for inner, outer in pairwise(order):
            if losses[outer] > level:
                share = (level - losses[inner]) / (losses[outer] - losses[inner])
                return float(values[inner] + share * (values[outer] - values[inner]))
        return beyond

    return end(range(best, -1, -1), -np.inf), end(range(best, len(values)), np.inf)
