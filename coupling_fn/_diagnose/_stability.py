"""Where a network's state of rest ends, by linear analysis: eigenvalues on the host."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._analysis import fixed_point, jacobians
from .._core import PyTree, names_of
from .._network import Network, Params
from ._report import Finding
from ._rule import one_strength, strengths_of

MOST = 1000  # states (of all regions): an eigenvalue problem of this size takes seconds
FARTHEST = 4**6, 4**-10  # times the k given: how far its limit is looked for
SEARCH = 20  # steps between two factors of 4, of which few are needed
GOLDEN = 0.618  # of an irrational rotation: no two regions are moved alike
STEPS_A_CYCLE = 12  # below, Euler and Heun are off by several per cent a cycle

NORMALISE = 'Normalise the weights: normalize(conn, by="row"), or "spectral".'

# What each scheme multiplies exp(lambda t) by in a step, as a polynomial of dt lambda.
GROWTH = {"euler": (1.0, 1.0), "heun": (0.5, 1.0, 1.0), "rk4": (1 / 24, 1 / 6, 0.5, 1.0, 1.0)}


@dataclasses.dataclass(frozen=True)
class Stability:
    """What the network does near rest.

    Attributes:
        limit: what all k may be multiplied by until rest loses its stability: infinite where it keeps
            it for long, and 0 where it has none without coupling. Delays are left out.
        k: the k given, where there is one number for all.
        eigenvalues: at the k given, delays left out. [1/ms]
        linear: whether the rates of change are straight lines, so that nothing stops a growth.
    """

    limit: float
    k: float | None
    eigenvalues: np.ndarray
    linear: bool

    @property
    def restless(self) -> bool:
        """Whether rest is unstable without any coupling."""
        return self.limit == 0

    @property
    def unstable(self) -> bool:
        """Whether rest is unstable at the k given; coupling may calm what is restless without."""
        return _growth(self.eigenvalues) >= 0

    @property
    def frequency(self) -> float:
        """That of the fastest oscillation that is not overdamped, in Hz; 0 where there is none."""
        decay, turn = np.abs(np.real(self.eigenvalues)), np.abs(np.imag(self.eigenvalues))
        return float(turn[turn > decay].max(initial=0.0) / (2 * np.pi) * 1000)

    def limit_in_words(self) -> str:
        """The critical k, or what to multiply the strengths by."""
        if self.k is not None:
            return f"k = {self.limit * self.k:.3g}"
        return f"{self.limit:.3g} times these strengths"


def stability(net: Network, params: Params, x0: PyTree) -> Stability | None:
    """Find where rest loses its stability.

    None where there is no rest or no coupling, or where it is too large a task.
    """
    states = sum(np.size(x) for x in jax.tree.leaves(x0))
    if states > MOST or not any(np.any(np.asarray(k)) for k in strengths_of(params)):
        return None
    try:
        at_rest = _eigenvalues(net, params, x0, 1.0)
    except ValueError:  # an input that varies in time: there is no rest
        return None
    if at_rest is None:
        return None
    limit = _limit(net, params, x0)
    return Stability(limit, one_strength(params), at_rest, _is_linear(net, params, x0))


def _eigenvalues(net: Network, params: Params, x0: PyTree, factor: float) -> np.ndarray | None:
    """Of the derivatives at rest, as if nothing were delayed; None where rest is not found."""
    scaled = [jnp.asarray(k) * factor for k in strengths_of(params)]
    there = eqx.tree_at(strengths_of, params, scaled)
    whole = _matrix(net, there, fixed_point(net, there, x0))
    return np.linalg.eigvals(whole) if np.isfinite(whole).all() else None


def _matrix(net: Network, params: Params, x: PyTree) -> np.ndarray:
    jac = jacobians(net, params, x)
    whole = np.asarray(jac.instantaneous, np.float64) + sum(
        np.asarray(g, np.float64) for g in jac.gains
    )
    return whole.reshape(whole.shape[0] * whole.shape[1], -1)


def _growth(eigenvalues: np.ndarray) -> float:
    """The largest growth rate; below 0 where it is 0 but for rounding."""
    largest = float(np.real(eigenvalues).max())
    return largest if abs(largest) > 1e-6 * np.abs(eigenvalues).max() else -1e-300


def _limit(net: Network, params: Params, x0: PyTree) -> float:
    """What all k may be multiplied by: from 1 on by factors of 4, then by the Illinois rule.

    M. Dowell and P. Jarratt, BIT 11 (1971) 168, for a false position that closes in from both ends.
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
        if high > FARTHEST[0]:
            return float("inf")
        at_high = growth(high)
    while at_low >= 0:
        high, at_high, low = low, at_low, low / 4
        at_low = growth(low) if low > FARTHEST[1] else -1e-300
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
    """Whether the derivatives are the same everywhere: at the start, and at places without symmetry.

    A square has the same slopes in -x and x, so that two places, or all regions alike, could deceive.
    """

    def derivatives(by: float) -> np.ndarray:
        aside = lambda x: x + (by * (1 + np.arange(len(x)) * GOLDEN % 1)).astype(x.dtype)  # noqa: E731
        return _matrix(net, params, jax.tree.map(aside, x0))

    here, *elsewhere = map(derivatives, (0.0, 0.7, -0.3))
    close = {"rtol": 1e-4, "atol": 1e-6 * np.abs(here).max()}
    return all(np.allclose(here, there, **close) for there in elsewhere)


def look_at_stability(
    net: Network, params: Params, found: Stability | None, driven: bool
) -> Iterator[Finding]:
    """Findings on k and dt, before a run; `driven` is whether anything keeps it moving."""
    if found is None:
        return
    words = found.limit_in_words()
    delays = ", delays left out (critical_k counts them in)" if net.delayed else ""
    if found.restless and found.linear:
        yield Finding(
            "undamped",
            "error",
            "The regions grow by themselves, without any coupling, and nothing bounds them.",
            why="A linear node with a rate of change above 0 explodes at every k.",
            remedy=("Give the node a leak: a < 0 in LinearParams.",),
        )
    elif found.unstable and found.linear:
        yield Finding(
            "strong_k",
            "error",
            f"Rest is unstable from {words} on{delays}, and this node has nothing that bounds it.",
            why=_given(found) + "above that: the network explodes.",
            remedy=remedies_for_k(found),
        )
    elif found.restless:
        yield Finding(
            "oscillates_alone",
            "note",
            "The regions have no stable rest without coupling: they move by themselves.",
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
            why="Whatever the start, the run dies out.",
            remedy=("Give Params(noise=...), or a k or node parameter beyond the bifurcation.",),
        )


def look_at_step(net: Network, found: Stability) -> Iterator[Finding]:
    """Findings on dt."""
    values = found.eigenvalues
    growth = np.abs(np.polyval(GROWTH[net.scheme], net.dt * values))
    wrong = (np.real(values) < 0) & (growth > 1 + 1e-9)
    if wrong.any() and not net.delayed:
        # A pure decay is the plain case; of others the bound is nearly that of their size.
        fastest = np.abs(values[wrong]).max()
        bound = {"rk4": 2.785}.get(net.scheme, 2.0) / fastest
        overdamped = bool((np.abs(np.imag(values)) < np.abs(np.real(values)))[wrong].any())
        tail = f" It must be below about {bound:.2g} ms." if overdamped else ""
        yield Finding(
            "long_step",
            "error",
            f"dt = {net.dt:g} ms is too long for {net.scheme}: what decays in the network, at up to "
            f"{fastest:.3g} / ms, grows in its steps.{tail}",
            why="The run explodes though the network does not.",
            remedy=("Take a smaller dt.", "Reduce k, or normalise the weights."),
        )
    per_cycle = 1000 / (found.frequency * net.dt) if found.frequency else np.inf
    if per_cycle < STEPS_A_CYCLE and net.scheme != "rk4":
        yield Finding(
            "coarse_step",
            "warning",
            f"The fastest oscillation, {found.frequency:.3g} Hz, has {per_cycle:.1f} steps a cycle.",
            why="Its amplitude and frequency are then those of the scheme.",
            remedy=(f"Take dt below {1000 / found.frequency / 40:.2g} ms.",),
        )


def remedies_for_k(found: Stability | None, row_sum: float | None = None) -> tuple[str, ...]:
    """What to do about a network that explodes, with numbers; weights may be normalised already."""
    below = ""
    if found is not None and found.k is not None and 0 < found.limit < np.inf:
        below = f" below {found.limit * found.k:.2g}"
    return (
        f"Reduce k{below}.",
        *((NORMALISE,) if row_sum is None or row_sum > 1.01 else ()),
        "Damp: a stronger leak of the node, or a node or rule that saturates.",
        "Check the orientation: conn[i, j] is from j onto i.",
    )


def _given(found: Stability) -> str:
    return f"k is {found.k:.3g}, " if found.k is not None else "The strengths are "


def states_of(net: Network, x0: Any) -> PyTree:
    """The state variables, out of a `State` or as they are; refused where one is missing."""
    x = getattr(x0, "node", x0)
    missing = [name for name in net.node.states if name not in names_of(x)]
    if missing:
        raise ValueError(f"`x0` must have the states {net.node.states}; {missing} are missing.")
    return x
