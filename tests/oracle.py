"""A network of scalar loops in float64: shares no code with what it judges.

A rule is `(edge, post)`: what one edge carries, and what becomes of the weighted sum. Lags may be
whole or fractional; `history[source]` has the oldest row first and the present is not in it.
"""

from dataclasses import dataclass, field
from math import exp, floor, sin, tanh

import numpy as np


def diffusive(k=1.0):
    return (lambda s, t: s - t), (lambda total, i: at(k, i) * total)


def additive(k=1.0, b=0.0):
    return (lambda s, t: s), (lambda total, i: at(k, i) * total + at(b, i))


def sigmoidal(k=1.0, cmin=-1.0, cmax=1.0, midpoint=0.0, a=1.0, sigma=230.0):
    def post(total, i):
        return at(k, i) * (cmin + (cmax - cmin) / (1 + exp(-a * (total - midpoint) / sigma)))

    return (lambda s, t: s), post


def hyperbolic_tangent(k=1.0, a=1.0, b=1.0, midpoint=0.0, sigma=1.0):
    return (
        (lambda s, t: a * (1 + tanh((b * s - midpoint) / sigma))),
        (lambda total, i: at(k, i) * total),
    )


def sigmoidal_jansen_rit(k=1.0, cmin=0.0, cmax=0.005, midpoint=6.0, r=0.56):
    return (
        (lambda s, t: cmin + (cmax - cmin) / (1 + exp(r * (midpoint - s)))),
        (lambda total, i: at(k, i) * total),
    )


def pre_sigmoidal(k=1.0, H=0.5, Q=1.0, G=60.0, P=1.0, theta=0.5):
    return (
        (lambda s, t: H * (Q + tanh(G * (P * s - theta)))),
        (lambda total, i: at(k, i) * total),
    )


def kuramoto(k=1.0):
    return (lambda s, t: sin(s - t)), (lambda total, i: at(k, i) * total)


def at(value, i):
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else float(value[i])


def couple(rule, conn, source, target):
    """`source` is `(source,)`, or `(target, source)` where each target sees its own."""
    edge, post = rule
    conn, source, target = np.asarray(conn), np.asarray(source), np.asarray(target)
    out = np.zeros(len(conn))
    for i in range(conn.shape[0]):
        total = 0.0
        for j in range(conn.shape[1]):
            if conn[i, j] != 0:
                s = source[j] if source.ndim == 1 else source[i, j]
                total += conn[i, j] * edge(float(s), float(target[i]))
        out[i] = post(total, i)
    return out


@dataclass
class Wire:
    rule: tuple
    conn: np.ndarray
    source: str
    into: str
    lags: np.ndarray | None = None
    target: str | None = None


@dataclass
class Net:
    """`node(state, inputs) -> derivative`, each a dict of float lists for one region."""

    node: object
    wires: list
    dt: float
    scheme: str = "euler"
    hold: str = "stage"
    noise: object = None  # noise(step) -> dict of (region,) or None
    external: dict = field(default_factory=dict)  # name -> f(t, region)
    history: dict = field(default_factory=dict)  # source -> (lag, region)

    def run(self, x0, steps):
        past = {name: [np.array(x) for x in rows] for name, rows in self.history.items()}
        x = {name: np.array(v, float) for name, v in x0.items()}
        record = []
        for n in range(steps):
            x_next = self._step(x, past, n)
            for name in past:
                past[name] = past[name][1:] + [x[name]] if past[name] else []
            x = x_next
            record.append(x)
        return {name: np.array([r[name] for r in record]) for name in x0}

    def _step(self, x, past, n):
        dt = self.dt
        kick = self.noise(n) if self.noise else {name: 0.0 for name in x}

        def rate(stage, when):
            c = self._inputs(stage, x, past, n, when)
            size = len(next(iter(x.values())))
            out = {name: np.zeros(size) for name in x}
            for i in range(size):
                d = self.node(
                    {name: float(v[i]) for name, v in stage.items()},
                    {name: float(v[i]) for name, v in c.items()},
                )
                for name in x:
                    out[name][i] = d[name]
            return out

        if self.hold == "step":
            held = self._inputs(x, x, past, n, 0.0)
            self_inputs = self._inputs
            self._inputs = lambda *_: held
        try:
            return self._scheme(rate, x, dt, kick)
        finally:
            if self.hold == "step":
                self._inputs = self_inputs

    def _scheme(self, rate, x, dt, kick):
        def move(rates, amount, noise=None):
            return {
                name: x[name] + amount * rates[name] + (noise[name] if noise else 0.0) for name in x
            }

        a = rate(x, 0.0)
        if self.scheme == "euler":
            return move(a, dt, kick)
        if self.scheme == "heun":
            b = rate(move(a, dt, kick), 1.0)
            return move({name: (a[name] + b[name]) / 2 for name in x}, dt, kick)
        b = rate(move(a, dt / 2), 0.5)
        c = rate(move(b, dt / 2), 0.5)
        d = rate(move(c, dt), 1.0)
        mean = {name: (a[name] + 2 * b[name] + 2 * c[name] + d[name]) / 6 for name in x}
        return move(mean, dt, kick)

    def _inputs(self, stage, x, past, n, when):
        size = len(next(iter(x.values())))
        out = {}
        for name, f in self.external.items():
            out[name] = np.array([f((n + when) * self.dt, i) for i in range(size)])
        for wire in self.wires:
            edge, post = wire.rule
            own = stage[wire.target or wire.source]
            lags = np.zeros(wire.conn.shape) if wire.lags is None else wire.lags
            c = np.zeros(size)
            for i in range(wire.conn.shape[0]):
                total = 0.0
                for j in range(wire.conn.shape[1]):
                    w = wire.conn[i, j]
                    if w == 0:
                        continue
                    lag = float(lags[i, j])
                    whole = floor(lag)
                    for share, d in ((1 - (lag - whole), whole), (lag - whole, whole + 1)):
                        if share == 0:
                            continue
                        if d == 0:
                            reads = [(1.0, stage[wire.source][j])]
                        else:
                            rows = past[wire.source] + [x[wire.source]]
                            now = len(rows) - 1 - d
                            reads = {
                                0.0: [(1.0, now)],
                                0.5: [(0.5, now), (0.5, now + 1)],
                                1.0: [(1.0, now + 1)],
                            }[when]
                            reads = [(p, rows[r][j]) for p, r in reads]
                        for part, s in reads:
                            total += w * share * part * edge(float(s), float(own[i]))
                c[i] = post(total, i)
            out[wire.into] = out.get(wire.into, np.zeros(size)) + c
        for name in ("x", "y", "theta", "E", "I", "v", "w"):
            out.setdefault(name, np.zeros(size))
        return out
