r"""From which value of a parameter on a network's fixed point is no longer stable, and how it ends.

The fixed point is stable if and only if every root $\lambda$ of

$$\det\Big(\lambda I - A^0(p) - \sum_d A^d(p)\, e^{-\lambda \tau^d}\Big) = 0$$

has a negative real part; the matrices are (m, m) as in `_linear`. At a bifurcation a root lies on the
imaginary axis, $\lambda = i \omega$: the matrix is then $K(\omega; p)$ of `_response`, and is singular.
"""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from .._core import PyTree, Scalar, Where, as_float, known, require_finite, require_shape
from .._network import Network, Params
from ._continuation import CROSSED, ENDED, MISSING, UNSTABLE, UNSURE, follow
from ._fixed_point import corrected, fixed_point_or_nan
from ._linear import eigenvalue_scale, jacobians, stacked, standing
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
WORDS = {
    "unstable": "the fixed point is unstable from `low` on, so nothing can be said of where it loses its "
    "stability. Start lower.",
    "missing": "there is no fixed point at `low` that a search from `x0` finds; see `fixed_point`.",
    "unsure": "the fixed point could be followed without doubt only up to {value}: from there on it changes "
    "too suddenly, or a root stays at the imaginary axis up to rounding. Take a narrower range, float64, "
    "or another `x0`.",
}
NEWTON_STEPS = 12


class Bifurcation(eqx.Module):
    """How a network's fixed point loses its stability as a parameter moves: what `bifurcation` found.

    Attributes:
        value: the value of the parameter at which it does; NaN if there is none. Where `kind` is
            "unsure", up to which value all is known. [unit of the parameter]
        frequency: that of the oscillation that begins at a Hopf bifurcation; else 0. [Hz]
        x: the fixed point at `value`, in the container of `x0`.
        code: the place of `kind` in a list, as a number that `jit` and `vmap` can return.

    Example:
        >>> found = cf.Bifurcation(jnp.array(1.5), jnp.array(10.0), None, jnp.array(2))
        >>> found.kind
        'hopf'
    """

    value: Float[Array, "..."]
    frequency: Float[Array, "..."]
    x: PyTree
    code: Int[Array, "..."]

    @property
    def kind(self) -> Any:
        """The kind in a word, or an array of words after a `vmap`: "fold", "hopf" or another one.

        "fold": two fixed points meet and vanish. "hopf": an oscillation begins. "transcritical": two
        fixed points cross. "pitchfork": one becomes three, where the network is symmetric. "steady": a
        real root passes 0 in a linear network. "none": the fixed point is stable all the way.
        "unstable": it is not stable at the beginning. "missing": there is none at the beginning.
        "unsure": it could not be followed without doubt.
        """
        return np.asarray(KINDS)[np.asarray(self.code)].tolist()


def bifurcation(
    net: Network,
    params: Params | Callable[[Any], Params],
    x0: PyTree,
    start: Scalar,
    end: Scalar,
    *,
    where: Where | None = None,
) -> Bifurcation:
    r"""Follow a fixed point along any parameter, from `start` to where it is no longer stable.

    That is at a fold, where the fixed point ends, or where a root of $\det K(\omega; p)$ reaches the
    imaginary axis, with or without delays. The first such value is found. In rectangles of frequency and
    parameter, bounds on the derivatives of K show that there is no root, or only one. Both are then
    refined by Newton's method, and are differentiable in `params`, in both modes.

    Args:
        net: the network.
        params: its parameters, of which `where` selects one; or a function from a number to parameters,
            such as one that balances a network at each k.
        x0: where to search for the fixed point at `start`, as for `Network.init`.
        start: the value of the parameter to start from, where the fixed point is stable. [its unit]
        end: the last value to look at, above or below. [its unit]
        where: selects the leaf of `params` to vary; all its elements are set to the value. By default
            it is `params.coupling.k`.

    Returns:
        The value, kind and frequency, and the fixed point. If nothing happens on the way, `kind` is
        "none" and the value NaN. Where nothing can be found, `kind` is "unstable", "missing" or "unsure",
        the value NaN, except if unsure, and a call outside `jit` and `vmap` warns.

    Raises:
        ValueError: if `start` or `end` is not one finite number, or they are equal.
        TypeError: if `where` comes with a function for `params`.

    Source:
        J. Hale and S. Verduyn Lunel, Introduction to Functional Differential Equations (1993), ch. 7,
        for stability; Y. A. Kuznetsov, Elements of Applied Bifurcation Theory (2004), ch. 10.

    Example:
        >>> net = cf.Network(cf.nodes.wilson_cowan, dt=0.1)
        >>> params = cf.Params(cf.nodes.WilsonCowanParams(), cf.AdditiveCoupling(jnp.zeros((1, 1))))
        >>> x0 = cf.nodes.WilsonCowanState(jnp.zeros(1), jnp.zeros(1))
        >>> found = cf.bifurcation(net, params, x0, 0.0, 3.0, where=lambda p: p.node.P)
        >>> found.kind, round(float(found.value), 4)
        ('fold', 1.083)
    """
    start, end = _ends(("start", start), ("end", end))
    if known(start, end) and start == end:
        raise ValueError(f"`start` and `end` must differ; both are {start}.")
    found = _bifurcation(net, _along(params, where), x0, start, end)
    _say(found, ("`bifurcation`", "start"))
    return found


def critical_k(
    net: Network,
    params: Params | Callable[[Any], Params],
    x0: PyTree,
    low: Scalar,
    high: Scalar,
    *,
    where: Where | None = None,
) -> Float[Array, ""]:
    r"""Find the first coupling strength above `low` at which the fixed point loses its stability.

    This is the value of `bifurcation`, which also says how it is lost, at a fold or otherwise, and takes
    any parameter in either direction.

    Args:
        net: the network.
        params: its parameters, in which the value of k does not matter; or a function from k to them.
        x0: where to search for the fixed point at `low`, as for `Network.init`.
        low: a coupling strength at which the fixed point is stable. [unit of k]
        high: the largest to look at. [unit of k]
        where: selects the leaf of `params` that k stands for; all its elements are set to k. By default
            it is `params.coupling.k`.

    Returns:
        The coupling strength. It is NaN if the fixed point is stable all the way to `high`. It is also
        NaN if it is unstable at `low`, if none is found there, or if it cannot be followed without
        doubt; a call outside `jit` and `vmap` then warns in words. [unit of k]

    Raises:
        ValueError: if `low` or `high` is not one finite number, or `low` is not below `high`.
        TypeError: if `where` comes with a function for `params`.

    Example:
        >>> net = cf.Network(cf.nodes.hopf, dt=0.1)
        >>> W = jnp.array([[0.0, 1.0], [1.0, 0.0]])  # each row sums to 1, so k = -a
        >>> params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(W))
        >>> rest = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))
        >>> round(float(cf.critical_k(net, params, rest, 0.0, 0.1)), 4)
        0.02
    """
    low, high = _ends(("low", low), ("high", high))
    if known(low, high) and not low < high:
        raise ValueError(f"`low` must be below `high`; got {low} and {high}.")
    found = _bifurcation(net, _along(params, where), x0, low, high)
    _say(found, ("`critical_k`", "low"))
    return jnp.where(found.code == KINDS.index("unsure"), jnp.nan, found.value)


def _ends(*named: tuple[str, Any]) -> list[Array]:
    ends = [as_float(name, end) for name, end in named]
    for (name, _), end in zip(named, ends, strict=True):
        require_shape(name, end, (), meaning="It is one number.")
        require_finite(name, end)
    return ends


class _Along(eqx.Module):
    """Parameters as a function of one of them, which replaces all elements of a leaf."""

    params: Params
    where: Where = eqx.field(static=True)

    def __call__(self, value: Array) -> Params:
        leaf = jnp.asarray(self.where(self.params))
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise TypeError(
                f"`where` must select numbers that can vary; it selects an array of {leaf.dtype}."
            )
        new = jnp.full(leaf.shape, value.astype(leaf.dtype))
        return eqx.tree_at(self.where, self.params, new)


def _coupling_strength(params: Params) -> Any:
    return params.coupling.k


def _along(params: Any, where: Where | None) -> Callable[[Array], Params]:
    if isinstance(params, Params):
        return _Along(params, _coupling_strength if where is None else where)
    if not callable(params):
        raise TypeError(
            "`params` must be Params, or a function from a number to Params; got "
            f"{type(params).__name__}."
        )
    if where is not None:
        raise TypeError("`where` selects a leaf of Params; with a function for `params`, leave it out.")
    return params


def _say(found: Bifurcation, names: tuple[str, str]) -> None:
    """Warn of a search that found nothing for a reason."""
    if not known(found) or found.kind not in WORDS:
        return
    name, low = names
    words = WORDS[found.kind].format(value=f"{float(found.value):.6g}").replace("`low`", f"`{low}`")
    warnings.warn(f"{name}: {words}", RuntimeWarning, stacklevel=3)


@eqx.filter_jit
def _bifurcation(
    net: Network, params_at: Callable[[Array], Params], x0: PyTree, start: Array, end: Array
) -> Bifurcation:
    z, unstack = stacked(net, x0)
    dtype, regions = z.dtype, z.shape[1]
    start, end = start.astype(dtype), end.astype(dtype)

    def still_at(value: Array, flat: Array) -> Array:
        return standing(net, params_at(value), unstack, regions)(flat)

    def jac_at(value: Array, flat: Array):
        return jacobians(net, params_at(value), unstack(flat.reshape(z.shape)))

    def search(start, end):
        def value_at(t):
            return start + t * (end - start)

        first = stacked(net, fixed_point_or_nan(net, params_at(start), x0))[0].ravel()
        return follow(
            lambda t, flat: still_at(value_at(t), flat),
            lambda t, flat: jac_at(value_at(t), flat),
            first,
        )

    # The search is not differentiated: what it closes over is taken as constant.
    converted, closed = jax.closure_convert(search, start, end)
    closed = jax.tree.map(lax.stop_gradient, closed)
    at = converted(lax.stop_gradient(start), lax.stop_gradient(end), *closed)
    value = lax.stop_gradient(start) + at.t * lax.stop_gradient(end - start)
    folds, crosses = at.what == ENDED, at.what == CROSSED
    # Each way of refining gets a problem that it can solve, where the other one is wanted.
    fold_x, fold_value = _fold(still_at, jac_at, at.x, value, folds)
    turn_x, turn_value, omega = _turn(still_at, jac_at, at.x, value, at.omega, crosses)
    span = jnp.abs(end - start)
    near = 64 * at.width * span
    ends = folds & (jnp.abs(fold_value - value) <= near) & jnp.isfinite(fold_x).all()
    kind = _kind_of(still_at, jac_at, turn_x, turn_value, omega)
    names = {name: jnp.asarray(n) for n, name in enumerate(KINDS)}
    code = jnp.where(ends, names["fold"], jnp.where(crosses, kind, names["none"]))
    code = jnp.where(at.what == UNSTABLE, names["unstable"], code)
    code = jnp.where(at.what == MISSING, names["missing"], code)
    unsure = (at.what == UNSURE) | (folds & ~ends)
    code = jnp.where(unsure, names["unsure"], code)
    result = jnp.where(ends, fold_value, jnp.where(crosses, turn_value, jnp.nan))
    result = jnp.where(unsure, value, result)
    x = jnp.where(ends, fold_x, jnp.where(crosses, turn_x, at.x))
    frequency = jnp.where(crosses, omega * 1000 / (2 * np.pi), 0)
    return Bifurcation(result, frequency, unstack(x.reshape(z.shape)), code)


def _turn(still_at, jac_at, x: Array, value: Array, omega: Array, wanted: Array):
    """Refine the value and frequency at which a root lies on the axis; return x, value and omega.

    Both are a root of gamma, one over what K^-1 takes from one direction to another. At frequency 0 it is
    real, and the second equation says that the frequency is 0.
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
                return jnp.linalg.solve(slope, y)
            # Where the slope itself is singular, what it cannot tell is left out.
            share = jnp.where(is_real, 1, 0).astype(x.dtype)
            system = _bordered(slope, share * left.real, share * right.real, 1 - share)
            return jnp.linalg.solve(system, jnp.append(y, 0))[:-1]

        return lax.custom_root(lambda x: still_at(value, x), x, search, tangent)

    def gamma(at, bordered):
        matrix = characteristic(jac_at(at[0], fixed(at[0], bordered)), at[1])
        one = jnp.zeros(len(matrix) + 1, matrix.dtype).at[-1].set(1)
        system = _bordered(matrix, left, right, jnp.zeros_like(at[0]))
        found = jnp.linalg.solve(system, one)[-1]
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


def _fold(still_at, jac_at, x: Array, value: Array, wanted: Array) -> tuple[Array, Array]:
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
        return jnp.linalg.solve(system, one)[-1]

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
            change = jnp.linalg.solve(slopes, jnp.append(rates(at), gamma(at)))
            small = (jnp.abs(change) <= 16 * eps * (jnp.abs(at) + jnp.abs(at).max())).all()
            return at - change, small | ~jnp.isfinite(change).all(), steps + 1

        def unfinished(carry):
            return ~carry[1] & (carry[2] < NEWTON_STEPS)

        carry = (at, ~wanted, jnp.asarray(0))
        return lax.while_loop(unfinished, improve, carry)[0]

    def tangent(linear, y):
        return jnp.linalg.solve(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    found = lax.custom_root(equations, start, search, tangent)
    return found[:-1], found[-1]


def _kind_of(still_at, jac_at, x: Array, value: Array, omega: Array) -> Array:
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
    inverse = jnp.linalg.inv(matrix + aside)
    row, column = jnp.unravel_index(jnp.abs(inverse).argmax(), inverse.shape)
    right, left = inverse[:, column], inverse[row].conj()
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

    return lax.while_loop(unfinished, step, (at, jnp.asarray(False), jnp.asarray(0)))[0]


def _solve_2x2(a: Float[Array, "2 2"], y: Float[Array, "2"]) -> Float[Array, "2"]:
    """Solve a x = y by Cramer's rule: a library solve costs more than this under `vmap`."""
    determinant = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    return (
        jnp.stack([a[1, 1] * y[0] - a[0, 1] * y[1], a[0, 0] * y[1] - a[1, 0] * y[0]]) / determinant
    )
