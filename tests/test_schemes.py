"""One step of each scheme, against the polynomial that it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

from coupling_fn._core._schemes import SCHEMES, STAGES

# The factor by which one step of x' = z x / dt multiplies x: the first terms of exp(z).
FACTORS = {
    "euler": lambda z: 1 + z,
    "heun": lambda z: 1 + z + z**2 / 2,
    "rk4": lambda z: 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24,
}
ORDERS = {"euler": 1, "heun": 2, "rk4": 4}


@pytest.mark.every(2)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("z", [-1.7, 0.3])
def test_linear_step_is_its_polynomial(z, scheme):
    x = jnp.array([1.0, -2.0])
    got = SCHEMES[scheme](lambda x, at: (z / 0.1) * x, x, 0.1)
    assert_close(got, FACTORS[scheme](z) * x, ulps=8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_rate_of_time_alone_is_integrated_to_the_order(scheme):
    """Each stage is at its own time: x' = p (t / dt)^(p - 1) / dt adds 1 for p up to the order."""
    for power in range(1, ORDERS[scheme] + 1):
        rate = lambda x, at, p=power: jnp.array([p * at ** (p - 1) / 0.1])
        assert_close(SCHEMES[scheme](rate, jnp.zeros(1), 0.1), jnp.ones(1), ulps=8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_stages_are_asked_where_the_table_says(scheme):
    asked = []
    SCHEMES[scheme](lambda x, at: asked.append(at) or x, jnp.ones(1), 0.1)
    assert tuple(dict.fromkeys(asked)) == STAGES[scheme]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_noise_is_one_draw_in_every_stage(scheme):
    z, x, noise = -0.4, jnp.array([2.0]), jnp.array([0.3])
    got = SCHEMES[scheme](lambda x, at: (z / 0.1) * x, x, 0.1, noise)
    wanted = {
        "euler": (1 + z) * x + noise,
        "heun": x + (z * x + z * ((1 + z) * x + noise)) / 2 + noise,
        "rk4": FACTORS["rk4"](z) * x + noise,
    }[scheme]
    assert_close(got, wanted, ulps=8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_pytree_is_stepped_and_keeps_its_dtype(scheme):
    x = {"a": jnp.ones(2, jnp.float32), "b": (jnp.zeros((), jnp.float32),)}
    got = jax.jit(lambda x: SCHEMES[scheme](lambda x, at: x, x, 0.5))(x)
    assert jax.tree.structure(got) == jax.tree.structure(x)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(got))
    assert_close(got["a"], np.full(2, FACTORS[scheme](0.5), np.float32), ulps=4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scheme_has_its_order(scheme):
    """x' = -x² + cos t, against RK4 with steps a hundred times as small."""

    def end(scheme, steps):
        dt = 1.0 / steps

        def step(x, n):
            rate = lambda x, at: -(x**2) + jnp.cos((n + at) * dt)
            return SCHEMES[scheme](rate, x, dt), None

        return jax.lax.scan(step, jnp.asarray(0.2), jnp.arange(float(steps)))[0]

    exact = end("rk4", 800)
    errors = [abs(end(scheme, steps) - exact) for steps in (8, 16)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[scheme], abs=0.25)
