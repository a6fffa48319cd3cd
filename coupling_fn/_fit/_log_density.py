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
from ._leaves import Fitted, Unconstrained, fitted_leaves, one_float


@dataclasses.dataclass(frozen=True, eq=False)  # a function: hashed by what it is, not by numbers
class LogDensity:
    """A log-density over unconstrained numbers: a pure function that can be called.

    BlackJAX takes it as it is, NumPyro takes its `potential`:

        sampler = blackjax.nuts(density, step_size, inverse_mass_matrix)
        state = sampler.init(density.start)

        kernel = numpyro.infer.NUTS(potential_fn=density.potential)
        numpyro.infer.MCMC(kernel, ...).run(key, init_params=density.start)

    Args:
        start: the unconstrained numbers of `params`, a tuple with an entry a fitted leaf.
    """

    loss: Callable[[Any], Array]
    prior: Callable[[Any], Array] | None
    fitted: Fitted
    start: Unconstrained

    def __call__(self, unconstrained: Unconstrained) -> Float[Array, ""]:
        """The log of the posterior density, up to a constant, with the Jacobian of the ranges."""
        leaves = self.fitted.values(unconstrained)
        total = -one_float(self.loss(self.fitted.put(leaves)))
        for transform, u in zip(self.fitted.transforms, unconstrained, strict=True):
            total = total + log_slope(transform, u).astype(total.dtype)
        if self.prior is not None:
            total = total + jnp.asarray(self.prior(self.fitted.as_where(leaves)), total.dtype)
        return total

    def potential(self, unconstrained: Unconstrained) -> Float[Array, ""]:
        """Its negative, the potential energy."""
        return -self(unconstrained)

    def params(self, unconstrained: Unconstrained) -> PyTree:
        """The parameters at unconstrained numbers; `jax.vmap` it over samples."""
        return self.fitted.at(unconstrained)

    def leaves(self, unconstrained: Unconstrained) -> PyTree:
        """The fitted leaves there, as `where` gives them; `jax.vmap` it over samples."""
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
    at the unconstrained numbers $u$.

    Args:
        loss: $\ell$, the negative log-likelihood: `0.5 * jnp.sum((residuals / noise) ** 2)`, with
            `+ count * jnp.log(noise)` where the noise is fitted too.
        params: where a sampler may start, a fit's result say.
        where: the leaves to sample, as in `fit`.
        transform: their ranges, as in `fit`. Of `masked` and `symmetric` the density is that of
            one number an entry, of `low_rank` and `regional` that of the factors and coefficients.
        prior: the log-density of the leaves, as `where` gives them; flat if None: within
            `bounded(low, high)` that is a proper one.

    Returns:
        A function of the numbers in its `start`.

    Raises:
        TypeError: if the loss returns something else than one float; otherwise as `fit`.
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
    # Inside of a `jit`, over data sets say, there is nothing to look at yet.
    fitted = fitted_leaves("log_density", params, where, transform, check=not traced(params))
    return LogDensity(loss, prior, fitted, fitted.start())
