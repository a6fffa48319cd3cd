"""When two functions are taken for one: only if nothing that they read can have changed unnoticed."""

import functools
import math
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Compilations

import coupling_fn as cf
from coupling_fn._core import interned

X0 = cf.nodes.LinearState(jnp.ones(2))
PARAMS = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.eye(2)))


class Cell:
    """A cell of a notebook: `run` runs its code in the same globals as before, changed by `changes`."""

    def __init__(self, code, **globals_):
        self.code = compile(code, "<cell>", "exec")
        self.globals = {"__name__": "__main__", "jnp": jnp, "np": np, "cf": cf, **globals_}

    def run(self, **changes):
        self.globals |= changes
        exec(self.code, self.globals)
        return self.globals["f"]


ARRAY = jnp.arange(2.0)


@pytest.mark.parametrize(
    ("code", "globals_"),
    [
        ("f = lambda s: s.node.x", {}),
        ("f = lambda s: jnp.tanh(s.node.x) * 2.0 + np.pi", {}),
        ("f = lambda s: s.node.x * scale", {"scale": 2.0}),
        ("f = lambda s: s.node.x + array", {"array": ARRAY}),
        ("f = lambda s: s.node.x + both['a'][1]", {"both": {"a": [1, ARRAY]}}),
        ("f = lambda s, gain=2.0, *, more=(1, 'x'): gain * s.node.x", {}),
        ("def g(x): return x * scale\ndef f(s): return g(s.node.x)", {"scale": 2.0}),
        ("def f(s):\n def g(x): return x * scale\n return g(s.node.x)", {"scale": 2.0}),
        ("def make(k): return lambda s: k * s.node.x\nf = make(3.0)", {}),
        ("def f(n): return n and f(n - 1)", {}),
        ("f = lambda p: cf.simulate(net, state, p, 3)", {"net": cf.Network(cf.nodes.linear, 0.1)}),
        ("f = lambda s: part(s.node.x)", {"part": functools.partial(jnp.add, ARRAY)}),
        ("f = lambda s: sin(s)", {"sin": math.sin}),
        ("f = lambda s: s.node.x + x0.x + key.ndim", {"x0": X0, "key": jax.random.key(0)}),
    ],
)
def test_a_cell_that_runs_again_gives_the_same_function(code, globals_):
    cell = Cell(code, **globals_)
    first = cell.run()
    assert interned(first) is first
    again = cell.run()
    assert again is not first and interned(again) is first


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        ("f = lambda s: s * scale", {"scale": 2.0}, {"scale": 3.0}),
        ("f = lambda s: s * scale", {"scale": 0.0}, {"scale": -0.0}),
        ("f = lambda s: s * scale", {"scale": 1}, {"scale": True}),
        ("f = lambda s: s + array", {"array": ARRAY}, {"array": ARRAY + 1}),
        ("f = lambda s: s + both[0]", {"both": [1]}, {"both": [2]}),
        ("f = lambda s: s + both['a']", {"both": {"a": 1}}, {"both": {"b": 1}}),
        ("def g(x): return x * scale\ndef f(s): return g(s)", {"scale": 2.0}, {"scale": 3.0}),
        ("def f(s):\n def g(x): return x * scale\n return g(s)", {"scale": 2.0}, {"scale": 3.0}),
        ("def make(k): return lambda s: k * s\nf = make(scale)", {"scale": 2.0}, {"scale": 3.0}),
        ("f = lambda s, gain=scale: gain * s", {"scale": 2.0}, {"scale": 3.0}),
        ("def f(s, *, gain=scale): return gain * s", {"scale": 2.0}, {"scale": 3.0}),
        (
            "f = lambda s: part(s)",
            {"part": functools.partial(jnp.add, 1)},
            {"part": functools.partial(jnp.add, 2)},
        ),
        ("f = lambda s: s.x + x0.x", {"x0": X0}, {"x0": cf.nodes.LinearState(jnp.ones(2))}),
        (
            "f = lambda p: net",
            {"net": cf.Network(cf.nodes.linear, 0.1)},
            {"net": cf.Network(cf.nodes.linear, 0.2)},
        ),
    ],
)
def test_what_it_reads_makes_another_function_and_the_old_one_is_found_again(code, before, after):
    cell = Cell(code)
    first = cell.run(**before)
    assert interned(first) is first
    second = cell.run(**after)
    assert interned(second) is second
    assert interned(cell.run(**before)) is first


class Knobs:
    scale = 2.0


def jitted():
    return jax.jit(lambda x: x * Knobs.scale)


class Model(eqx.Module):
    k: float = 2.0

    def __call__(self, x):
        return self.k * x * Knobs.scale


@pytest.mark.parametrize(
    "value",
    [
        np.ones(2),
        Knobs,
        Knobs(),
        jitted(),
        Model(),
        Model().__call__,
        types.ModuleType("mine"),
        {1},
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_may_change_unnoticed_makes_every_function_its_own(value):
    cell = Cell("f = lambda s: use(s)", use=value)
    for _ in range(2):
        fn = cell.run()
        assert interned(fn) is fn
    for code in (
        "f = lambda s: globals()",
        "def f(s):\n import os\n return s",
        "f = lambda s: eval('s')",
    ):
        cell = Cell(code)
        first, second = cell.run(), cell.run()
        assert interned(first) is first and interned(second) is second


def test_a_function_whose_globals_changed_stands_for_no_other():
    """Programs may have been compiled for what it did before, and JAX finds them by the object."""
    cell = Cell("f = lambda s: s * scale", scale=2.0)
    first = cell.run()
    assert interned(first) is first
    cell.globals["scale"] = 3.0
    assert interned(first) is first
    second = cell.run()
    assert interned(second) is second and interned(cell.run()) is second
    cell.globals["scale"] = 2.0
    assert interned(cell.run()) not in (first, second)


def test_functions_are_remembered_for_a_while_and_then_stand_alone():
    many = [Cell(f"f = lambda s: s + {i}") for i in range(300)]
    first = [cell.run() for cell in many]
    assert all(interned(f) is f for f in first)
    assert interned(many[-1].run()) is first[-1]
    assert interned(many[0].run()) is not first[0]
    assert interned(first[0]) is first[0]


def simulate_with(record, net=None):
    net = cf.Network(cf.nodes.linear, dt=0.1) if net is None else net
    return cf.simulate(net, net.init(X0, PARAMS), PARAMS, 4, record=record)[1]


def test_a_record_that_runs_again_compiles_once_and_follows_what_it_reads():
    cell = Cell("f = lambda s: s.node.x * scale", scale=2.0)
    before = simulate_with(cell.run())
    with Compilations() as seen:
        simulate_with(cell.run())
    assert seen.count == 0
    np.testing.assert_allclose(simulate_with(cell.run(scale=3.0)), before * 1.5)
    np.testing.assert_array_equal(simulate_with(cell.run(scale=2.0)), before)


CELLS = {
    "sweep": lambda f: cf.sweep(f, jnp.arange(3.0), progress=False),
    "fit": lambda f: (
        cf.fit(
            f,
            jnp.asarray(1.0),
            where=lambda p: p,
            optimizer=optax.adam(0.1),
            steps=3,
            progress=False,
        ).losses
    ),
    "least_squares": lambda f: (
        cf.least_squares(lambda p: f(p)[None], jnp.asarray(1.0), where=lambda p: p, steps=3).losses
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("door", CELLS)
def test_a_loss_that_runs_again_compiles_once_and_follows_what_it_reads(door):
    call, cell = CELLS[door], Cell("def f(x): return (x - goal) ** 2 + 0.0 * jnp.sum(W)", goal=0.2)
    cell.globals["W"] = ARRAY
    first = call(cell.run())
    with Compilations() as seen:
        call(cell.run())
    assert seen.count == 0
    assert not np.array_equal(call(cell.run(goal=0.5)), first)
    np.testing.assert_array_equal(call(cell.run(goal=0.2)), first)


def test_a_signal_a_wire_a_node_and_a_rule_that_run_again_compile_once():
    code = """
@cf.nodes.node(states=["x"], inputs=["x"])
def own(s, inputs, params):
    return type_(-params["a"] * s.x + inputs.x)

net = cf.Network(own, 0.1, couplings=cf.Wire(lambda s: s.x**2, into="x"), lags=2)
rule = cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), W)
f = cf.Params({"a": 2.0}, rule), net
"""
    cell = Cell(code, W=jnp.ones((2, 2)), type_=cf.nodes.LinearState)

    def run():
        params, net = cell.run()
        return cf.simulate(net, net.init(X0, params), params, 4)[1].x

    first = run()
    with Compilations() as seen:
        again = run()
    assert seen.count == 0
    np.testing.assert_array_equal(first, again)
