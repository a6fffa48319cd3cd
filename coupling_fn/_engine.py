"""A network with delays, many steps at a time: what it does within a block of steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Block, Given, run_blocks
from ._link import Link, SeenLink, add
from ._network import Network, Params, State, origins_of, past_of, read
from ._past import edges_of
from ._plan import Blocks, fit_blocks
from ._types import PyTree


class HistoryNeeded(Exception):
    """A record wants the history, which blocks do not hold step by step."""


class _NoHistory(dict):
    def __getitem__(self, key):
        raise HistoryNeeded


def run_network(
    net: Network,
    state: State,
    params: Params,
    steps: int,
    record: Callable[[State], PyTree],
    every: int,
    *,
    reverse: bool,
) -> tuple[State, PyTree]:
    """What `simulate` returns for a network with delays; `steps` is at least 1."""
    links = net.links(params)
    records = []
    while steps:
        blocks = fit_blocks(
            _largest_block(links), steps, every, max(map(len, state.history.values()))
        )
        state, seen = _run(net, links, state, params, blocks, record, every, reverse)
        records.append(seen)
        steps -= blocks.size * blocks.count
    if len(records) == 1:
        return state, records[0]
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *records)


def _largest_block(links: tuple[Link, ...]) -> int:
    # A rule that sees every edge keeps (target, source) a step, for the length of a block.
    return min(8 if isinstance(link, SeenLink) else link.reach for link in links if _delayed(link))


def _delayed(link: Link) -> bool:
    return bool(link.near or link.far)


def _run(net, links, state, params, blocks: Blocks, record, every, reverse):
    origins = origins_of(links, state)
    rows = {
        link.key: jnp.concatenate([state.history[link.key], read(state.node, link.source)[None]])
        for link in links
        if link.key in state.history
    }
    signals = {link.key: link.source for link in links if link.key in rows}
    close: dict[str, int] = {}  # how far back the edges read that go step by step
    for link in links:
        if link.near:
            lag = len(rows[link.key]) - 1
            lag = lag if isinstance(link, SeenLink) else min(lag, link.reach - 1)
            close[link.key] = max(close.get(link.key, 0), lag)
    far = [(index, link) for index, link in enumerate(links) if link.far]

    def messages(index: int, link: Any, sent: Array) -> PyTree:
        return jax.vmap(lambda x: link.send(x, origins[index]))(sent)

    past = past_of(links, rows, origins, 0)
    # After 0 steps the past is that of the present: both stages of a scheme read on from there.
    recent = {key: rows[key][len(rows[key]) - 1 - lag : -1] for key, lag in close.items()}
    taps = [[edges_of(conn, lags) for conn, lags in link.far] for _, link in far]
    given = Given(
        start=(state.node, past, recent),
        messages=tuple(messages(n, link, rows[link.key][1:]) for n, link in far),
        sent=rows,
        weights=tuple(tuple(weights for weights, _ in each) for each in taps),
        edges=tuple(tuple(edges for _, edges in each) for each in taps),
        number=state.step,
    )
    block = _block(net, links, params, state, blocks.size, record, every, origins, signals, close)
    (x, *_), history, seen = run_blocks(block, given, blocks, reverse=reverse)
    step = state.step + blocks.size * blocks.count
    return state._replace(node=x, history=history, step=step), _in_order(seen, blocks.size, every)


def _block(net, links, params, state, size, record, every, origins, signals, close) -> Block:
    key = state.key
    far = [(index, link) for index, link in enumerate(links) if link.far]

    def block(start, sums, number):
        x, past, recent = start
        count = jnp.arange(size, dtype=number.dtype)
        kicks = jax.vmap(lambda n: net.kick(key, n, x, params))(number + count)
        room = {
            name: jnp.concatenate(
                [kept, read(x, signals[name])[None], jnp.zeros((size, kept.shape[1]), kept.dtype)]
            )
            for name, kept in recent.items()
        }

        def one(carry, inputs):
            x, past, room = carry
            n, kick, sums = inputs
            arriving = dict(zip((index for index, _ in far), sums, strict=True))
            after = tuple(
                add(
                    arriving.get(index),
                    link.delayed(room[link.key], close[link.key] + 1 + n, origins[index], far=False)
                    if link.key in room
                    else None,
                )
                for index, link in enumerate(links)
            )
            reads = (past, after)[: len(net.reads)]
            x = net.advance(links, x, number + n, params, reads, origins, kick)
            room = {
                name: lax.dynamic_update_index_in_dim(
                    kept, read(x, signals[name]), close[name] + 1 + n, 0
                )
                for name, kept in room.items()
            }
            return (x, after, room), x

        (x, past, room), xs = lax.scan(one, (x, past, room), (count, kicks, sums))
        recent = {name: kept[size : size + close[name]] for name, kept in room.items()}
        sent = {name: jax.vmap(lambda x, s=s: read(x, s))(xs) for name, s in signals.items()}
        messages = tuple(
            jax.vmap(lambda s, link=link, index=index: link.send(s, origins[index]))(sent[link.key])
            for index, link in far
        )
        picked = slice(min(every, size) - 1, None, min(every, size))
        seen = jax.vmap(lambda x, n: record(state._replace(node=x, history=_NoHistory(), step=n)))(
            jax.tree.map(lambda x: x[picked], xs), (number + count + 1)[picked]
        )
        if any(isinstance(leaf, _NoHistory) for leaf in jax.tree.leaves(seen)):
            raise HistoryNeeded
        return (x, past, recent), messages, sent, seen

    return block


def _in_order(seen: PyTree, size: int, every: int) -> PyTree:
    """The records of all blocks in one row; of blocks shorter than `every`, those at its end."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), seen)
    skip = max(every // size, 1)
    return jax.tree.map(lambda x: x[skip - 1 :: skip], flat)
