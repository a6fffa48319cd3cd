"""Delayed sums of a block, and the cotangents of messages and weights, against plain loops.

JAX takes the road of the platform that a program is compiled for; here both are taken on a CPU.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from jax.experimental.sparse import BCOO

import coupling_fn as cf
from coupling_fn._delays import (
    BlockOutput,
    RunInput,
    _windows,
    delayed_edges,
    plan_run,
    run_blocks,
)
from coupling_fn._delays._edges import transpose_weights
from coupling_fn._delays._run_layout import RunLayout

TARGETS, SOURCES, BLOCK, TIMES = 3, 4, 8, 30
RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(size=(TARGETS, SOURCES)) * (RNG.random((TARGETS, SOURCES)) > 0.3)
LAGS = RNG.integers(BLOCK, 20, size=(TARGETS, SOURCES))
RUNS = 2


def connection(form):
    """The weights in a form, and their lags: `(target, source)`, per stored edge, or one for all."""
    if form == "uniform":
        return jnp.asarray(WEIGHTS), jnp.asarray(11, jnp.int32)
    if form == "dense":
        return jnp.asarray(WEIGHTS), jnp.asarray(LAGS, jnp.int32)
    target, source = np.nonzero(WEIGHTS)
    lags = jnp.asarray(LAGS[target, source], jnp.int32)
    if form == "padded rows":
        return cf.to_sparse(WEIGHTS), lags
    return BCOO.fromdense(jnp.asarray(WEIGHTS)), lags


def lags_of(form):
    return np.full_like(LAGS, 11) if form == "uniform" else LAGS


FORMS = ["dense", "uniform", "padded rows", "BCOO"]


@pytest.fixture(params=["CPU", "accelerator", "accelerator, in parts"], autouse=True)
def road(request, monkeypatch):
    """Take the road of a platform, whatever this machine has."""
    if request.param == "CPU":
        monkeypatch.setattr(_windows, "by_platform", lambda on_cpu, elsewhere, *args: on_cpu(*args))
        return
    monkeypatch.setattr(_windows, "by_platform", lambda on_cpu, elsewhere, *args: elsewhere(*args))
    if request.param == "accelerator, in parts":
        monkeypatch.setattr(_windows, "AT_ONCE", 2 * TARGETS * BLOCK * RUNS)


def weights_of_taps(conn, taps):
    """The connection of each tap, the second with other weights."""
    return tuple(conn if tap == 0 else jax.tree.map(_other, conn) for tap in range(taps))


def _other(x):
    return 2 * x - x**2 if jnp.issubdtype(x.dtype, jnp.floating) else x


def matrix_of_tap(tap):
    return WEIGHTS if tap == 0 else 2 * WEIGHTS - WEIGHTS**2


def values(time, nodes, batch):
    """`(time[, batch], node)`."""
    return RNG.normal(size=(time, nodes) if batch is None else (time, batch, nodes))


def each_run(x, batch):
    return [x] if batch is None else list(np.moveaxis(x, 1, 0))


@pytest.mark.every(5)
@pytest.mark.parametrize("batch", [RUNS, None])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("taps", [2, 1])
def test_the_sums_of_a_block_are_the_weighted_messages_of_a_lag_ago(form, batch, taps):
    layout = RunLayout(batch, None)
    conn, lags = connection(form)
    weights, edges = delayed_edges(weights_of_taps(conn, taps), lags)
    messages = values(TIMES, SOURCES, batch)
    starts = edges.starts(TIMES, TIMES - 3, layout.size)
    buffer = layout.as_buffer(jnp.asarray(messages))
    arranged = tuple(map(edges.arranged, weights))
    width, offset = BLOCK * layout.size, jnp.asarray(3 * layout.size, jnp.int32)
    got = edges.sums(arranged, buffer, starts, offset, width, layout.size)
    got = layout.time_major(got.reshape(TARGETS, BLOCK, layout.size))
    for run, sums in zip(each_run(messages, batch), each_run(got, batch), strict=True):
        wanted = np.zeros((BLOCK, TARGETS))
        for tap in range(taps):
            matrix = matrix_of_tap(tap)
            for n in range(BLOCK):
                for i in range(TARGETS):
                    for j in range(SOURCES):
                        then = TIMES + n - lags_of(form)[i, j] - tap
                        wanted[n, i] += matrix[i, j] * run[then, j]
        assert_close(sums, wanted, ulps=64)


@pytest.mark.every(3)
@pytest.mark.parametrize("form", FORMS)
def test_the_cotangents_of_messages_are_sums_over_transposed_edges_in_reversed_time(form):
    conn, lags = connection(form)
    (weights,), edges = delayed_edges((conn,), lags)
    # At times 0, 1, ..., of which those of a block are wanted.
    sums_bar = values(TIMES, TARGETS, None)
    layout = RunLayout(None, None)
    ahead = TIMES - BLOCK  # the block of times 0 to BLOCK - 1 has `ahead` times after it
    buffer = layout.as_buffer(jnp.asarray(sums_bar[BLOCK:][::-1]))
    transposed = edges.transposed()
    starts = transposed.starts(ahead, ahead, 1)
    weights = transposed.arranged(transpose_weights(edges, weights))
    got = transposed.sums((weights,), buffer, starts, jnp.zeros((), jnp.int32), BLOCK, 1)
    wanted = np.zeros((BLOCK, SOURCES))
    for t in range(BLOCK):
        for i in range(TARGETS):
            for j in range(SOURCES):
                wanted[t, j] += WEIGHTS[i, j] * sums_bar[t + lags_of(form)[i, j], i]
    assert_close(got[:, ::-1].T, wanted, ulps=64)


@pytest.mark.every(5)
@pytest.mark.parametrize("batch", [RUNS, None])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("taps", [2, 1])
def test_the_cotangents_of_weights_are_products_of_both(form, batch, taps):
    layout = RunLayout(batch, None)
    conn, lags = connection(form)
    _, edges = delayed_edges((conn,) * taps, lags)
    steps = 300  # more than a body of the CPU's loop has, and not a multiple of it
    messages, sums_bar = values(TIMES + steps, SOURCES, batch), values(steps, TARGETS, batch)
    room = _windows.room_for_products(steps, layout.size)
    times = TIMES + steps + room
    buffer = layout.as_buffer(jnp.asarray(messages))
    buffer = jnp.pad(buffer, [(0, 0), (0, room * layout.size)], constant_values=1e3)
    bars = edges.weights_bar(
        layout.as_buffer(jnp.asarray(sums_bar)),
        buffer,
        edges.starts(times, TIMES, layout.size),
        taps,
        batch is not None,
        layout.size,
    )
    for tap, got in enumerate(bars):
        got = got[..., None] if batch is None else got
        runs = zip(each_run(messages, batch), each_run(sums_bar, batch), strict=True)
        for number, (sent, bar) in enumerate(runs):
            wanted = np.zeros((TARGETS, SOURCES))
            for i in range(TARGETS):
                for j in range(SOURCES):
                    then = TIMES - lags_of(form)[i, j] - tap
                    wanted[i, j] = bar[:, i] @ sent[then : then + steps, j]
            if form not in ("dense", "uniform"):  # a weight that is not stored has no cotangent
                wanted = np.where(WEIGHTS != 0, wanted, 0)
            assert_close(dense_cotangent(form, conn, got[..., number]), wanted, ulps=2**12)


def dense_cotangent(form, conn, bar):
    """The cotangents of stored weights as a matrix, 0 where there is no edge."""
    if form in ("dense", "uniform"):
        return bar
    target, source = np.nonzero(WEIGHTS)
    if form == "padded rows":  # each edge's place in the padded rows
        bar = np.asarray(bar)[np.asarray(conn.by_target.place)]
    dense = np.zeros((TARGETS, SOURCES))
    dense[target, source] = bar
    return dense


def test_a_buffer_gives_back_what_was_written_into_it():
    for batch in (None, RUNS):
        layout = RunLayout(batch, None)
        x, later = values(TIMES, SOURCES, batch), values(BLOCK, SOURCES, batch)
        buffer = layout.as_buffer(jnp.asarray(x))
        assert buffer.shape == (SOURCES, TIMES * layout.size)
        assert_close(layout.read(buffer, 0, TIMES), x, ulps=0)
        buffer = layout.write(buffer, jnp.asarray(later), 5)
        assert_close(layout.read(buffer, 5, BLOCK), later, ulps=0)
        assert_close(layout.read(buffer, 5 + BLOCK, 9), x[5 + BLOCK : 14 + BLOCK], ulps=0)
        added = layout.read(layout.add(buffer, jnp.asarray(later), 5), 5, BLOCK)
        assert_close(added, 2 * later, ulps=1)
        out = layout.buffers_out(buffer)
        assert_close(layout.buffers_in(out, batch is not None), buffer, ulps=0)


# --- whole runs ------------------------------------------------------------------------------------

SQUARE = RNG.normal(size=(3, 3))
SQUARE_LAGS = RNG.integers(BLOCK, 15, size=(3, 3))
DEPTH, STEPS = 15, 43  # not a multiple of the block


def blocked(x0, history, weights, decay, handed=False, sizes=(BLOCK,)):
    """`x(t + 1) = decay * x(t) + sum_j W_ij x_j(t - d_ij) [+ x(t - 4)]`, and all states.

    With two sizes of blocks, edges with a lag below 12 have the smaller one.
    """
    plan = plan_run(sizes, STEPS, DEPTH)._replace(levels=(tuple(range(len(sizes))),))
    size = sizes[-1]

    def block(inputs):
        x, sums = inputs.state

        def step(x, given):
            total, past = given
            x = decay * x + total + past
            return x, x

        # The sums that a step adds are those at its start: the present's, then the block's.
        (arriving,) = inputs.sums
        at_start = jnp.concatenate([sums[None], arriving[:-1]])
        past = jnp.zeros((size, 3))
        if handed:  # of 4 steps before each step, which a block reads for itself
            before = inputs.before["x"]
            times = jnp.concatenate([before, x[None], jnp.zeros((size, 3))])

            def read(times, n):
                return jax.lax.dynamic_index_in_dim(times, n, keepdims=False)

            def step_and_write(carry, given):
                x, times = carry
                n, total = given
                x = decay * x + total + read(times, n)
                return (x, jax.lax.dynamic_update_index_in_dim(times, x, n + 5, 0)), x

            count = jnp.arange(size)
            (x, _), xs = jax.lax.scan(step_and_write, (x, times), (count, at_start))
        else:
            x, xs = jax.lax.scan(step, x, (at_start, past))
        last = inputs.step + 1 + jnp.arange(size, dtype=inputs.step.dtype)
        return BlockOutput((x, arriving[-1]), (xs,), {"x": xs}, (xs, last))

    far = [SQUARE_LAGS > 0] if len(sizes) == 1 else [SQUARE_LAGS >= 12, SQUARE_LAGS < 12]
    groups = [
        delayed_edges(
            (jnp.where(mask, weights, 0),), jnp.maximum(jnp.asarray(SQUARE_LAGS, jnp.int32), least)
        )
        for mask, least in zip(far, sizes, strict=True)
    ]
    conns, edges = zip(*groups, strict=True)
    states = jnp.concatenate([history, x0[None]])
    first = jnp.einsum("ij,ij->i", weights, states[DEPTH - SQUARE_LAGS, jnp.arange(3)])
    start = RunInput(
        (x0, first), (states[1:],), {"x": states}, (conns,), (edges,), jnp.zeros((), jnp.int32)
    )
    out = run_blocks(block, start, plan, {"x": 4} if handed else {}, reverse=True)
    xs, _ = out.record
    return xs.reshape(-1, 3)[:STEPS], out.history["x"]


def plain(x0, history, weights, decay, handed=False):
    """The same, as a loop over steps with all that was sent so far."""
    states = [*history, x0]
    for _ in range(STEPS):
        now = len(states) - 1
        sums = sum(
            weights[:, j] * jnp.stack([states[now - SQUARE_LAGS[i, j]][j] for i in range(3)])
            for j in range(3)
        )
        states.append(decay * states[now] + sums + (states[now - 4] if handed else 0.0))
    return jnp.stack(states[-STEPS:]), jnp.stack(states[-DEPTH - 1 : -1])


@pytest.mark.every(3)
@pytest.mark.parametrize("sizes", [(BLOCK, 4), (BLOCK,)])
@pytest.mark.parametrize("handed", [False, True])
def test_a_blocked_run_and_its_adjoint_are_those_of_the_plain_loop(handed, sizes):
    args = (
        jnp.asarray(RNG.normal(size=3)),
        jnp.asarray(RNG.normal(size=(DEPTH, 3))),
        jnp.asarray(0.2 * SQUARE),
        jnp.asarray(0.5),
    )
    weighing = jnp.asarray(RNG.normal(size=(STEPS, 3)))

    def loss(run, **how):
        def of(*args):
            xs, history = run(*args, handed=handed, **how)
            return (weighing * xs).sum() + (history**2).sum()

        return jax.value_and_grad(of, argnums=(0, 1, 2, 3))

    # The plain loop is as many operations as steps and edges: they run sooner than they compile.
    got, wanted = jax.jit(loss(blocked, sizes=sizes))(*args), loss(plain)(*args)
    assert_close(got, wanted, ulps=2**12)
