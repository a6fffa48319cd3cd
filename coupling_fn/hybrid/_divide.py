"""One connectome, divided into subnetworks: matrices cut into blocks, and regions put in order."""

from collections.abc import Mapping
from itertools import product
from types import EllipsisType
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import (
    Connectome,
    SparseConnection,
    region_indices,
    sparse_from_edges,
    weights_of,
)
from .._core import (
    as_float,
    entries,
    get,
    in_short,
    keeps_known,
    known,
    require_names,
    require_shape,
)
from .._network import Wire
from .._node import HybridNode, Within, apart, in_order
from ..nodes import Node
from ._node import checked

ARROW = "->"  # The projection from a onto b is called "a->b".


class Division(eqx.Module):
    """A connectome that is divided into subnetworks; `divide` makes it.

    Projections are named "source->target". Those without any weight are left out.

    Attributes:
        node: the node of the whole network.
        wires: the wire of each projection, for `Network(couplings=...)`.
        weights: the weights of each projection, `(target, source)`; sparse if those divided were.
        lengths: its tract lengths, `(target, source)`; None if the connectome has none. [mm]
        labels: the labels of the regions of each subnetwork; None if the connectome has none.
        edges: of a sparse connection that was divided, which of its edges each projection has.

    Example:
        >>> parts = {"cortex": (cf.nodes.wilson_cowan, ...), "thalamus": (cf.nodes.linear, ["Th"])}
        >>> W = jnp.arange(9.0).reshape(3, 3)
        >>> division = cf.hybrid.divide(cf.Connectome(W, labels=["V1", "Th", "A1"]), parts)
        >>> isinstance(division, cf.hybrid.Division), division.labels
        (True, {'cortex': ('V1', 'A1'), 'thalamus': ('Th',)})
        >>> division.weights["thalamus->cortex"].tolist()
        [[1.0], [7.0]]
    """

    weights: dict[str, Any]
    lengths: dict[str, Array] | None
    wires: dict[str, Wire]
    node: HybridNode = eqx.field(static=True)
    labels: dict[str, tuple[str, ...]] | None = eqx.field(static=True)
    edges: dict[str, Array] | None

    @keeps_known
    def cut(self, matrix: Any) -> dict[str, Any]:
        """Cut a matrix of all regions into the blocks of the projections: lags, their bounds, weights.

        Args:
            matrix: `(target, source)`, such as `cf.lags(connectome.lengths, speed, dt)`, or one number
                for all; where sparse weights were divided, also `(edge,)` for their edges; or a tuple of
                such, as `cf.lag_bounds` returns.

        Returns:
            The block of each projection by its name, `(target, source)` or `(edge,)`; of a tuple, a
            tuple.

        Raises:
            ValueError: if the shape is not that of the connectome.

        Example:
            >>> parts = {"a": (cf.nodes.linear, [0, 2]), "b": (cf.nodes.linear, [1])}
            >>> division = cf.hybrid.divide(jnp.ones((3, 3)), parts)
            >>> division.cut(jnp.arange(9).reshape(3, 3))["b->a"].tolist()
            [[1], [7]]
        """
        if isinstance(matrix, tuple):
            each = [self.cut(one) for one in matrix]
            return {name: tuple(one[name] for one in each) for name in self.weights}
        places = self._places
        regions = sum(map(len, places.values()))
        if isinstance(matrix, SparseConnection):
            return {name: _sparse_block(matrix, *self._ends(name)) for name in self.weights}
        if np.ndim(matrix) == 1 and self.edges is not None:
            count = sum(map(len, self.edges.values()))
            require_shape("matrix", matrix, (count,), meaning="It has one value per stored edge.")
            return {name: jnp.asarray(matrix)[edges] for name, edges in self.edges.items()}
        if np.ndim(matrix) == 0:
            return dict.fromkeys(self.weights, matrix)
        meaning = "That is (target, source), for all regions of the connectome."
        require_shape("matrix", matrix, (regions, regions), meaning=meaning)
        matrix = matrix if isinstance(matrix, Array) else np.asarray(matrix)
        return {name: matrix[np.ix_(*self._ends(name))] for name in self.weights}

    def split(self, values: Any) -> dict[str, Array]:
        """Return the values of each subnetwork, from those of all regions in the connectome's order.

        Args:
            values: `(region,)`, or with further axes in front.

        Returns:
            The values by subnetwork, its regions on the last axis.

        Raises:
            ValueError: if there is not one value per region.

        Example:
            >>> parts = {"a": (cf.nodes.linear, [0, 2]), "b": (cf.nodes.linear, [1])}
            >>> division = cf.hybrid.divide(jnp.ones((3, 3)), parts)
            >>> division.split(jnp.array([5.0, 6.0, 7.0]))["a"].tolist()
            [5.0, 7.0]
        """
        values = as_float("values", values)
        sizes = tuple(map(len, self._places.values()))
        if values.ndim == 0 or values.shape[-1] != sum(sizes):
            raise ValueError(
                f"`values` must have one value per region on the last axis, {sum(sizes)}; the shape is "
                f"{values.shape}."
            )
        parts = apart(values, sizes, self.node.places)
        return dict(zip(self.node.names, parts, strict=True))

    def join(self, values: Any) -> Array:
        """Return the values of all subnetworks in the connectome's order: the reverse of `split`.

        Args:
            values: a container by subnetwork, or by one variable of each ("cortex.E", "thalamus.r"), as
                `simulate(record=("cortex.E", "thalamus.r"))` returns it; regions on the last axis.

        Returns:
            One array, regions on the last axis.

        Raises:
            ValueError: if a subnetwork is missing, is there twice, or has another number of regions.

        Example:
            >>> parts = {"a": (cf.nodes.linear, [0, 2]), "b": (cf.nodes.linear, [1])}
            >>> division = cf.hybrid.divide(jnp.ones((3, 3)), parts)
            >>> division.join({"a.x": jnp.array([5.0, 7.0]), "b.x": jnp.array([6.0])}).tolist()
            [5.0, 6.0, 7.0]
        """
        given: dict[str, list[str]] = {}
        for name in entries(values):
            given.setdefault(name.partition(".")[0], []).append(name)
        require_names("subnetwork (in `values`)", given, self.node.names)
        joined = []
        for part, place in self._places.items():
            names = given.get(part, [])
            if len(names) != 1:
                raise ValueError(
                    f"`values` must have one entry per subnetwork; of {part!r} it has "
                    f"{', '.join(map(repr, names)) or 'none'}."
                )
            own = as_float(f"values[{names[0]!r}]", get(values, names[0]))
            if own.ndim == 0 or own.shape[-1] != len(place):
                raise ValueError(
                    f"`values[{names[0]!r}]` must have one value per region of {part!r} on the last "
                    f"axis, {len(place)}; the shape is {own.shape}."
                )
            joined.append(own)
        return in_order(joined, self.node.places)

    @property
    def _places(self) -> dict[str, tuple[int, ...]]:
        return dict(zip(self.node.names, self.node.places or (), strict=True))

    def _ends(self, projection: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the regions at the ends of a projection: targets, sources."""
        source, _, target = projection.partition(ARROW)
        return np.asarray(self._places[target]), np.asarray(self._places[source])


def divide(
    conn: Any,
    subnetworks: Mapping[str, tuple[Node, Any]],
    *,
    wires: Mapping[str, Wire] | None = None,
) -> Division:
    """Divide a connectome into subnetworks, each with its own node model.

    The weights and lengths are cut into one block per projection, named "source->target", where there is
    any weight; `Division.cut` does the same for lags and `Division.split` for values per region.
    Records by a name without a subnetwork (`record="E"`), and `Division.join`, put regions into the
    order of the connectome again.

    Args:
        conn: a `Connectome`, or bare weights `(target, source)`, dense or sparse.
        subnetworks: from the name of each subnetwork to its node and its regions: a mask, or a list of
            labels or indices, whose order is kept; `...` for all regions that no other has.
        wires: wires of projections in place of the default ones, which read what the source's node
            sends (`node.coupled`), and drive the input that the target's node is coupled by.

    Returns:
        The division: node, wires, weights, lengths and labels, by projection or subnetwork.

    Raises:
        ValueError: if a region has no subnetwork, or several; if a subnetwork has no region, there is no
            such region or projection, or a node says nothing of what it sends or receives; if a wire
            leads elsewhere than its projection; if the edges of sparse weights are traced.
        TypeError: if a subnetwork is no pair of a node and regions, or a wire is none.

    Example:
        >>> conn = cf.Connectome([[0, 2, 1], [3, 0, 0], [4, 0, 0]], labels=["Th", "V1", "A1"])
        >>> division = cf.hybrid.divide(conn, {
        ...     "thalamus": (cf.nodes.threshold_linear, ["Th"]),
        ...     "cortex": (cf.nodes.wilson_cowan, ...),
        ... })
        >>> list(division.weights), division.wires["thalamus->cortex"].into
        (['cortex->thalamus', 'thalamus->cortex'], ('cortex.E',))
        >>> net = cf.Network(division.node, dt=0.1, couplings=division.wires)
        >>> couplings = {n: cf.AdditiveCoupling(w, k=0.1) for n, w in division.weights.items()}
    """
    if not isinstance(subnetworks, Mapping) or not subnetworks:
        raise TypeError(
            "`subnetworks` must be a dict: {'cortex': (cf.nodes.wilson_cowan, mask), ...}, not "
            f"{in_short(subnetworks)}."
        )
    for name, pair in subnetworks.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"`subnetworks[{name!r}]` must be a pair (node, regions), not {in_short(pair)}."
            )
    nodes = checked({name: node for name, (node, _) in subnetworks.items()})
    if wires is not None and not isinstance(wires, Mapping):
        raise TypeError(
            f"`wires` must be a dict by projection, {{'a->b': cf.Wire(...)}}, not {in_short(wires)}."
        )
    for name, wire in (wires or {}).items():
        if not isinstance(wire, Wire):
            raise TypeError(f"`wires[{name!r}]` must be a cf.Wire, not {in_short(wire)}.")
    regions = {name: chosen for name, (_, chosen) in subnetworks.items()}
    return _divided(conn, nodes, regions, dict(wires or {}))


@keeps_known
def _divided(
    conn: Any, nodes: tuple[tuple[str, Node], ...], regions: dict[str, Any], given: dict[str, Wire]
) -> Division:
    weights = weights_of(conn)
    if isinstance(weights, SparseConnection) and not known((weights.target, weights.source)):
        raise ValueError(
            "`conn` must have edges that are known, which say what projections there are; inside `jit` "
            "they are traced. Divide it outside, and put other weights into the blocks: "
            "`division.edges` says which weights each has."
        )
    known_lengths = conn.lengths if isinstance(conn, Connectome) else None
    labels = conn.labels if isinstance(conn, Connectome) else None
    places = _checked_places(regions, labels, weights.shape[0])
    node = HybridNode(nodes, tuple(tuple(place.tolist()) for place in places.values()))
    blocks, edges = {}, None if not isinstance(weights, SparseConnection) else {}
    for target, source in product(places, repeat=2):
        ends, name = (places[target], places[source]), f"{source}{ARROW}{target}"
        if edges is not None:
            chosen, _, _ = _edges_between(weights, *ends)
            if len(chosen):
                edges[name], blocks[name] = jnp.asarray(chosen), _sparse_block(weights, *ends)
            continue
        block = jnp.asarray(weights)[np.ix_(*ends)]
        if not known(block) or np.any(np.asarray(block) != 0):
            blocks[name] = block
    blocks = {name: blocks[name] for name in sorted(blocks)}  # as a dict of JAX has its keys
    require_names("projection (in `wires`)", given, blocks)
    for name, wire in given.items():
        _require_its_ends(name, wire)
    wired = {name: given.get(name) or _default_wire(dict(nodes), name) for name in blocks}
    lengths = None
    if known_lengths is not None:
        ends = {name: [places[n] for n in reversed(name.split(ARROW))] for name in blocks}
        lengths = {name: known_lengths[np.ix_(*each)] for name, each in ends.items()}
    named = None
    if labels is not None:
        named = {name: tuple(labels[n] for n in place) for name, place in places.items()}
    return Division(blocks, lengths, wired, node, named, edges)


def _checked_places(regions: dict[str, Any], labels: Any, count: int) -> dict[str, np.ndarray]:
    """Return the regions of each subnetwork; refuse regions without one, or with two."""
    rest = [name for name, chosen in regions.items() if isinstance(chosen, EllipsisType)]
    if len(rest) > 1:
        raise ValueError(
            f"Only one subnetwork can have the rest, `...`; here {' and '.join(rest)}."
        )
    places = {
        name: region_indices(f"subnetworks[{name!r}]", chosen, labels, count)
        for name, chosen in regions.items()
        if name not in rest
    }
    owners: list[list[str]] = [[] for _ in range(count)]
    for name, place in places.items():
        for n in place:
            owners[n].append(name)
    if rest:
        places[rest[0]] = np.array([n for n, names in enumerate(owners) if not names], np.int64)
    for n, names in enumerate(owners):
        called = f"region {n}" + (f" ({labels[n]!r})" if labels else "")
        if len(set(names)) < len(names):
            raise ValueError(
                f"`subnetworks[{names[0]!r}]` has {called} twice. A mask must be of booleans: numbers "
                "are indices."
            )
        if len(names) > 1:
            raise ValueError(
                f"`subnetworks` give {called} more than one model: it is in {' and '.join(names)}."
            )
        if not names and not rest:
            alone = sum(not each for each in owners)
            others = f" Nor do {alone - 1} others." if alone > 1 else ""
            raise ValueError(
                f"`subnetworks` give {called} no model.{others} Name it in one, or give one of them "
                "`...`, all regions that no other has."
            )
    for name in regions:
        if not len(places[name]):
            raise ValueError(f"`subnetworks[{name!r}]` has no region.")
    return {name: places[name] for name in regions}


def _require_its_ends(projection: str, wire: Wire) -> None:
    """Refuse a wire of other subnetworks: between two of one size its weights would fit."""
    source, _, target = projection.partition(ARROW)
    sources = [s.part if isinstance(s, Within) else s for s in wire.source]
    ends = [(s.partition(".")[0], source, "reads") for s in sources if isinstance(s, str)]
    ends += [(into.partition(".")[0], target, "drives") for into in wire.into]
    for part, wanted, does in ends:
        if part != wanted:
            raise ValueError(
                f"`wires[{projection!r}]` must lead from {source!r} to {target!r}, as its weights do; "
                f"it {does} {part!r}, where {wanted!r} is wanted."
            )


def _default_wire(nodes: dict[str, Node], projection: str) -> Wire:
    """Return the wire from what one node sends to what another is coupled by."""
    source, _, target = projection.partition(ARROW)
    sent: tuple[tuple[Any, str], ...] = nodes[source].coupled
    driven: tuple[tuple[Any, str], ...] = nodes[target].coupled
    if not sent or not driven:
        raise ValueError(
            f"The nodes of {source!r} and {target!r} do not say what is sent from one to the other: "
            f"give `wires={{{projection!r}: cf.Wire(...)}}`."
        )
    pairs = min(len(sent), len(driven)) if nodes[source] is nodes[target] else 1
    signals = [_of_part(source, signal) for signal, _ in sent[:pairs]]
    own = None
    if source != target and nodes[source] is nodes[target]:
        own = tuple(_of_part(target, signal) for signal, _ in sent[:pairs])
    return Wire(tuple(signals), tuple(f"{target}.{into}" for _, into in driven[:pairs]), own)


def _of_part(part: str, signal: Any) -> Any:
    return f"{part}.{signal}" if isinstance(signal, str) else Within(part, signal)


def _edges_between(
    conn: SparseConnection, targets: np.ndarray, sources: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges between two sets of regions, and their ends there, ordered by these."""
    regions = conn.shape[0]
    target: np.ndarray = _numbers(targets, regions)[np.asarray(conn.target)]
    source: np.ndarray = _numbers(sources, regions)[np.asarray(conn.source)]
    chosen = np.flatnonzero((target >= 0) & (source >= 0))
    chosen = chosen[np.lexsort((source[chosen], target[chosen]))]
    return chosen, target[chosen], source[chosen]


def _sparse_block(
    conn: SparseConnection, targets: np.ndarray, sources: np.ndarray
) -> SparseConnection:
    edges, target, source = _edges_between(conn, targets, sources)
    shape = (len(targets), len(sources))
    return sparse_from_edges(target, source, conn.weights[edges], shape)


def _numbers(regions: np.ndarray, count: int) -> np.ndarray:
    """Return the place of each region among some of them."""
    numbers = np.full(count, -1)
    numbers[regions] = np.arange(len(regions))
    return numbers
