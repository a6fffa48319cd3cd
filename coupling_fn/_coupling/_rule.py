r"""Coupling rules: what each region receives, given what every region sends.

Nearly every rule of the field is separable,

$$c_i = \text{receive}\Big(\sum_j W_{ij}\, \text{send}(s_j),\; t_i\Big),$$

so a rule is two small functions around one linear sum, and works over every connection (dense,
sparse) and every delay at the cost of that sum. Each rule here is a frozen pytree with `conn`, `k`
and its own parameters as leaves, and a function of the same name that builds and calls it.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._connectome import as_conn, in_strength, weighted_sum
from .._core import Scalar, Strength, as_float, require_finite, require_shape

Source = Num[ArrayLike, " source"] | Num[ArrayLike, "target source"]
Target = Num[ArrayLike, " target"]


def to_conn(conn: object) -> Any:
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
