"""Random connectomes with the statistics of real ones."""

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .._core import as_count, keeps_known
from ._connectome import Connectome

# Half axes of the brain: lateral, anterior-posterior, vertical. [mm]
_HALF_AXES = (65.0, 85.0, 60.0)
# Angle between points along a spiral: multiples of it never line up, so the points spread evenly.
_GOLDEN_ANGLE = 2.39996323
# Length of the shortest tract, however near its ends are. [mm]
_SHORTEST = 10.0
# Length over which weights fall to 1/e. [mm]
_DECAY = 30.0
# Standard deviation of the log weights of tracts of one length, as in real counts of streamlines.
_SPREAD = 2.0
# What is added to the log weight between mirror regions.
_HOMOTOPIC = 2.0
# Standard deviation of the log weight of each direction of a tract, where the two differ.
_DIRECTION = 0.5


@keeps_known
def synthetic_connectome(regions: int, key: PRNGKeyArray, symmetric: bool = True) -> Connectome:
    """Generate a random connectome of two hemispheres, for trying things out and for benchmarks.

    Regions are spread at random over two half ellipsoids of the size of a human brain, those on
    the right near the mirror images of those on the left. The length of a tract is 10 mm plus the
    distance times a tortuosity of 1.05 to 1.25: about 10 to 230 mm in all. Weights are log-normal
    and fall to 1/e every 30 mm of tract; those between mirror regions are e² times larger. All pairs
    of regions are connected, with weights over five or more orders of magnitude, and the largest
    weight is 1.

    Args:
        regions: number of regions, 2 or more. The left half comes first, then the right half in the
            same order; if `regions` is odd, the last region is on the midline. [1]
        key: a random key. The same key gives the same connectome in the same precision; a batch of
            keys under `vmap` gives an ensemble.
        symmetric: whether both directions of a tract have the same weight. Otherwise each direction
            has its own, off by a factor of about 1.6. Both directions always have the same length.

    Returns:
        Weights [1], lengths [mm], labels ("L.R01", "R.R01", "M.R01") and centres [mm], whose axes point
        to the right, to the front and upwards; the diagonals are 0.

    Raises:
        ValueError: if `regions` is below 2.

    Source:
        M. Ercsey-Ravasz et al., Neuron 80 (2013) 184-197, for the exponential distance rule;
        N. T. Markov et al., Cerebral Cortex 24 (2014) 17-36, for log-normal weights; J. A.
        Roberts et al., NeuroImage 124 (2016) 379-393, for both in humans. The numbers are
        rounded from human tractography, where the decay is slower than in tracer data.

    Example:
        >>> conn = cf.synthetic_connectome(5, jax.random.key(0))
        >>> conn.labels
        ('L.R01', 'L.R02', 'R.R01', 'R.R02', 'M.R01')
        >>> conn.weights.shape, float(conn.weights.max())
        ((5, 5), 1.0)
    """
    regions = as_count("regions", regions)
    if regions < 2:
        raise ValueError(f"`regions` must be 2 or more, one per hemisphere, not {regions}.")
    weights, lengths, places = _synthetic(regions, key, symmetric)
    return Connectome(weights, lengths, _labels(regions), places)


@functools.partial(jax.jit, static_argnames=("n", "symmetric"))
def _synthetic(n: int, key: PRNGKeyArray, symmetric: bool) -> tuple[Array, Array, Array]:
    """Return weights, lengths and centres."""
    places_key, bend_key, weights_key, direction_key = jax.random.split(key, 4)
    places = _places(n, places_key)
    apart = ((places[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
    self_connection = jnp.eye(n, dtype=bool)
    distance = jnp.sqrt(jnp.where(self_connection, 0, apart))
    tortuosity = jax.random.uniform(bend_key, (n, n), minval=1.05, maxval=1.25)
    lengths = _symmetric(_SHORTEST + tortuosity * distance)

    half = n // 2
    mirror = jnp.eye(n, k=half) + jnp.eye(n, k=-half)
    # The region on the midline has no mirror region.
    mirror = mirror.at[2 * half :, :].set(0).at[:, 2 * half :].set(0)
    log = _SPREAD * jax.random.normal(weights_key, (n, n)) - lengths / _DECAY
    weights = _symmetric(jnp.exp(log + _HOMOTOPIC * mirror))
    if not symmetric:
        weights = weights * jnp.exp(_DIRECTION * jax.random.normal(direction_key, (n, n)))
    return weights / weights.max(), lengths, places


def _places(n: int, key: PRNGKeyArray) -> Float[Array, "region 3"]:
    """Place right regions on a jittered spiral around the left-right axis, and left ones mirrored."""
    half = n // 2
    shakes = jax.random.uniform(key, (7, half))
    along, around, depth, turn = shakes[0], shakes[1], shakes[2], shakes[3, :1]
    index = jnp.arange(half, dtype=float)
    lateral = (index + along) / half  # Equal steps are equal areas of a sphere.
    angle = 2 * jnp.pi * turn + _GOLDEN_ANGLE * index + around
    depth = 0.8 + 0.2 * depth
    ring = jnp.sqrt(1 - lateral**2)
    sphere = jnp.stack([lateral, ring * jnp.cos(angle), ring * jnp.sin(angle)], axis=1)
    right = depth[:, None] * sphere * jnp.array(_HALF_AXES)[None, :]
    left = right * jnp.array([-1.0, 1.0, 1.0])[None, :]
    left = left + 6 * (shakes[4:].T - 0.5)  # Up to 3 mm: no brain is quite its own mirror image.
    midline = jnp.array([[0.0, -20.0, -30.0]])[: n % 2]  # About where the brainstem is.
    return jnp.concatenate([left, right, midline])


def _symmetric(x: Float[Array, "region region"]) -> Float[Array, "region region"]:
    """Copy the upper triangle to the lower one, and set the diagonal to 0."""
    upper = jnp.triu(x, 1)
    return upper + upper.T


def _labels(n: int) -> tuple[str, ...]:
    width = max(2, len(str(n // 2)))
    numbers = [f"R{i + 1:0{width}}" for i in range(n // 2)]
    midline = [f"M.R{1:0{width}}"] * (n % 2)
    return (*(f"L.{name}" for name in numbers), *(f"R.{name}" for name in numbers), *midline)
