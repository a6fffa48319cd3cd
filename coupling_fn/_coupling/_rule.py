r"""What makes a coupling rule: what sources send, and what targets receive.

Nearly every rule of the field is separable,

$$c_i = \text{receive}\Big(\sum_j W_{ij}\, \text{send}(s_j),\; t_i,\; \sum_j W_{ij}\Big),$$

so a rule is two small functions around one linear sum. The sum alone knows whether the connection
is dense, sparse or delayed; `send` and `receive` alone know the rule. Each rule therefore works over
every connection and every delay at the cost of that sum. A rule is a frozen pytree, with `conn`, `k`
and its own parameters as leaves.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._connectome import as_conn, in_strength, weighted_sum
from .._core import as_float, parameter, require_finite, require_shape

Source = Num[ArrayLike, " source"] | Num[ArrayLike, "target source"]
Target = Num[ArrayLike, " target"]

# The shapes that a field may have if it does not say, in words for the sizes of `conn`.
_ANY_SHAPE = ("", "target", "source", "target source")


def to_conn(conn: object) -> Any:
    """Convert the field `conn` of a rule to a float connection, and check it."""
    return as_conn("conn", conn)


def in_send(name: str, default: float, unit: str | None = None) -> Any:
    """Return a field for a parameter that `send` reads: a scalar, as `send` acts elementwise."""
    return parameter(name, default, unit, shapes=("",))


def in_receive(name: str, default: float, unit: str | None = None) -> Any:
    """Return a field for a parameter that `receive` reads: a scalar, or one value per target."""
    return parameter(name, default, unit, shapes=("", "target"))


class Coupling(eqx.Module):
    r"""A separable rule over a connection: subclass it to write your own.

    `send` says what a source sends, and `receive` what a target makes of the weighted sums of that:
    $c_i = \text{receive}(\sum_j W_{ij}\, \text{send}(s_j),\, t_i)$. Dense and sparse connections,
    delays, gradients and sweeps then work without another line.

    Each field is a leaf that can be fitted or swept; pass arrays, since a Python number would be static
    under `eqx.filter_jit`. An array in a field other than `conn` and `k` is a scalar, or has one value
    per target, per source, or per pair of them, `(target, source)`. With delays, the parameters that
    `send` reads must be scalars, because its source then comes in several shapes.

    Attributes:
        conn: `conn[i, j]` is the weight from source `j` onto target `i`: an array, a
            `SparseConnection` or a BCOO.
        k: coupling strength: a scalar, or one value per target. [1]
        shift_invariant: whether the result stays the same when all states shift together. A reference,
            the state of one region, is then subtracted from all states before the rule sees them: at
            -65 mV, regions 1 uV apart keep their digits.
        reads_target: whether a call without the `target` state is an error; a shift-invariant rule
            reads it in any case.

    Raises:
        ValueError: if a shape does not fit `conn`, or a known weight or `k` is not finite.
        TypeError: if `conn` is not an array of real numbers.

    Example:
        >>> class Squared(cf.Coupling):
        ...     conn: jax.Array  # (target, source)
        ...     k: jax.Array  # a scalar, or (target,)
        ...     b: jax.Array
        ...
        ...     def send(self, source):
        ...         return source**2  # of the shape of `source`
        ...
        ...     def receive(self, sums, target, in_strength):
        ...         return self.k * sums + self.b  # (target,)
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> Squared(conn, k=jnp.array(0.5), b=jnp.array([0.0, 3.0]))(jnp.array([1.0, 4.0]))
        Array([8., 3.], dtype=...)
    """

    conn: eqx.AbstractVar[Any]
    k: eqx.AbstractVar[Any]
    shift_invariant: ClassVar[bool] = False
    reads_target: ClassVar[bool] = False

    def __check_init__(self):
        targets, sources = as_conn("conn", self.conn).shape
        require_k(self.k, targets)
        require_finite("k", self.k)
        _require_parameter_shapes(self, {"target": targets, "source": sources})

    @abc.abstractmethod
    def send(self, source: Array) -> Any:
        """Return the messages of a source: an array of the shape of `source`, or a pytree of such.

        It acts elementwise, with scalar parameters: `source` is `(source,)`, `(target, source)` where
        each target sees its own delayed copy, or of another shape, such as one value per edge.
        """

    @abc.abstractmethod
    def receive(self, sums: Any, target: Any, in_strength: Array) -> Array:
        """Return the coupling input `(target,)`, from the weighted sums of the messages.

        `sums` has the structure of the messages, each `(target,)`. `in_strength` holds the row sums of
        `conn`, which would be the sums of messages of 1.
        """

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        """Compute the input of each region.

        Args:
            source: the state that each region sends, `(source,)`; or what each target sees of it,
                `(target, source)`. [state]
            target: the state of each target, `(target,)`; needed where the rule reads it. [state]

        Returns:
            The input of each region, `(target,)`.

        Raises:
            ValueError: if a state does not fit `conn`.
            TypeError: if the rule reads the target, and it is not given.
        """
        sent, own = require_source_and_target(self, source, target)
        if self.shift_invariant:
            reference = lax.stop_gradient(own[0])  # the result does not depend on it
            sent, own = sent - reference, own - reference
        sums = jax.tree.map(lambda m: weighted_sum(self.conn, m), self.send(sent))
        return self.receive(sums, own, in_strength(self.conn))

    def __add__(self, other: Any) -> "SumCoupling":
        return SumCoupling((self,)) + other


class SumCoupling(eqx.Module):
    """The sum of several couplings, such as feedforward and feedback, each with its own conn and k.

    It is made by `ff + fb`.

    Attributes:
        parts: the couplings, whose leaves are its leaves: `both.parts[0].k`.

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
    """Refuse a `k` that is neither one number nor one per target."""
    require_shape("k", k, (), (targets,), meaning="It is one number, or one per target.")


def require_source_and_target(coupling: Any, source: Any, target: Any) -> tuple[Any, Any]:
    """Return source and target as arrays of the shapes that the connection wants."""
    targets, sources = coupling.conn.shape
    require_k(coupling.k, targets)
    meaning = f"`conn` is (target, source) = {(targets, sources)}. For a batch, use `jax.vmap`."
    source = as_float("source", source)
    require_shape("source", source, (sources,), (targets, sources), meaning=meaning)
    if target is None:
        if coupling.shift_invariant or coupling.reads_target:
            rule = type(coupling).__name__
            raise TypeError(f"{rule} reads the `target` state as well: pass it after `source`.")
        return source, None
    target = as_float("target", target)
    require_shape("target", target, (targets,), meaning=meaning)
    return source, target


def _require_parameter_shapes(rule: Coupling, sizes: dict[str, int]) -> None:
    """Refuse an array in a field of a rule that has none of the shapes allowed for the field."""
    for field in dataclasses.fields(rule):
        value = getattr(rule, field.name)
        if field.name in ("conn", "k") or not isinstance(value, Array | np.ndarray):
            continue
        allowed = field.metadata.get("shapes", _ANY_SHAPE)
        shapes = dict.fromkeys(tuple(sizes[word] for word in words.split()) for words in allowed)
        meaning = (
            ""
            if "shapes" in field.metadata
            else "It is one number, or one per target, per source, or per entry of `conn`; put other "
            "numbers into a tuple or a dict."
        )
        require_shape(field.name, value, *shapes, meaning=meaning)
