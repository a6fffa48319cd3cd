"""What a release says of itself: versions, the changelog, forms, and numbers in pages."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import coupling_fn as cf

REPOSITORY = Path(__file__).parents[1]
COMMUNITY = REPOSITORY / ".github"
TABLES = REPOSITORY / "benchmarks" / "tables"
PAGES = [REPOSITORY / "README.md", *sorted((COMMUNITY / "guide").glob("*.md"))]
PAGES += [REPOSITORY / "benchmarks" / "README.md"]


def read(name):
    return (COMMUNITY / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    heading = re.search(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", read("CHANGELOG.md"), re.M)
    cited = dict(re.findall(r'^([a-z-]+): "?([^"\n]+?)"?$', read("CITATION.cff"), re.M))
    assert heading.groups() == (cf.__version__, cited["date-released"])
    assert cited["version"] == cf.__version__ and cited["cff-version"] == "1.2.0"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert cited["license"] == project["license"]
    assert project["authors"][0]["name"] in read("CITATION.cff")


def test_the_changelog_names_what_is_there():
    text = read("CHANGELOG.md").split("### Renamed")
    after = re.findall(r"\|[^|\n]*\|([^|\n]*)\|\n", text[1].split("### Fixed")[0])
    named = re.findall(r"`cf\.([\w.]+)", text[0] + " ".join(after))
    assert len(named) > 30
    for name in named:
        there = cf
        for part in name.split("."):
            there = getattr(there, part)


def test_the_classifiers_are_the_versions_that_are_tested():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    tested = re.search(r"python: \[(.*)\]", (COMMUNITY / "workflows" / "tests.yml").read_text())
    said = re.findall(r"Python :: (3\.\d+)'", str(project["classifiers"]))
    assert said == re.findall(r"3\.\d+", tested[1]) and f">={said[0]}" == project["requires-python"]


def test_pages_name_files_that_are_there():
    """Links of the community files, and the scripts that workflows call."""
    links = []
    for path in COMMUNITY.glob("*.md"):
        for link in re.findall(r"\]\(([^):#]+)\)", path.read_text(encoding="utf-8")):
            links.append((path.name, COMMUNITY / link))
    assert len(links) > 10
    for path in (COMMUNITY / "workflows").glob("*.yml"):
        links += [(path.name, REPOSITORY / x) for x in re.findall(r"\.ci/\w+", path.read_text())]
    assert not [(page, str(target)) for page, target in links if not target.exists()]


def test_no_page_names_the_host_of_a_package_registry():
    hosts = [
        "p" + "ypi.org",
        "files.p" + "ythonhosted",
        "conda." + "anaconda",
        "r" + "egistry.npmjs",
    ]
    paths = [*COMMUNITY.rglob("*.yml"), *COMMUNITY.rglob("*.md"), *(REPOSITORY / ".ci").iterdir()]
    paths += [REPOSITORY / "README.md", REPOSITORY / "pyproject.toml"]
    assert len(paths) > 10
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert not [host for host in hosts if host in text], path


# --- numbers in pages, and the tables that benchmarks wrote -----------------------------------------

MARK = re.compile(r"<!-- table: ([\w-]+) -->\n+((?:\|.*\n?)+)")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]*\.\d)")
# Where a column is in a unit, benchmarks may have written another one.
UNITS = {"µs": 1e6, "ms": 1e3, "%": 100, "GB": 1e-9, "MB": 1e-6, "min": 1 / 60, "h": 1 / 3600}


def marked_tables(text):
    """Yield the name of each marked table, and its rows as lists of cells; the first is the head."""
    for name, table in MARK.findall(text):
        lines = [line.strip().strip("|").split("|") for line in table.strip().splitlines()]
        rows = [[cell.strip() for cell in line] for line in lines]
        yield name, [row for row in rows if not set("".join(row)) <= set("-: ")]


def numbers_in(x):
    """Yield all numbers of a benchmark's JSON, those in its texts, too."""
    if isinstance(x, dict):
        for value in x.values():
            yield from numbers_in(value)
    elif isinstance(x, list):
        for value in x:
            yield from numbers_in(value)
    elif isinstance(x, str):
        yield from (float(n.replace(",", "")) for n in NUMBER.findall(x))
    elif isinstance(x, (int, float)) and not isinstance(x, bool):
        yield float(x)


def plain(text):
    return re.sub(r"[`*_\\]", "", text).strip().lower()


def rows_by_name(written):
    """Map the names of a benchmark's rows to all rows of that name."""
    rows = {}
    for table in written["results"] if isinstance(written, dict) else written:
        for row in table.get("rows", []):
            rows.setdefault(plain(str(row.get("name", row.get("case", "")))), []).append(row)
    return rows


def is_rounded(shown, known, factors):
    """Return whether a number of a page is one of the known ones, rounded as far as it is shown."""
    mantissa, _, power = shown.replace(",", "").partition("e")
    digits = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(power or 0) - digits)
    value = float(shown.replace(",", ""))
    return any(abs(x * factor - value) <= 0.501 * unit for x in known for factor in factors)


def stale(name, rows, written):
    """Return the cells of a marked table with a number that the benchmark has not written.

    A row whose first cell is the name of a row of the benchmark may hold numbers of that row alone.
    """
    head, *body = rows
    by_name, everything = rows_by_name(written), list(numbers_in(written))
    for first, *cells in body:
        known = list(numbers_in(by_name.get(plain(first), []))) or everything
        for column, cell in zip(head[1:], cells, strict=True):
            factors = [
                1.0,
                *(x for unit, x in UNITS.items() if re.search(rf"{unit}\b|{unit}$", column)),
            ]
            for shown in NUMBER.findall(cell):
                if not is_rounded(shown, known, factors):
                    yield f"{name}: {first} | {column}: {cell}"


def test_numbers_in_pages_are_those_that_benchmarks_wrote():
    wrong = []
    for page in PAGES:
        for name, rows in marked_tables(page.read_text(encoding="utf-8")):
            path = TABLES / f"{name}.json"
            assert path.exists(), f"{page.name} shows the table {name}, which no benchmark wrote"
            wrong += stale(f"{page.name}, {name}", rows, json.loads(path.read_text()))
    assert not wrong, "\n".join(wrong)


EXAMPLE = """
<!-- table: speed -->
| | forward, µs | gradient, ms | error |
|---|---|---|---|
| **ours** | 2.35 | 5.7 | 1.2e-7 |
| theirs | 8.8 | 56 | |

| | unmarked |
|---|---|
| ours | 99 |
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [("", "", 0), ("2.35", "2.36", 1), ("56", "57", 1), ("5.7", "56", 1), ("1.2e-7", "1.3e-7", 1)],
)
def test_a_stale_number_is_found(old, new, found):
    """Also where it is the number of another row: 56 ms are theirs, not ours."""
    written = {"results": [{"rows": [{"name": "ours", "s": [2.351e-6, 0.0057], "error": 1.21e-7}]}]}
    written["results"] += [{"rows": [{"name": "theirs", "s": 8.8e-6, "slope": "about 0.056"}]}]
    ((name, rows),) = marked_tables(EXAMPLE.replace(old, new) if old else EXAMPLE)
    assert (name, len(rows)) == ("speed", 3)
    assert len(list(stale(name, rows, written))) == found


def test_every_table_that_is_kept_is_one_that_a_benchmark_writes():
    from_name = {path.stem: json.loads(path.read_text()) for path in TABLES.glob("*.json")}
    assert {"first", "bold"} <= set(from_name)
    for name, written in from_name.items():
        assert list(numbers_in(written)), name


def test_the_kept_table_of_accuracy_has_every_recorded_case():
    from reference.cases import CASES, RUNS

    (table,) = json.loads((TABLES / "accuracy.json").read_text())["results"]
    kept = {(row["model"], row["node"], row["coupling"], row["scheme"]) for row in table["rows"]}
    runs = ((CASES[name], scheme) for name, scheme in RUNS)
    assert kept == {(case.model, case.node, case.coupling, scheme) for case, scheme in runs}
    assert max(float(row["largest error"]) for row in table["rows"]) < 1e-5
