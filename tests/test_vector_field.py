"""The vector field of a network, against its formula and in adaptive steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from jax.test_util import check_grads

import coupling_fn as cf

W = jnp.asarray([[0.0, 2.0, 0.3], [0.5, 0.0, 0.0], [1.1, 0.7, 0.0]])
WIRES = {"x": cf.Wire("x", into="x"), "y": cf.Wire("y", into="y")}
NET = cf.Network(cf.nodes.hopf, dt=0.1, couplings=WIRES, scheme="rk4")
START = cf.nodes.HopfState(jnp.asarray([0.4, -0.3, 0.1]), jnp.asarray([0.2, 0.1, -0.6]))


def make(k=0.3):
    couplings = {"x": cf.DiffusiveCoupling(W, k=k), "y": cf.AdditiveCoupling(W.T, k=0.1)}
    node = cf.nodes.HopfParams(a=0.1, omega=jnp.asarray([0.3, 0.4, 0.2]))
    return cf.Params(node, couplings, external={"x": lambda t: 0.2 * jnp.sin(t) * jnp.ones(3)})


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_field_is_the_formula(transform):
    field = cf.vector_field(NET, make())
    got = TRANSFORMS[transform](lambda t, y: field(t, y, None))(jnp.asarray(2.0), START)
    w, x, y = np.asarray(W), np.asarray(START.x), np.asarray(START.y)
    omega, r = [0.3, 0.4, 0.2], 0.1 - x**2 - y**2
    for i in range(3):
        c = 0.3 * sum(w[i, j] * (x[j] - x[i]) for j in range(3)) + 0.2 * np.sin(2.0)
        d = 0.1 * sum(w[j, i] * y[j] for j in range(3))
        assert_close(got.x[i], r[i] * x[i] - omega[i] * y[i] + c, ulps=32)
        assert_close(got.y[i], r[i] * y[i] + omega[i] * x[i] + d, ulps=32)


def test_the_field_has_gradients_and_keeps_float32():
    def end(k, x):
        there = eqx.tree_at(lambda p: p.coupling["x"].k, make(), k)
        return sum(jnp.sum(v**2) for v in cf.vector_field(NET, there)(0.0, START._replace(x=x)))

    check_grads(jax.jit(end), (jnp.asarray(0.3), START.x), order=1)
    params, y = jax.tree.map(
        lambda v: v.astype("float32") if eqx.is_array(v) else v,
        (eqx.tree_at(lambda p: p.external, make(), None), START),
    )
    assert cf.vector_field(NET, params)(0.0, y, None).x.dtype == "float32"


def test_adaptive_and_fixed_steps_agree():
    diffrax = pytest.importorskip("diffrax")
    params = make()
    state = NET.init(START, params)
    fixed, _ = cf.simulate(NET, state, params, steps=200, record=None)
    solved = diffrax.diffeqsolve(
        diffrax.ODETerm(cf.vector_field(NET, params)),
        diffrax.Tsit5(),
        t0=0.0,
        t1=20.0,
        dt0=None,
        y0=START,
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
    )
    adaptive = jax.tree.map(lambda y: y[-1], solved.ys)
    assert_close(adaptive, fixed.node, ulps=2**34)  # the error of rk4 at dt 0.1 over 20 ms is 1e-6
    moved = max(float(jnp.abs(a - b).max()) for a, b in zip(fixed.node, START, strict=True))
    assert moved > 0.1


def test_delays_and_noise_are_refused():
    delayed = cf.Network(cf.nodes.hopf, dt=0.1, lags=3)
    one = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(W))
    with refuses(match="`net` has delays"):
        cf.vector_field(delayed, one)
    noisy = cf.Params(cf.nodes.HopfParams(), cf.DiffusiveCoupling(W), noise=0.1)
    with refuses(match="`params` has noise, which is no part"):
        cf.vector_field(cf.Network(cf.nodes.hopf, dt=0.1), noisy)
    rough = cf.Params(
        cf.nodes.HopfParams(),
        cf.DiffusiveCoupling(W),
        external={"x": cf.noise.OrnsteinUhlenbeck(0.1)},
    )
    with refuses(match="`params` has noise, which is no part"):
        cf.vector_field(cf.Network(cf.nodes.hopf, dt=0.1), rough)
