"""A cortical surface: vertices coupled over short ways, and their regions over long ones."""

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
    """Say which region each vertex of a surface lies in: to average over regions, and to give back.

    Args:
        labels: the region of each vertex, from 0; -1 for a vertex in none, the medial wall say.
        regions: how many there are; by default one more than the largest label.

    Raises:
        ValueError: if a label is out of range, or a region has no vertex.
        TypeError: if labels are not whole numbers, or not known yet.

    Example:
        >>> where = cf.Parcellation([0, 1, 0, -1])
        >>> where.mean(jnp.array([1.0, 5.0, 2.0, 9.0])).tolist()
        [1.5, 5.0]
        >>> where.spread(jnp.array([1.5, 5.0])).tolist()
        [1.5, 5.0, 1.5, 0.0]
    """

    by_region: Layout
    by_vertex: Layout
    sizes: Array  # (region,) vertices in each
    vertices: int = eqx.field(static=True)
    regions: int = eqx.field(static=True)

    def __init__(
        self, labels: Num[ArrayLike, " vertex"] | Sequence[int], regions: int | None = None
    ):
        if not known(labels):
            raise TypeError("`labels` must be known before anything runs: they fix the program.")
        labels = np.asarray(labels)
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"`labels` must be whole numbers, not {labels.dtype}.")
        require_shape("labels", labels, (labels.size,), meaning="One a vertex.")
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
        """Average over the vertices of each region."""
        x = as_float("x", x)
        require_shape("x", x, (self.vertices,), meaning="One value a vertex.")
        return self._members(x)(x) / self.sizes.astype(x.dtype)

    def spread(self, x: Num[ArrayLike, " region"]) -> Float[Array, " vertex"]:
        """Give each vertex the value of its region, and 0 to those in none."""
        x = as_float("x", x)
        require_shape("x", x, (self.regions,), meaning="One value a region.")
        return self._members(x).transposed()(x)

    def _members(self, like: Array) -> Product:
        here, there = self.by_region, self.by_vertex
        return Product(here.ones(like), there.ones(like), here.rows, there.rows)


class RegionalCoupling(Coupling):
    """Couple the regions of a surface, for a network whose nodes are the vertices.

    The regions send, over their own weights and delays, and each vertex receives what its region
    does. The wire of such a coupling reads the regions' means; what is remembered for the delays is
    then theirs alone.

    Args:
        coupling: any rule between regions, of `conn` (region, region); its parameters are leaves
            like any other.
        where: the region of each vertex.

    Raises:
        ValueError: if the two differ in the number of regions.

    Example:
        >>> where = cf.Parcellation([0, 0, 1])  # three vertices in two regions
        >>> kernel = cf.to_sparse(jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
        >>> tracts = jnp.array([[0.0, 2.0], [0.0, 0.0]])  # region 1 drives region 0
        >>> wires = {
        ...     "local": cf.Wire("x", into="x"),
        ...     "long": cf.Wire(lambda state: where.mean(state.x), into="x"),
        ... }
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, couplings=wires, lags={"long": 3}, scheme="euler")
        >>> long = cf.RegionalCoupling(cf.AdditiveCoupling(tracts), where)
        >>> couplings = {"local": cf.DiffusiveCoupling(kernel, k=0.5), "long": long}
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), couplings)
        >>> state = net.init(cf.nodes.LinearState(jnp.array([0.0, 0.0, 4.0])), params, history=0.0)
        >>> state.history["long"].shape  # of regions
        (3, 2)
        >>> cf.simulate(net, state, params, steps=4, record="x")[1].tolist()[0]
        [0.0, 2.0, -2.0]
    """

    coupling: Coupling
    where: Parcellation

    def __check_init__(self):
        regions = self.where.regions
        require_shape("conn", self.conn, (regions, regions), meaning="The regions are `where`'s.")

    @property
    def conn(self):
        """The weights between regions."""
        return self.coupling.conn

    @property
    def k(self):
        """Their coupling strength."""
        return self.coupling.k

    @property
    def shift_invariant(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the rule between regions."""
        return self.coupling.shift_invariant

    @property
    def reads_target(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the rule between regions."""
        return self.coupling.reads_target

    def send(self, source):
        """What the regions send."""
        return self.coupling.send(source)

    def receive(self, sums, target, strength):
        """What each vertex receives of what its region does."""
        return self.where.spread(self.coupling.receive(sums, target, strength))
