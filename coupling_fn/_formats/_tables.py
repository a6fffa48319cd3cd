"""Tables: text of a matrix or of edges, and frames of pandas, which is never imported."""

from typing import Any

import numpy as np

from ._edges import edge_columns, from_edge_list
from ._record import Keys, Record, checked_keys
from ._text import (
    Cells,
    Table,
    comments_of,
    decode,
    header_of,
    number,
    plain_numbers,
    read_table,
    split,
)


def from_text(data: bytes, keys: Keys | None) -> Record:
    """Read a matrix, or a list of edges."""
    text = decode(data, "it")
    values = plain_numbers(text)
    if values is None or values.shape[0] != values.shape[1]:
        cells = split(text, "it")
        columns = edge_columns(cells, keys)
        if columns is not None:
            return from_edge_list(cells, columns, keys)
    checked_keys(keys, None)
    return from_table(read_table(data))


def from_table(
    table: Table,
    name: str = "its matrix",
    beside: tuple[str, str] = ("its header", "its first column"),
) -> Record:
    """Return the record of weights with the names beside them."""
    _refuse_minus_one(table)
    labels = dict(zip(beside, (table.columns, table.rows), strict=True))
    return Record(
        {name: table.values},
        labels={place: names for place, names in labels.items() if names is not None},
        unread=comments_of(table.comments),
        warnings=table.warnings,
    )


def _refuse_minus_one(table: Table) -> None:
    """Refuse weights of -1 that stand for what is missing: the only negative ones among others."""
    x = table.values
    if minus_one_is_missing(x):
        labels = table.columns or table.rows
        target, source = np.argwhere(x == -1)[0].tolist()
        place = f" (from {labels[source]} onto {labels[target]})" if labels else ""
        raise ValueError(
            f"-1 at ({target}, {source}){place} and {int((x == -1).sum()) - 1} more places is the only "
            "negative weight, as files have it where a tract is missing: write 0 there. If it is meant, "
            "make the connectome from the array: cf.Connectome(weights, lengths, labels)."
        )


def minus_one_is_missing(x: np.ndarray) -> bool:
    """Return whether -1 is the only negative number, among others than 1."""
    return bool((x == -1).any() and (x[x < 0] == -1).all() and ((x > 0) & (x != 1)).any())


def is_frame(x: Any) -> bool:
    """Return whether `x` is a table of pandas, or of a library that is used alike."""
    return hasattr(x, "columns") and hasattr(x, "to_numpy")


def from_frame(frame: Any, keys: Keys | None) -> Record:
    """Take weights or edges of a frame."""
    columns, values = [*map(str, frame.columns)], frame.to_numpy().tolist()
    rows = [["" if x is None else str(x) for x in row] for row in values]
    if any(number(name, comma=False) is None for name in columns):  # Else they have no names.
        rows = [columns, *rows]
    cells = Cells(rows, list(range(len(rows))), False, 0)
    is_matrix = len(values) == len(columns) and header_of(cells) is None
    edges = edge_columns(cells, keys) if len(columns) >= 3 and values and not is_matrix else None
    if edges is not None:
        return from_edge_list(cells, edges, keys)
    checked_keys(keys, None)
    return from_table(table_of_frame(frame), "its values", ("its columns", "its index"))


def table_of_frame(frame: Any) -> Table:
    """Take the numbers of a frame, and the names in its index and columns."""
    try:
        values = frame.to_numpy().astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"it must hold numbers alone: {error}. Put the names of regions into its index: "
            "frame.set_index(...)."
        ) from error
    index, columns = ([*map(_name, x)] for x in (getattr(frame, "index", ()), frame.columns))
    counted = [str(n) for n in range(len(values))]
    rows, columns = (None if names in (counted, []) else names for names in (index, columns))
    return Table(values, rows, columns)


def _name(label: Any) -> str:
    """Write a label; a whole number without a point, as an index has it where one was missing."""
    whole = isinstance(label, float | np.floating) and label == round(label)
    return f"{label:.0f}" if whole else str(label)
