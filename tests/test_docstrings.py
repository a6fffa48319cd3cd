"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coupling_fn as cf

pytestmark = pytest.mark.every_case  # cheap, or each of its own kind

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


NEEDS = {"coupling_fn._least_squares.least_squares": "optimistix"}  # extras


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
    names = [n for n in vars(cf) if not n.startswith("_") and callable(getattr(cf, n))]
    # The state of a node is shown in the node's own example.
    return [n for n in names if n != "Node" and not hasattr(getattr(cf, n), "_fields")]


@pytest.mark.parametrize("name", _public())
def test_every_public_name_has_a_docstring_with_an_example(name):
    doc = getattr(cf, name).__doc__
    assert doc and ">>> " in doc
