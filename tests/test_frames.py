"""Records as frames of pandas and files of CSV: times, labels and units arrive, and the numbers do."""

import io
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import refuses

import coupling_fn as cf

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
LABELS = ["V1", "M1", "S1"]


class Rates(NamedTuple):
    E: object
    I: object  # noqa: E741


def test_a_record_has_its_times_and_labels():
    frame = cf.observe.to_frame(jnp.asarray(X), 0.1, LABELS)
    np.testing.assert_array_equal(frame.to_numpy(), X)
    assert frame.index.name == "time [ms]" and frame.index.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert [*frame.columns] == LABELS and {*frame.dtypes} == {np.dtype("float32")}
    np.testing.assert_array_equal(frame["M1"], X[:, 1])
    bare = cf.observe.to_frame(X, 720.0)
    assert [*bare.columns] == ["region 0", "region 1", "region 2"]
    assert bare.index[-1] == 4 * 720


@pytest.mark.parametrize("kind", [dict, lambda **x: Rates(**x)])
def test_several_quantities_have_their_names_and_units(kind):
    record = {"both": kind(E=X, I=2 * X), "mean": X.mean(axis=1)}
    frame = cf.observe.to_frame(record, 0.5, LABELS, units={"both.E": "kHz", "mean": "mV"})
    wanted = [f"both.E {x} [kHz]" for x in LABELS] + [f"both.I {x}" for x in LABELS]
    assert [*frame.columns] == [*wanted, "mean [mV]"]
    np.testing.assert_array_equal(frame["both.I S1"], 2 * X[:, 2])
    np.testing.assert_array_equal(frame["mean [mV]"], X.mean(axis=1))


def test_a_run_comes_back_from_a_file_of_csv():
    net = cf.Network(cf.nodes.montbrio_pazo_roxin, dt=0.1)
    weights = jnp.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    params = cf.Params(net.node.Params(), cf.AdditiveCoupling(weights))
    state = net.init(net.node.State(*jnp.ones((2, 3))), params)
    _, record = cf.simulate(net, state, params, steps=20, every=4)
    units = net.node.state_units
    text = cf.observe.to_frame(record, 0.4, LABELS, units=units).to_csv()
    back = pd.read_csv(io.StringIO(text), index_col=0)
    assert [*back.columns[:2]] == [f"r V1 [{units['r']}]", f"r M1 [{units['r']}]"]
    np.testing.assert_allclose(back.to_numpy(), np.concatenate([record.r, record.V], axis=1))
    np.testing.assert_array_equal(back.index, [0.4, 0.8, 1.2, 1.6, 2.0])


def test_parts_of_other_sizes_are_numbered_each():
    frame = cf.observe.to_frame({"cortex": X, "thalamus": X[:, :1]}, 1.0)
    wanted = [f"cortex region {i}" for i in range(3)] + ["thalamus region 0"]
    assert [*frame.columns] == wanted
    np.testing.assert_array_equal(frame.to_numpy(), np.hstack([X, X[:, :1]]))


def test_one_signal_is_one_column():
    frame = cf.observe.to_frame(X[:, 0], 1.0, units="mV")
    assert [*frame.columns] == ["signal [mV]"]


def test_what_cannot_be_a_frame_is_refused():
    with refuses(r"`record` must be \(time, region\) or \(time,\).*it has shape \(4, 3, 1\)"):
        cf.observe.to_frame(X[..., None], 1.0)
    with refuses(r"`record` must be \(time, region\).*E has shape \(0, 3\)"):
        cf.observe.to_frame({"E": X[:0]}, 1.0)
    with refuses("`record` must hold an array"):
        cf.observe.to_frame({}, 1.0)
    with refuses("`record` must have as many samples in each part.*'E': 4, 'I': 2"):
        cf.observe.to_frame({"E": X, "I": X[:2]}, 1.0)
    with refuses("`labels` must be one per region of `record`, 3, not 2"):
        cf.observe.to_frame(X, 1.0, ["a", "b"])
    with refuses(r"`labels` must be one per region of `record.I`, 2, not 3"):
        cf.observe.to_frame({"E": X, "I": X[:, :2]}, 1.0, LABELS)
    with refuses("`labels` must differ, because they name columns; 'a' does not"):
        cf.observe.to_frame(X, 1.0, ["a", "b", "a"])
    with refuses("`labels` must be a sequence of strings", TypeError):
        cf.observe.to_frame(X, 1.0, "abc")
    with refuses(r"`labels` are of regions, and `record` has none"):
        cf.observe.to_frame(X[:, 0], 1.0, LABELS)
    with refuses("no quantity in `units` 'rate'; there are: E"):
        cf.observe.to_frame({"E": X}, 1.0, units={"rate": "kHz"})
    for units in (3, {"E": 3}):
        with refuses("`units` must be a string, or strings by quantity", TypeError):
            cf.observe.to_frame({"E": X}, 1.0, units=units)
    with refuses("`record` must be real", TypeError):
        cf.observe.to_frame(1j * X, 1.0)
    with refuses("`dt` must be positive"):
        cf.observe.to_frame(X, 0.0)
    with refuses("`record` must have known values", TypeError):
        jax.jit(lambda x: cf.observe.to_frame(x, 1.0))(X)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with refuses("pip install pandas", ImportError):
        cf.observe.to_frame(X, 1.0)
