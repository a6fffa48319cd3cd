"""How the suite compiles, what JAX is set to, and which cases the default run leaves out."""

import os
from collections import defaultdict

import jax
import jaxlib
import pytest
from hypothesis import settings

# Nearly all of the suite's time goes into compiling thousands of small programs that each run once.
# With XLA's older emitter, and without most of its optimisations, that takes half to three quarters
# of the time. `COUPLING_FN_COMPILE=user pytest` compiles every test as for a user.
AS_USER = os.environ.get("COUPLING_FN_COMPILE") == "user"
# An unknown flag would end the process, so the flags are for versions on which they were tried.
if not AS_USER and jaxlib.version.__version_info__ < (0, 11):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
    )

# .ci/matrix asks for more than one device: what is computed must not depend on how many there are.
jax.config.update("jax_num_cpu_devices", int(os.environ.get("COUPLING_FN_DEVICES", "1")))
jax.config.update("jax_enable_x64", True)  # tests of float32 pass float32 in
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("default", deadline=None, max_examples=10)
settings.load_profile("default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as thorough the cases that `every(n)` leaves out of the default run."""
    cases = defaultdict(list)
    for item in items:
        if item.get_closest_marker("every"):
            cases[item.path, item.originalname].append(item)
    for group in cases.values():
        (n,) = group[0].get_closest_marker("every").args
        for place, item in enumerate(group):
            if place % n:
                item.add_marker(pytest.mark.thorough)


TESTS_PER_CLEARING = 50


def pytest_runtest_teardown(item, nextitem):
    """Forget compiled programs now and then.

    Each keeps some 30 memory maps, and Linux gives a process 65,530 of them: after a thousand tests
    that compile as for a user, LLVM finds no memory for the next program.
    """
    item.session.tests_run = getattr(item.session, "tests_run", 0) + 1
    if nextitem is None or item.session.tests_run % TESTS_PER_CLEARING == 0:
        jax.clear_caches()


def pytest_runtest_setup(item):
    """Leave XLA's optimisations off, except where a test or the environment asks for them."""
    optimised = AS_USER or item.get_closest_marker("optimised") is not None
    jax.config.update("jax_disable_most_optimizations", not optimised)
