"""Check whether a coupling does what its weights say: whether it pulls, and from source to target.

Rules are the user's own functions, so they are judged by what they return on a few probing states.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._connectome import EdgeList, edge_list
from .._coupling import SumCoupling
from .._network import Params
from ._report import Finding

PROBES = 3  # How many sources are moved, one after the other.
SIZES = (1.0, 100.0)  # By how much they are moved: where the first changes nothing, the second may.


def parts(params: Params | None) -> list[tuple[str, Any]]:
    """List the couplings that have weights, each with its name."""
    if params is None or params.coupling is None:
        return []
    named = params.coupling
    named = named if isinstance(named, Mapping) else {"coupling": named}
    return [
        (name, part)
        for name, whole in named.items()
        for part in (whole.parts if isinstance(whole, SumCoupling) else (whole,))
        if getattr(part, "conn", None) is not None
    ]


def look_at_rule(name: str, coupling: Any, edges: EdgeList) -> Iterator[Finding]:
    """List the findings on a coupling's sign, on k, and on how it reads its weights."""
    if not edges.apart.any():
        return
    k = np.asarray(getattr(coupling, "k", 1.0), float)
    pull = _pull(coupling, edges)
    if pull is not None and pull > 0:
        cause = "k is negative" if (k < 0).any() else "the rule has the opposite sign"
        yield Finding(
            "drives_apart",
            "error",
            f"The coupling {name!r} drives regions apart: one above its neighbours is pushed up "
            f"further, because {cause}.",
            why="Diffusive coupling draws each region towards the average: k Σ W_ij (x_j - x_i). With "
            "the opposite sign, differences grow until something stops them.",
            remedy=(
                "Take k > 0." if (k < 0).any() else "Use source - target, not target - source.",
            ),
        )
    elif (k < 0).any():
        yield Finding(
            "negative_k",
            "warning",
            f"The coupling {name!r} has a negative k, {k.min():.3g}.",
            why="It inhibits: regions go into opposite phases rather than synchronise.",
            remedy=("Take k > 0, unless inhibition is meant.",),
        )
    if (k == 0).all():
        yield Finding(
            "no_coupling",
            "warning",
            f"The coupling {name!r} has k = 0.",
            why="Every region then runs by itself.",
            remedy=("Scan k upwards from small values.",),
        )
        return
    forth, back = _reads(coupling, edges)
    if back > forth + 0.3:
        yield Finding(
            "rule_transposed",
            "error",
            f"The coupling {name!r} reads its weights transposed: what a region sends arrives along its "
            f"row of the weights (correlation {back:.2f}), not along its column ({forth:.2f}).",
            why="conn[i, j] is from source j onto target i, so the sum over sources is conn @ source.",
            remedy=("Write cf.weighted_sum(conn, source) instead of conn.T @ source.",),
        )


def _pull(coupling: Any, edges: EdgeList) -> float | None:
    """Return what a region above all others receives; None where the rule is not shift-invariant."""
    n = edges.regions
    size = edges.onto_each(np.abs(edges.weight) * edges.apart)
    size = size * (edges.onto_each(edges.weight * edges.apart) > 0)
    place = int(size.argmax())
    if not size[place]:
        return None
    level = jnp.full(n, 0.5, coupling.conn.dtype)
    raised = jnp.zeros_like(level).at[place].set(0.1)
    level, raised = (np.asarray(coupling(x, x)) for x in (level, raised))
    scale = np.abs(raised).max()
    if not scale or np.abs(level).max() > 1e-3 * scale or raised[place] == 0:
        return None
    return float(raised[place])


def _reads(coupling: Any, edges: EdgeList) -> tuple[float, float]:
    """Correlate what arrives from single sources with their columns, and with their rows, of weights."""
    lean = edges.chosen(edges.apart)
    uneven = lean.from_each(np.abs(lean.weight - lean.back))
    still = jnp.zeros(edges.regions, coupling.conn.dtype)
    got, columns, rows = [], [], []
    for j in np.argsort(-uneven, kind="stable")[:PROBES]:
        if not uneven[j]:
            break
        tried = [
            np.asarray(coupling(still.at[j].set(size), still) - coupling(still, still))
            for size in SIZES
        ]
        change = next((change for change in tried if change.any()), tried[0])
        column, row = np.zeros(edges.regions), np.zeros(edges.regions)
        column[lean.target[lean.source == j]] = lean.weight[lean.source == j]
        row[lean.source[lean.target == j]] = lean.weight[lean.target == j]
        apart = np.arange(edges.regions) != j
        got.append(change[apart])
        columns.append(column[apart])
        rows.append(row[apart])
    if not got:
        return 0.0, 0.0
    return _correlation(got, columns), _correlation(got, rows)


def _correlation(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    x, y = np.concatenate(a), np.concatenate(b)
    size = np.linalg.norm(x) * np.linalg.norm(y)
    return float(abs(x @ y) / size) if size else 0.0


def strengths_of(params: Params | None) -> list[Any]:
    """List the k of each coupling that has one."""
    return [part.k for _, part in parts(params) if hasattr(part, "k")]


def one_strength(params: Params | None) -> float | None:
    """Return k, if there is one number for all couplings; else None."""
    strengths = [np.asarray(k, float) for k in strengths_of(params)]
    return strengths[0].item() if [k.ndim for k in strengths] == [0] else None


def edges_of_part(part: Any, labels: tuple[str, ...] | None) -> EdgeList:
    """Return the edges of a coupling, with labels."""
    edges = edge_list(part.conn)
    return EdgeList(edges.target, edges.source, edges.weight, edges.regions, labels)
