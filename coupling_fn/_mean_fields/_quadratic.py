"""Exact mean fields of quadratic integrate-and-fire neurons: Montbrió–Pazó–Roxin, Coombes–Byrne."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node

PI = 3.141592653589793


class MontbrioPazoRoxinState(NamedTuple):
    """State of `montbrio_pazo_roxin`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]

    Example:
        >>> cf.nodes.MontbrioPazoRoxinState(r=jnp.zeros(2), V=jnp.zeros(2)).r.shape
        (2,)
    """

    r: Array
    V: Array


class MontbrioPazoRoxinParams(eqx.Module):
    """Parameters of `montbrio_pazo_roxin`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: membrane time constant. [ms]
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        eta: centre of that distribution. [1]
        J: synaptic weight within the region. [1]
        current: constant current. [1]

    Example:
        >>> cf.nodes.MontbrioPazoRoxinParams(J=14.5).J.item()
        14.5
    """

    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")
    Delta: Scalar | PerTarget = parameter("Delta", 1.0, "1")
    eta: Scalar | PerTarget = parameter("eta", -5.0, "1")
    J: Scalar | PerTarget = parameter("J", 15.0, "1")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")


def synchrony(firing, V):
    """Return the Kuramoto order parameter |1 - W| / |1 + W| of the neurons, W = pi r + i V [1]."""
    return jnp.sqrt(((1 - firing) ** 2 + V * V) / ((1 + firing) ** 2 + V * V))


def montbrio_synchrony(state, inputs, p):
    """Return that parameter of a state with r [kHz] and V [1]."""
    del inputs
    return synchrony(PI * p.tau * state.r, state.V)


def _coombes_synchrony(state, inputs, p):
    del inputs, p
    return synchrony(PI * state.r, state.V)


@node(
    state=MontbrioPazoRoxinState,
    params=MontbrioPazoRoxinParams,
    states={"r": "kHz", "V": "1"},
    inputs={"V": "1"},
    coupled=[("r", "V")],
    ranges={"r": (0.0, 2.0), "V": (-2.0, 1.5)},
    bounds={"r": (0.0, None)},
    auxiliary={"synchrony": montbrio_synchrony},
)
def montbrio_pazo_roxin(
    state: MontbrioPazoRoxinState, inputs, params: MontbrioPazoRoxinParams
) -> MontbrioPazoRoxinState:
    r"""Compute the rates of change of infinitely many quadratic integrate-and-fire neurons.

    $\tau\dot r = \Delta/(\pi\tau) + 2 r V$,
    $\tau\dot V = V^2 + \eta + J\tau r + c - (\pi\tau r)^2 + I_V$ with the current $c$.

    The input enters beside the current: it is a number, where an input to a rate of change is in
    1/ms. By default r is coupled into V, since neurons send their spikes: couple with
    `AdditiveCoupling`.

    Args:
        state: r [kHz], V [1].
        inputs: V, a current. [1]
        params: `MontbrioPazoRoxinParams`.

    Auxiliary:
        synchrony: $|Z|$, $Z = (1 - \bar W)/(1 + \bar W)$ with $W = \pi\tau r + i V$, the Kuramoto order
            parameter of the neurons (the source's eq. 15). [1]

    Source:
        E. Montbrió, D. Pazó and A. Roxin, Phys. Rev. X 5 (2015) 021028, eq. 12, with J and eta
        of its fig. 2 (bistable).

    Example:
        >>> state = cf.nodes.MontbrioPazoRoxinState(jnp.array([0.0]), jnp.array([2.0]))
        >>> no_input = cf.nodes.MontbrioPazoRoxinState(0.0, 0.0)
        >>> params = cf.nodes.MontbrioPazoRoxinParams(Delta=jnp.pi)
        >>> rate = cf.nodes.montbrio_pazo_roxin(state, no_input, params)
        >>> rate.r.tolist(), rate.V.tolist()
        ([1.0], [-1.0])
    """
    p, (r, V) = params, state
    quenched = V * V - (PI * p.tau * r) ** 2
    return MontbrioPazoRoxinState(
        (p.Delta / (PI * p.tau) + 2 * r * V) / p.tau,
        (quenched + p.eta + p.J * p.tau * r + p.current + inputs.V) / p.tau,
    )


class CoombesByrneState(NamedTuple):
    """State of `coombes_byrne`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]
        g: synaptic conductance. [1]
        q: rate of change of g, in units of alpha. [1]

    Example:
        >>> cf.nodes.CoombesByrneState(*jnp.zeros((4, 2))).r.shape
        (2,)
    """

    r: Array
    V: Array
    g: Array
    q: Array


class CoombesByrneParams(eqx.Module):
    """Parameters of `coombes_byrne`, each a scalar or one value per region, `(region,)`.

    Attributes:
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        alpha: rate of the synapse. [1/ms]
        v_syn: reversal potential of the synapse. [1]
        kappa: strength of the synapse within the region. [1]
        eta: centre of the distribution of the neurons' excitabilities. [1]

    Example:
        >>> cf.nodes.CoombesByrneParams(kappa=2.0).kappa.item()
        2.0
    """

    Delta: Scalar | PerTarget = parameter("Delta", 0.5, "1")
    alpha: Scalar | PerTarget = parameter("alpha", 0.95, "1/ms")
    v_syn: Scalar | PerTarget = parameter("v_syn", -10.0, "1")
    kappa: Scalar | PerTarget = parameter("kappa", 1.0, "1")
    eta: Scalar | PerTarget = parameter("eta", 20.0, "1")


@node(
    state=CoombesByrneState,
    params=CoombesByrneParams,
    states={"r": "kHz", "V": "1", "g": "1", "q": "1"},
    inputs={"V": "1", "q": "1"},
    coupled=[("r", "q")],
    ranges={"r": (0.0, 6.0), "V": (-10.0, 10.0), "g": (1.0, 2.0), "q": (-0.5, 0.7)},
    bounds={"r": (0.0, None)},
    implied=["ms"],
    auxiliary={"synchrony": _coombes_synchrony},
)
def coombes_byrne(
    state: CoombesByrneState, inputs, params: CoombesByrneParams
) -> CoombesByrneState:
    r"""Compute the rates of change of quadratic integrate-and-fire neurons with slow synapses.

    $\dot r = \Delta/\pi + 2 r V - g r$, $\dot V = V^2 - (\pi r)^2 + \eta + g\,(v_{syn} - V) + I_V$,
    $\dot g = \alpha q$, $\dot q = \alpha\,(\kappa\pi r + I_q - g - 2 q)$.

    These are the paper's equations for its order parameter $z$, with
    $(1 - \bar z)/(1 + \bar z) = \pi r + i V$; one unit of its time is 1 ms. By default r is coupled
    into q, where the paper's synapse receives spikes. The Virtual Brain couples it into V instead,
    as a current: `Wire("r", into="V")`.

    Args:
        state: r [kHz], V [1], g [1], q [1].
        inputs: V, a current, and q, the firing that the synapse receives. [1]
        params: `CoombesByrneParams`.

    Auxiliary:
        synchrony: $|z|$, the Kuramoto order parameter of the neurons. [1]

    Source:
        S. Coombes and Á. Byrne, in: Nonlinear Dynamics in Computational Neuroscience (2019), 1-16,
        the next-generation model of one population.

    Example:
        >>> state = cf.nodes.CoombesByrneState(*jnp.array([[0.0], [2.0], [1.0], [0.0]]))
        >>> no_input = cf.nodes.CoombesByrneState(0.0, 0.0, 0.0, 0.0)
        >>> rate = cf.nodes.coombes_byrne(state, no_input, cf.nodes.CoombesByrneParams(alpha=0.5))
        >>> rate.V.tolist(), rate.q.tolist()
        ([12.0], [-0.5])
    """
    p, (r, V, g, q) = params, state
    return CoombesByrneState(
        p.Delta / PI + 2 * r * V - g * r,
        V * V - (PI * r) ** 2 + p.eta + g * (p.v_syn - V) + inputs.V,
        p.alpha * q,
        p.alpha * (p.kappa * PI * r + inputs.q - g - 2 * q),
    )


class CoombesByrne2dState(NamedTuple):
    """State of `coombes_byrne_2d`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]

    Example:
        >>> cf.nodes.CoombesByrne2dState(r=jnp.zeros(2), V=jnp.zeros(2)).r.shape
        (2,)
    """

    r: Array
    V: Array


class CoombesByrne2dParams(eqx.Module):
    """Parameters of `coombes_byrne_2d`, each a scalar or one value per region, `(region,)`.

    Attributes:
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        v_syn: reversal potential of the synapse. [1]
        kappa: strength of the synapse within the region. [1]
        eta: centre of the distribution of the neurons' excitabilities. [1]

    Example:
        >>> cf.nodes.CoombesByrne2dParams(kappa=2.0).kappa.item()
        2.0
    """

    Delta: Scalar | PerTarget = parameter("Delta", 1.0, "1")
    v_syn: Scalar | PerTarget = parameter("v_syn", -4.0, "1")
    kappa: Scalar | PerTarget = parameter("kappa", 1.0, "1")
    eta: Scalar | PerTarget = parameter("eta", 2.0, "1")


@node(
    state=CoombesByrne2dState,
    params=CoombesByrne2dParams,
    states={"r": "kHz", "V": "1"},
    inputs={"V": "1", "g": "1"},
    coupled=[("r", "g")],
    ranges={"r": (0.0, 2.0), "V": (-2.0, 1.5)},
    bounds={"r": (0.0, None)},
    implied=["ms"],
    auxiliary={"synchrony": _coombes_synchrony},
)
def coombes_byrne_2d(
    state: CoombesByrne2dState, inputs, params: CoombesByrne2dParams
) -> CoombesByrne2dState:
    r"""Compute the rates of change of quadratic integrate-and-fire neurons with fast synapses.

    $\dot r = \Delta/\pi + 2 r V - g r$, $\dot V = V^2 - (\pi r)^2 + \eta + g\,(v_{syn} - V) + I_V$
    with the conductance $g = \kappa\pi r + I_g$: `coombes_byrne` where $\alpha\to\infty$.

    One unit of the paper's time is 1 ms. By default r is coupled into g, where the synapse receives
    spikes, as in `coombes_byrne`. The Virtual Brain couples it into V instead, as a current:
    `Wire("r", into="V")`.

    Args:
        state: r [kHz], V [1].
        inputs: V, a current, and g, the firing that the synapse receives. [1]
        params: `CoombesByrne2dParams`.

    Auxiliary:
        synchrony: $|z|$, the Kuramoto order parameter of the neurons. [1]

    Source:
        S. Coombes and Á. Byrne, in: Nonlinear Dynamics in Computational Neuroscience (2019), 1-16,
        the next-generation model of one population, whose synapse is fast here. The defaults are
        The Virtual Brain's.

    Example:
        >>> state = cf.nodes.CoombesByrne2dState(jnp.array([0.0]), jnp.array([2.0]))
        >>> driven = type("Inputs", (), {"V": 1.0, "g": 0.5})
        >>> rate = cf.nodes.coombes_byrne_2d(state, driven, cf.nodes.CoombesByrne2dParams(Delta=jnp.pi))
        >>> rate.r.tolist(), rate.V.tolist()
        ([1.0], [4.0])
    """
    p, (r, V) = params, state
    g = p.kappa * PI * r + inputs.g
    return CoombesByrne2dState(
        p.Delta / PI + 2 * r * V - g * r,
        V * V - (PI * r) ** 2 + p.eta + g * (p.v_syn - V) + inputs.V,
    )
