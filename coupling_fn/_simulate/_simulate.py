"""Many steps: a scan over any `(state, params) -> state`, recording on the way.

A `Network` with delays takes the road of `_blocked.py`, a block of steps at a time, to the same numbers.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax

from .._core import (
    PyTree,
    Told,
    as_arguments,
    as_count,
    by_node,
    known,
    pack,
    recomputing,
    repack,
    require_callable,
    require_choice,
    scan,
    traced,
    vary_floats,
    varying_axes,
)
from .._measure import Measured
from .._network import (
    Network,
    check_lags,
    expanded,
    prepare_step,
    require_params,
    require_state,
    within_count,
)
from .._node import HybridNode
from ._blocked import run_network
from ._clock import check_clock
from ._finite import require_finite_run, require_known
from ._measured import Measuring, as_measuring, require_no_record, time_step
from ._records import OwnStates, Quantities, StatesByName, recorder_by_name
from ._saving import saved
from ._timing import checked_checkpoint, checked_steps

Record = str | tuple[str, ...] | list[str] | Callable[[Any], PyTree] | None


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
    measure: PyTree = None,
    warm_up: int = 0,
    dt: float | None = None,
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
        measure: measurements that run along in place of a record, such as `observe.BalloonBold`: one,
            or a dict of several, each with its own period. Memory is that of their states and samples,
            and of some thousand steps, however short dt and long the run; with `checkpoint` that of a
            gradient, too. They begin with the run, whatever its clock says. `steps` and `warm_up` must
            be whole numbers of each period. [`observe.Measurement`]
        warm_up: how many of the steps are left out at the start by what is measured: averages and
            moments begin after them, and BOLD has its onset within them. [1]
        dt: time step of a `step` of your own, for `measure`; a network has its own. [ms]
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
        front. `record[n]` is of the state after step `(n + 1) * every`, at time `(n + 1) * every * dt`;
        the initial state is not in it. With `save` it consists of NumPy arrays, since finished parts
        leave the device.
        With `measure` the first is an `observe.Measured`, which goes on in a further run with the same
        `measure`, and the second the samples, in the structure of `measure`: sample m of each, with
        time in front, is at time `warm_up * dt + (m + 1) * period` of this run.

    Raises:
        TypeError: if `steps` or `every` is not a whole number.
        ValueError: if they are negative, or `steps` is not a multiple of `every` and `checkpoint`; if
            `record` names nothing that the node has; if `save` holds another run or a damaged one; if
            `check` or `save` is used inside `jit`, `vmap` or `grad`; if a network's `state` was made at
            another dt, or measured by another `measure`; or its steps would be more than can be
            counted. Where the count is traced, the states are then NaN.
        FloatingPointError: if `check` finds NaN or infinity, or a measurement of the library has no
            value, such as BOLD where activity is too strong; not inside `jit`, `vmap` or `grad`.
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

        A minute of BOLD and the mean rate, without the first 7.2 s, and with no record:

        >>> rest = net.init(cf.nodes.WongWangExcInhState(jnp.full(2, 0.16), jnp.zeros(2)), params)
        >>> measure = {
        ...     "bold": cf.observe.BalloonBold("S_e", period=720.0, rest=0.16),
        ...     "rate": cf.observe.Averaged("rate_e"),
        ... }
        >>> _, seen = cf.simulate(net, rest, params, 60_480, measure=measure, warm_up=7200)
        >>> seen["bold"].shape, seen["rate"].shape
        ((74, 2), (2,))
    """
    how = "simulate(step, state, params, steps), step a Network or your own"
    require_callable("step", step, how)
    steps, every = checked_steps(steps, every)
    step, state, params, record, measure = as_arguments((step, state, params, record, measure))
    given, measuring, begun = step, None, state
    if isinstance(step, Network):
        step, params = expanded(step, params)
    if measure is not None:
        require_no_record(record is None or record is _node, every)
        measuring = as_measuring(measure, time_step(step, dt))
    elif dt is not None or warm_up:
        raise ValueError("`warm_up` and `dt` are for `measure`, which is missing.")
    if isinstance(state, Measured):
        state = state.state
        if measuring is None:
            raise ValueError(
                "`state` is that of a run of which something is measured: give the same `measure`, or, "
                "for a run without, `state.state`."
            )
    if measuring is None:
        recorder = _recorder(step, state, record)
        if isinstance(step, Network) and step is not given and recorder is _node:
            recorder = OwnStates(step.node)
    else:
        recorder = measuring.recorder(partial(_recorder, step, state))
    require_choice("derivative", derivative, ("reverse", "forward"))
    require_choice("check", check, (None, "finite"))
    checkpoint = checked_checkpoint(checkpoint, steps, every)
    if check is not None:
        require_known(step, state, params)
    if isinstance(step, Network) and steps:
        require_state(state)
        require_params(params)
        check_lags(step)
        check_clock(step, state, params, steps, wait=check is not None)
    if save is None and save_every is not None:
        raise ValueError("`save_every` says how often to write to `save`, which is missing.")
    warm_up = as_count("warm_up", warm_up)
    reverse = derivative == "reverse"
    options = _Options(steps, recorder, every, reverse, checkpoint, measuring, warm_up)
    if measuring is not None:
        measuring.require_timing(options)
    if save is None:
        result: tuple[Any, Any] = _simulate(step, begun, params, options)
    else:
        if traced(step, state, params) or checkpoint is not None:
            raise ValueError(
                "`save` writes files, so it cannot be used inside `jit`, `vmap` or `grad`, nor together "
                "with `checkpoint`."
            )
        if measuring is not None:
            measures = measuring.prepared(measuring.timing(options))
            begun = _begin(step, begun, params, options, measures)
        result = saved(_simulate, save, save_every, step, begun, params, options)
    if isinstance(step, Network) and steps and known(state.step):
        # The clock is known before the run has been computed, so that a run that continues this one can
        # look at it without waiting.
        result = _at_step(result[0], state.step + steps), result[1]
    if check is not None:
        # What is recorded of states by name is finite where they are; only what else is recorded is
        # looked at.
        by_name = isinstance(recorder, StatesByName | OwnStates)
        states_only = by_name or recorder in (_node, _nothing)
        unseen = measuring is not None or (isinstance(step, Network) and states_only)
        last = result[0].state if isinstance(result[0], Measured) else result[0]
        again = partial(_run_again, reverse=options.reverse)
        seen = None if unseen else result[1]
        require_finite_run(again, step, state, params, steps, (last, seen))
    if measuring is not None and not traced(result):
        measuring.require_no_trouble(result[0], result[1], options)
    return result


class _Options(NamedTuple):
    """How a run is done.

    Attributes:
        steps: number of steps.
        record: what to record of a state.
        every: how many steps lie between two records.
        reverse: whether a network with delays has a reverse mode, or a forward mode.
        checkpoint: how many steps a checkpointed segment has, or None.
        measuring: what is measured in place of a record, or None.
        warm_up: how many steps are left out of what is measured.
    """

    steps: int
    record: Callable[[Any], PyTree] | Quantities
    every: int
    reverse: bool
    checkpoint: int | None = None
    measuring: Measuring | None = None
    warm_up: int = 0


def _at_step(last: Any, step: Any) -> Any:
    """Return the last state with this number of steps done."""
    if isinstance(last, Measured):
        return eqx.tree_at(lambda m: m.state.step, last, step)
    return last._replace(step=step)


def _recorder(step: Any, state: Any, record: Record, what: str = "`record`") -> Any:
    """Return the recorder of names or of a function, which errors call `what`."""
    if record is None:
        return _nothing
    if callable(record):
        hint = f"{what} is called with the state alone; its states are in `state.node`."
        return _node if record is _node else Told(record, what, "the state of the run", hint)
    return recorder_by_name(step, state, record, what)


def _nothing(state: Any) -> None:
    return None


@eqx.filter_jit
def _simulate(step, state, params, options):
    if options.measuring is not None:
        return _measured(step, state, params, options)
    if isinstance(step, Network) and options.steps:
        state = within_count(step, state, options.steps)
    if options.checkpoint is None:
        return _run(step, state, params, options)

    @partial(jax.checkpoint, prevent_cse=False)
    def segment(state, _):
        return _run(step, state, params, options._replace(steps=options.checkpoint))

    state, seen = scan(segment, state, None, length=options.steps // options.checkpoint)
    return state, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)


def _measured(step, start, params, options):
    """Run in segments, of which what is measured is given the record."""
    timing = options.measuring.timing(options)
    measures = options.measuring.prepared(timing)
    measured = _begun(step, start, params, options, measures)
    state = measured.state
    if isinstance(step, Network) and options.steps:
        state = within_count(step, state, options.steps)

    def run(state, steps):
        return _run(step, state, params, options._replace(steps=steps))

    measured = eqx.tree_at(lambda m: m.state, measured, state)
    return options.measuring.run(run, measured, measures, timing)


def _begun(step, start, params, options, measures):
    """Return where a run and what is measured of it stand, at the start if that is not known yet."""
    state = start.state if isinstance(start, Measured) else start

    def read(state, params):
        record = options.record
        return record.at(step, params, state) if isinstance(record, Quantities) else record(state)

    readings = eqx.filter_eval_shape(read, state, params)
    return options.measuring.begun(start, readings, measures)


_begin = eqx.filter_jit(_begun)


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
    if isinstance(record, Quantities):
        record = partial(record.at, step, params)

    def one(state, _):
        return step(state, params), None

    return _scan(one, state, record, steps, every)


def _run_packed(net, state, params, steps, record, every):
    """Run a network step by step, with its state variables in one array."""
    step = prepare_step(net, params)
    if isinstance(record, Quantities):
        record = partial(record.at, net, params)
    packed, unpack = pack(state.node)
    packed = by_node(net.mesh, packed)

    def unpacked(state):
        return state._replace(node=unpack(state.node))

    def one(state, _):
        after = step(unpacked(state), params)
        return after._replace(node=by_node(net.mesh, repack(after.node, packed))), None

    if isinstance(net.node, HybridNode) and net.mesh is None:
        one = recomputing(one)
    start = state._replace(node=packed)
    last, seen = _scan(one, start, lambda state: record(unpacked(state)), steps, every)
    return unpacked(last), seen


def _scan(one, state, record, steps, every):
    def some(state, _):
        state, _ = scan(one, state, None, length=every)
        return state, record(state)

    return scan(some, state, None, length=steps // every)
