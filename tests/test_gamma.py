"""Gamma-distributed delays: the linear chain as loops, its limits, where it makes a network unstable."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import gammainc

import coupling_fn as cf

N, DT = 3, 0.1
RNG = np.random.default_rng(4)
W = RNG.uniform(0.2, 1.0, (N, N))
LAGS = np.array([[0, 3, 41], [12, 0, 7], [36, 1, 20]])
X0 = np.array([0.4, -0.7, 0.2])
K = 0.7


class Squared(cf.Coupling):
    """A rule with two messages that are not linear, one of which has a parameter per source."""

    conn: jax.Array
    k: jax.Array
    scale: jax.Array

    def send(self, source):
        return {"a": self.scale * source**2, "b": jnp.tanh(source)}

    def receive(self, sums, target, in_strength):
        return self.k * (sums["a"] - sums["b"] * target)


SCALE = np.array([1.0, 0.5, 2.0])
# For each rule its coupling, and what source j sends and what a target makes of it as scalars.
RULES = {
    "diffusive": (
        partial(cf.DiffusiveCoupling, k=K),
        lambda x, j: [x],
        lambda sums, x, strength: K * (sums[0] - strength * x),
    ),
    "additive": (
        partial(cf.AdditiveCoupling, k=K),
        lambda x, j: [x],
        lambda sums, x, strength: K * sums[0],
    ),
    "pre-sigmoidal": (
        lambda conn: cf.PreSigmoidalCoupling(conn, k=K, theta=0.1),
        None,
        lambda sums, x, strength: K * sums[0],
    ),
    "two messages": (
        lambda conn: Squared(conn, jnp.asarray(K), jnp.asarray(SCALE)),
        lambda x, j: [SCALE[j] * x**2, np.tanh(x)],
        lambda sums, x, strength: K * (sums[0] - sums[1] * x),
    ),
    "Kuramoto": (
        partial(cf.KuramotoCoupling, k=K),
        lambda x, j: [np.sin(x), np.cos(x)],
        lambda sums, x, strength: K * (sums[0] * np.cos(x) - sums[1] * np.sin(x)),
    ),
}


def by_loops(send, receive, mean, order, lags, steps, rate):
    """Take Heun steps of dx/dt = rate(x) + coupling, scalar by scalar, from rest before t = 0."""
    mean = np.broadcast_to(mean, N)
    first = [send(X0[j], j) for j in range(N)]
    x = list(X0)
    z = [[[m] * order for m in first[j]] for j in range(N)]  # [source][message][stage]
    sent = []  # at each step so far: [source][message]

    def arriving(now, ahead, i, j):
        ago = lags[i][j] - ahead
        if lags[i][j] == 0:
            return [stages[-1] for stages in now[j]]
        if len(sent) - 1 - ago < 0:
            return first[j]
        return sent[len(sent) - 1 - ago][j]

    def rates(x, z, ahead):
        dx, dz = [], []
        for i in range(N):
            sums = [
                sum(W[i, j] * arriving(z, ahead, i, j)[c] for j in range(N))
                for c in range(len(first[0]))
            ]
            dx.append(rate(x[i]) + receive(sums, x[i], sum(W[i])))
        for j in range(N):
            dz.append([])
            for message, stages in zip(send(x[j], j), z[j], strict=True):
                before = [message, *stages[:-1]]
                dz[j].append(
                    [order / mean[j] * (b - s) for b, s in zip(before, stages, strict=True)]
                )
        return dx, dz

    def moved(x, z, dx, dz, by):
        new = [a + by * b for a, b in zip(x, dx, strict=True)]
        return new, [
            [[s + by * d for s, d in zip(*both, strict=True)] for both in zip(zj, dj, strict=True)]
            for zj, dj in zip(z, dz, strict=True)
        ]

    out = []
    for _ in range(steps):
        sent.append([[stages[-1] for stages in each] for each in z])
        one = rates(x, z, 0)
        two = rates(*moved(x, z, *one, DT), 1)
        x, z = moved(*moved(x, z, *one, DT / 2), *two, DT / 2)
        out.append(list(x))
    return np.array(out)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("delay", ["lags", "no", "mean per source"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.every(7)
def test_a_network_is_the_chain_in_loops(rule, delay, sparse):
    made, send, receive = RULES[rule]
    conn = cf.to_sparse(jnp.asarray(W)) if sparse else jnp.asarray(W)
    coupling = made(conn)
    send = send or (lambda x, j: [float(coupling.send(jnp.asarray(x)))])
    mean = np.array([2.0, 0.7, 1.3]) if delay == "mean per source" else 1.7
    lags = np.zeros((N, N), int) if delay == "no" else LAGS
    phases = rule == "Kuramoto"
    node = cf.nodes.kuramoto if phases else cf.nodes.linear
    of_node = cf.nodes.KuramotoParams(omega=0.5) if phases else cf.nodes.LinearParams(a=-1.0)
    net = cf.Network(node, dt=DT, lags=None if delay == "no" else jnp.asarray(lags))
    params = cf.Params(of_node, cf.GammaDelayedCoupling(coupling, mean, order=2))
    start = net.init(node.State(jnp.asarray(X0)), params)
    _, seen = cf.simulate(net, start, params, steps=60, record=node.states[0])
    rate = (lambda x: 0.5) if phases else (lambda x: -x)
    wanted = by_loops(send, receive, mean, 2, lags, 60, rate)
    far = by_loops(send, receive, 1.1 * np.asarray(mean), 2, lags, 60, rate)
    assert np.abs(wanted - far).max() > 1e-4  # the mean shows
    assert_close(seen, wanted, ulps=4096)
    if rule == "diffusive" and not sparse:
        state = start
        for n in range(3):
            state = net(state, params)
            assert_close(state.node.x, wanted[n], ulps=4096)


def response(order, mean, scheme, dt, steps=40):
    """Return what leaves the chain of a source that jumps from 0 to 1, at the end of so many steps."""
    net = cf.Network(cf.nodes.linear, dt=dt, scheme=scheme)
    coupling = cf.GammaDelayedCoupling(cf.AdditiveCoupling(jnp.ones((1, 1)), k=0.0), mean, order)
    params = cf.Params(cf.nodes.LinearParams(a=0.0), coupling)
    names = [f"coupling_x_{n + 1}" for n in range(order)]
    rest = net.init(cf.nodes.LinearState(jnp.ones(1)), params).node
    x0 = rest._replace(**dict.fromkeys(names, jnp.zeros(1)))  # stages that the user gives
    _, seen = cf.simulate(net, net.init(x0, params), params, steps, record=names[-1])
    return np.asarray(seen)[:, 0]


@pytest.mark.parametrize(
    ("order", "scheme", "converges"),
    [(1, "heun", 2), (3, "rk4", 4), (3, "euler", 1), (3, "heun", 2)],
)
@pytest.mark.every(3)
def test_the_response_to_a_step_is_the_incomplete_gamma_function(order, scheme, converges):
    mean, errors = 3.0, []
    for steps in (40, 80):
        dt = 4.0 / steps
        times = dt * np.arange(1, steps + 1)
        errors.append(
            np.abs(response(order, mean, scheme, dt, steps) - gammainc(order, order * times / mean))
        )
    first, second = errors[0].max(), errors[1].max()
    assert second < 0.1  # n = 1 is the low-pass filter 1 - exp(-t / T)
    assert abs(np.log2(first / second) - converges) < 0.35


def test_ever_higher_orders_come_to_a_pure_delay():
    net = cf.Network(cf.nodes.linear, dt=0.05, lags=60)
    plain = cf.AdditiveCoupling(jnp.asarray([[-0.3]]))
    lagged = cf.Params(cf.nodes.LinearParams(a=-0.2), plain)

    def run(net, params):
        state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
        return np.asarray(cf.simulate(net, state, params, steps=200, record="x")[1])

    wanted = run(net, lagged)  # of 3 ms
    undelayed = cf.Network(cf.nodes.linear, dt=0.05)
    away = [
        np.abs(
            run(undelayed, cf.Params(lagged.node, cf.GammaDelayedCoupling(plain, 3.0, order)))
            - wanted
        ).max()
        for order in (6, 24)
    ]
    # In proportion to the variance of the delay, T²/n.
    assert 1e-4 < away[1] < 0.35 * away[0] < 0.1


@pytest.mark.parametrize("order", [1, 3])
def test_feedback_becomes_unstable_where_its_characteristic_equation_says(order):
    # x' = -a x - b ∫ g(s) x(t - s) ds: (λ + a)(1 + λ T / n)^n + b = 0; order 1 never oscillates.
    a, mean = 1.0, 4.0

    def left(omega):
        return (1j * omega + a) * (1 + 1j * omega * mean / order) ** order

    net = cf.Network(cf.nodes.linear, dt=DT)
    coupling = cf.GammaDelayedCoupling(cf.AdditiveCoupling(jnp.array([[-1.0]])), mean, order)
    params = cf.Params(cf.nodes.LinearParams(a=-a), coupling, noise=0.1)
    rest = cf.nodes.LinearState(jnp.zeros(1))
    found = cf.bifurcation(net, params, rest, 0.0, 20.0)
    if order == 1:
        assert found.kind == "none"
        # The covariance of x and of a filter behind it, solved by hand: [[-a, -b], [1/T, -1/T]].
        held = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(2.0))
        drift = np.array([[-a, -2.0], [1 / mean, -1 / mean]])
        noise = np.array([[0.01, 0.0], [0.0, 0.0]])
        eye = np.eye(2)
        flat = np.linalg.solve(np.kron(drift, eye) + np.kron(eye, drift), -noise.ravel())
        covariance = cf.stationary_covariance(net, held, rest)
        assert covariance.shape == (1, 1, 1, 1)
        assert_close(covariance.ravel(), flat[:1], ulps=4096)
        return
    omega = brentq(lambda omega: left(omega).imag, 0.5, 2.0)
    assert found.kind == "hopf"
    assert found.x._fields == ("x",)
    assert_close(found.value, -left(omega).real, ulps=2**16)
    assert_close(found.frequency, 1000 * omega / (2 * np.pi), ulps=2**16)
    assert cf.fixed_point(net, params, rest)._fields == ("x",)


def test_the_jacobian_of_several_messages_with_lags_is_that_of_the_equations():
    net = cf.Network(cf.nodes.linear, dt=DT, lags=jnp.asarray(LAGS))
    rule = Squared(jnp.asarray(W), jnp.asarray(K), jnp.asarray(SCALE))
    mean = np.array([2.0, 0.7, 1.3])
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.GammaDelayedCoupling(rule, mean, order=1))
    jac = cf.jacobians(net, params, cf.nodes.LinearState(jnp.asarray(X0)))
    # States: x, the stage of scale x², the stage of tanh x; those are where they rest.
    now, then = np.zeros((3, N, 3, N)), np.zeros((3, N, 3, N))
    tanh = np.tanh(X0)
    for i in range(N):
        now[0, i, 0, i] = -1.0 - K * W[i] @ tanh
        now[1, i, 0, i] = 2 * SCALE[i] * X0[i] / mean[i]
        now[2, i, 0, i] = (1 - tanh[i] ** 2) / mean[i]
        now[1, i, 1, i] = now[2, i, 2, i] = -1 / mean[i]
        then[0, i, 1] = K * W[i]
        then[0, i, 2] = -K * W[i] * X0[i]
    assert_close(jac.instantaneous, now, ulps=64)
    assert_close(jac.gains[0], then, ulps=64)
    assert_close(jac.delays[0], LAGS * DT, ulps=4)


LENGTHS = np.array([[20.0, 33.0, 60.0], [41.0, 25.0, 38.0], [57.0, 29.0, 22.0]])


@pytest.fixture(scope="module")
def interpolated():
    """Return a loss of the mean of the delays, the speed and k, in a run of blocks with the adjoint."""
    bounds = cf.lag_bounds(LENGTHS, (2.0, 8.0), DT)
    net = cf.Network(cf.nodes.linear, DT, lag_bounds=bounds, interpolate="linear")
    coupling = cf.GammaDelayedCoupling(
        Squared(jnp.asarray(W), jnp.asarray(K), jnp.asarray(SCALE)), mean=3.0, order=2
    )
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), coupling, lengths=LENGTHS, speed=4.0)
    x0 = cf.nodes.LinearState(jnp.asarray(X0))

    def loss(mean, speed, k):
        each = eqx.tree_at(
            lambda p: (p.coupling.mean, p.speed, p.coupling.k), params, (mean, speed, k)
        )
        _, x = cf.simulate(net, net.init(x0, each), each, steps=150, record="x")
        return (jnp.asarray([[1.0, 2.0, -1.0]]) * x**2).sum()

    return loss


def test_gradients_are_finite_differences(interpolated):
    loss = jax.jit(interpolated)
    at = [jnp.asarray(x) for x in (3.0, 4.3, 0.4)]
    gradient = jax.jit(jax.grad(interpolated, argnums=(0, 1, 2)))(*at)
    for n, derivative in enumerate(gradient):
        up, down = ([x + sign * 1e-5 * (n == m) for m, x in enumerate(at)] for sign in (1, -1))
        assert abs(derivative) > 1e-3
        np.testing.assert_allclose(derivative, (loss(*up) - loss(*down)) / 2e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def arrivals():
    """Return a function from a lag and a mean to what a pulse of one source has become at a target."""
    net = cf.Network(cf.nodes.linear, DT, lag_bounds=(0, 100), scheme="rk4")
    conn = jnp.asarray([[0.0, 0.0], [1.0, 0.0]])
    start = cf.Params(
        cf.nodes.LinearParams(a=-5.0),
        cf.GammaDelayedCoupling(cf.AdditiveCoupling(conn), mean=1.0, order=3),
        lengths=jnp.ones((2, 2)),
        speed=1.0,
    )

    @jax.jit
    def run(lag, mean):
        params = eqx.tree_at(
            lambda p: (p.coupling.mean, p.lengths), start, (mean, jnp.full((2, 2), lag))
        )
        x0 = net.init(cf.nodes.LinearState(jnp.asarray([1.0, 0.0])), params).node
        x0 = x0._replace(**{f"coupling_x_{n}": jnp.zeros(2) for n in (1, 2, 3)})
        state = net.init(x0, params, history=0.0)
        return cf.simulate(net, state, params, steps=800, record="input.x")[1][:, 1]

    return run


@settings(max_examples=8)
@given(share=st.floats(0.0, 0.8), total=st.floats(4.0, 10.0))
def test_equal_totals_of_lag_and_mean_delay_a_pulse_alike(arrivals, share, total):
    lag = round(share * total / DT) * DT
    arriving = np.asarray(arrivals(lag, total - lag))
    times = DT * np.arange(1, len(arriving) + 1)
    # All of the pulse arrives, and on average after the lag, the mean, and the 0.2 ms of its own length.
    np.testing.assert_allclose(DT * arriving.sum(), 0.2, rtol=2e-3)
    delay = (times * arriving).sum() / arriving.sum()
    np.testing.assert_allclose(delay, total + 0.2, rtol=3e-3)


def test_only_the_states_of_the_node_have_noise_and_are_recorded_by_default(tmp_path):
    net = cf.Network(cf.nodes.hopf, DT)
    coupling = cf.GammaDelayedCoupling(cf.AdditiveCoupling(jnp.zeros((2, 2))), 2.0, 2)
    params = cf.Params(cf.nodes.HopfParams(), coupling, noise=0.3)
    x0 = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))
    start = net.init(x0, params, key=jax.random.key(1))
    last, seen = cf.simulate(net, start, params, steps=8, check="finite")
    plain = cf.Params(params.node, coupling.coupling, noise=0.3)
    _, wanted = cf.simulate(net, net.init(x0, plain, key=jax.random.key(1)), plain, steps=8)
    assert isinstance(seen, cf.nodes.HopfState)
    assert_close(seen.x, wanted.x, ulps=64)  # the same noise, which the stages do not change
    assert start.node._fields[2:] == (
        "coupling_x_1",
        "coupling_x_2",
        "coupling_y_1",
        "coupling_y_2",
    )
    assert cf.stationary_covariance(net, params, x0).shape == (2, 2, 2, 2)
    # A state goes to a file and back, and a run goes on from it; its stages start another run.
    cf.save_state(tmp_path / "state.npz", net, last)
    again = cf.load_state(tmp_path / "state.npz", net, like=start)
    np.testing.assert_array_equal(net(again, params).node.x, net(last, params).node.x)
    assert net.init(last.node, params, key=jax.random.key(2)).node.coupling_y_2 is not None
    np.testing.assert_array_equal(
        net.init(last.node, params, key=jax.random.key(2)).node.coupling_y_2, last.node.coupling_y_2
    )
    cf.save_params(tmp_path / "params.npz", params)
    other = eqx.tree_at(lambda p: p.coupling.mean, params, jnp.asarray(9.0))
    assert cf.load_params(tmp_path / "params.npz", like=other).coupling.mean == 2.0


def test_a_network_in_two_parts_is_the_network():
    lags = jnp.asarray(LAGS)
    mean = jnp.asarray([2.0, 0.7, 1.3])
    params = cf.Params(
        cf.nodes.LinearParams(a=-1.0),
        cf.GammaDelayedCoupling(cf.PreSigmoidalCoupling(jnp.asarray(W), K), mean, 2),
        noise=0.1,
    )
    whole = cf.Network(cf.nodes.linear, DT, lags=lags)
    x0 = cf.nodes.LinearState(jnp.asarray(X0))
    state = whole.init(x0, params, key=jax.random.key(0))
    quiet = eqx.tree_at(lambda p: p.noise, params, jnp.asarray(0.0))
    wanted = cf.simulate(whole, state, quiet, 30, record="x")[1]
    parts = {"a": (cf.nodes.linear, [0, 2]), "b": (cf.nodes.linear, [1])}
    division = cf.hybrid.divide(jnp.asarray(W), parts)
    of_node = {"a": params.node, "b": params.node}
    start = {name: cf.nodes.LinearState(x) for name, x in division.split(X0).items()}

    def run(wires, coupling, lags):
        net = cf.Network(division.node, DT, couplings=wires, lags=lags)
        each = cf.Params(of_node, coupling, noise=0.0)
        begun = net.init(start, each, key=jax.random.key(0))
        return net, each, cf.simulate(net, begun, each, 30, record="x")[1]

    # One wire from all onto all, then a projection per pair of subnetworks.
    net, each, seen = run(cf.Wire("x", into="x"), params.coupling, lags)
    assert_close(seen, wanted, ulps=64)
    covariance = cf.stationary_covariance(
        net, eqx.tree_at(lambda p: p.noise, each, jnp.asarray(0.1)), start
    )
    assert covariance.shape == (1, N, 1, N)
    means = division.split(mean)
    couplings = {
        name: cf.GammaDelayedCoupling(
            cf.PreSigmoidalCoupling(conn, K), means[name.partition("->")[0]], 2
        )
        for name, conn in division.weights.items()
    }
    assert_close(run(division.wires, couplings, division.cut(lags))[2], wanted, ulps=64)


def test_sweeps_and_measurements_take_them_like_any_coupling():
    net = cf.Network(cf.nodes.linear, DT, lags=jnp.asarray(LAGS))
    rule = cf.GammaDelayedCoupling(cf.DiffusiveCoupling(jnp.asarray(W), k=K), 2.0, 2)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), rule)
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params)

    def run(k, mean, **options):
        each = eqx.tree_at(lambda p: (p.coupling.k, p.coupling.mean), params, (k, mean))
        return cf.simulate(net, state, each, 60, **options)[1]

    def mean_of(v):
        return run(v["k"], v["mean"], measure=cf.observe.Averaged("x"), warm_up=20)

    points = cf.grid(k=jnp.array([0.2, 0.9]), mean=jnp.array([1.0, 4.0]))
    swept = cf.sweep(mean_of, points, progress=False)
    one_by_one = [
        run(k, mean, record="x")[20:].mean(axis=0)
        for k, mean in zip(points["k"], points["mean"], strict=True)
    ]
    assert np.ptp(swept, axis=0).min() > 1e-3  # each differs
    assert_close(swept, jnp.stack(one_by_one), ulps=256)


def test_what_cannot_be_combined_is_refused_in_words():
    plain = cf.AdditiveCoupling(jnp.asarray(W))
    gamma = cf.GammaDelayedCoupling(plain, 2.0, 2)
    net = cf.Network(cf.nodes.linear, DT)
    x0 = cf.nodes.LinearState(jnp.asarray(X0))
    of_node = cf.nodes.LinearParams()

    def init(net=net, coupling=gamma, x0=x0, **more):
        return net.init(x0, cf.Params(of_node, coupling), **more)

    edges = cf.EdgeCoupling(lambda s, t: s - t, jnp.asarray(W))
    for wrong, words in (
        (lambda: cf.GammaDelayedCoupling(edges, 2.0, 2), "`coupling` must be one separable rule"),
        (lambda: cf.GammaDelayedCoupling(plain + plain, 2.0, 2), "sum need names of their own"),
        (lambda: cf.GammaDelayedCoupling(plain, 2.0, 0), "`order` must be at least 1"),
        (lambda: cf.GammaDelayedCoupling(plain, 2.0, 1.5), "`order`"),
        (lambda: cf.GammaDelayedCoupling(plain, 0.0, 2), "`mean` must be positive"),
        (lambda: cf.GammaDelayedCoupling(plain, np.ones(2), 2), "`mean`.*one per source"),
        (lambda: gamma + plain, "a name of its own"),
        (lambda: init(coupling=plain + gamma), "a name of its own"),
        (lambda: init(coupling=cf.GammaDelayedCoupling(plain, 1.0, 11)), "shorter than dt"),
        (lambda: init(x0={"x": X0, "coupling_x_9": X0}), "coupling_x_9"),
        (lambda: init(x0=cf.nodes.LinearState(jnp.ones(2))), "`conn`"),
    ):
        with refuses(words, (TypeError, ValueError)):
            wrong()
    # A state of the network without stages, and one with stages that the parameters do not have.
    with refuses("lacks coupling_x_1, coupling_x_2"):
        net(init(coupling=plain), cf.Params(of_node, gamma))
    with refuses("coupling_x_1, coupling_x_2 too much"):
        cf.simulate(net, init(), cf.Params(of_node, plain), steps=2)
    theta = cf.nodes.KuramotoState(jnp.asarray(X0))
    with refuses("takes the angle theta as a number"):
        angles = cf.Network(cf.nodes.kuramoto, DT)
        angles.init(theta, cf.Params(cf.nodes.KuramotoParams(), gamma))


def test_jacobians_of_stored_edges_are_those_of_the_matrix():
    edges = np.array([[0, 1], [1, 2], [2, 2], [2, 0]])
    dense = np.zeros((N, N))
    dense[tuple(edges.T)] = W[tuple(edges.T)]
    sparse = cf.sparse_from_edges(edges[:, 0], edges[:, 1], dense[tuple(edges.T)], (N, N))
    x = cf.nodes.LinearState(jnp.asarray(X0))

    def jac(conn, lags):
        params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn, K))
        return cf.jacobians(cf.Network(cf.nodes.linear, DT, lags=lags), params, x)

    of_edges = jnp.asarray(LAGS)[sparse.target, sparse.source]
    got, wanted = jac(sparse, of_edges), jac(jnp.asarray(dense), jnp.asarray(LAGS))
    assert_close(got.gains, wanted.gains, ulps=16)
    assert_close(np.where(dense, got.delays[0], 0), np.where(dense, wanted.delays[0], 0), ulps=4)
