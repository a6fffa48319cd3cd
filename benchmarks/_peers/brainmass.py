"""brainmass: a `Network` in a `Simulator`, both built inside the traced function.

Built outside, its states hold values of an earlier trace, and each call traces again.
"""

import brainmass
import brainstate
import brainunit as u
import jax.numpy as jnp
import numpy as np

from .._problem import A, OMEGA, Unsupported

METHOD = {"euler": "euler", "heun_held": "rk2"}  # its "heun" is a scheme of third order


def build(problem):
    case, dtype = problem.case, problem.case.dtype
    if case.scheme not in METHOD:
        raise Unsupported("holds the coupling over the step")
    brainstate.environ.set(dt=case.dt * u.ms, precision=32 if dtype == "float32" else 64)
    x0, y0 = (jnp.asarray(v, dtype) for v in (problem.x0, problem.y0))
    # It rounds delays up to steps: a quarter of a step less is safe from rounding.
    delay = np.asarray((problem.lags - 0.25) * case.dt, dtype)
    delays = dict(distance=delay if case.delayed else 0 * delay, speed=1.0)

    def run(k, conn):
        node = brainmass.HopfStep(
            len(x0),
            a=jnp.asarray(A, dtype),
            w=jnp.asarray(OMEGA, dtype),
            beta=jnp.asarray(1, dtype),
            init_x=lambda *_, **__: x0,
            init_y=lambda *_, **__: y0,
            method=METHOD[case.scheme],
        )
        network = brainmass.Network(
            node,
            conn=conn,
            coupled_var="x",
            k=k,
            delay_init=lambda shape, *_, **__: jnp.broadcast_to(x0, shape),
            **delays,
        )
        simulator = brainmass.Simulator(network, dt=case.dt * u.ms)
        # A jit of its own inside ours would change nothing but the compile time.
        out = simulator.run(case.steps * case.dt * u.ms, monitors=lambda m: m.node.x.value)
        return out["output"]

    return run
