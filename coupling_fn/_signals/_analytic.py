"""The phase and the amplitude of each region's oscillation."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Complex, Float, Num

from ._series import as_series, deviations, root


def analytic_signal(signals: Num[ArrayLike, "time region"]) -> Complex[Array, "time region"]:
    r"""Add to each real signal its Hilbert transform as the imaginary part.

    $x + i H[x]$: the spectrum with negative frequencies set to 0 and positive ones doubled. The
    mean is kept. The transform treats the signal as periodic: where it is not, the first and the
    last cycles are inaccurate.

    Args:
        signals: one column per region; narrow-band, if its phase is to have a meaning. [any unit]

    Returns:
        The analytic signal; its real part is `signals`. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or is empty.
        TypeError: if `signals` is complex.

    Source:
        S. L. Marple, IEEE Trans. Signal Process. 47, 2600 (1999).

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 64, endpoint=False)
        >>> z = cf.observe.analytic_signal(3 * jnp.cos(t)[:, None])
        >>> jnp.abs(z[:3, 0]).round(3).tolist()  # the amplitude
        [3.0, 3.0, 3.0]
    """
    signals = as_series("signals", signals, samples=1)
    # Frequency 0 and, of an even number of samples, the highest are their own negative: gain 1.
    n = len(signals)
    cycles = np.arange(n)
    gain = (cycles * 2 < n).astype(int) + ((cycles > 0) & (cycles * 2 <= n))
    spectrum = jnp.fft.fft(signals, axis=0)
    return jnp.fft.ifft(spectrum * jnp.asarray(gain[:, None], spectrum.dtype), axis=0)


def instantaneous_phase(signals: Num[ArrayLike, "time region"]) -> Float[Array, "time region"]:
    """Compute the phase of each region's oscillation about its mean, at each time.

    The phase is the angle of the `analytic_signal` of the centred signal: 0 at a maximum, π/2 a
    quarter of a cycle later. For a region that does not vary it is 0, with gradient 0.

    Args:
        signals: two samples or more of each region; if they are not narrow-band, the phase means
            little. [any unit]

    Returns:
        Phases in [-π, π]. [rad]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Source:
        M. G. Rosenblum et al., Phys. Rev. Lett. 76, 1804 (1996).

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 8, endpoint=False)
        >>> phases = cf.observe.instantaneous_phase(5 + jnp.cos(t - 0.75 * jnp.pi)[:, None])
        >>> (phases[:3, 0] / jnp.pi).round(3).tolist()
        [-0.75, -0.5, -0.25]
    """
    z = analytic_signal(deviations(as_series("signals", signals, samples=2)))
    # An angle has no derivative at 0, so 0 is replaced by 1 there, which has angle 0.
    still = z == 0
    return jnp.atan2(jnp.where(still, 0, z.imag), jnp.where(still, 1, z.real))


def amplitude_envelope(signals: Num[ArrayLike, "time region"]) -> Float[Array, "time region"]:
    """Compute the amplitude of each region's oscillation about its mean, at each time.

    The amplitude is the magnitude of the `analytic_signal` of the centred signal, and its square is
    the instantaneous power. It has a meaning for narrow-band signals: use `bandpass` first. The ends
    are inaccurate over about a cycle. Where it is exactly 0 its gradient is 0. Memory is about five
    times that of `signals`, and seven times with the gradient.

    Args:
        signals: one column per region, after `bandpass`. [any unit]

    Returns:
        The envelope, 0 or more. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or is empty.
        TypeError: if `signals` is complex.

    Source:
        D. Gabor, J. Inst. Electr. Eng. 93, 429 (1946).

    Example:
        >>> t = 2 * jnp.pi * jnp.arange(400.0) / 400
        >>> beats = (1 + 0.5 * jnp.cos(t)) * jnp.cos(20 * t)
        >>> envelope = cf.observe.amplitude_envelope(7 + beats[:, None])
        >>> envelope[:: 200, 0].round(3).tolist()
        [1.5, 0.5]
    """
    z = centred_analytic_signal(as_series("signals", signals, samples=1))
    return root(jnp.square(z.real) + jnp.square(z.imag))


def centred_analytic_signal(signals: Float[Array, "time region"]) -> Complex[Array, "time region"]:
    """Compute the `analytic_signal` of each signal less its mean, in the unit of the signal."""
    # Subtracting the first sample first keeps the digits of a small signal that is far from 0.
    x = signals - lax.stop_gradient(signals[:1])
    return analytic_signal(x - x.mean(axis=0, keepdims=True))
