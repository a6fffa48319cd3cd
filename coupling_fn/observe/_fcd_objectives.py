"""How far the values of a simulated FCD are from those of a recorded one, or from a histogram."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import as_float, known, require_finite, require_nonnegative, require_square


class Histogram(NamedTuple):
    """A distribution as data are published: `Histogram(*np.histogram(values, bins))`.

    Attributes:
        counts: how many values lie in each bin, or their share or density times the bin's width; they
            are divided by their sum. [1]
        edges: where the bins begin and end, increasing, one more than there are bins. A bin holds its
            lower edge, and the last bin also its upper one. [unit of the values]

    Example:
        >>> published = cf.observe.Histogram(*np.histogram([0.1, 0.2, 0.8], bins=4, range=(0, 1)))
        >>> published.counts.tolist(), published.edges.tolist()
        ([2, 0, 0, 1], [0.0, 0.25, 0.5, 0.75, 1.0])
    """

    counts: Num[ArrayLike, " bin"]
    edges: Num[ArrayLike, " edge"]


Distribution = Num[ArrayLike, "other other"] | Num[ArrayLike, " value"] | Histogram


def fcd_ks(fcd: Num[ArrayLike, "window window"], target: Distribution) -> Float[Array, ""]:
    r"""Compute the Kolmogorov–Smirnov distance of the values of two FCDs.

    $\max_x |F(x) - \hat F(x)|$, with $F$ the share of entries above the diagonal that are $x$ or
    less, and $\hat F$ that of the target; blind to when something happened. Of a `Histogram`, $\hat F$
    is known at the edges alone, so the maximum is taken there: the distance of the binned values, which
    is smaller or the same. It is a step function of the values, so its gradient is 0: use it in
    sweeps, and `fcd_wasserstein` with gradients.

    Args:
        fcd: the simulated FCD, of two windows or more. [1]
        target: the recorded FCD, whose number of windows may differ; or the values of one or several,
            (value,); or a `Histogram` of them. [1]

    Returns:
        The distance, in [0, 1]. [1]

    Raises:
        ValueError: if the FCD is not square or has fewer than two windows, or the target is none of the
            three.

    Source:
        G. Deco et al., Sci. Rep. 7, 3095 (2017), for the use as a model's goodness of fit.

    Example:
        >>> low, high = jnp.full((4, 4), 0.1), jnp.full((5, 5), 0.9)
        >>> float(cf.observe.fcd_ks(low, high)), float(cf.observe.fcd_ks(low, low))
        (1.0, 0.0)
        >>> published = cf.observe.Histogram(jnp.array([3.0, 1.0]), jnp.array([0.0, 0.5, 1.0]))
        >>> float(cf.observe.fcd_ks(low, published))
        0.25
    """
    a = _sorted("fcd", fcd)
    a, b = lax.stop_gradient((a, _distribution(target, a)))
    if isinstance(b, _Shares):
        share, edges = b
        # A bin holds its lower edge: at an edge, what is below it; at the last, what is not above.
        below = (
            jnp.searchsorted(a, edges, side="left")
            .at[-1]
            .set(jnp.searchsorted(a, edges[-1], side="right"))
        )
        apart = jnp.abs(below.astype(a.dtype) / a.size - share).max()
        at = jnp.concatenate([a, share, edges])
    else:
        at = jnp.concatenate([a, b])
        shares = [jnp.searchsorted(x, at, side="right").astype(a.dtype) / x.size for x in (a, b)]
        apart = jnp.abs(shares[0] - shares[1]).max()
    # `searchsorted` counts a NaN as the largest number, which would hide it.
    return jnp.where(jnp.isfinite(at).all(), apart, jnp.nan)


def fcd_wasserstein(fcd: Num[ArrayLike, "window window"], target: Distribution) -> Float[Array, ""]:
    r"""Compute the Wasserstein-1 distance of the values of two FCDs.

    $\int |F(x) - \hat F(x)|\, dx$, with $F$ the distribution of the entries above the diagonal and
    $\hat F$ that of the target: how far, in the mean, values have to be moved to make one distribution
    the other. Of a `Histogram`, values are spread evenly over each bin. Unlike `fcd_ks` it has gradients
    to follow. Equal values are ranked as they come, so each has a gradient of its own.

    Args:
        fcd: the simulated FCD, of two windows or more. [1]
        target: the recorded FCD, whose number of windows may differ; or the values of one or several,
            (value,); or a `Histogram` of them. [1]

    Returns:
        The distance, in [0, 2] where the target is within [-1, 1]. [1]

    Raises:
        ValueError: if the FCD is not square or has fewer than two windows, or the target is none of the
            three.

    Source:
        C. Villani, Topics in Optimal Transportation (2003), theorem 2.18.

    Example:
        >>> low, high = jnp.full((4, 4), 0.1), jnp.full((5, 5), 0.9)
        >>> round(float(cf.observe.fcd_wasserstein(low, high)), 3)
        0.8
        >>> published = cf.observe.Histogram(jnp.array([3.0, 1.0]), jnp.array([0.0, 0.5, 1.0]))
        >>> round(float(cf.observe.fcd_wasserstein(low, published)), 3)
        0.29
    """
    a = _sorted("fcd", fcd)
    b = _distribution(target, a)
    if isinstance(b, _Shares):
        return _area_between(a, *b)
    # The quantile functions step at multiples of 1 / n and 1 / m, and are constant in between. In
    # units of 1 / (n m) these places are whole numbers, so none is lost to rounding.
    n, m = a.size, b.size
    steps = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    at, widths = steps[:-1], jnp.asarray(np.diff(steps) / (n * m), a.dtype)
    return (widths * jnp.abs(a[at // m] - b[at // n])).sum()


def _area_between(values: Array, share: Array, edges: Array) -> Array:
    """Integrate the distance of the step function of values from the polygon of a histogram."""
    x = jnp.sort(jnp.concatenate([values, edges]))
    steps = jnp.searchsorted(values, x[:-1], side="right").astype(x.dtype) / values.size
    polygon = jnp.interp(x, edges, share)
    left, right = steps - polygon[:-1], steps - polygon[1:]
    sizes = jnp.abs(left) + jnp.abs(right)
    # Of two triangles where the two cross, of a trapezium where they do not.
    crossed = (jnp.square(left) + jnp.square(right)) / jnp.where(sizes == 0, 1, sizes)
    heights = jnp.where(left * right < 0, crossed, sizes) / 2
    return (jnp.diff(x) * heights).sum()


class _Shares(NamedTuple):
    """A histogram's share of values below each edge."""

    below: Array
    edges: Array


def _sorted(name: str, fcd: Any) -> Array:
    """Return the entries above the diagonal of an FCD, the smallest first."""
    fcd = as_float(name, fcd)
    require_square(name, fcd)
    if len(fcd) < 2:
        raise ValueError(f"`{name}` must have 2 windows or more; got {len(fcd)}.")
    return jnp.sort(fcd[np.triu_indices(len(fcd), 1)])


def _distribution(target: Any, like: Array) -> Array | _Shares:
    """Return the sorted values of a target, or the shares of a histogram."""
    if not isinstance(target, Histogram):
        if isinstance(target, tuple):
            raise TypeError(
                f"`target` must be an array or a `Histogram`; got a {type(target).__name__} of "
                f"{len(target)}. For counts and edges write `cf.observe.Histogram(counts, edges)`."
            )
        values = as_float("target", target).astype(like.dtype)
        if values.ndim != 1:
            return _sorted("target", values)
        if not values.size:
            raise ValueError("`target` must have values; got none.")
        return jnp.sort(values)
    counts, edges = (
        as_float(f"target.{name}", x).astype(like.dtype) for name, x in target._asdict().items()
    )
    if counts.ndim != 1 or not counts.size or edges.shape != (counts.size + 1,):
        raise ValueError(
            "`target` must have one count per bin, and one edge more than bins; got shapes "
            f"{counts.shape} and {edges.shape}."
        )
    require_finite("target.edges", edges)
    require_finite("target.counts", counts)
    require_nonnegative("target.counts", counts)
    if known(edges) and not (np.diff(edges) > 0).all():
        raise ValueError(f"`target.edges` must increase from one to the next; got {edges}.")
    total = counts.sum()
    if known(total) and total == 0:
        raise ValueError("`target.counts` must have a sum above 0; got 0.")
    below = jnp.concatenate([jnp.zeros_like(counts[:1]), jnp.cumsum(counts)])
    return _Shares(below / total, edges)
