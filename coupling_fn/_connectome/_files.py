"""Connectomes from files, tables and graphs, and back: what a record of `_formats` holds must agree."""

import dataclasses
import io
import os
import secrets
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._core import require_choice
from .._formats import (
    LENGTHS,
    PREFIX,
    SURGERY,
    Record,
    minus_one_is_missing,
    name_of,
    naming,
    read_record,
    read_table_of,
)
from ._connectome import Connectome
from ._edge_list import edge_list, in_one_triangle
from ._regions import Origin

_TRIANGLE = (
    "all its weights are in one triangle of the matrix, as tractography writes them that counts each "
    "tract once: read so, every tract runs in one direction alone. Fill in the other half: "
    "cf.surgery.symmetrize(connectome) gives each direction half of the weight, and "
    "cf.Connectome(W + W.T, ...) all of it."
)
_LENGTHS_TRIANGLE = (
    "its lengths are in one triangle of the matrix, but its weights are in both: half of the tracts "
    "have a length of 0, and act without a delay. Fill in the other half: L + L.T."
)
_MINUS_ONE = (
    "the only negative weight is -1, {} times, as files have it where a tract is missing. If it means "
    "that, write 0 there: cf.Connectome(jnp.where(W == -1, 0, W), ...)."
)
_FISHER = (
    "it is infinite on its diagonal alone: these look like correlations as Fisher's z, not like "
    "weights. They are what a run is compared with (after tanh), not what couples it."
)


def load_connectome(
    source: Any,
    lengths: Any = None,
    *,
    keys: Mapping[str, str | None] | None = None,
) -> Connectome:
    """Read a connectome from a file, a table or a graph.

    - `.zip` of TVB: `weights`, and optionally `tract_lengths` (`tracts`), `centres` (`centers`,
      `positions`: lines of `label x y z`, of which a fifth column is ignored), `areas`, `orientations`,
      `cortical` and `hemispheres`, as `.txt` or `.txt.bz2`, in a folder or behind a prefix or not.
    - `.h5` (needs h5py): the same as datasets, as TVB writes them.
    - `.npz`, `.mat` (needs scipy; of version 7.3, h5py): arrays of these names, or `SC`, `C`, `Cmat`,
      `CIJ`, `connectivity` for the weights, `len`, `SClen`, `D`, `distances` for the lengths, `labels`,
      `region_labels`, `names` for the labels, and the like; or one only matrix.
    - `.csv`, `.tsv`, `.txt`: a matrix, with or without a header and a first column of labels or numbers;
      columns are separated by tabs, semicolons, commas or blanks. Lines of `#` are comments. A table
      with columns `source`, `target`, `weight` and perhaps `length` is a list of edges, and so is one
      of three or four columns without a header.
    - `.graphml`, or a graph of networkx: the attribute `weight`, and perhaps `length`, of edges; what
      all nodes have becomes labels, centres and region data.
    - `.npy`: the weights. A frame of pandas: the weights with their labels, or edges.
    - `tvb:76` (also 66, 68, 96, 192): a connectome of `pip install "coupling_fn[data]"`.

    All matrices are read as `[target, source]`, the orientation of TVB and of this library. If your data
    have the other one, use `cf.from_source_target(cf.load_connectome(path))`. Lists and graphs say
    themselves what is the source. `print` of the result says what was read where, and what was left.

    Args:
        source: the file, the name, the frame or the graph.
        lengths: the lengths in mm from a second file or frame with a matrix, if the first has none.
        keys: what parts are called where the names are not among those above: `{"weights": "A",
            "lengths": None, "labels": "roi"}`, with the names of arrays, of columns or of attributes.
            None leaves a part out. With `lengths`, its `"lengths"` is looked for in the second file.

    Returns:
        Weights, lengths [mm], labels, centres [mm] and region data; None for what is not there.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file, which the error names, is damaged, empty, not square, of an unknown
            kind, larger than 1 GiB when unpacked, holds no weights or something other than numbers,
            or is an archive with a path that leaves its folder; or two parts of it disagree. Pickles
            are never loaded, and nothing is unpacked to disk.
        ImportError: if scipy, h5py or tvb-data is needed and not installed.
        TypeError: if `source` is something else, such as an array.

    Warns:
        UserWarning: if only one triangle of the weights or of the lengths is filled, -1 is the only
            negative weight, or numbers were taken for an index or look like one.

    Source:
        P. Sanz Leon et al., Frontiers in Neuroinformatics 7 (2013) 10, for the format of TVB.

    Example:
        >>> rows = [["", "V1", "V2"], ["V1", "0", "1,5"], ["V2", "2", "0"]]
        >>> np.savetxt("weights.csv", rows, "%s", delimiter=";")
        >>> conn = cf.load_connectome("weights.csv")
        >>> conn.weights.tolist(), conn.labels
        ([[0.0, 1.5], [2.0, 0.0]], ('V1', 'V2'))
    """
    keys = dict(keys or {})
    elsewhere = lengths is not None and keys.get("lengths") is not None
    at_lengths = keys.pop("lengths") if elsewhere else None
    record = read_record(source, keys)
    if lengths is not None:
        if record.lengths:
            raise ValueError(
                f"{name_of(source)} holds lengths itself; leave `lengths` out, or its own by "
                'keys={"lengths": None}.'
            )
        record = _with_lengths(record, lengths, at_lengths)
    with naming(source):
        connectome = _reconciled(record, name_of(source))
    told = (*record.warnings, *_doubts(connectome))
    if any("symmetrize" in x for x in record.warnings):
        told = tuple(x for x in told if x != _TRIANGLE)
    for warning in dict.fromkeys(told):
        warnings.warn(f"{name_of(source)}: {warning}", UserWarning, stacklevel=2)
    return connectome


def _doubts(connectome: Connectome) -> Iterator[str]:
    """List what is probably wrong with a connectome that can be read."""
    edges = edge_list(connectome)
    if in_one_triangle(edges):
        yield _TRIANGLE
    elif connectome.lengths is not None:
        lengths = np.asarray(connectome.lengths)
        lengths = np.where((np.asarray(connectome.weights) != 0) & (lengths > 0), lengths, 0)
        if in_one_triangle(edge_list(lengths)):
            yield _LENGTHS_TRIANGLE
    if minus_one_is_missing(edges.weight):
        yield _MINUS_ONE.format(int((edges.weight == -1).sum()))


def _with_lengths(record: Record, source: Any, key: str | None) -> Record:
    """Add the lengths of a second file, and its labels, with which those of the first must agree."""
    names = LENGTHS if key is None else (key,)
    table, name = read_table_of(source, "tract lengths", names, square=True), name_of(source)
    beside = {f"{name}, header": table.columns, f"{name}, first column": table.rows}
    labels = {place: found for place, found in beside.items() if found is not None}
    return dataclasses.replace(
        record,
        lengths={name: table.values},
        labels=record.labels | labels,
        warnings=record.warnings + table.warnings,
    )


def _reconciled(record: Record, file: str) -> Connectome:
    """Make a connectome of a record whose candidates for each part agree."""
    found = {
        part: _agreed(part, getattr(record, part))
        for part in ("weights", "lengths", "labels", "centres")
    }
    if found["weights"] is None:
        raise ValueError("it holds no weights.")
    _require_one_matrix(*found["weights"])
    parts = [(part, place) for part, one in found.items() if one for place in (one[0],)]
    data = {name: values for name, (_, values) in record.region_data.items()}
    parts += [(f"region_data[{name!r}]", place) for name, (place, _) in record.region_data.items()]
    values = {part: None if one is None else one[1] for part, one in found.items()}
    origin = Origin(file, tuple(parts), record.unread, record.surgery)
    return Connectome(**values, region_data=data, origin=origin)


def _require_one_matrix(place: str, weights: np.ndarray) -> None:
    """Refuse several matrices, and correlations as Fisher's z, which no connectome can be made of."""
    if weights.ndim == 3:
        raise ValueError(
            f"{place} holds several matrices, its shape is {weights.shape}. Take one of them: "
            "cf.Connectome(array[0]), and cf.cohort.stack for those of several subjects."
        )
    square = weights.ndim == 2 and len({*weights.shape}) == 1
    endless = np.isposinf(weights) if square else np.zeros((1, 1), bool)
    if endless.any() and not (endless & ~np.eye(len(endless), dtype=bool)).any():
        raise ValueError(_FISHER)


def _agreed(part: str, candidates: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the places and the value of a part, unless its candidates differ."""
    if not candidates:
        return None
    (first, value), *others = candidates.items()
    for place, other in others:
        if part == "labels" and value != other:
            raise ValueError(_differing(first, value, place, other))
        if part != "labels" and not np.array_equal(value, other, equal_nan=True):
            raise ValueError(
                f"its {first} and {place} may both be the {part}, and differ. Say which it is: "
                f"keys={{{part!r}: {place!r}}}."
            )
    return " and ".join(candidates), value


def _differing(first: str, labels: list[str], place: str, other: list[str]) -> str:
    """Say where two lists of labels differ, and whether it is their order alone."""
    if len(labels) != len(other):
        return f"{first} names {len(labels)} regions, and {place} {len(other)}."
    at = next(n for n, (a, b) in enumerate(zip(labels, other, strict=True)) if a != b)
    same = sorted(labels) == sorted(other)
    order = (
        " They are the same in another order: bring one into the order of the other."
        if same
        else ""
    )
    return (
        f"{first} and {place} name the regions differently, first region {at}: {labels[at]!r} and "
        f"{other[at]!r}.{order} Leave out the one that is wrong."
    )


def read_matrix(
    source: Any, what: str, names: tuple[str, ...], labels: tuple[str, ...] | None = None
) -> np.ndarray:
    """Read a matrix that is not a connectome, from any format that holds bare ones.

    Args:
        source: the file.
        what: what it is, for errors.
        names: what it may be called, in a file of several arrays.
        labels: those of the regions that are its rows and columns, or () if these are not known; labels
            beside it must be the same. None if it has other rows, such as sensors, and no labels.
    """
    table = read_table_of(source, what, names, square=labels is not None)
    with naming(source, what):
        for place, found in (("its header", table.columns), ("its first column", table.rows)):
            if labels is None and found is not None:
                raise ValueError(
                    f"it must be numbers alone, without a header or an index: {found[:3]}."
                )
            if labels and found is not None and found != list(labels):
                raise ValueError(_differing("the connectome", list(labels), place, found))
    return table.values


def save_connectome(path: str | os.PathLike[str], connectome: Connectome) -> None:
    """Write a connectome to a file, `.npz` or TVB's `.zip`, that `load_connectome` reads.

    The file is written under another name beside its own and then renamed, so a crash leaves what was
    there before. What surgery did to the connectome, `origin.surgery`, is kept in an `.npz` alone. TVB
    itself also needs lengths, labels and centres: centres that are not known are written as 0 0 0, and
    what else is None is left out.

    Args:
        path: the file; an existing one is replaced.
        connectome: what to write. Numbers keep all their digits, but a `.zip` does not say whether
            they were float32 or float64: they are read back in JAX's default precision.

    Raises:
        ValueError: if the extension is neither of these, or something cannot be written: in a `.zip`
            labels with blanks, centres without labels, and region data other than `areas`,
            `orientations`, `cortical` and `hemispheres`; in an `.npz` words with a NUL at the end.

    Example:
        >>> conn = cf.Connectome([[0, 1], [2, 0]], labels=["V1", "V2"])
        >>> cf.save_connectome("conn.npz", conn)
        >>> cf.load_connectome("conn.npz").labels
        ('V1', 'V2')
    """
    path = Path(path)
    writers = {".npz": _to_npz, ".zip": _to_tvb}
    require_choice("path's extension", path.suffix.lower(), writers)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(beside, "xb") as file:
            writers[path.suffix.lower()](file, connectome)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _to_npz(file: Any, connectome: Connectome) -> None:
    arrays = {"weights": np.asarray(connectome.weights)}
    for name in ("lengths", "centres"):
        if getattr(connectome, name) is not None:
            arrays[name] = np.asarray(getattr(connectome, name))
    if connectome.labels is not None:
        arrays["labels"] = np.array(connectome.labels, dtype=str)
        if arrays["labels"].tolist() != list(connectome.labels):
            raise ValueError("`labels` must not end in a NUL character, which NumPy drops.")
    if connectome.origin.surgery:
        arrays[SURGERY] = np.array(connectome.origin.surgery, dtype=str)
    arrays |= {PREFIX + name: np.asarray(x) for name, x in connectome.region_data.items()}
    np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


_OF_TVB = {
    "areas": "areas.txt",
    "orientations": "average_orientations.txt",
    "cortical": "cortical.txt",
    "hemispheres": "hemispheres.txt",
}


def _to_tvb(file: Any, connectome: Connectome) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.txt", _to_text(connectome.weights))
        if connectome.lengths is not None:
            archive.writestr("tract_lengths.txt", _to_text(connectome.lengths))
        if connectome.labels is not None:
            archive.writestr("centres.txt", _centres(connectome.labels, connectome.centres))
        elif connectome.centres is not None:
            raise ValueError(
                "`labels` must be given where there are `centres`: TVB's .zip has both in one file. "
                "Or save to .npz."
            )
        for name, x in connectome.region_data.items():
            if name not in _OF_TVB or np.asarray(x).dtype.kind == "U":
                raise ValueError(
                    f"`region_data[{name!r}]` has no place in TVB's .zip, which has numbers for "
                    f"{', '.join(_OF_TVB)}. Save to .npz."
                )
            archive.writestr(_OF_TVB[name], _to_text(x))


def _centres(labels: tuple[str, ...], centres: Any) -> str:
    """Write lines of `label x y z`."""
    for label in labels:
        if label.split() != [label]:
            raise ValueError(
                f"`labels` must be words without blanks in TVB's .zip; one is {label!r}. "
                "Rename it, or save to .npz."
            )
    if centres is None:
        return "".join(f"{label} 0 0 0\n" for label in labels)
    return "".join(
        f"{a} {b}\n" for a, b in zip(labels, _to_text(centres).splitlines(), strict=True)
    )


def _to_text(x: Any) -> str:
    text = io.StringIO()
    np.savetxt(text, np.asarray(x, float), fmt="%.17g")  # 17 digits restore a float64 exactly.
    return text.getvalue()
