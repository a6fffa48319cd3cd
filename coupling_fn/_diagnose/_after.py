"""`diagnose_run`: what is wrong with a run, and why, from its record."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._connectome import EdgeList, connected_parts
from .._core import Scalar, as_float, known, names_of, require_positive, require_positive_number
from .._network import Network, Params
from ..observe._synchrony import ABOVE_CHANCE
from ._before import diagnose
from ._causes import Context, context_of
from ._report import Finding, Report, about, regions, report
from ._rule import parts
from ._signals import Measures, first_explosion, measure, turns
from ._stability import look_at_step

DEAD = 1e-3  # of the amplitude at first
STILL = 1e-6  # of the size of the values
TOGETHER = 0.95  # the order parameter, and the mean correlation
CYCLES = 10.0
FEW = 4.0  # samples a cycle
FULL = 0.9  # of a state's range


def diagnose_run(
    record: Any,
    *,
    dt: Scalar,
    net: Network | None = None,
    params: Params | None = None,
    lags: Any = None,
    x0: Any = None,
    fc_error: Scalar | None = None,
) -> Report:
    r"""Say what is wrong with a run, with its likely cause and what to do, the likeliest first.

    Looks for a run that exploded (when, where, and from which k on), died out, stood still, left the
    range of its model, synchronised wholly or not at all, or drove apart; for oscillations that the
    samples miss, and records too short. Causes are looked for in the signals, and with `net` and
    `params` in the connectome, the couplings, dt, and the linear analysis at rest. A run's working
    point is a matter of the model: warnings about synchrony are for a resting state.

    Args:
        record: signals `(time, region)`, or a dict or NamedTuple of such, as `simulate` gives.
        dt: time from one sample to the next: the network's dt times `every`. [ms]
        net: the network that ran.
        params: its parameters.
        lags: where there is no `net`: whole lags, of which the largest counts. [samples]
        x0: where to search for the state of rest; by default the first sample, where the record
            holds all states.
        fc_error: the standard error that a correlation between two regions, of a run as long as
            this, may have. [1]

    Returns:
        The findings, the heaviest first, each with its likely `cause`, and the facts. With `params`,
        what `diagnose` finds in the couplings follows, from warnings on.

    Raises:
        ValueError: if the record is not (time, region), or its sizes differ.

    Source:
        For the standard error: M. S. Bartlett, J. R. Stat. Soc. 98 (1935) 536, averaged over pairs.

    Example:
        >>> t = jnp.arange(400.0)[:, None]
        >>> record = jnp.exp(-t / 20) * jnp.sin(t * jnp.array([[0.5, 0.6, 0.7]]))
        >>> report = cf.diagnose_run(record, dt=1.0)
        >>> report.findings[0].code, report.findings[0].where
        ('died_out', (0, 1, 2))
    """
    require_positive_number("dt", dt, "ms")
    dt = float(dt)
    signals = _signals(record, net)
    if fc_error is not None:
        require_positive("fc_error", fc_error)
    context = context_of(net, params, x0, record)
    samples, size = next(iter(signals.values())).shape
    facts: dict[str, Any] = {"samples": samples, "regions": size, "duration [ms]": samples * dt}
    exploded = list(_exploded(signals, dt, context))
    findings = list(exploded)
    if not exploded:
        for name, x in signals.items():
            findings += _out_of_range(name, x, context)
        name, x = next(iter(signals.items()))
        quiet = list(_quiet(name, x, dt, context))
        findings += quiet
        if not any(f.code in ("died_out", "frozen") for f in quiet) and samples >= 8:
            measured = measure(x, dt, _is_angle(name, x, context))
            facts |= measured.facts()
            sampling = list(_sampling(measured, dt, samples, context, lags, fc_error))
            findings += sampling
            if not any(f.cause in ("delays", "cycles") or f.code == "aliased" for f in sampling):
                findings += _together(name, x, measured, context)
    if context.stability is not None and net is not None and not exploded:
        findings += look_at_step(net, context.stability)
    if params is not None and parts(params):
        named = {f.cause for f in findings}
        more = diagnose(net=net, params=params).findings
        findings += [f for f in more if f.severity != "note" and f.code not in named]
    return report(findings, facts)


def _signals(record: Any, net: Network | None) -> dict[str, np.ndarray]:
    if not known(record):
        raise ValueError("`diagnose_run` looks at values: call it outside of `jit` and `vmap`.")
    if isinstance(record, Mapping) or hasattr(record, "_fields"):
        names = names_of(record)
        given = {n: record[n] if isinstance(record, Mapping) else getattr(record, n) for n in names}
    else:
        given = {net.node.states[0] if net and len(net.node.states) == 1 else "record": record}
    signals = {name: np.asarray(as_float(name, x)) for name, x in given.items()}
    shapes = {name: x.shape for name, x in signals.items()}
    if len(set(shapes.values())) != 1 or any(len(s) != 2 or 0 in s for s in shapes.values()):
        raise ValueError(
            f"`record` must be (time, region), one or several; its shapes are {shapes}."
        )
    return {name: x.astype(np.float64) for name, x in signals.items()}


def _is_angle(name: str, x: np.ndarray, context: Context) -> bool:
    low, high = context.ranges.get(name, (0.0, 0.0))
    return abs(high - low - 2 * np.pi) < 1e-6 or name == "theta"


# --- it explodes --------------------------------------------------------------------------------


def _exploded(signals: dict[str, np.ndarray], dt: float, context: Context) -> Iterator[Finding]:
    found = []
    for name, x in signals.items():
        if not _is_angle(name, x, context) or not np.isfinite(x).all():
            width = np.ptp(context.ranges[name]) if name in context.ranges else None
            begun = first_explosion(x, width)
            if begun is not None:
                found.append((*begun, name))
    if not found:
        return
    sample, first, name = min(found, key=lambda entry: entry[0])
    x = signals[name]
    cause, why, remedy = context.why_it_explodes(turns(x[:sample], first))
    when = f"at {(sample + 1) * dt:.4g} ms (sample {sample})"
    value = x[sample, first]
    mask = ~np.isfinite(x[sample]) | (np.abs(x[sample]) >= np.abs(x[sample]).max() / 2)
    yield Finding(
        "exploded",
        "error",
        f"The network explodes: {name} of region {first} is {value:.3g} {when}.",
        **regions(mask, context.labels),
        why=why,
        remedy=remedy,
        cause=cause,
    )


# --- it leaves its range, or is quiet ------------------------------------------------------------


def _out_of_range(name: str, x: np.ndarray, context: Context) -> Iterator[Finding]:
    low, high = context.bounds.get(name, (None, None))
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    slack = 1e-6 * max(1.0, abs(float(x.min())), abs(float(x.max())))
    beyond = ((x < low - slack) | (x > high + slack)).any(0)
    if beyond.any():
        yield Finding(
            "out_of_bounds",
            "error",
            f"{name} goes to {x.min():.3g} … {x.max():.3g}; it has a meaning in {low:g} … {high:g} "
            "alone.",
            **regions(beyond, context.labels),
            why="The equations of the node are not meant for such values.",
            remedy=('Clip: Network(bounds="node").', "Reduce the noise, k or dt."),
        )
        return
    if name not in context.ranges or _is_angle(name, x, context):
        return
    low, high = context.ranges[name]
    width = high - low
    beyond = ((x < low - width) | (x > high + width)).any(0)
    if beyond.any():
        cause, why, remedy = context.why_it_leaves()
        yield Finding(
            "left_range",
            "warning",
            f"{name} goes to {x.min():.3g} … {x.max():.3g}; this node is expected in {low:g} … "
            f"{high:g}.",
            **regions(beyond, context.labels),
            why=why,
            remedy=remedy,
            cause=cause,
        )


def _quiet(name: str, x: np.ndarray, dt: float, context: Context) -> Iterator[Finding]:
    if len(x) < 8 or _is_angle(name, x, context):
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
            **regions(still, context.labels),
            why="The run starts at a state of rest, and nothing moves it away.",
            remedy=(
                "Start elsewhere: another x0.",
                "Give Params(noise=...), or an external input.",
            ),
            cause="starts_at_rest",
        )
    elif (dead | still).all():
        cause, why, remedy = context.why_it_dies(name, x[-1])
        gone = np.abs(x - x[-1:]).max(1)
        when = int(np.flatnonzero(gone > DEAD * gone.max())[-1]) + 1
        yield Finding(
            "died_out",
            "warning",
            f"{name} comes to rest, at about {when * dt:.4g} ms, at {x[-1].min():.3g} … "
            f"{x[-1].max():.3g}.",
            **regions(dead | still, context.labels),
            why=why,
            remedy=remedy,
            cause=cause,
        )
    elif (quiet := still | (dead & (late <= DEAD * late.max()))).any():  # others move
        alone = context.isolated()
        yield Finding(
            "silent_regions",
            "warning",
            f"{name} stands still in {int(quiet.sum())} of {len(quiet)} regions.",
            **regions(quiet, context.labels),
            why="Nothing reaches them: no noise, input or coupling."
            if alone is not None and alone[quiet].any()
            else "They rest, while others move; their correlations mean nothing.",
            remedy=("Look at isolated_nodes(conn).", "Give noise to every region."),
            cause="isolated" if alone is not None and alone[quiet].any() else None,
        )


# --- how far it is in step -----------------------------------------------------------------------


def _together(name: str, x: np.ndarray, m: Measures, context: Context) -> Iterator[Finding]:
    n = x.shape[1]
    if n < 2:
        return
    chance = m.chance
    between = _between(m.correlations, context.edges)
    repelled = context.why_it_drives_apart()
    if m.order > TOGETHER and m.fc > TOGETHER and not between:
        same = np.abs(x - x[:, :1]).max() <= STILL * np.abs(x).max()
        alike = np.ptp(x[0]) < 0.05 * x.std()
        why = "All regions do the same, and FC is 1 everywhere: no resting state does that."
        yield Finding(
            "over_synchronised",
            "warning",
            f"{name} is the same in all regions: order parameter {m.order:.2f}, mean correlation "
            f"{m.fc:.2f}.",
            why="They started alike, and neither noise nor their parameters tell them apart."
            if same
            else why,
            remedy=("Start each region elsewhere, or add noise.",)
            if same
            else (
                "Reduce k: scan it downwards, or find_k.",
                'Normalise the weights: normalize(conn, by="row").',
                "Give each region noise of its own, frequencies of its own, and delays.",
                *(("Start each region elsewhere: they began alike.",) if alike else ()),
            ),
            cause="identical_start" if same else "strong_k",
        )
    elif m.order < 0.5 * chance and (repelled[0] or m.order < 0.2 * chance):
        cause, why, remedy = repelled
        yield Finding(
            "driven_apart",
            "warning",
            f"The regions keep out of step: order parameter {m.order:.2f}, where regions without "
            f"coupling would have {chance:.2f}; mean correlation {m.fc:.2f}.",
            why=why,
            remedy=remedy,
            cause=cause,
        )
    elif between or (m.order < ABOVE_CHANCE * chance and m.rms_fc < ABOVE_CHANCE * m.chance_fc):
        cause, why, remedy = context.why_it_stays_apart(m, bool(between))
        what = "The parts of the network do not synchronise" if between else "No synchronisation"
        yield Finding(
            "never_synchronised",
            "warning",
            f"{what}: order parameter {m.order:.2f}, where regions without coupling would have "
            f"{chance:.2f}; correlations of {m.rms_fc:.2f}, by chance {m.chance_fc:.2f}.",
            why=why,
            remedy=remedy,
            cause=cause,
        )


def _between(correlations: np.ndarray, edges: EdgeList | None) -> bool:
    """Whether parts without a connection are in step inside, and not with each other."""
    if edges is None:
        return False
    part = connected_parts(edges)
    other = part[:, None] != part[None, :]
    if not other.any():
        return False
    inside = ~other & ~np.eye(len(part), dtype=bool)
    within = np.abs(correlations[inside]).mean() if inside.any() else 0.0
    return bool(within > 0.3 and np.abs(correlations[other]).mean() < 0.7 * within)


# --- samples, and how many -----------------------------------------------------------------------


def _sampling(
    m: Measures, dt: float, samples: int, context: Context, lags: Any, fc_error: Scalar | None
) -> Iterator[Finding]:
    fastest = context.stability.frequency if context.stability is not None else 0.0
    if fastest * dt > 500:  # Nyquist, in kHz of samples
        yield Finding(
            "aliased",
            "warning",
            f"Rest oscillates at up to {fastest:.3g} Hz, and samples {dt:g} ms apart show no more "
            f"than {500 / dt:.3g} Hz.",
            why="What is faster appears as something slower that does not exist.",
            remedy=("Record more often: a smaller `every`.", "Or record a temporal_average."),
        )
    elif m.peak * dt > 1000 / FEW:
        yield Finding(
            "aliased",
            "warning",
            f"Most power lies at {m.peak:.3g} Hz, which has {1000 / (m.peak * dt):.1f} samples a "
            "cycle.",
            why="What is faster still appears slower; and if every step is a sample, the step is too "
            "long for it.",
            remedy=("Record more often: a smaller `every`.", "Take a smaller dt."),
        )
    duration = samples * dt
    if lags is None and context.net is not None:
        longest = max((high for _, (_, high) in context.net.lag_bounds), default=0)
        longest = longest * context.net.dt
    else:
        longest = float(np.max(lags)) * dt if lags is not None else 0.0
    if duration < 2 * longest:
        yield Finding(
            "too_short",
            "warning",
            f"The run of {duration:.4g} ms is not twice the largest delay, {longest:.4g} ms.",
            why="Much of it is made of the history that it was given.",
            remedy=(f"Run for {about(10 * longest)} ms or more, and leave out the first part.",),
            cause="delays",
        )
    elif m.cycles < CYCLES:
        yield Finding(
            "too_short",
            "warning",
            f"The run of {duration:.4g} ms holds {m.cycles:.1f} cycles of what varies most.",
            why="Correlations and phases of so few cycles are an accident.",
            remedy=(f"Run for {about(50 * duration / m.cycles)} ms or more.",),
            cause="cycles",
        )
    elif fc_error is not None and m.fc_error > fc_error:
        wanted = duration * (m.fc_error / fc_error) ** 2
        yield Finding(
            "too_short",
            "warning",
            f"A correlation of two regions has a standard error of {m.fc_error:.2g} in a run of "
            f"{duration:.4g} ms; {fc_error:g} was asked.",
            why="FC then differs as much from run to run.",
            remedy=(f"Run for about {about(wanted)} ms.", "Or average the FC of several runs."),
            cause="fc_error",
        )
