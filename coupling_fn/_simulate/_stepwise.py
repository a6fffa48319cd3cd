"""Edges with lags shorter than a block: read at every step, from short buffers that the steps carry.

A buffer holds what travels along the edges of a link (`carried`): for elementwise rules the states of
the source, from which messages are made after they have arrived; for any other the messages.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from .._core import PyTree, Signal, everywhere, read
from .._network import Link


class Buffers(NamedTuple):
    """What stepwise edges read, `(time, source)`: past, present, and room for the steps of a block.

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

    def buffers(self, before: dict[str, Array], x: PyTree, room: int) -> Buffers:
        """Return the buffers of a block, from the past and the state at its start."""
        known = {
            name: [before[name][len(before[name]) - lag :], read(x, self.signals[name])[None]]
            for name, lag in self.lags.items()
        }

        def with_room(*parts: Array) -> Array:
            empty = jnp.zeros((room, parts[0].shape[1]), parts[0].dtype)
            return everywhere(self.mesh, jnp.concatenate([*parts, empty]))

        states, messages = {}, {}
        for i, link in self.links.items():
            name = link.signals.history
            if link.carries_messages:
                past = everywhere(self.mesh, jnp.concatenate(known[name]))
                messages[i] = jax.tree.map(with_room, link.carried(past, self.references[i]))
            elif name not in states:
                states[name] = with_room(*known[name])
        return Buffers(states, messages)

    def with_state(self, buffers: Buffers, x: PyTree, times: dict[str, Any]) -> Buffers:
        """Return the buffers with a state, and the messages of it, written at a time of each source."""

        def write(buffer: Array, new: Array, name: str) -> Array:
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
