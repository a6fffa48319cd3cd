"""One coupling onto one input, ready to run: its rule, its weights, its lags.

A link splits what a target receives by when it becomes known. Edges of lag 1 and more carry the
past: `delayed` reads them from the rows of a history. Edges of lag 0 carry the state that an
integration stage is in: `receive` adds them. This split is what lets a Heun or Runge–Kutta stage
be coupled at its own time, and what lets the delayed part be computed for many steps at once.
"""

from functools import singledispatch
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.sparse import BCOO

from .._connectome import (
    Padded,
    Product,
    SparseConnection,
    Weights,
    at_sources,
    edge_sums,
    edges_as_sources,
    in_strength,
    padded,
    pick_edges,
    prepared,
    row_sums,
    take,
    weighted,
    weighted_sum,
    with_weights,
)
from .._core import PyTree, Signal
from .._coupling import Coupling
from .._delays import Split, gather


class Tap(NamedTuple):
    """A read of the past: whole lags, and the share of each edge that it carries.

    A rounded lag is one tap with a share of 1 (None); a read between two steps is two taps.
    """

    lags: Array
    share: Array | None = None


class _Signals(eqx.Module):
    """What a `Network` prepares once a run for each coupling and each input that it drives."""

    source: Signal = eqx.field(static=True)
    target: Signal = eqx.field(static=True)
    into: str = eqx.field(static=True)
    name: str = eqx.field(static=True)  # of the coupling
    key: str = eqx.field(static=True)  # of the history it reads


class SeparableLink(_Signals):
    """A `Coupling`: the sums of messages are all that is kept of the past.

    Its edges are split by lag: `now` has lag 0; `near` goes step by step; `far` has lags of a block
    of steps or more, so that its sums may be worked out a block at a time.
    """

    coupling: Coupling
    strength: Array
    now: Weights | Padded | Product | None
    near: tuple[tuple[Weights | Padded, Array], ...]
    far: tuple[tuple[Weights, Array], ...]
    close: int = eqx.field(static=True)  # a bound: no near edge has a larger lag

    @property
    def reads_now(self) -> bool:
        """Whether anything arrives without a delay."""
        return self.now is not None

    @property
    def shift_invariant(self) -> bool:
        """Whether states are measured from an origin."""
        return self.coupling.shift_invariant

    def delayed(self, rows: Array, now: Any, origin: Array | None, *, far: bool = True) -> PyTree:
        """Sum what arrives at the time of row `now`, of what left `lags` rows before."""
        parts = []
        for conn, lags in self.near + (self.far if far else ()):
            sent = self.send(gather_edges(conn, rows, now - lags), origin)
            parts.append(jax.tree.map(lambda m, conn=conn: sum_edges(conn, m), sent))
        return add(*parts)

    def send(self, source: Array, origin: Array | None) -> PyTree:
        """The rule's messages, measured from the origin."""
        return self.coupling.send(source if origin is None else source - origin)

    def receive(self, past: PyTree, source: Array, target: Any, origin: Array | None) -> Array:
        """The input, from the past's sums and the present state."""
        if origin is None and self.shift_invariant:
            own = source if self.source == self.target else target
            origin = lax.stop_gradient(own[0])  # without a past, the nearest one is at hand
        sums = past
        if self.now is not None:
            sent = self.send(source, origin)
            sums = add(past, jax.tree.map(lambda m: weighted(self.now, m), sent))
        own = target if origin is None else target - origin
        return self.coupling.receive(sums, own, self.strength)


class SeenLink(_Signals):
    """Any other coupling: what each target sees of each source is kept whole."""

    coupling: Any
    taps: tuple[Tap, ...]
    mixed: bool = eqx.field(static=True)  # whether some edges have lag 0

    close: int = eqx.field(static=True)

    shift_invariant = False
    far = ()

    @property
    def reads_now(self) -> bool:
        """Whether anything arrives without a delay."""
        return self.mixed or not self.taps

    @property
    def near(self) -> tuple[Tap, ...]:
        """Everything is read step by step."""
        return self.taps

    @property
    def by_edge(self) -> bool:
        """Whether lags are given for the stored edges alone."""
        return any(tap.lags.ndim == 1 for tap in self.taps)

    def delayed(self, rows: Array, now: Any, origin: None, *, far: bool = True) -> PyTree:
        """Copy what arrives at the time of row `now`, of what left `lags` rows before."""
        conn = self.coupling.conn if self.by_edge else None
        copies = (gather_edges(conn, rows, now - jnp.maximum(tap.lags, 1)) for tap in self.taps)
        return tuple(copies) or None

    def receive(self, past: PyTree, source: Array, target: Array | None, origin: None) -> Array:
        """The input, from the copies of the past and the present state."""
        coupling = self.coupling
        if not self.taps:
            return coupling(source, target)
        if self.by_edge:  # every edge carries its own, so each is a source of its own
            source = at_sources(coupling.conn, source)
            coupling = eqx.tree_at(lambda c: c.conn, coupling, edges_as_sources(coupling.conn))
        seen = 0.0
        for tap, copy in zip(self.taps, past, strict=True):
            if self.mixed:
                now = source if copy.ndim == 1 else source[None, :]
                copy = jnp.where(tap.lags == 0, now, copy)
            seen = seen + (copy if tap.share is None else tap.share * copy)
        return coupling(seen, target)


Link = SeparableLink | SeenLink


def separable_link(
    signals: dict[str, Any],
    coupling: Coupling,
    taps: tuple[Tap, ...],
    split: Split | None,
    bounds: tuple[int, int],
    block: int,
) -> SeparableLink:
    """Distribute a coupling's weights over its taps, and split them by lag.

    With a `split` the few edges nearer than a block are taken out by index. Without, lags are known
    only to lie within `bounds`, and what has to be told apart is lag 0.
    """
    conn, now, near, far = coupling.conn, None, [], []
    smallest, largest = bounds
    if not taps:
        now = conn
    for tap in taps:
        lags = edge_values(conn, tap.lags)
        weights = conn if tap.share is None else scaled(conn, edge_values(conn, tap.share))
        if split is not None and has_split(conn, tap.lags):
            if split.now is not None:
                now = picked(conn, split.now)
            if split.near is not None:
                apart = picked_lags(lags, split.near)
                near.append((picked(conn, split.near), apart))
            if split.now is not None or split.near is not None:
                weights = scaled(conn, (lags >= block).astype(conn.dtype))
                lags = jnp.maximum(lags, block)
            if split.far:
                far.append((weights, lags))
            largest = block - 1
        else:
            if smallest == 0:
                here = scaled(weights, (lags == 0).astype(conn.dtype))
                now = here if now is None else added(now, here)
                weights = scaled(weights, (lags > 0).astype(conn.dtype))
                lags = jnp.maximum(lags, 1)
            (far if smallest >= block else near).append((weights, lags))
    return SeparableLink(
        **signals,
        coupling=coupling,
        strength=in_strength(conn),
        now=prepared(now),
        near=tuple(near),
        far=tuple(far),
        close=largest,
    )


def add(*trees: PyTree) -> PyTree:
    """The sum of those trees that are there; None if none is."""
    trees = tuple(tree for tree in trees if tree is not None)
    return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]), *trees) if trees else None


# --- edges of a dense or a sparse connection ------------------------------------------------------


@singledispatch
def edge_values(conn, values: Array) -> Array:
    """Lags, say, of the stored edges, from those of all pairs; one for all stays one."""
    return values


@edge_values.register
def _(conn: BCOO, values: Array) -> Array:
    return values if values.ndim == 0 else values[conn.indices[:, 0], conn.indices[:, 1]]


@edge_values.register
def _(conn: SparseConnection, values: Array) -> Array:
    return values[conn.target, conn.source] if values.ndim == 2 else values


def has_split(conn: Any, lags: Array) -> bool:
    """Whether a `Split` of these lags names edges of the connection; it never names a BCOO's."""
    return not isinstance(conn, BCOO) and lags.ndim == (
        1 if isinstance(conn, SparseConnection) else 2
    )


def picked(conn: Any, edges: Array) -> Padded | BCOO:
    """A few of the edges that a `Split` names."""
    return pick_edges(conn, edges) if isinstance(conn, SparseConnection) else padded(conn, edges)


def picked_lags(lags: Array, edges: Array) -> Array:
    """Their lags; at least 1, also where there is no edge."""
    return jnp.maximum(take(lags, edges) if lags.ndim == 1 else padded(lags, edges).values, 1)


@singledispatch
def gather_edges(conn, rows: Array, index: Array) -> Array:
    """`rows[index, source]` for every stored edge; one index for all reads one row."""
    return gather(rows, index)


@gather_edges.register
def _(conn: BCOO, rows: Array, index: Array) -> Array:
    source = conn.indices[:, 1]
    if index.ndim == 0:
        return gather(rows, index)[source]
    flat = index * rows.shape[1] + source
    return rows.reshape(-1).at[flat].get(mode="promise_in_bounds")


@gather_edges.register
def _(conn: SparseConnection, rows: Array, index: Array) -> Array:
    if index.ndim == 0:
        return at_sources(conn, gather(rows, index))
    return take(rows.reshape(-1), index * rows.shape[1] + conn.source)


@gather_edges.register
def _(conn: Padded, rows: Array, index: Array) -> Array:
    flat = index * rows.shape[1] + conn.source
    return rows.reshape(-1).at[flat].get(mode="promise_in_bounds")


@singledispatch
def sum_edges(conn, messages: Array) -> Array:
    """The weighted sum for each target of what its edges carry."""
    return weighted_sum(conn, messages)


@sum_edges.register
def _(conn: BCOO, messages: Array) -> Array:
    return jax.ops.segment_sum(conn.data * messages, conn.indices[:, 0], num_segments=conn.shape[0])


@sum_edges.register
def _(conn: SparseConnection, messages: Array) -> Array:
    return edge_sums(conn, conn.weights * messages)


@sum_edges.register
def _(conn: Padded, messages: Array) -> Array:
    return row_sums(conn.values * messages)


@singledispatch
def scaled(conn, factor: Array) -> Any:
    """Every weight times the factor of its edge."""
    return conn * factor


@scaled.register
def _(conn: BCOO, factor: Array) -> BCOO:
    return BCOO((conn.data * factor, conn.indices), shape=conn.shape)


@scaled.register
def _(conn: SparseConnection, factor: Array) -> SparseConnection:
    return with_weights(conn, conn.weights * factor)


@singledispatch
def added(conn, other: Any) -> Any:
    """The sum of two weightings of the same edges."""
    return conn + other


@added.register
def _(conn: BCOO, other: BCOO) -> BCOO:
    return BCOO((conn.data + other.data, conn.indices), shape=conn.shape)


@added.register
def _(conn: SparseConnection, other: SparseConnection) -> SparseConnection:
    return with_weights(conn, conn.weights + other.weights)
