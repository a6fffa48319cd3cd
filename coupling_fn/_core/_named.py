"""Read and rebuild states and inputs by name, in whatever container the user keeps them in.

Containers may hold containers, as the state of several subnetworks does: "cortex.E" is then the name of
the variable E in what "cortex" names.
"""

import difflib
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from ._check import calling
from ._types import PyTree

Signal = str | Callable[[Any], Array]


def read(x: PyTree, signal: Signal | None) -> Any:
    """Return the state variable that `signal` names, or, if it is a function, `signal(x)`."""
    if signal is None:  # the own state of targets that have none of this kind
        return None
    return get(x, signal) if isinstance(signal, str) else signal(x)


def get(container: Any, name: str) -> Any:
    """Return an entry of a dict, or a field of a NamedTuple or dataclass; "a.b" is b of its a."""
    if "." in name and name not in entries(container):
        part, _, rest = name.partition(".")
        return get(get(container, part), rest)
    return container[name] if isinstance(container, Mapping) else getattr(container, name)


def entries(container: Any) -> tuple[str, ...]:
    """Return the names of what a container holds itself, be it numbers or containers."""
    return tuple(container) if isinstance(container, Mapping) else _fields_of(container)


def names_of(container: Any) -> tuple[str, ...]:
    """Return the names that a dict, NamedTuple or dataclass holds, and "a.b" for those within its a."""
    names = entries(container)
    if not names and not isinstance(container, Mapping):
        raise TypeError(
            f"`x0` must name its states: a NamedTuple or a dict, not {type(container).__name__}."
        )
    held = {name: get(container, name) for name in names}
    return tuple(
        full
        for name, x in held.items()
        for full in ([f"{name}.{inner}" for inner in names_of(x)] if is_container(x) else [name])
    )


def is_container(x: Any) -> bool:
    """Return whether `x` is a dict or NamedTuple of states, rather than the numbers of one."""
    return isinstance(x, Mapping) or (isinstance(x, tuple) and hasattr(x, "_fields"))


def beside(x: PyTree, name: str) -> Array:
    """Return a state variable of those regions that have the state or the input of a name."""
    part = name.rpartition(".")[0]
    return jax.tree.leaves(get(x, part) if part and name not in entries(x) else x)[0]


def dotted(path: Any) -> str:
    """Write the path of a leaf, such as `coupling['ff'].conn`, as coupling.ff.conn."""
    parts = (jax.tree_util.keystr((key,)).strip(".[]'") for key in path)
    return ".".join(part for part in parts if part != "<flat index 0>")


def _fields_of(container: Any) -> tuple[str, ...]:
    """Return the names of the fields of a NamedTuple or dataclass; none of anything else."""
    fields = getattr(container, "_fields", None) or getattr(container, "__dataclass_fields__", None)
    return tuple(fields or ())


def refill(x: PyTree, values: Mapping[str, Any]) -> PyTree:
    """Return a container of the type of `x` with other values."""
    if any(is_container(get(x, name)) for name in entries(x)):
        parts = {name: get(x, name) for name in entries(x)}
        return type(x)(**{n: refill(part, within(values, n)) for n, part in parts.items()})
    return type(x)(**values)


def within(values: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the values of one part of a container, by their names there."""
    return {n[len(part) + 1 :]: value for n, value in values.items() if n.startswith(f"{part}.")}


def wider(x: Array, than: Array) -> bool:
    """Return whether `x` has floats of more bits, which the dtype of the other would truncate."""
    floats = jnp.issubdtype(x.dtype, jnp.floating) and not getattr(x, "weak_type", False)
    return floats and jnp.finfo(x.dtype).bits > jnp.finfo(than.dtype).bits


@cache
def _inputs_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Inputs", names)


def container(x: PyTree, names: Iterable[str], driven: Mapping[str, Any]) -> Any:
    """Return inputs in a container like that of the state `x`: a dict, or a NamedTuple.

    Inputs that are not in `driven` are 0; all get the shape of the states that they drive, and their
    dtype if that holds them.
    """
    names = tuple(names)
    if any(is_container(get(x, name)) for name in entries(x)):
        parts = {name: get(x, name) for name in entries(x)}
        each = {
            name: container(part, within(dict.fromkeys(names), name), within(driven, name))
            for name, part in parts.items()
        }
        return each if isinstance(x, Mapping) else _inputs_type(tuple(each))(**each)
    like = jax.tree.leaves(x)[0]
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
