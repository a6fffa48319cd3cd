"""The public names of the package: their pages, their source, and which of them a text mentions."""

import inspect
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pages import FENCE, REPOSITORY

import coupling_fn as cf

MENTION = re.compile(r"\bcf((?:\.[A-Za-z]\w*)+)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@cache
def namespaces() -> dict[str, ModuleType]:
    """Return the public namespaces by name: `nodes`, `observe`, ..."""
    everything = {name: getattr(cf, name) for name in dir(cf)}
    return {name: x for name, x in everything.items() if inspect.ismodule(x)}


@cache
def public() -> dict[str, Any]:
    """Return everything public by its address without `cf.`: `fit`, `observe.bandpass`."""
    rooms = namespaces()
    found = {name: getattr(cf, name) for name in dir(cf) if name not in rooms}
    for room, module in rooms.items():
        names = [name for name in dir(module) if not name.startswith("_")]
        found |= {f"{room}.{name}": getattr(module, name) for name in names}
    return found


@cache
def _clashing() -> set[str]:
    """Return the addresses that differ from another in capitals alone."""
    lower = [name.lower() for name in public()]
    return {name for name in public() if lower.count(name.lower()) > 1}


def page_of(address: str) -> str:
    """Return the page of a name or a namespace, from the root of the site, without its ending.

    Where two names differ in capitals alone (`bootstrap`, `Bootstrap`), the page of the class is
    `Bootstrap-class`, for file systems that do not tell them apart.
    """
    if address in namespaces():
        return f"reference/{address}/index"
    apart = address in _clashing() and inspect.isclass(public()[address])
    return f"reference/{address.replace('.', '/')}{'-class' if apart else ''}"


@cache
def resolve(text: str) -> str | None:
    """Return the address on whose page a dotted name stands, or None if there is no such name.

    It may be an attribute of a public one: `Network.init`, `nodes.hopf.Params`, `Params.coupling`.
    """
    parts = text.split(".")
    for end in range(len(parts), 0, -1):
        address = ".".join(parts[:end])
        if address in public():
            return address if _has(public()[address], parts[end:]) else None
        if address in namespaces():
            return address if end == len(parts) else None
    return None


def _has(x: Any, attributes: list[str]) -> bool:
    for name in attributes:
        fields = [vars(base).get("__annotations__", {}) for base in getattr(x, "__mro__", ())]
        if not hasattr(x, name) and not any(name in known for known in fields):
            return False
        x = getattr(x, name, None)
    return True


def mentioned(code: str) -> Iterator[str]:
    """Yield what follows `cf.` in a piece of code, as it is written there: `nodes.hopf.Params`."""
    for found in MENTION.finditer(code):
        yield found[1][1:]


def spans(text: str) -> Iterator[str]:
    """Yield what stands in backticks in a page, outside of its blocks."""
    yield from CODE.findall(FENCE.sub("", text))


def unknown(text: str) -> list[str]:
    """Return the names in a page's backticks, `cf.xyz`, that the package does not have."""
    said = [name for span in spans(text) for name in mentioned(span)]
    return [f"cf.{name}" for name in said if resolve(name) is None]


def names_in(text: str) -> set[str]:
    """Return the public names that a text mentions, in its prose and its code."""
    return {found for name in mentioned(text) if (found := _longest(name)) in public()}


def _longest(name: str) -> str | None:
    """Resolve as much of a name as there is: methods of what a public function returned follow."""
    while name and not (found := resolve(name)):
        name = name.rpartition(".")[0]
    return found if name else None


@cache
def repository() -> str:
    """Return the address of the source, from `urls` in pyproject.toml."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        urls = tomllib.load(file)["project"].get("urls", {})
    named = {name.lower(): url for name, url in urls.items()}
    for name in ("repository", "source", "homepage"):
        if name in named:
            return named[name].rstrip("/")
    raise SystemExit("pyproject.toml must have a Repository among its urls: pages link to it")


@cache
def _revision() -> str:
    """Return the commit whose lines are linked; the version's tag where there is no git."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"v{cf.__version__}"


def file_url(path: Path) -> str:
    """Return the address of a file or folder of the repository."""
    kind = "tree" if path.is_dir() else "blob"
    return f"{repository()}/{kind}/{_revision()}/{path.relative_to(REPOSITORY).as_posix()}"


def source_url(x: Any) -> str | None:
    """Return the address of the lines that define a function or class, None for a plain value."""
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(x))
    except TypeError:
        return None
    path = Path(inspect.getsourcefile(inspect.unwrap(x)) or "").resolve()
    return f"{file_url(path)}#L{first}-L{first + len(lines) - 1}"
