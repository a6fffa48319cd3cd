"""Every node against an independent copy of its equation; its names, parameters and wiring."""

import inspect
import re
import typing
from collections import namedtuple
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import node_equations
import numpy as np
import oracle
import pytest
from helpers import TRANSFORMS, assert_close, refuses

import coupling_fn as cf

NODES = cf.nodes.catalog()


def types_of(name):
    """Return the classes of the state and the parameters of a node."""
    return NODES[name].State, NODES[name].Params


def drawn(name, regions, dtype, seed=2):
    """Return states, inputs and parameters within the node's range, different in each region."""
    rng = np.random.default_rng(seed)
    node, (_, params_type) = NODES[name], types_of(name)
    low, high = np.transpose([node.ranges[state] for state in node.states])
    states = rng.uniform(low, high, (regions, len(low))).T.astype(dtype)
    inputs = rng.normal(size=(len(node.inputs), regions)).astype(dtype)
    default = params_type()
    params = {
        f: (getattr(default, f) * rng.uniform(0.8, 1.2, regions) + 0.01).astype(dtype)
        for f in params_type.__dataclass_fields__
    }
    return states, inputs, {f: np.asarray(x) for f, x in params.items()}


def applied(name, states, inputs, params):
    """Return the node's rates of change, `(state, region)`."""
    state_type, params_type = types_of(name)
    driven = namedtuple("Inputs", NODES[name].inputs)(*map(jnp.asarray, inputs))
    state, params = state_type(*map(jnp.asarray, states)), params_type(**params)
    return NODES[name], (state, driven, params)


def by_hand(name, states, inputs, params):
    """Return the same rates by the plain equations, region by region."""
    equation = getattr(node_equations, name)
    regions = range(np.shape(states)[1])
    rates = [
        equation(
            [float(x) for x in states[:, i]],
            [float(x) for x in inputs[:, i]],
            {f: float(x[i]) for f, x in params.items()},
        )
        for i in regions
    ]
    return np.transpose(rates)


def test_auxiliary_quantities_are_their_equations_and_are_documented():
    """With their units, which a run records them in."""
    assert {n for n in NODES if NODES[n].auxiliary} == set(node_equations.AUXILIARY)
    for name, equations in node_equations.AUXILIARY.items():
        states, inputs, params = drawn(name, 6, "float64")
        node, args = applied(name, states, inputs, params)
        assert set(node.auxiliary) == set(equations)
        section = inspect.getdoc(node).split("Auxiliary:")[1].split("Source:")[0]
        for quantity, equation in equations.items():
            wanted = [
                equation(
                    [float(x) for x in states[:, i]],
                    [float(x) for x in inputs[:, i]],
                    {f: float(x[i]) for f, x in params.items()},
                )
                for i in range(6)
            ]
            assert_close(node.auxiliary[quantity](*args), np.array(wanted), ulps=2**10)
            assert re.search(rf"^    {quantity}: [^\]]*\]$", section, re.M), quantity


@pytest.mark.every(3)
@pytest.mark.parametrize("transform", ["eager", "jit of vmap"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NODES)
def test_node_is_its_equation(name, dtype, transform):
    states, inputs, params = drawn(name, 12, dtype)
    node, args = applied(name, states, inputs, params)
    got = TRANSFORMS[transform](node)(*args)
    wanted = by_hand(name, states, inputs, params)
    assert type(got) is types_of(name)[0]
    assert got._fields == node.states
    assert all(x.dtype == dtype for x in got)
    for state, x, y in zip(node.states, got, wanted, strict=True):
        # A sum whose terms cancel is no more exact than its terms, here a few times the rate or state.
        scale = max(np.abs(y).max(), _terms(name, state, states, params))
        assert_close(np.asarray(x), y, ulps=128, scale=scale)


def _terms(name, state, states, params):
    """Return how large the terms of a rate may be where they cancel."""
    if name in ("montbrio_pazo_roxin", "coombes_byrne") and state == "V":
        return (np.pi * np.abs(states[0]).max()) ** 2
    return 0.0


@pytest.mark.parametrize("name", NODES)
def test_node_names_its_states_inputs_and_ranges(name):
    node, (state_type, _) = NODES[name], types_of(name)
    assert isinstance(node, cf.nodes.Node)
    assert node.__name__ == name
    assert node.states == state_type._fields
    assert node.coupled
    sources, into = zip(*node.coupled, strict=True)
    assert {s for s in sources if isinstance(s, str)} <= set(node.states)
    assert set(into) <= set(node.inputs)
    assert tuple(node.ranges) == node.states
    assert all(low < high for low, high in node.ranges.values())


def test_the_catalog_has_every_node_of_the_package():
    public = {n for n in cf.nodes.__all__ if isinstance(getattr(cf.nodes, n), cf.nodes.Node)}
    assert set(NODES) == public
    assert len(NODES) >= 21


def test_the_page_of_nodes_has_a_true_row_for_each():
    page = Path(cf.nodes.__file__).with_name("README.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| `\w+`, ", line)]
    told = {row[0].split("`")[1]: [re.sub(r" \[.+?\]", "", cell) for cell in row] for row in rows}
    assert sorted(told) == sorted(NODES)
    for name, (title, states, inputs, coupled, _) in told.items():
        node = NODES[name]
        assert f"`{node.State.__name__}`, `{node.Params.__name__}`" in title
        assert tuple(states.split(", ")) == node.states
        assert tuple(inputs.split(", ")) == node.inputs
        assert [pair.split(" → ")[1] for pair in coupled.split(", ")] == [
            i for _, i in node.coupled
        ]


@pytest.mark.parametrize("name", NODES)
def test_a_node_knows_the_classes_of_its_state_and_parameters(name):
    """And they are public, under names that begin alike."""
    state_type, params_type = types_of(name)
    assert state_type._fields == NODES[name].states
    assert issubclass(params_type, eqx.Module)
    stem = state_type.__name__.removesuffix("State")
    assert stem.lower() == name.replace("_", "")
    assert getattr(cf.nodes, f"{stem}State") is state_type
    assert getattr(cf.nodes, f"{stem}Params") is params_type
    hints = typing.get_type_hints(NODES[name])
    assert (hints["state"], hints["params"]) == (state_type, params_type)


@pytest.mark.parametrize("name", NODES)
def test_default_parameters_are_leaves_with_a_documented_unit(name):
    params_type = types_of(name)[1]
    leaves = jax.tree.leaves(params_type())
    fields = params_type.__dataclass_fields__
    assert len(leaves) == len(fields)
    assert all(isinstance(leaf, jax.Array) and leaf.shape == () for leaf in leaves)
    # One indented entry per field, whose last line ends in its unit.
    listed = inspect.getdoc(params_type).partition("Attributes:")[2].partition("Example:")[0]
    entries = re.split(r"\n    (?=\w)", listed.rstrip())[1:]
    assert [entry.partition(":")[0] for entry in entries] == list(fields)
    assert all(re.search(r"\[[^]]+\]$", entry) for entry in entries)


# Third derivatives of a transfer function compile for half a minute.
LONG = pytest.param("zerlaut_second_order", marks=pytest.mark.thorough)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", [*sorted({*NODES} - {*LONG.values}), LONG])
def test_node_has_finite_gradients_in_everything(name):
    """In reverse mode and float32, at the ends of the range too."""
    node, (state_type, params_type) = NODES[name], types_of(name)
    ends = [np.linspace(*node.ranges[state], 5, dtype="float32") for state in node.states]
    state = state_type(*map(jnp.asarray, ends))
    inputs = {n: jnp.zeros(5, "float32") for n in node.inputs}
    driven = namedtuple("Inputs", node.inputs)

    @jax.jit
    @jax.grad
    def slope(args):
        state, inputs, params = args
        rates = node(state, driven(**inputs), params)
        return sum(x.sum() for x in rates)

    params = jax.tree.map(lambda x: x.astype("float32"), params_type())
    gradient = slope((state, inputs, params))
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert all(x.dtype == "float32" for x in jax.tree.leaves(gradient))


# --- in a network --------------------------------------------------------------------------------

CONN = np.array([[0.0, 0.9, 0.2], [0.1, 0.0, 0.7], [0.6, 0.3, 0.0]])
LAGS = np.array([[1, 3, 2], [2, 1, 4], [3, 1, 1]])
RULES = {
    "kuramoto": cf.KuramotoCoupling,
    "xy": cf.KuramotoCoupling,
    "jansen_rit": cf.SigmoidalJansenRitCoupling,
    "wendling": cf.SigmoidalJansenRitCoupling,
    "larter_breakspear": cf.HyperbolicTangentCoupling,
    "epileptor": cf.DiffusiveCoupling,
    "epileptor_2d": cf.DiffusiveCoupling,
    "thalamus": partial(
        cf.SigmoidalJansenRitCoupling, cmin=0.0, cmax=0.4, midpoint=-58.5, r=0.3023
    ),
    "canonical_microcircuit": partial(
        cf.SigmoidalJansenRitCoupling, cmin=-0.5, cmax=0.5, midpoint=0.0, r=2 / 3
    ),
    "epileptor_codim3": cf.DiffusiveCoupling,
    "epileptor_codim3_slow_mod": cf.DiffusiveCoupling,
    "epileptor_resting_state": cf.DiffusiveCoupling,
}
# Larger where the state is large beside its coupled part (rates in kHz), or the target is slow.
SLOW = ["epileptor", "epileptor_2d", "epileptor_codim3", "epileptor_codim3_slow_mod"]
SLOW += ["epileptor_resting_state", "jansen_rit", "wendling", "zetterberg_jansen"]
STRENGTH = dict.fromkeys(SLOW, 500.0)


def run(name, k, dtype="float64", steps=60, conn=CONN):
    """Return the last states `(state, region)` of a small delayed network on the node's own wires."""
    node, (state_type, params_type) = NODES[name], types_of(name)
    rng = np.random.default_rng(4)
    low, high = np.transpose([node.ranges[state] for state in node.states])
    middle, width = (low + high) / 2, (high - low) / 2
    x0 = middle[:, None] + 0.5 * width[:, None] * rng.uniform(-1, 1, (len(low), 3))
    net = cf.Network(node, dt=0.01, lags=LAGS)
    cast = lambda tree: jax.tree.map(lambda x: x.astype(dtype), tree)
    params = cast(cf.Params(params_type(), RULES.get(name, cf.AdditiveCoupling)(conn, k)))
    state = net.init(state_type(*jnp.asarray(x0, dtype)), params)
    return np.stack(cf.simulate(net, state, params, steps, record=None)[0].node)


@pytest.mark.every(6)
@pytest.mark.parametrize("name", NODES)
def test_coupling_changes_the_trajectory_and_float32_stays(name):
    """With k = 0 it would not change; a transposed `conn` gives another trajectory."""
    k = STRENGTH.get(name, 2.0)
    coupled, uncoupled, turned = run(name, k), run(name, 0.0), run(name, k, conn=CONN.T)
    assert np.isfinite(coupled).all()
    size = np.abs(uncoupled).max(axis=1, keepdims=True)
    driven = np.abs(coupled - uncoupled) / size
    assert driven.max() > 1e-3
    assert (np.abs(coupled - turned) / size).max() > 0.02 * driven.max()
    single = run(name, k, "float32")
    assert single.dtype == "float32"
    assert_close(single, coupled.astype("float32"), ulps=4096)  # of the largest state


def test_defaults_are_those_of_the_sources():
    wc = cf.nodes.WilsonCowanParams()
    assert [wc.c_ee, wc.c_ei, wc.c_ie, wc.c_ii] == [16, 12, 15, 3]
    assert [wc.a_e, wc.b_e, wc.a_i, wc.b_i, wc.P, wc.Q] == [1.3, 4, 2, 3.7, 1.25, 0]
    assert [wc.tau_e, wc.tau_i] == [8, 8]
    hopf = cf.nodes.HopfParams()
    assert hopf.a == -0.02
    assert 1000 * hopf.omega / (2 * np.pi) == pytest.approx(10.0)  # Hz
    assert 1000 * cf.nodes.KuramotoParams().omega / (2 * np.pi) == pytest.approx(40.0)


def test_wilson_cowan_of_its_defaults_cycles():
    """Fig. 11 of the source: P = 1.25 oscillates; without drive the node rests at 0."""
    net = cf.Network(cf.nodes.wilson_cowan, dt=0.5)

    def late(P):
        params = cf.Params(cf.nodes.WilsonCowanParams(P=P), cf.AdditiveCoupling(jnp.zeros((1, 1))))
        state = net.init(cf.nodes.WilsonCowanState(jnp.array([0.1]), jnp.array([0.05])), params)
        return cf.simulate(net, state, params, 2000, record="E")[1][1000:]

    cycle, rest = late(1.25), late(0.0)
    assert cycle.max() - cycle.min() > 0.1
    assert jnp.abs(rest).max() < 1e-6


def test_fitzhugh_nagumo_rests_without_current_and_spikes_with_it():
    net = cf.Network(cf.nodes.fitzhugh_nagumo, dt=0.1)
    params = cf.Params(
        cf.nodes.FitzHughNagumoParams(current=jnp.array([0.0, 0.5, 1.6])),
        cf.AdditiveCoupling(jnp.zeros((3, 3))),
    )
    state = net.init(cf.nodes.FitzHughNagumoState(-jnp.ones(3), -0.6 * jnp.ones(3)), params)
    v = cf.simulate(net, state, params, 3000, record="v")[1][1500:]
    assert ((v.max(axis=0) - v.min(axis=0)) > 1.0).tolist() == [False, True, False]


def test_a_node_of_ones_own_stays_the_function_it_was():
    @cf.nodes.node(states=["u", "v"], inputs=["drive"], coupled=[("v", "drive")])
    def own(state, inputs, params):
        return {"u": state["v"], "v": params * inputs["drive"]}

    assert own({"u": 1.0, "v": 2.0}, {"drive": 3.0}, 4.0) == {"u": 2.0, "v": 12.0}
    assert (own.states, own.inputs, own.coupled) == (("u", "v"), ("drive",), (("v", "drive"),))
    assert own.__name__ == "own"
    assert (own.State, own.Params) == (None, None)  # unless it says them
    told = cf.nodes.node(states=["x"], inputs=[], state=cf.nodes.LinearState, params=dict)(own)
    assert (told.State, told.Params) == (cf.nodes.LinearState, dict)


def test_the_first_state_drives_the_first_input_by_default():
    two = cf.nodes.node(states=["u", "v"], inputs=["p", "q"])(lambda s, i, p: s)
    assert two.coupled == (("u", "p"),)
    deaf = cf.nodes.node(states=["u"], inputs=[])(lambda s, i, p: s)
    assert deaf.coupled == ()


def test_a_pair_that_does_not_exist_is_refused():
    with refuses("There is no state 'w'; there are: u, v"):
        cf.nodes.node(states=["u", "v"], inputs=["p"], coupled=[("w", "p")])
    with refuses("There is no input 'q'; there are: p"):
        cf.nodes.node(states=["u", "v"], inputs=["p"], coupled=[("u", "q")])


def test_node_parameters_reach_gradients():
    @eqx.filter_grad
    def slope(params):
        state = cf.nodes.HopfState(jnp.array([0.6]), jnp.array([0.8]))
        return cf.nodes.hopf(state, cf.nodes.HopfState(jnp.zeros(1), jnp.zeros(1)), params).x.sum()

    gradient = slope(cf.nodes.HopfParams(a=jnp.array([0.1]), omega=0.3))
    assert gradient.a.tolist() == [0.6]
    assert gradient.omega == -0.8


def test_the_oracles_nodes_are_these():
    """The oracle's node equations, which judge networks elsewhere, are judged here."""
    rng = np.random.default_rng(5)
    for name, rate in [
        ("linear", oracle.linear(-0.3)),
        ("hopf", oracle.hopf(0.1, 0.7)),
        ("wilson_cowan", oracle.wilson_cowan()),
    ]:
        node, (state_type, params_type) = NODES[name], types_of(name)
        names = node.states
        given = {"linear": {"a": -0.3}, "hopf": {"a": 0.1, "omega": 0.7}}.get(name, {})
        s, c = rng.uniform(0.1, 0.9, size=(2, len(names)))
        got = node(state_type(*s[:, None]), state_type(*c[:, None]), params_type(**given))
        wanted = rate(dict(zip(names, s, strict=True)), dict(zip(names, c, strict=True)))
        assert_close(
            np.array([got._asdict()[n][0] for n in names]), np.array(list(wanted.values()))
        )
