"""The main job: it recovers k, writes the files it names, and refuses bad input in one line."""

import json
import os
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses

import coupling_fn as cf
from coupling_fn._command import _job as job
from coupling_fn._command._options import MODELS
from coupling_fn._fit._find_k import RATIO, refinement

old = not hasattr(jax, "enable_x64")  # before JAX 0.8
enable_x64 = jax.experimental.enable_x64 if old else jax.enable_x64


@pytest.mark.thorough  # `.ci/run` runs it beside the job itself, as for a user
@pytest.mark.optimised
def test_the_fit_recovers_the_k_that_made_the_target():
    # The default problem with fewer regions and seconds, and two starts that a sweep would not choose.
    with enable_x64(False):
        task = job.make_task(job.make_parser().parse_args(["--nodes", "20", "--duration", "1"]))
        run = jax.jit(job.make_run(task))
        target_key, key = jax.random.split(jax.random.key(0))
        true_k = task.preset.true_k
        target_fc = cf.observe.functional_connectivity(run(true_k, target_key)[0])
        # Both starts at once, by the refinement that `find_k` ends with.
        found = cf.fit(
            lambda k: cf.observe.fc_rmse(
                cf.observe.functional_connectivity(run(k, key)[0]), target_fc
            ),
            jnp.float32(true_k),
            where=lambda k: k,
            starts=jnp.float32([0.5 * true_k, 2.0 * true_k]),
            optimizer=refinement(job.FIT_STEPS),
            steps=job.FIT_STEPS,
            transform=RATIO,
            progress=False,
        )
        assert found.starts.best == pytest.approx(np.full(2, true_k), rel=0.05)


def test_it_writes_a_result_and_a_picture(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(job.PRESETS, "hopf", job.PRESETS["hopf"]._replace(ks=(0.05, 1e4)))
    monkeypatch.setattr(job, "STRENGTHS", 2)
    monkeypatch.setattr(job, "RUNS", 2)
    monkeypatch.setattr(job, "FIT_STEPS", 1)
    connectome = cf.synthetic_connectome(6, jax.random.key(3))
    fc = np.corrcoef(np.random.default_rng(0).normal(size=(6, 30)) + 1.0 * np.arange(30) / 20)
    path = str(tmp_path / "both.npz")
    np.savez(path, weights=connectome.weights, lengths=connectome.lengths, fc=fc)
    out = tmp_path / "new" / "folder"
    asked = ["--connectome", path, "--target-fc", path, "--out", str(out)]
    job.main([*asked, "--duration", "0.5", "--quiet"])
    result = json.loads((out / "result.json").read_text())
    assert result["true_k"] is None and len(result["fit"]["k"]) == 2
    assert "explode" in result["reasons"][0]
    assert result["fc_rmse"] == pytest.approx(min(result["fit"]["fc_rmse"]))
    assert result["sweep"]["k"] == pytest.approx([0.05, 1e4])
    assert result["sweep"]["regime"][1] == "exploding" and result["sweep"]["fc_rmse"][1] is None
    assert (out / "report.png").read_bytes()[:4] == b"\x89PNG"
    said = capsys.readouterr()
    assert "metastability" in said.out and not said.err


@pytest.mark.parametrize("labels", [None, [f"area {i}" for i in range(30)]])
def test_the_report_has_the_labels_of_the_connectome(labels, monkeypatch, tmp_path):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, *_, **__: figures.append(self)
    )
    connectome = cf.Connectome(np.ones((30, 30)), labels=labels)
    net, params = job.build_network(connectome, job.PRESETS["hopf"], 1.0, None)
    task = job.Task(connectome, job.PRESETS["hopf"], None, net, params, 2000.0, 0)
    x, ks = np.random.default_rng(0).normal(size=(640, 30)), np.array([0.1, 0.2])
    search = cf.KSearch(0.1, (0.1, 0.2), (), ks, ("working range",) * 2, *[ks] * 6, fit=None)
    job.draw(
        tmp_path / "report.png",
        task,
        job.Solution(
            jnp.asarray(np.corrcoef(x.T)), search, jnp.asarray(x), {"fc_correlation": 0.5}
        ),
    )
    target, simulated, _, signals, *_ = figures[0].axes
    names = labels or [*map(str, range(30))]
    assert [t.get_text() for t in signals.get_yticklabels()] == names[::2]
    for ax in (target, simulated) if labels else ():
        ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
        assert [names[int(at)] for at, _ in ticks] == [t.get_text() for t in ax.get_yticklabels()]


@pytest.mark.thorough
def test_every_node_has_a_preset_that_runs():
    """Each node takes two steps on its own wires from its rest, and its signal is measured."""
    assert set(job.PRESETS) == set(cf.nodes.catalog())
    assert list(job.PRESETS) == MODELS
    weights = cf.normalize(cf.synthetic_connectome(4, jax.random.key(0)).weights, by="symmetric")
    for name, preset in job.PRESETS.items():
        net = cf.Network(preset.node, dt=preset.pace)
        ends = []
        for k in preset.ks:
            params = cf.Params(preset.params, preset.coupling(weights, k=k), preset.noise)
            rest = {state: jnp.full(4, x) for state, x in preset.rest.items()}
            state = net.init(preset.state(**rest), params, key=jax.random.key(0))
            with jax.disable_jit():
                state = net(net(state, params), params)
            ends.append(np.stack(jax.tree.leaves(state.node)))
            assert all(x.shape == (4,) for x in preset.observe(state.node).values())
        assert np.isfinite(ends).all() and (ends[0] != ends[1]).any(), name
        assert preset.ks[0] < preset.true_k < preset.ks[1]


def test_where_every_run_explodes_it_says_what_to_do(monkeypatch, tmp_path, capsys):
    target, exploded = jax.random.normal(jax.random.key(0), (9, 4)), jnp.full((9, 4), jnp.nan)

    def make_run(task):
        return lambda k, key: (jnp.where(k == task.preset.true_k, target, exploded),) * 2

    monkeypatch.setattr(job, "make_run", make_run)
    with refuses("1", SystemExit):
        job.main(["--nodes", "4", "--quiet", "--out", str(tmp_path)])
    assert "smaller dt. The option is --dt" in capsys.readouterr().err


def write(name, **arrays):
    """Write arrays to a file of the format that its name says; a bare one holds the first array."""
    first, kind = next(iter(arrays.values())), name.rpartition(".")[2]
    if kind == "npz":
        np.savez(name, **arrays)
    elif kind == "npy":
        np.save(name, first)
    elif kind == "mat":
        pytest.importorskip("scipy.io").savemat(name, arrays)
    elif kind == "zip":
        cf.save_connectome(name, cf.Connectome(*arrays.values()))
    else:
        np.savetxt(name, first, delimiter="," if kind == "csv" else " ")


FORMATS = [
    *((kind, "two files") for kind in ("csv", "txt", "npy", "zip", "npz", "mat")),
    *((kind, "none") for kind in ("npz", "txt", "npy", "zip", "mat", "csv")),
    *((kind, "one file") for kind in ("zip", "mat", "npz")),
]


@pytest.mark.every(5)
@pytest.mark.parametrize(("kind", "delays"), FORMATS)
def test_the_command_runs_on_files_of_each_format(kind, delays, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    whole = cf.synthetic_connectome(6, jax.random.key(3))
    weights = np.triu(whole.weights)  # one way, but not in one triangle, of which the command warns
    weights[5, 0], weights[0, 5] = weights[0, 5], 0
    lengths = np.where(weights != 0, np.asarray(whole.lengths), -1.0)
    fc = np.corrcoef(np.random.default_rng(0).normal(size=(6, 30)) + np.arange(30) / 20)
    arguments, seen = ["--quiet", "--connectome", f"w.{kind}"], []
    if delays == "one file":
        write(f"w.{kind}", weights=weights, lengths=lengths)
    else:
        write(f"w.{kind}", weights=weights)
        bare = "npy" if kind == "zip" else kind
        write(f"l.{bare}", lengths=lengths)
        arguments += ["--no-delays"] if delays == "none" else ["--lengths", f"l.{bare}"]
    if kind != "zip":
        write(f"fc.{kind}", fc=fc)
        arguments += ["--target-fc", f"fc.{kind}"]

    def make_run(task):
        seen.append(task)
        signals = jax.random.normal(jax.random.key(0), (30, 6))
        return lambda k, key: (signals + k * jnp.sin(jnp.arange(30.0))[:, None],) * 2

    monkeypatch.setattr(job, "make_run", make_run)
    monkeypatch.setattr(job, "draw", lambda *arguments: None)
    monkeypatch.setattr(job, "STRENGTHS", 2)
    monkeypatch.setattr(job, "FIT_STEPS", 1)
    job.main(arguments)
    assert json.loads((tmp_path / "result.json").read_text())["fitted_k"] > 0
    assert not capsys.readouterr().err
    (task,) = seen
    np.testing.assert_allclose(task.connectome.weights, weights, rtol=1e-12)
    if kind != "zip":
        np.testing.assert_allclose(task.target_fc, fc, rtol=1e-12)
    lags = task.net.lags["coupling"]
    if delays == "none":
        assert lags is None and task.net.lag_bounds == (("coupling", (0, 0)),)
    else:
        there = weights != 0
        assert (np.asarray(lags)[there] == np.rint(lengths[there] / 10.0)).all()


def options(*arguments):
    return job.make_parser().parse_args(arguments)


def test_half_a_matrix_is_said_and_filled_in_where_that_is_asked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    half = np.triu(np.arange(1.0, 37).reshape(6, 6), 1)
    np.savez("half.npz", A=half, B=np.where(half > 0, 90.0, -1.0))
    arguments = ["--connectome", "half.npz", "--keys", "weights=A", "lengths=B"]
    with pytest.warns(UserWarning, match="one triangle"):
        task = job.make_task(options(*arguments))
    assert (np.asarray(task.connectome.weights) == half).all()
    task = job.make_task(options(*arguments, "--symmetrize"))
    assert (np.asarray(task.connectome.weights) == (half + half.T) / 2).all()
    assert (np.asarray(task.connectome.lengths)[half.T > 0] == 90.0).all()

    def explode(*_, **__):
        raise FloatingPointError("stopped.")

    monkeypatch.setattr(job, "solve", explode)
    for more, said in (([], True), (["--symmetrize"], False)):
        with refuses("1", SystemExit):
            job.main([*arguments, *more])
        out = capsys.readouterr().out
        assert "6 regions" in out and "read from half.npz" in out
        assert bool(re.search("Warning: half.npz: .* one triangle .*--symmetrize", out)) == said


@pytest.mark.parametrize("size", [76, 66, 68, 96, 192])
def test_the_connectomes_of_tvb_data_are_loaded_by_name(size):
    pytest.importorskip("tvb_data", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*rounded to 0")  # tracts of half a millisecond
        task = job.make_task(options("--connectome", f"tvb:{size}"))
    assert len(task.connectome) == size and len(set(task.connectome.labels)) == size
    assert task.connectome.centres.shape == (size, 3)
    assert np.isfinite(np.asarray(task.connectome.lengths)).all()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write files that must be refused."""
    monkeypatch.chdir(tmp_path)
    np.save("four.npy", np.eye(4))
    np.save("large.npy", np.add.outer(np.arange(6.0), np.arange(6.0)))
    np.savez("nofc.npz", weights=np.eye(6))
    np.savetxt("bare.csv", np.ones((6, 6)), delimiter=",")
    np.savetxt("short.txt", np.ones((5, 5)))
    np.save("pickled.npy", np.array([{"fc": 1}], dtype=object), allow_pickle=True)
    square = np.round(np.ones((6, 6)) / 2, 1).tolist()
    np.savetxt("named.csv", [list("abcdef"), *square], "%s", ",")
    np.savetxt("turned.csv", [list("abcdfe"), *square], "%s", ",")
    np.savez("turned.npz", fc=square, labels=[*"abcdfe"])
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    (tmp_path / "file").write_text("")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--speed", "-1"], "--speed must be above 0"),
        (["--dt", "nan"], "--dt must be above 0"),
        (["--duration", "0"], "--duration must be above 0"),
        (["--node", "hopff"], "invalid choice: 'hopff'.*hopf"),
        (["--nodes", "1"], "`regions` must be 2 or more"),
        (["--nodes", "2"], "3 regions or more"),
        (["--nodes", "six"], "--nodes"),
        (["--speeed", "3"], "--speeed"),
        (["--connectome", "missing.npz"], "There is no file missing.npz"),
        (["--connectome", "broken.npz"], "Cannot read broken.npz as a connectome"),
        (["--connectome", "bare.csv"], "no tract lengths.*--lengths FILE.*--no-delays"),
        (["--connectome", "bare.csv", "--lengths", "short.txt"], r"\(6, 6\), not \(5, 5\)"),
        (["--connectome", "bare.csv", "--lengths", "missing.txt"], "There is no file missing.txt"),
        (["--lengths", "bare.csv"], "--lengths goes with the weights of a file"),
        (["--no-delays", "--speed", "3"], "nothing reads --speed and --lengths"),
        (["--no-delays", "--connectome", "bare.csv", "--lengths", "bare.csv"], "nothing reads"),
        (["--connectome", "bare.csv", "--nodes", "6"], "--nodes is for the synthetic"),
        (["--target-fc", "missing.npy", "--nodes", "6"], "There is no file missing.npy"),
        (["--target-fc", "pickled.npy", "--nodes", "6"], "Cannot read pickled.npy as functional"),
        (
            ["--target-fc", "file", "--nodes", "6"],
            "extension must be one of .csv, .txt, .npy, .tsv",
        ),
        (["--target-fc", "broken.npz", "--nodes", "6"], "Cannot read broken.npz"),
        (["--target-fc", "nofc.npz", "--nodes", "6"], "Cannot read nofc.npz"),
        (["--target-fc", "four.npy", "--nodes", "6"], r"must be \(6, 6\).*got \(4, 4\)"),
        (["--target-fc", "large.npy", "--nodes", "6"], "from -1 to 1"),
        (["--nodes", "6", "--out", "file"], "file"),
        (["--connectome", "tvb:77"], "none of tvb:66, tvb:68, tvb:76, tvb:96, tvb:192"),
        (["--connectome", "bare.csv", "--keys", "A"], "--keys must be like weights=SC; got 'A'"),
        (
            ["--connectome", "nofc.npz", "--keys", "weights=A"],
            "`keys` asks for 'A'; it holds: weig",
        ),
        (["--symmetrize"], "go with a file"),
        (
            ["--connectome", "named.csv", "--target-fc", "turned.csv", "--no-delays"],
            "region 4: 'e' and 'f'. They are the same in another order",
        ),
        (
            ["--connectome", "named.csv", "--target-fc", "turned.npz", "--no-delays"],
            "Cannot read turned.npz as functional connectivity: .* region 4: 'e' and 'f'",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(files, arguments, says, capsys):
    with refuses("2", SystemExit):
        job.main(arguments)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(says, said)


@pytest.mark.optimised
def test_a_real_connectome_is_fitted_better_than_by_its_structure(tmp_path):
    path = os.environ.get("COUPLING_FN_CONNECTOME")
    if not path:
        pytest.skip("COUPLING_FN_CONNECTOME names no file with weights, lengths and fc")
    with enable_x64(False):
        job.main(["--connectome", path, "--target-fc", path, "--quiet", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["fc_correlation"] > max(result["fc_correlation_of_structure"].values())
