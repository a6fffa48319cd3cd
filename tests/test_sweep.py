"""Sweeps: the function at each value as in a loop, in chunks, over devices, with progress."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

KS = jnp.linspace(0.1, 1.0, 7)


def run(k):
    return {"end": jnp.tanh(k * jnp.arange(3.0)), "count": jnp.asarray(3)}


def by_loop(fn, values):
    size = len(jax.tree.leaves(values)[0])
    results = [fn(jax.tree.map(lambda x, i=i: x[i], values)) for i in range(size)]
    return jax.tree.map(lambda *xs: np.stack(xs), *results)


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 50])
def test_sweep_is_a_loop(chunk):
    got = cf.sweep(run, KS, chunk=chunk, progress=False)
    assert_close(got, by_loop(run, KS), ulps=8)
    assert got["count"].dtype == run(KS[0])["count"].dtype


@pytest.mark.parametrize("chunk", [None, 2])
def test_values_may_be_a_pytree(chunk):
    values = {
        "k": KS,
        "noise": (np.arange(14.0).reshape(7, 2), jax.random.split(jax.random.key(0), 7)),
    }

    def fn(v):
        x, key = v["noise"]
        return v["k"] * x + jax.random.normal(key, (2,))

    assert_close(cf.sweep(fn, values, chunk=chunk, progress=False), by_loop(fn, values), ulps=8)


def test_results_may_be_keys():
    got = cf.sweep(jax.random.key, jnp.arange(5), chunk=2, progress=False)
    wanted = jnp.stack([jax.random.key(i) for i in range(5)])
    assert (jax.random.key_data(got) == jax.random.key_data(wanted)).all()


@pytest.mark.parametrize("chunk", [None, 3])
def test_a_second_sweep_does_not_trace(chunk):
    fn = eqx.debug.assert_max_traces(lambda k: k**2, max_traces=1)
    cf.sweep(fn, KS, chunk=chunk, progress=False)
    cf.sweep(fn, 2 * KS, chunk=chunk, progress=False)
    if chunk:  # nor does one of another length
        cf.sweep(fn, jnp.concatenate([KS, KS]), chunk=chunk, progress=False)


def test_a_callable_pytree_does_not_trace_for_new_numbers():
    class Run(eqx.Module):
        scale: jax.Array

        def __call__(self, k):
            traces.append(1)
            return self.scale * k

    traces = []
    for scale in (1.0, 2.0):
        got = cf.sweep(Run(jnp.asarray(scale)), KS, progress=False)
        assert_close(got, scale * KS, ulps=1)
    assert len(traces) == 1


@pytest.mark.parametrize("chunk", [None, 1, 3, 50])
def test_sweep_inside_transformations(chunk):
    def total(ks):
        return jnp.sum(cf.sweep(lambda k: k**3, ks, chunk=chunk))

    assert_close(jax.jit(total)(KS), jnp.sum(KS**3), ulps=8)
    assert_close(jax.grad(total)(KS), 3 * KS**2, ulps=8)
    batch = jnp.stack([KS, 2 * KS])
    assert_close(jax.vmap(total)(batch), jnp.sum(batch**3, axis=1), ulps=8)


def test_inside_jit_there_is_one_loop_and_no_bar(capsys):
    program = jax.make_jaxpr(lambda ks: cf.sweep(jnp.sin, ks, chunk=1))(KS)
    assert len([e for e in program.eqns if "scan" in str(e.primitive)]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("chunk", [None, 3])
def test_fn_may_close_over_what_is_differentiated(chunk):
    def total(scale):
        return jnp.sum(cf.sweep(lambda k: scale * k, KS, chunk=chunk, progress=False))

    assert_close(jax.grad(total)(2.0), jnp.sum(KS), ulps=8)
    assert_close(jax.jit(jax.grad(total))(2.0), jnp.sum(KS), ulps=8)


def test_float32_stays():
    assert (
        cf.sweep(lambda k: 2 * k, KS.astype("float32"), chunk=2, progress=False).dtype == "float32"
    )


def test_progress_is_on_stderr_and_can_be_off(capsys):
    cf.sweep(run, KS, chunk=3)
    shown = capsys.readouterr()
    assert "7/7" in shown.err
    assert shown.out == ""
    cf.sweep(run, KS, chunk=3, progress=False)
    assert capsys.readouterr().err == ""


def test_without_tqdm_there_is_no_bar(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # so that importing it fails
    assert cf.sweep(run, KS)["end"].shape == (7, 3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (jnp.zeros(0), "empty"),
        ({}, "empty"),
        (jnp.asarray(1.0), "`values` must be an array with a leading axis"),
        ([0.1, 0.2], r"`values\[0\]` .* 0.1. Wrap a list"),
        ({"a": KS, "b": KS[:3]}, r"values\['a'\]: 7, values\['b'\]: 3"),
    ],
)
def test_values_that_cannot_be_swept(values, match):
    with refuses(match=match):
        cf.sweep(run, values)


def test_chunk_must_be_a_positive_whole_number():
    with refuses(match="at least 1"):
        cf.sweep(run, KS, chunk=0)
    with refuses(match="`chunk` must be a whole number", error=TypeError):
        cf.sweep(run, KS, chunk=2.0)


def test_grid_is_all_combinations_the_last_fastest():
    got = cf.grid(a=[0.0, 1.0], b=np.asarray([1, 2, 3]), c=jnp.asarray([5.0], "float32"))
    wanted = [(a, b, c) for a in (0.0, 1.0) for b in (1, 2, 3) for c in (5.0,)]
    assert list(zip(*[x.tolist() for x in got.values()], strict=True)) == wanted
    assert [str(x.dtype) for x in got.values()] == ["float64", "int64", "float32"]


def test_grid_refuses_what_is_no_axis():
    with refuses(match="at least one axis"):
        cf.grid()
    with refuses(match=r"`b` .* \(2, 1\)"):
        cf.grid(a=[1.0], b=[[1.0], [2.0]])
    with refuses(match=r"`b` .* \(\)"):
        cf.grid(a=[1.0], b=2.0)
    with refuses(match=r"`a` .* \(0,\)"):
        cf.grid(a=[])


TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
import coupling_fn as cf

conn = cf.sparse_from_edges(np.arange(7), np.roll(np.arange(7), 2), np.linspace(0.5, 2, 7), (7, 7))
net = cf.Network(cf.nodes.linear, 0.1, lags=np.arange(8, 15))

def run(k):
    params = cf.Params(cf.nodes.LinearParams(), cf.DiffusiveCoupling(conn, k), noise=0.1)
    x0 = cf.nodes.LinearState(jnp.arange(7.0))
    state = net.init(x0, params, key=jax.random.key(0))
    return cf.simulate(net, state, params, 20)[0].node.x

ks = jnp.linspace(0.1, 0.9, 5)  # not as many on each
assert len(jax.devices()) == 2
alone = cf.sweep(run, ks, progress=False)
for chunk in (None, 3):
    spread = cf.sweep(run, ks, chunk=chunk, devices=jax.devices(), progress=False)
    np.testing.assert_allclose(spread, alone, rtol=1e-6)
assert np.ptp(np.asarray(alone), axis=0).min() > 1e-3
whole = cf._fit._sweep._batch.lower(run, ks, tuple(jax.devices())).as_text()
assert "3x7x" in whole, "three of the six runs on each"
"""


@pytest.mark.thorough
def test_devices_share_a_sweep():
    flags = "--xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_devices_are_some_and_not_for_inside_of_jit():
    with pytest.raises(ValueError, match="`devices` must not be empty"):
        cf.sweep(jnp.sin, jnp.ones(2), devices=[], progress=False)
    with pytest.raises(ValueError, match="cannot be given inside `jit`"):
        jax.jit(lambda x: cf.sweep(jnp.sin, x, devices=jax.devices()))(jnp.ones(2))


def test_runs_that_hold_nan_are_named():
    def fn(k):
        return {"x": jnp.where(k > 2, jnp.nan, k) * jnp.ones(3), "n": jnp.asarray(1)}

    with pytest.warns(
        RuntimeWarning, match="2 of 5 runs of this sweep hold NaN, at the places 3, 4 "
    ):
        swept = cf.sweep(fn, jnp.arange(5.0), progress=False)
    assert np.isnan(swept["x"][3:]).all()
