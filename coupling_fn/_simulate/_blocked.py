"""A network with delays, a block of steps at a time: what happens within a block.

`_delays` computes the delayed sums of blocked edges for a whole block and hands them to `_Block`,
which takes the steps. Stepwise edges are read within the block (`_stepwise.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import PyTree, by_node, pack, read, repack, scan
from .._delays import (
    STEPWISE_BLOCK,
    BlockInput,
    BlockOutput,
    RunInput,
    RunPlan,
    delayed_edges,
    plan_run,
    run_blocks,
    sums_at_present,
)
from .._network import (
    Drive,
    Functions,
    Link,
    Network,
    Params,
    SeparableLink,
    State,
    add,
    advance,
    buffers_of,
    functions_in_step,
    inputs_at,
    links_of,
    noise_increment,
    read_steps,
    references_of,
    require_fitting_state,
    update_noise,
)
from ..noise._increments import NoiseIncrement
from ._records import Quantities, Record, Unread, reads_history
from ._stepwise import Buffers, StepwiseEdges, stepwise_lags


def run_network(
    net: Network,
    state: State,
    params: Params,
    steps: int,
    record: Record,
    every: int,
    *,
    reverse: bool,
) -> tuple[State, PyTree]:
    """Return what `simulate` returns, for a network with delays and at least one step."""
    links = links_of(net, params)
    require_fitting_state(net, state, links)
    references, buffers = references_of(links, state), buffers_of(links, state)
    lag, sources = (max(x.shape[axis] for x in state.history.values()) for axis in (0, 1))
    plan = plan_run(_block_sizes(net, links), steps, lag, sources)
    recorded = (
        {name: len(x) for name, x in state.history.items()} if reads_history(record, state) else {}
    )
    packed, unpack = pack(state.node)
    blocked = _blocked_links(links)
    groups = [
        [delayed_edges(group.conns, group.lags, net.mesh, group.reach) for group in link.blocked]
        for _, link in blocked
    ]
    weights = tuple(tuple(weights for weights, _ in each) for each in groups)
    edges = tuple(tuple(edges for _, edges in each) for each in groups)
    plan = plan._replace(
        levels=tuple(
            tuple(_level(plan.sizes, group.block_size) for group in link.blocked)
            for _, link in blocked
        ),
        mesh=net.mesh,
    )
    block = _Block(
        net=net,
        links=links,
        params=params,
        start=state,
        references=references,
        plan=plan,
        stepwise=stepwise_lags(links, buffers),
        recorded=recorded,
        record=record,
        every=every,
        unpack=unpack,
    )
    stepwise = block.stepwise_edges
    messages = tuple(
        _messages(link, buffers[link.signals.history], references[i]) for i, link in blocked
    )
    before = jax.tree.map(lambda x: x[:-1], messages)
    sums_now = sums_at_present(edges, weights, before, plan)
    start = RunInput(
        state=_BlockState(
            by_node(net.mesh, packed), state.noise, sums_now, stepwise.rolling(buffers)
        ),
        messages=jax.tree.map(lambda x: x[1:], messages),
        source_states=buffers,
        weights=weights,
        edges=edges,
        step=state.step,
    )

    def run_block(inputs: BlockInput) -> BlockOutput:
        return block(inputs)

    end, history, records = run_blocks(
        run_block, start, plan, stepwise.handed | recorded, reverse=reverse
    )
    last = state._replace(
        node=unpack(end.node), history=history, step=state.step + steps, noise=end.noise
    )
    return last, _in_order(records, plan, every)


def _block_sizes(net: Network, links: tuple[Link, ...]) -> tuple[int, ...]:
    # A coupling without blocked edges keeps, for its derivative, what each edge carried in a block.
    if not any(link.stepwise and not link.blocked for link in links):
        return net.block_sizes
    blocked = any(link.blocked for link in links)
    sizes = {min(size, STEPWISE_BLOCK) for size in net.block_sizes if blocked} or {STEPWISE_BLOCK}
    return tuple(sorted(sizes, reverse=True))


def _blocked_links(links: tuple[Link, ...]) -> list[tuple[int, SeparableLink]]:
    each = enumerate(links)
    return [(i, link) for i, link in each if isinstance(link, SeparableLink) and link.blocked]


def _level(sizes: tuple[int, ...], block_size: int) -> int:
    """Return which of the sizes is the largest that fits into a block."""
    return next(level for level, size in enumerate(sizes) if size <= block_size)


def _messages(link: SeparableLink, source: Array, reference: Array | None) -> PyTree:
    """Return the messages of all times of `(time, source)`."""
    return jax.vmap(lambda x: link.send(x, reference))(source)


class _BlockState(NamedTuple):
    """What a block leaves to the next.

    Attributes:
        node: the nodes, packed.
        noise: the state of the noise.
        sums: the blocked delayed sums at the present.
        rolling: the newest times of what stepwise edges read.
    """

    node: PyTree
    noise: dict[str, Array]
    sums: tuple[PyTree, ...]
    rolling: Buffers


class _Carry(NamedTuple):
    """What the steps of a block carry; `stepwise_sums` are those at the present, by number of link."""

    node: PyTree
    noise: dict[str, Array]
    stepwise_sums: dict[int, PyTree]
    buffers: Buffers


class _StepInput(NamedTuple):
    """What a step gets: its number in the block, its noise, and the delayed sums of blocked links.

    Functions of time are computed for all steps of a block at once, too: one by one they cost several
    times as much as the rest of a step.
    """

    number: Array
    increment: NoiseIncrement
    blocked_sums: tuple[tuple[PyTree, ...], ...]  # at the start of the step, and at its end
    functions: dict[float, Functions]


class _Block(NamedTuple):
    """What happens within a block of steps.

    Attributes:
        net: the network.
        links: its couplings.
        params: its parameters.
        start: the state that the run starts from.
        references: what the links of shift-invariant rules subtract from states.
        plan: how the run is cut into blocks.
        stepwise: how far back stepwise edges read, by source.
        recorded: how far back the histories reach that a record reads; empty if it reads none.
        record: what is recorded of a state.
        every: how many steps lie between two records.
        unpack: the way from packed nodes to their state.
    """

    net: Network
    links: tuple[Link, ...]
    params: Params
    start: State
    references: tuple[Array | None, ...]
    plan: RunPlan
    stepwise: dict[str, int]
    recorded: dict[str, int]
    record: Record
    every: int
    unpack: Callable[[PyTree], PyTree]

    @property
    def blocked(self) -> list[tuple[int, SeparableLink]]:
        """The links, each with its number, that have blocked edges."""
        return _blocked_links(self.links)

    @property
    def sources(self) -> dict[str, Any]:
        """The signal of each delayed source, by the name of its history."""
        delayed = (link for link in self.links if link.stepwise or link.blocked)
        return {link.signals.history: link.signals.source for link in delayed}

    @property
    def stepwise_edges(self) -> StepwiseEdges:
        signals = {name: self.sources[name] for name in self.stepwise}
        links = {i: link for i, link in enumerate(self.links) if link.stepwise}
        return StepwiseEdges(links, self.references, self.stepwise, signals, self.net.mesh)

    def __call__(self, inputs: BlockInput) -> BlockOutput:
        """Take the steps of a block."""
        net, size = self.net, self.plan.block_size
        packed, noise, sums_now, rolling = inputs.state
        packed = by_node(net.mesh, packed)
        count = jnp.arange(size, dtype=inputs.step.dtype)
        x0 = self.unpack(packed)
        increments = jax.vmap(lambda n: noise_increment(net, self.start.key, n, x0, self.params))(
            inputs.step + count
        )
        functions = jax.vmap(
            lambda n: functions_in_step(net, self.params, self._within_run(n), x0)
        )(inputs.step + count)
        sums = jax.tree.map(
            lambda now, then: jnp.concatenate([now[None], then]), sums_now, inputs.sums
        )
        blocked_sums = tuple(
            jax.tree.map(lambda x, ahead=ahead: x[ahead : ahead + size], sums)
            for ahead in read_steps(net)
        )
        stepwise = self.stepwise_edges
        buffers = stepwise.buffers(rolling, inputs.before, x0, size)
        stepwise_sums = stepwise.sums(buffers, self.stepwise)

        def one(carry, inputs_of_step):
            return self._step(inputs.step, carry, inputs_of_step)

        # Where no buffer has room for a block, a step computed again in the backward pass costs
        # less than reading what it would leave.
        one = one if stepwise.handed else jax.checkpoint(one, prevent_cse=False)
        carry = _Carry(packed, noise, stepwise_sums, buffers)
        carry, ((packed_after, noise_after), stepwise_after) = scan(
            one, carry, _StepInput(count, increments, blocked_sums, functions)
        )
        xs = jax.vmap(self.unpack)(packed_after)
        source_states = {
            name: jax.vmap(lambda x, signal=signal: read(x, signal))(xs)
            for name, signal in self.sources.items()
        }
        messages = tuple(
            _messages(link, source_states[link.signals.history], self.references[i])
            for i, link in self.blocked
        )
        picked = _recorded(inputs.step - self.start.step, size, self.every)
        histories = self._histories(inputs.before, x0, source_states, count[picked])
        xs, noises, steps = jax.tree.map(
            lambda x: x[picked], (xs, noise_after, inputs.step + count + 1)
        )
        arriving = jax.tree.map(lambda x: x[picked], (inputs.sums, stepwise_after))
        records = jax.vmap(self._record_step)(xs, noises, steps, histories, arriving)
        sums = jax.tree.map(lambda x: x[-1], inputs.sums)
        rolling = stepwise.still_rolling(carry.buffers)
        state = _BlockState(carry.node, carry.noise, sums, rolling)
        return BlockOutput(state, messages, source_states, records)

    def _record_step(
        self, x: PyTree, noise: PyTree, step: Array, history: Any, arriving: Any
    ) -> PyTree:
        """Return what is recorded of the state after a step, given the delayed sums that arrive then."""
        history = Unread() if history is None else history
        state = self.start._replace(node=x, noise=noise, step=step, history=history)
        if not isinstance(self.record, Quantities):
            return self.record(state)
        if self.plan.excess:  # external input may not be defined after the end of the run
            state = state._replace(step=jnp.minimum(step, self.start.step + self.plan.steps))
        delayed = self._delayed_sums(*arriving)
        inputs = inputs_at(self.net, self.links, state, self.params, delayed, self.references)
        return self.record.of(self.net, self.params, state, inputs)

    def _step(self, block_step: Array, carry: _Carry, inputs: _StepInput) -> Any:
        """Take one step: the carry after it, and what the block keeps of it."""
        net, plan = self.net, self.plan
        stepwise = self.stepwise_edges
        times = stepwise.times(inputs.number)
        after = stepwise.sums(carry.buffers, times)
        delayed = tuple(
            self._delayed_sums(*each)
            for each in zip(inputs.blocked_sums, (carry.stepwise_sums, after), strict=False)
        )
        step, end = block_step + inputs.number, self.start.step + plan.steps
        step = self._within_run(step)
        noise = update_noise(net, carry.noise, inputs.increment, self.params)
        noises = (carry.noise, noise)
        drive = Drive(step, delayed, self.references, inputs.increment, noises, inputs.functions)
        x = advance(net, self.links, self.unpack(carry.node), self.params, drive)
        moved = (repack(x, carry.node), noise)
        if plan.excess:
            moved = self._masked(block_step + inputs.number < end, moved, carry)
        node, noise = moved
        recorded = after if isinstance(self.record, Quantities) else {}
        buffers = stepwise.with_state(carry.buffers, x, times)
        return _Carry(node, noise, after, buffers), (moved, recorded)

    def _within_run(self, step: Array) -> Array:
        """Let time stand still with the state after the end, where input may not be defined."""
        return (
            jnp.minimum(step, self.start.step + self.plan.steps - 1) if self.plan.excess else step
        )

    def _masked(self, running: Array, moved: tuple[PyTree, ...], carry: _Carry) -> Any:
        """Return the old state in place of the new one, past the end of the run."""
        old = (carry.node, carry.noise)
        return jax.tree.map(lambda new, old: jnp.where(running, new, old), moved, old)

    def _delayed_sums(
        self, blocked_sums: tuple[PyTree, ...], stepwise_sums: dict[int, PyTree]
    ) -> tuple[PyTree, ...]:
        """Return the delayed sums of each link, over its blocked and its stepwise edges."""
        of_blocked = dict(zip((i for i, _ in self.blocked), blocked_sums, strict=True))
        return tuple(add(of_blocked.get(i), stepwise_sums.get(i)) for i in range(len(self.links)))

    def _histories(
        self, before: dict[str, Array], x0: PyTree, source_states: dict[str, Array], steps: Array
    ) -> dict[str, Array] | None:
        """Return the histories after `steps`, `(step, lag, source)`, if the record reads them."""
        if not self.recorded:
            return None
        histories = {}
        for name, lag in self.recorded.items():
            past = before[name][len(before[name]) - lag :]
            present = read(x0, self.sources[name])[None]
            times = jnp.concatenate([past, present, source_states[name][:-1]])
            histories[name] = jax.vmap(
                lambda n, times=times, lag=lag: lax.dynamic_slice_in_dim(times, n + 1, lag)
            )(steps)
        return histories


# --- records ---------------------------------------------------------------------------------------


def _recorded(done: Array, size: int, every: int) -> Any:
    """Return which steps of a block are recorded, after `done` steps; the last may stand for none."""
    if size % every == 0:
        return slice(every - 1, None, every)
    if every % size == 0:
        return slice(size - 1, None)
    first = every - 1 - done % every
    return jnp.minimum(first + every * jnp.arange(-(-size // every), dtype=first.dtype), size - 1)


def _in_order(records: PyTree, plan: RunPlan, every: int) -> PyTree:
    """Return the records of all blocks in one array per leaf, without those that stand for none."""
    size = plan.block_size
    block, step = np.divmod(every * np.arange(1, plan.steps // every + 1) - 1, size)
    first = every - 1 - block * size % every
    place = block * -(-size // every) + (step - first) // every
    apart = np.unique(np.diff(place))
    even = slice(place[0], place[-1] + 1, *apart) if len(apart) < 2 else place
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[even], records)
