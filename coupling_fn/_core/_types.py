"""Shapes and scalars that recur in signatures, and the field of a parameter."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Num

from ._check import as_float, require_no_nan

if TYPE_CHECKING:  # a static checker knows neither shapes nor what a converter made of a field
    Scalar: TypeAlias = Any
    PerTarget: TypeAlias = Any
    Strength: TypeAlias = Any
else:
    # Whatever turns into an array is welcome: jax and NumPy arrays, and numbers.
    Scalar: TypeAlias = Num[ArrayLike, ""]
    PerTarget: TypeAlias = Num[ArrayLike, " target"]
    Strength: TypeAlias = Scalar | PerTarget

PyTree: TypeAlias = Any
Where: TypeAlias = Callable[[PyTree], Any]


def parameter(
    name: str, default: float, unit: str | None = None, *, shapes: tuple[str, ...] | None = None
) -> Any:
    """A field of a parameter pytree that may be fitted or swept: always an array, never static.

    A Python float would be static under `eqx.filter_jit`, and every new value compile again. The unit
    is None where it goes by the states that a network puts it between. `shapes` lists the shapes that a
    coupling rule allows, in words: "" is a scalar, "target" one value per target.
    """

    def convert(x: Any) -> Any:
        x = as_float(name, x)
        require_no_nan(name, x)  # an infinite time constant is one
        return x

    said = {"unit": unit, "shapes": shapes}
    metadata = {key: value for key, value in said.items() if value is not None}
    return eqx.field(default=default, converter=convert, metadata=metadata)
