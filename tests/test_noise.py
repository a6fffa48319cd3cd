"""Noise: its law, its path and its gradients, in stepwise runs and in blocks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf
from coupling_fn.noise._draw import START, draw

N, DT, STEPS = 3, 0.5, 45
CONN = np.asarray(directed(N, N))
LAGS = {
    "plain": None,
    "stepwise": np.arange(9).reshape(3, 3),
    "blocks": np.arange(9).reshape(3, 3) + 9,
}
KEY = jax.random.key(5)
MIX = np.array([[0.8, 0.0], [0.3, 0.5], [-0.4, 0.9]])  # two sources for three regions
X0 = cf.nodes.HopfState(jnp.array([0.5, -0.2, 0.1]), jnp.array([0.0, 0.3, -0.6]))


class Size(eqx.Module):
    """An amplitude of multiplicative noise, with a parameter of its own."""

    floor: jax.Array

    def __call__(self, state):
        return self.floor + state.x * state.y


def every_kind():
    """Return parameters with noise in each way that it can enter."""
    return cf.Params(
        cf.nodes.HopfParams(a=-0.1, omega=0.6),
        cf.AdditiveCoupling(CONN, k=0.4),
        noise={
            "x": cf.noise.Multiplicative(Size(jnp.array(0.3)), sigma=0.4, factor=MIX),
            "y": cf.noise.OrnsteinUhlenbeck(jnp.array([0.1, 0.2, 0.3]), 2.0, factor=MIX),
        },
        external={
            "x": cf.stimuli.Sine(0.2, 100.0) + cf.noise.Pink(0.3, 5.0, 200.0),
            "y": cf.noise.OrnsteinUhlenbeck(0.2, jnp.array([1.0, 3.0, 9.0])),
        },
    )


def start(net, params, key=KEY, history=0.1):
    delayed = net.lags["coupling"] is not None
    return net.init(X0, params, key=key, history=history if delayed else None)


def by_hand(params, lags, scheme, steps=STEPS):
    """Compute the same run as loops over steps; only the random numbers are the library's."""
    heun = scheme == "heun"
    z = lambda name, noise, n: np.asarray(draw(name, noise, KEY, n, N, jnp.dtype("float64")))
    x_noise, y_noise = params.noise["x"], params.noise["y"]
    pink, ou = params.external["x"].parts[1], params.external["y"]
    corner = 5.0 * 40.0 ** (np.arange(pink.components) / (pink.components - 1))
    taus = {"noise.y": 2.0, "external.x.parts.1": 1e3 / (2 * np.pi * corner[:, None])}
    taus["external.y"] = np.array([1.0, 3.0, 9.0])
    coloured = {"noise.y": y_noise, "external.x.parts.1": pink, "external.y": ou}
    noise_state = {name: z(name, noise, START) for name, noise in coloured.items()}

    def values(noise_state):
        return {
            "noise.y": np.array([0.1, 0.2, 0.3]) * noise_state["noise.y"][0],
            "x": 0.3 * noise_state["external.x.parts.1"].sum(0) / np.sqrt(pink.components),
            "external.y": 0.2 * noise_state["external.y"][0],
        }

    xs = [np.stack(X0)]

    def coupled(n, now):
        """What arrives at step n, where the state would be `now`."""
        total = np.zeros((2, N))
        for i in range(N):
            for j in range(N):
                m = n - (0 if lags is None else lags[i, j])
                sent = now if m == n else (xs[m] if m >= 0 else np.full((2, N), 0.1))
                total[:, i] += 0.4 * CONN[i, j] * sent[:, j]
        return total

    def rate(x, n, path):
        growth = -0.1 - x[0] ** 2 - x[1] ** 2
        got = coupled(n, x)
        got[0] += growth * x[0] - 0.6 * x[1] + 0.2 * np.sin(2 * np.pi * 0.1 * n * DT) + path["x"]
        got[1] += growth * x[1] + 0.6 * x[0] + path["noise.y"] + path["external.y"]
        return got

    for n in range(steps):
        x = xs[-1]
        updated = {}
        for name, tau in taus.items():
            keep = np.exp(-DT / tau)
            xi = z(name, coloured[name], n)
            updated[name] = keep * noise_state[name] + np.sqrt(1 - keep**2) * xi
        dW = np.sqrt(DT) * z("noise.x", x_noise, n)
        increment = lambda x, dW=dW: np.stack([0.4 * (0.3 + x[0] * x[1]) * dW, np.zeros(N)])
        first = rate(x, n, values(noise_state))
        if heun:
            guess = x + DT * first + increment(x)
            second = rate(guess, n + 1, values(updated))
            x = x + DT * (first + second) / 2 + (increment(x) + increment(guess)) / 2
        else:
            x = x + DT * first + increment(x)
        xs.append(x)
        noise_state = updated
    return np.stack(xs[1:])


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("lags", "scheme"), [("blocks", "heun"), ("stepwise", "euler"), ("plain", "heun")]
)
def test_a_run_with_every_kind_is_its_loop(lags, scheme):
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS[lags], scheme=scheme)
    params = every_kind()
    state = start(net, params)
    wanted = by_hand(params, LAGS[lags], scheme)
    last, xs = cf.simulate(net, state, params, STEPS)
    assert_close(jnp.stack(xs, axis=1), wanted, ulps=4096)
    if lags != "blocks":
        return
    # A run in two parts is that in one, bit for bit, noise states too.
    half, first = cf.simulate(net, state, params, 20)
    end, second = cf.simulate(net, half, params, STEPS - 20)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), both, xs))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), end.noise, last.noise))
    assert set(last.noise) == {"noise.y", "external.x.parts.1", "external.y"}


def test_every_number_of_noise_has_its_gradient_and_keys_are_vmapped():
    """Compare reverse mode with differences, and a batch with single runs."""
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS["blocks"])
    values, rest = eqx.partition(every_kind(), eqx.is_inexact_array)
    values = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), values)  # with no weak types

    def loss(values, key, derivative="reverse"):
        params = eqx.combine(values, rest)
        state = start(net, params, key)
        x = cf.simulate(net, state, params, STEPS, record="x", derivative=derivative)[1]
        return (x**2 @ jnp.array([0.5, 1.0, 1.5])).sum()

    one = jax.jit(jax.value_and_grad(loss))
    keys = jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(loss, in_axes=(None, 0)))(values, keys)
    assert_close(batch[1], one(values, keys[1])[0], ulps=2**14)
    _, slopes = one(values, KEY)
    # Forward mode, along all of them at once.
    along = jax.tree.map(
        lambda x: jnp.asarray(np.random.default_rng(1).normal(size=x.shape)), values
    )
    push = lambda d: jax.jvp(lambda v: loss(v, KEY, "forward"), (values,), (d,))[1]
    wanted = sum(jax.tree.leaves(jax.tree.map(lambda s, d: (s * d).sum(), slopes, along)))
    assert_close(jax.jit(push)(along), wanted, ulps=2**14)
    slopes = eqx.tree_at(lambda p: (p.node, p.coupling), slopes, (None, None))
    rng = np.random.default_rng(0)
    leaves, tree = jax.tree.flatten(values)
    paths = jax.tree_util.tree_leaves_with_path(values)
    dotted = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
    by_name = {dotted(p): x for p, x in jax.tree_util.tree_leaves_with_path(slopes)}
    checked = 0
    for n, (path, leaf) in enumerate(paths):
        name = dotted(path)
        if not name.startswith(("noise", "external")):
            continue
        along = rng.normal(size=leaf.shape)
        ends = [
            one(tree.unflatten([*leaves[:n], leaf + step * along, *leaves[n + 1 :]]), KEY)[0]
            for step in (1e-5, -1e-5)
        ]
        slope = by_name[name]
        wanted = float(ends[0] - ends[1]) / 2e-5
        assert float((slope * along).sum()) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        assert slope.any(), name
        checked += 1
    assert checked == 14


@cf.nodes.node(states=["x"], inputs=["x"], coupled=[])
def growth(state, inputs, params):
    """x' = a x + input."""
    return cf.nodes.LinearState(params.a * state.x + inputs.x)


def alone(dt, params, regions, steps, scheme="heun", record="x", x0=0.0, key=KEY, **options):
    """Run regions that nothing couples."""
    net = cf.Network(growth, dt, scheme=scheme, **options)
    state = net.init(cf.nodes.LinearState(jnp.full(regions, x0)), params, key=key)
    return cf.simulate(net, state, params, steps, record=record)[1]


@pytest.mark.parametrize(("scheme", "order"), [("euler", 0.5), ("heun", 1.0)])
def test_strong_order_on_geometric_brownian_motion(scheme, order):
    """dX = a X dt + b X dW: Itô's by Euler, Stratonovich's by Heun, on refinements of one path."""
    a, b, regions, finest = -0.4, 0.8, 1000, 2.0**-9
    noise = cf.noise.Multiplicative(lambda s: s.x, sigma=b)
    params = cf.Params(cf.nodes.LinearParams(a=a), noise={"x": noise})
    xi = jax.vmap(lambda n: draw("noise.x", noise, KEY, n, regions, "float64"))(jnp.arange(512))
    drift = a - b**2 / 2 if scheme == "euler" else a
    exact = np.exp(drift + b * np.sqrt(finest) * np.asarray(xi).sum(0))
    errors = []
    for power in (4, 6, 8):
        options = dict(scheme=scheme, x0=1.0, noise_step=finest)
        x = alone(2.0**-power, params, regions, 2**power, **options)[-1]
        errors.append(np.abs(x - exact).mean())
    orders = np.diff(np.log2(errors)) / -2
    assert orders == pytest.approx(order, abs=0.12)


def test_the_path_is_the_same_at_half_the_step():
    """Both for white and for coloured noise."""
    params = cf.Params(cf.nodes.LinearParams(a=0.0), noise=0.7)
    coarse, fine = (alone(dt, params, N, int(8 / dt), noise_step=0.125) for dt in (0.5, 0.25))
    assert np.abs(coarse - fine[1::2]).max() < 1e-12
    other = alone(0.25, params, N, 32)
    assert np.abs(coarse - other[1::2]).max() > 0.1  # without `noise_step` it is another path
    params = cf.Params(cf.nodes.LinearParams(a=0.0), external={"x": cf.noise.Pink(0.7, 5.0, 100.0)})
    record = lambda state: state.noise["external.x"]
    coarse, fine = (
        alone(dt, params, N, int(8 / dt), noise_step=0.125, record=record) for dt in (0.5, 0.25)
    )
    assert np.abs(coarse - fine[1::2]).max() < 1e-12 < np.abs(coarse).max()


@pytest.mark.thorough
def test_refined_noise_in_blocks_is_that_step_by_step():
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS["blocks"], noise_step=DT / 2)
    params = every_kind()

    def step(state, _):
        state = net(state, params)
        return state, state.node

    state = start(net, params)
    by_step, wanted = jax.jit(lambda s: jax.lax.scan(step, s, None, length=20))(state)
    last, xs = cf.simulate(net, state, params, 20)
    assert_close((xs, last.noise), (wanted, by_step.noise), ulps=2**12)
    coarse = cf.Network(cf.nodes.hopf, DT, lags=LAGS["blocks"])
    other = cf.simulate(coarse, state, params, 20)[1]
    assert np.abs(other.x - xs.x).max() > 0.01


def test_variance_and_correlation_time_do_not_depend_on_dt():
    """The variance of white noise grows as σ² t; that of Ornstein–Uhlenbeck is σ² from the start."""
    regions, sigma, tau = 4000, 0.3, 4.0
    ou = cf.noise.OrnsteinUhlenbeck(sigma, tau)
    for dt in (0.25, 2.0):
        steps = round(8 / dt)
        params = cf.Params(cf.nodes.LinearParams(a=0.0), noise=cf.noise.Additive(0.3))
        white = alone(dt, params, regions, steps)
        assert np.var(white[-1]) == pytest.approx(0.09 * 8, rel=0.07)
        params = cf.Params(cf.nodes.LinearParams(a=0.0), noise=ou)
        record = lambda state: (ou.value(state.noise["noise.x"]), state.node.x)
        path, x = alone(dt, params, regions, steps, record=record)
        assert np.std(path, axis=1) == pytest.approx(sigma, rel=0.05)
        lag = round(4 / dt)
        assert np.corrcoef(path[0], path[lag])[0, 1] == pytest.approx(np.exp(-1), abs=0.04)
        # The integral of the path: 2 σ² τ (t - τ (1 - exp(-t / τ))).
        wanted = 2 * sigma**2 * tau * (8 - tau * (1 - np.exp(-2)))
        assert np.var(x[-1]) == pytest.approx(wanted, rel=0.08)


@pytest.mark.thorough
def test_pink_noise_is_1_over_f_in_its_band():
    noise = cf.noise.Pink(0.5, low=1.0, high=200.0)
    corner = 1000 / (2 * np.pi * np.asarray(noise.tau))
    assert (corner[0], corner[-1]) == pytest.approx((1.0, 200.0))
    f = np.geomspace(3.0, 200 / 3, 30)
    spectrum = (1 / corner / (1 + (f[:, None] / corner) ** 2)).sum(1)
    assert np.polyfit(np.log(f), np.log(spectrum), 1)[0] == pytest.approx(-1, abs=0.08)
    params = cf.Params(cf.nodes.LinearParams(a=0.0), external={"x": noise})
    record = lambda state: noise.value(state.noise["external.x"])
    x = alone(1.0, params, 64, 2**13, record=record, scheme="euler")
    assert np.std(x) == pytest.approx(0.5, rel=0.05)
    frequencies, power = cf.observe.power_spectrum(x, 1.0, window=1024.0)
    power = np.asarray(power).mean(1)
    inside = (frequencies > 3) & (frequencies < 200 / 3)
    slope = np.polyfit(np.log(frequencies[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.12)


@pytest.mark.thorough
def test_regions_share_what_the_factor_says():
    correlation = np.array([[1.0, 0.7, -0.3], [0.7, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    factor = cf.noise.correlation_factor(correlation)
    assert_close(factor @ factor.T, correlation, ulps=8)
    for noise in (cf.noise.Additive(2.0, factor=factor), cf.noise.Pink(factor=factor)):
        xi = jax.vmap(lambda n, noise=noise: draw("noise.x", noise, KEY, n, 3, "float64"))(
            jnp.arange(20_000)
        )
        xi = xi.reshape(-1, 3)
        assert np.corrcoef(xi.T) == pytest.approx(correlation, abs=0.03)
        assert np.var(xi, axis=0) == pytest.approx(1, abs=0.05)


def test_another_noise_beside_it_changes_nothing():
    one = cf.noise.OrnsteinUhlenbeck(0.3)
    draws = []
    for external in ({"y": one}, {"x": one, "y": one}):
        params = cf.Params(cf.nodes.HopfParams(), external=external)
        net = cf.Network(cf.nodes.hopf, DT, couplings={})
        state = net(net.init(X0, params, key=KEY), params)
        draws.append(state.noise["external.y"])
    assert (draws[0] == draws[1]).all()
    assert abs(state.noise["external.x"] - state.noise["external.y"]).max() > 0.1


def test_noise_keeps_float32_and_is_known_under_jit():
    params = jax.tree.map(lambda x: x.astype("float32"), eqx.filter(every_kind(), eqx.is_array))
    params = eqx.combine(params, every_kind())
    net = cf.Network(cf.nodes.hopf, DT, lags=3)
    x0 = cf.nodes.HopfState(*(x.astype("float32") for x in X0))

    @eqx.filter_jit
    def run(params):
        state = net.init(x0, params, key=KEY)
        return cf.simulate(net, state, params, 4)

    last, _ = run(params)
    assert {x.dtype.name for x in jax.tree.leaves((last.node, last.noise))} == {"float32"}
    traced = eqx.filter_jit(lambda low: cf.noise.Pink(0.1, low, 100.0, components=4).tau)(1.0)
    assert traced.shape == (4,)


def begin(**options):
    params = cf.Params(cf.nodes.HopfParams(), cf.AdditiveCoupling(CONN), **options)
    return cf.Network(cf.nodes.hopf, DT).init(X0, params, key=options.pop("key", KEY))


def without_key():
    params = cf.Params(cf.nodes.HopfParams(), external={"x": cf.noise.OrnsteinUhlenbeck()})
    cf.Network(cf.nodes.hopf, DT, couplings={}).init(X0, params)


def without_noise_state():
    net = cf.Network(cf.nodes.hopf, DT, couplings={})
    state = net.init(X0, cf.Params(cf.nodes.HopfParams()), key=KEY)
    net(state, cf.Params(cf.nodes.HopfParams(), noise={"x": cf.noise.OrnsteinUhlenbeck()}))


def wide():
    net = cf.Network(cf.nodes.hopf, DT, couplings={})
    params = cf.Params(cf.nodes.HopfParams(), noise=cf.noise.Multiplicative(lambda s: s.x[:1]))
    net(net.init(X0, params, key=KEY), params)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: cf.noise.Additive(-0.1), "`sigma` must be ≥ 0"),
        (lambda: cf.noise.OrnsteinUhlenbeck(tau=0.0), "`tau` must be positive and finite .ms."),
        (lambda: cf.noise.Pink(low=0.0), "`low` must be positive and finite .Hz."),
        (lambda: cf.noise.Pink(low=9.0, high=3.0), "`low` must be below `high`"),
        (lambda: cf.noise.Pink(components=1), "`components` must be 2 or more"),
        (
            lambda: jax.jit(lambda low: cf.noise.Pink(1.0, low).tau)(1.0),
            "`components` must be given",
        ),
        (lambda: cf.noise.correlation_factor(np.ones((2, 3))), "`correlation` must be square"),
        (
            lambda: cf.noise.correlation_factor([[1.0, 0.2], [0.3, 1.0]]),
            r"symmetric; at \(0, 1\) it is 0.2, and 0.3 at \(1, 0\)",
        ),
        (
            lambda: cf.noise.correlation_factor([[1.0, 2.0], [2.0, 1.0]]),
            "smallest eigenvalue is -1",
        ),
        (
            lambda: begin(noise={"x": cf.noise.Additive(jnp.ones(2))}),
            r"`sigma` of the noise `noise.x` must have shape \(\) or \(3,\), not \(2,\)",
        ),
        (
            lambda: begin(external={"x": cf.noise.OrnsteinUhlenbeck(factor=np.eye(4))}),
            r"`factor` of the noise `external.x` must be .* \(3, any\); got \(4, 4\)",
        ),
        (
            lambda: begin(external={"x": cf.noise.Additive(0.1)}),
            "it cannot be `external.x`: put it into `params.noise`",
        ),
        (lambda: begin(noise={"z": cf.noise.Pink()}), "There is no state 'z'"),
        (without_key, "`params.external` needs a random `key`"),
        (without_noise_state, "`state.noise` has no noise state for `noise.x`"),
        (wide, r"`amplitude` of the noise `noise.x` must have shape \(\) or \(3,\), not \(1,\)"),
        (
            lambda: cf.Network(cf.nodes.hopf, 0.1, noise_step=0.03),
            "The nearest `noise_step` is 0.0333",
        ),
        (lambda: cf.Network(cf.nodes.hopf, 0.1, noise_step=0.0), "`noise_step` must be positive"),
    ],
)
def test_wrong_noise_is_refused(wrong, message):
    with refuses(message):
        wrong()


def test_an_amplitude_must_be_a_function():
    with refuses("`function` must be a function of the state", TypeError):
        cf.noise.Multiplicative(0.3)
