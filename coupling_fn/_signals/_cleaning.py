"""What is taken out of signals before they are compared: trends, scale, what all regions share."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_count
from ._series import as_series, unit


def detrend(
    signals: Num[ArrayLike, "time region"], *, order: int = 1
) -> Float[Array, "time region"]:
    r"""Subtract from each region's signal the polynomial of time that fits it best.

    $x - Q Q^T x$, with the columns of $Q$ an orthonormal basis of the polynomials up to `order`: the
    residual of least squares. Memory is about that of `signals` once more.

    Args:
        signals: one column per region, samples at equal distances. [any unit]
        order: the degree of the polynomial: 0 subtracts the mean, 1 a straight line, 2 and 3 slow
            drifts of a scanner.

    Returns:
        The residuals, with mean 0. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region), or has no more samples than the polynomial
            has coefficients.
        TypeError: if `order` is not a whole number, or `signals` is complex.

    Example:
        >>> drift = 3.0 + 0.5 * jnp.arange(6.0)
        >>> rhythm = jnp.array([1.0, -2.0, 1.0, 1.0, -2.0, 1.0])
        >>> cf.observe.detrend((drift + rhythm)[:, None])[:, 0].round(3).tolist()
        [1.0, -2.0, 1.0, 1.0, -2.0, 1.0]
    """
    order = as_count("order", order)
    signals = as_series("signals", signals, samples=1)
    samples = len(signals)
    if samples <= order + 1:
        raise ValueError(
            f"`signals` must have more than {order + 1} samples, which a polynomial of order {order} "
            f"fits exactly; got {samples}."
        )
    # Legendre polynomials on [-1, 1] are nearly orthogonal already; powers of time are not.
    time = np.linspace(-1, 1, samples)
    basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(time, order))
    basis = jnp.asarray(basis, signals.dtype)
    x = signals - lax.stop_gradient(signals[:1])
    fitted = jnp.matmul(basis.T, x, precision=lax.Precision.HIGHEST)
    return x - jnp.matmul(basis, fitted, precision=lax.Precision.HIGHEST)


def zscore(signals: Num[ArrayLike, "time region"]) -> Float[Array, "time region"]:
    r"""Bring each region's signal to mean 0 and standard deviation 1.

    $(x - \bar x) / s$ with $s^2 = \langle (x - \bar x)^2 \rangle_t$: the divisor is the number of
    samples. A region that does not vary is 0, with gradient 0. Memory is about that of
    `signals` once more.

    Args:
        signals: two samples or more of each region. [any unit, its own per region]

    Returns:
        The standardised signals. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Example:
        >>> cf.observe.zscore(jnp.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    signals = as_series("signals", signals, samples=2)
    return unit(signals) * np.sqrt(len(signals)).item()


def global_signal_regression(
    signals: Num[ArrayLike, "time region"],
) -> Float[Array, "time region"]:
    r"""Subtract from each region what is proportional to the mean of all regions (GSR).

    $x_i - \bar x_i - \beta_i g$ with $g$ the `global_average` less its mean and $\beta_i = \langle g
    (x_i - \bar x_i) \rangle_t / \langle g^2 \rangle_t$. Regions are averaged as they are: where they
    differ in scale, use `zscore` first. Correlations are shifted down by it, and become negative for
    some pairs whatever the data (Murphy et al.). Where the global signal does not vary, signals are
    centred alone. Memory is about twice that of `signals`, and five times with the gradient.

    Args:
        signals: one column per region, two samples or more. [any unit, the same for all regions]

    Returns:
        The residuals, with mean 0 over time and, at each time, over regions. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Source:
        M. Fox et al., J. Neurophysiol. 101, 3270 (2009); K. Murphy et al., NeuroImage 44, 893 (2009).

    Example:
        >>> shared = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> own = jnp.array([[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, 1.0]])
        >>> cf.observe.global_signal_regression(shared + own)[:, 0].tolist()
        [1.0, 1.0, -1.0, -1.0]
    """
    signals = as_series("signals", signals, samples=2)
    x = signals - lax.stop_gradient(signals[:1])
    x = x - x.mean(axis=0, keepdims=True)
    shared = unit(x.mean(axis=1, keepdims=True))
    return x - shared * (shared * x).sum(axis=0, keepdims=True)
