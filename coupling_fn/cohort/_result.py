"""What a fit of a cohort found: values of each subject, as a table."""

import re
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from .._core import PyTree
from .._fit import Fitted


class CohortFit(eqx.Module):
    """The fitted leaves of each subject, and how sure they are; `print` shows a table.

    Attributes:
        ids: the name of each subject.
        names: what each fitted number is called in tables.
        estimate: the fitted leaves as `where` returns them, with a leading axis of subjects. [unit
            of each leaf]
        error: their standard errors, likewise; infinite where the data do not determine a value, and
            None after `fit_loss`, which knows of none. [unit of each leaf]
        lower: the lower ends of their 95 % intervals, likewise. [unit of each leaf]
        upper: the upper ends, likewise. [unit of each leaf]
        loss: half the sum of squares of the residuals of each subject there, or after `fit_loss` its
            loss. [1]
        converged: whether the fit of each subject ended by itself.
        penalty: the penalty of this fit: 0 if each subject was fitted alone, infinite if all were
            fitted as one. [1]
        penalties: those that it was chosen from, the largest first; empty if one was given. [1]
        held_out: for each of them, how badly each subject is predicted by the others: a negative
            log-likelihood. [1]
        params: the parameters at the mean of the subjects.
        fitted: the fitted leaves, as the library holds them.

    Example:
        >>> cohort = cf.cohort.stack({"a": jnp.asarray([1.0, 3.0]), "b": jnp.asarray([5.0, 6.0])})
        >>> def residuals(mean, data):
        ...     return mean - data
        >>> found = cf.cohort.fit(residuals, jnp.asarray(0.0), cohort, where=lambda m: m, noise=1.0)
        >>> print(found)
        a  params 2 ± 0.71 [0.6141, 3.386]  loss 1
        b  params 5.5 ± 0.71 [4.114, 6.886]  loss 0.25
        >>> found.to_dict()["params"].tolist(), float(found.params)
        ([2.0, 5.5], 3.75)
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    estimate: PyTree
    error: PyTree
    lower: PyTree
    upper: PyTree
    loss: Float[np.ndarray, " subject"]
    converged: Bool[np.ndarray, " subject"]
    penalty: float
    penalties: Float[np.ndarray, " penalty"]
    held_out: Float[np.ndarray, "penalty subject"]
    params: PyTree
    fitted: Fitted

    def params_of(self, id: str) -> PyTree:
        """Return the parameters with the fitted leaves of a subject."""
        if id not in self.ids:
            raise ValueError(f"There is no subject {id!r}; there are {', '.join(self.ids)}.")
        at = self.ids.index(id)
        return self.fitted.put([jnp.asarray(x[at]) for x in leaves_of(self.estimate)])

    def to_dict(self) -> dict[str, Any]:
        """Return a table: from the name of each column to one value per subject.

        The columns are `id`; of each fitted number its name, and its name with `_error`, `_lower` and
        `_upper` where these are known; `loss` and `converged`.
        """
        columns: dict[str, Any] = {"id": list(self.ids)}
        parts = {"": self.estimate, "_error": self.error, "_lower": self.lower}
        for end, part in (parts | {"_upper": self.upper}).items():
            if part is None:
                continue
            flat = [x.reshape(len(self.ids), -1) for x in leaves_of(part)]
            numbers = np.concatenate(flat, axis=1).T
            columns |= {name + end: x for name, x in zip(self.names, numbers, strict=True)}
        return columns | {"loss": self.loss, "converged": self.converged}

    def to_frame(self) -> Any:
        """Return the table as a frame of pandas, with the ids as its index."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "`to_frame` needs pandas: install it, or use `to_dict`, which is the same table."
            ) from error
        return pandas.DataFrame(self.to_dict()).set_index("id")

    def _end(self) -> str:
        """Say whether the penalty is at an end of those that it was chosen from."""
        if len(self.penalties) > 1 and self.penalty == self.penalties[-1]:
            return "; it is the smallest that was given, and a smaller one may be better"
        if len(self.penalties) > 1 and self.penalty == self.penalties[0] != np.inf:
            return "; it is the largest that was given, and a larger one may be better"
        return ""

    def __str__(self) -> str:
        columns = self.to_dict()
        lines = []
        for i, id in enumerate(self.ids):
            numbers = [
                f"{name} {columns[name][i]:.6g}"
                + (
                    f" ± {columns[name + '_error'][i]:.2g} "
                    f"[{columns[name + '_lower'][i]:.4g}, {columns[name + '_upper'][i]:.4g}]"
                    if self.error is not None
                    else ""
                )
                for name in self.names
            ]
            lines.append("  ".join([id, *numbers, f"loss {self.loss[i]:.4g}"]))
        if len(self.penalties):
            lines.append(f"penalty {self.penalty:.4g}, chosen by leaving subjects out{self._end()}")
        return "\n".join(lines)


def warn_of_lost_ways(result: CohortFit, stacklevel: int = 3) -> None:
    """Warn of subjects whose fit did not converge."""
    if not result.converged.all():
        warnings.warn(
            f"The fit did not converge of {those(result.ids, ~result.converged)}. More `steps`, "
            "another start, or a scan by `sweep` before, may help.",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def those(ids: tuple[str, ...], which: Any) -> str:
    """Write the names of some subjects."""
    return ", ".join(id for id, chosen in zip(ids, which, strict=True) if chosen)


def leaves_of(values: PyTree) -> list[np.ndarray]:
    """Return one array per fitted leaf, each with a leading axis of subjects."""
    return jax.tree.leaves(values, is_leaf=lambda x: not isinstance(x, tuple | list))


def names_in_tables(fitted: Fitted, values: list[np.ndarray]) -> tuple[str, ...]:
    """Return a name per number of the leaves of one subject, such as `coupling.k` or `node.a[0]`."""
    names = []
    for name, value in zip(fitted.names, values, strict=True):
        name = re.sub(r"\['(\w+)'\]", r".\1", name).removeprefix("params").lstrip(".") or "params"
        places = np.ndindex(value.shape)
        names += [name + (f"[{', '.join(map(str, place))}]" if place else "") for place in places]
    return tuple(names)
