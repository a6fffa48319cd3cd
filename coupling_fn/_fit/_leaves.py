"""Which leaves of params are fitted, and how they go out to an optimiser and back in."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import jaxpr_as_fun

from .._core import PyTree, Where, require_finite, traced
from ..transforms import Transform, identity

Free = tuple[Array, ...]  # what an optimiser moves: the fitted leaves, each without its range


class Fitted(eqx.Module):
    """The fitted leaves of `params`: where they are, what they are called, and their ranges."""

    params: PyTree
    transforms: tuple[Transform, ...]
    places: tuple[int, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    shape: Any = eqx.field(static=True)

    def values(self, free: Free) -> tuple[Array, ...]:
        """The leaves themselves."""
        return tuple(t.forward(u) for t, u in zip(self.transforms, free, strict=True))

    def put(self, values: Sequence[Any]) -> PyTree:
        """`params` with these leaves."""
        leaves, tree = jax.tree.flatten(self.params)
        for place, value in zip(self.places, values, strict=True):
            # `.at` keeps the leaf's weak type: a k made from 0.5 must not promote the network.
            leaf = jnp.asarray(leaves[place])
            leaves[place] = leaf.at[...].set(value.astype(leaf.dtype))
        return tree.unflatten(leaves)

    def at(self, free: Free) -> PyTree:
        """`params` where the optimiser is."""
        return self.put(self.values(free))

    def as_where(self, values: Sequence[Any]) -> PyTree:
        """The leaves in the shape that `where` gives them: one, or a tuple."""
        return jax.tree.unflatten(self.shape, values)

    def start(self) -> Free:
        """Where the optimiser begins: at `params`."""
        leaves = jax.tree.leaves(self.params)
        return self.free([leaves[place] for place in self.places])

    def free(self, values: Sequence[Any]) -> Free:
        """Take leaves out of their ranges; refuse those that are not in them."""
        free = []
        for name, value, transform in zip(self.names, values, self.transforms, strict=True):
            if not (isinstance(value, Array | np.ndarray) and is_float(value)):
                raise TypeError(
                    f"`{name}` must be an array of floats to be fitted; it is {value!r}. "
                    "jnp.asarray(0.5) makes one."
                )
            require_finite(name, value)
            try:
                number = transform.inverse(jnp.asarray(value))
            except ValueError as error:
                raise ValueError(f"`{name}` cannot be where the fit starts. {error}") from error
            require_finite(f"transform.inverse({name})", number, "Start inside of its range.")
            free.append(strong(number))
        return tuple(free)


def fitted_leaves(
    what: str, params: PyTree, where: Where, transform: Any = None, check: bool = True
) -> Fitted:
    """Find the leaves that `where` gives and pair them with their transforms; `what` asks."""
    if check:
        _check_params(what, params)
    fitted, shape = _picked(where, params)
    transforms = _transforms(transform, len(fitted))
    places, names = tuple(leaf.place for leaf in fitted), tuple(leaf.name for leaf in fitted)
    return Fitted(params, transforms, places, names, shape)


def strong(x: Any) -> Array:
    """An array without weak type, which would compile a loop's step twice."""
    x = jnp.asarray(x)
    return x.astype(x.dtype) if getattr(x, "weak_type", False) else x  # a random key has none


def is_float(x: Any) -> bool:
    """Whether an array holds real floats."""
    return jnp.issubdtype(x.dtype, jnp.floating)


def one_float(value: Any) -> Array:
    """Refuse a loss that is anything else."""
    if not (isinstance(value, Array) and value.shape == () and is_float(value)):
        raise TypeError(
            f"`loss` must return one float, a JAX array of shape (), not {eqx.tree_pformat(value)}."
        )
    return value


def size_of(free: Free) -> int:
    """How many numbers there are."""
    return sum(x.size for x in free)


def basis(free: Free) -> Free:
    """Directions along each single number: leaves of the shape of `free`, stacked in front."""
    eye = np.eye(size_of(free))
    ends = np.cumsum([x.size for x in free])
    return tuple(
        jnp.asarray(eye[:, end - x.size : end].reshape(-1, *x.shape), x.dtype)
        for x, end in zip(free, ends, strict=True)
    )


def flatten(free: Free) -> Array:
    """All numbers in one row; any leading axis of `basis` or of a batch must be vmapped over."""
    return jnp.concatenate([x.ravel().astype(widest(free)) for x in free])


def unflatten(row: Array, like: Free) -> Free:
    """What `flatten` made one row, apart again."""
    ends = np.cumsum([x.size for x in like])
    return tuple(
        row[end - x.size : end].reshape(x.shape).astype(x.dtype)
        for x, end in zip(like, ends, strict=True)
    )


def widest(free: Free) -> Any:
    """The dtype that holds all of them."""
    return max((u.dtype for u in free), key=lambda dtype: dtype.itemsize)


def value_and_gradient(loss: Callable[[Free], Array], free: Free, derivative: str) -> Any:
    """The loss and its gradient, in the mode that is asked for."""
    # One number: forward takes 2 runs and no memory, reverse 3.5. From two on it is not faster.
    if derivative == "forward" or (derivative == "auto" and size_of(free) == 1):
        loss, forward = _traced_once(loss, free, derivative)
        if forward:
            value, slopes = _along_each(loss, free, axis=0)
            return value, unflatten(slopes, free)
    return jax.value_and_grad(loss)(free)


def value_and_jacobian(
    residuals: Callable[[Free], Array], free: Free, derivative: str
) -> tuple[Array, Array]:
    """The residuals in a row and their Jacobian, a column a number, in the mode that is asked for."""
    of, forward = _traced_once(lambda free: jnp.ravel(residuals(free)), free, derivative)
    if forward:
        return _along_each(of, free, axis=1)
    value, pull = jax.vjp(of, free)
    rows = jnp.eye(value.size, dtype=value.dtype)
    return value, lax.map(lambda row: flatten(pull(row)[0]), rows, batch_size=8)


def _traced_once(
    fn: Callable[[Free], Array], free: Free, derivative: str
) -> tuple[Callable[[Free], Array], bool]:
    """The same function, never traced again, and whether to take its derivative forward."""
    traced = jax.make_jaxpr(fn)(free)
    forward = derivative != "reverse" and "custom_vjp" not in str(traced)
    if derivative == "forward" and not forward:
        raise TypeError(
            '`derivative="forward"` needs a loss that has a forward derivative. A network '
            'with delays has one in simulate(..., derivative="forward"); or leave '
            "`derivative` out here."
        )
    return lambda free: jaxpr_as_fun(traced)(*free)[0], forward


def _along_each(fn: Callable[[Free], Array], free: Free, axis: int) -> tuple[Array, Array]:
    """What `fn` gives, and on a new axis its derivative along each single number."""

    def along(direction: Free) -> tuple[Array, Array]:
        return jax.jvp(fn, (free,), (direction,))

    directions = basis(free)
    if size_of(free) == 1:  # a batch of one would take a batch's slower road
        value, slope = along(jax.tree.map(lambda x: x[0], directions))
        return value, jnp.expand_dims(slope, axis)
    return jax.vmap(along, out_axes=(None, axis))(directions)


def require_host(what: str, *trees: PyTree) -> None:
    """Refuse to work inside of a transformation, where values cannot be looked at."""
    if traced(trees):
        raise TypeError(
            f"{what} runs on the host: call it outside of jit, vmap and grad. Inside, an optax loop "
            "in jax.lax.scan does the same."
        )


def _check_params(what: str, params: PyTree) -> None:
    require_host(what, params)
    for path, leaf in jax.tree.leaves_with_path(params):
        if eqx.is_inexact_array_like(leaf) and np.isnan(leaf).any():
            raise ValueError(f"`params{jax.tree_util.keystr(path)}` must not contain NaN.")


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """Stands for a leaf of params while `where` picks some."""

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
        raise ValueError("`where` gives nothing to fit.")
    for leaf in fitted:
        if not isinstance(leaf, _Leaf):
            inside = [x.name for x in jax.tree.leaves(leaf) if isinstance(x, _Leaf)]
            holds = f"a {type(leaf).__name__} of {', '.join(inside)}" if inside else repr(leaf)
            raise TypeError(
                f"`where` must give leaves of params, one or a tuple of them, not {holds}."
            )
    if len(set(fitted)) < len(fitted):
        raise ValueError(f"`where` gives a leaf twice: {', '.join(x.name for x in fitted)}.")
    return fitted, shape


def _transforms(transform: Any, count: int) -> tuple[Transform, ...]:
    transform = identity() if transform is None else transform
    transforms = transform if isinstance(transform, tuple | list) else [transform] * count
    for one in transforms:
        if not isinstance(one, Transform):
            raise TypeError(
                "`transform` must be a Transform, such as positive(), or a tuple of one a fitted "
                f"leaf, not {one!r}."
            )
    if len(transforms) != count:
        raise ValueError(f"There are {len(transforms)} transforms for {count} fitted leaves.")
    return tuple(transforms)
