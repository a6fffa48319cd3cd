"""The right-hand side of a network, for solvers of differential equations."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._check import require_shape
from ._network import Network, Params, _container, read
from ._types import PyTree


class VectorField(eqx.Module):
    """`field(t, y, args)`: the rate of change of a network without delays, a callable pytree."""

    net: Network
    params: Params

    def __call__(self, t: Any, y: PyTree, args: Any = None) -> PyTree:
        """The derivative of the node's state `y` at time `t` [ms]; `args` is not read."""
        del args
        net, params, first = self.net, self.params, jax.tree.leaves(y)[0]
        t = jnp.asarray(t, first.dtype)
        driven = {
            name: value(t) if callable(value) else value
            for name, value in (params.external or {}).items()
        }
        for link in net.links(params):
            received = link.receive(None, read(y, link.source), read(y, link.target), None)
            require_shape(f"the input from coupling {link.name}", received, first.shape)
            driven[link.into] = driven.get(link.into, 0.0) + received
        return net._derivative(y, _container(y, net.node.inputs, driven, first), params)


def vector_field(net: Network, params: Params) -> VectorField:
    """Give a network to a solver with steps of its own: diffrax takes the result as a term.

    Args:
        net: a network without delays; its `dt` and `scheme` are not read.
        params: its parameters, without noise.

    Returns:
        A function `(t [ms], y, args) -> dy/dt [state/ms]` of the node's state, a pytree whose
        leaves are those of `net` and `params`: gradients pass through it.

    Raises:
        ValueError: if the network has delays or the parameters have noise.

    Example:
        >>> net = cf.Network(cf.linear, dt=0.1)
        >>> params = cf.Params(cf.LinearParams(a=-1.0), cf.AdditiveCoupling(jnp.eye(2), k=0.5))
        >>> field = cf.vector_field(net, params)
        >>> field(0.0, cf.LinearState(jnp.asarray([2.0, 4.0])), None).x.tolist()
        [-1.0, -2.0]
    """
    if any(largest for _, (_, largest) in net.bounds):
        raise ValueError(
            "The network has delays: its rate of change depends on the past, which a solver of "
            "ordinary differential equations does not keep. Use simulate."
        )
    if params.noise is not None:
        raise ValueError(
            "`params.noise` is no part of a rate of change. Leave it out, and give the solver its "
            "own term for noise."
        )
    return VectorField(net, params)
