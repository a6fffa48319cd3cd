"""Edge lists and graphs: edges from a source to a target with a weight and perhaps a length."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._record import (
    NAMES,
    SHORT,
    Keys,
    Record,
    as_region_data,
    checked_keys,
    last,
    listed,
    require_size,
)
from ._text import Cells, are_names, comments_of, finite, header_of, number

SOURCES = ("source", "src", "from", "pre", "presynaptic", "source_id", "from_id")
TARGETS = ("target", "dst", "to", "post", "postsynaptic", "target_id", "to_id")
# Names of two ends that do not say which is the source.
ENDS = (("i", "j"), ("row", "col"), ("row", "column"), ("node1", "node2"), ("roi1", "roi2"))
WHOLE = re.compile(r"[-+]?\d+")
PLACES = (("x", "y", "z"), ("dn_position_x", "dn_position_y", "dn_position_z"))
POSITIONS = (*NAMES["centres"], *SHORT["centres"], "pos", "dn_position")


class Edge(NamedTuple):
    """One edge with all that is said of it."""

    source: Any
    target: Any
    values: Mapping[str, Any]


class Graph(NamedTuple):
    """A graph as files have it."""

    nodes: Mapping[Any, Mapping[str, Any]]
    edges: Sequence[Edge]
    directed: bool


def from_graph(graph: Graph, keys: Keys | None) -> Record:
    """Make matrices of a graph. Without a direction, an edge connects both ways."""
    names = dict.fromkeys(name for edge in graph.edges for name in edge.values)
    of_nodes = dict.fromkeys(name for node in graph.nodes.values() for name in node)
    keys = checked_keys(keys, [*names, *of_nodes])
    _require_whole(graph, keys)
    weight = _attribute("weights", names, keys)
    length = _attribute("lengths", names, keys)
    if weight is None:
        way_out = (
            f', only: {listed(names)}. Say which attribute it is: keys={{"weights": ...}}.'
            if names
            else ": give each edge one, named `weight`; 1 where all count alike."
        )
        raise ValueError(f"its edges have no weight{way_out}")
    order = _in_order(list(graph.nodes))
    place = {node: n for n, node in enumerate(order)}
    require_size(f"its matrix of {len(order)} regions", len(order) ** 2)
    matrices = {weight: np.zeros((len(order), len(order)))}
    if length is not None:
        matrices[length] = np.zeros((len(order), len(order)))
    seen = np.zeros((len(order), len(order)), bool)
    for edge in graph.edges:
        source, target = place[edge.source], place[edge.target]
        ways = [(target, source)] + ([] if graph.directed else [(source, target)])
        if any(seen[way] for way in ways):
            raise ValueError(
                f"it has more than one edge from {edge.source} to {edge.target}"
                f"{'' if graph.directed else ', in either direction'}: sum them up, or keep one."
            )
        for way in ways:
            seen[way] = True
            for name, matrix in matrices.items():
                matrix[way] = _number(edge, name)
    nodes = {name: [graph.nodes[node].get(name) for node in order] for name in of_nodes}
    labels, centres, data = _of_nodes(nodes, keys)
    counting = [*map(str, order)] in (
        [str(n + start) for n in range(len(order))] for start in (0, 1)
    )
    taken = {
        weight,
        length,
        *labels,
        *(part for name in centres for part in name.split(", ")),
        *data,
    }
    return Record(
        {weight: matrices[weight]},
        {} if length is None else {length: matrices[length]},
        labels or ({} if counting or "labels" in keys else {"its nodes": [*map(str, order)]}),
        centres,
        {name: (name, values) for name, values in data.items()},
        tuple(name for name in (*names, *of_nodes) if name not in taken),
        one_way(graph),
    )


def one_way(graph: Graph) -> tuple[str, ...]:
    """Warn of a list in which each pair of regions stands once, as lists of undirected edges have it."""
    pairs = {(edge.source, edge.target) for edge in graph.edges if edge.source != edge.target}
    once = graph.directed and not any((b, a) in pairs for a, b in pairs)
    if not once or len(pairs) < max(3, len(graph.nodes)):
        return ()
    return (
        "every pair of regions has an edge in one direction alone. If the edges have no direction, add "
        "the other ones: cf.Connectome(W + W.T, ...), or cf.surgery.symmetrize(connectome) at half the "
        "weight.",
    )


def _attribute(part: str, names: Mapping[str, Any], keys: Keys) -> str | None:
    """Return the attribute of edges that is a part: by keys, by its name, or the only one."""
    if part in keys:
        return keys[part]
    for known in (NAMES[part], SHORT[part]):
        found = [name for name in names if last(name) in known and name not in keys.values()]
        if len(found) > 1:
            raise ValueError(
                f"its edges have more than one attribute for the {part}: {listed(found)}. Say which it "
                f"is: keys={{{part!r}: ...}}."
            )
        if found:
            return found[0]
    return None


def _require_whole(graph: Graph, keys: Keys) -> None:
    """Refuse keys of labels and centres that are no attribute of all nodes."""
    for part in ("labels", "centres"):
        name = keys.get(part)
        if name is not None and not all(name in values for values in graph.nodes.values()):
            raise ValueError(
                f"`keys` asks for {name!r} as the {part}, but not all of its nodes have it."
            )


def _number(edge: Edge, name: str) -> float:
    value = edge.values.get(name)
    try:
        found = number(value, comma=False) if isinstance(value, str) else float(value)  # pyright: ignore
    except (TypeError, ValueError):
        found = None
    if found is None:
        has = "no " + name if value is None else f"{name} {value!r}, not a number"
        way_out = (
            ' Give it one, or leave all lengths out: keys={"lengths": None}.'
            if last(name) in (*NAMES["lengths"], *SHORT["lengths"])
            else " Give it one, or leave the edge out."
        )
        raise ValueError(f"the edge from {edge.source} to {edge.target} has {has}.{way_out}")
    return found


def _in_order(nodes: list[Any]) -> list[Any]:
    """Return nodes that are numbered from 0 or from 1 in the order of their numbers, others as given."""
    if not all(WHOLE.fullmatch(str(node)) for node in nodes):
        return nodes
    numbers = sorted((int(str(node)), place) for place, node in enumerate(nodes))
    counted = [number for number, _ in numbers]
    if counted in (list(range(len(nodes))), list(range(1, len(nodes) + 1))):
        return [nodes[place] for _, place in numbers]
    return nodes


def _of_nodes(
    nodes: Mapping[str, list[Any]], keys: Keys
) -> tuple[dict[str, list[str]], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sort what is said of nodes into labels, centres and other data; what some nodes lack is left."""
    whole = {name: values for name, values in nodes.items() if None not in values}
    given = {part: keys[part] for part in ("labels", "centres") if part in keys}
    names = (*NAMES["labels"], *SHORT["labels"])
    labels = given.get("labels", next((name for name in whole if last(name) in names), None))
    place = next((place for place in PLACES if all(name in whole for name in place)), None)
    if place is not None:
        centres = {", ".join(place): np.array([whole[name] for name in place], float).T}
    else:
        # A graph that was drawn has positions in a plane: these are no centres.
        found = given.get(
            "centres",
            next((n for n in whole if last(n) in POSITIONS and _in_space(whole[n])), None),
        )
        place = () if found is None else (found,)
        centres = {} if found is None else {found: np.array(whole[found], float)}
    centres = {} if "centres" in given and given["centres"] is None else centres
    rest = [name for name in whole if name != labels and name not in place]
    data = {
        name: as_region_data(name, np.array(whole[name]))
        for name in rest
        if len({np.shape(value) for value in whole[name]}) == 1
    }
    data = {name: values for name, values in data.items() if values.dtype.kind in "fiubU"}
    return {} if labels is None else {labels: [*map(str, whole[labels])]}, centres, data


def _in_space(places: list[Any]) -> bool:
    """Return whether each of some values is x, y and z."""
    try:
        return np.shape(np.array(places, float)) == (len(places), 3)
    except (TypeError, ValueError):
        return False


# --- lists ----------------------------------------------------------------------------------------


class Columns(NamedTuple):
    """Which columns of a list hold the source, the target, and each attribute."""

    source: int
    target: int
    values: dict[str, int]
    ends: tuple[str, str] | None = None  # names that do not say which is the source


def edge_columns(cells: Cells, keys: Keys | None) -> Columns | None:
    """Return the columns of an edge list; None if the table is no edge list.

    It is one if its header says so, or if, without a header, it has three or four columns: names or
    whole numbers of regions in the first two, and of numbers more rows than columns.
    """
    header = header_of(cells)
    if header is not None:
        names = [name.lower() for name in header]
        source = next((n for n, name in enumerate(names) if name in SOURCES), None)
        target = next((n for n, name in enumerate(names) if name in TARGETS), None)
        ends = next((pair for pair in ENDS if {*pair} <= {*names}), None)
        if ends is not None and source is None and target is None:
            source, target = map(names.index, ends)
        if source is None or target is None or len({*names}) < len(names) or len(names) < 3:
            return None
        values = {
            name or f"column {n + 1}": n
            for n, name in enumerate(header)
            if n not in (source, target)
        }
        if len(values) == 1 and not keys and not _attribute("weights", values, {}):
            values = {"weight": next(iter(values.values()))}
        unclear = (
            (header[source], header[target]) if (names[source], names[target]) in ENDS else None
        )
        return Columns(source, target, values, unclear)
    width = len(cells.rows[0])
    if width not in (3, 4) or any(len(row) != width for row in cells.rows):
        return None
    ends = [cell for row in cells.rows for cell in row[:2]]
    named = all(ends) and are_names(ends, cells)
    ends = [finite(number(end, comma=cells.comma)) for end in ends]
    numbered = all(end is not None and end == abs(round(end)) for end in ends)
    if named or (numbered and len(cells.rows) > width):
        first = [number(cell, comma=cells.comma) for cell in cells.rows[0]]
        if len(cells.rows) == width + 1 and first in ([*range(width)], [*range(1, width + 1)]):
            raise ValueError(
                f"it may be {width + 1} edges, or a matrix below the numbers of its columns. Give its "
                "columns names: source,target,weight for edges, the labels for a matrix."
            )
        return Columns(0, 1, {"weight": 2} | ({"length": 3} if width == 4 else {}))
    return None


def from_edge_list(cells: Cells, columns: Columns, keys: Keys | None) -> Record:
    """Read the rows of an edge list; regions that are numbered are in the order of their numbers."""
    rows = cells.rows[(header_of(cells) is not None) :]
    lines = cells.lines[len(cells.rows) - len(rows) :]
    edges = []
    for line, row in zip(lines, rows, strict=True):
        if len(row) <= max(columns.source, columns.target, *columns.values.values()):
            raise ValueError(f"line {line} of its edges has {len(row)} columns.")
        values = {
            name: row[n] if (x := number(row[n], comma=cells.comma)) is None else x
            for name, n in columns.values.items()
        }
        edges.append(Edge(_whole(row[columns.source]), _whole(row[columns.target]), values))
    names = dict.fromkeys(end for edge in edges for end in (edge.source, edge.target))
    record = from_graph(Graph({name: {} for name in _regions([*names])}, edges, True), keys)
    if columns.ends is not None and any((w != w.T).any() for w in record.weights.values()):
        raise ValueError(
            f"its columns {columns.ends[0]!r} and {columns.ends[1]!r} do not say which region sends and "
            "which receives, and the directions differ: call them source and target. In a list of "
            "W[i, j] as this library has it, i is the target."
        )
    return dataclasses.replace(record, unread=(*record.unread, *comments_of(cells.comments)))


def _whole(name: str) -> str:
    """Write a number of a region without a point."""
    found = finite(number(name, comma=False))
    return name if found is None or found != round(found) else f"{found:.0f}"


def _regions(names: list[str]) -> list[str]:
    """List the regions of an edge list: those that have an edge, in the order of their numbers if any.

    Numbers from 0 or 1 on count all regions, also those without an edge, unless most numbers are left
    out: then they are codes of an atlas.
    """
    if not all(map(WHOLE.fullmatch, names)):
        return names
    numbers = sorted(map(int, names))
    first, after = numbers[0], numbers[-1] + 1
    whole = first in (0, 1) and after - first <= 2 * len(numbers)
    return [str(n) for n in (range(first, after) if whole else numbers)]
