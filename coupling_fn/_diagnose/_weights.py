"""What may be wrong with the weights alone: who is connected, how, and how strongly."""

from collections.abc import Iterator

import numpy as np

from .._connectome import EdgeList, connected_parts, in_one_triangle
from .._formats import codes_off, counts_off, minus_one_is_missing
from ._report import Finding, count, counted, pairs, regions

OUTLIER = 30.0  # How many times the next smaller weight an outlier is,
OUTLIER_AMONG = 100  # where there are at least so many weights.
# Correlations are dense, and with 1 on their diagonal they have no negative eigenvalue, but large ones.
DENSE, NEGATIVE, LARGE = 0.9, -0.1, 1.5
SAME = 1e-4  # Relative difference of sums that were made equal, in float32.


def finite(edges: EdgeList) -> tuple[EdgeList, list[Finding]]:
    """Keep the edges whose weight is finite; also return the finding on the others."""
    bad = ~np.isfinite(edges.weight)
    if not bad.any():
        return edges, []
    finding = Finding(
        "not_finite",
        "error",
        f"{counted(int(bad.sum()), 'weight', 'is', 'are')} NaN or infinite.",
        **pairs(edges, bad),
        why="Each makes the state of its target NaN within one step, and then that of every region "
        "downstream.",
        remedy=(
            "Give a tract that is missing from the data the weight 0: "
            "jnp.where(jnp.isfinite(conn), conn, 0).",
        ),
    )
    return edges.chosen(~bad), [finding]


def look_at_weights(edges: EdgeList) -> Iterator[Finding]:
    """List the findings on finite weights, and on the labels of the regions."""
    yield from _labels(edges)
    apart = edges.chosen(edges.apart)
    if not len(apart):
        yield Finding(
            "no_edges",
            "error",
            "No region is connected to another.",
            why="Every k then gives the same run, that of uncoupled regions.",
            remedy=("Check how the weights were read and thresholded.",),
        )
        return
    whole = [*_looks_like_something_else(edges, apart)]
    yield from whole
    yield from _connections(edges, apart)
    if not whole:
        yield from _self_connections(edges, apart)
        yield from _signs(apart)
    yield from _sizes(edges, apart)


def _looks_like_something_else(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    """Find matrices that are no weights: Laplacians, correlations, an index, and halves."""
    own = np.zeros(edges.regions)
    own[edges.target[~edges.apart]] = edges.weight[~edges.apart]
    sums = apart.onto_each(apart.weight)
    if (own != 0).any() and np.allclose(sums, -own, rtol=1e-3, atol=1e-6 * np.abs(own).max()):
        turned = own.sum() > 0
        yield Finding(
            "laplacian",
            "error",
            f"Every row sums to 0, with {'positive' if turned else 'negative'} numbers on the "
            f"diagonal: this looks like a graph Laplacian, {'D - W' if turned else 'W - D'}, not "
            "like weights.",
            why="A coupling forms the Laplacian from the weights itself."
            + (" With the opposite sign, every neighbour pushes away." if turned else ""),
            remedy=(
                "Set the diagonal to 0: "
                f"cf.surgery.without_self_connections({'-L' if turned else 'L'}).",
            ),
        )
    yield from _correlations(edges, apart, own)
    others = np.arange(1, edges.regions)
    row, column = (
        edges.look_up(edges.weight, *ends) for ends in ((0 * others, others), (others, 0 * others))
    )
    counts = counts_off(own[0], row, column)
    if counts or codes_off(own[0], row, column):
        yield Finding(
            "index_as_data",
            "error" if counts else "warning",
            f"The first row and the first column are {row[0]:g}, {row[1]:g}, {row[2]:g} and so on: this "
            "looks like an index of the regions, not like weights.",
            **regions([0], edges.labels),
            why="The index then is a region with by far the strongest connections.",
            remedy=(
                "Leave the first row and column out: weights[1:, 1:], and so for the lengths.",
            ),
        )
    elif in_one_triangle(edges):
        half = "upper" if (apart.source > apart.target).all() else "lower"
        yield Finding(
            "one_triangle",
            "error",
            f"All {len(apart)} weights are in the {half} triangle of the matrix.",
            why="Tractography that counts each tract once writes half of a symmetric matrix. Read as "
            "conn[i, j] from j onto i, every tract runs in one direction alone, and nothing comes back.",
            remedy=(
                "Fill in the other half: cf.surgery.symmetrize(connectome) gives each direction half of "
                "the weight and the length of the tract, W + W.T all of the weight.",
                "Of a network that is meant to be feedforward, this is no fault.",
            ),
        )


def _correlations(edges: EdgeList, apart: EdgeList, own: np.ndarray) -> Iterator[Finding]:
    """Find matrices of correlations, also without their diagonal and as Fisher z."""
    n, size = len(own), np.abs(apart.weight)
    even = size.max() > 0 and np.abs(apart.weight - apart.back).max() <= 1e-5 * size.max()
    if n < 3 or not even or len(apart) <= DENSE * n * (n - 1) or size.max() > 4:
        return
    if np.allclose(own, 1, atol=1e-6) and size.max() <= 1:
        what = "All weights lie between -1 and 1, the diagonal is 1, and the matrix is symmetric"
    elif _only_of_correlations(n, apart, apart.weight):
        what = (
            "All weights lie between -1 and 1, the matrix is symmetric, and with 1 on the diagonal it "
            "would have no negative eigenvalue"
        )
    elif _only_of_correlations(n, apart, np.tanh(apart.weight)):
        what = (
            "The matrix is symmetric, and tanh of it, with 1 on the diagonal, would have no negative "
            "eigenvalue, as where the weights are Fisher's z"
        )
    else:
        return
    yield Finding(
        "looks_like_fc",
        "warning",
        f"{what}: this looks like a matrix of correlations.",
        why="Functional connectivity is what a run is compared with, not what couples it.",
        remedy=(
            "Pass the structural weights.",
            "If correlations are meant as weights, set the diagonal to 0.",
        ),
    )


def _only_of_correlations(n: int, apart: EdgeList, weights: np.ndarray) -> bool:
    """Return whether weights, with 1 on the diagonal, have the eigenvalues of correlations.

    Positive weights have them by chance where most are small next to the largest, where all are
    alike, or where they were normalised to a spectral radius of 1.
    """
    size, signed = np.abs(weights), np.mean(weights < 0) > 0.1
    mostly_small = np.median(size) < 0.15 * size.max() or np.ptp(weights) < 0.1 * size.max()
    if size.max() > 1 or not 4 <= n <= 2000 or (mostly_small and not signed):
        return False
    matrix = np.eye(n)
    matrix[apart.target, apart.source] = weights
    values = np.linalg.eigvalsh(matrix)
    return bool(values[0] > NEGATIVE and (signed or values[-1] > 1 + LARGE))


def _labels(edges: EdgeList) -> Iterator[Finding]:
    """Find labels that several regions share."""
    labels = edges.labels or ()
    shared = {label for label in labels if labels.count(label) > 1}
    if shared:
        yield Finding(
            "duplicate_labels",
            "warning",
            f"{counted(len(shared), 'label', 'is', 'are')} not of one region alone.",
            **regions(np.array([label in shared for label in labels]), labels),
            why="A region cannot be named by such a label, and data of other files cannot be put into "
            "the order of these regions.",
            remedy=("Make them different, as by the hemisphere: L.V1 and R.V1.",),
        )


def _connections(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    """Find regions and parts of the network without a connection to others, or with it one way."""
    inward, outward = (
        np.bincount(ends, minlength=edges.regions) for ends in (apart.target, apart.source)
    )
    alone = (inward == 0) & (outward == 0)
    if alone.any():
        yield Finding(
            "isolated",
            "warning",
            f"{counted(int(alone.sum()), 'region', 'has', 'have')} no connection, neither in nor out.",
            **regions(alone, edges.labels),
            why="Coupling does not reach an isolated region: at no k does it synchronise with others.",
            remedy=(
                "Leave isolated regions out of the network; cf.graph.isolated_nodes(conn) marks them.",
                "Check whether a threshold or a mask cut them off.",
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
            f"The network falls into {len(names)} parts with no connection between them, of {listed} "
            "regions.",
            **regions(smaller, edges.labels),
            why="Each part runs by itself: at no k do the parts synchronise.",
            remedy=(
                "Check the threshold, and whether the blocks between the hemispheres are filled.",
                "Or simulate each part by itself.",
            ),
        )
    yield from _one_way(edges, inward, outward)


def _one_way(edges: EdgeList, inward: np.ndarray, outward: np.ndarray) -> Iterator[Finding]:
    """Find regions that only receive or only send, by the number of edges onto and from each."""
    silent, deaf = (outward == 0) & (inward > 0), (inward == 0) & (outward > 0)
    if silent.any():
        odd = silent.sum() >= max(2, 0.1 * edges.regions) and silent.sum() > 3 * deaf.sum()
        turned = (
            "If these regions had no injection of tracer, or are known to drive others, the matrix is "
            "possibly transposed: cf.from_source_target turns it."
        )
        yield Finding(
            "no_output",
            "note",
            counted(
                int(silent.sum()),
                "region",
                "sends nothing: its column of the weights is 0.",
                "send nothing: their columns of the weights are 0.",
            ),
            **regions(silent, edges.labels),
            why="A region that receives but does not send drives no other.",
            remedy=(turned,) if odd else (),
        )
    if deaf.any():
        yield Finding(
            "no_input",
            "note",
            counted(
                int(deaf.sum()),
                "region",
                "receives nothing: its row of the weights is 0.",
                "receive nothing: their rows of the weights are 0.",
            ),
            **regions(deaf, edges.labels),
            why="No k changes what such a region does, and two of them never synchronise.",
        )


def _self_connections(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    """Find regions that are connected to themselves."""
    own = edges.chosen(~edges.apart)
    if not len(own):
        return
    strength = np.abs(own.weight) > apart.onto_each(np.abs(apart.weight))[own.target]
    strong = strength.sum() > 0.5 * edges.regions
    yield Finding(
        "self_connections",
        "warning" if strong else "note",
        counted(len(own), "region", "is connected to itself", "are connected to themselves")
        + (", mostly more strongly than to all others." if strong else "."),
        **regions(own.target, edges.labels),
        why="Additive coupling then adds k times the weight times a region's own state to its rate of "
        "change; in a connectome, the diagonal mostly counts streamlines within a region.",
        remedy=(
            "Use cf.surgery.without_self_connections(conn), unless the node lacks its own recurrence.",
        ),
    )


def _signs(apart: EdgeList) -> Iterator[Finding]:
    """Find negative weights."""
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
        f"{int(negative.sum())} of {count(len(apart), 'weight')} are negative, {share:.0%} of the total "
        f"strength; {counted(int(pushed.sum()), 'row sum', 'is', 'are')} negative.",
        **pairs(apart, negative),
        why="With diffusive coupling, a negative weight drives two regions apart, and a region whose "
        "row sum is negative runs away from the average.",
        remedy=(
            *(
                ("-1 is the only negative weight: if it stands for a missing tract, write 0.",)
                if minus_one_is_missing(apart.weight)
                else ()
            ),
            "Structural weights are ≥ 0: check whether these are z-scores, logarithms of numbers below "
            "1 (take log(1 + w)), or correlations.",
            "For inhibition, use an additive rule, or a separate coupling with k < 0.",
        ),
    )


def _sizes(edges: EdgeList, apart: EdgeList) -> Iterator[Finding]:
    """Find outliers, weights normalised by column, and what their scale means for k."""
    size = np.abs(apart.weight)
    yield from _outliers(apart, size)
    rows, columns = (sums[sums > 0] for sums in (apart.onto_each(size), apart.from_each(size)))
    if _even(columns) and not _even(rows) and len(size) > edges.regions:
        yield Finding(
            "columns_even",
            "note",
            "The weights from every region have the same sum, but those onto the regions do not: the "
            "matrix is normalised by column, or possibly transposed.",
            why="Tracer fractions sum to 1 over the sources of each target, and normalising is usually "
            "by row: conn[i, j] is from j onto i.",
            remedy=(
                'Unless cf.normalize(by="column") is meant, turn the matrix: cf.from_source_target.',
            ),
        )
    yield from _scale(size, rows)


def _outliers(apart: EdgeList, size: np.ndarray) -> Iterator[Finding]:
    """Find the few weights beyond the largest gap."""
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
                    f"{counted(int(beyond.sum()), 'weight', 'is', 'are')} "
                    f"{ratio[gap]:.3g} times as large as the next smaller one.",
                    **pairs(apart, beyond),
                    why="An outlier dominates the input of its target, and normalising by the largest "
                    "weight makes all others small.",
                    remedy=("Check it in the data: it may be misread, or in another unit.",),
                )
                break


def _scale(size: np.ndarray, rows: np.ndarray) -> Iterator[Finding]:
    """Find weights on a scale at which k is far from 1, or of which a few hold most."""
    top = np.sort(size)[::-1][: max(1, len(size) // 100)].sum() / size.sum()
    heavy = len(size) >= OUTLIER_AMONG and top > 0.3
    biggest = float(rows.max())
    if heavy or not 0.1 <= biggest <= 10:
        tail = (
            f"the strongest 1% of the edges hold {top:.0%} of the total strength; " if heavy else ""
        )
        yield Finding(
            "scale",
            "note",
            f"Row sums range from {rows.min():.3g} to {biggest:.3g}; {tail}cf.normalize divides by "
            f'{size.max():.3g} (by="max"), or each row by its sum (by="row").',
            why="What k = 1 means follows the scale of the weights: the input is up to "
            f"{biggest:.3g} k times a state.",
            remedy=(
                f'Use cf.normalize(conn, by="row"), or scan k around {1 / biggest:.3g}.',
                *(("Take log(1 + w) before that, so that weak tracts count.",) if heavy else ()),
            ),
        )


def _even(sums: np.ndarray) -> bool:
    """Return whether the sums were made equal."""
    return len(sums) > 1 and float(np.ptp(sums)) <= SAME * float(sums.max())


def _symmetric(edges: EdgeList) -> bool:
    """Return whether each weight equals that of the opposite direction."""
    return bool(np.allclose(edges.weight, edges.back, rtol=1e-5, atol=0))


def facts_of(edges: EdgeList, radius: float) -> dict[str, object]:
    """Measure the size, the density and the strength of a connectome."""
    possible = edges.regions * (edges.regions - 1)
    size = np.abs(edges.weight)
    return {
        "regions": edges.regions,
        "edges": len(edges),
        "density": float(edges.apart.sum() / possible) if possible else 0.0,
        "symmetric": _symmetric(edges),
        "largest weight": float(size.max(initial=0.0)),
        "largest row sum": float(edges.onto_each(size).max(initial=0.0)),
        "spectral radius": radius,
    }
