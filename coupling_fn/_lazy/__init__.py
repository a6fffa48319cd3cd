"""What is loaded when it is first used: the names of packages, and JAX's sparse matrices."""

from ._names import load_later as load_later
from ._sparse import BCOO as BCOO
from ._sparse import BCSR as BCSR
from ._sparse import JAXSparse as JAXSparse
