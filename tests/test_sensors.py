"""EEG, MEG and sEEG: projections by hand, references, files."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.test_util import check_grads
from reference_observe.record import FILE, activity, lead_field

import coupling_fn as cf

RNG = np.random.default_rng(4)
SOURCES = RNG.normal(size=(7, 3))
LEAD_FIELD = RNG.normal(size=(4, 3))
REFERENCES = {
    "none": None,
    "average": "average",
    "one": 2,
    "pairs": np.array([[0, 1], [1, 2], [3, 0]]),
}


def by_hand(reference, sources, lead_field):
    seen = np.zeros((len(sources), len(lead_field)))
    for t, x in enumerate(sources):
        for sensor, row in enumerate(lead_field):
            seen[t, sensor] = sum(g * a for g, a in zip(row, x, strict=True))
    if reference == "average":
        return seen - seen.mean(axis=1, keepdims=True)
    if reference == "one":
        return seen - seen[:, [2]]
    if reference == "pairs":
        return np.stack([seen[:, a] - seen[:, b] for a, b in REFERENCES["pairs"]], axis=1)
    return seen


@pytest.mark.every(4)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("reference", REFERENCES)
def test_sensors_see_their_weighted_sum(reference, transform):
    project = lambda x, g: cf.observe.sensor_signals(x, g, reference=REFERENCES[reference])
    got = TRANSFORMS[transform](project)(jnp.asarray(SOURCES), jnp.asarray(LEAD_FIELD))
    assert_close(got, by_hand(reference, SOURCES, LEAD_FIELD), ulps=64)


@pytest.mark.parametrize("reference", REFERENCES)
def test_float32_stays(reference):
    x, g = (jnp.asarray(a, "float32") for a in (SOURCES, LEAD_FIELD))
    got = cf.observe.sensor_signals(x, g, reference=REFERENCES[reference])
    wanted = by_hand(reference, np.asarray(x, float), np.asarray(g, float))
    assert_close(got, wanted.astype("float32"), ulps=64)


@given(
    a=arrays("float64", (2, 3), elements=st.floats(-9, 9, allow_subnormal=False)),
    b=arrays("float64", (2, 3), elements=st.floats(-9, 9, allow_subnormal=False)),
)
def test_what_sensors_see_adds_up_and_the_reference_is_its_zero(a, b):
    see = lambda x, **reference: np.asarray(cf.observe.sensor_signals(x, LEAD_FIELD, **reference))
    np.testing.assert_allclose(see(a + b), see(a) + see(b), rtol=0, atol=1e-13)
    assert not see(a, reference=1)[:, 1].any()
    assert np.abs(see(a, reference="average").mean(axis=1)).max() < 1e-14


def test_gradients():
    project = lambda x, g: cf.observe.sensor_signals(x, g, reference="average")
    args = jnp.asarray(SOURCES), jnp.asarray(LEAD_FIELD)
    check_grads(jax.jit(project), args, order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("kind", ["npy", "npz", "npz with others", "mat", "csv", "txt"])
def test_a_lead_field_from_a_file(kind, tmp_path):
    path = tmp_path / f"field.{kind.split()[0]}"
    if kind == "npy":
        np.save(path, LEAD_FIELD)
    elif kind == "npz":
        np.savez(path, whatever=LEAD_FIELD)
    elif kind == "npz with others":
        np.savez(path, gain=LEAD_FIELD, sensors=np.ones(4))
    elif kind == "mat":
        pytest.importorskip("scipy.io").savemat(path, {"gain": LEAD_FIELD, "sensors": np.ones(4)})
    else:
        np.savetxt(path, LEAD_FIELD, delimiter="," if kind == "csv" else " ", fmt="%.17g")
    np.testing.assert_array_equal(cf.observe.load_lead_field(path), LEAD_FIELD)
    np.testing.assert_array_equal(cf.observe.load_lead_field(str(path)), LEAD_FIELD)


def write(path, content):
    path.write_bytes(content)
    return path


FILES = {
    "none": (lambda p: p / "none.npy", "There is no file", FileNotFoundError),
    "unknown": (lambda p: write(p / "a.fif", b"1"), "extension must be one of .*not '.fif'"),
    "damaged": (lambda p: write(p / "a.npy", b"\x93NUMPY"), "Cannot read .*a.npy as a lead field"),
    "empty": (lambda p: write(p / "a.csv", b""), "as a lead field: it is empty"),
    "header": (lambda p: write(p / "a.csv", b"Cz,Fz\n1,2\n"), "numbers alone, without a header"),
    "nan": (lambda p: write(p / "a.csv", b"1,nan\n"), "`lead_field` must be finite"),
    "pickled": (
        lambda p: write(p / "a.npy", pickle.dumps([1.0])),
        "Cannot read .*a.npy as a lead field",
    ),
}


@pytest.mark.parametrize("problem", FILES)
def test_files_that_hold_none_are_refused(problem, tmp_path):
    make, message, *error = FILES[problem]
    path = make(tmp_path)
    with refuses(message, error[0] if error else ValueError):
        cf.observe.load_lead_field(path)


def test_npz_with_several_arrays_and_none_of_the_names_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=LEAD_FIELD, y=LEAD_FIELD)
    with refuses(r"it holds none of lead_field, gain, only: x, y"):
        cf.observe.load_lead_field(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.ones(3))
    with refuses(r"`lead_field` must have shape \(sensor, region\); got \(3,\)"):
        cf.observe.load_lead_field(tmp_path / "b.npy")


def see(sources=SOURCES, lead_field=LEAD_FIELD, **options):
    return lambda: cf.observe.sensor_signals(sources, lead_field, **options)


PROBLEMS = {
    "another size": (
        see(lead_field=np.ones((4, 5))),
        r"`lead_field` must have shape \(sensor, 3\), one column per region .*got \(4, 5\)\.$",
    ),
    "turned": (see(lead_field=np.ones((3, 5))), r"got \(3, 5\)\. .* pass `lead_field\.T`"),
    "one row": (see(lead_field=np.ones(3)), r"`lead_field` must have shape \(sensor, region\)"),
    "NaN": (see(lead_field=LEAD_FIELD * np.nan), "`lead_field` must be finite"),
    "one region's series": (see(sources=np.ones(3)), r"`sources` .*\(time, region\).*\(3,\)"),
    "no such reference": (see(reference="mean"), "`reference` must be None, 'average', .*'mean'"),
    "no such sensor": (see(reference=4), "`reference` must name sensors from 0 to 3; got 4"),
    "a negative sensor": (see(reference=-1), "`reference` must name sensors from 0 to 3"),
    "half a sensor": (see(reference=0.5), "`reference` must be one whole number, or pairs"),
    "triples": (see(reference=np.ones((2, 3), int)), r"or pairs of shape \(channel, 2\)"),
    "a row of sensors": (see(reference=np.array([0, 1])), r"or pairs of shape \(channel, 2\)"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message = PROBLEMS[problem]
    with refuses(message):
        wrong()


@pytest.mark.parametrize(
    ("reference", "theirs"), [(None, "None"), ("average", "average"), (1, "B")]
)
def test_eeg_is_that_of_tvb(reference, theirs):
    """TVB's monitor is run without the noise that it adds by default."""
    sources = cf.observe.temporal_average(activity()[:2000], 1.0, 20.0)
    got = cf.observe.sensor_signals(sources, lead_field(), reference=reference)
    assert_close(got, np.load(FILE)[f"tvb EEG {theirs}"], ulps=16)
