r"""Coloured noise: paths $u(t)$ that have a value at every time, from a noise state of their own.

The state of a run carries the noise state. It has unit variance, so that the parameters of the noise
are read where its value is, and have gradients.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import (
    PerTarget,
    Scalar,
    as_float,
    known,
    parameter,
    require_positive,
    require_positive_number,
)
from ._factor import as_factor, factor_field, require_amplitude


class Coloured(eqx.Module):
    r"""Coloured noise, a path $u(t)$ with a noise state: subclass it to write your own.

    In `Params.noise` the path is added to the rate of change of a state. In `Params.external` it is
    an input of the node, alone or added to a stimulus: `stimulus + noise`.

    Attributes:
        factor: $F$, `(region, source)`, which mixes independent sources into regions
            (`correlation_factor`). None means one independent source per region. [1]
        components: how many numbers per region the noise state holds. [1]

    Example:
        >>> class Walk(cf.noise.Coloured):
        ...     sigma: jax.Array
        ...     factor: jax.Array | None = None
        ...     components = 1
        ...
        ...     def start(self, xi):
        ...         return 0 * xi
        ...
        ...     def update(self, state, xi, dt):
        ...         return state + dt**0.5 * xi
        ...
        ...     def value(self, state):
        ...         return self.sigma * state[0]
        >>> noise = Walk(jnp.array(0.5))
        >>> noise.value(noise.update(jnp.zeros((1, 2)), jnp.array([[2.0, -4.0]]), 1.0)).tolist()
        [1.0, -2.0]
    """

    factor: eqx.AbstractVar[Any]
    components: eqx.AbstractVar[int]

    @abc.abstractmethod
    def start(self, xi: Array) -> Array:
        """Return the noise state at t = 0, from standard normal numbers `(component, region)`."""

    @abc.abstractmethod
    def update(self, state: Array, xi: Array, dt: float) -> Array:
        """Return the noise state after dt [ms], from new standard normal numbers of its shape."""

    @abc.abstractmethod
    def value(self, state: Array) -> Array:
        """Return the value of the path, `(region,)`. [unit of the rate or input it adds to]."""


class OrnsteinUhlenbeck(Coloured):
    r"""Ornstein–Uhlenbeck noise, $\tau\, du = -u\, dt + \sigma \sqrt{2\tau}\, dW$.

    It starts in its stationary distribution, of mean 0, and stays there. Its update is exact,
    $u(t + dt) = e^{-dt/\tau} u(t) + \sigma \sqrt{1 - e^{-2 dt/\tau}}\, \xi$, so neither its spread
    nor its autocorrelation depends on dt.

    Args:
        sigma: standard deviation, a scalar or one value per region. [unit of the input, or state/ms]
        tau: time constant, a scalar or one value per region. [ms]
        factor: $F$, `(region, source)`, what regions share, from `correlation_factor`; None if they
            share nothing. [1]

    Raises:
        ValueError: if sigma is negative, or tau is not positive.

    Source:
        D. Gillespie, Phys. Rev. E 54 (1996) 2084-2091, for the exact update.

    Example:
        >>> noise = cf.noise.OrnsteinUhlenbeck(sigma=0.1, tau=5.0)
        >>> into_rate = cf.Params(cf.nodes.WilsonCowanParams(), noise={"E": noise})
        >>> into_input = cf.Params(cf.nodes.WilsonCowanParams(), external={"E": noise})
    """

    sigma: Scalar | PerTarget = parameter("sigma", 1.0)
    tau: Scalar | PerTarget = parameter("tau", 5.0)
    factor: Any = factor_field()
    components = 1

    def __check_init__(self):
        require_amplitude(self)
        require_positive("tau", self.tau, "ms")

    def start(self, xi):
        """Draw the noise state from the stationary distribution."""
        return xi

    def update(self, state, xi, dt):
        """Return the noise state after dt [ms]."""
        return _relax(state, xi, dt / self.tau)

    def value(self, state):
        """Return the value of the path, `(region,)`."""
        return self.sigma * state[0]


class Pink(Coloured):
    r"""Pink noise, whose spectrum falls as 1/f between two frequencies.

    It is a sum of Ornstein–Uhlenbeck processes of equal variance, whose corner frequencies
    $1 / (2\pi\tau)$ are evenly spaced on a log axis from `low` to `high`. Below that band the
    spectrum is flat, above it falls as 1/f². Near the edges of the band the slope goes over into
    these: ask for a band that is wider than the one you need by a factor of three at either end.

    Args:
        sigma: standard deviation, a scalar or one value per region. [unit of the input, or state/ms]
        low: lowest corner frequency. [Hz]
        high: highest corner frequency; a run resolves nothing beyond 500 / dt. [Hz]
        factor: $F$, `(region, source)`, what regions share, from `correlation_factor`; None if they
            share nothing. [1]
        components: number of processes; by default three per decade, and one. [1]

    Raises:
        ValueError: if sigma is negative, low is not positive or not below high, or there are fewer
            than two components.

    Source:
        A. van der Ziel, Physica 16 (1950) 359-372, for the sum of relaxations.

    Example:
        >>> noise = cf.noise.Pink(sigma=0.1, low=0.1, high=100.0)
        >>> noise.components
        10
    """

    sigma: Scalar | PerTarget
    low: Scalar
    high: Scalar
    factor: Any
    components: int = eqx.field(static=True)

    def __init__(
        self,
        sigma: Any = 1.0,
        low: Any = 0.1,
        high: Any = 100.0,
        factor: Any = None,
        components: int | None = None,
    ):
        self.sigma = as_float("sigma", sigma)
        self.low, self.high = as_float("low", low), as_float("high", high)
        self.factor = as_factor(factor)
        require_positive_number("low", self.low, "Hz")
        require_positive_number("high", self.high, "Hz")
        if known(self.low, self.high) and not (np.asarray(self.low) < np.asarray(self.high)).all():
            raise ValueError(f"`low` must be below `high`; got {low} and {high} Hz.")
        if components is None:
            if not known(self.low, self.high):
                raise ValueError(
                    "`components` must be given where `low` or `high` is traced: how many processes "
                    "there are by default depends on their values."
                )
            components = 1 + math.ceil(3 * math.log10(float(self.high) / float(self.low)))
        if components < 2:
            raise ValueError(f"`components` must be 2 or more; got {components}.")
        self.components = components

    def __check_init__(self):
        require_amplitude(self)

    @property
    def tau(self) -> Array:
        """The time constants, `(component,)`, the longest first. [ms]."""
        place = jnp.linspace(0.0, 1.0, self.components, dtype=self.low.dtype)
        corner = self.low * (self.high / self.low) ** place
        return 1000 / (2 * jnp.pi * corner)  # Hz to ms

    def start(self, xi):
        """Draw the noise state from the stationary distribution."""
        return xi

    def update(self, state, xi, dt):
        """Return the noise state after dt [ms], each process with its own time constant."""
        return _relax(state, xi, (dt / self.tau)[:, None])

    def value(self, state):
        """Return the value of the path, `(region,)`."""
        return self.sigma * state.sum(axis=0) / math.sqrt(self.components)


def _relax(state: Array, xi: Array, elapsed: Array) -> Array:
    r"""Update processes of unit variance exactly: $e^{-r} s + \sqrt{1 - e^{-2r}}\, \xi$.

    Here $r$ is `elapsed`, the time step over the time constant: `(region,)`, `(component, 1)` or a
    scalar. $1 - e^{-2r}$ is written with `expm1`, which keeps its digits where $r$ is small.
    """
    if jnp.ndim(elapsed) == 1:
        elapsed = elapsed[None]
    return jnp.exp(-elapsed) * state + jnp.sqrt(-jnp.expm1(-2 * elapsed)) * xi
