"""Published rhythms, synchrony, chaos and noise: what runs show, against closed forms and periods."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

import coupling_fn as cf

from ._published import Row, alone, period
from ._published_stability import PAIR, mackey_glass_network


def many(name, start, dt, steps, record, every=1, **varied):
    """Return a record of one region on its own, for each value of the parameter that is varied."""

    @jax.jit
    @jax.vmap
    def run(given):
        net, params, x0 = alone(name, start, dt, **given)
        return cf.simulate(net, net.init(x0, params), params, steps, record=record, every=every)[1]

    return np.asarray(run({key: jnp.asarray(value) for key, value in varied.items()}))[..., 0]


def jansen_rit_rhythm():
    ps = (0.15, 0.2, 0.25, 0.3)
    start = (0.1, 18, 15, 0, 0, 0)
    psp = many("jansen_rit", start, 0.1, 40_000, lambda s: s.node.y1 - s.node.y2, p=ps)
    for p, signal in zip(ps, psp[:, 20_000:], strict=True):
        what = f"Jansen and Rit's model, p = {1000 * p:g} per s: frequency"
        ours = 1000 / period(signal, 0.1)
        yield Row("Grimbert and Faugeras 2006", what, (10.6, 11.1), ours, 0.05, "Hz")


def wilson_cowan_rhythm():
    E = many("wilson_cowan", (0.1, 0.05), 0.02, 50_000, "E", P=(1.25,))[0]
    ours = period(E[20_000:], 0.02)
    yield Row("Wilson and Cowan 1972", "P = 1.25: period", 40.027, ours, 1e-3, "ms")


def van_der_pol():
    mus = (5.0, 10.0)
    x = many("van_der_pol", (2, 0), 0.002, 75_000, "x", mu=mus)
    for signal, mu, published in zip(x[:, 25_000:], mus, (11.6122, 19.0784), strict=True):
        yield Row(
            "van der Pol 1926", f"mu = {mu:g}: period", published, period(signal, 0.002), 1e-4
        )


def mackey_glass_rhythm():
    net, params = mackey_glass_network(8.0, 0.02)
    state = net.init(cf.nodes.LinearState(jnp.array([0.8])), params)
    _, x = jax.jit(lambda s: cf.simulate(net, s, params, 100_000, record="x"))(state)
    ours = period(x[50_000:, 0], 0.02)
    yield Row("Mackey and Glass 1977", "beta = 0.2, tau = 8: period", 25.766, ours, 1e-3)


def epileptor():
    """Whether the full model leaves its rest: the range of x1, after the first 1500 units of time."""
    start, x0 = (-1.6, -12, 3, 0, 0, 0), (-1.6, -2.2)
    x1 = many("epileptor", start, 0.05, 120_000, "x1", every=20, x0=x0)[:, 1500:]
    for value, swing, published in zip(
        x0, np.ptp(x1, axis=1), ((1.5, 5.0), (0.0, 0.5)), strict=True
    ):
        what = f"x0 = {value:g} {'seizes' if value > -2 else 'does not seize'}: range of x1"
        yield Row("Jirsa et al. 2014", what, published, float(swing))


def largest_exponent(net, params, x0, settle, steps):
    """Return the largest Lyapunov exponent [1/ms], from the growth of a small deviation."""

    def moved(x):
        return jnp.stack(net(net.init(net.node.State(*x), params), params).node)

    def grown(carry, _):
        x, deviation = jax.jvp(moved, carry[:1], carry[1:])
        size = jnp.linalg.norm(deviation)
        return (x, deviation / size), jnp.log(size)

    @jax.jit
    def exponent(x):
        x = jax.lax.fori_loop(0, settle, lambda _, x: moved(x), x)
        deviation = jnp.zeros_like(x).at[0].set(1.0)
        _, logs = jax.lax.scan(grown, (x, deviation), None, length=steps)
        return logs.mean() / net.dt

    return float(exponent(jnp.stack(x0)))


def larter_breakspear():
    kinds = (
        ("its defaults", cf.nodes.LarterBreakspearParams(), (-0.0001, 0.0001)),
        ("Alstott's parameters", cf.nodes.LarterBreakspearParams.chaotic(), (0.009, 0.011)),
    )
    for name, of_node, published in kinds:
        net, params, x0 = alone("larter_breakspear", (0.1, 0.2, 0.1))
        params = cf.Params(of_node, params.coupling)
        ours = largest_exponent(net, params, x0, 20_000, 300_000)
        what = f"{name}: largest Lyapunov exponent"
        yield Row(
            "Breakspear et al. 2003, Alstott et al. 2009", what, published, ours, 0.0, "per ms"
        )


def lorentzian(n, gamma, middle=0.0):
    """Return natural frequencies at the quantiles of a Lorentzian."""
    return middle + gamma * np.tan(np.pi * ((np.arange(n) + 0.5) / n - 0.5))


def oscillators(omega, K, dt, steps, lag=None, kept=400):
    """Return the last complex order parameters of phases that are coupled all to all."""
    n = len(omega)
    net = cf.Network(cf.nodes.kuramoto, dt, lags=lag)
    coupling = cf.KuramotoCoupling(jnp.full((n, n), 1 / n), k=K)
    params = cf.Params(cf.nodes.KuramotoParams(omega=jnp.asarray(omega)), coupling)
    start = np.random.default_rng(0).uniform(
        0, np.pi, n
    )  # not all around: some order to begin with
    state = net.init(cf.nodes.KuramotoState(jnp.asarray(start)), params)

    @jax.jit
    def run(state):
        def order(s):
            return jnp.exp(1j * s.node.theta).mean()

        return cf.simulate(net, state, params, steps, record=order)[1]

    return np.asarray(run(state))[-kept:]


def kuramoto():
    """1000 oscillators leave about 1 / sqrt(1000), 0.03, less at quantiles: 0.02."""
    omega = lorentzian(1000, 0.5)
    for K, published in ((1.2, 0.408), (2.0, 0.707), (6.0, 0.913)):
        ours = np.abs(oscillators(omega, K, 0.05, 2400 if K < 2 else 800)).mean()
        what = f"N = 1000, Lorentzian of 0.5, K = {K:g}: r"
        yield Row("Kuramoto 1984", what, published, float(ours), 0.02)


def delayed_kuramoto():
    """The order z = r e^(i W t) solves W = w - K/2 (1 + r²) sin W tau, g = K/2 (1 - r²) cos W tau.

    A delay that is one step off moves the frequency by 0.01: the criterion is half of that.
    """
    w, g, K, tau = 1.0, 0.1, 0.8, 1.0

    def squared(W):
        return 1 - 2 * g / (K * np.cos(W * tau))

    W = brentq(lambda W: W - w + K / 2 * (1 + squared(W)) * np.sin(W * tau), 0.0, 1.0, xtol=1e-12)
    z = oscillators(lorentzian(1000, g, w), K, 0.05, 1600, lag=20)
    turned = np.polyfit(0.05 * np.arange(len(z)), np.unwrap(np.angle(z)), 1)[0]
    paper, of = "Yeung and Strogatz 1999", "N = 1000, Lorentzian of 0.1, K = 0.8, delay 1"
    yield Row(paper, f"{of}: frequency", float(W), float(turned), 0.005)
    yield Row(paper, f"{of}: r", float(np.sqrt(squared(W))), float(np.abs(z).mean()), 0.005)


def two_delayed_oscillators():
    """All frequencies W = w - K sin W tau; a run stays on a branch if, and only if, K cos W tau > 0.

    A run starts on each branch, its phases 0.001 apart. After a long time it turns as on the branch, if
    that is stable. Euler is exact on a branch, since the phases move by W dt per step.
    """
    w, K, tau, dt = 1.0, 1.0, 4.0, 0.05
    lag = round(tau / dt)

    def f(W):
        return W - w + K * np.sin(W * tau)

    ends = np.linspace(w - K, w + K, 401) + 1e-3
    branches = [brentq(f, a, b, xtol=1e-14) for a, b in pairwise(ends) if f(a) * f(b) < 0]
    net = cf.Network(
        cf.nodes.kuramoto, dt, lags=jnp.full((2, 2), lag), scheme="euler", angles="grow"
    )
    params = cf.Params(cf.nodes.KuramotoParams(omega=w), cf.KuramotoCoupling(PAIR, k=K))

    @jax.jit
    def run(W):
        past = W * dt * jnp.arange(-lag, 0)[:, None] + jnp.array([0.0, 1e-3])
        state = net.init(cf.nodes.KuramotoState(jnp.array([0.0, 1e-3])), params, history=past)
        theta = cf.simulate(net, state, params, 8000, record="theta")[1]
        return (theta[-1, 0] - theta[-401, 0]) / (400 * dt)

    stays = 0
    for W in branches:
        ours = float(run(jnp.asarray(W)))
        if np.cos(W * tau) > 0:
            what = "K = 1, delay 4: frequency of a stable branch"
            yield Row("Schuster and Wagner 1989", what, W, ours, 1e-8)
        stays += abs(ours - W) < 1e-3
    stable = sum(np.cos(W * tau) > 0 for W in branches)
    what = f"K = 1, delay 4: branches that are stable, of {len(branches)}"
    yield Row("Schuster and Wagner 1989", what, float(stable), float(stays))


def geometric_brownian_motion():
    """The mean logarithm of x' = m x + s x dW: (m - s²/2) t for Itô, m t for Stratonovich.

    20 000 paths leave 0.0035 s.d. in the mean; the criterion is three of these, and 0.001 for dt.
    """
    m, s, n, dt = 0.3, 0.5, 20_000, 0.01
    noise = cf.noise.Multiplicative(lambda state: state.x, sigma=s)
    for scheme, published in (("euler", m - s**2 / 2), ("rk4", m - s**2 / 2), ("heun", m)):
        net = cf.Network(cf.nodes.linear, dt, scheme=scheme)
        coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
        params = cf.Params(cf.nodes.LinearParams(a=m), coupling, noise={"x": noise})

        def end(key, net=net, params=params):
            state = net.init(cf.nodes.LinearState(jnp.ones(1)), params, key=key)
            return cf.simulate(net, state, params, 100, record=None)[0].node.x[0]

        x = jax.jit(jax.vmap(end))(jax.random.split(jax.random.key(0), n))
        ours = float(jnp.log(x).mean())
        kind = "Stratonovich" if scheme == "heun" else "Itô"
        what = f"geometric Brownian motion, {scheme}: mean logarithm, as {kind} has it"
        yield Row("Kloeden and Platen 1992", what, published, ours, 0.0116)


def delayed_noise():
    """The variance of x' = -a x - b x(t - tau) + noise, b > |a|: U. Küchler and B. Mensch's formula."""
    a, b, tau = 1.0, 1.5, 1.0
    w = np.sqrt(b**2 - a**2)
    published = 0.5 * (1 + b / w * np.sin(w * tau)) / (a + b * np.cos(w * tau))
    net = cf.Network(cf.nodes.linear, 0.1, lags=jnp.full((1, 1), 10))
    coupling = cf.AdditiveCoupling(-jnp.ones((1, 1)), k=b)
    params = cf.Params(cf.nodes.LinearParams(a=-a), coupling, noise=1.0)
    rest = cf.nodes.LinearState(jnp.zeros(1))
    ours = float(cf.stationary_covariance(net, params, rest)[0, 0, 0, 0])
    what = "x' = -x - 1.5 x(t - 1) + white noise: variance"
    yield Row("Küchler and Mensch 1992", what, float(published), ours, 1e-4)


CASES = (
    jansen_rit_rhythm,
    wilson_cowan_rhythm,
    van_der_pol,
    mackey_glass_rhythm,
    epileptor,
    larter_breakspear,
    kuramoto,
    delayed_kuramoto,
    two_delayed_oscillators,
    geometric_brownian_motion,
    delayed_noise,
)
