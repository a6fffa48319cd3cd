"""The cortical surface: a mesh of vertices with local coupling, regions, and sensors around it."""

from ._cortex import Cortex as Cortex
from ._cortex import load_cortex as load_cortex

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
