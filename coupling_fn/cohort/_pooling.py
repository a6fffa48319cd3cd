r"""Least squares of many subjects: each alone, all as one, or drawn to their mean by a penalty.

With $f_s(u)$ half the sum of squares of subject $s$, the three problems are $\min f_s(u_s)$ for each;
$\min \sum_s f_s(u)$; and $\min \sum_s f_s(u_s) + \frac\lambda2 \sum_s |u_s - \bar u|^2$. All are
solved by Levenberg-Marquardt on the host.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ._squares import Runs, Squares


class Minimum(NamedTuple):
    """Where a fit of all subjects ended.

    Attributes:
        values: unconstrained values, (subject, value).
        squares: those of each subject there, without the penalty.
        information: what was minimised, as a Gauss-Newton matrix per problem: one per subject where they
            are alone, one of one subject's size where they are one, and one of all values otherwise.
        converged: of each subject.
    """

    values: np.ndarray
    squares: Squares
    information: np.ndarray
    converged: np.ndarray


def alone(runs: Runs, start: np.ndarray, steps: int, rounding: float) -> Minimum:
    """Fit each subject by itself, from rows of `start`; those that have converged run no more."""
    values, squares, done = _levenberg_marquardt(runs, start, steps, rounding)
    return Minimum(values, squares, squares.matrix, done)


def as_one(runs: Runs, start: np.ndarray, steps: int, rounding: float) -> Minimum:
    """Fit one set of values to all subjects, from one row."""
    subjects = np.arange(len(runs.cohort))

    def measure(values: np.ndarray, _: np.ndarray) -> Squares:
        each = runs(np.repeat(values, len(subjects), axis=0), subjects)
        return Squares(*(x.sum(0, keepdims=True) for x in each))

    values, total, done = _levenberg_marquardt(measure, start[None], steps, rounding)
    values = np.repeat(values, len(subjects), axis=0)
    squares = runs(values, subjects)
    return Minimum(values, squares, total.matrix, np.repeat(done, len(subjects)))


def in_part(runs: Runs, start: np.ndarray, penalty: float, steps: int, rounding: float) -> Minimum:
    """Fit all subjects, drawn to their mean by a penalty, from rows of `start`."""
    count, width = start.shape
    subjects = np.arange(count)
    centred = np.eye(count) - 1 / count  # of each subject what it deviates from the mean
    pull = penalty * np.kron(centred, np.eye(width))

    def measure(values: np.ndarray, _: np.ndarray) -> Squares:
        each = runs(values.reshape(count, width), subjects)
        matrix = pull.reshape(count, width, count, width).copy()
        matrix[subjects, :, subjects] += each.matrix
        drawn = pull @ values[0]
        return Squares(
            half=each.half.sum(keepdims=True) + values[0] @ drawn / 2,
            slope=(each.slope.ravel() + drawn)[None],
            matrix=matrix.reshape(1, count * width, count * width),
        )

    values, total, done = _levenberg_marquardt(measure, start.reshape(1, -1), steps, rounding)
    values = values.reshape(count, width)
    return Minimum(values, runs(values, subjects), total.matrix, np.repeat(done, count))


def held_out(found: Minimum, penalty: float) -> np.ndarray:
    r"""Return how badly each subject is predicted by all others: its negative log-likelihood.

    Around the fit of all subjects, residuals are taken as linear. Then what the other subjects say of
    $s$ is normal: its mean is the mean $m$ of the group without $s$, and its covariance $V = 1/\lambda +
    C$, with $C$ that of $m$. With $g$ and $H$ the slope and matrix of $f_s$ at $m$, the negative log of
    the probability of its data is, up to a constant,

        $f_s(m) - \frac12 g^T (H + V^{-1})^{-1} g + \frac12 \log \det(1 + V H)$.

    Subjects must be at least two.
    """
    values, (half, slope, matrix) = found.values, found.squares
    eye = np.eye(values.shape[1])
    # Of the mean of the group, each subject has the information W H, and says W (H u - g).
    weights = (
        np.broadcast_to(eye, matrix.shape)
        if np.isinf(penalty)
        else penalty * np.linalg.inv(matrix + penalty * eye)
    )
    informed = weights @ matrix
    said = np.einsum("spq,sq->sp", weights, np.einsum("spq,sq->sp", matrix, values) - slope)
    others = informed.sum(0) - informed
    covariance = np.linalg.pinv(others, hermitian=True)
    mean = np.einsum("spq,sq->sp", covariance, said.sum(0) - said)
    spread = covariance + (0.0 if np.isinf(penalty) else eye / penalty)
    away = mean - values
    g = slope + np.einsum("spq,sq->sp", matrix, away)
    at_mean = half + np.einsum("sp,sp->s", slope + g, away) / 2
    wider = eye + matrix @ spread
    gained = np.einsum("sp,spq,sq->s", g, spread @ np.linalg.inv(wider), g) / 2
    return at_mean - gained + np.linalg.slogdet(wider)[1] / 2


def _levenberg_marquardt(
    measure: Callable[[np.ndarray, np.ndarray], Squares],
    start: np.ndarray,
    steps: int,
    rounding: float,
) -> tuple[np.ndarray, Squares, np.ndarray]:
    """Solve several problems at once, each with its own damping.

    Args:
        measure: from rows of values, and which problems they are of, to their squares.
        start: (problem, value); the squares there are finite.
        steps: how often each problem may be measured after the start.
        rounding: the relative precision of what is measured.

    Returns:
        The best values of each problem, the squares there, and which have converged.
    """
    values, every = start.copy(), np.arange(len(start))
    at = Squares(*(x.copy() for x in measure(values, every)))
    damping, done = np.full(len(start), 1e-3), np.zeros(len(start), bool)
    for _ in range(steps):
        which = np.flatnonzero(~done)
        if not len(which):
            break
        slope, matrix = at.slope[which], at.matrix[which]
        diagonal = np.einsum("spp->sp", matrix)
        scale = np.maximum(diagonal, 1e-12 * diagonal.max(1, keepdims=True))
        scale = np.where(scale > 0, scale, 1.0)
        damped = matrix + np.einsum("s,sp,pq->spq", damping[which], scale, np.eye(len(scale[0])))
        move = -np.linalg.solve(damped, slope[..., None])[..., 0]
        promised = -(slope * move).sum(1) - np.einsum("sp,spq,sq->s", move, matrix, move) / 2
        trial = measure(values[which] + move, which)
        finite = np.isfinite(trial.half) & np.isfinite(trial.matrix).all((1, 2))
        better = finite & (trial.half <= at.half[which])
        chosen = which[better]
        values[chosen] += move[better]
        for old, new in zip(at, trial, strict=True):
            old[chosen] = new[better]
        # A step that is short, or promises less than rounding hides, is the last; not one that only
        # the damping made so.
        short = np.abs(move) <= rounding**0.5 * (np.abs(values[which]) + rounding**0.5)
        hidden = promised <= 16 * rounding * at.half[which]
        done[which] = finite & (damping[which] <= 1) & (short.all(1) | hidden)
        damping[which] *= np.where(better, 0.1, 10.0)
    return values, at, done
