"""How long is a loss with its gradient through a delayed run, in k and in every weight?"""

from ._problem import Case

NAMES = ("coupling_fn", "brainmass", "tvboptim", "vbjax", "plain")


def cases(options):
    for connectome, n in options.connectomes(370):
        for quantity in ("grad_k", "grad_conn"):
            for dt in options.dts(0.1):
                for scheme, dtype in options.variants(n < 100):
                    steps = options.steps or 2000
                    yield Case(connectome, n, quantity, True, dt, steps, scheme, dtype)
