"""How many different patterns a signal has."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import require_choice, scan
from .._signals import as_series

BITS = 32


def lempel_ziv_complexity(
    signals: Num[ArrayLike, "time region"], *, threshold: Literal["median", "mean"] = "median"
) -> Float[Array, " region"]:
    r"""Count the different patterns of each region's signal, relative to those of a random one (LZ76).

    $c \log_2(n) / n$ with $n$ samples, each 1 if above the threshold and else 0, and $c$ the number of
    words into which they are cut from the left, each the shortest that does not occur in what comes
    before its own last sample. A last word that is not new counts as one. It is near 1 for independent
    samples (slowly, from above: 1.05 at n = 10 000), and near 0 for a rhythm. It depends on the sampling
    rate, since what is slow repeats itself: compare signals of one dt and one length only. There is no
    gradient.

    Time is proportional to samples², with 32 samples compared at once (84 regions, 60 000 samples: 20 s
    on one core). Memory is about that of `signals` once more.

    Args:
        signals: one column per region; often an `amplitude_envelope`. [any unit]
        threshold: of each region: the "median" or the "mean".

    Returns:
        The complexities. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples, or there is no
            such threshold.
        TypeError: if `signals` is complex.

    Source:
        A. Lempel, J. Ziv, IEEE Trans. Inf. Theory 22, 75 (1976); M. Aboy et al., IEEE Trans. Biomed.
        Eng. 53, 2282 (2006), for the scale.

    Example:
        >>> noise = jax.random.normal(jax.random.key(0), (1000, 1))
        >>> rhythm = jnp.sin(jnp.arange(1000.0))[:, None]
        >>> cf.observe.lempel_ziv_complexity(jnp.hstack([noise, rhythm])).round(1).tolist()
        [1.1, 0.1]
    """
    signals = as_series("signals", signals, samples=2)
    require_choice("threshold", threshold, ("median", "mean"))
    return _complexities(signals, threshold)


@eqx.filter_jit
def _complexities(signals: Array, threshold: str) -> Array:
    level = (jnp.median if threshold == "median" else jnp.mean)(signals, axis=0, keepdims=True)
    words = lax.map(_words, (signals > level).T)  # one after the other stays in the cache
    samples = len(signals)
    scaled = words.astype(signals.dtype) * (np.log2(samples) / samples).item()
    # A comparison with NaN is False, which would pass for a signal without any pattern.
    return jnp.where(jnp.isfinite(signals).all(axis=0), scaled, jnp.nan)


def _words(bits: Array) -> Array:
    """Count the words of a sequence of bits.

    Bit p of `starts` says whether the word so far, which begins at sample `first`, is also found from
    sample p < first on. It stays 1 where the next samples agree, too: 32 places are compared at once
    (the "shift-and" of R. Baeza-Yates and G. Gonnet, Commun. ACM 35, 74, 1992).
    """
    samples = len(bits)
    size = -(-samples // BITS)
    padded = jnp.zeros((2 * size + 1) * BITS, bool).at[:samples].set(bits)
    # Row s holds the sequence from sample s on, so that any later part of it begins with a whole word.
    later = jax.vmap(lambda s: _packed(lax.dynamic_slice(padded, (s,), (2 * size * BITS,))))(
        jnp.arange(BITS)
    )

    def sample(carry: Any, now: Any) -> Any:
        starts, past, first, count = carry
        t, bit = now
        offset = t - first
        ahead = lax.dynamic_slice(later, (offset % BITS, offset // BITS), (1, size))[0]
        starts = starts & jnp.where(bit, ahead, ~ahead)
        new = lax.reduce(starts, jnp.uint32(0), lax.bitwise_or, (0,)) == 0
        # Bits 0 to t of `past` are 1: where a word that begins at t + 1 may be found.
        past = past.at[t // BITS].add(jnp.left_shift(jnp.uint32(1), (t % BITS).astype("uint32")))
        starts = jnp.where(new, past, starts)
        first = jnp.where(new, t + 1, first)
        return (starts, past, first, count + new.astype(count.dtype)), None

    none, zero = jnp.zeros(size, "uint32"), jnp.asarray(0)
    (_, _, first, count), _ = scan(sample, (none, none, zero, zero), (jnp.arange(samples), bits))
    return count + (first < samples).astype(count.dtype)


def _packed(bits: Array) -> Array:
    """Pack bits into unsigned integers, the first into the lowest."""
    weights = jnp.left_shift(jnp.uint32(1), jnp.arange(BITS, dtype="uint32"))
    grouped = bits.reshape(-1, BITS).astype("uint32") * weights[None]
    return grouped.sum(axis=1, dtype="uint32")
