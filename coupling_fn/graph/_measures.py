"""Graph measures of connectomes and of functional connectivity.

Clustering and communities come from networkx (the extra `coupling_fn[graph]`), and run on the host.
"""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from .._connectome import (
    Connectome,
    Dense,
    Sparse,
    SparseConnection,
    Weights,
    edge_sums,
    in_strength,
    matrix_shape,
    source_sums,
    stored,
    to_sparse,
    weights_of,
)
from .._core import (
    as_float,
    keeps_known,
    known,
    require_choice,
    require_finite,
    require_nonnegative,
    require_square,
)
from .._lazy import BCOO
from ..surgery._weights import off_diagonal

Direction = Literal["in", "out"]


@keeps_known
def degree(conn: Weights, direction: Direction = "in") -> Int[Array, " region"]:
    """Count the connections of each region: the weights other than 0.

    Connections are counted as given, self-connections included: remove those first with
    `without_self_connections`, and weak ones with `threshold`.

    Args:
        conn: weights, or a functional connectivity after `threshold`. [any unit]
        direction: "in" counts what a region receives, its row; "out" what it sends, its column.

    Returns:
        The number of connections per region. [1]

    Raises:
        ValueError: if `conn` is not square or not finite, or `direction` is unknown.

    Source:
        M. Rubinov, O. Sporns, NeuroImage 52, 1059 (2010).

    Example:
        >>> conn = jnp.array([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
        >>> cf.graph.degree(conn).tolist(), cf.graph.degree(conn, "out").tolist()
        ([2, 0, 1], [0, 2, 1])
    """
    conn, axis = _conn(conn), _axis(direction)
    sparse = isinstance(conn, SparseConnection)
    weights = conn.weights if sparse else conn.data if isinstance(conn, BCOO) else conn
    require_finite("conn", weights)  # NaN is not 0, and would be counted.
    if sparse:
        return _of_edges(conn, (weights != 0).astype(conn.target.dtype), axis)
    return stored(conn).sum(axis=axis)


@keeps_known
def strength(conn: Weights, direction: Direction = "in") -> Float[Array, " region"]:
    r"""Sum the weights of each region's connections: over rows, $\sum_j W_{ij}$, or over columns.

    Args:
        conn: weights, or a functional connectivity. [any unit]
        direction: "in" sums what a region receives, its row; "out" what it sends, its column.

    Returns:
        The sum per region. [unit of `conn`]

    Raises:
        ValueError: if `conn` does not have two axes, or `direction` is unknown.

    Source:
        M. Rubinov, O. Sporns, NeuroImage 52, 1059 (2010).

    Example:
        >>> conn = jnp.array([[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
        >>> cf.graph.strength(conn).tolist(), cf.graph.strength(conn, "out").tolist()
        ([3.0, 0.0, 3.0], [0.0, 5.0, 1.0])
    """
    axis = _axis(direction)
    matrix_shape(conn)  # It need not be square: a surface has more vertices than regions.
    if isinstance(conn, SparseConnection):
        return _of_edges(conn, conn.weights, axis)
    conn = conn if isinstance(conn, BCOO) else as_float("conn", conn)
    return in_strength(conn if axis else conn.T)


@keeps_known
def clustering(conn: Weights) -> Float[Array, " region"]:
    r"""Measure how strongly the neighbours of each region are connected to each other.

    This is the geometric mean of the weights of a triangle, divided by the largest weight, averaged
    over all triangles that the region could be part of; in a directed network over all directions of
    their edges. Self-connections do not count.

    Args:
        conn: weights, 0 or more; if they are not symmetric, they count as directed. [any unit]

    Returns:
        The clustering coefficient per region, in [0, 1]. [1]

    Raises:
        ValueError: if `conn` is not square, or has entries that are negative, infinite or NaN.
        TypeError: if `conn` is traced: this runs on the host.
        ImportError: if networkx is missing.

    Source:
        J.-P. Onnela et al., Phys. Rev. E 71, 065103 (2005); G. Fagiolo, Phys. Rev. E 76, 026107
        (2007), for directed networks.

    Example:
        >>> triangle = jnp.ones((3, 3)) - jnp.eye(3)
        >>> cf.graph.clustering(jnp.pad(triangle, (0, 1))).tolist()  # and a region on its own
        [1.0, 1.0, 1.0, 0.0]
    """
    networkx, graph, matrix = _graph(conn)
    found = networkx.clustering(graph, weight="weight")
    return jnp.asarray([found[region] for region in range(matrix.shape[0])], matrix.dtype)


def modularity(
    conn: Weights, *, resolution: float = 1.0, seed: int = 0
) -> tuple[Float[Array, ""], Int[Array, " region"]]:
    """Divide the regions into communities (Louvain), and measure how well they divide.

    Modularity is the share of weight within communities, minus the share expected if regions of the
    same strengths were connected at random.

    Args:
        conn: weights, 0 or more; if they are not symmetric, they count as directed. [any unit]
        resolution: above 1 for more and smaller communities. [1]
        seed: of the random order in which regions are tried; another seed may find other communities.

    Returns:
        The modularity, and the community of each region, numbered in the order of their first
        regions. [1]

    Raises:
        ValueError: if `conn` is not square, has no connection, or has entries that are negative,
            infinite or NaN.
        TypeError: if `conn` is traced: this runs on the host.
        ImportError: if networkx is missing.

    Source:
        M. Newman, PNAS 103, 8577 (2006); V. Blondel et al., J. Stat. Mech. P10008 (2008).

    Example:
        >>> two = jax.scipy.linalg.block_diag(jnp.ones((3, 3)), jnp.ones((2, 2)))
        >>> value, community = cf.graph.modularity(cf.surgery.without_self_connections(two))
        >>> community.tolist(), round(float(value), 3)  # 1 - (6² + 2²) / 8²
        ([0, 0, 0, 1, 1], 0.375)
    """
    networkx, graph, matrix = _graph(conn)
    if not graph.size():
        raise ValueError("`conn` must have a connection: without one there are no communities.")
    found = networkx.community.louvain_communities(
        graph, weight="weight", resolution=resolution, seed=seed
    )
    value = networkx.community.modularity(graph, found, weight="weight", resolution=resolution)
    community = np.zeros(matrix.shape[0], int)
    for number, members in enumerate(sorted(found, key=min)):
        community[list(members)] = number
    return jnp.asarray(value, matrix.dtype), jnp.asarray(community)


def _of_edges(conn: SparseConnection, values: Array, axis: int) -> Array:
    return edge_sums(conn, values) if axis else source_sums(conn, values)


def _conn(conn: Any) -> Any:
    conn = conn if isinstance(conn, BCOO | SparseConnection) else as_float("conn", conn)
    require_square("conn", conn)
    return conn


def _axis(direction: str) -> int:
    require_choice("direction", direction, ("in", "out"))
    return 1 if direction == "in" else 0


def _graph(conn: Any) -> tuple[Any, Any, Any]:
    """Return networkx, the graph, and the checked matrix; in networkx `matrix[u, v]` is from u to v."""
    if not known(conn):
        raise TypeError(
            "`conn` must be known, not traced: networkx runs on the host, outside of `jit`."
        )
    try:
        import networkx
    except ImportError as error:
        raise ImportError(
            "Clustering and communities need networkx: pip install 'coupling_fn[graph]'",
            name="networkx",
        ) from error
    conn = _conn(conn)
    conn = to_sparse(conn) if isinstance(conn, BCOO) else conn
    hint = "Of a functional connectivity, take `abs` or only the positive part."
    if isinstance(conn, SparseConnection):
        matrix = conn.to_scipy().copy()
        matrix.eliminate_zeros()
        values, directed, build = matrix.data, (matrix != matrix.T).nnz, "from_scipy_sparse_array"
    else:
        matrix = values = np.asarray(conn)
        directed, build = not np.array_equal(matrix, matrix.T), "from_numpy_array"
    require_finite("conn", values)
    require_nonnegative("conn", values, hint)
    kind = networkx.DiGraph if directed else networkx.Graph
    return networkx, getattr(networkx, build)(matrix.T, create_using=kind), matrix


@keeps_known
def isolated_nodes(conn: Connectome | Dense | Sparse) -> Bool[Array, " region"]:
    """Mark the regions that have no connection, neither in nor out.

    Self-connections do not count: a region that is only connected to itself is isolated.

    Args:
        conn: weights, or a connectome. [any unit]

    Returns:
        True for each isolated region.

    Raises:
        ValueError: if the weights are not square or not finite.

    Example:
        >>> conn = jnp.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
        >>> cf.graph.isolated_nodes(conn).tolist()
        [False, False, True]
    """
    linked = off_diagonal(weights_of(conn))
    if isinstance(linked, SparseConnection):
        return ~_linked(linked)
    linked = linked != 0
    return ~(linked.any(axis=0) | linked.any(axis=1))


def _linked(conn: SparseConnection) -> Array:
    """Mark the regions with a weight other than 0, in or out."""
    there = (conn.weights != 0).astype(conn.dtype)
    return (edge_sums(conn, there) + source_sums(conn, there)) > 0
