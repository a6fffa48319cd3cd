"""Losses made small by BFGS on the host: several problems at once, each with its own step."""

from collections.abc import Callable

import numpy as np

FIRST, SMALLER = 0.1, 1e-4  # the first step, relative to the start; how much of a promise to keep


def descend(
    measure: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    steps: int,
    rounding: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise several losses, each by BFGS with backtracking.

    Each value is measured in units of where it starts, so that a k of 0.01 and a rate of 100 are moved
    alike.

    Args:
        measure: from rows of values, and which problems they are of, to losses and their slopes.
        start: (problem, value); losses and slopes there are finite.
        steps: how often each problem may be measured after the start.
        rounding: the relative precision of what is measured.

    Returns:
        The best values of each problem, the losses there, and which have converged.
    """
    count, width = start.shape
    unit = np.where(start != 0, np.abs(start), 1.0)

    def measured(x: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, slope = measure(x * unit[which], which)
        return loss, slope * unit[which]

    x, first = start / unit, np.ones(count, bool)
    loss, slope = measured(x, np.arange(count))
    steepest = np.abs(slope).max(1)
    done = steepest == 0
    inverse = np.einsum("n,pq->npq", FIRST / np.where(done, 1.0, steepest), np.eye(width))
    length = np.ones(count)
    for _ in range(steps):
        which = np.flatnonzero(~done)
        if not len(which):
            break
        move = length[which, None] * _towards(inverse[which], slope[which], x[which])
        promised = -(slope[which] * move).sum(1)
        new_loss, new_slope = measured(x[which] + move, which)
        finite = np.isfinite(new_loss) & np.isfinite(new_slope).all(1)
        better = finite & (new_loss <= loss[which] - SMALLER * promised)
        # A whole step that is short, or promises less than rounding hides, is the last.
        small = np.abs(move) <= rounding**0.5 * (np.abs(x[which]) + rounding**0.5)
        hidden = promised <= 16 * rounding * np.abs(loss[which])
        done[which] = finite & (hidden | (better & small.all(1) & (length[which] == 1)))
        for n, i in enumerate(which):
            if better[n]:
                change = new_slope[n] - slope[i]
                inverse[i] = _updated(inverse[i], move[n], change, first=bool(first[i]))
                x[i], loss[i], slope[i] = x[i] + move[n], new_loss[n], new_slope[n]
                first[i], length[i] = False, 1.0
            else:
                length[i] *= _shorter(promised[n], new_loss[n] - loss[i]) if finite[n] else 0.25
    return x * unit, loss, done


def _towards(inverse: np.ndarray, slope: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the step of each problem; none leads farther than the values are large."""
    move = -np.einsum("npq,nq->np", inverse, slope)
    return move / np.maximum(1.0, (np.abs(move) / np.maximum(1.0, np.abs(x))).max(1))[:, None]


def _shorter(promised: float, rise: float) -> float:
    """Return which part of a step reaches the minimum of the parabola through what was measured."""
    return float(np.clip(promised / (2 * (rise + promised)), 0.1, 0.5)) if rise > -promised else 0.5


def _updated(
    inverse: np.ndarray, move: np.ndarray, change: np.ndarray, *, first: bool
) -> np.ndarray:
    """Return the inverse Hessian that takes the change of the slope to the step, as BFGS has it."""
    curvature = float(move @ change)
    if curvature <= 1e-10 * float(np.linalg.norm(move) * np.linalg.norm(change)):
        return 4 * inverse  # The loss curves downwards: go farther.
    if first:
        inverse = np.eye(len(move)) * curvature / float(change @ change)
    left = np.eye(len(move)) - np.outer(move, change) / curvature
    return left @ inverse @ left.T + np.outer(move, move) / curvature
