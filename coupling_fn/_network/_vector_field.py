"""The right-hand side of a network, for solvers of differential equations."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._core import PyTree, as_arguments, in_short
from ..noise import Coloured
from ..noise._draw import named
from ..stimuli import Time
from ._chains import expanded
from ._links import links_of
from ._network import Network
from ._params import Params
from ._step import derivative, node_inputs
from ._time_varying import in_time, values_at


class VectorField(eqx.Module):
    """The rate of change of a network without delays: `field(t, y, args)`, a callable pytree.

    `vector_field` makes it, and checks what it is made of.

    Attributes:
        net: the network; its `dt` and `scheme` are not read.
        params: its parameters, without noise.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.eye(2), k=0.5))
        >>> field = cf.vector_field(net, params)
        >>> isinstance(field, cf.VectorField)
        True
    """

    net: Network
    params: Params

    def __call__(self, t: Any, y: PyTree, args: Any = None) -> PyTree:
        """Return the derivative of the node's state `y` at time `t` [ms]; `args` is not read."""
        del args
        net, params = expanded(self.net, self.params)
        links = links_of(net, params)
        t = Time.of(jnp.asarray(t, jax.tree.leaves(y)[0].dtype))
        nothing = (None,) * len(links)
        links, params = in_time(net, links, params, values_at(params, t), y)
        inputs = node_inputs(net, links, y, params.external or {}, t, nothing, nothing)
        return derivative(net, y, inputs, params)


def vector_field(net: Network, params: Params) -> VectorField:
    """Return the rate of change of a network, for a solver with steps of its own, such as diffrax.

    Args:
        net: a network without delays; its `dt` and `scheme` are not read.
        params: its parameters, without noise. External input and `time_varying` are read at time t.

    Returns:
        A function `(t [ms], y, args) -> dy/dt [state/ms]` of the node's state, a pytree whose
        leaves are those of `net` and `params`: gradients pass through it.

    Raises:
        ValueError: if the network has delays or the parameters have noise.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.eye(2), k=0.5))
        >>> field = cf.vector_field(net, params)
        >>> field(0.0, cf.nodes.LinearState(jnp.asarray([2.0, 4.0])), None).x.tolist()
        [-1.0, -2.0]
    """
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be a cf.Network, not {in_short(net)}.")
    if net.delayed:
        raise ValueError(
            "`net` has delays: its rate of change depends on the past, which a solver of ordinary "
            "differential equations does not keep. Use `simulate`."
        )
    if params.noise is not None or named(params.external, Coloured):
        raise ValueError(
            "`params` has noise, which is no part of a rate of change. Leave it out, and give the "
            "solver its own term for noise."
        )
    return VectorField(net, as_arguments(params))
