"""Why a run went wrong: what its network, parameters and state of rest say, the likeliest first."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._connectome import EdgeList
from .._core import PyTree, names_of
from .._network import Network, Params
from ._before import is_driven
from ._report import Finding
from ._rule import edges_of_part, look_at_rule, one_strength, parts
from ._signals import Measures
from ._stability import NORMALISE, Stability, look_at_step, remedies_for_k, stability, states_of

RAW = 20.0  # a row sum beyond is of counts, rather than of normalised weights

Cause = tuple[str | None, str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Context:
    """What is known of a run beside its record.

    Attributes:
        net: the network, or None.
        params: its parameters, or None.
        edges: of its first coupling, or None.
        rules: what is wrong with its couplings themselves.
        stability: of its rest, or None.
        ranges: where each state is expected.
        bounds: where each state has a meaning.
    """

    net: Network | None
    params: Params | None
    edges: EdgeList | None
    rules: tuple[Finding, ...]
    stability: Stability | None
    ranges: Mapping[str, tuple[float, float]]
    bounds: Mapping[str, tuple[float | None, float | None]]
    labels: tuple[str, ...] | None = None

    def isolated(self) -> np.ndarray | None:
        """Which regions have no connection."""
        if self.edges is None:
            return None
        apart = self.edges.chosen(self.edges.apart)
        ends = np.concatenate([apart.target, apart.source])
        return np.bincount(ends, minlength=apart.regions) == 0

    def rule(self, code: str) -> Finding | None:
        """What was found wrong with a coupling, by its code."""
        return next((finding for finding in self.rules if finding.code == code), None)

    @property
    def row_sum(self) -> float:
        """The largest sum of |weights| onto a region."""
        if self.edges is None:
            return 0.0
        return float(self.edges.onto_each(np.abs(self.edges.weight)).max(initial=0.0))

    def why_it_explodes(self, turning: bool) -> Cause:
        """Of a network whose states leave all bounds."""
        remedies = remedies_for_k(self.stability, self.row_sum or None)
        rest = self.stability
        apart = self.rule("drives_apart")
        if apart is not None:
            return "drives_apart", apart.what, apart.remedy
        if rest is not None and rest.restless and rest.linear:
            return (
                "undamped",
                "Each region grows by itself, at any k, and nothing bounds it.",
                ("Give the node a leak: a < 0.", "Take a node that saturates."),
            )
        steps = list(look_at_step(self.net, rest)) if self.net is not None and rest else []
        long = next((finding for finding in steps if finding.code == "long_step"), None)
        raw = self.row_sum > RAW
        others = [remedy for remedy in remedies if remedy != NORMALISE]
        if rest is not None and rest.unstable and not rest.restless:
            where = f"Rest loses its stability at {rest.limit_in_words()}"
            if raw:
                return (
                    "raw_weights",
                    f"{where}: the weights are not normalised, row sums go up to "
                    f"{self.row_sum:.3g}.",
                    (NORMALISE, *others),
                )
            given = f"k is {rest.k:.3g}" if rest.k is not None else "the strengths are above that"
            return "strong_k", f"{where}, and {given}.", remedies
        if long is not None or turning:
            return (
                "long_step",
                long.what
                if long
                else "It changes its direction at every sample: a step is too long.",
                ("Take a smaller dt.", *((NORMALISE,) if raw else ()), "Reduce k."),
            )
        if raw:
            why = f"The weights are not normalised: row sums go up to {self.row_sum:.3g}."
            return "raw_weights", why, (NORMALISE, *others)
        return None, "Most often k is too large for the weights.", (*remedies, "Take a smaller dt.")

    def why_it_leaves(self) -> Cause:
        """Of states beyond the range of their node."""
        apart = self.rule("drives_apart") or self.rule("rule_transposed")
        if apart is not None:
            return apart.code, apart.what, apart.remedy
        remedies = remedies_for_k(self.stability, self.row_sum or None)
        if self.row_sum > RAW:
            why = f"The weights are not normalised: row sums go up to {self.row_sum:.3g}."
            others = (remedy for remedy in remedies if remedy != NORMALISE)
            return "raw_weights", why, (NORMALISE, *others)
        why = "Its input is larger than the model was made for, or in another unit."
        unit = "Check the unit of the input: a rate is per ms."
        return None, why, (remedies[0], unit, *remedies[1:])

    def why_it_dies(self, name: str, last: np.ndarray) -> Cause:
        """Of a network that comes to rest."""
        if name in self.ranges:
            low, high = self.ranges[name]
            if (last > low + 0.9 * (high - low)).all():
                return (
                    "saturated",
                    "All regions are at the upper end of their range: the input is so strong that it "
                    "holds them there.",
                    ("Reduce k.", "Normalise the weights.", "Check the unit of the input."),
                )
        rest = self.stability
        if rest is not None and rest.restless and not rest.unstable:
            return (
                "amplitude_death",
                "The regions oscillate without coupling, and the coupling holds them still.",
                ("Reduce k.", "Make the regions' frequencies more alike, or look at the delays."),
            )
        driven = self.params is not None and is_driven(self.params)
        if driven:
            return (
                None,
                "Noise is too weak to be seen beside where the run began.",
                ("More noise.",),
            )
        limit = ""
        if rest is not None and 0 < rest.limit < np.inf:
            limit = f", above {rest.limit_in_words()}"
        return (
            "nothing_moves_it",
            "Rest is stable, and no noise keeps the network moving.",
            (
                "Give Params(noise=...).",
                "Move the node beyond its bifurcation (for hopf a > 0).",
                f"Increase k{limit}.",
            ),
        )

    def why_it_drives_apart(self) -> Cause:
        """Of regions that are in opposite phases."""
        for code in ("drives_apart", "negative_k", "rule_transposed"):
            found = self.rule(code)
            if found is not None:
                return code, found.what, found.remedy
        if self.edges is not None and (self.edges.weight < 0).any():
            why = "There are negative weights, which repel."
            return "negative_weights", why, ("Look at the signs of the weights.",)
        return (
            None,
            "Coupling that repels does so, and so does a delay of half a cycle.",
            (
                "Check the sign: diffusive coupling adds k Σ W_ij (x_j - x_i).",
                "Check the orientation: conn[i, j] is from j onto i.",
                "Change the speed, and so the delays.",
            ),
        )

    def why_it_stays_apart(self, m: Measures, parts_apart: bool) -> Cause:
        """Of regions that do not synchronise."""
        found = self.rule("drives_apart") or self.rule("no_coupling")
        if found is not None:
            return found.code, found.what, found.remedy
        alone = self.isolated()
        if alone is not None and alone.sum() > 0.2 * len(alone):
            return (
                "isolated",
                f"{int(alone.sum())} of {len(alone)} regions have no connection.",
                ("Look at isolated_nodes(conn): leave them out, or lower the threshold.",),
            )
        if parts_apart:
            return (
                "disconnected",
                "Parts of the network have no connection.",
                ("Look at the threshold, and the blocks between the hemispheres.",),
            )
        return "weak_k", "The coupling is too weak for what tells the regions apart.", self._more(m)

    def _more(self, m: Measures) -> tuple[str, ...]:
        """How to couple more strongly, with a k where one can be told."""
        increase, rest = "Increase k.", self.stability
        k = one_strength(self.params)
        if self.edges is not None and k:
            mean = float(self.edges.onto_each(np.abs(self.edges.weight)).mean())
            # All to all, phases with a Gaussian spread of frequencies lock from sqrt(8 / pi) of it.
            onset = np.sqrt(8 / np.pi) * m.spread / mean if mean else 0.0
            if rest is not None and k < 0.9 * rest.limit * k < np.inf:
                increase = (
                    f"Increase k, to about {0.9 * rest.limit * k:.2g}, below where rest ends."
                )
            elif onset > k:
                increase = (
                    f"Increase k, to above about {onset:.2g}: the spread of frequencies over the mean "
                    "row sum."
                )
        return (
            increase,
            "Look at the topology: isolated_nodes(conn), and weights of a few edges alone.",
            "Run longer.",
            "Reduce the noise, or the spread of frequencies.",
        )


def context_of(net: Network | None, params: Params | None, x0: Any, record: PyTree) -> Context:
    """Gather what there is."""
    given = [(name, part, edges_of_part(part, None)) for name, part in parts(params)]
    edges = given[0][2] if given else None
    rules: list[Finding] = []
    for each in given:
        rules += look_at_rule(*each)
    rest = None
    if net is not None and params is not None:
        x = states_of(net, x0) if x0 is not None else _first(net, record)
        rest = stability(net, params, x) if x is not None else None
    ranges = dict(getattr(net.node, "ranges", {})) if net is not None else {}
    bounds = dict(getattr(net.node, "bounds", {})) if net is not None else {}
    return Context(net, params, edges, tuple(rules), rest, ranges, bounds)


def _first(net: Network, record: PyTree) -> PyTree | None:
    """The first sample, where it has all the states that a search for rest starts from."""
    if not (isinstance(record, Mapping) or hasattr(record, "_fields")):
        return None
    if any(name not in names_of(record) for name in net.node.states):
        return None
    first = jax.tree.map(lambda x: jnp.asarray(x)[0], record)
    finite = all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(first))
    return first if finite else None
