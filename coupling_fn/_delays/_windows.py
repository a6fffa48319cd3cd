r"""Windows of a buffer, one per edge, and their contractions with weights.

Here a delayed run spends most of its time.

A buffer holds what each source sent, `(source, time * batch)`: times lie next to each other, and
the runs of a batch behind each time. The delayed sums of the m steps of a block are

$$S_i(t_0 + n) = \sum_j W_{ij}\, \psi_j(t_0 + n - d_{ij}), \qquad n = 1, \dots, m \le d_{ij}.$$

So an edge of lag d reads the m messages from time $t_0 + 1 - d$ on, one contiguous window of `width` =
m * batch numbers, and a target adds up the windows of its edges, each times its weight. The
cotangent of a weight contracts what the edge reads in a whole run with the cotangents of the sums,
$\bar W_{ij} = \sum_t \bar S_i(t)\, \psi_j(t - d_{ij})$.

Edges stand in slots, `(slot, target)`: slot n holds the n-th edge of each target, which for a dense
connection is the edge from source n. There are two roads, and JAX takes that of the platform which a
program is compiled for:

- A CPU adds a few slots at a time to the sums of all targets. XLA then gathers inside the sum, so
  that no window is written to memory; what one source sent stays in the fast cache, and the loop over
  times is straight vector code.
- An accelerator wants few, large operations: all windows are gathered, then contracted.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._core import scan

# Slots per turn of the CPU's loop, by the width of a window. XLA unrolls the loop over a window whose
# body is small, and then forgets to vectorise it; with enough slots in one body it does not. In us
# per step of 84 regions (one core with AVX-512, float32, JAX 0.10.2), where all windows gathered at
# once take 7.3, 1.8, 1.5, 1.8 and 2.3:
#     slots        2     4     6     7     12    14    21    42
#     width  4    2.55  2.13   -    1.99  1.92   -    2.30  2.03
#     width  8    2.11  1.80   -    1.80  1.89  0.86  0.96  1.12
#     width 16    1.81  1.61  0.57  0.58  0.68   -    0.75  1.03
#     width 32    0.48  0.44   -    0.50  0.52   -    0.62  0.79
#     width 64    0.44  0.40  0.39   -     -     -     -     -
SLOTS_PER_TURN = {32: 4, 16: 6, 8: 14, 0: 7}
# Numbers in the windows that an accelerator gathers at once.
AT_ONCE = 2**26
# The cotangents of weights on a CPU: the products of `CHUNKS` chunks of `CHUNK` numbers are added in one
# body before they are summed. That takes 0.53 us per step of 84 regions and 9.2 of 370; a sum of all
# products in order, which is no vector code, took 5.5.
CHUNK, CHUNKS = 32, 8


def sum_windows(
    weights: Sequence[Array],
    buffer: Array,
    starts: Array,
    offset: Any,
    width: int,
    batch: int,
    *,
    of_source: bool = False,
) -> Array:
    """Return the delayed sums `(target, width)`.

    Args:
        weights: for each tap `(slot, target)`, or `(slot, target, batch)` where runs differ. The second
            tap reads one step earlier than the first.
        buffer: what was sent, `(source, time * batch)`.
        starts: `(slot, target)`, where windows begin in the flat buffer.
        offset: what is added to all of them.
        width: numbers of a window.
        batch: runs.
        of_source: whether slot n reads source n. XLA's CPU splits a sum that gathers from a large array
            over threads, however small the sum is, and waits for them 4 us each time; one that gathers
            from the row of a source it does not.
    """
    slots, targets = starts.shape

    def few_slots(
        starts: Array, weights: Sequence[Array], sums: Array, buffer: Array, first: Any
    ) -> Array:
        flat = buffer.reshape(-1)
        for slot in range(len(starts)):
            mine = starts[slot]
            if of_source:
                flat = lax.dynamic_index_in_dim(buffer, first + slot, 0, keepdims=False)
                mine = mine - (first + slot) * buffer.shape[1]
            for tap, weight in enumerate(weights):
                windows = gather_windows(flat, mine + (offset - tap * batch), width)
                sums = sums + weighted_windows(weight[slot], windows, batch)
        return sums

    def many_slots(
        starts: Array, weights: Sequence[Array], sums: Array, buffer: Array, first: Any
    ) -> Array:
        del first
        flat = buffer.reshape(-1)
        for tap, weight in enumerate(weights):
            windows = gather_windows(flat, starts + (offset - tap * batch), width)
            windows = windows.reshape(*starts.shape, width // batch, batch)
            runs = "b" if weight.ndim == 3 else ""
            contracted = jnp.einsum(
                f"st{runs},stnb->tnb", weight, windows, precision=lax.Precision.HIGHEST
            )
            sums = sums + contracted.reshape(sums.shape)
        return sums

    def over_slots(
        add: Callable[..., Array], per_turn: int, buffer: Array, starts: Array, *weights: Array
    ) -> Array:
        # Where JAX differentiates this, it keeps no windows.
        add = jax.checkpoint(add, prevent_cse=False)
        turns, rest = divmod(slots, per_turn)

        def turn(sums: Array, n: Any) -> tuple[Array, None]:
            mine = [_slots(x, n * per_turn, per_turn) for x in (starts, *weights)]
            return add(mine[0], mine[1:], sums, buffer, n * per_turn), None

        sums = jnp.zeros((targets, width), jnp.result_type(buffer, *weights))
        if rest:
            last = [_slots(x, turns * per_turn, rest) for x in (starts, *weights)]
            first = jnp.asarray(turns * per_turn, starts.dtype)
            sums = add(last[0], last[1:], sums, buffer, first)
        if turns > 1:
            return scan(turn, sums, jnp.arange(turns, dtype=starts.dtype))[0]
        return turn(sums, jnp.zeros((), starts.dtype))[0] if turns else sums

    few = _slots_per_turn(slots, width)
    many = max(1, min(slots, AT_ONCE // max(1, targets * width)))
    return by_platform(
        partial(over_slots, few_slots, few),
        partial(over_slots, many_slots, many),
        buffer,
        starts,
        *weights,
    )


def correlate_windows(
    sums_bar: Array,
    buffer: Array,
    starts: Array,
    rows: Array | None = None,
    *,
    taps: int,
    batch: int,
    per_run: bool,
) -> list[Array]:
    """Return the cotangents of the weights of each tap: `(slot, target)`, or with the batch behind.

    Args:
        sums_bar: `(target, time * batch)`, of all steps of a run.
        buffer: what was sent, `(source, time * batch)`, with room behind as `room_for_products` says.
        starts: `(slot, target)`, where the windows of the first step begin in the flat buffer.
        rows: `(target,)`, which row of `sums_bar` each target has; None if they stand in order.
        taps: how many there are; the second reads one step earlier than the first.
        batch: runs.
        per_run: whether each run has a cotangent of its own.
    """
    slots, targets = starts.shape
    chunk, chunks = _chunks(batch)
    sums_bar = jnp.pad(sums_bar, [(0, 0), (0, -sums_bar.shape[1] % (chunk * chunks))])

    def at_targets(bars: Array) -> Array:
        return bars if rows is None else bars.at[rows].get(mode="promise_in_bounds")

    def summed(products: Array) -> Array:
        if per_run:
            return products.reshape(*products.shape[:-1], products.shape[-1] // batch, batch).sum(
                -2
            )
        ones = jnp.ones(products.shape[-1], products.dtype)
        return jnp.matmul(products, ones, precision=lax.Precision.HIGHEST)

    def few_products(sums_bar: Array, flat: Array, starts: Array) -> Array:
        def of_part(bars: Array, part: Any) -> tuple[Array, None]:
            first = part * (chunk * chunks)
            mine = lax.dynamic_slice_in_dim(sums_bar, first, chunk * chunks, 1)

            def of_slot(_: None, start: Array) -> tuple[None, Array]:
                bars = []
                for tap in range(taps):
                    products = jnp.zeros((targets, chunk), sums_bar.dtype)
                    for n in range(chunks):
                        here = first + (n * chunk - tap * batch)
                        windows = gather_windows(flat, start + here, chunk)
                        bar = at_targets(mine[:, n * chunk : (n + 1) * chunk])
                        products = products + bar * windows
                    bars.append(summed(products))
                return None, jnp.stack(bars)

            return bars + scan(of_slot, None, starts)[1].swapaxes(0, 1), None

        return _over_parts(of_part, chunk * chunks, sums_bar, flat, starts)

    def many_products(sums_bar: Array, flat: Array, starts: Array) -> Array:
        most = max(1, AT_ONCE // max(1, slots * targets * chunk * chunks))
        parts = sums_bar.shape[1] // (chunk * chunks)
        size = chunk * chunks * max(n for n in range(1, parts + 1) if n <= most and parts % n == 0)

        def of_part(bars: Array, part: Any) -> tuple[Array, None]:
            mine = at_targets(lax.dynamic_slice_in_dim(sums_bar, part * size, size, 1))
            each = [
                summed(
                    mine[None] * gather_windows(flat, starts + (part * size - tap * batch), size)
                )
                for tap in range(taps)
            ]
            return bars + jnp.stack(each), None

        return _over_parts(of_part, size, sums_bar, flat, starts)

    def _over_parts(of_part, size: int, sums_bar: Array, flat: Array, starts: Array) -> Array:
        shape = (taps, slots, targets, *([batch] if per_run else []))
        bars = jnp.zeros(shape, jnp.result_type(sums_bar, flat))
        parts = jnp.arange(sums_bar.shape[1] // size, dtype=starts.dtype)
        return scan(of_part, bars, parts)[0]

    return list(by_platform(few_products, many_products, sums_bar, buffer.reshape(-1), starts))


def room_for_products(times: int, batch: int) -> int:
    """Return how many times a buffer needs behind `times` steps of a run, for `correlate_windows`."""
    chunk, chunks = _chunks(batch)
    return -times % (chunk * chunks // batch)


def gather_windows(flat: Array, starts: Array, width: int) -> Array:
    """Return `flat[s : s + width]` for every `s` in `starts`, as contiguous copies."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(starts.ndim,), collapsed_slice_dims=(), start_index_map=(0,)
    )
    return lax.gather(
        flat, starts[..., None], numbers, slice_sizes=(width,), mode="promise_in_bounds"
    )


def by_platform(on_cpu: Callable[..., Any], elsewhere: Callable[..., Any], *args: Array) -> Any:
    """Call the function of the platform that the program is compiled for."""
    return lax.platform_dependent(*args, cpu=on_cpu, default=elsewhere)


def weighted_windows(weights: Array, windows: Array, batch: int) -> Array:
    """Return windows `(target, time * batch)` times a weight per target, or per target and run."""
    if weights.ndim == 1:
        return weights[:, None] * windows
    return (
        weights[:, None] * windows.reshape(len(windows), windows.shape[1] // batch, batch)
    ).reshape(windows.shape)


def _slots(x: Array, first: Any, count: int) -> Array:
    return lax.dynamic_slice_in_dim(x, first, count)


def _slots_per_turn(slots: int, width: int) -> int:
    """Return how many slots a turn of the CPU's loop adds, so that few are left over."""
    least = next(each for w, each in SLOTS_PER_TURN.items() if width >= w)
    if slots < 2 * least:
        return max(1, slots // 2)
    return min(range(least, least + -(-least // 2) + 1), key=lambda count: slots % count)


def _chunks(batch: int) -> tuple[int, int]:
    """Return the numbers of a chunk, whole times of all runs, and how many chunks a body has."""
    return batch * max(1, CHUNK // batch), CHUNKS
