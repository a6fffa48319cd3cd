"""Rules that are linear in what regions send: diffusive and additive coupling."""

from typing import ClassVar

import equinox as eqx
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Strength
from ._rule import Coupling, Source, Target, in_receive, to_conn


class DiffusiveCoupling(Coupling):
    r"""Pull each region towards the regions that project to it.

    $c_i = k \sum_j W_{ij} (s_j - t_i)$ for the states $s$ that regions send, the states $t$ that they
    are in, and the weights $W$ in `conn`. It is added to each region's rate of change. [state/ms]
    When source and target are one state $x$, it is $-k L x$ for the Laplacian $L = D - W$
    (`laplacian_connectivity`).

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1/ms]
        k: coupling strength: one number, or one per target; 0 uncouples the network. [1]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or `k` is not finite.
        TypeError: if `conn` or `k` is not an array of real numbers.

    Source:
        M. Newman, Networks, 2nd ed. (2018), section 6.14, for the Laplacian.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])  # (target, source): region 1 drives region 0
        >>> coupling = cf.DiffusiveCoupling(conn, k=0.5)
        >>> x = jnp.array([0.0, 2.0])  # (region,)
        >>> coupling(x, x).tolist()  # (region,)
        [1.0, 0.0]
        >>> seen = jnp.array([[0.0, 6.0], [0.0, 2.0]])  # (target, source): with a delay, say
        >>> coupling(seen, x).tolist()
        [3.0, 0.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    shift_invariant: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the state itself."""
        return source

    def receive(self, sums, target, in_strength):
        """Return the sum of differences: the sums, less the own state times the in-strength."""
        return self.k * (sums - in_strength * target)


def diffusive_coupling(
    source: Source, target: Target, conn: Weights, k: Strength = DiffusiveCoupling.k
) -> Num[Array, " target"]:
    """Compute the input of each region by `DiffusiveCoupling(conn, k)`, in one call.

    See `DiffusiveCoupling` for the formula, units and source.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> x = jnp.array([0.0, 2.0])
        >>> cf.diffusive_coupling(x, x, conn, k=0.5).tolist()
        [1.0, 0.0]
    """
    return DiffusiveCoupling(conn, k)(source, target)


class AdditiveCoupling(Coupling):
    r"""Add up what projects to each region.

    $c_i = k \sum_j W_{ij} s_j + b$ for the states $s$ that regions send and the weights $W$ in `conn`.
    It is added to each region's rate of change. [state/ms] The field calls it "Linear" coupling, and
    with the default `b` "Scaling".

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1/ms]
        k: coupling strength: one number, or one per target. [1]
        b: constant that is added to the input: one number, or one per target. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or `b` is NaN.
        TypeError: if `conn` or a parameter is not an array of real numbers.

    Source:
        P. Sanz-Leon et al., NeuroImage 111 (2015) 385-430, section "Coupling".

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])  # (target, source): region 1 drives region 0
        >>> coupling = cf.AdditiveCoupling(conn, k=0.5, b=jnp.array([0.0, 3.0]))
        >>> coupling(jnp.array([1.0, 2.0])).tolist()  # (source,) -> (target,)
        [1.0, 3.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    b: Strength = in_receive("b", 0.0)
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the state itself."""
        return source

    def receive(self, sums, target, in_strength):
        """Return the sums, scaled and shifted."""
        return self.k * sums + self.b


def additive_coupling(
    source: Source,
    conn: Weights,
    k: Strength = AdditiveCoupling.k,
    *,
    b: Strength = AdditiveCoupling.b,
) -> Num[Array, " target"]:
    """Compute the input of each region by `AdditiveCoupling(conn, k, b)`, in one call.

    See `AdditiveCoupling` for the formula, units and source.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> cf.additive_coupling(jnp.array([1.0, 2.0]), conn, k=0.5).tolist()
        [1.0, 0.0]
    """
    return AdditiveCoupling(conn, k, b)(source)
