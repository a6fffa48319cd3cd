"""What is measured while a run goes on, against the same of its record, and against plain loops."""

import math
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf
from coupling_fn._simulate import _timing

N, DT, STEPS, WARM = 3, 0.5, 360, 120
CONN = directed(N, N, seed=4)
RNG = np.random.default_rng(1)
LAGS = {
    "blocked": RNG.integers(5, 21, (N, N)),
    "none": None,
    "mixed": np.where(np.eye(N, dtype=bool), RNG.integers(0, 4, (N, N)), 20),
}
X0 = cf.nodes.HopfState(jnp.linspace(-0.4, 0.7, N), jnp.linspace(0.5, 0.1, N))
LEAD = RNG.normal(size=(4, N))
gamma = lambda t: cf.observe.gamma_kernel(t, tau=11.0)  # as long as the runs of these tests


class Peak(cf.observe.Measurement):
    """A measurement of one's own: the largest of what is read of each region in a period."""

    def init(self, reading):
        return jnp.full_like(reading, -jnp.inf)

    def step(self, state, readings, dt):
        return jnp.maximum(state, readings.max(axis=0))

    def sample(self, state):
        return jnp.full_like(state, -jnp.inf), state


def all_measures():
    """Return one of each, with periods that do not divide each other."""
    kernel = {"kernel": gamma, "length": 110.0, "resolution": 1.0}
    return {
        "balloon": cf.observe.BalloonBold("x", 60.0, rest=0.1, scale=50.0, resolution=1.0),
        "kernel": cf.observe.KernelBold("x", 60.0, scale=2.0, **kernel),
        "eeg": cf.observe.Sensors("input.x", 1.5, lead_field=LEAD, reference="average"),
        "mean": cf.observe.Averaged(("x", "input.x"), 20.0),
        "grand mean": cf.observe.Averaged("y"),
        "moments": cf.observe.RunningMoments("x"),
        "windows": cf.observe.RunningMoments("x", 30.0),
        "sampled": cf.observe.Sampled(lambda s: s.node.x - s.node.y, 4.0),
        "peak": Peak("y", 12.0),
    }


def wanted_of(record, steps=STEPS, warm=WARM):
    """Compute all of them from the whole record, mostly in plain loops of NumPy."""
    x, y, arrives = (np.asarray(record[name], float) for name in ("x", "y", "input.x"))

    def means(z, period):
        size = round(period / DT)
        return np.array([z[i : i + size].mean(0) for i in range(warm, steps, size)])

    part = round(1.0 / DT)
    parts = np.array([x[i : i + part].mean(0) for i in range(0, steps, part)])
    _, balloon = cf.observe.bold_from_balloon(50.0 * (parts - 0.1), 1.0, 60.0)
    _, kernel = cf.observe.bold_from_kernel(2.0 * parts, gamma, 1.0, 60.0, length=110.0)
    left_out = round(warm * DT / 60.0)
    size = round(30.0 / DT)
    return {
        "balloon": np.asarray(balloon)[left_out:],
        "kernel": np.asarray(kernel)[left_out:],
        "eeg": means(arrives, 1.5) @ (LEAD - LEAD.mean(0)).T,
        "mean": {"x": means(x, 20.0), "input.x": means(arrives, 20.0)},
        "grand mean": y[warm:].mean(0),
        "moments": np.cov(x[warm:].T, bias=True),
        "windows": np.array(
            [np.cov(x[i : i + size].T, bias=True) for i in range(warm, steps, size)]
        ),
        "sampled": (x - y)[warm:][7::8],
        "peak": np.array([y[i : i + 24].max(0) for i in range(warm, steps, 24)]),
    }


def compared(samples):
    """Return samples with the covariances of moments in their place."""
    covariance = lambda m: m.comoment / np.asarray(m.count, float)[..., None, None]
    return samples | {name: covariance(samples[name]) for name in ("moments", "windows")}


def started(lags, dtype=float, scheme="heun", **given):
    net = cf.Network(cf.nodes.hopf, DT, lags=LAGS[lags], scheme=scheme)
    x0, conn = jax.tree.map(lambda x: jnp.asarray(x, dtype), (X0, CONN))
    params = cf.Params(
        cf.nodes.HopfParams(a=-0.2, omega=0.7), cf.DiffusiveCoupling(conn, 0.8), **given
    )
    return net, net.init(x0, params, key=jax.random.key(2)), params


@pytest.fixture
def short_segments(monkeypatch):
    """Cut these short runs as long ones are cut: 360 steps into segments of 72 or fewer."""
    monkeypatch.setattr(_timing, "LEAST", 40)
    monkeypatch.setattr(_timing, "MOST", 80)
    monkeypatch.setattr(_timing, "SEGMENT", 64)
    jax.clear_caches()
    yield
    jax.clear_caches()


@pytest.mark.every(4)
@pytest.mark.parametrize("lags", LAGS)
def test_what_runs_along_is_what_the_record_gives(lags, short_segments):
    net, state, params = started(lags, noise=0.05, scheme="euler" if lags == "none" else "heun")
    _, record = cf.simulate(net, state, params, STEPS, record=("x", "y", "input.x"))
    wanted = wanted_of(record)
    assert np.abs(wanted["balloon"]).max() > 1e-5 and len(wanted["eeg"]) == 80
    last, samples = cf.simulate(
        net, state, params, STEPS, measure=all_measures(), warm_up=WARM, record=None
    )
    assert_close(compared(samples), wanted, ulps=2**13)
    assert last.state.step == STEPS and last.dt == DT
    early = wanted_of(record, warm=0)
    for name in (
        "mean",
        "grand mean",
        "moments",
        "sampled",
        "peak",
    ):  # else the warm-up is not seen
        a, b = (np.asarray(jax.tree.leaves(x[name])[0]) for x in (early, wanted))
        assert a.shape != b.shape or np.abs(a - b).max() > 1e-3
    # One reading later all is different, or the comparison would not see it.
    slipped = wanted_of({name: np.roll(x, 1, axis=0) for name, x in record.items()})
    for name in wanted:
        a, b = (np.asarray(jax.tree.leaves(x[name])[0]) for x in (slipped, wanted))
        assert np.abs(a - b).max() > 1e-6 * np.abs(b).max(), name
    # Halves, of which the second goes on: with the clock at 0, which changes nothing.
    half, first = cf.simulate(net, state, params, 240, measure=all_measures(), warm_up=WARM)
    still = eqx.tree_at(lambda m: m.state, half, net.restart_clock(half.state))
    assert eqx.tree_equal(still.measures, half.measures)
    end, second = cf.simulate(net, half, params, 120, measure=all_measures())
    whole = {"grand mean", "moments"}
    both = {
        name: second[name]
        if name in whole
        else jax.tree.map(lambda *x: jnp.concatenate(x), first[name], second[name])
        for name in samples
    }
    assert_close(compared(both), wanted, ulps=2**13)
    assert all((both[name] == samples[name]).all() for name in ("balloon", "kernel", "sampled"))
    assert_close(end.measures["balloon"], last.measures["balloon"], ulps=0)
    assert_close(end.state.node, last.state.node, ulps=0)


def test_segments_are_whole_and_few_samples_are_dropped():
    for steps, periods, unit in (
        (600_000, (720,), 1),
        (8330 * 720, (7200, 10), 10),
        (5_997_600, (7200, 10, None), 160),
        (20_000 * 300, (20_000,), 10),
        (4096, (64,), 1),
        (7919 * 3, (3,), 1),
    ):
        segment = _timing.segment_of(steps, periods, unit)
        assert segment % unit == 0 and segment <= max(_timing.MOST, unit)
        kept = sum(p / math.gcd(segment, p) for p in periods if p)
        assert kept <= 5 * len(periods)
    assert 5_997_600 % _timing.segment_of(5_997_600, (7200, 10, None), 160) == 0


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["none", "blocked"])
def test_gradients_with_checkpoint_are_those_of_differences(lags):
    net, state, params = started(lags)
    measure = {
        "bold": cf.observe.BalloonBold("x", 60.0),
        "fc": cf.observe.RunningMoments("x"),
        "peak": cf.observe.Averaged("y", 20.0),
    }

    def loss(k, scale, **options):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        seen = {**measure, "bold": eqx.tree_at(lambda m: m.scale, measure["bold"], scale)}
        _, out = cf.simulate(net, state, there, STEPS, measure=seen, warm_up=WARM, **options)
        fc = cf.observe.fc_from_moments(out["fc"])
        return ((1e4 * out["bold"]) ** 2).sum() + (fc**2).sum() + (out["peak"] ** 2).sum()

    at = jnp.asarray(0.3), jnp.asarray(30.0)
    slopes = jax.grad(lambda *x: loss(*x, checkpoint=120), (0, 1))(*at)
    for i, slope in enumerate(slopes):
        h = 1e-5 * float(at[i])
        moved = [tuple(x + s * h if i == j else x for j, x in enumerate(at)) for s in (1, -1)]
        up, down = (loss(*x) for x in moved)
        assert abs(slope * at[i]) > 1e-3
        np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-5)
    if lags == "none":  # the other modes compile for long
        return
    assert_close(jax.grad(loss, (0, 1))(*at), slopes, ulps=2**12)
    forward = jax.jvp(lambda k: loss(k, at[1], derivative="forward"), at[:1], (jnp.ones(()),))[1]
    np.testing.assert_allclose(forward, slopes[0], rtol=1e-8)


@pytest.mark.every(2)
@pytest.mark.parametrize("lags", ["blocked", "none"])
def test_a_sweep_of_measurements_is_each_alone(lags):
    net, state, params = started(lags, "float32", noise=0.05)
    measure = {name: all_measures()[name] for name in ("balloon", "eeg")}
    measure["eeg"] = eqx.tree_at(
        lambda m: m.lead_field, measure["eeg"], replace_fn=lambda x: x.astype("float32")
    )

    def run(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        return cf.simulate(net, state, there, 240, measure=measure)[1]

    ks = jnp.array([0.1, 0.8], "float32")
    swept = jax.jit(jax.vmap(run))(ks)
    assert swept["balloon"].dtype == swept["eeg"].dtype == jnp.float32
    first, second = swept["balloon"]
    assert np.abs(first - second).max() > 1e-2 * np.abs(first).max() > 1e-7
    for i, k in enumerate(ks):
        assert_close(jax.tree.map(lambda x, i=i: x[i], swept), run(k), ulps=2**8)


def test_a_step_of_ones_own_says_its_dt():
    step = lambda state, params: state + params
    measure = [cf.observe.Sampled(lambda x: x, 2.0), cf.observe.Averaged(lambda x: x)]
    last, (sampled, mean) = cf.simulate(step, jnp.zeros(2), 1.0, 12, measure=measure, dt=0.5)
    assert sampled[:, 0].tolist() == [4.0, 8.0, 12.0] and mean.tolist() == [6.5, 6.5]
    assert last.state.tolist() == [12.0, 12.0]
    with refuses("`dt` must say how long a step of your own `step` is"):
        cf.simulate(step, jnp.zeros(2), 1.0, 12, measure=measure)
    with refuses("measured at a dt of 0.5 ms, and this run has 0.25 ms"):
        cf.simulate(step, last, 1.0, 16, measure=measure, dt=0.25)
    with pytest.warns(UserWarning, match="`dt` is in ms, and 0.001 ms is shorter"):
        cf.simulate(step, jnp.zeros(2), 1.0, 4, measure=Peak(lambda x: x), dt=0.001)


def test_no_steps_begin_and_a_scan_of_ones_own_goes_on():
    net, state, params = started("blocked", noise=0.05)
    measure = {"bold": cf.observe.BalloonBold("x", 60.0), "mean": cf.observe.Averaged("y", 20.0)}
    begun, none = cf.simulate(net, state, params, 0, measure=measure)
    assert none["bold"].shape == none["mean"].shape == (0, N)
    assert np.isnan(cf.simulate(net, state, params, 0, measure=cf.observe.Averaged("x"))[1]).all()

    def part(carry, _):
        return cf.simulate(net, carry, params, 120, measure=measure)

    last, parts = jax.lax.scan(part, begun, None, length=3)
    whole, samples = cf.simulate(net, state, params, STEPS, measure=measure)
    assert_close(jax.tree.map(lambda x: x.reshape(-1, N), parts), samples, ulps=64)
    assert_close(last.measures, whole.measures, ulps=64)


def test_memory_does_not_grow_with_the_run_and_not_with_a_smaller_dt():
    def memory(dt, minutes, gradient=False):
        net = cf.Network(cf.nodes.hopf, dt, lags=np.full((N, N), round(10 / dt)))
        params = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(CONN, 0.8))
        state = net.init(X0, params)
        steps, bold = round(minutes * 60_000 / dt), cf.observe.BalloonBold("x", 2000.0)

        def run(k):
            there = eqx.tree_at(lambda p: p.coupling.k, params, k)
            options = {"checkpoint": 2000} if gradient else {}
            return cf.simulate(net, state, there, steps, measure=bold, **options)[1].sum()

        program = jax.jit(jax.grad(run) if gradient else run).lower(0.3).compile()
        return program.memory_analysis().temp_size_in_bytes

    short, long = memory(1.0, 1), memory(0.1, 10)
    assert long < 2 * short < 0.005 * 8 * N * 6_000_000
    assert memory(1.0, 10, gradient=True) < 0.2 * 8 * N * 600_000


def test_activity_that_is_too_strong_is_named():
    net, state, params = started("none")
    strong = cf.observe.BalloonBold(
        lambda s: s.node.x * 0 - jnp.arange(N) / 2, 60.0, resolution=1.0
    )
    steps = 20 * 120  # 1.2 s, in which the flow falls to 0 in region 2 alone
    measure = {"bold": eqx.tree_at(lambda m: m.scale, strong, jnp.asarray(2.0))}
    with pytest.raises(
        FloatingPointError, match=r"measure\['bold'\].* of region 2 .*too strong"
    ) as e:
        cf.simulate(net, state, params, 4 * steps, measure=measure)
    found = [float(x) for x in str(e.value).split("between ")[1].split(" ms")[0].split(" and ")]
    _, blood = jax.lax.scan(
        lambda s, _: (
            (cf.observe.balloon_step(s, -2.0 * jnp.ones(1), measure["bold"].params, 1.0),) * 2
        ),
        cf.observe.balloon_init(jnp.ones(1)),
        None,
        length=5000,
    )
    lost = 1 + int(np.isnan(np.asarray(blood.q)).argmax())
    assert found[0] < lost <= found[1] and found[1] - found[0] == 60.0
    samples = jax.jit(lambda s: cf.simulate(net, s, params, 4 * steps, measure=measure)[1])(state)
    assert np.isfinite(samples["bold"][:, 0]).all() and np.isnan(samples["bold"][-1, 2])
    wrong = cf.observe.BalloonBold(lambda s: jnp.log(s.node.x - 9), 60.0)
    with pytest.raises(FloatingPointError, match="what `of` reads is not finite"):
        cf.simulate(net, state, params, 120, measure=wrong)


def test_a_killed_run_goes_on_and_its_files_are_those_of_one_measure(tmp_path):
    net, state, params = started("blocked")
    options = {"warm_up": WARM, "save": tmp_path, "save_every": 120}
    measure = {name: all_measures()[name] for name in ("balloon", "moments", "peak")}
    plain = cf.simulate(net, state, params, STEPS, measure=measure, warm_up=WARM)
    whole = cf.simulate(net, state, params, STEPS, measure=measure, **options)
    assert_close(whole[1], jax.tree.map(np.asarray, plain[1]), ulps=2**8)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 3
    files[-1].unlink()
    again = cf.simulate(net, state, params, STEPS, measure=measure, **options)
    for mine, theirs in ((again[1], whole[1]), (again[0].measures, whole[0].measures)):
        both = zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True)
        assert all(np.array_equal(a, b) for a, b in both)
    other = {**measure, "peak": Peak("x", 12.0)}
    with refuses("holds another run"):
        cf.simulate(net, state, params, STEPS, measure=other, **options)
    with refuses("holds another run"):
        cf.simulate(net, state, params, STEPS, measure=measure, **{**options, "warm_up": 240})
    with refuses("`save_every` must be a multiple of each period of `measure`, 120, not 60"):
        cf.simulate(net, state, params, STEPS, measure=measure, **{**options, "save_every": 60})


def test_a_run_goes_on_from_a_file_with_the_same_bits(tmp_path):
    net, state, params = started("mixed", noise=0.05)
    measure = all_measures()
    half, _ = cf.simulate(net, state, params, 240, measure=measure, warm_up=WARM)
    cf.save_state(tmp_path / "half.npz", net, half)
    like, _ = cf.simulate(net, state, params, 0, measure=measure)
    read = cf.load_state(tmp_path / "half.npz", net, like=like)
    wanted, got = (cf.simulate(net, x, params, 120, measure=measure) for x in (half, read))
    assert jax.tree.structure(wanted) == jax.tree.structure(got)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        a, b = (jax.random.key_data(x) if x.dtype == state.key.dtype else x for x in (a, b))
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    anew = cf.simulate(net, half.state, params, 120, measure=measure)[1]
    assert np.abs(anew["kernel"] - got[1]["kernel"]).max() > 1e-6  # the past was in the file
    with refuses("the whole is Measured in the file, and State in `like`"):
        cf.load_state(tmp_path / "half.npz", net, like=state)
    other, _ = cf.simulate(net, state, params, 0, measure=measure | {"peak": Peak("y", 20.0)})
    with refuses(r"periods \[ms\] is .*12.0.* in the file, and .*20.0"):
        cf.load_state(tmp_path / "half.npz", net, like=other)


def test_a_run_that_explodes_is_found_by_check():
    net, state, params = started("blocked")
    wild = eqx.tree_at(lambda p: p.coupling.k, params, -50.0)
    with pytest.raises(FloatingPointError, match="the first that is not finite"):
        cf.simulate(net, state, wild, STEPS, measure=Peak("x"), check="finite")
    fine = cf.simulate(net, state, params, STEPS, measure=Peak("x", 60.0), check="finite")[1]
    assert np.isfinite(fine).all()


def test_spread_over_devices_it_is_the_same():
    net, state, params = started("blocked")
    measure = {"bold": cf.observe.BalloonBold("x", 60.0), "fc": cf.observe.RunningMoments("x")}
    alone = cf.simulate(net, state, params, 240, measure=measure)[1]
    spread = cf.shard(net, state, params, jax.devices()[:1])
    assert_close(cf.simulate(*spread, 240, measure=measure)[1], alone, ulps=64)


NET, STATE, PARAMS = started("none")
BOLD = cf.observe.BalloonBold("x", 60.0)
run = lambda state=STATE, steps=240, **options: cf.simulate(NET, state, PARAMS, steps, **options)
REFUSED = {
    "no measurement": (
        lambda: run(measure={"a": "x"}),
        r"`measure\['a'\]` must be a measur",
        TypeError,
    ),
    "a class": (lambda: run(measure=Peak), "must be a measurement, .*the class Peak", TypeError),
    "nothing": (lambda: run(measure={}), "`measure` is empty", ValueError),
    "a record, too": (lambda: run(measure=BOLD, record="x"), "in place of `record`", ValueError),
    "every, too": (
        lambda: run(measure=BOLD, every=2),
        "in place of `record` and `every`",
        ValueError,
    ),
    "a warm-up of nothing": (lambda: run(warm_up=10), "`warm_up` and `dt` are for", ValueError),
    "steps": (
        lambda: run(measure=BOLD, steps=200),
        "`steps` must be a whole number of periods of `measure`, each of 60 ms or 120 steps.*"
        "got 200. The nearest are 120 and 240",
        ValueError,
    ),
    "a warm-up": (
        lambda: run(measure=BOLD, warm_up=50),
        "`warm_up` must be a whole num",
        ValueError,
    ),
    "a warm-up of all": (
        lambda: run(measure={"bold": BOLD, "mean": cf.observe.Averaged("x")}, warm_up=240),
        r"`warm_up` must be below `steps`, 240: `measure\['mean'\]` has no period",
        ValueError,
    ),
    "a measured state for the clock": (
        lambda: NET.restart_clock(run(measure=BOLD)[0]),
        "not Measured. Of a run with `measure`, it is `.state`",
        TypeError,
    ),
    "a long warm-up": (
        lambda: run(measure=BOLD, warm_up=360),
        "`warm_up` must be at most",
        ValueError,
    ),
    "a period": (
        lambda: run(measure=Peak("x", 0.7)),
        "`measure.period` must be a mult",
        ValueError,
    ),
    "a name": (
        lambda: run(measure=Peak("z")),
        r"no state, input or auxiliary \(in `.*of`\) 'z'",
        ValueError,
    ),
    "a checkpoint": (
        lambda: run(measure=BOLD, checkpoint=3),
        "`checkpoint` must be a multiple of the 10 steps",
        ValueError,
    ),
    "another dt": (
        lambda: run(measure=BOLD, dt=0.1),
        "`dt` is that of the network, 0.5",
        ValueError,
    ),
    "no period": (
        lambda: cf.observe.BalloonBold("x"),
        "`period` of BalloonBold must be",
        ValueError,
    ),
    "a period of 0": (lambda: Peak("x", 0.0), "`period` must be above 0", ValueError),
    "a traced period": (
        lambda: jax.jit(lambda p: Peak("x", p))(1.0),
        "`period` must be a n",
        TypeError,
    ),
    "a resolution": (lambda: Peak("x", resolution=-1.0), "`resolution` must be above", ValueError),
    "what is read": (lambda: Peak(3), "`of` must say what is measured", TypeError),
    "a scheme": (lambda: cf.observe.BalloonBold("x", 60.0, scheme="rk"), "`scheme`", ValueError),
    "a kernel": (
        lambda: cf.observe.KernelBold("x", 60.0, kernel=jnp.ones(3)),
        "`kernel` must be a function",
        TypeError,
    ),
    "two names for BOLD": (
        lambda: run(measure=cf.observe.BalloonBold(("x", "y"), 60.0)),
        "`of` of BalloonBold must read one value per region",
        ValueError,
    ),
    "a rest": (
        lambda: run(measure=cf.observe.BalloonBold("x", 60.0, rest=jnp.ones(2))),
        "`rest` must have shape",
        ValueError,
    ),
    "a lead field": (
        lambda: run(measure=cf.observe.Sensors("x", 1.0, lead_field=jnp.ones((3, 4)))),
        r"`lead_field` must have shape \(sensor, 3\)",
        ValueError,
    ),
    "whole numbers": (
        lambda: run(measure=cf.observe.Averaged(lambda s: s.node.x > 0)),
        "`of` of Averaged must read floats",
        TypeError,
    ),
    "a measured state": (
        lambda: run(run(measure=BOLD)[0]),
        "something is measured: give the same `measure`",
        ValueError,
    ),
    "of another period": (
        lambda: run(run(measure=BOLD)[0], measure=cf.observe.BalloonBold("x", 120.0)),
        r"measured with periods of \(60.0,\) ms, and `measure` has \(120.0,\) ms",
        ValueError,
    ),
    "of another kind": (
        lambda: run(run(measure=BOLD)[0], measure=Peak("x", 60.0)),
        "other names, kinds, regions or dtypes",
        ValueError,
    ),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_refused(problem):
    call, match, error = REFUSED[problem]
    with refuses(match, error):
        call()


def test_a_period_in_seconds_warns():
    for kind, given in (("BalloonBold", {}), ("KernelBold", {"kernel": gamma})):
        with pytest.warns(
            UserWarning, match="`period` is in ms, and 0.72 ms is too short for a TR"
        ):
            getattr(cf.observe, kind)("x", 0.72, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cf.observe.BalloonBold("x", 50.0)
