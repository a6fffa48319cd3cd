"""What a node is: a function that knows the names and units of its states and inputs."""

from ._angles import TURN as TURN
from ._angles import wrapped as wrapped
from ._chained import Chain as Chain
from ._chained import ChainedNode as ChainedNode
from ._chained import ChainedParams as ChainedParams
from ._chained import Filter as Filter
from ._hybrid import HybridNode as HybridNode
from ._hybrid import Joined as Joined
from ._hybrid import Within as Within
from ._hybrid import apart as apart
from ._hybrid import driven_by as driven_by
from ._hybrid import in_order as in_order
from ._hybrid import parts_of as parts_of
from ._hybrid import receivers as receivers
from ._hybrid import require_parts as require_parts
from ._hybrid import targets_of as targets_of
from ._node import Node as Node
from ._node import node as node
