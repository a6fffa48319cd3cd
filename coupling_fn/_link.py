"""One coupling onto one input, ready to run: its rule, its weights, its lags.

A link splits what a target receives by when it becomes known. Edges of lag 1 and more carry the
past: `delayed` reads them from the rows of a history. Edges of lag 0 carry the state that an
integration stage is in: `receive` adds them. This split is what lets a Heun or Runge–Kutta stage
be coupled at its own time, and what lets the delayed part be computed for many steps at once.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental.sparse import BCOO

from ._aggregate import in_strength, weighted_sum
from ._coupling import Coupling
from ._delay import gather
from ._types import PyTree, Weights

Signal = str | Callable[[Any], Array]


class Tap(NamedTuple):
    """A read of the past: whole lags, and the share of each edge that it carries.

    A rounded lag is one tap with a share of 1 (None); a read between two steps is two taps.
    """

    lags: Array
    share: Array | None = None


class Link(eqx.Module):
    """What a `Network` prepares once a run for each coupling and each input that it drives."""

    source: Signal = eqx.field(static=True)
    target: Signal = eqx.field(static=True)
    into: str = eqx.field(static=True)
    name: str = eqx.field(static=True)  # of the coupling
    key: str = eqx.field(static=True)  # of the history it reads


class SeparableLink(Link):
    """A `Coupling`: the sums of messages are all that is kept of the past."""

    coupling: Coupling
    strength: Array
    now: Weights | None  # edges of lag 0
    taps: tuple[tuple[Weights, Array], ...]  # edges of lag 1 and more, with their lags

    @property
    def relative(self) -> bool:
        """Whether states are measured from an origin."""
        return self.coupling.relative

    def delayed(self, rows: Array, at: int, origin: Array | None) -> PyTree:
        """Sum what left the sources `lags` steps before step `at` of the rows' last."""
        parts = []
        for conn, lags in self.taps:
            sent = self.send(gather_edges(conn, rows, rows.shape[0] - 1 + at - lags), origin)
            parts.append(jax.tree.map(lambda m, conn=conn: sum_edges(conn, m), sent))
        return jax.tree.map(lambda *sums: sum(sums[1:], sums[0]), *parts) if parts else None

    def send(self, source: Array, origin: Array | None) -> PyTree:
        """The rule's messages, measured from the origin."""
        return self.coupling.send(source if origin is None else source - origin)

    def receive(
        self, past: PyTree, source: Array, target: Array | None, origin: Array | None
    ) -> Array:
        """The input, from the past's sums and the present state."""
        sums = past
        if self.now is not None:
            sent = self.send(source, origin)
            sums = jax.tree.map(lambda m: weighted_sum(self.now, m), sent)
            if past is not None:
                sums = jax.tree.map(jnp.add, sums, past)
        own = target if origin is None else target - origin
        return self.coupling.receive(sums, own, self.strength)


class SeenLink(Link):
    """Any other coupling: what each target sees of each source is kept whole."""

    coupling: Any
    taps: tuple[Tap, ...]
    mixed: bool = eqx.field(static=True)  # whether some edges have lag 0

    relative = False

    def delayed(self, rows: Array, at: int, origin: None) -> PyTree:
        """Copy what left the sources `lags` steps before step `at` of the rows' last."""
        return tuple(
            gather(rows, rows.shape[0] - 1 + at - jnp.maximum(tap.lags, 1)) for tap in self.taps
        )

    def receive(self, past: PyTree, source: Array, target: Array | None, origin: None) -> Array:
        """The input, from the copies of the past and the present state."""
        if not self.taps:
            return self.coupling(source, target)
        seen = 0.0
        for tap, copy in zip(self.taps, past, strict=True):
            if self.mixed:
                now = source if copy.ndim == 1 else source[None, :]
                copy = jnp.where(tap.lags == 0, now, copy)
            seen = seen + (copy if tap.share is None else tap.share * copy)
        return self.coupling(seen, target)


def separable_link(
    signals: dict[str, Any], coupling: Coupling, taps: tuple[Tap, ...], smallest: int
) -> SeparableLink:
    """Distribute a coupling's weights over its taps, and split lag 0 from the rest."""
    conn, now, split = coupling.conn, None, []
    for tap in taps:
        lags = edge_lags(conn, tap.lags)
        share = None if tap.share is None else edge_lags(conn, tap.share)
        weights = conn if share is None else scaled(conn, share)
        if smallest == 0:
            here = scaled(weights, (lags == 0).astype(dtype_of(conn)))
            now = here if now is None else added(now, here)
            weights = scaled(weights, (lags > 0).astype(dtype_of(conn)))
            lags = jnp.maximum(lags, 1)
        split.append((weights, lags))
    if not taps:
        now = conn
    return SeparableLink(
        **signals, coupling=coupling, strength=in_strength(conn), now=now, taps=tuple(split)
    )


# --- edges of a dense or a sparse connection ------------------------------------------------------


def dtype_of(conn: Weights) -> Any:
    """The dtype of the weights."""
    return conn.dtype


@singledispatch
def edge_lags(conn, lags: Array) -> Array:
    """The lags (or shares) of the stored edges, from those of all pairs; one for all stays one."""
    return lags


@edge_lags.register
def _(conn: BCOO, lags: Array) -> Array:
    return lags if lags.ndim == 0 else lags[conn.indices[:, 0], conn.indices[:, 1]]


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


@singledispatch
def sum_edges(conn, messages: Array) -> Array:
    """The weighted sum for each target of what its edges carry."""
    return weighted_sum(conn, messages)


@sum_edges.register
def _(conn: BCOO, messages: Array) -> Array:
    return jax.ops.segment_sum(conn.data * messages, conn.indices[:, 0], num_segments=conn.shape[0])


@singledispatch
def scaled(conn, factor: Array) -> Any:
    """Every weight times the factor of its edge."""
    return conn * factor


@scaled.register
def _(conn: BCOO, factor: Array) -> BCOO:
    return BCOO((conn.data * factor, conn.indices), shape=conn.shape)


@singledispatch
def added(conn, other: Any) -> Any:
    """The sum of two weightings of the same edges."""
    return conn + other


@added.register
def _(conn: BCOO, other: BCOO) -> BCOO:
    return BCOO((conn.data + other.data, conn.indices), shape=conn.shape)
