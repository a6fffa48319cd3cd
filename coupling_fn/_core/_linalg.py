"""Linear algebra under `jax.vmap`: on a CPU, LAPACK is handed one matrix per call.

jaxlib 0.10 and 0.11 hand the matrices of a batched call of LAPACK to the pool of threads that runs the
program, and the thread that made the call waits for them. As many such calls at once as the pool has
threads wait for one another for ever (two on a machine of two cores). A call with one matrix does its
work itself, so it waits for nothing. The functions here put a loop of such calls where `vmap`
would have made a batch; on other devices a batch stays a batch. `python -m benchmarks hang` tries it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jaxtyping import Complex, Float, Inexact

from ._batching import merged

HIGHEST = lax.Precision.HIGHEST
UNROLLED = 4  # Calls per turn of the loop: they are independent, so several cores may share them.


def one_by_one(function: Callable[..., Any], *, columns: int | None = None) -> Callable[..., Any]:
    """Return `function` in a form that `vmap` turns into a loop on a CPU, and into one batch elsewhere.

    The arguments and results are arrays. The result has no derivatives: those of JAX would be batches
    again. To give it some, call it within the rules of a `custom_jvp` or a `custom_linear_solve`.

    Args:
        function: a function of arrays that calls LAPACK.
        columns: the place of an argument with independent columns, a matrix like the result: a batch of
            it alone becomes more columns of one call.
    """

    @jax.custom_jvp
    def call(*args: Array) -> Any:
        return _called(function, columns, None, (False,) * len(args), args)

    @call.defjvp
    def _(primals, tangents):
        raise NotImplementedError("This call of LAPACK has no derivatives: see `one_by_one`.")

    return call


def _called(function, columns: int | None, batch: int | None, batched, args) -> Any:
    """Call `function` for a batch, or once if it is None; `batched` says which arguments have its axis.

    One more `vmap` around the call makes the batch larger, so that nested ones end in a single loop.
    """

    @custom_vmap
    def whole(*args: Array) -> Any:
        return function(*args) if batch is None else _for_each(function, batch, batched, args)

    @whole.def_vmap
    def rule(size: int, now: list[bool], *args: Array):
        if columns is not None and now == [place == columns for place in range(len(args))]:
            out = _side_by_side(function, columns, batch, batched, args)
        else:
            whole_args = [
                merged(x, size, batch, new, old)
                for x, new, old in zip(args, now, batched, strict=True)
            ]
            either = tuple(new or old for new, old in zip(now, batched, strict=True))
            out = _called(function, columns, size * (batch or 1), either, whole_args)
            if batch is not None:
                out = jax.tree.map(lambda x: x.reshape(size, batch, *x.shape[1:]), out)
        return out, jax.tree.map(lambda _: True, out)

    return whole(*args)


def _for_each(function, batch: int, batched, args) -> Any:
    """Call `function` for each of a batch, in turn on a CPU."""
    moving = [x for x, moves in zip(args, batched, strict=True) if moves]

    def one(*now: Array) -> Any:
        rest = iter(now)
        return function(*(next(rest) if m else x for x, m in zip(args, batched, strict=True)))

    def in_turn(*moving: Array) -> Any:
        unroll = min(UNROLLED, max(batch, 1))
        return lax.scan(lambda _, now: (None, one(*now)), None, moving, unroll=unroll)[1]

    return lax.platform_dependent(*moving, cpu=in_turn, default=jax.vmap(one))


def _side_by_side(function, columns: int, batch: int | None, batched, args) -> Array:
    """Solve for a batch of columns at once, as one matrix with all of them."""
    given = args[columns]
    size, count = given.shape[0], given.shape[-1]
    wide = jnp.moveaxis(given, 0, -2)
    wide = wide.reshape(*wide.shape[:-2], size * count)
    args = [wide if place == columns else x for place, x in enumerate(args)]
    out = _called(function, columns, batch, batched, args)
    return jnp.moveaxis(out.reshape(*out.shape[:-1], size, count), -2, 0)


def solve(a: Inexact[Array, "m m"], b: Inexact[Array, "m *n"]) -> Inexact[Array, "m *n"]:
    """Solve `a x = b` for a vector or matrix x, as `jnp.linalg.solve` does, with its derivatives.

    One factorisation of `a` serves the solution and the derivatives in both modes.
    """
    factors = _factorized(lax.stop_gradient(a))
    found = lax.custom_linear_solve(
        partial(jnp.matmul, a, precision=HIGHEST),
        b if b.ndim == 2 else b[:, None],
        solve=lambda _, y: _solved(*factors, y),
        transpose_solve=lambda _, y: _solved_transposed(*factors, y),
    )
    return found.reshape(b.shape)


def inverse(a: Inexact[Array, "m m"]) -> Inexact[Array, "m m"]:
    """Invert a matrix, as `jnp.linalg.inv` does, with derivatives in both modes."""
    return solve(a, jnp.eye(len(a), dtype=a.dtype))


@jax.custom_jvp
def eigenvalues(a: Inexact[Array, "m m"]) -> Complex[Array, " m"]:
    """Compute the eigenvalues of a square matrix, in no order, with derivatives in both modes."""
    return _eigenvalues(a)


@eigenvalues.defjvp
def _(primals, tangents):
    (a,), (change,) = primals, tangents
    values, vectors = eigenvectors(a)
    return values, (solve(vectors, change.astype(vectors.dtype)) * vectors.T).sum(axis=1)


def cholesky(a: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """Factorise the symmetric part of `a` into L L', L lower triangular; derivatives in both modes."""
    return _cholesky((a + a.T) / 2)


@jax.custom_jvp
def _cholesky(a: Array) -> Array:
    return _cholesky_factor(a)


@_cholesky.defjvp
def _(primals, tangents):
    # dL = L F(L^-1 dA L^-T), where F keeps the lower triangle and halves the diagonal.
    (a,), (change,) = primals, tangents
    factor = _cholesky(a)
    change = solve_lower(factor, solve_lower(factor, change).T)
    kept = jnp.tril(change) - jnp.diag(jnp.diag(change)) / 2
    return factor, jnp.matmul(factor, kept, precision=HIGHEST)


def solve_lower(factor: Array, b: Array) -> Array:
    """Solve `factor x = b`, given a lower triangular factor."""
    held = lax.stop_gradient(factor)
    return lax.custom_linear_solve(
        partial(jnp.matmul, factor, precision=HIGHEST),
        b,
        solve=lambda _, y: _lower(held, y),
        transpose_solve=lambda _, y: _lower_transposed(held, y),
    )


_triangular = partial(lax.linalg.triangular_solve, left_side=True)
_lower = one_by_one(partial(_triangular, lower=True), columns=1)
_lower_transposed = one_by_one(partial(_triangular, lower=True, transpose_a=True), columns=1)
_cholesky_factor = one_by_one(partial(lax.linalg.cholesky, symmetrize_input=False))


@one_by_one
def _factorized(a: Array) -> tuple[Array, Array]:
    """Return the LU factors of `a` in one matrix, and the order of its rows that they are of."""
    factors, _, order = lax.linalg.lu(a)
    return factors, order


@partial(one_by_one, columns=2)
def _solved(factors: Array, order: Array, b: Array) -> Array:
    within = _triangular(factors, b[order], lower=True, unit_diagonal=True)
    return _triangular(factors, within, lower=False)


@partial(one_by_one, columns=2)
def _solved_transposed(factors: Array, order: Array, b: Array) -> Array:
    within = _triangular(factors, b, lower=False, transpose_a=True)
    within = _triangular(factors, within, lower=True, transpose_a=True, unit_diagonal=True)
    return jnp.zeros_like(within).at[order].set(within)


@one_by_one
def _eigenvalues(a: Array) -> Array:
    return jnp.linalg.eigvals(a)


@one_by_one
def eigenvectors(a: Inexact[Array, "m m"]) -> tuple[Complex[Array, " m"], Complex[Array, "m m"]]:
    """Compute the eigenvalues of a square matrix and its right eigenvectors, without derivatives."""
    values, vectors = jnp.linalg.eig(a)
    return values, vectors


@one_by_one
def triangular_factor(a: Float[Array, "row column"]) -> Float[Array, "least column"]:
    """Compute the upper triangular factor R of `a = Q R`, without derivatives."""
    return jnp.linalg.qr(a, mode="r")


@one_by_one
def singular_vectors(a: Float[Array, "row column"]) -> tuple[Array, Array, Array]:
    """Compute the thin singular value decomposition `a = U diag(s) V'`, without derivatives."""
    return tuple(jnp.linalg.svd(a, full_matrices=False))


@one_by_one
def pseudo_inverse(a: Float[Array, "row column"]) -> Float[Array, "column row"]:
    """Compute the matrix that takes b to the least-squares solution of `a x = b`; no derivatives."""
    return jnp.linalg.pinv(a)
