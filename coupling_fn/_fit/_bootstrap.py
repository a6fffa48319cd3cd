"""Fits of data drawn anew from the data."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from .._core import PyTree, Where, as_count
from ..transforms import Transform
from ._descent import LBFGS, Problem, descend
from ._fit import require_optimizer
from ._leaves import Fitted, Unconstrained, fitted_leaves
from ._sweep import sweep


class Bootstrap(eqx.Module):
    """Fits of resampled data.

    Args:
        samples: the fitted leaves of each, as `where` gives them, with a leading axis of samples.
        error: their standard deviations.
        lower: the 2.5 % points.
        upper: the 97.5 % points.
        losses: the smallest loss of each.
    """

    samples: PyTree
    error: PyTree
    lower: PyTree
    upper: PyTree
    losses: Float[np.ndarray, " sample"]


def bootstrap(
    loss: Callable[[Any, Any], Float[Array, ""]],
    params: PyTree,
    data: PyTree,
    key: Array,
    *,
    where: Where,
    samples: int = 200,
    block: int = 1,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 50,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    chunk: int | None = None,
) -> Bootstrap:
    """Fit data drawn anew from the data, many times by vmap: the spread is that of the estimate.

    Nothing is assumed of the noise but that rows are independent: subjects are, windows of one
    recording are not, so draw runs of them (`block`).

    Args:
        loss: pure function of `params` and data, returning one float.
        params: where the fit ended; each fit starts from there.
        data: any pytree of arrays whose leading axis counts subjects or windows.
        key: random key of the draws.
        where: the leaves to fit.
        samples: how many times.
        block: how many rows in a row are drawn together; longer than they remember.
        optimizer: `optax.lbfgs()` if None.
        steps: how many updates each time.
        transform: as in `fit`.
        chunk: how many fits run at once; all if None.

    Raises:
        TypeError: as `fit`.
        ValueError: as `fit`; or if leading axes differ, there are fewer than 2 samples, or `block`
            is longer than the data.

    Source:
        B. Efron, Ann. Stat. 7 (1979) 1-26; for blocks, H. Kunsch, Ann. Stat. 17 (1989) 1217-1241.

    Example:
        >>> heights = jnp.asarray([1.6, 1.7, 1.8, 1.9])
        >>> loss = lambda p, data: jnp.mean((p - data) ** 2)
        >>> at = jnp.asarray(1.75)
        >>> found = cf.bootstrap(loss, at, heights, jax.random.key(0), where=lambda p: p)
        >>> bool(0.03 < found.error < 0.08)  # 0.112 / √4
        True
    """
    fitted = fitted_leaves("bootstrap", params, where, transform)
    optimizer = LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    counts = {np.shape(x)[:1] for x in jax.tree.leaves(data)}
    if len(counts) != 1 or () in counts:
        raise ValueError(f"All leaves of `data` must have one leading axis alike, not {counts}.")
    ((rows,),) = counts
    if as_count("samples", samples) < 2:
        raise ValueError(f"`samples` must be at least 2, not {samples}.")
    if not 1 <= as_count("block", block) <= rows:
        raise ValueError(f"`block` must be from 1 to {rows}, the rows of `data`, not {block}.")
    one = _Resampled(
        loss, optimizer, fitted, data, fitted.start(), as_count("steps", steps), block, rows
    )
    losses, leaves = sweep(one, jax.random.split(key, samples), chunk=chunk, progress=False)
    leaves = [np.asarray(x) for x in leaves]
    ends = [np.quantile(x, (0.025, 0.975), axis=0) for x in leaves]
    return Bootstrap(
        samples=fitted.as_where(leaves),
        error=fitted.as_where([x.std(0, ddof=1) for x in leaves]),
        lower=fitted.as_where([low for low, _ in ends]),
        upper=fitted.as_where([high for _, high in ends]),
        losses=np.asarray(losses),
    )


class _Resampled(eqx.Module):
    """The fit of one draw: a pytree, so that other data compile nothing."""

    loss: Any
    optimizer: Any
    fitted: Fitted
    data: PyTree
    unconstrained: Unconstrained
    steps: int = eqx.field(static=True)
    block: int = eqx.field(static=True)
    rows: int = eqx.field(static=True)

    def __call__(self, key: Array) -> Any:
        blocks = -(-self.rows // self.block)
        first = jax.random.randint(key, (blocks, 1), 0, self.rows - self.block + 1)
        chosen = (first + jnp.arange(self.block)[None]).ravel()[: self.rows]
        data = jax.tree.map(lambda x: jnp.asarray(x)[chosen], self.data)
        problem = Problem(lambda params: self.loss(params, data), self.optimizer, self.fitted)
        least, best = descend(problem, self.unconstrained, self.steps)
        return least, self.fitted.values(best)
