"""Bounds of states: a network keeps a state in its range, and gradients know it."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf

N, DT, STEPS = 3, 0.5, 30
CONN = np.asarray(directed(N, N))
LAGS = {
    "plain": None,
    "stepwise": np.arange(9).reshape(3, 3),
    "blocks": np.arange(9).reshape(3, 3) + 9,
}
START = np.array([0.2, -0.1, 0.4])


def build(lags, bounds):
    net = cf.Network(cf.nodes.linear, DT, lags=LAGS[lags], scheme="euler", bounds=bounds)

    def run(a):
        params = cf.Params(cf.nodes.LinearParams(a=a), cf.AdditiveCoupling(CONN, k=0.6))
        return cf.simulate(net, net.init(cf.nodes.LinearState(START), params), params, STEPS)[1].x

    return run


def by_hand(a, lags, low, high):
    """Compute the run and its derivative in a; a state held at its bound does not depend on a."""
    xs, slopes = [START], [np.zeros(N)]
    for n in range(STEPS):
        x, slope = np.zeros(N), np.zeros(N)
        for i in range(N):
            x[i] = xs[n][i] + DT * a * xs[n][i]
            slope[i] = slopes[n][i] + DT * (xs[n][i] + a * slopes[n][i])
            for j in range(N):
                m = n - (0 if lags is None else lags[i, j])
                x[i] += DT * 0.6 * CONN[i, j] * xs[max(m, 0)][j]
                slope[i] += DT * 0.6 * CONN[i, j] * (slopes[m][j] if m >= 0 else 0.0)
        slope[(x < low) | (x > high)] = 0
        xs.append(np.clip(x, low, high))
        slopes.append(slope)
    return np.stack(xs[1:]), np.stack(slopes[1:])


@pytest.mark.parametrize("lags", LAGS)
def test_states_are_clipped_after_each_step_and_so_is_the_gradient(lags):
    low, high = -0.15, 0.6
    wanted, slope = by_hand(0.3, LAGS[lags], low, high)
    assert (wanted == high).any() and not (wanted == high).all()
    weights = np.cos(np.arange(STEPS * N)).reshape(STEPS, N)
    run = build(lags, {"x": (low, high)})
    got, change = jax.jit(jax.value_and_grad(lambda a: (run(a) * weights).sum()))(0.3)
    assert_close(got, (wanted * weights).sum(), ulps=512, scale=10.0)
    assert_close(change, (slope * weights).sum(), ulps=4096, scale=10.0)


def test_by_default_nothing_is_clipped_and_one_end_may_be_open():
    free, above = build("plain", None)(0.3), build("plain", {"x": (None, 0.6)})(0.3)
    assert free.max() > 0.7 and above.max() == 0.6
    assert build("plain", {"x": (-99.0, None)})(0.3).tolist() == free.tolist()
    wild = cf.nodes.reduced_wong_wang.bounds["S"]
    assert wild == (0.0, 1.0)
    params = cf.Params(cf.nodes.ReducedWongWangParams(), noise=0.5)
    start = cf.nodes.ReducedWongWangState(jnp.full(N, 0.5))
    ends = []
    for bounds in (None, "node"):
        net = cf.Network(cf.nodes.reduced_wong_wang, 1.0, couplings={}, bounds=bounds)
        state = net.init(start, params, key=jax.random.key(0))
        ends.append(cf.simulate(net, state, params, 20)[1].S)
    assert ends[0].min() < 0 and ends[0].max() > 1
    assert ends[1].min() == 0 and ends[1].max() == 1


@pytest.mark.parametrize(
    ("wrong", "message", "error"),
    [
        (lambda: build("plain", {"z": (0, 1)}), r"no state \(in `bounds`\) 'z'", ValueError),
        (lambda: build("plain", {"x": (1, 0)}), "'x' must be lowest < highest", ValueError),
        (lambda: build("plain", {"x": 1.0}), r"'x' must be \(lowest, highest\)", TypeError),
        (lambda: build("plain", "node"), "the node linear has no bounds of its own", ValueError),
        (lambda: build("plain", "hard"), "`bounds` must be one of 'node'", ValueError),
    ],
)
def test_wrong_bounds_are_refused(wrong, message, error):
    with refuses(message, error):
        wrong()


@pytest.mark.every(5)
@pytest.mark.parametrize("lags", ["plain", "stepwise"])
@pytest.mark.parametrize("scheme", ["heun", "rk4", "euler"])
@pytest.mark.parametrize("clip", ["stages", "step"])
def test_stages_are_clipped_where_asked_for(clip, scheme, lags):
    """Against loops over regions and stages; the predictor of a fast node leaves its bounds."""
    low, high = -0.15, 0.6
    net = cf.Network(
        cf.nodes.linear, DT, lags=LAGS[lags], scheme=scheme, bounds={"x": (low, high)}, clip=clip
    )
    params = cf.Params(
        cf.nodes.LinearParams(a=-2.6),
        cf.AdditiveCoupling(CONN, k=0.6),
        external={"x": lambda t: 3.0 * jnp.sin(1.1 * t + jnp.arange(3.0))},
    )
    judge = oracle.Net(
        oracle.linear(-2.6),
        [oracle.Wire(oracle.additive(0.6), CONN, "x", "x", LAGS[lags])],
        DT,
        scheme,
        external={"x": lambda t, i: 3.0 * np.sin(1.1 * t + i)},
        history={"x": np.tile(START, (8, 1))} if LAGS[lags] is not None else {},
        bounds={"x": (low, high)},
        clip=clip,
    )
    state = net.init(cf.nodes.LinearState(START), params)
    got = cf.simulate(net, state, params, STEPS, record="x")[1]
    assert_close(got, judge.run({"x": START}, STEPS)["x"], ulps=512)
    judge.clip = "step" if clip == "stages" else "stages"
    assert (np.abs(got - judge.run({"x": START}, STEPS)["x"]).max() > 1e-3) == (scheme != "euler")


@pytest.mark.parametrize(("clip", "end"), [("step", 1.0), ("stages", 0.1)])
def test_one_step_of_heun_with_its_predictor_clipped_or_not(clip, end):
    """x' = -4 x from 1, at least 0.1, dt 0.5: the predictor is -1, with a rate of 4, or 0.1 and -0.4.

    So x is 1 + (-4 + 4) / 4 = 1, or 1 + (-4 - 0.4) / 4 = -0.1, clipped.
    """
    net = cf.Network(cf.nodes.linear, 0.5, bounds={"x": (0.1, None)}, clip=clip)
    params = cf.Params(cf.nodes.LinearParams(a=-4.0), cf.AdditiveCoupling(np.zeros((1, 1))))
    x = net(net.init(cf.nodes.LinearState(jnp.ones(1)), params), params).node.x
    assert x[0] == pytest.approx(end, abs=1e-15)


def test_a_clip_without_bounds_is_refused():
    with refuses('`clip="stages"` says when states are clipped to `bounds`; give these, too'):
        cf.Network(cf.nodes.linear, DT, clip="stages")
    with refuses("`clip` must be one of 'step', 'stages', not 'predictor'"):
        cf.Network(cf.nodes.linear, DT, bounds={"x": (0, 1)}, clip="predictor")
