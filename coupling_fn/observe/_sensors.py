"""What EEG, MEG and sEEG sensors measure of the regions, through a lead field."""

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
from .._signals import as_series

Reference = Literal["average"] | int | Int[ArrayLike, "channel 2"] | None


def load_lead_field(path: str | os.PathLike[str]) -> Float[Array, "sensor region"]:
    """Read a lead field from a file, with one row per sensor and one column per region.

    - `.npy`: the matrix.
    - `.npz`, `.mat` (needs scipy): its array `lead_field` (or `gain`), or the only one it holds.
    - `.csv`, `.txt`: text without a header, with columns separated by commas or by blanks.

    Where the columns are the vertices of a cortical surface, the sources are vertices, too: simulate
    these (`surface.Cortex`), or sum the lead field over the vertices of each region beforehand.

    Args:
        path: where the file is.

    Returns:
        The lead field. [sensor unit/source unit]

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is damaged, holds no matrix of finite numbers, or has an
            extension that is not in the list. Pickled data is never loaded.

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

    $y_s(t) = \sum_j G_{sj} x_j(t)$, less the reference. EEG is measured against the average of all
    electrodes or against one of them, sEEG between neighbouring contacts of a shaft, and MEG
    without a reference.

    Args:
        sources: what stands for the current of each region; for EEG and MEG usually the
            postsynaptic potential of its pyramidal cells. [source unit]
        lead_field: $G$, what each sensor measures per unit of each region; `load_lead_field` reads
            one from a file. [sensor unit/source unit]
        reference: None; "average", the mean of all sensors; the number of one sensor, whose signal
            is then 0; or pairs of sensors, `[[0, 1], [1, 2]]`, each of which gives the first less
            the second.

    Returns:
        One column per sensor, or per pair. [sensor unit]

    Raises:
        ValueError: if `lead_field` is not (sensor, region) with the regions of `sources`, or
            `reference` names a sensor that does not exist.

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
    # The reference is subtracted from the lead field once, rather than from every sample.
    channels = projection(lead_field, reference, sources.shape[1])
    return jnp.matmul(sources, channels.T, precision=lax.Precision.HIGHEST)


def projection(
    lead_field: Any, reference: Any, regions: int | None
) -> Float[Array, "channel region"]:
    """Return what each channel measures per unit of each region, or refuse lead field or reference."""
    lead_field = _lead_field(lead_field)
    if regions is not None and lead_field.shape[1] != regions:
        turned = lead_field.shape[0] == regions
        way_out = " If its rows are regions, pass `lead_field.T`." if turned else ""
        raise ValueError(
            f"`lead_field` must have shape (sensor, {regions}), one column per region of "
            f"the sources; got {lead_field.shape}.{way_out}"
        )
    return _referenced(lead_field, reference)


def _lead_field(lead_field: Any) -> Array:
    """Return the lead field as a matrix of finite floats, or refuse it."""
    lead_field = as_float("lead_field", lead_field)
    if lead_field.ndim != 2 or not lead_field.size:
        raise ValueError(f"`lead_field` must have shape (sensor, region); got {lead_field.shape}.")
    require_finite("lead_field", lead_field)
    return lead_field


def _referenced(lead_field: Array, reference: Any) -> Array:
    """Return the lead field less that of the reference: one row per channel that is measured."""
    sensors = len(lead_field)
    if reference is None:
        return lead_field
    if isinstance(reference, str):
        if reference != "average":
            raise ValueError(
                "`reference` must be None, 'average', a sensor, or pairs of sensors; got "
                f"{reference!r}."
            )
        return lead_field - lead_field.mean(axis=0, keepdims=True)
    chosen = np.asarray(reference)
    pairs = chosen.ndim > 0
    if not np.issubdtype(chosen.dtype, np.integer) or (pairs and chosen.shape[1:] != (2,)):
        raise ValueError(
            "`reference` must be one whole number, or pairs of shape (channel, 2); got "
            f"{reference!r}."
        )
    if (chosen < 0).any() or (chosen >= sensors).any():
        raise ValueError(f"`reference` must name sensors from 0 to {sensors - 1}; got {reference}.")
    if not pairs:
        return lead_field - lead_field[chosen][None, :]
    return lead_field[chosen[:, 0]] - lead_field[chosen[:, 1]]
