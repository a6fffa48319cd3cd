"""Nodes near a Hopf bifurcation: its supercritical normal form, and Stuart–Landau with shear."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class HopfState(NamedTuple):
    """State of `hopf`, one value per region each: `(region,)`.

    Attributes:
        x: real part of the oscillation z. [1]
        y: imaginary part of z. [1]

    Example:
        >>> cf.nodes.HopfState(x=jnp.zeros(2), y=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    y: Array


class HopfParams(eqx.Module):
    """Parameters of `hopf`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: distance from the bifurcation. Below 0 the region is silent without noise, above 0 it
            oscillates with amplitude sqrt(a). [1/ms]
        omega: angular frequency; the default is 10 Hz. [rad/ms]

    Example:
        >>> cf.nodes.HopfParams(a=0.25).a.item()
        0.25
    """

    a: Scalar | PerTarget = parameter("a", -0.02, "1/ms")
    omega: Scalar | PerTarget = parameter("omega", 0.02 * 3.141592653589793, "rad/ms")


@node(
    state=HopfState,
    params=HopfParams,
    states={"x": "1", "y": "1"},
    inputs={"x": "1/ms", "y": "1/ms"},
    coupled=[("x", "x"), ("y", "y")],
    ranges={"x": (-5.0, 5.0), "y": (-5.0, 5.0)},
    implied=["ms"],
)
def hopf(state: HopfState, inputs, params: HopfParams) -> HopfState:
    r"""Compute the rates of change near a supercritical Hopf bifurcation, by its normal form.

    $\dot z = (a + i\omega - |z|^2)\, z + I$ with $z = x + iy$ and $I = I_x + i I_y$. By default x is
    coupled into x, and y into y.

    Args:
        state: x, y. [1]
        inputs: x, y, which are added to the rates of change. [1/ms]
        params: `HopfParams`.

    Source:
        G. Deco et al., Sci. Rep. 7 (2017) 3095.

    Example:
        >>> z = cf.nodes.HopfState(jnp.array([1.0]), jnp.array([0.0]))
        >>> no_input = cf.nodes.HopfState(0.0, 0.0)
        >>> rate = cf.nodes.hopf(z, no_input, cf.nodes.HopfParams(a=1.0, omega=0.5))
        >>> rate.x.tolist(), rate.y.tolist()
        ([0.0], [0.5])
    """
    x, y = state.x, state.y
    growth = params.a - x * x - y * y
    return HopfState(
        growth * x - params.omega * y + inputs.x,
        growth * y + params.omega * x + inputs.y,
    )


class StuartLandauState(NamedTuple):
    """State of `stuart_landau`, one value per region each: `(region,)`.

    Attributes:
        x: real part of the oscillation z. [1]
        y: imaginary part of z. [1]

    Example:
        >>> cf.nodes.StuartLandauState(x=jnp.zeros(2), y=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    y: Array


class StuartLandauParams(eqx.Module):
    """Parameters of `stuart_landau`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: rate at which a small amplitude grows. [1/ms]
        omega: angular frequency at a small amplitude; the default is 40 Hz. [rad/ms]
        b: saturation, which must be above 0; the limit cycle has the amplitude sqrt(a / b). [1/ms]
        shear: by how much the angular frequency falls at an amplitude of 1. [rad/ms]

    Example:
        >>> cf.nodes.StuartLandauParams(shear=0.1).shear.item()
        0.1...
    """

    a: Scalar | PerTarget = parameter("a", -5e-3, "1/ms")
    omega: Scalar | PerTarget = parameter("omega", 0.08 * 3.141592653589793, "rad/ms")
    b: Scalar | PerTarget = parameter("b", 1.0, "1/ms")
    shear: Scalar | PerTarget = parameter("shear", 0.0, "rad/ms")


@node(
    state=StuartLandauState,
    params=StuartLandauParams,
    states={"x": "1", "y": "1"},
    inputs={"x": "1/ms", "y": "1/ms"},
    coupled=[("x", "x"), ("y", "y")],
    ranges={"x": (-5.0, 5.0), "y": (-5.0, 5.0)},
)
def stuart_landau(
    state: StuartLandauState, inputs, params: StuartLandauParams
) -> StuartLandauState:
    r"""Compute the rates of change of a Stuart–Landau oscillator, whose frequency depends on amplitude.

    $\dot z = (a + i\omega)\, z - (b + i s)\, |z|^2 z + I$ with $z = x + iy$, $I = I_x + i I_y$ and
    the shear $s$. The limit cycle has the amplitude $\sqrt{a/b}$ and the angular frequency
    $\omega - s a/b$. With $b = 1$ and no shear this is `hopf`. By default x is coupled into x, and y
    into y.

    Args:
        state: x, y. [1]
        inputs: x, y, which are added to the rates of change. [1/ms]
        params: `StuartLandauParams`.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 2. The defaults of a
        and omega are from J. Cabral et al., Commun. Phys. 5 (2022) 184, where b = 1 without shear.

    Example:
        >>> z = cf.nodes.StuartLandauState(jnp.ones(1), jnp.zeros(1))
        >>> no_input = cf.nodes.StuartLandauState(0.0, 0.0)
        >>> params = cf.nodes.StuartLandauParams(a=1.0, omega=0.75, shear=0.25)
        >>> rate = cf.nodes.stuart_landau(z, no_input, params)
        >>> rate.x.tolist(), rate.y.tolist()
        ([0.0], [0.5])
    """
    x, y = state.x, state.y
    square = x * x + y * y
    growth, turn = params.a - params.b * square, params.omega - params.shear * square
    return StuartLandauState(growth * x - turn * y + inputs.x, growth * y + turn * x + inputs.y)
