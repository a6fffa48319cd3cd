"""How far regions oscillate in phase."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._signals import as_series, root, within

# Regions count as synchronous from this multiple of the synchrony they would have by chance.
ABOVE_CHANCE = 1.4


def kuramoto_order_parameter(phases: Num[ArrayLike, "time region"]) -> Float[Array, " time"]:
    r"""Measure how far the regions are in phase at each time.

    $r(t) = |\langle e^{i \phi_j(t)} \rangle_j|$: 1 where all phases are equal, near 0 where they
    are spread over the cycle. Where it is exactly 0 its gradient is 0.

    Args:
        phases: one column per region; for a single time pass `phases[None]`. [rad]

    Returns:
        The order parameter, in [0, 1]. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.
        TypeError: if `phases` is complex.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 5.

    Example:
        >>> phases = jnp.array([[0.3, 0.3], [0.0, jnp.pi / 2], [0.0, jnp.pi]])
        >>> cf.observe.kuramoto_order_parameter(phases).round(3).tolist()
        [1.0, 0.707, 0.0]
    """
    phases = as_series("phases", phases, samples=1)
    square = jnp.cos(phases).mean(axis=1) ** 2 + jnp.sin(phases).mean(axis=1) ** 2
    return within(root(square), 0, 1)


def synchrony(phases: Num[ArrayLike, "time region"]) -> Float[Array, ""]:
    r"""Average the order parameter over time.

    $\langle r(t) \rangle_t$, with $r$ the `kuramoto_order_parameter`.

    Args:
        phases: one column per region. [rad]

    Returns:
        The synchrony, in [0, 1]. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.
        TypeError: if `phases` is complex.

    Source:
        M. Shanahan, Chaos 20, 013108 (2010).

    Example:
        >>> phases = jnp.array([[0.3, 0.3], [0.0, jnp.pi]])
        >>> round(float(cf.observe.synchrony(phases)), 3)
        0.5
    """
    return kuramoto_order_parameter(phases).mean()


def chance_synchrony(phases: Num[ArrayLike, "time region"]) -> Float[Array, ""]:
    r"""Estimate the synchrony that these phases would have if the regions were independent.

    $\sqrt{|\langle m_i \rangle|^2 + \pi\,(1 - \langle |m_i|^2 \rangle) / 4 N}$, with $m_i =
    \langle e^{i \phi_i(t)} \rangle_t$ for each of $N$ regions. Phases that go round evenly have $m_i
    = 0$, which gives $\sqrt{\pi / N} / 2$. The phase of a signal that is not a sine lingers at parts
    of its waveform, so regions with the same waveform agree more, without any coupling. Where phases
    hardly go round, $\langle |m_i|^2 \rangle > 1/2$, an average over time cannot tell such a waveform
    from locking, and the value for even phases is returned.

    Args:
        phases: one column per region, over many cycles. [rad]

    Returns:
        The synchrony, in [0, 1]. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.
        TypeError: if `phases` is complex.

    Example:
        >>> t = jnp.arange(1000.0)[:, None] * jnp.array([[0.1, 0.17, 0.23, 0.31]])
        >>> round(float(cf.observe.chance_synchrony(t)), 2)
        0.44
        >>> uneven = t + 0.8 * jnp.cos(t)  # quick on one side of the circle, slow on the other
        >>> round(float(cf.observe.synchrony(uneven)), 2)
        0.55
        >>> round(float(cf.observe.chance_synchrony(uneven)), 2)
        0.55
    """
    phases = as_series("phases", phases, samples=1)
    x, y = jnp.cos(phases).mean(axis=0), jnp.sin(phases).mean(axis=0)
    own = (x**2 + y**2).mean()
    common = x.mean() ** 2 + y.mean() ** 2
    even = np.pi / 4 / phases.shape[1]
    return within(root(jnp.where(own > 0.5, even, common + even * (1 - own))), 0, 1)


def metastability(phases: Num[ArrayLike, "time region"]) -> Float[Array, ""]:
    r"""Compute how much the order parameter varies over time.

    $\sqrt{\langle (r(t) - \langle r \rangle_t)^2 \rangle_t}$, with $r$ the
    `kuramoto_order_parameter`: its standard deviation, with a divisor of the number of samples and
    not one less, as Deco et al. define it. Shanahan's index is the square of this, averaged over
    communities. Where $r$ is constant the result is 0, with gradient 0.

    Args:
        phases: two samples or more of each region. [rad]

    Returns:
        The metastability, in [0, 0.5]. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or has fewer than two samples.
        TypeError: if `phases` is complex.

    Source:
        M. Shanahan, Chaos 20, 013108 (2010); G. Deco et al., Sci. Rep. 7, 3095 (2017).

    Example:
        >>> phases = jnp.array([[0.3, 0.3], [0.0, jnp.pi]])
        >>> round(float(cf.observe.metastability(phases)), 3)
        0.5
    """
    r = kuramoto_order_parameter(as_series("phases", phases, samples=2))
    # Relative to its first sample, an order parameter that is constant is exactly 0.
    r = r - r[0]
    return root(jnp.square(r - r.mean()).mean())
