"""Run a system with delays block by block, with the adjoint of the whole run.

Forward, each block of steps gets its delayed sums from the past at once, and then steps. Reverse mode
saves the start of each block and its sums, and takes the blocks backwards: what happens within a
block is differentiated by JAX, the delays by their adjoint, itself a delayed sum over the
cotangents to come (`_past.py`). So T steps of N regions need memory of O(T N); differentiating the scan
would keep what each edge carried, O(T N^2).

Arrays are `(time, source)`, with a batch in front if there is one; only the past that is read
in windows is `(source, time * batch)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero

from ._batch import with_batches
from ._past import Edges, push, transpose_weights
from ._plan import Blocks
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
        # Only what a gradient is asked for is carried backwards: the rest would cost as much.
        varies = jax.tree.map(lambda x: x.perturbed, floats, is_leaf=_is_primal)
        floats, others = jax.tree.map(lambda x: x.value, (floats, others), is_leaf=_is_primal)
        varying, fixed = eqx.partition(floats, varies)
        *out, saved = forward(eqx.combine(floats, others), save=True)
        return tuple(out), (varying, eqx.combine(fixed, others), saved)

    def backward(kept, cotangents):
        run = lambda layout, at, args: _backward(program, blocks, layout, at, *args)  # noqa: E731
        return _batched(run, (*kept, jax.tree.map(_cotangent, cotangents))), None

    adjoint_run.defvjp(saving, backward, symbolic_zeros=True)
    return adjoint_run(floats, others)


def _is_primal(x: Any) -> bool:
    return isinstance(x, CustomVJPPrimal)


def _cotangent(x: Any) -> Array | None:
    if x.dtype == jax.dtypes.float0:
        return None
    return jnp.zeros(x.shape, x.dtype) if isinstance(x, SymbolicZero) else x


# --- the two loops ---------------------------------------------------------------------------------


def _forward(program, blocks, layout, at, consts, given, save):
    size, count, length = blocks
    block = layout.over(_caller(program), (at[0], True, True, at[1].number))
    start, messages, sent = layout.spread(given[:3], at[1][:3])
    weights = layout.spread_last(given.weights, at[1].weights)
    depth = _depth(messages)
    past = jax.tree.map(lambda x: layout.flat(_deep(x, depth)), messages)
    kept = {key: layout.flat(_deep(x, length)) for key, x in sent.items()}  # a ring
    starts = _starts(given.edges, depth, depth, layout)

    def one(carry, index):
        start, past, kept = carry
        place = (index * size) % length * layout.size
        sums = _pull(given.edges, weights, past, starts, size, layout)
        sums = jax.tree.map(layout.major, sums)
        after, messages, sent, seen = block(consts, start, sums, given.number + index * size)
        past = jax.tree.map(lambda p, x: push(p, layout.minor(x)), past, messages)
        kept = {key: _put(kept[key], place, layout.flat(x)) for key, x in sent.items()}
        return (after, past, kept), (seen, (start, sums) if save else None)

    index = jnp.arange(count, dtype=jnp.int32)
    (after, _, kept), (seen, saved) = lax.scan(one, (start, past, kept), index)
    turn = -((count * size) % length) * layout.size  # brings the ring's oldest column to the front
    last = {
        key: layout.major(layout.columns(jnp.roll(kept[key], turn, 1)))[
            ..., length - layout.rows(x) : length - 1, :
        ]
        for key, x in sent.items()
    }
    return after, last, layout.front(seen), layout.front(saved)


def _backward(program, blocks, layout, at, varying, fixed, saved, bars):
    size, count, length = blocks
    vary, _ = varying  # the block's constants that want a cotangent; None elsewhere
    (hold, given), (_, at_given) = eqx.combine(varying, fixed), eqx.combine(at[0], at[1])
    hold = fixed[0]
    messages, sent = layout.spread(given[1:3], at_given[1:3])
    weights = layout.spread_last(given.weights, at_given.weights)
    saved, (after_bar, last_bar, seen_bar) = layout.spread((saved, bars), at[2:])
    edges = jax.tree.map(lambda e: e.transposed(), given.edges, is_leaf=_is_edges)
    turned = jax.tree.map(transpose_weights, given.edges, weights, is_leaf=_is_edges)
    depth = _depth(messages)
    starts = _starts(edges, depth, depth, layout)
    block = layout.over(
        _block_bar(program), (at[0][0], at[1][0], True, True, at_given.number, True)
    )

    def one(carry, inputs):
        start_bar, future, kept, consts_bar = carry
        index, (start, sums), seen_bar = inputs
        messages_bar = _pull(edges, turned, future, starts, size, layout)
        messages_bar = jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)
        place, wide = (index * size) % length * layout.size, size * layout.size
        taken = {key: lax.dynamic_slice_in_dim(x, place, wide, 1) for key, x in kept.items()}
        sent_bar = {key: layout.major(layout.columns(x)) for key, x in taken.items()}
        kept = {key: _put(kept[key], place, jnp.zeros_like(x)) for key, x in taken.items()}
        bars = (start_bar, messages_bar, sent_bar, seen_bar)
        number = given.number + index * size
        messages, (more, start_bar, sums_bar) = block(vary, hold, start, sums, number, bars)
        consts_bar = jax.tree.map(jnp.add, consts_bar, more)
        future = jax.tree.map(lambda f, x: push(f, layout.minor(x)[:, ::-1]), future, sums_bar)
        return (start_bar, future, kept, consts_bar), (sums_bar, messages)

    # Cotangents of the sums to come, the latest first: time runs backwards here.
    future = jax.tree.map(
        lambda x: jnp.zeros((x.shape[-1], depth * layout.size), x.dtype), saved[1]
    )
    turn = ((count * size) % length) * layout.size
    kept = {
        key: jnp.roll(layout.flat(_deep(_with_last(x), length)), turn, 1)
        for key, x in last_bar.items()
    }
    consts_bar = layout.zeros(vary, at[0][0])
    index = jnp.arange(count, dtype=jnp.int32)
    inputs = (index, layout.stacked(saved), layout.stacked(seen_bar))
    carry, (sums_bar, passed) = lax.scan(
        one, (after_bar, future, kept, consts_bar), inputs, reverse=True
    )
    start_bar, future, kept, consts_bar = carry

    def before(future, _):
        """What the run read of the messages before it: the same loop, without steps."""
        messages_bar = _pull(edges, turned, future, starts, size, layout)
        future = jax.tree.map(
            lambda f: push(f, jnp.zeros((len(f), size, layout.size), f.dtype)), future
        )
        return future, jax.tree.map(lambda x: layout.major(x[:, ::-1]), messages_bar)

    _, past_bar = lax.scan(before, future, None, length=-(-depth // size))
    past_bar = jax.tree.map(lambda x: layout.in_time(x[::-1]), past_bar)
    messages_bar = jax.tree.map(
        lambda x, bar: bar[..., layout.rows(bar) - layout.rows(x) :, :], messages, past_bar
    )
    sent_bar = {
        key: layout.major(layout.columns(kept[key]))[..., length - layout.rows(x) :, :]
        for key, x in sent.items()
    }
    weights_bar = tuple(
        _weights_bar(e, w, m, p, s, blocks, layout) if jax.tree.leaves(wanted) else wanted
        for e, w, m, p, s, wanted in zip(
            given.edges, weights, messages, passed, sums_bar, varying[1].weights, strict=True
        )
    )
    bars = varying[1]._replace(
        start=start_bar, messages=messages_bar, sent=sent_bar, weights=weights_bar
    )
    return consts_bar, bars


def _weights_bar(edges, weights, messages, passed, sums_bar, blocks, layout):
    """The cotangents of the weights: what each edge carried, against what its sum was worth."""
    size, count, _ = blocks
    rows = _depth(messages)

    def whole(past, run):
        return jnp.concatenate([layout.flat(past), layout.flat(layout.in_time(run))], 1)

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
    def block_bar(varying, fixed, start, sums, number, bars):
        def floats(varying, start, sums):
            out = _caller(program)(eqx.combine(varying, fixed), start, sums, number)
            return eqx.filter(out, eqx.is_inexact_array)

        out, pull_back = jax.vjp(floats, varying, start, sums)
        return out[1], pull_back(bars)

    return block_bar


def _starts(edges, row: int, at: int, layout: "_Layout") -> PyTree:
    return jax.tree.map(lambda e: e.starts(row, at, layout.size), edges, is_leaf=_is_edges)


def _pull(edges, weights, past, starts, size, layout: "_Layout") -> tuple[PyTree, ...]:
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


def _depth(messages: PyTree) -> int:
    return max((x.shape[-2] for x in jax.tree.leaves(messages)), default=0)


def _deep(x: Array, depth: int) -> Array:
    """Rows in front up to a depth, which nothing reads."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(depth - x.shape[-2], 0), (0, 0)])


def _put(rows: Array, at: Array, block: Array) -> Array:
    return lax.dynamic_update_slice_in_dim(rows, block, at, 1)


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
        """Zeros for one cotangent a run."""
        front = () if self.batch is None else (self.batch,)
        like = lambda x, b: jnp.zeros(x.shape if b else (*front, *x.shape), x.dtype)  # noqa: E731
        return jax.tree.map(like, tree, batched)

    def rows(self, x):
        return x.shape[-2]

    def minor(self, x):
        """`(time, source)` or `(batch, time, source)` as `(source, time, batch)`."""
        return x.T[:, :, None] if self.batch is None else x.transpose(2, 1, 0)

    def major(self, x):
        """The way back."""
        return x[:, :, 0].T if self.batch is None else x.transpose(2, 1, 0)

    def flat(self, x):
        """The same as `(source, time * batch)`, the past that windows are read from."""
        return self.minor(x).reshape(x.shape[-1], -1)

    def columns(self, flat):
        """Flat rows as `(source, time, batch)`."""
        return flat.reshape(len(flat), -1, self.size)

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
    alone = jax.tree.map(lambda x: jax.tree.map(lambda _: _is_edges(x), x), args, is_leaf=_is_edges)

    def call(batch, batched, leaves):
        batched = jax.tree.unflatten(structure, batched)
        return run(_Layout(batch), batched, jax.tree.unflatten(structure, leaves))

    return with_batches(call, leaves, jax.tree.leaves(alone))
