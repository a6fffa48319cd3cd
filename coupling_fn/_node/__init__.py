"""What a node is: a function that knows the names and units of its states and inputs."""

from ._angles import TURN as TURN
from ._angles import wrapped as wrapped
from ._node import Node as Node
from ._node import node as node
