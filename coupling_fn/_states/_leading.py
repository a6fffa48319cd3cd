"""The pattern of phases that dominates at each time."""

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._signals import as_series, root


def leading_eigenvectors(phases: Num[ArrayLike, "time region"]) -> Float[Array, "time region"]:
    r"""Compute the leading eigenvector of the phase coherence matrix at each time (LEiDA).

    The matrix $\cos(\phi_i - \phi_j)$ has rank 2, and its leading eigenvector is known in closed form:
    $v_i \propto \cos(\phi_i - \psi)$ with $2 \psi$ the angle of $\sum_j e^{2 i \phi_j}$. So no matrix is
    made: memory is about three times that of `phases`, and time is proportional to it.

    Regions of one sign are within half a cycle of one phase, and those of the other sign within half a
    cycle of the opposite one. The sign of the whole is free; it is chosen so that most elements are
    negative, or, of equally many, their sum. Where both eigenvalues are equal, $\psi$ is 0, with
    gradient 0.

    Args:
        phases: one column per region, as from `instantaneous_phase` of signals after `bandpass`.
            [rad]

    Returns:
        One eigenvector per time, of length 1: what `kmeans` makes states of. [1]

    Raises:
        ValueError: if `phases` is not (time, region) or is empty.
        TypeError: if `phases` is complex.

    Source:
        J. Cabral et al., Sci. Rep. 7, 5135 (2017).

    Example:
        >>> phases = jnp.array([[0.0, 0.0, jnp.pi, 0.1]])  # region 2 is opposed to the others
        >>> cf.observe.leading_eigenvectors(phases).round(2).tolist()
        [[-0.5, -0.5, 0.5, -0.5]]
    """
    phases = as_series("phases", phases, samples=1)
    cos, sin = jnp.cos(2 * phases).sum(axis=1), jnp.sin(2 * phases).sum(axis=1)
    # An angle has no derivative at 0, so 0 is replaced by 1 there, which has angle 0.
    equal = (cos == 0) & (sin == 0)
    middle = jnp.atan2(jnp.where(equal, 0, sin), jnp.where(equal, 1, cos)) / 2
    v = jnp.cos(phases - middle[:, None])
    v = v / root(jnp.square(v).sum(axis=1, keepdims=True))
    positive = 2 * (v > 0).sum(axis=1, keepdims=True) - phases.shape[1]
    turned = (positive > 0) | ((positive == 0) & (v.sum(axis=1, keepdims=True) > 0))
    return jnp.where(lax.stop_gradient(turned), -v, v)
