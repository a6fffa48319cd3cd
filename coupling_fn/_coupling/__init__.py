"""The coupling rules: what regions send, and what they make of what they receive."""

from ._custom import CustomCoupling as CustomCoupling
from ._custom import EdgeCoupling as EdgeCoupling
from ._custom import by_rank as by_rank
from ._kuramoto import KuramotoCoupling as KuramotoCoupling
from ._kuramoto import kuramoto_coupling as kuramoto_coupling
from ._linear import AdditiveCoupling as AdditiveCoupling
from ._linear import DiffusiveCoupling as DiffusiveCoupling
from ._linear import additive_coupling as additive_coupling
from ._linear import diffusive_coupling as diffusive_coupling
from ._rule import Coupling as Coupling
from ._rule import SumCoupling as SumCoupling
from ._rule import input_of as input_of
from ._rule import messages_at_times as messages_at_times
from ._rule import messages_of as messages_of
from ._rule import require_elementwise as require_elementwise
from ._rule import require_k as require_k
from ._sigmoidal import HyperbolicTangentCoupling as HyperbolicTangentCoupling
from ._sigmoidal import PreSigmoidalCoupling as PreSigmoidalCoupling
from ._sigmoidal import SigmoidalCoupling as SigmoidalCoupling
from ._sigmoidal import SigmoidalJansenRitCoupling as SigmoidalJansenRitCoupling
from ._sigmoidal import hyperbolic_tangent_coupling as hyperbolic_tangent_coupling
from ._sigmoidal import pre_sigmoidal_coupling as pre_sigmoidal_coupling
from ._sigmoidal import sigmoidal_coupling as sigmoidal_coupling
from ._sigmoidal import sigmoidal_jansen_rit_coupling as sigmoidal_jansen_rit_coupling
from ._surface import Parcellation as Parcellation
from ._surface import RegionalCoupling as RegionalCoupling
