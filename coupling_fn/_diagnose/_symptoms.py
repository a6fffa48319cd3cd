"""What is wrong with the signals of a run: each symptom, with the cause that `_causes` finds.

Longer than 400 lines because each symptom is a short function of its own, and they are read as a list.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._connectome import connected_parts
from .._core import Scalar
from ..noise import Coloured
from ..observe._synchrony import ABOVE_CHANCE
from ..stimuli import Sum
from ._causes import Cause, Context
from ._report import Finding, about, regions
from ._signals import Measures, first_explosion, turns

DEAD = 1e-3  # Of the first amplitude: less is dead.
STILL = 1e-6  # Of the size of the values: less is no movement.
TOGETHER = 0.95  # The order parameter and the mean correlation of regions that are all in step.
CYCLES = 10.0  # Fewer cycles are too few to measure.
FEW = 4.0  # Samples per cycle: fewer may be aliased.
ROUNDED = 0.01  # Of what a state moves in a step: half a spacing of its dtype is no more than this.
TR = 100.0  # No scanner samples the whole brain faster; few networks are sampled as slowly. [ms]
MOST_BOLD = 100.0  # More is no change of BOLD, be it a fraction or in percent.


class Sampling(NamedTuple):
    """How a run was sampled, and what for.

    Attributes:
        dt: time from one sample to the next. [ms]
        samples: how many samples there are. [1]
        longest_delay: the longest delay of the network; 0 where none is known. [ms]
        fc_error: the standard error that a correlation may have, or None. [1]
        eps: the relative spacing of the numbers of the record. [1]
        steps: how many steps of the network lie between two samples. [1]
    """

    dt: float
    samples: int
    longest_delay: float
    fc_error: Scalar | None
    eps: float
    steps: float


def is_angle(name: str, context: Context) -> bool:
    """Return whether a state is an angle: the node or its name says so, or its range is one turn."""
    if context.net is not None and name in getattr(context.net.node, "angles", ()):
        return True
    low, high = context.ranges.get(name, (0.0, 0.0))
    return abs(high - low - 2 * np.pi) < 1e-6 or name.rpartition(".")[2] == "theta"


# --- it explodes --------------------------------------------------------------------------------


def out_of_domain(signals: dict[str, np.ndarray], dt: float, bare: bool) -> Iterator[Finding]:
    """Find BOLD that became NaN: the balloon model left its domain, and no network exploded.

    BOLD is a record of that name, the state of the balloon, or one array (`bare`) with the time from
    sample to sample of a scanner, which grows no more than BOLD can before it is NaN.
    """
    flow = signals.get("f") if {"s", "f", "v", "q"} == set(signals) else None
    for name, x in signals.items():
        finite = np.isfinite(x)
        if finite.all() or not (flow is not None or "bold" in name.lower() or (bare and dt >= TR)):
            continue
        sample = int(np.flatnonzero(~finite.all(1))[0])
        lost = ~finite[sample]
        if np.abs(x[:sample]).max(initial=0.0) > MOST_BOLD or not np.isnan(x[sample][lost]).all():
            continue
        named = "BOLD" if flow is None else f"the balloon's {name}"
        yield Finding(
            "bold_undefined",
            "error",
            f"{named[0].upper()}{named[1:]} of {int(lost.sum())} of {len(lost)} regions is NaN from "
            f"{(sample + 1) * dt:.4g} ms on (sample {sample}), without having grown before.",
            **regions(lost),
            why="That is how the balloon model leaves its domain: after activity that is too strong, or "
            "far below rest, its flow falls to 0. Or the activity itself is not finite.",
            remedy=(
                "Subtract the activity's level at rest, and scale it so that the flow stays positive: "
                "cf.observe.bold_from_balloon, called outside of `jit`, says by how much.",
                "Look at the activity itself: cf.diagnose_run(activity, dt=...).",
            ),
            cause="balloon",
        )
        return


def exploded(signals: dict[str, np.ndarray], dt: float, context: Context) -> Iterator[Finding]:
    """Find the first explosion of any signal."""
    found = []
    for name, x in signals.items():
        if not is_angle(name, context) or not np.isfinite(x).all():
            width = np.ptp(context.ranges[name]) if name in context.ranges else None
            begun = first_explosion(x, width)
            if begun is not None:
                found.append((*begun, name))
    if not found:
        return
    sample, first, name = min(found, key=lambda entry: entry[0])
    x = signals[name]
    cause = context.why_it_explodes(turns(x[:sample], first))
    when = f"at {(sample + 1) * dt:.4g} ms (sample {sample})"
    value = x[sample, first]
    mask = ~np.isfinite(x[sample]) | (np.abs(x[sample]) >= np.abs(x[sample]).max() / 2)
    yield Finding(
        "exploded",
        "error",
        f"The network explodes: {name} of region {first} is {value:.3g} {when}.",
        **regions(mask),
        **cause._asdict(),
    )


# --- it leaves its range, or is quiet ------------------------------------------------------------


def out_of_range(name: str, x: np.ndarray, context: Context) -> Iterator[Finding]:
    """Find regions beyond the bounds of a state, or far beyond its range."""
    low, high = context.bounds.get(name, (None, None))
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    slack = 1e-6 * max(1.0, abs(float(x.min())), abs(float(x.max())))
    beyond = ((x < low - slack) | (x > high + slack)).any(0)
    if beyond.any():
        yield Finding(
            "out_of_bounds",
            "error",
            f"{name} ranges from {x.min():.3g} to {x.max():.3g}; it has a meaning only from {low:g} to "
            f"{high:g}.",
            **regions(beyond),
            why="The equations of the node are not meant for such values.",
            remedy=('Clip the state: cf.Network(bounds="node").', "Reduce the noise, k or dt."),
        )
        return
    if name not in context.ranges or is_angle(name, context):
        return
    low, high = context.ranges[name]
    width = high - low
    beyond = ((x < low - width) | (x > high + width)).any(0)
    if beyond.any():
        yield Finding(
            "left_range",
            "warning",
            f"{name} ranges from {x.min():.3g} to {x.max():.3g}; this node is expected from {low:g} to "
            f"{high:g}.",
            **regions(beyond),
            **context.why_it_leaves()._asdict(),
        )


def quiet(name: str, x: np.ndarray, dt: float, context: Context) -> Iterator[Finding]:
    """Find regions that stand still, from the start on or in the end."""
    if len(x) < 8 or is_angle(name, context):
        return
    fifth = max(len(x) // 5, 4)
    size = np.abs(x).max(0)
    early, late = np.ptp(x[:fifth], axis=0), np.ptp(x[-fifth:], axis=0)
    still = np.ptp(x, axis=0) <= STILL * size
    dead = ~still & (late <= DEAD * early) | (~still & (late <= STILL * size))
    if still.all():
        yield Finding(
            "frozen",
            "warning",
            f"{name} does not move in any region.",
            **regions(still),
            why="The run starts at a state of rest, and nothing moves it away.",
            remedy=(
                "Start elsewhere: take another x0.",
                "Give cf.Params(noise=...), or an external input.",
            ),
            cause="starts_at_rest",
        )
    elif (dead | still).all():
        gone = np.abs(x - x[-1:]).max(1)
        when = int(np.flatnonzero(gone > DEAD * gone.max())[-1]) + 1
        yield Finding(
            "died_out",
            "warning",
            f"{name} comes to rest after about {when * dt:.4g} ms, at {x[-1].min():.3g} to "
            f"{x[-1].max():.3g}.",
            **regions(dead | still),
            **context.why_it_dies(name, x[-1])._asdict(),
        )
    elif (silent := still | (dead & (late <= DEAD * late.max()))).any():
        alone = context.isolated()
        alone = None if alone is None else context.of_signal(name, alone)
        isolated = alone is not None and bool(alone[silent].any())
        yield Finding(
            "silent_regions",
            "warning",
            f"{name} stands still in {int(silent.sum())} of {len(silent)} regions.",
            **regions(silent),
            why="Nothing reaches them: no noise, input or coupling."
            if isolated
            else "They rest while others move; their correlations mean nothing.",
            remedy=("Check cf.graph.isolated_nodes(conn).", "Give noise to every region."),
            cause="isolated" if isolated else None,
        )


# --- it is rounded ------------------------------------------------------------------------------


def rounded_away(name: str, x: np.ndarray, taken: Sampling, context: Context) -> Iterator[Finding]:
    """Find states that grow so far that what they move in a step is lost in their rounding."""
    if len(x) < 8:
        return
    angle = is_angle(name, context)
    y, half = np.unwrap(x, axis=0) if angle else x, len(x) // 2
    early, late = y[half] - y[0], y[-1] - y[half]
    # A state that comes to rest slows down, and one that goes to and fro is rounded up and down.
    steady = (np.abs(late) > np.abs(np.diff(y[half:], axis=0)).sum(0) / 2) & (
        np.abs(late) > np.abs(early) / 2
    )
    move = np.abs(late) / (len(x) - 1 - half) / taken.steps
    spacing = taken.eps * 2.0 ** np.floor(np.log2(np.maximum(np.abs(x[half:]).max(0), 1e-300)))
    lost = steady & (move > 0) & (spacing / 2 > ROUNDED * move)
    if not lost.any():
        return
    worst = int(np.argmax(np.where(lost, spacing / np.where(move > 0, move, 1), 0)))
    grows = angle and context.net is not None and not context.net.angles
    yield Finding(
        "lost_in_rounding",
        "warning",
        f"{name} of region {worst} moves by {move[worst]:.3g} per step at {np.abs(x[-1, worst]):.4g}, "
        f"where the numbers of its dtype are {spacing[worst]:.3g} apart: its rate is wrong by up to "
        f"{50 * spacing[worst] / move[worst]:.2g} %.",
        **regions(lost),
        why="Each step is rounded to that spacing, in the same direction for as long as the rate is "
        "the same.",
        remedy=(
            *(
                ('Let the network take whole turns off: cf.Network(angles="wrap").',)
                if grows
                else ()
            ),
            *(() if angle else ("If it is an angle, say so: cf.nodes.node(angles=[...]).",)),
            "Run in float64: jax.config.update('jax_enable_x64', True).",
            "Take a larger dt, or a state that does not grow.",
        ),
        cause="angles_grow" if grows else "dtype",
    )


def rounded_time(taken: Sampling, context: Context) -> Iterator[Finding]:
    """Find external input that is given times with a spacing near dt."""
    if context.net is None or context.params is None:
        return
    dt, end = context.net.dt, taken.samples * taken.dt
    spacing = taken.eps * 2.0 ** np.floor(np.log2(end))
    functions = (context.params.external or {}) | (context.params.time_varying or {})
    named = list(_of_plain_time(functions))
    if named and spacing > dt / 2:
        yield Finding(
            "rounded_time",
            "warning",
            f"What drives {', '.join(named)} is a function of plain ms, which are "
            f"{spacing:.3g} ms apart at {end:.6g} ms, with a step of {dt:g} ms.",
            why="Several steps see the same time, and edges and phases move by as much.",
            remedy=(
                "Use a stimulus of cf.stimuli, which is given what is rounded off, too.",
                "Set `exact_time = True` on your own: it is then given a cf.stimuli.Time.",
                "Set the clock to 0 where your input allows it: net.restart_clock(state).",
                "Run in float64.",
            ),
            cause="dtype",
        )


def _of_plain_time(external: dict[str, Any]) -> Iterator[str]:
    """Yield the inputs that are functions of time, and take it as plain ms."""
    for name, value in external.items():
        parts = value.parts if isinstance(value, Sum) else (value,)
        functions = (part for part in parts if callable(part) and not isinstance(part, Coloured))
        if not all(getattr(part, "exact_time", False) for part in functions):
            yield name


# --- how far it is in step -----------------------------------------------------------------------


def together(name: str, x: np.ndarray, m: Measures, context: Context) -> Iterator[Finding]:
    """Find regions that are all in step, in opposite phases, or in step no more than by chance."""
    if x.shape[1] < 2:
        return
    chance = m.chance
    between = _between(m.correlations, name, context)
    repelled = context.why_it_drives_apart()
    if m.order > TOGETHER and m.fc > TOGETHER and not between:
        yield Finding(
            "over_synchronised",
            "warning",
            f"{name} is the same in all regions: order parameter {m.order:.2f}, mean correlation "
            f"{m.fc:.2f}.",
            **_why_the_same(x)._asdict(),
        )
    elif m.order < 0.5 * chance and (repelled.cause or m.order < 0.2 * chance):
        yield Finding(
            "driven_apart",
            "warning",
            f"The regions keep out of step: order parameter {m.order:.2f}, where regions without "
            f"coupling would have {chance:.2f}; mean correlation {m.fc:.2f}.",
            **repelled._asdict(),
        )
    elif between or (m.order < ABOVE_CHANCE * chance and m.rms_fc < ABOVE_CHANCE * m.chance_fc):
        what = "The parts of the network" if between else "The regions"
        yield Finding(
            "never_synchronised",
            "warning",
            f"{what} do not synchronise: order parameter {m.order:.2f}, where regions without coupling "
            f"would have {chance:.2f}; typical correlation {m.rms_fc:.2f}, by chance {m.chance_fc:.2f}.",
            **context.why_it_stays_apart(m, between)._asdict(),
        )


def _why_the_same(x: np.ndarray) -> Cause:
    """Find the cause of regions that are all in step."""
    if np.abs(x - x[:, :1]).max() <= STILL * np.abs(x).max():
        return Cause(
            "identical_start",
            "They started alike, and neither noise nor their parameters make them differ.",
            ("Start each region elsewhere, or add noise.",),
        )
    alike = np.ptp(x[0]) < 0.05 * x.std()
    return Cause(
        "strong_k",
        "All regions do the same, and FC is 1 everywhere: no resting state does that.",
        (
            "Reduce k: scan it downwards, or use cf.find_k.",
            'Normalise the weights: cf.normalize(conn, by="row").',
            "Give each region noise of its own, a frequency of its own, and delays.",
            *(("Start each region elsewhere: they started alike.",) if alike else ()),
        ),
    )


def _between(correlations: np.ndarray, name: str, context: Context) -> bool:
    """Return whether parts with no connection between them are each in step, but not with each other."""
    if context.edges is None:
        return False
    part = context.of_signal(name, connected_parts(context.edges))
    other = part[:, None] != part[None, :]
    if not other.any():
        return False
    inside = ~other & ~np.eye(len(part), dtype=bool)
    within = np.abs(correlations[inside]).mean() if inside.any() else 0.0
    return bool(within > 0.3 and np.abs(correlations[other]).mean() < 0.7 * within)


# --- samples, and how many -----------------------------------------------------------------------


def sampling(m: Measures, taken: Sampling, context: Context) -> Iterator[Finding]:
    """Find oscillations that the samples miss, and records too short for what is measured."""
    yield from _aliased(m, taken.dt, context)
    yield from _too_short(m, taken)


def _aliased(m: Measures, dt: float, context: Context) -> Iterator[Finding]:
    """Find oscillations that have too few samples per cycle."""
    fastest = context.stability.frequency if context.stability is not None else 0.0
    if fastest * dt > 500:  # The Nyquist frequency: half a sample per ms is 500 Hz.
        yield Finding(
            "aliased",
            "warning",
            f"Rest oscillates at up to {fastest:.3g} Hz, but samples {dt:g} ms apart show no more than "
            f"{500 / dt:.3g} Hz.",
            why="Anything faster appears as a slower oscillation that does not exist.",
            remedy=("Record more often: take a smaller `every`.", "Or record a temporal average."),
        )
    elif m.peak * dt > 1000 / FEW:
        yield Finding(
            "aliased",
            "warning",
            f"Most power lies at {m.peak:.3g} Hz, which has {1000 / (m.peak * dt):.1f} samples per "
            "cycle.",
            why="Anything faster appears slower than it is. If every step is a sample, the step is too "
            "long as well.",
            remedy=("Record more often: take a smaller `every`.", "Take a smaller dt."),
        )


def _too_short(m: Measures, taken: Sampling) -> Iterator[Finding]:
    """Find records that are too short for the delays, the cycles, or the error that FC may have."""
    duration, longest, wanted = taken.samples * taken.dt, taken.longest_delay, taken.fc_error
    if duration < 2 * longest:
        yield Finding(
            "too_short",
            "warning",
            f"The run of {duration:.4g} ms is shorter than twice the largest delay, {longest:.4g} ms.",
            why="Much of it still depends on the history that it was given.",
            remedy=(f"Run for {about(10 * longest)} ms or more, and discard the first part.",),
            cause="delays",
        )
    elif m.cycles < CYCLES:
        yield Finding(
            "too_short",
            "warning",
            f"The run of {duration:.4g} ms holds {m.cycles:.1f} cycles of its main oscillation.",
            why="Correlations and phases of so few cycles are accidental.",
            remedy=(f"Run for {about(50 * duration / m.cycles)} ms or more.",),
            cause="cycles",
        )
    elif wanted is not None and m.fc_error > wanted:
        needed = duration * float((m.fc_error / wanted) ** 2)
        yield Finding(
            "too_short",
            "warning",
            f"The correlation of two regions has a standard error of {m.fc_error:.2g} in a run of "
            f"{duration:.4g} ms; {float(wanted):g} was asked for.",
            why="FC then differs as much from run to run.",
            remedy=(f"Run for about {about(needed)} ms.", "Or average the FC of several runs."),
            cause="fc_error",
        )
