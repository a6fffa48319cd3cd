"""Maps from unconstrained values to parameters in their range, for fitting."""

from ._arrays import low_rank as low_rank
from ._arrays import masked as masked
from ._arrays import regional as regional
from ._arrays import symmetric as symmetric
from ._transforms import Transform as Transform
from ._transforms import bounded as bounded
from ._transforms import identity as identity
from ._transforms import positive as positive

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
