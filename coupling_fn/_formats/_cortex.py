"""The cortical surface of `tvb-data`: a mesh, who is coupled to whom on it, its regions, an EEG gain."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ._archives import Archive, read_array
from ._matlab import sparse_in_mat
from ._read import naming
from ._record import read_all
from ._text import decode, read_table
from ._tvb import tvb_data

# Only this map of regions has an entry for each vertex, and no more.
MAPS = {"tvb:76": "regionMapping_16k_76.txt"}


@dataclasses.dataclass(frozen=True)
class CortexRecord:
    """What the files of a cortex hold, as they hold it.

    Attributes:
        vertices: places of the vertices, (vertex, 3). [mm]
        triangles: the vertices of each triangle, (triangle, 3), counted from 0.
        target: the target of each local connection.
        source: the source of each local connection.
        weight: the weight of each local connection.
        region_mapping: the region of each vertex, counted from 0.
        gain: what each sensor measures of each vertex, (sensor, vertex); rows of NaN are not known.
        sensors: the name of each sensor.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    target: np.ndarray
    source: np.ndarray
    weight: np.ndarray
    region_mapping: np.ndarray
    gain: np.ndarray
    sensors: list[str]


def read_cortex(name: str) -> CortexRecord:
    """Read the cortex that belongs to a connectome of tvb-data."""
    if name not in MAPS:
        raise ValueError(f"{name!r} is no cortex of tvb-data; there is: {', '.join(MAPS)}.")
    folder = tvb_data(f"The cortex of {name!r} is one")

    def read(path: str, how: Callable[[bytes], Any]) -> Any:
        if not (folder / path).is_file():
            raise FileNotFoundError(f"There is no file {folder / path}.")
        with naming(folder / path, "a part of a cortex"):
            return how(_bytes_of(folder / path))

    vertices, triangles = read("surfaceData/cortex_16384.zip", _mesh)
    local = read("local_connectivity/local_connectivity_16384.mat", sparse_in_mat)
    if local.shape != (len(vertices), len(vertices)):
        raise ValueError(
            f"The local connectivity of {name!r} is {local.shape}, for {len(vertices)} vertices."
        )
    return CortexRecord(
        vertices,
        triangles,
        local.row,  # TVB multiplies the states by this matrix from the left: rows are targets.
        local.col,
        local.data,
        read(f"regionMapping/{MAPS[name]}", _region_mapping),
        read("projectionMatrix/projection_eeg_65_surface_16k.npy", read_array),
        read("sensors/eeg_brainstorm_65.txt", _first_words),
    )


def _bytes_of(path: Path) -> bytes:
    with open(path, "rb") as file:
        return read_all(file, "it")


def _mesh(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    archive = Archive(data)
    vertices, triangles = (
        read_table(archive[name], f"its {name}", square=False).values
        for name in ("vertices.txt", "triangles.txt")
    )
    return vertices, _whole(triangles, "triangles.txt")


def _region_mapping(data: bytes) -> np.ndarray:
    text = decode(data, "it")
    return _whole(np.array([float(word) for word in text.split()]), "numbers of regions")


def _whole(x: np.ndarray, what: str) -> np.ndarray:
    """Refuse numbers that are not whole, and return whole ones as integers."""
    if not (x == np.rint(x)).all():
        raise ValueError(f"its {what} must be whole numbers.")
    return x.astype(np.int64)


def _first_words(data: bytes) -> list[str]:
    return [line.split()[0] for line in decode(data, "it").splitlines() if line.strip()]
