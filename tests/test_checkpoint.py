"""Killed fits and sweeps go on, to the bit; others do not."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

TARGET = jnp.asarray([0.3, -2.0])


def loss(p, noise):
    return jnp.sum((p["x"] - TARGET) ** 2 * (1 + 0.5 * noise)) + p["y"].astype(float) ** 4


def noise(step):
    return jax.random.uniform(jax.random.fold_in(jax.random.key(3), step), (2,))


# Noise on the gradient keeps a random key in the optimiser's state.
OPTIMIZER = optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.1))
START = {"x": jnp.zeros(2), "y": jnp.asarray(1.0, "float32")}


def run(folder, **options):
    given = {"where": lambda p: (p["x"], p["y"]), "batch": noise, "optimizer": OPTIMIZER}
    options = given | {"steps": 25, "progress": False, "save": folder, "save_every": 4} | options
    return cf.fit(options.pop("loss", loss), options.pop("params", START), **options)


def same(a, b):
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(a) == len(b)
    assert all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("many", [{}, {"starts": 3, "key": jax.random.key(0)}], ids=["one", "many"])
def test_a_killed_fit_goes_on_to_the_bit(tmp_path, many):
    class Killed(BaseException):
        pass

    def kill(step, loss, params):
        if step == 14:
            raise Killed

    whole = run(None, **many)
    with pytest.raises(Killed):
        run(tmp_path, callback=kill, **many)
    steps = []
    result = run(tmp_path, callback=lambda step, *_: steps.append(step), **many)
    assert steps == list(range(12, 26))  # three times four rows were saved
    same(result, whole)
    same(run(tmp_path, loss=loss, **many), whole)  # a finished one is only read
    same(run(tmp_path, steps=40, **many), run(None, steps=40, **many))  # and goes on if asked
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]


def test_ctrl_c_leaves_what_was_done(tmp_path):
    def stop(step, loss, params):
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(cf.Interrupted) as interrupted:
        run(tmp_path, callback=stop)
    partial = interrupted.value.partial
    assert partial.stopped == "Interrupted after 6 steps."
    whole = run(None)
    same((partial.losses, partial.path), jax.tree.map(lambda x: x[:7], (whole.losses, whole.path)))
    same(run(tmp_path), whole)


def test_a_process_that_dies_leaves_a_fit_to_go_on_from(tmp_path):
    program = f"""
import os, jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_disable_most_optimizations", True)
import test_checkpoint as t
t.run({str(tmp_path)!r}, callback=lambda step, *_: os._exit(9) if step == 10 else None)
"""
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True)
    assert done.returncode == 9, done.stderr
    same(run(tmp_path), run(None))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"params": {**START, "y": jnp.asarray(2.0, "float32")}}, "its params, transforms"),
        ({"optimizer": optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.2))}, "its loss"),
        ({"loss": lambda p, n: loss(p, n) + 1.0}, "its loss, batch or optimizer"),
        ({"loss": lambda p, n: loss({**p, "x": p["x"] + TARGET[::-1]}, n)}, "its loss"),
        ({"transform": cf.bounded(-5.0, 5.0)}, "its loss.* and its params"),
        ({"starts": 2, "key": jax.random.key(0)}, "its loss"),
    ],
)
def test_another_fit_is_refused(tmp_path, change, what):
    run(tmp_path, steps=3)
    with refuses(match=f"holds another fit: {what}"):
        run(tmp_path, **change)


def test_data_that_the_loss_closes_over_are_part_of_the_fit(tmp_path):
    def to(target):
        target = jnp.asarray(target)
        return lambda p, n: jnp.sum((p["x"] - target) ** 2)

    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    with refuses(match="holds another fit: its loss"):
        run(tmp_path, loss=to([1.0, 2.5]), steps=3)


def test_data_of_a_jitted_loss_are_part_of_the_fit_too(tmp_path):
    def to(target):
        target = jnp.asarray(target)
        return jax.jit(lambda p, n: jnp.sum((p["x"] - target) ** 2))

    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    run(tmp_path, loss=to([1.0, 2.0]), steps=3)
    with refuses(match="holds another fit: its loss"):
        run(tmp_path, loss=to([1.0, 2.5]), steps=3)


@pytest.mark.parametrize("content", [b"", b"none", b"PK\x03\x04" + bytes(40)])
def test_a_file_that_is_no_fit(tmp_path, content):
    (tmp_path / "fit.npz").write_bytes(content)
    with refuses(match="is not a fit that can be gone on with"):
        run(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with refuses("cannot write .* as it was", OSError):
        run(tmp_path)


def test_a_disk_that_is_full_leaves_what_was_written(tmp_path, monkeypatch):
    run(tmp_path, steps=5)
    before = (tmp_path / "fit.npz").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with refuses("cannot write .*No space left.* as it was", OSError):
        run(tmp_path)
    assert (tmp_path / "fit.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]


def test_another_version_of_jax_is_refused(tmp_path, monkeypatch):
    run(tmp_path, steps=3)
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    with refuses("its version of JAX differ"):
        run(tmp_path)


# --- sweeps ---------------------------------------------------------------------------------------

KS = jnp.linspace(0.0, 1.0, 10)


def wave(k):
    key = jax.random.fold_in(jax.random.key(0), jnp.round(k * 9).astype(int))
    return {"x": jnp.sin(k * TARGET) + jax.random.normal(key, (2,)), "n": jnp.asarray(3)}


def swept(folder, fn=wave, values=KS, chunk=3):
    return cf.sweep(fn, values, chunk=chunk, save=folder, progress=False)


def test_a_killed_sweep_goes_on_to_the_bit(tmp_path, monkeypatch):
    from coupling_fn import _sweep

    whole, batch, calls = swept(None), _sweep._batch, []

    def counted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return batch(*args)

    monkeypatch.setattr(_sweep, "_batch", counted)
    with pytest.raises(cf.Interrupted) as interrupted:
        swept(tmp_path)
    same(interrupted.value.partial, jax.tree.map(lambda x: x[:6], whole))
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "half.part").write_bytes(b"of a write that was killed")
    got = swept(tmp_path)
    assert len(calls) == 5  # two were read, the third was lost, and two more were done
    same(got, whole)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(got))
    same(swept(tmp_path), whole)
    assert len(calls) == 5


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"values": 2 * KS}, "its values or chunk"),
        ({"chunk": 5}, "its function and its values or chunk"),
        ({"fn": lambda k: {**wave(k), "x": wave(k)["x"] + 1}}, "its function"),
    ],
)
def test_another_sweep_is_refused(tmp_path, change, what):
    swept(tmp_path)
    with refuses(f"holds another sweep: {what} differ"):
        swept(tmp_path, **change)


def test_a_sweep_that_cannot_be_saved(tmp_path):
    swept(tmp_path)
    first = tmp_path / "sweep-00000000.npz"
    first.write_bytes(first.read_bytes()[:100])
    with refuses("is not a sweep that can be gone on with"):
        swept(tmp_path)
    with refuses("not for inside of jit"):
        jax.jit(lambda ks: swept(tmp_path, values=ks))(KS)
    with refuses("random keys", TypeError):
        swept(tmp_path, fn=lambda k: jax.random.key(0))


# --- runs -----------------------------------------------------------------------------------------

NET = cf.Network(cf.hopf, 0.5, lags=jnp.asarray([[9, 12], [11, 10]]))
PARAMS = cf.Params(cf.HopfParams(), cf.AdditiveCoupling(jnp.asarray([[0.0, 0.8], [0.5, 0.0]])), 0.1)
BEGIN = NET.init(cf.HopfState(jnp.ones(2), jnp.zeros(2)), PARAMS, key=jax.random.key(1))


def long(folder, steps=40, net=NET, params=PARAMS, **options):
    options = {"record": "x", "every": 2, "save": folder, "save_every": 12} | options
    return cf.simulate(net, BEGIN, params, steps, **options)


def keyless(out):
    state, record = out
    return state._replace(key=jax.random.key_data(state.key)), record


def test_a_killed_run_goes_on_to_the_bit(tmp_path, monkeypatch):
    from coupling_fn import _simulate

    whole = keyless(long(tmp_path / "whole"))
    plain = long(None, save_every=None)
    assert_close(whole[1], plain[1], ulps=64)
    write, calls = _simulate.write, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*args)

    monkeypatch.setattr(_simulate, "write", killed)
    with pytest.raises(cf.Interrupted) as interrupted:
        long(tmp_path / "half")
    state, record = interrupted.value.partial
    assert len(record) == 12 and state.step == 24
    same(keyless(long(tmp_path / "half")), whole)
    assert len(calls) == 5
    same(keyless(long(tmp_path / "half")), whole)  # only read
    assert len(calls) == 5
    longer = long(tmp_path / "half", steps=48)
    assert len(calls) == 6 and longer[0].step == 48  # the last stretch was a short one
    same(longer[1][:20], whole[1])


def test_more_steps_go_on_where_the_stretch_is_not_said(tmp_path):
    long(tmp_path, save_every=None)
    files = {path.name for path in tmp_path.iterdir()}
    longer = long(tmp_path, steps=60, save_every=None)
    assert files < {path.name for path in tmp_path.iterdir()}
    same(keyless(longer), keyless(long(tmp_path / "at once", steps=60, save_every=4)))
    state, record = long(tmp_path / "none", steps=0, save_every=None)
    assert state.step == 0 and record.shape == (0, 2)


def test_a_start_of_other_types_goes_on(tmp_path):
    """Of a step of one's own: a Python number, and an array that the step makes float32."""

    def step(state, params):
        return (state[0] + 1.0, state[1] * params)

    start, params = (0.0, jnp.full(3, 2.0)), jnp.asarray(0.5)
    run = lambda steps: cf.simulate(
        step, start, params, steps, record=lambda s: s[1], save=tmp_path, save_every=2
    )
    run(4)
    last, x = run(6)
    assert last[0] == 6 and x[:, 0].tolist() == [2.0**-n for n in range(6)]


def test_another_run_is_refused(tmp_path):
    long(tmp_path)
    shift = lambda by: lambda s: s.node.x + jnp.asarray([by, 1.0])
    long(tmp_path / "shifted", record=shift(1.0))
    with refuses("holds another run: its step, record"):
        long(tmp_path / "shifted", record=shift(2.0))
    stronger = jax.tree.map(lambda x: 2 * x, PARAMS)
    for change, what in [
        ({"params": stronger}, "its state or params"),
        ({"record": "y"}, "its step, record"),
        ({"net": cf.Network(cf.hopf, 0.25, lags=NET.lags["coupling"])}, "its step, record"),
    ]:
        with refuses(f"holds another run: {what}"):
            long(tmp_path, **change)
    with refuses("not for inside of jit"):
        jax.jit(lambda p: long(tmp_path, params=p))(PARAMS)
    with refuses("`save_every` must be a multiple of `every`, 2, not 5"):
        long(tmp_path, save_every=5)
    with refuses("give that, too"):
        long(None)
    with refuses("random keys", TypeError):
        long(tmp_path / "other", record=lambda s: s.key)
