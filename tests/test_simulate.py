"""Whole runs against scalar loops, and what must not change a run."""

import dataclasses
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, refuses
from jax import lax
from jax.experimental.sparse import BCOO
from strategies import directed

import coupling_fn as cf

N, STEPS, DT = 5, 21, 0.1  # not a whole number of blocks
RNG = np.random.default_rng(0)
CONN = directed(N, N, seed=4)
X0 = {"x": RNG.normal(size=N), "y": RNG.normal(size=N)}
PAST = RNG.normal(size=(20, N))
HOPF = cf.nodes.HopfParams(a=-0.2, omega=0.7)


def lags_from(smallest, largest, shape=(N, N)):
    """Return unequal lags of which edges that exist have the smallest and the largest."""
    lags = np.random.default_rng(smallest + largest).integers(smallest, largest + 1, shape)
    lags[0, 0], lags[1, 1] = smallest, largest
    return lags


CONN[1, 1] = -0.6
LAGS = {
    "none": None,
    "from 0": lags_from(0, 7),
    "from 1": lags_from(1, 7),
    "from 3": lags_from(3, 9),
    "from 11": lags_from(11, 20),
    "mixed": lags_from(9, 20),
    "one for all": 4,
    "a later one for all": 9,
}
# Blocks of 8 steps, with stepwise edges of three targets, one of them of lag 0.
LAGS["mixed"][0, 0], LAGS["mixed"][2, 1], LAGS["mixed"][4, 3] = 0, 2, 5
K = np.linspace(0.5, 1.5, N)
THRESHOLD = lambda s, t, conn, k, threshold: (
    k * cf.weighted_sum(conn, jnp.where(s > threshold, s, 0.0))
)
# coupling over a connection, oracle
RULES = {
    "diffusive": (lambda conn: cf.DiffusiveCoupling(conn, 0.8), oracle.diffusive(0.8)),
    "Kuramoto": (lambda conn: cf.KuramotoCoupling(conn, K), oracle.kuramoto(K)),
    "hyperbolic tangent": (
        lambda conn: cf.HyperbolicTangentCoupling(conn, 0.7, a=0.6, b=2.0, midpoint=0.1, sigma=0.7),
        oracle.hyperbolic_tangent(0.7, 0.6, 2.0, 0.1, 0.7),
    ),
    "additive": (lambda conn: cf.AdditiveCoupling(conn, K, b=0.1), oracle.additive(K, 0.1)),
    "sigmoidal": (
        lambda conn: cf.SigmoidalCoupling(conn, 2.0, sigma=0.8),
        oracle.sigmoidal(2.0, sigma=0.8),
    ),
    "Jansen-Rit": (
        lambda conn: cf.SigmoidalJansenRitCoupling(conn, K, cmax=2.0, midpoint=0.2, r=1.5),
        oracle.sigmoidal_jansen_rit(K, cmax=2.0, midpoint=0.2, r=1.5),
    ),
    "pre-sigmoidal": (
        lambda conn: cf.PreSigmoidalCoupling(conn, 0.9, G=2.0),
        oracle.pre_sigmoidal(0.9, G=2.0),
    ),
}
SEEN = {
    "custom": (
        lambda conn: cf.CustomCoupling(THRESHOLD, conn, 0.8, threshold=0.2),
        oracle.above_threshold(0.8, 0.2),
    ),
    "edge": (
        lambda conn: cf.EdgeCoupling(lambda s, t, gain: gain * jnp.tanh(s * t), conn, K, gain=1.3),
        oracle.product(K, 1.3),
    ),
}
FORMS = {"dense": jnp.asarray, "BCOO": BCOO.fromdense}


def past_of(depth):
    return PAST[20 - depth :]


def matrix(lags):
    return np.zeros((N, N)) if lags is None else np.broadcast_to(np.asarray(lags), (N, N))


@eqx.filter_jit
def step_by_step(net, state, params, steps):
    """Run without `simulate`, in a scan of a user's own."""

    def step(state, _):
        state = net(state, params)
        return state, state.node

    return lax.scan(step, state, None, length=steps)


def as_dict(record):
    return record if isinstance(record, dict) else record._asdict()


def check(net, params, state, judge, x0=X0, steps=STEPS, by_step=False, ulps=2**13, broken=True):
    """Require the run to be the oracle's, in each way, and far from that of broken oracles."""
    wanted = judge.run(x0, steps)
    last, record = cf.simulate(net, state, params, steps)
    assert_close(as_dict(record), wanted, ulps=ulps)
    assert_close(as_dict(last.node), {name: x[-1] for name, x in wanted.items()}, ulps=ulps)
    assert last.step == steps
    if by_step:
        hand, states = step_by_step(net, state, params, steps)
        assert_close(as_dict(states), wanted, ulps=ulps)
        assert_close(hand.history, last.history, ulps=ulps)
    for name, wrong in broken_oracles(judge) if broken else ():
        result = wrong.run(x0, steps)
        error = max(np.abs(result[x] - wanted[x]).max() for x in wanted)
        assert error > 1e-3, f"an oracle with {name} gives the same"


def broken_oracles(judge):
    def change(**changes):
        wires = [
            dataclasses.replace(w, **{f: g(w) for f, g in changes.items()}) for w in judge.wires
        ]
        past = {key: np.concatenate([rows[:1], rows]) for key, rows in judge.history.items()}
        return dataclasses.replace(judge, wires=wires, history=past)

    yield "no coupling", dataclasses.replace(judge, wires=[])
    if all(w.conn.shape == (N, N) for w in judge.wires):
        yield "transposed weights", change(conn=lambda w: w.conn.T)
        if any(np.ndim(w.lags) and np.ptp(w.lags) for w in judge.wires if w.lags is not None):
            yield "transposed lags", change(lags=lambda w: w.lags if w.lags is None else w.lags.T)
    if any(w.lags is not None for w in judge.wires):
        yield (
            "lags off by one",
            change(lags=lambda w: w.lags if w.lags is None else np.asarray(w.lags) + 1),
        )


def hopf_case(rule, form, lags, scheme="heun", hold="stage", reads="messages"):
    """Return a network with one coupling from x onto x and an external input on y."""
    couple, judged = {**RULES, **SEEN}[rule]
    net = cf.Network(
        cf.nodes.hopf, DT, couplings=cf.Wire("x", into="x"), lags=lags, scheme=scheme, hold=hold
    )
    params = cf.Params(HOPF, couple(FORMS[form](CONN)), external={"y": jnp.linspace(0.0, 1.0, N)})
    depth = int(matrix(lags).max())
    wire = oracle.Wire(judged, CONN, "x", "x", None if lags is None else matrix(lags), reads=reads)
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [wire],
        DT,
        scheme,
        hold,
        external={"y": lambda t, i: np.linspace(0, 1, N)[i]},
        history={"x": past_of(depth)} if depth else {},
    )
    state = net.init(cf.nodes.HopfState(**X0), params, history=past_of(depth) if depth else None)
    return net, params, state, judge


GRID = [
    (list(RULES)[n % len(RULES)], list(FORMS)[n % 2], lags, scheme, hold)
    for n, (lags, scheme, hold) in enumerate(
        [(lags, scheme, "stage") for lags in LAGS for scheme in ("euler", "heun", "rk4")]
        + [(lags, scheme, "step") for lags in ("from 0", "mixed") for scheme in ("heun", "rk4")]
    )
]


@pytest.mark.every(8)
@pytest.mark.parametrize(("rule", "form", "lags", "scheme", "hold"), GRID)
def test_every_scheme_over_every_lag_is_the_oracle(rule, form, lags, scheme, hold):
    check(*hopf_case(rule, form, LAGS[lags], scheme, hold), by_step=scheme == "heun")


@pytest.mark.every(2)
@pytest.mark.optimised
@pytest.mark.parametrize("rule", ["Kuramoto", "diffusive", "sigmoidal", "additive"])
def test_rules_compiled_as_for_a_user_are_the_oracle(rule):
    form = list(FORMS)[list(RULES).index(rule) % 2]
    check(*hopf_case(rule, form, LAGS["from 0"]))


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("rule", "form", "lags", "scheme"),
    [
        ("custom", "dense", "from 0", "heun"),
        ("custom", "BCOO", "from 3", "rk4"),
        ("custom", "dense", "one for all", "euler"),
        ("custom", "dense", "none", "heun"),
        ("edge", "BCOO", "from 0", "rk4"),
        ("edge", "dense", "from 3", "heun"),
        ("edge", "BCOO", "one for all", "heun"),
    ],
)
def test_custom_and_edge_rules_with_delays_are_the_oracle(rule, form, lags, scheme):
    check(*hopf_case(rule, form, LAGS[lags], scheme, reads="states"))


def test_a_delayed_edge_rule_equals_the_separable_one():
    net, params, state, _ = hopf_case("Kuramoto", "dense", LAGS["from 0"])
    edges = cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), CONN, K)
    other = eqx.tree_at(lambda p: p.coupling, params, edges)
    assert_close(*(cf.simulate(net, state, p, STEPS)[1] for p in (params, other)), ulps=2**13)


def test_bcoo_with_padding_and_without_order_is_the_dense_network():
    net, _, state, judge = hopf_case("hyperbolic tangent", "dense", LAGS["from 0"])
    source, target = np.nonzero(CONN.T)  # by column
    edges = np.concatenate([np.stack([target, source], 1), np.full((3, 2), N)])
    values = np.concatenate([CONN[target, source], np.zeros(3)])
    loose = BCOO((jnp.asarray(values), jnp.asarray(edges)), shape=(N, N))
    coupling = RULES["hyperbolic tangent"][0](loose)
    params = cf.Params(HOPF, coupling, external={"y": jnp.linspace(0.0, 1.0, N)})
    check(net, params, state, judge)


def test_a_sum_of_couplings_is_the_oracle():
    """Feedforward and feedback, each with its own weights; one of them is a custom rule."""
    feedback = directed(N, N, seed=8)
    (ff, a), (fb, b), (own, c) = RULES["hyperbolic tangent"], RULES["diffusive"], SEEN["custom"]
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS["from 0"])  # onto x and y, as the node says
    coupling = ff(CONN) + fb(BCOO.fromdense(feedback)) + own(CONN)
    params = cf.Params(HOPF, coupling)
    past = {"x": past_of(7), "y": 2 * past_of(7)}
    wires = [
        oracle.Wire(rule, conn, name, name, LAGS["from 0"])
        for name in ("x", "y")
        for rule, conn in [(a, CONN), (b, feedback), (c, CONN)]
    ]
    judge = oracle.Net(oracle.hopf(-0.2, 0.7), wires, DT, "heun", history=past)
    check(net, params, net.init(cf.nodes.HopfState(**X0), params, history=past), judge)


@pytest.mark.parametrize("scheme", ["heun", "rk4"])
def test_couplings_with_lags_of_their_own_are_the_oracle(scheme):
    """E onto E over long lags, E onto I over one lag, I onto E instantaneous and reading its E."""
    x0 = {"E": RNG.uniform(0.1, 0.5, N), "I": RNG.uniform(0.1, 0.5, N)}
    wires = {
        "long": cf.Wire("E", into="E"),
        "near": cf.Wire("E", into="I"),
        "inhibition": cf.Wire("I", into="E", target="E"),
    }
    net = cf.Network(
        cf.nodes.wilson_cowan,
        DT,
        couplings=wires,
        lags={"long": LAGS["from 3"], "near": 2, "inhibition": None},
        scheme=scheme,
    )
    strong = 4 * np.abs(CONN)
    params = cf.Params(
        cf.nodes.WilsonCowanParams(),
        {
            "inhibition": cf.DiffusiveCoupling(-strong, K),
            "long": cf.AdditiveCoupling(BCOO.fromdense(strong)),
            "near": cf.HyperbolicTangentCoupling(strong, 2.0),
        },
    )
    past = {"E": np.random.default_rng(3).uniform(0.1, 0.9, (9, N))}
    judge = oracle.Net(
        oracle.wilson_cowan(),
        [
            oracle.Wire(oracle.additive(), strong, "E", "E", LAGS["from 3"]),
            oracle.Wire(oracle.hyperbolic_tangent(2.0), strong, "E", "I", matrix(2)),
            oracle.Wire(oracle.diffusive(K), -strong, "I", "E", target="E"),
        ],
        DT,
        scheme,
        history=past,
    )
    state = net.init(cf.nodes.WilsonCowanState(**x0), params, history=past)
    assert {key: rows.shape for key, rows in state.history.items()} == {"E": (9, N)}
    check(net, params, state, judge, x0, steps=40)


@pytest.mark.parametrize("others", ["from 11", "none"])
def test_regions_feed_themselves_back_late_beside_what_others_send(others):
    """A coupling on the diagonal with a lag per region, one of them 0, and the rest of the network."""
    own, lags = -2.0 * np.eye(N), np.diag(np.array([12, 9, 3, 0, 17]))
    wires = {"others": cf.Wire("x", into="x"), "self": cf.Wire("x", into="x")}
    net = cf.Network(
        cf.nodes.hopf, DT, couplings=wires, lags={"others": LAGS[others], "self": lags}
    )
    rules = {"others": cf.AdditiveCoupling(CONN), "self": cf.AdditiveCoupling(own, K)}
    params = cf.Params(HOPF, rules)
    past = PAST if others == "from 11" else past_of(17)
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [
            oracle.Wire(oracle.additive(), CONN, "x", "x", matrix(LAGS[others])),
            oracle.Wire(oracle.additive(K), own, "x", "x", lags),
        ],
        DT,
        "heun",
        history={"x": past},
    )
    state = net.init(cf.nodes.HopfState(**X0), params, history=past)
    # Lags on the diagonal alone are their own transpose.
    check(net, params, state, judge, steps=40, broken=others != "none")


def test_a_function_of_the_state_is_a_source():
    """A source such as Jansen and Rit's y1 - y2; its history has the name of the coupling."""
    couple, rule = RULES["Jansen-Rit"]
    wire = cf.Wire(lambda s: s.x - s.y, into="y")
    net = cf.Network(cf.nodes.hopf, DT, couplings={"pyramidal": wire}, lags=LAGS["from 0"])
    params = cf.Params(HOPF, {"pyramidal": couple(CONN)})
    past = {"pyramidal": past_of(7)}
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [oracle.Wire(rule, CONN, lambda s: s["x"] - s["y"], "y", LAGS["from 0"], key="pyramidal")],
        DT,
        "heun",
        history=past,
    )
    check(net, params, net.init(cf.nodes.HopfState(**X0), params, history=past), judge)


def test_a_coupling_named_like_a_state_does_not_share_its_history():
    """One coupling is called "x" and reads x - y; the other reads the state x."""
    wires = {"x": cf.Wire(lambda s: s.x - s.y, into="x"), "plain": cf.Wire("x", into="y")}
    net = cf.Network(cf.nodes.hopf, DT, couplings=wires, lags=3)
    params = cf.Params(HOPF, {"x": cf.AdditiveCoupling(CONN), "plain": cf.AdditiveCoupling(CONN)})
    state = net.init(cf.nodes.HopfState(**X0), params)
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [
            oracle.Wire(
                oracle.additive(), CONN, lambda s: s["x"] - s["y"], "x", matrix(3), key="d"
            ),
            oracle.Wire(oracle.additive(), CONN, "x", "y", matrix(3)),
        ],
        DT,
        "heun",
        history={"d": np.tile(X0["x"] - X0["y"], (3, 1)), "x": np.tile(X0["x"], (3, 1))},
    )
    check(net, params, state, judge, broken=False)


def test_blocked_couplings_may_have_histories_of_unequal_length():
    far = {"x": lags_from(8, 11), "y": lags_from(13, 20)}
    wires = {"first": cf.Wire("x", into="x"), "second": cf.Wire("y", into="y")}
    lags = {"first": far["x"], "second": far["y"]}
    net = cf.Network(cf.nodes.hopf, DT, couplings=wires, lags=lags)
    couplings = {"first": cf.DiffusiveCoupling(CONN, K), "second": cf.KuramotoCoupling(CONN, 0.7)}
    params = cf.Params(HOPF, couplings)
    past = {"x": past_of(11), "y": past_of(20)}
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [
            oracle.Wire(oracle.diffusive(K), CONN, "x", "x", far["x"]),
            oracle.Wire(oracle.kuramoto(0.7), CONN, "y", "y", far["y"]),
        ],
        DT,
        "heun",
        history=past,
    )
    state = net.init(cf.nodes.HopfState(**X0), params, history=past)
    check(net, params, state, judge, steps=7)  # 7 steps: what arrives first must be right


@pytest.mark.thorough
def test_a_source_may_be_some_of_the_regions():
    conn, lags = directed(N, 3, seed=2), lags_from(0, 6, (N, 3))
    wire = cf.Wire(lambda s: s.x[1:4], into="x", target="y")
    net = cf.Network(cf.nodes.hopf, DT, couplings={"some": wire}, lags=lags)
    params = cf.Params(HOPF, {"some": cf.DiffusiveCoupling(conn, K)})
    past = {"some": past_of(6)[:, :3]}
    judge = oracle.Net(
        oracle.hopf(-0.2, 0.7),
        [oracle.Wire(oracle.diffusive(K), conn, lambda s: s["x"][1:4], "x", lags, "y", "some")],
        DT,
        "heun",
        history=past,
    )
    check(net, params, net.init(cf.nodes.HopfState(**X0), params, history=past), judge)


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("rule", "form", "scheme", "smallest"),
    [
        ("Kuramoto", "dense", "heun", 0),
        ("Kuramoto", "dense", "heun", 9),
        ("hyperbolic tangent", "BCOO", "rk4", 3),
        ("diffusive", "dense", "euler", 3),
        ("additive", "BCOO", "euler", 9),
        ("diffusive", "BCOO", "heun", 0),
    ],
)
def test_interpolated_reads_are_the_oracle(rule, form, scheme, smallest):
    """Fractional lags, some of them whole, some between 0 and 1."""
    couple, judged = RULES[rule]
    lags = np.random.default_rng(6).uniform(smallest, smallest + 6, (N, N))
    lags[0, 0], lags[1, 1], lags[2, :3] = smallest, smallest + 4, smallest + 0.3
    lags[0, 1] = smallest + 6
    lengths = lags * 3.0 * DT
    # Rounding may carry them over the bounds.
    lengths[0, 0], lengths[0, 1] = np.nextafter(lengths[0, 0], -1), np.nextafter(lengths[0, 1], 99)
    lengths = np.maximum(lengths, 0)
    net = cf.Network(
        cf.nodes.hopf,
        DT,
        couplings=cf.Wire("x", into="x"),
        lag_bounds=(smallest, smallest + 6),
        interpolate="linear",
        scheme=scheme,
    )
    params = cf.Params(HOPF, couple(FORMS[form](CONN)), lengths=lengths, speed=3.0)
    past = {"x": past_of(smallest + 6)}
    wire = oracle.Wire(judged, CONN, "x", "x", lags)
    judge = oracle.Net(oracle.hopf(-0.2, 0.7), [wire], DT, scheme, history=past)
    check(net, params, net.init(cf.nodes.HopfState(**X0), params, history=past), judge)


def test_lengths_and_speed_in_params_are_the_lags_they_round_to():
    net, params, state, _ = hopf_case("Kuramoto", "dense", LAGS["from 0"])
    other = cf.Network(cf.nodes.hopf, DT, couplings=cf.Wire("x", into="x"), lag_bounds=(0, 7))
    lengths = (LAGS["from 0"] + RNG.uniform(-0.4, 0.4, (N, N)) * (LAGS["from 0"] > 0)) * 0.3
    lengths = np.minimum(lengths, 0.3 * 7)
    varied = cf.Params(HOPF, params.coupling, None, params.external, lengths=lengths, speed=3.0)
    wanted = cf.simulate(net, state, params, STEPS)[1]
    assert_close(cf.simulate(other, state, varied, STEPS)[1], wanted, ulps=256)


@pytest.mark.every(3)
@pytest.mark.parametrize("scheme", ["heun", "euler", "rk4"])
def test_noise_is_one_draw_per_step_from_the_key(scheme):
    key = jax.random.key(3)
    amplitude = np.linspace(0.1, 0.9, N)
    net, params, _, judge = hopf_case("diffusive", "dense", LAGS["from 0"], scheme)
    params = eqx.tree_at(lambda p: p.noise, params, {"y": amplitude}, is_leaf=lambda x: x is None)
    state = net.init(cf.nodes.HopfState(**X0), params, key=key, history=past_of(7))

    def draw(n):
        xi = jax.random.normal(jax.random.fold_in(key, n), (1, N))
        return {"x": np.zeros(N), "y": np.sqrt(DT) * amplitude * np.asarray(xi[0])}

    quiet = judge.run(X0, STEPS)
    judge.noise = draw
    assert np.abs(judge.run(X0, STEPS)["x"] - quiet["x"]).max() > 0.1
    check(net, params, state, judge)


def test_noise_in_all_states_and_its_size():
    """dx = σ dW: after n steps the variance is σ² n dt."""
    net = cf.Network(cf.nodes.hopf, DT, scheme="euler")
    params = cf.Params(
        cf.nodes.HopfParams(a=0.0, omega=0.0),
        cf.AdditiveCoupling(jnp.zeros((400, 400))),
        noise=1e-3,
    )
    start = cf.nodes.HopfState(jnp.zeros(400), jnp.zeros(400))
    last, _ = cf.simulate(net, net.init(start, params, key=jax.random.key(0)), params, 50)
    for state in last.node:
        assert jnp.var(state) == pytest.approx(1e-6 * 50 * DT, rel=0.25)  # a standard error is 7 %
    assert abs(jnp.corrcoef(*last.node)[0, 1]) < 0.2
    other, _ = cf.simulate(net, net.init(start, params, key=jax.random.key(1)), params, 50)
    assert abs(jnp.corrcoef(last.node.x, other.node.x)[0, 1]) < 0.2


@pytest.mark.parametrize("scheme", ["euler", "heun", "rk4"])
def test_external_input_is_a_function_of_each_stages_time(scheme):
    net, params, _, judge = hopf_case("additive", "dense", LAGS["from 0"], scheme)
    drive = lambda t: jnp.sin(3.0 * t) * jnp.linspace(1.0, 2.0, N)
    external = {"x": drive, "y": jnp.asarray(0.5)}
    params = cf.Params(HOPF, params.coupling, external=external)
    judge.external = {
        "x": lambda t, i: np.sin(3.0 * t) * np.linspace(1, 2, N)[i],
        "y": lambda t, i: 0.5,
    }
    check(net, params, net.init(cf.nodes.HopfState(**X0), params, history=past_of(7)), judge)


def test_a_pytree_may_be_the_external_input():
    class Pulse(eqx.Module):
        onset: jax.Array

        def __call__(self, t):
            return jnp.where(t >= self.onset, 1.0, 0.0)

    net = cf.Network(cf.nodes.linear, 1.0, scheme="euler")
    params = cf.Params(
        cf.nodes.LinearParams(a=0.0),
        cf.AdditiveCoupling(jnp.zeros((2, 2))),
        external={"x": Pulse(2.0)},
    )
    state = net.init(cf.nodes.LinearState(jnp.zeros(2)), params)
    x = cf.simulate(net, state, params, 4, record="x")[1]
    assert x[:, 0].tolist() == [0.0, 0.0, 1.0, 2.0]


@cf.nodes.node(states=["u", "v"], inputs=["drive", "gate"], coupled=[("v", "drive")])
def relay(state, inputs, params):
    return {
        "u": -params["leak"] * state["u"] + inputs["drive"],
        "v": (state["u"] - state["v"]) * (1 + inputs["gate"]),
    }


@pytest.mark.parametrize("lags", ["none", "from 0", "from 3"])
def test_a_node_of_ones_own_with_a_dict_for_a_state_is_the_oracle(lags):
    x0 = {"v": X0["y"], "u": X0["x"]}
    net = cf.Network(relay, DT, lags=LAGS[lags], scheme="rk4")
    params = cf.Params({"leak": 0.3}, RULES["Kuramoto"][0](CONN), external={"gate": jnp.asarray(K)})
    depth = int(matrix(LAGS[lags]).max())
    past = {"v": past_of(depth)} if depth else {}
    judge = oracle.Net(
        lambda s, c: {
            "u": -0.3 * s["u"] + c["drive"],
            "v": (s["u"] - s["v"]) * (1 + c["gate"]),
        },
        [oracle.Wire(RULES["Kuramoto"][1], CONN, "v", "drive", LAGS[lags])],
        DT,
        "rk4",
        external={"gate": lambda t, i: K[i]},
        history=past,
        inputs=("drive", "gate"),
    )
    check(net, params, net.init(x0, params, history=past or None), judge, x0)


# --- what must not change a run ---------------------------------------------------------------------


def noisy_case(lags="from 3", **options):
    """Return a network that uses every part of the state: history, key and step."""
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS[lags], **options)
    params = cf.Params(
        HOPF, RULES["Kuramoto"][0](CONN), noise=0.2, external={"x": lambda t: jnp.cos(t)}
    )
    past = dict.fromkeys("xy", past_of(int(matrix(LAGS[lags]).max()))) if net.delayed else None
    state = net.init(cf.nodes.HopfState(**X0), params, key=jax.random.key(1), history=past)
    return net, params, state


def same(a, b):
    """Return whether two trees are the same to the bit, keys included."""
    leaves, tree = jax.tree.flatten(a)
    others, other_tree = jax.tree.flatten(b)
    assert tree == other_tree
    data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return all((data(x) == data(y)).all() for x, y in zip(leaves, others, strict=True))


@pytest.mark.every(3)
@pytest.mark.optimised
@pytest.mark.parametrize("lags", ["mixed", "from 3", "from 11"])
def test_two_parts_are_one_run_bit_for_bit(lags):
    """Also where the parts divide into other blocks than the whole."""
    net, params, state = noisy_case(lags)
    last, record = cf.simulate(net, state, params, 22)
    middle, first = cf.simulate(net, state, params, 11)
    end, second = cf.simulate(net, middle, params, 11)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
    assert_close(both, record, ulps=64)
    assert same(last, end)
    assert same(record, both)


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["mixed", "from 0"])
def test_steps_by_hand_are_steps_of_simulate(lags):
    net, params, state = noisy_case(lags)
    jitted, by_hand = eqx.filter_jit(net), net(state, params)
    for _ in range(4):
        by_hand = jitted(by_hand, params)
    last, _ = cf.simulate(net, state, params, 5, record=None)
    assert_close(by_hand.node, last.node, ulps=64)
    assert_close(by_hand.history, last.history, ulps=64)


@pytest.mark.thorough
@pytest.mark.optimised
def test_jit_around_it_changes_nothing():
    net, params, state = noisy_case()
    run = lambda state, params: cf.simulate(net, state, params, STEPS)
    assert_close(eqx.filter_jit(run)(state, params)[1], run(state, params)[1], ulps=256)


@pytest.mark.thorough
def test_an_empty_batch_has_no_runs():
    """`jax.lax.map` of some versions asks for an empty batch where its batches go in evenly."""
    net, params, state = noisy_case("from 11")

    def run(k, key):
        at = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state._replace(key=key), at, 12, record="x")[1]

    none = jnp.zeros(0), jax.random.split(jax.random.key(0), 0)
    assert jax.vmap(run)(*none).shape == (0, 12, N)
    slope = jax.grad(lambda k, key: run(k, key).sum())
    assert jax.vmap(slope)(*none).shape == (0,)


@pytest.mark.every(3)
@pytest.mark.parametrize("lags", ["from 11", "from 0", "mixed"])
def test_vmap_over_k_and_keys_is_a_loop(lags):
    net, params, state = noisy_case(lags)

    def run(k, key):
        changed = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state._replace(key=key), changed, STEPS)

    ks, keys = jnp.array([0.0, 0.7, 2.0]), jax.random.split(jax.random.key(9), 3)
    _, batch = jax.vmap(run)(ks, keys)
    for n in range(3):
        _, alone = run(ks[n], keys[n])
        assert_close(jax.tree.map(lambda x, n=n: x[n], batch), alone, ulps=2**12)
    assert jnp.abs(batch.x[0] - batch.x[2]).max() > 0.1


@pytest.mark.thorough
def test_vmap_over_whole_params_and_over_states_is_a_loop():
    net, params, state, _ = hopf_case("hyperbolic tangent", "dense", LAGS["from 11"])
    several = [
        eqx.tree_at(lambda p: (p.coupling.conn, p.node.a), params, (conn, jnp.asarray(a)))
        for conn, a in [(jnp.asarray(CONN), -0.2), (jnp.asarray(CONN.T), 0.3)]
    ]
    stack = lambda *trees: jax.tree.map(lambda *xs: jnp.stack(xs), *trees)
    states = stack(state, jax.tree.map(lambda x: x + jnp.asarray(1).astype(x.dtype), state))
    run = lambda state, params: cf.simulate(net, state, params, STEPS, record="x")[1]
    batch = jax.vmap(run)(states, stack(*several))
    for n in range(2):
        alone = run(jax.tree.map(lambda x, n=n: x[n], states), several[n])
        assert_close(batch[n], alone, ulps=2**12)


@pytest.mark.optimised
def test_float32_stays_and_is_near_float64():
    net, params, state, _ = hopf_case("diffusive", "dense", LAGS["from 3"])
    cast = lambda tree: jax.tree.map(
        lambda x: x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )
    last, record = cf.simulate(net, cast(state), cast(params), STEPS)
    leaves = jax.tree.leaves((record, last.node, last.history))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    wanted = cf.simulate(net, state, params, STEPS)[1]
    assert_close(record, wanted, ulps=256)


@pytest.mark.thorough
def test_a_weakly_typed_start_runs():
    """`jnp.full(5, 0.1)` and a Python number for k are weak in JAX; the run is the same."""
    net, params, _, _ = hopf_case("diffusive", "dense", LAGS["from 3"])
    weak, strong = jnp.full(N, 0.1), jnp.full(N, 0.1, float)
    runs = [
        cf.simulate(net, net.init(cf.nodes.HopfState(x, x), params), params, STEPS)[1]
        for x in (weak, strong)
    ]
    assert_close(*runs, ulps=64)


def traces(counter=[]):  # noqa: B006  (what it counts is its state)
    """Return a node that counts how often it is traced."""

    @cf.nodes.node(states=["x"], inputs=["x"])
    def counted(state, inputs, params):
        counter.append(1)
        return {"x": params * state["x"] + inputs["x"]}

    counter.clear()
    return counted, counter


def test_a_second_call_does_not_trace_again():
    node, counter = traces()

    def run(k, conn, a, x0, speed):
        net = cf.Network(  # built anew, as in a user's loop
            node, DT, couplings={"c": cf.Wire("x", into="x")}, lag_bounds=(1, 9)
        )
        params = cf.Params(a, {"c": cf.AdditiveCoupling(conn, k)}, lengths=2 * K, speed=speed)
        params = eqx.tree_at(lambda p: p.lengths, params, jnp.full((N, N), 0.9))
        return cf.simulate(net, net.init({"x": x0}, params), params, STEPS, record="x")[1]

    first = run(0.5, CONN, jnp.array(-0.1), X0["x"], 3.0)
    seen = len(counter)
    assert seen > 0
    second = run(2, CONN.T, jnp.array(0.3), X0["y"], 1.1)
    assert len(counter) == seen
    assert (first != second).any()


# --- any step, and what is recorded -----------------------------------------------------------------


def test_any_step_function_is_simulated():
    def step(state, params):
        return {"n": state["n"] + 1, "x": state["x"] * params}

    start = {"n": jnp.array(0), "x": jnp.ones(2)}
    last, x = cf.simulate(step, start, jnp.array(2.0), 5, record=lambda s: s["x"][0])
    assert x.tolist() == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert last["n"] == 5


def test_a_network_may_be_wrapped_in_a_step_of_ones_own():
    net, params, state = noisy_case()

    def halved(state, params):
        state = net(state, params)
        return state._replace(node=jax.tree.map(lambda x: x / 2, state.node))

    x = cf.simulate(halved, state, params, 3, record="x")[1]
    by_hand = state
    for n in range(3):
        by_hand = halved(by_hand, params)
        assert_close(x[n], by_hand.node.x, ulps=64)


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["from 11", "from 3"])
def test_what_is_recorded(lags):
    net, params, state = noisy_case(lags)
    run = lambda every, **record: cf.simulate(net, state, params, 12, every=every, **record)
    seen = lambda s: (s.node, s.step, s.history["x"][-1])
    each, _, newest = run(1, record=seen)[1]
    assert_close(newest[1:], each.x[:-1], ulps=16)  # the state before the one recorded with it
    for every in (3, 4, 12):
        last, (node, steps, _) = run(every, record=seen)
        assert steps.tolist() == list(range(every, 13, every))
        assert (node.x[-1] == last.node.x).all()
        assert_close(node, jax.tree.map(lambda x, n=every: x[n - 1 :: n], each), ulps=16)
    by_default = run(3)[1]  # the state of the nodes is recorded by default
    assert type(by_default) is cf.nodes.HopfState
    assert_close(by_default, jax.tree.map(lambda x: x[2::3], each), ulps=16)


@pytest.mark.every(4)
@pytest.mark.parametrize(
    "record",
    [
        lambda s: {name: rows[-1] for name, rows in s.history.items()},
        lambda s: s.history.get("x"),
        lambda s: jax.tree.map(lambda rows: rows.sum(), s.history),
        lambda s: s.history["x"][-1] if "x" in s.history else s.node.x,
        lambda s: s._replace(key=None),
        lambda s: len(s.history) * s.node.x,
    ],
)
def test_a_record_may_read_the_history_in_any_way(record):
    net, params, state = noisy_case("from 11")
    seen = cf.simulate(net, state, params, 3, record=record)[1]
    for n in range(3):
        state = net(state, params)
        assert_close(jax.tree.map(lambda x, n=n: x[n], seen), record(state), ulps=64)


def test_states_are_recorded_by_name():
    net, params, state = noisy_case("none")
    run = lambda record: cf.simulate(net, state, params, 12, record=record)
    last, by_default = cf.simulate(net, state, params, 12)
    assert same(run("x"), (last, by_default.x))
    assert same(run(("y", "x")), (last, {"x": by_default.x, "y": by_default.y}))
    assert_close(run(lambda s: s.node.x.mean())[1], by_default.x.mean(axis=1), ulps=16)
    assert run(None)[1] is None
    assert same(run(None)[0], last)


def test_no_steps_are_no_record_and_the_same_state():
    net, params, state = noisy_case()
    last, record = cf.simulate(net, state, params, 0)
    assert record.x.shape == (0, N)
    assert same(last, state)


def test_the_first_record_is_after_one_step():
    net = cf.Network(cf.nodes.linear, 1.0, scheme="euler")
    params = cf.Params(cf.nodes.LinearParams(a=1.0), cf.AdditiveCoupling(jnp.zeros((1, 1))))
    state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
    assert cf.simulate(net, state, params, 2, record="x")[1].tolist() == [[2.0], [4.0]]


def test_without_history_each_region_was_always_where_it_starts():
    net, params, state, _ = hopf_case("Kuramoto", "dense", LAGS["from 3"])
    given = net.init(cf.nodes.HopfState(**X0), params, history=X0["x"])
    default = net.init(cf.nodes.HopfState(**X0), params)
    assert same(given, default)
    assert not same(given, state)


def test_an_earlier_run_is_a_history():
    """A run continues from the record of another, whose last rows are its history."""
    net, params, state, _ = hopf_case("Kuramoto", "dense", LAGS["from 3"])
    params = eqx.tree_at(lambda p: p.external, params, None)
    whole = cf.simulate(net, state, params, 30)[1]
    start = jax.tree.map(lambda x: x[14], whole)
    again = net.init(start, params, history=whole.x[14 - 9 : 14])
    assert_close(
        cf.simulate(net, again, params, 15)[1], jax.tree.map(lambda x: x[15:], whole), ulps=64
    )


# --- gradients --------------------------------------------------------------------------------------


def gradient_case(rule, form, *, lags=None, interpolate=None, scheme="heun", hold="stage"):
    """Return a loss of everything that can be a leaf, and the values at which to differentiate it."""
    couple = {**RULES, **SEEN}[rule][0]
    largest = 8 if interpolate else int(matrix(lags).max())
    smallest = 0 if interpolate is None else 2
    given = (
        dict(lag_bounds=(smallest, largest), interpolate="linear")
        if interpolate
        else dict(lags=lags)
    )
    net = cf.Network(
        cf.nodes.hopf, DT, couplings=cf.Wire("x", "x"), scheme=scheme, hold=hold, **given
    )
    lengths = np.random.default_rng(2).uniform(0.8, 2.2, (N, N))
    extra = dict(lengths=lengths, speed=3.0) if interpolate else {}
    params = cf.Params(
        HOPF,
        couple(FORMS[form](CONN)),
        noise=jnp.asarray(0.3),
        external={"y": jnp.linspace(0.0, 1.0, N)},
        **extra,
    )
    at = {"params": params, "x0": cf.nodes.HopfState(**jax.tree.map(jnp.asarray, X0))}
    at["history"] = jnp.asarray(past_of(largest)) if largest else None
    values, rest = eqx.partition(at, eqx.is_inexact_array)
    values = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), values)  # with no weak types

    def loss(values):
        at = eqx.combine(values, rest)
        state = net.init(at["x0"], at["params"], key=jax.random.key(0), history=at["history"])
        x = cf.simulate(net, state, at["params"], STEPS, record="x")[1]
        return (x**2 @ jnp.linspace(0.5, 1.5, N)).sum() / STEPS

    return loss, values


@pytest.mark.every(4)
@pytest.mark.parametrize(
    ("rule", "form", "options"),
    [
        ("diffusive", "dense", {"lags": LAGS["mixed"]}),
        ("Kuramoto", "dense", {"lags": LAGS["from 11"]}),
        ("additive", "BCOO", {"lags": LAGS["from 11"], "scheme": "euler"}),
        ("Kuramoto", "dense", {"lags": LAGS["from 0"], "hold": "step"}),
        ("hyperbolic tangent", "BCOO", {"interpolate": "linear", "scheme": "rk4"}),
        ("additive", "dense", {"lags": 9, "scheme": "euler"}),
        ("diffusive", "BCOO", {"lags": LAGS["from 0"], "scheme": "rk4"}),
        ("edge", "dense", {"interpolate": "linear"}),
    ],
)
def test_gradient_of_every_leaf_is_the_finite_difference(rule, form, options):
    """k, weights, node, rule, noise, input, start, history; and lengths and speed where interpolated."""
    loss, values = gradient_case(rule, form, **options)
    both = jax.jit(jax.value_and_grad(loss))  # one program: it takes seconds to compile
    _, gradient = both(values)
    rng = np.random.default_rng(0)
    leaves, tree = jax.tree_util.tree_flatten_with_path(values)
    slopes = jax.tree.leaves(gradient)
    names = [jax.tree_util.keystr(path) for path, _ in leaves]
    for part in (".k", ".conn", ".a", ".noise", "['y']", "['x0']", "['history']"):
        assert any(part in name for name in names)
    for n, (name, slope) in enumerate(zip(names, slopes, strict=True)):
        direction = rng.normal(size=slope.shape)
        ends = []
        for sign in (1, -1):
            moved = [
                x + sign * 1e-6 * direction if m == n else x for m, (_, x) in enumerate(leaves)
            ]
            ends.append(both(jax.tree.unflatten(tree, moved))[0])
        numeric = (ends[0] - ends[1]) / 2e-6
        along = (np.asarray(slope) * direction).sum()
        np.testing.assert_allclose(along, numeric, rtol=1e-6, atol=1e-8, err_msg=name)
        assert name.endswith((".lengths", ".b")) or along != 0, f"no gradient of {name}"


@pytest.mark.every(2)
@pytest.mark.parametrize("interpolate", ["linear", None])
def test_forward_mode_by_hand_is_the_reverse_mode_of_simulate(interpolate):
    net = cf.Network(
        cf.nodes.hopf,
        DT,
        **(
            dict(interpolate="linear", lag_bounds=(3, 10))
            if interpolate
            else dict(lags=LAGS["from 3"])
        ),
    )
    lengths = dict(lengths=0.3 * (LAGS["from 3"] + 0.3), speed=3.0) if interpolate else {}
    base = cf.Params(HOPF, RULES["Kuramoto"][0](CONN), **lengths)

    def start(k):
        params = eqx.tree_at(lambda p: p.coupling.k, base, k)
        return net.init(cf.nodes.HopfState(**X0), params), params

    def by_hand(k):
        state, params = start(k)
        return (step_by_step(net, state, params, 12)[1].x ** 2).sum()

    def whole(k):
        state, params = start(k)
        return (cf.simulate(net, state, params, 12, record="x")[1] ** 2).sum()

    forward, reverse = jax.jit(lambda k: (jax.jacfwd(by_hand)(k), jax.grad(whole)(k)))(
        jnp.asarray(K)
    )
    assert_close(forward, reverse, ulps=2**12)


def test_the_gradient_of_speed_without_interpolation_is_an_error():
    net = cf.Network(cf.nodes.hopf, DT, lag_bounds=(1, 20))
    params = cf.Params(HOPF, RULES["Kuramoto"][0](CONN), lengths=jnp.full((N, N), 2.0), speed=3.0)

    def loss(value, where):
        changed = eqx.tree_at(where, params, value)
        state = net.init(cf.nodes.HopfState(**X0), changed)
        return cf.simulate(net, state, changed, 3, record="x")[1].sum()

    for where in (lambda p: p.speed, lambda p: p.lengths):
        with pytest.raises(TypeError, match=r"no gradient .*interpolate=\"linear\""):
            jax.grad(loss)(where(params), where)
    slope = jax.jit(jax.grad(loss), static_argnums=1)(params.coupling.k, lambda p: p.coupling.k)
    assert (slope != 0).any()


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["from 11", "mixed"])
def test_stretches_of_blocks_are_the_step_by_step_run(lags, monkeypatch):
    """A long run moves its buffer to the front once per stretch; here a stretch is two blocks."""
    monkeypatch.setattr("coupling_fn._delays._plan.STRETCH", 16)
    net, params, state = noisy_case(lags)
    floats, rest = eqx.partition((params, state), eqx.is_inexact_array)

    def slope(run):
        def loss(floats):
            params, state = eqx.combine(floats, rest)
            last, record = run(net, state, params, 52)
            return (record.x**2).sum(), last.history

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(floats)

    (wanted, gradient), (got, got_gradient) = slope(step_by_step), slope(cf.simulate)
    assert_close(got, wanted, ulps=2**12)
    assert_close(got_gradient, gradient, ulps=2**16)  # 52 noisy steps amplify roundings


@pytest.mark.thorough
def test_an_input_that_ends_with_the_run_has_a_gradient():
    """The last block reaches past the end of the run, where an external input may be anything."""
    net, params, state = noisy_case("from 11")

    def loss(run, gain):
        drive = lambda t: gain * jnp.sqrt(STEPS * DT + 1e-9 - t)
        there = eqx.tree_at(lambda p: p.external, params, {"x": drive})
        return (run(net, state, there, STEPS)[1].x ** 2).sum()

    slopes = jax.jit(lambda g: [jax.grad(loss, 1)(r, g) for r in (cf.simulate, step_by_step)])
    got, wanted = slopes(0.7)
    assert_close(got, wanted, ulps=2**12)


@pytest.mark.thorough
def test_a_rule_that_is_not_finite_at_0_takes_any_lags():
    """Targets with fewer stepwise edges than others have padded places, which carry nothing."""

    class Logarithm(cf.AdditiveCoupling):
        def send(self, source):
            return jnp.log(source)

    net = cf.Network(cf.nodes.linear, DT, lags=LAGS["mixed"])
    params = cf.Params(cf.nodes.LinearParams(-0.1), Logarithm(jnp.abs(CONN), 0.1, b=0.5))
    state = net.init(cf.nodes.LinearState(jnp.linspace(1.0, 2.0, N)), params, history=1.5)
    loss = lambda run, k: run(net, state, eqx.tree_at(lambda p: p.coupling.k, params, k), STEPS)[
        1
    ].x.sum()
    both = jax.jit(
        lambda k: [jax.value_and_grad(loss, 1)(r, k) for r in (cf.simulate, step_by_step)]
    )
    got, wanted = both(0.1)
    assert_close(got, wanted, ulps=2**12)


def test_the_padding_of_a_bcoo_has_no_gradient():
    net, params, state, _ = hopf_case("diffusive", "BCOO", LAGS["from 11"])
    stored = params.coupling.conn
    padding = jnp.full((3, 2), N, stored.indices.dtype)
    indices = jnp.concatenate([stored.indices, padding])

    def loss(data):
        conn = BCOO((data, indices), shape=(N, N))
        there = eqx.tree_at(lambda p: p.coupling.conn, params, conn)
        return (cf.simulate(net, state, there, STEPS, record="x")[1] ** 2).sum()

    slope = jax.jit(jax.grad(loss))(jnp.concatenate([stored.data, jnp.ones(3)]))
    assert (slope[-3:] == 0).all()
    assert (slope[:-3] != 0).all()


def test_lags_that_are_not_known_yet_have_long_blocks_too():
    assert cf.Network(cf.nodes.hopf, DT, lag_bounds=(40, 100)).block_sizes == (32,)
    assert cf.Network(cf.nodes.hopf, DT, lag_bounds=(9, 100)).block_sizes == (8,)


def test_a_history_too_long_to_index_is_refused():
    params = cf.Params(HOPF, RULES["diffusive"][0](CONN))
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS["from 11"])
    state = net.init(cf.nodes.HopfState(**X0), params)
    ks = jax.ShapeDtypeStruct((10**6,), float)

    def run(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, 4096, record=None)[0].node.x

    with refuses("too many to index"):
        jax.eval_shape(jax.vmap(run), ks)


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["from 11", "mixed"])
def test_checkpoints_change_memory_and_nothing_else(lags):
    net, params, state = noisy_case(lags)
    floats, rest = eqx.partition((params, state), eqx.is_inexact_array)

    def loss(floats, checkpoint):
        params, state = eqx.combine(floats, rest)
        last, record = cf.simulate(net, state, params, 24, every=2, checkpoint=checkpoint)
        return (record.x**2).sum() + (last.node.y**2).sum()

    run = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    plain, checkpointed = run(floats, None), run(floats, 8)
    assert_close(checkpointed, plain, ulps=2**14)
    with refuses("`checkpoint` must be a multiple of `every`"):
        loss(floats, 7)


@pytest.mark.thorough
@pytest.mark.optimised
def test_a_checkpointed_gradient_needs_less_memory():
    net, params, state = noisy_case("from 11")

    def memory(checkpoint):
        def loss(k):
            there = eqx.tree_at(lambda p: p.coupling.k, params, k)
            run = cf.simulate(net, state, there, 2**14, record=None, checkpoint=checkpoint)
            return (run[0].node.x ** 2).sum()

        compiled = jax.jit(jax.grad(loss)).lower(params.coupling.k).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(2**7) < memory(None) / 5


def test_vmap_of_the_gradient_is_a_loop():
    net, params, state, _ = hopf_case("hyperbolic tangent", "dense", LAGS["from 11"])

    @jax.jit
    @jax.grad
    def slope(k):
        changed = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return (cf.simulate(net, state, changed, 12, record="x")[1] ** 2).sum()

    ks = jnp.array([0.2, 0.9])
    assert_close(jax.vmap(slope)(ks), jnp.stack([slope(k) for k in ks]), ulps=2**12)


def test_a_lag_that_leaves_its_bounds_is_an_error_and_not_a_clamp():
    net = cf.Network(cf.nodes.hopf, DT, lag_bounds=(5, 10))
    base = cf.Params(HOPF, RULES["Kuramoto"][0](CONN), lengths=jnp.full((N, N), 2.1), speed=3.0)
    state = net.init(cf.nodes.HopfState(**X0), base)

    @eqx.filter_jit
    def run(speed):
        params = eqx.tree_at(lambda p: p.speed, base, speed)
        return cf.simulate(net, state, params, 3, record="x")[1]

    assert np.isfinite(run(jnp.array(2.2))).all()
    for speed in (1.0, 9.0):  # lags of 21 and 2
        with (  # noqa: PT012
            warnings.catch_warnings(),
            pytest.raises(Exception, match="leaves the network's bounds of 5 to 10 steps"),
        ):
            warnings.simplefilter("ignore")
            np.asarray(run(jnp.array(speed)))
