"""Which regions oscillate together, frequency by frequency."""

from typing import Any, Literal

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._signals import in_band, root, windowed_spectra, within


def coherence(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    *,
    band: tuple[float, float] | None = None,
    overlap: float = 0.5,
    taper: Literal["hann", "boxcar"] = "hann",
) -> tuple[Float[Array, " frequency"], Float[Array, "frequency region region"]]:
    r"""Measure how much of the power of each region follows from that of each other region.

    $|S_{ij}|^2 / S_{ii} S_{jj}$ at each frequency, with $S_{ij} = \langle X_i \bar X_j \rangle$ and $X$
    the transforms of tapered windows, as in `power_spectrum`: the magnitude-squared coherence. It is
    also near 1 / (number of independent windows) where there is none, and exactly 1 for one window. A
    region without power at a frequency has 0 there, with gradient 0; the diagonal is else 1.

    Memory is about six times that of `signals`, 14 times with the gradient, and that of the result,
    regions² per frequency: of 84 regions and windows of 2000 samples 28 MB in float32. `band` leaves
    out frequencies.

    Args:
        signals: one column per region. [any unit, its own per region]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt, 2 dt or more; frequencies are multiples of
            1 / window. [ms]
        band: which frequencies, from the lower edge to below the upper edge; None for all. [Hz]
        overlap: share of a window that the next one reads too, from 0 to below 1. [1]
        taper: the function that each window is multiplied by; "boxcar" leaves it as it is.

    Returns:
        The frequencies [Hz], and the coherence at each, symmetric, in [0, 1]. [1]

    Raises:
        ValueError: if `band` holds no frequency, or where `power_spectrum` raises one.

    Source:
        G. C. Carter, Proc. IEEE 75, 236 (1987).

    Example:
        >>> noise = jax.random.normal(jax.random.key(0), (4000, 3))
        >>> signals = noise.at[:, 1].set(jnp.roll(noise[:, 0], 3))  # region 1 follows region 0
        >>> _, c = cf.observe.coherence(signals, dt=1.0, window=200.0, band=(8.0, 30.0))
        >>> c.mean(axis=0)[0].round(1).tolist()
        [1.0, 1.0, 0.0]
    """
    frequencies, cross = _coherency(signals, dt, window, band, overlap, taper)
    return frequencies, within(jnp.square(cross.real) + jnp.square(cross.imag), 0, 1)


def imaginary_coherence(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    *,
    band: tuple[float, float] | None = None,
    overlap: float = 0.5,
    taper: Literal["hann", "boxcar"] = "hann",
) -> tuple[Float[Array, " frequency"], Float[Array, "frequency region region"]]:
    r"""Measure the coherence of each pair of regions that is not without lag.

    $\operatorname{Im} S_{ij} / \sqrt{S_{ii} S_{jj}}$ at each frequency, with $S_{ij} = \langle X_i
    \bar X_j \rangle$: a source that two sensors share has no lag, and adds nothing. It is positive
    where row i leads column j by less than half a cycle. A region without power at a frequency has 0
    there, with gradient 0. Memory is that of `coherence`.

    Args:
        signals: one column per region. [any unit, its own per region]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt, 2 dt or more; frequencies are multiples of
            1 / window. [ms]
        band: which frequencies, from the lower edge to below the upper edge; None for all. [Hz]
        overlap: share of a window that the next one reads too, from 0 to below 1. [1]
        taper: the function that each window is multiplied by; "boxcar" leaves it as it is.

    Returns:
        The frequencies [Hz], and the imaginary part at each, antisymmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `band` holds no frequency, or where `power_spectrum` raises one.

    Source:
        G. Nolte et al., Clin. Neurophysiol. 115, 2292 (2004).

    Example:
        >>> t = jnp.arange(4000.0)  # 10 Hz, and region 0 leads by a quarter of a cycle
        >>> signals = jnp.stack([jnp.cos(0.02 * jnp.pi * t), jnp.sin(0.02 * jnp.pi * t)], axis=1)
        >>> band = 9.0, 11.0
        >>> f, c = cf.observe.imaginary_coherence(signals, dt=1.0, window=1000.0, band=band)
        >>> c[f == 10.0].round(3)[0].tolist()
        [[0.0, 1.0], [-1.0, 0.0]]
    """
    frequencies, cross = _coherency(signals, dt, window, band, overlap, taper)
    return frequencies, within(cross.imag, -1, 1)


def _coherency(
    signals: Any, dt: float, window: float, band: Any, overlap: float, taper: str
) -> tuple[Array, Array]:
    """Return the frequencies and the normalised cross-spectrum, (frequency, region, region)."""
    spectra = windowed_spectra(signals, dt, window, overlap, taper)
    frequencies, values = spectra.frequencies, spectra.values
    if band is not None:
        chosen = in_band("band", band, frequencies)
        frequencies, values = frequencies[chosen], values[:, chosen]
    # Of length 1 over the windows, no product leaves the range of the dtype.
    real, imag = values.real, values.imag
    largest = lax.stop_gradient(jnp.maximum(jnp.abs(real), jnp.abs(imag)).max(axis=0))[None]
    real, imag = (x / jnp.where(largest == 0, 1, largest) for x in (real, imag))
    size = root((jnp.square(real) + jnp.square(imag)).sum(axis=0))[None]
    real, imag = (x / jnp.where(size == 0, 1, size) for x in (real, imag))

    def product(a: Array, b: Array) -> Array:
        return jnp.einsum("wfi,wfj->fij", a, b, precision=lax.Precision.HIGHEST)

    across = product(imag, real)
    cross = lax.complex(
        product(real, real) + product(imag, imag), across - jnp.swapaxes(across, 1, 2)
    )
    return jnp.asarray(frequencies, real.dtype), cross
