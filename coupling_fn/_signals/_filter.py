"""Band-pass filters that do not shift in time."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_count, as_steps, known, require_positive_number, scan
from ._series import as_series


def bandpass(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    low: float,
    high: float,
    *,
    order: int = 2,
    padding: float | None = None,
) -> Float[Array, "time region"]:
    r"""Keep what oscillates between two frequencies, without a shift in time (zero phase).

    A Butterworth filter runs forwards over the record and then backwards, as second-order sections.
    The gain is $|H(f)|^2$, with $H$ the filter: 1/2 at `low` and at `high` (-6 dB), and phases stay
    what they are. The result is linear in the signals, and so is its gradient.

    Edges: the record is continued at both ends by its own odd reflection, $2 x_0 - x_n$, and both
    passes begin in the steady state of a constant signal, so that a level leaves no step. The
    first and the last cycles of the slowest frequency still depend on that guess: leave out about
    1 / low at each end before measuring.

    Memory is about four times that of `signals`, and five times with the gradient (84 regions, 60 000
    samples in float32: 80 and 100 MB, 0.1 and 0.3 s on one core).

    Args:
        signals: one column per region, samples at equal distances. [any unit]
        dt: time from one sample to the next. [ms]
        low: the lower edge of the band, above 0. [Hz]
        high: the upper edge of the band, below half the sampling rate. [Hz]
        order: the order of the low-pass filter that the design begins with; the band-pass has twice
            as many poles and `order` sections, and both passes together have the effect of twice
            that. High orders and narrow bands ring.
        padding: how long the reflection is at each end, a multiple of dt, or 0 for none; by default
            3 (2 order + 1) samples, as in SciPy's `sosfiltfilt`. [ms]

    Returns:
        The filtered signals, with the mean removed. [unit of `signals`]

    Raises:
        ValueError: if `signals` is not (time, region) or not longer than the padding, the band is not
            between 0 and half the sampling rate, or `order` is 0.
        TypeError: if `signals` is complex, or dt or an edge of the band is not a known number, since
            they fix the filter.

    Source:
        S. Butterworth, Exp. Wireless Eng. 7, 536 (1930); F. Gustafsson, IEEE Trans. Signal Process. 44,
        988 (1996), for both passes. R. Middleton, G. Goodwin, IEEE Trans. Autom. Control 31, 1015
        (1986), for sections that keep their digits at high sampling rates.

    Example:
        >>> t = jnp.arange(2000.0)[:, None]  # 2 s, in ms
        >>> alpha = jnp.sin(2 * jnp.pi * 0.010 * t)
        >>> drift = 3 + 2 * jnp.sin(2 * jnp.pi * 0.0005 * t)
        >>> kept = cf.observe.bandpass(alpha + drift, dt=1.0, low=8.0, high=13.0)
        >>> bool(jnp.abs(kept - alpha)[500:1500].max() < 0.03)
        True
    """
    signals = as_series("signals", signals, samples=1)
    order = as_count("order", order)
    if order == 0:
        raise ValueError("`order` must be 1 or more; got 0.")
    for name, x, unit in (("dt", dt, "ms"), ("low", low, "Hz"), ("high", high, "Hz")):
        if not known(x):
            raise TypeError(
                f"`{name}` must be a single number with a known value, since it fixes the filter; "
                f"got {x}."
            )
        require_positive_number(name, x, unit)
    rate = 1000 / float(dt)
    if not float(low) < float(high) < rate / 2:
        raise ValueError(
            f"`low` must be below `high`, and `high` below half the sampling rate, {rate / 2:g} Hz; "
            f"got {low} and {high} Hz."
        )
    pad = 3 * (2 * order + 1)
    if padding is not None:
        pad = 0 if np.ndim(padding) == 0 and padding == 0 else as_steps("padding", padding, dt)
    if len(signals) <= pad:
        raise ValueError(
            f"`signals` must have more samples than are reflected at each end, {pad}; got "
            f"{len(signals)}. A shorter `padding` would fit."
        )
    sections = _butterworth(order, float(low) / rate, float(high) / rate)
    return _forwards_and_backwards(signals, sections, pad)


class _Section(NamedTuple):
    r"""A section $g (z^2 - 1) / (z^2 + a_1 z + a_2)$ in powers of $\delta = z - 1$.

    Its denominator is $\delta^2 + (2 + a_1) \delta + (1 + a_1 + a_2)$. Poles lie near z = 1 where
    the band is far below the sampling rate: a_1 and a_2 are then near -2 and 1, and float32 would
    round away where the poles are. The two coefficients in powers of delta are small, and keep their
    digits.
    """

    gain: float
    first: float
    second: float


def _butterworth(order: int, low: float, high: float) -> tuple[_Section, ...]:
    """Design a digital Butterworth band-pass; both edges are in cycles per sample.

    The poles of the analog low-pass lie on the left half of the unit circle. Each becomes two of a
    band-pass, and the bilinear transform maps all of them into the unit disc, with edges chosen
    ("prewarped") so that they come out where they should. Half of the zeros come to z = 1 and half
    to z = -1: each section has one of both.
    """
    lower, upper = (2 * math.tan(math.pi * f) for f in (low, high))
    middle, width = math.sqrt(lower * upper), upper - lower
    pairs = []
    for k in range((order + 1) // 2):
        pole = np.exp(0.5j * np.pi * (2 * k + 1 + order) / order) * width / 2
        spread = np.sqrt(pole**2 - middle**2 + 0j)
        first, second = (
            (2 + pole + spread) / (2 - pole - spread),
            (2 + pole - spread) / (2 - pole + spread),
        )
        if 2 * k + 1 == order:  # the real pole: its two are conjugate, or both real
            pairs.append((first, second))
        else:
            pairs += [(first, first.conjugate()), (second, second.conjugate())]
    # The analog filter has gain 1 at the middle of the band; so each section is given gain 1 there.
    z = np.exp(2j * math.atan(middle / 2))
    sections = []
    for p, q in pairs:
        gain = abs((z - p) * (z - q) / (z**2 - 1))
        sections.append(
            _Section(float(gain), float((2 - p - q).real), float(((1 - p) * (1 - q)).real))
        )
    return tuple(sections)


@eqx.filter_jit
def _forwards_and_backwards(signals: Array, sections: tuple[_Section, ...], pad: int) -> Array:
    # A level has gain 0, so the first sample may be subtracted: it keeps the digits of a small
    # signal that is far from 0. Of what is left, the odd reflection about it is minus the signal.
    x = signals - lax.stop_gradient(signals[:1])
    after = 2 * x[-1:] - x[len(x) - 1 - pad : len(x) - 1][::-1]
    x = jnp.concatenate([2 * x[:1] - x[1 : pad + 1][::-1], x, after])
    x = _filtered(x, sections, reverse=False)
    return _filtered(x, sections, reverse=True)[pad : pad + len(signals)]


def _filtered(x: Array, sections: tuple[_Section, ...], reverse: bool) -> Array:
    """Run all sections over a record, from the steady state of its first sample (or its last)."""
    like = x.dtype

    def step(states: Any, x: Array) -> Any:
        after = []
        for section, (first, second) in zip(sections, states, strict=True):
            gain, a, b = (jnp.asarray(c, like) for c in section)
            y = gain * x + first
            after.append((first + 2 * gain * x - a * y + second, second - b * y))
            x = y
        return after, x

    # A constant leaves the first section as 0, and so the others know nothing of it.
    edge = x[-1] if reverse else x[0]
    gain = jnp.asarray(sections[0].gain, like)
    still = jnp.zeros_like(edge)
    states = [(-gain * edge, -2 * gain * edge)] + [(still, still)] * (len(sections) - 1)
    return scan(step, states, x, reverse=reverse, unroll=UNROLLED)[1]


UNROLLED = 8  # samples per turn of the loop, whose own cost is that of several samples
