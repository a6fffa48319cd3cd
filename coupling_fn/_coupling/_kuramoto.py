"""The rule of phase oscillators: Kuramoto coupling."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Strength
from ._rule import Coupling, Source, Target, in_receive, to_conn


class KuramotoCoupling(Coupling):
    r"""Pull each phase towards the phases that project to it.

    $c_i = k \sum_j W_{ij} \sin(s_j - t_i)$ for the phases $s$ that regions send, the phases $t$ that
    they are in, and the weights $W$ in `conn`. It is added to each region's frequency. [rad/ms]
    Nothing is divided by the number of regions $n$: put $1/n$ into `conn` for the all-to-all model.

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1/ms]
        k: coupling strength: one number, or one per target. [1]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or `k` is not finite.
        TypeError: if `conn` or `k` is not an array of real numbers.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 5.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])  # (target, source): region 1 drives region 0
        >>> coupling = cf.KuramotoCoupling(conn, k=2.0)
        >>> phase = jnp.array([0.0, jnp.pi / 2])  # (region,)
        >>> coupling(phase, phase).tolist()  # (region,)
        [2.0, 0.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    shift_invariant: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return two messages, as sin(s - t) = sin s cos t - cos s sin t."""
        return jnp.sin(source), jnp.cos(source)

    def receive(self, sums, target, in_strength):
        """Return the two sums, combined by the own phase."""
        sines, cosines = sums
        return self.k * (sines * jnp.cos(target) - cosines * jnp.sin(target))


def kuramoto_coupling(
    source: Source, target: Target, conn: Weights, k: Strength = KuramotoCoupling.k
) -> Num[Array, " target"]:
    """Compute the input of each region by `KuramotoCoupling(conn, k)`, in one call.

    See `KuramotoCoupling` for the formula, units and source.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> phase = jnp.array([0.0, jnp.pi / 2])
        >>> cf.kuramoto_coupling(phase, phase, conn, k=2.0).tolist()
        [2.0, 0.0]
    """
    return KuramotoCoupling(conn, k)(source, target)
