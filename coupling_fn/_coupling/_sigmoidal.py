"""Rules that bound what regions send, or what they receive, by a sigmoid."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Scalar, Strength, parameter
from ._rule import Coupling, Source, to_conn


class SigmoidalCoupling(Coupling):
    """`sigmoidal_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> cf.SigmoidalCoupling(conn=jnp.eye(2), k=2.0)(jnp.array([0.0, 1e4])).tolist()
        [0.0, 2.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    cmin: Strength = parameter("cmin", -1.0)
    cmax: Strength = parameter("cmax", 1.0)
    midpoint: Strength = parameter("midpoint", 0.0)
    a: Strength = parameter("a", 1.0)
    sigma: Strength = parameter("sigma", 230.0)

    def send(self, source):
        """The state itself."""
        return source

    def receive(self, sums, target, strength):
        """The sigmoid of what comes in."""
        rise = jax.nn.sigmoid(self.a * (sums - self.midpoint) / self.sigma)
        return self.k * (self.cmin + (self.cmax - self.cmin) * rise)


def sigmoidal_coupling(
    source: Source,
    conn: Weights,
    k: Strength = 1.0,
    *,
    cmin: Strength = -1.0,
    cmax: Strength = 1.0,
    midpoint: Strength = 0.0,
    a: Strength = 1.0,
    sigma: Strength = 230.0,
) -> Num[Array, " target"]:
    r"""Bound what each region receives: a sigmoid after the sum.

    $c_i = k \,(c_{min} + (c_{max} - c_{min}) / (1 + \exp(-a\,(\sum_j W_{ij} s_j - m)/\sigma)))$

    Args:
        source: $s$, the state each region sends, or what each target sees of it. [state]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1]
        k: strength, global or one a target. [1]
        cmin: the input far below the midpoint. [state/ms]
        cmax: the input far above it. [state/ms]
        midpoint: $m$, the sum at which the input is halfway. [state]
        a: gain. [1]
        sigma: width of the rise; the default of 230 suits weights that are not normalised. [state]

    Returns:
        The input of each region. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        Defaults of The Virtual Brain's Sigmoidal: P. Sanz-Leon et al., NeuroImage 111 (2015).

    Example:
        >>> cf.sigmoidal_coupling(jnp.array([0.0, 1e4]), jnp.eye(2)).tolist()
        [0.0, 1.0]
    """
    return SigmoidalCoupling(conn, k, cmin, cmax, midpoint, a, sigma)(source)


class HyperbolicTangentCoupling(Coupling):
    """`hyperbolic_tangent_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> cf.HyperbolicTangentCoupling(conn=jnp.eye(2), k=0.5)(jnp.array([0.0, 99.0])).tolist()
        [0.5, 1.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    a: Scalar = parameter("a", 1.0)
    b: Scalar = parameter("b", 1.0)
    midpoint: Scalar = parameter("midpoint", 0.0)
    sigma: Scalar = parameter("sigma", 1.0)

    def send(self, source):
        """The state, squashed."""
        return self.a * (1 + jnp.tanh((self.b * source - self.midpoint) / self.sigma))

    def receive(self, sums, target, strength):
        """What comes in, scaled."""
        return self.k * sums


def hyperbolic_tangent_coupling(
    source: Source,
    conn: Weights,
    k: Strength = 1.0,
    *,
    a: Scalar = 1.0,
    b: Scalar = 1.0,
    midpoint: Scalar = 0.0,
    sigma: Scalar = 1.0,
) -> Num[Array, " target"]:
    r"""Bound what each region sends: a hyperbolic tangent before the sum.

    $c_i = k \sum_j W_{ij}\, a\,(1 + \tanh((b s_j - m)/\sigma))$

    Args:
        source: $s$, the state each region sends, or what each target sees of it. [state]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1]
        k: strength, global or one a target. [1]
        a: half of the largest message. [state/ms]
        b: scale of the state. [1]
        midpoint: $m$, where the message is halfway. [state]
        sigma: width of the rise. [state]

    Returns:
        The input of each region. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        Defaults of The Virtual Brain's HyperbolicTangent: P. Sanz-Leon et al., NeuroImage 111 (2015).

    Example:
        >>> cf.hyperbolic_tangent_coupling(jnp.array([0.0, 99.0]), jnp.eye(2)).tolist()
        [1.0, 2.0]
    """
    return HyperbolicTangentCoupling(conn, k, a, b, midpoint, sigma)(source)


class SigmoidalJansenRitCoupling(Coupling):
    """`sigmoidal_jansen_rit_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> coupling = cf.SigmoidalJansenRitCoupling(conn=jnp.eye(2), k=1000.0)
        >>> coupling(jnp.array([6.0, 600.0])).tolist()
        [2.5, 5.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    cmin: Scalar = parameter("cmin", 0.0, "kHz")
    cmax: Scalar = parameter("cmax", 0.005, "kHz")
    midpoint: Scalar = parameter("midpoint", 6.0, "mV")
    r: Scalar = parameter("r", 0.56, "1/mV")

    def send(self, source):
        """The firing rate at the potential `source`."""
        rise = jax.nn.sigmoid(self.r * (source - self.midpoint))
        return self.cmin + (self.cmax - self.cmin) * rise

    def receive(self, sums, target, strength):
        """What comes in, scaled."""
        return self.k * sums


def sigmoidal_jansen_rit_coupling(
    source: Source,
    conn: Weights,
    k: Strength = 1.0,
    *,
    cmin: Scalar = 0.0,
    cmax: Scalar = 0.005,
    midpoint: Scalar = 6.0,
    r: Scalar = 0.56,
) -> Num[Array, " target"]:
    r"""Send the firing rate of Jansen and Rit's pyramidal cells: a sigmoid before the sum.

    $c_i = k \sum_j W_{ij}\,(c_{min} + (c_{max} - c_{min}) / (1 + \exp(r\,(m - s_j))))$

    Args:
        source: $s = y_1 - y_2$, the pyramidal cells' potential, or what each target sees of it. [mV]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1]
        k: strength, global or one a target. [1]
        cmin: the lowest rate. [kHz]
        cmax: the highest rate: twice e0 of the source. [kHz]
        midpoint: $m$, the potential at half of the highest rate. [mV]
        r: steepness. [1/mV]

    Returns:
        The rate that arrives at each region. [kHz]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        B. H. Jansen and V. G. Rit, Biol. Cybern. 73 (1995) 357-366, eq. 3, as a coupling with the
        defaults of The Virtual Brain's SigmoidalJansenRit.

    Example:
        >>> rates = cf.sigmoidal_jansen_rit_coupling(jnp.array([6.0, 600.0]), jnp.eye(2))
        >>> rates.round(4).tolist()
        [0.0025, 0.005]
    """
    return SigmoidalJansenRitCoupling(conn, k, cmin, cmax, midpoint, r)(source)


class PreSigmoidalCoupling(Coupling):
    """`pre_sigmoidal_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> cf.PreSigmoidalCoupling(conn=jnp.eye(2), k=2.0)(jnp.array([0.5, 9.0])).tolist()
        [1.0, 2.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = parameter("k", 1.0, "1")
    H: Scalar = parameter("H", 0.5)
    Q: Scalar = parameter("Q", 1.0)
    G: Scalar = parameter("G", 60.0)
    P: Scalar = parameter("P", 1.0)
    theta: Scalar = parameter("theta", 0.5)

    def send(self, source):
        """The state, squashed around its threshold."""
        return self.H * (self.Q + jnp.tanh(self.G * (self.P * source - self.theta)))

    def receive(self, sums, target, strength):
        """What comes in, scaled."""
        return self.k * sums


def pre_sigmoidal_coupling(
    source: Source,
    conn: Weights,
    k: Strength = 1.0,
    *,
    H: Scalar = 0.5,
    Q: Scalar = 1.0,
    G: Scalar = 60.0,
    P: Scalar = 1.0,
    theta: Scalar = 0.5,
) -> Num[Array, " target"]:
    r"""Send the state squashed around a fixed threshold: a steep sigmoid before the sum.

    $c_i = k \sum_j W_{ij}\, H\,(Q + \tanh(G\,(P s_j - \theta)))$

    The Virtual Brain's implementation of this name does not couple the nodes; this is the formula
    that its source paper gives.

    Args:
        source: $s$, the state each region sends, or what each target sees of it. [state]
        conn: `conn[i, j]` is what `i` receives from `j`; array or sparse; integers become floats. [1]
        k: strength, global or one a target. [1]
        H: height of a message. [state/ms]
        Q: its base. [1]
        G: gain. [1/state]
        P: scale of the state. [1]
        theta: threshold. [state]

    Returns:
        The input of each region. [state/ms]

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or k is not finite.

    Source:
        G. Deco et al., Front. Syst. Neurosci. 4 (2010), with The Virtual Brain's defaults.

    Example:
        >>> cf.pre_sigmoidal_coupling(jnp.array([0.5, 9.0]), jnp.eye(2)).tolist()
        [0.5, 1.0]
    """
    return PreSigmoidalCoupling(conn, k, H, Q, G, P, theta)(source)
