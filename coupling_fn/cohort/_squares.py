r"""The sums of squares of subjects and their derivatives: all that a fit of a cohort computes by JAX.

One program takes `chunk` subjects, so its shapes do not depend on how many there are. It returns the
rows of R in $[J\ r] = QR$, a few numbers per subject; what is made of these is NumPy in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PyTree, triangular_factor
from .._fit import Fitted, Unconstrained, flatten, is_float, unflatten, value_and_jacobian, widest
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
        factors = []
        for first in range(0, len(which), self.chunk):
            # The last chunk is filled up with its last subject, so that all have one shape.
            rows = np.minimum(np.arange(first, first + self.chunk), len(which) - 1)
            part, at = self.cohort.rows(which[rows]), (values[rows] * self.scale).astype(self.dtype)
            found = _factors(self.residuals, self.fitted, part, at, self.like, self.derivative)
            factors.append(np.asarray(found, np.float64)[: len(which) - first])
        if not self.begun:  # all of them at the start
            self._require_finite(np.concatenate(factors))
        upper = np.concatenate(factors) / self.noise[which][:, None, None]
        jacobian, r = upper[..., :-1] * self.scale, upper[..., -1]
        return Squares(
            half=(r**2).sum(1) / 2,
            slope=np.einsum("srp,sr->sp", jacobian, r),
            matrix=np.einsum("srp,srq->spq", jacobian, jacobian),
        )

    def _require_finite(self, factors: np.ndarray) -> None:
        for id, factor in zip(self.cohort.ids, factors, strict=True):
            if not np.isfinite(factor).all():
                raise ValueError(
                    f"The residuals of subject {id!r} and their derivatives must be finite at the "
                    "start; some are not. Start from other values, or look at what is computed there."
                )
        self.begun = True


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

    subjects, rows = jax.tree.map(jnp.asarray, (subjects, rows))
    if len(rows) > 1:
        return jax.vmap(one)(subjects, rows)
    return one(*jax.tree.map(lambda x: x[0], (subjects, rows)))[None]


def array_of_floats(got: Any) -> Array:
    """Return residuals; refuse anything but an array of floats."""
    if not (isinstance(got, Array) and got.ndim and is_float(got)):
        raise TypeError(
            "`residuals` must return a JAX array of floats, not their sum; it returned "
            f"{eqx.tree_pformat(got)}."
        )
    return got
