"""One object for functions that do the same: a cell of a notebook that runs again compiles nothing.

JAX compiles a program for each function object, and a `def` or `lambda` that runs again makes a new
one. Two do the same if their code is equal and so is all that it reads: what it closes over, its
defaults, and the globals that it and the functions it calls name. `interned` looks at these at every
call. It trusts only what cannot change unnoticed: numbers and text; JAX arrays that are the same object;
containers of such; modules, classes and functions of the packages in `TRUSTED`; and other functions of
which the same is true. A function that reads anything else, such as a NumPy array or a module of the
user's, is unlike all others.
"""

import dataclasses
import dis
import functools
import types
import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import numpy as np

from ._check import known

TRUSTED = {"jax", "jaxlib", "numpy", "math", "functools", "operator", "equinox", "optax"}
TRUSTED |= {__name__.partition(".")[0]}
OPAQUE = {"globals", "locals", "vars", "eval", "exec", "open", "input", "__import__"}
MOST = 256  # How many functions are remembered.
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice)


class _Unlike(Exception):
    """A function reads something that may change unnoticed."""


class _Entry(NamedTuple):
    """A function, and what its key names by identity, kept so that no id is used twice."""

    fn: Any
    kept: list[Any]


_entries: OrderedDict[Any, _Entry] = OrderedDict()
_keys: dict[int, Any] = {}  # The key of each function in `_entries`, by its id.
# Functions that stand for no other: programs may have been compiled for what they did before.
_alone: weakref.WeakSet[Any] = weakref.WeakSet()


def interned(fn: Any) -> Any:
    """Return the first function given here that does the same as `fn`, or else `fn` itself."""
    if type(fn) is not types.FunctionType or fn in _alone:
        return fn
    kept: list[Any] = []
    try:
        key = _of_function(fn, kept, ())
        known_as = _entries.get(key)
    except (
        _Unlike,
        TypeError,
        AttributeError,
    ):  # It reads what has no key, no hash or no such field.
        key = known_as = None
    if id(fn) in _keys:
        if _keys[id(fn)] != key:
            _forget(_keys[id(fn)])
        return fn
    if key is None:
        _alone.add(fn)
        return fn
    if known_as is not None:
        _entries.move_to_end(key)
        return known_as.fn
    _entries[key], _keys[id(fn)] = _Entry(fn, kept), key
    if len(_entries) > MOST:
        _forget(next(iter(_entries)))
    return fn


def _forget(key: Any) -> None:
    fn = _entries.pop(key).fn
    del _keys[id(fn)]
    _alone.add(fn)


def _of_function(fn: types.FunctionType, kept: list[Any], within: tuple[Any, ...]) -> Any:
    """Return a key of what a function does; `within` are the functions that led to it."""
    if any(fn is outer for outer in within):
        return "a function around it", [fn is outer for outer in within].index(True)
    within = (*within, fn)
    try:
        cells = [cell.cell_contents for cell in fn.__closure__ or ()]
    except ValueError:  # A cell that is still empty.
        raise _Unlike from None
    parts = [cells, fn.__defaults__, fn.__kwdefaults__]
    if not _is_trusted(fn.__module__):
        globals_ = fn.__globals__
        named = [name for name in _globals_of(fn.__code__) if name in globals_]
        parts += [{name: globals_[name] for name in named}, fn.__dict__]
    kept.append(fn.__globals__)
    return fn.__code__, id(fn.__globals__), tuple(_of(part, kept, within) for part in parts)


def _of(x: Any, kept: list[Any], within: tuple[Any, ...]) -> Any:
    """Return a key of something that a function reads."""
    kind = type(x)

    def of_all(xs: Any) -> Any:
        return kind, tuple(_of(each, kept, within) for each in xs)

    if kind in PLAIN or isinstance(x, np.generic | np.dtype):
        return kind, repr(x)
    if kind in (list, tuple):
        return of_all(x)
    if kind is dict:
        return _of(list(x), kept, within), of_all(x.values())
    if isinstance(x, functools.partial):
        return of_all([x.func, x.args, x.keywords])
    made_by_function = kind is types.FunctionType and "<locals>" in x.__qualname__
    if kind is types.FunctionType and (made_by_function or not _is_trusted(x.__module__)):
        return _of_function(x, kept, within)
    if isinstance(x, tuple) and (_is_trusted(kind.__module__) or _is_named_tuple(kind)):
        return of_all(x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type) and _is_trusted(kind.__module__):
        return of_all([getattr(x, field.name) for field in dataclasses.fields(x)])
    if not _is_fixed(x):
        raise _Unlike
    kept.append(x)
    return id(x)


def _is_fixed(x: Any) -> bool:
    """Return whether something is what it was as long as it is the same object."""
    if isinstance(x, jax.Array):
        return known(x)
    if isinstance(x, types.ModuleType):
        return _is_trusted(x.__name__)
    if isinstance(x, types.BuiltinFunctionType):
        return isinstance(x.__self__, types.ModuleType)
    if isinstance(x, type) and _is_named_tuple(x):
        return True
    return callable(x) and _is_trusted(getattr(x, "__module__", None))


def _is_trusted(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in TRUSTED


def _is_named_tuple(kind: type) -> bool:
    """Return whether a class is a NamedTuple without methods of its own."""
    own = {name for name, x in vars(kind).items() if callable(x) or isinstance(x, classmethod)}
    generated = {
        "__new__",
        "_make",
        "_replace",
        "__repr__",
        "_asdict",
        "__getnewargs__",
        "__replace__",
    }
    return kind.__bases__ == (tuple,) and hasattr(kind, "_fields") and own <= generated


@functools.lru_cache(maxsize=1024)
def _globals_of(code: types.CodeType) -> tuple[str, ...]:
    """Return the globals that a function names, and those that functions inside it name."""
    names = set()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(step.argval)
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME"):
            raise _Unlike
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= set(_globals_of(constant))
    if names & OPAQUE:
        raise _Unlike
    return tuple(sorted(names))
