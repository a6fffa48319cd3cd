"""`diagnose`: what is wrong with a connectome, its delays and a network, before anything runs."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from .._connectome import Connectome, EdgeList, SparseConnection, edge_list, spectral_radius
from .._core import Scalar, known, require_positive_number
from .._network import Network, Params
from ..noise._draw import is_noise
from ._lengths import look_at_tracts
from ._orientation import look_at_orientation
from ._report import Finding, Report, report
from ._rule import edges_of_part, look_at_rule, parts
from ._stability import Stability, look_at_stability, stability, states_of
from ._weights import facts_of, finite, look_at_weights


def diagnose(
    conn: Any = None,
    *,
    lengths: Any = None,
    speed: Scalar | None = None,
    dt: Scalar | None = None,
    lags: Any = None,
    buffer: int | None = None,
    reference: Any = None,
    drivers: Iterable[Any] = (),
    net: Network | None = None,
    params: Params | None = None,
    x0: Any = None,
) -> Report:
    """Say what is wrong with a connectome, its delays and a network, before anything runs.

    Looks for what is not finite; isolated regions, parts without a connection, regions that only
    send or only receive, self-connections; negative weights, outliers, heavy tails and the scale;
    matrices of another kind (Laplacian, correlations) or orientation; lengths that are missing or in
    another unit, and speeds and delays that no axon has; delays that rounding or the history loses;
    with a network, couplings that drive apart or read their weights transposed, and where rest loses
    its stability, or dt is too long. Each finding is checked on the numbers alone: it may be meant
    so. Notes are true of many a good connectome.

    Args:
        conn: a `Connectome`, or bare weights, `conn[i, j]` from source `j` onto target `i`: an array
            or a BCOO, of 10^4 regions too. By default those of the couplings of `params`.
        lengths: where the connectome has none: `(target, source)`, one an edge in the order of
            (target, source), or one for all. [mm]
        speed: conduction speed; by default that of `params`. [mm/ms]
        dt: time step; by default that of `net`. [ms]
        lags: as `lengths`; by default those of `net`. [steps]
        buffer: the rows of a history that you keep yourself, if you do. [steps]
        reference: a second matrix whose orientation is known, weighted or not, to compare with: of
            another subject, species or tracer. A symmetric one tells nothing.
        drivers: regions, by index or label, that are known to send more than they receive.
        net: the network.
        params: its parameters.
        x0: with both, where to search for the state of rest, as for `Network.init`, or a `State`:
            then its stability is looked at, delays left out. Up to 1000 states; takes seconds.

    Returns:
        The findings, the heaviest first, and the facts; `print` it.

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
            why: Coupling does not reach them: at no k do they synchronise with the others.
            1. Leave them out of the network; isolated_nodes marks them.
            2. Look whether a threshold or a mask cut them off.
    """
    if not known(conn, lengths, lags, reference, params):
        raise ValueError("`diagnose` looks at values: call it outside of `jit`, `vmap` and `grad`.")
    given = parts(params)
    if conn is None and not given:
        raise ValueError("`conn` must be a connectome or weights, or `params` have a coupling.")
    labels = conn.labels if isinstance(conn, Connectome) else None
    if lengths is None and isinstance(conn, Connectome):
        lengths = conn.lengths
    if lengths is None and params is not None:
        lengths = params.lengths
    if speed is None and params is not None and params.speed is not None:
        speed = params.speed
    dt = net.dt if dt is None and net is not None else dt
    for name, value, unit in (("speed", speed, "mm/ms"), ("dt", dt, "ms")):
        if value is not None:
            require_positive_number(name, value, unit)
    speed, dt = (None if x is None else float(x) for x in (speed, dt))
    own = [(name, part, edges_of_part(part, labels)) for name, part in given]
    looked_at = [(name, part.conn, edges) for name, part, edges in own]
    if conn is not None:
        weights = conn.weights if isinstance(conn, Connectome) else conn
        looked_at = [("", weights, edge_list(conn))]
    findings, facts = [], {}
    for name, weights, stored in looked_at:
        edges, found = finite(stored)
        found += look_at_weights(edges)
        found += look_at_orientation(edges, reference, drivers)
        wires = _wires(name, lengths, lags)
        for wire in wires:
            tracts = look_at_tracts(
                edges,
                _of_kept(weights, stored, _of(lengths, wire)),
                speed,
                dt,
                _of_kept(weights, stored, _lags_of(net, wire) if lags is None else _of(lags, wire)),
                _bounds_of(net, wire) if buffer is None else (0, buffer),
            )
            found += _prefixed(wire if len(wires) > 1 else "", tracts)
        prefix = name if len(looked_at) > 1 else ""
        findings += _prefixed(prefix, found)
        measured = facts_of(edges, spectral_radius(edges))
        facts |= {f"{prefix}: {fact}" if prefix else fact: x for fact, x in measured.items()}
    for each in own:
        findings += look_at_rule(*each)
    if net is not None and params is not None and x0 is not None:
        rest = stability(net, params, states_of(net, x0))
        findings += look_at_stability(net, params, rest, is_driven(params))
        facts |= _facts_of_rest(rest)
    return report(findings, facts)


def is_driven(params: Params) -> bool:
    """Whether noise or an input that varies in time keeps a network moving."""
    noises = jax.tree.leaves(params.noise, is_leaf=is_noise)
    noise = any(is_noise(x) or np.any(np.asarray(x) != 0) for x in noises)
    return noise or any(callable(x) or is_noise(x) for x in (params.external or {}).values())


def _prefixed(name: str, findings: Iterable[Finding]) -> list[Finding]:
    """Findings that say which coupling they are of, if there is a choice."""
    return [dataclasses.replace(f, what=f"{name}: {f.what}" if name else f.what) for f in findings]


def _wires(name: str, *values: Any) -> list[str]:
    """The couplings whose tracts go with some weights: with those without a name, all there are."""
    given = {key: None for value in values if isinstance(value, dict) for key in value}
    return [*given] if given and not name else [name]


def _of_kept(weights: Any, edges: EdgeList, values: Any) -> Any:
    """Of values one a stored edge, those of the edges that are looked at."""
    if np.ndim(values) != 1:
        return values
    values = np.asarray(values)
    if isinstance(weights, SparseConnection) and len(values) == weights.edges:
        values = values[np.asarray(weights.weights) != 0]
    return values[np.isfinite(edges.weight)] if len(values) == len(edges) else values


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else value


def _facts_of_rest(rest: Stability | None) -> Iterator[tuple[str, Any]]:
    if rest is not None:
        if rest.k is not None and 0 < rest.limit < np.inf:
            yield "critical k", rest.limit * rest.k
        yield "fastest oscillation at rest [Hz]", rest.frequency


def _name_in(net: Network, name: str) -> str | None:
    """The coupling of the network that weights belong to: by name, or the only one."""
    names = [name for name, _ in net.wires]
    return name if name in names else names[0] if len(names) == 1 else None


def _lags_of(net: Network | None, name: str) -> Any:
    place = None if net is None else _name_in(net, name)
    return None if net is None or place is None else net.lags[place]


def _bounds_of(net: Network | None, name: str) -> tuple[int, int] | None:
    place = None if net is None else _name_in(net, name)
    if net is None or place is None:
        return None
    bounds = dict(net.lag_bounds)[place]
    return bounds if bounds[1] else None
