"""What is known of regions beside their connections: names, data of each, and where it was read."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import Array

from .._core import constant


class RegionData(eqx.Module, Mapping[str, Any]):
    """Data with one row per region, by name: a mapping, and part of the pytree of a connectome.

    Numbers with a fraction, such as areas, are leaves. Whole numbers, booleans and words are static, so
    that `jax.grad` takes a connectome that has them; they come back as NumPy arrays.
    """

    numbers: dict[str, Array]
    fixed: tuple[tuple[str, tuple[Any, ...]], ...] = eqx.field(static=True)

    def __getitem__(self, name: str) -> Array | np.ndarray:
        if name in self.numbers:
            return self.numbers[name]
        return np.array(dict(self.fixed)[name])

    def __iter__(self) -> Iterator[str]:
        yield from sorted([*self.numbers, *dict(self.fixed)])

    def __len__(self) -> int:
        return len(self.numbers) + len(self.fixed)


def as_region_data(data: Mapping[str, Any] | None) -> RegionData:
    """Convert a mapping of arrays, or of sequences, with one row per region."""
    if data is None or isinstance(data, RegionData):
        return RegionData({}, ()) if data is None else data
    if not isinstance(data, Mapping):
        raise TypeError(
            f"`region_data` must map names to arrays of a row per region, not {type(data).__name__}."
        )
    numbers, fixed = {}, {}
    for name, values in data.items():
        if not isinstance(name, str):
            raise TypeError(f"`region_data` must have strings for names, not {name!r}.")
        x = values if isinstance(values, Array) else np.asarray(values)
        if x.dtype.kind not in "fiubU" or not x.ndim:
            raise TypeError(
                f"`region_data[{name!r}]` must be an array of numbers, booleans or words with a row per "
                f"region, not {x.dtype} of shape {x.shape}."
            )
        if x.dtype.kind == "f":
            numbers[name] = constant(x)
        else:
            fixed[name] = _frozen(np.asarray(x).tolist())
    return RegionData(numbers, tuple(sorted(fixed.items())))


def _frozen(x: Any) -> Any:
    return tuple(map(_frozen, x)) if isinstance(x, list) else x


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a connectome was read, and what surgery did to it since.

    As a pytree it has no leaf, equals any other, and is lost under `jit`: a program that was compiled
    for one connectome also runs for another, and cannot tell where that one was read. Surgery outside of
    `jit` keeps it.

    Attributes:
        file: the file that it was read from.
        parts: each part that was read, with its place in the file.
        unread: what the file has besides.
        surgery: what was done, the earliest first.
    """

    file: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()
    surgery: tuple[str, ...] = ()

    def after(self, done: str) -> "Origin":
        """Return the origin after one more operation."""
        return dataclasses.replace(self, surgery=(*self.surgery, done))


jax.tree_util.register_pytree_node(Origin, lambda _: ((), None), lambda *_: Origin())


def region_indices(
    name: str, chosen: Any, labels: Sequence[str] | None, regions: int
) -> np.ndarray:
    """Return the indices of regions that are given by a mask, or each by its index or label."""
    if isinstance(chosen, Array | np.ndarray) and chosen.dtype == bool:
        if chosen.shape != (regions,):
            raise ValueError(
                f"`{name}` must be a mask of shape ({regions},), one per region, not {chosen.shape}."
            )
        return np.flatnonzero(np.asarray(chosen))
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(f"`{name}` must be regions by index or label, in a list, not {chosen!r}.")
    return np.array([_index(name, region, labels or (), regions) for region in chosen], np.int64)


def _index(name: str, region: Any, labels: Sequence[str], regions: int) -> int:
    if isinstance(region, str):
        places = [n for n, label in enumerate(labels) if label == region]
        if not places:
            raise ValueError(f"`{name}` must be regions by index or label; {region!r} is neither.")
        if len(places) > 1:
            raise ValueError(
                f"`{name}` has {region!r}, which is the label of {len(places)} regions, "
                f"{', '.join(map(str, places))}: give the index of the one that is meant."
            )
        return places[0]
    if isinstance(region, bool | np.bool_):
        raise TypeError(f"`{name}` must be regions by index or label; a mask is a NumPy array.")
    if np.ndim(region) or np.asarray(region).dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be regions by index or label; {region!r} is neither.")
    index = int(region)
    if not 0 <= index < regions or index != region:
        raise ValueError(f"`{name}` must be indices from 0 to {regions - 1}; got {region}.")
    return index
