"""Types that recur in signatures, and the field type of parameters."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Num

from ._check import as_float, require_no_nan

if TYPE_CHECKING:  # A static checker knows neither shapes nor what a field's converter returns.
    Scalar: TypeAlias = Any
    PerTarget: TypeAlias = Any
    Strength: TypeAlias = Any
else:
    # Whatever can become an array is accepted: JAX and NumPy arrays, and numbers.
    Scalar: TypeAlias = Num[ArrayLike, ""]
    PerTarget: TypeAlias = Num[ArrayLike, " target"]
    Strength: TypeAlias = Scalar | PerTarget

PyTree: TypeAlias = Any
Where: TypeAlias = Callable[[PyTree], Any]

PARAMETER = "parameter"  # what marks a field of numbers, in its metadata


def parameter(
    name: str, default: float, unit: str | None = None, *, shapes: tuple[str, ...] | None = None
) -> Any:
    """Declare a field of a parameter pytree that may be fitted or swept: always an array, never static.

    A Python float would be static under `eqx.filter_jit`, and each new value would compile again.

    Args:
        name: the name of the field, for errors.
        default: its default value.
        unit: its unit; None if that depends on the states that a network connects.
        shapes: the shapes that a coupling rule allows, in words: "" is a scalar, "target" one value
            per target.
    """

    def convert(x: Any) -> Any:
        x = as_float(name, x)
        require_no_nan(name, x)  # Infinity is allowed: a time constant may be infinite.
        return x

    said = {"unit": unit, "shapes": shapes, PARAMETER: True}
    metadata = {key: value for key, value in said.items() if value is not None}
    return eqx.field(default=default, converter=convert, metadata=metadata)
