"""Many steps: a scan over any `(state, params) -> state`, recording on the way.

A `Network` with delays takes the road of `_blocked.py`, a block of steps at a time, to the same numbers.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    Interrupted,
    PyTree,
    Told,
    as_arguments,
    as_arrays,
    as_count,
    as_tree,
    by_node,
    fingerprint,
    in_short,
    is_key,
    known,
    pack,
    read_checkpoint,
    repack,
    require_callable,
    require_choice,
    require_no_keys,
    scan,
    traced,
    vary_floats,
    varying_axes,
    write_checkpoint,
)
from .._network import (
    Network,
    check_lags,
    prepare_step,
    require_params,
    require_state,
    within_count,
)
from ._blocked import run_network
from ._clock import check_clock
from ._finite import require_finite_run, require_known
from ._records import QuantitiesByName, StatesByName, recorder_by_name

Record = str | tuple[str, ...] | list[str] | Callable[[Any], PyTree] | None
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
    """Run `steps` steps, and record on the way.

    The last state is all that a further run needs: two halves give the run in one, bit for bit.
    A network counts time from `net.init` through all of them, as stimuli read it, up to 2^31 steps;
    `net.restart_clock(state)` sets it to 0. A stimulus that was over before the run begins is warned of.
    The program is compiled once per `step`, shapes and number of steps, and serves all numbers in
    `params` and `state`, Python numbers among them. A `record` that is defined anew, in a loop or in a
    cell of a notebook that runs twice, is a new function and compiles again: define it once, outside,
    or record by name.

    Args:
        step: a `Network`, or any pure function `(state, params) -> state`.
        state: where to start, from `Network.init` or an earlier run.
        params: what `step` takes; differentiate, sweep and shard it as you like.
        steps: number of steps. [1]
        record: what to record of a state: a name, a tuple of names, or a function of the state; None
            records nothing. By default all state variables of the node are recorded. With a `Network`
            a name is that of a state ("S_e"), of an auxiliary quantity of the node ("rate_e";
            `node.auxiliary` lists them), or "input." before that of an input ("input.S_e"): all that
            couplings and external input add to it. A function is called with one state at a time, each
            variable `(region,)`. One that reads `state.history` is given the histories of the recorded
            steps, which take `lag` times the memory of a state each.
        every: record every so many steps; `steps` must be a multiple of it. [1]
        derivative: the mode in which a network with delays can be differentiated. "reverse" (`grad`,
            and `jacfwd` of a `grad`) takes memory of the order of the trajectory; "forward"
            (`jvp`, `jacfwd`) is for few parameters. Any other `step` takes both modes.
        checkpoint: for a reverse mode that keeps the state every so many steps, and computes the steps
            between again. It takes the memory of one such segment and of `steps / checkpoint` states
            (with their histories), at the cost of one more run. `steps` must be a multiple of it,
            and it must be a multiple of `every`. About the square root of `steps`, but not less than the
            largest lag, is best. [1]
        reduce: keep a running total in place of the record, so that memory does not grow with the
            run: a pair `(start, add)`. `add(total, record)` returns the next total from the last one
            and the record of `checkpoint` steps, with time in front; `start` is the first total. For a
            functional connectivity, a mean or an order parameter see `observe.moments_step`; for BOLD
            see `observe.bold_from_balloon`, whose state goes on from one part to the next.
        save: a folder, made if it does not exist, to which the state and the record are written now and
            then. If the call was killed, the same call goes on from there with the same numbers to the
            bit; a call with more `steps` goes on from a finished run. Another step, state, record or
            version of JAX is refused. It cannot be used inside `jit`, `vmap` or `grad`.
        save_every: how many steps lie between two writes, a multiple of `every`. If None, it is what
            the run in that folder was begun with, or else a tenth of the run. [1]
        check: "finite" looks at the last state, and at what a function recorded, when the run has
            ended. If a value is NaN or infinite, the run is repeated in parts up to where that
            began, and the error names the step, the state, the region and the largest inputs. The
            run itself is the same program. A value of your own step that is finite again at the end
            is not seen. It cannot be used inside `jit`, `vmap` or `grad`.

    Returns:
        The last state, and the record: `(time, region)` for one name, a dict of such for a tuple of
        names, the node's state with such leaves by default, and what a function returns with time in
        front. `record[n]` is of the state after step
        `(n + 1) * every`, at time `(n + 1) * every * dt`. The initial state is not in it. With
        `save` the record consists of NumPy arrays, because finished parts leave the device. With
        `reduce` the last total stands in place of the record.

    Raises:
        TypeError: if `steps` or `every` is not a whole number.
        ValueError: if they are negative, or `steps` is not a multiple of `every` and `checkpoint`; if
            `record` names nothing that the node has; if `save` holds another run or a damaged one; if
            `check` or `save` is used inside `jit`, `vmap` or `grad`; if `reduce` comes without
            `checkpoint`; or if a network's `state` was made at another dt, or its steps would be more
            than can be counted. Where the count is traced, the states are then NaN.
        FloatingPointError: if `check` finds NaN or infinity.
        OSError: if `save` cannot be written; what was written before stays as it was.
        Interrupted: on Ctrl-C with `save`, with the last state and the record so far.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, scheme="euler")
        >>> params = cf.Params(cf.nodes.LinearParams(a=1.0), cf.AdditiveCoupling(jnp.zeros((1, 1))))
        >>> state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
        >>> last, x = cf.simulate(net, state, params, steps=3, record="x")
        >>> x.tolist(), last.node.x.tolist()
        ([[2.0], [4.0], [8.0]], [8.0])

        What regions receive, and firing rates, beside states:

        >>> net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> state = net.init(cf.nodes.WongWangExcInhState(jnp.zeros(2), jnp.zeros(2)), params)
        >>> _, seen = cf.simulate(net, state, params, 5, record=("S_e", "input.S_e", "rate_e"))
        >>> seen["rate_e"].shape, bool((seen["input.S_e"] == seen["S_e"]).all())
        ((5, 2), True)
    """
    require_callable(
        "step", step, "simulate(step, state, params, steps), step a Network or your own"
    )
    steps, every = _checked_steps(steps, every)
    step, state, params, record, reduce = as_arguments((step, state, params, record, reduce))
    recorder = _recorder(step, state, record)
    require_choice("derivative", derivative, ("reverse", "forward"))
    require_choice("check", check, (None, "finite"))
    checkpoint = _checked_checkpoint(checkpoint, steps, every, reduce)
    if check is not None:
        require_known(step, state, params)
    if isinstance(step, Network) and steps:
        require_state(state)
        require_params(params)
        check_lags(step)
        check_clock(step, state, params, steps, wait=check is not None)
    if save is None and save_every is not None:
        raise ValueError("`save_every` says how often to write to `save`, which is missing.")
    options = _Options(steps, recorder, every, derivative == "reverse", checkpoint)
    if save is None:
        result = _simulate(step, state, params, options, reduce)
    else:
        if traced(step, state, params) or checkpoint is not None:
            raise ValueError(
                "`save` writes files, so it cannot be used inside `jit`, `vmap` or `grad`, nor together "
                "with `checkpoint`."
            )
        result = _saved(
            Path(save), _checked_save_every(save, save_every, options), step, state, params, options
        )
    if isinstance(step, Network) and steps and known(state.step):
        # The clock is known before the run has been computed, so that a run that continues this one can
        # look at it without waiting.
        result = (result[0]._replace(step=state.step + steps), result[1])
    if check is not None:
        # What is recorded of states by name is finite where they are; only what else is recorded is
        # looked at.
        states_only = recorder in (_node, _nothing) or isinstance(recorder, StatesByName)
        seen = None if (isinstance(step, Network) and states_only) or reduce else result[1]
        again = partial(_run_again, reverse=options.reverse)
        require_finite_run(again, step, state, params, steps, (result[0], seen))
    return result


class _Options(NamedTuple):
    """How a run is done.

    Attributes:
        steps: number of steps.
        record: what to record of a state.
        every: how many steps lie between two records.
        reverse: whether a network with delays has a reverse mode, or a forward mode.
        checkpoint: how many steps a checkpointed segment has, or None.
    """

    steps: int
    record: Callable[[Any], PyTree] | QuantitiesByName
    every: int
    reverse: bool
    checkpoint: int | None = None


def _checked_steps(steps: Any, every: Any) -> tuple[int, int]:
    steps, every = as_count("steps", steps), as_count("every", every)
    if every == 0 or steps % every:
        below = steps - steps % max(every, 1)
        raise ValueError(
            "`steps` must be a multiple of `every`, so that the record ends with the run; "
            f"{steps} is not one of {every}. The nearest are {below} and {below + max(every, 1)}."
        )
    return steps, every


def _checked_checkpoint(checkpoint: Any, steps: int, every: int, reduce: Any) -> int | None:
    if reduce is not None and not (isinstance(reduce, tuple) and len(reduce) == 2):
        raise TypeError(f"`reduce` must be a pair (start, add), not {in_short(reduce)}.")
    if reduce is not None and checkpoint is None and steps:
        raise ValueError(
            "`reduce` is given the record of `checkpoint` steps at a time: pass that, some thousands."
        )
    if checkpoint is None:
        return None
    segment = as_count("checkpoint", checkpoint)
    if segment == 0 or steps % segment or segment % every:
        raise ValueError(
            f"`checkpoint` must be a multiple of `every` that `steps` is a multiple of; {segment} "
            f"is not, with every {every} and {steps} steps."
        )
    return segment if steps else None


def _checked_save_every(save: Any, save_every: Any, options: _Options) -> int:
    """Return the steps between two writes: as the run in `save` began, or a tenth of the run."""
    steps, every = options.steps, options.every
    if save_every is None:
        begun = sorted(Path(save).glob(f"simulate-{0:010d}-*.npz"))
        if begun:
            save_every = int(begun[-1].stem.split("-")[-1])
        else:
            save_every = max(-(-steps // (10 * every)), 1) * every
    length = as_count("save_every", save_every)
    if length % every or not length:
        raise ValueError(f"`save_every` must be a multiple of `every`, {every}, not {length}.")
    return length


def _recorder(step: Any, state: Any, record: Record) -> Callable[..., PyTree] | QuantitiesByName:
    if record is None:
        return _nothing
    if callable(record):
        hint = "`record` is called with the state alone; its states are in `state.node`."
        return _node if record is _node else Told(record, "`record`", "the state of the run", hint)
    names = record if isinstance(record, str) else tuple(record)
    return recorder_by_name(step, state, names)


def _nothing(state: Any) -> None:
    return None


def _saved(folder, length, step, state, params, options):
    """Run parts of `length` steps, and keep each in a file of its own."""
    program, (after, like), _ = eqx.filter_make_jaxpr(_simulate)(
        step, state, params, options._replace(steps=length)
    )
    require_no_keys("record", like)
    after = jax.tree.map(lambda then, now: now if is_key(then) else then, after, state)
    arrays = eqx.filter((step, state, params), eqx.is_array_like)
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
                part = options._replace(steps=last - first)
                then, rows = jax.block_until_ready(_simulate(step, state, params, part))
                rows = jax.tree.map(np.asarray, rows)
                write_checkpoint(path, as_arrays("state", then) | as_arrays("record", rows), marks)
            state, seen = (
                then,
                [*seen, rows],
            )  # in one statement, so that no interrupt comes between
    except KeyboardInterrupt:
        raise Interrupted((state, _joined(seen)) if seen else None) from None
    if not seen:
        return state, _simulate(step, state, params, options._replace(steps=0))[1]
    return state, _joined(seen)


def _joined(parts: list[PyTree]) -> PyTree:
    """Return the records of consecutive parts of a run as one."""
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


@eqx.filter_jit
def _simulate(step, state, params, options, reduce=None):
    if isinstance(step, Network) and options.steps:
        state = within_count(step, state, options.steps)
    if options.checkpoint is None:
        state, seen = _run(step, state, params, options)
        return state, seen if reduce is None else reduce[0]
    total, add = (None, lambda total, seen: total) if reduce is None else reduce

    @partial(jax.checkpoint, prevent_cse=False)
    def segment(carry, _):
        state, total = carry
        state, seen = _run(step, state, params, options._replace(steps=options.checkpoint))
        return (state, add(total, seen)), seen if reduce is None else None

    segments = options.steps // options.checkpoint
    (state, total), seen = scan(segment, (state, total), None, length=segments)
    if reduce is not None:
        return state, total
    return state, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)


def _run_again(step, state, params, steps, record, *, reverse):
    """Run in parts, for `require_finite_run`."""
    return _simulate(step, state, params, _Options(steps, record, 1, reverse))


def _run(step, state, params, options):
    steps, record, every = options.steps, options.record, options.every
    if isinstance(step, Network) and steps:
        state, params = vary_floats((state, params), varying_axes(step, state, params))
        if state.history:
            return run_network(step, state, params, steps, record, every, reverse=options.reverse)
        return _run_packed(step, state, params, steps, record, every)
    if isinstance(record, QuantitiesByName):
        record = partial(record.at, step, params)

    def one(state, _):
        return step(state, params), None

    return _scan(one, state, record, steps, every)


def _run_packed(net, state, params, steps, record, every):
    """Run a network step by step, with its state variables in one array."""
    step = prepare_step(net, params)
    if isinstance(record, QuantitiesByName):
        record = partial(record.at, net, params)
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
        state, _ = scan(one, state, None, length=every)
        return state, record(state)

    return scan(some, state, None, length=steps // every)
