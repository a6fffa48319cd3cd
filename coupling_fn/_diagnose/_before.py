"""`diagnose`: what is wrong with a connectome, its delays and a network, before anything runs.

Each question has a module that answers it with findings; this one gathers what they need, and asks
them once per set of weights.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from .._connectome import Connectome, EdgeList, SparseConnection, edge_list, spectral_radius
from .._core import Scalar, known, require_positive_number
from .._network import Network, Params, require_constant
from ..noise._draw import is_noise
from ._lengths import look_at_tracts
from ._orientation import look_at_orientation
from ._report import Finding, Report, report
from ._rule import Ends, edges_of_part, edges_of_whole, ends_of, look_at_rule, parts
from ._stability import Stability, look_at_rests, look_at_stability, stability, states_of
from ._weights import facts_of, finite, look_at_weights

# Fields of stimuli and noises that are a time, which a step must resolve, or a frequency.
TIMED = ("duration", "width", "period", "rise", "tau", "dt", "frequency")


def diagnose(
    conn: Any = None,
    *,
    lengths: Any = None,
    speed: Scalar | None = None,
    dt: Scalar | None = None,
    lags: Any = None,
    buffer: int | None = None,
    compare_with: Any = None,
    drivers: Iterable[Any] = (),
    net: Network | None = None,
    params: Params | None = None,
    x0: Any = None,
) -> Report:
    """Report what is wrong with a connectome, its delays and a network, before anything runs.

    It looks for

    - weights and lengths that are not finite;
    - isolated regions, parts without a connection, regions that only send or only receive, and
      self-connections;
    - negative weights, outliers, heavy tails, and the scale of the weights;
    - matrices of another kind (a Laplacian, correlations or Fisher's z, one with an index in it, half
      of a symmetric one) or of the other orientation, and labels of several regions;
    - times of stimuli and noises that are shorter than a step, as times in s are;
    - lengths that are missing, all equal, normalised or in another unit, speeds and delays that no axon
      has, and delays that rounding or the history loses;
    - with a network, couplings that drive regions apart or read their weights transposed, the k at which
      rest loses its stability, a dt that is too long, several states of rest, and feedback inhibition
      whose balance is unstable or is not the state of rest that is found from `x0`.

    Of a hybrid network (`cf.hybrid`) all projections are looked at as one connectome of all regions, in
    the order of `x0` or of the connectome that was divided. A projection that reads a function of the
    whole state is left out of it; `cf.hybrid.of` says which subnetwork a function reads.

    A finding rests on the numbers alone: what it describes may be intended. Notes are true of many good
    connectomes. What `cf.surgery` did to a connectome is among the facts, and beside what is cut off.

    Args:
        conn: a `Connectome`, or bare weights, `conn[i, j]` from source `j` onto target `i`: an array
            or a BCOO, also of 10^4 regions. By default the weights of the couplings in `params`.
        lengths: tract lengths, where the connectome has none: `(target, source)`, one per edge in the
            order of (target, source), or one for all. [mm]
        speed: conduction speed; by default that of `params`. [mm/ms]
        dt: time step; by default that of `net`. [ms]
        lags: delays, in the forms of `lengths`; by default those of `net`. [steps]
        buffer: length of the history, if you keep one yourself. [steps]
        compare_with: a second matrix whose orientation is known, weighted or not: of another subject,
            species or tracer. A symmetric one tells nothing.
        drivers: regions, by index or label, that are known to send more than they receive.
        net: the network.
        params: its parameters.
        x0: with `net` and `params`, where to search for the state of rest, as for `Network.init`, or a
            `State`. The stability of rest is then examined, without delays. This takes seconds, and is
            left out beyond 1000 states.

    Returns:
        The findings, the most severe first, and the facts; `print` shows them as text.

    Raises:
        ValueError: if there are no weights, a shape does not fit, or values are traced.

    Example:
        >>> W = jnp.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        >>> report = cf.diagnose(cf.Connectome(W, 0.05 * W, ["V1", "V2", "A1"]), speed=3.0)
        >>> report.codes
        ('length_unit', 'isolated')
        >>> print(report.findings[1])
        warning: 1 region has no connection, neither in nor out. [isolated]
            where: 2 (A1)
            why: Coupling does not reach an isolated region: at no k does it synchronise with others.
            1. Leave isolated regions out of the network; cf.graph.isolated_nodes(conn) marks them.
            2. Check whether a threshold or a mask cut them off.
    """
    if not known(conn, lengths, lags, compare_with, params):
        raise ValueError(
            "`cf.diagnose` looks at values: call it outside of `jit`, `vmap` and `grad`."
        )
    if params is not None:
        require_constant(params)
    given = parts(params)
    if conn is None and not given:
        raise ValueError(
            "`conn` must be a connectome or weights, or `params` must have a coupling."
        )
    of_connectome = conn if isinstance(conn, Connectome) else None
    labels = None if of_connectome is None else of_connectome.labels
    if lengths is None and of_connectome is not None:
        lengths = of_connectome.lengths
    if params is not None:
        lengths = params.lengths if lengths is None else lengths
        speed = params.speed if speed is None else speed
    dt = net.dt if dt is None and net is not None else dt
    for name, value, unit in (("speed", speed, "mm/ms"), ("dt", dt, "ms")):
        if value is not None:
            require_positive_number(name, value, unit)
    speed, dt = (None if x is None else float(x) for x in (speed, dt))
    delays = _Delays(lengths, speed, dt, lags, buffer, net)
    ends = ends_of(net, params)
    couplings = [
        (name, part, edges_of_part(part, None if ends else labels)) for name, part in given
    ]
    if conn is None and ends:
        looked_at = [_Connection("", None, edges_of_whole(couplings, ends))]
    elif conn is None:
        looked_at = [_Connection(name, part.conn, edges) for name, part, edges in couplings]
    else:
        weights = conn if of_connectome is None else of_connectome.weights
        looked_at = [_Connection("", weights, edge_list(conn))]
    findings, facts = [], {}
    operated = () if of_connectome is None else of_connectome.origin.surgery
    facts |= {"surgery": "; ".join(operated)} if operated else {}
    for connection in looked_at:
        edges, found = finite(connection.stored)
        found += _after_surgery(look_at_weights(edges), operated)
        found += look_at_orientation(edges, compare_with, drivers)
        if not ends:
            found += _look_at_delays(connection, edges, delays)
        prefix = connection.name if len(looked_at) > 1 else ""
        findings += _prefixed(prefix, found)
        measured = facts_of(edges, spectral_radius(edges))
        facts |= {f"{prefix}: {fact}" if prefix else fact: x for fact, x in measured.items()}
    for name, part, edges in couplings:
        findings += look_at_rule(name, part, edges, name in ends and ends[name].across)
        if name in ends:
            connection = _Connection(name, part.conn, edges)
            findings += _look_at_delays_of_projection(connection, ends[name], delays)
    if dt is not None and params is not None:
        findings += _look_at_times({"external": params.external, "noise": params.noise}, dt)
    if net is not None and params is not None and x0 is not None:
        rest = stability(net, params, states_of(net, x0))
        findings += look_at_stability(net, rest, is_driven(params))
        findings += look_at_rests(net, params, states_of(net, x0), rest)
        facts |= _facts_of_rest(rest)
    return report(findings, facts)


class _Connection(NamedTuple):
    """Weights to look at.

    Attributes:
        name: the coupling they belong to; empty for a connectome that was given by itself.
        weights: as they were given.
        stored: their edges, also those whose weight is not finite.
    """

    name: str
    weights: Any
    stored: EdgeList


class _Delays(NamedTuple):
    """What `diagnose` was given about delays; a dict by coupling, one for all, or None for unknown."""

    lengths: Any
    speed: float | None
    dt: float | None
    lags: Any
    buffer: int | None
    net: Network | None


def _look_at_delays(connection: _Connection, edges: EdgeList, delays: _Delays) -> Iterator[Finding]:
    """List the findings on the delays of every coupling that has these weights."""
    names = _couplings_with(connection.name, delays.lengths, delays.lags)
    for name in names:
        lags = _lags_of(delays.net, name) if delays.lags is None else _of(delays.lags, name)
        bounds = _bounds_of(delays.net, name) if delays.buffer is None else (0, delays.buffer)
        tracts = look_at_tracts(
            edges,
            _of_kept(connection, _of(delays.lengths, name)),
            delays.speed,
            delays.dt,
            _of_kept(connection, lags),
            bounds,
        )
        yield from _prefixed(name if len(names) > 1 else "", tracts)


def _look_at_delays_of_projection(
    connection: _Connection, ends: Ends, delays: _Delays
) -> Iterator[Finding]:
    """List the findings on the delays of a projection between subnetworks, among all regions."""
    name, (edges, _) = connection.name, finite(connection.stored)
    edges, order = ends.embedded(edges)
    lags = _lags_of(delays.net, name) if delays.lags is None else _of(delays.lags, name)
    bounds = _bounds_of(delays.net, name) if delays.buffer is None else (0, delays.buffer)
    lengths, lags = (
        None if x is None else ends.of_all(_of_kept(connection, x), order)
        for x in (_of(delays.lengths, name), lags)
    )
    tracts = look_at_tracts(edges, lengths, delays.speed, delays.dt, lags, bounds)
    yield from _prefixed(name, tracts)


def _look_at_times(inputs: dict[str, Any], dt: float) -> Iterator[Finding]:
    """Find times of stimuli and noises below dt, and frequencies beyond what steps of dt show."""
    for path, name, value in _fields_of("", inputs):
        numbers = np.asarray(value, np.float64)
        if name == "frequency" and (np.abs(numbers) > 500 / dt).any():
            yield Finding(
                "fast_input",
                "warning",
                f"{path} is {np.abs(numbers).max():.4g} Hz; steps of {dt:g} ms show no more than "
                f"{500 / dt:.4g} Hz.",
                why="What is faster appears as a slower oscillation that does not exist.",
                remedy=("Give frequencies in Hz, not in rad/s.", "Take a smaller dt."),
            )
        elif name != "frequency" and (numbers < dt).any():
            yield Finding(
                "short_input",
                "warning",
                f"{path} is {numbers.min():.4g} ms, less than dt = {dt:g} ms.",
                why="A pulse may fall between two steps, samples are passed over, and noise is white "
                "from step to step. Times are in ms: 0.1 s is 100.",
                remedy=("If it is in s, multiply it by 1000.", "Take a smaller dt."),
            )


def _fields_of(path: str, tree: Any) -> Iterator[tuple[str, str, Any]]:
    """List the times and frequencies of modules below a tree, with their paths."""
    below = tree.items() if isinstance(tree, Mapping) else ()
    if isinstance(tree, eqx.Module):
        below = ((f.name, getattr(tree, f.name)) for f in dataclasses.fields(tree))
    for name, value in below:
        at = f"{path}.{name}" if path else str(name)
        if isinstance(tree, eqx.Module) and name in TIMED and eqx.is_array_like(value):
            yield at, name, value
        yield from _fields_of(at, value)
    if isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from _fields_of(f"{path}[{i}]", value)


def is_driven(params: Params) -> bool:
    """Return whether noise or an input that varies in time keeps a network moving."""
    noises = jax.tree.leaves(params.noise, is_leaf=is_noise)
    noise = any(is_noise(x) or np.any(np.asarray(x) != 0) for x in noises)
    return noise or any(callable(x) or is_noise(x) for x in (params.external or {}).values())


def _after_surgery(findings: Iterable[Finding], operated: Sequence[str]) -> list[Finding]:
    """Say of regions that are cut off that surgery may have been meant to, if there was any."""
    if not operated:
        return [*findings]
    cut = ("isolated", "disconnected", "no_input", "no_output", "no_edges")
    meant = f"If the surgery was meant to do this ({'; '.join(operated)}), it is no fault."
    return [
        dataclasses.replace(f, remedy=(meant, *f.remedy)) if f.code in cut else f for f in findings
    ]


def _prefixed(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """Put the name of their coupling in front of findings, if there is one."""
    return [dataclasses.replace(f, what=f"{name}: {f.what}" if name else f.what) for f in findings]


def _couplings_with(name: str, *values: Any) -> list[str]:
    """List the couplings whose delays belong to weights of that name; without a name, all couplings."""
    named = {key: None for value in values if isinstance(value, dict) for key in value}
    return [*named] if named and not name else [name]


def _of_kept(connection: _Connection, values: Any) -> Any:
    """Choose, of values with one per stored edge, those of the edges that are looked at."""
    if np.ndim(values) != 1:
        return values
    values, weights, stored = np.asarray(values), connection.weights, connection.stored
    if isinstance(weights, SparseConnection) and len(values) == weights.edges:
        values = values[np.asarray(weights.weights) != 0]
    return values[np.isfinite(stored.weight)] if len(values) == len(stored) else values


def _of(value: Any, name: str) -> Any:
    """Return the value of a coupling, where values are given by coupling."""
    return value.get(name) if isinstance(value, dict) else value


def _facts_of_rest(rest: Stability | None) -> Iterator[tuple[str, Any]]:
    """List what was measured of the state of rest."""
    if rest is not None:
        if rest.k is not None and 0 < rest.limit < np.inf:
            yield "critical k", rest.limit * rest.k
        yield "fastest oscillation at rest [Hz]", rest.frequency


def _name_in(net: Network, name: str) -> str | None:
    """Find the coupling of the network that weights belong to: by name, or the only one."""
    names = [name for name, _ in net.wires]
    return name if name in names else names[0] if len(names) == 1 else None


def _lags_of(net: Network | None, name: str) -> Any:
    """Return the lags that a network has for a coupling."""
    place = None if net is None else _name_in(net, name)
    return None if net is None or place is None else net.lags[place]


def _bounds_of(net: Network | None, name: str) -> tuple[int, int] | None:
    """Return the smallest and the largest lag of a coupling; None if it has no delays."""
    place = None if net is None else _name_in(net, name)
    if net is None or place is None:
        return None
    bounds = dict(net.lag_bounds)[place]
    return bounds if bounds[1] else None
