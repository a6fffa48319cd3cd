"""Rules that are linear in what regions send: diffusive and additive coupling."""

from typing import ClassVar

import equinox as eqx
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Strength, parameter
from ._rule import Coupling, Source, Target, to_conn


class DiffusiveCoupling(Coupling):
    """`diffusive_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> coupling = cf.DiffusiveCoupling(conn=jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=0.5)
        >>> x = jnp.array([0.0, 2.0])
        >>> coupling(x, x).tolist()
        [1.0, 0.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    shift_invariant: ClassVar[bool] = True

    def send(self, source):
        """The state itself."""
        return source

    def receive(self, sums, target, strength):
        """What comes in, less the own state as often."""
        return self.k * (sums - strength * target)


def diffusive_coupling(
    source: Source, target: Target, conn: Weights, k: Strength = 1.0
) -> Num[Array, " target"]:
    r"""Pull each region towards the regions that project to it.

    $c_i = k \sum_j W_{ij} (s_j - t_i)$, with $W$ the weights `conn`. When source and target are one
    state $x$ this is $-k L x$ for the Laplacian $L = D - W$ (`laplacian_connectivity`).

    Args:
        source: $s$, the state each region sends, or what each target sees of it. [state]
        target: $t$, the state each region is in. [state]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1/ms]
        k: strength, global or one a target; 0 uncouples the network. [1]

    Returns:
        What to add to each region's rate of change. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.
        TypeError: if `conn` is complex.

    Source:
        M. Newman, Networks, 2nd ed. (2018), section 6.14, for the Laplacian.

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])  # region 1 drives region 0
        >>> x = jnp.array([0.0, 2.0])
        >>> cf.diffusive_coupling(x, x, conn, k=0.5).tolist()
        [1.0, 0.0]
    """
    return DiffusiveCoupling(conn, k)(source, target)


class AdditiveCoupling(Coupling):
    """`additive_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> cf.AdditiveCoupling(conn=jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=0.3)(jnp.array([1.0, 2.0]))
        Array([0.6, 0. ], dtype=...)
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    b: Strength = parameter("b", 0.0)

    def send(self, source):
        """The state itself."""
        return source

    def receive(self, sums, target, strength):
        """What comes in, scaled and shifted."""
        return self.k * sums + self.b


def additive_coupling(
    source: Source, conn: Weights, k: Strength = 1.0, *, b: Strength = 0.0
) -> Num[Array, " target"]:
    r"""Add up what projects to each region: $c_i = k \sum_j W_{ij} s_j + b$.

    The field's "Linear" coupling; with the default b = 0, its "Scaling".

    Args:
        source: $s$, the state each region sends, or what each target sees of it. [state]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1/ms]
        k: strength, global or one a target. [1]
        b: a constant added to every input, or one a target. [state/ms]

    Returns:
        The input of each region. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        P. Sanz-Leon et al., NeuroImage 111 (2015) 385-430, section "Coupling".

    Example:
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> cf.additive_coupling(jnp.array([1.0, 2.0]), conn, k=0.5).tolist()
        [1.0, 0.0]
    """
    return AdditiveCoupling(conn, k, b)(source)
