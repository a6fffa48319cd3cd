"""The fitted leaves of `params`, and the way between them and unconstrained values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import (
    PyTree,
    Told,
    Where,
    as_arguments,
    as_count,
    require_callable,
    require_finite,
    require_key,
    require_positive,
    traced,
)
from .._network import Params
from ..transforms import Transform, identity

Unconstrained = tuple[Array, ...]  # what an optimiser moves: one array per fitted leaf


class Fitted(eqx.Module):
    """The fitted leaves of `params`.

    Attributes:
        params: the parameters that the leaves are part of.
        transforms: the range of each fitted leaf.
        places: where each stands among the leaves of `params`.
        names: what each is called in messages, such as `params['k']`.
        shape: the tree that `where` returned, with one leaf per fitted leaf.
    """

    params: PyTree
    transforms: tuple[Transform, ...]
    places: tuple[int, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    shape: Any = eqx.field(static=True)

    def values(self, unconstrained: Unconstrained) -> tuple[Array, ...]:
        """Return the leaves, each within its range."""
        return tuple(t.forward(u) for t, u in zip(self.transforms, unconstrained, strict=True))

    def put(self, values: Sequence[Any]) -> PyTree:
        """Return `params` with these leaves."""
        leaves, tree = jax.tree.flatten(self.params)
        for place, value in zip(self.places, values, strict=True):
            # `.at` keeps the leaf's weak type: a k made from 0.5 must not promote the network.
            leaf = jnp.asarray(leaves[place])
            leaves[place] = leaf.at[...].set(value.astype(leaf.dtype))
        return tree.unflatten(leaves)

    def at(self, unconstrained: Unconstrained) -> PyTree:
        """Return `params` at unconstrained values."""
        return self.put(self.values(unconstrained))

    def as_where(self, values: Sequence[Any]) -> PyTree:
        """Return one value per fitted leaf in the tree that `where` returns: one, or a tuple."""
        return jax.tree.unflatten(self.shape, values)

    def start(self) -> Unconstrained:
        """Return the unconstrained values of `params`, where an optimiser begins."""
        leaves = jax.tree.leaves(self.params)
        return self.unconstrained([leaves[place] for place in self.places])

    def unconstrained(self, values: Sequence[Any]) -> Unconstrained:
        """Map leaves to unconstrained values; refuse those outside of their range."""
        unconstrained = []
        for name, value, transform in zip(self.names, values, self.transforms, strict=True):
            if not (isinstance(value, Array | np.ndarray) and is_float(value)):
                raise TypeError(
                    f"`{name}` must be an array of floats to be fitted; it is {value!r}. "
                    "jnp.asarray(0.5) makes one."
                )
            require_finite(name, value)
            try:
                u = transform.inverse(jnp.asarray(value))
            except ValueError as error:
                raise ValueError(f"`{name}` cannot be where the fit starts. {error}") from error
            require_finite(f"transform.inverse({name})", u, "Start inside its range.")
            unconstrained.append(strong(u))
        return tuple(unconstrained)


def fitted_leaves(
    caller: str, params: PyTree, where: Where, transform: Any = None, check: bool = True
) -> Fitted:
    """Find the leaves that `where` returns and pair them with their transforms.

    Messages name the `caller`.
    """
    params = as_arguments(params)
    if check:
        _check_params(caller, params)
    fitted, shape = _picked(where, params)
    transforms = _transforms(transform, len(fitted))
    places, names = tuple(leaf.place for leaf in fitted), tuple(leaf.name for leaf in fitted)
    return Fitted(params, transforms, places, names, shape)


def start_points(
    fitted: Fitted, starts: Any, key: Array | None, spread: float
) -> tuple[Unconstrained, bool]:
    """Return the unconstrained values to start from, and whether a leading axis counts starts."""
    first = fitted.start()
    if starts is None:
        return first, False
    require_positive("spread", spread)
    if isinstance(starts, int | np.integer):
        starts = at_least_one("starts", starts)
        if key is None:
            raise ValueError("`starts` are drawn at random: also give `key=jax.random.key(seed)`.")
        require_key(key)
        draws = [
            jax.random.normal(k, (starts, *u.shape), u.dtype).at[0].set(0)
            for k, u in zip(jax.random.split(key, len(first)), first, strict=True)
        ]
        return tuple(u[None] + spread * d for u, d in zip(first, draws, strict=True)), True
    leaves = _given_starts(fitted, starts)
    each = [
        fitted.unconstrained([jnp.asarray(x)[i] for x in leaves]) for i in range(len(leaves[0]))
    ]
    stacked = [jnp.stack(us) for us in zip(*each, strict=True)]
    return tuple(strong(x).astype(u.dtype) for x, u in zip(stacked, first, strict=True)), True


def _given_starts(fitted: Fitted, starts: PyTree) -> list[Any]:
    leaves, shape = jax.tree.flatten(starts, is_leaf=lambda x: not isinstance(x, tuple | list))
    if shape != fitted.shape:
        raise TypeError(
            "`starts` must be a number, or leaves as `where` returns them, each with one more axis "
            f"in front; got {eqx.tree_pformat(starts)}."
        )
    values = jax.tree.leaves(fitted.params)
    for name, place, given in zip(fitted.names, fitted.places, leaves, strict=True):
        wanted, got = ("start", *np.shape(values[place])), np.shape(given)
        if len(got) != len(wanted) or got[1:] != wanted[1:]:
            shown = ", ".join(map(str, wanted))
            raise ValueError(f"`starts` of `{name}` must have shape ({shown}), not {got}.")
    counts = {len(given) for given in leaves}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(
            "All leaves of `starts` must hold the same number of starts, at least 1; got "
            f"{', '.join(map(str, sorted(counts)))}."
        )
    return leaves


def at_least_one(name: str, n: Any) -> Any:
    """Return a count of 1 or more, or None as it is."""
    if n is not None and as_count(name, n) == 0:
        raise ValueError(f"`{name}` must be at least 1; got 0.")
    return n


def strong(x: Any) -> Array:
    """Return an array without weak type: a weak one would compile the step of a loop twice."""
    x = jnp.asarray(x)
    return x.astype(x.dtype) if getattr(x, "weak_type", False) else x  # a random key has none


def is_float(x: Any) -> bool:
    """Return whether an array holds real floats."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def told(
    caller: str,
    name: str,
    fn: Any,
    given: str = "with params alone, or with params and a batch where there is one",
) -> Told:
    """Return a function of the user's so that its errors are told in words; refuse anything else.

    They say what it is called with, `given`.
    """
    require_callable(name, fn, f"cf.{caller}({name}, params, where=...)")
    return Told(as_arguments(fn), f"`{name}`", "params", f"`{name}` is called {given}.")


def one_float(value: Any) -> Array:
    """Return the value of a loss; refuse anything but one float."""
    if not (isinstance(value, Array) and value.shape == () and is_float(value)):
        raise TypeError(
            f"`loss` must return one float, a JAX array of shape (), not {eqx.tree_pformat(value)}."
        )
    return value


def size_of(unconstrained: Unconstrained) -> int:
    """Count the unconstrained values."""
    return sum(x.size for x in unconstrained)


def basis(unconstrained: Unconstrained) -> Unconstrained:
    """Return one direction per unconstrained value, stacked along a new leading axis."""
    eye = np.eye(size_of(unconstrained))
    ends = np.cumsum([x.size for x in unconstrained])
    return tuple(
        jnp.asarray(eye[:, end - x.size : end].reshape(-1, *x.shape), x.dtype)
        for x, end in zip(unconstrained, ends, strict=True)
    )


def flatten(unconstrained: Unconstrained) -> Array:
    """Return all values in one row; `jax.vmap` it over a leading axis of `basis` or of a batch."""
    return jnp.concatenate([x.ravel().astype(widest(unconstrained)) for x in unconstrained])


def unflatten(row: Array, like: Unconstrained) -> Unconstrained:
    """Divide a row of `flatten` into arrays of the shapes and dtypes of `like`."""
    ends = np.cumsum([x.size for x in like])
    return tuple(
        row[end - x.size : end].reshape(x.shape).astype(x.dtype)
        for x, end in zip(like, ends, strict=True)
    )


def widest(unconstrained: Unconstrained) -> Any:
    """Return the dtype that holds all of them."""
    return max((u.dtype for u in unconstrained), key=lambda dtype: dtype.itemsize)


def require_host(caller: str, *trees: PyTree) -> None:
    """Refuse to work inside a transformation, where values cannot be looked at."""
    if traced(trees):
        raise TypeError(
            f"cf.{caller} runs on the host: call it outside of `jit`, `vmap` and `grad`. Inside them, "
            "write an optax loop in jax.lax.scan. Many subjects at once fit cf.cohort.fit and "
            "cf.cohort.fit_loss."
        )


def _check_params(caller: str, params: PyTree) -> None:
    require_host(caller, params)
    checked = jax.tree.map(_without_lengths, params, is_leaf=lambda x: isinstance(x, Params))
    for path, leaf in jax.tree.leaves_with_path(checked):
        if eqx.is_inexact_array_like(leaf) and np.isnan(leaf).any():
            raise ValueError(f"`params{jax.tree_util.keystr(path)}` must not contain NaN.")


def _without_lengths(x: PyTree) -> PyTree:
    """Return parameters of a network without lengths: where no edge is, they may be NaN."""
    if not isinstance(x, Params):
        return x
    return eqx.tree_at(lambda p: p.lengths, x, None, is_leaf=lambda x: x is None)


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A stand-in for a leaf of `params` while `where` picks some."""

    place: int
    name: str


def _picked(where: Where, params: PyTree) -> tuple[list[_Leaf], Any]:
    if not callable(where):
        raise TypeError(
            f"`where` must be a function of params, such as lambda p: p.coupling.k, not {where!r}."
        )
    paths, tree = jax.tree.flatten_with_path(params)
    names = [f"params{jax.tree_util.keystr(path)}" for path, _ in paths]
    picked = where(tree.unflatten(_Leaf(i, name) for i, name in enumerate(names)))
    fitted, shape = jax.tree.flatten(picked, is_leaf=lambda x: not isinstance(x, tuple | list))
    if not fitted:
        raise ValueError("`where` returns no leaf: there is nothing to fit.")
    for leaf in fitted:
        if not isinstance(leaf, _Leaf):
            inside = [x.name for x in jax.tree.leaves(leaf) if isinstance(x, _Leaf)]
            holds = f"a {type(leaf).__name__} of {', '.join(inside)}" if inside else repr(leaf)
            raise TypeError(
                f"`where` must return leaves of params, one or a tuple of them, not {holds}."
            )
    if len(set(fitted)) < len(fitted):
        raise ValueError(f"`where` returns a leaf twice: {', '.join(x.name for x in fitted)}.")
    return fitted, shape


def _transforms(transform: Any, count: int) -> tuple[Transform, ...]:
    transform = identity() if transform is None else transform
    transforms = transform if isinstance(transform, tuple | list) else [transform] * count
    for one in transforms:
        if not isinstance(one, Transform):
            raise TypeError(
                "`transform` must be a cf.transforms.Transform, such as cf.transforms.positive(), or "
                f"a tuple of one per fitted leaf, not {one!r}."
            )
    if len(transforms) != count:
        raise ValueError(f"There are {len(transforms)} transforms for {count} fitted leaves.")
    return tuple(transforms)
