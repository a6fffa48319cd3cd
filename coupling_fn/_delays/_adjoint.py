r"""The backward loop: the adjoint of a blocked run.

Within a block JAX differentiates the steps. Across blocks the delays have their own adjoint. From
$S_i(t) = \sum_j W_{ij}\, \psi_j(t - d_{ij})$ follow

$$\bar\psi_j(t) = \sum_i W_{ij}\, \bar S_i(t + d_{ij}), \qquad
\bar W_{ij} = \sum_t \bar S_i(t)\, \psi_j(t - d_{ij}).$$

The first is a delayed sum over the transposed edges, in reversed time: blocks are taken backwards,
the cotangents of their sums are written into a buffer, the latest first, and the cotangents of a
block's messages are the delayed sums of that buffer, of cotangents that lie at least one block
ahead. So nothing is kept per edge: T steps of N regions need memory of O(T N), where
differentiating the scan would keep what each edge carried, O(T N^2).

Shapes are those of the forward loop. A name that ends in `_bar` is a cotangent.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from .._core import PyTree, as_cotangent
from ._buffers import (
    BlockInput,
    BlockOutput,
    RunInput,
    Saved,
    pad_behind,
    pad_front,
    scan_stretches,
    source_states_before,
    sums_of_block,
    times_of,
    window_starts,
    zeros_for_none,
)
from ._edges import is_edges, transpose_weights
from ._forward import ForwardArgs, RunOutput, call_block
from ._plan import RunPlan
from ._run_layout import RunLayout


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
    before: dict[str, Array]
    sums: tuple[PyTree, ...]


class Carry(NamedTuple):
    """The cotangents that the backward loop carries from block to block."""

    state: PyTree
    source_states: dict[str, Array]  # buffers
    consts: PyTree
    weights: tuple[tuple[Array | None, ...], ...]


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
    messages = layout.with_batch(run.messages, run_batched.messages)
    sources = layout.with_batch(run.source_states, run_batched.source_states)
    weights = layout.weights_behind(run.weights, run_batched.weights)
    saved = layout.with_batch(args.saved, batched.saved)
    output_bar = layout.with_batch(args.output_bar, batched.output_bar)
    transposed = TransposedEdges(
        jax.tree.map(lambda e: e.transposed(), run.edges, is_leaf=is_edges),
        jax.tree.map(transpose_weights, run.edges, weights, is_leaf=is_edges),
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
        sources=layout.buffers_in(saved.source_states),
        messages=_saved_messages(wanted, saved, plan, run, layout),
    )
    future = jax.tree.map(
        lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), saved.sums
    )
    inputs = layout.scan_axis_second((saved.states, saved.sums, output_bar.record))
    start = Carry(
        state=zeros_for_none(output_bar.state, jax.tree.map(lambda x: x[0], inputs[0])),
        source_states={
            key: _source_bar(bar, sources[key], depth + steps, plan.excess, layout)
            for key, bar in output_bar.history.items()
            if bar is not None or key in handed
        },
        consts=layout.zeros(args.varying.consts, batched.varying.consts),
        weights=_no_weights_bar(wanted.weights, weights, run.edges, layout),
    )
    bars, future, _ = scan_stretches(
        loop.one_block, start, future, inputs, plan, layout, reverse=True
    )
    run_bar = wanted._replace(state=bars.state, weights=layout.weights_in_front(bars.weights))
    if jax.tree.leaves(wanted.messages):
        future = jax.tree.map(lambda x: x[:, -depth * layout.size :], future)
        history_bar = _messages_before(transposed, future, plan, layout)
        run_bar = run_bar._replace(messages=jax.tree.map(_newest, messages, history_bar))
    if jax.tree.leaves(wanted.source_states):
        source_bar = {
            key: layout.read(x, depth - times_of(sources[key]), times_of(sources[key]))
            for key, x in bars.source_states.items()
        }
        source_bar = {key: source_bar.get(key) for key in sources}
        run_bar = run_bar._replace(source_states=source_bar)
    return ForwardArgs(bars.consts, run_bar)


class TransposedEdges(NamedTuple):
    """The blocked edges from targets to sources, and their weights, per coupling and tap."""

    edges: PyTree
    weights: PyTree


class SavedMessages(NamedTuple):
    """The buffers of all messages, and where the window of each edge begins in the first block."""

    buffers: PyTree
    starts: PyTree


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
        messages: the messages, if a cotangent of a weight is wanted, or None.
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
    messages: SavedMessages | None

    def one_block(self, carry: Any, inputs: Any) -> Any:
        """Add what one block contributes to the cotangents; the latest block comes first."""
        plan, layout, size = self.plan, self.layout, self.plan.block_size
        bars, future = carry  # `future`: buffers of the cotangents of later sums, the latest first
        index, (state, sums, record_bar) = inputs
        present = plan.depth + index * size  # the block was given what was sent before this time
        filled = plan.stretch - size - index % plan.blocks_per_stretch * size
        # psi_bar_j(t) = sum_i W_ij S_bar_i(t + d_ij), at the times of this block.
        messages_bar = sums_of_block(
            self.transposed.edges,
            self.transposed.weights,
            future,
            self.starts,
            filled,
            size,
            layout,
        )
        messages_bar = jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), messages_bar)
        source_bar = {key: layout.read(x, present, size) for key, x in bars.source_states.items()}
        source_bar = {key: source_bar.get(key) for key in self.run.source_states}
        before = source_states_before(self.sources, self.handed, present, layout)
        given = BlockInput(state, before, sums, self.run.step + index * size)
        wants = BlockOutput(bars.state, messages_bar, source_bar, record_bar)
        new = self._block_bar(given, wants)
        source_bars = bars.source_states | {
            key: layout.add(bars.source_states[key], bar, present - 1 - self.handed[key])
            for key, bar in new.before.items()
        }
        weights_bar = bars.weights
        if self.messages is not None:  # W_bar_ij = sum_t S_bar_i(t) psi_j(t - d_ij)
            starts = self.messages.starts
            starts = jax.tree.map(lambda start: start + index * size * layout.size, starts)
            buffers = self.messages.buffers
            weights_bar = _add_weights_bar(
                weights_bar, self.run.edges, buffers, starts, new.sums, layout
            )
        consts_bar = jax.tree.map(jnp.add, bars.consts, new.consts)
        reversed_bar = jax.tree.map(lambda x: x[..., ::-1, :], new.sums)
        written = layout.on_all_devices(reversed_bar)
        future = layout.write(future, written, plan.depth + filled)
        return (Carry(new.state, source_bars, consts_bar, weights_bar), future), None

    def _block_bar(self, given: BlockInput, wants: BlockOutput) -> BlockBar:
        """Return the cotangents of a block's input, from those of its output."""
        batched = self.batched
        of_block = self.layout.over_runs(
            partial(_block_bar, self.program),
            (
                batched.varying.consts,
                batched.fixed.consts,
                BlockInput(True, True, True, batched.fixed.run.step),  # a count has no cotangent
                True,
            ),
        )
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


def _saved_messages(
    wanted: RunInput, saved: Saved, plan: RunPlan, run: RunInput, layout: RunLayout
) -> SavedMessages | None:
    """Return what the cotangents of weights read, if any is wanted."""
    if not jax.tree.leaves(wanted.weights):
        return None
    length = plan.depth + plan.steps + plan.excess
    starts = window_starts(run.edges, length, plan.depth, layout)
    return SavedMessages(layout.buffers_in(saved.messages), starts)


def _source_bar(
    history_bar: Array | None, states: Array, depth: int, excess: int, layout: RunLayout
) -> Array:
    """Return the buffer of the cotangents of a source: at first those of its last history.

    None is a cotangent of zero, to which blocks will add theirs, of what they were handed.
    """
    if history_bar is None:
        history_bar = jnp.zeros_like(states[..., 1:, :])
    return layout.as_buffer(pad_front(pad_behind(history_bar, excess + 1), depth))


def _messages_before(
    transposed: TransposedEdges, future: PyTree, plan: RunPlan, layout: RunLayout
) -> PyTree:
    """Return the cotangents of the messages before the run: the same delayed sums, without steps."""
    size, depth = plan.block_size, plan.depth
    future = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, depth * layout.size)]), future)
    starts = window_starts(transposed.edges, 2 * depth, depth, layout)

    def one_block(filled):
        bar = sums_of_block(*transposed, future, starts, filled, size, layout)
        return jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), bar)

    def in_order(x):
        x = layout.scan_axis_second(x[::-1])
        return x.reshape(*x.shape[:-3], -1, x.shape[-1])

    return jax.tree.map(in_order, lax.map(one_block, jnp.arange(0, depth, size, dtype=jnp.int32)))


def _newest(like: Array, x: Array) -> Array:
    """Return as many of the newest times of `x` as `like` has."""
    return x[..., times_of(x) - times_of(like) :, :]


def _no_weights_bar(wanted, weights, edges, layout: RunLayout):
    """Return zeros for the cotangents of weights, with the batch behind; None where none is wanted."""

    def zeros(wanted, weight, edge):
        behind = () if layout.batch is None or weight.ndim > edge.ndim else (layout.batch,)
        return None if wanted is None else jnp.zeros((*weight.shape, *behind), weight.dtype)

    return tuple(
        tuple(zeros(*tap) for tap in zip(*each, strict=True))
        for each in zip(wanted, weights, edges, strict=True)
    )


def _add_weights_bar(weights_bar, edges, messages, starts, sums_bar, layout: RunLayout):
    """Add what a block contributes: the messages of each edge, times the cotangent of their sum."""

    def add(bar, edge, start, buffer, sum_bar):
        sum_bar = layout.time_minor(sum_bar).reshape(edge.targets, -1)
        per_run = layout.batch is not None
        return bar + edge.weights_bar(sum_bar, buffer, start, per_run, layout.size)

    def of_coupling(bars, edges, messages, starts, sums_bar):
        channels = zip(jax.tree.leaves(messages), jax.tree.leaves(sums_bar), strict=True)
        for buffer, sum_bar in channels:
            bars = tuple(
                None if bar is None else add(bar, edge, start, buffer, sum_bar)
                for bar, edge, start in zip(bars, edges, starts, strict=True)
            )
        return bars

    couplings = zip(weights_bar, edges, messages, starts, sums_bar, strict=True)
    return tuple(of_coupling(*each) if jax.tree.leaves(each[0]) else each[0] for each in couplings)
