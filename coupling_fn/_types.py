"""Shapes and scalars that recur in signatures, and the field of a parameter."""

from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike
from jaxtyping import Num

from ._check import as_float

# Whatever turns into an array is welcome: jax and NumPy arrays, and numbers.
Scalar: TypeAlias = Num[ArrayLike, ""]
PerTarget: TypeAlias = Num[ArrayLike, " target"]

# `weights[i, j]` is from source j onto target i.
Weights: TypeAlias = Num[ArrayLike, "target source"] | BCOO

PyTree: TypeAlias = Any
Where: TypeAlias = Callable[[PyTree], Any]


def parameter(default: Any = ...) -> Any:
    """A field of a parameter pytree that may be fitted or swept: always an array, never static.

    A Python float would be static under `eqx.filter_jit`, and every new value compile again.
    """
    converter = lambda x: as_float("parameter", x)  # noqa: E731
    if default is ...:
        return eqx.field(converter=converter)
    return eqx.field(default=default, converter=converter)
