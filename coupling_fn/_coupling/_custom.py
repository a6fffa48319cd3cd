"""Rules from a user's own function: of whole arrays, or of the two ends of an edge."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
from jax import Array
from jaxtyping import Num

from .._connectome import Weights, as_conn, edgewise
from .._core import as_float, require_finite, require_shape
from ._rule import Coupling, Source, Target, require_k, require_source_and_target


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
