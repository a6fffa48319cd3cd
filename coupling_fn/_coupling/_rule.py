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
import inspect
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._connectome import as_conn, in_strength, weighted_sum
from .._core import as_float, calling, parameter, require_finite, require_shape

Source = Num[ArrayLike, " source"] | Num[ArrayLike, "target source"]
Target = Num[ArrayLike, " target"]

# The shapes that a field may have if it does not say, in words for the sizes of `conn`.
_ANY_SHAPE = ("", "target", "source", "target source")


def to_conn(conn: object) -> Any:
    """Convert the field `conn` of a rule to a float connection, and check it."""
    return as_conn("conn", conn)


def in_send(name: str, default: float, unit: str | None = None) -> Any:
    """Return a field for a parameter that an elementwise `send` reads: a scalar."""
    return parameter(name, default, unit, shapes=("",))


def in_receive(name: str, default: float, unit: str | None = None) -> Any:
    """Return a field for a parameter that `receive` reads: a scalar, or one value per target."""
    return parameter(name, default, unit, shapes=("", "target"))


class Coupling(eqx.Module):
    r"""A separable rule over a connection: subclass it to write your own.

    `send` says what sources send, and `receive` what targets make of the weighted sums of that:
    $c_i = \text{receive}(\sum_j W_{ij}\, \text{send}(s)_j,\, t_i)$. Dense and sparse connections,
    delays, gradients and sweeps then work without another line, because both are always called with
    the same shapes. `send` gets the states of all sources at one time, `(source,)`, and returns their
    messages at that time. Messages travel along the edges, each with the delay of its edge. `receive`
    gets what arrives at all targets at one time, `(target,)`.

    So `send` may read parameters that are scalars or have one value per source, and need not be
    elementwise: `source - source.mean()` is measured from the mean at the time of sending. `receive`
    may read parameters per target. What belongs to an edge is a weight, in `conn`, or a rule for
    `EdgeCoupling`.

    Each field is a leaf that can be fitted or swept; pass arrays, since a Python number would be static
    under `eqx.filter_jit`. An array in a field other than `conn` and `k` is a scalar, or has one value
    per target, per source, or per pair of them, `(target, source)`.

    Attributes:
        conn: `conn[i, j]` is the weight from source `j` onto target `i`: an array, a
            `SparseConnection` or a BCOO.
        k: coupling strength: a scalar, or one value per target. [1]
        shift_invariant: whether the result stays the same when all states shift together. A reference,
            the state of one region, is then subtracted from all states before the rule sees them: at
            -65 mV, regions 1 uV apart keep their digits.
        reads_target: whether a call without the `target` state is an error; a shift-invariant rule
            reads it in any case.
        elementwise: whether each message depends on the state of its own source and on scalar
            parameters alone. `send` may then act on what has already travelled, in whatever shape that
            has: a run does so where it costs less, that is for delays shorter than a block of steps. A
            class with a `send` of its own does not inherit it.

    Raises:
        ValueError: if a shape does not fit `conn`; if a known weight or `k` is not finite; if what
            `send` or `receive` returns has another shape than stated there; or if a rule that says it is
            elementwise refuses a source of another length than `conn` has.
        TypeError: if `conn` is not an array of real numbers, or a class has `send` and `receive` but
            no field `conn` or `k`.

    Example:
        >>> class Squared(cf.Coupling):
        ...     conn: jax.Array  # (target, source)
        ...     k: jax.Array  # a scalar, or (target,)
        ...     theta: jax.Array  # a scalar, or (source,)
        ...     b: jax.Array  # a scalar, or (target,)
        ...
        ...     def send(self, source):
        ...         return (source - self.theta) ** 2  # (source,)
        ...
        ...     def receive(self, sums, target, in_strength):
        ...         return self.k * sums + self.b  # (target,)
        >>> conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
        >>> theta, b = jnp.array([0.0, 1.0]), jnp.array([0.0, 3.0])
        >>> Squared(conn, jnp.array(0.5), theta, b)(jnp.array([1.0, 5.0]))
        Array([8., 3.], dtype=...)
    """

    conn: eqx.AbstractVar[Any]
    k: eqx.AbstractVar[Any]
    shift_invariant: ClassVar[bool] = False
    reads_target: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
    # How many values of each source the states given to `send` hold side by side; 1 but for rules that
    # are given messages (`ArrivingCoupling`).
    _channels: ClassVar[int] = 1

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "send" in cls.__dict__ and "elementwise" not in cls.__dict__:
            cls.elementwise = False  # what a base says of its own `send` need not hold for this one
        _require_fields(cls)

    def __check_init__(self):
        targets, sources = as_conn("conn", self.conn).shape
        if not hasattr(self.conn, "shape"):
            raise TypeError(
                "`conn` must be an array, a `SparseConnection` or a BCOO, not "
                f"{type(self.conn).__name__}."
            )
        require_k(self.k, targets)
        require_finite("k", self.k)
        _require_parameter_shapes(self, {"target": targets, "source": sources})

    @abc.abstractmethod
    def send(self, source: Array) -> Any:
        """Return the messages of all sources, `(source,)`, or a pytree of such.

        Args:
            source: the states of all sources at one time, `(source,)`, less the reference if the rule is
                shift-invariant. If the rule is `elementwise`, an array of any shape. [state]

        Returns:
            The messages of that time, of the shape of `source`.
        """

    @abc.abstractmethod
    def receive(self, sums: Any, target: Any, in_strength: Array) -> Array:
        """Return the coupling input of all targets, `(target,)`.

        Args:
            sums: the weighted sums of the messages that arrive, each `(target,)`, in the structure of
                the messages.
            target: the states of all targets now, `(target,)`, less the reference if the rule is
                shift-invariant. [state]
            in_strength: the row sums of `conn`, `(target,)`: the sums of messages of 1.
        """

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        """Compute the input of each region.

        Args:
            source: the state that each region sends, `(source,)`; or what each target sees of it,
                `(target, source)`, for which `send` is called once per target. [state]
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
        messages = messages_at_times(self, sent) if sent.ndim == 2 else messages_of(self, sent)
        sums = jax.tree.map(lambda m: weighted_sum(self.conn, m), messages)
        return input_of(self, sums, own, in_strength(self.conn))

    @property
    def receivers(self) -> int:
        """Number of regions that `receive` returns an input for."""
        return self.conn.shape[0]

    def __add__(self, other: Any) -> "SumCoupling":
        return SumCoupling((self,)) + other


def messages_of(rule: Coupling, source: Array) -> Any:
    """Return what a rule makes of the states of all sources at one time, `(source,)`.

    For an elementwise rule, `source` may have any shape.
    """
    what = f"`send` of {type(rule).__name__}"
    hint = (
        f"{what} was called with the states of all sources at one time, of shape {source.shape}. Its "
        "parameters are scalars, or have one value per source."
    )
    with calling(what, hint):
        messages = rule.send(source)
        wanted = source.shape
        if rule._channels > 1:
            wanted = (source.shape[0] // rule._channels,)
        for message in jax.tree.leaves(messages):
            if jnp.shape(message) != wanted:
                raise ValueError(
                    f"{what} must return messages of the shape of its source, {source.shape}, not "
                    f"{jnp.shape(message)}: what a source sends does not depend on the target. A "
                    "parameter per target belongs in `receive`, and one per edge in `conn`; "
                    "`cf.EdgeCoupling` takes any function of the two ends of an edge."
                )
    return jax.tree.map(partial(_as_message, source.dtype), messages)


def sends_states(rule: Coupling) -> bool:
    """Return whether the messages of a rule are the states themselves, by its program."""
    like = jax.ShapeDtypeStruct(rule.conn.shape[1:], rule.conn.dtype)
    program = jax.make_jaxpr(partial(messages_of, rule))(like).jaxpr
    return len(program.outvars) == 1 and program.outvars[0] is program.invars[0]


def messages_at_times(rule: Coupling, source: Array) -> Any:
    """Return the messages of `(time, source)`, or of `(target, source)`: of one row after the other."""
    return jax.vmap(partial(messages_of, rule))(source)


def input_of(rule: Coupling, sums: Any, target: Any, in_strength: Array) -> Array:
    """Return what a rule makes of the weighted sums at all targets, `(target,)`."""
    what = f"`receive` of {type(rule).__name__}"
    with calling(
        what,
        f"{what} was called with sums and states of shape {in_strength.shape}, one per target. Its "
        "parameters are scalars, or have one value per target.",
    ):
        received = rule.receive(sums, target, in_strength)
        require_shape(f"the result of {type(rule).__name__}", received, (rule.receivers,))
    return received


def require_elementwise(rule: Coupling) -> None:
    """Refuse a rule that says it is elementwise, but whose `send` fits one number of sources alone."""
    if not rule.elementwise:
        return
    other = jax.ShapeDtypeStruct((max(rule.conn.shape) + 1,), rule.conn.dtype)
    try:
        jax.eval_shape(partial(messages_of, rule), other)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{type(rule).__name__} says that it is `elementwise`, but its `send` does not act on each "
            f"number by itself with scalar parameters: with a source of shape {other.shape}, {error} "
            "Leave `elementwise` at False."
        ) from error


def mixes_sources(rule: Coupling) -> bool:
    """Return whether what a source sends depends on the states of other sources.

    Whether it does is seen from what `send` returns when one source moves, with numbers in place of the
    parameters, which may be traced. A rule that mixes others than the first source, or for other
    parameters than these, is not recognised.
    """
    sources = rule.conn.shape[1] * rule._channels
    if rule.elementwise or sources == 1:
        return False
    rng = np.random.default_rng(0)

    def numbers(x: Any) -> Any:
        return jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype)

    with jax.ensure_compile_time_eval():
        arrays, others = eqx.partition(rule, eqx.is_inexact_array)
        send = partial(messages_of, eqx.combine(jax.tree.map(numbers, arrays), others))
        still = jnp.asarray(rng.uniform(-1.0, 1.0, sources), rule.conn.dtype)
        wanted = jax.tree.leaves(send(still))
        for to in (-30.0, -0.3, 0.4, 30.0):
            got = jax.tree.leaves(send(still.at[0].set(to)))
            for one, other in zip(got, wanted, strict=True):
                if not np.allclose(one[1:], other[1:], rtol=1e-5, atol=0, equal_nan=True):
                    return True
    return False


def _as_message(dtype: Any, message: Any) -> Array:
    """Convert a message of truth values or integers to the dtype of the states."""
    message = jnp.asarray(message)
    return message if jnp.issubdtype(message.dtype, jnp.floating) else message.astype(dtype)


def _require_fields(cls: type) -> None:
    """Refuse a class that has `send` and `receive`, but lacks `conn` or `k`."""
    if any(getattr(getattr(cls, name, None), "__isabstractmethod__", False) for name in dir(cls)):
        return
    own = cls.__mro__[: cls.__mro__.index(Coupling)]
    declared = {name for c in own for name in (*c.__dict__, *inspect.get_annotations(c))}
    words = {
        "conn": "the weights: `conn: jax.Array`",
        "k": "the coupling strength: `k: jax.Array`. `receive` multiplies by it, so that it can be "
        "fitted and swept",
    }
    for name, word in words.items():
        if name not in declared:
            raise TypeError(f"The rule {cls.__name__} needs a field `{name}` for {word}.")


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
