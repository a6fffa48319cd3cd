"""A run in parts, each kept in a file, from which a call that was killed goes on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    Interrupted,
    PyTree,
    as_arrays,
    as_count,
    as_tree,
    fingerprint,
    is_key,
    read_checkpoint,
    require_no_keys,
    write_checkpoint,
)


def saved(
    simulate: Callable[..., Any],
    save: str | os.PathLike[str],
    save_every: Any,
    step: Any,
    state: PyTree,
    params: PyTree,
    options: Any,
) -> tuple[PyTree, PyTree]:
    """Run parts of `save_every` steps, and keep each in a file of its own.

    `simulate(step, state, params, options)` runs one part.
    """
    folder, length = Path(save), _checked_save_every(save, save_every, options)
    program, (after, like), _ = eqx.filter_make_jaxpr(simulate)(
        step, state, params, options._replace(steps=length, warm_up=0)
    )
    require_no_keys("record", like)
    after = jax.tree.map(lambda then, now: now if is_key(then) else then, after, state)
    arrays = eqx.filter((step, state, params), eqx.is_array_like)
    if options.measuring is not None:
        arrays = (arrays, np.asarray(options.warm_up))
    marks = fingerprint("step, record or `save_every`", program, "state or params", arrays)
    seen = []
    try:
        for first in range(0, options.steps, length):
            last = min(first + length, options.steps)
            path = folder / f"simulate-{first:010d}-{last:010d}.npz"
            if found := read_checkpoint(path, marks, "run"):
                then = jax.tree.map(jnp.asarray, as_tree("state", found, after))
                rows = as_tree("record", found, like)
            else:
                warm_up = min(max(options.warm_up - first, 0), last - first)
                part = options._replace(steps=last - first, warm_up=warm_up)
                then, rows = jax.block_until_ready(simulate(step, state, params, part))
                rows = jax.tree.map(np.asarray, rows)
                write_checkpoint(path, as_arrays("state", then) | as_arrays("record", rows), marks)
            state, seen = (
                then,
                [*seen, rows],
            )  # in one statement, so that no interrupt comes between
    except KeyboardInterrupt:
        raise Interrupted((state, _joined(seen, options)) if seen else None) from None
    if not seen:
        return state, simulate(step, state, params, options._replace(steps=0))[1]
    return state, _joined(seen, options)


def _checked_save_every(save: Any, save_every: Any, options: Any) -> int:
    """Return the steps between two writes: as the run in `save` began, or a tenth of the run."""
    steps, unit, what = options.steps, options.every, "`every`"
    if options.measuring is not None:
        unit, what = options.measuring.whole_periods(), "each period of `measure`"
    if save_every is None:
        begun = sorted(Path(save).glob(f"simulate-{0:010d}-*.npz"))
        if begun:
            save_every = int(begun[-1].stem.split("-")[-1])
        else:
            save_every = max(-(-steps // (10 * unit)), 1) * unit
    length = as_count("save_every", save_every)
    if length % unit or not length:
        raise ValueError(f"`save_every` must be a multiple of {what}, {unit}, not {length}.")
    return length


def _joined(parts: list[PyTree], options: Any) -> PyTree:
    """Return the records of consecutive parts of a run as one."""
    if options.measuring is not None:
        return options.measuring.joined(parts)
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
