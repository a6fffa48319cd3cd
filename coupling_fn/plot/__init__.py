"""Plots of connectomes, signals, sweeps and fits, by matplotlib."""

from ._matrices import connectome as connectome
from ._matrices import fc as fc
from ._matrices import fcd as fcd
from ._searches import fit as fit
from ._searches import sweep as sweep
from ._signals import order_parameter as order_parameter
from ._signals import phase_portrait as phase_portrait
from ._signals import signals as signals
from ._signals import spectrum as spectrum

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
