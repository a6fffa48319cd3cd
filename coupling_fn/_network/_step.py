r"""One step of a network, from its links: read the past, integrate the nodes, move everything on.

$\dot x_i = f(x_i,\, \sum_c c_i(x(t - \tau_c), x_i(t)) + u_i(t)) + \sigma\,\xi_i(t)$
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from .._core import (
    PyTree,
    asking,
    beside,
    container,
    everywhere,
    get,
    names_of,
    read,
    refill,
    require_one_or_each,
    require_shape,
)
from .._node import HybridNode, Node, receivers, wrapped
from ..noise._increments import NoiseIncrement, external_of, noises_of
from ..schemes._scheme import Rate
from ..stimuli import Time
from ..stimuli._time import at_time, time_of_step
from ._checks import require_fitting_coupling, require_fitting_params, require_kept_dtypes
from ._fields import NetworkFields
from ._link import Link, SeparableLink
from ._links import (
    buffers_of,
    carried_of,
    delayed_of,
    links_of,
    references_of,
    require_fitting_state,
)
from ._params import Params, State
from ._time_varying import in_time, split_external, values_at


class Functions(NamedTuple):
    """The values of functions of time at a time, which do not depend on the state.

    Attributes:
        parameters: those in `params.time_varying`.
        external: those in `params.external`; of a sum with noise, the part that is none.
    """

    parameters: dict[str, Array]
    external: dict[str, Array]


class Drive(NamedTuple):
    """What drives a step, beside the state and the parameters.

    Attributes:
        step: steps done before it, which tell the time.
        delayed: the delayed sums of each link (of a `PairwiseLink` the delayed copies, which are not
            summed), at the start of the step and, where the scheme reads them, at its end.
        references: what each link of a shift-invariant rule subtracts from states.
        increment: the noise increment of the step.
        noise_states: the noise states at its start and at its end.
        functions: what functions of time are at each stage that reads them.
    """

    step: Array
    delayed: tuple[tuple[Any, ...], ...]
    references: tuple[Array | None, ...]
    increment: NoiseIncrement
    noise_states: tuple[dict[str, Array], dict[str, Array]]
    functions: dict[float, Functions]


def prepare_step(net: NetworkFields, params: Params) -> Callable[[State, Params], State]:
    """Return the step with its links prepared, for many steps of the same parameters."""
    return partial(take_step, net, links_of(net, params))


def take_step(net: NetworkFields, links: tuple[Link, ...], state: State, params: Params) -> State:
    """Take one step."""
    require_fitting_state(net, state, links)
    buffers, references = buffers_of(links, state), references_of(links, state)
    carried = carried_of(links, buffers, references)
    increment = noise_increment(net, state.key, state.step, state.node, params)
    noise = update_noise(net, state.noise, increment, params)
    drive = Drive(
        step=state.step,
        delayed=tuple(delayed_of(links, carried, references, n) for n in read_steps(net)),
        references=references,
        increment=increment,
        noise_states=(state.noise, noise),
        functions=functions_in_step(net, params, state.step, state.node),
    )
    x = advance(net, links, state.node, params, drive)
    history = {name: buffer[1:] for name, buffer in buffers.items()}
    return state._replace(node=x, history=history, step=state.step + 1, noise=noise)


def read_steps(net: NetworkFields) -> tuple[int, ...]:
    """Return when within a step the delayed sums are needed: 0 is its start, 1 its end."""
    return (0,) if net.hold != "stage" or not any(net.scheme.stages) else (0, 1)


def functions_in_step(
    net: NetworkFields, params: Params, step: Array, x: PyTree
) -> dict[float, Functions]:
    """Return what functions of time are, by the stage of a step."""
    external, _ = split_external(params.external)
    if not params.time_varying and not external:
        return {}
    dtype = jax.tree.leaves(x)[0].dtype
    stages = {0.0} if net.hold == "step" else {0.0, *map(float, net.scheme.stages)}
    times = {at: time_of_step(step, net.dt, at, dtype) for at in sorted(stages)}
    return {
        at: Functions(values_at(params, time), external_inputs(external, time, x))
        for at, time in times.items()
    }


def advance(
    net: NetworkFields, links: tuple[Link, ...], x: PyTree, params: Params, drive: Drive
) -> PyTree:
    """Return the state of the nodes one step later."""
    first = jax.tree.leaves(x)[0]
    require_fitting_params(net.node, params, x)
    for link in links:
        require_fitting_coupling(net.node, link, x)
    noises = noises_of(net.node.states, params.noise, params.external)
    noise_values = tuple(map(noises.values, drive.noise_states))
    _, others = split_external(params.external)

    def external(at: float) -> dict[str, Any]:
        values = external_of(others, _at_stage(noise_values, at))
        if values:
            values = external_inputs(values, time_of_step(drive.step, net.dt, at, first.dtype), x)
        if drive.functions:
            for name, value in drive.functions[float(at)].external.items():
                values[name] = values[name] + value if name in values else value
        return values

    def now(at: float) -> tuple[tuple[Link, ...], Params]:
        """Return the links and the parameters at a stage; with `hold="step"` at the step's start."""
        if not params.time_varying:
            return links, params
        at = 0.0 if net.hold == "step" else float(at)
        return in_time(net, links, params, drive.functions[at].parameters, x)

    def coupled(links: tuple[Link, ...], x: PyTree, at: float) -> Received:
        delayed = drive.delayed[0] if at == 0.0 else _delayed_at(links, drive.delayed, at)
        return received(net, links, x, delayed, drive.references)

    held_coupling = coupled(now(0.0)[0], x, 0.0) if net.hold != "stage" else None
    held = all_inputs(net, x, external(0.0), held_coupling or ()) if net.hold == "step" else None

    def within(x: PyTree, at: float) -> PyTree:
        return _clipped(net, x) if net.clip == "stages" and at > 0 else x

    def own(x: PyTree, at: float) -> Callable[[PyTree], PyTree]:
        """Return the rates by the nodes' own states, with what they receive in the state `x`."""
        _require_stage(net, at)
        x, inputs = within(x, at), held
        links_now, params_now = now(at)
        if inputs is None:
            arrived = coupled(links_now, x, at) if held_coupling is None else held_coupling
            inputs = all_inputs(net, x, external(at), arrived)
        values = _at_stage(noise_values, at)
        added: dict[str, Any] = {n: values.get(f"noise.{n}", 0.0) for n in net.node.states}

        def rates(x: PyTree) -> PyTree:
            rates = derivative(net, within(x, at), inputs, params_now)
            if not values:
                return rates
            return refill(rates, {name: get(rates, name) + added[name] for name in added})

        return rates

    def noise(x: PyTree, at: float) -> PyTree:
        if not drive.increment.white:
            return drive.increment.fixed
        return noises.added(drive.increment, within(x, at))

    before = x
    if drive.increment.white or drive.increment.fixed is not None:
        x = net.scheme.noisy_step(Rate(own), x, net.dt, noise)
    else:
        x = net.scheme.step(Rate(own), x, net.dt)
    require_kept_dtypes(before, x, params)
    if net.angles:
        x = refill(
            x, {n: wrapped(get(x, n)) if n in net.angles else get(x, n) for n in names_of(x)}
        )
    return _clipped(net, x) if net.bounds else x


def _require_stage(net: NetworkFields, at: float) -> None:
    """Refuse a stage that the scheme does not list: what arrives then was not computed."""
    if at not in net.scheme.stages:
        raise ValueError(
            f"`scheme` {type(net.scheme).__name__} asks for a rate at {at} of the step, which is not "
            f"among its stages, {net.scheme.stages}."
        )


def _clipped(net: NetworkFields, x: PyTree) -> PyTree:
    """Return a state within the bounds of the network."""
    limits = dict(net.bounds)
    values = {n: jnp.clip(get(x, n), *limits.get(n, (None, None))) for n in names_of(x)}
    return refill(x, values)


def _at_stage(ends: tuple[PyTree, ...], at: float) -> PyTree:
    """Return a value at a stage, linear between the start of the step (0) and its end (1)."""
    if at == 0.0:
        return ends[0]
    start, end = ends
    return end if at == 1.0 else jax.tree.map(lambda a, b: (1 - at) * a + at * b, start, end)


def _delayed_at(links: tuple[Link, ...], ends: tuple[Any, ...], at: float) -> tuple[Any, ...]:
    """Return what arrives over delayed edges at a stage, from its start and its end."""
    start, end = ends
    if at == 1.0:
        return end
    return tuple(link.between(a, b, at) for link, a, b in zip(links, start, end, strict=True))


Received = tuple[tuple[str, Array], ...]


def node_inputs(
    net: NetworkFields,
    links: tuple[Link, ...],
    x: PyTree,
    external: dict[str, Any],
    time: Time,
    delayed: tuple[Any, ...],
    references: tuple[Array | None, ...],
) -> Any:
    """Return what drives the nodes: external input at a time, and what the links receive."""
    arrived = received(net, links, x, delayed, references)
    return all_inputs(net, x, external_inputs(external, time, x), arrived)


def all_inputs(net: NetworkFields, x: PyTree, external: dict[str, Any], arrived: Received) -> Any:
    """Return the inputs of the nodes: external ones, and what arrived over the links, added up."""
    driven = dict(external)
    for into, value in arrived:
        driven[into] = driven.get(into, 0.0) + value
    return container(x, net.node.inputs, driven)


def received(
    net: NetworkFields,
    links: tuple[Link, ...],
    x: PyTree,
    delayed: tuple[Any, ...],
    references: tuple[Array | None, ...],
) -> Received:
    """Return what each link receives, with the name of the input that it drives."""
    arrived = []
    shared: dict[int, Sequence[Array] | None] = {}
    for n, (link, reference, sums) in enumerate(zip(links, references, delayed, strict=True)):
        signals = link.signals
        source = read(x, signals.source)
        source = everywhere(net.mesh, source) if link.reads_present else source
        leader = n if link.share is None else link.share.leader
        if isinstance(link, SeparableLink) and leader == n:  # it comes before those that it leads
            shared[n] = link.shared_sums(source, reference)
        value = link.receive(sums, source, read(x, signals.target), reference, shared.get(leader))
        shape = (receivers(net.node, x, signals.into),)
        require_shape(f"the input from coupling {signals.coupling}", value, shape)
        arrived += driven_inputs(net.node, x, signals.into, value).items()
    return tuple(arrived)


def driven_inputs(node: Node, x: PyTree, into: str, value: Array) -> dict[str, Array]:
    """Return the inputs that a coupling drives: one, or that of each subnetwork where it joins them."""
    if not isinstance(node, HybridNode) or into not in node.joined_inputs:
        return {into: value}
    return node.joined_inputs[into].parted(value, node.sizes(x))


def inputs_at(
    net: NetworkFields,
    links: tuple[Link, ...],
    state: State,
    params: Params,
    delayed: tuple[Any, ...],
    references: tuple[Array | None, ...],
) -> Any:
    """Return what drives the nodes in a state, given the delayed sums there: as its next step begins."""
    noises = noises_of(net.node.states, params.noise, params.external)
    external = external_of(params.external, noises.values(state.noise))
    time = time_in(net, state)
    links, _ = in_time(net, links, params, values_at(params, time), state.node)
    return node_inputs(net, links, state.node, external, time, delayed, references)


def time_in(net: NetworkFields, state: State) -> Time:
    """Return the time at which a state stands."""
    return time_of_step(state.step, net.dt, 0.0, jax.tree.leaves(state.node)[0].dtype)


def params_in(net: NetworkFields, params: Params, state: State) -> Params:
    """Return the parameters at the time at which a state stands."""
    if not params.time_varying:
        return params
    values = values_at(params, time_in(net, state))
    return in_time(net, links_of(net, params), params, values, state.node)[1]


def inputs_in(net: NetworkFields, links: tuple[Link, ...], state: State, params: Params) -> Any:
    """Return what drives the nodes in a state, whose histories tell what arrives."""
    references = references_of(links, state)
    carried = carried_of(links, buffers_of(links, state), references)
    delayed = delayed_of(links, carried, references, 0)
    return inputs_at(net, links, state, params, delayed, references)


def external_inputs(external: dict[str, Any], time: Time, x: PyTree) -> dict[str, Any]:
    """Return the external inputs of the nodes at a time."""
    return {
        name: _external(name, value, time, beside(x, name).shape)
        for name, value in external.items()
    }


def _external(name: str, value: Any, time: Time, shape: tuple[int, ...]) -> Array:
    """Return an external input at a time."""
    if not callable(value):
        return value
    with asking(f"`external` on {name!r}", {}, "It is called with the time alone, in ms."):
        value = at_time(value, time)
    if value is None:
        raise TypeError(
            f"`external` on {name!r} returned None; it must return its value at a time."
        )
    require_one_or_each(f"external` on `{name}", value, *shape)
    return value


def derivative(net: NetworkFields, x: PyTree, inputs: Any, params: Params) -> PyTree:
    """Return the nodes' rate of change, in the shapes of their state."""
    name = getattr(net.node, "__name__", "node")
    given = {"its state": x, "its inputs": inputs, "`params.node`": params.node}
    with asking(f"The node {name}", given, "A node is called as node(state, inputs, params)."):
        rates = net.node(x, inputs, params.node)
    wanted = jax.tree.map(jnp.shape, x)
    got = jax.tree.map(jnp.shape, rates)
    if got != wanted:
        raise ValueError(
            f"The node {name} must return the rate of change of each state, with shapes {wanted}; "
            f"got {got}."
        )
    require_kept_dtypes(x, rates, params)
    return rates


def noise_increment(
    net: NetworkFields, key: Any, step: Array, x: PyTree, params: Params
) -> NoiseIncrement:
    """Draw the noise of a step; it depends on the key and the number of the step alone."""
    noises = noises_of(net.node.states, params.noise, params.external)
    return noises.increment(key, step, x, net.dt, net.substeps)


def update_noise(
    net: NetworkFields, states: dict[str, Array], increment: NoiseIncrement, params: Params
) -> dict[str, Array]:
    """Return the noise states one step later."""
    noises = noises_of(net.node.states, params.noise, params.external)
    return noises.update(states, increment, net.dt / net.substeps)
