"""What reads which file: by its extension, its name, or what it is; and errors that name it."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._archives import Npz, from_npy, from_npz, read_array
from ._graphs import from_graphml, from_networkx, is_graph
from ._hdf5 import Hdf5, from_hdf5, open_hdf5
from ._matlab import from_mat, held_in_mat
from ._record import NAMES, Held, Keys, Record, as_labels, as_numbers, last, only_matrix, read_all
from ._tables import from_frame, from_text, is_frame, table_of_frame
from ._text import Table, read_table
from ._tvb import bundled, from_tvb

_RECORDS: dict[str, Callable[[bytes, Keys | None], Record]] = {
    ".zip": from_tvb,
    ".npz": from_npz,
    ".mat": from_mat,
    ".h5": from_hdf5,
    ".hdf5": from_hdf5,
    ".graphml": from_graphml,
    ".csv": from_text,
    ".tsv": from_text,
    ".txt": from_text,
    ".npy": from_npy,
}
_HELD: dict[str, Callable[[bytes], Held]] = {
    ".npz": Npz,
    ".mat": held_in_mat,
    ".h5": lambda data: Hdf5(open_hdf5(data)),
    ".hdf5": lambda data: Hdf5(open_hdf5(data)),
}
_HINTS = {
    **dict.fromkeys((".gz", ".bz2", ".tar", ".xz", ".7z"), " Unpack it first."),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), " Save it as .csv."),
    **dict.fromkeys((".pkl", ".pickle"), " A pickle can run any program: save the arrays as .npz."),
    **dict.fromkeys(
        (".gml", ".gexf", ".edgelist"), " Save it as .graphml, or as a table of edges."
    ),
}
_BARE = (".csv", ".txt", ".npy", ".tsv", *_HELD)


def name_of(source: Any) -> str:
    """Return what a source is called in errors."""
    return str(source) if isinstance(source, str | os.PathLike) else f"the {type(source).__name__}"


def read_record(source: Any, keys: Keys | None = None, what: str = "a connectome") -> Record:
    """Read a file, a connectome of tvb-data by its name, a frame of pandas, or a graph of networkx."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        path = bundled(name) if name.startswith("tvb:") else Path(source)
        data = _bytes_of(path, _RECORDS, what)
        with naming(source, what):
            return _RECORDS[path.suffix.lower()](data, keys)
    with naming(source, what):
        if is_frame(source):
            return from_frame(source, keys)
        if is_graph(source):
            return from_networkx(source, keys)
    raise TypeError(
        f"`source` must be a path, a frame of pandas or a graph of networkx, not "
        f"{type(source).__name__}. Of arrays, cf.Connectome(weights, lengths, labels) makes one."
    )


def read_table_of(source: Any, what: str, names: Sequence[str], *, square: bool) -> Table:
    """Read a matrix that is not the weights of a connectome, from any format that holds bare ones.

    Of several arrays it is the first of `names` that is there; or the only one, unless its name says
    that it is something else.
    """
    if is_frame(source):
        with naming(source, what):
            return table_of_frame(source)
    path = Path(source)
    data, suffix = _bytes_of(path, _BARE, what), path.suffix.lower()
    with naming(path, what):
        if suffix == ".npy":
            return Table(read_array(data))
        if suffix not in _HELD:
            return read_table(data, square=square)
        held = _HELD[suffix](data)
        asked = [*map(str.lower, names)]
        by_name = [name for name in held.shapes if last(name) in asked]
        found = sorted(by_name, key=lambda name: asked.index(last(name)))
        name = found[0] if found else only_matrix(held.shapes, names, _not_a_number)
        matrix = as_numbers(name, held[name])
        beside = [name for name in held.shapes if last(name) in NAMES["labels"]] if square else []
        labels = [as_labels(held[name], len(matrix)) for name in beside]
        return Table(matrix, next((names for names in labels if len(names) == len(matrix)), None))


def _not_a_number(shape: tuple[int, ...]) -> bool:
    return bool(np.prod(shape) > 1)


@contextlib.contextmanager
def naming(source: Any, what: str = "a connectome") -> Iterator[None]:
    """Name the file in the error, whatever goes wrong: a damaged file can raise nearly anything."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"Cannot read {name_of(source)} as {what}: {error}") from error


def _bytes_of(path: Path, suffixes: Any, what: str) -> bytes:
    """Return what is in a file with one of these extensions."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"Cannot read {path}: its extension must be one of {', '.join(suffixes)}, "
            f"not {path.suffix!r}.{_HINTS.get(path.suffix.lower(), '')}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with naming(path, what), open(path, "rb") as file:
        data = read_all(file, "it")
        if not data:
            raise ValueError("it is empty.")
        return data
