r"""How far a network's state of rest stays stable as its k grow, and whether dt resolves it.

Rest is a fixed point: the one that the search from `x0` ends at; there may be others. It is judged by
the eigenvalues $\lambda$ of the derivatives there, computed on the host as if nothing were delayed:
with `_analysis`, of $A^0 + \sum_d A^d$, a matrix (m, m) over the m states of all regions. A scheme
multiplies what grows like $e^{\lambda t}$ by a function of $\lambda\, dt$ per step, which tells
whether dt is too long.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._analysis import balanced_by, fixed_point_or_nan, jacobians
from .._core import PyTree, get, names_of, refill
from .._network import Network, Params, State, own_states
from ..nodes import WongWangExcInhParams, wong_wang_exc_inh
from ..schemes import Scheme
from ..schemes._shorthands import name_of
from ._report import Finding
from ._rule import one_strength, strengths_of

MOST = 1000  # States of all regions together: the eigenvalues of so many take seconds.
LARGEST, SMALLEST = 4**6, 4**-10  # The factors on k between which the limit is looked for.
SEARCH = 20  # Most steps of the search between two factors of 4; few are needed.
APART = 0.01  # How far apart two fixed points are at least, as a share of the range of a state.
GOLDEN = 0.618  # An irrational rotation moves no two regions alike.
STEPS_PER_CYCLE = 12  # With fewer, Euler and Heun are off by several per cent per cycle.

NORMALISE = 'Normalise the weights: cf.normalize(conn, by="row"), or "spectral".'

# Rates of decay, times dt, at which it is looked whether the steps of a scheme decay, too.
DECAYS = np.linspace(1e-3, 64, 64_000)
ROUNDING = 1e-6  # Of a step in float32.


@dataclasses.dataclass(frozen=True)
class Stability:
    """What a network does near rest; delays are left out.

    Attributes:
        limit: the factor on all k at which rest loses its stability: infinite if that is far away, and
            0 if rest is unstable even without coupling. [1]
        k: the k of the network, if there is one number for all; else None.
        eigenvalues: the eigenvalues at the k of the network. [1/ms]
        linear: whether the rates of change are linear in the states, so that nothing stops growth.
    """

    limit: float
    k: float | None
    eigenvalues: np.ndarray
    linear: bool

    @property
    def restless(self) -> bool:
        """Return whether rest is unstable without any coupling."""
        return self.limit == 0

    @property
    def unstable(self) -> bool:
        """Return whether rest is unstable at the k of the network; coupling may calm a restless one."""
        return _growth(self.eigenvalues) >= 0

    @property
    def frequency(self) -> float:
        """The frequency of the fastest oscillation that is not overdamped, in Hz; 0 without one."""
        decay, turn = np.abs(np.real(self.eigenvalues)), np.abs(np.imag(self.eigenvalues))
        return float(turn[turn > decay].max(initial=0.0) / (2 * np.pi) * 1000)

    def limit_in_words(self) -> str:
        """Write the critical k, or the critical factor on the coupling strengths."""
        if self.k is not None:
            return f"k = {self.limit * self.k:.3g}"
        return f"{self.limit:.3g} times these coupling strengths"


def stability(net: Network, params: Params, x0: PyTree) -> Stability | None:
    """Find out where rest loses its stability.

    The result is None if there is no rest, if nothing is coupled, or if there are too many states.
    """
    states = sum(np.size(x) for x in jax.tree.leaves(x0))
    if states > MOST or not any(np.any(np.asarray(k)) for k in strengths_of(params)):
        return None
    try:
        at_rest = _eigenvalues(net, params, x0, 1.0)
    except ValueError:  # Under an input that varies in time there is no rest.
        return None
    if at_rest is None:
        return None
    limit = _limit(net, params, x0)
    return Stability(limit, one_strength(params), at_rest, _is_linear(net, params, x0))


def _eigenvalues(net: Network, params: Params, x0: PyTree, factor: float) -> np.ndarray | None:
    """Compute the eigenvalues at rest, with all k multiplied by `factor`; None if rest is not found."""
    scaled = [jnp.asarray(k) * factor for k in strengths_of(params)]
    there = eqx.tree_at(strengths_of, params, scaled)
    whole = _matrix(net, there, fixed_point_or_nan(net, there, x0))
    return np.linalg.eigvals(whole) if np.isfinite(whole).all() else None


def _matrix(net: Network, params: Params, x: PyTree) -> np.ndarray:
    """Return the derivatives of all rates by all states, (m, m), as if nothing were delayed."""
    jac = jacobians(net, params, x)
    whole = np.asarray(jac.instantaneous, np.float64) + sum(
        np.asarray(g, np.float64) for g in jac.gains
    )
    return whole.reshape(whole.shape[0] * whole.shape[1], -1)


def _growth(eigenvalues: np.ndarray) -> float:
    """Return the largest growth rate; just below 0 where it is 0 up to rounding."""
    largest = float(np.real(eigenvalues).max())
    return largest if abs(largest) > 1e-6 * np.abs(eigenvalues).max() else -1e-300


def _limit(net: Network, params: Params, x0: PyTree) -> float:
    """Find the factor on all k at which rest loses its stability.

    From 1 on it is bracketed by factors of 4, then found by the Illinois rule, a false position that
    closes in from both ends: M. Dowell and P. Jarratt, BIT 11 (1971) 168.
    """

    def growth(factor: float) -> float:
        values = _eigenvalues(net, params, x0, factor)
        return np.inf if values is None else _growth(values)

    if growth(0.0) >= 0:
        return 0.0
    low, high = 1.0, 1.0
    at_low = at_high = growth(1.0)
    while at_high < 0:
        low, at_low, high = high, at_high, high * 4
        if high > LARGEST:
            return float("inf")
        at_high = growth(high)
    while at_low >= 0:
        high, at_high, low = low, at_low, low / 4
        at_low = growth(low) if low > SMALLEST else -1e-300
    first, middle = -at_low, low
    for _ in range(SEARCH):
        straight = np.isfinite(at_high)
        middle = low + (high - low) * (at_low / (at_low - at_high) if straight else 0.5)
        at = growth(middle)
        if abs(at) < 1e-4 * first or high - low < 1e-3 * high:
            break
        if at < 0:
            low, at_low, at_high = middle, at, at_high / 2
        else:
            high, at_high, at_low = middle, at, at_low / 2
    return float(middle)


def _is_linear(net: Network, params: Params, x0: PyTree) -> bool:
    """Return whether the derivatives are the same everywhere: at the start, and in two other places.

    In these, each region is moved by another amount: x³ has the same slope at -x and at x, so moving all
    regions alike, or by opposite amounts, could deceive.
    """
    here, *elsewhere = (_matrix(net, params, _aside(x0, by)) for by in (0.0, 0.7, -0.3))
    close = {"rtol": 1e-4, "atol": 1e-6 * np.abs(here).max()}
    return all(np.allclose(here, there, **close) for there in elsewhere)


def _aside(x0: PyTree, by: float) -> PyTree:
    """Move each region by another amount, from `by` to twice that."""

    def moved(x):
        return x + (by * (1 + np.arange(len(x)) * GOLDEN % 1)).astype(x.dtype)

    return jax.tree.map(moved, x0)


def look_at_stability(net: Network, found: Stability | None, driven: bool) -> Iterator[Finding]:
    """List the findings on k and dt before a run; `driven` says whether anything keeps it moving."""
    if found is None:
        return
    words = found.limit_in_words()
    delays = ", delays left out (cf.critical_k includes them)" if net.delayed else ""
    if found.restless and found.linear:
        yield Finding(
            "undamped",
            "error",
            "The regions grow by themselves, without any coupling, and nothing bounds them.",
            why="A linear node that grows by itself explodes at every k.",
            remedy=("Give the node a leak: a < 0 in cf.nodes.LinearParams.",),
        )
    elif found.unstable and found.linear:
        yield Finding(
            "strong_k",
            "error",
            f"Rest is unstable from {words} on{delays}, and nothing in this node bounds the growth.",
            why=_given(found) + "above that: the network explodes.",
            remedy=remedies_for_k(found),
        )
    elif found.restless:
        yield Finding(
            "oscillates_alone",
            "note",
            "Without coupling the regions have no stable rest: they move by themselves.",
        )
    elif np.isfinite(found.limit):
        yield Finding(
            "critical_k",
            "note",
            f"Rest loses its stability at {words}{delays}.",
            why=_given(found) + f"{'above' if found.unstable else 'below'} that.",
        )
    yield from look_at_step(net, found)
    if not found.unstable and not driven:
        yield Finding(
            "nothing_moves_it",
            "note",
            "Rest is stable, and there is neither noise nor an input that varies.",
            why="From any start, the run dies out.",
            remedy=(
                "Give cf.Params(noise=...), or move k or a parameter of the node beyond the "
                "bifurcation.",
            ),
        )


def look_at_step(net: Network, found: Stability) -> Iterator[Finding]:
    """List the findings on dt."""
    values = found.eigenvalues
    growth = np.abs(growth_of(net.scheme, net.dt * values))
    wrong = (np.real(values) < 0) & (growth > 1 + ROUNDING)
    if wrong.any() and not net.delayed:
        # The bound is that of a pure decay; one that oscillates little has nearly the same.
        fastest = np.abs(values[wrong]).max()
        grows = np.abs(growth_of(net.scheme, -DECAYS)) > 1 + ROUNDING
        bound = DECAYS[grows].min(initial=DECAYS[-1]) / fastest
        overdamped = bool((np.abs(np.imag(values)) < np.abs(np.real(values)))[wrong].any())
        tail = f" dt must be below about {bound:.2g} ms." if overdamped else ""
        yield Finding(
            "long_step",
            "error",
            f"dt = {net.dt:g} ms is too long for {name_of(net.scheme)}: what decays in the network, at "
            f"rates up to {fastest:.3g} per ms, grows in its steps.{tail}",
            why="The run explodes although the network does not.",
            remedy=("Take a smaller dt.", "Reduce k, or normalise the weights."),
        )
    per_cycle = 1000 / (found.frequency * net.dt) if found.frequency else np.inf
    if per_cycle < STEPS_PER_CYCLE and net.scheme.order < 4:
        yield Finding(
            "coarse_step",
            "warning",
            f"The fastest oscillation, at {found.frequency:.3g} Hz, has {per_cycle:.1f} steps per "
            "cycle.",
            why="Its amplitude and frequency are then distorted by the scheme.",
            remedy=(f"Take dt below {1000 / found.frequency / 40:.2g} ms.",),
        )


def growth_of(scheme: Scheme, z: np.ndarray) -> np.ndarray:
    """Return what a step multiplies exp(lambda t) by, for z = dt lambda: a step of x' = z x from 1.

    Of an exponential scheme that is exp(z), as if all of the network were leak.
    """
    return np.asarray(scheme.step(lambda x, at: z * x, np.ones_like(z), 1.0))


def look_at_rests(
    net: Network, params: Params, x0: PyTree, found: Stability | None
) -> Iterator[Finding]:
    """List the findings on which state of rest is analysed."""
    if found is None or found.linear:
        return
    here = fixed_point_or_nan(net, params, x0)
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
        there = fixed_point_or_nan(net, params, start)
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
    values = np.asarray(get(x, name))
    low, high = float(values.min()), float(values.max())
    return f"{name} = {low:.3g}" + (f" to {high:.3g}" if high - low > 1e-3 * abs(high) else "")


def remedies_for_k(found: Stability | None, row_sum: float | None = None) -> tuple[str, ...]:
    """List what to do about a network that explodes; not to normalise, if row sums show it was done."""
    below = ""
    if found is not None and found.k is not None and 0 < found.limit < np.inf:
        below = f" below {found.limit * found.k:.2g}"
    return (
        f"Reduce k{below}.",
        *((NORMALISE,) if row_sum is None or row_sum > 1.01 else ()),
        "Add damping: a stronger leak of the node, or a node or rule that saturates.",
        "Check the orientation: conn[i, j] is from j onto i.",
    )


def _given(found: Stability) -> str:
    """Begin a sentence on the k of the network, which "above" or "below" ends."""
    return f"k is {found.k:.3g}, " if found.k is not None else "The coupling strengths are "


def states_of(net: Network, x0: Any) -> PyTree:
    """Return the state variables, also out of a `State`; refuse them if one is missing."""
    x = x0.node if isinstance(x0, State) else x0
    missing = [name for name in net.node.states if name not in names_of(x)]
    if missing:
        raise ValueError(f"`x0` must have the states {net.node.states}; {missing} are missing.")
    return own_states(net.node, x)
