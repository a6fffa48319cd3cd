"""What is on the axes: not how it looks, but that it is the data, legible and with its units."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
import pytest
from helpers import refuses
from jax.experimental.sparse import BCOO

import coupling_fn as cf

mpl.use("Agg")
import matplotlib.pyplot as plt

WEIGHTS = np.array([[0.0, 2.0, 0.01], [0.0, 0.0, 0.3], [1.0, 0.0, 0.0]])
FIT = cf.fit(
    lambda p: (p["k"] - 0.3) ** 2 + p["w"].sum() ** 2,
    {"k": jnp.asarray(1.0), "w": jnp.ones(2)},
    where=lambda p: (p["k"], p["w"]),
    optimizer=optax.sgd(0.1),
    steps=20,
    progress=False,
)


@pytest.fixture(autouse=True)
def _no_figure_is_left_open():
    yield
    plt.close("all")


def drawn(ax):
    ax.figure.canvas.draw()
    return ax


@pytest.mark.thorough
def test_importing_the_package_does_not_import_matplotlib():
    code = "import sys, coupling_fn; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with refuses(r"pip install 'coupling_fn\[plot\]'", ImportError):
        cf.plot.fc(np.eye(2))


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: cf.plot.connectome(WEIGHTS, ax),
        lambda ax: cf.plot.fc(np.eye(3), ax),
        lambda ax: cf.plot.signals(np.arange(5.0), np.ones((5, 2)), ax),
        lambda ax: cf.plot.sweep(np.arange(3.0), {"loss": np.arange(3.0)}, ax),
        lambda ax: cf.plot.fcd(np.eye(3), None, ax),
        lambda ax: cf.plot.spectrum(np.arange(3.0), np.ones((3, 2)), ax),
        lambda ax: cf.plot.phase_portrait(np.eye(3), np.ones((3, 3)), ax),
        lambda ax: cf.plot.order_parameter(np.arange(3.0), np.ones(3) / 2, ax),
        lambda ax: cf.plot.fit(FIT, ax),
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
    image = drawn(cf.plot.connectome(kind(WEIGHTS))).images[0]
    np.testing.assert_array_equal(image.get_array().filled(0), WEIGHTS)
    np.testing.assert_array_equal(image.get_array().mask, WEIGHTS == 0)
    assert (image.norm.vmin, image.norm.vmax) == (0.01, 2.0)
    assert image.norm(0.1) == pytest.approx(np.log(10) / np.log(200))
    assert image.axes.yaxis_inverted()


@pytest.mark.parametrize("weights", [np.zeros((2, 2)), np.eye(2), np.zeros((1, 1))])
def test_connectome_without_a_range_of_weights_is_drawn(weights):
    drawn(cf.plot.connectome(weights))


@pytest.mark.parametrize("inches", [3, 7])
@pytest.mark.parametrize("regions", [3, 84, 400])
def test_labels_stand_at_their_regions_and_do_not_touch(regions, inches):
    labels = tuple(f"area {i}" for i in range(regions))
    connectome = SimpleNamespace(weights=np.ones((regions, regions)), labels=labels)
    ax = drawn(cf.plot.connectome(connectome, plt.subplots(figsize=(inches, inches))[1]))
    for axis, side in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        texts = axis.get_ticklabels()
        assert [t.get_text() for t in texts] == [labels[int(i)] for i in axis.get_ticklocs()]
        spans = sorted(tuple(getattr(t.get_window_extent(), f"interval{side}")) for t in texts)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))
        assert len(texts) >= min(regions, 8)


def test_fc_is_drawn_from_minus_1_to_1_with_nan_grey():
    fc = np.array([[1.0, 0.2, np.nan], [0.2, 1.0, 0.1], [np.nan, 0.1, 1.0]])
    ax = drawn(cf.plot.fc(fc, title="recorded"))
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
    ax = drawn(cf.plot.signals(times, signals.astype(np.float32)))
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
    drawn(cf.plot.signals(np.arange(5.0), np.full((5, 2), value)))
    drawn(cf.plot.signals(np.arange(1.0), np.full((1, 2), value)))


def test_sweep_shows_curves_best_and_paths():
    ks, path = np.linspace(0, 1, 5), (np.array([0.1, 0.4]), np.array([3.0, 1.0]))
    curves = {"loss": jnp.arange(5.0), "synchrony": np.ones(5)}
    ax = drawn(cf.plot.sweep(ks, curves, best=0.3, fits={"fit": path}))
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
    assert cf.plot.sweep(np.array(ks), {"loss": np.ones(len(ks))}).get_xscale() == scale


def test_more_than_a_hundred_signals_are_rows_of_colours():
    times, rng = np.arange(1, 31.0), np.random.default_rng(0)
    signals = 50 + np.arange(101) + rng.uniform(-1, 1, size=(30, 101))
    signals[5, 7] = np.inf
    ax = drawn(cf.plot.signals(times, signals))
    (carpet,) = ax.collections
    assert not ax.lines
    shown = carpet.get_array().reshape(101, 30)
    assert np.argwhere(np.ma.getmaskarray(shown)).tolist() == [[7, 5]]
    change = np.diff(signals[:, 3])
    np.testing.assert_allclose(np.diff(shown[3]), change, atol=1e-12)
    assert ax.yaxis_inverted()
    assert -sum(carpet.get_clim()) == 0
    drawn(cf.plot.signals(times[:1], np.full((1, 101), np.nan)))


@pytest.mark.parametrize("lowest", [0.2, -0.3])
def test_fcd_is_drawn_where_its_windows_begin(lowest):
    fcd = np.array([[1, lowest, np.nan], [lowest, 1, 0.5], [np.nan, 0.5, 1]])
    ax = drawn(cf.plot.fcd(fcd, stride=4000.0, title="recorded"))
    image = ax.images[0]
    assert image.get_clim() == (min(lowest, 0), 1)
    np.testing.assert_array_equal(image.get_array().mask, np.isnan(fcd))
    assert ax.get_title() == "recorded"
    low, high, _, _ = image.get_extent()
    centres = low + (np.arange(3) + 0.5) * (high - low) / 3
    np.testing.assert_allclose(centres, [0, 4, 8], atol=1e-12)
    assert ax.yaxis_inverted()
    assert drawn(cf.plot.fcd(fcd)).get_xlabel() == "window"


def test_spectrum_of_few_regions_is_a_line_each_without_frequency_0():
    frequencies, power = np.arange(5.0), np.array([[9, 1, 2, 3, 0], [9, 4, 5, 6, 7.0]]).T
    ax = drawn(cf.plot.spectrum(frequencies, power))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    first, second = ax.lines
    np.testing.assert_array_equal(first.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(first.get_ydata(), [1, 2, 3, np.nan])
    np.testing.assert_array_equal(second.get_ydata(), [4, 5, 6, 7])


def test_spectrum_of_many_regions_is_their_median_and_range():
    power = np.random.default_rng(0).uniform(1, 9, size=(12, 84))
    power[3] = 0  # a frequency that no region has
    ax = drawn(cf.plot.spectrum(np.arange(1, 13.0), power))
    (median,) = ax.lines
    wanted = np.median(power, axis=1)
    wanted[3] = np.nan
    np.testing.assert_allclose(median.get_ydata(), wanted)
    parts = ax.collections[0].get_paths()  # the frequency without power separates them
    everything = np.concatenate([part.vertices[:, 1] for part in parts])
    assert everything.max() == pytest.approx(power.max())
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["all 84 regions", "the middle half of all", "median"]


@pytest.mark.parametrize("regions", [1, 6, 7, 400])
def test_phase_portrait_shows_paths_and_of_many_regions_where_they_are(regions):
    x, y = np.random.default_rng(0).normal(size=(2, 50, regions))
    ax = drawn(cf.plot.phase_portrait(x, y, names=("E [Hz]", "I [Hz]")))
    paths = [line for line in ax.lines if len(line.get_xdata()) == 50]
    assert len(paths) == (regions if regions <= 6 else 1)
    np.testing.assert_array_equal(paths[0].get_xydata(), np.stack([x[:, 0], y[:, 0]], axis=1))
    ends = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert ends[0].get_xydata().tolist() == [[x[-1, 0], y[-1, 0]]]
    assert ax.get_xlabel() == "E [Hz]"
    if regions > 6:
        shares = ax.collections[0].get_array()
        assert shares.sum() == pytest.approx(1)
        right = x > x.mean()
        middle = ax.collections[0].get_coordinates()[..., 0][0]
        on_right = (middle[1:] + middle[:-1]) / 2 > x.mean()
        columns = np.asarray(shares.reshape(80, 80).filled(0)).sum(axis=0)
        assert columns[on_right].sum() == pytest.approx(right.mean(), abs=0.03)


@pytest.mark.every(2)
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("regions", [2, 8])
def test_phase_portrait_of_a_run_that_stands_still_or_blew_up_is_drawn(regions, value):
    drawn(cf.plot.phase_portrait(np.full((4, regions), value), np.zeros((4, regions))))


def test_order_parameter_is_drawn_with_its_mean_and_deviation():
    order = np.array([0.2, 0.4, 0.9, 0.5])
    ax = drawn(cf.plot.order_parameter(1000 * np.arange(1, 5.0), order))
    line, mean = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), np.stack([[1, 2, 3, 4], order], axis=1))
    np.testing.assert_allclose(mean.get_ydata(), order.mean())
    (band,) = ax.patches
    height = band.get_height()
    assert height == pytest.approx(2 * order.std())
    assert band.get_y() == pytest.approx(order.mean() - order.std())
    assert ax.get_ylim() == (0, 1)
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["metastability 0.25", "synchrony 0.50"]


def test_fit_is_drawn_with_its_loss_and_its_numbers():
    ax = drawn(cf.plot.fit(FIT, names=["k", "w"]))
    loss, best = ax.lines
    np.testing.assert_array_equal(loss.get_ydata(), FIT.losses)
    assert best.get_xydata().tolist() == [[FIT.best_step, FIT.losses[FIT.best_step]]]
    assert ax.get_yscale() == "log"
    right = next(other for other in ax.figure.axes if other is not ax)
    (number,) = right.lines  # w is not finite
    np.testing.assert_array_equal(number.get_ydata(), FIT.path[0])
    assert right.get_ylabel() == "k"
    assert len(ax.get_legend().get_texts()) == 3


@pytest.mark.parametrize(("high", "width"), [(0.6, 0.0), (0.2, 1.5)])
def test_the_working_range_of_a_sweep_is_shaded(high, width):
    curves = {"loss": np.ones(5)}
    ax = drawn(cf.plot.sweep(np.linspace(0, 1, 5), curves, working_range=(0.2, high)))
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((0.2, high - 0.2))
    assert band.get_linewidth() == width
    assert "working range" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_what_cannot_be_drawn_is_refused():
    with refuses("`weights` must be square"):
        cf.plot.connectome(np.ones((2, 3)))
    with refuses("`weights` must be ≥ 0.*cf.plot.fc"):
        cf.plot.connectome(-WEIGHTS)
    with refuses("`weights` must be finite"):
        cf.plot.connectome(np.full((2, 2), np.nan))
    with refuses("`fc` must be square"):
        cf.plot.fc(np.ones((2, 3)))
    with refuses(r"\(time, region\).*\(4,\)"):
        cf.plot.signals(np.arange(4), np.ones(4))
    with refuses(r"`times` must have shape \(4,\), not \(3,\)"):
        cf.plot.signals(np.arange(3), np.ones((4, 2)))
    with refuses(r"`ks` must be one row of one or more values.*\(0,\)"):
        cf.plot.sweep(np.ones(0), {})
    with refuses(r"`curves\['loss'\]` must have shape \(3,\), not \(2,\)"):
        cf.plot.sweep(np.ones(3), {"loss": np.ones(2)})
    with refuses(r"`fits\['a'\]` must be two rows of one length.*\(3,\), \(2,\)"):
        cf.plot.sweep(np.ones(3), {}, fits={"a": (np.ones(3), np.ones(2))})
    with refuses(r"`working_range` must be a lower and a higher k; got \(2, 1\)"):
        cf.plot.sweep(np.ones(3), {}, working_range=(2, 1))
    with refuses("`fcd` must be square"):
        cf.plot.fcd(np.ones((2, 3)))
    with refuses("`stride` must be positive"):
        cf.plot.fcd(np.eye(2), stride=0.0)
    with refuses(r"`power` must be \(frequency, region\); got shape \(3,\)"):
        cf.plot.spectrum(np.ones(3), np.ones(3))
    with refuses(r"`frequencies` must have shape \(3,\), not \(2,\)"):
        cf.plot.spectrum(np.ones(2), np.ones((3, 2)))
    with refuses("`frequencies` must have one above 0"):
        cf.plot.spectrum(np.zeros(1), np.ones((1, 2)))
    with refuses(r"`x` must be \(time, region\); got shape \(3,\)"):
        cf.plot.phase_portrait(np.ones(3), np.ones(3))
    with refuses(r"`y` must have shape \(3, 2\), not \(2, 3\)"):
        cf.plot.phase_portrait(np.ones((3, 2)), np.ones((2, 3)))
    with refuses(r"`order` must be one row of values; got shape \(3, 2\)"):
        cf.plot.order_parameter(np.ones(3), np.ones((3, 2)))
    with refuses(r"`times` must have shape \(3,\), not \(2,\)"):
        cf.plot.order_parameter(np.ones(2), np.ones(3))
    with refuses("`names` must have one name per fitted leaf, 2 in all; got 'k'"):
        cf.plot.fit(FIT, names="k")
    assert plt.get_fignums() == []
