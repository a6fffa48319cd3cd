"""Parameters that are functions of time: which of them may be, and what they are at a time.

A rule reads its parameters in `receive`, when what was sent has arrived, and a node reads its own at
each stage. Both may therefore be other numbers at each time, in blocks of steps and their adjoint, too.
What is read before a delay, and weights, belong to sums that a block computes at once: they are fixed.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import (
    PyTree,
    asking,
    dotted,
    in_short,
    require_names,
    require_real,
    require_shape,
    wider,
)
from .._coupling import Coupling, messages_of
from .._node import HybridNode, receivers
from ..noise._draw import is_noise
from ..stimuli import Constant, Sum, Time
from ..stimuli._time import at_time as value_at
from ._checks import require_params
from ._fields import NetworkFields
from ._link import Link
from ._links import rules_of
from ._params import Params

_FIXED = {
    "noise": "the size of noise is fixed within a run",
    "external": "`external` takes a function of time itself",
    "lengths": "delays are fixed within a run",
    "speed": "delays are fixed within a run",
}


def values_at(params: Params, time: Time) -> dict[str, Array]:
    """Return the value of each function of time at a time; they do not depend on the state."""
    return {
        name: _value(name, function, time) for name, function in (params.time_varying or {}).items()
    }


def in_time(
    net: NetworkFields,
    links: tuple[Link, ...],
    params: Params,
    values: dict[str, Array],
    x: PyTree,
) -> tuple[tuple[Link, ...], Params]:
    """Return the links and the parameters with these values, of a network in the state `x`."""
    if not params.time_varying:
        return links, params
    like = jax.tree.leaves(x)[0]
    leaves = _leaves(params)
    _require_names(params.time_varying, leaves)
    rules = tuple(rules_of(net, params))
    _require_read_on_arrival(params.time_varying, links, rules)
    sizes = {path: _targets(net, link, x) for link, (path, _) in zip(links, rules, strict=True)}
    taken = {}
    for name, value in values.items():
        if wider(value, like):
            raise TypeError(
                f"`time_varying` {name!r} gives {value.dtype}, and the states are {like.dtype}. Nothing "
                "is truncated silently: give both one dtype."
            )
        _require_fitting_shape(name, value, leaves[name], _size(net, name, sizes, x))
        taken[name] = _as_leaf(value, leaves[name], like.dtype)
    params = _replaced(params, taken)
    now = (rule for _, rule in rules_of(net, params))
    moved = tuple(
        dataclasses.replace(link, coupling=rule) for link, rule in zip(links, now, strict=True)
    )
    return moved, params


def at_time(params: Params, t: Any) -> Params:
    """Return the parameters as they are at a time: every function of time gives way to its value.

    That is what an analysis without time needs, such as `fixed_point` or `critical_k`: it tells what the
    network would do if its parameters stayed as they are then.

    Args:
        params: the parameters of a network.
        t: the time, as it is counted in a run, or a `stimuli.Time`. [ms]

    Returns:
        The parameters without `time_varying`, whose values are in the leaves that it names, and with the
        functions in `external` as numbers. Noise stays.

    Raises:
        TypeError: if `params` are no `Params`, or t is no real number.
        ValueError: if t is not one number, or a name in `time_varying` is that of no parameter.

    Example:
        >>> ramp = cf.stimuli.Ramp(2.0, duration=1000.0)
        >>> coupling = cf.DiffusiveCoupling(jnp.ones((2, 2)), k=0.0)
        >>> params = cf.Params(cf.nodes.HopfParams(), coupling, time_varying={"coupling.k": ramp})
        >>> cf.at_time(params, 250.0).coupling.k.item()
        0.5
    """
    require_params(params)
    if not isinstance(t, Time):
        require_real("t", t)
    time = Time.of(t)
    require_shape("t", time.ms, (), meaning="For several times, use `jax.vmap`.")
    if params.external:
        now = {name: _input_at(name, value, time) for name, value in params.external.items()}
        params = eqx.tree_at(lambda p: p.external, params, now)
    if not params.time_varying:
        return params
    leaves, taken = _leaves(params), {}
    _require_names(params.time_varying, leaves)
    for name, value in values_at(params, time).items():
        _require_fitting_shape(name, value, leaves[name], None)
        taken[name] = _as_leaf(value, leaves[name])
    params = _replaced(params, taken)
    return eqx.tree_at(lambda p: p.time_varying, params, None, is_leaf=lambda x: x is None)


def split_external(external: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part external inputs into functions of time alone, and the others: numbers and noise.

    A sum with noise has a part of either kind.
    """
    functions, others = {}, {}
    for name, value in (external or {}).items():
        parts = _parts(value)
        noisy = [is_noise(part) for part in parts]
        if not callable(value) or all(noisy):
            others[name] = value
        elif not any(noisy):
            functions[name] = value
        else:
            functions[name] = Sum(tuple(part for part in parts if not is_noise(part)))
            # Noise is known by its place in the sum.
            others[name] = Sum(tuple(p if is_noise(p) else Constant(0.0) for p in parts))
    return functions, others


def _parts(value: Any) -> tuple[Any, ...]:
    """Return the parts of a sum, or the value alone."""
    return value.parts if isinstance(value, Sum) else (value,)


def require_constant(params: Params) -> None:
    """Refuse parameters that are functions of time, for an analysis that has no time."""
    if params.time_varying:
        raise ValueError(
            f"`params.time_varying` makes {', '.join(map(repr, params.time_varying))} a function of "
            "time, and this analysis has no time. Give it the parameters of one time, "
            "`cf.at_time(params, t)`."
        )


def _leaves(params: Params) -> dict[str, Any]:
    """Return the parameters of the nodes and couplings, by path."""
    pairs = jax.tree_util.tree_leaves_with_path({"node": params.node, "coupling": params.coupling})
    return {dotted(path): leaf for path, leaf in pairs if eqx.is_array_like(leaf)}


def _is_weight(name: str) -> bool:
    return name.startswith("coupling.") and "conn" in name.split(".")


def _require_names(varying: dict[str, Any], leaves: dict[str, Any]) -> None:
    """Refuse what is no parameter, and weights, delays and noise, which are fixed within a run."""
    for name in varying:
        first = str(name).partition(".")[0]
        if first in _FIXED:
            raise ValueError(f"`time_varying` cannot hold {name!r}: {_FIXED[first]}.")
        if _is_weight(str(name)) and (name in leaves or str(name).endswith("conn")):
            raise ValueError(
                f"`time_varying` cannot hold {name!r}: weights are fixed within a run. All edges onto a "
                "region change with its k, `coupling.k` with one value per target; for others run in "
                "stretches, each with its own weights, by `cf.adapt`."
            )
    free = [name for name in leaves if not _is_weight(name)]
    require_names("parameter (in `time_varying`)", varying, free)


def _require_read_on_arrival(
    varying: dict[str, Any], links: tuple[Link, ...], rules: tuple[tuple[str, Any], ...]
) -> None:
    """Refuse parameters that a rule reads before a delay."""
    for link, (path, rule) in zip(links, rules, strict=True):
        if not isinstance(rule, Coupling) or not (link.stepwise or link.blocked):
            continue
        own = [name for name in varying if name.startswith(f"{path}.")]
        sent = _read_by_send(path, rule) if own else set()
        for name in own:
            if name in sent:
                raise ValueError(
                    f"`time_varying` cannot hold {name!r}: {type(rule).__name__} reads it where regions "
                    "send, before the delay. A function of time may be what is read on arrival, such as "
                    "k; for others run in stretches, each with its own parameters, by `cf.adapt`."
                )


def _read_by_send(path: str, rule: Coupling) -> set[str]:
    """Return the paths of the parameters that the messages of a rule depend on."""
    arrays, others = eqx.partition(rule, eqx.is_array_like)
    pairs, structure = jax.tree_util.tree_flatten_with_path(arrays)

    def send(leaves: list[Any], source: Array) -> PyTree:
        return messages_of(eqx.combine(structure.unflatten(leaves), others), source)

    source = jax.ShapeDtypeStruct((rule.conn.shape[1],), rule.conn.dtype)
    program = jax.make_jaxpr(send)([leaf for _, leaf in pairs], source).jaxpr
    needed = {id(x) for x in program.outvars}
    for equation in reversed(program.eqns):
        if any(id(x) in needed for x in equation.outvars):
            needed |= {id(x) for x in equation.invars}
    return {
        f"{path}.{dotted(at)}"
        for (at, _), x in zip(pairs, program.invars[: len(pairs)], strict=True)
        if id(x) in needed
    }


def _targets(net: NetworkFields, link: Link, x: PyTree) -> int:
    """Return how many values per target a parameter of a link may have."""
    conn = getattr(link.coupling, "conn", None)
    return receivers(net.node, x, link.signals.into) if conn is None else conn.shape[0]


def _size(net: NetworkFields, name: str, sizes: dict[str, int], x: PyTree) -> int:
    """Return how many regions a parameter is one of."""
    if name.startswith("coupling."):
        return next(n for path, n in sizes.items() if name.startswith(f"{path}."))
    part = name.split(".")[1] if isinstance(net.node, HybridNode) else ""
    return receivers(net.node, x, f"{part}." if part else "")


def _value(name: str, function: Any, time: Time) -> Array:
    """Return the value of a function at a time."""
    if any(map(is_noise, _parts(function))):
        raise ValueError(
            f"`time_varying` {name!r} holds noise, which has no value at a time. Noise drives states, "
            "in `params.noise`, or inputs, in `params.external`."
        )
    if not callable(function):
        raise TypeError(
            f"`time_varying` {name!r} must be a function of time, such as cf.stimuli.Ramp(), not "
            f"{in_short(function)}. A number stands at `params.{name}` itself."
        )
    with asking(f"`time_varying` {name!r}", {}, "It is called with the time alone, in ms."):
        value = value_at(function, time)
    if value is None:
        raise TypeError(
            f"`time_varying` {name!r} returned None; it must return its value at a time."
        )
    return jnp.asarray(value)


def _require_fitting_shape(name: str, value: Array, leaf: Any, regions: int | None) -> None:
    """Refuse a value of a shape that the parameter cannot have; None stands for an unknown number."""
    own = jnp.shape(leaf)
    if regions is None:
        regions = own[0] if own else value.size
    shapes, meaning = ((), (regions,)), "Give one value for all regions, or one per region."
    if own not in shapes:
        shapes, meaning = (own,), f"That is the shape of `params.{name}`, whose place it takes."
    require_shape(f"time_varying[{name!r}]", value, *shapes, meaning=meaning)


def _as_leaf(value: Array, leaf: Any, dtype: Any = None) -> Array:
    """Return a value in the dtype of the leaf whose place it takes, if that holds it.

    A leaf without a dtype of its own, such as a Python number, takes that of the states.
    """
    leaf = jnp.asarray(leaf)
    own = None if leaf.weak_type or not jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return value.astype(own or dtype or float)
    if own is None:
        return value if dtype is None else value.astype(dtype)
    return value if wider(value, leaf) else value.astype(own)


def _replaced(params: Params, values: dict[str, Array]) -> Params:
    """Return parameters with other leaves at some paths."""
    return jax.tree_util.tree_map_with_path(lambda at, x: values.get(dotted(at), x), params)


def _input_at(name: str, value: Any, time: Time) -> Any:
    """Return an external input at a time; noise stays."""
    if isinstance(value, Sum) and any(map(is_noise, value.parts)):
        parts = (_input_at(name, part, time) for part in value.parts)
        return Sum(tuple(part if is_noise(part) else Constant(part) for part in parts))
    if is_noise(value) or not callable(value):
        return value
    with asking(f"`external` on {name!r}", {}, "It is called with the time alone, in ms."):
        return value_at(value, time)
