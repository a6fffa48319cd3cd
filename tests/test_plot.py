"""What is on the axes: not how it looks, but that it is the data, readable and in its units."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from helpers import refuses
from jax.experimental.sparse import BCOO

import coupling_fn as cf

mpl.use("Agg")
import matplotlib.pyplot as plt

WEIGHTS = np.array([[0.0, 2.0, 0.01], [0.0, 0.0, 0.3], [1.0, 0.0, 0.0]])


@pytest.fixture(autouse=True)
def _no_figure_is_left_open():
    yield
    plt.close("all")


def drawn(ax):
    ax.figure.canvas.draw()
    return ax


def test_importing_the_package_does_not_import_matplotlib():
    code = "import sys, coupling_fn; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with refuses(r"pip install 'coupling_fn\[plot\]'", ImportError):
        cf.plot_fc(np.eye(2))


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: cf.plot_connectome(WEIGHTS, ax),
        lambda ax: cf.plot_fc(np.eye(3), ax),
        lambda ax: cf.plot_signals(np.arange(5.0), np.ones((5, 2)), ax),
        lambda ax: cf.plot_sweep(np.arange(3.0), {"loss": np.arange(3.0)}, ax),
    ],
)
def test_axes_that_are_given_are_drawn_on_and_come_back(draw):
    _, (left, right) = plt.subplots(1, 2)
    assert draw(right) is right
    assert right.has_data()
    assert not left.has_data()
    assert drawn(draw(None)) not in (left, right)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, BCOO.fromdense, cf.Connectome])
def test_connectome_shows_weights_in_rows_of_targets(kind):
    image = drawn(cf.plot_connectome(kind(WEIGHTS))).images[0]
    np.testing.assert_array_equal(image.get_array().filled(0), WEIGHTS)
    np.testing.assert_array_equal(image.get_array().mask, WEIGHTS == 0)
    assert (image.norm.vmin, image.norm.vmax) == (0.01, 2.0)
    assert image.norm(0.1) == pytest.approx(np.log(10) / np.log(200))
    assert image.axes.yaxis_inverted()


@pytest.mark.parametrize("weights", [np.zeros((2, 2)), np.eye(2), np.zeros((1, 1))])
def test_connectome_without_a_range_of_weights_is_drawn(weights):
    drawn(cf.plot_connectome(weights))


@pytest.mark.parametrize("inches", [3, 7])
@pytest.mark.parametrize("regions", [3, 84, 400])
def test_labels_stand_at_their_regions_and_do_not_touch(regions, inches):
    labels = tuple(f"area {i}" for i in range(regions))
    connectome = SimpleNamespace(weights=np.ones((regions, regions)), labels=labels)
    ax = drawn(cf.plot_connectome(connectome, plt.subplots(figsize=(inches, inches))[1]))
    for axis, side in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        texts = axis.get_ticklabels()
        assert [t.get_text() for t in texts] == [labels[int(i)] for i in axis.get_ticklocs()]
        spans = sorted(tuple(getattr(t.get_window_extent(), f"interval{side}")) for t in texts)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))
        assert len(texts) >= min(regions, 8)


def test_fc_is_drawn_from_minus_1_to_1_with_nan_grey():
    fc = np.array([[1.0, 0.2, np.nan], [0.2, 1.0, 0.1], [np.nan, 0.1, 1.0]])
    ax = drawn(cf.plot_fc(fc, title="recorded"))
    image = ax.images[0]
    assert image.get_clim() == (-1, 1)
    assert ax.get_aspect() == 1
    assert ax.get_title() == "recorded"
    np.testing.assert_array_equal(image.get_array().mask, np.isnan(fc))
    red, _, blue, _ = image.cmap(image.norm(0.9))
    assert red > 2 * blue


def test_signals_are_drawn_in_seconds_on_one_scale_with_region_0_on_top():
    times = np.arange(1, 2001.0)
    signals = np.stack([50 + np.sin(times / 9), 3 * np.sin(times / 9)], axis=1)
    ax = drawn(cf.plot_signals(times, signals))
    first, second, bar = ax.lines
    assert first.get_xdata()[-1] == 2.0
    assert ax.get_xlabel() == "time [s]"
    assert ax.yaxis_inverted()
    assert np.median(first.get_ydata()) == pytest.approx(0, abs=0.05)
    assert np.median(second.get_ydata()) == pytest.approx(1, abs=0.05)
    assert np.ptp(second.get_ydata()) == pytest.approx(3 * np.ptp(first.get_ydata()), rel=1e-3)
    assert np.argmax(first.get_ydata()) == np.argmin(signals[:, 0])  # the axis points down
    (label,) = ax.texts
    height = np.ptp(bar.get_ydata()) / np.ptp(second.get_ydata()) * np.ptp(signals[:, 1])
    assert height == pytest.approx(float(label.get_text()))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_signals_that_do_not_vary_or_blew_up_are_drawn(value):
    drawn(cf.plot_signals(np.arange(5.0), np.full((5, 2), value)))
    drawn(cf.plot_signals(np.arange(1.0), np.full((1, 2), value)))


def test_sweep_shows_curves_best_and_paths():
    ks, path = np.linspace(0, 1, 5), (np.array([0.1, 0.4]), np.array([3.0, 1.0]))
    curves = {"loss": jnp.arange(5.0), "synchrony": np.ones(5)}
    ax = drawn(cf.plot_sweep(ks, curves, best=0.3, fits={"fit": path}))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["loss"].get_xdata(), ks)
    np.testing.assert_array_equal(lines["loss"].get_ydata(), np.arange(5))
    np.testing.assert_array_equal(lines["fit"].get_xydata(), np.transpose(path))
    np.testing.assert_array_equal(lines["best k = 0.3"].get_xdata(), [0.3, 0.3])
    assert ax.lines[-1].get_xydata().tolist() == [[0.4, 1.0]]
    assert "k" in ax.get_xlabel()
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(shown) == ["best k = 0.3", "fit", "loss", "synchrony"]


@pytest.mark.parametrize(
    ("ks", "scale"), [([0.1, 0.5, 1.0], "linear"), ([0.1, 1.01], "log"), ([0.0, 9.0], "linear")]
)
def test_sweep_is_logarithmic_beyond_a_decade(ks, scale):
    assert cf.plot_sweep(np.array(ks), {"loss": np.ones(len(ks))}).get_xscale() == scale


def test_what_cannot_be_drawn_is_refused():
    with refuses("`weights` must be square"):
        cf.plot_connectome(np.ones((2, 3)))
    with refuses("`weights` must be ≥ 0.*plot_fc"):
        cf.plot_connectome(-WEIGHTS)
    with refuses("`weights` must be finite"):
        cf.plot_connectome(np.full((2, 2), np.nan))
    with refuses("`fc` must be square"):
        cf.plot_fc(np.ones((2, 3)))
    with refuses(r"\(time, region\).*\(4,\)"):
        cf.plot_signals(np.arange(4), np.ones(4))
    with refuses(r"`times` must have shape \(4,\), not \(3,\)"):
        cf.plot_signals(np.arange(3), np.ones((4, 2)))
    with refuses(r"`ks` must be one or more values in a row.*\(0,\)"):
        cf.plot_sweep(np.ones(0), {})
    with refuses(r"`curves\['loss'\]` must have shape \(3,\), not \(2,\)"):
        cf.plot_sweep(np.ones(3), {"loss": np.ones(2)})
    with refuses(r"`fits\['a'\]` must be two rows of one length.*\(3,\), \(2,\)"):
        cf.plot_sweep(np.ones(3), {}, fits={"a": (np.ones(3), np.ones(2))})
    assert plt.get_fignums() == []
