"""A loss of each subject made small: each alone, or the sum of all."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import PyTree, Where, as_count, require_choice
from .._fit import DERIVATIVES, Derivative, at_least_one, fitted_leaves, one_float, told
from ..transforms import Transform
from ._descent import descend
from ._result import CohortFit, names_in_tables, warn_of_lost_ways
from ._squares import Losses
from ._stack import Cohort, require_cohort


def fit_loss(
    loss: Callable[[Any, Any], Float[Array, ""]],
    params: PyTree,
    cohort: Cohort,
    *,
    where: Where,
    together: bool = False,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    steps: int = 100,
    chunk: int = 1,
    derivative: Derivative = "auto",
) -> CohortFit:
    r"""Minimise a loss of each subject of a cohort, such as `fc_rmse`, in one compilation.

    With $f_s(u)$ the loss of subject $s$ at unconstrained values $u$, this minimises each $f_s(u_s)$, or
    with `together` $\sum_s f_s(u)$, one value for all, by BFGS with backtracking. It goes down to the
    next minimum: scan first, by `sweep`, where there are several. One program, of the loss and its
    gradient, takes `chunk` subjects and is called in turn, so that more subjects compile nothing, nor do
    later calls with the same `loss`. Subjects whose fit has converged run no more.

    A loss does not say how noisy the data are. So there are no errors and intervals here, and no partial
    pooling, which weighs the data of a subject against the others: where residuals are known, as of
    signals, `cf.cohort.fit` has them. How sure a value is, a second session says: `reliability`.

    Args:
        loss: pure function of `params` and what is known of a subject (`cohort.data` without its axis),
            returning one float. It should be smooth where it is smallest: of `fc_rmse` that could
            become 0, take the square.
        params: any pytree, as in `fit`; all subjects start from there.
        cohort: the subjects, from `stack`.
        where: returns the leaves to fit, one or a tuple of them, as in `fit`.
        together: whether one value is to be found for all subjects.
        transform: as in `fit`.
        steps: how often each subject may be measured after the start. [1]
        chunk: number of subjects that run at once, by `jax.vmap`; a last chunk is filled up. [1]
        derivative: as in `fit`.

    Returns:
        The leaves and the loss of each subject; `error`, `lower` and `upper` are None.

    Raises:
        TypeError: if `cohort` is no cohort, or `loss` does not return one float; otherwise as `fit`.
        ValueError: if the loss of a subject or its gradient is not finite at the start; otherwise as
            `fit`.

    Warns:
        RuntimeWarning: if the fit of a subject did not converge.

    Source:
        J. Nocedal, S. Wright, Numerical Optimization (2006), ch. 6, for BFGS.

    Example:
        >>> fcs = {"a": jnp.array([[1.0, 0.2], [0.2, 1.0]]), "b": jnp.array([[1.0, 0.6], [0.6, 1.0]])}
        >>> cohort = cf.cohort.stack(fcs)
        >>> def loss(r, fc):
        ...     return cf.observe.fc_rmse(jnp.eye(2) + r * (1 - jnp.eye(2)), fc) ** 2
        >>> found = cf.cohort.fit_loss(loss, jnp.asarray(0.5), cohort, where=lambda r: r)
        >>> found.estimate.round(3).tolist(), found.error
        ([0.2, 0.6], None)
        >>> one = cf.cohort.fit_loss(loss, jnp.asarray(0.5), cohort, where=lambda r: r, together=True)
        >>> one.estimate.round(3).tolist()
        [0.4, 0.4]
    """
    steps, chunk = as_count("steps", steps), at_least_one("chunk", as_count("chunk", chunk))
    require_choice("derivative", derivative, DERIVATIVES)
    require_choice("together", together, (True, False))
    loss = told("cohort.fit_loss", "loss", loss, "with params and the data of one subject")
    require_cohort(cohort)
    fitted = fitted_leaves("cohort.fit_loss", params, where, transform)
    runs = Losses(loss, fitted, cohort, chunk, derivative)
    first = runs.cohort.rows(np.array(0))
    jax.eval_shape(lambda u: one_float(loss(fitted.at(u), first)), runs.like)
    every = np.arange(len(cohort))

    def sum_of_all(values: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = runs(np.repeat(values, len(every), axis=0), every)
        return value.sum(keepdims=True), slope.sum(0, keepdims=True)

    starts = np.repeat(runs.start[None], 1 if together else len(every), axis=0)
    rounding = float(jnp.finfo(runs.dtype).eps)
    values, losses, converged = descend(sum_of_all if together else runs, starts, steps, rounding)
    if together:
        values, converged = (np.repeat(x, len(every), axis=0) for x in (values, converged))
        losses, _ = runs(values, every)
    at = [runs.unconstrained(row) for row in values]
    leaves = [
        np.stack([np.asarray(x) for x in of]) for of in zip(*map(fitted.values, at), strict=True)
    ]
    result = CohortFit(
        cohort.ids,
        names_in_tables(fitted, [np.asarray(x[0]) for x in leaves]),
        fitted.as_where(leaves),
        None,
        None,
        None,
        loss=losses,
        converged=converged,
        penalty=np.inf if together else 0.0,
        penalties=np.zeros(0),
        held_out=np.zeros((0, len(every))),
        params=fitted.at(runs.unconstrained(values.mean(0))),
        fitted=fitted,
    )
    warn_of_lost_ways(result)
    return result
