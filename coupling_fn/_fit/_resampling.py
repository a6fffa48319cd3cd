"""A few of the data at a time, and fits of resampled data."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Float

from .._core import PyTree, Where, as_count, require_key
from ..transforms import Transform
from ._descent import LBFGS, Problem, descend
from ._fit import require_optimizer
from ._leaves import Fitted, Unconstrained, fitted_leaves, told
from ._sweep import sweep_quietly


class Minibatches(eqx.Module):
    """One batch per step, in an order drawn again for each pass: a pure function of the step.

    Attributes:
        data: any pytree of arrays whose leading axis counts what is drawn.
        key: random key of the order.
        size: number of rows in a batch. [1]

    Example:
        >>> batch = cf.minibatches({"subject": jnp.arange(6)}, size=2, key=jax.random.key(0))
        >>> batch.size, batch(0)["subject"].shape
        (2, (2,))
        >>> bool((batch(0)["subject"] == batch(0)["subject"]).all())
        True
    """

    data: PyTree
    key: Array
    size: int = eqx.field(static=True)

    def __call__(self, step: Any) -> PyTree:
        """Return the batch of a step."""
        rows = len(jax.tree.leaves(self.data)[0])
        step = jnp.asarray(step)
        epoch, place = jnp.divmod(step, rows // self.size)
        order = jax.random.permutation(jax.random.fold_in(self.key, epoch), rows)
        chosen = lax.dynamic_slice_in_dim(order, place * self.size, self.size)
        return jax.tree.map(lambda x: x[chosen], self.data)


def minibatches(data: PyTree, size: int, key: Array) -> Minibatches:
    """Return batches of subjects or noise keys for `fit`, in an order drawn again each epoch.

    Args:
        data: any pytree of arrays whose leading axis counts what is drawn: subjects, windows,
            `jax.random.split(key, 64)`.
        size: number of rows in a batch. Where it does not divide the number of rows, each epoch
            leaves out other ones. [1]
        key: random key of the order.

    Returns:
        A function from the number of the step to a batch, for `fit(batch=)`.

    Raises:
        ValueError: if leading axes differ, or `size` is 0 or larger than they are.

    Example:
        >>> batch = cf.minibatches(jnp.arange(6.0), size=2, key=jax.random.key(0))
        >>> sorted(float(x) for step in range(3) for x in batch(step))
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    rows = _rows_of(data)
    if not 1 <= as_count("size", size) <= rows:
        raise ValueError(f"`size` must be from 1 to {rows}, the rows of `data`; got {size}.")
    return Minibatches(data, key, size)


class Bootstrap(eqx.Module):
    """The fits of resampled data, and how far they spread.

    Attributes:
        samples: the fitted leaves of each fit, as `where` returns them, with a leading axis of
            samples. [unit of each leaf]
        error: the standard deviations of the samples, which are standard errors of the estimate.
            [unit of each leaf]
        lower: their 2.5 % quantiles. [unit of each leaf]
        upper: their 97.5 % quantiles. [unit of each leaf]
        losses: the smallest loss of each fit. [unit of the loss]

    Example:
        >>> heights = jnp.asarray([1.6, 1.7, 1.8, 1.9])
        >>> def loss(mean, data):
        ...     return jnp.mean((mean - data) ** 2)
        >>> at, key = jnp.asarray(1.75), jax.random.key(0)
        >>> found = cf.bootstrap(loss, at, heights, key, where=lambda mean: mean, samples=50)
        >>> found.samples.shape, bool(found.lower < 1.75 < found.upper)
        ((50,), True)
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
    """Fit resampled data many times by vmap: the fits spread as the estimate does.

    Of the noise it is only assumed that rows are independent. Subjects are; windows of one recording
    are not, so draw blocks of successive ones (`block`).

    Args:
        loss: pure function of `params` and data, returning one float.
        params: where the fit ended; each fit starts from there.
        data: any pytree of arrays whose leading axis counts subjects or windows.
        key: random key of the draws.
        where: the leaves to fit.
        samples: number of fits. [1]
        block: number of successive rows that are drawn together; more than the correlations of
            the data last. [1]
        optimizer: `optax.lbfgs()` if None.
        steps: number of updates in each fit. [1]
        transform: as in `fit`.
        chunk: number of fits that run at once; all if None. [1]

    Returns:
        The fitted leaves of each fit, and their standard errors and 95 % intervals.

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
    loss = told("bootstrap", "loss", loss)
    require_key(key)
    fitted = fitted_leaves("bootstrap", params, where, transform)
    optimizer = LBFGS if optimizer is None else optimizer
    require_optimizer(optimizer)
    rows = _rows_of(data)
    if as_count("samples", samples) < 2:
        raise ValueError(f"`samples` must be at least 2; got {samples}.")
    if not 1 <= as_count("block", block) <= rows:
        raise ValueError(f"`block` must be from 1 to {rows}, the rows of `data`; got {block}.")
    steps = as_count("steps", steps)
    one = _Resampled(loss, optimizer, fitted, data, fitted.start(), steps, block, rows)
    losses, leaves = sweep_quietly(one, jax.random.split(key, samples), chunk=chunk, progress=False)
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
    start: Unconstrained
    steps: int = eqx.field(static=True)
    block: int = eqx.field(static=True)
    rows: int = eqx.field(static=True)

    def __call__(self, key: Array) -> tuple[Array, tuple[Array, ...]]:
        """Return the smallest loss of the fit of one draw, and the leaves there."""
        blocks = -(-self.rows // self.block)
        first = jax.random.randint(key, (blocks, 1), 0, self.rows - self.block + 1)
        chosen = (first + jnp.arange(self.block)[None]).ravel()[: self.rows]
        data = jax.tree.map(lambda x: jnp.asarray(x)[chosen], self.data)
        problem = Problem(lambda params: self.loss(params, data), self.optimizer, self.fitted)
        best = descend(problem, self.start, self.steps)
        return best.loss, self.fitted.values(best.unconstrained)


def _rows_of(data: PyTree) -> int:
    """Return the length of the leading axis that all leaves of `data` must share."""
    counts = {np.shape(x)[:1] for x in jax.tree.leaves(data)}
    if len(counts) != 1 or () in counts:
        raise ValueError(
            f"All leaves of `data` must have a leading axis of one length; got {sorted(counts)}."
        )
    ((rows,),) = counts
    return rows
