"""A cortical surface: what it holds, where it is read, and a run on it next to plain loops and to TVB.

TVB keeps its history in float32; otherwise both compute in float64.
"""

import io
import zipfile
from collections import Counter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from reference.surface import KEPT, STEPS, largest_error, loaded, ours, recorded, sampled
from scipy import io as scipy_io
from scipy import sparse
from scipy.spatial import ConvexHull

import coupling_fn as cf

VERTICES, REGIONS, SENSORS, DT, TIMES = 200, 5, 4, 0.5, 24


def sphere():
    """Return places and triangles of a sphere, local weights by pair, and regions, but for its top."""
    rng = np.random.default_rng(3)
    height = np.linspace(-0.995, 0.995, VERTICES)
    angle = np.pi * (1 + 5**0.5) * np.arange(VERTICES)
    ring = np.sqrt(1 - height**2)
    places = 50.0 * np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
    triangles = ConvexHull(places).simplices
    pairs = sorted({(int(a), int(b)) for t in triangles for a in t for b in t if a != b})
    local = {pair: float(rng.uniform(0.05, 0.3)) for pair in pairs}  # (target, source)
    region = (np.mod(angle, 2 * np.pi) / (2 * np.pi) * REGIONS).astype(int)
    return places, triangles, local, np.where(height > 0.8, -1, region)


PLACES, TRIANGLES, LOCAL, REGION = sphere()
RNG = np.random.default_rng(4)
GAIN = RNG.normal(size=(SENSORS, VERTICES))
TRACTS = RNG.uniform(0.2, 1.0, (REGIONS, REGIONS))
LAGS = RNG.integers(1, 9, (REGIONS, REGIONS))
LAGS[1, 2] = LAGS[3, 3] = 0
V0, W0 = RNG.uniform(-1, 3, VERTICES), RNG.uniform(-4, 4, VERTICES)


def make(**changes):
    target, source = np.array(list(LOCAL)).T
    local = cf.sparse_from_edges(target, source, list(LOCAL.values()), (VERTICES, VERTICES))
    parts = {"vertices": PLACES, "triangles": TRIANGLES, "local_connectivity": local}
    parts |= {"region_mapping": REGION, "gain": GAIN, "sensors": ["Fz", "Cz", "Pz", "Oz"]}
    return cf.surface.Cortex(**parts | changes)


def by_hand(local, long):
    """Take Euler's steps, one number at a time: the averages and the EEG after each."""
    V, W = [*map(float, V0)], [*map(float, W0)]
    size = Counter(REGION.tolist())

    def means_of(V):
        total = [0.0] * REGIONS
        for v, r in enumerate(REGION):
            if r >= 0:
                total[r] += V[v] / size[r]
        return total

    past = [means_of(V)]
    eeg = []
    for t in range(TIMES):
        near = [0.0] * VERTICES
        for (target, source), weight in LOCAL.items():
            near[target] += weight * V[source]
        far = [
            sum(TRACTS[i, j] * past[max(t - LAGS[i, j], 0)][j] for j in range(REGIONS))
            for i in range(REGIONS)
        ]
        for v, r in enumerate(REGION):
            drive = local * near[v] + (long * far[r] if r >= 0 else 0.0)
            rate_V = 0.02 * (-(V[v] ** 3) + 3 * V[v] ** 2 + W[v] + drive)
            rate_W = 0.02 * (2.0 - 10 * V[v] - W[v])
            V[v], W[v] = V[v] + DT * rate_V, W[v] + DT * rate_W
        past.append(means_of(V))
        eeg.append([sum(g * x for g, x in zip(row, V, strict=True)) for row in GAIN])
    return np.array(past[1:]), np.array(eeg)


def runner(dtype):
    """Return the run of `k`, the strengths of local and of long-range coupling."""
    cortex = make()
    mean = cortex.parcellation.mean
    wires = {"local": cf.Wire("V", "V"), "long": cf.Wire(lambda state: mean(state.V), "V")}
    lags = {"local": None, "long": LAGS}
    node = cf.nodes.generic_2d_oscillator
    net = cf.Network(node, DT, couplings=wires, lags=lags, scheme="euler")
    couplings = {
        "local": cf.AdditiveCoupling(cortex.local_connectivity),
        "long": cf.RegionalCoupling(cf.AdditiveCoupling(TRACTS), cortex.parcellation),
    }
    params = cf.Params(node.Params(a=2.0), couplings)
    x0 = node.State(jnp.asarray(V0), jnp.asarray(W0))

    def cast(x):
        return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, x)

    params, x0, gain = cast(params), cast(x0), cast(cortex.gain)

    def measured(state):
        V = state.node.V
        return mean(V), cf.observe.sensor_signals(V[None], gain)[0]

    def run(k):
        def strengths(p):
            return p.coupling["local"].k, p.coupling["long"].coupling.k

        there = eqx.tree_at(strengths, params, (k[0], k[1]))
        return cf.simulate(net, net.init(x0, there), there, TIMES, record=measured)[1]

    return run


K = np.array([[0.9, 1.3], [0.0, 1.3], [0.9, 0.0]])


def test_a_run_on_a_sphere_is_its_loops_with_both_couplings_and_without_either():
    got = jax.jit(jax.vmap(runner("float64")))(jnp.asarray(K))
    wanted = [by_hand(*k) for k in K]
    for i, what in enumerate(("means", "eeg")):
        assert_close(got[i], np.stack([run[i] for run in wanted]), ulps=2**8)
        for n in (1, 2):
            change = np.abs(wanted[n][i] - wanted[0][i]).max() / np.abs(wanted[0][i]).max()
            assert change > 0.02, f"{what} would not show that a coupling is missing"


def test_a_run_on_a_sphere_keeps_float32():
    got = jax.jit(runner("float32"))(jnp.asarray(K[0], "float32"))
    assert {x.dtype for x in got} == {jnp.dtype("float32")}
    assert_close(got, tuple(x.astype("float32") for x in by_hand(*K[0])), ulps=2**6)


def test_the_slopes_of_eeg_and_of_averages_are_those_of_the_loops():
    run, k = runner("float64"), jnp.asarray(K[0])
    weights = RNG.normal(size=(TIMES, REGIONS)), RNG.normal(size=(TIMES, SENSORS))

    def loss(outputs):
        return sum((w * x).sum() for w, x in zip(weights, outputs, strict=True))

    slopes = jax.jit(jax.grad(lambda k: loss(run(k))))(k)
    for n, step in enumerate(1e-5 * np.eye(2)):
        wanted = (loss(by_hand(*(K[0] + step))) - loss(by_hand(*(K[0] - step)))) / 2e-5
        np.testing.assert_allclose(slopes[n], wanted, rtol=1e-6)


def test_a_cortex_says_what_it_holds():
    cortex = make()
    edges = 3 * VERTICES - 6  # of a sphere, by Euler's formula; each is stored in both directions
    said = f"200 vertices, 396 triangles, {2 * edges} local connections, 5 regions"
    assert str(cortex) == f"{said}, 4 sensors" and len(cortex) == VERTICES
    assert str(make(gain=None, sensors=None)) == said
    assert cortex.sensors == ("Fz", "Cz", "Pz", "Oz")
    assert_close(cortex.region_mapping, REGION.astype("int32"))
    assert_close(cortex.parcellation.sizes, np.bincount(REGION[REGION >= 0]).astype("int32"))


@pytest.mark.parametrize(
    ("changes", "match", "error"),
    [
        ({"vertices": PLACES[:, :2]}, r"`vertices` must have shape \(200, 3\)", ValueError),
        ({"vertices": np.ones((0, 3))}, "`vertices` must have at least one row", ValueError),
        ({"triangles": TRIANGLES[0]}, r"`triangles` must have shape \(triangle, 3\)", ValueError),
        ({"vertices": PLACES * np.nan}, "`vertices` must be finite", ValueError),
        ({"triangles": TRIANGLES + 1}, "name vertices from 0 to 199; .* 1 … 200", ValueError),
        ({"triangles": TRIANGLES - 1}, "name vertices from 0 to 199; .* -1 … 198", ValueError),
        ({"triangles": TRIANGLES * 1.0}, "`triangles` must be whole numbers", TypeError),
        ({"triangles": TRIANGLES[:, :2]}, r"`triangles` must have shape \(396, 3\)", ValueError),
        ({"local_connectivity": np.eye(200)}, "a SparseConnection, .* cf.to_sparse", TypeError),
        (
            {"local_connectivity": cf.to_sparse(np.eye(3))},
            r"\(200, 200\), not \(3, 3\)",
            ValueError,
        ),
        ({"region_mapping": REGION[1:]}, r"`region_mapping` .* \(200,\)", ValueError),
        ({"region_mapping": REGION * 1.0}, "`region_mapping` must be whole", TypeError),
        ({"region_mapping": REGION + (REGION == 2)}, "Region 2 .* `region_mapping`", ValueError),
        ({"gain": GAIN[:, 1:]}, r"`gain` must have shape \(4, 200\), not \(4, 199\)", ValueError),
        ({"gain": GAIN * np.inf}, "`gain` must be finite", ValueError),
        ({"sensors": ["Fz"]}, "`sensors` .* row of `gain`, which has 4; got 1", ValueError),
        ({"gain": None}, "`sensors` .* row of `gain`, which has none; got 4", ValueError),
        ({"sensors": "FzCz"}, "`sensors` must be a sequence of strings", TypeError),
        ({"sensors": [1, 2, 3, 4]}, "`sensors` must be a sequence of strings", TypeError),
    ],
)
def test_what_does_not_fit_is_refused(changes, match, error):
    with refuses(match, error):
        make(**changes)


# --- files ----------------------------------------------------------------------------------------

MESH = "surfaceData/cortex_16384.zip"
NEAR = "local_connectivity/local_connectivity_16384.mat"
MAP = "regionMapping/regionMapping_16k_76.txt"
PROJECTION = "projectionMatrix/projection_eeg_65_surface_16k.npy"
PLACED = "sensors/eeg_brainstorm_65.txt"
CORNERS = np.array([[0, 0, 0], [1.5, 0, 0], [0, 2, 0], [0, 0, -3]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
NEIGHBOURS = np.array([[0, 1, 2, 0], [0, 0, 0, 3], [4, 0, 0, 5], [6, 7, 0, 0.0]])
HALF = np.array([[1.0, 2, 3, 4], [np.nan] * 4, [5, 6, 7, 8]])


def text(x):
    return "".join(" ".join(map(str, row)) + "\n" for row in x)


def packed(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.txt", content)
    return stream.getvalue()


def written(save, *args, **kwargs):
    stream = io.BytesIO()
    save(stream, *args, **kwargs)
    return stream.getvalue()


def mat(**arrays):
    return written(scipy_io.savemat, arrays)


FILES = {
    MESH: packed(vertices=text(CORNERS), triangles=text(FACES), vertex_normals=text(CORNERS)),
    NEAR: mat(LocalCoupling=sparse.csc_array(NEIGHBOURS)),
    MAP: b"1 0 1 2 ",
    PROJECTION: written(np.save, HALF),
    PLACED: b"Fp1 1 2 3\nIO1 4 5 6\nCz 7 8 9\n",
}


@pytest.fixture
def tvb_data(tmp_path, monkeypatch):
    """Put a small package of that name, with the same files, before any that is installed."""
    folder = tmp_path / "tvb_data"
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
    (folder / "__init__.py").write_text("raise ImportError('it must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_cortex_is_read_from_the_files_of_tvb_data(tvb_data):
    with pytest.warns(UserWarning, match="^tvb:76: the gain of IO1 is NaN"):
        cortex = cf.surface.load_cortex("tvb:76")
    assert_close(cortex.vertices, CORNERS)
    assert_close(cortex.triangles, FACES.astype("int32"))
    assert_close(cortex.local_connectivity.todense(), NEIGHBOURS)  # rows receive
    assert cortex.region_mapping.tolist() == [1, 0, 1, 2]
    assert_close(cortex.gain, HALF[[0, 2]])
    assert cortex.sensors == ("Fp1", "Cz")


@pytest.mark.parametrize(
    ("path", "content", "match"),
    [
        (MESH, packed(vertices=text(CORNERS)), "cortex_16384.zip as a part of .*triangles.txt"),
        (MESH, FILES[MESH][:200], "Cannot read .*cortex_16384.zip as a part of a cortex"),
        (
            MESH,
            packed(vertices=text(CORNERS), triangles=text(FACES + 0.5)),
            "triangles.txt must be whole",
        ),
        (NEAR, mat(a=np.eye(4)), "its a must be a sparse matrix"),
        (NEAR, mat(a=sparse.eye_array(4), b=np.eye(4)), "one sparse matrix; it holds: a, b"),
        (NEAR, mat(a=sparse.eye_array(3)), r"'tvb:76'.*\(3, 3\), for 4 vertices"),
        (MAP, b"1 0 1 2.5", "regionMapping_16k_76.txt .*must be whole numbers"),
        (MAP, b"1 0 1", r"`region_mapping` must have shape \(4,\), not \(3,\)"),
        (PROJECTION, written(np.save, HALF[:2]), r"the gain.*\(3, 4\), not \(2, 4\)"),
        (
            PROJECTION,
            written(np.save, np.where(HALF == 3, np.nan, HALF)),
            r"`gain` must be finite; at \(0, 2\)",
        ),
        (PLACED, b"", "eeg_brainstorm_65.txt .*is empty"),
        (PLACED, None, "There is no file .*eeg_brainstorm_65.txt"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*IO1 is NaN")
def test_damaged_files_of_tvb_data_are_refused_by_name(tvb_data, path, content, match):
    (tvb_data / path).unlink()
    if content is not None:
        (tvb_data / path).write_bytes(content)
    with refuses(match, ValueError if content is not None else FileNotFoundError):
        cf.surface.load_cortex("tvb:76")


def test_a_cortex_that_is_not_there_is_refused(monkeypatch):
    with refuses("'tvb:68' is no cortex of tvb-data; there is: tvb:76"):
        cf.surface.load_cortex("tvb:68")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refuses(r"The cortex of 'tvb:76' .*pip install \"coupling_fn\[data\]\"", ImportError):
        cf.surface.load_cortex("tvb:76")


# --- The Virtual Brain ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    pytest.importorskip("tvb_data", exc_type=ImportError)
    return loaded()


def test_the_cortex_of_tvb_data_is_loaded_by_name(real):
    cortex, connectome = real
    local = cortex.local_connectivity
    assert len(cortex) == 16_384 and local.edges == 98_280 and cortex.gain.shape == (63, 16_384)
    assert cortex.parcellation.regions == len(connectome) == 76
    # The local connections are the edges of the mesh, and each vertex receives an average.
    edges = {(int(a), int(b)) for t in np.asarray(cortex.triangles) for a in t for b in t if a != b}
    assert edges == set(zip(local.target.tolist(), local.source.tolist(), strict=True))
    assert_close(cf.weighted_sum(local, jnp.ones(len(cortex))), np.ones(len(cortex)))
    # The map has the order of the connectome, whose centres are averages over the vertices of a region.
    centres = jax.vmap(cortex.parcellation.mean, in_axes=1, out_axes=1)(cortex.vertices)
    np.testing.assert_allclose(centres, connectome.centres, atol=1e-4)


def test_a_run_on_the_cortex_is_that_of_tvb(real):
    file = recorded()

    def error(**changes):
        net, state, params, measured = ours(*real, **changes)
        _, outputs = cf.simulate(net, state, params, STEPS, record=measured)
        got = sampled(*outputs, int(file["first"]))
        return largest_error({name: x[KEPT] for name, x in got.items()}, file)

    assert max(error().values()) < 1e-6
    assert min(error(local=0.0).values()) > 0.1


def test_uncoupling_tvb_changes_its_run_by_more_than_a_tenth():
    for kind in ("local", "long"):
        assert min(recorded()[f"{of} without {kind}"] for of in ("means", "eeg")) > 0.1
