"""Linear algebra under `vmap`: the right numbers and derivatives, and no batch that can stop."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

import coupling_fn as cf
from coupling_fn import _core as core

DRAW = np.random.default_rng(0)
SQUARE, WIDE = jnp.asarray(DRAW.normal(size=(3, 4, 4))), jnp.asarray(DRAW.normal(size=(3, 4, 2)))
COMPLEX = jax.lax.complex(SQUARE, SQUARE[::-1])


def batches(function, *args):
    """Return the number of matrices in each call of LAPACK in the compiled program."""
    text = jax.jit(function).lower(*args).compile().as_text()
    calls = [line for line in text.splitlines() if 'custom_call_target="lapack_' in line]
    shapes = [re.search(r"operand_layout_constraints=\{\w+\[([\d,]+)\]", x)[1] for x in calls]
    return [int(np.prod([int(n) for n in shape.split(",")[:-2]])) for shape in shapes]


def scalar(function):
    return lambda *args: jnp.square(jnp.abs(function(*args) + 0.3)).sum()


@pytest.mark.parametrize(
    ("axes", "columns"), [((0, 0), 2), ((None, 0), 2), ((0, None), 2), ((0, 0), 0)]
)
def test_a_batch_of_systems_is_solved_as_one_by_one(axes, columns):
    b = WIDE if columns else WIDE[..., 0]
    args = [x if axis == 0 else x[0] for x, axis in zip((SQUARE, b), axes, strict=True)]
    for ours, theirs in ((core.solve, jnp.linalg.solve), (core.inverse, None)):
        if theirs is None:
            assert_close(jax.vmap(ours)(SQUARE), np.linalg.inv(SQUARE), ulps=256)
            continue
        assert_close(jax.vmap(ours, axes)(*args), jax.vmap(theirs, axes)(*args), ulps=256)
    nested = [jnp.stack([x, 2 * x]) if axis == 0 else x for x, axis in zip(args, axes, strict=True)]
    twice = jax.vmap(jax.vmap(core.solve, axes), axes)(*nested)
    assert_close(twice, jax.vmap(jax.vmap(jnp.linalg.solve, axes), axes)(*nested), ulps=256)


@pytest.mark.every(4)
@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd, jax.hessian])
@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("matrix", [SQUARE, COMPLEX], ids=["real", "complex"])
def test_derivatives_of_a_batch_are_those_of_jax(matrix, outside, mode):
    def derivative(solve):
        def loss(t, a):
            return scalar(solve)(a + jnp.asarray(t, a.dtype), a[:, :2])

        if outside:
            return jax.vmap(mode(loss), (None, 0))(0.1, matrix)
        return mode(lambda t: jax.vmap(loss, (None, 0))(t, matrix).sum())(0.1)

    assert_close(derivative(core.solve), derivative(jnp.linalg.solve), ulps=1e5)


@pytest.mark.thorough
def test_other_factorisations_are_those_of_jax():
    positive = jnp.einsum("bij,bkj->bik", SQUARE, SQUARE) + jnp.eye(4)[None]
    pairs = (
        (core.cholesky, jnp.linalg.cholesky, positive),
        (
            lambda a: jnp.sort(jnp.abs(core.eigenvalues(a))),
            lambda a: jnp.sort(jnp.abs(jnp.linalg.eigvals(a))),
            SQUARE,
        ),
    )
    for ours, theirs, a in pairs:
        assert_close(jax.vmap(ours)(a), jax.vmap(theirs)(a), ulps=256)
        for mode in (jax.jacfwd, jax.grad):
            got, wanted = (jax.vmap(mode(scalar(f)))(a) for f in (ours, theirs))
            assert_close(got, wanted, ulps=1e4)
    assert_close(
        jax.vmap(core.triangular_factor)(WIDE),
        jax.vmap(lambda a: jnp.linalg.qr(a, mode="r"))(WIDE),
        ulps=64,
    )
    with pytest.raises(NotImplementedError, match="no derivatives"):
        jax.grad(scalar(core.triangular_factor))(WIDE[0])


def test_no_matrix_is_a_batch_too():
    assert jax.vmap(core.solve)(SQUARE[:0], WIDE[:0]).shape == (0, 4, 2)


# --- a call of LAPACK never waits -------------------------------------------------------------------


def hopf(lags=None):
    weights = jnp.asarray(DRAW.random((3, 3)))
    net = cf.Network(cf.nodes.hopf, 0.1, lags=lags)
    rest = cf.nodes.HopfState(jnp.zeros(3), jnp.zeros(3))

    def params(k):
        return cf.Params(cf.nodes.HopfParams(a=-0.5), cf.AdditiveCoupling(weights, k=k), noise=0.1)

    return net, params, rest


def covariance(k, lags=None):
    net, params, rest = hopf(lags)
    return cf.stationary_covariance(net, params(k), rest, points=4).sum()


def connectivity(k):
    net, params, rest = hopf()
    return cf.analytic_fc(net, params(k), rest).mean()


def critical(k):
    net, params, rest = hopf()
    return cf.critical_k(net, params(k), rest, 0.0, 2 + k)


def effect(k):
    net, params, rest = hopf()
    return cf.nonlinearity(net, params(k), rest)


def scaled(k):
    return cf.normalize(jnp.exp(k * SQUARE[0]), by="spectral").sum()


def correlated(k):
    return cf.noise.correlation_factor(jnp.eye(3) + k * jnp.ones((3, 3))).sum()


def delayed(k):
    return covariance(k, np.asarray([[0, 7, 3], [2, 0, 5], [0, 4, 1]]))


CALLS = {
    "covariance": jax.grad(covariance),
    "delayed covariance": jax.grad(delayed),
    "critical k": critical,
    "spectral radius": jax.grad(scaled),
    "FC": jax.grad(connectivity),
    "nonlinearity": effect,
    "correlation": jax.grad(correlated),
}


@pytest.mark.every(3)
@pytest.mark.parametrize("name", CALLS)
def test_lapack_gets_one_matrix_per_call(name):
    """A call with one matrix never waits for a thread; `_core/_linalg.py` says why that counts."""
    ks = jnp.asarray([0.05, 0.1, 0.15])
    found = batches(jax.vmap(CALLS[name]), ks)
    assert found
    assert set(found) == {1}


def test_a_batch_in_a_call_of_lapack_is_seen():
    assert batches(jax.vmap(jnp.linalg.inv), SQUARE)[0] == 3


HUNG = """
import faulthandler, os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import jax, jax.numpy as jnp, numpy as np
from coupling_fn import _core as core
matrices = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4, 168, 168)) + 20 * np.eye(168))
def several(a):
    return sum(jax.vmap(SOLVE)(a[i], a[i - 1]) for i in range(4))
call = jax.jit(several)
for _ in range(CALLS):
    faulthandler.dump_traceback_later(60, exit=True)
    jax.block_until_ready(call(matrices))
"""


@pytest.mark.parametrize("calls", [20, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_several_batches_at_once_come_to_an_end(calls):
    """With `jnp.linalg.solve` for SOLVE, JAX 0.10 stops within 100 calls on two cores."""
    program = HUNG.replace("CALLS", str(calls)).replace("SOLVE", "core.solve")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
