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
    case, dtype = problem.case, problem.case.dtype
    lags = jnp.asarray(problem.lags, jnp.int32) if case.delayed else None
    wire = cf.Wire("x", into="x")  # by default `hopf` couples y, too
    net = cf.Network(cf.nodes.hopf, case.dt, couplings=wire, lags=lags, **SCHEME[case.scheme])
    node = cf.nodes.HopfParams(a=jnp.asarray(A, dtype), omega=jnp.asarray(OMEGA, dtype))
    x0 = cf.nodes.HopfState(*(jnp.asarray(v, dtype) for v in (problem.x0, problem.y0)))

    def run(k, conn):
        params = cf.Params(node=node, coupling=cf.DiffusiveCoupling(conn=conn, k=k))
        state = net.init(x0, params)
        return cf.simulate(net, state, params, steps=case.steps, record="x")[1]

    return run
