"""How a delayed run is computed: its blocks, its memory, and what its gradient keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

import coupling_fn as cf
from coupling_fn._delays import choose_block_sizes, plan_run, split_edges
from coupling_fn._delays._plan import COST_BLOCKED, STEPWISE_BLOCK

REGIONS, RUNS, STEPS = 29, 7, 256


def delayed_run(scheme="euler", dtype=jnp.float64, steps=STEPS, least=32, simulate=cf.simulate):
    """Return parameters and a loss of a run with them, whose lags are `least` steps and more."""
    random = np.random.default_rng(0)
    weights = jnp.asarray(random.random((REGIONS, REGIONS)) / REGIONS, dtype)
    lags = jnp.asarray(random.integers(least, least + 60, weights.shape))
    net = cf.Network(cf.nodes.linear, dt=0.1, lags=lags, scheme=scheme)
    params = cf.Params(
        cf.nodes.LinearParams(jnp.asarray(-1.0, dtype)),
        cf.AdditiveCoupling(weights, k=jnp.asarray(0.7, dtype)),
    )
    start = net.init(cf.nodes.LinearState(jnp.linspace(-1, 1, REGIONS, dtype=dtype)), params)

    def run(params):
        return (simulate(net, start, params, steps, record="x", every=16)[1] ** 2).sum()

    return params, run


def with_coupling(params, **leaves):
    coupling = cf.AdditiveCoupling(**{"conn": params.coupling.conn, "k": 0.7} | leaves)
    return cf.Params(params.node, coupling)


def step_by_step(net, state, params, steps, *, record, every):
    """Do what `simulate` does one step at a time, so that JAX itself differentiates it."""

    def one(state, _):
        state = net(state, params)
        return state, getattr(state.node, record)

    state, xs = jax.lax.scan(one, state, length=steps)
    return state, xs[every - 1 :: every]


@pytest.mark.parametrize(("least", "block"), [(4, 4), (8, 8), (16, 16), (32, 32)])
def test_blocks_of_every_size_are_the_step_by_step_run_and_have_its_gradient(least, block):
    assert choose_block_sizes([np.full((84, 84), least)]) == (block,)

    def of(simulate):
        params, run = delayed_run("heun", steps=160, least=least, simulate=simulate)
        return jax.jit(jax.value_and_grad(run))(params)

    assert_close(of(cf.simulate), of(step_by_step), ulps=2**10)


def in_two_runs(net, state, params, steps, **how):
    """Do what `simulate` does in two calls, the second from where the first ended."""
    state, first = cf.simulate(net, state, params, steps // 2, **how)
    state, second = cf.simulate(net, state, params, steps // 2, **how)
    return state, jnp.concatenate([first, second])


@pytest.mark.thorough
@pytest.mark.parametrize("least", [32, 1])
def test_a_gradient_goes_through_a_run_and_the_one_before_it(least):
    """Both calls share one compiled program, though only the second has a start that varies."""

    def of(simulate):
        params, run = delayed_run(steps=160, least=least, simulate=simulate)
        slopes = jax.jit(jax.grad(lambda k: run(with_coupling(params, k=k))))(0.7)
        return slopes, jax.jit(jax.grad(run))(params)

    assert_close(of(in_two_runs), of(cf.simulate), ulps=2**10)


def oldest(state):
    """A record of the state and of the oldest entry of the history."""
    return state.node.x, state.history["x"][0]


def test_a_record_that_reads_the_history_stays_on_the_blocked_road():
    params, _ = delayed_run(steps=160)
    lags = jnp.asarray(np.random.default_rng(1).integers(32, 92, (REGIONS, REGIONS)))
    net = cf.Network(cf.nodes.linear, dt=0.1, lags=lags, scheme="euler")
    start = net.init(cf.nodes.LinearState(jnp.linspace(-1.0, 1.0, REGIONS)), params)

    def one(state, params):
        state = net(state, params)
        return state, oldest(state)

    def by_steps(params):
        return jax.lax.scan(lambda s, _: one(s, params), start, length=80)[1]

    def by_simulate(params, record=oldest):
        return cf.simulate(net, start, params, 80, record=record)[1]

    def loss(run):
        return jax.jit(jax.value_and_grad(lambda p: sum((x**2).sum() for x in run(p))))

    assert_close(by_simulate(params), by_steps(params), ulps=2**8)
    assert_close(loss(by_simulate)(params), loss(by_steps)(params), ulps=2**10)

    with pytest.raises(TypeError, match="forward-mode"):  # of the adjoint, which the scan lacks
        jax.jvp(by_simulate, (params,), (params,))


@pytest.mark.parametrize("scheme", ["heun", "rk4"])
def test_a_scheme_of_more_stages_reads_the_history_no_more_often(scheme):
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


@pytest.mark.every(2)
@pytest.mark.optimised
@pytest.mark.parametrize("leaf", ["conn", "k"])
def test_a_gradient_keeps_the_trajectory_and_not_what_edges_carried(leaf):
    def memory(steps):
        params, run = delayed_run(dtype=jnp.float32, steps=steps)
        loss = jax.value_and_grad(lambda x: run(with_coupling(params, **{leaf: x})))
        compiled = jax.jit(loss).lower(getattr(params.coupling, leaf)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    a_step = (memory(4 * STEPS) - memory(STEPS)) / (3 * STEPS)
    assert a_step < 4 * 10 * REGIONS < 4 * REGIONS**2


def test_the_blocks_are_what_costs_least():
    far = np.full((90, 90), 40)
    assert choose_block_sizes([far]) == (max(COST_BLOCKED),)
    assert choose_block_sizes([far], [8]) == (32, 8)  # lags not known but for their least
    assert choose_block_sizes([], [3]) == choose_block_sizes([]) == (STEPWISE_BLOCK,)
    one_near = np.where(np.eye(90) > 0, 5, 40)
    assert choose_block_sizes([one_near]) == (32, 4)
    assert choose_block_sizes([np.where(np.eye(90) > 0, 2, 40)]) == (32,)  # that edge goes stepwise
    half_near = np.where(np.arange(90) % 2, 20, 40) * np.ones((90, 1), int)
    assert choose_block_sizes([half_near]) == (16,)
    assert choose_block_sizes([far[0]]) == (32,)  # one lag per stored edge


def test_an_edge_is_in_one_of_the_blocks_or_apart():
    lags = np.array([[0, 7, 8], [40, 3, 0], [9, 9, 4]])
    parts = split_edges(lags, lags, (8, 4))
    assert parts.instantaneous.tolist() == [[0], [2], [-1]]
    assert parts.stepwise.tolist() == [[-1], [1], [-1]]
    assert parts.stepwise_lag == 3
    (near,) = parts.near
    assert near.block_size == 4
    assert near.edges.todense().tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert parts.any_far
    assert parts.far.tolist() == [[0, 0, 1], [1, 0, 0], [1, 1, 0]]


def test_an_edge_is_in_the_block_of_the_smallest_lag_that_it_may_have():
    smallest, largest = np.array([[0, 0, 2, 4, 8]]), np.array([[0, 9, 20, 5, 90]])
    parts = split_edges(smallest, largest, (8, 4))
    assert parts.instantaneous.tolist() == [[0, 1]]
    assert parts.stepwise.tolist() == [[1, 2]]
    assert parts.stepwise_lag == 20
    assert [near.edges.todense().tolist() for near in parts.near] == [[[0, 0, 0, 1, 0]]]
    assert parts.far.tolist() == [[0, 0, 0, 0, 1]]
    by_edge = split_edges(smallest[0], largest[0], (8, 4))
    assert (by_edge.instantaneous.tolist(), by_edge.stepwise.tolist()) == ([0, 1], [1, 2])
    assert [near.edges.tolist() for near in by_edge.near] == [[3]]


@pytest.mark.every(2)
@pytest.mark.parametrize("steps", [1, 31, 32, 2048, 2049, 10_000])
def test_blocks_cover_a_run_with_less_than_a_stretch_beyond_it(steps):
    plan = plan_run((32, 8), steps, lag=50)
    assert plan.stretch * plan.stretches == steps + plan.excess
    assert 0 <= plan.excess < plan.stretch
    assert plan.depth >= 51 + plan.excess
    assert plan.depth % 32 == 0
