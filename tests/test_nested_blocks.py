"""Runs whose edges have blocks of several sizes, against a plain loop: values and all gradients.

Which sizes a network takes follows from what they cost, so that small networks have one; here they
are set.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

import coupling_fn as cf

N, STEPS, DT, LEAK, K = 4, 45, 0.1, -0.6, 0.9
RNG = np.random.default_rng(5)
# At and around the sizes of blocks; one edge is instantaneous, three go step by step.
LAGS = np.array([[0, 1, 3, 4], [7, 8, 15, 16], [31, 32, 20, 5], [2, 9, 40, 6]])
WEIGHTS = RNG.normal(size=(N, N))
WEIGHTS[1, 3] = 0.0
X0, PAST = RNG.normal(size=N), RNG.normal(size=(42, N))
WEIGHING = RNG.normal(size=(STEPS, N))


@pytest.fixture(params=[(16, 8, 4), (8, 4), (32, 4)], ids=str)
def sizes(request, monkeypatch):
    """Have networks take these sizes of blocks."""
    chosen = "coupling_fn._network._network.choose_block_sizes"
    monkeypatch.setattr(chosen, lambda *_: request.param)
    return request.param


def by_loop(x0, past, weights, k, lengths, speed):
    """`x(t + 1) = x + dt (leak x + k sum_j W_ij x_j(t - d_ij))`, read between two steps.

    The later of the two is `LAGS` ago. All states stand in one array, and JAX differentiates the loop.
    """
    now, late = len(past), lengths / speed / DT - 1.0 * LAGS
    sources = np.arange(N)[None]

    def step(states, now):
        new, old = (states[now - LAGS - more, sources] for more in (0, 1))
        sums = (weights * ((1 - late) * new + late * old)).sum(1)
        x = states[now]
        return states.at[now + 1].set(x + DT * (LEAK * x + k * sums)), None

    states = jnp.concatenate([past, x0[None], jnp.zeros((STEPS, N))])
    return jax.lax.scan(step, states, now + jnp.arange(STEPS))[0][-STEPS:]


def by_network(form, reading, lengths):
    """The same by `simulate`."""
    options = {"lags": LAGS} if reading == "fixed" else {}
    sparse = cf.to_sparse(WEIGHTS)
    if form == "sparse":
        lengths = np.asarray(cf.edge_values(sparse, lengths))
        options = {
            name: np.asarray(cf.edge_values(sparse, 1.0 * x)).astype(int)
            for name, x in options.items()
        }
    if reading != "fixed":
        options["lag_bounds"] = cf.lag_bounds(lengths, (0.99, 1.0), DT)
    if reading == "between":
        options["interpolate"] = "linear"
    net = cf.Network(cf.nodes.linear, DT, scheme="euler", **options)

    def run(x0, past, weights, k, lengths, speed):
        conn = weights
        if form == "sparse":
            ends = sparse.target, sparse.source
            conn = eqx.tree_at(lambda c: c.weights, sparse, weights[ends])
            lengths = lengths[ends]
        traced = {} if reading == "fixed" else {"lengths": lengths, "speed": speed}
        params = cf.Params(cf.nodes.LinearParams(a=LEAK), cf.AdditiveCoupling(conn, k), **traced)
        depth = net.lag_bounds[0][1][1]
        state = net.init(cf.nodes.LinearState(x0), params, history=past[len(past) - depth :])
        return cf.simulate(net, state, params, STEPS, record="x")[1]

    return run


@pytest.mark.every(4)
@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("reading", ["between", "fixed", "rounded"])
def test_edges_of_every_size_of_block_are_the_loop(sizes, reading, form):
    lengths = (LAGS + (0.3 if reading == "between" else 0.0)) * DT
    varied = (X0, PAST, WEIGHTS, K, lengths, 1.0)[: 6 if reading == "between" else 4]

    def asked(run):
        def total(*varied):
            xs = run(*varied, *(lengths, 1.0)[len(varied) - 4 :])
            return (WEIGHING * xs).sum(), xs

        leaves = tuple(range(len(varied)))
        values = map(jnp.asarray, varied)
        (_, xs), slopes = jax.jit(jax.value_and_grad(total, leaves, has_aux=True))(*values)
        return xs, list(slopes)

    xs, slopes = asked(by_network(form, reading, lengths))
    wanted, wanted_slopes = asked(by_loop)
    for n in (2, 4)[: len(slopes) // 3]:  # an edge that is not stored, or has no weight, has none
        if n == 4 or form == "sparse":
            wanted_slopes[n] = jnp.where(WEIGHTS != 0, wanted_slopes[n], 0)
    assert_close(xs, wanted, ulps=2**12)
    assert_close(slopes, wanted_slopes, ulps=2**14)
