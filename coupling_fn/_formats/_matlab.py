"""The variables of `.mat` files: of versions 4 to 7.2 by scipy, of 7.3, which is HDF5, by h5py."""

import inspect
import io
import struct
from typing import Any

import numpy as np

from ._hdf5 import Matlab73, open_hdf5
from ._record import Keys, Record, inflate, listed, require_size, sort_out

_HEADER, _COMPRESSED = 128, 15


class Matlab:
    """The variables of a MATLAB file, by name; the sizes of all are known before any is read."""

    def __init__(self, data: bytes):
        try:
            from scipy import io as scipy_io
        except ImportError as error:
            raise ImportError(
                "Reading a .mat file needs scipy: install it, or save the matrix as .csv or .npy."
            ) from error
        self._io, self._data = scipy_io, _unpacked(data)
        kinds = scipy_io.whosmat(io.BytesIO(self._data))
        self.shapes = {name: tuple(shape) for name, shape, kind in kinds if kind != "struct"}
        self._fields: dict[str, Any] = {}
        for name, shape, kind in kinds:
            if kind == "struct" and tuple(shape) == (1, 1):
                self._fields |= _fields(name, self.load(name), 2)
            elif kind == "struct":
                self.shapes[name] = ()
        self.shapes |= {name: np.shape(x) for name, x in self._fields.items()}

    def load(self, name: str) -> Any:
        """Return a variable as scipy reads it."""
        load = self._io.loadmat
        # Newer versions of scipy ask which kind of sparse matrix is wanted; either will do.
        kind = {"spmatrix": False} if "spmatrix" in inspect.signature(load).parameters else {}
        return load(io.BytesIO(self._data), variable_names=[name], **kind)[name]

    def __getitem__(self, name: str) -> Any:
        if name in self._fields:
            return _plain(self._fields[name])
        if not self.shapes[name]:
            raise ValueError(f"its {name} is an array of structs: save what is in one of them.")
        require_size(f"its {name}", int(np.prod(self.shapes[name], dtype=float)))
        return _plain(self.load(name))


def _fields(name: str, x: Any, depth: int) -> dict[str, Any]:
    """Return the fields of a struct, and of the structs in it, by names such as `data.SC`."""
    found = {}
    for field in x.dtype.names or ():
        value = x[field].ravel()[0] if x.size == 1 else None
        if isinstance(value, np.ndarray) and value.dtype.names and depth:
            found |= _fields(f"{name}.{field}", value, depth - 1)
        elif isinstance(value, np.ndarray) or hasattr(value, "toarray"):
            found[f"{name}.{field}"] = value
    return found


def _plain(x: Any) -> np.ndarray:
    """Return a sparse matrix as a dense one, and strings without the blanks that pad them."""
    if hasattr(x, "toarray"):
        require_size("its sparse matrix", int(np.prod(x.shape, dtype=float)))
        x = x.tocsc()
        x.check_format(full_check=True)  # Damaged indices would be written to anywhere.
        return x.toarray()
    return np.char.rstrip(x) if x.dtype.kind == "U" else x


def _unpacked(data: bytes) -> bytes:
    """Unpack the variables of version 5 up to the limit, so that scipy unpacks none."""
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI") or data[:4] == b"\0\0\0\0":
        return data
    order = "<" if data[126:128] == b"IM" else ">"
    parts, at, size = [data[:_HEADER]], _HEADER, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack(f"{order}II", data[at : at + 8])
        element = data[at : at + 8 + length]
        if kind == _COMPRESSED:
            element = inflate(element[8:])
        size += len(element)
        require_size("it, unpacked,", size // 8)
        parts.append(element)
        at += 8 + length
    return b"".join(parts)


def sparse_in_mat(data: bytes) -> Any:
    """Return the only variable of a `.mat` before version 7.3, a sparse matrix, as scipy's COO.

    It is not made dense, as it is for everyone else: of a surface that would take gigabytes.
    """
    held = Matlab(data)
    if len(held.shapes) != 1:
        raise ValueError(f"it must hold one sparse matrix; it holds: {listed(held.shapes)}.")
    (name,) = held.shapes
    x = held.load(name)
    if not hasattr(x, "tocsc"):
        raise ValueError(f"its {name} must be a sparse matrix.")
    x = x.tocsc()
    x.check_format(full_check=True)  # Damaged indices would be read from anywhere.
    return x.tocoo()


def held_in_mat(data: bytes) -> Any:
    """Return the variables of a `.mat` of any version."""
    if b"MATLAB 7.3" in data[:20] or data[:8] == b"\x89HDF\r\n\x1a\n":
        return Matlab73(open_hdf5(data))
    return Matlab(data)


def from_mat(data: bytes, keys: Keys | None) -> Record:
    """Read the variables of MATLAB."""
    return sort_out(held_in_mat(data), keys)
