"""Many subjects at once: stacked, fitted alone, together or in between, and measured twice."""

from ._fit import fit as fit
from ._fit_loss import fit_loss as fit_loss
from ._reliability import icc as icc
from ._reliability import reliability as reliability
from ._result import CohortFit as CohortFit
from ._stack import Cohort as Cohort
from ._stack import stack as stack

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
