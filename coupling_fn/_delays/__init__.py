"""Lags and history, and delayed sums worked out for a block of steps at once, with their adjoint."""

from ._blocks import Block as Block
from ._blocks import Given as Given
from ._blocks import present_sums as present_sums
from ._blocks import run_blocks as run_blocks
from ._delay import Interpolate as Interpolate
from ._delay import checked_bounds as checked_bounds
from ._delay import checked_lags as checked_lags
from ._delay import checked_past as checked_past
from ._delay import fractional_lags as fractional_lags
from ._delay import gather as gather
from ._delay import lag_bounds as lag_bounds
from ._delay import lags as lags
from ._delay import make_history as make_history
from ._delay import nearest_lags as nearest_lags
from ._delay import push_history as push_history
from ._delay import read_history as read_history
from ._delay import within_bounds as within_bounds
from ._plan import SHORTEST_BLOCK as SHORTEST_BLOCK
from ._plan import Blocks as Blocks
from ._plan import Split as Split
from ._plan import choose_block as choose_block
from ._plan import fit_blocks as fit_blocks
from ._plan import split as split
from ._windows import edges_of as edges_of
