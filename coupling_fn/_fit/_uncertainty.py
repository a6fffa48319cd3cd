"""How sure a fit is, by the curvature at its end."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Bool, Float

from .._core import PyTree, Where, as_float, require_choice, require_positive
from ..transforms import Transform
from ._derivatives import DERIVATIVES, Derivative, value_and_jacobian
from ._leaves import (
    Fitted,
    Unconstrained,
    basis,
    fitted_leaves,
    flatten,
    is_float,
    one_float,
    unflatten,
)


class Uncertainty(eqx.Module):
    """What the curvature at a minimum says of the fitted numbers; `print` shows a table.

    Args:
        estimate: the fitted leaves, as `where` gives them.
        error: their standard errors, likewise; infinite where the data do not determine a number.
        lower: the lower ends of their 95 % intervals: 1.96 standard errors away in the numbers that
            the optimiser moves, so that they keep to their range; where a leaf mixes several of
            these, 1.96 of its own errors away.
        upper: the upper ends.
        names: what the optimiser moves, a name a number.
        covariance: of those numbers; without the directions that are not identified.
        information: the Hessian of the negative log-likelihood in them, or its Gauss-Newton part.
        eigenvalues: of the information in units where its diagonal is 1, the smallest first: 1
            where numbers are independent, 0 where changes of several cancel.
        directions: the unit vectors that go with them, a row each.
        identified: which numbers the data determine.
        distance: how far the minimum of the parabola at the estimate lies away, in standard
            errors; a fit that has arrived is at much less than 1.
        warned: what is wrong, in words; empty if nothing is.
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
        """The directions that the data say least about, told by the names of what moves."""
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
    r"""Give standard errors at a minimum, and say what the data do not determine.

    Where `loss` returns one float it is a negative log-likelihood, and the information is its
    Hessian $H$, by forward-over-reverse products. Where it returns residuals $r$, the information
    is that of independent normal noise, $J^\top J / \sigma^2$ (Fisher's, and the Gauss-Newton part
    of the Hessian), with $\sigma^2 = \sum r^2 / (\text{residuals} - \text{numbers})$ unless `noise`
    says otherwise. The covariance is its inverse. A mean of squares or an FC distance is no
    negative log-likelihood, and errors from it mean nothing: return its residuals.

    Args:
        loss: pure function of `params`: a negative log-likelihood, or residuals of any shape.
        params: where the fit ended, `FitResult.params`.
        where: the leaves to judge, as in `fit`.
        transform: as in `fit`; the information is then in the numbers that the optimiser moves, one
            a pair of a symmetric matrix say, and errors are carried over to the leaves.
        noise: standard deviation of the residuals; 1 if they are divided by it already.
        derivative: of residuals: "forward" costs a run a number, "reverse" one a residual; "auto"
            is forward where the loss has it (`simulate(derivative="forward")` in a delayed one).

    Raises:
        TypeError: if the loss returns neither, or a leaf cannot be fitted.
        ValueError: if the loss is not finite, there are no more residuals than numbers, or `noise`
            comes with one float.

    Warns:
        UserWarning: if a number is not identified, or `params` is no minimum.

    Source:
        G. Seber, C. Wild, Nonlinear Regression (1989), ch. 2 and 5; for directions, J. Waterfall
        et al., Phys. Rev. Lett. 97 (2006) 150601.

    Example:
        >>> t = jnp.arange(5.0)
        >>> line = lambda p: p["slope"] * t + p["height"] - jnp.asarray([0.1, 0.9, 2.1, 2.9, 4.0])
        >>> at = {"slope": jnp.asarray(0.98), "height": jnp.asarray(0.04)}
        >>> sure = cf.uncertainty(line, at, where=lambda p: (p["slope"], p["height"]))
        >>> print(sure)
        params['slope']   0.98 ± 0.035  [0.9121, 1.048]
        params['height']  0.04 ± 0.085  [-0.1263, 0.2063]
        least determined: +0.71 params['height'], -0.71 params['slope']
    """
    require_choice("derivative", derivative, DERIVATIVES)
    fitted = fitted_leaves("uncertainty", params, where, transform)
    unconstrained = fitted.start()
    shape = jax.eval_shape(lambda u: loss(fitted.at(u)), unconstrained)
    if not (isinstance(shape, jax.ShapeDtypeStruct) and is_float(shape)):
        raise TypeError(
            "`loss` must return one float, a negative log-likelihood, or an array of residuals, "
            f"not {eqx.tree_pformat(shape)}."
        )
    count = sum(u.size for u in unconstrained)
    if shape.ndim == 0:
        if noise is not None:
            raise ValueError("`noise` is that of residuals; this loss returns one float.")
        value, slope, information = _hessian(loss, fitted, unconstrained)
    else:
        residuals, jacobian = _jacobian(loss, fitted, unconstrained, derivative)
        residuals, jacobian = (np.asarray(x, np.float64) for x in (residuals, jacobian))
        if noise is None and residuals.size <= count:
            raise ValueError(
                f"There are {residuals.size} residuals for {count} numbers: no noise can be told "
                "from them. Give `noise`."
            )
        if noise is None:
            variance = max((residuals**2).sum() / (residuals.size - count), np.finfo(float).tiny)
        else:
            noise = as_float("noise", noise)
            require_positive("noise", noise)
            variance = float(noise) ** 2
        value = residuals @ residuals / variance / 2
        slope, information = (jacobian.T @ x / variance for x in (residuals, jacobian))
    if not (np.isfinite(value) and np.isfinite(information).all()):
        raise ValueError("The loss and its derivatives must be finite at `params`; they are not.")
    stretch = np.asarray(_stretch(fitted, unconstrained), np.float64)
    precision = float(jnp.finfo(shape.dtype).eps) ** 0.5
    return _judged(
        fitted, unconstrained, np.asarray(slope, np.float64), information, stretch, precision
    )


@eqx.filter_jit
def _hessian(loss: Any, fitted: Fitted, unconstrained: Unconstrained) -> Any:
    def gradient(unconstrained: Unconstrained) -> Any:
        return jax.value_and_grad(lambda u: one_float(loss(fitted.at(u))))(unconstrained)

    def product(direction: Unconstrained) -> Array:
        return flatten(jax.jvp(lambda u: gradient(u)[1], (unconstrained,), (direction,))[1])

    value, slope = gradient(unconstrained)
    return value, flatten(slope), lax.map(product, basis(unconstrained), batch_size=8)


@eqx.filter_jit
def _jacobian(
    loss: Any, fitted: Fitted, unconstrained: Unconstrained, derivative: str
) -> tuple[Array, Array]:
    return value_and_jacobian(lambda u: loss(fitted.at(u)), unconstrained, derivative)


@eqx.filter_jit
def _stretch(fitted: Fitted, unconstrained: Unconstrained) -> Array:
    """How the leaves move with the numbers, a column a number."""
    leaves = lambda u: flatten(fitted.values(u))  # noqa: E731
    push = lambda direction: jax.jvp(leaves, (unconstrained,), (direction,))[1]  # noqa: E731
    return jax.vmap(push, out_axes=1)(basis(unconstrained))


def _judged(
    fitted: Fitted,
    unconstrained: Unconstrained,
    slope: Any,
    information: Any,
    stretch: Any,
    precision: float,
) -> Uncertainty:
    information = np.asarray(information, np.float64)
    information = (information + information.T) / 2
    curvature = np.diagonal(information)
    unit = np.where(curvature > 0, np.sqrt(np.abs(curvature)), 1.0)
    eigenvalues, vectors = np.linalg.eigh(information / unit / unit[:, None])
    weak = eigenvalues <= precision * max(eigenvalues[-1], 0.0)
    inverse = np.where(weak, 0.0, 1 / np.where(weak, 1.0, eigenvalues))
    covariance = (vectors * inverse) @ vectors.T / unit / unit[:, None]
    lost = (vectors[:, weak] ** 2).sum(1) > 0.01  # a tenth of a unit along what is not seen
    names = _names(fitted, unconstrained)

    warned = []
    for value, row in zip(eigenvalues[weak], vectors.T[weak], strict=True):
        moves = _in_words(row, names)
        bent = value < -precision * max(eigenvalues[-1], 0.0)
        warned.append(
            f"No minimum: the loss falls along {moves}. Fit on from there."
            if bent
            else f"Not identified: the loss does not change along {moves}."
        )
    distance = float(np.sqrt(max(slope @ covariance @ slope, 0.0)))
    if distance > 1:
        warned.append(
            f"The fit has not arrived: a minimum lies {distance:.2g} standard errors off."
        )
    for message in warned:
        warnings.warn(message, UserWarning, stacklevel=3)

    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    error = np.sqrt(np.maximum(np.einsum("pi,ij,pj->p", stretch, covariance, stretch), 0.0))
    error = np.where((np.abs(stretch) > 0) @ lost, np.inf, error)
    values = [np.asarray(x) for x in fitted.values(unconstrained)]
    errors = [np.asarray(x) for x in unflatten(jnp.asarray(error), tuple(map(jnp.asarray, values)))]
    lower, upper = _interval(fitted, unconstrained, np.where(lost, np.inf, spread), stretch, errors)
    return Uncertainty(
        estimate=fitted.as_where(values),
        error=fitted.as_where(errors),
        lower=fitted.as_where(lower),
        upper=fitted.as_where(upper),
        names=names,
        covariance=covariance,
        information=information,
        eigenvalues=eigenvalues,
        directions=vectors.T,
        identified=~lost,
        distance=distance,
        warned=tuple(warned),
    )


def _interval(
    fitted: Fitted,
    unconstrained: Unconstrained,
    spread: np.ndarray,
    stretch: np.ndarray,
    errors: list[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Both ends for each leaf; `spread` is the standard error of each number that is moved."""
    away = unflatten(jnp.asarray(1.96 * spread), unconstrained)
    ends = [
        [np.asarray(x) for x in fitted.values(tuple(map(move, unconstrained, away)))]
        for move in (jnp.subtract, jnp.add)
    ]
    values = [np.asarray(x) for x in fitted.values(unconstrained)]
    lower, upper, row, column = [], [], 0, 0
    for value, error, u, a, b in zip(values, errors, unconstrained, *ends, strict=True):
        part = stretch[row : row + value.size, column : column + u.size]
        if value.shape == u.shape and (part == np.diag(np.diagonal(part))).all():
            low, high = np.minimum(a, b), np.maximum(a, b)
        else:
            low, high = value - 1.96 * error, value + 1.96 * error
        lower.append(np.asarray(low))
        upper.append(np.asarray(high))
        row, column = row + value.size, column + u.size
    return lower, upper


def _names(fitted: Fitted, unconstrained: Unconstrained) -> tuple[str, ...]:
    names = []
    for name, u, value in zip(
        fitted.names, unconstrained, fitted.values(unconstrained), strict=True
    ):
        name = name if u.shape == value.shape else f"{name} as moved"
        places = np.ndindex(u.shape)
        names += [name + (f"[{', '.join(map(str, at))}]" if at else "") for at in places]
    return tuple(names)


def _in_words(row: np.ndarray, names: tuple[str, ...]) -> str:
    """The parts of a direction, the largest first, down to a tenth."""
    order = np.argsort(-np.abs(row), kind="stable")
    kept = [i for i in order if abs(row[i]) > 0.1][:6]
    # Parts of one size go by name, so that rounding does not order them.
    kept.sort(key=lambda i: (-round(abs(float(row[i])), 2), names[i]))
    sign = np.sign(row[kept[0]])
    return ", ".join(f"{sign * row[i]:+.2f} {names[i]}" for i in kept)
