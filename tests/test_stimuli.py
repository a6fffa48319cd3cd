"""Stimuli against their formulas, and in runs with and without delays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from jax.test_util import check_grads
from strategies import directed

import coupling_fn as cf

N = 3
PATTERN = np.array([1.0, 0.0, -0.5])
DATA = np.array([[1.0, -1.0, 2.0], [3.0, 0.5, 2.0], [2.0, 0.0, -4.0]])


def smooth(u):
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


def sampled(t):
    place = (t - 3.0) / 10.0
    if not 0 <= place <= 2:
        return np.zeros(N)
    return np.array([np.interp(place, [0, 1, 2], column) for column in DATA.T])


def train(t, period=8.0, width=2.5, rise=None, count=3):
    total = 0.0
    for n in range(count):
        begin = 4.0 + n * period
        if rise is None:
            total += begin <= t < begin + width
        else:
            total += smooth((t - begin) / rise) - smooth((t - begin - width) / rise)
    return total


# A stimulus, and its f(t) by hand; 1.5 and the pattern multiply both.
CASES = {
    "constant": (cf.stimuli.Constant(1.5, PATTERN), lambda t: 1.0),
    "step": (cf.stimuli.Step(1.5, 4.0, pattern=PATTERN), lambda t: float(t >= 4)),
    "pulse": (cf.stimuli.Step(1.5, 4.0, 9.0, pattern=PATTERN), lambda t: float(4 <= t < 13)),
    "smooth pulse": (
        cf.stimuli.Step(1.5, 4.0, 9.0, rise=2.0, pattern=PATTERN),
        lambda t: smooth((t - 4) / 2) - smooth((t - 13) / 2),
    ),
    "train": (cf.stimuli.PulseTrain(1.5, 4.0, 8.0, 2.5, count=3, pattern=PATTERN), train),
    "smooth train": (
        cf.stimuli.PulseTrain(1.5, 4.0, 8.0, 2.5, count=3, rise=1.5, pattern=PATTERN),
        lambda t: train(t, rise=1.5),
    ),
    "sine": (
        cf.stimuli.Sine(1.5, 40.0, phase=0.3, pattern=PATTERN),
        lambda t: np.sin(2 * np.pi * 0.04 * t + 0.3),
    ),
    "ramp": (
        cf.stimuli.Ramp(1.5, 4.0, 20.0, pattern=PATTERN),
        lambda t: min(max((t - 4) / 20, 0), 1),
    ),
    "data": (cf.stimuli.Sampled(DATA, 10.0, 1.5, onset=3.0, pattern=PATTERN), sampled),
}
SMOOTH = {
    "sine": CASES["sine"][0],
    "step": CASES["smooth pulse"][0],
    "train": CASES["smooth train"][0],
    "ramp": CASES["ramp"][0],
    "data": CASES["data"][0],
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", CASES)
def test_a_stimulus_is_its_formula(name):
    stimulus, course = CASES[name]
    times = np.array([0.0, 3.0, 4.0, 5.2, 6.5, 12.0, 13.0, 14.5, 22.0, 23.0, 28.0, 40.0])
    wanted = np.stack([1.5 * PATTERN * course(t) for t in times])
    got = jax.jit(jax.vmap(lambda t: stimulus(t)))(times)
    assert_close(got, wanted, ulps=64, scale=4.0)
    assert_close(stimulus(5.2), wanted[3], ulps=64, scale=4.0)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", CASES)
def test_a_stimulus_keeps_float32(name):
    stimulus = jax.tree.map(lambda x: x.astype("float32"), CASES[name][0])
    assert stimulus(jnp.float32(5.2)).dtype == "float32"
    assert_close(stimulus(jnp.float32(5.2)), CASES[name][0](5.2).astype("float32"), ulps=64)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", SMOOTH)
def test_every_number_of_a_smooth_stimulus_has_its_gradient(name):
    """At times between the kinks, one of them within a rise."""

    def values(stimulus):
        return jnp.stack([stimulus(t) for t in (5.2, 7.1, 13.3, 21.6)])

    check_grads(jax.jit(values), (SMOOTH[name],), order=1, modes=("fwd", "rev"), atol=1e-6)
    slopes = jax.grad(lambda s: (values(s) @ jnp.array([1.0, 2.0, 3.0])).sum())(SMOOTH[name])
    zero = [x for x in jax.tree.leaves(slopes) if not x.any()]
    assert len(zero) == (name == "train")  # the number of pulses in a train has no gradient


def test_a_hard_edge_has_no_gradient_and_says_so():
    slope = jax.grad(lambda onset: cf.stimuli.Step(2.0, onset)(4.1))(4.0)
    assert slope == 0
    assert "no gradient" in cf.stimuli.Step.__doc__


def test_an_edge_on_a_step_is_at_that_step_however_it_rounds():
    for dt in (0.1, 0.3, 0.7):
        for dtype in ("float32", "float64"):
            t = jnp.arange(200).astype(dtype) * dt
            for n in (3, 7, 51):
                step = jax.vmap(cf.stimuli.Step(1.0, onset=n * 10 * dt / 10, duration=9 * dt))(t)
                assert np.flatnonzero(step).tolist() == list(range(n, n + 9))
            train = cf.stimuli.PulseTrain(1.0, 3 * dt, period=10 * dt, width=4 * dt)
            assert [n for n in range(200) if n >= 3 and (n - 3) % 10 < 4] == np.flatnonzero(
                jax.vmap(train)(t)
            ).tolist()


def test_data_may_hold_its_ends_and_its_samples():
    data = cf.stimuli.Sampled(DATA, 10.0, onset=3.0, interpolate="previous", outside="hold")
    for t, row in ((0.0, 0), (12.9, 0), (13.0, 1), (23.0, 2), (99.0, 2)):
        assert data(t).tolist() == DATA[row].tolist()


def test_sums_are_flat_and_take_any_function():
    a, b = cf.stimuli.Constant(1.0), cf.stimuli.Sine(2.0)
    total = a + b + (lambda t: t) + (a + b)
    assert len(total.parts) == 5
    assert_close(total(0.3), 2 * (a(0.3) + b(0.3)) + 0.3, ulps=4)
    with pytest.raises(TypeError):
        a + 1.0


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", [np.arange(9).reshape(3, 3) + 6, None])
def test_stimuli_in_a_run(lags):
    """x' = input: the run adds up the stimulus, and its gradient; the steps are those by hand."""
    stimulus = CASES["smooth pulse"][0] + CASES["sine"][0] + CASES["data"][0]
    net = cf.Network(cf.nodes.linear, 0.5, lags=lags, scheme="euler")

    def run(stimulus):
        coupling = cf.AdditiveCoupling(0 * directed(N, N))
        params = cf.Params(cf.nodes.LinearParams(a=0.0), coupling, external={"x": stimulus})
        state = net.init(cf.nodes.LinearState(jnp.zeros(N)), params)
        return cf.simulate(net, state, params, 70, record="x")[1]

    def by_hand(stimulus):
        return 0.5 * jnp.cumsum(jax.vmap(stimulus)(0.5 * jnp.arange(70.0)), axis=0)

    weights = jnp.cos(jnp.arange(70.0 * N)).reshape(70, N)
    got, wanted = (
        jax.jit(jax.value_and_grad(lambda s, f=f: (weights * f(s)).sum()))(stimulus)
        for f in (run, by_hand)
    )
    assert_close(got[0], wanted[0], ulps=4096)
    assert_close(got[1], wanted[1], ulps=2**14, scale=100.0)
    assert all(x.any() for x in jax.tree.leaves(got[1]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: cf.stimuli.Step(1.0, 0.0, duration=-1.0), "`duration` must be positive"),
        (lambda: cf.stimuli.Step(1.0, 0.0, rise=0.0), "`rise` must be positive .*hard edge"),
        (lambda: cf.stimuli.Step(1.0, 0.0, 2.0, rise=3.0), "not be longer than `duration`"),
        (lambda: cf.stimuli.PulseTrain(period=0.0), "`period` must be positive"),
        (lambda: cf.stimuli.PulseTrain(period=9.0, width=10.0), "must fit into `period`"),
        (lambda: cf.stimuli.Ramp(duration=0.0), "`duration` must be positive"),
        (lambda: cf.stimuli.Sampled([1.0]), "two samples or more"),
        (lambda: cf.stimuli.Sampled([1.0, np.nan]), "`values` must be finite; at 1 it is nan"),
        (lambda: cf.stimuli.Sampled([1.0, 2.0], interpolate="cubic"), "'linear', 'previous'"),
    ],
)
def test_wrong_stimuli_are_refused(wrong, message):
    with refuses(message):
        wrong()


def test_a_stimulus_of_another_size_is_refused():
    net = cf.Network(cf.nodes.linear, 0.5)
    stimulus = cf.stimuli.Constant(1.0, pattern=jnp.ones(1))  # a shape that would broadcast
    params = cf.Params(
        cf.nodes.LinearParams(), cf.AdditiveCoupling(np.eye(3)), external={"x": stimulus}
    )
    with refuses(r"`external` on `x` must have shape \(\) or \(3,\), not \(1,\)"):
        net(net.init(cf.nodes.LinearState(jnp.ones(3)), params), params)
