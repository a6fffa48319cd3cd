"""Hybrid networks: several subnetworks in plain loops, two halves of one network, and each door."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, refuses
from hypothesis import given, settings
from hypothesis import strategies as st

import coupling_fn as cf
from coupling_fn import hybrid

RNG = np.random.default_rng(5)
DT, STEPS, N, M = 0.1, 90, 4, 2  # N regions of the cortex, M of the thalamus
SIZES = {"cortex": N, "thalamus": M}


class Column(NamedTuple):
    u: jax.Array
    v: jax.Array


@cf.nodes.node(
    states={"u": "1", "v": "1"}, inputs={"u": "1/ms"}, auxiliary={"sum": lambda s, i, p: s.u + s.v}
)
def column(state, inputs, params):
    return Column(
        params["a"] * state.u - state.u**3 + state.v + inputs.u, -0.5 * state.v - 0.3 * state.u
    )


@cf.nodes.node(states={"w": "1"}, inputs={"w": "1/ms", "g": "1/ms"})
def relay(state, inputs, params):
    return {"w": -params["leak"] * state["w"] + jnp.tanh(inputs["w"]) - inputs["g"] * state["w"]}


# Each projection: source, input, own state, weights, k, whether it is diffusive, lags. All of them
# differ in shape and are far from symmetric, and some lags are 0, some below a block, some beyond one.
def weights(targets, sources):
    return RNG.normal(size=(targets, sources))


PROJECTIONS = {
    "within": ("cortex.u", "cortex.u", "cortex.u", weights(N, N), 0.4, True, (0, 45)),
    "down": (
        "cortex.u",
        "thalamus.w",
        None,
        weights(M, N),
        RNG.uniform(0.5, 1.5, M),
        False,
        (33, 60),
    ),
    "up": ("thalamus.w", "cortex.u", "cortex.v", weights(N, M), 1.3, True, (4, 20)),
    "gate": ("cortex.v", "thalamus.g", None, weights(M, N), 0.7, False, (0, 0)),
}
LAGS = {n: RNG.integers(p[6][0], p[6][1] + 1, p[3].shape) for n, p in PROJECTIONS.items()}
PARAMS = {"cortex": {"a": np.linspace(0.2, 0.8, N)}, "thalamus": {"leak": np.array([0.6, 1.1])}}
X0 = {
    "cortex.u": RNG.normal(size=N),
    "cortex.v": RNG.normal(size=N),
    "thalamus.w": RNG.normal(size=M),
}


def rates_by_hand(x, inputs):
    """Return the rates of change of all states, region by region."""
    rates = {name: np.zeros_like(value) for name, value in x.items()}
    for i in range(N):
        u, v = x["cortex.u"][i], x["cortex.v"][i]
        rates["cortex.u"][i] = PARAMS["cortex"]["a"][i] * u - u**3 + v + inputs["cortex.u"][i]
        rates["cortex.v"][i] = -0.5 * v - 0.3 * u
    for i in range(M):
        w, gate = x["thalamus.w"][i], inputs["thalamus.g"][i]
        leak = PARAMS["thalamus"]["leak"][i]
        rates["thalamus.w"][i] = -leak * w + np.tanh(inputs["thalamus.w"][i]) - gate * w
    return rates


def by_hand(delayed=True, steps=STEPS):
    """Run Heun's scheme in plain loops; each stage is coupled at its own time. Constant past."""
    past = [X0] * 61  # the last entry is the present

    def inputs_at(x, ahead):
        inputs = {"cortex.u": np.zeros(N), "thalamus.w": np.zeros(M), "thalamus.g": np.zeros(M)}
        for name, (source, into, own, conn, k, differs, _) in PROJECTIONS.items():
            for i in range(conn.shape[0]):
                total = 0.0
                for j in range(conn.shape[1]):
                    lag = LAGS[name][i, j] if delayed else 0
                    seen = x[source][j] if lag == 0 else past[-1 - lag + ahead][source][j]
                    total += conn[i, j] * (seen - x[own][i] if differs else seen)
                inputs[into][i] += (k if np.ndim(k) == 0 else k[i]) * total
        return inputs

    record = []
    for _ in range(steps):
        x = past[-1]
        first = rates_by_hand(x, inputs_at(x, 0))
        guess = {n: x[n] + DT * first[n] for n in x}
        second = rates_by_hand(guess, inputs_at(guess, 1))
        past.append({n: x[n] + DT * (first[n] + second[n]) / 2 for n in x})
        record.append(past[-1])
    return {n: np.stack([x[n] for x in record]) for n in X0}


def rule(name, conn=None, k=None):
    _, _, _, matrix, strength, differs, _ = PROJECTIONS[name]
    conn, k = matrix if conn is None else conn, strength if k is None else k
    return (cf.DiffusiveCoupling if differs else cf.AdditiveCoupling)(conn, k)


NODE = hybrid.node(cortex=column, thalamus=relay)
WIRES = {n: cf.Wire(p[0], into=p[1], target=p[2]) for n, p in PROJECTIONS.items()}


def network(delayed=True, **options):
    return cf.Network(NODE, DT, couplings=WIRES, lags=LAGS if delayed else None, **options)


def parameters(change=lambda conn: conn, **more):
    return cf.Params(PARAMS, {n: rule(n, change(p[3])) for n, p in PROJECTIONS.items()}, **more)


def start(dtype="float64"):
    x = {name: jnp.asarray(value, dtype) for name, value in X0.items()}
    return {"cortex": Column(x["cortex.u"], x["cortex.v"]), "thalamus": {"w": x["thalamus.w"]}}


NAMES = tuple(X0)


@pytest.mark.every(5)
@pytest.mark.parametrize("connection", [lambda conn: conn, cf.to_sparse], ids=["dense", "sparse"])
@pytest.mark.parametrize("delayed", [True, False])
def test_a_hybrid_is_its_equations_in_plain_loops(connection, delayed):
    net, params = network(delayed), parameters(connection)
    state = net.init(start(), params)
    _, record = cf.simulate(net, state, params, STEPS, record=NAMES)
    wanted = by_hand(delayed)
    assert_close(record, wanted, ulps=1e5)  # chaotic divergence of roundings over 90 steps
    strengths = lambda p: [c.k for c in p.coupling.values()]
    alone = eqx.tree_at(strengths, params, [k * 0 for k in strengths(params)])
    _, alone = cf.simulate(net, state, alone, STEPS, record=NAMES)
    assert np.abs(alone["cortex.u"] - wanted["cortex.u"]).max() > 0.1


def test_steps_and_a_run_agree_and_records_are_by_subnetwork():
    net, params = network(), parameters()
    state = net.init(start(), params)
    _, whole = cf.simulate(net, state, params, 3)
    stepped, step = state, eqx.filter_jit(net)
    for _ in range(3):
        stepped = step(stepped, params)
    assert_close(jax.tree.map(lambda x: x[-1], whole), stepped.node, ulps=64)
    assert whole["cortex"].u.shape == (3, N) and whole["thalamus"]["w"].shape == (3, M)
    _, named = cf.simulate(
        net, state, params, 3, record=("thalamus.w", "cortex.sum", "input.thalamus.g")
    )
    assert_close(named["cortex.sum"], whole["cortex"].u + whole["cortex"].v)
    gate = 0.7 * np.asarray(whole["cortex"].v) @ PROJECTIONS["gate"][3].T  # without a delay
    assert_close(named["input.thalamus.g"], gate, ulps=1e3)


# --- two halves of one network --------------------------------------------------------------------

H = 6
W = RNG.normal(size=(H, H)) * (RNG.random((H, H)) < 0.8)
FAR, MIXED = RNG.integers(8, 40, (H, H)), RNG.integers(0, 40, (H, H))
WC = cf.nodes.wilson_cowan
HALVES = {"a": (WC, [0, 2, 5]), "b": (WC, [4, 1, 3])}
WHOLE0 = WC.State(jnp.asarray(RNG.uniform(0, 0.5, H)), jnp.asarray(RNG.uniform(0, 0.5, H)))


def halves(conn, lags, regions=HALVES):
    """Return one network and its two halves, each as (net, x0, params of a k)."""
    whole = cf.Network(WC, DT, lags=lags)
    division = hybrid.divide(conn, regions)
    cut = None if lags is None else division.cut(lags)
    parts = cf.Network(division.node, DT, couplings=division.wires, lags=cut)
    joined = cf.Network(division.node, DT, couplings=cf.Wire("E", into="E"), lags=lags)
    e, i = (division.split(x) for x in WHOLE0)
    x0 = {part: WC.State(e[part], i[part]) for part in regions}
    node = dict.fromkeys(regions, WC.Params())

    def of_whole(k, conn):
        return cf.Params(WC.Params(), cf.DiffusiveCoupling(conn, k))

    def of_parts(k, conn):
        blocks = hybrid.divide(conn, regions).weights
        return cf.Params(node, {n: cf.DiffusiveCoupling(blocks[n], k) for n in blocks})

    def of_joined(k, conn):
        return cf.Params(node, cf.DiffusiveCoupling(conn, k))

    return (whole, WHOLE0, of_whole), (parts, x0, of_parts), (joined, x0, of_joined)


def value_and_slopes(net, x0, params_of, conn):
    def loss(k, dense):
        params = params_of(k, dense)
        record = cf.simulate(net, net.init(x0, params), params, 70, record="E")[1]
        return jnp.sum(jnp.cumsum(record, 1) ** 2), record  # which depends on the order of regions

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(jnp.asarray(1.7), conn)


@pytest.mark.every(5)
@pytest.mark.parametrize("lags", [MIXED, FAR, None, 9], ids=["mixed", "far", "none", "one lag"])
def test_two_halves_give_the_numbers_of_the_whole(lags):
    (whole, *others) = halves(W, lags)
    (value, record), slopes = value_and_slopes(*whole, jnp.asarray(W))
    for other in others:
        (got, got_record), got_slopes = value_and_slopes(*other, jnp.asarray(W))
        assert_close(got_record, record, ulps=1e3)
        assert_close((got, got_slopes), (value, slopes), ulps=1e5)
    assert float(jnp.abs(slopes[1][(W != 0) & ~np.eye(H, dtype=bool)]).min()) > 0


@pytest.mark.every(3)
@pytest.mark.parametrize("lags", [MIXED, None], ids=["mixed", "none"])
def test_two_sparse_halves_give_the_numbers_of_the_whole(lags):
    conn = cf.to_sparse(W)
    edges = None if lags is None else cf.edge_values(conn, lags).astype(int)
    (whole, *others) = halves(conn, edges)
    run = lambda net, x0, params_of: cf.simulate(
        net, net.init(x0, params_of(1.7, conn)), params_of(1.7, conn), 70, record="E"
    )[1]
    wanted = run(*whole)
    for other in others:
        assert_close(run(*other), wanted, ulps=1e3)


def test_two_halves_have_the_noise_of_the_whole():
    regions = {"a": (WC, [0, 1, 2]), "b": (WC, ...)}  # in order: the same numbers are drawn
    (whole, x0, of_whole), (parts, y0, of_parts), _ = halves(W, None, regions)
    one, two = (f(0.4, jnp.asarray(W)) for f in (of_whole, of_parts))
    one = cf.Params(one.node, one.coupling, noise={"E": np.linspace(0.1, 0.3, H)})
    two = cf.Params(
        two.node, two.coupling, noise={"a.E": one.noise["E"][:3], "b.E": one.noise["E"][3:]}
    )
    key = jax.random.key(2)
    seen = cf.simulate(whole, whole.init(x0, one, key=key), one, 30, record="E")[1]
    got = cf.simulate(parts, parts.init(y0, two, key=key), two, 30, record="E")[1]
    assert_close(got, seen, ulps=1e3)


HOPF = cf.nodes.hopf
REST = jnp.zeros(3)
THREE = jnp.array([[0.5, 1.2, 0.0], [0.3, 0.2, 1.0], [0.9, 0.4, 0.0]])


def at_rest(conn, lags, level=1.0):
    """Return a Hopf network of three regions, and the same as two subnetworks and as joined ones."""
    node, wire = HOPF.Params(a=-0.3, omega=0.2), cf.Wire("x", into="x")
    division = hybrid.divide(conn, {"a": (HOPF, [1]), "b": (HOPF, [0, 2])})
    wires = {n: cf.Wire(w.source[0], into=w.into[0]) for n, w in division.wires.items()}

    def whole(k):
        more = {"noise": {"x": 0.1}, "external": {"x": level * jnp.array([0.1, 0.3, 0.2])}}
        return cf.Params(node, cf.AdditiveCoupling(conn, k), **more)

    def parts(k):
        each = {n: cf.AdditiveCoupling(w, k) for n, w in division.weights.items()}
        external = {"a.x": level * jnp.array([0.3]), "b.x": level * jnp.array([0.1, 0.2])}
        noise = {"a.x": 0.1, "b.x": 0.1}
        return cf.Params({"a": node, "b": node}, each, noise=noise, external=external)

    cut = None if lags is None else division.cut(lags)
    x0 = {"a": HOPF.State(REST[:1], REST[:1]), "b": HOPF.State(REST[:2], REST[:2])}
    return (
        (cf.Network(HOPF, DT, couplings=wire, lags=lags), whole, HOPF.State(REST, REST)),
        (cf.Network(division.node, DT, couplings=wires, lags=cut), parts, x0),
        (cf.Network(division.node, DT, couplings=wire, lags=lags), None, x0),
    )


@pytest.mark.every(3)
@pytest.mark.parametrize("delayed", [False, True])
def test_the_analysis_of_two_halves_is_that_of_the_whole(delayed):
    one, two, joined = at_rest(THREE, FAR[:3, :3] if delayed else None)
    params, others = one[1](0.1), two[1](0.1)
    rest, other = cf.fixed_point(one[0], params, one[2]), cf.fixed_point(two[0], others, two[2])
    wanted = [rest.x[jnp.array([1])], rest.x[jnp.array([0, 2])]]
    assert_close([other["a"].x, other["b"].x], wanted, ulps=1e4)
    fc = cf.analytic_fc(one[0], params, one[2])
    assert float(jnp.abs(fc - jnp.eye(3)).max()) > 0.02
    assert_close(cf.analytic_fc(two[0], others, two[2], signal="x"), fc, ulps=1e6)
    if not delayed:
        assert_close(cf.analytic_fc(two[0], others, two[2]), fc[1:2, 1:2], ulps=1e6)
        return
    of_all = cf.Params(others.node, params.coupling, noise=others.noise, external=others.external)
    assert_close(cf.analytic_fc(joined[0], of_all, two[2], signal="x"), fc, ulps=1e6)
    of_b = cf.cross_spectrum(two[0], others, other, jnp.array([20.0]), signal="b.x")
    spectrum = cf.cross_spectrum(one[0], params, rest, jnp.array([20.0]))[:, [0, 2]][:, :, [0, 2]]
    assert_close([of_b.real, of_b.imag], [spectrum.real, spectrum.imag], ulps=1e6)


@pytest.mark.thorough
def test_the_critical_k_of_two_halves_is_that_of_the_whole():
    one, two, _ = at_rest(THREE, FAR[:3, :3], level=0.0)
    wanted, got = (cf.critical_k(net, params, x0, 0.0, 9.0) for net, params, x0 in (one, two))
    assert 0.05 < float(wanted) < 9
    assert_close(got, wanted, ulps=1e6)


# --- gradients, batches, doors --------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences():
    net, params = network(), parameters()
    state = net.init(start(), params)
    where = lambda p: (p.coupling["down"].k, p.coupling["up"].conn, p.node["thalamus"]["leak"])

    def loss(values):
        changed = eqx.tree_at(where, params, values)
        return jnp.mean(cf.simulate(net, state, changed, 70, record="cortex.u")[1] ** 2)

    values = jax.tree.map(jnp.asarray, where(params))
    slopes, loss = jax.jit(jax.grad(loss))(values), jax.jit(loss)
    for n, step in enumerate(RNG.normal(size=3)):
        h = 1e-5 * (1 + abs(step))
        along = jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape)), values)
        moved = jax.tree.map(lambda d, h=h: h * d, along)
        up, down = (jax.tree.map(op, values, moved) for op in (jnp.add, jnp.subtract))
        wanted = (loss(up) - loss(down)) / (2 * h)
        got = sum(jnp.vdot(a, b) for a, b in zip(slopes, along, strict=True))
        np.testing.assert_allclose(got, wanted, rtol=1e-6, err_msg=str(n))
    assert all(float(jnp.abs(slope).min()) > 0 for slope in slopes)


def test_vmap_sweep_float32_and_two_parts_of_a_run():
    net, params = network(), parameters()
    state = net.init(start(), params)

    def last(k):
        changed = eqx.tree_at(lambda p: p.coupling["up"].k, params, k)
        return cf.simulate(net, state, changed, 40, record=None)[0].node

    ks = jnp.array([0.0, 0.7, 1.3])
    batch = jax.vmap(last)(ks)
    swept = cf.sweep(last, ks)
    assert_close(swept, batch, ulps=1e3)
    for n, k in enumerate(ks):
        assert_close(jax.tree.map(lambda x, n=n: x[n], batch), last(k), ulps=1e3)
    half, _ = cf.simulate(net, state, params, 17, record=None)
    assert_close(cf.simulate(net, half, params, 23, record=None)[0].node, last(1.3), ulps=1e3)
    narrow = eqx.tree_at(
        lambda p: p, params, jax.tree.map(lambda x: jnp.asarray(x, "float32"), params)
    )
    short = cf.simulate(net, net.init(start("float32"), narrow), narrow, 40, record=None)[0].node
    assert {str(x.dtype) for x in jax.tree.leaves(short)} == {"float32"}
    assert_close(short, jax.tree.map(lambda x: x.astype("float32"), last(1.3)), ulps=1e3)


def test_noise_and_external_input_are_of_their_subnetwork():
    class Own(cf.noise.White):
        sigma: jax.Array
        factor: jax.Array | None = None

        def amplitude(self, state):
            return self.sigma * state["w"]  # the state of the thalamus alone

    given = {
        "external": {
            "thalamus.w": cf.stimuli.Step(jnp.array([0.5, 2.0]), onset=1.0, duration=2.0),
            "cortex.u": cf.noise.OrnsteinUhlenbeck(sigma=np.full(N, 0.1), tau=3.0),
        },
        "noise": {"thalamus.w": Own(jnp.array(0.3)), "cortex.v": np.full(N, 0.2)},
    }
    for delayed in (True, False):
        net, params = network(delayed), parameters(**given)
        state = net.init(start(), params, key=jax.random.key(0))
        assert state.noise["external.cortex.u"].shape == (1, N)
        _, record = cf.simulate(net, state, params, 34, record=NAMES)
        step = eqx.filter_jit(net)
        for _ in range(34):
            state = step(state, params)
        for name, x in record.items():
            part, own = name.split(".")
            held = state.node[part]
            assert_close(x[-1], held[own] if part == "thalamus" else getattr(held, own), ulps=1e4)
    with refuses("thalamus"):
        parameters_with = parameters(external={"thalamus.w": jnp.ones(N)})
        net.init(start(), parameters_with)
    with refuses("key"):
        net.init(start(), params)


def test_a_vector_field_is_the_rate_of_change():
    net, params = network(False), parameters()
    field = cf.vector_field(net, params)(0.0, start())
    inputs = {"cortex.u": np.zeros(N), "thalamus.w": np.zeros(M), "thalamus.g": np.zeros(M)}
    for source, into, own, conn, k, differs, _ in PROJECTIONS.values():
        seen = np.array(
            [
                [X0[source][j] - (X0[own][i] if differs else 0) for j in range(conn.shape[1])]
                for i in range(conn.shape[0])
            ]
        )
        inputs[into] += k * (conn * seen).sum(1)
    wanted = rates_by_hand(X0, inputs)
    assert_close(field["cortex"].u, wanted["cortex.u"], ulps=1e3)
    assert_close(field["thalamus"]["w"], wanted["thalamus.w"], ulps=1e3)


@pytest.mark.thorough
def test_files_checkpoints_and_checks_take_a_hybrid(tmp_path):
    net, params = network(), parameters()
    state = net.init(start(), params)
    last, record = cf.simulate(net, state, params, 40, record="thalamus.w", check="finite")
    saved = cf.simulate(net, state, params, 40, record="thalamus.w", save=tmp_path, save_every=10)
    assert_close(saved[1], np.asarray(record), ulps=1e3)
    cf.save_state(tmp_path / "state.npz", net, last)
    again = cf.load_state(tmp_path / "state.npz", net, like=state)
    assert_close(again.node, last.node, ulps=0)
    cf.save_params(tmp_path / "params.npz", params)
    assert_close(
        cf.load_params(tmp_path / "params.npz", like=params).coupling["down"].k,
        params.coupling["down"].k,
        ulps=0,
    )
    other = cf.Network(hybrid.node(cortex=column, thalamus=column), DT)
    with refuses("relay"):
        cf.load_state(tmp_path / "state.npz", other, like=state)

    def loss(k, checkpoint):
        changed = eqx.tree_at(lambda p: p.coupling["within"].k, params, k)
        return cf.simulate(net, state, changed, 40, checkpoint=checkpoint)[1]["thalamus"]["w"].sum()

    assert_close(jax.grad(loss)(0.4, 20), jax.grad(loss)(0.4, None), ulps=1e4)
    explosive = eqx.tree_at(lambda p: p.node["thalamus"]["leak"], params, np.array([-50.0, 1.0]))
    with pytest.raises(FloatingPointError, match=r"cortex.u of region 1 .*\('cortex.u'\)"):
        cf.simulate(net, state, explosive, 4000, record=None, check="finite")


def test_a_hybrid_is_diagnosed_as_one_connectome():
    conn = np.zeros((5, 5))
    conn[0, 1], conn[1, 0], conn[3, 1], conn[1, 3], conn[0, 3] = 0.2, 0.3, 0.1, 0.4, 0.15
    lengths = np.where(conn > 0, 30.0, 0.0)
    labels = ["Th", "V1", "lost", "A1", "M1"]
    whole = cf.Connectome(conn, lengths, labels)
    linear = cf.nodes.linear
    parts = {"thalamus": (cf.nodes.threshold_linear, ["Th"]), "cortex": (linear, ...)}
    division = hybrid.divide(whole, parts)
    net = cf.Network(
        division.node, DT, couplings=division.wires, lags=division.cut(cf.lags(lengths, 3.0, DT))
    )
    params = cf.Params(
        {"thalamus": cf.nodes.ThresholdLinearParams(), "cortex": linear.Params(a=-1.0)},
        {n: cf.AdditiveCoupling(w, 0.5) for n, w in division.weights.items()},
        noise={"cortex.x": 0.1},
    )
    x0 = {
        "thalamus": cf.nodes.ThresholdLinearState(jnp.zeros(1)),
        "cortex": linear.State(jnp.zeros(4)),
    }
    report = cf.diagnose(net=net, params=params, x0=x0)
    (isolated,) = [f for f in report.findings if f.code == "isolated"]
    assert isolated.where == (2, 4)  # in the connectome's order; the relay is not
    assert report.facts["regions"] == 5 and report.facts["edges"] == 5
    named = cf.diagnose(whole, net=net, params=params, speed=3.0)
    assert [f.where for f in named.findings if f.code == "isolated"] == [(2, 4)]
    slow = cf.diagnose(net=net, params=params, lengths=division.lengths, speed=0.01)
    assert any(f.what.startswith("cortex->thalamus: ") for f in slow.findings)
    wrong = eqx.tree_at(lambda p: p.coupling["cortex->thalamus"].k, params, jnp.asarray(-0.5))
    assert "negative_k" in cf.diagnose(net=net, params=wrong).codes
    _, record = cf.simulate(net, net.init(x0, params, key=jax.random.key(1)), params, 400)
    run = cf.diagnose_run(record, dt=DT, net=net, params=params)
    assert run.facts["regions"] == 5 and "cortex: mean FC" in run.facts
    still = jax.tree.map(lambda x: x[:50], record)
    still["thalamus"] = cf.nodes.ThresholdLinearState(np.zeros((50, 1)))
    found = cf.diagnose_run(still, dt=DT, net=net, params=params).findings
    assert any(f.code == "frozen" and "thalamus.x" in f.what for f in found)
    assert not cf.check_units(net, params, x0).findings
    misfit = cf.check_units(net, params, x0, units={"coupling.cortex->thalamus.conn": "mV"})
    assert "thalamus.x" in misfit.findings[0].what


# --- one connectome, divided ----------------------------------------------------------------------


@settings(max_examples=3)
@given(
    owner=st.lists(st.sampled_from("abc"), min_size=5, max_size=5).filter(lambda x: len({*x}) > 1)
)
def test_what_is_cut_and_split_can_be_put_together(owner):
    conn, values = RNG.normal(size=(5, 5)), RNG.normal(size=(2, 5))
    masks = {name: np.array([o == name for o in owner]) for name in sorted({*owner})}
    division = hybrid.divide(conn, {name: (cf.nodes.linear, mask) for name, mask in masks.items()})
    assert_close(division.join(division.split(values)), values, ulps=0)
    whole = np.zeros((5, 5))
    for name, block in division.cut(conn).items():
        source, target = name.split("->")
        for i, row in zip(np.flatnonzero(masks[target]), np.asarray(block), strict=True):
            for j, weight in zip(np.flatnonzero(masks[source]), row, strict=True):
                whole[i, j] = weight
    assert_close(whole, conn, ulps=0)
    sparse = hybrid.divide(cf.to_sparse(conn), {n: (cf.nodes.linear, m) for n, m in masks.items()})
    numbers = np.arange(25)
    for name, block in sparse.weights.items():
        assert_close(block.todense(), division.weights[name], ulps=0)
        each = cf.edge_values(block, division.cut(np.arange(25).reshape(5, 5))[name])
        assert_close(sparse.cut(numbers)[name], each.astype(int), ulps=0)


def test_a_division_keeps_the_order_labels_and_lengths():
    whole = cf.Connectome(np.ones((3, 3)), np.arange(9.0).reshape(3, 3), ["Th", "V1", "A1"])
    node = cf.nodes.linear
    division = hybrid.divide(whole, {"cortex": (node, ["A1", "V1"]), "thalamus": (node, [0])})
    assert division.labels == {"cortex": ("A1", "V1"), "thalamus": ("Th",)}
    assert division.lengths["thalamus->cortex"].tolist() == [[6.0], [3.0]]
    assert division.cut(whole.lengths)["cortex->thalamus"].tolist() == [[2.0, 1.0]]
    bounds = division.cut(cf.lag_bounds(whole.lengths, (2.0, 4.0), 0.1))
    assert bounds["thalamus->cortex"][1].shape == (2, 1)
    assert division.join(
        {"thalamus": np.array([0.0]), "cortex.x": np.array([2.0, 1.0])}
    ).tolist() == [0.0, 1.0, 2.0]
    empty = whole.weights.at[0, 1:].set(0)
    assert (
        "cortex->thalamus"
        not in hybrid.divide(empty, {"cortex": (node, [1, 2]), "thalamus": (node, [0])}).weights
    )


def test_regions_without_a_model_or_with_two_are_refused():
    node, whole = cf.nodes.linear, cf.Connectome(np.ones((3, 3)), labels=["Th", "V1", "A1"])
    with refuses(r"region 2 \('A1'\) no model"):
        hybrid.divide(whole, {"a": (node, ["V1"]), "b": (node, ["Th"])})
    with refuses(r"region 1 \('V1'\) more than one model: it is in a and b"):
        hybrid.divide(whole, {"a": (node, ["V1", "A1"]), "b": (node, [0, 1])})
    with refuses("Only one subnetwork"):
        hybrid.divide(whole, {"a": (node, ...), "b": (node, ...)})
    with refuses("'b'.* no region"):
        hybrid.divide(whole, {"a": (node, [0, 1, 2]), "b": (node, ...)})
    with refuses("V2"):
        hybrid.divide(whole, {"a": (node, ["V2"]), "b": (node, ...)})
    with refuses("pair", TypeError):
        hybrid.divide(whole, {"a": node})
    with refuses("square"):
        hybrid.divide(np.ones((2, 3)), {"a": (node, ...)})
    with refuses("no projection.*a->c"):
        hybrid.divide(whole, {"a": (node, ...)}, wires={"a->c": cf.Wire("a.x", into="a.x")})
    with refuses("'a'.* region 1 .* twice. A mask must be of booleans"):
        hybrid.divide(whole, {"a": (node, np.array([0, 1, 1])), "b": (node, ...)})
    with refuses("the subnetwork 'b' must be a function: cf.nodes.linear", TypeError):
        hybrid.divide(whole, {"a": (node, [0]), "b": ("linear", ...)})
    with refuses("word.*got 1"):
        hybrid.divide(whole, {"a": (node, [0]), 1: (node, ...)})
    division = hybrid.divide(whole, {"a": (node, [0]), "b": (node, ...)})
    with refuses("regions of all|all regions"):
        division.cut(np.ones((2, 2)))
    with refuses("last axis, 3"):
        division.split(np.ones(2))
    with refuses("one entry per subnetwork; of 'b'"):
        division.join({"a": np.ones(1)})
    net = cf.Network(division.node, DT)
    params = cf.Params({"a": node.Params(), "b": node.Params()})
    with refuses("as many regions"):
        net.init({"a": node.State(jnp.zeros(2)), "b": node.State(jnp.zeros(1))}, params)


def test_wires_that_lead_elsewhere_than_their_projection_are_refused():
    node, parts = cf.nodes.linear, {"a": (cf.nodes.linear, [0, 1]), "b": (cf.nodes.linear, ...)}
    divide = lambda wires: hybrid.divide(np.ones((4, 4)), parts, wires=wires)
    assert divide({"a->b": cf.Wire("a.x", into="b.x")}).wires["a->b"].into == ("b.x",)
    # Of two subnetworks of one size, the weights would fit the other way round, too.
    with refuses("a->b.*from 'a' to 'b'.*reads 'b', where 'a'"):
        divide({"a->b": cf.Wire("b.x", into="a.x")})
    with refuses("drives 'a', where 'b'"):
        divide({"a->b": cf.Wire(hybrid.of("a", lambda s: s.x), into="a.x")})
    with refuses("dict by projection", TypeError):
        divide(cf.Wire("a.x", into="b.x"))
    with refuses(r"wires\['a->b'\]. must be a cf.Wire", TypeError):
        divide({"a->b": "a.x"})
    with refuses("inside `jit`"):
        jax.jit(lambda conn: hybrid.divide(conn, parts).weights)(cf.to_sparse(np.ones((4, 4))))
    net = cf.Network(divide(None).node, DT)
    with refuses("params.node.*dict by a, b; got a WilsonCowanParams of c_ee", TypeError):
        net.init({n: node.State(jnp.zeros(2)) for n in parts}, cf.Params(WC.Params()))


def test_projections_that_send_the_same_share_a_product(monkeypatch):
    links = importlib.import_module("coupling_fn._network._links")
    wires = {
        "within": cf.Wire("cortex.u", into="cortex.u"),
        "down": cf.Wire("cortex.u", into="thalamus.w"),
        "gate": cf.Wire("cortex.u", into="thalamus.g"),
        "tanh": cf.Wire("cortex.u", into="thalamus.w"),  # does not send the states themselves
        "pull": cf.Wire("cortex.u", into="thalamus.w", target="thalamus.w"),
        "up": cf.Wire("thalamus.w", into="cortex.u"),
        "hold": cf.Wire("cortex.u", into="cortex.u"),
    }
    rules = {
        "within": cf.AdditiveCoupling(weights(N, N), 0.4),
        "down": cf.SigmoidalCoupling(weights(M, N), np.array([0.7, 1.2]), midpoint=0.1, sigma=1.0),
        "gate": cf.AdditiveCoupling(weights(M, N), 0.3, 0.2),
        "tanh": cf.HyperbolicTangentCoupling(weights(M, N), 0.3),
        "pull": cf.DiffusiveCoupling(weights(M, N), 0.5),
        "up": cf.AdditiveCoupling(weights(N, M), 0.8),
        "hold": cf.DiffusiveCoupling(weights(N, N), 0.2),
    }
    net, params = cf.Network(NODE, DT, couplings=wires), cf.Params(PARAMS, rules)
    state = net.init(start(), params)

    def run(coupling):
        changed = eqx.tree_at(lambda p: p.coupling, params, coupling)
        record = cf.simulate(net, state, changed, 40, record=NAMES)[1]
        return sum(jnp.sum(jnp.cumsum(x, 1) ** 2) for x in record.values()), record

    def value_and_slopes():
        return jax.jit(jax.value_and_grad(run, has_aux=True))(params.coupling)

    shares = {
        name: link.share
        for name, link in zip(wires, links.links_of(net, params), strict=True)
        if link.share is not None
    }
    leaders = {name: list(wires)[share.leader] for name, share in shares.items()}
    one, two = dict.fromkeys(("within", "down", "gate"), "within"), {"pull": "pull", "hold": "pull"}
    assert leaders == one | two
    together = value_and_slopes()
    monkeypatch.setattr(links, "sharing", lambda links: links)
    jax.clear_caches()
    apart = value_and_slopes()
    jax.clear_caches()
    assert_close(together, apart, ulps=1e5)
    assert all(float(jnp.abs(slope.k).min()) > 0 for slope in together[1].values())


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (cf.Wire("cortx.u", into="thalamus.w"), "no subnetwork.*cortx.*Did you mean 'cortex'"),
        (cf.Wire("cortex.x", into="thalamus.w"), "no state of 'cortex'.*'x'.*there are: u, v"),
        (cf.Wire("cortex.u", into="thalamus.u"), "no input of 'thalamus'.*'u'.*there are: w, g"),
        (cf.Wire("u", into="thalamus.w"), "'u' is one of cortex but not of thalamus"),
        (cf.Wire("zz", into="thalamus.w"), "no state.*'zz'"),
        (cf.Wire("cortex.u", into="thalamus.w", target="cortex.v"), "another subnetwork"),
        (cf.Wire(hybrid.of("pons", abs), into="thalamus.w"), "no subnetwork.*pons"),
    ],
)
def test_a_projection_that_names_what_is_not_there_is_refused(wire, words):
    with refuses(f"(?s){words}"):
        cf.Network(NODE, DT, couplings={"down": wire})
    with refuses("down"):
        cf.Network(NODE, DT, couplings={"down": wire})


def test_matrices_the_wrong_way_round_are_refused():
    params = parameters()
    turned = eqx.tree_at(
        lambda p: p.coupling["up"], params, rule("up", PROJECTIONS["up"][3].T, 1.0)
    )
    with refuses(r"(?s)\(4, 2\), not \(2, 4\).*transpose would fit"):
        network(False).init(start(), turned)
    lags = {**LAGS, "up": LAGS["up"].T}
    with refuses("(?s)'up'.*transpose would fit"):
        cf.Network(NODE, DT, couplings=WIRES, lags=lags).init(start(), params)
    unstated = {**WIRES, "up": cf.Wire("thalamus.w", into="cortex.u")}
    with refuses("(?s)'up' reads the state of its targets.*target="):
        cf.Network(NODE, DT, couplings=unstated).init(start(), params)


def test_what_does_not_fit_the_subnetworks_is_refused():
    net, params = network(), parameters()
    with refuses("one number: all subnetworks", TypeError):
        cf.Network(NODE, {"cortex": 0.1, "thalamus": 0.05}, couplings=WIRES)
    with refuses("params.node.*lacks thalamus"):
        net.init(start(), eqx.tree_at(lambda p: p.node, params, {"cortex": PARAMS["cortex"]}))
    with refuses("no subnetwork.*pons"):
        net.init(start(), eqx.tree_at(lambda p: p.node, params, {**PARAMS, "pons": {}}))
    with refuses("x0.*lacks thalamus"):
        net.init({"cortex": start()["cortex"]}, params)
    with refuses("x0.*dict by cortex, thalamus", TypeError):
        net.init(jnp.zeros(3), params)
    with refuses("cortex.u"):
        net.init({**start(), "cortex": Column(jnp.zeros(4), jnp.zeros(3))}, params)
    with refuses("word"):
        hybrid.node(**{"left thalamus": relay})
    with refuses("'input'"):
        hybrid.node(input=relay)
    with refuses("hybrid itself", TypeError):
        hybrid.node(all=NODE)
    with refuses("subnetworks"):
        hybrid.node()
    with refuses("there are:.*cortex.u"):
        cf.simulate(net, net.init(start(), params), params, 5, record="cortex.w")
    with refuses(r"params.node\['a'\].c_ee"):
        two = cf.Network(hybrid.node(a=WC), DT)
        two.init(
            {"a": WC.State(jnp.zeros(2), jnp.zeros(2))},
            cf.Params({"a": WC.Params(c_ee=np.ones(3))}),
        )


def test_functions_of_one_subnetwork_are_signals():
    sent = lambda s: s.u - s.v
    assert hybrid.of("cortex", sent) == hybrid.of("cortex", sent)
    wires = {"down": cf.Wire(hybrid.of("cortex", sent), into="thalamus.w")}
    params = cf.Params(PARAMS, {"down": rule("down")})
    for lags in (None, {"down": LAGS["down"]}):
        net = cf.Network(NODE, DT, couplings=wires, lags=lags)
        state = net.init(start(), params)
        _, seen = cf.simulate(net, state, params, 1, record="input.thalamus.w")
        x = start()["cortex"] if lags else net(state, params).node["cortex"]
        assert_close(
            seen[0], PROJECTIONS["down"][4] * (PROJECTIONS["down"][3] @ (x.u - x.v)), ulps=1e3
        )
    with refuses("function", TypeError):
        hybrid.of("cortex", "u")


def test_angles_of_subnetworks_are_wrapped():
    node = hybrid.node(fast=cf.nodes.kuramoto, slow=cf.nodes.kuramoto)
    net = cf.Network(node, 1.0, couplings=cf.Wire("theta", into="theta"), lags=3)
    params = cf.Params(
        {"fast": cf.nodes.KuramotoParams(omega=2.0), "slow": cf.nodes.KuramotoParams(omega=0.3)},
        cf.KuramotoCoupling(jnp.ones((3, 3)), 0.05),
    )
    x0 = {"fast": cf.nodes.KuramotoState(jnp.ones(2)), "slow": cf.nodes.KuramotoState(jnp.zeros(1))}
    _, theta = cf.simulate(net, net.init(x0, params), params, 50, record="theta")
    assert theta.shape == (50, 3) and float(jnp.abs(theta).max()) <= np.pi + 1e-6
    with refuses("whole turn"):
        linear = eqx.tree_at(lambda p: p.coupling, params, cf.AdditiveCoupling(jnp.ones((3, 3))))
        net.init(x0, linear)


# --- an example of use ----------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_cortico_thalamic_k_is_found_by_gradient_from_a_spectrum():
    cortex, thalamus = cf.nodes.wilson_cowan, cf.nodes.threshold_linear
    conn = np.abs(RNG.normal(size=(6, 6))) / 6
    division = hybrid.divide(conn, {"cortex": (cortex, [0, 1, 3, 4]), "thalamus": (thalamus, ...)})
    lags = division.cut(RNG.integers(30, 120, (6, 6)))
    net = cf.Network(division.node, DT, couplings=division.wires, lags=lags)
    weights_ = {n: float(n != "thalamus->thalamus") * w for n, w in division.weights.items()}
    params = cf.Params(
        {"cortex": cortex.Params(P=1.1), "thalamus": thalamus.Params()},
        {n: cf.AdditiveCoupling(w, k=0.5) for n, w in weights_.items()},
        noise={"cortex.E": 0.01},
    )
    x0 = {
        "cortex": cortex.State(jnp.full(4, 0.1), jnp.full(4, 0.1)),
        "thalamus": thalamus.State(jnp.zeros(2)),
    }
    hertz = jnp.linspace(2.0, 60.0, 8)

    @jax.jit
    def spectrum(k):
        at = eqx.tree_at(lambda p: p.coupling["cortex->thalamus"].k, params, k)
        rest = cf.fixed_point(net, at, x0)
        each = cf.cross_spectrum(net, at, rest, hertz, signal="cortex.E")
        return jnp.log(jnp.real(jnp.trace(each, axis1=1, axis2=2)))

    target = spectrum(jnp.asarray(1.1))
    loss = lambda k: jnp.mean((spectrum(k) - target) ** 2)
    found = cf.fit(loss, jnp.asarray(0.5), where=lambda k: k, optimizer=optax.adam(0.05), steps=80)
    assert abs(float(found.params) - 1.1) < 0.02


# --- several devices ------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("case", ["dense", "sparse", "none"])
def test_four_devices_give_the_numbers_of_one(case):
    script = Path(__file__).parent / "spread_hybrid.py"
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    flags += " --xla_cpu_enable_concurrency_optimized_scheduler=false"
    done = subprocess.run(
        [sys.executable, str(script), case],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stdout + done.stderr
