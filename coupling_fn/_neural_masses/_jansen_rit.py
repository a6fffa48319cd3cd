"""Nodes whose synapses respond with second-order dynamics: Jansen–Rit and Wendling."""

from typing import NamedTuple

import equinox as eqx
import jax
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class JansenRitState(NamedTuple):
    """State of `jansen_rit`, one value per region each: `(region,)`.

    Attributes:
        y0: potential that pyramidal cells cause in interneurons, for one synapse. [mV]
        y1: excitatory potential of the pyramidal cells. [mV]
        y2: inhibitory potential of the pyramidal cells. [mV]
        y3: derivative of y0. [mV/ms]
        y4: derivative of y1. [mV/ms]
        y5: derivative of y2. [mV/ms]

    Example:
        >>> cf.nodes.JansenRitState(*jnp.zeros((6, 2))).y0.shape
        (2,)
    """

    y0: Array
    y1: Array
    y2: Array
    y3: Array
    y4: Array
    y5: Array


class JansenRitParams(eqx.Module):
    """Parameters of `jansen_rit`, each a scalar or one value per region, `(region,)`.

    Attributes:
        A: largest excitatory postsynaptic potential. [mV]
        B: largest inhibitory postsynaptic potential. [mV]
        a: rate of the excitatory synapses. [1/ms]
        b: rate of the inhibitory synapses. [1/ms]
        C: number of synapses between populations. [1]
        c1: share of C from pyramidal cells to excitatory interneurons. [1]
        c2: share of C from excitatory interneurons to pyramidal cells. [1]
        c3: share of C from pyramidal cells to inhibitory interneurons. [1]
        c4: share of C from inhibitory interneurons to pyramidal cells. [1]
        e0: half of the largest firing rate. [kHz]
        v0: potential at which a population fires half as much as it can. [mV]
        r: steepness of the response. [1/mV]
        p: constant input, between 0.12 and 0.32 in the paper. [kHz]

    Example:
        >>> cf.nodes.JansenRitParams(C=108.0).C.item()
        108.0
    """

    A: Scalar | PerTarget = parameter("A", 3.25, "mV")
    B: Scalar | PerTarget = parameter("B", 22.0, "mV")
    a: Scalar | PerTarget = parameter("a", 0.1, "1/ms")
    b: Scalar | PerTarget = parameter("b", 0.05, "1/ms")
    C: Scalar | PerTarget = parameter("C", 135.0, "1")
    c1: Scalar | PerTarget = parameter("c1", 1.0, "1")
    c2: Scalar | PerTarget = parameter("c2", 0.8, "1")
    c3: Scalar | PerTarget = parameter("c3", 0.25, "1")
    c4: Scalar | PerTarget = parameter("c4", 0.25, "1")
    e0: Scalar | PerTarget = parameter("e0", 0.0025, "kHz")
    v0: Scalar | PerTarget = parameter("v0", 6.0, "mV")
    r: Scalar | PerTarget = parameter("r", 0.56, "1/mV")
    p: Scalar | PerTarget = parameter("p", 0.22, "kHz")


def _fired(params, potential):
    """Return the firing rate of a population [kHz] at its mean potential [mV]."""
    return 2 * params.e0 * jax.nn.sigmoid(params.r * (potential - params.v0))


def _synapse(gain, rate, pulses, response, slope):
    """Return the second derivative of a postsynaptic potential [mV/ms^2].

    Its response to one pulse is g r t exp(-r t), with the gain g and the rate r.
    """
    return gain * rate * pulses - 2 * rate * slope - rate * rate * response


def _pyramidal(state: JansenRitState) -> Array:
    """Return the potential of the pyramidal cells [mV]."""
    return state.y1 - state.y2


def _pyramidal_rate(state, inputs, p):
    """Return the firing rate of the pyramidal cells [kHz]."""
    del inputs
    return _fired(p, _pyramidal(state))


def _excitatory_rate(state, inputs, p):
    """Return the firing rate of the excitatory interneurons [kHz]."""
    del inputs
    return _fired(p, p.c1 * p.C * state.y0)


def _inhibitory_rate(state, inputs, p):
    """Return the firing rate of the (slow) inhibitory interneurons [kHz]."""
    del inputs
    return _fired(p, p.c3 * p.C * state.y0)


@node(
    state=JansenRitState,
    params=JansenRitParams,
    states={"y0": "mV", "y1": "mV", "y2": "mV", "y3": "mV/ms", "y4": "mV/ms", "y5": "mV/ms"},
    inputs={"y4": "kHz"},
    coupled=[(_pyramidal, "y4")],
    ranges={
        "y0": (-1.0, 1.0),
        "y1": (-500.0, 500.0),
        "y2": (-50.0, 50.0),
        "y3": (-6.0, 6.0),
        "y4": (-20.0, 20.0),
        "y5": (-500.0, 500.0),
    },
    auxiliary={
        "psp": lambda state, inputs, params: _pyramidal(state),
        "rate": _pyramidal_rate,
        "rate_e": _excitatory_rate,
        "rate_i": _inhibitory_rate,
    },
)
def jansen_rit(state: JansenRitState, inputs, params: JansenRitParams) -> JansenRitState:
    r"""Compute the rates of change of pyramidal cells and two kinds of interneuron (alpha rhythm).

    $\ddot y_0 = A a\, S(y_1 - y_2) - 2a \dot y_0 - a^2 y_0$,
    $\ddot y_1 = A a\, (p + I_{y4} + c_2 C\, S(c_1 C y_0)) - 2a \dot y_1 - a^2 y_1$,
    $\ddot y_2 = B b\, c_4 C\, S(c_3 C y_0) - 2b \dot y_2 - b^2 y_2$,
    with $S(v) = 2 e_0 / (1 + e^{r (v_0 - v)})$; y3, y4 and y5 are the derivatives of y0, y1 and y2.

    The input enters beside p, as a pulse density. By default the potential of the pyramidal cells,
    y1 - y2, is coupled into y4: couple with `SigmoidalJansenRitCoupling`, which makes a firing rate
    of it.

    Args:
        state: y0, y1, y2 [mV]; y3, y4, y5 [mV/ms].
        inputs: y4, a pulse density. [kHz]
        params: `JansenRitParams`.

    Auxiliary:
        psp: y1 - y2, the potential of the pyramidal cells, which an EEG shows. [mV]
        rate: S of it, the firing rate of the pyramidal cells. [kHz]
        rate_e: the firing rate of the excitatory interneurons. [kHz]
        rate_i: that of the inhibitory interneurons. [kHz]

    Source:
        B. H. Jansen and V. G. Rit, Biol. Cybern. 73 (1995) 357-366, eqs. 6, with its parameters
        converted from seconds to ms (3.25 and 22 mV, 100 and 50 /s, 135, 2.5 /s, 6 mV, 0.56 /mV).
        The Virtual Brain's default of v0 is 5.52 mV.

    Example:
        >>> rest = no_input = cf.nodes.JansenRitState(*jnp.zeros((6, 1)))
        >>> params = cf.nodes.JansenRitParams(A=4.0, a=0.5, p=0.25, e0=0.0)
        >>> rate = cf.nodes.jansen_rit(rest, no_input, params)
        >>> rate.y4.tolist()  # A a p
        [0.5]

        The default wiring, written out:

        >>> wire = cf.Wire(lambda s: s.y1 - s.y2, into="y4")
        >>> net = cf.Network(cf.nodes.jansen_rit, dt=0.1, couplings=wire)
        >>> coupling = cf.SigmoidalJansenRitCoupling(jnp.ones((1, 1)), k=10.0)
        >>> params = cf.Params(cf.nodes.JansenRitParams(), coupling)
        >>> net(net.init(rest, params), params).node.y4.shape
        (1,)
    """
    p, s = params, state
    interneurons = p.c2 * p.C * _excitatory_rate(s, inputs, p)
    inhibition = p.c4 * p.C * _inhibitory_rate(s, inputs, p)
    return JansenRitState(
        s.y3,
        s.y4,
        s.y5,
        _synapse(p.A, p.a, _pyramidal_rate(s, inputs, p), s.y0, s.y3),
        _synapse(p.A, p.a, p.p + inputs.y4 + interneurons, s.y1, s.y4),
        _synapse(p.B, p.b, inhibition, s.y2, s.y5),
    )


class WendlingState(NamedTuple):
    """State of `wendling`, one value per region each: `(region,)`.

    Attributes:
        y0: potential that pyramidal cells cause in interneurons, for one synapse. [mV]
        y1: excitatory potential of the pyramidal cells. [mV]
        y2: slow inhibitory potential of the pyramidal cells. [mV]
        y3: fast inhibitory potential of the pyramidal cells. [mV]
        y4: slow inhibitory potential of the fast interneurons, for one synapse. [mV]
        y5: derivative of y0. [mV/ms]
        y6: derivative of y1. [mV/ms]
        y7: derivative of y2. [mV/ms]
        y8: derivative of y3. [mV/ms]
        y9: derivative of y4. [mV/ms]

    Example:
        >>> cf.nodes.WendlingState(*jnp.zeros((10, 2))).y0.shape
        (2,)
    """

    y0: Array
    y1: Array
    y2: Array
    y3: Array
    y4: Array
    y5: Array
    y6: Array
    y7: Array
    y8: Array
    y9: Array


class WendlingParams(eqx.Module):
    """Parameters of `wendling`, each a scalar or one value per region, `(region,)`.

    Attributes:
        A: excitatory synaptic gain. [mV]
        B: slow inhibitory synaptic gain. [mV]
        G: fast inhibitory synaptic gain. [mV]
        a: rate of the excitatory synapses. [1/ms]
        b: rate of the slow inhibitory synapses. [1/ms]
        g: rate of the fast inhibitory synapses. [1/ms]
        C: number of synapses between populations. [1]
        c1: share of C from pyramidal cells to excitatory interneurons. [1]
        c2: share of C from excitatory interneurons to pyramidal cells. [1]
        c3: share of C from pyramidal cells to slow inhibitory interneurons. [1]
        c4: share of C from slow inhibitory interneurons to pyramidal cells. [1]
        c5: share of C from pyramidal cells to fast inhibitory interneurons. [1]
        c6: share of C from slow to fast inhibitory interneurons. [1]
        c7: share of C from fast inhibitory interneurons to pyramidal cells. [1]
        e0: half of the largest firing rate. [kHz]
        v0: potential at which a population fires half as much as it can. [mV]
        r: steepness of the response. [1/mV]
        p: constant input. [kHz]

    Example:
        >>> cf.nodes.WendlingParams(A=5.0, B=22.0, G=20.0).G.item()
        20.0
    """

    A: Scalar | PerTarget = parameter("A", 3.25, "mV")
    B: Scalar | PerTarget = parameter("B", 22.0, "mV")
    G: Scalar | PerTarget = parameter("G", 10.0, "mV")
    a: Scalar | PerTarget = parameter("a", 0.1, "1/ms")
    b: Scalar | PerTarget = parameter("b", 0.05, "1/ms")
    g: Scalar | PerTarget = parameter("g", 0.5, "1/ms")
    C: Scalar | PerTarget = parameter("C", 135.0, "1")
    c1: Scalar | PerTarget = parameter("c1", 1.0, "1")
    c2: Scalar | PerTarget = parameter("c2", 0.8, "1")
    c3: Scalar | PerTarget = parameter("c3", 0.25, "1")
    c4: Scalar | PerTarget = parameter("c4", 0.25, "1")
    c5: Scalar | PerTarget = parameter("c5", 0.3, "1")
    c6: Scalar | PerTarget = parameter("c6", 0.1, "1")
    c7: Scalar | PerTarget = parameter("c7", 0.8, "1")
    e0: Scalar | PerTarget = parameter("e0", 0.0025, "kHz")
    v0: Scalar | PerTarget = parameter("v0", 6.0, "mV")
    r: Scalar | PerTarget = parameter("r", 0.56, "1/mV")
    p: Scalar | PerTarget = parameter("p", 0.09, "kHz")


def _wendling_pyramidal(state: WendlingState) -> Array:
    """Return the potential of the pyramidal cells [mV]."""
    return state.y1 - state.y2 - state.y3


def _fast_rate(state, inputs, p):
    """Return the firing rate of the fast inhibitory interneurons [kHz]."""
    del inputs
    return _fired(p, p.c5 * p.C * state.y0 - p.c6 * p.C * state.y4)


def _wendling_rate(state, inputs, p):
    """Return the firing rate of the pyramidal cells [kHz]."""
    del inputs
    return _fired(p, _wendling_pyramidal(state))


@node(
    state=WendlingState,
    params=WendlingParams,
    states={f"y{i}": "mV" if i < 5 else "mV/ms" for i in range(10)},
    inputs={"y6": "kHz"},
    coupled=[(_wendling_pyramidal, "y6")],
    ranges={
        "y0": (-1.0, 1.0),
        "y1": (-50.0, 50.0),
        "y2": (-50.0, 50.0),
        "y3": (-50.0, 50.0),
        "y4": (-1.0, 1.0),
        "y5": (-1.0, 1.0),
        "y6": (-20.0, 20.0),
        "y7": (-20.0, 20.0),
        "y8": (-20.0, 20.0),
        "y9": (-1.0, 1.0),
    },
    auxiliary={
        "psp": lambda state, inputs, params: _wendling_pyramidal(state),
        "rate": _wendling_rate,
        "rate_e": _excitatory_rate,
        "rate_i": _inhibitory_rate,
        "rate_f": _fast_rate,
    },
)
def wendling(state: WendlingState, inputs, params: WendlingParams) -> WendlingState:
    r"""Compute the rates of change of `jansen_rit` with fast inhibition: the onset of seizures.

    $\ddot y_0 = A a\, S(y_1 - y_2 - y_3) - 2a \dot y_0 - a^2 y_0$,
    $\ddot y_1 = A a\, (p + I_{y6} + c_2 C\, S(c_1 C y_0)) - 2a \dot y_1 - a^2 y_1$,
    $\ddot y_2 = B b\, c_4 C\, S(c_3 C y_0) - 2b \dot y_2 - b^2 y_2$,
    $\ddot y_3 = G g\, c_7 C\, S(c_5 C y_0 - c_6 C y_4) - 2g \dot y_3 - g^2 y_3$,
    $\ddot y_4 = B b\, S(c_3 C y_0) - 2b \dot y_4 - b^2 y_4$,
    with $S(v) = 2 e_0 / (1 + e^{r (v_0 - v)})$; y5 to y9 are the derivatives of y0 to y4.

    The input enters beside p, as a pulse density. By default the potential of the pyramidal cells,
    y1 - y2 - y3, is coupled into y6: couple with `SigmoidalJansenRitCoupling`. The paper passes what
    a region receives through a further excitatory synapse; here only the network's delays precede it.

    Args:
        state: y0 to y4 [mV]; y5 to y9 [mV/ms].
        inputs: y6, a pulse density. [kHz]
        params: `WendlingParams`.

    Auxiliary:
        psp: y1 - y2 - y3, the potential of the pyramidal cells, which an EEG shows. [mV]
        rate: S of it, the firing rate of the pyramidal cells. [kHz]
        rate_e: the firing rate of the excitatory interneurons. [kHz]
        rate_i: that of the slow inhibitory interneurons. [kHz]
        rate_f: that of the fast inhibitory interneurons. [kHz]

    Source:
        F. Wendling et al., Eur. J. Neurosci. 15 (2002) 1499-1508, appendix, with its standard values
        converted from seconds to ms, and the gains A = 3.25, B = 22 and G = 10 mV.

    Example:
        >>> rest = no_input = cf.nodes.WendlingState(*jnp.zeros((10, 1)))
        >>> params = cf.nodes.WendlingParams(A=4.0, a=0.5, p=0.25, e0=0.0)
        >>> rate = cf.nodes.wendling(rest, no_input, params)
        >>> rate.y6.tolist()  # A a p
        [0.5]

        The default wiring, written out:

        >>> cf.Wire(lambda s: s.y1 - s.y2 - s.y3, into="y6").into
        ('y6',)
    """
    p, s = params, state
    interneurons = p.c2 * p.C * _excitatory_rate(s, inputs, p)
    slow, fast = _inhibitory_rate(s, inputs, p), _fast_rate(s, inputs, p)
    return WendlingState(
        s.y5,
        s.y6,
        s.y7,
        s.y8,
        s.y9,
        _synapse(p.A, p.a, _wendling_rate(s, inputs, p), s.y0, s.y5),
        _synapse(p.A, p.a, p.p + inputs.y6 + interneurons, s.y1, s.y6),
        _synapse(p.B, p.b, p.c4 * p.C * slow, s.y2, s.y7),
        _synapse(p.G, p.g, p.c7 * p.C * fast, s.y3, s.y8),
        _synapse(p.B, p.b, slow, s.y4, s.y9),
    )
