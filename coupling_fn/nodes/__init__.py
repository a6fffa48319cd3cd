"""Node models: the dynamics of one region, with their parameters and states."""

import typing as _typing

from .._lazy import load_later as _load_later

# What a static checker sees. At run time each name loads its module when it is first used.
if _typing.TYPE_CHECKING:
    from .._mean_fields import AlnParams as AlnParams
    from .._mean_fields import AlnState as AlnState
    from .._mean_fields import AlnTables as AlnTables
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
    from .._mean_fields import IzhikevichParams as IzhikevichParams
    from .._mean_fields import IzhikevichState as IzhikevichState
    from .._mean_fields import KIonExParams as KIonExParams
    from .._mean_fields import KIonExState as KIonExState
    from .._mean_fields import MontbrioPazoRoxinParams as MontbrioPazoRoxinParams
    from .._mean_fields import MontbrioPazoRoxinState as MontbrioPazoRoxinState
    from .._mean_fields import ReducedSetFitzHughNagumoParams as ReducedSetFitzHughNagumoParams
    from .._mean_fields import ReducedSetFitzHughNagumoState as ReducedSetFitzHughNagumoState
    from .._mean_fields import ReducedSetHindmarshRoseParams as ReducedSetHindmarshRoseParams
    from .._mean_fields import ReducedSetHindmarshRoseState as ReducedSetHindmarshRoseState
    from .._mean_fields import TsodyksMarkramParams as TsodyksMarkramParams
    from .._mean_fields import TsodyksMarkramState as TsodyksMarkramState
    from .._mean_fields import ZerlautFirstOrderParams as ZerlautFirstOrderParams
    from .._mean_fields import ZerlautFirstOrderState as ZerlautFirstOrderState
    from .._mean_fields import ZerlautSecondOrderParams as ZerlautSecondOrderParams
    from .._mean_fields import ZerlautSecondOrderState as ZerlautSecondOrderState
    from .._mean_fields import aln as aln
    from .._mean_fields import coombes_byrne as coombes_byrne
    from .._mean_fields import coombes_byrne_2d as coombes_byrne_2d
    from .._mean_fields import dumont_gutkin as dumont_gutkin
    from .._mean_fields import gast_schmidt_knosche_sd as gast_schmidt_knosche_sd
    from .._mean_fields import gast_schmidt_knosche_sf as gast_schmidt_knosche_sf
    from .._mean_fields import izhikevich as izhikevich
    from .._mean_fields import k_ion_ex as k_ion_ex
    from .._mean_fields import load_aln_tables as load_aln_tables
    from .._mean_fields import montbrio_pazo_roxin as montbrio_pazo_roxin
    from .._mean_fields import reduced_set_fitzhugh_nagumo as reduced_set_fitzhugh_nagumo
    from .._mean_fields import reduced_set_hindmarsh_rose as reduced_set_hindmarsh_rose
    from .._mean_fields import tsodyks_markram as tsodyks_markram
    from .._mean_fields import zerlaut_first_order as zerlaut_first_order
    from .._mean_fields import zerlaut_second_order as zerlaut_second_order
    from .._neural_masses import CanonicalMicrocircuitParams as CanonicalMicrocircuitParams
    from .._neural_masses import CanonicalMicrocircuitState as CanonicalMicrocircuitState
    from .._neural_masses import JansenRitParams as JansenRitParams
    from .._neural_masses import JansenRitState as JansenRitState
    from .._neural_masses import NaskarParams as NaskarParams
    from .._neural_masses import NaskarState as NaskarState
    from .._neural_masses import ReducedWongWangParams as ReducedWongWangParams
    from .._neural_masses import ReducedWongWangState as ReducedWongWangState
    from .._neural_masses import ThalamusParams as ThalamusParams
    from .._neural_masses import ThalamusState as ThalamusState
    from .._neural_masses import WendlingParams as WendlingParams
    from .._neural_masses import WendlingState as WendlingState
    from .._neural_masses import WilsonCowanDivisiveParams as WilsonCowanDivisiveParams
    from .._neural_masses import WilsonCowanDivisiveState as WilsonCowanDivisiveState
    from .._neural_masses import WilsonCowanParams as WilsonCowanParams
    from .._neural_masses import WilsonCowanState as WilsonCowanState
    from .._neural_masses import WongWangExcInhParams as WongWangExcInhParams
    from .._neural_masses import WongWangExcInhState as WongWangExcInhState
    from .._neural_masses import ZetterbergJansenParams as ZetterbergJansenParams
    from .._neural_masses import ZetterbergJansenState as ZetterbergJansenState
    from .._neural_masses import canonical_microcircuit as canonical_microcircuit
    from .._neural_masses import jansen_rit as jansen_rit
    from .._neural_masses import naskar as naskar
    from .._neural_masses import reduced_wong_wang as reduced_wong_wang
    from .._neural_masses import thalamus as thalamus
    from .._neural_masses import wendling as wendling
    from .._neural_masses import wilson_cowan as wilson_cowan
    from .._neural_masses import wilson_cowan_divisive as wilson_cowan_divisive
    from .._neural_masses import wong_wang_exc_inh as wong_wang_exc_inh
    from .._neural_masses import zetterberg_jansen as zetterberg_jansen
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
    from ._epileptor_codim3 import EpileptorCodim3Params as EpileptorCodim3Params
    from ._epileptor_codim3 import EpileptorCodim3SlowModParams as EpileptorCodim3SlowModParams
    from ._epileptor_codim3 import EpileptorCodim3SlowModState as EpileptorCodim3SlowModState
    from ._epileptor_codim3 import EpileptorCodim3State as EpileptorCodim3State
    from ._epileptor_codim3 import epileptor_codim3 as epileptor_codim3
    from ._epileptor_codim3 import epileptor_codim3_slow_mod as epileptor_codim3_slow_mod
    from ._epileptor_resting import EpileptorRestingStateParams as EpileptorRestingStateParams
    from ._epileptor_resting import EpileptorRestingStateState as EpileptorRestingStateState
    from ._epileptor_resting import epileptor_resting_state as epileptor_resting_state
    from ._hopf import HopfParams as HopfParams
    from ._hopf import HopfState as HopfState
    from ._hopf import StuartLandauParams as StuartLandauParams
    from ._hopf import StuartLandauState as StuartLandauState
    from ._hopf import hopf as hopf
    from ._hopf import stuart_landau as stuart_landau
    from ._hopfield import HopfieldParams as HopfieldParams
    from ._hopfield import HopfieldState as HopfieldState
    from ._hopfield import hopfield as hopfield
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
else:  # a static checker would take every name to be there
    _LATER = {
        ".._mean_fields": (
            "AlnParams AlnState AlnTables CoombesByrne2dParams CoombesByrne2dState "
            "CoombesByrneParams CoombesByrneState DumontGutkinParams DumontGutkinState "
            "GastSchmidtKnoscheSDParams GastSchmidtKnoscheSDState GastSchmidtKnoscheSFParams "
            "GastSchmidtKnoscheSFState IzhikevichParams IzhikevichState KIonExParams KIonExState "
            "MontbrioPazoRoxinParams MontbrioPazoRoxinState ReducedSetFitzHughNagumoParams "
            "ReducedSetFitzHughNagumoState ReducedSetHindmarshRoseParams "
            "ReducedSetHindmarshRoseState TsodyksMarkramParams TsodyksMarkramState "
            "ZerlautFirstOrderParams ZerlautFirstOrderState ZerlautSecondOrderParams "
            "ZerlautSecondOrderState aln coombes_byrne coombes_byrne_2d "
            "dumont_gutkin gast_schmidt_knosche_sd gast_schmidt_knosche_sf izhikevich k_ion_ex "
            "load_aln_tables montbrio_pazo_roxin reduced_set_fitzhugh_nagumo "
            "reduced_set_hindmarsh_rose tsodyks_markram zerlaut_first_order "
            "zerlaut_second_order"
        ),
        ".._neural_masses": (
            "CanonicalMicrocircuitParams CanonicalMicrocircuitState JansenRitParams "
            "JansenRitState NaskarParams NaskarState ReducedWongWangParams ReducedWongWangState "
            "ThalamusParams ThalamusState WendlingParams WendlingState WilsonCowanDivisiveParams "
            "WilsonCowanDivisiveState WilsonCowanParams WilsonCowanState WongWangExcInhParams "
            "WongWangExcInhState ZetterbergJansenParams ZetterbergJansenState "
            "canonical_microcircuit jansen_rit naskar reduced_wong_wang thalamus wendling "
            "wilson_cowan wilson_cowan_divisive wong_wang_exc_inh zetterberg_jansen"
        ),
        ".._node": "Node node",
        "._catalog": "catalog",
        "._chaotic": (
            "LarterBreakspearParams LarterBreakspearState LorenzParams LorenzState "
            "larter_breakspear lorenz"
        ),
        "._epileptor": (
            "Epileptor2dParams Epileptor2dState EpileptorParams EpileptorState epileptor "
            "epileptor_2d"
        ),
        "._epileptor_codim3": (
            "EpileptorCodim3Params EpileptorCodim3SlowModParams EpileptorCodim3SlowModState "
            "EpileptorCodim3State epileptor_codim3 epileptor_codim3_slow_mod"
        ),
        "._epileptor_resting": (
            "EpileptorRestingStateParams EpileptorRestingStateState epileptor_resting_state"
        ),
        "._hopf": "HopfParams HopfState StuartLandauParams StuartLandauState hopf stuart_landau",
        "._hopfield": "HopfieldParams HopfieldState hopfield",
        "._linear": (
            "HornParams HornState LinearParams LinearState ThresholdLinearParams "
            "ThresholdLinearState horn linear threshold_linear"
        ),
        "._phase": "KuramotoParams KuramotoState XYParams XYState kuramoto xy",
        "._relaxation": (
            "FitzHughNagumoParams FitzHughNagumoState Generic2dOscillatorParams "
            "Generic2dOscillatorState VanDerPolParams VanDerPolState fitzhugh_nagumo "
            "generic_2d_oscillator van_der_pol"
        ),
    }
    __getattr__, __dir__, __all__ = _load_later(__name__, _LATER)
