"""Measurements of a run, and objectives: how far a measurement is from data.

A record is (time, region), with row n at time (n + 1) · dt, as `simulate` returns it. Times are in ms
and frequencies in Hz. Every objective is called as `objective(simulated, target)`, with options by
keyword. What a run carries along comes as `*_init`, the state before any sample, and `*_step`, which
adds samples to it: `moments_*`, `balloon_*`, `kernel_*`.
"""

from ._average import global_average as global_average
from ._average import subsample as subsample
from ._average import temporal_average as temporal_average
from ._balloon_params import BalloonParams as BalloonParams
from ._balloon_params import balloon_params as balloon_params
from ._bold import BalloonState as BalloonState
from ._bold import balloon_bold as balloon_bold
from ._bold import balloon_init as balloon_init
from ._bold import balloon_step as balloon_step
from ._bold import balloon_windkessel as balloon_windkessel
from ._bold import bold_from_balloon as bold_from_balloon
from ._connectivity import functional_connectivity as functional_connectivity
from ._connectivity import functional_connectivity_dynamics as functional_connectivity_dynamics
from ._connectivity import intersubject_connectivity as intersubject_connectivity
from ._connectivity import intersubject_correlation as intersubject_correlation
from ._connectivity import lagged_covariance as lagged_covariance
from ._fc_objectives import fc_correlation as fc_correlation
from ._fc_objectives import fc_correlation_distance as fc_correlation_distance
from ._fc_objectives import fc_frobenius as fc_frobenius
from ._fc_objectives import fc_rmse as fc_rmse
from ._fc_objectives import fcd_ks as fcd_ks
from ._fc_objectives import fcd_wasserstein as fcd_wasserstein
from ._fc_residuals import correlation_covariance as correlation_covariance
from ._fc_residuals import effective_samples as effective_samples
from ._fc_residuals import fc_residuals as fc_residuals
from ._kernels import KernelState as KernelState
from ._kernels import bold_from_kernel as bold_from_kernel
from ._kernels import double_exponential_kernel as double_exponential_kernel
from ._kernels import first_order_volterra_kernel as first_order_volterra_kernel
from ._kernels import gamma_kernel as gamma_kernel
from ._kernels import kernel_init as kernel_init
from ._kernels import kernel_step as kernel_step
from ._kernels import kernel_weights as kernel_weights
from ._kernels import mixture_of_gammas_kernel as mixture_of_gammas_kernel
from ._moments import Moments as Moments
from ._moments import fc_from_moments as fc_from_moments
from ._moments import moments_init as moments_init
from ._moments import moments_step as moments_step
from ._objectives import lagged_covariance_distance as lagged_covariance_distance
from ._objectives import phase_locking_distance as phase_locking_distance
from ._objectives import power_spectrum_distance as power_spectrum_distance
from ._objectives import weighted_objective as weighted_objective
from ._sensors import load_lead_field as load_lead_field
from ._sensors import sensor_signals as sensor_signals
from ._spectrum import power_spectrum as power_spectrum
from ._synchrony import analytic_signal as analytic_signal
from ._synchrony import chance_synchrony as chance_synchrony
from ._synchrony import instantaneous_phase as instantaneous_phase
from ._synchrony import kuramoto_order_parameter as kuramoto_order_parameter
from ._synchrony import metastability as metastability
from ._synchrony import phase_coherence as phase_coherence
from ._synchrony import synchrony as synchrony

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__
