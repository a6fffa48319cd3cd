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
        weights: for each blocked coupling the weights of each of its taps.
        edges: the edges that these weights stand on.
        step: the number of steps done so far.
    """

    state: PyTree
    messages: tuple[PyTree, ...]
    source_states: dict[str, Array]
    weights: tuple[tuple[Array, ...], ...]
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


def sums_of_block(
    edges, weights, buffers, starts, filled: Array, size: int, layout: RunLayout
) -> tuple[PyTree, ...]:
    """Return the delayed sums `(target, step, batch)` of the next `size` steps, per coupling.

    `starts` are those of an empty stretch, of which `filled` steps are filled by now.
    """

    def of_message(edges, weights, starts, buffer):
        width = size * layout.size
        first, *rest = [
            tap.sums(weight, buffer, start, width, layout.size)
            for tap, weight, start in zip(edges, weights, starts, strict=True)
        ]
        return sum(rest, first).reshape(-1, size, layout.size)

    def of_coupling(edges, weights, buffers, starts):
        return jax.tree.map(lambda buffer: of_message(edges, weights, starts, buffer), buffers)

    starts = jax.tree.map(lambda start: start + filled * layout.size, starts)
    return tuple(of_coupling(*each) for each in zip(edges, weights, buffers, starts, strict=True))


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
    reverse: bool = False,
) -> tuple[PyTree, PyTree, PyTree]:
    """Scan `body` over the blocks of a run, with room in the buffers for one stretch at a time.

    `body((carry, buffers), (index of the block, input)) -> ((carry, buffers), output)`. Returns the last
    carry, the buffers of the whole run (which cost nothing where they are not used) and the outputs.
    """
    room, depth = plan.stretch * layout.size, plan.depth * layout.size

    def stretch(carry, inputs):
        carry, buffers = carry
        buffers = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, room)]), buffers)
        (carry, buffers), out = scan(body, (carry, buffers), inputs, reverse=reverse)
        newest = jax.tree.map(lambda x: x[:, -depth:], buffers)
        return (carry, newest), (out, jax.tree.map(lambda x: x[:, depth:], buffers))

    def join(start, filled):
        return jnp.concatenate([start, *(filled[::-1] if reverse else filled)], 1)

    index = jnp.arange(plan.stretches * plan.blocks_per_stretch, dtype=jnp.int32)
    parts = (plan.stretches, plan.blocks_per_stretch)
    inputs = jax.tree.map(lambda x: x.reshape(*parts, *x.shape[1:]), (index, inputs))
    (carry, _), (out, filled) = scan(stretch, (carry, buffers), inputs, reverse=reverse)
    whole = jax.tree.map(join, buffers, filled)
    return carry, whole, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)


def times_of(x: Array) -> int:
    """Return how many times `([batch,] time, source)` has."""
    return x.shape[-2]


def pad_front(x: Array, times: int) -> Array:
    """Pad `([batch,] time, source)` with zeros in front, up to `times` times."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(max(times - times_of(x), 0), 0), (0, 0)])


def pad_behind(x: Array, times: int) -> Array:
    """Pad `([batch,] time, source)` with `times` times of zeros behind."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, times), (0, 0)])


def zeros_for_none(cotangents: PyTree, like: PyTree) -> PyTree:
    """Return the cotangents, with zeros in place of None."""
    return jax.tree.map(lambda x, bar: jnp.zeros_like(x) if bar is None else bar, like, cotangents)
