"""The rule of phase oscillators: Kuramoto coupling."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Strength, parameter
from ._rule import Coupling, Source, Target, to_conn


class KuramotoCoupling(Coupling):
    """`kuramoto_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> coupling = cf.KuramotoCoupling(conn=jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=2.0)
        >>> phase = jnp.array([0.0, jnp.pi / 2])
        >>> coupling(phase, phase).tolist()
        [2.0, 0.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    shift_invariant: ClassVar[bool] = True

    def send(self, source):
        """Two channels: sin(s - t) = sin s cos t - cos s sin t."""
        return jnp.sin(source), jnp.cos(source)

    def receive(self, sums, target, strength):
        """The two channels, turned by the own phase."""
        sines, cosines = sums
        return self.k * (sines * jnp.cos(target) - cosines * jnp.sin(target))


def kuramoto_coupling(
    source: Source, target: Target, conn: Weights, k: Strength = 1.0
) -> Num[Array, " target"]:
    r"""Pull each phase towards the phases that project to it: $c_i = k \sum_j W_{ij} \sin(s_j - t_i)$.

    Nothing is divided by the number of regions: put 1/n into `conn` for the all-to-all model.

    Args:
        source: $s$, the phase each region sends, or what each target sees of it. [rad]
        target: $t$, the phase each region is in. [rad]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1/ms]
        k: strength, global or one a target. [1]

    Returns:
        What to add to each region's frequency. [rad/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 5.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> phase = jnp.array([0.0, jnp.pi / 2])
        >>> cf.kuramoto_coupling(phase, phase, conn, k=2.0).tolist()
        [2.0, 0.0]
    """
    return KuramotoCoupling(conn, k)(source, target)
