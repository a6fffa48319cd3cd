r"""Where a network stands still: $f(x) = 0$, with the past as the present.

A search takes implicit Euler steps of the dynamics whose length grows without bound (pseudo-transient
continuation), so it follows the dynamics first and ends in Newton's method. There are three searches,
each tried where those before found nothing: the quickest; one that keeps to the flow; and one that damps
oscillations. Only what lies within the bounds of the node, and of the network, is a fixed point.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import (
    PyTree,
    compiled,
    known,
    scan,
    solve,
    while_loop,
)
from .._network import Network, Params, at_rest, expanded, without_stages
from ._linear import eigenvalue_scale, places, stacked, standing

SEARCH_STEPS = 400
CORRECTIONS = 12
# Strength of the pull towards the filtered past, and rate of that filter, both as multiples of the
# typical size of an eigenvalue.
CALM, SLOW = 1.0, 0.1
# Largest share of the rates that an implicit step of a faithful search may leave unexplained.
UNFAITHFUL = 0.3


def fixed_point(net: Network, params: Params, x0: PyTree) -> PyTree:
    """Find a state at which a network without noise stands still, by Newton's method from `x0`.

    The first steps are damped, so that they follow the dynamics (pseudo-transient continuation). If
    these do not lead to a fixed point, a second search keeps closely to the flow, and ends where a
    simulation would settle; a third damps oscillations (selective frequency damping). States stay
    within the bounds of the node (`node.bounds`: rates that are not negative, gatings from 0 to 1) and
    of the network. The result is differentiable in `params`, in both modes, by the implicit function
    theorem; the steps of the search are not differentiated. A fixed point may be unstable:
    `bifurcation` finds out from which parameters on it is.

    It is NaN where no search ends at one: none is near, the flow goes round an unstable one that lies
    too far from `x0`, or it is not isolated, as for coupled phases.
    A call outside `jit` and `vmap` then also warns; inside, look for the NaN.

    Args:
        net: the network. Its scheme, dt and lags do not move a fixed point.
        params: its parameters. The noise is ignored.
        x0: where to start the search, as for `Network.init`. What lies outside the bounds is started
            from the nearest bound.

    Returns:
        The states at the fixed point, in the container of `x0`.

    Raises:
        ValueError: if the names or shapes in `x0` do not fit the node, or if an external input varies
            in time.

    Source:
        C. T. Kelley and D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998), for the damping of steps;
        E. Åkervik et al., Phys. Fluids 18, 068102 (2006), for that of oscillations.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> W = jnp.array([[0.0, 0.5], [0.0, 0.0]])
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(W, b=1.0))
        >>> cf.fixed_point(net, params, cf.nodes.LinearState(jnp.zeros(2))).x.round(6).tolist()
        [1.5, 1.0]
    """
    found = fixed_point_or_nan(net, params, x0)
    say_if_missing(found, stacklevel=3)
    return found


def say_if_missing(found: PyTree, stacklevel: int) -> None:
    """Warn of a fixed point that is NaN, where that is known; `stacklevel` as in `warnings.warn`."""
    if known(found) and any(np.isnan(x).any() for x in jax.tree.leaves(found)):
        warnings.warn(
            "`fixed_point` found no state at which the network stands still, and is NaN. From `x0` the "
            "network may oscillate for ever, grow without bound, or move along states that are not "
            "isolated, as phases do; see what a simulation from `x0` does, or start elsewhere.",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


@compiled
def fixed_point_or_nan(net: Network, params: Params, x0: PyTree) -> PyTree:
    """Find a fixed point as `fixed_point` does, without a word where there is none."""
    wide, _ = expanded(net, params)
    if wide is not net:  # stages add nothing to where a network stands still
        params, x0 = at_rest(params), without_stages(wide.node, x0)
    start, unstack = stacked(net, x0)
    still = standing(net, params, unstack, start.shape[1])
    low, high = limits(net, start, places(net, x0))

    def search(_, z):
        return _searched(still, z, low, high)

    def tangent(linear, y):
        return solve(jax.jacfwd(linear)(jnp.zeros_like(y)), y)

    found = lax.custom_root(still, start.ravel(), search, tangent)
    return unstack(found.reshape(start.shape))


def limits(net: Network, z: Array, at: dict[str, Any]) -> tuple[Array, Array]:
    """Return the lowest and the highest value of each state, those of the node and of the network.

    `at` says where in the stacked states `z` each is.
    """
    low, high = np.full(z.shape, -np.inf), np.full(z.shape, np.inf)
    for bounds in (getattr(net.node, "bounds", {}), dict(net.bounds)):
        for name, (least, most) in bounds.items():
            place = at[name]
            low[place] = np.maximum(low[place], -np.inf if least is None else least)
            high[place] = np.minimum(high[place], np.inf if most is None else most)
    return jnp.asarray(low.ravel(), z.dtype), jnp.asarray(high.ravel(), z.dtype)


def corrected(still: Callable[[Array], Array], z: Array) -> tuple[Array, Array]:
    """Correct a good guess by Newton's method; return it, and whether the steps came to an end."""
    eps = jnp.finfo(z.dtype).eps

    def move(carry):
        z, _, steps = carry
        value = still(z)
        step = -solve(jax.jacfwd(still)(z), value)
        # Where the value is 0, the step is, even if the matrix is singular.
        step = jnp.where(value.any(), step, 0)
        small = jnp.abs(step).max() <= jnp.sqrt(eps) * jnp.abs(z).max() / 16 + eps
        return z + step, small, steps + 1

    def unfinished(carry):
        return ~carry[1] & (carry[2] < CORRECTIONS)

    z, small, _ = while_loop(unfinished, move, (z, jnp.asarray(False), jnp.asarray(0)))
    return z, small & jnp.isfinite(z).all()


def _searched(still: Callable[[Array], Array], z: Array, low: Array, high: Array) -> Array:
    """Return a root of `still` near z and within the bounds; NaN where no search finds one."""
    z = jnp.clip(z, low, high)

    def attempt(carry, how):
        root, found = carry
        calm, faithful = how
        other, also = _followed(still, z, (low, high), calm, faithful > 0, found)
        return (jnp.where(found, root, other), found | also), None

    ways = jnp.asarray([0.0, 0.0, CALM], z.dtype), jnp.asarray([0.0, 1.0, 0.0], z.dtype)
    (root, found), _ = scan(attempt, (z, jnp.asarray(False)), ways)
    return jnp.where(found, root, jnp.nan)


class _Search(NamedTuple):
    """A search for a fixed point on its way.

    Attributes:
        z: the states.
        value: their rates of change.
        past: the low-pass filtered past of the states.
        damping: how strongly the next step is damped; at 0 it is Newton's.
        size: the typical size of an eigenvalue at the start.
        done: whether the search has converged.
        steps: how many steps were taken.
    """

    z: Array
    value: Array
    past: Array
    damping: Array
    size: Array
    done: Array
    steps: Array


def _followed(
    still: Callable[[Array], Array],
    z: Array,
    bounds: tuple[Array, Array],
    calm: Array,
    faithful: Array,
    done: Array,
) -> tuple[Array, Array]:
    """Follow the dynamics by damped steps, then take Newton's; return z and whether it converged.

    A faithful search takes back steps that differ from the flow: those that lead against it, and those
    after which the rates are not what the derivatives foretold. Where `calm` is not 0, the states are
    pulled towards their own low-pass filtered past while the steps are damped, so that oscillations
    around an unstable fixed point die out.
    """
    eye = jnp.eye(z.size, dtype=z.dtype)
    eps = jnp.finfo(z.dtype).eps
    root_eps = jnp.sqrt(eps)
    low, high = bounds

    def move(search: _Search) -> _Search:
        z, value, past, damping, size, _, steps = search
        slope = jax.jacfwd(still)(z)
        size = jnp.where(steps == 0, eigenvalue_scale(slope), size)
        damping = jnp.where(steps == 0, size, damping)
        # An implicit step of z' = f(z) - pull (z - past), past' = slow (z - past).
        pull, slow = calm * size, SLOW * size
        held = pull * damping / (damping + slow)
        step = solve((damping + held) * eye - slope, value - held * (z - past))
        ahead = z + step
        # Towards a bound a step goes nine tenths of the way at most.
        ahead = jnp.where(ahead < low, z + 0.9 * (low - z), ahead)
        ahead = jnp.where(ahead > high, z + 0.9 * (high - z), ahead)
        bounded = (ahead != z + step).any()
        step = ahead - z
        after = still(ahead)
        largest, before = jnp.abs(z).max(), jnp.abs(value).max()
        unexplained = jnp.abs(after - damping * step).max() / jnp.where(before == 0, 1, before)
        astray = (unexplained > UNFAITHFUL) | (jnp.sum(step * value) < 0)
        tiny = jnp.abs(step).max() <= 16 * eps * largest
        refused = ~jnp.isfinite(after).all() | (faithful & astray & ~tiny)
        ratio = jnp.abs(after).max() / jnp.where(before == 0, 1, before)
        # Newton's method squares the error: after a relative step of sqrt(eps) the next is one of eps.
        small = (jnp.abs(step).max() <= root_eps * largest + eps) & (damping <= root_eps * size)
        least = tiny & (damping <= size)
        slower = jnp.where(faithful, 0.5, jnp.where(ratio <= 1, jnp.minimum(ratio, 0.5), 1))
        factor = jnp.where(refused, 8, jnp.where(bounded, 2, slower))
        past = past + jnp.where(refused, 0, slow / (damping + slow) * (ahead - past))
        return _Search(
            jnp.where(refused, z, ahead),
            jnp.where(refused, value, after),
            past,
            damping * factor,
            size,
            (small | least) & ~refused & ~bounded,
            steps + 1,
        )

    def unfinished(search: _Search) -> Array:
        return ~search.done & (search.steps < SEARCH_STEPS)

    one = jnp.ones((), z.dtype)
    start = _Search(z, still(z), z, one, one, done, jnp.asarray(0))
    end = while_loop(unfinished, move, start)
    return end.z, end.done
