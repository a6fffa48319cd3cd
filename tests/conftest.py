import os
from collections import defaultdict

import jax
import jaxlib
import pytest
from hypothesis import settings

# Nearly all of the suite's time is XLA's, compiling thousands of small programs once. With its older
# emitter and one module a program that is a third less. An unknown flag would end the process, so
# they are for versions that were tried; `XLA_FLAGS= pytest` compiles as for a user.
if jaxlib.version.__version_info__ < (0, 11):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
    )

# More than one: for .ci/matrix. What is computed must not depend on it.
jax.config.update("jax_num_cpu_devices", int(os.environ.get("COUPLING_FN_DEVICES", "1")))
jax.config.update("jax_enable_x64", True)  # float32 is passed in where it is tested
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

MANY = 6

settings.register_profile("default", deadline=None, max_examples=10)
settings.load_profile("default")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: more of what others test; not by default")
    config.addinivalue_line("markers", "optimised: compile as for a user, where a run is long")
    config.addinivalue_line("markers", "every_case: by default too, however many")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of a test with many cases every other one is thorough: each compiles its own programs."""
    cases = defaultdict(list)
    for item in items:
        if not any(item.iter_markers("thorough")) and not any(item.iter_markers("every_case")):
            cases[item.path, item.originalname].append(item)
    for group in cases.values():
        for item in group[1::2] if len(group) >= MANY else ():
            item.add_marker(pytest.mark.thorough)


def pytest_runtest_setup(item):
    """Compile quickly: the suite has thousands of small programs, whose speed is nothing."""
    quick = item.get_closest_marker("optimised") is None
    jax.config.update("jax_disable_most_optimizations", quick)
