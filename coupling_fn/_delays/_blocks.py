"""Run a system with delays block by block, with the adjoint of the whole run.

Forward, each block of steps gets its delayed sums from the past at once, and then steps. Reverse mode
saves the start of each block and its sums, and what was sent where a gradient needs it, and takes
the blocks backwards: what happens within a
block is differentiated by JAX, the delays by their adjoint, itself a delayed sum over the
cotangents to come (`_past.py`). So T steps of N regions need memory of O(T N); differentiating the scan
would keep what each edge carried, O(T N^2).

Arrays are `(time, source)`, with a batch in front if there is one; only rows, of which blocks and
windows are read, are `(source, time * batch)`. They are given room for a stretch of blocks, which is
filled in place, and then moved to the front. (A ring is copied at every turn: XLA does not write in
place where a loop both gathers from an array and updates it at an index that wraps.)
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero
from jax.sharding import Mesh

from .._core import PyTree, by_node, everywhere, with_batches
from ._plan import Blocks
from ._windows import Edges, transpose_weights

# `block(start, before, sums, number) -> (start, messages, sent, seen)`: from the state at step
# `number`, what was sent before it and the delayed sums of the steps after it: the next state, what
# each step sent, and the record.
Block = Callable[[PyTree, PyTree, PyTree, Array], tuple[PyTree, PyTree, PyTree, PyTree]]

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


def run_blocks(
    block: Block, given: Given, blocks: Blocks, close: dict[str, int], *, reverse: bool
) -> Any:
    """The state after the run, the last rows of `sent`, and what was seen, block by block.

    A block is handed as many rows of what was sent before it as `close` says, by name.

    With `reverse` the run has the adjoint above and no forward mode; without, JAX's own rules.
    """
    sums = tuple(
        jax.tree.map(lambda m, e=e: jnp.zeros((blocks.size, e[0].targets), m.dtype), messages)
        for e, messages in zip(given.edges, given.messages, strict=True)
    )
    # What the block reads of its surroundings must be an argument, to be batched and have a
    # gradient; and only what it reads, or cotangents of whole connections would be carried along.
    before = {key: given.sent[key][-1 - rows : -1] for key, rows in close.items()}
    block = eqx.filter_closure_convert(block, given.start, before, sums, given.number)
    consts, program = eqx.partition(block, eqx.is_array)

    def forward(args, save: Save):
        run = lambda layout, at, args: _forward(program, blocks, close, layout, at, args, save)  # noqa: E731
        return _batched(run, args, blocks.mesh)

    if not reverse:
        return forward((consts, given), "nothing")[:3]
    floats, others = eqx.partition((consts, given), eqx.is_inexact_array)

    @jax.custom_vjp
    def adjoint_run(floats, others):
        return forward(eqx.combine(floats, others), "nothing")[:3]

    def saving(floats, others):
        # Only what a gradient is asked for is carried backwards: the rest would cost as much. What is
        # saved has one structure whatever that is, since JAX remembers one for a program that is run
        # twice, the second time from a state that varies; so it is told by sizes.
        asked = jax.tree.map(lambda x: jnp.zeros(int(x.perturbed)), floats, is_leaf=_is_primal)
        floats, others = jax.tree.map(lambda x: x.value, (floats, others), is_leaf=_is_primal)
        save: Save = (
            "messages too"
            if any(map(len, jax.tree.leaves(asked[1].weights)))
            else "starts and sums"
        )
        *out, saved = forward(eqx.combine(floats, others), save)
        return tuple(out), (floats, others, asked, saved)

    def backward(kept, cotangents):
        floats, others, asked, saved = kept
        varying, fixed = eqx.partition(floats, jax.tree.map(lambda x: len(x) > 0, asked))
        kept = (varying, eqx.combine(fixed, others), saved, jax.tree.map(_cotangent, cotangents))
        run = lambda layout, at, args: _backward(program, blocks, close, layout, at, *args)  # noqa: E731
        # Zeros for the rest: JAX 0.6 remembers which ones are None, too.
        return _filled(_batched(run, kept, blocks.mesh), floats), None

    adjoint_run.defvjp(saving, backward, symbolic_zeros=True)
    return adjoint_run(floats, others)


def present_sums(edges, weights, messages: PyTree, size: int) -> PyTree:
    """The delayed sums at the present, from what was sent before it, rounded as in a run."""
    layout, depth = _Layout(None, None), _rows(jax.tree.leaves(messages)[0])
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


def _forward(program, blocks: Blocks, close, layout, at, args, save: Save):
    (consts, given), size, depth = args, blocks.size, blocks.depth
    block = layout.over(_caller(program), (at[0], True, True, True, at[1].number))
    start, messages, sent = layout.spread(given[:3], at[1][:3])
    weights = layout.spread_last(given.weights, at[1].weights)
    starts = _starts(given.edges, depth + blocks.stretch, depth, layout)

    def one(carry, inputs):
        start, (past, kept) = carry
        index, _ = inputs
        filled = index % blocks.together * size
        sums = _pull(given.edges, weights, past, _later(starts, filled, layout), size, layout)
        sums = jax.tree.map(layout.major, sums)
        before = _before(kept, close, depth + filled, layout)
        number = given.number + index * size
        after, messages, sent, seen = block(consts, start, before, sums, number)
        new = layout.gathered(messages), layout.own(sent)
        rows = _write((past, kept), new, depth + filled, layout)
        return (after, rows), (seen, None if save == "nothing" else (start, sums))

    rows = jax.tree.map(lambda x: _deep(x, depth), (messages, sent))
    rows = jax.tree.map(layout.flat, (layout.gathered(rows[0]), layout.own(rows[1])))
    after, (carried, kept), (seen, saved) = _run_stretches(one, start, rows, None, blocks, layout)
    present = depth + blocks.steps - 1
    last = {
        key: layout.rows(kept[key], present + 1 - _rows(x), _rows(x) - 1) for key, x in sent.items()
    }
    carried, kept = layout.rows_out((carried, {key: kept[key] for key in close}))
    if save != "messages too":
        carried = jax.tree.map(lambda x: x[..., :0], carried)
    return after, last, layout.front(seen), (layout.front(saved), (carried, kept))


def _backward(program, blocks: Blocks, close, layout, at, varying, fixed, saved, bars):
    size, depth, steps = blocks.size, blocks.depth, blocks.steps + blocks.beyond
    (vary, wanted), hold = varying, fixed[0]  # None where no cotangent is wanted
    given, at_given = eqx.combine(wanted, fixed[1]), eqx.combine(at[0][1], at[1][1])
    messages, sent = layout.spread(given[1:3], at_given[1:3])
    weights = layout.spread_last(given.weights, at_given.weights)
    ((starts, sums), rows), bars = layout.spread((saved, bars), at[2:])
    carried, kept = rows
    kept = layout.rows_in(kept)
    carried = layout.rows_in(carried) if jax.tree.leaves(wanted.weights) else None
    after_bar, last_bar, seen_bar = bars
    block_bar = layout.over(
        _block_bar(program), (at[0][0], at[1][0], True, True, True, at_given.number, True)
    )
    edges = jax.tree.map(lambda e: e.transposed(), given.edges, is_leaf=_is_edges)
    turned = jax.tree.map(transpose_weights, given.edges, weights, is_leaf=_is_edges)
    windows = _starts(edges, depth + blocks.stretch, depth, layout)
    carried_windows = carried and _starts(given.edges, depth + steps, depth, layout)
    kept_bar = {
        key: _sent_bar(bar, sent[key], depth + steps, blocks.beyond, layout)
        for key, bar in last_bar.items()
        if bar is not None or key in close
    }

    def one(carry, inputs):
        (start_bar, kept_bar, consts_bar, weights_bar), future = carry
        index, (start, sums, seen_bar) = inputs
        present = depth + index * size  # rows up to it were sent before this block
        # Cotangents of the sums to come, the latest first: time runs backwards here.
        filled = blocks.stretch - size - index % blocks.together * size
        messages_bar = _pull(edges, turned, future, _later(windows, filled, layout), size, layout)
        messages_bar = jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)
        sent_bar = {key: layout.rows(x, present, size) for key, x in kept_bar.items()}
        sent_bar = {key: sent_bar.get(key) for key in sent}
        bars = (start_bar, messages_bar, sent_bar, seen_bar)
        before, number = _before(kept, close, present, layout), given.number + index * size
        more, start_bar, before_bar, sums_bar = block_bar(
            vary, hold, start, before, sums, number, bars
        )
        kept_bar |= {
            key: layout.add_rows(kept_bar[key], bar, present - 1 - close[key])
            for key, bar in before_bar.items()
        }
        consts_bar = jax.tree.map(jnp.add, consts_bar, more)
        if carried is not None:
            at = _later(carried_windows, index * size, layout)
            weights_bar = _more_weights_bar(weights_bar, given.edges, carried, at, sums_bar, layout)
        backwards = jax.tree.map(lambda x: x[..., ::-1, :], sums_bar)
        future = _write(future, layout.gathered(backwards), depth + filled, layout)
        return ((start_bar, kept_bar, consts_bar, weights_bar), future), None

    future = jax.tree.map(lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), sums)
    inputs = layout.stacked((starts, sums, seen_bar))
    start_bar = _filled(after_bar, jax.tree.map(lambda x: x[0], inputs[0]))
    weights_bar = _no_weights_bar(wanted.weights, weights, given.edges, layout)
    zeros = (start_bar, kept_bar, layout.zeros(vary, at[0][0]), weights_bar)
    bars, future, _ = _run_stretches(one, zeros, future, inputs, blocks, layout, reverse=True)
    start_bar, kept_bar, consts_bar, weights_bar = bars
    future = jax.tree.map(lambda x: x[:, -depth * layout.size :], future)
    given_bar = wanted._replace(start=start_bar, weights=layout.first(weights_bar))
    if jax.tree.leaves(wanted.messages):
        read = _read_before(edges, turned, future, blocks, layout)
        read = jax.tree.map(lambda x, bar: _newest(bar, _rows(x)), messages, read)
        given_bar = given_bar._replace(messages=read)
    if jax.tree.leaves(wanted.sent):
        sent_bar = {
            key: layout.rows(x, depth - _rows(sent[key]), _rows(sent[key]))
            for key, x in kept_bar.items()
        }
        given_bar = given_bar._replace(sent={key: sent_bar.get(key) for key in sent})
    return consts_bar, given_bar


def _sent_bar(last_bar: Array | None, sent: Array, depth: int, beyond: int, layout) -> Array:
    """The cotangents of all that is sent in a run, as flat rows: as yet those of its last rows."""
    if last_bar is None:  # later blocks will add theirs, of what they were handed
        last_bar = jnp.zeros_like(sent[..., 1:, :])
    return layout.flat(_deep(_behind(last_bar, beyond + 1), depth))


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

    index = jnp.arange(blocks.stretches * blocks.together, dtype=jnp.int32)
    parts = (blocks.stretches, blocks.together)
    inputs = jax.tree.map(lambda x: x.reshape(*parts, *x.shape[1:]), (index, inputs))
    (carry, _), (out, filled) = lax.scan(stretch, (carry, rows), inputs, reverse=reverse)
    whole = lambda x, new: jnp.concatenate([x, *(new[::-1] if reverse else new)], 1)  # noqa: E731
    rows = jax.tree.map(whole, rows, filled)
    return carry, rows, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)


def _before(kept: dict[str, Array], close: dict[str, int], present, layout) -> dict[str, Array]:
    """What was sent in the steps before the present one, the last of so many rows."""
    return {key: layout.rows(kept[key], present - 1 - rows, rows) for key, rows in close.items()}


def _read_before(edges, turned, future, blocks: Blocks, layout) -> PyTree:
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
    return lambda consts, *args: eqx.combine(consts, program)(*args)


def _block_bar(program):
    def block_bar(varying, fixed, start, before, sums, number, bars):
        def floats(varying, start, before, sums):
            out = _caller(program)(eqx.combine(varying, fixed), start, before, sums, number)
            return eqx.filter(out, eqx.is_inexact_array)

        out, pull_back = jax.vjp(floats, varying, start, before, sums)
        return pull_back(_filled(bars, out))

    return block_bar


def _starts(edges, row: int, at: int, layout) -> PyTree:
    """Where the windows begin; refused where indices of 32 bits do not reach."""
    most = max((e.shape[1] for each in edges for e in each), default=0) * row * layout.size
    if most > np.iinfo(np.int32).max:
        raise ValueError(
            f"The past of this run has {most} numbers, too many to index with 32 bits. Run fewer at "
            "once (`sweep(chunk=...)`), or differentiate in parts (`simulate(checkpoint=...)`)."
        )
    return jax.tree.map(lambda e: e.starts(row, at, layout.size), edges, is_leaf=_is_edges)


def _later(starts: PyTree, steps: Array, layout) -> PyTree:
    return jax.tree.map(lambda start: start + steps * layout.size, starts)


def _pull(edges, weights, past, starts, size: int, layout) -> tuple[PyTree, ...]:
    """For each far coupling the sums of a block, `(target, steps, batch)`."""

    def one(edges, weights, starts, rows):
        width = size * layout.size
        first, *rest = [
            edge.pull(weight, rows, start, width, layout.size)
            for edge, weight, start in zip(edges, weights, starts, strict=True)
        ]
        return sum(rest, first).reshape(-1, size, layout.size)

    return tuple(
        jax.tree.map(lambda rows, e=e, w=w, s=s: one(e, w, s, rows), each)
        for e, w, s, each in zip(edges, weights, starts, past, strict=True)
    )


def _write(rows: PyTree, block: PyTree, at: Array, layout) -> PyTree:
    """Fill a block `(time, source)` into rows, in place."""
    put = lambda x, new: lax.dynamic_update_slice_in_dim(x, new, at * layout.size, 1)  # noqa: E731
    return jax.tree.map(lambda x, new: put(x, layout.flat(new)), rows, block)


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


def _is_edges(x: Any) -> bool:
    return isinstance(x, Edges)


# --- single runs and batches -----------------------------------------------------------------------


class _Layout(NamedTuple):
    """How arrays of a single run (`batch` is None) or of a batch are laid out, and on what mesh."""

    batch: int | None
    mesh: Mesh | None

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

    def own(self, tree):
        """`([batch,] time, source)`, with each device what its nodes sent."""
        return by_node(self.mesh, tree)

    def gathered(self, tree):
        """The same with each device all of it: what devices exchange once a block."""
        return everywhere(self.mesh, self.own(tree))

    def rows(self, flat, first, count):
        """Some rows of flat ones, as `([batch,] time, source)`."""
        part = lax.dynamic_slice_in_dim(flat, first * self.size, count * self.size, 1)
        return self.major(part.reshape(len(flat), count, self.size))

    def add_rows(self, flat, x, first):
        """Add `([batch,] time, source)` to some rows of flat ones."""
        part = lax.dynamic_slice_in_dim(flat, first * self.size, _rows(x) * self.size, 1)
        part = part + self.flat(x)
        return lax.dynamic_update_slice_in_dim(flat, part, first * self.size, 1)

    def rows_out(self, tree):
        """`(source, time * batch)` with the batch in front."""
        if self.batch is None:
            return tree
        out = lambda x: x.reshape(len(x), -1, self.batch).transpose(2, 0, 1)  # noqa: E731
        return jax.tree.map(out, tree)

    def rows_in(self, tree):
        """The way back."""
        if self.batch is None:
            return tree
        return jax.tree.map(lambda x: x.transpose(1, 2, 0).reshape(x.shape[1], -1), tree)

    def front(self, tree):
        """What a scan stacked, with the batch in front."""
        return tree if self.batch is None else jax.tree.map(lambda x: x.swapaxes(0, 1), tree)

    stacked = front

    def in_time(self, x):
        """Blocks `([batch,] count, steps, source)` as `([batch,] time, source)`."""
        return x.reshape(*x.shape[:-3], -1, x.shape[-1])


def _batched(run: Callable[..., Any], args: PyTree, mesh: Mesh | None) -> Any:
    """`run(layout, batched, args)`, once for all runs of the `vmap`s around it."""
    leaves, structure = jax.tree.flatten(args)
    alone = jax.tree.map(lambda x: jax.tree.map(lambda _: _is_edges(x), x), args, is_leaf=_is_edges)

    def call(batch, batched, leaves):
        batched = jax.tree.unflatten(structure, batched)
        return run(_Layout(batch, mesh), batched, jax.tree.unflatten(structure, leaves))

    return with_batches(call, leaves, jax.tree.leaves(alone))
