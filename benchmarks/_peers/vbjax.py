"""vbjax: its loops, with its coupling functions in a right-hand side of our own (as it asks).

`make_sdde` is Heun alone, with the coupling at each stage's own time. Its delayed Euler is
therefore `delay_apply` over the same growing buffer, in a scan. `delay_apply` weighs by the
transpose of what it is given, so it is given the transpose. x and y have a buffer each, so
that only x, which is coupled, is gathered. Its delayed loops unroll: a trial says how far.
"""

import os
from functools import partial

# Before vbjax is imported, which would otherwise split the CPU into one device per core.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=1")

import jax.numpy as jnp
import vbjax as vb
from jax import lax

from .._problem import Unsupported
from .bare import rate

# 10 is its own choice for delays.
UNROLLED = {"not unrolled": 1, "unrolled by 4": 4, "unrolled by 10": 10}


def variants(problem):
    """Return how far to unroll the loop over time, which is ours to choose where there are delays."""
    return tuple(UNROLLED) if problem.case.delayed else ()


def build(problem, variant="not unrolled"):
    case = problem.case
    if case.scheme == "heun_held":
        raise Unsupported("evaluates the coupling at each stage")
    unroll = UNROLLED[variant]
    start = tuple(jnp.asarray(v, case.dtype) for v in (problem.x0, problem.y0))
    if case.delayed:
        return partial(delayed, problem, start, unroll)
    return partial(instantaneous, case, start)


def instantaneous(case, start, k, conn):
    coupling = vb.make_diff_cfun(conn, a=k)
    _, loop = vb.make_ode(case.dt, lambda xy, _: rate(*xy, coupling(xy[0])), method=case.scheme)
    return loop(start, jnp.arange(case.steps), None)[0]


def delayed(problem, start, unroll, k, conn):
    case = problem.case
    longest = int(problem.lags.max())
    made = vb.make_delay_helper(conn.T, jnp.asarray(problem.lags, jnp.int32), dt=1.0, v_c=1.0)
    made = made._replace(max_lag=longest + 1)
    strength = conn.sum(1)

    def derivative(buffers, xy, t, _):
        received = vb.delay_apply(made, t, buffers[0])
        return rate(*xy, k * (received - strength * xy[0]))

    def step(carry, t):
        xs, x, y = carry
        dx, dy = derivative((xs,), (x, y), t, None)
        x, y = x + case.dt * dx, y + case.dt * dy
        return (xs.at[t + 1].set(x), x, y), x

    buffers = tuple(buffer(v, longest + 1, case.steps) for v in start)
    if case.scheme == "heun":
        _, loop = vb.make_sdde(case.dt, longest, derivative, 0.0, unroll=unroll)
        return loop(buffers, None)[1][0][:, 0]
    carry = (buffers[0], start[0][None], start[1][None])
    times = jnp.arange(longest, longest + case.steps)
    return lax.scan(step, carry, times, unroll=unroll)[1][:, 0]


def buffer(v, before, steps):
    """Return the past, in which v stood still, and room for what is to come."""
    past = jnp.broadcast_to(v, (before, 1, len(v)))
    return jnp.concatenate([past, jnp.zeros((steps, 1, len(v)), v.dtype)])
