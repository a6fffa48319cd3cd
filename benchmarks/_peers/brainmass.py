"""brainmass: a network in its `Simulator`, both built inside the traced function.

Built outside of it, their states would hold values of an earlier trace, and each call would trace again.
With delays it sums differences over a grid in its `Network`; the weighted sum alone, less the own state
times the strength, is the other way to write the same. A trial says which is faster.
"""

import brainmass
import brainstate
import brainunit as u
import jax.numpy as jnp
import numpy as np

from .._problem import OMEGA, A, Unsupported

METHOD = {"euler": "euler", "heun_held": "rk2"}  # its "heun" is a scheme of third order


class Undelayed(brainstate.nn.Module):
    """Its parts, wired by hand: its `Network` gathers lags of 0, which costs 2 to 5 times as much."""

    def __init__(self, node, conn, k):
        super().__init__()
        n = len(conn)
        laplacian = brainmass.laplacian_connectivity(conn)
        self.node = node
        self.coupling = brainmass.AdditiveCoupling(
            lambda: jnp.broadcast_to(node.x.value, (n, n)), laplacian, k=k
        )

    def update(self):
        return self.node(self.coupling())


class Sums(brainstate.nn.Module):
    """Its delayed reads and its weighted sum; the own state times the strength is taken off by hand."""

    def __init__(self, node, conn, k, delay, init):
        super().__init__()
        places = brainmass.delay_index(len(conn))
        source = node.prefetch_delay("x", (delay * u.ms, places), init=init)
        self.node, self.k, self.strength = node, k, conn.sum(1)
        self.coupling = brainmass.AdditiveCoupling(source, conn, k=k)

    def update(self):
        return self.node(self.coupling() - self.k * self.strength * self.node.x.value)


def variants(problem):
    """Return the forms of the coupling to try."""
    return ("differences", "sums") if problem.case.delayed else ()


def build(problem, variant="differences"):
    case, dtype = problem.case, problem.case.dtype
    if case.scheme not in METHOD:
        raise Unsupported("holds the coupling over the step")
    dt = case.dt * u.ms
    brainstate.environ.set(dt=dt, precision=int(dtype.removeprefix("float")))
    x0, y0 = (jnp.asarray(v, dtype) for v in (problem.x0, problem.y0))
    # It rounds delays up to steps: a quarter of a step less is safe from rounding.
    delay = np.asarray((problem.lags - 0.25) * case.dt, dtype)

    def make_node():
        return brainmass.HopfStep(
            len(x0),
            a=jnp.asarray(A, dtype),
            w=jnp.asarray(OMEGA, dtype),
            beta=jnp.asarray(1, dtype),
            init_x=lambda *_, **__: x0,
            init_y=lambda *_, **__: y0,
            method=METHOD[case.scheme],
        )

    def before(shape, *_, **__):
        return jnp.broadcast_to(x0, shape)  # the first step reads this, and not the state

    def make_network(k, conn):
        if not case.delayed:
            return Undelayed(make_node(), conn, k)
        if variant == "sums":
            return Sums(make_node(), conn, k, delay, before)
        return brainmass.Network(
            make_node(),
            conn=conn,
            distance=delay,
            speed=1.0,
            coupled_var="x",
            k=k,
            delay_init=before,
        )

    def run(k, conn):
        simulator = brainmass.Simulator(make_network(k, conn), dt=dt)
        return simulator.run(case.steps * dt, monitors=lambda m: m.node.x.value)["output"]

    return run
