"""Stimuli: external input as a function of time."""

from ._pulses import PulseTrain as PulseTrain
from ._pulses import Step as Step
from ._signals import Constant as Constant
from ._signals import Ramp as Ramp
from ._signals import Sampled as Sampled
from ._signals import Sine as Sine
from ._stimulus import Stimulus as Stimulus
from ._stimulus import Sum as Sum
from ._time import Time as Time

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
