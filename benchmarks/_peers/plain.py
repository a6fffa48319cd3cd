"""Plain JAX, as fast as we can write it: one gather with constant indices in one scan.

Forward, the history is a ring of twice the length, written twice, a length apart, so that the
indices of a read never wrap: one constant array plus a scalar. In reverse mode JAX would keep
those moving indices of every step, O(T N^2). A history that is shifted has indices that never move; its
gradient measured 1.5 to 2.5 times faster, in 3 to 30 times less memory.
Gradient and sweep are `jax.grad` and `jax.vmap` of this.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax

from .._problem import Unsupported
from .bare import build_uncoupled as build_uncoupled
from .bare import step_by


def build(problem):
    case = problem.case
    if not case.delayed:
        raise Unsupported("is `bare` where nothing is delayed")
    x0, y0 = (jnp.asarray(v, case.dtype) for v in (problem.x0, problem.y0))
    # No lag is below one step, so a second stage's input is the next step's first: `ahead`.
    ahead = 1 if case.scheme == "heun" else 0
    make = shifted if case.quantity.startswith("grad") else ring
    return partial(run, case, ahead, (x0, y0), make(problem.lags - ahead, x0))


def run(case, ahead, xy, buffer, k, conn):
    history, read, write = buffer
    strength = conn.sum(1)

    def step(carry, t):
        history, x, y, now = carry
        new = (conn * read(history, t)).sum(1)
        received = (now, new) if ahead else (new, new)
        x, y = step_by(case, x, y, lambda x, stage: k * (received[stage] - strength * x))
        return (write(history, t, x), x, y, new), x

    start = history, *xy, (conn * xy[0]).sum(1)
    return lax.scan(step, start, jnp.arange(case.steps))[1]


def ring(lags, x0):
    n, length = len(x0), int(lags.max()) + 1
    offset = jnp.asarray((length - lags) * n + np.arange(n), jnp.int32)

    def read(history, t):
        return history.reshape(-1).at[offset + t % length * n].get(mode="promise_in_bounds")

    def write(history, t, x):
        at = (t + 1) % length
        return history.at[at].set(x).at[at + length].set(x)

    return jnp.broadcast_to(x0, (2 * length, n)), read, write


def shifted(lags, x0):
    n, length = len(x0), int(lags.max()) + 1
    at = jnp.asarray((length - 1 - lags) * n + np.arange(n), jnp.int32)

    def read(history, t):
        return history.reshape(-1).at[at].get(mode="promise_in_bounds")

    def write(history, t, x):
        return jnp.concatenate([history[1:], x[None]])

    return jnp.broadcast_to(x0, (length, n)), read, write
