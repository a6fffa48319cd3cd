"""Explicit Runge–Kutta schemes: Euler, Heun, the classical one, and any by its tableau."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from .._core import PyTree
from ._scheme import Scheme, added, mean, moved


class Euler(Scheme):
    r"""Step by Euler's method, of order 1: $x + \Delta t\, f(x)$; with noise, by Euler–Maruyama (Itô).

    Networks know it as "euler".

    Attributes:
        order: 1.
        stages: the start of the step.

    Example:
        >>> cf.schemes.Euler().step(lambda x, at: -x, jnp.array([2.0]), 0.25).tolist()
        [1.5]
    """

    order = 1
    stages = (0.0,)

    def step(self, rate, x, dt):
        """Return the state at the end of the step. See `Scheme`."""
        return moved(x, dt, rate(x, 0.0))


class Heun(Scheme):
    r"""Step by Heun's method, of order 2: the mean of the rates at the start and at Euler's end.

    With noise, both have the increment, each with its own size: the stochastic form (Stratonovich).
    Networks know it as "heun", and use it by default.

    Attributes:
        order: 2.
        stages: both ends of the step.

    Example:
        >>> cf.schemes.Heun().step(lambda x, at: -x, jnp.array([2.0]), 0.25).tolist()
        [1.5625]
    """

    order = 2
    stages = (0.0, 1.0)

    def step(self, rate, x, dt):
        """Return the state at the end of the step. See `Scheme`."""
        first = rate(x, 0.0)
        second = rate(moved(x, dt, first), 1.0)
        return moved(x, dt, mean((0.5, first), (0.5, second)))

    def noisy_step(self, rate, x, dt, noise):
        """Return the state at the end of a step with noise. See `Scheme`."""
        first, start = rate(x, 0.0), noise(x, 0.0)
        guess = added(moved(x, dt, first), start)
        second, end = rate(guess, 1.0), noise(guess, 1.0)
        increment = start if end is start else mean((0.5, start), (0.5, end))
        return added(moved(x, dt, mean((0.5, first), (0.5, second))), increment)


class RK4(Scheme):
    """Step by the classical Runge–Kutta method, of order 4.

    With noise, the increment is added at the end (Itô). In a delayed network the order is 2, because
    delayed sums are linear between steps. Networks know it as "rk4".

    Attributes:
        order: 4.
        stages: both ends and the middle of the step.

    Example:
        >>> step = cf.schemes.RK4().step(lambda x, at: -x, jnp.array([1.0]), 1.0)
        >>> step.round(4).tolist()  # 1 - 1 + 1/2 - 1/6 + 1/24
        [0.375]
    """

    order = 4
    stages = (0.0, 0.5, 1.0)

    def step(self, rate, x, dt):
        """Return the state at the end of the step. See `Scheme`."""
        first = rate(x, 0.0)
        second = rate(moved(x, dt / 2, first), 0.5)
        third = rate(moved(x, dt / 2, second), 0.5)
        fourth = rate(moved(x, dt, third), 1.0)
        return moved(x, dt, mean((1 / 6, first), (1 / 3, second), (1 / 3, third), (1 / 6, fourth)))


def _rows(a: Any) -> tuple[tuple[float, ...], ...]:
    try:
        return tuple(tuple(float(x) for x in row) for row in a)
    except (TypeError, ValueError):
        raise TypeError(f"`a` must be rows of numbers, [[1/2], [0, 3/4]] say, not {a!r}.") from None


def _row(b: Any) -> tuple[float, ...]:
    try:
        return tuple(float(x) for x in b)
    except (TypeError, ValueError):
        raise TypeError(f"`b` must be a list of numbers, not {b!r}.") from None


class RungeKutta(Scheme):
    r"""Step by any explicit Runge–Kutta method, given by its tableau.

    $k_i = f(x + \Delta t \sum_{j < i} a_{ij} k_j)$ at the time $c_i = \sum_j a_{ij}$ within the step; at
    its end the state is $x + \Delta t \sum_i b_i k_i$. With noise, the increment is added there (Itô).

    Args:
        a: the rows of the tableau below the first, which is empty: row i has i numbers.
        b: the weights of the stages; their sum is 1.

    Raises:
        ValueError: if a row has another length, `b` does not add up to 1, or a stage is outside of the
            step.
        TypeError: if these are no numbers.

    Source:
        E. Hairer, S. P. Nørsett, G. Wanner, Solving Ordinary Differential Equations I (1993), ch. II.1
        and II.2, for the tableau and the conditions on the order.

    Example:
        >>> ralston = cf.schemes.RungeKutta(a=[[1 / 2], [0, 3 / 4]], b=[2 / 9, 1 / 3, 4 / 9])
        >>> ralston.order, ralston.stages
        (3, (0.0, 0.5, 0.75))
        >>> net = cf.Network(cf.nodes.hopf, dt=0.1, scheme=ralston)
    """

    a: tuple[tuple[float, ...], ...] = eqx.field(static=True, converter=_rows)
    b: tuple[float, ...] = eqx.field(static=True, converter=_row)

    def __init__(self, a: Sequence[Sequence[float | int]], b: Sequence[float | int]):
        self.a, self.b = _rows(a), _row(b)

    def __check_init__(self):
        lengths = [len(row) for row in self.a]
        if lengths != list(range(1, len(self.b))):
            raise ValueError(
                f"`a` must have rows of 1, 2, ... numbers, one row fewer than `b` has numbers, "
                f"{len(self.b)}: its rows have {lengths}."
            )
        numbers = np.array([*self.b, *(x for row in self.a for x in row)])
        if not np.isfinite(numbers).all() or abs(sum(self.b) - 1) > 1e-9:
            raise ValueError(f"`b` must add up to 1, and all numbers be finite; b = {self.b}.")
        if not all(0 <= at <= 1 for at in self.stages):
            raise ValueError(
                f"`a` must have rows whose sums, the times of the stages, are from 0 to 1; they are "
                f"{self.stages[1:]}."
            )

    @property
    def stages(self) -> tuple[float, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The times of the stages within the step, in the order of the tableau."""
        # Rounded, so that thirds add up to the end of the step.
        return (0.0, *(round(sum(row), 12) for row in self.a))

    @property
    def order(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The order that the tableau has, up to 4: by the conditions on its numbers."""
        n = len(self.b)
        a, b = np.zeros((n, n)), np.array(self.b)
        for i, row in enumerate(self.a, 1):
            a[i, :i] = row
        c = a.sum(axis=1)
        conditions = {
            2: [(b @ c, 1 / 2)],
            3: [(b @ c**2, 1 / 3), (b @ a @ c, 1 / 6)],
            4: [
                (b @ c**3, 1 / 4),
                (b @ (c * (a @ c)), 1 / 8),
                (b @ a @ c**2, 1 / 12),
                (b @ a @ a @ c, 1 / 24),
            ],
        }
        for order, wanted in conditions.items():
            if any(abs(got - want) > 1e-9 for got, want in wanted):
                return order - 1
        return 4

    def step(self, rate, x, dt):
        """Return the state at the end of the step. See `Scheme`."""
        rates: list[PyTree] = []
        for row, at in zip(((), *self.a), self.stages, strict=True):
            rates.append(rate(_combined(x, dt, row, rates), at))
        return _combined(x, dt, self.b, rates)


def _combined(x: PyTree, dt: float, weights: Sequence[float], rates: list[PyTree]) -> PyTree:
    """Return x after a step with a weighted sum of rates."""
    used = [(weight, r) for weight, r in zip(weights, rates, strict=True) if weight]
    return moved(x, dt, mean(*used)) if used else x
