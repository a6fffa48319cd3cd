"""How a delayed run is computed: what its program holds, beside the numbers that it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coupling_fn as cf
from coupling_fn._plan import WEIGHT, choose_block, fit_blocks, split

REGIONS, RUNS, STEPS = 29, 7, 256


def delayed_run(scheme="euler", dtype=jnp.float64, steps=STEPS):
    """Give params, and a function of them that simulates: all lags of 32 steps and more."""
    random = np.random.default_rng(0)
    weights = jnp.asarray(random.random((REGIONS, REGIONS)) / REGIONS, dtype)
    lags = jnp.asarray(random.integers(32, 90, weights.shape))
    net = cf.Network(cf.linear, dt=0.1, lags=lags, scheme=scheme)
    params = cf.Params(
        cf.LinearParams(jnp.asarray(-1.0, dtype)),
        cf.AdditiveCoupling(weights, k=jnp.asarray(0.7, dtype)),
    )
    start = net.init(cf.LinearState(jnp.linspace(-1, 1, REGIONS, dtype=dtype)), params)

    def run(params):
        return cf.simulate(net, start, params, steps, record="x", every=steps)[1].sum()

    return params, run


def with_coupling(params, **leaves):
    coupling = cf.AdditiveCoupling(**{"conn": params.coupling.conn, "k": 0.7} | leaves)
    return cf.Params(params.node, coupling)


@pytest.mark.parametrize("scheme", ["heun", "rk4"])
def test_a_scheme_of_more_stages_reads_the_past_no_more_often(scheme):
    def reads(scheme):
        params, run = delayed_run(scheme)
        return jax.jit(run).lower(params).as_text().count("stablehlo.gather")

    assert reads(scheme) == reads("euler") > 0


def test_runs_of_a_sweep_share_their_weights():
    params, run = delayed_run()

    def copies(leaf, values):
        sweep = jax.vmap(jax.value_and_grad(lambda x: run(with_coupling(params, **{leaf: x}))))
        program = jax.jit(sweep).lower(values).as_text()
        return sum(
            program.count(f"tensor<{shape}x")
            for shape in (f"{RUNS}x{REGIONS}x{REGIONS}", f"{REGIONS}x{REGIONS}x{RUNS}")
        )

    assert copies("conn", jnp.ones((RUNS, REGIONS, REGIONS))) > 0  # where they do differ
    assert copies("k", jnp.linspace(0.1, 1.0, RUNS)) == 0


@pytest.mark.optimised
@pytest.mark.parametrize("leaf", ["k", "conn"])
def test_a_gradient_keeps_the_trajectory_and_not_what_edges_carried(leaf):
    def memory(steps):
        params, run = delayed_run(dtype=jnp.float32, steps=steps)
        loss = jax.value_and_grad(lambda x: run(with_coupling(params, **{leaf: x})))
        compiled = jax.jit(loss).lower(getattr(params.coupling, leaf)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    a_step = (memory(4 * STEPS) - memory(STEPS)) / (3 * STEPS)
    assert a_step < 4 * 10 * REGIONS < 4 * REGIONS**2


def test_the_block_is_what_costs_least():
    far = np.full((9, 9), 40)
    assert choose_block([far], []) == max(WEIGHT)
    assert choose_block([far], [8]) == 8  # lags not known but for their least
    one_near = np.where(np.eye(9) > 0, 5, 40)
    assert choose_block([one_near], []) == max(WEIGHT)
    assert choose_block([far, np.where(far > 0, 20, 0)], []) < max(WEIGHT)


def test_an_edge_is_in_the_block_or_apart():
    lags = np.array([[0, 7, 8], [40, 3, 0], [9, 9, 9]])
    parts = split(lags, 8)
    assert parts.now.tolist() == [[0], [2], [-1]]
    assert parts.near.tolist() == [[1], [1], [-1]]
    assert parts.far


@pytest.mark.parametrize("steps", [1, 31, 32, 2048, 2049, 10_000])
def test_blocks_cover_a_run_with_less_than_a_stretch_beyond_it(steps):
    blocks = fit_blocks(32, steps, lag=50)
    assert blocks.stretch * blocks.stretches == steps + blocks.beyond
    assert 0 <= blocks.beyond < blocks.stretch
    assert blocks.depth >= 51 + blocks.beyond
    assert blocks.depth % 32 == 0
