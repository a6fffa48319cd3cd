"""Edges with lags shorter than a block: read at every step, from short buffers that the steps carry.

A buffer holds what travels along the edges of a link (`carried`): for elementwise rules the states of
the source, from which messages are made after they have arrived; for any other the messages. Where no
stepwise edge reads far back, a buffer rolls: it holds the newest times alone, and goes on from block to
block. For N = 1000 that costs a third of a buffer with room for a block, which each block makes anew.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._core import PyTree, Signal, everywhere, read
from .._network import Link

# The largest lag for which a buffer rolls: a step moves all that it holds.
ROLLING = 8


class Buffers(NamedTuple):
    """What stepwise edges read, `(time, source)`: past, present, and room for a block or none.

    Attributes:
        states: of each source that a link carries states of, by the name of its history.
        messages: of each link that carries messages, by its number.
    """

    states: dict[str, Array]
    messages: dict[int, PyTree]


def stepwise_lags(links: tuple[Link, ...], buffers: dict[str, Array]) -> dict[str, int]:
    """Return how far back stepwise edges read, for each source that has such edges."""
    lags: dict[str, int] = {}
    for link in links:
        if link.stepwise:
            name = link.signals.history
            lag = min(link.stepwise_lag, len(buffers[name]) - 1)
            lags[name] = max(lags.get(name, 0), lag)
    return lags


class StepwiseEdges(NamedTuple):
    """The links with stepwise edges, and what they read.

    Attributes:
        links: those links, by number.
        references: what each link of a shift-invariant rule subtracts from states.
        lags: how far back stepwise edges read, by source.
        signals: the signal of each such source, by the name of its history.
        mesh: the devices that share the nodes, or None.
    """

    links: dict[int, Link]
    references: tuple[Array | None, ...]
    lags: dict[str, int]
    signals: dict[str, Signal]
    mesh: Mesh | None

    def rolls(self, name: str) -> bool:
        """Return whether the buffer of a source rolls."""
        return self.lags[name] <= ROLLING

    @property
    def handed(self) -> dict[str, int]:
        """How far back the other buffers reach, which are made from the past of each block."""
        return {name: lag for name, lag in self.lags.items() if not self.rolls(name)}

    def rolling(self, past: dict[str, Array]) -> Buffers:
        """Return the buffers that roll, from the states of sources up to the present."""
        newest = {
            name: past[name][-lag - 1 :] for name, lag in self.lags.items() if self.rolls(name)
        }
        return self._carried(newest)

    def buffers(self, rolling: Buffers, before: dict[str, Array], x: PyTree, room: int) -> Buffers:
        """Return all buffers of a block, from those that roll, the past and the present."""

        def with_room(past: Array) -> Array:
            return jnp.pad(past, [(0, room), (0, 0)])

        past = {
            name: jnp.concatenate(
                [before[name][len(before[name]) - lag :], read(x, self.signals[name])[None]]
            )
            for name, lag in self.handed.items()
        }
        made = jax.tree.map(with_room, self._carried(past))
        return Buffers(rolling.states | made.states, rolling.messages | made.messages)

    def still_rolling(self, buffers: Buffers) -> Buffers:
        """Return those of the buffers that roll."""
        messages = {
            i: x for i, x in buffers.messages.items() if self.rolls(self.links[i].signals.history)
        }
        return Buffers({n: x for n, x in buffers.states.items() if self.rolls(n)}, messages)

    def _carried(self, past: dict[str, Array]) -> Buffers:
        """Return what links carry of the given sources, at the given times."""
        past = everywhere(self.mesh, past)
        states, messages = {}, {}
        for i, link in self.links.items():
            name = link.signals.history
            if name not in past:
                continue
            if link.carries_messages:
                messages[i] = link.carried(past[name], self.references[i])
            else:
                states[name] = past[name]
        return Buffers(states, messages)

    def times(self, number: Any) -> dict[str, Any]:
        """Return where in each buffer the time after a step of a block is, which is not yet written."""
        return {
            name: lag + 1 if self.rolls(name) else lag + 1 + number
            for name, lag in self.lags.items()
        }

    def with_state(self, buffers: Buffers, x: PyTree, times: dict[str, Any]) -> Buffers:
        """Return the buffers with a state, and the messages of it, as the newest time of each source."""

        def write(buffer: Array, new: Array, name: str) -> Array:
            if self.rolls(name):
                return jnp.concatenate([buffer[1:], new])
            return lax.dynamic_update_slice_in_dim(buffer, new, times[name], 0)

        now = {
            name: everywhere(self.mesh, read(x, signal))[None]
            for name, signal in self.signals.items()
        }
        states = {name: write(buffer, now[name], name) for name, buffer in buffers.states.items()}
        messages = {}
        for i, old in buffers.messages.items():
            name = self.links[i].signals.history
            new = self.links[i].carried(now[name], self.references[i])
            messages[i] = jax.tree.map(partial(write, name=name), old, new)
        return Buffers(states, messages)

    def sums(self, buffers: Buffers, times: dict[str, Any]) -> dict[int, PyTree]:
        """Return the delayed sums over stepwise edges at a time of each source, by number of link."""
        sums = {}
        for i, link in self.links.items():
            name = link.signals.history
            carried = buffers.messages[i] if link.carries_messages else buffers.states[name]
            sums[i] = link.read_delayed(
                carried, times[name], self.references[i], stepwise_only=True
            )
        return sums
