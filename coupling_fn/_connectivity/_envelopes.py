"""Which regions' rhythms become strong and weak together."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import require_choice
from .._signals import as_series, centred_analytic_signal, root, unit, within
from ._correlation import functional_connectivity

Envelope = Literal["log power", "power", "amplitude"]


def envelope_correlation(
    signals: Num[ArrayLike, "time region"],
    *,
    leakage: Literal["pairwise", "keep"] = "pairwise",
    envelope: Envelope = "log power",
) -> Float[Array, "region region"]:
    r"""Correlate the envelopes of each pair of regions, without what both pick up at once.

    With $z$ the `analytic_signal` of the centred signals, $z_{j \perp i} = \operatorname{Im}(z_j \bar
    z_i / |z_i|)$ is the part of $j$ that is a quarter of a cycle apart from $i$ at each time: what a
    sensor or a source estimate leaks from $i$ into $j$ has no lag, and is gone. The correlation of
    $\log |z_i|^2$ with $\log z_{j \perp i}^2$, and that with $i$ and $j$ exchanged, are averaged.
    With real coupling at zero lag, the pair is missed, too.

    The diagonal is exactly 1. A region that does not vary, or a pair without any lag, has correlation
    0, with gradient 0. Pairs are computed region by region, so memory is about eight times that of
    `signals`, and 25 times with the gradient (84 regions, 60 000 samples in float32: 0.2 and 0.5 GB,
    2 and 8 s on one core). Time grows as regions squared.

    Args:
        signals: one column per region, two samples or more, after `bandpass`. [any unit]
        leakage: "pairwise" orthogonalises each pair; "keep" correlates the envelopes as they are, for
            simulated sources, which do not leak.
        envelope: what is correlated: "log power" and "power" of the square of the amplitude, or
            "amplitude" itself.

    Returns:
        The correlations, symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples, or an option is
            not one of those.
        TypeError: if `signals` is complex.

    Source:
        J. F. Hipp et al., Nat. Neurosci. 15, 884 (2012).

    Example:
        >>> t = jnp.arange(2000.0)
        >>> louder = 1.5 + jnp.sin(t / 150)
        >>> signals = jnp.stack([louder * jnp.sin(t), louder * jnp.sin(1.03 * t)], axis=1)
        >>> mixed = jnp.stack([signals[:, 0], signals[:, 0]], axis=1)  # nothing but leakage
        >>> fc = cf.observe.envelope_correlation(signals, envelope="amplitude")
        >>> bool(fc[0, 1] > 0.4), cf.observe.envelope_correlation(mixed)[0].tolist()
        (True, [1.0, 0.0])
    """
    signals = as_series("signals", signals, samples=2)
    require_choice("leakage", leakage, ("pairwise", "keep"))
    require_choice("envelope", envelope, ("log power", "power", "amplitude"))
    if leakage == "keep":
        z = centred_analytic_signal(signals)
        square = jnp.square(z.real) + jnp.square(z.imag)
        return functional_connectivity(_envelope(square, envelope))
    return _orthogonalised(signals, envelope)


@eqx.filter_jit
def _orthogonalised(signals: Array, envelope: Envelope) -> Array:
    z = centred_analytic_signal(signals)
    square = jnp.square(z.real) + jnp.square(z.imag)
    size = root(square)
    real, imag = (x / jnp.where(size == 0, 1, size) for x in (z.real, z.imag))
    own = unit(_envelope(square, envelope))
    rounded = jnp.square(16 * jnp.finfo(square.dtype).eps) * lax.stop_gradient(square).sum(axis=0)

    @jax.checkpoint  # the gradient computes a row again, rather than keep all pairs at all times
    def row(i: Array) -> Array:
        cos, sin = (lax.dynamic_slice_in_dim(x, i, 1, axis=1) for x in (real, imag))
        apart = jnp.square(z.imag * cos - z.real * sin)
        # What rounding leaves of a pair without lag would correlate, too.
        none = apart.sum(axis=0, keepdims=True) <= rounded[None]
        others = unit(_envelope(jnp.where(none, 1, apart), envelope))
        return (lax.dynamic_slice_in_dim(own, i, 1, axis=1) * others).sum(axis=0)

    rows = within(lax.map(row, jnp.arange(z.shape[1])), -1, 1)
    fc = (rows + rows.T) / 2
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)


def _envelope(square: Array, envelope: Envelope) -> Array:
    """Return the envelope of which `square` is the power."""
    if envelope == "amplitude":
        return root(square)
    if envelope == "power":
        return square
    # A power of exactly 0 has no logarithm; the floor is where float rounds the mean power to.
    floor = jnp.square(jnp.finfo(square.dtype).eps) * square.mean(axis=0, keepdims=True)
    low = square <= lax.stop_gradient(floor)
    floor = lax.stop_gradient(jnp.where(floor == 0, 1, floor))
    return jnp.log(jnp.where(low, floor, square))
