"""What a network fixes, as data: the fields of `Network`."""

import equinox as eqx
from jax import Array
from jax.sharding import Mesh

from .._delays import EdgeSplit, Interpolate
from ..nodes import Node
from ..schemes import Scheme
from ._params import Clip, Hold, Wire


class NetworkFields(eqx.Module):
    """The fields of `Network`, its only subclass, which adds how they are checked and used.

    They stand apart so that the functions below `Network`, of which its step is made, can name them.

    Attributes:
        lags: whole lags of each coupling, or None where they come from `Params.lengths`. [steps]
        edge_bounds: the smallest and the largest lag that each edge of a coupling may have, or None
            where all have the same bounds. [steps]
        splits: the edges of each coupling by these, or None where they cannot be told apart.
        scheme: how a step is integrated; numbers that one of a user's own has are leaves.
        node: the dynamics of a region.
        dt: time step. [ms]
        wires: the wire of each coupling, with its name.
        lag_bounds: the smallest and largest lag of each coupling. [steps]
        block_sizes: how many steps a block has in a delayed run, the largest first.
        interpolate: how a history is read between steps; None reads at the nearest step.
        hold: which inputs are evaluated once per step in place of per stage.
        substeps: how many noise increments are drawn and summed per step.
        bounds: what states are clipped to, with the name of the state.
        clip: whether they are clipped after each step alone, or at the later stages of a scheme, too.
        angles: the states that whole turns are taken off after each step.
        mesh: the devices that share the nodes, set by `shard`.
    """

    lags: dict[str, Array | None]
    edge_bounds: dict[str, tuple[Array, Array] | None]
    splits: dict[str, EdgeSplit | None]
    scheme: Scheme
    node: Node = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    wires: tuple[tuple[str, Wire], ...] = eqx.field(static=True)
    lag_bounds: tuple[tuple[str, tuple[int, int]], ...] = eqx.field(static=True)
    block_sizes: tuple[int, ...] = eqx.field(static=True)
    interpolate: Interpolate = eqx.field(static=True)
    hold: Hold = eqx.field(static=True)
    substeps: int = eqx.field(static=True)
    bounds: tuple[tuple[str, tuple[float, float]], ...] = eqx.field(static=True)
    clip: Clip = eqx.field(static=True)
    angles: tuple[str, ...] = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)
