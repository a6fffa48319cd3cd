"""Find where a run first was not finite: repeat it in parts, up to the step where that began.

A `Network` adds to its states at each step, so a value that is NaN or infinite once stays so. The last
state therefore tells whether a run was finite, at no cost per step; only a run that was not is repeated.
"""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._connectome import edge_list
from .._core import PyTree, get, read, traced
from .._network import (
    Network,
    Params,
    State,
    buffers_of,
    in_words,
    inputs_in,
    links_of,
    taps_of,
)
from .._node import HybridNode, targets_of

PART = 256  # how many steps of the repeated run are looked at together
NAMED = 3  # how many of the largest inputs an error names


def require_known(*trees: PyTree) -> None:
    """Refuse a run whose values are traced: they are not there when `simulate` returns."""
    if traced(*trees):
        raise ValueError(
            '`check="finite"` looks at the values of a run when it has ended, so it cannot be used '
            "inside `jit`, `vmap` or `grad`: leave it out there, and run the case in question outside."
        )


def require_finite_run(
    run: Callable[..., Any], step: Any, state: PyTree, params: PyTree, steps: int, result: Any
) -> None:
    """Raise an error if the last state or the record is not finite, and say where that began.

    `run(step, state, params, steps, record)` runs again, bit for bit, however it is cut.
    """
    require_known(result)  # a step or record may have closed over a traced value
    last, record = result
    if all_finite(_looked_at(last)):
        _require_finite_record(record)
        return
    raise FloatingPointError(_first_not_finite(run, step, state, params, steps))


def all_finite(tree: PyTree) -> bool:
    """Return whether no float is NaN or infinite."""
    return all(np.isfinite(x).all() for _, x in _floats(tree))


def _floats(tree: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    """Return the float arrays, each with its path."""
    for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if eqx.is_inexact_array_like(x):
            yield jax.tree_util.keystr(path), np.asarray(x)


def _looked_at(state: PyTree) -> PyTree:
    """Return what shows whether a run was finite: in a network, the states of the nodes."""
    return state.node if isinstance(state, State) else state


def _require_finite_record(record: PyTree) -> None:
    for path, x in _floats(record):
        bad = ~np.isfinite(x)
        if bad.any():
            where = tuple(np.argwhere(bad)[0].tolist())
            raise FloatingPointError(
                f"record{path} is {x[where]} at {where}, though the states are finite at the end: "
                "what `record` computes from a state has no value there."
            )


def _first_not_finite(run, step, state, params, steps) -> str:
    """Return what was not finite first, in words, from the run in parts."""
    for what, tree in (("params", params), ("state", state)):
        for path, x in _floats(tree):
            if not np.isfinite(x).all():
                where: Any = _place(x)
                at = f" at {where[0] if len(where) == 1 else where}" if where else ""
                return f"{what}{path} is {x[where]}{at}, before the first step."
    before, done, part = state, 0, min(PART, steps)
    while done < steps:
        after, seen = run(step, before, params, part, _values)
        values = dict(_floats(seen))
        good = [np.isfinite(x).reshape(part, -1).all(1) for x in values.values()]
        bad = np.flatnonzero(~np.all(good, axis=0))
        if bad.size:
            return _told(run, step, before, params, done, int(bad[0]), values)
        before, done = after, done + part
    # Close to the largest float, another program may round to the finite side.
    return "The last state is not finite; by a rounding, the same run in parts stays finite."


def _values(state: PyTree) -> PyTree:
    return eqx.filter(_looked_at(state), eqx.is_inexact_array)


def _place(x: np.ndarray) -> tuple[int, ...]:
    return tuple(np.argwhere(~np.isfinite(x))[0].tolist())


def _told(run, step, before, params, done: int, row: int, values: dict[str, np.ndarray]) -> str:
    """Return the step, the state variable, the region, and what drove it, in words."""
    born = {path: x[row] for path, x in values.items() if not np.isfinite(x[row]).all()}
    path, x = next(iter(born.items()))
    where, number = _place(x), done + row + 1
    previous = values[path][row - 1] if row else dict(_floats(_looked_at(before)))[path]
    count = sum(int((~np.isfinite(x)).sum()) for x in born.values()) - 1
    others = f" So are {count} more values." if count else ""
    was = f"the first that is not finite; a step before it was {previous[where]:.4g}.{others}"
    if not isinstance(step, Network) or not isinstance(before, State):
        return f"state{path} is {x[where]} at {where} after step {number} of this run, {was}"
    if row:
        before, _ = run(step, before, params, row, lambda state: None)
    name = path.replace("['", ".").replace("']", "").strip(".")
    region, time = where[0], (int(before.step) + 1) * step.dt
    return (
        f"{name} of region {region} is {x[where]} after step {number} of this run (t = {time:.6g} "
        f"ms), {was} {_inputs(step, before, params, name, region)} A run to the step before can be "
        "recorded: cf.diagnose_run looks in it for the cause."
    )


def _inputs(net: Network, state: State, params: Params, name: str, region: int) -> str:
    """Describe what drives the region of a state, the largest inputs, and the strongest sources."""
    links = links_of(net, params)
    buffers = buffers_of(links, state)
    driven = inputs_in(net, links, state, params)
    table = {into: np.asarray(get(driven, into)) for into in net.node.inputs}
    part = name.rpartition(".")[0] if isinstance(net.node, HybridNode) else ""
    own = ", ".join(
        f"{into} = {values[region]:.4g}"
        for into, values in table.items()
        if into.rpartition(".")[0] == part or not part
    )
    every = [(x, f"{into} of region {i}") for into, v in table.items() for i, x in enumerate(v)]
    received = []
    for link in links:
        if (conn := getattr(link.coupling, "conn", None)) is None:
            continue
        signals = link.signals
        row = region
        if isinstance(net.node, HybridNode):
            rows = targets_of(net.node, state.node, signals.into, part)
            if rows is None:
                continue
            row = int(rows[region])
        edges = edge_list(conn, square=False)
        edges = edges.chosen(edges.target == row)
        present = read(state.node, signals.source)[None]
        buffer = np.asarray(buffers.get(signals.history, present))
        taps = taps_of(net, signals.coupling, params)
        lag = np.asarray(taps[0].lags if taps else 0)
        if lag.ndim == 1:  # per stored edge of a SparseConnection
            lag = lag[(np.asarray(conn.target) == row) & (np.asarray(conn.weights) != 0)]
        lag = lag[row, edges.source] if lag.ndim == 2 else lag
        sent = edges.weight * buffer[len(buffer) - 1 - lag, edges.source]
        of_part = f" ({in_words(signals.source)})" if part else ""
        received += [
            (x, f"weight times state of region {i}{of_part}")
            for x, i in zip(sent, edges.source, strict=True)
        ]
    told = f"Its inputs were {own or 'none'}; the largest of all regions: {_largest(every)}."
    return f"{told} It receives most from: {_largest(received)}." if received else told


def _largest(named: list[tuple[Any, str]]) -> str:
    def size(entry: tuple[Any, str]) -> float:
        return np.inf if np.isnan(entry[0]) else abs(entry[0])

    largest = sorted(named, key=lambda entry: -size(entry))[:NAMED]
    return ", ".join(f"{name} = {x:.4g}" for x, name in largest)
