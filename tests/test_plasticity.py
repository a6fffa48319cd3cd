"""Parameters that a rule changes between stretches: as the loop by hand, and to known fixed points."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

W = np.array([[0.0, 0.4, 0.0], [0.9, 0.0, 0.3], [0.0, 0.7, 0.0]])
LAGS = np.array([[0, 3, 0], [7, 0, 2], [0, 5, 0]])
X0 = np.array([1.0, -0.5, 0.25])
DRIVE = np.array([0.3, -0.2, 0.1])
STEPS, STRETCH, ETA = 30, 10, 0.05


def of_conn(p):
    return p.coupling.conn


def network(lags=LAGS, conn=W):
    net = cf.Network(cf.nodes.linear, dt=0.5, scheme="euler", lags=lags)
    coupling = cf.AdditiveCoupling(jnp.asarray(conn), k=0.8)
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), coupling, external={"x": jnp.asarray(DRIVE)})
    given = {} if lags is None else {"history": 0.0}
    return net, net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, **given), params


def hebb(eta):
    def rule(p, x):
        grown = of_conn(p) + eta * (x.T @ x) / len(x)
        return eqx.tree_at(of_conn, p, jnp.where(of_conn(p) != 0, grown, 0.0))

    return rule


def adapted(eta=ETA, steps=STEPS, lags=LAGS, **options):
    net, state, params = network(lags)
    options = {"watch": lambda p, x: of_conn(p), "record": "x", "stretch": STRETCH} | options
    return cf.adapt(net, state, params, steps, rule=hebb(eta), **options)


def by_hand(eta, steps=STEPS, lags=LAGS):
    """Return the states after each step and the weights after each stretch, in plain loops."""
    w = [list(row) for row in W]
    past = [list(row) for row in np.zeros((lags.max(), 3))] + [list(X0)]
    kept, stretch = [], []
    for step in range(steps):
        x, new = past[-1], []
        for i in range(3):
            received = 0.0
            for j in range(3):
                received += w[i][j] * past[-1 - lags[i, j]][j]
            new.append(x[i] + 0.5 * (-0.5 * x[i] + 0.8 * received + DRIVE[i]))
        past.append(new)
        stretch.append(new)
        if (step + 1) % STRETCH == 0:
            for i in range(3):
                for j in range(3):
                    if w[i][j]:
                        w[i][j] += eta * sum(y[i] * y[j] for y in stretch) / STRETCH
            kept.append(np.array(w))
            stretch = []
    return np.array(past[-1]), np.array(kept)


@pytest.mark.parametrize("delayed", [True, False])
def test_it_is_the_loop_by_hand(delayed):
    lags = LAGS if delayed else None
    run = adapted(lags=lags)
    x, conn = by_hand(ETA, lags=LAGS if delayed else 0 * LAGS)
    assert_close(run.watched, conn, ulps=64)
    assert_close(run.state.node.x, x, ulps=64)
    assert_close(of_conn(run.params), conn[-1], ulps=64)
    assert abs(conn[-1] - W).max() > 0.01  # and the rule shows


def test_a_run_in_two_parts_is_the_run_in_one():
    net, state, params = network()
    options = {"rule": hebb(ETA), "stretch": STRETCH, "record": "x"}
    first = cf.adapt(net, state, params, 10, **options)
    second = cf.adapt(net, first.state, first.params, 20, **options)
    whole = adapted()
    assert_close(of_conn(second.params), of_conn(whole.params), ulps=4)
    assert_close(second.state.node.x, whole.state.node.x, ulps=4)
    assert second.watched is None


def test_the_rate_of_learning_has_a_gradient_and_maps():
    def end(eta, **options):
        return of_conn(adapted(eta, **options).params)[1, 0]

    slope = jax.jit(jax.grad(end))(ETA)
    h = 1e-6
    difference = (by_hand(ETA + h)[1][-1, 1, 0] - by_hand(ETA - h)[1][-1, 1, 0]) / (2 * h)
    assert slope == pytest.approx(difference, rel=1e-6)
    assert_close(jax.grad(lambda eta: end(eta, checkpoint=True))(ETA), slope, ulps=64)
    etas = jnp.array([0.0, ETA])
    wanted = [by_hand(float(eta))[1][-1, 1, 0] for eta in etas]
    assert_close(jax.vmap(end)(etas), np.array(wanted), ulps=64)


def test_float32_stays():
    net, state, params = network()
    floats = lambda tree: jax.tree.map(
        lambda x: x.astype("float32") if eqx.is_inexact_array(x) else x, tree
    )
    net = cf.Network(cf.nodes.linear, dt=0.5, scheme="euler", lags=LAGS)
    run = cf.adapt(
        net, floats(state), floats(params), 20, rule=hebb(jnp.float32(ETA)), stretch=10, record="x"
    )
    assert of_conn(run.params).dtype == run.state.node.x.dtype == jnp.float32


def test_one_program_serves_all_values():
    net, state, params = network()
    traces = []

    def rule(p, x):
        traces.append(1)
        return eqx.tree_at(of_conn, p, of_conn(p) * 1.01)

    def run(k):
        at_k = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))
        return cf.adapt(net, state, at_k, 20, rule=rule, stretch=10, record="x")

    run(0.1)
    count = len(traces)
    run(0.2)
    assert len(traces) == count  # also to see that it keeps shapes


@pytest.mark.optimised
def test_inhibition_that_learns_holds_the_rate_that_a_formula_balances():
    """J_i grows with r_i (r_e - r); it stands still where `balance_inhibition` puts it."""
    conn = jnp.array([[0.0, 0.6, 0.1], [0.2, 0.0, 0.7], [0.5, 0.0, 0.0]])
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, scheme="euler")
    node = cf.nodes.WongWangExcInhParams(J_i=jnp.ones(3))
    params = cf.Params(node, cf.AdditiveCoupling(conn, k=0.5))
    closed = cf.balance_inhibition(net, params, regions=3)
    state = net.init(cf.nodes.WongWangExcInhState(jnp.full(3, 0.1), jnp.full(3, 0.1)), params)
    of_J = lambda p: p.node.J_i

    def hold(p, seen):
        change = (seen["rate_i"] * (seen["rate_e"] - 0.003)).mean(0)
        return eqx.tree_at(of_J, p, of_J(p) + 2e4 * change)

    run = cf.adapt(
        net,
        state,
        params,
        60_000,
        rule=hold,
        stretch=200,
        record=("rate_e", "rate_i"),
        every=10,
        watch=lambda p, seen: seen["rate_e"][-1],
    )
    wanted = of_J(closed.params)
    assert abs(of_J(run.params) / wanted - 1).max() < 0.02 < abs(1 / wanted - 1).max()
    assert run.watched[-1] == pytest.approx(np.full(3, 0.003), rel=0.05)


def test_it_takes_a_step_of_ones_own():
    run = cf.adapt(
        lambda x, p: p * x,
        jnp.ones(2),
        jnp.asarray(0.5),
        6,
        stretch=2,
        record=lambda x: x,
        rule=lambda p, seen: 2.0 * p,
        watch=lambda p, seen: (p, seen[-1]),
    )
    assert run.watched[0].tolist() == [1.0, 2.0, 4.0] and run.params == 4.0
    assert run.watched[1].tolist() == [[0.25] * 2, [0.25] * 2, [1.0] * 2]


BAD = {
    "steps": (dict(steps=25), ValueError, "`steps` must be a multiple of `stretch`.*25, 10 and 1"),
    "stretch": (dict(stretch=0), ValueError, "`steps` must be a multiple of `stretch`"),
    "every": (dict(every=3), ValueError, "and `stretch` one of `every`; got 30, 10 and 3"),
    "watch": (dict(watch=3), TypeError, "`watch` must be a function"),
    "record": (dict(record="z"), ValueError, "'z'"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    given, kind, says = BAD[name]
    with refuses(says, kind):
        adapted(**given)


def test_a_rule_that_changes_what_parameters_are_is_refused():
    net, state, params = network()
    run = lambda rule: cf.adapt(net, state, params, 20, rule=rule, stretch=10, record="x")
    with refuses(r"params.coupling.conn was float64\[3, 3\], and is float64\[3\]", TypeError):
        run(lambda p, x: eqx.tree_at(of_conn, p, of_conn(p)[0]))
    with refuses("`rule` must return parameters of the structure", TypeError):
        run(lambda p, x: of_conn(p))
    with refuses("`rule` must be a function", TypeError):
        run(None)
