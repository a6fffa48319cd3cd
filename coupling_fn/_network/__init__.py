"""Nodes, couplings, lags and a scheme as one step: a pure function `(state, params) -> state`."""

from ._link import Link as Link
from ._link import SeparableLink as SeparableLink
from ._link import add as add
from ._network import Network as Network
from ._network import origins_of as origins_of
from ._network import past_of as past_of
from ._params import Params as Params
from ._params import State as State
from ._params import Wire as Wire
from ._params import require_state as require_state
from ._vector_field import VectorField as VectorField
from ._vector_field import vector_field as vector_field
