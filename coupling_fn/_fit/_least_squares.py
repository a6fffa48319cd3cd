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

from .._core import PyTree, Where, as_count, require_choice
from ..transforms import Transform
from ._fit import Derivative, FitResult, result_of, start_points
from ._leaves import Fitted, Free, fitted_leaves, flatten, is_float, value_and_jacobian, widest


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
    r"""Make $\frac12 \sum r^2$ small by a method that knows it is a sum of squares.

    With few parameters and small residuals this takes some ten runs where `fit` takes hundreds.
    While it measures, a step holds the Jacobian: residuals times numbers.
    It needs optimistix, which the extra `coupling_fn[least-squares]` installs.

    Args:
        residuals: pure function of `params`, returning an array: what was simulated less what was
            measured.
        params: as in `fit`.
        where: as in `fit`.
        solver: any optimistix least-squares solver; if None, Levenberg-Marquardt with tolerances
            of the root of the dtype's precision.
        steps: how many steps it may take.
        transform: as in `fit`.
        derivative: "forward" costs a run a number, "reverse" one a residual; "auto" is forward
            where the residuals have it (`simulate(derivative="forward")` in a delayed network).
        starts: as in `fit`, with `key` and `spread`.
        key: as in `fit`.
        spread: as in `fit`.

    Returns:
        As `fit` does, with two rows: the start and where the solver ended.

    Raises:
        ImportError: if optimistix is not installed.
        TypeError: if `residuals` returns no array of floats, or `solver` is something else;
            otherwise as `fit`.
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
        raise ImportError("least_squares needs optimistix: coupling_fn[least-squares].") from error
    require_choice("derivative", derivative, ("auto", "reverse", "forward"))
    fitted = fitted_leaves("least_squares", params, where, transform)
    free, many = start_points(fitted, starts, key, spread)
    if solver is None:
        tolerance = float(jnp.finfo(widest(free)).eps) ** 0.5
        solver = optimistix.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    if not isinstance(solver, optimistix.AbstractLeastSquaresSolver):
        raise TypeError(
            "`solver` must be an optimistix least-squares solver, such as "
            f"optimistix.LevenbergMarquardt(rtol=1e-8, atol=1e-8), not {solver!r}."
        )
    solve = _solve_all if many else _solve
    steps = as_count("steps", steps)
    measured, path, done = solve(residuals, fitted, solver, free, steps, derivative)
    measured = np.moveaxis(np.asarray(measured), -1, 0)  # (row, start)
    if not np.isfinite(measured[0]).any():
        raise ValueError("The residuals must be finite at the start; they are not.")
    rows = [np.asarray(x) for x in path]
    rows = [np.moveaxis(x, 1, 0) for x in rows] if many else rows
    ranked = np.where(np.isfinite(measured[-1]), measured[-1], np.inf)
    converged = bool(np.ravel(done)[np.argmin(ranked)])
    stopped = "" if converged else f"The solver did not converge in {steps} steps."
    if stopped:
        warnings.warn(f"The fit stopped early. {stopped}", RuntimeWarning, stacklevel=2)
    named = {f"path_{i}": x for i, x in enumerate(rows)}
    failures = [0] * np.size(measured[0])
    both = np.stack([measured, np.isfinite(measured)], -1)
    return result_of(fitted, many, {"measured": both, **named}, failures, stopped)


@eqx.filter_jit
def _solve(
    residuals: Callable[[Any], Array],
    fitted: Fitted,
    solver: Any,
    free: Free,
    steps: int,
    derivative: str,
) -> tuple[Array, tuple[Array, ...], Array]:
    """The losses and the leaves at the start and at the end, and whether the solver converged."""
    import optimistix

    def of(free: Free) -> Array:
        given = residuals(fitted.at(free))
        if not (isinstance(given, Array) and given.ndim and is_float(given)):
            raise TypeError(
                "`residuals` must return a JAX array of floats, not their sum: it returns "
                f"{eqx.tree_pformat(given)}."
            )
        return given

    few = _as_few(of, derivative)
    found = optimistix.least_squares(
        lambda free, _: few(free), solver, free, max_steps=steps, throw=False
    )
    ends = jax.tree.map(lambda a, b: jnp.stack([a, b]), free, found.value)
    losses = lax.map(lambda u: jnp.sum(of(u) ** 2) / 2, ends)  # compiled once, not twice
    path = jax.vmap(fitted.values)(ends)
    return losses, path, found.result == optimistix.RESULTS.successful


@eqx.filter_jit
def _solve_all(residuals, fitted, solver, free, steps, derivative):
    return jax.vmap(lambda u: _solve(residuals, fitted, solver, u, steps, derivative))(free)


def _as_few(residuals: Callable[[Free], Array], derivative: str) -> Callable[[Free], Array]:
    r"""One residual more than there are numbers, which solvers cannot tell from all of them.

    They see residuals by $\sum r^2$, $J^T r$ and $J^T J$ alone, and where $[J\ r] = QR$ those of
    $R$'s columns are the same. So the solver carries a few numbers, not a Jacobian of a
    simulation, nor what a linearized one keeps of every step.
    """

    def columns(free: Free) -> tuple[Array, Array]:
        r, jacobian = value_and_jacobian(residuals, free, derivative)
        both = jnp.concatenate([jacobian.astype(r.dtype), r[:, None]], axis=1)
        upper = jnp.linalg.qr(both, mode="r")
        signs = jnp.where(jnp.diagonal(upper) < 0, -1, 1).astype(r.dtype)  # else they may jump
        upper = signs[:, None] * upper
        return upper[:, :-1], upper[:, -1]

    @jax.custom_jvp
    def few(free: Free) -> Array:
        return columns(free)[1]

    @few.defjvp
    def _(primals: tuple[Free], tangents: tuple[Free]) -> tuple[Array, Array]:
        jacobian, r = columns(*primals)
        return r, jacobian @ flatten(*tangents).astype(r.dtype)

    return few
