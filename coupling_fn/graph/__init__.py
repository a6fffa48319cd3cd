"""Graph measures of connectomes and of functional connectivity."""

from ._measures import clustering as clustering
from ._measures import degree as degree
from ._measures import isolated_nodes as isolated_nodes
from ._measures import modularity as modularity
from ._measures import strength as strength

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
