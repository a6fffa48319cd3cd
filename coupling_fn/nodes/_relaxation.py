"""Nodes of a fast variable with a cubic and a slow recovery."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from ._node import node


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
        >>> cf.nodes.FitzHughNagumoParams(current=0.5).current.item()
        0.5
    """

    a: Scalar | PerTarget = parameter("a", 0.7, "1")
    b: Scalar | PerTarget = parameter("b", 0.8, "1")
    epsilon: Scalar | PerTarget = parameter("epsilon", 0.08, "1")
    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")


@node(
    state=FitzHughNagumoState,
    params=FitzHughNagumoParams,
    states={"v": "1", "w": "1"},
    inputs={"v": "1/ms", "w": "1/ms"},
    ranges={"v": (-2.5, 2.5), "w": (-1.0, 2.0)},
)
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
        R. FitzHugh, Biophys. J. 1 (1961) 445-466, with its a and b, and the signs of
        v and of the current turned as is usual today.

    Example:
        >>> rest = cf.nodes.FitzHughNagumoState(jnp.array([-1.199408]), jnp.array([-0.62426]))
        >>> rate = cf.nodes.fitzhugh_nagumo(rest, cf.nodes.FitzHughNagumoState(0.0, 0.0), cf.nodes.FitzHughNagumoParams())
        >>> bool(jnp.abs(rate.v[0]) < 1e-5)
        True
    """
    v, w = state.v, state.w
    return FitzHughNagumoState(
        (v - v**3 / 3 - w + params.current) / params.tau + inputs.v,
        params.epsilon * (v + params.a - params.b * w) / params.tau + inputs.w,
    )


class VanDerPolState(NamedTuple):
    """State of `van_der_pol`: x and its velocity y, each `(region,)`."""

    x: Array
    y: Array


class VanDerPolParams(eqx.Module):
    """Parameters of `van_der_pol`; each a scalar or one a region.

    Attributes:
        mu: nonlinear damping; a large one makes a relaxation oscillator. [1]
        tau: time constant: for a small mu the period is 2 pi tau. [ms]

    Example:
        >>> cf.nodes.VanDerPolParams(mu=5.0).mu.item()
        5.0
    """

    mu: Scalar | PerTarget = parameter("mu", 1.0, "1")
    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")


@node(
    state=VanDerPolState,
    params=VanDerPolParams,
    states={"x": "1", "y": "1"},
    inputs={"y": "1/ms"},
    coupled=[("x", "y")],
    ranges={"x": (-2.5, 2.5), "y": (-4.0, 4.0)},
)
def van_der_pol(state: VanDerPolState, inputs, params: VanDerPolParams) -> VanDerPolState:
    r"""Keep up an oscillation of amplitude 2.

    $\tau\dot x = y$, $\tau\dot y = \mu\,(1 - x^2)\, y - x + \tau I_y$. Input is a force: it enters
    where the source's forcing does, in the velocity.

    Args:
        state: x, y. [1]
        inputs: y, added to its rate. [1/ms]
        params: `VanDerPolParams`.

    Source:
        B. van der Pol, Philos. Mag. 2 (1926) 978-992.

    Example:
        >>> state, none = cf.nodes.VanDerPolState(2 * jnp.ones(1), jnp.ones(1)), cf.nodes.VanDerPolState(0.0, 0.0)
        >>> rate = cf.nodes.van_der_pol(state, none, cf.nodes.VanDerPolParams())
        >>> rate.x.tolist(), rate.y.tolist()
        ([1.0], [-5.0])
    """
    x, y = state.x, state.y
    return VanDerPolState(y / params.tau, (params.mu * (1 - x * x) * y - x) / params.tau + inputs.y)


class Generic2dOscillatorState(NamedTuple):
    """State of `generic_2d_oscillator`: V and W, each `(region,)`."""

    V: Array
    W: Array


class Generic2dOscillatorParams(eqx.Module):
    """Parameters of `generic_2d_oscillator`; each a scalar or one a region.

    Attributes:
        tau: ratio of the time scales of V and W. [1]
        current: constant drive of V. [1]
        a: offset of W's nullcline. [1]
        b: its slope. [1]
        c: its curvature. [1]
        d: rate of both variables. [1/ms]
        e: coefficient of the square in V's nullcline. [1]
        f: coefficient of its cube. [1]
        g: coefficient of its linear term. [1]
        alpha: weight from W onto V. [1]
        beta: leak of W. [1]
        gamma: gain of the drives of V. [1]

    Example:
        >>> cf.nodes.Generic2dOscillatorParams(a=2.0).a.item()  # oscillates
        2.0
    """

    tau: Scalar | PerTarget = parameter("tau", 1.0, "1")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")
    a: Scalar | PerTarget = parameter("a", -2.0, "1")
    b: Scalar | PerTarget = parameter("b", -10.0, "1")
    c: Scalar | PerTarget = parameter("c", 0.0, "1")
    d: Scalar | PerTarget = parameter("d", 0.02, "1/ms")
    e: Scalar | PerTarget = parameter("e", 3.0, "1")
    f: Scalar | PerTarget = parameter("f", 1.0, "1")
    g: Scalar | PerTarget = parameter("g", 0.0, "1")
    alpha: Scalar | PerTarget = parameter("alpha", 1.0, "1")
    beta: Scalar | PerTarget = parameter("beta", 1.0, "1")
    gamma: Scalar | PerTarget = parameter("gamma", 1.0, "1")


@node(
    state=Generic2dOscillatorState,
    params=Generic2dOscillatorParams,
    states={"V": "1", "W": "1"},
    inputs={"V": "1"},
    coupled=[("V", "V")],
    ranges={"V": (-2.0, 4.0), "W": (-6.0, 6.0)},
)
def generic_2d_oscillator(
    state: Generic2dOscillatorState, inputs, params: Generic2dOscillatorParams
) -> Generic2dOscillatorState:
    r"""Move between a cubic nullcline and one that is a parabola.

    $\dot V = d\tau\,(-f V^3 + e V^2 + g V + \alpha W + \gamma (c + I_V))$ with the current $c$, and
    $\dot W = (d/\tau)\,(a + b V + c V^2 - \beta W)$.

    The input enters beside the current, as a drive: unlike a rate it has no 1/ms.

    Args:
        state: V, W. [1]
        inputs: V: drive. [1]
        params: `Generic2dOscillatorParams`.

    Source:
        P. Sanz-Leon et al., Front. Neuroinform. 7 (2013) 10, section "Generic two-dimensional
        oscillator", with the excitable parameters that The Virtual Brain has as defaults.

    Example:
        >>> state = cf.nodes.Generic2dOscillatorState(jnp.array([1.0]), jnp.array([-2.0]))
        >>> rate = cf.nodes.generic_2d_oscillator(
        ...     state, cf.nodes.Generic2dOscillatorState(0.0, 0.0), cf.nodes.Generic2dOscillatorParams(d=0.5)
        ... )
        >>> rate.V.tolist(), rate.W.tolist()
        ([0.0], [-5.0])
    """
    p, V, W = params, state.V, state.W
    cubic = -p.f * V**3 + p.e * V**2 + p.g * V
    return Generic2dOscillatorState(
        p.d * p.tau * (cubic + p.alpha * W + p.gamma * (p.current + inputs.V)),
        p.d / p.tau * (p.a + p.b * V + p.c * V**2 - p.beta * W),
    )
