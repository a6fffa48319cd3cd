"""What neurons answer to a mean and a fluctuation of their input: tables, read and interpolated."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .._core import as_float, known

if TYPE_CHECKING:  # A static checker does not know what a field's converter returns.
    Grid: TypeAlias = Any
    Table: TypeAlias = Any
else:
    Grid: TypeAlias = Float[Array, " _"]
    Table: TypeAlias = Float[Array, "mu sigma"]

# From the names of the fields to those of the datasets in neurolib's file.
_DATASETS = {
    "mu": "mu_vals",
    "sigma": "sigma_vals",
    "rate": "r_ss",
    "V": "V_mean_ss",
    "tau": "tau_mu_exp",
}


class Answer(NamedTuple):
    """Firing rate [kHz], mean potential [mV] and time constant [ms] of a population."""

    rate: Array
    V: Array
    tau: Array


def _array(name):
    return eqx.field(converter=lambda x: as_float(name, x))


class AlnTables(eqx.Module):
    """Answer of a population of neurons to the mean and the fluctuation of its input, on a grid.

    Attributes:
        mu: means of the input, evenly spaced. [mV/ms]
        sigma: its fluctuations, evenly spaced. [mV/ms^0.5]
        rate: firing rate. [kHz]
        V: mean membrane potential. [mV]
        tau: time constant with which the rate follows the mean. [ms]

    Raises:
        ValueError: if shapes do not fit, a value is not finite, a grid is not increasing and even, a
            rate is negative or a time constant is not above 0.

    Example:
        >>> mu, sigma = jnp.linspace(0.0, 4.0, 5), jnp.linspace(1.0, 3.0, 3)
        >>> flat = jnp.ones((5, 3))
        >>> tables = cf.nodes.AlnTables(mu, sigma, 0.01 * flat, -60 * flat, 10 * flat)
        >>> tables.rate.shape
        (5, 3)
    """

    mu: Grid = _array("mu")
    sigma: Grid = _array("sigma")
    rate: Table = _array("rate")
    V: Table = _array("V")
    tau: Table = _array("tau")

    def __check_init__(self):
        shape = *self.mu.shape, *self.sigma.shape
        for name in ("mu", "sigma"):
            grid = getattr(self, name)
            if grid.ndim != 1 or len(grid) < 2:
                raise ValueError(
                    f"`{name}` must be a grid of 2 values or more, (n,); got the shape {grid.shape}."
                )
            if known(grid):
                steps = np.diff(np.asarray(grid, float))
                if not np.isfinite(grid).all() or not (steps > 0).all():
                    raise ValueError(
                        f"`{name}` must be finite and increase; got {np.asarray(grid)}."
                    )
                if steps.max() > 1.01 * steps.min():
                    raise ValueError(
                        f"`{name}` must be evenly spaced; its steps are {steps.min()} to {steps.max()}."
                    )
        for name in ("rate", "V", "tau"):
            table = getattr(self, name)
            if table.shape != shape:
                raise ValueError(
                    f"`{name}` must have the shape of `mu` and `sigma`, {shape}; got {table.shape}."
                )
            if known(table) and not np.isfinite(table).all():
                raise ValueError(f"`{name}` must be finite.")
        if known(self.rate) and (np.asarray(self.rate) < 0).any():
            raise ValueError("`rate` must not be negative.")
        if known(self.tau) and (np.asarray(self.tau) <= 0).any():
            raise ValueError("`tau` must be above 0.")

    def read(self, mu: Array, sigma: Array) -> Answer:
        """Return the answer at a mean and a fluctuation, as at the table's end where it is beyond."""
        row, down = _place(self.mu, mu)
        column, right = _place(self.sigma, sigma)
        # One array of rows of three, so that a corner is one read.
        table = jnp.stack([self.rate, self.V, self.tau], axis=-1).astype(down.dtype)
        above, below = table[row, column], table[row + 1, column]
        above_right, below_right = table[row, column + 1], table[row + 1, column + 1]
        down, right = down[..., None], right[..., None]
        upper = above * (1 - right) + above_right * right
        lower = below * (1 - right) + below_right * right
        answer = upper * (1 - down) + lower * down
        return Answer(answer[..., 0], answer[..., 1], answer[..., 2])


def _place(grid, x):
    """Return the grid point below `x`, by number, and how far `x` is on the way to the next."""
    grid = grid.astype(x.dtype)
    steps = jnp.clip((x - grid[0]) / (grid[1] - grid[0]), 0, len(grid) - 1)
    below = jnp.minimum(jnp.floor(steps).astype("int32"), len(grid) - 2)
    return below, steps - below.astype(steps.dtype)


def load_aln_tables(path: str | os.PathLike[str]) -> AlnTables:
    """Read the tables of the neurons of `aln` from a file.

    neurolib's are in `models/aln/aln-precalc/quantities_cascade.h5` of an installed neurolib. Reading
    HDF5 needs h5py.

    Args:
        path: a `.h5` file with the datasets of neurolib (mu_vals, sigma_vals, r_ss, V_mean_ss and
            tau_mu_exp), or a `.npz` file with arrays of these names.

    Returns:
        The tables.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if h5py is missing.
        ValueError: if it is neither format, a dataset is missing, or the tables are none (`AlnTables`).

    Source:
        The file of neurolib 0.6, by C. Cakan, N. Jajcay and K. Obermayer, Cogn. Comput. 15 (2023)
        1132-1152.

    Example:
        >>> import tempfile
        >>> file = tempfile.mkdtemp() + "/tables.npz"
        >>> table = np.ones((4, 3))
        >>> np.savez(file, mu_vals=np.arange(4.0), sigma_vals=np.arange(1.0, 4.0), r_ss=0.01 * table,
        ...          V_mean_ss=-60 * table, tau_mu_exp=10 * table)
        >>> cf.nodes.load_aln_tables(file).tau.shape
        (4, 3)
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path}.")
    if path.endswith(".npz"):
        with np.load(path) as file:
            found = dict(file)
    elif path.endswith((".h5", ".hdf5")):
        try:
            import h5py  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError('Reading HDF5 needs h5py: pip install "coupling_fn[h5]".') from error
        with h5py.File(path, "r") as file:
            found = {name: np.asarray(file[name]) for name in _DATASETS.values() if name in file}
    else:
        raise ValueError(f"`path` must end in .h5, .hdf5 or .npz; got {path}.")
    if missing := [name for name in _DATASETS.values() if name not in found]:
        raise ValueError(f"{path} lacks {', '.join(missing)}: tables of ALN have all of these.")
    return AlnTables(**{field: found[name] for field, name in _DATASETS.items()})
