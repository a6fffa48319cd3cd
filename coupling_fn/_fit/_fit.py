"""Parameters from data: a loss, made smaller by an optimiser."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from .._core import (
    Interrupted,
    PyTree,
    Where,
    as_count,
    progress_bar,
    require_choice,
    require_finite,
    require_nonnegative,
    require_shape,
)
from ..transforms import Transform
from ._derivatives import DERIVATIVES, Derivative
from ._descent import Problem
from ._leaves import Fitted, at_least_one, fitted_leaves, start_points, told
from ._loop import Descent, Disk, Watch, stacked

_ADAM = optax.adam(1e-2)  # one object, so that the next fit finds the compiled step


class Starts(eqx.Module):
    """Where each of several starts of a fit came to, in `FitResult.starts`.

    Attributes:
        loss: the smallest loss of each start; infinite where none was finite. [unit of the loss]
        best: the fitted leaves there, as `where` returns them, with a leading axis of starts. [unit
            of each leaf]
        losses: the loss of each start at each row; NaN where it was not finite. [unit of the loss]
        spread: the standard deviation of `best` over the starts whose loss is finite, as `where`
            returns the leaves. It is large where starts end in different valleys, or where a valley
            is flat. [unit of each leaf]

    Example:
        >>> starts = jnp.asarray([-2.0, 2.0])
        >>> def loss(x):  # two valleys, the deeper one at -1
        ...     return (x**2 - 1.0) ** 2 + 0.1 * x
        >>> found = cf.fit(loss, starts[0], where=lambda x: x, starts=starts, progress=False)
        >>> found.starts.loss.shape, found.starts.losses.shape
        ((2,), (2, 101))
        >>> [round(float(x)) for x in found.starts.best], round(float(found.starts.spread))
        ([-1, 1], 1)
    """

    loss: Float[np.ndarray, " start"]
    best: PyTree
    losses: Float[np.ndarray, "start row"]
    spread: PyTree


class FitResult(eqx.Module):
    """What `fit` found, and how it came there. `evolve` has a row per generation: its best member.

    Every row is measured: `losses[n]` is the loss at `path[n]`, and row 0 is the start. As long as
    every loss was finite, row n comes after n steps of the optimiser; a step whose loss was not finite
    has no row. Where there are several starts, everything but `starts` is about the best one.

    Attributes:
        params: the parameters with the smallest loss; the leaves that were not fitted are as given.
        loss: that loss. [unit of the loss]
        best_step: its row; the earliest if there are several. [1]
        losses: the loss of each row. [unit of the loss]
        path: the fitted leaves as `where` returns them, with a leading axis of rows. [unit of each
            leaf]
        stopped: why the fit ended early; empty if it made all its steps.
        last_params: the parameters of the last row.
        retries: how often the loss or its gradient was not finite and the fit stepped back. [1]
        starts: where each of several starts came to; None if there was only one.

    Example:
        >>> def loss(params):
        ...     return (params["k"] - 0.3) ** 2
        >>> start = {"k": jnp.asarray(0.0), "drive": jnp.asarray(1.0)}
        >>> result = cf.fit(loss, start, where=lambda p: p["k"], steps=50, progress=False)
        >>> result.losses.shape, result.path.shape, result.stopped
        ((51,), (51,), '')
        >>> result.loss == result.losses[result.best_step] == loss(result.params)
        Array(True, dtype=bool)
    """

    params: PyTree
    loss: float
    best_step: int
    losses: Float[np.ndarray, " row"]
    path: PyTree
    stopped: str
    last_params: PyTree
    retries: int = 0
    starts: Starts | None = None

    def __str__(self) -> str:
        steps = len(self.losses) - 1
        lines = [
            f"loss {self.loss:.4g} at step {self.best_step} of {steps}; {self.losses[0]:.4g} at first"
        ]
        if self.starts is not None:
            lines += [
                f"the best of {len(self.starts.loss)} starts, whose losses are {self.starts.loss}"
            ]
        return "\n".join([*lines, *filter(None, [self.stopped])])


def fit(
    loss: Callable[..., Float[Array, ""]],
    params: PyTree,
    *,
    where: Where,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 100,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    derivative: Derivative = "auto",
    batch: Callable[[Array], PyTree] | None = None,
    starts: int | PyTree | None = None,
    key: Array | None = None,
    spread: float = 1.0,
    patience: int | None = None,
    tolerance: float = 0.0,
    retries: int = 10,
    callback: Callable[[int, float, PyTree], bool | None] | None = None,
    save: str | os.PathLike[str] | None = None,
    save_every: int = 10,
    progress: bool = True,
) -> FitResult:
    """Minimise a loss by moving some leaves of `params`.

    The loss, its gradient and the optimiser's update are one compiled step. A later fit with the
    same `loss` and `optimizer` objects and the same shapes compiles nothing, even where the values
    in `params` differ. A `loss` that is defined anew, as in a cell of a notebook that runs twice, is
    another function and compiles again. The loss is measured before each update and once more after
    the last, and only measured parameters are recorded or returned as the best.

    Where the loss or its gradient is not finite, the fit goes half the way back to the last point
    where both were, halves the length of all later steps, and goes on. After `retries` such
    retreats it stops, warns, and returns all rows measured so far.

    `simulate(checkpoint=)` bounds the memory of long runs. `jax.lax.stop_gradient` on the state
    between two calls of `simulate` in the loss truncates the gradient, and
    `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))` clips it.

    Args:
        loss: pure function of `params`, returning one float; of `params` and a batch where
            `batch` is given. Where its data change from fit to fit, put them in leaves of `params`.
        params: any pytree. A Python float among its leaves becomes an array. A whole number stays part
            of the program, which is compiled for it, except where a parameter stands.
        where: returns the leaves to fit, one or a tuple of them: `lambda p: p.coupling.k`. They
            must be arrays of floats.
        optimizer: any optax optimiser; `optax.adam(1e-2)` if None. Those that search along a
            line, such as `optax.lbfgs()`, work too. It moves what `transform` makes unconstrained.
        steps: number of updates. [1]
        transform: keeps fitted leaves in a range: one `Transform` for all (`positive()`,
            `bounded(0, 1)`), or a tuple of one per leaf, in the order of `where`; `identity()`
            leaves one unconstrained.
        derivative: "reverse", whose cost does not grow with how many values are fitted; or
            "forward", in the memory of one run, which needs `simulate(derivative="forward")`
            where a network has delays. "auto" is forward where one value is fitted and the loss
            has that derivative, and reverse otherwise. A line search always takes the reverse.
        batch: pure function of the step's number, compiled with the step, whose value goes to
            the loss: `minibatches(...)` of subjects or noise keys, or
            `lambda step: jax.random.fold_in(key, step)`. The smallest loss may then be that of a
            lucky batch: prefer `last_params`.
        starts: number of starts to fit at once, by `jax.vmap` over the step: the first at `params`,
            the others drawn around it. Or the leaves to start from, as `where` returns them, with
            a leading axis of starts. [1, or unit of each leaf]
        key: random key for the starts that are drawn.
        spread: their standard deviation, in the values that `transform` makes unconstrained.
            [1]
        patience: stop after this many steps in a row that improved no start. [1]
        tolerance: what counts as better: below the best loss by more than this fraction of it. [1]
        retries: how often each start may step back. [1]
        callback: called as `callback(step, loss, params)` after each row, with those of the best
            start; the fit ends where it returns True.
        save: a folder, made if it does not exist, from which the same call goes on after it was
            killed, with bitwise the same values. With more `steps`, a finished fit goes on. A fit
            with another loss, optimiser or start is refused.
        save_every: number of steps between two writes. [1]
        progress: show a bar on stderr, with one step per update and the loss. It needs tqdm, which
            the extra `coupling_fn[progress]` installs; without it there is no bar.

    Returns:
        The best and the last parameters, and the way there. The path is kept in the memory of the
        host: fitting a large matrix over many steps takes as much as all its rows.

    Raises:
        TypeError: if a fitted leaf is not an array of floats; `where` returns something other than
            leaves; the loss does not return one float; `optimizer` or `transform` is of another
            type; the loss has no forward derivative where one is asked for; or `params` is traced:
            fit runs outside of `jit`, `vmap` and `grad`.
        ValueError: if `where` returns no leaf or one leaf twice; a leaf of `params` is NaN, a
            fitted one infinite or out of the range of its transform; there are more or fewer
            transforms than leaves; the loss or its gradient is not finite at any start; starts are
            to be drawn without a `key`; or `save` holds another fit.
        Interrupted: on Ctrl-C, with the result so far.

    Warns:
        RuntimeWarning: if the fit stopped because a loss was not finite; or if, without `batch`, no
            step was better than the start.

    Example:
        >>> import optax
        >>> W = jnp.asarray([[0.0, 0.8], [0.2, 0.0]])
        >>> x = jnp.asarray([1.0, -1.0])
        >>> def loss(params):  # what arrives should be -0.4 and 0.1
        ...     sent = params["k"] * cf.weighted_sum(W, x) + params["b"]
        ...     return jnp.sum((sent - jnp.asarray([-0.4, 0.1])) ** 2)
        >>> result = cf.fit(
        ...     loss,
        ...     {"k": jnp.asarray(1.0), "b": jnp.asarray(0.0)},
        ...     where=lambda p: p["k"],
        ...     optimizer=optax.adam(0.05),
        ...     steps=200,
        ...     transform=cf.transforms.positive(),
        ...     starts=3,
        ...     key=jax.random.key(0),
        ...     progress=False,
        ... )
        >>> round(float(result.params["k"]), 3), result.starts.loss.shape
        (0.5, (3,))
    """
    steps, retries = as_count("steps", steps), as_count("retries", retries)
    loss = told("fit", "loss", loss)
    optimizer = _ADAM if optimizer is None else optimizer
    require_optimizer(optimizer)
    require_choice("derivative", derivative, DERIVATIVES)
    for name, function in (("batch", batch), ("callback", callback)):
        if function is not None and not callable(function):
            raise TypeError(f"`{name}` must be a function, not {function!r}.")
    patience = at_least_one("patience", patience)
    save_every = at_least_one("save_every", save_every)
    require_tolerance(tolerance, patience)
    fitted = fitted_leaves("fit", params, where, transform)
    unconstrained, many = start_points(fitted, starts, key, spread)

    watch = Watch(len(unconstrained[0]) if many else 1, retries, patience, tolerance)
    problem = Problem(loss, optimizer, fitted, batch, derivative)
    descent = Descent(problem, unconstrained, many, steps, watch, callback)
    disk = None if save is None else Disk(Path(save), save_every, descent, unconstrained)
    if disk is not None:
        disk.resume(descent)
    try:
        with progress_bar(steps, "fit", progress) as advance:
            advance(max(len(descent.rows) - 1, 0))
            descent.run(advance, disk)
    except KeyboardInterrupt:
        descent.stopped = f"Interrupted after {len(descent.rows) - 1} steps."
        raise Interrupted(_result(descent) if descent.rows else None) from None
    result = _result(descent)
    _warn_of(result, watch.broken, compare=batch is None)
    return result


def require_optimizer(optimizer: Any) -> None:
    """Refuse what optax would fail on later."""
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"`optimizer` must be an optax optimiser, such as optax.adam(1e-2), not {optimizer!r}."
        )


def require_tolerance(tolerance: Any, patience: int | None) -> None:
    """Refuse a tolerance that is no fraction, or that no `patience` asks for."""
    require_shape("tolerance", tolerance, (), meaning="It is one number.")
    require_finite("tolerance", tolerance)
    require_nonnegative("tolerance", tolerance)
    if tolerance and patience is None:
        raise ValueError("`tolerance` says what `patience` counts as better: also give `patience`.")


def _warn_of(result: FitResult, broken: bool, compare: bool) -> None:
    """Warn of a fit that broke, and of one whose rows `compare` and are all worse than the start."""
    if broken:
        warnings.warn(f"The fit stopped early. {result.stopped}", RuntimeWarning, stacklevel=3)
    if not compare or result.best_step != 0 or len(result.losses) < 2:
        return
    least = float(result.losses[1:].min())
    if least > result.loss:
        warnings.warn(
            f"No step was better than the start: the loss there is {result.loss:g}, and "
            f"{least:g} or more after it. Either the start is a minimum, or the learning rate is too "
            "large, or the gradient is that of a chaotic run: compare it with differences of the "
            "loss, or shorten the run.",
            RuntimeWarning,
            stacklevel=3,
        )


def _result(descent: Descent) -> FitResult:
    measured, path = stacked(descent.rows)
    failures = descent.watch.failures
    return result_of(descent.fitted, descent.many, measured, path, failures, descent.stopped)


def result_of(
    fitted: Fitted,
    many: bool,
    measured: np.ndarray,
    path: list[np.ndarray],
    failures: list[int],
    stopped: str,
) -> FitResult:
    """Build the result from the rows of all starts.

    Args:
        fitted: the fitted leaves.
        many: whether the second axis of `measured` and `path` counts starts; without, there is one.
        measured: of each row the loss and whether it and its gradient are finite, on the last axis.
        path: one array per fitted leaf, with a leading axis of rows.
        failures: how often each start stepped back.
        stopped: why the fit ended early.
    """
    measured, *path = (x if many else x[:, None] for x in (measured, *path))
    losses = measured[..., 0].T
    losses = np.where(np.isfinite(losses), losses, np.nan)
    ranked = np.where(np.isnan(losses), np.inf, losses)
    best_steps, least = ranked.argmin(1), ranked.min(1)
    at_best = [np.stack([x[row, i] for i, row in enumerate(best_steps)]) for x in path]
    spread = [np.std(x[np.isfinite(least)], 0) for x in at_best]
    every = Starts(least, fitted.as_where(at_best), losses, fitted.as_where(spread))

    start = int(least.argmin())
    kept = ~np.isnan(losses[start])
    losses, path = losses[start][kept], [x[kept, start] for x in path]
    best = int(losses.argmin())
    return FitResult(
        params=fitted.put([x[best] for x in path]),
        loss=float(losses[best]),
        best_step=best,
        losses=losses,
        path=fitted.as_where(path),
        stopped=stopped,
        last_params=fitted.put([x[-1] for x in path]),
        retries=failures[start],
        starts=every if many else None,
    )
