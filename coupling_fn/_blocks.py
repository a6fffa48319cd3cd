"""Run a system with delays block by block, with the adjoint of the whole run.

Forward, each block of steps gets its delayed sums from the past at once, and then steps. Reverse mode
saves the start of each block and its sums, and takes the blocks backwards: what happens within a
block is differentiated by JAX, the delays by their adjoint, itself a delayed sum over the
cotangents to come (`_past.py`). So T steps of N regions need memory of O(T N); differentiating the scan
would keep what each edge carried, O(T N^2).

Arrays are `(time, source)`, with a batch in front if there is one; only the rows that are read in
windows are `(source, time * batch)`. They are given room for a stretch of blocks, which is filled in
place, and then moved to the front. (A ring is copied at every turn: XLA does not write in place where
a loop both gathers from an array and updates it at an index that wraps.)
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero

from ._batch import with_batches
from ._past import Edges, transpose_weights
from ._plan import Blocks
from ._types import PyTree

# `block(start, sums, number) -> (start, messages, sent, seen)`: from the state at step `number` and
# the delayed sums of the steps after it: the next state, what each step sent, and the record.
Block = Callable[[PyTree, PyTree, Array], tuple[PyTree, PyTree, PyTree, PyTree]]

# What reverse mode saves; all messages only for the cotangents of weights.
Save = Literal["nothing", "starts and sums", "messages too"]


class Given(NamedTuple):
    """What a run starts from.

    For each far coupling its messages so far, a pytree of `(lag, source)` that ends with the
    present, and the weights and edges of each of its taps; and what is to be remembered of what was
    sent, `(lag + 1, source)`, by name.
    """

    start: PyTree
    messages: tuple[PyTree, ...]
    sent: dict[str, Array]
    weights: tuple[tuple[Array, ...], ...]
    edges: tuple[tuple[Edges, ...], ...]
    number: Array


def run_blocks(block: Block, given: Given, blocks: Blocks, *, reverse: bool) -> Any:
    """The state after the run, the last rows of `sent`, and what was seen, block by block.

    With `reverse` the run has the adjoint above and no forward mode; without, JAX's own rules.
    """
    sums = tuple(
        jax.tree.map(lambda m, e=e: jnp.zeros((blocks.size, e[0].targets), m.dtype), messages)
        for e, messages in zip(given.edges, given.messages, strict=True)
    )
    # What the block reads of its surroundings must be an argument, to be batched and have a
    # gradient; and only what it reads, or cotangents of whole connections would be carried along.
    block = eqx.filter_closure_convert(block, given.start, sums, given.number)
    consts, program = eqx.partition(block, eqx.is_array)

    def forward(args, save: Save):
        run = lambda layout, at, args: _forward(program, blocks, layout, at, *args, save)  # noqa: E731
        return _batched(run, args)

    if not reverse:
        return forward((consts, given), "nothing")[:3]
    floats, others = eqx.partition((consts, given), eqx.is_inexact_array)

    @jax.custom_vjp
    def adjoint_run(floats, others):
        return forward(eqx.combine(floats, others), "nothing")[:3]

    def saving(floats, others):
        # Only what a gradient is asked for is carried backwards: the rest would cost as much.
        varies = jax.tree.map(lambda x: x.perturbed, floats, is_leaf=_is_primal)
        floats, others = jax.tree.map(lambda x: x.value, (floats, others), is_leaf=_is_primal)
        varying, fixed = eqx.partition(floats, varies)
        save: Save = "messages too" if jax.tree.leaves(varying[1].weights) else "starts and sums"
        *out, saved = forward(eqx.combine(floats, others), save)
        return tuple(out), (varying, eqx.combine(fixed, others), saved)

    def backward(kept, cotangents):
        run = lambda layout, at, args: _backward(program, blocks, layout, at, *args)  # noqa: E731
        return _batched(run, (*kept, jax.tree.map(_cotangent, cotangents))), None

    adjoint_run.defvjp(saving, backward, symbolic_zeros=True)
    return adjoint_run(floats, others)


def present_sums(edges, weights, messages: PyTree, size: int) -> PyTree:
    """The delayed sums at the present, from what was sent before it, rounded as in a run."""
    layout, depth = _Layout(None), _rows(jax.tree.leaves(messages)[0])
    starts = tuple(e.starts(depth, depth, 1) for e in edges)
    past = jax.tree.map(layout.flat, messages)
    (sums,) = _pull((edges,), (weights,), (past,), (starts,), size, layout)
    return jax.tree.map(lambda x: x[:, 0, 0], sums)


def _is_primal(x: Any) -> bool:
    return isinstance(x, CustomVJPPrimal)


def _cotangent(x: Any) -> Array | None:
    """None where there is none, or none but zeros."""
    return None if isinstance(x, SymbolicZero) or x.dtype == jax.dtypes.float0 else x


# --- the two loops ---------------------------------------------------------------------------------


def _forward(program, blocks: Blocks, layout, at, consts, given, save: Save):
    size, depth = blocks.size, blocks.depth
    block = layout.over(_caller(program), (at[0], True, True, at[1].number))
    start, messages, sent = layout.spread(given[:3], at[1][:3])
    weights = layout.spread_last(given.weights, at[1].weights)
    starts = _starts(given.edges, depth + blocks.stretch, depth, layout)

    def one(carry, inputs):
        (start, kept), past = carry
        index, _ = inputs
        filled = index % blocks.count * size
        sums = _pull(given.edges, weights, past, _later(starts, filled, layout), size, layout)
        sums = jax.tree.map(layout.major, sums)
        after, messages, sent, seen = block(consts, start, sums, given.number + index * size)
        past = _write(past, messages, depth + filled, layout)
        place = index * size % depth  # never read in the loop, so this ring is written in place
        kept = jax.tree.map(lambda x, new: _put(x, new, place, x.ndim - 2), kept, sent)
        return ((after, kept), past), (seen, None if save == "nothing" else (start, sums))

    past = jax.tree.map(lambda x: layout.flat(_deep(x, depth)), messages)
    carry = (start, jax.tree.map(lambda x: _deep(x, depth), sent))
    (after, kept), carried, (seen, saved) = _run_stretches(one, carry, past, None, blocks, layout)
    present, oldest = depth - blocks.beyond - 1, (blocks.steps + blocks.beyond) % depth
    last = {
        key: jnp.roll(kept[key], -oldest, -2)[..., present + 1 - _rows(x) : present, :]
        for key, x in sent.items()
    }
    carried = jax.tree.map(layout.rows_out, carried) if save == "messages too" else None
    return after, last, layout.front(seen), (layout.front(saved), carried)


def _backward(program, blocks: Blocks, layout, at, varying, fixed, saved, bars):
    size, depth, steps = blocks.size, blocks.depth, blocks.steps + blocks.beyond
    (vary, wanted), hold = varying, fixed[0]  # None where no cotangent is wanted
    given, at_given = eqx.combine(wanted, fixed[1]), eqx.combine(at[0][1], at[1][1])
    messages, sent = layout.spread(given[1:3], at_given[1:3])
    weights = layout.spread_last(given.weights, at_given.weights)
    ((starts, sums), carried), bars = layout.spread((saved, bars), at[2:])
    after_bar, last_bar, seen_bar = bars
    block_bar = layout.over(
        _block_bar(program), (at[0][0], at[1][0], True, True, at_given.number, True)
    )
    edges = jax.tree.map(lambda e: e.transposed(), given.edges, is_leaf=_is_edges)
    turned = jax.tree.map(transpose_weights, given.edges, weights, is_leaf=_is_edges)
    windows = _starts(edges, depth + blocks.stretch, depth, layout)
    carried = jax.tree.map(layout.rows_in, carried)
    carried_windows = _starts(given.edges, depth + steps, depth, layout)
    # The cotangents of the last history, in the rows of the times that each is of.
    kept = jax.tree.map(lambda x: _deep(_behind(x, blocks.beyond + 1), depth), last_bar)

    def one(carry, inputs):
        (start_bar, consts_bar, weights_bar), future = carry
        index, (start, sums, seen_bar) = inputs
        # Cotangents of the sums to come, the latest first: time runs backwards here.
        filled = blocks.stretch - size - index % blocks.count * size
        messages_bar = _pull(edges, turned, future, _later(windows, filled, layout), size, layout)
        messages_bar = jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)
        sent_bar = jax.tree.map(lambda x: _taken(x, depth - steps + index * size, size), kept)
        bars = (start_bar, messages_bar, sent_bar, seen_bar)
        more, start_bar, sums_bar = block_bar(
            vary, hold, start, sums, given.number + index * size, bars
        )
        consts_bar = jax.tree.map(jnp.add, consts_bar, more)
        if carried is not None:
            at = _later(carried_windows, index * size, layout)
            weights_bar = _more_weights_bar(weights_bar, given.edges, carried, at, sums_bar, layout)
        backwards = jax.tree.map(lambda x: x[..., ::-1, :], sums_bar)
        future = _write(future, backwards, depth + filled, layout)
        return ((start_bar, consts_bar, weights_bar), future), None

    future = jax.tree.map(lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), sums)
    inputs = layout.stacked((starts, sums, seen_bar))
    start_bar = _filled(after_bar, jax.tree.map(lambda x: x[0], inputs[0]))
    weights_bar = _no_weights_bar(wanted.weights, weights, given.edges, layout)
    zeros = (start_bar, layout.zeros(vary, at[0][0]), weights_bar)
    bars, future, _ = _run_stretches(one, zeros, future, inputs, blocks, layout, reverse=True)
    start_bar, consts_bar, weights_bar = bars
    future = jax.tree.map(lambda x: x[:, -depth * layout.size :], future)
    given_bar = wanted._replace(start=start_bar, weights=layout.first(weights_bar))
    if jax.tree.leaves(wanted.messages):
        before = _before(edges, turned, future, blocks, layout)
        before = jax.tree.map(lambda x, bar: _newest(bar, _rows(x)), messages, before)
        given_bar = given_bar._replace(messages=before)
    if jax.tree.leaves(wanted.sent):
        # Of the history before the run, the run's last one is what has not been pushed out.
        there = max(depth - steps, 0)
        left = {
            key: None if x is None else _newest(_deep(x[..., :there, :], depth), _rows(sent[key]))
            for key, x in kept.items()
        }
        given_bar = given_bar._replace(sent=left)
    return consts_bar, given_bar


def _run_stretches(one, carry, rows, inputs, blocks: Blocks, layout, *, reverse=False):
    """Scan `one` over the blocks, with room in the rows for a stretch of them at a time.

    Gives the rows of the whole run, too; unused, they cost nothing.
    """
    room, depth = blocks.stretch * layout.size, blocks.depth * layout.size

    def stretch(carry, inputs):
        carry, rows = carry
        rows = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, room)]), rows)
        (carry, rows), out = lax.scan(one, (carry, rows), inputs, reverse=reverse)
        newest = jax.tree.map(lambda x: x[:, -depth:], rows)
        return (carry, newest), (out, jax.tree.map(lambda x: x[:, depth:], rows))

    index = jnp.arange(blocks.stretches * blocks.count, dtype=jnp.int32)
    parts = (blocks.stretches, blocks.count)
    inputs = jax.tree.map(lambda x: x.reshape(*parts, *x.shape[1:]), (index, inputs))
    (carry, _), (out, filled) = lax.scan(stretch, (carry, rows), inputs, reverse=reverse)
    whole = lambda x, new: jnp.concatenate([x, *(new[::-1] if reverse else new)], 1)  # noqa: E731
    rows = jax.tree.map(whole, rows, filled)
    return carry, rows, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)


def _before(edges, turned, future, blocks: Blocks, layout) -> PyTree:
    """The cotangents of the messages before a run, which it read: the same loop, without steps."""
    size, depth = blocks.size, blocks.depth
    future = jax.tree.map(lambda x: jnp.pad(x, [(0, 0), (0, depth * layout.size)]), future)
    windows = _starts(edges, 2 * depth, depth, layout)

    def one(filled):
        bar = _pull(edges, turned, future, _later(windows, filled, layout), size, layout)
        return jax.tree.map(lambda x: layout.major(x[:, ::-1]), bar)

    bars = lax.map(one, jnp.arange(0, depth, size, dtype=jnp.int32))
    return jax.tree.map(lambda x: layout.in_time(layout.front(x[::-1])), bars)


def _no_weights_bar(wanted, weights, edges, layout):
    """Zeros for the cotangents of weights, one a run, the batch behind; None where none is wanted."""

    def zeros(cotangent, weight, edge):
        behind = () if layout.batch is None or weight.ndim > edge.ndim else (layout.batch,)
        return None if cotangent is None else jnp.zeros((*weight.shape, *behind), weight.dtype)

    return tuple(
        tuple(zeros(*tap) for tap in zip(*each, strict=True))
        for each in zip(wanted, weights, edges, strict=True)
    )


def _more_weights_bar(bars, edges, carried, windows, sums_bar, layout):
    """Add to the cotangents of weights: what each edge carried, against what its sum was worth."""

    def more(bar, edge, window, past, worth):
        worth = layout.minor(worth).reshape(edge.targets, -1)
        return bar + edge.correlate(worth, past, window, layout.batch is not None, layout.size)

    def of_coupling(bars, edges, carried, windows, sums_bar):
        for past, worth in zip(jax.tree.leaves(carried), jax.tree.leaves(sums_bar), strict=True):
            bars = tuple(
                None if bar is None else more(bar, edge, window, past, worth)
                for bar, edge, window in zip(bars, edges, windows, strict=True)
            )
        return bars

    every = zip(bars, edges, carried, windows, sums_bar, strict=True)
    return tuple(of_coupling(*each) if jax.tree.leaves(each[0]) else each[0] for each in every)


def _caller(program):
    return lambda consts, start, sums, number: eqx.combine(consts, program)(start, sums, number)


def _block_bar(program):
    def block_bar(varying, fixed, start, sums, number, bars):
        def floats(varying, start, sums):
            out = _caller(program)(eqx.combine(varying, fixed), start, sums, number)
            return eqx.filter(out, eqx.is_inexact_array)

        out, pull_back = jax.vjp(floats, varying, start, sums)
        return pull_back(_filled(bars, out))

    return block_bar


def _starts(edges, row: int, at: int, layout) -> PyTree:
    return jax.tree.map(lambda e: e.starts(row, at, layout.size), edges, is_leaf=_is_edges)


def _later(starts: PyTree, steps: Array, layout) -> PyTree:
    return jax.tree.map(lambda start: start + steps * layout.size, starts)


def _pull(edges, weights, past, starts, size: int, layout) -> tuple[PyTree, ...]:
    """For each far coupling the sums of a block, `(target, steps, batch)`."""

    def one(edges, weights, starts, rows):
        total = 0.0
        for edge, weight, start in zip(edges, weights, starts, strict=True):
            total = total + edge.pull(weight, rows, start, size * layout.size, layout.size)
        return total.reshape(-1, size, layout.size)

    return tuple(
        jax.tree.map(lambda rows, e=e, w=w, s=s: one(e, w, s, rows), each)
        for e, w, s, each in zip(edges, weights, starts, past, strict=True)
    )


def _write(rooms: PyTree, block: PyTree, at: Array, layout) -> PyTree:
    """Fill a block `(time, source)` into rows, in place."""
    at = at * layout.size
    return jax.tree.map(lambda room, x: _put(room, layout.flat(x), at, 1), rooms, block)


_put = lax.dynamic_update_slice_in_dim


def _filled(bars: PyTree, like: PyTree) -> PyTree:
    """Cotangents, with zeros for those that are None."""
    return jax.tree.map(lambda x, bar: jnp.zeros_like(x) if bar is None else bar, like, bars)


def _rows(x: Array) -> int:
    return x.shape[-2]


def _deep(x: Array, depth: int) -> Array:
    """Rows of zeros in front, up to a depth."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(max(depth - _rows(x), 0), 0), (0, 0)])


def _behind(x: Array, rows: int) -> Array:
    """Rows of zeros behind."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, rows), (0, 0)])


def _newest(x: Array, rows: int) -> Array:
    return x[..., _rows(x) - rows :, :]


def _taken(x: Array, first: Array, size: int) -> Array:
    """Rows from `first` on, or zeros where they are before all."""
    rows = lax.dynamic_slice_in_dim(x, jnp.maximum(first, 0), size, x.ndim - 2)
    return jnp.where(first >= 0, rows, 0)


def _is_edges(x: Any) -> bool:
    return isinstance(x, Edges)


# --- single runs and batches -----------------------------------------------------------------------


class _Layout(NamedTuple):
    """How arrays of a single run (`batch` is None) or of a batch are laid out."""

    batch: int | None

    @property
    def size(self) -> int:
        return self.batch or 1

    def over(self, fn, batched):
        """`fn` for the whole batch; `batched` says, an argument each, what has it in front."""
        if self.batch is None:
            return fn
        axes = jax.tree.map(lambda b: 0 if b else None, batched)
        return jax.vmap(fn, in_axes=axes)

    def spread(self, tree, batched):
        """Give the batch to every leaf."""
        if self.batch is None:
            return tree
        copies = lambda x, b: x if b else jnp.broadcast_to(x, (self.batch, *x.shape))  # noqa: E731
        return jax.tree.map(copies, tree, batched)

    def spread_last(self, weights, batched):
        """Weights that differ between runs with the batch behind; shared ones stay shared."""
        return jax.tree.map(lambda w, b: jnp.moveaxis(w, 0, -1) if b else w, weights, batched)

    def zeros(self, tree, batched):
        """Zeros for one cotangent a run."""
        front = () if self.batch is None else (self.batch,)
        like = lambda x, b: jnp.zeros(x.shape if b else (*front, *x.shape), x.dtype)  # noqa: E731
        return jax.tree.map(like, tree, batched)

    def first(self, weights):
        """The batch from behind to the front."""
        if self.batch is None:
            return weights
        return jax.tree.map(lambda w: jnp.moveaxis(w, -1, 0), weights)

    def minor(self, x):
        """`(time, source)` or `(batch, time, source)` as `(source, time, batch)`."""
        return x.T[:, :, None] if self.batch is None else x.transpose(2, 1, 0)

    def major(self, x):
        """The way back."""
        return x[:, :, 0].T if self.batch is None else x.transpose(2, 1, 0)

    def flat(self, x):
        """The same as `(source, time * batch)`, the past that windows are read from."""
        return self.minor(x).reshape(x.shape[-1], -1)

    def rows_out(self, flat):
        """`(source, time * batch)` with the batch in front."""
        if self.batch is None:
            return flat
        return flat.reshape(len(flat), -1, self.batch).transpose(2, 0, 1)

    def rows_in(self, x):
        """The way back."""
        return x if self.batch is None else x.transpose(1, 2, 0).reshape(x.shape[1], -1)

    def front(self, tree):
        """What a scan stacked, with the batch in front."""
        return tree if self.batch is None else jax.tree.map(lambda x: x.swapaxes(0, 1), tree)

    stacked = front

    def in_time(self, x):
        """Blocks `([batch,] count, steps, source)` as `([batch,] time, source)`."""
        return x.reshape(*x.shape[:-3], -1, x.shape[-1])


def _batched(run: Callable[..., Any], args: PyTree) -> Any:
    """`run(layout, batched, args)`, once for all runs of the `vmap`s around it."""
    leaves, structure = jax.tree.flatten(args)
    alone = jax.tree.map(lambda x: jax.tree.map(lambda _: _is_edges(x), x), args, is_leaf=_is_edges)

    def call(batch, batched, leaves):
        batched = jax.tree.unflatten(structure, batched)
        return run(_Layout(batch), batched, jax.tree.unflatten(structure, leaves))

    return with_batches(call, leaves, jax.tree.leaves(alone))
