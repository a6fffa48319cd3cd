"""States and inputs by name, in the container that a user keeps them in."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax.numpy as jnp
from jax import Array

from ._types import PyTree

Signal = str | Callable[[Any], Array]


def read(x: PyTree, signal: Signal) -> Array:
    """A state variable, or a function of the state."""
    return get(x, signal) if isinstance(signal, str) else signal(x)


def get(container: Any, name: str) -> Any:
    """An entry of a dict, or a field."""
    return container[name] if isinstance(container, Mapping) else getattr(container, name)


def names_of(container: Any) -> tuple[str, ...]:
    """The names that a dict, NamedTuple or dataclass holds."""
    if isinstance(container, Mapping):
        return tuple(container)
    fields = getattr(container, "_fields", None) or getattr(container, "__dataclass_fields__", None)
    if fields is None:
        raise TypeError(
            f"`x0` must name its states: a NamedTuple or a dict, not {type(container).__name__}."
        )
    return tuple(fields)


def refill(x: PyTree, values: Mapping[str, Any]) -> PyTree:
    """The container of `x` with other values."""
    return type(x)(**values)


@cache
def _inputs_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Inputs", names)


def container(x: PyTree, names: tuple[str, ...], driven: dict[str, Any], like: Array) -> Any:
    """Inputs in the container that the state is in; those that nothing drives are 0."""
    values = {name: jnp.broadcast_to(driven.get(name, 0.0), like.shape) for name in names}
    values = {name: value.astype(like.dtype) for name, value in values.items()}
    return values if isinstance(x, Mapping) else _inputs_type(names)(**values)
