"""The derivatives of a loss or of residuals, in forward or in reverse mode.

Forward mode costs one more run per unconstrained value, in the memory of one run. Reverse mode costs
about 2.5 more runs, however many values there are, and keeps what the run computed. Not every function
has both: a `jax.custom_vjp` has only the reverse, and a `jax.lax.while_loop` only the forward.
"""

import math
import typing
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun
from jax.extend.core.primitives import custom_lin_p

from ._leaves import Unconstrained, basis, flatten, size_of, unflatten

Derivative = typing.Literal["auto", "reverse", "forward"]
DERIVATIVES = ("auto", "reverse", "forward")
MANY = 20  # From so many residuals per fitted value on, the reverse mode is several times slower.


def value_and_gradient(
    loss: Callable[[Unconstrained], Array], unconstrained: Unconstrained, derivative: str
) -> tuple[Array, Unconstrained]:
    """Return the loss and its gradient, in the mode that is asked for."""
    # Of one value the forward mode takes 2 runs and no memory, the reverse mode 3.5 runs. From two
    # values on, the forward mode is not faster.
    if derivative == "forward" or (derivative == "auto" and size_of(unconstrained) == 1):
        loss, forward = _traced_once(loss, unconstrained, derivative)
        if forward:
            value, slopes = _along_each(loss, unconstrained, axis=0)
            return value, unflatten(slopes, unconstrained)
    return jax.value_and_grad(loss)(unconstrained)


def value_and_jacobian(
    residuals: Callable[[Unconstrained], Array], unconstrained: Unconstrained, derivative: str
) -> tuple[Array, Array]:
    """Return the residuals in a row and their Jacobian, with one column per unconstrained value."""
    row, forward = _traced_once(lambda u: jnp.ravel(residuals(u)), unconstrained, derivative)
    if forward:
        return _along_each(row, unconstrained, axis=1)
    value, pull = jax.vjp(row, unconstrained)
    if derivative == "auto" and value.size > MANY * size_of(unconstrained):
        warnings.warn(
            f"The derivative of {value.size} residuals by {size_of(unconstrained)} fitted values costs "
            "a run per residual, because it has no forward mode: a network with delays has one in "
            '`cf.simulate(..., derivative="forward")`. `derivative="reverse"` here accepts the cost.',
            UserWarning,
            stacklevel=2,
        )
    rows = jnp.eye(value.size, dtype=value.dtype)
    return value, lax.map(lambda row: flatten(pull(row)[0]), rows, batch_size=8)


def _traced_once(
    fn: Callable[[Unconstrained], Array], unconstrained: Unconstrained, derivative: str
) -> tuple[Callable[[Unconstrained], Array], bool]:
    """Return the same function, never traced again, and whether to differentiate it forward."""
    program = jax.make_jaxpr(fn)(unconstrained)

    def once(unconstrained: Unconstrained) -> Array:
        return jaxpr_as_fun(program)(*unconstrained)[0]

    forward = derivative != "reverse" and _has_forward(once, unconstrained)
    if derivative == "forward" and not forward:
        raise TypeError(
            '`derivative="forward"` needs a loss that has a forward derivative; this one passes '
            "what is fitted through a jax.custom_vjp. A network with delays has a forward "
            'derivative in cf.simulate(..., derivative="forward"); or leave `derivative` out here.'
        )
    return once, forward


def _has_forward(fn: Callable[[Unconstrained], Array], unconstrained: Unconstrained) -> bool:
    """Return whether `fn` has a derivative in forward mode.

    JAX writes that derivative down in any case, with the equation `custom_lin` where a
    `jax.custom_vjp` would have to be pushed forward, and refuses that equation only when it is
    compiled. A `custom_vjp` that the fitted values do not reach leaves no such equation.
    """

    def push(unconstrained: Unconstrained, direction: Unconstrained) -> tuple[Array, Array]:
        return jax.jvp(fn, (unconstrained,), (direction,))

    return not _holds_custom_lin(jax.make_jaxpr(push)(unconstrained, unconstrained).jaxpr)


def _holds_custom_lin(jaxpr: Jaxpr) -> bool:
    for equation in jaxpr.eqns:
        if equation.primitive is custom_lin_p:
            return True
        for part in jax.tree.leaves(equation.params):  # of a loop, a branch, a call
            part = part.jaxpr if isinstance(part, ClosedJaxpr) else part
            if isinstance(part, Jaxpr) and _holds_custom_lin(part):
                return True
    return False


def is_symmetric(residuals: np.ndarray) -> bool:
    """Return whether residuals are a matrix of three or more rows that is its transpose up to rounding.

    They are differences of larger numbers, so that what these round is a larger part of them.
    """
    square = residuals.ndim == 2 and 2 < len(residuals) == residuals.shape[1]
    apart = np.abs(residuals - residuals.T).max() if square else np.inf
    return bool(apart <= 1e-3 * np.abs(residuals).max(initial=0))


def reads_pairs(loss: Callable[[Unconstrained], Array], unconstrained: Unconstrained) -> bool:
    """Return whether a loss, or its residuals, are differences of the entries of a symmetric matrix.

    They are if the result leads back to one value per pair, picked from a square matrix, through nothing
    but sums and functions of single entries. What mixes entries otherwise, as whitening does, is not.
    """
    program = jax.make_jaxpr(loss)(unconstrained).jaxpr
    top = _Frame(program, {}, ())
    waiting, seen = [(x, top) for x in program.outvars], set()
    # A loop, with each variable once: a program may be long, and use a variable often.
    while waiting:
        var, frame = waiting.pop()
        if isinstance(var, Literal) or (var, frame.path) in seen:
            continue
        seen.add((var, frame.path))
        made = frame.makers.get(var)
        if made is None:
            waiting += [frame.arguments[var]] if var in frame.arguments else []
        elif _picks_pairs(made):
            return True
        else:
            waiting += _before(made, var, frame)
    return False


class _Frame:
    """A program within a program.

    Attributes:
        makers: the equation that makes each variable.
        arguments: for each input what it is called with, and the frame of that.
        path: the calls that lead here.
    """

    def __init__(self, jaxpr: Jaxpr, arguments: dict[Any, tuple[Any, Any]], path: tuple[int, ...]):
        self.makers = {out: equation for equation in jaxpr.eqns for out in equation.outvars}
        self.arguments, self.path = arguments, path


# Primitives of which each output belongs to one entry of the inputs, or is a sum over such ones.
_NAMES = (
    "abs add add_any atan2 atanh broadcast_in_dim clamp concatenate convert_element_type copy copy_p "
    "div exp expand_dims integer_pow log log1p max min mul neg optimization_barrier pow reduce_sum "
    "reshape select_n sign slice sqrt square squeeze stop_gradient sub tanh transpose"
)
_ENTRYWISE = frozenset(_NAMES.split())


def _picks_pairs(made: Any) -> bool:
    """Return whether an equation picks one value per pair from a square matrix, or from a batch."""
    if made.primitive.name != "gather":
        return False
    shape, size = made.invars[0].aval.shape, made.outvars[0].aval.size
    n = shape[-1] if shape else 0
    square = len(shape) >= 2 and shape[-2] == n >= 3
    return square and size == math.prod(shape[:-2]) * n * (n - 1) // 2


def _before(made: Any, var: Any, frame: _Frame) -> list[tuple[Any, _Frame]]:
    """List what an output of an equation is made of, entry by entry; nothing if entries are mixed."""
    name = made.primitive.name
    parts = [x.jaxpr if isinstance(x, ClosedJaxpr) else x for x in made.params.values()]
    inner = next((x for x in parts if isinstance(x, Jaxpr)), None)
    if inner is None:
        # A product of two rows that is one number is a sum of squares, r @ r.
        summed = name == "dot_general" and made.outvars[0].aval.ndim == 0
        return [(x, frame) for x in made.invars] if name in _ENTRYWISE or summed else []
    sizes = len(inner.invars), len(inner.outvars)
    if name in ("scan", "while") or sizes != (len(made.invars), len(made.outvars)):
        return []
    arguments = {x: (y, frame) for x, y in zip(inner.invars, made.invars, strict=True)}
    within = _Frame(inner, arguments, (*frame.path, id(made)))
    return [(inner.outvars[made.outvars.index(var)], within)]


def _along_each(
    fn: Callable[[Unconstrained], Array], unconstrained: Unconstrained, axis: int
) -> tuple[Array, Array]:
    """Return what `fn` returns, and on a new axis its derivative along each unconstrained value."""

    def along(direction: Unconstrained) -> tuple[Array, Array]:
        return jax.jvp(fn, (unconstrained,), (direction,))

    directions = basis(unconstrained)
    if size_of(unconstrained) == 1:  # a batch of one would take the slower way of a batch
        value, slope = along(jax.tree.map(lambda x: x[0], directions))
        return value, jnp.expand_dims(slope, axis)
    return jax.vmap(along, out_axes=(None, axis))(directions)
