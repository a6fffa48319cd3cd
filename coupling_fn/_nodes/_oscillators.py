"""Phenomenological nodes: linear, Hopf (Stuart–Landau), Kuramoto, FitzHugh–Nagumo."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._types import PerTarget, Scalar, parameter
from ._node import node


class LinearState(NamedTuple):
    """State of `linear`: x, each `(region,)`."""

    x: Array


class LinearParams(eqx.Module):
    """Parameters of `linear`.

    Attributes:
        a: rate of change of x, negative for a leak; a scalar or one a region. [1/ms]

    Example:
        >>> cf.LinearParams(a=-0.1).a.item()
        -0.1...
    """

    a: Scalar | PerTarget = parameter("a", -1.0)


@node(states=["x"], inputs=["x"])
def linear(state: LinearState, inputs, params: LinearParams) -> LinearState:
    r"""Decay: $\dot x = a x + I_x$; with noise, the Ornstein–Uhlenbeck process.

    Args:
        state: x. [1]
        inputs: x, added to the rate. [1/ms]
        params: `LinearParams`.

    Example:
        >>> x, none = cf.LinearState(jnp.array([2.0])), cf.LinearState(jnp.array([0.0]))
        >>> cf.linear(x, none, cf.LinearParams(a=-0.5)).x.tolist()
        [-1.0]
    """
    return LinearState(params.a * state.x + inputs.x)


class HopfState(NamedTuple):
    """State of `hopf`: x and y, each `(region,)`."""

    x: Array
    y: Array


class HopfParams(eqx.Module):
    """Parameters of `hopf`; each a scalar or one a region.

    Attributes:
        a: distance from the bifurcation: below 0 the region is silent without noise, above 0 it
            oscillates with amplitude sqrt(a). [1/ms]
        omega: angular frequency; the default is 10 Hz. [rad/ms]

    Example:
        >>> cf.HopfParams(a=0.25).a.item()
        0.25
    """

    a: Scalar | PerTarget = parameter("a", -0.02)
    omega: Scalar | PerTarget = parameter("omega", 0.02 * 3.141592653589793)


@node(states=["x", "y"], inputs=["x", "y"], coupled=[("x", "x"), ("y", "y")])
def hopf(state: HopfState, inputs, params: HopfParams) -> HopfState:
    r"""Oscillate near a supercritical Hopf bifurcation (Stuart–Landau).

    $\dot z = (a + i\omega - |z|^2)\, z + I$ with $z = x + iy$. A coupling drives both x and y.

    Args:
        state: x, y. [1]
        inputs: x, y, added to the rates. [1/ms]
        params: `HopfParams`.

    Source:
        G. Deco et al., Sci. Rep. 7 (2017) 3095, eqs. 1-3.

    Example:
        >>> z, none = cf.HopfState(jnp.array([1.0]), jnp.array([0.0])), cf.HopfState(0.0, 0.0)
        >>> rate = cf.hopf(z, none, cf.HopfParams(a=1.0, omega=0.5))
        >>> rate.x.tolist(), rate.y.tolist()
        ([0.0], [0.5])
    """
    x, y = state.x, state.y
    growth = params.a - x * x - y * y
    return HopfState(
        growth * x - params.omega * y + inputs.x,
        growth * y + params.omega * x + inputs.y,
    )


class KuramotoState(NamedTuple):
    """State of `kuramoto`: the phase theta, `(region,)`."""

    theta: Array


class KuramotoParams(eqx.Module):
    """Parameters of `kuramoto`.

    Attributes:
        omega: angular frequency, a scalar or one a region; the default is 40 Hz. [rad/ms]

    Example:
        >>> cf.KuramotoParams(omega=jnp.array([0.1, 0.2])).omega.shape
        (2,)
    """

    omega: Scalar | PerTarget = parameter("omega", 0.08 * 3.141592653589793)


@node(states=["theta"], inputs=["theta"])
def kuramoto(state: KuramotoState, inputs, params: KuramotoParams) -> KuramotoState:
    r"""Turn at the own frequency: $\dot\theta = \omega + I_\theta$; couple with `KuramotoCoupling`.

    Args:
        state: theta. [rad]
        inputs: theta, added to the frequency. [rad/ms]
        params: `KuramotoParams`.

    Source:
        Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence (1984), ch. 5.

    Example:
        >>> theta, none = cf.KuramotoState(jnp.zeros(2)), cf.KuramotoState(jnp.zeros(2))
        >>> cf.kuramoto(theta, none, cf.KuramotoParams(omega=0.25)).theta.tolist()
        [0.25, 0.25]
    """
    return KuramotoState(params.omega + inputs.theta + 0 * state.theta)


class FitzHughNagumoState(NamedTuple):
    """State of `fitzhugh_nagumo`: v and w, each `(region,)`."""

    v: Array
    w: Array


class FitzHughNagumoParams(eqx.Module):
    """Parameters of `fitzhugh_nagumo`; each a scalar or one a region.

    Attributes:
        a: offset of the recovery. [1]
        b: leak of the recovery. [1]
        epsilon: rate of the recovery over that of v. [1]
        tau: time constant of v. [ms]
        current: constant drive of v; oscillates between about 0.33 and 1.42. [1]

    Example:
        >>> cf.FitzHughNagumoParams(current=0.5).current.item()
        0.5
    """

    a: Scalar | PerTarget = parameter("a", 0.7)
    b: Scalar | PerTarget = parameter("b", 0.8)
    epsilon: Scalar | PerTarget = parameter("epsilon", 0.08)
    tau: Scalar | PerTarget = parameter("tau", 1.0)
    current: Scalar | PerTarget = parameter("current", 0.0)


@node(states=["v", "w"], inputs=["v", "w"])
def fitzhugh_nagumo(
    state: FitzHughNagumoState, inputs, params: FitzHughNagumoParams
) -> FitzHughNagumoState:
    r"""Spike and recover.

    $\tau\dot v = v - v^3/3 - w + c + \tau I_v$, $\tau\dot w = \epsilon\,(v + a - b w) + \tau I_w$.

    Args:
        state: v, w. [1]
        inputs: v, w, added to the rates. [1/ms]
        params: `FitzHughNagumoParams`.

    Source:
        R. FitzHugh, Biophys. J. 1 (1961) 445-466, eqs. 1-2, with its a and b, and the signs of
        v and of the current turned as is usual today.

    Example:
        >>> rest = cf.FitzHughNagumoState(jnp.array([-1.199408]), jnp.array([-0.62426]))
        >>> rate = cf.fitzhugh_nagumo(rest, cf.FitzHughNagumoState(0.0, 0.0), cf.FitzHughNagumoParams())
        >>> bool(jnp.abs(rate.v[0]) < 1e-5)
        True
    """
    v, w = state.v, state.w
    return FitzHughNagumoState(
        (v - v**3 / 3 - w + params.current) / params.tau + inputs.v,
        params.epsilon * (v + params.a - params.b * w) / params.tau + inputs.w,
    )
