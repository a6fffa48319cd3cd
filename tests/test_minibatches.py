"""Minibatches: no row twice in an epoch, each epoch in another order, and the key decides which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses

import coupling_fn as cf


def test_an_epoch_sees_every_row_once_and_each_in_another_order():
    data = {"row": jnp.arange(7), "key": jax.random.split(jax.random.key(0), 7)}
    batch = cf.minibatches(data, 2, jax.random.key(1))
    rows = jax.jit(jax.vmap(batch))(jnp.arange(12))["row"].reshape(4, 6)
    assert all(len(set(epoch)) == 6 for epoch in rows.tolist())
    assert len({tuple(epoch) for epoch in rows.tolist()}) == 4
    assert set(rows.ravel().tolist()) == set(range(7))
    one = batch(5)  # without jit, the same; and keys go with their rows
    assert one["row"].tolist() == rows.ravel()[10:12].tolist()
    wanted = jax.random.key_data(data["key"])[one["row"]]
    assert np.array_equal(jax.random.key_data(one["key"]), wanted)


@pytest.mark.parametrize(
    ("data", "size", "match"),
    [
        (jnp.ones(3), 4, "`size` must be from 1 to 3"),
        (jnp.ones(3), 0, "`size` must be from 1 to 3"),
        ((jnp.ones(3), jnp.ones(2)), 1, "a leading axis of one length"),
        (jnp.ones(()), 1, "a leading axis of one length"),
        ((), 1, "a leading axis of one length"),
    ],
)
def test_mistakes(data, size, match):
    with refuses(match=match):
        cf.minibatches(data, size, jax.random.key(0))
