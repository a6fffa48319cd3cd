"""A few of the data at a time."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import PyTree, as_count


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
    rows = rows_of(data)
    if not 1 <= as_count("size", size) <= rows:
        raise ValueError(f"`size` must be from 1 to {rows}, the rows of `data`; got {size}.")
    return Minibatches(data, key, size)


def rows_of(data: PyTree) -> int:
    """Return the length of the leading axis that all leaves of `data` must share."""
    counts = {np.shape(x)[:1] for x in jax.tree.leaves(data)}
    if len(counts) != 1 or () in counts:
        raise ValueError(
            f"All leaves of `data` must have a leading axis of one length; got {sorted(counts)}."
        )
    ((rows,),) = counts
    return rows
