"""Transforms of whole arrays, where one unconstrained value moves many entries."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from .._core import (
    as_count,
    as_float,
    known,
    pseudo_inverse,
    require_finite,
    require_real,
    require_shape,
    require_square,
    singular_vectors,
)
from ._transforms import Transform, identity, log_slope


def masked(
    mask: Bool[ArrayLike, "target source"], within: Transform | None = None, symmetric: bool = False
) -> Transform:
    """Fit only some entries of a matrix, such as the edges of a connectome; the rest stays 0.

    Args:
        mask: which entries are fitted.
        within: the range of each entry; by default they are unconstrained. `positive()` keeps weights
            above 0. Where its bounds are arrays, they hold one value per entry, in the order of
            `matrix[mask]`.
        symmetric: whether the two directions of an edge share one value. The optimiser then moves
            one value per pair, in the order of the lower triangle.

    Returns:
        The transform from one unconstrained value per fitted entry, or per pair, to the matrix.

    Raises:
        ValueError: if `mask` is empty, or not symmetric although `symmetric` is true; from
            `inverse`, if a matrix is not 0 outside of the mask, or not symmetric likewise.

    Example:
        >>> mask = jnp.asarray([[False, True], [False, False]])
        >>> edges = cf.transforms.masked(mask, cf.transforms.positive())
        >>> edges.forward(edges.inverse(jnp.asarray([[0.0, 0.5], [0.0, 0.0]]))).tolist()
        [[0.0, 0.5], [0.0, 0.0]]
    """
    require_real("mask", mask)
    if np.ndim(mask) != 2:
        raise ValueError(f"`mask` must have shape (target, source), not {np.shape(mask)}.")
    mask = np.asarray(mask, bool)
    if symmetric:
        require_square("mask", mask)
        if (mask != mask.T).any():
            raise ValueError("`mask` must be symmetric, because `symmetric` ties both directions.")
    chosen = np.argwhere(np.tril(mask) if symmetric else mask).astype(np.int32)
    if len(chosen) == 0:
        raise ValueError("`mask` must have an entry: there is nothing to fit.")
    number = np.zeros(mask.shape, np.int32)  # 0 is an entry that is not fitted
    rows, columns = chosen.T
    number[rows, columns] = np.arange(1, len(chosen) + 1)
    if symmetric:
        number[columns, rows] = number[rows, columns]
    within = identity() if within is None else within
    chosen, number = jnp.asarray(chosen), jnp.asarray(number)
    return Transform(
        jax.tree_util.Partial(_scatter, number, within),
        jax.tree_util.Partial(_collect, chosen, number, within),
        jax.tree_util.Partial(log_slope, within),
    )


def symmetric(regions: int, within: Transform | None = None) -> Transform:
    """Keep a matrix symmetric: one value moves both directions, so its gradient sums over both.

    Args:
        regions: number of rows, and of columns, of the matrix. [1]
        within: the range of each entry, as in `masked`.

    Returns:
        The transform from the lower triangle, `(regions (regions + 1) / 2,)`, to the matrix.

    Raises:
        ValueError: from `inverse`, if a value is not symmetric.

    Example:
        >>> both_ways = cf.transforms.symmetric(2)
        >>> both_ways.inverse(jnp.asarray([[1.0, 0.5], [0.5, 2.0]])).tolist()
        [1.0, 0.5, 2.0]
    """
    return masked(np.ones((as_count("regions", regions),) * 2, bool), within, symmetric=True)


def low_rank(base: Float[ArrayLike, "target source"], rank: int) -> Transform:
    r"""Fit a change of a matrix that consists of a few patterns: $W = W_0 + U V^\top$.

    Args:
        base: $W_0$, the connectome as it was measured. [unit of the weights]
        rank: number of columns of $U$ and $V$. The optimiser moves both, stacked:
            `(target + source, rank)`. [1]

    Returns:
        The transform from the stacked factors to the matrix.

    Raises:
        ValueError: if `rank` is 0 or larger than the matrix; from `inverse`, if a value is not
            `base` plus a matrix of that rank.

    Example:
        >>> W = jnp.asarray([[0.0, 1.0], [0.5, 0.0]])
        >>> change = cf.transforms.low_rank(W, rank=1)
        >>> bool(jnp.allclose(change.forward(change.inverse(W)), W))
        True
    """
    base = as_float("base", base)
    if base.ndim != 2 or not 1 <= as_count("rank", rank) <= min(base.shape):
        raise ValueError(
            f"`rank` must be from 1 to the smaller side of the matrix `base`, {base.shape}; got {rank}."
        )
    return Transform(
        jax.tree_util.Partial(_add_outer, base),
        jax.tree_util.Partial(_outer_parts, base, jnp.zeros(rank, base.dtype)),
        _no_slope,
    )


def regional(
    maps: Float[ArrayLike, "map region"] | Float[ArrayLike, " region"],
    within: Transform | None = None,
) -> Transform:
    r"""Let a regional parameter follow maps of the cortex: $p_i = g(b_0 + \sum_m b_m z_{mi})$.

    The optimiser moves the coefficients $(b_0, b_1, ...)$ in place of one value per region; `inverse`
    of a fitted parameter returns them. Scale the maps alike (z-scores), so that one learning rate
    suits all.

    Args:
        maps: $z$, one map (T1w/T2w, a gradient of gene expression) or several. [unit of the map]
        within: $g$, the range of the parameter; by default it is unconstrained.

    Returns:
        The transform from the coefficients, `(map + 1,)`, to one value per region.

    Raises:
        ValueError: if maps are not finite; from `inverse`, if a parameter is no such sum. Start
            from one value for all regions.

    Source:
        M. Demirtas et al., Neuron 101 (2019) 1181-1194, for parameters that follow a map.

    Example:
        >>> along = cf.transforms.regional(jnp.asarray([-1.0, 0.0, 1.0]))
        >>> along.forward(jnp.asarray([0.5, 0.1])).tolist()
        [0.4, 0.5, 0.6]
    """
    maps = as_float("maps", maps)
    maps = maps[None] if maps.ndim == 1 else maps
    if maps.ndim != 2:
        raise ValueError(f"`maps` must have shape (map, region) or (region,), not {maps.shape}.")
    require_finite("maps", maps)
    within = identity() if within is None else within
    design = jnp.concatenate([jnp.ones_like(maps[:1]), maps]).T
    return Transform(
        jax.tree_util.Partial(_along_maps, design, within),
        jax.tree_util.Partial(_onto_maps, design, within),
        _no_slope,
    )


def _scatter(number: Array, within: Transform, u: Array) -> Array:
    return jnp.concatenate([jnp.zeros(1, u.dtype), within.forward(u)])[number]


def _collect(chosen: Array, number: Array, within: Transform, x: Array) -> Array:
    x = as_float("x", x)
    require_shape("the matrix", x, number.shape, meaning="That is the shape of `mask`.")
    values = x[chosen[:, 0], chosen[:, 1]]
    if known(x, number):
        wanted = np.concatenate([np.zeros(1, x.dtype), np.asarray(values)])[np.asarray(number)]
        wrong = np.argwhere(wanted != np.asarray(x))
        if len(wrong):
            i, j = (int(n) for n in wrong[0])
            raise ValueError(
                f"The matrix must be 0 where nothing is fitted, and symmetric if that was asked for; "
                f"at {i, j} it is {x[i, j]}, not {wanted[i, j]}."
            )
    return within.inverse(values)


def _add_outer(base: Array, u: Array) -> Array:
    into, out = u[: base.shape[0]], u[base.shape[0] :]
    return base.astype(u.dtype) + jnp.matmul(into, out.T, precision=jax.lax.Precision.HIGHEST)


def _outer_parts(base: Array, columns: Array, x: Array) -> Array:
    x = as_float("x", x)
    require_shape("the matrix", x, base.shape, meaning="That is the shape of `base`.")
    change, rank = x - base.astype(x.dtype), columns.size
    into, sizes, out = singular_vectors(change)
    small = 10 * x.size * jnp.finfo(x.dtype).eps * jnp.abs(x).max()
    if known(sizes) and (np.asarray(sizes)[rank:] > small).any():
        raise ValueError(
            f"The matrix must be `base` plus a matrix of rank {rank}; the difference has a higher rank."
        )
    # Where the change is 0, both factors could be 0, and there no gradient would move either of
    # them. So U is 0 and V holds the patterns of `base`.
    _, _, own = singular_vectors(base.astype(x.dtype))
    out = jnp.where(sizes[:rank, None] > small, out[:rank], own[:rank])
    sizes = jnp.where(sizes[:rank] > small, sizes[:rank], 0)
    return jnp.concatenate([into[:, :rank] * sizes[None], out.T])


def _along_maps(design: Array, within: Transform, b: Array) -> Array:
    design = design.astype(b.dtype)
    return within.forward(jnp.matmul(design, b, precision=jax.lax.Precision.HIGHEST))


def _onto_maps(design: Array, within: Transform, x: Array) -> Array:
    x = as_float("x", x)
    require_shape("the parameter", x, design.shape[:1], meaning="It is one per region of the maps.")
    u = within.inverse(x)
    b = jnp.matmul(pseudo_inverse(design.astype(u.dtype)), u, precision=jax.lax.Precision.HIGHEST)
    if known(x, design):
        off = np.abs(np.asarray(design, u.dtype) @ np.asarray(b) - np.asarray(u)).max()
        if off > np.sqrt(np.finfo(u.dtype).eps) * max(np.abs(np.asarray(u)).max(), 1e-30):
            raise ValueError(
                "The parameter must be a constant plus multiples of the maps; this one is off by "
                f"{off:.3g}. Start from one value for all regions."
            )
    return b


def _no_slope(u: Array) -> Array:
    """Return 0: the density is over the unconstrained values themselves, so no volume is stretched."""
    return jnp.zeros((), u.dtype)
