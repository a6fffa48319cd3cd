"""Docstrings as Markdown: sections, arguments, examples, and links to the names that they mention."""

import ast
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from names import CODE, namespaces, page_of, public, resolve

HEADINGS = {
    "Args": "Arguments",
    "Attributes": "Attributes",
    "Auxiliary": "Auxiliary quantities",
    "Returns": "Returns",
    "Raises": "Raises",
    "Warns": "Warns",
    "Source": "Source",
    "Example": "Example",
}
LISTS = {"Args", "Attributes", "Auxiliary", "Raises", "Warns"}
SECTION = re.compile(rf"^({'|'.join(HEADINGS)}):$\n", re.MULTILINE)
FORMULA = re.compile(r"\$[^$]+\$")
BLOCK = re.compile(r"(^>>> .*?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


class Docstring(NamedTuple):
    """A docstring in parts: its first line, what follows, and its sections by name."""

    summary: str
    text: str
    sections: dict[str, str]


def read_docstring(x: Any) -> Docstring:
    """Split the docstring of anything at its sections, `Args:` and so on."""
    head, *rest = SECTION.split(inspect.getdoc(x) or "")
    summary, _, text = head.partition("\n\n")
    names, bodies = rest[::2], rest[1::2]
    sections = {n: textwrap.dedent(b).strip() for n, b in zip(names, bodies, strict=True)}
    return Docstring(" ".join(summary.split()), text.strip(), sections)


def entries(section: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the text of each entry of a section such as `Args:`."""
    for entry in re.split(r"\n(?=\S)", section):
        names, _, text = entry.partition(":")
        yield names.strip(), inspect.cleandoc(text)


def linker(address: str) -> Callable[[str], str]:
    """Return a function that links the names in the docstring of `address`, written in backticks.

    A docstring says `fit` for `cf.fit`, and within a namespace `bandpass` for
    `cf.observe.bandpass`. Arguments and attributes of the documented name stay as they are.
    """
    room, _, own = address.rpartition(".")
    x = public()[address]
    taken = {own, *namespaces()}
    for section in ("Args", "Attributes"):
        for names, _ in entries(read_docstring(x).sections.get(section, "")):
            taken |= set(re.findall(r"\w+", names))
    if callable(x):
        taken |= set(inspect.signature(x).parameters)

    def link(found: re.Match[str]) -> str:
        name = re.match(r"(?:cf\.)?([A-Za-z][\w.]*)", found[1])
        if name is None or name[0].startswith("cf."):  # those are linked everywhere, by `links`
            return found[0]
        said = name[1].rstrip(".")
        rest = found[1][len(said) :]
        whole = not rest or rest.startswith("(")
        if not whole or (said.split(".")[0] in taken and "." not in said):
            return found[0]
        target = resolve(f"{room}.{said}" if room else said) or resolve(said)
        if target is None or target in (address, *namespaces()):
            return found[0]
        return f"[{found[0]}](/{page_of(target)}.md)"

    return lambda text: CODE.sub(link, text)


def markdown(text: str, link: Callable[[str], str]) -> str:
    """Return prose of a docstring as Markdown: its examples become blocks, its names links."""
    parts = BLOCK.split(text)
    for i, part in enumerate(parts):
        # A formula on one line: a minus in front of its second would begin a list.
        prose = FORMULA.sub(lambda found: " ".join(found[0].split()), part)
        parts[i] = f"```pycon\n{part}\n```" if i % 2 else link(prose)
    return "".join(parts)


def definitions(x: Any, section: str, link: Callable[[str], str]) -> str:
    """Return the entries of a section as a list of definitions, each with its type and default."""
    lines = []
    declared = declarations(x)
    for names, text in entries(section):
        term = ", ".join(f"`{name}`" for name in re.split(r",\s*", names))
        # Of several names under one text, the first speaks for all.
        kind, default = declared.get(names.split(",")[0].strip("* "), ("", ""))
        term += ": " + link(f"`{kind}`") if kind else ""
        term += f", by default `{default}`" if default else ""
        body = textwrap.indent(markdown(text, link), "  ").strip()
        body = re.sub(r"^(\d+)\.", r"\1\\.", body)  # "1." is a number here, not a list
        lines += [term, f": {body or '&nbsp;'}", ""]
    return "\n".join(lines)


@cache
def _definition(x: Any) -> ast.ClassDef | ast.FunctionDef | None:
    """Return what the source says of a function or class; None where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(x)))
    except (TypeError, OSError):
        return None
    (statement,) = _Spelled(inspect.unwrap(x)).visit(ast.parse(source)).body
    known = isinstance(statement, ast.ClassDef | ast.FunctionDef)
    return statement if known else None  # pyright: ignore


class _Spelled(ast.NodeTransformer):
    """Writes out what stands for a choice of words: `Literal["step", "stage"]` in place of `Hold`."""

    def __init__(self, x: Any):
        self.known = vars(sys.modules[x.__module__])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.known.get(node.id)
        if typing.get_origin(value) is typing.Literal:
            return ast.parse(repr(value).removeprefix("typing."), mode="eval").body
        return node


def declarations(x: Any) -> dict[str, tuple[str, str]]:
    """Return the type and the default, as its source has them, of each argument or field of `x`."""
    found: dict[str, tuple[str, str]] = {}
    if not inspect.isclass(x):
        definition = _definition(x)
        return _of_arguments(definition.args) if isinstance(definition, ast.FunctionDef) else {}
    for base in reversed(x.__mro__):
        definition = _definition(base) if base.__module__.startswith("coupling_fn") else None
        for part in definition.body if isinstance(definition, ast.ClassDef) else ():
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                found[part.target.id] = (_unparse(part.annotation), _default(part.value))
            elif isinstance(part, ast.FunctionDef) and part.name == "__init__":
                found |= _of_arguments(part.args)
    return found


def _of_arguments(args: ast.arguments) -> dict[str, tuple[str, str]]:
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    pairs += [(arg, None) for arg in (args.vararg, args.kwarg) if arg is not None]
    return {a.arg: (_unparse(a.annotation), _default(value)) for a, value in pairs}


def _unparse(x: ast.expr | None) -> str:
    """Return an expression as text, shapes without the blank that jaxtyping asks for in front."""
    if isinstance(x, ast.Constant) and isinstance(x.value, str):
        return x.value
    return "" if x is None else re.sub(r"(['\"]) ", r"\1", ast.unparse(x)).replace("'", '"')


def _default(value: ast.expr | None) -> str:
    """Return a default as text; that of a field is what `field(default=...)` says."""
    if isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "field":
        given = {word.arg: word.value for word in value.keywords}
        return _unparse(given.get("default"))
    text = _unparse(value)
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        text = f'"{text}"'
    return "..." if text.startswith("_") else text


def signature(address: str, x: Any) -> str:
    """Return how a name is called, a line per argument where one line is too short."""
    if not callable(x):
        return f"cf.{address} = {dict(x) if hasattr(x, 'items') else x!r}"
    declared = declarations(x)
    arguments, star = [], False
    for name, parameter in inspect.signature(x).parameters.items():
        if name == "self":
            continue
        kind, default = declared.get(name, ("", ""))
        if default == "" and parameter.default is not inspect.Parameter.empty:
            default = "..." if callable(parameter.default) else repr(parameter.default)
            default = default if len(default) < 30 else "..."
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            arguments.append("*")
        star |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = stars.get(parameter.kind, "") + name + (f": {kind}" if kind else "")
        if default:
            text += f" = {default}" if kind else f"={default}"
        arguments.append(text)
    definition = _definition(x)
    returns = definition.returns if isinstance(definition, ast.FunctionDef) else None
    end = f") -> {_unparse(returns)}" if returns is not None else ")"
    line = f"cf.{address}({', '.join(arguments)}{end}"
    if len(line) <= 80:
        return line
    return f"cf.{address}(\n" + "".join(f"    {a},\n" for a in arguments) + end
