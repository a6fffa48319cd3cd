"""The coupling rules: what regions send, and what they make of what they receive."""

from ._coupling import AdditiveCoupling as AdditiveCoupling
from ._coupling import Coupling as Coupling
from ._coupling import CustomCoupling as CustomCoupling
from ._coupling import DiffusiveCoupling as DiffusiveCoupling
from ._coupling import EdgeCoupling as EdgeCoupling
from ._coupling import HyperbolicTangentCoupling as HyperbolicTangentCoupling
from ._coupling import KuramotoCoupling as KuramotoCoupling
from ._coupling import PreSigmoidalCoupling as PreSigmoidalCoupling
from ._coupling import SigmoidalCoupling as SigmoidalCoupling
from ._coupling import SigmoidalJansenRitCoupling as SigmoidalJansenRitCoupling
from ._coupling import SumCoupling as SumCoupling
from ._coupling import additive_coupling as additive_coupling
from ._coupling import diffusive_coupling as diffusive_coupling
from ._coupling import hyperbolic_tangent_coupling as hyperbolic_tangent_coupling
from ._coupling import kuramoto_coupling as kuramoto_coupling
from ._coupling import pre_sigmoidal_coupling as pre_sigmoidal_coupling
from ._coupling import require_k as require_k
from ._coupling import sigmoidal_coupling as sigmoidal_coupling
from ._coupling import sigmoidal_jansen_rit_coupling as sigmoidal_jansen_rit_coupling
from ._surface import Parcellation as Parcellation
from ._surface import RegionalCoupling as RegionalCoupling
