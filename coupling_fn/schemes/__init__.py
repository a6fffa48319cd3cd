"""How a network steps through time: schemes as values, by name or your own."""

from ._exponential import ExponentialEuler as ExponentialEuler
from ._runge_kutta import RK4 as RK4
from ._runge_kutta import Euler as Euler
from ._runge_kutta import Heun as Heun
from ._runge_kutta import RungeKutta as RungeKutta
from ._scheme import Scheme as Scheme
from ._scheme import with_slopes as with_slopes

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
