"""Parameters from data: a loss, made smaller by an optimiser."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from .._core import (
    Interrupted,
    PyTree,
    Where,
    as_arrays,
    as_count,
    as_tree,
    fingerprint,
    progress_bar,
    read_checkpoint,
    require_choice,
    require_finite,
    require_nonnegative,
    require_positive,
    require_shape,
    write_checkpoint,
)
from ..transforms import Transform
from ._descent import Problem, begin, compiled_steps, split
from ._leaves import Fitted, Free, fitted_leaves, require_host, strong

_ADAM = optax.adam(1e-2)  # one object, so that the next fit finds the compiled step
# Calling a compiled step costs as much as a small loss: as many go into a call as take about this
# long, in which neither the bar moves nor Ctrl-C is heard. [s]
CALL = 0.05
ROOM, NUMBERS = 64, 2**18  # steps of a call and numbers fitted in them, at most
Derivative = Literal["auto", "reverse", "forward"]


class Starts(eqx.Module):
    """Where each of several starts of a fit came to.

    Args:
        loss: the smallest loss of each start; infinite where none was finite.
        best: the fitted leaves there, as `where` gives them, with a leading axis of starts.
        losses: the loss of each start at each row; NaN where it was not finite.
        spread: standard deviation of `best` over the starts whose loss is finite, a leaf like
            those of `where`. Large where starts end in different valleys, or a valley is flat.
    """

    loss: Float[np.ndarray, " start"]
    best: PyTree
    losses: Float[np.ndarray, "start row"]
    spread: PyTree


class FitResult(eqx.Module):
    """What `fit` found, and how it came there.

    Every row is a measured one: `losses[n]` is the loss at `path[n]`, and row 0 is the start. As
    long as nothing broke, row n is after n steps of the optimiser; where the loss was not finite
    there is no row. Of several starts, all this is about the best.

    Args:
        params: the parameters with the smallest loss, the rest as it was given.
        loss: that loss.
        best_step: its row; the earliest if there are several.
        losses: the loss of each row.
        path: the fitted leaves as `where` gives them, with a leading axis of rows.
        stopped: why the fit ended early; empty if it made all its steps.
        last_params: the parameters of the last row.
        retries: how often the loss or its gradient was not finite and the fit stepped back.
        starts: how each of several starts fared; None if there was one.

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
    """Make a loss small by moving some leaves of `params`.

    The loss, its gradient and the optimiser's update are one compiled step. A later fit with the
    same `loss` and `optimizer` objects and the same shapes compiles nothing, also where the
    numbers in `params` differ. What is recorded, and what comes back as the best, are parameters
    whose loss was measured: the loss is taken before each update, and once more after the last.

    Where the loss or its gradient is no longer finite, the fit goes half the way back to the last
    point where both were, makes all later steps half as large, and goes on; after `retries` such
    steps it stops, warns, and gives back all rows up to there.

    Long runs keep their memory by `simulate(checkpoint=)`. A truncated gradient is
    `jax.lax.stop_gradient` on the state between two calls of `simulate` in the loss; gradients
    are clipped by `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))`.

    Args:
        loss: pure function of `params`, returning one float; of `params` and a batch where
            `batch` is given. The data it compares with are best leaves of `params` too if they
            change from fit to fit.
        params: any pytree. A leaf that is a Python number, not an array, compiles anew for each
            value.
        where: gives the leaves to fit, one or a tuple of them: `lambda p: p.coupling.k`. They
            must be arrays of floats.
        optimizer: any optax optimiser; `optax.adam(1e-2)` if None. Those that search along a
            line, as `optax.lbfgs()`, work too. It moves what `transform` makes unconstrained.
        steps: how many updates.
        transform: keeps fitted leaves in a range: one `Transform` for all (`positive()`,
            `bounded(0, 1)`), or a tuple of one a leaf, in the order of `where`; `identity()`
            leaves one free.
        derivative: "reverse", whose cost does not grow with how many numbers are fitted; or
            "forward", in the memory of one run, which asks for `simulate(derivative="forward")`
            where a network has delays. "auto" is forward where one number is fitted and the loss
            has that derivative, and else reverse. A line search always takes the reverse.
        batch: a pure function of the step's number, compiled with the step, whose value goes to
            the loss: `minibatches(...)` of subjects or noise keys, or
            `lambda step: jax.random.fold_in(key, step)`. The smallest loss is then that of a
            lucky batch: prefer `last_params`.
        starts: fit from several starts at once, by vmap: how many, the first being `params` and
            the others drawn around it; or the leaves to start from, as `where` gives them, with
            a leading axis.
        key: random key for the starts that are drawn.
        spread: their standard deviation, in the numbers that `transform` makes unconstrained.
        patience: stop after so many steps in a row that improved no start.
        tolerance: what counts as better: below the best loss by more than this share of it.
        retries: how often each start may step back.
        callback: called as `callback(step, loss, params)` after each row, with the best start's;
            True ends the fit.
        save: a folder, made if need be, from which the same call goes on if it was killed, with
            the same numbers to the bit. More `steps` go on from a finished fit. Another loss,
            optimiser or start is refused.
        save_every: how many steps lie between two writes.
        progress: show a bar on stderr, a step an update, with the loss. Needs tqdm, which the
            extra `coupling_fn[progress]` installs; without it there is no bar.

    Returns:
        The best and the last parameters, and the way there. The path is kept on the host: fitting
        a large matrix over many steps takes that much of its memory.

    Raises:
        TypeError: if a fitted leaf is not an array of floats; `where` gives something else than
            leaves; the loss is not one float; `optimizer` or `transform` is something else; the
            loss has no forward derivative where one is asked for; or `params` is traced: fit runs
            outside of `jit`, `vmap` and `grad`.
        ValueError: if `where` gives nothing or one leaf twice; a leaf of `params` is NaN, a
            fitted one infinite or out of the range of its transform; there are more or fewer
            transforms than leaves; the loss or its gradient is not finite at any start; starts are
            to be drawn without a `key`; or `save` holds another fit.
        Interrupted: on Ctrl-C, with the result so far.

    Warns:
        RuntimeWarning: if the fit stopped because of a loss that is not finite; or, without `batch`,
            all that followed the start is worse.

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
    optimizer = _ADAM if optimizer is None else optimizer
    require_optimizer(optimizer)
    require_choice("derivative", derivative, ("auto", "reverse", "forward"))
    for name, function in (("batch", batch), ("callback", callback)):
        if function is not None and not callable(function):
            raise TypeError(f"`{name}` must be a function, not {function!r}.")
    patience, save_every = (
        _at_least_one("patience", patience),
        _at_least_one("save_every", save_every),
    )
    require_shape("tolerance", tolerance, (), meaning="It is one number.")
    require_finite("tolerance", tolerance)
    require_nonnegative("tolerance", tolerance)
    if tolerance and patience is None:
        raise ValueError("`tolerance` says what `patience` counts as better: give that, too.")
    fitted = fitted_leaves("fit", params, where, transform)
    free, many = start_points(fitted, starts, key, spread)

    problem = Problem(loss, optimizer, fitted, batch, derivative)
    arrays, program = split(problem)
    carry = jax.vmap(lambda u: begin(optimizer, u))(free) if many else begin(optimizer, free)
    watch = _Watch(len(free[0]) if many else 1, retries, patience, tolerance)
    measured, path, marks = [], [], {}
    room = min(ROOM, max(1, NUMBERS // max(1, sum(u.size for u in free))))
    if save is not None:
        traced = compiled_steps.trace(program, many, room, arrays, carry, 1)
        marks = fingerprint(
            "loss, batch or optimizer",
            traced.jaxpr,
            "params, transforms, starts or data",
            (arrays, free),
        )
        if found := read_checkpoint(Path(save) / "fit.npz", marks, "fit"):
            carry = as_tree("carry", found, carry)
            measured = list(found["measured"])[: steps + 1]
            path = list(zip(*(found[f"path_{i}"] for i in range(len(free))), strict=True))
            path = path[: steps + 1]
    stopped = ""
    for step, row in enumerate(measured):
        if stopped := watch.see(step, row, steps):
            measured, path = measured[: step + 1], path[: step + 1]
            break

    count = 1
    try:
        with progress_bar(steps, "fit", progress) as advance:
            advance(max(len(measured) - 1, 0))
            while len(measured) <= steps and not stopped:
                first, began = len(measured), time.perf_counter()
                to_write = save_every - first % save_every if save is not None else room
                count = min(count, room if callback is None else 1, to_write, steps + 1 - first)
                rows, places, after = compiled_steps(program, many, room, arrays, carry, count)
                if not first:
                    require_host("fit", rows)  # the loss may close over a traced value
                # Copied, so as not to keep the rows that are empty.
                rows, *places = (np.asarray(x)[:count].copy() for x in (rows, *places))
                for step, row, *place in zip(
                    range(first, first + count), rows, *places, strict=True
                ):
                    measured.append(row)
                    path.append(tuple(place))
                    stopped = watch.see(step, row, steps)
                    if callback is not None and watch.now < np.inf:
                        here = [x[watch.nearest] for x in place] if many else place
                        if callback(step, watch.now, fitted.put(here)) and not stopped:
                            stopped = f"The callback ended the fit after {step} steps."
                    if stopped:
                        break
                shown = {"loss": f"{watch.now:g}"} if watch.now < np.inf else {}
                advance(len(measured) - max(first, 1), **shown)
                if save is not None and (
                    stopped or len(measured) > steps or len(measured) % save_every == 0
                ):
                    made = len(measured) - first
                    if made < count:  # stopped within the call: where its last row led
                        *_, after = compiled_steps(program, many, room, arrays, carry, made)
                    now = as_arrays("carry", after) | _rows(measured, path)
                    write_checkpoint(Path(save) / "fit.npz", now, marks)
                carry, took = after, time.perf_counter() - began
                if took < CALL / 2:
                    count *= 2
                elif took > CALL:
                    count = max(count // 2, 1)
    except KeyboardInterrupt:
        whole = min(len(measured), len(path))
        rows = _rows(measured[:whole], path[:whole]) if whole else None
        stopped = f"Interrupted after {whole - 1} steps."
        partial = rows and result_of(fitted, many, rows, watch.failures, stopped)
        raise Interrupted(partial) from None
    if watch.broken:
        warnings.warn(f"The fit stopped early. {stopped}", RuntimeWarning, stacklevel=2)
    result = result_of(fitted, many, _rows(measured, path), watch.failures, stopped)
    if batch is None and result.best_step == 0 and len(result.losses) > 1:
        least = float(result.losses[1:].min())
        if least > result.loss:
            warnings.warn(
                f"No step was better than the start: the loss there is {result.loss:g}, and "
                f"{least:g} or more after. The start is a minimum, or the learning rate is too large, "
                "or the gradient is that of a chaotic run: compare it with differences of the loss, "
                "or shorten the run.",
                RuntimeWarning,
                stacklevel=2,
            )
    return result


class _Watch:
    """Follows the losses of all starts, and says when to stop."""

    def __init__(self, starts: int, retries: int, patience: int | None, tolerance: float):
        self.retries, self.patience, self.tolerance = retries, patience, tolerance
        self.failures, self.marks = [0] * starts, [np.inf] * starts
        self.waited, self.broken = 0, False
        self.now, self.nearest = np.inf, 0

    def see(self, step: int, measured: np.ndarray, steps: int) -> str:
        """Take in the row of a step; a reason to stop, or nothing."""
        rows = [measured.tolist()] if measured.ndim == 1 else measured.tolist()
        losses, better, failed = [], False, ("", np.nan)
        for start, (value, good) in enumerate(rows):
            alive, finite = self.failures[start] <= self.retries, abs(value) < np.inf
            losses.append(value if alive and finite else np.inf)
            mark = self.marks[start]
            if losses[-1] < (mark if mark == np.inf else mark - self.tolerance * abs(mark)):
                self.marks[start], better = losses[-1], True
            # A gradient is not asked for at the last row, since nothing follows.
            if alive and not (finite and (good or step == steps)):
                self.failures[start] += 1
                failed = ("gradient" if finite else "loss", value)
        self.now = min(losses)
        self.nearest = losses.index(self.now)
        self.waited = 0 if better else self.waited + 1
        if step == 0 and all(self.failures):
            raise ValueError(
                f"The {failed[0]} must be finite at the start; the loss there is {failed[1]:g}. "
                "Start from other values, or look at what the loss computes there."
            )
        if min(self.failures) > self.retries:
            self.broken = True
            return (
                f"The {failed[0]} is not finite after {step} steps (loss {failed[1]:g}). A smaller "
                "learning rate, or a transform that keeps the range, may help."
            )
        if self.patience is not None and self.waited >= self.patience and step < steps:
            return f"No start was better for {self.waited} steps; the fit ended after {step}."
        return ""


def require_optimizer(optimizer: Any) -> None:
    """Refuse what optax would stumble over later."""
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"`optimizer` must be an optax optimiser, such as optax.adam(1e-2), not {optimizer!r}."
        )


def start_points(
    fitted: Fitted, starts: Any, key: Array | None, spread: float
) -> tuple[Free, bool]:
    """The unconstrained numbers to start from, and whether they have a leading axis of starts."""
    first = fitted.start()
    if starts is None:
        return first, False
    require_positive("spread", spread)
    if isinstance(starts, int | np.integer):
        starts = _at_least_one("starts", starts)
        if key is None:
            raise ValueError("`starts` are drawn: give `key=jax.random.key(seed)`, too.")
        draws = [
            jax.random.normal(k, (starts, *u.shape), u.dtype).at[0].set(0)
            for k, u in zip(jax.random.split(key, len(first)), first, strict=True)
        ]
        return tuple(u[None] + spread * d for u, d in zip(first, draws, strict=True)), True
    leaves, shape = jax.tree.flatten(starts, is_leaf=lambda x: not isinstance(x, tuple | list))
    if shape != fitted.shape:
        raise TypeError(
            "`starts` must be a number, or leaves as `where` gives them, each with one more axis "
            f"in front; not {eqx.tree_pformat(starts)}."
        )
    values = jax.tree.leaves(fitted.params)
    for name, place, given in zip(fitted.names, fitted.places, leaves, strict=True):
        wanted, got = ("start", *np.shape(values[place])), np.shape(given)
        if len(got) != len(wanted) or got[1:] != wanted[1:]:
            shown = ", ".join(map(str, wanted))
            raise ValueError(f"`starts` of `{name}` must have shape ({shown}), not {got}.")
    counts = {len(given) for given in leaves}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(f"All leaves of `starts` must hold as many, at least 1; not {counts}.")
    each = [fitted.free([jnp.asarray(x)[i] for x in leaves]) for i in range(len(leaves[0]))]
    stacked = [jnp.stack(us) for us in zip(*each, strict=True)]
    return tuple(strong(x).astype(u.dtype) for x, u in zip(stacked, first, strict=True)), True


def _at_least_one(name: str, n: Any) -> Any:
    if n is not None and as_count(name, n) == 0:
        raise ValueError(f"`{name}` must be at least 1.")
    return n


def _rows(measured: list[np.ndarray], path: list[Any]) -> dict[str, np.ndarray]:
    leaves = {f"path_{i}": np.stack(rows) for i, rows in enumerate(zip(*path, strict=True))}
    return {"measured": np.stack(measured), **leaves}


def result_of(
    fitted: Fitted, many: bool, rows: dict[str, np.ndarray], failures: list[int], stopped: str
) -> FitResult:
    """Lay out what was measured: a row a step, each with an axis of starts if there are many."""
    measured, *path = (x if many else x[:, None] for x in rows.values())
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
