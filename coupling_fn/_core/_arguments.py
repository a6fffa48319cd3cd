"""What a compiled program is given: numbers become arrays, so that it serves them all.

`eqx.filter_jit` takes arrays as arguments and everything else as part of the program, which is compiled
again for each new value. A field made by `parameter` holds an array, but
`eqx.tree_at(lambda p: p.coupling.k, params, 0.2)` puts a float there past its converter.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import equinox as eqx
import jax

from ._check import constant
from ._types import PARAMETER, PyTree

P = ParamSpec("P")
T = TypeVar("T")


def as_arguments(tree: PyTree) -> PyTree:
    """Return `tree` as a compiled program should take it, so that it is compiled once for all values.

    Python floats become weakly typed arrays, which adopt the dtype they meet. So do whole numbers where
    a parameter stands. Elsewhere these may be part of a program's structure, such as an order or a
    size, and stay what they are, as do booleans and text.
    """
    return _converted(tree, whole=False)


def _converted(tree: PyTree, whole: bool) -> PyTree:
    """Return `tree` with its floats as arrays, and its whole numbers too, if they are parameters."""
    if type(tree) is float or (type(tree) is int and whole):
        return constant(float(tree))
    if not any(type(x) in (int, float) for x in jax.tree.leaves(tree)):
        return tree
    children, structure = jax.tree.flatten_with_path(tree, is_leaf=lambda x: x is not tree)
    if jax.tree_util.treedef_is_leaf(structure):
        return tree
    fields = dataclasses.fields(tree) if dataclasses.is_dataclass(tree) else None
    if fields is not None:
        parameters = {field.name for field in fields if PARAMETER in field.metadata}
        are_whole = [getattr(path[-1], "name", None) in parameters for path, _ in children]
    else:
        are_whole = [whole] * len(children)
    both = zip(children, are_whole, strict=True)
    return structure.unflatten([_converted(child, each) for (_, child), each in both])


def compiled(fn: Callable[P, T]) -> Callable[P, T]:
    """Return `eqx.filter_jit(fn)` of arguments as `as_arguments` returns them.

    Whole numbers and text that are arguments themselves stay part of the program.
    """
    program: Callable[..., T] = eqx.filter_jit(fn)

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        taken, named = as_arguments((args, kwargs))
        return program(*taken, **named)

    return call
