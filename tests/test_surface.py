"""A surface: vertices coupled over short distances, and their regions over long, delayed tracts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf

VERTICES, REGIONS, DT, STEPS = 11, 3, 0.1, 17
LABELS = np.array([2, 0, 1, 1, -1, 0, 2, 2, 1, -1, 0])
RNG = np.random.default_rng(5)
KERNEL = directed(VERTICES, VERTICES, seed=6)
TRACTS = directed(REGIONS, REGIONS, seed=1)
TRACTS[1, 2] = 0.9
LAGS = RNG.integers(8, 15, (REGIONS, REGIONS))
LAGS[0, 0] = 0
PAST = RNG.normal(size=(int(LAGS.max()), REGIONS))
X0 = RNG.normal(size=VERTICES)
PARCELLATION = cf.Parcellation(LABELS)


def mean(x):
    return np.array([np.mean(np.asarray(x)[r == LABELS]) for r in range(REGIONS)])


def test_means_and_their_way_back_are_loops():
    x, y = jnp.asarray(X0), jnp.arange(1.0, 4.0)
    assert_close(PARCELLATION.mean(x), mean(X0), ulps=8)
    spread = np.array([0.0 if r < 0 else y[r] for r in LABELS])
    assert_close(PARCELLATION.spread(y), spread, ulps=1)
    slope = jax.grad(lambda x: PARCELLATION.mean(x) @ y)(x)
    assert_close(slope, spread / np.array([(r == LABELS).sum() for r in LABELS]), ulps=8)
    assert_close(jax.jvp(PARCELLATION.spread, (y,), (y,))[1], spread, ulps=1)


@pytest.mark.every(2)
@pytest.mark.parametrize("rule", ["diffusive", "additive"])
def test_a_surface_is_the_oracle_with_tracts_from_regions_onto_vertices(rule):
    make = {"additive": cf.AdditiveCoupling, "diffusive": cf.DiffusiveCoupling}[rule]
    wires = {
        "local": cf.Wire("x", into="x"),
        "long": cf.Wire(lambda state: PARCELLATION.mean(state.x), into="x"),
    }
    net = cf.Network(cf.nodes.linear, DT, couplings=wires, lags={"local": None, "long": LAGS})
    couplings = {
        "local": cf.DiffusiveCoupling(cf.to_sparse(KERNEL), 0.3),
        "long": cf.RegionalCoupling(make(TRACTS, 0.8), PARCELLATION),
    }
    params = cf.Params(cf.nodes.LinearParams(a=-1.0), couplings)
    state = net.init(cf.nodes.LinearState(jnp.asarray(X0)), params, history={"long": PAST})

    def run(k):
        there = eqx.tree_at(lambda p: p.coupling["long"].coupling.k, params, k)
        return cf.simulate(net, state, there, STEPS, record="x")[1]

    def judged(k):
        """The oracle has one source per target: the mean of each region, at its vertices."""
        onto = np.zeros((VERTICES, VERTICES))
        lags = np.ones((VERTICES, VERTICES), int)
        first = [int(np.flatnonzero(r == LABELS)[0]) for r in range(REGIONS)]
        for i in np.flatnonzero(LABELS >= 0):
            onto[i, first], lags[i, first] = TRACTS[LABELS[i]], LAGS[LABELS[i]]

        def spread(x):
            return np.append(mean(x["x"]), 0.0)[LABELS]

        wires = [
            oracle.Wire(oracle.diffusive(0.3), KERNEL, "x", "x"),
            oracle.Wire(getattr(oracle, rule)(k), onto, spread, "x", lags, key="long"),
        ]
        past = {"long": np.append(PAST, np.zeros((len(PAST), 1)), axis=1)[:, LABELS]}
        net = oracle.Net(oracle.linear(-1.0), wires, DT, "heun", history=past)
        return net.run({"x": X0}, STEPS)["x"]

    values, back = jax.vjp(run, jnp.asarray(0.8))
    assert_close(values, judged(0.8), ulps=2**12)
    assert np.abs(judged(0.8) - judged(0.0)).max() > 0.1
    slope = (judged(0.8 + 1e-6) - judged(0.8 - 1e-6)).sum() / 2e-6
    np.testing.assert_allclose(back(jnp.ones_like(values))[0], slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("error", "match", "make"),
    [
        (ValueError, r"must lie in -1 … 1; they span 0 … 2", lambda: cf.Parcellation([0, 2], 2)),
        (ValueError, "Region 1 has no vertex", lambda: cf.Parcellation([0, 2])),
        (TypeError, "must be whole numbers", lambda: cf.Parcellation([0.0, 1.0])),
        (
            ValueError,
            r"`x` must have shape \(11,\), not \(3,\)",
            lambda: PARCELLATION.mean(jnp.ones(3)),
        ),
        (
            ValueError,
            r"`conn` must have shape \(3, 3\), not \(2, 2\)",
            lambda: cf.RegionalCoupling(cf.AdditiveCoupling(jnp.eye(2)), PARCELLATION),
        ),
    ],
)
def test_what_does_not_fit_is_refused(error, match, make):
    with refuses(match, error):
        make()


def test_a_surface_of_other_vertices_than_the_state_is_refused():
    long = cf.RegionalCoupling(cf.AdditiveCoupling(jnp.eye(3)), PARCELLATION)
    wire = cf.Wire(lambda state: state.x[:3], into="x")
    net = cf.Network(cf.nodes.linear, 1.0, couplings={"long": wire})
    params = cf.Params(cf.nodes.LinearParams(), {"long": long})
    with refuses("'long' has 11 targets, and the input 'x' has 7"):
        net.init(cf.nodes.LinearState(jnp.zeros(7)), params)
