"""Noise: what chance adds to the states and to the external input of a run."""

from ._noise import Additive as Additive
from ._noise import Coloured as Coloured
from ._noise import Multiplicative as Multiplicative
from ._noise import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from ._noise import Pink as Pink
from ._noise import White as White
from ._noise import correlation_factor as correlation_factor
