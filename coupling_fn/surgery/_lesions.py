r"""Virtual lesions: weaken or remove the edges of regions, between regions, or one by one.

Each edge that is chosen keeps $(1 - e)$ of its weight, with $e$ the extent of the lesion.
"""

from typing import Any, overload

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._connectome import (
    Connectome,
    Dense,
    Matrix,
    Sparse,
    SparseConnection,
    reweigh,
    weights_of,
    with_weights,
)
from .._core import (
    Scalar,
    as_float,
    keeps_known,
    known,
    require_choice,
    require_finite,
    require_shape,
)
from ._chosen import array_of, by_edges, by_regions, ends_of, mask_of, names


@overload
def lesion(conn: Connectome, regions: Any, *, extent: Scalar = 1.0) -> Connectome: ...
@overload
def lesion(conn: Dense, regions: Any, *, extent: Scalar = 1.0) -> Matrix: ...
@overload
def lesion(conn: Sparse, regions: Any, *, extent: Scalar = 1.0) -> SparseConnection: ...
@keeps_known
def lesion(
    conn: Connectome | Dense | Sparse, regions: Any, *, extent: Scalar = 1.0
) -> Connectome | Matrix | SparseConnection:
    r"""Remove or weaken all edges of some regions: those onto them, from them, and onto themselves.

    Each of these edges becomes $(1 - e) W_{ij}$, with $e$ the extent. The regions themselves stay, with
    all that is known of them: `Connectome.subset` takes regions out.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]
        regions: a region, by label or index, or several in a list; or a mask, an array of booleans
            with one per region, which may be traced: one program then lesions each region in turn.
        extent: what share of the weights is lost, from 0 to 1; gradients pass through it. [1]

    Returns:
        The same, with weaker edges. A sparse connection keeps the edges that have a weight of 0.

    Raises:
        ValueError: if there is no such region, a label is that of several regions, no region is chosen,
            or `extent` is not from 0 to 1.
        TypeError: if `regions` is none of these.

    Source:
        J. Alstott et al., PLoS Comput. Biol. 5 (2009) e1000408, for lesions as removed edges.

    Example:
        >>> W = jnp.array([[0.0, 3.0, 1.0], [2.0, 0.0, 4.0], [0.0, 5.0, 0.0]])
        >>> conn = cf.Connectome(W, labels=["V1", "V2", "MT"])
        >>> cf.surgery.lesion(conn, "V1").weights.tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 4.0], [0.0, 5.0, 0.0]]
        >>> print(cf.surgery.lesion(conn, ["V1", "MT"], extent=0.5))
        3 regions: V1, V2, MT
          weights: 0.5 to 2.5, 5 of 6 pairs connected, directed
          labels: one per region
          lengths: not known
          surgery: lesion of V1, MT by 50%

        The strength that is lost with each region in turn:

        >>> lost = jax.vmap(lambda one: W.sum() - cf.surgery.lesion(W, one).sum())
        >>> lost(jnp.eye(3, dtype=bool)).tolist()
        [6.0, 14.0, 10.0]
    """
    weights = weights_of(conn)
    chosen = mask_of("regions", regions, conn)
    extent = _share(extent)
    target, source = ends_of(weights)
    done = f"lesion of {names(chosen, conn)}{_by(extent)}"
    return _weakened(conn, weights, chosen[target] | chosen[source], extent, done)


@overload
def isolate(conn: Connectome, regions: Any, *, extent: Scalar = 1.0) -> Connectome: ...
@overload
def isolate(conn: Dense, regions: Any, *, extent: Scalar = 1.0) -> Matrix: ...
@overload
def isolate(conn: Sparse, regions: Any, *, extent: Scalar = 1.0) -> SparseConnection: ...
@keeps_known
def isolate(
    conn: Connectome | Dense | Sparse, regions: Any, *, extent: Scalar = 1.0
) -> Connectome | Matrix | SparseConnection:
    """Remove or weaken all edges between some regions, such as a hemisphere, and all others.

    Edges within the regions, and among the others, stay as they are.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]
        regions: the regions on one side of the cut, as for `lesion`: labels or indices in a list, or a
            mask, such as `connectome.region_data["hemispheres"]` where that is one of booleans.
        extent: what share of the weights is lost, from 0 to 1; gradients pass through it. [1]

    Returns:
        The same, with weaker edges across the cut. A sparse connection keeps all edges.

    Raises:
        ValueError: if there is no such region, a label is that of several regions, all regions or none
            are chosen, or `extent` is not from 0 to 1.
        TypeError: if `regions` is none of these.

    Example:
        >>> conn = cf.Connectome(jnp.ones((3, 3)), labels=["L.V1", "L.V2", "R.V1"])
        >>> left = [name for name in conn.labels if name.startswith("L.")]
        >>> split = cf.surgery.isolate(conn, left)
        >>> split.weights.tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        >>> cf.diagnose(split).facts["surgery"]
        'L.V1, L.V2 isolated from all others'
    """
    weights = weights_of(conn)
    chosen = mask_of("regions", regions, conn)
    if known(chosen) and np.asarray(chosen).all():
        raise ValueError("`regions` must leave some region out: there is nothing to isolate from.")
    extent = _share(extent)
    target, source = ends_of(weights)
    done = f"{names(chosen, conn)} isolated from all others{_by(extent)}"
    return _weakened(conn, weights, chosen[target] != chosen[source], extent, done)


@overload
def weaken(
    conn: Connectome,
    edges: Any = None,
    *,
    source: Any = None,
    target: Any = None,
    both_ways: bool = False,
    extent: Any = 1.0,
) -> Connectome: ...
@overload
def weaken(
    conn: Dense,
    edges: Any = None,
    *,
    source: Any = None,
    target: Any = None,
    both_ways: bool = False,
    extent: Any = 1.0,
) -> Matrix: ...
@overload
def weaken(
    conn: Sparse,
    edges: Any = None,
    *,
    source: Any = None,
    target: Any = None,
    both_ways: bool = False,
    extent: Any = 1.0,
) -> SparseConnection: ...
@keeps_known
def weaken(
    conn: Connectome | Dense | Sparse,
    edges: Any = None,
    *,
    source: Any = None,
    target: Any = None,
    both_ways: bool = False,
    extent: Any = 1.0,
) -> Connectome | Matrix | SparseConnection:
    r"""Weaken a set of edges, or remove them: $(1 - e) W_{ij}$ with $e$ the extent.

    Edges are chosen in one of three ways: as all edges from some regions onto some regions (`source`,
    `target`), one by one (`edges`), or by an extent for every edge.

    Args:
        conn: weights, or a connectome; its lengths stay. [any unit]
        edges: a list of pairs `(target, source)`, as in `conn[target, source]`, of labels or indices;
            or a mask, an array of booleans in the shape of the weights, which may be traced. Of a
            sparse connection it has one entry per edge, or the shape `(target, source)`.
        source: the regions that the edges come from, by label, index or mask; all by default.
        target: the regions that they go to, likewise.
        both_ways: whether the edges in the other direction are weakened, too, as where a tract is cut.
        extent: what share of the weights is lost, from 0 to 1; a number, or one per edge in the shape
            of the weights, such as the share of each tract that a patient's lesion covers. Gradients
            pass through it. [1]

    Returns:
        The same, with weaker edges. A sparse connection keeps those that have a weight of 0.

    Raises:
        ValueError: if a label is that of no region or of several; if a pair has no edge, or regions have
            none between them in that direction; if `extent` is not from 0 to 1.
        TypeError: if edges are chosen in two ways or in none, or `both_ways` comes with a mask.

    Example:
        >>> W = jnp.array([[0.0, 3.0, 1.0], [2.0, 0.0, 4.0], [0.0, 5.0, 0.0]])
        >>> conn = cf.Connectome(W, labels=["V1", "V2", "MT"])
        >>> cf.surgery.weaken(conn, source="MT", target=["V1", "V2"], extent=0.5).weights.tolist()
        [[0.0, 3.0, 0.5], [2.0, 0.0, 2.0], [0.0, 5.0, 0.0]]
        >>> cf.surgery.weaken(conn, [("V1", "V2")], both_ways=True).weights.tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 4.0], [0.0, 5.0, 0.0]]
        >>> cf.surgery.weaken(W, W < 2.5, extent=0.5).tolist()
        [[0.0, 3.0, 0.5], [1.0, 0.0, 4.0], [0.0, 5.0, 0.0]]
    """
    weights = weights_of(conn)
    require_choice("both_ways", both_ways, (False, True))
    extent = _share(extent, array_of(weights).shape)
    if edges is not None and not (source is None and target is None):
        raise TypeError("Give either `edges`, or `source` and `target`, not both.")
    if edges is not None:
        which, said = by_edges(conn, weights, edges, both_ways)
    elif source is not None or target is not None:
        which, said = by_regions(conn, weights, target, source, both_ways)
    elif extent.ndim:
        which, said = np.ones(extent.shape, bool), "every edge by its own extent"
    else:
        raise TypeError(
            "Say which edges: give `edges`, `source` or `target`, or an extent per edge."
        )
    amount = "" if extent.ndim else _by(extent) or " by 100%"
    return _weakened(conn, weights, which, extent, f"weakened{amount}: {said}")


def _share(extent: Any, *shapes: tuple[int, ...]) -> Array:
    """Return the extent of a lesion, within [0, 1]: a number, or one per weight."""
    meaning = "Give a number" + (", or one per edge." if shapes else ".")
    require_shape("extent", extent, (), *shapes, meaning=meaning)
    require_finite("extent", extent)
    if known(extent):
        x = np.asarray(extent)
        if ((x < 0) | (x > 1)).any():
            raise ValueError(
                f"`extent` must be from 0 to 1, the share of a weight that is lost; it goes from "
                f"{x.min():g} to {x.max():g}."
            )
    return as_float("extent", extent)


def _weakened(conn: Any, weights: Any, which: Any, extent: Array, done: str) -> Any:
    """Return the chosen weights as $(1 - e)$ of what they were."""
    old = array_of(weights)
    new = jnp.where(which, old * (1 - extent.astype(old.dtype)), old)
    if isinstance(weights, SparseConnection):
        return with_weights(weights, new)
    return reweigh(conn, lambda _: new, done)


def _by(extent: Array) -> str:
    """Say by how much weights were weakened; nothing if they were removed."""
    if not known(extent):
        return " by a traced extent"
    share = float(extent)
    return "" if share == 1 else f" by {100 * share:.3g}%"
