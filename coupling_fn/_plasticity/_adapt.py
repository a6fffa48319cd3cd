"""Weights and parameters that follow, slowly, what the network does."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._core import (
    PyTree,
    as_count,
    compiled,
    in_short,
    require_callable,
    scan,
)
from .._simulate import Record, simulate

Rule = Callable[[PyTree, PyTree], PyTree]
Watch = Callable[[PyTree, PyTree], PyTree]


class Adapted(NamedTuple):
    """What a run with plasticity gives.

    Attributes:
        state: the last state, from which a further run goes on.
        params: the parameters after the last stretch.
        watched: what `watch` returned after each stretch, with an axis of stretches in front; None
            without `watch`.

    Example:
        >>> grown = cf.adapt(
        ...     lambda x, p: p * x, jnp.ones(2), jnp.asarray(0.5), steps=4, stretch=2,
        ...     rule=lambda p, x: 2.0 * p, record=lambda x: x, watch=lambda p, x: p,
        ... )
        >>> grown.watched.tolist(), float(grown.params)
        ([1.0, 2.0], 2.0)
    """

    state: PyTree
    params: PyTree
    watched: PyTree


def _nothing(params: PyTree, record: PyTree) -> None:
    return None


def adapt(
    step: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    params: PyTree,
    steps: int,
    *,
    rule: Rule,
    stretch: int,
    record: Record = None,
    every: int = 1,
    watch: Watch | None = None,
    checkpoint: bool = False,
) -> Adapted:
    r"""Run a network in stretches, and change its parameters by a rule after each of them.

    With $p_n$ the parameters of stretch n, and $r_n$ its record,

    $(s_{n+1}, r_n) = \text{simulate}(s_n, p_n), \qquad p_{n+1} = \text{rule}(p_n, r_n).$

    Within a stretch parameters stand still, so the rule must be slow against it: of plasticity with
    rate $\eta$, the rule is the sum or the mean of what the stretch would have changed. A stretch is a
    whole call of `simulate`: with delays it begins by reading the history, and costs little more only if
    it is much longer than a block of steps and not much shorter than the largest lag.

    Args:
        step: a `Network`, or your own `(state, params) -> state`.
        state: the state to start from, as `net.init` returns it.
        params: the parameters to start from.
        steps: number of steps, a multiple of `stretch`. [1]
        rule: from (params, record of the stretch) to the parameters of the next stretch, with equal
            structure, shapes and dtypes, such as `lambda p, x: eqx.tree_at(where, p, where(p) + ...)`.
        stretch: steps between two calls of `rule`, a multiple of `every`. [1]
        record: what `rule` sees of the run, as `record` of `simulate`; it is not kept. None, the
            default, shows it nothing.
        every: steps between two records. [1]
        watch: from (params, record of the stretch), after the rule, to what is kept of each stretch,
            such as `lambda p, x: p.coupling.conn`. Nothing by default.
        checkpoint: whether a gradient runs each stretch again, in place of keeping what it needs of all.

    Returns:
        The last state, the parameters after the last stretch, and what was watched.

    Raises:
        TypeError: if `rule` or `watch` cannot be called, or `rule` returns another structure, shape or
            dtype, which is named.
        ValueError: if `steps` is not a multiple of `stretch`, or that not one of `every`.

    Source:
        T. P. Vogels et al., Science 334 (2011) 1569-1573, for the rule of inhibitory plasticity by which
        $J_i$ grows with $r_i^I (r_i^E - r)$, r being the rate to be held.

    Example:
        >>> import equinox as eqx
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> conn = jnp.array([[0.0, 0.0], [0.2, 0.0]])  # region 0 drives region 1
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn),
        ...                    external={"x": 1.0})
        >>> state = net.init(cf.nodes.LinearState(jnp.zeros(2)), params)
        >>> of_conn = lambda p: p.coupling.conn
        >>> def hebb(p, x):  # what fires together, over an edge that is there, wires together
        ...     together = jnp.einsum("ti,tj->ij", x, x) / len(x)
        ...     grown = jnp.where(of_conn(p) != 0, of_conn(p) + 0.01 * together, 0.0)
        ...     return eqx.tree_at(of_conn, p, grown)
        >>> run = cf.adapt(net, state, params, 400, rule=hebb, stretch=100, record="x",
        ...                watch=lambda p, x: of_conn(p)[1, 0])
        >>> bool((jnp.diff(run.watched) > 0).all()), run.watched.shape
        (True, (4,))
    """
    require_callable("step", step, "adapt(step, state, params, steps, ...), a Network or your own")
    require_callable("rule", rule, "a function (params, record) -> params")
    if watch is not None:
        require_callable("watch", watch, "a function (params, record) -> what to keep, or None")
    steps, stretch = as_count("steps", steps), as_count("stretch", stretch)
    every = as_count("every", every)
    if not stretch or steps % stretch or not every or stretch % every:
        raise ValueError(
            "`steps` must be a multiple of `stretch`, and `stretch` one of `every`; got "
            f"{steps}, {stretch} and {every}."
        )
    return _adapt(
        step, state, params, (steps // stretch, stretch, every), record, rule, watch, checkpoint
    )


@compiled
def _adapt(
    step: Any,
    state: PyTree,
    params: PyTree,
    counts: tuple[int, int, int],
    record: Record,
    rule: Rule,
    watch: Watch | None,
    checkpoint: bool,
) -> Adapted:
    stretches, stretch, every = counts
    changing, fixed = eqx.partition(params, eqx.is_array)

    def one(carry: PyTree, _: None) -> tuple[PyTree, PyTree]:
        state, changing = carry
        params = eqx.combine(changing, fixed)
        state, seen = simulate(step, state, params, stretch, record=record, every=every)
        before, params = params, rule(params, seen)
        _require_alike(before, params)
        return (state, eqx.filter(params, eqx.is_array)), (watch or _nothing)(params, seen)

    body = jax.checkpoint(one) if checkpoint else one
    (state, changing), watched = scan(body, (state, changing), None, length=stretches)
    return Adapted(state, eqx.combine(changing, fixed), watched)


def _require_alike(before: PyTree, after: PyTree) -> None:
    """Refuse a rule that returns parameters of another structure, shape or dtype."""
    was, now = (jax.tree.flatten_with_path(tree) for tree in (before, after))
    if was[1] != now[1]:
        raise TypeError(
            "`rule` must return parameters of the structure that it is given, such as by "
            f"`eqx.tree_at(where, params, ...)`; it returned {in_short(after)}."
        )
    for (path, x), (_, y) in zip(was[0], now[0], strict=True):
        if not hasattr(y, "shape"):
            continue
        x = jnp.asarray(x)
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise TypeError(
                f"`rule` must keep shapes and dtypes; params{jax.tree_util.keystr(path)} was "
                f"{x.dtype}{list(x.shape)}, and is {y.dtype}{list(y.shape)} after it."
            )
