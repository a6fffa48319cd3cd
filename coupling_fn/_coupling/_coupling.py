r"""Coupling rules: what each region receives, given what every region sends.

Nearly every rule of the field is separable,

$$c_i = \text{receive}\Big(\sum_j W_{ij}\, \text{send}(s_j),\; t_i\Big),$$

so a rule is two small functions around one linear sum, and works over every connection (dense,
sparse) and every delay at the cost of that sum. Each rule here is a frozen pytree with `conn`, `k`
and its own parameters as leaves, and a function of the same name that builds and calls it.
"""

import abc
import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._connectome import Weights, as_conn, edgewise, in_strength, weighted_sum
from .._core import Scalar, Strength, as_float, parameter, require_finite, require_shape

Source = Num[ArrayLike, " source"] | Num[ArrayLike, "target source"]
Target = Num[ArrayLike, " target"]


def _conn(conn: object) -> Any:
    return as_conn("conn", conn)


class Coupling(eqx.Module):
    r"""A separable rule over a connection: subclass it to write your own.

    Say in `send` what a source sends, and in `receive` what a target makes of the sums. Dense and
    sparse connections, delays, gradients and sweeps then work without another line.

    Attributes:
        conn: `conn[i, j]` is from source `j` onto target `i`: an array, a `SparseConnection` or a BCOO.
        k: coupling strength, a scalar or one a target.
        shift_invariant: whether the result stays the same when all states shift together. States are
            then measured from one of them: at -65 mV, regions 1 uV apart keep their digits.

    Example:
        >>> class Squared(cf.Coupling):
        ...     conn: jax.Array
        ...     k: jax.Array
        ...
        ...     def send(self, source):
        ...         return source**2
        ...
        ...     def receive(self, sums, target, strength):
        ...         return self.k * sums
        >>> Squared(jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array(0.5))(jnp.array([1.0, 4.0]))
        Array([8., 0.], dtype=...)
    """

    conn: eqx.AbstractVar[Any]
    k: eqx.AbstractVar[Any]
    shift_invariant: ClassVar[bool] = False
    reads_target: ClassVar[bool] = False

    def __check_init__(self):
        targets = as_conn("conn", self.conn).shape[0]
        require_k(self.k, targets)
        require_finite("k", self.k)
        for field in dataclasses.fields(self):
            if field.type is Strength or field.type is Scalar:
                shapes = [(), (targets,)] if field.type is Strength else [()]
                require_shape(field.name, getattr(self, field.name), *shapes)

    @abc.abstractmethod
    def send(self, source: Array) -> Any:
        """The messages of a source: an array of the shape of `source`, or a tuple of such."""

    @abc.abstractmethod
    def receive(self, sums: Any, target: Any, strength: Array) -> Array:
        """The coupling input `(target,)`, from the weighted sums of the messages.

        `strength` holds the row sums of `conn`, which the sums of a message of 1 would be.
        """

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        sent, own = require_source_and_target(self, source, target)
        if self.shift_invariant:
            origin = lax.stop_gradient(own[0])  # the result does not depend on it
            sent, own = sent - origin, own - origin
        sums = jax.tree.map(lambda m: weighted_sum(self.conn, m), self.send(sent))
        return self.receive(sums, own, in_strength(self.conn))

    def __add__(self, other: Any) -> "SumCoupling":
        return SumCoupling((self,)) + other


class SumCoupling(eqx.Module):
    """The sum of several couplings: feedforward and feedback, say, each with its own matrix and k.

    Made by `ff + fb`. Its `parts` are leaves like any other: `sum.parts[0].k`.

    Example:
        >>> ff = cf.AdditiveCoupling(jnp.array([[0.0, 0.0], [1.0, 0.0]]), k=0.3)
        >>> fb = cf.AdditiveCoupling(jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=0.1)
        >>> (ff + fb)(jnp.array([1.0, 1.0])).round(2).tolist()
        [0.1, 0.3]
    """

    parts: tuple[Any, ...]

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        first, *rest = self.parts
        total = first(source, target)
        for part in rest:
            total = total + part(source, target)
        return total

    def __add__(self, other: Any) -> "SumCoupling":
        if not callable(other):
            return NotImplemented
        parts = other.parts if isinstance(other, SumCoupling) else (other,)
        return SumCoupling(self.parts + parts)


def require_k(k: Array, targets: int) -> None:
    """Refuse a k that is neither global nor one a target."""
    require_shape("k", k, (), (targets,), meaning="It is global, or one value a target.")


def require_source_and_target(coupling: Any, source: Any, target: Any) -> tuple[Any, Any]:
    """Source and target as arrays of the shapes that the connection wants."""
    targets, sources = coupling.conn.shape
    require_k(coupling.k, targets)
    source = as_float("source", source)
    require_shape("source", source, (sources,), (targets, sources), meaning=_shapes(coupling))
    if target is None:
        if coupling.shift_invariant or coupling.reads_target:
            raise TypeError(f"{type(coupling).__name__} reads the `target` state as well: pass it.")
        return source, None
    target = as_float("target", target)
    require_shape("target", target, (targets,), meaning=_shapes(coupling))
    return source, target


def _shapes(coupling: Any) -> str:
    return f"`conn` is (target, source) = {tuple(coupling.conn.shape)}; batches are vmap's work."


# --- the rules -----------------------------------------------------------------------------------


class DiffusiveCoupling(Coupling):
    """`diffusive_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> coupling = cf.DiffusiveCoupling(conn=jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=0.5)
        >>> x = jnp.array([0.0, 2.0])
        >>> coupling(x, x).tolist()
        [1.0, 0.0]
    """

    conn: Weights = eqx.field(converter=_conn)
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

    conn: Weights = eqx.field(converter=_conn)
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


class SigmoidalCoupling(Coupling):
    """`sigmoidal_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> cf.SigmoidalCoupling(conn=jnp.eye(2), k=2.0)(jnp.array([0.0, 1e4])).tolist()
        [0.0, 2.0]
    """

    conn: Weights = eqx.field(converter=_conn)
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

    conn: Weights = eqx.field(converter=_conn)
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

    conn: Weights = eqx.field(converter=_conn)
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

    conn: Weights = eqx.field(converter=_conn)
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


class KuramotoCoupling(Coupling):
    """`kuramoto_coupling`, holding its parameters: a callable pytree.

    Example:
        >>> coupling = cf.KuramotoCoupling(conn=jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=2.0)
        >>> phase = jnp.array([0.0, jnp.pi / 2])
        >>> coupling(phase, phase).tolist()
        [2.0, 0.0]
    """

    conn: Weights = eqx.field(converter=_conn)
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


# --- rules that are not separable ------------------------------------------------------------------


class CustomCoupling(eqx.Module):
    """Any function `(source, target, conn, k, **parameters)` in a coupling's seat.

    Without delays `source` is `(source,)`; with them it is what each target sees, `(target, source)`.
    `weighted_sum(conn, ...)` takes both, and gives `(target,)`, as the rule must. `target` is
    `(target,)`: where a rule puts the two together it is `target[:, None]`. `source - target` would
    compare region j with its own past, or with itself.

    Args:
        fn: the rule; pure, in JAX operations.
        conn: `conn[i, j]` is from source `j` onto target `i`.
        k: strength, a scalar or one a target.
        parameters: the rule's own, by keyword; each becomes a leaf.

    Raises:
        TypeError: if `fn` does not take these parameters.
        ValueError: if what it returns is not `(target,)`.

    Example:
        >>> def threshold_coupling(source, target, conn, k, threshold=0.5):
        ...     return k * cf.weighted_sum(conn, jnp.where(source > threshold, source, 0.0))
        >>> conn = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> coupling = cf.CustomCoupling(threshold_coupling, conn, k=0.2, threshold=0.3)
        >>> coupling(jnp.array([0.1, 1.0]), jnp.zeros(2)).tolist()
        [0.2, 0.0]
        >>> def difference(source, target, conn, k):
        ...     return k * cf.weighted_sum(conn, jnp.sin(jnp.atleast_2d(source) - target[:, None]))
        >>> x = jnp.array([0.1, 1.0])
        >>> coupling = cf.CustomCoupling(difference, conn, k=0.2)
        >>> bool(jnp.allclose(coupling(x, x), cf.kuramoto_coupling(x, x, conn, 0.2)))
        True
    """

    conn: Weights
    k: Array = eqx.field(metadata={"unit": "1"})
    parameters: dict[str, Array]
    fn: Callable[..., Any] = eqx.field(static=True)

    shift_invariant: ClassVar[bool] = False
    reads_target: ClassVar[bool] = False

    def __init__(self, fn: Callable[..., Any], conn: Any, k: Any = 1.0, **parameters: Any):
        inspect.signature(fn).bind(None, None, None, None, **parameters)  # its TypeError names it
        self.fn = fn
        self.conn = as_conn("conn", conn)
        self.k = as_float("k", k)
        self.parameters = {name: as_float(name, value) for name, value in parameters.items()}

    def __check_init__(self):
        require_k(self.k, self.conn.shape[0])
        require_finite("k", self.k)

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        source, target = require_source_and_target(self, source, target)
        received = self.fn(source, target, self.conn, self.k, **self.parameters)
        name = getattr(self.fn, "__name__", "the function")
        meaning = "With delays it gets a source of (target, source): sum it with `weighted_sum`."
        require_shape(f"the result of {name}", received, (self.conn.shape[0],), meaning=meaning)
        return received

    __add__ = Coupling.__add__


class EdgeCoupling(eqx.Module):
    r"""A rule that is not separable, evaluated on every edge: $c_i = k \sum_j W_{ij} f(s_j, t_i)$.

    Costs an evaluation of `fn` an edge, where a separable rule costs one a region.

    Args:
        fn: `f(source, target, **parameters)`, elementwise in JAX operations.
        conn: `conn[i, j]` is from source `j` onto target `i`.
        k: strength, a scalar or one a target.
        parameters: the rule's own scalars, by keyword; each becomes a leaf.

    Raises:
        TypeError: if `fn` does not take these parameters.

    Example:
        >>> coupling = cf.EdgeCoupling(lambda s, t: jnp.abs(s - t), jnp.ones((2, 2)), k=0.5)
        >>> x = jnp.array([0.0, 3.0])
        >>> coupling(x, x).tolist()
        [1.5, 1.5]
    """

    conn: Weights
    k: Array = eqx.field(metadata={"unit": "1"})
    parameters: dict[str, Array]
    fn: Callable[..., Any] = eqx.field(static=True)

    shift_invariant: ClassVar[bool] = False
    reads_target: ClassVar[bool] = True

    def __init__(self, fn: Callable[..., Any], conn: Any, k: Any = 1.0, **parameters: Any):
        inspect.signature(fn).bind(None, None, **parameters)  # its TypeError names the parameter
        self.fn = fn
        self.conn = as_conn("conn", conn)
        self.k = as_float("k", k)
        self.parameters = {name: as_float(name, value) for name, value in parameters.items()}

    def __check_init__(self):
        require_k(self.k, self.conn.shape[0])
        require_finite("k", self.k)

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        sent, own = require_source_and_target(self, source, target)
        fn = partial(self.fn, **self.parameters)
        return self.k * edgewise(self.conn, fn, sent, own)

    __add__ = Coupling.__add__
