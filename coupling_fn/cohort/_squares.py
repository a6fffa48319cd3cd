r"""Sums of squares, or losses, of subjects with derivatives: all that fits of cohorts compute by JAX.

One program takes `chunk` subjects, so its shapes do not depend on how many there are. It returns the
rows of R in $[J\ r] = QR$, or a loss and its slope, a few numbers per subject; what is made of these is
NumPy in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PyTree, triangular_factor
from .._fit import (
    Fitted,
    Unconstrained,
    flatten,
    is_float,
    one_float,
    unflatten,
    value_and_gradient,
    value_and_jacobian,
    widest,
)
from ._stack import Cohort


class Squares(NamedTuple):
    """Half the sum of squares of each of several problems, its slope, and its Gauss-Newton matrix."""

    half: np.ndarray
    slope: np.ndarray
    matrix: np.ndarray


class Runs:
    """Sums of squares of subjects, `chunk` at a time by one program.

    Args:
        residuals: function of params and a subject.
        fitted: the leaves that are fitted.
        cohort: the subjects.
        chunk: how many subjects the program takes.
        derivative: the mode of the Jacobian, as in `least_squares`.
        noise: the standard deviation that the residuals of each subject are divided by, (subject,).
        scale: the unit in which each unconstrained value is measured here, (value,).
    """

    def __init__(
        self,
        residuals: Callable[[PyTree, PyTree], Any],
        fitted: Fitted,
        cohort: Cohort,
        chunk: int,
        derivative: str,
        noise: np.ndarray,
        scale: np.ndarray,
    ):
        self.residuals, self.fitted, self.cohort = residuals, fitted, cohort
        self.chunk, self.derivative, self.noise = chunk, derivative, noise
        self.scale = scale
        self.like = fitted.start()
        self.start = np.asarray(flatten(self.like), np.float64) / scale
        self.dtype = widest(self.like)
        self.begun = False

    def unconstrained(self, row: np.ndarray) -> Unconstrained:
        """Return the unconstrained values of a subject."""
        return unflatten(jnp.asarray(row * self.scale, self.dtype), self.like)

    def __call__(self, values: np.ndarray, which: np.ndarray) -> Squares:
        """Measure some subjects, each at a row of unconstrained values over `scale`."""
        at = (values * self.scale).astype(self.dtype)

        def program(part: PyTree, at: np.ndarray) -> Array:
            return _factors(self.residuals, self.fitted, part, at, self.like, self.derivative)

        factors = _in_chunks(program, self.cohort, self.chunk, at, which)
        if not self.begun:  # all of them at the start
            _require_finite("residuals", self.cohort.ids, factors)
            self.begun = True
        upper = factors / self.noise[which][:, None, None]
        jacobian, r = upper[..., :-1] * self.scale, upper[..., -1]
        return Squares(
            half=(r**2).sum(1) / 2,
            slope=np.einsum("srp,sr->sp", jacobian, r),
            matrix=np.einsum("srp,srq->spq", jacobian, jacobian),
        )


class Losses:
    """Losses of subjects with their slopes, `chunk` at a time by one program; arguments as of `Runs`."""

    def __init__(
        self,
        loss: Callable[[PyTree, PyTree], Any],
        fitted: Fitted,
        cohort: Cohort,
        chunk: int,
        derivative: str,
    ):
        self.loss, self.fitted, self.cohort = loss, fitted, cohort
        self.chunk, self.derivative = chunk, derivative
        self.like = fitted.start()
        self.start = np.asarray(flatten(self.like), np.float64)
        self.dtype = widest(self.like)
        self.begun = False

    def unconstrained(self, row: np.ndarray) -> Unconstrained:
        """Return the unconstrained values of a subject."""
        return unflatten(jnp.asarray(row, self.dtype), self.like)

    def __call__(self, values: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measure some subjects, each at a row of unconstrained values: losses, and slopes in rows."""

        def program(part: PyTree, at: np.ndarray) -> Array:
            return _losses(self.loss, self.fitted, part, at, self.like, self.derivative)

        found = _in_chunks(program, self.cohort, self.chunk, values.astype(self.dtype), which)
        if not self.begun:
            _require_finite("loss", self.cohort.ids, found)
            self.begun = True
        return found[:, 0], found[:, 1:]


def _in_chunks(
    program: Callable[[PyTree, np.ndarray], Array],
    cohort: Cohort,
    chunk: int,
    values: np.ndarray,
    which: np.ndarray,
) -> np.ndarray:
    """Call a program of `chunk` subjects in turn, and return what it found of each in float64."""
    found = []
    for first in range(0, len(which), chunk):
        # The last chunk is filled up with its last subject, so that all have one shape.
        rows = np.minimum(np.arange(first, first + chunk), len(which) - 1)
        part = program(cohort.rows(which[rows]), values[rows])
        found.append(np.asarray(part, np.float64)[: len(which) - first])
    return np.concatenate(found)


def _require_finite(what: str, ids: tuple[str, ...], found: np.ndarray) -> None:
    for id, one in zip(ids, found, strict=True):
        if not np.isfinite(one).all():
            raise ValueError(
                f"The {what} of subject {id!r} and {'its' if what == 'loss' else 'their'} derivatives "
                "must be finite at the start; some are not. Start from other values, or look at what "
                "is computed there."
            )


@eqx.filter_jit
def _factors(
    residuals: Any, fitted: Fitted, subjects: PyTree, rows: Any, like: Any, derivative: str
) -> Array:
    r"""Return R of $[J\ r] = QR$ for each subject of a chunk."""

    def one(subject: PyTree, row: Array) -> Array:
        def residuals_at(unconstrained: Any) -> Array:
            return array_of_floats(residuals(fitted.at(unconstrained), subject))

        r, jacobian = value_and_jacobian(residuals_at, unflatten(row, like), derivative)
        return triangular_factor(jnp.concatenate([jacobian.astype(r.dtype), r[:, None]], axis=1))

    return _over(one, subjects, rows)


@eqx.filter_jit
def _losses(
    loss: Any, fitted: Fitted, subjects: PyTree, rows: Any, like: Any, derivative: str
) -> Array:
    """Return the loss and its slope of each subject of a chunk, in a row."""

    def one(subject: PyTree, row: Array) -> Array:
        def loss_at(unconstrained: Any) -> Array:
            return one_float(loss(fitted.at(unconstrained), subject))

        value, slope = value_and_gradient(loss_at, unflatten(row, like), derivative)
        slope = flatten(slope)
        return jnp.concatenate([value[None].astype(slope.dtype), slope])

    return _over(one, subjects, rows)


def _over(one: Callable[[PyTree, Array], Array], subjects: PyTree, rows: Any) -> Array:
    """Map a function over the subjects of a chunk; one alone without the slower way of a batch."""
    subjects, rows = jax.tree.map(jnp.asarray, (subjects, rows))
    if len(rows) > 1:
        return jax.vmap(one)(subjects, rows)
    return one(*jax.tree.map(lambda x: x[0], (subjects, rows)))[None]


def array_of_floats(got: Any) -> Array:
    """Return residuals; refuse anything but an array of floats."""
    if not (isinstance(got, Array) and got.ndim and is_float(got)):
        raise TypeError(
            "`residuals` must return a JAX array of floats, not their sum; it returned "
            f"{eqx.tree_pformat(got)}. cf.cohort.fit_loss takes a loss, such as fc_rmse, that is one "
            "number per subject."
        )
    return got
