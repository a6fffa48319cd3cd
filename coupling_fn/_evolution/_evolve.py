"""Parameters from data where the loss has no gradient: a population, evolved."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import (
    Interrupted,
    PyTree,
    Where,
    as_count,
    progress_bar,
    require_key,
    require_positive_number,
)
from .._fit import (
    FitResult,
    at_least_one,
    fitted_leaves,
    require_tolerance,
    size_of,
    start_points,
    told,
)
from ..transforms import Transform
from ._generations import Disk, Evolution, Trial, Watch
from ._method import method_of


def evolve(
    loss: Callable[[PyTree], Float[Array, ""]],
    params: PyTree,
    *,
    where: Where,
    key: Array,
    method: Callable[..., Any] | None = None,
    population: int | None = None,
    generations: int = 100,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    starts: int | PyTree | None = None,
    spread: float = 1.0,
    patience: int | None = None,
    tolerance: float = 0.0,
    retries: int = 10,
    callback: Callable[[int, float, PyTree], bool | None] | None = None,
    chunk: int | None = None,
    devices: Sequence[Any] | None = None,
    save: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> FitResult:
    """Minimise a loss that has no gradient, or a useless one, by evolving a population.

    In each generation the method is asked for members, `sweep` evaluates them all, and the method is
    told their losses. The loss may count, rank, or round lags to whole steps. Where it has a
    gradient that leads somewhere, `fit` needs far fewer runs. With noise, let the loss use the same
    key for all members: then they are compared on the same noise.

    A search takes `starts * population * generations` runs. The loss is compiled once; a later search
    with the same `loss` and `method` objects and the same shapes compiles nothing.

    A loss that is not finite counts as worse than all finite ones of its generation. A generation
    without a finite loss teaches the method nothing, and the next one is drawn from where it stood.

    Args:
        loss: pure function of `params`, returning one float, by JAX: all members are one `vmap`.
        params: any pytree, the start of the search. A Python float among its leaves becomes an array.
        where: returns the leaves to fit, one or a tuple of them: `lambda p: (p.coupling.k, p.speed)`.
            They must be arrays of floats.
        key: random key: the same key gives the same search.
        method: makes the method: a class of `evosax.algorithms`, such as `CMA_ES`, which is the
            default, `DifferentialEvolution` or `PSO`. Or any function that takes `population_size=`
            and `solution=`, an array as long as a member, and returns an object with evosax's
            `default_params`, `init`, `ask` and `tell`. Its standard deviation at the start is to be 1,
            as in evosax: `spread` is its unit.
        population: number of members per generation; `4 + floor(3 log(n))` for n fitted values if
            None, but at least 8. [1]
        generations: number of generations. [1]
        transform: keeps fitted leaves in a range: one `Transform` for all (`positive()`,
            `bounded(0, 1)`), or a tuple of one per leaf, in the order of `where`; `identity()`
            leaves one unconstrained. The method moves what it makes unconstrained.
        starts: number of populations that evolve side by side, and are evaluated in one sweep: the
            first around `params`, the others around points drawn around it. Or the leaves to start
            from, as `where` returns them, with a leading axis of starts. [1, or unit of each leaf]
        spread: the standard deviation of the first population around its start, and of the drawn
            starts around `params`, in the values that `transform` makes unconstrained. [1]
        patience: stop after this many generations in a row that improved no start. [1]
        tolerance: what counts as better: below the best loss by more than this fraction of it. [1]
        retries: how many generations without a finite loss each start may have. [1]
        callback: called as `callback(generation, loss, params)` after each generation that has a
            finite loss, with its best member; the search ends where it returns True.
        chunk: number of members that run at once; all of them if None. [1]
        devices: devices to spread the members over, such as `jax.devices()`.
        save: a folder, made if it does not exist, to which each generation is written, and with
            `chunk` each chunk of the one under way. If it was killed, the same call goes on from
            there, with bitwise the same values. With more `generations`, a finished search goes on.
            Another loss, method, start or key is refused.
        progress: show a bar on stderr, with one step per generation and the best loss. It needs tqdm,
            which the extra `coupling_fn[progress]` installs; without it there is no bar.

    Returns:
        A result as that of `fit`, with a row per generation: the loss of its best member, and where
        that is. `best_step` counts generations from 0, and no row is the start itself. `retries` counts
        the generations of the best start that had no finite loss, and so have no row.

    Raises:
        ImportError: if no `method` is given and evosax is not installed.
        TypeError: if `method` makes no method; the loss does not return one float; or as `fit`.
        ValueError: if no loss of any generation was finite; `method` refuses the `population`; `save`
            holds another search; or as `fit` and `sweep`.
        Interrupted: on Ctrl-C, with the result of the finished generations.

    Warns:
        RuntimeWarning: if some losses were not finite, and how many; or if the search stopped because
            none was.

    Source:
        N. Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772 (2016), for the default
        method and its population.

    Example:
        How often a run crosses 0 is a count, whose gradient is 0:

        >>> t = jnp.arange(0.0, 100.0)
        >>> def crossings(p):
        ...     x = jnp.sin(p["rate"] * t + 0.1)
        ...     return jnp.sum(jnp.where(x[1:] * x[:-1] < 0, 1.0, 0.0))
        >>> def loss(p):
        ...     return jnp.abs(crossings(p) - 20.0)
        >>> result = cf.evolve(
        ...     loss,
        ...     {"rate": jnp.asarray(0.1)},
        ...     where=lambda p: p["rate"],
        ...     key=jax.random.key(0),
        ...     transform=cf.transforms.bounded(0.0, 3.0),
        ...     generations=10,
        ...     progress=False,
        ... )
        >>> result.loss, int(crossings(result.params)), result.losses.shape
        (0.0, 20, (10,))
    """
    loss = told("evolve", "loss", loss)
    require_key(key)
    generations = as_count("generations", generations)
    if generations == 0:
        raise ValueError("`generations` must be at least 1; got 0.")
    retries, patience = as_count("retries", retries), at_least_one("patience", patience)
    require_tolerance(tolerance, patience)
    require_positive_number("spread", spread)
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be a function, not {callback!r}.")
    fitted = fitted_leaves("evolve", params, where, transform)
    drawing, searching = jax.random.split(key)
    origins, many = start_points(fitted, starts, drawing, spread)
    start = fitted.start()
    if not many:
        origins = tuple(u[None] for u in start)
    length = size_of(start)
    population = _population(population, length)
    made = method_of(method, population, length)

    watch = Watch(len(origins[0]), retries, patience, tolerance)
    trial = Trial(loss, fitted)
    search = Evolution(trial, made, start, origins, spread, searching, generations, watch, callback)
    disk = None if save is None else Disk(Path(save), search)
    if disk is not None:
        disk.resume(search)
    try:
        with progress_bar(generations, "evolve", progress) as advance:
            advance(len(search.rows))
            search.run(chunk, devices, advance, disk)
    except KeyboardInterrupt:
        count = len(search.rows)
        search.stopped = f"Interrupted after {count} generations."
        raise Interrupted(search.result(many) if search.found() else None) from None
    if not search.found():
        raise ValueError(
            f"No `loss` was finite in {len(search.rows)} generations of {population} members around "
            "the start. Start from other values, give a smaller `spread`, or look at what the loss "
            "computes there."
        )
    _warn_of(search)
    return search.result(many)


def _population(population: int | None, length: int) -> int:
    if population is None:
        return max(8, 4 + math.floor(3 * math.log(max(length, 1))))
    if as_count("population", population) < 2:
        raise ValueError(f"`population` must be at least 2; got {population}.")
    return int(population)


def _warn_of(search: Evolution) -> None:
    """Warn of a search that broke, and of losses that were not finite."""
    failed = int(np.sum([row.failed for row in search.rows]))
    if search.watch.broken:
        text = f"The search stopped early. {search.stopped}"
    elif failed:
        total = len(search.rows) * search.method.population * len(search.origins)
        text = (
            f"{failed} of {total} losses were not finite, and counted as the worst of their "
            "generation. A transform that keeps the range, or a smaller `spread`, avoids such runs."
        )
    else:
        return
    warnings.warn(text, RuntimeWarning, stacklevel=3)
