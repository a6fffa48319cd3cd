"""Stability of delayed networks and bifurcations, against an independent discretisation and theory."""

import os
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import node_equations
import numpy as np
import pytest
from helpers import refuses
from scipy.optimize import brentq, root

import coupling_fn as cf

ONE = jnp.zeros((1, 1))


# --- the oracle: a delayed linear system as a large matrix -----------------------------------------


def chebyshev(n):
    """Return the nodes on [-1, 1], from 1 down, and the matrix that differentiates at them."""
    x = np.cos(np.pi * np.arange(n + 1) / n)
    c = np.concatenate([[2.0], np.ones(n - 1), [2.0]]) * (-1.0) ** np.arange(n + 1)
    away = x[:, None] - x[None] + np.eye(n + 1)
    d = c[:, None] / c[None] / away
    return x, d - np.diag(d.sum(1))


def growth(now, past, delays, n):
    """Return the largest real part of the roots of x' = now x + sum_d past_d x(t - delays_d).

    Chebyshev collocation of the infinitesimal generator (D. Breda, S. Maset and R. Vermiglio, SIAM J.
    Sci. Comput. 27, 482, 2005): x over the longest delay is a polynomial of degree n.
    """
    m, longest = len(now), max(np.max(t) for t in delays)
    if longest == 0:
        return np.linalg.eigvals(now + sum(past)).real.max()
    x, d = chebyshev(n)
    generator = np.kron(2 / longest * d, np.eye(m))
    generator[:m] = 0
    generator[:m, :m] = now
    weights = np.concatenate([[0.5], np.ones(n - 1), [0.5]]) * (-1.0) ** np.arange(n + 1)
    for gain, delay in zip(past, delays, strict=True):
        for i, j in zip(*np.nonzero(gain), strict=True):
            away = 1 - 2 * delay[i, j] / longest - x
            if np.abs(away).min() < 1e-14:
                values = (np.abs(away) == np.abs(away).min()).astype(float)
            else:
                values = weights / away
                values /= values.sum()
            generator[i, j::m] += gain[i, j] * values
    return np.linalg.eigvals(generator).real.max()


def test_the_oracle_finds_the_roots_of_hayes():
    for a, tau, k in ((1.0, 5.0, 1.132111728), (5.0, 1.2, 5.488571052), (1.0, 25.0, 1.007276242)):
        delayed = [np.array([[-k]])], [np.array([[tau]])]
        assert abs(growth(np.array([[-a]]), *delayed, 60)) < 1e-8


def draw(seed):
    """Draw a network that is stable without coupling: its node, regions, weights, lags and rule."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 4, 7, 12]))  # each size is compiled anew
    w = rng.normal(size=(n, n)) + rng.choice([-1.0, 0.0, 1.0])
    w *= rng.uniform(size=(n, n)) < rng.choice([0.3, 1.0])
    w += np.diag(np.where(np.abs(w).sum(1) == 0, rng.choice([-1.0, 1.0]), 0.0))
    w /= np.abs(w).sum(1).max()
    lags = rng.integers(0, rng.choice([2, 11, 101]), (n, n))  # of 0.5 ms
    kind = ["linear", "hopf", "fitzhugh_nagumo", "wilson_cowan"][seed % 4]
    node = {
        "linear": lambda: cf.nodes.LinearParams(a=-rng.uniform(0.02, 0.5, n)),
        "hopf": lambda: cf.nodes.HopfParams(
            a=-rng.uniform(0.01, 0.3, n), omega=rng.uniform(0.02, 0.5, n)
        ),
        "fitzhugh_nagumo": lambda: cf.nodes.FitzHughNagumoParams(current=rng.uniform(0.0, 0.2, n)),
        "wilson_cowan": lambda: cf.nodes.WilsonCowanParams(P=rng.uniform(0.0, 0.8, n)),
    }[kind]()
    rule = [cf.AdditiveCoupling, cf.DiffusiveCoupling][int(rng.integers(2))]
    return getattr(cf.nodes, kind), node, rule, w, lags


def check_against_the_oracle(seed, points=4, high=2.0):
    """Require the critical k to 1e-6, by the discretised system on both sides and everywhere below."""
    node, of_node, rule, w, lags = draw(seed)
    n = len(w)
    net = cf.Network(node, 0.5, lags=lags, lag_bounds=(0, 100))
    params = cf.Params(of_node, rule(jnp.asarray(w)))
    x = node.State(*[jnp.zeros(n) for _ in node.states])
    found = cf.bifurcation(net, params, x, 0.0, high)
    if found.kind == "unsure":
        return found.kind
    k = float(found.value) if found.kind != "none" else high
    assert found.kind != "missing"

    def growth_at(k, x):
        there = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))
        x = cf.fixed_point(net, there, x)
        jac = cf.jacobians(net, there, x)
        m = len(node.states) * n
        past = [np.asarray(g).reshape(m, m) for g in jac.gains]
        delays = [np.tile(np.asarray(d), (len(node.states),) * 2) for d in jac.delays]
        now = np.asarray(jac.instantaneous).reshape(m, m)
        scale = np.abs(now).sum(1).max() + sum(np.abs(g).sum(1).max() for g in past)
        turns = min(scale, 1.0) * max(d.max() for d in delays) / 2
        return growth(now, past, delays, int(min(20 + turns, 50))), x

    if found.kind == "unstable":
        return found.kind if growth_at(0.0, x)[0] > -1e-9 else "wrong: stable at 0"
    for near in [*np.linspace(0, 1, points)[:-1], 1 - 1e-6]:
        at, x = growth_at(k * near, x)
        if not at < 1e-10:
            return f"wrong: {found.kind} at {k}, unstable at {near} of it: {at}"
    if found.kind not in ("none", "fold"):
        at, _ = growth_at(k * (1 + 1e-6), found.x)
        if not at > -1e-10:
            return f"wrong: {found.kind} at {k}, stable above: {at}"
    return found.kind


FEW = (60,)  # small, so that the large matrix is quick
SOME = (0, 1, 2, 3, 65, 266)
MARKS = {s: pytest.mark.thorough if s in SOME else pytest.mark.exhaustive for s in range(300)}
SEEDS = [s if s in FEW else pytest.param(s, marks=MARKS[s]) for s in range(300)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_crossing_is_that_of_the_discretised_system(seed):
    """300 random systems; only a system whose roots meet at the axis may be unsure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is unsure is said in words, and returned
        assert not check_against_the_oracle(seed).startswith("wrong")


# --- known values ----------------------------------------------------------------------------------


def loop(a, tau, longest=250):
    """Return the network x' = a x - k x(t - tau)."""
    lags = jnp.full((1, 1), round(tau / 0.1))
    net = cf.Network(cf.nodes.linear, 0.1, lags=lags, lag_bounds=(0, longest))
    return net, cf.Params(cf.nodes.LinearParams(a=a), cf.AdditiveCoupling(-jnp.ones((1, 1))))


AT_ZERO = cf.nodes.LinearState(jnp.zeros(1))


def hayes(a, tau):
    """Return the k at which x' = -a x - k x(t - tau) loses its stability, from its own equations."""
    # cos(w tau) = -a / k, sin(w tau) = w / k: w cos + a sin = 0 in (pi / 2 tau, pi / tau).
    w = brentq(lambda w: w * np.cos(w * tau) + a * np.sin(w * tau), np.pi / 2 / tau, np.pi / tau)
    return np.hypot(a, w), w


def test_delayed_loops_turn_where_hayes_has_it_whatever_the_bracket():
    for a, tau, rounded in ((1.0, 5.0, 1.1321), (5.0, 1.2, 5.4886), (1.0, 25.0, 1.00728)):
        exact, w = hayes(a, tau)
        assert exact == pytest.approx(rounded, rel=2e-5)
        net, params = loop(-a, tau)
        for low, high in ((0.0, 6.0), (0.5, 5.6), (0.0, 100.0), (1.0, 13.0), (-0.7, 777.0)):
            found = cf.bifurcation(net, params, AT_ZERO, low, high)
            assert found.kind == "hopf"
            assert float(found.value) == pytest.approx(exact, rel=1e-9)
            assert float(found.frequency) == pytest.approx(1000 * w / (2 * np.pi), rel=1e-9)
        below = cf.bifurcation(net, params, AT_ZERO, 0.0, exact - 1e-6)
        assert below.kind == "none" and np.isnan(below.value)
        down = cf.bifurcation(net, params, AT_ZERO, 0.0, -7.0)  # there a real root passes 0
        assert float(down.value) == pytest.approx(-a, rel=1e-9) and down.kind == "steady"


def test_what_cannot_be_found_is_said():
    net, params = loop(-1.0, 5.0)
    with pytest.warns(RuntimeWarning, match="unstable at `low` already"):
        assert np.isnan(cf.critical_k(net, params, AT_ZERO, 1.5, 3.0))
    with pytest.warns(RuntimeWarning, match="unstable at `start` already"):
        assert cf.bifurcation(net, params, AT_ZERO, 1.5, 1.0).kind == "unstable"
    nowhere = eqx.tree_at(lambda p: p.coupling.b, params, jnp.asarray(jnp.inf))
    with pytest.warns(RuntimeWarning, match="no fixed point at `low`"):
        assert np.isnan(cf.critical_k(net, nowhere, AT_ZERO, 0.0, 3.0))
    assert np.isnan(cf.critical_k(net, params, AT_ZERO, 0.0, 1.0))  # stable all the way
    with refuses("`low` must be below `high`"):
        cf.critical_k(net, params, AT_ZERO, 1.0, 1.0)
    with refuses("`start` and `end` must differ"):
        cf.bifurcation(net, params, AT_ZERO, 1.0, 1.0)
    with refuses("`end` must be finite"):
        cf.bifurcation(net, params, AT_ZERO, 1.0, np.inf)
    with refuses("`params` must be Params, or a function", TypeError):
        cf.bifurcation(net, 3.0, AT_ZERO, 0.0, 1.0)
    with refuses("with a function for `params`", TypeError):
        cf.bifurcation(net, lambda k: params, AT_ZERO, 0.0, 1.0, where=lambda p: p.coupling.k)


@pytest.mark.every(2)
@pytest.mark.parametrize("mode", ["backward", "forward, mapped"])
def test_the_critical_k_has_the_derivative_of_its_equations(mode):
    net, params = loop(-1.0, 5.0)

    def critical(a):
        def at(k):  # any function from a number to parameters
            there = eqx.tree_at(lambda p: (p.node.a, p.coupling.k), params, (a, 2.0 * k))
            return there

        return 2.0 * cf.critical_k(net, at, AT_ZERO, 0.0, 2.0)

    a, step = jnp.asarray(-1.0), 1e-4
    slope = (hayes(1.0 - step, 5.0)[0] - hayes(1.0 + step, 5.0)[0]) / (2 * step)
    if mode == "backward":
        value, backward = jax.jit(jax.value_and_grad(critical))(a)
        assert float(value) == pytest.approx(hayes(1.0, 5.0)[0], rel=1e-9)
        assert float(backward) == pytest.approx(slope, rel=1e-6)
        return
    batch, forward = jax.vmap(lambda a: jax.jvp(critical, (a,), (jnp.ones(()),)))(
        jnp.asarray([-1.0, -0.5])
    )
    np.testing.assert_allclose(batch, [hayes(1.0, 5.0)[0], hayes(0.5, 5.0)[0]], rtol=1e-9)
    assert float(forward[0]) == pytest.approx(slope, rel=1e-6)


def test_a_delayed_network_has_a_covariance_where_it_is_stable_alone():
    net, params = loop(-1.0, 5.0)
    params = eqx.tree_at(lambda p: p.noise, params, jnp.asarray(1.0), is_leaf=lambda x: x is None)

    @jax.jit
    @jax.vmap
    def variance(k):
        def at(k):
            there = eqx.tree_at(lambda p: p.coupling.k, params, k)
            return cf.stationary_covariance(net, there, AT_ZERO, points=256)[0, 0, 0, 0]

        return jnp.stack(jax.value_and_grad(at)(k))

    found = variance(jnp.asarray([0.5, 1.0, 1.2, 1.9, 5.0, 20.0]))
    assert np.isfinite(found[:2]).all() and np.isnan(found[2:, 0]).all()
    w = np.sqrt(0.75 + 0j)  # U. Küchler and B. Mensch, Stochastics 40, 23 (1992)
    a, k, w = 1.0, 0.5, np.sqrt(complex(0.5**2 - 1))
    exact = (0.5 * (1 + k / w * np.sin(w * 5)) / (a + k * np.cos(w * 5))).real
    assert float(found[0, 0]) == pytest.approx(exact, rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [0])
def test_positive_weights_turn_at_the_spectral_radius_whatever_the_delays(seed):
    rng = np.random.default_rng(seed)
    w = rng.uniform(size=(8, 8)) * (rng.uniform(size=(8, 8)) < 0.6)
    w /= np.abs(np.linalg.eigvals(w)).max()
    lags = rng.integers(50, 201, (8, 8))  # 5 to 20 ms
    net = cf.Network(cf.nodes.linear, 0.1, lags=lags)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.asarray(w)))
    rest = cf.nodes.LinearState(jnp.zeros(8))
    for low, high in ((0.0, 2.0), (0.9, 1.4), (0.0, 30.0)):
        assert float(cf.critical_k(net, params, rest, low, high)) == pytest.approx(1, rel=1e-9)


@pytest.mark.thorough
def test_a_connectome_turns_at_the_spectral_radius_for_every_bracket():
    path = os.environ.get("COUPLING_FN_CONNECTOME")
    made = cf.synthetic_connectome(84, key=jax.random.key(0))
    connectome = cf.load_connectome(path) if path else made
    w, lengths = np.asarray(connectome.weights), np.asarray(connectome.lengths)
    w = w / np.abs(np.linalg.eigvals(w)).max()
    net = cf.Network(cf.nodes.linear, 0.1, lags=cf.lags(lengths, speed=5.0, dt=0.1))
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.asarray(w)))
    rest = cf.nodes.LinearState(jnp.zeros(len(w)))
    leak = -float(cf.nodes.LinearParams().a)
    for low, high in ((0.0, 1.5), (0.5, 4.0), (0.0, 20.0)):
        found = float(cf.critical_k(net, params, rest, low * leak, high * leak))
        assert found == pytest.approx(leak, rel=1e-8)


@pytest.mark.every(2)
@pytest.mark.parametrize(
    "weights", [np.roll(np.eye(3), 1, 0) + np.roll(np.eye(3), -1, 0), np.eye(2)]
)
def test_roots_that_meet_at_the_axis_are_found(weights):
    """Alike regions, uncoupled or on a ring: two pairs of roots reach the axis at once."""
    n = len(weights)
    net = cf.Network(cf.nodes.fitzhugh_nagumo, 0.1, lags=jnp.full((n, n), 40), lag_bounds=(0, 40))
    params = cf.Params(cf.nodes.FitzHughNagumoParams(), cf.DiffusiveCoupling(-weights))
    x0 = cf.nodes.FitzHughNagumoState(jnp.full(n, -1.2), jnp.full(n, -0.6))
    found = cf.bifurcation(net, params, x0, 0.0, 3.0)
    assert found.kind == "hopf"
    # Each eigenvalue of the weights has a characteristic equation of its own, with regions at rest.
    k, w = float(found.value), 2 * np.pi * float(found.frequency) / 1000
    own = np.asarray(
        cf.jacobians(
            net, eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k)), found.x
        ).instantaneous
    )[:, 0, :, 0]
    equations = [
        (1j * w - own[0, 0] + k * m * np.exp(-4j * w)) * (1j * w - own[1, 1])
        - own[0, 1] * own[1, 0]
        for m in np.linalg.eigvals(weights).real
    ]
    assert np.min(np.abs(equations)) < 1e-8


def one_region(name, values, **fields):
    """Return a network of one region, its parameters and a state to start from."""
    node = cf.nodes.catalog()[name]
    coupling = cf.AdditiveCoupling(jnp.ones((1, 1)), k=0.0)
    params = cf.Params(node.Params(**fields), coupling)
    return cf.Network(node, 0.1), params, node.State(*[jnp.full(1, float(v)) for v in values])


PUBLISHED = {  # the node, a start, other parameters, the one to vary, its range, kind and value
    "montbrio_pazo_roxin": ((0.1, -2), {}, "eta", (-6.0, 3.0), "fold", -3.136134),
    "reduced_wong_wang": ((0,), {"w": 1.0}, "I_0", (0.3, 0.4), "fold", 0.325079),
    "wilson_cowan": ((0, 0), {}, "P", (0.0, 3.0), "fold", 1.08302),
    "montbrio_pazo_roxin down": ((1, 0), {}, "eta", (-3.0, -8.0), "fold", -5.743527),
    "jansen_rit": ((0,) * 6, {}, "p", (0.0, 0.3), "fold", 0.11358),
    "epileptor": ((-1.6, -12, 3, 0, 0, 0), {}, "x0", (-3.0, -1.0), "hopf", -2.060459),
    "epileptor_2d": ((-1.6, 3), {}, "x0", (-3.0, -1.0), "hopf", -2.0619495),
    "fitzhugh_nagumo": ((-1.2, -0.6), {}, "current", (0.0, 1.0), "hopf", 0.331281),
    "reduced_wong_wang in G": ((0.1,), {}, "G", (0.0, 3.0), "fold", 0.3),
}


@pytest.mark.every(5)
@pytest.mark.parametrize("case", PUBLISHED)
def test_a_published_bifurcation_is_found_and_named(case):
    values, fields, name, (low, high), kind, published = PUBLISHED[case]
    node = case.split()[0]
    net, params, x0 = one_region(node, values, **fields)
    where = (lambda p: p.coupling.k) if name == "G" else (lambda p: getattr(p.node, name))
    found = cf.bifurcation(net, params, x0, low, high, where=where)
    assert found.kind == kind
    value, x = float(found.value), np.concatenate([np.asarray(s) for s in found.x])
    # The same conditions on the node's equation in plain numbers, solved by another method.
    plain = {f: float(getattr(params.node, f)) for f in params.node.__dataclass_fields__}
    inputs = [0.0] * len(net.node.inputs)

    def rates(x, p):
        there = plain if name == "G" else {**plain, name: p}
        own = [p * x[0]] if name == "G" else inputs
        return np.array(getattr(node_equations, node)(list(x), own, there))

    def conditions(unknown):
        x, p = unknown[:-1], unknown[-1]
        step = 1e-6 * np.maximum(np.abs(x), 0.01)
        moves = np.diag(step)
        slope = np.stack(
            [(rates(x + m, p) - rates(x - m, p)) / (2 * m.sum()) for m in moves], axis=1
        )
        eigenvalues = np.linalg.eigvals(slope)
        if kind == "fold":
            return np.append(rates(x, p), eigenvalues[np.abs(eigenvalues).argmin()].real)
        return np.append(rates(x, p), eigenvalues.real.max())

    start = np.append(x, value) * (1 + 1e-4)
    solved = root(conditions, start, tol=1e-13)
    assert solved.x[-1] == pytest.approx(value, abs=2e-6)
    if name != "G":
        assert value == pytest.approx(published, abs=1e-4 if node != "jansen_rit" else 1e-5)


@pytest.mark.every(2)
@pytest.mark.parametrize(("power", "kind"), [(2, "transcritical"), (3, "pitchfork")])
def test_where_fixed_points_cross_or_branch_off_is_told_apart(power, kind):
    @cf.nodes.node(states=["x"], inputs=["drive"])
    def growing(state, inputs, params):
        x = state["x"]
        return {"x": (params["p"] - 0.25) * x - x**power + inputs["drive"]}

    net = cf.Network(growing, 0.1)
    params = cf.Params({"p": jnp.asarray(0.0)}, cf.AdditiveCoupling(ONE))
    found = cf.bifurcation(net, params, {"x": jnp.zeros(1)}, -1.0, 1.0, where=lambda p: p.node["p"])
    assert found.kind == kind and float(found.value) == pytest.approx(0.25, abs=1e-9)
    assert float(found.frequency) == 0


@pytest.mark.thorough
def test_a_fold_moves_with_the_other_parameters():
    net, params, x0 = one_region("montbrio_pazo_roxin", (0.1, -2))

    def fold(J):
        there = eqx.tree_at(lambda p: p.node.J, params, J)
        return cf.bifurcation(net, there, x0, -6.0, 3.0, where=lambda p: p.node.eta).value

    J, step = jnp.asarray(15.0), 1e-3
    slope = (fold(J + step) - fold(J - step)) / (2 * step)
    assert float(jax.grad(fold)(J)) == pytest.approx(float(slope), rel=1e-5)
    assert float(jax.jacfwd(fold)(J)) == pytest.approx(float(slope), rel=1e-5)
    both = jax.vmap(fold)(jnp.asarray([15.0, 16.0]))
    np.testing.assert_allclose(both, [fold(J), fold(jnp.asarray(16.0))], rtol=1e-9)


@pytest.mark.thorough
def test_float32_is_sensible():
    single = lambda tree: jax.tree.map(
        lambda x: x.astype("float32") if eqx.is_inexact_array(x) else x, tree
    )
    net, params = loop(-1.0, 5.0)
    k = cf.critical_k(net, single(params), single(AT_ZERO), 0.0, 6.0)
    assert k.dtype == jnp.float32 and float(k) == pytest.approx(hayes(1.0, 5.0)[0], rel=1e-5)
    net, params, x0 = one_region("wilson_cowan", (0, 0))
    found = cf.bifurcation(net, single(params), single(x0), 0.0, 3.0, where=lambda p: p.node.P)
    assert found.kind == "fold" and float(found.value) == pytest.approx(1.08302, abs=1e-4)


# --- fixed points ----------------------------------------------------------------------------------


def ring_of_ten():
    w = np.random.default_rng(0).uniform(size=(10, 10)) * (1 - np.eye(10))
    return jnp.asarray(w / w.sum(1, keepdims=True))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gating_variables_settle_at_every_strength(dtype):
    """A search by Newton's method alone ends at NaN for some of these G."""
    net = cf.Network(cf.nodes.reduced_wong_wang, 1.0)
    single = lambda tree: jax.tree.map(lambda x: x.astype(dtype), tree)
    params = single(cf.Params(cf.nodes.ReducedWongWangParams(), cf.AdditiveCoupling(ring_of_ten())))
    x0 = single(cf.nodes.ReducedWongWangState(jnp.full(10, 0.001)))

    def both(G):
        there = eqx.tree_at(lambda p: p.coupling.k, params, G)
        state = net.init(x0, there)
        end = cf.simulate(net, state, there, 20_000, record=None)[0]
        return cf.fixed_point(net, there, x0).S, end.node.S

    found, settled = jax.jit(jax.vmap(both))(jnp.linspace(0, 3, 40).astype(dtype))
    assert found.dtype == dtype and ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, settled, atol=1e-5)


def test_rates_at_a_fixed_point_are_not_negative():
    net = cf.Network(cf.nodes.montbrio_pazo_roxin, 0.01)
    params = cf.Params(cf.nodes.MontbrioPazoRoxinParams(), cf.AdditiveCoupling(ring_of_ten()))

    def found(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        x0 = cf.nodes.MontbrioPazoRoxinState(jnp.full(10, 0.1), jnp.full(10, -2.0))
        return cf.fixed_point(net, there, x0)

    x = jax.jit(jax.vmap(found))(jnp.linspace(0.0, 40.0, 41))
    assert (x.r > 0).all()
    # Alike regions with row sums of 1: each satisfies the equations of one.
    r, k = np.asarray(x.r[:, 0]), np.linspace(0.0, 40.0, 41)
    V = -1 / (2 * np.pi * r)
    np.testing.assert_allclose(V**2 - 5 + (15 + k) * r - (np.pi * r) ** 2, 0, atol=1e-9)


def test_a_search_that_finds_nothing_warns():
    net = cf.Network(cf.nodes.linear, 0.1)
    params = cf.Params(cf.nodes.LinearParams(a=0.0), cf.AdditiveCoupling(ONE, b=1.0))
    with pytest.warns(RuntimeWarning, match="found no state at which the network stands still"):
        assert np.isnan(cf.fixed_point(net, params, AT_ZERO).x).all()


def test_where_selects_one_leaf():
    net = cf.Network(cf.nodes.linear, 0.5)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.eye(2), jnp.ones(2)))
    x0 = cf.nodes.LinearState(jnp.zeros(2))
    with refuses("`where` must select one leaf of `params`; it selects 2", TypeError):
        cf.bifurcation(net, params, x0, 0.0, 3.0, where=lambda p: (p.coupling.k, p.node.a))


@pytest.mark.thorough
def test_rounded_lags_from_lengths_are_those_that_are_given():
    """They have no derivative, and k needs none of theirs."""
    lengths, conn = jnp.array([[0.0, 30.0], [20.0, 0.0]]), jnp.array([[0.0, 1.0], [2.0, 0.0]])
    rest, node = cf.nodes.LinearState(jnp.zeros(2)), cf.nodes.LinearParams(a=-1.0)
    coupling = cf.AdditiveCoupling(-conn)
    given = cf.Network(cf.nodes.linear, 0.5, lags=cf.lags(lengths, 3.0, 0.5, weights=conn))
    bounds = cf.lag_bounds(lengths, (2.0, 4.0), 0.5, weights=conn)
    follow = cf.Network(cf.nodes.linear, 0.5, lag_bounds=bounds)
    params = cf.Params(node, coupling, lengths=lengths, speed=3.0)
    wanted = cf.critical_k(given, cf.Params(node, coupling), rest, 0.0, 3.0)
    assert abs(cf.critical_k(follow, params, rest, 0.0, 3.0) / wanted - 1) < 1e-9
