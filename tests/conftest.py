import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)  # float32 is passed in where it is tested
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("default", deadline=None, max_examples=25)
settings.load_profile("default")
