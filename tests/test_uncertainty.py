"""Uncertainties: curvature, profile likelihood and bootstrap against closed forms."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

RNG = np.random.default_rng(0)
DESIGN = RNG.normal(size=(30, 3)) * [1.0, 10.0, 0.1]
TRUE = np.asarray([0.5, -0.2, 3.0])
DATA = DESIGN @ TRUE + 0.3 * RNG.normal(size=30)
BEST = np.linalg.lstsq(DESIGN, DATA, rcond=None)[0]


def where(p):
    return p["a"], p["b"]


def at(x):
    return {"a": jnp.asarray(x[:2]), "b": jnp.asarray(x[2]), "rest": jnp.ones(2)}


def residuals(p):
    return jnp.asarray(DESIGN) @ jnp.concatenate([p["a"], p["b"][None]]) - jnp.asarray(DATA)


def test_a_linear_model_has_the_errors_of_the_textbook():
    rest = DESIGN @ BEST - DATA
    variance = rest @ rest / 27
    covariance = variance * np.linalg.inv(DESIGN.T @ DESIGN)
    errors = np.sqrt(np.diagonal(covariance))
    for derivative in ("forward", "reverse"):
        got = cf.uncertainty(residuals, at(BEST), where=where, derivative=derivative)
        assert_close(got.covariance, covariance, ulps=2**12)
        assert_close(np.append(*got.error), errors, ulps=2**12)
    assert_close(np.append(*got.upper), BEST + 1.96 * errors, ulps=2**12)
    assert got.names == ("params['a'][0]", "params['a'][1]", "params['b']")
    assert got.identified.all() and got.warned == () and got.distance < 1e-6
    given = cf.uncertainty(residuals, at(BEST), where=where, noise=2.0)
    assert_close(given.covariance, covariance * 4 / variance, ulps=2**12)
    # a negative log-likelihood gives the same, and so does a transform
    loss = lambda p: jnp.sum(residuals(p) ** 2) / (2 * variance)
    ranges = (cf.transforms.bounded(-1.0, 2.0), cf.transforms.positive())
    for options in ({}, {"transform": ranges}):
        got = cf.uncertainty(loss, at(BEST), where=where, **options)
        assert_close(np.append(*got.error), errors, ulps=2**20)  # its slope is 0 to rounding


@pytest.mark.thorough
def test_intervals_keep_to_their_range():
    """The interval of a k of 0.02 ± 0.05 is positive, and that of a share of 0.9 ± 0.2 is below 1."""
    at = {"k": jnp.asarray(0.02), "share": jnp.asarray([0.9, 0.5]), "lost": jnp.asarray(0.3)}
    parts = lambda p: (p["k"], p["share"], p["lost"])
    loss = lambda p: (
        ((p["k"] - 0.02) / 0.05) ** 2 / 2 + jnp.sum(((p["share"] - at["share"]) / 0.2) ** 2) / 2
    )
    ranges = (
        cf.transforms.positive(),
        cf.transforms.bounded(0.0, 1.0),
        cf.transforms.bounded(0.0, 1.0),
    )
    with pytest.warns(UserWarning, match="Not identified"):
        got = cf.uncertainty(loss, at, where=parts, transform=ranges)
    assert_close(got.error[:2], (np.asarray(0.05), np.full(2, 0.2)), ulps=2**12)
    for x, low, high, error, rule in zip(
        parts(at), got.lower, got.upper, got.error, ranges, strict=True
    ):
        u, slope = (
            rule.inverse(x),
            jax.vmap(jax.grad(rule.forward))(jnp.atleast_1d(rule.inverse(x))),
        )
        for end, side in ((low, -1), (high, 1)):
            moved = u + side * 1.96 * jnp.reshape(error / slope, jnp.shape(x))
            assert_close(end, rule.forward(moved), ulps=2**12)
    assert got.lower[2] < 1e-12 and got.upper[2] > 1 - 1e-12  # the data say nothing else
    assert 0 < got.lower[0] < 0.02 < got.upper[0] and (got.upper[1] < 1).all()


@pytest.mark.thorough
def test_one_number_for_an_edge_both_ways():
    target = jnp.asarray([[0.0, 1.0], [1.2, 0.0]])
    p = {"conn": jnp.asarray([[0.0, 1.1], [1.1, 0.0]])}
    tied = cf.transforms.masked(np.eye(2) == 0, symmetric=True)
    loss = lambda p: jnp.sum((p["conn"] - target) ** 2) / (2 * 0.1**2)
    got = cf.uncertainty(loss, p, where=lambda p: p["conn"], transform=tied)
    half = 0.1 / np.sqrt(2)
    assert_close(got.error, np.asarray([[0.0, half], [half, 0.0]]), ulps=64)
    assert got.names == ("unconstrained params['conn'][0]",)


def test_what_the_data_do_not_determine_is_named():
    def only_the_product(p):
        return p["a"][0] * p["b"] * jnp.arange(1.0, 5.0) + p["a"][1] - jnp.ones(4)

    with pytest.warns(UserWarning, match="Not identified: the loss does not change along"):
        got = cf.uncertainty(only_the_product, at(np.asarray([2.0, 1.0, 3.0])), where=where)
    assert got.identified.tolist() == [False, True, False]
    assert np.isinf([got.error[0][0], got.error[1]]).all() and np.isfinite(got.error[0][1])
    assert got.sloppy() == ("+0.71 params['a'][0], -0.71 params['b']",)
    assert "Not identified" in str(got) and "inf" in str(got)
    with pytest.warns(UserWarning, match=r"along \+1.00 params\['rest'\]\[1\]"):
        cf.uncertainty(lambda p: p["rest"][:1] * jnp.ones(3), at(BEST), where=lambda p: p["rest"])


def test_where_there_is_no_minimum_it_says_so():
    with pytest.warns(UserWarning, match=r"No minimum: the loss falls along \+1.00 params\['b'\]"):
        cf.uncertainty(lambda p: p["a"][0] ** 2 - p["b"] ** 2, at(TRUE * 0), where=lambda p: p["b"])
    bowl = lambda p: 50.0 * (p["b"] - 1.0) ** 2
    with pytest.warns(UserWarning, match="a minimum lies 20 standard errors off"):
        got = cf.uncertainty(bowl, at(TRUE), where=lambda p: p["b"])
    assert_close(got.distance, np.asarray(20.0), ulps=16)


@pytest.mark.thorough
def test_of_a_delayed_network_both_informations_agree():
    W = jnp.asarray([[0.0, 0.9], [0.4, 0.0]])
    net = cf.Network(cf.nodes.linear, dt=0.5, scheme="euler", lags=jnp.asarray([[2, 5], [3, 2]]))
    params = cf.Params(cf.nodes.LinearParams(a=-0.6), cf.AdditiveCoupling(W, k=0.5))
    state = net.init(cf.nodes.LinearState(jnp.asarray([1.0, -0.5])), params)

    def run(p, derivative="reverse"):
        return cf.simulate(net, state, p, steps=12, record="x", derivative=derivative)[1]

    data = run(params)
    pick = lambda p: (p.coupling.k, p.node.a)
    k, a, by = jnp.asarray(0.5), jnp.asarray(-0.6), 1e-6
    moved = [run(eqx.tree_at(pick, params, at)) for at in ((k + by, a), (k, a + by))]
    slow = [(x - data).ravel() / by for x in moved]
    wanted = np.asarray([[a @ b for a in slow] for b in slow]) / 0.01
    rows = [
        cf.uncertainty(lambda p: run(p) - data, params, where=pick, noise=0.1),
        cf.uncertainty(lambda p: run(p, "forward") - data, params, where=pick, noise=0.1),
        cf.uncertainty(lambda p: jnp.sum((run(p) - data) ** 2) / 0.02, params, where=pick),
    ]
    for got in rows:  # without residuals there are none of their second derivatives
        assert_close(got.information, wanted, ulps=2**36)  # differences of 1e-6


def test_a_profile_of_a_parabola_is_its_interval():
    loss = lambda p: jnp.sum(residuals(p) ** 2) / (2 * 0.3**2)
    sure = cf.uncertainty(loss, at(BEST), where=where)
    ks = BEST[2] + sure.error[1] * jnp.linspace(-3, 3, 25)
    rest = lambda p: p["a"]
    got = cf.profile_likelihood(loss, at(BEST), along=lambda p: p["b"], values=ks, where=rest)
    z = np.sqrt(2 * 1.92)
    wanted = [BEST[2] - z * sure.error[1], BEST[2] + z * sure.error[1]]
    assert np.allclose(got.interval, wanted, rtol=0, atol=0.01 * sure.error[1])
    assert_close(got.losses - got.losses[12], np.linspace(-3, 3, 25) ** 2 / 2, ulps=2**24)
    others = DESIGN[:, :2]  # what is left for the others at each k
    by_hand = [np.linalg.lstsq(others, DATA - DESIGN[:, 2] * k, rcond=None)[0] for k in ks]
    assert_close(got.leaves, np.stack(by_hand), ulps=2**26)
    alone = cf.profile_likelihood(loss, at(BEST), along=lambda p: p["b"], values=ks)
    assert (alone.losses >= got.losses - 1e-9).all() and alone.losses[0] > got.losses[0] + 0.01


def test_a_flat_profile_says_so():
    loss = lambda p: (p["a"][0] * p["b"] - 1.0) ** 2
    ks = jnp.linspace(0.5, 2.0, 7)
    with pytest.warns(UserWarning, match=r"below and above the best params\['b'\]"):
        got = cf.profile_likelihood(
            loss, at(TRUE), along=lambda p: p["b"], values=ks, where=lambda p: p["a"]
        )
    assert got.interval == (-np.inf, np.inf)
    assert_close(got.leaves[:, 0], 1 / ks, ulps=2**28)


def mean_loss(p, data):
    return jnp.sum((data["x"] - p["b"]) ** 2)


def test_a_bootstrap_of_a_mean_has_its_standard_error():
    data = {"x": jnp.asarray(RNG.exponential(size=40)), "unread": jnp.ones((40, 2))}
    options = {"where": lambda p: p["b"], "samples": 200, "steps": 4}
    key = jax.random.key(0)
    got = cf.bootstrap(mean_loss, at(TRUE), data, key, **options)
    error = np.std(data["x"]) / np.sqrt(40)
    assert abs(got.error / error - 1) < 0.15  # 1 / √(2·200) is 0.05
    assert got.samples.shape == (200,)
    assert abs(got.samples.mean() - data["x"].mean()) < 4 * error / 14
    assert (got.lower, got.upper) == tuple(np.quantile(got.samples, (0.025, 0.975)))
    chunked = cf.bootstrap(mean_loss, at(TRUE), data, key, chunk=120, **options)
    assert_close(chunked.samples, got.samples, ulps=64)


@pytest.mark.thorough
def test_a_block_bootstrap_keeps_neighbours_together():
    rows = {"x": jnp.repeat(jnp.asarray(RNG.normal(size=12)), 5)}  # in runs of five
    errors = [
        cf.bootstrap(
            mean_loss,
            at(TRUE),
            rows,
            jax.random.key(1),
            where=lambda p: p["b"],
            samples=200,
            steps=4,
            block=block,
        ).error
        for block in (1, 10)
    ]
    assert errors[1] > 1.6 * errors[0]  # √5 for long records


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: cf.uncertainty(lambda p: 1.0, at(BEST), where=where), TypeError, "not 1.0|float"),
        (
            lambda: cf.uncertainty(lambda p: jnp.ones(3), at(BEST), where=where),
            ValueError,
            "There are 3 residuals for 3 fitted values",
        ),
        (
            lambda: cf.uncertainty(lambda p: p["b"], at(BEST), where=where, noise=1.0),
            ValueError,
            "`noise` is that of residuals",
        ),
        (
            lambda: cf.uncertainty(lambda p: jnp.log(p["b"] - 9), at(BEST), where=where),
            ValueError,
            "must be finite at `params`",
        ),
        (
            lambda: cf.profile_likelihood(mean_loss, at(BEST), along=where, values=jnp.arange(3.0)),
            ValueError,
            "`along` must return one number",
        ),
        (
            lambda: cf.profile_likelihood(
                mean_loss, at(BEST), along=lambda p: p["b"], values=jnp.arange(3.0)[::-1]
            ),
            ValueError,
            "in increasing order",
        ),
        (
            lambda: cf.bootstrap(
                mean_loss, at(BEST), jnp.ones(3), jax.random.key(0), where=where, block=4
            ),
            ValueError,
            "`block` must be from 1 to 3",
        ),
        (
            lambda: cf.bootstrap(
                mean_loss, at(BEST), (jnp.ones(3), jnp.ones(2)), jax.random.key(0), where=where
            ),
            ValueError,
            "a leading axis of one length",
        ),
    ],
)
def test_mistakes(call, error, match):
    with refuses(match=match, error=error), warnings.catch_warnings():
        call()
