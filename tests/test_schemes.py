"""One step of each scheme, against what it should be; and schemes of one's own on every road."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from jax.test_util import check_grads
from test_simulate import CONN, DT, HOPF, LAGS, X0, hopf_case, past_of, step_by_step

import coupling_fn as cf
from coupling_fn.schemes._exponential import phi
from coupling_fn.schemes._shorthands import SHORTHANDS

RALSTON = [[1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9]
SSP = [[1.0], [1 / 4, 1 / 4]], [1 / 6, 1 / 6, 2 / 3]


class ThreeStages(cf.schemes.Scheme):
    """The scheme of the tableau SSP, as a user writes it: convex combinations of Euler's steps."""

    order = 3
    stages = (0.0, 0.5, 1.0)

    def step(self, rate, x, dt):
        def mixed(a, x, y, r):
            return jax.tree.map(lambda x, y, r: (1 - a) * x + a * (y + dt * r), x, y, r)

        first = mixed(1.0, x, x, rate(x, 0.0))
        second = mixed(0.25, x, first, rate(first, 1.0))
        return mixed(2 / 3, x, second, rate(second, 0.5))


EVERY = SHORTHANDS | {
    "Ralston": cf.schemes.RungeKutta(*RALSTON),
    "own": ThreeStages(),
    "exponential": cf.schemes.ExponentialEuler(),
}
# The factor by which one step of x' = z x / dt multiplies x: the first terms of exp(z), or all.
THIRD = lambda z: 1 + z + z**2 / 2 + z**3 / 6
FACTORS = {
    "euler": lambda z: 1 + z,
    "heun": lambda z: 1 + z + z**2 / 2,
    "rk4": lambda z: THIRD(z) + z**4 / 24,
    "Ralston": THIRD,
    "own": THIRD,
    "exponential": np.exp,
}
ORDERS = {"euler": 1, "heun": 2, "rk4": 4, "Ralston": 3, "own": 3, "exponential": 1}


@pytest.mark.every(2)
@pytest.mark.parametrize("scheme", EVERY)
@pytest.mark.parametrize("z", [-1.7, 0.3])
def test_linear_step_is_its_factor(z, scheme):
    x = jnp.array([1.0, -2.0])
    got = EVERY[scheme].step(lambda x, at: (z / 0.1) * x, x, 0.1)
    assert_close(got, FACTORS[scheme](z) * x, ulps=8)


@pytest.mark.parametrize("scheme", EVERY)
def test_a_rate_of_time_alone_is_integrated_to_the_order(scheme):
    """Each stage is at its own time: x' = p (t / dt)^(p - 1) / dt adds 1 for p up to the order."""
    for power in range(1, ORDERS[scheme] + 1):
        rate = lambda x, at, p=power: jnp.array([p * at ** (p - 1) / 0.1])
        assert_close(EVERY[scheme].step(rate, jnp.zeros(1), 0.1), jnp.ones(1), ulps=8)


@pytest.mark.parametrize("scheme", EVERY)
def test_stages_are_asked_where_the_scheme_says(scheme):
    asked = []
    EVERY[scheme].step(lambda x, at: asked.append(at) or x, jnp.ones(1), 0.1)
    assert sorted({*asked}) == sorted(EVERY[scheme].stages)
    assert EVERY[scheme].order == ORDERS[scheme]


@pytest.mark.parametrize("scheme", EVERY)
def test_noise_is_one_draw_in_every_stage(scheme):
    z, x, noise = -0.4, jnp.array([2.0]), jnp.array([0.3])
    got = EVERY[scheme].noisy_step(lambda x, at: (z / 0.1) * x, x, 0.1, lambda x, at: noise)
    wanted = {
        "heun": x + (z * x + z * ((1 + z) * x + noise)) / 2 + noise,
        "exponential": np.exp(z) * x + noise * np.sqrt((1 - np.exp(2 * z)) / (-2 * z)),
    }.get(scheme, FACTORS[scheme](z) * x + noise)
    assert_close(got, wanted, ulps=8)


@pytest.mark.parametrize("scheme", EVERY)
def test_any_pytree_is_stepped_and_keeps_its_dtype(scheme):
    x = {"a": jnp.ones(2, jnp.float32), "b": (jnp.zeros((), jnp.float32),)}
    got = jax.jit(lambda x: EVERY[scheme].step(lambda x, at: x, x, 0.5))(x)
    assert jax.tree.structure(got) == jax.tree.structure(x)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(got))
    assert_close(got["a"], np.full(2, FACTORS[scheme](0.5), np.float32), ulps=4)


@pytest.mark.parametrize("scheme", EVERY)
def test_scheme_has_its_order(scheme):
    """x' = -x² + cos t, against RK4 with steps a hundred times as small."""

    def end(scheme, steps):
        dt = 1.0 / steps

        def step(x, n):
            rate = lambda x, at: -(x**2) + jnp.cos((n + at) * dt)
            return scheme.step(rate, x, dt), None

        return jax.lax.scan(step, jnp.asarray(0.2), jnp.arange(float(steps)))[0]

    exact = end(EVERY["rk4"], 800)
    errors = [abs(end(EVERY[scheme], steps) - exact) for steps in (8, 16)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[scheme], abs=0.25)


# --- tableaux --------------------------------------------------------------------------------------


def test_a_tableau_knows_its_order_and_its_stages():
    known = {
        1: ([], [1.0]),
        2: ([[2 / 3]], [1 / 4, 3 / 4]),
        3: RALSTON,
        4: ([[1 / 3], [-1 / 3, 1], [1, -1, 1]], [1 / 8, 3 / 8, 3 / 8, 1 / 8]),  # Kutta's 3/8 rule
    }
    for order, tableau in known.items():
        assert cf.schemes.RungeKutta(*tableau).order == order
    assert cf.schemes.RungeKutta([[1 / 2]], [1 / 2, 1 / 2]).order == 1
    assert cf.schemes.RungeKutta([[1 / 3], [1 / 3, 2 / 3]], [0, 1 / 2, 1 / 2]).stages[-1] == 1.0
    assert cf.schemes.RungeKutta(*RALSTON) == cf.schemes.RungeKutta(*RALSTON)
    assert not jax.tree.leaves(
        EVERY
    )  # A scheme without numbers of its own compiles no program anew.


# --- schemes of one's own in networks --------------------------------------------------------------


def own_case(scheme, tableau, lags, hold, rule="diffusive", form="dense"):
    net, params, state, judge = hopf_case(rule, form, LAGS[lags], "heun", hold)
    net = cf.Network(
        cf.nodes.hopf,
        DT,
        couplings=cf.Wire("x", into="x"),
        lags=LAGS[lags],
        scheme=scheme,
        hold=hold,
    )
    judge.scheme = tableau
    return net, params, state, judge


@pytest.mark.every(3)
@pytest.mark.parametrize("hold", ["stage", "step", "coupling"])
@pytest.mark.parametrize("lags", ["mixed", "none", "from 0", "from 11"])
@pytest.mark.parametrize(
    ("scheme", "tableau"),
    [(ThreeStages(), SSP), (EVERY["Ralston"], RALSTON)],
    ids=["own", "Ralston"],
)
def test_a_scheme_of_ones_own_is_the_oracle_on_every_road(scheme, tableau, lags, hold):
    net, params, state, judge = own_case(scheme, tableau, lags, hold)
    wanted = judge.run(X0, 24)
    _, record = cf.simulate(net, state, params, 24)
    assert_close(record._asdict(), wanted, ulps=2**13)
    # Its order shows: held or not, Heun's steps go elsewhere.
    judge.scheme = "heun"
    assert np.abs(judge.run(X0, 24)["x"] - wanted["x"]).max() > 1e-5
    if lags == "mixed":
        _, by_hand = step_by_step(net, state, params, 24)
        assert_close(by_hand._asdict(), wanted, ulps=2**13)


@pytest.mark.parametrize("lags", ["from 11", "from 0"])
def test_noise_and_gradients_work_with_a_scheme_of_ones_own(lags):
    net, params, _, _ = own_case(ThreeStages(), SSP, lags, "stage")
    quiet = cf.Params(params.node, params.coupling, external=params.external)
    params = cf.Params(params.node, params.coupling, {"x": 0.2}, params.external)
    past = past_of(int(np.max(LAGS[lags])))
    state = net.init(cf.nodes.HopfState(**X0), params, key=jax.random.key(3), history=past)

    @jax.jit
    def run(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, 30)[1].x

    noisy = run(0.4)
    if lags == "from 11":
        check_grads(lambda k: jnp.sum(run(k) ** 2), (0.4,), order=1, modes=("rev",), rtol=1e-5)
    else:
        there = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(0.4))
        assert_close(step_by_step(net, state, there, 30)[1].x, np.asarray(noisy), ulps=2**13)
    still = eqx.tree_at(lambda p: p.coupling.k, quiet, jnp.asarray(0.4))
    assert np.abs(cf.simulate(net, state, still, 30)[1].x - noisy).max() > 1e-2


def test_states_of_later_stages_are_clipped_where_it_is_asked_for():
    runs = {}
    for clip in ("step", "stages"):
        net = cf.Network(
            cf.nodes.linear, 0.5, scheme=ThreeStages(), bounds={"x": (0.0, 1.0)}, clip=clip
        )
        params = cf.Params(cf.nodes.LinearParams(a=-3.0), cf.AdditiveCoupling(np.zeros((1, 1))))
        state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
        runs[clip] = float(cf.simulate(net, state, params, 1)[1].x[0, 0])
    z = -1.5
    first = 1 + z
    second = 0.75 + 0.25 * (first + z * first)
    clipped = 0.75 + 0.25 * first  # the rate at 0, to which `first` is clipped, is 0
    assert runs["step"] == pytest.approx(np.clip(1 / 3 + 2 / 3 * (second + z * second), 0, 1))
    assert runs["stages"] == pytest.approx(np.clip(1 / 3 + 2 / 3 * (clipped + z * clipped), 0, 1))
    assert runs["step"] != runs["stages"]


def test_a_scheme_steps_a_vector_field_to_the_same_numbers():
    net = cf.Network(cf.nodes.hopf, DT, couplings=cf.Wire("x", "x"), scheme=ThreeStages())
    params = cf.Params(HOPF, cf.DiffusiveCoupling(CONN, 0.4))
    x = cf.nodes.HopfState(**{name: jnp.asarray(x) for name, x in X0.items()})
    _, record = cf.simulate(net, net.init(x, params), params, 5)
    field = cf.vector_field(net, params)
    for n in range(5):
        x = net.scheme.step(lambda y, at, n=n: field((n + at) * DT, y, None), x, DT)
        assert_close(x.x, np.asarray(record.x[n]), ulps=64)


class Damped(cf.schemes.Scheme):
    """Euler with a number of its own, which is a leaf of the network."""

    share: jax.Array
    order = 1
    stages = (0.0,)

    def step(self, rate, x, dt):
        return jax.tree.map(lambda x, r: x + self.share * dt * r, x, rate(x, 0.0))


@pytest.mark.parametrize("lags", [None, 12])
def test_numbers_of_a_scheme_are_swept_and_differentiated(lags):
    params = cf.Params(cf.nodes.LinearParams(a=-0.5), cf.AdditiveCoupling(np.zeros((2, 2))))

    def end(share):
        net = cf.Network(cf.nodes.linear, 0.1, lags=lags, scheme=Damped(share))
        state = net.init(cf.nodes.LinearState(jnp.ones(2)), params, history=lags and 0.0)
        return cf.simulate(net, state, params, 4)[1].x[-1, 0]

    shares = jnp.array([0.5, 1.0])
    assert_close(jax.vmap(end)(shares), (1 - 0.05 * np.asarray(shares)) ** 4, ulps=16)
    assert_close(jax.grad(end)(0.5), jnp.asarray(-0.2 * (1 - 0.025) ** 3), ulps=64)


# --- exponential Euler -----------------------------------------------------------------------------

LEAKS = jnp.array([-50.0, -0.3, 0.0, 0.2, -4e3])
INPUTS = np.array([50.0, 0.3, 0.7, -0.1, 4e3])


@pytest.mark.parametrize("lags", [None, 3, 12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponential_euler_is_exact_for_linear_nodes(dtype, lags):
    """x(t) = (x0 + I / a) exp(a t) - I / a, with a dt down to -4000, where Euler's steps explode."""
    n, steps, start = len(LEAKS), 40, np.array([0.5, -1.0, 0.25, 0.5, -2.0])
    conn = np.zeros((n, n), dtype)
    conn[:, 2] = 0.25  # of a region that is held at its state, so that what it sends is constant
    inputs = INPUTS.astype(dtype)
    inputs[2] = -0.25 * 0.25
    params = cf.Params(
        cf.nodes.LinearParams(a=LEAKS.astype(dtype)),
        cf.AdditiveCoupling(conn),
        external={"x": jnp.asarray(inputs)},
    )
    runs = {}
    for scheme in (cf.schemes.ExponentialEuler(), "euler"):
        net = cf.Network(cf.nodes.linear, 1.0, lags=lags, scheme=scheme)
        state = net.init(cf.nodes.LinearState(jnp.asarray(start, dtype)), params)
        runs[scheme] = np.asarray(cf.simulate(net, state, params, steps)[1].x)
    exact = np.zeros((steps, n))
    for step in range(steps):
        for i, (a, drive) in enumerate(zip(np.asarray(LEAKS), inputs, strict=True)):
            rest = float(drive) + 0.25 * 0.25
            t = step + 1.0
            exact[step, i] = (
                start[i] + rest * t if a == 0 else (start[i] + rest / a) * np.exp(a * t) - rest / a
            )
    got = runs[cf.schemes.ExponentialEuler()]
    assert got.dtype == dtype
    assert_close(got[:, :4], exact[:, :4].astype(dtype), ulps=2**7)
    assert_close(got[:, 4], exact[:, 4].astype(dtype), ulps=2**7)
    assert not np.abs(runs["euler"][-1, 0]) < 1e10


def test_exponential_euler_holds_the_input_and_takes_the_slope_of_the_node_alone():
    """A step by hand of a node with two states and a slope that depends on them, and coupled."""
    net = cf.Network(
        cf.nodes.hopf, DT, couplings=cf.Wire("x", "x"), scheme=cf.schemes.ExponentialEuler()
    )
    params = cf.Params(HOPF, cf.DiffusiveCoupling(CONN, 0.4))
    after = net(net.init(cf.nodes.HopfState(**X0), params), params).node
    a, omega = -0.2, 0.7
    x, y = (np.asarray(X0[name]) for name in "xy")
    grow = lambda z: np.expm1(z) / z
    for i in range(len(x)):
        c = sum(0.4 * CONN[i, j] * (x[j] - x[i]) for j in range(len(x)))
        fx = (a - x[i] ** 2 - y[i] ** 2) * x[i] - omega * y[i] + c
        fy = (a - x[i] ** 2 - y[i] ** 2) * y[i] + omega * x[i]
        sx, sy = a - 3 * x[i] ** 2 - y[i] ** 2, a - x[i] ** 2 - 3 * y[i] ** 2
        assert after.x[i] == pytest.approx(x[i] + DT * grow(DT * sx) * fx, rel=1e-12)
        assert after.y[i] == pytest.approx(y[i] + DT * grow(DT * sy) * fy, rel=1e-12)


def test_exponential_euler_keeps_the_variance_of_the_ornstein_uhlenbeck_process():
    """sigma² / (2 |a|), at |a| dt of 3: the steps of Euler and Heun explode there."""
    regions, a, sigma = 4000, -3.0, 0.5
    params = cf.Params(
        cf.nodes.LinearParams(a=a),
        cf.AdditiveCoupling(cf.to_sparse(np.eye(regions) * 0)),
        noise=sigma,
    )
    net = cf.Network(cf.nodes.linear, 1.0, scheme=cf.schemes.ExponentialEuler())
    state = net.init(cf.nodes.LinearState(jnp.zeros(regions)), params, key=jax.random.key(0))
    x = np.asarray(cf.simulate(net, state, params, 20)[1].x)[4:]
    # Of 64000 independent samples the variance is off by 0.6 %.
    assert x.var() == pytest.approx(sigma**2 / (2 * -a), rel=0.03)
    assert np.mean(x[1:] * x[:-1]) / x.var() == pytest.approx(np.exp(a), abs=0.02)


def test_exponential_euler_steps_a_stiff_node_where_euler_explodes():
    """Wilson–Cowan with an E of 0.02 ms, in steps of 0.1 and 0.05 ms: the error halves with the step."""
    params = cf.Params(
        cf.nodes.WilsonCowanParams(tau_e=0.02, tau_i=8.0), cf.AdditiveCoupling(np.zeros((1, 1)))
    )
    x0 = cf.nodes.WilsonCowanState(jnp.array([0.9]), jnp.array([0.1]))

    def end(scheme, dt):
        net = cf.Network(cf.nodes.wilson_cowan, dt, scheme=scheme)
        last, _ = cf.simulate(net, net.init(x0, params), params, round(5 / dt))
        return np.array([last.node.E[0], last.node.I[0]])

    exact = end("rk4", 0.005)
    errors = [np.abs(end(cf.schemes.ExponentialEuler(), dt) - exact) for dt in (0.1, 0.05)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.25)
    assert errors[0].max() < 0.015
    assert not np.abs(end("euler", 0.05)).max() < 1e30


def test_phi_and_its_derivatives_are_exact():
    z = np.array([0.0, 1e-9, -1e-3, 0.3, 0.499999, 0.5, -0.500001, 3.0, -30.0, -800.0])
    with np.errstate(all="ignore"):
        wanted = np.where(z == 0, 1.0, np.expm1(z) / z)
    assert_close(phi(jnp.asarray(z)), wanted, ulps=4)
    slope = jax.vmap(jax.grad(phi))(jnp.asarray(z))
    series = [
        sum((n + 1) * v**n / np.prod(np.arange(1.0, n + 3)) for n in range(40)) for v in z[:8]
    ]
    assert_close(slope[:8], np.array(series), ulps=16)
    assert np.isfinite(slope).all()


# --- what is refused -------------------------------------------------------------------------------


class OutOfStages(cf.schemes.Scheme):
    order = 2
    stages = (0.0,)

    def step(self, rate, x, dt):
        return jax.tree.map(lambda x, r: x + dt * r, x, rate(x, 0.5))


class Late(OutOfStages):
    stages = (0.0, 1.5)


class Fractional(OutOfStages):
    order = 1.5


@pytest.mark.parametrize(
    ("scheme", "match", "error"),
    [
        (
            "rk5",
            "`scheme` must be one of 'euler', 'heun', 'rk4', or a scheme of cf.schemes",
            ValueError,
        ),
        (None, "or a scheme of cf.schemes, not None", TypeError),
        (cf.schemes.Heun, "must not be the class Heun: call it", TypeError),
        (Late(), "a tuple of numbers from 0 .* those of Late", ValueError),
        (Fractional(), "a whole order of 1 or more, not 1.5", ValueError),
    ],
)
def test_what_is_no_scheme_is_refused(scheme, match, error):
    with refuses(match, error):
        cf.Network(cf.nodes.linear, 0.1, scheme=scheme)


def test_a_stage_that_is_not_listed_is_refused():
    net = cf.Network(cf.nodes.linear, 0.1, scheme=OutOfStages())
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(np.zeros((1, 1))))
    state = net.init(cf.nodes.LinearState(jnp.ones(1)), params)
    with refuses("OutOfStages asks for a rate at 0.5 of the step, which is not among its stages"):
        net(state, params)
    with refuses("abstract class Scheme", TypeError):
        cf.schemes.Scheme()


@pytest.mark.parametrize(
    ("a", "b", "match", "error"),
    [
        ([[1.0]], [0.5], "`a` must have rows of 1, 2", ValueError),
        ([[1.0, 2.0]], [0.5, 0.5], "`a` must have rows of 1, 2", ValueError),
        ([[1.0]], [0.5, 0.6], "`b` must add up to 1", ValueError),
        ([[np.nan]], [0.5, 0.5], "all numbers be finite", ValueError),
        ([[1.5]], [0.5, 0.5], "the times of the stages, are from 0 to 1", ValueError),
        (1.0, [1.0], "`a` must be rows of numbers", TypeError),
        ([], 1.0, "`b` must be a list of numbers", TypeError),
    ],
)
def test_a_wrong_tableau_is_refused(a, b, match, error):
    with refuses(match, error):
        cf.schemes.RungeKutta(a, b)


@pytest.mark.parametrize(
    ("scheme", "bound"), [("Ralston", 2.5127), ("own", 2.5127), ("exponential", None)]
)
def test_diagnose_knows_how_long_a_step_any_scheme_may_take(scheme, bound):
    weights = 1e-9 * np.array([[0.0, 1.0], [2.0, 0.0]])
    for factor in (0.99, 1.01):
        net = cf.Network(cf.nodes.linear, 0.5, scheme=EVERY[scheme])
        node = cf.nodes.LinearParams(a=-factor * (bound or 40.0) / 0.5)
        params = cf.Params(node, cf.AdditiveCoupling(weights), noise=0.1)
        report = cf.diagnose(net=net, params=params, x0=cf.nodes.LinearState(jnp.ones(2)))
        assert ("long_step" in report.codes) == (bound is not None and factor > 1), f"\n{report}"


def test_bold_takes_any_scheme():
    activity = np.full((400, 2), 0.5)
    bold = {
        name: cf.observe.bold_from_balloon(activity, 10.0, 1000.0, scheme=scheme)[1]
        for name, scheme in EVERY.items()
    }
    assert_close(bold["own"], np.asarray(bold["Ralston"]), ulps=1e10)
    for name, scheme in EVERY.items():
        assert np.abs(bold[name] - bold["rk4"]).max() < (1e-3 if scheme.order == 1 else 1e-6)
