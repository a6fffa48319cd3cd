"""Clocks: times stay exact for hours of float32, counts end in words, and states know their dt."""

import warnings
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf
from coupling_fn._simulate import _clock
from coupling_fn.stimuli._time import time_of_step

LATE = 36_000_000  # an hour in steps of 0.1 ms, where numbers of float32 are 0.25 ms apart
LAST = 2**31 - 1
STEPS = np.array([0, 1, 7, 4095, 4096, 6_000_000, LATE, LATE + 1, 2**30 + 12_345, LAST], "int32")


def exact(time):
    """Return a time as fractions of ms."""
    return [Fraction(float(a)) + Fraction(float(b)) for a, b in zip(*time[:2], strict=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("dt", [0.1, 1 / 3, 0.5, 0.0078125])
def test_the_time_of_a_step_is_the_product_of_both(dt, dtype):
    steps = STEPS if dtype != "float16" else STEPS[:4]  # it ends at 65504
    for at in (0.0, 0.5, 1.0):
        time = jax.jit(jax.vmap(lambda n, at=at: time_of_step(n, dt, at, dtype)))(steps)
        assert time.ms.dtype == dtype
        eps = Fraction(float(jnp.finfo(dtype).eps))
        for n, got, ms in zip(steps, exact(time), time.ms, strict=True):
            wanted = (int(n) + Fraction(at)) * Fraction(dt)
            assert abs(got - wanted) <= eps**2 * wanted * 4 + Fraction(float(eps) ** 1.5 * dt / 2)
            assert abs(Fraction(float(ms)) - wanted) <= eps * wanted / 2


def late(stimulus):
    """Return a stimulus in float32 as a function of the number of a step of 0.1 ms."""
    stimulus = jax.tree.map(lambda x: jnp.asarray(x, "float32"), stimulus)
    return jax.jit(jax.vmap(lambda n: stimulus(time_of_step(n, 0.1, 0.0, "float32"))))


def judged(x):
    """Return a float32 as the number that it is."""
    return float(np.float32(x))


@pytest.mark.parametrize("first", [0, LATE, 10 * LATE])
def test_a_sine_keeps_its_frequency_and_phase(first):
    n = np.arange(first, first + 2000, dtype="int32")
    for frequency in (40.0, 9.8):
        got = late(cf.stimuli.Sine(1.0, frequency, phase=0.3))(n)
        cycles = [float(Fraction(judged(frequency)) * int(i) * Fraction(0.1) / 1000 % 1) for i in n]
        np.testing.assert_allclose(got, np.sin(2 * np.pi * np.array(cycles) + 0.3), atol=3e-6)


@pytest.mark.parametrize("first", [0, 6_000_000, LATE])
def test_pulses_begin_and_end_at_their_steps(first):
    """To within the step for onsets that float32 rounds, by up to 0.125 ms after an hour."""
    n = np.arange(first, first + 4000, dtype="int32")
    onset = 0.1 * (first + 1000)
    step = np.flatnonzero(late(cf.stimuli.Step(1.0, onset, duration=50.0))(n))
    rounded = abs(judged(onset) - onset) / 0.1
    assert abs(step[0] - 1000) <= np.ceil(rounded)
    assert len(step) in (500, 501)
    train = cf.stimuli.PulseTrain(1.0, onset, period=40.0, width=10.0, count=5)
    on = np.asarray(late(train)(n))
    starts = np.flatnonzero(np.diff(on) > 0) + 1
    assert len(starts) == 5
    assert (np.diff(starts) == 400).all()
    assert abs(starts[0] - step[0]) <= 1
    assert abs(on.sum() - 500) <= 5


def test_a_train_of_hours_keeps_its_period():
    """The pulse number 4e5 is where the period, as a float32, puts it."""
    period = 1000 / 7
    n = np.arange(LATE, LATE + 3000, dtype="int32")
    on = np.asarray(late(cf.stimuli.PulseTrain(1.0, 3.0, period=period, width=20.0))(n))
    times = [(int(i) * Fraction(0.1) - 3) % Fraction(judged(period)) for i in n]
    wanted = np.array([t < 20 for t in times])
    assert np.count_nonzero(on != wanted) <= 4  # one step per edge
    assert 0.1 < wanted.mean() < 0.2


def test_data_are_read_at_their_samples_after_hours():
    values = np.sin(np.arange(40_000) / 9)
    onset = 0.1 * LATE - 30_000.0
    n = np.arange(LATE, LATE + 1000, dtype="int32")
    place = 30_000 + 0.1 * np.arange(1000)
    got = late(cf.stimuli.Sampled(values, dt=1.0, onset=onset))(n)
    wanted = np.interp(place - (judged(onset) - onset), np.arange(40_000), values)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("first", [100, LATE])
def test_gradients_at_late_times_are_those_of_the_formula(first):
    t = float(first * Fraction(0.1))
    time = time_of_step(jnp.int32(first), 0.1, 0.0, "float32")

    def slopes(value, *at):
        return jax.grad(value, argnums=tuple(range(len(at))))(*map(jnp.float32, at))

    frequency, phase = slopes(lambda f, p: cf.stimuli.Sine(1.0, f, p)(time), 40.0, 0.3)
    angle = 2 * np.pi * float(40 * Fraction(0.1) * first / 1000 % 1) + 0.3
    assert phase == pytest.approx(np.cos(angle), abs=1e-4)
    assert frequency == pytest.approx(2 * np.pi * t / 1000 * np.cos(angle), rel=1e-4, abs=1e-3)
    onset, rise = slopes(lambda o, r: cf.stimuli.Step(1.0, o, rise=r)(time), t - 2, 8.0)
    u = (t - judged(t - 2)) / 8
    assert onset == pytest.approx(-6 * u * (1 - u) / 8, rel=1e-3)
    assert rise == pytest.approx(-6 * u * (1 - u) * u / 8, rel=1e-3)

    def train(onset, period):
        return cf.stimuli.PulseTrain(1.0, onset, period, width=5.0, rise=3.0)(time)

    first_pulse = t - 20.0 * (t // 20.0) - 1.3  # so that the last one is 1.3 ms old
    slope_of_onset, slope_of_period = slopes(train, first_pulse, 20.0)
    passed = (t - judged(first_pulse)) % 20.0
    number = (t - judged(first_pulse)) // 20.0

    def by_hand(u):
        return 6 * u * (1 - u) / 3 if 0 < u < 1 else 0.0

    slope = by_hand(passed / 3) - by_hand((passed - 5) / 3)
    assert abs(slope) > 0.3
    assert slope_of_onset == pytest.approx(-slope, rel=1e-3)
    assert slope_of_period == pytest.approx(-slope * number, rel=1e-3)


def net_of(stimulus, dt=0.1, lags=None, step=0, **options):
    """Return a network that adds up its input in float32, its state at a step, and its parameters."""
    net = cf.Network(cf.nodes.linear, dt, lags=lags, scheme="euler", **options)
    coupling = cf.AdditiveCoupling(jnp.zeros((2, 2), "float32"))
    stimulus = jax.tree.map(lambda x: jnp.asarray(x, "float32"), stimulus)
    params = cf.Params(
        cf.nodes.LinearParams(a=jnp.float32(0.0)), coupling, external={"x": stimulus}
    )
    state = net.init(cf.nodes.LinearState(jnp.zeros(2, "float32")), params)
    return net, state._replace(step=jnp.int32(step)), params


@pytest.mark.parametrize("lags", [None, 12])
def test_a_run_after_an_hour_sees_its_stimuli(lags):
    """x' = u: a sine whose phase is read off, and a pulse, on both roads of `simulate`."""
    sine = cf.stimuli.Sine(1.0, 40.0)
    net, state, params = net_of(sine, lags=lags, step=LATE)
    x = np.diff(cf.simulate(net, state, params, 1000, record="x")[1][:, 0]) / 0.1
    wanted = np.sin(2 * np.pi * 40e-3 * 0.1 * np.arange(1, 1000))  # an hour holds whole cycles
    np.testing.assert_allclose(x, wanted, atol=2e-4)
    pulse = cf.stimuli.Step(1.0, onset=3_600_020.0, duration=5.0)
    net, state, params = net_of(pulse, lags=lags, step=LATE)
    x = cf.simulate(net, state, params, 400, record="x")[1][:, 0]
    assert np.flatnonzero(np.diff(x)).tolist() == list(range(199, 249))


def test_functions_of_time_are_given_ms_and_stimuli_the_time():
    seen = []

    class Plain(cf.stimuli.Stimulus):
        amplitude: jax.Array
        pattern: jax.Array | None = None

        def course(self, t):
            seen.append(type(t))
            return jnp.ones_like(t)

    class Exact(Plain):
        exact_time = True

        def course(self, t):
            seen.append(type(t))
            return cf.stimuli.Time.of(t).since(3_600_000.0).ms

    def plain(t):
        seen.append(type(t))
        return jnp.zeros_like(t)

    one = jnp.ones((), "float32")
    sine = jax.tree.map(lambda x: x.astype("float32"), cf.stimuli.Sine(1.0))
    both = sine + Plain(one) + plain + Exact(one)
    time = time_of_step(jnp.int32(LATE + 1), 0.1, 0.0, "float32")
    assert both(time) - sine(time) == pytest.approx(1.1, abs=1e-6)
    assert seen == [type(one), type(one), cf.stimuli.Time]
    assert [part.ends() for part in both.parts[:2]] == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("stimulus", "end"),
    [
        (cf.stimuli.Step(1.0, 4.0), np.inf),
        (cf.stimuli.Step(1.0, 4.0, 9.0, rise=2.0), 15.0),
        (cf.stimuli.PulseTrain(1.0, 4.0, 8.0, 2.5, count=3), 22.5),
        (cf.stimuli.PulseTrain(1.0, 4.0, 8.0, 2.5), np.inf),
        (cf.stimuli.Ramp(), np.inf),
        (cf.stimuli.Sampled([1.0, 2.0, 3.0], dt=5.0, onset=1.0), 11.0),
        (cf.stimuli.Sampled([1.0, 2.0], outside="hold"), np.inf),
    ],
)
def test_a_stimulus_knows_when_it_is_over(stimulus, end):
    assert stimulus.ends() == end
    if end < np.inf:
        assert stimulus(end - 0.5) != 0
        assert stimulus(end + 1e-6) == 0


# --- input that is over before a run begins ---


PULSE = cf.stimuli.Step(1.0, onset=100.0, duration=5.0)


def test_a_pulse_that_lies_in_the_past_is_warned_of():
    net, state, params = net_of(cf.stimuli.Constant(1.0) + PULSE, dt=1.0, step=2000)
    with pytest.warns(
        UserWarning, match=r"`x\.parts\.1`: its Step is over at 105 ms, .*restart_clock"
    ):
        cf.simulate(net, state, params, 300)
    restarted = net.restart_clock(state)
    x = cf.simulate(net, restarted, params, 300, record="x")[1][:, 0]
    assert x[-1] - x[0] == 299 + 5
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(3):
            state, _ = cf.simulate(net, state, params, 10)
    # Python shows equal words once for a line, so that a run in many parts is warned of once.
    assert len(seen) == 3
    assert len({str(warning.message) for warning in seen}) == 1


def test_the_warning_waits_for_a_warm_up_that_is_still_running(monkeypatch):
    monkeypatch.setattr(_clock, "_is_there", lambda step: False)
    net, state, params = net_of(PULSE, dt=1.0, step=2000)
    with pytest.warns(UserWarning, match="is over at 105 ms"):
        cf.simulate(net, state, params, 3)
    # Without input that ends, nobody waits: a count that is too far is then seen by the run itself.
    net, state, params = net_of(cf.stimuli.Constant(1.0), step=LAST)
    assert np.isnan(cf.simulate(net, state, params, 1, record="x")[1]).all()


def test_nothing_is_said_of_input_that_is_not_over():
    for stimulus, step in ((PULSE, 104), (cf.stimuli.Sine(1.0), 2000), (PULSE, 0)):
        net, state, params = net_of(stimulus, dt=1.0, step=step)
        cf.simulate(net, state, params, 3)
    net, state, params = net_of(PULSE, dt=1.0, step=2000)
    jax.jit(lambda state: cf.simulate(net, state, params, 3))(state)  # a traced clock is not known


# --- counts ---


@pytest.mark.parametrize("lags", [None, 12])
def test_a_count_that_would_overflow_is_refused(lags):
    net, state, params = net_of(cf.stimuli.Constant(1.0), lags=lags, step=LAST - 20)
    last, _ = cf.simulate(net, state, params, 20)
    assert last.step == LAST
    with refuses(
        r"`state\.step` is 2147483627, and 21 more .*`state = net\.restart_clock\(state\)`"
    ):
        cf.simulate(net, state, params, 21)
    run = jax.jit(
        lambda state, steps: cf.simulate(net, state, params, steps)[1].x, static_argnums=1
    )
    assert np.isfinite(run(state, 20)).all()
    assert np.isnan(run(state, 21)).all()  # a traced count: there is no error to raise
    assert np.isfinite(net(state, params).node.x).all()
    assert np.isnan(net(last, params).node.x).all()  # one step in a loop of the user's
    again, _ = cf.simulate(net, net.restart_clock(last), params, 5)
    assert again.step == 5
    with refuses("`steps` must be at most 2147483647"):
        cf.simulate(net, state, params, 2**31)


def test_noise_at_finer_steps_is_counted_too():
    net, state, params = net_of(cf.stimuli.Constant(1.0), noise_step=0.01, step=LAST // 10 - 5)
    cf.simulate(net, state, params, 5)
    with refuses("6 more steps pass 214748364"):
        cf.simulate(net, state, params, 6)


def test_a_restarted_clock_draws_other_noise():
    net = cf.Network(cf.nodes.linear, 0.1)
    noise = {"x": cf.noise.OrnsteinUhlenbeck(0.1)}
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(np.zeros((3, 3))), noise=noise)
    for key in (jax.random.key(1), jax.random.PRNGKey(1)):
        start = net.init(cf.nodes.LinearState(jnp.zeros(3)), params, key=key)
        warm, first = cf.simulate(net, start, params, 50, record="x")
        again = net.restart_clock(warm)
        assert again.step == 0
        assert again.node.x is warm.node.x and again.noise is warm.noise
        _, second = cf.simulate(net, again, params, 50, record="x")
        steps = [np.diff(x, axis=0).ravel() for x in (first, second)]
        assert abs(np.corrcoef(*steps)[0, 1]) < 0.6
        assert_close(second, cf.simulate(net, net.restart_clock(warm), params, 50, record="x")[1])


# --- states of another dt ---


@pytest.mark.parametrize("lags", [None, 3, 12])
def test_a_state_of_another_dt_is_refused(lags):
    coarse, state, params = net_of(cf.stimuli.Constant(1.0), dt=0.5, lags=lags)
    fine, wanted, _ = net_of(cf.stimuli.Constant(1.0), dt=0.25, lags=lags)
    words = r"in steps of 0\.5 ms; this network has dt = 0\.25 ms.*net\.init\(state\.node, params\)"
    for use in (
        lambda: cf.simulate(fine, state, params, 4),
        lambda: fine(state, params),
        lambda: fine.restart_clock(state),
        lambda: jax.jit(lambda state: cf.simulate(fine, state, params, 4))(state),
    ):
        with refuses(words):
            use()
    assert state.dt.ms == 0.5
    assert jax.tree.structure(state) != jax.tree.structure(wanted)
    same = cf.Network(cf.nodes.linear, 5 * 0.1, lags=lags, scheme="heun")
    assert cf.simulate(same, cf.simulate(coarse, state, params, 2)[0], params, 2)[0].step == 4
