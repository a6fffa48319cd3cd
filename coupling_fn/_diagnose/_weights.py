"""What may be wrong with the weights alone: who is connected, how, and how strongly."""

from collections.abc import Iterator

import numpy as np

from .._connectome import EdgeList, connected_parts
from ._report import Finding, count, pairs, regions

OUTLIER = 30.0  # times the next smaller weight, among OUTLIER_AMONG weights or more
OUTLIER_AMONG = 100
SAME = 1e-4  # relative: sums that were made equal, in float32


def finite(edges: EdgeList) -> tuple[EdgeList, list[Finding]]:
    """The edges whose weight is a number, and what to say of the others."""
    bad = ~np.isfinite(edges.weight)
    if not bad.any():
        return edges, []
    finding = Finding(
        "not_finite",
        "error",
        f"{count(int(bad.sum()), 'weight')} {'is' if bad.sum() == 1 else 'are'} NaN or infinite.",
        **pairs(edges, bad),
        why="Each makes the state of its target NaN in one step, and then all that it reaches.",
        remedy=("A tract that is missing from the data is a weight of 0: jnp.nan_to_num(conn).",),
    )
    return edges.chosen(~bad), [finding]


def look_at_weights(edges: EdgeList) -> Iterator[Finding]:
    """Findings on finite weights."""
    apart = edges.chosen(edges.apart)
    if not len(apart):
        yield Finding(
            "no_edges",
            "error",
            "No region is connected to another.",
            why="Every k then gives the same run, that of uncoupled regions.",
            remedy=("Look at how the weights were read or thresholded.",),
        )
        return
    whole = [*_looks_like_something_else(edges, apart)]
    yield from whole
    yield from _connections(edges, apart)
    if not whole:
        yield from _self_connections(edges, apart)
        yield from _signs(edges, apart)
    yield from _sizes(edges, apart)


def _looks_like_something_else(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    own = np.zeros(edges.regions)
    own[edges.target[~edges.apart]] = edges.weight[~edges.apart]
    sums = apart.onto_each(apart.weight)
    if (own != 0).any() and np.allclose(sums, -own, rtol=1e-3, atol=1e-6 * np.abs(own).max()):
        turned = own.sum() > 0
        yield Finding(
            "laplacian",
            "error",
            f"Every row sums to 0 with {'positive' if turned else 'negative'} numbers on the "
            f"diagonal: this looks like a graph Laplacian, {'D - W' if turned else 'W - D'}, not "
            "like weights.",
            why="A coupling makes the Laplacian itself. "
            + ("With the signs turned, every neighbour pushes away." if turned else ""),
            remedy=(
                ("Take -L, " if turned else "Take L, ")
                + "and set its diagonal to 0: without_self_connections.",
            ),
        )
    ones = len(own) > 2 and np.allclose(own, 1, atol=1e-6) and np.abs(apart.weight).max() <= 1
    if ones and len(apart) > 0.9 * len(own) * (len(own) - 1) and _symmetric(edges):
        yield Finding(
            "looks_like_fc",
            "warning",
            "All weights lie within 1, those on the diagonal are 1, and it is symmetric: this looks "
            "like a matrix of correlations.",
            why="Functional connectivity is what a run is compared with, not what couples it.",
            remedy=("Pass the structural weights.", "If meant so, set the diagonal to 0."),
        )


def _connections(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    inward, outward = (
        np.bincount(ends, minlength=edges.regions) for ends in (apart.target, apart.source)
    )
    alone = (inward == 0) & (outward == 0)
    if alone.any():
        yield Finding(
            "isolated",
            "warning",
            f"{count(int(alone.sum()), 'region')} {'has' if alone.sum() == 1 else 'have'} no "
            "connection, neither in nor out.",
            **regions(alone, edges.labels),
            why="Coupling does not reach them: at no k do they synchronise with the others.",
            remedy=(
                "Leave them out of the network; isolated_nodes marks them.",
                "Look whether a threshold or a mask cut them off.",
            ),
        )
    part = connected_parts(edges)
    names, sizes = np.unique(part[~alone], return_counts=True)
    if len(names) > 1:
        listed = ", ".join(map(str, sorted(sizes.tolist(), reverse=True)[:6]))
        smaller = ~np.isin(part, names[sizes == sizes.max()][:1]) & ~alone
        yield Finding(
            "disconnected",
            "warning",
            f"The network falls into {len(names)} parts without a connection, of {listed} regions.",
            **regions(smaller, edges.labels),
            why="Each runs by itself: at no k do the parts synchronise.",
            remedy=(
                "Look at the threshold, and whether the blocks between the hemispheres are filled.",
                "Simulate the parts one by one.",
            ),
        )
    silent, deaf = (outward == 0) & ~alone, (inward == 0) & ~alone
    if silent.any():
        odd = silent.sum() >= max(2, 0.1 * edges.regions) and silent.sum() > 3 * deaf.sum()
        turned = "If they are those without an injection, or known to drive others, the matrix is"
        yield Finding(
            "no_output",
            "note",
            f"{count(int(silent.sum()), 'region')} without output: columns of 0.",
            **regions(silent, edges.labels),
            why="They receive and do not send: nothing follows them.",
            remedy=(f"{turned} possibly transposed: from_source_target.",) if odd else (),
        )
    if deaf.any():
        yield Finding(
            "no_input",
            "note",
            f"{count(int(deaf.sum()), 'region')} without input: rows of 0.",
            **regions(deaf, edges.labels),
            why="No k changes what they do; two of them never synchronise with each other.",
        )


def _self_connections(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    own = edges.chosen(~edges.apart)
    if not len(own):
        return
    strength = np.abs(own.weight) > apart.onto_each(np.abs(apart.weight))[own.target]
    strong = strength.sum() > 0.5 * edges.regions
    yield Finding(
        "self_connections",
        "warning" if strong else "note",
        f"{count(len(own), 'region')} {'is' if len(own) == 1 else 'are'} connected to "
        f"{'itself' if len(own) == 1 else 'themselves'}"
        + (", mostly more strongly than to all others." if strong else "."),
        **regions(own.target, edges.labels),
        why="Additive coupling then adds k times the weight to the own rate of change; in a "
        "connectome the diagonal mostly counts streamlines within a region.",
        remedy=("without_self_connections, unless the node lacks its own recurrence.",),
    )


def _signs(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    negative = apart.weight < 0
    if not negative.any():
        return
    share = -apart.weight[negative].sum() / np.abs(apart.weight).sum()
    sums = apart.onto_each(apart.weight)
    pushed = sums < 0
    senders = np.unique(apart.source[negative])
    inhibitory = not (apart.from_each((apart.weight > 0).astype(float))[senders] > 0).any()
    yield Finding(
        "negative_weights",
        "note" if inhibitory and not pushed.all() else "warning",
        f"{count(int(negative.sum()), 'weight')} of {len(apart)} are negative, {share:.0%} of all "
        f"strength; {count(int(pushed.sum()), 'row sum')} are, too.",
        **pairs(apart, negative),
        why="With diffusive coupling a negative weight drives two regions apart, and where a row "
        "sum is negative the region runs away from the average.",
        remedy=(
            "Structural weights are ≥ 0: look for a z-score, a logarithm of numbers below 1 (take "
            "log(1 + w)), or correlations in their place.",
            "For inhibition use an additive rule, or a coupling of its own with k < 0.",
        ),
    )


def _sizes(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    size = np.abs(apart.weight)
    steps = np.unique(size)
    if len(size) >= OUTLIER_AMONG and len(steps) > 1:
        ratio = steps[1:] / steps[:-1]
        gaps = np.flatnonzero(ratio > OUTLIER)
        for gap in gaps[::-1]:
            beyond = size > steps[gap]
            if 0 < beyond.sum() <= max(2, 0.01 * len(size)):
                yield Finding(
                    "outlier",
                    "warning",
                    f"{count(int(beyond.sum()), 'weight')} {'is' if beyond.sum() == 1 else 'are'} "
                    f"{ratio[gap]:.3g} times as large as the next.",
                    **pairs(apart, beyond),
                    why="It rules its targets, and normalising by the largest weight makes all "
                    "others small.",
                    remedy=("Look at it in the data: a misread number, or another unit?",),
                )
                break
    top = np.sort(size)[::-1][: max(1, len(size) // 100)].sum() / size.sum()
    rows, columns = (x(size) for x in (apart.onto_each, apart.from_each))
    rows, columns = rows[rows > 0], columns[columns > 0]
    if _even(columns) and not _even(rows) and len(size) > edges.regions:
        yield Finding(
            "columns_even",
            "note",
            "The weights from every region sum to the same, those onto the regions do not: the "
            "matrix is normalised by column, or possibly transposed.",
            why="Tracer fractions sum to 1 over the sources of a target, and by row is the usual "
            "normalisation: conn[i, j] is from j onto i.",
            remedy=('If it was not normalize(by="column"), turn it: from_source_target.',),
        )
    heavy = len(size) >= OUTLIER_AMONG and top > 0.3
    biggest = float(rows.max())
    if heavy or not 0.1 <= biggest <= 10:
        tail = f"the strongest 1 % of edges hold {top:.0%} of all strength; " if heavy else ""
        yield Finding(
            "scale",
            "note",
            f"Row sums span {rows.min():.3g} to {biggest:.3g}; {tail}normalize divides by "
            f'{size.max():.3g} (by="max"), or each row by its sum (by="row").',
            why="What k = 1 means follows the scale of the weights: the input is up to k times "
            f"{biggest:.3g} times a state.",
            remedy=(
                f'normalize(conn, by="row"), or scan k around {1 / biggest:.3g}.',
                *(("log(1 + w) before that, so that weak tracts count.",) if heavy else ()),
            ),
        )


def _even(sums: np.ndarray) -> bool:
    return len(sums) > 1 and float(np.ptp(sums)) <= SAME * float(sums.max())


def _symmetric(edges: EdgeList) -> bool:
    return bool(np.allclose(edges.weight, edges.back, rtol=1e-5, atol=0))


def facts_of(edges: EdgeList, radius: float) -> dict[str, object]:
    """What there is to know of a connectome in numbers."""
    pairs_of = edges.regions * (edges.regions - 1)
    size = np.abs(edges.weight)
    return {
        "regions": edges.regions,
        "edges": len(edges),
        "density": float(edges.apart.sum() / pairs_of) if pairs_of else 0.0,
        "symmetric": _symmetric(edges),
        "largest weight": float(size.max(initial=0.0)),
        "largest row sum": float(edges.onto_each(size).max(initial=0.0)),
        "spectral radius": radius,
    }
