r"""The value of a parameter at a bifurcation that was found, refined by Newton's method, and its kind.

All results are differentiable, by the implicit function theorem: they are roots of equations, in which
`still_at(value, x)` are the rates of change of all states, and `jac_at(value, x)` their derivatives.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from .._core import inverse, solve, while_loop
from ._fixed_point import corrected
from ._linear import eigenvalue_scale
from ._response import HIGHEST, as_complex, characteristic, without_delays

KINDS = (
    "none",
    "fold",
    "hopf",
    "transcritical",
    "pitchfork",
    "steady",
    "unstable",
    "missing",
    "unsure",
)
NEWTON_STEPS = 12


def refined_crossing(still_at, jac_at, x: Array, value: Array, omega: Array, wanted: Array):
    """Refine the value and frequency at which a root lies on the axis; return x, value and omega.

    Both are a root of gamma, one over what K^-1 takes from one direction to another. At frequency 0 it
    is real, and the second equation says that the frequency is 0.
    """
    x, value, omega = map(lax.stop_gradient, (x, value, omega))
    scale = eigenvalue_scale(without_delays(jac_at(value, x)))
    eps = jnp.finfo(x.dtype).eps
    is_real = omega <= jnp.sqrt(eps) * lax.stop_gradient(scale)
    omega = jnp.where(is_real, 0, omega)
    matrix = lax.stop_gradient(characteristic(jac_at(value, x), omega))
    left, right = _null_directions(matrix)

    def fixed(value, bordered):
        def search(f, x):
            return corrected(f, x)[0]

        def tangent(linear, y):
            slope = jax.jacfwd(linear)(jnp.zeros_like(y))
            if not bordered:
                return solve(slope, y)
            # Where the slope itself is singular, what it cannot tell is left out.
            share = jnp.where(is_real, 1, 0).astype(x.dtype)
            system = _bordered(slope, share * left.real, share * right.real, 1 - share)
            return solve(system, jnp.append(y, 0))[:-1]

        return lax.custom_root(lambda x: still_at(value, x), x, search, tangent)

    def gamma(at, bordered):
        matrix = characteristic(jac_at(at[0], fixed(at[0], bordered)), at[1])
        one = jnp.zeros(len(matrix) + 1, matrix.dtype).at[-1].set(1)
        system = _bordered(matrix, left, right, jnp.zeros_like(at[0]))
        found = solve(system, one)[-1]
        both = jnp.stack([found.real, jnp.where(is_real, at[1], found.imag)])
        # Where no root is wanted, the equations are those of a place that is known.
        return jnp.where(wanted, both, at - jnp.stack([value, omega]))

    def search(_, at):
        return _newton(lambda at: gamma(at, bordered=False), at)

    def tangent(linear, y):
        return _solve_2x2(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    found = lax.custom_root(
        lambda at: gamma(at, bordered=True), jnp.stack([value, omega]), search, tangent
    )
    return fixed(found[0], bordered=True), found[0], found[1]


def refined_fold(still_at, jac_at, x: Array, value: Array, wanted: Array) -> tuple[Array, Array]:
    """Find the fold near a fixed point close to it; return x and the value there.

    The states and the value solve two equations: the network stands still, and its Jacobian matrix is
    singular. That is when gamma is 0, one over what its inverse takes from one direction to another.
    """
    x, value = lax.stop_gradient(x), lax.stop_gradient(value)
    start = jnp.append(x, value)
    slope = lax.stop_gradient(without_delays(jac_at(value, x)))
    slope = jnp.where(wanted, slope, jnp.eye(len(x), dtype=x.dtype))
    left, right = (direction.real for direction in _null_directions(as_complex(slope)))

    def gamma(at):
        matrix = without_delays(jac_at(at[-1], at[:-1]))
        matrix = jnp.where(wanted, matrix, jnp.eye(len(x), dtype=x.dtype))
        one = jnp.zeros(len(at), at.dtype).at[-1].set(1)
        system = _bordered(matrix, left, right, jnp.zeros_like(at[-1]))
        return solve(system, one)[-1]

    def rates(at):
        return still_at(at[-1], at[:-1])

    def equations(at):
        both = jnp.append(rates(at), gamma(at))
        return jnp.where(wanted, both, at - start)

    def search(_, at):
        eps = jnp.finfo(at.dtype).eps

        def improve(carry):
            at, _, steps = carry
            slopes = jnp.concatenate([jax.jacfwd(rates)(at), jax.grad(gamma)(at)[None]])
            change = solve(slopes, jnp.append(rates(at), gamma(at)))
            small = (jnp.abs(change) <= 16 * eps * (jnp.abs(at) + jnp.abs(at).max())).all()
            return at - change, small | ~jnp.isfinite(change).all(), steps + 1

        def unfinished(carry):
            return ~carry[1] & (carry[2] < NEWTON_STEPS)

        carry = (at, ~wanted, jnp.asarray(0))
        return while_loop(unfinished, improve, carry)[0]

    def tangent(linear, y):
        return solve(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    found = lax.custom_root(equations, start, search, tangent)
    return found[:-1], found[-1]


def kind_of(still_at, jac_at, x: Array, value: Array, omega: Array) -> Array:
    """Tell which kind of crossing this is, from the rates' second and third derivatives along it."""
    x, value, omega = map(lax.stop_gradient, (x, value, omega))
    slope = without_delays(jac_at(value, x))
    left, right = (direction.real for direction in _null_directions(as_complex(slope)))
    size = eigenvalue_scale(slope)

    def along(step):
        return still_at(value, x + step * right)

    first = jax.jacfwd(along)
    second = jax.jacfwd(first)
    zero = jnp.zeros_like(value)
    bend = second(zero)
    cubic = jax.jacfwd(second)(zero)
    tiny = 1e-6 * size
    crosses = jnp.abs(jnp.matmul(left, bend, precision=HIGHEST)) > tiny
    branches = (jnp.abs(bend).max() > tiny) | (jnp.abs(cubic).max() > tiny)
    names = KINDS.index("transcritical"), KINDS.index("pitchfork"), KINDS.index("steady")
    steady = jnp.where(crosses, names[0], jnp.where(branches, names[1], names[2]))
    return jnp.where(omega > 0, KINDS.index("hopf"), steady)


def _null_directions(matrix: Array) -> tuple[Array, Array]:
    """Return the left and right directions of the smallest singular value; of length 1.

    These are inverse power steps from the row and column of the inverse that are largest, and they need
    no more than that: any directions not at a right angle to these serve.
    """
    eps = jnp.finfo(matrix.dtype).eps
    size = jnp.abs(matrix).max()
    # A singular matrix is moved aside by rounding's width, so that it has an inverse.
    aside = as_complex(eps * jnp.where(size == 0, 1, size) * jnp.eye(len(matrix), dtype=size.dtype))
    inverted = inverse(matrix + aside)
    row, column = jnp.unravel_index(jnp.abs(inverted).argmax(), inverted.shape)
    right, left = inverted[:, column], inverted[row].conj()
    right, left = (x / as_complex(jnp.linalg.norm(x)) for x in (right, left))
    return left, right


def _bordered(matrix: Array, left: Array, right: Array, corner: Array) -> Array:
    """Border a matrix by the left direction as a column, the right one as a row, and a corner."""
    top = jnp.concatenate([matrix, left[:, None]], axis=1)
    last = jnp.append(right.conj(), corner.astype(matrix.dtype))
    return jnp.concatenate([top, last[None]])


def _newton(f: Callable[[Array], Array], at: Float[Array, "2"]) -> Float[Array, "2"]:
    """Find a root of f, two equations in two unknowns, near `at`."""
    eps = jnp.finfo(at.dtype).eps

    def step(carry):
        at, _, steps = carry
        change = _solve_2x2(jax.jacfwd(f)(at), f(at))
        # At the root itself a matrix may be singular, and there is nothing to improve.
        ok = jnp.isfinite(change).all() & (jnp.abs(change) <= 0.01 * jnp.abs(at) + 1e-3).all()
        change = jnp.where(ok, change, 0)
        return at - change, (jnp.abs(change) <= 4 * eps * jnp.abs(at)).all(), steps + 1

    def unfinished(carry):
        return ~carry[1] & (carry[2] < NEWTON_STEPS)

    return while_loop(unfinished, step, (at, jnp.asarray(False), jnp.asarray(0)))[0]


def _solve_2x2(a: Float[Array, "2 2"], y: Float[Array, "2"]) -> Float[Array, "2"]:
    """Solve a x = y by Cramer's rule: a library solve costs more than this under `vmap`."""
    determinant = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    return (
        jnp.stack([a[1, 1] * y[0] - a[0, 1] * y[1], a[0, 0] * y[1] - a[1, 0] * y[0]]) / determinant
    )
