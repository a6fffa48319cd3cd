"""The history of a delayed source: what it sent before now, and how lags read it.

A history is an array `(lag, source)`, oldest first, with as many entries as the largest lag has
steps. The
present is not in it: lag 0 reads the current state, lag 1 the last entry.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    Scalar,
    as_count,
    as_float,
    constant,
    known,
    require_choice,
    require_finite,
    require_real,
    require_shape,
)
from ._lags import Interpolate


def make_history(
    past: Num[ArrayLike, "lag source"] | Num[ArrayLike, " source"] | Scalar, lag: int, sources: int
) -> Float[Array, "{lag} {sources}"]:
    """Make the history of a run: what each source sent before it, for lags up to `lag` steps.

    Args:
        past: a constant, one constant per source, or all `lag` values per source, oldest first:
            the last entry is one step before the run. [state]
        lag: the largest lag. [steps]
        sources: number of sources. [1]

    Returns:
        The history, oldest first. [state]

    Raises:
        ValueError: if `past` has another shape. Cut a longer past yourself: `past[-lag:]`.

    Example:
        >>> cf.make_history(jnp.array([1.0, 2.0]), lag=3, sources=2).shape
        (3, 2)
    """
    return checked_past("past", past, as_count("lag", lag), as_count("sources", sources))


def checked_past(name: str, past: Any, lag: int, sources: int) -> Array:
    """Make a history as `make_history` does, for an argument of another name."""
    past = as_float(name, past)
    require_finite(name, past)
    meaning = f"Give a constant, or the {lag} steps before the run, oldest first."
    require_shape(name, past, (), (sources,), (lag, sources), meaning=meaning)
    return jnp.broadcast_to(past if past.ndim == 2 else jnp.atleast_1d(past)[None], (lag, sources))


def _check_history(history: Any, current: Any) -> tuple[int, int]:
    """Check a history and its current state; return their numbers of lags and of sources."""
    require_real("history", history)
    if np.ndim(history) != 2:
        raise ValueError(f"`history` must have shape (lag, source), not {np.shape(history)}.")
    require_real("current", current)
    require_shape("current", current, np.shape(history)[1:], meaning="Give one value per source.")
    return np.shape(history)


def push_history(
    history: Float[Array, "lag source"], current: Float[Array, " source"]
) -> Float[Array, "lag source"]:
    """Advance a history by one step: drop the oldest entry and append the current state.

    Args:
        history: the past, oldest first. [state]
        current: the present state. [state]

    Returns:
        The history one step later, of the same shape. [state]

    Example:
        >>> cf.push_history(jnp.array([[1.0], [2.0]]), jnp.array([3.0])).tolist()
        [[2.0], [3.0]]
    """
    _check_history(history, current)
    return jnp.concatenate([history, current[None]])[1:]


def read_history(
    history: Float[Array, "lag source"],
    current: Float[Array, " source"],
    lags: Num[ArrayLike, "target source"] | Scalar,
    interpolate: Interpolate = None,
) -> Float[Array, "target source"] | Float[Array, " source"]:
    """Read from a history what left each source `lags` steps ago.

    Args:
        history: the past, oldest first. [state]
        current: the present, which lag 0 reads. [state]
        lags: whole numbers per pair, or one for all sources; with `interpolate="linear"` any
            numbers, and the result is differentiable in them. [steps]
        interpolate: None to read at whole steps, or "linear" to read between the two nearest.

    Returns:
        What each target sees of each source, `(target, source)`, or `(source,)` for one lag. [state]

    Raises:
        ValueError: if a known lag is negative or reaches beyond the history.
        TypeError: if lags are not whole and `interpolate` is None.

    Example:
        >>> history, current = jnp.array([[1.0, 10.0], [2.0, 20.0]]), jnp.array([3.0, 30.0])
        >>> cf.read_history(history, current, jnp.array([[0, 1], [2, 0]])).tolist()
        [[3.0, 20.0], [1.0, 30.0]]
        >>> cf.read_history(history, current, 0.5, interpolate="linear").tolist()
        [2.5, 25.0]
    """
    require_choice("interpolate", interpolate, (None, "linear"))
    depth, sources = _check_history(history, current)
    require_real("lags", lags)
    lags = constant(lags)
    if lags.ndim and (lags.ndim != 2 or lags.shape[1] != sources):
        raise ValueError(
            f"`lags` must be one number or have shape (target, {sources}), not {lags.shape}."
        )
    values = np.asarray(lags) if known(lags) else None
    if values is not None and ((values < 0) | (values > depth)).any():
        raise ValueError(
            f"`lags` must lie in 0 … {depth}, the length of this history in steps; they span "
            f"{values.min()} … {values.max()}."
        )
    buffer = jnp.concatenate([history, current[None]])
    if interpolate is None:
        if not jnp.issubdtype(lags.dtype, jnp.integer):
            raise TypeError(
                f"`lags` must be whole numbers, not {lags.dtype}; to read between steps, pass "
                'interpolate="linear".'
            )
        return gather(buffer, depth - lags)
    whole = jnp.minimum(jnp.floor(lags), max(depth - 1, 0))  # the largest lag is read as late = 1
    late, whole = (lags - whole).astype(buffer.dtype), whole.astype(jnp.int32)
    later, earlier = gather(buffer, depth - whole), gather(buffer, depth - whole - 1)
    return later + late * (earlier - later)


def gather(buffer: Array, index: Array) -> Array:
    """Return `buffer[index[i, j], j]` of `(time, source)`; one index for all sources reads one time."""
    if index.ndim == 0:
        return jax.lax.dynamic_index_in_dim(buffer, index, keepdims=False)
    # The index is flat because the gather of XLA on the CPU is fastest with one index per element.
    flat = index * buffer.shape[1] + jnp.arange(buffer.shape[1], dtype=index.dtype)[None]
    return buffer.reshape(-1).at[flat].get(mode="promise_in_bounds")
