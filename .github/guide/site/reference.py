"""A page per public name, from its docstring, and a list of them per namespace and per room."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from docstrings import (
    HEADINGS,
    LISTS,
    Docstring,
    definitions,
    linker,
    markdown,
    read_docstring,
    signature,
)
from names import names_in, namespaces, page_of, public, source_url

# The rooms whose names stand on `cf.` itself, in the order of a study.
ROOMS = {
    "_connectome": "Connectome",
    "_coupling": "Coupling",
    "_delays": "Delays and histories",
    "_network": "Network",
    "_simulate": "Simulation",
    "_plasticity": "Plasticity",
    "_analysis": "Analysis without a simulation",
    "_fit": "Sweeps, fits and how sure they are",
    "_evolution": "Fits without a gradient",
    "_diagnose": "What is wrong, in words",
    "_core": "Interruption",
}


class Mention(NamedTuple):
    """A page of the guide or of the gallery: its address from the root of the site, and its text."""

    page: str
    title: str
    text: str


def back_links(mentions: Iterable[Mention]) -> dict[str, list[Mention]]:
    """Return the pages that mention each public name."""
    found: dict[str, list[Mention]] = {}
    for mention in mentions:
        for name in names_in(mention.text):
            found.setdefault(name, []).append(mention)
    return found


def name_page(address: str, mentions: Iterable[Mention], extra: str = "", below: str = "") -> str:
    """Return the page of a public name.

    Args:
        address: that name, without `cf.`.
        mentions: the pages that mention it.
        extra: Markdown below the description, before the arguments.
        below: Markdown at the end.
    """
    x, link = public()[address], linker(address)
    parts = [f"# cf.{address}", *_described(address, x, link, 2, extra)]
    if inspect.isclass(x):
        parts += _methods(address, x, link)
    pages = [f"- [{m.title}](/{m.page}.md)" for m in mentions]
    if pages:
        parts += ["## Where it is used", "\n".join(pages)]
    return "\n\n".join([*parts, below]).rstrip() + "\n"


def _described(address: str, x: Any, link: Any, level: int, extra: str = "") -> list[str]:
    doc = _docstring(x)
    called = signature(address, x) if not isinstance(x, property) else f"cf.{address}"
    source = source_url(x.fget if isinstance(x, property) else x)
    parts = [markdown(doc.summary, link), f"```python\n{called}\n```"]
    parts += [f"[Source]({source})"] if source else []
    parts += [part for part in (markdown(doc.text, link), extra) if part]
    hashes = "#" * level
    for name, text in doc.sections.items():
        body = definitions(x, text, link) if name in LISTS else markdown(text, link)
        # Below a method its parts are too many for headings of their own.
        heading = f"{hashes} {HEADINGS[name]}" if level == 2 else f"**{HEADINGS[name]}**"
        parts += [heading, body]
    return parts


def _docstring(x: Any) -> Docstring:
    """Return the docstring of a name; a plain value has that of its class, which says nothing."""
    documented = callable(x) or isinstance(x, property)
    return read_docstring(x) if documented else Docstring("A table of values.", "", {})


def _methods(address: str, x: type, link: Any) -> list[str]:
    parts = []
    fields = {*getattr(x, "_fields", ()), *getattr(x, "__dataclass_fields__", ())}
    for name in dir(x):
        method = inspect.getattr_static(x, name)
        if isinstance(method, classmethod | staticmethod):
            method = getattr(x, name)
        own = getattr(inspect.unwrap(getattr(method, "fget", method)), "__module__", "") or ""
        if (name.startswith("_") and name != "__call__") or name in fields:
            continue
        if not own.startswith("coupling_fn") or inspect.isclass(method):
            continue
        if not inspect.getdoc(method):
            continue
        parts += [f"## `{name}`", *_described(f"{address}.{name}", method, link, 3)]
    return parts


def listing(names: Iterable[str], prefix: str) -> str:
    """Return names with the first line of what each does, as a list that fits a phone, too."""
    lines = []
    for name in names:
        first = markdown(_docstring(public()[name]).summary, linker(name))
        lines += [f"[`{name.removeprefix(prefix)}`](/{page_of(name)}.md)", f": {first}", ""]
    return "\n".join(lines)


def toctree(entries: Mapping[str, str] | Iterable[str], caption: str = "") -> str:
    """Return the hidden list that gives pages their place in the contents, by title or as they are."""
    named = isinstance(entries, Mapping)
    lines = [f"{t} </{p}>" for t, p in entries.items()] if named else [f"/{p}" for p in entries]
    head = [":hidden:"] + ([f":caption: {caption}"] if caption else [])
    return "\n".join(["```{toctree}", *head, "", *lines, "```"])


def rooms() -> dict[str, list[str]]:
    """Return the flat names by the title of their room."""
    found: dict[str, list[str]] = {title: [] for title in ROOMS.values()}
    for name, x in public().items():
        if "." not in name:
            found[ROOMS[x.__module__.split(".")[1]]].append(name)
    return found


def front_page() -> str:
    """Return the first page of the reference: the flat names by room, and the namespaces."""
    parts = ["# Reference", "Every public name has its page here, made from its docstring."]
    rows = []
    for room, module in namespaces().items():
        summary = read_docstring(module).summary
        rows.append(f"[`cf.{room}`](/{page_of(room)}.md)\n: {summary}\n")
    parts += ["## Namespaces", "\n".join(rows)]
    parts.append(toctree({f"cf.{room}": page_of(room) for room in namespaces()}, "Namespaces"))
    for title, names in rooms().items():
        parts += [f"## {title}", listing(names, "")]
        parts.append(toctree({name: page_of(name) for name in names}, title))
    return "\n\n".join(parts) + "\n"


def namespace_page(room: str, names: list[str], above: str = "") -> str:
    """Return the page of a namespace: a table of its names, and their place in the contents."""
    doc = read_docstring(namespaces()[room])
    names = sorted(names, key=lambda name: (inspect.isclass(public()[name]), name))
    parts = [f"# cf.{room}", doc.summary, doc.text, above, listing(names, f"{room}.")]
    parts.append(toctree({name.removeprefix(f"{room}."): page_of(name) for name in names}))
    return "\n\n".join(part for part in parts if part) + "\n"
