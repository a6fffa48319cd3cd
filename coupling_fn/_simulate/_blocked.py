"""A network with delays, many steps at a time: what it does within a block of steps."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import PyTree, by_node, everywhere, pack, read, repack
from .._delays import (
    SHORTEST_BLOCK,
    Block,
    Blocks,
    Given,
    edges_of,
    fit_blocks,
    present_sums,
    run_blocks,
)
from .._network import Link, Network, Params, SeparableLink, State, add, origins_of


class HistoryNeeded(Exception):
    """A record wants the history, which blocks do not hold step by step."""


class _NoHistory(Mapping):
    """Raises however it is looked at, also as a part of what a record returns."""

    def _raise(self, *_: Any) -> Any:
        raise HistoryNeeded

    __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __eq__ = _raise
    get = keys = values = items = _raise


jax.tree_util.register_pytree_node(_NoHistory, _NoHistory._raise, _NoHistory._raise)


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
    net.check_past(state, links)
    origins = origins_of(links, state)
    past = state.history.values()
    lag, sources = (max(x.shape[axis] for x in past) for axis in (0, 1))
    blocks = fit_blocks(_block_size(net, links), steps, lag, sources)._replace(mesh=net.mesh)
    rows = {
        link.key: jnp.concatenate([state.history[link.key], read(state.node, link.source)[None]])
        for link in links
        if link.key in state.history
    }
    close = _close(links, rows)
    far = _far(links)
    taps = [[edges_of(conn, lags, net.mesh) for conn, lags in link.far] for _, link in far]
    edges = tuple(tuple(edges for _, edges in each) for each in taps)
    weights = tuple(tuple(weights for weights, _ in each) for each in taps)

    # What each far link sent until now, by its rule.
    messages = tuple(
        jax.vmap(lambda x, link=link, origin=origins[i]: link.send(x, origin))(rows[link.key])
        for i, link in far
    )
    before = jax.tree.map(lambda x: x[:-1], messages)
    arriving = tuple(
        present_sums(*each, blocks.size) for each in zip(edges, weights, before, strict=True)
    )
    packed, unpack = pack(state.node)
    packed = by_node(net.mesh, packed)
    given = Given(
        start=(packed, state.noise, arriving),
        messages=jax.tree.map(lambda x: x[1:], messages),
        sent=rows,
        weights=weights,
        edges=edges,
        number=state.step,
    )
    block = _block(net, links, params, state, blocks, record, every, origins, close)
    (x, noise, _), history, seen = run_blocks(block, given, blocks, close, reverse=reverse)
    last = state._replace(node=unpack(x), history=history, step=state.step + steps, noise=noise)
    return last, _in_order(seen, blocks, every)


def _far(links: tuple[Link, ...]) -> list[tuple[int, SeparableLink]]:
    """The links, each with its place, of which some edges go a block at a time."""
    each = enumerate(links)
    return [(index, link) for index, link in each if isinstance(link, SeparableLink) and link.far]


def _block_size(net: Network, links: tuple[Link, ...]) -> int:
    # What each edge carries in a block is kept for its derivative where all go step by step.
    return SHORTEST_BLOCK if any(link.near and not link.far for link in links) else net.block


def _close(links: tuple[Link, ...], rows: dict[str, Array]) -> dict[str, int]:
    """How far back the edges read that go step by step, for each source that has such."""
    close: dict[str, int] = {}
    for link in links:
        if link.near:
            lag = min(link.close, len(rows[link.key]) - 1)
            close[link.key] = max(close.get(link.key, 0), lag)
    return close


def _nearby(links, origins, rows: dict[str, Array], now: dict[str, Any]) -> dict[int, PyTree]:
    """What arrives over the edges that go step by step, at the time of row `now`."""
    return {
        index: link.delayed(rows[link.key], now[link.key], origins[index], far=False)
        for index, link in enumerate(links)
        if link.near
    }


def _block(
    net: Network, links, params: Params, state: State, blocks: Blocks, record, every, origins, close
) -> Block:
    size, begin, end = blocks.size, state.step, state.step + blocks.steps
    far = _far(links)
    signals = {link.key: link.source for link in links if link.near or link.far}
    _, unpack = pack(state.node)

    def arriving_at(sums: tuple[PyTree, ...], nearby: dict[int, PyTree]) -> tuple[PyTree, ...]:
        of_far = dict(zip((index for index, _ in far), sums, strict=True))
        return tuple(add(of_far.get(i), nearby.get(i)) for i in range(len(links)))

    def block(start, before, sums, number):
        packed, noise, arriving = start
        packed = by_node(net.mesh, packed)
        count = jnp.arange(size, dtype=number.dtype)
        x = unpack(packed)
        kicks = jax.vmap(lambda n: net.noise_increment(state.key, n, x, params))(number + count)
        row = jax.tree.map(lambda now, then: jnp.concatenate([now[None], then]), arriving, sums)
        far_reads = tuple(
            jax.tree.map(lambda x, ahead=ahead: x[ahead : ahead + size], row) for ahead in net.reads
        )
        room = {
            name: everywhere(
                net.mesh,
                jnp.concatenate(
                    [
                        kept,
                        read(x, signals[name])[None],
                        jnp.zeros((size, kept.shape[1]), kept.dtype),
                    ]
                ),
            )
            for name, kept in before.items()
        }
        nearby = _nearby(links, origins, room, close)

        def one(carry, inputs):
            packed, noise, nearby, room = carry
            n, kick, far_reads = inputs
            after = _nearby(
                links, origins, room, {name: lag + 1 + n for name, lag in close.items()}
            )
            past = [arriving_at(*each) for each in zip(far_reads, (nearby, after), strict=False)]
            # Beyond the end the state stands still; and time, where input is perhaps not defined.
            at = jnp.minimum(number + n, end - 1) if blocks.beyond else number + n
            later = net.update_noise(noise, kick, params)
            paths = (noise, later)
            x = net.advance(links, unpack(packed), at, params, past, origins, kick, paths)
            moved = (repack(x, packed), later)
            if blocks.beyond:
                on = number + n < end
                stay = lambda new, old: jnp.where(on, new, old)  # noqa: E731
                moved = jax.tree.map(stay, moved, (packed, noise))
            room = {
                name: lax.dynamic_update_index_in_dim(
                    kept, everywhere(net.mesh, read(x, signals[name])), close[name] + 1 + n, 0
                )
                for name, kept in room.items()
            }
            return (*moved, after, room), moved

        # A step worked out again backwards costs less than what it would leave to be read.
        one = one if close else jax.checkpoint(one, prevent_cse=False)
        carry = (packed, noise, nearby, room)
        (packed, noise, *_), passed = lax.scan(one, carry, (count, kicks, far_reads))
        xs, paths = jax.vmap(unpack)(passed[0]), passed[1]
        sent = {name: jax.vmap(lambda x, s=s: read(x, s))(xs) for name, s in signals.items()}
        messages = tuple(
            jax.vmap(lambda s, link=link, index=index: link.send(s, origins[index]))(sent[link.key])
            for index, link in far
        )
        picked = _recorded(number - begin, size, every)
        xs, paths, numbers = jax.tree.map(lambda x: x[picked], (xs, paths, number + count + 1))
        now = lambda x, path, n: state._replace(  # noqa: E731
            node=x, history=_NoHistory(), step=n, noise=path
        )
        seen = jax.vmap(lambda *each: record(now(*each)))(xs, paths, numbers)
        start = (packed, noise, jax.tree.map(lambda x: x[-1], sums))
        return start, messages, sent, seen

    return block


def _recorded(done: Array, size: int, every: int) -> Any:
    """The steps of a block to record, after so many steps; the last ones may stand for none."""
    if size % every == 0:
        return slice(every - 1, None, every)
    if every % size == 0:
        return slice(size - 1, None)
    first = every - 1 - done % every
    return jnp.minimum(first + every * jnp.arange(-(-size // every), dtype=first.dtype), size - 1)


def _in_order(seen: PyTree, blocks: Blocks, every: int) -> PyTree:
    """The records of all blocks in one row, without those that stand for none."""
    block, step = np.divmod(every * np.arange(1, blocks.steps // every + 1) - 1, blocks.size)
    first = every - 1 - block * blocks.size % every
    place = block * -(-blocks.size // every) + (step - first) // every
    apart = np.unique(np.diff(place))
    even = slice(place[0], place[-1] + 1, *apart) if len(apart) < 2 else place
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[even], seen)
