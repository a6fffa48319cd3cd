"""Node models: the dynamics of one region, with their parameters and states."""

from ._catalog import catalog as catalog
from ._chaotic import LarterBreakspearParams as LarterBreakspearParams
from ._chaotic import LarterBreakspearState as LarterBreakspearState
from ._chaotic import LorenzParams as LorenzParams
from ._chaotic import LorenzState as LorenzState
from ._chaotic import larter_breakspear as larter_breakspear
from ._chaotic import lorenz as lorenz
from ._epileptor import Epileptor2dParams as Epileptor2dParams
from ._epileptor import Epileptor2dState as Epileptor2dState
from ._epileptor import EpileptorParams as EpileptorParams
from ._epileptor import EpileptorState as EpileptorState
from ._epileptor import epileptor as epileptor
from ._epileptor import epileptor_2d as epileptor_2d
from ._hopf import HopfParams as HopfParams
from ._hopf import HopfState as HopfState
from ._hopf import StuartLandauParams as StuartLandauParams
from ._hopf import StuartLandauState as StuartLandauState
from ._hopf import hopf as hopf
from ._hopf import stuart_landau as stuart_landau
from ._jansen_rit import JansenRitParams as JansenRitParams
from ._jansen_rit import JansenRitState as JansenRitState
from ._jansen_rit import WendlingParams as WendlingParams
from ._jansen_rit import WendlingState as WendlingState
from ._jansen_rit import jansen_rit as jansen_rit
from ._jansen_rit import wendling as wendling
from ._linear import HornParams as HornParams
from ._linear import HornState as HornState
from ._linear import LinearParams as LinearParams
from ._linear import LinearState as LinearState
from ._linear import ThresholdLinearParams as ThresholdLinearParams
from ._linear import ThresholdLinearState as ThresholdLinearState
from ._linear import horn as horn
from ._linear import linear as linear
from ._linear import threshold_linear as threshold_linear
from ._node import Node as Node
from ._node import node as node
from ._phase import KuramotoParams as KuramotoParams
from ._phase import KuramotoState as KuramotoState
from ._phase import XYParams as XYParams
from ._phase import XYState as XYState
from ._phase import kuramoto as kuramoto
from ._phase import xy as xy
from ._quadratic import CoombesByrneParams as CoombesByrneParams
from ._quadratic import CoombesByrneState as CoombesByrneState
from ._quadratic import MontbrioPazoRoxinParams as MontbrioPazoRoxinParams
from ._quadratic import MontbrioPazoRoxinState as MontbrioPazoRoxinState
from ._quadratic import coombes_byrne as coombes_byrne
from ._quadratic import montbrio_pazo_roxin as montbrio_pazo_roxin
from ._relaxation import FitzHughNagumoParams as FitzHughNagumoParams
from ._relaxation import FitzHughNagumoState as FitzHughNagumoState
from ._relaxation import Generic2dOscillatorParams as Generic2dOscillatorParams
from ._relaxation import Generic2dOscillatorState as Generic2dOscillatorState
from ._relaxation import VanDerPolParams as VanDerPolParams
from ._relaxation import VanDerPolState as VanDerPolState
from ._relaxation import fitzhugh_nagumo as fitzhugh_nagumo
from ._relaxation import generic_2d_oscillator as generic_2d_oscillator
from ._relaxation import van_der_pol as van_der_pol
from ._wilson_cowan import WilsonCowanParams as WilsonCowanParams
from ._wilson_cowan import WilsonCowanState as WilsonCowanState
from ._wilson_cowan import wilson_cowan as wilson_cowan
from ._wong_wang import ReducedWongWangParams as ReducedWongWangParams
from ._wong_wang import ReducedWongWangState as ReducedWongWangState
from ._wong_wang import WongWangExcInhParams as WongWangExcInhParams
from ._wong_wang import WongWangExcInhState as WongWangExcInhState
from ._wong_wang import reduced_wong_wang as reduced_wong_wang
from ._wong_wang import wong_wang_exc_inh as wong_wang_exc_inh

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
