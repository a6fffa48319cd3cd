"""How long is a delayed step, where every tract has a lag of its own?"""

from ._problem import Case

NAMES = ("coupling_fn", "brainmass", "tvboptim", "vbjax", "plain", "numba")


def cases(options):
    for connectome, n in options.connectomes(370, 1000):
        for dt in options.dts(0.1, 1.0):
            for scheme, dtype in options.variants(n < 100):
                # Long enough that every lag, of at most 767 steps, reaches past the start.
                steps = options.steps or (2000 if n < 1000 else 1000)
                yield Case(connectome, n, dt=dt, steps=steps, scheme=scheme, dtype=dtype)
