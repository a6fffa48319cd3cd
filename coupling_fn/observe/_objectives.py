"""How far a model is from data: objectives to make small, each pure and with finite gradients.

All are 0 at an exact match, with gradient 0. What is measured comes from `functional_connectivity`
and its neighbours; `fc_correlation`, `fc_rmse` and `fcd_ks` stand beside them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    Scalar,
    as_float,
    known,
    require_finite,
    require_names,
    require_shape,
    require_square,
)
from ._connectivity import fc_correlation
from ._dynamics import lagged_covariance, phase_coherence, sorted_fcd
from ._spectrum import power_spectrum


def fc_correlation_distance(
    fc_a: Num[ArrayLike, "region region"], fc_b: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    """Take one less `fc_correlation`: what to make small where its level does not matter.

    Args:
        fc_a: say the simulated connectivity, of three regions or more. [1]
        fc_b: say the recorded connectivity, of the same regions. [1]

    Returns:
        The distance, in [0, 2]; 1, with gradient 0, where all pairs of one matrix are equal. [1]

    Raises:
        ValueError: if the two are not square matrices of one size, three or more.

    Example:
        >>> fc = jnp.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> round(float(cf.observe.fc_correlation_distance(fc, -fc)), 4)
        2.0
    """
    return 1 - fc_correlation(fc_a, fc_b)


def fc_frobenius(
    fc_a: Num[ArrayLike, "region region"], fc_b: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    r"""Take the Frobenius norm of the difference, $\sqrt{\sum_{ij} (A_{ij} - B_{ij})^2}$.

    Of all entries, diagonal included.

    Args:
        fc_a: one matrix, as a connectivity or a covariance. [any unit]
        fc_b: another. [the same]

    Returns:
        The distance, 0 or more. [the same]

    Raises:
        ValueError: if the two are not square matrices of one size.

    Example:
        >>> float(cf.observe.fc_frobenius(jnp.zeros((2, 2)), 2 * jnp.ones((2, 2))))
        4.0
    """
    fc_a, fc_b = _two("fc", fc_a, fc_b)
    return _norm(fc_a - fc_b)


def fcd_wasserstein(
    fcd_a: Num[ArrayLike, "window_a window_a"], fcd_b: Num[ArrayLike, "window_b window_b"]
) -> Float[Array, ""]:
    r"""Take the Wasserstein-1 distance of how the values of two FCDs are distributed.

    $\int |F_a^{-1}(q) - F_b^{-1}(q)| dq$, of the entries above the two diagonals: how far, in the
    mean, values have to be moved to make one distribution the other. Unlike `fcd_ks`, a step
    function, it has gradients to follow; equal values share nothing and are ranked as they come.

    Args:
        fcd_a: say the simulated FCD, of two windows or more. [1]
        fcd_b: say the recorded one; of another number of windows if need be. [1]

    Returns:
        The distance, in [0, 2]. [1]

    Raises:
        ValueError: if one is not square or has fewer than two windows.

    Source:
        C. Villani, Topics in Optimal Transportation (2003), theorem 2.18.

    Example:
        >>> low, high = jnp.full((4, 4), 0.1), jnp.full((5, 5), 0.9)
        >>> round(float(cf.observe.fcd_wasserstein(low, high)), 3)
        0.8
    """
    a, b = sorted_fcd("fcd_a", fcd_a), sorted_fcd("fcd_b", fcd_b)
    # Where either quantile function steps; between two steps both are constant.
    n, m = a.size, b.size
    steps = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    at, widths = steps[:-1], jnp.asarray(np.diff(steps) / (n * m), a.dtype)
    return (widths * jnp.abs(a[at // m] - b[at // n])).sum()


def lagged_covariance_distance(
    signals: Num[ArrayLike, "time region"],
    target: Num[ArrayLike, "region region"],
    dt: float,
    lag: float,
) -> Float[Array, ""]:
    """Compare the `lagged_covariance` of signals with that of data, relative to the data's size.

    Args:
        signals: one column a region. [any unit]
        target: the covariance to reach, as `lagged_covariance` gives it. [unit²]
        dt: time from one sample to the next. [ms]
        lag: 0 or a multiple of dt. [ms]

    Returns:
        The Frobenius norm of the difference, over that of the target. [1]

    Raises:
        ValueError: if `target` is not (region, region) or is 0, or as `lagged_covariance` does.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016).

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (50, 3))
        >>> target = cf.observe.lagged_covariance(signals, dt=2.0, lag=4.0)
        >>> round(float(cf.observe.lagged_covariance_distance(2 * signals, target, dt=2.0, lag=4.0)), 4)
        3.0
    """
    return _relative("target", lagged_covariance(signals, dt, lag), target)


def power_spectrum_distance(
    signals: Num[ArrayLike, "time region"],
    target: Num[ArrayLike, "frequency region"],
    dt: float,
    window: float,
) -> Float[Array, ""]:
    r"""Compare how the power of each region is spread with how that of data is.

    Each spectrum is divided by its sum, so level does not matter; then half the sum of the absolute
    differences (the total variation), averaged over regions. A region without power has a spectrum
    of 0.

    Args:
        signals: one column a region. [any unit]
        target: the density to reach, as `power_spectrum` gives it for the same window and dt.
            [unit²/Hz]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt. [ms]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if `target` has another shape, or as `power_spectrum` does.

    Example:
        >>> t = jnp.arange(4000.0)
        >>> slow, fast = (jnp.sin(2 * jnp.pi * f * t / 1000)[:, None] for f in (5.0, 20.0))
        >>> _, target = cf.observe.power_spectrum(fast, dt=1.0, window=1000.0)
        >>> round(float(cf.observe.power_spectrum_distance(slow, target, dt=1.0, window=1000.0)), 3)
        1.0
    """
    _, power = power_spectrum(signals, dt, window)
    target = as_float("target", target).astype(power.dtype)
    meaning = "(frequency, region), of the same window and dt."
    require_shape("target", target, power.shape, meaning=meaning)
    shares = [_shares(power), _shares(target)]
    return jnp.abs(shares[0] - shares[1]).sum() / (2 * power.shape[1])


def phase_locking_distance(
    phases: Num[ArrayLike, "time region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    """Take the root mean square difference of phase-locking values, over pairs of regions.

    Args:
        phases: one column a region, as from `instantaneous_phase`. [rad]
        target: the coherences to reach, as `phase_coherence` gives them. [1]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if `target` is not (region, region), or there are fewer than two regions.

    Example:
        >>> phases = jnp.array([[0.0, 0.3], [1.0, 1.3], [2.0, 2.3]])  # locked
        >>> round(float(cf.observe.phase_locking_distance(phases, jnp.eye(2))), 3)
        1.0
    """
    locked, target = _two("target", phase_coherence(phases), target)
    pairs = len(target) * (len(target) - 1) // 2
    if pairs == 0:
        raise ValueError("`phases` must have 2 regions or more, to have pairs.")
    above = np.triu_indices(len(target), 1)
    return _norm(locked[above] - target[above]) / np.sqrt(pairs).item()


def weighted_objective(
    objectives: Mapping[str, Callable[..., Any]], weights: Mapping[str, Scalar]
) -> Callable[..., Float[Array, ""]]:
    """Add up several objectives of the same arguments, each with its weight.

    Args:
        objectives: pure functions, by name, each giving one number.
        weights: what each is multiplied by, by the same names.

    Returns:
        The function that gives the sum.

    Raises:
        ValueError: if names differ, or a weight is not finite.

    Example:
        >>> both = cf.observe.weighted_objective(
        ...     {"level": cf.observe.fc_rmse, "pattern": cf.observe.fc_correlation_distance},
        ...     {"level": 1.0, "pattern": 0.5},
        ... )
        >>> fc = jnp.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> round(float(both(fc, fc + 0.2)), 3)
        0.2
    """
    require_names("objective", weights, objectives)
    require_names("weight", objectives, weights)
    for name, weight in weights.items():
        require_finite(name, as_float(name, weight))

    def objective(*args: Any, **options: Any) -> Array:
        parts = [weights[name] * part(*args, **options) for name, part in objectives.items()]
        return jnp.stack(parts).sum()

    return objective


def require_fc(name: str, fc: Any, regions: int | None = None) -> Array:
    """`fc` as a functional connectivity that something can be fitted to, or an error that says why."""
    fc = as_float(name, fc)
    require_square(name, fc)
    if regions is not None and len(fc) != regions:
        raise ValueError(f"`{name}` must be ({regions}, {regions}), one a region, not {fc.shape}.")
    if len(fc) < 3:
        raise ValueError(f"`{name}` must have 3 regions or more, to compare pairs; not {len(fc)}.")
    require_finite(name, fc, "A region without data is best left out of model and data.")
    if not known(fc):
        return fc
    values = np.asarray(fc)
    apart = np.abs(values - values.T)
    if apart.max() > 1e-3 * np.abs(values).max():
        i, j = (int(x) for x in np.unravel_index(apart.argmax(), apart.shape))
        raise ValueError(
            f"`{name}` must be symmetric; at ({i}, {j}) it is {values[i, j]}, and at ({j}, {i}) "
            f"{values[j, i]}."
        )
    if np.ptp(values[np.triu_indices(len(values), 1)]) == 0:
        raise ValueError(f"`{name}` is the same for all pairs: no model could be told by it.")
    return fc


def _two(name: str, a: Any, b: Any) -> tuple[Array, Array]:
    names = (f"{name}_a", f"{name}_b") if name == "fc" else ("measured", name)
    a, b = as_float(names[0], a), as_float(names[1], b)
    require_square(names[0], a)
    require_shape(names[1], b, a.shape, meaning="One for each pair of regions.")
    return a, b.astype(a.dtype)


def _relative(name: str, a: Any, b: Any) -> Array:
    a, b = _two(name, a, b)
    size = lax.stop_gradient(_norm(b))
    if known(size) and size == 0:
        raise ValueError(f"`{name}` is 0: nothing can be compared with its size.")
    return _norm(a - b) / size


def _norm(x: Array) -> Array:
    """The root of the sum of squares; at 0 its gradient is 0, and no square is too small."""
    largest = lax.stop_gradient(jnp.abs(x).max())
    largest = jnp.where(largest == 0, 1, largest)
    square = jnp.square(x / largest).sum()
    return largest * jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))


def _shares(power: Array) -> Array:
    total = power.sum(axis=0, keepdims=True)
    return jnp.where(total == 0, 0, power / jnp.where(total == 0, 1, total))
