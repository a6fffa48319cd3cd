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

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from .._core import PyTree
from ._buffers import (
    BlockInput,
    BlockOutput,
    RunInput,
    Saved,
    pad_behind,
    pad_front,
    scan_stretches,
    sent_before,
    sums_of_block,
    times_of,
    window_starts,
    zeros_for_none,
)
from ._edges import is_edges, transpose_weights
from ._forward import ForwardArgs, RunOutput, call_block
from ._layout import RunLayout
from ._plan import RunPlan


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
    sent: dict[str, Array]  # buffers
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
    size, depth, steps = plan.block_size, plan.depth, plan.steps + plan.excess
    wanted = args.varying.run
    run: RunInput = eqx.combine(wanted, args.fixed.run)
    run_batched: RunInput = eqx.combine(batched.varying.run, batched.fixed.run)
    messages = layout.spread(run.messages, run_batched.messages)
    sent = layout.spread(run.sent, run_batched.sent)
    weights = layout.weights_behind(run.weights, run_batched.weights)
    saved = layout.spread(args.saved, batched.saved)
    output_bar = layout.spread(args.output_bar, batched.output_bar)
    sent_buffers = layout.buffers_in(saved.sent)
    want_weights = bool(jax.tree.leaves(wanted.weights))
    message_buffers = layout.buffers_in(saved.messages) if want_weights else None
    block_bar = layout.over_runs(
        _block_bar(program),
        (
            batched.varying.consts,
            batched.fixed.consts,
            BlockInput(True, True, True, run_batched.step),
            True,
        ),
    )
    edges = jax.tree.map(lambda e: e.transposed(), run.edges, is_leaf=is_edges)
    transposed = jax.tree.map(transpose_weights, run.edges, weights, is_leaf=is_edges)
    starts = window_starts(edges, depth + plan.stretch, depth, layout)
    message_starts = (
        window_starts(run.edges, depth + steps, depth, layout) if want_weights else None
    )

    def one_block(carry, inputs):
        bars, future = (
            carry  # `future`: buffers of the cotangents of sums to come, the latest first
        )
        index, (state, sums, record_bar) = inputs
        present = depth + index * size  # the times before it were sent before this block
        filled = plan.stretch - size - index % plan.blocks_per_stretch * size
        messages_bar = sums_of_block(edges, transposed, future, starts, filled, size, layout)
        messages_bar = jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), messages_bar)
        sent_bar = {key: layout.read(x, present, size) for key, x in bars.sent.items()}
        sent_bar = {key: sent_bar.get(key) for key in sent}
        before = sent_before(sent_buffers, handed, present, layout)
        given = BlockInput(state, before, sums, run.step + index * size)
        wants = BlockOutput(bars.state, messages_bar, sent_bar, record_bar)
        new = block_bar((args.varying.consts, args.fixed.consts, given, wants))
        more = {
            key: layout.add(bars.sent[key], bar, present - 1 - handed[key])
            for key, bar in new.before.items()
        }
        consts_bar = jax.tree.map(jnp.add, bars.consts, new.consts)
        weights_bar = bars.weights
        if message_buffers is not None:
            at = jax.tree.map(lambda start: start + index * size * layout.size, message_starts)
            weights_bar = _add_weights_bar(
                weights_bar, run.edges, message_buffers, at, new.sums, layout
            )
        reversed_bar = jax.tree.map(lambda x: x[..., ::-1, :], new.sums)
        future = layout.write(future, layout.on_all_devices(reversed_bar), depth + filled)
        return (Carry(new.state, bars.sent | more, consts_bar, weights_bar), future), None

    future = jax.tree.map(
        lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), saved.sums
    )
    inputs = layout.scan_axis_second((saved.states, saved.sums, output_bar.record))
    start = Carry(
        state=zeros_for_none(output_bar.state, jax.tree.map(lambda x: x[0], inputs[0])),
        sent={
            key: _sent_bar(bar, sent[key], depth + steps, plan.excess, layout)
            for key, bar in output_bar.history.items()
            if bar is not None or key in handed
        },
        consts=layout.zeros(args.varying.consts, batched.varying.consts),
        weights=_no_weights_bar(wanted.weights, weights, run.edges, layout),
    )
    bars, future, _ = scan_stretches(one_block, start, future, inputs, plan, layout, reverse=True)
    run_bar = wanted._replace(state=bars.state, weights=layout.weights_in_front(bars.weights))
    if jax.tree.leaves(wanted.messages):
        future = jax.tree.map(lambda x: x[:, -depth * layout.size :], future)
        history_bar = _messages_before(edges, transposed, future, plan, layout)
        history_bar = jax.tree.map(_newest, messages, history_bar)
        run_bar = run_bar._replace(messages=history_bar)
    if jax.tree.leaves(wanted.sent):
        sent_bar = {
            key: layout.read(x, depth - times_of(sent[key]), times_of(sent[key]))
            for key, x in bars.sent.items()
        }
        run_bar = run_bar._replace(sent={key: sent_bar.get(key) for key in sent})
    return ForwardArgs(bars.consts, run_bar)


def _block_bar(program: Any) -> Any:
    """The cotangents of a block, from those of its output, by JAX's own rules."""
    call = call_block(program)

    def block_bar(args):
        varying, fixed, given, output_bar = args

        def floats(varying, state, before, sums):
            inputs = BlockInput(state, before, sums, given.step)
            return eqx.filter(call((eqx.combine(varying, fixed), inputs)), eqx.is_inexact_array)

        out, pull_back = jax.vjp(floats, varying, given.state, given.before, given.sums)
        return BlockBar(*pull_back(zeros_for_none(output_bar, out)))

    return block_bar


def _sent_bar(
    history_bar: Array | None, sent: Array, depth: int, excess: int, layout: RunLayout
) -> Array:
    """The buffer of the cotangents of all that a source sends: at first those of its last history.

    None is a cotangent of zero, to which blocks will add theirs, of what they were handed.
    """
    if history_bar is None:
        history_bar = jnp.zeros_like(sent[..., 1:, :])
    return layout.as_buffer(pad_front(pad_behind(history_bar, excess + 1), depth))


def _messages_before(edges, transposed, future, plan: RunPlan, layout: RunLayout) -> PyTree:
    """The cotangents of the messages sent before the run: the same delayed sums, without steps."""
    size, depth = plan.block_size, plan.depth
    future = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, depth * layout.size)]), future)
    starts = window_starts(edges, 2 * depth, depth, layout)

    def one_block(filled):
        bar = sums_of_block(edges, transposed, future, starts, filled, size, layout)
        return jax.tree.map(lambda x: layout.time_major(x[:, ::-1]), bar)

    def in_order(x):
        x = layout.scan_axis_second(x[::-1])
        return x.reshape(*x.shape[:-3], -1, x.shape[-1])

    return jax.tree.map(in_order, lax.map(one_block, jnp.arange(0, depth, size, dtype=jnp.int32)))


def _newest(like: Array, x: Array) -> Array:
    """As many of the newest times of `x` as `like` has."""
    return x[..., times_of(x) - times_of(like) :, :]


def _no_weights_bar(wanted, weights, edges, layout: RunLayout):
    """Zeros for the cotangents of weights, with the batch behind; None where none is wanted."""

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
