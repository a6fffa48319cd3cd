"""What a network does, without a simulation: fixed points, bifurcations, analytic covariances."""

from ._covariance import analytic_fc as analytic_fc
from ._covariance import cross_spectrum as cross_spectrum
from ._covariance import stationary_covariance as stationary_covariance
from ._fixed_point import fixed_point as fixed_point
from ._fixed_point import fixed_point_or_nan as fixed_point_or_nan
from ._inhibition import BalancedInhibition as BalancedInhibition
from ._inhibition import balance_inhibition as balance_inhibition
from ._inhibition import balanced_by as balanced_by
from ._inhibition import search_inhibition as search_inhibition
from ._linear import Jacobians as Jacobians
from ._linear import jacobians as jacobians
from ._nonlinearity import nonlinearity as nonlinearity
from ._stability import Bifurcation as Bifurcation
from ._stability import bifurcation as bifurcation
from ._stability import critical_k as critical_k
