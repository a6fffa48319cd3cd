"""Rules from a user's own function: of whole arrays, or of the two ends of an edge."""

import abc
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import equinox as eqx
import jax
from jax import Array
from jaxtyping import Num

from .._connectome import SparseConnection, Weights, as_conn, at_edges, edgewise
from .._core import PARAMETER, as_float, calling, require_finite, require_shape
from ._rule import Coupling, Source, Target, require_k, require_source_and_target


class _FunctionCoupling(eqx.Module):
    """What rules from a user's own function hold, and how they check it.

    `_inputs` names what the function takes by position, before its parameters.
    """

    conn: Weights
    k: Array = eqx.field(metadata={"unit": "1", PARAMETER: True})
    parameters: dict[str, Array] = eqx.field(metadata={PARAMETER: True})
    fn: Callable[..., Any] = eqx.field(static=True)

    _inputs: ClassVar[tuple[str, ...]]
    reads_target: ClassVar[bool]
    shift_invariant: ClassVar[bool] = False

    def __init__(self, fn: Callable[..., Any], conn: Any, k: Any = 1.0, **parameters: Any):
        # A function that does not take these parameters fails here, by a TypeError that names one.
        inspect.signature(fn).bind(*self._inputs, **parameters)
        self.fn = fn
        self.conn = as_conn("conn", conn)
        self.k = as_float("k", k)
        self.parameters = {name: as_float(name, value) for name, value in parameters.items()}

    def __check_init__(self):
        require_k(self.k, self.conn.shape[0])
        require_finite("k", self.k)

    @abc.abstractmethod
    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        """Compute the input of each region."""

    __add__ = Coupling.__add__


class CustomCoupling(_FunctionCoupling):
    r"""Use any function of states, weights and parameters as a coupling.

    $c = f(s, t, W, k)$, `fn(source, target, conn, k, **parameters)`. Its `source` always has two axes:
    `(target, source)`, what each target sees of each source, or `(1, source)` where all targets see the
    same, as without delays or with one lag for all. Its `target` is `(target,)`, and so is what it
    returns. `weighted_sum(conn, ...)` sums both kinds of source to that.

    Arrays of different ranks are not put together implicitly within the function, because NumPy would
    align their last axes: `source - target` would compare region j with its own past, or with itself,
    and is an error. Write `target[:, None]`, `per_target[:, None]` and `per_source[None, :]`.

    Where lags are given per stored edge, a pair without an edge is seen at the smallest lag. `source`
    then needs memory of targets times sources; for many regions, an `EdgeCoupling` or a subclass of
    `Coupling` needs that of the edges. A rule that is separable is also faster as a subclass of
    `Coupling`. The units of `conn`, of the parameters and of the result are those of `fn`.

    Args:
        fn: the rule; a pure function, in JAX operations.
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats.
        k: coupling strength: one number, or one per target. [1]
        parameters: the rule's own parameters, by keyword, in any shape; each becomes a leaf.

    Raises:
        TypeError: if `fn` does not take these parameters, or one is not an array of real numbers.
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, `fn` puts
            arrays of different ranks together, or what it returns is not `(target,)`.

    Example:
        >>> def threshold_coupling(source, target, conn, k, threshold=0.5):
        ...     return k * cf.weighted_sum(conn, jnp.where(source > threshold, source, 0.0))
        >>> conn = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> coupling = cf.CustomCoupling(threshold_coupling, conn, k=0.2, threshold=0.3)
        >>> coupling(jnp.array([0.1, 1.0]), jnp.zeros(2)).tolist()  # (source,), (target,)
        [0.2, 0.0]
        >>> def difference(source, target, conn, k):
        ...     return k * cf.weighted_sum(conn, jnp.sin(source - target[:, None]))
        >>> x = jnp.array([0.1, 1.0])
        >>> coupling = cf.CustomCoupling(difference, conn, k=0.2)
        >>> bool(jnp.allclose(coupling(x, x), cf.kuramoto_coupling(x, x, conn, 0.2)))
        True
    """

    _inputs: ClassVar[tuple[str, ...]] = ("source", "target", "conn", "k")
    reads_target: ClassVar[bool] = False

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        sent, own = require_source_and_target(self, source, target)
        sent = sent[None, :] if sent.ndim == 1 else sent
        name = getattr(self.fn, "__name__", "the function")
        hint = (
            f"{name} was called with a source of shape {sent.shape}, (target, source) or (1, source); "
            "sum over sources with `cf.weighted_sum(conn, ...)`."
        )
        with calling(name, hint), by_rank(name, sent.shape):
            received = self.fn(sent, own, self.conn, self.k, **self.parameters)
        meaning = "Its source is (target, source) or (1, source): sum it with `cf.weighted_sum`."
        require_shape(f"the result of {name}", received, (self.conn.shape[0],), meaning=meaning)
        return received


class EdgeCoupling(_FunctionCoupling):
    r"""Evaluate a rule that is not separable on every edge.

    $c_i = k \sum_j W_{ij} f(s_j, t_i)$ for the states $s$ that regions send, the states $t$ that they
    are in, and the weights $W$ in `conn`. It costs an evaluation of $f$ per edge, where a separable
    rule, a subclass of `Coupling`, costs one per region. $f$ has the unit of the state where `conn` is
    in 1/ms; the parameters have the units that `fn` takes.

    Args:
        fn: $f$, `fn(source, target, **parameters)`, in JAX operations. It is called for one edge, with
            numbers: the state of its source, as delayed as the edge is, the state of its target, and
            the edge's value of each parameter. It returns a number.
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats.
        k: coupling strength: one number, or one per target. [1]
        parameters: the rule's own parameters, by keyword; each becomes a leaf. One is a number, or has
            the shape `(1, source)`, `(target, 1)`, `(target, source)`, or, over a `SparseConnection`,
            `(edge,)` in the order of its edges. A plain `(region,)` is refused, since it does not say
            which end of an edge it belongs to.

    Raises:
        TypeError: if `fn` does not take these parameters, or one is not an array of real numbers.
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or `fn` does
            not return a number for an edge.

    Example:
        >>> coupling = cf.EdgeCoupling(lambda s, t: jnp.abs(s - t), jnp.ones((2, 2)), k=0.5)
        >>> x = jnp.array([0.0, 3.0])  # (region,)
        >>> coupling(x, x).tolist()  # (region,)
        [1.5, 1.5]
        >>> rest = jnp.array([[0.0, 1.0]])  # (1, source)
        >>> bent = cf.EdgeCoupling(lambda s, t, rest: (s - rest) * t, jnp.ones((2, 2)), rest=rest)
        >>> bent(x, x).tolist()
        [0.0, 6.0]
    """

    _inputs: ClassVar[tuple[str, ...]] = ("source", "target")
    reads_target: ClassVar[bool] = True

    def __check_init__(self):
        targets, sources = self.conn.shape
        by_edge = [(self.conn.edges,)] if isinstance(self.conn, SparseConnection) else []
        meaning = (
            f"`conn` is (target, source) = {(targets, sources)}. Write [None, :] behind one value per "
            "source, and [:, None] behind one per target."
        )
        shapes = (), (1, sources), (targets, 1), (targets, sources), *by_edge
        for name, value in self.parameters.items():
            require_shape(name, value, *shapes, meaning=meaning)

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        sent, own = require_source_and_target(self, source, target)
        sent = sent[None, :] if sent.ndim == 1 else sent
        return self.over_edges(at_edges(self.conn, sent), own)

    def over_edges(self, seen: Array, target: Array) -> Array:
        """Compute the input of each region, from what each edge carries, as `at_edges` returns it."""
        values = (target[:, None], *self.parameters.values())
        values = (at_edges(self.conn, value) for value in values)
        return self.k * edgewise(self.conn, self._on_edges, seen, *values)

    def _on_edges(self, *values: Array) -> Array:
        """Call the function once per edge, with numbers."""
        name = getattr(self.fn, "__name__", "the function")

        def on_edge(source: Array, target: Array, *parameters: Array) -> Array:
            named = dict(zip(self.parameters, parameters, strict=True))
            with calling(name, f"{name} was called for one edge, with numbers."):
                carried = self.fn(source, target, **named)
            require_shape(f"the result of {name}", carried, (), meaning="One number per edge.")
            return carried

        for _ in range(values[0].ndim):
            on_edge = jax.vmap(on_edge)
        return on_edge(*values)


@contextmanager
def by_rank(what: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Refuse, where a source has two axes, to align the last axes of arrays of different ranks.

    The alignment of NumPy would put states of targets at the places of sources, and is seen from no
    shape where there are as many targets as sources.
    """
    if len(shape) < 2:
        yield
        return
    try:
        with jax.numpy_rank_promotion("raise"):
            yield
    except ValueError as error:
        if "rank_promotion" not in str(error):
            raise
        raise ValueError(
            f"{what} puts arrays of different ranks together, where the source is (target, source), of "
            f"shape {shape}, and the target is (target,). Write `target[:, None]`; likewise [:, None] "
            "behind whatever is one per target, and [None, :] behind whatever is one per source."
        ) from error
