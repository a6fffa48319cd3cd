"""What a network does in time: states that recur, cascades, complexity, ignition.

The public names are those of `cf.observe`.
"""

from ._avalanches import Avalanches as Avalanches
from ._avalanches import avalanches as avalanches
from ._complexity import lempel_ziv_complexity as lempel_ziv_complexity
from ._ignition import Ignition as Ignition
from ._ignition import ignition as ignition
from ._ignition import integration as integration
from ._kmeans import KMeans as KMeans
from ._kmeans import kmeans as kmeans
from ._leading import leading_eigenvectors as leading_eigenvectors
from ._sequences import dwell_times as dwell_times
from ._sequences import fractional_occupancy as fractional_occupancy
from ._sequences import transition_matrix as transition_matrix
