"""What a curvature says of the fitted leaves: a covariance, standard errors and intervals."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ._leaves import Fitted, Unconstrained, basis, flatten, unflatten


class Curvature(NamedTuple):
    """The information, taken apart.

    Attributes:
        information: the matrix, made symmetric.
        eigenvalues: those of the matrix scaled to a diagonal of 1, the smallest first.
        vectors: their unit vectors, one per column.
        weak: which of them are not identified.
        bent: which of the weak ones are negative beyond rounding, so that there is no minimum.
        covariance: the inverse of the matrix without the weak directions.
        lost: which unconstrained values have a part in a weak direction.
    """

    information: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray
    weak: np.ndarray
    bent: np.ndarray
    covariance: np.ndarray
    lost: np.ndarray


def curvature_of(information: np.ndarray, precision: float) -> Curvature:
    """Invert an information matrix without the directions that are weaker than `precision`."""
    information = (information + information.T) / 2
    diagonal = np.diagonal(information)
    unit = np.where(diagonal > 0, np.sqrt(np.abs(diagonal)), 1.0)
    eigenvalues, vectors = np.linalg.eigh(information / unit / unit[:, None])
    smallest = precision * max(eigenvalues[-1], 0.0)
    weak = eigenvalues <= smallest
    inverse = np.where(weak, 0.0, 1 / np.where(weak, 1.0, eigenvalues))
    covariance = (vectors * inverse) @ vectors.T / unit / unit[:, None]
    # A value is lost if a tenth of its unit lies along what the data do not see.
    lost = (vectors[:, weak] ** 2).sum(1) > 0.01
    bent = eigenvalues < -smallest
    return Curvature(information, eigenvalues, vectors, weak, bent, covariance, lost)


class Judged(NamedTuple):
    """The fitted leaves with their errors: four lists of one array per leaf."""

    values: list[np.ndarray]
    errors: list[np.ndarray]
    lower: list[np.ndarray]
    upper: list[np.ndarray]


def judge(fitted: Fitted, at: Unconstrained, covariance: np.ndarray, lost: np.ndarray) -> Judged:
    """Carry the covariance of the unconstrained values over to the leaves.

    Args:
        fitted: the fitted leaves.
        at: the unconstrained values of the estimate.
        covariance: their covariance.
        lost: which of them the data do not determine; errors of what depends on them are infinite.
    """
    slopes = np.asarray(_leaf_slopes(fitted, at), np.float64)
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    error = np.sqrt(np.maximum(np.einsum("pi,ij,pj->p", slopes, covariance, slopes), 0.0))
    error = np.where((np.abs(slopes) > 0) @ lost, np.inf, error)
    values = [np.asarray(x) for x in fitted.values(at)]
    errors = [np.asarray(x) for x in unflatten(jnp.asarray(error), tuple(map(jnp.asarray, values)))]
    lower, upper = _interval(fitted, at, np.where(lost, np.inf, spread), slopes, errors)
    return Judged(values, errors, lower, upper)


@eqx.filter_jit
def _leaf_slopes(fitted: Fitted, at: Unconstrained) -> Array:
    """Return how the leaves move with the unconstrained values, with one column per value."""

    def leaves(unconstrained: Unconstrained) -> Array:
        return flatten(fitted.values(unconstrained))

    def along(direction: Unconstrained) -> Array:
        return jax.jvp(leaves, (at,), (direction,))[1]

    return jax.vmap(along, out_axes=1)(basis(at))


def _interval(
    fitted: Fitted,
    at: Unconstrained,
    spread: np.ndarray,
    slopes: np.ndarray,
    errors: list[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return both ends for each leaf; `spread` holds the errors of the unconstrained values."""
    away = unflatten(jnp.asarray(1.96 * spread), at)
    ends = [
        [np.asarray(x) for x in fitted.values(tuple(map(move, at, away)))]
        for move in (jnp.subtract, jnp.add)
    ]
    values = [np.asarray(x) for x in fitted.values(at)]
    lower, upper, row, column = [], [], 0, 0
    for value, error, u, a, b in zip(values, errors, at, *ends, strict=True):
        part = slopes[row : row + value.size, column : column + u.size]
        if value.shape == u.shape and (part == np.diag(np.diagonal(part))).all():
            low, high = np.minimum(a, b), np.maximum(a, b)
        else:
            low, high = value - 1.96 * error, value + 1.96 * error
        lower.append(np.asarray(low))
        upper.append(np.asarray(high))
        row, column = row + value.size, column + u.size
    return lower, upper


def names_of_values(fitted: Fitted, at: Unconstrained) -> tuple[str, ...]:
    """Return one name per unconstrained value."""
    names = []
    for name, u, value in zip(fitted.names, at, fitted.values(at), strict=True):
        name = name if u.shape == value.shape else f"unconstrained {name}"
        places = np.ndindex(u.shape)
        names += [name + (f"[{', '.join(map(str, place))}]" if place else "") for place in places]
    return tuple(names)
