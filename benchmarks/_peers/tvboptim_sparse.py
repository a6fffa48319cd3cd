"""tvboptim over its sparse graphs: a `Network` prepared once and solved with new k and weights.

Of its three history buffers, each case gets the one that is fastest in a trial.
"""

import jax.numpy as jnp
from jax.experimental.sparse import BCOO
from tvboptim.experimental.network_dynamics import Network, prepare
from tvboptim.experimental.network_dynamics.core.bunch import Bunch
from tvboptim.experimental.network_dynamics.coupling import DelayedLinearCoupling, LinearCoupling
from tvboptim.experimental.network_dynamics.dynamics.base import AbstractDynamics
from tvboptim.experimental.network_dynamics.graph import SparseDelayGraph, SparseGraph
from tvboptim.experimental.network_dynamics.result import NativeSolution
from tvboptim.experimental.network_dynamics.solvers import Euler

from .._sparse_problem import DT, LAGS, K


class Linear(AbstractDynamics):
    """A leak of 1 and one input."""

    STATE_NAMES = ("x",)
    INITIAL_STATE = (0.0,)
    DEFAULT_PARAMS = Bunch(a=-1.0)
    COUPLING_INPUTS = {"c": 1}  # noqa: RUF012

    def dynamics(self, t, state, params, coupling, external):
        return params.a * state + coupling.c


BUFFERS = ("roll", "circular", "preallocated")


def variants(case):
    """Return the history buffers to try."""
    return BUFFERS if case.delayed else ()


def build(case, problem, buffer="roll"):
    where = jnp.stack([problem["target"], problem["source"]], 1).astype(jnp.int32)
    shape = (case.n, case.n)
    weights = BCOO((jnp.asarray(problem["weight"]), where), shape=shape)
    states = {"incoming_states": "x", "G": K}
    if case.delayed:
        delays = jnp.asarray(problem["lags"] * DT, jnp.float32)
        graph = SparseDelayGraph(weights, BCOO((delays, where), shape=shape))
        coupling = DelayedLinearCoupling(buffer_strategy=buffer, **states)
    else:
        graph, coupling = SparseGraph(weights), LinearCoupling(**states)
    x0 = jnp.asarray(problem["x0"])[None]
    length = LAGS[1] + 2 if case.delayed else 2
    history = NativeSolution(
        ts=jnp.arange(length, dtype=x0.dtype) * DT,
        ys=jnp.broadcast_to(x0, (length, *x0.shape)),
        dt=DT,
        variable_names=("x",),
    )
    node = Linear(VARIABLES_OF_INTEREST=("x",))
    network = Network(node, {"c": coupling}, graph, history=history)
    solve, prepared = prepare(network, Euler(), t0=0.0, t1=case.steps * DT, dt=DT)

    def run(k, conn):
        config = prepared.copy()
        config.coupling.c.G = k
        config.graph.weights = conn
        return solve(config).ys[-1, 0]

    return run, prepared.graph.weights
