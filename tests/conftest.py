import os

import jax
import jaxlib
from hypothesis import settings

# Nearly all of the suite's time is XLA's, compiling thousands of small programs once. With its older
# emitter and one module a program that is a third less. An unknown flag would end the process, so
# they are for versions that were tried; `XLA_FLAGS= pytest` compiles as for a user.
if jaxlib.version.__version_info__ < (0, 11):
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
    )

jax.config.update("jax_enable_x64", True)  # float32 is passed in where it is tested
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("default", deadline=None, max_examples=10)
settings.load_profile("default")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: more of what others test; not by default")
    config.addinivalue_line("markers", "optimised: compile as for a user, where a run is long")


def pytest_runtest_setup(item):
    """Compile quickly: the suite has thousands of small programs, whose speed is nothing."""
    quick = item.get_closest_marker("optimised") is None
    jax.config.update("jax_disable_most_optimizations", quick)
