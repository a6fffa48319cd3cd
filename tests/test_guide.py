"""Every page of the guide runs and prints what it says, has its place, and names what there is."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest

SITE = Path(__file__).parents[1] / ".github" / "guide" / "site"
sys.path.append(str(SITE))
contents, names, pages = map(importlib.import_module, ("contents", "names", "pages"))

PATHS = sorted(pages.GUIDE.glob("*.md"))
STUDIES = sorted((pages.GUIDE / "gallery").glob("*.py"))
# As in test_readme.py; the site itself is built as for a user.
QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
AS_USER = {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}


def page_cases():
    for path in PATHS:
        marks = [pytest.mark.thorough] if pages.read_page(path).thorough else []
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", [*page_cases()])
def test_a_page_runs_and_prints_what_it_says(path, tmp_path):
    page = pages.read_page(path)
    for module in page.needs:
        if not importlib.util.find_spec(module):
            pytest.skip(f"{path.name} needs {module}")
    as_user = os.environ.get("COUPLING_FN_COMPILE") == "user"
    pages.run_page(page, tmp_path, AS_USER if as_user else QUICKLY)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_page_has_only_names_and_links_that_there_are(path):
    text = pages.read_page(path).text
    assert not names.unknown(text)
    prose = pages.FENCE.sub("", text)
    for _, target in pages.LINK.findall(prose) + pages.PICTURE.findall(prose):
        local = "/" in target or target.endswith(".md")  # a bare picture is made by the page
        if local and ":" not in target:
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_every_page_has_its_place_in_the_contents_and_the_other_way_round():
    assert len(set(contents.PAGES)) == len(contents.PAGES)
    assert {path.stem for path in PATHS} == {*contents.PAGES, "index"}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_compiles_and_has_a_title_a_text_and_a_picture(path):
    study = pages.read_study(path)
    compile(study.path.read_text(encoding="utf-8"), path.name, "exec")
    assert not names.unknown(study.lead)


GOOD = """# Title

For somebody.

```python
x = 0.25
print("aside")
print(f"{x:.1f}")  # 0.2
```

```py
this is another library's
```

![A picture.](a.png)

```python
open("a.png", "w").close()
print(x)  # 0.25
```
"""


def run(text, tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "page.md"
    path.write_text(text)
    return pages.run_page(pages.read_page(path), tmp_path / "run")


def test_a_good_page_passes(tmp_path):
    assert run(GOOD, tmp_path) > 0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("# 0.25", "# 0.26", r"page.md:19: it says '0.26', and prints '0.25'"),
        ("x = 0.25", "x = 1 / 0", r'page.md", line 6(?s:.*)ZeroDivisionError'),
        ('open("a.png", "w").close()', "", "shows a.png, which its code does not make"),
        ("# Title", "Title", "the first line must be a title"),
        ("For somebody.\n", "", "must say who the page is for"),
    ],
)
def test_a_page_that_does_not_hold_is_refused(was, now, message, tmp_path):
    with pytest.raises(pages.PageError, match=message):
        run(GOOD.replace(was, now), tmp_path)


def test_names_are_found_and_missed():
    assert names.resolve("nodes.hopf.Params") == "nodes.hopf"
    assert names.resolve("Params.coupling") == "Params"
    assert names.resolve("Network.start") is None
    text = "`cf.fit(loss)`, `cf.observe.nothing` and\n```python\ncf.neither\n```\n"
    assert names.unknown(text) == ["cf.observe.nothing"]
    assert names.names_in("`cf.fit` cf.nodes.catalog().values() cf.Network.init") == {
        "fit",
        "nodes.catalog",
        "Network",
    }


def test_every_public_name_has_a_page_of_its_own():
    found = [names.page_of(name).lower() for name in names.public()]
    found += [names.page_of(name) for name in names.namespaces()]
    assert len({*found}) == len(found) > 300
