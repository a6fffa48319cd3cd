"""Where a value first was not finite: the run once more, in parts, up to the step of its birth.

A `Network` adds to its states, step by step, and so what is once NaN or infinite stays so: the last
state tells whether a run was finite, at no cost to its steps. Only a run that was not is repeated.
"""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._connectome import edge_list
from .._core import PyTree, get, read, traced
from .._network import Network, Params, State, origins_of, past_of
from ..noise._increments import external_of, noises_of

PART = 256  # steps of the repeated run whose states are looked at together
NAMED = 3  # of the largest


def require_known(*trees: PyTree) -> None:
    """Refuse to check a run whose values are not there when `simulate` returns."""
    if traced(*trees):
        raise ValueError(
            '`check="finite"` looks at the values of a run when it has ended, so it cannot be inside '
            "`jit`, `vmap` or `grad`: leave it out there, and run the one case in question outside."
        )


def require_finite_run(
    run: Callable[..., Any], step: Any, state: PyTree, params: PyTree, steps: int, result: Any
) -> None:
    """Raise if a run's last state or record is not finite, and say where that began.

    `run(step, state, params, steps, record)` runs again, bit for bit, however it is cut.
    """
    require_known(result)  # a step or record may have closed over a traced value
    last, record = result
    if all_finite(_looked_at(last)):
        _require_finite_record(record)
        return
    raise FloatingPointError(_birth(run, step, state, params, steps))


def all_finite(tree: PyTree) -> bool:
    """Whether there is neither NaN nor infinity among the floats."""
    return all(np.isfinite(x).all() for _, x in _floats(tree))


def _floats(tree: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of floats, each with its path."""
    for path, x in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if eqx.is_inexact_array_like(x):
            yield jax.tree_util.keystr(path), np.asarray(x)


def _looked_at(state: PyTree) -> PyTree:
    """What shows for good that a run was not finite: of a network, the states of its nodes."""
    return state.node if isinstance(state, State) else state


def _require_finite_record(record: PyTree) -> None:
    for path, x in _floats(record):
        bad = ~np.isfinite(x)
        if bad.any():
            where = tuple(np.argwhere(bad)[0].tolist())
            raise FloatingPointError(
                f"record{path} is {x[where]} at {where}, though the states are finite at the end: "
                "what `record` works out of a state has no value there."
            )


def _birth(run, step, state, params, steps) -> str:
    """What was not finite first, from the run in parts."""
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
    # At the edge of what floats hold, another program may round to the finite side.
    return "The last state is not finite; the same run in parts stays finite, by a rounding."


def _values(state: PyTree) -> PyTree:
    return eqx.filter(_looked_at(state), eqx.is_inexact_array)


def _place(x: np.ndarray) -> tuple[int, ...]:
    return tuple(np.argwhere(~np.isfinite(x))[0].tolist())


def _told(run, step, before, params, done: int, row: int, values: dict[str, np.ndarray]) -> str:
    """The step, the state variable, the region, and what drove it."""
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
    name, region, time = path.strip(".[]'"), where[0], (int(before.step) + 1) * step.dt
    return (
        f"{name} of region {region} is {x[where]} after step {number} of this run (t = {time:.6g} "
        f"ms), {was} {_inputs(step, before, params, region)} A run to the step before can be "
        "recorded: coupling_fn.diagnose_run looks in it for the cause."
    )


def _inputs(net: Network, state: State, params: Params, region: int) -> str:
    """What drives the region, what is largest of all that drives any, and who sends most."""
    links = net.links(params)
    past = {
        link.key: jnp.concatenate([state.history[link.key], read(state.node, link.source)[None]])
        for link in links
        if link.key in state.history
    }
    noises = noises_of(net.node.states, params.noise, params.external)
    external = external_of(params.external, noises.values(state.noise))
    origins = origins_of(links, state)
    arrived = past_of(links, past, origins, 0)
    time = state.step.astype(jax.tree.leaves(state.node)[0].dtype) * net.dt
    driven = net.inputs(links, state.node, external, time, arrived, origins)
    table = {name: np.asarray(get(driven, name)) for name in net.node.inputs}
    own = ", ".join(f"{name} = {values[region]:.4g}" for name, values in table.items())
    every = [(x, f"{name} of region {i}") for name, v in table.items() for i, x in enumerate(v)]
    received = []
    for link in links:
        if (conn := getattr(link.coupling, "conn", None)) is None:
            continue
        edges = edge_list(conn)
        edges = edges.chosen(edges.target == region)
        rows = np.asarray(past.get(link.key, read(state.node, link.source)[None]))
        taps = net.taps(link.name, params)
        lag = np.asarray(taps[0].lags if taps else 0)
        if lag.ndim == 1:  # one a stored edge of a SparseConnection
            lag = lag[(np.asarray(conn.target) == region) & (np.asarray(conn.weights) != 0)]
        lag = lag[region, edges.source] if lag.ndim == 2 else lag
        sent = edges.weight * rows[len(rows) - 1 - lag, edges.source]
        received += [
            (x, f"weight times state of region {i}")
            for x, i in zip(sent, edges.source, strict=True)
        ]
    told = f"Its inputs were {own or 'none'}; the largest of all regions: {_largest(every)}."
    return f"{told} It receives most from: {_largest(received)}." if received else told


def _largest(named: list[tuple[Any, str]]) -> str:
    def size(entry: tuple[Any, str]) -> float:
        return np.inf if np.isnan(entry[0]) else abs(entry[0])

    largest = sorted(named, key=lambda entry: -size(entry))[:NAMED]
    return ", ".join(f"{name} = {x:.4g}" for x, name in largest)
