"""Node dynamics as pure functions with their parameter pytrees."""

from ._node import Node as Node
from ._node import node as node
from ._oscillators import FitzHughNagumoParams as FitzHughNagumoParams
from ._oscillators import FitzHughNagumoState as FitzHughNagumoState
from ._oscillators import HopfParams as HopfParams
from ._oscillators import HopfState as HopfState
from ._oscillators import KuramotoParams as KuramotoParams
from ._oscillators import KuramotoState as KuramotoState
from ._oscillators import LinearParams as LinearParams
from ._oscillators import LinearState as LinearState
from ._oscillators import fitzhugh_nagumo as fitzhugh_nagumo
from ._oscillators import hopf as hopf
from ._oscillators import kuramoto as kuramoto
from ._oscillators import linear as linear
from ._wilson_cowan import WilsonCowanParams as WilsonCowanParams
from ._wilson_cowan import WilsonCowanState as WilsonCowanState
from ._wilson_cowan import wilson_cowan as wilson_cowan
