"""A column of three populations that all excite or inhibit themselves, too: Zetterberg–Jansen."""

from typing import NamedTuple

import equinox as eqx
import jax
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class ZetterbergJansenState(NamedTuple):
    """State of `zetterberg_jansen`, one value per region each: `(region,)`.

    Attributes:
        v1: potential of the excitatory interneurons. [mV]
        y1: derivative of v1. [mV/ms]
        v2: excitatory potential of the pyramidal cells. [mV]
        y2: derivative of v2. [mV/ms]
        v3: inhibitory potential of the pyramidal cells. [mV]
        y3: derivative of v3. [mV/ms]
        v4: excitatory potential of the inhibitory interneurons. [mV]
        y4: derivative of v4. [mV/ms]
        v5: inhibitory potential of the inhibitory interneurons. [mV]
        y5: derivative of v5. [mV/ms]

    Example:
        >>> cf.nodes.ZetterbergJansenState(*jnp.zeros((10, 2))).v1.shape
        (2,)
    """

    v1: Array
    y1: Array
    v2: Array
    y2: Array
    v3: Array
    y3: Array
    v4: Array
    y4: Array
    v5: Array
    y5: Array


class ZetterbergJansenParams(eqx.Module):
    """Parameters of `zetterberg_jansen`, each a scalar or one value per region, `(region,)`.

    Attributes:
        He: largest excitatory postsynaptic potential. [mV]
        Hi: largest inhibitory postsynaptic potential. [mV]
        ke: rate of the excitatory synapses. [1/ms]
        ki: rate of the inhibitory synapses. [1/ms]
        ki_5: rate that draws v5 back; the papers have ki here, The Virtual Brain ke. [1/ms]
        e0: half of the largest firing rate. [kHz]
        rho_1: steepness of the response. [1/mV]
        rho_2: potential at which a population fires half as much as it can. [mV]
        gamma_1: synapses from pyramidal cells to excitatory interneurons. [1]
        gamma_2: synapses from excitatory interneurons to pyramidal cells. [1]
        gamma_3: synapses from pyramidal cells to inhibitory interneurons. [1]
        gamma_4: synapses from inhibitory interneurons to pyramidal cells. [1]
        gamma_5: synapses of inhibitory interneurons onto themselves. [1]
        gamma_1T: synapses from outside to excitatory interneurons. [1]
        gamma_2T: synapses from outside to pyramidal cells. [1]
        gamma_3T: synapses from outside to inhibitory interneurons. [1]
        P: constant input to pyramidal cells. [kHz]
        U: constant input to excitatory interneurons. [kHz]
        Q: constant input to inhibitory interneurons. [kHz]

    Example:
        >>> cf.nodes.ZetterbergJansenParams(P=0.2).P.item()
        0.2...
    """

    He: Scalar | PerTarget = parameter("He", 3.25, "mV")
    Hi: Scalar | PerTarget = parameter("Hi", 22.0, "mV")
    ke: Scalar | PerTarget = parameter("ke", 0.1, "1/ms")
    ki: Scalar | PerTarget = parameter("ki", 0.05, "1/ms")
    ki_5: Scalar | PerTarget = parameter("ki_5", 0.1, "1/ms")
    e0: Scalar | PerTarget = parameter("e0", 0.0025, "kHz")
    rho_1: Scalar | PerTarget = parameter("rho_1", 0.56, "1/mV")
    rho_2: Scalar | PerTarget = parameter("rho_2", 6.0, "mV")
    gamma_1: Scalar | PerTarget = parameter("gamma_1", 135.0, "1")
    gamma_2: Scalar | PerTarget = parameter("gamma_2", 108.0, "1")
    gamma_3: Scalar | PerTarget = parameter("gamma_3", 33.75, "1")
    gamma_4: Scalar | PerTarget = parameter("gamma_4", 33.75, "1")
    gamma_5: Scalar | PerTarget = parameter("gamma_5", 15.0, "1")
    gamma_1T: Scalar | PerTarget = parameter("gamma_1T", 1.0, "1")
    gamma_2T: Scalar | PerTarget = parameter("gamma_2T", 1.0, "1")
    gamma_3T: Scalar | PerTarget = parameter("gamma_3T", 1.0, "1")
    P: Scalar | PerTarget = parameter("P", 0.12, "kHz")
    U: Scalar | PerTarget = parameter("U", 0.12, "kHz")
    Q: Scalar | PerTarget = parameter("Q", 0.12, "kHz")


def _fired(p, potential):
    """Return the firing rate [kHz] of a population at its potential [mV]."""
    return 2 * p.e0 * jax.nn.sigmoid(p.rho_1 * (potential - p.rho_2))


def _synapse(gain, rate, pulses, v, y):
    """Return the second derivative [mV/ms^2] of a potential that pulses [kHz] excite."""
    return rate * (gain * pulses - 2 * y - rate * v)


@node(
    state=ZetterbergJansenState,
    params=ZetterbergJansenParams,
    states={f"{x}{i}": unit for i in range(1, 6) for x, unit in (("v", "mV"), ("y", "mV/ms"))},
    inputs={"v": "mV"},
    coupled=[(lambda state: state.v2 - state.v3, "v")],
    ranges={
        "v1": (0.0, 10.0),
        "y1": (-0.5, 0.5),
        "v2": (0.0, 20.0),
        "y2": (-1.0, 1.0),
        "v3": (0.0, 20.0),
        "y3": (-1.0, 1.0),
        "v4": (0.0, 10.0),
        "y4": (-0.5, 0.5),
        "v5": (0.0, 10.0),
        "y5": (-0.5, 0.5),
    },
    auxiliary={
        "psp": lambda state, inputs, p: state.v2 - state.v3,
        "rate": lambda state, inputs, p: _fired(p, state.v2 - state.v3),
        "rate_e": lambda state, inputs, p: _fired(p, state.v1),
        "rate_i": lambda state, inputs, p: _fired(p, state.v4 - state.v5),
    },
)
def zetterberg_jansen(
    state: ZetterbergJansenState, inputs, params: ZetterbergJansenParams
) -> ZetterbergJansenState:
    r"""Compute the rates of change of a column of pyramidal cells and two kinds of interneurons.

    $\dot v_i = y_i$, $\dot y_i = k_x\,(H_x p_i - 2 y_i - k_x v_i)$ with $x$ = e for $i$ = 1, 2, 4 and
    i for 3, 5, and the pulses $p_1 = \gamma_1 S(v_2 - v_3) + \gamma_{1T}(U + S(I))$,
    $p_2 = \gamma_2 S(v_1) + \gamma_{2T}(P + S(I))$, $p_3 = \gamma_4 S(v_4 - v_5)$,
    $p_4 = \gamma_3 S(v_2 - v_3) + \gamma_{3T}(Q + S(I))$, $p_5 = \gamma_5 S(v_4 - v_5)$, where
    $S(v) = 2 e_0/(1 + e^{\rho_1(\rho_2 - v)})$. For $v_5$ alone the last term is $-k_{i5}^2 v_5$.

    The input is a potential, which fires as S says and reaches all three populations. By default the
    potential of the pyramidal cells, v2 - v3, is coupled into it: couple with `AdditiveCoupling`.
    Without coupling S(0), 0.17 spikes per second, is still there, as in The Virtual Brain.

    Args:
        state: v1 to v5 [mV], y1 to y5 [mV/ms].
        inputs: v, the potential that arrives from other regions. [mV]
        params: `ZetterbergJansenParams`.

    Auxiliary:
        psp: v2 - v3, the potential of the pyramidal cells, which is the source of EEG. [mV]
        rate: the firing rate of the pyramidal cells. [kHz]
        rate_e: that of the excitatory interneurons. [kHz]
        rate_i: that of the inhibitory interneurons. [kHz]

    Source:
        L. H. Zetterberg, L. Kristiansson and K. Mossberg, Biol. Cybern. 31 (1978) 15-26, and B. H.
        Jansen, G. Zouridakis and M. E. Brandt, Biol. Cybern. 68 (1993) 275-283. The defaults are The
        Virtual Brain's, whose v5 returns at the excitatory rate, `ki_5` = ke; with `ki_5` = ki it is
        a synapse like the others. The Virtual Brain keeps v2 - v3 and v4 - v5 as states v6 and v7,
        which follow from the others and are left out here.

    Example:
        >>> state = cf.nodes.ZetterbergJansenState(*jnp.zeros((10, 1)))._replace(v3=jnp.array([4.0]))
        >>> no_input = type("Inputs", (), {"v": 0.0})
        >>> params = cf.nodes.ZetterbergJansenParams(ki=0.5, e0=0.0)
        >>> cf.nodes.zetterberg_jansen(state, no_input, params).y3.tolist()
        [-1.0]
    """
    p, s = params, state
    fired, inhibiting, arrived = (
        _fired(p, potential) for potential in (s.v2 - s.v3, s.v4 - s.v5, inputs.v)
    )
    to_e = p.gamma_1 * fired + p.gamma_1T * (p.U + arrived)
    to_p = p.gamma_2 * _fired(p, s.v1) + p.gamma_2T * (p.P + arrived)
    to_i = p.gamma_3 * fired + p.gamma_3T * (p.Q + arrived)
    return ZetterbergJansenState(
        v1=s.y1,
        y1=_synapse(p.He, p.ke, to_e, s.v1, s.y1),
        v2=s.y2,
        y2=_synapse(p.He, p.ke, to_p, s.v2, s.y2),
        v3=s.y3,
        y3=_synapse(p.Hi, p.ki, p.gamma_4 * inhibiting, s.v3, s.y3),
        v4=s.y4,
        y4=_synapse(p.He, p.ke, to_i, s.v4, s.y4),
        v5=s.y5,
        y5=p.ki * (p.Hi * p.gamma_5 * inhibiting - 2 * s.y5) - p.ki_5**2 * s.v5,
    )
