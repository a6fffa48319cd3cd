import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)  # float32 is passed in where it is tested
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("default", deadline=None, max_examples=25)
settings.load_profile("default")


def pytest_configure(config):
    config.addinivalue_line("markers", "optimised: compile as for a user, where a run is long")


def pytest_runtest_setup(item):
    """Compile quickly: the suite has thousands of small programs, whose speed is nothing."""
    quick = item.get_closest_marker("optimised") is None
    jax.config.update("jax_disable_most_optimizations", quick)
