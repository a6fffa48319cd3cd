"""How alike two measurements of the same subjects are: test-retest reliability."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from .._core import as_float, in_short, require_choice
from ._result import CohortFit, leaves_of

Kind = Literal["ICC(2,1)", "ICC(3,1)"]


def icc(
    values: Float[ArrayLike, "subject session *shape"], kind: Kind = "ICC(2,1)"
) -> Float[Array, "*shape"]:
    r"""Compute the intraclass correlation of $n$ subjects that were measured in $k$ sessions.

    With the mean squares of the two-way analysis of variance, between subjects $R = \frac{k}{n - 1}
    \sum_s (\bar x_s - \bar x)^2$, between sessions $C = \frac{n}{k - 1} \sum_j (\bar x_j - \bar x)^2$,
    and of the rest $E = \frac{1}{(n - 1)(k - 1)} \sum_{sj} (x_{sj} - \bar x_s - \bar x_j + \bar x)^2$,

    - ICC(2,1) $= (R - E) / (R + (k - 1) E + \frac{k}{n} (C - E))$: absolute agreement, in which a shift
      between sessions counts as error;
    - ICC(3,1) $= (R - E) / (R + (k - 1) E)$: consistency, in which it does not.

    1 is perfect, and 0 no more than chance; it may be negative.

    Args:
        values: what was measured, of each subject in each session; NaN where all are equal. [any
            unit]
        kind: "ICC(2,1)" or "ICC(3,1)".

    Returns:
        The intraclass correlation of a single measurement. [1]

    Raises:
        ValueError: if there are fewer than two subjects or sessions, or `kind` is another.

    Source:
        P. Shrout, J. Fleiss, Psychol. Bull. 86 (1979) 420-428.

    Example:
        >>> first, second = jnp.asarray([0.10, 0.20, 0.40]), jnp.asarray([0.12, 0.22, 0.42])
        >>> values = jnp.stack([first, second], axis=1)
        >>> [round(float(cf.cohort.icc(values, kind)), 3) for kind in ("ICC(2,1)", "ICC(3,1)")]
        [0.992, 1.0]
    """
    require_choice("kind", kind, ("ICC(2,1)", "ICC(3,1)"))
    x = as_float("values", values)
    if x.ndim < 2 or min(x.shape[:2]) < 2:
        raise ValueError(
            "`values` must be (subject, session, ...) with at least two of each; its shape is "
            f"{x.shape}."
        )
    n, k = x.shape[:2]
    x = x - x.mean((0, 1), keepdims=True)
    subjects, sessions = x.mean(1, keepdims=True), x.mean(0, keepdims=True)
    between = k * jnp.sum(subjects**2, (0, 1)) / (n - 1)
    shift = n * jnp.sum(sessions**2, (0, 1)) / (k - 1)
    rest = jnp.sum((x - subjects - sessions) ** 2, (0, 1)) / ((n - 1) * (k - 1))
    total = between + (k - 1) * rest
    if kind == "ICC(2,1)":
        total = total + k * (shift - rest) / n
    return (between - rest) / total


def reliability(*sessions: CohortFit, kind: Kind = "ICC(2,1)") -> dict[str, float]:
    """Compute the test-retest reliability of fitted values: `icc` of two or more fits.

    Args:
        *sessions: a fit of the same subjects, in the same order, per session.
        kind: as in `icc`.

    Returns:
        From the name of each fitted number to its intraclass correlation. [1]

    Raises:
        TypeError: if a session is no `CohortFit`.
        ValueError: if sessions are fewer than two, of other subjects or of another order of them, of
            other leaves, or fitted as one, so that subjects do not differ.

    Example:
        >>> def fitted(*means):
        ...     cohort = cf.cohort.stack({f"sub-{i}": jnp.asarray([m]) for i, m in enumerate(means)})
        ...     residuals = lambda mean, data: mean - data
        ...     start = jnp.asarray(0.0)
        ...     return cf.cohort.fit(residuals, start, cohort, where=lambda p: p, noise=1.0)
        >>> both = cf.cohort.reliability(fitted(0.1, 0.2, 0.4), fitted(0.12, 0.22, 0.42))
        >>> round(both["params"], 3)
        0.992
    """
    for session in sessions:
        if not isinstance(session, CohortFit):
            raise TypeError(
                f"`sessions` must be results of cf.cohort.fit, not {in_short(session)}."
            )
    if len(sessions) < 2:
        raise ValueError(f"`sessions` must be at least two; got {len(sessions)}.")
    first = sessions[0]
    for session in sessions:
        if session.ids != first.ids:
            raise ValueError(
                "`sessions` must be of the same subjects in the same order; got "
                f"{', '.join(first.ids)} and {', '.join(session.ids)}. `Cohort.subset` orders them."
            )
        if session.names != first.names:
            raise ValueError(
                f"`sessions` must have fitted the same leaves; got {', '.join(first.names)} and "
                f"{', '.join(session.names)}."
            )
        if np.isinf(session.penalty):
            raise ValueError("`sessions` were fitted as one, so that subjects do not differ.")
    tables = [[x.reshape(len(first.ids), -1) for x in leaves_of(s.estimate)] for s in sessions]
    values = np.stack([np.concatenate(table, axis=1) for table in tables], axis=1)
    return dict(zip(first.names, map(float, icc(values, kind)), strict=True))
