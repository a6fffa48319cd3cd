"""Couplings with gamma-distributed delays, as an ordinary network whose nodes have further states.

A `GammaDelayedCoupling` filters messages by stages. `expanded` turns a network with such couplings into
one whose node has the stages as states (`_node/_chained.py`), whose wires read the last of them, and
whose rules take messages in place of states. Everything that steps, differentiates or analyses a network
then works on that, and knows of no stages.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PyTree, Signal, get, in_short, known, read
from .._coupling import ArrivingCoupling, Coupling, GammaDelayedCoupling, SumCoupling, sends_states
from .._node import (
    Chain,
    ChainedNode,
    ChainedParams,
    Filter,
    HybridNode,
    Joined,
    Node,
    Within,
    apart,
    parts_of,
    require_parts,
)
from ._checks import require_states
from ._fields import NetworkFields
from ._params import Params, Wire

Net = TypeVar("Net", bound=NetworkFields)
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Several signals of the same regions, one after the other in one array.

    Attributes:
        signals: the signals.
    """

    signals: tuple[Signal, ...]

    def __call__(self, state: PyTree) -> Array:
        """Return the signals, `(signal * source,)`."""
        return jnp.concatenate([read(state, signal) for signal in self.signals])


class _Link(NamedTuple):
    """A chain in one subnetwork ("" where there is one network alone), with its numbers."""

    part: str
    chain: Chain
    filtered: Filter


def expanded(net: Net, params: Any) -> tuple[Net, Any]:
    """Return a network and parameters in which stages are states; the same ones without any."""
    if not isinstance(params, Params):
        return net, params
    couplings = _by_name(params)
    gamma = {name: c for name, c in couplings.items() if isinstance(c, GammaDelayedCoupling)}
    _require_no_sums(couplings)
    wires = [name for name, _ in net.wires]
    if not gamma or not set(gamma) <= set(wires):  # other names are refused where links are made
        return net, params
    taken = {name.rpartition(".")[2] for name in net.node.states}
    made, rewired, arriving = [], [], {}
    for name, wire in net.wires:
        if name not in gamma:
            rewired.append((name, wire))
            continue
        arriving[name], links, sources = _chains_of(net.node, name, wire, gamma[name], taken)
        made += links
        rewired.append((name, Wire(sources, wire.into, wire.target)))
    node, of_node = _with_chains(net.node, params.node, made)
    several = isinstance(params.coupling, Mapping)
    noise = params.noise
    if noise is not None and not isinstance(noise, dict):
        noise = dict.fromkeys(net.node.states, noise)  # none on the stages
    return (
        _changed(net, node=node, wires=tuple(rewired)),
        _changed(
            params,
            node=of_node,
            noise=noise,
            coupling={**couplings, **arriving} if several else arriving["coupling"],
        ),
    )


def at_rest(params: Any) -> Any:
    """Return parameters without gamma-distributed delays, which do not matter where nothing changes."""
    if not isinstance(params, Params):
        return params
    couplings = _by_name(params)
    _require_no_sums(couplings)
    if not any(isinstance(c, GammaDelayedCoupling) for c in couplings.values()):
        return params
    bare = {
        name: c.coupling if isinstance(c, GammaDelayedCoupling) else c
        for name, c in couplings.items()
    }
    several = isinstance(params.coupling, Mapping)
    return _changed(params, coupling=bare if several else bare["coupling"])


def with_stages(net: NetworkFields, params: Params, x: PyTree) -> PyTree:
    """Return a state of an expanded network; stages that `x` does not have rest at its messages."""
    chained = _chained_parts(net.node)
    if not chained:
        return x
    require_states(_bare(net.node), without_stages(net.node, x))
    for part, node in chained.items():
        _require_regions(
            node, get(x, part) if part else x, get(params.node, part) if part else params.node
        )
    if "" in chained:
        return chained[""].at_rest(x, params.node)
    filled = {
        part: chained[part].at_rest(get(x, part), get(params.node, part))
        if part in chained
        else get(x, part)
        for part in parts_of(net.node)
    }
    return type(x)(**filled)


def without_stages(node: Node, x: PyTree) -> PyTree:
    """Return the nodes' own states, given the node of the expanded network and a state of it.

    What is no state at all is left in, so that a check finds it.
    """
    chained = _chained_parts(node)
    if "" in chained:
        return _own(chained[""], x)
    if not chained or not set(parts_of(node)) <= set(_entries(x)):
        return x
    return type(x)(
        **{p: _own(chained[p], get(x, p)) if p in chained else get(x, p) for p in _entries(x)}
    )


def own_states(node: Node, x: PyTree) -> PyTree:
    """Return the states of a node, without the stages that a state of a run may hold beside them."""
    if isinstance(node, HybridNode):
        if not set(node.names) <= set(_entries(x)):
            return x
        return type(x)(**{part: own_states(own, get(x, part)) for part, own in node.parts})
    if not set(_entries(x)) > set(node.states):
        return x
    kept = {name: get(x, name) for name in node.states}
    return kept if isinstance(x, Mapping) else getattr(type(x), "own", type(x))(**kept)


def require_slow_stages(params: Any, dt: float) -> None:
    """Refuse stages that are shorter than a step, where that is known."""
    for name, coupling in _by_name(params).items():
        if not isinstance(coupling, GammaDelayedCoupling) or not known(coupling.mean):
            continue
        stage = float(np.asarray(coupling.mean).min()) / coupling.order
        if stage < dt * (1 - 1e-6):
            raise ValueError(
                f"`mean` of the coupling {name!r} makes {coupling.order} stages of {stage:.4g} ms, "
                f"which "
                f"are shorter than dt = {dt} ms. Take a smaller `order` or dt. Delays that are spread "
                "less than that are lags."
            )


def _by_name(params: Any) -> dict[str, Any]:
    couplings = getattr(params, "coupling", None)
    if isinstance(couplings, Mapping):
        return dict(couplings)
    return {} if couplings is None else {"coupling": couplings}


def _require_no_sums(couplings: dict[str, Any]) -> None:
    for name, coupling in couplings.items():
        parts = coupling.parts if isinstance(coupling, SumCoupling) else ()
        if any(isinstance(part, GammaDelayedCoupling) for part in parts):
            raise ValueError(
                f"The coupling {name!r} is a sum with a `GammaDelayedCoupling` in it. Give each part a "
                "name of its own in the network: `couplings={'a': cf.Wire(...), 'b': cf.Wire(...)}`."
            )


def _chains_of(
    node: Node, name: str, wire: Wire, coupling: GammaDelayedCoupling, taken: set[str]
) -> tuple[Coupling, list[_Link], list[Signal]]:
    """Return the rule that takes what leaves the chains of a coupling, these, and its new sources."""
    rule, bare = coupling.coupling, sends_states(coupling.coupling)
    like = jax.ShapeDtypeStruct(rule.conn.shape[1:], rule.conn.dtype)
    structure = jax.tree.structure(jax.eval_shape(rule.send, like))
    links, sources = [], []
    for number, source in enumerate(wire.source):
        stages = tuple(
            _names(name, source, number, channel, structure.num_leaves, coupling.order, taken)
            for channel in range(structure.num_leaves)
        )
        filtered = Filter(None if bare else rule, coupling.mean)
        ends = [_placed(node, name, source, each[-1]) for each in stages]
        for part, signal, own in _parts_of_source(node, name, source, filtered):
            links.append(_Link(part, Chain(signal, name, stages), own))
        sources.append(ends[0] if len(ends) == 1 else SideBySide(tuple(ends)))
    if bare:
        return rule, links, sources
    # Its fields `conn` and `k` are properties, which pyright takes for arguments.
    arriving = ArrivingCoupling(rule, structure)  # pyright: ignore[reportCallIssue]
    return arriving, links, sources


def _names(
    name: str, source: Signal, number: int, channel: int, channels: int, order: int, taken: set[str]
) -> tuple[str, ...]:
    """Name the stages of a chain, each a word that no state has."""
    signal = source if isinstance(source, str) else getattr(source, "name", f"{number}")
    of_channel = f"_{channel}" * (channels > 1)
    stem = re.sub(r"\W+", "_", f"{name}_{signal.rpartition('.')[2]}{of_channel}")
    stem = stem if stem.isidentifier() and not stem.startswith("_") else f"chain_{stem}"
    while any(f"{stem}_{n + 1}" in taken for n in range(order)):
        stem += "_"
    names = tuple(f"{stem}_{n + 1}" for n in range(order))
    taken.update(names)
    return names


def _placed(node: Node, name: str, source: Signal, stage: str) -> Signal:
    """Return the signal of a stage, in the subnetworks that the source is of."""
    if not isinstance(node, HybridNode):
        return stage
    if isinstance(source, Joined):
        return Joined(stage, source.parts, source.places)
    return f"{_part(name, source)}.{stage}"


def _part(name: str, source: Any) -> str:
    if isinstance(source, Within):
        return source.part
    if isinstance(source, str):
        return source.rpartition(".")[0]
    raise ValueError(
        f"The projection {name!r} reads a function of the state of the whole network, so that its "
        f"stages belong to no subnetwork. Let it read one: cf.hybrid.of('...', {in_short(source)})."
    )


def _parts_of_source(
    node: Node, name: str, source: Any, filtered: Filter
) -> list[tuple[str, Signal, Filter]]:
    """Return the subnetworks that a source is of, with the signal and the numbers of the chain there."""
    if not isinstance(node, HybridNode):
        return [("", source, filtered)]
    if not isinstance(source, Joined):
        part = _part(name, source)
        signal = source.signal if isinstance(source, Within) else source.rpartition(".")[2]
        return [(part, signal, filtered)]
    if filtered.rule is not None and not filtered.rule.elementwise:
        raise ValueError(
            f"`send` of {type(filtered.rule).__name__}, in the projection {name!r} from all "
            "subnetworks, is not `elementwise`, so that its messages cannot be made in each subnetwork "
            "for itself. Give each subnetwork a projection of its own."
        )
    means = [filtered.mean] * len(source.parts)
    if jnp.ndim(filtered.mean):
        if source.places is None:
            raise ValueError(
                f"`mean` of the projection {name!r} from all subnetworks must be one number, "
                "because the network does not say how many regions each has. `cf.hybrid.divide` does."
            )
        means = apart(filtered.mean, tuple(map(len, source.places)), source.places)
    return [
        (part, source.name, filtered._replace(mean=mean))
        for part, mean in zip(source.parts, means, strict=True)
    ]


def _with_chains(node: Node, params: Any, links: list[_Link]) -> tuple[Any, Any]:
    """Return a node with chains, and its parameters."""

    def chained(part: str, own: Node, of_own: Any) -> tuple[Any, Any]:
        mine = [link for link in links if link.part == part]
        if not mine:
            return own, of_own
        filters = tuple(link.filtered for link in mine)
        return ChainedNode(own, tuple(x.chain for x in mine)), ChainedParams(of_own, filters)

    if not isinstance(node, HybridNode):
        return chained("", node, params)
    require_parts("`params.node`", params, node)
    both = {part: chained(part, own, get(params, part)) for part, own in node.parts}
    parts = tuple((part, each) for part, (each, _) in both.items())
    of_parts = {part: each for part, (_, each) in both.items()}
    return HybridNode(parts, node.places), type(params)(**of_parts)


def _chained_parts(node: Node) -> dict[str, ChainedNode]:
    return {part: each for part, each in parts_of(node).items() if isinstance(each, ChainedNode)}


def _bare(node: Node) -> Any:
    """Return the node that a node with chains was."""
    if isinstance(node, HybridNode):
        own = ((p, n.own if isinstance(n, ChainedNode) else n) for p, n in node.parts)
        return HybridNode(tuple(own), node.places)
    return node.own if isinstance(node, ChainedNode) else node


def _own(node: ChainedNode, x: PyTree) -> PyTree:
    """Return a state of one network without its stages."""
    stages = {name for chain in node.chains for name in chain.names}
    if not stages & set(_entries(x)):
        return x
    kept = {name: get(x, name) for name in _entries(x) if name not in stages}
    return kept if isinstance(x, Mapping) else getattr(type(x), "own", type(x))(**kept)


def _entries(x: Any) -> tuple[str, ...]:
    return tuple(x) if isinstance(x, Mapping) else getattr(x, "_fields", ())


def _require_regions(node: ChainedNode, x: PyTree, params: ChainedParams) -> None:
    """Refuse messages of which there is not one per region: stages are states of regions."""
    own = node.own_state(x)
    regions = jnp.shape(get(own, node.own.states[0]))
    for chain, filtered in zip(node.chains, params.filters, strict=True):
        source = jnp.shape(read(own, chain.source))
        if source != regions:
            raise ValueError(
                f"The coupling {chain.coupling!r} sends {source[0] if source else 'one'} messages, "
                f"and its node has {regions[0]} regions. Stages of gamma-distributed delays are states "
                "of the regions, so that each must send one; give those that send none a weight of 0."
            )
        if jnp.ndim(filtered.mean) and jnp.shape(filtered.mean) != source:
            raise ValueError(
                f"`mean` of the coupling {chain.coupling!r} has the shape "
                f"{jnp.shape(filtered.mean)}; it must be one number, or one per source, {source}."
            )


def _changed(whole: Value, **fields: Any) -> Value:
    """Return a module with other values in some fields; the rest was checked when it was made."""
    changed = object.__new__(type(whole))
    for field in dataclasses.fields(whole):  # pyright: ignore[reportArgumentType]
        value = fields[field.name] if field.name in fields else getattr(whole, field.name)
        object.__setattr__(changed, field.name, value)
    return changed
