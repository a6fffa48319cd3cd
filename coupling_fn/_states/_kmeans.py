"""States that recur: clusters of patterns."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Key, Num

from .._core import as_count, known, require_choice, require_key, scan, while_loop
from .._signals import as_series, root


class KMeans(NamedTuple):
    """States that recur, from `kmeans`; the most frequent is state 0.

    Attributes:
        centroids: the pattern of each state; of length 1 for "cosine". [unit of the patterns]
        labels: the state at each time, from 0. [1]
        inertia: sum over times of the distance of each pattern to its centroid; for "cosine" in 1.
            [unit² of the patterns]

    Example:
        >>> patterns = jnp.array([[0.0, 1.0], [2.0, 0.0], [0.0, 1.0]])
        >>> cf.observe.kmeans(patterns, 2, key=jax.random.key(0)).labels.tolist()
        [0, 1, 0]
    """

    centroids: Float[Array, "state region"]
    labels: Int[Array, " time"]
    inertia: Float[Array, ""]


def kmeans(
    patterns: Num[ArrayLike, "time region"],
    states: int,
    *,
    key: Key[Array, ""],
    distance: Literal["euclidean", "cosine"] = "euclidean",
    restarts: int = 20,
    iterations: int = 100,
) -> KMeans:
    r"""Cluster the patterns at all times into states that recur, by Lloyd's k-means.

    The sum over times of the distance to the nearest centroid is made small: $\|x_t - c\|^2$, or
    $1 - x_t \cdot c / \|x_t\| \|c\|$ for "cosine". Centroids begin at patterns drawn by k-means++,
    and the best of several starts is kept. A state that loses all its patterns keeps its centroid.
    The result has no gradient.

    Starts run one after the other, so memory is about twice that of `patterns`. Time is proportional to
    states times iterations times starts (84 regions, 60 000 samples, 5 states and 20 starts: 4 s on one
    core).

    Args:
        patterns: one row per time, such as `leading_eigenvectors`, or `zscore` of BOLD. [any unit]
        states: how many states; at most the number of times.
        key: from `jax.random.key(seed)`; the same key gives the same states.
        distance: "euclidean", or "cosine", which is blind to how large a pattern is.
        restarts: how many starts, 1 or more.
        iterations: at which iteration to end a start at the latest, 1 or more.

    Returns:
        Centroids, labels and inertia, by falling number of times.

    Raises:
        ValueError: if `patterns` is not (time, region), there are more states than times, or a pattern
            is all 0, to which no cosine is known.
        TypeError: if a number is not whole, or `key` is no key.

    Source:
        S. Lloyd, IEEE Trans. Inf. Theory 28, 129 (1982); D. Arthur, S. Vassilvitskii, SODA 2007, 1027,
        for k-means++.

    Example:
        >>> lags = jnp.array([[0.0, 0.2, 3.0, 3.3]])
        >>> signals = jnp.sin(jnp.arange(300.0)[:, None] / 9 + lags)
        >>> patterns = cf.observe.leading_eigenvectors(cf.observe.instantaneous_phase(signals))
        >>> found = cf.observe.kmeans(patterns, 1, key=jax.random.key(0), distance="cosine")
        >>> found.centroids.round(1).tolist()  # two regions against two, at all times
        [[-0.5, -0.5, 0.5, 0.5]]
    """
    patterns = as_series("patterns", patterns, samples=1)
    counts = {"states": states, "restarts": restarts, "iterations": iterations}
    for name, count in counts.items():
        if as_count(name, count) < 1:
            raise ValueError(f"`{name}` must be 1 or more; got {count}.")
    if states > len(patterns):
        raise ValueError(
            f"`states` must be at most the number of times, {len(patterns)}; got {states}."
        )
    require_choice("distance", distance, ("euclidean", "cosine"))
    require_key(key)
    cosine = distance == "cosine"
    if cosine and known(patterns) and not np.asarray(patterns).any(axis=1).all():
        time = int(np.argmin(np.asarray(patterns).any(axis=1)))
        raise ValueError(
            f"`patterns` must have no row of 0 where distance is 'cosine'; row {time} is one."
        )
    return _best(
        lax.stop_gradient(patterns), key, int(states), int(restarts), int(iterations), cosine
    )


@eqx.filter_jit
def _best(
    patterns: Array, key: Any, states: int, restarts: int, iterations: int, cosine: bool
) -> KMeans:
    # Distances are the same from any origin, and keep their digits from this one.
    origin = jnp.zeros_like(patterns[0]) if cosine else patterns.mean(axis=0)
    x = _unit(patterns) if cosine else patterns - origin[None]

    def start(best: KMeans, key: Any) -> tuple[KMeans, None]:
        found = _lloyd(x, _plus_plus(x, key, states), iterations, cosine)
        better = ~(found.inertia >= best.inertia)  # also where it is NaN, so that NaN is seen
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best), None

    none = KMeans(x[:states], jnp.zeros(len(x), int), jnp.full((), jnp.inf, x.dtype))
    best, _ = scan(start, none, jax.random.split(key, restarts))
    counts = (best.labels[None] == jnp.arange(states)[:, None]).sum(axis=1)
    order = jnp.argsort(-counts)
    labels = jnp.argsort(order)[best.labels]
    return KMeans(best.centroids[order] + origin[None], labels, best.inertia)


def _lloyd(x: Array, centroids: Array, iterations: int, cosine: bool) -> KMeans:
    """Move centroids to the means of their patterns until no label changes."""

    def unfinished(carry: Any) -> Array:
        _, _, moved, turn = carry
        return moved & (turn < iterations)

    def turn(carry: Any) -> Any:
        centroids, labels, _, turn = carry
        member = (labels[:, None] == jnp.arange(len(centroids))[None]).astype(x.dtype)
        count = member.sum(axis=0)[:, None]
        sums = jnp.matmul(member.T, x, precision=lax.Precision.HIGHEST)
        means = _unit(sums) if cosine else sums / jnp.maximum(count, 1)
        centroids = jnp.where(count > 0, means, centroids)
        after = _squares(x, centroids).argmin(axis=1)
        return centroids, after, (after != labels).any(), turn + 1

    labels = _squares(x, centroids).argmin(axis=1)
    begin = centroids, labels, jnp.asarray(True), jnp.asarray(0)
    centroids, labels, _, _ = while_loop(unfinished, turn, begin)
    inertia = jnp.square(x - centroids[labels]).sum()
    return KMeans(centroids, labels, inertia / 2 if cosine else inertia)


def _plus_plus(x: Array, key: Any, states: int) -> Array:
    """Draw centroids among the patterns, each in proportion to its square distance to those before."""
    first, *later = jax.random.split(key, states)
    chosen = jax.random.randint(first, (), 0, len(x))
    centroids = [x[chosen]]
    nearest = jnp.square(x - centroids[0][None]).sum(axis=1)
    for key in later:
        # Where all patterns are centroids already, any one will do.
        weights = jnp.where(nearest.sum() > 0, nearest, 1)
        centroids.append(x[jax.random.categorical(key, jnp.log(weights))])
        nearest = jnp.minimum(nearest, jnp.square(x - centroids[-1][None]).sum(axis=1))
    return jnp.stack(centroids)


def _squares(x: Array, centroids: Array) -> Array:
    """Return the square distance of each pattern to each centroid, less the square of the pattern."""
    product = jnp.matmul(x, centroids.T, precision=lax.Precision.HIGHEST)
    return jnp.square(centroids).sum(axis=1)[None] - 2 * product


def _unit(x: Array) -> Array:
    size = root(jnp.square(x).sum(axis=1, keepdims=True))
    return x / jnp.where(size == 0, 1, size)
