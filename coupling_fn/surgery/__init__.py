"""Surgery on connectomes: pure functions from weights to weights."""

from ._lesions import isolate as isolate
from ._lesions import lesion as lesion
from ._lesions import weaken as weaken
from ._new_edge import add_edge as add_edge
from ._weights import symmetrize as symmetrize
from ._weights import threshold as threshold
from ._weights import without_self_connections as without_self_connections

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
