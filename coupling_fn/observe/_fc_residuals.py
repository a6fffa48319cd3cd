"""How sure the entries of an FC are, and residuals that are divided by that.

The entries of a correlation matrix share regions, and so their errors go together. A sum of squares that
takes them for independent counts the same information many times.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    Scalar,
    as_float,
    cholesky,
    known,
    require_finite,
    require_positive_number,
    require_shape,
    require_square,
    solve_lower,
)
from .._signals import as_series, unit
from ._fc_objectives import as_target


def effective_samples(signals: Num[ArrayLike, "time region"]) -> Float[Array, ""]:
    r"""Count how many independent samples tell as much about FC as these correlated ones.

    $n_e = n / (1 + 2 \sum_{\tau = 1}^{M} \langle a_i(\tau)\, a_j(\tau) \rangle_{i \ne j})$, with
    $a_i$ the autocorrelation of region $i$: where regions are independent, the variance of their
    correlation is $1 / n_e$. The sum ends at the first $M$ that is 5 times the bracket (Sokal's
    window), beyond which there is only noise.

    Args:
        signals: samples at equal distances, 16 or more, of two regions or more. [any unit]

    Returns:
        The number of independent samples, up to the number of samples. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or too small.

    Source:
        M. S. Bartlett, J. R. Stat. Soc. 98, 536 (1935), for the variance; A. Sokal, Monte Carlo
        Methods in Statistical Mechanics (1997), section 3, for where to end the sum.

    Example:
        >>> white = jax.random.normal(jax.random.key(0), (1000, 5))
        >>> slow = (white[3:] + white[2:-1] + white[1:-2] + white[:-3]) / 4
        >>> cf.observe.effective_samples(white).round(-2).item()
        1000.0
        >>> bool(300 < cf.observe.effective_samples(slow) < 450)  # 997 / 2.75 = 363
        True
    """
    signals = as_series("signals", signals, samples=16)
    samples, regions = signals.shape
    if regions < 2:
        raise ValueError("`signals` must have 2 regions or more; got 1.")
    size = 1 << (2 * samples - 1).bit_length()  # so that the ends do not meet
    power = jnp.abs(jnp.fft.rfft(unit(signals), size, axis=0)) ** 2
    correlations = jnp.fft.irfft(power, size, axis=0)[1:samples]
    both = correlations.sum(1) ** 2 - (correlations**2).sum(1)
    sums = 1 + 2 * jnp.cumsum(both / (regions * (regions - 1)))
    ends = jnp.arange(1, samples, dtype=sums.dtype) >= 5 * sums
    last = jnp.where(ends.any(), jnp.argmax(ends), samples - 2)
    return samples / jnp.maximum(sums[last], 1)


def correlation_covariance(
    fc: Num[ArrayLike, "region region"], samples: Scalar
) -> Float[Array, "pair pair"]:
    r"""Compute the covariance of the entries of an FC over repeated recordings.

    $n \operatorname{cov}(r_{ij}, r_{kl}) = \frac12 \rho_{ij} \rho_{kl} (\rho_{ik}^2 + \rho_{il}^2 +
    \rho_{jk}^2 + \rho_{jl}^2) + \rho_{ik} \rho_{jl} + \rho_{il} \rho_{jk} - \rho_{ij} (\rho_{ik}
    \rho_{il} + \rho_{jk} \rho_{jl}) - \rho_{kl} (\rho_{ik} \rho_{jk} + \rho_{il} \rho_{jl})$, to the
    first order in $1 / n$, for normally distributed signals. Its diagonal is $(1 - \rho_{ij}^2)^2$.
    It has (pair, pair) entries: of 84 regions 12 million, of 400 regions too many.

    Args:
        fc: $\rho$, the correlations, of two regions or more. [1]
        samples: $n$, the number of independent samples: `effective_samples` of a recording. [1]

    Returns:
        The covariance of the entries above the diagonal, row by row. [1]

    Raises:
        ValueError: if `fc` is not square, finite and of two regions or more, or `samples` is not a
            positive number.

    Source:
        K. Pearson, L. Filon, Phil. Trans. R. Soc. A 191, 229 (1898); J. Steiger, Psychol. Bull. 87,
        245 (1980), eq. 3.

    Example:
        >>> fc = jnp.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]])
        >>> cf.observe.correlation_covariance(fc, samples=1.0)[0].tolist()
        [0.5625, 0.21875, 0.21875]
    """
    fc = as_float("fc", fc)
    require_square("fc", fc)
    if len(fc) < 2:
        raise ValueError(f"`fc` must have 2 regions or more; got {len(fc)}.")
    require_finite("fc", fc)
    require_positive_number("samples", samples)
    return _covariance(fc, jnp.asarray(samples, fc.dtype))


@eqx.filter_jit
def _covariance(fc, samples):
    first, second = np.triu_indices(len(fc), 1)
    ik, il, jk, jl = (fc[a][:, b] for a in (first, second) for b in (first, second))
    ij, kl = fc[first, second][:, None], fc[first, second][None, :]
    squares = ik**2 + il**2 + jk**2 + jl**2
    products = ij * (ik * il + jk * jl) + kl * (ik * jk + il * jl)
    return (ij * kl * squares / 2 + ik * jl + il * jk - products) / samples


def fc_residuals(
    fc: Num[ArrayLike, "region region"],
    target: Num[ArrayLike, "region region"],
    samples: Scalar,
    *,
    at: Num[ArrayLike, "region region"] | None = None,
) -> Float[Array, " pair"]:
    r"""Compute residuals of an FC that are independent and of unit variance, as fits and errors need.

    $r = L^{-1} (c - \hat c)$, with $c$ and $\hat c$ the entries above the diagonal of `fc` and
    `target`, and $L L^\top$ their `correlation_covariance`. Where the model is right, the sum of
    $r^2$ is $\chi^2$ distributed. Use them in `least_squares`, and in `uncertainty` with
    `noise=1.0`: plain differences of FC are not independent, and their 95 % intervals hold far less.

    Args:
        fc: the FC of the model, best an analytic one, of two regions or more. [1]
        target: the recorded FC. [1]
        samples: number of independent samples behind `target`: `effective_samples` of the recording.
            Where `fc` is simulated, too, `1 / (1 / n + 1 / m)` of both numbers. [1]
        at: the FC at which the covariance is taken; None means `fc` itself, held constant in
            derivatives, which is what `uncertainty` needs. For a fit by gradient give a fixed one,
            such as the FC where a fit of `fc_rmse` ended, since a covariance that moves with the fit
            is no part of its gradient. [1]

    Returns:
        The residuals, one per pair of regions. [1]

    Raises:
        ValueError: if the matrices are not square and of one size, `samples` is not a positive number,
            or the FC of the covariance is not positive definite, as one from fewer samples than
            regions.

    Source:
        M. Browne, Br. J. Math. Stat. Psychol. 37, 62 (1984), for generalised least squares of
        moments; J. Steiger, Psychol. Bull. 87, 245 (1980), for that of correlations.

    Example:
        >>> fc = jnp.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> data = fc.at[0, 1].add(0.05).at[1, 0].add(0.05)
        >>> cf.observe.fc_residuals(fc, data, samples=100.0).round(3).tolist()
        [-0.667, 0.192, -0.092]
    """
    fc = as_float("fc", fc)
    require_square("fc", fc)
    require_finite("fc", fc)
    target = as_target(target, fc, "It is compared with `fc`.")
    if at is None:
        at = lax.stop_gradient(fc)
    else:
        at = as_float("at", at).astype(fc.dtype)
        require_shape("at", at, fc.shape, meaning="It stands for `fc` in the covariance.")
        require_finite("at", at)
    _require_definite(at)
    pairs = np.triu_indices(len(fc), 1)
    root = cholesky(correlation_covariance(at, samples))
    return solve_lower(root, (fc[pairs] - target[pairs])[:, None])[:, 0]


def _require_definite(fc: Any) -> None:
    """Refuse an FC in which some mixture of regions does not vary: its entries have no covariance."""
    if not known(fc):
        return
    values = np.asarray(fc, np.float64)
    smallest = np.linalg.eigvalsh((values + values.T) / 2)[0]
    if not smallest > len(values) * float(jnp.finfo(fc.dtype).eps):
        raise ValueError(
            "The FC at which the covariance is taken must be positive definite; its smallest eigenvalue "
            f"is {smallest:.2g}. FC from fewer samples than regions is not: pass that of the model as "
            "`at`, or leave out regions whose signals depend on others'."
        )
