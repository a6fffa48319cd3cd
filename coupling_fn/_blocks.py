"""Run a system with delays block by block, with the adjoint of the whole run.

Forward, each block of steps gets its delayed sums from rings at once, and then steps. Reverse mode
saves the start of each block and its sums, and takes the blocks backwards: what happens within a
block is differentiated by JAX, the delays by their adjoint, itself a delayed sum over a ring of
cotangents (`_ring.py`). So T steps of N regions need memory of O(T N); differentiating the scan
would keep what each edge carried, O(T N^2).

Arrays are `(time, source)`, with a batch in front if there is one; only rings are batch-minor.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from ._batch import with_batches
from ._plan import Blocks
from ._ring import Edges, make_ring, transpose_weights, write
from ._types import PyTree

# `block(start, sums, number) -> (start, messages, sent, seen)`: from the state at step `number` and
# the delayed sums of the steps after it: the next state, what each step sent, and the record.
Block = Callable[[PyTree, PyTree, Array], tuple[PyTree, PyTree, PyTree, PyTree]]


class Given(NamedTuple):
    """What a run starts from.

    For each far coupling its messages so far, a pytree of `(lag, source)` that ends with the
    present, and the weights and edges of each of its taps; and what else has to be remembered of
    what was sent, `(lag + 1, source)`.
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

    def forward(args, save=False):
        run = lambda layout, at, args: _forward(program, blocks, layout, at, *args, save)  # noqa: E731
        return _batched(run, args)

    if not reverse:
        return forward((consts, given))[:3]
    floats, others = eqx.partition((consts, given), eqx.is_inexact_array)

    @jax.custom_vjp
    def adjoint_run(floats, others):
        return forward(eqx.combine(floats, others))[:3]

    def saving(floats, others):
        *out, saved = forward(eqx.combine(floats, others), save=True)
        return tuple(out), (floats, others, saved)

    def backward(kept, cotangents):
        floats, others, saved = kept
        cotangents = jax.tree.map(lambda x: None if x.dtype == jax.dtypes.float0 else x, cotangents)
        run = lambda layout, at, args: _backward(program, blocks, layout, at, *args)  # noqa: E731
        args = (*eqx.combine(floats, others), saved, cotangents)
        return _batched(run, args), None

    adjoint_run.defvjp(saving, backward)
    return adjoint_run(floats, others)


# --- the two loops ---------------------------------------------------------------------------------


def _forward(program, blocks, layout, at, consts, given, save):
    size, count, length = blocks
    block = layout.over(_caller(program), (at[0], True, True, at[1].number))
    start, messages, sent = layout.spread(given[:3], at[1][:3])
    weights = layout.spread_last(given.weights, at[1].weights)
    rings = jax.tree.map(lambda x: make_ring(layout.minor(x), length), messages)
    once = {key: make_ring(layout.minor(x), length, twice=False) for key, x in sent.items()}
    starts = _starts(given.edges, 2 * length, length, layout)

    def one(carry, index):
        start, rings, once = carry
        place = (index * size) % length
        sums = _pull(given.edges, weights, rings, starts, place, size, layout)
        sums = jax.tree.map(layout.major, sums)
        after, messages, sent, seen = block(consts, start, sums, given.number + index * size)
        rings = jax.tree.map(lambda r, x: write(r, place, layout.minor(x)), rings, messages)
        once = {
            key: write(once[key], place, layout.minor(x), twice=False) for key, x in sent.items()
        }
        return (after, rings, once), (seen, (start, sums) if save else None)

    index = jnp.arange(count, dtype=jnp.int32)
    (after, _, once), (seen, saved) = lax.scan(one, (start, rings, once), index)
    turn = -((count * size) % length) * layout.size  # brings the ring's oldest column to the front
    last = {
        key: layout.major(layout.columns(jnp.roll(once[key], turn, 1)))[
            ..., length - layout.rows(x) : length - 1, :
        ]
        for key, x in sent.items()
    }
    return after, last, layout.front(seen), layout.front(saved)


def _backward(program, blocks, layout, at, consts, given, saved, bars):
    size, count, length = blocks
    messages, sent = layout.spread(given[1:3], at[1][1:3])
    weights = layout.spread_last(given.weights, at[1].weights)
    saved, (after_bar, last_bar, seen_bar) = layout.spread((saved, bars), at[2:])
    edges = jax.tree.map(lambda e: e.transposed(), given.edges, is_leaf=_is_edges)
    turned = jax.tree.map(transpose_weights, given.edges, weights, is_leaf=_is_edges)
    starts = _starts(edges, 2 * length, length, layout)
    block = layout.over(_block_bar(program), (at[0], True, True, at[1].number, True))

    def one(carry, inputs):
        start_bar, rings, once, consts_bar = carry
        index, (start, sums), seen_bar = inputs
        # In the rings of cotangents time runs backwards, from the end of the run.
        place, place_once = ((count - 1 - index) * size) % length, (index * size) % length
        messages_bar = _pull(edges, turned, rings, starts, place, size, layout)
        messages_bar = jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)
        wide = size * layout.size
        sent_bar = {
            key: layout.major(
                layout.columns(lax.dynamic_slice_in_dim(x, place_once * layout.size, wide, 1))
            )
            for key, x in once.items()
        }
        once = {
            key: write(x, place_once, jnp.zeros((len(x), size, layout.size), x.dtype), twice=False)
            for key, x in once.items()
        }
        bars = (start_bar, messages_bar, sent_bar, seen_bar)
        number = given.number + index * size
        messages, (more, start_bar, sums_bar) = block(consts, start, sums, number, bars)
        consts_bar = jax.tree.map(jnp.add, consts_bar, more)
        rings = jax.tree.map(
            lambda r, x: write(r, place, layout.minor(x)[:, ::-1]), rings, sums_bar
        )
        return (start_bar, rings, once, consts_bar), (sums_bar, messages)

    rings = jax.tree.map(
        lambda x: jnp.zeros((x.shape[-1], 2 * length * layout.size), x.dtype), saved[1]
    )
    turn = ((count * size) % length) * layout.size
    once = {
        key: jnp.roll(make_ring(layout.minor(_with_last(x)), length, twice=False), turn, 1)
        for key, x in last_bar.items()
    }
    consts_bar = layout.zeros(consts, at[0])
    index = jnp.arange(count, dtype=jnp.int32)
    inputs = (index, layout.stacked(saved), layout.stacked(seen_bar))
    carry, (sums_bar, passed) = lax.scan(
        one, (after_bar, rings, once, consts_bar), inputs, reverse=True
    )
    start_bar, rings, once, consts_bar = carry

    def past(rings, index):
        """What the run read of the messages before it: the same loop, without steps."""
        place = (index * size) % length
        messages_bar = _pull(edges, turned, rings, starts, place, size, layout)
        rings = jax.tree.map(
            lambda r: write(r, place, jnp.zeros((len(r), size, layout.size), r.dtype)), rings
        )
        return rings, jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)

    rows = max((layout.rows(x) for x in jax.tree.leaves(messages)), default=0)
    index = count + jnp.arange(-(-rows // size), dtype=jnp.int32)
    _, past_bar = lax.scan(past, rings, index)
    past_bar = jax.tree.map(lambda x: layout.in_time(x[::-1]), past_bar)
    messages_bar = jax.tree.map(
        lambda x, bar: bar[..., layout.rows(bar) - layout.rows(x) :, :], messages, past_bar
    )
    sent_bar = {
        key: layout.major(layout.columns(once[key]))[..., length - layout.rows(x) :, :]
        for key, x in sent.items()
    }
    weights_bar = tuple(
        _weights_bar(e, w, m, p, s, blocks, layout)
        for e, w, m, p, s in zip(given.edges, weights, messages, passed, sums_bar, strict=True)
    )
    edges_bar = eqx.filter(given.edges, eqx.is_inexact_array)  # lags are whole: they have none
    return consts_bar, Given(start_bar, messages_bar, sent_bar, weights_bar, edges_bar, None)


def _weights_bar(edges, weights, messages, passed, sums_bar, blocks, layout):
    """The cotangents of the weights: what each edge carried, against what its sum was worth."""
    size, count, _ = blocks
    rows = max(layout.rows(x) for x in jax.tree.leaves(messages))

    def whole(past, run):
        both = jnp.concatenate([layout.minor(past), layout.minor(layout.in_time(run))], 1)
        return both.reshape(len(both), -1)

    carried = jax.tree.map(whole, messages, passed)
    starts = [e.starts(rows + size * count, rows, layout.size) for e in edges]

    def one(bars, inputs):
        index, sums_bar = inputs
        for tap, (edge, start) in enumerate(zip(edges, starts, strict=True)):
            for past, worth in zip(
                jax.tree.leaves(carried), jax.tree.leaves(sums_bar), strict=True
            ):
                worth = layout.minor(worth).reshape(edge.targets, -1)
                begin = start + index * (size * layout.size)
                bar = edge.correlate(worth, past, begin, layout.batch is not None, layout.size)
                bars = (*bars[:tap], bars[tap] + bar, *bars[tap + 1 :])
        return bars, None

    shape = lambda w: w.shape if w.ndim > edges[0].ndim else (*w.shape, layout.size)  # noqa: E731
    zeros = tuple(jnp.zeros(shape(w) if layout.batch else w.shape, w.dtype) for w in weights)
    index = jnp.arange(count, dtype=jnp.int32)
    bars, _ = lax.scan(one, zeros, (index, sums_bar))
    return tuple(jnp.moveaxis(bar, -1, 0) if layout.batch else bar for bar in bars)


def _caller(program):
    return lambda consts, start, sums, number: eqx.combine(consts, program)(start, sums, number)


def _block_bar(program):
    def block_bar(consts, start, sums, number, bars):
        varying, fixed = eqx.partition(consts, eqx.is_inexact_array)

        def floats(varying, start, sums):
            out = _caller(program)(eqx.combine(varying, fixed), start, sums, number)
            return eqx.filter(out, eqx.is_inexact_array)

        out, pull_back = jax.vjp(floats, varying, start, sums)
        return out[1], pull_back(bars)

    return block_bar


def _starts(edges, row: int, at: int, layout: "_Layout") -> PyTree:
    return jax.tree.map(lambda e: e.starts(row, at, layout.size), edges, is_leaf=_is_edges)


def _pull(edges, weights, rings, starts, place, size, layout: "_Layout") -> tuple[PyTree, ...]:
    """For each far coupling the sums of a block, `(target, steps, batch)`."""

    def one(edges, weights, starts, ring):
        total = 0.0
        for edge, weight, start in zip(edges, weights, starts, strict=True):
            begin = start + place * layout.size
            total = total + edge.pull(weight, ring, begin, size * layout.size, layout.size)
        return total.reshape(-1, size, layout.size)

    return tuple(
        jax.tree.map(lambda ring, e=e, w=w, s=s: one(e, w, s, ring), rings)
        for e, w, s, rings in zip(edges, weights, starts, rings, strict=True)
    )


def _with_last(x: Array) -> Array:
    """Rows of cotangents, with that of the present, which nothing reads, behind them."""
    return jnp.concatenate([x, jnp.zeros_like(x[..., :1, :])], -2)


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
        """Zeros for one cotangent a run; None where there is none."""
        front = () if self.batch is None else (self.batch,)

        def like(x, b):
            return jnp.zeros(x.shape if b else (*front, *x.shape), x.dtype)

        return jax.tree.map(
            lambda x, b: like(x, b) if eqx.is_inexact_array(x) else None, tree, batched
        )

    def rows(self, x):
        return x.shape[-2]

    def minor(self, x):
        """`(time, source)` or `(batch, time, source)` as `(source, time, batch)`."""
        return x.T[:, :, None] if self.batch is None else x.transpose(2, 1, 0)

    def major(self, x):
        """The way back."""
        return x[:, :, 0].T if self.batch is None else x.transpose(2, 1, 0)

    def columns(self, ring):
        return ring.reshape(len(ring), -1, self.size)

    def front(self, tree):
        """What a scan stacked, with the batch in front."""
        return tree if self.batch is None else jax.tree.map(lambda x: x.swapaxes(0, 1), tree)

    stacked = front

    def in_time(self, x):
        """Stacked blocks `(count, [batch,] steps, source)` as `([batch,] time, source)`."""
        x = self.front(x)
        return x.reshape(*x.shape[:-3], -1, x.shape[-1])


def _batched(run: Callable[..., Any], args: PyTree) -> Any:
    """`run(layout, batched, args)`, once for all runs of the `vmap`s around it."""
    leaves, structure = jax.tree.flatten(args)
    alone = jax.tree.map(
        lambda x: jax.tree.map(lambda _: _is_edges(x), x), args, is_leaf=_is_edges
    )

    def call(batch, batched, leaves):
        batched = jax.tree.unflatten(structure, batched)
        return run(_Layout(batch), batched, jax.tree.unflatten(structure, leaves))

    return with_batches(call, leaves, jax.tree.leaves(alone))
