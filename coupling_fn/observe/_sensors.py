"""What EEG, MEG and sEEG sensors see of the regions, through a lead field."""

import os
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._connectome import read_matrix
from .._core import as_float, require_finite
from ._connectivity import as_series

Reference = Literal["average"] | int | Int[ArrayLike, "channel 2"] | None


def load_lead_field(path: str | os.PathLike[str]) -> Float[Array, "sensor region"]:
    """Read a lead field, one row a sensor and one column a region, from a file.

    - `.npy`: the matrix.
    - `.npz`: its array `lead_field` (or `gain`), or the only one it holds.
    - `.csv`, `.txt`: text without a header, columns separated by commas, or by blanks.

    A lead field of a cortical surface is first summed over the vertices of each region.

    Args:
        path: of the file.

    Returns:
        The lead field. [sensor unit/source unit]

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is damaged, not a matrix of finite numbers, or of an
            unknown kind. Nothing pickled is ever loaded.

    Example:
        >>> np.savetxt("eeg.csv", [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]], delimiter=",")
        >>> cf.observe.load_lead_field("eeg.csv").shape
        (2, 3)
    """
    matrix = read_matrix(Path(path), "a lead field", ("lead_field", "gain"))
    try:
        return _lead_field(matrix)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Cannot read {path} as a lead field: {error}") from error


def sensor_signals(
    sources: Num[ArrayLike, "time region"],
    lead_field: Num[ArrayLike, "sensor region"],
    *,
    reference: Reference = None,
) -> Float[Array, "time channel"]:
    r"""Project the activity of regions onto sensors: EEG, MEG or sEEG.

    $y_s(t) = \sum_j G_{sj} x_j(t)$, less the reference. EEG is read against the average of all
    electrodes or one of them, sEEG between neighbouring contacts of a shaft, MEG against nothing.

    Args:
        sources: what stands for the current of each region; for EEG and MEG usually the
            postsynaptic potential of its pyramidal cells. [source unit]
        lead_field: $G$, what a sensor sees of one unit of each region; `load_lead_field` reads one
            from a file. [sensor unit/source unit]
        reference: None; "average", the mean of all sensors; the number of one sensor, which then
            is 0; or pairs of sensors, `[[0, 1], [1, 2]]`, each giving first less second.

    Returns:
        One column a sensor, or a pair. [sensor unit]

    Raises:
        ValueError: if `lead_field` is not (sensor, region) for as many regions as `sources` has,
            or `reference` names a sensor that is not there.

    Source:
        J. Sarvas, Phys. Med. Biol. 32, 11 (1987); P. Sanz-Leon et al., NeuroImage 111, 385 (2015),
        for network models.

    Example:
        >>> lead_field = jnp.array([[1.0, 0.5], [0.0, 2.0], [0.5, 0.5]])
        >>> sources = jnp.array([[2.0, 0.0], [0.0, 1.0]])
        >>> cf.observe.sensor_signals(sources, lead_field, reference=2).tolist()
        [[1.0, -1.0, 0.0], [0.0, 1.5, 0.0]]
    """
    sources = as_series("sources", sources, samples=1)
    lead_field = _lead_field(lead_field)
    regions = sources.shape[1]
    if lead_field.shape[1] != regions:
        turned = lead_field.shape[0] == regions
        way_out = " If regions are its rows, pass `lead_field.T`." if turned else ""
        raise ValueError(
            f"`lead_field` must have shape (sensor, {regions}), a column for each region of "
            f"`sources`, not {lead_field.shape}.{way_out}"
        )
    # The reference is taken off the lead field, once, and not off every sample.
    seen = _referenced(lead_field, reference)
    return jnp.matmul(sources, seen.T, precision=lax.Precision.HIGHEST)


def _lead_field(lead_field: Any) -> Array:
    lead_field = as_float("lead_field", lead_field)
    if lead_field.ndim != 2 or not lead_field.size:
        raise ValueError(
            f"`lead_field` must have shape (sensor, region); its shape is {lead_field.shape}."
        )
    require_finite("lead_field", lead_field)
    return lead_field


def _referenced(lead_field: Array, reference: Any) -> Array:
    sensors = len(lead_field)
    if reference is None:
        return lead_field
    if isinstance(reference, str):
        if reference != "average":
            raise ValueError(
                "`reference` must be None, 'average', a sensor, or pairs of sensors, not "
                f"{reference!r}."
            )
        return lead_field - lead_field.mean(axis=0, keepdims=True)
    chosen = np.asarray(reference)
    pairs = chosen.ndim > 0
    if not np.issubdtype(chosen.dtype, np.integer) or (pairs and chosen.shape[1:] != (2,)):
        raise ValueError(
            "`reference` must be one whole number, or pairs of shape (channel, 2), not "
            f"{reference!r}."
        )
    if (chosen < 0).any() or (chosen >= sensors).any():
        raise ValueError(f"`reference` must name sensors from 0 to {sensors - 1}, not {reference}.")
    if not pairs:
        return lead_field - lead_field[chosen][None, :]
    return lead_field[chosen[:, 0]] - lead_field[chosen[:, 1]]
