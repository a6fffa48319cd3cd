"""Maps from unconstrained values to parameters in their range, for fitting."""

from ._transforms import Transform as Transform
from ._transforms import bounded as bounded
from ._transforms import identity as identity
from ._transforms import low_rank as low_rank
from ._transforms import masked as masked
from ._transforms import positive as positive
from ._transforms import regional as regional
from ._transforms import symmetric as symmetric
