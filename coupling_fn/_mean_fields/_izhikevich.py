"""Mean fields of neurons that adapt, and of neurons with plastic synapses."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node

PI = 3.141592653589793


class IzhikevichState(NamedTuple):
    """State of `izhikevich`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential, 0 at rest and 1 at 0 mV. [1]
        w: mean adaptation current. [1]
        s: synaptic gating. [1]

    Example:
        >>> cf.nodes.IzhikevichState(*jnp.zeros((4, 2))).r.shape
        (2,)
    """

    r: Array
    V: Array
    w: Array
    s: Array


class IzhikevichParams(eqx.Module):
    """Parameters of `izhikevich`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: time constant of the potential, C / (k |v_r|) of the neuron: 250 pF / (2.5 nS/mV 65 mV).
            [ms]
        alpha: threshold of the neurons, 1 + v_t / |v_r|. [1]
        Delta: half width of the distribution of the neurons' currents, a Lorentzian. [1]
        eta: centre of that distribution. [1]
        current: constant current. [1]
        g: largest synaptic conductance. [1]
        e_r: reversal potential of the synapses; 1 stands for 0 mV. [1]
        tau_w: time constant of the adaptation. [ms]
        b: adaptation at a potential above rest, for neurons that do not fire. [1]
        w_jump: adaptation added per spike. [1]
        tau_s: time constant of the synapses. [ms]
        s_jump: gating added per spike. [1]

    Example:
        >>> cf.nodes.IzhikevichParams(w_jump=0.0).w_jump.item()
        0.0
    """

    tau: Scalar | PerTarget = parameter("tau", 250 / (2.5 * 65), "ms")
    alpha: Scalar | PerTarget = parameter("alpha", 0.6215, "1")
    Delta: Scalar | PerTarget = parameter("Delta", 0.02, "1")
    eta: Scalar | PerTarget = parameter("eta", 0.12, "1")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")
    g: Scalar | PerTarget = parameter("g", 1.2308, "1")
    e_r: Scalar | PerTarget = parameter("e_r", 1.0, "1")
    tau_w: Scalar | PerTarget = parameter("tau_w", 200.0, "ms")
    b: Scalar | PerTarget = parameter("b", -0.0062, "1")
    w_jump: Scalar | PerTarget = parameter("w_jump", 0.0189, "1")
    tau_s: Scalar | PerTarget = parameter("tau_s", 4.0, "ms")
    s_jump: Scalar | PerTarget = parameter("s_jump", 1.2308, "1")


@node(
    state=IzhikevichState,
    params=IzhikevichParams,
    states={"r": "kHz", "V": "1", "w": "1", "s": "1"},
    inputs={"s": "kHz", "V": "1"},
    coupled=[("r", "s")],
    ranges={"r": (0.0, 0.1), "V": (-0.2, 0.5), "w": (0.0, 0.15), "s": (0.0, 0.5)},
    bounds={"r": (0.0, None), "s": (0.0, None)},
)
def izhikevich(state: IzhikevichState, inputs, params: IzhikevichParams) -> IzhikevichState:
    r"""Compute the rates of change of infinitely many Izhikevich neurons, which adapt and may burst.

    $\tau\dot r = \Delta/(\pi\tau) + r\,(2V - \alpha - g s)$,
    $\tau\dot V = V^2 - \alpha V - w + \eta + c + I_V + g s\,(e_r - V) - (\pi\tau r)^2$,
    $\dot w = (bV - w)/\tau_w + w_{jump}\, r$, $\dot s = -s/\tau_s + s_{jump}\,(r + I_s)$, with the
    current c.

    The source is dimensionless: its time is that of here over tau, its rate tau r, its a is
    $\tau/\tau_w$, and its $\tau_s$ is $\tau_s/\tau$ of here. By default r is coupled into s, where the
    source's synapses receive spikes: what arrives from other regions has the synapse of this region.
    The source has one population in one place; the input I_s is ours.

    Args:
        state: r [kHz], V, w, s [1].
        inputs: s, the firing that the synapses receive [kHz], and V, a current [1].
        params: `IzhikevichParams`.

    Source:
        L. Chen and S. A. Campbell, J. Comput. Neurosci. 50 (2022) 445-469, the mean field with one
        population, with its parameters for the bursting network.

    Example:
        >>> state = cf.nodes.IzhikevichState(*jnp.array([[0.0], [0.5], [0.25], [0.0]]))
        >>> no_input = cf.nodes.IzhikevichState(0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.IzhikevichParams(tau=1.0, alpha=0.0, eta=1.0)
        >>> cf.nodes.izhikevich(state, no_input, params).V.tolist()
        [1.0]
    """
    p, (r, V, w, s) = params, state
    synapse = p.g * s
    quenched = V * (V - p.alpha) - (PI * p.tau * r) ** 2
    driven = p.eta + p.current + inputs.V + synapse * (p.e_r - V)
    return IzhikevichState(
        (p.Delta / (PI * p.tau) + r * (2 * V - p.alpha - synapse)) / p.tau,
        (quenched - w + driven) / p.tau,
        (p.b * V - w) / p.tau_w + p.w_jump * r,
        p.s_jump * (r + inputs.s) - s / p.tau_s,
    )


class TsodyksMarkramState(NamedTuple):
    """State of `tsodyks_markram`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]
        x: share of transmitter that is available at the synapses. [1]
        u: share of it that a spike releases. [1]

    Example:
        >>> cf.nodes.TsodyksMarkramState(*jnp.zeros((4, 2))).x.shape
        (2,)
    """

    r: Array
    V: Array
    x: Array
    u: Array


class TsodyksMarkramParams(eqx.Module):
    """Parameters of `tsodyks_markram`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: membrane time constant. [ms]
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        eta: centre of that distribution. [1]
        J: synaptic weight within the region, where everything available were released. [1]
        current: constant current. [1]
        tau_d: time in which transmitter recovers, depression. [ms]
        tau_f: time in which the release returns to U, facilitation. [ms]
        U: share of available transmitter that a spike releases after a rest. [1]
        facilitation: how much of (1 - u) a spike adds to the release, in units of U; 0 leaves depression
            alone, if u starts at U. [1]

    Example:
        >>> cf.nodes.TsodyksMarkramParams(U=0.5).U.item()
        0.5
    """

    tau: Scalar | PerTarget = parameter("tau", 15.0, "ms")
    Delta: Scalar | PerTarget = parameter("Delta", 0.25, "1")
    eta: Scalar | PerTarget = parameter("eta", 0.0, "1")
    J: Scalar | PerTarget = parameter("J", 15.0, "1")
    current: Scalar | PerTarget = parameter("current", -1.0, "1")
    tau_d: Scalar | PerTarget = parameter("tau_d", 200.0, "ms")
    tau_f: Scalar | PerTarget = parameter("tau_f", 1500.0, "ms")
    U: Scalar | PerTarget = parameter("U", 0.2, "1")
    facilitation: Scalar | PerTarget = parameter("facilitation", 1.0, "1")


def _sent(state: TsodyksMarkramState) -> Array:
    """Return the rate at which a region's synapses release transmitter [kHz]."""
    return state.u * state.x * state.r


@node(
    state=TsodyksMarkramState,
    params=TsodyksMarkramParams,
    states={"r": "kHz", "V": "1", "x": "1", "u": "1"},
    inputs={"V": "1"},
    coupled=[(_sent, "V")],
    ranges={"r": (0.0, 0.15), "V": (-2.0, 1.5), "x": (0.0, 1.0), "u": (0.0, 1.0)},
    bounds={"r": (0.0, None), "x": (0.0, 1.0), "u": (0.0, 1.0)},
)
def tsodyks_markram(
    state: TsodyksMarkramState, inputs, params: TsodyksMarkramParams
) -> TsodyksMarkramState:
    r"""Compute the rates of change of spiking neurons with short-term plasticity.

    $\tau\dot r = \Delta/(\pi\tau) + 2 r V$,
    $\tau\dot V = V^2 + \eta + J\tau u x r + c - (\pi\tau r)^2 + I_V$ with the current $c$,
    $\dot x = (1 - x)/\tau_d - u x r$, $\dot u = (U - u)/\tau_f + f U (1 - u)\, r$ with the facilitation
    $f$.

    By default regions send u x r, what their synapses release, into V, as a current: couple with
    `AdditiveCoupling`. A spike releases u as it is before the spike; papers that take it after the spike
    have a larger release. The first source's corrections for few synapses and for the correlation of u
    and x are left out, as in the second. With facilitation 0 and u of U this is depression alone; that
    of Gast et al. (Neural Comput. 32 (2020) 1615) has an alpha kernel instead and is another equation.

    Args:
        state: r [kHz], V, x, u [1].
        inputs: V, a current. [1]
        params: `TsodyksMarkramParams`.

    Source:
        V. Schmutz, W. Gerstner and T. Schwalger, J. Math. Neurosci. 10 (2020) 5, for u and x, and
        H. Taher, A. Torcini and S. Olmi, PLoS Comput. Biol. 16 (2020) e1008533, for both with neurons of
        this kind, whose values are those of U, tau, tau_d, tau_f, J, Delta, eta and the background
        current.

    Example:
        >>> state = cf.nodes.TsodyksMarkramState(*jnp.array([[0.0], [2.0], [0.5], [0.25]]))
        >>> no_input = cf.nodes.TsodyksMarkramState(0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.TsodyksMarkramParams(tau=1.0, tau_d=250.0, current=0.0)
        >>> rate = cf.nodes.tsodyks_markram(state, no_input, params)
        >>> rate.V.tolist(), round(rate.x.item(), 6)
        ([4.0], 0.002)
    """
    p, (r, V, x, u) = params, state
    released = u * x * r
    quenched = V * V - (PI * p.tau * r) ** 2
    return TsodyksMarkramState(
        (p.Delta / (PI * p.tau) + 2 * r * V) / p.tau,
        (quenched + p.eta + p.J * p.tau * released + p.current + inputs.V) / p.tau,
        (1 - x) / p.tau_d - released,
        (p.U - u) / p.tau_f + p.facilitation * p.U * (1 - u) * r,
    )
