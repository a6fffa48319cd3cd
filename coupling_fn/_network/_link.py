"""One coupling onto one input, ready to run: its rule, and its weights and lags by group of edges.

Edges are grouped by when their messages become known (`_edge_groups.py`). Instantaneous edges carry the
state that an integration stage is in: `receive` adds them. Delayed edges carry the past: `read_delayed`
reads them from a buffer. This is what lets each stage of a Heun or Runge-Kutta step be coupled at
its own time.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax

from .._connectome import (
    Padded,
    Product,
    SparseConnection,
    Weights,
    at_sources,
    in_strength,
    prepared,
    weighted,
)
from .._core import PyTree, Signal
from .._coupling import (
    Coupling,
    EdgeCoupling,
    by_rank,
    input_of,
    messages_at_times,
    messages_of,
    sends_states,
)
from .._delays import EdgeSplit
from .._node import wrapped
from ._edge_forms import gather_edges, of_stored_edges, sum_edges
from ._edge_groups import BlockedWeights, DelayedWeights, Tap, grouped


class Signals(NamedTuple):
    """Which signals a link connects.

    Attributes:
        source: the state variable, or function of the state, that regions send.
        target: the state that the rule takes as the target's own; None where it has no such state.
        into: the input of the node that the link drives.
        coupling: the name of the coupling.
        history: the name of the history that delayed edges read.
        angle: whether the source is an angle that whole turns are taken off.
    """

    source: Signal
    target: Signal | None
    into: str
    coupling: str
    history: str
    angle: bool


class Share(NamedTuple):
    """Which part of a matrix product that several links share is that of one of them.

    Attributes:
        leader: the number of the link that holds the matrix of all, `SeparableLink.beside`.
        part: the number of this link among them.
        rows: how many rows the matrix has of each.
    """

    leader: int
    part: int
    rows: tuple[int, ...]


class SeparableLink(eqx.Module):
    """A link of a `Coupling`: of the past it needs the weighted sums of messages alone."""

    coupling: Coupling
    in_strength: Array
    instantaneous: Weights | Padded | Product | None
    stepwise: tuple[DelayedWeights, ...]
    blocked: tuple[BlockedWeights, ...]
    signals: Signals = eqx.field(static=True)
    stepwise_lag: int = eqx.field(static=True)
    share: Share | None = eqx.field(default=None, static=True)
    beside: Array | None = None  # the instantaneous weights of all links that share the product

    separable = True

    @property
    def reads_present(self) -> bool:
        """Whether anything arrives without a delay."""
        return self.instantaneous is not None

    @property
    def shift_invariant(self) -> bool:
        """Whether a reference is subtracted from states."""
        return self.coupling.shift_invariant

    @property
    def carries_messages(self) -> bool:
        """Whether messages are made before they travel, rather than of the states that arrive.

        The latter costs less where few edges are read, but is the same for elementwise rules alone.
        """
        return not self.coupling.elementwise

    def carried(self, source: Array, reference: Array | None) -> PyTree:
        """Return what travels along the edges, for the states `(time, source)`: states, or messages."""
        if not self.carries_messages:
            return source
        return messages_at_times(self.coupling, _less(source, reference))

    def read_delayed(
        self, buffer: PyTree, index: Any, reference: Array | None, *, stepwise_only: bool = False
    ) -> PyTree:
        """Return the sums of what arrives at the time `index` of a buffer of what is carried."""
        parts = []
        blocked = [
            (conn, group.lags + tap)
            for group in self.blocked
            for tap, conn in enumerate(group.conns)
        ]
        for conn, lags in (*self.stepwise, *([] if stepwise_only else blocked)):
            arriving = jax.tree.map(
                lambda x, conn=conn, lags=lags: gather_edges(conn, x, index - lags), buffer
            )
            messages = arriving if self.carries_messages else self.send(arriving, reference)
            parts.append(jax.tree.map(lambda m, conn=conn: sum_edges(conn, m), messages))
        return add(*parts)

    def between(self, start: PyTree, end: PyTree, at: float) -> PyTree:
        """Return the sums at a part of the step, from those at its start and its end."""
        return jax.tree.map(lambda a, b: (1 - at) * a + at * b, start, end)

    def send(self, source: Array, reference: Array | None) -> PyTree:
        """Return the messages of the rule at one time, for states `(source,)` less the reference."""
        return messages_of(self.coupling, _less(source, reference))

    def receive(
        self,
        delayed: PyTree,
        source: Array,
        target: Any,
        reference: Array | None,
        shared: Sequence[Array] | None = None,
    ) -> Array:
        """Return the input, from the delayed sums and the present state.

        `shared` are the present sums of all links that share a product with this one.
        """
        if reference is None and self.shift_invariant:
            reference = self._own_reference(source, target)
        sums = delayed
        if shared is not None and self.share is not None:
            sums = add(delayed, shared[self.share.part])
        elif self.instantaneous is not None:
            messages = self.send(source, reference)
            present = jax.tree.map(lambda m: weighted(self.instantaneous, m), messages)
            sums = add(delayed, present)
        return input_of(self.coupling, sums, _less(target, reference), self.in_strength)

    def shared_sums(self, source: Array, reference: Array | None) -> Sequence[Array] | None:
        """Return the present sums of each link that shares a product, where this one leads them."""
        if self.beside is None or self.share is None:
            return None
        if reference is None and self.shift_invariant:
            reference = self._own_reference(source, None)
        sums = weighted(self.beside, _less(source, reference))
        # In the derivative, parts of a split are put side by side; slices are padded and added up.
        return lax.split(sums, self.share.rows)

    def _own_reference(self, source: Array, target: Any) -> Array:
        """Return the reference where no history shares it, so that any present state will do."""
        of_source = self.share is not None or self.signals.source == self.signals.target
        return lax.stop_gradient((source if of_source else target)[0])


def _less(states: Any, reference: Array | None) -> Any:
    """Return states as a rule sees them."""
    return states if reference is None else states - reference


def sharing(links: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let links that send the same states without a delay, onto several targets, share a product.

    A short step costs about as much for each of its operations as for their arithmetic (JAX 0.10.2 on a
    CPU: 0.13 us for each), and one matrix of more rows takes no longer than several. Matrices of
    different sources would need as many columns of zeros, and k is not in the matrix: its derivative
    would need that of each weight.
    """
    groups: dict[Any, list[int]] = {}
    for n, link in enumerate(links):
        if isinstance(link, SeparableLink) and isinstance(link.instantaneous, Array):
            kind = link.signals.source, link.signals.history, link.shift_invariant
            groups.setdefault((*kind, link.instantaneous.dtype), []).append(n)
    shared = list(links)
    for members in groups.values():
        if len(members) > 1:  # most networks have nothing to share, and trace no rule for it
            members = [n for n in members if sends_states(links[n].coupling)]
        if len(members) < 2:
            continue
        matrices = [links[n].instantaneous for n in members]
        rows = tuple(map(len, matrices))
        for part, n in enumerate(members):
            shared[n] = dataclasses.replace(links[n], share=Share(members[0], part, rows))
        leader = shared[members[0]]
        shared[members[0]] = dataclasses.replace(leader, beside=jnp.concatenate(matrices))
    return tuple(shared)


class PairwiseLink(eqx.Module):
    """A link of any other coupling: it needs what each target sees of each source.

    An `EdgeCoupling` over a `SparseConnection` needs that of the stored edges alone, and its lags are
    one per edge. Any other coupling is called with `(target, source)`, or with `(source,)` where one lag
    holds for all.
    """

    coupling: Any
    taps: tuple[Tap, ...]
    signals: Signals = eqx.field(static=True)
    some_instantaneous: bool = eqx.field(static=True)  # whether some edges may have lag 0
    stepwise_lag: int = eqx.field(static=True)

    separable = False
    share = None
    shift_invariant = False
    carries_messages = False
    blocked = ()

    @property
    def reads_present(self) -> bool:
        """Whether anything arrives without a delay."""
        return self.some_instantaneous or not self.taps

    @property
    def stepwise(self) -> tuple[Tap, ...]:
        """All delayed edges are read step by step."""
        return self.taps

    @property
    def by_edge(self) -> bool:
        """Whether lags are one per stored edge."""
        return any(tap.lags.ndim == 1 for tap in self.taps)

    def carried(self, source: Array, reference: Array | None) -> Array:
        """Return what travels along the edges: the states `(time, source)`, as they are."""
        del reference
        return source

    def read_delayed(
        self, buffer: Array, index: Any, reference: Array | None, *, stepwise_only: bool = False
    ) -> PyTree:
        """Return, per tap and not summed, what arrives at the time `index` of a buffer."""
        del reference, stepwise_only  # this rule takes states as they are, and has no blocked edges
        conn = self.coupling.conn if self.by_edge else None
        copies = (gather_edges(conn, buffer, index - jnp.maximum(t.lags, 1)) for t in self.taps)
        return tuple(copies) or None

    def between(self, start: PyTree, end: PyTree, at: float) -> PyTree:
        """Return the copies at a part of the step, from those at its start and its end."""
        return jax.tree.map(lambda a, b: self._mixed((1 - at, a), (at, b)), start, end)

    def _mixed(self, *parts: tuple[Any, Array]) -> Array:
        """Return the mean of states, each with its share; between angles by the shorter way round."""
        (share, state), *others = parts
        if self.signals.angle:
            return state + sum(s * wrapped(x - state) for s, x in others)
        return share * state + sum(s * x for s, x in others)

    def receive(
        self,
        delayed: PyTree,
        source: Array,
        target: Array | None,
        reference: Array | None,
        shared: Sequence[Array] | None = None,
    ) -> Array:
        """Return the input, from the copies of the past and the present state."""
        del reference, shared
        if not self.taps:
            return self._input(source, target)
        if self.by_edge:
            source = at_sources(self.coupling.conn, source)
        seen = []
        for tap, copy in zip(self.taps, delayed, strict=True):
            if self.some_instantaneous:
                present = source if copy.ndim == 1 else source[None, :]
                copy = jnp.where(tap.lags == 0, present, copy)
            seen.append((tap.share, copy))
        # A rounded lag is one read, which has no share.
        return self._input(seen[0][1] if len(seen) == 1 else self._mixed(*seen), target)

    def _input(self, seen: Any, target: Array | None) -> Array:
        if self.by_edge:
            return self.coupling.over_edges(seen, target)
        name = getattr(self.coupling, "__name__", type(self.coupling).__name__)
        with by_rank(f"The coupling {name}", seen.shape):
            return self.coupling(seen, target)


def pairwise_link(
    signals: Signals, coupling: Any, taps: tuple[Tap, ...], bounds: tuple[int, int]
) -> PairwiseLink:
    """Give the lags the shape in which the coupling sees its sources."""
    smallest, largest = bounds
    conn = getattr(coupling, "conn", None)
    if isinstance(conn, SparseConnection) and isinstance(coupling, EdgeCoupling):
        taps = tuple(Tap(*(of_stored_edges(conn, x) for x in tap if x is not None)) for tap in taps)
    elif any(tap.lags.ndim == 1 for tap in taps):
        # A pair without an edge is read at the smallest lag, all of it by the first tap.
        taps = tuple(
            Tap(
                _of_pairs(conn, tap.lags, smallest + n),
                None if tap.share is None else _of_pairs(conn, tap.share, 1 - n),
            )
            for n, tap in enumerate(taps)
        )
    return PairwiseLink(
        coupling, taps, signals, some_instantaneous=smallest == 0, stepwise_lag=largest
    )


def _of_pairs(conn: Any, of_edges: Array, elsewhere: int) -> Array:
    """Return values of the stored edges in a matrix `(target, source)`, with another value elsewhere."""
    matrix = jnp.full(conn.shape, elsewhere, of_edges.dtype)
    return matrix.at[conn.target, conn.source].set(of_edges)


Link = SeparableLink | PairwiseLink


def separable_link(
    signals: Signals,
    coupling: Coupling,
    taps: tuple[Tap, ...],
    split: EdgeSplit | None,
    bounds: tuple[int, int],
    block_sizes: tuple[int, ...],
) -> SeparableLink:
    """Prepare a coupling whose messages are summed, its edges grouped by lag."""
    conn = coupling.conn
    groups = grouped(conn, taps, split, bounds, block_sizes)
    return SeparableLink(
        coupling=coupling,
        in_strength=in_strength(conn),
        instantaneous=prepared(groups.instantaneous),
        stepwise=groups.stepwise,
        blocked=groups.blocked,
        signals=signals,
        stepwise_lag=groups.stepwise_lag,
    )


def add(*trees: PyTree) -> PyTree:
    """Return the sum of those trees that are not None; None if all are."""
    trees = tuple(tree for tree in trees if tree is not None)
    return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *trees) if trees else None
