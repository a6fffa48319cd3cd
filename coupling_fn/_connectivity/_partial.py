"""Which regions vary together beyond what all others explain."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import Scalar, as_float, inverse, known, require_shape
from .._signals import as_series, unit, within
from ._correlation import functional_connectivity


def partial_correlation(
    signals: Num[ArrayLike, "time region"],
    *,
    shrinkage: Literal["ledoit_wolf"] | Scalar = "ledoit_wolf",
) -> Float[Array, "region region"]:
    r"""Correlate each pair of regions after what all other regions explain of both.

    $-P_{ij} / \sqrt{P_{ii} P_{jj}}$ with $P = ((1 - s) C + s I)^{-1}$ and $C$ the
    `functional_connectivity`. With fewer samples than several times the number of regions, the inverse
    of C is mostly noise; the shrinkage s makes it better conditioned, and all values smaller. The
    diagonal is exactly 1. A region that does not vary has 0 with all others, with gradient 0. Time
    grows as regions cubed. Memory is about that of `signals` once more, nine times with the gradient.

    Args:
        signals: one column per region. [any unit, its own per region]
        shrinkage: s, from 0 (none, which takes more samples than regions) to 1 (all 0); or
            "ledoit_wolf", the `ledoit_wolf_shrinkage` of these signals. [1]

    Returns:
        The partial correlations, symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples, `shrinkage` is
            out of range, or it is 0 and there are too few samples, or other regions determine one
            exactly (inside `jit`, `vmap` and `grad` all values are NaN or noise then).
        TypeError: if `signals` is complex.

    Source:
        G. Marrelec et al., NeuroImage 32, 228 (2006), for its use; O. Ledoit, M. Wolf, J. Multivariate
        Anal. 88, 365 (2004), for the shrinkage.

    Example:
        >>> noise = jax.random.normal(jax.random.key(0), (5000, 3))
        >>> chain = jnp.stack([noise[:, 0], noise[:, :2].sum(1), noise.sum(1)], axis=1)  # 0 -> 1 -> 2
        >>> round(float(cf.observe.functional_connectivity(chain)[0, 2]), 1)
        0.6
        >>> bool(abs(cf.observe.partial_correlation(chain)[0, 2]) < 0.05)  # no direct link
        True
    """
    signals = as_series("signals", signals, samples=2)
    if isinstance(shrinkage, str):
        if shrinkage != "ledoit_wolf":
            raise ValueError(
                f'`shrinkage` must be "ledoit_wolf" or a number from 0 to 1; got {shrinkage!r}.'
            )
        share = ledoit_wolf_shrinkage(signals)
    else:
        share = as_float("shrinkage", shrinkage).astype(signals.dtype)
        require_shape("shrinkage", share, (), meaning="Give a single number.")
        if known(share) and not 0 <= share <= 1:
            raise ValueError(f"`shrinkage` must be from 0 to 1; got {shrinkage}.")
        samples, regions = signals.shape
        if known(share) and share == 0 and samples <= regions:
            raise ValueError(
                f"`shrinkage` of 0 needs more samples than regions, since the correlations have no "
                f'inverse; got {samples} samples of {regions} regions. Use "ledoit_wolf".'
            )
    fc = functional_connectivity(signals)
    diagonal = np.eye(len(fc), dtype=bool)
    precision = inverse((1 - share) * fc + share * jnp.eye(len(fc), dtype=fc.dtype))
    if known(share, fc, precision) and share == 0:
        _require_inverse(np.asarray(fc), np.asarray(jnp.diagonal(precision)))
    scale = 1 / jnp.sqrt(jnp.diagonal(precision))
    partial = within(-precision * jnp.outer(scale, scale), -1, 1)
    partial = (partial + partial.T) / 2
    return jnp.where(diagonal & ~jnp.isnan(partial), 1, partial)


def _require_inverse(fc: np.ndarray, precision: np.ndarray) -> None:
    """Refuse correlations of which rounding leaves no inverse, and say which region is at fault."""
    # 1 / P_ii is the share of the variance of region i that the others do not explain.
    fine = (precision > 0) & (precision * np.finfo(fc.dtype).eps < 0.1)
    if np.isfinite(fc).all() and not fine.all():
        # The sum of all regions with these weights hardly varies.
        weights = np.abs(np.linalg.eigh(fc)[1][:, 0])
        region = int(np.argmax(weights > 0.99 * weights.max()))
        raise ValueError(
            f"`signals` of region {region} are determined by those of other regions, so "
            "that their correlations have no inverse: average what is double, do not subtract a global "
            'signal, or use a `shrinkage` above 0, such as "ledoit_wolf".'
        )


def ledoit_wolf_shrinkage(signals: Num[ArrayLike, "time region"]) -> Float[Array, ""]:
    r"""Compute how far a correlation matrix is to be shrunk to the identity, by Ledoit and Wolf.

    $\min(1, b^2 / d^2)$ with $d^2 = \|C - I\|^2$, $b^2 = \frac{1}{n^2} \sum_t \|z_t z_t^T - C\|^2$
    in the Frobenius norm, $z$ the standardised signals (`zscore`) and $C$ their
    `functional_connectivity`: what minimises the expected square error of $(1 - s) C + s I$ where
    samples are independent. Of correlated samples, as of BOLD, it is too small.

    Args:
        signals: one column per region, two samples or more. [any unit, its own per region]

    Returns:
        The shrinkage, in [0, 1]; 0 where all regions are exactly uncorrelated. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Source:
        O. Ledoit, M. Wolf, J. Multivariate Anal. 88, 365 (2004), lemmas 3.2 to 3.4.

    Example:
        >>> noise = jax.random.normal(jax.random.key(0), (2000, 10))
        >>> related = noise + 0.5 * noise[:, :1]
        >>> few = cf.observe.ledoit_wolf_shrinkage(related[:20])
        >>> bool(few > 0.2), bool(cf.observe.ledoit_wolf_shrinkage(related) < 0.05)
        (True, True)
    """
    signals = as_series("signals", signals, samples=2)
    fc = functional_connectivity(signals)
    samples = len(signals)
    z = unit(signals)  # standardised, over the root of the number of samples
    off = jnp.where(np.eye(len(fc), dtype=bool), 0, fc)
    apart = jnp.square(off).sum()
    # The sum of |z z' - C|^2 is that of |z|^4 less n |C|^2, since the mean of z z' is C.
    fourth = jnp.square(jnp.square(z).sum(axis=1)).sum()
    size = jnp.matmul(z.T, z, precision=lax.Precision.HIGHEST)
    spread = fourth - jnp.square(size).sum() / samples
    share = spread / jnp.where(apart == 0, 1, apart)
    return jnp.where(apart == 0, 0, jnp.clip(share, 0, 1))
