"""Shapes and scalars that recur in signatures."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jax.experimental.sparse import BCOO
from jax.typing import ArrayLike
from jaxtyping import Num

# Whatever turns into an array is welcome: jax and NumPy arrays, and numbers.
Scalar: TypeAlias = Num[ArrayLike, ""]
PerTarget: TypeAlias = Num[ArrayLike, " target"]

# `weights[i, j]` is from source j onto target i.
Weights: TypeAlias = Num[ArrayLike, "target source"] | BCOO

PyTree: TypeAlias = Any
Where: TypeAlias = Callable[[PyTree], Any]
