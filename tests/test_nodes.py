"""Every node against its equation, written out once more."""

from math import exp

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import TRANSFORMS, assert_close, refuses

import coupling_fn as cf

RNG = np.random.default_rng(2)


def response(x, a, b):
    return 1 / (1 + exp(-a * (x - b))) - 1 / (1 + exp(a * b))


def by_hand(name, s, c, p):
    """One region; `p` has its parameters."""
    if name == "linear":
        return [p["a"] * s[0] + c[0]]
    if name == "hopf":
        z, drive = complex(*s), complex(*c)
        rate = (p["a"] + 1j * p["omega"] - abs(z) ** 2) * z + drive
        return [rate.real, rate.imag]
    if name == "kuramoto":
        return [p["omega"] + c[0]]
    if name == "fitzhugh_nagumo":
        v, w = s
        return [
            (v - v**3 / 3 - w + p["current"]) / p["tau"] + c[0],
            p["epsilon"] * (v + p["a"] - p["b"] * w) / p["tau"] + c[1],
        ]
    e, i = s
    e_drive = p["c_ee"] * e - p["c_ei"] * i + p["P"] + c[0]
    i_drive = p["c_ie"] * e - p["c_ii"] * i + p["Q"] + c[1]
    return [
        (-e + (1 - e) * response(e_drive, p["a_e"], p["b_e"])) / p["tau_e"],
        (-i + (1 - i) * response(i_drive, p["a_i"], p["b_i"])) / p["tau_i"],
    ]


NODES = {
    "linear": (cf.linear, cf.LinearState, cf.LinearParams, ("x",)),
    "hopf": (cf.hopf, cf.HopfState, cf.HopfParams, ("x", "y")),
    "kuramoto": (cf.kuramoto, cf.KuramotoState, cf.KuramotoParams, ("theta",)),
    "fitzhugh_nagumo": (
        cf.fitzhugh_nagumo,
        cf.FitzHughNagumoState,
        cf.FitzHughNagumoParams,
        ("v", "w"),
    ),
    "wilson_cowan": (cf.wilson_cowan, cf.WilsonCowanState, cf.WilsonCowanParams, ("E", "I")),
}


@pytest.mark.parametrize("transform", ["eager", "jit of vmap"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NODES)
def test_node_is_its_equation(name, dtype, transform):
    node, state_type, params_type, names = NODES[name]
    fields = params_type.__dataclass_fields__
    numbers = {field: RNG.uniform(0.5, 1.5, 3).astype(dtype) for field in fields}
    states, inputs = RNG.normal(size=(2, len(names), 3)).astype(dtype)
    state = state_type(*map(jnp.asarray, states))
    driven = state_type(*map(jnp.asarray, inputs))
    params = params_type(**numbers)
    got = TRANSFORMS[transform](node)(state, driven, params)
    wanted = [
        by_hand(name, states[:, i], inputs[:, i], {f: v[i] for f, v in numbers.items()})
        for i in range(3)
    ]
    assert type(got) is state_type
    assert got._fields == names
    assert all(x.dtype == dtype for x in got)
    assert_close(np.stack(got), np.transpose(wanted), ulps=64)


@pytest.mark.parametrize("name", NODES)
def test_node_names_its_states_and_inputs(name):
    node, state_type, _, names = NODES[name]
    assert isinstance(node, cf.Node)
    assert node.states == state_type._fields == names
    assert node.inputs == names
    assert set(node.coupled) <= {(x, y) for x in names for y in names}


@pytest.mark.parametrize("name", NODES)
def test_default_parameters_are_leaves_and_none_is_static(name):
    params_type = NODES[name][2]
    leaves = jax.tree.leaves(params_type())
    assert len(leaves) == len(params_type.__dataclass_fields__)
    assert all(isinstance(leaf, jax.Array) and leaf.shape == () for leaf in leaves)


def test_defaults_are_those_of_the_sources():
    wc = cf.WilsonCowanParams()
    assert [wc.c_ee, wc.c_ei, wc.c_ie, wc.c_ii] == [16, 12, 15, 3]
    assert [wc.a_e, wc.b_e, wc.a_i, wc.b_i, wc.P, wc.Q] == [1.3, 4, 2, 3.7, 1.25, 0]
    assert [wc.tau_e, wc.tau_i] == [8, 8]
    hopf = cf.HopfParams()
    assert hopf.a == -0.02
    assert 1000 * hopf.omega / (2 * np.pi) == pytest.approx(10.0)  # Hz
    assert 1000 * cf.KuramotoParams().omega / (2 * np.pi) == pytest.approx(40.0)


def test_wilson_cowan_of_its_defaults_cycles():
    """Fig. 11 of the source: P = 1.25 oscillates; without drive the node rests at 0."""
    net = cf.Network(cf.wilson_cowan, dt=0.5)

    def late(P):
        params = cf.Params(cf.WilsonCowanParams(P=P), cf.AdditiveCoupling(jnp.zeros((1, 1))))
        state = net.init(cf.WilsonCowanState(jnp.array([0.1]), jnp.array([0.05])), params)
        return cf.simulate(net, state, params, 2000, record="E")[1][1000:]

    cycle, rest = late(1.25), late(0.0)
    assert cycle.max() - cycle.min() > 0.1
    assert jnp.abs(rest).max() < 1e-6


def test_fitzhugh_nagumo_rests_without_current_and_spikes_with_it():
    net = cf.Network(cf.fitzhugh_nagumo, dt=0.1)
    params = cf.Params(
        cf.FitzHughNagumoParams(current=jnp.array([0.0, 0.5, 1.6])),
        cf.AdditiveCoupling(jnp.zeros((3, 3))),
    )
    state = net.init(cf.FitzHughNagumoState(-jnp.ones(3), -0.6 * jnp.ones(3)), params)
    v = cf.simulate(net, state, params, 3000, record="v")[1][1500:]
    assert ((v.max(axis=0) - v.min(axis=0)) > 1.0).tolist() == [False, True, False]


def test_a_node_of_ones_own_stays_the_function_it_was():
    @cf.node(states=["u", "v"], inputs=["drive"], coupled=[("v", "drive")])
    def own(state, inputs, params):
        return {"u": state["v"], "v": params * inputs["drive"]}

    assert own({"u": 1.0, "v": 2.0}, {"drive": 3.0}, 4.0) == {"u": 2.0, "v": 12.0}
    assert (own.states, own.inputs, own.coupled) == (("u", "v"), ("drive",), (("v", "drive"),))
    assert own.__name__ == "own"


def test_the_first_state_drives_the_first_input_by_default():
    assert cf.node(states=["u", "v"], inputs=["p", "q"])(lambda s, i, p: s).coupled == (("u", "p"),)
    assert cf.node(states=["u"], inputs=[])(lambda s, i, p: s).coupled == ()


def test_a_pair_that_does_not_exist_is_refused():
    with refuses("There is no state 'w'; there are: u, v"):
        cf.node(states=["u", "v"], inputs=["p"], coupled=[("w", "p")])
    with refuses("There is no input 'q'; there are: p"):
        cf.node(states=["u", "v"], inputs=["p"], coupled=[("u", "q")])


def test_node_parameters_reach_gradients():
    @eqx.filter_grad
    def slope(params):
        state = cf.HopfState(jnp.array([0.6]), jnp.array([0.8]))
        return cf.hopf(state, cf.HopfState(jnp.zeros(1), jnp.zeros(1)), params).x.sum()

    gradient = slope(cf.HopfParams(a=jnp.array([0.1]), omega=0.3))
    assert gradient.a.tolist() == [0.6]
    assert gradient.omega == -0.8


def test_the_oracles_nodes_are_these():
    """What judges the networks elsewhere is judged here."""
    rng = np.random.default_rng(5)
    for name, rate in [
        ("linear", oracle.linear(-0.3)),
        ("hopf", oracle.hopf(0.1, 0.7)),
        ("wilson_cowan", oracle.wilson_cowan()),
    ]:
        node, state_type, params_type, names = NODES[name]
        given = {"linear": {"a": -0.3}, "hopf": {"a": 0.1, "omega": 0.7}}.get(name, {})
        s, c = rng.uniform(0.1, 0.9, size=(2, len(names)))
        got = node(state_type(*s[:, None]), state_type(*c[:, None]), params_type(**given))
        wanted = rate(dict(zip(names, s, strict=True)), dict(zip(names, c, strict=True)))
        assert_close(
            np.array([got._asdict()[n][0] for n in names]), np.array(list(wanted.values()))
        )
