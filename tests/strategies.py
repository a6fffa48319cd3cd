"""Networks to test on: random ones, and a fixed one without a symmetry that would hide errors."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

SIZES = (1, 2, 5)  # every further size is compiled anew


def numbers(low=-3.0, high=3.0):
    """Draw floats, but not subnormal ones, which XLA flushes to zero."""
    return st.floats(low, high, allow_subnormal=False, allow_nan=False)


@st.composite
def weights(draw, n):
    """Draw asymmetric weights of both signs, about half of them absent."""
    entry = st.one_of(st.just(0.0), numbers())
    return draw(arrays(np.float64, (n, n), elements=entry))


@st.composite
def networks(draw):
    """Draw `(source, target, conn, k)`, with one k per target."""
    n = draw(st.sampled_from(SIZES))
    state = arrays(np.float64, n, elements=numbers())
    return draw(state), draw(state), draw(weights(n)), draw(state)


def directed(targets, sources, seed=0):
    """Return strong, asymmetric weights with zeros, a self-connection, and a target without input."""
    rng = np.random.default_rng(seed)
    conn = rng.normal(size=(targets, sources)) * (rng.random((targets, sources)) > 0.3)
    conn[0, 0], conn[targets - 1] = 0.8, 0.0
    return conn


def shuffled_edges(conn, rng):
    """Return `(target, source, weight)` of the edges in no order, one of them stored in two halves."""
    target, source = np.nonzero(conn)
    order = rng.permutation(len(target))
    target, source = (np.append(x[order], x[order][0]) for x in (target, source))
    weight = conn[target, source]
    weight[0] = weight[-1] = weight[0] / 2
    return target, source, weight


_RNG = np.random.default_rng(7)
DIRECTED = (_RNG.normal(size=5), _RNG.normal(size=5), directed(5, 5), np.linspace(0.4, 1.5, 5))
