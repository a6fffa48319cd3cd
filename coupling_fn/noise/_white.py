r"""White noise: increments $g(x)\, F\, \Delta W$ over a step, with $\Delta W \sim N(0, dt)$.

White noise has no value at a time, so it enters the states alone and never an input. The amplitude
$g$ is read at the state where the noise is added, so its parameters have gradients.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._core import PerTarget, PyTree, Scalar, parameter
from ._factor import factor_field, require_amplitude


class White(eqx.Module):
    r"""White noise, $g(x)\, F\, dW$: subclass it, and define $g$ in `amplitude`.

    Attributes:
        factor: $F$, `(region, source)`, which mixes independent sources into regions
            (`correlation_factor`). None means one independent source per region. [1]

    Example:
        >>> class Shot(cf.noise.White):
        ...     sigma: jax.Array
        ...     factor: jax.Array | None = None
        ...
        ...     def amplitude(self, state):
        ...         return self.sigma * jnp.sqrt(jnp.abs(state.x))
        >>> Shot(jnp.array(0.5)).amplitude(cf.nodes.LinearState(jnp.array([4.0, 0.0]))).tolist()
        [1.0, 0.0]
    """

    factor: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def amplitude(self, state: PyTree) -> Any:
        """Return $g$ at a state of the node, each variable `(region,)`: a scalar, or `(region,)`.

        [state/ms^0.5]
        """


class Additive(White):
    r"""White noise of constant amplitude: $\sigma F\, dW$.

    In `Params.noise`, a plain number stands for the same without a factor.

    Args:
        sigma: standard deviation, a scalar or one value per region. [state/ms^0.5]
        factor: $F$, `(region, source)`, what regions share, from `correlation_factor`; None if they
            share nothing. [1]

    Raises:
        ValueError: if sigma is negative.

    Example:
        >>> factor = cf.noise.correlation_factor(jnp.array([[1.0, 0.5], [0.5, 1.0]]))
        >>> params = cf.Params(cf.nodes.HopfParams(), noise=cf.noise.Additive(0.02, factor=factor))
    """

    sigma: Scalar | PerTarget = parameter("sigma", 1.0)
    factor: Any = factor_field()

    def __check_init__(self):
        require_amplitude(self)

    def amplitude(self, state):
        """Return sigma."""
        return self.sigma


class Multiplicative(White):
    r"""White noise whose amplitude is a function of the state: $\sigma\, g(x)\, F\, dW$.

    Its meaning depends on the scheme. "euler" (Euler–Maruyama), "rk4" and, unless they say otherwise,
    other schemes take the amplitude at the start of a step: they solve the Itô equation. "heun" takes
    the mean of the amplitudes at its two stages: it solves the Stratonovich equation, whose Itô form has
    the further drift $\sigma^2 g g' / 2$.

    Args:
        function: $g$, from the state of the node to a scalar or `(region,)`. The numbers in a
            callable pytree are fitted like any others. [state/ms^0.5 where sigma is 1]
        sigma: scale of the amplitude, a scalar or one value per region. [1]
        factor: $F$, `(region, source)`, what regions share, from `correlation_factor`; None if they
            share nothing. [1]

    Raises:
        TypeError: if `function` is not callable.
        ValueError: if sigma is negative.

    Source:
        P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992): the
        strong order is 0.5 for Euler–Maruyama, and 1 for Heun where the noises commute.

    Example:
        >>> noise = cf.noise.Multiplicative(lambda s: s.S_e * (1 - s.S_e), sigma=0.02)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), noise={"S_e": noise})
    """

    function: Callable[[Any], Any]
    sigma: Scalar | PerTarget = parameter("sigma", 1.0)
    factor: Any = factor_field()

    def __check_init__(self):
        if not callable(self.function):
            raise TypeError(
                "`function` must be a function of the state that returns the amplitude; got "
                f"{type(self.function).__name__}. For a constant amplitude use `cf.noise.Additive`."
            )
        require_amplitude(self)

    def amplitude(self, state):
        """Return sigma times the function of the state."""
        return self.sigma * self.function(state)
