"""How long is an undelayed step, next to a bare scan of `W @ x`?"""

from ._problem import Case

NAMES = ("coupling_fn", "brainmass", "tvboptim", "vbjax", "bare", "numba")


def cases(options):
    for n in options.sizes(84, 370, 1000):
        for scheme, dtype in options.variants(n == 84):
            yield Case(
                "synthetic",
                n,
                delayed=False,
                dt=options.dts(0.1)[0],
                steps=options.steps or 2000,
                scheme=scheme,
                dtype=dtype,
            )
