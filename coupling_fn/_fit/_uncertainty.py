"""How sure a fit is, by the curvature at its end."""

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float

from .._core import PyTree, Where, as_float, compiled, require_choice, require_positive
from ..transforms import Transform
from ._curvature import Curvature, curvature_of, judge, names_of_values
from ._derivatives import DERIVATIVES, Derivative, is_symmetric, reads_pairs, value_and_jacobian
from ._leaves import (
    Fitted,
    Unconstrained,
    basis,
    fitted_leaves,
    flatten,
    is_float,
    one_float,
    size_of,
    told,
)


class Uncertainty(eqx.Module):
    """What the curvature at a minimum says about the fitted values; `print` shows a table.

    The curvature is taken in unconstrained values, of which the leaves are functions (`transform`).

    Attributes:
        estimate: the fitted leaves, as `where` returns them. [unit of each leaf]
        error: their standard errors, likewise; infinite where the data do not determine a value.
            [unit of each leaf]
        lower: the lower ends of their 95 % intervals, likewise. They lie 1.96 standard errors away in
            the unconstrained values, so that they keep to the range of the leaf; where an entry of a
            leaf depends on several unconstrained values, 1.96 of its own errors away. [unit of
            each leaf]
        upper: the upper ends, likewise. [unit of each leaf]
        names: one name per unconstrained value.
        covariance: that of the unconstrained values, without the directions that are not
            identified. [1]
        information: the Hessian of the negative log-likelihood in the unconstrained values, or its
            Gauss-Newton part. [1]
        eigenvalues: those of the information, scaled so that its diagonal is 1, the smallest first:
            1 where values are independent, 0 where changes of several cancel. [1]
        directions: their unit vectors, one per row. [1]
        identified: which unconstrained values the data determine.
        distance: how far the minimum of the parabola at the estimate lies away, in standard
            errors; much less than 1 at the end of a fit that has arrived. [1]
        warned: what is wrong, in words; empty if nothing is.

    Example:
        >>> data = jnp.asarray([0.9, 1.1, 1.3, 0.7])
        >>> def residuals(params):
        ...     return params["mean"] - data
        >>> at = {"mean": jnp.asarray(1.0)}
        >>> sure = cf.uncertainty(residuals, at, where=lambda p: p["mean"])
        >>> round(float(sure.error), 3), sure.identified.tolist(), sure.names  # 0.258 / √4
        (0.129, [True], ("params['mean']",))
        >>> sure.sloppy()
        ("+1.00 params['mean']",)
    """

    estimate: PyTree
    error: PyTree
    lower: PyTree
    upper: PyTree
    names: tuple[str, ...]
    covariance: Float[np.ndarray, "number number"]
    information: Float[np.ndarray, "number number"]
    eigenvalues: Float[np.ndarray, " direction"]
    directions: Float[np.ndarray, "direction number"]
    identified: Bool[np.ndarray, " number"]
    distance: float
    warned: tuple[str, ...]

    def sloppy(self, count: int = 1) -> tuple[str, ...]:
        """Return in words the `count` directions that the data say least about."""
        return tuple(_in_words(row, self.names) for row in self.directions[:count])

    def __str__(self) -> str:
        parts = (self.estimate, self.error, self.lower, self.upper)
        columns = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(p)]) for p in parts]
        names = list(self.names) if len(self.names) == len(columns[0]) else []
        names = names or [f"number {i}" for i in range(len(columns[0]))]
        width = max(map(len, names))
        rows = [
            f"{name:{width}}  {x:.6g} ± {e:.2g}  [{low:.4g}, {high:.4g}]"
            for name, x, e, low, high in zip(names, *columns, strict=True)
        ]
        return "\n".join([*rows, f"least determined: {self.sloppy()[0]}", *self.warned])


def uncertainty(
    loss: Callable[[Any], Float[Array, ""] | Float[Array, "..."]],
    params: PyTree,
    *,
    where: Where,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    noise: Any = None,
    derivative: Derivative = "auto",
) -> Uncertainty:
    r"""Compute standard errors at a minimum, and find what the data do not determine.

    Where `loss` returns one float it is a negative log-likelihood, and the information is its
    Hessian $H$, by forward-over-reverse products. Where it returns residuals $r$, the information
    is that of independent normal noise, $J^\top J / \sigma^2$ (Fisher's, and the Gauss-Newton part
    of the Hessian), with $\sigma^2 = \sum r^2 / (\text{residuals} - \text{fitted values})$ unless
    `noise` says otherwise. The covariance is its inverse. A mean of squares or an FC distance is no
    negative log-likelihood, and errors from it mean nothing: return its residuals instead. The
    entries of an FC are not independent; `observe.fc_residuals` makes independent ones of them, and
    `bootstrap` over blocks of the recording needs no such formula.

    Args:
        loss: pure function of `params`: a negative log-likelihood, or residuals of any shape.
        params: where the fit ended, `FitResult.params`.
        where: the leaves to judge, as in `fit`.
        transform: as in `fit`. The information is then in the unconstrained values, such as one per
            pair of a symmetric matrix, and errors are carried over to the leaves.
        noise: standard deviation of the residuals; 1 if they are divided by it already. [unit of
            the residuals]
        derivative: that of residuals. "forward" costs one run per fitted value, "reverse" one per
            residual; "auto" is forward where the loss has that derivative (in a network with
            delays by `simulate(derivative="forward")`), and else warns where that is much slower.

    Returns:
        The estimate with its standard errors and 95 % intervals, and the directions that the data
        do not determine.

    Raises:
        TypeError: if the loss returns neither a float nor residuals, or a leaf cannot be fitted.
        ValueError: if the loss is not finite, there are no more residuals than fitted values, or
            `noise` is given for a loss that returns one float.

    Warns:
        UserWarning: if a value is not identified, `params` is no minimum, or the residuals are
            entries of a symmetric matrix such as FC, which are not independent.

    Source:
        G. Seber, C. Wild, Nonlinear Regression (1989), ch. 2 and 5; for directions, J. Waterfall
        et al., Phys. Rev. Lett. 97 (2006) 150601.

    Example:
        >>> t = jnp.arange(5.0)
        >>> data = jnp.asarray([0.1, 0.9, 2.1, 2.9, 4.0])
        >>> line = lambda p: p["slope"] * t + p["height"] - data
        >>> at = {"slope": jnp.asarray(0.98), "height": jnp.asarray(0.04)}
        >>> sure = cf.uncertainty(line, at, where=lambda p: (p["slope"], p["height"]))
        >>> print(sure)
        params['slope']   0.98 ± 0.035  [0.9121, 1.048]
        params['height']  0.04 ± 0.085  [-0.1263, 0.2063]
        least determined: +0.71 params['height'], -0.71 params['slope']
    """
    require_choice("derivative", derivative, DERIVATIVES)
    loss = told("uncertainty", "loss", loss)
    fitted = fitted_leaves("uncertainty", params, where, transform)
    at = fitted.start()
    shape = jax.eval_shape(lambda u: loss(fitted.at(u)), at)
    if not (isinstance(shape, jax.ShapeDtypeStruct) and is_float(shape)):
        raise TypeError(
            "`loss` must return one float, a negative log-likelihood, or an array of residuals, "
            f"not {eqx.tree_pformat(shape)}."
        )
    if shape.ndim == 0 and noise is not None:
        raise ValueError("`noise` is that of residuals; this loss returns one float. Leave it out.")
    if shape.ndim == 0:
        found = _Information(*_hessian(loss, fitted, at))
    else:
        residuals, jacobian = _jacobian(loss, fitted, at, derivative)
        found = _of_residuals(residuals, jacobian, noise, size_of(at))
        found = found._replace(residuals=np.asarray(residuals).reshape(shape.shape))
    if not (np.isfinite(found.value) and np.isfinite(found.matrix).all()):
        raise ValueError(
            "The loss and its derivatives must be finite at `params`; some are not. Fit first, or "
            "look at what the loss computes there."
        )
    precision = float(jnp.finfo(shape.dtype).eps) ** 0.5
    doubts = [DEPENDENT] if _depend(loss, fitted, at, shape, found) else []
    judged = _judged(fitted, at, found, precision, doubts)
    for message in judged.warned:
        warnings.warn(message, UserWarning, stacklevel=2)
    return judged


DEPENDENT = (
    "These residuals are entries of a matrix such as FC, and not independent: the errors are too small. "
    "Whiten them: cf.observe.fc_residuals(fc, target, samples), with noise=1.0."
)


def _depend(
    loss: Any, fitted: Fitted, at: Unconstrained, shape: Any, found: "_Information"
) -> bool:
    """Return whether residuals are the entries of a symmetric matrix, in pairs or as a whole."""
    size = math.isqrt(math.prod(shape.shape))
    whole = shape.shape in ((size, size), (size * size,))  # a matrix, or one that was raveled
    if whole and found.residuals is not None and is_symmetric(found.residuals.reshape(size, size)):
        return True
    return reads_pairs(lambda u: loss(fitted.at(u)), at)


class _Information(NamedTuple):
    """The negative log-likelihood at a point: its value, slope and information; and the residuals."""

    value: Any
    slope: Any
    matrix: Any
    residuals: np.ndarray | None = None


def _of_residuals(residuals: Array, jacobian: Array, noise: Any, count: int) -> _Information:
    """Return the information of residuals with independent normal noise, for `count` values."""
    r, j = np.asarray(residuals, np.float64), np.asarray(jacobian, np.float64)
    if noise is None and r.size <= count:
        raise ValueError(
            f"There are {r.size} residuals for {count} fitted values: no noise can be told from "
            "them. Give `noise`."
        )
    if noise is None:
        variance = max((r**2).sum() / (r.size - count), np.finfo(float).tiny)
    else:
        noise = as_float("noise", noise)
        require_positive("noise", noise)
        variance = float(noise) ** 2
    return _Information(r @ r / variance / 2, j.T @ r / variance, j.T @ j / variance)


@compiled
def _hessian(loss: Any, fitted: Fitted, at: Unconstrained) -> tuple[Array, Array, Array]:
    def gradient(unconstrained: Unconstrained) -> Any:
        return jax.value_and_grad(lambda u: one_float(loss(fitted.at(u))))(unconstrained)

    def product(direction: Unconstrained) -> Array:
        return flatten(jax.jvp(lambda u: gradient(u)[1], (at,), (direction,))[1])

    value, slope = gradient(at)
    return value, flatten(slope), lax.map(product, basis(at), batch_size=8)


@compiled
def _jacobian(loss: Any, fitted: Fitted, at: Unconstrained, derivative: str) -> tuple[Array, Array]:
    return value_and_jacobian(lambda u: loss(fitted.at(u)), at, derivative)


def _judged(
    fitted: Fitted, at: Unconstrained, found: _Information, precision: float, doubts: list[str]
) -> Uncertainty:
    slope = np.asarray(found.slope, np.float64)
    curvature = curvature_of(np.asarray(found.matrix, np.float64), precision)
    covariance, lost = curvature.covariance, curvature.lost
    distance = float(np.sqrt(max(slope @ covariance @ slope, 0.0)))
    names = names_of_values(fitted, at)
    values, errors, lower, upper = judge(fitted, at, covariance, lost)
    return Uncertainty(
        estimate=fitted.as_where(values),
        error=fitted.as_where(errors),
        lower=fitted.as_where(lower),
        upper=fitted.as_where(upper),
        names=names,
        covariance=covariance,
        information=curvature.information,
        eigenvalues=curvature.eigenvalues,
        directions=curvature.vectors.T,
        identified=~lost,
        distance=distance,
        warned=(*doubts, *_doubts(curvature, distance, names)),
    )


def _doubts(curvature: Curvature, distance: float, names: tuple[str, ...]) -> list[str]:
    """Return in words what is wrong with a minimum."""
    doubts = []
    weak = curvature.weak
    for bent, row in zip(curvature.bent[weak], curvature.vectors.T[weak], strict=True):
        moves = _in_words(row, names)
        doubts.append(
            f"No minimum: the loss falls along {moves}. Fit on from there."
            if bent
            else f"Not identified: the loss does not change along {moves}."
        )
    if distance > 1:
        doubts.append(
            f"The fit has not arrived: a minimum lies {distance:.2g} standard errors off."
        )
    return doubts


def _in_words(row: np.ndarray, names: tuple[str, ...]) -> str:
    """Return the parts of a direction, the largest first, down to a tenth."""
    order = np.argsort(-np.abs(row), kind="stable")
    kept = [i for i in order if abs(row[i]) > 0.1][:6]
    # Parts of equal size are ordered by name, so that rounding does not order them.
    kept.sort(key=lambda i: (-round(abs(float(row[i])), 2), names[i]))
    sign = np.sign(row[kept[0]])
    return ", ".join(f"{sign * row[i]:+.2f} {names[i]}" for i in kept)
