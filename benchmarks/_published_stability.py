"""Published points at which fixed points end or lose their stability, with and without delays."""

import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

from ._published import Row, alone

PAIR = jnp.array([[0.0, 1.0], [1.0, 0.0]])


def turning_point(name, start, parameter, low, high, **given):
    """Return the first value of a node's parameter, from `low`, at which its fixed point is lost."""
    net, params, x0 = alone(name, start, **given)
    found = cf.bifurcation(net, params, x0, low, high, where=lambda p: getattr(p.node, parameter))
    return float(found.value)


def montbrio_pazo_roxin():
    paper = "Montbrió, Pazó and Roxin 2015"
    for start, ends, published in (
        ((0.1, -2), (-6.0, 3.0), -3.136134),
        ((1, 0), (-3.0, -8.0), -5.743527),
    ):
        ours = turning_point("montbrio_pazo_roxin", start, "eta", *ends)
        what = (
            "J = 15, Delta = 1: the "
            + ("upper" if ends[1] > 0 else "lower")
            + " saddle-node in eta"
        )
        yield Row(paper, what, published, ours, 1e-6)


def jansen_rit():
    paper, node = "Grimbert and Faugeras 2006", "jansen_rit"
    fold = 1000 * turning_point(node, (0,) * 6, "p", 0.0, 0.3)
    yield Row(paper, "Jansen and Rit's model: the lower fold in p", 113.58, fold, 0.01, "per s")
    high = (0.094, 19, 12.5, 0, 0, 0)  # near the fixed point of strong activity at p = 60
    for low, end, published in ((0.4, 0.2, 315.70), (0.06, 0.2, 89.83)):
        ours = 1000 * turning_point(node, high, "p", low, end)
        yield Row(
            paper, "Jansen and Rit's model: a Hopf point in p", published, ours, 0.01, "per s"
        )


def wilson_cowan():
    paper = "Wilson and Cowan 1972"
    fold = turning_point("wilson_cowan", (0, 0), "P", 0.0, 3.0)
    yield Row(paper, "the fold in P", 1.08302, fold, 1e-5)
    hopf = turning_point("wilson_cowan", (0.5, 0.4), "P", 3.0, 1.2)
    yield Row(paper, "the Hopf point in P", 1.909253, hopf, 1e-6)


def reduced_wong_wang():
    ours = turning_point("reduced_wong_wang", (0,), "I_0", 0.3, 0.4, w=1.0)
    yield Row("Deco et al. 2013", "w = 1: the fold in I_0", 0.325079, ours, 1e-6, "nA")


def fitzhugh_nagumo():
    for start, ends, published in (
        ((-1.2, -0.6), (0.0, 1.0), 0.331281),
        ((1.2, 1.9), (2.0, 1.0), 1.418719),
    ):
        ours = turning_point("fitzhugh_nagumo", start, "current", *ends)
        yield Row("FitzHugh 1961", "a Hopf point in the current", published, ours, 1e-6)


def epileptor_2d():
    ours = turning_point("epileptor_2d", (-1.6, 3), "x0", -3.0, -1.0)
    yield Row("Proix et al. 2014", "2-D Epileptor: the threshold in x0", -2.0619495, ours, 1e-7)


def inhibition_control():
    """The current at which a balanced region fires at 3.0631 Hz, in a network of unlike regions."""
    connectome = cf.synthetic_connectome(10, jax.random.key(0))
    coupling = cf.AdditiveCoupling(cf.normalize(connectome.weights, by="row"), k=1.0)
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
    params = cf.Params(cf.nodes.WongWangExcInhParams(), coupling)
    balanced = cf.balance_inhibition(net, params, 10, rate=3.0631e-3)
    x = cf.fixed_point(net, balanced.params, balanced.x)
    p = balanced.params.node
    received = coupling(x.S_e)
    own = p.w_p * p.J_N * x.S_e + p.W_e * p.I_0 + p.I_ext
    current = own + p.J_N * received - p.J_i * x.S_i - p.b_e / p.a_e
    far = current[jnp.argmax(jnp.abs(current + 0.026))]
    what = "feedback inhibition, 10 regions at 3.0631 Hz: I_E - b_E / a_E, the farthest"
    yield Row("Deco et al. 2014", what, -0.026, float(far), 0.001, "nA")


def hayes():
    """The loop x' = -a x - k x(t - tau)."""
    for a, tau, published, digit in (
        (1.0, 5.0, 1.1321, 1e-4),
        (5.0, 1.2, 5.4886, 1e-4),
        (1.0, 25.0, 1.00728, 1e-5),
    ):
        lags = jnp.full((1, 1), round(tau / 0.1))
        net = cf.Network(cf.nodes.linear, 0.1, lags=lags, lag_bounds=(0, 250))
        coupling = cf.AdditiveCoupling(-jnp.ones((1, 1)))
        params = cf.Params(cf.nodes.LinearParams(a=-a), coupling)
        rest = cf.nodes.LinearState(jnp.zeros(1))
        ours = float(cf.critical_k(net, params, rest, 0.0, 6.0))
        yield Row(
            "Hayes 1950", f"x' = -{a:g} x - k x(t - {tau:g}): critical k", published, ours, digit
        )


def positive_weights():
    rng = np.random.default_rng(0)
    w = rng.uniform(size=(8, 8)) * (rng.uniform(size=(8, 8)) < 0.6)
    w /= np.abs(np.linalg.eigvals(w)).max()
    net = cf.Network(cf.nodes.linear, 0.1, lags=rng.integers(50, 201, (8, 8)))
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.asarray(w)))
    ours = float(cf.critical_k(net, params, cf.nodes.LinearState(jnp.zeros(8)), 0.0, 2.0))
    what = "8 regions, weights >= 0 of spectral radius 1, delays of 5 to 20: critical k"
    yield Row("Perron and Frobenius", what, 1.0, ours, 1e-9)


def feed_back(source, target, conn, k):
    """Mackey and Glass's production, of one region from its own past."""
    return k * cf.weighted_sum(conn, source / (1 + source**10))


def mackey_glass_network(tau, dt):
    """Return the network x' = beta x(t - tau) / (1 + x(t - tau)^10) - 0.1 x; beta is its k."""
    net = cf.Network(cf.nodes.linear, dt, lags=jnp.full((1, 1), round(tau / dt)), scheme="rk4")
    coupling = cf.CustomCoupling(feed_back, jnp.ones((1, 1)), k=0.2)
    return net, cf.Params(cf.nodes.LinearParams(a=-0.1), coupling)


def mackey_glass():
    net, params = mackey_glass_network(6.0, 0.1)
    x0 = cf.nodes.LinearState(jnp.array([0.8]))
    ours = float(cf.critical_k(net, params, x0, 0.11, 0.3))
    yield Row("Mackey and Glass 1977", "tau = 6: critical beta", 0.1750904, ours, 1e-7)


def amplitude_death():
    """The least frequency at which two delayed oscillators stop each other, over K and the delay.

    At each K and delay they stop between two frequencies, at which the origin loses its stability. Both
    are found for three delays and continued, as parabolas, to the delay where they meet: there the
    island of death shrinks to nothing. A parabola over three K has the least such frequency.
    """
    dt, lags, inside = 0.0002, np.array([1583, 1590, 1597]), 4.92
    Ks = np.array([2.9, 3.06, 3.2])
    net = cf.Network(cf.nodes.hopf, dt, lag_bounds=(1500, 1700))
    rest = cf.nodes.HopfState(jnp.zeros(2), jnp.zeros(2))

    @jax.jit
    def loses(K, lag, end):
        rule, lengths = cf.DiffusiveCoupling(PAIR, k=K), lag * dt * PAIR
        params = cf.Params(cf.nodes.HopfParams(a=1.0), rule, lengths=lengths, speed=1.0)
        return cf.bifurcation(net, params, rest, inside, end, where=lambda p: p.node.omega).value

    def meet(K):
        ends = [[float(loses(K, float(lag), end)) for lag in lags] for end in (4.5, 5.5)]
        low, high = (np.polyfit(lags - 1632, side, 2) for side in ends)
        away = np.roots(high - low)
        return np.polyval(low, away[np.argmin(np.abs(away))].real)

    ours = vertex(Ks, [meet(K) for K in Ks])
    what = "the least frequency of amplitude death with a delay"
    yield Row("Reddy, Sen and Johnston 1998", what, 4.812, ours, 0.001)


def vertex(x, y):
    """Return the value at the top or bottom of the parabola through three points."""
    a, b, c = np.polyfit(x, y, 2)
    return float(c - b**2 / (4 * a))


CASES = (
    montbrio_pazo_roxin,
    jansen_rit,
    wilson_cowan,
    reduced_wong_wang,
    fitzhugh_nagumo,
    epileptor_2d,
    inhibition_control,
    hayes,
    positive_weights,
    mackey_glass,
    amplitude_death,
)
