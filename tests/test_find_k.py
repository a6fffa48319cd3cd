"""Finding k: on signals whose onset, saturation and best k are known, and on a network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from helpers import refuses

import coupling_fn as cf

TIME = jnp.arange(0.0, 3000.0, 10.0)[:, None]  # ms
OWN = jax.random.normal(jax.random.key(0), (300, 12))
LOADS = jnp.linspace(0.5, 2.0, 12)[None, :]


def run(k):
    """Return signals whose common part grows with k, in some regions more than in others."""
    return OWN + k * LOADS * 3 * jnp.sin(TIME / 16)


def test_the_best_k_its_range_and_its_reasons():
    ks = np.geomspace(0.02, 20, 10)
    search = cf.find_k(run, cf.observe.functional_connectivity(run(0.5)), ks=ks, progress=False)
    assert abs(search.k / 0.5 - 1) < 0.01
    low, high = search.working_range
    chance = [cf.observe.chance_synchrony(cf.observe.instantaneous_phase(run(k))) for k in ks]
    np.testing.assert_allclose(search.chance, chance, rtol=1e-9)
    inside = (search.synchrony >= 1.4 * search.chance) & (search.synchrony <= 0.8)
    assert 0 < inside.sum() < len(ks) - 2 and (low, high) == (ks[inside][0], ks[inside][-1])
    text = str(search)
    for words in ("sets in at about", "is saturated from", "agrees best", "By gradient"):
        assert words in text
    assert set(search.regimes) == {"uncoupled", "working range", "over-synchronised"}
    assert [r == "working range" for r in search.regimes] == inside.tolist()
    assert np.isfinite(search.fit.losses).all() and search.fit.loss < search.fit.losses[0]
    assert text.count("\n") == len(ks) + len(search.reasons)
    assert cf.name_regime(search.synchrony[0], 12) == cf.name_regime(jnp.asarray(0.1), 12)
    turn = lambda k: (run(k), TIME * jnp.ones((1, 12)))  # phases of its own, but as strong
    given = cf.find_k(turn, jnp.corrcoef(run(0.5).T), ks=ks[:2], fit_steps=0, progress=False)
    assert set(given.regimes) == {"over-synchronised"}
    wrong_way = cf.find_k(
        run, cf.observe.functional_connectivity(run(0.1)), ks=ks, fit_steps=0, progress=False
    )
    assert wrong_way.k < 0.2 and wrong_way.fit is None  # so the target matters


def test_what_the_scan_does_not_reach_is_said():
    target = cf.observe.functional_connectivity(run(0.5))

    def reasons(run, ks):
        found = cf.find_k(run, target, ks=np.asarray(ks), fit_steps=0, progress=False)
        return " ".join(found.reasons), found

    text, found = reasons(run, [0.001, 0.002])
    assert "does not set in" in text and "end of the scan" in text and "outside" in text
    assert np.isnan(found.working_range).all()
    assert "from the first k" in reasons(run, [2.0, 3.0])[0]
    text, found = reasons(lambda k: jnp.where(k > 1, jnp.nan, run(k)), [0.1, 0.5, 2.0])
    assert "explode at k = 2" in text and found.k == 0.5


def test_a_network_gives_back_the_k_it_was_made_with():
    conn = cf.normalize(jax.random.uniform(jax.random.key(1), (6, 6)) ** 3, by="row")
    net = cf.Network(cf.nodes.linear, 0.5, scheme="euler")
    params = cf.Params(cf.nodes.LinearParams(a=-0.2), cf.AdditiveCoupling(conn), noise=0.1)
    x0 = cf.nodes.LinearState(jnp.zeros(6))

    def signals(k):
        there = eqx.tree_at(lambda p: p.coupling.k, params, k)
        state = net.init(x0, there, key=jax.random.key(2))
        return cf.simulate(net, state, there, 800, record="x", every=4)[1]

    target = cf.observe.functional_connectivity(signals(jnp.asarray(0.11)))
    search = cf.find_k(signals, target, ks=np.geomspace(0.02, 0.18, 5), progress=False)
    assert abs(search.k / 0.11 - 1) < 0.02


def test_what_cannot_be_is_refused_before_anything_runs():
    def never(k):
        jax.debug.callback(lambda: 1 / 0)
        return run(k)

    good = np.asarray(cf.observe.functional_connectivity(run(0.5)))
    for fc, match in [
        (np.triu(good), "must be symmetric"),
        (np.full((12, 12), np.nan), "must be finite"),
        (good[:5, :5], r"must be \(12, 12\)"),
        (np.ones((12, 12)), "same for all pairs"),
    ]:
        with refuses(match):
            cf.find_k(never, fc)
    for ks, match in [([0.2, 0.1], "rising"), ([0.0, 0.1], "positive"), ([], "in a row")]:
        with refuses(match):
            cf.find_k(never, good, ks=np.asarray(ks))
    for wrong in (lambda k: k, lambda k: (run(k), run(k)[0]), lambda k: (run(k),) * 3):
        with refuses("must return signals", TypeError):
            cf.find_k(wrong, good)
    with refuses("No run of the scan is finite", FloatingPointError):
        cf.find_k(lambda k: run(k) * jnp.nan, good, ks=np.asarray([0.1]), progress=False)
