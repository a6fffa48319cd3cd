"""The cortical surface as a value, and the one that comes with `tvb-data`."""

import warnings
from collections.abc import Iterable, Sequence

import equinox as eqx
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._connectome import SparseConnection, sparse_from_edges
from .._core import as_float, constant, in_short, known, require_finite, require_shape
from .._coupling import Parcellation
from .._formats import read_cortex


class Cortex(eqx.Module):
    """Hold a cortical surface: its mesh, its local coupling, its regions and its sensors, as a pytree.

    It also holds `parcellation`, a `cf.Parcellation` made of `region_mapping`: averages over regions,
    and the way back. `len(cortex)` is the number of vertices, and `print(cortex)` says what it holds.

    Args:
        vertices: where each vertex is, (vertex, 3). [mm]
        triangles: the three vertices of each triangle, counted from 0, (triangle, 3). [1]
        local_connectivity: over short distances: from which vertex onto which, and how strongly.
        region_mapping: the region of each vertex, counted from 0; -1 for a vertex in no region. [1]
        gain: what each sensor measures per unit of each vertex, (sensor, vertex), or None. [sensor
            unit/source unit]
        sensors: the name of each sensor, or None.

    Raises:
        ValueError: if sizes differ, a number is not finite or names no vertex, or a region has no
            vertex.
        TypeError: if `local_connectivity` is no `SparseConnection`, numbers of vertices or of regions
            are not whole, or a name is not a string.

    Example:
        >>> corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        >>> faces = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
        >>> neighbours = cf.to_sparse((1 - jnp.eye(4)) / 3)
        >>> cortex = cf.surface.Cortex(corners, faces, neighbours, region_mapping=[0, 0, 1, 1])
        >>> print(cortex)
        4 vertices, 4 triangles, 12 local connections, 2 regions
        >>> cortex.parcellation.mean(jnp.arange(4.0)).tolist()
        [0.5, 2.5]
    """

    vertices: Float[Array, "vertex 3"]
    triangles: Int[Array, "triangle 3"]
    local_connectivity: SparseConnection
    region_mapping: Int[Array, " vertex"]
    parcellation: Parcellation
    gain: Float[Array, "sensor vertex"] | None
    sensors: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        vertices: Num[ArrayLike, "vertex 3"] | Sequence[Sequence[float]],
        triangles: Num[ArrayLike, "triangle 3"] | Sequence[Sequence[int]],
        local_connectivity: SparseConnection,
        region_mapping: Num[ArrayLike, " vertex"] | Sequence[int],
        gain: Num[ArrayLike, "sensor vertex"] | Sequence[Sequence[float]] | None = None,
        sensors: Iterable[str] | None = None,
    ):
        self.vertices = _as_matrix("vertices", vertices, "Give x, y, z per vertex.", columns=3)
        n = len(self.vertices)
        self.triangles = _as_triangles(triangles, n)
        if not isinstance(local_connectivity, SparseConnection):
            raise TypeError(
                f"`local_connectivity` must be a SparseConnection, not {in_short(local_connectivity)}: "
                "cf.to_sparse makes one."
            )
        require_shape("local_connectivity", local_connectivity, (n, n), meaning="As `vertices`.")
        self.local_connectivity = local_connectivity
        try:
            self.parcellation = Parcellation(region_mapping)
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("labels", "region_mapping")) from None
        require_shape("region_mapping", region_mapping, (n,), meaning="Give one per vertex.")
        self.region_mapping = constant(np.asarray(region_mapping, np.int32))
        self.gain = None
        if gain is not None:
            self.gain = _as_matrix("gain", gain, "Give one column per vertex.", columns=n)
        self.sensors = _as_names(sensors, self.gain)

    def __len__(self) -> int:
        return len(self.vertices)

    def __str__(self) -> str:
        parts = [
            f"{len(self)} vertices",
            f"{len(self.triangles)} triangles",
            f"{self.local_connectivity.edges} local connections",
            f"{self.parcellation.regions} regions",
        ]
        return ", ".join(parts if self.gain is None else [*parts, f"{len(self.gain)} sensors"])


def load_cortex(name: str) -> Cortex:
    """Load the default cortex of The Virtual Brain, which comes with `pip install "coupling_fn[data]"`.

    There is one, that of the connectome `tvb:76`: 16,384 vertices of both hemispheres, 98,280 local
    connections, by which each vertex receives the average of its neighbours on the mesh, a map to the
    76 regions in the order of `cf.load_connectome("tvb:76")`, and an EEG gain. The file of the gain has
    65 sensors, of which IO1 and IO2 have no number in it: a warning says that they are left out. Normals
    of the mesh, places of the sensors and the other files of tvb-data are not read.

    Args:
        name: "tvb:76".

    Returns:
        The cortex, in about 10 MB (float32). [mm, and the unit of the gain in the file]

    Raises:
        ValueError: if there is no such cortex, or a file, which the error names, is damaged.
        FileNotFoundError: if a file is missing from tvb-data.
        ImportError: if tvb-data is not installed.

    Warns:
        UserWarning: naming the sensors that the gain leaves out.

    Source:
        P. Sanz-Leon et al., NeuroImage 111, 385 (2015), for simulations on a cortical surface.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():  # two sensors have no gain
        ...     warnings.simplefilter("ignore")
        ...     cortex = cf.surface.load_cortex("tvb:76")
        >>> print(cortex)
        16384 vertices, 32760 triangles, 98280 local connections, 76 regions, 63 sensors
        >>> cortex.gain.shape, cortex.sensors[:3]
        ((63, 16384), ('Fp1', 'Fp2', 'F4'))
    """
    read = read_cortex(name)
    n = len(read.vertices)
    local = sparse_from_edges(read.target, read.source, read.weight, (n, n))
    require_shape(
        "the gain", read.gain, (len(read.sensors), n), meaning="In the files of tvb-data."
    )
    unknown = np.isnan(read.gain).all(axis=1)
    sensors = np.array(read.sensors, dtype=str)
    if unknown.any():
        warnings.warn(
            f"{name}: the gain of {', '.join(sensors[unknown])} is NaN in the file; `gain` and "
            "`sensors` leave out what is not known.",
            UserWarning,
            stacklevel=2,
        )
    return Cortex(
        read.vertices,
        read.triangles,
        local,
        read.region_mapping,
        read.gain[~unknown],
        sensors[~unknown].tolist(),
    )


def _as_matrix(name: str, x: object, meaning: str, columns: int) -> Array:
    """Convert to a matrix of finite floats with so many columns."""
    x = as_float(name, x)
    if not x.ndim or not len(x):
        raise ValueError(f"`{name}` must have at least one row; its shape is {x.shape}. {meaning}")
    require_shape(name, x, (x.shape[0], columns), meaning=meaning)
    require_finite(name, x)
    return x


def _as_triangles(x: object, vertices: int) -> Array:
    if not known(x):
        raise TypeError(
            "`triangles` must be known, not traced: make the `Cortex` outside of `jit`."
        )
    x = np.asarray(x)
    if x.ndim != 2 or not len(x):
        raise ValueError(f"`triangles` must have shape (triangle, 3), not {x.shape}.")
    if not np.issubdtype(x.dtype, np.integer):
        raise TypeError(f"`triangles` must be whole numbers; got {x.dtype}.")
    require_shape("triangles", x, (len(x), 3), meaning="Three per triangle.")
    if x.size and (x.min() < 0 or x.max() >= vertices):
        raise ValueError(
            f"`triangles` must name vertices from 0 to {vertices - 1}; they span {x.min()} … {x.max()}."
        )
    return constant(x.astype(np.int32))


def _as_names(sensors: Iterable[str] | None, gain: Array | None) -> tuple[str, ...] | None:
    if sensors is None:
        return None
    names = sensors if isinstance(sensors, str) else list(sensors)
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"`sensors` must be a sequence of strings, one per sensor, not {names!r}.")
    rows = None if gain is None else len(gain)
    if rows != len(names):
        raise ValueError(
            f"`sensors` must be one name per row of `gain`, which has {rows or 'none'}; "
            f"got {len(names)}."
        )
    return tuple(map(str, names))
