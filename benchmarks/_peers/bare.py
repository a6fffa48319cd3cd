"""The floor without a delay: a bare `lax.scan` of `W @ x`, with the same node."""

from functools import partial

import jax.numpy as jnp
from jax import lax

from .._problem import OMEGA, A, Unsupported


def rate(x, y, c):
    r = A - x * x - y * y
    return r * x - OMEGA * y + c, r * y + OMEGA * x


def step_by(case, x, y, coupling):
    """Advance one step; `coupling(x, stage)` is what x receives in stage 0 or 1."""
    dt, c = case.dt, coupling(x, 0)
    dx, dy = rate(x, y, c)
    if case.scheme != "euler":
        xp, yp = x + dt * dx, y + dt * dy
        ex, ey = rate(xp, yp, coupling(xp, 1) if case.scheme == "heun" else c)
        dx, dy = 0.5 * (dx + ex), 0.5 * (dy + ey)
    return x + dt * dx, y + dt * dy


def build(problem):
    case = problem.case
    if case.delayed:
        raise Unsupported("has no delay")
    start = tuple(jnp.asarray(v, case.dtype) for v in (problem.x0, problem.y0))
    return partial(run, case, start)


def run(case, start, k, conn):
    strength = conn.sum(1)

    def step(xy, _):
        x, y = step_by(case, *xy, lambda x, stage: k * (conn @ x - strength * x))
        return (x, y), x

    return lax.scan(step, start, length=case.steps)[1]


def build_uncoupled(problem):
    """Return the run of the nodes alone: the difference is what the coupling costs."""
    case = problem.case
    start = tuple(jnp.asarray(v, case.dtype) for v in (problem.x0, problem.y0))

    def alone(k, conn):
        def step(xy, _):
            x, y = step_by(case, *xy, lambda x, stage: jnp.zeros_like(x))
            return (x, y), x

        return lax.scan(step, start, length=case.steps)[1]

    return alone
