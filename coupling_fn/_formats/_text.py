"""Text to a table of numbers: separators, headers, an index, and where something is wrong.

The fast way, NumPy's own parser, takes what is a matrix of numbers alone. Everything else is split into
cells, and every refusal names the line and the column.
"""

import csv
import io
import re
from typing import NamedTuple

import numpy as np

COMMENTS = ("#", "%", "//")
MISSING = ("nan", "na", "n/a", "null", "none", "-nan")  # read as NaN
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
PERHAPS_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
COUNTED = 4  # From so many rows on a first row and column 1, 2, 3 are an index.
CODES = 8  # From so many on a first row and column of ascending whole numbers look like one.


class Cells(NamedTuple):
    """The cells of a text, with the number of the line that each row is from."""

    rows: list[list[str]]
    lines: list[int]
    comma: bool  # whether cells may have decimal commas: cells are not separated by commas
    comments: int


class Table(NamedTuple):
    """A matrix of numbers with the labels beside it; None where there are none."""

    values: np.ndarray
    rows: list[str] | None = None
    columns: list[str] | None = None
    comments: int = 0
    warnings: tuple[str, ...] = ()


def decode(data: bytes, what: str) -> str:
    """Decode UTF-8, or the UTF-16 that spreadsheets call Unicode."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeError as error:
        raise ValueError(f"{what} is no text in UTF-8: {error}. Save it as UTF-8.") from error
    if not text.strip():
        raise ValueError(f"{what} is empty.")
    if "\0" in text:
        raise ValueError(
            f"{what} is no text in UTF-8: it holds NUL characters, as UTF-16 does without a mark at its "
            "begin. Save it as UTF-8."
        )
    return text


def read_table(data: bytes, what: str = "it", *, square: bool = True) -> Table:
    """Read a matrix of numbers, with or without a header and an index.

    Args:
        data: the text.
        what: what it is, for errors.
        square: whether the matrix is one of regions by regions: what is beside it then is an index.
    """
    text = decode(data, what)
    values = plain_numbers(text)
    if values is not None and (not square or values.shape[0] == values.shape[1]):
        return without_ids(Table(values, comments=_count_comments(text)), what, square=square)
    return to_table(split(text, what), what, square=square)


def plain_numbers(text: str) -> np.ndarray | None:
    """Read numbers alone, separated by one mark or by blanks; None for any other text."""
    mark = next((mark for mark in ",;" if mark in text), None)
    if "\t" in text and any(re.search(r"^\s*\t|\t\s*\t|\t\s*$", x) for x in text.splitlines()):
        return None  # Between tabs nothing may be an empty cell, which blanks would swallow.
    try:
        return np.loadtxt(io.StringIO(text), delimiter=mark, ndmin=2)
    except ValueError:
        return None


def _count_comments(text: str) -> int:
    return sum(line.lstrip().startswith(COMMENTS) for line in text.splitlines())


def comments_of(count: int) -> tuple[str, ...]:
    """Name lines of comments among what is not taken."""
    return (f"{count} line{'s' if count > 1 else ''} of comments",) if count else ()


# --- cells ----------------------------------------------------------------------------------------


def split(text: str, what: str) -> Cells:
    """Split text at the separator that makes a table of it."""
    lines = [(n, line.strip(" \r\n")) for n, line in enumerate(text.splitlines(), 1)]
    comments = sum(line.startswith(COMMENTS) for _, line in lines)
    kept = [(n, line) for n, line in lines if line.strip() and not line.startswith(COMMENTS)]
    if not kept:
        raise ValueError(f"{what} is empty.")
    numbers, kept = [n for n, _ in kept], [line for _, line in kept]
    separators = [mark for mark in "\t;," if any(mark in line for line in kept)] + [" "]
    tried = [
        Cells(_without_edges(_cut(kept, mark)), numbers, mark != ",", comments)
        for mark in separators
    ]
    found = next((cells for cells in tried if _is_table(cells)), tried[0])
    _require_plain_commas(found, what)
    return found


def _require_plain_commas(cells: Cells, what: str) -> None:
    """Refuse commas that may be marks for thousands, where cells are not separated by commas."""
    if not cells.comma:
        return
    commas = [
        (cell, line, column)
        for row, line in zip(cells.rows, cells.lines, strict=True)
        for column, cell in enumerate(row)
        if DECIMAL_COMMA.fullmatch(cell)
    ]
    points = any(
        "." in cell and number(cell, comma=False) is not None for row in cells.rows for cell in row
    )
    if commas and (points or all(PERHAPS_THOUSANDS.fullmatch(cell) for cell, *_ in commas)):
        cell, line, column = commas[0]
        raise ValueError(
            f"{_place(what, line, column)} is {cell!r}, which is {cell.replace(',', '.')} if its comma "
            f"is that of decimals, and {cell.replace(',', '')} if it marks thousands. Leave marks for "
            "thousands out, and write one kind of decimals."
        )


def _cut(lines: list[str], mark: str) -> list[list[str]]:
    if mark == " ":
        lines = [line.replace("\t", " ").strip() for line in lines]
    rows = csv.reader(lines, delimiter=mark, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows]


def _without_edges(rows: list[list[str]]) -> list[list[str]]:
    """Drop a first or last column that is empty in all rows: separators at the ends of lines make it."""
    width = max(map(len, rows))
    while width > 1 and all(len(row) < width or not row[width - 1] for row in rows):
        width -= 1
    start = 1 if width > 1 and not any(row[0] for row in rows) else 0
    return [row[start:width] for row in rows]


def _is_table(cells: Cells) -> bool:
    """Return whether all rows are as wide, but for a corner, and hold numbers off the edges."""
    first, *others = cells.rows
    widths = {len(row) for row in others} or {len(first)}
    width = widths.pop()
    if widths or width < 2 or len(first) not in (width - 1, width):
        return False
    inner = [cell for row in (others or [first])[:5] for cell in row[1:]]
    return all(not cell or number(cell, comma=cells.comma) is not None for cell in inner)


def number(cell: str, *, comma: bool) -> float | None:
    """Read a number; None if it is none. A decimal comma counts where commas do not separate cells."""
    cell = cell.replace("\N{MINUS SIGN}", "-")
    if "_" in cell:  # Python reads 1_2 as 12, but it is a name.
        return None
    if cell.lower() in MISSING:
        return float("nan")
    if comma and DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except ValueError:
        return None


# --- a table --------------------------------------------------------------------------------------


def header_of(cells: Cells) -> list[str] | None:
    """Return the first row if it is a header.

    It is one if no number is in it, if a corner before it is empty or left out, or if it numbers the
    columns behind a name and the matrix below is square.
    """
    first = cells.rows[0]
    wider = len(cells.rows) > 1 and len(cells.rows[1]) == len(first) + 1
    corner = len(first) > 1 and not first[0] and any(first)
    numbers = [number(cell, comma=cells.comma) for cell in first]
    counted = (
        numbers[0] is None
        and len(cells.rows) == len(first) > 2
        and all(x is not None and x == abs(round(x)) for x in map(finite, numbers[1:]))
        and len({*numbers}) == len(first)
    )
    return first if are_names(first, cells) or wider or corner or counted else None


def are_names(words: list[str], cells: Cells) -> bool:
    """Return whether there is no number among words; `NA` or `INF` may be a name beside others."""
    numbers = [number(word, comma=cells.comma) for word in words]
    others = numbers[1:] or numbers
    return all(finite(x) is None for x in numbers) and (
        None in others or all(x is None for x in numbers)
    )


def finite(x: float | None) -> float | None:
    """Return a finite number, and None for everything else."""
    return x if x is not None and np.isfinite(x) else None


def to_table(cells: Cells, what: str, *, square: bool = True) -> Table:
    """Take a header and an index off the cells, and read the numbers between."""
    header = header_of(cells)
    rows, lines = (cells.rows, cells.lines) if header is None else (cells.rows[1:], cells.lines[1:])
    if not rows:
        raise ValueError(f"{what} has a header, but no row of numbers.")
    width, cornered = len(rows[0]), header is not None and not header[0]
    firsts = [row[0] for row in rows if row]
    beside = len(firsts) == len(rows) and all(firsts) and are_names(firsts, cells)
    short = header is not None and len(header) == width - 1
    index = [row[0] for row in rows] if (beside or short or cornered) and width > 1 else None
    start = 0 if index is None else 1
    if square and cornered and header is not None and index is not None:
        _require_same_numbers(header[1:], index, cells, what)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != width:
            raise ValueError(
                f"{what} must have rows as long as each other: line {line} has {len(row)} columns, and "
                f"line {lines[0]} has {width}."
            )
    values = np.array(
        [
            [_value(row[column], line, column, what, cells) for column in range(start, width)]
            for line, row in zip(lines, rows, strict=True)
        ]
    )
    if header is not None and index is not None and not short:
        header = header[1:]
    if header is not None and "" in header:
        raise ValueError(f"{what} has a header without a name for column {header.index('') + 1}.")
    table = without_ids(Table(values, index, header, cells.comments), what, square=square)
    if table.columns is not None and len(table.columns) != table.values.shape[1]:
        raise ValueError(
            f"{what} has {len(table.columns)} names in its header, but {table.values.shape[1]} columns."
        )
    return table


def _require_same_numbers(header: list[str], index: list[str], cells: Cells, what: str) -> None:
    """Refuse an empty corner between other numbers than those of an index: it may be a weight."""
    numbered = all(number(x, comma=cells.comma) is not None for x in (*header, *index))
    if numbered and header != index and not (_counting(header) and _counting(index)):
        raise ValueError(
            f"{_place(what, cells.lines[0], 0)} is empty: write 0 if it is a weight. If the first row "
            "and the first column are an index, they must be the same."
        )


def _place(what: str, line: int, column: int) -> str:
    return f"{'' if what == 'it' else what + ', '}line {line}, column {column + 1}"


def _value(cell: str, line: int, column: int, what: str, cells: Cells) -> float:
    found = number(cell, comma=cells.comma)
    if found is not None:
        return found
    place = _place(what, line, column)
    if not cell:
        raise ValueError(f"{place} is empty: write 0 where there is no tract.")
    raise ValueError(
        f"{place} is {cell[:40]!r}, not a number. A header is a row of names alone, an index a column "
        "of names alone, and numbers have no marks for thousands."
    )


def without_ids(table: Table, what: str, *, square: bool = True) -> Table:
    """Take off a first row and a first column of numbers that count the regions."""
    values, rows, columns = table.values, table.rows, table.columns
    if not square or values.ndim != 2 or not values.size:
        return table
    warnings = table.warnings
    height, width = values.shape
    if height == width + 1 and columns is None and _ids(values[0]):
        columns, values = _names(values[0]), values[1:]
    elif width == height + 1 and rows is None and _ids(values[:, 0]):
        rows, values = _names(values[:, 0]), values[:, 1:]
        columns = columns[1:] if columns and len(columns) == width else columns
    elif (
        height == width
        and rows is None
        and columns is None
        and counts_off(values[0, 0], values[0, 1:], values[1:, 0])
    ):
        warnings += (
            f"the first row and the first column of {what}, {values[0, 1]:g}, {values[0, 2]:g}, "
            f"{values[0, 3]:g} and so on, were taken for an index, which leaves {height - 1} regions. "
            "If they are weights, save the matrix as .npy.",
        )
        values = values[1:, 1:]
    elif (
        height == width
        and rows is None
        and columns is None
        and codes_off(values[0, 0], values[0, 1:], values[1:, 0])
    ):
        warnings += (
            f"the first row and the first column of {what} are the same ascending whole numbers, "
            f"{values[0, 1]:g}, {values[0, 2]:g}, {values[0, 3]:g} and so on, and were taken for "
            "weights. If they are an index of the regions, leave its corner empty.",
        )
    elif (height == width + 1 and columns is None and _distinct(values[0])) or (
        width == height + 1 and rows is None and _distinct(values[:, 0])
    ):
        beside = "row" if height > width else "column"
        raise ValueError(
            f"the first {beside} of {what} looks like the numbers of the regions, but is not in "
            f"ascending order. Make names of them, such as r{values[0, 0]:.0f}, or leave the {beside} "
            "out."
        )
    rows, columns = (None if _counting(labels) else labels for labels in (rows, columns))
    return Table(values, rows, columns, table.comments, warnings)


def counts_off(corner: float, row: np.ndarray, column: np.ndarray) -> bool:
    """Return whether the first row and the first column, beside their corner, both count the regions."""
    count = np.arange(len(row))
    if len(row) + 1 < COUNTED or not (corner == 0 or np.isnan(corner)):
        return False
    return any(
        np.array_equal(row, count + start) and np.array_equal(column, count + start)
        for start in (0, 1)
    )


def codes_off(corner: float, row: np.ndarray, column: np.ndarray) -> bool:
    """Return whether the first row and the first column are the same ascending whole numbers."""
    beside = corner == 0 or np.isnan(corner)
    return len(row) >= CODES and bool(beside) and np.array_equal(row, column) and _ids(row)


def _distinct(values: np.ndarray) -> bool:
    """Return whether numbers are whole ones, each there once."""
    return (
        len(values) > 2
        and len({*values.tolist()}) == len(values)
        and bool(((values == np.rint(values)) & (values >= 0)).all())
    )


def _ids(values: np.ndarray) -> bool:
    """Return whether numbers are ascending whole ones; two of them are by chance."""
    return len(values) > 2 and bool(
        (values == np.rint(values)).all() and (np.diff(values) > 0).all()
    )


def _names(values: np.ndarray) -> list[str]:
    return [f"{value:.0f}" for value in values]


def _counting(labels: list[str] | None) -> bool:
    """Return whether labels only count the regions, from 0 or from 1."""
    return labels is not None and any(
        labels == [str(n + start) for n in range(len(labels))] for start in (0, 1)
    )
