"""What a file holds: a record of plain arrays, sorted out of named ones.

Files of several arrays (`.npz`, `.mat`, `.h5`, the members of a `.zip`) say by names what each is.
`NAMES` lists them in one place; what has another name is not taken, and said to be left.
"""

import dataclasses
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

MAX_BYTES = 2**30  # 1 GiB: the limit for a file, and for each of its parts once unpacked

# What the arrays of files are called, in lower case. The short ones mean something else in some files:
# they count where no other name was found and the shape fits.
NAMES: dict[str, tuple[str, ...]] = {
    "weights": (
        *("weights", "weight", "sc", "cmat", "cij", "connectivity", "connectivity_matrix"),
        *("structural_connectivity", "connectome", "number_of_fibers", "fiber_count"),
    ),
    "lengths": (
        *("lengths", "length", "len", "sclen", "sc_len", "tract_lengths", "tract_length", "tracts"),
        *("tract", "distances", "distance", "dist", "fiber_length_mean", "fiber_lengths"),
    ),
    "labels": ("labels", "label", "region_labels", "roi_labels", "dn_name"),
    "centres": ("centres", "centers", "positions", "coordinates", "coords", "centroids"),
    "areas": ("areas", "area"),
    "cortical": ("cortical",),
    "hemispheres": ("hemispheres", "hemisphere"),
    "orientations": ("orientations", "orientation", "average_orientations"),
}
SHORT: dict[str, tuple[str, ...]] = {
    "weights": ("c", "w"),
    "lengths": ("d", "l"),
    "labels": ("name", "names", "region_names", "regions", "nodes", "rois"),
    "centres": ("xyz", "coord", "position"),
}
OTHER = ("fc", "functional_connectivity", "empirical_fc")  # never taken for the weights
FUNCTIONAL = re.compile(
    r"(^|[^a-z])s?fc([^a-z]|$)|functional|corr|bold"
)  # nor if alone and so named
LENGTHS = (*NAMES["lengths"], *SHORT["lengths"])
PARTS = ("weights", "lengths", "labels", "centres")  # what `keys` may name
PREFIX = "region_data."  # of the names that this library gives to further data of regions
SURGERY = "origin.surgery"  # the name that it gives to what was done to a connectome


@dataclasses.dataclass(frozen=True)
class Record:
    """What a file holds, each under the name it has there; candidates of one part must agree.

    Attributes:
        weights: candidates for the weights, `[target, source]`.
        lengths: candidates for the lengths. [mm]
        labels: candidates for the labels.
        centres: candidates for the centres of the regions, (region, 3). [mm]
        region_data: further data with a row per region, by what they are: name in the file, values.
        unread: what was found and not taken.
        warnings: what the user must be told.
        surgery: what was done to the connectome before this library wrote it.
    """

    weights: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    lengths: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    labels: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    centres: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    region_data: dict[str, tuple[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    surgery: tuple[str, ...] = ()


@runtime_checkable
class Held(Protocol):
    """Named arrays in a file, whose shapes are known before they are read."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...
    def __getitem__(self, name: str, /) -> Any: ...


Keys = Mapping[str, str | None]


def checked_keys(keys: Keys | None, names: Iterable[str] | None) -> dict[str, str | None]:
    """Refuse keys of parts that do not exist, and names that the file, if it has any, does not hold."""
    keys, names = dict(keys or {}), None if names is None else list(names)
    for part, name in keys.items():
        if part not in PARTS:
            raise ValueError(f"`keys` may name {', '.join(PARTS)}; {part!r} is none of these.")
        if name is not None and names is None:
            raise ValueError("`keys` is for files of several arrays; this one holds one matrix.")
        if name is not None and name not in (names or ()):
            raise ValueError(f"`keys` asks for {name!r}; it holds: {listed(names or ())}.")
    return keys


def sort_out(held: Held, keys: Keys | None) -> Record:
    """Sort named arrays into a record: by `keys`, else by the names that are usual."""
    shapes = held.shapes
    keys = checked_keys(keys, shapes)
    names = {part: _named(part, shapes, keys) for part in NAMES}
    if not names["weights"] and "weights" not in keys:
        names["weights"] = [only_matrix(shapes, NAMES["weights"])]
    weights = {name: as_numbers(name, held[name]) for name in names["weights"]}
    regions = next((len(x) for x in weights.values() if x.ndim), None)
    labels = {name: as_labels(held[name], regions) for name in names["labels"]}
    if keys.get("labels") is None:  # Short names count where there are as many labels as regions.
        labels = {
            name: found
            for name, found in labels.items()
            if last(name) in NAMES["labels"] or len(found) == regions
        }
    data = {part: (name, held[name]) for part in NAMES if part not in PARTS for name in names[part]}
    data |= {name[len(PREFIX) :]: (name, held[name]) for name in shapes if name.startswith(PREFIX)}
    record = Record(
        weights,
        {
            name: as_numbers(name, held[name])
            for name in names["lengths"]
            if len(shapes[name]) > 1 and 0 not in shapes[name]  # [] of MATLAB: none are known
        },
        labels,
        {name: as_numbers(name, held[name]) for name in names["centres"]},
        {part: (name, as_region_data(part, values)) for part, (name, values) in data.items()},
    )
    done: tuple[str, ...] = ()
    if SURGERY in shapes:
        done = tuple(map(str, np.ravel(held[SURGERY])))
    unread = tuple(name for name in unread_of(record, shapes) if name != SURGERY)
    return dataclasses.replace(record, unread=unread, surgery=done)


def unread_of(record: Record, names: Iterable[str]) -> tuple[str, ...]:
    """List the names in a file from which a record took nothing."""
    taken = {*record.weights, *record.lengths, *record.labels, *record.centres}
    taken |= {name for name, _ in record.region_data.values()}
    return tuple(name for name in names if name not in taken)


def _named(part: str, shapes: Mapping[str, tuple[int, ...]], keys: Keys) -> list[str]:
    """List the names of arrays that may be a part."""
    if part in keys:
        return [name for name in (keys[part],) if name is not None]
    by_name = {
        name: last(name)
        for name in shapes
        if not name.startswith(PREFIX) and name not in keys.values()
    }
    found = [name for name, short in by_name.items() if short in NAMES[part]]
    fits = {"weights": _square, "lengths": _square, "centres": lambda shape: shape[-1:] == (3,)}
    return found or [
        name
        for name, short in by_name.items()
        if short in SHORT.get(part, ()) and fits.get(part, len)(shapes[name])
    ]


def _square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1] > 1


def only_matrix(
    shapes: Mapping[str, tuple[int, ...]],
    wanted: Sequence[str],
    fits: Callable[[tuple[int, ...]], bool] = _square,
) -> str:
    """Return the name of the only matrix, unless its name says that it is something else."""
    matrices = [name for name, shape in shapes.items() if fits(shape)]
    known = {*OTHER, *(name for part in NAMES.values() for name in part)} - {*wanted}
    if len(matrices) != 1 or last(matrices[0]) in known or FUNCTIONAL.search(last(matrices[0])):
        raise ValueError(
            f"it holds none of {', '.join(wanted)}, only: {listed(shapes)}. "
            f"Say which it is: keys={{{wanted[0]!r}: ...}}."
        )
    return matrices[0]


def last(name: str) -> str:
    """Return the last part of a name such as `folder/SC` or `data.SC`, in lower case."""
    return re.split(r"[/.]", name)[-1].lower()


def listed(names: Iterable[str]) -> str:
    """Write the first of some names."""
    names = list(names)
    return (", ".join(names[:20]) + (", ..." if len(names) > 20 else "")) or "nothing"


def as_numbers(name: str, x: Any) -> np.ndarray:
    """Refuse what is no array of real numbers, and return it in the byte order of the machine."""
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        hint = ": name one of its cells by itself" if x.dtype.kind == "O" else ""
        raise ValueError(f"its {name} must hold real numbers, not {x.dtype}{hint}.")
    return x.astype(x.dtype.newbyteorder("="))


def as_labels(x: Any, regions: int | None) -> list[str]:
    """Return labels from an array of strings, from cells of MATLAB, from ids, or from characters."""
    x = np.asarray(x)
    characters = x.dtype.kind in "iu" or (x.dtype.kind == "f" and bool((x == np.rint(x)).all()))
    characters = characters and x.size and x.min() >= 0 and x.max() < 0x110000 and (x == 10).any()
    if x.dtype.kind in "fiu" and (x.size == regions or not characters):
        numbers = x.ravel().tolist()
        return [f"{n:.0f}" if n == np.rint(n) else repr(n) for n in numbers]
    if x.dtype.kind in "fiu":
        codes = (chr(int(code)) for code in x.ravel() if code)  # DSI Studio: lines of characters
        return [line.strip() for line in "".join(codes).splitlines() if line.strip()]
    found = [_as_text(label) for label in x.ravel()]
    return found[0].split("\n") if len(found) == 1 and "\n" in found[0] else found


def _as_text(x: Any) -> str:
    while isinstance(x, np.ndarray) and x.size == 1:  # A cell in MATLAB is an array of one string.
        x = x.ravel()[0]
    if isinstance(x, np.ndarray) and not x.size:
        return ""
    return x.decode("utf-8") if isinstance(x, bytes) else str(x)


def as_region_data(part: str, x: Any) -> np.ndarray:
    """Return one row per region; 0 and 1 of `cortical` and `hemispheres` become booleans."""
    x = np.asarray(x)
    if x.ndim == 2 and 1 in x.shape:
        x = x.ravel()
    if x.dtype.kind in "SO":
        return np.array([_as_text(value) for value in x.ravel()], dtype=str)
    if x.dtype.kind in "fiub":
        x = x.astype(x.dtype.newbyteorder("="))
    if part in ("cortical", "hemispheres") and x.dtype.kind in "fiu" and np.isin(x, (0, 1)).all():
        return x.astype(bool)
    return x


def read_all(stream: Any, what: str) -> bytes:
    """Read to the end, but not past the limit, whatever size a header claims."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{what} is larger than the limit of {MAX_BYTES} bytes.")
    return data


def inflate(data: bytes) -> bytes:
    """Unpack a stream of zlib, but not past the limit."""
    stream = zlib.decompressobj()
    unpacked = stream.decompress(data, MAX_BYTES + 1)
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f"a variable, unpacked, is larger than the limit of {MAX_BYTES} bytes.")
    if not stream.eof:
        raise ValueError("it is cut off.")
    return unpacked


def require_size(what: str, values: int) -> None:
    """Refuse what would take more than the limit, at 8 bytes per number."""
    if 8 * values > MAX_BYTES:
        raise ValueError(f"{what} is larger than the limit of {MAX_BYTES} bytes.")
