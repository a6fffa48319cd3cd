"""Least squares: known parameters are found, in both modes of differentiation."""

import sys

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf

W = jnp.asarray([[0.0, 0.9], [0.4, 0.0]])
NET = cf.Network(cf.nodes.linear, dt=0.5, scheme="euler", lags=jnp.asarray([[2, 5], [3, 2]]))


def make(k, a):
    return cf.Params(
        cf.nodes.LinearParams(a=jnp.asarray(a)), cf.AdditiveCoupling(W, k=jnp.asarray(k))
    )


STATE = NET.init(cf.nodes.LinearState(jnp.asarray([1.0, -0.5])), make(0.5, -0.6))


def pick(p):
    return p.coupling.k, p.node.a


def run(p, derivative):
    return cf.simulate(NET, STATE, p, steps=12, record="x", derivative=derivative)[1]


@pytest.mark.every(2)
@pytest.mark.parametrize("derivative", ["forward", "reverse"])
def test_a_delayed_network_is_found(derivative):
    pytest.importorskip("optimistix", reason="the extra least-squares is not installed")
    data = run(make(0.5, -0.6), "reverse")
    of = lambda p: run(p, derivative) - data
    options = {"where": pick, "transform": (cf.transforms.positive(), cf.transforms.identity())}
    got = cf.least_squares(of, make(0.2, -1.0), **options)
    assert_close([*pick(got.params)], [np.asarray(0.5), np.asarray(-0.6)], ulps=2**24)
    assert_close([x[0] for x in got.path], [np.asarray(0.2), np.asarray(-1.0)], ulps=8)
    assert_close(got.losses[0], 0.5 * jnp.sum(of(make(0.2, -1.0)) ** 2), ulps=64)
    assert got.loss == got.losses[1] < 1e-12 and got.stopped == "" and got.starts is None
    if derivative == "reverse":
        return
    starts = (jnp.asarray([0.1, 0.9, 0.3]), jnp.asarray([-0.2, -1.5, -0.9]))
    many = cf.least_squares(of, make(0.2, -1.0), starts=starts, **options)
    assert many.starts.losses.shape == (3, 2) and (many.starts.loss < 1e-12).all()
    assert_close(many.starts.best[0], np.full(3, 0.5), ulps=2**24)
    with pytest.warns(RuntimeWarning, match="did not converge within 1 steps"):
        cf.least_squares(of, make(0.2, -1.0), steps=1, **options)


def test_a_run_per_residual_is_not_taken_without_a_word():
    data = run(make(0.5, -0.6), "reverse")
    assert data.size > 20

    def sure(mode, **options):
        of = lambda p: run(p, mode) - data
        return cf.uncertainty(of, make(0.5, -0.6), where=lambda p: pick(p)[0], noise=1.0, **options)

    with pytest.warns(UserWarning, match="costs a run per residual.*simulate"):
        slow = sure("reverse")
    for found in (sure("forward"), sure("reverse", derivative="reverse")):  # without a warning
        assert_close(found.error, slow.error, ulps=2**16)


@pytest.mark.parametrize("derivative", ["forward", "reverse"])
@pytest.mark.parametrize("count", [40, 2])  # many residuals, and fewer residuals than numbers
def test_a_line_is_the_one_of_the_normal_equations(derivative, count):
    pytest.importorskip("optimistix", reason="the extra least-squares is not installed")
    rng = np.random.default_rng(0)
    columns, data = rng.normal(size=(count, 3)), rng.normal(size=count)  # far from any line
    start = {"few": jnp.zeros(2), "one": jnp.asarray(0.0)}
    of = lambda p: columns[:, :2] @ p["few"] + columns[:, 2] * p["one"] - data
    where = lambda p: (p["few"], p["one"])
    got = cf.least_squares(of, start, where=where, derivative=derivative)
    best = np.linalg.lstsq(columns, data, rcond=None)[0]
    assert_close(got.losses[0], 0.5 * np.sum(data**2), ulps=64)
    least = 0.5 * np.sum((columns @ best - data) ** 2)
    assert_close(got.loss, least, ulps=2**14, scale=got.losses[0])
    if count > 3:
        assert_close([*where(got.params)], [best[:2], best[2]], ulps=2**26)


def test_steps_are_those_on_all_residuals():
    optimistix = pytest.importorskip("optimistix", reason="the extra is not installed")
    t = jnp.arange(30.0)
    data = jnp.exp(-0.3 * t) + 0.2 * jnp.sin(3 * t)  # no exponential decay comes near
    of = lambda p: p[0] * jnp.exp(-p[1] * t) - data
    solver = optimistix.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    for steps in range(1, 7):
        wanted = optimistix.least_squares(
            lambda p, _: of(p), solver, jnp.asarray([0.5, 1.0]), max_steps=steps, throw=False
        )
        options = {"where": lambda p: p, "solver": solver, "steps": steps}
        with pytest.warns(RuntimeWarning, match="did not converge"):
            got = cf.least_squares(of, jnp.asarray([0.5, 1.0]), **options)
        assert_close(got.path[-1], wanted.value, ulps=2**12)


def test_mistakes(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "optimistix", None)
        with refuses(match=r"coupling_fn\[least-squares\]", error=ImportError):
            cf.least_squares(lambda p: jnp.ones(3), make(0.2, -1.0), where=pick)
    pytest.importorskip("optimistix", reason="the extra least-squares is not installed")
    with refuses(match="not their sum", error=TypeError):
        cf.least_squares(lambda p: p.node.a, make(0.2, -1.0), where=pick)
    with refuses(match="`solver` must be an optimistix", error=TypeError):
        cf.least_squares(lambda p: jnp.ones(3), make(0.2, -1.0), where=pick, solver="LM")
    with refuses(match="has a forward derivative", error=TypeError):
        backward = lambda p: run(p, "reverse")
        cf.least_squares(backward, make(0.2, -1.0), where=pick, derivative="forward")
    nan = eqx.tree_at(lambda p: p.node.a, make(0.2, -1.0), jnp.asarray(-1.0))
    with refuses(match="must be finite at the start"):
        cf.least_squares(lambda p: jnp.log(p.node.a) * jnp.ones(3), nan, where=pick)
