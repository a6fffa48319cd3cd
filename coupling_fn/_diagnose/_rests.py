"""Whether the state of rest that analyses look at is the one that is meant.

A network may have several fixed points. `fixed_point`, and with it `analytic_fc`, `critical_k` and the
findings on rest, take the one that the search from `x0` ends at.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._analysis import balanced_by, fixed_point
from .._core import PyTree, get, refill
from .._network import Network, Params
from ..nodes import WongWangExcInhParams, wong_wang_exc_inh
from ._report import Finding
from ._stability import Stability

APART = 0.01  # How far apart two fixed points are at least, as a share of the range of a state.


def look_at_rests(
    net: Network, params: Params, x0: PyTree, found: Stability | None
) -> Iterator[Finding]:
    """List the findings on which state of rest is analysed."""
    if found is None or found.linear:
        return
    here = fixed_point(net, params, x0)
    balanced = list(_look_at_balance(net, params, here))
    yield from balanced or _look_elsewhere(net, params, x0, here)


def _look_at_balance(net: Network, params: Params, here: PyTree) -> Iterator[Finding]:
    """List the findings on feedback inhibition that was balanced for one rate in all regions."""
    p = params.node
    if net.node is not wong_wang_exc_inh or not isinstance(p, WongWangExcInhParams):
        return
    balanced = balanced_by(net, params) if np.ndim(p.J_i) == 1 else None
    if balanced is None:
        return
    meant = f"{1000 * float(balanced.rates[0]):.3g} Hz, {_place(net, balanced.x)}"
    remedies = (
        "Reduce k: the growth of cf.balance_inhibition passes 0 where the balance ends.",
        "Under noise, take the inhibition that cf.search_inhibition finds.",
    )
    if balanced.growth >= 0:
        yield Finding(
            "unstable_balance",
            "warning",
            f"The state that J_i balances ({meant}) is unstable: what deviates from it grows by "
            f"{float(balanced.growth):.3g} per ms.",
            why="No run stays there, and the regions fire at other rates than were asked for.",
            remedy=remedies,
        )
    if _apart(net, here, balanced.x):
        yield Finding(
            "another_rest",
            "warning",
            f"From `x0` the search for rest ends at {_place(net, here)}, which is not the state that "
            f"J_i balances ({meant}).",
            why="cf.fixed_point, cf.analytic_fc, cf.critical_k and what is said of rest here hold for "
            "that other state.",
            remedy=("Start from the x of cf.balance_inhibition.", *remedies),
        )


def _look_elsewhere(net: Network, params: Params, x0: PyTree, here: PyTree) -> Iterator[Finding]:
    """List another state of rest, found from the ends of the node's ranges."""
    ranges = getattr(net.node, "ranges", {})
    if set(ranges) != set(net.node.states):
        return
    for end, name in ((1, "upper"), (0, "lower")):
        start = refill(x0, {n: jnp.full_like(get(x0, n), ranges[n][end]) for n in net.node.states})
        there = fixed_point(net, params, start)
        if _apart(net, here, there):
            yield Finding(
                "several_rests",
                "note",
                f"There are several states of rest: from `x0` the search ends at {_place(net, here)}, "
                f"and from the {name} end of the ranges at {_place(net, there)}.",
                why="cf.fixed_point, cf.analytic_fc, cf.critical_k and what is said of rest here hold "
                "for the first.",
                remedy=("Start from near the state that runs are in.",),
            )
            return


def _apart(net: Network, one: PyTree, other: PyTree) -> bool:
    """Return whether two fixed points, both of which were found, differ."""
    for name in net.node.states:
        low, high = net.node.ranges[name]
        a, b = np.asarray(get(one, name)), np.asarray(get(other, name))
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return False
        if np.abs(a - b).max() > APART * (high - low):
            return True
    return False


def _place(net: Network, x: PyTree) -> str:
    """Describe a state by the values of its first variable."""
    name = net.node.states[0]
    values: Array = np.asarray(get(x, name))
    low, high = float(values.min()), float(values.max())
    return f"{name} = {low:.3g}" + (f" to {high:.3g}" if high - low > 1e-3 * abs(high) else "")
