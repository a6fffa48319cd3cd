"""Mean fields of quadratic integrate-and-fire neurons that adapt: Gast–Schmidt–Knösche."""

from typing import NamedTuple

import equinox as eqx
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._quadratic import PI, montbrio_synchrony


class GastSchmidtKnoscheSDState(NamedTuple):
    """State of `gast_schmidt_knosche_sd`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]
        A: depression, the share of the synapses' strength that is lost. [1]
        B: rate of change of A, in units of 1 / tau_A. [1]

    Example:
        >>> cf.nodes.GastSchmidtKnoscheSDState(*jnp.zeros((4, 2))).A.shape
        (2,)
    """

    r: Array
    V: Array
    A: Array
    B: Array


class GastSchmidtKnoscheSDParams(eqx.Module):
    """Parameters of `gast_schmidt_knosche_sd`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: membrane time constant. [ms]
        tau_A: time constant of the depression. [ms]
        alpha: depression that a steady firing of 1 kHz causes. [ms]
        current: constant current. [1]
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        J: synaptic weight within the region. [1]
        eta: centre of that distribution. [1]

    Example:
        >>> cf.nodes.GastSchmidtKnoscheSDParams(eta=-5.0).eta.item()
        -5.0
    """

    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")
    tau_A: Scalar | PerTarget = parameter("tau_A", 10.0, "ms")
    alpha: Scalar | PerTarget = parameter("alpha", 0.5, "ms")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")
    Delta: Scalar | PerTarget = parameter("Delta", 2.0, "1")
    J: Scalar | PerTarget = parameter("J", 21.2132, "1")
    eta: Scalar | PerTarget = parameter("eta", -6.0, "1")


def _fired(state, p):
    """Return the rate of change of the firing rate [kHz/ms]."""
    return (p.Delta / (PI * p.tau) + 2 * state.r * state.V) / p.tau


def _filtered(state, p):
    """Return the rates of change of A and B, an alpha function of the firing rate [1/ms]."""
    return state.B / p.tau_A, (p.alpha * state.r - 2 * state.B - state.A) / p.tau_A


@node(
    state=GastSchmidtKnoscheSDState,
    params=GastSchmidtKnoscheSDParams,
    states={"r": "kHz", "V": "1", "A": "1", "B": "1"},
    inputs={"V": "1"},
    coupled=[("r", "V")],
    ranges={"r": (0.0, 2.0), "V": (-3.0, 0.3), "A": (0.0, 0.4), "B": (-0.2, 0.3)},
    bounds={"r": (0.0, None)},
    auxiliary={"synchrony": montbrio_synchrony},
)
def gast_schmidt_knosche_sd(
    state: GastSchmidtKnoscheSDState, inputs, params: GastSchmidtKnoscheSDParams
) -> GastSchmidtKnoscheSDState:
    r"""Compute the rates of change of quadratic integrate-and-fire neurons with synaptic depression.

    $\tau\dot r = \Delta/(\pi\tau) + 2 r V$,
    $\tau\dot V = V^2 + \eta + (1 - A) J\tau r + c - (\pi\tau r)^2 + I_V$ with the current $c$,
    $\tau_A\dot A = B$, $\tau_A\dot B = \alpha r - 2 B - A$.

    The input enters beside the current, and is not depressed. By default r is coupled into V: couple
    with `AdditiveCoupling`.

    Args:
        state: r [kHz], V, A, B [1].
        inputs: V, a current. [1]
        params: `GastSchmidtKnoscheSDParams`.

    Auxiliary:
        synchrony: the Kuramoto order parameter of the neurons, as in `montbrio_pazo_roxin`. [1]

    Source:
        R. Gast, H. Schmidt and T. R. Knösche, Neural Comput. 32 (2020) 1615-1634, the model with
        synaptic depression. The defaults are The Virtual Brain's; so is the coupling as a current,
        since the paper has one population.

    Example:
        >>> state = cf.nodes.GastSchmidtKnoscheSDState(*jnp.array([[0.0], [2.0], [0.5], [0.25]]))
        >>> no_input = cf.nodes.GastSchmidtKnoscheSDState(0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.GastSchmidtKnoscheSDParams(tau_A=4.0)
        >>> rate = cf.nodes.gast_schmidt_knosche_sd(state, no_input, params)
        >>> rate.V.tolist(), rate.A.tolist(), rate.B.tolist()
        ([-2.0], [0.0625], [-0.25])
    """
    p, (r, V, A, _) = params, state
    current = p.eta + (1 - A) * p.J * p.tau * r + p.current + inputs.V
    return GastSchmidtKnoscheSDState(
        _fired(state, p),
        (V * V - (PI * p.tau * r) ** 2 + current) / p.tau,
        *_filtered(state, p),
    )


class GastSchmidtKnoscheSFState(NamedTuple):
    """State of `gast_schmidt_knosche_sf`, one value per region each: `(region,)`.

    Attributes:
        r: firing rate. [kHz]
        V: mean membrane potential. [1]
        A: adaptation, a current. [1]
        B: rate of change of A, in units of 1 / tau_A. [1]

    Example:
        >>> cf.nodes.GastSchmidtKnoscheSFState(*jnp.zeros((4, 2))).A.shape
        (2,)
    """

    r: Array
    V: Array
    A: Array
    B: Array


class GastSchmidtKnoscheSFParams(eqx.Module):
    """Parameters of `gast_schmidt_knosche_sf`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: membrane time constant. [ms]
        tau_A: time constant of the adaptation. [ms]
        alpha: adaptation that a steady firing of 1 kHz causes. [ms]
        current: constant current. [1]
        Delta: half width of the distribution of the neurons' excitabilities, a Lorentzian. [1]
        J: synaptic weight within the region. [1]
        eta: centre of that distribution. [1]

    Example:
        >>> cf.nodes.GastSchmidtKnoscheSFParams(alpha=5.0).alpha.item()
        5.0
    """

    tau: Scalar | PerTarget = parameter("tau", 1.0, "ms")
    tau_A: Scalar | PerTarget = parameter("tau_A", 10.0, "ms")
    alpha: Scalar | PerTarget = parameter("alpha", 10.0, "ms")
    current: Scalar | PerTarget = parameter("current", 0.0, "1")
    Delta: Scalar | PerTarget = parameter("Delta", 2.0, "1")
    J: Scalar | PerTarget = parameter("J", 21.2132, "1")
    eta: Scalar | PerTarget = parameter("eta", 1.0, "1")


@node(
    state=GastSchmidtKnoscheSFState,
    params=GastSchmidtKnoscheSFParams,
    states={"r": "kHz", "V": "1", "A": "1", "B": "1"},
    inputs={"V": "1"},
    coupled=[("r", "V")],
    ranges={"r": (0.0, 2.0), "V": (-2.0, 1.5), "A": (-1.0, 1.0), "B": (-1.0, 1.0)},
    bounds={"r": (0.0, None)},
    auxiliary={"synchrony": montbrio_synchrony},
)
def gast_schmidt_knosche_sf(
    state: GastSchmidtKnoscheSFState, inputs, params: GastSchmidtKnoscheSFParams
) -> GastSchmidtKnoscheSFState:
    r"""Compute the rates of change of quadratic integrate-and-fire neurons whose firing adapts.

    It is the model with spike-frequency adaptation: $\tau\dot r = \Delta/(\pi\tau) + 2 r V$,
    $\tau\dot V = V^2 + \eta + J\tau r - A + c - (\pi\tau r)^2 + I_V$ with the current $c$,
    $\tau_A\dot A = B$, $\tau_A\dot B = \alpha r - 2 B - A$.

    The input enters beside the current. By default r is coupled into V: couple with
    `AdditiveCoupling`.

    Args:
        state: r [kHz], V, A, B [1].
        inputs: V, a current. [1]
        params: `GastSchmidtKnoscheSFParams`.

    Auxiliary:
        synchrony: the Kuramoto order parameter of the neurons, as in `montbrio_pazo_roxin`. [1]

    Source:
        R. Gast, H. Schmidt and T. R. Knösche, Neural Comput. 32 (2020) 1615-1634, the model with
        spike-frequency adaptation. The defaults are The Virtual Brain's; so is the coupling as a
        current, since the paper has one population.

    Example:
        >>> state = cf.nodes.GastSchmidtKnoscheSFState(*jnp.array([[0.0], [2.0], [0.5], [0.25]]))
        >>> no_input = cf.nodes.GastSchmidtKnoscheSFState(0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.GastSchmidtKnoscheSFParams(tau_A=4.0)
        >>> rate = cf.nodes.gast_schmidt_knosche_sf(state, no_input, params)
        >>> rate.V.tolist(), rate.A.tolist(), rate.B.tolist()
        ([4.5], [0.0625], [-0.25])
    """
    p, (r, V, A, _) = params, state
    current = p.eta + p.J * p.tau * r - A + p.current + inputs.V
    return GastSchmidtKnoscheSFState(
        _fired(state, p),
        (V * V - (PI * p.tau * r) ** 2 + current) / p.tau,
        *_filtered(state, p),
    )
