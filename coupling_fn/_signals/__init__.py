"""Signals, each region on its own: what is taken out of them, and what is read from each.

A record is (time, region), with row n at time (n + 1) · dt. The public names are those of `cf.observe`.
"""

from ._analytic import amplitude_envelope as amplitude_envelope
from ._analytic import analytic_signal as analytic_signal
from ._analytic import centred_analytic_signal as centred_analytic_signal
from ._analytic import instantaneous_phase as instantaneous_phase
from ._arrival import arrival_times as arrival_times
from ._average import global_average as global_average
from ._average import subsample as subsample
from ._average import temporal_average as temporal_average
from ._cleaning import detrend as detrend
from ._cleaning import global_signal_regression as global_signal_regression
from ._cleaning import zscore as zscore
from ._filter import bandpass as bandpass
from ._frames import to_frame as to_frame
from ._series import as_series as as_series
from ._series import as_time as as_time
from ._series import as_windows as as_windows
from ._series import gamma_density as gamma_density
from ._series import into_periods as into_periods
from ._series import norm as norm
from ._series import root as root
from ._series import unit as unit
from ._series import warn_of_seconds as warn_of_seconds
from ._series import warn_of_short_tr as warn_of_short_tr
from ._series import within as within
from ._spectrum import BANDS as BANDS
from ._spectrum import band_power as band_power
from ._spectrum import in_band as in_band
from ._spectrum import power_spectrum as power_spectrum
from ._spectrum import windowed_spectra as windowed_spectra
