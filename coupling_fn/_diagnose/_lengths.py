"""What may be wrong with lengths, speed, dt and lags: what is missing, and slips of unit."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._connectome import EdgeList
from .._core import require_real, require_shape
from ._report import Finding, Severity, count, counted, pairs

SPEEDS = (0.5, 30.0)  # Conduction speeds of axons, unmyelinated to thick. [mm/ms]
LONGEST = 1000.0  # A longer delay is not conduction. [ms]
SHORTEST = 0.05  # Nor is a median delay below this. [ms]
STEPS = 20_000.0  # More steps in the longest delay are nobody's choice of dt.
SLIPS = (10.0, 100.0, 1000.0, 1e6)  # The factors that mistaken units cause, or the inverse of one.
ROUNDED = 10  # Lags from this on tell the speed; smaller ones are mostly rounding. [steps]
# Findings on a slip of unit: what would be found after one of them would only repeat it.
OF_UNIT = ("speed", "length_unit", "normalised_lengths", "dt", "implied_speed")


class Tracts(NamedTuple):
    """What is known of the tracts, with one value per edge; None for what is not known."""

    lengths: np.ndarray | None  # [mm]
    speed: float | None  # [mm/ms]
    dt: float | None  # [ms]
    lags: np.ndarray | None  # [steps]

    @property
    def steps(self) -> np.ndarray | None:
        """The lags; where they are not given, those that lengths, speed and dt imply."""
        if self.lags is not None:
            return self.lags
        if self.lengths is None or not self.speed or not self.dt:
            return None
        return self.lengths / self.speed / self.dt


def look_at_tracts(
    edges: EdgeList,
    lengths: Any,
    speed: float | None,
    dt: float | None,
    lags: Any,
    bounds: tuple[int, int] | None,
) -> Iterator[Finding]:
    """List the findings on lengths, lags and the history.

    Args:
        edges: the edges with a weight.
        lengths: `(target, source)`, one per edge, one for all, or None. [mm]
        speed: the conduction speed, or None. [mm/ms]
        dt: the time step, or None. [ms]
        lags: as `lengths`. [steps]
        bounds: the smallest and the largest lag that the history holds, or None. [steps]
    """
    tracts = Tracts(_of_edges("lengths", lengths, edges), speed, dt, _of_edges("lags", lags, edges))
    transposed = []
    for name, whole, values in (("lengths", lengths, tracts.lengths), ("lags", lags, tracts.lags)):
        if values is not None and np.ndim(whole) == 2:
            transposed += _transposed(name, edges, np.asarray(whole), values)
    yield from transposed
    bad = _bad(tracts)
    if bad is not None and bad.any() and not transposed:
        yield Finding(
            "bad_lengths",
            "error",
            f"{counted(int(bad.sum()), 'edge', 'has', 'have')} a length that is negative, NaN or "
            "infinite.",
            **pairs(edges, bad),
            why="Each delay is computed from a length, and cf.lags() refuses these. Where the weight is "
            "0 any length will do, but these edges have a weight.",
            remedy=("Give a missing tract the weight 0, or a length estimated from the distance.",),
        )
    if transposed:
        return
    usable = edges.apart if bad is None else edges.apart & ~bad
    if np.ndim(lengths) == 2:
        yield from _equal(tracts, usable)
    yield from _zeros(edges, tracts, usable)
    slips = _slips(tracts, usable)
    yield from slips
    if not any(finding.severity == "error" for finding in slips):
        yield from _rounding(edges, tracts, usable)
    yield from _beyond(edges, tracts, bounds)


def _of_edges(name: str, values: Any, edges: EdgeList) -> np.ndarray | None:
    """Return the value of each edge."""
    if values is None:
        return None
    require_real(name, values)
    values = np.asarray(values, np.float64)
    shape = (edges.regions, edges.regions)
    meaning = (
        "Give one number for all edges, one per edge in the order of (target, source), or a matrix of "
        "the weights' shape."
    )
    require_shape(name, values, (), (len(edges),), shape, meaning=meaning)
    if values.ndim == 2:
        return values[edges.target, edges.source]
    return np.broadcast_to(values, (len(edges),))


def _bad(tracts: Tracts) -> np.ndarray | None:
    """Mark the edges whose length cannot be one."""
    if tracts.lengths is None:
        return None
    return ~(np.isfinite(tracts.lengths) & (tracts.lengths >= 0))


def _transposed(
    name: str, edges: EdgeList, whole: np.ndarray, values: np.ndarray
) -> Iterator[Finding]:
    """Find values that stand where the edges of the opposite direction are."""
    # Where there is no tract, files have 0, -1 or NaN. A few values of the two last kinds are no sign
    # of a transposed matrix, and `_bad` names them.
    opposite = whole[edges.source, edges.target]
    if (edges.apart & ~(values > 0)).sum() > edges.apart.sum() / 2:
        absent, turned, kind = ~(values > 0), ~(opposite > 0), "that are 0, negative or NaN"
    else:
        absent, turned, kind = values == 0, opposite == 0, "of 0"
    absent, turned = edges.apart & absent, edges.apart & turned
    if absent.sum() > max(2, 10 * turned.sum()):
        yield Finding(
            f"{name}_transposed",
            "error",
            f"{count(int(absent.sum()), 'edge')} have {name} {kind}, but only {int(turned.sum())} would "
            f"if `{name}` were transposed.",
            **pairs(edges, absent),
            why="Weights and delays then belong to opposite directions.",
            remedy=(
                f"Pass {name}.T: {name}[i, j] is of the tract from j to i, as weights[i, j] is.",
                "If it is the weights that are transposed, turn them: cf.from_source_target turns a "
                "whole connectome.",
            ),
        )


def _zeros(edges: EdgeList, tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    """Find edges that have a weight but no length."""
    if tracts.lengths is None:
        return
    zero = usable & (tracts.lengths == 0)
    if not zero.any():
        return
    every = zero.sum() == usable.sum()
    yield Finding(
        "zero_lengths",
        "warning",
        "All lengths are 0."
        if every
        else f"{int(zero.sum())} of {count(int(usable.sum()), 'edge')} "
        f"{'has' if zero.sum() == 1 else 'have'} a weight, but a length of 0.",
        **({} if every else pairs(edges, zero)),
        why="They act without a delay, while the others wait.",
        remedy=(
            "Estimate the lengths from the distances between the regions, or set the weights to 0.",
        ),
    )


def _equal(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    """Find a matrix of lengths that are all the same."""
    given = (np.zeros(0) if tracts.lengths is None else tracts.lengths)[usable]
    if len(given) > 2 and given[0] > 0 and (given == given[0]).all():
        yield Finding(
            "equal_lengths",
            "warning",
            f"All tracts have the length {given[0]:.4g}.",
            why="Tracts of a brain differ 10-fold: these may be ones for each tract, or a placeholder.",
            remedy=("Take the lengths of the tracts, or estimate them from distances.",),
        )


# --- units ----------------------------------------------------------------------------------------


def _slips(tracts: Tracts, usable: np.ndarray) -> list[Finding]:
    """List the findings on units, from the plainest on; after a slip, those that only follow from it.

    What was made of lengths, speed and dt, namely lags and delays, is judged only where these are in
    their units.
    """
    found = [*_speed(tracts), *_length_unit(tracts, usable)]
    if not _slipped(found):
        found += _step(tracts, usable)
    found += _mismatch(tracts, usable)
    if not _slipped(found):
        found += _implied_speed(tracts, usable)
    if not _slipped(found):
        found += _delays(tracts, usable)
    return found


def _slipped(findings: Iterable[Finding]) -> bool:
    return any(finding.code in OF_UNIT for finding in findings)


def _speed(tracts: Tracts) -> Iterator[Finding]:
    speed = tracts.speed
    if speed is None or SPEEDS[0] <= speed <= SPEEDS[1]:
        return
    yield Finding(
        "speed",
        _by_size(speed),
        f"The speed is {speed:.3g} mm/ms; axons conduct at {SPEEDS[0]} to {SPEEDS[1]:.3g} mm/ms."
        f"{_slip(speed, 'the speed')}",
        why="1 mm/ms is 1 m/s. A speed given in mm/s is 1000 times too large, and delays vanish.",
        remedy=("Give the speed in mm/ms (= m/s): cf.lags(lengths, speed=3.0, dt=0.1).",),
    )


def _length_unit(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    if tracts.lengths is None or not (usable & (tracts.lengths > 0)).any():
        return
    median = float(np.median(tracts.lengths[usable & (tracts.lengths > 0)]))
    longest = float(tracts.lengths[usable].max())
    if abs(longest - 1) < 1e-6 and median < 1:
        yield Finding(
            "normalised_lengths",
            "error",
            f"The lengths go up to {longest:.6g}, with a median of {median:.3g}: they look normalised "
            "by the longest.",
            why="Lengths are in mm: delays of less than 1 mm vanish.",
            remedy=(
                "Take the lengths before they were normalised, or multiply by the longest, in mm.",
            ),
        )
    elif not 1 <= median <= 1000:
        unit = "m" if median < 1 else "µm"
        yield Finding(
            "length_unit",
            "error",
            f"The median length is {median:.3g}: in mm that is no brain, in {unit} it may be one.",
            why="Lengths are in mm. The tracts of a human brain have a median of 50 to 150 mm, those of "
            "a mouse's brain one of about 5 mm.",
            remedy=(f"Multiply the lengths by {1000 if median < 1 else 0.001:g}.",),
        )
    elif median < 20:
        yield Finding(
            "short_tracts",
            "note",
            f"The median length is {median:.3g} mm.",
            why="That fits a mouse's brain, or a human one with lengths in cm.",
            remedy=("If the lengths are in cm, multiply them by 10.",),
        )


def _step(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    steps, dt = tracts.steps, tracts.dt
    if dt is None or steps is None or not usable.any():
        return
    longest = float(steps[usable].max())
    if longest > STEPS and longest * dt <= LONGEST:  # Else it is the delays that are wrong.
        yield Finding(
            "dt",
            "warning",
            f"The longest delay is {longest:.0f} steps of dt = {dt:g} ms.",
            why="The history holds as many steps, and a run takes even more. A dt given in s is 1000 "
            "times too small.",
            remedy=("Give dt in ms: half a millisecond is 0.5, not 0.0005.",),
        )


def _mismatch(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    """Find lags that are not those of the lengths, the speed and dt."""
    lengths, speed, dt, lags = tracts
    implied = _implied(tracts, usable)
    if lengths is None or speed is None or dt is None or lags is None or implied is None:
        return
    told = usable & (lags >= ROUNDED)
    wanted = np.rint(lengths / speed / dt)
    if np.allclose(lags[told], wanted[told], rtol=0.02, atol=1.5):
        return
    yield Finding(
        "lags_mismatch",
        "error",
        f"The lags are not round(length / speed / dt): they imply {implied:.3g} mm/ms, but the speed is "
        f"{speed:.3g} mm/ms.{_slip(implied / speed, 'it', around=1.0)}",
        why="They were computed with another dt, another speed, other lengths, or transposed ones.",
        remedy=("Compute them again: cf.lags(lengths, speed, dt, weights=weights).",),
    )


def _implied_speed(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    """Find a speed that no axon has, where it is not given but follows from lengths and lags."""
    implied = _implied(tracts, usable)
    if tracts.speed is not None or implied is None or SPEEDS[0] <= implied <= SPEEDS[1]:
        return
    yield Finding(
        "implied_speed",
        _by_size(implied),
        f"Lengths and lags imply a speed of {implied:.3g} mm/ms at dt = {tracts.dt:g} ms; axons conduct "
        f"at {SPEEDS[0]} to {SPEEDS[1]:.3g} mm/ms.{_slip(implied, 'it')}",
        why="Lengths are in mm, dt in ms and lags in steps of dt: one of them is not.",
        remedy=(
            "Compute the lags: cf.lags(lengths, speed=3.0, dt=dt), with the speed in mm/ms.",
            "Check whether dt is in s (0.1 ms is 0.1, not 0.0001), or lengths are in m or cm.",
        ),
    )


def _implied(tracts: Tracts, usable: np.ndarray) -> float | None:
    """Compute the speed that lengths and lags imply; None if one is not known. [mm/ms]."""
    lengths, _, dt, lags = tracts
    if lengths is None or dt is None or lags is None:
        return None
    told = usable & (lags >= ROUNDED)
    if not (told & (lengths > 0)).any():
        return None
    return float(np.median(lengths[told] / (lags * dt)[told]))


def _delays(tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    dt, lags = tracts.dt, tracts.lags
    if dt is None or lags is None or not (usable & (lags > 0)).any():
        return
    delays = lags * dt
    longest, middle = float(delays[usable].max()), float(np.median(delays[usable & (lags > 0)]))
    if longest > LONGEST or middle < SHORTEST:
        yield Finding(
            "delays",
            "warning",
            f"The delays have a median of {middle:.3g} ms and go up to {longest:.3g} ms, at "
            f"dt = {dt:g} ms.",
            why="Conduction in a brain takes about 1 to 100 ms. Mistaking s for ms, or ms for s, is a "
            "factor of 1000.",
            remedy=("Give dt in ms and the speed in mm/ms.",),
        )


def _by_size(speed: float) -> Severity:
    """Judge a speed outside of `SPEEDS` by how far outside it is."""
    return "error" if not SPEEDS[0] / 10 <= speed <= SPEEDS[1] * 10 else "warning"


def _slip(value: float, what: str, around: float | None = None) -> str:
    """Write by which power of ten a value would fit, if there is one."""
    low, high = SPEEDS if around is None else (around * 0.7, around * 1.4)
    factors = [f for slip in SLIPS for f in (slip, 1 / slip) if low <= value / f <= high]
    if not factors:
        return ""
    factor = min(factors, key=lambda f: abs(np.log(value / f / np.sqrt(low * high))))
    scaled = f"Divided by {factor:g}" if factor > 1 else f"Multiplied by {1 / factor:g}"
    return f" {scaled}, {what} would fit."


# --- steps ----------------------------------------------------------------------------------------


def _rounding(edges: EdgeList, tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    """Find delays that dt rounds to none."""
    lengths, speed, dt, lags = tracts
    if dt is None or lengths is None:
        return
    if lags is not None:
        lost = usable & (lengths > 0) & (lags == 0)
    elif speed is not None:
        lost = usable & (lengths > 0) & (lengths < speed * dt / 2)
    else:
        return
    if not lost.any():
        return
    share = np.abs(edges.weight[lost]).sum() / np.abs(edges.weight[usable]).sum()
    yield Finding(
        "lost_delays",
        "warning" if share > 0.05 else "note",
        f"{counted(int(lost.sum()), 'edge', 'has', 'have')} a length, but a delay below dt / 2 = "
        f"{dt / 2:g} ms that is rounded to 0: {share:.0%} of the total strength.",
        **pairs(edges, lost),
        why="They act instantaneously.",
        remedy=(
            "Take a smaller dt.",
            'Or read between steps: cf.Network(interpolate="linear", lag_bounds=...).',
        ),
    )


def _beyond(edges: EdgeList, tracts: Tracts, bounds: tuple[int, int] | None) -> Iterator[Finding]:
    """Find lags that the history does not hold."""
    lags = tracts.steps
    if bounds is None or lags is None:
        return
    outside = (np.rint(lags) > bounds[1]) | (np.rint(lags) < bounds[0])
    if not outside.any():
        return
    yield Finding(
        "beyond_history",
        "error",
        f"{counted(int(outside.sum()), 'edge', 'has a lag', 'have lags')} of up to "
        f"{lags[outside].max():.4g} steps; the history is kept for {bounds[0]} to {bounds[1]} steps.",
        **pairs(edges, outside),
        why="A lag beyond the history reads what is not there: cf.Network refuses it, but a ring buffer "
        "of your own wraps around silently.",
        remedy=("Keep as many steps as the largest lag: cf.lag_bounds(lengths, speed, dt).",),
    )
