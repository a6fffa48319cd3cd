"""coupling_fn: the network as its README writes it, with new k and conn in each call."""

import jax.numpy as jnp

import coupling_fn as cf

from ._problem import OMEGA, A

SCHEME = {
    "euler": {"scheme": "euler"},
    "heun": {"scheme": "heun"},
    "heun_held": {"scheme": "heun", "hold": "step"},
}


def build(problem):
    lags = jnp.asarray(problem.lags, jnp.int32) if problem.case.delayed else None
    wire = cf.Wire("x", into="x")  # by default `hopf` couples y, too
    return runner(problem, wire, lags)


def build_uncoupled(problem):
    """Return the run of the nodes alone: the difference is what the coupling costs."""
    return runner(problem, {}, None)


def runner(problem, wire, lags):
    case, dtype = problem.case, problem.case.dtype
    net = cf.Network(cf.nodes.hopf, case.dt, couplings=wire, lags=lags, **SCHEME[case.scheme])
    node = cf.nodes.HopfParams(a=jnp.asarray(A, dtype), omega=jnp.asarray(OMEGA, dtype))
    x0 = cf.nodes.HopfState(*(jnp.asarray(v, dtype) for v in (problem.x0, problem.y0)))

    def run(k, conn):
        coupling = cf.DiffusiveCoupling(conn=conn, k=k) if wire else None
        params = cf.Params(node=node, coupling=coupling)
        state = net.init(x0, params)
        return cf.simulate(net, state, params, steps=case.steps, record="x")[1]

    return run
