"""Names of a package that load their module when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any


def load_later(
    package: str, later: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose names load when they are used.

    Importing the whole package takes longer than JAX itself, and a program uses a small part of it. A
    static checker sees the same names by imports below `typing.TYPE_CHECKING`; `tests/test_layout.py`
    compares both.

    Args:
        package: the `__name__` of the package.
        later: from the module of each name, relative to the package (`._fit`), to its names, separated
            by blanks. A module without names is a public name itself.

    Returns:
        The three, to be assigned in the package's `__init__.py`.

    Example:
        >>> get, names, _ = load_later("coupling_fn.nodes", {"._hopf": "hopf HopfParams"})
        >>> names(), get("hopf").__name__
        (['hopf', 'HopfParams'], 'hopf')
    """
    homes = {name: module for module, names in later.items() for name in names.split()}
    homes |= {module.removeprefix("."): module for module, names in later.items() if not names}
    public = list(homes)

    def get(name: str) -> Any:
        if name not in homes:
            there = sys.modules.get(package)
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}", name=name, obj=there
            )
        # Where a function that JAX is tracing is the first to use a name, the constants of its module
        # must still be arrays. Without JAX, nothing can be traced.
        jax = sys.modules.get("jax")
        with jax.ensure_compile_time_eval() if jax else nullcontext():
            module = importlib.import_module(homes[name], package)
        found = getattr(module, name) if later[homes[name]] else module
        setattr(sys.modules[package], name, found)  # From now on Python finds it by itself.
        return found

    return get, lambda: public, public
