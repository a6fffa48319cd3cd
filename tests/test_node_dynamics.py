"""What the literature reports of each model, on its own or in a small network."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

import coupling_fn as cf

ALONE = jnp.zeros((1, 1))


def run(node, state, params, dt, steps, coupling=None, **wiring):
    """Return the trajectory by the most exact scheme, a state of `(time, region)` arrays."""
    net = cf.Network(node, dt=dt, scheme="rk4", **wiring)
    params = cf.Params(params, cf.AdditiveCoupling(ALONE) if coupling is None else coupling)
    return cf.simulate(net, net.init(state, params), params, steps)[1]


def none(node):
    """Return no input: a namespace of zeros."""
    return type("Inputs", (), dict.fromkeys(node.inputs, 0.0))


def upcrossings(x, dt):
    """Return the times at which x rises through its mean, interpolated linearly between steps."""
    x = np.asarray(x).ravel()
    x = x - x.mean()
    i = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    return dt * (i + x[i] / (x[i] - x[i + 1]))


def one(*values):
    return [jnp.array([float(v)]) for v in values]


def test_horn_rings_down_as_a_damped_oscillator():
    p = cf.nodes.HornParams(omega=0.5, gamma=0.05)
    x = run(cf.nodes.horn, cf.nodes.HornState(*one(1, 0)), p, 0.05, 400).x[:, 0]
    t, fast = 0.05 * np.arange(1, 401), np.sqrt(0.5**2 - 0.05**2)
    wanted = np.exp(-0.05 * t) * (np.cos(fast * t) + 0.05 / fast * np.sin(fast * t))
    np.testing.assert_allclose(x, wanted, atol=1e-7)  # RK4 at dt = 0.05


def test_a_threshold_linear_network_settles_where_its_equations_do():
    W = np.array([[0.0, 0.3, -0.4], [0.5, 0.0, 0.1], [0.2, -0.6, 0.0]])
    p, start = cf.nodes.ThresholdLinearParams(tau=2.0), cf.nodes.ThresholdLinearState(jnp.zeros(3))
    x = run(cf.nodes.threshold_linear, start, p, 0.5, 400, cf.AdditiveCoupling(W)).x[-1]
    wanted = np.linalg.solve(np.eye(3) - W, np.ones(3))
    assert (wanted > 0).all()  # otherwise the threshold would set the rate
    np.testing.assert_allclose(x, wanted, rtol=1e-9)


def test_an_xy_network_goes_down_in_energy():
    W = np.array([[0.0, 1.0, 0.3], [1.0, 0.0, -0.5], [0.3, -0.5, 0.0]])
    theta0 = cf.nodes.XYState(jnp.array([0.3, 2.0, 4.0]))
    p, coupling = cf.nodes.XYParams(field=0.2), cf.KuramotoCoupling(W)
    theta = np.asarray(run(cf.nodes.xy, theta0, p, 0.05, 400, coupling).theta)
    pairs = np.cos(theta[:, :, None] - theta[:, None, :])
    energy = -(W * pairs).sum(axis=(1, 2)) / 2 - 0.2 * np.cos(theta).sum(axis=1)
    assert (np.diff(energy) < 0).all()
    assert energy[0] - energy[-1] > 0.5


def test_hopf_and_stuart_landau_cycle_at_their_amplitude_and_frequency():
    a, b, omega, shear = 0.36, 2.0, 0.4, 0.5
    p = cf.nodes.HopfParams(a=a, omega=omega)
    x = run(cf.nodes.hopf, cf.nodes.HopfState(*one(0.1, 0)), p, 0.05, 4000)
    radius = np.hypot(x.x, x.y)[-1, 0]
    assert radius == pytest.approx(np.sqrt(a), rel=1e-8)
    p = cf.nodes.StuartLandauParams(a=a, b=b, omega=omega, shear=shear)
    x = run(cf.nodes.stuart_landau, cf.nodes.StuartLandauState(*one(0.1, 0)), p, 0.05, 8000)
    assert np.hypot(x.x, x.y)[-1, 0] == pytest.approx(np.sqrt(a / b), rel=1e-8)
    turned = np.unwrap(np.arctan2(x.y, x.x)[4000:, 0])
    assert np.diff(turned).mean() / 0.05 == pytest.approx(omega - shear * a / b, rel=1e-6)


def test_van_der_pol_has_the_known_period_and_amplitude():
    """mu = 1: period 6.6632868593 and amplitude 2.00861986 (e.g. M. Buonomo, 1998)."""
    p = cf.nodes.VanDerPolParams(mu=1.0, tau=2.0)
    x = run(cf.nodes.van_der_pol, cf.nodes.VanDerPolState(*one(2, 0)), p, 0.01, 12000).x[6000:, 0]
    assert np.diff(upcrossings(x, 0.01)).mean() == pytest.approx(2 * 6.66328686, rel=1e-5)
    assert x.max() == pytest.approx(2.00861986, abs=1e-4)


def test_generic_2d_oscillator_cycles_at_a_of_2_and_rests_at_minus_2():
    def late(a):
        start = cf.nodes.Generic2dOscillatorState(*one(0.5, 0.5))
        p = cf.nodes.Generic2dOscillatorParams(a=a)
        return run(cf.nodes.generic_2d_oscillator, start, p, 0.5, 4000).V[2000:]

    assert np.ptp(late(2.0)) > 1
    assert np.ptp(late(-2.0)) < 1e-3


def test_lorenz_rests_at_its_two_points_and_forgets_where_it_started():
    p = cf.nodes.LorenzParams()
    for sign in (1, -1):
        x = sign * np.sqrt(p.beta * (p.rho - 1))
        state = cf.nodes.LorenzState(*one(x, x, p.rho - 1))
        rate = cf.nodes.lorenz(state, none(cf.nodes.lorenz), p)
        assert np.abs(np.array(rate)).max() < 1e-12
    near = run(cf.nodes.lorenz, cf.nodes.LorenzState(*one(1, 1, 20)), p, 0.01, 3000)
    far = run(cf.nodes.lorenz, cf.nodes.LorenzState(*one(1 + 1e-9, 1, 20)), p, 0.01, 3000)
    apart = np.abs(near.x - far.x)[:, 0]
    # The largest exponent is 0.906 per unit of time.
    growth = np.polyfit(0.01 * np.arange(500, 1800), np.log(apart[500:1800]), 1)[0]
    assert growth == pytest.approx(0.906, abs=0.25)
    assert np.ptp(near.z) > 30


def largest_exponent(node, start, params, dt, settle, steps):
    """Return the largest Lyapunov exponent [1/ms], from the growth of a small deviation."""
    idle = none(node)

    def moved(x):
        rate = lambda x: jnp.stack(node(node.State(*x), idle, params))
        a = rate(x)
        b = rate(x + dt / 2 * a)
        c = rate(x + dt / 2 * b)
        return x + dt / 6 * (a + 2 * b + 2 * c + rate(x + dt * c))

    def grown(carry, _):
        x, deviation = jax.jvp(moved, carry[:1], carry[1:])
        size = jnp.linalg.norm(deviation)
        return (x, deviation / size), jnp.log(size)

    @jax.jit
    def exponent(x):
        x = jax.lax.fori_loop(0, settle, lambda _, x: moved(x), x)
        _, logs = jax.lax.scan(grown, (x, jnp.eye(len(x))[0]), None, length=steps)
        return logs.mean() / dt

    return float(exponent(jnp.array(start)))


@pytest.mark.parametrize(
    ("params", "low", "high"),
    [
        (cf.nodes.LarterBreakspearParams(), -0.001, 0.001),  # a limit cycle
        (cf.nodes.LarterBreakspearParams.chaotic(), 0.007, 0.013),
        (cf.nodes.LarterBreakspearParams.chaotic(d_V=0.59), -0.001, 0.001),
        (cf.nodes.LarterBreakspearParams.chaotic(d_V=0.55), -0.03, -0.01),  # a fixed point
    ],
)
def test_larter_breakspear_is_chaotic_where_it_says(params, low, high):
    node = cf.nodes.larter_breakspear
    assert low < largest_exponent(node, (0.1, 0.2, 0.1), params, 0.1, 20_000, 100_000) < high


def test_larter_breakspear_runs_away_from_far_off_as_it_says_but_not_from_its_ranges():
    node, p = cf.nodes.larter_breakspear, cf.nodes.LarterBreakspearParams()
    ends = [np.linspace(*node.ranges[state], 3) for state in node.states]
    V, W, Z = (jnp.asarray(x.ravel()) for x in np.meshgrid(*ends, indexing="ij"))
    far = jnp.append(jnp.minimum(Z, 0.2), 0.5)
    start = node.State(jnp.append(V, 0.0), jnp.append(W, 0.3), far)
    idle = cf.AdditiveCoupling(jnp.zeros((len(far), len(far))))
    late = run(node, start, p, 0.2, 5000, idle).V[-1]
    assert (late[:-1] > -1).mean() > 0.95
    assert late[-1] < -5


def test_larter_breakspear_rests_at_its_defaults_when_its_threshold_is_sharp():
    start = cf.nodes.LarterBreakspearState(*one(-0.18, 0.22, 0.1))
    for d_V, least, most in ((0.505, 0.0, 1e-4), (0.55, 0.5, 2.0)):
        p = cf.nodes.LarterBreakspearParams(d_V=d_V)
        late = run(cf.nodes.larter_breakspear, start, p, 0.2, 10000).V[6000:]
        assert least <= np.ptp(late) < most


def test_a_fitzhugh_nagumo_neuron_spikes_above_a_threshold_and_cycles_between_two_currents():
    node = cf.nodes.fitzhugh_nagumo

    def path(v, w, current):
        p = cf.nodes.FitzHughNagumoParams(current=current)
        return run(node, cf.nodes.FitzHughNagumoState(*one(v, w)), p, 0.2, 10000).v

    assert path(-0.7, -0.6243, 0.0).max() < -0.6
    assert path(-0.5, -0.6243, 0.0).max() > 1.7
    for current, cycles in ((0.32, False), (0.34, True), (1.40, True), (1.43, False)):
        assert (np.ptp(path(-1.0, -0.5, current)[6000:]) > 3) == cycles


def test_defaults_have_the_frequencies_that_they_say():
    hz = 1000 / (2 * np.pi)
    assert float(cf.nodes.HopfParams().omega) * hz == pytest.approx(10)
    assert float(cf.nodes.StuartLandauParams().omega) * hz == pytest.approx(40)
    assert float(cf.nodes.KuramotoParams().omega) * hz == pytest.approx(40)
    assert 2 * np.pi / float(cf.nodes.HornParams().omega) == pytest.approx(28)  # ms
    start = cf.nodes.WilsonCowanState(*one(0.1, 0.05))
    E = run(cf.nodes.wilson_cowan, start, cf.nodes.WilsonCowanParams(), 0.1, 8000).E[2000:]
    assert np.diff(upcrossings(E, 0.1)).mean() == pytest.approx(40.027, abs=0.02)


def test_jansen_rit_makes_an_alpha_rhythm_between_the_inputs_of_its_source():
    for p in (0.12, 0.22):
        start = cf.nodes.JansenRitState(*one(0.1, 18, 15, 0, 0, 0))
        y = run(cf.nodes.jansen_rit, start, cf.nodes.JansenRitParams(p=p), 0.5, 8000)
        eeg = (y.y1 - y.y2)[4000:]
        assert np.ptp(eeg) > 1  # mV
        assert 8 < 1000 / np.diff(upcrossings(eeg, 0.5)).mean() < 13  # Hz


def test_wendling_without_fast_inhibition_is_jansen_rit():
    s = jnp.asarray(np.random.default_rng(3).uniform(-1, 1, (6, 4)))
    zero = jnp.zeros(4)
    wide = cf.nodes.WendlingState(*s[:3], zero, s[0], *s[3:], zero, s[3])
    node, other = cf.nodes.wendling, cf.nodes.jansen_rit
    got = node(wide, none(node), cf.nodes.WendlingParams(c7=0.0, p=0.2))
    wanted = other(cf.nodes.JansenRitState(*s), none(other), cf.nodes.JansenRitParams(p=0.2))
    for mine, theirs in zip((0, 1, 2, 5, 6, 7), range(6), strict=True):
        assert_close(np.asarray(got[mine]), np.asarray(wanted[theirs]), ulps=16)


def test_wendling_goes_from_background_to_rhythm_as_excitation_grows():
    def late(A, B, G):
        p = cf.nodes.WendlingParams(A=A, B=B, G=G)
        start = cf.nodes.WendlingState(*jnp.zeros((10, 1)))
        y = run(cf.nodes.wendling, start, p, 0.25, 16000)
        return (y.y1 - y.y2 - y.y3)[8000:]

    assert np.ptp(late(3.25, 50.0, 10.0)) < 0.1  # without noise the background is still
    assert np.ptp(late(5.0, 25.0, 10.0)) > 5  # mV


def test_montbrio_pazo_roxin_rests_at_the_roots_of_its_source_and_is_bistable():
    """V = -Delta / (2 pi r), and r a root of a quartic: three of them at the default parameters."""
    p = cf.nodes.MontbrioPazoRoxinParams()
    quartic = [-(np.pi**2), p.J, p.eta, 0, (p.Delta / (2 * np.pi)) ** 2]
    roots = np.roots(np.array(quartic, float))
    rests = sorted(r.real for r in roots if abs(r.imag) < 1e-9 and r.real > 0)
    assert len(rests) == 3
    r = jnp.array(rests)
    node = cf.nodes.montbrio_pazo_roxin
    rate = node(cf.nodes.MontbrioPazoRoxinState(r, -1 / (2 * jnp.pi * r)), none(node), p)
    assert np.abs(np.array(rate)).max() < 1e-9
    ends = [
        float(run(node, cf.nodes.MontbrioPazoRoxinState(*one(r0, V0)), p, 0.01, 4000).r[-1, 0])
        for r0, V0 in [(0.05, -2), (1.0, 0)]
    ]
    assert ends == pytest.approx([rests[0], rests[2]], rel=1e-6)


def test_coombes_byrne_with_a_silent_synapse_is_the_other_without_recurrence():
    r, V, zero = jnp.array([0.3, 1.0]), jnp.array([-1.0, 0.5]), jnp.zeros(2)
    node, other = cf.nodes.coombes_byrne, cf.nodes.montbrio_pazo_roxin
    state = cf.nodes.CoombesByrneState(r, V, zero, zero)
    got = node(state, none(node), cf.nodes.CoombesByrneParams())
    plain = cf.nodes.MontbrioPazoRoxinParams(Delta=0.5, eta=20.0, J=0.0)
    wanted = other(cf.nodes.MontbrioPazoRoxinState(r, V), none(other), plain)
    assert_close(np.array([got.r, got.V]), np.array(wanted), ulps=16)


def rates(state, params):
    """Return the excitatory firing rates that keep S_e constant [kHz]."""
    return state / (params.tau_e * params.gamma_e * (1 - state))


def test_wong_wang_exc_inh_rests_near_3_hz_as_its_source_says():
    p, start = cf.nodes.WongWangExcInhParams(), cf.nodes.WongWangExcInhState(*one(0.1, 0.1))
    S_e = run(cf.nodes.wong_wang_exc_inh, start, p, 1.0, 5000).S_e[-1]
    assert 1000 * rates(S_e, p)[0] == pytest.approx(3.06, abs=0.02)  # Hz


def test_reduced_wong_wang_is_bistable_where_recurrence_is_strong():
    """At w = 1 and I_0 = 0.32 nA (E. C. A. Hansen et al., NeuroImage 105 (2015) 525-535)."""
    p = cf.nodes.ReducedWongWangParams(w=1.0, I_0=0.32)

    def end(S):
        start = cf.nodes.ReducedWongWangState(*one(S))
        return float(run(cf.nodes.reduced_wong_wang, start, p, 1.0, 4000).S[-1, 0])

    low, high = end(0.05), end(0.9)
    assert low < 0.15
    assert high > 0.4


@pytest.mark.every(5)
@pytest.mark.parametrize("gap", [0.0, 1e-9, -1e-9, 1e-4, -1e-4, 0.0099, -0.0101, 30.0, -30.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_wong_wang_response_is_smooth_where_its_fraction_is_not(gap, dtype):
    """At d (a I - b) = 0 it is 0 / 0; a current is chosen to lie just off there."""
    node = cf.nodes.reduced_wong_wang
    base = cf.nodes.ReducedWongWangParams(w=0.0, gamma=1.0, tau=jnp.inf)
    p = jax.tree.map(lambda x: x.astype(dtype), base)
    current = jnp.asarray((gap / 154 + 0.108) / 0.270, dtype)

    @jax.value_and_grad
    def fired(current):
        q = jax.tree.map(lambda x: x, p)
        q = cf.nodes.ReducedWongWangParams(**{**vars(q), "I_0": current})
        return node(cf.nodes.ReducedWongWangState(jnp.zeros(1, dtype)), none(node), q).S[0]

    value, slope = fired(current)
    x = 154 * (0.270 * float(current) - 0.108)
    wanted = 1 + x / 2 + x**2 / 12 if abs(x) < 1e-3 else x / (1 - np.exp(-x))
    step = 1e-3
    ramp = lambda y: y / (1 - np.exp(-y))
    rise = 0.5 + x / 6 if abs(x) < 0.05 else (ramp(x + step) - ramp(x - step)) / (2 * step)
    eps = float(np.finfo(dtype).eps)
    # The argument itself is a difference of numbers 154 times 0.1, rounded.
    assert float(value) == pytest.approx(wanted / 154, rel=200 * eps + 1e-9, abs=200 * eps / 154)
    assert float(slope) == pytest.approx(0.270 * rise, rel=1e-3, abs=1e-9)


def resting(node, **values):
    """Return a state of one region, 0 but for some values."""
    return node.State(*[jnp.array([float(values.get(name, 0))]) for name in node.states])


def test_the_thalamus_makes_spindle_waves_that_need_its_calcium_channels():
    """Waves of 11 to 15 Hz; g_LK hyperpolarises, as sleep does."""
    node = cf.nodes.thalamus
    start = resting(node, V_t=-65, V_r=-65, Ca=2.4e-4, m_1=0.08, m_2=0.1)

    def late(**given):
        return run(node, start, node.Params(g_LK=0.036, **given), 0.1, 20000).V_t[10000:]

    wave = late()
    assert np.ptp(wave) > 10  # mV
    assert 11 < 1000 / np.diff(upcrossings(wave, 0.1)).mean() < 15  # Hz
    assert np.ptp(late(g_T_t=0.0)) < 0.5


def test_izhikevich_bursts_where_it_adapts_and_fires_steadily_where_it_does_not():
    """The source's bursting network, whose bursts follow each other at some Hz."""
    node = cf.nodes.izhikevich
    start = resting(node, r=0.01, V=0.1)
    late = lambda **given: run(node, start, node.Params(**given), 0.1, 20000).r[8000:]
    bursts = late()
    assert bursts.max() > 10 * bursts.min()
    assert 1000 / np.diff(upcrossings(bursts, 0.1)).mean() == pytest.approx(2.86, abs=0.1)  # Hz
    assert np.ptp(late(w_jump=0.0)) < 1e-4


def test_izhikevich_without_threshold_adaptation_and_synapse_is_montbrio_pazo_roxin():
    r, V, zero = jnp.array([0.03, 0.1]), jnp.array([-1.0, 0.5]), jnp.zeros(2)
    node, other = cf.nodes.izhikevich, cf.nodes.montbrio_pazo_roxin
    bare = node.Params(tau=3.0, alpha=0.0, g=0.0, eta=0.7, Delta=0.4)
    got = node(node.State(r, V, zero, zero), none(node), bare)
    wanted = other(other.State(r, V), none(other), other.Params(3.0, 0.4, 0.7, 0.0))
    assert_close(np.array([got.r, got.V]), np.array(wanted), ulps=16)


def test_tsodyks_markram_settles_where_release_and_recovery_meet():
    """x = 1 / (1 + u tau_d r) and u = U (1 + tau_f r) / (1 + U tau_f r)."""
    node, p = cf.nodes.tsodyks_markram, cf.nodes.TsodyksMarkramParams(current=0.5)
    end = [float(x[-1, 0]) for x in run(node, resting(node, r=0.01, x=1, u=0.2), p, 0.5, 30000)]
    r, _, x, u = end
    assert r == pytest.approx(0.0254, abs=1e-4)
    assert u == pytest.approx(0.2 * (1 + 1500 * r) / (1 + 0.2 * 1500 * r), rel=1e-5)
    assert x == pytest.approx(1 / (1 + u * 200 * r), rel=1e-5)
    # Without facilitation u stays at U.
    p = cf.nodes.TsodyksMarkramParams(facilitation=0.0)
    u = run(node, resting(node, r=0.01, x=1, u=0.2), p, 0.5, 200).u
    np.testing.assert_allclose(u, 0.2, rtol=1e-12)


def test_naskars_plasticity_keeps_a_rate_and_more_gaba_needs_less_of_it():
    node = cf.nodes.naskar

    def end(**given):
        p = node.Params(gamma=40.0, **given)
        state = jax.tree.map(
            lambda x: x[-1], run(node, resting(node, S_e=0.1, S_i=0.05, J=1), p, 1.0, 40000)
        )
        return float(node.auxiliary["rate_e"](state, none(node), p)[0]), float(state.J[0])

    for given in ({}, {"I_ext": 0.02}, {"T_glu": 9.0}):
        assert end(**given)[0] == pytest.approx(0.003, rel=1e-3)
    assert end(T_gaba=3.0)[1] < 0.9 * end()[1]
    assert end(rho=0.006)[0] == pytest.approx(0.006, rel=1e-3)


def test_divisive_normalisation_makes_the_response_depend_on_a_ratio():
    node = cf.nodes.wilson_cowan_divisive
    late = lambda **given: [
        float(x[-1, 0]) for x in run(node, resting(node, E=0.1), node.Params(**given), 1.0, 1000)
    ]
    scaled = late(P=4.0, c_ee=16.0, sigma_e=1.0, c_ei=12.0)
    np.testing.assert_allclose(late(P=8.0, c_ee=32.0, sigma_e=2.0, c_ei=24.0), scaled, rtol=1e-9)
    # The more drive, the less each further unit of it adds: from a half on.
    E = [late(P=P)[0] for P in (1.25, 2.5, 5.0, 10.0, 20.0, 40.0)]
    assert (np.diff(E) > 0).all()
    gain = np.diff(E) / np.diff([1.25, 2.5, 5.0, 10.0, 20.0, 40.0])
    assert (np.diff(gain) < 0).all()


def test_the_canonical_microcircuit_is_faster_above_than_below():
    """Input to its stellate cells resonates at tens of Hz in superficial and below 10 in deep layers."""
    node = cf.nodes.canonical_microcircuit

    def rate(x):
        return jnp.concatenate(node(node.State(*x[:, None]), none(node), node.Params()))

    jacobian = np.asarray(jax.jacobian(rate)(jnp.zeros(8)))
    assert np.linalg.eigvals(jacobian).real.max() < -0.03  # it rests
    hz = np.arange(1, 100)
    onto_ss = np.eye(8)[node.states.index("i_ss")]
    answers = np.abs(
        [np.linalg.solve(2j * np.pi * f / 1000 * np.eye(8) - jacobian, onto_ss) for f in hz]
    )
    peak = dict(zip(node.states, hz[answers.argmax(axis=0)], strict=True))
    assert peak["v_sp"] > 20
    assert peak["v_dp"] < 10


@pytest.mark.parametrize("reduced", [False, True])
def test_an_excitable_region_has_seizures_and_a_healthy_one_has_none(reduced):
    """The threshold in x0 lies at about -2.06."""
    x0 = jnp.array([-1.6, -2.4])
    if reduced:
        node, p = cf.nodes.epileptor_2d, cf.nodes.Epileptor2dParams(x0=x0, r=0.003)
        start = cf.nodes.Epileptor2dState(jnp.array([-1.6, -1.6]), jnp.array([3.3, 3.3]))
    else:
        node, p = cf.nodes.epileptor, cf.nodes.EpileptorParams(x0=x0, r=0.003)
        ones = jnp.ones(2)
        start = cf.nodes.EpileptorState(
            -1.6 * ones, -11 * ones, 3.3 * ones, -ones, 0 * ones, 0 * ones
        )
    idle = cf.AdditiveCoupling(jnp.zeros((2, 2)))
    x1 = run(node, start, p, 0.05, 40000, idle).x1[20000:]
    assert x1[:, 0].max() > 0.3
    assert x1[:, 0].min() < -1
    assert x1[:, 1].max() < -1


def test_permittivity_coupling_recruits_a_healthy_neighbour():
    """With k > 0 a region in seizure lowers the z of its target, and so brings on a seizure there."""
    W = jnp.array([[0.0, 0.0], [1.0, 0.0]])  # the sick region 0 drives the healthy region 1
    p = cf.nodes.Epileptor2dParams(x0=jnp.array([-1.6, -2.2]), r=0.003)
    start = cf.nodes.Epileptor2dState(jnp.array([-1.6, -1.6]), jnp.array([3.0, 3.3]))

    def highest(k):
        x1 = run(cf.nodes.epileptor_2d, start, p, 0.05, 40000, cf.DiffusiveCoupling(W, k=k)).x1
        return float(x1[:, 1].max())

    assert highest(0.0) < -1
    assert highest(2.0) > 0


# --- further models of The Virtual Brain ---------------------------------------------------------


def test_a_fast_synapse_of_coombes_byrne_is_the_slow_one_at_its_end():
    r, V, zero = jnp.array([0.3, 1.0]), jnp.array([-1.0, 0.5]), jnp.zeros(2)
    fast, slow = cf.nodes.coombes_byrne_2d, cf.nodes.coombes_byrne
    shared = {"Delta": 0.7, "v_syn": -3.0, "kappa": 1.3, "eta": 4.0}
    got = fast(fast.State(r, V), none(fast), fast.Params(**shared))
    state = slow.State(r, V, 1.3 * jnp.pi * r, zero)
    wanted = slow(state, none(slow), slow.Params(**shared))
    assert_close(np.array(got), np.array(wanted[:2]), ulps=16)
    assert_close(np.array(wanted.q), np.zeros(2), ulps=16, scale=5.0)


@pytest.mark.parametrize("name", ["gast_schmidt_knosche_sd", "gast_schmidt_knosche_sf"])
def test_neurons_burst_by_adaptation_and_are_montbrio_pazo_roxins_without(name):
    node, other = cf.nodes.catalog()[name], cf.nodes.montbrio_pazo_roxin
    p = other.Params(Delta=2.0, J=21.2132, eta=-6.0 if name.endswith("sd") else -4.0)
    plain = {"Delta": p.Delta, "J": p.J, "eta": p.eta}
    state = node.State(*one(0.3, -0.5, 0, 0.1))
    got = node(state, none(node), node.Params(**plain, alpha=0.0))
    wanted = other(other.State(state.r, state.V), none(other), p)
    assert_close(np.array(got[:2]), np.array(wanted), ulps=16)

    def late(alpha):
        start = node.State(*one(0.1, -1.5, 0.05, 0))
        return run(node, start, node.Params(**plain, alpha=alpha), 0.02, 10_000).r[5000:, 0]

    bursting = late(node.Params().alpha)
    if name.endswith("sf"):
        assert np.ptp(bursting) > 1
        assert np.diff(upcrossings(bursting, 0.02)).mean() > 20  # ms, twice tau_A; tau is 1
    assert np.ptp(late(0.0)) < 1e-3


def test_dumont_gutkin_makes_a_gamma_rhythm_by_its_loop_of_excitation_and_inhibition():
    node = cf.nodes.dumont_gutkin

    def late(J_ie):
        p = node.Params(eta_e=10.0, J_ie=J_ie, J_ei=10.0)
        return run(
            node, node.State(*one(0.03, -1, 0, 0.1, 0.02, -1, 0.3, 0.2)), p, 0.05, 12_000
        ).r_e

    rhythm = late(10.0)[6000:, 0]
    assert np.ptp(rhythm) > 0.1
    assert 20 < 1000 / np.diff(upcrossings(rhythm, 0.05)).mean() < 100  # Hz
    assert np.ptp(late(0.0)[6000:, 0]) < 1e-3


def test_adex_neurons_fire_less_when_they_adapt_and_inhibitory_ones_fire_more():
    node = cf.nodes.zerlaut_first_order

    def rest(b_e, nu):
        p = node.Params(b_e=b_e, nu_ee=nu, nu_ie=nu)
        return run(node, node.State(*one(0.002, 0.005, 0, 0, 0)), p, 1.0, 4000)

    awake, adapted, alone = rest(5.0, 0.002), rest(60.0, 0.002), rest(5.0, 0.0)
    assert 0.001 < adapted.E[-1, 0] < 0.8 * awake.E[-1, 0] < 0.05  # kHz
    assert awake.I[-1, 0] > awake.E[-1, 0] > 10 * alone.E[-1, 0]


@pytest.mark.thorough
def test_the_rates_of_fewer_adex_neurons_vary_more_and_shift_the_mean():
    node, N = cf.nodes.zerlaut_second_order, jnp.array([8000.0, 80_000.0, 8000.0])
    p = node.Params(
        N_e=N, N_i=N / 4, derivative_scale=jnp.array([1.0, 1.0, 0.0]), nu_ee=0.002, nu_ie=0.002
    )
    at = [jnp.full(3, x) for x in (0.0011, 0.0072, 0.0, 0.0, 0.0, 63.0, 0.0, 0.0)]
    x = run(node, node.State(*at), p, 1.0, 3000, cf.AdditiveCoupling(jnp.zeros((3, 3))))
    (few, many, first), C_ee, C_ii = x.E[-1], x.C_ee[-1], x.C_ii[-1]
    np.testing.assert_allclose([C_ee[0] / C_ee[1], C_ii[0] / C_ii[1]], 10, rtol=0.1)
    # The mean of a convex response is above the response to the mean, in proportion to the variance.
    assert 0.005 < few / first - 1 < 0.03
    np.testing.assert_allclose((few - first) / (many - first), 10, rtol=0.2)


def test_a_burster_of_codimension_3_goes_in_and_out_of_its_seizures():
    node = cf.nodes.epileptor_codim3
    x = run(node, node.State(*one(0.5, 0, 0)), node.Params(c=0.003), 0.1, 40_000)
    z, y = x.z[10_000:, 0], np.abs(x.y[10_000:, 0])
    assert np.ptp(z) > 0.05
    quiet = np.convolve(y, np.ones(300) / 300, "valid") < 0.02
    assert 2 <= np.abs(np.diff(quiet.astype(int))).sum() <= 60
    slow = cf.nodes.epileptor_codim3_slow_mod
    p = node.Params()
    where = {"Ain": "start", "Aend": "stop", "Bin": "stop", "Bend": "start"}
    ends = {
        f"{n}_{at}": getattr(p, f"{n}_{w}") for n in ("mu1", "mu2", "nu") for at, w in where.items()
    }
    state = node.State(*one(0.2, 0.1, 0.05))
    moved = slow.State(*state, *one(0, 0))
    got = slow(moved, none(slow), slow.Params(**ends, c=0.001))
    # The defaults lie on the sphere to four digits only, and A_in is put onto it.
    np.testing.assert_allclose(np.array(got[:3]), np.array(node(state, none(node), p)), rtol=1e-3)


def test_the_epileptor_with_a_resting_state_is_two_other_nodes():
    rng = np.random.default_rng(5)
    seizing, resting = cf.nodes.epileptor, cf.nodes.generic_2d_oscillator
    both, s = cf.nodes.epileptor_resting_state, jnp.asarray(rng.uniform(-1, 1, (8, 4)))
    got = both(both.State(*s), none(both), both.Params())
    first = seizing(seizing.State(*s[:6]), none(seizing), seizing.Params())
    p = resting.Params(tau=1.0, current=0.0, a=-2.0, b=-10.0, c=0.0, d=0.02, e=3.0, f=1.0, g=0.0)
    second = resting(resting.State(*s[6:]), none(resting), p)
    assert_close(np.array(got), np.array([*first, *second]), ulps=16)


def test_neurons_rest_in_little_potassium_and_burst_in_much():
    node = cf.nodes.k_ion_ex

    def late(K_bath):
        start = node.State(*one(0.1, -75, 0.05, -0.5, K_bath - 6))
        p = node.Params(K_bath=K_bath, epsilon=0.01)
        return run(node, start, p, 0.05, 20_000).V[10_000:, 0]

    healthy, bursting = late(5.5), late(12.0)
    assert healthy.max() < -70 and np.ptp(healthy) < 1  # mV
    assert np.ptp(bursting) > 30


def test_zetterberg_jansen_without_its_further_loops_is_jansen_rit():
    jansen, node = cf.nodes.jansen_rit, cf.nodes.zetterberg_jansen
    y = jnp.asarray(np.random.default_rng(6).uniform(0, 5, (6, 3)))
    p, zero = jansen.Params(), jnp.zeros(3)
    C1, C2, C3, C4 = (p.C * c for c in (p.c1, p.c2, p.c3, p.c4))
    off = dict.fromkeys(["gamma_5", "gamma_1T", "gamma_3T"], 0.0)
    silent = 2 * p.e0 / (1 + jnp.exp(p.r * p.v0))  # what comes in without coupling
    column = node.Params(gamma_1=C1, gamma_2=C2, gamma_3=C3, gamma_4=C4, P=p.p - silent, **off)
    state = node.State(
        C1 * y[0], C1 * y[3], y[1], y[4], y[2], y[5], C3 * y[0], C3 * y[3], zero, zero
    )
    got = node(state, type("Inputs", (), {"v": 0.0}), column)
    wanted = jansen(jansen.State(*y), none(jansen), p)
    mine = [got.v1 / C1, got.v2, got.v3, got.y1 / C1, got.y2, got.y3]
    assert_close(np.array(mine), np.array(wanted), ulps=64)


@pytest.mark.parametrize("kind", ["fitzhugh_nagumo", "hindmarsh_rose"])
def test_without_coupling_each_mode_of_a_reduced_set_is_one_neuron(kind):
    """Its variables over the root of its width follow the neuron's equation at its excitability."""
    node = cf.nodes.catalog()[f"reduced_set_{kind}"]
    p = node.Params(K11=0.0, K12=0.0, K21=0.0, mu=0.4)
    rows = len(node.states) // 6  # variables of a neuron
    state = jnp.asarray(np.random.default_rng(7).uniform(-1, 1, (len(node.states), 2)))
    got = np.array(node(node.State(*state), type("Inputs", (), {"xi": 0.0}), p))
    got, x = got.reshape(2, rows, 3, 2), np.array(state).reshape(2, rows, 3, 2)
    edges = float(p.sigma) * np.array([-p.outer, -p.inner, p.inner, p.outer])
    for mode, (low, high) in enumerate(pairwise(edges)):
        root, z = np.sqrt(high - low), 0.4 + (low + high) / 2
        for neurons in (0, 1):
            u = x[neurons, :, mode] / root
            if kind == "fitzhugh_nagumo":
                wanted = [3 * (u[0] - u[0] ** 3 / 3 - u[1] + z), (u[0] - 0.9 * u[1] + 0.45) / 3]
            else:
                slow = 0.006 * (4 * (u[0] + 1.6) - u[2])
                wanted = [
                    u[1] - u[0] ** 3 + 3 * u[0] ** 2 - u[2] + z,
                    1 - 5 * u[0] ** 2 - u[1],
                    slow,
                ]
            np.testing.assert_allclose(got[neurons, :, mode] / root, wanted, rtol=1e-9, atol=1e-9)


def test_a_hopfield_network_completes_a_pattern():
    patterns = np.array([[1, 1, 1, -1, -1, 1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1.0]])
    weights = patterns.T @ patterns / 8
    np.fill_diagonal(weights, 0)
    spoiled = patterns[0] * np.array([-1, 1, 1, 1, 1, 1, 1, 1])
    node = cf.nodes.hopfield
    wires = {"fired": cf.Wire(lambda s: jnp.tanh(4 * (s.x - s.theta)), "x")}
    start = node.State(jnp.asarray(spoiled), jnp.zeros(8))
    coupling = {"fired": cf.AdditiveCoupling(weights)}
    x = run(node, start, node.Params(), 0.1, 300, coupling, couplings=wires).x[-1]
    assert (np.sign(x) == patterns[0]).all()
