"""What is measured in simulated and recorded signals."""

from ._connectivity import fc_correlation as fc_correlation
from ._connectivity import fc_rmse as fc_rmse
from ._connectivity import functional_connectivity as functional_connectivity
from ._synchrony import analytic_signal as analytic_signal
from ._synchrony import instantaneous_phase as instantaneous_phase
from ._synchrony import kuramoto_order_parameter as kuramoto_order_parameter
from ._synchrony import metastability as metastability
from ._synchrony import synchrony as synchrony
