"""What may be wrong with lengths, speed, dt and lags: what is missing, and slips of unit."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._connectome import EdgeList
from .._core import require_real, require_shape
from ._report import Finding, count, pairs

SPEEDS = (0.5, 30.0)  # what axons conduct at, unmyelinated to thick [mm/ms]
LONGEST = 1000.0  # a delay beyond is no conduction [ms]
SHORTEST = 0.05  # nor is a median below [ms]
STEPS = 20_000.0  # in the longest delay: more are no choice of a step
SLIPS = (10.0, 100.0, 1000.0, 1e6)
ROUNDED = 10  # lags from here on tell the speed, those below are mostly rounding [steps]


class Tracts(NamedTuple):
    """What is known of the way along each edge; None where it is not."""

    lengths: np.ndarray | None  # [mm]
    speed: float | None  # [mm/ms]
    dt: float | None  # [ms]
    lags: np.ndarray | None  # [steps]

    @property
    def steps(self) -> np.ndarray | None:
        """The lags, or those that the rest implies."""
        if self.lags is not None or self.lengths is None or not self.speed or not self.dt:
            return self.lags
        return self.lengths / self.speed / self.dt


def look_at_tracts(
    edges: EdgeList,
    lengths: Any,
    speed: float | None,
    dt: float | None,
    lags: Any,
    bounds: tuple[int, int] | None,
) -> Iterator[Finding]:
    """Findings on lengths and lags, `(target, source)`, one an edge or one for all."""
    tracts = Tracts(_of_edges("lengths", lengths, edges), speed, dt, _of_edges("lags", lags, edges))
    lost = []
    for name, whole, values in (("lengths", lengths, tracts.lengths), ("lags", lags, tracts.lags)):
        if values is not None and np.ndim(whole) == 2:
            lost += _missing(name, edges, np.asarray(whole), values)
    yield from lost
    usable = edges.apart
    if tracts.lengths is not None:
        bad = ~(np.isfinite(tracts.lengths) & (tracts.lengths >= 0))
        if bad.any():
            yield Finding(
                "bad_lengths",
                "error",
                f"{count(int(bad.sum()), 'length')} of existing edges are negative, NaN or infinite.",
                **pairs(edges, bad),
                why="A delay is worked out from each, and lags() refuses these.",
                remedy=("Give a missing tract the weight 0, or a length from the distance.",),
            )
        usable = usable & ~bad
    if lost and lost[0].code.endswith("transposed"):
        return
    yield from _zeros(edges, tracts, usable)
    slips = list(_units(edges, tracts, usable))
    yield from slips
    if not any(finding.severity == "error" for finding in slips):
        yield from _rounding(edges, tracts, usable)
    yield from _beyond(edges, tracts, bounds)


def _of_edges(name: str, values: Any, edges: EdgeList) -> np.ndarray | None:
    """The value of each edge."""
    if values is None:
        return None
    require_real(name, values)
    values = np.asarray(values, np.float64)
    shape = (edges.regions, edges.regions)
    meaning = "One for all, one an edge in the order of (target, source), or as the weights."
    require_shape(name, values, (), (len(edges),), shape, meaning=meaning)
    if values.ndim == 2:
        return values[edges.target, edges.source]
    return np.broadcast_to(values, (len(edges),))


def _missing(name: str, edges: EdgeList, whole: np.ndarray, values: np.ndarray) -> list[Finding]:
    """Whether the values are where the weights are, or where those of the other direction are."""
    absent = edges.apart & (values == 0)
    turned = edges.apart & (whole[edges.source, edges.target] == 0)
    if absent.sum() > max(2, 10 * turned.sum()):
        return [
            Finding(
                f"{name}_transposed",
                "error",
                f"{count(int(absent.sum()), 'edge')} have {name} of 0, and only "
                f"{int(turned.sum())} would if `{name}` were transposed.",
                **pairs(edges, absent),
                why="Weights and delays then belong to opposite directions.",
                remedy=(
                    f"Pass {name}.T: {name}[i, j] is of the tract from j to i, as weights[i, j] is.",
                    "Or turn the weights, if it is they: from_source_target turns a whole Connectome.",
                ),
            )
        ]
    return []


def _zeros(edges: EdgeList, tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
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
        else f"{count(int(zero.sum()), 'edge')} of {int(usable.sum())} have a weight and a length "
        "of 0.",
        **({} if every else pairs(edges, zero)),
        why="They act without a delay, while others wait.",
        remedy=("Fill them from the distance between the regions, or set their weight to 0.",),
    )


def _units(edges: EdgeList, tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
    lengths, speed, dt, lags = tracts
    median = None
    if lengths is not None and (usable & (lengths > 0)).any():
        median = float(np.median(lengths[usable & (lengths > 0)]))
    slipped = False
    if speed is not None and not SPEEDS[0] <= speed <= SPEEDS[1]:
        slipped = True
        yield Finding(
            "speed",
            _by_size(speed),
            f"The speed is {speed:.3g} mm/ms; axons conduct at {SPEEDS[0]} to {SPEEDS[1]:.3g} mm/ms."
            f"{_slip(speed, 'the speed')}",
            why="1 mm/ms is 1 m/s; a speed in mm/s is 1000 times that, and delays vanish.",
            remedy=("Write the speed in mm/ms (= m/s): lags(lengths, speed=3.0, dt=0.1).",),
        )
    if median is not None and not 1 <= median <= 1000:
        slipped = True
        unit = "m" if median < 1 else "µm"
        yield Finding(
            "length_unit",
            "error",
            f"The median length is {median:.3g}: as mm that is no brain, as {unit} it may be one.",
            why="Lengths are in mm; a human brain's tracts have a median of 50 to 150 mm, a mouse's "
            "of about 5.",
            remedy=(f"Multiply the lengths by {1000 if median < 1 else 0.001:g}.",),
        )
    elif median is not None and median < 20:
        yield Finding(
            "short_tracts",
            "note",
            f"The median length is {median:.3g} mm.",
            why="That is a mouse's brain, or a human one in cm.",
            remedy=("If it is in cm, multiply by 10.",),
        )
    steps = tracts.steps
    if not slipped and dt is not None and steps is not None and usable.any():
        longest = float(steps[usable].max())
        if longest > STEPS and longest * dt <= LONGEST:  # or the delays are what is wrong
            slipped = True
            yield Finding(
                "dt",
                "warning",
                f"The longest delay is {longest:.0f} steps of dt = {dt:g} ms.",
                why="A history keeps a row for each, and a run takes as many steps. A dt in s is 1000 "
                "times too small.",
                remedy=("Write dt in ms: half a ms is 0.5, not 0.0005.",),
            )
    if lags is None or dt is None:
        return
    delays = lags * dt
    told = usable & (lags >= ROUNDED)
    if lengths is not None and (told & (lengths > 0)).any():
        implied = float(np.median(lengths[told] / delays[told]))
        if speed is not None:
            yield from _mismatch(tracts, told, implied)
        elif not slipped and not SPEEDS[0] <= implied <= SPEEDS[1]:
            slipped = True
            yield Finding(
                "implied_speed",
                _by_size(implied),
                f"Lengths and lags imply a speed of {implied:.3g} mm/ms, at dt = {dt:g} ms; axons "
                f"conduct at {SPEEDS[0]} to {SPEEDS[1]:.3g}.{_slip(implied, 'it')}",
                why="Lengths are in mm, dt in ms and lags in steps of dt: one of them is not.",
                remedy=(
                    "Work them out: lags(lengths, speed=3.0, dt=dt), with speed in mm/ms.",
                    "Look whether dt is in s (0.1 ms is 0.1, not 0.0001), or lengths in m or cm.",
                ),
            )
    if slipped or not (usable & (lags > 0)).any():
        return
    longest, middle = float(delays[usable].max()), float(np.median(delays[usable & (lags > 0)]))
    if longest > LONGEST or middle < SHORTEST:
        yield Finding(
            "delays",
            "warning",
            f"The delays have a median of {middle:.3g} ms and go up to {longest:.3g} ms, at "
            f"dt = {dt:g} ms.",
            why="Conduction in a brain takes about 1 to 100 ms: s taken for ms, or the other way "
            "round, is a factor of 1000.",
            remedy=("Write dt in ms and speed in mm/ms.",),
        )


def _mismatch(tracts: Tracts, told: np.ndarray, implied: float) -> Iterator[Finding]:
    lengths, speed, dt, lags = tracts
    if lengths is None or speed is None or lags is None or dt is None:
        return
    wanted = np.rint(lengths / speed / dt)
    if np.allclose(lags[told], wanted[told], rtol=0.02, atol=1.5):
        return
    yield Finding(
        "lags_mismatch",
        "error",
        f"The lags are not round(length / speed / dt): they imply {implied:.3g} mm/ms, and the speed "
        f"is {speed:.3g} mm/ms.{_slip(implied / speed, 'it', around=1.0)}",
        why="They were made with another dt, another speed, other lengths, or transposed ones.",
        remedy=("Make them anew: lags(lengths, speed, dt, weights=weights).",),
    )


def _rounding(edges: EdgeList, tracts: Tracts, usable: np.ndarray) -> Iterator[Finding]:
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
        f"{count(int(lost.sum()), 'edge')} have a length, but a delay below dt / 2 = {dt / 2:g} ms "
        f"that is rounded to none: {share:.0%} of all strength.",
        **pairs(edges, lost),
        why="They act at once.",
        remedy=(
            "Take a smaller dt.",
            'Or read between steps: Network(interpolate="linear", lag_bounds=...).',
        ),
    )


def _beyond(edges: EdgeList, tracts: Tracts, bounds: tuple[int, int] | None) -> Iterator[Finding]:
    if bounds is None:
        return
    lags = tracts.steps
    if lags is None:
        return
    outside = (np.rint(lags) > bounds[1]) | (np.rint(lags) < bounds[0])
    if not outside.any():
        return
    yield Finding(
        "beyond_history",
        "error",
        f"{count(int(outside.sum()), 'edge')} have lags of up to {lags[outside].max():.4g} steps; the "
        f"history is kept for {bounds[0]} to {bounds[1]}.",
        **pairs(edges, outside),
        why="A lag beyond the history reads what is not there: a Network refuses it, a ring buffer of "
        "your own wraps around silently.",
        remedy=("Keep as many rows as the largest lag: lag_bounds(lengths, speed, dt).",),
    )


def _by_size(speed: float) -> Any:
    """How wrong a speed is."""
    return "error" if not SPEEDS[0] / 10 <= speed <= SPEEDS[1] * 10 else "warning"


def _slip(value: float, what: str, around: float | None = None) -> str:
    """The power of ten that would explain a value."""
    low, high = SPEEDS if around is None else (around * 0.7, around * 1.4)
    factors = [f for slip in SLIPS for f in (slip, 1 / slip) if low <= value / f <= high]
    if not factors:
        return ""
    factor = min(factors, key=lambda f: abs(np.log(value / f / np.sqrt(low * high))))
    scaled = f"Divided by {factor:g}" if factor > 1 else f"Times {1 / factor:g}"
    return f" {scaled}, {what} would fit."
