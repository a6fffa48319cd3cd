"""How long is each of 32 delayed runs, for 32 values of k under `jax.vmap`?"""

from ._problem import Case

NAMES = ("coupling_fn", "brainmass", "tvboptim", "vbjax", "plain")


def cases(options):
    for connectome, n in options.connectomes(370):
        for dt in options.dts(0.1):
            for scheme, dtype in options.variants(False):
                steps = options.steps or (2000 if n < 100 else 1000)
                yield Case(connectome, n, "sweep", True, dt, steps, scheme, dtype)
