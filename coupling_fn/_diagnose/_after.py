"""`diagnose_run`: what is wrong with a run, and why, from its record.

`_symptoms` finds what is wrong, in an order in which each question makes sense only if those before it
found nothing; `_causes` says why.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._core import (
    Scalar,
    as_float,
    get,
    known,
    names_of,
    require_positive,
    require_positive_number,
)
from .._network import Network, Params
from .._node import parts_of
from ._before import diagnose
from ._causes import Context, context_of
from ._report import Finding, Report, report
from ._rule import parts
from ._signals import measure
from ._stability import look_at_step
from ._symptoms import (
    Sampling,
    exploded,
    is_angle,
    out_of_domain,
    out_of_range,
    quiet,
    rounded_away,
    rounded_time,
    sampling,
    together,
)

SHORTEST = 8  # Samples: fewer are not measured.


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
    r"""Report what is wrong with a run, with its likely cause and what to do about it.

    It looks for a run that exploded (when, where, and from which k on), died out, stood still, left the
    range of its model, synchronised completely or not at all, or drove regions apart; for BOLD whose
    balloon model left its domain; for oscillations that the samples miss; for records that are too
    short; and for states and times that grew so far that float32 cannot hold what they move in a step
    (the record is taken to begin with the clock at 0). It looks for causes in the signals and, with
    `net` and `params`, in the connectome, the couplings, dt, and the linear analysis at rest. What a
    run should do depends on the model: the warnings about synchrony are meant for a resting state.

    Args:
        record: signals `(time, region)`, or a dict or NamedTuple of signals, as `simulate` returns.
        dt: time from one sample to the next: the network's dt times `every`. [ms]
        net: the network that ran.
        params: its parameters.
        lags: without a `net`, the delays, of which only the largest counts. [samples]
        x0: where to search for the state of rest; by default the first sample, if the record has all
            states.
        fc_error: the largest standard error that the correlation of two regions may have. [1]

    Returns:
        The findings, the most severe first, each with its likely `cause`, and the facts. With `params`,
        the errors and warnings that `diagnose` finds in the couplings follow.

    Raises:
        ValueError: if the record is not (time, region), or its signals differ in shape.

    Source:
        M. S. Bartlett, J. R. Stat. Soc. 98 (1935) 536, for the standard error, averaged over pairs.

    Example:
        >>> t = jnp.arange(400.0)[:, None]
        >>> record = jnp.exp(-t / 20) * jnp.sin(t * jnp.array([[0.5, 0.6, 0.7]]))
        >>> report = cf.diagnose_run(record, dt=1.0)
        >>> report.findings[0].code, report.findings[0].where
        ('died_out', (0, 1, 2))
    """
    require_positive_number("dt", dt, "ms")
    dt = float(dt)
    signals, eps = _signals(record, net)
    if fc_error is not None:
        require_positive("fc_error", fc_error)
    context = context_of(net, params, x0, record)
    of_parts = _by_subnetwork(signals, net)
    samples = len(next(iter(signals.values())))
    size = sum(next(iter(each.values())).shape[1] for each in of_parts.values())
    facts: dict[str, Any] = {"samples": samples, "regions": size, "duration [ms]": samples * dt}
    bare = not (isinstance(record, Mapping) or hasattr(record, "_fields"))
    findings = list(out_of_domain(signals, dt, bare)) or list(exploded(signals, dt, context))
    if not findings:
        steps = 1.0 if net is None else dt / net.dt
        taken = Sampling(dt, samples, _longest_delay(net, lags, dt), fc_error, eps, steps)
        for n, (part, of_part) in enumerate(of_parts.items()):
            found, measured = _look_at_signals(of_part, taken, context, once=n == 0)
            several = part and len(of_parts) > 1
            findings += [replace(f, what=f"{part}: {f.what}") if several else f for f in found]
            facts |= {f"{part}: {fact}" if part else fact: x for fact, x in measured.items()}
        if context.stability is not None and net is not None:
            findings += look_at_step(net, context.stability)
    if params is not None and parts(params):
        named = {f.cause for f in findings}
        more = diagnose(net=net, params=params).findings
        findings += [f for f in more if f.severity != "note" and f.code not in named]
    return report(findings, facts)


def _look_at_signals(
    signals: dict[str, np.ndarray], taken: Sampling, context: Context, *, once: bool
) -> tuple[list[Finding], dict[str, float]]:
    """List the findings on a run that did not explode, and what was measured of its first signal.

    `once` says whether to list those on time, which do not depend on the signals.
    """
    findings: list[Finding] = []
    for name, x in signals.items():
        findings += out_of_range(name, x, context)
        findings += rounded_away(name, x, taken, context)
    if once:
        findings += rounded_time(taken, context)
    name, x = next(iter(signals.items()))
    found = list(quiet(name, x, taken.dt, context))
    findings += found
    if any(f.code in ("died_out", "frozen") for f in found) or taken.samples < SHORTEST:
        return findings, {}
    measured = measure(x, taken.dt, is_angle(name, context))
    found = list(sampling(measured, taken, context))
    findings += found
    if not any(f.cause in ("delays", "cycles") or f.code == "aliased" for f in found):
        findings += together(name, x, measured, context)
    return findings, measured.facts()


def _longest_delay(net: Network | None, lags: Any, dt: float) -> float:
    """Return the longest delay of a run in ms; 0 where none is known."""
    if lags is not None:
        return float(np.max(lags)) * dt
    if net is None:
        return 0.0
    return max((high for _, (_, high) in net.lag_bounds), default=0) * net.dt


def _by_subnetwork(signals: dict[str, Any], net: Network | None) -> dict[str, dict[str, Any]]:
    """Return the signals of each subnetwork; without a hybrid network, and joined ones, at ""."""
    parts: dict[str, dict[str, Any]] = {}
    named = parts_of(net.node) if net is not None else {}
    for name, x in signals.items():
        part = name.rpartition(".")[0]
        parts.setdefault(part if part in named else "", {})[name] = x
    return parts


def _signals(record: Any, net: Network | None) -> tuple[dict[str, np.ndarray], float]:
    """Return the signals of a record by name, in float64, and the relative spacing of their dtype."""
    if not known(record):
        raise ValueError("`cf.diagnose_run` looks at values: call it outside of `jit` and `vmap`.")
    if isinstance(record, Mapping) or hasattr(record, "_fields"):
        given = {name: get(record, name) for name in names_of(record)}
    else:
        given = {net.node.states[0] if net and len(net.node.states) == 1 else "record": record}
    signals = {name: np.asarray(as_float(name, x)) for name, x in given.items()}
    shapes = {name: x.shape for name, x in signals.items()}
    parts = _by_subnetwork(shapes, net)
    alike = all(len(set(each.values())) == 1 for each in parts.values())
    alike &= len({shape[:1] for shape in shapes.values()}) == 1
    if not alike or any(len(s) != 2 or 0 in s for s in shapes.values()):
        raise ValueError(
            f"`record` must be (time, region), one signal or several of one shape; got {shapes}."
        )
    eps = max(float(jnp.finfo(x.dtype).eps) for x in signals.values())
    return {name: x.astype(np.float64) for name, x in signals.items()}, eps
