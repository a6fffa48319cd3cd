"""Pages of the guide and studies of the gallery: what stands in them, and what happens when they run."""

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

GUIDE = Path(__file__).parents[1]
REPOSITORY = GUIDE.parents[1]
PICTURE = re.compile(r"!\[([^]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[([^]]*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$\n?", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"^(print\(.*\))  # (.+)$")
MARK = "\x1e"  # a "record separator", which no page prints itself
LONGEST = 900  # [s]


class PageError(Exception):
    """A page or a study does not do what it says."""


class Page(NamedTuple):
    """A page of the guide.

    Attributes:
        path: its file.
        text: all of it.
        title: its first line, without `# `.
        lead: the first paragraph, on one line.
        needs: modules that its code imports and that the tests' extra does not bring, from
            `<!-- needs: numpyro -->`.
        thorough: whether its test is left to the thorough tier, by `<!-- thorough -->`.
    """

    path: Path
    text: str
    title: str
    lead: str
    needs: tuple[str, ...]
    thorough: bool


def read_page(path: Path) -> Page:
    """Read a page; one without a title or a first paragraph is an error."""
    text = path.read_text(encoding="utf-8")
    title, _, rest = text.partition("\n")
    needs = re.findall(r"^<!-- needs: (.*?) -->$", text, re.MULTILINE)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", rest)]
    prose = [part for part in paragraphs if part and not part.startswith("<!--")]
    if not re.match(r"# \S", title):
        raise PageError(f"{path.name}:1: the first line must be a title, `# ...`; it is {title!r}")
    if not prose or re.match(r"[#`|!-]", prose[0]):
        raise PageError(f"{path.name}: a paragraph under the title must say who the page is for")
    modules = tuple(" ".join(needs).replace(",", " ").split())
    return Page(path, text, title[2:].strip(), prose[0], modules, "<!-- thorough -->" in text)


def program(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Return the Python of a page, every line under its own number, and what it says it prints.

    What is said of a `print` at the top level stands behind it: `print(x)  # 0.25`. Such a line is
    put between two marks, and comes back with its number and the text behind it.
    """
    lines, said, inside = [], [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside and line.rstrip() == "```python"
            lines.append("")
        elif not inside:
            lines.append("")
        elif found := EXPECTED.match(line):
            said.append((number, found[2]))
            lines.append(f"print({MARK!r}); {found[1]}; print({MARK!r})")
        else:
            lines.append(line)
    return "\n".join(lines), said


def pictures(text: str) -> list[str]:
    """Return the names of the pictures that a page shows and its own code makes."""
    return [name for _, name in PICTURE.findall(FENCE.sub("", text)) if "/" not in name]


def run_page(page: Page, folder: Path, environment: Mapping[str, str] = {}) -> float:
    """Run the blocks of a page, from top to bottom, in a process of its own, in an empty folder.

    Args:
        page: the page.
        folder: the folder, in which its pictures are left.
        environment: changes of the environment.

    Returns:
        The processor time that it took. [s]

    Raises:
        PageError: if a block fails, a `print` prints something else than the text behind it, or a
            picture that the page shows was not made.
    """
    code, said = program(page.text)
    seconds, output = _run(page.path.name, code, folder, environment)
    got = output.split(f"{MARK}\n")[1::2]
    for (line, wanted), whole in zip(said, got, strict=True):
        if (printed := whole.removesuffix("\n")) != wanted:
            raise PageError(f"{page.path.name}:{line}: it says {wanted!r}, and prints {printed!r}")
    for name in pictures(page.text):
        if not (folder / name).is_file():
            raise PageError(f"{page.path.name} shows {name}, which its code does not make")
    return seconds


class Study(NamedTuple):
    """A study of the gallery: a script that makes a picture of its own name.

    Attributes:
        path: its file.
        title: the first line of its docstring.
        lead: the rest of it, in Markdown.
        code: what follows the docstring.
    """

    path: Path
    title: str
    lead: str
    code: str


def read_study(path: Path) -> Study:
    """Read a study; one that does not compile, lacks a title or makes no picture is an error."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, path.name)
    title, _, lead = (ast.get_docstring(tree) or "").partition("\n")
    if not title or not lead.strip():
        raise PageError(f"{path.name}: its docstring must be a title and, below it, what it shows")
    if f'"{path.stem}.png"' not in text:
        raise PageError(f'{path.name}: it must save its picture as "{path.stem}.png"')
    code = "\n".join(text.splitlines()[tree.body[0].end_lineno or 0 :])
    return Study(path, title.rstrip("."), lead.strip(), code.strip() + "\n")


def run_study(study: Study, folder: Path) -> tuple[float, str]:
    """Run a study in a process of its own; return its processor time [s] and what it printed."""
    text = study.path.read_text(encoding="utf-8")
    seconds, output = _run(study.path.name, text, folder, {})
    if not (folder / f"{study.path.stem}.png").is_file():
        raise PageError(f"{study.path.name} did not make {study.path.stem}.png")
    return seconds, output


def _run(name: str, code: str, folder: Path, environment: Mapping[str, str]) -> tuple[float, str]:
    env = os.environ | {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"} | environment
    before = _time_of_children()
    # The script lies elsewhere, so that the folder is empty, and is a file, so that an error names
    # the line of the page and `inspect.getsource` works as in a user's own script.
    with tempfile.TemporaryDirectory() as elsewhere:
        script = Path(elsewhere) / name
        script.write_text(code, encoding="utf-8")
        command = [sys.executable, str(script)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired as error:
            raise PageError(f"{name} ran for longer than {LONGEST} s") from error
    if done.returncode:
        raise PageError(f"{name} ends with {done.returncode}:\n{done.stderr[-4000:]}")
    return _time_of_children() - before, done.stdout


def _time_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@cache
def _fingerprint() -> str:
    """Return what tells one state of the package and of JAX from another."""
    found = hashlib.sha256(importlib.metadata.version("jax").encode())
    for path in sorted((REPOSITORY / "coupling_fn").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def cached(cache: Path, name: str, content: str, make: Callable[[Path], Any]) -> tuple[Path, Any]:
    """Return the folder of `make(folder)` and its value, made anew only where something changed.

    Args:
        cache: where such folders are.
        name: that of the folder.
        content: what `make` depends on, beside the package and the version of JAX.
        make: writes files into an empty folder, and returns something that JSON can hold.
    """
    key = hashlib.sha256((_fingerprint() + content).encode()).hexdigest()
    folder, note = cache / name, cache / f"{name}.json"
    if note.is_file():
        known = json.loads(note.read_text())
        if known["key"] == key:
            return folder, known["value"]
        note.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    value = make(folder)
    note.write_text(json.dumps({"key": key, "value": value}))
    return folder, value
