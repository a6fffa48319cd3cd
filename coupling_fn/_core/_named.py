"""Read and rebuild states and inputs by name, in whatever container the user keeps them in."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax.numpy as jnp
from jax import Array

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
    fields = getattr(container, "_fields", None) or getattr(container, "__dataclass_fields__", None)
    if fields is None:
        raise TypeError(
            f"`x0` must name its states: a NamedTuple or a dict, not {type(container).__name__}."
        )
    return tuple(fields)


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
