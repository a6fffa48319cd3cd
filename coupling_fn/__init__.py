"""The coupling layer of whole-brain modelling as pure functions on JAX."""

import typing as _typing

from ._lazy import load_later as _load_later

__version__ = "0.2.0"

# What a static checker sees. At run time each name loads its module when it is first used.
if _typing.TYPE_CHECKING:
    from . import cohort as cohort
    from . import graph as graph
    from . import hybrid as hybrid
    from . import nodes as nodes
    from . import noise as noise
    from . import observe as observe
    from . import plot as plot
    from . import schemes as schemes
    from . import stimuli as stimuli
    from . import surface as surface
    from . import surgery as surgery
    from . import transforms as transforms
    from ._analysis import BalancedInhibition as BalancedInhibition
    from ._analysis import Bifurcation as Bifurcation
    from ._analysis import Jacobians as Jacobians
    from ._analysis import analytic_fc as analytic_fc
    from ._analysis import balance_inhibition as balance_inhibition
    from ._analysis import bifurcation as bifurcation
    from ._analysis import critical_k as critical_k
    from ._analysis import cross_spectrum as cross_spectrum
    from ._analysis import fixed_point as fixed_point
    from ._analysis import jacobians as jacobians
    from ._analysis import nonlinearity as nonlinearity
    from ._analysis import search_inhibition as search_inhibition
    from ._analysis import stationary_covariance as stationary_covariance
    from ._connectome import Connectome as Connectome
    from ._connectome import SparseConnection as SparseConnection
    from ._connectome import edge_values as edge_values
    from ._connectome import from_source_target as from_source_target
    from ._connectome import laplacian_connectivity as laplacian_connectivity
    from ._connectome import load_connectome as load_connectome
    from ._connectome import normalize as normalize
    from ._connectome import save_connectome as save_connectome
    from ._connectome import sparse_from_edges as sparse_from_edges
    from ._connectome import synthetic_connectome as synthetic_connectome
    from ._connectome import to_sparse as to_sparse
    from ._connectome import weighted_sum as weighted_sum
    from ._core import Interrupted as Interrupted
    from ._coupling import AdditiveCoupling as AdditiveCoupling
    from ._coupling import Coupling as Coupling
    from ._coupling import CustomCoupling as CustomCoupling
    from ._coupling import DiffusiveCoupling as DiffusiveCoupling
    from ._coupling import EdgeCoupling as EdgeCoupling
    from ._coupling import GammaDelayedCoupling as GammaDelayedCoupling
    from ._coupling import HyperbolicTangentCoupling as HyperbolicTangentCoupling
    from ._coupling import KuramotoCoupling as KuramotoCoupling
    from ._coupling import Parcellation as Parcellation
    from ._coupling import PreSigmoidalCoupling as PreSigmoidalCoupling
    from ._coupling import RegionalCoupling as RegionalCoupling
    from ._coupling import SigmoidalCoupling as SigmoidalCoupling
    from ._coupling import SigmoidalJansenRitCoupling as SigmoidalJansenRitCoupling
    from ._coupling import SumCoupling as SumCoupling
    from ._coupling import additive_coupling as additive_coupling
    from ._coupling import diffusive_coupling as diffusive_coupling
    from ._coupling import hyperbolic_tangent_coupling as hyperbolic_tangent_coupling
    from ._coupling import kuramoto_coupling as kuramoto_coupling
    from ._coupling import pre_sigmoidal_coupling as pre_sigmoidal_coupling
    from ._coupling import sigmoidal_coupling as sigmoidal_coupling
    from ._coupling import sigmoidal_jansen_rit_coupling as sigmoidal_jansen_rit_coupling
    from ._delays import lag_bounds as lag_bounds
    from ._delays import lags as lags
    from ._delays import make_history as make_history
    from ._delays import push_history as push_history
    from ._delays import read_history as read_history
    from ._diagnose import Finding as Finding
    from ._diagnose import Report as Report
    from ._diagnose import check_units as check_units
    from ._diagnose import diagnose as diagnose
    from ._diagnose import diagnose_run as diagnose_run
    from ._evolution import evolve as evolve
    from ._fit import Bootstrap as Bootstrap
    from ._fit import FitResult as FitResult
    from ._fit import KSearch as KSearch
    from ._fit import LogDensity as LogDensity
    from ._fit import Minibatches as Minibatches
    from ._fit import ProfileLikelihood as ProfileLikelihood
    from ._fit import Starts as Starts
    from ._fit import Uncertainty as Uncertainty
    from ._fit import bootstrap as bootstrap
    from ._fit import find_k as find_k
    from ._fit import fit as fit
    from ._fit import grid as grid
    from ._fit import least_squares as least_squares
    from ._fit import log_density as log_density
    from ._fit import minibatches as minibatches
    from ._fit import name_regime as name_regime
    from ._fit import profile_likelihood as profile_likelihood
    from ._fit import sweep as sweep
    from ._fit import uncertainty as uncertainty
    from ._network import Network as Network
    from ._network import Params as Params
    from ._network import State as State
    from ._network import VectorField as VectorField
    from ._network import Wire as Wire
    from ._network import at_time as at_time
    from ._network import vector_field as vector_field
    from ._plasticity import Adapted as Adapted
    from ._plasticity import adapt as adapt
    from ._simulate import load_params as load_params
    from ._simulate import load_state as load_state
    from ._simulate import save_params as save_params
    from ._simulate import save_state as save_state
    from ._simulate import shard as shard
    from ._simulate import simulate as simulate
else:  # a static checker would take every name to be there
    _LATER = {
        ".cohort": "",
        ".graph": "",
        ".hybrid": "",
        ".nodes": "",
        ".noise": "",
        ".observe": "",
        ".plot": "",
        ".schemes": "",
        ".stimuli": "",
        ".surface": "",
        ".surgery": "",
        ".transforms": "",
        "._analysis": (
            "BalancedInhibition Bifurcation Jacobians analytic_fc balance_inhibition bifurcation "
            "critical_k cross_spectrum fixed_point jacobians nonlinearity search_inhibition "
            "stationary_covariance"
        ),
        "._connectome": (
            "Connectome SparseConnection edge_values from_source_target laplacian_connectivity "
            "load_connectome normalize save_connectome sparse_from_edges synthetic_connectome "
            "to_sparse weighted_sum"
        ),
        "._core": "Interrupted",
        "._coupling": (
            "AdditiveCoupling Coupling CustomCoupling DiffusiveCoupling EdgeCoupling "
            "GammaDelayedCoupling HyperbolicTangentCoupling KuramotoCoupling "
            "Parcellation PreSigmoidalCoupling RegionalCoupling SigmoidalCoupling "
            "SigmoidalJansenRitCoupling SumCoupling additive_coupling diffusive_coupling "
            "hyperbolic_tangent_coupling kuramoto_coupling pre_sigmoidal_coupling "
            "sigmoidal_coupling sigmoidal_jansen_rit_coupling"
        ),
        "._delays": "lag_bounds lags make_history push_history read_history",
        "._diagnose": "Finding Report check_units diagnose diagnose_run",
        "._evolution": "evolve",
        "._fit": (
            "Bootstrap FitResult KSearch LogDensity Minibatches ProfileLikelihood Starts "
            "Uncertainty bootstrap find_k fit grid least_squares log_density minibatches "
            "name_regime profile_likelihood sweep uncertainty"
        ),
        "._network": "Network Params State VectorField Wire at_time vector_field",
        "._plasticity": "Adapted adapt",
        "._simulate": "load_params load_state save_params save_state shard simulate",
    }
    __getattr__, __dir__, __all__ = _load_later(__name__, _LATER)
