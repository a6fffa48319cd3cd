"""The list of all node models."""

from ._chaotic import larter_breakspear, lorenz
from ._epileptor import epileptor, epileptor_2d
from ._hopf import hopf, stuart_landau
from ._jansen_rit import jansen_rit, wendling
from ._linear import horn, linear, threshold_linear
from ._node import Node
from ._phase import kuramoto, xy
from ._quadratic import coombes_byrne, montbrio_pazo_roxin
from ._relaxation import fitzhugh_nagumo, generic_2d_oscillator, van_der_pol
from ._wilson_cowan import wilson_cowan
from ._wong_wang import reduced_wong_wang, wong_wang_exc_inh


def catalog() -> dict[str, Node]:
    """All node models of the library by name; each knows its states, inputs, wiring and ranges.

    Returns:
        A dict from the name of a node to the node, which has `states`, `inputs`, `coupled` and
        `ranges`, and in its docstring its equation, units and source. `NAME` has its state and
        parameters beside it as `NameState` and `NameParams`.

    Example:
        >>> cf.nodes.catalog()["jansen_rit"].states
        ('y0', 'y1', 'y2', 'y3', 'y4', 'y5')
        >>> [name for name, node in cf.nodes.catalog().items() if "E" in node.inputs]
        ['wilson_cowan']
    """
    nodes = (
        linear,
        threshold_linear,
        horn,
        kuramoto,
        xy,
        hopf,
        stuart_landau,
        fitzhugh_nagumo,
        van_der_pol,
        generic_2d_oscillator,
        wilson_cowan,
        jansen_rit,
        wendling,
        reduced_wong_wang,
        wong_wang_exc_inh,
        montbrio_pazo_roxin,
        coombes_byrne,
        epileptor,
        epileptor_2d,
        larter_breakspear,
        lorenz,
    )
    return {node.__name__: node for node in nodes}
