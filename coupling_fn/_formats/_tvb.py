"""The archives of The Virtual Brain, and those that come with `tvb-data`."""

import dataclasses
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ._archives import Archive
from ._record import NAMES, PARTS, Keys, Record, as_region_data, checked_keys, listed, unread_of
from ._text import decode, number, read_table

SIZES = (66, 68, 76, 96, 192)  # the connectomes in tvb-data
_ENDINGS = (".txt", ".csv", ".tsv", ".bz2")


def bundled(name: str) -> Path:
    """Return the file of a connectome in `tvb-data`, which is asked for by `tvb:76`."""
    size = name.removeprefix("tvb:")
    if size not in map(str, SIZES):
        raise ValueError(f"{name!r} is none of {', '.join(f'tvb:{n}' for n in SIZES)}.")
    return (
        tvb_data(f"{name!r} is one of the connectomes")
        / "connectivity"
        / f"connectivity_{size}.zip"
    )


def tvb_data(what: str) -> Path:
    """Return the folder of tvb-data, which is found without being imported; `what` is for the error."""
    found = importlib.util.find_spec("tvb_data")
    if found is None or not found.submodule_search_locations:
        raise ImportError(f'{what} of tvb-data: pip install "coupling_fn[data]".')
    return Path(found.submodule_search_locations[0])


def from_tvb(data: bytes, keys: Keys | None) -> Record:
    """Read the members of an archive: in a folder or not, behind a prefix or not."""
    archive = Archive(data)
    keys = checked_keys(keys, archive.names)
    members = {part: _members(part, archive.names, keys) for part in NAMES}
    for part, names in members.items():
        if len(names) > 1 and part not in ("labels", "centres"):  # of these, two may agree
            way_out = (
                f"Say which it is: keys={{{part!r}: {names[0]!r}}}."
                if part in PARTS
                else "Leave one in."
            )
            raise ValueError(f"it holds more than one of a kind: {', '.join(names)}. {way_out}")
    if not members["weights"] and keys.get("weights", "") is not None:
        raise ValueError(f"it holds no weights, only: {listed(archive.names)}.")

    def read(part: str, how: Callable[[bytes, str], Any]) -> dict[str, Any]:
        return {name: how(archive[name], f"its {_stem(name)}") for name in members[part]}

    tables = {part: read(part, read_table) for part in ("weights", "lengths")}
    placed = read("centres", _centres)
    more = [f"what follows z in {name}" for name, (*_, follows) in placed.items() if follows]
    labels = {name: names for name, (names, *_) in placed.items() if names is not None}
    labels |= read("labels", _lines)
    for table in (tables["weights"] | tables["lengths"]).items():
        labels |= _beside(*table)
    data_parts = [part for part in NAMES if part not in PARTS]
    held = {part: read(part, _values) for part in data_parts}
    record = Record(
        {name: table.values for name, table in tables["weights"].items()},
        {name: table.values for name, table in tables["lengths"].items()},
        {} if "labels" in keys and keys["labels"] is None else labels,
        {name: xyz for name, (_, xyz, _) in placed.items() if xyz.any()},  # all at 0: not known
        {
            part: (name, as_region_data(part, values))
            for part in data_parts
            for name, values in held[part].items()
        },
        warnings=tuple(w for t in tables.values() for table in t.values() for w in table.warnings),
    )
    names = [name for name in archive.names if name not in placed]
    return dataclasses.replace(record, unread=(*unread_of(record, names), *more))


def _beside(name: str, table: Any) -> dict[str, list[str]]:
    """Return the labels beside a matrix."""
    beside = {f"{name}, header": table.columns, f"{name}, first column": table.rows}
    return {place: labels for place, labels in beside.items() if labels is not None}


def _members(part: str, names: list[str], keys: Keys) -> list[str]:
    """List the members that are a part: by keys, by their name, or by their name behind a prefix."""
    if part in keys:
        return [name for name in (keys[part],) if name is not None]
    names = [name for name in names if name.lower().endswith(_ENDINGS)]
    names = [name for name in names if name not in keys.values()]
    return [name for name in names if _stem(name) in NAMES[part]] or [
        name
        for name in names
        if re.search(rf"[-_. ]({'|'.join(NAMES[part])})$", _stem(name))
        and not any(_stem(name) in others for others in NAMES.values())
    ]


def _stem(name: str) -> str:
    stem = PurePosixPath(name).name.lower()
    while stem.endswith(_ENDINGS):
        stem = stem.rpartition(".")[0]
    return stem


def _lines(data: bytes, what: str) -> list[str]:
    return [line.strip() for line in decode(data, what).splitlines() if line.strip()]


def _values(data: bytes, what: str) -> np.ndarray:
    """Read one row per region: numbers, or else words."""
    lines = _lines(data, what)
    rows = [_numbers(re.split(r"[\s,;]+", line)) for line in lines]
    return np.array(rows) if all(rows) else np.array(lines)


def _centres(data: bytes, what: str) -> tuple[list[str] | None, np.ndarray, bool]:
    """Read lines of `label x y z`, where labels may have blanks, or more may follow, or no label is.

    The last of what is returned is whether more than these follows.
    """
    lines = _lines(data, what)
    for text in (lines, [line.replace(",", " ").replace(";", " ") for line in lines]):
        read = [*_placed([line.split() for line in text])]
        unique = [way for way in read if len({*way[0]}) == len(lines)]
        for labels, xyz in unique + read:
            more = any(labels) and len(text[0].split()) > len(labels[0].split()) + 3
            return (labels if any(labels) else None), np.array(xyz), more
    wrong = (line for line in lines if not any(True for _ in _placed([line.split()])))
    raise ValueError(
        f"lines of {what} must be `label x y z`; one is {next(wrong, lines[0])[:80]!r}."
    )


def _placed(cut: list[list[str]]) -> Iterator[tuple[list[str], list[list[float]]]]:
    """List the ways to read lines of words: the place after one word, at the end, or alone."""
    widths = {*map(len, cut)}
    ways = []
    if len(widths) == 1 and min(widths) > 3:
        ways.append([(words[0], words[1:4]) for words in cut])
    if min(widths) > 3:
        ways.append([(" ".join(words[:-3]), words[-3:]) for words in cut])
    if widths == {3}:
        ways.append([("", words) for words in cut])
    for way in ways:
        places = [_numbers(place) for _, place in way]
        if all(places):
            yield [label for label, _ in way], places


def _numbers(words: list[str]) -> list[float]:
    """Return numbers; none at all if one of the words is no number."""
    found = [number(word, comma=False) for word in words]
    return [x for x in found if x is not None] if None not in found else []
