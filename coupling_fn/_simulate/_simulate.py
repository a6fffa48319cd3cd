"""Many steps: `lax.scan` over any `(state, params) -> state`, recording on the way."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import (
    Interrupted,
    PyTree,
    as_arrays,
    as_count,
    as_tree,
    by_node,
    fingerprint,
    get,
    is_key,
    pack,
    read_checkpoint,
    repack,
    require_choice,
    require_names,
    require_no_keys,
    traced,
    write_checkpoint,
)
from .._network import Network, require_state
from ._blocked import HistoryNeeded, run_network
from ._finite import require_finite_run, require_known

Record = str | tuple[str, ...] | Callable[[Any], PyTree] | None
Reduce = tuple[PyTree, Callable[[PyTree, PyTree], PyTree]]


def _node(state: Any) -> PyTree:
    return state.node


def simulate(
    step: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    params: PyTree,
    steps: int,
    *,
    record: Record = _node,
    every: int = 1,
    derivative: Literal["reverse", "forward"] = "reverse",
    checkpoint: int | None = None,
    reduce: Reduce | None = None,
    save: str | os.PathLike[str] | None = None,
    save_every: int | None = None,
    check: Literal["finite"] | None = None,
) -> tuple[PyTree, PyTree]:
    """Run `steps` steps, and record.

    The last state is all that a further run needs: two halves give the run in one, bit for bit.
    Compiled once for each `step`, shapes and number of steps; a `record` written as a lambda
    inside a loop is a new function each time, and compiles each time: name it, or give names.

    Args:
        step: a `Network`, or any pure function `(state, params) -> state`.
        state: where to start, from `Network.init` or an earlier run.
        params: what `step` takes; differentiate, sweep and shard as you like.
        steps: number of steps.
        record: what to keep of a state: the name of a state variable, several, or a function of
            the state; None keeps nothing. By default all state variables of the node.
        every: keep every so many steps; `steps` must be a multiple.
        derivative: the mode in which a network with delays may be differentiated. "reverse" (`grad`,
            and `jacfwd` of a `grad`) takes memory of the order of the trajectory; "forward"
            (`jvp`, `jacfwd`) is for few parameters. Anything else takes both.
        checkpoint: for a reverse mode that keeps the state every so many steps, and works the steps
            between out again: memory for one such segment and for `steps / checkpoint` states
            (with their histories), at the cost of one more run. `steps` must be a multiple of it,
            and it of `every`; about the root of `steps`, but not below the largest lag, is best.
        reduce: keep no record but what comes of it, so that memory does not grow with the run: a
            pair `(start, add)`. `add(total, record)` gives the next total from the one before and
            the record of `checkpoint` steps, time in front; `start` is the first. For a functional
            connectivity, a mean or an order parameter `observe.moments_step`; for BOLD `bold_from_balloon`,
            whose state goes on from one part to the next.
        save: a folder, made if need be, that the state and the record are written to now and then. The
            same call goes on from there if it was killed, with the same numbers to the bit, and more
            `steps` go on from a finished run; another step, state, record or version of JAX is
            refused. Not for inside of `jit`, `vmap` or `grad`.
        save_every: how many steps lie between two writes, a multiple of `every`; if None what it was
            of a run that was begun there, or a tenth of the run.
        check: "finite" looks at the last state, and at what a function recorded, when the run has
            ended. If one is NaN or infinite, the run is repeated in parts up to where that began, and
            the error says the step, the state, the region and the largest inputs. The run itself is
            the same program. In a step of your own, what is finite again at the end is not seen.
            Outside of `jit`, `vmap` and `grad` alone.

    Returns:
        The last state, and the record with time in front: `record[n]` is of the state after step
        `(n + 1) * every`, at time `(n + 1) * every * dt`. The initial state is not in it. With
        `save` the record is NumPy's: what is finished leaves the device. With `reduce` the last
        total is in the record's place.

    Raises:
        TypeError: if `steps` or `every` is not a whole number.
        ValueError: if they are negative, or `steps` is not a multiple of `every` and `checkpoint`; if
            `save` holds another run or a damaged one; if `check` or `save` is asked for inside
            `jit`, `vmap` or `grad`; or if `reduce` comes without `checkpoint`.
        FloatingPointError: if `check` finds NaN or infinity.
        OSError: if `save` cannot be written; what was written before is as it was.
        Interrupted: on Ctrl-C with `save`, with the last state and the record so far.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, scheme="euler")
        >>> params = cf.Params(cf.nodes.LinearParams(a=1.0), cf.AdditiveCoupling(jnp.zeros((1, 1))))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
        >>> last, x = cf.simulate(net, state, params, steps=3, record="x")
        >>> x.tolist(), last.node.x.tolist()
        ([[2.0], [4.0], [8.0]], [8.0])
    """
    steps, every = as_count("steps", steps), as_count("every", every)
    if every == 0 or steps % every:
        raise ValueError(
            f"`steps` must be a multiple of `every`, so that the record ends with the run; "
            f"{steps} is not one of {every}. The nearest are {steps - steps % max(every, 1)} and "
            f"{steps + max(every, 1) - steps % max(every, 1)}."
        )
    if isinstance(step, Network) and isinstance(record, (str, tuple)):
        names = (record,) if isinstance(record, str) else record
        require_names("state", names, step.node.states)
    require_choice("derivative", derivative, ("reverse", "forward"))
    if checkpoint is not None:
        segment = as_count("checkpoint", checkpoint)
        if segment == 0 or steps % segment or segment % every:
            raise ValueError(
                f"`checkpoint` must be a multiple of `every` that `steps` is a multiple of; {segment} "
                f"is not, with every {every} and {steps} steps."
            )
        checkpoint = segment if steps else None
    if reduce is not None and checkpoint is None and steps:
        raise ValueError(
            "`reduce` gets the record of `checkpoint` steps at a time: say how many, some thousands."
        )
    require_choice("check", check, (None, "finite"))
    reverse = derivative == "reverse"
    if check is not None:
        require_known(step, state, params)
    if save is None and save_every is not None:
        raise ValueError("`save_every` says how often to write to `save`: give that, too.")
    recorder = _recorder(record)
    if save is None:
        how = (steps, recorder, every, reverse, checkpoint, reduce)
        result = _simulate(step, state, params, *how)
    else:
        if traced(step, state, params) or checkpoint is not None:
            raise ValueError(
                "`save` writes files, which is not for inside of jit, vmap or grad; so it takes no "
                "`checkpoint`, either."
            )
        length = _stretch(save, steps, every) if save_every is None else save_every
        length = as_count("save_every", length)
        if length % every or not length:
            raise ValueError(f"`save_every` must be a multiple of `every`, {every}, not {length}.")
        how = (steps, recorder, every, reverse)
        result = _saved(Path(save), length, step, state, params, *how)
    if check is not None:

        def again(step, state, params, steps, record):
            return _simulate(step, state, params, steps, record, 1, reverse, None)

        # What is recorded of states by name is finite where they are; only a function's is looked at.
        named = isinstance(step, Network) and (record is _node or not callable(record))
        seen = None if named or reduce else result[1]
        require_finite_run(again, step, state, params, steps, (result[0], seen))
    return result


class _Named(eqx.Module):
    """Record state variables by name; equal names are equal, so nothing compiles twice."""

    names: str | tuple[str, ...] = eqx.field(static=True)

    def __call__(self, state: Any) -> PyTree:
        if isinstance(self.names, str):
            return get(state.node, self.names)
        return {name: get(state.node, name) for name in self.names}


def _recorder(record: Record) -> Callable[[Any], PyTree]:
    if record is None:
        return _nothing
    if callable(record):
        return record
    return _Named(record)


def _nothing(state: Any) -> None:
    return None


def _stretch(save: Any, steps: int, every: int) -> int:
    """A tenth of a run, or what a run that was begun there took."""
    begun = sorted(Path(save).glob(f"simulate-{0:010d}-*.npz"))
    return (
        int(begun[-1].stem.split("-")[-1]) if begun else max(-(-steps // (10 * every)), 1) * every
    )


def _saved(folder, length, step, state, params, steps, record, every, reverse):
    """Run stretches of so many steps, and keep each in a file of its own."""
    args = lambda state, steps: (step, state, params, steps, record, every, reverse, None)  # noqa: E731
    program, (after, like), _ = eqx.filter_make_jaxpr(_simulate)(*args(state, length))
    require_no_keys("record", like)
    after = jax.tree.map(lambda then, now: now if is_key(then) else then, after, state)
    arrays = eqx.filter((step, state, params), eqx.is_array_like)
    marks = fingerprint("step, record or `save_every`", program, "state or params", arrays)
    seen = []
    joined = lambda: jax.tree.map(lambda *rows: np.concatenate(rows), *seen)  # noqa: E731
    try:
        for first in range(0, steps, length):
            last = min(first + length, steps)
            path = folder / f"simulate-{first:010d}-{last:010d}.npz"
            if found := read_checkpoint(path, marks, "run"):
                then = jax.tree.map(jnp.asarray, as_tree("state", found, after))
                rows = as_tree("record", found, like)
            else:
                then, rows = jax.block_until_ready(_simulate(*args(state, last - first)))
                rows = jax.tree.map(np.asarray, rows)
                write_checkpoint(path, as_arrays("state", then) | as_arrays("record", rows), marks)
            state, seen = then, [*seen, rows]  # at once, for one who interrupts in between
    except KeyboardInterrupt:
        raise Interrupted((state, joined()) if seen else None) from None
    return state, joined() if seen else _simulate(*args(state, 0))[1]


@eqx.filter_jit
def _simulate(step, state, params, steps, record, every, reverse, checkpoint, reduce=None):
    if checkpoint is None:
        state, seen = _run(step, state, params, steps, record, every, reverse)
        return state, seen if reduce is None else reduce[0]
    total, add = (None, lambda total, seen: total) if reduce is None else reduce

    @partial(jax.checkpoint, prevent_cse=False)
    def segment(carry, _):
        state, total = carry
        state, seen = _run(step, state, params, checkpoint, record, every, reverse)
        return (state, add(total, seen)), seen if reduce is None else None

    (state, total), seen = lax.scan(segment, (state, total), None, length=steps // checkpoint)
    if reduce is not None:
        return state, total
    return state, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)


def _run(step, state, params, steps, record, every, reverse):
    if isinstance(step, Network) and steps:
        require_state(state)
        if state.history:
            try:
                return run_network(step, state, params, steps, record, every, reverse=reverse)
            except HistoryNeeded:
                pass
        return _run_packed(step, state, params, steps, record, every)

    def one(state, _):
        return step(state, params), None

    return _scan(one, state, record, steps, every)


def _run_packed(net, state, params, steps, record, every):
    """Run a network step by step, its state variables as one array."""
    step = net.prepared(params)
    packed, unpack = pack(state.node)
    packed = by_node(net.mesh, packed)

    def unpacked(state):
        return state._replace(node=unpack(state.node))

    def one(state, _):
        after = step(unpacked(state), params)
        return after._replace(node=by_node(net.mesh, repack(after.node, packed))), None

    start = state._replace(node=packed)
    last, seen = _scan(one, start, lambda state: record(unpacked(state)), steps, every)
    return unpacked(last), seen


def _scan(one, state, record, steps, every):
    def some(state, _):
        state, _ = lax.scan(one, state, None, length=every)
        return state, record(state)

    return lax.scan(some, state, None, length=steps // every)
