r"""What chance adds: white noise and its amplitudes, noise with a memory, and what regions share.

There are two kinds. White noise has no value at a time, only an increment over a step,
$g(x)\, \Delta W$ with $\Delta W \sim N(0, dt)$. Coloured noise is a path with a value at every
time; it has a memory, which the state carries, of unit variance, so that the parameters of the noise
are read where they are used and have gradients.
"""

import abc
import math
import zlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import (
    PerTarget,
    PyTree,
    Scalar,
    as_float,
    known,
    parameter,
    require_finite,
    require_nonnegative,
    require_one_or_each,
    require_positive,
    require_positive_number,
    require_square,
)

START = 2**31  # beyond every step: the number of the draw that a path starts from


class White(eqx.Module):
    r"""Noise of independent increments $g(x)\, F\, \Delta W$: subclass it to say $g$ in `amplitude`.

    Attributes:
        factor: $F$, `(region, source)`, what mixes independent sources into regions
            (`correlation_factor`); None is one of its own for each region.

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
        """Give $g$ at a state of the node: a scalar, or one a region. [state/ms^0.5]."""


class Coloured(eqx.Module):
    r"""Noise with a memory, a path $u(t)$: subclass it to write your own.

    In `Params.noise` the path is added to the rate of change of a state; in `Params.external` it
    is an input of the node, alone or added to a stimulus, `stimulus + noise`.

    Attributes:
        factor: $F$, `(region, source)`, what mixes independent sources into regions
            (`correlation_factor`); None is one of its own for each region.

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
        """Give the memory at t = 0, from standard normal numbers `(component, region)`."""

    @abc.abstractmethod
    def update(self, state: Array, xi: Array, dt: float) -> Array:
        """Give the memory one dt [ms] later, from new standard normal numbers of its shape."""

    @abc.abstractmethod
    def value(self, state: Array) -> Array:
        """Give the value of the path, `(region,)`. [unit of the rate or input it adds to]."""


Noise = White | Coloured


def correlation_factor(correlation: Any) -> Array:
    r"""Factorise a correlation matrix, for noise that regions share: $F F^T = C$ (Cholesky).

    Any other `(region, source)` array may be a factor too: a column of ones beside
    a diagonal is one source for all regions, beside their own.

    Args:
        correlation: $C$, `(region, region)`; with other variances than 1 it is a covariance, and
            sigma multiplies it. [1]

    Raises:
        ValueError: if it is not square, finite, symmetric and positive definite.

    Example:
        >>> factor = cf.noise.correlation_factor(jnp.array([[1.0, 0.6], [0.6, 1.0]]))
        >>> factor.round(3).tolist()
        [[1.0, 0.0], [0.6, 0.8]]
        >>> noise = cf.noise.Additive(0.1, factor=factor)
    """
    correlation = as_float("correlation", correlation)
    require_square("correlation", correlation)
    require_finite("correlation", correlation)
    if known(correlation):
        c = np.asarray(correlation)
        unlike = np.abs(c - c.T)
        if unlike.max() > 1e3 * np.finfo(c.dtype).eps * np.abs(c).max():
            i, j = (int(n) for n in np.unravel_index(unlike.argmax(), c.shape))
            raise ValueError(
                f"`correlation` must be symmetric; at ({i}, {j}) it is {c[i, j]}, and {c[j, i]} at "
                f"({j}, {i})."
            )
        least = np.linalg.eigvalsh(c).min()
        if least <= 0:
            raise ValueError(
                f"`correlation` must be positive definite; its smallest eigenvalue is {least:.3g}. "
                "One with less data than regions is not: add a little to its diagonal."
            )
    return jnp.linalg.cholesky(correlation)


def _factor() -> Any:
    convert = lambda x: None if x is None else as_float("factor", x)  # noqa: E731
    return eqx.field(default=None, converter=convert)


class Additive(White):
    r"""White noise of constant amplitude: $\sigma F\, dW$. A plain number is the same without F.

    Args:
        sigma: standard deviation, a scalar or one a region. [state/ms^0.5]
        factor: what regions share, from `correlation_factor`; None is nothing.

    Raises:
        ValueError: if sigma is negative.

    Example:
        >>> factor = cf.noise.correlation_factor(jnp.array([[1.0, 0.5], [0.5, 1.0]]))
        >>> params = cf.Params(cf.nodes.HopfParams(), noise=cf.noise.Additive(0.02, factor=factor))
    """

    sigma: Scalar | PerTarget = parameter("sigma", 1.0)
    factor: Any = _factor()

    def __check_init__(self):
        _require_sigma(self)

    def amplitude(self, state):
        """Give sigma."""
        return self.sigma


class Multiplicative(White):
    r"""White noise whose amplitude is a function of the state: $\sigma\, g(x)\, F\, dW$.

    Its meaning depends on the scheme. "euler" (Euler–Maruyama) and "rk4", which take the amplitude
    at the start of a step, are of Itô; "heun", which takes the mean of the amplitudes at its two
    stages, is of Stratonovich. In the form of Itô the latter has $\sigma^2 g g' / 2$ in its drift.

    Args:
        function: $g$, from the state of the node to a scalar or `(region,)`; a callable pytree has
            its numbers fitted like any other. [state/ms^0.5 where sigma is 1]
        sigma: what it is multiplied by, a scalar or one a region. [1]
        factor: what regions share, from `correlation_factor`; None is nothing.

    Raises:
        TypeError: if `function` is not one.
        ValueError: if sigma is negative.

    Source:
        P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992):
        strong orders are 0.5 for Euler–Maruyama, and 1 for Heun where noises commute.

    Example:
        >>> noise = cf.noise.Multiplicative(lambda s: s.S_e * (1 - s.S_e), sigma=0.02)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), noise={"S_e": noise})
    """

    function: Callable[[Any], Any]
    sigma: Scalar | PerTarget = parameter("sigma", 1.0)
    factor: Any = _factor()

    def __check_init__(self):
        if not callable(self.function):
            raise TypeError(
                "`function` must be a function of the state that gives the amplitude, not "
                f"{type(self.function).__name__}; for a constant one, Additive."
            )
        _require_sigma(self)

    def amplitude(self, state):
        """Give sigma times the function of the state."""
        return self.sigma * self.function(state)


class OrnsteinUhlenbeck(Coloured):
    r"""Noise that forgets with a time constant: $\tau\, du = -u\, dt + \sigma \sqrt{2\tau}\, dW$.

    It starts, and stays, at its stationary distribution, of mean 0. Its update is exact,
    $u(t + dt) = e^{-dt/\tau} u(t) + \sigma \sqrt{1 - e^{-2 dt/\tau}}\, \xi$, so that its spread and
    its memory do not depend on dt.

    Args:
        sigma: its standard deviation, a scalar or one a region. [unit of the input, or state/ms]
        tau: its time constant, a scalar or one a region. [ms]
        factor: what regions share, from `correlation_factor`; None is nothing.

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
    factor: Any = _factor()
    components = 1

    def __check_init__(self):
        _require_sigma(self)
        require_positive("tau", self.tau, "ms")

    def start(self, xi):
        """Draw from the stationary distribution."""
        return xi

    def update(self, state, xi, dt):
        """Forget some, and add as much."""
        return _forget(state, xi, dt / self.tau)

    def value(self, state):
        """Give the path."""
        return self.sigma * state[0]


class Pink(Coloured):
    r"""Noise whose spectrum falls as 1/f between two frequencies.

    A sum of Ornstein–Uhlenbeck processes of equal variance, whose corner frequencies
    $1 / (2\pi\tau)$ are evenly spaced on a log axis from `low` to `high`. Below the band the
    spectrum is flat, above it falls as 1/f². Near the edges the slope goes over into these: ask for
    a band wider by a factor of three on either side than what you need.

    Args:
        sigma: its standard deviation, a scalar or one a region. [unit of the input, or state/ms]
        low: where the band begins. [Hz]
        high: where it ends; beyond 500 / dt nothing is resolved. [Hz]
        factor: what regions share, from `correlation_factor`; None is nothing.
        components: how many processes; by default three a decade, and one.

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
        self.factor = None if factor is None else as_float("factor", factor)
        require_positive_number("low", self.low, "Hz")
        require_positive_number("high", self.high, "Hz")
        if known(self.low, self.high) and not (np.asarray(self.low) < np.asarray(self.high)).all():
            raise ValueError(f"`low` must be below `high`; they are {low} and {high} Hz.")
        if components is None:
            if not known(self.low, self.high):
                raise ValueError(
                    "`low` and `high` are not known yet (they are traced), and how many processes "
                    "there are depends on them: give `components`."
                )
            components = 1 + math.ceil(3 * math.log10(float(self.high) / float(self.low)))
        if components < 2:
            raise ValueError(f"`components` must be 2 or more, not {components}.")
        self.components = components

    def __check_init__(self):
        _require_sigma(self)

    @property
    def tau(self) -> Array:
        """The time constants in ms, the longest first."""
        place = jnp.linspace(0.0, 1.0, self.components, dtype=self.low.dtype)
        corner = self.low * (self.high / self.low) ** place
        return 1000 / (2 * jnp.pi * corner)  # Hz to ms

    def start(self, xi):
        """Draw from the stationary distribution."""
        return xi

    def update(self, state, xi, dt):
        """Let each process forget with its own time constant."""
        return _forget(state, xi, (dt / self.tau)[:, None])

    def value(self, state):
        """Give the path."""
        return self.sigma * state.sum(axis=0) / math.sqrt(self.components)


def _forget(state: Array, xi: Array, part: Array) -> Array:
    """The exact update of processes of unit variance."""
    if jnp.ndim(part) == 1:
        part = part[None]
    return jnp.exp(-part) * state + jnp.sqrt(-jnp.expm1(-2 * part)) * xi


def _require_sigma(noise: Any) -> None:
    require_finite("sigma", noise.sigma)
    require_nonnegative("sigma", noise.sigma, "It is a standard deviation.")
    if noise.factor is not None:
        require_finite("factor", noise.factor)


# --- how a network draws them ----------------------------------------------------------------------


def is_noise(x: Any) -> bool:
    """Whether this is one of the two kinds, rather than a number or a function of time."""
    return isinstance(x, White | Coloured)


def named(tree: PyTree, kind: type) -> dict[str, Any]:
    """The noises of a kind in a pytree, by where they are: "noise.x", "external.E.parts.1"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_noise)
    return {_name(path): leaf for path, leaf in leaves if isinstance(leaf, kind)}


def with_values(tree: PyTree, values: dict[str, Any]) -> PyTree:
    """The tree with its coloured noises replaced by functions of time that give these values."""

    def replace(path, leaf):
        return (lambda t: values[_name(path)]) if isinstance(leaf, Coloured) else leaf

    return jax.tree_util.tree_map_with_path(replace, tree, is_leaf=is_noise)


def draw(name: str, noise: Any, key: Any, number: Any, regions: int, dtype: Any) -> Array:
    """Standard normal numbers of a noise, its sources mixed.

    White noise: `(region,)`; coloured: `(component, region)`. Each noise has a stream of its own,
    which depends on its name alone: another noise beside it changes nothing.
    """
    stream = jax.random.fold_in(key, START | zlib.crc32(name.encode()))
    sources = regions if noise.factor is None else noise.factor.shape[1]
    shape = (noise.components, sources) if isinstance(noise, Coloured) else (sources,)
    xi = jax.random.normal(jax.random.fold_in(stream, number), shape, dtype)
    return xi if noise.factor is None else jnp.matmul(xi, noise.factor.T, precision="highest")


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def require_regions(name: str, noise: Any, regions: int) -> None:
    """Refuse a noise for another number of regions."""
    for what in ("sigma", "tau"):
        value = getattr(noise, what, None)
        if value is not None and not (what == "tau" and isinstance(noise, Pink)):
            require_one_or_each(f"{what}` of the noise `{name}", value, regions)
    factor = noise.factor
    if factor is not None and (jnp.ndim(factor) != 2 or len(factor) != regions):
        raise ValueError(
            f"`factor` of the noise `{name}` must be (region, source), ({regions}, any), not "
            f"{jnp.shape(factor)}."
        )
