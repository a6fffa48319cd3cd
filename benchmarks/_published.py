"""What the cases of published results share: a row of the table, and one region on its own."""

from dataclasses import asdict, dataclass

import jax.numpy as jnp
import numpy as np

import coupling_fn as cf


@dataclass(frozen=True)
class Row:
    """One number: that of the literature, ours, and what must hold between them.

    `published` is a number, and ours must be within `within` of it; or the ends of a range, which ours
    must not leave. A published number with few digits has a tolerance of half its last digit, or more
    where a finite size or a finite time limits ours; the case then says so.
    """

    paper: str
    name: str
    published: float | tuple[float, float]
    ours: float
    within: float = 0.0
    unit: str = ""

    @property
    def difference(self):
        """Ours less the published number; to the nearer end of a range, 0 inside of it."""
        if isinstance(self.published, tuple):
            return self.ours - float(np.clip(self.ours, *self.published))
        return self.ours - self.published

    @property
    def passed(self):
        """Whether the criterion holds; it does not where ours is NaN."""
        return bool(abs(self.difference) <= self.within)

    @property
    def criterion(self):
        if isinstance(self.published, tuple):
            return f"in the range, to {self.within:.2g}" if self.within else "in the range"
        return f"within {self.within:.2g}"

    def cells(self):
        """Return the row as texts."""
        ends = self.published if isinstance(self.published, tuple) else (self.published,)
        published = " to ".join(f"{end:.8g}" for end in ends)
        unit = f" {self.unit}" if self.unit else ""
        judged = "pass" if self.passed else "FAIL"
        numbers = [published + unit, f"{self.ours:.8g}", f"{self.difference:.1e}"]
        return [self.paper, self.name, *numbers, self.criterion, judged]

    def record(self):
        """Return the row for a file."""
        derived = {"difference": self.difference, "criterion": self.criterion}
        return asdict(self) | derived | {"passed": self.passed}


def one(*values):
    """Return the states of one region."""
    return [jnp.array([float(value)]) for value in values]


def alone(name, start, dt=0.1, **given):
    """Return a network of one region that receives nothing, its parameters and a state."""
    node = cf.nodes.catalog()[name]
    params = cf.Params(node.Params(**given), cf.AdditiveCoupling(jnp.zeros((1, 1))))
    return cf.Network(node, dt, scheme="rk4"), params, node.State(*one(*start))


def upcrossings(x, dt):
    """Return the times at which x rises through its mean, interpolated linearly between samples."""
    x = np.asarray(x).ravel()
    x = x - x.mean()
    i = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    return dt * (i + x[i] / (x[i] - x[i + 1]))


def period(x, dt):
    """Return the mean time from one rise through the mean to the next."""
    return float(np.diff(upcrossings(x, dt)).mean())
