"""Many steps of a network, or of any step function."""

from ._shard import shard as shard
from ._simulate import Record as Record
from ._simulate import simulate as simulate
