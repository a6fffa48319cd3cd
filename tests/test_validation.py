"""Results that theory demands: exact to rounding where the discrete answer is known, else its law."""

from functools import partial
from math import factorial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers import assert_close
from strategies import directed

import coupling_fn as cf

W = np.abs(directed(5, 5, seed=4))
W[4] = [0.3, 0.0, 0.9, 0.2, 0.0]
L = np.diag(W.sum(axis=1)) - W
X0 = np.random.default_rng(0).normal(size=5)


def run(
    node, coupling, x0, dt, steps, *, node_params, history=None, key=None, noise=None, **options
):
    """Return the record of all states, `(time, region)` each."""
    net = cf.Network(node, dt, **options)
    params = cf.Params(node_params, coupling, noise=noise)
    state = net.init(x0, params, key=key, history=history)
    return cf.simulate(net, state, params, steps)[1]


linear = partial(run, cf.nodes.linear, node_params=cf.nodes.LinearParams(a=0.0))


# Exact propagation


def test_a_chain_passes_integers_on_that_can_be_counted_by_hand():
    """0 → 1 over 2 steps, 1 → 2 over 3; region 0 holds 1 and fires into a sum."""
    conn = np.zeros((3, 3))
    conn[1, 0], conn[2, 1] = 2.0, 3.0
    lags = np.zeros((3, 3), int)
    lags[1, 0], lags[2, 1] = 2, 3
    x = linear(
        cf.AdditiveCoupling(conn),
        cf.nodes.LinearState(np.array([1.0, 0.0, 0.0])),
        1.0,
        8,
        lags=lags,
        scheme="euler",
        history=0.0,
    ).x
    assert x[:, 0].tolist() == [1.0] * 8
    assert x[:, 1].tolist() == [0, 0, 2, 4, 6, 8, 10, 12]  # the first 1 arrives in step 3
    assert x[:, 2].tolist() == [0, 0, 0, 0, 0, 0, 6, 18]


def test_integer_weights_and_lags_propagate_exactly():
    """x(n + 1) = x(n) + Σ_j W_ij x_j(n - d_ij), to the last digit."""
    rng = np.random.default_rng(3)
    conn, lags = rng.integers(-2, 3, (5, 5)), rng.integers(0, 6, (5, 5))
    past = [*rng.integers(-3, 4, (6, 5))]
    for _ in range(12):
        past.append(
            np.array(
                [
                    past[-1][i] + sum(conn[i, j] * past[-1 - lags[i, j]][j] for j in range(5))
                    for i in range(5)
                ]
            )
        )
    start = cf.nodes.LinearState(past[5].astype(float))
    history = np.array(past[5 - lags.max() : 5], float)
    x = linear(
        cf.AdditiveCoupling(conn), start, 1.0, 12, lags=lags, scheme="euler", history=history
    ).x
    assert (np.asarray(x) == np.array(past[6:])).all()


# Algebra, of whole runs


def test_relabelled_regions_run_the_same():
    order = np.array([3, 0, 4, 1, 2])
    lags = np.random.default_rng(1).integers(0, 5, (5, 5))
    grid = np.ix_(order, order)
    both = [
        linear(cf.KuramotoCoupling(w), cf.nodes.LinearState(x), 0.1, 12, lags=d).x
        for w, x, d in [(W, X0, lags), (W[grid], X0[order], lags[grid])]
    ]
    assert_close(both[1], both[0][:, order], ulps=256)


def test_no_lag_is_no_delay():
    coupling, start = cf.DiffusiveCoupling(W), cf.nodes.LinearState(X0)
    plain = linear(coupling, start, 0.1, 12).x
    for lags in (0, np.zeros((5, 5), int)):
        assert_close(linear(coupling, start, 0.1, 12, lags=lags).x, plain, ulps=256)


# Diffusion on a graph


@pytest.mark.parametrize("scheme", ["euler", "heun", "rk4"])
def test_diffusion_is_a_power_of_a_matrix(scheme):
    k, dt, n = 0.7, 0.1, 20
    A = dt * k * L
    step = sum(
        np.linalg.matrix_power(-A, p) / factorial(p)
        for p in range({"euler": 1, "heun": 2, "rk4": 4}[scheme] + 1)
    )
    x = linear(cf.DiffusiveCoupling(W, k), cf.nodes.LinearState(X0), dt, n, scheme=scheme).x
    assert_close(x[-1], np.linalg.matrix_power(step, n) @ X0, ulps=256)
    assert_close(x[0], step @ X0)


def test_symmetric_diffusion_conserves_the_mean_and_is_stable_up_to_its_bound():
    S = W + W.T
    bound = 2 / np.linalg.eigvalsh(np.diag(S.sum(axis=1)) - S).max()  # of dt · k
    for factor, grows in [(0.99, False), (1.01, True)]:
        x = linear(
            cf.DiffusiveCoupling(S, factor * bound / 0.1),
            cf.nodes.LinearState(X0),
            0.1,
            800,
            scheme="euler",
        ).x
        assert_close(x[:50].mean(axis=1), np.full(50, X0.mean()), ulps=2**12)
        assert (np.ptp(x[-1]) > np.ptp(X0)) == grows


def test_diffusion_is_the_exponential_and_so_is_its_slope_in_k():
    t, n = 1.0, 100
    S = W + W.T
    laplacian = np.diag(S.sum(axis=1)) - S

    def end(k):
        return linear(
            cf.DiffusiveCoupling(S, k), cf.nodes.LinearState(X0), t / n, n, scheme="rk4"
        ).x[-1]

    k = jnp.array(0.4)
    wanted = scipy.linalg.expm(-0.4 * laplacian * t) @ X0
    np.testing.assert_allclose(end(k), wanted, atol=1e-7)
    np.testing.assert_allclose(jax.jacrev(end)(k), -t * laplacian @ wanted, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, "sym", "rw"])
def test_the_spectrum_of_a_normalised_laplacian_lies_between_0_and_2(normalize):
    S = W + W.T
    values = np.linalg.eigvals(cf.laplacian_connectivity(S, normalize=normalize))
    assert np.abs(values.imag).max() < 1e-12
    assert values.real.min() == pytest.approx(0.0, abs=1e-12)
    assert values.real.max() <= 2


# Linear noise


def test_covariance_of_linear_noise_is_that_of_the_chain():
    """C = A C Aᵀ + dt σ² I exactly, for Euler–Maruyama; and C(s) = A^s C."""
    dt, sigma, runs, steps = 0.2, 0.3, 64, 4000
    conn = 0.5 * W / np.abs(np.linalg.eigvals(W)).max()
    net = cf.Network(cf.nodes.linear, dt, scheme="euler")
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn), noise=sigma)

    @jax.vmap
    def sample(key):
        state = net.init(cf.nodes.LinearState(jnp.zeros(5)), params, key=key)
        x = cf.simulate(net, state, params, steps, record="x")[1][100:]
        return x.T @ x / len(x), x[10:].T @ x[:-10] / (len(x) - 10)

    now, later = (c.mean(axis=0) for c in sample(jax.random.split(jax.random.key(0), runs)))
    A = np.eye(5) + dt * (conn - np.eye(5))
    exact = scipy.linalg.solve_discrete_lyapunov(A, dt * sigma**2 * np.eye(5))
    # 64 runs of 800 ms, correlated over about 2 ms: 1 % of a variance.
    np.testing.assert_allclose(now, exact, atol=0.03 * exact.max())
    np.testing.assert_allclose(
        later, np.linalg.matrix_power(A, 10) @ exact, atol=0.03 * exact.max()
    )
    transposed = scipy.linalg.solve_discrete_lyapunov(A.T, dt * sigma**2 * np.eye(5))
    assert np.abs(transposed - now).max() > 0.06 * exact.max()


@pytest.mark.parametrize(("factor", "grows"), [(0.97, False), (1.03, True)])
def test_additive_coupling_is_stable_up_to_its_largest_eigenvalue(factor, grows):
    k = factor / np.linalg.eigvals(W).real.max()
    node_params = cf.nodes.LinearParams(a=-1.0)
    coupling, start = cf.AdditiveCoupling(W, k), cf.nodes.LinearState(jnp.ones(5))
    x = run(cf.nodes.linear, coupling, start, 0.05, 1600, node_params=node_params).x
    assert (jnp.abs(x[-1]).max() > jnp.abs(x[800]).max()) == grows


# Hopf


def test_an_uncoupled_hopf_node_cycles_at_its_own_amplitude_and_frequency():
    a, omega = np.array([0.04, 0.25, 1.0]), np.array([0.1, 0.3, 0.5])
    start = cf.nodes.HopfState(jnp.full(3, 0.1), jnp.zeros(3))
    z = run(
        cf.nodes.hopf,
        cf.DiffusiveCoupling(np.zeros((3, 3))),
        start,
        0.05,
        6000,
        node_params=cf.nodes.HopfParams(a=a, omega=omega),
        scheme="rk4",
    )
    amplitude = np.hypot(*z)[-2000:]
    np.testing.assert_allclose(amplitude, np.broadcast_to(np.sqrt(a), (2000, 3)), atol=1e-5)
    phase = np.unwrap(np.arctan2(z.y, z.x), axis=0)
    np.testing.assert_allclose((phase[-1] - phase[-2001]) / 100.0, omega, atol=1e-8)


# Amplitude death


@pytest.mark.parametrize(
    ("K", "detuning", "dead"), [(2.0, 3.8, True), (2.0, 3.0, False), (0.8, 3.8, False)]
)
def test_amplitude_death_of_two_oscillators(K, detuning, dead):
    """Dead iff K > 1 and Δ > 2 √(2K - 1)."""
    z = run(
        cf.nodes.hopf,
        cf.DiffusiveCoupling(np.array([[0.0, 1.0], [1.0, 0.0]]), K),
        cf.nodes.HopfState(jnp.array([0.5, 0.3]), jnp.array([0.0, 0.2])),
        0.02,
        5000,
        node_params=cf.nodes.HopfParams(a=1.0, omega=np.array([1.0, 1.0 + detuning])),
    )
    assert (np.hypot(*z)[-500:].max() < 0.01) == dead


# Two Kuramoto oscillators

PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def pair(k, detuning, dt=0.02, steps=5000, **options):
    node_params = cf.nodes.KuramotoParams(
        omega=jnp.array([1.0, 1.0]) + jnp.array([0.0, 1.0]) * detuning
    )
    coupling, start = cf.KuramotoCoupling(PAIR, k), cf.nodes.KuramotoState(jnp.array([0.0, 0.3]))
    return run(
        cf.nodes.kuramoto, coupling, start, dt, steps, node_params=node_params, **options
    ).theta


def test_two_oscillators_lock_at_the_phase_of_their_detuning():
    phase = pair(0.5, 0.6)
    difference = phase[:, 1] - phase[:, 0]
    assert np.angle(np.exp(1j * np.asarray(difference)))[-1] == pytest.approx(
        np.arcsin(0.6 / (2 * 0.5)), abs=1e-9
    )
    slope = jax.grad(lambda k: pair(k, 0.6)[-1] @ jnp.array([-1.0, 1.0]))(jnp.array(0.5))
    ratio = 0.6 / (2 * 0.5)
    assert slope == pytest.approx(-ratio / 0.5 / np.sqrt(1 - ratio**2), abs=1e-8)


def test_two_oscillators_that_do_not_lock_beat():
    phase = np.unwrap(pair(0.4, 1.0, steps=60_000), axis=0)
    difference = phase[:, 1] - phase[:, 0]
    turns = np.flatnonzero(np.diff(np.floor(difference / (2 * np.pi))))  # exact periods
    frequency = 2 * np.pi * (len(turns) - 1) / ((turns[-1] - turns[0]) * 0.02)
    assert frequency == pytest.approx(np.sqrt(1.0 - 4 * 0.4**2), rel=1e-4)  # one step in 50 000


# Many Kuramoto oscillators, all to all


@pytest.mark.parametrize(("K", "r"), [(0.5, 0.0), (2.0, np.sqrt(0.5)), (4.0, np.sqrt(0.75))])
def test_synchrony_of_many_oscillators_follows_the_lorentzian_law(K, r):
    """K_c = 2γ = 1, and r = √(1 - K_c / K) above it; at the quantiles of the Lorentzian."""
    n = 400
    omega = 0.5 * np.tan(np.pi * ((np.arange(n) + 0.5) / n - 0.5))
    theta = run(
        cf.nodes.kuramoto,
        cf.KuramotoCoupling(np.full((n, n), 1 / n), K),
        cf.nodes.KuramotoState(np.random.default_rng(0).uniform(0, 2 * np.pi, n)),
        0.05,
        1200,
        node_params=cf.nodes.KuramotoParams(omega=omega),
    ).theta
    order = np.abs(np.exp(1j * np.asarray(theta[-400:])).mean(axis=1)).mean()
    assert order == pytest.approx(r, abs=0.08 if r == 0 else 0.03)  # 1 / √400 is 0.05


# Two delayed Kuramoto oscillators


@pytest.mark.parametrize("lag", [10, 30])
def test_delayed_oscillators_turn_at_the_frequency_of_yeung_and_strogatz(lag):
    """In phase Ω = ω - K sin Ωτ. Euler is exact: the phases move by Ω dt per step."""
    omega, K, dt = 1.0, 0.6, 0.1
    tau = lag * dt
    Omega = omega
    for _ in range(500):
        Omega += 0.2 * (omega - K * np.sin(Omega * tau) - Omega)
    assert abs(omega - K * np.sin(Omega * tau) - Omega) < 1e-14
    past = Omega * dt * np.arange(-lag, 0)[:, None] + np.zeros((1, 2))
    theta = run(
        cf.nodes.kuramoto,
        cf.KuramotoCoupling(PAIR, K),
        cf.nodes.KuramotoState(jnp.zeros(2)),
        dt,
        100,
        node_params=cf.nodes.KuramotoParams(omega=omega),
        lags=lag,
        scheme="euler",
        history=past,
    ).theta
    wanted = Omega * dt * np.arange(1, 101)[:, None] + np.zeros((1, 2))
    assert_close(np.unwrap(theta, axis=0), wanted, ulps=2**12)


def test_the_slope_of_the_frequency_in_the_delay_is_that_of_theory():
    """dΩ/dτ = -K Ω cos Ωτ / (1 + K τ cos Ωτ), through lengths and speed."""
    omega, K, dt, tau = 1.0, 0.4, 0.05, 0.825  # between two steps, where the read has a slope
    net = cf.Network(
        cf.nodes.kuramoto, dt, lag_bounds=(0, 30), interpolate="linear", scheme="euler"
    )

    def frequency(tau):
        params = cf.Params(
            cf.nodes.KuramotoParams(omega=omega),
            cf.KuramotoCoupling(PAIR, K),
            lengths=jnp.broadcast_to(tau * 3.0, (2, 2)),
            speed=3.0,
        )
        history = dt * jnp.arange(-30.0, 0.0)[:, None] + jnp.zeros((1, 2))
        state = net.init(cf.nodes.KuramotoState(jnp.zeros(2)), params, history=history)
        theta = cf.simulate(net, state, params, 1200, record="theta")[1][:, 0]
        return jnp.mod(theta[-1] - theta[-2], 2 * jnp.pi) / dt

    Omega, slope = map(float, jax.value_and_grad(frequency)(jnp.array(tau)))
    assert omega - K * np.sin(Omega * tau) == pytest.approx(Omega, abs=1e-4)
    cosine = K * np.cos(Omega * tau)
    # Between two steps the sine is interpolated linearly, with an error of (Ω dt)² / 8 = 1e-4.
    assert slope == pytest.approx(-Omega * cosine / (1 + tau * cosine), rel=1e-3)


# Delay equations


def delayed(dt, steps, lag, b=-1.0, a=0.0, start=1.0, **options):
    """Run x' = a x + b x(t - τ): one region coupled to itself."""
    return run(
        cf.nodes.linear,
        cf.AdditiveCoupling(np.array([[b]])),
        cf.nodes.LinearState(jnp.array([start])),
        dt,
        steps,
        node_params=cf.nodes.LinearParams(a=a),
        lags=np.array([[lag]]),
        **options,
    ).x[:, 0]


def method_of_steps(t):
    """x' = -x(t - 1), x = 1 before 0."""
    return sum((-1) ** n * (t - n + 1) ** n / factorial(n) for n in range(int(np.floor(t)) + 2))


def test_method_of_steps():
    """Within the first two delays the solution is a parabola at most, which Heun has exactly."""
    dt, lag = 0.05, 20
    t = dt * np.arange(1, 81)
    exact = np.array([method_of_steps(s) for s in t])
    x = np.asarray(delayed(dt, 80, lag))
    assert_close(x[:40], exact[:40], ulps=256)
    assert np.abs(x - exact).max() < 5e-4
    assert np.abs(x[40:] - exact[40:]).max() > 1e-9  # cubic: no scheme of order 2 has it


@pytest.mark.parametrize(("factor", "grows"), [(0.9, False), (1.1, True)])
def test_a_delayed_feedback_loses_stability_at_the_hayes_boundary(factor, grows):
    a, b, dt = 0.3, 1.0, 0.01
    critical = np.arccos(-a / b) / np.sqrt(b**2 - a**2)
    x = np.abs(delayed(dt, 8000, round(factor * critical / dt), b=-b, a=-a))
    assert (x[-1500:].max() > x[2000:3500].max()) == grows


def test_at_the_hayes_boundary_the_frequency_is_that_of_theory():
    a, b, dt = 0.3, 1.0, 0.01
    critical = np.arccos(-a / b) / np.sqrt(b**2 - a**2)
    x = np.asarray(delayed(dt, 12_000, round(critical / dt), b=-b, a=-a))[4000:]
    crossings = np.flatnonzero(np.diff(np.sign(x)) > 0)
    period = dt * (crossings[-1] - crossings[0]) / (len(crossings) - 1)
    assert 2 * np.pi / period == pytest.approx(np.sqrt(b**2 - a**2), rel=5e-3)


@pytest.mark.thorough
def test_a_strong_leak_is_stable_for_every_delay():
    for lag in (1, 37, 400):
        assert abs(delayed(0.01, 6000, lag, b=-0.9, a=-1.0)[-1]) < 1e-2


def test_diffusive_coupling_with_delays_uses_the_present_own_state():
    """-k L x(t - τ) is unstable beyond π / (2 k λ_max); with the target's present state it never is."""
    S = W + W.T
    laplacian = np.diag(S.sum(axis=1)) - S
    dt = 0.01
    tau = 2.0 * np.pi / (2 * np.linalg.eigvalsh(laplacian).max())
    options = dict(lags=round(tau / dt), scheme="heun")
    own = linear(cf.DiffusiveCoupling(S), cf.nodes.LinearState(X0), dt, 3000, **options).x
    delayed_too = linear(
        cf.AdditiveCoupling(-laplacian), cf.nodes.LinearState(X0), dt, 3000, **options
    ).x
    assert np.ptp(own[-1]) < 1e-3 * np.ptp(X0)
    assert np.ptp(delayed_too[-1]) > 1e3 * np.ptp(X0)


# Gradients, and the orders of the schemes


def test_gradient_of_an_eigenvector_amplitude_is_that_of_the_exact_chain():
    """Reverse mode against the derivative of (I - A + A²/2)ⁿ, in k and in one weight."""
    n, dt = 15, 0.1

    def end(k, conn):
        return (
            linear(cf.DiffusiveCoupling(conn, k), cf.nodes.LinearState(X0), dt, n).x[-1] ** 2
        ).sum()

    def exact(k, conn):
        A = dt * k * (np.diag(conn.sum(axis=1)) - conn)
        x = np.linalg.matrix_power(np.eye(5) - A + A @ A / 2, n) @ X0
        return (x**2).sum()

    by_k, by_conn = jax.grad(end, argnums=(0, 1))(jnp.array(0.7), jnp.asarray(W))
    h = 1e-6
    assert by_k == pytest.approx((exact(0.7 + h, W) - exact(0.7 - h, W)) / (2 * h), rel=1e-7)
    for edge in [(0, 1), (1, 0), (2, 2)]:
        up, down = W.copy(), W.copy()
        up[edge] += h
        down[edge] -= h
        slope = (exact(0.7, up) - exact(0.7, down)) / (2 * h)
        assert by_conn[edge] == pytest.approx(slope, rel=1e-6, abs=1e-9)


ORDERS = [
    ("euler", "stage", None, 1),
    ("heun", "stage", None, 2),
    ("rk4", "stage", None, 4),
    ("heun", "step", None, 1),
    ("rk4", "step", None, 1),
    ("euler", "stage", "delayed", 1),
    ("heun", "stage", "delayed", 2),
    ("rk4", "stage", "delayed", 2),
    ("heun", "step", "delayed", 1),
]


@pytest.mark.every(2)
@pytest.mark.parametrize(("scheme", "hold", "delay", "order"), ORDERS)
def test_each_scheme_has_its_order_in_a_network(scheme, hold, delay, order):
    """Errors at t = 1 with steps of 1/32 and 1/64, against RK4 at 1/256 or, delayed, Heun at 1/1024."""
    start = cf.nodes.HopfState(X0, X0[::-1])
    lengths = np.full((5, 5), 0.25) + np.random.default_rng(0).integers(0, 4, (5, 5)) / 8

    def end(scheme, hold, steps):
        dt = 1 / steps
        lags = None if delay is None else np.rint(lengths / dt).astype(int)
        rows = 0 if delay is None else lags.max()
        # The history must meet the start smoothly: x(t) = x0 + t x'(0) is smooth enough.
        z = run(
            cf.nodes.hopf,
            cf.KuramotoCoupling(W, 0.7),
            start,
            dt,
            steps,
            node_params=cf.nodes.HopfParams(a=-0.3, omega=2.0),
            couplings=cf.Wire("x", into="x"),
            lags=lags,
            scheme=scheme,
            hold=hold,
            history=None if delay is None else np.broadcast_to(X0, (rows, 5)),
        )
        return np.stack([z.x[-1], z.y[-1]])

    exact = end("rk4", "stage", 256) if delay is None else end("heun", "stage", 1024)
    errors = [np.abs(end(scheme, hold, steps) - exact).max() for steps in (32, 64)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_holding_the_coupling_is_the_fields_habit_and_its_error_is_larger():
    coupling, start = cf.DiffusiveCoupling(W, 0.7), cf.nodes.LinearState(X0)
    exact = scipy.linalg.expm(-0.7 * L * 2.0) @ X0
    errors = [
        np.abs(linear(coupling, start, 0.1, 20, hold=hold).x[-1] - exact).max()
        for hold in ("stage", "step")
    ]
    assert errors[1] > 10 * errors[0]


def test_every_leaf_of_params_has_a_finite_gradient_where_nothing_happens():
    """At rest, at synchrony, with k = 0: the places where an optimiser starts."""
    net = cf.Network(cf.nodes.hopf, 0.1, lags=3)
    params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(W, 0.0))

    @eqx.filter_grad
    def slope(params):
        state = net.init(cf.nodes.HopfState(jnp.zeros(5), jnp.zeros(5)), params)
        return (cf.simulate(net, state, params, 12, record="x")[1] ** 2).sum()

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope(params)))
