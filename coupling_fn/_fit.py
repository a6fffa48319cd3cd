"""Parameters from data: a loss, made smaller by an optimiser."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from ._check import as_count, known, require_finite
from ._progress import progress_bar
from ._transform import Transform, identity
from ._types import PyTree, Where

_ADAM = optax.adam(1e-2)  # one object, so that the next fit finds the compiled step


class FitResult(eqx.Module):
    """What `fit` found, and how it came there.

    Every row is a measured one: `losses[n]` is the loss at `path[n]`, after n steps of the
    optimiser; row 0 is the start.

    Args:
        params: the parameters with the smallest loss, the rest as it was given.
        loss: that loss.
        best_step: its row; the earliest if there are several.
        losses: the loss of each row.
        path: the fitted leaves as `where` gives them, with a leading axis of rows.
        stopped: why the fit ended early; empty if it made all its steps.
        last_params: the parameters of the last row.

    Example:
        >>> def loss(params):
        ...     return (params["k"] - 0.3) ** 2
        >>> start = {"k": jnp.asarray(0.0), "drive": jnp.asarray(1.0)}
        >>> result = cf.fit(loss, start, where=lambda p: p["k"], steps=50, progress=False)
        >>> result.losses.shape, result.path.shape, result.stopped
        ((51,), (51,), '')
        >>> result.loss == result.losses[result.best_step] == loss(result.params)
        Array(True, dtype=bool)
    """

    params: PyTree
    loss: float
    best_step: int
    losses: Float[np.ndarray, " row"]
    path: PyTree
    stopped: str
    last_params: PyTree


def fit(
    loss: Callable[[Any], Float[Array, ""]],
    params: PyTree,
    *,
    where: Where,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 100,
    transform: Transform | tuple[Transform, ...] | list[Transform] | None = None,
    progress: bool = True,
) -> FitResult:
    """Make a loss small by moving some leaves of `params`.

    The loss, its gradient and the optimiser's update are one compiled step. A later fit with the
    same `loss` and `optimizer` objects and the same shapes compiles nothing, also where the
    numbers in `params` differ. What is recorded, and what comes back as the best, are parameters
    whose loss was measured: the loss is taken before each update, and once more after the last.

    Where the loss or its gradient is no longer finite, the fit stops, warns, and gives back all
    rows up to there.

    Args:
        loss: pure function of `params`, returning one float. The data it compares with are best
            leaves of `params` too if they change from fit to fit.
        params: any pytree. A leaf that is a Python number, not an array, compiles anew for each
            value.
        where: gives the leaves to fit, one or a tuple of them: `lambda p: p.coupling.k`. They
            must be arrays of floats.
        optimizer: any optax optimiser; `optax.adam(1e-2)` if None. Those that search along a
            line, as `optax.lbfgs()`, work too. It moves what `transform` makes unconstrained.
        steps: how many updates.
        transform: keeps fitted leaves in a range: one `Transform` for all (`positive()`,
            `bounded(0, 1)`), or a tuple of one a leaf, in the order of `where`; `identity()`
            leaves one free.
        progress: show a bar on stderr, a step an update, with the loss. Needs tqdm, which the
            extra `coupling_fn[progress]` installs; without it there is no bar.

    Returns:
        The best and the last parameters, and the way there. The path is kept on the host: fitting
        a large matrix over many steps takes that much of its memory.

    Raises:
        TypeError: if a fitted leaf is not an array of floats; `where` gives something else than
            leaves; the loss is not one float; `optimizer` or `transform` is something else; or
            `params` is traced: fit runs outside of `jit`, `vmap` and `grad`.
        ValueError: if `where` gives nothing or one leaf twice; a leaf of `params` is NaN, a
            fitted one infinite or out of the range of its transform; there are more or fewer
            transforms than leaves; or the loss or its gradient is not finite at the start.

    Example:
        >>> import optax
        >>> W = jnp.asarray([[0.0, 0.8], [0.2, 0.0]])
        >>> x = jnp.asarray([1.0, -1.0])
        >>> def loss(params):  # what arrives should be -0.4 and 0.1
        ...     sent = params["k"] * cf.weighted_sum(W, x) + params["b"]
        ...     return jnp.sum((sent - jnp.asarray([-0.4, 0.1])) ** 2)
        >>> result = cf.fit(
        ...     loss,
        ...     {"k": jnp.asarray(1.0), "b": jnp.asarray(0.0)},
        ...     where=lambda p: p["k"],
        ...     optimizer=optax.adam(0.05),
        ...     steps=200,
        ...     transform=cf.positive(),
        ...     progress=False,
        ... )
        >>> round(float(result.params["k"]), 3)
        0.5
    """
    steps = as_count("steps", steps)
    optimizer = _ADAM if optimizer is None else optimizer
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"`optimizer` must be an optax optimiser, such as optax.adam(1e-2), not {optimizer!r}."
        )
    _check_params(params)
    fitted, shape = _fitted_leaves(where, params)
    places = tuple(leaf.place for leaf in fitted)
    transforms = _transforms(transform, len(fitted))
    free = _start(params, fitted, transforms)
    state = optimizer.init(free)
    arrays, program = _split(loss, optimizer, transforms, params, places)

    losses, path, stopped = [], [], ""
    with progress_bar(steps, "fit", progress) as advance:
        for step in range(steps + 1):
            measured, leaves, free, state = _step(program, arrays, free, state)
            value, gradient_is_finite = np.asarray(measured)
            if np.isfinite(value):
                losses.append(value)
                path.append([np.asarray(x) for x in leaves])
                advance(min(step, 1), loss=f"{value:g}")
                if gradient_is_finite or step == steps:
                    continue
            broken = "gradient" if np.isfinite(value) else "loss"
            if step == 0:
                raise ValueError(
                    f"The {broken} must be finite at the start; the loss there is {value:g}. Start "
                    "from other values, or look at what the loss computes there."
                )
            stopped = (
                f"The {broken} is not finite after {step} steps (loss {value:g}). A smaller "
                "learning rate, or a transform that keeps the range, may help."
            )
            warnings.warn(f"The fit stopped early. {stopped}", RuntimeWarning, stacklevel=2)
            break

    best = int(np.argmin(losses))
    return FitResult(
        params=_put(params, places, path[best]),
        loss=float(losses[best]),
        best_step=best,
        losses=np.stack(losses),
        path=jax.tree.unflatten(shape, [np.stack(rows) for rows in zip(*path, strict=True)]),
        stopped=stopped,
        last_params=_put(params, places, path[-1]),
    )


def _split(loss, optimizer, transforms, params, places):
    """Part the arrays that a step takes in from the rest, for which it is compiled.

    `eqx.filter_jit` does this at every call; doing it once a fit saves about 0.2 ms a step.
    """
    leaves, tree = jax.tree.flatten((loss, optimizer, transforms, params))
    arrays = [x if eqx.is_array(x) else None for x in leaves]
    rest = tuple(None if eqx.is_array(x) else x for x in leaves)
    return arrays, (tree, rest, places)


@partial(jax.jit, static_argnums=0)
def _step(program, arrays, free, state):
    tree, rest, places = program
    leaves = [x if a is None else a for a, x in zip(arrays, rest, strict=True)]
    loss, optimizer, transforms, params = jax.tree.unflatten(tree, leaves)

    def constrain(free):
        return tuple(t.forward(u) for t, u in zip(transforms, free, strict=True))

    def loss_at(free):
        return _one_float(loss(_put(params, places, constrain(free))))

    value, gradient = jax.value_and_grad(loss_at)(free)
    finite = jnp.stack([jnp.isfinite(g).all() for g in gradient]).all()
    measured = jnp.stack([value, finite.astype(value.dtype)])  # one array: one wait a step
    with jax.numpy_dtype_promotion("standard"):  # adam takes a float to an integer power
        updates, state = optax.with_extra_args_support(optimizer).update(
            gradient, state, free, value=value, grad=gradient, value_fn=loss_at
        )
    return measured, constrain(free), optax.apply_updates(free, updates), state


def _one_float(value: Any) -> Array:
    if not (isinstance(value, Array) and value.shape == () and _is_float(value)):
        raise TypeError(
            f"`loss` must return one float, a JAX array of shape (), not {eqx.tree_pformat(value)}."
        )
    return value


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _put(params: PyTree, places: tuple[int, ...], values: Sequence[Any]) -> PyTree:
    leaves, tree = jax.tree.flatten(params)
    for place, value in zip(places, values, strict=True):
        # `.at` keeps the leaf's weak type: a k made from 0.5 must not promote the network.
        leaf = jnp.asarray(leaves[place])
        leaves[place] = leaf.at[...].set(value.astype(leaf.dtype))
    return tree.unflatten(leaves)


def _check_params(params: PyTree) -> None:
    if not known(params):
        raise TypeError(
            "fit runs on the host: call it outside of jit, vmap and grad. Inside, an optax loop "
            "in jax.lax.scan does the same."
        )
    for path, leaf in jax.tree.leaves_with_path(params):
        if eqx.is_inexact_array_like(leaf) and np.isnan(leaf).any():
            raise ValueError(f"`params{jax.tree_util.keystr(path)}` must not contain NaN.")


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """Stands for a leaf of params while `where` picks some."""

    place: int
    name: str


def _fitted_leaves(where: Where, params: PyTree) -> tuple[list[_Leaf], Any]:
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


def _start(
    params: PyTree, fitted: list[_Leaf], transforms: tuple[Transform, ...]
) -> tuple[Array, ...]:
    leaves = jax.tree.leaves(params)
    free = []
    for leaf, transform in zip(fitted, transforms, strict=True):
        start = leaves[leaf.place]
        if not (isinstance(start, Array | np.ndarray) and _is_float(start)):
            raise TypeError(
                f"`{leaf.name}` must be an array of floats to be fitted; it is {start!r}. "
                "jnp.asarray(0.5) makes one."
            )
        require_finite(leaf.name, start)
        try:
            number = transform.inverse(jnp.asarray(start))
        except ValueError as error:
            raise ValueError(f"`{leaf.name}` cannot be where the fit starts. {error}") from error
        require_finite(f"transform.inverse({leaf.name})", number, "Start inside of its range.")
        free.append(number.astype(number.dtype))  # no weak type, which would compile twice
    return tuple(free)
