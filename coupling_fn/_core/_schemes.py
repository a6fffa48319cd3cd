"""Integration schemes: one step of each, for any pytree of states.

A scheme calls `rate(state, at)` for the derivative of `state` at the time `at` within the step, from 0
(its start) to 1 (its end). `noise` is the noise increment of the step: one draw, the same in every
stage; or, where its size depends on the state, the function of the state that returns it. `within`
maps the state of each stage but the first before the scheme uses it.
"""

from collections.abc import Callable
from typing import Any

import jax

from ._types import PyTree

Rate = Callable[[PyTree, float], PyTree]
Within = Callable[[PyTree], PyTree]


def _moved(x: PyTree, amount: float, rate: PyTree, noise: PyTree = None) -> PyTree:
    """Return `x + amount * rate + noise`."""
    x = jax.tree.map(lambda x, r: x + amount * r, x, rate)
    return x if noise is None else jax.tree.map(lambda x, n: x + n, x, noise)


def _as_it_is(x: PyTree) -> PyTree:
    return x


def _at(noise: Any, x: PyTree) -> PyTree:
    """Return the noise increment at a state."""
    return noise(x) if callable(noise) else noise


def _mean(*weighted: tuple[float, PyTree]) -> PyTree:
    weights, trees = zip(*weighted, strict=True)
    return jax.tree.map(lambda *xs: sum(w * x for w, x in zip(weights, xs, strict=True)), *trees)


def euler(
    rate: Rate, x: PyTree, dt: float, noise: PyTree = None, within: Within = _as_it_is
) -> PyTree:
    """Step by Euler's method, of order 1; with noise, by Euler–Maruyama (Itô)."""
    del within  # its only stage is the first
    return _moved(x, dt, rate(x, 0.0), _at(noise, x))


def heun(
    rate: Rate, x: PyTree, dt: float, noise: PyTree = None, within: Within = _as_it_is
) -> PyTree:
    """Step by Heun's method, of order 2; with noise, by its stochastic form (Stratonovich)."""
    first, increment = rate(x, 0.0), _at(noise, x)
    guess = within(_moved(x, dt, first, increment))
    second = rate(guess, 1.0)
    if callable(noise):
        increment = _mean((0.5, increment), (0.5, noise(guess)))
    return _moved(x, dt, _mean((0.5, first), (0.5, second)), increment)


def rk4(
    rate: Rate, x: PyTree, dt: float, noise: PyTree = None, within: Within = _as_it_is
) -> PyTree:
    """Step by the classical Runge–Kutta method, of order 4.

    The noise increment, with its size at the start of the step, is added at the end.
    """
    first = rate(x, 0.0)
    second = rate(within(_moved(x, dt / 2, first)), 0.5)
    third = rate(within(_moved(x, dt / 2, second)), 0.5)
    fourth = rate(within(_moved(x, dt, third)), 1.0)
    mean = _mean((1 / 6, first), (1 / 3, second), (1 / 3, third), (1 / 6, fourth))
    return _moved(x, dt, mean, _at(noise, x))


SCHEMES: dict[str, Callable[..., Any]] = {"euler": euler, "heun": heun, "rk4": rk4}
# The times within the step at which each scheme calls `rate`.
STAGES = {"euler": (0.0,), "heun": (0.0, 1.0), "rk4": (0.0, 0.5, 1.0)}
