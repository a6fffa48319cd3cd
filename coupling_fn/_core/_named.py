"""Read and rebuild states and inputs by name, in whatever container the user keeps them in."""

import difflib
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from ._check import calling
from ._types import PyTree

Signal = str | Callable[[Any], Array]


def read(x: PyTree, signal: Signal) -> Array:
    """Return the state variable that `signal` names, or, if it is a function, `signal(x)`."""
    return get(x, signal) if isinstance(signal, str) else signal(x)


def get(container: Any, name: str) -> Any:
    """Return an entry of a dict, or a field of a NamedTuple or dataclass."""
    return container[name] if isinstance(container, Mapping) else getattr(container, name)


def names_of(container: Any) -> tuple[str, ...]:
    """Return the names that a dict, NamedTuple or dataclass holds."""
    if isinstance(container, Mapping):
        return tuple(container)
    fields = _fields_of(container)
    if not fields:
        raise TypeError(
            f"`x0` must name its states: a NamedTuple or a dict, not {type(container).__name__}."
        )
    return fields


def _fields_of(container: Any) -> tuple[str, ...]:
    """Return the names of the fields of a NamedTuple or dataclass; none of anything else."""
    fields = getattr(container, "_fields", None) or getattr(container, "__dataclass_fields__", None)
    return tuple(fields or ())


def refill(x: PyTree, values: Mapping[str, Any]) -> PyTree:
    """Return a container of the type of `x` with other values."""
    return type(x)(**values)


def wider(x: Array, than: Array) -> bool:
    """Return whether `x` has floats of more bits, which the dtype of the other would truncate."""
    floats = jnp.issubdtype(x.dtype, jnp.floating) and not getattr(x, "weak_type", False)
    return floats and jnp.finfo(x.dtype).bits > jnp.finfo(than.dtype).bits


@cache
def _inputs_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Inputs", names)


def container(x: PyTree, names: tuple[str, ...], driven: dict[str, Any], like: Array) -> Any:
    """Return inputs in a container like that of the state `x`: a dict, or a NamedTuple.

    Inputs that are not in `driven` are 0; all get the shape of `like`, and its dtype if that holds them.
    """
    values = {name: jnp.broadcast_to(driven.get(name, 0.0), like.shape) for name in names}
    values = {
        name: value if wider(value, like) else value.astype(like.dtype)
        for name, value in values.items()
    }
    return values if isinstance(x, Mapping) else _inputs_type(names)(**values)


@contextmanager
def asking(what: str, given: Mapping[str, Any], hint: str = "") -> Iterator[None]:
    """Call a function of the user's that asks `given` for names: errors are told in its words.

    Args:
        what: what the function is called in errors.
        given: what it is given, by what that is called, such as "its inputs".
        hint: as in `calling`.
    """
    try:
        with calling(what, hint):
            yield
    except AttributeError as error:
        for said, holder in given.items():
            if error.name is not None and error.obj is holder:
                kind, name = type(holder).__name__, str(error.name)
                raise TypeError(
                    f"{what} asks for {name!r}, which {said}, of type {kind}, does not have. "
                    f"{_offered(said, holder, name)}"
                ) from error
        raise
    except KeyError as error:
        (name,) = error.args or (None,)
        dicts = [x for x in given.values() if isinstance(x, Mapping) and name not in x]
        if not (isinstance(name, str) and dicts):
            raise
        have = " ".join(_offered(said, x, name) for said, x in given.items())
        raise TypeError(f"{what} asks for {name!r}, which it is not given. {have}") from error
    except TypeError as error:
        for said, holder in given.items():
            if holder is None and "NoneType" in str(error):
                raise TypeError(f"{what} asks for a part of {said}, which is None.") from error
            if hasattr(holder, "_fields") and "indices must be integers" in str(error):
                kind, name = type(holder).__name__, _fields_of(holder)[0]
                raise TypeError(
                    f"{what} asks for a name in brackets, but {said} is a {kind}: write `.{name}`."
                ) from error
        raise


class Told(eqx.Module):
    """A function of the user's, whose errors are told in words.

    Attributes:
        fn: the function.
        what: what it is called in errors.
        given: what its first argument is called.
        hint: with what it is called, as a sentence.
    """

    fn: Callable[..., Any]
    what: str = eqx.field(static=True)
    given: str = eqx.field(static=True)
    hint: str = eqx.field(static=True)

    def __call__(self, first: Any, *rest: Any) -> Any:
        """Call the function."""
        with asking(self.what, {self.given: first}, self.hint):
            return self.fn(first, *rest)


def _offered(said: str, holder: Any, name: str) -> str:
    """Return the names that something holds, as a sentence, and the one that may be meant."""
    if isinstance(holder, Mapping) and name in holder:
        return "It is a dict, which is read by names in brackets, not after a dot."
    names = list(map(str, holder)) if isinstance(holder, Mapping) else list(_fields_of(holder))
    close = difflib.get_close_matches(name, names, 1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"Names in {said}: {', '.join(names) or 'none'}.{meant}"
