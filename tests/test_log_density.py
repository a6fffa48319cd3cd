"""The log-density of a fit, and two samplers that take it as it is."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from jax.test_util import check_grads

import coupling_fn as cf

P = {"k": jnp.asarray(0.5), "a": jnp.asarray([-0.5, 0.7]), "rest": jnp.asarray(3.0)}


def loss(p):
    return (p["k"] - 0.8) ** 2 / 0.02 + jnp.sum(p["a"] ** 2) * p["rest"]


def prior(leaves):
    k, a = leaves
    return -k - 0.5 * jnp.sum((a - 0.1) ** 2)


DENSITY = cf.log_density(
    loss,
    P,
    where=lambda p: (p["k"], p["a"]),
    transform=(cf.transforms.positive(), cf.transforms.bounded(-1.0, 2.0)),
    prior=prior,
)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_density_is_its_formula(transform):
    u = (np.asarray(0.3), np.asarray([-0.2, 1.5]))
    got = TRANSFORMS[transform](DENSITY)(jax.tree.map(jnp.asarray, u))
    k, share = np.log1p(np.exp(u[0])), 1 / (1 + np.exp(-u[1]))
    a = -1 + 3 * share
    wanted = -((k - 0.8) ** 2 / 0.02 + 3 * (a**2).sum()) - k - 0.5 * ((a - 0.1) ** 2).sum()
    wanted += np.log(1 / (1 + np.exp(-u[0]))) + np.log(3 * share * (1 - share)).sum()
    assert_close(got, np.asarray(wanted), ulps=64)
    assert_close(DENSITY.potential(jax.tree.map(jnp.asarray, u)), np.asarray(-wanted), ulps=64)


def test_one_compiled_program_serves_many_data_sets():
    def at_start(data):
        return cf.log_density(
            lambda p: jnp.sum((p["a"] - data) ** 2),
            P,
            where=lambda p: (p["k"], p["a"]),
            transform=(cf.transforms.positive(), cf.transforms.bounded(-1.0, 2.0)),
        )(DENSITY.start)

    data = jnp.asarray([[0.3, 0.7], [1.0, 0.0]])
    assert_close(jax.jit(jax.vmap(at_start))(data), jnp.stack([at_start(x) for x in data]), ulps=8)


@pytest.mark.thorough
def test_it_has_gradients_a_start_and_a_way_back():
    check_grads(jax.jit(DENSITY), (DENSITY.start,), order=2)
    assert_close(DENSITY.leaves(DENSITY.start), (P["k"], P["a"]), ulps=8)
    assert DENSITY.params(DENSITY.start)["rest"] == 3.0
    rows = jax.vmap(DENSITY.leaves)(jax.tree.map(lambda u: jnp.stack([u, u + 1]), DENSITY.start))
    assert rows[1].shape == (2, 2)


@pytest.mark.thorough
def test_densities_integrate_to_one():
    """A flat prior is uniform within bounds and over a symmetric matrix: the Jacobian is right."""
    u = jnp.linspace(-30.0, 30.0, 20_001)
    flat = cf.log_density(
        lambda p: jnp.log(3.0) + 0 * p["k"],
        P,
        where=lambda p: p["k"],
        transform=cf.transforms.bounded(-1.0, 2.0),
    )
    total = jnp.trapezoid(jnp.exp(jax.vmap(lambda u: flat((u,)))(u)), u)
    assert abs(total - 1) < 1e-9
    edge = cf.transforms.masked(np.eye(2) == 0, cf.transforms.positive(), symmetric=True)
    pair = cf.log_density(
        lambda p: p["conn"].sum() / 2,  # exponential with rate 1 in the only free entry
        {"conn": jnp.asarray([[0.0, 1.0], [1.0, 0.0]])},
        where=lambda p: p["conn"],
        transform=edge,
    )
    total = jnp.trapezoid(jnp.exp(jax.vmap(lambda u: pair((u[None],)))(u)), u)
    assert abs(total - 1) < 1e-9


def test_a_loss_that_is_not_one_float():
    with refuses(match="`loss` must return one float", error=TypeError):
        cf.log_density(lambda p: p["a"], P, where=lambda p: p["a"])((P["a"],))


W = jnp.asarray([[0.0, 0.8], [0.5, 0.0]])
NET = cf.Network(cf.nodes.hopf, dt=1.0, lags=jnp.asarray([[1, 4], [3, 1]]))
TRUTH = cf.Params(cf.nodes.HopfParams(a=-0.05, omega=0.3), cf.DiffusiveCoupling(W, k=0.15))
STATE = NET.init(cf.nodes.HopfState(jnp.asarray([1.0, -0.4]), jnp.zeros(2)), TRUTH)


def record(p):
    return cf.simulate(NET, STATE, p, steps=24, record="x")[1]


DATA = record(TRUTH) + 0.05 * jax.random.normal(jax.random.key(5), (24, 2))


def delayed():
    """Return the density of k and two node parameters of a delayed network, with noise of 0.05."""
    return cf.log_density(
        lambda p: 0.5 * jnp.sum(((record(p) - DATA) / 0.05) ** 2),
        TRUTH,
        where=lambda p: (p.coupling.k, p.node.a, p.node.omega),
        transform=(
            cf.transforms.positive(),
            cf.transforms.bounded(-0.5, 0.5),
            cf.transforms.positive(),
        ),
        prior=lambda leaves: -leaves[0],
    )


def judge(density, draws):
    """Means and spreads are those of the curvature, which here is all but exact."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the truth is not where this noise has its minimum
        sure = cf.uncertainty(
            lambda p: (record(p) - DATA) / 0.05,
            TRUTH,
            where=lambda p: (p.coupling.k, p.node.a, p.node.omega),
            noise=1.0,
        )
    for x, error, truth in zip(
        jax.vmap(density.leaves)(draws), sure.error, sure.estimate, strict=True
    ):
        assert abs(x.mean() - truth) < 4 * error
        assert 0.6 < x.std() / error < 1.6


@pytest.mark.optimised
def test_numpyro_takes_it():
    numpyro = pytest.importorskip("numpyro")
    density = delayed()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        kernel = numpyro.infer.NUTS(potential_fn=density.potential)
        chain = numpyro.infer.MCMC(kernel, num_warmup=200, num_samples=300, progress_bar=False)
        chain.run(jax.random.key(0), init_params=density.start)
    judge(density, chain.get_samples())


@pytest.mark.optimised
def test_blackjax_takes_it():
    blackjax = pytest.importorskip("blackjax")
    density = delayed()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        warmup = blackjax.window_adaptation(blackjax.nuts, density)
        (state, tuned), _ = warmup.run(jax.random.key(0), density.start, 200)
        step = blackjax.nuts(density, **tuned).step

        def one(state, key):
            state, _ = step(key, state)
            return state, state.position

        keys = jax.random.split(jax.random.key(1), 300)
        draws = jax.jit(lambda state: jax.lax.scan(one, state, keys)[1])(state)
    judge(density, draws)
