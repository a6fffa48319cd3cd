"""The host's side of a fit: calling compiled steps, watching their losses, writing them to disk."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core import PyTree, as_arrays, as_tree, fingerprint, read_checkpoint, write_checkpoint
from ._descent import Carry, Problem, begin, compiled_steps, split
from ._leaves import Unconstrained, require_host

# Calling a compiled step costs as much as a small loss, so one call makes as many steps as take
# about this long; meanwhile the bar does not move and Ctrl-C is not heard. [s]
CALL = 0.05
ROOM, NUMBERS = 64, 2**18  # the most steps in one call, and the most values fitted in them


class Watch:
    """Follows the losses of all starts, and says when to stop."""

    def __init__(self, starts: int, retries: int, patience: int | None, tolerance: float):
        self.retries, self.patience, self.tolerance = retries, patience, tolerance
        self.failures, self.marks = [0] * starts, [np.inf] * starts
        self.waited, self.broken = 0, False
        self.now, self.nearest = np.inf, 0

    def see(self, step: int, measured: np.ndarray, steps: int) -> str:
        """Take in the row of a step; return a reason to stop, or an empty string."""
        rows = [measured.tolist()] if measured.ndim == 1 else measured.tolist()
        losses, better, failed = [], False, ("", np.nan)
        for start, (value, good) in enumerate(rows):
            alive, finite = self.failures[start] <= self.retries, abs(value) < np.inf
            losses.append(value if alive and finite else np.inf)
            mark = self.marks[start]
            if losses[-1] < (mark if mark == np.inf else mark - self.tolerance * abs(mark)):
                self.marks[start], better = losses[-1], True
            # The last row needs no gradient, since no step follows it.
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


class Row(NamedTuple):
    """What one step measured.

    Attributes:
        measured: the loss, and whether it and its gradient are finite, of each start if there are
            several.
        leaves: the fitted leaves where it was measured.
    """

    measured: np.ndarray
    leaves: tuple[np.ndarray, ...]


class Descent:
    """The host's side of a fit: it calls compiled steps and keeps and watches their rows."""

    def __init__(
        self,
        problem: Problem,
        unconstrained: Unconstrained,
        many: bool,
        steps: int,
        watch: Watch,
        callback: Callable[[int, float, PyTree], bool | None] | None,
    ):
        def start(unconstrained: Unconstrained) -> Carry:
            return begin(problem.optimizer, unconstrained)

        self.fitted, self.many, self.steps = problem.fitted, many, steps
        self.watch, self.callback = watch, callback
        self.arrays, self.program = split(problem)
        self.carry = jax.vmap(start)(unconstrained) if many else start(unconstrained)
        self.room = min(ROOM, max(1, NUMBERS // max(1, sum(u.size for u in unconstrained))))
        self.rows: list[Row] = []
        self.stopped = ""

    def run(self, advance: Callable[..., None], disk: "Disk | None") -> None:
        """Make the steps that are left, as many per call as take about `CALL`."""
        count = 1
        while not self.over():
            first, began = len(self.rows), time.perf_counter()
            most = self.room if self.callback is None else 1
            to_write = self.room if disk is None else disk.every - first % disk.every
            count = min(count, most, to_write, self.steps + 1 - first)
            after = self._call(count)
            shown = {"loss": f"{self.watch.now:g}"} if self.watch.now < np.inf else {}
            advance(len(self.rows) - max(first, 1), **shown)
            if disk is not None and (self.over() or len(self.rows) % disk.every == 0):
                made = len(self.rows) - first
                if made < count:  # it stopped within the call: go to where its last row led
                    *_, after = compiled_steps(*self.arguments(made))
                disk.write(after, self.rows)
            self.carry, took = after, time.perf_counter() - began
            if took < CALL / 2:
                count *= 2
            elif took > CALL:
                count = max(count // 2, 1)

    def over(self) -> bool:
        """Return whether all steps were made, or the fit stopped before."""
        return len(self.rows) > self.steps or bool(self.stopped)

    def arguments(self, count: int) -> tuple[Any, ...]:
        """Return what `compiled_steps` takes to make `count` steps from here."""
        return self.program, self.many, self.room, self.arrays, self.carry, count

    def _call(self, count: int) -> Carry:
        """Make `count` steps in one call, keep their rows up to a stop, and return where they end."""
        measured, leaves, after = compiled_steps(*self.arguments(count))
        if not self.rows:
            require_host("fit", measured)  # the loss may close over a traced value
        # The rows are copied, so that those which are empty are not kept with them.
        measured, *leaves = (np.asarray(x)[:count].copy() for x in (measured, *leaves))
        for row in map(Row, measured, zip(*leaves, strict=True)):
            self.see(row)
            self._call_back(row)
            if self.stopped:
                break
        return after

    def see(self, row: Row) -> None:
        """Keep a row, and note whether it ends the fit."""
        self.rows.append(row)
        self.stopped = self.watch.see(len(self.rows) - 1, row.measured, self.steps)

    def _call_back(self, row: Row) -> None:
        if self.callback is None or self.watch.now == np.inf:
            return
        step, nearest = len(self.rows) - 1, self.watch.nearest
        leaves = [x[nearest] for x in row.leaves] if self.many else row.leaves
        if self.callback(step, self.watch.now, self.fitted.put(leaves)) and not self.stopped:
            self.stopped = f"The callback ended the fit after {step} steps."


class Disk:
    """The file that a fit is written to, and from which it goes on."""

    def __init__(self, folder: Path, every: int, descent: Descent, unconstrained: Unconstrained):
        self.file, self.every = folder / "fit.npz", every
        self.marks = fingerprint(
            "loss, batch or optimizer",
            compiled_steps.trace(*descent.arguments(1)).jaxpr,
            "params, transforms, starts or data",
            (descent.arrays, unconstrained),
        )

    def resume(self, descent: Descent) -> None:
        """Bring a new descent to where the file ends, if there is a file."""
        found = read_checkpoint(self.file, self.marks, "fit")
        if not found:
            return
        descent.carry = as_tree("carry", found, descent.carry)
        leaves = (found[f"path_{i}"] for i in range(len(descent.fitted.places)))
        for row in map(Row, found["measured"], zip(*leaves, strict=True)):
            descent.see(row)
            if descent.over():
                break

    def write(self, carry: Carry, rows: list[Row]) -> None:
        """Replace the file by these rows, and the carry to go on from."""
        measured, path = stacked(rows)
        leaves = {f"path_{i}": x for i, x in enumerate(path)}
        arrays = as_arrays("carry", carry) | {"measured": measured} | leaves
        write_checkpoint(self.file, arrays, self.marks)


def stacked(rows: list[Row]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return what all rows measured, and one array per fitted leaf, each with a leading axis of rows."""
    measured = np.stack([row.measured for row in rows])
    return measured, [np.stack(x) for x in zip(*(row.leaves for row in rows), strict=True)]
