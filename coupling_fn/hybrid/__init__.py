"""Hybrid networks: several subnetworks, each with its own node model, coupled into one network."""

from ._divide import Division as Division
from ._divide import divide as divide
from ._node import HybridNode as HybridNode
from ._node import node as node
from ._node import of as of

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
