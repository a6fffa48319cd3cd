"""Noise: what chance adds to the states and to the external input of a run."""

from ._coloured import Coloured as Coloured
from ._coloured import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from ._coloured import Pink as Pink
from ._factor import correlation_factor as correlation_factor
from ._white import Additive as Additive
from ._white import Multiplicative as Multiplicative
from ._white import White as White

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
