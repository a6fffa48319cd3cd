"""Public names say what they do, in what units, and show it: and every example runs as printed."""

import doctest
import importlib
import inspect
import pkgutil
import re
import types
import typing
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import AbstractArray

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
NEEDS = {  # extras
    "coupling_fn._evolution._evolve.evolve": "evosax",
    "coupling_fn._fit._least_squares.least_squares": "optimistix",
    "coupling_fn.surface._cortex.load_cortex": "tvb_data",
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_runs(example, tmp_path, monkeypatch):
    if example.name in NEEDS:
        pytest.importorskip(NEEDS[example.name], exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    example.globs.update(cf=cf, jax=jax, jnp=jnp, np=np)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    said = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not said, "".join(said)


def public_addresses():
    """The address of each public function, class and node: `simulate`, `nodes.hopf`."""
    flat = {name: getattr(cf, name) for name in cf.__all__}
    rooms = {
        name: x
        for name, x in flat.items()
        if inspect.ismodule(x) and x.__name__.startswith("coupling_fn.")
    }
    inside = {
        f"{room}.{name}": x
        for room, module in rooms.items()
        for name, x in ((name, getattr(module, name)) for name in module.__all__)
    }
    return [name for name, x in (flat | inside).items() if callable(x)]


PUBLIC = public_addresses()
# What need not be listed: `source` and `target` of a coupling as a function, which the formula of its
# class names, and what the library alone writes into a class that it makes.
UNLISTED = {name: {"source", "target"} for name in PUBLIC if name.endswith("_coupling")} | {
    "LogDensity": {"loss", "prior", "fitted"},
    "SparseConnection": {"by_target", "by_source"},
    "VectorField": {"net", "params"},
    "nodes.Node": {"args", "kwargs"},
}
# At its end in brackets, "[any unit]" if need be; or that of another value: "from `kernel_weights`".
UNIT = re.compile(r"\[[^]]+\]$|\bfrom `\w+`")


def document(name):
    return inspect.getdoc(attrgetter(name)(cf)) or ""


def entries(doc):
    """From each argument or attribute that a docstring lists to what it says of it."""
    found = {}
    for section in re.findall(r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n?)*)", doc, re.MULTILINE):
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc("\n" + section)):
            names, _, text = entry.partition(":")
            found |= dict.fromkeys(re.findall(r"\w+", names), text.strip())
    return found


def parts(annotation):
    """The members of a union, and of what stands in it."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from parts(member)
    else:
        yield annotation


def is_quantity(annotation):
    """Return whether an annotation asks for real numbers; one that takes any array says too little."""
    members = [*parts(annotation)]
    kinds = [x.dtypes for x in members if isinstance(x, type) and issubclass(x, AbstractArray)]
    floats = any(kind is Any or any("float" in str(dtype) for dtype in kind) for kind in kinds)
    return bool not in members and (float in members or floats)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_has_a_contract_and_an_example(name):
    doc = document(name)
    assert doc, "no docstring"
    sections = re.search(r"^(Args|Attributes|Returns|Raises):$", doc, re.MULTILINE)
    assert sections or "$" in doc or "See `" in doc, "neither a formula nor a contract"
    assert ">>> " in doc, "no example"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_documents_each_argument_with_its_unit(name):
    x = attrgetter(name)(cf)
    listed = own = entries(document(name))
    for other in re.findall(r"See `([\w.]+)`", document(name)):
        listed = entries(document(other)) | listed
    parameters = inspect.signature(x).parameters
    missing = parameters.keys() - listed.keys() - UNLISTED.get(name, set())
    assert not missing, f"{missing} in neither `Args:` nor `Attributes:`"
    stale = own.keys() - parameters.keys() if inspect.isfunction(x) else None
    assert not stale, f"{stale} listed, which it does not take"
    bare = [
        argument
        for argument, parameter in parameters.items()
        if argument in listed
        and is_quantity(parameter.annotation)
        and not UNIT.search(listed[argument])
    ]
    assert not bare, f"{bare} without a unit in brackets at the end"


@pytest.mark.parametrize("node", cf.nodes.catalog().values(), ids=cf.nodes.catalog())
def test_a_state_is_documented_in_the_units_of_its_node(node):
    listed = entries(inspect.getdoc(node.State))
    assert list(listed) == list(node.states)
    for state, unit in node.state_units.items():
        assert listed[state].endswith(f". [{unit}]")
