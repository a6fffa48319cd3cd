"""Reading and writing connectomes. No file is trusted: it may be damaged, or made to exhaust memory.

A format is a function from the bytes of a file to `_Parts`, registered in `_READERS` by extension;
`_naming` puts the file's name into whatever it raises.
"""

import bz2
import contextlib
import io
import math
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from .._core import require_choice
from ._connectome import Connectome

MAX_BYTES = 2**30  # 1 GiB: the limit for a file, and for each of its parts once unpacked

_WEIGHTS_IN_MAT = ("weights", "SC", "sc", "connectivity")
_LENGTHS = ("lengths", "tract_lengths")


class _Parts(NamedTuple):
    weights: np.ndarray
    lengths: np.ndarray | None = None
    labels: list[str] | None = None


def load_connectome(
    path: str | os.PathLike[str], lengths: str | os.PathLike[str] | None = None
) -> Connectome:
    """Read a connectome from a file.

    - `.zip`: the format of TVB, with `weights`, and optionally `tract_lengths` and `centres` (lines
      of `label x y z`), each as `.txt` or `.txt.bz2`, in a folder or not.
    - `.npz`: the array `weights`, and optionally `lengths` (or `tract_lengths`) and `labels`.
    - `.csv`, `.txt`, `.npy`: only the weights; text has no header, and columns are separated by
      commas or by blanks.
    - `.mat` (needs scipy): the first that exists of the variables `weights`, `SC`, `sc` and
      `connectivity`, and optionally `lengths` or `tract_lengths`.

    All are read as `[target, source]`, the orientation of TVB and of this library. If your data have
    the other one, use `cf.from_source_target(cf.load_connectome(path))`.

    Args:
        path: the file.
        lengths: a second file with the lengths in mm, if the first one holds none: `.csv`, `.txt`,
            `.npy`, or an `.npz` or `.mat` with `lengths`, `tract_lengths` or that one matrix alone.

    Returns:
        Weights, lengths [mm] and labels; None for what the files do not hold.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file, which the error names, is damaged, empty, not square, of an unknown
            kind, larger than 1 GiB when unpacked, holds no weights or something other than numbers,
            or is an archive with a path that leaves its folder. Pickles are never loaded, and nothing
            is unpacked to disk.
        ImportError: for `.mat`, if scipy is not installed.

    Source:
        P. Sanz Leon et al., Frontiers in Neuroinformatics 7 (2013) 10, for the format of TVB.

    Example:
        >>> np.savetxt("weights.csv", [[0, 1], [2, 0]], delimiter=",")
        >>> cf.load_connectome("weights.csv").weights.tolist()
        [[0.0, 1.0], [2.0, 0.0]]
    """
    parts = _read(Path(path), _READERS)
    if lengths is not None:
        if parts.lengths is not None:
            raise ValueError(f"{path} holds lengths itself; leave `lengths` out.")
        parts = parts._replace(lengths=read_matrix(Path(lengths), "tract lengths", _LENGTHS))
    with _naming(path):
        return Connectome(*parts)


def save_connectome(path: str | os.PathLike[str], connectome: Connectome) -> None:
    """Write a connectome to a file, `.npz` or TVB's `.zip`, that `load_connectome` reads.

    The file is written under another name beside its own and then renamed, so a crash leaves what was
    there before. The `centres` of TVB need a position per region, which a connectome does not have:
    all are written as 0 0 0. TVB itself also needs lengths and labels; what is None is left out.

    Args:
        path: the file; an existing one is replaced.
        connectome: what to write. Numbers keep all their digits, but a `.zip` does not say whether
            they were float32 or float64: they are read back in JAX's default precision.

    Raises:
        ValueError: if the extension is neither of these, or a label cannot be written (blanks in a
            `.zip`, a NUL at the end in an `.npz`).

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
    if connectome.lengths is not None:
        arrays["lengths"] = np.asarray(connectome.lengths)
    if connectome.labels is not None:
        arrays["labels"] = np.array(connectome.labels, dtype=str)
        if arrays["labels"].tolist() != list(connectome.labels):
            raise ValueError("`labels` must not end in a NUL character, which NumPy drops.")
    np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def _to_tvb(file: Any, connectome: Connectome) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.txt", _to_text(connectome.weights))
        if connectome.lengths is not None:
            archive.writestr("tract_lengths.txt", _to_text(connectome.lengths))
        if connectome.labels is not None:
            for label in connectome.labels:
                if label.split() != [label]:
                    raise ValueError(
                        f"`labels` must be words without blanks in TVB's .zip; one is {label!r}. "
                        "Rename it, or save to .npz."
                    )
            archive.writestr("centres.txt", "".join(f"{s} 0 0 0\n" for s in connectome.labels))


def _to_text(x: Any) -> str:
    text = io.StringIO()
    np.savetxt(text, np.asarray(x, float), fmt="%.17g")  # 17 digits restore a float64 exactly.
    return text.getvalue()


def read_matrix(path: Path, what: str, names: tuple[str, ...]) -> np.ndarray:
    """Read a matrix that is not the weights of a connectome, from any format but TVB's.

    From an `.npz` or a `.mat` it is the first of `names` that is there; or the only array, unless its
    name says that it is something else.
    """
    held = {".npz": _from_npz_matrix, ".mat": _from_mat_matrix}
    readers = {suffix: partial(reader, names=names) for suffix, reader in held.items()}
    return _read(path, {**_MATRIX_READERS, **readers}, what).weights


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str], what: str = "a connectome") -> Iterator[None]:
    """Name the file in the error, whatever goes wrong: a damaged file can raise nearly anything."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"Cannot read {path} as {what}: {error}") from error


def _read(
    path: Path, readers: dict[str, Callable[[bytes], _Parts]], what: str = "a connectome"
) -> _Parts:
    if path.suffix.lower() not in readers:
        raise ValueError(
            f"Cannot read {path}: its extension must be one of {', '.join(readers)}, "
            f"not {path.suffix!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with _naming(path, what):
        with open(path, "rb") as file:
            data = _read_all(file, "it")
        if not data:
            raise ValueError("it is empty.")
        return readers[path.suffix.lower()](data)


def _read_all(stream: Any, what: str) -> bytes:
    """Read to the end, but not past the limit, whatever size a header claims."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{what} is larger than the limit of {MAX_BYTES} bytes.")
    return data


def _member(archive: zipfile.ZipFile, *names: str) -> bytes | None:
    """Unpack the only member with one of these file names, in whatever folder."""
    _require_inside(archive)
    found = [
        member
        for member in archive.namelist()
        if PurePosixPath(member).name in names and not member.startswith("__MACOSX/")
    ]
    if len(found) > 1:
        raise ValueError(f"it holds more than one of a kind: {', '.join(found)}.")
    if not found:
        return None
    with archive.open(found[0]) as packed:
        if not found[0].endswith(".bz2"):
            return _read_all(packed, f"its {found[0]}, unpacked,")
        with bz2.BZ2File(packed) as stream:
            return _read_all(stream, f"its {found[0]}, unpacked,")


def _require_inside(archive: zipfile.ZipFile) -> None:
    """Refuse an archive with paths outside of its folder: nothing is unpacked, but it is suspect."""
    for member in archive.namelist():
        path = PureWindowsPath(member)  # This also understands \\ and drives.
        if path.anchor or ".." in path.parts:
            raise ValueError(f"its member {member!r} has a path that leaves the archive's folder.")


def _needed(data: bytes | None, archive: zipfile.ZipFile) -> bytes:
    if data is None:
        held = ", ".join(archive.namelist()[:20]) or "nothing"
        raise ValueError(f"it holds no weights, only: {held}.")
    return data


def _from_tvb(data: bytes) -> _Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        weights, lengths, centres = (
            _member(archive, f"{name}.txt", f"{name}.txt.bz2")
            for name in ("weights", "tract_lengths", "centres")
        )
        return _Parts(
            weights=_text(_needed(weights, archive), "its weights"),
            lengths=None if lengths is None else _text(lengths, "its tract_lengths"),
            labels=None if centres is None else _centres(centres),
        )


def _centres(data: bytes) -> list[str]:
    labels = []
    for line in filter(str.strip, data.decode("utf-8-sig").splitlines()):
        label, *place = line.strip().rsplit(None, 3)
        try:
            placed = len([float(number) for number in place]) == 3
        except ValueError:
            placed = False
        if not placed:
            raise ValueError(f"lines of its centres must be `label x y z`; one is {line[:80]!r}.")
        labels.append(label)
    return labels


def _from_npz(data: bytes) -> _Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        weights = _needed(_member(archive, "weights.npy"), archive)
        lengths = _member(archive, *(f"{name}.npy" for name in _LENGTHS))
        labels = _member(archive, "labels.npy")
    return _Parts(
        weights=_array(weights),
        lengths=None if lengths is None else _array(lengths),
        labels=None if labels is None else _array(labels).astype(str).tolist(),
    )


def _from_npz_matrix(data: bytes, names: tuple[str, ...]) -> _Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = [PurePosixPath(name).name.removesuffix(".npy") for name in archive.namelist()]
        found = _member(archive, f"{_chosen(held, names)}.npy")
    return _Parts(_array(_needed(found, archive)))


def _chosen(held: Iterable[str], names: tuple[str, ...]) -> str:
    """Return the first of `names` that a file holds, or its only array if it may be what is wanted."""
    held = list(held)
    found = [name for name in names if name in held]
    others = {*_WEIGHTS_IN_MAT, *_LENGTHS}
    if not found and (len(held) != 1 or held[0] in others):
        listed = ", ".join(held[:20]) or "nothing"
        raise ValueError(f"it holds none of {', '.join(names)}, only: {listed}.")
    return (found or held)[0]


def _from_npy(data: bytes) -> _Parts:
    return _Parts(_array(data))


def _array(data: bytes) -> np.ndarray:
    x = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if x.size > len(data):  # Entries without a byte each, such as strings of length 0.
        raise ValueError(f"it claims to hold {x.size} entries in {len(data)} bytes.")
    return x


def _from_text(data: bytes) -> _Parts:
    return _Parts(_text(data))


def _text(data: bytes, what: str = "it") -> np.ndarray:
    text = data.decode("utf-8-sig")  # Spreadsheets put a byte-order mark in front.
    if not text.strip():
        raise ValueError(f"{what} is empty.")
    try:
        return np.loadtxt(io.StringIO(text), delimiter="," if "," in text else None, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{what} must be numbers alone, without a header: {error}") from error


class _MatFile:
    """The variables of a MATLAB file, by name; the sizes of all are known before any is read."""

    def __init__(self, data: bytes):
        try:
            from scipy import io as scipy_io
        except ImportError as error:
            raise ImportError(
                "Reading a .mat file needs scipy: install it, or save the matrix as .csv or .npy."
            ) from error
        self._io, self._data = scipy_io, data
        self.held = {name: shape for name, shape, _ in scipy_io.whosmat(io.BytesIO(data))}

    def __getitem__(self, name: str) -> np.ndarray:
        if 8 * math.prod(self.held[name]) > MAX_BYTES:
            raise ValueError(f"its {name} is larger than the limit of {MAX_BYTES} bytes.")
        x = self._io.loadmat(io.BytesIO(self._data), variable_names=[name])[name]
        return x.toarray() if hasattr(x, "toarray") else x  # A sparse matrix of MATLAB.


def _from_mat(data: bytes) -> _Parts:
    file = _MatFile(data)
    weights = next((name for name in _WEIGHTS_IN_MAT if name in file.held), None)
    if weights is None:
        listed = ", ".join(file.held) or "nothing"
        raise ValueError(f"it holds none of {', '.join(_WEIGHTS_IN_MAT)}, only: {listed}.")
    lengths = next((name for name in _LENGTHS if name in file.held), None)
    return _Parts(file[weights], None if lengths is None else file[lengths])


def _from_mat_matrix(data: bytes, names: tuple[str, ...]) -> _Parts:
    file = _MatFile(data)
    return _Parts(file[_chosen(file.held, names)])


_MATRIX_READERS: dict[str, Callable[[bytes], _Parts]] = {
    ".csv": _from_text,
    ".txt": _from_text,
    ".npy": _from_npy,
}
_READERS = {".zip": _from_tvb, ".npz": _from_npz, ".mat": _from_mat, **_MATRIX_READERS}
