"""How far a run is from data by other measurements than FC, and sums of several objectives.

Every objective of the package is called as `objective(simulated, target)`, with options by keyword.
All are 0 at an exact match, with gradient 0, and have finite gradients everywhere. Those of FC and
FCD stand in `_fc_objectives.py` and `_fcd_objectives.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._connectivity import lagged_covariance, phase_locking_value
from .._core import Scalar, as_float, known, require_finite, require_names
from .._signals import norm, power_spectrum
from ._fc_objectives import as_target


def lagged_covariance_distance(
    signals: Num[ArrayLike, "time region"],
    target: Num[ArrayLike, "region region"],
    *,
    dt: float,
    lag: float,
) -> Float[Array, ""]:
    r"""Compare the `lagged_covariance` of signals with that of data, relative to the data's size.

    $\|C(\tau) - \hat C\| / \|\hat C\|$ in the Frobenius norm, with $\hat C$ the target.

    Args:
        signals: the simulated signals, one column per region. [any unit]
        target: the covariance to reach, from `lagged_covariance` with the same lag. [unit²]
        dt: time from one sample to the next. [ms]
        lag: $\tau$, 0 or a multiple of dt. [ms]

    Returns:
        The distance, 0 or more. [1]

    Raises:
        ValueError: if `target` is not (region, region) or is all 0, or where `lagged_covariance`
            raises one.

    Source:
        M. Gilson et al., PLoS Comput. Biol. 12, e1004762 (2016).

    Example:
        >>> signals = jax.random.normal(jax.random.key(0), (50, 3))
        >>> target = cf.observe.lagged_covariance(signals, dt=2.0, lag=4.0)
        >>> louder = 2 * signals  # four times the covariance
        >>> apart = cf.observe.lagged_covariance_distance(louder, target, dt=2.0, lag=4.0)
        >>> round(float(apart), 4)
        3.0
    """
    covariance = lagged_covariance(signals, dt, lag)
    target = as_target(target, covariance, "It must have one entry per pair of regions.")
    size = lax.stop_gradient(norm(target))
    if known(size) and size == 0:
        raise ValueError(
            "`target` must have entries other than 0, because the distance is relative to its size; "
            "got 0 everywhere."
        )
    return norm(covariance - target) / size


def power_spectrum_distance(
    signals: Num[ArrayLike, "time region"],
    target: Num[ArrayLike, "frequency region"],
    *,
    dt: float,
    window: float,
) -> Float[Array, ""]:
    r"""Compare how the power of each region is spread over frequencies with that of data.

    $\langle \frac12 \sum_f |p_i(f) - \hat p_i(f)| \rangle_i$, with $p_i$ the spectrum of region $i$
    divided by its sum, and $\hat p_i$ that of the target: the total variation, averaged over
    regions. The level of power does not matter. A region without power has $p_i = 0$.

    Args:
        signals: the simulated signals, one column per region. [any unit]
        target: the density to reach, the second result of `power_spectrum` with the same window
            and dt. [unit²/Hz]
        dt: time from one sample to the next. [ms]
        window: length of a window, a multiple of dt. [ms]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if `target` has another shape than the spectrum of `signals`, or where
            `power_spectrum` raises one.

    Example:
        >>> t = jnp.arange(4000.0)
        >>> slow, fast = (jnp.sin(2 * jnp.pi * f * t / 1000)[:, None] for f in (5.0, 20.0))
        >>> _, target = cf.observe.power_spectrum(fast, dt=1.0, window=1000.0)
        >>> apart = cf.observe.power_spectrum_distance(slow, target, dt=1.0, window=1000.0)
        >>> round(float(apart), 3)
        1.0
    """
    _, power = power_spectrum(signals, dt, window)
    meaning = "It must be (frequency, region), of the same window and dt."
    target = as_target(target, power, meaning)
    return jnp.abs(_shares(power) - _shares(target)).sum() / (2 * power.shape[1])


def phase_locking_distance(
    phases: Num[ArrayLike, "time region"], target: Num[ArrayLike, "region region"]
) -> Float[Array, ""]:
    r"""Compute the root mean square difference of phase-locking values, over pairs of regions.

    $\sqrt{\langle (P_{ij} - \hat P_{ij})^2 \rangle_{i < j}}$, with $P$ the `phase_locking_value` of the
    phases and $\hat P$ the target.

    Args:
        phases: the simulated phases, one column per region, as from `instantaneous_phase`. [rad]
        target: the values to reach, from `phase_locking_value`. [1]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if `target` is not (region, region), or there are fewer than two regions.

    Example:
        >>> phases = jnp.array([[0.0, 0.3], [1.0, 1.3], [2.0, 2.3]])  # locked
        >>> round(float(cf.observe.phase_locking_distance(phases, jnp.eye(2))), 3)
        1.0
    """
    locked = phase_locking_value(phases)
    target = as_target(target, locked, "It must have one entry per pair of regions.")
    above = np.triu_indices(len(target), 1)
    pairs = len(above[0])
    if pairs == 0:
        raise ValueError("`phases` must have 2 regions or more, so that there are pairs; got 1.")
    return norm(locked[above] - target[above]) / np.sqrt(pairs).item()


def weighted_objective(
    objectives: Mapping[str, Callable[..., Any]], weights: Mapping[str, Scalar]
) -> Callable[[Any, Any], Float[Array, ""]]:
    r"""Return the objective that is the weighted sum of several.

    $\sum_n w_n\, f_n(\text{simulated}_n, \text{target}_n)$. The result is called as every objective
    is, `objective(simulated, target)`. Where one of the two is a mapping, with the names of the
    objectives, each objective gets its own entry; anything else goes to all of them alike. The
    options of an objective are fixed beforehand with `functools.partial`.

    Args:
        objectives: the objectives by name, each a function of `(simulated, target)` to one number.
        weights: the weight of each, by the same names. [1 per unit of the objective]

    Returns:
        The sum, as a function of `(simulated, target)`.

    Raises:
        ValueError: if the names of `weights` are not those of `objectives`, or a weight is not
            finite; when it is called, if the names of a mapping are not those of `objectives`.

    Example:
        Two objectives of one FC:

        >>> level_and_pattern = cf.observe.weighted_objective(
        ...     {"level": cf.observe.fc_rmse, "pattern": cf.observe.fc_correlation_distance},
        ...     {"level": 1.0, "pattern": 0.5},
        ... )
        >>> fc = jnp.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> round(float(level_and_pattern(fc + 0.2, fc)), 3)
        0.2

        The FC and the spectrum of one run, to be fitted together:

        >>> from functools import partial
        >>> spectrum = partial(cf.observe.power_spectrum_distance, dt=1.0, window=250.0)
        >>> objective = cf.observe.weighted_objective(
        ...     {"fc": cf.observe.fc_rmse, "spectrum": spectrum}, {"fc": 1.0, "spectrum": 0.5}
        ... )
        >>> net = cf.Network(cf.nodes.hopf, dt=1.0)
        >>> conn = jnp.array([[0.0, 0.0, 0.5], [1.0, 0.0, 0.0], [0.0, 0.3, 0.0]])
        >>> def run(k):
        ...     params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(conn, k), noise=0.1)
        ...     start = cf.nodes.HopfState(jnp.array([0.1, 0.2, 0.3]), jnp.zeros(3))
        ...     state = net.init(start, params, key=jax.random.key(0))
        ...     return cf.simulate(net, state, params, steps=1000, record="x")[1]
        >>> recorded = run(0.2)  # stands for data
        >>> target = {
        ...     "fc": cf.observe.functional_connectivity(recorded),
        ...     "spectrum": cf.observe.power_spectrum(recorded, dt=1.0, window=250.0)[1],
        ... }
        >>> def loss(k):
        ...     x = run(k)
        ...     simulated = {"fc": cf.observe.functional_connectivity(x), "spectrum": x}
        ...     return objective(simulated, target)
        >>> value, slope = jax.value_and_grad(loss)(0.1)
        >>> float(loss(0.2)), bool(value > 0), bool(slope < 0)
        (0.0, True, True)
    """
    require_names("objective", weights, objectives)
    require_names("weight", objectives, weights)
    for name, weight in weights.items():
        require_finite(name, as_float(name, weight))

    def objective(simulated: Any, target: Any) -> Array:
        simulated = _by_name("simulated", simulated, objectives)
        target = _by_name("target", target, objectives)
        terms = [
            weights[name] * term(simulated[name], target[name]) for name, term in objectives.items()
        ]
        return jnp.stack(terms).sum()

    return objective


def _by_name(argument: str, given: Any, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what each objective gets: its own entry of a mapping, or what all get alike."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(names, given)
    if set(given) != set(names):
        raise ValueError(
            f"`{argument}`, as a mapping, must have one entry per objective, {list(names)}; got "
            f"{list(given)}. What all objectives share is passed as it is, outside of a mapping."
        )
    return given


def _shares(power: Array) -> Array:
    """Return each column divided by its sum, or 0 where that is 0."""
    total = power.sum(axis=0, keepdims=True)
    return jnp.where(total == 0, 0, power / jnp.where(total == 0, 1, total))
