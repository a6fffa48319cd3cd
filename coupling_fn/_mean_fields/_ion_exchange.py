"""Mean field of conductance-based neurons that exchange ions with their surroundings: K-Ion-Ex."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node

PI = 3.141592653589793
NERNST = 26.64  # RT / F at 36 °C. [mV]


class KIonExState(NamedTuple):
    """State of `k_ion_ex`, one value per region each: `(region,)`.

    Attributes:
        x: width of the distribution of the potentials; x R_minus / pi is the firing rate. [mV/ms]
        V: mean membrane potential. [mV]
        n: gating of potassium channels, the share that is open. [1]
        DKi: change of the potassium within neurons, in mM. [1]
        Kg: potassium that glia and vessels buffer, in mM. [1]

    Example:
        >>> cf.nodes.KIonExState(*jnp.zeros((5, 2))).V.shape
        (2,)
    """

    x: Array
    V: Array
    n: Array
    DKi: Array
    Kg: Array


class KIonExParams(eqx.Module):
    """Parameters of `k_ion_ex`, each a scalar or one value per region, `(region,)`.

    Attributes:
        E: reversal potential of the synapses between regions. [mV]
        K_bath: potassium of the bath, in mM; from about 10 on, seizures. [1]
        J: synaptic weight within the region. [1]
        eta: centre of the distribution of the neurons' currents, a Lorentzian. [mV/ms]
        Delta: half width of that distribution. [mV/ms]
        c_minus: vertex of the parabola that stands for the current below V_star. [mV]
        R_minus: curvature of that parabola. [1/mV]
        c_plus: vertex of the parabola above V_star. [mV]
        R_plus: curvature of that parabola. [1/mV]
        V_star: potential at which the parabolas meet. [mV]
        C_m: membrane capacitance per area; conductances are relative to it. [1]
        tau_n: time constant of the gating. [ms]
        gamma: ions per charge, in mM. [1]
        epsilon: rate of the exchange with the bath. [1/ms]
        g_K: conductance of gated potassium channels. [1/ms]
        g_K_leak: conductance of other potassium channels. [1/ms]
        g_Na: conductance of gated sodium channels. [1/ms]
        g_Na_leak: conductance of other sodium channels. [1/ms]
        g_Cl: conductance of chloride channels. [1/ms]
        rho: largest current of the sodium-potassium pump. [mV/ms]
        volume_i: volume within neurons. [1]
        volume_o: volume around neurons. [1]
        K_i0: potassium within neurons at DKi = 0, in mM. [1]
        K_o0: potassium around neurons at DKi = Kg = 0, in mM. [1]
        Na_i0: sodium within neurons at DKi = 0, in mM. [1]
        Na_o0: sodium around neurons at DKi = 0, in mM. [1]
        Cl_i0: chloride within neurons, in mM. [1]
        Cl_o0: chloride around neurons, in mM. [1]

    Example:
        >>> cf.nodes.KIonExParams(K_bath=15.0).K_bath.item()
        15.0
    """

    E: Scalar | PerTarget = parameter("E", 0.0, "mV")
    K_bath: Scalar | PerTarget = parameter("K_bath", 5.5, "1")
    J: Scalar | PerTarget = parameter("J", 0.1, "1")
    eta: Scalar | PerTarget = parameter("eta", 0.0, "mV/ms")
    Delta: Scalar | PerTarget = parameter("Delta", 1.0, "mV/ms")
    c_minus: Scalar | PerTarget = parameter("c_minus", -40.0, "mV")
    R_minus: Scalar | PerTarget = parameter("R_minus", 0.5, "1/mV")
    c_plus: Scalar | PerTarget = parameter("c_plus", -20.0, "mV")
    R_plus: Scalar | PerTarget = parameter("R_plus", -0.5, "1/mV")
    V_star: Scalar | PerTarget = parameter("V_star", -31.0, "mV")
    C_m: Scalar | PerTarget = parameter("C_m", 1.0, "1")
    tau_n: Scalar | PerTarget = parameter("tau_n", 4.0, "ms")
    gamma: Scalar | PerTarget = parameter("gamma", 0.04, "1")
    epsilon: Scalar | PerTarget = parameter("epsilon", 0.001, "1/ms")
    g_K: Scalar | PerTarget = parameter("g_K", 22.0, "1/ms")
    g_K_leak: Scalar | PerTarget = parameter("g_K_leak", 0.12, "1/ms")
    g_Na: Scalar | PerTarget = parameter("g_Na", 40.0, "1/ms")
    g_Na_leak: Scalar | PerTarget = parameter("g_Na_leak", 0.02, "1/ms")
    g_Cl: Scalar | PerTarget = parameter("g_Cl", 7.5, "1/ms")
    rho: Scalar | PerTarget = parameter("rho", 250.0, "mV/ms")
    volume_i: Scalar | PerTarget = parameter("volume_i", 2160.0, "1")
    volume_o: Scalar | PerTarget = parameter("volume_o", 720.0, "1")
    K_i0: Scalar | PerTarget = parameter("K_i0", 130.0, "1")
    K_o0: Scalar | PerTarget = parameter("K_o0", 4.8, "1")
    Na_i0: Scalar | PerTarget = parameter("Na_i0", 16.0, "1")
    Na_o0: Scalar | PerTarget = parameter("Na_o0", 138.0, "1")
    Cl_i0: Scalar | PerTarget = parameter("Cl_i0", 5.0, "1")
    Cl_o0: Scalar | PerTarget = parameter("Cl_o0", 112.0, "1")


def _potassium_outside(state, p):
    return p.K_o0 - p.volume_i / p.volume_o * state.DKi + state.Kg


def _rate(state, inputs, p):
    del inputs
    return p.R_minus * state.x / PI


@node(
    state=KIonExState,
    params=KIonExParams,
    states={"x": "mV/ms", "V": "mV", "n": "1", "DKi": "1", "Kg": "1"},
    inputs={"V": "mV/ms"},
    coupled=[("x", "V")],
    ranges={
        "x": (0.0, 1.0),
        "V": (-90.0, 10.0),
        "n": (0.0, 1.0),
        "DKi": (-2.0, 0.0),
        "Kg": (-2.0, 8.0),
    },
    bounds={"x": (0.0, None), "n": (0.0, None)},
    implied=["mV", "ms"],
    auxiliary={
        "rate": _rate,
        "K_o": lambda state, inputs, p: _potassium_outside(state, p),
    },
)
def k_ion_ex(state: KIonExState, inputs, params: KIonExParams) -> KIonExState:
    r"""Compute the rates of change of neurons that seize where the potassium around them rises.

    $\dot x = \Delta + 2R(V - c)x - J r x$ and
    $\dot V = -(I_K + I_{Na} + I_{Cl} + I_p)/C_m - R x^2 + \eta + R_-(E - V)\,I_V/\pi$ with the rate
    $r = R_-x/\pi$, where $(R, c)$ is $(R_-, c_-)$ for $V\le V^*$ and else $(R_+, c_+)$;
    $\dot n = (n_\infty - n)/\tau_n$, $\dot{\Delta K_i} = -\gamma\,(I_K - 2I_p)/w_i$,
    $\dot K_g = \epsilon\,(K_{bath} - K_o)$.

    The concentrations are $K_i = K_{i0} + \Delta K_i$, $Na_i = Na_{i0} - \Delta K_i$, and outside
    $K_o = K_{o0} - \beta\Delta K_i + K_g$, $Na_o = Na_{o0} + \beta\Delta K_i$, with the ratio of
    volumes $\beta = w_i/w_o$. With $s(x) = 1/(1 + e^{-x})$ the currents are
    $I_K = (g_{K,l} + g_Kn)(V - 26.64\ln(K_o/K_i))$,
    $I_{Na} = (g_{Na,l} + g_{Na}m_\infty h)(V - 26.64\ln(Na_o/Na_i))$,
    $I_{Cl} = g_{Cl}(V + 26.64\ln(Cl_o/Cl_i))$, $I_p = \rho\, s((Na_i - 21)/2)\, s(K_o - 5.5)$,
    and $m_\infty = s((V + 24)/12)$, $n_\infty = s((V + 19)/18)$, $h = 1.1 - s(8\,(n - 0.4))$.

    By default x is coupled into V, where it opens synapses that reverse at E: couple with
    `AdditiveCoupling`. The logarithms need positive concentrations: $K_o$ must not fall to 0.

    Args:
        state: x [mV/ms], V [mV], n, DKi, Kg [1].
        inputs: V, the x of other regions. [mV/ms]
        params: `KIonExParams`.

    Auxiliary:
        rate: r, the firing rate. [kHz]
        K_o: potassium around neurons, in mM. [1]

    Source:
        A. Bandyopadhyay et al., Mean-field approximation of network of biophysical neurons driven by
        conductance-based ion exchange, bioRxiv 2021.10.29.466427, after the neuron of D. Depannemaecker
        et al., J. Comput. Neurosci. 50 (2022) 33-49. Constants that the papers fix are parameters here;
        their defaults, as found by running it, are The Virtual Brain's (K_i0 = 130 mM, where 140 is
        also in use). Conductances are relative to the capacitance, so only their ratio has a
        meaning. The jump of R and c at $V^*$ is the model's own.

    Example:
        >>> state = cf.nodes.KIonExState(*jnp.array([[0.0], [-40.0], [0.0], [0.0], [0.7]]))
        >>> no_input = cf.nodes.KIonExState(0.0, 0.0, 0.0, 0.0, 0.0)
        >>> rate = cf.nodes.k_ion_ex(state, no_input, cf.nodes.KIonExParams(K_bath=7.5, epsilon=0.5))
        >>> rate.x.tolist(), rate.Kg.tolist()
        ([1.0], [1.0])
    """
    p, (x, V, n, DKi, _) = params, state
    beta = p.volume_i / p.volume_o
    K_i, Na_i = p.K_i0 + DKi, p.Na_i0 - DKi
    K_o, Na_o = _potassium_outside(state, p), p.Na_o0 + beta * DKi
    m_inf, n_inf = jax.nn.sigmoid((V + 24) / 12), jax.nn.sigmoid((V + 19) / 18)
    h = 1.1 - jax.nn.sigmoid(8 * (n - 0.4))
    potassium = (p.g_K_leak + p.g_K * n) * (V - NERNST * jnp.log(K_o / K_i))
    sodium = (p.g_Na_leak + p.g_Na * m_inf * h) * (V - NERNST * jnp.log(Na_o / Na_i))
    chloride = p.g_Cl * (V + NERNST * jnp.log(p.Cl_o0 / p.Cl_i0))
    pump = p.rho * jax.nn.sigmoid((Na_i - 21) / 2) * jax.nn.sigmoid(K_o - 5.5)
    below = p.V_star >= V
    R, c = jnp.where(below, p.R_minus, p.R_plus), jnp.where(below, p.c_minus, p.c_plus)
    synaptic = p.R_minus / PI * inputs.V * (p.E - V)
    return KIonExState(
        p.Delta + 2 * R * (V - c) * x - p.J * _rate(state, inputs, p) * x,
        -(potassium + sodium + chloride + pump) / p.C_m - R * x * x + p.eta + synaptic,
        (n_inf - n) / p.tau_n,
        -p.gamma * (potassium - 2 * pump) / p.volume_i,
        p.epsilon * (p.K_bath - K_o),
    )
