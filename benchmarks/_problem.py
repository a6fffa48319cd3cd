"""The problem that everyone solves, and its answer in NumPy.

A network of Stuart-Landau (Hopf) nodes, coupled diffusively in x over a dense connectome:

    dx_i = (a - x_i^2 - y_i^2) x_i - omega y_i + k sum_j W_ij (x_j(t - d_ij) - x_i(t))
    dy_i = (a - x_i^2 - y_i^2) y_i + omega x_i

Before t = 0 every node is where it starts. `W[i, j]` and `d[i, j]` are from j to i, and W is
not symmetric: on a symmetric one, nobody would notice who transposes it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

SPEED = 3.0  # [mm/ms]
# [1/ms]; 8 Hz, and k is as strong as the node. A faster network is chaotic at dt 1 ms, and no two
# float32 runs agree. Here lags that are wrong by one step change x by 5e-3, and the lag of a single
# strong edge by 5e-4.
A, OMEGA, K = 0.05, 0.05, 0.06
SWEEP = np.linspace(0.01, 0.1, 32)


class Unsupported(Exception):
    """The problem is not one that this implementation can solve; the message says why."""


@dataclass(frozen=True)
class Case:
    """What is asked of everyone, without the arrays."""

    connectome: str  # "synthetic", or the path of an npz with `weights` and `lengths` [mm]
    n: int
    quantity: str = "forward"  # or "grad_k", "grad_conn", "sweep"
    delayed: bool = True
    dt: float = 0.1  # [ms]
    steps: int = 2000
    scheme: str = "euler"  # or "heun" (coupling at each stage), "heun_held" (once per step)
    dtype: str = "float32"

    def __str__(self):
        name = "synthetic" if self.connectome == "synthetic" else Path(self.connectome).stem
        coupling = f"delayed, dt {self.dt:g} ms" if self.delayed else "instantaneous"
        return (
            f"{self.quantity}, {coupling}, {name} N = {self.n}, "
            f"{self.scheme}, {self.dtype}, {self.steps} steps"
        )


@dataclass(frozen=True)
class Problem:
    """A case and its arrays, in float64; `lags` [steps] are 0 where nothing is delayed."""

    case: Case
    weights: np.ndarray
    lags: np.ndarray
    x0: np.ndarray
    y0: np.ndarray

    def save(self, path):
        arrays = {k: v for k, v in vars(self).items() if k != "case"}
        np.savez(path, case=json.dumps(asdict(self.case)), **arrays)


def load_problem(path):
    with np.load(path) as file:
        arrays = dict(file)
    return Problem(Case(**json.loads(str(arrays.pop("case")))), **arrays)


def make_problem(case):
    rng = np.random.default_rng(0)
    weights, lengths = connectome(case.connectome, case.n, rng)
    weights = weights * rng.uniform(0.5, 1.5, weights.shape)  # directed, even if it was symmetric
    np.fill_diagonal(weights, 0)
    weights /= weights.sum(1).mean()
    lags = np.zeros(weights.shape, int)
    if case.delayed:
        # The peers disagree on lag 0, so 1 is the least. An absent edge has the least lag of
        # the present ones: it costs the same as any other, and delays nobody.
        lags = np.maximum(np.rint(lengths / SPEED / case.dt).astype(int), 1)
        lags[weights == 0] = lags[weights > 0].min()
    x0, y0 = rng.uniform(-0.5, 0.5, (2, len(weights)))
    return Problem(case, weights, lags, x0, y0)


def connectome(source, n, rng):
    """Return weights and lengths [mm], from a file or synthetic: log-normal, weaker with distance."""
    if source != "synthetic":
        with np.load(source) as file:
            return file["weights"].astype(float), file["lengths"].astype(float)
    direction = rng.normal(size=(n, 3))
    place = direction / np.linalg.norm(direction, axis=1, keepdims=True) * [60, 80, 55]
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    lengths = np.clip(distance * rng.uniform(1.1, 1.5, (n, n)), 10, 230)
    return rng.lognormal(sigma=1.0, size=(n, n)) * np.exp(-distance / 40), lengths


def solve(problem, k=K, weights=None):
    """Compute x, `(steps, N)`, by the formula, step by step; complex where `k` or `weights` is."""
    case = problem.case
    weights = problem.weights if weights is None else weights
    n, longest = len(weights), int(problem.lags.max())
    history = np.empty((longest + case.steps + 1, n), np.result_type(weights, k))
    x, y = problem.x0, problem.y0
    history[: longest + 1] = x
    flat = history.reshape(-1)
    offset = np.arange(n) - problem.lags * n

    def rate(x, y, c):
        r = A - x * x - y * y
        return r * x - OMEGA * y + c, r * y + OMEGA * x

    def coupling(x, t):
        source = flat[t * n + offset] if case.delayed else x
        return k * (weights * (source - x[:, None])).sum(1)

    for t in range(longest, longest + case.steps):
        c = coupling(x, t) if k else 0.0
        dx, dy = rate(x, y, c)
        if case.scheme != "euler":
            xp, yp = x + case.dt * dx, y + case.dt * dy
            ex, ey = rate(xp, yp, coupling(xp, t + 1) if k and case.scheme == "heun" else c)
            dx, dy = (dx + ex) / 2, (dy + ey) / 2
        x, y = x + case.dt * dx, y + case.dt * dy
        history[t + 1] = x
    return history[longest + 1 :]


def loss(x):
    return (x * x).mean()


# A derivative along a direction is the imaginary part of a run with an imaginary step that way:
# exact to rounding, and no derivative is written by hand.
TINY = 1e-100
WHICH = (0, len(SWEEP) // 2, len(SWEEP) - 1)  # runs of the sweep to compare
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}  # relative


def directions(problem):
    """Return two changes of the weights, of either sign and not symmetric."""
    rng = np.random.default_rng(1)
    return [problem.weights * rng.uniform(-1, 1, problem.weights.shape) for _ in range(2)]


def reference(problem):
    """Compute all that `error` needs to judge a result, as a dict of arrays."""
    quantity = problem.case.quantity
    if quantity == "forward":
        x, alone = solve(problem), solve(problem, 0.0)
        return {"x": x, "uncoupled": np.sqrt(loss(x - alone) / loss(x))}
    if quantity == "sweep":
        return {"power": np.stack([(solve(problem, SWEEP[i]) ** 2).mean(0) for i in WHICH])}
    if quantity == "grad_k":
        losses = [loss(solve(problem, K + 1j * TINY))]
    else:
        changed = [problem.weights + 1j * TINY * d for d in directions(problem)]
        losses = [loss(solve(problem, weights=w)) for w in changed]
    return {"value": losses[0].real, "slopes": np.array([v.imag for v in losses]) / TINY}


def error(problem, result, expected):
    """Measure how far a result, a list of arrays, is from the reference, relative to its size."""
    quantity = problem.case.quantity
    if quantity == "forward":
        return distance(result[0], expected["x"])
    if quantity == "sweep":
        return distance(result[0][list(WHICH)], expected["power"])
    value, grad = result
    if quantity == "grad_k":
        return max(distance(value, expected["value"]), distance(grad, expected["slopes"][0]))
    # Terms of either sign cancel in a slope, so its error is measured by their size.
    terms = [grad.astype(float) * d for d in directions(problem)]
    slips = [
        abs(t.sum() - s) / np.sqrt((t**2).sum())
        for t, s in zip(terms, expected["slopes"], strict=True)
    ]
    return max(distance(value, expected["value"]), *slips)


def distance(got, wanted):
    """Measure the largest difference, as a share of the largest value; inf if not finite."""
    got = np.asarray(got, float)
    if got.shape != wanted.shape:
        raise ValueError(f"the shape is {got.shape}, not {wanted.shape}")
    size = np.abs(got - wanted).max() / np.abs(wanted).max()
    return float(size) if np.isfinite(size) else np.inf
