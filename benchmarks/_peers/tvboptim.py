"""tvboptim: a `Network` and its native solver, prepared once and solved with new k and weights.

A prepared solve takes its parameters as a pytree, so later calls trace nothing again. The node is a
subclass of our own, as its documentation offers: its `SupHopf` couples both x and y. The undelayed
coupling is our own, too: its `DifferenceCoupling` sums differences over an (N, N) grid, at 20 times the
cost of its matrix product; with delays this makes no difference. Of its three history buffers, each
case gets the one that is fastest in a trial.
"""

import jax.numpy as jnp
from tvboptim.experimental.network_dynamics import Network, prepare
from tvboptim.experimental.network_dynamics.core.bunch import Bunch
from tvboptim.experimental.network_dynamics.coupling import (
    DelayedDifferenceCoupling,
    LinearCoupling,
)
from tvboptim.experimental.network_dynamics.dynamics.base import AbstractDynamics
from tvboptim.experimental.network_dynamics.graph import DenseDelayGraph, DenseGraph
from tvboptim.experimental.network_dynamics.result import NativeSolution
from tvboptim.experimental.network_dynamics.solvers import Euler, Heun

from .._problem import OMEGA, A, K, Unsupported
from .bare import rate


class Hopf(AbstractDynamics):
    """The node, with one coupling input, to x."""

    STATE_NAMES = ("x", "y")
    INITIAL_STATE = (0.0, 0.0)
    DEFAULT_PARAMS = Bunch(a=A, omega=OMEGA)
    COUPLING_INPUTS = {"c": 1}  # noqa: RUF012

    def dynamics(self, t, state, params, coupling, external):
        return jnp.stack(rate(state[0], state[1], coupling.c[0]))


class MatrixDifference(LinearCoupling):
    """`G * (W @ x - strength * x)`."""

    DEFAULT_PARAMS = Bunch(G=1.0, strength=0.0)

    def post(self, summed, local, params):
        return params.G * (summed - params.strength * local)


BUFFERS = ("roll", "circular", "preallocated")


def variants(problem):
    """Return the history buffers to try."""
    return BUFFERS if problem.case.delayed else ()


def build(problem, buffer="roll"):
    case, dtype = problem.case, problem.case.dtype
    if case.scheme == "heun" and case.delayed:
        raise Unsupported("holds what is delayed over the step")
    weights = jnp.asarray(problem.weights, dtype)
    states = {"incoming_states": "x", "local_states": "x", "G": K}
    if case.delayed:
        # It rounds delays to steps, so exact multiples are safe.
        graph = DenseDelayGraph(weights, jnp.asarray(problem.lags * case.dt, dtype))
        coupling = DelayedDifferenceCoupling(buffer_strategy=buffer, **states)
    else:
        graph = DenseGraph(weights)
        coupling = MatrixDifference(**states)
    start = jnp.asarray([problem.x0, problem.y0], dtype)
    length = int(problem.lags.max()) + 2
    history = NativeSolution(
        ts=jnp.arange(length, dtype=dtype) * case.dt,
        ys=jnp.broadcast_to(start, (length, *start.shape)),
        dt=case.dt,
        variable_names=("x", "y"),
    )
    node = Hopf(VARIABLES_OF_INTEREST=("x",))
    network = Network(node, {"c": coupling}, graph, history=history)
    recompute = case.scheme == "heun"
    solver = Euler() if case.scheme == "euler" else Heun(recompute_coupling_per_stage=recompute)
    solve, prepared = prepare(network, solver, t0=0.0, t1=case.steps * case.dt, dt=case.dt)

    def run(k, conn):
        config = prepared.copy()
        config.coupling.c.G = k
        config.graph.weights = conn
        if not case.delayed:
            config.coupling.c.strength = conn.sum(1)
        return solve(config).ys[:, 0]

    return run
