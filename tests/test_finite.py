"""`simulate(check="finite")`: the step, the state and the region where a run stopped being finite."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses

import coupling_fn as cf
from coupling_fn._simulate import _finite

N, DT, K = 3, 0.5, 4.0
CONN = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.5], [0.0, 3.0, 0.0]])
LAGS = np.array([[1, 9, 9], [40, 9, 50], [9, 30, 9]])
A = np.array([0.01, 1.5, 1.5])


def network(lags):
    net = cf.Network(cf.nodes.linear, DT, lags=lags, scheme="euler")
    params = cf.Params(
        cf.nodes.LinearParams(a=jnp.asarray(A)), cf.AdditiveCoupling(jnp.asarray(CONN), k=K)
    )
    x0 = jnp.array([1e300, 1.0, -1.0])
    return (
        net,
        params,
        net.init(cf.nodes.LinearState(x0), params, history=None if lags is None else 0.0),
    )


def by_hand(lags, steps):
    """Run in plain loops, and return the list of states."""
    lags = np.zeros((N, N), int) if lags is None else lags
    past = [np.zeros(N)] * 60 + [np.array([1e300, 1.0, -1.0])]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            new = np.zeros(N)
            for i in range(N):
                total = 0.0
                for j in range(N):
                    if CONN[i, j]:
                        total += CONN[i, j] * past[-1 - lags[i, j]][j]
                new[i] = past[-1][i] + DT * (A[i] * past[-1][i] + K * total)
            past.append(new)
    return past[61:]


@pytest.mark.parametrize("lags", [None, LAGS], ids=["at once", "delayed"])
def test_the_error_says_where_it_began(lags):
    net, params, state = network(lags)
    states = by_hand(lags, 400)
    born = next(n for n, x in enumerate(states) if not np.isfinite(x).all())
    region = int(np.flatnonzero(~np.isfinite(states[born]))[0])
    before = states[born - 1]
    lag = np.zeros((N, N), int) if lags is None else lags
    with np.errstate(over="ignore"):
        driven = [
            K * sum(CONN[i, j] * states[born - 1 - lag[i, j]][j] for j in range(N) if CONN[i, j])
            for i in range(N)
        ]
    with pytest.raises(FloatingPointError) as error:
        cf.simulate(net, state, params, 400, record=None, check="finite")
    told = str(error.value)
    assert f"x of region {region} is inf after step {born + 1} of this run" in told
    assert f"t = {(born + 1) * DT:.6g} ms" in told
    assert f"a step before it was {before[region]:.4g}" in told
    assert f"Its inputs were x = {driven[region]:.4g}" in told
    largest = int(np.abs(driven).argmax())
    assert f"the largest of all regions: x of region {largest} = {driven[largest]:.4g}" in told
    sent = {j: CONN[region, j] * states[born - 1 - lag[region, j]][j] for j in range(N)}
    most = max((j for j in sent if CONN[region, j]), key=lambda j: abs(sent[j]), default=None)
    if most is not None:
        assert f"weight times state of region {most} = {sent[most]:.4g}" in told
    # With one step less everything is finite.
    last, _ = cf.simulate(net, state, params, born, record=None, check="finite")
    assert np.isfinite(last.node.x).all()


def test_states_by_default_are_not_looked_at_a_second_time(monkeypatch):
    net, params, state = network(None)
    looked = []
    monkeypatch.setattr(_finite, "_require_finite_record", looked.append)
    for record in ("x", None):
        cf.simulate(net, state, params, 2, record=record, check="finite")
    cf.simulate(net, state, params, 2, check="finite")
    assert looked == [None] * 3


def test_off_is_nothing_and_on_is_the_same_program():
    net, params, state = network(None)
    state = state._replace(node=cf.nodes.LinearState(jnp.ones(N)))

    def run(params, **options):
        return cf.simulate(net, state, params, 20, record="x", **options)

    assert str(jax.make_jaxpr(run)(params)) == str(
        jax.make_jaxpr(lambda p: run(p, check=None))(params)
    )
    traced = []

    def record(state):
        traced.append(1)
        return state.node.x

    plain = cf.simulate(net, state, params, 20, record=record)
    count = len(traced)
    checked = cf.simulate(net, state, params, 20, record=record, check="finite")
    assert count and len(traced) == count
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(checked), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["jit", "vmap", "grad"])
def test_it_is_refused_where_there_are_no_values(name):
    net, params, state = network(None)

    def last(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, 4, check="finite")[0].node.x.sum()

    def recorded(k):
        return cf.simulate(
            net, state, params, 4, record=lambda s: k * s.node.x.sum(), check="finite"
        )[1].sum()

    ks = jnp.ones(2) if name == "vmap" else 1.0
    for run in (last, recorded, lambda k: recorded(2.0)):
        if run in (last, recorded) or name == "jit":  # inside vmap nothing of it is mapped
            with refuses('`check="finite"` .* cannot be used inside `jit`, `vmap` or `grad`'):
                getattr(jax, name)(run)(ks)


def test_it_says_what_was_never_finite():
    net, params, state = network(LAGS)
    hole = eqx.tree_at(lambda p: p.node.a, params, jnp.asarray([0.0, jnp.nan, 0.0]))
    with pytest.raises(FloatingPointError, match=r"params\.node\.a is nan at 1, before the first"):
        cf.simulate(net, state, hole, 4, check="finite")
    bad = eqx.tree_at(lambda s: s.history["x"], state, jnp.full((50, N), jnp.inf))
    with pytest.raises(FloatingPointError, match=r"state\.history\['x'\] is inf at \(0, 0\)"):
        cf.simulate(net, bad, params, 300, check="finite")


def test_a_record_and_a_step_of_ones_own():
    net, params, _ = network(None)
    state = net.init(cf.nodes.LinearState(jnp.array([1.0, -2.0, 0.0])), params)
    with pytest.raises(FloatingPointError, match=r"record is nan at \(0, 2\), though the states"):
        cf.simulate(net, state, params, 2, record=lambda s: jnp.log(s.node.x), check="finite")

    def doubled(state, params):
        return {"n": state["n"] + 1, "x": state["x"] * params}

    start = {"n": jnp.asarray(0), "x": jnp.array([0.0, 2.0])}
    with pytest.raises(FloatingPointError, match=r"state\['x'\] is inf at \(1,\) after step 1023"):
        cf.simulate(doubled, start, jnp.asarray(2.0), 1100, record=None, check="finite")


def test_what_is_clipped_is_no_matter_but_nan_stays():
    net = cf.Network(cf.nodes.linear, DT, bounds={"x": (-1.0, 1.0)})
    params = cf.Params(cf.nodes.LinearParams(a=1e308), cf.AdditiveCoupling(jnp.asarray(CONN)))
    state = net.init(cf.nodes.LinearState(jnp.ones(N)), params)
    cf.simulate(net, state, params, 1, check="finite")  # inf, clipped to 1
    hole = cf.Params(
        cf.nodes.LinearParams(), params.coupling, external={"x": lambda t: jnp.log(2.0 - t)}
    )
    with pytest.raises(FloatingPointError, match=r"x of region 0 is nan after step 5 .*x = -inf"):
        cf.simulate(net, state, hole, 9, check="finite")
