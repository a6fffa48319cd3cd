"""Rules from a user's own function: of whole arrays, or of the two ends of an edge."""

import abc
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
from jax import Array
from jaxtyping import Num

from .._connectome import Weights, as_conn, edgewise
from .._core import PARAMETER, as_float, interned, require_finite, require_shape
from ._rule import Coupling, Source, Target, require_k, require_source_and_target


class _FunctionCoupling(eqx.Module):
    """What rules from a user's own function hold, and how they check it.

    `_inputs` names what the function takes by position, before its parameters.
    """

    conn: Weights
    k: Array = eqx.field(metadata={"unit": "1", PARAMETER: True})
    parameters: dict[str, Array]
    fn: Callable[..., Any] = eqx.field(static=True)

    _inputs: ClassVar[tuple[str, ...]]
    reads_target: ClassVar[bool]
    shift_invariant: ClassVar[bool] = False

    def __init__(self, fn: Callable[..., Any], conn: Any, k: Any = 1.0, **parameters: Any):
        # A function that does not take these parameters fails here, by a TypeError that names one.
        inspect.signature(fn).bind(*self._inputs, **parameters)
        self.fn = interned(fn)
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

    $c = f(s, t, W, k)$, `fn(source, target, conn, k, **parameters)`. Its `source` is `(source,)`
    without delays, and with them what each target sees of each source, `(target, source)`;
    `weighted_sum(conn, ...)` takes both and returns `(target,)`, as the function must. Its `target` is
    `(target,)`: where the function puts the two together, write `target[:, None]`, since
    `source - target` would compare region j with its own past, or with itself. Where lags are given
    per stored edge, every edge is a source of its own: `source` is `(edge,)`, `conn` is
    `(target, edge)`, and a parameter per source does not fit.

    A rule that is separable is faster as a subclass of `Coupling`. The units of `conn`, of the
    parameters and of the result are those of `fn`.

    Args:
        fn: the rule; a pure function, in JAX operations.
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats.
        k: coupling strength: one number, or one per target. [1]
        parameters: the rule's own parameters, by keyword; each becomes a leaf.

    Raises:
        TypeError: if `fn` does not take these parameters, or one is not an array of real numbers.
        ValueError: if a shape does not fit `conn`, a known weight or `k` is not finite, or what `fn`
            returns is not `(target,)`.

    Example:
        >>> def threshold_coupling(source, target, conn, k, threshold=0.5):
        ...     return k * cf.weighted_sum(conn, jnp.where(source > threshold, source, 0.0))
        >>> conn = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> coupling = cf.CustomCoupling(threshold_coupling, conn, k=0.2, threshold=0.3)
        >>> coupling(jnp.array([0.1, 1.0]), jnp.zeros(2)).tolist()  # (source,), (target,)
        [0.2, 0.0]
        >>> def difference(source, target, conn, k):
        ...     return k * cf.weighted_sum(conn, jnp.sin(jnp.atleast_2d(source) - target[:, None]))
        >>> x = jnp.array([0.1, 1.0])
        >>> coupling = cf.CustomCoupling(difference, conn, k=0.2)
        >>> bool(jnp.allclose(coupling(x, x), cf.kuramoto_coupling(x, x, conn, 0.2)))
        True
    """

    _inputs: ClassVar[tuple[str, ...]] = ("source", "target", "conn", "k")
    reads_target: ClassVar[bool] = False

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        source, target = require_source_and_target(self, source, target)
        received = self.fn(source, target, self.conn, self.k, **self.parameters)
        name = getattr(self.fn, "__name__", "the function")
        meaning = "With delays its source is (target, source): sum it with `cf.weighted_sum`."
        require_shape(f"the result of {name}", received, (self.conn.shape[0],), meaning=meaning)
        return received


class EdgeCoupling(_FunctionCoupling):
    r"""Evaluate a rule that is not separable on every edge.

    $c_i = k \sum_j W_{ij} f(s_j, t_i)$ for the states $s$ that regions send, the states $t$ that they
    are in, and the weights $W$ in `conn`. It costs an evaluation of $f$ per edge, where a separable
    rule, a subclass of `Coupling`, costs one per region. $f$ has the unit of the state where `conn` is
    in 1/ms; the parameters have the units that `fn` takes.

    Args:
        fn: $f$, `fn(source, target, **parameters)`; elementwise, in JAX operations.
        conn: $W$; `conn[i, j]` is the weight from source `j` onto target `i`, in an array, a
            `SparseConnection` or a BCOO; integers become floats.
        k: coupling strength: one number, or one per target. [1]
        parameters: the rule's own scalars, by keyword; each becomes a leaf.

    Raises:
        TypeError: if `fn` does not take these parameters, or one is not an array of real numbers.
        ValueError: if a shape does not fit `conn`, or a known weight or `k` is not finite.

    Example:
        >>> coupling = cf.EdgeCoupling(lambda s, t: jnp.abs(s - t), jnp.ones((2, 2)), k=0.5)
        >>> x = jnp.array([0.0, 3.0])  # (region,)
        >>> coupling(x, x).tolist()  # (region,)
        [1.5, 1.5]
    """

    _inputs: ClassVar[tuple[str, ...]] = ("source", "target")
    reads_target: ClassVar[bool] = True

    def __call__(self, source: Source, target: Target | None = None) -> Num[Array, " target"]:
        sent, own = require_source_and_target(self, source, target)
        fn = partial(self.fn, **self.parameters)
        return self.k * edgewise(self.conn, fn, sent, own)
