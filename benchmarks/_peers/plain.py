"""Plain JAX, as well as we know: a gather from a ring of twice the length, in one scan.

The ring is written twice, a length apart, so that the indices of a read never wrap: they are
one constant array plus a scalar. Gradient and sweep are `jax.grad` and `jax.vmap` of this.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._problem import A, OMEGA


def rate(x, y, c):
    r = A - x * x - y * y
    return r * x - OMEGA * y + c, r * y + OMEGA * x


def step_by(case, x, y, coupling):
    """Advance one step; `coupling(x, stage)` is the input."""
    dt, c = case.dt, coupling(x, 0)
    dx, dy = rate(x, y, c)
    if case.scheme != "euler":
        xp, yp = x + dt * dx, y + dt * dy
        ex, ey = rate(xp, yp, coupling(xp, 1) if case.scheme == "heun" else c)
        dx, dy = 0.5 * (dx + ex), 0.5 * (dy + ey)
    return x + dt * dx, y + dt * dy


def build(problem):
    case, dtype = problem.case, problem.case.dtype
    x0, y0 = (jnp.asarray(v, dtype) for v in (problem.x0, problem.y0))
    n, length = len(x0), int(problem.lags.max()) + 1
    offset = jnp.asarray((length - problem.lags) * n + np.arange(n), jnp.int32)
    ahead = 1 if case.scheme == "heun" else 0

    def run(k, conn):
        strength = conn.sum(1)

        def delayed(ring, t):
            at = offset + t % length * n
            return (conn * ring.reshape(-1).at[at].get(mode="promise_in_bounds")).sum(1)

        def step(carry, t):
            ring, x, y, now = carry
            # No lag is below one step, so the second stage's input is the next step's first.
            new = delayed(ring, t + ahead)
            received = (now, new) if ahead else (new, new)
            x, y = step_by(case, x, y, lambda x, stage: k * (received[stage] - strength * x))
            at = (t + 1) % length
            ring = ring.at[at].set(x).at[at + length].set(x)
            return (ring, x, y, new), x

        ring = jnp.broadcast_to(x0, (2 * length, n))
        start = (ring, x0, y0, delayed(ring, 0))
        return lax.scan(step, start, jnp.arange(case.steps))[1]

    if case.delayed:
        return run
    from .bare import build  # without a delay, there is no ring to keep

    return build(problem)
