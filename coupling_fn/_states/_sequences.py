"""What a sequence of states is like: how often, for how long, and what follows what."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Integer

from .._core import as_count, constant, known, require_positive_number


def fractional_occupancy(
    labels: Integer[ArrayLike, " time"], states: int
) -> Float[Array, " state"]:
    """Compute the share of times at which each state is there.

    Args:
        labels: the state at each time, from 0, as from `kmeans`. [1]
        states: how many states there are.

    Returns:
        The shares, with sum 1. [1]

    Raises:
        ValueError: if `labels` is not (time,), or has states other than 0 to states - 1.
        TypeError: if `labels` are not whole numbers.

    Example:
        >>> cf.observe.fractional_occupancy(jnp.array([0, 0, 1, 0]), states=3).tolist()
        [0.75, 0.25, 0.0]
    """
    labels = _labels(labels, states)
    return _member(labels, states).mean(axis=0)


def dwell_times(
    labels: Integer[ArrayLike, " time"], states: int, dt: float
) -> Float[Array, " state"]:
    """Compute how long, in the mean, each state lasts once it is there.

    The number of samples in a state, times dt, over the number of visits. The first and the last
    visit count as they are, though the record may cut them short.

    Args:
        labels: the state at each time, from 0, as from `kmeans`. [1]
        states: how many states there are.
        dt: time from one sample to the next. [ms]

    Returns:
        The mean dwell times; 0 for a state that is never there. [ms]

    Raises:
        ValueError: if `labels` is not (time,), or has states other than 0 to states - 1.
        TypeError: if `labels` are not whole numbers.

    Source:
        J. Cabral et al., Sci. Rep. 7, 5135 (2017).

    Example:
        >>> cf.observe.dwell_times(jnp.array([0, 0, 1, 0]), states=3, dt=720.0).tolist()
        [1080.0, 720.0, 0.0]
    """
    labels = _labels(labels, states)
    require_positive_number("dt", dt, "ms")
    member = _member(labels, states)
    begins = jnp.concatenate([jnp.ones_like(labels[:1], bool), labels[1:] != labels[:-1]])
    visits = (member * begins.astype(member.dtype)[:, None]).sum(axis=0)
    return member.sum(axis=0) * jnp.asarray(dt, member.dtype) / jnp.maximum(visits, 1)


def transition_matrix(
    labels: Integer[ArrayLike, " time"], states: int
) -> Float[Array, "state state"]:
    r"""Compute how probably each state follows each other, from one sample to the next.

    $T_{ij} = P(s_{t+1} = i \mid s_t = j)$: as in a connectome, column j comes first and row i follows.
    So columns have sum 1; the transpose is what is called row-stochastic. Staying in a state is on
    the diagonal. The column of a state after which no sample comes is 0.

    Args:
        labels: the state at each time, from 0, two times or more, as from `kmeans`. [1]
        states: how many states there are.

    Returns:
        The probabilities. [1]

    Raises:
        ValueError: if `labels` is not (time,) or has fewer than two times, or has states other than 0
            to states - 1.
        TypeError: if `labels` are not whole numbers.

    Source:
        J. Cabral et al., Sci. Rep. 7, 5135 (2017), there with rows and columns exchanged.

    Example:
        >>> cf.observe.transition_matrix(jnp.array([0, 1, 0, 0, 0]), states=2).round(2).tolist()
        [[0.67, 1.0], [0.33, 0.0]]
    """
    labels = _labels(labels, states, least=2)
    member = _member(labels, states)
    counts = jnp.matmul(member[1:].T, member[:-1], precision="highest")
    return counts / jnp.maximum(counts.sum(axis=0, keepdims=True), 1)


def _labels(labels: Any, states: int, least: int = 1) -> Int[Array, " time"]:
    """Return labels as integers, after checking that they are states."""
    if as_count("states", states) < 1:
        raise ValueError(f"`states` must be 1 or more; got {states}.")
    try:
        labels = constant(labels)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`labels` must be whole numbers, not {labels!r}.") from error
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"`labels` must be whole numbers; they are {labels.dtype}.")
    if labels.ndim != 1 or len(labels) < least:
        raise ValueError(
            f"`labels` must have shape (time,), with {least} or more; got shape {labels.shape}."
        )
    if known(labels) and not ((np.asarray(labels) >= 0) & (np.asarray(labels) < states)).all():
        raise ValueError(
            f"`labels` must be states from 0 to {states - 1}; they are from {np.asarray(labels).min()} "
            f"to {np.asarray(labels).max()}."
        )
    return labels


def _member(labels: Array, states: int) -> Array:
    """Return 1 where a time is in a state, (time, state)."""
    return (labels[:, None] == jnp.arange(states)[None]).astype(float)
