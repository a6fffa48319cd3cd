"""Sweeps over parameters, fits of them, and how sure a fit is."""

from ._find_k import KSearch as KSearch
from ._find_k import find_k as find_k
from ._find_k import name_regime as name_regime
from ._fit import FitResult as FitResult
from ._fit import Starts as Starts
from ._fit import fit as fit
from ._least_squares import least_squares as least_squares
from ._log_density import LogDensity as LogDensity
from ._log_density import log_density as log_density
from ._profile_likelihood import ProfileLikelihood as ProfileLikelihood
from ._profile_likelihood import profile_likelihood as profile_likelihood
from ._resampling import Bootstrap as Bootstrap
from ._resampling import Minibatches as Minibatches
from ._resampling import bootstrap as bootstrap
from ._resampling import minibatches as minibatches
from ._sweep import grid as grid
from ._sweep import sweep as sweep
from ._uncertainty import Uncertainty as Uncertainty
from ._uncertainty import uncertainty as uncertainty
