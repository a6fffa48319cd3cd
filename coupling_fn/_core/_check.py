"""Checks of arguments, with errors that name the argument, what it got and what it wants.

Shapes and dtypes are always checked, since they are known while JAX traces and cost nothing in a
compiled run. Values are checked only where they are known: inside `jit` they are not, and the check
does nothing.
"""

import difflib
import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

Function = TypeVar("Function", bound=Callable[..., Any])


def known(*xs: Any) -> bool:
    """Return whether all of these have values that can be looked at: none is a tracer."""
    return not any(isinstance(x, Tracer) for x in jax.tree.leaves(xs))


def traced(*xs: Any) -> bool:
    """Return whether one of these is a tracer, or this is called while JAX traces (as inside `jit`)."""
    return not known(xs, jnp.zeros(()))


def constant(x: Any) -> Array:
    """Convert `x` to an array whose values stay known, even where this is called inside `jit`."""
    if not known(x):
        return jnp.asarray(x)
    with jax.ensure_compile_time_eval():
        return jnp.asarray(x)


def keeps_known(fn: Function) -> Function:
    """Decorate `fn` so that what it makes of known numbers stays known, even inside `jit`.

    There every operation of JAX returns a tracer, also one on constants. What fixes a program, such as
    the edges of a connectome or the lags of a network, could then not be told any more.
    """

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not known(args, kwargs):
            return fn(*args, **kwargs)
        with jax.ensure_compile_time_eval():
            return fn(*args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


@keeps_known
def nonzero(x: Any) -> Any:
    """Mark what is not 0, such as the edges that have a weight; of known numbers it stays known."""
    return x != 0


def is_key(x: Any) -> bool:
    """Return whether an array holds random keys."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def as_float(name: str, x: Any) -> Array:
    """Convert `x` to an array of floats: floats keep their dtype, integers and booleans change."""
    if x is None:
        raise TypeError(f"`{name}` must be an array of numbers, not NoneType.")
    if isinstance(x, Array) and is_key(x):
        raise TypeError(f"`{name}` must be an array of numbers, not a random key.")
    if isinstance(x, int):
        x = float(x)  # A Python number stays weakly typed: it adopts the dtype it is combined with.
    try:
        x = constant(x)
    except (TypeError, ValueError) as error:
        what = f"`{name}` must be an array of numbers, not {type(x).__name__}. {_held(name, x)}"
        raise TypeError(what.rstrip()) from error
    _refuse_complex(name, x.dtype)
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    return constant(np.asarray(x, float)) if known(x) else x.astype(float)


def require_real(name: str, x: Any) -> None:
    """Refuse what is not an array of real numbers, such as words, None or complex numbers."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        try:
            dtype = np.asarray(x).dtype
        except ValueError:  # NumPy refuses rows of unequal length.
            dtype = np.dtype(object)
    _refuse_complex(name, dtype)
    if not (jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, np.bool_)):
        what = (
            f"`{name}` must hold numbers, not {type(x).__name__} of dtype {dtype}. {_held(name, x)}"
        )
        raise TypeError(what.rstrip())


def _held(name: str, x: Any) -> str:
    """Return what to pass instead of a `Connectome`, or of another object that holds the array meant."""
    held = "lengths" if name == "lengths" else "weights"
    return f"Pass the array that it holds, `.{held}`." if hasattr(x, held) else ""


def _refuse_complex(name: str, dtype: Any) -> None:
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(
            f"`{name}` must be real; it is {dtype}. Pass its real part or its magnitude."
        )


def require_finite(name: str, x: Any, hint: str = "") -> None:
    """Refuse NaN and infinity; the error says where the first one is, and ends in `hint`."""
    require_real(name, x)
    if known(x):
        _refuse_where(~np.isfinite(x), name, x, f"finite; {{}}. {hint}")


def require_no_nan(name: str, x: Any) -> None:
    """Refuse NaN; the error says where the first one is."""
    if known(x):
        _refuse_where(np.isnan(x), name, x, "a number; {}.")


def require_nonnegative(name: str, x: Any, hint: str = "") -> None:
    """Refuse values below zero; the error says where the first one is, and ends in `hint`."""
    require_real(name, x)
    if known(x):
        _refuse_where(np.asarray(x) < 0, name, x, f"≥ 0; {{}}. {hint}")


def require_lengths(lengths: Any, present: Any = None, hint: str = "") -> None:
    """Refuse tract lengths that are negative or not finite; those of edges not `present` do not matter.

    Args:
        lengths: the lengths. [mm]
        present: in the shape of `lengths`, whether an edge has a weight; None if that is not known.
        hint: the end of the error about a length that is not finite.
    """
    require_real("lengths", lengths)
    if present is not None and known(lengths, present):
        lengths = np.where(np.asarray(present), np.asarray(lengths), 0)
    require_finite("lengths", lengths, hint)
    require_nonnegative("lengths", lengths, f"Lengths are in mm. {hint}")


def _refuse_where(wrong: Any, name: str, x: Any, wanted: str) -> None:
    """Raise where any of `wrong` is True; `wanted` has a {} for where that is, and the value there."""
    if wrong.any():
        where = np.argwhere(wrong)[0].tolist()
        place = f"at {tuple(where) if len(where) > 1 else where[0]} it is" if where else "it is"
        got = f"{place} {np.asarray(x)[tuple(where)]}"
        raise ValueError(f"`{name}` must be {wanted.format(got)}".rstrip())


def require_positive(name: str, x: Any, unit: str = "") -> None:
    """Refuse numbers that are zero, negative, infinite or NaN."""
    require_real(name, x)
    if known(x) and not (np.isfinite(x) & (np.asarray(x) > 0)).all():
        raise ValueError(f"`{name}` must be positive and finite{unit and f' [{unit}]'}, not {x}.")


def require_positive_number(name: str, x: Any, unit: str = "") -> None:
    """Refuse what is not a single finite number above zero."""
    require_shape(name, x, (), meaning="Give a single number.")
    require_positive(name, x, unit)


def require_square(name: str, x: Any) -> None:
    """Refuse everything but an (n, n) matrix."""
    if np.ndim(x) != 2 or np.shape(x)[0] != np.shape(x)[1]:
        raise ValueError(
            f"`{name}` must be square, (regions, regions); its shape is {np.shape(x)}."
        )


def require_shape(name: str, x: Any, *shapes: tuple[int, ...], meaning: str = "") -> None:
    """Refuse every shape but those given, so that nothing is broadcast silently."""
    if np.shape(x) not in shapes:
        wanted = " or ".join(str(s) for s in shapes)
        raise ValueError(
            f"`{name}` must have shape {wanted}, not {np.shape(x)}. {meaning}".rstrip()
        )


def require_one_or_each(name: str, x: Any, regions: int) -> None:
    """Refuse what is neither a single number for all regions nor one number per region."""
    meaning = "Give one value for all regions, or one per region."
    require_shape(name, x, (), (regions,), meaning=meaning)


def require_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Refuse a value that is not one of `choices`; the error lists them."""
    choices = list(choices)
    if not any(value is c or (type(value) is type(c) and value == c) for c in choices):
        listed = ", ".join(repr(c) for c in choices)
        raise ValueError(f"`{name}` must be one of {listed}, not {value!r}.")


def require_names(what: str, names: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse a name that is not among `allowed`; the error lists those and suggests the nearest."""
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            close = difflib.get_close_matches(str(name), allowed, 1)
            offer = f" Did you mean {close[0]!r}?" if close else ""
            listed = f"there are: {', '.join(allowed)}" if allowed else "there are none"
            raise ValueError(f"There is no {what} {name!r}; {listed}.{offer}")


def require_callable(name: str, x: Any, example: str) -> None:
    """Refuse what is no function; the error shows an `example` of a call."""
    if not callable(x) or isinstance(x, type):
        raise TypeError(f"`{name}` must be a function, not {in_short(x)}: {example}.")


def require_key(key: Any) -> None:
    """Refuse what is not one random key."""
    is_array = isinstance(key, Array | np.ndarray)
    if not (is_array and (is_key(key) or jnp.shape(key)[-1:] == (2,))):
        raise TypeError(f"`key` must be a key from jax.random.key(seed), not {key!r}.")
    keys = key.shape if is_key(key) else key.shape[:-1]
    if keys:
        raise TypeError(f"`key` must be one key, not {keys} of them: use `jax.vmap` over keys.")


def in_short(x: Any) -> str:
    """Return what something is, for an error: the class that it is, or a value of which class."""
    if isinstance(x, type):
        return f"the class {x.__name__} itself"
    if isinstance(x, Array | np.ndarray):
        return f"an array of shape {x.shape}"
    return repr(x) if isinstance(x, str | int | float | None) else f"a {type(x).__name__}"


def as_count(name: str, n: Any) -> int:
    """Convert `n` to an int, 0 or more; floats are refused, even whole ones."""
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"`{name}` must be a whole number, not {n!r}.") from None
    if count < 0 or isinstance(n, bool):
        raise ValueError(f"`{name}` must be a whole number ≥ 0, not {n}.")
    return count


def as_steps(name: str, time: Any, dt: Any, *, nearest: bool = False, hint: str = "") -> int:
    """Return how many steps of `dt` a time is long: a whole number, one or more. Both are in ms.

    A time that is no multiple of `dt` is refused, in words that end in `hint`; or, where `nearest` is
    True, the nearest number of steps is returned, halves to even.
    """
    for what, x in (("dt", dt), (name, time)):
        if not known(x) or np.ndim(x):
            raise TypeError(
                f"`{what}` must be a single number with a known value, since it fixes the number of "
                f"steps; got {x}."
            )
        require_positive(what, x, "ms")
    exact = float(time) / float(dt)
    steps = max(round(exact), 1)
    if not nearest and abs(exact - steps) > 1e-6 * steps:
        message = (
            f"`{name}` must be a multiple of dt, {dt} ms; {time} is not one. The nearest is "
            f"{steps * float(dt):.10g}. {hint}"
        )
        raise ValueError(message.rstrip())
    return steps


@contextmanager
def calling(what: str, hint: str = "") -> Iterator[None]:
    """Call a function of the user's, named by `what`: errors of JAX about it are told in its words.

    `hint` is added as a note to errors about shapes and types: it says with what the function is called.
    """
    try:
        yield
    except jax.errors.TracerArrayConversionError as error:
        raise TypeError(
            f"{what} hands an array that JAX traces to NumPy, which cannot compute with it. Write "
            "`jnp.tanh` for `np.tanh`, and so on, with `import jax.numpy as jnp`."
        ) from error
    except jax.errors.TracerBoolConversionError as error:
        raise TypeError(
            f"{what} asks in Python (`if`, `and`, `while`, `max`) whether an array that JAX traces is "
            "true, which is not known yet. Write `jnp.where(condition, this, that)`, `jnp.maximum`, "
            "and so on."
        ) from error
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerIntegerConversionError,
    ) as error:
        raise TypeError(
            f"{what} makes a Python number (`float`, `int`, `range`) of an array that JAX traces, whose "
            "value is not known yet. Leave it an array."
        ) from error
    except (TypeError, ValueError) as error:
        if hint and hint not in getattr(error, "__notes__", ()):
            error.add_note(hint)
        raise
