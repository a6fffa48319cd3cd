"""Connectomes in files: what each format means, and errors that name the file."""

import builtins
import bz2
import os
import pickle
import re
import tempfile
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from helpers import refuses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import coupling_fn as cf
from coupling_fn._formats import _record

WEIGHTS = np.array([[0.0, 1.25, -3.0], [2.5, 0.0, 0.1], [0.0, 1e-7, 0.0]])
LENGTHS = np.array([[0.0, 80.0, 11.5], [79.0, 0.0, 224.0], [12.0, 200.5, 0.0]])
LABELS = ("L.V1", "R.V1", "Thalamus")
CENTRES = "L.V1 -1.0 2 3e1\nR.V1\t1.0 2 3\n\nThalamus 0 0 0\n"


def text(x, delimiter=" "):
    return "\n".join(delimiter.join(repr(float(v)) for v in row) for row in x) + "\n"


def make_zip(path, **members):
    """Write members such as weights_txt="..." or, compressed, weights_txt_bz2="..."."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            name = name.replace("_bz2", ".bz2").replace("_txt", ".txt")
            content = content.encode()
            archive.writestr(name, bz2.compress(content) if name.endswith("bz2") else content)
    return path


def assert_same(conn, weights=WEIGHTS, lengths=LENGTHS, labels=LABELS):
    assert np.array_equal(conn.weights, weights)
    assert (conn.lengths is None) == (lengths is None)
    assert lengths is None or np.array_equal(conn.lengths, lengths)
    assert conn.labels == labels


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.mark.parametrize("subfolder", ["", "connectivity_3/"])
@pytest.mark.parametrize("packed", ["", "_bz2"])
def test_tvb_zip(folder, subfolder, packed):
    members = {"weights": text(WEIGHTS), "tract_lengths": text(LENGTHS), "centres": CENTRES}
    members = {f"{subfolder}{name}_txt{packed}": value for name, value in members.items()}
    junk = {"info_txt": "made by a test", "areas_txt": "1 2 3", "__MACOSX/weights_txt": "\0"}
    assert_same(cf.load_connectome(make_zip(folder / "c.zip", **members, **junk)))


def test_tvb_zip_with_parts_missing(folder):
    path = make_zip(folder / "c.ZIP", weights_txt=text(WEIGHTS))
    assert_same(cf.load_connectome(str(path)), lengths=None, labels=None)
    np.save(folder / "lengths.npy", LENGTHS)
    assert_same(cf.load_connectome(path, folder / "lengths.npy"), labels=None)
    make_zip(path, tract_lengths_txt=text(LENGTHS))
    with refuses(r"c\.ZIP .* holds no weights, only: tract_lengths\.txt"):
        cf.load_connectome(path)


def test_npz(folder):
    np.savez(folder / "a.npz", weights=WEIGHTS, tract_lengths=LENGTHS, labels=np.array(LABELS))
    assert_same(cf.load_connectome(folder / "a.npz"))
    np.savez_compressed(folder / "b.npz", weights=WEIGHTS.astype("float32"), more=np.ones(3))
    got = cf.load_connectome(folder / "b.npz")
    assert got.weights.dtype == "float32"
    assert_same(got, WEIGHTS.astype("float32"), None, None)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".npy"])
@pytest.mark.parametrize("lengths_suffix", [".csv", ".txt", ".npy", ".npz", ".mat"])
def test_matrices(folder, suffix, lengths_suffix):
    for name, x in ((f"w{suffix}", WEIGHTS), (f"l{lengths_suffix}", LENGTHS)):
        if name.endswith(".npy"):
            np.save(folder / name, x)
        elif name.endswith(".npz"):
            np.savez(folder / name, tract_lengths=x, other=SQUARE)
        elif name.endswith(".mat"):
            scipy.io.savemat(folder / name, {"D": x})  # its only variable
        else:
            content = text(x, "," if name.endswith(".csv") else "\t")
            (folder / name).write_text("\ufeff" + content, "utf-8")  # as spreadsheets do
    assert_same(cf.load_connectome(folder / f"w{suffix}"), lengths=None, labels=None)
    got = cf.load_connectome(folder / f"w{suffix}", lengths=folder / f"l{lengths_suffix}")
    assert_same(got, labels=None)


@pytest.mark.parametrize("key", ["weights", "SC", "sc", "connectivity"])
def test_mat(folder, key):
    path = folder / "c.mat"
    scipy.io.savemat(path, {key: WEIGHTS, "lengths": LENGTHS, "other": "x"}, do_compression=True)
    assert_same(cf.load_connectome(path), labels=None)
    scipy.io.savemat(path, {key: scipy.sparse.csc_array(WEIGHTS)})
    assert_same(cf.load_connectome(path), lengths=None, labels=None)


def test_mat_without_weights_or_too_large(folder, monkeypatch):
    path = folder / "c.mat"
    scipy.io.savemat(path, {"A": WEIGHTS, "B": WEIGHTS})
    with refuses(r"c\.mat .* none of weights, .*sc, .*, only: A, B\. Say which it is: keys="):
        cf.load_connectome(path)
    assert_same(cf.load_connectome(path, keys={"weights": "B"}), lengths=None, labels=None)
    scipy.io.savemat(path, {"SC": np.zeros((200, 200))}, do_compression=True)
    monkeypatch.setattr(_record, "MAX_BYTES", 10_000)
    with refuses(r"c\.mat .* a variable, unpacked, is larger than the limit"):
        cf.load_connectome(path)


def test_mat_without_scipy(folder, monkeypatch):
    scipy.io.savemat(folder / "c.mat", {"SC": WEIGHTS})
    real = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with refuses("needs scipy: install it, or save the matrix as", ImportError):
        cf.load_connectome(folder / "c.mat")


def test_the_other_orientation_is_turned_by_name(folder):
    (folder / "w.csv").write_text("0,5\n0,0\n")
    conn = cf.load_connectome(folder / "w.csv")
    assert conn.weights[0, 1] == 5  # from region 1 onto region 0
    assert cf.from_source_target(conn).weights[1, 0] == 5


SQUARE = "0 1\n1 0\n"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b" \n\n", "it is empty"),
        ("a.csv", b"V1,V2\n", "a header, but no row of numbers"),
        ("a.csv", b"0;1\n1;x\n", "line 2, column 2 is 'x', not a number"),
        ("a.csv", b"0,1\n1\n", "line 2 has 1 columns, and line 1 has 2"),
        ("a.csv", b"0,1,2\n1,0,2\n", r"must be square.*\(2, 3\)"),
        ("a.csv", b"0,nan\n1,0\n", r"`weights` must be finite; at \(0, 1\)"),
        ("a.txt", b"\x80\x81\xff", "codec can't decode"),
        ("a.npy", b"0 1\n1 0\n", "magic string"),
        ("a.npz", b"PK\x03\x04 not really", "not a zip file"),
        ("a.zip", b"0 1\n1 0\n", "not a zip file"),
        ("a.mat", b"0 1\n1 0\n", "as a connectome"),
        ("a.json", b"[[0]]", r"extension must be one of \.zip, \.npz.*not '\.json'"),
        ("a", b"0", "extension must be one of"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(folder, name, content, match):
    (folder / name).write_bytes(content)
    with refuses(f"Cannot read .*{re.escape(name)}(?s:.*){match}"):
        cf.load_connectome(folder / name)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"weights_txt": "0 1\n1\n"}, "its weights must have rows as long"),
        ({"weights_txt": ""}, "its weights is empty"),
        ({"weights_txt": SQUARE, "tract_lengths_txt": "0 a\n1 0"}, "its tract_lengths, line 1"),
        ({"weights_txt": SQUARE, "tract_lengths_txt": "0 -1\n1 0"}, "`lengths` must be ≥ 0"),
        ({"weights_txt": SQUARE, "tract_lengths_txt": "0"}, r"shape \(2, 2\), not \(1, 1\)"),
        ({"weights_txt": SQUARE, "centres_txt": "a 0 0 0"}, "one per region, 2, not 1"),
        ({"weights_txt": SQUARE, "centres_txt": "0 0 0\n1 1"}, "`label x y z`; one is '1 1'"),
        ({"weights_txt": SQUARE, "centres_txt": "a b c d"}, "`label x y z`; one is 'a b c d'"),
        (
            {"weights_txt": SQUARE, "weights_txt_bz2": SQUARE},
            r"more than one of a kind: weights\.txt",
        ),
        ({"a/weights_txt": SQUARE, "b/weights_txt": SQUARE}, "more than one of a kind"),
        ({}, "holds no weights, only: nothing"),
    ],
)
def test_a_bad_tvb_zip(folder, members, match):
    with refuses(rf"c\.zip as a connectome: .*{match}"):
        cf.load_connectome(make_zip(folder / "c.zip", **members))


@pytest.mark.parametrize("suffix", [".zip", ".npz", ".npy", ".mat", ".bz2"])
def test_truncated_and_flipped_files(folder, suffix):
    path = folder / f"c{suffix}"
    rng = np.random.default_rng(0)
    noise = rng.random((20, 20))
    conn = cf.Connectome(noise)
    if suffix in (".zip", ".npz"):
        cf.save_connectome(path, conn)
    elif suffix == ".npy":
        np.save(path, noise)
    elif suffix == ".mat":
        scipy.io.savemat(path, {"SC": noise}, do_compression=True)
    else:  # whole around a stream that is cut
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights.txt.bz2", bz2.compress(text(noise).encode())[:-40])
        with refuses(r"Cannot read .*c\.zip"):
            cf.load_connectome(path)
        return
    whole = path.read_bytes()
    for end in (1, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:end])
        with refuses(f"Cannot read .*c{suffix}"):
            cf.load_connectome(path)
    for at in rng.integers(0, len(whole), 60):  # a connectome, or the error with the name
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        error = None
        try:
            cf.load_connectome(path)
        except ValueError as caught:
            error = caught
        assert error is None or (f"Cannot read {path}" in str(error) and error.__cause__)


@pytest.mark.parametrize("packed", ["", "_bz2"])
def test_bombs_are_not_unpacked(folder, monkeypatch, packed):
    monkeypatch.setattr(_record, "MAX_BYTES", 100_000)
    path = make_zip(folder / "c.zip", **{f"weights_txt{packed}": "0 " * 10**6})
    assert path.stat().st_size < 10_000
    with refuses(r"weights\.txt.*, unpacked, is larger than the limit of 100000 bytes"):
        cf.load_connectome(path)
    np.savez_compressed(folder / "c.npz", weights=np.zeros((300, 300)))
    with refuses(r"weights\.npy, unpacked, is larger than the limit"):
        cf.load_connectome(folder / "c.npz")
    np.save(folder / "c.npy", np.zeros((300, 300)))
    with refuses(r"c\.npy .*it is larger than the limit"):
        cf.load_connectome(folder / "c.npy")


def test_a_header_that_claims_too_much_allocates_nothing(folder):
    with open(folder / "c.npy", "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**7)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 800)
    with refuses(r"Cannot read .*c\.npy"):
        cf.load_connectome(folder / "c.npy")


@pytest.mark.parametrize(
    "name", ["../weights.txt", "/weights.txt", "a/../../x", "C:/x.txt", "..\\x", "\\\\host\\x\\y"]
)
def test_an_archive_that_leaves_its_folder_is_refused(folder, name):
    for suffix in (".zip", ".npz"):
        path = folder / f"c{suffix}"
        cf.save_connectome(path, cf.Connectome(WEIGHTS))
        cf.load_connectome(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, "0 1\n1 0\n")
        with refuses(r"has a path that leaves the archive's folder"):
            cf.load_connectome(path)


def test_labels_of_no_bytes_are_no_bomb(folder):
    with zipfile.ZipFile(folder / "c.npz", "w") as archive:
        with archive.open("weights.npy", "w") as file:
            np.save(file, np.eye(2))
        with archive.open("labels.npy", "w") as file:
            header = {"descr": "<U0", "fortran_order": False, "shape": (10**10,)}
            np.lib.format.write_array_header_1_0(file, header)
    with refuses(r"claims to hold 10000000000 entries in 128 bytes"):
        cf.load_connectome(folder / "c.npz")


class Exploding:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickles_are_never_loaded(folder, monkeypatch):
    monkeypatch.chdir(folder)
    np.savez("c.npz", weights=np.eye(2), labels=np.array([Exploding(), 1], dtype=object))
    np.save("c.npy", np.array([[Exploding()]], dtype=object))
    Path("d.npy").write_bytes(pickle.dumps(Exploding()))
    for name in ("c.npz", "c.npy", "d.npy"):
        with refuses(f"Cannot read {name}"):
            cf.load_connectome(name)
    assert not Path("exploded").exists()


def test_missing_files_and_lengths(folder):
    with refuses(r"There is no file .*a\.csv", FileNotFoundError):
        cf.load_connectome(folder / "a.csv")
    (folder / "d.csv").mkdir()
    with refuses(r"There is no file .*d\.csv", FileNotFoundError):
        cf.load_connectome(folder / "d.csv")
    (folder / "a.csv").write_text("0,1\n1,0\n")
    with refuses(r"There is no file .*l\.csv", FileNotFoundError):
        cf.load_connectome(folder / "a.csv", folder / "l.csv")
    with refuses(r"extension must be one of \.csv, \.txt, \.npy, \.tsv, .*, not '\.zip'"):
        cf.load_connectome(folder / "a.csv", folder / "l.zip")
    (folder / "l.csv").write_text("x")
    with refuses(r"Cannot read .*l\.csv"):
        cf.load_connectome(folder / "a.csv", folder / "l.csv")
    np.savez(folder / "l.npz", weights=WEIGHTS)
    with refuses(
        r"l\.npz as tract lengths: it holds none of lengths, .*tract_lengths, .*only: weights"
    ):
        cf.load_connectome(folder / "a.csv", folder / "l.npz")
    np.savez(folder / "a.npz", weights=WEIGHTS, lengths=LENGTHS)
    with refuses(r"a\.npz holds lengths itself; leave `lengths` out"):
        cf.load_connectome(folder / "a.npz", folder / "a.csv")


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:.*(only negative weight|in one triangle|for weights)")
@given(data=st.data())
def test_what_is_saved_comes_back(suffix, dtype, data):
    n = data.draw(st.sampled_from([1, 2, 5]))
    width = int(dtype[-2:])
    numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, width=width)
    letters = st.characters(categories=["L", "N", "P"] + (["Zs"] if suffix == ".npz" else []))
    labels = st.lists(st.text(letters, min_size=1), min_size=n, max_size=n)
    conn = cf.Connectome(
        data.draw(hnp.arrays(dtype, (n, n), elements=numbers)),
        data.draw(st.none() | hnp.arrays(dtype, (n, n), elements=numbers.map(abs))),
        data.draw(st.none() | labels),
    )
    if conn.labels is not None and data.draw(st.booleans()):
        places = numbers.map(abs).filter(bool)  # centres that are all 0 are those not known
        values = hnp.arrays(dtype, n, elements=numbers)
        conn = cf.Connectome(
            *(conn.weights, conn.lengths, conn.labels),
            data.draw(hnp.arrays(dtype, (n, 3), elements=places)),
            {"areas": data.draw(values), "cortical": data.draw(hnp.arrays(bool, n))}
            | ({"net": np.array([*conn.labels])} if suffix == ".npz" else {}),
        )
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"c{suffix}"
        cf.save_connectome(path, conn)
        assert os.listdir(place) == [path.name]
        got = cf.load_connectome(path)
    assert_same(got, *(conn.weights, conn.lengths, conn.labels))
    assert (got.centres is None) == (conn.centres is None)
    assert conn.centres is None or np.array_equal(got.centres, conn.centres)
    assert set(got.region_data) == set(conn.region_data)
    for name, x in conn.region_data.items():
        assert np.array_equal(got.region_data[name], x)
        assert np.asarray(got.region_data[name]).dtype.kind == np.asarray(x).dtype.kind
    assert got.weights.dtype == (dtype if suffix == ".npz" else "float64")


def test_a_saved_zip_has_the_members_of_tvb(folder):
    cf.save_connectome(folder / "c.zip", cf.Connectome(WEIGHTS, LENGTHS, LABELS))
    with zipfile.ZipFile(folder / "c.zip") as archive:
        assert archive.namelist() == ["weights.txt", "tract_lengths.txt", "centres.txt"]
        assert archive.read("centres.txt") == b"L.V1 0 0 0\nR.V1 0 0 0\nThalamus 0 0 0\n"
        rows = archive.read("weights.txt").decode().splitlines()
    assert [float(x) for x in rows[0].split()] == WEIGHTS[0].tolist()


def test_a_save_that_fails_leaves_what_was_there(folder, monkeypatch):
    path = folder / "c.npz"
    cf.save_connectome(path, cf.Connectome(WEIGHTS))
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        cf.save_connectome(path, cf.Connectome(WEIGHTS * 2))
    assert path.read_bytes() == before
    assert os.listdir(folder) == ["c.npz"]


def test_what_save_refuses(folder):
    conn = cf.Connectome(np.eye(2), labels=["left thalamus", "b"])
    with refuses("`path's extension` must be one of '.npz', '.zip', not '.csv'"):
        cf.save_connectome(folder / "c.csv", conn)
    with refuses("words without blanks .* 'left thalamus'"):
        cf.save_connectome(folder / "c.zip", conn)
    placed = cf.Connectome(np.eye(2), centres=np.ones((2, 3)))
    with refuses("`labels` must be given where there are `centres`.* save to .npz"):
        cf.save_connectome(folder / "c.zip", placed)
    for data in ({"volume": [1.0, 2.0]}, {"hemispheres": ["L", "R"]}):
        with refuses(r"`region_data\['\w+'\]` has no place in TVB's .zip.* Save to .npz"):
            cf.save_connectome(folder / "c.zip", cf.Connectome(np.eye(2), region_data=data))
    with refuses("must not end in a NUL"):
        cf.save_connectome(folder / "c.npz", cf.Connectome(np.eye(1), labels=["a\0"]))
    assert os.listdir(folder) == []


@pytest.fixture
def without_x64():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("without_x64")
def test_files_hold_float64_and_jax_may_not(folder):
    np.save(folder / "w.npy", WEIGHTS)
    assert cf.load_connectome(folder / "w.npy").weights.dtype == "float32"
