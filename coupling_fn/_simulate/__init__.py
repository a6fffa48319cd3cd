"""Many steps of a network, or of any step function."""

from ._files import load_params as load_params
from ._files import load_state as load_state
from ._files import save_params as save_params
from ._files import save_state as save_state
from ._shard import shard as shard
from ._simulate import Record as Record
from ._simulate import simulate as simulate
