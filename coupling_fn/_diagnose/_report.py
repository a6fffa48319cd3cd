"""What a diagnosis says: findings, the most severe first, and what was measured."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

Severity = Literal["error", "warning", "note"]
ORDER = {"error": 0, "warning": 1, "note": 2}
LISTED = 6  # How many places of a finding are printed.


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a diagnosis found.

    Attributes:
        code: a word for the kind of finding, which stays the same from release to release.
        severity: "error" for what makes results wrong or infinite, "warning" for what probably does,
            "note" for what is only good to know.
        what: what was found, in a sentence with the numbers.
        where: all places it concerns: regions by index, or edges as (target, source).
        labels: the names of these places, if the connectome has labels.
        why: why it matters; of a run, why it happened.
        remedy: what to do, the most promising first.
        cause: of what went wrong in a run, the code of its likely cause; else None.

    Example:
        >>> report = cf.diagnose(jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        >>> finding = report.findings[0]
        >>> finding.code, finding.severity, finding.where
        ('isolated', 'warning', (2,))
    """

    code: str
    severity: Severity
    what: str
    where: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    why: str = ""
    remedy: tuple[str, ...] = ()
    cause: str | None = None

    def __str__(self) -> str:
        code = f"{self.code}, by {self.cause}" if self.cause else self.code
        lines = [f"{self.severity}: {self.what} [{code}]"]
        if self.where:
            names = self.labels or [""] * len(self.where)
            pairs = list(zip(self.where, names, strict=True))[:LISTED]
            more = f", and {len(self.where) - LISTED} more" if len(self.where) > LISTED else ""
            named = (f"{place} ({name})" if name else f"{place}" for place, name in pairs)
            lines.append(f"where: {', '.join(named)}{more}")
        if self.why:
            lines.append(f"why: {self.why}")
        if len(self.remedy) > 1:
            lines += [f"{n}. {what}" for n, what in enumerate(self.remedy, 1)]
        else:
            lines += [f"do: {what}" for what in self.remedy]
        return "\n    ".join(lines)


@dataclasses.dataclass(frozen=True)
class Report:
    """What `diagnose` and `diagnose_run` found; `print` shows it as text.

    Attributes:
        findings: all findings, the most severe first.
        facts: what was measured, by name.

    Example:
        >>> report = cf.diagnose(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> report.codes, report.facts["symmetric"]
        ((), True)
        >>> print(report)
        regions: 2, edges: 2, density: 1, symmetric: True, largest weight: 1,
        largest row sum: 1, spectral radius: 1
        Nothing is wrong.
    """

    findings: tuple[Finding, ...]
    facts: Mapping[str, Any]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings, the most severe first."""
        return tuple(finding.code for finding in self.findings)

    def __str__(self) -> str:
        facts = ", ".join(f"{name}: {_short(value)}" for name, value in self.facts.items())
        return "\n".join([facts, *map(str, self.findings or ("Nothing is wrong.",))])


def report(findings: Iterable[Finding], facts: Mapping[str, Any]) -> Report:
    """Sort the findings by severity; of equal ones, the first found stays first."""
    return Report(tuple(sorted(findings, key=lambda f: ORDER[f.severity])), dict(facts))


def regions(where: Any, labels: Sequence[str] | None = None) -> dict[str, Any]:
    """Return `where` and `labels` of a finding on regions, given by index or by a mask."""
    where = np.asarray(where)
    where = np.flatnonzero(where) if where.dtype == bool else where
    index = tuple(int(i) for i in where)
    return {"where": index, "labels": tuple(labels[i] for i in index) if labels else ()}


def pairs(edges: Any, which: np.ndarray) -> dict[str, Any]:
    """Return `where` and `labels` of a finding on the edges that a mask chooses."""
    places = zip(edges.target[which].tolist(), edges.source[which].tolist(), strict=True)
    places, labels = tuple(places), edges.labels
    named = tuple(f"{labels[j]} to {labels[i]}" for i, j in places) if labels else ()
    return {"where": places, "labels": named}


def count(n: int, thing: str) -> str:
    """Write a number of things: `1 region`, `2 regions`."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def counted(n: int, thing: str, singular: str, plural: str) -> str:
    """Write a number of things with their verb: `1 region has`, `2 regions have`."""
    return f"{count(n, thing)} {singular if n == 1 else plural}"


def about(value: float) -> str:
    """Write a number to two digits, without an exponent where that is short."""
    return f"{float(f'{value:.2g}'):g}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
