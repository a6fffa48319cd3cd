"""Build the site: `python .github/guide/site/build.py OUT` writes it to OUT/html.

Every block of the guide and every study of the gallery runs, and makes its pictures; each public name
gets its page; then Sphinx builds all, strictly: a broken link, a name that there is not, a page
without a title or a place in the contents, or a formula that cannot be drawn ends it with an error.
What ran is kept in OUT/cache, and runs again only where the page, the package or JAX changed. With
`--quick` nothing runs and no HTML is written, but all of Sphinx's checks are made.
"""

import argparse
import base64
import inspect
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import contents
import jax
import names
import nodes
import pages
import reference
from pages import GUIDE, LINK, PICTURE, REPOSITORY, PageError
from sphinx.cmd.build import build_main

import coupling_fn as cf

CHANGELOG = REPOSITORY / ".github" / "CHANGELOG.md"
# What stands in place of pictures where nothing is run: a transparent dot.
BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Site:
    """The pages that Sphinx will read, in a folder.

    Attributes:
        source: that folder.
        cache: where pictures and times of earlier builds are kept.
        quick: whether nothing is run, so that pictures are blank.
    """

    def __init__(self, out: Path, quick: bool):
        self.source, self.cache, self.quick = out / "source", out / "cache", quick
        self.written: set[Path] = set()

    def write(self, page: str, text: str) -> None:
        """Write a page; one that is as it was stays untouched, so that Sphinx leaves it alone."""
        path = self.source / f"{page}.md"
        self.written.add(path)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def picture(self, address: str, found: Path | None) -> None:
        """Copy a picture, or write a blank one where there is none."""
        path = self.source / address
        self.written.add(path)
        data = BLANK if found is None else found.read_bytes()
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def clear(self) -> None:
        """Remove what an earlier build wrote and this one did not."""
        for path in [*self.source.rglob("*.*")]:
            if path.is_file() and path not in self.written:
                path.unlink()


def say(text: str) -> None:
    """Print at once, because a build is long."""
    print(text, flush=True)


def outside(text: str, folder: Path) -> str:
    """Turn the links that a page has to other files of the repository into those of the site.

    Pages of the guide stay as they are, a study becomes its page, and whatever the site does not
    hold is linked where the source is published.
    """

    def turn(found: re.Match[str]) -> str:
        words, target = found[1], found[2]
        if re.match(r"[a-z]+:|#|/", target):
            return found[0]
        file, mark, anchor = target.partition("#")
        path = Path(os.path.normpath(folder / file))
        if not path.exists() and path.parent != GUIDE:
            raise PageError(f"a link to {target}, which is not there")
        if path.parent == GUIDE and path.suffix == ".md":
            return found[0]
        if path == CHANGELOG:
            return f"[{words}](/changelog.md{mark}{anchor})"
        if path == GUIDE / "gallery":
            return f"[{words}](/gallery/index.md)"
        if path.parent == GUIDE / "gallery" and path.suffix == ".py":
            return f"[{words}](/gallery/{path.stem}.md)"
        return f"[{words}]({names.file_url(path)}{mark}{anchor})"

    # Links in blocks are code.
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if i % 2 else LINK.sub(turn, part) for i, part in enumerate(parts))


def add_guide(site: Site) -> Iterator[reference.Mention]:
    """Run and write the pages of the guide, and the page that lists them."""
    listed = []
    for group, members in contents.GROUPS.items():
        there = [name for name in members if (GUIDE / f"{name}.md").is_file()]
        if not there:
            continue
        listed.append(f"## {group}")
        rows = []
        for name in there:
            page = add_page(site, name)
            yield reference.Mention(name, page.title, page.text)
            rows.append(f"- [{page.title}](/{name}.md): {page.lead}")
        listed += ["\n".join(rows), reference.toctree(there, group)]
    site.write("guide", "\n\n".join(["# Guide", *listed]) + "\n")
    known = {*contents.PAGES, "index"}
    if lost := {path.stem for path in GUIDE.glob("*.md")} - known:
        raise PageError(f"{lost} have no place in contents.py")
    add_page(site, "index", f"\n{reference.toctree(TOP)}\n")
    site.write("changelog", outside(CHANGELOG.read_text(encoding="utf-8"), CHANGELOG.parent))


TOP = {
    "Guide": "guide",
    "Reference": "reference/index",
    "Gallery": "gallery/index",
    "Changelog": "changelog",
}


def add_page(site: Site, name: str, below: str = "") -> pages.Page:
    """Run a page and write it with its pictures, and what else is to stand at its end."""
    page = pages.read_page(GUIDE / f"{name}.md")
    folder = None
    if not site.quick and pages.program(page.text)[0].strip():

        def make(folder: Path) -> float:
            return pages.run_page(page, folder)

        folder, seconds = pages.cached(site.cache, f"page-{name}", page.text, make)
        say(f"{name}: {seconds:.0f} s")
    for picture in pages.pictures(page.text):
        site.picture(picture, folder / picture if folder else None)
    for _, target in PICTURE.findall(page.text):
        if "/" in target:
            site.picture(Path(target).name, Path(os.path.normpath(GUIDE / target)))
    # A picture of the repository lies beside the page here.
    text = PICTURE.sub(lambda found: f"![{found[1]}]({Path(found[2]).name})", page.text)
    site.write(name, outside(text, GUIDE) + below)
    return page


def add_gallery(site: Site) -> Iterator[reference.Mention]:
    """Run the studies of the gallery, and write a page of each and one with all their pictures."""
    cards, studies = [], []
    for path in sorted((GUIDE / "gallery").glob("*.py")):
        study, name = pages.read_study(path), path.stem
        parts = [f"# {study.title}", outside(study.lead, path.parent)]
        parts.append(f"![{study.title}.](./{name}.png)")
        found = None
        if not site.quick:

            def make(folder: Path, study: pages.Study = study) -> tuple[float, str]:
                return pages.run_study(study, folder)

            content = path.read_text(encoding="utf-8")
            folder, (seconds, output) = pages.cached(site.cache, f"study-{name}", content, make)
            say(f"gallery, {name}: {seconds:.0f} s")
            found = folder / f"{name}.png"
            if output.strip():
                parts.append(f"It prints:\n\n```text\n{output.rstrip()}\n```")
            parts.append(f"It took {seconds:.0f} s of one processor (JAX {jax.__version__}).")
        parts += [f"```python\n{study.code}```", f"[Source]({names.file_url(path)})"]
        site.picture(f"gallery/{name}.png", found)
        site.write(f"gallery/{name}", "\n\n".join(parts) + "\n")
        yield reference.Mention(f"gallery/{name}", study.title, study.code)
        studies.append(name)
        cards.append(f"[![{study.title}.](./{name}.png) {study.title}]({name}.md)")
    index = ["# Gallery", "Studies of 20 to 60 lines, each with its picture and its time."]
    index += ["\n\n".join(["````{container} gallery", *cards, "````"])] if cards else []
    index += [reference.toctree([f"gallery/{name}" for name in studies])] if studies else []
    site.write("gallery/index", "\n\n".join(index) + "\n")


def add_reference(site: Site, mentions: list[reference.Mention]) -> None:
    """Write the pages of all public names, and those of nodes with their pictures."""
    back = reference.back_links(mentions)
    catalog, agreement = cf.nodes.catalog(), nodes.known_agreement()
    if agreement is None and not site.quick:
        compared = (REPOSITORY / "tests" / "reference").glob("*.[pn]*")
        content = "".join(f"{path.name}{path.stat().st_size}" for path in sorted(compared))
        _, agreement = pages.cached(site.cache, "agreement", content, nodes.measure_agreement)
    classes: list[str] = []
    for address in names.public():
        room, _, name = address.rpartition(".")
        extra = below = ""
        if room == "nodes" and name in catalog:
            site.picture(f"{names.page_of(address)}.png", None if site.quick else drawn(site, name))
            extra = nodes.describe(name, catalog[name], agreement)
            owned = [f"nodes.{kind.__name__}" for kind in own_classes(catalog[name])]
            classes += owned
            below = reference.toctree({x.split(".")[1]: names.page_of(x) for x in owned})
        elif room == "nodes" and name in nodes.APART:
            extra = nodes.compared(name, agreement)
        text = reference.name_page(address, back.get(address, ()), extra, below)
        site.write(names.page_of(address), text)
    for room in names.namespaces():
        inside = [x for x in names.public() if x.startswith(f"{room}.") and x not in classes]
        site.write(names.page_of(room), reference.namespace_page(room, inside))
    site.write("reference/index", reference.front_page())


def own_classes(node: cf.nodes.Node) -> list[type]:
    """Return the classes of a node's parameters and state that no other node has."""
    others = [x for x in cf.nodes.catalog().values() if x is not node]
    kinds = (node.Params, node.State)
    return [kind for kind in kinds if not any(kind in (x.Params, x.State) for x in others)]


def drawn(site: Site, name: str) -> Path:
    """Return the picture of a node, drawn anew where the package changed."""

    def make(folder: Path) -> None:
        say(f"the picture of {name}")
        nodes.draw(name, folder / f"{name}.png")

    content = inspect.getsource(nodes.draw)
    folder, _ = pages.cached(site.cache, f"node-{name}", content, make)
    return folder / f"{name}.png"


def main() -> None:
    """Build the site, or end with an error that says what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to build in; the site is its html/")
    parser.add_argument(
        "--quick", action="store_true", help="check all, but run no code and write no HTML"
    )
    options = parser.parse_args()
    site = Site(options.out.resolve(), options.quick)
    try:
        mentions = [*add_guide(site), *add_gallery(site)]
        add_reference(site, mentions)
    except PageError as error:
        raise SystemExit(f"The site was not built. {error}") from error
    site.clear()
    made = ("dummy", "checked") if options.quick else ("html", "html")
    settings = str(Path(__file__).parent)
    # In one process: a fork of a process that holds JAX may hang.
    command = ["-b", made[0], "-W", "-n", "--keep-going", "-q", "-c", settings]
    sys.exit(build_main([*command, str(site.source), str(options.out.resolve() / made[1])]))


if __name__ == "__main__":
    main()
