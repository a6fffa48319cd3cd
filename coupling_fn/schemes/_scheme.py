"""What a scheme is: how many stages a step has, when they are, and how the step follows from rates."""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._core import PyTree, in_short


class Rate(NamedTuple):
    """The rate of change of nodes: `rate(x, at)` at the state x and the time `at` within the step.

    Attributes:
        held: `held(x, at)` is the rate as a function of the nodes' own states, with what they receive
            held as it is at the state x.
    """

    held: Callable[[PyTree, float], Callable[[PyTree], PyTree]]

    def __call__(self, x: PyTree, at: float) -> PyTree:
        return self.held(x, at)(x)


class Scheme(eqx.Module):
    r"""How a network steps from t to t + dt: a frozen pytree, and the base of schemes of your own.

    A scheme says when its stages are, and computes a step from the rates there. A network asks nothing
    else of it, so it serves every road: undelayed, stepwise and blocked, with any `hold`, noise and
    input. Delayed sums come at each stage's own time, linear between the ends of the step.

    Numbers in fields that are arrays are leaves of the network: they may be swept and differentiated.

    Attributes:
        order: the order of the scheme without delays and noise. It is for those who read it: `diagnose`
            takes one below 4 as coarse for fast oscillations.
        stages: the times within the step at which `step` asks for rates, from 0, its start, to 1, its
            end; a rate at another time is an error. [dt]

    Example:
        Three stages that keep what Euler's steps keep (C.-W. Shu and S. Osher, J. Comput. Phys. 77
        (1988) 439-471):

        >>> class ThreeStages(cf.schemes.Scheme):
        ...     order = 3
        ...     stages = (0.0, 0.5, 1.0)
        ...
        ...     def step(self, rate, x, dt):
        ...         def mixed(a, x, y, r):  # (1 - a) x + a (y + dt r)
        ...             return jax.tree.map(lambda x, y, r: (1 - a) * x + a * (y + dt * r), x, y, r)
        ...
        ...         first = mixed(1.0, x, x, rate(x, 0.0))
        ...         second = mixed(0.25, x, first, rate(first, 1.0))
        ...         return mixed(2 / 3, x, second, rate(second, 0.5))
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=5, scheme=ThreeStages())
        >>> net.scheme.order
        3
    """

    if TYPE_CHECKING:  # A static checker takes abstract variables for fields.
        order: ClassVar[int]
        stages: ClassVar[tuple[float, ...]]
    else:
        order: eqx.AbstractClassVar[int]
        stages: eqx.AbstractClassVar[tuple[float, ...]]

    @abc.abstractmethod
    def step(self, rate: Callable[[PyTree, float], PyTree], x: PyTree, dt: float) -> PyTree:
        """Return the state at the end of the step.

        Args:
            rate: `rate(x, at)` is the rate of change at a state and a stage's time. [state/ms]
            x: the state at the start, any pytree. [state]
            dt: length of the step. [ms]
        """

    def noisy_step(
        self,
        rate: Callable[[PyTree, float], PyTree],
        x: PyTree,
        dt: float,
        noise: Callable[[PyTree, float], PyTree],
    ) -> PyTree:
        """Return the state at the end of a step with noise.

        By default the increment is added at the end, with the size it has at the start (Itô).

        Args:
            rate: as for `step`.
            x: likewise.
            dt: likewise.
            noise: `noise(x, at)` is the increment of the step, of which there is one draw; where its
                size depends on the state, it is that at the state x. [state]
        """
        return added(self.step(rate, x, dt), noise(x, 0.0))


def moved(x: PyTree, amount: float, rate: PyTree) -> PyTree:
    """Return `x + amount * rate`."""
    return jax.tree.map(lambda x, r: x + amount * r, x, rate)


def added(x: PyTree, increment: PyTree) -> PyTree:
    return jax.tree.map(lambda x, n: x + n, x, increment)


def mean(*weighted: tuple[float, PyTree]) -> PyTree:
    """Return the sum of trees, each times its weight."""
    weights, trees = zip(*weighted, strict=True)
    return jax.tree.map(lambda *xs: sum(w * x for w, x in zip(weights, xs, strict=True)), *trees)


def with_slopes(
    rate: Callable[[PyTree, float], PyTree], x: PyTree, at: float
) -> tuple[PyTree, PyTree]:
    r"""Compute rates, and the derivative of each by the state that it changes: for schemes of your own.

    These are $f$ and $\partial f_s / \partial s$ for each state variable $s$ of a node, at the present
    state, by forward differentiation. What a node receives is held, its own share of a diffusive
    coupling included: it is no part of the slope. Nodes must be elementwise, as all in `cf.nodes` are:
    the rate of a region may depend on other regions through its input alone.

    Args:
        rate: what `Scheme.step` is given; a function of your own must be elementwise. [state/ms]
        x: the state. [state]
        at: the time within the step. [dt]

    Returns:
        The rates [state/ms], and their slopes [1/ms], both like `x`.

    Example:
        >>> rate = lambda x, at: {"v": -3.0 * x["v"] + x["w"], "w": x["v"] - x["w"] ** 2}
        >>> x = {"v": jnp.array([1.0, 2.0]), "w": jnp.array([1.0, 2.0])}
        >>> rates, slopes = cf.schemes.with_slopes(rate, x, 0.0)
        >>> rates["v"].tolist(), slopes["v"].tolist(), slopes["w"].tolist()
        ([-2.0, -4.0], [-3.0, -3.0], [-2.0, -4.0])
    """
    own = rate.held(x, at) if isinstance(rate, Rate) else lambda y: rate(y, at)
    leaves, tree = jax.tree.flatten(x)
    rates, slopes = None, []
    for n in range(len(leaves)):
        push = [jnp.ones_like(y) if n == m else jnp.zeros_like(y) for m, y in enumerate(leaves)]
        # Of each derivative one state is read, and XLA drops the rest.
        rates, slope = jax.jvp(own, (x,), (jax.tree.unflatten(tree, push),))
        slopes.append(jax.tree.leaves(slope)[n])
    return rates, jax.tree.unflatten(tree, slopes)


def require_stages(scheme: Any) -> None:
    """Refuse a scheme of a user's own whose order or stages are none."""
    name = type(scheme).__name__
    if not isinstance(scheme.order, int) or scheme.order < 1:
        raise ValueError(f"`scheme` must have a whole order of 1 or more, not {scheme.order!r}.")
    stages = scheme.stages
    plain = isinstance(stages, tuple) and all(isinstance(at, float | int) for at in stages)
    if not plain or not stages or not all(0 <= at <= 1 for at in stages):
        raise ValueError(
            f"`scheme` must have stages, a tuple of numbers from 0 (the start of the step) to 1 (its "
            f"end); those of {name} are {in_short(stages)}: {stages}."
        )
