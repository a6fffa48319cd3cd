"""Nodes, couplings, lags and a scheme as one step: a pure function `(state, params) -> state`."""

from ._link import Link as Link
from ._link import SeparableLink as SeparableLink
from ._link import add as add
from ._links import buffers_of as buffers_of
from ._links import carried_of as carried_of
from ._links import delayed_of as delayed_of
from ._links import links_of as links_of
from ._links import references_of as references_of
from ._links import require_fitting_state as require_fitting_state
from ._links import taps_of as taps_of
from ._network import Network as Network
from ._params import Params as Params
from ._params import State as State
from ._params import Wire as Wire
from ._params import require_state as require_state
from ._step import Drive as Drive
from ._step import advance as advance
from ._step import derivative as derivative
from ._step import inputs_at as inputs_at
from ._step import noise_increment as noise_increment
from ._step import prepare_step as prepare_step
from ._step import read_steps as read_steps
from ._step import update_noise as update_noise
from ._vector_field import VectorField as VectorField
from ._vector_field import vector_field as vector_field
