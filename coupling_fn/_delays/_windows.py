r"""Windows of a buffer: contiguous copies, one per edge, and their contractions with weights.

A buffer holds what each source sent, `(source, time * batch)`: times lie next to each other, and
the runs of a batch behind each time. The delayed sums of the m steps of a block are

$$S_i(t_0 + n) = \sum_j W_{ij}\, \psi_j(t_0 + n - d_{ij}), \qquad n = 1, \dots, m \le d_{ij}.$$

So an edge of lag d reads the m messages from time $t_0 + 1 - d$ on, one contiguous window of `width` =
m * batch numbers, and a target contracts the windows of its edges with their weights. The cotangent of a
weight contracts the same window with the cotangents of the sums,
$\bar W_{ij} = \sum_n \bar S_i(t_0 + n)\, \psi_j(t_0 + n - d_{ij})$.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

# Numbers in the windows that are gathered at once: on a CPU those of all 84 targets of 84 regions,
# or of 33 targets of 370. Half and twice as many cost up to a sixth more. An accelerator wants few
# large operations.
AT_ONCE = {"cpu": 3 * 2**17}
AT_ONCE_ELSEWHERE = 2**26
# Short windows are copied in pieces, because a copy of 16 numbers is straight vector code on a CPU,
# and one of 32 is a loop that costs 2.5 times as much (JAX 0.10.2, float32: the sums of 84 regions
# take 1.1 us per step instead of 1.7).
PIECE, SHORT = 16, 64


def sum_windows(weights: Array, buffer: Array, starts: Array, width: int, batch: int) -> Array:
    """Return the delayed sums `(target, width)` of targets that have equally many edges.

    `starts` is `(target, edge)`, and so is `weights`, or `(target, edge, batch)` where runs differ.
    """
    flat = buffer.reshape(-1)

    def of_target(starts, weights):
        windows = gather_windows(flat, starts, width)
        if weights.ndim == 1:
            return jnp.matmul(weights, windows, precision=lax.Precision.HIGHEST)
        windows = windows.reshape(len(windows), width // batch, batch)
        return (weights[:, None] * windows).sum(0).reshape(-1)

    return _map_targets(of_target, starts.shape[1] * width, starts, weights)


def correlate_windows(
    sums_bar: Array, buffer: Array, starts: Array, per_run: bool, batch: int
) -> Array:
    """Return the cotangents of such weights: `(target, edge)`, or with the batch behind."""
    flat = buffer.reshape(-1)

    def of_target(starts, sums_bar):
        windows = gather_windows(flat, starts, len(sums_bar))
        if not per_run:
            return jnp.matmul(windows, sums_bar, precision=lax.Precision.HIGHEST)
        products = windows * sums_bar[None]
        return products.reshape(len(windows), len(sums_bar) // batch, batch).sum(1)

    return _map_targets(of_target, starts.shape[1] * sums_bar.shape[1], starts, sums_bar)


def gather_windows(flat: Array, starts: Array, width: int) -> Array:
    """Return `flat[s : s + width]` for every `s` in `starts`, as contiguous copies."""
    piece = PIECE if width <= SHORT and width % PIECE == 0 else width
    pieces = (*starts.shape, width // piece)
    starts = starts[..., None] + piece * lax.broadcasted_iota(starts.dtype, pieces, starts.ndim)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(starts.ndim,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    windows = lax.gather(
        flat, starts[..., None], numbers, slice_sizes=(piece,), mode="promise_in_bounds"
    )
    return windows.reshape(*pieces[:-1], width)


def _map_targets(fn: Callable[..., Array], size: int, *args: Array) -> Array:
    """Compute `jax.vmap(fn)(*args)`, a few targets at a time if each needs `size` numbers for itself."""
    fn = jax.checkpoint(fn, prevent_cse=False)  # where JAX differentiates this, it keeps no windows
    total = len(args[0])
    fewest = max(1, -(-total * size // AT_ONCE.get(jax.default_backend(), AT_ONCE_ELSEWHERE)))
    # An even split if there is one nearby; otherwise the last part is filled up with targets of zeros.
    parts = next((n for n in range(fewest, 2 * fewest) if total % n == 0), fewest)
    rows = -(-total // parts)
    parts = -(-total // rows)
    if parts == 1:
        return jax.vmap(fn)(*args)

    def cut(x: Array) -> Array:
        filled = jnp.pad(x, [(0, parts * rows - total)] + [(0, 0)] * (x.ndim - 1))
        return filled.reshape(parts, rows, *x.shape[1:])

    done = lax.map(lambda part: jax.vmap(fn)(*part), tuple(cut(x) for x in args))
    return done.reshape(parts * rows, *done.shape[2:])[:total]
