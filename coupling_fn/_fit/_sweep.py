"""A parameter sweep: one function over many values."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core import (
    PART,
    WHOLE,
    Interrupted,
    PyTree,
    Told,
    as_arguments,
    as_arrays,
    as_count,
    as_tree,
    fingerprint,
    known,
    mesh_of,
    progress_bar,
    read_checkpoint,
    require_callable,
    require_no_keys,
    shard_map,
    traced,
    write_checkpoint,
)


def sweep(
    fn: Callable[[Any], PyTree],
    values: PyTree,
    *,
    chunk: int | None = None,
    save: str | os.PathLike[str] | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
) -> PyTree:
    """Run `fn` on each of many values, all at once or `chunk` at a time.

    This is `jax.vmap(fn)(values)`, compiled once: a later call with the same `fn` and shapes compiles
    nothing. A `fn` that is defined anew, as in a cell of a notebook that runs twice, is another function
    and compiles again. Chunks bound the memory that the runs need while they run. All results stay on
    the device, so let `fn` return what is needed and not whole trajectories.

    The call waits for the results. Where some of the runs hold NaN, a warning says which: one that
    exploded, say, or whose `fixed_point` was not found. Inside your own `jit`, `vmap` or `grad` it is
    `jax.vmap`, or `jax.lax.map` by chunks, without a bar and without that warning.

    Args:
        fn: pure function of one value, returning any pytree of arrays.
        values: an array, or any pytree of arrays, whose leading axis counts the values; `grid`
            makes a dictionary of such arrays.
        chunk: number of values that run at once; all of them if None. The last chunk is filled up
            with its last value, so that all have one shape, and the surplus is dropped. [1]
        save: a folder, made if it does not exist, to which each finished chunk is written. If it was
            killed, the same call goes on from there, and loses the unfinished chunk at most. Another
            function, or other values, chunk or version of JAX, are refused.
        devices: devices to spread the values of a chunk over, such as `jax.devices()`, equally many
            on each. They do not communicate further, and the results are those of one device.
        progress: show a bar on stderr, with one step per chunk. It needs tqdm, which the extra
            `coupling_fn[progress]` installs; without it there is no bar.

    Returns:
        What `fn` returns, each leaf a JAX array with one more axis in front, in the order of
        `values`. With `save` they are NumPy arrays: finished chunks leave the device.

    Raises:
        ValueError: if `values` is empty, a leaf has no leading axis, two leading axes differ in
            length, `chunk` is 0, `devices` is empty, `save` holds another sweep or a damaged one,
            or `devices` or `save` is given inside `jit`, `vmap` or `grad`.
        TypeError: if `save` is given and `fn` returns random keys.
        OSError: if `save` cannot be written; the chunks written before stay as they are.
        Interrupted: on Ctrl-C, with the finished chunks.

    Example:
        Find the strength at which a run ends highest, running three strengths at once:

        >>> import equinox as eqx
        >>> params = {"k": jnp.asarray(0.0), "drive": jnp.asarray([1.0, 2.0])}
        >>> def run(k):
        ...     p = eqx.tree_at(lambda p: p["k"], params, k)
        ...     return jnp.sum(p["drive"] * p["k"] * (3.0 - p["k"]))
        >>> ks = jnp.linspace(0.0, 3.0, 7)
        >>> ends = cf.sweep(run, ks, chunk=3, progress=False)
        >>> ends.shape, float(ks[ends.argmax()])
        ((7,), 1.5)
    """
    swept = sweep_quietly(fn, values, chunk=chunk, save=save, devices=devices, progress=progress)
    if known(swept) and not traced():
        _say_where_nan(swept)
    return swept


def sweep_quietly(
    fn: Callable[[Any], PyTree],
    values: PyTree,
    *,
    chunk: int | None = None,
    save: str | os.PathLike[str] | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
) -> PyTree:
    """Do what `sweep` does, without a word on runs that hold NaN."""
    require_callable("fn", fn, "cf.sweep(fn, values)")
    hint = "`fn` is called with one value; of a `grid` that is a dict with all axes."
    size, fn = _length(values), Told(as_arguments(fn), "`fn`", "the value", hint)
    if chunk is not None:
        chunk = as_count("chunk", chunk)
        if chunk == 0:
            raise ValueError("`chunk` must be at least 1; got 0. None runs all values at once.")
    if devices is not None and not isinstance(devices, Sequence):
        raise TypeError(f"`devices` must be a list, such as jax.devices()[:2], not {devices!r}.")
    if devices is not None and not len(devices):
        raise ValueError("`devices` must not be empty; `jax.devices()` lists all there are.")
    if not known(fn, values):
        if devices is not None:
            raise ValueError(
                "`devices` cannot be given inside `jit`, `vmap` or `grad`: spread the outer function "
                "over them."
            )
        if save is not None:
            raise ValueError(
                "`save` writes files, which is not possible inside `jit`, `vmap` or `grad`."
            )
        return jax.vmap(fn)(values) if chunk is None else jax.lax.map(fn, values, batch_size=chunk)
    chunk = min(chunk or size, size)
    if save is not None and traced():
        raise ValueError("`save` writes files, which is not possible inside `jit`.")
    disk = None if save is None else _Disk(Path(save), fn, values, chunk)
    numpy = np if disk else jnp  # finished chunks that were written have left the device
    results = []
    try:
        with progress_bar(size, "sweep", progress) as advance:
            for first in range(0, size, chunk):
                done = disk.read(first) if disk else None
                if done is None:
                    rows = np.minimum(np.arange(first, first + chunk), size - 1)
                    whole = chunk == size
                    part = values if whole else jax.tree.map(lambda x, rows=rows: x[rows], values)
                    done = jax.block_until_ready(_batch(fn, part, tuple(devices or ())))
                    if disk:
                        done = disk.write(first, done)
                results.append(done)
                advance(min(chunk, size - first))
    except KeyboardInterrupt:
        raise Interrupted(_joined(results, size, numpy) if results else None) from None
    return _joined(results, size, numpy)


def _say_where_nan(swept: PyTree) -> None:
    """Warn of runs that hold NaN."""
    held = np.zeros((), bool)
    for leaf in jax.tree.leaves(swept):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            own = jnp.isnan(leaf) if isinstance(leaf, jax.Array) else np.isnan(leaf)
            held = held | np.asarray(own.any(axis=tuple(range(1, leaf.ndim))))
    if held.any():
        places = np.flatnonzero(held)
        named = ", ".join(map(str, places[:5])) + (", ..." if len(places) > 5 else "")
        warnings.warn(
            f"{len(places)} of {held.size} runs of this sweep hold NaN, at the places {named} of "
            "`values`. A run that explodes gives NaN (see `diagnose_run`), and so does an analysis "
            "without a stable fixed point.",
            RuntimeWarning,
            stacklevel=3,
        )


def _joined(results: list[PyTree], size: int, numpy: Any) -> PyTree:
    """Return all chunks in one, without what fills up the last."""
    if len(results) == 1:
        return results[0]
    return jax.tree.map(lambda *parts: numpy.concatenate(parts)[:size], *results)


class _Disk:
    """The finished chunks of a sweep in a folder, with one file per chunk."""

    def __init__(self, folder: Path, fn: Callable[[Any], PyTree], values: PyTree, chunk: int):
        part = jax.tree.map(lambda x: x[:chunk], values)
        traced, self.like = jax.make_jaxpr(jax.vmap(fn), return_shape=True)(part)
        require_no_keys("fn", self.like)
        numbers = (values, np.asarray(chunk))
        self.folder = folder
        self.marks = fingerprint("function", traced, "values or chunk", numbers)

    def read(self, first: int) -> PyTree:
        """Return the chunk that begins at a value; None if it was not finished."""
        found = read_checkpoint(self._file(first), self.marks, "sweep")
        return None if found is None else as_tree("result", found, self.like)

    def write(self, first: int, done: PyTree) -> PyTree:
        """Write a chunk, and return it as arrays of the host."""
        arrays = as_arrays("result", done)
        write_checkpoint(self._file(first), arrays, self.marks)
        return jax.tree.map(np.asarray, done)

    def _file(self, first: int) -> Path:
        return self.folder / f"sweep-{first:08d}.npz"


@eqx.filter_jit
def _batch(fn: Callable[[Any], PyTree], values: PyTree, devices: tuple[Any, ...]) -> PyTree:
    if not devices:
        return jax.vmap(fn)(values)
    size = len(jax.tree.leaves(values)[0])
    each = -(-size // len(devices))
    # The values are filled up so that each device has equally many. `shard_map` lets each work on
    # its own, where `jit` alone would have all devices hold the histories of all delayed runs.
    rows = np.minimum(np.arange(each * len(devices)), size - 1)
    mesh = mesh_of(devices)
    arrays, rest = eqx.partition(fn, eqx.is_array)

    def several(arrays, values):
        return jax.vmap(eqx.combine(arrays, rest))(values)

    spread = shard_map(several, mesh, (WHOLE, PART), PART)
    done = spread(arrays, jax.tree.map(lambda x: x[rows], values))
    return jax.tree.map(lambda x: x[:size], done)


def _length(values: PyTree) -> int:
    lengths = {}
    for path, leaf in jax.tree.leaves_with_path(values):
        name = f"values{jax.tree_util.keystr(path)}"
        if np.ndim(leaf) == 0:
            raise ValueError(
                f"`{name}` must be an array with a leading axis, one entry per value; got "
                f"{leaf!r}. Wrap a list of numbers in jnp.asarray, and repeat what stays the same or "
                "let `fn` close over it."
            )
        lengths[name] = np.shape(leaf)[0]
    if not lengths or 0 in lengths.values():
        raise ValueError("`values` must not be empty: there is nothing to sweep over.")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in lengths.items())
        raise ValueError(
            f"All leaves of `values` must have leading axes of one length; got {listed}. For all "
            "combinations of several axes, use cf.grid."
        )
    return next(iter(lengths.values()))


def grid(**axes: ArrayLike | Sequence[Any]) -> dict[str, Array]:
    """Return all combinations of some axes, flattened, as values for `sweep`.

    The last axis varies fastest (C order), so `r.reshape(len(k), len(speed), *r.shape[1:])` lays
    a result `r` out along the axes again.

    Args:
        **axes: the values of each axis, by name. Each keeps its dtype.

    Returns:
        One array per name, each with one entry per combination.

    Raises:
        ValueError: if there is no axis, or one is empty or does not have one dimension.

    Example:
        >>> k, speed = jnp.asarray([0.0, 0.5, 1.0]), jnp.asarray([3.0, 6.0])
        >>> values = cf.grid(k=k, speed=speed)
        >>> values["k"].tolist(), values["speed"].tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0, 1.0], [3.0, 6.0, 3.0, 6.0, 3.0, 6.0])
        >>> delay = cf.sweep(lambda v: v["k"] / v["speed"], values, progress=False)
        >>> delay.reshape(len(k), len(speed)).shape
        (3, 2)
    """
    if not axes:
        raise ValueError("`cf.grid` needs at least one axis, as in cf.grid(k=ks, speed=speeds).")
    arrays = {name: _axis(name, axis) for name, axis in axes.items()}
    for name, axis in arrays.items():
        if axis.ndim != 1 or axis.size == 0:
            raise ValueError(
                f"`{name}` must have one axis, of at least one value; its shape is {axis.shape}."
            )
    mesh = jnp.meshgrid(*arrays.values(), indexing="ij")
    return {name: points.ravel() for name, points in zip(arrays, mesh, strict=True)}


def _axis(name: str, values: Any) -> Array:
    try:
        return jnp.asarray(values)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must be an array, not {type(values).__name__}.") from error
