"""Parameters from residuals: least squares by optimistix."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import PyTree, Where, as_count, require_choice, triangular_factor
from ..transforms import Transform
from ._derivatives import DERIVATIVES, Derivative, value_and_jacobian
from ._fit import FitResult, result_of
from ._leaves import (
    Fitted,
    Unconstrained,
    fitted_leaves,
    flatten,
    is_float,
    start_points,
    told,
    widest,
)


def least_squares(
    residuals: Callable[[Any], Float[Array, "..."]],
    params: PyTree,
    *,
    where: Where,
    solver: Any = None,
    steps: int = 100,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    derivative: Derivative = "auto",
    starts: int | PyTree | None = None,
    key: Array | None = None,
    spread: float = 1.0,
) -> FitResult:
    r"""Minimise $\frac12 \sum r^2$ by a method that makes use of its being a sum of squares.

    With few parameters and small residuals this takes some ten runs where `fit` takes hundreds.
    Each step holds the Jacobian while it measures: residuals times fitted values.
    It needs optimistix, which the extra `coupling_fn[least-squares]` installs.

    Args:
        residuals: pure function of `params`, returning an array: the simulated data minus the
            measured data.
        params: as in `fit`.
        where: as in `fit`.
        solver: any optimistix least-squares solver; if None, Levenberg-Marquardt whose tolerances
            are the square root of the dtype's precision.
        steps: number of steps that it may take. [1]
        transform: as in `fit`.
        derivative: "forward" costs one run per fitted value, "reverse" one per residual; "auto" is
            forward where the residuals have that derivative (in a network with delays by
            `simulate(derivative="forward")`), and else warns where that is much slower.
        starts: as in `fit`, with `key` and `spread`.
        key: as in `fit`.
        spread: the standard deviation of the starts, as in `fit`. [1]

    Returns:
        A result as that of `fit`, with two rows: the start, and where the solver ended.

    Raises:
        ImportError: if optimistix is not installed.
        TypeError: if `residuals` does not return an array of floats, or `solver` is of another
            type; otherwise as `fit`.
        ValueError: as `fit`.

    Warns:
        RuntimeWarning: if the solver did not converge.

    Source:
        J. Rader, T. Lyons, P. Kidger, Optimistix (2024), arXiv 2402.09983.

    Example:
        >>> t = jnp.arange(4.0)
        >>> residuals = lambda p: jnp.exp(-p["rate"] * t) - jnp.exp(-0.7 * t)
        >>> start = {"rate": jnp.asarray(0.1)}
        >>> result = cf.least_squares(residuals, start, where=lambda p: p["rate"])
        >>> round(float(result.params["rate"]), 3)
        0.7
    """
    try:
        import optimistix
    except ImportError as error:
        raise ImportError(
            "cf.least_squares needs optimistix; the extra coupling_fn[least-squares] installs it."
        ) from error
    require_choice("derivative", derivative, DERIVATIVES)
    residuals = told("least_squares", "residuals", residuals)
    fitted = fitted_leaves("least_squares", params, where, transform)
    unconstrained, many = start_points(fitted, starts, key, spread)
    if solver is None:
        tolerance = float(jnp.finfo(widest(unconstrained)).eps) ** 0.5
        solver = optimistix.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    if not isinstance(solver, optimistix.AbstractLeastSquaresSolver):
        raise TypeError(
            "`solver` must be an optimistix least-squares solver, such as "
            f"optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-8), not {solver!r}."
        )
    solve = _solve_all if many else _solve
    steps = as_count("steps", steps)
    measured, path, done = solve(residuals, fitted, solver, unconstrained, steps, derivative)
    measured = np.moveaxis(np.asarray(measured), -1, 0)  # (row, start)
    if not np.isfinite(measured[0]).any():
        raise ValueError(
            "The residuals must be finite at the start; some are not. Start from other values."
        )
    rows = [np.asarray(x) for x in path]
    rows = [np.moveaxis(x, 1, 0) for x in rows] if many else rows
    ranked = np.where(np.isfinite(measured[-1]), measured[-1], np.inf)
    converged = bool(np.ravel(done)[np.argmin(ranked)])
    stopped = "" if converged else f"The solver did not converge within {steps} steps."
    if stopped:
        warnings.warn(f"The fit stopped early. {stopped}", RuntimeWarning, stacklevel=2)
    failures = [0] * np.size(measured[0])
    both = np.stack([measured, np.isfinite(measured)], -1)
    return result_of(fitted, many, both, rows, failures, stopped)


@eqx.filter_jit
def _solve(
    residuals: Callable[[Any], Array],
    fitted: Fitted,
    solver: Any,
    unconstrained: Unconstrained,
    steps: int,
    derivative: str,
) -> tuple[Array, tuple[Array, ...], Array]:
    """Return the losses and leaves at the start and at the end, and whether the solver converged."""
    import optimistix

    def residuals_at(unconstrained: Unconstrained) -> Array:
        got = residuals(fitted.at(unconstrained))
        if not (isinstance(got, Array) and got.ndim and is_float(got)):
            raise TypeError(
                "`residuals` must return a JAX array of floats, not their sum; it returned "
                f"{eqx.tree_pformat(got)}."
            )
        return got

    few = _as_few(residuals_at, derivative)
    found = optimistix.least_squares(
        lambda unconstrained, _: few(unconstrained),
        solver,
        unconstrained,
        max_steps=steps,
        throw=False,
    )
    ends = jax.tree.map(lambda a, b: jnp.stack([a, b]), unconstrained, found.value)
    losses = lax.map(lambda u: jnp.sum(residuals_at(u) ** 2) / 2, ends)  # compiled once, not twice
    path = jax.vmap(fitted.values)(ends)
    return losses, path, found.result == optimistix.RESULTS.successful


@eqx.filter_jit
def _solve_all(residuals, fitted, solver, unconstrained, steps, derivative):
    return jax.vmap(lambda u: _solve(residuals, fitted, solver, u, steps, derivative))(
        unconstrained
    )


def _as_few(
    residuals: Callable[[Unconstrained], Array], derivative: str
) -> Callable[[Unconstrained], Array]:
    r"""Return residuals, one more than there are fitted values, that solvers cannot tell from all.

    A solver depends on the residuals through $\sum r^2$, $J^T r$ and $J^T J$ alone. With
    $[J\ r] = QR$, the columns of $R$ have the same products, since $Q^T Q = 1$. So the solver
    carries these few values, and neither the Jacobian of a simulation nor what a linearised
    simulation keeps of every step.
    """

    def columns(unconstrained: Unconstrained) -> tuple[Array, Array]:
        r, jacobian = value_and_jacobian(residuals, unconstrained, derivative)
        both = jnp.concatenate([jacobian.astype(r.dtype), r[:, None]], axis=1)
        upper = triangular_factor(both)
        signs = jnp.where(jnp.diagonal(upper) < 0, -1, 1).astype(r.dtype)  # otherwise they may jump
        upper = signs[:, None] * upper
        return upper[:, :-1], upper[:, -1]

    @jax.custom_jvp
    def few(unconstrained: Unconstrained) -> Array:
        return columns(unconstrained)[1]

    @few.defjvp
    def _(primals: tuple[Unconstrained], tangents: tuple[Unconstrained]) -> tuple[Array, Array]:
        jacobian, r = columns(*primals)
        return r, jacobian @ flatten(*tangents).astype(r.dtype)

    return few
