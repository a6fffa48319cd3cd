"""A network as scalar loops in float64. It shares no code with what it judges.

A rule is a pair `(edge, post)`: `edge(s, t)` is what one edge carries, and `post(total, i)` turns the
weighted sum of target i into its input. Lags may be whole or fractional; `history[key]` has the oldest
row first and leaves the present out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, floor, sin, tanh

import numpy as np


def diffusive(k=1.0):
    return (lambda s, t: s - t), (lambda total, i: at(k, i) * total)


def additive(k=1.0, b=0.0):
    return (lambda s, t: s), (lambda total, i: at(k, i) * total + at(b, i))


def sigmoidal(k=1.0, cmin=-1.0, cmax=1.0, midpoint=0.0, a=1.0, sigma=230.0):
    def post(total, i):
        rise = 1 / (1 + exp(-at(a, i) * (total - at(midpoint, i)) / at(sigma, i)))
        return at(k, i) * (at(cmin, i) + (at(cmax, i) - at(cmin, i)) * rise)

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


def above_threshold(k=1.0, threshold=0.5):
    """Return the custom rule of the tutorial: a source counts only above a threshold."""
    return (lambda s, t: s if s > threshold else 0.0), (lambda total, i: at(k, i) * total)


def product(k=1.0, gain=1.0):
    """Return a rule that reads both ends of an edge and is no sum of products of the two."""
    return (lambda s, t: gain * tanh(s * t)), (lambda total, i: at(k, i) * total)


def at(value, i):
    value = np.asarray(value)
    return float(value) if value.ndim == 0 else float(value[i])


def couple(rule, conn, source, target):
    """Compute the input of each target; `source` is `(source,)`, or `(target, source)` with delays."""
    edge, post = rule
    conn, source, target = np.asarray(conn), np.asarray(source), np.asarray(target)
    out = np.zeros(len(conn))
    for i in range(conn.shape[0]):
        total = 0.0
        for j in range(conn.shape[1]):
            if conn[i, j] != 0:
                s = source[j] if source.ndim == 1 else source[i, j]
                total += float(conn[i, j]) * edge(float(s), float(target[i]))
        out[i] = post(total, i)
    return out


# Node dynamics of one region: `(state, inputs) -> derivative`, each a dict of floats.


def linear(a=-1.0):
    return lambda s, c: {"x": a * s["x"] + c["x"]}


def hopf(a=-0.02, omega=0.02 * np.pi):
    def rate(s, c):
        growth = a - s["x"] ** 2 - s["y"] ** 2
        return {
            "x": growth * s["x"] - omega * s["y"] + c["x"],
            "y": growth * s["y"] + omega * s["x"] + c["y"],
        }

    return rate


def wilson_cowan():
    def response(x, a, b):
        return 1 / (1 + exp(-a * (x - b))) - 1 / (1 + exp(a * b))

    def rate(s, c):
        e = response(16 * s["E"] - 12 * s["I"] + 1.25 + c["E"], 1.3, 4.0)
        i = response(15 * s["E"] - 3 * s["I"] + c["I"], 2.0, 3.7)
        return {
            "E": (-s["E"] + (1 - s["E"]) * e) / 8,
            "I": (-s["I"] + (1 - s["I"]) * i) / 8,
        }

    return rate


@dataclass
class Wire:
    """One coupling onto one input; `source` and `target` are names or functions of the state.

    `reads` says what is interpolated between two steps: the rule's "messages", or the "states" that
    the rule is given.
    """

    rule: tuple
    conn: np.ndarray
    source: str | Callable
    into: str
    lags: np.ndarray | None = None
    target: str | Callable | None = None
    key: str | None = None  # of the history; by default the name of the source
    reads: str = "messages"


@dataclass
class Net:
    """Nodes, wires, and a scheme; `run` records every state after the first."""

    node: Callable  # (state, inputs) -> derivative, each a dict of floats for one region
    wires: list
    dt: float
    scheme: str | tuple = "euler"  # a name, or a tableau: rows below the first, and weights
    hold: str = "stage"
    noise: Callable | None = None  # step -> dict of (region,)
    external: dict = field(default_factory=dict)  # input -> f(t, region)
    history: dict = field(default_factory=dict)  # key -> (lag, region)
    inputs: tuple = ()  # names of inputs beside those of the states
    bounds: dict = field(default_factory=dict)  # name -> (lowest, highest)
    clip: str = "step"

    def run(self, x0, steps):
        past = {key: [np.array(row) for row in rows] for key, rows in self.history.items()}
        x = {name: np.array(v, float) for name, v in x0.items()}
        signals = {self._key(wire): wire.source for wire in self.wires}
        record = []
        for n in range(steps):
            new = self._step(x, past, n)
            for key, source in signals.items():
                if past.get(key):
                    past[key] = [*past[key][1:], _read(x, source)]
            x = new
            record.append(x)
        return {name: np.array([r[name] for r in record]) for name in x0}

    def _key(self, wire):
        return wire.key or wire.source

    def _step(self, x, past, n):
        coupled = self._coupled(x, x, past, n, 0.0)

        def rate(stage, when):
            c = self._external(x, n, 0.0 if self.hold == "step" else when)
            held = self.hold in ("coupling", "step")
            for name, arrived in (
                coupled if held else self._coupled(stage, x, past, n, when)
            ).items():
                c[name] = c[name] + arrived
            out = {name: np.zeros(_size(x)) for name in x}
            for i in range(_size(x)):
                d = self.node(
                    {name: float(v[i]) for name, v in stage.items()},
                    {name: float(v[i]) for name, v in c.items()},
                )
                for name in x:
                    out[name][i] = d[name]
            return out

        increment = self.noise(n) if self.noise else dict.fromkeys(x, 0.0)

        def within(state):
            limits = self.bounds
            return {n: np.clip(v, *limits[n]) if n in limits else v for n, v in state.items()}

        def move(rates, amount, noise=None):
            return {
                name: x[name] + amount * rates[name] + (noise[name] if noise else 0.0) for name in x
            }

        def moved(rates, amount, noise=None):
            state = move(rates, amount, noise)
            return within(state) if self.clip == "stages" else state

        a = rate(x, 0.0)
        if self.scheme == "euler":
            return within(move(a, self.dt, increment))
        if self.scheme == "heun":
            b = rate(moved(a, self.dt, increment), 1.0)
            mean = {name: (a[name] + b[name]) / 2 for name in x}
            return within(move(mean, self.dt, increment))
        if isinstance(self.scheme, tuple):  # rows below the first, and weights
            rows, weights = self.scheme
            rates = [a]
            for row in rows:
                sums = {n: sum(w * r[n] for w, r in zip(row, rates, strict=True)) for n in x}
                rates.append(rate(moved(sums, self.dt), sum(row)))
            sums = {n: sum(w * r[n] for w, r in zip(weights, rates, strict=True)) for n in x}
            return within(move(sums, self.dt, increment))
        b = rate(moved(a, self.dt / 2), 0.5)
        c = rate(moved(b, self.dt / 2), 0.5)
        d = rate(moved(c, self.dt), 1.0)
        mean = {name: (a[name] + 2 * b[name] + 2 * c[name] + d[name]) / 6 for name in x}
        return within(move(mean, self.dt, increment))

    def _external(self, x, n, when):
        out = {name: np.zeros(_size(x)) for name in (*x, *self.inputs)}
        for name, f in self.external.items():
            for i in range(_size(x)):
                out[name][i] += f((n + when) * self.dt, i)
        return out

    def _coupled(self, stage, x, past, n, when):
        out = {name: np.zeros(_size(x)) for name in (*x, *self.inputs)}
        for wire in self.wires:
            edge, post = wire.rule
            own = _read(stage, wire.target or wire.source)
            now = _read(stage, wire.source)
            rows = [*past.get(self._key(wire), []), _read(x, wire.source)]
            for i in range(wire.conn.shape[0]):
                total = 0.0
                for j in range(wire.conn.shape[1]):
                    if wire.conn[i, j] == 0:
                        continue
                    lag = 0.0 if wire.lags is None else float(np.asarray(wire.lags)[i, j])
                    reads = [
                        (share, float(s[j]))
                        for share, s in self._arrived(lag, when, rows, now)
                        if share
                    ]
                    if wire.reads == "states":
                        message = edge(sum(share * s for share, s in reads), float(own[i]))
                    else:
                        message = sum(share * edge(s, float(own[i])) for share, s in reads)
                    total += float(wire.conn[i, j]) * message
                out[wire.into][i] += post(total, i)
        return out

    @staticmethod
    def _arrived(lag, when, rows, now):
        """Yield the shares and rows that a lag reads at the fraction `when` of the step."""
        whole = floor(lag)
        for part, back in ((1 - (lag - whole), whole), (lag - whole, whole + 1)):
            if part == 0:
                continue
            if back == 0:
                yield part, now
                continue
            here = len(rows) - 1 - back
            yield part * (1 - when), rows[here]
            if when:
                yield part * when, rows[here + 1]


def _read(x, signal):
    return x[signal] if isinstance(signal, str) else signal(x)


def _size(x):
    return len(next(iter(x.values())))
