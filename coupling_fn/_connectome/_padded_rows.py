r"""Products of a sparse matrix and a vector over padded rows (ELLPACK), with their own derivatives.

Padded rows: each row of a matrix is padded to one width, so that the matrix becomes two rectangular
arrays, of weights and of source numbers, and its product with a vector a gather and a regular sum,
without a scatter:

    y[i] = sum over slots of weights[slot, i] * x[source[slot, i]]

One width for all rows would waste most places where degrees differ. So rows of similar degree share
a bucket, and each bucket has its own width. Shapes, for R rows, C columns and E edges (an edge is a
stored entry of the matrix):

    bucket b         (w_b, R_b)   slot by row: what one slot adds to consecutive rows is contiguous
    source, edges    (P,)         the flattened buckets, one after the other; P = sum of w_b R_b.
                                  An index into this axis is called a place
    weights          (E,)         ordered by target, then by source; `Layout.filled` puts them at (P,)
    x, y             (C,), (R,)   or (C, B), (R, B): a batch of runs is the last axis

A row with fewer edges than its bucket is wide has padding: places that repeat its last edge with weight
0. So padding reads only what its row reads anyway, and a NaN in x reaches no other row.

The transposed matrix is laid out in the same way, so the adjoint of a product is again a product:

    y     = W x           `forward`: the weights at the places of `rows`
    x_bar = W^T y_bar     `backward`: the same weights at the places of `columns`
    weights_bar[place] = y_bar[row of the place] * x[source of the place]

The product is a primitive of JAX, bilinear in the weights and the vector. A `custom_vjp` would refuse
forward mode, a `custom_jvp` would leave the transposition to JAX, which scatters, and `linear_call`
has no rule for `vmap` (JAX 0.10.2).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import Mesh

from .._core import on_each, scan, vary, varying_axes

# Nanoseconds per stored weight, in a loop of products, float32, degree 20, two busy CPU cores,
# JAX 0.10.2 (scipy's CSR 0.9, 0.9, 1.4; BCOO 2.4, 2.3, 2.7):  1e3 1e4 1e5 rows
#     ones @ (weights * x[source]), (slot, row)            0.8 0.9 0.8   chosen
#     the same, (row, slot)                                1.0 1.2 1.9
#     (weights * x[source]).sum(), either way              1.1 1.6 1.4 to 2.4
#     a scan over the slots                                1.1 1.2 2.3   chosen for a batch
#     dot_general over rows                                1.2 1.7 3.0
#     segment_sum, sorted                                  2.4 2.8 3.9
# With 1e6 rows it takes 1.3 to 1.9, where scipy takes 2.2 and BCOO 3.1 to 4.4; on a machine that others
# use, 4.0 to scipy's 2.2. Tried there and slower: parts of 1e3 to 16e3 rows in a loop, so that products
# stay in the cache, 5.0 to 5.7; unrolled slots, 6.7; a scan over them, 5.1 to 6; sums without `ones`,
# 10.7; sources in 8 blocks that fit the cache, each a matrix of its own, 7.8. Faster, but a matrix per
# block: sources in 4 blocks, 3.4. On the first machine, all slots of 16 to 256 rows one after the other,
# summed over the slots, are as fast as what is chosen, and written out slot by slot half as fast.
# With a batch of 64 runs, per run: a scan over slots 0.3 to 0.7, products of rows 0.7 to 1.5, the whole
# at once 1.1 to 4, BCOO under vmap 1.4 to 4.


class PaddedRows(eqx.Module):
    """Which numbers of a vector each row adds up, bucket by bucket.

    On a mesh, each device holds a part of the rows, and all parts have the same buckets: smaller
    buckets are filled up with rows that are not used. The parts lie one after the other, and
    `bucketed` and `position` number the rows within a part.
    """

    source: Array  # (place,) the number of the vector that each place reads
    bucketed: Array | None  # (position,) the rows, bucket by bucket; None if they are so already
    position: Array | None  # (row,) where each row stands in that order; None likewise
    buckets: tuple[tuple[int, int], ...] = eqx.field(static=True)  # (rows, width) of each
    mesh: Mesh | None = eqx.field(default=None, static=True)

    @property
    def count(self) -> int:
        """How many rows there are."""
        if self.position is None:
            return sum(rows for rows, _ in self.buckets)
        return self.position.shape[0]

    def on_each(self, fn: Callable[..., Any], own: tuple, shared: tuple = ()) -> Any:
        """Call `fn(rows, *own, *shared)` on each device, with its part of the rows and of `own`."""
        alone = PaddedRows(self.source, self.bucketed, self.position, self.buckets)
        return on_each(self.mesh, fn, (alone, *own), shared)

    def split(self, places: Array) -> list[Array]:
        """Cut values at the places, `(place,)`, into one `(slot, row)` array per bucket."""
        ends = np.cumsum([rows * width for rows, width in self.buckets]).tolist()
        return [
            places[end - rows * width : end].reshape(width, rows, *places.shape[1:])
            for end, (rows, width) in zip(ends, self.buckets, strict=True)
        ]

    def split_rows(self, values: Array) -> list[Array]:
        """Sort one value per row, `(row,)`, into one array per bucket."""
        values = values if self.bucketed is None else take(values, self.bucketed)
        ends = np.cumsum([rows for rows, _ in self.buckets]).tolist()
        each = zip(ends, self.buckets, strict=True)
        return [values[end - rows : end] for end, (rows, _) in each]

    def join(self, sums: Sequence[Array]) -> Array:
        """Return one value per row, `(row,)`, from one array per bucket: undo `split_rows`."""
        whole = sums[0] if len(sums) == 1 else jnp.concatenate(sums)
        return whole if self.position is None else take(whole, self.position)

    def spread(self, values: Array) -> Array:
        """Repeat the value of each row at all of its places: `(row,)` to `(place,)`."""
        each = zip(self.split_rows(values), self.buckets, strict=True)
        tiles = [jnp.broadcast_to(part, (width, *part.shape)) for part, (_, width) in each]
        return jnp.concatenate([tile.reshape(-1, *values.shape[1:]) for tile in tiles])


def one_place_per_row(source: Array) -> PaddedRows:
    """Make rows of a single place each: row n reads number `source[n]`."""
    return PaddedRows(source, None, None, ((len(source), 1),))


class Layout(eqx.Module):
    """Where the edges of a matrix stand among the places of its padded rows."""

    rows: PaddedRows
    edges: Array  # (place,) the edge at each place; padding has the last edge of its row
    is_edge: Array  # (place,) False at padding
    place: Array  # (edge,) the place of each edge

    def ones(self, like: Array) -> Array:
        """Return 1 at the place of each edge and 0 at padding, in the dtype of `like`."""
        return self.is_edge.astype(like.dtype)

    def filled(self, values: Array) -> Array:
        """Put one value per edge at its place, with 0 at padding: `(edge,)` to `(place,)`."""
        ones = self.ones(values), jnp.ones(len(self.place), values.dtype)
        # As a product with a matrix (place, edge) of zeros and ones, its gradient is a gather, too.
        return Product(*ones, one_place_per_row(self.edges), one_place_per_row(self.place))(values)

    def summed(self, values: Array, row: Array) -> Array:
        """Sum one value per edge over each row: `(edge,)` to `(row,)`; `row` is that of each edge."""
        return self._incidence(values, row)(values)

    def at_edges(self, values: Array, row: Array) -> Array:
        """Return for each edge the value of its row: `(row,)` to `(edge,)`; `row` as in `summed`."""
        return self._incidence(values, row).transposed()(values)

    def _incidence(self, like: Array, row: Array) -> "Product":
        """The matrix (row, edge) with 1 where the edge belongs to the row."""
        rows = dataclasses.replace(self.rows, source=self.edges)
        ones = self.ones(like), jnp.ones(len(self.place), like.dtype)
        return Product(*ones, rows, one_place_per_row(row))


class Product(eqx.Module):
    """A sparse matrix together with its transpose, ready to be multiplied by a vector."""

    forward: Array  # (place,) the weights at the places of `rows`
    backward: Array  # (place,) the same weights at the places of `columns`
    rows: PaddedRows
    columns: PaddedRows

    def __call__(self, x: Array) -> Array:
        leaves, structure = jax.tree.flatten((self.rows, self.columns))
        return _bind(self.forward, self.backward, x, *leaves, structure=structure)

    def transposed(self) -> "Product":
        """Return the transposed matrix."""
        return Product(self.backward, self.forward, self.columns, self.rows)


def take(x: Array, index: Array) -> Array:
    """Return `x[index]` along the first axis, where every index is known to lie within it."""
    return x.at[index].get(mode="promise_in_bounds")


# --- the kernels ----------------------------------------------------------------------------------


def _kernel(forward, backward, x, *leaves, structure):
    rows, _ = jax.tree.unflatten(structure, leaves)
    return rows.on_each(_row_sums, (forward,), (x,))


def _row_sums(rows: PaddedRows, weights: Array, x: Array) -> Array:
    x = _in_memory(x)
    each = zip(rows.split(weights), rows.split(rows.source), strict=True)
    return rows.join([_sums(weights, source, x) for weights, source in each])


def _sums(weights: Array, source: Array, x: Array) -> Array:
    """Sum the slots of a bucket, `(slot, row)` to `(row,)`; weights or `x` may end in a batch axis."""
    width, rows = source.shape

    def products(weights, source):
        weights, seen = _alike(weights, take(x, source))
        return weights * seen

    def add(total, slot):
        return total + products(*slot), None

    if width == 1:
        return products(weights[0], source[0])
    if weights.ndim == x.ndim + 1 == 2:
        ones = jnp.ones(width, x.dtype)
        return jnp.matmul(ones, products(weights, source), precision=lax.Precision.HIGHEST)
    if width > rows:
        return products(weights, source).sum(0)
    zeros = jnp.zeros((rows, *(weights.shape[2:] or x.shape[1:])), x.dtype)
    return scan(add, zeros, (weights, source), unroll=4)[0]


def _in_memory(x: Array) -> Array:
    """Return `x`, which XLA on the CPU then computes before it reads from it.

    It would compute a number at each place that reads it: the messages of a network once per edge, where
    a step without delays makes them. XLA joins a product of matrices with nothing, so as the sum of its
    halves each number is computed once, and is the same. A step of 370 Kuramoto regions with 31,000
    edges takes 0.2 of the time, its gradient 0.27 (JAX 0.10.2). `lax.optimization_barrier` is gone
    before XLA joins operations, and changes nothing; numbers written into a longer array sometimes help.
    """
    # Whole numbers have no halves, and are no messages.
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x

    def once(x):
        halves = jnp.full(2, 0.5, x.dtype)
        return jnp.tensordot(halves, jnp.stack([x, x]), 1, precision=lax.Precision.HIGHEST)

    return lax.platform_dependent(x, cpu=once, default=lambda x: x)


def _alike(a: Array, b: Array) -> tuple[Array, Array]:
    """Append a batch axis to one of two arrays if only the other has it."""
    ndim = max(a.ndim, b.ndim)
    a, b = (x if x.ndim == ndim else x[..., None] for x in (a, b))
    return a, b


def _weights_bar(rows: PaddedRows, bar: Array, x: Array, ndim: int) -> Array:
    """Return the cotangent of the weights at their places: that of each row's sum times what it read."""

    def of_rows(rows, bar, x):
        x = _in_memory(x)
        bar, seen = _alike(rows.spread(_in_memory(bar)), take(x, rows.source))
        product = bar * seen
        return product.sum(1) if product.ndim > ndim else product

    return rows.on_each(of_rows, (bar,), (x,))


# --- the primitive --------------------------------------------------------------------------------

_product = Primitive("sparse_product")


def _bind(*args, structure):
    """Bind the primitive, with all arguments varying over the same axes of a `shard_map`."""
    return _product.bind(*vary(args, varying_axes(args)), structure=structure)


_product.def_impl(jax.jit(_kernel, static_argnames="structure"))
mlir.register_lowering(_product, mlir.lower_fun(_kernel, multiple_results=False))


@_product.def_abstract_eval
def _(forward, backward, x, *leaves, structure):
    rows, _ = jax.tree.unflatten(structure, leaves)
    like = forward if forward.ndim > x.ndim else x  # of the result's axes, and varying as it does
    return like.update(shape=(rows.count, *like.shape[1:]), dtype=x.dtype, weak_type=False)


def _jvp(primals, tangents, *, structure):
    forward, backward, x, *leaves = primals
    forward_dot, backward_dot, x_dot = tangents[:3]
    terms = []
    if not isinstance(x_dot, ad.Zero):
        terms.append((forward, backward, x_dot))
    # `backward` holds the same weights as `forward`, so what follows from it is counted already.
    if not isinstance(forward_dot, ad.Zero):
        terms.append((forward_dot, ad.instantiate_zeros(backward_dot), x))
    out = _bind(*primals, structure=structure)
    dots = [_bind(*term, *leaves, structure=structure) for term in terms]
    return out, sum(dots[1:], dots[0]) if dots else jnp.zeros_like(out)


def _transpose(bar, forward, backward, x, *leaves, structure):
    nothing = [None] * len(leaves)
    if isinstance(bar, ad.Zero):
        return [None, None, None, *nothing]
    rows, columns = jax.tree.unflatten(structure, leaves)
    if ad.is_undefined_primal(x):
        x_bar = Product(backward, forward, columns, rows)(bar)
        return [None, None, x_bar.sum(1) if x_bar.ndim > x.aval.ndim else x_bar, *nothing]
    return [_weights_bar(rows, bar, x, forward.aval.ndim), None, None, *nothing]


def _batch(args, dims, *, structure):
    """Make the batch the last axis, merged with that of an inner `vmap`.

    An index then moves a contiguous row of numbers, one per run.
    """
    if any(dim is not None for dim in dims[3:]):
        return _one_by_one(args, dims, structure), 0
    size = next(x.shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None)
    floats = [
        (x, False) if dim is None else (jnp.moveaxis(x, dim, -1), True)
        for x, dim in zip(args[:3], dims[:3], strict=True)
    ]
    before = next((x.shape[1] for x, new in floats if x.ndim - new == 2), None)

    def merged(x, new):
        old = x.ndim - new == 2
        if before is None or not (old or new):
            return x
        x = x if old else x[:, None]
        x = x if new else x[..., None]
        return jnp.broadcast_to(x, (len(x), before, size)).reshape(len(x), before * size)

    out = _bind(*(merged(*each) for each in floats), *args[3:], structure=structure)
    if before is not None:
        return out.reshape(len(out), before, size), 2
    return out, out.ndim - 1 or None


def _one_by_one(args, dims, structure):
    """Loop over the runs of a batch, where even the structure differs between them."""
    moving = [jnp.moveaxis(x, dim, 0) for x, dim in zip(args, dims, strict=True) if dim is not None]

    def one(moving):
        rest = iter(moving)
        whole = [x if dim is None else next(rest) for x, dim in zip(args, dims, strict=True)]
        return _bind(*whole, structure=structure)

    return lax.map(one, moving)


ad.primitive_jvps[_product] = _jvp
ad.primitive_transposes[_product] = _transpose
batching.primitive_batchers[_product] = _batch
