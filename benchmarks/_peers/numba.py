"""A compiled scalar loop: what the arithmetic costs without a vectorising compiler's help.

`fastmath` and `parallel` are off. History is time-minor, so that the reads of one edge in
successive steps share a cache line; it keeps the whole run, so that no index wraps.
"""

import numpy as np
from numba import njit

from .._problem import OMEGA, A, Unsupported

COMPILES_ITSELF = True


@njit
def couple(history, conn, strength, lags, k, t, x, c):
    for i in range(len(x)):
        total = x[i] * 0
        for j in range(len(x)):
            total += conn[i, j] * history[j, t - lags[i, j]]
        c[i] = k * (total - strength[i] * x[i])


@njit
def couple_now(conn, strength, k, x, c):
    for i in range(len(x)):
        total = x[i] * 0
        for j in range(len(x)):
            total += conn[i, j] * x[j]
        c[i] = k * (total - strength[i] * x[i])


@njit
def simulate(x, y, k, conn, lags, dt, a, omega, half, delayed, stages, held, steps):
    n, longest = len(x), lags.max()
    history = np.empty((n, longest + steps + 1), x.dtype)
    for i in range(n):
        history[i, : longest + 1] = x[i]
    strength = conn.sum(1)
    record = np.empty((steps, n), x.dtype)
    x, y = x.copy(), y.copy()
    xp, yp, c, d = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for t in range(longest, longest + steps):
        if delayed:
            couple(history, conn, strength, lags, k, t, x, c)
        else:
            couple_now(conn, strength, k, x, c)
        for i in range(n):
            r = a - x[i] * x[i] - y[i] * y[i]
            xp[i] = x[i] + dt * (r * x[i] - omega * y[i] + c[i])
            yp[i] = y[i] + dt * (r * y[i] + omega * x[i])
        if stages == 2:
            if held:
                d[:] = c
            elif delayed:
                couple(history, conn, strength, lags, k, t + 1, xp, d)
            else:
                couple_now(conn, strength, k, xp, d)
            for i in range(n):
                r = a - xp[i] * xp[i] - yp[i] * yp[i]
                ex = xp[i] + dt * (r * xp[i] - omega * yp[i] + d[i])
                yp[i] = half * (y[i] + yp[i] + dt * (r * yp[i] + omega * xp[i]))
                xp[i] = half * (x[i] + ex)
        for i in range(n):
            x[i], y[i] = xp[i], yp[i]
            history[i, t + 1] = record[t - longest, i] = x[i]
    return record


def build(problem):
    case = problem.case
    if case.quantity != "forward":
        raise Unsupported("runs forward only")
    x0, y0 = problem.x0.astype(case.dtype), problem.y0.astype(case.dtype)
    dt, a, omega, half = np.array([case.dt, A, OMEGA, 0.5], case.dtype)
    lags = problem.lags.astype(np.int32)
    stages, held = 1 + (case.scheme != "euler"), case.scheme == "heun_held"

    def run(k, conn):
        rest = (dt, a, omega, half, case.delayed, stages, held, case.steps)
        return simulate(x0, y0, k, conn, lags, *rest)

    return run
