"""Helpers that several test files share: tolerances in roundings, transformations, refusals."""

import contextlib

import jax
import jaxtyping
import numpy as np
import pytest


@contextlib.contextmanager
def refuses(match, error=ValueError):
    """Expect `error` from the library's own checks, with jaxtyping's checks switched off.

    The suite checks every annotation and a user's program does not, so what a user sees on bad
    input is tested without these checks.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(error, match=match):
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def assert_close(got, wanted, ulps=256, scale=None):
    """Require every leaf within `ulps` roundings of the largest wanted value (or of `scale`)."""
    got_leaves, got_tree = jax.tree.flatten(got)
    wanted_leaves, wanted_tree = jax.tree.flatten(wanted)
    assert got_tree == wanted_tree, f"{got_tree} against {wanted_tree}"
    for a, b in zip(got_leaves, wanted_leaves, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{a.shape} against {b.shape}"
        size = max(np.abs(b).max(initial=0.0), 0.0) if scale is None else scale
        eps = np.finfo(a.dtype).eps if np.issubdtype(a.dtype, np.floating) else 0
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * eps * size, equal_nan=False)


TRANSFORMS = {
    "eager": lambda f: f,
    "jit": jax.jit,
    "jit of vmap": lambda f: jax.jit(_through_vmap(f)),
}


def _through_vmap(f):
    """Run `f` on a batch of three copies and keep the middle one."""

    def run(*args):
        batch = jax.tree.map(lambda x: jax.numpy.stack([x, x, x]), args)
        return jax.tree.map(lambda y: y[1], jax.vmap(f)(*batch))

    return run


class Compass:
    """A method for `cf.evolve` of two values that draws nothing: the centre, and a step each way.

    It goes to the best of them, and makes its steps shorter. As those of evosax, it begins around
    a mean. Members beyond the fifth repeat the first five.
    """

    WAYS = ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))
    NARROWER = 0.8
    default_params = ()

    def __init__(self, population_size, solution, narrower=NARROWER, still=True):
        ways = np.asarray(self.WAYS if still else self.WAYS[1:])
        self.ways = ways[np.arange(population_size) % len(ways)].astype(solution.dtype)
        self.narrower = narrower

    def init(self, key, mean, params):
        return mean, jax.numpy.ones_like(mean)

    def ask(self, key, state, params):
        centre, reach = state
        return centre + reach * self.ways, state

    def tell(self, key, population, fitness, state, params):
        return (population[fitness.argmin()], self.narrower * state[1]), {}


class Compilations:
    """Count the programs that XLA compiles within a `with`, in `count`."""

    total = 0

    def __enter__(self):
        self.before, self.count = Compilations.total, None
        return self

    def __exit__(self, *_):
        self.count = Compilations.total - self.before


def _note(event, duration, **_):
    Compilations.total += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_note)
