"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import inspect
import pkgutil
from operator import attrgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coupling_fn as cf

MODULES = ["coupling_fn"] + [
    m.name
    for m in pkgutil.walk_packages(cf.__path__, "coupling_fn.")
    if m.name != "coupling_fn.__main__"
]
EXAMPLES = [
    pytest.param(example, id=example.name.removeprefix("coupling_fn."))
    for name in MODULES
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    if example.examples
]


NEEDS = {"coupling_fn._fit._least_squares.least_squares": "optimistix"}  # extras


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs(example, tmp_path, monkeypatch):
    if example.name in NEEDS:
        pytest.importorskip(NEEDS[example.name])
    monkeypatch.chdir(tmp_path)
    example.globs.update(cf=cf, jax=jax, jnp=jnp, np=np)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    said = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not said, "".join(said)


def _public():
    """The address of each public function and class: `simulate`, `nodes.hopf`."""
    flat = {name: x for name, x in vars(cf).items() if not name.startswith("_")}
    rooms = {
        name: x
        for name, x in flat.items()
        if inspect.ismodule(x) and x.__name__.startswith("coupling_fn.")
    }
    inside = {
        f"{room}.{name}": x
        for room, module in rooms.items()
        for name, x in vars(module).items()
        if not name.startswith("_")
    }
    every = {name: x for name, x in (flat | inside).items() if callable(x)}
    # The state of a node is shown in the node's own example.
    return [
        name for name, x in every.items() if x is not cf.nodes.Node and not hasattr(x, "_fields")
    ]


@pytest.mark.parametrize("name", _public())
def test_every_public_name_has_a_docstring_with_an_example(name):
    doc = attrgetter(name)(cf).__doc__
    assert doc and ">>> " in doc
