"""The log-density of a fit, for samplers."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .._core import PyTree, Where, traced
from ..transforms import Transform
from ..transforms._transforms import log_slope
from ._leaves import Fitted, Unconstrained, fitted_leaves, one_float, told


@dataclasses.dataclass(frozen=True, eq=False)  # as a function it is hashed by identity
class LogDensity:
    """A log-density over unconstrained values: a pure function.

    BlackJAX takes it as it is, and NumPyro takes its `potential`:

        sampler = blackjax.nuts(density, step_size, inverse_mass_matrix)
        state = sampler.init(density.start)

        kernel = numpyro.infer.NUTS(potential_fn=density.potential)
        numpyro.infer.MCMC(kernel, ...).run(key, init_params=density.start)

    Attributes:
        loss: the negative log-likelihood, a function of the parameters. [1]
        prior: the log-density of the fitted leaves; None if it is flat. [1]
        fitted: the fitted leaves and their ranges.
        start: the unconstrained values of `params`, a tuple with one array per fitted leaf. [1]

    Example:
        >>> def loss(params):
        ...     return 0.5 * (params["k"] - 0.5) ** 2
        >>> at = {"k": jnp.asarray(0.5), "drive": jnp.asarray(1.0)}
        >>> density = cf.log_density(loss, at, where=lambda p: p["k"])
        >>> float(density(density.start)), float(density.potential((jnp.asarray(1.5),)))
        (0.0, 0.5)
        >>> draws = (jnp.asarray([0.1, 0.2]),)  # as a sampler returns them
        >>> jax.vmap(density.leaves)(draws).tolist()
        [0.1..., 0.2...]
        >>> jax.vmap(density.params)(draws)["drive"].shape
        (2,)
    """

    loss: Callable[[Any], Array]
    prior: Callable[[Any], Array] | None
    fitted: Fitted
    start: Unconstrained

    def __call__(self, unconstrained: Unconstrained) -> Float[Array, ""]:
        """Return the log of the posterior density, up to a constant, at unconstrained values."""
        leaves = self.fitted.values(unconstrained)
        total = -one_float(self.loss(self.fitted.put(leaves)))
        for transform, u in zip(self.fitted.transforms, unconstrained, strict=True):
            total = total + log_slope(transform, u).astype(total.dtype)
        if self.prior is not None:
            total = total + jnp.asarray(self.prior(self.fitted.as_where(leaves)), total.dtype)
        return total

    def potential(self, unconstrained: Unconstrained) -> Float[Array, ""]:
        """Return the negative log-density, which samplers call the potential energy."""
        return -self(unconstrained)

    def params(self, unconstrained: Unconstrained) -> PyTree:
        """Return the parameters at unconstrained values; `jax.vmap` it over samples."""
        return self.fitted.at(unconstrained)

    def leaves(self, unconstrained: Unconstrained) -> PyTree:
        """Return the fitted leaves there, as `where` returns them; `jax.vmap` it over samples."""
        return self.fitted.as_where(self.fitted.values(unconstrained))


def log_density(
    loss: Callable[[Any], Float[Array, ""]],
    params: PyTree,
    *,
    where: Where,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    prior: Callable[[Any], Float[Array, ""]] | None = None,
) -> LogDensity:
    r"""Turn a fit into the log-density of a posterior, for NumPyro, BlackJAX or your own sampler.

    $\log p(u) = -\ell(\theta) + \log p(\theta) + \log |d\theta / du|$ with $\theta$ the fitted leaves
    at the unconstrained values $u$.

    Args:
        loss: $\ell$, the negative log-likelihood: `0.5 * jnp.sum((residuals / noise) ** 2)`, with
            `+ count * jnp.log(noise)` where the noise is fitted too. [1]
        params: where a sampler may start, such as the result of a fit.
        where: the leaves to sample, as in `fit`.
        transform: their ranges, as in `fit`. For `masked` and `symmetric` the density is over one
            value per entry, for `low_rank` and `regional` over the factors and coefficients.
        prior: the log-density of the leaves, as `where` returns them. None is a flat prior, which
            is a proper one within `bounded(low, high)`. [1]

    Returns:
        A function of unconstrained values such as its `start`.

    Raises:
        TypeError: if the loss does not return one float; otherwise as `fit`.
        ValueError: as `fit`.

    Example:
        >>> loss = lambda p: (p["k"] - 0.5) ** 2 / 0.02
        >>> at = {"k": jnp.asarray(0.5)}
        >>> density = cf.log_density(
        ...     loss, at, where=lambda p: p["k"], transform=cf.transforms.bounded(0.0, 1.0)
        ... )
        >>> float(jnp.exp(density(density.start)))  # dk/du = k (1 - k)
        0.25
    """
    loss = told("log_density", "loss", loss)
    # Inside `jit`, for example over data sets, params have no values to check yet.
    fitted = fitted_leaves("log_density", params, where, transform, check=not traced(params))
    return LogDensity(loss, prior, fitted, fitted.start())
