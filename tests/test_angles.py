"""Angles: a network takes whole turns off them, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf
from coupling_fn._node import wrapped

N = 4
CONN = np.asarray(directed(N, N))
LENGTHS = np.linspace(0.0, 9.0, N * N).reshape(N, N)
HERTZ = np.array([9.8, 10.0, 10.05, 40.0])
OMEGA = jnp.asarray(2 * np.pi * HERTZ / 1000, "float32")


def sine(source, target, conn, k):
    return k * cf.weighted_sum(conn, jnp.sin(jnp.atleast_2d(source) - target[:, None]))


RULES = {
    "Kuramoto": cf.KuramotoCoupling,
    "custom": lambda conn, k: cf.CustomCoupling(sine, conn, k),
    "edge": lambda conn, k: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), conn, k),
    "sparse": lambda conn, k: cf.KuramotoCoupling(cf.to_sparse(conn), k),
}
DELAYS = {
    "none": {},
    "whole": {"lags": np.rint(LENGTHS).astype(int)},
    "blocks": {"lags": np.rint(LENGTHS).astype(int) + 9},
    "between steps": {"lag_bounds": (0, 10), "interpolate": "linear"},
}


def build(rule, delays, scheme, angles, node=cf.nodes.kuramoto):
    net = cf.Network(node, 0.5, scheme=scheme, angles=angles, **DELAYS[delays])
    lengths = {"lengths": LENGTHS, "speed": 2.0} if delays == "between steps" else {}

    def run(k, start=None, steps=160):
        omega = jnp.linspace(0.3, 0.7, N)
        params = cf.Params(cf.nodes.KuramotoParams(omega), RULES[rule](CONN, k), **lengths)
        start = jnp.linspace(-2.0, 3.0, N) if start is None else start
        state = net.init(cf.nodes.KuramotoState(start), params)
        return cf.simulate(net, state, params, steps, record="theta")[1]

    return run


def on_circle(theta):
    return np.stack([np.cos(theta), np.sin(theta)])


@pytest.mark.every(5)
@pytest.mark.parametrize(
    ("rule", "delays", "scheme"),
    [
        ("edge", "between steps", "heun"),
        ("custom", "whole", "rk4"),
        ("Kuramoto", "blocks", "rk4"),
        ("Kuramoto", "between steps", "rk4"),
        ("sparse", "whole", "heun"),
        ("edge", "none", "rk4"),
        ("custom", "between steps", "rk4"),
    ],
)
def test_whole_turns_change_neither_the_run_nor_its_gradient(rule, delays, scheme):
    """Also where a rule reads states between two steps, of which one lies a turn from the other."""
    weights = np.cos(np.arange(160 * N)).reshape(160, N)
    results = {}
    for angles in ("wrap", "grow"):
        run = build(rule, delays, scheme, angles)

        def loss(k, run=run):
            theta = run(k)
            return (weights * jnp.sin(theta)).sum(), theta

        slope = jax.jit(jax.value_and_grad(loss, has_aux=True))(0.4)
        results[angles] = slope[0][1], slope[1]
    (theta, slope), (grown, wanted) = results["wrap"], results["grow"]
    assert (np.abs(theta) <= np.pi + 1e-15).all()
    assert np.abs(grown).max() > 20
    assert_close(on_circle(theta), on_circle(grown), ulps=2**12)
    assert_close(slope, wanted, ulps=2**16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrapped_angle_is_the_remainder_and_its_slope_is_one(dtype):
    angle = np.linspace(-60, 60, 4001).astype(dtype)
    eps = np.finfo(dtype).eps
    got = np.asarray(jax.jit(jax.vmap(wrapped))(angle), "float64")
    exact = np.mod(angle.astype("longdouble") + np.pi, 2 * np.longdouble(np.pi)) - np.pi
    off = np.abs(np.exp(1j * got) - np.exp(1j * exact.astype("float64")))
    assert off.max() < 4 * max(eps, 1e-15)
    assert (got >= -np.pi - 4 * eps).all()
    assert (got < np.pi + 4 * eps).all()
    assert wrapped(jnp.asarray(np.pi, "float32")) < 0
    slope = jax.vmap(jax.grad(wrapped))(angle)
    assert (slope == 1).all()
    assert np.isnan(wrapped(jnp.asarray(jnp.nan)))


def test_starts_and_histories_may_lie_many_turns_out():
    for rule, delays in (("Kuramoto", "whole"), ("edge", "whole"), ("Kuramoto", "none")):
        run = build(rule, delays, "heun", "wrap")
        start = jnp.linspace(-2.0, 3.0, N)
        far = start + 2 * np.pi * jnp.array([30.0, -7.0, 0.0, 2.0])
        # At 190 rad the numbers of float64 are 2.8e-14 apart, and the phases drift apart.
        got, wanted = (on_circle(run(0.4, x, steps=40)) for x in (far, start))
        assert_close(got, wanted, ulps=2**16)


def uncoupled(theta, step=0, dt=0.1, **options):
    """Return a network of four frequencies in float32, its state at a step, and its parameters."""
    net = cf.Network(cf.nodes.kuramoto, dt, **options)
    coupling = cf.KuramotoCoupling(jnp.zeros((4, 4), "float32"))
    params = cf.Params(cf.nodes.KuramotoParams(OMEGA), coupling)
    state = net.init(cf.nodes.KuramotoState(jnp.asarray(theta, "float32")), params)
    return net, state._replace(step=jnp.int32(step)), params


def frequencies(theta, spacing):
    """Return the mean frequency of each region [Hz], of samples `spacing` ms apart."""
    theta = np.unwrap(np.asarray(theta, "float64"), axis=0)
    return (theta[-1] - theta[0]) / (2 * np.pi) / (len(theta) - 1) / spacing * 1000


def coherence(theta):
    """Return the phase locking of 9.8 and 10.05 Hz."""
    apart = np.asarray(theta, "float64")
    return np.abs(np.exp(1j * (apart[:, 0] - apart[:, 2])).mean())


def test_phases_in_float32_keep_their_frequency_late_in_a_run():
    """At phases of 15 000 rad, as after four minutes, unwrapped ones run at 9.3 Hz and lock."""
    states = {}
    for angles in ("wrap", "grow"):
        net, state, params = uncoupled(np.full(4, 1.5e4), 2_400_000, angles=angles)
        states[angles] = cf.simulate(net, state, params, 120_000, record="theta", every=20)[1]
    np.testing.assert_allclose(frequencies(states["wrap"], 2.0), HERTZ, rtol=1e-3)
    assert states["wrap"].dtype == "float32"
    assert abs(frequencies(states["grow"], 2.0)[0] / HERTZ[0] - 1) > 0.02
    # In 12 s they drift apart by three turns, and lock where they grow.
    assert coherence(states["wrap"]) < 0.1
    assert coherence(states["grow"]) > 0.99


@pytest.mark.thorough
def test_ten_minutes_of_phases_in_float32():
    net, state, params = uncoupled(np.zeros(4))
    last, theta = cf.simulate(net, state, params, 6_000_000, record="theta", every=100)
    assert last.step == 6_000_000
    for first in range(0, 60_000, 12_000):
        np.testing.assert_allclose(frequencies(theta[first : first + 12_000], 10), HERTZ, rtol=1e-3)
    assert coherence(theta[-12_000:]) < 0.02


def test_a_node_of_ones_own_says_which_states_are_angles():
    @cf.nodes.node(states=["v", "phi"], inputs=["v"], angles=["phi"])
    def rotor(state, inputs, params):
        rate = params["rate"] + 0.1 * jnp.sin(state["phi"])
        return {"v": jnp.ones_like(state["v"]), "phi": rate}

    params = cf.Params({"rate": jnp.asarray(0.9)}, cf.AdditiveCoupling(np.zeros((N, N))))
    net = cf.Network(rotor, 0.5)
    state = net.init({"v": jnp.zeros(N), "phi": jnp.zeros(N)}, params)
    x = cf.simulate(net, state, params, 100)[1]
    assert (np.abs(x["phi"]) <= np.pi).all()
    assert x["v"][-1, 0] == 50
    assert np.unwrap(x["phi"], axis=0)[-1, 0] > 40
    assert cf.nodes.hopf.angles == () and cf.nodes.xy.angles == ("theta",)
    assert cf.Network(cf.nodes.xy, 0.1).angles == ("theta",)
    assert cf.Network(cf.nodes.hopf, 0.1).angles == ()


def test_networks_without_angles_get_no_operation():
    def program(node, state, params, **options):
        net = cf.Network(node, 0.1, **options)
        params = cf.Params(params, cf.KuramotoCoupling(CONN))
        return str(jax.make_jaxpr(net)(net.init(state, params), params))

    phases = cf.nodes.KuramotoState(jnp.zeros(N)), cf.nodes.KuramotoParams()
    assert "floor" in program(cf.nodes.kuramoto, *phases)
    assert "floor" not in program(cf.nodes.kuramoto, *phases, angles="grow")
    line = cf.nodes.LinearState(jnp.zeros(N)), cf.nodes.LinearParams()
    assert "floor" not in program(cf.nodes.linear, *line)


def linear_start(rule=cf.DiffusiveCoupling, jit=False, **options):
    net = cf.Network(cf.nodes.kuramoto, 0.1, **options)
    start = cf.nodes.KuramotoState(jnp.zeros(N))

    def init(theta):
        params = cf.Params(cf.nodes.KuramotoParams(), rule(CONN))
        return net.init(cf.nodes.KuramotoState(theta), params)

    return (jax.jit(init) if jit else init)(start.theta)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (linear_start, "The coupling 'coupling' takes the angle theta as a number"),
        (lambda: linear_start(cf.AdditiveCoupling), "takes the angle theta as a number"),
        (
            lambda: linear_start(lambda c: cf.EdgeCoupling(lambda s, t: s - t, c)),
            r'let angles grow: `cf\.Network\(\.\.\., angles="grow"\)`',
        ),
        (
            lambda: linear_start(
                lambda c: cf.EdgeCoupling(lambda s, t: jnp.sin(s - t), c),
                couplings=cf.Wire(lambda s: s.theta, into="theta", target="theta"),
                lags=3,
                scheme="rk4",
            ),
            "reads a function of the angle theta between steps",
        ),
        (
            lambda: cf.Network(cf.nodes.hopf, 0.1, angles="grow"),
            '`angles="grow"`: the node hopf has no state that is an angle',
        ),
        (
            lambda: cf.Network(cf.nodes.xy, 0.1, angles=True),
            "`angles` must be one of 'wrap', 'grow'",
        ),
        (
            lambda: cf.Network(cf.nodes.xy, 0.1, bounds={"theta": (0, 1)}),
            "`bounds` of 'theta': it is an angle",
        ),
        (
            lambda: cf.nodes.node(states=["x"], inputs=[], angles=["y"]),
            r"There is no state \(in `angles`\) 'y'",
        ),
    ],
)
def test_what_does_not_go_with_wrapped_angles_is_refused(wrong, message):
    with refuses(message):
        wrong()


def test_rules_that_take_angles_as_numbers_have_angles_that_grow():
    state = linear_start(angles="grow")
    assert state.node.theta.shape == (N,)
    linear_start(cf.KuramotoCoupling, jit=True)  # with a connection that is known, inside jit
    linear_start(cf.KuramotoCoupling, lags=3, couplings=cf.Wire(lambda s: 2 * s.theta, "theta"))
