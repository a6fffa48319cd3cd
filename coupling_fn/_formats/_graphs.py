"""Graphs: GraphML, and those of networkx, which is recognised by what it offers and never imported."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ._edges import Edge, Graph, from_graph
from ._record import Keys, Record

_READ: dict[str, Callable[[str], Any]] = {
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: text.strip().lower() in ("true", "1"),
}


def is_graph(x: Any) -> bool:
    """Return whether `x` is a graph of networkx."""
    return all(hasattr(x, name) for name in ("nodes", "edges", "is_directed", "is_multigraph"))


def from_networkx(graph: Any, keys: Keys | None) -> Record:
    """Take the nodes and edges of a graph of networkx."""
    nodes = {node: dict(values) for node, values in graph.nodes(data=True)}
    edges = [
        Edge(source, target, dict(values)) for source, target, values in graph.edges(data=True)
    ]
    return from_graph(Graph(nodes, edges, graph.is_directed()), keys)


def from_graphml(data: bytes, keys: Keys | None) -> Record:
    """Read GraphML."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # Entities can expand to any size.
        raise ValueError("it declares a document type, which GraphML does not need: remove it.")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error
    graphs = [x for x in root.iter() if _tag(x) == "graph"]
    if len(graphs) != 1:
        raise ValueError(
            f"it must hold one graph; it holds {len(graphs) or 'none'}. Save each alone."
        )
    (graph,) = graphs
    kinds = {x.get("id"): x for x in root.iter() if _tag(x) == "key"}
    directed = graph.get("edgedefault", "directed") == "directed"
    ends = [x for x in graph if _tag(x) == "edge"]
    if any(x.get("directed", str(directed).lower()) != str(directed).lower() for x in ends):
        raise ValueError(
            "some of its edges are directed, and others are not: give both directions."
        )
    nodes = {}
    for x in graph:
        if _tag(x) == "node" and x.get("id") in nodes:
            raise ValueError(f"it has more than one node {x.get('id')!r}.")
        if _tag(x) == "node":
            nodes[x.get("id")] = _values(x, "node", kinds)
    edges = [Edge(x.get("source"), x.get("target"), _values(x, "edge", kinds)) for x in ends]
    unknown = next((end for edge in edges for end in edge[:2] if end not in nodes), None)
    if unknown is not None or not nodes:
        raise ValueError(
            f"it has an edge of {unknown!r}, which is no node of it."
            if nodes
            else "it has no nodes."
        )
    return from_graph(Graph(nodes, edges, directed), keys)


def _tag(x: Any) -> str:
    return x.tag.rpartition("}")[2]


def _values(x: Any, of: str, kinds: dict[Any, Any]) -> dict[str, Any]:
    """Return what is said of a node or an edge, with the defaults of what is not said."""
    found = {
        key: _tagged(kind, "default")
        for key, kind in kinds.items()
        if kind.get("for") in (of, "all", None) and _tagged(kind, "default") is not None
    }
    found |= {y.get("key"): (y.text or "") for y in x if _tag(y) == "data"}
    named = {}
    for key, text in found.items():
        kind = kinds.get(key, {})
        name, read = str(kind.get("attr.name", key)), _READ.get(kind.get("attr.type", ""), str)
        try:
            named[name] = read(text or "")
        except ValueError:
            wanted = kind.get("attr.type")
            ends = " ".join(filter(None, map(x.get, ("id", "source", "target"))))
            raise ValueError(
                f"the {of} {ends} has {name} {text!r}, which is no {wanted}, as its key says."
            ) from None
    return named


def _tagged(x: Any, tag: str) -> str | None:
    return next((y.text or "" for y in x if _tag(y) == tag), None)
