"""Relaxation oscillators: FitzHugh–Nagumo, van der Pol, and the generic 2d oscillator."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class FitzHughNagumoState(NamedTuple):
    """State of `fitzhugh_nagumo`, one value per region each: `(region,)`.

    Attributes:
        v: membrane potential. [1]
        w: recovery. [1]

    Example:
        >>> cf.nodes.FitzHughNagumoState(v=jnp.zeros(2), w=jnp.zeros(2)).v.shape
        (2,)
    """

    v: Array
    w: Array


class FitzHughNagumoParams(eqx.Module):
    """Parameters of `fitzhugh_nagumo`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: offset of the recovery. [1]
        b: leak of the recovery. [1]
        epsilon: ratio of the rate of the recovery to the rate of v. [1]
        tau: time constant of v. [ms]
        current: constant drive of v; the node oscillates between about 0.33 and 1.42. [1]

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
    r"""Compute the rates of change of a FitzHugh–Nagumo neuron, which spikes and recovers.

    $\tau\dot v = v - v^3/3 - w + c + \tau I_v$, $\tau\dot w = \epsilon\,(v + a - b w) + \tau I_w$,
    with the current $c$. By default v is coupled into v.

    Args:
        state: v, w. [1]
        inputs: v, w, which are added to the rates of change. [1/ms]
        params: `FitzHughNagumoParams`.

    Source:
        R. FitzHugh, Biophys. J. 1 (1961) 445-466, with its a and b; v and the current have the
        opposite sign, as is usual today.

    Example:
        >>> rest = cf.nodes.FitzHughNagumoState(jnp.array([-1.199408]), jnp.array([-0.62426]))
        >>> no_input = cf.nodes.FitzHughNagumoState(0.0, 0.0)
        >>> rate = cf.nodes.fitzhugh_nagumo(rest, no_input, cf.nodes.FitzHughNagumoParams())
        >>> bool(jnp.abs(rate.v[0]) < 1e-5)
        True
    """
    v, w = state.v, state.w
    return FitzHughNagumoState(
        (v - v**3 / 3 - w + params.current) / params.tau + inputs.v,
        params.epsilon * (v + params.a - params.b * w) / params.tau + inputs.w,
    )


class VanDerPolState(NamedTuple):
    """State of `van_der_pol`, one value per region each: `(region,)`.

    Attributes:
        x: displacement. [1]
        y: velocity, in units of 1/tau. [1]

    Example:
        >>> cf.nodes.VanDerPolState(x=jnp.zeros(2), y=jnp.zeros(2)).x.shape
        (2,)
    """

    x: Array
    y: Array


class VanDerPolParams(eqx.Module):
    """Parameters of `van_der_pol`, each a scalar or one value per region, `(region,)`.

    Attributes:
        mu: nonlinear damping; a large value makes a relaxation oscillator. [1]
        tau: time constant; for a small mu the period is 2 pi tau. [ms]

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
    r"""Compute the rates of change of a van der Pol oscillator; its cycle has an amplitude of about 2.

    $\tau\dot x = y$, $\tau\dot y = \mu\,(1 - x^2)\, y - x + \tau I_y$. By default x is coupled into
    y: the input is a force, which enters where the paper's forcing does.

    Args:
        state: x, y. [1]
        inputs: y, which is added to its rate of change. [1/ms]
        params: `VanDerPolParams`.

    Source:
        B. van der Pol, Philos. Mag. 2 (1926) 978-992.

    Example:
        >>> state = cf.nodes.VanDerPolState(2 * jnp.ones(1), jnp.ones(1))
        >>> no_input = cf.nodes.VanDerPolState(0.0, 0.0)
        >>> rate = cf.nodes.van_der_pol(state, no_input, cf.nodes.VanDerPolParams())
        >>> rate.x.tolist(), rate.y.tolist()
        ([1.0], [-5.0])
    """
    x, y = state.x, state.y
    return VanDerPolState(y / params.tau, (params.mu * (1 - x * x) * y - x) / params.tau + inputs.y)


class Generic2dOscillatorState(NamedTuple):
    """State of `generic_2d_oscillator`, one value per region each: `(region,)`.

    Attributes:
        V: fast variable, like a membrane potential. [1]
        W: slow recovery. [1]

    Example:
        >>> cf.nodes.Generic2dOscillatorState(V=jnp.zeros(2), W=jnp.zeros(2)).V.shape
        (2,)
    """

    V: Array
    W: Array


class Generic2dOscillatorParams(eqx.Module):
    """Parameters of `generic_2d_oscillator`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: ratio of the time scales of V and W. [1]
        current: constant drive of V. [1]
        a: constant term of W's nullcline. [1]
        b: coefficient of the linear term of W's nullcline. [1]
        c: coefficient of the square in W's nullcline. [1]
        d: rate of both variables. [1/ms]
        e: coefficient of the square in V's nullcline. [1]
        f: coefficient of the cube in V's nullcline, which is subtracted. [1]
        g: coefficient of the linear term of V's nullcline. [1]
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
    r"""Compute the rates of change of an oscillator with a cubic and a parabolic nullcline.

    $\dot V = d\tau\,(-f V^3 + e V^2 + g V + \alpha W + \gamma (I + I_V))$ with the current $I$, and
    $\dot W = (d/\tau)\,(a + b V + c V^2 - \beta W)$. By default V is coupled into V.

    The input enters beside the current, as a drive: it is a number, where an input to a rate of
    change is in 1/ms.

    Args:
        state: V, W. [1]
        inputs: V, a drive. [1]
        params: `Generic2dOscillatorParams`.

    Source:
        P. Sanz-Leon et al., Front. Neuroinform. 7 (2013) 10, section "Generic two-dimensional
        oscillator". The defaults are The Virtual Brain's, which the source calls excitable: a region
        rests, and a kick in V dies out in proportion to it. At a = 2 it oscillates.

    Example:
        >>> state = cf.nodes.Generic2dOscillatorState(jnp.array([1.0]), jnp.array([-2.0]))
        >>> no_input = cf.nodes.Generic2dOscillatorState(0.0, 0.0)
        >>> params = cf.nodes.Generic2dOscillatorParams(d=0.5)
        >>> rate = cf.nodes.generic_2d_oscillator(state, no_input, params)
        >>> rate.V.tolist(), rate.W.tolist()
        ([0.0], [-5.0])
    """
    p, V, W = params, state.V, state.W
    cubic = -p.f * V**3 + p.e * V**2 + p.g * V
    return Generic2dOscillatorState(
        p.d * p.tau * (cubic + p.alpha * W + p.gamma * (p.current + inputs.V)),
        p.d / p.tau * (p.a + p.b * V + p.c * V**2 - p.beta * W),
    )
