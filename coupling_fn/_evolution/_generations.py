"""The host's side of an evolution: generation after generation, watched and written to disk."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from .._core import (
    PyTree,
    as_arrays,
    as_tree,
    fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from .._fit import (
    FitResult,
    Fitted,
    Unconstrained,
    flatten,
    one_float,
    require_host,
    result_of,
    sweep_quietly,
    unflatten,
)
from ._method import Method


class Trial(eqx.Module):
    """The loss of one member, and the leaves of `params` there."""

    loss: Callable[[PyTree], Array]
    fitted: Fitted

    def __call__(self, unconstrained: Unconstrained) -> tuple[Array, tuple[Array, ...]]:
        """Evaluate a member."""
        values = self.fitted.values(unconstrained)
        return one_float(self.loss(self.fitted.put(values))), values


class Row(NamedTuple):
    """What one generation measured.

    Attributes:
        losses: the smallest loss of each start; NaN where none was finite.
        failed: number of members whose loss was not finite.
        leaves: the fitted leaves of these best members.
    """

    losses: np.ndarray
    failed: np.ndarray
    leaves: tuple[np.ndarray, ...]


class Watch:
    """Follows the losses of all starts, and says when to stop."""

    def __init__(self, starts: int, retries: int, patience: int | None, tolerance: float):
        self.retries, self.patience, self.tolerance = retries, patience, tolerance
        self.failures, self.marks = np.zeros(starts, int), np.full(starts, np.inf)
        self.waited, self.broken = 0, False

    def see(self, losses: np.ndarray, number: int, last: bool) -> str:
        """Take in the losses of a generation; return a reason to stop, or an empty string."""
        self.failures += np.isnan(losses)
        losses = np.where(np.isnan(losses), np.inf, losses)
        slack = self.tolerance * np.abs(np.where(np.isinf(self.marks), 0, self.marks))
        better = losses < self.marks - slack
        self.marks = np.where(better, losses, self.marks)
        self.waited = 0 if better.any() else self.waited + 1
        if self.failures.min() > self.retries:
            self.broken = True
            return (
                f"No loss of a generation was finite, {self.failures.min()} times, the last time in "
                f"generation {number}. A smaller `spread`, or a transform that keeps the range, may "
                "help."
            )
        if self.patience is not None and self.waited >= self.patience and not last:
            return (
                f"No start was better for {self.waited} generations; the search ended after "
                f"{number + 1}."
            )
        return ""


class Evolution:
    """The host's side: it asks the method, sweeps over the members, and tells their losses."""

    def __init__(
        self,
        trial: Trial,
        method: Method,
        start: Unconstrained,
        origins: Unconstrained,
        spread: float,
        key: Array,
        generations: int,
        watch: Watch,
        callback: Callable[[int, float, PyTree], bool | None] | None,
    ):
        self.trial, self.method, self.start = trial, method, start
        floats = jnp.result_type(float)
        self.origins = jax.vmap(flatten)(origins).astype(floats)
        self.spread, self.key = jnp.asarray(spread, floats), key
        self.generations, self.watch, self.callback = generations, watch, callback
        self.states: PyTree = None  # until the method has begun
        self.rows: list[Row] = []
        self.stopped = ""

    def run(
        self,
        chunk: int | None,
        devices: Sequence[Any] | None,
        advance: Callable[..., None],
        disk: "Disk | None",
    ) -> None:
        """Go through the generations that are left."""
        while not self.over():
            number = len(self.rows)
            asked = self._ask(number)
            folder = None if disk is None else disk.folder_of(number, chunk, asked.members)
            losses, leaves = sweep_quietly(
                self.trial, asked.points, chunk=chunk, devices=devices, save=folder, progress=False
            )
            require_host("evolve", losses)  # the loss may close over a traced value
            row, told = judged(np.asarray(losses).reshape(asked.members.shape[:2]), leaves)
            states = tell(self.method, self._key_of(number), asked, told)
            if disk is not None:
                disk.write(states, [*self.rows, row])
            self.states = states
            self.see(row)
            best = self.watch.marks.min()
            advance(1, **({"loss": f"{best:g}"} if np.isfinite(best) else {}))
            self._call_back(row)

    def _ask(self, number: int) -> "Asked":
        key, states = self._key_of(number), self.states
        if states is None and not self.method.from_members:
            states = begin(self.method, key, len(self.origins))
        return ask(self.method, key, states, self.origins, self.spread, self.start)

    def _key_of(self, number: int) -> Array:
        return jax.random.fold_in(self.key, number)

    def over(self) -> bool:
        """Return whether all generations were made, or the search stopped before."""
        return len(self.rows) >= self.generations or bool(self.stopped)

    def found(self) -> bool:
        """Return whether any loss so far was finite."""
        return any(np.isfinite(row.losses).any() for row in self.rows)

    def see(self, row: Row) -> None:
        """Keep a row, and note whether it ends the search."""
        number = len(self.rows)
        self.rows.append(row)
        self.stopped = self.watch.see(row.losses, number, number + 1 == self.generations)

    def result(self, many: bool) -> FitResult:
        """Return what was found so far."""
        losses = np.stack([row.losses for row in self.rows])
        path = [np.stack(x) for x in zip(*(row.leaves for row in self.rows), strict=True)]
        if not many:
            losses, path = losses[:, 0], [x[:, 0] for x in path]
        failures = self.watch.failures.tolist()
        return result_of(self.trial.fitted, many, losses[..., None], path, failures, self.stopped)

    def _call_back(self, row: Row) -> None:
        if self.callback is None or np.isnan(row.losses).all():
            return
        number, nearest = len(self.rows) - 1, int(np.nanargmin(row.losses))
        params = self.trial.fitted.put([x[nearest] for x in row.leaves])
        if self.callback(number, float(row.losses[nearest]), params) and not self.stopped:
            self.stopped = f"The callback ended the search after {number + 1} generations."


class Asked(NamedTuple):
    """What a method asks to evaluate.

    Attributes:
        members: in the method's own unit.
        points: the unconstrained values of all members, those of the first start first.
        states: of the method, after asking; None where it has not begun.
    """

    members: Float[Array, "start member value"]
    points: Unconstrained
    states: PyTree


@eqx.filter_jit
def begin(method: Method, key: Array, starts: int) -> PyTree:
    """Return the states of a method that begins from a mean."""
    return method.begin(_three(key)[0], starts)


@eqx.filter_jit
def ask(
    method: Method,
    key: Array,
    states: PyTree,
    origins: Float[Array, "start value"],
    spread: Array,
    like: Unconstrained,
) -> Asked:
    """Return the members of the generation that has this key.

    Without states, they are the ones that a method begins from.
    """
    _, asking, _ = _three(key)
    if states is None:
        members = method.first_members(asking, len(origins))
    else:
        members, states = method.ask(asking, states)
    rows = (origins[:, None, :] + spread * members).reshape(-1, method.length)
    return Asked(members, jax.vmap(lambda row: unflatten(row, like))(rows), states)


@eqx.filter_jit
def tell(
    method: Method, key: Array, asked: Asked, losses: Float[ArrayLike, "start member"]
) -> PyTree:
    """Return the states that know the losses; a start of which none is finite is not told."""
    _, _, telling = _three(key)
    losses = jnp.asarray(losses, asked.members.dtype)
    if asked.states is None:
        return method.begin_from(telling, asked.members, losses)
    told = method.tell(telling, asked.members, losses, asked.states)
    some = jnp.isfinite(losses).any(1)

    def chosen(new: Array, old: Array) -> Array:
        return jnp.where(some.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(chosen, told, asked.states)


def _three(key: Array) -> tuple[Array, Array, Array]:
    """Return the keys of a generation: to begin, to ask and to tell."""
    beginning, asking, telling = jax.random.split(key, 3)
    return beginning, asking, telling


def judged(losses: np.ndarray, leaves: Sequence[Array | np.ndarray]) -> tuple[Row, np.ndarray]:
    """Return the row of a generation, and the losses to tell.

    A loss that is not finite is told as one that is worse than the worst by the range of the finite
    ones: methods that rank put it last, and those that average losses stay finite.

    Args:
        losses: the loss of each member of each start. (start, member)
        leaves: the fitted leaves of all members, those of the first start first.
    """
    finite = np.isfinite(losses)
    low = np.where(finite, losses, np.inf).min(1)
    high = np.where(finite, losses, -np.inf).max(1)
    some = finite.any(1)
    low, high = np.where(some, low, 0), np.where(some, high, 0)
    spread = high - low
    worse = high + np.where(spread > 0, spread, np.maximum(np.abs(high), 1))
    told = np.where(finite, losses, np.where(some, worse, np.inf)[:, None])
    best = told.argmin(1)
    starts = np.arange(len(losses))
    shown = np.where(some, low, np.nan)
    at = [np.asarray(x).reshape(*losses.shape, *np.shape(x)[1:])[starts, best] for x in leaves]
    return Row(shown, np.asarray((~finite).sum()), tuple(at)), told


class Disk:
    """The folder that a search is written to, and from which it goes on."""

    def __init__(self, folder: Path, evolution: Evolution):
        self.folder, self.file = folder, folder / "evolve.npz"
        method = evolution.method
        arrays, rest = eqx.partition(evolution.trial, eqx.is_array)
        how = evolution.origins, evolution.spread, evolution.start

        def two(arrays: PyTree) -> PyTree:  # the second asks where the first may only begin
            trial, states = eqx.combine(arrays, rest), None
            if not method.from_members:
                states = begin(method, evolution.key, len(evolution.origins))
            for _ in range(2):
                asked = ask(method, evolution.key, states, *how)
                losses, _ = jax.vmap(trial)(asked.points)
                losses = losses.reshape(asked.members.shape[:2])
                states = tell(method, evolution.key, asked, losses)
            return states

        traced, self.like = jax.make_jaxpr(two, return_shape=True)(arrays)
        numbers = (arrays, evolution.origins, evolution.spread, evolution.key, method.population)
        self.marks = fingerprint(
            "loss or method",
            traced,
            "params, transforms, starts, spread, population or key",
            numbers,
        )

    def resume(self, evolution: Evolution) -> None:
        """Bring a new search to where the file ends, if there is a file."""
        found = read_checkpoint(self.file, self.marks, "search")
        if not found:
            return
        evolution.states = as_tree("state", found, self.like)
        self._forget(len(found["losses"]) - 1)  # had it been killed between the file and this
        leaves = (found[f"path_{i}"] for i in range(len(evolution.start)))
        rows = zip(*leaves, strict=True)
        for losses, failed, *at in zip(found["losses"], found["failed"], rows, strict=True):
            evolution.see(Row(losses, failed, tuple(at[0])))
            if evolution.over():
                break

    def folder_of(self, number: int, chunk: int | None, members: Array) -> Path | None:
        """Return where the chunks of a generation are written; None where it is one chunk."""
        runs = members.shape[0] * members.shape[1]
        return None if chunk is None or chunk >= runs else self._chunks_of(number)

    def write(self, states: PyTree, rows: list[Row]) -> None:
        """Replace the file by these rows and states, and remove the chunks that are in it."""
        leaves = [np.stack(x) for x in zip(*(row.leaves for row in rows), strict=True)]
        arrays = as_arrays("state", states)
        arrays |= {f"path_{i}": x for i, x in enumerate(leaves)}
        arrays |= {
            name: np.stack([getattr(row, name) for row in rows]) for name in ("losses", "failed")
        }
        write_checkpoint(self.file, arrays, self.marks)
        self._forget(len(rows) - 1)

    def _forget(self, number: int) -> None:
        """Remove the chunks of a generation that is in the file."""
        shutil.rmtree(self._chunks_of(number), ignore_errors=True)

    def _chunks_of(self, number: int) -> Path:
        return self.folder / f"generation-{number:06d}"
