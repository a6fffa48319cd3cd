"""Runs under JAX's own settings, with raw keys, and with inputs of several dtypes."""

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from strategies import directed

import coupling_fn as cf

N, STEPS = 3, 8
CONN = directed(N, N)
LAGS = np.array([[0, 1, 9], [12, 0, 3], [8, 20, 2]])  # instantaneous, stepwise and blocked
SETTINGS = {
    "strict dtypes": lambda: jax.numpy_dtype_promotion("strict"),
    "no rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "debug_nans": lambda: jax.debug_nans(True),
    "disable_jit": jax.disable_jit,
}


def parts(dtype="float64", **kinds):
    """Return a network and what it starts from, of the given dtypes."""
    kind = {"conn": dtype, "x": dtype, "a": dtype, "noise": dtype} | kinds
    net = cf.Network(cf.nodes.hopf, 0.5, lags=LAGS)
    params = cf.Params(
        cf.nodes.HopfParams(a=np.full(N, -0.2, kind["a"])),
        cf.DiffusiveCoupling(CONN.astype(kind["conn"]), np.asarray(0.1, dtype)),
        noise={"x": np.asarray(0.05, kind["noise"])},
    )
    x0 = cf.nodes.HopfState(*(jnp.linspace(-0.5, 1.0, N, dtype=kind["x"]) for _ in "xy"))
    return net, params, x0


def delayed(key=None, **kinds):
    """Return a record and the slope of a loss, of a run with noise."""
    net, params, x0 = parts(**kinds)
    state = net.init(x0, params, key=jax.random.key(0) if key is None else key)

    def loss(k):
        record = cf.simulate(net, state, eqx.tree_at(lambda p: p.coupling.k, params, k), STEPS)[1]
        return jnp.mean(record.x**2), record.x

    (_, record), slope = jax.value_and_grad(loss, has_aux=True)(params.coupling.k)
    return record, slope


def analytic(dtype):
    net, params, x0 = parts(dtype)
    undelayed = cf.Network(net.node, net.dt)
    return cf.analytic_fc(undelayed, params, x0, signal="x")


def bold(dtype):
    activity = jnp.linspace(0.0, 1.0, 4 * N, dtype=dtype).reshape(4, N)
    return cf.observe.bold_from_balloon(activity, 500.0, 1000.0)[1]


def fitted(dtype):
    net, params, x0 = parts(dtype)
    state = net.init(x0, params, key=jax.random.key(0))
    result = cf.fit(
        lambda p: jnp.mean(cf.simulate(net, state, p, STEPS)[1].x ** 2),
        params,
        where=lambda p: p.coupling.k,
        steps=1,
        progress=False,
    )
    return result.params.coupling.k


TASKS = {
    "a delayed run": lambda dtype: delayed(dtype=dtype),
    "a fit": fitted,
    "analytic FC": analytic,
    "BOLD": bold,
}


@pytest.mark.every(9)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_results_do_not_depend_on_settings(setting, task, dtype):
    with contextlib.ExitStack() as plain:
        plain.enter_context(jax.numpy_dtype_promotion("standard"))
        plain.enter_context(jax.numpy_rank_promotion("allow"))
        wanted = task(dtype)
        with setting():
            got = task(dtype)
    assert_close(got, wanted, ulps=2**12)
    assert all(x.dtype == dtype for x in jax.tree.leaves(got))


def test_raw_keys_give_the_numbers_of_typed_ones():
    assert_close(delayed(jax.random.PRNGKey(0)), delayed(jax.random.key(0)), ulps=0)


@pytest.mark.parametrize("wide", ["conn", "a", "noise"])
def test_a_wider_parameter_is_refused_in_words(wide):
    words = "The state '[xy]' is float32, and a step would make it float64, the dtype of `params"
    with jax.numpy_dtype_promotion("standard"), refuses(words, TypeError):
        delayed(dtype="float32", **{wide: "float64"})


def test_narrower_parameters_take_the_dtype_of_the_state():
    with jax.numpy_dtype_promotion("standard"):
        record, _ = delayed(dtype="float32", x="float64")
        assert record.dtype == "float64"
        assert_close(record, delayed(dtype="float64")[0], ulps=2**32)


def test_states_of_two_dtypes_are_refused():
    net, params, x0 = parts()
    x0 = x0._replace(y=x0.y.astype("float32"))
    with refuses("one dtype; they have {'x': 'float64', 'y': 'float32'}", TypeError):
        net.init(x0, params, key=jax.random.key(0))
