"""The linear sums, over every form that a connection comes in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, refuses
from jax.experimental.sparse import BCOO
from jax.test_util import check_grads
from strategies import directed, shuffled_edges

import coupling_fn as cf

CONN = directed(4, 5)
RNG = np.random.default_rng(1)
MESSAGES = {"one source": RNG.normal(size=5), "one each": RNG.normal(size=(4, 5))}


def shuffled(conn):
    """Return edges in no order, one of them stored in two halves."""
    target, source, values = shuffled_edges(conn, RNG)
    return BCOO((jnp.asarray(values), jnp.stack([target, source], axis=1)), shape=conn.shape)


FORMS = {
    "dense": jnp.asarray,
    "NumPy": np.asarray,
    "BCOO": BCOO.fromdense,
    "padded BCOO": lambda conn: BCOO.fromdense(conn, nse=20),
    "shuffled BCOO with a duplicate": shuffled,
}


def by_hand(conn, messages):
    out = np.zeros(len(conn))
    for (i, j), weight in np.ndenumerate(conn):
        out[i] += weight * (messages[j] if messages.ndim == 1 else messages[i, j])
    return out


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("messages", MESSAGES)
@pytest.mark.parametrize("form", FORMS)
def test_weighted_sum_is_its_loop(form, messages, dtype):
    conn, messages = CONN.astype(dtype), MESSAGES[messages].astype(dtype)
    got = cf.weighted_sum(FORMS[form](conn), jnp.asarray(messages))
    assert got.dtype == dtype
    assert_close(got, by_hand(conn, messages), ulps=8)
    assert_close(jax.jit(cf.weighted_sum)(FORMS[form](conn), messages), got, ulps=8)


@pytest.mark.parametrize("form", FORMS)
def test_in_strength_is_the_row_sums(form):
    assert_close(cf.graph.strength(FORMS[form](CONN)), by_hand(CONN, np.ones(5)), ulps=8)


def test_connection_without_edges_gives_nothing():
    none = BCOO.fromdense(np.zeros((4, 5)), nse=0)
    for messages in MESSAGES.values():
        assert cf.weighted_sum(none, messages).tolist() == [0.0] * 4
    assert cf.graph.strength(none).tolist() == [0.0] * 4


@pytest.mark.parametrize("messages", MESSAGES)
def test_sum_has_exact_gradients(messages):
    sparse = BCOO.fromdense(CONN)

    @jax.jit
    def both(conn, values, messages):
        whole = BCOO((values, sparse.indices), shape=sparse.shape)
        return cf.weighted_sum(conn, messages), cf.weighted_sum(whole, messages)

    args = jnp.asarray(CONN), sparse.data, jnp.asarray(MESSAGES[messages])
    check_grads(both, args, order=1, modes=("fwd", "rev"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 5), (5, 1), (5, 4), (4, 1), (2, 4, 5)])
def test_other_shapes_are_refused_and_not_broadcast(shape, form):
    with refuses(
        r"`messages` must have shape \(5,\) or \(4, 5\) or \(1, 5\), not "
        + str(shape)[:-1].replace("(", r"\(")
    ):
        cf.weighted_sum(FORMS[form](CONN), jnp.ones(shape))
