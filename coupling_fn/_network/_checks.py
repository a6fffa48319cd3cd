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
    in_short,
    known,
    names_of,
    read,
    refill,
    require_choice,
    require_names,
    require_one_or_each,
    require_positive,
    require_shape,
    wider,
)
from .._coupling import require_k
from .._node import TURN, ChainedParams, HybridNode, parts_of, receivers, require_parts
from ..nodes import Node, catalog
from ..noise._increments import check_external, noises_of
from ._fields import NetworkFields
from ._link import Link
from ._params import Params, State


def require_node(node: Any, what: str = "`node`") -> None:
    """Refuse what is no node function that knows the names of its states and inputs."""
    if isinstance(node, str):
        require_names("node", [node], catalog())
        raise TypeError(f"{what} must be a function: cf.nodes.{node}, not its name.")
    if isinstance(node, type) or not callable(node):
        raise TypeError(f"{what} must be a function, such as cf.nodes.hopf, not {in_short(node)}.")
    if not hasattr(node, "states"):
        name = getattr(node, "__name__", "node")
        raise TypeError(
            f"{what} must know the names of its states and inputs: put "
            f"@cf.nodes.node(states=[...], inputs=[...]) above the function {name}."
        )


def by_coupling(argument: str, value: Any, couplings: Mapping[str, Any]) -> dict[str, Any]:
    """Return one value for all couplings, or a dict by their names, in which those left out are None."""
    if isinstance(value, Mapping):
        require_names(f"coupling (in `{argument}`)", value, couplings)
        return {name: value.get(name) for name in couplings}
    return dict.fromkeys(couplings, value)


def require_all_lags(delays: tuple[Any, Any], couplings: Mapping[str, Any]) -> None:
    """Refuse lags and their bounds that leave a coupling out, which would then run without delay."""
    given = [each for each in delays if each is not None]
    dicts = [each for each in given if isinstance(each, Mapping)]
    if not given or len(dicts) < len(given):  # what is no dict holds for all couplings
        return
    missing = sorted(set(couplings).difference(*dicts))
    if missing:
        raise ValueError(
            f"`lags` and `lag_bounds` say nothing of the coupling {', '.join(map(repr, missing))}. "
            f"Give its lags, too, or `{missing[0]!r}: None` for a coupling without delay."
        )


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


def checked_clip(clip: Any, bounds: Any) -> Any:
    """Return when states are clipped, which says something only where there are bounds."""
    require_choice("clip", clip, ("step", "stages"))
    if clip != "step" and not bounds:
        raise ValueError(
            f'`clip="{clip}"` says when states are clipped to `bounds`; give these, too.'
        )
    return clip


def checked_angles(node: Node, angles: Any, bounds: Any) -> tuple[str, ...]:
    """Return the states that whole turns are taken off."""
    require_choice("angles", angles, ("wrap", "grow"))
    of_node = tuple(getattr(node, "angles", ()))
    if angles == "grow":
        if not of_node:
            name = getattr(node, "__name__", "node")
            raise ValueError(f'`angles="grow"`: the node {name} has no state that is an angle.')
        return ()
    for name, _ in bounds:
        if name in of_node:
            raise ValueError(
                f"`bounds` of {name!r}: it is an angle, and whole turns are taken off it. To clip it, "
                'let it grow: `angles="grow"`.'
            )
    return of_node


def require_periodic(angles: Sequence[str], links: Sequence[Link], x0: PyTree, mixed: bool) -> None:
    """Refuse couplings in which a whole turn of an angle shows, where their values are known.

    `mixed` says whether states are read between steps.
    """
    if not angles or not known(x0):
        return
    with jax.ensure_compile_time_eval():
        x, y = _with_angles(x0, angles, -3.0, 2.7), _with_angles(x0, angles, -1.9, 1.1)
        for link in links:
            if known(link.coupling):
                _require_periodic(angles, link, x, y, mixed)


def _require_periodic(angles: Sequence[str], link: Link, x: PyTree, y: PyTree, mixed: bool) -> None:
    """Refuse a coupling in which a whole turn shows, of sources in the state x or targets in y."""
    signals, named = link.signals, ", ".join(angles)
    source, own = read(x, signals.source), read(y, signals.target)
    source_turned = read(_turned(x, angles), signals.source)
    own_turned = read(_turned(y, angles), signals.target)
    jumps = not np.allclose(source, source_turned, rtol=0, atol=1e-2)
    # Only of a state that is named is it known that it is an angle.
    if mixed and callable(signals.source) and not link.separable and jumps:
        raise ValueError(
            f"The coupling {signals.coupling!r} reads a function of the angle {named} between steps, "
            "where a whole turn would show in it. Let it read the state by name, or let angles grow: "
            '`cf.Network(..., angles="grow")`.'
        )
    pairs = ((source, own), (source_turned, own), (source, own_turned))
    first, *others = (np.asarray(link.coupling(*each)) for each in pairs)
    change = max(np.abs(first - other).max() for other in others)
    if change > 1e-2 * np.abs(first).max():
        raise ValueError(
            f"The coupling {signals.coupling!r} takes the angle {named} as a number: after a whole turn "
            f"its input differs by {change:.3g}. Whole turns are taken off angles after each step, so "
            "the input would jump. Use a rule of its sine and cosine, such as `KuramotoCoupling`, or "
            'let angles grow: `cf.Network(..., angles="grow")`.'
        )


def _with_angles(x: PyTree, angles: Sequence[str], first: float, last: float) -> PyTree:
    """Return a state with its angles spread over the circle."""
    spread = {n: jnp.linspace(first, last, len(get(x, n)), dtype=get(x, n).dtype) for n in angles}
    return refill(x, {name: spread.get(name, get(x, name)) for name in names_of(x)})


def _turned(x: PyTree, angles: Sequence[str]) -> PyTree:
    """Return a state after a whole turn of its angles."""
    return refill(x, {n: get(x, n) + sum(TURN) * (n in angles) for n in names_of(x)})


def require_params(params: Any) -> None:
    """Refuse what are no parameters of a network."""
    if not isinstance(params, Params):
        raise TypeError(
            f"`params` must be cf.Params(node=..., coupling=...), not {in_short(params)}."
        )


def require_states(node: Node, x0: Any) -> None:
    """Refuse an `x0` that does not have the states of the node, and no others."""
    if isinstance(x0, type):
        raise TypeError(f"`x0` must be states at t = 0, not {in_short(x0)}: give it its arrays.")
    if isinstance(x0, State):
        raise TypeError("`x0` must be the states of the node, not a whole State: give its `.node`.")
    if isinstance(x0, Params):
        raise TypeError("`x0` must be the states of the node, not a Params, which comes after it.")
    if isinstance(node, HybridNode):
        require_parts("`x0`", x0, node)
    names = names_of(x0)
    require_names("state", names, node.states)
    missing = [name for name in node.states if name not in names]
    if missing:
        raise ValueError(
            f"`x0` must have all states of the node {getattr(node, '__name__', '')}, "
            f"{', '.join(node.states)}; it lacks {', '.join(missing)}."
        )


def require_places(node: Node, x0: PyTree) -> None:
    """Refuse subnetworks of other sizes than the connectome was divided into."""
    if not isinstance(node, HybridNode) or node.places is None:
        return
    wanted = dict(zip(node.names, map(len, node.places), strict=True))
    got = dict(zip(node.names, node.sizes(x0), strict=True))
    if got != wanted:
        raise ValueError(
            f"`x0` must have as many regions as each subnetwork of the connectome: {wanted}; got {got}."
        )


def require_fitting_params(node: Node, params: Params, x: PyTree) -> None:
    """Refuse parameters of the node, noise and external input that do not fit the node in a state."""
    for part in parts_of(node):
        place, values = "params.node", params.node
        if isinstance(node, HybridNode):
            require_parts("`params.node`", params.node, node)
            place, values = f"params.node[{part!r}]", get(params.node, part)
        if isinstance(values, ChainedParams):
            values = values.own
        if isinstance(values, type):
            raise TypeError(f"`{place}` must be parameters, not {in_short(values)}: call it.")
        regions = receivers(node, x, f"{part}." if part else "")
        for field in dataclasses.fields(values) if dataclasses.is_dataclass(values) else ():
            if "unit" in field.metadata:  # a parameter of one of our own nodes
                require_one_or_each(f"{place}.{field.name}", getattr(values, field.name), regions)
    noises_of(node.states, params.noise, params.external).check(x)
    check_external(params.external, node.inputs, x)


def require_fitting_coupling(node: Node, link: Link, x: PyTree) -> None:
    """Refuse weights and a k that do not fit the states that they connect."""
    signals = link.signals
    if signals.target is None and _reads_target(link.coupling):
        raise ValueError(
            f"The coupling {signals.coupling!r} reads the state of its targets, and they have none of "
            f"the name of its source, {in_words(signals.source)}. Say which it is: "
            f"`cf.Wire(..., into={signals.into!r}, target=...)`."
        )
    conn = getattr(link.coupling, "conn", None)
    if conn is None:
        return
    targets = receivers(node, x, signals.into)
    shared = getattr(link.coupling, "receivers", conn.shape[0]) != conn.shape[0]
    if shared:  # what each row receives is handed to several targets, as a region's to its vertices
        if link.coupling.receivers != targets:
            raise ValueError(
                f"The coupling {signals.coupling!r} has {link.coupling.receivers} targets, and the "
                f"input {signals.into!r} has {targets}."
            )
        targets = conn.shape[0]
    wanted = (targets, len(read(x, signals.source)) // getattr(link.coupling, "_channels", 1))
    meaning = (
        f"(target, source): as many as the regions of the states that {signals.coupling!r} reads."
    )
    if wanted[::-1] != wanted and np.shape(conn) == wanted[::-1]:
        meaning += " Its transpose would fit: rows are targets, and columns are sources."
    require_shape("conn", conn, wanted, meaning=meaning)
    require_k(link.coupling.k, targets)


def _reads_target(coupling: Any) -> bool:
    """Return whether a coupling takes the state of its targets; of any function it is supposed."""
    invariant = getattr(coupling, "shift_invariant", False)
    return invariant or getattr(coupling, "reads_target", True)


def in_words(signal: Any) -> str:
    """Return what a coupling reads, for an error."""
    if isinstance(signal, str):
        return repr(signal)
    return repr(signal.name) if hasattr(signal, "name") else "a function of the state"


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
        if conn.shape[::-1] != conn.shape and lags.shape == tuple(conn.shape[::-1]):
            meaning += " Their transpose would fit: rows are targets, and columns are sources."
        require_shape("lags", lags, tuple(conn.shape), *by_edge, meaning=meaning)
    elif lags.ndim == 1:
        raise ValueError(
            f"The lags of {name!r} are per stored edge, but its coupling has no `conn` that says which "
            "edges those are."
        )


def within_count(net: NetworkFields, state: State, steps: int) -> State:
    """Return the state of a run, NaN if it would count too far: a compiled run cannot raise."""
    fits = (state.step >= 0) & (state.step <= last_step(net) - steps)
    return state._replace(node=jax.tree.map(lambda x: jnp.where(fits, x, jnp.nan), state.node))


def last_step(net: NetworkFields) -> int:
    """Return how many steps can be counted: noise numbers its substeps in the same 32 bits."""
    return (2**31 - 1) // net.substeps
