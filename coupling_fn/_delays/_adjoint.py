r"""The backward loop: the adjoint of a blocked run.

Within a block JAX differentiates the steps. Across blocks the delays have their own adjoint. From
$S_i(t) = \sum_j W_{ij}\, \psi_j(t - d_{ij})$ follow

$$\bar\psi_j(t) = \sum_i W_{ij}\, \bar S_i(t + d_{ij}), \qquad
\bar W_{ij} = \sum_t \bar S_i(t)\, \psi_j(t - d_{ij}).$$

The first is a delayed sum over the transposed edges, in reversed time: blocks are taken backwards,
the cotangents of their sums are written into a buffer, the latest first, and the cotangents of a
block's messages are the delayed sums of that buffer, of cotangents that lie at least one block
ahead. So nothing is kept per edge: T steps of N regions need memory of O(T N), where
differentiating the scan would keep what each edge carried, O(T N^2). The second is computed once, after
the loop, from the cotangents of all sums and the messages of the whole run.

Shapes are those of the forward loop. A name that ends in `_bar` is a cotangent.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from .._core import PyTree, as_cotangent, everywhere, scan
from ._buffers import (
    BlockInput,
    BlockOutput,
    RunInput,
    Saved,
    added,
    arranged_weights,
    merged_blocks,
    pad_behind,
    pad_front,
    scan_stretches,
    source_states_before,
    split_block,
    sums_of_block,
    window_starts,
    zeros_for_none,
)
from ._edges import is_edges, transpose_weights
from ._forward import ForwardArgs, RunOutput, call_block
from ._plan import RunPlan
from ._run_layout import RunLayout
from ._windows import room_for_products


class AdjointArgs(NamedTuple):
    """What the backward loop starts from.

    Attributes:
        varying: the leaves of `ForwardArgs` whose cotangents are wanted, with None for the others.
        fixed: the others, with None for those.
        saved: what the forward loop kept.
        output_bar: the cotangents of `RunOutput`, with None for those that are zero.
    """

    varying: ForwardArgs
    fixed: ForwardArgs
    saved: Saved
    output_bar: RunOutput


class BlockBar(NamedTuple):
    """The cotangents of what a block was given."""

    consts: PyTree
    state: PyTree
    before: PyTree
    sums: PyTree


class Carry(NamedTuple):
    """The cotangents that the backward loop carries from block to block."""

    state: PyTree
    source_states: dict[str, Array]  # buffers
    consts: PyTree


def adjoint(
    program: Any,
    plan: RunPlan,
    handed: dict[str, int],
    layout: RunLayout,
    batched: AdjointArgs,
    args: AdjointArgs,
) -> ForwardArgs:
    """Return the cotangents of `ForwardArgs`, with None where none is wanted; arguments as `forward`."""
    depth, steps = plan.depth, plan.steps + plan.excess
    wanted = args.varying.run
    run: RunInput = eqx.combine(wanted, args.fixed.run)
    run_batched: RunInput = eqx.combine(batched.varying.run, batched.fixed.run)
    messages = layout.with_batch(run.messages, run_batched.messages, 1)
    sources = layout.with_batch(run.source_states, run_batched.source_states, 1)
    weights = layout.behind(run.weights, run_batched.weights)
    saved = Saved(
        layout.with_batch(args.saved.states, batched.saved.states, 1),
        layout.with_batch(args.saved.sums, batched.saved.sums, 2),
        layout.buffers_in(args.saved.messages, batched.saved.messages),
        layout.buffers_in(args.saved.source_states, batched.saved.source_states),
    )
    output_bar = RunOutput(
        layout.with_batch(args.output_bar.state, batched.output_bar.state, 0),
        layout.with_batch(args.output_bar.history, batched.output_bar.history, 1),
        layout.with_batch(args.output_bar.record, batched.output_bar.record, 2),
    )
    edges = jax.tree.map(lambda e: e.transposed(), run.edges, is_leaf=is_edges)
    transposed = TransposedEdges(
        edges,
        arranged_weights(
            edges,
            jax.tree.map(
                lambda e, taps: tuple(transpose_weights(e, w) for w in taps),
                run.edges,
                weights,
                is_leaf=is_edges,
            ),
        ),
    )
    loop = _Loop(
        program=program,
        plan=plan,
        handed=handed,
        layout=layout,
        batched=batched,
        args=args,
        run=run,
        transposed=transposed,
        starts=window_starts(transposed.edges, depth + plan.stretch, depth, layout),
        sources=saved.source_states,
    )
    future = jax.tree.map(
        lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), saved.sums
    )
    inputs = split_block(
        (saved.states, saved.sums, output_bar.record), plan.stretches * plan.blocks_per_stretch
    )
    start = Carry(
        state=zeros_for_none(output_bar.state, jax.tree.map(lambda x: x[0], saved.states)),
        source_states={
            key: _source_bar(bar, sources[key], depth + steps, plan.excess, layout)
            for key, bar in output_bar.history.items()
            if bar is not None or key in handed
        },
        consts=layout.zeros(args.varying.consts, batched.varying.consts),
    )

    def one_block(carry, inputs):
        index, saved = inputs
        nothing = (None,) * len(run.edges)
        return loop.blocks(carry, index * plan.sizes[0], saved, nothing), (None, None)

    bars, future, *_ = scan_stretches(one_block, start, future, inputs, plan, layout, reverse=True)
    # Every device has the buffer whole, which the partitioner forgets where each reads its own rows.
    future = everywhere(plan.mesh, future)
    run_bar = wanted._replace(state=bars.state)
    if jax.tree.leaves(wanted.weights):
        weights_bar = _weights_bar(wanted, run.edges, future, saved.messages, plan, layout)
        run_bar = run_bar._replace(weights=layout.in_front(weights_bar, -1))
    if jax.tree.leaves(wanted.messages):
        future = jax.tree.map(lambda x: x[:, -depth * layout.size :], future)
        history_bar = _messages_before(transposed, future, plan, layout)
        history_bar = jax.tree.map(_newest, messages, history_bar)
        run_bar = run_bar._replace(messages=layout.in_front(history_bar, 1))
    if jax.tree.leaves(wanted.source_states):
        source_bar = {
            key: layout.read(x, depth - len(sources[key]), len(sources[key]))
            for key, x in bars.source_states.items()
        }
        source_bar = {key: source_bar.get(key) for key in sources}
        run_bar = run_bar._replace(source_states=layout.in_front(source_bar, 1))
    return ForwardArgs(bars.consts, run_bar)


class TransposedEdges(NamedTuple):
    """The blocked edges from targets to sources, and their weights, per coupling and tap."""

    edges: PyTree
    weights: PyTree


class _Loop(NamedTuple):
    """What all blocks of a backward loop share.

    Attributes:
        program: the block function without its arrays.
        plan: how the run is cut.
        handed: how many steps of each source's past a block was handed.
        layout: of one run, or of a batch.
        batched: which leaves of `args` have the batch in front.
        args: what the loop starts from.
        run: what the run started from.
        transposed: the edges from targets to sources, with their weights.
        starts: where their windows begin.
        sources: the buffers of the sources that blocks were handed.
    """

    program: Any
    plan: RunPlan
    handed: dict[str, int]
    layout: RunLayout
    batched: AdjointArgs
    args: AdjointArgs
    run: RunInput
    transposed: TransposedEdges
    starts: PyTree
    sources: dict[str, Array]

    def blocks(
        self, carry: Any, done: Array, saved: Any, given: tuple[PyTree, ...], level: int = 0
    ) -> Any:
        """Add what a block of one of the sizes contributes to the cotangents, the latest block first.

        `given` are the cotangents of its messages by way of longer edges, `(step[, batch], source)`.
        """
        plan, layout, size = self.plan, self.layout, self.plan.sizes[level]
        _, future = carry  # buffers of the cotangents of later sums, the latest first
        filled = plan.stretch - size - done % plan.stretch
        # psi_bar_j(t) = sum_i W_ij S_bar_i(t + d_ij), at the times of this block.
        messages_bar = sums_of_block(
            self.transposed.edges,
            self.transposed.weights,
            future,
            self.starts,
            filled,
            size,
            layout,
            plan.at_level(level),
            plan.depth,
        )
        messages_bar = jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), messages_bar)
        messages_bar = added(given, messages_bar)
        if level + 1 == len(plan.sizes):
            return self._block(carry, done, jax.tree.map(lambda x: x[0], saved), messages_bar)
        smaller = plan.sizes[level + 1]
        parts = size // smaller

        def part(carry, inputs):
            number, saved, given = inputs
            return self.blocks(carry, done + number * smaller, saved, given, level + 1), None

        inputs = jnp.arange(parts, dtype=jnp.int32), *split_block((saved, messages_bar), parts)
        return scan(part, carry, inputs, reverse=True)[0]

    def _block(self, carry: Any, done: Array, saved: Any, messages_bar: tuple[PyTree, ...]) -> Any:
        """Add what a block of steps contributes, given the cotangents of its messages."""
        plan, layout, size = self.plan, self.layout, self.plan.block_size
        bars, future = carry
        state, sums, record_bar = saved
        present = plan.depth + done  # the block was given what was sent before this time
        source_bar = {key: layout.read(x, present, size) for key, x in bars.source_states.items()}
        source_bar = {key: source_bar.get(key) for key in self.run.source_states}
        before = source_states_before(self.sources, self.handed, present, layout)
        given = BlockInput(state, before, sums, self.run.step + done)
        wants = BlockOutput(bars.state, messages_bar, source_bar, record_bar)
        new = self._block_bar(given, wants)
        source_bars = bars.source_states | {
            key: layout.add(bars.source_states[key], bar, present - 1 - self.handed[key])
            for key, bar in new.before.items()
        }
        consts_bar = jax.tree.map(jnp.add, bars.consts, new.consts)
        written = layout.on_all_devices(jax.tree.map(lambda x: x[::-1], new.sums))
        filled = plan.stretch - size - done % plan.stretch
        future = layout.write(future, written, plan.depth + filled)
        return Carry(new.state, source_bars, consts_bar), future

    def _block_bar(self, given: BlockInput, wants: BlockOutput) -> BlockBar:
        """Return the cotangents of a block's input, from those of its output."""
        batched = self.batched
        consts = jax.tree.map(
            lambda b: 0 if b else None, (batched.varying.consts, batched.fixed.consts)
        )
        step = 0 if batched.fixed.run.step else None  # a count has no cotangent
        axes = (
            *consts,
            BlockInput(state=0, before=1, sums=1, step=step),
            BlockOutput(state=0, messages=1, source_states=1, record=1),
        )
        back = BlockBar(consts=0, state=0, before=1, sums=1)
        of_block = self.layout.over_runs(partial(_block_bar, self.program), axes, back)
        return of_block((self.args.varying.consts, self.args.fixed.consts, given, wants))


def _block_bar(program: Any, args: tuple[PyTree, PyTree, BlockInput, BlockOutput]) -> BlockBar:
    """Return the cotangents of a block's input, by JAX's own rules."""
    varying, fixed, given, output_bar = args
    call = call_block(program)

    def floats(varying, state, before, sums):
        inputs = BlockInput(state, before, sums, given.step)
        return eqx.filter(call((eqx.combine(varying, fixed), inputs)), eqx.is_inexact_array)

    out, pull_back = jax.vjp(floats, varying, given.state, given.before, given.sums)
    return BlockBar(*pull_back(as_cotangent(zeros_for_none(output_bar, out), out)))


def _source_bar(
    history_bar: Array | None, states: Array, depth: int, excess: int, layout: RunLayout
) -> Array:
    """Return the buffer of the cotangents of a source: at first those of its last history.

    None is a cotangent of zero, to which blocks will add theirs, of what they were handed.
    """
    if history_bar is None:
        history_bar = jnp.zeros_like(states[1:])
    return layout.as_buffer(pad_front(pad_behind(history_bar, excess + 1), depth))


def _messages_before(
    transposed: TransposedEdges, future: PyTree, plan: RunPlan, layout: RunLayout
) -> PyTree:
    """Return the cotangents of the messages before the run: the same delayed sums, without steps."""
    size, depth = plan.sizes[0], plan.depth
    future = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, depth * layout.size)]), future)
    starts = window_starts(transposed.edges, 2 * depth, depth, layout)
    every = jax.tree.map(lambda _: True, plan.levels)

    def one_block(filled):
        bar = sums_of_block(*transposed, future, starts, filled, size, layout, every)
        return jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), bar)

    bars = lax.map(one_block, jnp.arange(0, depth, size, dtype=jnp.int32))
    return merged_blocks(jax.tree.map(lambda x: x[::-1], bars))


def _newest(like: Array, x: Array) -> Array:
    """Return as many of the newest times of `x` as `like` has."""
    return x[len(x) - len(like) :]


def _weights_bar(
    wanted: RunInput, edges, future: PyTree, messages: PyTree, plan, layout: RunLayout
):
    """Return the cotangents of the weights, of which `wanted` has None where none is wanted.

    W_bar_ij = sum_t S_bar_i(t) psi_j(t - d_ij), over the steps of the whole run.
    """
    steps = plan.steps + plan.excess
    room = room_for_products(steps, layout.size)

    def in_order(x):  # from the latest first
        times = layout.times_in(x[:, plan.depth * layout.size :])
        return times[:, ::-1].reshape(len(x), -1)

    def with_room(x):
        return jnp.pad(x, [(0, 0), (0, room * layout.size)])

    sums_bar = jax.tree.map(in_order, future)
    buffers = jax.tree.map(with_room, messages)
    starts = window_starts(edges, plan.depth + steps + room, plan.depth, layout)
    per_run = layout.batch is not None

    def of_coupling(wanted, edges, starts, sums_bar, buffers):
        channels = zip(jax.tree.leaves(sums_bar), jax.tree.leaves(buffers), strict=True)
        each = [
            [
                group.weights_bar(bar, buffer, start, len(taps), per_run, layout.size)
                for taps, group, start in zip(wanted, edges, starts, strict=True)
            ]
            for bar, buffer in channels
        ]
        bars = jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *each)
        # one at a time, because a tap may need none
        return tuple(
            tuple(None if want is None else bar for want, bar in zip(*both, strict=True))
            for both in zip(wanted, bars, strict=True)
        )

    couplings = zip(wanted.weights, edges, starts, sums_bar, buffers, strict=True)
    return tuple(of_coupling(*each) for each in couplings)
