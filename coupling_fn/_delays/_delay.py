"""From tract lengths to lags in steps, and the history that lags read from.

A history is an array `(lag, source)`: what each source sent before now, oldest first, as many rows
as the largest lag. The present is not in it: lag 0 reads the current state, lag 1 the last row.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from .._core import (
    Scalar,
    as_count,
    as_float,
    constant,
    known,
    require_choice,
    require_finite,
    require_nonnegative,
    require_positive,
    require_positive_number,
    require_real,
    require_shape,
)

Interpolate = Literal["linear"] | None
# Of all pairs, of the stored edges of a sparse connection, or one for all.
Lengths = Num[ArrayLike, "target source"] | Num[ArrayLike, " edge"] | Scalar


def lags(
    lengths: Lengths,
    speed: Scalar,
    dt: Scalar,
    weights: Num[ArrayLike, "target source"] | Num[ArrayLike, " edge"] | None = None,
) -> Int[Array, "target source"] | Int[Array, " edge"] | Int[Array, ""]:
    r"""Turn tract lengths into lags: `round(length / speed / dt)` steps, halves to even.

    Worked out in float64 where the values are known, as the field's reference simulator does, and
    in the dtype of `lengths` under `jit`.

    Args:
        lengths: tract lengths: `(target, source)`, `(edge,)` of a sparse connection, or one. [mm]
        speed: conduction speed. [mm/ms]
        dt: time step. [ms]
        weights: if given, edges of weight 0 get the smallest lag of the others. They carry
            nothing, and their lengths of 0 would only make the network slower to compute.

    Returns:
        Lags of the shape of `lengths`. [steps]

    Raises:
        ValueError: if lengths are negative or not finite, or speed or dt not positive.
        TypeError: if a gradient is asked for: a rounded lag has none. Interpolated reads have
            (`Network(interpolate="linear")`).

    Warns:
        UserWarning: if a tract is so short that its delay is rounded to none.

    Example:
        >>> cf.lags(jnp.array([[0.0, 100.0], [33.0, 0.0]]), speed=10.0, dt=0.1).tolist()
        [[0, 100], [33, 0]]
    """
    require_shape("speed", speed, (), meaning="It is one number.")
    lengths = _checked_lengths(lengths, speed, dt)
    if weights is not None:
        weights = as_float("weights", weights)
        require_shape("weights", weights, lengths.shape, meaning="One for each of `lengths`.")
    if known(lengths, speed, dt):
        exact = np.asarray(lengths, np.float64)
        whole = np.rint(exact / float(speed) / float(dt))
        if whole.max(initial=0) > np.iinfo(np.int32).max:
            raise ValueError(f"`speed` of {speed} mm/ms makes lags of {whole.max():.3g} steps.")
        steps = constant(whole.astype(np.int32))
        lost = (exact > 0) & (whole == 0)
        if weights is not None and known(weights):
            lost &= np.asarray(weights) != 0
        _warn_of_lost_delays(exact, lost, speed, dt)
    else:
        steps = nearest_lags(fractional_lags(lengths, speed, dt))
    if weights is None:
        return steps
    if known(steps, weights):
        return constant(_without_absent(np.asarray(steps), np.asarray(weights) != 0, np))
    return _without_absent(steps, weights != 0, jnp)


def lag_bounds(
    lengths: Lengths,
    speed: Scalar | Num[ArrayLike, " speed"] | tuple[float, ...],
    dt: float,
) -> tuple[int, int]:
    """Bound the lags of a run whose speed or lengths vary: the smallest and the largest.

    A network with `lag_bounds` takes any lags between them without compiling again.

    Args:
        lengths: tract lengths that the run may see. [mm]
        speed: conduction speeds that the run may see, or their extremes. [mm/ms]
        dt: time step. [ms]

    Returns:
        The largest whole number below all lags, and the smallest above all. [steps]

    Example:
        >>> cf.lag_bounds(jnp.array([[10.0, 100.0]]), speed=(2.0, 10.0), dt=1.0)
        (1, 51)
    """
    lengths = np.asarray(_checked_lengths(lengths, speed, dt))
    if not lengths.size:
        raise ValueError("`lengths` is empty: there is nothing to bound.")
    smallest, largest = [], []
    for dtype in (np.float32, np.float64):  # a run may round its lags in either
        near, far, fast, slow, step = (
            np.asarray(x, dtype)
            for x in (lengths.min(), lengths.max(), np.max(speed), np.min(speed), dt)
        )
        smallest.append(int(np.floor(near / fast / step)))
        largest.append(int(np.floor(far / slow / step)) + 1)
    return min(smallest), max(largest)


def make_history(
    past: Num[ArrayLike, "lag source"] | Num[ArrayLike, " source"] | Scalar, lag: int, sources: int
) -> Float[Array, "{lag} {sources}"]:
    """Lay out what each source sent before the run, for lags up to `lag` steps.

    Args:
        past: a constant, one constant a source, or all `lag` rows, oldest first: the last row is
            one step before the run. [state]
        lag: the largest lag. [steps]
        sources: number of sources.

    Raises:
        ValueError: if `past` has another shape; a longer past is cut by you, `past[-lag:]`.

    Example:
        >>> cf.make_history(jnp.array([1.0, 2.0]), lag=3, sources=2).shape
        (3, 2)
    """
    return checked_past("past", past, as_count("lag", lag), as_count("sources", sources))


def checked_past(name: str, past: Any, lag: int, sources: int) -> Array:
    """As `make_history`, for an argument of any name."""
    past = as_float(name, past)
    require_finite(name, past)
    meaning = f"A constant, or the {lag} steps before the run, oldest first."
    require_shape(name, past, (), (sources,), (lag, sources), meaning=meaning)
    return jnp.broadcast_to(past if past.ndim == 2 else jnp.atleast_1d(past)[None], (lag, sources))


def _check_history(history: Any, current: Any) -> tuple[int, int]:
    """Refuse what is no past with a present, and give how deep and how wide it is."""
    require_real("history", history)
    if np.ndim(history) != 2:
        raise ValueError(f"`history` must have shape (lag, source), not {np.shape(history)}.")
    require_real("current", current)
    require_shape("current", current, np.shape(history)[1:], meaning="One value a source.")
    return np.shape(history)


def push_history(
    history: Float[Array, "lag source"], current: Float[Array, " source"]
) -> Float[Array, "lag source"]:
    """Step on: forget the oldest row, and remember the current state.

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
    """Read what arrives now: `lags` steps ago, for each edge or for all at once.

    Args:
        history: the past, oldest first. [state]
        current: the present, which lag 0 reads. [state]
        lags: a whole number an edge, or one for all; with `interpolate="linear"` any number, and
            the read is differentiable in it. [steps]
        interpolate: None, or "linear" between the two nearest steps.

    Returns:
        What each target sees of each source, `(target, source)`; for one lag `(source,)`. [state]

    Raises:
        ValueError: if a known lag is negative or beyond the history.
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
    lags = jnp.asarray(lags)
    if lags.ndim and (lags.ndim != 2 or lags.shape[1] != sources):
        raise ValueError(
            f"`lags` must be one whole number, or (target, {sources}), not {lags.shape}."
        )
    if known(lags) and ((np.asarray(lags) < 0) | (np.asarray(lags) > depth)).any():
        raise ValueError(
            f"`lags` must lie in 0 … {depth}, the rows of this history; they span "
            f"{np.min(lags)} … {np.max(lags)}."
        )
    rows = jnp.concatenate([history, current[None]])
    if interpolate is None:
        if not jnp.issubdtype(lags.dtype, jnp.integer):
            raise TypeError(
                f"`lags` must be whole numbers, not {lags.dtype}; between steps, read with "
                'interpolate="linear".'
            )
        return gather(rows, depth - lags)
    whole = jnp.minimum(jnp.floor(lags), max(depth - 1, 0))  # the oldest row is late by a whole one
    late, whole = (lags - whole).astype(rows.dtype), whole.astype(jnp.int32)
    near, far = gather(rows, depth - whole), gather(rows, depth - whole - 1)
    return near + late * (far - near)


def gather(rows: Array, index: Array) -> Array:
    """`rows[index[i, j], j]`; one index for all reads one row."""
    if index.ndim == 0:
        return jax.lax.dynamic_index_in_dim(rows, index, keepdims=False)
    # Flat, because XLA's CPU gather is fastest with one index an element.
    flat = index * rows.shape[1] + jnp.arange(rows.shape[1], dtype=index.dtype)[None]
    return rows.reshape(-1).at[flat].get(mode="promise_in_bounds")


def _without_absent(steps, present, xp):
    largest = np.iinfo(np.int32).max
    smallest = xp.where(present, steps, largest).min(initial=largest)
    return xp.where(present, steps, xp.where(smallest == largest, 0, smallest)).astype(np.int32)


def fractional_lags(lengths: ArrayLike, speed: Scalar, dt: Scalar) -> Array:
    """Lags before rounding, differentiable."""
    return jnp.asarray(lengths) / speed / dt


def nearest_lags(lags: Array) -> Array:
    """Lags rounded to whole steps, halves to even; asking for their gradient is an error."""
    return _nearest(lags).astype(jnp.int32)


@jax.custom_jvp
def _nearest(lags: Array) -> Array:
    return jnp.round(lags)


@_nearest.defjvp
def _(primals, tangents):
    raise TypeError(
        "A lag rounded to whole steps has no gradient with respect to lengths or speed. Read "
        'between steps instead: Network(interpolate="linear", lag_bounds=...), with lengths and '
        "speed in Params."
    )


def _checked_lengths(lengths, speed, dt) -> Array | np.ndarray:
    require_positive("speed", speed, "mm/ms")
    require_positive_number("dt", dt, "ms")
    checked = as_float("lengths", lengths)
    if not isinstance(lengths, np.ndarray):  # NumPy's float64 is not to be lost before rounding
        lengths = checked
    require_finite("lengths", lengths, "A tract that is missing has weight 0 and any length.")
    require_nonnegative("lengths", lengths, "Lengths are in mm.")
    return lengths


def _warn_of_lost_delays(lengths, lost, speed, dt) -> None:
    if lost.any():
        warnings.warn(
            f"{lost.sum()} tracts are so short that their delay is rounded to none: the longest "
            f"takes {lengths[lost].max() / float(speed):.3g} ms, under half of dt = {dt} ms.",
            stacklevel=3,
        )


def checked_lags(lags: Any) -> Array | None:
    if lags is None:
        return None
    require_real("lags", lags)
    lags = constant(lags)
    if not lags.size:
        raise ValueError(f"`lags` is empty, {lags.shape}: None is no delay.")
    if not jnp.issubdtype(lags.dtype, jnp.integer):
        raise TypeError(f"`lags` must be whole numbers of steps, not {lags.dtype}: use lags().")
    if lags.ndim > 2:
        raise ValueError(
            f"`lags` must be one number, (target, source) or (edge,), not {lags.shape}."
        )
    require_nonnegative("lags", lags)
    return constant(np.asarray(lags, np.int32)) if known(lags) else lags.astype(jnp.int32)


def checked_bounds(lags: Array | None, bounds: Any) -> tuple[int, int]:
    if bounds is None:
        if lags is None:
            return (0, 0)
        if not known(lags):
            raise ValueError(
                "These `lags` are not known yet (they are traced), and the network must know how "
                "far back they reach: give `lag_bounds=(smallest, largest)`."
            )
        return int(np.min(lags)), int(np.max(lags))
    pair = isinstance(bounds, Sequence) and len(bounds) == 2
    if not pair or not all(isinstance(b, (int, np.integer)) for b in bounds):
        raise TypeError(
            f"`lag_bounds` must be whole numbers (smallest, largest), not {bounds!r}: use "
            "lag_bounds(lengths, speed, dt)."
        )
    smallest, largest = (int(b) for b in bounds)
    if not 0 <= smallest <= largest:
        raise ValueError(f"`lag_bounds` must be 0 ≤ smallest ≤ largest, not {bounds}.")
    return smallest, largest


def within_bounds(lags: Array, smallest: int, largest: int) -> Array:
    """The lags, refused where they leave the bounds: an error at run time, never a clamp.

    Lags between steps may leave them by what rounding `lengths / speed / dt` can do.
    """
    values = np.asarray(lags) if known(lags) else lags  # NumPy's are looked at now, under `jit` too
    whole = jnp.issubdtype(lags.dtype, jnp.integer)
    slack = 0 if whole else min(4 * float(jnp.finfo(lags.dtype).eps) * largest, 0.01)
    outside = (values < smallest - slack) | (values > largest + slack)
    message = (
        f"A lag leaves the network's bounds of {smallest} to {largest} steps: a larger speed or "
        "shorter length than `lag_bounds` was told of, or the other way round."
    )
    if known(outside):
        if outside.any():
            span = f" These lags span {np.min(lags)} to {np.max(lags)}."
            raise ValueError(message + span)
        return lags
    return eqx.error_if(lags, outside.any(), message)
