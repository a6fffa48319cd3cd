"""Subjects in one pytree, with one more axis in front."""

from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._connectome import Connectome
from .._core import PyTree, in_short, is_key, known


class Cohort(eqx.Module):
    """Hold what is known of several subjects, as one pytree with an axis of subjects.

    `len(cohort)` is the number of subjects. `jax.vmap` and `sweep` take `cohort.data` as it is.

    Attributes:
        ids: the name of each subject.
        data: what is known of a subject, with a leading axis of subjects on each array. They are
            NumPy arrays, so that taking some subjects out of any number compiles nothing.

    Example:
        >>> cohort = cf.cohort.stack({"sub-01": {"age": 31.0}, "sub-02": {"age": 47.0}})
        >>> len(cohort), cohort.ids, cohort.data["age"].tolist()
        (2, ('sub-01', 'sub-02'), [31.0, 47.0])
        >>> float(cohort.subject("sub-02")["age"]), cohort.subset(["sub-02"]).ids
        (47.0, ('sub-02',))
    """

    ids: tuple[str, ...] = eqx.field(static=True)
    data: PyTree

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, id: str) -> int:
        """Return the place of a subject."""
        if id not in self.ids:
            raise ValueError(f"There is no subject {id!r}; there are {', '.join(self.ids)}.")
        return self.ids.index(id)

    def subject(self, id: str) -> PyTree:
        """Return what is known of one subject, as it was given to `stack`."""
        at = self.index(id)
        return jax.tree.map(lambda x: jnp.asarray(x[at]), self.data)

    def subset(self, ids: Iterable[str]) -> "Cohort":
        """Return the cohort of some subjects, in the order given; each may be there once."""
        chosen = (ids,) if isinstance(ids, str) else tuple(ids)
        rows = np.array([self.index(id) for id in chosen], int)
        if not len(rows) or len({*rows.tolist()}) < len(rows):
            raise ValueError(f"`ids` must be different subjects, at least one; got {chosen}.")
        return Cohort(chosen, self.rows(rows))

    def rows(self, rows: np.ndarray) -> PyTree:
        """Return the data of the subjects at some places."""
        return jax.tree.map(lambda x: x[rows], self.data)


def require_cohort(cohort: Any) -> None:
    """Refuse anything but a cohort."""
    if not isinstance(cohort, Cohort):
        raise TypeError(f"`cohort` must come from cf.cohort.stack, not {in_short(cohort)}.")


def stack(subjects: Mapping[str, PyTree]) -> Cohort:
    """Stack what is known of each subject into one pytree with an axis of subjects.

    Args:
        subjects: from the id of a subject to any pytree of arrays, the same for all: a `Connectome`,
            or `{"connectome": connectome, "fc": fc}`.

    Returns:
        The cohort, in the order of `subjects`.

    Raises:
        ValueError: if there is no subject, or one differs from the first in its labels, their order,
            the number of its regions, other data of regions that are not numbers with a fraction, the
            parts that it has, or the shape or dtype of an array; the message says which and how.
        TypeError: if an id is not a string, or a part is not an array of numbers.

    Example:
        >>> def subject(strength):
        ...     connectome = cf.Connectome([[0, strength], [1, 0]], labels=["V1", "V2"])
        ...     return {"connectome": connectome, "fc": jnp.eye(2)}
        >>> cohort = cf.cohort.stack({"sub-01": subject(2.0), "sub-02": subject(3.0)})
        >>> cohort.data["connectome"].weights.shape, cohort.data["connectome"].labels
        ((2, 2, 2), ('V1', 'V2'))
    """
    if not isinstance(subjects, Mapping):
        raise TypeError(
            "`subjects` must map the id of each subject to what is known of it, such as {'sub-01': "
            f"connectome}}, not {in_short(subjects)}."
        )
    if not subjects:
        raise ValueError("`subjects` must not be empty: there is nothing to stack.")
    for id in subjects:
        if not isinstance(id, str):
            raise TypeError(f"`subjects` must have strings for ids, not {id!r}.")
    ids = tuple(map(str, subjects))
    data = [_as_numbers(id, subject) for id, subject in subjects.items()]
    for id, subject in zip(ids[1:], data[1:], strict=True):
        _require_alike(id, subject, ids[0], data[0])
    return Cohort(ids, jax.tree.map(lambda *xs: np.stack(xs), *data))


def _as_numbers(id: str, subject: PyTree) -> PyTree:
    """Return the arrays of a subject as NumPy arrays; refuse other things."""

    def convert(path: Any, x: Any) -> np.ndarray:
        name = f"subjects[{id!r}]{jax.tree_util.keystr(path)}"
        if not known(x):
            raise TypeError(
                f"`{name}` is traced: call `stack` outside of `jit`, `vmap` and `grad`."
            )
        if hasattr(x, "columns") and hasattr(x, "to_numpy"):
            raise TypeError(
                f"`{name}` must be an array, not {type(x).__name__}, whose labels nobody would compare: "
                "cf.load_connectome takes a table of weights with its labels, and table.to_numpy() is "
                "the array alone."
            )
        made = x if isinstance(x, jax.Array) else np.asarray(x)
        if is_key(made):
            raise TypeError(
                f"`{name}` is a random key: give each subject a whole number, and make the key of it by "
                "jax.random.key(number) in the residuals."
            )
        if made.dtype.kind not in "fiub":
            raise TypeError(f"`{name}` must be an array of numbers, not {in_short(x)}.")
        return np.asarray(jnp.asarray(made))

    return jax.tree.map_with_path(convert, subject)


def _require_alike(id: str, subject: PyTree, first_id: str, first: PyTree) -> None:
    """Refuse a subject that cannot be stacked on the first, and say how it differs."""
    theirs, ours = _connectomes(first), _connectomes(subject)
    for name in theirs.keys() & ours.keys():
        _require_same_regions(f"{id!r}{name}", ours[name], f"{first_id!r}{name}", theirs[name])
    wanted, got = (dict(jax.tree.leaves_with_path(x)) for x in (first, subject))
    for path in [*wanted, *got]:
        name = jax.tree_util.keystr(path)
        if (path in wanted) != (path in got):
            has, lacks = (first_id, id) if path in wanted else (id, first_id)
            raise ValueError(f"Subject {has!r} has `{name}`, and {lacks!r} has not.")
        for what in ("shape", "dtype"):
            here, there = getattr(got[path], what), getattr(wanted[path], what)
            if here != there:
                raise ValueError(
                    f"`{name}` of subject {id!r} has the {what} {here}, that of {first_id!r} {there}."
                )
    if jax.tree.structure(first) != jax.tree.structure(subject):
        raise ValueError(
            f"Subject {id!r} is of another structure than {first_id!r}: "
            f"{jax.tree.structure(subject)} against {jax.tree.structure(first)}."
        )


def _connectomes(subject: PyTree) -> dict[str, Connectome]:
    """Return the connectomes in a subject, by where they stand."""
    found = jax.tree.leaves_with_path(subject, is_leaf=lambda x: isinstance(x, Connectome))
    return {jax.tree_util.keystr(p): x for p, x in found if isinstance(x, Connectome)}


def _require_same_regions(name: str, conn: Connectome, first_name: str, first: Connectome) -> None:
    """Refuse a connectome of other regions than the first."""
    if len(conn) != len(first):
        raise ValueError(f"Subject {name} has {len(conn)} regions, {first_name} {len(first)}.")
    if conn.labels != first.labels:
        if conn.labels is None or first.labels is None:
            has, lacks = (first_name, name) if conn.labels is None else (name, first_name)
            raise ValueError(f"Subject {has} has labels, and {lacks} has not.")
        at = next(i for i in range(len(conn)) if conn.labels[i] != first.labels[i])
        same = {*conn.labels} == {*first.labels}
        hint = f" They are the same in another order: `connectome.subset(labels)` of {first_name}."
        raise ValueError(
            f"Subject {name} has the label {conn.labels[at]!r} at region {at}, {first_name} has "
            f"{first.labels[at]!r}.{hint * same}"
        )
    ours, theirs = dict(conn.region_data.fixed), dict(first.region_data.fixed)
    for part in sorted(ours.keys() | theirs.keys()):
        if ours.get(part) != theirs.get(part):
            raise ValueError(
                f"`region_data[{part!r}]` of subject {name} differs from that of {first_name}."
            )
