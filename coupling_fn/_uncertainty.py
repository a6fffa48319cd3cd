"""How sure a fit is: curvature, profiles and resampling."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.extend.core import jaxpr_as_fun
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from ._check import as_count, as_float, require_choice, require_finite, require_positive
from ._descent import Problem, descend
from ._fit import Derivative, require_optimizer
from ._leaves import Fitted, Free, basis, fitted_leaves, flatten, is_float, one_float, unflatten
from ._sweep import sweep
from ._transform import Transform
from ._types import PyTree, Where

_LBFGS = optax.lbfgs()  # one object, so that the next call finds the compiled descent


class Uncertainty(eqx.Module):
    """What the curvature at a minimum says of the fitted numbers; `print` shows a table.

    Args:
        estimate: the fitted leaves, as `where` gives them.
        error: their standard errors, likewise; infinite where the data do not determine a number.
        lower: the lower ends of their 95 % intervals, 1.96 standard errors away.
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
    require_choice("derivative", derivative, ("auto", "reverse", "forward"))
    fitted = fitted_leaves("uncertainty", params, where, transform)
    free = fitted.start()
    shape = jax.eval_shape(lambda u: loss(fitted.at(u)), free)
    if not (isinstance(shape, jax.ShapeDtypeStruct) and is_float(shape)):
        raise TypeError(
            "`loss` must return one float, a negative log-likelihood, or an array of residuals, "
            f"not {eqx.tree_pformat(shape)}."
        )
    count = sum(u.size for u in free)
    if shape.ndim == 0:
        if noise is not None:
            raise ValueError("`noise` is that of residuals; this loss returns one float.")
        value, slope, information = _hessian(loss, fitted, free)
    else:
        residuals, jacobian = _jacobian(loss, fitted, free, derivative)
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
    stretch = np.asarray(_stretch(fitted, free), np.float64)
    precision = float(jnp.finfo(shape.dtype).eps) ** 0.5
    return _judged(fitted, free, np.asarray(slope, np.float64), information, stretch, precision)


@eqx.filter_jit
def _hessian(loss: Any, fitted: Fitted, free: Free) -> Any:
    def gradient(free: Free) -> Any:
        return jax.value_and_grad(lambda u: one_float(loss(fitted.at(u))))(free)

    def product(direction: Free) -> Array:
        return flatten(jax.jvp(lambda u: gradient(u)[1], (free,), (direction,))[1])

    value, slope = gradient(free)
    return value, flatten(slope), lax.map(product, basis(free), batch_size=8)


@eqx.filter_jit
def _jacobian(loss: Any, fitted: Fitted, free: Free, derivative: str) -> Any:
    traced = jax.make_jaxpr(lambda u: jnp.ravel(loss(fitted.at(u))))(free)
    residuals = lambda u: jaxpr_as_fun(traced)(*u)[0]  # noqa: E731
    if derivative == "auto":
        derivative = "reverse" if "custom_vjp" in str(traced) else "forward"
    if derivative == "forward":
        along = lambda direction: jax.jvp(residuals, (free,), (direction,))  # noqa: E731
        value, columns = jax.vmap(along, out_axes=(None, 1))(basis(free))
        return value, columns
    value, pull = jax.vjp(residuals, free)
    rows = jnp.eye(value.size, dtype=value.dtype)
    return value, lax.map(lambda row: flatten(pull(row)[0]), rows, batch_size=8)


@eqx.filter_jit
def _stretch(fitted: Fitted, free: Free) -> Array:
    """How the leaves move with the numbers, a column a number."""
    leaves = lambda u: flatten(fitted.values(u))  # noqa: E731
    push = lambda direction: jax.jvp(leaves, (free,), (direction,))[1]  # noqa: E731
    return jax.vmap(push, out_axes=1)(basis(free))


def _judged(
    fitted: Fitted, free: Free, slope: Any, information: Any, stretch: Any, precision: float
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
    names = _names(fitted, free)

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

    error = np.sqrt(np.maximum(np.einsum("pi,ij,pj->p", stretch, covariance, stretch), 0.0))
    error = np.where((np.abs(stretch) > 0) @ lost, np.inf, error)
    values = [np.asarray(x) for x in fitted.values(free)]
    errors = [np.asarray(x) for x in unflatten(jnp.asarray(error), tuple(map(jnp.asarray, values)))]
    return Uncertainty(
        estimate=fitted.as_where(values),
        error=fitted.as_where(errors),
        lower=fitted.as_where([x - 1.96 * e for x, e in zip(values, errors, strict=True)]),
        upper=fitted.as_where([x + 1.96 * e for x, e in zip(values, errors, strict=True)]),
        names=names,
        covariance=covariance,
        information=information,
        eigenvalues=eigenvalues,
        directions=vectors.T,
        identified=~lost,
        distance=distance,
        warned=tuple(warned),
    )


def _names(fitted: Fitted, free: Free) -> tuple[str, ...]:
    names = []
    for name, u, value in zip(fitted.names, free, fitted.values(free), strict=True):
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


class Profile(eqx.Module):
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


def profile(
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
) -> Profile:
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
        >>> found = cf.profile(
        ...     loss, at, along=lambda p: p["k"], values=ks, where=lambda p: p["a"]
        ... )
        >>> [round(end, 2) for end in found.interval]
        [1.8, 2.2]
    """
    held = fitted_leaves("profile", params, along)
    values = as_float("values", values)
    require_finite("values", values)
    require_positive("rise", rise)
    if len(held.places) != 1 or np.shape(jax.tree.leaves(params)[held.places[0]]) != ():
        raise ValueError(f"`along` must give one number, not {', '.join(held.names)}.")
    if values.ndim != 1 or len(values) < 3 or not (np.diff(np.asarray(values)) > 0).all():
        raise ValueError("`values` must be three or more, in increasing order.")
    optimizer = _LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    others = None if where is None else fitted_leaves("profile", params, where, transform)
    if others is not None and set(others.places) & set(held.places):
        raise ValueError(f"`where` gives {held.names[0]}, which `along` holds.")
    free = () if others is None else others.start()
    losses, leaves = _profile(loss, held, others, free, optimizer, as_count("steps", steps), values)
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
    return Profile(values, losses, leaves, (low, high), warned)


@eqx.filter_jit
def _profile(loss, held, others, free, optimizer, steps, values):
    def one(value: Array) -> Any:
        there = held.put([value])
        if others is None:
            return one_float(loss(there)), ()
        fitted = eqx.tree_at(lambda f: f.params, others, there)
        least, best = descend(Problem(loss, optimizer, fitted), free, steps)
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


class Bootstrap(eqx.Module):
    """Fits of resampled data.

    Args:
        samples: the fitted leaves of each, as `where` gives them, with a leading axis of samples.
        error: their standard deviations.
        lower: the 2.5 % points.
        upper: the 97.5 % points.
        losses: the smallest loss of each.
    """

    samples: PyTree
    error: PyTree
    lower: PyTree
    upper: PyTree
    losses: Float[np.ndarray, " sample"]


def bootstrap(
    loss: Callable[[Any, Any], Float[Array, ""]],
    params: PyTree,
    data: PyTree,
    key: Array,
    *,
    where: Where,
    samples: int = 200,
    block: int = 1,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 50,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    chunk: int | None = None,
) -> Bootstrap:
    """Fit data drawn anew from the data, many times by vmap: the spread is that of the estimate.

    Nothing is assumed of the noise but that rows are independent: subjects are, windows of one
    recording are not, so draw runs of them (`block`).

    Args:
        loss: pure function of `params` and data, returning one float.
        params: where the fit ended; each fit starts from there.
        data: any pytree of arrays whose leading axis counts subjects or windows.
        key: random key of the draws.
        where: the leaves to fit.
        samples: how many times.
        block: how many rows in a row are drawn together; longer than they remember.
        optimizer: `optax.lbfgs()` if None.
        steps: how many updates each time.
        transform: as in `fit`.
        chunk: how many fits run at once; all if None.

    Raises:
        TypeError: as `fit`.
        ValueError: as `fit`; or if leading axes differ, there are fewer than 2 samples, or `block`
            is longer than the data.

    Source:
        B. Efron, Ann. Stat. 7 (1979) 1-26; for blocks, H. Kunsch, Ann. Stat. 17 (1989) 1217-1241.

    Example:
        >>> heights = jnp.asarray([1.6, 1.7, 1.8, 1.9])
        >>> loss = lambda p, data: jnp.mean((p - data) ** 2)
        >>> at = jnp.asarray(1.75)
        >>> found = cf.bootstrap(loss, at, heights, jax.random.key(0), where=lambda p: p)
        >>> bool(0.03 < found.error < 0.08)  # 0.112 / √4
        True
    """
    fitted = fitted_leaves("bootstrap", params, where, transform)
    optimizer = _LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    counts = {np.shape(x)[:1] for x in jax.tree.leaves(data)}
    if len(counts) != 1 or () in counts:
        raise ValueError(f"All leaves of `data` must have one leading axis alike, not {counts}.")
    ((rows,),) = counts
    if as_count("samples", samples) < 2:
        raise ValueError(f"`samples` must be at least 2, not {samples}.")
    if not 1 <= as_count("block", block) <= rows:
        raise ValueError(f"`block` must be from 1 to {rows}, the rows of `data`, not {block}.")
    one = _Resampled(
        loss, optimizer, fitted, data, fitted.start(), as_count("steps", steps), block, rows
    )
    losses, leaves = sweep(one, jax.random.split(key, samples), chunk=chunk, progress=False)
    leaves = [np.asarray(x) for x in leaves]
    ends = [np.quantile(x, (0.025, 0.975), axis=0) for x in leaves]
    return Bootstrap(
        samples=fitted.as_where(leaves),
        error=fitted.as_where([x.std(0, ddof=1) for x in leaves]),
        lower=fitted.as_where([low for low, _ in ends]),
        upper=fitted.as_where([high for _, high in ends]),
        losses=np.asarray(losses),
    )


class _Resampled(eqx.Module):
    """The fit of one draw: a pytree, so that other data compile nothing."""

    loss: Any
    optimizer: Any
    fitted: Fitted
    data: PyTree
    free: Free
    steps: int = eqx.field(static=True)
    block: int = eqx.field(static=True)
    rows: int = eqx.field(static=True)

    def __call__(self, key: Array) -> Any:
        blocks = -(-self.rows // self.block)
        first = jax.random.randint(key, (blocks, 1), 0, self.rows - self.block + 1)
        chosen = (first + jnp.arange(self.block)[None]).ravel()[: self.rows]
        data = jax.tree.map(lambda x: jnp.asarray(x)[chosen], self.data)
        problem = Problem(lambda params: self.loss(params, data), self.optimizer, self.fitted)
        least, best = descend(problem, self.free, self.steps)
        return least, self.fitted.values(best)
