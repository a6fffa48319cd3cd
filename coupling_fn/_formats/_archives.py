"""Archives: the members of a `.zip`, the arrays of an `.npz`, a bare `.npy`; all stay in memory."""

import bz2
import io
import zipfile
from pathlib import PureWindowsPath

import numpy as np

from ._record import Keys, Record, as_numbers, checked_keys, read_all, sort_out


class Archive:
    """The members of a zip by name, each unpacked when it is asked for."""

    def __init__(self, data: bytes):
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        names = self._archive.namelist()
        for member in names:
            path = PureWindowsPath(member)  # This also understands \\ and drives.
            if path.anchor or ".." in path.parts:
                raise ValueError(
                    f"its member {member!r} has a path that leaves the archive's folder."
                )
        if len({*names}) < len(names):
            raise ValueError("it holds two members of the same name.")
        self.names = [
            name for name in names if not name.startswith("__MACOSX/") and not name.endswith("/")
        ]

    def __getitem__(self, name: str) -> bytes:
        """Unpack a member."""
        with self._archive.open(name) as packed:
            what = f"its {name}, unpacked,"
            if not name.endswith(".bz2"):
                return read_all(packed, what)
            with bz2.BZ2File(packed) as stream:
                return read_all(stream, what)

    def begin(self, name: str, size: int) -> bytes:
        """Return the first bytes of a member."""
        with self._archive.open(name) as packed:
            return packed.read(size)


class Npz:
    """The arrays of an `.npz`, by name."""

    def __init__(self, data: bytes):
        self._archive = Archive(data)
        self.shapes = {
            name.removesuffix(".npy"): _shape(self._archive.begin(name, 4096))
            for name in self._archive.names
            if name.endswith(".npy")
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return read_array(self._archive[f"{name}.npy"])


def _shape(begin: bytes) -> tuple[int, ...]:
    """Read the shape of an array from the begin of its file; () where that is damaged."""
    stream = io.BytesIO(begin)
    try:
        version = np.lib.format.read_magic(stream)
        first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        return read(stream)[0]
    except ValueError:
        return ()  # Reading it says what is wrong, if it is one of those that are read.


def from_npz(data: bytes, keys: Keys | None) -> Record:
    """Read the arrays of NumPy's `.npz`."""
    return sort_out(Npz(data), keys)


def from_npy(data: bytes, keys: Keys | None) -> Record:
    """Read one array of NumPy."""
    checked_keys(keys, None)
    return Record({"its array": as_numbers("array", read_array(data))})


def read_array(data: bytes) -> np.ndarray:
    """Read the bytes of an `.npy` without pickles."""
    try:
        x = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(
            "it holds Python objects, which only a pickle brings back, and a pickle can run any "
            "program. Save numbers as floats, and labels by np.array(labels, dtype=str)."
        ) from error
    if x.size > len(data):  # Entries without a byte each, such as strings of length 0.
        raise ValueError(f"it claims to hold {x.size} entries in {len(data)} bytes.")
    return x
