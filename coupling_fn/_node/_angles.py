"""Angles: whole turns are taken off them, so that they keep their digits however long they turn."""

import math

import jax.numpy as jnp
from jax import Array, lax

# A whole turn in two parts. Few turns times the first are exact in any dtype, and so is what they leave
# of an angle; the second is what a dtype rounds off the first.
TURN = (6.28125, 2 * math.pi - 6.28125)


def wrapped(angle: Array) -> Array:
    """Return an angle less whole turns, in [-pi, pi) to rounding; its derivative is 1. [rad]."""
    turns = lax.stop_gradient(jnp.floor(angle / sum(TURN) + 0.5))
    return angle - turns * TURN[0] - turns * TURN[1]
