"""The floor without a delay: a bare `lax.scan` of `W @ x`, with the same node."""

import jax.numpy as jnp
from jax import lax

from .._problem import Unsupported
from .plain import step_by


def build(problem):
    case = problem.case
    if case.delayed:
        raise Unsupported("has no delay")
    x0, y0 = (jnp.asarray(v, case.dtype) for v in (problem.x0, problem.y0))

    def run(k, conn):
        strength = conn.sum(1)

        def step(xy, _):
            x, y = step_by(case, *xy, lambda x, stage: k * (conn @ x - strength * x))
            return (x, y), x

        return lax.scan(step, (x0, y0), length=case.steps)[1]

    return run
