r"""The product of a sparse matrix and a vector, with rules of its own for all of JAX's transformations.

A matrix is held as rows of equal length: rows with about as many entries share a bucket, in which
they are filled up to one width, and which lies `(slot, row)` in memory. What sums over such rows are
gathers and reductions of regular arrays, without a scatter. Of the transposed matrix there is the
same, so a gradient is such a sum too.

The product is a primitive of JAX, bilinear in the entries and the vector. `custom_vjp` would refuse
forward mode, `custom_jvp` would leave the transposition to JAX, which scatters, and `linear_call`
has no rule for `vmap` (JAX 0.10.2).
"""

import dataclasses
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import Mesh

from .._core import constant, on_each

# Nanoseconds for each stored weight, in a loop of products, float32, degree 20, two busy CPU cores,
# JAX 0.10.2 (scipy's CSR 0.9, 0.9, 1.4; BCOO 2.4, 2.3, 2.7):  1e3 1e4 1e5 rows
#     ones @ (weights * x[source]), (slot, row)            0.8 0.9 0.8   taken
#     the same, (row, slot)                                1.0 1.2 1.9
#     (weights * x[source]).sum(), either way              1.1 1.6 1.4 to 2.4
#     a scan over the slots                                1.1 1.2 2.3   taken where there is a batch
#     dot_general over rows                                1.2 1.7 3.0
#     segment_sum, sorted                                  2.4 2.8 3.9
# Of 1e6 rows 1.3 to 1.9, where scipy has 2.2 and BCOO 3.1 to 4.4; on a machine that others use, 4.0 to
# scipy's 2.2. What was tried on that: parts of 1e3 to 16e3 rows in a loop, so that products stay in the
# cache, 5.0 to 5.7; slots unrolled, 6.7; a scan over them, 5.1 to 6; sums without `ones`, 10.7; sources
# in 4 blocks that fit the cache, each a matrix of its own, 3.4; in 8 blocks, 7.8. On the first, all
# slots of 16 to 256 rows one behind the other, summed over the slots, are as quick as what is taken,
# and written out slot by slot half as quick.
# With 64 runs behind, for each: scan over slots 0.3 to 0.7, products of rows 0.7 to 1.5, the whole at
# once 1.1 to 4, BCOO under vmap 1.4 to 4.
# What another bucket costs, in places that are filled up: an operation or two of XLA's, and a share of
# all places for what it takes to compile (delayed, 20 buckets 14 s).
BUCKET, SHARE = 2048, 1 / 64


class Rows(eqx.Module):
    """Which numbers of a vector each row adds up, bucket by bucket.

    A place beyond the last entry of a row repeats that entry, and has weight 0: so a NaN stays with
    the rows that read it.

    On a mesh the parts of all devices, of the same buckets, lie one behind the other, and `row` and
    `order` number the rows of a part. A bucket is then filled up with rows that nobody asks for.
    """

    source: Array  # (place,) what each place reads
    row: Array | None  # (row,) the rows in the order of the buckets; None if that is theirs
    order: Array | None  # (row,) where each row is in that order
    buckets: tuple[tuple[int, int], ...] = eqx.field(static=True)  # of so many rows, so wide
    mesh: Mesh | None = eqx.field(default=None, static=True)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(rows for rows, _ in self.buckets) if self.order is None else self.order.shape[0]

    def on_each(self, fn: Callable[..., Array], own: tuple, shared: tuple = ()) -> Array:
        """`fn(rows, *own, *shared)` for the rows of each device, of which it has its part."""
        alone = Rows(self.source, self.row, self.order, self.buckets)
        return on_each(self.mesh, fn, (alone, *own), shared)

    def split(self, places: Array) -> list[Array]:
        """What stands at each place as `(slot, row)`, an array a bucket."""
        ends = np.cumsum([rows * width for rows, width in self.buckets]).tolist()
        return [
            places[end - rows * width : end].reshape(width, rows, *places.shape[1:])
            for end, (rows, width) in zip(ends, self.buckets, strict=True)
        ]

    def split_rows(self, values: Array) -> list[Array]:
        """A value a row as `(row,)`, an array a bucket."""
        values = values if self.row is None else take(values, self.row)
        ends = np.cumsum([rows for rows, _ in self.buckets]).tolist()
        each = zip(ends, self.buckets, strict=True)
        return [values[end - rows : end] for end, (rows, _) in each]

    def join(self, sums: Sequence[Array]) -> Array:
        """One value a row, from the rows of each bucket."""
        whole = sums[0] if len(sums) == 1 else jnp.concatenate(sums)
        return whole if self.order is None else take(whole, self.order)

    def spread(self, values: Array) -> Array:
        """The value of its row at each place."""
        each = zip(self.split_rows(values), self.buckets, strict=True)
        tiles = [jnp.broadcast_to(part, (width, *part.shape)) for part, (_, width) in each]
        return jnp.concatenate([tile.reshape(-1, *values.shape[1:]) for tile in tiles])


class Layout(eqx.Module):
    """Where each entry of a matrix is among the places of its rows."""

    rows: Rows
    edge: Array  # (place,) the entry there; ~entry where it is only repeated
    place: Array  # (edge,) where each entry is

    @property
    def edges(self) -> Array:
        """The entry at each place, repeated ones as well."""
        return jnp.where(self.edge < 0, ~self.edge, self.edge)

    def ones(self, like: Array) -> Array:
        """1 at each place, with 0 where an entry is only repeated."""
        return (self.edge >= 0).astype(like.dtype)

    def filled(self, values: Array) -> Array:
        """A value an entry at the places, with 0 where an entry is only repeated."""
        there = Rows(self.place, None, None, ((len(self.place), 1),))
        return Product(*self._unit(values), self._alone, there)(values)

    def summed(self, values: Array, row: Array) -> Array:
        """A value an entry, summed over the entries of each row; `row` is that of each."""
        return self._of_edges(values, row)(values)

    def at_edges(self, values: Array, row: Array) -> Array:
        """The value of its row for each entry."""
        return self._of_edges(values, row).transposed()(values)

    @property
    def _alone(self) -> Rows:
        return Rows(self.edges, None, None, ((len(self.edge), 1),))

    def _unit(self, like: Array) -> tuple[Array, Array]:
        return self.ones(like), jnp.ones(len(self.place), like.dtype)

    def _of_edges(self, like: Array, row: Array) -> "Product":
        rows = dataclasses.replace(self.rows, source=self.edges)
        return Product(*self._unit(like), rows, Rows(row, None, None, ((len(row), 1),)))


class Product(eqx.Module):
    """A sparse matrix and its transpose, ready to be multiplied by a vector."""

    forward: Array  # the entries at the places of `rows`
    backward: Array  # and at those of `columns`
    rows: Rows
    columns: Rows

    def __call__(self, x: Array) -> Array:
        leaves, structure = jax.tree.flatten((self.rows, self.columns))
        return _product.bind(self.forward, self.backward, x, *leaves, structure=structure)

    def transposed(self) -> "Product":
        """Give the transposed matrix."""
        return Product(self.backward, self.forward, self.columns, self.rows)


def take(x: Array, index: Array) -> Array:
    """`x[index]` along the first axis, where every index is known to be in it."""
    return x.at[index].get(mode="promise_in_bounds")


# --- preparing the structure, with NumPy ----------------------------------------------------------


def make_layout(
    row: np.ndarray,
    source: np.ndarray,
    edge: np.ndarray | None,
    rows: int,
    mesh: Mesh | None = None,
) -> Layout:
    """Lay out entries that are sorted by row; `edge` numbers them, by default in this order.

    On a mesh, each device has as many consecutive rows.
    """
    degree = np.bincount(row, minlength=rows)
    first = np.cumsum(degree) - degree
    widths = bucket_widths(degree)
    bucket = np.searchsorted(widths, degree).reshape(1 if mesh is None else mesh.size, -1)
    counts = np.stack([np.bincount(part, minlength=len(widths)) for part in bucket])
    most = counts.max(axis=0)
    if len(bucket) * (most @ widths) > np.iinfo(np.int32).max:
        raise ValueError(f"{len(row)} edges in rows are too many for indices of 32 bits.")
    entries, own, orders, places = [], [], [], []
    for number, (part, count) in enumerate(zip(bucket, counts, strict=True)):
        order = np.argsort(part, kind="stable")
        begins = np.cumsum(most) - most
        taken = np.zeros(most.sum(), int)
        for members, begin, width, fill in zip(
            np.split(order, np.cumsum(count)[:-1]), begins, widths, most, strict=True
        ):
            taken[begin : begin + len(members)] = members
            filled = np.full(fill, row[0] if len(row) else 0)
            filled[: len(members)] = members + number * len(part)
            slot = np.arange(width)[:, None]
            entries.append((first[filled] + np.minimum(slot, degree[filled] - 1)).ravel())
            there = (slot < degree[filled]) & (np.arange(fill) < len(members))
            own.append(there.ravel())
        orders.append(taken)
        shift = np.repeat(begins - (np.cumsum(count) - count), count)
        places.append((np.arange(len(part)) + shift)[np.argsort(order)])
    entry, there, order = (np.concatenate(x) for x in (entries, own, orders))
    number = entry if edge is None else edge[entry]
    place = np.empty(len(row), np.int32)
    place[number[there]] = np.flatnonzero(there)
    as_they_are = mesh is None and bool((order[1:] > order[:-1]).all())
    return Layout(
        Rows(
            _indices(source[entry]),
            None if as_they_are else _indices(order),
            None if as_they_are else _indices(np.concatenate(places)),
            tuple(zip(most.tolist(), widths.tolist(), strict=True)),
            mesh,
        ),
        _indices(np.where(there, number, ~number)),
        _indices(place),
    )


def bucket_widths(degree: np.ndarray) -> np.ndarray:
    """The widths for which a product costs least; rows without entries have one of 0."""
    rows = np.bincount(degree)
    there = np.flatnonzero(rows[1:]) + 1
    # At most 32 degrees an octave are told apart: the choice has to look at all pairs of them.
    _, group = np.unique(np.rint(32 * np.log2(there)), return_inverse=True)
    ends = np.flatnonzero(np.diff(group, append=group.max(initial=0) + 1))
    widest = there[ends]
    below = np.concatenate([[0], np.cumsum(rows[1:])[widest - 1]])
    another = BUCKET + SHARE * degree.sum()
    cost, begin = np.zeros(len(widest) + 1), np.zeros(len(widest) + 1, int)
    for last, width in enumerate(widest):
        each = cost[: last + 1] + another + width * (below[last + 1] - below[: last + 1])
        begin[last + 1], cost[last + 1] = each.argmin(), each.min()
    widths, last = [], len(widest)
    while last:
        widths.append(widest[last - 1])
        last = begin[last]
    return np.array([0] * bool(rows[:1].any() or not widths) + widths[::-1], int)


def _indices(x: np.ndarray) -> Array:
    return constant(x.astype(np.int32))


# --- the kernels ----------------------------------------------------------------------------------


def _kernel(forward, backward, x, *leaves, structure):
    rows, _ = jax.tree.unflatten(structure, leaves)
    return rows.on_each(_row_sums, (forward,), (x,))


def _row_sums(rows: Rows, weights: Array, x: Array) -> Array:
    each = zip(rows.split(weights), rows.split(rows.source), strict=True)
    return rows.join([_sums(weights, source, x) for weights, source in each])


def _sums(weights: Array, source: Array, x: Array) -> Array:
    """The sums of a bucket `(slot, row)`, where weights or `x` may have a batch behind."""
    width, rows = source.shape

    def products(weights, source):
        weights, seen = _alike(weights, take(x, source))
        return weights * seen

    if width == 1:
        return products(weights[0], source[0])
    if weights.ndim == x.ndim + 1 == 2:
        ones = jnp.ones(width, x.dtype)
        return jnp.matmul(ones, products(weights, source), precision=lax.Precision.HIGHEST)
    if width > rows:
        return products(weights, source).sum(0)
    zeros = jnp.zeros((rows, *(weights.shape[2:] or x.shape[1:])), x.dtype)
    add = lambda total, slot: (total + products(*slot), None)  # noqa: E731
    return lax.scan(add, zeros, (weights, source), unroll=4)[0]


def _alike(a: Array, b: Array) -> tuple[Array, Array]:
    """Both with a batch behind, if either has one."""
    ndim = max(a.ndim, b.ndim)
    a, b = (x if x.ndim == ndim else x[..., None] for x in (a, b))
    return a, b


def _entries_bar(rows: Rows, bar: Array, x: Array, ndim: int) -> Array:
    """The cotangent of the entries at their places: of each row's sum, with what it read."""

    def of_rows(rows, bar, x):
        bar, seen = _alike(rows.spread(bar), take(x, rows.source))
        product = bar * seen
        return product.sum(1) if product.ndim > ndim else product

    return rows.on_each(of_rows, (bar,), (x,))


# --- the primitive --------------------------------------------------------------------------------

_product = Primitive("sparse_product")
_product.def_impl(jax.jit(_kernel, static_argnames="structure"))
mlir.register_lowering(_product, mlir.lower_fun(_kernel, multiple_results=False))


@_product.def_abstract_eval
def _(forward, backward, x, *leaves, structure):
    rows, _ = jax.tree.unflatten(structure, leaves)
    return ShapedArray((rows.count, *(forward.shape[1:] or x.shape[1:])), x.dtype)


def _jvp(primals, tangents, *, structure):
    forward, backward, x, *leaves = primals
    forward_dot, backward_dot, x_dot = tangents[:3]
    terms = []
    if not isinstance(x_dot, ad.Zero):
        terms.append((forward, backward, x_dot))
    if not isinstance(forward_dot, ad.Zero):
        terms.append((forward_dot, ad.instantiate_zeros(backward_dot), x))
    out = _product.bind(*primals, structure=structure)
    dots = [_product.bind(*term, *leaves, structure=structure) for term in terms]
    return out, sum(dots[1:], dots[0]) if dots else jnp.zeros_like(out)


def _transpose(bar, forward, backward, x, *leaves, structure):
    nothing = [None] * len(leaves)
    if isinstance(bar, ad.Zero):
        return [None, None, None, *nothing]
    rows, columns = jax.tree.unflatten(structure, leaves)
    if ad.is_undefined_primal(x):
        x_bar = Product(backward, forward, columns, rows)(bar)
        return [None, None, x_bar.sum(1) if x_bar.ndim > x.aval.ndim else x_bar, *nothing]
    return [_entries_bar(rows, bar, x, forward.aval.ndim), None, None, *nothing]


def _batch(args, dims, *, structure):
    """Put the batch, also that of a `vmap` before, behind: an index then moves a row of numbers."""
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

    out = _product.bind(*(merged(*each) for each in floats), *args[3:], structure=structure)
    if before is not None:
        return out.reshape(len(out), before, size), 2
    return out, out.ndim - 1 or None


def _one_by_one(args, dims, structure):
    """Where even the structure differs between the runs of a batch."""
    moving = [jnp.moveaxis(x, dim, 0) for x, dim in zip(args, dims, strict=True) if dim is not None]

    def one(moving):
        rest = iter(moving)
        whole = [x if dim is None else next(rest) for x, dim in zip(args, dims, strict=True)]
        return _product.bind(*whole, structure=structure)

    return lax.map(one, moving)


ad.primitive_jvps[_product] = _jvp
ad.primitive_transposes[_product] = _transpose
batching.primitive_batchers[_product] = _batch
