"""Measurements of a run, and objectives: how far a measurement is from data.

A record is (time, region), with row n at time (n + 1) · dt, as `simulate` returns it. Times are in ms
and frequencies in Hz. Every objective is called as `objective(simulated, target)`, with options by
keyword. What a run carries along comes as `*_init`, the state before any sample, and `*_step`, which
adds samples to it: `moments_*`, `balloon_*`, `kernel_*`.
"""

import typing as _typing

from .._connectivity import coherence as coherence
from .._connectivity import envelope_correlation as envelope_correlation
from .._connectivity import functional_connectivity as functional_connectivity
from .._connectivity import functional_connectivity_dynamics as functional_connectivity_dynamics
from .._connectivity import imaginary_coherence as imaginary_coherence
from .._connectivity import intersubject_connectivity as intersubject_connectivity
from .._connectivity import intersubject_correlation as intersubject_correlation
from .._connectivity import lagged_covariance as lagged_covariance
from .._connectivity import ledoit_wolf_shrinkage as ledoit_wolf_shrinkage
from .._connectivity import partial_correlation as partial_correlation
from .._connectivity import phase_locking_value as phase_locking_value
from .._connectivity import weighted_phase_lag_index as weighted_phase_lag_index
from .._signals import BANDS as BANDS
from .._signals import amplitude_envelope as amplitude_envelope
from .._signals import analytic_signal as analytic_signal
from .._signals import arrival_times as arrival_times
from .._signals import band_power as band_power
from .._signals import bandpass as bandpass
from .._signals import detrend as detrend
from .._signals import global_average as global_average
from .._signals import global_signal_regression as global_signal_regression
from .._signals import instantaneous_phase as instantaneous_phase
from .._signals import power_spectrum as power_spectrum
from .._signals import subsample as subsample
from .._signals import temporal_average as temporal_average
from .._signals import zscore as zscore
from .._states import Avalanches as Avalanches
from .._states import Ignition as Ignition
from .._states import KMeans as KMeans
from .._states import avalanches as avalanches
from .._states import dwell_times as dwell_times
from .._states import fractional_occupancy as fractional_occupancy
from .._states import ignition as ignition
from .._states import integration as integration
from .._states import kmeans as kmeans
from .._states import leading_eigenvectors as leading_eigenvectors
from .._states import lempel_ziv_complexity as lempel_ziv_complexity
from .._states import transition_matrix as transition_matrix
from ._balloon_params import BalloonParams as BalloonParams
from ._balloon_params import balloon_params as balloon_params
from ._bold import BalloonState as BalloonState
from ._bold import balloon_bold as balloon_bold
from ._bold import balloon_init as balloon_init
from ._bold import balloon_step as balloon_step
from ._bold import balloon_windkessel as balloon_windkessel
from ._bold import bold_from_balloon as bold_from_balloon
from ._fc_objectives import fc_correlation as fc_correlation
from ._fc_objectives import fc_correlation_distance as fc_correlation_distance
from ._fc_objectives import fc_frobenius as fc_frobenius
from ._fc_objectives import fc_rmse as fc_rmse
from ._fc_residuals import correlation_covariance as correlation_covariance
from ._fc_residuals import effective_samples as effective_samples
from ._fc_residuals import fc_residuals as fc_residuals
from ._fcd_objectives import Histogram as Histogram
from ._fcd_objectives import fcd_ks as fcd_ks
from ._fcd_objectives import fcd_wasserstein as fcd_wasserstein
from ._frames import to_frame as to_frame
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
from ._synchrony import chance_synchrony as chance_synchrony
from ._synchrony import kuramoto_order_parameter as kuramoto_order_parameter
from ._synchrony import metastability as metastability
from ._synchrony import synchrony as synchrony

# What `dir` and `help` show: the public names alone.
__all__ = [name for name in globals() if not name.startswith("_")]  # pyright: ignore


def __dir__() -> list[str]:
    return __all__


if not _typing.TYPE_CHECKING:  # to which every name would seem to be there

    def __getattr__(name):
        if name == "phase_coherence":
            raise AttributeError(
                "`phase_coherence` is called `phase_locking_value`; `coherence` is that of spectra."
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
