r"""The forward loop: each block of steps gets its delayed sums at once, and then steps.

With blocks of m steps, and every blocked edge of lag $d_{ij} \ge m$, the sums of the steps
$t_0 + 1, \dots, t_0 + m$,

$$S_i(t) = \sum_j W_{ij}\, \psi_j(t - d_{ij}),$$

read messages of times up to $t_0 + m - d_{ij} \le t_0$, all of which have been sent.

Shapes: messages $\psi$ `([batch,] time, source)`, buffers `(source, time * batch)`, sums `([batch,]
step, target)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax import Array

from .._core import PyTree
from ._buffers import (
    BlockInput,
    BlockOutput,
    RunInput,
    Saved,
    pad_front,
    scan_stretches,
    source_states_before,
    sums_of_block,
    times_of,
    window_starts,
)
from ._plan import RunPlan
from ._run_layout import RunLayout


class ForwardArgs(NamedTuple):
    """The arrays of the block function, and what the run starts from."""

    consts: PyTree
    run: RunInput


class RunOutput(NamedTuple):
    """The state after the run, the history of each delayed source then, and the record by blocks."""

    state: PyTree
    history: dict[str, Array]
    record: PyTree


def call_block(program: Any) -> Callable[[tuple[PyTree, BlockInput]], BlockOutput]:
    """Return the block function of `(consts, BlockInput)`; `program` is it without its arrays."""

    def call(args):
        consts, inputs = args
        return eqx.combine(consts, program)(inputs)

    return call


def forward(
    program: Any,
    plan: RunPlan,
    handed: dict[str, int],
    save: bool,
    save_messages: bool,
    layout: RunLayout,
    batched: ForwardArgs,
    args: ForwardArgs,
) -> tuple[RunOutput, Saved]:
    """Run all blocks.

    Args:
        program: the block function without its arrays, which are `args.consts`.
        plan: how the run is cut into blocks.
        handed: how many steps of what each source sent before the present a block is handed.
        save: whether to keep what the backward loop needs.
        save_messages: whether to keep the messages, too, for the cotangents of weights.
        layout: of one run, or of a batch.
        batched: in the structure of `args`, which leaves have the batch in front.
        args: what the run starts from.
    """
    consts, run = args
    size, depth = plan.block_size, plan.depth
    block = layout.over_runs(
        call_block(program), (batched.consts, BlockInput(True, True, True, batched.run.step))
    )
    state = layout.with_batch(run.state, batched.run.state)
    messages = layout.with_batch(run.messages, batched.run.messages)
    sources = layout.with_batch(run.source_states, batched.run.source_states)
    weights = layout.weights_behind(run.weights, batched.run.weights)
    starts = window_starts(run.edges, depth + plan.stretch, depth, layout)

    def one_block(carry, inputs):
        state, (messages, sources) = carry
        index, _ = inputs
        filled = index % plan.blocks_per_stretch * size
        sums = sums_of_block(run.edges, weights, messages, starts, filled, size, layout)
        sums = jax.tree.map(layout.time_major, sums)
        before = source_states_before(sources, handed, depth + filled, layout)
        out = block((consts, BlockInput(state, before, sums, run.step + index * size)))
        new = layout.on_all_devices(out.messages), layout.on_own_device(out.source_states)
        buffers = layout.write((messages, sources), new, depth + filled)
        return (out.state, buffers), (out.record, (state, sums) if save else None)

    buffers = jax.tree.map(lambda x: pad_front(x, depth), (messages, sources))
    buffers = layout.on_all_devices(buffers[0]), layout.on_own_device(buffers[1])
    buffers = jax.tree.map(layout.as_buffer, buffers)
    state, (messages, buffers), (record, saved) = scan_stretches(
        one_block, state, buffers, None, plan, layout
    )
    present = depth + plan.steps - 1
    history = {
        key: layout.read(buffers[key], present + 1 - times_of(x), times_of(x) - 1)
        for key, x in sources.items()
    }
    messages, buffers = layout.buffers_out((messages, {key: buffers[key] for key in handed}))
    if not save_messages:
        messages = jax.tree.map(lambda x: x[..., :0], messages)  # see `run_blocks`
    states, sums = layout.scan_axis_second(saved) if save else (None, None)
    record = layout.scan_axis_second(record)
    return RunOutput(state, history, record), Saved(states, sums, messages, buffers)
