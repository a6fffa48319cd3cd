"""The canonical microcircuit of a cortical column: four populations in three layers."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class CanonicalMicrocircuitState(NamedTuple):
    """State of `canonical_microcircuit`, one value per region each: `(region,)`.

    Attributes:
        v_ss: potential of spiny stellate cells, from its mean. [mV]
        v_sp: potential of superficial pyramidal cells, from its mean. [mV]
        v_ii: potential of inhibitory interneurons, from its mean. [mV]
        v_dp: potential of deep pyramidal cells, from its mean. [mV]
        i_ss: derivative of v_ss. [mV/ms]
        i_sp: derivative of v_sp. [mV/ms]
        i_ii: derivative of v_ii. [mV/ms]
        i_dp: derivative of v_dp. [mV/ms]

    Example:
        >>> cf.nodes.CanonicalMicrocircuitState(*jnp.zeros((8, 2))).v_sp.shape
        (2,)
    """

    v_ss: Array
    v_sp: Array
    v_ii: Array
    v_dp: Array
    i_ss: Array
    i_sp: Array
    i_ii: Array
    i_dp: Array


class CanonicalMicrocircuitParams(eqx.Module):
    """Parameters of `canonical_microcircuit`, each a scalar or one value per region, `(region,)`.

    A weight's name has its target first: g_ii_ss is from spiny stellate cells onto inhibitory
    interneurons. All are positive; which of them inhibit is in the equation.

    Attributes:
        tau_ss: time constant of spiny stellate cells. [ms]
        tau_sp: time constant of superficial pyramidal cells. [ms]
        tau_ii: time constant of inhibitory interneurons. [ms]
        tau_dp: time constant of deep pyramidal cells. [ms]
        g_ss_ss: inhibition of ss by themselves. [mV/ms]
        g_ss_sp: inhibition of ss by sp. [mV/ms]
        g_ss_ii: inhibition of ss by ii. [mV/ms]
        g_sp_sp: inhibition of sp by themselves. [mV/ms]
        g_sp_ss: excitation of sp by ss. [mV/ms]
        g_ii_ii: inhibition of ii by themselves. [mV/ms]
        g_ii_ss: excitation of ii by ss. [mV/ms]
        g_ii_dp: excitation of ii by dp. [mV/ms]
        g_dp_dp: inhibition of dp by themselves. [mV/ms]
        g_dp_ii: inhibition of dp by ii. [mV/ms]
        r: steepness of the response. [1/mV]
        drive: constant input to spiny stellate cells, from the thalamus. [mV/ms]

    Example:
        >>> cf.nodes.CanonicalMicrocircuitParams(g_sp_sp=1.2).g_sp_sp.item()
        1.2
    """

    tau_ss: Scalar | PerTarget = parameter("tau_ss", 2.0, "ms")
    tau_sp: Scalar | PerTarget = parameter("tau_sp", 2.0, "ms")
    tau_ii: Scalar | PerTarget = parameter("tau_ii", 16.0, "ms")
    tau_dp: Scalar | PerTarget = parameter("tau_dp", 28.0, "ms")
    g_ss_ss: Scalar | PerTarget = parameter("g_ss_ss", 0.8, "mV/ms")
    g_ss_sp: Scalar | PerTarget = parameter("g_ss_sp", 0.8, "mV/ms")
    g_ss_ii: Scalar | PerTarget = parameter("g_ss_ii", 1.6, "mV/ms")
    g_sp_sp: Scalar | PerTarget = parameter("g_sp_sp", 0.8, "mV/ms")
    g_sp_ss: Scalar | PerTarget = parameter("g_sp_ss", 0.8, "mV/ms")
    g_ii_ii: Scalar | PerTarget = parameter("g_ii_ii", 0.8, "mV/ms")
    g_ii_ss: Scalar | PerTarget = parameter("g_ii_ss", 0.8, "mV/ms")
    g_ii_dp: Scalar | PerTarget = parameter("g_ii_dp", 0.4, "mV/ms")
    g_dp_dp: Scalar | PerTarget = parameter("g_dp_dp", 0.2, "mV/ms")
    g_dp_ii: Scalar | PerTarget = parameter("g_dp_ii", 0.4, "mV/ms")
    r: Scalar | PerTarget = parameter("r", 2 / 3, "1/mV")
    drive: Scalar | PerTarget = parameter("drive", 0.0, "mV/ms")


def _fired(p, v):
    """Return how far the firing of a population is from its mean, as a share of the largest [1]."""
    return jnp.tanh(p.r * v / 2) / 2  # the sigmoid less 1/2, without losing digits near 0


@node(
    state=CanonicalMicrocircuitState,
    params=CanonicalMicrocircuitParams,
    states={
        **dict.fromkeys(("v_ss", "v_sp", "v_ii", "v_dp"), "mV"),
        **dict.fromkeys(("i_ss", "i_sp", "i_ii", "i_dp"), "mV/ms"),
    },
    inputs=dict.fromkeys(("i_ss", "i_sp", "i_ii", "i_dp"), "mV/ms"),
    coupled=[("v_sp", "i_ss")],
    ranges={
        **dict.fromkeys(("v_ss", "v_sp", "v_ii", "v_dp"), (-3.0, 3.0)),
        **dict.fromkeys(("i_ss", "i_sp"), (-0.5, 0.5)),
        **dict.fromkeys(("i_ii", "i_dp"), (-0.2, 0.2)),
    },
)
def canonical_microcircuit(
    state: CanonicalMicrocircuitState, inputs, params: CanonicalMicrocircuitParams
) -> CanonicalMicrocircuitState:
    r"""Compute the rates of change of the four populations of a cortical column.

    Spiny stellate cells (ss), superficial pyramidal cells (sp), inhibitory interneurons (ii) and deep
    pyramidal cells (dp), each $\ddot v = (u - 2\dot v - v/\tau)/\tau$, with
    $u_{ss} = -g_{ss,ss}S_{ss} - g_{ss,sp}S_{sp} - g_{ss,ii}S_{ii} + \mathrm{drive} + I$,
    $u_{sp} = g_{sp,ss}S_{ss} - g_{sp,sp}S_{sp} + I$,
    $u_{ii} = g_{ii,ss}S_{ss} + g_{ii,dp}S_{dp} - g_{ii,ii}S_{ii} + I$,
    $u_{dp} = -g_{dp,dp}S_{dp} - g_{dp,ii}S_{ii} + I$, and $S = 1/(1 + e^{-r v}) - 1/2$.

    Everything is measured from a mean at which the column rests. Regions send a firing, not a potential:
    `SigmoidalJansenRitCoupling(conn, k, cmin=-0.5, cmax=0.5, midpoint=0.0, r=2 / 3)`. By default v_sp is
    coupled into i_ss, which is the stronger half of a forward connection. The source has sp onto ss and
    half as much onto dp as forward, and dp onto sp and half as much onto ii as backward connections, the
    latter with negative weights: four wires, such as `Wire("v_dp", into="i_sp")`.

    Papers differ in some connections within the column: the second source lets sp excite dp, which is
    left out here, as are the delay of 1 ms within a column and the weakening of reciprocal connections.
    Weights are the means of the prior distributions in SPM12, which has them in 1/s and leaves the mV
    out.

    Args:
        state: v_ss, v_sp, v_ii, v_dp [mV], i_ss, i_sp, i_ii, i_dp [mV/ms].
        inputs: i_ss, i_sp, i_ii, i_dp, currents over capacitance. [mV/ms]
        params: `CanonicalMicrocircuitParams`.

    Source:
        A. M. Bastos et al., NeuroImage 108 (2015) 460-475; R. Moran, D. A. Pinotsis and K. Friston,
        Front. Comput. Neurosci. 7 (2013) 57; the circuit is that of A. M. Bastos et al., Neuron 76
        (2012) 695-711.

    Example:
        >>> rest = cf.nodes.CanonicalMicrocircuitState(*jnp.zeros((8, 1)))
        >>> no_input = cf.nodes.CanonicalMicrocircuitState(*[0.0] * 8)
        >>> params = cf.nodes.CanonicalMicrocircuitParams(drive=1.0)
        >>> cf.nodes.canonical_microcircuit(rest, no_input, params).i_ss.tolist()
        [0.5]
    """
    p, x = params, state
    ss, sp, ii, dp = (_fired(p, v) for v in (x.v_ss, x.v_sp, x.v_ii, x.v_dp))

    def moved(driven, v, i, tau):
        return (driven - 2 * i - v / tau) / tau

    onto_ss = p.drive + inputs.i_ss - p.g_ss_ss * ss - p.g_ss_sp * sp - p.g_ss_ii * ii
    onto_sp = inputs.i_sp + p.g_sp_ss * ss - p.g_sp_sp * sp
    onto_ii = inputs.i_ii + p.g_ii_ss * ss + p.g_ii_dp * dp - p.g_ii_ii * ii
    onto_dp = inputs.i_dp - p.g_dp_dp * dp - p.g_dp_ii * ii
    return CanonicalMicrocircuitState(
        x.i_ss,
        x.i_sp,
        x.i_ii,
        x.i_dp,
        moved(onto_ss, x.v_ss, x.i_ss, p.tau_ss),
        moved(onto_sp, x.v_sp, x.i_sp, p.tau_sp),
        moved(onto_ii, x.v_ii, x.i_ii, p.tau_ii),
        moved(onto_dp, x.v_dp, x.i_dp, p.tau_dp),
    )
