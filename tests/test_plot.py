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
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from scipy.optimize import isotonic_regression

import coupling_fn as cf
from coupling_fn._fit import Fitted
from coupling_fn.plot._labels import spread

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
CENTRES = np.array(
    [[-30.0, 40.0, 5.0], [35.0, 30.0, 15.0], [-20.0, -60.0, 20.0], [25.0, 0.0, 50.0]]
)
ONWARDS = np.array([[0, 8, 0, 0.5], [0, 0, 4, 0], [2, 0, 0, 0], [0, 0, 1, 0]])
BRAIN = cf.Connectome(ONWARDS, labels=["lF", "rF", "lO", "rP"], centres=CENTRES)


def cohort_fit(lower=(0.5, 1.5, -np.inf), upper=(1.5, 2.5, np.inf), names=("k",)):
    """A fit of three subjects, of one number each."""
    value = np.array([1.0, 2.0, 0.25])
    columns = (
        (value if len(names) == 1 else (value, 10 * value)),
        value,
        *map(np.array, (lower, upper)),
    )
    if len(names) > 1:
        columns = tuple((x, x) if isinstance(x, np.ndarray) else x for x in columns)
    rest = np.ones(3), np.ones(3, bool), 0.0, np.zeros(0), np.zeros((0, 3)), None
    fitted = Fitted(None, (), (), (), None)
    return cf.cohort.CohortFit(("ann", "bob", "cy"), names, *columns, *rest, fitted)


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


@pytest.mark.every(4)
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
        lambda ax: cf.plot.fcd_histogram({"fcd": np.eye(3)}, ax),
        lambda ax: cf.plot.heat_map(np.arange(2.0), np.arange(3.0), np.ones((2, 3)), "loss", ax),
        lambda ax: cf.plot.evoked(np.arange(4.0), np.eye(4)[:, 2:], np.ones(2), 1.0, ax),
        lambda ax: cf.plot.cohort(cohort_fit(), ax),
        lambda ax: cf.plot.brain_connectome(BRAIN, ax),
        lambda ax: cf.plot.brain_map(np.arange(4.0), BRAIN, "k", ax),
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
    assert shown == ["all 84 signals", "the middle half of all", "median"]


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
    drawn_numbers = [line.get_ydata() for line in right.lines]
    np.testing.assert_array_equal(drawn_numbers, [FIT.path[0], *FIT.path[1].T])
    assert right.get_ylabel() == "k, w"
    best = FIT.best_step
    wanted = {f"k {FIT.path[0][best]:.3g}", *(f"w[{i}] {FIT.path[1][best, i]:.3g}" for i in (0, 1))}
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {text.removesuffix(" (right)") for text in shown[2:]} == wanted


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
    with refuses(
        r"`labels` must be one per number of a fitted array; there are 3 for shapes .*\(2,\)"
    ):
        cf.plot.fit(FIT, labels=["a", "b", "c"])
    with refuses("`groups\\['net'\\]` must be one group per region, 2, not 3"):
        cf.plot.fc(np.eye(2), groups={"net": ["a", "b", "c"]})
    with refuses("`groups` must map the names of one or two groupings", TypeError):
        cf.plot.connectome(WEIGHTS, groups=["a", "b", "c"])
    with refuses("`fcds` must map names to FCDs", TypeError):
        cf.plot.fcd_histogram(np.eye(3))
    with refuses(r"`fcds\['a'\]` must be an FCD .* got shape \(2, 3\)"):
        cf.plot.fcd_histogram({"a": np.ones((2, 3))})
    with refuses("`bins` must be 1 or more; got 0"):
        cf.plot.fcd_histogram({"a": np.eye(3)}, bins=0)
    with refuses(r"`bands\['a'\]` must be a lower and a higher frequency in Hz; got \(3, 2\)"):
        cf.plot.spectrum(np.arange(3.0), np.ones((3, 2)), bands={"a": (3, 2)})
    with refuses("`bands` must be a mapping", TypeError):
        cf.plot.spectrum(np.arange(3.0), np.ones((3, 2)), bands=[(1, 2)])
    with refuses(r"`bands\['a'\]` must be two edges", TypeError):
        cf.plot.spectrum(np.arange(3.0), np.ones((3, 2)), bands={"a": 3})
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("match", "change"),
    [
        ("`ks` must be one row of finite, rising values", {"ks": np.array([1.0, 1.0])}),
        ("`speeds` must be one row", {"speeds": np.array([1.0, 3.0, np.nan])}),
        (r"`values` must have shape \(2, 3\), not \(3, 2\)", {"values": np.ones((3, 2))}),
        (r"`working_range` must have shape \(2, 3\)", {"working_range": np.ones((3, 2), bool)}),
        ("`working_range` must be booleans", {"working_range": np.ones((2, 3))}),
        (r"`contours\['s'\]` must have shape", {"contours": {"s": (np.ones(2), [0.5])}}),
    ],
)
def test_a_heat_map_that_cannot_be_drawn_is_refused(match, change):
    given = {"ks": np.arange(2.0), "speeds": np.arange(3.0), "values": np.ones((2, 3))} | change
    with refuses(match, (ValueError, TypeError)):
        cf.plot.heat_map(measure="loss", **given)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("match", "change"),
    [
        (r"`signals` must be \(time, region\)", {"signals": np.ones(4)}),
        (r"`times` must have shape \(4,\)", {"times": np.ones(3)}),
        ("`times` must rise", {"times": np.ones(4)}),
        (r"`arrivals` must have shape \(2,\)", {"arrivals": np.ones(3)}),
        ("`onset` must leave a time before and one after it, of 0 to 3 ms; got 3", {"onset": 3.0}),
        ("`onset` must leave a time before and one after it", {"onset": -1.0}),
    ],
)
def test_evoked_responses_that_cannot_be_drawn_are_refused(match, change):
    given = {"times": np.arange(4.0), "signals": np.ones((4, 2)), "arrivals": np.ones(2)}
    with refuses(match):
        cf.plot.evoked(**({**given, "onset": 1.0} | change))
    assert plt.get_fignums() == []


NEGATIVE = cf.Connectome(-ONWARDS, centres=CENTRES)


@pytest.mark.parametrize(
    ("match", "draw"),
    [
        ("`centres` must be known", lambda p: p.brain_connectome(cf.Connectome(WEIGHTS))),
        ("`connectome` must be a `Connectome`", lambda p: p.brain_connectome(WEIGHTS)),
        ("`weights` must be ≥ 0", lambda p: p.brain_connectome(NEGATIVE)),
        ("`edges` must be a whole number", lambda p: p.brain_connectome(BRAIN, edges=1.5)),
        ("`orientation` must be three", lambda p: p.brain_connectome(BRAIN, orientation="RLS")),
        ("`orientation` must be", lambda p: p.brain_map(np.ones(4), BRAIN, "", orientation="RA")),
        (
            "`values` must be one per .* \\(4, 1\\)",
            lambda p: p.brain_map(np.ones((4, 1)), BRAIN, ""),
        ),
        ("`centres` must have shape \\(3, 3\\)", lambda p: p.brain_map(np.ones(3), BRAIN, "")),
        ("`centres` must be finite", lambda p: p.brain_map(np.ones(1), [[0, 0, np.nan]], "")),
        ("`name` must be one of k, a; got None", lambda p: p.cohort(cohort_fit(names=("k", "a")))),
        ("There is no fitted number 'b'", lambda p: p.cohort(cohort_fit(), name="b")),
    ],
)
def test_brains_and_cohorts_that_cannot_be_drawn_are_refused(match, draw):
    with refuses(match, (ValueError, TypeError)):
        draw(cf.plot)
    assert plt.get_fignums() == []


LABELLED = {
    "connectome": lambda labels: cf.plot.connectome(WEIGHTS, labels=labels),
    "fc": lambda labels: cf.plot.fc(np.eye(3), labels=labels),
    "signals": lambda labels: cf.plot.signals(np.arange(5.0), np.ones((5, 3)), labels=labels),
    "evoked": lambda labels: cf.plot.evoked(
        np.arange(4.0), np.eye(4)[:, 1:], np.array([0.0, 1, 2]), 0.0, labels=labels
    ),
    "spectrum": lambda labels: cf.plot.spectrum(np.arange(3.0), np.ones((3, 3)), labels=labels),
    "phase": lambda labels: cf.plot.phase_portrait(np.eye(3), np.ones((3, 3)), labels=labels),
    "brain": lambda labels: cf.plot.brain_map(np.arange(3.0), CENTRES[:3], "k", labels=labels),
    "brain connectome": lambda labels: cf.plot.brain_connectome(
        cf.Connectome(WEIGHTS, centres=CENTRES[:3]), labels=labels
    ),
}


@pytest.mark.every(3)
@pytest.mark.parametrize("name", LABELLED)
def test_each_picture_of_regions_has_their_labels(name):
    draw = LABELLED[name]
    ax = drawn(draw(["one", "two", "three"]))
    legend = ax.get_legend().get_texts() if ax.get_legend() else []
    texts = [*ax.texts, *legend, *ax.get_yticklabels()]
    found = [text.get_text() for text in texts if text.get_text() in ("one", "two", "three")]
    assert found == ["one", "two", "three"] * (len(found) // 3) or "brain" in name
    assert {*found} == {"one", "two", "three"}
    assert not {text.get_text() for text in drawn(draw(())).texts} & {"one", "two", "three"}
    plt.close("all")
    with refuses("`labels` must be one per region, 3, not 2"):
        draw(["one", "two"])
    with refuses("`labels` must be a sequence of strings, one per region, not 'abc'", TypeError):
        draw("abc")
    assert plt.get_fignums() == []


def test_labels_of_a_connectome_are_known_and_can_be_left_out_or_changed():
    conn = cf.Connectome(WEIGHTS, labels=["a", "b", "c"])
    ticks = {
        given: [
            t.get_text() for t in drawn(cf.plot.connectome(conn, labels=given)).get_xticklabels()
        ]
        for given in (None, ("x", "y", "z"))
    }
    assert ticks == {None: ["a", "b", "c"], ("x", "y", "z"): ["x", "y", "z"]}
    plain = drawn(cf.plot.connectome(conn, labels=())).get_xticklabels()
    assert not {"a", "b", "c"} & {t.get_text() for t in plain}
    assert "lO" in {text.get_text() for text in drawn(cf.plot.brain_connectome(BRAIN)).texts}


@pytest.mark.parametrize("labels", [None, ["a", "b", "c", "d", "e", "f"]])
def test_regions_are_drawn_in_the_order_of_their_groups_with_blocks_marked(labels):
    fc = np.arange(36.0).reshape(6, 6) / 36
    sides, nets = list("LRLRLR"), ["vis", "mot", "mot", "vis", "vis", "vis"]
    ax = drawn(cf.plot.fc(fc, labels=labels, groups={"hemisphere": sides, "network": nets}))
    order = [0, 4, 2, 3, 5, 1]  # left before right, vis before mot, as they come first
    np.testing.assert_array_equal(ax.images[0].get_array(), fc[np.ix_(order, order)])
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [labels[i] if labels else str(i) for i in order]
    across = [line for line in ax.lines if [*line.get_xdata()] == [0, 1]]
    rows = {(line.get_ydata()[0], line.get_linewidth()) for line in across}
    assert rows == {(1.5, 0.7), (2.5, 1.8), (4.5, 0.7), (2.5, 0.7)}
    top, right = ax.child_axes
    assert [t.get_text() for t in top.get_xticklabels()] == ["vis", "mot", "vis", "mot"]
    assert [t.get_text() for t in right.get_yticklabels()] == ["L", "R"]
    np.testing.assert_allclose(right.get_yticks(), [1, 4])
    assert (top.get_xlabel(), right.get_ylabel()) == ("network", "hemisphere")
    assert ax.get_xlim() == (-0.5, 5.5)
    weights = drawn(cf.plot.connectome(fc, groups={"network": nets})).images[0].get_array()
    by_network = [0, 3, 4, 5, 1, 2]
    np.testing.assert_array_equal(weights, fc[np.ix_(by_network, by_network)])


def test_names_of_small_groups_do_not_touch():
    groups = {"network": [f"network {min(i // 2, 13)}" for i in range(400)]}
    ax = drawn(cf.plot.fc(np.eye(400), groups=groups))
    top, right = ax.child_axes
    for texts, side in ((top.get_xticklabels(), "x"), (right.get_yticklabels(), "y")):
        assert [t.get_text() for t in texts] == [f"network {i}" for i in range(14)]
        spans = sorted(tuple(getattr(t.get_window_extent(), f"interval{side}")) for t in texts)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=8).map(sorted),
    st.floats(0.1, 30),
)
def test_names_are_moved_apart_as_little_as_possible(places, gap):
    got = spread(places, gap)
    assert (np.diff(got) >= gap * (1 - 1e-9) - 1e-9).all()
    steps = gap * np.arange(len(places))  # the best is a monotone regression, also without pooling
    best = isotonic_regression(np.array(places) - steps).x + steps
    np.testing.assert_allclose(got, best, atol=1e-8)


def test_an_fcd_histogram_has_the_values_above_the_diagonal():
    fcd = np.array([[1, 0.2, 0.34, 0.93], [9, 1, np.nan, 0.34], [9, 9, 1, 0.74], [9, 9, 9, 1]])
    published = cf.observe.Histogram(np.array([1.0, 3.0]), np.array([-1.0, 0.0, 1.0]))
    ax = drawn(
        cf.plot.fcd_histogram({"simulated": fcd, "recorded": published, "row": [0.2]}, bins=8)
    )
    steps = {patch.get_label(): patch for patch in ax.patches if not patch.get_fill()}
    values, edges, _ = steps["simulated (1 not finite)"].get_data()
    np.testing.assert_allclose(edges, np.linspace(0.2, 1, 9))
    np.testing.assert_allclose(values * np.diff(edges), np.array([1, 2, 0, 0, 0, 1, 0, 1]) / 5)
    values, edges, _ = steps["recorded"].get_data()
    np.testing.assert_allclose(values, [0.25, 0.75])
    assert edges.tolist() == [-1, 0, 1]
    assert steps["row"].get_data().values.tolist()[0] == pytest.approx(10)
    drawn(cf.plot.fcd_histogram({"still": np.ones((3, 3)), "lost": np.full(2, np.nan)}))


def test_a_heat_map_has_k_across_and_speed_up_with_runs_in_the_middle_of_rectangles():
    ks, speeds = np.array([0.1, 0.4, 1.6]), np.array([2.0, 4.0])
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    inside = np.array([[False, True], [True, True], [False, False]])
    contours = {"order": (ks[:, None] * speeds, [0.5, 99])}
    marks = {"best": (0.4, 2.0), "working_range": inside, "contours": contours}
    ax = drawn(cf.plot.heat_map(ks, speeds, values, "FC rmse", **marks))
    mesh = ax.collections[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    right, up = mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1]
    np.testing.assert_allclose(right, [0.05, 0.2, 0.8, 3.2])
    np.testing.assert_allclose(up, [1, 3, 5])
    np.testing.assert_array_equal(mesh.get_array().reshape(2, 3).filled(0), np.nan_to_num(values.T))
    assert np.ma.getmaskarray(mesh.get_array()).sum() == 1
    got = {
        tuple(sorted(map(tuple, np.round(line, 6)))) for line in ax.collections[1].get_segments()
    }
    wanted = {
        ((0.2, 1), (0.2, 3)),
        ((0.05, 3), (0.2, 3)),
        ((0.8, 1), (0.8, 3)),
        ((0.8, 3), (0.8, 5)),
    }
    assert got == wanted
    (line,) = [c for c in ax.collections if hasattr(c, "levels")]
    assert line.levels.tolist() == [0.5]
    (path,) = [p for p in line.get_paths() if len(p.vertices)]
    at = path.vertices
    np.testing.assert_allclose(at[:, 0] * at[:, 1], 0.5, rtol=0.2)  # linear between runs
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert stars[0].get_xydata().tolist() == [[0.4, 2.0]]
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["working range", "order = 0.5, 99", "best: 0.4, 2"]
    assert (ax.get_ylabel(), ax.figure.axes[1].get_ylabel()) == ("speed [mm/ms]", "FC rmse")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_heat_map_of_one_value_or_none_is_drawn(value):
    for shape in ((1, 1), (2, 3)):
        where = np.arange(1.0, 1 + shape[0]), np.arange(shape[1]) * 1.0
        everywhere = np.full(shape, value == 0)
        ax = drawn(cf.plot.heat_map(*where, np.full(shape, value), "x", working_range=everywhere))
        (text,) = ax.get_legend().get_texts()
        assert text.get_text() == f"working range ({'everywhere' if value == 0 else 'nowhere'})"


@pytest.mark.parametrize("regions", [3, 84, 400])
def test_evoked_responses_are_rows_by_arrival(regions):
    times, rng = np.arange(-20.0, 60.0, 2.0), np.random.default_rng(regions)
    arrivals = rng.permutation(regions) * 30 / regions
    arrivals[1] = np.nan
    signals = -65 + rng.uniform(0.1, 9, regions) * (times[:, None] > arrivals)
    signals[:, 1] = -65
    labels = [f"area {i}" for i in range(regions)]
    ax = drawn(cf.plot.evoked(times + 100, signals, arrivals, onset=100.0, labels=labels))
    order = [*np.argsort(np.where(np.isnan(arrivals), 99, arrivals))]
    shown = ax.collections[0].get_array().reshape(regions, -1)
    wanted = [(times > arrivals[i]) * (i != 1) for i in order]
    np.testing.assert_allclose(shown, wanted, atol=1e-12)
    joined, onset = ax.lines
    np.testing.assert_array_equal(joined.get_xdata(), arrivals[order])
    assert {*onset.get_xdata()} == {0}
    ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    assert all(text.get_text() == labels[order[int(at)]] for at, text in ticks)
    assert ax.yaxis_inverted() and ax.get_xlim() == (times[0], times[-1])
    assert ax.get_xlabel() == "time since the onset [ms]"


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_evoked_responses_that_stand_still_or_blew_up_are_drawn(value):
    drawn(cf.plot.evoked(np.arange(4.0), np.full((4, 2), value), np.full(2, np.nan), 1.0))


def test_spectrum_names_its_bands_at_their_frequencies():
    frequencies = np.arange(1.0, 41.0)
    ax = drawn(cf.plot.spectrum(frequencies, np.ones((40, 2)), bands=cf.observe.BANDS))
    names = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert names["alpha"] == pytest.approx(np.sqrt(8 * 13))
    assert list(names) == [*cf.observe.BANDS]
    spans = [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches if hasattr(p, "get_x")]
    assert [(low, min(high, 40.0)) for low, high in cf.observe.BANDS.values()] == spans
    slow = drawn(cf.plot.spectrum(frequencies / 100, np.ones((40, 2)), bands=cf.observe.BANDS))
    assert not slow.texts and not slow.patches  # BOLD has none of them


def fit_of(path):
    return cf.FitResult(None, 0.5, 1, np.array([2.0, 0.5, 0.7]), path, "", None)


def test_a_fitted_array_of_many_numbers_is_its_median_and_range():
    path = np.random.default_rng(0).uniform(1, 9, size=(3, 84))
    path[2, 5] = np.nan
    ax = drawn(cf.plot.fit(fit_of((path, path[:, :2])), names=["k", "a"], labels=["V1", "M1"]))
    right = next(other for other in ax.figure.axes if other is not ax)
    median, *lines = right.lines
    np.testing.assert_allclose(median.get_ydata(), np.nanmedian(path, axis=1))
    np.testing.assert_allclose([line.get_ydata() for line in lines], path[:, :2].T)
    outer = right.collections[0].get_paths()[0].vertices[:, 1]
    assert (outer.min(), outer.max()) == pytest.approx((np.nanmin(path), np.nanmax(path)))
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown[2].startswith("k: median of 84")
    assert shown[3:] == [f"a {n} {path[1, i]:.3g} (right)" for i, n in enumerate(["V1", "M1"])]
    drawn(cf.plot.fit(fit_of(np.full((3, 7, 2), np.nan))))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_cohort_is_drawn_with_its_intervals(ordered):
    ax = drawn(cf.plot.cohort(cohort_fit(), ordered=ordered))
    ids = ["cy", "ann", "bob"] if ordered else ["ann", "bob", "cy"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ids
    known, unknown = ax.collections
    rows = {"ann": (0.5, 1.5), "bob": (1.5, 2.5)}
    got = {ids[int(line[0, 1])]: tuple(line[:, 0]) for line in known.get_segments()}
    assert got == rows
    assert [ids[int(line[0, 1])] for line in unknown.get_segments()] == ["cy"]
    dots, mean = ax.lines
    values = {"ann": 1.0, "bob": 2.0, "cy": 0.25}
    assert dots.get_xdata().tolist() == [values[id] for id in ids]
    assert mean.get_xdata()[0] == pytest.approx(3.25 / 3)
    assert ax.get_xlabel() == "k" and ax.yaxis_inverted()
    second = drawn(cf.plot.cohort(cohort_fit(names=("k", "a")), name="a", ordered=False))
    assert second.lines[0].get_xdata().tolist() == [10, 20, 2.5]


SHOWN = {"axial": [0, 1], "sagittal": [1, 2], "coronal": [0, 2]}


def views_of(ax):
    """From each view to its dots, moved so that their mean is 0."""
    dots = [c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 4]
    return {name: x - x.mean(axis=0) for name, x in zip(SHOWN, dots, strict=True)}


@pytest.mark.parametrize("orientation", ["RAS", "ALS", "PIL"])
def test_a_brain_is_seen_from_three_sides(orientation):
    ends = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    places = np.stack([ends[x][1] * CENTRES[:, ends[x][0]] for x in orientation], axis=1)
    conn = cf.Connectome(ONWARDS, centres=places)
    ax = drawn(cf.plot.brain_connectome(conn, orientation=orientation))
    for name, dots in views_of(ax).items():
        wanted = CENTRES[:, SHOWN[name]] - CENTRES[:, SHOWN[name]].mean(axis=0)
        np.testing.assert_allclose(dots, wanted, atol=1e-9)
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["L", "R", "axial", "P", "A", "sagittal", "L", "R", "coronal", "50 mm"]
    bar = ax.lines[0].get_xdata()
    assert bar[1] - bar[0] == 50


def test_a_brain_has_its_strongest_pairs_with_the_sum_of_both_directions():
    ax = drawn(cf.plot.brain_connectome(BRAIN, edges=2))
    lines = ax.collections[0]
    np.testing.assert_allclose(lines.get_array(), [4, 8] * 3)
    dots = [c.get_offsets() for c in ax.collections[1:]]
    for i, (first, second) in enumerate([(1, 2), (0, 1)] * 3):
        np.testing.assert_allclose(lines.get_segments()[i], dots[i // 2][[first, second]])
    assert ax.figure.axes[1].get_ylabel() == "weight of a pair (2 of 5 pairs)"
    sizes = ax.collections[1].get_sizes()
    strength = ONWARDS.sum(axis=0) + ONWARDS.sum(axis=1)
    np.testing.assert_allclose((sizes - 4) / (sizes.max() - 4), strength / strength.max())


@pytest.mark.thorough
def test_pairs_that_are_equally_strong_are_drawn_or_left_out_together():
    def number(weights, edges):
        ax = cf.plot.brain_connectome(cf.Connectome(weights, centres=CENTRES), edges=edges)
        return sum(len(c.get_segments()) for c in ax.collections if hasattr(c, "get_segments")) / 3

    ties = np.triu(np.ones((4, 4)), 1)
    assert number(ties, 4) == 6  # there is no stronger one, so all
    ties[0, 1] = 2
    assert [number(ties, n) for n in (0, 1, 4, 6)] == [0, 1, 1, 6]
    assert number(np.zeros((4, 4)), 9) == 0


def test_a_map_has_its_numbers_on_the_centres_with_the_nearest_in_front():
    values = np.array([1.0, 4.0, np.nan, 2.0])
    ax = drawn(cf.plot.brain_map(values, BRAIN, "k [1]"))
    depth = {"axial": CENTRES[:, 2], "sagittal": CENTRES[:, 0], "coronal": -CENTRES[:, 1]}
    for (name, far), dots in zip(depth.items(), ax.collections, strict=True):
        order = np.argsort(far)
        np.testing.assert_array_equal(np.ma.filled(dots.get_array(), np.nan), values[order])
        centred = CENTRES[order][:, SHOWN[name]]
        got = dots.get_offsets() - dots.get_offsets().mean(axis=0)
        np.testing.assert_allclose(got, centred - centred.mean(axis=0), atol=1e-9)
        assert dots.get_clim() == (1, 4)
    assert ax.figure.axes[1].get_ylabel() == "k [1]"
    both = drawn(cf.plot.brain_map(np.array([-1.0, 3.0]), CENTRES[:2], "a"))
    assert both.collections[0].get_clim() == (-3, 3)


@pytest.mark.every(3)
@pytest.mark.parametrize("regions", [400, 1, 2, 84])
def test_the_outline_of_a_brain_holds_all_regions_and_labels_do_not_touch(regions):
    places = np.random.default_rng(regions).normal(size=(regions, 3)) * [30, 50, 25]
    labels = [f"area {i}" for i in range(regions)]
    ax = drawn(cf.plot.brain_map(np.arange(regions), places, "k", labels=labels))
    outlines = [patch.get_path() for patch in ax.patches]
    for dots in ax.collections:
        inside = np.any([line.contains_points(dots.get_offsets()) for line in outlines], axis=0)
        assert inside.all()
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text() in labels]
    assert len(boxes) >= 3 * min(regions, 2)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.every(2)
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_map_without_a_range_is_drawn(value):
    drawn(cf.plot.brain_map(np.full(4, value), CENTRES, "k"))
    drawn(cf.plot.brain_map(np.full(2, value), np.zeros((2, 3)), "k"))


def test_a_cohort_fitted_by_a_loss_has_no_intervals_to_draw():
    cohort = cf.cohort.stack({"a": jnp.asarray(1.0), "b": jnp.asarray(3.0)})
    found = cf.cohort.fit_loss(
        lambda m, data: (m - data) ** 2, jnp.asarray(0.0), cohort, where=lambda m: m
    )
    ax = cf.plot.cohort(found)
    assert not ax.collections
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "subject"
    assert labels[1].startswith("mean")
