"""Lags and history, and delayed sums computed for a block of steps at once, with their adjoint."""

from ._blocked_run import run_blocks as run_blocks
from ._blocked_run import sums_at_present as sums_at_present
from ._buffers import BlockInput as BlockInput
from ._buffers import BlockOutput as BlockOutput
from ._buffers import RunInput as RunInput
from ._edges import delayed_edges as delayed_edges
from ._history import checked_past as checked_past
from ._history import gather as gather
from ._history import make_history as make_history
from ._history import push_history as push_history
from ._history import read_history as read_history
from ._lags import Interpolate as Interpolate
from ._lags import checked_bounds as checked_bounds
from ._lags import checked_lags as checked_lags
from ._lags import fractional_lags as fractional_lags
from ._lags import lag_bounds as lag_bounds
from ._lags import lags as lags
from ._lags import nearest_lags as nearest_lags
from ._lags import within_bounds as within_bounds
from ._plan import STEPWISE_BLOCK as STEPWISE_BLOCK
from ._plan import EdgeSplit as EdgeSplit
from ._plan import RunPlan as RunPlan
from ._plan import choose_block_sizes as choose_block_sizes
from ._plan import plan_run as plan_run
from ._plan import split_edges as split_edges
