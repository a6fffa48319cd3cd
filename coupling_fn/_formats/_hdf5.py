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
        inside = name.rpartition("/")[0] in self._datasets  # of a sparse matrix
        if not (name.startswith("#") or inside) and getattr(found, "shape", None) is not None:
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

    def _visit(self, name: str, found: Any) -> None:
        if (
            "MATLAB_sparse" in found.attrs and "jc" in found
        ):  # a group; its attribute: how many rows
            self._datasets[name] = found
            self.shapes[name] = (int(found.attrs["MATLAB_sparse"]), found["jc"].size - 1)
        else:
            super()._visit(name, found)

    def __getitem__(self, name: str) -> Any:
        if "MATLAB_sparse" in self._datasets[name].attrs:
            return _dense(name, self._datasets[name], self.shapes[name])
        return super().__getitem__(name)

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


def _dense(name: str, group: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return a sparse matrix of MATLAB: values and rows, one column after the other."""
    require_size(f"its {name}", shape[0] * shape[1])
    dense = np.zeros(shape)
    if "data" not in group or "ir" not in group:
        return dense  # MATLAB writes neither where no entry is stored.
    for part in ("data", "ir", "jc"):
        if group[part].is_virtual or group[part].external:
            raise ValueError(f"its {name} lies in another file, which is not read.")
        require_size(f"its {name}", group[part].size)
    values, rows, starts = (np.asarray(group[part][()]) for part in ("data", "ir", "jc"))
    counts = np.diff(starts.astype(np.int64))
    if (counts < 0).any() or counts.sum() != len(values) or len(rows) != len(values):
        raise ValueError(f"its {name} is no sparse matrix: its columns do not add up.")
    if len(rows) and rows.max() >= shape[0]:
        raise ValueError(f"its {name} has an entry in row {rows.max()} of {shape[0]}.")
    dense[rows.astype(np.int64), np.repeat(np.arange(shape[1]), counts)] = values
    return dense


def _chars(codes: np.ndarray) -> str:
    return "".join(chr(int(code)) for code in np.ravel(codes)).rstrip(" \0")


def from_hdf5(data: bytes, keys: Keys | None) -> Record:
    """Read the datasets of a `.h5`, such as TVB writes."""
    with open_hdf5(data) as file:
        return sort_out(Hdf5(file), keys)
