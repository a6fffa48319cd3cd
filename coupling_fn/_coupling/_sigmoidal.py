"""Rules that bound what regions send, or what they receive, by a sigmoid."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Num

from .._connectome import Weights
from .._core import Scalar, Strength
from ._rule import Coupling, Source, in_receive, in_send, to_conn


class SigmoidalCoupling(Coupling):
    r"""Bound what each region receives: a sigmoid after the sum.

    $c_i = k \,(c_{min} + (c_{max} - c_{min}) / (1 + \exp(-a\,(\sum_j W_{ij} s_j - m)/\sigma)))$ for
    the states $s$ that regions send and the weights $W$ in `conn`. It is added to each region's rate
    of change. [state/ms]

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1]
        k: coupling strength: one number, or one per target. [1]
        cmin: input far below the midpoint; like the other parameters one number, or one per target.
            [state/ms]
        cmax: input far above the midpoint. [state/ms]
        midpoint: $m$, the sum at which the input is halfway. [state]
        a: gain. [1]
        sigma: width of the rise; the default suits weights that are not normalised. [state]

    Raises:
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or another
            parameter is NaN.
        TypeError: if `conn` or a parameter is not an array of real numbers.

    Source:
        Defaults of The Virtual Brain's Sigmoidal: P. Sanz-Leon et al., NeuroImage 111 (2015).

    Example:
        >>> coupling = cf.SigmoidalCoupling(jnp.eye(2), k=2.0)
        >>> coupling(jnp.array([0.0, 1e4])).tolist()  # (source,) -> (target,)
        [0.0, 2.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    cmin: Strength = in_receive("cmin", -1.0)
    cmax: Strength = in_receive("cmax", 1.0)
    midpoint: Strength = in_receive("midpoint", 0.0)
    a: Strength = in_receive("a", 1.0)
    sigma: Strength = in_receive("sigma", 230.0)
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the state itself."""
        return source

    def receive(self, sums, target, in_strength):
        """Return the sigmoid of the sums, scaled."""
        rise = jax.nn.sigmoid(self.a * (sums - self.midpoint) / self.sigma)
        return self.k * (self.cmin + (self.cmax - self.cmin) * rise)


def sigmoidal_coupling(
    source: Source,
    conn: Weights,
    k: Strength = SigmoidalCoupling.k,
    *,
    cmin: Strength = SigmoidalCoupling.cmin,
    cmax: Strength = SigmoidalCoupling.cmax,
    midpoint: Strength = SigmoidalCoupling.midpoint,
    a: Strength = SigmoidalCoupling.a,
    sigma: Strength = SigmoidalCoupling.sigma,
) -> Num[Array, " target"]:
    """Compute the input of each region by a `SigmoidalCoupling`, in one call.

    See `SigmoidalCoupling` for the formula, units and source.

    Example:
        >>> cf.sigmoidal_coupling(jnp.array([0.0, 1e4]), jnp.eye(2)).tolist()
        [0.0, 1.0]
    """
    return SigmoidalCoupling(conn, k, cmin, cmax, midpoint, a, sigma)(source)


class HyperbolicTangentCoupling(Coupling):
    r"""Bound what each region sends: a hyperbolic tangent before the sum.

    $c_i = k \sum_j W_{ij}\, a\,(1 + \tanh((b s_j - m)/\sigma))$ for the states $s$ that regions send
    and the weights $W$ in `conn`. It is added to each region's rate of change. [state/ms]

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1]
        k: coupling strength: one number, or one per target. [1]
        a: half of the largest message; like the other parameters of the message one number. [state/ms]
        b: scale of the state. [1]
        midpoint: $m$, the scaled state at which the message is halfway. [state]
        sigma: width of the rise. [state]

    Raises:
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or another
            parameter is NaN or is not one number.
        TypeError: if `conn` or a parameter is not an array of real numbers.

    Source:
        Defaults of The Virtual Brain's HyperbolicTangent: P. Sanz-Leon et al., NeuroImage 111 (2015).

    Example:
        >>> coupling = cf.HyperbolicTangentCoupling(jnp.eye(2), k=0.5)
        >>> coupling(jnp.array([0.0, 99.0])).tolist()  # (source,) -> (target,)
        [0.5, 1.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    a: Scalar = in_send("a", 1.0)
    b: Scalar = in_send("b", 1.0)
    midpoint: Scalar = in_send("midpoint", 0.0)
    sigma: Scalar = in_send("sigma", 1.0)
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the hyperbolic tangent of the state, raised above 0."""
        return self.a * (1 + jnp.tanh((self.b * source - self.midpoint) / self.sigma))

    def receive(self, sums, target, in_strength):
        """Return the sums, scaled."""
        return self.k * sums


def hyperbolic_tangent_coupling(
    source: Source,
    conn: Weights,
    k: Strength = HyperbolicTangentCoupling.k,
    *,
    a: Scalar = HyperbolicTangentCoupling.a,
    b: Scalar = HyperbolicTangentCoupling.b,
    midpoint: Scalar = HyperbolicTangentCoupling.midpoint,
    sigma: Scalar = HyperbolicTangentCoupling.sigma,
) -> Num[Array, " target"]:
    """Compute the input of each region by a `HyperbolicTangentCoupling`, in one call.

    See `HyperbolicTangentCoupling` for the formula, units and source.

    Example:
        >>> cf.hyperbolic_tangent_coupling(jnp.array([0.0, 99.0]), jnp.eye(2)).tolist()
        [1.0, 2.0]
    """
    return HyperbolicTangentCoupling(conn, k, a, b, midpoint, sigma)(source)


class SigmoidalJansenRitCoupling(Coupling):
    r"""Send the firing rate of Jansen and Rit's pyramidal cells: a sigmoid before the sum.

    $c_i = k \sum_j W_{ij}\,(c_{min} + (c_{max} - c_{min}) / (1 + \exp(r\,(m - s_j))))$ for the
    potentials $s = y_1 - y_2$ of the pyramidal cells [mV] and the weights $W$ in `conn`. It is the
    firing rate that arrives at each region. [kHz]

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1]
        k: coupling strength: one number, or one per target. [1]
        cmin: lowest rate; like the other parameters of the rate one number. [kHz]
        cmax: highest rate, which is twice the $e_0$ of the paper. [kHz]
        midpoint: $m$, the potential at which the rate is halfway. [mV]
        r: steepness. [1/mV]

    Raises:
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or another
            parameter is NaN or is not one number.
        TypeError: if `conn` or a parameter is not an array of real numbers.

    Source:
        B. H. Jansen and V. G. Rit, Biol. Cybern. 73 (1995) 357-366, eq. 3, as a coupling with the
        defaults of The Virtual Brain's SigmoidalJansenRit.

    Example:
        >>> coupling = cf.SigmoidalJansenRitCoupling(jnp.eye(2), k=1000.0)
        >>> coupling(jnp.array([6.0, 600.0])).tolist()  # (source,) -> (target,)
        [2.5, 5.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    cmin: Scalar = in_send("cmin", 0.0, "kHz")
    cmax: Scalar = in_send("cmax", 0.005, "kHz")
    midpoint: Scalar = in_send("midpoint", 6.0, "mV")
    r: Scalar = in_send("r", 0.56, "1/mV")
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the firing rate at the potential `source`."""
        rise = jax.nn.sigmoid(self.r * (source - self.midpoint))
        return self.cmin + (self.cmax - self.cmin) * rise

    def receive(self, sums, target, in_strength):
        """Return the sums, scaled."""
        return self.k * sums


def sigmoidal_jansen_rit_coupling(
    source: Source,
    conn: Weights,
    k: Strength = SigmoidalJansenRitCoupling.k,
    *,
    cmin: Scalar = SigmoidalJansenRitCoupling.cmin,
    cmax: Scalar = SigmoidalJansenRitCoupling.cmax,
    midpoint: Scalar = SigmoidalJansenRitCoupling.midpoint,
    r: Scalar = SigmoidalJansenRitCoupling.r,
) -> Num[Array, " target"]:
    """Compute the input of each region by a `SigmoidalJansenRitCoupling`, in one call.

    See `SigmoidalJansenRitCoupling` for the formula, units and source.

    Example:
        >>> rates = cf.sigmoidal_jansen_rit_coupling(jnp.array([6.0, 600.0]), jnp.eye(2))
        >>> rates.round(4).tolist()
        [0.0025, 0.005]
    """
    return SigmoidalJansenRitCoupling(conn, k, cmin, cmax, midpoint, r)(source)


class PreSigmoidalCoupling(Coupling):
    r"""Bound what each region sends: a steep sigmoid around a fixed threshold, before the sum.

    $c_i = k \sum_j W_{ij}\, H\,(Q + \tanh(G\,(P s_j - \theta)))$ for the states $s$ that regions send
    and the weights $W$ in `conn`. It is added to each region's rate of change. [state/ms]

    The Virtual Brain's implementation of this name does not couple the nodes; this is the formula
    that its source paper gives.

    Args:
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats. [1]
        k: coupling strength: one number, or one per target. [1]
        H: height of the message; like the other parameters of the message one number. [state/ms]
        Q: offset of the message, in units of its height. [1]
        G: gain. [1/state]
        P: scale of the state. [1]
        theta: threshold. [state]

    Raises:
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or another
            parameter is NaN or is not one number.
        TypeError: if `conn` or a parameter is not an array of real numbers.

    Source:
        G. Deco et al., Front. Syst. Neurosci. 4 (2010), with The Virtual Brain's defaults.

    Example:
        >>> coupling = cf.PreSigmoidalCoupling(jnp.eye(2), k=2.0)
        >>> coupling(jnp.array([0.5, 9.0])).tolist()  # (source,) -> (target,)
        [1.0, 2.0]
    """

    conn: Weights = eqx.field(converter=to_conn)
    k: Strength = in_receive("k", 1.0, "1")
    H: Scalar = in_send("H", 0.5)
    Q: Scalar = in_send("Q", 1.0)
    G: Scalar = in_send("G", 60.0)
    P: Scalar = in_send("P", 1.0)
    theta: Scalar = in_send("theta", 0.5)
    elementwise: ClassVar[bool] = True

    def send(self, source):
        """Return the hyperbolic tangent of the state around its threshold, scaled and shifted."""
        return self.H * (self.Q + jnp.tanh(self.G * (self.P * source - self.theta)))

    def receive(self, sums, target, in_strength):
        """Return the sums, scaled."""
        return self.k * sums


def pre_sigmoidal_coupling(
    source: Source,
    conn: Weights,
    k: Strength = PreSigmoidalCoupling.k,
    *,
    H: Scalar = PreSigmoidalCoupling.H,
    Q: Scalar = PreSigmoidalCoupling.Q,
    G: Scalar = PreSigmoidalCoupling.G,
    P: Scalar = PreSigmoidalCoupling.P,
    theta: Scalar = PreSigmoidalCoupling.theta,
) -> Num[Array, " target"]:
    """Compute the input of each region by a `PreSigmoidalCoupling`, in one call.

    See `PreSigmoidalCoupling` for the formula, units and source.

    Example:
        >>> cf.pre_sigmoidal_coupling(jnp.array([0.5, 9.0]), jnp.eye(2)).tolist()
        [0.5, 1.0]
    """
    return PreSigmoidalCoupling(conn, k, H, Q, G, P, theta)(source)
