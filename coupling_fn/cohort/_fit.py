"""Parameters of each subject of a cohort, of all as one, or of each drawn to the mean of all."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import (
    PyTree,
    Where,
    as_count,
    in_short,
    require_choice,
    require_no_nan,
    require_nonnegative,
    require_positive,
    require_shape,
)
from .._fit import (
    DEPENDENT,
    DERIVATIVES,
    Derivative,
    Fitted,
    at_least_one,
    curvature_of,
    fitted_leaves,
    is_symmetric,
    judge,
    reads_pairs,
    told,
)
from ..transforms import Transform
from ._pooling import Minimum, alone, as_one, held_out, in_part
from ._result import CohortFit, names_in_tables, those, warn_of_lost_ways
from ._squares import Runs, array_of_floats
from ._stack import Cohort, require_cohort


def fit(
    residuals: Callable[[Any, Any], Float[Array, "..."]],
    params: PyTree,
    cohort: Cohort,
    *,
    where: Where,
    penalty: Any = 0.0,
    noise: Any = None,
    scale: Any = None,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    steps: int = 50,
    chunk: int = 1,
    derivative: Derivative = "auto",
) -> CohortFit:
    r"""Fit some leaves of `params` to each subject of a cohort, in one call and one compilation.

    With $f_s(u) = \frac12 \sum r_s(u)^2 / \sigma_s^2$, the residuals of subject $s$ at unconstrained
    values $u$, this minimises

    - for a penalty of 0 each $f_s(u_s)$: no pooling, each subject alone;
    - for an infinite one $\sum_s f_s(u)$: complete pooling, one value for all;
    - for a $\lambda$ between $\sum_s f_s(u_s) + \frac\lambda2 \sum_s |(u_s - \bar u) / c|^2$: partial
      pooling, in which subjects with little data are drawn to the mean. With the `scale` $c$ and the
      noise known, $c/\sqrt\lambda$ is how far subjects are expected to lie from it.

    Of several penalties it takes the one for which subjects are best predicted by the others: the
    likelihood of a subject's data given the fit of all others, for residuals that are linear around the
    fit of all, so that leaving a subject out needs no further run. Subjects whose fit has converged run
    no more. One program takes `chunk` subjects and is called in turn, so that neither more subjects nor
    another penalty compile anything, nor do later calls with the same `residuals`.

    Args:
        residuals: pure function of `params` and what is known of a subject (`cohort.data` without its
            axis), returning an array: the simulated data minus the measured data. Of a loss that is one
            number per subject take `cf.cohort.fit_loss`.
        params: any pytree, as in `fit`; all subjects start from there.
        cohort: the subjects, from `stack`.
        where: returns the leaves to fit, one or a tuple of them, as in `fit`.
        penalty: 0, infinity or a number between; or several, at least one and without 0, of which one is
            chosen. [1]
        noise: standard deviation of the residuals, one or one per subject; 1 if they are divided by it
            already. Partial pooling needs it. If None, it is estimated from the residuals, of each
            subject alone or of all as one. [unit of the residuals]
        scale: in which unit the penalty measures each leaf, as `where` returns them: a number, or an
            array of the shape of the unconstrained leaf. Partial pooling of several leaves needs it; 1
            for a leaf alone if None. [unit of the unconstrained values]
        transform: as in `fit`. Means, penalties and intervals are those of unconstrained values.
        steps: how often each subject may be measured after the start. [1]
        chunk: number of subjects that run at once, by `jax.vmap`; a last chunk is filled up. On a CPU,
            networks with lags of each subject's own run faster one by one. [1]
        derivative: as in `least_squares`.

    Returns:
        The leaves of each subject with standard errors and 95 % intervals, by Gauss-Newton; under
        partial pooling they take the penalty as known, and include the error of the mean.

    Raises:
        TypeError: if `cohort` is no cohort, `residuals` does not return an array of floats; otherwise as
            `fit`.
        ValueError: if the residuals of a subject are not finite at the start, a penalty is negative or
            one of several is 0, there is one subject to be drawn to a mean, partial pooling has no
            `noise` or `scale`, or without `noise` there are no more residuals than fitted values;
            otherwise as `fit`.

    Warns:
        RuntimeWarning: if the fit of a subject did not converge.
        UserWarning: if the data of a subject do not determine a value, or the residuals are entries of a
            symmetric matrix such as FC, which are not independent.

    Source:
        A. Gelman, J. Hill, Data Analysis Using Regression and Multilevel Models (2007), ch. 12.

    Example:
        >>> subjects = {"a": [0.9, 1.1], "b": [2.1, 1.9], "c": [1.4, 1.6]}
        >>> cohort = cf.cohort.stack({id: jnp.asarray(x) for id, x in subjects.items()})
        >>> def residuals(params, data):
        ...     return params["mean"] - data
        >>> start = {"mean": jnp.asarray(0.0)}
        >>> how = {"where": lambda p: p["mean"], "noise": 0.1}
        >>> cf.cohort.fit(residuals, start, cohort, **how).estimate.round(2).tolist()
        [1.0, 2.0, 1.5]
        >>> cf.cohort.fit(residuals, start, cohort, penalty=200.0, **how).estimate.round(2).tolist()
        [1.25, 1.75, 1.5]
        >>> cf.cohort.fit(residuals, start, cohort, penalty=[1.0, 4.0, 99.0], **how).penalty
        4.0
    """
    steps, chunk = as_count("steps", steps), at_least_one("chunk", as_count("chunk", chunk))
    require_choice("derivative", derivative, DERIVATIVES)
    residuals = told(
        "cohort.fit", "residuals", residuals, "with params and the data of one subject"
    )
    require_cohort(cohort)
    fitted = fitted_leaves("cohort.fit", params, where, transform)
    penalties = _checked_penalties(penalty, len(cohort))
    sigma = _checked_noise(noise, len(cohort), penalties)
    units = _checked_scale(scale, fitted, penalties)
    runs = Runs(residuals, fitted, cohort, chunk, derivative, sigma, units)
    count, doubts = _looked_at(runs)
    if noise is None and count <= len(runs.start):
        raise ValueError(
            f"There are {count} residuals of a subject for {len(runs.start)} fitted values: no noise "
            "can be told from them. Give `noise`."
        )
    found = _minimised(runs, penalties, steps)
    result, lost = _judged(runs, found, count if noise is None else None)
    _warn_of(result, lost, doubts)
    return result


def _on_host(name: str, x: Any) -> np.ndarray:
    """Return numbers in float64; by NumPy, since JAX compiles a copy for each new length."""
    try:
        return np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must be a number or a row of them, not {in_short(x)}."
        ) from error


def _checked_penalties(penalty: Any, subjects: int) -> np.ndarray:
    """Return one penalty as (), or several, the largest first."""
    penalty = _on_host("penalty", penalty)
    if penalty.ndim > 1 or not penalty.size:
        raise ValueError(
            f"`penalty` must be one number or a row of them; its shape is {penalty.shape}."
        )
    require_no_nan("penalty", penalty)
    require_nonnegative("penalty", penalty, "0 fits each subject alone.")
    if penalty.ndim and not penalty.all():
        raise ValueError(
            "`penalty` to choose from must not hold 0: subjects that are fitted alone predict nobody."
        )
    if penalty.any() and subjects < 2:
        raise ValueError("A `penalty` draws subjects together; the cohort has one alone.")
    return np.sort(penalty)[::-1] if penalty.ndim else penalty


def _checked_noise(noise: Any, subjects: int, penalties: np.ndarray) -> np.ndarray:
    """Return the noise of each subject; 1 where it is to be estimated."""
    if noise is None:
        if penalties.ndim or 0 < penalties < np.inf:
            raise ValueError(
                "`noise` is needed with this `penalty`: it weighs the data of a subject against the "
                "mean of all. It is 1.0 where residuals are divided by it already."
            )
        return np.ones(subjects)
    noise = _on_host("noise", noise)
    require_shape("noise", noise, (), (subjects,), meaning="It is one, or one per subject.")
    require_positive("noise", noise)
    return np.broadcast_to(noise, (subjects,))


def _checked_scale(scale: Any, fitted: Fitted, penalties: np.ndarray) -> np.ndarray:
    """Return the unit of each unconstrained value, (value,)."""
    like = fitted.start()
    if scale is None:
        if len(like) > 1 and (penalties.ndim or 0 < penalties < np.inf):
            raise ValueError(
                "`scale` is needed where a `penalty` draws several leaves to their means: it says, as "
                f"one number for each of {', '.join(fitted.names)}, in which unit to measure them."
            )
        return np.ones(sum(u.size for u in like))
    leaves, shape = jax.tree.flatten(scale, is_leaf=lambda x: not isinstance(x, tuple | list))
    if shape != fitted.shape:
        raise TypeError(
            f"`scale` must be one number per fitted leaf, as `where` returns them, not {scale!r}."
        )
    parts = []
    for x, u in zip(leaves, like, strict=True):
        x = _on_host("scale", x)
        require_shape("scale", x, (), u.shape, meaning="It is one, or one per value of the leaf.")
        require_positive("scale", x)
        parts.append(np.broadcast_to(x, u.shape).ravel())
    return np.concatenate(parts)


def _looked_at(runs: Runs) -> tuple[int, list[str]]:
    """Return how many residuals a subject has, and doubts about them; a matrix of them is looked at."""
    first = runs.cohort.rows(np.array(0))

    def residuals_at(unconstrained: Any) -> Any:
        return array_of_floats(runs.residuals(runs.fitted.at(unconstrained), first))

    shape = jax.eval_shape(residuals_at, runs.like)
    square = len(shape.shape) == 2 and len({*shape.shape}) == 1
    depend = reads_pairs(residuals_at, runs.like) or (
        square and is_symmetric(np.asarray(jax.jit(residuals_at)(runs.like)))
    )
    return shape.size, [DEPENDENT] if depend else []


class _Found(NamedTuple):
    """The fit of one penalty, and what was found of the others."""

    minimum: Minimum
    penalty: float
    penalties: np.ndarray
    held_out: np.ndarray


def _minimised(runs: Runs, penalties: np.ndarray, steps: int) -> _Found:
    """Fit by each penalty, from the fit of all as one down, and return the one that predicts best."""
    subjects = len(runs.cohort)
    rounding = float(jnp.finfo(runs.dtype).eps)
    none = np.zeros(0), np.zeros((0, subjects))
    if not penalties.ndim and penalties == 0:
        starts = np.repeat(runs.start[None], subjects, axis=0)
        return _Found(alone(runs, starts, steps, rounding), 0.0, *none)
    group = now = as_one(runs, runs.start, steps, rounding)
    minima = []
    for penalty in penalties.ravel():
        if np.isfinite(penalty):
            now = in_part(runs, now.values, penalty, steps, rounding)
        minima.append(now if np.isfinite(penalty) else group)
    if not penalties.ndim:
        return _Found(minima[0], float(penalties), *none)
    pairs = zip(minima, penalties, strict=True)
    scores = np.stack([held_out(minimum, penalty) for minimum, penalty in pairs])
    best = int(scores.sum(1).argmin())
    return _Found(minima[best], float(penalties[best]), penalties, scores)


def _judged(runs: Runs, found: _Found, count: int | None) -> tuple[CohortFit, np.ndarray]:
    """Return the result, and whose values the data do not determine.

    Where the noise is to be estimated, `count` is the number of residuals of a subject.
    """
    minimum, fitted, cohort = found.minimum, runs.fitted, runs.cohort
    covariances, lost = _covariances(
        minimum, found.penalty, float(jnp.finfo(runs.dtype).eps) ** 0.5
    )
    half = minimum.squares.half
    if count is not None:
        covariances = covariances * _variances(half, found.penalty, count, len(runs.start))
    covariances = covariances * runs.scale * runs.scale[:, None]
    at = [runs.unconstrained(row) for row in minimum.values]
    judged = [judge(fitted, *of) for of in zip(at, covariances, lost, strict=True)]
    parts = [
        fitted.as_where([*map(np.stack, zip(*part, strict=True))])
        for part in zip(*judged, strict=True)
    ]
    result = CohortFit(
        cohort.ids,
        names_in_tables(fitted, judged[0].values),
        *parts,
        loss=half * runs.noise**2,
        converged=minimum.converged,
        penalty=found.penalty,
        penalties=found.penalties,
        held_out=found.held_out,
        params=fitted.at(runs.unconstrained(minimum.values.mean(0))),
        fitted=fitted,
    )
    return result, lost


def _covariances(found: Minimum, penalty: float, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of each subject's unconstrained values, and which are not determined."""
    count, width = found.values.shape
    if penalty == 0:
        each = [curvature_of(matrix, precision) for matrix in found.information]
        return np.stack([c.covariance for c in each]), np.stack([c.lost for c in each])
    # What no subject determines is lost; what one does not, the mean does.
    together = curvature_of(found.squares.matrix.sum(0), precision)
    lost = np.broadcast_to(together.lost, (count, width))
    if np.isinf(penalty):
        return np.broadcast_to(together.covariance, (count, width, width)), lost
    joint = np.linalg.pinv(found.information[0], rcond=1e-13, hermitian=True)
    blocks = joint.reshape(count, width, count, width)
    return np.einsum("spsq->spq", blocks), lost


def _variances(half: np.ndarray, penalty: float, count: int, width: int) -> np.ndarray:
    """Estimate the variance of the residuals, of each subject alone or of all as one."""
    if np.isinf(penalty):
        half, count = np.full_like(half, half.sum()), count * len(half)
    return (2 * half / (count - width))[:, None, None]


def _warn_of(result: CohortFit, lost: np.ndarray, doubts: list[str]) -> None:
    """Warn of subjects whose fit did not converge or determines too little, and of all residuals."""
    warn_of_lost_ways(result, stacklevel=4)
    if lost.any():
        doubts = [*doubts, f"Not identified: a value of {those(result.ids, lost.any(1))}."]
    for message in doubts:
        warnings.warn(message, UserWarning, stacklevel=3)
