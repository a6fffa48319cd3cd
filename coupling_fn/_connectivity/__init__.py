"""Functional connectivity: which regions go together, of a record (time, region).

The public names are those of `cf.observe`.
"""

from ._coherence import coherence as coherence
from ._coherence import imaginary_coherence as imaginary_coherence
from ._correlation import functional_connectivity as functional_connectivity
from ._correlation import functional_connectivity_dynamics as functional_connectivity_dynamics
from ._correlation import intersubject_connectivity as intersubject_connectivity
from ._correlation import intersubject_correlation as intersubject_correlation
from ._correlation import lagged_covariance as lagged_covariance
from ._envelopes import envelope_correlation as envelope_correlation
from ._partial import ledoit_wolf_shrinkage as ledoit_wolf_shrinkage
from ._partial import partial_correlation as partial_correlation
from ._phases import phase_locking_value as phase_locking_value
from ._phases import weighted_phase_lag_index as weighted_phase_lag_index
