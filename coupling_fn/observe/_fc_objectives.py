"""How far a simulated FC is from a recorded one.

Every objective of the package is called as `objective(simulated, target)`, with options by keyword;
so any of them can be part of a `weighted_objective`. Those of other measurements stand in
`_objectives.py`.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_float, known, require_finite, require_shape, require_square
from .._signals import norm, root, unit, within


def fc_correlation(
    fc: Num[ArrayLike, "region region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    """Correlate two functional connectivities over their pairs of regions (Pearson).

    This is an agreement, to be made large; `fc_correlation_distance` is the objective. Only the
    entries above the diagonal are read. Blind to the level and the spread of both matrices: use
    `fc_rmse` beside it. Where all pairs of one matrix are equal the correlation is 0, with
    gradient 0.

    Args:
        fc: the simulated connectivity, of three regions or more. [1]
        target: the recorded connectivity, of the same regions. [1]

    Returns:
        The correlation, in [-1, 1]. [1]

    Raises:
        ValueError: if the two are not square matrices of one size, three or more.
        TypeError: if one is complex.

    Source:
        C. J. Honey et al., PNAS 106, 2035 (2009), for the use as a model's goodness of fit.

    Example:
        >>> fc = cf.observe.functional_connectivity(jax.random.normal(jax.random.key(0), (50, 4)))
        >>> round(float(cf.observe.fc_correlation(fc, 0.5 * fc - 0.1)), 3)
        1.0
    """
    simulated, recorded = (unit(pairs) for pairs in _pairs(fc, target, regions=3))
    return within((simulated * recorded).sum(), -1, 1)


def fc_correlation_distance(
    fc: Num[ArrayLike, "region region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    """Compute 1 less `fc_correlation`: an objective for which the level of FC does not matter.

    Args:
        fc: the simulated connectivity, of three regions or more. [1]
        target: the recorded connectivity, of the same regions. [1]

    Returns:
        The distance, in [0, 2]; 1, with gradient 0, where all pairs of one matrix are equal. [1]

    Raises:
        ValueError: if the two are not square matrices of one size, three or more.
        TypeError: if one is complex.

    Example:
        >>> fc = jnp.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> round(float(cf.observe.fc_correlation_distance(fc, -fc)), 4)
        2.0
    """
    return 1 - fc_correlation(fc, target)


def fc_rmse(
    fc: Num[ArrayLike, "region region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    r"""Compute the root mean square difference of two functional connectivities.

    $\sqrt{\langle (C_{ij} - \hat C_{ij})^2 \rangle_{i < j}}$, with $C$ the simulated connectivity
    and $\hat C$ the target: only the entries above the diagonal are read. At an exact match it is
    0, with gradient 0.

    Args:
        fc: the simulated connectivity, of two regions or more. [1]
        target: the recorded connectivity, of the same regions. [1]

    Returns:
        The difference, 0 or more. [1]

    Raises:
        ValueError: if the two are not square matrices of one size, two or more.
        TypeError: if one is complex.

    Source:
        The root mean square error of statistics, over pairs of regions.

    Example:
        >>> round(float(cf.observe.fc_rmse(jnp.eye(3), jnp.eye(3) + 0.25)), 3)
        0.25
    """
    simulated, recorded = _pairs(fc, target, regions=2)
    return root(jnp.square(simulated - recorded).mean())


def fc_frobenius(
    fc: Num[ArrayLike, "region region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    r"""Compute the Frobenius norm of the difference of two connectivities or covariances.

    $\sqrt{\sum_{ij} (C_{ij} - \hat C_{ij})^2}$, with $C$ the simulated matrix and $\hat C$ the
    target, over all entries, the diagonal included.

    Args:
        fc: the simulated matrix, a connectivity or a covariance. [any unit]
        target: the recorded matrix, of the same regions. [the same]

    Returns:
        The distance, 0 or more. [the same]

    Raises:
        ValueError: if the two are not square matrices of one size.
        TypeError: if one is complex.

    Example:
        >>> float(cf.observe.fc_frobenius(jnp.zeros((2, 2)), 2 * jnp.ones((2, 2))))
        4.0
    """
    fc = as_float("fc", fc)
    require_square("fc", fc)
    return norm(fc - as_target(target, fc, "It is compared with `fc`, entry by entry."))


def require_fc(name: str, fc: Any, regions: int | None = None) -> Array:
    """Return `fc` as a connectivity that a model can be fitted to, or refuse it and say why."""
    fc = as_float(name, fc)
    require_square(name, fc)
    if regions is not None and len(fc) != regions:
        wanted = f"({regions}, {regions})"
        raise ValueError(f"`{name}` must be {wanted}, one row per region; got {fc.shape}.")
    if len(fc) < 3:
        raise ValueError(
            f"`{name}` must have 3 regions or more, so that there are pairs to compare; got "
            f"{len(fc)}."
        )
    require_finite(name, fc, "Leave a region without data out of both the model and the data.")
    if not known(fc):
        return fc
    values = np.asarray(fc)
    apart = np.abs(values - values.T)
    if apart.max() > 1e-3 * np.abs(values).max():
        i, j = (int(x) for x in np.unravel_index(apart.argmax(), apart.shape))
        raise ValueError(
            f"`{name}` must be symmetric; at ({i}, {j}) it is {values[i, j]}, and at ({j}, {i}) "
            f"{values[j, i]}."
        )
    if np.ptp(values[np.triu_indices(len(values), 1)]) == 0:
        raise ValueError(
            f"`{name}` must differ between pairs of regions; it is the same for all pairs, and so "
            "tells no model from another."
        )
    return fc


def as_target(target: Any, simulated: Array, meaning: str) -> Array:
    """Return the target as floats of the dtype of what it is compared with, if the shapes agree."""
    target = as_float("target", target)
    require_shape("target", target, simulated.shape, meaning=meaning)
    return target.astype(simulated.dtype)


def _pairs(fc: Any, target: Any, regions: int) -> tuple[Array, Array]:
    """Return the entries above the diagonal of both."""
    fc, target = as_float("fc", fc), as_float("target", target)
    require_square("fc", fc)
    require_shape("target", target, fc.shape, meaning="It is compared with `fc`.")
    if len(fc) < regions:
        raise ValueError(f"`fc` must have {regions} regions or more; got {len(fc)}.")
    above = np.triu_indices(len(fc), 1)
    return fc[above], target[above]
