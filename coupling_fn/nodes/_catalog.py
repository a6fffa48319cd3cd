"""The catalog of all node models, collected from this room and those whose nodes it hands out."""

from .. import _mean_fields, _neural_masses
from .._node import Node
from . import (
    _chaotic,
    _epileptor,
    _epileptor_codim3,
    _epileptor_resting,
    _hopf,
    _hopfield,
    _linear,
    _phase,
    _relaxation,
)

MODULES = (
    _linear,
    _phase,
    _hopf,
    _relaxation,
    _neural_masses,
    _mean_fields,
    _epileptor,
    _epileptor_codim3,
    _epileptor_resting,
    _hopfield,
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
        >>> [name for name, node in cf.nodes.catalog().items() if "y4" in node.inputs]
        ['jansen_rit']
        >>> cf.nodes.catalog()["kuramoto"].Params().omega.shape
        ()
    """
    # A room's own names load when they are asked for; those of a module are there.
    names = ((module, getattr(module, "__all__", vars(module))) for module in MODULES)
    members = (getattr(module, name) for module, own in names for name in own)
    return {node.__name__: node for node in members if isinstance(node, Node)}
