"""What white and coloured noise have in common: the factor by which regions share sources."""

from typing import Any

import equinox as eqx
import numpy as np
from jax import Array

from .._core import as_float, cholesky, known, require_finite, require_nonnegative, require_square


def correlation_factor(correlation: Any) -> Array:
    r"""Factorise a correlation matrix, for noise that regions share: $F F^T = C$ (Cholesky).

    Any other `(region, source)` array may be a factor too: a column of ones beside a diagonal is
    one source for all regions, beside one source per region.

    Args:
        correlation: $C$, `(region, region)`. With variances other than 1 it is a covariance, which
            sigma multiplies. [1]

    Returns:
        $F$, `(region, region)`, lower triangular. [1]

    Raises:
        ValueError: if the matrix is not square, finite, symmetric and positive definite.

    Example:
        >>> factor = cf.noise.correlation_factor(jnp.array([[1.0, 0.6], [0.6, 1.0]]))
        >>> factor.round(3).tolist()
        [[1.0, 0.0], [0.6, 0.8]]
        >>> noise = cf.noise.Additive(0.1, factor=factor)
    """
    correlation = as_float("correlation", correlation)
    require_square("correlation", correlation)
    require_finite("correlation", correlation)
    if known(correlation):
        c = np.asarray(correlation)
        asymmetry = np.abs(c - c.T)
        if asymmetry.max() > 1e3 * np.finfo(c.dtype).eps * np.abs(c).max():
            i, j = (int(n) for n in np.unravel_index(asymmetry.argmax(), c.shape))
            raise ValueError(
                f"`correlation` must be symmetric; at ({i}, {j}) it is {c[i, j]}, and {c[j, i]} at "
                f"({j}, {i})."
            )
        smallest = np.linalg.eigvalsh(c).min()
        if smallest <= 0:
            raise ValueError(
                f"`correlation` must be positive definite; its smallest eigenvalue is {smallest:.3g}. "
                "A matrix from fewer samples than regions is not: add a small number to its diagonal."
            )
    return cholesky(correlation)


def factor_field() -> Any:
    """Return the field of a noise that holds its `factor`: an array, or None by default."""
    return eqx.field(default=None, converter=as_factor)


def as_factor(factor: Any) -> Array | None:
    """Return `factor` as an array of floats; None stays None."""
    return None if factor is None else as_float("factor", factor)


def require_amplitude(noise: Any) -> None:
    """Refuse a sigma that is negative or not finite, and a factor that is not finite."""
    require_finite("sigma", noise.sigma)
    require_nonnegative("sigma", noise.sigma, "It is a standard deviation.")
    if noise.factor is not None:
        require_finite("factor", noise.factor)
