"""Plots of connectomes, brains, signals, sweeps, fits and cohorts, by matplotlib."""

from ._brain import brain_connectome as brain_connectome
from ._brain import brain_map as brain_map
from ._cohort import cohort as cohort
from ._evoked import evoked as evoked
from ._heat_map import heat_map as heat_map
from ._matrices import connectome as connectome
from ._matrices import fc as fc
from ._matrices import fcd as fcd
from ._matrices import fcd_histogram as fcd_histogram
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
