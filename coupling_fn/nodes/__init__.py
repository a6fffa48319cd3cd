"""Node models: the dynamics of one region, with their parameters and states."""

from .._mean_fields import CoombesByrne2dParams as CoombesByrne2dParams
from .._mean_fields import CoombesByrne2dState as CoombesByrne2dState
from .._mean_fields import CoombesByrneParams as CoombesByrneParams
from .._mean_fields import CoombesByrneState as CoombesByrneState
from .._mean_fields import DumontGutkinParams as DumontGutkinParams
from .._mean_fields import DumontGutkinState as DumontGutkinState
from .._mean_fields import GastSchmidtKnoscheSDParams as GastSchmidtKnoscheSDParams
from .._mean_fields import GastSchmidtKnoscheSDState as GastSchmidtKnoscheSDState
from .._mean_fields import GastSchmidtKnoscheSFParams as GastSchmidtKnoscheSFParams
from .._mean_fields import GastSchmidtKnoscheSFState as GastSchmidtKnoscheSFState
from .._mean_fields import MontbrioPazoRoxinParams as MontbrioPazoRoxinParams
from .._mean_fields import MontbrioPazoRoxinState as MontbrioPazoRoxinState
from .._mean_fields import ZerlautFirstOrderParams as ZerlautFirstOrderParams
from .._mean_fields import ZerlautFirstOrderState as ZerlautFirstOrderState
from .._mean_fields import coombes_byrne as coombes_byrne
from .._mean_fields import coombes_byrne_2d as coombes_byrne_2d
from .._mean_fields import dumont_gutkin as dumont_gutkin
from .._mean_fields import gast_schmidt_knosche_sd as gast_schmidt_knosche_sd
from .._mean_fields import gast_schmidt_knosche_sf as gast_schmidt_knosche_sf
from .._mean_fields import montbrio_pazo_roxin as montbrio_pazo_roxin
from .._mean_fields import zerlaut_first_order as zerlaut_first_order
from .._neural_masses import JansenRitParams as JansenRitParams
from .._neural_masses import JansenRitState as JansenRitState
from .._neural_masses import ReducedWongWangParams as ReducedWongWangParams
from .._neural_masses import ReducedWongWangState as ReducedWongWangState
from .._neural_masses import WendlingParams as WendlingParams
from .._neural_masses import WendlingState as WendlingState
from .._neural_masses import WilsonCowanParams as WilsonCowanParams
from .._neural_masses import WilsonCowanState as WilsonCowanState
from .._neural_masses import WongWangExcInhParams as WongWangExcInhParams
from .._neural_masses import WongWangExcInhState as WongWangExcInhState
from .._neural_masses import jansen_rit as jansen_rit
from .._neural_masses import reduced_wong_wang as reduced_wong_wang
from .._neural_masses import wendling as wendling
from .._neural_masses import wilson_cowan as wilson_cowan
from .._neural_masses import wong_wang_exc_inh as wong_wang_exc_inh
from .._node import Node as Node
from .._node import node as node
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
from ._linear import HornParams as HornParams
from ._linear import HornState as HornState
from ._linear import LinearParams as LinearParams
from ._linear import LinearState as LinearState
from ._linear import ThresholdLinearParams as ThresholdLinearParams
from ._linear import ThresholdLinearState as ThresholdLinearState
from ._linear import horn as horn
from ._linear import linear as linear
from ._linear import threshold_linear as threshold_linear
from ._phase import KuramotoParams as KuramotoParams
from ._phase import KuramotoState as KuramotoState
from ._phase import XYParams as XYParams
from ._phase import XYState as XYState
from ._phase import kuramoto as kuramoto
from ._phase import xy as xy
from ._relaxation import FitzHughNagumoParams as FitzHughNagumoParams
from ._relaxation import FitzHughNagumoState as FitzHughNagumoState
from ._relaxation import Generic2dOscillatorParams as Generic2dOscillatorParams
from ._relaxation import Generic2dOscillatorState as Generic2dOscillatorState
from ._relaxation import VanDerPolParams as VanDerPolParams
from ._relaxation import VanDerPolState as VanDerPolState
from ._relaxation import fitzhugh_nagumo as fitzhugh_nagumo
from ._relaxation import generic_2d_oscillator as generic_2d_oscillator
from ._relaxation import van_der_pol as van_der_pol

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
