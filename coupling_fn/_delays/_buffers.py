"""What the forward and the backward loop of a blocked run share: its arguments, and its buffers.

A buffer has `depth` times of history and room for one stretch of blocks, which is filled in place;
then the newest `depth` times are moved back to the front. A ring buffer would be copied at every
turn, because XLA does not write in place where a loop both gathers from an array and updates it at
an index that wraps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PyTree, scan
from ._edges import DelayedEdges, is_edges
from ._plan import RunPlan
from ._run_layout import RunLayout


class RunInput(NamedTuple):
    """What a blocked run starts from.

    Attributes:
        state: what the block function carries.
        messages: for each blocked coupling what its sources have sent: a pytree of `(lag, source)`,
            oldest first, which ends with the present.
        source_states: for each delayed source its past states, `(lag + 1, source)`, which end with the
            present.
        edges: for each blocked coupling its groups of edges.
        weights: for each of these groups the weights of each tap.
        step: the number of steps done so far.
    """

    state: PyTree
    messages: tuple[PyTree, ...]
    source_states: dict[str, Array]
    weights: tuple[tuple[tuple[Array, ...], ...], ...]
    edges: tuple[tuple[DelayedEdges, ...], ...]
    step: Array


class BlockInput(NamedTuple):
    """What a block of steps starts from.

    Attributes:
        state: what the previous block left.
        before: the states before the present, `(lag, source)`, of each source that `handed` names.
        sums: for each blocked coupling the delayed sums at the steps of the block, `(step, target)`.
        step: the number of steps done so far.
    """

    state: PyTree
    before: PyTree
    sums: PyTree
    step: Any


class BlockOutput(NamedTuple):
    """What a block of steps gives.

    Attributes:
        state: what the next block starts from.
        messages: for each blocked coupling the messages of each step, `(step, source)`.
        source_states: for each delayed source its state after each step, `(step, source)`.
        record: what is recorded of the block.
    """

    state: PyTree
    messages: PyTree
    source_states: PyTree
    record: PyTree


BlockFunction = Callable[[BlockInput], BlockOutput]


class Saved(NamedTuple):
    """What the forward loop keeps for the backward loop.

    Attributes:
        states: what each block started from.
        sums: the delayed sums of each block.
        messages: the buffers of all messages; of length 0 where no cotangent of a weight is wanted.
        source_states: the buffers of the sources that blocks were handed.
    """

    states: PyTree
    sums: PyTree
    messages: PyTree
    source_states: dict[str, Array]


def window_starts(
    edges: tuple[tuple[DelayedEdges, ...], ...], length: int, present: int, layout: RunLayout
) -> PyTree:
    """Return where the windows of all edges begin in buffers of `length` times, `present` filled."""
    sources = max((e.shape[1] for taps in edges for e in taps), default=0)
    numbers = sources * length * layout.size
    if numbers > np.iinfo(np.int32).max:
        raise ValueError(
            f"The buffer of this run has {numbers} numbers, too many to index with 32 bits. Run fewer "
            "at once (`sweep(chunk=...)`), or differentiate in parts (`simulate(checkpoint=...)`)."
        )
    return jax.tree.map(lambda e: e.starts(length, present, layout.size), edges, is_leaf=is_edges)


def arranged_weights(edges, weights) -> PyTree:
    """Return the weights of all groups of edges in the order in which sums read them."""
    return tuple(
        tuple(tuple(map(group.arranged, taps)) for group, taps in zip(*each, strict=True))
        for each in zip(edges, weights, strict=True)
    )


def sums_of_block(
    edges,
    weights,
    buffers,
    starts,
    offset: Any,
    size: int,
    layout: RunLayout,
    chosen: PyTree,
    present: int | None = None,
) -> tuple[PyTree, ...]:
    """Return the delayed sums `(target, step, batch)` of the next `size` steps, per coupling.

    `weights` are arranged; `starts` are those of a buffer into which `offset` more steps have been
    written by now. `chosen` says for each coupling which of its groups of edges count; where none does,
    its sums are None. `present` is how many times the buffer held at first, if all windows end by now.
    """
    offset = jnp.asarray(offset * layout.size, jnp.int32)

    def of_coupling(edges, weights, buffers, starts, chosen):
        def of_message(buffer):
            sums = [
                group.sums(taps, buffer, start, offset, size * layout.size, layout.size, present)
                for group, taps, start, counts in zip(edges, weights, starts, chosen, strict=True)
                if counts
            ]
            return sum(sums[1:], sums[0]).reshape(-1, size, layout.size)

        return jax.tree.map(of_message, buffers) if any(chosen) else None

    each = zip(edges, weights, buffers, starts, chosen, strict=True)
    return tuple(of_coupling(*coupling) for coupling in each)


def source_states_before(
    buffers: dict[str, Array], handed: dict[str, int], present: Array | int, layout: RunLayout
) -> dict[str, Array]:
    """Return the states in the `handed` steps before the present one, for each source."""
    return {
        key: layout.read(buffers[key], present - 1 - times, times) for key, times in handed.items()
    }


def scan_stretches(
    body: Callable[..., Any],
    carry: PyTree,
    buffers: PyTree,
    inputs: PyTree,
    plan: RunPlan,
    layout: RunLayout,
    *,
    past: PyTree = None,
    reverse: bool = False,
) -> tuple[PyTree, PyTree, PyTree, PyTree]:
    """Scan `body` over the blocks of a run, with room in the buffers for one stretch at a time.

    `body((carry, buffers), (index of the block, input)) -> ((carry, buffers), (output, times))`. Of the
    times that it gives, which have the axes `(block, step[, batch], source)`, as many are kept as
    `past` has, which are those before the run.

    Returns:
        The last carry, the buffers of the whole run (which cost nothing where they are not used), the
        newest times, and the outputs.
    """
    room, depth = plan.stretch * layout.size, plan.depth * layout.size

    def stretch(carry, inputs):
        carry, buffers, past = carry
        buffers = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, room)]), buffers)
        (carry, buffers), (out, times) = scan(body, (carry, buffers), inputs, reverse=reverse)
        times = merged_blocks(merged_blocks(times))
        newest = jax.tree.map(lambda x: x[:, -depth:], buffers)
        past = jax.tree.map(lambda x, new: jnp.concatenate([x, new])[-len(x) :], past, times)
        return (carry, newest, past), (out, jax.tree.map(lambda x: x[:, depth:], buffers))

    def join(start, filled):
        return jnp.concatenate([start, *(filled[::-1] if reverse else filled)], 1)

    index = jnp.arange(plan.stretches * plan.blocks_per_stretch, dtype=jnp.int32)
    inputs = split_block((index, inputs), plan.stretches)
    (carry, _, past), (out, filled) = scan(stretch, (carry, buffers, past), inputs, reverse=reverse)
    return carry, jax.tree.map(join, buffers, filled), past, merged_blocks(out)


def added(*trees: PyTree) -> tuple[PyTree, ...]:
    """Return the sums per coupling, of those that are not None."""

    def add(*each):
        each = [x for x in each if x is not None]
        return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *each) if each else None

    return tuple(map(add, *trees))


def split_block(tree: PyTree, parts: int) -> PyTree:
    """Split the steps of a block, the first axis, into those of smaller blocks."""
    return jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), tree)


def merged_blocks(tree: PyTree) -> PyTree:
    """Merge the first two axes, which count blocks and the blocks within each."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def pad_front(x: Array, times: int) -> Array:
    """Pad `(time[, batch], source)` with zeros in front, up to `times` times."""
    return jnp.pad(x, [(max(times - len(x), 0), 0)] + [(0, 0)] * (x.ndim - 1))


def pad_behind(x: Array, times: int) -> Array:
    """Pad `(time[, batch], source)` with `times` times of zeros behind."""
    return jnp.pad(x, [(0, times)] + [(0, 0)] * (x.ndim - 1))


def zeros_for_none(cotangents: PyTree, like: PyTree) -> PyTree:
    """Return the cotangents, with zeros in place of None."""
    return jax.tree.map(lambda x, bar: jnp.zeros_like(x) if bar is None else bar, like, cotangents)
