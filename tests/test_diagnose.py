"""Faulty networks and runs, each with the cause that must be named first; and no false alarms."""

import os
import re
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses
from jax.experimental.sparse import BCOO

import coupling_fn as cf
from coupling_fn._connectome import _edge_list
from coupling_fn._connectome._edge_list import connected_parts, edge_list, spectral_radius
from coupling_fn._diagnose._stability import _is_linear, stability

N = 12
RNG = np.random.default_rng(3)
CONNECTOME = cf.synthetic_connectome(N, jax.random.key(0), symmetric=False)
RAW, LENGTHS = np.array(CONNECTOME.weights), np.array(CONNECTOME.lengths)
W = np.array(cf.normalize(CONNECTOME.weights, by="row"))
WEAK = np.median(RAW) > RAW
HALF = np.arange(N) < N // 2
START = jnp.asarray(RNG.normal(size=N))
PHASES = jnp.asarray(RNG.uniform(0, 2 * np.pi, N))
OMEGA = jnp.asarray(0.3 + 0.05 * RNG.normal(size=N))


def pushing(source, target, conn, k):
    return k * (cf.graph.strength(conn) * target - cf.weighted_sum(conn, source))


def turned(source, target, conn, k):
    return k * cf.weighted_sum(conn.T, jnp.where(source > 0.3, source, 0.0))


def ran(net, params, x0, steps, every=1, **options):
    """Diagnose a run."""
    state = net.init(x0, params, key=jax.random.key(1))
    _, record = cf.simulate(net, state, params, steps, every=every)
    return cf.diagnose_run(record, dt=net.dt * every, net=net, params=params, **options)


def linear(coupling, a=-1.0, **options):
    net = cf.Network(cf.nodes.linear, 0.5)
    return ran(
        net, cf.Params(cf.nodes.LinearParams(a=a), coupling), cf.nodes.LinearState(START), 400
    )


def phases(conn, k, steps=1000, omega=OMEGA, x0=PHASES, every=2):
    net = cf.Network(cf.nodes.kuramoto, 0.5)
    params = cf.Params(cf.nodes.KuramotoParams(omega=omega), cf.KuramotoCoupling(conn, k))
    return ran(net, params, cf.nodes.KuramotoState(x0), steps, every)


def slow_phases(omega, start, **options):
    """Diagnose phases in float32; a step of 0.1 ms."""
    net = cf.Network(cf.nodes.kuramoto, 0.1, **options)
    omega = jnp.asarray(omega * np.linspace(0.9, 1.1, N), "float32")
    params = cf.Params(
        cf.nodes.KuramotoParams(omega),
        cf.KuramotoCoupling(jnp.asarray(W, "float32"), jnp.float32(0)),
    )
    start = jnp.asarray(start + PHASES / 10, "float32")
    return ran(net, params, cf.nodes.KuramotoState(start), 20_000, 20)


def hopf(coupling, a=-0.05, dt=0.5, omega=0.06, noise=None, every=4, x=START):
    net = cf.Network(cf.nodes.hopf, dt)
    params = cf.Params(cf.nodes.HopfParams(a=a, omega=omega), coupling, noise=noise)
    return ran(net, params, cf.nodes.HopfState(0.1 * x, 0.1 * x[::-1]), 2000, every)


def wong_wang():
    net = cf.Network(cf.nodes.reduced_wong_wang, 1.0)
    params = cf.Params(cf.nodes.ReducedWongWangParams(), cf.AdditiveCoupling(W, k=20.0))
    return ran(net, params, cf.nodes.ReducedWongWangState(jnp.linspace(0.1, 0.9, N)), 2000, 4)


def death():
    net = cf.Network(cf.nodes.hopf, 0.05)
    params = cf.Params(
        cf.nodes.HopfParams(a=1.0, omega=jnp.array([1.0, 5.0])),
        cf.DiffusiveCoupling(np.array([[0.0, 1.0], [1.0, 0.0]]), k=1.5),
    )
    x0 = cf.nodes.HopfState(jnp.array([1.0, 0.5]), jnp.array([0.0, 0.5]))
    return ran(net, params, x0, 1000)


def with_params(coupling):
    net = cf.Network(cf.nodes.linear, 0.5)
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), coupling)
    return cf.diagnose(net=net, params=params, x0=cf.nodes.LinearState(START))


def driven(**options):
    net = cf.Network(cf.nodes.linear, 0.5)
    node, coupling = cf.nodes.LinearParams(a=-1.0), cf.DiffusiveCoupling(W, k=0.1)
    return cf.diagnose(net=net, params=cf.Params(node, coupling, **options))


BALLOON = ("bold_undefined", "balloon")
PUSHED = jnp.zeros((1200, 3)).at[:200, 1].set(5.0)


def bold():
    return jax.jit(lambda x: cf.observe.bold_from_balloon(x, 10.0, 500.0)[1])(PUSHED)


def vessels():
    def step(state, activity):
        state = cf.observe.balloon_step(state, activity, cf.observe.BalloonParams(), 10.0)
        return state, state

    return jax.lax.scan(step, cf.observe.balloon_init(PUSHED[0]), PUSHED)[1]


def fc(seed=0, shared=0.0):
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(N, 200)) + shared * rng.normal(size=200)
    return np.corrcoef(signals * (1 + np.arange(N)[:, None]) + shared * rng.normal(size=(N, 200)))


ISOLATED, SPLIT = W * (HALF[:, None] & HALF), W * (HALF[:, None] == HALF)
ONE_WAY = np.tril(RAW)  # and one edge the other way, since a triangle is a fault of its own
ONE_WAY[0, N - 1], ONE_WAY[N - 1, 0] = RAW[0, N - 1], 0
INDEXED = np.pad(RAW, ((1, 0), (1, 0)))
INDEXED[0, 1:] = INDEXED[1:, 0] = np.arange(1, N + 1)
DELAYED = cf.Network(cf.nodes.linear, 0.1, lags=cf.lags(LENGTHS, speed=3.0, dt=0.1))
SAMPLES = np.arange(400.0)[:, None]

# Each fault with the code that must come first, and for a run with its cause.
FAULTS = {
    # --- it explodes
    "k too large": (lambda: linear(cf.AdditiveCoupling(W, k=3.0)), "exploded", "strong_k"),
    "counts of streamlines": (
        lambda: linear(cf.AdditiveCoupling(3e4 * RAW, k=0.01)),
        "exploded",
        "raw_weights",
    ),
    "a step too long": (lambda: linear(cf.DiffusiveCoupling(W, k=8.0)), "exploded", "long_step"),
    "a step too long, from the signal alone": (
        lambda: cf.diagnose_run(1e-3 * (-1.3) ** SAMPLES * np.ones(3), dt=0.1),
        "exploded",
        "long_step",
    ),
    "k of the wrong sign": (
        lambda: linear(cf.DiffusiveCoupling(W, k=-3.0)),
        "exploded",
        "drives_apart",
    ),
    "a rule of the wrong sign": (
        lambda: linear(cf.CustomCoupling(pushing, W, k=3.0)),
        "exploded",
        "drives_apart",
    ),
    "no leak": (lambda: linear(cf.DiffusiveCoupling(W, k=0.1), a=0.5), "exploded", "undamped"),
    "a growth that has not ended": (
        lambda: cf.diagnose_run(np.exp(0.1 * SAMPLES) * np.ones(3), dt=1.0),
        "exploded",
        None,
    ),
    "before the run: k too large": (
        lambda: with_params(cf.AdditiveCoupling(W, k=3.0)),
        "strong_k",
        None,
    ),
    "before the run: a step too long": (
        lambda: with_params(cf.DiffusiveCoupling(W, k=8.0)),
        "long_step",
        None,
    ),
    # --- BOLD
    "activity too strong for the balloon": (lambda: cf.diagnose_run(bold(), dt=500.0), *BALLOON),
    "activity too strong for the balloon, by name": (
        lambda: cf.diagnose_run({"bold": bold()}, dt=50.0),
        *BALLOON,
    ),
    "a balloon's state": (lambda: cf.diagnose_run(vessels(), dt=10.0), *BALLOON),
    "activity too strong for the balloon, of a stable network": (
        lambda: cf.diagnose_run(
            bold(),
            dt=500.0,
            net=cf.Network(cf.nodes.linear, 0.5),
            params=cf.Params(cf.nodes.LinearParams(a=-1.0), cf.DiffusiveCoupling(W, k=0.1)),
        ),
        *BALLOON,
    ),
    "a network that explodes, sampled slowly": (
        lambda: cf.diagnose_run(np.exp(0.1 * SAMPLES) * np.ones(3), dt=500.0),
        "exploded",
        None,
    ),
    # --- it does not synchronise, or too much
    "k too small": (lambda: phases(W, 0.001), "never_synchronised", "weak_k"),
    "k is 0": (lambda: phases(W, 0.0), "never_synchronised", "no_coupling"),
    "isolated regions": (lambda: phases(ISOLATED, 0.5), "never_synchronised", "isolated"),
    "two halves": (
        lambda: phases(SPLIT, 0.5, omega=OMEGA + 0.1 * HALF),
        "never_synchronised",
        "disconnected",
    ),
    "too short": (lambda: phases(W, 0.002, 160), "too_short", "cycles"),
    "a negative k": (lambda: phases(np.ones((N, N)) / N, -0.5), "driven_apart", "drives_apart"),
    "k far too large": (
        lambda: hopf(cf.DiffusiveCoupling(W, k=2.0), a=0.05),
        "over_synchronised",
        "strong_k",
    ),
    "all start alike": (
        lambda: hopf(cf.DiffusiveCoupling(W, k=0.01), a=0.05, x=jnp.ones(N)),
        "over_synchronised",
        "identical_start",
    ),
    # --- it does nothing
    "no noise": (
        lambda: hopf(cf.DiffusiveCoupling(W, k=0.01)),
        "died_out",
        "nothing_moves_it",
    ),
    "amplitude death": (death, "died_out", "amplitude_death"),
    "started at rest": (
        lambda: hopf(cf.DiffusiveCoupling(W, k=0.01), x=jnp.zeros(N)),
        "frozen",
        "starts_at_rest",
    ),
    "saturated": (wong_wang, "died_out", "saturated"),
    # --- it looks wrong
    "counts on a node that saturates": (
        lambda: hopf(cf.AdditiveCoupling(3e3 * RAW, k=0.1), dt=0.0005),
        "left_range",
        "raw_weights",
    ),
    "phases that grow, after four minutes": (
        lambda: slow_phases(0.0616, 1.5e4, angles="grow"),
        "lost_in_rounding",
        "angles_grow",
    ),
    "phases that are too slow for float32": (
        lambda: slow_phases(1e-5, 2.0),
        "lost_in_rounding",
        "dtype",
    ),
    "a state that grows for ever": (
        lambda: cf.diagnose_run(
            np.float32(4e6) + np.arange(2000, dtype="float32")[:, None] * np.ones(3, "float32"),
            dt=1.0,
        ),
        "lost_in_rounding",
        "dtype",
    ),
    "plain times after an hour": (
        lambda: cf.diagnose_run(
            0.2 * np.random.default_rng(0).normal(size=(36_000, 2)).astype("float32"),
            dt=100.0,
            net=cf.Network(cf.nodes.linear, 0.1),
            params=cf.Params(external={"x": cf.stimuli.Sine(1.0) + jnp.sin}),
        ),
        "rounded_time",
        "dtype",
    ),
    "10 Hz, a sample each 100 ms": (
        lambda: hopf(cf.DiffusiveCoupling(W, k=0.01), noise=0.05, every=200),
        "aliased",
        None,
    ),
    "3 samples a cycle": (
        lambda: cf.diagnose_run(np.cos(2.0 * SAMPLES + np.array([0.0, 1.0, 2.5])), dt=1.0),
        "aliased",
        None,
    ),
    "a rule that transposes": (
        lambda: with_params(cf.CustomCoupling(turned, ONE_WAY, k=0.5)),
        "rule_transposed",
        None,
    ),
    "weights transposed": (
        lambda: cf.diagnose(RAW.T, compare_with=np.log(1 + 1e4 * RAW)),
        "transposed",
        None,
    ),
    "weights transposed, by a region that drives": (
        lambda: cf.diagnose(
            cf.Connectome(ONE_WAY.T, labels=[f"R{i}" for i in range(N)]), drivers=["R0", 1]
        ),
        "transposed",
        None,
    ),
    "weights normalised by the wrong axis": (
        lambda: cf.diagnose(cf.normalize(RAW, by="column")),
        "columns_even",
        None,
    ),
    "lengths transposed": (
        lambda: cf.diagnose(ONE_WAY, lengths=LENGTHS * (ONE_WAY.T != 0), speed=3.0, dt=0.1),
        "lengths_transposed",
        None,
    ),
    "lengths transposed, of a file with -1 where there is no tract": (
        lambda: cf.diagnose(ONE_WAY, lengths=np.where(ONE_WAY.T != 0, LENGTHS, -1.0), dt=0.1),
        "lengths_transposed",
        None,
    ),
    "a tract without a length": (
        lambda: cf.diagnose(ONE_WAY, lengths=np.where(WEAK & (ONE_WAY != 0), np.nan, LENGTHS)),
        "bad_lengths",
        None,
    ),
    "a Laplacian for weights": (
        lambda: cf.diagnose(cf.laplacian_connectivity(RAW)),
        "laplacian",
        None,
    ),
    "correlations for weights": (lambda: cf.diagnose(fc()), "looks_like_fc", None),
    "correlations without their diagonal": (
        lambda: cf.diagnose(fc() - np.eye(N)),
        "looks_like_fc",
        None,
    ),
    "positive correlations": (
        lambda: cf.diagnose(fc(shared=1.0) - np.eye(N)),
        "looks_like_fc",
        None,
    ),
    "Fisher's z for weights": (
        lambda: cf.diagnose(np.arctanh(fc(shared=2.0) - np.eye(N))),
        "looks_like_fc",
        None,
    ),
    "half of symmetric weights": (
        lambda: cf.diagnose(np.triu(RAW + RAW.T), lengths=np.triu(LENGTHS), speed=3.0, dt=0.1),
        "one_triangle",
        None,
    ),
    "an index for weights": (lambda: cf.diagnose(INDEXED), "index_as_data", None),
    "a label of two regions": (
        lambda: cf.diagnose(cf.Connectome(RAW, LENGTHS, ["V1", "V1", *"abcdefghij"])),
        "duplicate_labels",
        None,
    ),
    "equal lengths": (
        lambda: cf.diagnose(RAW, lengths=np.full((N, N), 80.0), speed=3.0, dt=0.1),
        "equal_lengths",
        None,
    ),
    "lengths normalised": (
        lambda: cf.diagnose(RAW, lengths=LENGTHS / LENGTHS.max(), speed=3.0, dt=0.1),
        "normalised_lengths",
        None,
    ),
    "z-scores for weights": (
        lambda: cf.diagnose((W - W.mean()) / W.std() * (1 - np.eye(N))),
        "negative_weights",
        None,
    ),
    "a misread weight": (
        lambda: cf.diagnose(np.where(np.arange(N * N).reshape(N, N) == 5, 1e4, RAW)),
        "outlier",
        None,
    ),
    "weights that are NaN": (
        lambda: cf.diagnose(np.where(WEAK, np.nan, RAW)),
        "not_finite",
        None,
    ),
    "nothing but a diagonal": (lambda: cf.diagnose(np.eye(N)), "no_edges", None),
    # --- units and delays
    "lengths in m": (
        lambda: cf.diagnose(RAW, lengths=LENGTHS / 1000, speed=3.0, dt=0.1),
        "length_unit",
        None,
    ),
    "speed in mm/s": (
        lambda: cf.diagnose(CONNECTOME, speed=3000.0, dt=0.1),
        "speed",
        None,
    ),
    "dt in s": (
        lambda: cf.diagnose(CONNECTOME, lags=DELAYED.lags["coupling"], dt=1e-4),
        "implied_speed",
        None,
    ),
    "dt in s, lengths unknown": (
        lambda: cf.diagnose(RAW, lags=DELAYED.lags["coupling"], dt=1e-4),
        "delays",
        None,
    ),
    "lags of another dt": (
        lambda: cf.diagnose(CONNECTOME, speed=3.0, net=DELAYED, dt=0.5),
        "lags_mismatch",
        None,
    ),
    "lengths that are missing": (
        lambda: cf.diagnose(RAW, lengths=LENGTHS * (LENGTHS > 60), speed=3.0, dt=0.1),
        "zero_lengths",
        None,
    ),
    "a step in s": (
        lambda: cf.diagnose(RAW, lengths=LENGTHS, speed=3.0, dt=0.0005),
        "dt",
        None,
    ),
    "a step longer than the delays": (
        lambda: cf.diagnose(RAW, lengths=LENGTHS, speed=10.0, dt=20.0),
        "lost_delays",
        None,
    ),
    "a pulse of 0.1 s": (
        lambda: driven(external={"x": cf.stimuli.Step(1.0, onset=2.0, duration=0.1)}),
        "short_input",
        None,
    ),
    "a train in s, within a sum": (
        lambda: driven(
            external={"x": cf.stimuli.Sine() + cf.stimuli.PulseTrain(1.0, 0.0, 1.0, 0.1)}
        ),
        "short_input",
        None,
    ),
    "a recorded input in s": (
        lambda: driven(external={"x": cf.stimuli.Sampled(jnp.ones(9), dt=0.002)}),
        "short_input",
        None,
    ),
    "noise with a time constant in s": (
        lambda: driven(noise={"x": cf.noise.OrnsteinUhlenbeck(0.1, tau=0.005)}),
        "short_input",
        None,
    ),
    "a stimulus faster than the steps": (
        lambda: driven(external={"x": cf.stimuli.Sine(1.0, frequency=6000.0)}),
        "fast_input",
        None,
    ),
    "a buffer too short": (
        lambda: cf.diagnose(CONNECTOME, lags=DELAYED.lags["coupling"], dt=0.1, buffer=10),
        "beyond_history",
        None,
    ),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("name", FAULTS)
def test_the_cause_comes_first(name):
    make, code, cause = FAULTS[name]
    report = make()
    first = report.findings[0]
    assert (first.code, first.cause) == (code, cause), f"\n{report}"
    assert first.what in str(report) and first.remedy, f"\n{report}"


def sound():
    for seed in range(20):
        n, symmetric = (8, 30, 84)[seed % 3], seed % 2 == 0
        yield cf.synthetic_connectome(n, jax.random.key(seed), symmetric)


def test_only_input_that_is_given_plain_times_is_named():
    net = cf.Network(cf.nodes.linear, 0.1)
    noise = np.random.default_rng(0).normal(size=(36_000, 2))

    def codes(external, dt=100.0, dtype="float32"):
        params = cf.Params(external={"x": external})
        report = cf.diagnose_run(noise.astype(dtype), dt=dt, net=net, params=params)
        return {finding.code for finding in report.findings}

    coloured = cf.noise.OrnsteinUhlenbeck()
    assert "rounded_time" in codes(jnp.sin)
    for sound in (cf.stimuli.Sine(1.0) + coloured, coloured, jnp.ones(2)):
        assert "rounded_time" not in codes(sound)
    assert "rounded_time" not in codes(jnp.sin, dt=10.0)  # six minutes
    assert "rounded_time" not in codes(jnp.sin, dtype="float64")


def alarms(report):
    return [f for f in report.findings if f.severity != "note"]


def test_a_start_that_dies_away_silences_no_region():
    """As at the onset of BOLD, some regions still change by a little more than 1/1000, some by less."""
    t = np.arange(400.0)[:, None]
    rng = np.random.default_rng(0)
    on = rng.normal(size=(400, 12)) * np.linspace(0.3, 0.9, 12) * 1e-3
    report = cf.diagnose_run(3.0 * np.exp(-t / 15) + on, dt=1000.0)
    assert "silent_regions" not in report.codes
    for dead in ((4,), tuple(range(8))):
        lives = ~np.isin(np.arange(12), dead)
        report = cf.diagnose_run(3.0 * np.exp(-t / 15) + 1000 * on * lives, dt=1000.0)
        silent = next(f for f in report.findings if f.code == "silent_regions")
        assert silent.where == dead


def test_no_false_alarm_on_times_that_steps_resolve():
    pulses = cf.stimuli.PulseTrain(1.0, onset=0.1, period=1.0, width=0.5, rise=0.5)
    both = cf.stimuli.Sine(1.0, 900.0) + cf.noise.OrnsteinUhlenbeck(
        0.1, tau=jnp.linspace(0.5, 2, N)
    )
    for options in (
        {"external": {"x": pulses}, "noise": 0.1},
        {"external": {"x": both}},
        {"external": {"x": lambda t: 0.001 * t}, "noise": {"x": cf.noise.Pink(0.1)}},
    ):
        assert not {"short_input", "fast_input"} & set(driven(**options).codes)


@pytest.mark.thorough
def test_no_false_alarm_on_synthetic_connectomes():
    for seed, connectome in enumerate(sound()):
        other = np.asarray(connectome.weights) * (1 + 0.1 * np.sin(np.arange(len(connectome))))
        report = cf.diagnose(connectome, speed=2.0 + seed, dt=0.1, compare_with=other)
        assert set(report.codes) <= {"scale"}, f"{seed}:\n{report}"
        lags = cf.lags(connectome.lengths, speed=2.0 + seed, dt=0.1, weights=connectome.weights)
        assert not alarms(cf.diagnose(connectome, lags=lags, dt=0.1))
        sums = np.abs(np.asarray(connectome.weights)).sum(1)
        for finding in report.findings:  # and what the note says is true
            assert f"{sums.min():.3g} to {sums.max():.3g}" in finding.what
    by_row = cf.diagnose(cf.normalize(connectome, by="row"), dt=0.1, speed=5.0)
    assert not alarms(by_row)


@pytest.mark.skipif(
    "COUPLING_FN_CONNECTOME" not in os.environ, reason="it names no real connectome"
)
def test_no_false_alarm_on_a_real_connectome():
    connectome = cf.load_connectome(os.environ["COUPLING_FN_CONNECTOME"])
    report = cf.diagnose(connectome, speed=3.0, dt=0.1)
    assert set(report.codes) <= {"scale"}, f"\n{report}"


def test_no_false_alarm_on_sound_runs():
    W_ = cf.AdditiveCoupling(W, k=0.03)
    resting = hopf(W_, noise=0.02)
    assert not alarms(resting), f"\n{resting}"
    locked = phases(W, 0.2)
    assert not alarms(locked), f"\n{locked}"


def test_a_finding_names_regions_and_labels():
    labels = [f"R{i}" for i in range(N)]
    weights = RAW.copy()
    weights[4], weights[:, 7], weights[9], weights[:, 9] = 0.0, 0.0, 0.0, 0.0
    report = cf.diagnose(cf.Connectome(weights, labels=labels))
    found = {finding.code: finding for finding in report.findings}
    assert found["isolated"].where == (9,) and found["isolated"].labels == ("R9",)
    assert found["no_input"].where == (4,) and found["no_output"].where == (7,)
    assert [f.severity for f in report.findings] == sorted(
        (f.severity for f in report.findings), key=["error", "warning", "note"].index
    )
    bad = np.zeros((N, N))
    bad[2, 5], bad[5, 2] = np.nan, 1.0
    first = cf.diagnose(bad).findings[0]
    assert first.where == ((2, 5),)  # from 5 onto 2


def test_an_explosion_is_timed_and_placed():
    x = np.ones((50, 3)) * np.sin(np.arange(50.0))[:, None]
    x[20:, 1], x[30:] = 1e30, np.inf
    first = cf.diagnose_run(x, dt=0.5).findings[0]
    assert first.where == (1,) and "at 10.5 ms (sample 20)" in first.what


def test_of_several_couplings_each_is_named():
    wires = {"E": cf.Wire("E", into="E"), "I": cf.Wire("I", into="I")}
    net = cf.Network(cf.nodes.wilson_cowan, 0.5, couplings=wires)
    coupling = {"E": cf.AdditiveCoupling(W), "I": cf.DiffusiveCoupling(SPLIT, k=-0.1)}
    report = cf.diagnose(net=net, params=cf.Params(cf.nodes.WilsonCowanParams(), coupling))
    apart, parts = report.findings
    assert (apart.code, parts.code) == ("drives_apart", "disconnected")
    assert "'I'" in apart.what and parts.what.startswith("I: The network falls into 2 parts")
    assert (
        report.facts["E: edges"] == N * (N - 1) and report.facts["I: edges"] == (SPLIT != 0).sum()
    )


# --- what it computes ------------------------------------------------------------------------------


def reached(conn, start):
    """Return the regions that are connected with one, in whatever direction."""
    seen, todo = {start}, [start]
    while todo:
        i = todo.pop()
        for j in range(len(conn)):
            if (conn[i, j] or conn[j, i]) and j not in seen:
                seen.add(j)
                todo.append(j)
    return seen


@pytest.mark.parametrize("form", ["dense", "BCOO"])
def test_edges_parts_and_radius(form, monkeypatch):
    rng = np.random.default_rng(0)
    for density in (0.02, 0.06, 0.3):
        conn = rng.normal(size=(30, 30)) * (rng.random((30, 30)) < density)
        twice = BCOO(
            (
                jnp.concatenate([jnp.asarray(conn[conn != 0]) / 2] * 2 + [jnp.ones(1)]),
                jnp.asarray(np.concatenate([np.argwhere(conn)] * 2 + [[[30, 30]]])),
            ),
            shape=(30, 30),
        )
        edges = edge_list(conn if form == "dense" else twice)  # repeated and padded
        dense = np.zeros((30, 30))
        dense[edges.target, edges.source] = edges.weight
        assert np.array_equal(dense, conn)
        assert np.array_equal(edges.back, conn.T[conn != 0])
        part = connected_parts(edges)
        for i in range(30):
            assert {j for j in range(30) if part[j] == part[i]} == reached(conn, i)
        exact = np.abs(np.linalg.eigvals(conn)).max()
        np.testing.assert_allclose(spectral_radius(edges), exact, rtol=1e-12)
    monkeypatch.setattr(_edge_list, "EIGENVALUES_UP_TO", 0)
    np.testing.assert_allclose(spectral_radius(edges), exact, rtol=0.05)
    np.testing.assert_allclose(
        spectral_radius(edge_list(np.abs(conn))), abs_radius(conn), rtol=1e-6
    )
    assert spectral_radius(edge_list(np.tril(conn, -1))) == 0


def abs_radius(conn):
    return np.abs(np.linalg.eigvals(np.abs(conn))).max()


def test_sparse_says_what_dense_says():
    lengths = LENGTHS * ~WEAK
    conn = np.where(WEAK, 0.0, RAW)
    dense = cf.diagnose(conn, lengths=lengths, speed=30.0, dt=5.0)
    edges = np.nonzero(conn)
    sparse = cf.diagnose(BCOO.fromdense(conn), lengths=lengths[edges], speed=30.0, dt=5.0)
    assert str(dense) == str(sparse) and dense.findings


def test_ten_thousand_regions_take_seconds():
    n, degree = 10_000, 30
    rng = np.random.default_rng(0)
    index = np.stack([np.repeat(np.arange(n), degree), rng.integers(0, n, n * degree)], axis=1)
    conn = BCOO((jnp.asarray(rng.lognormal(size=n * degree)), jnp.asarray(index)), shape=(n, n))
    begun = time.process_time()
    report = cf.diagnose(conn, compare_with=conn)
    assert time.process_time() - begun < 5
    assert report.facts["regions"] == n and not alarms(report)


@pytest.mark.thorough
def test_the_critical_k_is_that_of_the_analysis():
    conn = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 2.0], [1.0, 0.2, 0.0]])
    radius = np.abs(np.linalg.eigvals(conn)).max()
    net = cf.Network(cf.nodes.linear, 0.1)
    params = cf.Params(cf.nodes.LinearParams(a=-2.0), cf.AdditiveCoupling(conn, k=0.1), noise=0.1)
    x0 = cf.nodes.LinearState(jnp.zeros(3))
    report = cf.diagnose(net=net, params=params, x0=x0)
    np.testing.assert_allclose(report.facts["critical k"], 2 / radius, rtol=1e-3)
    assert "critical_k" in report.codes and not alarms(report)
    # k is far below and far above; several k share a factor; diffusive coupling has no limit.
    for k, factor in ((1e-3, None), (30.0, None), (jnp.array([0.1, 0.2, 0.3]), "0.1, 0.2, 0.3")):
        there = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))
        found = stability(net, there, x0)
        scaled = np.broadcast_to(k, 3)[:, None] * conn
        exact = 2 / np.abs(np.linalg.eigvals(scaled)).max()
        np.testing.assert_allclose(found.limit, exact, rtol=2e-3)
        assert found.linear and found.unstable == (exact < 1)
        assert (found.k is None) == (factor is not None)
    pulled = cf.Params(cf.nodes.LinearParams(a=-2.0), cf.DiffusiveCoupling(conn, k=0.1))
    assert stability(net, pulled, x0).limit == np.inf
    turning = cf.Network(cf.nodes.hopf, 0.5, lags=jnp.asarray(20 * conn, int) + 3)
    params = cf.Params(cf.nodes.HopfParams(a=-0.02), cf.AdditiveCoupling(conn, k=0.01))
    rest = turning.init(cf.nodes.HopfState(jnp.zeros(3), jnp.zeros(3)), params)
    report = cf.diagnose(net=turning, params=params, x0=rest)
    np.testing.assert_allclose(report.facts["critical k"], 0.02 / radius, rtol=2e-3)
    fastest = 0.02 * np.pi + 0.01 * np.linalg.eigvals(conn).imag.max()
    np.testing.assert_allclose(
        report.facts["fastest oscillation at rest [Hz]"], 1000 * fastest / (2 * np.pi), rtol=1e-6
    )
    assert set(report.codes) == {"critical_k", "nothing_moves_it"}
    assert "delays left out" in str(report)


@pytest.mark.every(3)
@pytest.mark.parametrize("scheme", ["euler", "heun", "rk4"])
def test_a_step_is_too_long_where_the_scheme_says_so(scheme):
    rate = {"euler": 2.0, "heun": 2.0, "rk4": 2.785}[scheme]  # of real decays, times dt
    for factor, wrong in ((0.99, False), (1.01, True)):
        net = cf.Network(cf.nodes.linear, 0.5, scheme=scheme)
        params = cf.Params(
            cf.nodes.LinearParams(a=-factor * rate / 0.5), cf.AdditiveCoupling(1e-9 * W), noise=0.1
        )
        report = cf.diagnose(net=net, params=params, x0=cf.nodes.LinearState(START))
        assert ("long_step" in report.codes) == wrong, f"\n{report}"
    # Euler's steps grow on a slow decay that oscillates, and those of the other schemes do not.
    turning = cf.Network(cf.nodes.hopf, 0.5, scheme=scheme)
    params = cf.Params(
        cf.nodes.HopfParams(a=-0.05, omega=1.0), cf.AdditiveCoupling(1e-9 * W), noise=0.1
    )
    rest = cf.nodes.HopfState(jnp.zeros(N), jnp.zeros(N))
    report = cf.diagnose(net=turning, params=params, x0=rest)
    assert ("long_step" in report.codes) == (scheme == "euler"), f"\n{report}"


def test_values_of_edges_go_with_their_edges():
    """Also where a weight is NaN, or stored and 0; lengths are given by the name of their coupling."""
    hole, edges = RAW.copy(), np.nonzero(RAW)
    hole[2, 5] = np.nan
    wrong = LENGTHS.copy()
    wrong[4, 1] = -1.0
    for form in (np.asarray, cf.to_sparse):
        report = cf.diagnose(form(RAW), lengths=wrong[edges])
        assert [f.where for f in report.findings if f.code == "bad_lengths"] == [((4, 1),)]
    report = cf.diagnose(hole, lengths=wrong[edges], speed=3.0, dt=0.1)
    found = {f.code: f.where for f in report.findings}
    assert found["not_finite"] == ((2, 5),) and found["bad_lengths"] == ((4, 1),)
    stored = cf.to_sparse(RAW)
    lost = stored.weights.at[7].set(0.0).at[20].set(jnp.nan)
    stored = eqx.tree_at(lambda conn: conn.weights, stored, lost)
    found = {f.code: f.where for f in cf.diagnose(stored, lengths=wrong[edges]).findings}
    assert found["bad_lengths"] == ((4, 1),)
    wires = {"near": cf.Wire("x", "x"), "far": cf.Wire("y", "y")}
    params = cf.Params(
        cf.nodes.HopfParams(),
        dict.fromkeys(wires, cf.AdditiveCoupling(RAW)),
        lengths={"near": LENGTHS / 1000, "far": LENGTHS},
        speed=3.0,
    )
    net = cf.Network(cf.nodes.hopf, 0.1, couplings=wires, lag_bounds=(0, 900))
    for report in (cf.diagnose(RAW, params=params, net=net), cf.diagnose(params=params, net=net)):
        first = report.findings[0]
        assert first.code == "length_unit" and first.what.startswith("near: ")
        assert report.codes.count("length_unit") == 1


@pytest.mark.parametrize("start", [-0.5, 0.0, 0.15, 0.35])
def test_no_start_makes_a_cubic_node_linear(start):
    net = cf.Network(cf.nodes.hopf, 0.5)
    params = cf.Params(cf.nodes.HopfParams(a=0.1), cf.AdditiveCoupling(W, k=0.01))
    x0 = cf.nodes.HopfState(jnp.full(N, start), jnp.full(N, start))
    assert not _is_linear(net, params, x0)
    line = cf.Network(cf.nodes.linear, 0.5)
    params = cf.Params(cf.nodes.LinearParams(a=-0.1), cf.AdditiveCoupling(W, k=0.01))
    assert _is_linear(line, params, cf.nodes.LinearState(jnp.full(N, start)))


def test_wrong_arguments_are_refused():
    with refuses("`conn` must be a connectome or weights"):
        cf.diagnose()
    with refuses(r"`lengths` must have shape \(\) or \(132,\) or \(12, 12\), not \(3, 3\)"):
        cf.diagnose(RAW, lengths=np.ones((3, 3)))
    with refuses("`speed` must be positive"):
        cf.diagnose(RAW, speed=-1.0)
    with refuses("`drivers` must be regions by index or label; 'V1' is neither"):
        cf.diagnose(RAW, drivers=["V1"])
    with refuses("`compare_with` must have shape"):
        cf.diagnose(RAW, compare_with=np.eye(3))
    with refuses("outside of `jit`"):
        jax.jit(lambda w: cf.diagnose(w).facts["edges"])(RAW)
    with refuses(r"`record` must be \(time, region\)"):
        cf.diagnose_run(np.ones(5), dt=1.0)
    with refuses("`dt` must be positive"):
        cf.diagnose_run(np.ones((5, 2)), dt=0.0)
    with refuses("outside of `jit`"):
        jax.jit(lambda x: len(cf.diagnose_run(x, dt=1.0).findings))(np.ones((5, 2)))
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(W))
    with refuses(r"`x0` must have the states \('x',\); \['x'\] are missing"):
        cf.diagnose(net=DELAYED, params=params, x0={"y": jnp.zeros(N)})


def test_a_sparse_connection_is_judged_as_its_matrix():
    W = np.random.default_rng(0).lognormal(size=(9, 9)) * (np.arange(81).reshape(9, 9) % 3 > 0)
    W[4], W[:, 4] = 0, 0
    assert str(cf.diagnose(cf.to_sparse(W))) == str(cf.diagnose(W))


def wong_wang(k, W=((0.0, 0.9, 0.2), (0.1, 0.0, 0.7), (0.6, 0.3, 0.0))):
    """Return three regions whose feedback inhibition is balanced at 3 Hz."""
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
    coupling = cf.AdditiveCoupling(jnp.array(W), k=k)
    params = cf.Params(cf.nodes.WongWangExcInhParams(), coupling, noise=0.01)
    return net, cf.balance_inhibition(net, params, 3)


def codes_of_rests(net, params, x0):
    found = cf.diagnose(net=net, params=params, x0=x0).findings
    return {
        f.code: f for f in found if f.code in ("unstable_balance", "another_rest", "several_rests")
    }


def test_a_balance_that_is_unstable_or_not_the_rest_that_is_found_is_reported():
    start = cf.nodes.WongWangExcInhState(jnp.full(3, 0.1), jnp.full(3, 0.1))
    net, balanced = wong_wang(0.5)
    assert not codes_of_rests(net, balanced.params, start)
    net, balanced = wong_wang(3.0)
    found = codes_of_rests(net, balanced.params, start)
    assert set(found) == {"unstable_balance", "another_rest"}
    assert {f.severity for f in found.values()} == {"warning"}
    assert "3 Hz, S_e = 0.161" in found["another_rest"].what
    assert set(codes_of_rests(net, balanced.params, balanced.x)) == {"unstable_balance"}


def test_other_states_of_rest_are_noted():
    net = cf.Network(cf.nodes.reduced_wong_wang, dt=1.0)
    coupling = cf.AdditiveCoupling(jnp.array([[0.0, 1.0], [0.5, 0.0]]), k=0.01)
    for w, several in ((1.0, True), (0.6, False)):
        params = cf.Params(cf.nodes.ReducedWongWangParams(w=w, I_0=0.32), coupling, noise=0.001)
        found = codes_of_rests(net, params, cf.nodes.ReducedWongWangState(jnp.full(2, 0.05)))
        assert set(found) == ({"several_rests"} if several else set())
        if several:
            what = found["several_rests"].what
            assert re.search("ends at S = 0.1.*upper end of the ranges at S = 0.5", what)
