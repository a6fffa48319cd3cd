"""Why a run went wrong: what its network, its parameters and its state of rest say of that.

There is a method per symptom. It tries causes from the most certain to the least, and returns the first
that is there.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._connectome import EdgeList
from .._core import PyTree, names_of
from .._network import Network, Params
from ._before import is_driven
from ._report import Finding
from ._rule import (
    edges_of_part,
    edges_of_whole,
    ends_of,
    look_at_rule,
    numbers_of,
    one_strength,
    parts,
)
from ._signals import Measures
from ._stability import NORMALISE, Stability, look_at_step, remedies_for_k, stability, states_of

RAW = 20.0  # Larger row sums are of raw counts rather than of normalised weights.


class Cause(NamedTuple):
    """The cause of a symptom, as a `Finding` takes it: its code (if it has one), why, and the remedy."""

    cause: str | None
    why: str
    remedy: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Context:
    """What is known of a run beside its record.

    Attributes:
        net: the network, or None.
        params: its parameters, or None.
        edges: the edges of its first coupling, or None; those of all projections of a hybrid network.
        numbers: the numbers of each subnetwork's regions; empty where there are none.
        rules: the findings on its couplings themselves.
        stability: that of its state of rest, or None.
        ranges: the range in which each state is expected.
        bounds: the bounds outside of which a state has no meaning.
    """

    net: Network | None
    params: Params | None
    edges: EdgeList | None
    numbers: Mapping[str, np.ndarray]
    rules: tuple[Finding, ...]
    stability: Stability | None
    ranges: Mapping[str, tuple[float, float]]
    bounds: Mapping[str, tuple[float | None, float | None]]

    def isolated(self) -> np.ndarray | None:
        """Mark the regions that have no connection; None where there is no coupling."""
        if self.edges is None:
            return None
        apart = self.edges.chosen(self.edges.apart)
        ends = np.concatenate([apart.target, apart.source])
        return np.bincount(ends, minlength=apart.regions) == 0

    def of_signal(self, name: str, values: np.ndarray) -> np.ndarray:
        """Choose, of values of all regions, those of the regions that have a signal."""
        return (
            values[self.numbers[part]]
            if (part := name.rpartition(".")[0]) in self.numbers
            else values
        )

    def rule(self, code: str) -> Finding | None:
        """Return the finding on a coupling that has this code, if there is one."""
        return next((finding for finding in self.rules if finding.code == code), None)

    @property
    def row_sum(self) -> float:
        """The largest sum of |weights| onto a region."""
        if self.edges is None:
            return 0.0
        return float(self.edges.onto_each(np.abs(self.edges.weight)).max(initial=0.0))

    def why_it_explodes(self, turning: bool) -> Cause:
        """Find the cause of states that leave all bounds; `turning` is whether every sample turns."""
        apart, rest = self.rule("drives_apart"), self.stability
        if apart is not None:
            return Cause("drives_apart", apart.what, apart.remedy)
        if rest is not None and rest.restless and rest.linear:
            return Cause(
                "undamped",
                "Each region grows by itself, at any k, and nothing bounds it.",
                ("Give the node a leak: a < 0.", "Take a node that saturates."),
            )
        if rest is not None and rest.unstable and not rest.restless:
            return self._unstable_rest(rest)
        steps = look_at_step(self.net, rest) if self.net is not None and rest else ()
        long = next((finding for finding in steps if finding.code == "long_step"), None)
        if long is not None or turning:
            return Cause(
                "long_step",
                "The signal changes direction at every sample: the step is too long."
                if long is None
                else long.what,
                (
                    "Take a smaller dt.",
                    *((NORMALISE,) if self.row_sum > RAW else ()),
                    "Reduce k.",
                ),
            )
        if self.row_sum > RAW:
            return self._raw_weights()
        why = "Most often, k is too large for the weights."
        return Cause(None, why, (*self._remedies, "Take a smaller dt."))

    def _unstable_rest(self, rest: Stability) -> Cause:
        """Describe a k above that at which rest loses its stability."""
        where = f"Rest loses its stability at {rest.limit_in_words()}"
        if self.row_sum > RAW:
            return self._raw_weights(f"{where}: the weights")
        given = "the coupling strengths are above that" if rest.k is None else f"k is {rest.k:.3g}"
        return Cause("strong_k", f"{where}, and {given}.", self._remedies)

    def _raw_weights(self, what: str = "The weights") -> Cause:
        """Describe weights that are not normalised; then that is the first thing to do."""
        others = (remedy for remedy in self._remedies if remedy != NORMALISE)
        return Cause(
            "raw_weights",
            f"{what} are not normalised, and row sums go up to {self.row_sum:.3g}.",
            (NORMALISE, *others),
        )

    @property
    def _remedies(self) -> tuple[str, ...]:
        """What to do about a k that is too large."""
        return remedies_for_k(self.stability, self.row_sum or None)

    def why_it_leaves(self) -> Cause:
        """Find the cause of states outside the range of their node."""
        apart = self.rule("drives_apart") or self.rule("rule_transposed")
        if apart is not None:
            return Cause(apart.code, apart.what, apart.remedy)
        if self.row_sum > RAW:
            return self._raw_weights()
        first, *others = self._remedies
        return Cause(
            None,
            "The input is larger than the model was made for, or in another unit.",
            (first, "Check the unit of the input: a rate is per ms.", *others),
        )

    def why_it_dies(self, name: str, last: np.ndarray) -> Cause:
        """Find the cause of a network that comes to rest, at the values `last` of a state."""
        if name in self.ranges:
            low, high = self.ranges[name]
            if (last > low + 0.9 * (high - low)).all():
                return Cause(
                    "saturated",
                    "All regions are at the upper end of their range: the input is so strong that it "
                    "holds them there.",
                    ("Reduce k.", "Normalise the weights.", "Check the unit of the input."),
                )
        rest = self.stability
        if rest is not None and rest.restless and not rest.unstable:
            return Cause(
                "amplitude_death",
                "The regions oscillate without coupling, and the coupling holds them still.",
                ("Reduce k.", "Make the regions' frequencies more alike, or check the delays."),
            )
        if self.params is not None and is_driven(self.params):
            return Cause(
                None,
                "What noise or input moves is too small to be seen beside the state that the run "
                "started from.",
                ("Increase the noise, or the input.",),
            )
        limit = ""
        if rest is not None and 0 < rest.limit < np.inf:
            limit = f" above {rest.limit_in_words()}"
        return Cause(
            "nothing_moves_it",
            "Rest is stable, and no noise keeps the network moving.",
            (
                "Give cf.Params(noise=...).",
                "Move the node beyond its bifurcation (for cf.nodes.hopf, a > 0).",
                f"Increase k{limit}.",
            ),
        )

    def why_it_drives_apart(self) -> Cause:
        """Find the cause of regions in opposite phases."""
        for code in ("drives_apart", "negative_k", "rule_transposed"):
            found = self.rule(code)
            if found is not None:
                return Cause(code, found.what, found.remedy)
        if self.edges is not None and (self.edges.weight < 0).any():
            why = "Some weights are negative, and these repel."
            return Cause("negative_weights", why, ("Check the signs of the weights.",))
        return Cause(
            None,
            "A coupling that repels does that, and so does a delay of half a cycle.",
            (
                "Check the sign: diffusive coupling adds k Σ W_ij (x_j - x_i).",
                "Check the orientation: conn[i, j] is from j onto i.",
                "Change the conduction speed, and thereby the delays.",
            ),
        )

    def why_it_stays_apart(self, m: Measures, parts_apart: bool) -> Cause:
        """Find the cause of regions, or of parts, that do not synchronise."""
        found = self.rule("drives_apart") or self.rule("no_coupling")
        if found is not None:
            return Cause(found.code, found.what, found.remedy)
        alone = self.isolated()
        if alone is not None and alone.sum() > 0.2 * len(alone):
            return Cause(
                "isolated",
                f"{int(alone.sum())} of {len(alone)} regions have no connection.",
                (
                    "Leave out those that cf.graph.isolated_nodes(conn) marks, or lower the threshold.",
                ),
            )
        if parts_apart:
            return Cause(
                "disconnected",
                "The network falls into parts with no connection between them.",
                ("Check the threshold, and the blocks between the hemispheres.",),
            )
        why = "The coupling is too weak for how different the regions are."
        return Cause("weak_k", why, self._more(m))

    def _more(self, m: Measures) -> tuple[str, ...]:
        """List how to couple more strongly, with the k to try where one is known."""
        increase, rest = "Increase k.", self.stability
        k = one_strength(self.params)
        if self.edges is not None and k:
            mean = float(self.edges.onto_each(np.abs(self.edges.weight)).mean())
            # With all-to-all coupling, phases whose frequencies spread like a Gaussian lock from
            # sqrt(8 / pi) of that spread on.
            onset = np.sqrt(8 / np.pi) * m.spread / mean if mean else 0.0
            if rest is not None and k < 0.9 * rest.limit * k < np.inf:
                increase = (
                    f"Increase k to about {0.9 * rest.limit * k:.2g}, where rest is still stable."
                )
            elif onset > k:
                increase = (
                    f"Increase k to above about {onset:.2g}: the spread of frequencies over the mean "
                    "row sum."
                )
        return (
            increase,
            "Check the topology: cf.graph.isolated_nodes(conn), and whether few edges have most weight.",
            "Run longer.",
            "Reduce the noise, or the spread of frequencies.",
        )


def context_of(net: Network | None, params: Params | None, x0: Any, record: PyTree) -> Context:
    """Gather what is known of a run."""
    given = [(name, part, edges_of_part(part, None)) for name, part in parts(params)]
    ends, edges = ends_of(net, params), given[0][2] if given else None
    if ends:
        edges = edges_of_whole(given, ends)
    rules: list[Finding] = []
    for name, part, each in given:
        rules += look_at_rule(name, part, each, name in ends and ends[name].across)
    rest = None
    if net is not None and params is not None:
        x = states_of(net, x0) if x0 is not None else _first(net, record)
        rest = stability(net, params, x) if x is not None else None
    ranges = dict(getattr(net.node, "ranges", {})) if net is not None else {}
    bounds = dict(getattr(net.node, "bounds", {})) if net is not None else {}
    return Context(net, params, edges, numbers_of(net, params), tuple(rules), rest, ranges, bounds)


def _first(net: Network, record: PyTree) -> PyTree | None:
    """Return the first sample, if it has all states, finite, that a search for rest starts from."""
    if not (isinstance(record, Mapping) or hasattr(record, "_fields")):
        return None
    if any(name not in names_of(record) for name in net.node.states):
        return None
    first = jax.tree.map(lambda x: jnp.asarray(x)[0], record)
    finite = all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(first))
    return first if finite else None
