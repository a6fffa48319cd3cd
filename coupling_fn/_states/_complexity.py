"""How many different patterns a signal has."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
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

    Time is proportional to samples², but 32 samples are compared at once (84 regions, 60 000 samples:
    seconds); memory is about three times that of `signals`.

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
    words = jax.vmap(_words)((signals > level).T)
    samples = len(signals)
    scaled = words.astype(signals.dtype) * (np.log2(samples) / samples).item()
    # A comparison with NaN is False, which would pass for a signal without any pattern.
    return jnp.where(jnp.isnan(signals).any(axis=0), jnp.nan, scaled)


def _words(bits: Array) -> Array:
    """Count the words of a sequence of bits.

    Bit t of `ends` says whether the word so far, as it stands before sample t of the sequence, is also
    found earlier and ends just before t. The next sample of the word keeps those places that it follows
    as well, one further on (the "shift-and" of R. Baeza-Yates and G. Gonnet, Commun. ACM 35, 74, 1992).
    """
    samples = len(bits)
    size = -(-samples // BITS)
    padded = jnp.zeros(size * BITS, bool).at[:samples].set(bits)
    ones = _packed(padded)
    zeros = ~ones
    places = jnp.arange(size)

    def below(t: Array) -> Array:
        """Return bits 0 to t - 1 as 1."""
        within = jnp.clip(t - places * BITS, 0, BITS)
        full = within == BITS
        partly = (jnp.uint32(1) << jnp.where(full, 0, within).astype("uint32")) - 1
        return jnp.where(full, jnp.uint32(0xFFFFFFFF), partly)

    def sample(carry: Any, now: Any) -> Any:
        ends, count, new = carry
        t, bit = now
        # A new word is nowhere yet: it may go on anywhere before this sample.
        ends = jnp.where(new, below(t), ends)
        found = ends & jnp.where(bit, ones, zeros)
        new = ~(found != 0).any()
        over = jnp.concatenate([jnp.zeros(1, "uint32"), found[:-1] >> (BITS - 1)])
        return ((found << 1) | over, count + new.astype(count.dtype), new), None

    begin = jnp.zeros(size, "uint32"), jnp.asarray(0), jnp.asarray(True)
    (_, count, new), _ = scan(sample, begin, (jnp.arange(samples), bits))
    return count + (~new).astype(count.dtype)


def _packed(bits: Array) -> Array:
    """Pack bits into unsigned integers, the first into the lowest."""
    weights = jnp.left_shift(jnp.uint32(1), jnp.arange(BITS, dtype="uint32"))
    grouped = bits.reshape(-1, BITS).astype("uint32") * weights[None]
    return grouped.sum(axis=1, dtype="uint32")
