"""Which regions vary together, and how far two answers to that lie apart."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_float, require_shape, require_square


def functional_connectivity(
    signals: Num[ArrayLike, "time region"],
) -> Float[Array, "region region"]:
    r"""Correlate every region's signal with every other's (Pearson).

    $C_{ij} = \sum_t z_{ti} z_{tj}$, where $z_i = (x_i - \bar x_i) / \|x_i - \bar x_i\|$. The
    diagonal is exactly 1. What rounding adds beyond ±1 is taken off, and gradients pass as if it
    had not been there, so that `arctanh` and `arccos` of a correlation are never NaN. A region
    that does not vary has correlation 0, with gradient 0, with all others. NaN in a region's
    signal makes its row and column NaN.

    Args:
        signals: two samples or more of each region. [any unit, one for each region]

    Returns:
        The correlations, symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Source:
        B. Biswal et al., Magn. Reson. Med. 34, 537 (1995), for correlation as connectivity.

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 100, endpoint=False)
        >>> signals = jnp.stack([jnp.sin(t), jnp.sin(t + jnp.pi / 3)], axis=1)
        >>> cf.observe.functional_connectivity(signals).round(3).tolist()  # cos(π/3)
        [[1.0, 0.5], [0.5, 1.0]]
    """
    z = unit(as_series("signals", signals, samples=2))
    fc = within(jnp.matmul(z.T, z, precision=lax.Precision.HIGHEST), -1, 1)
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)


def fc_correlation(
    fc_a: Num[ArrayLike, "region region"], fc_b: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    """Correlate two functional connectivities over their pairs of regions (Pearson).

    Only the entries above the diagonal are read. Blind to the level and the spread of both: use
    `fc_rmse` beside it. Where all pairs of one matrix are equal the correlation is 0, with
    gradient 0.

    Args:
        fc_a: say the simulated connectivity, of three regions or more. [1]
        fc_b: say the recorded connectivity, of the same regions. [1]

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
    pairs_a, pairs_b = (unit(x) for x in _pairs(fc_a, fc_b, regions=3))
    return within((pairs_a * pairs_b).sum(), -1, 1)


def fc_rmse(
    fc_a: Num[ArrayLike, "region region"], fc_b: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    r"""Take the root mean square difference of two functional connectivities.

    $\sqrt{\langle (A_{ij} - B_{ij})^2 \rangle_{i < j}}$: only the entries above the diagonal are
    read. At an exact match it is 0, with gradient 0.

    Args:
        fc_a: say the simulated connectivity, of two regions or more. [1]
        fc_b: say the recorded connectivity, of the same regions. [1]

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
    pairs_a, pairs_b = _pairs(fc_a, fc_b, regions=2)
    return root(jnp.square(pairs_a - pairs_b).mean())


def as_series(name: str, x: Any, samples: int) -> Float[Array, "time region"]:
    """`x` as floats, (time, region), at least so many samples and one region."""
    if names := getattr(x, "_fields", None) or (tuple(x) if isinstance(x, Mapping) else None):
        raise TypeError(
            f"`{name}` must be one array, (time, region), not a {type(x).__name__} of {len(names)}: "
            f"take one of {', '.join(map(str, names))}."
        )
    x = as_float(name, x)
    if x.ndim != 2 or x.shape[0] < samples or x.shape[1] < 1:
        way_out = f" One region's series is `{name}[:, None]`." if x.ndim == 1 else ""
        raise ValueError(
            f"`{name}` must have shape (time, region), with {samples} samples or more; its shape "
            f"is {x.shape}.{way_out}"
        )
    return x


def deviations(x: Float[Array, "time *rest"]) -> Float[Array, "time *rest"]:
    """How far each column is from its mean, in units of its largest deviation."""
    # Measured from the first sample, a column that does not vary is 0 exactly, and a signal of
    # 1e-3 around -65 keeps its digits in float32. What is computed from the result does not
    # depend on the first sample or the unit, so neither has a derivative.
    x = x - lax.stop_gradient(x[:1])
    x = x - x.mean(axis=0, keepdims=True)
    largest = lax.stop_gradient(jnp.abs(x).max(axis=0, keepdims=True))
    return x / jnp.where(largest == 0, 1, largest)


def root(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Take the square root; at 0 its gradient is 0, not infinite."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def within(x: Float[Array, "*shape"], low: int, high: int) -> Float[Array, "*shape"]:
    """Take off what rounding adds beyond a range, and leave gradients as they are."""
    return x + lax.stop_gradient(jnp.clip(x, low, high) - x)


def unit(x: Float[Array, "time *rest"]) -> Float[Array, "time *rest"]:
    """Each column centred and of length 1; 0 where it does not vary."""
    x = deviations(x)
    square = jnp.square(x).sum(axis=0, keepdims=True)
    # Both `where`s are needed: the inner one keeps 0 / 0 out of the gradient.
    return jnp.where(square == 0, 0, x / jnp.sqrt(jnp.where(square == 0, 1, square)))


def _pairs(fc_a: Any, fc_b: Any, regions: int) -> tuple[Array, Array]:
    """Read the entries above the diagonal of both."""
    fc_a, fc_b = as_float("fc_a", fc_a), as_float("fc_b", fc_b)
    require_square("fc_a", fc_a)
    require_shape("fc_b", fc_b, fc_a.shape, meaning="It is compared with `fc_a`.")
    if len(fc_a) < regions:
        raise ValueError(f"`fc_a` must have {regions} regions or more; it has {len(fc_a)}.")
    above = np.triu_indices(len(fc_a), 1)
    return fc_a[above], fc_b[above]
