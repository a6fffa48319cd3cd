"""HDF5 by h5py: TVB's `.h5`, and the arrays and cells of MATLAB's v7.3."""

import io
from typing import Any

import numpy as np

from ._record import Keys, Record, require_size, sort_out


def open_hdf5(data: bytes) -> Any:
    """Open a file of HDF5."""
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            'Reading HDF5 (.h5, or .mat of version 7.3) needs h5py: pip install "coupling_fn[h5]". In '
            "MATLAB, save(name, ..., '-v7') writes a .mat without it."
        ) from error
    return h5py.File(io.BytesIO(data), "r")


class Hdf5:
    """The datasets of a file by their paths, whichever groups they are in."""

    def __init__(self, file: Any):
        self._file, self.shapes, self._datasets = file, {}, {}
        file.visititems(self._visit)  # Links to other files are not followed.

    def _visit(self, name: str, found: Any) -> None:
        if not name.startswith("#") and hasattr(found, "shape") and found.shape is not None:
            self._datasets[name], self.shapes[name] = found, self._shape(found)

    def _shape(self, dataset: Any) -> tuple[int, ...]:
        return tuple(dataset.shape)

    def __getitem__(self, name: str) -> Any:
        dataset = self._datasets[name]
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"its {name} lies in another file, which is not read.")
        require_size(f"its {name}", dataset.size)
        return self._read(dataset)

    def _read(self, dataset: Any) -> Any:
        return _decoded(np.asarray(dataset[()]))


def _decoded(x: np.ndarray) -> np.ndarray:
    """Return strings for bytes."""
    if x.dtype.kind not in "SO":
        return x
    texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in x.ravel()]
    return np.array(texts, dtype=object).reshape(x.shape)


class Matlab73(Hdf5):
    """The variables of a `.mat` of version 7.3: every array is transposed, and characters are codes."""

    def _shape(self, dataset: Any) -> tuple[int, ...]:
        return tuple(dataset.shape)[::-1]

    def _read(self, dataset: Any) -> Any:
        kind = dataset.attrs.get("MATLAB_class", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        values = np.asarray(dataset[()])
        if "MATLAB_empty" in dataset.attrs:
            return np.zeros((0, 0))
        if kind == "cell":
            return np.array(
                [self._text(self._file[cell]) for cell in values.T.ravel()], dtype=object
            )
        if kind == "char":
            return np.array(
                [_chars(row) for row in values.T.reshape(values.shape[::-1])], dtype=object
            )
        return values.T

    def _text(self, cell: Any) -> str:
        require_size("its cell", cell.size)
        return "".join(_chars(row) for row in np.atleast_2d(np.asarray(cell[()]).T))


def _chars(codes: np.ndarray) -> str:
    return "".join(chr(int(code)) for code in np.ravel(codes)).rstrip(" \0")


def from_hdf5(data: bytes, keys: Keys | None) -> Record:
    """Read the datasets of a `.h5`, such as TVB writes."""
    with open_hdf5(data) as file:
        return sort_out(Hdf5(file), keys)
