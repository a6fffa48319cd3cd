"""From tract lengths to lags: how many steps ago a message left that arrives now.

A lag is `round(length / speed / dt)`, halves to even. Lag 0 reads the current state, and so nothing is
delayed; lag 1 reads the state one step ago. Lags that follow from `lengths` and `speed` inside a run
are either rounded, which has no gradient, or kept fractional and read between two steps, which has.
"""

import warnings
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Int, Num

from .._core import (
    Scalar,
    as_float,
    constant,
    error_if,
    in_short,
    known,
    nonzero,
    require_lengths,
    require_nonnegative,
    require_positive,
    require_positive_number,
    require_real,
    require_shape,
)

Interpolate = Literal["linear"] | None
# For all pairs, for the stored edges of a sparse connection, or one for all edges.
Lengths = Num[ArrayLike, "target source"] | Num[ArrayLike, " edge"] | Scalar


_MOST_STEPS = int(np.iinfo(np.int32).max)
_ANY_LENGTH = "Where there is no tract any length will do: pass `weights`, which are 0 there."


def lags(
    lengths: Lengths,
    speed: Scalar,
    dt: Scalar,
    weights: Num[ArrayLike, "target source"] | Num[ArrayLike, " edge"] | None = None,
) -> Int[Array, "target source"] | Int[Array, " edge"] | Int[Array, ""]:
    r"""Convert tract lengths to lags: `round(length / speed / dt)` steps, halves to even.

    Where the values are known, the division is done in float64, as in the field's reference
    simulator; under `jit` it is done in the dtype of `lengths`.

    Args:
        lengths: tract lengths: `(target, source)`, `(edge,)` for the stored edges of a sparse
            connection, or one for all edges. [mm]
        speed: conduction speed. [mm/ms]
        dt: time step. [ms]
        weights: if given, edges of weight 0 get the smallest lag of the other edges, whatever their
            length is, NaN and -1 too. They carry nothing, and a lag of 0 on them would only make the
            network slower to compute. [any unit]

    Returns:
        The lags, in the shape of `lengths`. [steps]

    Raises:
        ValueError: if the length of an edge is negative or not finite (with `weights`: of an edge
            whose weight is not 0), or speed or dt not positive.
        TypeError: if a gradient is asked for: a rounded lag has none. Interpolated reads have one
            (`Network(interpolate="linear")`).

    Warns:
        UserWarning: if a tract is so short that its lag is rounded to 0.

    Example:
        >>> cf.lags(jnp.array([[0.0, 100.0], [33.0, 0.0]]), speed=10.0, dt=0.1).tolist()
        [[0, 100], [33, 0]]

        A file that has no length where there is no tract, and says so by -1:

        >>> lengths, weights = jnp.array([[-1.0, 100.0], [33.0, -1.0]]), jnp.array([[0.0, 2], [1, 0]])
        >>> cf.lags(lengths, speed=10.0, dt=0.1, weights=weights).tolist()
        [[33, 100], [33, 33]]
    """
    require_shape("speed", speed, (), meaning="It is one number.")
    lengths, weights = _checked_lengths(lengths, speed, dt, weights)
    if known(lengths, speed, dt):
        exact = np.asarray(lengths, np.float64)
        if weights is not None and known(weights):
            exact = np.where(np.asarray(weights) != 0, exact, 0)
        whole = np.rint(exact / float(speed) / float(dt))
        _require_countable(whole, speed)
        steps = constant(whole.astype(np.int32))
        lost = (exact > 0) & (whole == 0)
        _warn_of_lost_delays(exact, lost, speed, dt)
    else:
        steps = nearest_lags(fractional_lags(lengths, speed, dt))
    if weights is None:
        return steps
    if known(steps, weights):
        return constant(_without_absent(np.asarray(steps), np.asarray(weights) != 0, np))
    return _without_absent(steps, weights != 0, jnp)


class LagBounds(NamedTuple):
    """The smallest and the largest lag that each edge may have, in steps.

    Two numbers, which hold for all edges, or two arrays of whole numbers, `(target, source)` or
    `(edge,)`.
    """

    smallest: Any
    largest: Any


def lag_bounds(
    lengths: Lengths | Num[ArrayLike, "subject target source"],
    speed: Scalar | Num[ArrayLike, " speed"] | tuple[float, ...],
    dt: float,
    weights: Num[ArrayLike, "..."] | None = None,
) -> LagBounds:
    """Compute the smallest and the largest lag of each edge, in runs whose speed or lengths vary.

    A network built with `lag_bounds` accepts any lags between them without compiling again, and runs as
    fast as with fixed lags where they are not small: an edge goes step by step only if it may have a
    lag of less than 4 steps.

    Args:
        lengths: all tract lengths that a run may have, `(target, source)` or `(edge,)`; or those of
            several subjects, `(subject, target, source)`. [mm]
        speed: all conduction speeds that a run may have, or the two extremes. [mm/ms]
        dt: time step. [ms]
        weights: if given, edges of weight 0 do not count, whatever their length is, NaN and -1 too; in
            the shape of `lengths`, also where that has a subject axis. Leave them out for a network
            that is given `lags`: it holds all lags to their bounds, those of such edges, too. [any unit]

    Returns:
        A lower and an upper bound of every lag, before and after rounding, each in the shape of the
        lengths of one subject; (0, 0) if no edge counts. An edge that does not count has the largest
        lag of all. One of length 0 has no delay, and so its length has a gradient of 0. [steps]

    Raises:
        ValueError: if `lengths` or `speed` is empty, the length of an edge is negative or not finite
            (with `weights`: of an edge whose weight is not 0), speed or dt is not positive, or a lag is
            beyond 2^31 steps.
        TypeError: if an argument is traced.

    Example:
        >>> cf.lag_bounds(jnp.array([[10.0, 100.0]]), speed=(2.0, 10.0), dt=1.0).largest.tolist()
        [[6, 51]]
    """
    if not known(lengths, speed, dt, weights):
        raise TypeError(
            "`lengths`, `speed`, `dt` or `weights` is traced, and the bounds fix the program: call "
            "`lag_bounds` outside of `jit`, `vmap` and `grad`, with all lengths that a run may have."
        )
    checked, weights = _checked_lengths(lengths, speed, dt, weights)
    each, speeds = np.asarray(checked), np.asarray(speed)
    for name, x in (("lengths", each), ("speed", speeds)):
        if not x.size:
            raise ValueError(f"`{name}` is empty: there is nothing to bound.")
    if each.ndim > 3:
        raise ValueError(
            "`lengths` must have shape (target, source), (edge,) or (subject, target, source), not "
            f"{each.shape}."
        )
    there = np.ones(each.shape, bool) if weights is None else np.asarray(weights) != 0
    if not there.any():
        return LagBounds(0, 0)
    subjects = tuple(range(max(each.ndim - 2, 0)))
    shortest = np.where(there, each, np.inf).min(subjects)
    longest = np.where(there, each, -np.inf).max(subjects)
    there = there.any(subjects)
    smallest, largest = [], []
    for dtype in (np.float32, np.float64):  # because a run may compute its lags in either
        fast, slow, step = (np.asarray(x, dtype) for x in (speeds.max(), speeds.min(), dt))
        short, long = (np.where(there, x, 0).astype(dtype) for x in (shortest, longest))
        smallest.append(np.floor(short / fast / step))
        largest.append(np.where(long > 0, np.floor(long / slow / step) + 1, 0))
    _require_countable(np.max(largest, 0), speeds.min())
    low, high = np.min(smallest, 0).astype(np.int64), np.max(largest, 0).astype(np.int64)
    last = high[there].max()
    low = np.where(there, low, max(last - 1, low[there].min()))
    high = np.where(there, high, last)
    if not each.ndim:
        return LagBounds(int(low), int(high))
    return LagBounds(low.astype(np.int32), high.astype(np.int32))


def _without_absent(steps, present, xp):
    """Return the lags, with those of absent edges replaced by the smallest lag of the edges present."""
    largest = np.iinfo(np.int32).max
    smallest = xp.where(present, steps, largest).min(initial=largest)
    return xp.where(present, steps, xp.where(smallest == largest, 0, smallest)).astype(np.int32)


def fractional_lags(lengths: ArrayLike, speed: Scalar, dt: Scalar) -> Array:
    """Return the lags before rounding, which are differentiable in all three arguments."""
    return jnp.asarray(lengths) / speed / dt


def nearest_lags(lags: Array) -> Array:
    """Round lags to whole steps, halves to even; a gradient of the result is an error."""
    return _nearest(lags).astype(jnp.int32)


@jax.custom_jvp
def _nearest(lags: Array) -> Array:
    # A whole number cannot be NaN. As -1 it leaves all bounds; converted, it would be a lag of 0.
    return jnp.where(jnp.isnan(lags), -1, jnp.round(lags))


@_nearest.defjvp
def _(primals, tangents):
    raise TypeError(
        "A lag rounded to whole steps has no gradient with respect to lengths or speed. Read "
        'between steps instead: Network(interpolate="linear", lag_bounds=...), with lengths and '
        "speed in Params."
    )


def _checked_lengths(lengths, speed, dt, weights) -> tuple[Array | np.ndarray, Array | None]:
    """Return lengths and weights, once they are such that every edge with a weight has a lag."""
    require_positive("speed", speed, "mm/ms")
    require_positive_number("dt", dt, "ms")
    checked = as_float("lengths", lengths)
    if not isinstance(lengths, np.ndarray):  # a NumPy array keeps its float64 until it is rounded
        lengths = checked
    if weights is None:
        require_lengths(lengths, None, _ANY_LENGTH)
        return lengths, None
    weights = as_float("weights", weights)
    require_shape("weights", weights, np.shape(lengths), meaning="One for each of `lengths`.")
    hint = "Where the weight is 0 any length will do"
    hint += (
        "; here it is not 0."
        if known(weights)
        else ", but these weights are traced: not known yet."
    )
    require_lengths(lengths, nonzero(weights), hint)
    return lengths, weights


def _require_countable(lags: Any, speed: Any) -> None:
    """Refuse lags that int32 cannot hold, such as those of a speed in another unit."""
    largest = np.max(lags, initial=0)
    if largest > _MOST_STEPS:
        raise ValueError(f"`speed` of {speed} mm/ms makes lags of {largest:.3g} steps.")


def _warn_of_lost_delays(lengths, lost, speed, dt) -> None:
    if lost.any():
        warnings.warn(
            f"{lost.sum()} tracts are so short that their lag is rounded to 0: the delay of the "
            f"longest is {lengths[lost].max() / float(speed):.3g} ms, less than half of dt = {dt} ms.",
            stacklevel=3,
        )


def checked_lags(lags: Any) -> Array | None:
    """Return `lags` as int32; refuse what is not whole, is negative, or has an impossible shape."""
    if lags is None:
        return None
    require_real("lags", lags)
    lags = constant(lags)
    if not lags.size:
        raise ValueError(f"`lags` is empty, with shape {lags.shape}; for no delay, pass None.")
    if not jnp.issubdtype(lags.dtype, jnp.integer):
        raise TypeError(f"`lags` must be whole numbers of steps, not {lags.dtype}: use lags().")
    if lags.ndim > 2:
        raise ValueError(
            f"`lags` must be one number, or have shape (target, source) or (edge,); got {lags.shape}."
        )
    require_nonnegative("lags", lags)
    return constant(np.asarray(lags, np.int32)) if known(lags) else lags.astype(jnp.int32)


def checked_bounds(
    lags: Array | None, bounds: Any
) -> tuple[tuple[int, int], tuple[np.ndarray, np.ndarray] | None]:
    """Return the smallest and largest lag of all edges, and of each, where `bounds` says that.

    They are those of the known `lags` if `bounds` is None.
    """
    if bounds is None:
        if lags is None:
            return (0, 0), None
        if not known(lags):
            raise ValueError(
                "These `lags` are traced, so their values are not known yet, and the network must know "
                "how far back they reach: pass `lag_bounds=(smallest, largest)`. Inside `jit`, all that "
                "`jax.numpy` returns is traced, constants too: make known lags of NumPy arrays there."
            )
        values = np.asarray(lags)  # `np.min` of an array of JAX would be traced inside `jit`
        return (int(values.min()), int(values.max())), None
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    if not pair or not all(known(b) and _is_whole(b) for b in bounds):
        raise TypeError(
            "`lag_bounds` must be whole numbers (smallest, largest), or an array of them for each, not "
            f"{_shown(bounds)}: use lag_bounds(lengths, speed, dt)."
        )
    smallest, largest = (np.asarray(b) for b in bounds)
    if smallest.shape != largest.shape or smallest.ndim > 2 or not smallest.size:
        raise ValueError(
            "`lag_bounds` must be two numbers, or two arrays (target, source) or (edge,); they have the "
            f"shapes {smallest.shape} and {largest.shape}."
        )
    if not ((smallest >= 0) & (smallest <= largest)).all():
        at = np.argwhere((smallest < 0) | (smallest > largest))[0]
        shown = f"({smallest[tuple(at)]}, {largest[tuple(at)]}){_at(at)}"
        raise ValueError(f"`lag_bounds` must be 0 ≤ smallest ≤ largest, not {shown}.")
    if largest.max() > _MOST_STEPS:
        raise ValueError(f"`lag_bounds` must be at most {_MOST_STEPS} steps, not {largest.max()}.")
    if lags is not None and smallest.ndim and lags.shape != smallest.shape:
        raise ValueError(
            f"`lag_bounds` has one pair per edge, {smallest.shape}, and `lags` have the shape "
            f"{lags.shape}; they must be alike."
        )
    span = int(smallest.min()), int(largest.max())
    return span, ((smallest.astype(np.int32), largest.astype(np.int32)) if smallest.ndim else None)


def _at(index: np.ndarray) -> str:
    """Return where an edge is, in words; nothing for the one value that holds for all."""
    place = index.tolist()
    return f" at {tuple(place) if len(place) > 1 else place[0]}" if place else ""


def _shown(bounds: Any) -> str:
    """Return what was given as bounds: a few numbers as they are, arrays by shape and dtype."""
    if isinstance(bounds, tuple | list) and len(bounds) <= 3:
        return f"({', '.join(map(_shown, bounds))})"
    if isinstance(bounds, Array | np.ndarray) and bounds.ndim:
        return f"an array of {bounds.dtype} of shape {bounds.shape}"
    return in_short(bounds)


def _is_whole(x: Any) -> bool:
    return isinstance(x, int | np.integer) or (
        hasattr(x, "dtype") and np.issubdtype(x.dtype, np.integer)
    )


def within_bounds(
    lags: Array, smallest: int, largest: int, each: tuple[Any, Any] | None = None
) -> Array:
    """Return `lags`; raise an error, at run time if they are traced, where they leave the bounds.

    `smallest` and `largest` are those of all edges, and `each` has those of each edge. Nothing is
    clamped. Fractional lags may leave the bounds by the rounding of `lengths / speed / dt`.
    """
    values = (
        np.asarray(lags) if known(lags) else lags
    )  # known lags are checked now, also under `jit`
    whole = jnp.issubdtype(lags.dtype, jnp.integer)
    slack = 0 if whole else min(4 * float(jnp.finfo(lags.dtype).eps) * largest, 0.01)
    low, high = smallest, largest
    if each is not None and jnp.ndim(each[0]):
        arrays = (np.asarray(x) if known(x) else x for x in each)
        low, high = (x.astype(lags.dtype) for x in arrays)
    outside = ~((values >= low - slack) & (values <= high + slack))  # NaN is outside, too.
    by_edge = jnp.ndim(low) > 0
    bounds = f"bounds of {smallest} to {largest} steps{', or those of its own edge' * by_edge}"
    message = (
        f"A lag leaves the network's {bounds}: a speed, a length or dt lies outside the ranges "
        "that `lag_bounds` was given"
    )
    message += ", or its `weights` were 0 on an edge that has one." * by_edge or "."
    if known(outside):
        if outside.any():
            raise ValueError(f"{message} {_first_outside(values, low, high, outside)}")
        return lags
    return error_if(lags, outside.any(), message)


def _first_outside(lags: Any, low: Any, high: Any, outside: Any) -> str:
    """Say what leaves which bounds: of bounds for each edge, where that is."""
    lags = np.asarray(lax.stop_gradient(lags))
    if not np.ndim(low):
        return f"These lags span {lags.min()} to {lags.max()} steps."
    at = np.argwhere(np.broadcast_to(outside, np.shape(low)))[0]
    lag, first, last = (np.broadcast_to(x, np.shape(low))[tuple(at)] for x in (lags, low, high))
    return f"The lag{_at(at)} is {lag:.6g} steps, and its bounds are {first:.6g} and {last:.6g}."
