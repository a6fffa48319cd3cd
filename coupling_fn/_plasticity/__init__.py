"""Parameters that a rule changes from stretch to stretch of a run."""

from ._adapt import Adapted as Adapted
from ._adapt import adapt as adapt
