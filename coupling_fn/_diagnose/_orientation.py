"""Check whether weights may be transposed. Only data or knowledge from elsewhere can tell that."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._connectome import EdgeList, edge_list, orientation_agreement, region_indices
from .._core import require_shape
from ._report import Finding, regions

SURE = 4.0  # How many standard deviations a correlation must be away from 0 to count,
LEAST = 0.1  # and how large it must at least be.

_WHY = "conn[i, j] is from source j onto target i; much data is stored the other way round."
_REMEDY = ("Transpose weights and lengths together: cf.from_source_target(connectome).",)


def look_at_orientation(
    edges: EdgeList, compare_with: Any, drivers: Iterable[Any]
) -> Iterator[Finding]:
    """List the findings from a second matrix, and from regions known to send more than they receive."""
    if compare_with is not None:
        other = edge_list(compare_with)
        require_shape(
            "compare_with", np.empty(other.regions), (edges.regions,), meaning="One per region."
        )
        agreement, shared = orientation_agreement(edges, other)
        if shared and agreement < -max(LEAST, SURE / np.sqrt(shared / 2)):
            yield Finding(
                "transposed",
                "warning",
                "The weights are possibly transposed: by the stronger direction of each pair of regions "
                f"they correlate with `compare_with` by {agreement:.2f}, and by {-agreement:.2f} once "
                "they are transposed.",
                why=_WHY,
                remedy=_REMEDY,
            )
    chosen = region_indices("drivers", drivers, edges.labels, edges.regions)
    if chosen.size:
        size = np.abs(edges.weight) * edges.apart
        inward, outward = edges.onto_each(size)[chosen].sum(), edges.from_each(size)[chosen].sum()
        if inward > outward:
            yield Finding(
                "transposed",
                "warning",
                "The weights are possibly transposed: the regions that should drive the others "
                f"receive {inward:.3g} in total, but send only {outward:.3g}.",
                **regions(chosen, edges.labels),
                why=_WHY,
                remedy=_REMEDY,
            )
