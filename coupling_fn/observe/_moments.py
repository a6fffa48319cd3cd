"""Means and covariances of signals that arrive in parts and are not kept."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._core import as_float, require_shape
from .._signals import as_series, root, within


class Moments(eqx.Module):
    """The mean and covariance of the samples so far: from `moments_init`, by `moments_step`.

    Attributes:
        count: number of samples so far. [1]
        reference: the first sample, which is subtracted from the others. [unit of the signals]
        offset: the mean less the reference. [unit of the signals]
        comoment: sum over samples of the products of two regions' deviations from their means.
            [unit²]

    Example:
        >>> signals = jnp.array([[1.0, 4.0], [3.0, 0.0]])
        >>> moments = cf.observe.moments_step(cf.observe.moments_init(signals[0]), signals)
        >>> moments.mean.tolist(), moments.covariance.tolist()
        ([2.0, 2.0], [[1.0, -2.0], [-2.0, 4.0]])
    """

    count: Int[Array, ""]
    reference: Float[Array, " region"]
    offset: Float[Array, " region"]
    comoment: Float[Array, "region region"]

    @property
    def mean(self) -> Float[Array, " region"]:
        """The mean of each region. [unit of the signals]."""
        return self.reference + self.offset

    @property
    def covariance(self) -> Float[Array, "region region"]:
        """The covariance, divided by the number of samples. [unit²]."""
        return self.comoment / jnp.maximum(self.count, 1).astype(self.comoment.dtype)


def moments_init(like: Num[ArrayLike, " region"]) -> Moments:
    """Return the moments of no samples, with the regions and the dtype of `like`.

    Args:
        like: one value per region; only its shape and its dtype are read. [any unit]

    Returns:
        The moments to begin with.

    Raises:
        ValueError: if `like` is not (region,).

    Example:
        >>> int(cf.observe.moments_init(jnp.zeros(3)).count)
        0
    """
    like = as_float("like", like)
    require_shape("like", like, (like.size,), meaning="It must have one value per region.")
    nothing = jnp.zeros_like(like)
    return Moments(jnp.zeros((), jnp.int32), nothing, nothing, jnp.outer(nothing, nothing))


def moments_step(moments: Moments, signals: Num[ArrayLike, "time region"]) -> Moments:
    r"""Add samples to the moments of those before.

    With $n_a, n_b$ samples before and now, $n = n_a + n_b$, means $m_a, m_b$, comoments $M_a, M_b$
    and $\delta = m_b - m_a$: $m = m_a + \delta\, n_b / n$ and $M = M_a + M_b + \delta \delta^T n_a
    n_b / n$. The first sample of all is subtracted from the others, so a signal of 1e-3 around -65
    keeps its digits in float32.

    Synchrony and metastability come the same way: of `kuramoto_order_parameter(phases)[:, None]`
    the mean is the synchrony, and the root of the covariance is the metastability.

    Args:
        moments: those of the samples before, from `moments_init` or `moments_step`.
        signals: one sample or more, of the same regions. [any unit, its own per region]

    Returns:
        The moments of all samples so far.

    Raises:
        ValueError: if `signals` is not (time, region), or has another number of regions.

    Source:
        T. Chan, G. Golub, R. LeVeque, The American Statistician 37, 242 (1983), eq. 2.1.

    Example:
        In a run of which no record is kept, `RunningMoments` does this:

        >>> signals = jnp.array([[1.0, 4.0], [3.0, 0.0], [5.0, 2.0]])
        >>> first = cf.observe.moments_step(cf.observe.moments_init(signals[0]), signals[:1])
        >>> both = cf.observe.moments_step(first, signals[1:])
        >>> int(both.count), both.mean.tolist()
        (3, [3.0, 2.0])
    """
    signals = as_series("signals", signals, samples=1)
    regions = moments.reference.shape
    require_shape(
        "signals",
        signals,
        (len(signals), *regions),
        meaning="It must have the regions of `moments`.",
    )
    before, more = moments.count, len(signals)
    reference = lax.stop_gradient(jnp.where(before == 0, signals[0], moments.reference))
    x = signals - reference[None]
    mean = x.mean(axis=0)
    apart = x - mean[None]
    own = jnp.matmul(apart.T, apart, precision=lax.Precision.HIGHEST)
    count = before + more
    share = more / count.astype(x.dtype)
    delta = mean - moments.offset
    between = jnp.outer(delta, delta) * (before.astype(x.dtype) * share)
    offset = moments.offset + delta * share
    return Moments(count, reference, offset, moments.comoment + own + between)


def fc_from_moments(moments: Moments) -> Float[Array, "region region"]:
    r"""Compute the `functional_connectivity` of signals of which only the moments are left.

    $C_{ij} = M_{ij} / \sqrt{M_{ii} M_{jj}}$, with $M$ the comoment. The diagonal is exactly 1,
    and a region that does not vary has correlation 0, with gradient 0, with all others.

    Args:
        moments: those of two samples or more.

    Returns:
        The correlations, symmetric, in [-1, 1]. [1]

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 100, endpoint=False)
        >>> signals = jnp.stack([jnp.sin(t), jnp.sin(t + jnp.pi / 3)], axis=1)
        >>> half = cf.observe.moments_step(cf.observe.moments_init(signals[0]), signals[:50])
        >>> whole = cf.observe.moments_step(half, signals[50:])
        >>> cf.observe.fc_from_moments(whole).round(3).tolist()  # cos(π/3)
        [[1.0, 0.5], [0.5, 1.0]]
    """
    spread = root(jnp.diagonal(moments.comoment))
    per = jnp.where(spread == 0, 0, 1 / jnp.where(spread == 0, 1, spread))
    fc = within(moments.comoment * jnp.outer(per, per), -1, 1)
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)
