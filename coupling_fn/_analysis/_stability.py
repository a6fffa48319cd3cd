r"""From which value of a parameter on a network's fixed point is no longer stable, and how it ends.

The fixed point is stable if and only if every root $\lambda$ of

$$\det\Big(\lambda I - A^0(p) - \sum_d A^d(p)\, e^{-\lambda \tau^d}\Big) = 0$$

has a negative real part; the matrices are (m, m) as in `_linear`. At a bifurcation a root lies on the
imaginary axis, $\lambda = i \omega$: the matrix is then $K(\omega; p)$ of `_response`, and is singular.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from .._core import PyTree, Scalar, Where, as_float, compiled, known, require_finite, require_shape
from .._network import Network, Params, expanded, with_stages, without_stages
from ._continuation import CROSSED, DOUBTFUL, ENDED, MISSING, UNSTABLE, UNSURE, Followed, follow
from ._fixed_point import fixed_point_or_nan
from ._linear import Jacobians, jacobians, stacked, standing
from ._refinement import KINDS, kind_of, refined_crossing, refined_fold

WORDS = {
    "unstable": "the fixed point is unstable at `low` already, so that it loses its stability nowhere "
    "on the way. Start where it is stable.",
    "missing": "there is no fixed point at `low` that a search from `x0` finds; see `fixed_point`.",
    "unsure": "the fixed point could be followed without doubt only up to {value}: from there on it "
    "changes too suddenly, or a root stays at the imaginary axis up to rounding. Take a narrower "
    "range, float64, or another `x0`.",
}


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
    refined by Newton's method, and are differentiable in `params`, in both modes. The search compiles
    for seconds, once per kind of network, of bifurcation, and of `where`: write that as a function
    outside of loops.

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
        "none" and the value NaN. If nothing can be said, `kind` is "unstable", "missing" or "unsure"
        (see `Bifurcation`), and a call outside `jit` and `vmap` warns in words.

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
    if known(start, end) and float(start) == float(end):
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
    any parameter in either direction. The search compiles for some ten seconds, once per kind of
    network, of bifurcation, and of `where`: write that as a function outside of loops. Then 24 Hopf
    regions take about 2 s of one processor, with delays 4 s.

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
    if known(low, high) and not float(low) < float(high):
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
        leaves = jax.tree.leaves(self.where(self.params))
        if len(leaves) != 1:
            raise TypeError(
                f"`where` must select one leaf of `params`; it selects {len(leaves)}. To vary several, "
                "give a function from a number to Params in place of `params`."
            )
        leaf = jnp.asarray(leaves[0])
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
        raise TypeError(
            "`where` selects a leaf of Params; with a function for `params`, leave it out."
        )
    return cast(Callable[[Array], Params], params)


def _say(found: Bifurcation, names: tuple[str, str]) -> None:
    """Warn of a search that found nothing for a reason."""
    if not known(found) or found.kind not in WORDS:
        return
    name, low = names
    words = WORDS[found.kind].format(value=f"{float(found.value):.6g}").replace("`low`", f"`{low}`")
    warnings.warn(f"{name}: {words}", RuntimeWarning, stacklevel=3)


def _bifurcation(
    net: Network, params_at: Callable[[Array], Params], x0: PyTree, start: Array, end: Array
) -> Bifurcation:
    """Search, then refine what was found; where it is known already, nothing else is compiled."""
    at = _searched(net, params_at, x0, start, end)
    wanted = _Wanted(True, True, True)
    if known(at):
        doubtful = int(at.what) == DOUBTFUL
        turns = doubtful or int(at.what) == CROSSED
        steady = turns and float(at.omega) < 1e-3 * float(at.scale)
        wanted = _Wanted(doubtful or int(at.what) == ENDED, turns, steady)
    return _refined(net, params_at, x0, start, end, at, wanted)


class _Wanted(NamedTuple):
    """What may have been found: a fold, a root on the axis, and one that may be real."""

    fold: bool
    turn: bool
    steady: bool


def _with_all_states(
    net: Network, params_at: Callable[[Array], Params], x0: PyTree, start: Array
) -> tuple[Network, Callable[[Array], Params], PyTree]:
    """Return the same with the stages of gamma-distributed delays as states of the nodes."""
    wide, inner = expanded(net, params_at(start))
    if wide is net:
        return net, params_at, x0
    return wide, lambda value: expanded(net, params_at(value))[1], with_stages(wide, inner, x0)


def _rates_and_derivatives(net: Network, params_at: Callable[[Array], Params], x0: PyTree):
    """Return the rates of change and the derivatives as functions of the parameter and all states."""
    z, unstack = stacked(net, x0)

    def still_at(value: Array, flat: Array) -> Array:
        return standing(net, params_at(value), unstack, z.shape[1])(flat)

    def jac_at(value: Array, flat: Array) -> Jacobians:
        return jacobians(net, params_at(value), unstack(flat.reshape(z.shape)))

    return still_at, jac_at


@compiled
def _searched(net, params_at, x0, start, end) -> Followed:
    """Follow the fixed point; this is not differentiated."""
    net, params_at, x0 = _with_all_states(net, params_at, x0, start)
    still_at, jac_at = _rates_and_derivatives(net, params_at, x0)
    dtype = stacked(net, x0)[0].dtype
    start, end = start.astype(dtype), end.astype(dtype)

    def search(start, end):
        def value_at(t):
            return start + t * (end - start)

        first = stacked(net, fixed_point_or_nan(net, params_at(start), x0))[0].ravel()
        return follow(
            lambda t, flat: still_at(value_at(t), flat),
            lambda t, flat: jac_at(value_at(t), flat),
            first,
        )

    # What the search closes over is taken as constant.
    converted, closed = jax.closure_convert(search, start, end)
    constant = [lax.stop_gradient(x) for x in (start, end, *closed)]
    return converted(*constant)


@compiled
def _refined(net, params_at, x0, start, end, at: Followed, wanted: _Wanted) -> Bifurcation:
    """Refine what was found, and name it."""
    net, params_at, x0 = _with_all_states(net, params_at, x0, start)
    still_at, jac_at = _rates_and_derivatives(net, params_at, x0)
    z, unstack = stacked(net, x0)
    at = jax.tree.map(lax.stop_gradient, at)
    start, end = (lax.stop_gradient(x).astype(z.dtype) for x in (start, end))
    value = start + at.t * (end - start)
    near = 64 * at.width * jnp.abs(end - start)
    names = {name: jnp.asarray(n) for n, name in enumerate(KINDS)}
    doubtful = at.what == DOUBTFUL
    folds, crosses = (at.what == ENDED) | doubtful, (at.what == CROSSED) | doubtful
    # Each way of refining gets a problem that it can solve, where the other one is wanted.
    x, result, frequency, code = at.x, jnp.full_like(value, jnp.nan), at.t * 0, names["none"]
    crossed = ended = jnp.asarray(False)
    if wanted.turn:
        turn_x, turn_value, omega = refined_crossing(
            still_at, jac_at, at.x, value, at.omega, crosses
        )
        crossed = crosses & (~doubtful | (jnp.abs(turn_value - value) <= near))
        kind = names["hopf"]
        if wanted.steady:
            kind = kind_of(still_at, jac_at, turn_x, turn_value, omega)
        x, result = jnp.where(crossed, turn_x, x), jnp.where(crossed, turn_value, result)
        code = jnp.where(crossed, kind, code)
        frequency = jnp.where(crossed, omega * 1000 / (2 * np.pi), 0)
    if wanted.fold:
        fold_x, fold_value = refined_fold(still_at, jac_at, at.x, value, folds)
        ended = folds & (jnp.abs(fold_value - value) <= near) & jnp.isfinite(fold_x).all()
        x, result = jnp.where(ended, fold_x, x), jnp.where(ended, fold_value, result)
        code = jnp.where(ended, names["fold"], code)
        frequency = jnp.where(ended, 0, frequency)
    code = jnp.where(at.what == UNSTABLE, names["unstable"], code)
    code = jnp.where(at.what == MISSING, names["missing"], code)
    unsure = (at.what == UNSURE) | ((folds | crosses) & ~ended & ~crossed)
    code = jnp.where(unsure, names["unsure"], code)
    result = jnp.where(unsure, value, result)
    x = without_stages(net.node, unstack(x.reshape(z.shape)))
    return Bifurcation(result, frequency, x, code)
