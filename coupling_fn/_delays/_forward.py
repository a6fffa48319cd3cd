r"""The forward loop: each block of steps gets its delayed sums at once, and then steps.

With blocks of m steps, and every blocked edge of lag $d_{ij} \ge m$, the sums of the steps
$t_0 + 1, \dots, t_0 + m$,

$$S_i(t) = \sum_j W_{ij}\, \psi_j(t - d_{ij}),$$

read messages of times up to $t_0 + m - d_{ij} \le t_0$, all of which have been sent.

Where a few edges are too short for a large block, blocks are nested: the sums of the long edges are
computed for a large block, those of the shorter ones for each small block inside, and added.

Shapes: messages $\psi$ `(time[, batch], source)`, buffers `(source, time * batch)`, sums
`(step[, batch], target)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PyTree, scan
from ._buffers import (
    BlockInput,
    BlockOutput,
    RunInput,
    Saved,
    added,
    arranged_weights,
    merged_blocks,
    pad_front,
    scan_stretches,
    source_states_before,
    split_block,
    sums_of_block,
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
    depth = plan.depth
    # Where no time is, the batch is in front; else behind the time.
    given = BlockInput(state=0, before=1, sums=1, step=0 if batched.run.step else None)
    consts_axes = jax.tree.map(lambda b: 0 if b else None, batched.consts)
    back = BlockOutput(state=0, messages=1, source_states=1, record=1)
    block = layout.over_runs(call_block(program), (consts_axes, given), back)
    state = layout.with_batch(run.state, batched.run.state, 0)
    messages = layout.with_batch(run.messages, batched.run.messages, 1)
    sources = layout.with_batch(run.source_states, batched.run.source_states, 1)
    weights = arranged_weights(run.edges, layout.behind(run.weights, batched.run.weights))
    starts = window_starts(run.edges, depth + plan.stretch, depth, layout)

    def blocks(carry, done, given, level=0):
        """Take the steps of a block of one of the sizes, given the sums over longer edges."""
        state, (messages, sources) = carry
        size, filled = plan.sizes[level], done % plan.stretch
        sums = sums_of_block(
            run.edges, weights, messages, starts, filled, size, layout, plan.at_level(level), depth
        )
        sums = added(given, jax.tree.map(layout.time_major, sums))
        if level + 1 < len(plan.sizes):
            smaller = plan.sizes[level + 1]
            parts = size // smaller

            def part(carry, inputs):
                number, given = inputs
                return blocks(carry, done + number * smaller, given, level + 1)

            inputs = jnp.arange(parts, dtype=jnp.int32), split_block(sums, parts)
            carry, out = scan(part, carry, inputs)
            return carry, merged_blocks(out)
        before = source_states_before(sources, handed, depth + filled, layout)
        out = block((consts, BlockInput(state, before, sums, run.step + done)))
        new = layout.on_all_devices(out.messages), layout.on_own_device(out.source_states)
        written = new[0], {key: new[1][key] for key in handed}
        buffers = layout.write((messages, sources), written, depth + filled)
        kept = (out.record, (state, sums) if save else None), new[1]
        return (out.state, buffers), jax.tree.map(lambda x: x[None], kept)

    past = {key: pad_front(x, len(x) + plan.excess) for key, x in sources.items()}
    buffers = messages, {key: sources[key] for key in handed}
    buffers = jax.tree.map(lambda x: pad_front(x, depth), buffers)
    buffers = layout.on_all_devices(buffers[0]), layout.on_own_device(buffers[1])
    buffers = jax.tree.map(layout.as_buffer, buffers)
    nothing = (None,) * len(run.edges)
    state, (messages, buffers), past, (record, saved) = scan_stretches(
        lambda carry, inputs: blocks(carry, inputs[0] * plan.sizes[0], nothing),
        state,
        buffers,
        None,
        plan,
        layout,
        past=layout.on_own_device(past),
    )
    record, saved = merged_blocks((record, saved))
    # What was sent before the present, without the steps past the end of the run.
    history = {
        key: x[len(x) - plan.excess - len(sources[key]) : len(x) - plan.excess - 1]
        for key, x in past.items()
    }
    messages, buffers = layout.buffers_out((messages, buffers))
    if not save_messages:
        messages = jax.tree.map(lambda x: x[..., :0], messages)  # see `run_blocks`
    states, sums = saved if save else (None, None)
    out = RunOutput(
        layout.in_front(state, 0), layout.in_front(history, 1), layout.in_front(record, 2)
    )
    states, sums = layout.in_front(states, 1), layout.in_front(sums, 2)
    return out, Saved(states, sums, messages, buffers)
