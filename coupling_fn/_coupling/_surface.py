"""A cortical surface: vertices are coupled over short distances, and their regions over tracts."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._connectome import Layout, Product, make_layout
from .._core import as_count, as_float, constant, known, require_shape
from ._rule import Coupling


class Parcellation(eqx.Module):
    """Hold which region each vertex of a surface lies in, to average over regions and to spread back.

    Args:
        labels: region of each vertex, counted from 0; -1 for a vertex in no region, such as one of
            the medial wall. [1]
        regions: number of regions; by default one more than the largest label.

    Raises:
        ValueError: if a label is out of range, or a region has no vertex.
        TypeError: if `labels` are not whole numbers, or are traced.

    Example:
        >>> parcellation = cf.Parcellation([0, 1, 0, -1])  # four vertices in two regions
        >>> parcellation.mean(jnp.array([1.0, 5.0, 2.0, 9.0])).tolist()  # (vertex,) -> (region,)
        [1.5, 5.0]
        >>> parcellation.spread(jnp.array([1.5, 5.0])).tolist()  # (region,) -> (vertex,)
        [1.5, 5.0, 1.5, 0.0]
    """

    by_region: Layout
    by_vertex: Layout
    sizes: Array  # (region,): the number of vertices in each
    vertices: int = eqx.field(static=True)
    regions: int = eqx.field(static=True)

    def __init__(
        self, labels: Num[ArrayLike, " vertex"] | Sequence[int], regions: int | None = None
    ):
        if not known(labels):
            raise TypeError(
                "`labels` must be known before anything runs, since they fix the program; got a traced "
                "array. Build the `cf.Parcellation` outside of `jit`."
            )
        labels = np.asarray(labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"`labels` must be whole numbers; got {labels.dtype}.")
        require_shape("labels", labels, (labels.size,), meaning="One per vertex.")
        low, high = (int(labels.min()), int(labels.max())) if labels.size else (-1, -1)
        regions = high + 1 if regions is None else as_count("regions", regions)
        if low < -1 or high >= regions:
            raise ValueError(f"`labels` must lie in -1 … {regions - 1}; they span {low} … {high}.")
        vertex = np.argsort(labels, kind="stable")[(labels < 0).sum() :]
        region = labels[vertex].astype(np.int64)
        sizes = np.bincount(region, minlength=regions)
        if not sizes.all():
            raise ValueError(f"Region {np.flatnonzero(sizes == 0)[0]} has no vertex in `labels`.")
        order = np.argsort(vertex)
        self.by_region = make_layout(region, vertex, None, regions)
        self.by_vertex = make_layout(vertex[order], region[order], order, labels.size)
        self.sizes = constant(sizes.astype(np.int32))
        self.vertices, self.regions = labels.size, regions

    def mean(self, x: Num[ArrayLike, " vertex"]) -> Float[Array, " region"]:
        """Average over the vertices of each region, in the unit of `x`."""
        x = as_float("x", x)
        require_shape("x", x, (self.vertices,), meaning="One value per vertex.")
        return self._members(x)(x) / self.sizes.astype(x.dtype)

    def spread(self, x: Num[ArrayLike, " region"]) -> Float[Array, " vertex"]:
        """Return the value of its region for each vertex, and 0 for a vertex in no region."""
        x = as_float("x", x)
        require_shape("x", x, (self.regions,), meaning="One value per region.")
        return self._members(x).transposed()(x)

    def _members(self, like: Array) -> Product:
        here, there = self.by_region, self.by_vertex
        return Product(here.ones(like), there.ones(like), here.rows, there.rows)


class RegionalCoupling(Coupling):
    r"""Couple the regions of a surface, in a network whose nodes are the vertices.

    $c_v = c_{r(v)}$: each vertex $v$ receives what `coupling` gives to its region $r(v)$, and a vertex
    in no region receives 0. The regions send, over their own weights and delays. The wire of such a
    coupling reads the means of the regions, so the history holds values per region, not per vertex.

    Args:
        coupling: any separable rule between regions, with a `conn` of shape (region, region); its
            parameters are leaves as in any coupling, and units are those of the rule.
        parcellation: the region of each vertex.

    Raises:
        ValueError: if `coupling` and `parcellation` differ in the number of regions.
        TypeError: if `coupling` is not separable.

    Example:
        >>> parcellation = cf.Parcellation([0, 0, 1])  # three vertices in two regions
        >>> kernel = cf.to_sparse(jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
        >>> tracts = jnp.array([[0.0, 2.0], [0.0, 0.0]])  # region 1 drives region 0
        >>> wires = {
        ...     "local": cf.Wire("x", into="x"),
        ...     "long": cf.Wire(lambda state: parcellation.mean(state.x), into="x"),
        ... }
        >>> lags = {"local": None, "long": 3}
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, couplings=wires, lags=lags, scheme="euler")
        >>> long = cf.RegionalCoupling(cf.AdditiveCoupling(tracts), parcellation)
        >>> couplings = {"local": cf.DiffusiveCoupling(kernel, k=0.5), "long": long}
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), couplings)
        >>> state = net.init(cf.nodes.LinearState(jnp.array([0.0, 0.0, 4.0])), params, history=0.0)
        >>> state.history["long"].shape  # (lag, region)
        (3, 2)
        >>> cf.simulate(net, state, params, steps=4, record="x")[1].tolist()[0]
        [0.0, 2.0, -2.0]
    """

    coupling: Coupling
    parcellation: Parcellation

    def __check_init__(self):
        if not isinstance(self.coupling, Coupling):
            raise TypeError(
                "`coupling` must be a separable rule, a `Coupling`, not "
                f"{type(self.coupling).__name__}."
            )
        regions = self.parcellation.regions
        meaning = "It is (region, region), for the regions of `parcellation`."
        require_shape("conn", self.conn, (regions, regions), meaning=meaning)

    @property
    def conn(self):
        """Weights between regions."""
        return self.coupling.conn

    @property
    def k(self):
        """Coupling strength of the rule between regions."""
        return self.coupling.k

    @property
    def shift_invariant(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the rule between regions is shift-invariant."""
        return self.coupling.shift_invariant

    @property
    def reads_target(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the rule between regions reads the state of the target."""
        return self.coupling.reads_target

    @property
    def elementwise(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the rule between regions is elementwise."""
        return self.coupling.elementwise

    @property
    def receivers(self) -> int:
        """Number of vertices."""
        return self.parcellation.vertices

    def send(self, source):
        """Return the messages of the regions, by their rule."""
        return self.coupling.send(source)

    def receive(self, sums, target, in_strength):
        """Return the input of each vertex, which is that of its region."""
        return self.parcellation.spread(self.coupling.receive(sums, target, in_strength))
