"""The sparse problem that everyone solves, and its answer in NumPy and scipy.

Linear nodes, `dx_i = -x_i + k sum_j W_ij x_j(t - d_ij)`, in Euler steps of float32. `W[i, j]` and
`d[i, j]` are from j to i. Before t = 0 every node is where it starts.
"""

from dataclasses import dataclass

import numpy as np

DT, K, RUNS = 0.1, 0.9, np.linspace(0.5, 0.95, 64, dtype=np.float32)
LAGS = 10, 200  # least and most [steps]
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """What is asked, without the arrays."""

    n: int
    degree: int
    quantity: str = "forward"  # or "sweep", "grad_k"
    delayed: bool = False
    heavy: bool = False
    steps: int = 100

    def __str__(self):
        degrees = f"degree {self.degree}" + ", heavy-tailed" * self.heavy
        return f"{self.quantity}, {'delayed' * self.delayed or 'no delay'}, N = {self.n}, {degrees}"


def make_problem(case):
    rng = np.random.default_rng(0)
    if case.heavy:
        degree = (0.5 * case.degree * (1 + rng.pareto(2.0, case.n))).astype(int)
        degree = np.minimum(degree, 100 * int(np.median(degree)))
        degree[0] = min(100 * int(np.median(degree)), case.n)
    else:
        degree = rng.poisson(case.degree, case.n)
    degree = np.minimum(degree, case.n // 2)
    target = np.repeat(np.arange(case.n), degree)
    source = rng.integers(0, case.n, len(target))
    key = np.unique(target * np.int64(case.n) + source)
    target, source = np.divmod(key, case.n)
    weight = rng.uniform(0.5, 1.5, len(key)) / np.maximum(degree, 1)[target]
    problem = {"target": target, "source": source, "weight": weight.astype(np.float32)}
    problem["x0"] = rng.uniform(-1, 1, case.n).astype(np.float32)
    if case.delayed:
        problem["lags"] = rng.integers(LAGS[0], LAGS[1] + 1, len(key)).astype(np.int32)
    return problem


def solve(case, problem, k):
    """Compute the last x, in float64 or complex; before the run x was constant."""
    from scipy.sparse import csr_array

    where = problem["target"], problem["source"]
    weight = problem["weight"].astype(float)
    x = problem["x0"].astype(type(k))
    if not case.delayed:
        conn = csr_array((weight, where), shape=(case.n, case.n))
        for _ in range(case.steps):
            x = x + DT * (k * (conn @ x) - x)
        return x
    deep = LAGS[1] + 1
    history = np.repeat(x[None], deep, 0)
    there = np.unique(where[0])
    starts = np.searchsorted(where[0], there)
    for n in range(case.steps):
        history[n % deep] = x
        arrived = weight * history[(n - problem["lags"]) % deep, where[1]]
        received = np.zeros_like(x)
        received[there] = np.add.reduceat(arrived, starts)
        x = x + DT * (k * received - x)
    return x


def reference(case, problem):
    if case.quantity == "forward":
        return [solve(case, problem, K)]
    if case.quantity == "sweep":
        return [solve(case, problem, float(k)) for k in (RUNS[0], RUNS[-1])]
    x = solve(case, problem, K + 1e-100j)
    return [(x**2).mean().real, (x**2).mean().imag / 1e-100]
