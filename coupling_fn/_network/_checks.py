"""Checks of what a network is built of, and of what it is run with."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import SparseConnection
from .._core import (
    PyTree,
    get,
    names_of,
    read,
    require_choice,
    require_names,
    require_one_or_each,
    require_positive,
    require_shape,
    wider,
)
from .._coupling import require_k
from ..nodes import Node, catalog
from ..noise._increments import check_external, noises_of
from ._link import Link
from ._params import Params, Wire


def require_node(node: Any) -> None:
    """Refuse what is no node function that knows the names of its states and inputs."""
    if isinstance(node, str):
        require_names("node", [node], catalog())
        raise TypeError(f"`node` must be a function: cf.nodes.{node}, not its name.")
    if not hasattr(node, "states"):
        name = getattr(node, "__name__", "node")
        raise TypeError(
            "`node` must know the names of its states and inputs: put "
            f"@cf.nodes.node(states=[...], inputs=[...]) above the function {name}."
        )


def checked_wires(node: Node, couplings: Wire | Mapping[str, Wire] | None) -> dict[str, Wire]:
    """Return the wires by the names of their couplings, with names that the node has."""
    if couplings is None and node.coupled:
        couplings = Wire(*map(tuple, zip(*node.coupled, strict=True)))
    if couplings is None or isinstance(couplings, Wire):
        couplings = {} if couplings is None else {"coupling": couplings}
    for wire in couplings.values():
        signals = [s for s in wire.source + wire.target if isinstance(s, str)]
        require_names("state", signals, node.states)
        require_names("input", wire.into, node.inputs)
    return dict(couplings)


def by_coupling(argument: str, value: Any, couplings: Mapping[str, Any]) -> dict[str, Any]:
    """Return one value for all couplings, or a dict by their names, in which those left out are None."""
    if isinstance(value, Mapping):
        require_names(f"coupling (in `{argument}`)", value, couplings)
        return {name: value.get(name) for name in couplings}
    return dict.fromkeys(couplings, value)


def checked_substeps(dt: float, noise_step: float | None) -> int:
    """Return how many noise steps make one step."""
    if noise_step is None:
        return 1
    require_positive("noise_step", noise_step, "ms")
    nearest = max(round(dt / noise_step), 1)
    if abs(dt / noise_step - nearest) > 1e-6 * nearest:
        raise ValueError(
            f"`dt` must be a multiple of `noise_step`, {noise_step} ms; {dt} is not one. The nearest "
            f"`noise_step` is {dt / nearest:.10g}."
        )
    return nearest


def checked_limits(node: Node, bounds: Any) -> tuple[tuple[str, tuple[float, float]], ...]:
    """Return the lowest and highest value of each bounded state, with its name."""
    if isinstance(bounds, str):
        require_choice("bounds", bounds, ("node",))
        bounds = getattr(node, "bounds", {})
        if not bounds:
            name = getattr(node, "__name__", "node")
            raise ValueError(
                f'`bounds="node"`: the node {name} has no bounds of its own. Pass them instead: '
                "`bounds={state: (lowest, highest)}`."
            )
    bounds = bounds or {}
    require_names("state (in `bounds`)", bounds, node.states)
    checked = []
    for name, pair in bounds.items():
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"`bounds` of {name!r} must be (lowest, highest), not {pair!r}.")
        low, high = (
            float(end if bound is None else bound)
            for bound, end in zip(pair, (-np.inf, np.inf), strict=True)
        )
        if not low < high:
            raise ValueError(f"`bounds` of {name!r} must be lowest < highest, not {pair}.")
        checked.append((name, (low, high)))
    return tuple(checked)


def require_fitting_params(node: Node, params: Params, regions: int) -> None:
    """Refuse parameters of the node, noise and external input that do not fit the node."""
    values = params.node
    for field in dataclasses.fields(values) if dataclasses.is_dataclass(values) else ():
        if "unit" in field.metadata:  # a parameter of one of our own nodes
            require_one_or_each(f"params.node.{field.name}", getattr(values, field.name), regions)
    noises_of(node.states, params.noise, params.external).check(regions)
    check_external(params.external, node.inputs, regions)


def require_fitting_coupling(link: Link, x: PyTree) -> None:
    """Refuse weights and a k that do not fit the states that they connect."""
    conn = getattr(link.coupling, "conn", None)
    if conn is None:
        return
    signals = link.signals
    source, own = read(x, signals.source), read(x, signals.target)
    meaning = (
        f"(target, source): as many as the regions of the states that {signals.coupling!r} reads."
    )
    require_shape("conn", conn, (len(own), len(source)), meaning=meaning)
    require_k(link.coupling.k, len(own))


def require_kept_dtypes(before: PyTree, after: PyTree, params: Params) -> None:
    """Refuse a step that would change the dtype of a state: a run keeps those of its start."""
    for name in names_of(before):
        if not wider(get(after, name), get(before, name)):
            continue
        was, now = get(before, name).dtype, get(after, name).dtype
        leaves = jax.tree.leaves_with_path(params)
        causes = [
            f"`params{jax.tree_util.keystr(path)}`"
            for path, x in leaves
            if jnp.result_type(x) == now and not getattr(x, "weak_type", False)
        ]
        others = [f"the state {n!r}" for n in names_of(before) if get(before, n).dtype == now]
        because = ", ".join((causes + others)[:3]) or "what the node or an input returns"
        raise TypeError(
            f"The state {name!r} is {was}, and a step would make it {now}, the dtype of {because}. "
            f"Nothing is promoted or truncated silently: give `x0` as {now}, or those as {was}."
        )


def require_fitting_lags(name: str, lags: Array, coupling: Any) -> None:
    """Refuse lags that do not have the shape of the connection."""
    conn = getattr(coupling, "conn", None)
    by_edge = [(conn.edges,)] if isinstance(conn, SparseConnection) else []
    if conn is not None and lags.ndim:
        meaning = f"The lags of {name!r} must go with its `conn`."
        require_shape("lags", lags, tuple(conn.shape), *by_edge, meaning=meaning)
    elif lags.ndim == 1:
        raise ValueError(
            f"The lags of {name!r} are per stored edge, but its coupling has no `conn` that says which "
            "edges those are."
        )
