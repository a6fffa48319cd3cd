"""The catalog of all node models, collected from the modules of this room."""

from . import (
    _chaotic,
    _epileptor,
    _hopf,
    _jansen_rit,
    _linear,
    _phase,
    _quadratic,
    _relaxation,
    _wilson_cowan,
    _wong_wang,
)
from ._node import Node

MODULES = (
    _linear,
    _phase,
    _hopf,
    _relaxation,
    _wilson_cowan,
    _jansen_rit,
    _wong_wang,
    _quadratic,
    _epileptor,
    _chaotic,
)


def catalog() -> dict[str, Node]:
    """Return all node models of the library by name.

    Returns:
        A dict from the name of each node to the node. A node knows its `states`, `inputs`, `coupled`
        pairs and `ranges`, and the classes of its state and parameters, `State` and `Params`
        (`cf.nodes.Node` lists all attributes). Its docstring has its equation, units and source.

    Example:
        >>> cf.nodes.catalog()["jansen_rit"].states
        ('y0', 'y1', 'y2', 'y3', 'y4', 'y5')
        >>> [name for name, node in cf.nodes.catalog().items() if "E" in node.inputs]
        ['wilson_cowan']
        >>> cf.nodes.catalog()["kuramoto"].Params().omega.shape
        ()
    """
    members = (x for module in MODULES for x in vars(module).values())
    return {node.__name__: node for node in members if isinstance(node, Node)}
