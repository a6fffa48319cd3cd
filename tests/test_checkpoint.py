"""Fits, sweeps and runs that were killed resume to the same bits; other ones are refused."""

import errno
import io
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf
from coupling_fn._core import read_checkpoint, write_checkpoint
from coupling_fn._fit import _loop, _sweep
from coupling_fn._simulate import _saving

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
    same(run(tmp_path, loss=loss, **many), whole)  # a finished fit is only read
    same(run(tmp_path, steps=40, **many), run(None, steps=40, **many))  # or goes on to more steps
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]


def test_a_fit_out_of_patience_goes_on_with_more(tmp_path):
    """The fit resumes wherever in a call of several steps it ended."""
    few = {"patience": 1, "tolerance": 0.05}
    short = run(tmp_path, save_every=50, **few)
    assert "No start was better" in short.stopped and len(short.losses) == 7
    same(short, run(None, callback=lambda *_: None, **few))
    same(run(tmp_path, save_every=50), run(None))
    same(run(tmp_path, **few), short)  # and the longer fit, read as the shorter one


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
        ({"transform": cf.transforms.bounded(-5.0, 5.0)}, "its loss.* and its params"),
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


# --- sweeps ---------------------------------------------------------------------------------------

KS = jnp.linspace(0.0, 1.0, 10)


def wave(k):
    key = jax.random.fold_in(jax.random.key(0), jnp.round(k * 9).astype(int))
    return {"x": jnp.sin(k * TARGET) + jax.random.normal(key, (2,)), "n": jnp.asarray(3)}


def swept(folder, fn=wave, values=KS, chunk=3):
    return cf.sweep(fn, values, chunk=chunk, save=folder, progress=False)


def test_a_killed_sweep_goes_on_to_the_bit(tmp_path, monkeypatch):
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
    assert len(calls) == 5  # two were read, the third was lost, and two more were computed
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
    with refuses(f"holds another sweep: {what} changed"):
        swept(tmp_path, **change)


def test_a_sweep_that_cannot_be_saved(tmp_path):
    swept(tmp_path)
    first = tmp_path / "sweep-00000000.npz"
    first.write_bytes(first.read_bytes()[:100])
    with refuses("is not a sweep that can be continued"):
        swept(tmp_path)
    with refuses("not possible inside `jit`"):
        jax.jit(lambda ks: swept(tmp_path, values=ks))(KS)
    with refuses("not possible inside `jit`"):
        jax.jit(lambda: swept(tmp_path))()
    with refuses(
        "not possible inside `jit`, `vmap` or `grad`: function closes over a traced value"
    ):
        jax.grad(lambda a: swept(tmp_path, lambda k: a * k).sum())(1.0)
    with refuses("random keys", TypeError):
        swept(tmp_path, fn=lambda k: jax.random.key(0))


# --- runs -----------------------------------------------------------------------------------------

NET = cf.Network(cf.nodes.hopf, 0.5, lags=jnp.asarray([[9, 12], [11, 10]]))
PARAMS = cf.Params(
    cf.nodes.HopfParams(), cf.AdditiveCoupling(jnp.asarray([[0.0, 0.8], [0.5, 0.0]])), 0.1
)
BEGIN = NET.init(cf.nodes.HopfState(jnp.ones(2), jnp.zeros(2)), PARAMS, key=jax.random.key(1))


def long(folder, steps=40, net=NET, params=PARAMS, **options):
    options = {"record": "x", "every": 2, "save": folder, "save_every": 12} | options
    return cf.simulate(net, BEGIN, params, steps, **options)


def keyless(out):
    state, record = out
    return state._replace(key=jax.random.key_data(state.key)), record


def test_a_killed_run_goes_on_to_the_bit(tmp_path, monkeypatch):
    whole = keyless(long(tmp_path / "whole"))
    plain = long(None, save_every=None)
    assert_close(whole[1], plain[1], ulps=64)
    write, calls = _saving.write_checkpoint, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*args)

    monkeypatch.setattr(_saving, "write_checkpoint", killed)
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
    """A user's own step may start from a Python number, and may make an array float32."""

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
        (
            {"net": cf.Network(cf.nodes.hopf, 0.5, lags=NET.lags["coupling"], scheme="rk4")},
            "its step, record",
        ),
    ]:
        with refuses(f"holds another run: {what}"):
            long(tmp_path, **change)
    with refuses("cannot be used inside `jit`"):
        jax.jit(lambda p: long(tmp_path, params=p))(PARAMS)
    with refuses("`save` writes files"):
        jax.jit(lambda: long(tmp_path))()  # nothing but the result is traced
    with refuses("`save` .* step, record or `save_every` closes over a traced value"):
        jax.vmap(lambda a: long(tmp_path / "other", record=lambda s: a * s.node.x))(jnp.ones(2))
    with refuses("`save_every` must be a multiple of `every`, 2, not 5"):
        long(tmp_path, save_every=5)
    with refuses("which is missing"):
        long(None)
    with refuses("random keys", TypeError):
        long(tmp_path / "other", record=lambda s: s.key)


def test_dtypes_that_numpy_does_not_have_go_on_to_the_bit(tmp_path):
    low = {"x": jnp.zeros(2, "bfloat16"), "y": jnp.zeros((), "bfloat16")}
    plain = {"params": low, "batch": None, "optimizer": None, "save_every": 3}
    plain["loss"] = lambda p: jnp.sum((p["x"] - 1) ** 2) + (p["y"] - 2) ** 2
    plain |= {"starts": 2, "key": jax.random.key(0)}
    whole = run(None, steps=8, **plain)
    run(tmp_path, steps=4, **plain)
    same(run(tmp_path, steps=8, **plain), whole)
    assert whole.path[0].dtype == "bfloat16"
    short = lambda folder: long(folder, record=lambda s: s.node.x.astype("bfloat16"))[1]
    rows = short(tmp_path / "run")  # the last stretch is a short one
    assert rows.dtype == "bfloat16" and rows.shape == (20, 2)
    same(short(tmp_path / "run"), rows)


# --- what happens to disks ------------------------------------------------------------------------

WORKS = {"fit": run, "sweep": swept, "run": long}


def fails(number):
    def call(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return call


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("work", WORKS)
def test_a_disk_that_fails_leaves_what_was_written(tmp_path, monkeypatch, work):
    do = WORKS[work]
    do(tmp_path)
    before = contents(tmp_path)
    last = max(before)
    if work != "fit":  # a fit keeps all in one file; it is asked for more steps
        (tmp_path / last).unlink()
        before.pop(last)
    more = {"steps": 30} if work == "fit" else {}
    for where, number in [
        ("numpy.savez", errno.ENOSPC),
        ("os.fsync", errno.EIO),
        ("os.replace", errno.EROFS),
        ("tempfile.mkstemp", errno.EACCES),
    ]:
        with monkeypatch.context() as patched:
            patched.setattr(where, fails(number))
            message = f"`save`: cannot write .*{os.strerror(number)}.* is unchanged"
            with refuses(message, OSError):
                do(tmp_path, **more)
        assert contents(tmp_path) == before
    do(tmp_path, **more)  # there is room again


@pytest.mark.parametrize("work", WORKS)
def test_a_folder_that_vanishes_or_is_none(tmp_path, monkeypatch, work):
    do, write, replace, count = WORKS[work], write_checkpoint, os.replace, []
    folder = tmp_path / "here"

    def vanishing(what):
        def call(*args):
            what(*args)
            count.append(1)
            if len(count) == 2:
                shutil.rmtree(folder)

        return call

    whole = do(tmp_path / "whole")
    for module in (_loop, _sweep, _saving):
        monkeypatch.setattr(module, "write_checkpoint", vanishing(write))
    for result in (do(folder), do(folder)):  # the second one computes again what is gone
        same(
            keyless(result) if work == "run" else result, keyless(whole) if work == "run" else whole
        )
    shutil.rmtree(folder)
    count.clear()
    monkeypatch.undo()
    monkeypatch.setattr(os, "replace", vanishing(replace))
    with refuses("`save`: cannot write .*No such file", OSError):
        do(folder)
    (tmp_path / "file").touch()
    with refuses("`save`: cannot write .*file", OSError):
        do(tmp_path / "file" / "below")


@pytest.mark.parametrize("work", WORKS)
def test_a_file_of_another_kind_is_refused_and_kept(tmp_path, monkeypatch, work):
    do = WORKS[work]
    do(tmp_path)
    first = min(tmp_path.iterdir())
    good = first.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(jax, "__version__", "0.0.1")
        with refuses("its version of JAX changed"):
            do(tmp_path)
    with np.load(first) as file:
        arrays = dict(file)
    packed, pickled = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, **arrays)
    np.savez(pickled, **arrays, more=np.asarray([{}], object))
    damaged = [b"", b"none", b"PK\x03\x04" + bytes(40), good[:100], good[: len(good) // 2]]
    for content in [*damaged, packed.getvalue(), pickled.getvalue()]:
        first.write_bytes(content)
        with refuses(f"`save`: .* is not a {work} that can be continued"):
            do(tmp_path)
        assert first.read_bytes() == content
    first.write_bytes(good)
    do(tmp_path)


def test_no_flipped_bit_passes(tmp_path):
    """Wherever one byte is changed, the file is refused or reads as it was."""
    path, marks = tmp_path / "a.npz", {"what": "this"}
    arrays = {"x": np.arange(5.0), "y": np.asarray(jnp.ones((2, 3), "bfloat16"))}
    write_checkpoint(path, arrays, marks)
    good = path.read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.integers(len(good))] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        try:
            found = read_checkpoint(path, marks, "work")
        except ValueError as error:
            refused += "be continued" in str(error) or "holds another" in str(error)
        else:
            assert sorted(found) == sorted(arrays)
            same(found, arrays)
    assert refused > 100


def test_what_a_killed_write_left_is_swept_up(tmp_path):
    path = tmp_path / "a.npz"
    for name in ("a.npz.x1.part", "b.npz.x1.part", "mine.part"):
        (tmp_path / name).touch()
    write_checkpoint(path, {}, {})
    assert sorted(contents(tmp_path)) == ["a.npz", "b.npz.x1.part", "mine.part"]
